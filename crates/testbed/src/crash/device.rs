//! A lean device: it writes as fast as it is answered, sends again what was not, and keeps what it is told.
//!
//! It does what every client must (the same bytes again on each link, in order, until there is an answer) and nothing else: no
//! keys of others, no files. What it seals is sealed to nobody, and no server looks inside.

use super::dice::Dice;
use super::names::Names;
use super::shared::{Phase, Shared};
use crate::history::{Id, Item, Op, Outcome, Reading};
use crate::raw::RawLink;
use crate::wire::Wire;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tidings_e2ee::DeviceSecret;
use tidings_proto::chain::{self, Tip};
use tidings_proto::frame::{Accepted, Entries, Fetch, Follow, LogRef, Named, Page, Ping, Queued, Refused, Submit};
use tidings_proto::{Code, Content, Draft, Encoded, Entry, Frame, Genesis, Kind, LogName, Refusal, UserName, cbor};
use tidings_server::link::wire::LinkError;
use tokio::time::{Instant, interval, sleep, timeout};

/// Messages of a device under way at once.
const WINDOW: usize = 48;
/// A link that is not there after so long is tried anew.
const DIAL: Duration = Duration::from_secs(3);
/// A link on which nothing came for so long is given up: it is silent, or the server is gone without a word.
const SILENT: Duration = Duration::from_secs(4);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(50);

/// A log that a device writes in.
pub struct Stream {
    /// The writer's number in the history.
    pub writer: u32,
    /// The log's number in the history.
    pub number: u32,
    /// The log.
    pub log: LogName,
    /// What names a direct room.
    pub genesis: Option<Genesis>,
    /// So many messages.
    pub quota: u32,
    /// Whether the device's own server orders it: then what is acknowledged can be read there at once.
    pub home: bool,
    /// What has become of each.
    pub ops: Vec<Op>,
    /// Unanswered, by n.
    waiting: BTreeMap<u32, Bytes>,
    /// When they are all sent again, after a refusal that asked for patience.
    again: Option<Instant>,
}

impl Stream {
    /// Nothing is written yet.
    pub fn new(writer: u32, number: u32, log: LogName, genesis: Option<Genesis>, quota: u32, home: bool) -> Stream {
        Stream { writer, number, log, genesis, quota, home, ops: Vec::new(), waiting: BTreeMap::new(), again: None }
    }
}

/// A log as it has come to a device.
#[derive(Debug, Default)]
struct Copy {
    tip: Option<Tip>,
    items: Vec<Item>,
    /// The chain does not hold: what was wrong.
    broken: Option<String>,
    named: bool,
}

/// A device.
pub struct Device {
    /// Whose.
    pub user: UserName,
    /// Its key.
    pub secret: DeviceSecret,
    /// The way to its server.
    pub wire: Arc<Wire>,
    /// The reader's number in the history.
    pub reader: u32,
    /// Where it writes.
    pub streams: Vec<Stream>,
    /// What it read while it wrote.
    pub readings: Vec<Reading>,
    names: Arc<Names>,
    shared: Arc<Shared>,
    dice: Dice,
    copies: BTreeMap<LogName, Copy>,
    /// On this link: numbers of logs, and what was asked.
    numbers: HashMap<u64, LogName>,
    asked: HashMap<u32, Asked>,
    next_req: u32,
    /// Refusals for good, and whatever else should not be.
    pub complaints: Vec<String>,
}

enum Asked {
    /// To take message n of a stream.
    Submit(usize, u32),
    /// For the newest page of a stream's log, at this time.
    Newest(usize, u64),
}

