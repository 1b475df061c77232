//! What a running server has of its disk: commits that wait until the schedule lets them through, and end with the server.
//!
//! The disk itself is the real tables in memory. A server that was killed hears nothing more of it, for ever.

use super::Flaw;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidings_proto::{Entry, Hash, Payload, ServerName, UserName};
use tidings_server::store::sqlite::memory::MemoryStore;
use tidings_server::store::{
    AccountRecord, Answers, Change, Loaded, Most, NewCode, NewEntry, OutboxRow, Page, People, Questions, Queue, Range, Store, StoreError,
    Stored, Waiting,
};
use tokio::sync::oneshot;

type Reply = oneshot::Sender<Result<(), StoreError>>;

/// One server's hold on its disk, from its start to its end.
pub struct Disk {
    tables: Arc<MemoryStore>,
    flaw: Option<Flaw>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    dead: bool,
    gated: bool,
    commits: u64,
    /// Not durable yet.
    waiting: VecDeque<(Vec<Change>, Option<Reply>)>,
    /// Durable, and not said.
    done: VecDeque<(Reply, Result<(), StoreError>)>,
    /// Of whoever is dead: nobody hears that they are gone.
    unheard: Vec<Reply>,
    /// Who is in each room, where that is forgotten.
    people: BTreeMap<u64, Arc<People>>,
}

impl Disk {
    /// A server starts.
    pub fn new(tables: Arc<MemoryStore>, flaw: Option<Flaw>) -> Disk {
        Disk { tables, flaw, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on commits wait, or none do any more.
    pub fn gate(&self, gated: bool) {
        self.state().gated = gated;
        while !gated && (self.lets_through() || self.tells()) {}
    }

    /// One commit becomes durable; false where none waits.
    pub fn lets_through(&self) -> bool {
        let Some((changes, reply)) = self.state().waiting.pop_front() else { return false };
        let result = self.write(changes);
        if let Some(reply) = reply {
            self.state().done.push_back((reply, result));
        }
        true
    }

    /// One that is durable is said to be; false where there is none.
    pub fn tells(&self) -> bool {
        let Some((reply, result)) = self.state().done.pop_front() else { return false };
        // An error only says that nobody waits for it.
        let _ = reply.send(result);
        true
    }

    /// The server is killed.
    pub fn kill(&self) {
        let mut state = self.state();
        state.dead = true;
        let waiting = std::mem::take(&mut state.waiting).into_iter().filter_map(|(_, reply)| reply);
        let done = std::mem::take(&mut state.done).into_iter().map(|(reply, _)| reply);
        let unheard: Vec<Reply> = waiting.chain(done).collect();
        state.unheard.extend(unheard);
    }

    fn write(&self, mut changes: Vec<Change>) -> Result<(), StoreError> {
        let commits = {
            let mut state = self.state();
            state.commits += 1;
            state.commits
        };
        match self.flaw {
            Some(Flaw::DropsOutboxRow) if commits.is_multiple_of(7) => changes.retain(|change| !matches!(change, Change::Outgoing { .. })),
            Some(Flaw::NeverSettles) => changes.retain(|change| !matches!(change, Change::Settle { .. })),
            Some(Flaw::TakesTwice) => changes.iter_mut().for_each(|change| {
                if let Change::Entry(entry) = change {
                    entry.once = None;
                }
            }),
            Some(Flaw::KeepsAnother) if commits.is_multiple_of(5) => changes.iter_mut().for_each(keep_another),
            Some(Flaw::KeepsPackages) => changes.retain(|change| !matches!(change, Change::HandOut { .. })),
            Some(Flaw::ForgetsMembers) => self.forget_members(&mut changes),
            _ => {}
        }
        self.tables.commit(changes).now_or_never().unwrap_or(Err(StoreError::Closed))
    }

    /// Who is in a room is kept one change late.
    fn forget_members(&self, changes: &mut [Change]) {
        let mut state = self.state();
        for change in changes {
            if let Change::People { log, people } = change {
                let now = people.clone();
                *people = state.people.insert(*log, now.clone()).unwrap_or(now);
            }
        }
    }

    fn alive<'a, T: Send + 'a>(&'a self, answer: impl FnOnce() -> BoxFuture<'a, T>) -> BoxFuture<'a, T> {
        if self.state().dead { Box::pin(pending()) } else { answer() }
    }
}

impl Store for Disk {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        self.alive(|| self.tables.load())
    }

