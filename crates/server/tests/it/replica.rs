//! What a hub sends is believed as far as it can be verified, and no further.

use crate::company::{Act, Group};
use crate::support::{Home, Note, Person, SOON, direct, keys, public, server, sign, some_key, user};
use bytes::Bytes;
use tidings_proto::chain::{self, Tip};
use tidings_proto::{Code, Content, Draft, Encoded, Entry, Frame, Genesis, Hash, Kind, LogName, Payload, Role, Signature, cbor, limits};
use tidings_server::logs::{Follower, Reader, ReplicaError};

/// Whatever a hub may choose to say: these drafts as the entries after `tip`.
fn told(log: &LogName, mut tip: Tip, drafts: impl IntoIterator<Item = Encoded<Draft>>) -> (Tip, Vec<Bytes>) {
    let mut items = Vec::new();
    for draft in drafts {
        let entry = Entry { seq: tip.seq + 1, at: 7, payload: Payload::Draft(draft) };
        tip = chain::extend(log, &tip, &entry).unwrap();
        items.push(entry.encode());
    }
    (tip, items)
}

/// A server that follows `s0`, where zoe and yan live, and knows their keys.
async fn follower() -> (Home, Home, Person, Person) {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let (zoe, yan) = (hub.person("zoe").await, hub.person("yan").await);
    home.knows(&hub).await;
    home.copy(&hub, &keys("s0")).await;
    (home, hub, zoe, yan)
}

async fn give(home: &Home, log: &LogName, prev: Hash, items: Vec<Bytes>) -> Result<Tip, ReplicaError> {
    home.logs.replicate(&server("s0"), log, prev, items).await
}

fn kept(entry: &Bytes) -> Payload {
    Entry::read(entry).unwrap().payload
}

#[tokio::test]
async fn a_replica_is_the_hubs_log_to_the_byte() {
    let (home, hub, zoe, yan) = follower().await;
    let log = public("s0");
    for n in 1..=5 {
        hub.append(&zoe, &log, &zoe.post(n, "hello")).await.unwrap();
        hub.append(&yan, &log, &yan.post(n, "hello")).await.unwrap();
    }
    home.copy(&hub, &log).await;
    assert_eq!(home.logs.tip(&log), hub.logs.tip(&log));
    assert_eq!(home.read(&log).await, hub.read(&log).await);
    let state = home.logs.directory().state(&zoe.name).unwrap();
    assert_eq!(*state, *hub.logs.directory().state(&zoe.name).unwrap());
    // All of it is there after a restart, and the next page goes on from it.
    let home = home.restart().await;
    assert_eq!(*home.logs.directory().state(&zoe.name).unwrap(), *state);
    hub.append(&zoe, &log, &zoe.post(6, "more")).await.unwrap();
    let (prev, items) = hub.logs.page(&Reader::Host, &log, (None, Some(10)), 9).await.unwrap();
    let tip = give(&home, &log, prev, items.into_iter().map(|item| item.entry).collect()).await.unwrap();
    assert_eq!(Some(tip), hub.logs.tip(&log));
    assert_eq!(
        home.logs.replicas_from(&server("s0")).await.unwrap(),
        [(keys("s0"), hub.logs.tip(&keys("s0")).unwrap()), (log, tip)],
        "what is to be followed there, keys first"
    );
}

#[tokio::test]
async fn arrivals_are_counted_over_all_public_logs() {
    let (home, hub, zoe, _) = follower().await;
    let alice = home.person("alice").await;
    let (theirs, ours) = (public("s0"), public("s1"));
    let got = async |home: &Home, log: &LogName| -> Vec<u64> {
        let (_, items) = home.logs.page(&Reader::Host, log, (None, Some(0)), 100).await.unwrap();
        items.into_iter().map(|item| item.got.unwrap()).collect()
    };
    home.append(&alice, &ours, &alice.post(1, "a")).await.unwrap();
    hub.append(&zoe, &theirs, &zoe.post(1, "z")).await.unwrap();
    hub.append(&zoe, &theirs, &zoe.post(2, "z")).await.unwrap();
    home.copy(&hub, &theirs).await;
    let home = home.restart().await;
    home.append(&alice, &ours, &alice.post(2, "a")).await.unwrap();
    assert_eq!((got(&home, &ours).await, got(&home, &theirs).await), (vec![1, 4], vec![2, 3]));
    // Other logs have no such number.
    let (_, items) = home.logs.page(&Reader::Host, &keys("s1"), (None, Some(0)), 9).await.unwrap();
    assert_eq!(items[0].got, None);
}

