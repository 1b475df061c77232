//! Whether what a world has come to can be right: at rest, one story everywhere, and a history that the history checker believes.

use super::world::{Who, World};
use crate::history::{self, History, Id, Item, Op, Outcome, Reading};
use futures_util::FutureExt;
use std::collections::BTreeMap;
use tidings_client::view::{Event, Message, Status, Target};
use tidings_proto::chain::{self, Tip};
use tidings_proto::membership::Commit;
use tidings_proto::{Code, Content, Entry, Genesis, Kind, LogName, SuiteName, UserName, cbor, limits};
use tidings_server::logs::{Logs, Reader};
use tidings_server::store::{LogRow, Store};

/// A log, by whoever orders it and what its conversation is called.
struct Judged {
    log: LogName,
    hub: usize,
    target: Target,
    /// Whose reading all others are held against; the hub's own where none is given.
    maker: Option<usize>,
}

/// What a message says: by whom it is, and which of theirs in its log.
pub fn text(person: usize, n: u32) -> String {
    format!("{person}.{n}")
}

impl World {
    /// What is left to be done, if anything is.
    pub fn unsettled(&self) -> Option<String> {
        for (at, server) in self.servers.iter().enumerate() {
            let Some((host, _)) = &server.up else { return Some("a server is down".into()) };
            let waiting = self.runtime.block_on(host.logs.queues()).unwrap_or_default();
            if let Some((peer, queue)) = waiting.iter().find(|(_, queue)| queue.entries > 0) {
                return Some(format!("{} drafts at {} wait for {peer}", queue.entries, self.cast.servers[at].name));
            }
            if let Some(why) = self.differs(at, &host.logs) {
                return Some(why);
            }
        }
        if let Some(why) = self.rooms_differ() {
            return Some(why);
        }
        self.people.iter().enumerate().find_map(|(at, person)| {
            let user = self.device(at);
            if !person.bare.is_caught_up() {
                return Some(format!("{user} is not caught up"));
            }
            if person.bare.has_unsent().unwrap_or(true) {
                return Some(format!("{user} has something that is not sent"));
            }
            let mut logs = person.bare.logs().ok()?.into_iter().filter(|come| matches!(come.log, LogName::Public(_)));
            let behind = logs.find(|come| self.hubs_tip(&come.log).is_some_and(|tip| tip != come.tip) && come.stopped.is_none())?;
            Some(format!("{user} has {} up to {} only", behind.log, behind.tip.seq))
        })
    }

    /// A server's logs, while it is up.
    pub fn logs_of(&self, at: usize) -> Option<&Logs> {
        self.servers[at].up.as_ref().map(|(host, _)| &*host.logs)
    }

    /// Where a public log stands at its hub.
    fn hubs_tip(&self, log: &LogName) -> Option<Tip> {
        let hub = self.cast.servers.iter().position(|host| log.hub() == Some(&host.name))?;
        self.logs_of(hub)?.tip(log)
    }

    /// What everybody may read and this server does not have as its hub does.
    fn differs(&self, at: usize, logs: &Logs) -> Option<String> {
        for hub in (0..self.servers.len()).filter(|hub| *hub != at) {
            let (name, theirs) = (&self.cast.servers[hub].name, self.logs_of(hub)?);
            for log in [LogName::Keys(name.clone()), LogName::Public(name.clone())] {
                let (here, there) = (logs.tip(&log).unwrap_or(Tip::EMPTY), theirs.tip(&log).unwrap_or(Tip::EMPTY));
                if here != there {
                    let us = &self.cast.servers[at].name;
                    return Some(format!("{us} has {log} up to {}, and {name} up to {}", here.seq, there.seq));
                }
            }
        }
        None
    }

