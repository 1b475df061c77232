//! RSA public keys: which are taken, and that other programs see the same key in every form.

use crate::samples::*;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tidings_proto::cbor;
use tidings_trust::RsaPublicKey;
use tidings_trust::rsa::NotAKey;

fn all() -> [&'static KeyPair; 5] {
    [&A, &B, &C, &D, &LARGE]
}

/// An odd number of exactly `bits` bits, without leading zeros.
fn number(bits: usize) -> Vec<u8> {
    let mut out = vec![0x11; bits.div_ceil(8)];
    out[0] = 1 << ((bits - 1) % 8);
    out
}

#[test]
fn a_modulus_has_3072_or_4096_bits() {
    for bits in [3072, 4096] {
        assert_eq!(RsaPublicKey::from_modulus(&number(bits)).unwrap().bits(), bits);
    }
    for bits in [8, 1024, 2048, 3064, 3071, 3073, 3080, 4088, 4095, 4097, 8192] {
        assert_eq!(RsaPublicKey::from_modulus(&number(bits)), Err(NotAKey), "{bits}");
    }
    assert_eq!(RsaPublicKey::from_modulus(&[]), Err(NotAKey));
    assert_eq!(RsaPublicKey::from_modulus(&[0; 384]), Err(NotAKey));
}

#[test]
fn a_modulus_is_odd_and_has_no_leading_zeros() {
    let mut even = number(3072);
    even[383] = 0x10;
    assert_eq!(RsaPublicKey::from_modulus(&even), Err(NotAKey));
    assert_eq!(RsaPublicKey::from_modulus(&[&[0], &number(3072)[..]].concat()), Err(NotAKey));
    assert_eq!(RsaPublicKey::from_modulus(&[&[0; 128], &number(3072)[..]].concat()), Err(NotAKey), "512 bytes with zeros before");
}

#[test]
fn on_the_wire_a_key_is_its_modulus_and_the_same_rules_hold() {
    let key = public(&A);
    let bytes = cbor::encode(&key);
    assert_eq!((&bytes[..3], &bytes[3..]), (&[0x59, 0x01, 0x80][..], key.modulus()));
    assert_eq!(cbor::decode::<RsaPublicKey>(&bytes, 1024), Ok(key));
    let mut even = bytes.clone();
    even[386] &= 0xfe;
    assert!(cbor::decode::<RsaPublicKey>(&even, 1024).is_err());
    let mut short = bytes;
    short[3] &= 0x7f;
    assert!(cbor::decode::<RsaPublicKey>(&short, 1024).is_err());
}

#[test]
fn the_spki_is_what_aws_lc_exports_for_the_key() {
    for pair in all() {
        let exported: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        assert_eq!(public(pair).spki_der(), exported.as_ref());
        // The library's own byte form of an RSA public key is RFC 8017's RSAPublicKey.
        assert_eq!(public(pair).pkcs1_der(), pair.public_key().as_ref());
        assert_eq!(public(pair).fingerprint().0.0, <[u8; 32]>::from(Sha256::digest(exported.as_ref())));
    }
}

/// RFC 7638 §3.1 by other means: the required members in a map sorted by name, written by serde_json.
/// (The example in the RFC is a key of 2048 bits, which is none of ours.)
#[test]
fn the_thumbprint_is_rfc_7638s() {
    for pair in all() {
        let members = BTreeMap::from([
            ("n", B64.encode(modulus(pair))),
            ("kty", "RSA".to_owned()),
            ("e", B64.encode(pair.public_key().exponent().big_endian_without_leading_zero())),
        ]);
        let thumbprint = Sha256::digest(serde_json::to_vec(&members).unwrap());
        assert_eq!(public(pair).thumbprint().0[..], thumbprint[..]);
        assert_eq!(public(pair).kid(), B64.encode(thumbprint));
    }
}

#[test]
fn a_jwk_is_json_with_the_public_members_only() {
    for (alg, usage) in [("PS256", "sig"), ("RSA-OAEP-256", "enc")] {
        let jwk: serde_json::Value = serde_json::from_str(&public(&A).jwk(alg)).unwrap();
        let names: Vec<&String> = jwk.as_object().unwrap().keys().collect();
        assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
        assert_eq!((&jwk["kty"], &jwk["alg"], &jwk["use"]), (&"RSA".into(), &alg.into(), &usage.into()));
        assert_eq!(jwk["kid"], public(&A).kid());
        assert_eq!(B64.decode(jwk["n"].as_str().unwrap()).unwrap(), modulus(&A));
        assert_eq!(B64.decode(jwk["e"].as_str().unwrap()).unwrap(), [1, 0, 1]);
    }
}

#[test]
fn a_pss_signature_is_one_keys_over_one_message() {
    for pair in [&*A, &*LARGE] {
        let sig = pss(pair, b"the list");
        assert!(public(pair).verify_pss(b"the list", &sig).is_ok());
        assert!(public(pair).verify_pss(b"the lisT", &sig).is_err());
        assert!(public(&B).verify_pss(b"the list", &sig).is_err());
        assert!(public(pair).verify_pss(b"the list", &sig[1..]).is_err());
        assert!(public(pair).verify_pss(b"the list", &[&[0], &sig[..]].concat()).is_err());
        assert!(public(pair).verify_pss(b"the list", &[]).is_err());
    }
}

#[test]
fn a_number_that_is_no_key_verifies_nothing_and_does_no_harm() {
    let key = RsaPublicKey::from_modulus(&number(3072)).unwrap();
    assert!(key.verify_pss(b"the list", &pss(&A, b"the list")).is_err());
    assert!(key.verify_pss(b"the list", &[0; 384]).is_err());
}

#[test]
fn what_people_compare_is_eight_groups_of_eight_digits() {
    let shown = public(&A).fingerprint().to_string();
    assert_eq!(shown.split(' ').map(str::len).collect::<Vec<_>>(), [8; 8]);
    assert_eq!(format!("{:?}", public(&A).fingerprint()), shown);
    insta::assert_snapshot!("fingerprints", all().map(|pair| public(pair).fingerprint().to_string()).join("\n"));
}
