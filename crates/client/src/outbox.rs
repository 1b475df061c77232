//! What is on its way, log by log: which drafts to submit next, and what an answer means for those behind it.
//!
//! Pure: no store, no socket, no clock. Sealed drafts go in, frames to send come out; the caller commits what is reported.
//! Within a log drafts go in order of n, up to [`WINDOW`] unanswered at a time; a refusal holds back all that follow it.

use crate::platform::Instant;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;
use tidings_proto::frame::Submit;
use tidings_proto::{Code, Genesis, Kind, LogName, Refusal};

/// Unanswered drafts a log may have.
pub const WINDOW: usize = 64;
/// The first pause after a refusal that will pass; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause after a refusal that will pass.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A sealed draft.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Its row in the outbox.
    pub row: i64,
    /// What it becomes.
    pub kind: Kind,
    /// Its number.
    pub n: u64,
    /// Its bytes: the same at every try.
    pub draft: Bytes,
    /// Direct rooms: what names the room.
    pub genesis: Option<Genesis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be submitted on this link.
    Ready,
    /// Submitted with this request number.
    Flying(u32),
    /// Durable on the home server.
    Queued,
    /// Answered: a draft before it is missing, and not here.
    Orphaned,
}

#[derive(Default)]
struct Lane {
    parcels: VecDeque<(Parcel, State)>,
    held_until: Option<Instant>,
    refusals: u32,
    /// The last number the hub has taken, when the one after it is not here: what is left must be numbered anew.
    renumber_after: Option<u64>,
    /// This lane waits until that one has nothing left that is not durable elsewhere.
    behind: Option<LogName>,
}

/// All logs with something unanswered.
#[derive(Default)]
pub struct Outbox {
    lanes: BTreeMap<LogName, Lane>,
    flying: HashMap<u32, (LogName, i64)>,
}

/// What a refusal comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to commit: it is tried again, or the answer was stale.
    TryAgain,
    /// This row is refused for good; to be committed as failed.
    Failed {
        /// The row.
        row: i64,
        /// Its log.
        log: LogName,
        /// What it was.
        kind: Kind,
    },
}

impl Outbox {
    /// Takes a sealed draft. It goes before those of a higher n: after a restart they come in the order in which they were written, and what
    /// changes keys was sealed before what waited for them.
    pub fn add(&mut self, log: &LogName, parcel: Parcel) {
        let parcels = &mut self.lanes.entry(log.clone()).or_default().parcels;
        let at = parcels.partition_point(|(before, _)| before.n < parcel.n);
        parcels.insert(at, (parcel, State::Ready));
    }

    /// `log` waits until everything in `first` is durable on the home server at least.
    pub fn go_behind(&mut self, log: &LogName, first: &LogName) {
        self.lanes.entry(log.clone()).or_default().behind = Some(first.clone());
    }

    /// Sealed and unanswered drafts of a log.
    pub fn load(&self, log: &LogName) -> usize {
        self.lanes.get(log).map_or(0, |lane| lane.parcels.len())
    }

    /// Whether new drafts of this log may be sealed now: not while numbers are being settled.
    pub fn may_seal(&self, log: &LogName) -> bool {
        self.lanes.get(log).is_none_or(|lane| lane.parcels.len() < WINDOW && lane.renumber_after.is_none())
    }

    /// Takes out everything of a log.
    pub fn clear(&mut self, log: &LogName) {
        self.lanes.remove(log);
        self.flying.retain(|_, (flying, _)| flying != log);
    }

    /// Whether `log` still waits behind another.
    pub fn is_behind(&self, log: &LogName) -> bool {
        self.lanes.get(log).is_some_and(|lane| lane.behind.is_some())
    }

