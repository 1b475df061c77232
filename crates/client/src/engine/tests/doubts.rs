//! Key histories as wholes: what is told of one person is in what is told of everybody, and what others have seen is what is here. Where it is
//! not, a person is told; nothing stops.

use super::bench::{Bench, Person, Sealing, server_key, server_secret};
use crate::crypto::{Closed, Crypto, OpenJob, Opening};
use crate::engine::doubts::WAITED_FOR;
use crate::platform::now;
use crate::view::{Status, Trust};
use std::sync::Arc;
use tidings_e2ee::mls::State;
use tidings_proto::chain::Tip;
use tidings_proto::frame::{Ping, RoomRef};
use tidings_proto::{Content, Hash, Head, KeysSeen, LogName, Payload, ServerKey, ServerName, Signature};
use tidings_trust::Members;

fn s(name: &str) -> ServerName {
    name.parse().unwrap()
}

fn keys(server: &str) -> LogName {
    LogName::Keys(s(server))
}

fn seen(server: &str, tip: Tip) -> KeysSeen {
    KeysSeen { server: s(server), seq: tip.seq, hash: tip.hash }
}

/// What a person is told, and about whom.
fn notices(bench: &Bench) -> Vec<(String, String)> {
    bench.core.store.notices(0).unwrap().into_iter().map(|notice| (notice.user.to_string(), notice.text)).collect()
}

/// What is said of bob's keys besides.
fn warning(bench: &Bench) -> Option<String> {
    bench.core.people().view().into_iter().find(|person| person.user == bench.bob.user).unwrap().warning
}

/// Alice and bob have a room.
async fn talking() -> Bench {
    let mut bench = Bench::with(|hub, alice, bob| {
        let genesis = super::bench::room(&alice.user, &bob.user);
        hub.rooms = vec![RoomRef { hub: genesis.hub().clone(), genesis: genesis.clone() }];
        hub.begin(&genesis);
    })
    .await;
    bench.settles().await;
    bench
}

/// Bob writes, and says to have seen this.
async fn bob_says(bench: &mut Bench, text: &str, keys_seen: Vec<KeysSeen>) {
    let genesis = bench.room();
    let (log, members) = (genesis.log(), Members::direct(genesis.as_direct().unwrap()));
    let (n, tip) = (bench.hub.next_n(&log, &bench.bob.device.public()), bench.hub.tip(&log));
    let (content, keys) = (Content::text(text).unwrap(), &bench.hub.keys);
    let sealing = Sealing { genesis: &genesis, members: &members, keys, n, seen: (tip.seq, tip.hash), keys_seen, content };
    let draft = bench.bob.seal(sealing).await;
    bench.hub.append(&log, &draft);
    bench.news(&log, tip.seq + 1).await;
    assert_eq!(bench.lines(&bench.with_bob()).last(), Some(&format!("bob@s2: {text}")), "whatever is said of keys, it is read");
}

#[tokio::test]
async fn what_somebody_has_seen_of_keys_travels_inside_what_they_seal() {
    let mut bench = talking().await;
    let id = bench.writes(&bench.with_bob(), "hello").await;
    let log = bench.room().log();
    let submit = loop {
        match bench.taken() {
            submits if submits.iter().any(|submit| submit.log == log) => {
                break submits.into_iter().find(|submit| submit.log == log).unwrap();
            }
            submits => bench.accepts(&submits[0]).await,
        }
    };
    assert_eq!(bench.status(id), Status::Pending);
    let draft = tidings_proto::draft::read(submit.draft).unwrap();
    let what = Closed::Message {
        author: Arc::new(bench.alice.state.clone()),
        genesis: bench.room(),
        members: Arc::new(Members::direct(bench.room().as_direct().unwrap())),
        keys: Arc::new(bench.hub.keys.clone()),
    };
    let job = OpenJob { log, seq: 2, draft, what };
    let opened = Crypto::new(&bench.bob.account).unwrap().open(&job, &State::new(&|_| Ok(None))).await.unwrap();
    let Opening::Message(kept) = opened else { panic!("bob cannot open it") };
    let wanted = ["s1", "s2"].map(|server| seen(server, bench.hub.tip(&keys(server))));
    assert_eq!(kept.opened.keys_seen, wanted);
}

