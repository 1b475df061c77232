//! Servers that tell two people, or two servers, different histories of everybody's keys: each story holds by itself, and whoever compares
//! them knows. What people have seen travels inside what they seal, so no server can keep them from comparing.

use super::{go_on, log_of};
use tidings_client::view::{Link, Person as Shown, Trust};
use tidings_proto::chain::Tip;
use tidings_proto::frame::Ping;
use tidings_proto::{Hash, Head, KeysSeen, LogName, Signature, SuiteName, UserName, limits};
use tidings_testbed::hostile::{Forger, Member, Sealing};
use tidings_testbed::person::{Person, with};
use tidings_testbed::world::World;

/// What a person is told of another's keys besides.
async fn warning(person: &Person, about: &UserName) -> Option<String> {
    let people = person.client.people().await.unwrap();
    people.into_iter().find(|known| known.user == *about).and_then(|known| known.warning)
}

/// Waits until somebody is warned of keys on a server, by what this person says to have seen; once, and to stay.
async fn is_warned(person: &Person, about: &UserName, by: &UserName) {
    let begins = format!("{by} has seen another history of the keys at {} than you were shown", about.server());
    let is_so = |shown: &Shown| shown.trust == Trust::Pinned && shown.warning.as_ref().is_some_and(|warning| warning.starts_with(&begins));
    person.finds(about, &format!("in doubt: {begins}"), is_so).await;
    let notices = person.client.notices(0).await.unwrap();
    assert_eq!(notices.iter().filter(|notice| notice.user == *by && notice.text.starts_with(&begins)).count(), 1, "{notices:?}");
}

async fn a_home_that_shows_one_of_its_people_other_keys_is_found_out_by_one_message_each_way(suite: SuiteName) {
    let mut world = World::two_servers_on(suite).await;
    let (alice, anna, bob) = (world.person("alice@s1").await, world.person("anna@s1").await, world.person("bob@s2").await);
    for (one, other) in [(&alice, &bob), (&bob, &alice), (&anna, &bob), (&bob, &anna)] {
        one.knows(other).await;
        let said = one.says(&other.name, "hello").await;
        one.is_sent(said).await;
        other.sees(&with(&one.name), &one.name, "hello").await;
    }
    for person in [&alice, &bob, &anna] {
        assert_eq!(person.client.notices(0).await.unwrap(), [], "nothing is wrong so far");
    }
    let s1 = world.turns("s1").await;
    let (keys, forger) = (LogName::Keys("s2".parse().unwrap()), Forger::arrives().await);
    // Alice alone is told of somebody at s2 whom nobody there knows; at the same time somebody comes there.
    let zed = "zed@s2".parse().unwrap();
    let invented = forger.invents(&s1.story(&keys), &bob.name, &zed).await;
    s1.tells_only(&alice.name.to_string(), &keys, |story| story.append(&invented));
    alice.wire.cut();
    alice.until("has lost its link", async || !matches!(alice.client.link(), Link::Linked { .. })).await;
    alice.wire.heal();
    alice.finds(&zed, "somebody", |zed| zed.fingerprint.is_some()).await;
    let dave = world.person("dave@s2").await;
    bob.knows(&dave).await;
    go_on(&bob, &dave, "welcome").await;

    let said = bob.says(&alice.name, "what do you see?").await;
    bob.is_sent(said).await;
    alice.sees(&with(&bob.name), &bob.name, "what do you see?").await;
    is_warned(&alice, &bob.name, &bob.name).await;
    is_warned(&alice, &zed, &bob.name).await;
    let said = alice.says(&bob.name, "zed is new there").await;
    alice.is_sent(said).await;
    bob.sees(&with(&alice.name), &alice.name, "zed is new there").await;
    is_warned(&bob, &dave.name, &alice.name).await;
    // It is said of s2's people, and lasts; nothing stops, and who has compared knows better.
    assert_eq!(warning(&bob, &alice.name).await, None);
    let alice = alice.reopen().await;
    is_warned(&alice, &bob.name, &bob.name).await;
    let said = alice.says(&bob.name, "still here").await;
    alice.is_sent(said).await;
    bob.sees(&with(&alice.name), &alice.name, "still here").await;
    // Anna is told the truth, as far as s1 tells it: what bob has seen beyond is nothing that contradicts it.
    let said = bob.says(&anna.name, "and you?").await;
    bob.is_sent(said).await;
    anna.sees(&with(&bob.name), &bob.name, "and you?").await;
    assert_eq!((warning(&anna, &bob.name).await, anna.client.notices(0).await.unwrap()), (None, vec![]));
    go_on(&bob, &dave, "odd things at s1").await;
}

