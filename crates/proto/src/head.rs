//! Heads: how far a log goes, and the chain's hash there, as somebody says it who can be held to it.
//!
//! A server signs those of its own `keys@`; whoever holds two of them, for one entry and with different hashes, has its proof
//! that it tells two stories. What a person has seen travels unsigned in here: it lies inside what their device signs or seals.

use crate::{Hash, LogName, ServerKey, ServerName, Signature, label};
use minicbor::{Decode, Encode};

/// Where a log stands, by the word of the server that orders it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Head {
    /// The log.
    #[n(0)]
    pub log: LogName,
    /// Counts up when a server that was restored from an old backup begins anew. 0 until there is such a thing.
    #[n(1)]
    pub term: u64,
    /// The last entry.
    #[n(2)]
    pub seq: u64,
    /// The chain's hash there.
    #[n(3)]
    pub hash: Hash,
    /// The server's clock, milliseconds since 1970; for show only.
    #[n(4)]
    pub at: u64,
    /// The server's key, so that a head can be held against another of the same key.
    #[n(5)]
    pub key: ServerKey,
    /// Ed25519 by that key, over [`Head::signed_bytes`].
    #[n(6)]
    pub sig: Signature,
}

impl Head {
    /// What the server signs: label ‖ the log's name, a zero byte ‖ term, seq and at, 8 bytes big-endian each ‖ hash.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut out = label::marked(label::HEAD);
        out.extend_from_slice(format!("{}\0", self.log).as_bytes());
        for number in [self.term, self.seq, self.at] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(self.hash.as_bytes());
        out
    }

    /// Whether the two cannot both be true.
    pub fn contradicts(&self, other: &Head) -> bool {
        (&self.log, self.term, self.seq) == (&other.log, other.term, other.seq) && self.hash != other.hash
    }
}

/// How far the author of a message had seen the key history of a server, inside what is signed or sealed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct KeysSeen {
    /// The server whose `keys@` it is.
    #[n(0)]
    pub server: ServerName,
    /// The last entry that was seen.
    #[n(1)]
    pub seq: u64,
    /// The chain's hash there.
    #[n(2)]
    pub hash: Hash,
}