#[tokio::test]
async fn what_others_have_seen_is_held_against_what_is_here_and_what_comes() {
    let mut bench = talking().await;
    let (first, own) = (bench.hub.tip(&keys("s2")), bench.hub.tip(&keys("s1")));
    bob_says(&mut bench, "the same as you", vec![seen("s1", own), seen("s2", first)]).await;
    // Somebody comes to s2, which alice's server has not heard of yet.
    let carol = Person::new("carol@s2", 0, 1).await;
    bench.hub.knows(&carol);
    let second = bench.hub.tip(&keys("s2"));
    bob_says(&mut bench, "more than you", vec![seen("s2", second)]).await;
    let mut bench = bench.crash().await;
    assert_eq!((notices(&bench), warning(&bench)), (vec![], None), "it is here by now, and the same");
    assert_eq!(bench.core.store.claims(&s("s2")).unwrap(), []);
    // The next one is another than the one that bob has seen.
    let other = Tip { seq: 3, hash: Hash([3; 32]) };
    bob_says(&mut bench, "more again", vec![seen("s2", other)]).await;
    assert_eq!(notices(&bench), []);
    bench.hub.knows(&Person::new("dave@s2", 4, 5).await);
    bench.news(&keys("s2"), 3).await;
    let why = "bob@s2 has seen another history of the keys at s2 than you were shown: somebody tells two people different things, one of the \
               servers (s1, s2) or bob@s2. Compare safety numbers with people there before you rely on their keys";
    assert_eq!(notices(&bench), [("bob@s2".to_owned(), why.to_owned())]);
    // It stays, is said once, and stops nothing.
    let mut bench = bench.crash().await;
    bob_says(&mut bench, "and again", vec![seen("s2", other)]).await;
    assert_eq!((notices(&bench).len(), warning(&bench).as_deref()), (1, Some(why)));
    assert!(bench.core.store.logs().unwrap().iter().all(|log| log.stopped.is_none()));
    let id = bench.writes(&bench.with_bob(), "I read you").await;
    bench.settles().await;
    assert!(matches!(bench.status(id), Status::Sent { .. }));
}

/// Control: whoever says to have seen most is not asked twice; and what never comes is said when it is due, not before.
#[tokio::test]
async fn what_never_comes_is_waited_for_so_long() {
    let mut bench = talking().await;
    let beyond = Tip { seq: u64::MAX, hash: Hash([3; 32]) };
    bob_says(&mut bench, "far ahead", vec![seen("s2", beyond), seen("elsewhere", beyond), seen("s1", Tip { seq: 0, hash: Hash::ZERO })])
        .await;
    let since = bench.core.store.claims(&s("s2")).unwrap()[0].since;
    bob_says(&mut bench, "still ahead", vec![seen("s2", beyond)]).await;
    assert_eq!(bench.core.store.claims(&s("s2")).unwrap()[0].since, since, "it counts from the first");
    for (at, told) in [(WAITED_FOR - 1, 0), (WAITED_FOR, 1), (WAITED_FOR + 1, 1)] {
        bench.engine.look_at_histories(since + at).await.unwrap();
        assert_eq!(notices(&bench).len(), told, "{at}");
    }
    assert!(notices(&bench)[0].1.starts_with("bob@s2 says that there is more in the history of the keys at s2 than your server shows you"));
    assert_eq!(bench.core.store.claims(&s("s2")).unwrap(), []);
}

