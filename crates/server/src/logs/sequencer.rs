//! The one task that orders: everything that waits becomes one batch, one batch one commit. While a commit is under way
//! the next batch gathers.

use super::batch::{Batch, Cache, Done, author_of};
use super::mailbox::Mailboxes;
use super::packages::{Left, Low};
use super::replica::Checked;
use super::rules::Admitted;
use super::tail::Tail;
use super::view::View;
use super::{Arrival, NewAccount, Placed, Proof, Secrets, now};
use crate::bus::Bus;
use crate::store::{Change, KeyPackage, NewCode, OutboxRow, Owner, Questions, Settled, Store, StoreError};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidings_proto::chain::Tip;
use tidings_proto::draft::Erase;
use tidings_proto::frame::{ClaimedKeyPackage, RoomRef};
use tidings_proto::{DeviceKey, Draft, Encoded, Genesis, Hash, Kind, LogName, Refusal, ServerName, UserName, cbor, limits};
use tokio::sync::{broadcast, mpsc, oneshot};

/// Jobs in one batch; a commit of so many takes some 10 ms, and nobody waits longer for the next.
const BATCH: usize = 1024;
/// Commits of less than [`COMPANY`] jobs are at least so far apart. A commit costs the processor about as much as a handful of
/// messages do besides, and who writes does not notice. One that comes by itself waits for nothing.
const APART: Duration = Duration::from_millis(2);
/// So many jobs need not wait for more.
const COMPANY: usize = 32;
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
    /// A new account, or one that begins anew.
    Register(Register),
    /// Other secrets of an account.
    Rekey(Rekey),
    /// Another book in an account's vault, by one of the account's devices.
    PutBook { user: UserName, device: DeviceKey, version: u64, book: Bytes, reply: Reply<()> },
    /// Key packages of a device, by the device itself.
    PutKeyPackages { owner: Owner, offered: Vec<KeyPackage>, reply: Reply<Left> },
    /// One key package of each of these devices.
    ClaimKeyPackages { user: UserName, devices: Vec<DeviceKey>, reply: Reply<Vec<ClaimedKeyPackage>> },
    /// The end of an account.
    Close { user: UserName, reply: Reply<Placed> },
    /// Checked entries of a log that a peer orders.
    Replicate(Replicate),
    /// A replica whose chain is broken.
    Stop {
        /// Its number.
        log: u64,
        reply: Reply<()>,
    },
    /// Entries that have been kept for long enough, each with the stub that stays.
    Forget {
        /// Their log's number.
        log: u64,
        stubs: Vec<(u64, Bytes)>,
        reply: Reply<()>,
    },
    /// Logs that are not kept any more, unless they have got an entry meanwhile.
    Discard {
        /// Their numbers.
        logs: Vec<u64>,
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
    pub admitted: Admitted,
    /// A guest's: what it has proved.
    pub proof: Option<Proof>,
    pub reply: Reply<Placed>,
}

/// See [`Job::Register`].
pub struct Register {
    pub account: NewAccount,
    pub admitted: Admitted,
    pub reply: Reply<Placed>,
}

/// See [`Job::Rekey`].
pub struct Rekey {
    pub user: UserName,
    pub proof: Proof,
    pub secrets: Secrets,
    pub admitted: Admitted,
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
    pub admitted: Admitted,
    pub genesis: Option<Genesis>,
    pub reply: Reply<OutboxRow>,
}

/// The task's own state, and what it tells of what has become durable.
pub struct Sequencer {
    pub view: Arc<View>,
    pub store: Arc<dyn Store>,
    pub bus: Arc<dyn Bus>,
    pub tail: Arc<Tail>,
    pub new_rooms: broadcast::Sender<RoomRef>,
    pub arrivals: broadcast::Sender<Arrival>,
    pub low: broadcast::Sender<Low>,
    pub cache: Cache,
    pub forgotten: u64,
}