#[tokio::test]
async fn what_is_here_already_is_skipped() {
    let (home, hub, zoe, _) = follower().await;
    let log = public("s0");
    for n in 1..=6 {
        hub.append(&zoe, &log, &zoe.post(n, "hello")).await.unwrap();
    }
    let (prev, items) = hub.read(&log).await;
    give(&home, &log, prev, items[..4].to_vec()).await.unwrap();
    give(&home, &log, prev, items[..3].to_vec()).await.unwrap();
    let (from_third, _) = hub.logs.page(&Reader::Host, &log, (None, Some(2)), 1).await.unwrap();
    let tip = give(&home, &log, from_third, items[2..].to_vec()).await.unwrap();
    assert_eq!((tip.seq, Some(tip)), (6, hub.logs.tip(&log)));
    assert_eq!(give(&home, &log, prev, items.clone()).await.unwrap(), tip);
    assert_eq!(give(&home, &log, tip.hash, Vec::new()).await.unwrap(), tip);
    // The same page by two links at once.
    hub.append(&zoe, &log, &zoe.post(7, "hello")).await.unwrap();
    let (prev, items) = hub.read(&log).await;
    let (one, two) = tokio::join!(give(&home, &log, prev, items.clone()), give(&home, &log, prev, items));
    assert_eq!((one.unwrap().seq, two.unwrap().seq), (7, 7));
    assert_eq!(home.read(&log).await, hub.read(&log).await);
}

#[tokio::test]
async fn a_gap_is_told_and_changes_nothing() {
    let (home, hub, zoe, _) = follower().await;
    let log = public("s0");
    for n in 1..=4 {
        hub.append(&zoe, &log, &zoe.post(n, "hello")).await.unwrap();
    }
    let (prev, items) = hub.read(&log).await;
    let (third, _) = hub.logs.page(&Reader::Host, &log, (None, Some(2)), 1).await.unwrap();
    let error = give(&home, &log, third, items[2..].to_vec()).await.unwrap_err();
    assert!(matches!(error, ReplicaError::Gap { next: 1, found: 3 }), "{error}");
    assert_eq!(home.logs.tip(&log), Some(Tip::EMPTY));
    assert_eq!(give(&home, &log, prev, items).await.unwrap().seq, 4, "and the log goes on");
}

/// Where a followed log ends, and why.
async fn ends(follower: &mut Follower) -> (u64, Option<Code>) {
    loop {
        let news = tokio::time::timeout(SOON, follower.next()).await.expect("an end in time");
        if let Frame::Ended(ended) = Frame::read(&news.frame, limits::CLIENT_FRAME).unwrap() {
            return (ended.seq, ended.why.map(|why| why.code));
        }
    }
}

