//! A second, independent writer of `rsa-jwe-1`, that writes wrong ones too: what a malicious member or server could make.
//!
//! It shares no code with the crate but the RSA encryption under public keys.

use crate::samples::*;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use hmac::{Hmac, Mac};
use minicbor::Encoder;
use sha2::{Digest, Sha256};
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::rsa::encrypt_oaep;
use tidings_proto::{DeviceKey, Hash, RoomId, Signature};
use tidings_trust::RsaPublicKey;

/// What a device signs inside a message.
#[derive(Clone)]
pub struct Inner {
    pub suite: u32,
    pub room: RoomId,
    pub author: String,
    pub device: DeviceKey,
    pub n: u64,
    pub list: u64,
    pub epoch: u64,
    pub roster: Hash,
    pub text: String,
}

impl Inner {
    /// What belongs to [`Place::usual`].
    pub fn usual() -> Inner {
        Inner {
            suite: 1,
            room: room(),
            author: ALICE.user().to_string(),
            device: ALICE.device.public(),
            n: 3,
            list: 1,
            epoch: 0,
            roster: roster().hash(),
            text: "the ship leaves at noon".into(),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new(Vec::new());
        e.map(11).unwrap().u8(0).unwrap().u32(self.suite).unwrap();
        e.u8(1).unwrap().bytes(&self.room.0).unwrap().u8(2).unwrap().str(&self.author).unwrap();
        e.u8(3).unwrap().bytes(&self.device.0).unwrap().u8(4).unwrap().u64(self.n).unwrap();
        e.u8(5).unwrap().u64(self.list).unwrap().u8(6).unwrap().u64(self.epoch).unwrap();
        e.u8(7).unwrap().bytes(&self.roster.0).unwrap().u8(8).unwrap().u64(7).unwrap();
        e.u8(9).unwrap().bytes(&[7; 32]).unwrap().u8(10).unwrap();
        e.map(1).unwrap().u8(0).unwrap().str(&self.text).unwrap();
        e.into_writer()
    }

    /// The plaintext of a JWE: this, and `device`'s signature over it.
    pub fn plaintext(&self, device: &DeviceSecret) -> Vec<u8> {
        plaintext(&self.encode(), device.sign(&[b"tidings/sealed/1\0", &self.encode()[..]].concat()))
    }
}

pub fn plaintext(signed: &[u8], sig: Signature) -> Vec<u8> {
    let mut e = Encoder::new(Vec::new());
    e.map(2).unwrap().u8(0).unwrap().bytes(signed).unwrap().u8(1).unwrap().bytes(&sig.0).unwrap();
    e.into_writer()
}

/// Key id and encrypted key of each.
pub type Recipients = Vec<(String, Vec<u8>)>;

/// A JWE under construction, every part of which can be bent before it is put together.
#[derive(Clone)]
pub struct Jwe {
    pub cek: Vec<u8>,
    pub recipients: Recipients,
    pub cmt: Vec<u8>,
    pub ekh: Vec<u8>,
    pub plaintext: Vec<u8>,
}

impl Jwe {
    /// To alice and bob, as it should be.
    pub fn usual(plaintext: Vec<u8>) -> Jwe {
        Jwe::to(&keys(), &[0xc7; 32], plaintext)
    }

    pub fn to(keys: &[RsaPublicKey], cek: &[u8], plaintext: Vec<u8>) -> Jwe {
        let recipients: Vec<_> = keys.iter().map(|key| (key.kid(), encrypt_oaep(key, cek).unwrap())).collect();
        Jwe { cek: cek.to_vec(), cmt: commitment(cek), ekh: keys_hash(&recipients), recipients, plaintext }
    }

    /// The one header of the profile.
    pub fn header(&self) -> String {
        let (cmt, ekh) = (B64.encode(&self.cmt), B64.encode(&self.ekh));
        format!(r#"{{"alg":"RSA-OAEP-256","enc":"A256GCM","crit":["cmt","ekh"],"cmt":"{cmt}","ekh":"{ekh}"}}"#)
    }

    pub fn json(&self) -> String {
        self.with_header(&self.header())
    }

    /// Encrypted under this header, so that the tag is right whatever the header says.
    pub fn with_header(&self, header: &str) -> String {
        let protected = B64.encode(header);
        let payload = Payload { msg: &self.plaintext, aad: protected.as_bytes() };
        let nonce = [0x1f; 12];
        let sealed = Aes256Gcm::new_from_slice(&self.cek).unwrap().encrypt(Nonce::from_slice(&nonce), payload).unwrap();
        let (ciphertext, tag) = sealed.split_at(sealed.len() - 16);
        self.assembled(&protected, &nonce, ciphertext, tag)
    }

    pub fn assembled(&self, protected: &str, nonce: &[u8], ciphertext: &[u8], tag: &[u8]) -> String {
        let recipients: Vec<String> = self
            .recipients
            .iter()
            .map(|(kid, key)| format!(r#"{{"header":{{"kid":"{kid}"}},"encrypted_key":"{}"}}"#, B64.encode(key)))
            .collect();
        format!(
            r#"{{"protected":"{protected}","recipients":[{}],"iv":"{}","ciphertext":"{}","tag":"{}"}}"#,
            recipients.join(","),
            B64.encode(nonce),
            B64.encode(ciphertext),
            B64.encode(tag)
        )
    }
}

pub fn commitment(cek: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(cek).unwrap();
    mac.update(b"tidings/jwe-commit/1");
    mac.finalize().into_bytes().to_vec()
}

pub fn keys_hash(recipients: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"tidings/jwe-keys/1\0".to_vec();
    for (kid, key) in recipients {
        for part in [kid.as_bytes(), key] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
    }
    Sha256::digest(bytes).to_vec()
}

/// The control of everything that is built on this module: what it writes right, is opened.
#[test]
fn the_independent_writer_is_understood() {
    let body = Jwe::usual(Inner::usual().plaintext(&ALICE.device)).json();
    let opened = bob_opens(&Place::usual().draft(&ALICE.device, body.into_bytes())).unwrap();
    assert_eq!((opened.content, &opened.author, opened.n, opened.seen), (content(), ALICE.user(), 3, (7, Hash([7; 32]))));
}
