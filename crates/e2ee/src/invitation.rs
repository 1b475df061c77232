//! An invitation to a group, as only the invited person can read it: what the group is called, and where it stood.
//!
//! The entry around it names the room, so that the invited person's server can follow it. What is inside names author,
//! recipient and room again, signed by the author's device: neither can it be sealed anew for somebody else, nor be moved to
//! another entry.

use crate::device::DeviceSecret;
use crate::jose::{self, Parsed};
use crate::rsa::RsaKeys;
use crate::suite::OpenError;
use bytes::Bytes;
use minicbor::{Decode, Encode};
use tidings_proto::cbor::{self, raw};
use tidings_proto::membership::SEALED_LIMIT;
use tidings_proto::{Draft, Encoded, Hash, Kind, RoomId, Signature, SuiteName, UserName, label, limits};
use tidings_trust::ed25519::verify_device;
use tidings_trust::{KeyState, RsaPublicKey};
use zeroize::Zeroizing;

/// What is said of a group to somebody who is asked in.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Note {
    /// The group.
    #[n(0)]
    pub room: RoomId,
    /// How its messages are sealed.
    #[n(1)]
    pub suite: SuiteName,
    /// Who asks.
    #[n(2)]
    pub from: UserName,
    /// Who is asked.
    #[n(3)]
    pub to: UserName,
    /// What the group is called; at most [`limits::TITLE`] bytes.
    #[n(4)]
    pub title: String,
    /// An entry of the group's log that the author has seen: that of the invitation, or a later one.
    #[n(5)]
    pub seq: u64,
    /// The chain's hash there.
    #[n(6)]
    pub hash: Hash,
    /// The group's epoch there.
    #[n(7)]
    pub epoch: u64,
    /// The hash of the roster there.
    #[n(8)]
    pub roster: Hash,
}

/// What the group is called is in no log.
impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Note({} asks {} into {}, entry {})", self.from, self.to, self.room, self.seq)
    }
}

/// An invitation cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Nobody would open it.
    #[error("a title is at most {} bytes long", limits::TITLE)]
    LongTitle,
    /// A key failed.
    #[error("the invited person's key cannot be used")]
    Key,
}

/// What an invitation is held against.
pub struct Place<'a> {
    /// The room that the entry names.
    pub room: RoomId,
    /// The entry's draft, whose signature the caller has checked.
    pub draft: &'a Encoded<Draft>,
    /// The key history of the user that the draft names.
    pub author: &'a KeyState,
    /// Whose inbox it is in.
    pub me: &'a UserName,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Plaintext {
    #[cbor(n(0), with = "raw")]
    note: Bytes,
    #[n(1)]
    sig: Signature,
}

fn signed_bytes(note: &[u8]) -> Vec<u8> {
    let mut out = label::marked(label::INVITATION);
    out.extend_from_slice(note);
    out
}

/// Seals a note for the invited person.
pub fn seal(note: &Note, device: &DeviceSecret, recipient: &RsaPublicKey) -> Result<Bytes, NoteError> {
    if note.title.len() > limits::TITLE {
        return Err(NoteError::LongTitle);
    }
    let note: Bytes = cbor::encode(note).into();
    let sig = device.sign(&signed_bytes(&note));
    let plaintext = Zeroizing::new(cbor::encode(&Plaintext { note, sig }));
    let sealed = jose::encrypt(std::slice::from_ref(recipient), &plaintext).map_err(|_| NoteError::Key)?;
    debug_assert!(sealed.len() <= SEALED_LIMIT, "the longest names and title fit");
    Ok(sealed.into())
}

/// Opens what [`seal`] sealed for one of these keys, by their `kid`.
pub async fn open<K: RsaKeys>(
    keys: &K,
    decrypting: &[(String, K::Decrypting)],
    place: &Place<'_>,
    sealed: &[u8],
) -> Result<Note, OpenError> {
    let (draft, author) = (place.draft, place.author);
    if draft.kind != Kind::Invitation {
        return Err(OpenError::NotAuthentic("it is not an invitation"));
    }
    if draft.author != author.list.user {
        return Err(OpenError::NotAuthentic("it is held against another author's keys"));
    }
    if draft.list > author.list.version {
        return Err(OpenError::NotYet(draft.author.clone()));
    }
    if !author.named_in(&draft.device, draft.list) {
        return Err(OpenError::NotAuthentic("its device is not one of its author's"));
    }
    let parsed = Some(sealed).filter(|sealed| sealed.len() <= SEALED_LIMIT).and_then(|sealed| Parsed::read(sealed).ok());
    let parsed = parsed.ok_or(OpenError::NotAuthentic("it is not an invitation"))?;
    let mut kids = parsed.kids();
    let (Some(kid), None) = (kids.next(), kids.next()) else {
        return Err(OpenError::NotAuthentic("it is locked to more than one person"));
    };
    let (_, key) = decrypting.iter().find(|(ours, _)| ours == kid).ok_or(OpenError::Locked)?;
    let plaintext = parsed.open(keys, kid, key).await.map_err(|_| OpenError::Undecryptable)?;
    let unreadable = OpenError::NotAuthentic("it cannot be read");
    let plaintext: Plaintext = cbor::decode(&plaintext, SEALED_LIMIT).map_err(|_| unreadable.clone())?;
    let note: Note = cbor::decode(&plaintext.note, SEALED_LIMIT).map_err(|_| unreadable.clone())?;
    if note.title.len() > limits::TITLE {
        return Err(unreadable);
    }
    verify_device(&draft.device, &signed_bytes(&plaintext.note), &plaintext.sig)
        .map_err(|_| OpenError::NotAuthentic("its signature is not valid"))?;
    let checks = [
        (note.room == place.room, "it was written for another room"),
        (note.from == draft.author, "it was written by somebody else"),
        (note.to == *place.me, "it was written to somebody else"),
    ];
    match checks.iter().find(|(holds, _)| !holds) {
        Some((_, why)) => Err(OpenError::NotAuthentic(why)),
        None => Ok(note),
    }
}