#[tokio::test]
async fn another_story_stops_that_log_only() {
    let (home, hub, zoe, yan) = follower().await;
    let log = public("s0");
    let (tip, items) = told(&log, Tip::EMPTY, [zoe.post(1, "one"), zoe.post(2, "two")]);
    assert_eq!(give(&home, &log, Hash::ZERO, items).await.unwrap(), tip);
    // The hub says that entry 2 was another.
    let (other, items) = told(&log, Tip::EMPTY, [zoe.post(1, "one"), zoe.post(2, "TWO"), zoe.post(3, "three")]);
    assert_ne!(other.hash, tip.hash);
    let mut there = Follower::new(&home.logs);
    there.follow(&Reader::User(user("alice@s1")), &log, tip.seq).unwrap();
    assert!(matches!(give(&home, &log, Hash::ZERO, items).await, Err(ReplicaError::Broken(_))));
    assert_eq!(home.logs.tip(&log), Some(tip), "nothing of the other story is kept");
    assert_eq!(ends(&mut there).await, (tip.seq, Some(Code::Broken)), "who is there is told");
    // From then on not even the right story is taken, also after a restart.
    let (_, items) = told(&log, tip, [zoe.post(3, "three")]);
    assert!(matches!(give(&home, &log, tip.hash, items.clone()).await, Err(ReplicaError::Broken(_))));
    let home = home.restart().await;
    assert!(matches!(give(&home, &log, tip.hash, items).await, Err(ReplicaError::Broken(_))));
    let mut later = Follower::new(&home.logs);
    later.follow(&Reader::User(user("alice@s1")), &log, 0).unwrap();
    assert_eq!(ends(&mut later).await, (tip.seq, Some(Code::Broken)), "and who comes later, behind all that is here");
    let followed = home.logs.replicas_from(&server("s0")).await.unwrap();
    assert_eq!(followed.iter().map(|(log, _)| log.clone()).collect::<Vec<_>>(), [keys("s0")]);
    // Its keys go on.
    let mut yan = yan;
    hub.append(&Person::new("yan@s0"), &keys("s0"), &yan.next_list(2)).await.unwrap();
    home.copy(&hub, &keys("s0")).await;
    assert_eq!(home.logs.directory().state(&yan.name).unwrap().list.version, 2);
}

#[tokio::test]
async fn each_way_to_break_a_chain_is_noticed() {
    for way in 0..6 {
        let (home, _hub, zoe, _) = follower().await;
        let log = public("s0");
        let (tip, items) = told(&log, Tip::EMPTY, (1..=2).map(|n| zoe.post(n, "hello")));
        give(&home, &log, Hash::ZERO, items.clone()).await.unwrap();
        let (_, next) = told(&log, tip, (3..=5).map(|n| zoe.post(n, "hello")));
        let swapped = Entry { at: 8, ..Entry::read(&items[1]).unwrap() }.encode();
        let (prev, page) = match way {
            0 => (Hash([1; 32]), next),                                          // another hash before
            1 => (tip.hash, vec![next[0].clone(), next[2].clone()]),             // one left out
            2 => (tip.hash, vec![next[1].clone(), next[0].clone()]),             // out of order: starts with a gap
            3 => (tip.hash, vec![next[0].clone(), next[0].clone()]),             // one twice
            4 => (Hash::ZERO, vec![items[0].clone(), swapped, next[0].clone()]), // another time in the past
            _ => (tip.hash, vec![Bytes::from_static(b"\xa0")]),                  // no entry at all
        };
        let error = give(&home, &log, prev, page).await.unwrap_err();
        let fits = match way {
            2 => matches!(error, ReplicaError::Gap { next: 3, found: 4 }),
            _ => matches!(error, ReplicaError::Broken(_)),
        };
        assert!(fits, "way {way}: {error}");
        assert_eq!(home.logs.tip(&log), Some(tip), "way {way}");
    }
}

#[tokio::test]
async fn a_log_waits_for_keys_that_are_not_here_yet_and_no_other_does() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    home.knows(&hub).await;
    let mut zoe = hub.person("zoe").await;
    home.copy(&hub, &keys("s0")).await;
    let yan = hub.person("yan").await;
    let log = public("s0");
    hub.append(&zoe, &log, &zoe.post(1, "first")).await.unwrap();
    hub.append(&yan, &log, &yan.post(1, "who am I?")).await.unwrap();
    hub.append(&zoe, &log, &zoe.post(2, "third")).await.unwrap();
    let (prev, items) = hub.read(&log).await;
    let error = give(&home, &log, prev, items.clone()).await.unwrap_err();
    assert!(matches!(&error, ReplicaError::NotYet(user) if *user == yan.name), "{error}");
    assert_eq!(home.logs.tip(&log).unwrap().seq, 1, "what comes before is kept");
    home.copy(&hub, &keys("s0")).await;
    assert_eq!(give(&home, &log, prev, items).await.unwrap().seq, 3);

    // A known author, but by a newer list.
    let newest = zoe.next_list(2);
    hub.append(&zoe, &keys("s0"), &newest).await.unwrap();
    hub.append(&zoe, &log, &zoe.post(3, "by list 2")).await.unwrap();
    let (prev, items) = hub.read(&log).await;
    assert!(matches!(give(&home, &log, prev, items).await, Err(ReplicaError::NotYet(user)) if user == zoe.name));
    home.copy(&hub, &keys("s0")).await;
    home.copy(&hub, &log).await;
    assert_eq!(home.read(&log).await, hub.read(&log).await);
}

