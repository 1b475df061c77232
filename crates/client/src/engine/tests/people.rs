//! Keys are pinned at first sight; another story about them stops what is sent to that person, and nobody else.

use super::bench::{Bench, Person, keys_entry};
use crate::ClientError;
use crate::view::{KEY_CHANGED, Online, Status, Target, Trust};
use tidings_proto::frame::{ChainReply, Item, PersonState, Presence};
use tidings_proto::{Code, LogName};

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
    assert_eq!(trust(&bench, "bob@s2"), Trust::New);
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
