//! Rooms on MLS: what keeps something from being sealed there, and the commit that mends it.
//!
//! A commit is made of how the room stands in the moment in which it is sealed: it brings the tree in line with who is in, whatever else it is
//! for. What was sealed and refused is made anew, of how the room stands then.

use super::Engine;
use super::followed::RoomState;
use super::needs::{Hindrance, Room};
use super::place::Placed;
use crate::ClientError;
use crate::crypto::mls::{Add, CommitJob, Way};
use crate::platform::Instant;
use crate::store::OutboxRow;
use bytes::Bytes;
use std::sync::Arc;
use tidings_proto::membership::Change;
use tidings_proto::{Code, Genesis, Hash, Kind, LogName, SuiteName, UserName};
use tidings_trust::{KeyState, Members};

impl Engine {
    /// Whether this device can seal in a room on MLS now: the tree is the members', and no device is in it that was taken off since.
    pub(super) fn has_keys(&self, room: &RoomState) -> bool {
        let Some(members) = room.members.as_deref() else { return false };
        let Some(tree) = members.tree() else { return false };
        let people = self.core.people();
        let is_listed = |user: &UserName, device| people.state(user).is_some_and(|keys| keys.device(device).is_some());
        members.is_in_line() && room.epoch == Some(tree.epoch()) && tree.leaves().iter().all(|leaf| is_listed(&leaf.user, &leaf.device))
    }

    /// Whether what is accepted are keys that count here only once they come back from their log. Their row stays until then: on another link,
    /// too, nothing else is to be made of what is pending.
    pub(super) fn comes_back(&self, req: u32) -> bool {
        let Some((log, parcel)) = self.outbox.parcel_of(req) else { return false };
        let Some(followed) = self.logs.get(log) else { return false };
        let is_on_mls = followed.room.as_ref().is_some_and(|room| room.genesis.suite() == SuiteName::Mls1);
        let this = (self.me().clone(), self.core.crypto.device());
        let heard = followed.counted.as_ref().and_then(|counted| counted.get(&this)).map_or(0, |heard| heard.n);
        is_on_mls && parcel.kind.is_membership() && parcel.kind != Kind::Leave && parcel.n > heard
    }

    /// Changes of members and keys that this device has made, by their places: number and bytes.
    pub(super) fn made_here(&self, placed: &[Placed]) -> Vec<(u64, u64, Bytes)> {
        let device = self.core.crypto.device();
        let drafts = placed.iter().filter_map(|placed| Some((placed.entry.seq, placed.entry.draft()?)));
        let mine = drafts.filter(|(_, draft)| draft.kind.is_membership() && draft.device == device && draft.author == *self.me());
        mine.map(|(seq, draft)| (seq, draft.n, draft.bytes().clone())).collect()
    }

    /// Other keys are wanted for a room, unless they are on their way.
    pub(super) fn want_keys(&mut self, log: &LogName, now: Instant) {
        let is_under_way = self.unsealed.values().any(|row| row.log == *log && row.kind == Kind::Commit);
        if !is_under_way && self.packages.may_commit(log, now) {
            self.rekeys.insert(log.clone());
        }
    }

    /// Commits that are wanted go into the outbox, one for each room. Whether there is one more now.
    pub(super) async fn rekey(&mut self) -> Result<bool, ClientError> {
        let mut more = false;
        for log in std::mem::take(&mut self.rekeys) {
            more |= self.core.stored(move |store| store.to_send(&log, Kind::Commit, b"")).await?;
        }
        Ok(more)
    }

    /// A device that is not in the tree of a room that it should be in, or has lost its keys, comes in on its own: once all is here that may
    /// bring it in.
    pub(super) fn come_in(&mut self, now: Instant) {
        if !self.caught_up {
            return;
        }
        for log in std::mem::take(&mut self.moved) {
            let Some(followed) = self.logs.get(&log).filter(|followed| followed.is_flowing() && !followed.changing) else { continue };
            let Some(room) = &followed.room else { continue };
            let Some(members) = room.members.as_deref().filter(|members| members.has(self.me())) else { continue };
            if members.tree().is_some_and(|tree| room.epoch != Some(tree.epoch())) {
                self.want_keys(&log, now);
            }
        }
    }

    /// A commit cannot be made. Where there are no keys without it, what waits for them fails with the same reason; elsewhere it is tried again.
    pub(super) async fn no_rekey(&mut self, row: &OutboxRow, why: String, code: &'static str, now: Instant) -> Result<(), ClientError> {
        self.packages.refused(&row.log, now);
        let (id, log) = (row.id, row.log.clone());
        let room = self.logs.get(&log).and_then(|followed| followed.room.as_ref());
        let has_begun = room.and_then(|room| room.members.as_deref()).is_some_and(|members| members.tree().is_some());
        // Of what was sent already the answer is awaited.
        let may_fail = !has_begun && self.outbox.load(&log) == 0;
        if may_fail {
            self.unsealed.retain(|_, row| row.log != log);
        }
        let commit = move |store: &crate::store::Store| {
            store.failed(id, &why, Some(code))?;
            if may_fail { store.failed_all(&log, &why, Some(code)) } else { Ok(()) }
        };
        self.core.stored(commit).await
    }

