//! Ciphertexts of other people's making (C2SP/wycheproof), through the code that opens messages: what must open does, what
//! must not does not, and nothing that is not of our own profile gets as far as a key.

use crate::jwk::pkcs8_of;
use crate::samples::{decrypting, wait};
use aws_lc_rs::rsa::{OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use data_encoding::HEXLOWER;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::sync::Arc;
use tidings_e2ee::jose::{self, JoseError, Parsed, Sealed};
use tidings_e2ee::rsa::{AwsLcKeys, RsaKeys};

const JWE: &str = include_str!("../vectors/json_web_encryption_test.json");
const JOSE: &str = include_str!("../vectors/json_web_crypto_test.json");

fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// Every case of a set with its group.
fn each(file: &str, mut check: impl FnMut(&Value, &Value)) -> u64 {
    let file: Value = serde_json::from_str(file).unwrap();
    let mut count = 0;
    for group in file["testGroups"].as_array().unwrap() {
        for case in group["tests"].as_array().unwrap() {
            check(group, case);
            count += 1;
        }
    }
    assert_eq!(file["numberOfTests"], count);
    count
}

fn is_valid(case: &Value) -> bool {
    // No set here has cases that are left to taste.
    assert!(case["result"] == "valid" || case["result"] == "invalid", "{case}");
    case["result"] == "valid"
}

/// The bytes with one bit flipped: another one for each case, so that a set tries many.
fn flipped(bytes: &[u8], case: &Value) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let bit = case["tcId"].as_u64().unwrap() as usize * 37 % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn rsa_oaep(file: &str) -> (u64, u64) {
    let (mut opened, mut refused) = (0, 0);
    each(file, |group, case| {
        let (key, _) = decrypting(&hex(&group["privateKeyPkcs8"]));
        let found = wait(AwsLcKeys.decrypt_oaep(&key, &hex(&case["ct"])));
        // We never use a label (RFC 7518 §4.3), so what was made with one must not open.
        if is_valid(case) && case["label"] == "" {
            assert_eq!(found.unwrap()[..], hex(&case["msg"]), "case {}", case["tcId"]);
            assert!(wait(AwsLcKeys.decrypt_oaep(&key, &flipped(&hex(&case["ct"]), case))).is_err(), "case {} flipped", case["tcId"]);
            opened += 1;
        } else {
            assert!(found.is_err(), "case {}: {}", case["tcId"], case["comment"]);
            refused += 1;
        }
        // As the key of a message, only 32 bytes will do.
        let key_of_message = wait(jose::unwrap_key(&AwsLcKeys, &key, &hex(&case["ct"])));
        assert_eq!(key_of_message.is_ok(), is_valid(case) && case["label"] == "" && hex(&case["msg"]).len() == 32);
    });
    (opened, refused)
}

#[test]
fn rsa_oaep_3072() {
    assert_eq!(rsa_oaep(include_str!("../vectors/rsa_oaep_3072_sha256_mgf1sha256_test.json")), (10, 27));
}

#[test]
fn rsa_oaep_4096() {
    assert_eq!(rsa_oaep(include_str!("../vectors/rsa_oaep_4096_sha256_mgf1sha256_test.json")), (10, 27));
}

/// AES-256 with nonces of 12 and tags of 16 bytes goes through the code that opens messages; every other size is refused.
#[test]
fn aes_gcm() {
    let (mut opened, mut refused, mut other_sizes) = (0, 0, 0);
    each(include_str!("../vectors/aes_gcm_test.json"), |group, case| {
        let sealed = Sealed { iv: hex(&case["iv"]), ciphertext: hex(&case["ct"]), tag: hex(&case["tag"]) };
        let Ok(key) = <[u8; 32]>::try_from(hex(&case["key"])) else { return };
        let found = jose::decrypt(&key, &hex(&case["aad"]), &sealed);
        if group["ivSize"] != 96 || group["tagSize"] != 128 {
            assert_eq!(found, Err(JoseError::Undecryptable), "case {}", case["tcId"]);
            other_sizes += 1;
        } else if is_valid(case) {
            assert_eq!(found.unwrap()[..], hex(&case["msg"]), "case {}", case["tcId"]);
            let changed = Sealed { tag: flipped(&sealed.tag, case), ..sealed };
            assert_eq!(jose::decrypt(&key, &hex(&case["aad"]), &changed), Err(JoseError::Undecryptable), "case {} flipped", case["tcId"]);
            opened += 1;
        } else {
            assert_eq!(found, Err(JoseError::Undecryptable), "case {}: {}", case["tcId"], case["comment"]);
            refused += 1;
        }
    });
    assert_eq!((opened, refused, other_sizes), (39, 27, 39));
}

/// The commitment's HMAC and the vault's HKDF are these two types of the same libraries.
#[test]
fn hmac_sha256() {
    let (mut equal, mut unequal) = (0, 0);
    each(include_str!("../vectors/hmac_sha256_test.json"), |group, case| {
        let length = group["tagSize"].as_u64().unwrap() as usize / 8;
        let tag = |key: &[u8]| {
            let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap();
            mac.update(&hex(&case["msg"]));
            mac.finalize().into_bytes()[..length].to_vec()
        };
        let key = hex(&case["key"]);
        assert_eq!(tag(&key) == hex(&case["tag"]), is_valid(case), "case {}", case["tcId"]);
        assert_ne!(tag(&flipped(&key, case)), hex(&case["tag"]), "case {} flipped", case["tcId"]);
        *if is_valid(case) { &mut equal } else { &mut unequal } += 1;
    });
    assert_eq!((equal, unequal), (66, 108));
}

#[test]
fn hkdf_sha256() {
    let (mut equal, mut refused, mut unsalted) = (0, 0, 0);
    each(include_str!("../vectors/hkdf_sha256_test.json"), |_, case| {
        let (salt, size) = (hex(&case["salt"]), case["size"].as_u64().unwrap() as usize);
        let derived = |salt: Option<&[u8]>, ikm: &[u8]| {
            let mut okm = vec![0; size];
            Hkdf::<Sha256>::new(salt, ikm).expand(&hex(&case["info"]), &mut okm).ok().map(|()| okm)
        };
        let (ikm, wanted) = (hex(&case["ikm"]), hex(&case["okm"]));
        let found = derived(Some(&salt), &ikm);
        assert_eq!(found.as_ref() == Some(&wanted), is_valid(case), "case {}", case["tcId"]);
        if !is_valid(case) {
            assert!(found.is_none(), "more than 255 blocks cannot be had");
            refused += 1;
            return;
        }
        assert_ne!(derived(Some(&salt), &flipped(&ikm, case)), Some(wanted), "case {} flipped", case["tcId"]);
        equal += 1;
        // As the vault does it, without a salt.
        if salt.is_empty() {
            assert_eq!(derived(None, &ikm), found, "case {}", case["tcId"]);
            unsalted += 1;
        }
    });
    assert_eq!((equal, refused), (83, 3));
    assert!(unsalted > 20, "{unsalted}");
}

/// Of the 139 JWEs one has our two algorithms. Its key has 2048 bits, so it can only be tried below our own rules: the
/// layers that unwrap and decrypt open it, bit by bit as another library made it. Every other one that is locked to an RSA
/// key is tried there as well: RSA1_5, OAEP with SHA-1 and keys of other lengths open nothing.
#[test]
fn the_one_jwe_with_our_algorithms_opens_below_the_profile() {
    let (mut opened, mut unwrapped, mut others) = (Vec::new(), 0, 0);
    each(JWE, |group, case| {
        if group["private"]["kty"] != "RSA" {
            return;
        }
        let parts: Vec<&str> = case["jwe"].as_str().unwrap().split('.').collect();
        let [protected, encrypted_key, iv, ciphertext, tag] = parts[..] else { panic!("{case}") };
        let header: Value = serde_json::from_slice(&B64.decode(protected).unwrap()).unwrap();
        let b64 = |text: &str| B64.decode(text).unwrap();
        let key = key_of_jwk(&group["private"]);
        let sealed = Sealed { iv: b64(iv), ciphertext: b64(ciphertext), tag: b64(tag) };
        let Ok(cek) = wait(jose::unwrap_key(&AwsLcKeys, &key, &b64(encrypted_key))) else {
            others += 1;
            return;
        };
        assert_eq!(header["alg"], "RSA-OAEP-256", "case {}", case["tcId"]);
        unwrapped += 1;
        let Ok(plaintext) = jose::decrypt(&cek, protected.as_bytes(), &sealed) else { return };
        assert!(is_valid(case) && header["enc"] == "A256GCM");
        assert_eq!(plaintext[..], hex(&case["pt"]));
        // The header is bound: another one, though it means the same, does not open it. And so is everything else.
        let other = B64.encode(serde_json::to_vec_pretty(&header).unwrap());
        assert_eq!(jose::decrypt(&cek, other.as_bytes(), &sealed), Err(JoseError::Undecryptable));
        let changed = Sealed { ciphertext: flipped(&sealed.ciphertext, case), ..sealed };
        assert_eq!(jose::decrypt(&cek, protected.as_bytes(), &changed), Err(JoseError::Undecryptable));
        assert!(wait(jose::unwrap_key(&AwsLcKeys, &key, &flipped(&b64(encrypted_key), case))).is_err());
        opened.push(case["tcId"].as_u64().unwrap());
    });
    // 32 bytes are the key of A128CBC-HS256 as well: it unwraps, and then does not decrypt.
    assert_eq!((opened, unwrapped, others), (vec![90], 2, 42));
}

/// Valid or not, none of them is a message here: compact or JSON, and above all RSA1_5.
#[test]
fn no_jwe_of_theirs_is_of_the_profile() {
    let refused = |case: &Value| {
        let text = match &case["jwe"] {
            Value::Null => return false, // a signature
            Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        assert_eq!(Parsed::read(text.as_bytes()).err(), Some(JoseError::NotOurProfile), "case {}", case["tcId"]);
        true
    };
    let (mut encryption, mut mixed) = (0, 0);
    each(JWE, |_, case| encryption += u32::from(refused(case)));
    each(JOSE, |_, case| mixed += u32::from(refused(case)));
    assert_eq!((encryption, mixed), (139, 34));
}

fn key_of_jwk(jwk: &Value) -> Arc<OaepPrivateDecryptingKey> {
    let pkcs8 = pkcs8_of(jwk).unwrap();
    Arc::new(OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(&pkcs8).unwrap()).unwrap())
}
