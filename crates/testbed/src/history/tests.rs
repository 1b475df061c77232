//! The checker's own controls, on histories that are made up: what cannot be is found, and what can be is not complained of.

use super::*;

const HUB: u32 = 0;
const PEER: u32 = 1;
const ALICE: u32 = 2;
const BOB: u32 = 3;

/// Alice and bob write `count` messages each into one log, in turns; hub, peer and both devices have read all of it.
fn peaceful(count: u32) -> History {
    let mut history = History {
        logs: vec![Log { name: "public@s1".into(), truth: HUB, by_members: false }],
        readers: [("s1", None), ("s2", None), ("alice@s1", Some(0)), ("bob@s2", Some(1))]
            .map(|(name, user)| Reader { name: name.into(), user })
            .into(),
        ..History::default()
    };
    for (name, reader) in [("alice@s1", ALICE), ("bob@s2", BOB)] {
        let ops = (0..count).map(|n| {
            let (at, seq) = (u64::from(n) * 100, u64::from(n * 2 + reader - ALICE) + 1);
            Op { invoked: at, ended: at + 50, outcome: Outcome::Acknowledged(seq) }
        });
        history.writers.push(Writer { name: name.into(), reader, log: 0, ops: ops.collect() });
    }
    let items: Vec<Item> = (1..=count).flat_map(|n| [0, 1].map(|writer| Item::Message(Id { writer, n }))).collect();
    history.readings = (HUB..=BOB).map(|reader| Reading { reader, log: 0, at: None, first: 1, items: items.clone() }).collect();
    history
}

/// What is found, each kind once.
fn found(history: &History) -> Vec<Kind> {
    let verdict = check(history);
    assert_eq!(verdict.is_clean(), verdict.violations.is_empty(), "{verdict}");
    Kind::ALL.into_iter().filter(|kind| verdict.count(*kind) > 0).collect()
}

fn said(history: &History, kind: Kind) -> String {
    let verdict = check(history);
    verdict.violations.into_iter().find(|violation| violation.kind == kind).expect("a violation of this kind").said
}

/// Changes what everybody has read.
fn everywhere(history: &mut History, change: impl Fn(&mut Vec<Item>)) {
    history.readings.iter_mut().for_each(|reading| change(&mut reading.items));
}

#[test]
fn what_can_be_is_not_complained_of() {
    let mut history = peaceful(50);
    let verdict = check(&history);
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!((verdict.acknowledged, verdict.read), (100, 400));
    // Nobody was told anything of the last one: it may be there, or not.
    history.writers[1].ops[49].outcome = Outcome::Unknown;
    assert_eq!(found(&history), []);
    everywhere(&mut history, |items| items.truncate(99));
    assert_eq!(found(&history), []);
    history.writers[1].ops[49].outcome = Outcome::Refused;
    assert_eq!(found(&history), []);
}

#[test]
fn acknowledged_and_kept_messages_that_are_gone_are_lost() {
    for (outcome, words) in [(Outcome::Acknowledged(100), "was acknowledged at 4950 µs as 100"), (Outcome::Kept, "was durable on its way")]
    {
        let mut history = peaceful(50);
        history.writers[1].ops[49].outcome = outcome;
        everywhere(&mut history, |items| items.truncate(99));
        assert_eq!(found(&history), [Kind::Lost]);
        let said = said(&history, Kind::Lost);
        assert!(
            said.starts_with("w1n50 of bob@s2 in public@s1") && said.contains(words) && said.ends_with("and s1 does not have it"),
            "{said}"
        );
    }
}

/// `synchronous = OFF` and the power goes: the hub has lost the newest of what it acknowledged, the peer and the devices still have
/// it, and what the hub gives the same places to afterwards is something else.
#[test]
fn a_hub_that_lost_its_newest_with_the_power_is_found_out() {
    let mut history = peaceful(50);
    history.readings[HUB as usize].items.truncate(90);
    assert_eq!(found(&history), [Kind::Lost, Kind::Differs]);
    let verdict = check(&history);
    assert_eq!((verdict.count(Kind::Lost), verdict.count(Kind::Differs)), (10, 3));
    assert!(said(&history, Kind::Differs).starts_with("s2 has w0n46 at 91 of public@s1, where s1 has nothing"));
    // Two more messages come to those places.
    for writer in [0, 1] {
        let outcome = Outcome::Acknowledged(91 + u64::from(writer));
        history.writers[writer as usize].ops.push(Op { invoked: 9000, ended: 9100, outcome });
        history.readings[HUB as usize].items.push(Item::Message(Id { writer, n: 51 }));
    }
    assert_eq!(found(&history), [Kind::Lost, Kind::Differs]);
    assert!(said(&history, Kind::Differs).starts_with("s2 has w0n46 at 91 of public@s1, where s1 has w0n51"));
}

