//! What a list of conversations shows, windows onto one, drafts, and what is asked for once.

use super::*;
use crate::store::lines::NAMES_KEPT;
use crate::view::MessageId;
use std::time::{Duration, Instant};

fn arrive(store: &Store, places: std::ops::RangeInclusive<u64>) {
    let tip = *places.end();
    let rows = places.map(|place| received(place, &format!("at {place}"))).collect();
    store.arrived(&Batch { rows, ..batch(public(), tip) }).unwrap();
}

/// The texts of a window, and whether there are older and newer ones.
fn window(store: &Store, from: Anchor, limit: usize) -> (Vec<String>, bool, bool) {
    let part = store.part(&Target::Public, from, limit).unwrap();
    let texts = part.messages.into_iter().map(|row| String::from_utf8(row.content.unwrap()).unwrap());
    (texts.map(|text| text.replace("at ", "")).collect(), part.older, part.newer)
}

fn line(store: &Store) -> (u64, u64, bool) {
    let line = store.lines().unwrap()["public"];
    (line.messages, line.unseen, line.mentioned)
}

fn is(texts: &[&str], older: bool, newer: bool) -> (Vec<String>, bool, bool) {
    (texts.iter().map(ToString::to_string).collect(), older, newer)
}

fn signed_in(folder: &TempDir) -> Store {
    let store = open(folder);
    store.begin_account(&account(), None).unwrap();
    store
}

#[test]
fn a_window_begins_where_it_is_asked_for_and_says_what_is_beyond() {
    let folder = TempDir::new().unwrap();
    let store = signed_in(&folder);
    assert_eq!(window(&store, Anchor::End, 3), is(&[], false, false));
    arrive(&store, 1..=5);
    write_post(&store, "mine");
    let id = |at: i64| MessageId(at);
    assert_eq!(window(&store, Anchor::End, 2), is(&["5", "mine"], true, false));
    assert_eq!(window(&store, Anchor::End, 5), is(&["2", "3", "4", "5", "mine"], true, false));
    assert_eq!(window(&store, Anchor::End, 6), is(&["1", "2", "3", "4", "5", "mine"], false, false));
    assert_eq!(window(&store, Anchor::Before(id(3)), 2), is(&["1", "2"], false, true));
    assert_eq!(window(&store, Anchor::Before(id(4)), 2), is(&["2", "3"], true, true));
    assert_eq!(window(&store, Anchor::From(id(1)), 2), is(&["1", "2"], false, true));
    assert_eq!(window(&store, Anchor::From(id(5)), 2), is(&["5", "mine"], true, false));
    assert_eq!(window(&store, Anchor::Around(id(3)), 2), is(&["2", "3"], true, true));
    assert_eq!(window(&store, Anchor::Around(id(1)), 4), is(&["1", "2", "3", "4"], false, true));
    assert_eq!(window(&store, Anchor::Unseen, 4), is(&["1", "2", "3", "4"], false, true));
    assert_eq!(window(&store, Anchor::Around(id(99)), 2), is(&["5", "mine"], true, false), "what is gone is at the end");
}

#[test]
fn what_was_said_before_a_device_had_the_account_counts_as_seen_once() {
    let folder = TempDir::new().unwrap();
    let store = signed_in(&folder);
    arrive(&store, 1..=3);
    let naming = NewRow { mentions: true, ..received(4, "@alice") };
    store.arrived(&Batch { rows: vec![naming], ..batch(public(), 4) }).unwrap();
    let mine = write_post(&store, "mine");
    let store = crash(store, &folder);
    assert_eq!(line(&store), (5, 4, true));
    store.all_is_here().unwrap();
    assert_eq!((line(&store), store.part(&Target::Public, Anchor::End, 1).unwrap().seen), ((5, 0, false), Some(4)), "and not up to {mine}");
    arrive(&store, 5..=6);
    store.all_is_here().unwrap();
    assert_eq!(line(&store), (7, 2, false), "what comes after that is new");
}

#[test]
fn what_others_have_written_is_unseen_until_it_was_seen_and_that_is_never_taken_back() {
    let folder = TempDir::new().unwrap();
    let store = signed_in(&folder);
    arrive(&store, 1..=4);
    let mine = write_post(&store, "mine");
    assert_eq!(line(&store), (5, 4, false), "one's own is not counted");
    store.seen(&Target::Public, 2).unwrap();
    assert_eq!(line(&store), (5, 2, false));
    assert_eq!(window(&store, Anchor::Unseen, 2), is(&["2", "3"], true, true));
    store.seen(&Target::Public, 1).unwrap();
    assert_eq!((line(&store), store.part(&Target::Public, Anchor::End, 1).unwrap().seen), ((5, 2, false), Some(2)));
    // What has no place yet says that everything before it was seen, and nothing that comes.
    store.seen(&Target::Public, mine).unwrap();
    assert_eq!(line(&store), (5, 0, false));
    arrive(&store, 5..=5);
    let store = crash(store, &folder);
    assert_eq!(line(&store), (6, 1, false));
    let naming = NewRow { mentions: true, ..received(6, "@alice") };
    store.arrived(&Batch { rows: vec![naming], ..batch(public(), 6) }).unwrap();
    arrive(&store, 7..=7);
    assert_eq!(line(&store), (8, 3, true));
    let ids: Vec<i64> = store.part(&Target::Public, Anchor::End, 10).unwrap().messages.iter().map(|row| row.id).collect();
    store.seen(&Target::Public, ids[4]).unwrap();
    assert_eq!(line(&store), (8, 2, true));
    store.seen(&Target::Public, ids[5]).unwrap();
    assert_eq!(line(&store), (8, 1, false));
}