    /// What to submit now.
    pub fn submits(&mut self, now: Instant, mut next_req: impl FnMut() -> u32) -> Vec<Submit> {
        let unsettled: Vec<LogName> = self.lanes.iter().filter(|(_, lane)| !lane.is_safe()).map(|(log, _)| log.clone()).collect();
        let mut out = Vec::new();
        for (log, lane) in &mut self.lanes {
            if lane.behind.as_ref().is_some_and(|first| unsettled.contains(first)) {
                continue;
            }
            lane.behind = None;
            if lane.held_until.is_some_and(|until| until > now) || lane.renumber_after.is_some() {
                continue;
            }
            lane.held_until = None;
            let mut room = WINDOW - lane.parcels.iter().filter(|(_, state)| matches!(state, State::Flying(_))).count().min(WINDOW);
            for (parcel, state) in lane.parcels.iter_mut().filter(|(_, state)| *state == State::Ready) {
                if room == 0 {
                    break;
                }
                room -= 1;
                let req = next_req();
                *state = State::Flying(req);
                self.flying.insert(req, (log.clone(), parcel.row));
                out.push(Submit { req, log: log.clone(), draft: parcel.draft.clone(), genesis: parcel.genesis.clone() });
            }
        }
        out
    }

    /// Logs whose drafts must be sealed anew, and the last number the hub has taken there: only once every draft in them is
    /// known not to have been taken, so that no text can be taken twice. The log is cleared.
    pub fn take_renumbered(&mut self) -> Vec<(LogName, u64)> {
        let due = self.lanes.iter().filter(|(_, lane)| !lane.is_open());
        let due: Vec<(LogName, u64)> = due.filter_map(|(log, lane)| Some((log.clone(), lane.renumber_after?))).collect();
        for (log, _) in &due {
            // What holds the lane back stays.
            if let Some(lane) = self.lanes.get_mut(log) {
                lane.parcels.clear();
                lane.renumber_after = None;
            }
            self.flying.retain(|_, (flying, _)| flying != log);
        }
        due
    }

    /// When there is something to submit again.
    pub fn wake_at(&self) -> Option<Instant> {
        self.lanes.values().filter(|lane| !lane.parcels.is_empty()).filter_map(|lane| lane.held_until).min()
    }

    /// The log that a request is about.
    pub fn log_of(&self, req: u32) -> Option<&LogName> {
        self.flying.get(&req).map(|(log, _)| log)
    }

    /// What a request is about.
    pub fn parcel_of(&self, req: u32) -> Option<(&LogName, &Parcel)> {
        let (log, row) = self.flying.get(&req)?;
        let (parcel, _) = self.lanes.get(log)?.parcels.iter().find(|(parcel, _)| parcel.row == *row)?;
        Some((log, parcel))
    }

    /// Durable in its log. Returns the row to be committed as sent.
    pub fn accepted(&mut self, req: u32) -> Option<i64> {
        let (log, row) = self.flying.remove(&req)?;
        let lane = self.lanes.get_mut(&log)?;
        lane.refusals = 0;
        let at = lane.parcels.iter().position(|(parcel, _)| parcel.row == row)?;
        lane.parcels.remove(at);
        Some(row)
    }

    /// Durable on the home server. Returns the row to be committed as waiting; its number stays open for the final answer.
    pub fn queued(&mut self, req: u32) -> Option<i64> {
        let (log, row) = self.flying.get(&req)?;
        let lane = self.lanes.get_mut(log)?;
        let (_, state) = lane.parcels.iter_mut().find(|(parcel, _)| parcel.row == *row)?;
        *state = State::Queued;
        Some(*row)
    }

    /// A draft of ours was seen in its log, whether or not its answer has come.
    pub fn seen(&mut self, log: &LogName, n: u64) {
        if let Some(lane) = self.lanes.get_mut(log) {
            lane.parcels.retain(|(parcel, _)| parcel.n != n);
        }
    }