#[test]
fn a_message_that_is_there_twice_is_found() {
    let mut history = peaceful(50);
    everywhere(&mut history, |items| items.push(items[30]));
    assert_eq!(found(&history), [Kind::Twice]);
    assert_eq!(said(&history, Kind::Twice), "w0n16 of alice@s1 in public@s1 is there at 31 and again at 101");
}

#[test]
fn what_nobody_wrote_is_invented() {
    let foreign = Id { writer: 0, n: 51 };
    for item in [Item::Strange, Item::Message(foreign), Item::Message(Id { writer: 7, n: 1 }), Item::Message(Id { writer: 0, n: 0 })] {
        let mut history = peaceful(50);
        everywhere(&mut history, |items| items.push(item));
        assert_eq!(found(&history), [Kind::Invented], "{item:?}");
    }
    let mut history = peaceful(50);
    history.writers[0].ops[49].outcome = Outcome::Refused;
    assert_eq!(found(&history), [Kind::Invented], "refused, and there all the same");
    // Written, but for another log.
    let mut history = peaceful(50);
    history.logs.push(Log { name: "public@s2".into(), truth: PEER, by_members: false });
    history.readings.push(Reading { reader: PEER, log: 1, at: None, first: 1, items: vec![Item::Message(Id { writer: 0, n: 1 })] });
    assert_eq!(found(&history), [Kind::Invented]);
}

#[test]
fn swapped_neighbours_are_found_whoever_wrote_them() {
    // Of one author: its own order.
    let mut history = peaceful(50);
    everywhere(&mut history, |items| items.swap(40, 42));
    assert_eq!(found(&history), [Kind::Moved, Kind::AuthorsOrder, Kind::Overtaken]);
    // Of two, at one reader only: the order of the others.
    let mut history = peaceful(50);
    history.readings[PEER as usize].items.swap(40, 41);
    assert_eq!(found(&history), [Kind::Differs]);
    assert_eq!(said(&history, Kind::Differs), "s2 has w1n21 at 41 of public@s1, where s1 has w0n21");
    // Of two, everywhere, and nobody was told a place: by what was acknowledged before the other was written.
    let mut history = peaceful(50);
    history.writers.iter_mut().flat_map(|writer| &mut writer.ops).for_each(|op| op.outcome = Outcome::Acknowledged(0));
    everywhere(&mut history, |items| items.swap(40, 41));
    assert_eq!(found(&history), [], "written at the same time, so either order will do");
    history.writers[1].ops[20].invoked = history.writers[0].ops[20].ended + 1;
    assert_eq!(found(&history), [Kind::Overtaken]);
}

#[test]
fn a_place_other_than_the_acknowledged_one_is_found() {
    let mut history = peaceful(50);
    history.writers[0].ops[9].outcome = Outcome::Acknowledged(21);
    assert_eq!(found(&history), [Kind::Moved]);
    assert_eq!(said(&history, Kind::Moved), "w0n10 of alice@s1 in public@s1 was acknowledged at 21, and is at 19");
}

#[test]
fn a_reader_that_lacks_the_end_is_behind() {
    let mut history = peaceful(50);
    history.readings[BOB as usize].items.truncate(99);
    assert_eq!(found(&history), [Kind::Behind]);
    assert_eq!(said(&history, Kind::Behind), "bob@s2 has 1 to 99 of 1 to 100 of public@s1");
}

#[test]
fn whoever_reads_sees_what_it_wrote() {
    let mut history = peaceful(50);
    let items = history.readings[HUB as usize].items.clone();
    let mut reading = |at, from: usize, to: usize| {
        history.readings.push(Reading { reader: ALICE, log: 0, at: Some(at), first: from as u64 + 1, items: items[from..to].to_vec() });
        found(&history)
    };
    // Her message 11 is at 21 and was acknowledged at 1050 µs.
    assert_eq!(reading(1051, 0, 21), []);
    assert_eq!(reading(1051, 15, 21), [], "a part that reaches as far");
    assert_eq!(reading(1050, 0, 20), [], "not acknowledged yet");
    assert_eq!(reading(1051, 0, 20), [Kind::OwnUnseen]);
    assert!(said(&history, Kind::OwnUnseen).contains("and not its own w0n11"));
}

