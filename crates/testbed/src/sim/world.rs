//! A world that one seed decides: which server or person does what next, which frame arrives, what is cut, what dies.
//!
//! One thread, a clock that moves only when nothing else can, and a die. Whatever happens is a line of the trace.

use super::cast::{Cast, Somebody};
use super::channel::{End, Line};
use super::disk::Disk;
use super::keys::Keys;
use super::rights::{Given, Told};
use super::trace::Trace;
use super::{Flaw, Plan, Sums};
use crate::crash::dice::Dice;
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidings_client::view::MessageId;
use tidings_client::{Bare, ClientError};
use tidings_e2ee::suite::Change;
use tidings_proto::frame::Ready;
use tidings_proto::{Draft, Encoded, Frame, Kind, LogName, RoomId, SuiteName, draft, limits};
use tidings_server::bus::local::LocalBus;
use tidings_server::host::Host;
use tidings_server::logs::Logs;
use tidings_server::store::sqlite::memory::MemoryStore;
use tidings_server::{api, federation};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedSender;

/// Links there may be between two ends: one that is there, and some of which not everybody has noticed that they are gone.
const LINKS: usize = 3;

/// Where a device keeps the keys of rooms on MLS: all of them; those of messages; and which epoch it is in.
const KEYS: &[u8] = b"mls/";
const SECRETS: &[u8] = b"mls/secrets/";
const EPOCHS: &[u8] = b"mls/in/";

/// A server or a person, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A server.
    Server(usize),
    /// A person.
    Person(usize),
}

/// A server's disk, and what runs on it.
pub struct Server {
    /// The disk.
    pub tables: Arc<MemoryStore>,
    /// What runs, if it does.
    pub up: Option<(Arc<Host>, Arc<Disk>)>,
}

/// A person's device.
pub struct Person {
    /// Whose it is, and what it began with.
    pub who: &'static Somebody,
    /// The program.
    pub bare: Bare,
    /// The server.
    pub home: usize,
    /// Something was written of which the engine has not heard.
    pub nudged: bool,
    /// What was written.
    pub said: Vec<Said>,
    /// The keys of rooms as they were before something was sealed last, where they are to come back.
    before: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A message that somebody wrote.
pub struct Said {
    /// The log it goes to.
    pub log: LogName,
    /// Its number among what this person wrote there, from 1.
    pub n: u32,
    /// Which it is on the device.
    pub id: MessageId,
    /// The step in which it was written.
    pub invoked: u64,
    /// The step in which its writer saw that it is in its log.
    pub told: Option<u64>,
}

struct Link {
    ends: [Side; 2],
}

/// One end of a link.
struct Side {
    who: Who,
    /// What this end has sent.
    out: Arc<Line>,
    /// Servers: where what arrives goes.
    input: Option<UnboundedSender<bytes::Bytes>>,
    /// Whether this end believes that the link is there.
    open: bool,
    /// What it was asked for, and has told.
    told: Told,
}

/// The world.
pub struct World {
    /// What runs the servers' tasks.
    pub runtime: Runtime,
    /// Who they are.
    pub cast: &'static Cast,
    /// Decides.
    pub dice: Dice,
    /// The servers.
    pub servers: Vec<Server>,
    /// The people.
    pub people: Vec<Person>,
    /// The groups that were made: by whom.
    pub groups: Vec<(tidings_client::view::Target, usize)>,
    links: Vec<Link>,
    /// What everybody was given of each log.
    pub given: BTreeMap<(Who, LogName), Given>,
    /// What is planted.
    pub flaw: Option<Flaw>,
    /// What private rooms are begun on.
    pub suite: SuiteName,
    /// Whose program is to end at which write, if nobody's has.
    pub ends: Option<(usize, u64)>,
    /// Whether everybody has been linked before.
    pub known: bool,
    /// The keys of rooms on MLS.
    pub keys: Keys,
    /// The time.
    pub now: Instant,
    /// Steps so far.
    pub steps: u64,
    /// What happened.
    pub trace: Trace,
    /// What is wrong.
    pub wrong: Vec<String>,
    /// What is counted.
    pub sums: Sums,
}

impl World {
    /// Servers and people, none of them linked.
    pub fn new(plan: Plan) -> World {
        let mut dice = Dice::of(plan.seed);
        let servers = 2 + usize::from(dice.below(4) == 0);
        // The first four are of the first two servers, the fifth of the third.
        let people = if servers == 3 { 4 + dice.below(2) as usize } else { 2 + dice.below(3) as usize };
        if plan.suite == SuiteName::RsaJwe1 {
            let cast = Cast::get();
            return World::of(plan, dice, cast, servers, cast.people.iter().take(people).collect());
        }
        // Now and then nobody has been linked yet, so that there is not a key package anywhere.
        let cast = if dice.below(8) == 0 { Cast::get() } else { Cast::known() };
        let further = dice.below(1 + cast.further.len() as u64) as usize;
        let people = cast.people.iter().take(people).chain(cast.further.iter().take(further));
        World::of(plan, dice, cast, servers, people.collect())
    }

