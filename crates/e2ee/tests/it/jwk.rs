//! RSA keys of other people's making: which are taken, under which name. Keys are not read from JWK anywhere here, they
//! travel as a modulus (decision 0003); what is written as JWK has the kid of RFC 7638.

use crate::samples::{decrypting, signing};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeyPairComponents, PublicKeyComponents};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tidings_e2ee::rsa::{AwsLcKeys, RsaKeys};
use tidings_trust::RsaPublicKey;

fn part(jwk: &Value, name: &str) -> Vec<u8> {
    B64.decode(jwk[name].as_str().unwrap()).unwrap()
}

/// A private JWK as PKCS #8, if the library takes it at all.
pub fn pkcs8_of(jwk: &Value) -> Option<Vec<u8>> {
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n: part(jwk, "n"), e: part(jwk, "e") },
        d: part(jwk, "d"),
        p: part(jwk, "p"),
        q: part(jwk, "q"),
        dP: part(jwk, "dp"),
        dQ: part(jwk, "dq"),
        qInv: part(jwk, "qi"),
    };
    Some(KeyPair::from_components(&components).ok()?.as_der().ok()?.as_ref().to_vec())
}

/// RFC 7638 §3 by another way than ours: the required members of any JWK, sorted, without white space.
fn thumbprint(jwk: &Value) -> String {
    let required = ["e", "kty", "n"].map(|name| format!("{}:{}", Value::from(name), jwk[name]));
    B64.encode(Sha256::digest(format!("{{{}}}", required.join(",")).as_bytes()))
}

/// The RFC's own key has 2048 bits, which is none of ours; so what it says is asked of the other way, and then that way of ours.
#[test]
fn a_kid_is_the_thumbprint_that_rfc_7638_computes_in_its_example() {
    let example: Value = serde_json::from_str(include_str!("../vectors/rfc7638_section_3_1.json")).unwrap();
    assert_eq!(thumbprint(&example["jwk"]), example["thumbprint"]);
    assert!(RsaPublicKey::from_modulus(&part(&example["jwk"], "n")).is_err());
    for key in [crate::samples::A, crate::samples::LARGE] {
        let key = signing(key).1;
        let jwk: Value = serde_json::from_str(&key.jwk("PS256")).unwrap();
        assert_eq!(thumbprint(&jwk), key.kid());
    }
    let mut other = example["jwk"].clone();
    other["n"] = B64.encode(flipped_in_the_middle(part(&other, "n"))).into();
    assert_ne!(thumbprint(&other), example["thumbprint"], "the control: a flipped bit has another");
}

fn flipped_in_the_middle(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

fn rsa_keys(file: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(file).unwrap();
    let mut found = Vec::new();
    for group in file["testGroups"].as_array().unwrap() {
        let jwk = &group["private"];
        found.extend(jwk["keys"].as_array().cloned().unwrap_or_else(|| vec![jwk.clone()]));
    }
    found.retain(|jwk| jwk["kty"] == "RSA" && jwk["n"].is_string());
    found
}

/// Too small, weak (ROCA), with the exponent 1, or simply of 2048 bits: none of Wycheproof's RSA keys is an identity's or a
/// reader's here, but the one of 4096 bits that RFC 7520 locks a message to.
#[test]
fn of_their_rsa_keys_only_the_one_with_4096_bits_is_taken() {
    let mut all = rsa_keys(include_str!("../vectors/json_web_key_test.json"));
    all.extend(rsa_keys(include_str!("../vectors/json_web_crypto_test.json")));
    all.extend(rsa_keys(include_str!("../vectors/json_web_encryption_test.json")));
    let (mut taken, mut refused) = (Vec::new(), 0);
    for jwk in &all {
        let modulus = part(jwk, "n");
        let public = RsaPublicKey::from_modulus(&modulus);
        if let Some(pkcs8) = pkcs8_of(jwk) {
            let kept = crate::samples::wait(AwsLcKeys.signing(&pkcs8)).map(|(_, key)| key);
            assert_eq!(kept.ok(), public.clone().ok(), "the private key is taken where the public one is");
        }
        match public {
            Ok(key) => taken.push((jwk["kid"].as_str().unwrap(), key)),
            Err(_) => refused += 1,
        }
    }
    assert_eq!((taken.len(), refused), (1, 15));
    let (name, key) = &taken[0];
    let jwk = all.iter().find(|jwk| jwk["kid"] == *name).unwrap();
    assert_eq!((*name, key.bits()), ("samwise.gamgee@hobbiton.example", 4096));
    assert_eq!(key.kid(), thumbprint(jwk));
    assert_eq!(decrypting(&pkcs8_of(jwk).unwrap()).1, *key);
}
