//! Any frame, draft and entry that our types can say, and small damage to bytes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use tidings_proto::cbor::Encoded;
use tidings_proto::frame::*;
use tidings_proto::handshake::{Hello, Party};
use tidings_proto::*;

/// The numbers of all frames that [`frame`] makes; `identity::every_frame_is_made` holds them against the decoder.
pub const NUMBERS: &[u64] = &[
    0, 1, 2, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 32, 33, 34, 36, 37, 38, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
    53, 54, 55, 56,
];

pub fn server() -> impl Strategy<Value = ServerName> {
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z0-9]{1,6}){0,2}".prop_map(|name| name.parse().unwrap())
}

pub fn user() -> impl Strategy<Value = UserName> {
    ("[a-z0-9][a-z0-9._-]{0,63}", server()).prop_map(|(local, server)| UserName::new(&local, server).unwrap())
}

pub fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

pub fn vault() -> impl Strategy<Value = SealedVault> {
    (any::<u64>(), blob(), blob()).prop_map(|(version, keys, book)| SealedVault { version, keys, book })
}

pub fn log() -> impl Strategy<Value = LogName> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(|id| LogName::Room(RoomId(id))),
        server().prop_map(LogName::Public),
        user().prop_map(LogName::Inbox),
        server().prop_map(LogName::Keys),
    ]
}

pub fn genesis() -> impl Strategy<Value = Genesis> {
    prop_oneof![
        (user(), user()).prop_map(|(a, b)| Genesis::direct(SuiteName::RsaJwe1, &a, &b)),
        (user(), any::<[u8; 32]>()).prop_map(|(creator, nonce)| Genesis::group(SuiteName::RsaJwe1, &creator, Nonce(nonce))),
    ]
}

fn blob() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn signature() -> impl Strategy<Value = Signature> {
    vec(any::<u8>(), 64).prop_map(|bytes| Signature::from_slice(&bytes).unwrap())
}

fn head() -> impl Strategy<Value = Head> {
    (log(), any::<u64>(), any::<u64>(), hash(), any::<u64>(), any::<[u8; 32]>(), signature())
        .prop_map(|(log, term, seq, hash, at, key, sig)| Head { log, term, seq, hash, at, key: ServerKey(key), sig })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![proptest::sample::select(Kind::ALL.to_vec()), any::<u32>().prop_map(Kind::from_number)]
}

pub fn draft() -> impl Strategy<Value = Encoded<Draft>> {
    (any::<[u8; 32]>(), any::<u64>(), user(), any::<u64>(), option::of(any::<u64>()), kind(), blob(), option::of(signature())).prop_map(
        |(device, n, author, list, epoch, kind, body, sig)| {
            Encoded::new(Draft { device: DeviceKey(device), n, author, list, epoch, kind, body, sig })
        },
    )
}

pub fn entry() -> impl Strategy<Value = Entry> {
    let payload = prop_oneof![draft().prop_map(Payload::Draft), hash().prop_map(Payload::Stub)];
    (any::<u64>(), any::<u64>(), payload).prop_map(|(seq, at, payload)| Entry { seq, at, payload })
}

fn item() -> impl Strategy<Value = Item> {
    (entry(), option::of(any::<u64>())).prop_map(|(entry, got)| Item { entry: entry.encode(), got })
}

fn log_ref() -> impl Strategy<Value = LogRef> {
    prop_oneof![log().prop_map(LogRef::Name), any::<u64>().prop_map(LogRef::Number)]
}

fn refusal() -> impl Strategy<Value = Refusal> {
    (proptest::sample::select(Code::ALL.to_vec()), ".{0,40}", option::of(any::<u64>()), option::of(any::<u64>()))
        .prop_map(|(code, text, retry_after, last)| Refusal { code, text, retry_after, last })
}

fn person() -> impl Strategy<Value = PersonState> {
    (user(), proptest::sample::select(vec![Online::Offline, Online::Away, Online::Online]), any::<u64>())
        .prop_map(|(user, online, list)| PersonState { user, online, list })
}

