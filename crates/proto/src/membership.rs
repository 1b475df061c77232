//! Who comes into a group and who goes: the bodies of the open entries that say so. Who may say it is `trust::members`'.
//!
//! Each names the draft of the membership entry before it, and the draft names the room's epoch, the count of those
//! entries: so each is an answer to a state that its author has seen, and the hub takes one answer only.

use crate::frame::RoomRef;
use crate::{Hash, UserName, limits};
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

/// The body of an invitation in somebody's inbox. The server learns which room it is about, so that it can follow it;
/// the rest is for the invited person alone.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Invitation {
    /// The group.
    #[n(0)]
    pub room: RoomRef,
    /// A JWE for the invited person: what the group is called, and where it stood.
    #[cbor(n(1), with = "crate::cbor::raw")]
    pub sealed: Bytes,
}

/// Bytes of the sealed part of an [`Invitation`].
pub const SEALED_LIMIT: usize = 8 * 1024;
/// Bytes of any body in here.
pub const BODY_LIMIT: usize = limits::SERVER_NAME + limits::LOCAL_NAME + 256;
