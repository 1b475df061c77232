//! What a hostile server tells: of each log one story for everybody, and others for some. Chains are made whole, whatever is in them:
//! a story that differs from the one that was told before shows by that alone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use tidings_proto::chain::{self, Tip};
use tidings_proto::frame::{Entries, Item, Named, RoomRef};
use tidings_proto::{Draft, Encoded, Entry, Frame, Genesis, Hash, LogName, Payload, UserName};
use tidings_server::store::sqlite::SqliteStore;
use tidings_server::store::{LogRow, Most, Range, Store};

/// Bytes of entries in one frame, but one entry at least.
const PAGE: usize = 64 * 1024;

/// One log, as somebody is told of it.
#[derive(Debug, Clone)]
pub struct Story {
    /// The log.
    pub log: LogName,
    /// Its entries, in the order in which they are told; each has the number of its place.
    pub entries: Vec<Entry>,
}

impl Story {
    /// A draft takes the next place.
    pub fn append(&mut self, draft: &Encoded<Draft>) -> Tip {
        let seq = self.entries.len() as u64 + 1;
        self.entries.push(Entry { seq, at: seq, payload: Payload::Draft(draft.clone()) });
        self.tip()
    }

    /// Of what is in a place nothing but its hash is told.
    pub fn hide(&mut self, seq: u64) {
        let entry = &mut self.entries[seq as usize - 1];
        entry.payload = Payload::Stub(entry.draft_hash());
    }

    /// What is in a place was never there.
    pub fn drop_entry(&mut self, seq: u64) {
        self.entries.remove(seq as usize - 1);
        self.count();
    }

    /// What is in a place, and what is in the one after it, change places.
    pub fn swap(&mut self, seq: u64) {
        self.entries.swap(seq as usize - 1, seq as usize);
        self.count();
    }

    fn count(&mut self) {
        for (at, entry) in self.entries.iter_mut().enumerate() {
            entry.seq = at as u64 + 1;
        }
    }

    /// The drafts that are in it, each with its place.
    pub fn drafts(&self) -> impl DoubleEndedIterator<Item = (u64, &Encoded<Draft>)> {
        self.entries.iter().filter_map(|entry| Some((entry.seq, entry.draft()?)))
    }

    /// Where it stands.
    pub fn tip(&self) -> Tip {
        self.tip_after(self.entries.len())
    }

    fn tip_after(&self, count: usize) -> Tip {
        let next = |tip: Tip, entry: &Entry| chain::extend(&self.log, &tip, entry).expect("entries that are counted");
        self.entries[..count].iter().fold(Tip::EMPTY, next)
    }
}

/// All that a hostile server tells.
pub(super) struct Book {
    /// By whom it is told to, nobody for everybody else, and by log.
    stories: HashMap<(String, LogName), Story>,
    rows: BTreeMap<LogName, LogRow>,
    /// Rooms that there are not.
    made_up: Vec<RoomRef>,
    numbers: Vec<LogName>,
    got: u64,
    reqs: u32,
}

impl Book {
    /// All that the honest server had kept.
    pub(super) async fn read(database: &Path) -> Book {
        let store = SqliteStore::open(database).expect("the server's database");
        let loaded = store.load().await.expect("a database that can be read");
        let mut book =
            Book { stories: HashMap::new(), rows: BTreeMap::new(), made_up: Vec::new(), numbers: Vec::new(), got: 1_000_000, reqs: 0 };
        for row in loaded.logs {
            let mut entries: Vec<Entry> = Vec::new();
            loop {
                let most = Most { entries: 1000, bytes: 1024 * 1024 };
                let page = store.page(row.number, Range::After(entries.len() as u64), most).await.expect("a page");
                if page.entries.is_empty() {
                    break;
                }
                entries.extend(page.entries.iter().map(|stored| Entry::read(&stored.entry).expect("an entry")));
            }
            book.stories.insert((String::new(), row.name.clone()), Story { log: row.name.clone(), entries });
            book.rows.insert(row.name.clone(), row);
        }
        store.close().await;
        book
    }

    pub(super) fn next_req(&mut self) -> u32 {
        self.reqs += 1;
        self.reqs
    }

    /// What somebody is told of a log.
    pub(super) fn story(&self, whom: &str, log: &LogName) -> Story {
        let told = self.stories.get(&(whom.to_owned(), log.clone())).or_else(|| self.stories.get(&(String::new(), log.clone())));
        told.cloned().unwrap_or_else(|| Story { log: log.clone(), entries: Vec::new() })
    }