#[tokio::test]
async fn posts_that_cannot_be_verified_are_kept_as_stubs() {
    let (home, _hub, zoe, yan) = follower().await;
    let alice = home.person("alice").await;
    let log = public("s0");
    let note = |n: u64, text: &str| Note {
        log: &log,
        n,
        kind: Kind::Post,
        body: cbor::encode(&Content { text: text.into(), ..Content::default() }).into(),
    };
    let unsigned = Encoded::new(zoe.plain(0, &note(2, "unsigned")));
    let forged = zoe.plain(0, &note(2, "forged")).signed(&log, sign(&yan.devices[0]));
    let zeroed = Encoded::new(Draft { sig: Some(Signature([0; 64])), ..zoe.post(2, "zero").into_value() });
    let put_in_her_mouth = Draft { device: yan.device(), ..zoe.plain(0, &note(2, "x")) }.signed(&log, sign(&yan.devices[0]));
    let from_elsewhere = alice.write(note(1, "I live on s1"));
    let too_long = zoe.write(note(2, &"x".repeat(limits::TEXT + 1)));
    let no_content = zoe.write(Note { body: Bytes::from_static(b"\xa0"), ..note(2, "") });
    let other_kind = zoe.write(Note { kind: Kind::Notice, ..note(2, "x") });
    let transplanted = zoe.write(Note { log: &public("s9"), ..note(2, "meant for another log") });
    let bad = [unsigned, forged, zeroed, put_in_her_mouth, from_elsewhere, too_long, no_content, other_kind, transplanted];
    let count = bad.len();
    let mut drafts = vec![zoe.post(1, "before")];
    drafts.extend(bad);
    drafts.push(yan.post(1, "after"));
    let (tip, items) = told(&log, Tip::EMPTY, drafts);
    assert_eq!(give(&home, &log, Hash::ZERO, items.clone()).await.unwrap(), tip);
    let check = async |home: &Home| {
        let (_, mine) = home.read(&log).await;
        assert_eq!((&mine[0], &mine[count + 1]), (&items[0], &items[count + 1]), "what is good is kept whole");
        for (mine, theirs) in mine.iter().zip(&items).skip(1).take(count) {
            assert_eq!(kept(mine), Payload::Stub(Entry::read(theirs).unwrap().draft_hash()));
        }
    };
    check(&home).await;
    let home = home.restart().await;
    check(&home).await;
    // The chain holds over stubs, ours and theirs.
    let stub = Entry { seq: tip.seq + 1, at: 9, payload: Payload::Stub(Hash([9; 32])) };
    let after = chain::extend(&log, &tip, &stub).unwrap();
    assert_eq!(give(&home, &log, tip.hash, vec![stub.encode()]).await.unwrap(), after);
    assert_eq!(home.logs.tip(&log), Some(after));
}

#[tokio::test]
async fn a_device_that_was_removed_stays_the_author_of_what_it_wrote() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    home.knows(&hub).await;
    let mut zoe = hub.person("zoe").await;
    let log = public("s0");
    hub.append(&zoe, &log, &zoe.post(1, "by my first device")).await.unwrap();
    zoe.devices.push(crate::support::key("zoe's second"));
    let add = zoe.next_list(1);
    hub.logs.append(zoe.guest(add.device), &keys("s0"), add.bytes().clone(), None).await.unwrap();
    let first = zoe.devices.remove(0);
    hub.rekey(&mut zoe, 2).await.unwrap();
    home.copy(&hub, &keys("s0")).await;
    home.copy(&hub, &log).await;
    assert_eq!(home.read(&log).await, hub.read(&log).await, "kept whole, not as a stub");
    // What it signs under the newest list is no longer its user's.
    let ghost = Person { devices: vec![first], version: 3, ..Person::new("zoe@s0") };
    let tip = home.logs.tip(&log).unwrap();
    let (_, items) = told(&log, tip, [ghost.post(2, "still here")]);
    give(&home, &log, tip.hash, items).await.unwrap();
    assert!(matches!(kept(&home.read(&log).await.1[1]), Payload::Stub(_)));
}

