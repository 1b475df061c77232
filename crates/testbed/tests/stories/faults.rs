//! Servers go away, wires are cut, answers are lost: what was acknowledged arrives, once and in order.

use tidings_client::view::{Status, Target};
use tidings_testbed::person::with;
use tidings_testbed::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_a_server_is_away_arrives_once_and_in_order() {
    let mut world = World::two_servers().await;
    let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s2").await);
    alice.finds(&bob.name, "known by his key", |person| person.fingerprint.is_some()).await;
    alice.says(&bob.name, "before").await;
    bob.sees(&with(&alice.name), &alice.name, "before").await;

    world.stop("s2").await;
    for text in ["one", "two", "three"] {
        let id = alice.says(&bob.name, text).await;
        alice.is_sent(id).await; // alice's server is the hub of this room
    }
    alice.announces("is anybody there?").await;
    world.start("s2").await;

    let all = ["before", "one", "two", "three"].map(|text| ("alice@s1", text));
    bob.reads_exactly(&with(&alice.name), &all).await;
    bob.reads_exactly(&Target::Public, &[("alice@s1", "is anybody there?")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_hub_is_away_waits_and_says_so() {
    let world = World::two_servers().await;
    let (bob, zoe) = (world.person("bob@s2").await, world.person("zoe@s1").await);
    zoe.finds(&bob.name, "known by his key", |person| person.fingerprint.is_some()).await;
    let first = zoe.says(&bob.name, "first").await; // bob's server is the hub of this room
    zoe.is_sent(first).await;

    world.cut("s1", "s2");
    let second = zoe.says(&bob.name, "second").await;
    zoe.status_is(&with(&bob.name), second, &Status::Waiting).await;
    world.heal("s1", "s2");
    zoe.is_sent(second).await;
    bob.reads_exactly(&with(&zoe.name), &[("zoe@s1", "first"), ("zoe@s1", "second")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_server_that_is_out_of_the_settings_waits_on() {
    let mut world = World::two_servers().await;
    let (bob, zoe) = (world.person("bob@s2").await, world.person("zoe@s1").await);
    zoe.finds(&bob.name, "known by his key", |person| person.fingerprint.is_some()).await;
    let first = zoe.says(&bob.name, "first").await; // bob's server is the hub of this room
    zoe.is_sent(first).await;
    world.cut("s1", "s2");
    let second = zoe.says(&bob.name, "second").await;
    zoe.status_is(&with(&bob.name), second, &Status::Waiting).await;

    world.stop("s1").await;
    let peers = std::mem::take(&mut world.config_mut("s1").peers);
    world.start("s1").await;
    // The client submits what has no answer before what is new: once the post is in, the message has been asked for again.
    let post = zoe.announces("back again").await;
    zoe.is_sent(post).await;
    zoe.status_is(&with(&bob.name), second, &Status::Waiting).await;
    world.peer_is("s1", "s2", "is not listed, and has one draft waiting", |row| row.waiting == 1).await;

    world.stop("s1").await;
    world.config_mut("s1").peers = peers;
    world.heal("s1", "s2");
    world.start("s1").await;
    zoe.is_sent(second).await;
    bob.reads_exactly(&with(&zoe.name), &[("zoe@s1", "first"), ("zoe@s1", "second")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_between_servers_make_nothing_twice() {
    let world = World::two_servers().await;
    let (bob, zoe) = (world.person("bob@s2").await, world.person("zoe@s1").await);
    zoe.finds(&bob.name, "known by his key", |person| person.fingerprint.is_some()).await;
    let first = zoe.says(&bob.name, "first").await;
    zoe.is_sent(first).await;
    bob.sees(&with(&zoe.name), &zoe.name, "first").await;

    world.lose_answers_to("s1");
    let second = zoe.says(&bob.name, "second").await;
    bob.sees(&with(&zoe.name), &zoe.name, "second").await; // it got through; only the answer did not
    world.cut("s1", "s2");
    world.heal("s1", "s2");
    zoe.is_sent(second).await;
    zoe.says(&bob.name, "third").await;
    bob.reads_exactly(&with(&zoe.name), &["first", "second", "third"].map(|text| ("zoe@s1", text))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_and_got_lost_between_servers_is_sent_again() {
    let world = World::two_servers().await;
    let (bob, zoe) = (world.person("bob@s2").await, world.person("zoe@s1").await);
    zoe.finds(&bob.name, "known by his key", |person| person.fingerprint.is_some()).await;
    let first = zoe.says(&bob.name, "first").await; // bob's server is the hub of this room
    zoe.is_sent(first).await;

    world.lose_answers_to("s2"); // whatever s1 says from here on, s2 does not hear
    let second = zoe.says(&bob.name, "second").await;
    // The client's link keeps order: once a later post is in, the server has had the message and has sent it.
    let post = zoe.announces("by now it is lost").await;
    zoe.is_sent(post).await;
    world.cut("s1", "s2");
    world.heal("s1", "s2");
    zoe.is_sent(second).await;
    bob.reads_exactly(&with(&zoe.name), &[("zoe@s1", "first"), ("zoe@s1", "second")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_to_a_client_make_nothing_twice() {
    let world = World::of(&["s1"], false).await;
    let (alice, carol) = (world.person("alice@s1").await, world.person("carol@s1").await);
    alice.finds(&carol.name, "known by her key", |person| person.fingerprint.is_some()).await;
    let first = alice.says(&carol.name, "first").await;
    alice.is_sent(first).await;
    carol.sees(&with(&alice.name), &alice.name, "first").await;
    carol.says(&alice.name, "heard").await;
    alice.sees(&with(&carol.name), &carol.name, "heard").await;

    alice.wire.lose_answers();
    let second = alice.says(&carol.name, "second").await;
    carol.sees(&with(&alice.name), &alice.name, "second").await;
    alice.wire.cut();
    alice.wire.heal();
    alice.is_sent(second).await;
    alice.says(&carol.name, "third").await;
    let all = [("alice@s1", "first"), ("carol@s1", "heard"), ("alice@s1", "second"), ("alice@s1", "third")];
    carol.reads_exactly(&with(&alice.name), &all).await;
    alice.reads_exactly(&with(&carol.name), &all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_offline_is_sent_after_a_restart_of_the_client() {
    let world = World::of(&["s1"], false).await;
    let (alice, carol) = (world.person("alice@s1").await, world.person("carol@s1").await);
    alice.finds(&carol.name, "known by her key", |person| person.fingerprint.is_some()).await;
    alice.wire.cut();
    for text in ["one", "two", "three"] {
        alice.says(&carol.name, text).await;
    }
    alice.wire.heal();
    let alice = alice.reopen().await;
    carol.reads_exactly(&with(&alice.name), &["one", "two", "three"].map(|text| ("alice@s1", text))).await;
    alice.reads_exactly(&with(&carol.name), &["one", "two", "three"].map(|text| ("alice@s1", text))).await;
}
