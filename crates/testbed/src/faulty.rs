//! Stores with a planted defect, over a real one: what the history checker must find in a world that runs.
//!
//! Each breaks one promise that a server relies on, and keeps all others. None of this is reachable from the product: a test
//! hands such a store to a server that runs inside its own process.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidings_proto::{Entry, ServerName, UserName, draft};
use tidings_server::store::sqlite::SqliteStore;
use tidings_server::store::{
    AccountRecord, Answers, Change, Loaded, Most, NewCode, OutboxRow, Page, Questions, Queue, Range, Store, StoreError, Stored, Waiting,
};
use tokio::time::interval;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// A commit is answered before it is made, and what was not made yet is gone with the server.
    AnswersEarly,
    /// The row for the n-th draft of anybody in any log is answered and never kept.
    DropsOutgoing(u64),
    /// Nobody's numbers are kept: after a restart a draft that comes again is taken for a new one.
    ForgetsNumbers,
    /// Two neighbours, this one and the next, are handed out in each other's place.
    Swaps(u64),
}

/// A store with a defect.
pub struct Faulty {
    inner: Arc<SqliteStore>,
    defect: Defect,
    /// Answered, and not committed.
    late: Arc<Mutex<Vec<Vec<Change>>>>,
}

/// How long what was answered early is only in memory.
const LATE: Duration = Duration::from_millis(40);

impl Faulty {
    /// Opens the real store behind it.
    pub fn open(path: &Path, defect: Defect) -> Result<Arc<dyn Store>, StoreError> {
        let inner = Arc::new(SqliteStore::open(path)?);
        let late: Arc<Mutex<Vec<Vec<Change>>>> = Arc::default();
        if defect == Defect::AnswersEarly {
            let (weak, inner) = (Arc::downgrade(&late), inner.clone());
            tokio::spawn(async move {
                let mut tick = interval(LATE);
                loop {
                    tick.tick().await;
                    let Some(late) = weak.upgrade() else { return };
                    for changes in taken(&late) {
                        // The server was told that this has succeeded; what comes of it now nobody hears.
                        let _ = inner.commit(changes).await;
                    }
                }
            });
        }
        Ok(Arc::new(Faulty { inner, defect, late }))
    }
}

fn taken(late: &Mutex<Vec<Vec<Change>>>) -> Vec<Vec<Change>> {
    std::mem::take(&mut *late.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The change as it is made, if it is.
fn made(defect: Defect, change: Change) -> Option<Change> {
    match (defect, change) {
        (Defect::DropsOutgoing(n), Change::Outgoing { row, .. }) if draft::read(row.draft.clone()).is_ok_and(|draft| draft.n == n) => None,
        (Defect::ForgetsNumbers, Change::Entry(mut entry)) => {
            entry.once = None;
            Some(Change::Entry(entry))
        }
        (_, change) => Some(change),
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl Store for Faulty {
    fn load(&self) -> Answer<'_, Loaded> {
        self.inner.load()
    }

    fn commit(&self, changes: Vec<Change>) -> Answer<'_, ()> {
        let changes: Vec<Change> = changes.into_iter().filter_map(|change| made(self.defect, change)).collect();
        if self.defect != Defect::AnswersEarly {
            return self.inner.commit(changes);
        }
        self.late.lock().unwrap_or_else(PoisonError::into_inner).push(changes);
        Box::pin(async { Ok(()) })
    }

    fn page(&self, log: u64, range: Range, most: Most) -> Answer<'_, Page> {
        let page = self.inner.page(log, range, most);
        let Defect::Swaps(first) = self.defect else { return page };
        Box::pin(async move {
            let mut page = page.await?;
            swap(&mut page.entries, first);
            Ok(page)
        })
    }

    fn history(&self, log: u64, user: UserName, after: u64, most: Most) -> Answer<'_, (Vec<Stored>, bool)> {
        self.inner.history(log, user, after, most)
    }

    fn look_up(&self, questions: Questions) -> Answer<'_, Answers> {
        if self.defect != Defect::ForgetsNumbers {
            return self.inner.look_up(questions);
        }
        Box::pin(async move {
            let mut answers = self.inner.look_up(questions.clone()).await?;
            // Whatever comes first is taken for the next.
            let mut next = HashMap::new();
            for (log, author, n) in &questions.placed {
                next.entry((*log, author.clone())).and_modify(|first: &mut u64| *first = (*first).min(*n)).or_insert(*n);
            }
            for (asked, last) in questions.lasts.iter().zip(&mut answers.lasts) {
                *last = next.get(asked).map_or(0, |first| first - 1);
            }
            Ok(answers)
        })
    }

    fn account(&self, user: UserName) -> Answer<'_, Option<AccountRecord>> {
        self.inner.account(user)
    }

    fn codes(&self) -> Answer<'_, Vec<NewCode>> {
        self.inner.codes()
    }

    fn queues(&self) -> Answer<'_, BTreeMap<ServerName, Queue>> {
        self.inner.queues()
    }

    fn outbox(&self, peer: ServerName, after: i64, limit: usize) -> Answer<'_, Vec<OutboxRow>> {
        self.inner.outbox(peer, after, limit)
    }

    fn waiting(&self, peer: ServerName, after: i64, limit: usize) -> Answer<'_, Vec<Waiting>> {
        self.inner.waiting(peer, after, limit)
    }

    fn rows(&self, ids: Vec<i64>) -> Answer<'_, Vec<OutboxRow>> {
        self.inner.rows(ids)
    }

    fn changed(&self) -> Answer<'_, Vec<u64>> {
        self.inner.changed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // What was only answered is gone, as with kill -9.
        drop(taken(&self.late));
        self.inner.close()
    }
}

/// What is in the place of `first` and of the one after it, each in the other's.
fn swap(entries: &mut [Stored], first: u64) {
    let Some(at) = entries.iter().position(|stored| stored.seq == first).filter(|at| at + 1 < entries.len()) else { return };
    let read = |stored: &Stored| Entry::read(&stored.entry).expect("an entry");
    let (one, other) = (read(&entries[at]), read(&entries[at + 1]));
    let placed = |payload, place: &Entry| -> Bytes { Entry { seq: place.seq, at: place.at, payload }.encode() };
    entries[at].entry = placed(other.payload.clone(), &one);
    entries[at + 1].entry = placed(one.payload.clone(), &other);
}
