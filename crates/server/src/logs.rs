//! The one door to everything that lasts: logs, accounts, the outbox. Links never touch the store or the bus.
//!
//! A draft is judged twice. What can be told of it alone (`rules`) is told where it came in, so many are judged at once;
//! what depends on order is told by the one sequencer, in the order in which drafts arrived.

mod batch;
mod book;
mod directory;
mod expire;
mod follow;
mod kept;
mod limiter;
mod mailbox;
mod open;
mod packages;
mod quota;
mod replica;
mod rules;
mod sequencer;
mod spans;
mod tail;
mod view;

use crate::bus::Bus;
use crate::config::Limits;
use crate::federation::Outgoing;
use crate::identity::Identity;
use crate::store::{Most, Questions, Range, Store, StoreError};
use bytes::Bytes;
use mailbox::Mailboxes;
use sequencer::{Append, Enqueue, Job, Register, Rekey};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tail::Tail;
use tidings_proto::chain::Tip;
use tidings_proto::frame::{Grant, Item, RoomRef, SealedVault, Secret};
use tidings_proto::{Code, DeviceKey, Genesis, Hash, LogName, Refusal, ServerKey, ServerName, UserName, draft, limits};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use view::View;

pub use crate::store::{AccountRecord, Lane, NewCode, OutboxRow, OutboxState, People, Queue, Settled, Waiting};
pub use batch::claim_needed;
pub use directory::Directory;
pub use follow::{Ahead, FollowFrame, Follower};
pub use packages::{Left, Low, is_key_package};
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
        /// Which. Its user's newest list names it.
        device: DeviceKey,
    },
    /// A device that is not listed yet. It may add itself by a new list, nothing else.
    Guest {
        /// Whose.
        user: UserName,
        /// Which.
        device: DeviceKey,
        /// What it has proved.
        proof: Proof,
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
    /// This server itself, which keeps everything.
    Host,
}

/// One of an account's two secrets has been proved on a link (OPAQUE). Good for as long as the secret is that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Which.
    pub secret: Secret,
    /// SHA-256 of the record by which it was proved.
    pub record: Hash,
}

impl Proof {
    /// What was proved against this account.
    pub fn of(secret: Secret, account: &AccountRecord) -> Proof {
        Proof { secret, record: Hash::of(account.of(secret)) }
    }
}

/// A user of this server has been asked into a room, or has it from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Who.
    pub user: UserName,
    /// Where.
    pub room: RoomRef,
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
    /// The sealed vault, version 1; or the next one, where the account begins anew.
    pub vault: SealedVault,
    /// What lets this person in.
    pub admission: Admission,
}

/// What an account's secrets and vault are from now on.
pub struct Secrets {
    /// Another OPAQUE record for the password.
    pub password: Option<Bytes>,
    /// Another OPAQUE record for the recovery code.
    pub recovery: Option<Bytes>,
    /// The sealed vault.
    pub vault: SealedVault,
}

/// What lets a person register. Who is let in is decided with everything else of the account, so a code is used up by one.
pub enum Admission {
    /// Nothing is asked, unless the name is kept back.
    Open,
    /// A code, to be used up: an invitation, or the claim code where the name is kept back.
    Code(String),
    /// A code, to be used up: the name's own claim code.
    Claim(String),
    /// A code, to be used up: the account is there, and begins anew with another identity.
    Reset(String),
}

impl Admission {
    /// The hash of the code, by which it is known.
    fn code(&self) -> Option<Hash> {
        match self {
            Admission::Open => None,
            Admission::Code(code) | Admission::Claim(code) | Admission::Reset(code) => Some(Hash::of(code.as_bytes())),
        }
    }
}

/// Whose logs these are, and what they allow.
pub struct Keeper {
    /// The server.
    pub name: ServerName,
    /// Its keys.
    pub identity: Arc<Identity>,
    /// How much anybody may ask for.
    pub limits: Limits,
}

/// Everything that lasts.
pub struct Logs {
    view: Arc<View>,
    store: Arc<dyn Store>,
    tail: Arc<Tail>,
    mailboxes: Arc<Mailboxes>,
    new_rooms: broadcast::Sender<RoomRef>,
    arrivals: broadcast::Sender<Arrival>,
    low: broadcast::Sender<Low>,
    expired: expire::Expired,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    tasks: TaskTracker,
    closing: CancellationToken,
    /// Cancelled when the sequencer has ended, whatever the reason.
    ended: CancellationToken,
}

