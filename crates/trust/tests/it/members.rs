//! Who may change a group: each rule, and for each clause of it one entry that breaks this clause alone.

use crate::group::*;
use crate::samples::*;
use std::sync::Arc;
use tidings_proto::membership::{BODY_LIMIT, Invite};
use tidings_proto::{Draft, Encoded, Genesis, Hash, Kind, Role, SuiteName, UserName, cbor, limits};
use tidings_trust::members::{MembersError, Standing};
use tidings_trust::{KeyState, Members};

const ALICE: &str = "alice@s1";
const BOB: &str = "bob@s2";
const CAROL: &str = "carol@s2";
const DAVE: &str = "dave@s3";
const EVE: &str = "eve@s1";

fn invite(user: &str, role: Role) -> Act {
    Act::Invite(name(user), role)
}

fn remove(user: &str) -> Act {
    Act::Remove(name(user))
}

fn set(user: &str, role: Role) -> Act {
    Act::SetRole(name(user), role)
}

impl Room {
    fn role(&self, user: &str) -> Option<Role> {
        self.members.person(&name(user)).filter(|person| person.standing == Standing::In).map(|person| person.role)
    }

    fn refused(&self, author: &str, act: &Act) -> MembersError {
        self.judge(&self.draft(author, act)).unwrap_err()
    }

    fn may_not(&self, author: &str, act: &Act) {
        let refused = self.refused(author, act);
        assert!(matches!(refused, MembersError::MayNot(_)), "{author}: {act:?}: {refused:?}");
    }

    /// Somebody's account begins anew.
    fn reset(&mut self, user: &str) {
        let anew = begun_anew(&self.keys[&name(user)], [&E, &LARGE], 52);
        self.learn(anew);
    }
}

/// Alice the owner, bob an admin, carol and dave members, in this order.
fn usual() -> Room {
    let mut room = Room::new();
    room.enter(BOB, Role::Admin);
    room.enter(CAROL, Role::Member);
    room.enter(DAVE, Role::Member);
    room
}

#[test]
fn a_group_begins_with_its_creator_as_owner() {
    let room = Room::new();
    assert_eq!((room.role(ALICE), room.members.epoch(), room.members.last()), (Some(Role::Owner), 0, beginning().hash()));
    assert_eq!(room.members.people().count(), 1);
}

#[test]
fn it_begins_with_its_own_genesis_and_nothing_else() {
    let begin = |change: &dyn Fn(&mut Draft)| {
        let mut draft = beginning().into_value();
        change(&mut draft);
        Members::begin(genesis().as_group().unwrap(), &Encoded::new(draft), &alice_state())
    };
    assert!(begin(&|_| ()).is_ok(), "the control");
    let other = Genesis::group(SuiteName::RsaJwe1, &alice(), tidings_proto::Nonce([5; 32]));
    for refused in [
        begin(&|it| it.kind = Kind::Post),
        begin(&|it| it.author = bob()),
        begin(&|it| it.epoch = Some(0)),
        begin(&|it| it.body = other.encode()),
        begin(&|it| it.body = Genesis::direct(SuiteName::RsaJwe1, &alice(), &bob()).encode()),
    ] {
        assert_eq!(refused.unwrap_err(), MembersError::WrongGenesis);
    }
    assert_eq!(begin(&|it| it.list = 2).unwrap_err(), MembersError::NotYet(alice()), "under a list that is not known yet");
}

#[test]
fn owners_and_admins_invite_and_nobody_else() {
    let mut room = usual();
    for (author, most) in [(ALICE, Role::Owner), (BOB, Role::Admin)] {
        for role in [Role::Owner, Role::Admin, Role::Member] {
            let act = invite(EVE, role);
            if role >= most {
                assert!(room.judge(&room.draft(author, &act)).is_ok(), "{author}: {role:?}");
            } else {
                room.may_not(author, &act);
            }
        }
    }
    room.may_not(CAROL, &invite(EVE, Role::Member));
    assert_eq!(room.refused(EVE, &invite(EVE, Role::Member)), MembersError::NotAMember, "a stranger, themselves");
    room.act(ALICE, invite(EVE, Role::Admin)).unwrap();
    room.learn(person("fay@s1", [&C, &D], 51));
    assert_eq!(room.refused(EVE, &invite("fay@s1", Role::Member)), MembersError::NotAMember, "who is only asked in");
    room.act(BOB, Act::Leave).unwrap();
    assert_eq!(room.refused(BOB, &invite("fay@s1", Role::Member)), MembersError::NotAMember, "who has gone");
}

