//! Entries of a peer's logs on their way into our replicas: in order within a log, side by side between logs.

use crate::logs::{Logs, Page, ReplicaError};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::frame::Item;
use tidings_proto::{Entry, Hash, LogName, ServerName, UserName};
use tokio::time::Instant;

/// What became of one page.
pub(super) enum Outcome {
    /// It is durable, or was here before, or the log has stopped for good.
    Done,
    /// The log has to be asked for again later: this author's keys are not here yet, or something was missing.
    Later(LogName, Option<UserName>),
}

/// A log that is asked for again later.
struct PutOff {
    until: Instant,
    /// Whose keys it waits for; it goes on as soon as they are here.
    keys: Option<UserName>,
}

/// A page, and the place of its first entry, where that can be told.
struct Queued {
    page: Page,
    first: Option<u64>,
}

/// What became of pages, and how many bytes they had.
type Replicated = (LogName, usize, Result<(), ReplicaError>);

/// The replicas that one link feeds.
pub(super) struct Replicas {
    logs: Arc<Logs>,
    hub: ServerName,
    /// Pages that wait. A log has a queue exactly while pages of it are under way, or it waits for its turn.
    queues: HashMap<LogName, VecDeque<Queued>>,
    /// Logs of which pages wait and none is under way, in the order in which they have their turns.
    turns: VecDeque<LogName>,
    under_way: FuturesUnordered<BoxFuture<'static, Replicated>>,
    put_off: BTreeMap<LogName, PutOff>,
    /// How often in a row nothing came of a log.
    in_vain: HashMap<LogName, u32>,
    /// Logs of which pages have come since they were last followed, the first of which said what it follows.
    begun: HashSet<LogName>,
    /// Bytes of entries that are not durable yet.
    held: usize,
    /// Those of them that are under way.
    going: usize,
}

/// Bytes of entries that may wait for their commit; far more than what keeps the writer busy.
const HELD_AT_MOST: usize = 4 * 1024 * 1024;
/// Bytes of entries of one log that share a commit.
const JOINED_AT_MOST: usize = 128 * 1024;
/// While so many bytes of one peer's entries are on their way into a commit, no more are started. What is on its way comes before
/// everybody's next message: a few milliseconds, however much the peer has to say.
const GOING_AT_MOST: usize = 128 * 1024;
/// The longest wait before a log of which nothing came is asked for again.
const LATER_AT_MOST: Duration = Duration::from_secs(300);

impl Replicas {
    pub(super) fn new(logs: Arc<Logs>, hub: ServerName) -> Replicas {
        Replicas {
            logs,
            hub,
            queues: HashMap::new(),
            turns: VecDeque::new(),
            under_way: FuturesUnordered::new(),
            put_off: BTreeMap::new(),
            in_vain: HashMap::new(),
            begun: HashSet::new(),
            held: 0,
            going: 0,
        }
    }

    /// These logs are followed, from their tips on.
    pub(super) fn begin(&mut self, logs: &[LogName]) {
        logs.iter().for_each(|log| {
            self.begun.remove(log);
        });
    }

    /// Takes a page. Pages of a log that is put off are dropped: they come again when it is followed again. So are those that
    /// were on their way by then, which do not say what they follow.
    pub(super) fn push(&mut self, log: LogName, prev: Option<Hash>, items: Vec<Item>) {
        if self.put_off.contains_key(&log) || (prev.is_none() && !self.begun.contains(&log)) {
            return;
        }
        if prev.is_some() {
            self.begun.insert(log.clone());
        }
        let queued = Queued::new((prev, items.into_iter().map(|item| item.entry).collect()));
        self.held += queued.size();
        match self.queues.get_mut(&log) {
            Some(queue) => queue.push_back(queued),
            None => {
                self.queues.insert(log.clone(), VecDeque::from([queued]));
                self.turns.push_back(log);
            }
        }
        self.start_some();
    }