    /// A room of which somebody does not have what they may.
    fn rooms_differ(&self) -> Option<String> {
        let rooms = self.judged().into_iter().filter(|judged| judged.maker.is_some());
        for (log, (hub, room)) in rooms.filter_map(|judged| Some((self.room(&judged.log)?, judged.log)).map(|(room, log)| (log, room))) {
            let theirs = self.logs_of(hub)?.tip(&log).unwrap_or(Tip::EMPTY);
            let servers = (0..self.servers.len())
                .filter(|at| *at != hub)
                .map(|at| (Who::Server(at), self.logs_of(at).and_then(|logs| logs.tip(&log))));
            let people = (0..self.people.len()).map(|at| (Who::Person(at), self.tip_of(at, &log)));
            let lacks = servers.chain(people).find_map(|(who, tip)| self.lacks(&room, who, tip.unwrap_or(Tip::EMPTY), theirs));
            if let Some(why) = lacks {
                return Some(format!("{log}: {why}"));
            }
        }
        None
    }

    /// How far a log has come to somebody.
    fn tip_of(&self, at: usize, log: &LogName) -> Option<Tip> {
        self.people[at].bare.logs().ok()?.into_iter().find(|come| come.log == *log).map(|come| come.tip)
    }

    /// What is wrong with the world.
    pub fn judge(&mut self) {
        let mut history = History::default();
        let name = |user: Option<u32>, name: String| history::Reader { name, user };
        let servers = self.servers.len();
        history.readers.extend((0..servers).map(|at| name(None, self.cast.servers[at].name.to_string())));
        history.readers.extend((0..self.people.len()).map(|at| name(Some(self.number(&self.people[at].who.user)), self.device(at))));
        history.readers.push(name(None, "everybody together".into()));
        for judged in self.judged() {
            self.add(&mut history, servers, judged);
        }
        (0..servers).for_each(|at| self.kept_is_right(at));
        self.gifts_are_right();
        let verdict = history::check(&history);
        self.sums.acknowledged += verdict.acknowledged;
        self.sums.refused += verdict.refused;
        if !verdict.is_clean() {
            self.wrong.push(verdict.to_string());
        }
        for at in 0..self.people.len() {
            for come in self.people[at].bare.logs().unwrap_or_default() {
                if let Some(why) = come.stopped {
                    self.wrong.push(format!("{} has stopped {}: {why}", self.device(at), come.log));
                }
            }
        }
        for at in 0..self.people.len() {
            if let Some(Ok(health)) = self.people[at].bare.client().health().now_or_never()
                && (health.unreadable, health.waiting_for_keys, health.without_keys.len()) != (0, 0, 0)
            {
                self.wrong.push(format!("{} is not well: {health:?}", self.device(at)));
            }
        }
        let (sealed, wrong) = self.keys.judge();
        self.sums.sealed = sealed;
        self.wrong.extend(wrong);
    }

    /// What a server keeps is what it knows, so that it would begin again with just that.
    fn kept_is_right(&mut self, at: usize) {
        let kept = self.servers[at].tables.load().now_or_never().and_then(Result::ok).unwrap_or_default();
        let Some(logs) = self.logs_of(at) else { return };
        let differs = |row: &&LogRow| logs.tip(&row.name) != Some(row.tip) || logs.people(&row.name) != row.people;
        let wrong = kept.logs.iter().find(differs);
        let wrong = wrong.map(|row| format!("{} keeps something else of {} than it knows", self.cast.servers[at].name, row.name));
        self.wrong.extend(wrong);
    }

