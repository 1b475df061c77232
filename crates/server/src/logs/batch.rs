//! One batch of the sequencer: jobs in, in order; changes, answers and news out. Pure: it waits for nothing.
//!
//! Nothing is undone: a job that is refused has changed nothing, so it never touches its neighbours.

mod accounts;
mod codes;
mod outgoing;
mod packages;
mod rooms;

use super::Placed;
use super::book::News;
use super::quota::Quota;
use super::rules::{Admitted, not_believed};
use super::sequencer::{Append, Job, Register, Rekey, Replicate, Reply};
use super::view::View;
use crate::store::{AccountRecord, Answers, Author, Change, LogRow, NewCode, NewEntry, OutboxRow, People, Questions, Queue};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;
use tidings_proto::chain::{self, Tip};
use tidings_proto::frame::{Item, RoomRef};
use tidings_proto::{Code, DeviceKey, Draft, Encoded, Entry, Hash, LogName, Payload, Refusal, ServerName, UserName};
use tidings_trust::KeyState;
use tidings_trust::drafts::check_listed;

pub use codes::{claim_needed, lets_in};
use packages::{LowStocks, Stocks};
use rooms::asked;

/// Authors whose last n is remembered; beyond that all are forgotten and asked for anew.
const REMEMBERED: usize = 200_000;

/// What the sequencer remembers between batches. All of it could be asked of the store again.
pub struct Cache {
    lasts: HashMap<(u64, Author), u64>,
    counters: Counters,
}

#[derive(Clone, Copy)]
struct Counters {
    log: u64,
    got: u64,
    row: i64,
}

/// What a batch adds to the cache, once it is durable.
pub struct Learnt {
    lasts: HashMap<(u64, Author), u64>,
    counters: Counters,
}

impl Cache {
    /// The last numbers that were given to a log, to an arrival and to a row of the outbox.
    pub fn new(log: u64, got: u64, row: i64) -> Cache {
        Cache { lasts: HashMap::new(), counters: Counters { log, got, row } }
    }

    /// The last n of an author in a log, if it is remembered.
    pub fn last(&self, log: u64, author: &Author) -> Option<u64> {
        self.lasts.get(&(log, author.clone())).copied()
    }

    pub fn keep(&mut self, learnt: Learnt) {
        if self.lasts.len() > REMEMBERED {
            self.lasts.clear();
        }
        self.lasts.extend(learnt.lasts);
        self.counters = learnt.counters;
    }
}

/// Answers one job; told why when the commit failed.
pub type Answer = Box<dyn FnOnce(Option<&Refusal>) + std::marker::Send>;

/// A batch as it is being made.
pub struct Batch<'a> {
    view: &'a View,
    cache: &'a Cache,
    /// Milliseconds since 1970: what entries are dated with.
    at: u64,
    /// The same moment, for what is limited by the clock.
    now: Instant,
    counters: Counters,
    lasts: HashMap<(u64, Author), u64>,
    placed: HashMap<(u64, Author, u64), (Hash, Placed)>,
    codes: HashMap<Hash, NewCode>,
    queues: HashMap<ServerName, Queue>,
    shares: HashMap<(ServerName, UserName), Queue>,
    /// Names that have got a claim code in this batch, or lost it.
    claims: HashMap<UserName, bool>,
    accounts: HashMap<UserName, AccountRecord>,
    stocks: Stocks,
    /// Entries that were asked for, as they are in the store.
    stored: HashMap<(u64, u64), Bytes>,
    erased: HashSet<(u64, u64)>,
    rows: HashMap<(LogName, DeviceKey, u64), OutboxRow>,
    states: BTreeMap<UserName, Arc<KeyState>>,
    people: BTreeMap<u64, Arc<People>>,
    /// Rooms that count towards a quota since this batch.
    new_rooms: HashMap<Quota, usize>,
    new_logs: HashMap<LogName, usize>,
    done: Done,
}

/// New entries of one log.
pub struct NewRun {
    /// The tip they follow.
    pub before: Tip,
    /// Each with the tip there.
    pub entries: Vec<(Tip, Item)>,
}

/// A finished batch.
pub struct Done {
    pub changes: Vec<Change>,
    pub answers: Vec<Answer>,
    pub logs: Vec<Arc<LogRow>>,
    pub registered: Vec<UserName>,
    pub closed: Vec<UserName>,
    pub claims: HashMap<UserName, bool>,
    pub runs: BTreeMap<u64, NewRun>,
    pub stopped: Vec<u64>,
    pub followed: Vec<(u64, bool)>,
    pub taken_up: HashSet<u64>,
    pub discarded: HashSet<u64>,
    pub people: Vec<(u64, Arc<People>)>,
    /// The logs in which something was forgotten.
    pub erased: HashSet<u64>,
    pub states: Vec<Arc<KeyState>>,
    /// Rooms that are followed from now on, or ordered here and new.
    pub rooms: Vec<RoomRef>,
    /// People of this server who have come to a room.
    pub arrived: Vec<(UserName, RoomRef)>,
    /// Devices that should bring more key packages.
    pub low: LowStocks,
    pub cache: Learnt,
}

