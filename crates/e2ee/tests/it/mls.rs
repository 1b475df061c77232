//! Rooms on MLS, from their first commit on: who reads what, who is kept out, and what a hub does not take.

use crate::mls_world::*;
use crate::samples::*;
use tidings_e2ee::mls::{Followed, Made, MlsError};
use tidings_proto::{Kind, Role};
use tidings_trust::members::MembersError;

fn direct() -> (Hub, Device, Device) {
    let (mut hub, mut alice, mut bob) = (Hub::direct(), Device::new(&ALICE), Device::new(&BOB));
    alice.begins(&mut hub, &mut [&mut bob]).unwrap();
    assert_eq!(alice.reads(&hub).1, Followed::In);
    (hub, alice, bob)
}

/// Alice's group, with bob in it.
fn group() -> (Hub, Device, Device) {
    let (mut hub, mut alice, mut bob) = (Hub::group(), Device::new(&ALICE), Device::new(&BOB));
    alice.begins(&mut hub, &mut []).unwrap();
    alice.reads(&hub);
    joins(&mut hub, &mut alice, &mut bob);
    (hub, alice, bob)
}

/// Alice asks somebody in, who comes.
fn joins(hub: &mut Hub, alice: &mut Device, other: &mut Device) {
    alice.commits(hub, Some(Does::Invite(other.user.clone(), Role::Member)), &mut []).unwrap();
    alice.reads(hub);
    other.comes_in(hub, true).unwrap();
    assert_eq!(other.reads(hub).1, Followed::In);
    assert_eq!(alice.reads(hub).1, Followed::In);
}

#[test]
fn two_people_talk_and_who_was_away_reads_what_was_written_before() {
    let (mut hub, mut alice, mut bob) = direct();
    alice.says(&mut hub, "Good morning");
    alice.says(&mut hub, "Are you there?");
    assert_eq!(bob.texts(&hub), ["alice@s1: Good morning", "alice@s1: Are you there?"]);
    bob.says(&mut hub, "Now I am");
    assert_eq!(alice.texts(&hub), ["bob@s2: Now I am"]);
    assert!(bob.texts(&hub).is_empty(), "nobody opens their own");
}

#[test]
fn people_come_into_a_group_and_who_is_put_out_reads_nothing_that_follows() {
    let (mut hub, mut alice, mut bob) = group();
    let mut carol = Device::new(&CAROL);
    alice.says(&mut hub, "to bob");
    joins(&mut hub, &mut alice, &mut carol);
    bob.says_after(&mut hub, "to both");
    assert_eq!(carol.texts(&hub), ["bob@s2: to both"]);
    alice.commits_after(&mut hub, Does::Remove(BOB.user().clone()));
    carol.reads(&hub);
    assert_eq!(bob.reads(&hub), (vec![], Followed::Out));
    let before = bob.profile.clone();
    alice.says(&mut hub, "to carol alone");
    assert_eq!(carol.texts(&hub), ["alice@s1: to carol alone"]);
    assert_eq!(bob.reads(&hub).0, [Err(MlsError::NotIn)]);
    assert_eq!(bob.profile, before);
}

/// Another one takes its place, and what was sealed to it meanwhile opens; what is sealed to the one before that does not any more.
#[test]
fn a_key_package_of_last_resort_opens_as_long_as_it_may_be_on_its_way() {
    let mut bob = Device::new(&BOB);
    let single_use = bob.profile.len();
    let mut last = || bob.with(|state, me| me.key_packages(state, 1, true)).unwrap();
    let made = [last(), last(), last()];
    assert_eq!(bob.profile.len(), single_use + 3, "two, and which they are");
    for (package, followed) in made.into_iter().zip([Followed::Lost, Followed::In, Followed::In]) {
        let (mut hub, mut alice) = (Hub::direct(), Device::new(&ALICE));
        bob.packages = package;
        let before = bob.profile.clone();
        alice.begins(&mut hub, &mut [&mut bob]).unwrap();
        bob.seen = 0;
        assert_eq!(bob.reads(&hub).1, followed);
        // It is of last resort, and used again.
        bob.profile = before;
    }
}

