//! What was opened, kept sealed under the account's history keys: at rest in a device's store, since opening a JWE costs 2 ms and
//! opening this a microsecond; and in *segments*, by which a user's devices hand it on. What was sealed for a room on MLS opens on the
//! devices that were in its tree, and there once: a device that comes later, or after all others were lost, has it from these.
//!
//! A segment is for its user's devices and by one of them, which signs the draft that it travels in: what a server adds, moves or
//! changes does not open. Which room's messages are in it, and how many, is sealed.

use crate::aead;
use crate::vault::{BadVault, Key, key_of, random_key};
use bytes::Bytes;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use std::fmt;
use tidings_proto::{Content, Hash, LogName, RoomId, UserName, cbor, label, limits};
use zeroize::Zeroizing;

/// The keys of everything an account has opened, the newest first. Taking a device off makes another one, which it does not get.
#[derive(Clone)]
pub struct HistoryKeys {
    newest: Key,
    older: Vec<Key>,
}

/// It was sealed under another key or for another place, or it is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this part of the history cannot be opened")]
pub struct Unreadable;

/// Messages as one of the user's devices has opened and verified them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Segment {
    /// By room.
    #[n(0)]
    pub rooms: Vec<Part>,
}

/// What a segment holds of one room.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Part {
    /// The room.
    #[n(0)]
    pub room: RoomId,
    /// Its messages.
    #[n(1)]
    pub lines: Vec<Line>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Line {
    /// Its place in the room's log.
    #[n(0)]
    pub seq: u64,
    /// SHA-256 of the draft that it was opened from: at that place of another story, it is not shown.
    #[n(1)]
    pub draft: Hash,
    /// Who has written it, as it was verified.
    #[n(2)]
    pub author: UserName,
    /// What it says.
    #[n(3)]
    pub content: Content,
}

impl HistoryKeys {
    /// Of a new account.
    pub(crate) fn generate() -> HistoryKeys {
        HistoryKeys { newest: random_key(), older: Vec::new() }
    }

    /// With another key for what is sealed from now on.
    pub(crate) fn renewed(&self) -> HistoryKeys {
        HistoryKeys { newest: random_key(), older: self.all().cloned().collect() }
    }

    pub(crate) fn of(newest: [u8; 32]) -> HistoryKeys {
        HistoryKeys { newest: Zeroizing::new(newest), older: Vec::new() }
    }

    /// As they are kept: the newest, and the older ones.
    pub(crate) fn to_parts(&self) -> (ByteVec, Option<Vec<ByteVec>>) {
        let older: Vec<ByteVec> = self.older.iter().map(|key| key.to_vec().into()).collect();
        (self.newest.to_vec().into(), (!older.is_empty()).then_some(older))
    }

    /// What [`HistoryKeys::to_parts`] gave.
    pub(crate) fn from_parts(newest: &[u8], older: Option<&[ByteVec]>) -> Result<HistoryKeys, BadVault> {
        let older = older.unwrap_or_default().iter().map(|key| key_of(key)).collect::<Result<_, _>>()?;
        Ok(HistoryKeys { newest: key_of(newest)?, older })
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.newest).chain(&self.older)
    }

    fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        self.all().find_map(|key| aead::open(key, aad, sealed).ok()).ok_or(Unreadable)
    }
}

/// Seals content for its place: the log and the entry's number, or any other tag of the caller's.
pub fn seal_at_rest(keys: &HistoryKeys, log: &LogName, tag: u64, content: &Content) -> Vec<u8> {
    aead::seal(&keys.newest, &place(log, tag), &Zeroizing::new(cbor::encode(content)))
}

/// Opens what [`seal_at_rest`] sealed for the same place.
pub fn open_at_rest(keys: &HistoryKeys, log: &LogName, tag: u64, sealed: &[u8]) -> Result<Content, Unreadable> {
    let plain = keys.open(&place(log, tag), sealed)?;
    cbor::decode(&plain, limits::DRAFT).map_err(|_| Unreadable)
}

