//! From entries to the timeline: chain first, then who wrote it, then what it says; one commit for all of it with the cursor.
//!
//! What does not continue a log's chain stops that log, and is shown; what continues it but cannot be opened or verified is a
//! row that says so; what lacks keys waits for them, and only its log does. What an entry is, `judge` says.

use super::Engine;
use super::followed::Followed;
use super::judge::{ANOTHER_STORY, Event, Found, Judge, is_quiet, lacks};
use super::place::{Placed, place};
use crate::ClientError;
use crate::crypto::mls::NewKeys;
use crate::crypto::{Invited, Kept, OpenJob, Opening};
use crate::mention::names;
use crate::platform;
use crate::store::{Author, Batch, Heard, Late, Missed, NewRoom, NewRow, OwnSent};
use crate::view::Target;
use std::collections::{BTreeSet, HashMap};
use tidings_e2ee::mls::State;
use tidings_proto::chain::Tip;
use tidings_proto::frame::Entries;
use tidings_proto::{Content, Draft, Encoded, Hash, Kind, LogName, Payload, ServerName, SuiteName, UserName};
use tidings_trust::members::Standing;

/// Drafts of this profile's by hash, and the titles in them as they are kept.
type OwnDrafts = HashMap<Hash, Option<(Vec<u8>, u64)>>;

/// What is said where this device has lost a room's keys: once for each commit that it could not take.
const LOST: &str = "this device has lost the keys of this conversation here, and comes in anew; what is written until then it cannot read";

/// What a log waits for, and its entries with it.
enum Wait {
    /// Somebody's keys, in a version after this one.
    Keys(UserName, u64),
    /// This account's own new keys, which a person has to unlock.
    Unlocking,
}

impl Engine {
    /// Entries of a followed log.
    pub(super) async fn entries(&mut self, entries: Entries) -> Result<(), ClientError> {
        let Some(log) = self.numbers.get(&entries.log).cloned() else {
            return Err(ClientError::ServerMisbehaved("it sent entries of a log that it has not named".into()));
        };
        let Some(followed) = self.logs.get_mut(&log) else {
            return Err(ClientError::ServerMisbehaved(format!("it sent entries of {log}, which was not asked for")));
        };
        // What a locked log holds back is asked for again once it is unlocked.
        if followed.stopped().is_some() || followed.locked || !followed.goes_on(&entries) {
            return Ok(());
        }
        if !followed.is_flowing() {
            return followed.hold(&log, entries);
        }
        self.take(log, entries).await
    }

    /// Goes on with the logs that waited for `user`'s keys.
    pub(super) async fn unblock(&mut self, user: &UserName) -> Result<(), ClientError> {
        let waiting: Vec<LogName> =
            self.logs.iter().filter(|(_, followed)| followed.waits_for() == Some(user)).map(|(log, _)| log.clone()).collect();
        for log in waiting {
            if let Some(followed) = self.logs.get_mut(&log) {
                followed.go_on();
            }
            while let Some(entries) = self.logs.get_mut(&log).and_then(Followed::next_held) {
                self.take(log.clone(), entries).await?;
            }
            let ends = self.logs.get_mut(&log).filter(|followed| followed.is_flowing()).and_then(|followed| followed.ends.take());
            if let Some(why) = ends {
                self.stops(&log, why).await?;
            }
        }
        Ok(())
    }

    /// This user's server has found that a log's hub does not continue it as it began, and takes nothing more of it.
    pub(super) async fn stops(&mut self, log: &LogName, why: String) -> Result<(), ClientError> {
        // What a locked log holds back is asked for again, and this is said again behind it.
        let Some(followed) = self.logs.get_mut(log).filter(|followed| followed.stopped().is_none() && !followed.locked) else {
            return Ok(());
        };
        if !followed.is_flowing() {
            followed.ends = Some(why);
            return Ok(());
        }
        tracing::warn!(%log, why, "a log is stopped");
        let Some(followed) = self.logs.get(log) else { return Ok(()) };
        let batch = Batch { stopped: Some(why), ..Record::new(log, self.me(), followed).batch };
        let kept = batch.clone();
        self.core.stored(move |store| store.arrived(&kept)).await?;
        if let Some(followed) = self.logs.get_mut(log) {
            followed.took(&batch);
        }
        Ok(())
    }

