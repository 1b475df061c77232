//! Runs of servers that are killed, and of wires that are cut, while people write; and what the history checker says of them.
//!
//! A run is decided by its [`Course`], the seed in it most of all: who writes where, which server dies after how many messages
//! and for how long, what is cut. What the machine makes of it differs each time; the faults do not.

mod account;
mod cast;
mod device;
mod dice;
mod faults;
mod names;
mod people;
mod read;
mod shared;

pub use faults::Tally;

use crate::history::{History, Reading, Verdict, check};
use crate::process::Program;
use crate::world::{How, World};
use cast::Cast;
use dice::Dice;
use faults::{Faults, Stalled};
use shared::{Phase, Shared};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidings_proto::LogName;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A run that has no new answer for so long has stalled.
const STALLED: Duration = Duration::from_secs(60);
/// In the end everything that is there has reached everybody by then.
const CATCH_UP: Duration = Duration::from_secs(60);

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Course {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// How many servers; each knows all others.
    pub servers: usize,
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
    let begun = Instant::now();
    let names: Vec<String> = (1..=course.servers).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::made(&names, How::Processes(program.clone()), |_| {}).await;
    let mut dice = Dice::of(course.seed);
    let shared = Shared::begin();
    let mut cast = Cast::gather(&course, &world, Some(program), (&shared, &mut dice)).await;

    let devices: Vec<_> = cast.devices.drain(..).map(|device| tokio::spawn(device.live())).collect();
    let people: Vec<_> = cast.people.drain(..).map(|person| tokio::spawn(person.live(shared.clone(), dice.fork()))).collect();
    let mut complaints = Vec::new();
    let mut faults = Faults::plan(&course, &cast, &mut dice);
    let worked = faults.work(&mut world, &shared).await;
    complaints.extend(worked.err().map(|stalled: Stalled| stalled.to_string()));
    if !shared.reaches(course.messages, STALLED).await {
        complaints.push(format!("stalled with {} of {} messages answered, all faults over", shared.count(), course.messages));
    }
    shared.set(Phase::Settling);
    cast.people = joined(people).await;
    // Whatever was acknowledged is on disk, so nobody misses anything after this.
    for name in &names {
        world.kill(name).await;
        faults.tally.kills += 1;
        world.start(name).await;
    }
    let history = read_back(&world, &mut cast, devices, (&shared, &mut complaints)).await;
    faults.tally.commands = cast.people.iter().map(|person| person.killed).sum();
    let verdict = check(&history);
    Report { course, tally: faults.tally, verdict, complaints, took: begun.elapsed() }
}

/// Reads everything back from every server and every device.
async fn read_back(
    world: &World,
    cast: &mut Cast,
    devices: Vec<JoinHandle<device::Device>>,
    (shared, complaints): (&Arc<Shared>, &mut Vec<String>),
) -> History {
    let mut readings = Vec::new();
    let mut lengths: BTreeMap<LogName, u64> = BTreeMap::new();
    // Hubs first: how long a log is decides when everybody else has all of it.
    for hubs in [true, false] {
        for copy in cast.copies.iter().filter(|copy| copy.is_hub == hubs) {
            let wanted = lengths.get(&copy.name).copied().unwrap_or(0) as usize;
            let mut link = read::Reading::at(world.address(&copy.server), &copy.user, &copy.device).await;
            let items = link.all(&copy.name, &cast.names, wanted).await;
            if hubs {
                lengths.insert(copy.name.clone(), items.len() as u64);
            }
            readings.push(Reading { reader: copy.reader, log: copy.log, at: None, first: 1, items });
        }
    }
    shared.set(Phase::Reading(Arc::new(lengths)));
    let waiting = tokio::spawn({
        let shared = shared.clone();
        async move {
            tokio::time::sleep(CATCH_UP).await;
            shared.set(Phase::Over);
        }
    });
    for mut device in joined(devices).await {
        for (log, items) in device.take_copies() {
            readings.push(Reading { reader: device.reader, log: cast.logs[&log], at: None, first: 1, items });
        }
        readings.append(&mut device.readings);
        complaints.append(&mut device.complaints);
        cast.wrote(device.streams.into_iter().map(|stream| (stream.writer, stream.ops)));
    }
    waiting.abort();
    for person in &mut cast.people {
        match person.reads(&cast.names).await {
            Ok(logs) => {
                let known = logs.into_iter().filter_map(|(log, items)| Some((*cast.logs.get(&log.parse().ok()?)?, items)));
                readings.extend(known.map(|(log, items)| Reading { reader: person.reader, log, at: None, first: 1, items }));
            }
            Err(complaint) => complaints.push(complaint),
        }
    }
    let talks = cast.people.iter_mut().flat_map(|person| person.talks.drain(..)).map(|talk| (talk.writer, talk.ops)).collect::<Vec<_>>();
    cast.wrote(talks.into_iter());
    cast.history(readings)
}

async fn joined<T: Send + 'static>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut done = Vec::new();
    for task in tasks {
        let ended = timeout(CATCH_UP * 3, task).await.expect("everybody comes to an end");
        done.push(ended.expect("nobody panics"));
    }
    done
}
