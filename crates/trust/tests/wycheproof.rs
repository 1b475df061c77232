//! Signatures of other people's making (C2SP/wycheproof): what must verify does, what must not does not.
//!
//! A binary of its own, since the files are large; what they say about our own keys and rules is in `it`.

use data_encoding::HEXLOWER;
use serde_json::Value;
use tidings_proto::{DeviceKey, Signature};
use tidings_trust::RsaPublicKey;
use tidings_trust::ed25519::verify_device;

fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// Runs each case through `verifies(key, message, signature)`; gives how many were valid and how many were not.
fn run(file: &str, verifies: impl Fn(&Value, &[u8], &[u8]) -> bool) -> (usize, usize) {
    let file: Value = serde_json::from_str(file).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in file["testGroups"].as_array().unwrap() {
        for case in group["tests"].as_array().unwrap() {
            let expected = case["result"] == "valid";
            // No set here has cases that are left to taste.
            assert!(expected || case["result"] == "invalid", "{case}");
            let found = verifies(&group["publicKey"], &hex(&case["msg"]), &hex(&case["sig"]));
            assert_eq!(found, expected, "case {}: {}", case["tcId"], case["comment"]);
            *if expected { &mut valid } else { &mut invalid } += 1;
        }
    }
    assert_eq!(file["numberOfTests"], valid + invalid);
    (valid, invalid)
}

fn pss(key: &Value, message: &[u8], sig: &[u8]) -> bool {
    assert_eq!(hex(&key["publicExponent"]), [1, 0, 1]);
    let modulus = hex(&key["modulus"]);
    let key = RsaPublicKey::from_modulus(modulus.strip_prefix(&[0]).unwrap_or(&modulus)).unwrap();
    key.verify_pss(message, sig).is_ok()
}

#[test]
fn rsa_pss_3072() {
    assert_eq!(run(include_str!("vectors/rsa_pss_3072_sha256_mgf1_32_test.json"), pss), (63, 45));
}

#[test]
fn rsa_pss_4096() {
    assert_eq!(run(include_str!("vectors/rsa_pss_4096_sha256_mgf1_32_test.json"), pss), (63, 45));
}

/// Wycheproof's SPKI of these keys is the one that we would write: fingerprints are of the same bytes everywhere.
#[test]
fn their_spki_is_ours() {
    for file in
        [include_str!("vectors/rsa_pss_3072_sha256_mgf1_32_test.json"), include_str!("vectors/rsa_pss_4096_sha256_mgf1_32_test.json")]
    {
        let file: Value = serde_json::from_str(file).unwrap();
        for group in file["testGroups"].as_array().unwrap() {
            let modulus = hex(&group["publicKey"]["modulus"]);
            let key = RsaPublicKey::from_modulus(modulus.strip_prefix(&[0]).unwrap_or(&modulus)).unwrap();
            assert_eq!(key.spki_der(), hex(&group["publicKeyDer"]));
        }
    }
}

#[test]
fn ed25519() {
    let verifies = |key: &Value, message: &[u8], sig: &[u8]| {
        let key = DeviceKey::from_slice(&hex(&key["pk"])).unwrap();
        // A signature of another length cannot be written down as a `Signature` at all.
        Signature::from_slice(sig).is_some_and(|sig| verify_device(&key, message, &sig).is_ok())
    };
    assert_eq!(run(include_str!("vectors/ed25519_test.json"), verifies), (88, 63));
}