    async fn take(&mut self, log: LogName, entries: Entries) -> Result<(), ClientError> {
        if let LogName::Keys(server) = &log {
            let server = server.clone();
            return self.key_history(log, server, entries).await;
        }
        let Some(followed) = self.logs.get(&log) else { return Ok(()) };
        let (placed, broken) = place(&log, followed, entries.prev, &entries.items);
        if let Some((user, version)) = self.lacking(&placed) {
            return self.wait(&log, Wait::Keys(user, version), entries);
        }
        if placed.is_empty() && broken.is_none() {
            return Ok(());
        }
        let made = self.made_here(&placed);
        let (mut batch, wait) = self.read(&log, placed, broken).await?;
        batch.settled = made.into_iter().filter(|(seq, _, _)| *seq <= batch.tip.seq).map(|(_, n, draft)| (n, draft)).collect();
        batch.rooms = self.news(batch.rooms).await?;
        let kept = batch.clone();
        let titled = self.core.stored(move |store| store.arrived(&kept)).await?;
        if batch.hands_on {
            self.handing.more(batch.rows.len() + batch.sent.len());
        }
        for own in &batch.sent {
            self.outbox.seen(&log, own.n);
        }
        if let Some(why) = &batch.stopped {
            tracing::warn!(%log, why, "a log is stopped");
        }
        let servers: BTreeSet<ServerName> = batch.keys_seen.iter().map(|(_, seen)| seen.server.clone()).collect();
        for server in servers {
            self.settle_claims(&server).await?;
        }
        let mut new_people = Vec::new();
        if let Some((title, tag)) = &batch.title {
            self.titled(&log, title, *tag);
        }
        for (group, title, tag) in titled {
            self.titled(&group, &title, tag);
        }
        self.late_for.extend(batch.rows.iter().filter_map(|row| Some(row.late.as_ref()?.waits_for.clone())));
        if let Some(followed) = self.logs.get_mut(&log) {
            followed.took(&batch);
            new_people.extend(batch.members.iter().flat_map(|members| members.people()).map(|(user, _)| user.clone()));
        }
        if batch.members.is_some() {
            self.settle_removals(&log);
        }
        if self.logs.get(&log).and_then(|followed| followed.room.as_ref()).is_some_and(|room| room.genesis.suite() == SuiteName::Mls1) {
            self.moved.insert(log.clone());
        }
        new_people.retain(|user| self.core.people().version(user) == 0);
        self.ask_newest(new_people);
        for room in &batch.rooms {
            // What a group is called is said on: who was asked in may ask others in.
            if let Some((title, tag)) = &room.title {
                self.titled(&room.genesis.log(), title, *tag);
            }
        }
        self.learn(batch.rooms).await?;
        match wait {
            Some(wait) => self.wait(&log, wait, entries),
            None => Ok(()),
        }
    }

    /// A group is called something, as it is kept.
    pub(super) fn titled(&mut self, log: &LogName, title: &[u8], tag: u64) {
        if let Ok(Content { title: Some(title), .. }) = self.core.crypto.out_of_rest(log, Some(tag), title) {
            self.titles.insert(log.clone(), title);
        }
    }

    /// Holds back `entries`, and all that come after them in their log.
    fn wait(&mut self, log: &LogName, wait: Wait, entries: Entries) -> Result<(), ClientError> {
        let Some(followed) = self.logs.get_mut(log) else { return Ok(()) };
        match wait {
            Wait::Unlocking => {
                followed.locked = true;
                self.core.locked.send_replace(true);
            }
            Wait::Keys(user, version) => {
                followed.wait_for(user.clone(), entries);
                let after = self.core.people().pinned_to(&user);
                self.ask_keys(user, after, version);
            }
        }
        Ok(())
    }

    /// Somebody whose keys, in the version that an entry names, are not here and have not been asked for.
    fn lacking(&self, placed: &[Placed]) -> Option<(UserName, u64)> {
        let people = self.core.people();
        let lacks = |user: &UserName, version: u64| people.version(user) < version && !self.keys.has_answered(user, version);
        let drafts = placed.iter().filter_map(|placed| placed.entry.draft());
        // A direct room's first entry is nobody's.
        let mut wanted = drafts.map(|draft| (draft.author.clone(), draft.list)).filter(|(_, list)| *list > 0);
        wanted.find(|(user, version)| lacks(user, *version))
    }

