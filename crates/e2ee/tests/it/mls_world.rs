//! A room on MLS under test: a hub that judges by `trust`, and devices that keep their state as a profile does: what changes is kept with
//! the entry that it belongs to, or is lost with it.

use crate::samples::*;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::mls::{self, Followed, Made, MlsError, State, Text, Unreadable};
use tidings_e2ee::suite::Change;
use tidings_proto::membership::{self, Commit, Invite, Join, Leave, Remove, SetRole};
use tidings_proto::{Draft, Encoded, Genesis, Hash, Kind, Nonce, Role, RoomId, SuiteName, UserName, cbor};
use tidings_trust::members::MembersError;
use tidings_trust::mls::key_package;
use tidings_trust::{KeyState, Members};

/// The room, as its hub has it: who is in it, and every entry.
pub struct Hub {
    pub genesis: Genesis,
    pub members: Members,
    pub log: Vec<Encoded<Draft>>,
    /// The members after each entry.
    pub after: Vec<Members>,
    pub keys: BTreeMap<UserName, Arc<KeyState>>,
}

/// A device with its profile.
pub struct Device {
    pub user: UserName,
    pub secret: DeviceSecret,
    pub list: u64,
    pub profile: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Its key packages, as its server has them.
    pub packages: Vec<Bytes>,
    /// How far it has come in the log.
    pub seen: usize,
    n: u64,
    /// Its own drafts that are on their way, by hash.
    own: Vec<Hash>,
}

impl Hub {
    pub fn of(genesis: Genesis, people: &[&KeyState]) -> Hub {
        let keys: BTreeMap<_, _> = people.iter().map(|state| (state.list.user.clone(), Arc::new((*state).clone()))).collect();
        let (members, log) = match &genesis {
            Genesis::Direct(direct) => (Members::direct(direct), direct.draft()),
            Genesis::Group(group) => {
                let draft = Draft {
                    device: device(1).public(),
                    n: 1,
                    author: group.creator.clone(),
                    list: 1,
                    epoch: None,
                    kind: Kind::Genesis,
                    body: genesis.encode(),
                    sig: None,
                };
                let draft = draft.signed(&genesis.log(), |bytes| device(1).sign(bytes));
                (Members::begin(group, &draft, &keys[&group.creator]).unwrap(), draft)
            }
        };
        Hub { genesis, after: vec![members.clone()], members, log: vec![log], keys }
    }

    /// Alice's and bob's direct room.
    pub fn direct() -> Hub {
        Hub::of(Genesis::direct(SuiteName::Mls1, ALICE.user(), BOB.user()), &[&ALICE.state, &BOB.state])
    }

    /// A group of alice's.
    pub fn group() -> Hub {
        Hub::of(Genesis::group(SuiteName::Mls1, ALICE.user(), Nonce([7; 32])), &[&ALICE.state, &BOB.state, &CAROL.state])
    }

    pub fn room(&self) -> RoomId {
        self.genesis.room()
    }

    /// Takes a draft, if it may be taken.
    pub fn take(&mut self, draft: &Encoded<Draft>) -> Result<(), MembersError> {
        let author = self.keys[&draft.author].clone();
        if draft.kind == Kind::Sealed {
            self.members.may_write(draft, &author)?;
            if draft.epoch != Some(self.members.epoch()) || !self.members.is_in_line() {
                return Err(MembersError::Stale);
            }
        } else {
            let keys = self.keys.clone();
            self.members = self.members.apply(self.log.len() as u64 + 1, draft, &author, |user| keys.get(user).cloned())?;
        }
        self.log.push(draft.clone());
        self.after.push(self.members.clone());
        Ok(())
    }

    pub fn learn(&mut self, state: KeyState) {
        self.keys.insert(state.list.user.clone(), Arc::new(state));
    }
}

impl Device {
    pub fn new(person: &Person) -> Device {
        Device::on(person.user(), person.device.clone(), 1)
    }

    pub fn on(user: &UserName, secret: DeviceSecret, list: u64) -> Device {
        let mut device =
            Device { user: user.clone(), secret, list, profile: BTreeMap::new(), packages: Vec::new(), seen: 0, n: 0, own: Vec::new() };
        device.packages = device.with(|state, me| me.key_packages(state, 3, false)).unwrap();
        device
    }

