//! Who is in a room, with the keys that count. Its hash is bound into every message, so nobody can be slipped in.

use crate::keys::KeyState;
use crate::rsa::Fingerprint;
use minicbor::{Decode, Encode};
use tidings_proto::{Hash, UserName, cbor, label};

pub use tidings_proto::Role;

/// Whether somebody is in, or only asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Status {
    /// Not sealed to yet.
    #[n(0)]
    Invited,
    /// In.
    #[n(1)]
    Member,
}

/// One line of a roster.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RosterMember {
    /// Who.
    #[n(0)]
    pub user: UserName,
    /// Their identity.
    #[n(1)]
    pub identity: Fingerprint,
    /// RFC 7638 thumbprint of their encryption key.
    #[n(2)]
    pub encryption: Hash,
    /// What they may do.
    #[n(3)]
    pub role: Role,
    /// In, or asked in.
    #[n(4)]
    pub status: Status,
}

/// The members of a room, sorted by name in byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster(Vec<RosterMember>);

impl Roster {
    /// A roster of these members.
    pub fn new(mut members: Vec<RosterMember>) -> Roster {
        members.sort_by_key(|member| member.user.to_string());
        members.dedup_by(|a, b| a.user == b.user);
        Roster(members)
    }

    /// The roster of a direct room: both are members, nobody is more.
    pub fn direct(a: &KeyState, b: &KeyState) -> Roster {
        let member = |state: &KeyState| RosterMember {
            user: state.list.user.clone(),
            identity: state.list.identity.fingerprint(),
            encryption: state.list.encryption.thumbprint(),
            role: Role::Member,
            status: Status::Member,
        };
        Roster::new(vec![member(a), member(b)])
    }

    /// The members, in order.
    pub fn members(&self) -> &[RosterMember] {
        &self.0
    }

    /// SHA-256 over label ‖ the encoded roster.
    pub fn hash(&self) -> Hash {
        let mut out = label::marked(label::ROSTER);
        out.extend(cbor::encode(&self.0));
        Hash::of(&out)
    }
}
