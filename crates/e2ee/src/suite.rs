//! A suite: how a room's messages are sealed and opened. A room has one, named in its genesis.

pub mod mls;
pub mod rsa_jwe;

use bytes::Bytes;
use std::future::Future;
use std::sync::Arc;
use tidings_proto::{Content, DeviceKey, Draft, Encoded, Hash, KeysSeen, RoomId, SuiteName, UserName, limits};
use tidings_trust::{KeyState, Members, Roster, RsaPublicKey};

/// What a suite promises, in words for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Properties {
    /// Its name.
    pub name: SuiteName,
    /// Whether a key taken later leaves earlier messages closed.
    pub forward_secrecy: bool,
    /// Whether a room becomes safe again after a key was taken.
    pub healing: bool,
    /// Whether it withstands a quantum computer.
    pub post_quantum: bool,
    /// How many users a room may have.
    pub max_members: usize,
    /// What is shown to people.
    pub words: &'static str,
}

/// Changes of a suite's state, to be committed with the message they belong to, before it is sent or acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(pub Vec<Change>);

/// One change of a suite's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Keep this value.
    Put(Vec<u8>, Vec<u8>),
    /// Forget it.
    Delete(Vec<u8>),
}

/// What a message is bound to when it is sealed.
pub struct SealContext<'a> {
    /// The room, by the hash of its whole genesis.
    pub room: RoomId,
    /// Who writes.
    pub author: &'a UserName,
    /// This device's draft number in the room's log.
    pub n: u64,
    /// The version of the author's device list.
    pub list: u64,
    /// The room's epoch.
    pub epoch: u64,
    /// Who is in the room.
    pub roster: &'a Roster,
    /// The encryption keys of those who have joined, in roster order.
    pub keys: &'a [RsaPublicKey],
    /// The last entry of the room that the author has seen, and the chain's hash there.
    pub seen: (u64, Hash),
    /// What the author has seen of key histories; the first [`limits::KEYS_SEEN`] of it are said.
    pub keys_seen: &'a [KeysSeen],
}

/// What a message is held against when it is opened.
pub struct OpenContext<'a> {
    /// The room.
    pub room: RoomId,
    /// The draft as the hub gave it.
    pub draft: &'a Encoded<Draft>,
    /// The key history of the user that the draft names.
    pub author: &'a KeyState,
    /// Who is in the room at the place of the draft.
    pub members: &'a Members,
    /// The members' key histories, as far as they are known.
    pub keys: &'a (dyn Fn(&UserName) -> Option<Arc<KeyState>> + Sync),
}

/// What came out of a message. The author is proved, not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What was written.
    pub content: Content,
    /// By whom: a device of theirs has signed this content for this room.
    pub author: UserName,
    /// By which device.
    pub device: DeviceKey,
    /// As which of its drafts.
    pub n: u64,
    /// What its author had last seen of the room.
    pub seen: (u64, Hash),
    /// What its author had seen of key histories: their word, which may be anything.
    pub keys_seen: Vec<KeysSeen>,
}

/// A message cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// More members than the suite can do.
    #[error("a room on this suite has at most {0} members")]
    TooManyMembers(usize),
    /// Keys and roster do not belong together.
    #[error("the members' keys are not those of the roster")]
    WrongKeys,
    /// The content is too large once sealed.
    #[error("the message is too large")]
    TooLarge,
    /// A key failed.
    #[error("a member's key cannot be used")]
    Key,
}

/// A message is not opened. It is shown as such, with its author's claimed name and this reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It cannot be decrypted; why, is never said.
    #[error("it cannot be decrypted with this account's keys")]
    Undecryptable,
    /// It is not what its place says: moved from elsewhere, changed, or not its author's.
    #[error("it does not belong where it was found: {0}")]
    NotAuthentic(&'static str),
    /// Somebody's device list is not known in the version that counts; try again when it is.
    #[error("the keys of {0} have not arrived here yet")]
    NotYet(UserName),
    /// It is locked to a key of this account that this device does not have: the account's keys were changed on another.
    #[error("this account's keys were changed on another device; log in again to get them")]
    Locked,
}

/// As it travels: nothing where there is nothing to say.
fn some_seen(keys: &[KeysSeen]) -> Option<Vec<KeysSeen>> {
    let some = &keys[..keys.len().min(limits::KEYS_SEEN)];
    (!some.is_empty()).then(|| some.to_vec())
}

/// As it came: of more than anybody says, the rest is not heard.
fn heard_seen(keys: Option<Vec<KeysSeen>>) -> Vec<KeysSeen> {
    let mut keys = keys.unwrap_or_default();
    keys.truncate(limits::KEYS_SEEN);
    keys
}

/// How a room's messages are sealed and opened. Nothing falls back to anything else.
pub trait Suite {
    /// What it promises.
    fn properties(&self) -> Properties;
    /// Seals `content`.
    fn seal(&self, context: &SealContext<'_>, content: &Content) -> impl Future<Output = Result<(Bytes, Changes), SealError>>;
    /// Opens a draft's body.
    fn open(&self, context: &OpenContext<'_>) -> impl Future<Output = Result<(Opened, Changes), OpenError>>;
}
