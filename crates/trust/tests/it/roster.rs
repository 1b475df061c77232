//! Rosters: one hash for one set of members, whatever the order, and another one as soon as anything differs.

use crate::samples::*;
use std::collections::HashSet;
use tidings_proto::Hash;
use tidings_trust::Roster;
use tidings_trust::roster::{Role, RosterMember, Status};
use tidings_trust::{Fingerprint, KeyState};

pub fn member(user: &str, byte: u8) -> RosterMember {
    RosterMember {
        user: user.parse().unwrap(),
        identity: Fingerprint(Hash([byte; 32])),
        encryption: Hash([byte + 1; 32]),
        role: Role::Member,
        status: Status::Member,
    }
}

#[test]
fn the_order_in_which_members_come_does_not_matter() {
    let members = [member("bob@s2", 3), member("alice@s1", 1), member("alice@s2", 5), member("a.lice@s1", 7)];
    let hash = Roster::new(members.to_vec()).hash();
    for turn in 0..members.len() {
        let mut turned = members.to_vec();
        turned.rotate_left(turn);
        assert_eq!(Roster::new(turned.clone()).hash(), hash);
        turned.reverse();
        assert_eq!(Roster::new(turned).hash(), hash);
    }
    let names: Vec<String> = Roster::new(members.to_vec()).members().iter().map(|member| member.user.to_string()).collect();
    assert_eq!(names, ["a.lice@s1", "alice@s1", "alice@s2", "bob@s2"], "sorted by the bytes of the whole name");
}

#[test]
fn each_field_of_each_member_counts() {
    let members = vec![member("alice@s1", 1), member("bob@s2", 3)];
    let mut hashes = HashSet::from([Roster::new(members.clone()).hash()]);
    let changes: [fn(&mut RosterMember); 6] = [
        |it| it.user = "carol@s1".parse().unwrap(),
        |it| it.identity.0.0[31] ^= 1,
        |it| it.encryption.0[31] ^= 1,
        |it| it.role = Role::Admin,
        |it| it.role = Role::Owner,
        |it| it.status = Status::Invited,
    ];
    for change in changes {
        for at in 0..members.len() {
            let mut changed = members.clone();
            change(&mut changed[at]);
            assert!(hashes.insert(Roster::new(changed).hash()));
        }
    }
    assert!(hashes.insert(Roster::new(members[..1].to_vec()).hash()), "one removed");
    assert!(hashes.insert(Roster::new(vec![]).hash()), "nobody");
    let added = [members, vec![member("carol@s1", 5)]].concat();
    assert!(hashes.insert(Roster::new(added).hash()), "one added");
    assert_eq!(hashes.len(), 1 + 6 * 2 + 3);
}

#[test]
fn a_direct_room_is_the_same_from_both_ends() {
    let (alice, bob) = (alice_state(), bob_state());
    let roster = Roster::direct(&alice, &bob);
    assert_eq!(roster, Roster::direct(&bob, &alice));
    let expected = |state: &KeyState| RosterMember {
        user: state.list.user.clone(),
        identity: state.list.identity.fingerprint(),
        encryption: state.list.encryption.thumbprint(),
        role: Role::Member,
        status: Status::Member,
    };
    assert_eq!(roster.members(), [expected(&alice), expected(&bob)]);
    assert_eq!(Roster::direct(&alice, &alice).members(), [expected(&alice)], "notes to self have one member");
}

#[test]
fn a_new_encryption_key_is_a_new_roster_and_a_new_device_is_not() {
    let (alice, bob) = (alice_state(), bob_state());
    let roster = Roster::direct(&alice, &bob);
    assert_eq!(Roster::direct(&after(&alice, &[1, 2]), &bob), roster);
    let mut next = Submission::next(&alice, &[1]);
    next.list.encryption = public(&LARGE);
    let rotated = next.apply(Some(&alice), 5).unwrap();
    assert_ne!(Roster::direct(&rotated, &bob).hash(), roster.hash());
}
