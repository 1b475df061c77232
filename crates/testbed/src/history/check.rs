//! Whether a history can be true. Pure, and linear in what was written and read.
//!
//! One reading of each log, its hub's last, says which message has which place; everything else is held against that: what
//! writers were told, what they did themselves, and what all other readers had. It has no opinion on how fast anything is.

use super::{History, Id, Item, Kind, Op, Outcome, Reading, Verdict, Writer};
use std::collections::HashMap;

/// Checks a history.
pub fn check(history: &History) -> Verdict {
    let mut checked = Checked { history, verdict: Verdict::default(), truths: Vec::new(), places: Vec::new() };
    checked.truths = history.logs.iter().enumerate().map(|(log, _)| truth(history, log as u32)).collect();
    checked.places = history.writers.iter().map(|writer| vec![0; writer.ops.len()]).collect();
    for log in 0..history.logs.len() {
        checked.contents(log);
        checked.overtaken(log);
    }
    for writer in 0..history.writers.len() {
        checked.told(writer);
    }
    checked.read();
    checked.verdict
}

/// What a log's hub hands out once all is healed, from place 1 on; nothing where it handed out nothing.
fn truth(history: &History, log: u32) -> &[Item] {
    let reader = history.logs[log as usize].truth;
    let is_it = |reading: &&Reading| reading.log == log && reading.reader == reader && reading.at.is_none() && reading.first == 1;
    history.readings.iter().find(is_it).map_or(&[], |reading| &reading.items)
}

struct Checked<'a> {
    history: &'a History,
    verdict: Verdict,
    /// By log.
    truths: Vec<&'a [Item]>,
    /// By writer and n - 1: the first place that the hub has it at, 0 for none.
    places: Vec<Vec<u64>>,
}

impl<'a> Checked<'a> {
    fn op(&self, id: Id) -> Option<(&'a Writer, Op)> {
        let writer = self.history.writers.get(id.writer as usize)?;
        Some((writer, *writer.ops.get((id.n as usize).checked_sub(1)?)?))
    }

    /// `w3n12 of w4@s1 in public@s1`.
    fn name(&self, id: Id) -> String {
        match self.op(id) {
            Some((writer, _)) => format!("{id} of {} in {}", writer.name, self.history.logs[writer.log as usize].name),
            None => format!("{id}, which nobody wrote,"),
        }
    }

    fn say(&self, item: Item) -> String {
        match item {
            Item::Message(id) => id.to_string(),
            other => format!("{other:?}"),
        }
    }

    /// Nothing in a log that nobody wrote, nothing twice, and each author's own order.
    fn contents(&mut self, log: usize) {
        let mut last: HashMap<u32, (u32, u64)> = HashMap::new();
        let name = &self.history.logs[log].name;
        for (item, seq) in self.truths[log].iter().zip(1..) {
            let id = match item {
                Item::Message(id) => *id,
                Item::Strange => {
                    self.verdict.found(Kind::Invented, &[], || format!("{name} has at {seq} something that nobody wrote"));
                    continue;
                }
                _ => continue,
            };
            let Some((_, op)) = self.op(id).filter(|(writer, _)| writer.log as usize == log) else {
                let said = format!("{name} has at {seq} {}: it was not written there", self.name(id));
                self.verdict.found(Kind::Invented, &[id], || said);
                continue;
            };
            if op.outcome == Outcome::Refused {
                let said = format!("{} was refused, and {name} has it at {seq}", self.name(id));
                self.verdict.found(Kind::Invented, &[id], || said);
            }
            let place = &mut self.places[id.writer as usize][id.n as usize - 1];
            if *place != 0 {
                let (first, said) = (*place, self.name(id));
                self.verdict.found(Kind::Twice, &[id], || format!("{said} is there at {first} and again at {seq}"));
                continue;
            }
            *place = seq;
            let (before, at) = last.insert(id.writer, (id.n, seq)).unwrap_or_default();
            if before > id.n {
                let said = format!("{} is at {seq}, behind number {before} of the same author at {at}", self.name(id));
                self.verdict.found(Kind::AuthorsOrder, &[id, Id { n: before, ..id }], || said);
            }
        }
    }