/// A server that would show somebody other keys than everybody has to show them in the history too, or is found out.
#[tokio::test]
async fn keys_that_are_not_in_the_history_of_all_keys_are_found() {
    // In place of others: nothing is sent to these.
    let mut bench = Bench::new().await;
    let other = Person::new("bob@s2", 4, 5).await;
    bench.hub.chains.insert(bench.bob.user.clone(), vec![super::bench::keys_entry(1, other.first())]);
    let carol = Person::new("carol@s2", 0, 1).await;
    bench.hub.knows(&carol);
    bench.hub.chains.insert(carol.user.clone(), vec![super::bench::keys_entry(2, Person::new("carol@s2", 4, 5).await.first())]);
    bench.news(&keys("s2"), 2).await;
    bench.relink().await;
    let carols = bench.core.people().view().into_iter().find(|person| person.user == carol.user).unwrap();
    assert_eq!(carols.trust, Trust::Changed, "{carols:?}");
    // Behind it: the history that everybody sees does not go so far.
    let mut bench = Bench::new().await;
    bench.bob.adds_device().await;
    let before = bench.hub.logs[&keys("s2").to_string()].clone();
    let bob = bench.bob.on(&bench.bob.device);
    bench.hears_of(&bob).await;
    bench.hub.logs.insert(keys("s2").to_string(), before);
    assert_eq!(bench.core.people().state(&bob.user).unwrap().list.version, 2);
    bench.engine.look_at_histories(now()).await.unwrap();
    assert_eq!(notices(&bench), [], "it may be on its way");
    bench.engine.look_at_histories(now()).await.unwrap();
    let why = "your server shows you keys of people at s2 that are not in the history of the keys there";
    assert!(warning(&bench).unwrap().starts_with(why) && notices(&bench).len() == 1);
    // What was there when the link came up is there at once.
    let mut bench = Bench::new().await;
    bench.bob.adds_device().await;
    let before = bench.hub.logs[&keys("s2").to_string()].clone();
    let bob = bench.bob.on(&bench.bob.device);
    bench.hears_of(&bob).await;
    bench.hub.logs.insert(keys("s2").to_string(), before);
    let bench = bench.crash().await;
    assert!(warning(&bench).unwrap().starts_with(why));
}

/// What the history says of somebody who is known is known, though the answers about that person leave it out.
#[tokio::test]
async fn what_is_left_out_of_ones_history_is_in_everybodys() {
    let mut bench = Bench::new().await;
    bench.bob.adds_device().await;
    let (answers, bob) = (bench.hub.chains[&bench.bob.user].clone(), bench.bob.on(&bench.bob.device));
    bench.hub.knows(&bob);
    bench.hub.chains.insert(bob.user.clone(), answers);
    bench.news(&keys("s2"), 2).await;
    assert_eq!(bench.core.people().state(&bob.user).unwrap().list.devices.len(), 2);
    // What is erased from it, or was somebody else's, is another story.
    let mut bench = Bench::new().await;
    bench.hub.knows(&Person::new("carol@s2", 0, 1).await);
    let carol = Person::new("carol@s2", 0, 1).await;
    bench.hears_of(&carol).await;
    let (entries, _) = bench.hub.logs.get_mut(&keys("s2").to_string()).unwrap();
    entries[1].0.payload = Payload::Stub(Hash([7; 32]));
    bench.news(&keys("s2"), 2).await;
    let trust = |bench: &Bench| bench.core.people().view().into_iter().find(|person| person.user == carol.user).unwrap().trust;
    assert_eq!(trust(&bench), Trust::Changed);
}

/// What the home server signs of its own history must be what it shows; by another key, or for another log, it is nobody's word.
#[tokio::test]
async fn a_home_that_signs_another_history_than_it_shows_is_found() {
    let (home, key) = (s("s1"), server_key(&s("s1")));
    let head = |log: &str, key: ServerKey, tip: Tip| {
        let head = Head { log: keys(log), term: 0, seq: tip.seq, hash: tip.hash, at: 7, key, sig: Signature([0; 64]) };
        Head { sig: server_secret(&home).sign(&head.signed_bytes()), ..head }
    };
    let mut bench = talking().await;
    let (here, other) = (bench.hub.tip(&keys("s1")), Tip { seq: 1, hash: Hash([8; 32]) });
    let forged = Head { hash: Hash([8; 32]), ..head("s1", key, here) };
    let harmless = vec![
        head("s1", key, here),
        head("s1", server_key(&s("s2")), other),
        head("s2", key, other),
        forged,
        head("s1", key, Tip { seq: 0, hash: Hash([8; 32]) }),
        head("s1", key, Tip { seq: 2, hash: Hash([8; 32]) }),
    ];
    bench.comes(vec![Ping { req: 0, heads: Some(harmless) }.into()]).await.unwrap();
    assert_eq!(notices(&bench), []);
    bench.comes(vec![Ping { req: 0, heads: Some(vec![head("s1", key, other)]) }.into()]).await.unwrap();
    let told = notices(&bench);
    assert!(told.len() == 1 && told[0].1.starts_with("s1 has signed another history of its people's keys than it shows you"), "{told:?}");
}
