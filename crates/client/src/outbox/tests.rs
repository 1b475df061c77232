//! The outbox alone: what is submitted when, and what each answer leads to.

use super::*;
use tidings_proto::RoomId;

/// An outbox with request numbers and a clock of its own.
struct Bench {
    outbox: Outbox,
    next: u32,
    now: Instant,
}

fn room(number: u8) -> LogName {
    LogName::Room(RoomId([number; 32]))
}

fn parcel(n: u64) -> Parcel {
    Parcel { row: 100 + n as i64, kind: Kind::Sealed, n, draft: Bytes::from(format!("draft {n}")), genesis: None }
}

fn refusal(code: Code) -> Refusal {
    Refusal::from(code)
}

impl Bench {
    fn with(log: &LogName, drafts: std::ops::RangeInclusive<u64>) -> Bench {
        let mut bench = Bench { outbox: Outbox::default(), next: 1, now: Instant::now() };
        drafts.for_each(|n| bench.outbox.add(log, parcel(n)));
        bench
    }

    /// What is submitted now: request numbers and drafts.
    fn submits(&mut self) -> Vec<(u32, String)> {
        let next = &mut self.next;
        let submits = self.outbox.submits(self.now, || {
            *next += 1;
            *next - 1
        });
        submits.into_iter().map(|submit| (submit.req, String::from_utf8(submit.draft.to_vec()).unwrap())).collect()
    }

    fn drafts(&mut self) -> Vec<String> {
        self.submits().into_iter().map(|(_, draft)| draft).collect()
    }

    fn refused(&mut self, req: u32, why: Refusal) -> Option<Verdict> {
        self.outbox.refused(req, &why, self.now)
    }

    fn after(&mut self, pause: Duration) -> &mut Bench {
        self.now += pause;
        self
    }
}

#[test]
fn drafts_go_in_order_of_n_also_where_they_were_written_in_another() {
    let (mut bench, log) = (Bench::with(&room(1), 2..=2), room(1));
    [4, 1, 3].into_iter().for_each(|n| bench.outbox.add(&log, parcel(n)));
    assert_eq!(bench.drafts(), ["draft 1", "draft 2", "draft 3", "draft 4"]);
}

#[test]
fn drafts_of_a_log_go_in_order_of_n_and_once() {
    let mut bench = Bench::with(&room(1), 1..=3);
    assert_eq!(bench.drafts(), ["draft 1", "draft 2", "draft 3"]);
    assert_eq!(bench.drafts(), [""; 0]);
    assert_eq!(bench.outbox.accepted(2), Some(102));
    assert_eq!(bench.outbox.accepted(2), None, "an answer counts once");
    assert_eq!(bench.outbox.load(&room(1)), 2);
}

#[test]
fn a_log_has_a_window_and_an_answer_opens_it_by_one() {
    let mut bench = Bench::with(&room(1), 1..=WINDOW as u64 + 2);
    assert_eq!(bench.submits().len(), WINDOW);
    assert!(!bench.outbox.may_seal(&room(1)));
    assert!(bench.outbox.may_seal(&room(2)), "another log has a window of its own");
    bench.outbox.accepted(1).unwrap();
    assert_eq!(bench.drafts(), [format!("draft {}", WINDOW + 1)]);
}

#[test]
fn a_gap_goes_back_to_the_draft_after_the_last_one_taken_with_the_same_bytes() {
    let mut bench = Bench::with(&room(1), 1..=4);
    bench.submits();
    bench.outbox.accepted(1).unwrap();
    for req in 3..=4 {
        assert_eq!(bench.refused(req, refusal(Code::Gap).last(1)), Some(Verdict::TryAgain));
    }
    assert_eq!(bench.drafts(), ["draft 2", "draft 3", "draft 4"]);
}

#[test]
fn a_gap_that_comes_again_is_not_met_with_hurry() {
    let mut bench = Bench::with(&room(1), 1..=2);
    bench.submits();
    bench.refused(2, refusal(Code::Gap).last(0));
    assert_eq!(bench.submits(), [(3, "draft 1".into()), (4, "draft 2".into())]);
    bench.refused(4, refusal(Code::Gap).last(0));
    assert_eq!(bench.drafts(), [""; 0]);
    assert!(bench.outbox.wake_at().is_some());
    assert_eq!(bench.after(LONGEST_PAUSE).drafts(), ["draft 1", "draft 2"]);
}

