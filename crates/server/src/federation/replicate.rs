//! Entries of a peer's logs on their way into our replicas: in order within a log, side by side between logs.

use crate::logs::{Logs, ReplicaError};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::frame::Item;
use tidings_proto::{Hash, LogName, ServerName};
use tokio::time::Instant;

/// What became of one page.
pub(super) enum Outcome {
    /// It is durable, or was here before, or the log has stopped for good.
    Done,
    /// The log has to be asked for again later: an author's keys are not here yet, or something was missing.
    Later(LogName),
}

type Page = (Hash, Vec<Bytes>);

/// What became of a page, and how many bytes it had.
type Replicated = (LogName, usize, Result<(), ReplicaError>);

/// The replicas that one link feeds.
pub(super) struct Replicas {
    logs: Arc<Logs>,
    hub: ServerName,
    /// Pages that wait for the page before them. A log has a queue exactly while a page of it is under way.
    queues: HashMap<LogName, VecDeque<Page>>,
    under_way: FuturesUnordered<BoxFuture<'static, Replicated>>,
    put_off: HashMap<LogName, Instant>,
    /// How often in a row a log was refused.
    refusals: HashMap<LogName, u32>,
    /// When a log was followed again: pages that were on their way before leave a gap, and the right ones come after them.
    again: HashMap<LogName, Instant>,
    /// Bytes of entries that are not durable yet.
    held: usize,
}

/// Bytes of entries that may wait for their commit; far more than what keeps the writer busy.
const HELD_AT_MOST: usize = 4 * 1024 * 1024;
/// So long after a log was followed again, a gap in it is taken for the old story's end.
const OLD_PAGES: Duration = Duration::from_secs(5);

/// The longest wait before a log that was refused is asked for again.
const REFUSED_AT_MOST: Duration = Duration::from_secs(300);

impl Replicas {
    pub(super) fn new(logs: Arc<Logs>, hub: ServerName) -> Replicas {
        Replicas {
            logs,
            hub,
            queues: HashMap::new(),
            under_way: FuturesUnordered::new(),
            put_off: HashMap::new(),
            refusals: HashMap::new(),
            again: HashMap::new(),
            held: 0,
        }
    }

    /// Takes a page. Pages of a log that is put off are dropped: they come again when it is followed again.
    pub(super) fn push(&mut self, log: LogName, prev: Hash, items: Vec<Item>) {
        if self.put_off.contains_key(&log) {
            return;
        }
        self.refusals.remove(&log);
        let page: Page = (prev, items.into_iter().map(|item| item.entry).collect());
        self.held += size(&page);
        match self.queues.get_mut(&log) {
            Some(queue) => queue.push_back(page),
            None => {
                self.queues.insert(log.clone(), VecDeque::new());
                self.start(log, page);
            }
        }
    }

    /// Waits for a page to be dealt with; for ever where none is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Outcome {
        let Some((log, size, result)) = self.under_way.next().await else { return std::future::pending().await };
        self.held -= size;
        match result {
            Ok(()) => {
                self.go_on(log);
                Outcome::Done
            }
            Err(ReplicaError::Broken(_)) => {
                tracing::error!(%log, hub = %self.hub, "the chain of a replica is broken; this log has stopped");
                self.drop_queue(&log);
                Outcome::Done
            }
            Err(ReplicaError::Gap { .. }) if self.again.get(&log).is_some_and(|at| at.elapsed() < OLD_PAGES) => {
                self.go_on(log);
                Outcome::Done
            }
            Err(error) => {
                tracing::debug!(%log, %error, "a replica waits");
                self.drop_queue(&log);
                Outcome::Later(log)
            }
        }
    }

    /// Whether no more should be read for now.
    pub(super) fn is_full(&self) -> bool {
        self.held > HELD_AT_MOST
    }

    /// The next page of a log.
    fn go_on(&mut self, log: LogName) {
        match self.queues.get_mut(&log).and_then(VecDeque::pop_front) {
            Some(page) => self.start(log, page),
            None => {
                self.queues.remove(&log);
            }
        }
    }

    fn drop_queue(&mut self, log: &LogName) {
        let dropped = self.queues.remove(log).unwrap_or_default();
        self.held -= dropped.iter().map(size).sum::<usize>();
    }

    pub(super) fn put_off(&mut self, log: LogName, until: Instant) {
        self.put_off.insert(log, until);
    }

    /// The peer does not serve this log (yet): it is asked for again after a second, two, four …
    pub(super) fn refused(&mut self, log: LogName, now: Instant) {
        let times = self.refusals.entry(log.clone()).or_default();
        let wait = Duration::from_secs(1 << (*times).min(10)).min(REFUSED_AT_MOST);
        *times += 1;
        self.put_off(log, now + wait);
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.put_off.values().min().copied()
    }

    /// The logs that are to be followed again.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<LogName> {
        let due: Vec<LogName> = self.put_off.iter().filter(|(_, at)| **at <= now).map(|(log, _)| log.clone()).collect();
        for log in &due {
            self.put_off.remove(log);
            self.again.insert(log.clone(), now);
        }
        due
    }

    fn start(&mut self, log: LogName, page: Page) {
        let (logs, hub, size) = (self.logs.clone(), self.hub.clone(), size(&page));
        self.under_way.push(Box::pin(async move {
            let result = logs.replicate(&hub, &log, page.0, page.1).await.map(|_| ());
            (log, size, result)
        }));
    }
}

fn size(page: &Page) -> usize {
    page.1.iter().map(Bytes::len).sum()
}