    /// Waits for a page to be dealt with; for ever where none is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Outcome {
        let Some((log, size, result)) = self.under_way.next().await else { return std::future::pending().await };
        (self.held, self.going) = (self.held - size, self.going - size);
        let outcome = self.outcome(log, result);
        self.start_some();
        outcome
    }

    fn outcome(&mut self, log: LogName, result: Result<(), ReplicaError>) -> Outcome {
        match result {
            Ok(()) => {
                self.in_vain.remove(&log);
                self.go_on(log);
                Outcome::Done
            }
            Err(ReplicaError::Broken(_)) => {
                tracing::error!(%log, hub = %self.hub, "the chain of a replica is broken; this log has stopped");
                self.drop_queue(&log);
                Outcome::Done
            }
            Err(error) => {
                tracing::debug!(%log, %error, "a replica waits");
                self.drop_queue(&log);
                let keys = if let ReplicaError::NotYet(author) = error { Some(author) } else { None };
                Outcome::Later(log, keys)
            }
        }
    }

    /// Whether no more should be read for now.
    pub(super) fn is_full(&self) -> bool {
        self.held > HELD_AT_MOST
    }

    /// Pages of a log are done with: the next have their turn behind those of other logs.
    fn go_on(&mut self, log: LogName) {
        if self.queues.get(&log).is_some_and(|queue| !queue.is_empty()) {
            self.turns.push_back(log);
        } else {
            self.queues.remove(&log);
        }
    }

    /// Starts what may be under way.
    fn start_some(&mut self) {
        while self.going < GOING_AT_MOST
            && let Some(log) = self.turns.pop_front()
        {
            let pages = self.queues.get_mut(&log).map(joined).unwrap_or_default();
            self.start(log, pages);
        }
    }

    fn drop_queue(&mut self, log: &LogName) {
        let dropped = self.queues.remove(log).unwrap_or_default();
        self.held -= dropped.iter().map(Queued::size).sum::<usize>();
    }

    /// Nothing comes of this log now: the peer does not serve it (yet), or something is missing here. It is asked for again
    /// after a second, two, four …, or when the keys that it waits for are here.
    pub(super) fn put_off(&mut self, log: LogName, keys: Option<UserName>, now: Instant) {
        let times = self.in_vain.entry(log.clone()).or_default();
        let wait = Duration::from_secs(1 << (*times).min(10)).min(LATER_AT_MOST);
        *times += 1;
        self.put_off.insert(log, PutOff { until: now + wait, keys });
    }

    /// This user's keys have changed, or some people's, nobody knows whose: what waits for them is due.
    pub(super) fn keys_changed(&mut self, whose: Option<&UserName>, now: Instant) {
        for put_off in self.put_off.values_mut() {
            if put_off.keys.as_ref().is_some_and(|keys| whose.is_none_or(|whose| whose == keys)) {
                put_off.until = now;
            }
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.put_off.values().map(|put_off| put_off.until).min()
    }

    /// The logs that are to be followed again.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<LogName> {
        let due: Vec<LogName> = self.put_off.iter().filter(|(_, put_off)| put_off.until <= now).map(|(log, _)| log.clone()).collect();
        for log in &due {
            self.put_off.remove(log);
        }
        due
    }

    fn start(&mut self, log: LogName, pages: Vec<Queued>) {
        let (logs, hub, size) = (self.logs.clone(), self.hub.clone(), pages.iter().map(Queued::size).sum());
        self.going += size;
        let pages: Vec<Page> = pages.into_iter().map(|queued| queued.page).collect();
        self.under_way.push(Box::pin(async move {
            let result = logs.replicate_pages(&hub, &log, &pages).await.map(|_| ());
            (log, size, result)
        }));
    }
}

/// The first page that waits, and with it those that go on where it ends. What does not go on there is dealt with by itself,
/// as is what comes after a page that is refused.
fn joined(queue: &mut VecDeque<Queued>) -> Vec<Queued> {
    let (mut pages, mut next, mut size) = (Vec::new(), None, 0);
    while let Some(queued) = queue.front() {
        size += queued.size();
        let fits = pages.is_empty() || (queued.first.is_some() && queued.first == next && size <= JOINED_AT_MOST);
        let Some(queued) = fits.then(|| queue.pop_front()).flatten() else { break };
        next = queued.first.map(|first| first.saturating_add(queued.page.1.len() as u64));
        pages.push(queued);
    }
    pages
}

impl Queued {
    fn new(page: Page) -> Queued {
        let first = page.1.first().and_then(|entry| Entry::read(entry).ok()).map(|entry| entry.seq);
        Queued { page, first }
    }

