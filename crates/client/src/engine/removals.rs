//! Putting out of groups whom they have lost: accounts that were closed, or began anew with another person.
//!
//! Whoever notices first does it. Not here: whether it may be done; `trust::members` says so, here and at the hub.

use super::Engine;
use super::followed::Followed;
use crate::ClientError;
use crate::platform::Instant;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::membership::Remove;
use tidings_proto::{Hash, Kind, LogName, UserName, cbor};
use tidings_trust::{KeyState, Members};

/// What is written to a group fails when somebody should have been put out for so long: its hub may never see why.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);
/// The first pause after a removal was refused; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after a removal was refused.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Whom this device is about to put out of which group.
#[derive(Default)]
pub(super) struct Removals {
    under_way: HashMap<(LogName, UserName), Removal>,
    /// Who may be lost to groups: looked at before the next draft is sealed.
    look_at: BTreeSet<UserName>,
}

struct Removal {
    since: Instant,
    refusals: u32,
    /// After a refusal: when it is tried again.
    again: Option<Instant>,
    /// It has taken longer than a message waits.
    overdue: bool,
}

impl Removals {
    /// Somebody may be lost to groups.
    pub fn look_at(&mut self, user: UserName) {
        self.look_at.insert(user);
    }

    /// When there is something to do.
    pub fn wake_at(&self) -> Option<Instant> {
        let deadline = |removal: &Removal| (!removal.overdue).then_some(removal.since + PATIENCE);
        self.under_way.values().flat_map(|removal| [removal.again, deadline(removal)]).flatten().min()
    }

    /// A removal was refused: it is tried again later, for what its judge knows may be old.
    pub fn refused(&mut self, log: &LogName, now: Instant) {
        for (_, removal) in self.under_way.iter_mut().filter(|((of, _), _)| of == log) {
            let pause = FIRST_PAUSE.saturating_mul(1 << removal.refusals.min(10)).min(LONGEST_PAUSE);
            removal.refusals = removal.refusals.saturating_add(1);
            removal.again = Some(now + pause);
        }
    }

    /// Who is to be looked at now.
    fn due(&mut self, now: Instant) -> BTreeSet<UserName> {
        for ((_, user), removal) in &mut self.under_way {
            removal.overdue |= removal.since + PATIENCE <= now;
            if removal.again.is_some_and(|at| at <= now) {
                self.look_at.insert(user.clone());
            }
        }
        std::mem::take(&mut self.look_at)
    }

    /// Whether a removal is to be sent now; it is under way then.
    fn begins(&mut self, log: &LogName, user: &UserName, now: Instant) -> bool {
        let begun = || Removal { since: now, refusals: 0, again: Some(now), overdue: false };
        let removal = self.under_way.entry((log.clone(), user.clone())).or_insert_with(begun);
        removal.again.take_if(|at| *at <= now).is_some()
    }
}

impl Engine {
    /// Somebody's keys were answered for: perhaps the account is not the person's any more who came into a group.
    pub(super) fn look_for_lost(&mut self, user: &UserName) {
        let state = self.core.people().state(user);
        if state.is_some_and(|state| state.closed || state.newest().person > 1) {
            self.removals.look_at(user.clone());
        }
    }

    /// Puts out of this user's groups whom they have lost. Everybody there does: who is not the first has nothing to show for it.
    pub(super) async fn put_out_lost(&mut self, now: Instant) -> Result<(), ClientError> {
        for user in self.removals.due(now) {
            let groups: Vec<LogName> =
                self.logs.iter().filter(|(_, followed)| self.is_lost_to(followed, &user)).map(|(log, _)| log.clone()).collect();
            for log in groups {
                if self.removals.begins(&log, &user, now) {
                    let remove = cbor::encode(&Remove { prev: Hash::ZERO, user: user.clone(), lost_by: None });
                    self.core.stored(move |store| store.to_send(&log, Kind::Remove, &remove)).await?;
                }
            }
        }
        Ok(())
    }

    /// A group's members have changed: who is not lost to it any more need not be put out.
    pub(super) fn settle_removals(&mut self, log: &LogName) {
        let Some(followed) = self.logs.get(log) else { return };
        let settled = |user: &UserName| !self.is_lost_to(followed, user);
        let settled: Vec<(LogName, UserName)> =
            self.removals.under_way.keys().filter(|(of, user)| of == log && settled(user)).cloned().collect();
        for one in settled {
            self.removals.under_way.remove(&one);
        }
    }

    /// By which version of their history somebody is lost to a group, if they are.
    pub(super) fn lost_by(&self, members: &Members, user: &UserName) -> Option<u64> {
        let state = self.core.people().state(user)?;
        is_lost(members, user, &state).then(|| state.version())
    }

    /// What is to be said of a message to a group whose hub does not put somebody out.
    pub(super) fn waits_in_vain(&self, log: &LogName) -> Option<String> {
        let ((_, user), _) = self.removals.under_way.iter().find(|((of, _), removal)| of == log && removal.overdue)?;
        let hub = self.logs.get(log)?.room.as_ref()?.genesis.hub();
        Some(format!(
            "the account {user} was closed or begun anew, and {hub}, which keeps this group, has not put it out; perhaps it has not \
             seen that. Nothing is sent here before: ask an owner of the group to remove {user}, then send this again"
        ))
    }

    /// Whether this user is in a group that has lost `user`.
    fn is_lost_to(&self, followed: &Followed, user: &UserName) -> bool {
        let members = followed.room.as_ref().and_then(|room| room.members.as_ref());
        let members = members.filter(|members| members.has(self.me()) && user != self.me());
        members.is_some_and(|members| self.lost_by(members, user).is_some())
    }
}

fn is_lost(members: &Members, user: &UserName, state: &Arc<KeyState>) -> bool {
    members.lost(|about| (about == user).then(|| state.clone())).any(|lost| lost == user)
}