impl Device {
    /// A device that follows `logs` and writes in `streams`.
    pub fn new(
        (user, secret, wire, reader): (UserName, DeviceSecret, Arc<Wire>, u32),
        streams: Vec<Stream>,
        logs: &[LogName],
        (names, shared, dice): (Arc<Names>, Arc<Shared>, Dice),
    ) -> Device {
        let copies = logs.iter().chain(streams.iter().map(|stream| &stream.log)).map(|log| (log.clone(), Copy::default())).collect();
        Device {
            user,
            secret,
            wire,
            reader,
            streams,
            readings: Vec::new(),
            names,
            shared,
            dice,
            copies,
            numbers: HashMap::new(),
            asked: HashMap::new(),
            next_req: 1,
            complaints: Vec::new(),
        }
    }

    /// Lives until the world says that it is over, or this device has all that there is.
    pub async fn live(mut self) -> Device {
        let mut phase = self.shared.phase();
        loop {
            let dialled = timeout(DIAL, RawLink::try_device(self.wire.address(), &self.user, &self.secret)).await;
            if let Ok(Ok(link)) = dialled
                && self.use_link(link).await == Ended::Over
            {
                return self;
            }
            if matches!(&*phase.borrow_and_update(), Phase::Over) {
                return self;
            }
            sleep(AGAIN).await;
        }
    }

    /// One link's life.
    async fn use_link(&mut self, mut link: RawLink) -> Ended {
        self.numbers.clear();
        self.asked.clear();
        self.copies.values_mut().for_each(|copy| copy.named = false);
        self.follow(&mut link).await;
        for stream in 0..self.streams.len() {
            self.send_again(&mut link, stream).await;
        }
        let mut tick = interval(Duration::from_millis(250));
        let mut heard = Instant::now();
        let mut phase = self.shared.phase();
        loop {
            let now = phase.borrow_and_update().clone();
            if let Some(ended) = self.look(&now) {
                return ended;
            }
            self.write(&mut link, matches!(now, Phase::Writing)).await;
            tokio::select! {
                frame = link.receive() => match frame {
                    Ok(frame) => {
                        heard = Instant::now();
                        if let Err(error) = self.take(&mut link, frame).await {
                            self.complaints.push(format!("{}: {error}", self.user));
                            return Ended::Lost;
                        }
                    }
                    Err(_) => return Ended::Lost,
                },
                _ = phase.changed() => {}
                _ = tick.tick() => {
                    if heard.elapsed() > SILENT {
                        return Ended::Lost;
                    }
                    self.follow(&mut link).await;
                    self.due(&mut link).await;
                    link.send(Ping { req: 0, heads: None }).await;
                }
            }
        }
    }

    /// Whether it is over.
    fn look(&self, phase: &Phase) -> Option<Ended> {
        match phase {
            Phase::Writing | Phase::Settling => None,
            Phase::Reading(goals) => {
                let has =
                    |(log, goal): (&LogName, &u64)| self.copies.get(log).is_none_or(|copy| copy.tip.unwrap_or(Tip::EMPTY).seq >= *goal);
                goals.iter().all(has).then_some(Ended::Over)
            }
            Phase::Over => Some(Ended::Over),
        }
    }

    /// Asks for every log that has had no news on this link yet; the first time there may be no such log.
    async fn follow(&mut self, link: &mut RawLink) {
        let unnamed = self.copies.iter().filter(|(_, copy)| !copy.named && copy.broken.is_none());
        let logs: Vec<(LogRef, u64)> = unnamed.map(|(log, copy)| (LogRef::Name(log.clone()), copy.tip.unwrap_or(Tip::EMPTY).seq)).collect();
        if !logs.is_empty() {
            link.send(Follow { logs }).await;
        }
    }