#[tokio::test]
async fn a_key_history_takes_only_what_continues_it() {
    let (home, hub, mut zoe, _) = follower().await;
    let log = keys("s0");
    let alice = home.person("alice").await;
    let before = home.logs.directory().state(&zoe.name).unwrap();
    let mut other = Person::new("zoe@s0");
    let second_first = other.next_list(2); // a first list where there is one
    let skipped = {
        let mut skipping = Person { version: 5, ..Person::new("zoe@s0") };
        skipping.next_list(2)
    };
    let about_ours = Person::new("alice@s1").next_list(1); // s0 says something about a user of s1
    let mut tip = home.logs.tip(&log).unwrap();
    for bad in [second_first, skipped, about_ours, zoe.post(2, "no list at all")] {
        let (next, items) = told(&log, tip, [bad]);
        assert_eq!(give(&home, &log, tip.hash, items).await.unwrap(), next);
        tip = next;
        assert!(matches!(kept(home.read(&log).await.1.last().unwrap()), Payload::Stub(_)));
    }
    assert_eq!(*home.logs.directory().state(&zoe.name).unwrap(), *before);
    assert_eq!(home.logs.directory().state(&alice.name).unwrap().seq, 1);
    let (next, items) = told(&log, tip, [zoe.next_list(2)]);
    give(&home, &log, tip.hash, items).await.unwrap();
    let home = home.restart().await;
    let state = home.logs.directory().state(&zoe.name).unwrap();
    assert_eq!((state.list.version, state.seq), (2, next.seq), "stubs are no part of the history after a restart either");
    drop(hub);
}

#[tokio::test]
async fn a_room_begins_with_its_genesis_and_holds_its_members_messages() {
    let (home, hub, zoe, yan) = follower().await;
    let alice = home.person("alice").await;
    // Of alice@s1 and bob@s0 alice's server would be the hub; aaron's is s0.
    let aaron = hub.person("aaron").await;
    home.copy(&hub, &keys("s0")).await;
    let genesis: Genesis = direct(&alice, &aaron);
    assert_eq!(genesis.hub(), &server("s0"));
    let log = genesis.log();
    let (_, items) = told(&log, Tip::EMPTY, [genesis.as_direct().unwrap().draft()]);
    assert!(matches!(give(&home, &log, Hash::ZERO, items).await, Err(ReplicaError::NotFollowed)), "a room nobody here was told of");

    let notice = aaron.notice(1, &alice, &genesis);
    let peer = tidings_server::logs::Origin::Peer(server("s0"));
    home.logs.append(peer, &alice.inbox(), notice.bytes().clone(), None).await.unwrap();
    assert_eq!(home.logs.tip(&log), Some(Tip::EMPTY));
    assert!(home.logs.replicas_from(&server("s0")).await.unwrap().contains(&(log.clone(), Tip::EMPTY)));
    let open = aaron.write(Note { log: &log, n: 2, kind: Kind::Post, body: Bytes::from_static(b"\xa1\x00\x61x") });
    let drafts =
        [genesis.as_direct().unwrap().draft(), aaron.sealed(1, b"hello"), zoe.sealed(1, b"not a member"), open, alice.sealed(1, b"hi")];
    let (tip, items) = told(&log, Tip::EMPTY, drafts);
    assert_eq!(give(&home, &log, Hash::ZERO, items.clone()).await.unwrap(), tip);
    let (_, mine) = home.read(&log).await;
    assert_eq!((&mine[0], &mine[1], &mine[4]), (&items[0], &items[1], &items[4]));
    assert!(matches!((kept(&mine[2]), kept(&mine[3])), (Payload::Stub(_), Payload::Stub(_))));
    assert!(!home.logs.may_read(&Reader::Peer(server("s0")), &log), "a replica is not passed on: its hub has it");

    // Another room, whose first entry is not its genesis.
    let second = direct(&home.person("bob").await, &aaron);
    let notice = aaron.notice(1, &Person::new("bob@s1"), &second);
    let peer = tidings_server::logs::Origin::Peer(server("s0"));
    home.logs.append(peer, &LogName::Inbox("bob@s1".parse().unwrap()), notice.bytes().clone(), None).await.unwrap();
    let (_, items) = told(&second.log(), Tip::EMPTY, [genesis.as_direct().unwrap().draft()]);
    assert!(matches!(give(&home, &second.log(), Hash::ZERO, items).await, Err(ReplicaError::Broken(_))));
    drop(yan);
}

