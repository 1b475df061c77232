//! Who takes part in a run: devices, people, the logs they share, and their numbers in the history.

use super::Course;
use super::account;
use super::device::{Device, Stream};
use super::dice::Dice;
use super::names::Names;
use super::people::{Somebody, Talk};
use super::shared::Shared;
use crate::history::{History, Log, Op, Outcome, Reader, Reading, Time, Writer};
use crate::process::Program;
use crate::wire::Wire;
use crate::world::World;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidings_e2ee::DeviceSecret;
use tidings_proto::{DeviceKey, Genesis, LogName, SuiteName, UserName};

/// Each device writes to so many others, and is written to by as many.
const NEIGHBOURS: usize = 3;

/// A log as one server hands it out to one of its devices.
pub struct Served {
    /// The server.
    pub server: String,
    /// Its number as a reader.
    pub reader: u32,
    /// The log.
    pub name: LogName,
    /// Its number.
    pub log: u32,
    /// Whether the server orders it.
    pub is_hub: bool,
    /// Whose device.
    pub user: UserName,
    /// The device.
    pub device: DeviceSecret,
}

/// Everybody.
pub struct Cast {
    /// The servers' names, in the order of their numbers as readers.
    pub servers: Vec<String>,
    /// The devices, until they live.
    pub devices: Vec<Device>,
    /// The people, likewise.
    pub people: Vec<Somebody>,
    /// The wires of devices and people.
    pub wires: Vec<Arc<Wire>>,
    /// The logs' numbers.
    pub logs: BTreeMap<LogName, u32>,
    /// Who may have written what.
    pub names: Arc<Names>,
    /// What is to be read back from the servers.
    pub copies: Vec<Served>,
    history: History,
    asked: Time,
}

/// Somebody with one lean device, before anything is decided about them.
struct Lean {
    user: UserName,
    secret: DeviceSecret,
    reader: u32,
    streams: Vec<Stream>,
}

impl Cast {
    /// Registers everybody, and gives everything its number.
    pub async fn gather(course: &Course, world: &World, program: Option<&Program>, (shared, dice): (&Arc<Shared>, &mut Dice)) -> Cast {
        let servers = world.names();
        let mut cast = Cast {
            devices: Vec::new(),
            people: Vec::new(),
            wires: Vec::new(),
            logs: BTreeMap::new(),
            names: Arc::default(),
            copies: Vec::new(),
            history: History::default(),
            asked: Time::MAX,
            servers,
        };
        for server in cast.servers.clone() {
            let reader = cast.reader(server.clone(), None);
            cast.log(LogName::Public(server.parse().expect("a server name")), reader);
        }
        let leans = cast.leans(course, world).await;
        if let Some(program) = program {
            cast.people(course, world, program).await;
        }
        cast.names = Arc::new(cast.who_writes(&leans));
        cast.served(&leans);
        let publics: Vec<LogName> = cast.logs.keys().filter(|log| matches!(log, LogName::Public(_))).cloned().collect();
        for lean in leans {
            let wire = Arc::new(Wire::to(world.address(lean.user.server().as_str())).await);
            cast.wires.push(wire.clone());
            let with = (cast.names.clone(), shared.clone(), dice.fork());
            cast.devices.push(Device::new((lean.user, lean.secret, wire, lean.reader), lean.streams, &publics, with));
        }
        cast
    }

    fn reader(&mut self, name: String, user: Option<u32>) -> u32 {
        self.history.readers.push(Reader { name, user });
        self.history.readers.len() as u32 - 1
    }

    fn log(&mut self, name: LogName, truth: u32) -> u32 {
        self.history.logs.push(Log { name: name.to_string(), truth, by_members: false });
        let number = self.history.logs.len() as u32 - 1;
        self.logs.insert(name, number);
        number
    }

    fn writer(&mut self, user: &UserName, reader: u32, log: u32) -> u32 {
        self.history.writers.push(Writer { name: user.to_string(), reader, log, ops: Vec::new() });
        self.history.writers.len() as u32 - 1
    }

    fn number_of(&self, server: &str) -> u32 {
        self.servers.iter().position(|name| name == server).expect("a server of this world") as u32
    }

