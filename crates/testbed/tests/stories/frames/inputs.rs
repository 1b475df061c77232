//! What nobody should say, byte for byte, and what must come of it.

use super::stages::{Outcome, Site, Stage, hello};
use bytes::Bytes;
use tidings_e2ee::DeviceSecret;
use tidings_proto::frame::*;
use tidings_proto::handshake::Party;
use tidings_proto::{Code, Content, Draft, Frame, Hash, Kind, LogName, Refusal, RoomId, ServerName, Signature, UserName, cbor, limits};
use tidings_testbed::raw::fragment;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

/// Something to say to a link.
pub struct Input {
    pub name: String,
    pub messages: Vec<Message>,
    /// What comes of it.
    pub then: Then,
}

/// What must come of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// This answer, and the link goes on where links do at its stage.
    Answer(Outcome),
    /// This refusal, and the link ends at whatever stage.
    End(Code),
    /// This refusal, or nothing but the end: it is far more than is ever read.
    EndUnheard(Code),
    /// No answer: it is taken, or does not matter.
    Silence,
    /// This refusal and the end, or silence: whether the server is asking on this link is its own affair.
    EndOrSilence(Code),
}

const fn refused(code: Code) -> Then {
    Then::Answer(Outcome::Refused(code))
}

fn input(name: impl Into<String>, bytes: impl Into<Bytes>, then: Then) -> Input {
    Input { name: name.into(), messages: vec![Message::Binary(bytes.into())], then }
}

/// `Ping { req: 1, heads: None }`: it can be read wherever a frame can.
const PING: &[u8] = &[0x82, 0x12, 0xa1, 0x00, 0x01];

/// `[200, …]`: a frame of a type that does not exist, so that only its form is judged.
fn of_no_type(fields: &[u8]) -> Vec<u8> {
    [&[0x82, 0x18, 0xc8], fields].concat()
}

/// So many arrays in each other, the frame's own included.
fn nested(levels: usize) -> Vec<u8> {
    of_no_type(&[&vec![0x81; levels - 2][..], &[0x80]].concat())
}

/// The head of a map (major type 5) or of bytes (2), as short as it must be.
fn head(major: u8, argument: usize) -> Vec<u8> {
    let (info, width) = match argument {
        0..24 => return vec![major << 5 | argument as u8],
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        _ => (26, 4),
    };
    [&[major << 5 | info], &(argument as u32).to_be_bytes()[4 - width..]].concat()
}

/// So many keys in one map.
fn with_keys(count: u64) -> Vec<u8> {
    let mut fields = head(5, count as usize);
    for key in 0..count {
        fields.extend(cbor::encode(&key));
        fields.push(0);
    }
    of_no_type(&fields)
}

/// Exactly so many bytes.
fn of_size(size: usize) -> Vec<u8> {
    let around = of_no_type(&head(2, size)).len();
    let mut frame = of_no_type(&head(2, size - around));
    frame.resize(size, 0);
    frame
}

