//! Runs of servers that are killed, and of wires that are cut, while people write; and what the history checker says of them.
//!
//! A run is decided by its [`Course`], the seed in it most of all: who writes where, which server dies after how many messages
//! and for how long, what is cut. What the machine makes of it differs each time; the faults do not.

pub(crate) mod account;
mod cast;
mod device;
pub(crate) mod dice;
mod faults;
mod group;
mod names;
mod people;
mod read;
mod shared;

pub use faults::Tally;
pub use group::run_group;

use crate::history::{Reading, Verdict, check};
use crate::process::Program;
use crate::wire::Wire;
use crate::world::{How, World};
use cast::Cast;
use device::Device;
use dice::Dice;
use faults::Faults;
use people::Somebody;
use shared::{Phase, Shared};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidings_proto::{LogName, SuiteName};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Course {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// How many servers; each knows all others.
    pub servers: usize,
    /// What people with the real program, and groups, seal on. Lean devices have no keys of others, so they are in rooms of `rsa-jwe-1`.
    pub suite: SuiteName,
    /// Lean devices on each.
    pub devices: usize,
    /// People with the real program on each.
    pub people: usize,
    /// Messages of lean devices, all together.
    pub messages: u64,
    /// How often a server is killed.
    pub kills: usize,
    /// How often wires are cut, and answers lost.
    pub cuts: usize,
    /// With no new answer for so long a run has stalled; and by then everything has reached everybody in the end.
    pub patience: Duration,
}

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// What it was made of.
    pub course: Course,
    /// What was done to it.
    pub tally: Tally,
    /// What the checker says.
    pub verdict: Verdict,
    /// What else went wrong: refusals for good, broken chains, a run that stalled.
    pub complaints: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.verdict.is_clean() && self.complaints.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { course, tally, verdict, complaints, took } = self;
        write!(f, "seed {}: {} servers, {tally}, {:.1} s; {verdict}", course.seed, course.servers, took.as_secs_f64())?;
        complaints.iter().take(20).try_for_each(|complaint| write!(f, "\n  {complaint}"))
    }
}

/// What the servers of a run allow: nothing that is about to be measured here is held up by limits of speed.
pub fn limits() -> Vec<(&'static str, u64)> {
    let names =
        ["messages_per_second", "message_burst", "registration_burst", "registrations_per_minute", "guests_per_address", "login_burst"];
    names.into_iter().map(|name| (name, 1_000_000)).collect()
}

/// Runs a course with servers in processes of their own.
pub async fn run(course: Course, program: &Program) -> Report {
    let mut run = Run::begin(course, How::Processes(program.clone()), Some(program)).await;
    run.suffer().await;
    run.finish().await
}

/// A run under way.
pub struct Run {
    /// Its servers.
    pub world: World,
    course: Course,
    begun: Instant,
    shared: Arc<Shared>,
    cast: Cast,
    faults: Faults,
    devices: Vec<JoinHandle<Device>>,
    people: Vec<JoinHandle<Somebody>>,
    complaints: Vec<String>,
}