    /// Does something, and keeps what has changed if it came about.
    pub fn with<T>(&mut self, work: impl FnOnce(&State<'_>, &mls::Device<'_>) -> Result<T, MlsError>) -> Result<T, MlsError> {
        let profile = self.profile.clone();
        let read = |key: &[u8]| Ok::<_, Unreadable>(profile.get(key).cloned());
        let state = State::new(&read);
        let done = work(&state, &mls::Device { secret: &self.secret, user: &self.user, list: self.list })?;
        for change in state.take_changes().0 {
            match change {
                Change::Put(key, value) => drop(self.profile.insert(key, value)),
                Change::Delete(key) => drop(self.profile.remove(&key)),
            }
        }
        Ok(done)
    }

    /// A key package of this device's, taken from its server.
    pub fn claimed(&mut self, keys: &KeyState) -> openmls::prelude::KeyPackage {
        let package = self.packages.pop().unwrap();
        key_package(&package, &self.secret.public(), keys).unwrap()
    }

    pub fn draft(&mut self, hub: &Hub, kind: Kind, body: Bytes) -> Encoded<Draft> {
        self.n += 1;
        let draft = Draft {
            device: self.secret.public(),
            n: self.n,
            author: self.user.clone(),
            list: self.list,
            epoch: Some(hub.members.epoch()),
            kind,
            body,
            sig: None,
        };
        let draft = match kind {
            Kind::Sealed => Encoded::new(draft),
            _ => draft.signed(&hub.genesis.log(), |bytes| self.secret.sign(bytes)),
        };
        self.own.push(draft.hash());
        draft
    }

    /// A commit of this device's, as a draft.
    pub fn commit_draft(&mut self, hub: &Hub, made: Made, change: Option<membership::Change>) -> Encoded<Draft> {
        let Made { commit, group_info, welcome } = made;
        let body = cbor::encode(&Commit { prev: hub.members.last(), change, commit, group_info, welcome });
        self.draft(hub, Kind::Commit, body.into())
    }

    /// Begins the room's keys with these devices.
    pub fn begins(&mut self, hub: &mut Hub, others: &mut [&mut Device]) -> Result<(), MembersError> {
        let adds: Vec<_> = others.iter_mut().map(|other| other.claimed(&hub.keys[&other.user].clone())).collect();
        let (room, bound) = (hub.room(), hub.members.bound());
        let made = self.with(|state, me| me.begin(state, &room, &bound, &adds)).unwrap();
        let draft = self.commit_draft(hub, made, None);
        hub.take(&draft)
    }

    /// Commits a change of the members, with what follows for the tree: `others` are added, and who is not in any more removed.
    pub fn commits(&mut self, hub: &mut Hub, change: Option<Does>, others: &mut [&mut Device]) -> Result<(), MembersError> {
        let adds: Vec<_> = others.iter_mut().map(|other| other.claimed(&hub.keys[&other.user].clone())).collect();
        let draft = self.commit_of(hub, change, &adds);
        hub.take(&draft)
    }

    pub fn commit_of(&mut self, hub: &Hub, change: Option<Does>, adds: &[openmls::prelude::KeyPackage]) -> Encoded<Draft> {
        let room = hub.room();
        let change = change.map(|does| does.change(hub));
        let (bound, removed) = bound_after(hub, change.as_ref(), &self.user);
        let removes: Vec<u32> =
            hub.members.tree().unwrap().leaves().iter().filter(|leaf| removed.contains(&leaf.user)).map(|leaf| leaf.index).collect();
        let made = self.with(|state, me| me.commit(state, &room, &bound, adds, &removes)).unwrap();
        self.commit_draft(hub, made, change)
    }

    /// Comes in on its own; with an invitation, as a member.
    pub fn comes_in(&mut self, hub: &mut Hub, joins: bool) -> Result<(), MembersError> {
        let room = hub.room();
        let change = joins.then(|| Does::Join.change(hub));
        let info = newest_group_info(hub);
        let tree = hub.members.tree().unwrap().clone();
        let made = self.with(|state, me| me.come_in(state, &room, &info, &tree)).unwrap();
        let draft = self.commit_draft(hub, made, change);
        hub.take(&draft)
    }

    /// Seals a text, as a draft.
    pub fn seals(&mut self, hub: &Hub, text: &str) -> Result<Encoded<Draft>, MlsError> {
        let room = hub.room();
        let body = self.with(|state, me| me.seal(state, &room, b"where", text.as_bytes()))?;
        Ok(self.draft(hub, Kind::Sealed, body))
    }