    /// Lean devices in turns of servers, so that neighbours are on different ones; with where they write, and how much.
    async fn leans(&mut self, course: &Course, world: &World) -> Vec<Lean> {
        let mut leans = Vec::new();
        for number in 0..course.devices * course.servers {
            let server = self.servers[number % course.servers].clone();
            let user: UserName = format!("lean{number:02}@{server}").parse().expect("a user name");
            let secret = account::register(world.address(&server), &user).await;
            let reader = self.reader(format!("{user}'s device"), Some(number as u32));
            leans.push(Lean { user, secret, reader, streams: Vec::new() });
        }
        let mut places: Vec<(usize, LogName, Option<Genesis>)> =
            leans.iter().enumerate().map(|(at, lean)| (at, LogName::Public(lean.user.server().clone()), None)).collect();
        for one in 0..leans.len() {
            for step in 1..=NEIGHBOURS.min((leans.len() - 1) / 2) {
                let other = (one + step) % leans.len();
                let genesis = Genesis::direct(SuiteName::RsaJwe1, &leans[one].user, &leans[other].user);
                places.extend([one, other].map(|at| (at, genesis.log(), Some(genesis.clone()))));
            }
        }
        let each = course.messages / places.len() as u64;
        let mut rest = course.messages - each * places.len() as u64;
        for (at, log, genesis) in places {
            let hub = genesis.as_ref().map_or_else(|| leans[at].user.server().clone(), |genesis| genesis.hub().clone());
            let truth = self.number_of(hub.as_str());
            let number = self.logs.get(&log).copied().unwrap_or_else(|| self.log(log.clone(), truth));
            let writer = self.writer(&leans[at].user, leans[at].reader, number);
            let quota = each + u64::from(rest > 0);
            rest = rest.saturating_sub(1);
            let home = hub == *leans[at].user.server();
            leans[at].streams.push(Stream::new(writer, number, log, genesis, quota as u32, home));
        }
        leans
    }

    /// People, who all write in public and to each other.
    async fn people(&mut self, course: &Course, world: &World, program: &Program) {
        for number in 0..course.people * course.servers {
            let server = self.servers[number % course.servers].clone();
            let name: UserName = format!("person{number:02}@{server}").parse().expect("a user name");
            let wire = Arc::new(Wire::to(world.address(&server)).await);
            self.wires.push(wire.clone());
            let reader = self.reader(format!("{name}'s profile"), Some(1000 + number as u32));
            let folder = world.data(&server).parent().expect("a folder").to_owned();
            self.people.push(Somebody::register((name, course.suite), world.key(&server), &wire, reader, (program, &folder)).await);
        }
        let everybody: Vec<(UserName, u32)> = self.people.iter().map(|person| (person.name.clone(), person.reader)).collect();
        for at in 0..self.people.len() {
            let (me, reader) = everybody[at].clone();
            let public = self.logs[&LogName::Public(me.server().clone())];
            let mut talks = vec![Talk { writer: self.writer(&me, reader, public), to: "public".into(), ops: Vec::new() }];
            for (other, others) in everybody.iter().filter(|(other, _)| *other != me) {
                let log = Genesis::direct(course.suite, &me, other).log();
                // No server can open it: one of the two is held against the other.
                let number = self.logs.get(&log).copied().unwrap_or_else(|| self.log(log, reader.min(*others)));
                talks.push(Talk { writer: self.writer(&me, reader, number), to: other.to_string(), ops: Vec::new() });
            }
            self.people[at].talks = talks;
            for (other, _) in everybody.iter().filter(|(other, _)| *other != me) {
                self.people[at].meets(other).await;
            }
        }
    }

    fn who_writes(&self, leans: &[Lean]) -> Names {
        let mut writers: Vec<Option<(UserName, Option<DeviceKey>)>> = vec![None; self.history.writers.len()];
        for lean in leans {
            for stream in &lean.streams {
                writers[stream.writer as usize] = Some((lean.user.clone(), Some(lean.secret.public())));
            }
        }
        for person in &self.people {
            for talk in &person.talks {
                writers[talk.writer as usize] = Some((person.name.clone(), None));
            }
        }
        Names::of(writers.into_iter().map(|writer| writer.expect("every writer is somebody's")))
    }

    /// Public logs as every server has them, direct rooms of devices as the servers of the two have them.
    fn served(&mut self, leans: &[Lean]) {
        let mut copies: BTreeMap<(LogName, String), usize> = BTreeMap::new();
        for (at, lean) in leans.iter().enumerate() {
            let server = lean.user.server().to_string();
            let publics = self.logs.keys().filter(|log| matches!(log, LogName::Public(_)));
            let own = lean.streams.iter().map(|stream| &stream.log);
            copies.extend(publics.chain(own).map(|log| ((log.clone(), server.clone()), at)));
        }
        self.copies = copies
            .into_iter()
            .map(|((name, server), at)| {
                let (log, reader, lean) = (self.logs[&name], self.number_of(&server), &leans[at]);
                let is_hub = self.history.logs[log as usize].truth == reader;
                Served { server, reader, name, log, is_hub, user: lean.user.clone(), device: lean.secret.clone() }
            })
            .collect();
    }

    /// From now on hubs are asked for what they have.
    pub fn asked(&mut self, at: Time) {
        self.asked = at;
    }

    /// What has become of what these writers wrote. What was answered after the hubs were asked need not be in what they said.
    pub fn wrote(&mut self, written: impl Iterator<Item = (u32, Vec<Op>)>) {
        for (writer, mut ops) in written {
            for late in ops.iter_mut().filter(|op| op.ended > self.asked) {
                late.outcome = Outcome::Unknown;
            }
            self.history.writers[writer as usize].ops = ops;
        }
    }

    /// The whole history.
    pub fn history(&mut self, readings: Vec<Reading>) -> History {
        History { readings, ..std::mem::take(&mut self.history) }
    }
}
