//! Who comes into a group and who goes: the bodies of the open entries that say so. Who may say it is `trust::members`'.
//!
//! Each names the draft of the membership entry before it, and the draft names the room's epoch, the count of those
//! entries: so each is an answer to a state that its author has seen, and the hub takes one answer only.

use crate::cbor::raw;
use crate::frame::RoomRef;
use crate::{Hash, Kind, UserName, limits};
use bytes::Bytes;
use minicbor::{Decode, Encode};

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Everything.
    #[n(0)]
    Owner,
    /// Invite, remove members, erase.
    #[n(1)]
    Admin,
    /// Read and write.
    #[n(2)]
    Member,
}

/// Asks somebody in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Invite {
    /// SHA-256 of the draft of the membership entry before this one; of the genesis, where there is none.
    #[n(0)]
    pub prev: Hash,
    /// Whom.
    #[n(1)]
    pub user: UserName,
    /// SHA-256 of the SPKI of that person's identity key, as the author knows it: nobody else comes in by this name.
    #[n(2)]
    pub identity: Hash,
    /// As what.
    #[n(3)]
    pub role: Role,
}

/// Comes in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Join {
    /// As in [`Invite`].
    #[n(0)]
    pub prev: Hash,
}

/// Goes, or declines.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Leave {
    /// As in [`Invite`].
    #[n(0)]
    pub prev: Hash,
}

/// Puts somebody out.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Remove {
    /// As in [`Invite`].
    #[n(0)]
    pub prev: Hash,
    /// Whom.
    #[n(1)]
    pub user: UserName,
    /// By which version of that person's key history the account is not theirs any more, as the author knows it; none where it is,
    /// or nothing is known. Who knows less of that history cannot say yet that it is not so.
    #[n(2)]
    pub lost_by: Option<u64>,
}

/// Gives somebody another role.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SetRole {
    /// As in [`Invite`].
    #[n(0)]
    pub prev: Hash,
    /// Whom.
    #[n(1)]
    pub user: UserName,
    /// Which.
    #[n(2)]
    pub role: Role,
}

/// The next epoch of a room on MLS (RFC 9420 §12.4), or its first. What it changes of a group's members stands in it: the two are taken
/// together, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Commit {
    /// As in [`Invite`]; zero in a direct room.
    #[n(0)]
    pub prev: Hash,
    /// Groups: the change of its members that comes with it.
    #[n(1)]
    pub change: Option<Change>,
    /// An MLSMessage with the Commit in a PublicMessage; none where the room's keys begin.
    #[cbor(n(2), with = "raw::option")]
    pub commit: Option<Bytes>,
    /// An MLSMessage with the GroupInfo of the new epoch, by which a device may come in on its own; where the keys begin, with the tree.
    #[cbor(n(3), with = "raw")]
    pub group_info: Bytes,
    /// An MLSMessage with the Welcome of the devices that are added, if any are.
    #[cbor(n(4), with = "raw::option")]
    pub welcome: Option<Bytes>,
}

/// A change of a group's members inside a [`Commit`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Change {
    /// Which: an [`Invite`], [`Join`], [`Remove`] or [`SetRole`].
    #[n(0)]
    pub kind: Kind,
    /// The body of that kind.
    #[cbor(n(1), with = "raw")]
    pub body: Bytes,
}

/// The body of an invitation in somebody's inbox. The server learns which room it is about, so that it can follow it;
/// the rest is for the invited person alone.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Invitation {
    /// The group.
    #[n(0)]
    pub room: RoomRef,
    /// A JWE for the invited person: what the group is called, and where it stood.
    #[cbor(n(1), with = "raw")]
    pub sealed: Bytes,
}

/// Bytes of the sealed part of an [`Invitation`].
pub const SEALED_LIMIT: usize = 8 * 1024;
/// Bytes of any other body in here but a [`Commit`]'s, which may be as long as a draft.
pub const BODY_LIMIT: usize = limits::SERVER_NAME + limits::LOCAL_NAME + 256;