crate::on_both_suites!(a_home_that_shows_one_of_its_people_other_keys_is_found_out_by_one_message_each_way);

/// s1 tells s3 another history of its own people's keys than s2. Both hold; the first message between people of s2 and s3 in a group with
/// one of s1's shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_shows_one_peer_other_keys_is_found_out_by_a_message_between_the_others() {
    let mut world = World::of(&["s1", "s2", "s3"], false).await;
    let (alice, bob, carol) = (world.person("alice@s1").await, world.person("bob@s2").await, world.person("carol@s3").await);
    for (one, other) in [(&bob, &alice), (&bob, &carol), (&carol, &alice), (&carol, &bob), (&alice, &bob)] {
        one.knows(other).await;
    }
    let group = bob.makes_group("Three").await;
    for person in [&alice, &carol] {
        bob.invites(&group, &person.name).await;
        person.joins(&group).await;
    }
    let said = bob.writes(&group, "hello").await;
    bob.is_sent(said).await;
    carol.sees(&group, &bob.name, "hello").await;
    let s1 = world.turns("s1").await;
    let (keys, forger) = (LogName::Keys("s1".parse().unwrap()), Forger::arrives().await);
    let names = ["yves@s1", "zed@s1"].map(|name| name.parse::<UserName>().unwrap());
    for (peer, user) in ["s2", "s3"].into_iter().zip(&names) {
        let invented = forger.invents(&s1.story(&keys), &alice.name, user).await;
        s1.tells_only(peer, &keys, |story| story.append(&invented));
    }
    bob.finds(&names[0], "somebody", |yves| yves.fingerprint.is_some()).await;
    carol.finds(&names[1], "somebody", |zed| zed.fingerprint.is_some()).await;
    let said = bob.writes(&group, "do you know yves?").await;
    bob.is_sent(said).await;
    carol.sees(&group, &bob.name, "do you know yves?").await;
    is_warned(&carol, &alice.name, &bob.name).await;
    let said = carol.writes(&group, "I know zed").await;
    carol.is_sent(said).await;
    bob.sees(&group, &carol.name, "I know zed").await;
    is_warned(&bob, &alice.name, &carol.name).await;
    for (person, other) in [(&bob, &carol.name), (&carol, &bob.name)] {
        assert_eq!(warning(person, other).await, None, "nobody doubts the keys of others");
    }
    go_on(&bob, &carol, "do not rely on s1").await;
}

