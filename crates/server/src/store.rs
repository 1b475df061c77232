//! What lasts: a trait of domain verbs. One call of [`Store::commit`] is one transaction, and nothing of SQL leaks out.
//!
//! A store checks nothing that a log's rules decide: the sequencer (`logs`) is its one writer, and has decided before.

mod packages;
mod people;
pub mod sqlite;

pub use packages::{KeyPackage, Owner, Stock, Wanted};
pub use people::People;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidings_proto::chain::Tip;
use tidings_proto::frame::{RoomRef, SealedVault, Secret};
use tidings_proto::{Code, DeviceKey, Genesis, Hash, LogName, Refusal, ServerName, UserName};

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("the database {path} cannot be opened: {why}")]
    Open {
        /// Which file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// Made by an older program, before the formats were frozen.
    #[error(
        "the database has version {found}, and this program has version {known}: formats are not frozen yet, and it cannot be brought \
         over; go on with the program that made it, or move tidings.db aside and begin with an empty one, in which everybody registers anew"
    )]
    Older {
        /// The file's version.
        found: i64,
        /// The one that this program knows.
        known: i64,
    },
    /// Made by a newer program.
    #[error("the database has version {found}, and this program has version {known}: use the newer program")]
    Newer {
        /// The file's version.
        found: i64,
        /// The one that this program knows.
        known: i64,
    },
    /// The SQLite in this program has a known bug that loses data.
    #[error("SQLite {0} is too old: 3.51.3 or newer is needed")]
    OldSqlite(&'static str),
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// Something else, with what the store said.
    #[error("the database failed: {0}")]
    Failed(String),
    /// What was read is not what was once written.
    #[error("the database holds something that cannot be read: {0}")]
    Damaged(String),
    /// The store has been closed.
    #[error("the database is closed")]
    Closed,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        match error {
            StoreError::Full => Refusal::new(Code::Full, "the server's disk is full"),
            error => {
                // Paths and SQLite's words are for the operator only.
                tracing::error!(%error, "the store failed");
                Code::Internal.into()
            }
        }
    }
}

