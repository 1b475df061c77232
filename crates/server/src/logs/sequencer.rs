//! The one task that orders: everything that waits becomes one batch, one batch one commit. While a commit is under way
//! the next batch gathers.

use super::batch::{Batch, Cache, Known, author_of};
use super::book::Book;
use super::directory::Directory;
use super::kept::Kept;
use super::mailbox::Mailboxes;
use super::replica::Checked;
use super::tail::Tail;
use super::{NewAccount, Placed};
use crate::bus::Bus;
use crate::config::Limits;
use crate::store::{Change, NewCode, OutboxRow, Questions, Settled, Store, StoreError};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tidings_proto::chain::Tip;
use tidings_proto::frame::RoomRef;
use tidings_proto::{Draft, Encoded, Genesis, Hash, LogName, Refusal, ServerName};
use tokio::sync::{broadcast, mpsc, oneshot};

/// Jobs in one batch; a commit of so many takes some 10 ms, and nobody waits longer for the next.
const BATCH: usize = 1024;
/// Jobs that may wait; whoever comes then is told to come again.
pub const WAITING: usize = 16 * 1024;
/// Answered rows of the outbox are kept so long, so that a device that was away hears the answer.
const KEEP_SETTLED_MS: u64 = 30 * 24 * 60 * 60 * 1000;
const FORGET_EVERY_MS: u64 = 60 * 60 * 1000;

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// Something that changes what lasts.
pub enum Job {
    /// A draft for a log that is ordered here.
    Append(Append),
    /// A new account.
    Register(Register),
    /// Checked entries of a log that a peer orders.
    Replicate(Replicate),
    /// A replica whose chain is broken.
    Stop {
        /// Its number.
        log: u64,
        reply: Reply<()>,
    },
    /// A draft for a peer.
    Enqueue(Enqueue),
    /// A peer's answer.
    Settle { id: i64, settled: Settled, reply: Reply<()> },
    /// The logs that every server has.
    KnowServer { name: ServerName, reply: Reply<()> },
    /// A code to register with.
    AddCode { code: NewCode, reply: Reply<()> },
    /// A code that is no good any more.
    RevokeCode { hash: Hash, reply: Reply<()> },
}

/// See [`Job::Append`].
pub struct Append {
    pub log: LogName,
    pub draft: Encoded<Draft>,
    /// Learnt with it.
    pub room: Option<RoomRef>,
    pub reply: Reply<Placed>,
}

/// See [`Job::Register`].
pub struct Register {
    pub account: NewAccount,
    pub draft: Encoded<Draft>,
    pub reply: Reply<Placed>,
}

/// See [`Job::Replicate`].
pub struct Replicate {
    pub log: u64,
    /// The tip that the entries follow.
    pub base: Tip,
    pub entries: Vec<Checked>,
    /// `None` when the log has moved since: check again.
    pub reply: Reply<Option<Tip>>,
}

/// See [`Job::Enqueue`].
pub struct Enqueue {
    pub peer: ServerName,
    pub log: LogName,
    pub draft: Encoded<Draft>,
    pub genesis: Option<Genesis>,
    /// Learnt with it.
    pub room: Option<RoomRef>,
    pub reply: Reply<OutboxRow>,
}

/// The task's own state, and what it tells of what has become durable.
pub struct Sequencer {
    pub me: ServerName,
    pub store: Arc<dyn Store>,
    pub bus: Arc<dyn Bus>,
    pub book: Arc<Book>,
    pub directory: Arc<Directory>,
    pub kept: Arc<Kept>,
    pub limits: Limits,
    pub tail: Arc<Tail>,
    pub new_rooms: broadcast::Sender<RoomRef>,
    pub cache: Cache,
    pub forgotten: u64,
}

