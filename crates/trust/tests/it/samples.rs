//! Alice at s1 and bob at s2, with real keys, and device lists that can be bent before they are signed.
//!
//! The RSA keys are the fixed ones of `e2ee/tests/keys`; devices are numbered by the byte their seed is made of.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256};
use ed25519_dalek::{Signer, SigningKey};
use std::sync::LazyLock;
use tidings_proto::draft::signed_bytes;
use tidings_proto::{DeviceKey, Draft, Encoded, Hash, Kind, LogName, Signature, SuiteName, UserName, cbor};
use tidings_trust::{Device, DeviceList, KeyState, KeysError, RsaPublicKey, SignedList, VaultRef, device_list};

pub static A: LazyLock<KeyPair> = LazyLock::new(|| pair(include_bytes!("../../../e2ee/tests/keys/a.pk8")));
pub static B: LazyLock<KeyPair> = LazyLock::new(|| pair(include_bytes!("../../../e2ee/tests/keys/b.pk8")));
pub static C: LazyLock<KeyPair> = LazyLock::new(|| pair(include_bytes!("../../../e2ee/tests/keys/c.pk8")));
pub static D: LazyLock<KeyPair> = LazyLock::new(|| pair(include_bytes!("../../../e2ee/tests/keys/d.pk8")));
pub static LARGE: LazyLock<KeyPair> = LazyLock::new(|| pair(include_bytes!("../../../e2ee/tests/keys/large.pk8")));
pub static SMALL: LazyLock<KeyPair> = LazyLock::new(|| pair(include_bytes!("../../../e2ee/tests/keys/small.pk8")));

fn pair(pkcs8: &[u8]) -> KeyPair {
    KeyPair::from_pkcs8(pkcs8).unwrap()
}

pub fn public(pair: &KeyPair) -> RsaPublicKey {
    RsaPublicKey::from_modulus(modulus(pair)).unwrap()
}

pub fn modulus(pair: &KeyPair) -> &[u8] {
    pair.public_key().modulus().big_endian_without_leading_zero()
}

pub fn alice() -> UserName {
    "alice@s1".parse().unwrap()
}

pub fn bob() -> UserName {
    "bob@s2".parse().unwrap()
}

/// The log of the key history of everybody at s1.
pub fn keys_log() -> LogName {
    "keys@s1".parse().unwrap()
}

pub fn device(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn device_key(seed: u8) -> DeviceKey {
    DeviceKey(device(seed).verifying_key().to_bytes())
}

pub fn pss(pair: &KeyPair, message: &[u8]) -> Vec<u8> {
    let mut sig = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut sig).unwrap();
    sig
}

/// A device list on its way to a log, every part of which a test may change before it is signed.
pub struct Submission {
    pub author: UserName,
    pub kind: Kind,
    /// The device that submits it.
    pub device: u8,
    /// The version that the draft names.
    pub names: u64,
    pub list: DeviceList,
    /// Signs the list.
    pub identity: &'static KeyPair,
    /// The log that the draft is signed for.
    pub signed_for: LogName,
}

impl Submission {
    /// Alice's first list, of device 1.
    pub fn first() -> Submission {
        let list = DeviceList {
            user: alice(),
            version: 1,
            prev: None,
            identity: public(&A),
            encryption: public(&B),
            devices: devices([1]),
            vault: VaultRef { version: 1, hash: Hash([9; 32]) },
        };
        Submission { author: alice(), kind: Kind::First, device: 1, names: 1, list, identity: &A, signed_for: keys_log() }
    }

    /// The list after `before`, with these devices; the first of them submits it.
    pub fn next(before: &KeyState, seeds: &[u8]) -> Submission {
        let mut list = (*before.list).clone();
        list.version += 1;
        list.prev = Some(before.list_hash);
        list.devices = devices(seeds.iter().copied());
        Submission { kind: Kind::List, device: seeds[0], names: list.version, list, ..Submission::first() }
    }

    pub fn list_bytes(&self) -> Vec<u8> {
        cbor::encode(&self.list)
    }

    /// The draft, all signatures in place.
    pub fn draft(&self) -> Encoded<Draft> {
        self.draft_of(self.list_bytes())
    }

    /// The draft around other bytes in the list's place, all signatures in place.
    pub fn draft_of(&self, list: Vec<u8>) -> Encoded<Draft> {
        let sig = pss(self.identity, &device_list::signed_bytes(&list)).into();
        self.draft_around(cbor::encode(&SignedList { list: list.into(), sig }))
    }

    /// The draft around any body, signed by the device.
    pub fn draft_around(&self, body: Vec<u8>) -> Encoded<Draft> {
        self.unsigned(body).signed(&self.signed_for, |bytes| sign(self.device, bytes))
    }

    pub fn unsigned(&self, body: Vec<u8>) -> Draft {
        Draft {
            device: device_key(self.device),
            n: 1,
            author: self.author.clone(),
            list: self.names,
            epoch: None,
            kind: self.kind,
            body: body.into(),
            sig: None,
        }
    }

    /// What a server or client makes of it as entry `seq` of `keys@s1`.
    pub fn apply(&self, before: Option<&KeyState>, seq: u64) -> Result<KeyState, KeysError> {
        KeyState::apply(before, &keys_log(), seq, &self.draft())
    }
}

pub fn devices(seeds: impl IntoIterator<Item = u8>) -> Vec<Device> {
    seeds.into_iter().map(|seed| Device { key: device_key(seed), suites: vec![SuiteName::RsaJwe1] }).collect()
}

pub fn sign(seed: u8, bytes: &[u8]) -> Signature {
    Signature(device(seed).sign(bytes).to_bytes())
}

/// Alice with her first list, entry 4 of `keys@s1`.
pub fn alice_state() -> KeyState {
    Submission::first().apply(None, 4).unwrap()
}

/// The state after the next list, with these devices.
pub fn after(before: &KeyState, seeds: &[u8]) -> KeyState {
    Submission::next(before, seeds).apply(Some(before), before.seq + 1).unwrap()
}

/// Bob at s2, with device 51.
pub fn bob_state() -> KeyState {
    let log: LogName = "keys@s2".parse().unwrap();
    let mut first = Submission { author: bob(), device: 51, identity: &C, signed_for: log.clone(), ..Submission::first() };
    first.list.user = bob();
    first.list.identity = public(&C);
    first.list.encryption = public(&D);
    first.list.devices = devices([51]);
    KeyState::apply(None, &log, 1, &first.draft()).unwrap()
}

/// A public message of alice's, written on device `seed` under list `list`.
pub fn post(seed: u8, list: u64, log: &LogName) -> Encoded<Draft> {
    let body = cbor::encode(&tidings_proto::Content::text("good morning").unwrap()).into();
    let draft = Draft { device: device_key(seed), n: 3, author: alice(), list, epoch: None, kind: Kind::Post, body, sig: None };
    draft.signed(log, |bytes| sign(seed, bytes))
}

/// `draft` with its signature replaced.
pub fn with_sig(draft: &Encoded<Draft>, sig: Option<Signature>) -> Encoded<Draft> {
    Encoded::new(Draft { sig, ..draft.clone().into_value() })
}

/// What the draft's signature should be for `log`.
pub fn sig_for(seed: u8, log: &LogName, draft: &Encoded<Draft>) -> Signature {
    sign(seed, &signed_bytes(log, draft))
}
