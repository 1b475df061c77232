//! Rooms on MLS: who is in the tree has to be who is in the room. A commit is judged here, by hub, replica and client alike.

use super::{Change, Members, MembersError, Standing};
use crate::keys::KeyState;
use crate::mls::{Committed, Leaf, LeafError, Tree};
use minicbor::{Decode, Encode};
use std::sync::Arc;
use tidings_proto::membership::{self, Commit};
use tidings_proto::{Draft, Encoded, Hash, Kind, RoomId, SuiteName, UserName, cbor, label, limits};

/// The keys of a room on MLS.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Mls {
    /// The room, which the MLS group is named after.
    #[n(0)]
    pub room: RoomId,
    /// Its tree, once somebody has begun it.
    #[n(1)]
    pub tree: Option<Tree>,
    /// Whether the tree is exactly the members'.
    #[n(2)]
    pub in_line: bool,
}

impl Mls {
    /// A room's keys before they have begun, if it is on MLS.
    pub fn of(suite: SuiteName, room: impl FnOnce() -> RoomId) -> Option<Mls> {
        (suite == SuiteName::Mls1).then(|| Mls { room: room(), tree: None, in_line: false })
    }
}

impl Members {
    /// The members after a commit, entry `seq`: its change first, then its keys, which must be those of who is in then.
    pub(super) fn commit(
        &self,
        mls: &Mls,
        seq: u64,
        draft: &Encoded<Draft>,
        author: &KeyState,
        keys: &impl Fn(&UserName) -> Option<Arc<KeyState>>,
    ) -> Result<Members, MembersError> {
        let commit: Commit = cbor::decode(&draft.body, limits::DRAFT).map_err(|_| MembersError::Malformed)?;
        if draft.epoch != Some(self.epoch) || commit.prev != self.last || commit.commit.is_some() != mls.tree.is_some() {
            return Err(MembersError::Stale);
        }
        let mut next = self.clone();
        let joins = match &commit.change {
            None => {
                self.acting(draft, author)?;
                false
            }
            Some(_) if self.is_direct() => {
                return Err(MembersError::MayNot("nobody comes into a conversation of two, and nobody leaves it"));
            }
            Some(change) if change.kind == Kind::Leave => {
                return Err(MembersError::MayNot("nobody makes the keys of a group on leaving it"));
            }
            Some(change) => {
                let read = Change::read(change.kind, &change.body)?;
                if read.prev() != self.last {
                    return Err(MembersError::Stale);
                }
                next.change(self, read, draft, author, keys, seq)?;
                change.kind == Kind::Join
            }
        };
        let committed = match (&mls.tree, &commit.commit) {
            (Some(tree), Some(message)) => tree.commit(message, &commit.group_info)?,
            _ => Tree::begin(&mls.room, &commit.group_info)?,
        };
        next.takes(&committed, draft, joins, commit.change.is_some(), mls.tree.as_ref(), keys)?;
        if !self.is_direct() {
            next.last = draft.hash();
        }
        next.epoch = committed.tree.epoch();
        next.mls = Some(Box::new(Mls { room: mls.room, tree: Some(committed.tree), in_line: false }));
        next.settle_line();
        Ok(next)
    }

    /// The members as they will be once `author` has made this change, as far as it can be told before: what the keys that come with it have
    /// to bind, and whose devices they leave out.
    pub fn planned(
        &self,
        change: Option<&membership::Change>,
        author: &UserName,
        keys: impl Fn(&UserName) -> Option<Arc<KeyState>>,
    ) -> Result<Members, MembersError> {
        let mut next = self.clone();
        let Some(change) = change else { return Ok(next) };
        let role = self.person(author).filter(|person| person.standing == Standing::In).map(|person| person.role);
        let role = role.ok_or(MembersError::NotAMember)?;
        match Change::read(change.kind, &change.body)? {
            Change::Invite(invite) => next.invite(role, invite, &keys, 0)?,
            Change::Remove(remove) => next.remove(role, &remove, &keys, 0)?,
            Change::SetRole(set) => next.set_role(role, &set)?,
            Change::Join(_) | Change::Leave(_) => return Err(MembersError::MayNot("who comes or goes binds nobody")),
        }
        next.settle_owner();
        Ok(next)
    }