#[test]
fn nobody_is_asked_in_twice() {
    let mut room = usual();
    assert_eq!(room.refused(ALICE, &invite(CAROL, Role::Member)), MembersError::AlreadyIn(name(CAROL)));
    assert_eq!(room.refused(ALICE, &invite(ALICE, Role::Owner)), MembersError::AlreadyIn(alice()), "nor is oneself");
    room.act(ALICE, invite(EVE, Role::Member)).unwrap();
    assert_eq!(room.refused(BOB, &invite(EVE, Role::Admin)), MembersError::AlreadyIn(name(EVE)), "asked in, and not come yet");
    // By another identity of somebody who is still the same person, as far as the judge knows.
    let prev = room.members.last();
    let other = Invite { prev, user: name(CAROL), identity: Hash([9; 32]), role: Role::Member };
    let draft = Draft { kind: Kind::Invite, body: cbor::encode(&other).into(), ..room.draft(ALICE, &Act::Leave).into_value() };
    assert_eq!(room.judge(&Encoded::new(draft.clone())).unwrap_err(), MembersError::AlreadyIn(name(CAROL)));
    room.keys.remove(&name(CAROL));
    assert_eq!(room.judge(&Encoded::new(draft)).unwrap_err(), MembersError::NotYet(name(CAROL)), "whose keys are not known");
}

#[test]
fn who_has_gone_may_be_asked_in_again() {
    let mut room = usual();
    room.act(CAROL, Act::Leave).unwrap();
    assert_eq!(room.refused(CAROL, &Act::Join), room.refused(EVE, &Act::Join), "to have been in is no invitation");
    room.enter(CAROL, Role::Admin);
    assert_eq!(room.role(CAROL), Some(Role::Admin));
    assert_eq!(room.members.person(&name(CAROL)).unwrap().stays.len(), 2);
}

#[test]
fn a_group_has_64_people_and_no_more_those_who_are_asked_in_among_them() {
    assert_eq!(limits::RSA_MEMBERS, 64);
    let mut room = Room::new();
    let guest = |i: usize| format!("guest{i:02}@s3");
    let state = person("guest00@s3", [&C, &D], 51);
    for i in 0..65 {
        // All of them have the same keys: what counts here is the name.
        room.keys.insert(name(&guest(i)), Arc::new(state.clone()));
    }
    for i in 0..62 {
        room.act(ALICE, invite(&guest(i), Role::Member)).unwrap();
    }
    assert_eq!(room.members.people().count(), 63);
    room.act(ALICE, invite(&guest(62), Role::Member)).unwrap();
    assert_eq!(room.members.people().count(), 64);
    assert_eq!(room.refused(ALICE, &invite(&guest(63), Role::Member)), MembersError::Full(64));
    room.act(ALICE, remove(&guest(5))).unwrap();
    room.act(ALICE, invite(&guest(63), Role::Member)).unwrap();
    assert_eq!(room.refused(ALICE, &invite(&guest(64), Role::Member)), MembersError::Full(64));
}

#[test]
fn nobody_comes_in_without_an_invitation() {
    let mut room = usual();
    room.may_not(EVE, &Act::Join);
    room.may_not(CAROL, &Act::Join);
    room.act(ALICE, invite(EVE, Role::Member)).unwrap();
    room.act(ALICE, remove(EVE)).unwrap();
    room.may_not(EVE, &Act::Join);
    room.act(ALICE, invite(EVE, Role::Member)).unwrap();
    room.act(EVE, Act::Join).unwrap();
    room.may_not(EVE, &Act::Join);
}

