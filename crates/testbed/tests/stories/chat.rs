//! People talk, on one server and across two.

use tidings_client::view::{Online, Target, Trust};
use tidings_testbed::person::with;
use tidings_testbed::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_message_goes_each_way_between_two_servers() {
    let world = World::two_servers().await;
    let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s2").await);
    alice.finds(&bob.name, "known by his key", |person| person.fingerprint.is_some()).await;
    bob.finds(&alice.name, "known by her key", |person| person.fingerprint.is_some()).await;

    let hello = alice.says(&bob.name, "hello bob").await;
    alice.is_sent(hello).await;
    bob.sees(&with(&alice.name), &alice.name, "hello bob").await;
    let answer = bob.says(&alice.name, "hello alice").await;
    bob.is_sent(answer).await;
    let both = [("alice@s1", "hello bob"), ("bob@s2", "hello alice")];
    alice.reads_exactly(&with(&bob.name), &both).await;
    bob.reads_exactly(&with(&alice.name), &both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_first_does_not_matter() {
    let world = World::two_servers().await;
    let (zoe, bob) = (world.person("zoe@s1").await, world.person("bob@s2").await);
    zoe.finds(&bob.name, "known by his key", |person| person.fingerprint.is_some()).await;
    // The hub is bob's server, since his name comes first; zoe's first message has to make the room there.
    let first = zoe.says(&bob.name, "first").await;
    zoe.is_sent(first).await;
    bob.reads_exactly(&with(&zoe.name), &[("zoe@s1", "first")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_chat_reaches_everybody() {
    let world = World::two_servers().await;
    let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s2").await);
    alice.finds(&bob.name, "known by his key", |person| person.fingerprint.is_some()).await;
    let post = alice.announces("good morning").await;
    alice.is_sent(post).await;
    bob.sees(&Target::Public, &alice.name, "good morning").await;
    bob.announces("and to you").await;
    let both = [("alice@s1", "good morning"), ("bob@s2", "and to you")];
    alice.reads_exactly(&Target::Public, &both).await;
    bob.reads_exactly(&Target::Public, &both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_on_one_server_talk_and_keep_notes() {
    let world = World::of(&["s1"], false).await;
    let (alice, carol) = (world.person("alice@s1").await, world.person("carol@s1").await);
    alice.finds(&carol.name, "known by her key", |person| person.fingerprint.is_some()).await;
    alice.says(&carol.name, "tea?").await;
    carol.sees(&with(&alice.name), &alice.name, "tea?").await;
    let note = alice.says(&alice.name, "buy tea").await;
    alice.is_sent(note).await;
    alice.reads_exactly(&with(&alice.name), &[("alice@s1", "buy tea")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sees_who_is_online_and_by_which_key() {
    let world = World::two_servers().await;
    let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s2").await);
    let fingerprint = bob.client.my_fingerprint().await.unwrap();
    assert!(fingerprint.is_some());
    alice
        .finds(&bob.name, "online, by the key he sees himself", |person| {
            person.online == Online::Online && person.fingerprint == fingerprint && person.trust == Trust::Pinned
        })
        .await;
    bob.client.close().await;
    alice.finds(&bob.name, "offline", |person| person.online == Online::Offline).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_keep_their_order() {
    let world = World::two_servers().await;
    let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s2").await);
    alice.finds(&bob.name, "known by his key", |person| person.fingerprint.is_some()).await;
    let texts: Vec<String> = (0..100).map(|i| format!("message {i}")).collect();
    for text in &texts {
        alice.says(&bob.name, text).await;
    }
    let wanted: Vec<(&str, &str)> = texts.iter().map(|text| ("alice@s1", text.as_str())).collect();
    bob.reads_exactly(&with(&alice.name), &wanted).await;
    alice.reads_exactly(&with(&bob.name), &wanted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_works_on_a_bus_that_drops_every_wake() {
    let world = World::of(&["s1", "s2"], true).await;
    let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s2").await);
    alice.finds(&bob.name, "known by his key", |person| person.fingerprint.is_some()).await;
    alice.announces("slow news").await;
    alice.says(&bob.name, "slow secret").await;
    bob.sees(&Target::Public, &alice.name, "slow news").await;
    bob.sees(&with(&alice.name), &alice.name, "slow secret").await;
}
