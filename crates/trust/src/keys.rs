//! One user's key history: each entry continues the one before, or is refused. Server and client judge by this one function.
//!
//! A history begins with `First`. `List` changes devices and the encryption key, `Rotate` the identity with the old one's
//! consent; both are the same person's. `Reset` begins anew on the word of the user's server, so whoever relied on the identity
//! has to look again. `Gone` ends it.

mod succession;

use crate::device_list::{Device, DeviceList};
use crate::rsa::{Fingerprint, RsaPublicKey};
use std::sync::Arc;
use tidings_proto::{DeviceKey, Hash, limits};

/// Where a user's key history stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// The newest device list.
    pub list: Arc<DeviceList>,
    /// Its hash, which the next one must name.
    pub list_hash: Hash,
    /// The place in `keys@` of the newest entry.
    pub seq: u64,
    /// Whether the account is closed.
    pub closed: bool,
    /// Every earlier and present device with the version in which it came and, once gone, the first without it.
    spans: Arc<[Span]>,
    /// Every version's keys, those that follow each other unchanged as one.
    keys: Arc<[VersionKeys]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    device: DeviceKey,
    from: u64,
    until: Option<u64>,
}

/// A user's keys from one version of the device list on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionKeys {
    /// The first version that has them.
    pub from: u64,
    /// The first version of the same person: 1, or that of the last reset.
    pub person: u64,
    /// Signs device lists.
    pub identity: RsaPublicKey,
    /// What messages are locked with.
    pub encryption: RsaPublicKey,
}

/// Why a draft does not continue a key history. Always its sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Not readable.
    #[error("the device list cannot be read")]
    Malformed,
    /// In another server's log, or about somebody else.
    #[error("the device list is about somebody else")]
    WrongUser,
    /// A first list where there is one, a further one where there is none, or of a kind that has no place here.
    #[error("a key history starts once, and only once")]
    WrongKind,
    /// Not the version after the last, or not naming it by hash.
    #[error("the device list does not follow the one before")]
    WrongVersion,
    /// Another identity without a rotation or reset; or the same one with it.
    #[error("the device list has another identity")]
    WrongIdentity,
    /// One key for both uses.
    #[error("identity and encryption must be different keys")]
    SameKey,
    /// A key of an earlier version, or the encryption key of another identity.
    #[error("a key that was given up does not come back, and another identity has another encryption key")]
    OldKey,
    /// None, too many, or one twice.
    #[error("a device list names 1 to {} devices, each once", limits::DEVICES)]
    WrongDevices,
    /// Not submitted by a device that the list names.
    #[error("the device that submits a list must be in it")]
    NotListed,
    /// A signature does not verify.
    #[error("a signature of the device list does not verify")]
    BadSignature,
    /// The user's server has not agreed.
    #[error("the user's server has not agreed to this")]
    BadGrant,
    /// Not newer than what is known: replayed, or rolled back.
    #[error("the device list is not newer than the one that is known")]
    RolledBack,
    /// The account is closed.
    #[error("the account is closed, and stays closed")]
    Closed,
}

impl KeyState {
    /// The version of the history: that of the newest list, and one more once the account is closed.
    pub fn version(&self) -> u64 {
        self.list.version + u64::from(self.closed)
    }

    /// A device of the newest list; a closed account has none.
    pub fn device(&self, key: &DeviceKey) -> Option<&Device> {
        self.list.devices.iter().find(|device| device.key == *key && !self.closed)
    }

    /// Whether device list `version` names `key`: what was written under an older list stays its author's.
    pub fn named_in(&self, key: &DeviceKey, version: u64) -> bool {
        version <= self.list.version
            && self.spans.iter().any(|span| span.device == *key && span.from <= version && span.until.is_none_or(|until| version < until))
    }

    /// The keys of device list `version`.
    pub fn keys_of(&self, version: u64) -> Option<&VersionKeys> {
        (version <= self.list.version).then(|| self.keys.iter().rev().find(|keys| keys.from <= version))?
    }

    /// The newest keys with this encryption key (RFC 7638 thumbprint).
    pub fn with_encryption(&self, thumbprint: &Hash) -> Option<&VersionKeys> {
        self.keys.iter().rev().find(|keys| keys.encryption.thumbprint() == *thumbprint)
    }

    /// The newest keys.
    pub fn newest(&self) -> &VersionKeys {
        self.keys.last().expect("a history has a first list")
    }

    /// Whether whoever has `keys` is the person whose identity is, or was, `identity`: no reset lies between.
    pub fn is_person(&self, keys: &VersionKeys, identity: &Fingerprint) -> bool {
        self.keys.iter().any(|other| other.person == keys.person && other.identity.fingerprint() == *identity)
    }

    /// Whether the account is still that of the person whose identity is, or was, `identity`.
    pub fn is_still(&self, identity: &Fingerprint) -> bool {
        !self.closed && self.is_person(self.newest(), identity)
    }
}
