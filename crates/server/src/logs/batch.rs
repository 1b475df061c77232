//! One batch of the sequencer: jobs in, in order; changes, answers and news out. Pure: it waits for nothing.
//!
//! Nothing is undone: a job that is refused has changed nothing, so it never touches its neighbours.

use super::book::Book;
use super::directory::Directory;
use super::kept::Kept;
use super::rules::keys_refused;
use super::sequencer::{Append, Enqueue, Job, Register, Replicate, Reply};
use super::{Admission, Placed};
use crate::config::Limits;
use crate::store::{AccountRecord, Answers, Author, Change, LogRow, NewCode, NewEntry, OutboxRow, OutboxState, Questions, Queue};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tidings_proto::chain::{self, Tip};
use tidings_proto::frame::{Item, RoomRef};
use tidings_proto::{Code, DeviceKey, Draft, Encoded, Entry, Hash, Kind, LogName, Payload, Refusal, ServerName, UserName};
use tidings_trust::KeyState;

/// Authors whose last n is remembered; beyond that all are forgotten and asked for anew.
const REMEMBERED: usize = 200_000;
/// Whoever writes to a peer for which too much waits is told to try again in so many seconds.
const FULL_AGAIN: u64 = 60;

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

/// What a batch looks at: what is durable, and how much may wait.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub book: &'a Book,
    pub directory: &'a Directory,
    pub kept: &'a Kept,
    pub limits: &'a Limits,
}

/// A batch as it is being made.
pub struct Batch<'a> {
    me: &'a ServerName,
    known: Known<'a>,
    cache: &'a Cache,
    at: u64,
    counters: Counters,
    lasts: HashMap<(u64, Author), u64>,
    placed: HashMap<(u64, Author, u64), (Hash, Placed)>,
    codes: HashMap<Hash, NewCode>,
    queues: HashMap<ServerName, Queue>,
    /// Names that have got a claim code in this batch, or lost it.
    claims: HashMap<UserName, bool>,
    rows: HashMap<(LogName, DeviceKey, u64), (Hash, OutboxRow)>,
    states: HashMap<UserName, Arc<KeyState>>,
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
    pub logs: Vec<LogRow>,
    pub registered: Vec<UserName>,
    pub claims: HashMap<UserName, bool>,
    pub runs: BTreeMap<u64, NewRun>,
    pub stopped: Vec<u64>,
    pub states: Vec<Arc<KeyState>>,
    pub cache: Learnt,
}