    /// Every log in which people write.
    fn judged(&self) -> Vec<Judged> {
        let public = |hub: usize| {
            let log = LogName::Public(self.cast.servers[hub].name.clone());
            Judged { log, hub, target: Target::Public, maker: None }
        };
        let hub_of = |genesis: &Genesis| self.cast.servers.iter().position(|host| host.name == *genesis.hub());
        let mut all: Vec<Judged> = (0..self.servers.len()).map(public).collect();
        for one in 0..self.people.len() {
            for other in one + 1..self.people.len() {
                let (a, b) = (&self.people[one].who.user, &self.people[other].who.user);
                let genesis = Genesis::direct(self.suite, a, b);
                let log = genesis.log();
                let is_new = a != b && !all.iter().any(|judged| judged.log == log);
                if is_new && self.people.iter().any(|person| person.said.iter().any(|said| said.log == log)) {
                    let hub = hub_of(&genesis).unwrap_or(0);
                    // Nothing was said in it, since nobody had keys: whoever was told of it knows of it.
                    let is_empty = self.logs_of(hub).and_then(|logs| logs.tip(&log)).is_none_or(|tip| tip.seq <= 1);
                    if self.suite == SuiteName::Mls1 && !self.known && is_empty {
                        continue;
                    }
                    all.push(Judged { log, hub, target: Target::from(b), maker: Some(one) });
                }
            }
        }
        for (target, maker) in &self.groups {
            let Target::Group { id } = target else { continue };
            let hub = self.people[*maker].home;
            all.push(Judged { log: LogName::Room(*id), hub, target: target.clone(), maker: Some(*maker) });
        }
        all
    }

    fn add(&mut self, history: &mut History, servers: usize, judged: Judged) {
        let (log, number) = (&judged.log, history.logs.len() as u32);
        let by_members = matches!(judged.target, Target::Group { .. });
        let on_mls = self.suite == SuiteName::Mls1 && judged.maker.is_some();
        // On MLS no device need have everything.
        let everybody = servers + self.people.len();
        let truth = judged.maker.map_or(judged.hub, |maker| if on_mls { everybody } else { servers + maker }) as u32;
        history.logs.push(history::Log { name: log.to_string(), truth, by_members });
        let mut writers = BTreeMap::new();
        for at in 0..self.people.len() {
            let ops: Vec<Op> = self.ops(at, log, by_members);
            if !ops.is_empty() {
                writers.insert(at, history.writers.len() as u32);
                let name = self.device(at);
                history.writers.push(history::Writer { name, reader: (servers + at) as u32, log: number, ops });
            }
        }
        let entries = self.entries(judged.hub, log);
        self.hub_is_right(log, judged.hub, &entries);
        if by_members || on_mls {
            self.room_is_right(log, judged.hub, &entries);
        }
        if on_mls {
            self.keys_are_right(log, judged.hub, &entries);
        }
        for at in (0..servers).filter(|at| *at != judged.hub) {
            self.copy_is_right(log, at, &entries);
        }
        let mut push = |reader: usize, items| {
            history.readings.push(Reading { reader: reader as u32, log: number, at: None, first: 1, items });
        };
        if judged.maker.is_none() {
            for at in 0..servers {
                push(at, self.entries(at, log).iter().map(|entry| self.item(&writers, entry)).collect());
            }
        }
        let mut read: Vec<(usize, Vec<Item>)> =
            (0..self.people.len()).filter_map(|at| Some((at, self.read(at, &judged, &writers)?))).collect();
        if on_mls {
            let all = together(&read);
            // What stands there from before a device had its keys is for the others.
            for (at, seq) in self.without_keys(judged.hub, &entries) {
                let of_device = read.iter_mut().find(|(reader, _)| *reader == at).map(|(_, items)| items);
                let place = seq as usize - 1;
                if let (Some(Item::Message(id)), Some(item @ Item::Closed)) =
                    (all.get(place), of_device.and_then(|items| items.get_mut(place)))
                {
                    *item = Item::Message(*id);
                }
            }
            push(everybody, all);
        }
        read.into_iter().for_each(|(at, items)| push(servers + at, items));
    }

    /// The keys of a room on MLS are those of the commits that stand; and whoever is in its tree in the end has the newest.
    fn keys_are_right(&mut self, log: &LogName, hub: usize, entries: &[Entry]) {
        let commits = entries.iter().filter_map(|entry| entry.draft().filter(|draft| draft.kind == Kind::Commit));
        let commits = commits.filter_map(|draft| cbor::decode::<Commit>(&draft.body, limits::DRAFT).ok());
        self.wrong.extend(commits.filter_map(|commit| self.keys.stands(&commit.group_info)).collect::<Vec<_>>());
        let people = self.logs_of(hub).and_then(|logs| logs.people(log));
        let Some(tree) = people.as_ref().and_then(|people| people.tree()) else { return };
        for at in 0..self.people.len() {
            let (is_in, now) = (tree.leaves().iter().any(|leaf| leaf.device == self.people[at].who.device), self.epoch_of(at, log));
            if is_in && now != Some(tree.epoch()) {
                let wrong = format!("{} has the keys of {now:?} of {log}, where its hub is at {}", self.device(at), tree.epoch());
                self.wrong.push(wrong);
            }
        }
    }

