//! The strict decoder: it takes exactly the deterministic encoding, and nothing that comes from outside makes it panic.

use crate::arbitrary;
use crate::model::{self, Value};
use proptest::prelude::*;
use tidings_proto::cbor::{validate, without_key};
use tidings_proto::{DecodeError, Entry, Frame, Genesis, draft, limits};

proptest! {
    #[test]
    fn what_minicbor_encodes_from_our_types_is_canonical(frame in arbitrary::frame(), draft in arbitrary::draft(), entry in arbitrary::entry()) {
        prop_assert_eq!(validate(&frame.encode()), Ok(()));
        prop_assert_eq!(validate(draft.bytes()), Ok(()));
        prop_assert_eq!(validate(&entry.encode()), Ok(()));
    }

    #[test]
    fn every_canonical_value_is_taken(value in model::values()) {
        prop_assert_eq!(validate(&value.encode()), Ok(()));
    }

    #[test]
    fn one_spoiled_item_anywhere_is_refused(mut value in model::values(), at in any::<prop::sample::Index>(), how in model::spoils()) {
        let mut at = at.index(value.nodes());
        prop_assume!(value.spoil(&mut at, how));
        let bytes = value.encode();
        prop_assert!(matches!(validate(&bytes), Err(DecodeError::NotCanonical(_))), "{:?} after {how:?} of {bytes:02x?}", validate(&bytes));
    }

    #[test]
    fn a_byte_too_many_or_too_few_is_refused(value in model::values(), extra in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = value.encode();
        let cut = cut.index(bytes.len());
        prop_assert!(validate(&bytes[..cut]).is_err(), "cut to {cut} of {bytes:02x?}");
        bytes.push(extra);
        prop_assert_eq!(validate(&bytes), Err(DecodeError::Trailing));
    }

    /// The validator against a reading that shares nothing with it: bytes are canonical when parsing them leniently and
    /// encoding what was read gives the same bytes.
    #[test]
    fn the_validator_agrees_with_an_independent_reading(value in model::values(), edits in arbitrary::edits()) {
        let mut bytes = value.encode();
        arbitrary::apply(&edits, &mut bytes);
        prop_assert_eq!(validate(&bytes).is_ok(), canonical(&bytes), "{:02x?}: {:?}", bytes, validate(&bytes));
    }

    #[test]
    fn no_bytes_panic_in_any_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_everything(&bytes);
    }

    #[test]
    fn no_damaged_frame_panics_in_any_reader(frame in arbitrary::frame(), draft in arbitrary::draft(), entry in arbitrary::entry(), edits in arbitrary::edits()) {
        for bytes in [frame.encode(), draft.bytes().clone(), entry.encode()] {
            let mut bytes = bytes.to_vec();
            arbitrary::apply(&edits, &mut bytes);
            read_everything(&bytes);
        }
    }
}

fn canonical(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    model::parse(&mut rest).is_some_and(|read| rest.is_empty() && read.encode() == bytes)
}

/// All inputs of one and two bytes, and every width of an integer around the place where a shorter one would do.
#[test]
fn all_short_inputs_are_judged_as_the_independent_reading_does() {
    let mut inputs: Vec<Vec<u8>> = (0..=u16::MAX).map(|pair| pair.to_be_bytes().to_vec()).collect();
    inputs.extend((0..=u8::MAX).map(|byte| vec![byte]));
    for edge in [0, 23, 24, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX] {
        for (major, wider) in (0..2).flat_map(|major| (0..5).map(move |wider| (major, wider))) {
            inputs.extend(model::head(major, edge, wider));
        }
    }
    for input in inputs {
        assert_eq!(validate(&input).is_ok(), canonical(&input), "{input:02x?}: {:?}", validate(&input));
    }
}

fn read_everything(bytes: &[u8]) {
    let _ = validate(bytes);
    let _ = without_key(bytes, 7);
    let _ = Frame::read(bytes, limits::PEER_FRAME);
    let _ = draft::read(bytes.to_vec().into());
    let _ = Entry::read(bytes);
    let _ = Genesis::read(bytes);
}

#[test]
fn lengths_that_the_bytes_cannot_hold_are_refused_before_anything_is_allocated() {
    for major in 2..=5u8 {
        for length in [1u64, 1 << 20, 1 << 40, u64::MAX] {
            let bytes = model::head(major, length, 0).unwrap();
            let error = validate(&bytes).unwrap_err();
            assert!(matches!(error, DecodeError::Truncated | DecodeError::TooManyKeys), "major {major}, {length}: {error}");
        }
    }
}

#[test]
fn the_empty_input_is_refused() {
    assert_eq!(validate(&[]), Err(DecodeError::Truncated));
}

#[test]
fn text_keys_sort_by_their_encoding_not_by_their_letters() {
    let short_first = [0xa2, 0x61, b'z', 0x00, 0x62, b'a', b'a', 0x00];
    assert_eq!(validate(&short_first), Ok(()), "RFC 8949 §4.2.1: bytewise order of the encoded keys");
    let long_first = [0xa2, 0x62, b'a', b'a', 0x00, 0x61, b'z', 0x00];
    assert!(validate(&long_first).is_err());
}

#[test]
fn the_model_itself_spoils() {
    // The control of `one_spoiled_item_anywhere_is_refused`: a spoiled value really differs from its canonical form.
    let whole = Value::Map(vec![(Value::Unsigned(1), Value::Text("a".into())), (Value::Unsigned(2), Value::Array(vec![]))]);
    for how in [model::Spoil::Longer(1), model::Spoil::Indefinite, model::Spoil::Unsorted, model::Spoil::Doubled, model::Spoil::Tagged] {
        let mut value = whole.clone();
        assert!(value.spoil(&mut 0, how));
        assert_ne!(value.encode(), whole.encode(), "{how:?}");
    }
}