#[tokio::test]
async fn only_a_logs_hub_is_believed_about_it() {
    let (home, hub, zoe, _) = follower().await;
    home.logs.know_peer(&server("s5"), &some_key("s5")).await.unwrap();
    let alice = home.person("alice").await;
    let log = public("s0");
    let (_, items) = told(&log, Tip::EMPTY, [zoe.post(1, "hello")]);
    let by_another = home.logs.replicate(&server("s5"), &log, Hash::ZERO, items.clone()).await;
    assert!(matches!(by_another, Err(ReplicaError::NotFollowed)));
    let ours = public("s1");
    let (_, forged) = told(&ours, Tip::EMPTY, [alice.post(1, "hello")]);
    assert!(matches!(give(&home, &ours, Hash::ZERO, forged.clone()).await, Err(ReplicaError::NotFollowed)));
    assert!(matches!(home.logs.replicate(&home.name, &ours, Hash::ZERO, forged).await, Err(ReplicaError::NotFollowed)));
    assert!(matches!(give(&home, &zoe.inbox(), Hash::ZERO, items.clone()).await, Err(ReplicaError::NotFollowed)));
    let unknown = home.logs.replicate(&server("s9"), &public("s9"), Hash::ZERO, items).await;
    assert!(matches!(unknown, Err(ReplicaError::NotFollowed)));
    drop(hub);
}

#[tokio::test]
async fn pages_that_share_a_commit_are_judged_as_if_they_came_one_by_one() {
    let (home, hub, zoe, yan) = follower().await;
    let log = public("s0");
    for n in 1..=6 {
        hub.append(&zoe, &log, &zoe.post(n, "hello")).await.unwrap();
    }
    let page = async |after: u64| {
        let (prev, items) = hub.logs.page(&Reader::Host, &log, (None, Some(after)), 2).await.unwrap();
        (Some(prev), items.into_iter().map(|item| item.entry).collect::<Vec<_>>())
    };
    let hub_name = server("s0");
    let (one, two, three) = (page(0).await, page(2).await, page(4).await);
    let before = home.store.transactions();
    // What comes twice in between is skipped.
    let tip = home.logs.replicate_pages(&hub_name, &log, &[one.clone(), two.clone(), one.clone(), three.clone()]).await.unwrap();
    assert_eq!((Some(tip), home.store.transactions()), (hub.logs.tip(&log), before + 1), "all of it in one commit");
    assert_eq!(home.read(&log).await, hub.read(&log).await);

    // A hole, an author nobody knows, another story at the border: what came before each of them is taken.
    let second = async || {
        let other = Home::new("s1").await;
        other.knows(&hub).await;
        other.copy(&hub, &keys("s0")).await;
        other
    };
    let home = second().await;
    let gap = home.logs.replicate_pages(&hub_name, &log, &[one.clone(), three.clone()]).await;
    assert!(matches!(gap, Err(ReplicaError::Gap { next: 3, found: 5 })), "{gap:?}");
    assert_eq!(home.logs.tip(&log).unwrap().seq, 2);

    let stranger = Person::new("xan@s0");
    let (_, unknown) = told(&log, home.logs.tip(&log).unwrap(), [yan.post(1, "known"), stranger.post(1, "unknown")]);
    let after = home.logs.tip(&log).unwrap().hash;
    let waits = home.logs.replicate_pages(&hub_name, &log, &[(Some(after), unknown), three.clone()]).await;
    assert!(matches!(&waits, Err(ReplicaError::NotYet(user)) if *user == stranger.name), "{waits:?}");
    assert_eq!(home.logs.tip(&log).unwrap().seq, 3);

    let home = second().await;
    let broken = home.logs.replicate_pages(&hub_name, &log, &[one, (Some(Hash([9; 32])), two.1), three]).await;
    assert!(matches!(broken, Err(ReplicaError::Broken(_))), "{broken:?}");
    assert_eq!(home.logs.tip(&log).unwrap().seq, 2);
    assert!(matches!(home.logs.replicate_pages(&hub_name, &log, &[]).await, Err(ReplicaError::Broken(_))), "it has stopped");
}

