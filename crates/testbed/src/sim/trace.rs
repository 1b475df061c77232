//! What happened in a world, as far as it is kept: a hash of every line, by which two runs are compared, and the lines where somebody
//! wants to read them.

use std::fmt;
use tidings_proto::frame::{Accepted, Ended, Entries, Follow, Item, LogRef, Named, Refused, Submit};
use tidings_proto::{Draft, Entry, Frame, LogName, limits};

/// Every line so far.
pub struct Trace {
    hash: u64,
    lines: Option<String>,
}

impl Trace {
    /// Nothing has happened.
    pub fn new(kept: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, lines: kept.then(String::new) }
    }

    /// A line.
    pub fn note(&mut self, line: fmt::Arguments<'_>) {
        let line = line.to_string();
        // FNV-1a: told apart, not protected.
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if let Some(lines) = &mut self.lines {
            lines.push_str(&line);
            lines.push('\n');
        }
    }

    /// What frames say, for who reads it: keys and nonces are chance, so none of it is in the hash.
    pub fn frames(&mut self, frames: &[bytes::Bytes]) {
        let Some(lines) = &mut self.lines else { return };
        for frame in frames.iter().filter_map(|frame| Frame::read(frame, limits::PEER_FRAME).ok()) {
            lines.push_str(&format!("    {}\n", said(&frame)));
        }
    }

    /// By which two runs are compared.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Every line, where they were asked for.
    pub fn lines(self) -> Option<String> {
        self.lines
    }
}

fn said(frame: &Frame) -> String {
    let name = frame.name();
    match frame {
        Frame::Follow(Follow { logs }) => logs.iter().fold(name.to_owned(), |line, (log, after)| match log {
            LogRef::Name(log) => format!("{line} {} after {after}", short(log)),
            LogRef::Number(number) => format!("{line} #{number} after {after}"),
        }),
        Frame::Named(Named { number, log }) => format!("{name} #{number} is {}", short(log)),
        Frame::Entries(Entries { log, items, .. }) => items.iter().fold(format!("{name} #{log}"), |line, item| line + &entry(item)),
        Frame::Submit(Submit { req, log, draft, .. }) => {
            let draft = tidings_proto::draft::read(draft.clone()).map_or_else(|error| error.to_string(), |draft| of(&draft));
            format!("{name} {req}: {} {draft}", short(log))
        }
        Frame::Accepted(Accepted { req, seq, .. }) => format!("{name} {req}: at {seq}"),
        Frame::Refused(Refused { req, why, log }) => {
            format!("{name} {req}: {} {} {}", why.code.name(), why.text, log.as_ref().map(short).unwrap_or_default())
        }
        Frame::Ended(Ended { log, seq, .. }) => format!("{name} {} at {seq}", short(log)),
        Frame::Chain(chain) => format!("{name} of {} after {}", chain.user, chain.after),
        _ => name.to_owned(),
    }
}

fn entry(item: &Item) -> String {
    match Entry::read(&item.entry) {
        Ok(entry) => format!(" [{}: {}]", entry.seq, entry.draft().map_or_else(|| "stub".to_owned(), |draft| of(draft))),
        Err(error) => format!(" [{error}]"),
    }
}

fn of(draft: &Draft) -> String {
    format!("{:?} {} of {}", draft.kind, draft.n, draft.author)
}

/// As much of a log's name as tells it from the others of its world.
fn short(log: &LogName) -> String {
    log.to_string().chars().take(16).collect()
}