/// Control: without `is_person` in `join`, whoever takes the name over comes in.
#[test]
fn who_was_asked_in_comes_in_and_nobody_else_of_that_name() {
    let mut room = usual();
    room.act(ALICE, invite(EVE, Role::Member)).unwrap();
    let first = room.keys[&name(EVE)].clone();
    let rotated = Submission::rotation(&first, [&A, &B], &[51]).apply(Some(&first), 30).unwrap();
    let later = with_encryption(&after(&first, &[51, 53]), &LARGE);
    for state in [&*first, &rotated, &later] {
        let mut room = room.clone();
        room.learn(state.clone());
        room.act(EVE, Act::Join).unwrap();
    }
    room.learn(begun_anew(&first, [&A, &B], 52));
    assert_eq!(room.refused(EVE, &Act::Join), MembersError::WrongIdentity(name(EVE)), "after a reset");
    room.keys.insert(name(EVE), Arc::new(person(EVE, [&A, &B], 51)));
    assert_eq!(room.refused(EVE, &Act::Join), MembersError::WrongIdentity(name(EVE)), "another identity from the beginning");
    let mut early = room.draft(EVE, &Act::Join).into_value();
    early.list = 2;
    assert_eq!(room.judge(&Encoded::new(early)).unwrap_err(), MembersError::NotYet(name(EVE)), "under a list that is not known yet");
}

#[test]
fn whoever_is_in_or_asked_in_may_go() {
    let mut room = usual();
    assert_eq!(room.refused(EVE, &Act::Leave), MembersError::NotAMember);
    room.act(CAROL, Act::Leave).unwrap();
    assert_eq!(room.refused(CAROL, &Act::Leave), MembersError::NotAMember, "once");
    room.act(ALICE, invite(EVE, Role::Member)).unwrap();
    room.act(EVE, Act::Leave).unwrap();
    assert_eq!(room.members.person(&name(EVE)), None, "who declines leaves nothing behind");
    room.reset(DAVE);
    room.act(DAVE, Act::Leave).unwrap();
    assert!(!room.members.has(&name(DAVE)), "the name may be taken out by whoever has it now");
}

#[test]
fn the_last_owners_heir_is_the_admin_or_else_the_member_who_has_been_in_for_longest() {
    let mut room = usual();
    room.enter(EVE, Role::Admin);
    room.act(ALICE, Act::Leave).unwrap();
    assert_eq!(
        [BOB, CAROL, DAVE, EVE].map(|user| room.role(user)),
        [Some(Role::Owner), Some(Role::Member), Some(Role::Member), Some(Role::Admin)]
    );
    room.act(EVE, Act::Leave).unwrap();
    // Carol was in before dave, and goes, and comes back: dave has been in for longer.
    room.act(CAROL, Act::Leave).unwrap();
    room.act(BOB, invite(CAROL, Role::Member)).unwrap();
    room.act(CAROL, Act::Join).unwrap();
    room.act(BOB, Act::Leave).unwrap();
    assert_eq!([CAROL, DAVE].map(|user| room.role(user)), [Some(Role::Member), Some(Role::Owner)]);
    // Who is only asked in inherits nothing, and nobody is no owner.
    room.act(DAVE, remove(CAROL)).unwrap();
    room.act(DAVE, invite(EVE, Role::Admin)).unwrap();
    room.act(DAVE, Act::Leave).unwrap();
    assert_eq!(room.members.members().count(), 0);
    // Who comes then is the first again.
    room.act(EVE, Act::Join).unwrap();
    assert_eq!(room.role(EVE), Some(Role::Owner));
}

#[test]
fn with_a_second_owner_nobody_inherits() {
    let mut room = usual();
    room.act(ALICE, set(DAVE, Role::Owner)).unwrap();
    room.act(ALICE, Act::Leave).unwrap();
    assert_eq!([BOB, CAROL, DAVE].map(|user| room.role(user)), [Some(Role::Admin), Some(Role::Member), Some(Role::Owner)]);
}