    fn size(&self) -> usize {
        self.page.1.iter().map(Bytes::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::local::LocalBus;
    use crate::config::Limits;
    use crate::identity::Identity;
    use crate::logs::Keeper;
    use crate::store::sqlite::SqliteStore;
    use tidings_proto::Payload;

    fn queued(first: u64, count: u64, size: usize) -> Queued {
        let entry = |seq| Entry { seq, at: 0, payload: Payload::Stub(Hash::ZERO) }.encode();
        let mut page: Vec<Bytes> = (first..first + count).map(entry).collect();
        if size > 0 {
            page[count as usize - 1] = vec![0; size].into();
        }
        Queued::new((Some(Hash::ZERO), page))
    }

    fn joined_firsts(pages: Vec<Queued>) -> Vec<Vec<Option<u64>>> {
        let mut queue = VecDeque::from(pages);
        let firsts = |pages: Vec<Queued>| pages.iter().map(|queued| queued.first).collect();
        std::iter::from_fn(|| Some(joined(&mut queue)).filter(|pages| !pages.is_empty())).map(firsts).collect()
    }

    #[test]
    fn pages_that_go_on_where_the_one_before_ends_share_a_commit() {
        let pages = [queued(1, 3, 0), queued(4, 1, 0), queued(5, 2, 0), queued(9, 1, 0), queued(10, 1, 0), queued(5, 2, 0)];
        assert_eq!(joined_firsts(pages.into()), [vec![Some(1), Some(4), Some(5)], vec![Some(9), Some(10)], vec![Some(5)]]);
        let unreadable = || Queued::new((Some(Hash::ZERO), vec![Bytes::from_static(&[0xff])]));
        let pages = [queued(1, 1, 0), unreadable(), unreadable(), queued(2, 1, 0)];
        assert_eq!(joined_firsts(pages.into()), [vec![Some(1)], vec![None], vec![None], vec![Some(2)]]);
    }

    /// Whoever has written something meanwhile waits for so much of a peer's and no more, whatever the peer has to say.
    #[tokio::test]
    async fn only_so_many_bytes_of_a_peers_are_under_way() {
        let folder = tempfile::tempdir().unwrap();
        let name: ServerName = "s1".parse().unwrap();
        let identity = Arc::new(Identity::load_or_create(folder.path(), &name).unwrap());
        let store = Arc::new(SqliteStore::open(&folder.path().join("db")).unwrap());
        let keeper = Keeper { name, identity, limits: Limits::default() };
        let logs = Logs::open(store, Arc::new(LocalBus::default()), keeper).await.unwrap();
        let log = |which: usize| LogName::Public(format!("s{which}").parse().unwrap());
        let push = |replicas: &mut Replicas, which: usize, size: usize| {
            replicas.push(log(which), Some(Hash::ZERO), vec![Item { entry: vec![0; size].into(), got: None }]);
        };
        for (size, both) in [(GOING_AT_MOST - 1, true), (GOING_AT_MOST, false), (GOING_AT_MOST + 1, false)] {
            let mut replicas = Replicas::new(logs.clone(), "s2".parse().unwrap());
            push(&mut replicas, 2, size);
            push(&mut replicas, 3, 1);
            push(&mut replicas, 3, 1);
            assert_eq!((replicas.under_way.len(), replicas.turns.len()), if both { (2, 0) } else { (1, 1) }, "{size}");
            assert_eq!(replicas.held, size + 2);
            // None of these logs is kept here: what is dealt with is dropped, and those that wait have their turn.
            while !replicas.under_way.is_empty() {
                replicas.next().await;
            }
            assert_eq!((replicas.held, replicas.going, replicas.queues.len(), replicas.turns.len()), (0, 0, 0, 0));
        }
        logs.close().await;
    }

    #[test]
    fn only_so_many_bytes_share_a_commit() {
        let first = queued(1, 2, 100);
        let left = JOINED_AT_MOST - first.size();
        let entry = queued(3, 2, 100).size() - 100;
        for (size, together) in [(left - entry - 1, true), (left - entry, true), (left - entry + 1, false)] {
            let joined = joined_firsts(vec![queued(1, 2, 100), queued(3, 2, size)]);
            assert_eq!(joined.len() == 1, together, "{size}");
        }
        // One page is dealt with whatever its size.
        assert_eq!(joined_firsts(vec![queued(1, 2, 2 * JOINED_AT_MOST), queued(3, 1, 0)]).len(), 2);
    }
}