    /// Writes on, as far as the window and the quotas go; now and then reads what is there.
    async fn write(&mut self, link: &mut RawLink, more: bool) {
        let mut room = WINDOW.saturating_sub(self.streams.iter().map(|stream| stream.waiting.len()).sum());
        let mut open: Vec<usize> =
            (0..self.streams.len()).filter(|at| more && self.streams[*at].ops.len() < self.streams[*at].quota as usize).collect();
        while room > 0 && !open.is_empty() {
            let at = *self.dice.one_of(&open);
            let stream = &mut self.streams[at];
            let n = stream.ops.len() as u32 + 1;
            let now = self.shared.now();
            stream.ops.push(Op { invoked: now, ended: now, outcome: Outcome::Unknown });
            let id = Id { writer: stream.writer, n };
            let draft = draft(&self.user, &self.secret, stream, id);
            self.streams[at].waiting.insert(n, draft);
            if self.streams[at].again.is_none() {
                self.submit(link, at, n).await;
            }
            if self.streams[at].home && self.dice.below(32) == 0 {
                self.ask_newest(link, at).await;
            }
            room -= 1;
            open.retain(|at| self.streams[*at].ops.len() < self.streams[*at].quota as usize);
        }
    }

    async fn submit(&mut self, link: &mut RawLink, at: usize, n: u32) {
        let req = self.request(Asked::Submit(at, n));
        let stream = &self.streams[at];
        let Some(draft) = stream.waiting.get(&n) else { return };
        link.send(Submit { req, log: stream.log.clone(), draft: draft.clone(), genesis: stream.genesis.clone() }).await;
    }

    async fn ask_newest(&mut self, link: &mut RawLink, at: usize) {
        let req = self.request(Asked::Newest(at, self.shared.now()));
        let log = self.streams[at].log.clone();
        link.send(Fetch { req, log, before: Some(u64::MAX), after: None, limit: 100 }).await;
    }

    fn request(&mut self, asked: Asked) -> u32 {
        let req = self.next_req;
        self.next_req += 1;
        self.asked.insert(req, asked);
        req
    }

    /// Everything of a stream that was not answered, in order.
    async fn send_again(&mut self, link: &mut RawLink, at: usize) {
        self.streams[at].again = None;
        let waiting: Vec<u32> = self.streams[at].waiting.keys().copied().collect();
        for n in waiting {
            self.submit(link, at, n).await;
        }
    }

    async fn due(&mut self, link: &mut RawLink) {
        let now = Instant::now();
        for at in 0..self.streams.len() {
            if self.streams[at].again.is_some_and(|again| again <= now) {
                self.send_again(link, at).await;
            }
        }
    }

    async fn take(&mut self, link: &mut RawLink, frame: Frame) -> Result<(), LinkError> {
        match frame {
            Frame::Named(Named { number, log }) => {
                if let Some(copy) = self.copies.get_mut(&log) {
                    copy.named = true;
                }
                self.numbers.insert(number, log);
            }
            Frame::Entries(entries) => self.entries(entries),
            Frame::Accepted(Accepted { req, seq, .. }) => {
                if let Some(Asked::Submit(at, n)) = self.asked.remove(&req) {
                    self.settle(at, n, Outcome::Acknowledged(seq));
                }
            }
            Frame::Queued(Queued { req }) => {
                if let Some(Asked::Submit(at, n)) = self.asked.get(&req) {
                    let (op, now) = (&mut self.streams[*at].ops[*n as usize - 1], self.shared.now());
                    *op = Op { ended: now, outcome: Outcome::Kept, ..*op };
                }
            }
            Frame::Page(Page { req, items, .. }) => {
                if let Some(Asked::Newest(at, time)) = self.asked.remove(&req) {
                    let entries: Vec<Entry> = items.iter().filter_map(|item| Entry::read(&item.entry).ok()).collect();
                    let first = entries.first().map_or(1, |entry| entry.seq);
                    let items = entries.iter().map(|entry| self.names.item(&self.streams[at].log, entry)).collect();
                    let log = self.streams[at].number;
                    self.readings.push(Reading { reader: self.reader, log, at: Some(time), first, items });
                }
            }
            Frame::Refused(Refused { req, why, .. }) => match self.asked.remove(&req) {
                Some(Asked::Submit(at, n)) => self.refused(link, at, n, why).await,
                Some(Asked::Newest(..)) => {}
                // A log that is not there yet; it is asked for again. Everything else about the link as a whole ends it.
                None if matches!(why.code, Code::NotFound | Code::Forbidden) => {}
                None => return Err(why.into()),
            },
            _ => {}
        }
        Ok(())
    }