#[test]
fn owners_remove_everybody_admins_remove_members_and_others_nobody() {
    let mut room = usual();
    room.enter(EVE, Role::Admin);
    room.act(ALICE, set(DAVE, Role::Owner)).unwrap();
    // Alice and dave are owners, bob and eve admins, carol is a member.
    let all = [ALICE, BOB, CAROL, DAVE, EVE];
    for author in all {
        for user in all {
            let judged = room.judge(&room.draft(author, &remove(user)));
            let may = match (room.role(author).unwrap(), room.role(user).unwrap()) {
                (Role::Owner, _) | (Role::Admin, Role::Member) => true,
                (Role::Admin | Role::Member, _) => false,
            };
            assert_eq!(judged.err(), (!may).then(|| MembersError::StillThere(name(user))), "{author} removes {user}");
        }
    }
    room.act(DAVE, remove(ALICE)).unwrap();
    assert_eq!(room.refused(DAVE, &remove(ALICE)), MembersError::NotIn(alice()), "who has gone");
    assert_eq!(room.refused(DAVE, &remove("fay@s1")), MembersError::NotIn(name("fay@s1")), "who was never there");
    assert_eq!(room.refused(ALICE, &remove(CAROL)), MembersError::NotAMember);
}

#[test]
fn who_is_only_asked_in_is_uninvited_by_the_same_rule() {
    let mut room = usual();
    room.act(ALICE, invite(EVE, Role::Admin)).unwrap();
    assert_eq!(room.refused(BOB, &remove(EVE)), MembersError::StillThere(name(EVE)), "an admin, an admin to be");
    assert_eq!(room.refused(EVE, &remove(CAROL)), MembersError::NotAMember);
    room.act(ALICE, remove(EVE)).unwrap();
    assert_eq!(room.members.person(&name(EVE)), None);
}

/// Control: without the question whether the account is lost, nobody but an owner removes the one who took bob's name.
#[test]
fn an_account_that_is_not_the_persons_any_more_is_removed_by_anybody() {
    for end in [|state: &KeyState| begun_anew(state, [&E, &LARGE], 52), closed] {
        let mut room = usual();
        assert_eq!(room.refused(CAROL, &remove(BOB)), MembersError::StillThere(bob()));
        let state = end(&room.keys[&bob()]);
        room.learn(state);
        assert_eq!(room.members.lost(room.keys_of()).collect::<Vec<_>>(), [&bob()]);
        room.act(CAROL, remove(BOB)).unwrap();
        assert_eq!(room.members.lost(room.keys_of()).count(), 0);
    }
    // The owner too, and then there is another one.
    let mut room = usual();
    room.learn(begun_anew(&alice_state(), [&E, &LARGE], 52));
    room.act(DAVE, remove(ALICE)).unwrap();
    assert_eq!(room.role(BOB), Some(Role::Owner));
    let mut unknown = usual();
    unknown.keys.remove(&bob());
    assert_eq!(unknown.refused(CAROL, &remove(BOB)), MembersError::NotYet(bob()), "whose keys are not known");
    assert!(unknown.judge(&unknown.draft(ALICE, &remove(BOB))).is_ok(), "an owner needs no reason");
}

/// Whoever knows less of an account than the author says to have seen cannot say no yet; whoever knows as much can.
#[test]
fn a_removal_that_rests_on_keys_that_are_not_here_yet_is_not_refused_for_good() {
    let lost = |version| Act::RemoveLost(bob(), version);
    let room = usual();
    assert_eq!(room.refused(CAROL, &lost(2)), MembersError::NotYet(bob()), "one version more than is known");
    assert_eq!(room.refused(CAROL, &lost(1)), MembersError::StillThere(bob()), "the version that is known");
    assert_eq!(room.refused(CAROL, &remove(BOB)), MembersError::StillThere(bob()), "no reason");
    let mut later = usual();
    later.learn(begun_anew(&room.keys[&bob()], [&E, &LARGE], 52));
    later.act(CAROL, lost(2)).unwrap();
    // A history that went on without a new person.
    let mut later = usual();
    later.learn(Submission::rotation(&room.keys[&bob()], [&A, &B], &[51]).apply(Some(&room.keys[&bob()]), 30).unwrap());
    assert_eq!(later.refused(CAROL, &lost(2)), MembersError::StillThere(bob()));
    assert_eq!(later.refused(CAROL, &lost(3)), MembersError::NotYet(bob()));
    // The closing of an account is a version too.
    let mut later = usual();
    later.learn(closed(&room.keys[&bob()]));
    later.act(CAROL, lost(2)).unwrap();
}