    fn commit(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut state = self.state();
        if state.dead {
            return Box::pin(pending());
        }
        if !state.gated {
            drop(state);
            return Box::pin(std::future::ready(self.write(changes)));
        }
        if self.flaw == Some(Flaw::AnswersBeforeCommit) {
            state.waiting.push_back((changes, None));
            return Box::pin(std::future::ready(Ok(())));
        }
        let (reply, answer) = oneshot::channel();
        state.waiting.push_back((changes, Some(reply)));
        Box::pin(async move { answer.await.unwrap_or(Err(StoreError::Closed)) })
    }

    fn page(&self, log: u64, range: Range, most: Most) -> BoxFuture<'_, Result<Page, StoreError>> {
        self.alive(|| {
            let page = self.tables.page(log, range, most);
            if self.flaw != Some(Flaw::SwapsEntries) {
                return page;
            }
            Box::pin(page.map(|page| page.map(swapped)))
        })
    }

    fn history(&self, log: u64, user: UserName, after: u64, most: Most) -> BoxFuture<'_, Result<(Vec<Stored>, bool), StoreError>> {
        self.alive(|| self.tables.history(log, user, after, most))
    }

    fn look_up(&self, questions: Questions) -> BoxFuture<'_, Result<Answers, StoreError>> {
        self.alive(|| {
            let placed = questions.placed.clone();
            let answers = self.tables.look_up(questions);
            if self.flaw != Some(Flaw::TakesTwice) {
                return answers;
            }
            Box::pin(answers.map(move |answers| {
                let mut answers = answers?;
                // Nothing of what it has taken before is known any more.
                for (last, (_, _, n)) in answers.lasts.iter_mut().zip(&placed) {
                    *last = n - 1;
                }
                answers.placed.iter_mut().for_each(|placed| *placed = None);
                Ok(answers)
            }))
        })
    }

    fn account(&self, user: UserName) -> BoxFuture<'_, Result<Option<AccountRecord>, StoreError>> {
        self.alive(|| self.tables.account(user))
    }

    fn codes(&self) -> BoxFuture<'_, Result<Vec<NewCode>, StoreError>> {
        self.alive(|| self.tables.codes())
    }

    fn queues(&self) -> BoxFuture<'_, Result<BTreeMap<ServerName, Queue>, StoreError>> {
        self.alive(|| self.tables.queues())
    }

    fn outbox(&self, peer: ServerName, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<OutboxRow>, StoreError>> {
        self.alive(|| self.tables.outbox(peer, after, limit))
    }

    fn waiting(&self, peer: ServerName, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Waiting>, StoreError>> {
        self.alive(|| self.tables.waiting(peer, after, limit))
    }

    fn rows(&self, ids: Vec<i64>) -> BoxFuture<'_, Result<Vec<OutboxRow>, StoreError>> {
        self.alive(|| self.tables.rows(ids))
    }

    fn changed(&self) -> BoxFuture<'_, Result<Vec<u64>, StoreError>> {
        self.alive(|| self.tables.changed())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A page whose first two entries have changed places.
fn swapped(mut page: Page) -> Page {
    if let [first, second, ..] = &mut page.entries[..] {
        let (one, other): (&mut Bytes, &mut Bytes) = (&mut first.entry, &mut second.entry);
        std::mem::swap(one, other);
    }
    page
}

/// Of an entry that a peer has ordered something else is kept.
fn keep_another(change: &mut Change) {
    if let Change::Entry(NewEntry { entry, once: None, tip, .. }) = change {
        *entry = Entry { seq: tip.seq, at: 0, payload: Payload::Stub(Hash::ZERO) }.encode();
    }
}
