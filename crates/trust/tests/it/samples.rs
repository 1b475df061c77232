//! Alice at s1 and bob at s2, with real keys, and device lists that can be bent before they are signed.
//!
//! The RSA keys are the fixed ones of `e2ee/tests/keys`; devices are numbered by the byte their seed is made of.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256};
use ed25519_dalek::{Signer, SigningKey};
use std::sync::LazyLock;
use tidings_proto::draft::{Gone, signed_bytes};
use tidings_proto::frame::Grant;
use tidings_proto::{DeviceKey, Draft, Encoded, Hash, Kind, LogName, ServerKey, Signature, SuiteName, UserName, cbor};
use tidings_trust::{Device, DeviceList, KeyState, KeysError, RsaPublicKey, SignedList, VaultRef, device_list};

pub static A: LazyLock<KeyPair> = LazyLock::new(|| pair(include_bytes!("../../../e2ee/tests/keys/a.pk8")));
pub static B: LazyLock<KeyPair> = LazyLock::new(|| pair(include_bytes!("../../../e2ee/tests/keys/b.pk8")));
pub static C: LazyLock<KeyPair> = LazyLock::new(|| pair(include_bytes!("../../../e2ee/tests/keys/c.pk8")));
pub static D: LazyLock<KeyPair> = LazyLock::new(|| pair(include_bytes!("../../../e2ee/tests/keys/d.pk8")));
/// For the sixth key of a history.
pub static E: LazyLock<KeyPair> = LazyLock::new(|| pair(include_bytes!("../../../e2ee/tests/keys/e.pk8")));
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
    /// Signs it too, where the identity before has to agree.
    pub by_old: Option<&'static KeyPair>,
    /// The word of the user's server.
    pub grant: Option<Grant>,
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
        Submission {
            author: alice(),
            kind: Kind::First,
            device: 1,
            names: 1,
            list,
            identity: &A,
            by_old: None,
            grant: None,
            signed_for: keys_log(),
        }
    }

    /// The list after `before`, with these devices; the first of them submits it.
    pub fn next(before: &KeyState, seeds: &[u8]) -> Submission {
        let mut list = (*before.list).clone();
        list.version += 1;
        list.prev = Some(before.list_hash);
        list.devices = devices(seeds.iter().copied());
        Submission {
            author: list.user.clone(),
            kind: Kind::List,
            device: seeds[0],
            names: list.version,
            identity: pair_of(&list.identity),
            by_old: None,
            grant: None,
            signed_for: LogName::Keys(list.user.server().clone()),
            list,
        }
    }

    /// The list after `before` with another identity and encryption key, to which the identity before agrees.
    pub fn rotation(before: &KeyState, new: [&'static KeyPair; 2], seeds: &[u8]) -> Submission {
        let by_old = Some(pair_of(&before.list.identity));
        let mut next = Submission { kind: Kind::Rotate, identity: new[0], by_old, ..Submission::next(before, seeds) };
        (next.list.identity, next.list.encryption) = (public(new[0]), public(new[1]));
        next
    }

    /// The list after `before` by which the account begins anew on one device, with the word of its server.
    pub fn reset(before: &KeyState, new: [&'static KeyPair; 2], seed: u8) -> Submission {
        let grant = Some(grant(before, seed));
        Submission { kind: Kind::Reset, by_old: None, grant, ..Submission::rotation(before, new, &[seed]) }
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
        let by_old = self.by_old.map(|old| pss(old, &device_list::rotation_bytes(&list)).into());
        self.draft_around(cbor::encode(&SignedList { list: list.into(), sig, by_old, grant: self.grant.clone() }))
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

    /// What a server or client makes of it as entry `seq` of the log of its author's server.
    pub fn apply(&self, before: Option<&KeyState>, seq: u64) -> Result<KeyState, KeysError> {
        let log = LogName::Keys(self.author.server().clone());
        KeyState::apply(before, &log, seq, &self.draft(), Some(&server_key()))
    }
}

/// The pair of a public key, if it is one of those that identities have here.
fn pair_of(key: &RsaPublicKey) -> &'static KeyPair {
    let pairs: [&'static KeyPair; 6] = [&A, &B, &C, &D, &E, &LARGE];
    pairs.into_iter().find(|pair| public(pair) == *key).unwrap()
}

/// A list with the signature of its identity and nothing more, encoded.
pub fn signed_list(list: Vec<u8>, sig: Vec<u8>) -> Vec<u8> {
    cbor::encode(&SignedList { list: list.into(), sig: sig.into(), by_old: None, grant: None })
}

/// The key of alice's server: device 200 plays its part.
pub const SERVER: u8 = 200;

pub fn server_key() -> ServerKey {
    ServerKey(device_key(SERVER).0)
}

/// The word of alice's server that her account may begin anew on device `seed`.
pub fn grant(before: &KeyState, seed: u8) -> Grant {
    let (version, prev) = (before.list.version + 1, before.list_hash);
    let sig = sign(SERVER, &Grant::signed_bytes(&before.list.user, version, &prev, &device_key(seed)));
    Grant { server: server_key(), version, prev, sig, vault: 2 }
}

/// The end of an account, by the word of its server.
pub fn gone(before: &KeyState) -> Draft {
    Draft {
        device: device_key(SERVER),
        n: 1,
        author: before.list.user.clone(),
        list: before.list.version,
        epoch: None,
        kind: Kind::Gone,
        body: cbor::encode(&Gone { prev: before.list_hash }).into(),
        sig: None,
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

/// The state after a list with another encryption key.
pub fn with_encryption(before: &KeyState, encryption: &'static KeyPair) -> KeyState {
    let seeds: Vec<u8> = (0..=u8::MAX).filter(|seed| before.device(&device_key(*seed)).is_some()).collect();
    let mut next = Submission::next(before, &seeds);
    next.list.encryption = public(encryption);
    next.apply(Some(before), before.seq + 1).unwrap()
}

/// The state after the account has begun anew on device `seed`, whose keys are these.
pub fn begun_anew(before: &KeyState, new: [&'static KeyPair; 2], seed: u8) -> KeyState {
    Submission::reset(before, new, seed).apply(Some(before), before.seq + 1).unwrap()
}

/// The state after the account is closed.
pub fn closed(before: &KeyState) -> KeyState {
    let log = LogName::Keys(before.list.user.server().clone());
    let draft = gone(before).signed(&log, |bytes| sign(SERVER, bytes));
    KeyState::apply(Some(before), &log, before.seq + 1, &draft, Some(&server_key())).unwrap()
}

/// Bob at s2, with device 51.
pub fn bob_state() -> KeyState {
    person("bob@s2", [&C, &D], 51)
}

/// Somebody with one device and these keys, identity and encryption.
pub fn person(user: &str, keys: [&'static KeyPair; 2], seed: u8) -> KeyState {
    let user: UserName = user.parse().unwrap();
    let log = LogName::Keys(user.server().clone());
    let mut first = Submission { author: user.clone(), device: seed, identity: keys[0], signed_for: log.clone(), ..Submission::first() };
    first.list.user = user;
    (first.list.identity, first.list.encryption) = (public(keys[0]), public(keys[1]));
    first.list.devices = devices([seed]);
    KeyState::apply(None, &log, 1, &first.draft(), None).unwrap()
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