    /// Verifies and opens; nothing is committed yet. Says what the entries after the batch wait for, if they do.
    async fn read(&mut self, log: &LogName, placed: Vec<Placed>, broken: Option<String>) -> Result<(Batch, Option<Wait>), ClientError> {
        self.load_counted(log).await?;
        let own = self.own_drafts(log, &placed).await?;
        let Some(followed) = self.logs.get(log) else { return Err(ClientError::OurBug("a log that is not followed".into())) };
        let counted = followed.counted.clone().unwrap_or_default();
        let mut judge = Judge::new((self.me(), self.core.crypto.device()), log, followed.room.clone(), &counted);
        let mut found: Vec<(Found, Judge)> = {
            let people = self.core.people();
            placed.iter().map(|placed| (judge.next(&people, &placed.entry, &|hash| own.contains_key(hash)), judge.clone())).collect()
        };
        let mut opened = self.open_all(log, &placed, &mut found).await?;
        let mut record = Record::new(log, self.me(), followed);
        let mut wait = None;
        for (placed, (found, judge)) in placed.iter().zip(found) {
            let seq = placed.entry.seq;
            let mut found = match (found, opened.remove(&seq)) {
                (Found::Opens(_), Some(Opening::NotYet(user))) => lacks(&user),
                (Found::Opens(_), Some(Opening::Locked)) => {
                    wait = Some(Wait::Unlocking);
                    break;
                }
                (Found::Opens(_), Some(opening)) => Found::Opened(opening),
                (found, _) => found,
            };
            if let Found::Lacks(user, _) = &found {
                let version = self.core.people().version(user);
                if !self.keys.has_answered(user, version + 1) {
                    wait = Some(Wait::Keys(user.clone(), version + 1));
                    break;
                }
                if placed.entry.draft().is_some_and(|draft| draft.kind == Kind::Sealed) {
                    found = Found::Late(user.clone(), version);
                }
            }
            let story = match &found {
                Found::Opened(Opening::Message(kept)) => self.another_story(log, seq, kept.opened.seen, &record.batch.hashes).await?,
                _ => false,
            };
            if let (Found::Opened(Opening::Message(kept)), Some(draft)) = (&found, placed.entry.draft()) {
                let other = self.not_seen_here(&kept.opened.keys_seen).await?;
                record.batch.keys_seen.extend(other.into_iter().map(|seen| (draft.author.clone(), seen)));
            }
            if let Some(why) = record.add(placed, found, story, &judge, &own) {
                record.batch.stopped = Some(why);
                break;
            }
            record.batch.tip = Tip { seq, hash: placed.hash };
            if let LogName::Room(_) = log {
                record.batch.hashes.push((seq, placed.hash));
            }
        }
        let mut batch = record.batch;
        if wait.is_none() {
            batch.stopped = batch.stopped.or(broken);
        }
        Ok((batch, wait))
    }

    /// How far each device was heard in a log, once that is needed.
    pub(super) async fn load_counted(&mut self, log: &LogName) -> Result<(), ClientError> {
        if self.logs.get(log).is_some_and(|followed| followed.counted.is_none()) {
            let name = log.clone();
            let counted = self.core.stored(move |store| store.counted(&name)).await?;
            if let Some(followed) = self.logs.get_mut(log) {
                followed.counted = Some(counted);
            }
        }
        Ok(())
    }

    /// Those of the drafts that this profile has made itself, by hash; and the title that one gives to a group, if it does.
    async fn own_drafts(&self, log: &LogName, placed: &[Placed]) -> Result<OwnDrafts, ClientError> {
        let device = self.core.crypto.device();
        let me = self.me();
        let mine = |draft: &&Encoded<Draft>| draft.device == device && draft.author == *me;
        let mine: Vec<Encoded<Draft>> = placed.iter().filter_map(|placed| placed.entry.draft()).filter(mine).cloned().collect();
        if mine.is_empty() {
            return Ok(OwnDrafts::new());
        }
        let (log, crypto) = (log.clone(), self.core.crypto.clone());
        let own = move |store: &crate::store::Store| {
            let mut own = OwnDrafts::new();
            for draft in mine {
                let Some(made_of) = store.own(&log, &draft)? else { continue };
                let title = made_of
                    .content
                    .zip(made_of.tag)
                    .filter(|(content, tag)| crypto.out_of_rest(&log, Some(*tag), content).is_ok_and(|content| content.title.is_some()));
                own.insert(draft.hash(), title);
            }
            Ok(own)
        };
        self.core.stored(own).await
    }