#[test]
fn what_was_sealed_before_somebody_left_is_not_taken_after() {
    let (mut hub, mut alice, mut bob) = group();
    let mut carol = Device::new(&CAROL);
    joins(&mut hub, &mut alice, &mut carol);
    let late = alice.seals(&hub, "late").unwrap();
    leaves(&mut carol, &mut hub).unwrap();
    assert!(!hub.members.is_in_line());
    assert_eq!(hub.take(&late), Err(MembersError::Stale), "carol could read it");
    bob.reads(&hub);
    bob.commits(&mut hub, None, &mut []).unwrap();
    assert!(hub.members.is_in_line());
    bob.reads(&hub);
    alice.reads(&hub);
    alice.says(&mut hub, "without her");
    assert_eq!(bob.texts(&hub), ["alice@s1: without her"]);
    assert_eq!(carol.reads(&hub).0.len(), 1);
}

#[test]
fn one_commit_an_epoch_is_taken_and_who_lost_goes_on() {
    let (mut hub, mut alice, mut bob) = group();
    bob.reads(&hub);
    let first = alice.commit_of(&hub, None, &[]);
    let second = bob.commit_of(&hub, None, &[]);
    hub.take(&second).unwrap();
    assert_eq!(hub.take(&first), Err(MembersError::Stale));
    assert_eq!((alice.reads(&hub).1, bob.reads(&hub).1), (Followed::In, Followed::In));
    alice.says(&mut hub, "I lost");
    assert_eq!(bob.texts(&hub), ["alice@s1: I lost"]);
    alice.commits_after(&mut hub, None);
    bob.reads(&hub);
    bob.says(&mut hub, "and won");
    assert_eq!(alice.texts(&hub), ["bob@s2: and won"]);
}

#[test]
fn two_who_begin_a_direct_room_at_once_end_up_in_the_same_one() {
    let (mut hub, mut alice, mut bob) = (Hub::direct(), Device::new(&ALICE), Device::new(&BOB));
    let (a, b) = (bob.claimed(&BOB.state), alice.claimed(&ALICE.state));
    let (room, bound) = (hub.room(), hub.members.bound());
    let made = alice.with(|state, me| me.begin(state, &room, &bound, &[a])).unwrap();
    let alices = alice.commit_draft(&hub, made, None);
    let made = bob.with(|state, me| me.begin(state, &room, &bound, &[b])).unwrap();
    let bobs = bob.commit_draft(&hub, made, None);
    hub.take(&bobs).unwrap();
    assert_eq!(hub.take(&alices), Err(MembersError::Stale));
    assert_eq!(alice.seals(&hub, "too early").unwrap_err(), MlsError::NotIn, "a group that is not there yet seals nothing");
    assert_eq!((alice.reads(&hub).1, bob.reads(&hub).1), (Followed::In, Followed::In));
    alice.says(&mut hub, "in yours");
    assert_eq!(bob.texts(&hub), ["alice@s1: in yours"]);
}

#[test]
fn a_second_device_comes_in_on_its_own_and_both_read_on() {
    let (mut hub, mut alice, mut bob) = direct();
    bob.reads(&hub);
    let state = ALICE.with_devices(&ALICE.state, &[1, 2]);
    hub.learn(state);
    let mut phone = Device::on(ALICE.user(), device(2), 2);
    phone.comes_in(&mut hub, false).unwrap();
    assert_eq!(phone.reads(&hub).1, Followed::In);
    bob.reads(&hub);
    bob.says(&mut hub, "to both of hers");
    assert_eq!(alice.texts(&hub), ["bob@s2: to both of hers"]);
    assert_eq!(phone.texts(&hub), ["bob@s2: to both of hers"]);
    phone.says(&mut hub, "from the phone");
    assert_eq!(alice.texts(&hub), ["alice@s1: from the phone"]);
    assert_eq!(bob.texts(&hub), ["alice@s1: from the phone"]);
}

