//! Private conversations on MLS, over two servers: the first message to somebody who is away, groups, second devices, and what a hub that is down
//! does not lose.

use tidings_client::SuiteName;
use tidings_client::view::{Status, Target};
use tidings_testbed::person::Person;
use tidings_testbed::world::World;

/// Alice at s1 and bob at s2, who know each other and begin on MLS.
async fn two(world: &World) -> [Person; 2] {
    let people = [world.person("alice@s1").await, world.person("bob@s2").await];
    for person in &people {
        person.client.begin_on(SuiteName::Mls1);
    }
    people[0].knows(&people[1]).await;
    people[1].knows(&people[0]).await;
    people
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_on_two_servers_talk() {
    let world = World::two_servers().await;
    let [alice, bob] = two(&world).await;
    let (to_bob, to_alice) = (Target::from(&bob.name), Target::from(&alice.name));
    let first = alice.says(&bob.name, "Good morning").await;
    alice.is_sent(first).await;
    bob.hears_exactly(&to_alice, &[("alice@s1", "Good morning")]).await;
    let answer = bob.says(&alice.name, "And to you").await;
    bob.is_sent(answer).await;
    let said = [("alice@s1", "Good morning"), ("bob@s2", "And to you")];
    alice.hears_exactly(&to_bob, &said).await;
    bob.hears_exactly(&to_alice, &said).await;
    for (person, target) in [(&alice, &to_bob), (&bob, &to_alice)] {
        assert_eq!(person.room(target).await.unwrap().suite.as_deref(), Some("mls-1"));
        let unreadable = person.messages(target).await.into_iter().filter(|it| matches!(it.status, Status::Unreadable { .. }));
        assert_eq!(unreadable.count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_people_talk_in_a_group_and_who_is_removed_reads_no_more() {
    let world = World::two_servers().await;
    let [alice, bob] = two(&world).await;
    let carol = world.person("carol@s2").await;
    for person in [&alice, &bob] {
        person.knows(&carol).await;
        carol.knows(person).await;
    }
    let group = alice.makes_group("Mountains").await;
    alice.writes(&group, "nobody here yet").await;
    for person in [&bob, &carol] {
        alice.invites(&group, &person.name).await;
        person.joins(&group).await;
    }
    for person in [&alice, &bob, &carol] {
        person.sees_members(&group, &[&alice.name, &bob.name, &carol.name]).await;
    }
    assert_eq!(bob.room(&group).await.unwrap().title, "Mountains");
    let mut said = Vec::new();
    for (person, author, text) in [(&alice, "alice@s1", "who comes?"), (&bob, "bob@s2", "I do"), (&carol, "carol@s2", "me too")] {
        let message = person.writes(&group, text).await;
        person.is_sent(message).await;
        said.push((author, text));
        bob.hears_exactly(&group, &said).await;
        carol.hears_exactly(&group, &said).await;
    }
    let removed = alice.client.remove(&group, &carol.name).await.unwrap();
    alice.is_sent(removed).await;
    let after = alice.writes(&group, "not for carol").await;
    alice.is_sent(after).await;
    said.push(("alice@s1", "not for carol"));
    bob.hears_exactly(&group, &said).await;
    said.pop();
    carol.hears_exactly(&group, &said).await;
    let left = bob.client.leave(&group).await.unwrap();
    bob.is_sent(left).await;
    let alone = alice.writes(&group, "alone").await;
    alice.is_sent(alone).await;
    assert!(bob.hears(&group).await.iter().all(|(_, text)| text != "alone"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_device_reads_what_is_written_from_then_on() {
    let world = World::two_servers().await;
    let [alice, bob] = two(&world).await;
    let (to_bob, to_alice) = (Target::from(&bob.name), Target::from(&alice.name));
    let first = alice.says(&bob.name, "before").await;
    alice.is_sent(first).await;
    bob.hears_exactly(&to_alice, &[("alice@s1", "before")]).await;
    let phone = alice.another_device(world.address("s1"), world.profile("phone")).await;
    phone.until("has the conversation", async || phone.room(&to_bob).await.is_some()).await;
    // Whoever writes next takes the new device in.
    bob.until("knows of it", async || {
        let id = bob.says(&alice.name, "still there?").await;
        bob.is_sent(id).await;
        !phone.hears(&to_bob).await.is_empty()
    })
    .await;
    let id = phone.says(&bob.name, "from the phone").await;
    phone.is_sent(id).await;
    let heard = ("alice@s1".to_string(), "from the phone".to_string());
    bob.until("hears the phone", async || bob.hears(&to_alice).await.contains(&heard)).await;
    alice.until("hears the phone", async || alice.hears(&to_bob).await.contains(&heard)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_wait_for_a_hub_that_is_down_outlive_the_program_that_made_them() {
    let mut world = World::two_servers().await;
    let [alice, bob] = two(&world).await;
    let group = alice.makes_group("Mountains").await;
    alice.invites(&group, &bob.name).await;
    bob.joins(&group).await;
    let first = bob.writes(&group, "before").await;
    bob.is_sent(first).await;
    let phone = bob.another_device(world.address("s2"), world.profile("phone")).await;
    phone.until("has the group", async || phone.room(&group).await.is_some()).await;
    world.stop("s1").await;
    let one = bob.writes(&group, "one").await;
    bob.status_is(&group, one, &Status::Waiting).await;
    let bob = bob.reopen().await;
    let two = bob.writes(&group, "two").await;
    world.start("s1").await;
    for id in [one, two] {
        bob.is_sent(id).await;
    }
    alice.hears_exactly(&group, &[("bob@s2", "before"), ("bob@s2", "one"), ("bob@s2", "two")]).await;
    let three = alice.writes(&group, "three").await;
    alice.is_sent(three).await;
    let heard = ("alice@s1".to_string(), "three".to_string());
    phone.until("hears the rest", async || phone.hears(&group).await.contains(&heard)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_begin_at_once_end_up_in_one_conversation() {
    let world = World::two_servers().await;
    let [alice, bob] = two(&world).await;
    let (hers, his) = tokio::join!(alice.says(&bob.name, "I begin"), bob.says(&alice.name, "No, I do"));
    alice.is_sent(hers).await;
    bob.is_sent(his).await;
    for (person, target) in [(&alice, Target::from(&bob.name)), (&bob, Target::from(&alice.name))] {
        person.until("has both", async || person.hears(&target).await.len() == 2).await;
        let unreadable = person.messages(&target).await.into_iter().filter(|it| matches!(it.status, Status::Unreadable { .. }));
        assert_eq!(unreadable.count(), 0, "{}", person.name);
    }
}
