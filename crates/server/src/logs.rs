//! The one door to everything that lasts: logs, accounts, the outbox. Links never touch the store or the bus.
//!
//! A draft is judged twice. What can be told of it alone (`rules`) is told where it came in, so many are judged at once;
//! what depends on order is told by the one sequencer, in the order in which drafts arrived.

mod batch;
mod book;
mod directory;
mod follow;
mod kept;
mod mailbox;
mod open;
mod replica;
mod rules;
mod sequencer;
mod tail;

use crate::bus::Bus;
use crate::config::Limits;
use crate::federation::Outgoing;
use crate::store::{Most, Range, Store, StoreError};
use book::Book;
use bytes::Bytes;
use kept::Kept;
use mailbox::Mailboxes;
use rules::{Admitted, Rules};
use sequencer::{Append, Enqueue, Job, Register};
use std::sync::{Arc, Mutex, PoisonError};
use tail::Tail;
use tidings_proto::chain::Tip;
use tidings_proto::frame::{Item, RoomRef};
use tidings_proto::{Code, DeviceKey, Genesis, Hash, LogName, Refusal, ServerName, UserName, limits};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use crate::store::{AccountRecord, NewCode, OutboxRow, OutboxState, Queue, Settled};
pub use batch::claim_needed;
pub use directory::Directory;
pub use follow::{Ahead, FollowFrame, Follower};
pub use replica::{Page, ReplicaError};

/// Entries in a page at most, whatever is asked for.
const PAGE_ENTRIES: usize = 1000;

/// Whom a draft comes from, as the link has proved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A device of a user of this server.
    Device {
        /// Whose.
        user: UserName,
        /// Which.
        device: DeviceKey,
        /// Whether its user's newest list names it. If not, it may add itself by a new list, nothing else.
        listed: bool,
    },
    /// A peer, for its own users.
    Peer(ServerName),
}

/// Who wants to read, as the link has proved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reader {
    /// A user of this server.
    User(UserName),
    /// A peer, for its own users.
    Peer(ServerName),
}

/// A draft's place in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The entry's sequence number.
    pub seq: u64,
    /// The chain's hash there.
    pub hash: Hash,
}

/// What an account is made of.
pub struct NewAccount {
    /// Whose.
    pub user: UserName,
    /// The device that registers it.
    pub device: DeviceKey,
    /// The password's OPAQUE record.
    pub password: Bytes,
    /// The recovery code's OPAQUE record.
    pub recovery: Bytes,
    /// The sealed vault, version 1.
    pub vault: Bytes,
    /// What lets this person in.
    pub admission: Admission,
}

/// What lets a person register. Who is let in is decided with everything else of the account, so a code is used up by one.
pub enum Admission {
    /// Nothing is asked, unless the name is kept back.
    Open,
    /// A code, to be used up: an invitation, or the claim code where the name is kept back.
    Code(String),
    /// A code, to be used up: the name's own claim code.
    Claim(String),
}

impl Admission {
    /// The hash of the code, by which it is known.
    fn code(&self) -> Option<Hash> {
        match self {
            Admission::Open => None,
            Admission::Code(code) | Admission::Claim(code) => Some(Hash::of(code.as_bytes())),
        }
    }
}

/// Everything that lasts.
pub struct Logs {
    me: ServerName,
    store: Arc<dyn Store>,
    book: Arc<Book>,
    directory: Arc<Directory>,
    kept: Arc<Kept>,
    tail: Arc<Tail>,
    mailboxes: Arc<Mailboxes>,
    new_rooms: broadcast::Sender<RoomRef>,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    tasks: TaskTracker,
    closing: CancellationToken,
    /// Cancelled when the sequencer has ended, whatever the reason.
    ended: CancellationToken,
}

impl Logs {
    /// Opens everything that `store` has, and starts to take drafts. Logs of this server are made where they are missing.
    pub async fn open(store: Arc<dyn Store>, bus: Arc<dyn Bus>, me: ServerName) -> Result<Arc<Logs>, StoreError> {
        Logs::open_within(store, bus, me, Limits::default()).await
    }

    /// The same with limits of the operator's own.
    pub async fn open_within(store: Arc<dyn Store>, bus: Arc<dyn Bus>, me: ServerName, limits: Limits) -> Result<Arc<Logs>, StoreError> {
        open::open(store, bus, me, limits).await
    }

