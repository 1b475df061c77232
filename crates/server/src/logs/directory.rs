//! Everybody's newest device list, as the `keys@` logs that are kept here tell it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};
use tidings_proto::UserName;
use tidings_trust::KeyState;
use tokio::sync::broadcast;

/// How many changes a slow listener may be behind before it is told to look again.
const BEHIND: usize = 1024;

/// Everybody's key state. It shows what is durable, never what is about to be.
pub struct Directory {
    states: RwLock<BTreeMap<UserName, Arc<KeyState>>>,
    changes: broadcast::Sender<UserName>,
}

impl Directory {
    pub(super) fn new(states: BTreeMap<UserName, Arc<KeyState>>) -> Directory {
        Directory { states: RwLock::new(states), changes: broadcast::channel(BEHIND).0 }
    }

    /// A user's newest key state.
    pub fn state(&self, user: &UserName) -> Option<Arc<KeyState>> {
        self.states.read().unwrap_or_else(PoisonError::into_inner).get(user).cloned()
    }

    /// Everybody, in order of name.
    pub fn users(&self) -> Vec<UserName> {
        self.states.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// At most `limit` users that come after this one, in order of name, and whether more follow.
    pub fn users_after(&self, after: Option<&UserName>, limit: usize) -> (Vec<UserName>, bool) {
        let states = self.states.read().unwrap_or_else(PoisonError::into_inner);
        let mut users = states.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)).map(|(user, _)| user);
        let some = users.by_ref().take(limit).cloned().collect();
        (some, users.next().is_some())
    }

    /// Whose list has changed, from now on.
    pub fn changes(&self) -> broadcast::Receiver<UserName> {
        self.changes.subscribe()
    }

    pub(super) fn put(&self, states: impl IntoIterator<Item = Arc<KeyState>>) {
        for state in states {
            let user = state.list.user.clone();
            self.states.write().unwrap_or_else(PoisonError::into_inner).insert(user.clone(), state);
            // An error only says that nobody listens.
            let _ = self.changes.send(user);
        }
    }
}
