//! What devices hand on to each other, and what finds its place by it, in whichever order both come.

use super::*;

fn room() -> LogName {
    Genesis::direct(SuiteName::Mls1, &user("alice@s1"), &user("bob@s1")).log()
}

fn bobs() -> Target {
    Target::from(&user("bob@s1"))
}

fn hash(seq: u64) -> Hash {
    Hash([seq as u8; 32])
}

fn missed(seq: u64) -> Missed {
    Missed { seq, target: bobs(), place: seq, at: 10 * seq, author: user("bob@s1"), device: DEVICE, n: seq, draft: hash(seq) }
}

fn handed(seq: u64, text: &str) -> Handed {
    Handed { log: room(), seq, draft: hash(seq), author: user("bob@s1"), is_title: false, content: text.as_bytes().to_vec() }
}

fn said(seq: u64, text: &str) -> NewRow {
    NewRow { target: bobs(), kind: Kind::Sealed, content: Ok((text.as_bytes().to_vec(), Some(seq))), at: 10 * seq, ..received(seq, text) }
}

/// Entries of the room up to `tip`.
fn come(store: &Store, tip: u64, rows: Vec<NewRow>, missed: Vec<Missed>) {
    store.arrived(&Batch { hands_on: true, rows, missed, ..batch(room(), tip) }).unwrap();
}

/// A segment of another device.
fn hand(store: &Store, tip: u64, handed: Vec<Handed>) -> Vec<(LogName, Vec<u8>, u64)> {
    store.arrived(&Batch { handed, ..batch(LogName::History(user("alice@s1")), tip) }).unwrap()
}

/// What the conversation says, in order: who, and what.
fn reads(store: &Store) -> Vec<String> {
    let rows = store.timeline(&bobs(), 100).unwrap();
    let says = |row: StoredMessage| {
        let content = row.content.map(|content| String::from_utf8(content).unwrap());
        format!("{}: {}", row.author.map_or("?".into(), |author| author.to_string()), content.unwrap_or_else(|| "-".into()))
    };
    rows.into_iter().map(says).collect()
}

#[test]
fn what_was_missed_is_there_once_it_was_handed_on_whichever_comes_first() {
    for segment_first in [true, false] {
        let folder = TempDir::new().unwrap();
        let store = open(&folder);
        let segment = || hand(&store, 1, vec![handed(2, "two"), handed(1, "one"), handed(4, "four")]);
        if segment_first {
            segment();
            assert!(reads(&store).is_empty(), "what its room does not say is said by nobody");
        }
        come(&store, 3, vec![said(3, "three")], vec![missed(1), missed(2)]);
        if !segment_first {
            assert_eq!(reads(&store), ["bob@s1: three"]);
            segment();
        }
        let store = crash(store, &folder);
        assert_eq!(reads(&store), ["bob@s1: one", "bob@s1: two", "bob@s1: three"]);
        come(&store, 4, vec![], vec![missed(4)]);
        assert_eq!(reads(&store)[3..], ["bob@s1: four"], "what comes later still is kept");
        hand(&store, 2, vec![handed(1, "one")]);
        assert_eq!(reads(&store).len(), 4, "and twice is once");
    }
}

/// The chain says which draft stands there; a segment that was made of another story does not speak of it.
#[test]
fn what_was_handed_on_of_another_draft_or_author_is_not_shown() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    come(&store, 2, vec![], vec![missed(1), missed(2)]);
    hand(&store, 1, vec![Handed { draft: hash(9), ..handed(1, "one") }, Handed { author: user("carol@s1"), ..handed(2, "two") }]);
    assert!(reads(&store).is_empty());
}

#[test]
fn old_messages_are_neither_new_nor_the_newest() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.begin_account(&account(), None).unwrap();
    come(&store, 3, vec![said(3, "three")], vec![missed(1), missed(2)]);
    let before = store.lines().unwrap()["bob@s1"];
    assert_eq!((before.messages, before.newest, before.unseen), (1, 30, 1));
    hand(&store, 1, vec![handed(1, "one"), handed(2, "two")]);
    let after = store.lines().unwrap()["bob@s1"];
    assert_eq!((after.messages, after.newest, after.unseen), (3, 30, 1));
}

