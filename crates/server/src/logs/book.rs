//! Which logs there are, where each stands and who is in it, in memory. It shows what is durable, never what is about to be.

use crate::store::{LogRow, People};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use tidings_proto::chain::Tip;
use tidings_proto::frame::RoomRef;
use tidings_proto::{Genesis, LogName, ServerName, UserName};

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
    /// Rooms by the people who have something in them to read; people of this server only.
    rooms: HashMap<UserName, BTreeSet<u64>>,
    registered: HashSet<UserName>,
}

/// What has become durable.
#[derive(Default)]
pub struct News {
    pub rows: Vec<Arc<LogRow>>,
    pub people: Vec<(u64, Arc<People>)>,
    pub followed: Vec<(u64, bool)>,
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
        let Some(numbers) = pages.rooms.get(user) else { return (Vec::new(), None) };
        let mut numbers = numbers.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
        let some: Vec<u64> = numbers.by_ref().take(limit).copied().collect();
        let next = some.last().copied().filter(|_| numbers.next().is_some());
        (some.iter().filter_map(|number| pages.rows.get(number)?.room.clone()).collect(), next)
    }

    /// How many rooms a user has something to read in, or is asked in.
    pub fn count_of(&self, user: &UserName) -> usize {
        self.read().rooms.get(user).map_or(0, BTreeSet::len)
    }

    /// Whether two people are in one group.
    pub fn share_a_group(&self, one: &UserName, other: &UserName) -> bool {
        let pages = self.read();
        let groups = pages.rooms.get(one).into_iter().flatten().filter_map(|number| pages.rows.get(number)?.people.as_ref());
        groups.into_iter().any(|people| people.has(one) && people.has(other))
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
        for row in news.rows {
            if let Some(Genesis::Direct(direct)) = row.room.as_ref().map(|room| &room.genesis) {
                for person in direct.people.iter().filter(|person| person.server() == &self.me) {
                    pages.rooms.entry(person.clone()).or_default().insert(row.number);
                }
            }
            pages.numbers.insert(row.name.clone(), row.number);
            let (number, people) = (row.number, row.people.clone());
            pages.rows.insert(number, row);
            if let Some(people) = people {
                pages.people_are(&self.me, number, people);
            }
        }
        for (number, people) in news.people {
            pages.people_are(&self.me, number, people);
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

    /// A group's people are these from now on.
    fn people_are(&mut self, me: &ServerName, number: u64, people: Arc<People>) {
        let Some(row) = self.rows.get_mut(&number) else { return };
        let before = Arc::make_mut(row).people.replace(people.clone());
        for gone in before.iter().flat_map(|before| before.everybody()).filter(|user| people.person(user).is_none()) {
            if let Some(rooms) = self.rooms.get_mut(gone) {
                rooms.remove(&number);
            }
        }
        for user in people.everybody().filter(|user| user.server() == me) {
            self.rooms.entry(user.clone()).or_default().insert(number);
        }
    }
}

/// The server that orders a log.
pub fn hub_of(row: &LogRow) -> Option<&ServerName> {
    row.room.as_ref().map(|room| &room.hub).or(row.name.hub())
}