    pub fn says(&mut self, hub: &mut Hub, text: &str) {
        let draft = self.seals(hub, text).unwrap();
        hub.take(&draft).unwrap();
    }

    /// Says something, once all that came before is read.
    pub fn says_after(&mut self, hub: &mut Hub, text: &str) {
        self.reads(hub);
        self.says(hub, text);
    }

    /// Commits a change that stands, and takes it.
    pub fn commits_after(&mut self, hub: &mut Hub, does: impl Into<Option<Does>>) {
        self.reads(hub);
        self.commits(hub, does.into(), &mut []).unwrap();
        self.reads(hub);
    }

    /// Reads the log as far as it goes: what it could open, in order, and what became of the last commit.
    pub fn reads(&mut self, hub: &Hub) -> (Vec<Result<String, MlsError>>, Followed) {
        let (mut texts, mut followed) = (Vec::new(), Followed::Out);
        let room = hub.room();
        while self.seen < hub.log.len() {
            let (draft, tree) = (&hub.log[self.seen], hub.after[self.seen].tree());
            self.seen += 1;
            let is_own = self.own.contains(&draft.hash());
            match (draft.kind, tree) {
                (Kind::Commit, Some(tree)) => {
                    let Commit { commit, group_info, welcome, .. } = cbor::decode(&draft.body, 1 << 20).unwrap();
                    let (made, secret) = (Made { commit, group_info, welcome }, self.secret.clone());
                    followed = self.with(|state, _| mls::follow(state, &room, &made, tree, &secret)).unwrap();
                }
                (Kind::Sealed, Some(tree)) if !is_own => {
                    let opened = self.with(|state, _| mls::open(state, &room, &draft.body, tree));
                    texts.push(opened.map(|Text { by, text, .. }| format!("{}: {}", by.user, String::from_utf8(text).unwrap())));
                }
                _ => {}
            }
        }
        (texts, followed)
    }

    /// All that it could open; everything else is an error.
    pub fn texts(&mut self, hub: &Hub) -> Vec<String> {
        self.reads(hub).0.into_iter().map(|text| text.unwrap()).collect()
    }
}

/// What a commit does to a group's members.
#[derive(Clone)]
pub enum Does {
    Invite(UserName, Role),
    Join,
    Remove(UserName),
    SetRole(UserName, Role),
}

impl Does {
    pub fn change(self, hub: &Hub) -> membership::Change {
        let prev = hub.members.last();
        let identity = |user: &UserName| hub.keys[user].newest().identity.fingerprint().0;
        let (kind, body) = match self {
            Does::Invite(user, role) => (Kind::Invite, cbor::encode(&Invite { prev, identity: identity(&user), user, role })),
            Does::Join => (Kind::Join, cbor::encode(&Join { prev })),
            Does::Remove(user) => (Kind::Remove, cbor::encode(&Remove { prev, user, lost_by: None })),
            Does::SetRole(user, role) => (Kind::SetRole, cbor::encode(&SetRole { prev, user, role })),
        };
        membership::Change { kind, body: body.into() }
    }
}

/// Leaves the group, by an open entry.
pub fn leaves(device: &mut Device, hub: &mut Hub) -> Result<(), MembersError> {
    let body = cbor::encode(&Leave { prev: hub.members.last() });
    let draft = device.draft(hub, Kind::Leave, body.into());
    hub.take(&draft)
}

/// What the keys after a change have to bind, and who is out then.
fn bound_after(hub: &Hub, change: Option<&membership::Change>, author: &UserName) -> (Hash, Vec<UserName>) {
    let keys = hub.keys.clone();
    let after = hub.members.planned(change, author, |user| keys.get(user).cloned()).unwrap();
    let gone = |user: &UserName| !after.has(user);
    let users = hub.members.tree().unwrap().leaves().iter().map(|leaf| leaf.user.clone()).filter(gone).collect();
    (after.bound(), users)
}

pub fn newest_group_info(hub: &Hub) -> Bytes {
    let commit = hub.log.iter().rev().find(|draft| draft.kind == Kind::Commit).unwrap();
    cbor::decode::<Commit>(&commit.body, 1 << 20).unwrap().group_info
}
