//! The device list: which devices are a user's. It decides alone; there are no certificates and no expiry dates.

use crate::rsa::RsaPublicKey;
use bytes::Bytes;
use minicbor::{Decode, Encode};
use tidings_proto::cbor::raw;
use tidings_proto::{DeviceKey, Hash, SuiteName, UserName, label};

/// One version of a user's device list.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeviceList {
    /// Whose it is.
    #[n(0)]
    pub user: UserName,
    /// Counted from 1.
    #[n(1)]
    pub version: u64,
    /// [`SignedList::hash`] of the version before; absent in the first.
    #[n(2)]
    pub prev: Option<Hash>,
    /// Signs device lists, nothing else.
    #[n(3)]
    pub identity: RsaPublicKey,
    /// What messages to the user are locked with.
    #[n(4)]
    pub encryption: RsaPublicKey,
    /// The devices.
    #[n(5)]
    pub devices: Vec<Device>,
    /// The vault when this list was made; a client refuses an older one.
    #[n(6)]
    pub vault: VaultRef,
}

/// A device in a list.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Device {
    /// Its key.
    #[n(0)]
    pub key: DeviceKey,
    /// The suites it can do.
    #[n(1)]
    pub suites: Vec<SuiteName>,
}

/// A version of a vault.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct VaultRef {
    /// Counted from 1.
    #[n(0)]
    pub version: u64,
    /// SHA-256 of the sealed vault.
    #[n(1)]
    pub hash: Hash,
}

/// A device list as it travels: the body of `First` and `List` drafts.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignedList {
    /// The encoded [`DeviceList`], verbatim.
    #[cbor(n(0), with = "raw")]
    pub list: Bytes,
    /// PS256 by the list's identity over [`signed_bytes`].
    #[cbor(n(1), with = "raw")]
    pub sig: Bytes,
}

impl SignedList {
    /// What the next version's `prev` holds: SHA-256 of the list's bytes.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.list)
    }
}

/// What the identity signs: label ‖ the encoded list.
pub fn signed_bytes(list: &[u8]) -> Vec<u8> {
    let mut out = label::marked(label::DEVICE_LIST);
    out.extend_from_slice(list);
    out
}
