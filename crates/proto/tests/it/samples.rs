//! One fixed value of everything that travels, for the snapshots and the tests that need any example.

use tidings_proto::cbor::Encoded;
use tidings_proto::frame::*;
use tidings_proto::handshake::{Hello, Party, VERSIONS};
use tidings_proto::*;

pub fn alice() -> UserName {
    "alice@s1".parse().unwrap()
}

pub fn bob() -> UserName {
    "bob@s2".parse().unwrap()
}

pub fn s1() -> ServerName {
    "s1".parse().unwrap()
}

pub fn genesis() -> Genesis {
    Genesis::direct(SuiteName::RsaJwe1, &bob(), &alice())
}

pub fn group() -> Genesis {
    Genesis::group(SuiteName::RsaJwe1, &alice(), Nonce([0x6e; 32]))
}

/// A public post by alice, signed by nobody: bytes are what counts here.
pub fn draft() -> Encoded<Draft> {
    let content = Content::text("hello").unwrap();
    Draft {
        device: DeviceKey([0xd1; 32]),
        n: 3,
        author: alice(),
        list: 1,
        epoch: None,
        kind: Kind::Post,
        body: cbor::encode(&content).into(),
        sig: None,
    }
    .signed(&LogName::Public(s1()), |_| Signature([0x51; 64]))
}

/// A sealed draft: with an epoch, without a signature.
pub fn sealed() -> Encoded<Draft> {
    Encoded::new(Draft {
        device: DeviceKey([0xd1; 32]),
        n: 1,
        author: alice(),
        list: 2,
        epoch: Some(0),
        kind: Kind::Sealed,
        body: bytes::Bytes::from_static(&[0xb0; 4]),
        sig: None,
    })
}

pub fn entry() -> Entry {
    Entry { seq: 7, at: 1_700_000_000_000, payload: Payload::Draft(draft()) }
}

pub fn stub() -> Entry {
    Entry { seq: 8, at: 1_700_000_000_001, payload: Payload::Stub(Hash([0x57; 32])) }
}

pub fn dialler() -> Hello {
    Hello {
        party: Party::Device { user: alice(), key: DeviceKey([0xd1; 32]) },
        nonce: Nonce([1; 32]),
        versions: VERSIONS.to_vec(),
        frame: limits::CLIENT_FRAME as u64,
        exporter: Some(Hash([0xee; 32])),
        to: Some(s1()),
    }
}

pub fn peer() -> Hello {
    Hello { party: Party::Peer { name: "s2".parse().unwrap(), key: ServerKey([0x2e; 32]) }, exporter: None, to: None, ..dialler() }
}

pub fn acceptor() -> Hello {
    Hello {
        party: Party::Server { name: s1(), key: ServerKey([0x1e; 32]), spki: Some(Hash([0x5b; 32])) },
        nonce: Nonce([2; 32]),
        to: None,
        ..dialler()
    }
}

pub fn vault(version: u64) -> SealedVault {
    SealedVault { version, keys: vec![3; 3].into(), book: vec![4; 4].into() }
}

pub fn grant() -> Grant {
    Grant { server: ServerKey([0x1e; 32]), version: 3, prev: Hash([0x9e; 32]), sig: Signature([0x51; 64]), vault: 4 }
}

pub fn claimed() -> ClaimedKeyPackage {
    ClaimedKeyPackage { device: DeviceKey([0xd1; 32]), package: vec![6; 3].into(), last_resort: false }
}

/// One of each frame, in the order of their numbers.
pub fn frames() -> Vec<Frame> {
    let (req, bytes) = (5, |byte: u8| bytes::Bytes::from(vec![byte; 3]));
    let item = || Item { entry: stub().encode(), got: Some(9) };
    let person = || PersonState { user: bob(), online: Online::Online, list: 2 };
    let prev = Hash([0x9e; 32]);
    let log = || genesis().log();
    vec![
        dialler().into(),
        Proof { sig: Signature([0x51; 64]) }.into(),
        Ready { listed: true, network: vec![s1(), "s2".parse().unwrap()] }.into(),
        Follow { logs: vec![(LogRef::Name(LogName::Public(s1())), 0), (LogRef::Number(12), 700)] }.into(),
        Named { number: 12, log: LogName::Inbox(bob()) }.into(),
        Entries { log: 12, prev: Some(prev), items: vec![item(), Item { entry: entry().encode(), got: None }] }.into(),
        Fetch { req, log: LogName::Keys(s1()), before: Some(40), after: None, limit: 50 }.into(),
        Page { req, prev, items: vec![item()] }.into(),
        Submit { req, log: log(), draft: sealed().bytes().clone(), genesis: Some(genesis()) }.into(),
        Accepted { req, seq: 7, hash: prev }.into(),
        Queued { req }.into(),
        Refused { req, why: Refusal::new(Code::Gap, "no").retry_after(2).last(4), log: Some(log()) }.into(),
        Ended { log: log(), seq: 9, why: Some(Code::Broken.into()) }.into(),
        Ping { req, heads: None }.into(),
        Pong { req }.into(),
        Done { req }.into(),
        RegisterStart { req, code: Some("code".into()), password: bytes(1), recovery: bytes(2) }.into(),
        RegisterReply { req, password: bytes(1), recovery: bytes(2), grant: Some(grant()) }.into(),
        RegisterFinish { req, password: bytes(1), recovery: bytes(2), vault: vault(1), draft: draft().bytes().clone() }.into(),
        LoginStart { req, with: Secret::Recovery, ke1: bytes(1) }.into(),
        LoginReply { req, ke2: bytes(2) }.into(),
        LoginFinish { req, ke3: bytes(3) }.into(),
        Vault { req, vault: vault(1) }.into(),
        VaultGet { req }.into(),
        BookPut { req, version: 2, book: bytes(4) }.into(),
        Chain { req, user: bob(), after: 3 }.into(),
        ChainReply { req, items: vec![item()], more: false }.into(),
        People { req }.into(),
        PeopleReply { req, people: vec![person()], more: true }.into(),
        Presence { whole: true, people: vec![person()] }.into(),
        Rooms { req }.into(),
        RoomsReply { req, rooms: vec![RoomRef { genesis: genesis(), hub: s1() }], more: false }.into(),
        RekeyStart { req, password: None, recovery: Some(bytes(2)) }.into(),
        RekeyReply { req, password: Some(bytes(1)), recovery: None }.into(),
        Rekey { req, password: None, recovery: Some(bytes(2)), vault: vault(2), draft: draft().bytes().clone() }.into(),
        KeyPackagesPut { req, packages: vec![bytes(6), bytes(7)], last_resort: Some(bytes(8)) }.into(),
        KeyPackagesLeft { req, single_use: 20, last_resort: true }.into(),
        KeyPackageClaim { req, user: bob(), devices: vec![DeviceKey([0xd1; 32])], by: Some(alice()) }.into(),
        KeyPackages { req, packages: vec![claimed()] }.into(),
    ]
}
