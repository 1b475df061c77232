//! Which logs there are, where each stands and who is in it, in memory. It shows what is durable, never what is about to be.

use super::quota::{Quota, quotas};
use crate::store::{LogRow, People};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use tidings_proto::chain::Tip;
use tidings_proto::frame::RoomRef;
use tidings_proto::{LogName, ServerName, UserName};

/// Every log.
pub struct Book {
    me: ServerName,
    pages: RwLock<Pages>,
}

#[derive(Default)]
struct Pages {
    /// Shared: each delivery looks at one, and to copy names and genesis would cost more than the look.
    rows: HashMap<u64, Arc<LogRow>>,
    numbers: HashMap<LogName, u64>,
    /// Rooms by what they count towards.
    rooms: HashMap<Quota, BTreeSet<u64>>,
    registered: HashSet<UserName>,
}

/// What has become durable.
#[derive(Default)]
pub struct News {
    pub rows: Vec<Arc<LogRow>>,
    pub people: Vec<(u64, Arc<People>)>,
    pub followed: Vec<(u64, bool)>,
    pub taken_up: HashSet<u64>,
    pub discarded: HashSet<u64>,
    pub tips: Vec<(u64, Tip)>,
    pub stopped: Vec<u64>,
    pub registered: Vec<UserName>,
    pub closed: Vec<UserName>,
}

impl Book {
    pub fn new(me: ServerName, rows: Vec<LogRow>, registered: Vec<UserName>) -> Book {
        let book = Book { me, pages: RwLock::default() };
        let rows = rows.into_iter().map(Arc::new).collect();
        book.change(News { rows, registered, ..News::default() });
        book
    }

    /// A log's number.
    pub fn number(&self, log: &LogName) -> Option<u64> {
        self.read().numbers.get(log).copied()
    }

    /// A log by number.
    pub fn row(&self, number: u64) -> Option<Arc<LogRow>> {
        self.read().rows.get(&number).cloned()
    }

    /// A log by name.
    pub fn find(&self, log: &LogName) -> Option<Arc<LogRow>> {
        let pages = self.read();
        pages.rows.get(pages.numbers.get(log)?).cloned()
    }

    /// Where a log stands.
    pub fn tip(&self, number: u64) -> Option<Tip> {
        self.read().rows.get(&number).map(|row| row.tip)
    }

    /// At most `limit` of the rooms in which a user has something to read, or is asked in, after this number; and the number to
    /// go on from, where more follow. Oldest first.
    pub fn rooms_after(&self, user: &UserName, after: Option<u64>, limit: usize) -> (Vec<RoomRef>, Option<u64>) {
        let pages = self.read();
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let of = |quota| pages.rooms.get(&quota).into_iter().flat_map(|numbers| numbers.range(range)).copied();
        let is_room = |number: &u64| pages.rows.get(number).is_some_and(|row| has_begun(row));
        let both = of(Quota::Own(user.clone())).chain(of(Quota::Asked(user.clone())));
        let mut numbers = both.filter(is_room).collect::<BTreeSet<u64>>().into_iter();
        let some: Vec<u64> = numbers.by_ref().take(limit).collect();
        let next = some.last().copied().filter(|_| numbers.next().is_some());
        (some.iter().filter_map(|number| pages.rows.get(number)?.room.clone()).collect(), next)
    }

    /// How many rooms count towards a quota.
    pub fn count_of(&self, quota: &Quota) -> usize {
        self.read().rooms.get(quota).map_or(0, BTreeSet::len)
    }

    /// Whether `user`, who is of this server, is in one group with `other`.
    pub fn share_a_group(&self, user: &UserName, other: &UserName) -> bool {
        let pages = self.read();
        let own = pages.rooms.get(&Quota::Own(user.clone())).into_iter().flatten();
        // A direct room on MLS has people too; who has begun one has not been let in.
        let group = |number| pages.rows.get(number).filter(|row| row.room.as_ref().is_some_and(|room| room.genesis.as_group().is_some()));
        own.filter_map(|number| group(number)?.people.as_ref()).any(|people| people.has(user) && people.has(other))
    }