    /// Images of the servers, and of everybody's devices, once all of them have been linked and nothing is left to be done.
    pub fn all_linked_once() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let (plan, cast) = (Plan::of(SuiteName::Mls1, 0), Cast::get());
        let mut world = World::of(plan, Dice::of(0), cast, cast.servers.len(), cast.people.iter().chain(&cast.further).collect());
        world.heals().expect("the world comes to rest");
        let servers = world.servers.iter().map(|server| server.tables.image().expect("an image"));
        (servers.collect(), world.people.iter().map(|person| person.bare.profile().expect("an image")).collect())
    }

    fn of(plan: Plan, dice: Dice, cast: &'static Cast, servers: usize, people: Vec<&'static Somebody>) -> World {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let now = runtime.block_on(async { tokio::time::Instant::now().into_std() });
        let tables = |at: usize| Arc::new(MemoryStore::from_image(&cast.servers[at].image).expect("a disk"));
        let person = |who: &'static Somebody| Person {
            who,
            bare: Bare::open(&who.image).expect("a profile"),
            home: cast.servers.iter().position(|host| host.name == *who.user.server()).expect("a home"),
            nudged: false,
            said: Vec::new(),
            before: BTreeMap::new(),
        };
        let mut world = World {
            runtime,
            cast,
            dice,
            servers: (0..servers).map(|at| Server { tables: tables(at), up: None }).collect(),
            people: people.into_iter().map(person).collect(),
            groups: Vec::new(),
            links: Vec::new(),
            given: BTreeMap::new(),
            flaw: plan.flaw,
            suite: plan.suite,
            ends: plan.ends,
            known: !std::ptr::eq(cast, Cast::get()),
            keys: Keys::default(),
            now,
            steps: 0,
            trace: Trace::new(plan.verbose),
            wrong: Vec::new(),
            sums: Sums::default(),
        };
        for at in 0..servers {
            world.start(at);
        }
        for (at, person) in world.people.iter().enumerate() {
            person.bare.client().begin_on(plan.suite);
            if let Some((_, write)) = plan.ends.filter(|(device, _)| *device == at) {
                person.bare.ends_after(write);
            }
        }
        world
    }

    /// A line of the trace.
    pub fn note(&mut self, line: fmt::Arguments<'_>) {
        self.trace.note(line);
    }

    /// What a server or person is called.
    pub fn name(&self, who: Who) -> String {
        match who {
            Who::Server(at) => self.cast.servers[at].name.to_string(),
            Who::Person(at) => self.device(at),
        }
    }

    /// What somebody's device is called.
    pub fn device(&self, at: usize) -> String {
        let user = &self.people[at].who.user;
        let again = self.people[..at].iter().any(|person| person.who.user == *user);
        if again { format!("{user}'s second device") } else { user.to_string() }
    }

    /// Time passes: whatever servers can do by themselves they do.
    pub fn passes(&mut self, time: Duration) {
        self.now = self.runtime.block_on(async {
            tokio::time::sleep(time).await;
            tokio::time::Instant::now().into_std()
        });
    }

    /// A server starts on its disk.
    pub fn start(&mut self, at: usize) {
        if self.servers[at].up.is_some() {
            return;
        }
        self.note(format_args!("{} starts", self.cast.servers[at].name));
        let disk = Arc::new(Disk::new(self.servers[at].tables.clone(), self.flaw));
        let (keeper, config) = (self.cast.keeper(at, self.servers.len()), self.cast.config(at, self.servers.len()));
        let (identity, listen, store) = (keeper.identity.clone(), config.listen, disk.clone());
        let host = self.runtime.block_on(async {
            let logs = Logs::open(store, Arc::new(LocalBus::default()), keeper).await.expect("logs open");
            for peer in &config.peers {
                logs.know_peer(&peer.name, &peer.key.expect("a key")).await.expect("a peer is known");
            }
            Arc::new(Host::new(&config, identity, logs, listen))
        });
        let late = host.clone();
        self.runtime.spawn(async move { late.presence.tell_late().await });
        self.servers[at].up = Some((host, disk));
    }

    /// A server is killed; of its commits that are under way some become durable all the same.
    pub fn kill(&mut self, at: usize) {
        let Some((_, disk)) = self.servers[at].up.take() else { return };
        let durable = self.dice.below(2) == 0 && disk.lets_through();
        disk.kill();
        self.note(format_args!("{} is killed{}", self.cast.servers[at].name, if durable { " after a commit" } else { "" }));
        self.sums.kills += 1;
        self.hangs_up(Who::Server(at));
    }

    /// A person's program ends, at once, and starts again.
    pub fn restart(&mut self, at: usize) {
        self.note(format_args!("{} crashes", self.people[at].who.user));
        self.sums.crashes += 1;
        self.hangs_up(Who::Person(at));
        let another = Bare::open(&self.people[at].who.image).expect("a profile");
        let ended = std::mem::replace(&mut self.people[at].bare, another);
        self.people[at].bare = ended.crash().expect("a profile opens again");
        self.people[at].bare.client().begin_on(self.suite);
        self.put_back(at);
        self.looks_at_keys(at);
        self.people[at].nudged = true;
    }

    /// Every link of somebody's ends with them.
    fn hangs_up(&mut self, who: Who) {
        for link in 0..self.links.len() {
            for end in 0..2 {
                if self.links[link].ends[end].who == who && self.links[link].ends[end].open {
                    self.closes(link, end);
                }
            }
        }
    }

    /// An end learns that its link is gone, or ends it.
    fn closes(&mut self, link: usize, end: usize) {
        let side = &mut self.links[link].ends[end];
        let (who, on_the_way) = (side.who, side.out.len());
        side.open = false;
        side.input = None;
        if !side.out.is_ended() {
            side.out.end(self.dice.below(on_the_way as u64 + 1) as usize);
        }
        if let Who::Person(at) = who {
            self.people[at].bare.unlink();
        }
    }

    /// A link is cut: of what is on its way some arrives.
    pub fn cut(&mut self) {
        let live: Vec<usize> =
            (0..self.links.len()).filter(|link| self.links[*link].ends.iter().any(|side| !side.out.is_ended())).collect();
        if live.is_empty() {
            return;
        }
        let link = *self.dice.one_of(&live);
        for end in 0..2 {
            let out = self.links[link].ends[end].out.clone();
            let kept = self.dice.below(out.len() as u64 + 1) as usize;
            out.end(kept);
        }
        self.sums.cuts += 1;
        self.note(format_args!("the link {} is cut", self.said(link)));
    }

    fn said(&self, link: usize) -> String {
        let [one, other] = &self.links[link].ends;
        format!("{}-{}", self.name(one.who), self.name(other.who))
    }

    fn between(&self, one: Who, other: Who) -> usize {
        let is_it = |link: &&Link| {
            let [a, b] = &link.ends;
            [a.who, b.who] == [one, other] || [b.who, a.who] == [one, other]
        };
        self.links.iter().filter(is_it).count()
    }

    /// Whether somebody believes to be linked to somebody.
    fn believes(&self, one: Who, other: Who) -> bool {
        self.links.iter().any(|link| {
            (0..2).any(|end| {
                link.ends[end].who == one && link.ends[end].open && link.ends[1 - end].who == other && !link.ends[end].out.is_ended()
            })
        })
    }

    /// A person dials, if there is no link.
    pub fn person_dials(&mut self, at: usize) {
        let (person, home) = (Who::Person(at), self.people[at].home);
        let Some((host, _)) = self.servers[home].up.clone() else { return };
        if self.links.iter().any(|link| link.ends.iter().any(|side| side.who == person && side.open))
            || self.between(person, Who::Server(home)) >= LINKS
        {
            return;
        }
        self.note(format_args!("{} dials", self.people[at].who.user));
        let (line, ahead) = (Arc::new(Line::default()), self.ahead());
        let (end, input) = End::new(&host.logs, line.clone(), ahead, self.flaw);
        let (user, device) = (self.people[at].who.user.clone(), self.people[at].who.device);
        let network = host.network();
        self.runtime.spawn(async move {
            // How a link ends is nobody's business here.
            let _ = api::attend(host, end, user, device).await;
        });
        let mine = Side { who: person, out: Arc::default(), input: None, open: true, told: Told::default() };
        self.links
            .push(Link { ends: [mine, Side { who: Who::Server(home), out: line, input: Some(input), open: true, told: Told::default() }] });
        let now = self.now;
        let linked = self.people[at].bare.link(Ready { listed: true, network }, now).now_or_never();
        self.did(at, linked);
    }

    /// A server dials a peer, if there is no link.
    pub fn server_dials(&mut self, at: usize, peer: usize) {
        let (one, other) = (Who::Server(at), Who::Server(peer));
        let (Some((here, _)), Some((there, _))) = (self.servers[at].up.clone(), self.servers[peer].up.clone()) else { return };
        if self.believes(one, other) && self.believes(other, one) || self.between(one, other) >= LINKS {
            return;
        }
        self.note(format_args!("{} dials {}", self.cast.servers[at].name, self.cast.servers[peer].name));
        let (ahead, flaw) = (self.ahead(), self.flaw);
        let side = |who: Who, host: Arc<Host>, peer: Arc<Host>| {
            let line = Arc::new(Line::default());
            let (end, input) = End::new(&host.logs, line.clone(), ahead, flaw);
            self.runtime.spawn(async move { federation::attend(&host, end, &peer.name).await });
            Side { who, out: line, input: Some(input), open: true, told: Told::default() }
        };
        let ends = [side(one, here.clone(), there.clone()), side(other, there, here)];
        self.links.push(Link { ends });
    }

    fn ahead(&mut self) -> usize {
        *self.dice.one_of(&[1, 3, 1000])
    }

    /// One direction of a link that has something to deliver, or to be noticed: all of them.
    pub fn deliverable(&self) -> Vec<(usize, usize)> {
        let can = |(link, from): &(usize, usize)| {
            let [this, other] = [&self.links[*link].ends[*from], &self.links[*link].ends[1 - *from]];
            this.out.len() > 0 || (this.out.is_ended() && other.open)
        };
        (0..self.links.len()).flat_map(|link| [(link, 0), (link, 1)]).filter(can).collect()
    }

    /// Frames arrive, at most so many, or the end of the link is noticed.
    pub fn deliver(&mut self, (link, from): (usize, usize), most: u64) {
        let (line, to) = (self.links[link].ends[from].out.clone(), &self.links[link].ends[1 - from]);
        let (who, open, input) = (to.who, to.open, to.input.clone());
        let frames: Vec<bytes::Bytes> = std::iter::from_fn(|| line.take()).take(most as usize).collect();
        let size: usize = frames.iter().map(bytes::Bytes::len).sum();
        let sender = self.name(self.links[link].ends[from].who);
        self.note(format_args!("{sender} → {}: {} frames, {size} bytes", self.name(who), frames.len()));
        self.trace.frames(&frames);
        if !open {
            return;
        }
        if frames.is_empty() {
            return self.closes(link, 1 - from);
        }
        self.sums.frames += frames.len() as u64;
        self.watch((link, from), &frames);
        match (who, input) {
            (Who::Server(_), Some(input)) => frames.into_iter().for_each(|frame| {
                // An error only says that the server has ended the link.
                let _ = input.send(frame);
            }),
            (Who::Server(_), None) => {}
            (Who::Person(at), _) => self.hears(at, &frames),
        }
    }

    /// Whoever judges in the end has seen what arrives.
    fn watch(&mut self, (link, from): (usize, usize), frames: &[bytes::Bytes]) {
        let ends = &mut self.links[link].ends;
        let (sender, reader) = (ends[from].who, ends[1 - from].who);
        let (mut given, mut packages) = (Vec::new(), Vec::new());
        for frame in frames.iter().filter_map(|frame| Frame::read(frame, limits::PEER_FRAME).ok()) {
            if let (Frame::KeyPackages(reply), Who::Person(_)) = (&frame, reader) {
                packages.extend(reply.packages.iter().filter(|claimed| !claimed.last_resort).map(|claimed| claimed.package.clone()));
            }
            ends[1 - from].told.hears(&frame);
            given.extend(ends[from].told.says(&frame));
        }
        given.into_iter().for_each(|news| self.is_given(sender, reader, news));
        let name = self.name(reader);
        let wrong: Vec<String> = packages.iter().filter_map(|package| self.keys.handed_out(&name, package)).collect();
        self.wrong.extend(wrong);
    }

    /// The directions that lead to somebody.
    pub fn deliverable_to(&self, who: Who) -> Vec<(usize, usize)> {
        self.deliverable().into_iter().filter(|(link, from)| self.links[*link].ends[1 - from].who == who).collect()
    }

    /// Links that nobody believes in are forgotten.
    pub fn tidy(&mut self) {
        self.links.retain(|link| link.ends.iter().any(|side| side.open));
    }

    fn hears(&mut self, at: usize, frames: &[bytes::Bytes]) {
        let mut read: Vec<Frame> = frames.iter().filter_map(|frame| Frame::read(frame, limits::CLIENT_FRAME).ok()).collect();
        if self.flaw == Some(Flaw::LosesFrame) && self.dice.below(40) == 0 {
            read.pop();
        }
        let now = self.now;
        let done = self.people[at].bare.handle(read, now).now_or_never();
        self.did(at, done);
    }

    /// The engine hears that something was written.
    pub fn nudge(&mut self, at: usize) {
        self.people[at].nudged = false;
        if self.flaw == Some(Flaw::KeysOfBefore) {
            self.people[at].before = self.people[at].bare.suites(KEYS).unwrap_or_default();
        }
        let now = self.now;
        let done = self.people[at].bare.written(now).now_or_never();
        self.did(at, done);
    }

    /// What is due is done.
    pub fn ticks(&mut self) {
        let now = self.now;
        for at in 0..self.people.len() {
            if self.people[at].bare.wake_at().is_some_and(|wake| wake <= now) {
                let done = self.people[at].bare.tick(now).now_or_never();
                self.did(at, done);
            }
        }
    }

    /// A person's next commits are the last ones: all that comes of what is done then is what they hold.
    pub fn dies_within(&mut self, at: usize, commits: u64) {
        self.people[at].bare.ends_after(commits);
    }

    /// What a person's engine has done: its frames are on their way, or it has failed.
    fn did(&mut self, at: usize, done: Option<Result<(), ClientError>>) {
        match done {
            Some(Ok(())) => {}
            Some(Err(ClientError::Store(_))) => return self.ends(at), // its last commit was before this one
            Some(Err(error)) => self.wrong.push(format!("{} gives up its link: {error}", self.device(at))),
            None => self.wrong.push("a client waits for something".into()),
        }
        let out = self.people[at].bare.take_out();
        self.looks_at_keys(at);
        self.sends(at, &out);
        let side = self.links.iter().flat_map(|link| &link.ends).find(|side| side.who == Who::Person(at) && side.open);
        if let Some(side) = side {
            out.iter().for_each(|frame| side.out.put(frame.encode()));
        }
        self.told(at);
        self.ends(at);
    }

    /// If this was the write at which a program is to end, it does.
    pub fn ends(&mut self, at: usize) {
        if self.ends.is_some_and(|(device, _)| device == at) && self.people[at].bare.has_ended() {
            self.ends = None;
            self.note(format_args!("{} ends at a write", self.device(at)));
            self.restart(at);
        }
    }

    /// What a device sends, for whoever judges its keys.
    fn sends(&mut self, at: usize, out: &[Frame]) {
        if self.suite != SuiteName::Mls1 {
            return;
        }
        let name = self.device(at);
        for frame in out {
            let Frame::Submit(submit) = frame else { continue };
            let read: Result<Encoded<Draft>, _> = draft::read(submit.draft.clone());
            if let Ok(draft) = read.as_ref().map(|draft| &**draft)
                && draft.kind == Kind::Sealed
            {
                self.keys.leaves(&name, &draft.body);
            }
        }
    }

    /// Which keys of rooms on MLS a device has now.
    fn looks_at_keys(&mut self, at: usize) {
        if self.suite != SuiteName::Mls1 {
            return;
        }
        let (epochs, secrets) = (self.epochs(at), self.people[at].bare.suites(SECRETS).unwrap_or_default());
        let name = self.device(at);
        let wrong = self.keys.keeps(at, &name, secrets, &epochs);
        self.wrong.extend(wrong);
    }

    /// The epochs of the rooms on MLS that a device is in.
    fn epochs(&self, at: usize) -> BTreeMap<RoomId, u64> {
        let kept = self.people[at].bare.suites(EPOCHS).unwrap_or_default().into_iter();
        let epoch = |(key, epoch): (Vec<u8>, Vec<u8>)| {
            Some((RoomId::from_slice(key.strip_prefix(EPOCHS)?)?, u64::from_be_bytes(epoch.try_into().ok()?)))
        };
        kept.filter_map(epoch).collect()
    }

    /// The epoch of a room on MLS whose keys a device has.
    pub fn epoch_of(&self, at: usize, log: &LogName) -> Option<u64> {
        let LogName::Room(room) = log else { return None };
        self.epochs(at).get(room).copied()
    }

    /// A device that starts again gets back the keys that it had before.
    fn put_back(&mut self, at: usize) {
        let before = std::mem::take(&mut self.people[at].before);
        if before.is_empty() {
            return;
        }
        let now = self.people[at].bare.suites(KEYS).unwrap_or_default();
        let gone = now.into_iter().filter(|(key, _)| !before.contains_key(key)).map(|(key, _)| Change::Delete(key));
        let changes: Vec<Change> = gone.chain(before.clone().into_iter().map(|(key, value)| Change::Put(key, value))).collect();
        self.people[at].bare.spoil(&changes).expect("a store");
    }

    /// What has become of what a person wrote is looked at when there is news of it.
    fn told(&mut self, at: usize) {
        let (steps, person) = (self.steps, &mut self.people[at]);
        for said in person.said.iter_mut().filter(|said| said.told.is_none()) {
            if let Ok(Some(tidings_client::view::Status::Sent { .. })) = person.bare.status(said.id) {
                said.told = Some(steps);
            }
        }
    }
}
