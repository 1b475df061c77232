//! From a draft to its place: once only, in order, durable before it is answered, many in one commit.

use crate::support::{Home, Person, SOON, code, direct, keys, open_on, public, server, some_key};
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::sync::Arc;
use tidings_proto::{Code, Entry, Refusal};
use tidings_server::bus::local::LocalBus;
use tidings_server::logs::{Origin, Placed, Reader};

fn last_of(result: Result<Placed, Refusal>) -> (Code, Option<u64>) {
    let refusal = result.unwrap_err();
    (refusal.code, refusal.last)
}

#[tokio::test]
async fn each_draft_has_one_place_however_often_it_is_offered() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let log = public("s1");
    let (first, second) = (alice.post(1, "one"), alice.post(2, "two"));
    assert_eq!(last_of(home.append(&alice, &log, &second).await), (Code::Gap, Some(0)));
    let placed = home.append(&alice, &log, &first).await.unwrap();
    let next = home.append(&alice, &log, &second).await.unwrap();
    assert_eq!((placed.seq, next.seq), (1, 2));
    assert_eq!(home.append(&alice, &log, &first).await, Ok(placed));
    assert_eq!(last_of(home.append(&alice, &log, &alice.post(1, "another")).await), (Code::Rewound, Some(2)));
    assert_eq!(last_of(home.append(&alice, &log, &alice.post(4, "four")).await), (Code::Gap, Some(2)));
    // And after a restart, when nothing of it is in memory.
    let home = home.restart().await;
    assert_eq!(home.append(&alice, &log, &first).await, Ok(placed));
    assert_eq!(last_of(home.append(&alice, &log, &alice.post(2, "another")).await), (Code::Rewound, Some(2)));
    assert_eq!(last_of(home.append(&alice, &log, &alice.post(4, "four")).await), (Code::Gap, Some(2)));
    assert_eq!(home.append(&alice, &log, &alice.post(3, "three")).await.unwrap().seq, 3);
    // The count is each log's own.
    assert_eq!(home.append_direct(&alice, &direct(&alice, &alice), &alice.sealed(1, b"x")).await.unwrap().seq, 2);
}

#[tokio::test]
async fn a_refusal_touches_no_neighbour_in_its_batch() {
    let home = Home::new("s1").await;
    let (alice, bob) = (home.person("alice").await, home.person("bob").await);
    let log = public("s1");
    let before = home.store.transactions();
    let drafts = [
        (&alice, alice.post(1, "a1")),
        (&bob, bob.post(2, "too early")),
        (&bob, bob.post(1, "b1")),
        (&alice, alice.post(1, "a1")),
        (&alice, alice.post(1, "not a1")),
        (&alice, alice.post(2, "a2")),
        (&bob, bob.post(2, "too early")),
        (&bob, bob.post(9, "far too early")),
        (&alice, alice.post(3, "a3")),
    ];
    // Polled in order by one task, so they are in line in this order.
    let results = join_all(drafts.iter().map(|(author, draft)| home.append(author, &log, draft))).await;
    let seen: Vec<Result<u64, Code>> = results.iter().map(|result| result.as_ref().map(|p| p.seq).map_err(|why| why.code)).collect();
    let (gap, rewound) = (Err(Code::Gap), Err(Code::Rewound));
    assert_eq!(seen, [Ok(1), gap, Ok(2), Ok(1), rewound, Ok(3), Ok(4), gap, Ok(5)]);
    assert!(home.store.transactions() - before <= 2, "one batch, or two where the first draft was taken alone");
    // The chain holds, and the answers are where it says.
    let (_, entries) = home.read(&log).await;
    let mut tip = tidings_proto::chain::Tip::EMPTY;
    for entry in entries {
        tip = tidings_proto::chain::extend(&log, &tip, &Entry::read(&entry).unwrap()).unwrap();
        assert!(results.iter().flatten().any(|placed| placed.seq == tip.seq && placed.hash == tip.hash));
    }
    assert_eq!(tip, home.logs.tip(&log).unwrap());
}

