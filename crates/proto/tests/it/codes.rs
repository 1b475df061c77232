//! The table of error codes is a promise to every other version: numbers never change, and none is used twice.

use std::collections::BTreeSet;
use std::fmt::Write;
use tidings_proto::cbor::{decode, encode};
use tidings_proto::{Code, Refusal};

#[test]
fn the_table_is_as_it_was() {
    let mut table = String::new();
    for code in Code::ALL {
        writeln!(table, "{:>3} {:<20} {}", code.number(), code.name(), code.sentence()).unwrap();
    }
    insta::assert_snapshot!("codes", table);
}

#[test]
fn no_number_and_no_name_is_used_twice_and_the_number_is_what_travels() {
    let numbers: BTreeSet<u16> = Code::ALL.iter().map(|code| code.number()).collect();
    let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!((numbers.len(), names.len()), (Code::ALL.len(), Code::ALL.len()));
    for code in Code::ALL {
        assert_eq!(encode(code), encode(&u64::from(code.number())), "{code:?}");
        assert_eq!(decode::<Code>(&encode(code), 16), Ok(*code));
        assert_eq!(Refusal::from(*code).to_string(), code.sentence());
    }
    assert!(decode::<Code>(&encode(&0u64), 16).is_err(), "0 is not a code: an absent one is not taken for one");
}
