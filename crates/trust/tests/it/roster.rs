//! Rosters: one hash for one set of members with their keys, and another one as soon as anything differs.

use crate::group::*;
use crate::samples::*;
use std::collections::HashSet;
use std::sync::Arc;
use tidings_proto::{Genesis, Hash, Role, SuiteName, UserName};
use tidings_trust::roster::{RosterError, RosterMember, Status};
use tidings_trust::{KeyState, Members, Roster, RsaPublicKey};

fn direct(a: &KeyState, b: &KeyState) -> Members {
    let genesis = Genesis::direct(SuiteName::RsaJwe1, &a.list.user, &b.list.user);
    Members::direct(genesis.as_direct().unwrap())
}

/// The roster that is sealed to, with these people's keys and nobody else's.
fn sealed_to(members: &Members, states: &[&KeyState]) -> Result<(Roster, Vec<RsaPublicKey>), RosterError> {
    Roster::to_seal(members, &|user| known(states, user))
}

fn known(states: &[&KeyState], user: &UserName) -> Option<Arc<KeyState>> {
    states.iter().find(|state| state.list.user == *user).map(|state| Arc::new((*state).clone()))
}

fn line(state: &KeyState, role: Role) -> RosterMember {
    RosterMember {
        user: state.list.user.clone(),
        identity: state.list.identity.fingerprint(),
        encryption: Some(state.list.encryption.thumbprint()),
        role,
        status: Status::Member,
    }
}

fn roster_of(room: &Room) -> Roster {
    Roster::to_seal(&room.members, &room.keys_of()).unwrap().0
}

#[test]
fn the_order_in_which_people_come_does_not_matter() {
    let people = ["bob@s2", "alice@s2", "a.lice@s1", "alice.x@s1"];
    let mut hashes = HashSet::new();
    for turn in 0..people.len() {
        let mut turned = people;
        turned.rotate_left(turn);
        let mut room = Room::new();
        for user in turned {
            room.learn(person(user, [&C, &D], 51));
            room.enter(user, Role::Member);
        }
        let roster = roster_of(&room);
        hashes.insert(roster.hash());
        let names: Vec<String> = roster.members().iter().map(|member| member.user.to_string()).collect();
        assert_eq!(names, ["a.lice@s1", "alice.x@s1", "alice@s1", "alice@s2", "bob@s2"], "sorted by the bytes of the whole name");
    }
    assert_eq!(hashes.len(), 1);
}

#[test]
fn each_field_of_each_member_counts() {
    let with = |state: KeyState, role: Role| {
        let (mut room, user) = (Room::new(), state.list.user.to_string());
        room.learn(state);
        room.enter(&user, role);
        roster_of(&room).hash()
    };
    let mut hashes = HashSet::from([with(bob_state(), Role::Member)]);
    assert!(hashes.insert(with(person("carol@s2", [&C, &D], 51), Role::Member)), "the name");
    assert!(hashes.insert(with(person("bob@s2", [&LARGE, &D], 51), Role::Member)), "the identity");
    assert!(hashes.insert(with(person("bob@s2", [&C, &LARGE], 51), Role::Member)), "the encryption key");
    assert!(hashes.insert(with(bob_state(), Role::Admin)) && hashes.insert(with(bob_state(), Role::Owner)), "the role");
    assert!(hashes.insert(roster_of(&Room::new()).hash()), "one less");
    assert!(hashes.insert(roster_of(&Room::with(&["bob@s2", "carol@s2"])).hash()), "one more");
    let mut asked = Room::new();
    asked.act("alice@s1", Act::Invite(bob(), Role::Member)).unwrap();
    assert!(hashes.insert(roster_of(&asked).hash()), "only asked in");
    asked.learn(person("bob@s2", [&LARGE, &D], 51));
    let roster = roster_of(&asked);
    assert!(!hashes.insert(roster.hash()), "who is asked in stands for the identity that was asked in");
    assert_eq!(roster.members()[1].encryption, None);
}

#[test]
fn a_direct_room_is_the_same_from_both_ends() {
    let (alice, bob) = (alice_state(), bob_state());
    let (roster, keys) = sealed_to(&direct(&alice, &bob), &[&alice, &bob]).unwrap();
    assert_eq!(sealed_to(&direct(&bob, &alice), &[&bob, &alice]).unwrap().0, roster);
    assert_eq!(roster.members(), [line(&alice, Role::Member), line(&bob, Role::Member)]);
    assert_eq!(keys, [alice.list.encryption.clone(), bob.list.encryption.clone()]);
    let (alone, keys) = sealed_to(&direct(&alice, &alice), &[&alice]).unwrap();
    assert_eq!((alone.members(), keys.len()), (&[line(&alice, Role::Member)][..], 1), "notes to self have one member");
}

