//! Keys are pinned at first sight; another story about them stops what is sent to that person, and nobody else.

use super::bench::{Bench, Person, keys_entry, reads, server_key};
use crate::ClientError;
use crate::view::{KEY_CHANGED, Online, Status, Target, Trust};
use tidings_proto::frame::{ChainReply, Item, PersonState, Presence};
use tidings_proto::{Code, LogName};

/// What a person is told about keys, and about whom.
fn notices(bench: &Bench) -> Vec<(String, String)> {
    bench.core.store.notices(0).unwrap().into_iter().map(|notice| (notice.user.to_string(), notice.text)).collect()
}

/// The one notice there is, if it is about `user`.
fn notice(bench: &Bench, user: &str) -> String {
    let mut notices = notices(bench);
    assert_eq!(notices.iter().map(|(about, _)| about.as_str()).collect::<Vec<_>>(), [user], "{notices:?}");
    notices.remove(0).1
}

/// The status of what alice writes to bob.
async fn sent_to_bob(bench: &mut Bench) -> Status {
    let id = bench.writes(&bench.with_bob(), "hello").await;
    bench.settles().await;
    bench.status(id)
}

fn trust(bench: &Bench, name: &str) -> Trust {
    bench.core.people().view().into_iter().find(|person| person.user.to_string() == name).unwrap().trust
}

