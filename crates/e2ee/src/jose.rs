//! JWE (RFC 7516) with `RSA-OAEP-256` and `A256GCM`, in the one strict form of it that is spoken here.
//!
//! General JSON serialisation, one encoding for each message: what comes in must be, byte for byte, what this module would
//! have written. So no `zip`, no `jku` or `x5u`, no second `alg`, no unprotected surprises; RSA1_5 does not exist here.

use crate::rsa::{RsaKeys, encrypt_oaep};
use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use hmac::{Hmac, Mac};
use rand_core::{OsRng, RngCore};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tidings_proto::{label, limits};
use tidings_trust::RsaPublicKey;
use zeroize::Zeroizing;

/// Why a JWE is not opened. One answer for everything that depends on a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoseError {
    /// Not our profile: seen without any key.
    #[error("this is not a message of the profile")]
    NotOurProfile,
    /// It does not decrypt.
    #[error("this does not decrypt")]
    Undecryptable,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwe {
    protected: String,
    recipients: Vec<Recipient>,
    iv: String,
    ciphertext: String,
    tag: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipient {
    header: RecipientHeader,
    encrypted_key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipientHeader {
    kid: String,
}

/// The protected header. `cmt` commits to the content encryption key, which AES-GCM does not; `ekh` to every member's
/// encrypted key, so that each member knows the others were given the same. Both are critical (RFC 7516 §4.1.13).
#[derive(Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Protected {
    alg: String,
    enc: String,
    crit: [String; 2],
    cmt: String,
    ekh: String,
}

/// Bytes of the content encryption key: AES-256.
const CEK: usize = 32;

/// Encrypts `plaintext` to each of `keys`, in their order.
pub fn encrypt(keys: &[RsaPublicKey], plaintext: &[u8]) -> Result<Vec<u8>, JoseError> {
    let cek = random_key();
    let mut iv = [0; 12];
    OsRng.fill_bytes(&mut iv);
    let mut recipients = Vec::with_capacity(keys.len());
    for key in keys {
        let encrypted = encrypt_oaep(key, &*cek).map_err(|_| JoseError::Undecryptable)?;
        recipients.push((key.kid(), encrypted));
    }
    let header = Protected {
        alg: "RSA-OAEP-256".into(),
        enc: "A256GCM".into(),
        crit: ["cmt".into(), "ekh".into()],
        cmt: B64.encode(commitment(&cek)),
        ekh: B64.encode(keys_hash(&recipients)),
    };
    let protected = B64.encode(serde_json::to_vec(&header).map_err(|_| JoseError::NotOurProfile)?);
    let mut ciphertext = plaintext.to_vec();
    let tag = Aes256Gcm::new((&*cek).into())
        .encrypt_in_place_detached(Nonce::from_slice(&iv), protected.as_bytes(), &mut ciphertext)
        .map_err(|_| JoseError::Undecryptable)?;
    let jwe = Jwe {
        protected,
        recipients: recipients
            .into_iter()
            .map(|(kid, key)| Recipient { header: RecipientHeader { kid }, encrypted_key: B64.encode(key) })
            .collect(),
        iv: B64.encode(iv),
        ciphertext: B64.encode(ciphertext),
        tag: B64.encode(tag),
    };
    serde_json::to_vec(&jwe).map_err(|_| JoseError::NotOurProfile)
}

/// A JWE of the profile that has been read, but not opened.
pub struct Parsed {
    protected: String,
    cmt: Vec<u8>,
    recipients: Vec<(String, Vec<u8>)>,
    sealed: Sealed,
}

/// The parts that the content encryption key opens.
pub struct Sealed {
    /// 12 bytes.
    pub iv: Vec<u8>,
    /// As long as the plaintext.
    pub ciphertext: Vec<u8>,
    /// 16 bytes.
    pub tag: Vec<u8>,
}

impl Parsed {
    /// Reads a JWE, and checks all that can be checked without a key: the form, the header, `ekh`.
    pub fn read(bytes: &[u8]) -> Result<Parsed, JoseError> {
        let jwe: Jwe = serde_json::from_slice(bytes).map_err(|_| JoseError::NotOurProfile)?;
        // One encoding only: no white space, no other order of members, no escapes.
        if serde_json::to_vec(&jwe).map_err(|_| JoseError::NotOurProfile)? != bytes {
            return Err(JoseError::NotOurProfile);
        }
        let decode = |text: &str| B64.decode(text).map_err(|_| JoseError::NotOurProfile);
        let header_bytes = decode(&jwe.protected)?;
        let header: Protected = serde_json::from_slice(&header_bytes).map_err(|_| JoseError::NotOurProfile)?;
        let canonical = serde_json::to_vec(&header).map_err(|_| JoseError::NotOurProfile)? == header_bytes;
        if !canonical || header.alg != "RSA-OAEP-256" || header.enc != "A256GCM" || header.crit != ["cmt", "ekh"] {
            return Err(JoseError::NotOurProfile);
        }
        if !(1..=limits::RSA_MEMBERS).contains(&jwe.recipients.len()) {
            return Err(JoseError::NotOurProfile);
        }
        let mut recipients = Vec::with_capacity(jwe.recipients.len());
        for recipient in jwe.recipients {
            recipients.push((recipient.header.kid, decode(&recipient.encrypted_key)?));
        }
        let (cmt, ekh) = (decode(&header.cmt)?, decode(&header.ekh)?);
        let sealed = Sealed { iv: decode(&jwe.iv)?, ciphertext: decode(&jwe.ciphertext)?, tag: decode(&jwe.tag)? };
        if ekh != keys_hash(&recipients) || cmt.len() != 32 || sealed.iv.len() != 12 || sealed.tag.len() != 16 {
            return Err(JoseError::NotOurProfile);
        }
        Ok(Parsed { protected: jwe.protected, cmt, recipients, sealed })
    }

    /// The recipients' key ids, in order.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.recipients.iter().map(|(kid, _)| kid.as_str())
    }

    /// Opens it with the key that has this `kid`.
    pub async fn open<K: RsaKeys>(&self, keys: &K, kid: &str, key: &K::Decrypting) -> Result<Zeroizing<Vec<u8>>, JoseError> {
        let (_, encrypted) = self.recipients.iter().find(|(theirs, _)| theirs == kid).ok_or(JoseError::Undecryptable)?;
        // What does not decrypt goes on with a random key (RFC 7516 §11.5): it fails at the commitment, like a wrong key.
        let cek = match unwrap_key(keys, key, encrypted).await {
            Ok(cek) => cek,
            Err(_) => random_key(),
        };
        if !bool::from(commitment(&cek)[..].ct_eq(&self.cmt)) {
            return Err(JoseError::Undecryptable);
        }
        decrypt(&cek, self.protected.as_bytes(), &self.sealed)
    }
}