    /// Finishes what is under way and closes the store.
    pub async fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.store.close().await;
    }

    /// Whether anything can be made durable: until they are closed, or something has gone wrong beyond repair.
    pub fn is_open(&self) -> bool {
        !self.ended.is_cancelled()
    }

    /// Waits until nothing can be made durable any more.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// From now on the public chat and the keys of `name` are kept here.
    pub async fn know_peer(&self, name: &ServerName) -> Result<(), StoreError> {
        let name = name.clone();
        self.ask(|reply| Job::KnowServer { name, reply }).await.map_err(|why| StoreError::Failed(why.text))
    }

    /// Offers a draft to a log that is ordered here. It is in line for its place when the future was polled once.
    pub async fn append(&self, origin: Origin, log: &LogName, draft: Bytes, genesis: Option<Genesis>) -> Result<Placed, Refusal> {
        let Admitted { draft, room } = self.rules().append(&origin, log, draft, genesis)?;
        let log = log.clone();
        self.ask(|reply| Job::Append(Append { log, draft, room, reply })).await
    }

    /// Makes an account: record and first device list are durable together, or neither is.
    pub async fn register(&self, account: NewAccount, draft: Bytes) -> Result<Placed, Refusal> {
        let draft = self.rules().register(&account, draft)?;
        self.ask(|reply| Job::Register(Register { account, draft, reply })).await
    }

    /// Lets people register with a code of this hash until `expires` (milliseconds since 1970). With a name, it is that
    /// name's claim code: the name is kept back for whoever has it, and an earlier claim code is no good any more.
    pub async fn add_code(&self, hash: Hash, user: Option<UserName>, uses: u32, expires: u64) -> Result<(), Refusal> {
        self.ask(|reply| Job::AddCode { code: NewCode { hash, user, uses, expires }, reply }).await
    }

    /// The codes that are not used up.
    pub async fn codes(&self) -> Result<Vec<NewCode>, Refusal> {
        Ok(self.store.codes().await?)
    }

    /// The code with this hash is no good any more. A name that it was a claim of is free.
    pub async fn revoke_code(&self, hash: Hash) -> Result<(), Refusal> {
        self.ask(|reply| Job::RevokeCode { hash, reply }).await
    }

    /// These names are kept back, whether or not they have a claim code.
    pub fn keep_back(&self, names: impl IntoIterator<Item = UserName>) {
        self.kept.keep(names);
    }

    /// Whether `user` may be registered by its claim code only.
    pub fn is_kept_back(&self, user: &UserName) -> bool {
        self.kept.has(user)
    }

    /// The names that are kept back and have no account yet, and whether they have a claim code.
    pub fn unclaimed(&self) -> Vec<(UserName, bool)> {
        self.kept.all().into_iter().filter(|(user, _)| !self.is_registered(user)).collect()
    }

    /// Whether `user` has, or had, an account here.
    pub fn is_registered(&self, user: &UserName) -> bool {
        self.book.is_registered(user)
    }

    /// A user's account.
    pub async fn account(&self, user: &UserName) -> Result<Option<AccountRecord>, Refusal> {
        Ok(self.store.account(user.clone()).await?)
    }

    /// Makes a draft for a log that `peer` orders durable in the outbox. Asked again, it says how the row stands.
    pub async fn enqueue(&self, peer: &ServerName, outgoing: Outgoing) -> Result<OutboxRow, Refusal> {
        let Admitted { draft, room } = self.rules().outgoing(peer, &outgoing)?;
        let (peer, Outgoing { log, genesis, .. }) = (peer.clone(), outgoing);
        self.ask(|reply| Job::Enqueue(Enqueue { peer, log, draft, genesis, room, reply })).await
    }

    /// At most `limit` rows for `peer` that it has not answered, after row `after`, in order.
    pub async fn outbox(&self, peer: &ServerName, after: i64, limit: usize) -> Result<Vec<OutboxRow>, Refusal> {
        Ok(self.store.outbox(peer.clone(), after, limit).await?)
    }

    /// How much waits for `peer`.
    pub async fn queue(&self, peer: &ServerName) -> Result<Queue, Refusal> {
        Ok(self.store.queue(peer.clone()).await?)
    }

    /// Keeps a peer's answer to row `id`.
    pub async fn settle(&self, id: i64, settled: Settled) -> Result<(), Refusal> {
        self.ask(|reply| Job::Settle { id, settled, reply }).await
    }

    /// Takes a page of a log that `hub` orders: what is new in it is checked, made durable and given to followers.
    pub async fn replicate(&self, hub: &ServerName, log: &LogName, prev: Hash, items: Vec<Bytes>) -> Result<Tip, ReplicaError> {
        self.replicate_pages(hub, log, &[(prev, items)]).await
    }

    /// The same with pages that follow each other: they share a commit.
    pub async fn replicate_pages(&self, hub: &ServerName, log: &LogName, pages: &[Page]) -> Result<Tip, ReplicaError> {
        replica::replicate(self, hub, log, pages).await
    }

    /// The logs of `hub` that are to be followed, and where each stands here.
    pub async fn replicas_from(&self, hub: &ServerName) -> Result<Vec<(LogName, Tip)>, Refusal> {
        Ok(self.book.ordered_by(hub))
    }

    /// The rooms that `user`, who is of this server, is in.
    pub async fn member_rooms(&self, user: &UserName) -> Result<Vec<RoomRef>, Refusal> {
        Ok(self.book.rooms_of(user))
    }

    /// A room that is known here.
    pub fn room(&self, log: &LogName) -> Option<RoomRef> {
        self.book.find(log)?.room
    }

    /// Rooms that users of this server have become members of, from now on.
    pub fn new_rooms(&self) -> broadcast::Receiver<RoomRef> {
        self.new_rooms.subscribe()
    }

    /// Whether `reader` may read `log`. A room that is not known is nobody's.
    pub fn may_read(&self, reader: &Reader, log: &LogName) -> bool {
        self.rules().may_read(reader, log)
    }

    /// The log with this number.
    pub fn name(&self, number: u64) -> Option<LogName> {
        self.book.row(number).map(|row| row.name)
    }

    /// Where a log stands here.
    pub fn tip(&self, log: &LogName) -> Option<Tip> {
        self.book.find(log).map(|row| row.tip)
    }

    /// One page of a log, and the chain's hash before it. Exactly one of `before` and `after`.
    pub async fn page(&self, log: &LogName, before: Option<u64>, after: Option<u64>, limit: u32) -> Result<(Hash, Vec<Item>), Refusal> {
        let range = match (before, after) {
            (Some(before), None) => Range::Before(before),
            (None, Some(after)) => Range::After(after),
            _ => return Err(Refusal::new(Code::Malformed, "a page is before an entry or after one")),
        };
        let number = self.book.number(log).ok_or(Code::NotFound)?;
        let most = Most { entries: (limit as usize).clamp(1, PAGE_ENTRIES), bytes: limits::PAGE };
        let page = self.store.page(number, range, most).await?;
        Ok((page.prev, page.entries.into_iter().map(|stored| Item { entry: stored.entry, got: stored.got }).collect()))
    }

    /// A page of one user's key history, and whether more follows.
    pub async fn chain(&self, user: &UserName, after: u64) -> Result<(Vec<Item>, bool), Refusal> {
        let number = self.book.number(&LogName::Keys(user.server().clone())).ok_or(Code::NotFound)?;
        let most = Most { entries: PAGE_ENTRIES, bytes: limits::PAGE };
        let (entries, more) = self.store.history(number, user.clone(), after, most).await?;
        Ok((entries.into_iter().map(|stored| Item { entry: stored.entry, got: None }).collect(), more))
    }

    /// Everybody's keys.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    fn rules(&self) -> Rules<'_> {
        Rules { me: &self.me, book: &self.book, directory: &self.directory }
    }

    /// Puts a job in line before it first waits.
    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Job) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        {
            let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            let jobs = jobs.as_ref().ok_or_else(stopping)?;
            jobs.try_send(job(reply)).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Refusal::from(Code::TooFast).retry_after(1),
                mpsc::error::TrySendError::Closed(_) => stopping(),
            })?;
        }
        answer.await.map_err(|_| stopping())?
    }
}

fn stopping() -> Refusal {
    Refusal::new(Code::Internal, "this server is stopping")
}