/// Seals a segment: the body of its draft.
pub fn seal_segment(keys: &HistoryKeys, user: &UserName, segment: &Segment) -> Bytes {
    aead::seal(&keys.newest, &of_user(user), &Zeroizing::new(cbor::encode(segment))).into()
}

/// Opens a draft's body; that one of the user's devices has signed the draft is the caller's to verify.
pub fn open_segment(keys: &HistoryKeys, user: &UserName, body: &[u8]) -> Result<Segment, Unreadable> {
    let plain = keys.open(&of_user(user), body)?;
    cbor::decode(&plain, limits::DRAFT).map_err(|_| Unreadable)
}

fn place(log: &LogName, tag: u64) -> Vec<u8> {
    let mut out = label::marked(label::HISTORY);
    out.extend_from_slice(log.to_string().as_bytes());
    out.push(0);
    out.extend_from_slice(&tag.to_be_bytes());
    out
}

fn of_user(user: &UserName) -> Vec<u8> {
    let mut out = label::marked(label::SEGMENT);
    out.extend_from_slice(user.to_string().as_bytes());
    out
}

impl fmt::Debug for HistoryKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HistoryKeys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_opens_in_its_place_only() {
        let keys = HistoryKeys::of([7; 32]);
        let (here, there): (LogName, LogName) = ("public@s1".parse().unwrap(), "public@s2".parse().unwrap());
        let content = Content::text("hello").unwrap();
        let sealed = seal_at_rest(&keys, &here, 3, &content);
        assert_eq!(open_at_rest(&keys, &here, 3, &sealed).as_ref(), Ok(&content));
        assert_eq!(open_at_rest(&keys.renewed(), &here, 3, &sealed), Ok(content), "older keys open what they have sealed");
        assert_eq!(open_at_rest(&keys, &here, 4, &sealed), Err(Unreadable));
        assert_eq!(open_at_rest(&keys, &there, 3, &sealed), Err(Unreadable));
        assert_eq!(open_at_rest(&HistoryKeys::of([8; 32]), &here, 3, &sealed), Err(Unreadable));
        assert_eq!(open_at_rest(&keys, &here, 3, &sealed[..11]), Err(Unreadable));
    }

    #[test]
    fn a_segment_opens_for_its_user_only_and_not_for_who_was_taken_off() {
        let keys = HistoryKeys::of([7; 32]);
        let [alice, bob]: [UserName; 2] = ["alice@s1", "bob@s1"].map(|name| name.parse().unwrap());
        let line = Line { seq: 3, draft: Hash::of(b"draft"), author: bob.clone(), content: Content::text("hello").unwrap() };
        let segment = Segment { rooms: vec![Part { room: RoomId([1; 32]), lines: vec![line] }] };
        let renewed = keys.renewed();
        let body = seal_segment(&renewed, &alice, &segment);
        assert_eq!(open_segment(&renewed, &alice, &body), Ok(segment.clone()));
        assert_eq!(open_segment(&renewed, &alice, &seal_segment(&keys, &alice, &segment)), Ok(segment));
        assert_eq!(open_segment(&keys, &alice, &body), Err(Unreadable), "the key before is not enough");
        assert_eq!(open_segment(&renewed, &bob, &body), Err(Unreadable));
        for at in 0..body.len() {
            let mut spoiled = body.to_vec();
            spoiled[at] ^= 1;
            assert_eq!(open_segment(&renewed, &alice, &spoiled), Err(Unreadable), "byte {at}");
        }
    }

    #[test]
    fn keys_are_kept_as_they_are() {
        for keys in [HistoryKeys::of([7; 32]), HistoryKeys::of([7; 32]).renewed().renewed()] {
            let (newest, older) = keys.to_parts();
            let back = HistoryKeys::from_parts(&newest, older.as_deref()).unwrap();
            assert!(back.all().eq(keys.all()) && back.all().count() == keys.all().count());
        }
        assert_eq!(HistoryKeys::of([7; 32]).to_parts().1, None, "as it was kept before there could be more than one");
        assert!(HistoryKeys::from_parts(&[7; 31], None).is_err());
    }
}
