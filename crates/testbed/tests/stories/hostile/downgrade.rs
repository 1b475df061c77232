//! Servers that want what is said on RSA in place of MLS: they take MLS out of device lists, hand out no key packages, tell of older lists, and make up
//! rooms on the other suite. Nothing is sent on RSA by any of it, and where something is not sent, a sentence says so.

use super::{GONE, go_on, is_shown, until};
use tidings_client::SuiteName;
use tidings_client::view::{Status, Target, Trust};
use tidings_e2ee::mls;
use tidings_proto::frame::{ClaimedKeyPackage, RoomRef};
use tidings_proto::{Content, Draft, Genesis, Kind, LogName, UserName, cbor};
use tidings_testbed::hostile::{Forger, Hostile};
use tidings_testbed::person::{Person, with};
use tidings_testbed::world::World;

/// These people, who know each other and have asked for no suite.
async fn people<const N: usize>(world: &World, names: [&str; N]) -> [Person; N] {
    let mut people = Vec::new();
    for name in names {
        people.push(world.person(name).await);
    }
    for (at, person) in people.iter().enumerate() {
        for (_, other) in people.iter().enumerate().filter(|(other, _)| *other != at) {
            person.knows(other).await;
        }
    }
    people.try_into().unwrap_or_else(|_| unreachable!())
}

fn room(suite: SuiteName, one: &UserName, other: &UserName) -> Genesis {
    Genesis::direct(suite, one, other)
}

/// What a hostile server has been given to keep of two people's conversation on a suite.
fn sealed(server: &Hostile, suite: SuiteName, one: &Person, other: &Person) -> usize {
    let story = server.story(&room(suite, &one.name, &other.name).log());
    story.drafts().filter(|(_, draft)| draft.kind == Kind::Sealed).count()
}

/// A key package in somebody's name, of a device that only whoever has forged it has.
fn forged(server: &Hostile, user: &UserName, forger: &Forger) -> Vec<ClaimedKeyPackage> {
    let keys = server.story(&LogName::Keys(user.server().clone()));
    let device = keys.drafts().find(|(_, draft)| draft.author == *user).expect("somebody with keys").1.device;
    let ghost = mls::Device { secret: &forger.ghost, user, list: 1 };
    let made = ghost.key_packages(&mls::State::new(&|_| Ok(None)), 1, false).unwrap();
    made.into_iter().map(|package| ClaimedKeyPackage { device, package, last_resort: false }).collect()
}

/// A message fails, and its author reads why.
async fn fails(person: &Person, target: &Target, text: &str, why: &str) {
    let id = person.writes(target, text).await;
    let failed = async || {
        let message = person.messages(target).await.into_iter().find(|message| message.id == id);
        message.is_some_and(|message| matches!(message.status, Status::Failed { reason, .. } if reason.starts_with(why)))
    };
    until(person, target, &format!("reads that {text:?} was not sent: {why}"), failed).await;
}

/// Who has no keys of somebody's does not write to them by others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_packages_that_a_server_withholds_or_makes_up_are_missed_and_nothing_goes_out_on_rsa() {
    let mut world = World::two_servers().await;
    let [alice, dora, bob] = people(&world, ["alice@s1", "dora@s1", "bob@s2"]).await;
    bob.client.close().await;
    let s2 = world.turns("s2").await;
    let to_bob = with(&bob.name);
    let why = "s2 hands out no keys of bob@s2's devices, which can do MLS by their list: nothing was sent";
    fails(&alice, &to_bob, "hello?", why).await;
    s2.hands_out(forged(&s2, &bob.name, &Forger::arrives().await));
    fails(&dora, &to_bob, "hello?", why).await;
    for person in [&alice, &dora] {
        assert_eq!(person.room(&to_bob).await.and_then(|room| room.suite).as_deref(), Some("mls-1"));
        for suite in [SuiteName::RsaJwe1, SuiteName::Mls1] {
            assert_eq!(sealed(&s2, suite, person, &bob), 0);
        }
    }
    // Nor was bob told of any room on RSA.
    let inbox = s2.story(&LogName::Inbox(bob.name.clone()));
    let told = inbox.drafts().filter(|(_, draft)| draft.kind == Kind::Notice);
    let rooms = told.map(|(_, draft)| cbor::decode::<RoomRef>(&draft.body, usize::MAX).unwrap().genesis.suite());
    assert!(rooms.into_iter().all(|suite| suite == SuiteName::Mls1));
    go_on(&alice, &dora, "s2 gives no keys").await;
}

