//! The newest entries of all logs, encoded once as the frames that followers are sent. A follower that keeps up never
//! touches the store.

use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use tidings_proto::chain::Tip;
use tidings_proto::frame::{Entries, Item};
use tidings_proto::{Code, Frame, Hash, Refusal, limits};

/// Bytes of frames that are kept.
const KEPT: usize = 32 * 1024 * 1024;

/// The ring of frames.
#[derive(Default)]
pub struct Tail(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    logs: HashMap<u64, VecDeque<Run>>,
    /// The logs of the frames, oldest frame first.
    order: VecDeque<u64>,
    size: usize,
}

/// Consecutive entries of one log in one frame.
#[derive(Clone)]
pub struct Run {
    first: u64,
    /// The last entry in the frame.
    pub last: u64,
    /// The chain's hash before the first.
    pub prev: Hash,
    /// The encoded frame, for whoever has been sent the entry before: `prev` is not in it.
    pub frame: Bytes,
}

impl Run {
    fn of(log: u64, before: Tip, last: u64, items: Vec<Item>) -> Run {
        let frame = Frame::Entries(Entries { log, prev: None, items }).encode();
        Run { first: before.seq + 1, last, prev: before.hash, frame }
    }

    /// The entries in the frame.
    pub fn items(&self) -> Result<Vec<Item>, Refusal> {
        match Frame::read(&self.frame, limits::CLIENT_FRAME)? {
            Frame::Entries(entries) => Ok(entries.items),
            other => Err(Refusal::new(Code::Internal, format!("{} in the tail", other.name()))),
        }
    }
}

impl Tail {
    /// Keeps `entries`, which follow `before` in `log`.
    pub fn push(&self, log: u64, before: Tip, entries: Vec<(Tip, Item)>) {
        let runs = encode(log, before, entries);
        let mut ring = self.locked();
        for run in runs {
            ring.size += run.frame.len();
            ring.order.push_back(log);
            ring.logs.entry(log).or_default().push_back(run);
        }
        while ring.size > KEPT
            && let Some(log) = ring.order.pop_front()
        {
            let Some(runs) = ring.logs.get_mut(&log) else { continue };
            let gone = runs.pop_front().map_or(0, |run| run.frame.len());
            if runs.is_empty() {
                ring.logs.remove(&log);
            }
            ring.size -= gone;
        }
    }

    /// Keeps nothing of `log`.
    pub fn forget(&self, log: u64) {
        let mut ring = self.locked();
        let gone: usize = ring.logs.remove(&log).into_iter().flatten().map(|run| run.frame.len()).sum();
        ring.size -= gone;
        ring.order.retain(|other| *other != log);
    }

    /// The frame whose first entry is the one after `after`.
    pub fn after(&self, log: u64, after: u64) -> Option<Run> {
        let ring = self.locked();
        let runs = ring.logs.get(&log)?;
        let at = runs.binary_search_by_key(&(after + 1), |run| run.first).ok()?;
        runs.get(at).cloned()
    }

    fn locked(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Frames of at most a page each, one entry at least.
fn encode(log: u64, before: Tip, entries: Vec<(Tip, Item)>) -> Vec<Run> {
    let mut runs = Vec::new();
    let (mut start, mut end, mut size, mut items) = (before, before, 0, Vec::new());
    for (tip, item) in entries {
        if size + item.entry.len() > limits::PAGE && !items.is_empty() {
            runs.push(Run::of(log, start, end.seq, std::mem::take(&mut items)));
            (start, size) = (end, 0);
        }
        size += item.entry.len();
        items.push(item);
        end = tip;
    }
    if !items.is_empty() {
        runs.push(Run::of(log, start, end.seq, items));
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    fn entries(from: u64, count: u64, size: usize) -> Vec<(Tip, Item)> {
        (from..from + count)
            .map(|seq| (Tip { seq, hash: Hash([seq as u8; 32]) }, Item { entry: vec![0; size].into(), got: None }))
            .collect()
    }

    #[test]
    fn a_frame_is_a_page_at_most_and_the_hash_before_it_is_known() {
        let runs = encode(7, Tip::EMPTY, entries(1, 5, limits::PAGE / 2));
        assert_eq!(runs.iter().map(|run| (run.first, run.last)).collect::<Vec<_>>(), [(1, 2), (3, 4), (5, 5)]);
        let Ok(Frame::Entries(second)) = Frame::read(&runs[1].frame, limits::CLIENT_FRAME) else { panic!("not entries") };
        assert_eq!((second.log, second.prev, runs[1].prev), (7, None, Hash([2; 32])));
        assert_eq!(encode(7, Tip::EMPTY, entries(1, 2, limits::DRAFT)).len(), 2);
    }

    #[test]
    fn the_oldest_go_first_and_only_a_cursor_at_a_frames_start_is_served() {
        let tail = Tail::default();
        for seq in 1..=400 {
            let before = Tip { seq: seq - 1, hash: Hash::ZERO };
            tail.push(seq % 2, before, entries(seq, 1, limits::DRAFT));
        }
        assert!(tail.locked().size <= KEPT);
        assert!(tail.after(1, 0).is_none());
        assert_eq!(tail.after(1, 398).map(|run| run.last), Some(399));
        assert!(tail.after(0, 398).is_none());
        tail.push(3, Tip::EMPTY, entries(1, 3, 10));
        assert_eq!(tail.after(3, 0).map(|run| run.last), Some(3));
        assert!(tail.after(3, 1).is_none());
    }

    #[test]
    fn a_log_that_is_forgotten_leaves_nothing_and_the_others_alone() {
        let tail = Tail::default();
        for log in [1, 2, 1] {
            tail.push(log, Tip { seq: log, hash: Hash::ZERO }, entries(log + 1, 1, 100));
        }
        let whole = tail.locked().size;
        tail.forget(1);
        assert!(tail.after(1, 1).is_none() && tail.after(2, 2).is_some());
        let ring = tail.locked();
        assert_eq!((ring.order.len(), ring.logs.len()), (1, 1));
        assert_eq!(ring.size, whole / 3);
    }
}
