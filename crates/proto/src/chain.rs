//! The chain: each entry of a log is bound by hash to all before it, so a follower notices any other story.

use crate::{Entry, Hash, LogName, label};
use sha2::{Digest, Sha256};

/// Where a log stands: its last sequence number and the hash there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// The last sequence number; 0 when the log is empty.
    pub seq: u64,
    /// The chain's hash at `seq`; [`Hash::ZERO`] when the log is empty.
    pub hash: Hash,
}

impl Tip {
    /// An empty log.
    pub const EMPTY: Tip = Tip { seq: 0, hash: Hash::ZERO };
}

/// An entry that does not continue the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {found} does not follow entry {last}")]
pub struct Broken {
    /// The last entry we have.
    pub last: u64,
    /// The number of the entry that came.
    pub found: u64,
}

/// `SHA-256(label ‖ SHA-256(log name) ‖ hash(seq-1) ‖ seq ‖ at ‖ SHA-256(draft))`, integers as 8 bytes big-endian.
pub fn hash(log: &LogName, prev: &Hash, seq: u64, at: u64, draft: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(label::marked(label::CHAIN));
    hasher.update(Hash::of(log.to_string().as_bytes()));
    hasher.update(prev);
    hasher.update(seq.to_be_bytes());
    hasher.update(at.to_be_bytes());
    hasher.update(draft);
    Hash(hasher.finalize().into())
}

/// The tip after `entry`, which must be the next one.
pub fn extend(log: &LogName, tip: &Tip, entry: &Entry) -> Result<Tip, Broken> {
    if tip.seq.checked_add(1) != Some(entry.seq) {
        return Err(Broken { last: tip.seq, found: entry.seq });
    }
    Ok(Tip { seq: entry.seq, hash: hash(log, &tip.hash, entry.seq, entry.at, &entry.draft_hash()) })
}