/// A rotation loses nobody.
#[test]
fn who_goes_on_under_another_identity_stays_in() {
    let mut room = usual();
    let before = room.keys[&bob()].clone();
    room.learn(Submission::rotation(&before, [&A, &B], &[51]).apply(Some(&before), 30).unwrap());
    assert_eq!(room.members.lost(room.keys_of()).count(), 0);
    assert_eq!(room.refused(CAROL, &remove(BOB)), MembersError::StillThere(bob()));
    room.act(BOB, remove(CAROL)).unwrap();
    let draft = room.draft(BOB, &Act::Leave);
    assert_eq!(room.members.may_write(&draft, &room.keys[&bob()]), Ok(()));
}

/// Control: without `is_person` in `acting`, whoever took the admin's name over goes on as admin.
#[test]
fn who_began_anew_does_nothing_in_the_group_until_asked_in_again() {
    let mut room = usual();
    room.reset(BOB);
    for act in [invite(EVE, Role::Member), remove(CAROL), set(CAROL, Role::Member)] {
        assert_eq!(room.refused(BOB, &act), MembersError::NotAMember);
    }
    room.may_not(BOB, &Act::Join);
    let draft = room.draft(BOB, &Act::Leave);
    assert_eq!(room.members.may_write(&draft, &room.keys[&bob()]), Err(MembersError::NotAMember));
    // What was written under the old identity stays that person's.
    let old = Encoded::new(Draft { list: 1, ..draft.into_value() });
    assert_eq!(room.members.may_write(&old, &room.keys[&bob()]), Ok(()));
    // An admin invites again, in one step, and with a role of their own choosing.
    room.act(ALICE, invite(BOB, Role::Member)).unwrap();
    room.act(BOB, Act::Join).unwrap();
    assert_eq!(room.role(BOB), Some(Role::Member));
    assert_eq!(room.members.lost(room.keys_of()).count(), 0);
}

#[test]
fn only_owners_change_roles() {
    let mut room = usual();
    for author in [BOB, CAROL] {
        room.may_not(author, &set(CAROL, Role::Admin));
        room.may_not(author, &set(author, Role::Owner));
        room.may_not(author, &set(ALICE, Role::Member));
    }
    assert_eq!(room.refused(ALICE, &set(EVE, Role::Admin)), MembersError::NotIn(name(EVE)));
    room.act(DAVE, Act::Leave).unwrap();
    assert_eq!(room.refused(ALICE, &set(DAVE, Role::Admin)), MembersError::NotIn(name(DAVE)));
    room.act(ALICE, invite(EVE, Role::Member)).unwrap();
    room.act(ALICE, set(EVE, Role::Admin)).unwrap();
    room.act(EVE, Act::Join).unwrap();
    assert_eq!(room.role(EVE), Some(Role::Admin), "also of who is only asked in");
    room.act(ALICE, set(CAROL, Role::Owner)).unwrap();
    room.act(CAROL, set(ALICE, Role::Member)).unwrap();
    assert_eq!([ALICE, CAROL].map(|user| room.role(user)), [Some(Role::Member), Some(Role::Owner)]);
    // The last owner steps down: the admin who has been in for longest takes over.
    room.act(CAROL, set(CAROL, Role::Member)).unwrap();
    assert_eq!([BOB, CAROL].map(|user| room.role(user)), [Some(Role::Owner), Some(Role::Member)]);
}