/// Of its own people: lists without MLS that they have not signed, and older ones, are not taken by anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_mls_out_of_its_peoples_lists_is_not_believed() {
    let mut world = World::two_servers().await;
    let [alice, bob, carol] = people(&world, ["alice@s1", "bob@s2", "carol@s2"]).await;
    let first = bob.says(&alice.name, "hello").await;
    bob.is_sent(first).await;
    alice.hears_exactly(&with(&bob.name), &[("bob@s2", "hello")]).await;
    let tablet = alice.another_device(world.address("s1"), world.profile("tablet")).await;
    bob.finds(&alice.name, "known on both devices", |alice| alice.devices == 2).await;
    alice.client.close().await;
    tablet.client.close().await;
    let s1 = world.turns("s1").await;
    let forger = Forger::arrives().await;
    let (keys, public) = (LogName::Keys("s1".parse().unwrap()), LogName::Public("s1".parse().unwrap()));
    let history = s1.story(&keys);
    let old = history.drafts().find(|(_, draft)| draft.author == alice.name).unwrap().1.clone();
    let stripped = forger.without_mls(&history, &alice.name).await;
    s1.tells(&keys, |story| [&stripped, &old].map(|list| story.append(list)));
    // Once this has come, that has.
    let post = Draft {
        device: forger.ghost.public(),
        n: 1,
        author: alice.name.clone(),
        list: 2,
        epoch: None,
        kind: Kind::Post,
        body: cbor::encode(&Content::text("we write on RSA now").unwrap()).into(),
        sig: None,
    };
    s1.tells(&public, |story| story.append(&post.signed(&public, |bytes| forger.ghost.sign(bytes))));
    is_shown(&bob, &Target::Public, &[GONE]).await;
    let before = sealed(&s1, SuiteName::Mls1, &alice, &bob);
    let said = bob.says(&alice.name, "by the keys that I know").await;
    bob.is_sent(said).await;
    assert_eq!(sealed(&s1, SuiteName::RsaJwe1, &alice, &bob), 0);
    assert_eq!(sealed(&s1, SuiteName::Mls1, &alice, &bob), before + 1);
    // Who begins with her now does not on RSA either.
    fails(&carol, &with(&alice.name), "hello?", "s1 hands out no keys of alice@s1's devices, which can do MLS by their list").await;
    assert_eq!(sealed(&s1, SuiteName::RsaJwe1, &alice, &carol), 0);
    for person in [&bob, &carol] {
        let seen = person.client.people().await.unwrap().into_iter().find(|person| person.user == alice.name).unwrap();
        assert_eq!((seen.trust, seen.devices, &seen.alarm), (Trust::Pinned, 2, &None), "{seen:?}");
    }
    go_on(&bob, &carol, "odd things at s1").await;
}

/// To its own user: a list of a friend's without MLS, and a room of the two of them on RSA.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_says_that_friends_are_on_rsa_is_not_believed() {
    let mut world = World::two_servers().await;
    let [alice, bob, carol] = people(&world, ["alice@s1", "bob@s2", "carol@s2"]).await;
    let first = bob.says(&alice.name, "hello").await;
    bob.is_sent(first).await;
    alice.hears_exactly(&with(&bob.name), &[("bob@s2", "hello")]).await;
    let s1 = world.turns("s1").await;
    let (forger, theirs) = (Forger::arrives().await, LogName::Keys("s2".parse().unwrap()));
    let history = s1.story(&theirs);
    for friend in [&bob, &carol] {
        let stripped = forger.without_mls(&history, &friend.name).await;
        s1.tells(&theirs, |story| story.append(&stripped));
        s1.makes_up(RoomRef { genesis: room(SuiteName::RsaJwe1, &alice.name, &friend.name), hub: "s1".parse().unwrap() });
    }
    alice.wire.cut();
    alice.until("has lost its link", async || !matches!(alice.client.link(), tidings_client::view::Link::Linked { .. })).await;
    alice.wire.heal();
    alice.client.linked(tidings_testbed::PATIENCE).await.unwrap();
    let said = alice.says(&bob.name, "by the keys that I know").await;
    alice.is_sent(said).await;
    // What it hands out for her is none of hers.
    s1.hands_out(forged(&s1, &carol.name, &forger));
    fails(&alice, &with(&carol.name), "hello?", "s2 hands out no keys of carol@s2's devices, which can do MLS by their list").await;
    for friend in [&bob, &carol] {
        assert_eq!(sealed(&s1, SuiteName::RsaJwe1, &alice, friend), 0);
        let room = alice.room(&with(&friend.name)).await.unwrap();
        assert_eq!(room.suite.as_deref(), Some("mls-1"));
        let seen = alice.client.people().await.unwrap().into_iter().find(|person| person.user == friend.name).unwrap();
        assert_eq!((seen.trust, seen.devices), (Trust::Pinned, 1), "{seen:?}");
    }
    assert_eq!(sealed(&s1, SuiteName::Mls1, &alice, &bob), 2);
    go_on(&bob, &carol, "alice's server is odd").await;
}
