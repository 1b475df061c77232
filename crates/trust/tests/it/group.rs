//! A group under test: people with keys, and entries made for the state they meet.

use crate::samples::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidings_proto::membership::{Invite, Join, Leave, Remove, SetRole};
use tidings_proto::{Draft, Encoded, Genesis, Hash, Kind, Nonce, Role, SuiteName, UserName, cbor};
use tidings_trust::members::MembersError;
use tidings_trust::{KeyState, Members};

/// What somebody does to a group.
#[derive(Debug, Clone)]
pub enum Act {
    /// Asks a user in, with the identity that the user has by now.
    Invite(UserName, Role),
    Join,
    Leave,
    Remove(UserName),
    /// Puts a user out whose account is not theirs any more by this version of its history.
    RemoveLost(UserName, u64),
    SetRole(UserName, Role),
}

/// A group, and everybody's keys as the judge knows them.
#[derive(Clone)]
pub struct Room {
    pub members: Members,
    /// The last entry.
    pub seq: u64,
    pub keys: BTreeMap<UserName, Arc<KeyState>>,
}

pub fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

impl Room {
    /// A group that alice has made; the keys of alice, bob, carol, dave and eve are known.
    pub fn new() -> Room {
        let others = ["bob@s2", "carol@s2", "dave@s3", "eve@s1"].map(|user| person(user, [&C, &D], 51));
        let keys = [alice_state()].into_iter().chain(others).map(|state| (state.list.user.clone(), Arc::new(state))).collect();
        let genesis = genesis();
        let begun = Members::begin(genesis.as_group().unwrap(), &beginning(), &alice_state()).unwrap();
        Room { members: begun, seq: 1, keys }
    }

    /// The same, with these people in as members, the first of them from entry 3 on.
    pub fn with(people: &[&str]) -> Room {
        let mut room = Room::new();
        for user in people {
            room.enter(user, Role::Member);
        }
        room
    }

    /// Alice asks somebody in, who comes.
    pub fn enter(&mut self, user: &str, role: Role) {
        self.act("alice@s1", Act::Invite(name(user), role)).unwrap();
        self.act(user, Act::Join).unwrap();
    }

    /// The judge learns of newer keys.
    pub fn learn(&mut self, state: KeyState) {
        self.keys.insert(state.list.user.clone(), Arc::new(state));
    }

    /// The draft by which `author` does this, made for the state the group is in, under the newest list.
    pub fn draft(&self, author: &str, act: &Act) -> Encoded<Draft> {
        self.draft_after(author, act, self.members.epoch(), self.members.last())
    }

    /// The same, made for another state.
    pub fn draft_after(&self, author: &str, act: &Act, epoch: u64, prev: Hash) -> Encoded<Draft> {
        let identity_of = |user: &UserName| self.keys[user].newest().identity.fingerprint().0;
        let (kind, body) = match act.clone() {
            Act::Invite(user, role) => (Kind::Invite, cbor::encode(&Invite { prev, identity: identity_of(&user), user, role })),
            Act::Join => (Kind::Join, cbor::encode(&Join { prev })),
            Act::Leave => (Kind::Leave, cbor::encode(&Leave { prev })),
            Act::Remove(user) => (Kind::Remove, cbor::encode(&Remove { prev, user, lost_by: None })),
            Act::RemoveLost(user, version) => (Kind::Remove, cbor::encode(&Remove { prev, user, lost_by: Some(version) })),
            Act::SetRole(user, role) => (Kind::SetRole, cbor::encode(&SetRole { prev, user, role })),
        };
        let state = &self.keys[&name(author)];
        let device = state.list.devices[0].key;
        let draft =
            Draft { device, n: 1, author: name(author), list: state.list.version, epoch: Some(epoch), kind, body: body.into(), sig: None };
        Encoded::new(draft)
    }

    /// What a judge says to `draft` as the next entry.
    pub fn judge(&self, draft: &Encoded<Draft>) -> Result<Members, MembersError> {
        self.members.apply(self.seq + 1, draft, &self.keys[&draft.author], |user| self.keys.get(user).cloned())
    }

    /// Somebody does something; what is accepted is the next entry.
    pub fn act(&mut self, author: &str, act: Act) -> Result<(), MembersError> {
        self.members = self.judge(&self.draft(author, &act))?;
        self.seq += 1;
        Ok(())
    }

    pub fn keys_of(&self) -> impl Fn(&UserName) -> Option<Arc<KeyState>> + '_ {
        |user| self.keys.get(user).cloned()
    }
}

/// Alice's group.
pub fn genesis() -> Genesis {
    Genesis::group(SuiteName::RsaJwe1, &alice(), Nonce([4; 32]))
}

/// Its first entry.
pub fn beginning() -> Encoded<Draft> {
    Encoded::new(Draft {
        device: device_key(1),
        n: 1,
        author: alice(),
        list: 1,
        epoch: None,
        kind: Kind::Genesis,
        body: genesis().encode(),
        sig: None,
    })
}