/// What everything that lasts offers.
pub trait Store: Send + Sync + 'static {
    /// Every log and where it stands, and the counters. Asked once, at start.
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>>;
    /// Makes all of these changes durable, or none.
    fn commit(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Entries of a log.
    fn page(&self, log: u64, range: Range, most: Most) -> BoxFuture<'_, Result<Page, StoreError>>;
    /// The entries of a `keys@` log that are about `user`, after `after`; and whether more follow.
    fn history(&self, log: u64, user: UserName, after: u64, most: Most) -> BoxFuture<'_, Result<(Vec<Stored>, bool), StoreError>>;
    /// What the sequencer must know before it decides about a batch.
    fn look_up(&self, questions: Questions) -> BoxFuture<'_, Result<Answers, StoreError>>;
    /// A registered user's account.
    fn account(&self, user: UserName) -> BoxFuture<'_, Result<Option<AccountRecord>, StoreError>>;
    /// Every code that may still be used, as far as the clock is not asked.
    fn codes(&self) -> BoxFuture<'_, Result<Vec<NewCode>, StoreError>>;
    /// The servers for which anything waits, and how much.
    fn queues(&self) -> BoxFuture<'_, Result<BTreeMap<ServerName, Queue>, StoreError>>;
    /// The rows for `peer` that wait for its answer, after `after`, in order.
    fn outbox(&self, peer: ServerName, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<OutboxRow>, StoreError>>;
    /// The same without what is in them.
    fn waiting(&self, peer: ServerName, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Waiting>, StoreError>>;
    /// Of these rows of the outbox the ones that still wait, in this order.
    fn rows(&self, ids: Vec<i64>) -> BoxFuture<'_, Result<Vec<OutboxRow>, StoreError>>;
    /// The logs that are new or have got entries since this was asked last, or since the start.
    fn changed(&self) -> BoxFuture<'_, Result<Vec<u64>, StoreError>>;
    /// Ends what is under way and closes the files. Everything after is [`StoreError::Closed`].
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Everything that is kept in memory from the start on.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Every log.
    pub logs: Vec<LogRow>,
    /// The last arrival number of a public entry.
    pub got: u64,
    /// The last outbox row's number.
    pub outbox: i64,
    /// Everybody who is registered here.
    pub registered: Vec<UserName>,
    /// The names that wait for whoever has their claim code.
    pub claims: Vec<UserName>,
}

/// A log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Its number, which never changes.
    pub number: u64,
    /// Its name.
    pub name: LogName,
    /// Rooms: what the name is the hash of, and the hub.
    pub room: Option<RoomRef>,
    /// Groups: who is in, once the first entry is here. Those of a direct room are in its genesis.
    pub people: Option<Arc<People>>,
    /// Whom others have asked here: into a direct room in which this user has not written yet; or, by a pointer in this user's
    /// inbox, into a group whose first entry is not here yet.
    pub asked: Option<UserName>,
    /// Since when the log is here, in milliseconds since 1970.
    pub since: u64,
    /// Replicas: whether the log is to be followed at its hub.
    pub followed: bool,
    /// Where it stands.
    pub tip: Tip,
    /// The chain of this replica was broken; it takes nothing more.
    pub stopped: bool,
}

/// One thing that a commit makes durable.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new log, empty; who is in a group comes by a change of its own.
    Log(LogRow),
    /// A log that never got an entry is not kept any more.
    Discard {
        /// The log's number.
        log: u64,
    },
    /// Whoever was asked into this direct room has written in it.
    TakenUp {
        /// The log's number.
        log: u64,
    },
    /// The next entry of a log.
    Entry(NewEntry),
    /// Who is in a group from here on.
    People {
        /// The log's number.
        log: u64,
        /// The people.
        people: Arc<People>,
    },
    /// Whether a replica is to be followed.
    Follow {
        /// The log's number.
        log: u64,
        /// Whether.
        followed: bool,
    },
    /// An entry is forgotten; a stub stays in its place.
    Erase {
        /// The log's number.
        log: u64,
        /// The entry's place.
        seq: u64,
        /// The encoded stub.
        stub: Bytes,
    },
    /// This replica takes nothing more.
    Stop {
        /// The log's number.
        log: u64,
    },
    /// An account, of a name that was never used.
    Account {
        /// Whose.
        user: UserName,
        /// What is kept of it.
        record: AccountRecord,
    },
    /// Another vault, and perhaps other records, of an account whose vault had the version before.
    Secrets {
        /// Whose.
        user: UserName,
        /// Another record for the password.
        password: Option<Bytes>,
        /// Another record for the recovery code.
        recovery: Option<Bytes>,
        /// The sealed vault.
        vault: SealedVault,
    },
    /// Another book in an account's vault that had the version before. Records and keys stay.
    Book {
        /// Whose.
        user: UserName,
        /// The vault's version from now on.
        version: u64,
        /// The sealed book.
        book: Bytes,
    },
    /// An account is closed; nothing of it is left here but its key history.
    Close(UserName),
    /// A key package of a device, new here. One of last resort takes the place of the one before.
    KeyPackage {
        /// Whose.
        owner: Owner,
        /// The package.
        package: KeyPackage,
    },
    /// A single-use key package is handed out, and not kept.
    HandOut {
        /// Whose.
        owner: Owner,
        /// SHA-256 of the package.
        hash: Hash,
    },
    /// A device has no key packages any more.
    Withdraw(Owner),
    /// A code that lets people register.
    Code(NewCode),
    /// One use of a code is gone.
    UseCode(Hash),
    /// A code is no good any more.
    RemoveCode(Hash),
    /// Whatever codes name this user are no good any more.
    VoidCodes(UserName),
    /// Codes that were used up or had expired by this time are no longer needed. A name's claim code stays.
    ForgetCodes {
        /// Milliseconds since 1970.
        at: u64,
    },
    /// A draft for a peer. It takes the place of a refused one with the same (log, device, n).
    Outgoing {
        /// The peer.
        peer: ServerName,
        /// By whom, and its n.
        once: (Author, u64),
        /// The row.
        row: OutboxRow,
    },
    /// A peer's answer. The draft is forgotten with it, but for its hash: it is in the peer's log now, from which it may be
    /// erased, or it is nowhere.
    Settle {
        /// The row.
        id: i64,
        /// The answer.
        settled: Settled,
        /// When, in milliseconds since 1970.
        at: u64,
    },
    /// Answered rows of the outbox from before this time are no longer needed.
    ForgetSettled {
        /// Milliseconds since 1970.
        before: u64,
    },
}

/// Whose drafts are counted: a device, as one of this user's. By the device alone, anybody who put another's device into
/// a list could use up its numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Author {
    /// The user.
    pub user: UserName,
    /// The device.
    pub device: DeviceKey,
}

/// An entry on its way into the store.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The log's number.
    pub log: u64,
    /// The log's tip once the entry is in.
    pub tip: Tip,
    /// The encoded entry.
    pub entry: Bytes,
    /// Logs that are sequenced here: by whom, and its n. No second entry has the same.
    pub once: Option<(Author, u64)>,
    /// `keys@`: about whom it is.
    pub about: Option<UserName>,
    /// Public logs: the arrival number.
    pub got: Option<u64>,
    /// It could not be verified, and a stub is kept in its place.
    pub flawed: bool,
}

/// An invitation or claim code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCode {
    /// SHA-256 of the code.
    pub hash: Hash,
    /// Good for this user only.
    pub user: Option<UserName>,
    /// How often it may still be used.
    pub uses: u32,
    /// Milliseconds since 1970 from which on it is no good.
    pub expires: u64,
    /// It lets this user, who has an account, begin anew; it opens nothing else.
    pub reset: bool,
}

