//! What is decoded is what was encoded; and what this version does not know yet survives, signed with the rest.

use crate::{arbitrary, model, samples};
use model::Value;
use proptest::prelude::*;
use tidings_proto::cbor::{decode, encode, without_key};
use tidings_proto::{Code, Content, DecodeError, Encoded, Entry, Frame, Genesis, LogName, Signature, SuiteName, chain, draft, limits};

proptest! {
    #[test]
    fn a_frame_goes_out_and_comes_back(frame in arbitrary::frame()) {
        prop_assert_eq!(Frame::read(&frame.encode(), limits::PEER_FRAME), Ok(frame));
    }

    #[test]
    fn a_draft_goes_out_and_comes_back(draft in arbitrary::draft()) {
        let back = draft::read(draft.bytes().clone()).unwrap();
        prop_assert_eq!(&*back, &*draft);
        prop_assert_eq!(back.hash(), draft.hash());
    }

    #[test]
    fn an_entry_goes_out_and_comes_back(entry in arbitrary::entry()) {
        prop_assert_eq!(Entry::read(&entry.encode()), Ok(entry));
    }

    #[test]
    fn a_genesis_goes_out_and_comes_back_and_both_people_make_the_same(a in arbitrary::user(), b in arbitrary::user()) {
        let genesis = Genesis::direct(SuiteName::RsaJwe1, &a, &b);
        prop_assert_eq!(Genesis::read(&genesis.encode()), Ok(genesis.clone()));
        prop_assert_eq!(Genesis::direct(SuiteName::RsaJwe1, &b, &a).room(), genesis.room());
    }

    #[test]
    fn names_go_through_text_and_back(log in arbitrary::log(), user in arbitrary::user()) {
        prop_assert_eq!(log.to_string().parse::<LogName>(), Ok(log));
        prop_assert_eq!(user.to_string().parse(), Ok(user));
    }

    /// A later version's field: kept in the bytes, covered by the signature, in the way of nothing.
    #[test]
    fn a_field_from_a_later_version_survives_and_is_signed(draft in arbitrary::draft(), log in arbitrary::log(), key in 8u64..1 << 32, value in model::values()) {
        let later = with_field(draft.bytes(), key, &value);
        let read = draft::read(later.clone().into()).unwrap();
        prop_assert_eq!(&**read.bytes(), &later[..]);
        prop_assert_eq!(&*read, &*draft);
        prop_assert_ne!(read.hash(), draft.hash());
        prop_assert_ne!(draft::signed_bytes(&log, &read), draft::signed_bytes(&log, &draft));
        let unsigned = without_key(&later, 7).unwrap();
        prop_assert!(draft::signed_bytes(&log, &read).ends_with(&unsigned));
        prop_assert!(unsigned.ends_with(&value.encode()));
    }

    #[test]
    fn the_signature_itself_is_not_signed(draft in arbitrary::draft(), log in arbitrary::log(), sig in any::<[u8; 32]>()) {
        let mut other = (*draft).clone();
        other.sig = Signature::from_slice(&[sig, sig].concat());
        prop_assert_eq!(draft::signed_bytes(&log, &Encoded::new(other.clone())), draft::signed_bytes(&log, &draft));
        other.sig = None;
        prop_assert_eq!(draft::signed_bytes(&log, &Encoded::new(other)), draft::signed_bytes(&log, &draft));
    }

    #[test]
    fn a_signature_is_for_one_log(draft in arbitrary::draft(), one in arbitrary::log(), other in arbitrary::log()) {
        prop_assume!(one != other);
        prop_assert_ne!(draft::signed_bytes(&one, &draft), draft::signed_bytes(&other, &draft));
    }

    #[test]
    fn the_chain_binds_everything_an_entry_says(entry in arbitrary::entry(), log in arbitrary::log(), other in arbitrary::log(), prev in arbitrary::hash()) {
        let hash = |log: &LogName, prev, seq, at, draft| chain::hash(log, prev, seq, at, draft);
        let draft = entry.draft_hash();
        let own = hash(&log, &prev, entry.seq, entry.at, &draft);
        prop_assert_ne!(own, hash(&log, &own, entry.seq, entry.at, &draft));
        prop_assert_ne!(own, hash(&log, &prev, entry.seq ^ 1, entry.at, &draft));
        prop_assert_ne!(own, hash(&log, &prev, entry.seq, entry.at ^ 1, &draft));
        prop_assert_ne!(own, hash(&log, &prev, entry.seq, entry.at, &own));
        if log != other {
            prop_assert_ne!(own, hash(&other, &prev, entry.seq, entry.at, &draft));
        }
    }

    #[test]
    fn a_stub_keeps_the_chain(draft in arbitrary::draft(), log in arbitrary::log(), at in any::<u64>()) {
        let whole = Entry { seq: 1, at, payload: tidings_proto::Payload::Draft(draft.clone()) };
        let stub = Entry { seq: 1, at, payload: tidings_proto::Payload::Stub(draft.hash()) };
        prop_assert_eq!(chain::extend(&log, &chain::Tip::EMPTY, &whole), chain::extend(&log, &chain::Tip::EMPTY, &stub));
    }
}

