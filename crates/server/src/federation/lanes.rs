//! In which order what waits for a peer goes out. What one device has written to one log is a lane, and keeps its order; people
//! take turns, and each person's lanes do. Nothing is sent here, and no clock asked.
//!
//! A lane whose draft the peer does not take yet is held back alone. After the wait one draft of it goes out; when that is
//! taken more do, as many more each time. So what the peer cannot take yet costs it a frame now and then, and others nothing.

use crate::logs::{Lane, Waiting};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Drafts of a lane that are under way at once when nothing is known of how fast the peer takes them.
const AT_FIRST: usize = 16;
/// The first and the longest wait before a lane is tried again, where the peer does not say how long.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// However long a peer says to wait; a time that no clock can count to would end the task that dials it.
const AGAIN_AT_MOST: Duration = Duration::from_secs(3600);

/// What waits, and what is under way. Rows are known by their numbers.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: HashMap<Arc<Lane>, State>,
    /// Lanes of which a row can be sent, by person; each person's in turn.
    ready: HashMap<String, VecDeque<Arc<Lane>>>,
    /// The people who have any, in turn.
    turns: VecDeque<String>,
    /// Lanes that are held back, and until when.
    held: BTreeSet<(Instant, Arc<Lane>)>,
    /// How many rows of each person are under way.
    under_way: HashMap<String, usize>,
}

struct State {
    waiting: BTreeSet<i64>,
    under_way: BTreeSet<i64>,
    /// How many may be under way.
    window: usize,
    /// How often in a row the peer did not take any.
    refusals: u32,
    held: bool,
    /// Whether it is in its person's turn.
    in_turn: bool,
}

/// A row that is under way.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) row: i64,
    pub(super) lane: Arc<Lane>,
}

impl Lanes {
    /// A row waits.
    pub(super) fn learn(&mut self, Waiting { id, lane }: Waiting) {
        let lane = Arc::new(lane);
        let lane = self.lanes.get_key_value(&lane).map_or(lane, |(known, _)| known.clone());
        self.lanes.entry(lane.clone()).or_insert_with(State::new).waiting.insert(id);
        self.offer(&lane);
    }

    /// The next row to be sent, while so many more may be under way. Nobody takes more of them than they leave to others.
    pub(super) fn next(&mut self, room: usize) -> Option<Sent> {
        // Whoever has no place now has some rows under way, so these are few.
        for _ in 0..self.turns.len() {
            let person = self.turns.pop_front()?;
            if self.under_way_of(&person) >= room {
                self.turns.push_back(person);
                continue;
            }
            let lanes = self.ready.get_mut(&person)?;
            let lane = lanes.pop_front();
            if lanes.is_empty() {
                self.ready.remove(&person);
            } else {
                self.turns.push_back(person.clone());
            }
            let lane = lane?;
            let state = self.lanes.get_mut(&lane)?;
            state.in_turn = false;
            let row = state.waiting.pop_first()?;
            state.under_way.insert(row);
            *self.under_way.entry(person).or_default() += 1;
            self.offer(&lane);
            return Some(Sent { row, lane });
        }
        None
    }

    /// Whether [`Lanes::next`] has one.
    pub(super) fn has_next(&self, room: usize) -> bool {
        self.turns.iter().any(|person| self.under_way_of(person) < room)
    }

    /// Whether an earlier row of the same lane has no answer for good yet: what the peer says to this one may be due to that.
    pub(super) fn comes_after_another(&self, sent: &Sent) -> bool {
        let earlier = |rows: &BTreeSet<i64>| rows.first().is_some_and(|first| *first < sent.row);
        self.lanes.get(&sent.lane).is_some_and(|state| earlier(&state.waiting) || earlier(&state.under_way))
    }

    /// The peer has taken a row, or refused it for good.
    pub(super) fn is_settled(&mut self, sent: &Sent) {
        self.is_back(sent);
        if let Some(state) = self.lanes.get_mut(&sent.lane) {
            state.refusals = 0;
            state.window += 1;
            if state.waiting.is_empty() && state.under_way.is_empty() {
                self.lanes.remove(&sent.lane);
                return;
            }
        }
        self.offer(&sent.lane);
    }