    /// The story that is told to somebody alone, from now on where it was not before.
    pub(super) fn story_of(&mut self, whom: &str, log: &LogName) -> &mut Story {
        let told = self.story(whom, log);
        self.stories.entry((whom.to_owned(), log.clone())).or_insert(told)
    }

    /// Takes a draft into every story of its log, as an honest hub would, and says where it stands in the one of whoever brought it.
    pub(super) fn takes(&mut self, whom: &str, log: &LogName, draft: &Encoded<Draft>, genesis: Option<Genesis>) -> Tip {
        self.story_of("", log);
        let mut place = Tip::EMPTY;
        for ((told_to, _), story) in self.stories.iter_mut().filter(|((_, of), _)| of == log) {
            if let (true, Some(Genesis::Direct(direct))) = (story.entries.is_empty(), &genesis) {
                story.append(&direct.draft());
            }
            let there = story.entries.iter().position(|entry| entry.draft_hash() == draft.hash());
            let tip = there.map(|at| story.tip_after(at + 1)).unwrap_or_else(|| story.append(draft));
            if told_to == whom || (told_to.is_empty() && place == Tip::EMPTY) {
                place = tip;
            }
        }
        place
    }

    /// The frames that somebody has not been sent of what they follow.
    pub(super) fn news(&mut self, whom: &str, cursors: &mut BTreeMap<LogName, u64>, named: &mut HashSet<u64>) -> Vec<Frame> {
        let mut frames = Vec::new();
        for (log, after) in cursors {
            let story = self.story(whom, log);
            if story.entries.len() as u64 <= *after {
                continue;
            }
            let number = self.number(log);
            if named.insert(number) {
                frames.push(Named { number, log: log.clone() }.into());
            }
            while (*after as usize) < story.entries.len() {
                let prev: Hash = story.tip_after(*after as usize).hash;
                let (mut items, mut size) = (Vec::new(), 0);
                for entry in &story.entries[*after as usize..] {
                    let entry = entry.encode();
                    size += entry.len();
                    if size > PAGE && !items.is_empty() {
                        break;
                    }
                    self.got += 1;
                    items.push(Item { entry, got: matches!(log, LogName::Public(_)).then_some(self.got) });
                }
                *after += items.len() as u64;
                frames.push(Entries { log: number, prev: Some(prev), items }.into());
            }
        }
        frames
    }

    fn number(&mut self, log: &LogName) -> u64 {
        let known = self.numbers.iter().position(|known| known == log);
        known.unwrap_or_else(|| {
            self.numbers.push(log.clone());
            self.numbers.len() - 1
        }) as u64
            + 1
    }

    /// A user's key history, as somebody is told of it.
    pub(super) fn chain(&self, whom: &str, user: &UserName, after: u64) -> Vec<Item> {
        let story = self.story(whom, &LogName::Keys(user.server().clone()));
        let of_user = |entry: &&Entry| entry.seq > after && entry.draft().is_some_and(|draft| draft.author == *user);
        story.entries.iter().filter(of_user).map(|entry| Item { entry: entry.encode(), got: None }).collect()
    }

    /// Everybody whose keys are told of, with the version of the newest list.
    pub(super) fn people(&self, whom: &str) -> BTreeMap<UserName, u64> {
        let mut people = BTreeMap::new();
        for log in self.rows.keys().filter(|log| matches!(log, LogName::Keys(_))) {
            for (_, draft) in self.story(whom, log).drafts() {
                let version = people.entry(draft.author.clone()).or_insert(0);
                *version = draft.list.max(*version);
            }
        }
        people
    }

    /// The rooms that a user was in when the server turned.
    pub(super) fn rooms_of(&self, user: &UserName) -> Vec<RoomRef> {
        let is_in = |row: &&LogRow| match row.room.as_ref().map(|room| &room.genesis) {
            Some(Genesis::Direct(direct)) => direct.has(user),
            Some(Genesis::Group(_)) => row.people.as_ref().is_some_and(|people| people.person(user).is_some()),
            None => false,
        };
        let made_up = self.made_up.iter().filter(|room| room.genesis.as_direct().is_some_and(|direct| direct.has(user)));
        self.rows.values().filter(is_in).filter_map(|row| row.room.clone()).chain(made_up.cloned()).collect()
    }

    /// There is another room, it says.
    pub(super) fn makes_up(&mut self, room: RoomRef) {
        let Genesis::Direct(direct) = &room.genesis else { panic!("a room of two") };
        let draft = direct.draft();
        let story = self.story_of("", &room.genesis.log());
        if story.entries.is_empty() {
            story.append(&draft);
        }
        self.made_up.push(room);
    }
}
