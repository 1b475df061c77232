//! What travels: frames, entries, drafts and their bodies, names. Everything a server or client reads before it knows from whom.

use std::fmt::{Debug, Display};
use std::str::FromStr;
use tidings_proto::draft::{Erase, Gone};
use tidings_proto::frame::RoomRef;
use tidings_proto::membership::{Invitation, Invite, Join, Leave, Remove, SetRole};
use tidings_proto::{
    Content, Entry, Frame, Genesis, Hash, LogName, Payload, Role, ServerName, UserName, cbor as codec, draft as drafts,
    entry as entries_of, limits,
};
use tidings_trust::{DeviceList, SignedList};

/// One of each frame and more, as the snapshots of `proto` have them.
#[allow(dead_code, reason = "the tests of proto use more of it")]
#[path = "../../proto/tests/it/samples.rs"]
mod samples;

/// What the validator takes has one encoding: what reads it leniently ends where it ends.
pub fn cbor(input: &[u8]) {
    if codec::validate(input).is_ok() {
        let mut decoder = minicbor::Decoder::new(input);
        decoder.skip().expect("what is valid can be skipped");
        assert_eq!(decoder.position(), input.len());
        let mut again = minicbor::Encoder::new(Vec::new());
        written(&mut minicbor::Decoder::new(input), &mut again).expect("what is valid can be read");
        assert_eq!(again.into_writer(), input);
    }
    for key in [0, 7, 23] {
        if let Ok(without) = codec::without_key(input, key)
            && codec::validate(input).is_ok()
        {
            codec::validate(&without).expect("a map without one of its keys is canonical too");
        }
    }
}

/// The next item, written by a library that writes everything as short as it can.
fn written(from: &mut minicbor::Decoder<'_>, to: &mut minicbor::Encoder<Vec<u8>>) -> Result<(), Box<dyn std::error::Error>> {
    use minicbor::data::Type;
    let inside = match from.datatype()? {
        Type::Bool => to.bool(from.bool()?).map(|_| 0)?,
        Type::Null => from.null().map(|()| to.null().map(|_| 0))??,
        Type::Bytes => to.bytes(from.bytes()?).map(|_| 0)?,
        Type::String => to.str(from.str()?).map(|_| 0)?,
        Type::Array => {
            let items = from.array()?.ok_or("of no definite length")?;
            to.array(items).map(|_| items)?
        }
        Type::Map => {
            let pairs = from.map()?.ok_or("of no definite length")?;
            to.map(pairs).map(|_| 2 * pairs)?
        }
        _ => to.int(from.int()?).map(|_| 0)?,
    };
    (0..inside).try_for_each(|_| written(from, to))
}

/// What was read is written and read again: the same.
pub fn frame(input: &[u8]) {
    for limit in [limits::CLIENT_FRAME, limits::PEER_FRAME] {
        if let Ok(frame) = Frame::read(input, limit) {
            let again = Frame::read(&frame.encode(), usize::MAX);
            assert_eq!(again.as_ref(), Ok(&frame), "{}", frame.name());
        }
    }
}

pub fn entry(input: &[u8]) {
    let Ok((entry, _)) = Entry::skim(input) else {
        Entry::read(input).expect_err("what cannot be skimmed cannot be read");
        return;
    };
    assert_eq!(Entry::read(&entry.encode()).as_ref(), Ok(&entry));
    if let Payload::Draft(draft) = &entry.payload {
        assert_eq!(entry.draft_hash(), draft.hash());
        assert!(draft.bytes().len() <= limits::DRAFT && input.len() <= limits::DRAFT + entries_of::OVERHEAD);
    }
}

/// A draft keeps its bytes, whatever fields of a later version are in them.
pub fn draft(input: &[u8]) {
    if let Ok(draft) = drafts::read(input.to_vec().into()) {
        assert_eq!(draft.bytes()[..], *input);
        assert_eq!(draft.hash(), Hash::of(input));
        drafts::signed_bytes(&LogName::Public(samples::s1()), &draft);
    }
}