/// The bytes of a canonical map with one field more.
fn with_field(map: &[u8], key: u64, value: &Value) -> Vec<u8> {
    let Some(Value::Map(mut pairs)) = model::parse(&mut &map[..]) else { panic!("a map is expected") };
    pairs.push((Value::Unsigned(key), value.clone()));
    Value::Map(pairs).encode()
}

/// Which numbers the decoder knows, asked of the decoder itself.
fn known_numbers() -> Vec<u64> {
    let knows = |number: &u64| {
        let bytes = Value::Array(vec![Value::Unsigned(*number), Value::Map(vec![])]).encode();
        !matches!(Frame::read(&bytes, 64), Err(refusal) if refusal.code == Code::UnknownFrame)
    };
    (0..1024).filter(knows).collect()
}

#[test]
fn every_frame_is_made() {
    assert_eq!(known_numbers(), arbitrary::NUMBERS, "a new frame needs a strategy in arbitrary.rs");
    let sampled: Vec<u64> = samples::frames().iter().map(|frame| u64::from(first_number(&frame.encode()))).collect();
    assert_eq!(sampled, arbitrary::NUMBERS, "a new frame needs a sample in samples.rs");
}

fn first_number(frame: &[u8]) -> u8 {
    match model::parse(&mut &frame[..]) {
        Some(Value::Array(parts)) => match parts[0] {
            Value::Unsigned(number) => number as u8,
            _ => panic!("a frame starts with its number"),
        },
        _ => panic!("a frame is an array"),
    }
}

#[test]
fn a_later_field_in_every_frame_is_no_obstacle() {
    for frame in samples::frames() {
        let bytes = frame.encode();
        let Some(Value::Array(mut parts)) = model::parse(&mut &bytes[..]) else { panic!("a frame is an array") };
        let Value::Map(fields) = &mut parts[1] else { panic!("a frame's body is a map: {}", frame.name()) };
        fields.push((Value::Unsigned(4096), Value::Array(vec![Value::Text("later".into())])));
        assert_eq!(Frame::read(&Value::Array(parts).encode(), limits::CLIENT_FRAME), Ok(frame));
    }
}

#[test]
fn a_missing_or_mistyped_field_is_refused_in_every_frame() {
    for frame in samples::frames() {
        let Some(Value::Array(parts)) = model::parse(&mut &frame.encode()[..]) else { panic!("a frame is an array") };
        let Value::Map(fields) = &parts[1] else { panic!("a frame's body is a map: {}", frame.name()) };
        for at in 0..fields.len() {
            let mut mistyped = fields.clone();
            mistyped[at].1 = Value::Negative(7);
            let bytes = Value::Array(vec![parts[0].clone(), Value::Map(mistyped)]).encode();
            assert_eq!(Frame::read(&bytes, limits::CLIENT_FRAME).unwrap_err().code, Code::Malformed, "{} field {at}", frame.name());
            let mut missing = fields.clone();
            missing.remove(at);
            let bytes = Value::Array(vec![parts[0].clone(), Value::Map(missing)]).encode();
            // An optional field may be missing; then it must not come back as if it were there.
            match Frame::read(&bytes, limits::CLIENT_FRAME) {
                Ok(read) => assert_ne!(read, frame),
                Err(refusal) => assert_eq!(refusal.code, Code::Malformed, "{} field {at}", frame.name()),
            }
        }
    }
}