/// A hub says what entries follow once, and then goes on. What is here already is skipped, whatever it was said to follow.
#[tokio::test]
async fn pages_that_go_on_are_held_against_what_is_here() {
    let (home, hub, zoe, _) = follower().await;
    let log = public("s0");
    for n in 1..=6 {
        hub.append(&zoe, &log, &zoe.post(n, "hello")).await.unwrap();
    }
    let (prev, items) = hub.read(&log).await;
    let going_on = async |from: usize, to: usize| {
        let page = (None, items[from - 1..to].to_vec());
        home.logs.replicate_pages(&server("s0"), &log, &[page]).await.map(|tip| tip.seq)
    };
    give(&home, &log, prev, items[..2].to_vec()).await.unwrap();
    assert!(matches!(going_on(4, 5).await, Err(ReplicaError::Gap { next: 3, found: 4 })));
    for (from, to, seq) in [(1, 2, 2), (3, 3, 3), (2, 5, 5), (6, 6, 6), (1, 6, 6)] {
        assert_eq!(going_on(from, to).await.unwrap(), seq, "{from} to {to}");
    }
    assert_eq!((home.logs.tip(&log), home.read(&log).await), (hub.logs.tip(&log), hub.read(&log).await));
    let none = Entry { seq: 0, ..Entry::read(&items[0]).unwrap() }.encode();
    let broken = home.logs.replicate_pages(&server("s0"), &log, &[(None, vec![none])]).await;
    assert!(matches!(broken, Err(ReplicaError::Broken(_))), "{broken:?}");
}

/// The entry around any bytes in a draft's place.
fn around(tip: Tip, draft: &[u8]) -> Bytes {
    let mut out = Vec::new();
    minicbor::Encoder::new(&mut out).map(3).unwrap().u8(0).unwrap().bytes(draft).unwrap();
    minicbor::Encoder::new(&mut out).u8(1).unwrap().u64(tip.seq + 1).unwrap().u8(2).unwrap().u64(7).unwrap();
    out.into()
}

/// A newer program's draft has its place in the chain, whatever it says; what has none stops its log, and no other.
#[tokio::test]
async fn what_cannot_be_read_is_a_stub_where_its_place_is_known_and_the_end_where_not() {
    let (home, hub, zoe, _) = follower().await;
    let log = public("s0");
    for later in [&b"\xa1\x18\x63\x01"[..], b"\x80", b"no CBOR at all", b""] {
        let before = home.logs.tip(&log).unwrap();
        let entry = around(before, later);
        let after = Tip { seq: before.seq + 1, hash: chain::hash(&log, &before.hash, before.seq + 1, 7, &Hash::of(later)) };
        let (_, good) = told(&log, after, [zoe.post(before.seq + 1, "goes on")]);
        let tip = give(&home, &log, before.hash, vec![entry, good[0].clone()]).await.unwrap();
        assert_eq!(tip.seq, before.seq + 2);
        let mine = home.read(&log).await.1;
        assert_eq!(kept(&mine[before.seq as usize]), Payload::Stub(Hash::of(later)));
        assert_eq!(mine[before.seq as usize + 1], good[0]);
    }
    let tip = home.logs.tip(&log).unwrap();
    let (_, good) = told(&log, tip, [zoe.post(9, "before it")]);
    let error = give(&home, &log, tip.hash, vec![good[0].clone(), Bytes::from_static(b"\xa1\x18\x63\x01")]).await.unwrap_err();
    assert!(matches!(&error, ReplicaError::Broken(why) if why.contains("cannot be read")), "{error}");
    assert_eq!(home.logs.tip(&log).unwrap().seq, tip.seq + 1, "what came before is kept");
    let followed: Vec<LogName> = home.logs.replicas_from(&server("s0")).await.unwrap().into_iter().map(|(log, _)| log).collect();
    assert_eq!(followed, [keys("s0")], "it is not asked for again and again");
    drop(hub);
}

