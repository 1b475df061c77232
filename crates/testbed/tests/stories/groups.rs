//! Groups over two servers: who is in reads, who is not does not, whatever a server gives away.

use tidings_client::view::{Event, Part, Role, Status, Target};
use tidings_client::{ClientError, SuiteName};
use tidings_testbed::person::Person;
use tidings_testbed::world::World;

/// Alice and dave at s1, bob and carol at s2, who all know each other.
async fn four(world: &World) -> [Person; 4] {
    let people =
        [world.person("alice@s1").await, world.person("bob@s2").await, world.person("carol@s2").await, world.person("dave@s1").await];
    for one in &people {
        for other in &people {
            one.knows(other).await;
        }
    }
    people
}

async fn three_people_on_two_servers_talk_in_a_group(suite: SuiteName) {
    let world = World::two_servers_on(suite).await;
    let [alice, bob, carol, dave] = four(&world).await;
    let group = alice.makes_group("Mountains").await;
    alice.writes(&group, "nobody here yet").await;
    alice.invites(&group, &bob.name).await;
    alice.invites(&group, &carol.name).await;
    bob.joins(&group).await;
    carol.joins(&group).await;
    for person in [&alice, &bob, &carol] {
        person.sees_members(&group, &[&alice.name, &bob.name, &carol.name]).await;
    }
    assert_eq!(bob.room(&group).await.unwrap().title, "Mountains", "the invitation says what the group is called");

    let said = [("alice@s1", "who comes along?"), ("bob@s2", "I do"), ("carol@s2", "and so do I")];
    for (person, text) in [(&alice, said[0].1), (&bob, said[1].1), (&carol, said[2].1)] {
        let message = person.writes(&group, text).await;
        person.is_sent(message).await;
        for other in [&alice, &bob, &carol] {
            other.until(&format!("hears {text}"), async || other.hears(&group).await.iter().any(|(_, heard)| heard == text)).await;
        }
    }
    bob.hears_exactly(&group, &said).await;
    carol.hears_exactly(&group, &said).await;
    let with_the_first = [("alice@s1", "nobody here yet"), said[0], said[1], said[2]];
    alice.hears_exactly(&group, &with_the_first).await;
    // What was said before they came is nothing of theirs, and not a gap either.
    for person in [&bob, &carol] {
        let unreadable = person.messages(&group).await.into_iter().filter(|message| matches!(message.status, Status::Unreadable { .. }));
        assert_eq!(unreadable.count(), 0);
    }
    assert!(dave.room(&group).await.is_none(), "who was not asked knows nothing of it");
}

async fn who_is_removed_reads_nothing_that_follows(suite: SuiteName) {
    let world = World::two_servers_on(suite).await;
    let [alice, bob, carol, _] = four(&world).await;
    let group = alice.makes_group("Plans").await;
    for person in [&bob, &carol] {
        alice.invites(&group, &person.name).await;
        person.joins(&group).await;
    }
    let before = alice.writes(&group, "carol may read this").await;
    alice.is_sent(before).await;
    carol.hears_exactly(&group, &[("alice@s1", "carol may read this")]).await;

    let removed = alice.client.remove(&group, &carol.name).await.unwrap();
    alice.is_sent(removed).await;
    let after = alice.writes(&group, "and this not").await;
    alice.is_sent(after).await;
    bob.hears_exactly(&group, &[("alice@s1", "carol may read this"), ("alice@s1", "and this not")]).await;
    carol.until("knows that she is out", async || carol.room(&group).await.is_some_and(|room| room.part == Part::Gone)).await;
    let refused = carol.client.join(&group).await;
    assert!(matches!(refused, Err(ClientError::Refused(_))), "{refused:?}");
    let too_late = carol.writes(&group, "still here").await;
    let status = carol.client.settled(too_late, tidings_testbed::PATIENCE).await.unwrap();
    assert!(matches!(status, Status::Failed { .. }), "{status:?}");

    // Also after she asks for everything anew.
    let carol = carol.reopen().await;
    carol.hears_exactly(&group, &[("alice@s1", "carol may read this")]).await;
    // Asked in again she reads on from there, and what was between stays closed.
    alice.invites(&group, &carol.name).await;
    carol.joins(&group).await;
    let again = alice.writes(&group, "welcome back").await;
    alice.is_sent(again).await;
    carol.hears_exactly(&group, &[("alice@s1", "carol may read this"), ("alice@s1", "welcome back")]).await;
}

