//! Who may have what of a room, worked out of the room's own log, and what each was given on the wire: what a client does not show
//! it was given all the same.

use super::world::{Who, World};
use std::collections::{BTreeMap, BTreeSet};
use tidings_proto::chain::Tip;
use tidings_proto::frame::{Entries, Follow, LogRef, Named};
use tidings_proto::{Entry, Frame, Genesis, Kind, LogName, SuiteName};
use tidings_server::logs::{Logs, People};
use tidings_trust::Members;
use tidings_trust::members::Reads;

/// What one end of a link was asked for, and has told.
#[derive(Default)]
pub struct Told {
    names: BTreeMap<u64, LogName>,
    /// The entries after which logs were asked for.
    asked: BTreeMap<LogName, BTreeSet<u64>>,
    /// The last entries that were told.
    at: BTreeMap<LogName, u64>,
}

/// Entries that were told, and whether they go on where they were to.
pub struct News {
    log: LogName,
    entries: Vec<Entry>,
    goes_on: bool,
}

/// What somebody was given of a log, on whatever link.
#[derive(Default)]
pub struct Given {
    /// The sealed entries that were whole.
    sealed: BTreeSet<u64>,
    /// The last entry.
    last: u64,
}

impl Told {
    /// The other end has sent this.
    pub fn hears(&mut self, frame: &Frame) {
        let Frame::Follow(Follow { logs }) = frame else { return };
        for (log, after) in logs {
            let log = match log {
                LogRef::Name(log) => Some(log.clone()),
                LogRef::Number(number) => self.names.get(number).cloned(),
            };
            if let Some(log) = log {
                self.asked.entry(log).or_default().insert(*after);
            }
        }
    }

    /// And this end this.
    pub fn says(&mut self, frame: &Frame) -> Option<News> {
        match frame {
            Frame::Named(Named { number, log }) => {
                self.names.insert(*number, log.clone());
                None
            }
            Frame::Entries(Entries { log, prev, items }) => {
                let log = self.names.get(log)?.clone();
                let entries: Vec<Entry> = items.iter().filter_map(|item| Entry::read(&item.entry).ok()).collect();
                let (before, last) = (entries.first()?.seq.checked_sub(1)?, entries.last()?.seq);
                let goes_on = match prev {
                    Some(_) => self.asked.get(&log).is_some_and(|asked| asked.contains(&before)),
                    None => self.at.get(&log) == Some(&before),
                };
                self.at.insert(log.clone(), last);
                Some(News { log, entries, goes_on })
            }
            _ => None,
        }
    }
}

/// What there is of a room for somebody.
#[derive(Debug, PartialEq, Eq)]
enum Share {
    Nothing,
    All,
    Of(Reads),
}

/// A room as its hub has it.
pub struct Room {
    genesis: Genesis,
    /// Groups: who is in by the log alone.
    people: Option<People>,
}

impl World {
    /// Somebody was given this by somebody.
    pub fn is_given(&mut self, from: Who, to: Who, News { log, entries, goes_on }: News) {
        if !goes_on {
            let first = entries.first().map_or(0, |entry| entry.seq);
            let line = format!("{} tells {} of {log} from {first} on, which was not asked for", self.name(from), self.name(to));
            self.wrong.push(line);
        }
        let given = self.given.entry((to, log)).or_default();
        for entry in entries {
            given.last = given.last.max(entry.seq);
            if entry.draft().is_some_and(|draft| draft.kind == Kind::Sealed) {
                given.sealed.insert(entry.seq);
            }
        }
    }

    /// Whether anybody was given what is not theirs.
    pub fn gifts_are_right(&mut self) {
        let mut wrong = Vec::new();
        for ((who, log), given) in &self.given {
            let share = match log {
                LogName::Public(_) | LogName::Keys(_) => Share::All,
                LogName::Inbox(owner) | LogName::History(owner) if matches!(who, Who::Person(at) if self.people[*at].who.user == *owner) => {
                    Share::All
                }
                LogName::Inbox(_) | LogName::History(_) => Share::Nothing,
                LogName::Room(_) => self.room(log).map_or(Share::Nothing, |(_, room)| self.share(&room, *who)),
            };
            let name = self.name(*who);
            match share {
                Share::All => {}
                Share::Nothing => wrong.push(format!("{name} was given {log}")),
                Share::Of(reads) => {
                    if let Some(seq) = given.sealed.iter().find(|seq| !reads.covers(**seq)) {
                        wrong.push(format!("{name} was given {seq} of {log}, of which {reads:?} are theirs"));
                    }
                    if reads.until.is_some_and(|until| given.last > until) {
                        wrong.push(format!("{name} was given {log} up to {}, of which {reads:?} are theirs", given.last));
                    }
                }
            }
        }
        self.wrong.append(&mut wrong);
    }

    /// A room, and the server that orders it.
    pub fn room(&self, log: &LogName) -> Option<(usize, Room)> {
        (0..self.servers.len()).find_map(|hub| {
            let logs = self.logs_of(hub)?;
            let room = logs.room(log).filter(|room| room.hub == self.cast.servers[hub].name)?;
            let people = by_its_log(logs, &self.entries(hub, log), |_, _| {}).ok().flatten();
            Some((hub, Room { genesis: room.genesis, people }))
        })
    }

