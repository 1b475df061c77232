//! Messages from before a device list changed, and from authors who do not know yet that one did: each is held against the
//! lists that were in force for it, which its keys name.

use crate::forge::{Inner, Jwe};
use crate::samples::*;
use tidings_e2ee::suite::OpenError;
use tidings_proto::{Draft, Encoded};
use tidings_trust::KeyState;
use tidings_trust::drafts::{DraftError, check_in_order};
use tidings_trust::members::Standing;

/// What alice writes to bob under her newest list, as far as she knows his.
fn written(alice: &KeyState, bob: &KeyState) -> Encoded<Draft> {
    let place = Place { list: alice.list.version, ..Place::inside(&Room::of(alice, bob)) };
    place.draft(&ALICE.device, place.seal(&ALICE, &content()).unwrap())
}

/// What comes out of it for `reader`, who knows these lists.
fn read(reader: &Person, alice: &KeyState, bob: &KeyState, draft: &Encoded<Draft>) -> Result<(), OpenError> {
    Room::of(alice, bob).open(reader, alice, draft).map(|opened| assert_eq!(opened.content, content()))
}

#[test]
fn whoever_has_changed_keys_between_reads_and_is_read() {
    let (old_alice, old_bob) = (&ALICE.state, &BOB.state);
    let new_alice = &ALICE.with_encryption(old_alice, LARGE);
    let new_bob = &BOB.with_encryption(old_bob, A);
    let alice = ALICE.now(new_alice.clone(), LARGE, 1);
    let bob = BOB.now(new_bob.clone(), A, 51);
    // Also what its author wrote without knowing of the reader's new key, or of its own from another device.
    for (then_alice, then_bob) in [(old_alice, old_bob), (new_alice, old_bob), (old_alice, new_bob), (new_alice, new_bob)] {
        let draft = written(then_alice, then_bob);
        for reader in [&alice, &bob] {
            assert_eq!(read(reader, new_alice, new_bob, &draft), Ok(()), "{}", reader.user());
        }
    }
}

#[test]
fn a_key_that_is_not_known_yet_is_waited_for() {
    let new_bob = &BOB.with_encryption(&BOB.state, A);
    let draft = written(&ALICE.state, new_bob);
    assert_eq!(read(&ALICE, &ALICE.state, &BOB.state, &draft), Err(OpenError::NotYet(BOB.user().clone())));
    assert_eq!(read(&ALICE, &ALICE.state, new_bob, &draft), Ok(()));
    // Bob's other device knows the list, and lacks the key: only his own secrets help.
    assert_eq!(read(&BOB, &ALICE.state, new_bob, &draft), Err(OpenError::Locked));
    assert_eq!(read(&BOB.now(new_bob.clone(), A, 51), &ALICE.state, new_bob, &draft), Ok(()));
    let new_alice = &ALICE.with_encryption(&ALICE.state, LARGE);
    let draft = written(new_alice, &BOB.state);
    assert_eq!(read(&BOB, &ALICE.state, &BOB.state, &draft), Err(OpenError::NotYet(ALICE.user().clone())), "the author's own list");
    assert_eq!(read(&BOB, new_alice, &BOB.state, &draft), Ok(()));
}

/// Whoever names an older list than the keys it seals with has not lied about the members: the roster says who they are.
#[test]
fn the_roster_is_that_of_the_keys_and_of_no_other_version() {
    let new_bob = &BOB.with_encryption(&BOB.state, A);
    let old = Room::of(&ALICE.state, &BOB.state);
    // Signed for the roster of the old key, locked with the new one.
    let inner = Inner { roster: old.roster().hash(), ..Inner::usual() };
    let keys = Room::of(&ALICE.state, new_bob).to_seal().1;
    let draft = Place::usual().draft(&ALICE.device, Jwe::to(&keys, &[7; 32], inner.plaintext(&ALICE.device)).json().into_bytes());
    let other = OpenError::NotAuthentic("it was written to other members, or under other keys");
    assert_eq!(read(&ALICE, &ALICE.state, new_bob, &draft), Err(other));
}

/// Device 2 is removed, and whoever has it writes under the list that named it. It opens, since it might be old; that alice has
/// gone on in this room, tells.
#[test]
fn a_removed_device_that_names_an_old_list_is_bounded_by_the_logs_order() {
    let v2 = ALICE.with_devices(&ALICE.state, &[1, 2]);
    let v3 = ALICE.with_devices(&v2, &[1]);
    let inner = Inner { list: 2, device: device(2).public(), ..Inner::usual() };
    let body = Jwe::usual(inner.plaintext(&device(2))).json().into_bytes();
    let draft = Place { list: 2, ..Place::usual() }.draft(&device(2), body);
    assert_eq!(ROOM.open(&BOB, &v3, &draft).map(|opened| opened.device), Ok(device(2).public()));
    assert_eq!(check_in_order(&draft, &v3, 2), Ok(()));
    assert_eq!(check_in_order(&draft, &v3, 3), Err(DraftError::NotListed));
}

/// In a group: what was locked for whoever took bob's name over is nobody's message of this group.
#[test]
fn a_group_is_not_sealed_to_another_person_of_a_members_name() {
    let group = Room::group(&[(&ALICE.state, Standing::In), (&BOB.state, Standing::In)]);
    let impostor = Person::new("bob@s2", B, LARGE, 52);
    let theirs = Room { people: vec![group.people[0].clone(), impostor.state.clone().into()], ..group.clone() };
    // By a member who does not look: our own client does not seal it, since there is no such roster.
    let keys = vec![ALICE.encryption.clone(), impostor.encryption.clone()];
    let inner = Inner { room: group.id, roster: group.roster().hash(), ..Inner::usual() };
    let draft = Place::inside(&group).draft(&ALICE.device, Jwe::to(&keys, &[7; 32], inner.plaintext(&ALICE.device)).json().into_bytes());
    let refused = OpenError::NotAuthentic("it is not locked to exactly this room's members");
    assert_eq!(theirs.open(&ALICE, &ALICE.state, &draft), Err(refused.clone()));
    assert_eq!(theirs.open(&impostor, &ALICE.state, &draft), Err(refused));
}

/// Written at one epoch, shown by the hub at another: before carol came, or after she went.
#[test]
fn a_message_belongs_to_the_members_of_its_epoch() {
    let two = Room::group(&[(&ALICE.state, Standing::In), (&BOB.state, Standing::In)]);
    let three = Room::group(&[&ALICE, &BOB, &CAROL].map(|person| (&person.state, Standing::In)));
    let draft = |room: &Room| {
        let place = Place::inside(room);
        place.draft(&ALICE.device, place.seal(&ALICE, &content()).unwrap())
    };
    assert!(two.open(&BOB, &ALICE.state, &draft(&two)).is_ok() && three.open(&CAROL, &ALICE.state, &draft(&three)).is_ok());
    let refused = Err(OpenError::NotAuthentic("it is not locked to exactly this room's members"));
    assert_eq!(three.open(&BOB, &ALICE.state, &draft(&two)), refused);
    assert_eq!(two.open(&BOB, &ALICE.state, &draft(&three)), refused);
    // The same members as at another time, between which somebody may have been there.
    let place = Place { epoch: 1, ..Place::inside(&two) };
    let later = place.draft(&ALICE.device, place.seal(&ALICE, &content()).unwrap());
    for draft in [later.clone(), Encoded::new(Draft { epoch: Some(0), ..later.into_value() })] {
        assert_eq!(two.open(&BOB, &ALICE.state, &draft), Err(OpenError::NotAuthentic("it was written in another epoch")));
    }
}