impl Done {
    /// What the book takes over.
    pub fn news(&mut self) -> News {
        News {
            rows: std::mem::take(&mut self.logs),
            people: std::mem::take(&mut self.people),
            followed: std::mem::take(&mut self.followed),
            taken_up: std::mem::take(&mut self.taken_up),
            discarded: std::mem::take(&mut self.discarded),
            tips: self.runs.iter().filter_map(|(log, run)| Some((*log, run.entries.last()?.0))).collect(),
            stopped: std::mem::take(&mut self.stopped),
            registered: std::mem::take(&mut self.registered),
            closed: std::mem::take(&mut self.closed),
        }
    }
}

impl<'a> Batch<'a> {
    pub fn new(view: &'a View, cache: &'a Cache, at: u64, now: Instant) -> Batch<'a> {
        Batch {
            view,
            cache,
            at,
            now,
            counters: cache.counters,
            lasts: HashMap::new(),
            placed: HashMap::new(),
            codes: HashMap::new(),
            queues: HashMap::new(),
            shares: HashMap::new(),
            claims: HashMap::new(),
            accounts: HashMap::new(),
            stocks: HashMap::new(),
            stored: HashMap::new(),
            erased: HashSet::new(),
            rows: HashMap::new(),
            states: BTreeMap::new(),
            people: BTreeMap::new(),
            new_rooms: HashMap::new(),
            new_logs: HashMap::new(),
            done: Done {
                changes: Vec::new(),
                answers: Vec::new(),
                logs: Vec::new(),
                registered: Vec::new(),
                closed: Vec::new(),
                claims: HashMap::new(),
                runs: BTreeMap::new(),
                stopped: Vec::new(),
                followed: Vec::new(),
                taken_up: HashSet::new(),
                discarded: HashSet::new(),
                people: Vec::new(),
                erased: HashSet::new(),
                states: Vec::new(),
                rooms: Vec::new(),
                arrived: Vec::new(),
                low: BTreeMap::new(),
                cache: Learnt { lasts: HashMap::new(), counters: cache.counters },
            },
        }
    }

    /// What the store says to what was asked.
    pub fn learn(&mut self, questions: Questions, answers: Answers) {
        self.lasts.extend(questions.lasts.into_iter().zip(answers.lasts));
        for (key, found) in questions.placed.into_iter().zip(answers.placed) {
            if let Some((entry, tip)) = found
                && let Ok(entry) = Entry::read(&entry)
            {
                self.placed.insert(key, (entry.draft_hash(), Placed { seq: tip.seq, hash: tip.hash }));
            }
        }
        self.codes.extend(answers.codes.into_iter().flatten().map(|code| (code.hash, code)));
        self.queues.extend(questions.queues.into_iter().zip(answers.queues));
        self.shares.extend(questions.shares.into_iter().zip(answers.shares));
        for (key, found) in questions.outgoing.into_iter().zip(answers.outgoing) {
            if let Some(row) = found {
                self.rows.insert(key, row);
            }
        }
        let accounts = questions.accounts.into_iter().zip(answers.accounts);
        self.accounts.extend(accounts.filter_map(|(user, found)| Some((user, found?))));
        self.stocks.extend(questions.stocks.into_keys().zip(answers.stocks));
        let entries = questions.entries.into_iter().zip(answers.entries);
        self.stored.extend(entries.filter_map(|(place, found)| Some((place, found?))));
    }

    /// Decides about one job.
    pub fn take(&mut self, job: Job) {
        match job {
            Job::Append(Append { log, admitted, proof, reply }) => {
                let result = match &log {
                    LogName::Room(_) => self.append_to_room(&log, admitted),
                    LogName::Keys(_) => self.append_list(admitted, proof.as_ref()),
                    LogName::Inbox(_) | LogName::Public(_) | LogName::History(_) => self.append_open(&log, admitted),
                };
                self.answer(reply, result);
            }
            Job::Register(Register { account, admitted, reply }) => {
                let result = self.register(account, admitted);
                self.answer(reply, result);
            }
            Job::Rekey(Rekey { user, proof, secrets, admitted, reply }) => {
                let result = self.rekey(user, &proof, secrets, admitted);
                self.answer(reply, result);
            }
            Job::PutBook { user, device, version, book, reply } => {
                let result = self.put_book(user, &device, version, book);
                self.answer(reply, result);
            }
            Job::PutKeyPackages { owner, offered, reply } => {
                let result = self.put_key_packages(owner, offered);
                self.answer(reply, result);
            }
            Job::ClaimKeyPackages { user, devices, reply } => {
                let result = self.claim_key_packages(&user, devices);
                self.answer(reply, result);
            }
            Job::Close { user, reply } => {
                let result = self.close(user);
                self.answer(reply, result);
            }
            Job::Replicate(Replicate { log, base, entries, reply }) => {
                let result = self.replicate(log, base, entries);
                self.answer(reply, Ok(result));
            }
            Job::Stop { log, reply } => {
                self.done.changes.push(Change::Stop { log });
                self.done.stopped.push(log);
                self.answer(reply, Ok(()));
            }
            Job::Forget { log, stubs, reply } => {
                for (seq, stub) in stubs {
                    self.forget(log, seq, stub);
                }
                self.answer(reply, Ok(()));
            }
            Job::Discard { logs, reply } => {
                logs.into_iter().for_each(|log| self.discard(log));
                self.answer(reply, Ok(()));
            }
            Job::Enqueue(enqueue) => self.enqueue(enqueue),
            Job::Settle { id, settled, reply } => {
                self.done.changes.push(Change::Settle { id, settled, at: self.at });
                self.answer(reply, Ok(()));
            }
            Job::KnowServer { name, reply } => {
                for log in [LogName::Keys(name.clone()), LogName::Public(name)] {
                    if self.find(&log).is_none() {
                        self.new_log(log, None, None);
                    }
                }
                self.answer(reply, Ok(()));
            }
            Job::AddCode { code, reply } => {
                let result = self.add_code(code);
                self.answer(reply, result);
            }
            Job::RevokeCode { hash, reply } => {
                let result = self.revoke_code(&hash);
                self.answer(reply, result);
            }
        }
    }

    /// Everything that was decided.
    pub fn finish(mut self) -> Done {
        self.done.states = self.states.into_values().collect();
        self.done.people = self.people.into_iter().collect();
        self.done.claims = self.claims;
        self.done.cache = Learnt { lasts: self.lasts, counters: self.counters };
        self.done
    }

    /// A post, something for an inbox, an erasure there, or what a user's devices keep for each other.
    fn append_open(&mut self, log: &LogName, Admitted { draft, room, .. }: Admitted) -> Result<Placed, Refusal> {
        let number = self.find(log).ok_or(Code::NotFound)?.number;
        if let Some(placed) = self.once(Some(number), &draft)? {
            return Ok(placed);
        }
        self.author(&draft)?;
        let stub = self.erasure(number, log, &draft)?;
        // A draft that is refused teaches nothing, so its own rules come before the room is learnt.
        if let (LogName::Inbox(owner), Some(room)) = (log, &room) {
            let asked = asked(&room.genesis, &draft.author, Some(owner));
            self.is_welcome(&draft, owner, room, asked.as_ref())?;
            self.learn_room(room, asked);
        }
        let placed = self.place(number, log, draft);
        if let Some((seq, stub)) = stub {
            self.forget(number, seq, stub);
        }
        Ok(placed)
    }

    /// Once only, and in order: `None` when this draft is its author's next.
    fn once(&self, number: Option<u64>, draft: &Encoded<Draft>) -> Result<Option<Placed>, Refusal> {
        let author = author_of(draft);
        let last = number.map_or(0, |number| self.last(number, &author));
        if draft.n == last + 1 {
            return Ok(None);
        }
        if draft.n > last {
            return Err(Refusal::from(Code::Gap).last(last));
        }
        let before = number.and_then(|number| self.placed.get(&(number, author, draft.n)));
        match before {
            Some((hash, placed)) if *hash == draft.hash() => Ok(Some(*placed)),
            _ => Err(Refusal::from(Code::Rewound).last(last)),
        }
    }

    fn replicate(&mut self, number: u64, base: Tip, entries: Vec<super::replica::Checked>) -> Option<Tip> {
        let row = self.view.book.row(number)?;
        if self.tip(number) != base || row.stopped || self.done.stopped.contains(&number) || self.done.discarded.contains(&number) {
            return None;
        }
        let mut people = None;
        for checked in entries {
            let about = checked.state.as_ref().map(|state| state.list.user.clone());
            if let Some(state) = checked.state {
                self.states.insert(state.list.user.clone(), state);
            }
            people = checked.people.or(people);
            self.push(number, &row.name, checked.tip, checked.entry, (None, about), checked.flawed);
            if let Some((seq, stub)) = checked.erased {
                self.forget(number, seq, stub);
            }
        }
        if let Some(people) = people {
            self.people_are(&row, people);
        }
        Some(self.tip(number))
    }

    /// Gives a draft its place in a log that is ordered here.
    fn place(&mut self, number: u64, log: &LogName, draft: Encoded<Draft>) -> Placed {
        let (author, n, hash) = (author_of(&draft), draft.n, draft.hash());
        let about = matches!(log, LogName::Keys(_)).then(|| draft.author.clone());
        let (tip, entry) = self.next_entry(number, log, draft);
        self.push(number, log, tip, entry, (Some((author.clone(), n)), about), false);
        let placed = Placed { seq: tip.seq, hash: tip.hash };
        self.lasts.insert((number, author.clone()), n);
        self.placed.insert((number, author, n), (hash, placed));
        placed
    }

    fn next_entry(&self, number: u64, log: &LogName, draft: Encoded<Draft>) -> (Tip, Bytes) {
        let tip = self.tip(number);
        let entry = Entry { seq: tip.seq + 1, at: self.at, payload: Payload::Draft(draft) };
        let hash = chain::hash(log, &tip.hash, entry.seq, entry.at, &entry.draft_hash());
        (Tip { seq: entry.seq, hash }, entry.encode())
    }

    fn push(
        &mut self,
        log: u64,
        name: &LogName,
        tip: Tip,
        entry: Bytes,
        (once, about): (Option<(Author, u64)>, Option<UserName>),
        flawed: bool,
    ) {
        let before = self.tip(log);
        let got = matches!(name, LogName::Public(_)).then(|| {
            self.counters.got += 1;
            self.counters.got
        });
        let run = self.done.runs.entry(log).or_insert_with(|| NewRun { before, entries: Vec::new() });
        run.entries.push((tip, Item { entry: entry.clone(), got }));
        self.done.changes.push(Change::Entry(NewEntry { log, tip, entry, once, about, got, flawed }));
    }

    fn new_log(&mut self, name: LogName, room: Option<RoomRef>, asked: Option<UserName>) -> u64 {
        self.counters.log += 1;
        let number = self.counters.log;
        let (tip, since) = (Tip::EMPTY, self.at);
        let row = LogRow { number, name: name.clone(), room, people: None, asked, since, followed: true, tip, stopped: false };
        self.done.changes.push(Change::Log(row.clone()));
        self.new_logs.insert(name, self.done.logs.len());
        self.done.logs.push(Arc::new(row));
        number
    }

    /// A log that never got an entry is not kept any more.
    fn discard(&mut self, number: u64) {
        if self.tip(number) == Tip::EMPTY && self.view.book.row(number).is_some() && self.done.discarded.insert(number) {
            self.done.changes.push(Change::Discard { log: number });
        }
    }

    fn find(&self, log: &LogName) -> Option<Arc<LogRow>> {
        match self.new_logs.get(log) {
            Some(at) => self.done.logs.get(*at).cloned(),
            None => self.view.book.find(log).filter(|row| !self.done.discarded.contains(&row.number)),
        }
    }

    fn tip(&self, number: u64) -> Tip {
        let in_batch = self.done.runs.get(&number).and_then(|run| run.entries.last()).map(|(tip, _)| *tip);
        in_batch.or_else(|| self.view.book.tip(number)).unwrap_or(Tip::EMPTY)
    }

    fn state(&self, user: &UserName) -> Option<Arc<KeyState>> {
        self.states.get(user).cloned().or_else(|| self.view.directory.state(user))
    }

    /// The keys of a draft's author, in whose newest list the draft's device still is: it may have gone since the draft was
    /// looked at.
    fn author(&self, draft: &Draft) -> Result<Arc<KeyState>, Refusal> {
        let state = self.state(&draft.author).ok_or_else(|| Refusal::from(Code::NotYet).retry_after(1))?;
        check_listed(draft, &state).map_err(not_believed)?;
        Ok(state)
    }

    fn last(&self, number: u64, author: &Author) -> u64 {
        self.lasts.get(&(number, author.clone())).copied().or_else(|| self.cache.last(number, author)).unwrap_or(0)
    }

    fn answer<T: std::marker::Send + 'static>(&mut self, reply: Reply<T>, result: Result<T, Refusal>) {
        self.done.answers.push(Box::new(move |failed| {
            let result = match failed {
                Some(why) => result.and(Err(why.clone())),
                None => result,
            };
            // An error only says that nobody waits for the answer any more; what is durable stays so.
            let _ = reply.send(result);
        }));
    }
}

/// By whom a draft is, as drafts are counted.
pub fn author_of(draft: &Draft) -> Author {
    Author { user: draft.author.clone(), device: draft.device }
}