async fn what_is_written_while_the_hub_is_down_arrives_once_and_in_order(suite: SuiteName) {
    let mut world = World::two_servers_on(suite).await;
    let [alice, bob, carol, _] = four(&world).await;
    let group = alice.makes_group("Storm").await;
    for person in [&bob, &carol] {
        alice.invites(&group, &person.name).await;
        person.joins(&group).await;
    }
    carol.sees_members(&group, &[&alice.name, &bob.name, &carol.name]).await;
    bob.sees_members(&group, &[&alice.name, &bob.name, &carol.name]).await;
    world.stop("s1").await;
    let mut waiting = Vec::new();
    for n in 1..=3 {
        let message = bob.writes(&group, &format!("bob {n}")).await;
        bob.status_is(&group, message, &Status::Waiting).await;
        waiting.push(message);
    }
    world.start("s1").await;
    for message in waiting {
        bob.is_sent(message).await;
    }
    let said = [("bob@s2", "bob 1"), ("bob@s2", "bob 2"), ("bob@s2", "bob 3")];
    for person in [&alice, &bob, &carol] {
        person.hears_exactly(&group, &said).await;
    }
}

async fn roles_say_who_may_do_what(suite: SuiteName) {
    let world = World::two_servers_on(suite).await;
    let [alice, bob, carol, dave] = four(&world).await;
    let group = alice.makes_group("Roles").await;
    for person in [&bob, &carol] {
        alice.invites(&group, &person.name).await;
        person.joins(&group).await;
    }
    let refused = async |person: &Person, done: Result<_, ClientError>| {
        let status = person.client.settled(done.unwrap(), tidings_testbed::PATIENCE).await.unwrap();
        assert!(matches!(status, Status::Failed { .. }), "{}: {status:?}", person.name);
    };
    refused(&bob, bob.client.invite(&group, &dave.name, Role::Member).await).await;
    refused(&bob, bob.client.remove(&group, &carol.name).await).await;
    refused(&bob, bob.client.set_role(&group, &bob.name, Role::Owner).await).await;
    let promoted = alice.client.set_role(&group, &bob.name, Role::Admin).await.unwrap();
    alice.is_sent(promoted).await;
    bob.until("is an admin", async || bob.room(&group).await.is_some_and(|room| room.role == Some(Role::Admin))).await;
    bob.invites(&group, &dave.name).await;
    dave.joins(&group).await;
    refused(&bob, bob.client.remove(&group, &alice.name).await).await;
    // The owner goes; the admin takes over.
    let left = alice.client.leave(&group).await.unwrap();
    alice.is_sent(left).await;
    bob.until("is the owner", async || bob.room(&group).await.is_some_and(|room| room.role == Some(Role::Owner))).await;
    let titled = bob.client.set_title(&group, "Bob's roles").await.unwrap();
    bob.is_sent(titled).await;
    dave.until("sees the new title", async || dave.room(&group).await.is_some_and(|room| room.title == "Bob's roles")).await;
    assert_ne!(alice.room(&group).await.unwrap().title, "Bob's roles", "who has left hears nothing more");
}