/// A group: alice from the beginning, bob from 3 to 6 and again from 9 on, carol never.
fn group() -> History {
    let (alice, bob, carol) = (0, 1, 2);
    let message = |n| Item::Message(Id { writer: 0, n });
    let log = vec![
        Item::Joined(alice),
        message(1),
        Item::Joined(bob),
        message(2),
        message(3),
        Item::Left(bob),
        message(4),
        message(5),
        Item::Joined(bob),
        message(6),
    ];
    let mut bobs = log.clone();
    bobs[..2].fill(Item::Closed);
    bobs[6..8].fill(Item::Closed);
    let ops = (0..6).map(|n| Op { invoked: n * 10, ended: n * 10 + 5, outcome: Outcome::Acknowledged(0) }).collect();
    let readers = [("s1", None), ("alice@s1", Some(alice)), ("bob@s2", Some(bob)), ("carol@s2", Some(carol))];
    let readings = [log.clone(), log, bobs, vec![]].into_iter().zip(0..);
    History {
        logs: vec![Log { name: "room:x".into(), truth: 0, by_members: true }],
        writers: vec![Writer { name: "alice@s1".into(), reader: 1, log: 0, ops }],
        readers: readers.map(|(name, user)| Reader { name: name.into(), user }).into(),
        readings: readings.map(|(items, reader)| Reading { reader, log: 0, at: None, first: 1, items }).collect(),
    }
}

#[test]
fn a_member_opens_what_was_written_while_in_and_nothing_else() {
    assert_eq!(found(&group()), []);
    for (place, n) in [(2, 1), (7, 4), (8, 5)] {
        let mut history = group();
        history.readings[2].items[place - 1] = Item::Message(Id { writer: 0, n });
        assert_eq!(found(&history), [Kind::Outsider], "at {place}");
        assert_eq!(
            said(&history, Kind::Outsider),
            format!("bob@s2 has opened w0n{n} of alice@s1 in room:x, at {place}, and was not a member there")
        );
    }
    let mut history = group();
    history.readings[3].items = vec![Item::Closed, Item::Message(Id { writer: 0, n: 1 })];
    assert_eq!(found(&history), [Kind::Outsider]);
    for place in [4, 5, 10] {
        let mut history = group();
        history.readings[2].items[place - 1] = Item::Closed;
        assert_eq!(found(&history), [Kind::Behind], "at {place}");
    }
    let mut history = group();
    history.readings[2].items[3] = Item::Message(Id { writer: 0, n: 3 });
    assert_eq!(found(&history), [Kind::Differs]);
    let mut history = group();
    history.readings[2].items.push(Item::Message(Id { writer: 0, n: 6 }));
    assert_eq!(found(&history), [Kind::Differs], "beyond what the hub has");
}

#[test]
fn each_kind_is_told_so_often_and_then_counted() {
    let mut history = peaceful(50);
    history.readings.iter_mut().for_each(|reading| reading.items.clear());
    let verdict = check(&history);
    assert_eq!((verdict.count(Kind::Lost), verdict.violations.len()), (100, 20));
    assert!(verdict.to_string().ends_with("and 80 more"), "{verdict}");
}

#[test]
fn a_message_says_which_it_is_and_nothing_else_does() {
    let id = Id { writer: 12, n: 345 };
    assert_eq!(Id::parse(&id.to_string()), Some(id));
    for text in ["", "w", "wn", "w1", "w1n", "wn1", "w1n2 ", "w01n2", "w1n+2", "x1n2", "w1n99999999999"] {
        assert_eq!(Id::parse(text), None, "{text}");
    }
}

/// The cost is the same for each message, however many there are. `cargo xtask campaign crash` measures ten million.
#[test]
fn a_million_messages_take_no_more_than_their_share() {
    let begun = std::time::Instant::now();
    let verdict = check(&peaceful(500_000));
    assert!(verdict.is_clean() && verdict.acknowledged == 1_000_000);
    // The bound is for ten million in an optimised program; here it only shows that nothing is quadratic.
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