/// What the hub says about who is in counts as far as its authors have signed it and may do it.
#[tokio::test]
async fn a_groups_people_are_whom_its_entries_prove_and_nobody_else() {
    let (home, hub, zoe, yan) = follower().await;
    let alice = home.person("alice").await;
    hub.knows(&home).await;
    hub.copy(&home, &keys("s1")).await;
    let mut group = Group::begun(&hub, &zoe, 1, &[&alice]).await;
    let log = group.log();
    let peer = tidings_server::logs::Origin::Peer(server("s0"));
    let invitation = group.invitation(&zoe, 1, &alice, 10);
    home.logs.append(peer, &alice.inbox(), invitation.bytes().clone(), None).await.unwrap();
    home.copy(&hub, &log).await;
    let people = || home.logs.people(&log).unwrap();
    let before = people();
    assert!(before.has(&alice.name) && before.epoch() == 2);
    let invite = |by: &Person| group.draft(by, &Act::Invite(&yan.name, yan.fingerprint(), Role::Member));
    let mut stale = group.clone();
    stale.epoch -= 1;
    let mut tip = hub.logs.tip(&log).unwrap();
    for (what, bad) in [
        ("by a member", invite(&alice)),
        ("by somebody who is not in", invite(&yan)),
        ("not signed", Encoded::new(Draft { sig: None, ..invite(&zoe).into_value() })),
        ("signed by the hub's friend", invite(&zoe).into_value().signed(&log, sign(&yan.devices[0]))),
        ("for another state", stale.draft(&zoe, &Act::Remove(&alice.name))),
        ("a join of nobody who was asked", group.draft(&yan, &Act::Join)),
        ("a message of somebody who is not in", group.draft(&yan, &Act::Say(b"x"))),
        ("a message to other people", stale.draft(&alice, &Act::Say(b"x"))),
        ("a second beginning", group.draft(&zoe, &Act::Begin)),
        ("a kind of a later version", Encoded::new(Draft { kind: Kind::Later(99), ..invite(&zoe).into_value() })),
    ] {
        let (next, items) = told(&log, tip, [bad]);
        assert_eq!(give(&home, &log, tip.hash, items).await.unwrap(), next, "{what}");
        assert!(matches!(kept(home.read(&log).await.1.last().unwrap()), Payload::Stub(_)), "{what}");
        assert_eq!(people(), before, "{what}");
        tip = next;
    }
    // What is good counts, over all of that.
    let removed = group.draft(&zoe, &Act::Remove(&alice.name));
    let (next, items) = told(&log, tip, [removed.clone()]);
    give(&home, &log, tip.hash, items).await.unwrap();
    group.took(&removed);
    assert!(!people().has(&alice.name) && people().epoch() == 3);
    // Keys that are not here yet are waited for.
    let xan = hub.person("xan").await;
    let asked = group.draft(&zoe, &Act::Invite(&xan.name, xan.fingerprint(), Role::Member));
    group.took(&asked);
    let (_, items) = told(&log, next, [asked, group.draft(&xan, &Act::Join)]);
    let waits = give(&home, &log, next.hash, items.clone()).await;
    assert!(matches!(&waits, Err(ReplicaError::NotYet(user)) if *user == xan.name), "{waits:?}");
    home.copy(&hub, &keys("s0")).await;
    give(&home, &log, next.hash, items).await.unwrap();
    assert!(people().has(&xan.name));
}