/// Malformed in whatever state.
pub fn unreadable() -> Vec<Input> {
    let cases: [(&str, &[u8]); 27] = [
        ("nothing", &[]),
        ("no CBOR", &[0xff]),
        ("JSON", b"{\"type\":\"login\",\"user\":\"alice\"}"),
        ("a number", &[0x01]),
        ("a map", &[0xa0]),
        ("an array of one", &[0x81, 0x12]),
        ("an array of three", &[0x83, 0x12, 0xa1, 0x00, 0x01, 0x00]),
        ("a type that is a text", &[0x82, 0x61, 0x41, 0xa0]),
        ("a type below zero", &[0x82, 0x20, 0xa0]),
        ("fields in a list", &[0x82, 0x12, 0x81, 0x01]),
        ("a field missing", &[0x82, 0x12, 0xa0]),
        ("a field that is null", &[0x82, 0x12, 0xa1, 0x00, 0xf6]),
        ("a field of another type", &[0x82, 0x12, 0xa1, 0x00, 0x61, 0x41]),
        ("a number too large for its field", &[0x82, 0x12, 0xa1, 0x00, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0]),
        ("cut off", &PING[..4]),
        ("a byte after the end", &[0x82, 0x12, 0xa1, 0x00, 0x01, 0x00]),
        ("a key twice", &[0x82, 0x12, 0xa2, 0x00, 0x01, 0x00, 0x01]),
        ("keys in another order", &[0x82, 0x12, 0xa2, 0x01, 0x00, 0x00, 0x01]),
        ("a number in two bytes for one", &[0x82, 0x12, 0xa1, 0x00, 0x18, 0x01]),
        ("no length", &[0x9f, 0x12, 0xa1, 0x00, 0x01, 0xff]),
        ("a floating point number", &[0x82, 0x18, 0xc8, 0xfb, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("a tag", &[0x82, 0x18, 0xc8, 0xc1, 0x00]),
        ("undefined", &[0x82, 0x18, 0xc8, 0xf7]),
        ("text that is not UTF-8", &[0x82, 0x18, 0xc8, 0x61, 0xff]),
        ("more bytes than there are atoms", &[0x82, 0x18, 0xc8, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a list as long", &[0x82, 0x18, 0xc8, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a map as large", &[0x82, 0x18, 0xc8, 0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ];
    let malformed = |name: &str, bytes: Vec<u8>| input(name, bytes, Then::End(Code::Malformed));
    let mut inputs: Vec<Input> = cases.into_iter().map(|(name, bytes)| malformed(name, bytes.to_vec())).collect();
    inputs.push(malformed("two frames in one message", [PING, PING].concat()));
    inputs.push(malformed("nested 17 deep", nested(limits::DEPTH + 1)));
    inputs.push(malformed("nested 3000 deep", vec![0x81; 3000]));
    inputs.push(malformed("257 keys", with_keys(limits::MAP_KEYS + 1)));
    inputs.push(Input { name: "text".into(), messages: vec![Message::text("[18, {}]")], then: Then::End(Code::Malformed) });
    inputs
}

/// At the limits of a stage: read just so, and therefore found to be of no known type; or not read.
pub fn at_the_limits(stage: Stage) -> Vec<Input> {
    let unknown = refused(Code::UnknownFrame);
    let mut inputs = vec![
        input("a type of no frame", of_no_type(&[0xa0]), unknown),
        input("the last type that can be written", [&[0x82, 0x1b][..], &[0xff; 8], &[0xa0]].concat(), unknown),
        input("nested 15 deep", nested(limits::DEPTH - 1), unknown),
        input("nested 16 deep", nested(limits::DEPTH), unknown),
        input("255 keys", with_keys(limits::MAP_KEYS - 1), unknown),
        input("256 keys", with_keys(limits::MAP_KEYS), unknown),
    ];
    for (bytes, then) in [(-1, unknown), (0, unknown), (1, Then::End(Code::TooLarge))] {
        let size = stage.limit().checked_add_signed(bytes).unwrap();
        inputs.push(input(format!("{size} bytes"), of_size(size), then));
        let (first, rest) = (Bytes::from(of_size(size)).slice(..100), Bytes::from(of_size(size)).slice(100..));
        let cut = vec![fragment(first, Data::Binary, false), fragment(rest, Data::Continue, true)];
        inputs.push(Input { name: format!("{size} bytes in two fragments"), messages: cut, then });
    }
    inputs.push(input("three times the limit", of_size(3 * stage.limit()), Then::EndUnheard(Code::TooLarge)));
    inputs
}

/// One frame of each kind, all of which can be read.
pub fn frames() -> Vec<Frame> {
    let (user, server): (UserName, ServerName) = ("mallory@s1".parse().unwrap(), "s1".parse().unwrap());
    let (log, bytes, hash) = (LogName::Public(server.clone()), Bytes::from_static(b"x"), Hash([1; 32]));
    let vault = SealedVault { version: 2, keys: bytes.clone(), book: bytes.clone() };
    let party = Party::Device { user: user.clone(), key: DeviceSecret::generate().public() };
    vec![
        hello(party).into(),
        Proof { sig: Signature([1; 64]) }.into(),
        Ready { listed: true, network: vec![server] }.into(),
        Follow { logs: vec![(LogRef::Name(log.clone()), 0)] }.into(),
        Named { number: 1, log: log.clone() }.into(),
        Entries { log: 99, prev: Some(hash), items: Vec::new() }.into(),
        Fetch { req: 7, log: log.clone(), before: None, after: Some(0), limit: 1 }.into(),
        Page { req: 7, prev: hash, items: Vec::new() }.into(),
        Submit { req: 7, log, draft: bytes.clone(), genesis: None }.into(),
        Accepted { req: 7, seq: 1, hash }.into(),
        Queued { req: 7 }.into(),
        Refused { req: 7, why: Refusal::from(Code::Busy), log: None }.into(),
        Ended { log: LogName::Public("s1".parse().unwrap()), seq: 1, why: None }.into(),
        Ping { req: 7, heads: None }.into(),
        Pong { req: 7 }.into(),
        Done { req: 7 }.into(),
        RegisterStart { req: 7, code: None, password: bytes.clone(), recovery: bytes.clone() }.into(),
        RegisterReply { req: 7, password: bytes.clone(), recovery: bytes.clone(), grant: None }.into(),
        RegisterFinish { req: 7, password: bytes.clone(), recovery: bytes.clone(), vault: vault.clone(), draft: bytes.clone() }.into(),
        LoginStart { req: 7, with: Secret::Password, ke1: bytes.clone() }.into(),
        LoginReply { req: 7, ke2: bytes.clone() }.into(),
        LoginFinish { req: 7, ke3: bytes.clone() }.into(),
        Vault { req: 7, vault: vault.clone() }.into(),
        VaultGet { req: 7 }.into(),
        BookPut { req: 7, version: 9, book: bytes.clone() }.into(),
        RekeyStart { req: 7, password: None, recovery: None }.into(),
        RekeyReply { req: 7, password: None, recovery: None }.into(),
        Rekey { req: 7, password: None, recovery: None, vault, draft: bytes.clone() }.into(),
        Chain { req: 7, user: user.clone(), after: 0 }.into(),
        ChainReply { req: 7, items: Vec::new(), more: false }.into(),
        People { req: 7 }.into(),
        PeopleReply { req: 7, people: Vec::new(), more: false }.into(),
        Presence { whole: false, people: Vec::new() }.into(),
        Rooms { req: 7 }.into(),
        RoomsReply { req: 7, rooms: Vec::new(), more: false }.into(),
        KeyPackagesPut { req: 7, packages: Vec::new(), last_resort: None }.into(),
        KeyPackagesLeft { req: 7, single_use: 0, last_resort: false }.into(),
        KeyPackageClaim { req: 7, user, devices: Vec::new(), by: None }.into(),
        KeyPackages { req: 7, packages: Vec::new() }.into(),
    ]
}

/// What comes of `frame` at `stage`; whatever is not named here has no place there.
pub fn place(stage: Stage, frame: &Frame) -> Then {
    use Stage::*;
    match (stage, frame.name()) {
        (Dialled | DialledAsPeer, "Hello") => Then::Answer(Outcome::Answered("Hello")),
        (Greeted | GreetedAsPeer, "Proof") => refused(Code::BadSignature),
        // A refusal ends a handshake, with the same reason.
        (Dialled | DialledAsPeer | Greeted | GreetedAsPeer, "Refused") => refused(Code::Busy),
        (Guest, "RegisterStart") => refused(Code::NameTaken),
        (Guest, "LoginStart") | (Registering, "RegisterFinish") | (LoggingIn, "LoginFinish") => refused(Code::Malformed),
        (LoggedIn, "RekeyStart") => Then::Answer(Outcome::Answered("RekeyReply")),
        (LoggedIn, "Rekey") | (Device, "LoginStart") => refused(Code::Malformed),
        // A change of secrets takes one of them.
        (Device, "RekeyStart" | "Rekey") => refused(Code::PasswordNeeded),
        (Device, "BookPut") => refused(Code::Conflict),
        (LoggedIn | Device, "Chain") => Then::Answer(Outcome::Answered("ChainReply")),
        (LoggedIn, "Submit") => refused(Code::Forbidden),
        (Device, "KeyPackagesPut") => Then::Answer(Outcome::Answered("KeyPackagesLeft")),
        // Of no device, and between servers in nobody's name.
        (Device | Peer, "KeyPackageClaim") => refused(Code::Malformed),
        (Device, "People") => Then::Answer(Outcome::Answered("PeopleReply")),
        (Device, "VaultGet") => Then::Answer(Outcome::Answered("Vault")),
        (Device, "Rooms") => Then::Answer(Outcome::Answered("RoomsReply")),
        (Device | Peer, "Follow") => Then::Silence,
        (Device | Peer, "Fetch") => Then::Answer(Outcome::Answered("Page")),
        (Device | Peer, "Submit") => refused(Code::Malformed),
        (Device | Peer, "Ping") => Then::Answer(Outcome::Answered("Pong")),
        // Answers to what nobody asked.
        (Device, "Pong") => Then::Silence,
        (Peer, "Named" | "Ended" | "Accepted" | "Queued" | "Refused" | "Pong" | "Presence" | "KeyPackages") => Then::Silence,
        (Peer, "Entries") => Then::EndOrSilence(Code::WrongState),
        _ => refused(Code::WrongState),
    }
}

/// Every kind of frame, whether it has a place there or not.
pub fn in_and_out_of_place(stage: Stage) -> Vec<Input> {
    frames().iter().map(|frame| input(frame.name(), frame.encode(), place(stage, frame))).collect()
}

/// Drafts that are not their sender's, or no drafts, each in a frame that can be read.
pub fn drafts(site: &Site, stage: Stage) -> Vec<Input> {
    let public = LogName::Public(site.server.clone());
    let (keys, elsewhere) = (LogName::Keys(site.server.clone()), LogName::Public("s2".parse().unwrap()));
    let nowhere = LogName::Room(RoomId([9; 32]));
    let alice = || "alice@s1".parse().unwrap();
    let body = Bytes::from(cbor::encode(&Content::text("I am who I say").unwrap()));
    let long = Bytes::from(cbor::encode(&"x".repeat(limits::TEXT + 1)));
    let written = |by: &DeviceSecret, author: UserName, kind: Kind| Draft {
        device: by.public(),
        n: 1,
        author,
        list: 1,
        epoch: None,
        kind,
        body: body.clone(),
        sig: None,
    };
    let signed = |by: &DeviceSecret, log: &LogName, draft: Draft| draft.signed(log, |bytes| by.sign(bytes)).bytes().clone();
    let (device, other) = (&site.device, &site.peer.1);
    let post = |by: &DeviceSecret| written(by, site.mallory.clone(), Kind::Post);
    let said = |name: &str, log: &LogName, draft: Bytes, code: Code| {
        let frame: Frame = Submit { req: 7, log: log.clone(), draft, genesis: None }.into();
        input(format!("a draft: {name}"), frame.encode(), refused(code))
    };
    let mine = signed(device, &public, post(device));
    match stage {
        Stage::Device => vec![
            said("another's name", &public, signed(device, &public, written(device, alice(), Kind::Post)), Code::Forbidden),
            said("another device", &public, signed(other, &public, post(other)), Code::Forbidden),
            said("another's signature", &public, signed(other, &public, post(device)), Code::BadSignature),
            said("no signature", &public, cbor::encode(&post(device)).into(), Code::BadSignature),
            said("signed for another log", &public, signed(device, &elsewhere, post(device)), Code::BadSignature),
            said("another server's chat", &elsewhere, signed(device, &elsewhere, post(device)), Code::Forbidden),
            said("a server that nobody knows", &LogName::Public("s7".parse().unwrap()), mine.clone(), Code::UnknownPeer),
            said("nobody's inbox", &LogName::Inbox(site.nobody.clone()), mine.clone(), Code::NotFound),
            said(
                "no room",
                &nowhere,
                signed(device, &nowhere, Draft { kind: Kind::Sealed, epoch: Some(0), ..post(device) }),
                Code::NotFound,
            ),
            said("the number 0", &public, signed(device, &public, Draft { n: 0, ..post(device) }), Code::Malformed),
            said("the number 3 before 1", &public, signed(device, &public, Draft { n: 3, ..post(device) }), Code::Gap),
            said("a list that is to come", &public, signed(device, &public, Draft { list: 9, ..post(device) }), Code::NotYet),
            said("an epoch", &public, signed(device, &public, Draft { epoch: Some(1), ..post(device) }), Code::Malformed),
            said("another kind", &public, signed(device, &public, Draft { kind: Kind::Notice, ..post(device) }), Code::Forbidden),
            said("a list that is none", &keys, signed(device, &keys, Draft { n: 2, kind: Kind::List, ..post(device) }), Code::Malformed),
            said("too long a text", &public, signed(device, &public, Draft { body: long, ..post(device) }), Code::TooLarge),
            said("too long", &public, vec![0x41; limits::DRAFT + 1].into(), Code::TooLarge),
            said("cut off", &public, mine.slice(..mine.len() - 1), Code::Malformed),
            said("a byte after the end", &public, [&mine[..], &[0]].concat().into(), Code::Malformed),
            said("a key twice", &public, Bytes::from_static(&[0xa2, 0x00, 0x01, 0x00, 0x01]), Code::Malformed),
            said("nested 17 deep", &public, [vec![0x81; 16], vec![0x80]].concat().into(), Code::Malformed),
        ],
        Stage::LoggedIn => vec![
            said("a post", &public, signed(device, &public, post(device)), Code::Forbidden),
            said("another's list", &keys, signed(device, &keys, written(device, alice(), Kind::List)), Code::Forbidden),
            said("cut off", &keys, mine.slice(..mine.len() - 1), Code::Malformed),
        ],
        Stage::Peer => {
            let theirs = |name: &str| name.parse::<UserName>().unwrap();
            let carols = signed(other, &public, written(other, theirs("carol@s9"), Kind::Post));
            let inbox = LogName::Inbox(alice());
            vec![
                said("our user's name", &public, mine.clone(), Code::Forbidden),
                said(
                    "a third server's user",
                    &public,
                    signed(other, &public, written(other, theirs("bob@s2"), Kind::Post)),
                    Code::Forbidden,
                ),
                said("a post in our chat", &public, carols.clone(), Code::Forbidden),
                said("a list in our keys", &keys, signed(other, &keys, written(other, theirs("carol@s9"), Kind::List)), Code::Forbidden),
                said(
                    "a notice that is none",
                    &inbox,
                    signed(other, &inbox, written(other, theirs("carol@s9"), Kind::Notice)),
                    Code::Malformed,
                ),
                said("cut off", &public, carols.slice(..carols.len() - 1), Code::Malformed),
            ]
        }
        _ => Vec::new(),
    }
}