#[test]
fn who_has_lost_the_keys_comes_in_anew_and_reads_on() {
    let (mut hub, mut alice, mut bob) = direct();
    bob.reads(&hub);
    bob.profile.retain(|key, _| !key.starts_with(b"mls/state") && !key.starts_with(b"mls/secrets"));
    alice.commits(&mut hub, None, &mut []).unwrap();
    alice.reads(&hub);
    assert_eq!(bob.reads(&hub).1, Followed::Lost, "it says so, and does not hide it");
    bob.comes_in(&mut hub, false).unwrap();
    assert_eq!((bob.reads(&hub).1, alice.reads(&hub).1), (Followed::In, Followed::In));
    assert_eq!(hub.members.tree().unwrap().leaves().len(), 2, "in its own old place");
    alice.says(&mut hub, "again");
    assert_eq!(bob.texts(&hub), ["alice@s1: again"]);
}

#[test]
fn garbage_costs_nothing_but_itself() {
    let (mut hub, mut alice, mut bob) = direct();
    alice.says(&mut hub, "one");
    let mut garbage = alice.seals(&hub, "two").unwrap().into_value();
    let mut bytes = garbage.body.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    garbage.body = bytes.into();
    hub.take(&tidings_proto::Encoded::new(garbage)).unwrap();
    alice.says(&mut hub, "three");
    let read = bob.reads(&hub).0;
    assert_eq!(read, [Ok("alice@s1: one".into()), Err(MlsError::Undecryptable), Ok("alice@s1: three".into())]);
}

#[test]
fn nothing_is_used_twice_though_a_device_dies_before_it_has_sent() {
    let (mut hub, mut alice, mut bob) = direct();
    let kept = alice.seals(&hub, "sealed and kept").unwrap();
    // Another draft with the same words, since the first never left: its key is another one.
    let sent = alice.seals(&hub, "sealed and sent").unwrap();
    assert_ne!(kept.body, sent.body);
    hub.take(&sent).unwrap();
    hub.take(&kept).unwrap();
    assert_eq!(bob.texts(&hub).len(), 2, "both open, in whatever order they come");
    let again = hub.log[hub.log.len() - 1].clone();
    hub.log.push(again);
    hub.after.push(hub.members.clone());
    assert_eq!(bob.reads(&hub).0, [Err(MlsError::Undecryptable)], "and each opens once");
}

#[test]
fn whoever_is_not_who_they_say_is_kept_out() {
    let (mut hub, mut alice, mut bob) = group();
    bob.reads(&hub);
    let mut carol = Device::new(&CAROL);
    // Nobody was asked.
    assert!(matches!(carol.comes_in(&mut hub, true), Err(MembersError::MayNot(_))));
    assert!(carol.comes_in(&mut hub, false).is_err());
    // A member adds somebody who was not asked in.
    let stranger = carol.claimed(&CAROL.state);
    let draft = bob.commit_of(&hub, None, &[stranger]);
    assert_eq!(hub.take(&draft), Err(MembersError::Stranger(CAROL.user().clone())));
    // A device that is on nobody's list, in alice's name.
    let mut thief = Device::on(ALICE.user(), device(99), 1);
    assert_eq!(thief.comes_in(&mut hub, false), Err(MembersError::Stranger(ALICE.user().clone())));
    // A list that nobody has seen.
    let mut early = Device::on(ALICE.user(), device(2), 2);
    assert_eq!(early.comes_in(&mut hub, false), Err(MembersError::NotYet(ALICE.user().clone())));
    alice.commits(&mut hub, None, &mut []).unwrap();
}