/// A member says to have seen what nobody has. Whoever reads it is told by whom, once for each server, and nothing else happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lies_about_what_they_have_seen_is_named_and_stops_nothing() {
    let world = World::two_servers_on(SuiteName::RsaJwe1).await;
    let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s2").await);
    let mut mallory = Member::registers(&world, "mallory@s1").await;
    alice.knows(&bob).await;
    bob.knows(&alice).await;
    for person in [&alice, &bob] {
        person.finds(&mallory.user, "known by a key", |person| person.fingerprint.is_some()).await;
    }
    let group = alice.makes_group("Guests").await;
    let log = log_of(&group);
    alice.invites(&group, &mallory.user).await;
    mallory.joins(&log, &["s1", "s2"], 1).await;
    alice.invites(&group, &bob.name).await;
    bob.joins(&group).await;
    let known = mallory.group(&log, &["s1", "s2"]).await;
    let seen = |server: &str, seq| KeysSeen { server: server.parse().unwrap(), seq, hash: Hash([9; 32]) };
    let lies = [
        vec![seen("s1", 1), seen("s2", 1)],
        vec![seen("s1", u64::MAX), seen("s2", 0), seen("nowhere.example", 1)],
        vec![seen("s1", 1); limits::KEYS_SEEN + 1],
    ];
    for (at, keys_seen) in lies.into_iter().enumerate() {
        let text = format!("lie {at}");
        let message = Sealing { keys_seen, text: &text, ..known.message(&mallory.user, 2 + at as u64, "") };
        let draft = mallory.seals(message).await;
        mallory.submits(&log, &draft, None).await.unwrap();
        for person in [&alice, &bob] {
            person.sees(&group, &mallory.user, &text).await;
        }
    }
    for (person, other) in [(&alice, &bob), (&bob, &alice)] {
        is_warned(person, &other.name, &mallory.user).await;
        let notices = person.client.notices(0).await.unwrap();
        assert_eq!(notices.len(), 2, "one for each server: {notices:?}");
        assert!(person.client.rooms().await.unwrap().iter().all(|room| room.stopped.is_empty()));
        let said = person.writes(&group, &format!("{} is not impressed", person.name)).await;
        person.is_sent(said).await;
        other.sees(&group, &person.name, &format!("{} is not impressed", person.name)).await;
    }
    go_on(&alice, &bob, "who is mallory?").await;
    // Who has compared is not told to.
    alice.client.set_verified(&bob.name, true).await.unwrap();
    alice.finds(&bob.name, "verified", |bob| bob.trust == Trust::Verified && bob.warning.is_none()).await;
}

/// Servers hand each other what others have signed of their histories. s1 tells s2 and s3 different ones, and signs both: as soon as these two
/// have heard of each other's, both operators are shown it. What s1 signs of others, or somebody else of s1, is nobody's word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_signs_two_histories_of_its_keys_is_found_out_by_its_peers() {
    let mut world = World::of(&["s1", "s2", "s3"], false).await;
    let (alice, bob, carol) = (world.person("alice@s1").await, world.person("bob@s2").await, world.person("carol@s3").await);
    for (one, other) in [(&bob, &alice), (&carol, &alice), (&bob, &carol), (&carol, &bob)] {
        one.knows(other).await;
    }
    let s1 = world.turns("s1").await;
    let (keys, forger) = (LogName::Keys("s1".parse().unwrap()), Forger::arrives().await);
    let sign = |log: &LogName, tip: Tip| {
        let identity = s1.identity();
        let head = Head { log: log.clone(), term: 0, seq: tip.seq, hash: tip.hash, at: 1, key: identity.key(), sig: Signature([0; 64]) };
        Head { sig: identity.sign(&head.signed_bytes()), ..head }
    };
    // Of others' histories, and unsigned ones of its own.
    let other = Tip { seq: 1, hash: Hash([9; 32]) };
    let unsigned = Head { hash: Hash([8; 32]), ..sign(&keys, other) };
    let others = sign(&LogName::Keys("s3".parse().unwrap()), other);
    s1.says("s2", Ping { req: 0, heads: Some(vec![unsigned, others, sign(&LogName::Keys("s9".parse().unwrap()), other)]) }).await;
    for (peer, who, name) in [("s2", &bob, "yves@s1"), ("s3", &carol, "zed@s1")] {
        let invented = forger.invents(&s1.story(&keys), &alice.name, &name.parse().unwrap()).await;
        let tip = s1.tells_only(peer, &keys, |story| story.append(&invented));
        who.finds(&name.parse().unwrap(), "somebody", |known| known.fingerprint.is_some()).await;
        s1.says(peer, Ping { req: 0, heads: Some(vec![sign(&keys, tip)]) }).await;
    }
    for (server, other) in [("s2", "s3"), ("s3", "s2")] {
        let row = world.peer_is(server, "s1", "found out", |row| row.forked.is_some()).await;
        let why = row.forked.unwrap();
        assert!(why.starts_with("s1 has signed another history of its people's keys, entry 2, than it has shown here"), "{why}");
        assert!(why.contains(other), "it is said who has brought it: {why}");
        world.peer_is(server, other, "as before", |row| row.forked.is_none()).await;
    }
    go_on(&bob, &carol, "s1 has two faces").await;
}
