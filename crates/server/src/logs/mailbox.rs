//! Which followers hear of which logs. A mailbox holds log numbers only, each once, so it cannot grow with traffic.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::Notify;

/// The logs that one follower has to look at.
#[derive(Default)]
pub struct Mailbox {
    id: u64,
    dirty: Mutex<Dirty>,
    news: Notify,
}

#[derive(Default)]
struct Dirty {
    queue: VecDeque<u64>,
    queued: HashSet<u64>,
}

impl Mailbox {
    /// `log` has to be looked at.
    pub fn put(&self, log: u64) {
        let mut dirty = self.locked();
        if dirty.queued.insert(log) {
            dirty.queue.push_back(log);
        }
        drop(dirty);
        self.news.notify_one();
    }

    /// The log that waits longest.
    pub fn take(&self) -> Option<u64> {
        let mut dirty = self.locked();
        let log = dirty.queue.pop_front()?;
        dirty.queued.remove(&log);
        Some(log)
    }

    /// Shows every log that has to be looked at.
    pub fn each(&self, look: impl FnMut(u64)) {
        self.locked().queue.iter().copied().for_each(look);
    }

    /// Waits until something may be there.
    pub async fn wait(&self) {
        self.news.notified().await;
    }

    fn locked(&self) -> MutexGuard<'_, Dirty> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every follower's mailbox, by what it follows.
#[derive(Default)]
pub struct Mailboxes {
    next: AtomicU64,
    by_log: RwLock<HashMap<u64, BTreeMap<u64, Arc<Mailbox>>>>,
}

impl Mailboxes {
    /// A new follower's.
    pub fn open(&self) -> Arc<Mailbox> {
        Arc::new(Mailbox { id: self.next.fetch_add(1, Ordering::Relaxed), ..Mailbox::default() })
    }

    /// News of `log` go to `mailbox` too.
    pub fn add(&self, log: u64, mailbox: &Arc<Mailbox>) {
        self.by_log.write().unwrap_or_else(PoisonError::into_inner).entry(log).or_default().insert(mailbox.id, mailbox.clone());
    }

    /// The follower is gone.
    pub fn remove(&self, logs: impl Iterator<Item = u64>, mailbox: &Mailbox) {
        let mut by_log = self.by_log.write().unwrap_or_else(PoisonError::into_inner);
        for log in logs {
            if let Some(mailboxes) = by_log.get_mut(&log) {
                mailboxes.remove(&mailbox.id);
                if mailboxes.is_empty() {
                    by_log.remove(&log);
                }
            }
        }
    }

    /// These logs have news.
    pub fn post(&self, logs: &[u64]) {
        let by_log = self.by_log.read().unwrap_or_else(PoisonError::into_inner);
        for log in logs {
            for mailbox in by_log.get(log).into_iter().flat_map(BTreeMap::values) {
                mailbox.put(*log);
            }
        }
    }
}
