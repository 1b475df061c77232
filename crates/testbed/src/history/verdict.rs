//! What the checker found, in words that lead to the defect.

use super::Id;
use std::fmt;

/// Of each kind so many violations are told one by one; the rest is counted.
const TOLD: usize = 20;

/// What can be wrong with a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Acknowledged, or durable on its way, and not there.
    Lost,
    /// There more than once.
    Twice,
    /// There, and never written, or refused for good.
    Invented,
    /// Acknowledged at another place than it has.
    Moved,
    /// Not in its author's own order.
    AuthorsOrder,
    /// Before something that was acknowledged before it was written.
    Overtaken,
    /// A reader has another order or content than the hub.
    Differs,
    /// A reader lacks what it should have.
    Behind,
    /// A reader did not see what it had written itself.
    OwnUnseen,
    /// Opened by somebody who was not a member when it was written.
    Outsider,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 10] = [
        Kind::Lost,
        Kind::Twice,
        Kind::Invented,
        Kind::Moved,
        Kind::AuthorsOrder,
        Kind::Overtaken,
        Kind::Differs,
        Kind::Behind,
        Kind::OwnUnseen,
        Kind::Outsider,
    ];

    /// As a key in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Lost => "lost",
            Kind::Twice => "twice",
            Kind::Invented => "invented",
            Kind::Moved => "moved",
            Kind::AuthorsOrder => "authors_order",
            Kind::Overtaken => "overtaken",
            Kind::Differs => "differs",
            Kind::Behind => "behind",
            Kind::OwnUnseen => "own_unseen",
            Kind::Outsider => "outsider",
        }
    }
}

/// One thing that cannot be.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which sort.
    pub kind: Kind,
    /// The messages that it is about.
    pub ids: Vec<Id>,
    /// What was found, where, and what should have been there.
    pub said: String,
}

/// What a check came to.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Messages whose writers were told that they are in their log.
    pub acknowledged: u64,
    /// Messages that were durable on their way.
    pub kept: u64,
    /// Messages of which nobody was told anything.
    pub unknown: u64,
    /// Messages that were refused for good.
    pub refused: u64,
    /// Entries that were read, by all readers together.
    pub read: u64,
    counts: [u64; Kind::ALL.len()],
    /// The first violations of each kind.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// Notes a violation; `said` is asked only where it is told.
    pub(super) fn found(&mut self, kind: Kind, ids: &[Id], said: impl FnOnce() -> String) {
        let count = &mut self.counts[kind as usize];
        *count += 1;
        if *count <= TOLD as u64 {
            self.violations.push(Violation { kind, ids: ids.to_vec(), said: said() });
        }
    }

    /// How many violations of a kind there are.
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts[kind as usize]
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { acknowledged, kept, unknown, refused, read, .. } = self;
        write!(f, "{acknowledged} acknowledged, {kept} kept, {unknown} unknown, {refused} refused; {read} entries read;")?;
        for kind in Kind::ALL {
            write!(f, " {} {}", self.count(kind), kind.name())?;
        }
        for Violation { kind, said, .. } in &self.violations {
            write!(f, "\n  {}: {said}", kind.name())?;
        }
        let told = self.violations.len() as u64;
        let all: u64 = self.counts.iter().sum();
        if all > told { write!(f, "\n  and {} more", all - told) } else { Ok(()) }
    }
}