#[test]
fn what_could_not_be_opened_is_replaced_and_what_was_erased_is_not() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let unreadable = |seq| NewRow { author: None, draft: None, content: Err("cannot be opened".into()), ..said(seq, "") };
    come(&store, 2, vec![unreadable(1), unreadable(2)], vec![missed(1), missed(2), missed(3)]);
    assert_eq!(reads(&store), ["?: -", "?: -"]);
    let by = |seq, by: &str| Erased { seq, draft: hash(seq), by: user(by), anybodys: false };
    let erased = vec![by(2, "bob@s1"), by(3, "bob@s1"), by(1, "carol@s1")];
    store.arrived(&Batch { hands_on: true, erased, ..batch(room(), 6) }).unwrap();
    hand(&store, 1, vec![handed(1, "one"), handed(2, "two"), handed(3, "three")]);
    let (one, two) = (store.message(1).unwrap().unwrap(), store.message(2).unwrap().unwrap());
    assert_eq!((one.status, one.content.as_deref(), one.tag), (Status::Received, Some(b"one".as_slice()), Some(1)));
    assert_eq!((two.status, two.content), (Status::Unreadable { reason: "erased by bob@s1".into() }, None));
    assert_eq!(reads(&store).len(), 2);
}

#[test]
fn a_message_is_handed_on_once_unless_another_device_has_done_it() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let log = LogName::History(user("alice@s1"));
    come(&store, 3, vec![said(1, "one"), said(2, "two"), said(3, "three")], vec![]);
    assert_eq!(store.only_here().unwrap(), 3);
    hand(&store, 1, vec![handed(2, "two"), Handed { draft: hash(9), ..handed(3, "three") }]);
    let left = store.to_hand_on(100).unwrap();
    assert_eq!(
        left.iter().map(|it| (it.seq, it.draft, it.content.0.as_slice())).collect::<Vec<_>>(),
        [(1, hash(1), b"one".as_slice()), (3, hash(3), b"three".as_slice())]
    );
    assert_eq!(store.to_hand_on(1).unwrap().len(), 1);
    store.handed_on(&[left[0].id, left[1].id], &log, b"a segment").unwrap();
    let store = crash(store, &folder);
    assert!(store.to_hand_on(100).unwrap().is_empty());
    let rows = store.outbox(0).unwrap();
    assert_eq!((rows.len(), &rows[0].log, rows[0].kind, &rows[0].body[..]), (1, &log, Kind::Segment, b"a segment".as_slice()));
    assert_eq!(store.only_here().unwrap(), 1, "a segment that is still to be sent");
    store.accepted(&[(rows[0].id, 1, None)]).unwrap();
    assert_eq!(store.only_here().unwrap(), 0);
    // Handed on before it was here.
    hand(&store, 2, vec![handed(4, "four")]);
    come(&store, 4, vec![said(4, "four")], vec![]);
    assert_eq!(store.only_here().unwrap(), 0);
    // A room on RSA opens again on any device.
    store.arrived(&Batch { rows: vec![said(5, "five")], ..batch(room(), 5) }).unwrap();
    assert_eq!(store.only_here().unwrap(), 0);
}

#[test]
fn a_group_is_called_what_was_handed_on_unless_it_is_called_something_later() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let genesis = Genesis::group(SuiteName::Mls1, &user("alice@s1"), tidings_proto::Nonce([7; 32]));
    store.learn_rooms(&[NewRoom::from(genesis.clone())]).unwrap();
    let log = genesis.log();
    let missed = [1, 2, 3].map(|seq| Missed { target: Target::Group { id: genesis.room() }, ..missed(seq) }).to_vec();
    store.arrived(&Batch { hands_on: true, missed, ..batch(log.clone(), 3) }).unwrap();
    let title = |seq, text| Handed { log: log.clone(), is_title: true, ..handed(seq, text) };
    assert_eq!(hand(&store, 1, vec![title(2, "Trio")]), [(log.clone(), b"Trio".to_vec(), 2)]);
    assert!(hand(&store, 2, vec![title(1, "Duo")]).is_empty());
    assert_eq!(hand(&store, 3, vec![title(3, "Quartet")]).len(), 1);
    assert_eq!(store.rooms().unwrap()[0].title, Some((b"Quartet".to_vec(), 3)));
}