#[tokio::test]
async fn people_are_shown_with_verified_keys_and_presence() {
    let mut bench = Bench::new().await;
    let people = bench.core.people().view();
    assert_eq!(people.iter().map(|person| person.user.to_string()).collect::<Vec<_>>(), ["alice@s1", "bob@s2"]);
    assert_eq!(people[1].fingerprint, Some(bench.bob.state.list.identity.fingerprint().to_string()));
    assert_eq!((people[1].trust, people[1].online, people[1].devices), (Trust::Pinned, Online::Online, 1));
    assert!(people[1].jwk.as_ref().unwrap().starts_with(r#"{"keys":[{"kty":"RSA","use":"sig","alg":"PS256""#));
    let gone = PersonState { user: bench.bob.user.clone(), online: tidings_proto::frame::Online::Offline, list: 1 };
    bench.comes(vec![Presence { whole: false, people: vec![gone] }.into()]).await.unwrap();
    assert_eq!(bench.core.people().view()[1].online, Online::Offline);
}

#[tokio::test]
async fn another_identity_is_shown_and_nothing_is_sent_to_it() {
    let mut bench = Bench::new().await;
    let target = bench.with_bob();
    let id = bench.writes_offline(&target, "for bob only");
    let before = bench.core.people().state(&bench.bob.user).unwrap();
    // The server now has another bob.
    let other = Person::new("bob@s2", 0, 1).await;
    bench.hub.chains.insert(bench.bob.user.clone(), vec![keys_entry(1, other.first())]);
    let mut bench = bench.crash().await;
    assert_eq!(trust(&bench, "bob@s2"), Trust::Changed);
    assert_eq!(trust(&bench, "alice@s1"), Trust::Pinned);
    assert_eq!(bench.core.people().state(&bench.bob.user).unwrap(), before, "the pinned keys stay");
    let status = bench.status(id);
    assert!(matches!(&status, Status::Failed { code: Some(code), .. } if code == KEY_CHANGED), "{status:?}");
    assert_eq!(status.exit_code(), 8);
    assert!(bench.taken().iter().all(|submit| !matches!(submit.log, LogName::Room(_))));
    let refused = bench.core.people().refuse_changed([&bench.bob.user]).unwrap_err();
    assert!(matches!(refused, ClientError::KeyChanged { .. }));
    assert_eq!(refused.exit_code(), 8);
    bench.writes(&Target::Public, "others are written to").await;
    assert_eq!(bench.taken().iter().filter(|submit| matches!(submit.log, LogName::Public(_))).count(), 1);
    let bench = bench.crash().await;
    assert_eq!(trust(&bench, "bob@s2"), Trust::Changed, "it is not forgotten");
}

#[tokio::test]
async fn a_second_beginning_of_a_key_history_is_another_story() {
    let mut bench = Bench::new().await;
    let other = Person::new("bob@s2", 0, 1).await;
    bench.hub.chains.insert(bench.bob.user.clone(), vec![keys_entry(1, bench.bob.first()), keys_entry(5, other.first())]);
    let newer = PersonState { user: bench.bob.user.clone(), online: tidings_proto::frame::Online::Online, list: 2 };
    bench.comes(vec![Presence { whole: false, people: vec![newer] }.into()]).await.unwrap();
    assert_eq!(trust(&bench, "bob@s2"), Trust::Changed);
}

#[tokio::test]
async fn one_poisoned_key_harms_nobody_else() {
    let mut bench = Bench::with(|hub, _, bob| {
        let poison = Item { entry: b"not an entry".to_vec().into(), got: None };
        hub.chains.insert(bob.user.clone(), vec![poison]);
    })
    .await;
    let carol = Person::new("carol@s1", 2, 3).await;
    bench.hub.knows(&carol);
    let mut bench = bench.crash().await;
    // In the history of all keys there, his can be read.
    assert_eq!(trust(&bench, "bob@s2"), Trust::Changed);
    assert_eq!(trust(&bench, "carol@s1"), Trust::Pinned);
    bench.writes(&Target::from(&carol.user), "hello").await;
    let notice = bench.taken().remove(0);
    bench.accepts(&notice).await;
    assert!(bench.taken().iter().any(|submit| matches!(submit.log, LogName::Room(_))));
}

#[tokio::test]
async fn a_device_that_was_taken_off_the_list_is_told_so() {
    let mut bench = Bench::new().await;
    let refused = tidings_proto::frame::Refused { req: 0, why: Code::Revoked.into(), log: None };
    let error = bench.comes(vec![refused.into()]).await.unwrap_err();
    assert!(matches!(error, ClientError::NotListed(_)));
    assert_eq!(error.exit_code(), 4);
}

#[tokio::test]
async fn an_answer_that_is_older_than_what_is_needed_is_asked_for_again() {
    let mut bench = Bench::new().await;
    bench.bob.adds_device().await;
    let second = bench.bob.newest().clone();
    let newest = bench.bob.adds_device().await;
    let third = bench.bob.newest().clone();
    bench.hub.mute_about_keys = true;
    let came = PersonState { user: bench.bob.user.clone(), online: tidings_proto::frame::Online::Online, list: 2 };
    bench.comes(vec![Presence { whole: false, people: vec![came] }.into()]).await.unwrap();
    let (req, ..) = bench.held.remove(0);
    // Bob's newest device writes before that question is answered.
    let log = LogName::Public("s2".parse().unwrap());
    bench.hub.append(&log, &bench.bob.on(&newest).post(1, "from my third device"));
    bench.news(&log, 1).await;
    let answer = |req, items| ChainReply { req, items, more: false }.into();
    bench.comes(vec![answer(req, vec![keys_entry(2, &second.1)])]).await.unwrap();
    assert!(bench.lines(&Target::Public).is_empty(), "it waits, and is not given up");
    let (req, _, after) = bench.held.remove(0);
    assert_eq!(after, 2);
    bench.comes(vec![answer(req, vec![keys_entry(3, &third.1)])]).await.unwrap();
    assert_eq!(bench.lines(&Target::Public), ["bob@s2: from my third device"]);
    assert_eq!(bench.core.people().version(&bench.bob.user), 3);
}

/// Bob's old key has signed the new one: it is the same person, and whoever had compared the old one is told to look again.
#[tokio::test]
async fn another_identity_that_the_old_one_agrees_to_is_told_and_stops_nothing() {
    let mut bench = Bench::new().await;
    let compared = bench.bob.state.list.identity.fingerprint();
    bench.trusts(&bench.bob, compared, Some(compared));
    assert_eq!(trust(&bench, "bob@s2"), Trust::Verified);
    let mut bob = bench.bob.on(&bench.bob.device);
    bob.rotates(0, 4).await;
    bench.hears_of(&bob).await;
    assert!(notice(&bench, "bob@s2").contains("new identity key; the old one has signed it"));
    assert_eq!(trust(&bench, "bob@s2"), Trust::Pinned, "what was compared is not what is there now");
    assert!(matches!(sent_to_bob(&mut bench).await, Status::Sent { .. }));
    let direct = bench.room();
    assert_eq!(reads(&bench.hub, &direct, &bob).await.as_deref(), Some("hello"), "locked with the new key");
    bench.trusts(&bob, compared, Some(bob.state.list.identity.fingerprint()));
    let bench = bench.crash().await;
    assert_eq!(trust(&bench, "bob@s2"), Trust::Verified);
    assert_eq!(notices(&bench).len(), 1, "it is told once");
}

/// Only the server says so: nothing is sent before alice has decided.
#[tokio::test]
async fn an_account_that_began_anew_is_not_written_to_before_it_is_accepted() {
    let mut bench = Bench::new().await;
    let compared = bench.bob.state.list.identity.fingerprint();
    bench.trusts(&bench.bob, compared, Some(compared));
    let mut bob = bench.bob.on(&bench.bob.device);
    bob.begins_anew(0, 4).await;
    bench.hears_of(&bob).await;
    assert!(notice(&bench, "bob@s2").contains("begun anew"));
    assert_eq!(trust(&bench, "bob@s2"), Trust::Changed);
    let status = sent_to_bob(&mut bench).await;
    assert!(matches!(&status, Status::Failed { code: Some(code), .. } if code == KEY_CHANGED), "{status:?}");
    assert_eq!(reads(&bench.hub, &bench.room(), &bob).await, None);
    let mut bench = bench.crash().await;
    assert_eq!((trust(&bench, "bob@s2"), notices(&bench).len()), (Trust::Changed, 1));
    assert_eq!(sent_to_bob(&mut bench).await.exit_code(), 8);
    bench.accepts_key(&bob);
    assert_eq!(trust(&bench, "bob@s2"), Trust::Pinned, "accepted is not compared");
    assert!(matches!(sent_to_bob(&mut bench).await, Status::Sent { .. }));
    assert_eq!(reads(&bench.hub, &bench.room(), &bob).await.as_deref(), Some("hello"));
    let bench = bench.crash().await;
    assert_eq!(trust(&bench, "bob@s2"), Trust::Pinned);
}

/// What was accepted is one identity; the next one is another decision.
#[tokio::test]
async fn who_begins_anew_twice_is_accepted_twice() {
    let mut bench = Bench::new().await;
    let mut bob = bench.bob.on(&bench.bob.device);
    bob.begins_anew(0, 4).await;
    bench.hears_of(&bob).await;
    bench.accepts_key(&bob);
    assert_eq!(trust(&bench, "bob@s2"), Trust::Pinned);
    bob.begins_anew(1, 5).await;
    bench.hears_of(&bob).await;
    assert_eq!((trust(&bench, "bob@s2"), notices(&bench).len()), (Trust::Changed, 2));
    assert_eq!(sent_to_bob(&mut bench).await.exit_code(), 8);
}

/// Alice's home server is known by its key: nobody else gives a word for its people.
#[tokio::test]
async fn of_people_at_home_only_the_home_servers_word_counts() {
    let mut bench = Bench::new().await;
    let mut carol = Person::new("carol@s1", 2, 3).await;
    bench.hears_of(&carol).await;
    bench.core.people().at_home(server_key(&"s2".parse().unwrap()));
    carol.begins_anew(0, 4).await;
    bench.hears_of(&carol).await;
    assert_eq!(trust(&bench, "carol@s1"), Trust::Changed);
    bench.accepts_key(&carol);
    assert_eq!(trust(&bench, "carol@s1"), Trust::Changed, "a forged word is nothing that could be accepted");
    assert_eq!(bench.core.people().version(&carol.user), 1, "and is not used");
}

#[tokio::test]
async fn that_an_account_is_closed_is_told_and_it_is_not_written_to() {
    let mut bench = Bench::new().await;
    let mut bob = bench.bob.on(&bench.bob.device);
    bob.closes();
    bench.hears_of(&bob).await;
    assert!(notice(&bench, "bob@s2").contains("closed"));
    let status = sent_to_bob(&mut bench).await;
    assert_eq!(status.exit_code(), 5, "{status:?}");
    let mut bench = bench.crash().await;
    assert_eq!(sent_to_bob(&mut bench).await.exit_code(), 5);
    assert_eq!(notices(&bench).len(), 1);
}

/// Whoever opens the account with its password leaves a trace on every device that its owner has.
#[tokio::test]
async fn what_happens_to_ones_own_account_on_other_devices_is_told() {
    let mut bench = Bench::new().await;
    let mut alice = bench.alice.on(&bench.alice.device);
    let phone = alice.adds_device().await;
    bench.hears_of(&alice).await;
    assert!(notice(&bench, "alice@s1").contains("a device was added to your account"));
    alice.changes_keys(&phone, 4).await;
    bench.hears_of(&alice).await;
    let tablet = alice.adds_device().await;
    alice.takes_off(tablet.public(), &phone, 5).await;
    bench.hears_of(&alice).await;
    let told: Vec<String> = notices(&bench).into_iter().map(|(_, text)| text).collect();
    let words = ["was added", "keys were changed", "was added", "was taken off"];
    assert!(told.len() == 4 && told.iter().zip(words).all(|(text, words)| text.contains(words)), "{told:?}");
    assert_eq!(trust(&bench, "alice@s1"), Trust::Pinned, "that is no other identity");
    let bench = bench.crash().await;
    assert_eq!(notices(&bench).len(), 4, "each once");
}

/// What this device does itself is no news to it; and who has many devices is nobody else's business.
#[tokio::test]
async fn what_this_device_does_and_what_others_do_with_their_devices_is_not_told() {
    let mut bench = Bench::new().await;
    let mut alice = bench.alice.on(&bench.alice.device);
    alice.changes_keys(&bench.alice.device, 4).await;
    bench.hears_of(&alice).await;
    let mut bob = bench.bob.on(&bench.bob.device);
    bob.adds_device().await;
    bench.hears_of(&bob).await;
    assert_eq!(notices(&bench), []);
    assert_eq!(bench.core.people().version(&bob.user), 2);
}

/// An account that its server gives to somebody else: its real owner's device sees it and sends nothing.
#[tokio::test]
async fn ones_own_account_that_began_anew_elsewhere_stops_what_is_sent() {
    let mut bench = Bench::new().await;
    let mut thief = bench.alice.on(&bench.alice.device);
    thief.begins_anew(2, 4).await;
    bench.hears_of(&thief).await;
    assert!(notice(&bench, "alice@s1").contains("begun anew"));
    assert_eq!(trust(&bench, "alice@s1"), Trust::Changed);
    let status = sent_to_bob(&mut bench).await;
    assert!(!matches!(status, Status::Sent { .. }), "{status:?}");
}

/// The first notice of an alarm is the only one, however often the server says it.
#[tokio::test]
async fn an_alarm_is_told_once() {
    let mut bench = Bench::new().await;
    let other = Person::new("bob@s2", 0, 1).await;
    bench.hub.chains.insert(bench.bob.user.clone(), vec![keys_entry(1, other.first())]);
    // Only whom one talks to is asked for from the start.
    let direct = bench.room();
    bench.is_told_of(&direct).await;
    let bench = bench.crash().await.crash().await;
    assert!(notice(&bench, "bob@s2").contains("another key history"));
}