    /// Whether keys are those of these members, made by the author of `draft` as such a change is made.
    fn takes(
        &self,
        committed: &Committed,
        draft: &Draft,
        joins: bool,
        changes: bool,
        before: Option<&Tree>,
        keys: &impl Fn(&UserName) -> Option<Arc<KeyState>>,
    ) -> Result<(), MembersError> {
        let Committed { tree, by, external } = committed;
        if by.user != draft.author || by.device != draft.device {
            return Err(MembersError::MayNot("the keys were made by another device than the one that sends them"));
        }
        if joins != (*external && changes) {
            return Err(MembersError::MayNot("who comes into a group comes by keys of its own, and changes nothing else"));
        }
        // Who comes in on its own cannot bind anybody (RFC 9420 §12.4.3.2); whoever seals next does.
        if !external && tree.roster() != self.bound() {
            return Err(MembersError::MayNot("the keys bind other people, or other roles, than there are"));
        }
        if tree.leaves().len() > limits::MLS_DEVICES {
            return Err(MembersError::TooMany("a group has at most 1000 devices"));
        }
        let was_in = |leaf: &&Leaf| before.is_some_and(|tree| tree.leaves().iter().any(|old| old.device == leaf.device));
        if tree.leaves().iter().filter(|leaf| !was_in(leaf)).count() > limits::MLS_ADDS {
            return Err(MembersError::TooMany("one commit adds at most 100 devices"));
        }
        tree.leaves().iter().try_for_each(|leaf| self.is_members(leaf, keys))
    }

    /// Whether a device in the tree is one of a member's, who is still the person that came in.
    fn is_members(&self, leaf: &Leaf, keys: &impl Fn(&UserName) -> Option<Arc<KeyState>>) -> Result<(), MembersError> {
        let stranger = || MembersError::Stranger(leaf.user.clone());
        let person = self.people.get(&leaf.user).filter(|person| person.standing == Standing::In).ok_or_else(stranger)?;
        let state = keys(&leaf.user);
        leaf.check(state.as_deref()).map_err(|error| match error {
            LeafError::NotYet(user) => MembersError::NotYet(user),
            _ => stranger(),
        })?;
        let is_person = |state: &KeyState, version: &crate::VersionKeys| person.identity.is_none_or(|id| state.is_person(version, &id));
        let holds = state.as_deref().and_then(|state| Some(is_person(state, state.keys_of(leaf.list)?)));
        if holds == Some(true) { Ok(()) } else { Err(stranger()) }
    }

    /// What the keys of a room on MLS bind: SHA-256 over label ‖ everybody who is in or asked in, with identity and role. A group's keys
    /// that are another's, or under other roles, open nothing (RFC 9420 §8).
    pub fn bound(&self) -> Hash {
        let people: Vec<_> = self.people().map(|(user, person)| (user, &person.identity, person.role)).collect();
        let mut out = label::marked(label::MLS_ROSTER);
        out.extend(cbor::encode(&people));
        Hash::of(&out)
    }

    /// A room on MLS: its tree, once it has begun.
    pub fn tree(&self) -> Option<&Tree> {
        self.mls.as_ref()?.tree.as_ref()
    }

    /// Whether something may be sealed: always, but in a room on MLS only by keys that are exactly the members', so not before they have
    /// begun, nor after somebody has left until somebody else has made others.
    pub fn is_in_line(&self) -> bool {
        self.mls.as_ref().is_none_or(|mls| mls.in_line)
    }

    /// Looks whether the tree is the members', once either has changed.
    pub(super) fn settle_line(&mut self) {
        let Some(tree) = self.tree() else { return };
        let in_line = tree.roster() == self.bound() && tree.leaves().iter().all(|leaf| self.has(&leaf.user));
        if let Some(mls) = &mut self.mls {
            mls.in_line = in_line;
        }
    }
}