fn claimed() -> impl Strategy<Value = ClaimedKeyPackage> {
    (any::<[u8; 32]>(), blob(), any::<bool>()).prop_map(|(device, package, last_resort)| ClaimedKeyPackage {
        device: DeviceKey(device),
        package,
        last_resort,
    })
}

fn room() -> impl Strategy<Value = RoomRef> {
    (genesis(), server()).prop_map(|(genesis, hub)| RoomRef { genesis, hub })
}

fn party() -> impl Strategy<Value = Party> {
    prop_oneof![
        (user(), any::<[u8; 32]>()).prop_map(|(user, key)| Party::Device { user, key: DeviceKey(key) }),
        (server(), any::<[u8; 32]>()).prop_map(|(name, key)| Party::Peer { name, key: ServerKey(key) }),
        (server(), any::<[u8; 32]>(), option::of(hash())).prop_map(|(name, key, spki)| Party::Server { name, key: ServerKey(key), spki }),
    ]
}

fn hello() -> impl Strategy<Value = Hello> {
    (party(), any::<[u8; 32]>(), vec(any::<u32>(), 0..4), any::<u64>(), option::of(hash()), option::of(server()))
        .prop_map(|(party, nonce, versions, frame, exporter, to)| Hello { party, nonce: Nonce(nonce), versions, frame, exporter, to })
}

/// Any frame of any type.
pub fn frame() -> impl Strategy<Value = Frame> {
    proptest::sample::select(NUMBERS.to_vec()).prop_flat_map(frame_numbered)
}