impl Sequencer {
    /// Takes jobs until nobody can give any more, or the store is gone.
    pub async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let (mut batch, mut next) = (Vec::new(), tokio::time::Instant::now());
        while jobs.recv_many(&mut batch, BATCH).await > 0 {
            if batch.len() < COMPANY {
                tokio::time::sleep_until(next).await;
                while batch.len() < BATCH
                    && let Ok(job) = jobs.try_recv()
                {
                    batch.push(job);
                }
            }
            if let Err(gone) = self.turn(std::mem::take(&mut batch)).await {
                return tracing::error!(%gone, "nothing can be made durable any more");
            }
            next = tokio::time::Instant::now() + APART;
        }
    }

    /// An error when the store will never take anything again.
    async fn turn(&mut self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let at = now();
        let questions = self.questions(&jobs);
        let answers = if questions.is_empty() { Ok(Default::default()) } else { self.store.look_up(questions.clone()).await };
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                refuse_all(jobs, &error.clone().into());
                return if matches!(error, StoreError::Closed) { Err(error) } else { Ok(()) };
            }
        };
        let view = self.view.clone();
        let mut batch = Batch::new(&view, &self.cache, at, Instant::now());
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
        let answers = std::mem::take(&mut done.answers);
        if failed.is_none() {
            self.tell(done);
        }
        for answer in answers {
            answer(failed.as_ref());
        }
        failure.filter(|failure| matches!(failure, StoreError::Closed)).map_or(Ok(()), Err)
    }

    /// Tells of what has become durable. Before the answers: whoever hears that a draft is taken may rely on its followers
    /// knowing that they are behind.
    fn tell(&mut self, mut done: Done) {
        let news = done.news();
        self.cache.keep(done.cache);
        self.view.directory.put(done.states);
        self.view.kept.change(done.claims);
        // What was forgotten is in no frame any more that anybody is sent.
        for log in done.erased {
            self.tail.forget(log);
        }
        // The tail before the tips: a follower that sees a tip finds the frame.
        let mut woken = Vec::new();
        for (log, run) in done.runs {
            self.tail.push(log, run.before, run.entries);
            woken.push(log);
        }
        // Who follows what has stopped is told so.
        woken.extend(&news.stopped);
        self.view.book.change(news);
        // Errors only say that nobody listens.
        for room in done.rooms {
            let _ = self.new_rooms.send(room);
        }
        for (user, room) in done.arrived {
            let _ = self.arrivals.send(Arrival { user, room });
        }
        for (Owner { user, device }, left) in done.low {
            let _ = self.low.send(Low { user, device, left });
        }
        if !woken.is_empty() {
            self.bus.wake(&woken);
        }
    }

    /// What has to be known of the store before these jobs can be decided.
    fn questions(&self, jobs: &[Job]) -> Questions {
        let mut questions = Questions::default();
        let keys = LogName::Keys(self.view.me.clone());
        for job in jobs {
            match job {
                Job::Append(Append { log, admitted: Admitted { draft, .. }, proof, .. }) => {
                    self.ask(&mut questions, log, draft);
                    questions.accounts.extend(proof.as_ref().map(|_| draft.author.clone()));
                }
                Job::Register(register) => {
                    self.ask(&mut questions, &keys, &register.admitted.draft);
                    questions.codes.extend(register.account.admission.code());
                    questions.accounts.push(register.account.user.clone());
                }
                Job::Rekey(rekey) => {
                    self.ask(&mut questions, &keys, &rekey.admitted.draft);
                    questions.accounts.push(rekey.user.clone());
                }
                Job::PutBook { user, .. } => questions.accounts.push(user.clone()),
                Job::PutKeyPackages { owner, offered, .. } => {
                    let wanted = questions.stocks.entry(owner.clone()).or_default();
                    wanted.offered.extend(offered.iter().map(|package| package.hash));
                }
                Job::ClaimKeyPackages { user, devices, .. } => {
                    for device in devices {
                        let owner = Owner { user: user.clone(), device: *device };
                        questions.stocks.entry(owner).or_default().claims += 1;
                    }
                }
                Job::AddCode { code: NewCode { hash, .. }, .. } | Job::RevokeCode { hash, .. } => questions.codes.push(*hash),
                Job::Enqueue(Enqueue { peer, log, admitted: Admitted { draft, .. }, .. }) => {
                    questions.outgoing.push((log.clone(), draft.device, draft.n));
                    if !questions.queues.contains(peer) {
                        questions.queues.push(peer.clone());
                    }
                    let share = (peer.clone(), draft.author.clone());
                    if !questions.shares.contains(&share) {
                        questions.shares.push(share);
                    }
                }
                _ => {}
            }
        }
        questions
    }

    /// What has to be known of a draft's author in its log, and of the entry that it erases.
    fn ask(&self, questions: &mut Questions, log: &LogName, draft: &Encoded<Draft>) {
        // A log that is not there yet has no drafts of anybody's.
        let Some(number) = self.view.book.number(log) else { return };
        let author = author_of(draft);
        let known = self.cache.last(number, &author);
        if known.is_none() {
            questions.lasts.push((number, author.clone()));
        }
        if known.is_none_or(|last| draft.n <= last) {
            questions.placed.push((number, author, draft.n));
        }
        if draft.kind == Kind::Erase
            && let Ok(erase) = cbor::decode::<Erase>(&draft.body, limits::DRAFT)
        {
            questions.entries.push((number, erase.seq));
        }
    }

    /// Once a second asks the store which logs have changed, and wakes whoever the bus did not.
    pub async fn poll(store: Arc<dyn Store>, mailboxes: Arc<Mailboxes>) {
        let mut every = tokio::time::interval(std::time::Duration::from_secs(1));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            match store.changed().await {
                Ok(logs) => mailboxes.post(&logs),
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
            Job::Append(Append { reply, .. })
            | Job::Register(Register { reply, .. })
            | Job::Rekey(Rekey { reply, .. })
            | Job::Close { reply, .. } => refuse(reply, why),
            Job::Replicate(Replicate { reply, .. }) => refuse(reply, why),
            Job::Enqueue(Enqueue { reply, .. }) => refuse(reply, why),
            Job::PutKeyPackages { reply, .. } => refuse(reply, why),
            Job::ClaimKeyPackages { reply, .. } => refuse(reply, why),
            Job::PutBook { reply, .. }
            | Job::Stop { reply, .. }
            | Job::Forget { reply, .. }
            | Job::Discard { reply, .. }
            | Job::Settle { reply, .. }
            | Job::KnowServer { reply, .. }
            | Job::AddCode { reply, .. }
            | Job::RevokeCode { reply, .. } => refuse(reply, why),
        }
    }
}