async fn an_invitation_can_be_declined_and_taken_back(suite: SuiteName) {
    let world = World::two_servers_on(suite).await;
    let [alice, bob, carol, _] = four(&world).await;
    let group = alice.makes_group("Maybe").await;
    alice.invites(&group, &bob.name).await;
    bob.is_asked_into(&group).await;
    let room = bob.room(&group).await.unwrap();
    assert_eq!((room.title.as_str(), room.part), ("Maybe", Part::Invited { by: Some(alice.name.clone()) }));
    assert_eq!(bob.client.members(&group).await.unwrap().len(), 2, "who is asked sees who is in");
    let early = bob.writes(&group, "not in yet").await;
    let status = bob.client.settled(early, tidings_testbed::PATIENCE).await.unwrap();
    assert!(matches!(status, Status::Failed { .. }), "{status:?}");
    let declined = bob.client.leave(&group).await.unwrap();
    bob.is_sent(declined).await;
    alice.until("sees that bob has declined", async || alice.client.members(&group).await.unwrap().len() == 1).await;

    alice.invites(&group, &carol.name).await;
    carol.is_asked_into(&group).await;
    let taken_back = alice.client.remove(&group, &carol.name).await.unwrap();
    alice.is_sent(taken_back).await;
    carol.until("is not asked in any more", async || carol.room(&group).await.is_none_or(|room| room.part == Part::Gone)).await;
}

async fn what_is_erased_is_gone_for_everybody(suite: SuiteName) {
    let world = World::two_servers_on(suite).await;
    let [alice, bob, carol, _] = four(&world).await;
    let group = alice.makes_group("Regrets").await;
    for person in [&bob, &carol] {
        alice.invites(&group, &person.name).await;
        person.joins(&group).await;
    }
    let said = bob.writes(&group, "I should not have said that").await;
    bob.is_sent(said).await;
    let kept = bob.writes(&group, "this stays").await;
    bob.is_sent(kept).await;
    carol.hears_exactly(&group, &[("bob@s2", "I should not have said that"), ("bob@s2", "this stays")]).await;
    // A member may not erase what others wrote; its author may, and so may an owner.
    let heard = carol.messages(&group).await.into_iter().find(|message| message.text == "this stays").unwrap().id;
    let refused = carol.client.erase(heard).await.unwrap();
    let status = carol.client.settled(refused, tidings_testbed::PATIENCE).await.unwrap();
    assert!(matches!(status, Status::Failed { .. }), "{status:?}");
    let erased = bob.client.erase(said).await.unwrap();
    bob.is_sent(erased).await;
    for person in [&alice, &bob, &carol] {
        person.hears_exactly(&group, &[("bob@s2", "this stays")]).await;
    }
    let owner_s = alice.messages(&group).await.into_iter().find(|message| message.text == "this stays").unwrap().id;
    let erased = alice.client.erase(owner_s).await.unwrap();
    alice.is_sent(erased).await;
    for person in [&alice, &bob, &carol] {
        person.hears_exactly(&group, &[]).await;
        let events = person
            .messages(&group)
            .await
            .into_iter()
            .filter(|message| message.event == Some(Event::Erased) && !matches!(message.status, Status::Failed { .. }));
        assert_eq!(events.count(), 2, "{} is told who has erased", person.name);
    }
    // The same in a direct conversation and in the public chat.
    let direct = Target::from(&bob.name);
    let private = alice.writes(&direct, "forget this").await;
    alice.is_sent(private).await;
    bob.sees(&Target::from(&alice.name), &alice.name, "forget this").await;
    let erased = alice.client.erase(private).await.unwrap();
    alice.is_sent(erased).await;
    bob.hears_exactly(&Target::from(&alice.name), &[]).await;
    let public = alice.announces("loud").await;
    alice.is_sent(public).await;
    bob.sees(&Target::Public, &alice.name, "loud").await;
    let erased = alice.client.erase(public).await.unwrap();
    alice.is_sent(erased).await;
    bob.hears_exactly(&Target::Public, &[]).await;
}