#[test]
fn an_entry_is_for_the_state_that_its_author_saw() {
    let room = usual();
    let (epoch, last) = (room.members.epoch(), room.members.last());
    let acts = [
        (ALICE, invite(EVE, Role::Member)),
        (CAROL, Act::Leave),
        (ALICE, remove(CAROL)),
        (ALICE, set(CAROL, Role::Admin)),
        (CAROL, Act::Join),
    ];
    for (author, act) in acts {
        for (epoch, prev) in [(epoch - 1, last), (epoch + 1, last), (0, last), (epoch, beginning().hash()), (epoch, Hash::ZERO)] {
            assert_eq!(room.judge(&room.draft_after(author, &act, epoch, prev)).unwrap_err(), MembersError::Stale, "{act:?}");
        }
        let without = Draft { epoch: None, ..room.draft(author, &act).into_value() };
        assert_eq!(room.judge(&Encoded::new(without)).unwrap_err(), MembersError::Stale, "{act:?} without an epoch");
    }
}

#[test]
fn of_two_at_the_same_time_one_is_accepted_and_none_twice() {
    let mut room = usual();
    let (one, other) = (room.draft(ALICE, &invite(EVE, Role::Member)), room.draft(CAROL, &Act::Leave));
    room.members = room.judge(&one).unwrap();
    assert_eq!(room.judge(&other).unwrap_err(), MembersError::Stale, "the loser makes it anew");
    assert_eq!(room.judge(&one).unwrap_err(), MembersError::Stale, "a replay");
    room.act(CAROL, Act::Leave).unwrap();
    assert_eq!((room.members.epoch(), room.judge(&one).unwrap_err()), (8, MembersError::Stale));
}

#[test]
fn what_cannot_be_read_is_malformed() {
    let room = usual();
    let draft = room.draft(ALICE, &remove(CAROL)).into_value();
    let with =
        |kind: Kind, body: &[u8]| room.judge(&Encoded::new(Draft { kind, body: body.to_vec().into(), ..draft.clone() })).unwrap_err();
    for kind in [Kind::Invite, Kind::Join, Kind::Leave, Kind::Remove, Kind::SetRole] {
        for body in [&b""[..], b"\xa0", b"\xf6", &[&draft.body[..], b"\0"].concat()] {
            assert_eq!(with(kind, body), MembersError::Malformed, "{kind:?}");
        }
    }
    for kind in [Kind::Genesis, Kind::Sealed, Kind::Post, Kind::Erase, Kind::First, Kind::Invitation, Kind::Later(99)] {
        assert_eq!(with(kind, &draft.body), MembersError::Malformed, "{kind:?}");
    }
    // A field of a later version is passed over, as far as the limit goes.
    let padded = |size: usize| {
        let mut body = draft.body.to_vec();
        let padding = size - body.len() - 5;
        body[0] += 1;
        body.extend([&[0x18, 0x63, 0x59][..], &(padding as u16).to_be_bytes(), &vec![0; padding]].concat());
        room.judge(&Encoded::new(Draft { body: body.into(), ..draft.clone() }))
    };
    assert!(padded(BODY_LIMIT - 1).is_ok() && padded(BODY_LIMIT).is_ok());
    assert_eq!(padded(BODY_LIMIT + 1).unwrap_err(), MembersError::Malformed);
    // The longest names fit.
    let server = [&"s".repeat(63)[..]; 4].join(".")[..253].to_owned();
    let user: UserName = format!("{}@{server}", "a".repeat(64)).parse().unwrap();
    let longest = Invite { prev: Hash([1; 32]), user, identity: Hash([1; 32]), role: Role::Member };
    assert!(cbor::encode(&longest).len() <= BODY_LIMIT);
}

