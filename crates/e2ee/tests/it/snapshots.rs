//! The form of what is sealed, with what is random left out: names, order and lengths. A change here is a change of the
//! protocol, or of what every account has stored.
//!
//! A snapshot that changed on purpose is accepted with `INSTA_UPDATE=always cargo test -p tidings-e2ee`, and the reason
//! belongs in the commit.

use crate::account::account;
use crate::samples::*;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use minicbor::Decoder;
use minicbor::data::Type;
use serde_json::Value;
use std::fmt::Write;
use tidings_e2ee::jose::Parsed;
use tidings_e2ee::rsa::AwsLcKeys;
use tidings_trust::members::Standing;

/// A CBOR item by its types and lengths; small numbers and texts as they are.
fn shape(d: &mut Decoder<'_>, depth: usize, out: &mut String) {
    match d.datatype().unwrap() {
        Type::Map => {
            let count = d.map().unwrap().unwrap();
            writeln!(out, "map").unwrap();
            for _ in 0..count {
                write!(out, "{}{}: ", "  ".repeat(depth + 1), d.u64().unwrap()).unwrap();
                shape(d, depth + 1, out);
            }
        }
        Type::Array => {
            let count = d.array().unwrap().unwrap();
            writeln!(out, "array").unwrap();
            for _ in 0..count {
                write!(out, "{}- ", "  ".repeat(depth + 1)).unwrap();
                shape(d, depth + 1, out);
            }
        }
        Type::Bytes => writeln!(out, "{} bytes", d.bytes().unwrap().len()).unwrap(),
        Type::String => writeln!(out, "{:?}", d.str().unwrap()).unwrap(),
        _ => writeln!(out, "{}", d.u64().unwrap()).unwrap(),
    }
}

fn shape_of(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut decoder = Decoder::new(bytes);
    shape(&mut decoder, 0, &mut out);
    assert_eq!(decoder.position(), bytes.len());
    out
}

#[test]
fn the_vault_and_what_a_device_keeps() {
    let account = account();
    insta::assert_snapshot!("vault", shape_of(&account.vault.keys));
    insta::assert_snapshot!("account_secrets", shape_of(&account.secrets.to_bytes()));
}

/// In the order of the text, since the profile has one order: `serde_json`'s map would sort it.
#[test]
fn a_message_to_three() {
    let three = Room::group(&[&ALICE, &BOB, &CAROL].map(|person| (&person.state, Standing::In)));
    let sealed = Place::inside(&three).seal(&ALICE, &content()).unwrap();
    let mut text = String::from_utf8(sealed).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let mut blank = |name: &str, part: &str, bytes: usize| {
        assert!(text.contains(part));
        text = text.replacen(part, &format!("<{name}, {bytes} bytes>"), 1);
    };
    let decoded = |part: &str| B64.decode(part).unwrap();
    for name in ["protected", "iv", "ciphertext", "tag"] {
        let part = value[name].as_str().unwrap();
        blank(name, part, decoded(part).len());
    }
    for recipient in value["recipients"].as_array().unwrap() {
        let part = recipient["encrypted_key"].as_str().unwrap();
        blank("encrypted_key", part, decoded(part).len());
    }
    let mut header = String::from_utf8(decoded(value["protected"].as_str().unwrap())).unwrap();
    let parsed: Value = serde_json::from_str(&header).unwrap();
    for name in ["cmt", "ekh"] {
        let part = parsed[name].as_str().unwrap();
        header = header.replacen(part, &format!("<{name}, {} bytes>", decoded(part).len()), 1);
    }
    // What is looked at is the whole text, so nothing can be added to it unseen.
    insta::assert_snapshot!("jwe", format!("{}\n\nprotected: {header}", text.replace(r#"{"header"#, "\n  {\"header")));
}

#[test]
fn what_is_inside_of_a_message() {
    let parsed = Parsed::read(&SEALED).unwrap();
    let plaintext = wait(parsed.open(&AwsLcKeys, &BOB.ring[0].0, &BOB.ring[0].1)).unwrap();
    let mut decoder = Decoder::new(&plaintext);
    assert_eq!((decoder.map().unwrap(), decoder.u64().unwrap()), (Some(2), 0));
    let signed = decoder.bytes().unwrap();
    insta::assert_snapshot!("plaintext", format!("{}\nsigned: {}", shape_of(&plaintext), shape_of(signed)));
}

#[test]
fn what_is_inside_of_an_invitation() {
    let parsed = Parsed::read(&crate::invitation::sealed(&note())).unwrap();
    let plaintext = wait(parsed.open(&AwsLcKeys, &BOB.ring[0].0, &BOB.ring[0].1)).unwrap();
    let mut decoder = Decoder::new(&plaintext);
    assert_eq!((decoder.map().unwrap(), decoder.u64().unwrap()), (Some(2), 0));
    let note = decoder.bytes().unwrap();
    insta::assert_snapshot!("invitation", format!("{}\nnote: {}", shape_of(&plaintext), shape_of(note)));
}

#[test]
fn what_an_owner_writes_down() {
    insta::assert_snapshot!("book", shape_of(&tidings_proto::cbor::encode(&crate::book::filled())));
}