    /// The groups of other servers of which nothing but a pointer from before this time, in milliseconds since 1970, is here.
    pub fn never_begun(&self, before: u64) -> Vec<u64> {
        let pages = self.read();
        let is_group = |row: &&Arc<LogRow>| row.room.as_ref().is_some_and(|room| room.hub != self.me && room.genesis.as_group().is_some());
        let rows = pages.rows.values().filter(|row| row.tip == Tip::EMPTY && row.since < before);
        rows.filter(is_group).map(|row| row.number).collect()
    }

    /// Whether `user` has an account here.
    pub fn is_registered(&self, user: &UserName) -> bool {
        self.read().registered.contains(user)
    }

    /// The logs that are to be followed at `hub`, and where they stand here.
    pub fn ordered_by(&self, hub: &ServerName) -> Vec<(LogName, Tip)> {
        let pages = self.read();
        let ordered = pages.rows.values().filter(|row| hub_of(row) == Some(hub) && row.followed && !row.stopped);
        let mut found: Vec<&Arc<LogRow>> = ordered.collect();
        // By number: people's keys and the public chat come before the rooms.
        found.sort_by_key(|row| row.number);
        found.into_iter().map(|row| (row.name.clone(), row.tip)).collect()
    }

    /// Every inbox.
    pub fn inboxes(&self) -> Vec<Arc<LogRow>> {
        self.read().rows.values().filter(|row| matches!(row.name, LogName::Inbox(_))).cloned().collect()
    }

    /// Takes over what has become durable. Tips and members change in one step: whoever sees a tip sees who may read up to it.
    pub fn change(&self, news: News) {
        let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
        // Before the new ones: a room that was discarded may have been learnt again since.
        for number in news.discarded {
            pages.count(&self.me, number, false);
            if let Some(row) = pages.rows.remove(&number) {
                pages.numbers.remove(&row.name);
            }
        }
        for row in news.rows {
            let number = row.number;
            pages.numbers.insert(row.name.clone(), number);
            pages.rows.insert(number, row);
            pages.count(&self.me, number, true);
        }
        for (number, people) in news.people {
            pages.recount(&self.me, number, |row| row.people = Some(people));
        }
        for number in news.taken_up {
            pages.recount(&self.me, number, |row| row.asked = None);
        }
        pages.registered.extend(news.registered);
        for user in news.closed {
            pages.registered.remove(&user);
        }
        for (number, tip) in news.tips {
            pages.with(number, |row| row.tip = tip);
        }
        for (number, followed) in news.followed {
            pages.with(number, |row| row.followed = followed);
        }
        for number in news.stopped {
            pages.with(number, |row| row.stopped = true);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Pages> {
        self.pages.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn with(&mut self, number: u64, change: impl FnOnce(&mut LogRow)) {
        if let Some(row) = self.rows.get_mut(&number) {
            change(Arc::make_mut(row));
        }
    }

    /// Changes what a room counts towards.
    fn recount(&mut self, me: &ServerName, number: u64, change: impl FnOnce(&mut LogRow)) {
        self.count(me, number, false);
        self.with(number, change);
        self.count(me, number, true);
    }

    /// Counts a room, or takes it out of the count.
    fn count(&mut self, me: &ServerName, number: u64, counts: bool) {
        let Some(row) = self.rows.get(&number) else { return };
        for quota in quotas(me, row.room.as_ref(), row.asked.as_ref(), row.people.as_deref()) {
            let rooms = self.rooms.entry(quota.clone()).or_default();
            if counts {
                rooms.insert(number);
            } else {
                rooms.remove(&number);
            }
            if rooms.is_empty() {
                self.rooms.remove(&quota);
            }
        }
    }
}

/// Whether a room is more than a pointer to a group.
fn has_begun(row: &LogRow) -> bool {
    row.people.is_some() || row.room.as_ref().is_some_and(|room| room.genesis.as_direct().is_some())
}

/// The server that orders a log.
pub fn hub_of(row: &LogRow) -> Option<&ServerName> {
    row.room.as_ref().map(|room| &room.hub).or(row.name.hub())
}