/// Control: without the first check of `apply`, one of two leaves a conversation for good, and the other owns it.
#[test]
fn the_two_of_a_direct_room_never_change() {
    let direct = Genesis::direct(SuiteName::RsaJwe1, &alice(), &bob());
    let room = Room { members: Members::direct(direct.as_direct().unwrap()), ..Room::new() };
    for act in [invite(CAROL, Role::Member), Act::Join, Act::Leave, remove(BOB), set(ALICE, Role::Owner)] {
        room.may_not(ALICE, &act);
    }
    let mut lost = room.clone();
    lost.reset(BOB);
    lost.may_not(ALICE, &remove(BOB));
    assert_eq!(lost.members.lost(lost.keys_of()).count(), 0, "in a conversation of two the name alone counts");
    assert_eq!(room.members.people().map(|(_, person)| person.role).collect::<Vec<_>>(), [Role::Member; 2]);
    let draft = |author: &str| room.draft(author, &Act::Leave);
    assert_eq!(room.members.may_write(&draft(BOB), &room.keys[&bob()]), Ok(()));
    assert_eq!(room.members.may_write(&draft(CAROL), &room.keys[&name(CAROL)]), Err(MembersError::NotAMember));
    assert!(room.members.may_erase(&draft(BOB), &room.keys[&bob()], &alice()).is_err(), "nobody erases the other's words");
    assert_eq!(room.members.may_erase(&draft(BOB), &room.keys[&bob()], &bob()), Ok(()));
}

#[test]
fn who_is_in_writes_and_erases_their_own_and_owners_and_admins_erase_everything() {
    let mut room = usual();
    room.act(ALICE, invite(EVE, Role::Admin)).unwrap();
    let may_erase = |room: &Room, author: &str, writer: &str| {
        room.members.may_erase(&room.draft(author, &Act::Leave), &room.keys[&name(author)], &name(writer))
    };
    let may_write = |room: &Room, author: &str| room.members.may_write(&room.draft(author, &Act::Leave), &room.keys[&name(author)]);
    for (author, all) in [(ALICE, true), (BOB, true), (CAROL, false)] {
        assert_eq!((may_write(&room, author), may_erase(&room, author, author)), (Ok(()), Ok(())));
        for writer in [ALICE, DAVE, "somebody@s9"] {
            assert_eq!(may_erase(&room, author, writer).is_ok(), all || author == writer, "{author} erases {writer}'s");
        }
    }
    assert_eq!((may_write(&room, EVE), may_erase(&room, EVE, EVE)), (Err(MembersError::NotAMember), Err(MembersError::NotAMember)));
    room.act(CAROL, Act::Leave).unwrap();
    assert_eq!((may_write(&room, CAROL), may_erase(&room, CAROL, CAROL)), (Err(MembersError::NotAMember), Err(MembersError::NotAMember)));
    room.reset(BOB);
    assert_eq!(may_erase(&room, BOB, BOB), Err(MembersError::NotAMember), "nor does who took the name over");
}

/// A judge with older keys than the hub's must not refuse for good what the hub accepted: it is told whose keys to fetch.
#[test]
fn a_verdict_says_whose_newer_keys_could_change_it() {
    let mut room = usual();
    let rests_on = |room: &Room, author: &str, act: &Act| room.refused(author, act).rests_on().cloned();
    let late = room.draft(CAROL, &remove(BOB));
    assert_eq!(rests_on(&room, CAROL, &remove(BOB)), Some(bob()));
    assert_eq!(rests_on(&room, ALICE, &invite(BOB, Role::Member)), Some(bob()));
    assert_eq!(rests_on(&room, BOB, &set(BOB, Role::Owner)), None);
    assert_eq!(rests_on(&room, EVE, &Act::Join), None);
    assert_eq!(rests_on(&room, EVE, &Act::Leave), None);
    room.reset(BOB);
    assert!(room.judge(&late).is_ok());
    // And newer keys take nothing back: an account that is lost stays lost.
    let lost = room.keys[&bob()].clone();
    let later = [after(&lost, &[52, 53]), Submission::rotation(&lost, [&A, &B], &[52]).apply(Some(&lost), 40).unwrap(), closed(&lost)];
    for state in later.into_iter().chain([begun_anew(&lost, [&A, &B], 54)]) {
        room.learn(state);
        assert!(room.judge(&late).is_ok());
    }
}