    /// A commit for a room, with a change of its members or without.
    pub(super) fn commit(&mut self, room: &Room, change: Option<Change>, now: Instant) -> Result<CommitJob, Hindrance> {
        let Room { genesis, members, .. } = room;
        let me = self.me().clone();
        let joins = change.as_ref().is_some_and(|change| change.kind == Kind::Join);
        let job = |way, change| CommitJob { room: genesis.room(), epoch: members.epoch(), prev: members.last(), change, way };
        let Some(tree) = members.tree() else {
            if joins {
                return Err(Hindrance::Later);
            }
            let (bound, people) = self.planned(genesis, members, None)?;
            let adds = self.wait_for_adds(&people, members, now)?;
            let mut others = people.iter().filter(|keys| keys.list.user != me);
            if let Some(without) = others.find(|keys| !adds.iter().any(|add| add.keys.list.user == keys.list.user)) {
                return Err(Hindrance::Never(no_keys(without), Code::NotFound.name()));
            }
            self.used(&adds);
            // What else is wanted comes with the next one.
            return Ok(job(Way::Begin { bound, adds }, None));
        };
        if joins || room.epoch != Some(tree.epoch()) {
            let tree = tree.clone();
            return Ok(job(Way::ComeIn { tree }, change.filter(|_| joins)));
        }
        let (bound, people) = self.planned(genesis, members, change.as_ref())?;
        let adds = self.wait_for_adds(&people, members, now)?;
        self.used(&adds);
        let stays = |user: &UserName, device| people.iter().any(|keys| keys.list.user == *user && keys.device(device).is_some());
        let removes: Vec<u32> = tree.leaves().iter().filter(|leaf| !stays(&leaf.user, &leaf.device)).map(|leaf| leaf.index).collect();
        if change.is_none() && members.is_in_line() && adds.is_empty() && removes.is_empty() {
            return Err(Hindrance::Needless);
        }
        Ok(job(Way::Go { bound, adds, removes }, change))
    }

    /// What the keys after a change have to bind, and the keys of those who are in then.
    fn planned(&mut self, genesis: &Genesis, members: &Members, change: Option<&Change>) -> Result<(Hash, Vec<Arc<KeyState>>), Hindrance> {
        let me = self.me().clone();
        let planned = {
            let people = self.core.people();
            members.planned(change, &me, |user| people.state(user))
        };
        let planned = planned.map_err(|error| Hindrance::Never(error.to_string(), Code::Forbidden.name()))?;
        let lost: Vec<UserName> = {
            let people = self.core.people();
            planned.lost(|user| people.state(user)).cloned().collect()
        };
        // Of whoever is not the person that came in any more no device stays, and none comes.
        let users: Vec<UserName> = planned.members().map(|(user, _)| user.clone()).filter(|user| !lost.contains(user)).collect();
        match genesis {
            Genesis::Direct(_) => self.core.people().refuse_changed(&users)?,
            Genesis::Group(_) => self.core.people().refuse_another_history(&users)?,
        }
        let keys = self.newest_keys(&users)?;
        Ok((planned.bound(), users.iter().filter_map(|user| keys.get(user).cloned()).collect()))
    }

    fn wait_for_adds(&mut self, people: &[Arc<KeyState>], members: &Members, now: Instant) -> Result<Vec<Add>, Hindrance> {
        let found = self.adds(people, members.tree(), now);
        // Nobody waits for a device that may be added later, unless there is nobody else to talk to.
        if found.waits || (found.unheard && members.tree().is_none()) {
            return Err(Hindrance::Later);
        }
        Ok(found.adds)
    }

    /// Devices of members that are not in a room's tree and may be had: somebody has a new one, or had no key packages.
    pub(super) fn lacks_devices(&self, room: &RoomState, now: Instant) -> bool {
        let Some(members) = room.members.as_deref().filter(|_| room.genesis.suite() == SuiteName::Mls1) else { return false };
        let states: Vec<Arc<KeyState>> = {
            let people = self.core.people();
            members.members().filter_map(|(user, _)| people.state(user)).collect()
        };
        states.iter().any(|keys| self.missing(keys, members.tree()).iter().any(|device| self.may_be_had(device, now)))
    }
}

/// Why nothing can be begun on MLS with somebody. Nothing is begun on another suite instead, unless somebody asks for it.
fn no_keys(keys: &KeyState) -> String {
    let user = &keys.list.user;
    if keys.list.devices.iter().any(|device| device.suites.contains(&SuiteName::Mls1)) {
        let server = user.server();
        return format!(
            "{server} hands out no keys of {user}'s devices, which can do MLS by their list: nothing was sent; try again later"
        );
    }
    format!(
        "no device of {user}'s has keys for MLS yet: it has to be linked once with a newer version of this program; or write on the suite rsa-jwe-1"
    )
}
