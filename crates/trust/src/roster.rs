//! Who is in a room, with the keys that count. Its hash is bound into every message, so nobody can be slipped in.

use crate::keys::KeyState;
use crate::members::{Members, Person, Standing};
use crate::rsa::{Fingerprint, RsaPublicKey};
use minicbor::{Decode, Encode};
use std::sync::Arc;
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
    /// RFC 7638 thumbprint of their encryption key; none of who is only asked in, and is not sealed to.
    #[n(2)]
    pub encryption: Option<Hash>,
    /// What they may do.
    #[n(3)]
    pub role: Role,
    /// In, or asked in.
    #[n(4)]
    pub status: Status,
}

/// The people of a room, sorted by name in byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster(Vec<RosterMember>);

/// Why there is no roster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// Somebody's keys are not known, or not in a version that has this encryption key.
    #[error("the keys of {0} have not arrived here yet")]
    NotYet(UserName),
    /// Somebody's account is closed, or is not the person's any more who came in.
    #[error("{0} is not the person any more who came in")]
    Lost(UserName),
    /// The keys are not one for each member.
    #[error("it is not locked to exactly this room's members")]
    OtherMembers,
}

type Keys<'a> = &'a dyn Fn(&UserName) -> Option<Arc<KeyState>>;

impl Roster {
    /// The roster to seal to, with the newest keys of each, and the members' encryption keys in its order.
    pub fn to_seal(members: &Members, keys: Keys<'_>) -> Result<(Roster, Vec<RsaPublicKey>), RosterError> {
        let mut encryption = Vec::new();
        let roster = Roster::build(members, |user, person| {
            let state = keys(user).ok_or_else(|| RosterError::NotYet(user.clone()))?;
            if state.closed || person.identity.is_some_and(|identity| !state.is_still(&identity)) {
                return Err(RosterError::Lost(user.clone()));
            }
            encryption.push(state.newest().encryption.clone());
            Ok((state.newest().identity.fingerprint(), state.newest().encryption.thumbprint()))
        })?;
        Ok((roster, encryption))
    }

    /// The roster that a message was sealed to, by the encryption keys (RFC 7638 thumbprints) that it names, in the order of
    /// the roster: an author uses the newest keys that it knows, which need not be the newest there are.
    pub fn to_open(members: &Members, locked_to: &[Hash], keys: Keys<'_>) -> Result<Roster, RosterError> {
        if locked_to.len() != members.members().count() {
            return Err(RosterError::OtherMembers);
        }
        let mut locked_to = locked_to.iter();
        Roster::build(members, |user, person| {
            let thumbprint = locked_to.next().ok_or(RosterError::OtherMembers)?;
            let state = keys(user).ok_or_else(|| RosterError::NotYet(user.clone()))?;
            let found = state.with_encryption(thumbprint).ok_or_else(|| RosterError::NotYet(user.clone()))?;
            if person.identity.is_some_and(|identity| !state.is_person(found, &identity)) {
                return Err(RosterError::Lost(user.clone()));
            }
            Ok((found.identity.fingerprint(), *thumbprint))
        })
    }

    fn build(
        members: &Members,
        mut keys_of: impl FnMut(&UserName, &Person) -> Result<(Fingerprint, Hash), RosterError>,
    ) -> Result<Roster, RosterError> {
        let mut people: Vec<(&UserName, &Person)> = members.people().collect();
        people.sort_by_key(|(user, _)| user.to_string());
        let line = |(user, person): (&UserName, &Person)| {
            let (identity, encryption, status) = match (person.standing, person.identity) {
                (Standing::Invited, Some(identity)) => (identity, None, Status::Invited),
                _ => {
                    let (identity, encryption) = keys_of(user, person)?;
                    (identity, Some(encryption), Status::Member)
                }
            };
            Ok(RosterMember { user: user.clone(), identity, encryption, role: person.role, status })
        };
        people.into_iter().map(line).collect::<Result<_, RosterError>>().map(Roster)
    }

    /// The people, in order.
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