/// On one thread, so that all of them are in line before the sequencer has its turn, however slow the machine.
#[tokio::test]
async fn a_thousand_appends_share_few_commits() {
    let home = Home::new("s1").await;
    let mut people = Vec::new();
    for i in 0..10 {
        people.push(home.person(&format!("user{i}")).await);
    }
    let log = public("s1");
    let drafts: Vec<_> = (1..=100).flat_map(|n| people.iter().map(move |person| (person, person.post(n, "hello")))).collect();
    let before = home.store.transactions();
    let placed = join_all(drafts.iter().map(|(author, draft)| home.append(author, &log, draft))).await;
    let mut seqs: Vec<u64> = placed.into_iter().map(|placed| placed.unwrap().seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=1000).collect::<Vec<u64>>());
    let commits = home.store.transactions() - before;
    assert!(commits <= 10, "1000 appends took {commits} commits");
}

#[tokio::test]
async fn entries_of_one_batch_have_one_time() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let log = public("s1");
    let drafts: Vec<_> = (1..=50).map(|n| alice.post(n, "hello")).collect();
    let before = home.store.transactions();
    join_all(drafts.iter().map(|draft| home.append(&alice, &log, draft))).await;
    let commits = home.store.transactions() - before;
    let mut times: Vec<u64> = home.read(&log).await.1.iter().map(|entry| Entry::read(entry).unwrap().at).collect();
    times.dedup();
    assert!(times.len() as u64 <= commits, "{} times in {commits} commits", times.len());
}

#[tokio::test]
async fn an_asker_that_goes_away_takes_nothing_back() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let log = public("s1");
    let mut rest = tidings_server::logs::Follower::new(&home.logs);
    rest.follow(&Reader::Host, &log, 0).unwrap();
    let draft = alice.post(1, "hello");
    assert!(home.append(&alice, &log, &draft).now_or_never().is_none(), "polled once, then dropped");
    tokio::time::timeout(SOON, rest.next()).await.expect("the entry is followed all the same");
    assert_eq!(home.append(&alice, &log, &draft).await.unwrap().seq, 1);
}

#[tokio::test]
async fn what_is_not_durable_is_neither_answered_nor_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (faulty, logs) = open_on(folder.path(), "s1", Arc::new(LocalBus::default())).await;
    let mut alice = Person::new("alice@s1");
    alice.join(&logs).await.unwrap();
    let log = public("s1");
    let append = |n: u64| logs.append(alice.origin(), &log, alice.post(n, "hello").bytes().clone(), None);
    append(1).await.unwrap();
    let mut follower = tidings_server::logs::Follower::new(&logs);
    follower.follow(&Reader::Host, &log, 1).unwrap();

    faulty.fail_commits(true);
    assert_eq!(code(append(2).await), Code::Full);
    let mut bob = Person::new("bob@s1");
    assert_eq!(code(bob.join(&logs).await), Code::Full);
    assert_eq!(logs.tip(&log).unwrap().seq, 1);
    assert!(follower.ahead().is_empty() && follower.next().now_or_never().is_none(), "nobody hears of it");
    assert!(logs.directory().state(&bob.name).is_none());

    faulty.fail_commits(false);
    assert_eq!(append(2).await.unwrap().seq, 2, "the same draft, once there is room again");
    let mut bob = Person::new("bob@s1");
    bob.join(&logs).await.unwrap();
    logs.close().await;
}

#[tokio::test]
async fn a_server_that_stops_finishes_what_it_has_taken() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let log = public("s1");
    let drafts: Vec<_> = (1..=20).map(|n| alice.post(n, "hello")).collect();
    let all = join_all(drafts.iter().map(|draft| home.append(&alice, &log, draft)));
    let (results, ()) = tokio::join!(all, home.logs.close());
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(code(home.append(&alice, &log, &alice.post(21, "late")).await), Code::Internal);
    let home = home.restart().await;
    assert_eq!(home.logs.tip(&log).unwrap().seq, 20);
}

