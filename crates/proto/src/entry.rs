//! An entry: a draft that a hub has taken, with its place in the log.

use crate::cbor::{self, DecodeError, Encoded, raw};
use crate::{Draft, Hash, draft, limits};
use bytes::Bytes;
use minicbor::{Decode, Encode};

/// A draft with its sequence number, or the stub that is left of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the log, counted from 1.
    pub seq: u64,
    /// The hub's clock, milliseconds since 1970; for show only, nothing is ordered by it.
    pub at: u64,
    /// What it holds.
    pub payload: Payload,
}

/// What an entry holds.
#[allow(clippy::large_enum_variant, reason = "stubs are rare, and a box for every draft would cost all the others")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The draft as it was submitted.
    Draft(Encoded<Draft>),
    /// The hash of a draft that was erased, or that a replica could not verify. The chain still holds.
    Stub(Hash),
}

/// Room for an entry's own fields around the draft.
pub const OVERHEAD: usize = 64;

#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[cbor(n(0), with = "raw::option")]
    draft: Option<Bytes>,
    #[n(1)]
    seq: u64,
    #[n(2)]
    at: u64,
    #[n(3)]
    stub: Option<Hash>,
}

impl Entry {
    /// SHA-256 of the draft's bytes.
    pub fn draft_hash(&self) -> Hash {
        match &self.payload {
            Payload::Draft(draft) => draft.hash(),
            Payload::Stub(hash) => *hash,
        }
    }

    /// The draft, unless only a stub is left.
    pub fn draft(&self) -> Option<&Encoded<Draft>> {
        match &self.payload {
            Payload::Draft(draft) => Some(draft),
            Payload::Stub(_) => None,
        }
    }

    /// The entry as it travels and is stored.
    pub fn encode(&self) -> Bytes {
        let (draft, stub) = match &self.payload {
            Payload::Draft(draft) => (Some(draft.bytes().clone()), None),
            Payload::Stub(hash) => (None, Some(*hash)),
        };
        cbor::encode(&Wire { draft, seq: self.seq, at: self.at, stub }).into()
    }

    /// Reads an entry, and the draft in it, each by the strict decoder.
    pub fn read(bytes: &[u8]) -> Result<Entry, DecodeError> {
        let (entry, unreadable) = Entry::skim(bytes)?;
        unreadable.map_or(Ok(entry), Err)
    }

    /// Reads an entry. One whose draft cannot be read, perhaps since it is of a later version, is given as its stub, with the
    /// reason: it has its place in the chain all the same.
    pub fn skim(bytes: &[u8]) -> Result<(Entry, Option<DecodeError>), DecodeError> {
        let wire: Wire = cbor::decode(bytes, limits::DRAFT + OVERHEAD)?;
        let (payload, unreadable) = match (wire.draft, wire.stub) {
            (Some(bytes), None) => {
                let hash = Hash::of(&bytes);
                match draft::read(bytes) {
                    Ok(draft) => (Payload::Draft(draft), None),
                    Err(error) => (Payload::Stub(hash), Some(error)),
                }
            }
            (None, Some(hash)) => (Payload::Stub(hash), None),
            _ => return Err(DecodeError::Shape("an entry holds a draft or a stub".into())),
        };
        Ok((Entry { seq: wire.seq, at: wire.at, payload }, unreadable))
    }
}
