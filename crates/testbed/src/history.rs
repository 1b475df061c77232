//! What happened in a world, as its clients saw it: what each wrote and was told, and what everybody read once all was healed.
//!
//! Plain values. Who fills them in is a world's business; whether they can be true is [`check`]'s. Nothing here knows of
//! servers, sockets or clocks.

mod check;
#[cfg(test)]
mod tests;
mod verdict;

pub use check::check;
pub use verdict::{Kind, Verdict, Violation};

use std::fmt;

/// Microseconds since the world began, by one clock for all of its clients.
pub type Time = u64;

/// Names a message in a history: its writer, by number, and that writer's own count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Which writer.
    pub writer: u32,
    /// Which of its messages.
    pub n: u32,
}

/// `w3n12`: what a message says, so that whoever opens it can tell which it is.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}n{}", self.writer, self.n)
    }
}

impl Id {
    /// Reads what [`Id`] writes, and nothing else.
    pub fn parse(text: &str) -> Option<Id> {
        let (writer, n) = text.strip_prefix('w')?.split_once('n')?;
        let id = Id { writer: writer.parse().ok()?, n: n.parse().ok()? };
        (id.to_string() == text).then_some(id)
    }
}

/// Everything that is known of one run.
#[derive(Debug, Default)]
pub struct History {
    /// The logs that were written in.
    pub logs: Vec<Log>,
    /// Everybody who wrote, once for each log: a device in a log.
    pub writers: Vec<Writer>,
    /// Everybody who read: devices, and servers by what they hand out.
    pub readers: Vec<Reader>,
    /// What they read.
    pub readings: Vec<Reading>,
}

/// A log.
#[derive(Debug, Clone)]
pub struct Log {
    /// What it is called.
    pub name: String,
    /// The reader whose last reading of it all others are held against: its hub, or somebody who was in from the beginning.
    pub truth: u32,
    /// Whether only who has joined may open what is in it.
    pub by_members: bool,
}

/// A device in a log.
#[derive(Debug, Clone)]
pub struct Writer {
    /// What it is called.
    pub name: String,
    /// The reader that is the same device.
    pub reader: u32,
    /// The log.
    pub log: u32,
    /// What it wrote: message n is `ops[n - 1]`.
    pub ops: Vec<Op>,
}

/// One message on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// When it was written.
    pub invoked: Time,
    /// When its writer was told what became of it; for an unknown outcome this says nothing.
    pub ended: Time,
    /// What its writer was told.
    pub outcome: Outcome,
}

/// What a writer knows of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: it may be there or not.
    Unknown,
    /// It was refused for good: it must not be there.
    Refused,
    /// It is durable on its way, on its writer's device or home server: once all is healed it must be there.
    Kept,
    /// It is in its log, at this place; 0 where the writer was not told which.
    Acknowledged(u64),
}

/// Somebody who reads.
#[derive(Debug, Clone)]
pub struct Reader {
    /// What it is called.
    pub name: String,
    /// Whose device it is, by a number of the world's own; none for a server, which hands out everything.
    pub user: Option<u32>,
}

/// Consecutive entries of one log, as one reader had them.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Who.
    pub reader: u32,
    /// Of which log.
    pub log: u32,
    /// When the reader asked, if it was during the run: then it is what was there so far. `None`: once all was healed, and then it
    /// must be everything.
    pub at: Option<Time>,
    /// The place of the first of them.
    pub first: u64,
    /// What was there.
    pub items: Vec<Item>,
}

/// What a reader found at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A message, opened, by who wrote it.
    Message(Id),
    /// A user comes in.
    Joined(u32),
    /// A user goes, or is put out.
    Left(u32),
    /// Something that the protocol itself put there.
    Other,
    /// Something that this reader cannot open, or has no part in.
    Closed,
    /// Something that nobody of this world wrote, or by another author than it says.
    Strange,
}
