//! A draft: what a device submits to a log. The hub makes it an entry and never changes a byte of it.

use crate::cbor::{self, DecodeError, Encoded, raw};
use crate::{DeviceKey, Hash, LogName, Signature, UserName, label, limits};
use bytes::Bytes;
use minicbor::{Decode, Encode};

/// One message or change, as its author's device made it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Draft {
    /// The device that wrote it.
    #[n(0)]
    pub device: DeviceKey,
    /// This device's drafts in this log, counted from 1.
    #[n(1)]
    pub n: u64,
    /// Whose device that is. A claim, until device list `list` of that user has been seen to name the device.
    #[n(2)]
    pub author: UserName,
    /// The version of the author's device list that names the device.
    #[n(3)]
    pub list: u64,
    /// The room's epoch; absent in logs that have none.
    #[n(4)]
    pub epoch: Option<u64>,
    /// What the body is.
    #[n(5)]
    pub kind: Kind,
    /// Open kinds: CBOR of a type that the kind names. Sealed: opaque to every server.
    #[cbor(n(6), with = "raw")]
    pub body: Bytes,
    /// Ed25519 by `device` over [`signed_bytes`]; open kinds have it, sealed ones are authenticated inside.
    #[n(7)]
    pub sig: Option<Signature>,
}

const SIG_FIELD: u8 = 7;

/// What a draft's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// The first entry of a room: a [`crate::Genesis`].
    #[n(0)]
    Genesis,
    /// A message that only the room's members can open.
    #[n(1)]
    Sealed,
    /// A public message: a [`crate::Content`].
    #[n(2)]
    Post,
    /// `keys@`: an account's first device list.
    #[n(16)]
    First,
    /// `keys@`: the next device list of the same identity.
    #[n(17)]
    List,
    /// `inbox:`: a pointer to a room one was written to in, a [`crate::frame::RoomRef`].
    #[n(32)]
    Notice,
}

impl Kind {
    /// Whether anybody may read the body, so that the hub checks a signature before it accepts.
    pub fn is_open(self) -> bool {
        self != Kind::Sealed
    }
}

/// Reads a draft within its limit.
pub fn read(bytes: Bytes) -> Result<Encoded<Draft>, DecodeError> {
    Encoded::read(bytes, limits::DRAFT)
}

/// What `sig` covers: label ‖ length and text of the log's name ‖ the draft without `sig`, unknown fields included.
pub fn signed_bytes(log: &LogName, draft: &Encoded<Draft>) -> Vec<u8> {
    let log = log.to_string();
    let mut out = label::marked(label::DRAFT);
    out.extend_from_slice(&(log.len() as u64).to_be_bytes());
    out.extend_from_slice(log.as_bytes());
    out.extend_from_slice(&cbor::without_key(draft.bytes(), SIG_FIELD).expect("an encoded draft is a canonical map"));
    out
}

impl Encoded<Draft> {
    /// SHA-256 of the draft's bytes: what the chain binds, and what makes two drafts the same.
    pub fn hash(&self) -> Hash {
        Hash::of(self.bytes())
    }
}

impl Draft {
    /// Signs an open draft for `log` with `sign`, which has the device's key.
    pub fn signed(mut self, log: &LogName, sign: impl FnOnce(&[u8]) -> Signature) -> Encoded<Draft> {
        self.sig = None;
        let unsigned = Encoded::new(self);
        let sig = sign(&signed_bytes(log, &unsigned));
        Encoded::new(Draft { sig: Some(sig), ..unsigned.into_value() })
    }
}
