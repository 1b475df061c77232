//! What was opened, kept sealed under the account's history key: opening a JWE costs 2 ms, opening this a microsecond.

use crate::aead;
use std::fmt;
use tidings_proto::{Content, LogName, cbor, label, limits};
use zeroize::Zeroizing;

/// The key of everything an account has opened.
#[derive(Clone)]
pub struct HistoryKey(pub(crate) Zeroizing<[u8; 32]>);

/// It was sealed under another key or for another place, or it is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this part of the history cannot be opened")]
pub struct Unreadable;

/// Seals content for its place: the log and the entry's number, or any other tag of the caller's.
pub fn seal_at_rest(key: &HistoryKey, log: &LogName, tag: u64, content: &Content) -> Vec<u8> {
    aead::seal(&key.0, &place(log, tag), &Zeroizing::new(cbor::encode(content)))
}

/// Opens what [`seal_at_rest`] sealed for the same place.
pub fn open_at_rest(key: &HistoryKey, log: &LogName, tag: u64, sealed: &[u8]) -> Result<Content, Unreadable> {
    let plain = aead::open(&key.0, &place(log, tag), sealed).map_err(|_| Unreadable)?;
    cbor::decode(&plain, limits::DRAFT).map_err(|_| Unreadable)
}

fn place(log: &LogName, tag: u64) -> Vec<u8> {
    let mut out = label::marked(label::HISTORY);
    out.extend_from_slice(log.to_string().as_bytes());
    out.push(0);
    out.extend_from_slice(&tag.to_be_bytes());
    out
}

impl fmt::Debug for HistoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HistoryKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_opens_in_its_place_only() {
        let key = HistoryKey(Zeroizing::new([7; 32]));
        let (here, there): (LogName, LogName) = ("public@s1".parse().unwrap(), "public@s2".parse().unwrap());
        let content = Content::text("hello").unwrap();
        let sealed = seal_at_rest(&key, &here, 3, &content);
        assert_eq!(open_at_rest(&key, &here, 3, &sealed), Ok(content));
        assert_eq!(open_at_rest(&key, &here, 4, &sealed), Err(Unreadable));
        assert_eq!(open_at_rest(&key, &there, 3, &sealed), Err(Unreadable));
        assert_eq!(open_at_rest(&HistoryKey(Zeroizing::new([8; 32])), &here, 3, &sealed), Err(Unreadable));
        assert_eq!(open_at_rest(&key, &here, 3, &sealed[..11]), Err(Unreadable));
    }
}