    /// Opens what is sealed, all in one go on another thread. By seq.
    async fn open_all(&self, log: &LogName, placed: &[Placed], found: &mut [(Found, Judge)]) -> Result<HashMap<u64, Opening>, ClientError> {
        let mut jobs = Vec::new();
        for (placed, (found, _)) in placed.iter().zip(found) {
            if let (Found::Opens(job), Some(draft)) = (found, placed.entry.draft())
                && let Some(job) = job.take()
            {
                jobs.push((placed.entry.seq, OpenJob { log: log.clone(), seq: placed.entry.seq, draft: draft.clone(), what: job }));
            }
        }
        if jobs.is_empty() {
            return Ok(HashMap::new());
        }
        let (crypto, store) = (self.core.crypto.clone(), self.core.store.clone());
        let opened = platform::heavy(move || async move {
            let read = |key: &[u8]| store.suite_state(key);
            // Each goes on from what those before it have done, and says what it has done itself.
            let state = State::new(&read);
            let mut opened = HashMap::new();
            for (seq, job) in jobs {
                opened.insert(seq, crypto.open(&job, &state).await?);
            }
            Ok(opened)
        });
        opened.await?
    }

    /// Whether the author of a message has seen another chain than this device.
    pub(super) async fn another_story(
        &self,
        log: &LogName,
        seq: u64,
        (at, hash): (u64, Hash),
        recent: &[(u64, Hash)],
    ) -> Result<bool, ClientError> {
        let here = match at {
            0 => Some(Hash::ZERO),
            at if at >= seq => None,
            at => match recent.iter().find(|(seq, _)| *seq == at) {
                Some((_, hash)) => Some(*hash),
                None => {
                    let log = log.clone();
                    self.core.stored(move |store| store.hash_at(&log, at)).await?
                }
            },
        };
        Ok(here != Some(hash))
    }
}

/// A batch as it grows, entry by entry.
pub(super) struct Record {
    me: UserName,
    target: Target,
    counted: HashMap<Author, Heard>,
    pub batch: Batch,
}

impl Record {
    pub fn new(log: &LogName, me: &UserName, followed: &Followed) -> Record {
        let batch = Batch {
            log: log.clone(),
            tip: followed.tip(),
            rows: Vec::new(),
            sent: Vec::new(),
            settled: Vec::new(),
            counted: Vec::new(),
            stubs: followed.stubs,
            members: None,
            epoch: None,
            title: None,
            erased: Vec::new(),
            outbox: Vec::new(),
            hashes: Vec::new(),
            rooms: Vec::new(),
            hands_on: followed.room.as_ref().is_some_and(|room| room.genesis.suite() == SuiteName::Mls1),
            missed: Vec::new(),
            handed: Vec::new(),
            changes: Vec::new(),
            keys_seen: Vec::new(),
            stopped: None,
        };
        let target = followed.room.as_ref().map_or(Target::Public, |room| room.target(me));
        Record { me: me.clone(), target, counted: followed.counted.clone().unwrap_or_default(), batch }
    }