#[test]
fn a_new_encryption_key_is_a_new_roster_and_a_new_device_is_not() {
    let (alice, bob) = (alice_state(), bob_state());
    let members = direct(&alice, &bob);
    let hash = |alice: &KeyState| sealed_to(&members, &[alice, &bob]).unwrap().0.hash();
    assert_eq!(hash(&after(&alice, &[1, 2])), hash(&alice));
    assert_ne!(hash(&with_encryption(&alice, &LARGE)), hash(&alice));
}

/// What was sealed before a key changed opens after it, for the very roster that it was sealed to.
#[test]
fn a_message_says_by_its_keys_which_roster_it_was_sealed_to() {
    let (alice, bob) = (alice_state(), bob_state());
    let other_key = with_encryption(&alice, &LARGE);
    let newer = Submission::rotation(&other_key, [&D, &C], &[1]).apply(Some(&other_key), 6).unwrap();
    let members = direct(&alice, &bob);
    for then in [&alice, &other_key, &newer] {
        let (roster, keys) = sealed_to(&members, &[then, &bob]).unwrap();
        let locked_to: Vec<Hash> = keys.iter().map(RsaPublicKey::thumbprint).collect();
        let opened = |states: &[&KeyState]| Roster::to_open(&members, &locked_to, &|user| known(states, user));
        assert_eq!(opened(&[&newer, &bob]).unwrap(), roster);
        assert_eq!(opened(&[then, &bob]).unwrap(), roster);
        assert_eq!(opened(&[then]), Err(RosterError::NotYet(bob.list.user.clone())));
        let reversed: Vec<Hash> = locked_to.iter().rev().copied().collect();
        assert!(Roster::to_open(&members, &reversed, &|user| known(&[&newer, &bob], user)).is_err());
        for other in [&locked_to[..1], &[], &[&locked_to[..], &locked_to[..1]].concat()] {
            let refused = Roster::to_open(&members, other, &|user| known(&[&newer, &bob], user));
            assert_eq!(refused, Err(RosterError::OtherMembers), "{} keys", other.len());
        }
    }
    let future = [public(&LARGE).thumbprint(), public(&D).thumbprint()];
    assert_eq!(Roster::to_open(&members, &future, &|user| known(&[&alice, &bob], user)), Err(RosterError::NotYet(alice.list.user.clone())));
}

/// Control: without the question whether the account is still the person's, the group seals to whoever took bob's name over.
#[test]
fn nothing_is_sealed_to_an_account_that_is_not_the_persons_any_more() {
    let mut room = Room::with(&["bob@s2", "carol@s2"]);
    let before = room.keys[&bob()].clone();
    let lost = Err(RosterError::Lost(bob()));
    let to_seal = |room: &Room| Roster::to_seal(&room.members, &room.keys_of()).map(|_| ());
    let anew = begun_anew(&before, [&E, &LARGE], 52);
    for state in [&anew, &closed(&before)] {
        room.learn(state.clone());
        assert_eq!(to_seal(&room), lost);
    }
    room.keys.remove(&bob());
    assert_eq!(to_seal(&room), Err(RosterError::NotYet(bob())));
    room.learn(Submission::rotation(&before, [&E, &LARGE], &[51]).apply(Some(&before), 30).unwrap());
    assert_eq!(to_seal(&room), Ok(()), "a rotation is the same person's");
    // In a conversation of two a new beginning is for its reader to accept, and a closed account is closed.
    let alice = alice_state();
    assert!(sealed_to(&direct(&alice, &before), &[&alice, &anew]).is_ok());
    assert_eq!(sealed_to(&direct(&alice, &before), &[&alice, &closed(&before)]).unwrap_err(), RosterError::Lost(bob()));
}

#[test]
fn what_was_locked_for_another_person_of_a_members_name_is_not_the_groups() {
    let mut room = Room::with(&["bob@s2"]);
    let before = room.keys[&bob()].clone();
    let anew = begun_anew(&before, [&E, &LARGE], 52);
    room.learn(anew.clone());
    let opened = |encryption: &RsaPublicKey| {
        let locked_to = [alice_state().list.encryption.thumbprint(), encryption.thumbprint()];
        Roster::to_open(&room.members, &locked_to, &room.keys_of()).map(|_| ())
    };
    assert_eq!(opened(&before.list.encryption), Ok(()), "what was written before it opens");
    assert_eq!(opened(&anew.list.encryption), Err(RosterError::Lost(bob())));
}