#[test]
fn a_refusal_that_will_pass_holds_back_what_follows_it_and_no_other_log() {
    for code in [Code::NotYet, Code::TooFast, Code::Unreachable, Code::Full, Code::Internal, Code::Busy] {
        let mut bench = Bench::with(&room(1), 1..=3);
        bench.submits();
        bench.outbox.accepted(1).unwrap();
        assert_eq!(bench.refused(2, refusal(code).retry_after(7)), Some(Verdict::TryAgain), "{code:?}");
        assert_eq!(bench.refused(3, refusal(Code::Gap).last(1)), Some(Verdict::TryAgain), "{code:?}: an answer to an earlier try");
        bench.outbox.add(&room(2), parcel(9));
        assert_eq!(bench.drafts(), ["draft 9"], "{code:?}");
        assert_eq!(bench.after(Duration::from_millis(6_900)).drafts(), [""; 0], "{code:?}: the server asked for 7 s");
        assert_eq!(bench.after(Duration::from_millis(200)).drafts(), ["draft 2", "draft 3"], "{code:?}");
    }
}

#[test]
fn pauses_grow_and_have_an_end() {
    let mut bench = Bench::with(&room(1), 1..=1);
    let mut last = Duration::ZERO;
    for round in 0..12 {
        let (req, _) = bench.submits().remove(0);
        bench.refused(req, refusal(Code::Internal));
        let pause = bench.outbox.wake_at().unwrap() - bench.now;
        assert!(pause >= last && pause <= LONGEST_PAUSE, "round {round}: {pause:?} after {last:?}");
        last = pause;
        bench.after(pause);
    }
    assert_eq!(last, LONGEST_PAUSE);
}

#[test]
fn what_is_refused_for_good_is_reported_and_what_follows_is_numbered_anew() {
    let mut bench = Bench::with(&room(1), 1..=4);
    bench.submits();
    bench.outbox.accepted(1).unwrap();
    assert_eq!(bench.refused(2, refusal(Code::Forbidden)), Some(Verdict::Failed { row: 102, log: room(1), kind: Kind::Sealed }));
    assert_eq!(bench.outbox.take_renumbered(), [], "the hub has not said yet what it did with the others");
    bench.refused(3, refusal(Code::Gap).last(1));
    assert_eq!(bench.outbox.take_renumbered(), [], "one answer is still open: that draft might have been taken");
    assert!(!bench.outbox.may_seal(&room(1)));
    bench.refused(4, refusal(Code::Gap).last(1));
    assert_eq!(bench.outbox.take_renumbered(), [(room(1), 1)]);
    assert_eq!(bench.outbox.load(&room(1)), 0);
    bench.outbox.add(&room(1), parcel(2));
    assert_eq!(bench.drafts(), ["draft 2"]);
}

/// It would never pass, and hold back everything after it for ever.
#[test]
fn a_change_of_members_that_cannot_be_is_refused_for_good() {
    for code in [Code::Conflict, Code::Full] {
        let mut bench = Bench { outbox: Outbox::default(), next: 1, now: Instant::now() };
        bench.outbox.add(&room(1), Parcel { kind: Kind::Invite, ..parcel(1) });
        bench.submits();
        let failed = Verdict::Failed { row: 101, log: room(1), kind: Kind::Invite };
        assert_eq!(bench.refused(1, refusal(code)), Some(failed), "{code:?}");
    }
}

#[test]
fn queued_is_not_the_end() {
    let mut bench = Bench::with(&room(1), 1..=2);
    bench.submits();
    assert_eq!(bench.outbox.queued(1), Some(101));
    assert_eq!(bench.drafts(), [""; 0], "what is durable on the home server is not submitted again on this link");
    assert_eq!(bench.outbox.accepted(1), Some(101));
    assert_eq!(bench.outbox.queued(2), Some(102));
    assert!(matches!(bench.refused(2, refusal(Code::NotFound)), Some(Verdict::Failed { row: 102, .. })));
}

#[test]
fn a_log_goes_behind_another_until_that_is_safe() {
    let inbox = LogName::Inbox("bob@s2".parse().unwrap());
    let mut bench = Bench::with(&room(1), 1..=1);
    bench.outbox.add(&inbox, Parcel { kind: Kind::Notice, ..parcel(7) });
    bench.outbox.go_behind(&room(1), &inbox);
    assert_eq!(bench.drafts(), ["draft 7"]);
    assert!(bench.outbox.is_behind(&room(1)));
    bench.outbox.queued(1).unwrap();
    assert_eq!(bench.drafts(), ["draft 1"], "durable at home is safe enough");
}

#[test]
fn a_draft_that_is_seen_in_its_log_needs_no_answer() {
    let mut bench = Bench::with(&room(1), 1..=2);
    bench.submits();
    bench.outbox.seen(&room(1), 1);
    assert_eq!(bench.outbox.accepted(1), None);
    assert_eq!(bench.outbox.load(&room(1)), 1);
    assert_eq!(bench.refused(1, refusal(Code::Gap).last(0)), None, "an answer to what is done with changes nothing");
}

#[test]
fn an_answer_to_no_question_is_nobodys() {
    let mut bench = Bench::with(&room(1), 1..=1);
    assert_eq!(bench.refused(77, refusal(Code::Forbidden)), None);
    assert_eq!(bench.outbox.queued(77), None);
    assert_eq!(bench.outbox.accepted(77), None);
}
