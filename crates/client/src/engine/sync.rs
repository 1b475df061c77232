//! From entries to the timeline: chain first, then who wrote it, then what it says; one commit for all of it with the cursor.
//!
//! What does not continue a log's chain stops that log, and is shown; what continues it but cannot be opened or verified is a
//! row that says so; what lacks keys waits for them, and only its log does.

use super::Engine;
use crate::ClientError;
use crate::crypto::{Kept, OpenJob};
use crate::platform;
use crate::store::{Batch, NewRow, OwnSent};
use crate::view::Target;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;
use tidings_proto::chain::{self, Tip};
use tidings_proto::frame::{Entries, Item, RoomRef};
use tidings_proto::{Content, DeviceKey, Draft, Encoded, Entry, Genesis, Hash, Kind, LogName, Payload, UserName, cbor, limits};
use tidings_trust::drafts::check_past;
use tidings_trust::{KeyState, Members};

/// Bytes of entries that one log may hold back while keys are on their way; the link ends beyond, and the rest is asked for anew.
const HELD: usize = 4 * 1024 * 1024;

/// A log that is followed.
pub struct Followed {
    tip: Tip,
    stopped: Option<String>,
    /// The last verified number of each device; read when the first entries come.
    counted: Option<HashMap<DeviceKey, u64>>,
    /// Rooms: what names the room.
    pub room: Option<Genesis>,
    waiting_for: Option<UserName>,
    held: VecDeque<Entries>,
    held_bytes: usize,
}

impl Default for Followed {
    fn default() -> Followed {
        Followed::new(Tip::EMPTY, None)
    }
}

impl Followed {
    /// From what the store says.
    pub fn new(tip: Tip, stopped: Option<String>) -> Followed {
        Followed { tip, stopped, counted: None, room: None, waiting_for: None, held: VecDeque::new(), held_bytes: 0 }
    }

    /// The last entry that is here.
    pub fn seq(&self) -> u64 {
        self.tip.seq
    }

    /// The last entry that is here, and the chain's hash there.
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// Why it is not followed any further.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// Whether nothing of it is held back.
    pub fn is_flowing(&self) -> bool {
        self.waiting_for.is_none()
    }
}

/// A new entry whose place in the chain is verified.
struct Placed {
    entry: Entry,
    hash: Hash,
    place: u64,
}

/// What an entry turns out to be.
enum Found {
    /// A sealed message to open.
    Sealed(Box<OpenJob>),
    /// A verified text, as it is kept.
    Text(Vec<u8>),
    /// A room pointed to.
    Pointer(Genesis),
    /// This device's own draft.
    Own,
    /// Nothing to show.
    Silent,
    /// Something to show as unreadable.
    Unreadable(String),
    /// The log is not what it should be.
    Stop(String),
}

impl Engine {
    /// Entries of a followed log.
    pub(super) async fn entries(&mut self, entries: Entries, now: Instant) -> Result<(), ClientError> {
        let Some(log) = self.numbers.get(&entries.log).cloned() else {
            return Err(ClientError::ServerMisbehaved("it sent entries of a log that it has not named".into()));
        };
        let Some(followed) = self.logs.get_mut(&log) else {
            return Err(ClientError::ServerMisbehaved(format!("it sent entries of {log}, which was not asked for")));
        };
        if followed.stopped.is_some() {
            return Ok(());
        }
        if followed.waiting_for.is_some() {
            followed.held_bytes += entries.items.iter().map(|item| item.entry.len()).sum::<usize>();
            followed.held.push_back(entries);
            if followed.held_bytes > HELD {
                return Err(ClientError::ServerMisbehaved(format!("it does not answer for the keys that {log} waits for")));
            }
            return Ok(());
        }
        self.take(log, entries, now).await
    }