    /// What was acknowledged before something else was written stands before it.
    fn overtaken(&mut self, log: usize) {
        let mut earliest: Option<(u64, Id)> = None;
        for (at, item) in self.truths[log].iter().enumerate().rev() {
            let Item::Message(id) = *item else { continue };
            // What is there twice, or should not be there at all, has been found already.
            let Some((_, op)) = self.op(id).filter(|_| self.places[id.writer as usize][id.n as usize - 1] == at as u64 + 1) else {
                continue;
            };
            if let Some((told, later)) = earliest
                && told < op.invoked
            {
                let (one, other) = (self.name(id), self.name(later));
                let said =
                    || format!("{one} was written at {} µs, after {other} was acknowledged at {told} µs, and stands before it", op.invoked);
                self.verdict.found(Kind::Overtaken, &[id, later], said);
            }
            if matches!(op.outcome, Outcome::Acknowledged(_)) && earliest.is_none_or(|(told, _)| op.ended < told) {
                earliest = Some((op.ended, id));
            }
        }
    }

    /// What a writer was told is so.
    fn told(&mut self, number: usize) {
        let writer = &self.history.writers[number];
        for ((op, place), n) in writer.ops.iter().zip(&self.places[number]).zip(1..) {
            let id = Id { writer: number as u32, n };
            let verdict = &mut self.verdict;
            let count = match op.outcome {
                Outcome::Unknown => &mut verdict.unknown,
                Outcome::Refused => &mut verdict.refused,
                Outcome::Kept => &mut verdict.kept,
                Outcome::Acknowledged(_) => &mut verdict.acknowledged,
            };
            *count += 1;
            let said = match op.outcome {
                Outcome::Acknowledged(_) if *place == 0 => format!("was acknowledged at {} µs", op.ended),
                Outcome::Kept if *place == 0 => format!("was durable on its way at {} µs", op.ended),
                Outcome::Acknowledged(told) if told != 0 && told != *place => {
                    let said = format!("{} was acknowledged at {told}, and is at {place}", self.name(id));
                    self.verdict.found(Kind::Moved, &[id], || said);
                    continue;
                }
                _ => continue,
            };
            let told = if let Outcome::Acknowledged(seq @ 1..) = op.outcome { format!(" as {seq}") } else { String::new() };
            let log = &self.history.logs[writer.log as usize];
            let hub = &self.history.readers[log.truth as usize].name;
            let said = format!("{} {said}{told}, and {hub} does not have it", self.name(id));
            self.verdict.found(Kind::Lost, &[id], || said);
        }
    }

    /// Every other reading agrees.
    fn read(&mut self) {
        let stays: Vec<Option<Stays>> =
            self.history.logs.iter().zip(&self.truths).map(|(log, truth)| log.by_members.then(|| Stays::of(truth))).collect();
        let own = self.own();
        for reading in &self.history.readings {
            self.verdict.read += reading.items.len() as u64;
            let user = self.history.readers[reading.reader as usize].user;
            match (&stays[reading.log as usize], user) {
                (Some(stays), Some(user)) => self.members_reading(reading, stays, user),
                _ => self.whole_reading(reading),
            }
            if let Some(at) = reading.at {
                for writer in own.get(&(reading.reader, reading.log)).into_iter().flatten() {
                    self.sees_own(reading, at, *writer);
                }
            }
        }
    }

    /// Who writes where, as the same device that reads.
    fn own(&self) -> HashMap<(u32, u32), Vec<usize>> {
        let mut own: HashMap<(u32, u32), Vec<usize>> = HashMap::new();
        for (number, writer) in self.history.writers.iter().enumerate() {
            own.entry((writer.reader, writer.log)).or_default().push(number);
        }
        own
    }

    fn whole_reading(&mut self, reading: &Reading) {
        let truth = self.truths[reading.log as usize];
        let mut differs = 0u64;
        for (item, seq) in reading.items.iter().zip(reading.first..) {
            let hubs = truth.get(seq as usize - 1).copied();
            if hubs == Some(*item) {
                continue;
            }
            differs += 1;
            // The first tells where to look; after it everything is shifted.
            if differs == 1 {
                self.differs(reading, seq, *item, hubs);
            }
        }
        let end = reading.first + reading.items.len() as u64 - 1;
        if reading.at.is_none() && (reading.first != 1 || end < truth.len() as u64) {
            let said = format!("{} has {} to {end} of 1 to {} of {}", self.reader(reading), reading.first, truth.len(), self.log(reading));
            self.verdict.found(Kind::Behind, &[], || said);
        }
    }