/// RSA-OAEP-256 key decryption (RFC 7518 §4.3): exactly 32 bytes, or nothing.
pub async fn unwrap_key<K: RsaKeys>(keys: &K, key: &K::Decrypting, encrypted: &[u8]) -> Result<Zeroizing<[u8; CEK]>, JoseError> {
    let cek = keys.decrypt_oaep(key, encrypted).await.map_err(|_| JoseError::Undecryptable)?;
    cek[..].try_into().map(Zeroizing::new).map_err(|_| JoseError::Undecryptable)
}

/// A256GCM content decryption (RFC 7518 §5.3).
pub fn decrypt(cek: &[u8; CEK], aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, JoseError> {
    if sealed.iv.len() != 12 || sealed.tag.len() != 16 {
        return Err(JoseError::Undecryptable);
    }
    let mut plaintext = Zeroizing::new(sealed.ciphertext.clone());
    Aes256Gcm::new(cek.into())
        .decrypt_in_place_detached(Nonce::from_slice(&sealed.iv), aad, &mut plaintext, Tag::from_slice(&sealed.tag))
        .map_err(|_| JoseError::Undecryptable)?;
    Ok(plaintext)
}

fn random_key() -> Zeroizing<[u8; CEK]> {
    let mut key = Zeroizing::new([0; CEK]);
    OsRng.fill_bytes(&mut *key);
    key
}

/// HMAC-SHA-256 of a label under the content encryption key.
fn commitment(cek: &[u8; CEK]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(cek).expect("HMAC takes keys of any length");
    mac.update(label::JWE_COMMIT.as_bytes());
    mac.finalize().into_bytes().into()
}

/// SHA-256 over label and each recipient's key id and encrypted key, with their lengths.
fn keys_hash(recipients: &[(String, Vec<u8>)]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(label::marked(label::JWE_KEYS));
    for (kid, key) in recipients {
        for part in [kid.as_bytes(), key] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().into()
}