    fn share(&self, room: &Room, who: Who) -> Share {
        let all = |may: bool| if may { Share::All } else { Share::Nothing };
        match (&room.genesis, &room.people, who) {
            (Genesis::Direct(direct), _, Who::Person(at)) => all(direct.has(&self.people[at].who.user)),
            (Genesis::Direct(direct), _, Who::Server(at)) => {
                all(direct.people.iter().any(|person| *person.server() == self.cast.servers[at].name))
            }
            (Genesis::Group(_), Some(people), who) => {
                let reads = match who {
                    Who::Person(at) => people.reads(&self.people[at].who.user),
                    Who::Server(at) => people.reads_of(&self.cast.servers[at].name),
                };
                reads.map_or(Share::Nothing, Share::Of)
            }
            (Genesis::Group(_), None, _) => Share::Nothing,
        }
    }

    /// What `who`, who has a room up to `ours`, lacks or has too much of it, if anything; `hub` has it up to `theirs`.
    pub fn lacks(&self, room: &Room, who: Who, ours: Tip, theirs: Tip) -> Option<String> {
        let has = format!("{} has it up to {}, and its hub up to {}", self.name(who), ours.seq, theirs.seq);
        match self.share(room, who) {
            Share::Nothing => (ours.seq > 0).then_some(has),
            Share::All => (ours != theirs).then_some(has),
            Share::Of(Reads { until: None, .. }) => (ours != theirs).then_some(has),
            // Whoever was asked in and never came may not have heard of it, or of the first of several times only.
            Share::Of(Reads { until: Some(until), stays }) => {
                let is_wrong = if stays.is_empty() { ours.seq > until } else { ours.seq != until };
                is_wrong.then(|| format!("{has}, of which there is an end for them at {until}"))
            }
        }
    }

    /// Rooms on MLS: at which places each device does not have the keys though its user is in.
    pub fn without_keys(&self, hub: usize, entries: &[Entry]) -> BTreeSet<(usize, u64)> {
        let mut without = BTreeSet::new();
        let Some(logs) = self.logs_of(hub) else { return without };
        let each = |seq: u64, people: &People| {
            for (at, person) in self.people.iter().enumerate() {
                let has_keys = people.tree().is_some_and(|tree| tree.leaves().iter().any(|leaf| leaf.device == person.who.device));
                if people.has(&person.who.user) && !has_keys {
                    without.insert((at, seq));
                }
            }
        };
        // What is wrong with the log is told elsewhere.
        let _ = by_its_log(logs, entries, each);
        without
    }

    /// A room's log holds what its members may write, when they may, and its hub knows who they are.
    pub fn room_is_right(&mut self, log: &LogName, hub: usize, entries: &[Entry]) {
        let Some(logs) = self.logs_of(hub) else { return };
        let wrong = match by_its_log(logs, entries, |_, _| {}) {
            Ok(people) => {
                // Of two people nothing is known but their keys, once there are some.
                let people = people.filter(
                    |people| !matches!(self.room(log), Some((_, Room { genesis: Genesis::Direct(_), .. })) if people.tree().is_none()),
                );
                (logs.people(log).as_deref() != people.as_ref()).then(|| format!("the hub of {log} does not know who is in"))
            }
            Err(why) => Some(format!("{log}: {why}")),
        };
        self.wrong.extend(wrong);
    }
}

/// Who is in a room when all of these entries are; nobody in a room of two, where nothing changes, but of their keys on MLS. `each` is told who
/// is there before each entry.
fn by_its_log(logs: &Logs, entries: &[Entry], mut each: impl FnMut(u64, &People)) -> Result<Option<People>, String> {
    let mut people: Option<People> = None;
    for entry in entries {
        let seq = entry.seq;
        let Some(draft) = entry.draft() else { continue };
        people.iter().for_each(|people| each(seq, people));
        if let (1, Ok(Genesis::Direct(direct))) = (seq, Genesis::read(&draft.body)) {
            people = (direct.suite == SuiteName::Mls1).then(|| Members::direct(&direct).into());
            if people.is_none() { return Ok(None) } else { continue }
        }
        let keys = |user: &tidings_proto::UserName| logs.directory().state(user);
        let author = keys(&draft.author).ok_or_else(|| format!("{seq} is by {}, whom its hub does not know", draft.author))?;
        let wrong = |why: String| format!("{:?} {} of {} at {seq}: {why}", draft.kind, draft.n, draft.author);
        people = match people {
            None => match Genesis::read(&draft.body) {
                Ok(Genesis::Group(group)) if seq == 1 => {
                    Some(Members::begin(&group, draft, &author).map_err(|error| wrong(error.to_string()))?.into())
                }
                _ => return Ok(None),
            },
            Some(before) if draft.kind.is_membership() => {
                let next = before.apply(seq, draft, &author, keys).map_err(|error| wrong(error.to_string()))?;
                Some(before.next(next, seq))
            }
            Some(now) => {
                now.may_write(draft, &author).map_err(|error| wrong(error.to_string()))?;
                if draft.kind == Kind::Sealed && draft.epoch != Some(now.epoch()) {
                    return Err(wrong(format!("is of {:?}, where {} is the epoch", draft.epoch, now.epoch())));
                }
                Some(now)
            }
        };
    }
    Ok(people)
}