/// What is kept of an account. Nothing of it opens anything.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// The password's OPAQUE record.
    pub password: Bytes,
    /// The recovery code's OPAQUE record.
    pub recovery: Bytes,
    /// The sealed vault; its versions are counted from 1.
    pub vault: SealedVault,
}

impl AccountRecord {
    /// The OPAQUE record of one of the two secrets.
    pub fn of(&self, secret: Secret) -> &Bytes {
        match secret {
            Secret::Password => &self.password,
            Secret::Recovery => &self.recovery,
        }
    }
}

impl std::fmt::Debug for AccountRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccountRecord(vault {})", self.vault.version)
    }
}

/// A draft for a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its number; rows are sent in this order.
    pub id: i64,
    /// For which log.
    pub log: LogName,
    /// SHA-256 of the encoded draft.
    pub hash: Hash,
    /// The encoded draft; empty once it was answered.
    pub draft: Bytes,
    /// The genesis that goes with it.
    pub genesis: Option<Genesis>,
    /// Since when, in milliseconds since 1970.
    pub queued: u64,
    /// Whether it was answered.
    pub state: OutboxState,
}

/// A draft that waits for a peer's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its row.
    pub id: i64,
    /// What it has to keep its order in.
    pub lane: Lane,
}

/// What one device writes to one log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// Whose device it is.
    pub user: String,
    /// The device.
    pub device: DeviceKey,
    /// The log.
    pub log: LogName,
}

/// What waits for a peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queue {
    /// Drafts that it has not answered.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Since when the oldest waits, in milliseconds since 1970.
    pub oldest: Option<u64>,
}

/// How a draft for a peer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboxState {
    /// The peer has not answered.
    Waiting,
    /// In its log.
    Accepted {
        /// Its place.
        seq: u64,
        /// The chain's hash there.
        hash: Hash,
    },
    /// Refused for good.
    Refused(Refusal),
}

/// A peer's answer for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// In its log.
    Accepted {
        /// Its place.
        seq: u64,
        /// The chain's hash there.
        hash: Hash,
    },
    /// Refused.
    Refused(Refusal),
}

impl From<Settled> for OutboxState {
    fn from(settled: Settled) -> OutboxState {
        match settled {
            Settled::Accepted { seq, hash } => OutboxState::Accepted { seq, hash },
            Settled::Refused(why) => OutboxState::Refused(why),
        }
    }
}

/// Which entries of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// The oldest after this one.
    After(u64),
    /// The newest before this one.
    Before(u64),
}

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// At most so many entries.
    pub entries: usize,
    /// At most so many bytes of entries, but one entry at least.
    pub bytes: usize,
}

/// Consecutive entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The chain's hash before the first.
    pub prev: Hash,
    /// The entries, oldest first.
    pub entries: Vec<Stored>,
}

/// An entry as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place.
    pub seq: u64,
    /// The encoded entry.
    pub entry: Bytes,
    /// The arrival number, in public logs.
    pub got: Option<u64>,
}

/// What the sequencer asks before it decides about a batch.
#[derive(Debug, Clone, Default)]
pub struct Questions {
    /// The last n of an author in a log.
    pub lasts: Vec<(u64, Author)>,
    /// The entry with this (log, author, n).
    pub placed: Vec<(u64, Author, u64)>,
    /// The code with this hash.
    pub codes: Vec<Hash>,
    /// The row with this (log, device, n).
    pub outgoing: Vec<(LogName, DeviceKey, u64)>,
    /// What waits for this peer, of everybody's.
    pub queues: Vec<ServerName>,
    /// What waits for this peer, of this user's.
    pub shares: Vec<(ServerName, UserName)>,
    /// This user's account.
    pub accounts: Vec<UserName>,
    /// The entry with this (log, seq).
    pub entries: Vec<(u64, u64)>,
    /// This device's key packages.
    pub stocks: BTreeMap<Owner, Wanted>,
}

impl Questions {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        let Questions { lasts, placed, codes, outgoing, queues, shares, accounts, entries, stocks } = self;
        lasts.is_empty()
            && placed.is_empty()
            && codes.is_empty()
            && outgoing.is_empty()
            && queues.is_empty()
            && shares.is_empty()
            && accounts.is_empty()
            && entries.is_empty()
            && stocks.is_empty()
    }
}

/// The answers, each list in the order of its questions.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// 0 where there is none.
    pub lasts: Vec<u64>,
    /// The entry, and the tip there.
    pub placed: Vec<Option<(Bytes, Tip)>>,
    /// What is left of the code.
    pub codes: Vec<Option<NewCode>>,
    /// The row.
    pub outgoing: Vec<Option<OutboxRow>>,
    /// The queue; since when is not told.
    pub queues: Vec<Queue>,
    /// The share of it; since when is not told.
    pub shares: Vec<Queue>,
    /// What is kept of the account.
    pub accounts: Vec<Option<AccountRecord>>,
    /// The encoded entry.
    pub entries: Vec<Option<Bytes>>,
    /// What the device has.
    pub stocks: Vec<Stock>,
}