#[test]
fn a_window_onto_a_million_messages_and_their_count_take_no_longer_than_what_they_show() {
    let folder = TempDir::new().unwrap();
    let store = signed_in(&folder);
    let many = "WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 1000000)
                INSERT INTO messages (conversation, log, author, kind, place, at, status, content)
                SELECT 'public', 'public@s1', 'bob@s1', 2, value, value, 4, x'00' FROM n";
    store.write(|tx| Ok(tx.execute_batch(many)?)).unwrap();
    assert_eq!(line(&store), (1_000_000, 1_000_000, false));
    let begun = Instant::now();
    for from in [Anchor::End, Anchor::Unseen, Anchor::Around(MessageId(500_000)), Anchor::Before(MessageId(900_000))] {
        assert_eq!(store.part(&Target::Public, from, 100).unwrap().messages.len(), 100);
        store.seen(&Target::Public, 100).unwrap();
        line(&store);
    }
    // A look at all of them takes a hundred times as long.
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
}

#[test]
fn what_is_asked_for_again_under_the_same_name_is_written_once_also_by_the_next_process() {
    let folder = TempDir::new().unwrap();
    let store = signed_in(&folder);
    let (log, me) = (public(), user("alice@s1"));
    let write = |store: &Store, once: &str| {
        let (target, kind, content) = (&Target::Public, Kind::Post, b"hello".as_slice());
        store.written(&Written { target, log: &log, kind, author: &me, at: 1, content, tag: None, room: None, once: Some(once) }).unwrap()
    };
    let first = write(&store, "a");
    let store = crash(store, &folder);
    assert_eq!(write(&store, "a"), first);
    let second = write(&store, "b");
    assert_ne!(second, first);
    assert_eq!((line(&store).0, store.outbox(0).unwrap().len()), (2, 2));
    // The names that are kept are the newest so many.
    let more =
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1) INSERT INTO once (name, message) SELECT n, 1 FROM n";
    store.write(|tx| Ok(tx.execute(more, [NAMES_KEPT - 4])?)).unwrap();
    for kept in ["one more", "and the last"] {
        assert_eq!(write(&store, "a"), first, "before {kept}");
        write(&store, kept);
    }
    assert_eq!(write(&store, "a"), first, "as many as are kept");
    write(&store, "too many");
    assert_ne!(write(&store, "a"), first);
}

#[test]
fn what_has_failed_is_sent_again_as_it_was_or_taken_off_the_screen() {
    let folder = TempDir::new().unwrap();
    let store = signed_in(&folder);
    let id = write_post(&store, "hello");
    assert!(!store.again(id, 5).unwrap() && !store.discard(id).unwrap(), "only what has failed");
    let fail = || store.failed(store.outbox(0).unwrap()[0].id, "no", Some("Forbidden")).unwrap();
    fail();
    assert!(store.again(id, 5).unwrap() && !store.again(id, 6).unwrap(), "once");
    assert_eq!(status(&store, id), Status::Pending);
    let row = store.outbox(0).unwrap().remove(0);
    assert_eq!((row.log, row.kind, row.body, row.genesis), (public(), Kind::Post, b"hello".to_vec(), None));
    fail();
    assert!(store.discard(id).unwrap() && store.discard(id).unwrap());
    assert_eq!((line(&store).0, store.outbox(0).unwrap().len()), (0, 0));
}

#[test]
fn a_failed_direct_message_is_sent_again_with_what_names_its_room() {
    let folder = TempDir::new().unwrap();
    let store = signed_in(&folder);
    let id = write_direct(&store, "bob@s2", "hello");
    let row = store.outbox(0).unwrap().into_iter().find(|row| row.kind == Kind::Sealed).unwrap();
    store.failed(row.id, "no", None).unwrap();
    assert!(store.again(id, 5).unwrap());
    let again = store.outbox(row.id).unwrap().remove(0);
    assert!(again.genesis.is_some());
    assert_eq!((again.log, again.genesis, again.body, again.tag), (row.log, row.genesis, row.body, row.tag));
}

#[test]
fn a_draft_stays_until_it_is_taken_away() {
    let folder = TempDir::new().unwrap();
    let store = signed_in(&folder);
    let bob = Target::from(&user("bob@s2"));
    store.set_draft(&bob, Some((vec![1], 1 << 63))).unwrap();
    store.set_draft(&bob, Some((vec![2], u64::MAX))).unwrap();
    let store = crash(store, &folder);
    assert_eq!(store.drafts().unwrap(), [("bob@s2".to_owned(), (vec![2], u64::MAX))].into());
    store.set_draft(&bob, None).unwrap();
    assert_eq!(store.drafts().unwrap(), [].into());
}