#[tokio::test]
async fn logs_have_one_number_for_ever() {
    let home = Home::new("s1").await;
    home.logs.know_peer(&server("s2"), &some_key("s2")).await.unwrap();
    home.logs.know_peer(&server("s2"), &some_key("s2")).await.unwrap();
    let alice = home.person("alice").await;
    let genesis = direct(&alice, &alice);
    home.append_direct(&alice, &genesis, &alice.sealed(1, b"x")).await.unwrap();
    let number_of =
        |home: &Home, log: &tidings_proto::LogName| (1..100).find(|number| home.logs.name(*number).as_ref() == Some(log)).unwrap();
    let logs = [public("s1"), public("s2"), alice.inbox(), genesis.log()];
    let numbers: Vec<u64> = logs.iter().map(|log| number_of(&home, log)).collect();
    let home = home.restart().await;
    assert_eq!(logs.iter().map(|log| number_of(&home, log)).collect::<Vec<_>>(), numbers);
}

/// Nobody proves that the keys in their device list are their own, except for the one that submits it.
#[tokio::test]
async fn nobody_uses_up_anothers_numbers() {
    let (home, hub) = (Home::new("s1").await, Home::new("s2").await);
    let alice = home.person("alice").await;
    let mut mallory = Person::new("mallory@s2");
    mallory.devices.insert(0, alice.devices[0].clone());
    mallory.join(&hub.logs).await.unwrap();
    home.knows(&hub).await;
    home.copy(&hub, &keys("s2")).await;
    let genesis = direct(&alice, &mallory);
    let stolen = mallory.sealed(1, b"by a device that is alice's");
    assert_eq!(stolen.device, alice.device());
    // Whether it is taken matters little; what matters is that alice's own first message is.
    let peer = Origin::Peer(hub.name.clone());
    let taken = home.logs.append(peer, &genesis.log(), stolen.bytes().clone(), Some(genesis.clone())).await;
    home.append_direct(&alice, &genesis, &alice.sealed(1, b"hello")).await.unwrap();
    home.append_direct(&alice, &genesis, &alice.sealed(2, b"again")).await.unwrap();
    let home = home.restart().await;
    home.append_direct(&alice, &genesis, &alice.sealed(3, b"and again")).await.unwrap();
    let again = home.logs.append(Origin::Peer(hub.name.clone()), &genesis.log(), stolen.bytes().clone(), Some(genesis.clone())).await;
    assert_eq!(again, taken, "and the answer to the other stays the same");
}

/// A bus that falls over its own feet, in the middle of the sequencer's turn.
struct BadBus;

impl tidings_server::bus::Bus for BadBus {
    fn wake(&self, _: &[u64]) {
        panic!("a planted panic");
    }

    fn listen(&self, _: tidings_server::bus::Listener) {}
}

#[tokio::test]
async fn when_nothing_can_be_ordered_any_more_everybody_is_told() {
    let home = Home::with_bus("s1", std::sync::Arc::new(BadBus)).await;
    assert!(home.logs.is_open());
    let mut alice = Person::new("alice@s1");
    assert_eq!(code(alice.join(&home.logs).await), Code::Internal);
    tokio::time::timeout(SOON, home.logs.ended()).await.expect("it is noticed");
    assert!(!home.logs.is_open());
    assert_eq!(code(Person::new("bob@s1").join(&home.logs).await), Code::Internal, "nobody waits in vain");

    // So it is when the store is gone; a full disk passes.
    let folder = tempfile::tempdir().unwrap();
    let (store, logs) = open_on(folder.path(), "s1", std::sync::Arc::new(LocalBus::default())).await;
    store.fail_commits(true);
    assert_eq!(code(Person::new("alice@s1").join(&logs).await), Code::Full);
    assert!(logs.is_open());
    tidings_server::store::Store::close(&*store).await;
    store.fail_commits(false);
    assert_eq!(code(Person::new("alice@s1").join(&logs).await), Code::Internal);
    tokio::time::timeout(SOON, logs.ended()).await.expect("it is noticed");
}