impl<'a> Batch<'a> {
    pub fn new(me: &'a ServerName, known: Known<'a>, cache: &'a Cache, at: u64) -> Batch<'a> {
        Batch {
            me,
            known,
            cache,
            at,
            counters: cache.counters,
            lasts: HashMap::new(),
            placed: HashMap::new(),
            codes: HashMap::new(),
            queues: HashMap::new(),
            claims: HashMap::new(),
            rows: HashMap::new(),
            states: HashMap::new(),
            new_logs: HashMap::new(),
            done: Done {
                changes: Vec::new(),
                answers: Vec::new(),
                logs: Vec::new(),
                registered: Vec::new(),
                claims: HashMap::new(),
                runs: BTreeMap::new(),
                stopped: Vec::new(),
                states: Vec::new(),
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
        for (key, found) in questions.outgoing.into_iter().zip(answers.outgoing) {
            if let Some(row) = found {
                self.rows.insert(key, (Hash::of(&row.draft), row));
            }
        }
    }

    /// Decides about one job.
    pub fn take(&mut self, job: Job) {
        match job {
            Job::Append(Append { log, draft, room, reply }) => {
                let result = self.append(&log, draft, room);
                self.answer(reply, result);
            }
            Job::Register(Register { account, draft, reply }) => {
                let result = self.register(account, draft);
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
            Job::Enqueue(enqueue) => self.enqueue(enqueue),
            Job::Settle { id, settled, reply } => {
                self.done.changes.push(Change::Settle { id, settled, at: self.at });
                self.answer(reply, Ok(()));
            }
            Job::KnowServer { name, reply } => {
                for log in [LogName::Keys(name.clone()), LogName::Public(name)] {
                    if self.find(&log).is_none() {
                        self.new_log(log, None);
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
        self.done.claims = self.claims;
        self.done.cache = Learnt { lasts: self.lasts, counters: self.counters };
        self.done
    }

    fn append(&mut self, log: &LogName, draft: Encoded<Draft>, room: Option<RoomRef>) -> Result<Placed, Refusal> {
        let known = match (log, &room) {
            // A room that comes with its first message.
            (LogName::Room(_), Some(room)) => self.find(log).map_or_else(|| Some(room.clone()), |row| row.room),
            (LogName::Room(_), None) => Some(self.find(log).and_then(|row| row.room).ok_or(Code::NotFound)?),
            _ => None,
        };
        if let Some(known) = known {
            is_member(&known, &draft)?;
            if known.hub != *self.me {
                return Err(Refusal::new(Code::Forbidden, "this room is ordered by another server"));
            }
        }
        // A draft that is refused teaches nothing, so its own rules come before the room is learnt.
        let number = self.find(log).map(|row| row.number);
        if let Some(placed) = self.once(number, &draft)? {
            return Ok(placed);
        }
        let state = match log {
            LogName::Keys(_) => Some(self.next_keys(log, &draft)?),
            _ => None,
        };
        if let Some(room) = &room {
            self.learn_room(room);
        }
        let number = self.find(log).ok_or(Code::NotFound)?.number;
        let placed = self.place(number, log, draft);
        if let Some(state) = state {
            self.states.insert(state.list.user.clone(), Arc::new(state));
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

    fn register(&mut self, account: super::NewAccount, draft: Encoded<Draft>) -> Result<Placed, Refusal> {
        let user = account.user;
        if self.state(&user).is_some() || self.known.book.is_registered(&user) {
            return Err(Code::NameTaken.into());
        }
        let log = LogName::Keys(self.me.clone());
        let number = self.find(&log).ok_or(Code::NotFound)?.number;
        if self.once(Some(number), &draft)?.is_some() {
            return Err(Code::NameTaken.into());
        }
        let state = self.next_keys(&log, &draft)?;
        self.admit(&user, &account.admission)?;
        let placed = self.place(number, &log, draft);
        self.states.insert(user.clone(), Arc::new(state));
        let record = AccountRecord { password: account.password, recovery: account.recovery, vault: account.vault, vault_version: 1 };
        self.done.changes.push(Change::Account { user: user.clone(), record });
        self.new_log(LogName::Inbox(user.clone()), None);
        self.done.registered.push(user);
        Ok(placed)
    }

    /// Uses up what lets `user` in. An invitation does not open a name that is kept back for somebody.
    fn admit(&mut self, user: &UserName, admission: &Admission) -> Result<(), Refusal> {
        let kept = self.claims.get(user).map_or_else(|| self.known.kept.has(user), |claim| *claim || self.known.kept.by_setup(user));
        let Some(hash) = admission.code() else {
            return if kept { Err(claim_needed()) } else { Ok(()) };
        };
        let (at, claim) = (self.at, kept || matches!(admission, Admission::Claim(_)));
        let fits = |code: &NewCode| code.user.as_ref().map_or(!claim, |only| only == user);
        let good = |code: &&mut NewCode| code.uses > 0 && code.expires > at && fits(code);
        let code = self.codes.get_mut(&hash).filter(good).ok_or(Code::BadCode)?;
        code.uses -= 1;
        self.done.changes.push(Change::UseCode(hash));
        if claim {
            self.claims.insert(user.clone(), false);
        }
        Ok(())
    }

    fn add_code(&mut self, code: NewCode) -> Result<(), Refusal> {
        if self.codes.contains_key(&code.hash) {
            return Err(Code::Conflict.into());
        }
        if let Some(user) = &code.user {
            if self.state(user).is_some() || self.known.book.is_registered(user) {
                return Err(Code::NameTaken.into());
            }
            self.codes.retain(|_, earlier| earlier.user.as_ref() != Some(user));
            self.done.changes.push(Change::VoidClaims(user.clone()));
            self.claims.insert(user.clone(), true);
        }
        self.codes.insert(code.hash, code.clone());
        self.done.changes.push(Change::Code(code));
        Ok(())
    }

    fn revoke_code(&mut self, hash: &Hash) -> Result<(), Refusal> {
        let code = self.codes.remove(hash).ok_or(Code::NotFound)?;
        if let Some(user) = code.user {
            self.claims.insert(user, false);
        }
        self.done.changes.push(Change::RemoveCode(*hash));
        Ok(())
    }

    fn enqueue(&mut self, Enqueue { peer, log, draft, genesis, room, reply }: Enqueue) {
        let result = self.row(peer, log, &draft, genesis, room);
        self.answer(reply, result);
    }

    fn row(
        &mut self,
        peer: ServerName,
        log: LogName,
        draft: &Encoded<Draft>,
        genesis: Option<tidings_proto::Genesis>,
        room: Option<RoomRef>,
    ) -> Result<OutboxRow, Refusal> {
        if let LogName::Room(_) = log {
            let known = self.find(&log).and_then(|row| row.room).or(room.clone()).ok_or(Code::NotFound)?;
            is_member(&known, draft)?;
            if known.hub != peer {
                return Err(Refusal::new(Code::Forbidden, "this room is ordered by another server"));
            }
        }
        let once = (log.clone(), draft.device, draft.n);
        if let Some((hash, row)) = self.rows.get(&once) {
            match (&row.state, *hash == draft.hash()) {
                // The hub has not taken this n, so it is free for another draft. A gap says nothing of the draft itself: by
                // now what was missing may be there.
                (OutboxState::Refused(_), false) => {}
                (OutboxState::Refused(why), true) if why.code == Code::Gap => {}
                (_, true) => return Ok(row.clone()),
                (_, false) => return Err(Refusal::from(Code::Rewound).last(draft.n)),
            }
        }
        self.has_room(&peer, draft.bytes().len() as u64)?;
        if let Some(room) = &room {
            self.learn_room(room);
        }
        self.counters.row += 1;
        let (id, draft_bytes, queued) = (self.counters.row, draft.bytes().clone(), self.at);
        let row = OutboxRow { id, log, draft: draft_bytes, genesis, queued, state: OutboxState::Waiting };
        self.done.changes.push(Change::Outgoing { peer, once: (draft.device, draft.n), row: row.clone() });
        self.rows.insert(once, (draft.hash(), row.clone()));
        Ok(row)
    }

    /// Counts one more draft for `peer`, unless too much waits for it already.
    fn has_room(&mut self, peer: &ServerName, bytes: u64) -> Result<(), Refusal> {
        let (most, most_bytes) = (u64::from(self.known.limits.outbox_entries), self.known.limits.outbox_bytes);
        let queue = self.queues.entry(peer.clone()).or_default();
        let full = |limit: String| {
            let text = format!("{peer} does not answer, and {limit} wait for it already: no more are kept");
            Err(Refusal::new(Code::Full, text).retry_after(FULL_AGAIN))
        };
        if queue.entries >= most {
            return full(format!("{most} messages"));
        }
        if queue.bytes + bytes > most_bytes {
            return full(format!("messages of {} bytes, of {most_bytes},", queue.bytes));
        }
        queue.entries += 1;
        queue.bytes += bytes;
        Ok(())
    }

    fn replicate(&mut self, number: u64, base: Tip, entries: Vec<super::replica::Checked>) -> Option<Tip> {
        let row = self.known.book.row(number)?;
        if self.tip(number) != base || row.stopped || self.done.stopped.contains(&number) {
            return None;
        }
        for checked in entries {
            let about = checked.state.as_ref().map(|state| state.list.user.clone());
            if let Some(state) = checked.state {
                self.states.insert(state.list.user.clone(), state);
            }
            self.push(number, &row.name, checked.tip, checked.entry, (None, about), checked.flawed);
        }
        Some(self.tip(number))
    }

    /// Learns a room, once. The hub writes its first entry at once, so a room that is known has one.
    fn learn_room(&mut self, room: &RoomRef) {
        let log = room.genesis.log();
        if self.find(&log).is_some() {
            return;
        }
        let number = self.new_log(log.clone(), Some(room.clone()));
        if let (true, Some(direct)) = (room.hub == *self.me, room.genesis.as_direct()) {
            let (tip, entry) = self.next_entry(number, &log, direct.draft());
            self.push(number, &log, tip, entry, (None, None), false);
        }
    }

    fn next_keys(&self, log: &LogName, draft: &Encoded<Draft>) -> Result<KeyState, Refusal> {
        let before = self.state(&draft.author);
        if before.is_some() == (draft.kind == Kind::First) {
            return Err(if before.is_some() { Code::NameTaken } else { Code::Forbidden }.into());
        }
        let seq = self.find(log).map_or(1, |row| self.tip(row.number).seq + 1);
        KeyState::apply(before.as_deref(), log, seq, draft, None).map_err(keys_refused)
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

    fn next_entry(&self, number: u64, log: &LogName, draft: Encoded<Draft>) -> (Tip, bytes::Bytes) {
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
        entry: bytes::Bytes,
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

    fn new_log(&mut self, name: LogName, room: Option<RoomRef>) -> u64 {
        self.counters.log += 1;
        let row = LogRow { number: self.counters.log, name: name.clone(), room, tip: Tip::EMPTY, stopped: false };
        self.done.changes.push(Change::Log(row.clone()));
        self.new_logs.insert(name, self.done.logs.len());
        self.done.logs.push(row);
        self.counters.log
    }

    fn find(&self, log: &LogName) -> Option<LogRow> {
        match self.new_logs.get(log) {
            Some(at) => self.done.logs.get(*at).cloned(),
            None => self.known.book.find(log),
        }
    }

    fn tip(&self, number: u64) -> Tip {
        let in_batch = self.done.runs.get(&number).and_then(|run| run.entries.last()).map(|(tip, _)| *tip);
        in_batch.or_else(|| self.known.book.tip(number)).unwrap_or(Tip::EMPTY)
    }

    fn state(&self, user: &UserName) -> Option<Arc<KeyState>> {
        self.states.get(user).cloned().or_else(|| self.known.directory.state(user))
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

/// What is said to who wants a name that is kept back for somebody else.
pub fn claim_needed() -> Refusal {
    Refusal::new(
        Code::RegistrationClosed,
        "this name is kept for somebody: registering it takes the claim code that the operator made for it",
    )
}

fn is_member(room: &RoomRef, draft: &Draft) -> Result<(), Refusal> {
    if room.genesis.as_direct().is_some_and(|direct| direct.has(&draft.author)) {
        Ok(())
    } else {
        Err(Refusal::new(Code::Forbidden, "only a room's members may write to it"))
    }
}