    /// Adds one entry. Some: the log stops before it, and why.
    fn add(&mut self, placed: &Placed, found: Found, story: bool, judge: &Judge, own: &OwnDrafts) -> Option<String> {
        let draft = placed.entry.draft();
        if let Some(why) = judge.contradiction(placed.entry.seq, placed.hash) {
            let row = self.row(placed, None, Kind::Sealed, Err(why));
            self.batch.rows.push(NewRow { seq: None, ..row });
        }
        if let Payload::Stub(_) = placed.entry.payload {
            self.batch.stubs += 1;
        }
        if let Some(members) = judge.changed_members() {
            self.batch.members = Some(members.clone());
        }
        let (content, kind, mentions) = match (found, draft) {
            (Found::Stop(why), _) => return Some(why),
            (Found::Silent, draft) => {
                // Of what is sealed and not for this user nothing is known: it is as good as a stub.
                self.batch.stubs += u64::from(draft.is_some_and(|draft| draft.kind == Kind::Sealed));
                return None;
            }
            (Found::Missed, Some(draft)) => {
                self.batch.stubs += 1;
                self.missed(placed, draft);
                return None;
            }
            (Found::Opened(Opening::Handed(handed)), _) => {
                self.batch.handed.extend(handed);
                return None;
            }
            (Found::Own, Some(draft)) => {
                self.own(placed, draft, judge, own);
                return None;
            }
            (Found::Opened(Opening::Invited(Invited { genesis, title, vouched })), Some(draft)) => {
                self.batch.rooms.push(NewRoom {
                    genesis,
                    invited_by: Some(draft.author.clone()),
                    title: Some(title),
                    vouched: Some(vouched),
                    contradicts: None,
                });
                return None;
            }
            (Found::Opened(Opening::Keys(keys)), Some(draft)) => {
                self.keys(placed, draft, keys, judge, own);
                return None;
            }
            (Found::Pointer(genesis), _) => {
                self.batch.rooms.push(NewRoom::from(genesis));
                return None;
            }
            (Found::Unreadable(why) | Found::Lacks(_, why), _) => return self.unreadable(placed, why),
            (Found::Late(user, version), Some(draft)) => {
                self.late(placed, draft, user, version, judge);
                return None;
            }
            (Found::Opened(Opening::Failed(why)), draft) => {
                // It may be the one that will be missing before its author's next: that is not said twice.
                self.batch.stubs += 1;
                if is_quiet(&self.batch.log) {
                    return None;
                }
                if let Some(draft) = draft.filter(|_| self.batch.hands_on) {
                    self.missed(placed, draft);
                }
                return self.unreadable(placed, why);
            }
            (Found::Opened(Opening::Message(_)), Some(draft)) if story => {
                // It is its author's, who may lie about what was seen: that stops nothing.
                self.count(draft);
                return self.unreadable(placed, ANOTHER_STORY.into());
            }
            (Found::Opened(Opening::Message(kept)), Some(_)) => {
                let Kept { opened, at_rest, changes } = *kept;
                self.batch.changes.extend(changes.0);
                if opened.content.title.is_some() {
                    self.batch.title = Some((at_rest.clone(), placed.entry.seq));
                }
                ((at_rest, Some(placed.entry.seq)), Kind::Sealed, names(&opened.content.text, &self.me))
            }
            (Found::Text(bytes, text), Some(_)) => ((bytes, None), Kind::Post, names(&text, &self.me)),
            (Found::Event, Some(draft)) => ((draft.body.to_vec(), None), draft.kind, false),
            (Found::Erases(erased), Some(draft)) => {
                self.batch.erased.push(erased);
                ((draft.body.to_vec(), None), draft.kind, false)
            }
            _ => return None,
        };
        if let Some(draft) = draft {
            let row = self.row(placed, Some(&draft.author), kind, Ok(content));
            self.verified(placed, draft, NewRow { mentions, ..row });
        }
        None
    }

    /// Other keys of a room on MLS, and what has changed of its members with them.
    fn keys(&mut self, placed: &Placed, draft: &Encoded<Draft>, keys: NewKeys, judge: &Judge, own: &OwnDrafts) {
        self.batch.changes.extend(keys.changes.0);
        self.batch.epoch = Some(keys.epoch);
        if keys.lost {
            self.unreadable(placed, LOST.into());
        }
        match Event::of(draft) {
            _ if own.contains_key(&draft.hash()) => self.own(placed, draft, judge, own),
            Some(Event { kind, body }) => {
                let row = self.row(placed, Some(&draft.author), kind, Ok((body.to_vec(), None)));
                self.verified(placed, draft, row);
            }
            None => self.count(draft),
        }
    }