    /// What became of what somebody wrote in a log.
    fn ops(&mut self, at: usize, log: &LogName, by_members: bool) -> Vec<Op> {
        let (steps, person) = (self.steps, &self.people[at]);
        let mut ops = Vec::new();
        for said in person.said.iter().filter(|said| said.log == *log) {
            let outcome = match person.bare.status(said.id) {
                Ok(Some(Status::Sent { seq })) => Outcome::Acknowledged(seq),
                Ok(Some(Status::Failed { reason, code })) => {
                    // In the open and between two people nothing is ever in the way, but that the other has no keys for MLS yet.
                    let is_unknown = self.suite == SuiteName::Mls1 && !self.known && code.as_deref() == Some(Code::NotFound.name());
                    if !by_members && !is_unknown {
                        self.wrong.push(format!("{} of person {at} in {log} was refused: {reason} {code:?}", said.n));
                    }
                    Outcome::Refused
                }
                Ok(Some(_)) => Outcome::Kept,
                Ok(None) | Err(_) => Outcome::Acknowledged(0),
            };
            ops.push(Op { invoked: said.invoked, ended: said.told.unwrap_or(steps), outcome });
        }
        ops
    }

    /// What a server has of a log.
    pub fn entries(&self, at: usize, log: &LogName) -> Vec<Entry> {
        let Some(logs) = self.logs_of(at) else { return Vec::new() };
        let page = |after: u64| self.runtime.block_on(logs.page(&Reader::Host, log, (None, Some(after)), 1000));
        let mut all: Vec<Entry> = Vec::new();
        while let Ok((_, items)) = page(all.len() as u64)
            && !items.is_empty()
        {
            all.extend(items.iter().filter_map(|item| Entry::read(&item.entry).ok()));
        }
        all
    }

    /// The chain holds at its hub from the first entry to the tip, and each device's numbers go up by one.
    fn hub_is_right(&mut self, log: &LogName, hub: usize, entries: &[Entry]) {
        let (mut tip, mut last) = (Tip::EMPTY, BTreeMap::new());
        for entry in entries {
            match chain::extend(log, &tip, entry) {
                Ok(next) => tip = next,
                Err(_) => return self.wrong.push(format!("the chain of {log} breaks at {} at its hub", entry.seq)),
            }
            let Some(draft) = entry.draft() else { continue };
            let before = last.entry((draft.author.clone(), draft.device)).or_insert(0);
            if draft.n != *before + 1 {
                self.wrong.push(format!("{log} has {} of {} after {before}, at {}", draft.n, draft.author, entry.seq));
            }
            *before = draft.n;
        }
        if self.logs_of(hub).and_then(|logs| logs.tip(log)).is_some_and(|there| there != tip) {
            self.wrong.push(format!("the entries of {log} do not come to its tip"));
        }
    }

    /// What another server has of a log is what its hub has, from the first entry on, and comes to the tip that it gives.
    fn copy_is_right(&mut self, log: &LogName, at: usize, theirs: &[Entry]) {
        let copy = self.entries(at, log);
        let tip = copy.iter().try_fold(Tip::EMPTY, |tip, entry| chain::extend(log, &tip, entry));
        let is_theirs = copy.iter().zip(theirs).all(|(ours, theirs)| (ours.seq, ours.draft_hash()) == (theirs.seq, theirs.draft_hash()));
        let is_its = self.logs_of(at).and_then(|logs| logs.tip(log)).unwrap_or(Tip::EMPTY);
        if !is_theirs || copy.len() > theirs.len() || tip != Ok(is_its) {
            self.wrong.push(format!("what {} has of {log} is not what its hub has", self.cast.servers[at].name));
        }
    }

