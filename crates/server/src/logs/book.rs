//! Which logs there are and where each stands, in memory. It shows what is durable, never what is about to be.

use crate::store::LogRow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
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
    rows: HashMap<u64, LogRow>,
    numbers: HashMap<LogName, u64>,
    /// Rooms by member; members of this server only.
    rooms: HashMap<UserName, BTreeSet<u64>>,
    registered: HashSet<UserName>,
}

impl Book {
    pub fn new(me: ServerName, rows: Vec<LogRow>, registered: Vec<UserName>) -> Book {
        let book = Book { me, pages: RwLock::default() };
        book.change(rows, registered, [], []);
        book
    }

    /// A log's number.
    pub fn number(&self, log: &LogName) -> Option<u64> {
        self.read().numbers.get(log).copied()
    }

    /// A log by number.
    pub fn row(&self, number: u64) -> Option<LogRow> {
        self.read().rows.get(&number).cloned()
    }

    /// A log by name.
    pub fn find(&self, log: &LogName) -> Option<LogRow> {
        let pages = self.read();
        pages.rows.get(pages.numbers.get(log)?).cloned()
    }

    /// Where a log stands.
    pub fn tip(&self, number: u64) -> Option<Tip> {
        self.read().rows.get(&number).map(|row| row.tip)
    }

    /// A user's rooms, oldest first.
    pub fn rooms_of(&self, user: &UserName) -> Vec<RoomRef> {
        let pages = self.read();
        let numbers = pages.rooms.get(user).into_iter().flatten();
        numbers.filter_map(|number| pages.rows.get(number)?.room.clone()).collect()
    }

    /// Whether `user` has an account here.
    pub fn is_registered(&self, user: &UserName) -> bool {
        self.read().registered.contains(user)
    }

    /// The logs that `hub` orders and that are kept here, and where they stand. Not those that have stopped.
    pub fn ordered_by(&self, hub: &ServerName) -> Vec<(LogName, Tip)> {
        let pages = self.read();
        let ordered = pages.rows.values().filter(|row| hub_of(row) == Some(hub) && !row.stopped);
        let mut found: Vec<&LogRow> = ordered.collect();
        // By number: people's keys and the public chat come before the rooms.
        found.sort_by_key(|row| row.number);
        found.into_iter().map(|row| (row.name.clone(), row.tip)).collect()
    }

    /// Takes over what has become durable.
    pub fn change(
        &self,
        rows: impl IntoIterator<Item = LogRow>,
        registered: impl IntoIterator<Item = UserName>,
        tips: impl IntoIterator<Item = (u64, Tip)>,
        stopped: impl IntoIterator<Item = u64>,
    ) {
        let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            for person in row
                .room
                .iter()
                .filter_map(|room| room.genesis.as_direct())
                .flat_map(|direct| &direct.people)
                .filter(|person| person.server() == &self.me)
            {
                pages.rooms.entry(person.clone()).or_default().insert(row.number);
            }
            pages.numbers.insert(row.name.clone(), row.number);
            pages.rows.insert(row.number, row);
        }
        pages.registered.extend(registered);
        for (number, tip) in tips {
            if let Some(row) = pages.rows.get_mut(&number) {
                row.tip = tip;
            }
        }
        for number in stopped {
            if let Some(row) = pages.rows.get_mut(&number) {
                row.stopped = true;
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Pages> {
        self.pages.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server that orders a log.
pub fn hub_of(row: &LogRow) -> Option<&ServerName> {
    row.room.as_ref().map(|room| &room.hub).or(row.name.hub())
}