#[test]
fn roles_are_bound_by_the_keys() {
    let (mut hub, mut alice, mut bob) = group();
    bob.reads(&hub);
    let carol = CAROL.user().clone();
    // Who may not invite may not, by a commit either.
    let invites = Does::Invite(carol, Role::Member).change(&hub);
    let (room, bound) = (hub.room(), hub.members.bound());
    let made = bob.with(|state, me| me.commit(state, &room, &bound, &[], &[])).unwrap();
    let draft = bob.commit_draft(&hub, made, Some(invites));
    assert!(matches!(hub.take(&draft), Err(MembersError::MayNot(_))));
    // A change of roles whose keys bind the old ones.
    let change = Does::SetRole(BOB.user().clone(), Role::Admin).change(&hub);
    let made = alice.with(|state, me| me.commit(state, &room, &bound, &[], &[])).unwrap();
    let draft = alice.commit_draft(&hub, made, Some(change));
    assert!(matches!(hub.take(&draft), Err(MembersError::MayNot(_))));
    // Somebody who was put out, but only in words.
    let change = Does::Remove(BOB.user().clone());
    let made_of = hub.members.planned(Some(&change.clone().change(&hub)), ALICE.user(), |_| None).unwrap().bound();
    let made = alice.with(|state, me| me.commit(state, &room, &made_of, &[], &[])).unwrap();
    let draft = alice.commit_draft(&hub, made, Some(change.change(&hub)));
    assert_eq!(hub.take(&draft), Err(MembersError::Stranger(BOB.user().clone())), "bob's device is still in the tree");
    // An open entry of the kind that other suites have.
    let open = Does::Remove(BOB.user().clone()).change(&hub);
    let draft = alice.draft(&hub, Kind::Remove, open.body);
    assert!(matches!(hub.take(&draft), Err(MembersError::MayNot(_))));
}

#[test]
fn keys_are_sent_by_the_device_that_has_made_them() {
    let (mut hub, mut alice, mut bob) = direct();
    bob.reads(&hub);
    hub.learn(ALICE.with_devices(&ALICE.state, &[1, 2]));
    let mut phone = Device::on(ALICE.user(), device(2), 2);
    phone.comes_in(&mut hub, false).unwrap();
    for one in [&mut phone, &mut alice, &mut bob] {
        one.reads(&hub);
    }
    let (room, bound) = (hub.room(), hub.members.bound());
    let made = phone.with(|state, me| me.commit(state, &room, &bound, &[], &[])).unwrap();
    let in_her_own_name = alice.commit_draft(&hub, made.clone(), None);
    assert!(matches!(hub.take(&in_her_own_name), Err(MembersError::MayNot(_))));
    let in_bobs = bob.commit_draft(&hub, made.clone(), None);
    assert!(matches!(hub.take(&in_bobs), Err(MembersError::MayNot(_))));
    let by_it = phone.commit_draft(&hub, made, None);
    hub.take(&by_it).unwrap();
}

#[test]
fn who_comes_in_on_its_own_changes_nothing_else() {
    let (mut hub, _, mut bob) = group();
    bob.reads(&hub);
    hub.learn(ALICE.with_devices(&ALICE.state, &[1, 2]));
    let mut phone = Device::on(ALICE.user(), device(2), 2);
    let (room, info, tree) = (hub.room(), newest_group_info(&hub), hub.members.tree().unwrap().clone());
    let made = phone.with(|state, me| me.come_in(state, &room, &info, &tree)).unwrap();
    let change = Does::SetRole(BOB.user().clone(), Role::Admin).change(&hub);
    let with_a_change = phone.commit_draft(&hub, made.clone(), Some(change));
    assert!(matches!(hub.take(&with_a_change), Err(MembersError::MayNot(_))));
    let alone = phone.commit_draft(&hub, made, None);
    hub.take(&alone).unwrap();
}

#[test]
fn a_group_info_tells_of_its_own_epoch_and_is_its_authors() {
    let (mut hub, mut alice, mut bob) = direct();
    bob.reads(&hub);
    let (room, bound, old) = (hub.room(), hub.members.bound(), newest_group_info(&hub));
    let made = alice.with(|state, me| me.commit(state, &room, &bound, &[], &[])).unwrap();
    let others = bob.with(|state, me| me.commit(state, &room, &bound, &[], &[])).unwrap().group_info;
    for group_info in [old, others, made.welcome.clone().unwrap_or_default(), b"".as_slice().into()] {
        let draft = alice.commit_draft(&hub, Made { group_info, ..made.clone() }, None);
        assert!(matches!(hub.take(&draft), Err(MembersError::Keys(_))));
    }
    let draft = alice.commit_draft(&hub, made, None);
    hub.take(&draft).unwrap();
}
