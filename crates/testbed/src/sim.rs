//! Schedules of whole worlds, by seed: servers, people and the links between them, with every frame's arrival, every commit, every
//! cut and every crash decided by one number. The same seed is the same run, so whatever is found can be looked at again.
//!
//! What runs is what ships, from the frames down: the clients' engine and store, the servers' logs, rules, sequencer, replicas, lanes and
//! what serves a link ([`Channel`](tidings_server::link::channel::Channel)), on the real tables in memory. Of the harness's own are the
//! links (lines of frames that wait for the schedule), the servers' hold on their disks, the clock and the people. Not here: sockets, TLS,
//! handshakes, and how long anything takes; those are of [`crash`](crate::crash).
//!
//! A module of the testbed and no crate of its own, since it shares its die and its judge, the history checker.

mod cast;
mod channel;
mod disk;
mod judge;
mod keys;
mod rights;
mod schedule;
#[cfg(test)]
mod tests;
mod trace;
mod world;

use std::fmt;
use tidings_proto::SuiteName;
use world::World;

/// A defect that the harness plants in what it runs, to see it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Now and then a row of a server's outbox is not written.
    DropsOutboxRow,
    /// A server says that something is durable before it is.
    AnswersBeforeCommit,
    /// A server takes a number that was used.
    TakesTwice,
    /// A server gives out entries in another order than it has chained them in.
    SwapsEntries,
    /// A frame to a client is lost on a link that goes on.
    LosesFrame,
    /// What a peer has answered is forgotten.
    NeverSettles,
    /// Whoever follows a room is told all of it, also what was written before they came and after they went.
    TellsAll,
    /// A follower is told again what it has.
    TellsAgain,
    /// A follower is not told the next entry.
    SkipsEntry,
    /// A server keeps another entry of a peer's log than the one that is chained.
    KeepsAnother,
    /// A server forgets the last change of who is in a room.
    ForgetsMembers,
    /// A server hands a key package out and keeps it.
    KeepsPackages,
    /// Whoever starts again has the keys of rooms as they were before something was sealed, and all else as it is.
    KeysOfBefore,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Flaw; 13] = [
        Flaw::DropsOutboxRow,
        Flaw::AnswersBeforeCommit,
        Flaw::TakesTwice,
        Flaw::SwapsEntries,
        Flaw::LosesFrame,
        Flaw::NeverSettles,
        Flaw::TellsAll,
        Flaw::TellsAgain,
        Flaw::SkipsEntry,
        Flaw::KeepsAnother,
        Flaw::ForgetsMembers,
        Flaw::KeepsPackages,
        Flaw::KeysOfBefore,
    ];

    /// The suite of the worlds in which it can be found.
    pub fn suite(&self) -> SuiteName {
        match self {
            Flaw::KeepsPackages | Flaw::KeysOfBefore => SuiteName::Mls1,
            _ => SuiteName::RsaJwe1,
        }
    }
}

/// The suite of this name.
pub fn suite(name: &str) -> Option<SuiteName> {
    [SuiteName::RsaJwe1, SuiteName::Mls1].into_iter().find(|suite| suite.as_str() == name)
}

/// A schedule: all that decides what happens.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// The suite of private rooms. In worlds of `rsa-jwe-1` most is said in public; in those of `mls-1` all of it in rooms, on several devices.
    pub suite: SuiteName,
    /// What is planted.
    pub flaw: Option<Flaw>,
    /// The program of this device ends in the moment of this write, the first being 0, and starts again.
    pub ends: Option<(usize, u64)>,
    /// Whether every step is kept.
    pub verbose: bool,
}

impl Plan {
    /// The schedule of a seed, as it is.
    pub fn of(suite: SuiteName, seed: u64) -> Plan {
        Plan { seed, suite, flaw: None, ends: None, verbose: false }
    }
}

/// What schedules came to, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Steps, until all was at rest.
    pub steps: u64,
    /// Frames that arrived.
    pub frames: u64,
    /// Messages that were written.
    pub messages: u64,
    /// Messages that are in their log.
    pub acknowledged: u64,
    /// Messages that were refused for good.
    pub refused: u64,
    /// Servers that were killed.
    pub kills: u64,
    /// Programs of people that ended in the middle of something.
    pub crashes: u64,
    /// Links that were cut.
    pub cuts: u64,
    /// Messages that were sealed on MLS and have left a device, each by a key of its own.
    pub sealed: u64,
}

impl Sums {
    /// Each with its name.
    pub fn named(&self) -> [(&'static str, u64); 9] {
        let Sums { steps, frames, messages, acknowledged, refused, kills, crashes, cuts, sealed } = *self;
        let names = ["steps", "frames", "messages", "acknowledged", "refused", "kills", "crashes", "cuts", "sealed"];
        let mut all = names.map(|name| (name, 0));
        for (one, sum) in all.iter_mut().zip([steps, frames, messages, acknowledged, refused, kills, crashes, cuts, sealed]) {
            one.1 = sum;
        }
        all
    }

    /// And those of another.
    pub fn add(&mut self, other: &Sums) {
        self.steps += other.steps;
        self.frames += other.frames;
        self.messages += other.messages;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.kills += other.kills;
        self.crashes += other.crashes;
        self.cuts += other.cuts;
        self.sealed += other.sealed;
    }
}

/// What a schedule came to.
#[derive(Debug)]
pub struct Run {
    /// Which.
    pub seed: u64,
    /// Of all that happened, in order: the same for the same seed.
    pub hash: u64,
    /// Every step, where they were asked for.
    pub trace: Option<String>,
    /// What is wrong; nothing where all is well.
    pub wrong: Vec<String>,
    /// What happened.
    pub sums: Sums,
    /// How often each device has written to its profile.
    pub writes: Vec<u64>,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.trace.as_deref().unwrap_or_default())?;
        write!(f, "seed {}: trace {:016x}", self.seed, self.hash)?;
        self.sums.named().iter().try_for_each(|(name, sum)| write!(f, ", {sum} {name}"))?;
        self.wrong.iter().try_for_each(|wrong| write!(f, "\n  {wrong}"))
    }
}

/// Runs a schedule, to its end.
pub fn run(plan: Plan) -> Run {
    let mut world = World::new(plan);
    world.runs();
    match world.heals() {
        Ok(()) => {}
        Err(why) => world.wrong.push(why),
    }
    world.judge();
    world.sums.steps = world.steps;
    let writes = world.people.iter().map(|person| person.bare.commits()).collect();
    let World { trace, wrong, sums, .. } = world;
    Run { seed: plan.seed, hash: trace.hash(), trace: trace.lines(), wrong, sums, writes }
}