async fn a_small_file_arrives_byte_for_byte(suite: SuiteName) {
    let world = World::two_servers_on(suite).await;
    let [alice, bob, carol, _] = four(&world).await;
    let group = alice.makes_group("Maps").await;
    for person in [&bob, &carol] {
        alice.invites(&group, &person.name).await;
        person.joins(&group).await;
    }
    let bytes: Vec<u8> = (0..32 * 1024u32).map(|n| (n * 31 % 251) as u8).collect();
    let sent = alice.client.send_file(&group, "../map.png", "image/png", bytes.clone(), "the way up").await.unwrap();
    alice.is_sent(sent).await;
    for person in [&bob, &carol] {
        person.sees(&group, &alice.name, "the way up").await;
        let message = person.messages(&group).await.into_iter().find(|message| message.file.is_some()).unwrap();
        let (file, heard) = person.client.file(message.id).await.unwrap();
        assert_eq!((file.name.as_str(), file.size, heard), ("../map.png", bytes.len(), bytes.clone()));
    }
    let too_large = alice.client.send_file(&group, "map.png", "image/png", vec![0; 32 * 1024 + 1], "").await;
    assert!(matches!(too_large, Err(ClientError::Usage(_))), "{too_large:?}");
    let public = alice.client.send_file(&Target::Public, "map.png", "image/png", bytes, "").await;
    assert!(matches!(public, Err(ClientError::Usage(_))), "{public:?}");
}

async fn a_second_device_has_the_group_too_and_reads_on(suite: SuiteName) {
    let world = World::two_servers_on(suite).await;
    let [alice, bob, carol, _] = four(&world).await;
    let group = alice.makes_group("Two devices").await;
    for person in [&bob, &carol] {
        alice.invites(&group, &person.name).await;
        person.joins(&group).await;
    }
    let first = bob.writes(&group, "before the new device").await;
    bob.is_sent(first).await;
    let second = bob.another_device(world.address("s2"), world.profile("bob-2")).await;
    second.hears_exactly(&group, &[("bob@s2", "before the new device")]).await;
    second.until("knows what it is called", async || second.room(&group).await.is_some_and(|room| room.title == "Two devices")).await;
    let message = second.writes(&group, "from the new device").await;
    second.is_sent(message).await;
    let both = [("bob@s2", "before the new device"), ("bob@s2", "from the new device")];
    for person in [&alice, &bob, &carol, &second] {
        person.hears_exactly(&group, &both).await;
    }
}

async fn two_admins_at_once_and_one_order_for_all(suite: SuiteName) {
    let world = World::two_servers_on(suite).await;
    let [alice, bob, carol, dave] = four(&world).await;
    let group = alice.makes_group("Race").await;
    alice.invites(&group, &bob.name).await;
    bob.joins(&group).await;
    let promoted = alice.client.set_role(&group, &bob.name, Role::Owner).await.unwrap();
    alice.is_sent(promoted).await;
    bob.until("is an owner", async || bob.room(&group).await.is_some_and(|room| room.role == Some(Role::Owner))).await;
    // Both change the members and write at the same time; whoever loses tries again by itself.
    let (one, two) = (alice.client.invite(&group, &carol.name, Role::Member), bob.client.invite(&group, &dave.name, Role::Member));
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    let (three, four) = (alice.writes(&group, "from alice").await, bob.writes(&group, "from bob").await);
    for (person, message) in [(&alice, one), (&bob, two), (&alice, three), (&bob, four)] {
        person.is_sent(message).await;
    }
    carol.joins(&group).await;
    dave.joins(&group).await;
    for person in [&alice, &bob, &carol, &dave] {
        person.sees_members(&group, &[&alice.name, &bob.name, &carol.name, &dave.name]).await;
    }
    let order = |messages: Vec<tidings_client::view::Message>| -> Vec<(Option<u64>, Option<Event>, String)> {
        let seen_by_both = messages.into_iter().filter(|message| message.place > Some(3));
        seen_by_both.map(|message| (message.place, message.event, message.text)).collect()
    };
    assert_eq!(order(alice.messages(&group).await), order(bob.messages(&group).await));
}

crate::on_both_suites! {
    three_people_on_two_servers_talk_in_a_group,
    who_is_removed_reads_nothing_that_follows,
    what_is_written_while_the_hub_is_down_arrives_once_and_in_order,
    roles_say_who_may_do_what,
    an_invitation_can_be_declined_and_taken_back,
    what_is_erased_is_gone_for_everybody,
    a_small_file_arrives_byte_for_byte,
    a_second_device_has_the_group_too_and_reads_on,
    two_admins_at_once_and_one_order_for_all,
}