impl Sequencer {
    /// Takes jobs until nobody can give any more, or the store is gone.
    pub async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        while jobs.recv_many(&mut batch, BATCH).await > 0 {
            if let Err(gone) = self.turn(std::mem::take(&mut batch)).await {
                return tracing::error!(%gone, "nothing can be made durable any more");
            }
        }
    }

    /// An error when the store will never take anything again.
    async fn turn(&mut self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let questions = self.questions(&jobs);
        let asks =
            !(questions.lasts.is_empty() && questions.placed.is_empty() && questions.codes.is_empty() && questions.outgoing.is_empty());
        let answers = if asks { self.store.look_up(questions.clone()).await } else { Ok(Default::default()) };
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                refuse_all(jobs, &error.clone().into());
                return if matches!(error, StoreError::Closed) { Err(error) } else { Ok(()) };
            }
        };
        let known = Known { book: &self.book, directory: &self.directory, kept: &self.kept, limits: &self.limits };
        let mut batch = Batch::new(&self.me, known, &self.cache, at);
        batch.learn(questions, answers);
        for job in jobs {
            batch.take(job);
        }
        let mut done = batch.finish();
        if at > self.forgotten + FORGET_EVERY_MS {
            self.forgotten = at;
            done.changes.push(Change::ForgetSettled { before: at.saturating_sub(KEEP_SETTLED_MS) });
            done.changes.push(Change::ForgetCodes { at });
        }
        let failure = match done.changes.is_empty() {
            true => None,
            false => self.store.commit(std::mem::take(&mut done.changes)).await.err(),
        };
        let failed = failure.clone().map(Refusal::from);
        let mut woken = Vec::new();
        if failed.is_none() {
            self.cache.keep(done.cache);
            self.directory.put(done.states);
            self.kept.change(done.claims);
            // The tail before the tips: a follower that sees a tip finds the frame.
            let tips: Vec<(u64, Tip)> = done.runs.iter().filter_map(|(log, run)| Some((*log, run.entries.last()?.0))).collect();
            for (log, run) in done.runs {
                self.tail.push(log, run.before, run.entries);
                woken.push(log);
            }
            let rooms: Vec<RoomRef> = done.logs.iter().filter_map(|row| row.room.clone()).collect();
            self.book.change(done.logs, done.registered, tips, done.stopped);
            for room in rooms
                .into_iter()
                .filter(|room| room.genesis.as_direct().iter().flat_map(|direct| &direct.people).any(|person| person.server() == &self.me))
            {
                // An error only says that nobody listens.
                let _ = self.new_rooms.send(room);
            }
        }
        // Woken first: whoever hears that a draft is taken may rely on its followers knowing that they are behind.
        if !woken.is_empty() {
            self.bus.wake(&woken);
        }
        for answer in done.answers {
            answer(failed.as_ref());
        }
        failure.filter(|failure| matches!(failure, StoreError::Closed)).map_or(Ok(()), Err)
    }

    /// What has to be known of the store before these jobs can be decided.
    fn questions(&self, jobs: &[Job]) -> Questions {
        let mut questions = Questions::default();
        let mut ask = |log: &LogName, draft: &Encoded<Draft>| {
            // A log that is not there yet has no drafts of anybody's.
            let Some(number) = self.book.number(log) else { return };
            let author = author_of(draft);
            let known = self.cache.last(number, &author);
            if known.is_none() {
                questions.lasts.push((number, author.clone()));
            }
            if known.is_none_or(|last| draft.n <= last) {
                questions.placed.push((number, author, draft.n));
            }
        };
        for job in jobs {
            match job {
                Job::Append(append) => ask(&append.log, &append.draft),
                Job::Register(register) => ask(&LogName::Keys(self.me.clone()), &register.draft),
                _ => {}
            }
        }
        for job in jobs {
            match job {
                Job::Register(register) => questions.codes.extend(register.account.admission.code()),
                Job::AddCode { code: NewCode { hash, .. }, .. } | Job::RevokeCode { hash, .. } => questions.codes.push(*hash),
                Job::Enqueue(send) => {
                    questions.outgoing.push((send.log.clone(), send.draft.device, send.draft.n));
                    if !questions.queues.contains(&send.peer) {
                        questions.queues.push(send.peer.clone());
                    }
                }
                _ => {}
            }
        }
        questions
    }

    /// Once a second asks the store which logs have changed, and wakes whoever the bus did not.
    pub async fn poll(store: Arc<dyn Store>, mailboxes: Arc<Mailboxes>, mut counter: u64) {
        let mut every = tokio::time::interval(std::time::Duration::from_secs(1));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            match store.changed_since(counter).await {
                Ok((newest, logs)) => {
                    counter = newest;
                    mailboxes.post(&logs);
                }
                Err(error) => tracing::error!(%error, "the store could not say what has changed"),
            }
        }
    }
}

fn refuse_all(jobs: Vec<Job>, why: &Refusal) {
    fn refuse<T>(reply: Reply<T>, why: &Refusal) {
        // An error only says that nobody waits for the answer any more.
        let _ = reply.send(Err(why.clone()));
    }
    for job in jobs {
        match job {
            Job::Append(Append { reply, .. }) | Job::Register(Register { reply, .. }) => refuse(reply, why),
            Job::Replicate(Replicate { reply, .. }) => refuse(reply, why),
            Job::Enqueue(Enqueue { reply, .. }) => refuse(reply, why),
            Job::Stop { reply, .. }
            | Job::Settle { reply, .. }
            | Job::KnowServer { reply, .. }
            | Job::AddCode { reply, .. }
            | Job::RevokeCode { reply, .. } => refuse(reply, why),
        }
    }
}