pub fn genesis(input: &[u8]) {
    if let Ok(genesis) = Genesis::read(input) {
        assert_eq!(Genesis::read(&genesis.encode()).as_ref(), Ok(&genesis));
        assert_eq!(genesis.encode()[..], *input, "a room is named after these bytes, so there is one encoding");
    }
}

/// The first byte says as what the others are read.
pub fn body(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    match kind % BODIES {
        0 => round::<Content>(bytes),
        1 => round::<Invite>(bytes),
        2 => round::<Join>(bytes),
        3 => round::<Leave>(bytes),
        4 => round::<Remove>(bytes),
        5 => round::<SetRole>(bytes),
        6 => round::<Invitation>(bytes),
        7 => round::<Erase>(bytes),
        8 => round::<Gone>(bytes),
        9 => round::<RoomRef>(bytes),
        10 => round::<SignedList>(bytes),
        _ => round::<DeviceList>(bytes),
    }
}

const BODIES: u8 = 12;

fn round<T: PartialEq + Debug + minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()>>(bytes: &[u8]) {
    if let Ok(value) = codec::decode::<T>(bytes, limits::DRAFT) {
        assert_eq!(codec::decode::<T>(&codec::encode(&value), usize::MAX).as_ref(), Ok(&value));
    }
}

/// A name is its text: nothing is repaired, so no two texts are one name.
pub fn name(input: &[u8]) {
    fn same<T: FromStr + Display>(text: &str) {
        if let Ok(name) = text.parse::<T>() {
            assert_eq!(name.to_string(), text);
            assert!(text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control() || byte == b' '));
        }
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    same::<ServerName>(text);
    same::<UserName>(text);
    same::<LogName>(text);
}

pub fn frames() -> Vec<Vec<u8>> {
    samples::frames().iter().map(|frame| frame.encode().to_vec()).collect()
}

pub fn entries() -> Vec<Vec<u8>> {
    [samples::entry(), samples::stub()].iter().map(|entry| entry.encode().to_vec()).collect()
}

pub fn drafts() -> Vec<Vec<u8>> {
    [samples::draft(), samples::sealed()].iter().map(|draft| draft.bytes().to_vec()).collect()
}

pub fn geneses() -> Vec<Vec<u8>> {
    [samples::genesis(), samples::group()].iter().map(|genesis| genesis.encode().to_vec()).collect()
}

pub fn bodies() -> Vec<Vec<u8>> {
    let (prev, user) = (Hash([7; 32]), samples::bob());
    let room = RoomRef { genesis: samples::group(), hub: samples::s1() };
    let bodies = [
        codec::encode(&Content::text("hello").expect("short")),
        codec::encode(&Invite { prev, user: user.clone(), identity: prev, role: Role::Admin }),
        codec::encode(&Join { prev }),
        codec::encode(&Leave { prev }),
        codec::encode(&Remove { prev, user: user.clone(), lost_by: Some(2) }),
        codec::encode(&SetRole { prev, user, role: Role::Owner }),
        codec::encode(&Invitation { room: room.clone(), sealed: b"sealed".as_slice().into() }),
        codec::encode(&Erase { seq: 3, draft: prev }),
        codec::encode(&Gone { prev }),
        codec::encode(&room),
    ];
    let lists = crate::keys::device_lists().into_iter().map(|list| [vec![11], list].concat());
    bodies.into_iter().zip(0u8..).map(|(body, kind)| [vec![kind], body].concat()).chain(lists).collect()
}

pub fn names() -> Vec<Vec<u8>> {
    let logs = [LogName::Public(samples::s1()), LogName::Keys(samples::s1()), LogName::Inbox(samples::bob()), samples::genesis().log()];
    let names = ["s1", "chat.example.org", "alice@s1", "a.b_c-d@x-1.y"].map(str::to_owned);
    logs.iter().map(LogName::to_string).chain(names).map(String::into_bytes).collect()
}