    fn differs(&mut self, reading: &Reading, seq: u64, item: Item, hubs: Option<Item>) {
        let ids: Vec<Id> = [Some(item), hubs]
            .into_iter()
            .flatten()
            .filter_map(|item| if let Item::Message(id) = item { Some(id) } else { None })
            .collect();
        let hub = &self.history.readers[self.history.logs[reading.log as usize].truth as usize].name;
        let hubs = hubs.map_or_else(|| "nothing".into(), |item| self.say(item));
        let said = format!("{} has {} at {seq} of {}, where {hub} has {hubs}", self.reader(reading), self.say(item), self.log(reading));
        self.verdict.found(Kind::Differs, &ids, || said);
    }

    /// A member has everything from its stays, and opens nothing else.
    fn members_reading(&mut self, reading: &Reading, stays: &Stays, user: u32) {
        let truth = self.truths[reading.log as usize];
        let end = reading.first + reading.items.len() as u64;
        let mut stay = stays.of_user(user).iter().peekable();
        for (hubs, seq) in truth.iter().zip(1..) {
            while stay.next_if(|(_, left)| *left < seq).is_some() {}
            let is_in = stay.peek().is_some_and(|(joined, _)| *joined < seq);
            let item = if (reading.first..end).contains(&seq) { reading.items[(seq - reading.first) as usize] } else { Item::Closed };
            match (item, hubs) {
                (Item::Message(id), _) if !is_in => {
                    let said = format!("{} has opened {}, at {seq}, and was not a member there", self.reader(reading), self.name(id));
                    self.verdict.found(Kind::Outsider, &[id], || said);
                }
                (Item::Closed, Item::Message(id)) if is_in && reading.at.is_none() => {
                    let said = format!("{} was a member, and lacks {}, at {seq}", self.reader(reading), self.name(*id));
                    self.verdict.found(Kind::Behind, &[*id], || said);
                }
                (Item::Message(_) | Item::Strange, hubs) if item != *hubs => self.differs(reading, seq, item, Some(*hubs)),
                _ => {}
            }
        }
        for seq in truth.len() as u64 + 1..end {
            let item = reading.items[(seq - reading.first) as usize];
            if item != Item::Closed {
                self.differs(reading, seq, item, None);
            }
        }
    }

    /// Whoever reads sees everything of its own that was acknowledged before it asked.
    fn sees_own(&mut self, reading: &Reading, at: u64, number: usize) {
        let end = reading.first + reading.items.len() as u64 - 1;
        let places = &self.places[number];
        // An author's own messages stand in its order, so those that are beyond the end of the reading are its last ones.
        let beyond = places.partition_point(|place| *place != 0 && *place <= end);
        let told = |op: &Op| matches!(op.outcome, Outcome::Acknowledged(_)) && op.ended < at;
        // Answers come about in order too: one look at the first is enough.
        if let Some(op) = self.history.writers[number].ops.get(beyond).filter(|op| told(op)) {
            let id = Id { writer: number as u32, n: beyond as u32 + 1 };
            let said = format!(
                "{} read {} up to {end} at {at} µs, and not its own {id}, acknowledged at {} µs",
                self.reader(reading),
                self.log(reading),
                op.ended
            );
            self.verdict.found(Kind::OwnUnseen, &[id], || said);
        }
    }

    fn reader(&self, reading: &Reading) -> &'a str {
        &self.history.readers[reading.reader as usize].name
    }

    fn log(&self, reading: &Reading) -> &'a str {
        &self.history.logs[reading.log as usize].name
    }
}

/// Who was in a log when: from the entry by which somebody came to the one by which they went.
struct Stays(HashMap<u32, Vec<(u64, u64)>>);

impl Stays {
    fn of(truth: &[Item]) -> Stays {
        let mut stays: HashMap<u32, Vec<(u64, u64)>> = HashMap::new();
        for (item, seq) in truth.iter().zip(1..) {
            match item {
                Item::Joined(user) => stays.entry(*user).or_default().push((seq, u64::MAX)),
                Item::Left(user) => {
                    if let Some((_, left)) = stays.entry(*user).or_default().last_mut() {
                        *left = seq.min(*left);
                    }
                }
                _ => {}
            }
        }
        Stays(stays)
    }

    fn of_user(&self, user: u32) -> &[(u64, u64)] {
        self.0.get(&user).map_or(&[], Vec::as_slice)
    }
}
