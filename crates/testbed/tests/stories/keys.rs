//! Keys that change, and what that looks like to others: nothing, a notice, or a stop until a person has looked.

use tidings_client::view::Part;
use tidings_client::view::{Target, Trust};
use tidings_client::{ClientError, Endpoint, LoginSecret, Recover, SuiteName, Zeroizing, recover};
use tidings_client::{Register, register};
use tidings_server::operator::{Answer, Ask, ask};
use tidings_testbed::person::{PASSWORD, Person};
use tidings_testbed::world::World;

fn password() -> Zeroizing<String> {
    Zeroizing::new(PASSWORD.into())
}

async fn two(world: &World) -> (Person, Person) {
    let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s2").await);
    alice.knows(&bob).await;
    bob.knows(&alice).await;
    (alice, bob)
}

async fn talk(from: &Person, to: &Person, text: &str) {
    let message = from.says(&to.name, text).await;
    from.is_sent(message).await;
    to.sees(&Target::from(&from.name), &from.name, text).await;
}

async fn a_device_that_is_taken_off_is_out_at_once_and_reads_nothing_more(suite: SuiteName) {
    let world = World::two_servers_on(suite).await;
    let (alice, bob) = two(&world).await;
    let stolen = alice.another_device(world.address("s1"), world.profile("stolen")).await;
    talk(&bob, &alice, "before").await;
    stolen.sees(&Target::from(&bob.name), &bob.name, "before").await;
    alice.until("has two devices", async || alice.client.devices().await.unwrap().len() == 2).await;
    let device = alice.client.devices().await.unwrap().into_iter().find(|device| !device.this).unwrap();
    alice.client.name_device(&device.key[..8], "lost phone").await.unwrap();
    assert!(alice.client.devices().await.unwrap().iter().any(|device| device.name.as_deref() == Some("lost phone")));
    let wrong = alice.client.revoke(&device.key, Zeroizing::new("a guess".into())).await;
    assert!(matches!(wrong, Err(ClientError::LoginFailed)), "{wrong:?}");
    let old_words = alice.recovery.clone().unwrap();
    let new_words = alice.client.revoke(&device.key, password()).await.unwrap();
    assert_ne!(new_words.words(), old_words, "a new recovery code");

    let ended = stolen.client.linked(std::time::Duration::from_secs(20)).await;
    stolen
        .until("is told that it is out", async || {
            matches!(stolen.client.linked(std::time::Duration::ZERO).await, Err(ClientError::NotListed(_)))
        })
        .await;
    drop(ended);
    // What is written from now on is locked with a key that the device never had.
    bob.until("has heard of the new keys", async || {
        bob.client.people().await.unwrap().iter().any(|person| person.user == alice.name && person.devices == 1)
    })
    .await;
    talk(&bob, &alice, "after").await;
    talk(&alice, &bob, "still me").await;
    assert!(!stolen.hears(&Target::from(&bob.name)).await.iter().any(|(_, text)| text == "after"));
    // The old code is worth nothing, the new one opens the account.
    let by_code = |words: &str, profile: &str| {
        let with = LoginSecret::Recovery(Zeroizing::new(words.to_owned()));
        Person::log_in(&alice.name, world.address("s1"), world.key("s1"), world.profile(profile), with)
    };
    assert!(matches!(by_code(&old_words, "old-code").await, Err(ClientError::LoginFailed)));
    let back = by_code(new_words.words(), "new-code").await.unwrap();
    back.hears_exactly(&Target::from(&bob.name), &[("bob@s2", "before"), ("bob@s2", "after"), ("alice@s1", "still me")]).await;
    talk(&bob, &back, "welcome back").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_own_device_waits_for_the_password_after_the_keys_were_changed() {
    let world = World::two_servers_on(SuiteName::RsaJwe1).await;
    let (alice, bob) = two(&world).await;
    let laptop = alice.another_device(world.address("s1"), world.profile("laptop")).await;
    let old = alice.another_device(world.address("s1"), world.profile("old")).await;
    old.client.close().await;
    alice.until("has three devices", async || alice.client.devices().await.unwrap().len() == 3).await;
    let third = alice.client.devices().await.unwrap().into_iter().filter(|device| !device.this).map(|device| device.key);
    let laptops: Vec<String> =
        laptop.client.devices().await.unwrap().into_iter().filter(|device| device.this).map(|device| device.key).collect();
    let gone = third.into_iter().find(|key| !laptops.contains(key)).unwrap();
    alice.client.revoke(&gone, password()).await.unwrap();
    bob.until("has heard of the new keys", async || {
        bob.client.people().await.unwrap().iter().any(|person| person.user == alice.name && person.devices == 2)
    })
    .await;
    talk(&bob, &alice, "under the new key").await;
    laptop.until("is locked", async || laptop.client.is_locked()).await;
    assert!(laptop.hears(&Target::from(&bob.name)).await.is_empty());
    assert!(!laptop.client.notices(0).await.unwrap().is_empty(), "and says what has happened");
    laptop.client.unlock(password()).await.unwrap();
    laptop.hears_exactly(&Target::from(&bob.name), &[("bob@s2", "under the new key")]).await;
    assert!(!laptop.client.is_locked());
}

async fn a_rotated_identity_goes_on_and_has_to_be_compared_anew(suite: SuiteName) {
    let world = World::two_servers_on(suite).await;
    let (alice, bob) = two(&world).await;
    talk(&alice, &bob, "under the first key").await;
    let (mine, theirs) = (alice.client.compare(&bob.name).await.unwrap(), bob.client.compare(&alice.name).await.unwrap());
    assert_eq!(mine.number, theirs.number);
    bob.client.set_verified(&alice.name, true).await.unwrap();
    bob.finds(&alice.name, "verified", |person| person.trust == Trust::Verified).await;
    // The comparison follows bob to his other devices.
    let tablet = bob.another_device(world.address("s2"), world.profile("tablet")).await;
    tablet.finds(&alice.name, "verified there too", |person| person.trust == Trust::Verified).await;

    alice.client.rotate(password()).await.unwrap();
    bob.finds(&alice.name, "not compared any more", |person| person.trust == Trust::Pinned).await;
    assert!(bob.client.notices(0).await.unwrap().iter().any(|notice| notice.user == alice.name), "bob is told");
    assert_ne!(bob.client.compare(&alice.name).await.unwrap().number, theirs.number);
    talk(&bob, &alice, "to the new key").await;
    talk(&alice, &bob, "from the new key").await;
}

async fn the_recovery_code_brings_an_account_back_with_another_password(suite: SuiteName) {
    let world = World::two_servers_on(suite).await;
    let (alice, bob) = two(&world).await;
    talk(&bob, &alice, "before the disk broke").await;
    // What has been said is handed on now and then, and whenever the program starts.
    let alice = alice.reopen().await;
    alice.until("has handed it on", async || alice.client.only_here().await.unwrap() == 0).await;
    let words = alice.recovery.clone().unwrap();
    alice.client.close().await;
    let endpoint =
        Endpoint { name: alice.name.server().clone(), address: world.address("s1").to_string(), key: Some(world.key("s1")), plain: false };
    let profile = world.profile("recovered");
    let request = Recover {
        profile: &profile,
        endpoint,
        user: alice.name.clone(),
        words: Zeroizing::new(words.clone()),
        password: Zeroizing::new("quite another one".into()),
        device_name: Some("new disk".into()),
    };
    let new_words = recover(request).await.unwrap();
    assert_ne!(new_words.words(), words);
    let log_in = |secret: LoginSecret, profile: &str| {
        Person::log_in(&alice.name, world.address("s1"), world.key("s1"), world.profile(profile), secret)
    };
    assert!(matches!(log_in(LoginSecret::Password(password()), "old").await, Err(ClientError::LoginFailed)));
    let back = log_in(LoginSecret::Password(Zeroizing::new("quite another one".into())), "new").await.unwrap();
    back.hears_exactly(&Target::from(&bob.name), &[("bob@s2", "before the disk broke")]).await;
    bob.finds(&alice.name, "the same as before", |person| person.trust == Trust::Pinned).await;
    talk(&back, &bob, "I am back").await;
}

/// What the operator of alice's server does: a code by which her account begins anew, for who has nothing left of it.
async fn begins_anew(world: &World, lost: Person, profile: &str) -> Person {
    let mut code = None;
    let issued = |answer| {
        if let Answer::Issued(issued) = answer {
            code = Some(issued.code);
        }
    };
    ask(world.data("s1"), &Ask::ResetUser { name: lost.name.to_string() }, issued).await.expect("an operator's socket");
    lost.client.close().await;
    let folder = world.profile(profile);
    let endpoint =
        Endpoint { name: lost.name.server().clone(), address: world.address("s1").to_string(), key: Some(world.key("s1")), plain: false };
    let request = |code: Option<String>| Register {
        profile: &folder,
        endpoint: endpoint.clone(),
        user: lost.name.clone(),
        password: password(),
        code,
        device_name: None,
    };
    let without = register(request(None)).await;
    assert!(matches!(without, Err(ClientError::Refused(_))), "nobody else begins it: {without:?}");
    register(request(code)).await.expect("a new beginning");
    Person::on(lost.name.clone(), world.address("s1"), world.key("s1"), folder).await
}

async fn an_account_that_begins_anew_is_written_to_only_after_somebody_has_accepted_it(suite: SuiteName) {
    let world = World::two_servers_on(suite).await;
    let (alice, bob) = two(&world).await;
    let carol = world.person("carol@s2").await;
    alice.knows(&carol).await;
    carol.knows(&alice).await;
    talk(&alice, &bob, "before").await;
    let group = bob.makes_group("Friends").await;
    for person in [&alice, &carol] {
        bob.invites(&group, &person.name).await;
        person.joins(&group).await;
    }
    let alice = begins_anew(&world, alice, "anew").await;
    // In direct rooms nothing goes out before a person has looked.
    bob.finds(&alice.name, "another person, perhaps", |person| person.trust == Trust::Changed).await;
    let refused = bob.client.send(&Target::from(&alice.name), "is it you?").await;
    assert!(matches!(&refused, Err(error @ ClientError::KeyChanged { .. }) if error.exit_code() == 8), "{refused:?}");
    assert_eq!(bob.room(&Target::from(&alice.name)).await.unwrap().suite.as_deref(), Some(suite.as_str()));
    assert!(bob.client.notices(0).await.unwrap().iter().any(|notice| notice.user == alice.name));
    // In groups the name is put out, by whoever notices, and the others go on.
    bob.sees_members(&group, &[&bob.name, &carol.name]).await;
    let message = carol.writes(&group, "without alice").await;
    carol.is_sent(message).await;
    bob.until("hears carol", async || bob.hears(&group).await.iter().any(|(_, text)| text == "without alice")).await;
    assert!(alice.hears(&group).await.is_empty());

    bob.client.accept_key(&alice.name).await.unwrap();
    bob.finds(&alice.name, "accepted", |person| person.trust == Trust::Pinned).await;
    bob.knows(&alice).await;
    alice.knows(&bob).await;
    talk(&bob, &alice, "I believe you").await;
    talk(&alice, &bob, "thank you").await;
    // She can be asked in again.
    bob.invites(&group, &alice.name).await;
    alice.joins(&group).await;
    let message = alice.writes(&group, "back again").await;
    alice.is_sent(message).await;
    bob.until("hears alice", async || bob.hears(&group).await.iter().any(|(_, text)| text == "back again")).await;
    assert!(matches!(alice.room(&group).await.unwrap().part, Part::In));
}

async fn a_closed_account_is_over_for_everybody(suite: SuiteName) {
    let world = World::two_servers_on(suite).await;
    let (alice, bob) = two(&world).await;
    talk(&alice, &bob, "before").await;
    let group = bob.makes_group("Friends").await;
    bob.invites(&group, &alice.name).await;
    alice.joins(&group).await;
    ask(world.data("s1"), &Ask::CloseUser { name: "alice".into() }, |_| {}).await.expect("an operator's socket");
    alice
        .until("is told that it is over", async || {
            alice.client.linked(std::time::Duration::ZERO).await.is_err_and(|error| !error.is_passing())
        })
        .await;
    bob.finds(&alice.name, "closed", |person| person.trust == Trust::Changed).await;
    let refused = bob.client.send(&Target::from(&alice.name), "hello?").await;
    assert!(matches!(refused, Err(ClientError::AccountClosed(_))), "{refused:?}");
    bob.sees_members(&group, &[&bob.name]).await;
    let with = LoginSecret::Password(password());
    let back = Person::log_in(&alice.name, world.address("s1"), world.key("s1"), world.profile("back"), with).await;
    assert!(matches!(back, Err(ClientError::LoginFailed)), "nobody logs in to it");
    let folder = world.profile("thief");
    let request = Register {
        profile: &folder,
        endpoint: alice.client.endpoint(),
        user: alice.name.clone(),
        password: Zeroizing::new("mine now".into()),
        code: None,
        device_name: None,
    };
    assert!(matches!(register(request).await, Err(ClientError::Refused(_))), "and nobody gets the name");
}

crate::on_both_suites! {
    a_device_that_is_taken_off_is_out_at_once_and_reads_nothing_more,
    a_rotated_identity_goes_on_and_has_to_be_compared_anew,
    an_account_that_begins_anew_is_written_to_only_after_somebody_has_accepted_it,
    a_closed_account_is_over_for_everybody,
    the_recovery_code_brings_an_account_back_with_another_password,
}
