//! The device list: which devices are a user's. It decides alone; there are no certificates and no expiry dates.

use crate::rsa::RsaPublicKey;
use bytes::Bytes;
use minicbor::{Decode, Decoder, Encode};
use tidings_proto::cbor::raw;
use tidings_proto::frame::Grant;
use tidings_proto::{DeviceKey, Hash, SuiteName, UserName, label};

/// Bytes of an encoded list: 20 devices and two keys of 4096 bits fit twice. Everybody keeps everybody's lists.
pub const LIST_LIMIT: usize = 8 * 1024;
/// Bytes of a list with its signature.
pub const SIGNED_LIMIT: usize = LIST_LIMIT + 1024;

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
    /// The suites it can do, as far as this version knows them.
    #[cbor(n(1), decode_with = "known_suites")]
    pub suites: Vec<SuiteName>,
}

/// A suite of a later version is passed over: a newer device must not make its user's whole list unreadable to older ones.
/// Nothing is lost to the hash and the signature, which are over the list's bytes as they came.
fn known_suites<C>(d: &mut Decoder<'_>, c: &mut C) -> Result<Vec<SuiteName>, minicbor::decode::Error> {
    let count = d.array()?.ok_or_else(|| minicbor::decode::Error::message("suites have no definite length"))?;
    let mut known = Vec::new();
    for _ in 0..count {
        let start = d.position();
        match SuiteName::decode(d, c) {
            Ok(suite) => known.push(suite),
            Err(_) => {
                d.set_position(start);
                d.u32()?;
            }
        }
    }
    Ok(known)
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

/// A device list as it travels: the body of `First`, `List`, `Rotate` and `Reset` drafts.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignedList {
    /// The encoded [`DeviceList`], verbatim.
    #[cbor(n(0), with = "raw")]
    pub list: Bytes,
    /// PS256 by the list's identity over [`signed_bytes`].
    #[cbor(n(1), with = "raw")]
    pub sig: Bytes,
    /// `Rotate`: PS256 by the identity before over [`rotation_bytes`].
    #[cbor(n(2), with = "raw::option")]
    pub by_old: Option<Bytes>,
    /// `Reset`: the word of the user's server.
    #[n(3)]
    pub grant: Option<Grant>,
}

impl SignedList {
    /// What the next version's `prev` holds: SHA-256 of the list's bytes.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.list)
    }
}

/// What the identity before signs when it agrees to another: label ‖ the encoded list.
pub fn rotation_bytes(list: &[u8]) -> Vec<u8> {
    let mut out = label::marked(label::ROTATE);
    out.extend_from_slice(list);
    out
}

/// What the identity signs: label ‖ the encoded list.
pub fn signed_bytes(list: &[u8]) -> Vec<u8> {
    let mut out = label::marked(label::DEVICE_LIST);
    out.extend_from_slice(list);
    out
}