    /// An entry in the open.
    fn item(&self, writers: &BTreeMap<usize, u32>, entry: &Entry) -> Item {
        match entry.draft() {
            Some(draft) if draft.kind == Kind::Post => {
                let content = cbor::decode::<Content>(&draft.body, limits::DRAFT).ok();
                content.and_then(|content| self.written(writers, &content.text, &draft.author)).map_or(Item::Strange, Item::Message)
            }
            _ => Item::Strange,
        }
    }

    /// Which of all people somebody is, on whatever device.
    fn number(&self, user: &UserName) -> u32 {
        self.cast.people.iter().position(|somebody| somebody.user == *user).unwrap_or(usize::MAX) as u32
    }

    fn written(&self, writers: &BTreeMap<usize, u32>, text: &str, author: &UserName) -> Option<Id> {
        let (person, n) = text.split_once('.')?;
        let (person, n): (usize, u32) = (person.parse().ok()?, n.parse().ok()?);
        (self.people.get(person)?.who.user == *author).then_some(Id { writer: *writers.get(&person)?, n })
    }

    /// What somebody has of a log, if they have to do with it.
    fn read(&mut self, at: usize, judged: &Judged, writers: &BTreeMap<usize, u32>) -> Option<Vec<Item>> {
        let target = match (&judged.target, judged.maker) {
            // Each has the other's name for it.
            (Target::Direct { user }, Some(maker)) => match (&self.people[maker].who.user, &self.people[at].who.user) {
                (makers, me) if me == user => Target::from(makers),
                (makers, me) if me == makers => Target::from(user),
                _ => return None,
            },
            (target, _) => target.clone(),
        };
        let (log, tip) = (judged.log.to_string(), self.tip_of(at, &judged.log));
        let timeline = self.people[at].bare.client().timeline(&target, 100_000).now_or_never()?.unwrap_or_default();
        let mut items = vec![Item::Closed; tip.unwrap_or(Tip::EMPTY).seq as usize];
        for message in timeline.iter().filter(|message| message.log == log) {
            if let Status::Unreadable { reason } = &message.status {
                self.wrong.push(format!("{} cannot open {:?} of {log}: {reason}", self.device(at), message.place));
            }
            let Some(place) = message.place else { continue };
            match items.get_mut(place as usize - 1) {
                Some(item) if *item == Item::Closed => *item = self.shown(writers, message),
                Some(_) => self.wrong.push(format!("{} shows two things at {place} of {log}", self.device(at))),
                // An answer came before the entries; they are there by now, or it is behind.
                None => {}
            }
        }
        Some(items)
    }

    fn shown(&self, writers: &BTreeMap<usize, u32>, message: &Message) -> Item {
        let person = |user: &UserName| self.number(user);
        let author = message.author.as_ref();
        match (&message.event, author) {
            _ if matches!(message.status, Status::Unreadable { .. }) => Item::Closed,
            (Some(Event::Created | Event::Joined), Some(author)) => Item::Joined(person(author)),
            (Some(Event::Left), Some(author)) => Item::Left(person(author)),
            (Some(Event::Removed { user }), _) => Item::Left(person(user)),
            (Some(_), _) => Item::Other,
            (None, Some(author)) => self.written(writers, &message.text, author).map_or(Item::Strange, Item::Message),
            (None, None) => Item::Strange,
        }
    }
}

/// What all of them have, put together.
fn together(read: &[(usize, Vec<Item>)]) -> Vec<Item> {
    let longest = read.iter().map(|(_, items)| items.len()).max().unwrap_or(0);
    let at = |place: usize| {
        let mut found = read.iter().filter_map(|(_, items)| items.get(place).copied());
        found.find(|item| *item != Item::Closed).unwrap_or(Item::Closed)
    };
    (0..longest).map(at).collect()
}