#[test]
fn an_unknown_frame_is_told_from_a_malformed_one() {
    let read = |bytes: &[u8]| Frame::read(bytes, 64).unwrap_err().code;
    assert_eq!(read(&[0x82, 0x18, 0xc8, 0xa0]), Code::UnknownFrame);
    for malformed in [
        &[0x80][..],
        &[0x81, 0x00],
        &[0x83, 0x00, 0xa0, 0xa0],
        &[0xa0],
        &[0x00],
        &[0x82, 0xa0, 0xa0],
        &[0x82, 0x20, 0xa0],
        &[0x82, 0x12, 0x80],
    ] {
        assert_eq!(read(malformed), Code::Malformed, "{malformed:02x?}");
    }
}

/// Two names in the other order, or another label, would be a second room for the same pair.
#[test]
fn a_second_room_for_the_same_pair_cannot_be_said() {
    let genesis = samples::genesis();
    let Some(Value::Map(fields)) = model::parse(&mut &genesis.encode()[..]) else { panic!("a genesis is a map") };
    let mut turned = fields.clone();
    let Value::Array(people) = &mut turned[2].1 else { panic!("two people") };
    people.reverse();
    let mut relabelled = fields.clone();
    relabelled[0].1 = Value::Text("tidings/direct/2".into());
    let mut other_suite = fields.clone();
    other_suite[1].1 = Value::Unsigned(0);
    for spoiled in [turned, relabelled, other_suite].map(Value::Map) {
        assert!(matches!(Genesis::read(&spoiled.encode()), Err(DecodeError::Shape(_))), "{spoiled:?}");
        let submit = Value::Map(vec![
            (Value::Unsigned(0), Value::Unsigned(1)),
            (Value::Unsigned(1), Value::Text(genesis.log().to_string())),
            (Value::Unsigned(2), Value::Bytes(vec![])),
            (Value::Unsigned(3), spoiled),
        ]);
        let frame = Value::Array(vec![Value::Unsigned(13), submit]).encode();
        assert_eq!(Frame::read(&frame, 1024).unwrap_err().code, Code::Malformed, "inside a frame too");
    }
    let longer = with_field(&genesis.encode(), 9, &Value::Simple(20));
    assert!(matches!(Genesis::read(&longer), Err(DecodeError::Shape(_))));
}

#[test]
fn an_entry_is_a_draft_or_a_stub_never_both_or_neither() {
    let entry = |fields: Vec<(u64, Value)>| Value::Map(fields.into_iter().map(|(k, v)| (Value::Unsigned(k), v)).collect()).encode();
    let draft = || Value::Bytes(samples::draft().bytes().to_vec());
    let stub = || Value::Bytes(vec![7; 32]);
    let place = || vec![(1, Value::Unsigned(1)), (2, Value::Unsigned(1))];
    assert!(Entry::read(&entry([vec![(0, draft())], place()].concat())).is_ok());
    assert!(Entry::read(&entry([place(), vec![(3, stub())]].concat())).is_ok());
    assert!(Entry::read(&entry(place())).is_err());
    assert!(Entry::read(&entry([vec![(0, draft())], place(), vec![(3, stub())]].concat())).is_err());
    let spoiled = Value::Bytes([&samples::draft().bytes()[..], &[0]].concat());
    assert_eq!(
        Entry::read(&entry([vec![(0, spoiled)], place()].concat())),
        Err(DecodeError::Trailing),
        "the draft inside is read strictly too"
    );
}

#[test]
fn content_goes_out_and_comes_back() {
    let content = Content::text("Grüße, \u{202e}\0 und mehr").unwrap();
    assert_eq!(decode::<Content>(&encode(&content), 1024), Ok(content));
}