    /// What is verified is shown, if it is also new and in order.
    fn verified(&mut self, placed: &Placed, draft: &Encoded<Draft>, row: NewRow) {
        let author = &draft.author;
        let heard = self.counted.get(&(author.clone(), draft.device)).copied().unwrap_or(Heard { n: 0, list: 0, stubs: 0 });
        match draft.n.checked_sub(heard.n.saturating_add(1)) {
            None => {
                // Only a hub that takes a number twice can do this; what is verified was verified, but it is not new.
                self.unreadable(placed, format!("its server repeats, or re-orders, what {author} has written"));
                return;
            }
            // Behind each stub there may be one of them.
            Some(missing) if missing > self.batch.stubs - heard.stubs => {
                let missing = missing - (self.batch.stubs - heard.stubs);
                let are = if missing == 1 { "is" } else { "are" };
                let why = format!("{missing} of {author}'s messages before the next one {are} missing");
                let row = self.row(placed, None, Kind::Sealed, Err(why));
                self.batch.rows.push(NewRow { seq: None, ..row });
            }
            Some(_) => {}
        }
        self.count(draft);
        self.batch.rows.push(NewRow { draft: Some((draft.device, draft.n, draft.hash())), ..row });
    }

    /// What cannot be opened yet: shown as such, and kept to be judged again.
    fn late(&mut self, placed: &Placed, draft: &Encoded<Draft>, user: UserName, version: u64, judge: &Judge) {
        self.batch.stubs += 1;
        let why = format!("the keys of {user} that it needs are not here yet; it is shown when they come");
        let row = self.row(placed, None, Kind::Sealed, Err(why));
        let late = judge.members().map(|members| Late {
            waits_for: user,
            version,
            highest: judge.highest(&draft.author),
            stubs: self.batch.stubs,
            draft: draft.clone(),
            members: members.clone(),
        });
        self.batch.rows.push(NewRow { late: late.map(Box::new), ..row });
        if self.batch.hands_on {
            self.missed(placed, draft);
        }
    }

    /// What this device cannot open, and another of the user's may hand on.
    fn missed(&mut self, placed: &Placed, draft: &Encoded<Draft>) {
        self.batch.missed.push(Missed {
            seq: placed.entry.seq,
            target: self.target.clone(),
            place: placed.place,
            at: placed.entry.at,
            author: draft.author.clone(),
            device: draft.device,
            n: draft.n,
            draft: draft.hash(),
        });
    }

    fn own(&mut self, placed: &Placed, draft: &Encoded<Draft>, judge: &Judge, own: &OwnDrafts) {
        let heard = self.counted.get(&(draft.author.clone(), draft.device));
        if heard.is_some_and(|heard| draft.n <= heard.n) {
            // This device gives each number once, so it is its server that has put it there again.
            self.unreadable(placed, format!("its server repeats, or re-orders, what {} has written", draft.author));
            return;
        }
        self.batch.title = own.get(&draft.hash()).cloned().flatten().or(self.batch.title.take());
        let (seq, place, at) = (placed.entry.seq, placed.place, placed.entry.at);
        self.batch.sent.push(OwnSent { n: draft.n, draft: draft.hash(), seq, place, at });
        self.count(draft);
        self.batch.erased.extend(judge.erases(draft));
        // Who was asked in is told so by the device that has asked, as soon as it stands.
        if let Some((genesis, user)) = judge.invites(draft)
            && judge.members().and_then(|members| members.person(&user)).is_some_and(|person| person.standing == Standing::Invited)
        {
            self.batch.outbox.push((LogName::Inbox(user), Kind::Invitation, genesis.encode().to_vec()));
        }
    }

    fn count(&mut self, draft: &Draft) {
        let author = (draft.author.clone(), draft.device);
        let heard = Heard { n: draft.n, list: draft.list, stubs: self.batch.stubs };
        self.counted.insert(author.clone(), heard);
        self.batch.counted.push((author, heard));
    }

    fn unreadable(&mut self, placed: &Placed, why: String) -> Option<String> {
        let row = self.row(placed, None, Kind::Sealed, Err(why));
        self.batch.rows.push(row);
        None
    }

    fn row(&self, placed: &Placed, author: Option<&UserName>, kind: Kind, content: Result<(Vec<u8>, Option<u64>), String>) -> NewRow {
        NewRow {
            target: self.target.clone(),
            author: author.cloned(),
            kind,
            draft: None,
            seq: Some(placed.entry.seq),
            place: placed.place,
            at: placed.entry.at,
            content,
            mentions: false,
            late: None,
        }
    }
}