    /// Goes on with the logs that waited for `user`'s keys.
    pub(super) async fn unblock(&mut self, user: &UserName, now: Instant) -> Result<(), ClientError> {
        let waiting: Vec<LogName> =
            self.logs.iter().filter(|(_, followed)| followed.waiting_for.as_ref() == Some(user)).map(|(log, _)| log.clone()).collect();
        for log in waiting {
            if let Some(followed) = self.logs.get_mut(&log) {
                followed.waiting_for = None;
                followed.held_bytes = 0;
            }
            while let Some(entries) = self.logs.get_mut(&log).filter(|followed| followed.is_flowing()).and_then(|log| log.held.pop_front())
            {
                self.take(log.clone(), entries, now).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, log: LogName, entries: Entries, _now: Instant) -> Result<(), ClientError> {
        let Some(followed) = self.logs.get(&log) else { return Ok(()) };
        let (placed, broken) = place(&log, followed.tip, entries.prev, &entries.items);
        if let Some((user, version)) = self.lacking(&log, &placed) {
            if let Some(followed) = self.logs.get_mut(&log) {
                followed.waiting_for = Some(user.clone());
                followed.held_bytes += entries.items.iter().map(|item| item.entry.len()).sum::<usize>();
                followed.held.push_front(entries);
            }
            let after = self.core.people().pinned_to(&user);
            self.ask_keys(user, after, version);
            return Ok(());
        }
        if placed.is_empty() && broken.is_none() {
            return Ok(());
        }
        let batch = self.read(&log, placed, broken).await?;
        let (kept, tip, stopped) = (batch.clone(), batch.tip, batch.stopped.clone());
        self.core.stored(move |store| store.arrived(&kept)).await?;
        for own in &batch.sent {
            self.outbox.seen(&log, own.n);
        }
        if let Some(why) = &stopped {
            tracing::warn!(%log, why, "a log is stopped");
        }
        if let Some(followed) = self.logs.get_mut(&log) {
            followed.tip = tip;
            followed.stopped = stopped;
            followed.counted.get_or_insert_default().extend(batch.counted.iter().copied());
        }
        self.learn(batch.rooms).await
    }

    /// Somebody whose keys, in the version that an entry names, are not here and have not been asked for.
    fn lacking(&self, log: &LogName, placed: &[Placed]) -> Option<(UserName, u64)> {
        let people = self.core.people();
        let lacks = |user: &UserName, version: u64| people.version(user) < version && !self.keys.has_answered(user, version);
        let room = self.logs.get(log).and_then(|followed| followed.room.as_ref());
        for placed in placed {
            let Some(draft) = placed.entry.draft().filter(|draft| draft.kind != Kind::Genesis) else { continue };
            if lacks(&draft.author, draft.list) {
                return Some((draft.author.clone(), draft.list));
            }
            if let Some(user) = room.and_then(Genesis::as_direct).iter().flat_map(|direct| &direct.people).find(|user| lacks(user, 1)) {
                return Some((user.clone(), 1));
            }
        }
        None
    }

    /// Verifies and opens; nothing is committed yet.
    async fn read(&mut self, log: &LogName, placed: Vec<Placed>, broken: Option<String>) -> Result<Batch, ClientError> {
        let room = self.logs.get(log).and_then(|followed| followed.room.clone());
        let mut batch = Batch {
            log: log.clone(),
            tip: self.logs.get(log).map_or(Tip::EMPTY, Followed::tip),
            rows: Vec::new(),
            sent: Vec::new(),
            counted: Vec::new(),
            hashes: Vec::new(),
            rooms: Vec::new(),
            changes: Vec::new(),
            stopped: None,
        };
        let mut counted = self.counted(log).await?;
        let mut found = self.classify(log, room.as_ref(), &placed).await?;
        let mut opened = self.open_all(&mut found).await?;
        for (placed, found) in placed.into_iter().zip(found) {
            let seq = placed.entry.seq;
            let kept = opened.remove(&seq);
            if let Some(why) = self.record(log, room.as_ref(), &placed, found, kept, &mut counted, &mut batch).await? {
                batch.stopped = Some(why);
                break;
            }
            batch.tip = Tip { seq, hash: placed.hash };
            if room.is_some() {
                batch.hashes.push((seq, placed.hash));
            }
        }
        batch.stopped = batch.stopped.or(broken);
        Ok(batch)
    }

    async fn counted(&mut self, log: &LogName) -> Result<HashMap<DeviceKey, u64>, ClientError> {
        if let Some(counted) = self.logs.get(log).and_then(|followed| followed.counted.clone()) {
            return Ok(counted);
        }
        let name = log.clone();
        let counted: HashMap<DeviceKey, u64> = self.core.stored(move |store| store.counted(&name)).await?.into_iter().collect();
        if let Some(followed) = self.logs.get_mut(log) {
            followed.counted = Some(counted.clone());
        }
        Ok(counted)
    }

    /// Everything about entries that needs public keys only.
    async fn classify(&self, log: &LogName, room: Option<&Genesis>, placed: &[Placed]) -> Result<Vec<Found>, ClientError> {
        let device = self.core.crypto.device();
        let mine: Vec<Encoded<Draft>> =
            placed.iter().filter_map(|placed| placed.entry.draft()).filter(|draft| draft.device == device).cloned().collect();
        let own = if mine.is_empty() {
            Vec::new()
        } else {
            let log = log.clone();
            let matched = move |store: &crate::store::Store| {
                let mut own = Vec::new();
                for draft in mine {
                    if store.is_own(&log, &device, &draft)? {
                        own.push(draft.hash());
                    }
                }
                Ok(own)
            };
            self.core.stored(matched).await?
        };
        let is_own = |draft: &Encoded<Draft>| draft.device == device && own.contains(&draft.hash());
        Ok(placed
            .iter()
            .map(|placed| match &placed.entry.payload {
                _ if placed.entry.seq == 1 && room.is_some() => first_of_room(room, &placed.entry),
                Payload::Stub(_) => Found::Unreadable("this was erased".into()),
                Payload::Draft(draft) if is_own(draft) => Found::Own,
                Payload::Draft(draft) => self.judge(log, room, placed.entry.seq, draft),
            })
            .collect())
    }

    fn judge(&self, log: &LogName, room: Option<&Genesis>, seq: u64, draft: &Encoded<Draft>) -> Found {
        let Some(author) = self.core.people().state(&draft.author) else {
            return Found::Unreadable(format!("it names {} as its author, whose keys are not known", draft.author));
        };
        match (log, draft.kind, room) {
            (LogName::Public(server), Kind::Post, _) => {
                if draft.author.server() != server {
                    return Found::Unreadable("its author is not one of that server's users".into());
                }
                if let Err(error) = check_past(log, draft, &author) {
                    return Found::Unreadable(error.to_string());
                }
                match cbor::decode::<Content>(&draft.body, limits::DRAFT) {
                    Ok(_) => Found::Text(draft.body.to_vec()),
                    Err(error) => Found::Unreadable(error.to_string()),
                }
            }
            (LogName::Inbox(_), Kind::Notice, _) => match self.pointer(log, draft, &author) {
                Some(genesis) => Found::Pointer(genesis),
                None => Found::Silent,
            },
            (LogName::Inbox(_), ..) => Found::Silent,
            (LogName::Room(_), Kind::Sealed, Some(genesis)) => self.sealed(log, genesis, seq, draft, author),
            (_, kind, _) => Found::Unreadable(format!("a {kind:?} has no place here")),
        }
    }

    /// Where a notice points to, if its author may point there.
    fn pointer(&self, log: &LogName, draft: &Encoded<Draft>, author: &KeyState) -> Option<Genesis> {
        check_past(log, draft, author).ok()?;
        let room: RoomRef = cbor::decode(&draft.body, limits::DRAFT).ok()?;
        let direct = room.genesis.as_direct()?;
        (direct.has(self.me()) && direct.has(&draft.author)).then_some(room.genesis)
    }

    fn sealed(&self, log: &LogName, genesis: &Genesis, seq: u64, draft: &Encoded<Draft>, author: Arc<KeyState>) -> Found {
        let Some(direct) = genesis.as_direct().filter(|direct| direct.has(&draft.author)) else {
            return Found::Unreadable("its author is not in this conversation".into());
        };
        let (mine, theirs) = {
            let people = self.core.people();
            (people.state(self.me()), people.state(direct.other(self.me())))
        };
        let (Some(mine), Some(theirs)) = (mine, theirs) else {
            return Found::Unreadable("the keys of the people in this conversation are not known".into());
        };
        let keys = [mine, theirs].into_iter().map(|state| (state.list.user.clone(), state)).collect();
        Found::Sealed(Box::new(OpenJob {
            log: log.clone(),
            seq,
            draft: draft.clone(),
            author,
            genesis: genesis.clone(),
            members: Arc::new(Members::direct(direct)),
            keys: Arc::new(keys),
        }))
    }

    /// Opens what is sealed, all in one go on another thread. By seq; what could not be opened says why.
    async fn open_all(&self, found: &mut [Found]) -> Result<HashMap<u64, Result<Kept, String>>, ClientError> {
        let jobs: Vec<OpenJob> = found
            .iter_mut()
            .filter_map(|found| match std::mem::replace(found, Found::Silent) {
                Found::Sealed(job) => Some(*job),
                other => {
                    *found = other;
                    None
                }
            })
            .collect();
        if jobs.is_empty() {
            return Ok(HashMap::new());
        }
        let crypto = self.core.crypto.clone();
        let opened = platform::heavy(move || async move {
            let mut opened = HashMap::new();
            for job in jobs {
                opened.insert(job.seq, crypto.open(&job).await?.map_err(|error| error.to_string()));
            }
            Ok(opened)
        });
        opened.await?
    }

    /// Adds one entry to the batch. Some: the log stops before it, and why.
    #[allow(clippy::too_many_arguments)]
    async fn record(
        &self,
        log: &LogName,
        room: Option<&Genesis>,
        placed: &Placed,
        found: Found,
        kept: Option<Result<Kept, String>>,
        counted: &mut HashMap<DeviceKey, u64>,
        batch: &mut Batch,
    ) -> Result<Option<String>, ClientError> {
        let seq = placed.entry.seq;
        let target = room.and_then(Genesis::as_direct).map_or(Target::Public, |direct| Target::Direct(direct.other(self.me()).clone()));
        let row = |author: Option<&UserName>, draft, seq, content| NewRow {
            target: target.clone(),
            author: author.cloned(),
            draft,
            seq,
            place: placed.place,
            at: placed.entry.at,
            content,
        };
        let unreadable = |why: String| row(None, None, Some(seq), Err(why));
        let draft = placed.entry.draft();
        let (author, content) = match (found, kept, draft) {
            (Found::Stop(why), ..) => return Ok(Some(why)),
            (Found::Unreadable(why), ..) => {
                batch.rows.push(unreadable(why));
                return Ok(None);
            }
            (Found::Pointer(genesis), ..) => {
                batch.rooms.push(genesis);
                return Ok(None);
            }
            (Found::Own, _, Some(draft)) => {
                let draft_hash = draft.hash();
                batch.sent.push(OwnSent { n: draft.n, draft: draft_hash, seq, place: placed.place, at: placed.entry.at });
                count(counted, batch, draft);
                return Ok(None);
            }
            (Found::Text(text), _, Some(draft)) => (draft.author.clone(), (text, None)),
            (_, Some(Err(why)), _) => {
                batch.rows.push(unreadable(why));
                return Ok(None);
            }
            (_, Some(Ok(kept)), Some(_)) => {
                if let Some(why) = self.other_story(log, seq, kept.opened.seen, batch).await? {
                    return Ok(Some(why));
                }
                batch.changes.extend(kept.changes.0);
                (kept.opened.author, (kept.at_rest, Some(seq)))
            }
            _ => return Ok(None),
        };
        let Some(draft) = draft else { return Ok(None) };
        match draft.n.checked_sub(1 + counted.get(&draft.device).copied().unwrap_or(0)) {
            None => {
                // Only a hub that takes a number twice can do this; what is verified was verified, but it is not new.
                batch.rows.push(unreadable(format!("its server repeats, or re-orders, what {author} has written")));
                return Ok(None);
            }
            Some(0) => {}
            Some(missing) => {
                let why =
                    format!("{missing} of {author}'s messages before the next one {} missing", if missing == 1 { "is" } else { "are" });
                batch.rows.push(row(None, None, None, Err(why)));
            }
        }
        count(counted, batch, draft);
        batch.rows.push(row(Some(&author), Some((draft.device, draft.n, draft.hash())), Some(seq), Ok(content)));
        Ok(None)
    }

    /// Whether an author has seen another chain than this device: then the hub tells two stories.
    async fn other_story(&self, log: &LogName, seq: u64, seen: (u64, Hash), batch: &Batch) -> Result<Option<String>, ClientError> {
        let (at, hash) = seen;
        let here = match at {
            0 => Some(Hash::ZERO),
            at if at >= seq => None,
            at => match batch.hashes.iter().find(|(seq, _)| *seq == at) {
                Some((_, hash)) => Some(*hash),
                None => {
                    let log = log.clone();
                    self.core.stored(move |store| store.hash_at(&log, at)).await?
                }
            },
        };
        Ok((here != Some(hash)).then(|| "its server tells different people different stories".into()))
    }
}

fn count(counted: &mut HashMap<DeviceKey, u64>, batch: &mut Batch, draft: &Draft) {
    counted.insert(draft.device, draft.n);
    batch.counted.push((draft.device, draft.n));
}

/// Entry 1 of a room is a function of the room's name.
fn first_of_room(room: Option<&Genesis>, entry: &Entry) -> Found {
    if room.and_then(Genesis::as_direct).is_some_and(|direct| direct.draft().hash() == entry.draft_hash()) {
        Found::Silent
    } else {
        Found::Stop("its first entry is not the one that the conversation is named after".into())
    }
}

/// The new entries, each with its place in the chain verified, as far as they go on from `tip`; and why they go no further.
/// What is here already is dropped, but its hashes must lead to ours.
fn place(log: &LogName, tip: Tip, prev: Hash, items: &[Item]) -> (Vec<Placed>, Option<String>) {
    let broken = |why: &str| Some(format!("its server does not continue it as it began: {why}"));
    let mut placed = Vec::new();
    let mut before: Option<Tip> = None;
    for item in items {
        let Ok(entry) = Entry::read(&item.entry) else { return (placed, broken("an entry cannot be read")) };
        let last = match before {
            Some(last) => last,
            None if entry.seq == 0 || entry.seq > tip.seq + 1 => return (placed, broken("entries are missing")),
            None => Tip { seq: entry.seq - 1, hash: prev },
        };
        if last.seq == tip.seq && last.hash != tip.hash {
            return (placed, broken("the chain of hashes is another"));
        }
        let Ok(next) = chain::extend(log, &last, &entry) else { return (placed, broken("entries are missing")) };
        if next.seq == tip.seq && next.hash != tip.hash {
            return (placed, broken("the chain of hashes is another"));
        }
        before = Some(next);
        if next.seq > tip.seq {
            // A place that the store cannot count is no place; the end of the conversation is.
            let place = item.got.unwrap_or(entry.seq).min(i64::MAX as u64 - 1);
            placed.push(Placed { entry, hash: next.hash, place });
        }
    }
    (placed, None)
}