    /// The peer cannot take a row because of one before it: it goes again after that.
    pub(super) fn goes_after(&mut self, sent: &Sent) {
        self.is_back(sent);
        if let Some(state) = self.lanes.get_mut(&sent.lane) {
            state.waiting.insert(sent.row);
            state.window = 1;
        }
        self.offer(&sent.lane);
    }

    /// The peer does not take a row yet, and may have said how long that may last.
    pub(super) fn is_held(&mut self, sent: &Sent, now: Instant, said: Option<Duration>) {
        self.is_back(sent);
        let Some(state) = self.lanes.get_mut(&sent.lane) else { return };
        state.waiting.insert(sent.row);
        state.window = 1;
        if state.held {
            return; // another row of this lane came back before
        }
        let grown = AGAIN.0.saturating_mul(1 << state.refusals.min(10)).min(AGAIN.1);
        state.refusals += 1;
        state.held = true;
        self.held.insert((now + grown.max(said.unwrap_or_default().min(AGAIN_AT_MOST)), sent.lane.clone()));
    }

    /// When the next lane has been held back for long enough.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held.first().map(|(at, _)| *at)
    }

    /// The lanes that have been held back for long enough go on.
    pub(super) fn go_on(&mut self, now: Instant) {
        while self.next_due().is_some_and(|at| at <= now)
            && let Some((_, lane)) = self.held.pop_first()
        {
            if let Some(state) = self.lanes.get_mut(&lane) {
                state.held = false;
            }
            self.offer(&lane);
        }
    }

    /// How many rows are under way.
    pub(super) fn count_under_way(&self) -> usize {
        self.under_way.values().sum()
    }

    fn under_way_of(&self, person: &str) -> usize {
        self.under_way.get(person).copied().unwrap_or(0)
    }

    fn is_back(&mut self, sent: &Sent) {
        if self.lanes.get_mut(&sent.lane).is_some_and(|state| state.under_way.remove(&sent.row))
            && let Some(count) = self.under_way.get_mut(&sent.lane.user)
        {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(&sent.lane.user);
            }
        }
    }

    /// Puts a lane in turn, if a row of it can be sent and it is not there.
    fn offer(&mut self, lane: &Arc<Lane>) {
        let Some(state) = self.lanes.get_mut(lane).filter(|state| state.is_ready() && !state.in_turn) else { return };
        state.in_turn = true;
        let lanes = self.ready.entry(lane.user.clone()).or_default();
        if lanes.is_empty() {
            self.turns.push_back(lane.user.clone());
        }
        lanes.push_back(lane.clone());
    }
}

impl State {
    fn new() -> State {
        State { waiting: BTreeSet::new(), under_way: BTreeSet::new(), window: AT_FIRST, refusals: 0, held: false, in_turn: false }
    }