    /// Not taken.
    pub fn refused(&mut self, req: u32, why: &Refusal, now: Instant) -> Option<Verdict> {
        let (log, row) = self.flying.remove(&req)?;
        let Some(lane) = self.lanes.get_mut(&log) else { return Some(Verdict::TryAgain) };
        let Some(at) = lane.parcels.iter().position(|(parcel, _)| parcel.row == row) else { return Some(Verdict::TryAgain) };
        // After a refusal its followers are submitted anew; what their first tries come to is of no interest any more.
        if !matches!(lane.parcels[at].1, State::Flying(current) if current == req) && lane.parcels[at].1 != State::Queued {
            return Some(Verdict::TryAgain);
        }
        let n = lane.parcels[at].0.n;
        Some(match why.code {
            Code::Gap => {
                lane.gap(at, why.last.unwrap_or(n - 1), now);
                Verdict::TryAgain
            }
            // This profile was restored from a copy: what it counted on from is not the last any more.
            Code::Rewound if why.last.is_some_and(|last| last >= n) => {
                lane.parcels[at].1 = State::Orphaned;
                lane.renumber_after = lane.renumber_after.max(why.last);
                lane.hold(now, why.retry_after);
                Verdict::TryAgain
            }
            Code::Stale => {
                lane.parcels[at].1 = State::Orphaned;
                lane.renumber_after = Some(lane.renumber_after.map_or(n - 1, |last| last.min(n - 1)));
                lane.hold(now, why.retry_after);
                Verdict::TryAgain
            }
            code if will_pass(code, lane.parcels[at].0.kind) => {
                lane.go_back(n);
                lane.hold(now, why.retry_after);
                Verdict::TryAgain
            }
            _ => {
                let (parcel, _) = lane.parcels.remove(at)?;
                Verdict::Failed { row, log, kind: parcel.kind }
            }
        })
    }
}

/// Whether the same draft may be taken later. What is in conflict with what has happened stays so; a server that is full has room
/// later, but nobody waits for somebody to leave a full group.
fn will_pass(code: Code, kind: Kind) -> bool {
    match code {
        Code::NotYet | Code::TooFast | Code::Unreachable | Code::Internal | Code::Busy => true,
        Code::Full => !kind.is_membership(),
        _ => false,
    }
}

impl Lane {
    /// Whether everything here is durable on the home server at least.
    fn is_safe(&self) -> bool {
        self.parcels.iter().all(|(_, state)| *state == State::Queued)
    }

    /// Everything from `n` on is submitted again.
    fn go_back(&mut self, n: u64) {
        for (_, state) in self.parcels.iter_mut().filter(|(parcel, _)| parcel.n >= n) {
            *state = State::Ready;
        }
    }

    fn hold(&mut self, now: Instant, retry_after: Option<u64>) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.refusals.min(10)).min(LONGEST_PAUSE);
        self.refusals = self.refusals.saturating_add(1);
        let asked = Duration::from_secs(retry_after.unwrap_or(0).min(3600));
        self.held_until = Some(now + pause.max(asked));
    }

    /// The hub's last number from us is `last`. Where we have the next one, we go back to it; where we have not (it was
    /// refused for good), what follows is to be numbered anew.
    fn gap(&mut self, at: usize, last: u64, now: Instant) {
        // Whatever number a server says, saying it stops nothing here.
        let next = last.saturating_add(1);
        if self.parcels.iter().any(|(parcel, _)| parcel.n == next) {
            self.go_back(next);
            // The first gap is the price of pipelining; one that comes again is not mended by hurry.
            if self.refusals > 0 {
                self.hold(now, None);
            } else {
                self.refusals = 1;
            }
        } else {
            self.parcels[at].1 = State::Orphaned;
            self.renumber_after = Some(last);
        }
    }

    /// Whether an answer is still to come for something here.
    fn is_open(&self) -> bool {
        self.parcels.iter().any(|(_, state)| matches!(state, State::Flying(_) | State::Queued))
    }
}

#[cfg(test)]
mod tests;