impl Run {
    /// Starts the servers, gathers everybody, and lets them write. Without a program there are no people who use it.
    pub async fn begin(course: Course, how: How, program: Option<&Program>) -> Run {
        let begun = Instant::now();
        let names: Vec<String> = (1..=course.servers).map(|n| format!("s{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let generous = |config: &mut tidings_server::Config| config.limits = inside();
        let world = World::made(&names, how, generous).await;
        let mut dice = Dice::of(course.seed);
        let shared = Shared::begin();
        let mut cast = Cast::gather(&course, &world, program, (&shared, &mut dice)).await;
        let devices = cast.devices.drain(..).map(|device| tokio::spawn(device.live())).collect();
        let people = cast.people.drain(..).map(|person| tokio::spawn(person.live(shared.clone(), dice.fork()))).collect();
        let faults = Faults::plan(&course, &cast, &mut dice);
        Run { world, course, begun, shared, cast, faults, devices, people, complaints: Vec::new() }
    }

    /// Does everything to it that its course says.
    pub async fn suffer(&mut self) {
        let worked = self.faults.work(&mut self.world, &self.shared, self.course.patience).await;
        self.complaints.extend(worked.err());
    }

    /// Waits until so many messages have their answer.
    pub async fn answered(&self, count: u64) -> bool {
        self.shared.reaches(count, self.course.patience).await
    }

    /// The wires by which devices and people reach their servers.
    pub fn wires(&self) -> &[Arc<Wire>] {
        &self.cast.wires
    }

    /// Waits for the last answers, kills everything once more, reads everything back, and judges.
    pub async fn finish(mut self) -> Report {
        if !self.answered(self.course.messages).await {
            let (count, all) = (self.shared.count(), self.course.messages);
            self.complaints.push(format!("stalled with {count} of {all} messages answered, all faults over"));
        }
        self.shared.set(Phase::Settling);
        self.cast.people = joined(std::mem::take(&mut self.people), self.course.patience).await;
        // Whatever was acknowledged is on disk, so nobody misses anything after this.
        for name in self.world.names() {
            self.world.kill(&name).await;
            self.faults.tally.kills += 1;
            self.world.start(&name).await;
        }
        // What waits on people's devices goes out now, so that hubs are asked for everything.
        for person in &self.cast.people {
            self.complaints.extend(person.settles().await.err());
        }
        // In a run that has stalled things may still move.
        self.cast.asked(self.shared.now());
        let mut readings = self.servers_copies().await;
        readings.extend(self.devices_copies().await);
        readings.extend(self.peoples_copies().await);
        let verdict = check(&self.cast.history(readings));
        Report { course: self.course, tally: self.faults.tally, verdict, complaints: self.complaints, took: self.begun.elapsed() }
    }

    /// What the servers hand out. From here on the devices know how much there is.
    async fn servers_copies(&self) -> Vec<Reading> {
        let deadline = Instant::now() + self.course.patience;
        let mut readings = Vec::new();
        let mut lengths: BTreeMap<LogName, u64> = BTreeMap::new();
        // Hubs first: how long a log is decides when everybody else has all of it.
        for hubs in [true, false] {
            for copy in self.cast.copies.iter().filter(|copy| copy.is_hub == hubs) {
                let wanted = lengths.get(&copy.name).copied().unwrap_or(0) as usize;
                let mut link = read::Reading::at(self.world.address(&copy.server), &copy.user, &copy.device).await;
                let items = link.all(&copy.name, &self.cast.names, (wanted, deadline.into())).await;
                if hubs {
                    lengths.insert(copy.name.clone(), items.len() as u64);
                }
                readings.push(Reading { reader: copy.reader, log: copy.log, at: None, first: 1, items });
            }
        }
        self.shared.set(Phase::Reading(Arc::new(lengths)));
        readings
    }

    /// What devices have followed, and what they read while they wrote.
    async fn devices_copies(&mut self) -> Vec<Reading> {
        let waiting = tokio::spawn({
            let (shared, patience) = (self.shared.clone(), self.course.patience);
            async move {
                tokio::time::sleep(patience).await;
                shared.set(Phase::Over);
            }
        });
        let mut readings = Vec::new();
        for mut device in joined(std::mem::take(&mut self.devices), self.course.patience).await {
            for (log, items) in device.take_copies() {
                readings.push(Reading { reader: device.reader, log: self.cast.logs[&log], at: None, first: 1, items });
            }
            readings.append(&mut device.readings);
            self.complaints.append(&mut device.complaints);
            self.cast.wrote(device.streams.into_iter().map(|stream| (stream.writer, stream.ops)));
        }
        waiting.abort();
        readings
    }

    /// What people are shown, once all of them are shown as much: what one has sent last may still be on its way to another.
    async fn peoples_copies(&mut self) -> Vec<Reading> {
        let people = std::mem::take(&mut self.cast.people);
        let deadline = Instant::now() + self.course.patience;
        let readings = loop {
            let mut readings = Vec::new();
            for person in &people {
                match person.reads(&self.cast.names).await {
                    Ok(logs) => {
                        let known = logs.into_iter().filter_map(|(log, items)| Some((*self.cast.logs.get(&log.parse().ok()?)?, items)));
                        readings.extend(known.map(|(log, items)| Reading { reader: person.reader, log, at: None, first: 1, items }));
                    }
                    Err(complaint) => self.complaints.push(complaint),
                }
            }
            let longest = |log| readings.iter().filter(|other: &&Reading| other.log == log).map(|other| other.items.len()).max();
            let all = readings.iter().all(|reading| Some(reading.items.len()) == longest(reading.log));
            if all || Instant::now() > deadline || !self.complaints.is_empty() {
                break readings;
            }
        };
        for person in &people {
            self.complaints.extend(person.is_well().await.err());
        }
        for person in people {
            self.faults.tally.commands += person.killed;
            self.cast.wrote(person.talks.into_iter().map(|talk| (talk.writer, talk.ops)));
        }
        readings
    }
}

async fn joined<T: Send + 'static>(tasks: Vec<JoinHandle<T>>, patience: Duration) -> Vec<T> {
    let mut done = Vec::new();
    for task in tasks {
        let ended = timeout(patience * 3, task).await.expect("everybody comes to an end");
        done.push(ended.expect("nobody panics"));
    }
    done
}

/// The same as [`limits`] for servers in this process.
fn inside() -> tidings_server::Limits {
    let most = 1_000_000;
    tidings_server::Limits {
        messages_per_second: most,
        message_burst: most,
        registration_burst: most,
        registrations_per_minute: most,
        guests_per_address: most,
        login_burst: most,
        ..tidings_server::Limits::default()
    }
}