    fn is_ready(&self) -> bool {
        !self.held && !self.waiting.is_empty() && self.under_way.len() < self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_proto::DeviceKey;

    const WINDOW: usize = 100;

    fn row(id: i64, user: &str, log: &str) -> Waiting {
        Waiting { id, lane: Lane { user: user.into(), device: DeviceKey([1; 32]), log: log.parse().unwrap() } }
    }

    /// Everything that goes out now.
    fn go(lanes: &mut Lanes) -> Vec<Sent> {
        std::iter::from_fn(|| {
            let room = WINDOW - lanes.count_under_way();
            assert_eq!(lanes.has_next(room), lanes.turns.iter().any(|person| lanes.under_way_of(person) < room));
            let has_next = lanes.has_next(room);
            let next = lanes.next(room);
            assert_eq!(next.is_some(), has_next, "what is promised is there, or a link would turn in circles");
            next
        })
        .collect()
    }

    fn ids(sent: &[Sent]) -> Vec<i64> {
        sent.iter().map(|sent| sent.row).collect()
    }

    #[test]
    fn people_take_turns_and_so_do_each_persons_lanes() {
        let mut lanes = Lanes::default();
        for id in 1..=4 {
            lanes.learn(row(id, "alice@s1", "inbox:a@s2"));
            lanes.learn(row(10 + id, "alice@s1", "inbox:b@s2"));
        }
        lanes.learn(row(20, "carol@s1", "inbox:a@s2"));
        assert_eq!(ids(&go(&mut lanes)), [1, 20, 11, 2, 12, 3, 13, 4, 14]);
    }

    #[test]
    fn nobody_takes_more_of_what_may_be_under_way_than_they_leave() {
        let mut lanes = Lanes::default();
        for id in 1..=3000 {
            lanes.learn(row(id, "mallory@s1", &format!("inbox:u{}@s2", id % 50)));
        }
        assert_eq!(go(&mut lanes).len(), WINDOW / 2);
        for id in 3001..=3100 {
            lanes.learn(row(id, "alice@s1", &format!("inbox:u{}@s2", id % 50)));
        }
        assert_eq!(go(&mut lanes).len(), WINDOW / 4);
        lanes.learn(row(4000, "carol@s1", "inbox:u@s2"));
        assert_eq!(ids(&go(&mut lanes)), [4000], "though none of theirs is answered");
    }

    #[test]
    fn a_lane_that_is_held_back_is_tried_by_one_draft_and_after_longer_each_time() {
        let (mut lanes, mut now) = (Lanes::default(), Instant::now());
        for id in 1..=100 {
            lanes.learn(row(id, "alice@s1", "inbox:a@s2"));
        }
        let sent = go(&mut lanes);
        assert_eq!(sent.len(), AT_FIRST);
        for sent in sent.iter().rev() {
            lanes.is_held(sent, now, None); // in whatever order the answers come
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(go(&mut lanes).is_empty());
            assert_eq!(lanes.next_due(), Some(now + Duration::from_secs(seconds)));
            lanes.go_on(now + Duration::from_secs(seconds) - Duration::from_millis(1));
            assert!(go(&mut lanes).is_empty(), "not a moment early");
            now += Duration::from_secs(seconds);
            lanes.go_on(now);
            let sent = go(&mut lanes);
            assert_eq!(ids(&sent), [1]);
            lanes.is_held(&sent[0], now, None);
        }
        // What the peer says counts where it is longer, up to an hour.
        for (said, waits) in [(59, 60), (60, 60), (61, 61), (3599, 3599), (3600, 3600), (u64::MAX, 3600)] {
            now = lanes.next_due().unwrap();
            lanes.go_on(now);
            let sent = go(&mut lanes);
            lanes.is_held(&sent[0], now, Some(Duration::from_secs(said)));
            assert_eq!(lanes.next_due(), Some(now + Duration::from_secs(waits)), "{said}");
        }
        // Once one is taken more go, twice as many each time, and in their order.
        lanes.go_on(now + AGAIN_AT_MOST);
        let mut expected = 1;
        for many in [1, 2, 4, 8, 16, 32, 37] {
            let sent = go(&mut lanes);
            assert_eq!(ids(&sent), (expected..expected + many).collect::<Vec<_>>());
            expected += many;
            sent.iter().for_each(|sent| lanes.is_settled(sent));
        }
        assert!(lanes.lanes.is_empty() && lanes.under_way.is_empty() && lanes.ready.is_empty() && lanes.turns.is_empty());
    }

    #[test]
    fn what_follows_a_draft_that_waits_goes_again_after_it_and_other_lanes_go_on() {
        let (mut lanes, now) = (Lanes::default(), Instant::now());
        for id in 1..=3 {
            lanes.learn(row(id, "alice@s1", "inbox:a@s2"));
        }
        lanes.learn(row(4, "alice@s1", "inbox:b@s2"));
        let sent = go(&mut lanes);
        assert_eq!(ids(&sent), [1, 4, 2, 3]);
        let [first, other, second, third] = &sent[..] else { panic!() };
        // The gaps are told before what they are due to.
        for late in [third, second] {
            assert!(lanes.comes_after_another(late));
            lanes.goes_after(late);
        }
        assert!(!lanes.comes_after_another(first) && !lanes.comes_after_another(other));
        lanes.is_settled(other);
        lanes.learn(row(5, "alice@s1", "inbox:b@s2"));
        assert_eq!(ids(&go(&mut lanes)), [5], "nothing of the first lane before its first draft is answered");
        lanes.is_held(first, now, None);
        assert!(lanes.comes_after_another(third), "nor is it at fault when that waits again");
        assert!(go(&mut lanes).is_empty());
        lanes.go_on(now + AGAIN.0);
        assert_eq!(ids(&go(&mut lanes)), [1]);
        lanes.is_settled(first);
        assert_eq!(ids(&go(&mut lanes)), [2, 3], "in order");
        assert!(!lanes.comes_after_another(second), "a gap now is the sender's own");
    }
}
