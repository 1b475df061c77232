//! How the logs are opened: what is kept in memory is read, and the tasks are started.

use super::batch::Cache;
use super::book::Book;
use super::directory::Directory;
use super::kept::Kept;
use super::limiter::Limiter;
use super::mailbox::Mailboxes;
use super::sequencer::{Sequencer, WAITING};
use super::tail::Tail;
use super::view::{Servers, View};
use super::{Keeper, Logs, PAGE_ENTRIES, expire};
use crate::bus::Bus;
use crate::store::{LogRow, Most, Range, Store, StoreError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{SystemTime, UNIX_EPOCH};
use tidings_proto::{Entry, LogName, UserName};
use tidings_trust::KeyState;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// New rooms, or devices with few key packages, that a slow listener may be behind before it is told to look at all of them.
const ROOMS_BEHIND: usize = 1024;
/// Bytes of key history that are read at once.
const READ_AT_ONCE: usize = 1024 * 1024;

/// See [`Logs::open`].
pub async fn open(store: Arc<dyn Store>, bus: Arc<dyn Bus>, keeper: Keeper) -> Result<Arc<Logs>, StoreError> {
    let Keeper { name: me, identity, limits } = keeper;
    let loaded = store.load().await?;
    let mut states = BTreeMap::new();
    for row in loaded.logs.iter().filter(|row| matches!(row.name, LogName::Keys(_))) {
        replay(&*store, row, &mut states).await?;
    }
    let last_log = loaded.logs.iter().map(|row| row.number).max().unwrap_or(0);
    let cache = Cache::new(last_log, loaded.got, loaded.outbox);
    let (jobs, waiting) = mpsc::channel(WAITING);
    let key = identity.key();
    let view = View {
        servers: Servers::new(me.clone(), key),
        book: Book::new(me.clone(), loaded.logs, loaded.registered),
        directory: Directory::new(states),
        kept: Kept::new(loaded.claims),
        limiter: Limiter::new(&limits),
        limits,
        identity,
        me,
    };
    let logs = Arc::new(Logs {
        view: Arc::new(view),
        tail: Arc::new(Tail::default()),
        mailboxes: Arc::new(Mailboxes::default()),
        new_rooms: broadcast::channel(ROOMS_BEHIND).0,
        arrivals: broadcast::channel(ROOMS_BEHIND).0,
        low: broadcast::channel(ROOMS_BEHIND).0,
        expired: Default::default(),
        jobs: Mutex::new(Some(jobs)),
        tasks: TaskTracker::new(),
        closing: CancellationToken::new(),
        ended: CancellationToken::new(),
        store,
    });
    let mailboxes = logs.mailboxes.clone();
    bus.listen(Box::new(move |woken| mailboxes.post(woken)));
    let sequencer = Sequencer {
        view: logs.view.clone(),
        store: logs.store.clone(),
        bus,
        tail: logs.tail.clone(),
        new_rooms: logs.new_rooms.clone(),
        arrivals: logs.arrivals.clone(),
        low: logs.low.clone(),
        cache,
        forgotten: 0,
    };
    let ended = logs.ended.clone().drop_guard();
    logs.tasks.spawn(async move {
        // Dropped by a panic too.
        let _ended = ended;
        sequencer.run(waiting).await;
    });
    let poll = Sequencer::poll(logs.store.clone(), logs.mailboxes.clone());
    let closing = logs.closing.clone();
    logs.tasks.spawn(async move {
        closing.run_until_cancelled(poll).await;
    });
    let (keeping, closing) = (Arc::downgrade(&logs), logs.closing.clone());
    logs.tasks.spawn(async move {
        closing.run_until_cancelled(keep_inboxes_short(keeping)).await;
    });
    logs.know_peer(&logs.view.me, &key).await?;
    Ok(logs)
}

/// Forgets now and then what inboxes have kept for long enough.
async fn keep_inboxes_short(logs: Weak<Logs>) {
    let mut every = tokio::time::interval(expire::EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let Some(logs) = logs.upgrade() else { return };
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(expire::KEPT);
        if let Err(error) = logs.expire_inboxes(before.as_millis() as u64).await {
            tracing::error!(%error, "inboxes could not be looked through");
        }
    }
}

/// Reads a key history as it was judged when it came: only what had been verified was made durable. To verify it again took two
/// thirds of the start: of 1.45 s for 10,000 people with one list each, 0.43 s went into RSA-PSS and 0.54 s into Ed25519
/// signatures, and 0.08 s into reading the entries.
async fn replay(store: &dyn Store, row: &LogRow, states: &mut BTreeMap<UserName, Arc<KeyState>>) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let page = store.page(row.number, Range::After(after), Most { entries: PAGE_ENTRIES, bytes: READ_AT_ONCE }).await?;
        let Some(last) = page.entries.last() else { return Ok(()) };
        after = last.seq;
        for stored in &page.entries {
            let entry = Entry::read(&stored.entry).map_err(|error| StoreError::Damaged(error.to_string()))?;
            // A stub took nobody's place in the history.
            let Some(draft) = entry.draft() else { continue };
            let before = states.get(&draft.author).map(|state| &**state);
            let state = KeyState::replay(before, &row.name, entry.seq, draft)
                .map_err(|error| StoreError::Damaged(format!("{} entry {}: {error}", row.name, entry.seq)))?;
            states.insert(draft.author.clone(), Arc::new(state));
        }
    }
}
