//! Whether an open draft is its author's.

use crate::ed25519::verify_device;
use crate::keys::KeyState;
use tidings_proto::draft::signed_bytes;
use tidings_proto::{Draft, Encoded, LogName};

/// Why a draft is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// The device list it names is not known here yet: fetch it and ask again.
    #[error("the author's device list is not known here yet")]
    NotYet,
    /// Its device is not in the list.
    #[error("the device is not one of its author's")]
    NotListed,
    /// It has no signature, or a wrong one.
    #[error("the draft's signature does not verify")]
    BadSignature,
}

/// Checks a new draft of an open kind: its device is in its author's newest list, and has signed it for this log.
pub fn check_open(log: &LogName, draft: &Encoded<Draft>, author: &KeyState) -> Result<(), DraftError> {
    check_listed(draft, author)?;
    check_signed(log, draft)
}

/// Checks that a new draft's device is its author's: in the list that the draft names, and in the newest.
pub fn check_listed(draft: &Draft, author: &KeyState) -> Result<(), DraftError> {
    check_named(draft, author, draft.list)?;
    if author.device(&draft.device).is_some() { Ok(()) } else { Err(DraftError::NotListed) }
}

/// Checks a draft that a hub took earlier: its device was in the list it names, and has signed it. Devices that have been
/// removed since stay the authors of what they wrote.
pub fn check_past(log: &LogName, draft: &Encoded<Draft>, author: &KeyState) -> Result<(), DraftError> {
    check_named(draft, author, draft.list)?;
    check_signed(log, draft)
}

/// Checks by a log's own order what no clock can tell: `highest` is the highest list that any entry of this author before this
/// one names. Its device is in that list too, so whoever has a removed device, and a hub on their side, writes nothing more in a
/// log in which the author has gone on.
pub fn check_in_order(draft: &Draft, author: &KeyState, highest: u64) -> Result<(), DraftError> {
    check_named(draft, author, draft.list)?;
    check_named(draft, author, draft.list.max(highest))
}

/// Checks that a draft's device is its author's by one version of the list.
fn check_named(draft: &Draft, author: &KeyState, version: u64) -> Result<(), DraftError> {
    if draft.author != author.list.user {
        return Err(DraftError::NotListed);
    }
    if version > author.list.version {
        return Err(DraftError::NotYet);
    }
    if author.named_in(&draft.device, version) { Ok(()) } else { Err(DraftError::NotListed) }
}

/// Checks a draft's signature by its device.
pub fn check_signed(log: &LogName, draft: &Encoded<Draft>) -> Result<(), DraftError> {
    let sig = draft.sig.as_ref().ok_or(DraftError::BadSignature)?;
    verify_device(&draft.device, &signed_bytes(log, draft), sig).map_err(|_| DraftError::BadSignature)
}