fn frame_numbered(number: u64) -> BoxedStrategy<Frame> {
    let req = any::<u32>();
    match number {
        0 => hello().prop_map(Frame::from).boxed(),
        1 => signature().prop_map(|sig| Proof { sig }.into()).boxed(),
        2 => (any::<bool>(), vec(server(), 0..4)).prop_map(|(listed, network)| Ready { listed, network }.into()).boxed(),
        8 => vec((log_ref(), any::<u64>()), 0..5).prop_map(|logs| Follow { logs }.into()).boxed(),
        9 => (any::<u64>(), log()).prop_map(|(number, log)| Named { number, log }.into()).boxed(),
        10 => {
            (any::<u64>(), option::of(hash()), vec(item(), 0..4)).prop_map(|(log, prev, items)| Entries { log, prev, items }.into()).boxed()
        }
        11 => (req, log(), option::of(any::<u64>()), option::of(any::<u64>()), any::<u32>())
            .prop_map(|(req, log, before, after, limit)| Fetch { req, log, before, after, limit }.into())
            .boxed(),
        12 => (req, hash(), vec(item(), 0..4)).prop_map(|(req, prev, items)| Page { req, prev, items }.into()).boxed(),
        13 => (req, log(), blob(), option::of(genesis()))
            .prop_map(|(req, log, draft, genesis)| Submit { req, log, draft, genesis }.into())
            .boxed(),
        14 => (req, any::<u64>(), hash()).prop_map(|(req, seq, hash)| Accepted { req, seq, hash }.into()).boxed(),
        15 => req.prop_map(|req| Queued { req }.into()).boxed(),
        16 => (req, refusal(), option::of(log())).prop_map(|(req, why, log)| Refused { req, why, log }.into()).boxed(),
        17 => (log(), any::<u64>(), option::of(refusal())).prop_map(|(log, seq, why)| Ended { log, seq, why }.into()).boxed(),
        18 => (req, option::of(vec(head(), 0..3))).prop_map(|(req, heads)| Ping { req, heads }.into()).boxed(),
        19 => req.prop_map(|req| Pong { req }.into()).boxed(),
        20 => req.prop_map(|req| Done { req }.into()).boxed(),
        32 => (req, option::of(".{0,20}"), blob(), blob())
            .prop_map(|(req, code, password, recovery)| RegisterStart { req, code, password, recovery }.into())
            .boxed(),
        33 => (req, blob(), blob())
            .prop_map(|(req, password, recovery)| RegisterReply { req, password, recovery, grant: None }.into())
            .boxed(),
        34 => (req, blob(), blob(), vault(), blob())
            .prop_map(|(req, password, recovery, vault, draft)| RegisterFinish { req, password, recovery, vault, draft }.into())
            .boxed(),
        36 => (req, proptest::sample::select(vec![Secret::Password, Secret::Recovery]), blob())
            .prop_map(|(req, with, ke1)| LoginStart { req, with, ke1 }.into())
            .boxed(),
        37 => (req, blob()).prop_map(|(req, ke2)| LoginReply { req, ke2 }.into()).boxed(),
        38 => (req, blob()).prop_map(|(req, ke3)| LoginFinish { req, ke3 }.into()).boxed(),
        39 => (req, vault()).prop_map(|(req, vault)| Vault { req, vault }.into()).boxed(),
        40 => req.prop_map(|req| VaultGet { req }.into()).boxed(),
        41 => (req, any::<u64>(), blob()).prop_map(|(req, version, book)| BookPut { req, version, book }.into()).boxed(),
        43 => (req, user(), any::<u64>()).prop_map(|(req, user, after)| Chain { req, user, after }.into()).boxed(),
        44 => (req, vec(item(), 0..4), any::<bool>()).prop_map(|(req, items, more)| ChainReply { req, items, more }.into()).boxed(),
        45 => req.prop_map(|req| People { req }.into()).boxed(),
        46 => (req, vec(person(), 0..4), any::<bool>()).prop_map(|(req, people, more)| PeopleReply { req, people, more }.into()).boxed(),
        47 => (any::<bool>(), vec(person(), 0..4)).prop_map(|(whole, people)| Presence { whole, people }.into()).boxed(),
        48 => req.prop_map(|req| Rooms { req }.into()).boxed(),
        49 => (req, vec(room(), 0..4), any::<bool>()).prop_map(|(req, rooms, more)| RoomsReply { req, rooms, more }.into()).boxed(),
        50 => (req, option::of(blob()), option::of(blob()))
            .prop_map(|(req, password, recovery)| RekeyStart { req, password, recovery }.into())
            .boxed(),
        51 => (req, option::of(blob()), option::of(blob()))
            .prop_map(|(req, password, recovery)| RekeyReply { req, password, recovery }.into())
            .boxed(),
        52 => (req, option::of(blob()), option::of(blob()), vault(), blob())
            .prop_map(|(req, password, recovery, vault, draft)| Rekey { req, password, recovery, vault, draft }.into())
            .boxed(),
        53 => (req, vec(blob(), 0..4), option::of(blob()))
            .prop_map(|(req, packages, last_resort)| KeyPackagesPut { req, packages, last_resort }.into())
            .boxed(),
        54 => (req, any::<u32>(), any::<bool>())
            .prop_map(|(req, single_use, last_resort)| KeyPackagesLeft { req, single_use, last_resort }.into())
            .boxed(),
        55 => (req, user(), vec(any::<[u8; 32]>().prop_map(DeviceKey), 0..4), option::of(user()))
            .prop_map(|(req, user, devices, by)| KeyPackageClaim { req, user, devices, by }.into())
            .boxed(),
        56 => (req, vec(claimed(), 0..4)).prop_map(|(req, packages)| KeyPackages { req, packages }.into()).boxed(),
        other => unreachable!("no strategy for frame {other}"),
    }
}

/// A few small changes to bytes.
pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
    vec(
        prop_oneof![
            (any::<Index>(), any::<u8>()).prop_map(|(at, to)| Edit::Set(at, to)),
            (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
            any::<Index>().prop_map(Edit::Drop),
            (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, byte))
        ],
        1..4,
    )
}

/// One small change.
#[derive(Debug, Clone)]
pub enum Edit {
    Set(Index, u8),
    Flip(Index, u8),
    Drop(Index),
    Insert(Index, u8),
}

/// Makes the changes.
pub fn apply(edits: &[Edit], bytes: &mut Vec<u8>) {
    for edit in edits {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match edit {
            Edit::Set(at, to) => bytes[at.index(length)] = *to,
            Edit::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Edit::Drop(at) => drop(bytes.remove(at.index(length))),
            Edit::Insert(at, byte) => bytes.insert(at.index(length), *byte),
        }
    }
}
