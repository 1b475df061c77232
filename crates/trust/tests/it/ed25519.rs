//! Ed25519, strictly: one key, one message, one signature, and no key that signs everything.

use crate::samples::*;
use proptest::prelude::*;
use tidings_proto::{DeviceKey, ServerKey, Signature};
use tidings_trust::ed25519::{BadSignature, verify_device, verify_server};

fn hex<const N: usize>(text: &str) -> [u8; N] {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

/// The eight points of small order, and two of them in the encodings that RFC 8032 §5.1.3 forbids.
const SMALL_ORDER: [&str; 10] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn devices_and_servers_are_verified_alike() {
    let (key, sig) = (device_key(1), sign(1, b"hello"));
    assert_eq!(verify_device(&key, b"hello", &sig), Ok(()));
    assert_eq!(verify_server(&ServerKey(key.0), b"hello", &sig), Ok(()));
    assert_eq!(verify_device(&device_key(2), b"hello", &sig), Err(BadSignature));
    assert_eq!(verify_server(&ServerKey(device_key(2).0), b"hello", &sig), Err(BadSignature));
}

/// With such a key, R = that point and S = 0 make a signature over many messages, if nobody looks: `verify` without
/// `_strict` takes it (the control below, and the test fails once `verify_strict` is `verify`).
#[test]
fn a_key_of_small_order_verifies_nothing() {
    let mut taken_by_the_lenient = 0;
    for key in SMALL_ORDER.map(hex::<32>) {
        for r in SMALL_ORDER.map(hex::<32>) {
            let sig = Signature([r, [0; 32]].concat().try_into().unwrap());
            for message in [&b"one"[..], b"two", b"three", b"four"] {
                assert_eq!(verify_device(&DeviceKey(key), message, &sig), Err(BadSignature));
                assert_eq!(verify_server(&ServerKey(key), message, &sig), Err(BadSignature));
                let lenient = ed25519_dalek::VerifyingKey::from_bytes(&key)
                    .and_then(|key| ed25519_dalek::Verifier::verify(&key, message, &ed25519_dalek::Signature::from_bytes(&sig.0)));
                taken_by_the_lenient += usize::from(lenient.is_ok());
            }
        }
    }
    assert!(taken_by_the_lenient > 20, "the control: {taken_by_the_lenient} of these are taken where nobody looks");
}

/// S + L is the same S to who does not look (RFC 8032 §5.1.7 forbids it).
#[test]
fn a_signature_has_one_encoding() {
    let order: [u8; 32] = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut sig = sign(1, b"hello");
    let mut carry = 0u16;
    for (byte, add) in sig.0[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(verify_device(&device_key(1), b"hello", &sig), Err(BadSignature));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_flipped_no_longer_verifies(message in prop::collection::vec(any::<u8>(), 1..80), at in any::<prop::sample::Index>(), bit in 0u32..8) {
        let (key, sig) = (device_key(1), sign(1, &message));
        prop_assert_eq!(verify_device(&key, &message, &sig), Ok(()));
        let mut changed = message.clone();
        changed[at.index(message.len())] ^= 1u8 << bit;
        prop_assert_eq!(verify_device(&key, &changed, &sig), Err(BadSignature));
        let mut changed = sig;
        changed.0[at.index(64)] ^= 1u8 << bit;
        prop_assert_eq!(verify_device(&key, &message, &changed), Err(BadSignature));
        let mut changed = key;
        changed.0[at.index(32)] ^= 1u8 << bit;
        prop_assert_eq!(verify_device(&changed, &message, &sig), Err(BadSignature));
    }

    #[test]
    fn any_64_bytes_are_judged_and_refused(key: [u8; 32], a: [u8; 32], b: [u8; 32]) {
        let sig = Signature([a, b].concat().try_into().unwrap());
        prop_assert_eq!(verify_device(&DeviceKey(key), b"hello", &sig), Err(BadSignature));
    }
}