    fn settle(&mut self, at: usize, n: u32, outcome: Outcome) {
        let stream = &mut self.streams[at];
        if stream.waiting.remove(&n).is_some() {
            let op = &mut stream.ops[n as usize - 1];
            *op = Op { ended: self.shared.now(), outcome, ..*op };
            self.shared.answered();
        }
    }

    /// Refused: for now, or for good.
    async fn refused(&mut self, link: &mut RawLink, at: usize, n: u32, why: Refusal) {
        let again = Instant::now() + why.retry_after.map_or(AGAIN, Duration::from_secs).min(Duration::from_secs(1));
        let stream = &mut self.streams[at];
        match why.code {
            Code::NotYet | Code::TooFast | Code::Busy | Code::Unreachable | Code::Full | Code::Internal => stream.again = Some(again),
            // An earlier one was not taken. Those that wait are sent again in order; if it is none of those, it is lost.
            Code::Gap if why.last.is_none_or(|last| stream.waiting.contains_key(&(last as u32 + 1))) => {
                if stream.again.is_none() && stream.waiting.first_key_value().is_some_and(|(first, _)| *first < n) {
                    stream.again = Some(again);
                } else if stream.again.is_none() {
                    self.send_again(link, at).await;
                }
            }
            _ => {
                self.complaints.push(format!("{} in {}: message {n} was refused: {why}", self.user, stream.log));
                self.settle(at, n, Outcome::Refused);
            }
        }
    }

    fn entries(&mut self, Entries { log, prev, items }: Entries) {
        let Some(name) = self.numbers.get(&log) else { return };
        let Some(copy) = self.copies.get_mut(name) else { return };
        let mut tip = copy.tip.unwrap_or(Tip::EMPTY);
        for (at, item) in items.iter().enumerate() {
            let Ok(entry) = Entry::read(&item.entry) else {
                copy.broken = Some(format!("what follows {} cannot be read", tip.seq));
                return;
            };
            if entry.seq <= tip.seq {
                continue; // here already
            }
            let next = chain::extend(name, &tip, &entry);
            let follows = at > 0 || prev.is_none_or(|prev| prev == tip.hash);
            match next {
                Ok(next) if follows => tip = next,
                _ => {
                    copy.broken = Some(format!("{} does not follow {} as it was before", entry.seq, tip.seq));
                    return;
                }
            }
            copy.items.push(self.names.item(name, &entry));
            copy.tip = Some(tip);
        }
    }

    /// What it has of each log, in the end.
    pub fn take_copies(&mut self) -> Vec<(LogName, Vec<Item>)> {
        let broken = self.copies.iter().filter_map(|(log, copy)| Some(format!("{} in {log}: {}", self.user, copy.broken.as_ref()?)));
        self.complaints.extend(broken);
        std::mem::take(&mut self.copies).into_iter().map(|(log, copy)| (log, copy.items)).collect()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// The link is gone.
    Lost,
    /// There is nothing more to do.
    Over,
}

/// A message that says which it is.
fn draft(user: &UserName, secret: &DeviceSecret, stream: &Stream, id: Id) -> Bytes {
    let text = id.to_string();
    let open = matches!(stream.log, LogName::Public(_));
    let body = if open { cbor::encode(&Content { text, ..Content::default() }) } else { text.into_bytes() };
    let draft = Draft {
        device: secret.public(),
        n: id.n.into(),
        author: user.clone(),
        list: 1,
        epoch: (!open).then_some(0),
        kind: if open { Kind::Post } else { Kind::Sealed },
        body: body.into(),
        sig: None,
    };
    let draft = if open { draft.signed(&stream.log, |bytes| secret.sign(bytes)) } else { Encoded::new(draft) };
    draft.bytes().clone()
}
