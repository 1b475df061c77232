//! `mls-1`: a message is content sealed by the room's MLS group (RFC 9420 §6.3), whose keys follow its people (`crate::mls`).
//!
//! The group binds room, epoch, people and roles, and the device that has sealed. What is open around it, and what the author had seen, is
//! bound here.

use super::{OpenError, Opened, heard_seen, some_seen};
use crate::mls::{Device, MlsError, State, open};
use bytes::Bytes;
use minicbor::{Decode, Encode};
use tidings_proto::{Content, Draft, Encoded, Hash, KeysSeen, Kind, RoomId, cbor, limits};
use tidings_trust::{KeyState, Members};
use zeroize::Zeroizing;

/// In the open, and authenticated: which of its device's messages it is (RFC 9420 §6.3, `authenticated_data`).
#[derive(Encode, Decode, PartialEq, Eq)]
#[cbor(map)]
struct Outside {
    #[n(0)]
    n: u64,
    #[n(1)]
    list: u64,
}

/// Sealed.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Inside {
    #[n(0)]
    seen_seq: u64,
    #[n(1)]
    seen_hash: Hash,
    #[n(2)]
    content: Content,
    #[n(3)]
    keys_seen: Option<Vec<KeysSeen>>,
}

/// Where a message goes, and what its author has seen.
pub struct Place<'a> {
    /// The room.
    pub room: &'a RoomId,
    /// The number of the draft.
    pub n: u64,
    /// The last entry of the room that the author has seen, and the chain's hash there.
    pub seen: (u64, Hash),
    /// What the author has seen of key histories; the first [`limits::KEYS_SEEN`] of it are said.
    pub keys_seen: &'a [KeysSeen],
}

/// Seals content: the body of a draft.
pub fn seal_content(state: &State<'_>, device: &Device<'_>, place: &Place<'_>, content: &Content) -> Result<Bytes, MlsError> {
    let outside = cbor::encode(&Outside { n: place.n, list: device.list });
    let (seen_seq, seen_hash) = place.seen;
    let inside = Inside { seen_seq, seen_hash, content: content.clone(), keys_seen: some_seen(place.keys_seen) };
    let inside = Zeroizing::new(cbor::encode(&inside));
    let sealed = device.seal(state, place.room, &outside, &inside)?;
    // Room for the draft's own fields around the body.
    if sealed.len() > limits::DRAFT - 1024 { Err(MlsError::Failed("the message is too large")) } else { Ok(sealed) }
}

/// Opens a draft's body; `members` as of its place.
pub fn open_content(
    state: &State<'_>,
    room: &RoomId,
    draft: &Encoded<Draft>,
    author: &KeyState,
    members: &Members,
) -> Result<Opened, OpenError> {
    belongs(draft, author, members)?;
    let tree = members.tree().ok_or(OpenError::NotAuthentic("it was sealed before there were keys"))?;
    let text = open(state, room, &draft.body, tree).map_err(|_| OpenError::Undecryptable)?;
    if text.by.user != draft.author || text.by.device != draft.device {
        return Err(OpenError::NotAuthentic("it was written by somebody else"));
    }
    if text.aad != cbor::encode(&Outside { n: draft.n, list: draft.list }) {
        return Err(OpenError::NotAuthentic("it was written as another message"));
    }
    let unreadable = |_| OpenError::NotAuthentic("it cannot be read");
    let inside: Inside = cbor::decode(&Zeroizing::new(text.text), limits::DRAFT).map_err(unreadable)?;
    Ok(Opened {
        content: inside.content,
        author: author.list.user.clone(),
        device: draft.device,
        n: draft.n,
        seen: (inside.seen_seq, inside.seen_hash),
        keys_seen: heard_seen(inside.keys_seen),
    })
}

/// Whether it may be where it was found, as far as can be told from outside.
fn belongs(draft: &Draft, author: &KeyState, members: &Members) -> Result<(), OpenError> {
    if draft.kind != Kind::Sealed || draft.author != author.list.user {
        return Err(OpenError::NotAuthentic("it is held against another author's keys"));
    }
    if draft.list > author.list.version {
        return Err(OpenError::NotYet(draft.author.clone()));
    }
    if members.may_write(draft, author).is_err() {
        return Err(OpenError::NotAuthentic("its author is not a member of this room"));
    }
    if draft.epoch != Some(members.epoch()) || !members.is_in_line() {
        return Err(OpenError::NotAuthentic("it was written in another epoch"));
    }
    Ok(())
}