impl Logs {
    /// Opens everything that `store` has, and starts to take drafts. Logs of this server are made where they are missing.
    pub async fn open(store: Arc<dyn Store>, bus: Arc<dyn Bus>, keeper: Keeper) -> Result<Arc<Logs>, StoreError> {
        open::open(store, bus, keeper).await
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

    /// From now on the public chat and the keys of `name`, whose key is `key`, are kept here.
    pub async fn know_peer(&self, name: &ServerName, key: &ServerKey) -> Result<(), StoreError> {
        self.view.servers.learn(name.clone(), *key);
        let name = name.clone();
        self.ask(|reply| Job::KnowServer { name, reply }).await.map_err(|why| StoreError::Failed(why.text))
    }

    /// Offers a draft to a log that is ordered here. It is in line for its place when the future was polled once.
    pub async fn append(&self, origin: Origin, log: &LogName, draft: Bytes, genesis: Option<Genesis>) -> Result<Placed, Refusal> {
        if let Origin::Device { user, device } = &origin {
            self.view.limiter.writes(user, device, Instant::now())?;
        }
        let admitted = self.view.admit(&origin, log, draft, genesis)?;
        let proof = if let Origin::Guest { proof, .. } = origin { Some(proof) } else { None };
        let log = log.clone();
        self.ask(|reply| Job::Append(Append { log, admitted, proof, reply })).await
    }

    /// Whether `admission` lets `user` in as things stand, so that nobody makes keys in vain. It uses nothing up, and decides
    /// nothing: [`Logs::register`] does.
    pub async fn admits(&self, user: &UserName, admission: &Admission) -> Result<(), Refusal> {
        let Some(hash) = admission.code() else { return Ok(()) };
        let (claim, at) = (matches!(admission, Admission::Claim(_)), now());
        let good = self.codes().await?.iter().any(|code| code.hash == hash && batch::lets_in(code, user, claim, at));
        if good { Ok(()) } else { Err(Code::BadCode.into()) }
    }

    /// Makes an account, or lets one begin anew: records, vault and device list are durable together, or none of them is.
    pub async fn register(&self, account: NewAccount, draft: Bytes) -> Result<Placed, Refusal> {
        let admitted = self.view.register(&account, draft)?;
        self.ask(|reply| Job::Register(Register { account, admitted, reply })).await
    }

    /// Changes an account: other secrets, vault and device list are durable together, or none of them is. `origin` is one of the
    /// account's devices, or a guest of its name.
    pub async fn rekey(&self, origin: Origin, proof: Proof, secrets: Secrets, draft: Bytes) -> Result<Placed, Refusal> {
        let (Origin::Device { user, .. } | Origin::Guest { user, .. }) = &origin else { return Err(Code::Forbidden.into()) };
        let (user, admitted) = (user.clone(), self.view.rekey(&origin, &secrets, draft)?);
        self.ask(|reply| Job::Rekey(Rekey { user, proof, secrets, admitted, reply })).await
    }

    /// Puts another book into the vault of version `version` - 1, for one of the user's devices. It takes no secret, so nothing
    /// else of the account changes.
    pub async fn put_book(&self, user: &UserName, device: &DeviceKey, version: u64, book: Bytes) -> Result<(), Refusal> {
        rules::fits_a_vault(&book)?;
        let (user, device) = (user.clone(), *device);
        self.ask(|reply| Job::PutBook { user, device, version, book, reply }).await
    }

    /// Closes an account for good. Its name is never issued again.
    pub async fn close_account(&self, user: &UserName) -> Result<Placed, Refusal> {
        let user = user.clone();
        self.ask(|reply| Job::Close { user, reply }).await
    }

    /// The word of this server that the account of `user` may begin anew on `device`, if `code` is one by which it may.
    pub async fn grant(&self, user: &UserName, device: &DeviceKey, code: &str) -> Result<Option<Grant>, Refusal> {
        let Some(state) = self.view.directory.state(user).filter(|state| !state.closed) else { return Ok(None) };
        let hash = Hash::of(code.as_bytes());
        // Whether it has expired is told when it is used up.
        if !self.codes().await?.iter().any(|code| code.hash == hash && code.reset && code.user.as_ref() == Some(user)) {
            return Ok(None);
        }
        let (version, prev, identity) = (state.list.version + 1, state.list_hash, &self.view.identity);
        let Some(account) = self.account(user).await? else { return Ok(None) };
        let sig = identity.sign(&Grant::signed_bytes(user, version, &prev, device));
        Ok(Some(Grant { server: identity.key(), version, prev, sig, vault: account.vault.version + 1 }))
    }

    /// Keeps a code. With a name, it is that name's claim code: the name is kept back for whoever has it; or, if it is one for a
    /// reset, lets the name's account begin anew. An earlier code for the same name is no good any more.
    pub async fn add_code(&self, code: NewCode) -> Result<(), Refusal> {
        self.ask(|reply| Job::AddCode { code, reply }).await
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
        self.view.kept.keep(names);
    }

    /// Whether `user` may be registered by its claim code only.
    pub fn is_kept_back(&self, user: &UserName) -> bool {
        self.view.kept.has(user)
    }

    /// The names that are kept back and have no account yet, and whether they have a claim code.
    pub fn unclaimed(&self) -> Vec<(UserName, bool)> {
        self.view.kept.all().into_iter().filter(|(user, _)| !self.is_registered(user)).collect()
    }

    /// Whether `user` has, or had, an account here.
    pub fn is_registered(&self, user: &UserName) -> bool {
        self.view.book.is_registered(user) || self.view.directory.state(user).is_some()
    }

    /// A user's account.
    pub async fn account(&self, user: &UserName) -> Result<Option<AccountRecord>, Refusal> {
        Ok(self.store.account(user.clone()).await?)
    }

    /// Makes a draft for a log that `peer` orders durable in the outbox. Asked again, it says how the row stands.
    pub async fn enqueue(&self, peer: &ServerName, outgoing: Outgoing) -> Result<OutboxRow, Refusal> {
        self.view.limiter.writes(&outgoing.user, &outgoing.device, Instant::now())?;
        let admitted = self.view.outgoing(peer, &outgoing)?;
        let (peer, Outgoing { log, genesis, .. }) = (peer.clone(), outgoing);
        self.ask(|reply| Job::Enqueue(Enqueue { peer, log, admitted, genesis, reply })).await
    }

    /// At most `limit` rows for `peer` that it has not answered, after row `after`, in order.
    pub async fn outbox(&self, peer: &ServerName, after: i64, limit: usize) -> Result<Vec<OutboxRow>, Refusal> {
        Ok(self.store.outbox(peer.clone(), after, limit).await?)
    }

    /// The same without what is in them.
    pub async fn waiting(&self, peer: &ServerName, after: i64, limit: usize) -> Result<Vec<Waiting>, Refusal> {
        Ok(self.store.waiting(peer.clone(), after, limit).await?)
    }

    /// Of these rows of the outbox the ones that still wait, in this order.
    pub async fn rows(&self, ids: Vec<i64>) -> Result<Vec<OutboxRow>, Refusal> {
        Ok(self.store.rows(ids).await?)
    }

    /// The servers for which anything waits, and how much: those that this one knows no more, too.
    pub async fn queues(&self) -> Result<BTreeMap<ServerName, Queue>, Refusal> {
        Ok(self.store.queues().await?)
    }

    /// How this draft stands in the outbox, if it is there.
    pub async fn outgoing(&self, log: &LogName, draft: &Bytes) -> Result<Option<OutboxRow>, Refusal> {
        let read = draft::read(draft.clone())?;
        let questions = Questions { outgoing: vec![(log.clone(), read.device, read.n)], ..Questions::default() };
        let found = self.store.look_up(questions).await?.outgoing.into_iter().flatten().next();
        Ok(found.filter(|row| row.hash == read.hash()))
    }

    /// Keeps a peer's answer to row `id`.
    pub async fn settle(&self, id: i64, settled: Settled) -> Result<(), Refusal> {
        self.ask(|reply| Job::Settle { id, settled, reply }).await
    }

    /// Takes a page of a log that `hub` orders: what is new in it is checked, made durable and given to followers.
    pub async fn replicate(&self, hub: &ServerName, log: &LogName, prev: Hash, items: Vec<Bytes>) -> Result<Tip, ReplicaError> {
        self.replicate_pages(hub, log, &[(Some(prev), items)]).await
    }

    /// The same with pages that follow each other: they share a commit.
    pub async fn replicate_pages(&self, hub: &ServerName, log: &LogName, pages: &[Page]) -> Result<Tip, ReplicaError> {
        replica::replicate(self, hub, log, pages).await
    }

    /// Forgets what inboxes hold from before this time, in milliseconds since 1970; the entries' places stay. Groups to which
    /// pointers of before then lead, and of which nothing has come since, are not followed any more.
    pub async fn expire_inboxes(&self, before: u64) -> Result<(), Refusal> {
        expire::expire(self, before).await
    }

    /// The logs of `hub` that are to be followed, and where each stands here.
    pub async fn replicas_from(&self, hub: &ServerName) -> Result<Vec<(LogName, Tip)>, Refusal> {
        Ok(self.view.book.ordered_by(hub))
    }

    /// The rooms that `user`, who is of this server, is in, is asked into, or has been in.
    pub async fn member_rooms(&self, user: &UserName) -> Result<Vec<RoomRef>, Refusal> {
        Ok(self.rooms_after(user, None, usize::MAX).0)
    }

    /// At most `limit` of those after this number, and the number to go on from, where more follow.
    pub fn rooms_after(&self, user: &UserName, after: Option<u64>, limit: usize) -> (Vec<RoomRef>, Option<u64>) {
        self.view.book.rooms_after(user, after, limit)
    }

    /// A room that is known here.
    pub fn room(&self, log: &LogName) -> Option<RoomRef> {
        self.view.book.find(log)?.room.clone()
    }

    /// Who is in a group that is known here.
    pub fn people(&self, log: &LogName) -> Option<Arc<People>> {
        self.view.book.find(log)?.people.clone()
    }

    /// Rooms that are learnt, or are to be followed again, from now on.
    pub fn new_rooms(&self) -> broadcast::Receiver<RoomRef> {
        self.new_rooms.subscribe()
    }

    /// Who comes to a room, or is asked in, from now on: of this server's users.
    pub fn arrivals(&self) -> broadcast::Receiver<Arrival> {
        self.arrivals.subscribe()
    }

    /// Whether `reader` may read of `log`. A room that is not known is nobody's.
    pub fn may_read(&self, reader: &Reader, log: &LogName) -> bool {
        self.view.may_see(reader, log).is_ok()
    }

    /// The log with this number.
    pub fn name(&self, number: u64) -> Option<LogName> {
        self.view.book.row(number).map(|row| row.name.clone())
    }

    /// Where a log stands here.
    pub fn tip(&self, log: &LogName) -> Option<Tip> {
        self.view.book.find(log).map(|row| row.tip)
    }

    /// One page of a log as `reader` sees it, and the chain's hash before it. Exactly one of `before` and `after`.
    pub async fn page(
        &self,
        reader: &Reader,
        log: &LogName,
        (before, after): (Option<u64>, Option<u64>),
        limit: u32,
    ) -> Result<(Hash, Vec<Item>), Refusal> {
        let range = match (before, after) {
            (Some(before), None) => Range::Before(before),
            (None, Some(after)) => Range::After(after),
            _ => return Err(Refusal::new(Code::Malformed, "a page is before an entry or after one")),
        };
        let (row, sight) = self.view.may_see(reader, log)?;
        let range = match (range, sight.until()) {
            (Range::Before(before), Some(until)) => Range::Before(before.min(until.saturating_add(1))),
            (range, _) => range,
        };
        let most = Most { entries: (limit as usize).clamp(1, PAGE_ENTRIES), bytes: limits::PAGE };
        let page = self.store.page(row.number, range, most).await?;
        let items: Vec<Item> = page.entries.iter().map(|stored| Item { entry: stored.entry.clone(), got: stored.got }).collect();
        // Who may read is asked now: it may have changed while the page was on its way.
        let (row, sight) = self.view.may_see(reader, log)?;
        let (Some(first), Some(last)) = (page.entries.first(), page.entries.last()) else { return Ok((page.prev, items)) };
        if sight.has_all(first.seq, last.seq, row.tip.seq) {
            return Ok((page.prev, items));
        }
        Ok((page.prev, sight.of(items, row.tip.seq)?.0))
    }

    /// A page of one user's key history, and whether more follows.
    pub async fn chain(&self, user: &UserName, after: u64) -> Result<(Vec<Item>, bool), Refusal> {
        let row = self.view.book.find(&LogName::Keys(user.server().clone())).ok_or(Code::NotFound)?;
        if row.tip == Tip::EMPTY && user.server() != &self.view.me {
            // Whether there is anybody of that name, nobody here has heard yet.
            return Err(Code::Unreachable.into());
        }
        let most = Most { entries: PAGE_ENTRIES, bytes: limits::PAGE };
        let (entries, more) = self.store.history(row.number, user.clone(), after, most).await?;
        Ok((entries.into_iter().map(|stored| Item { entry: stored.entry, got: None }).collect(), more))
    }

    /// Everybody's keys.
    pub fn directory(&self) -> &Directory {
        &self.view.directory
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

fn too_fast(what: &str, seconds: u64) -> Refusal {
    Refusal::new(Code::TooFast, format!("too many {what} in a short time; try again in {seconds} s")).retry_after(seconds)
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
