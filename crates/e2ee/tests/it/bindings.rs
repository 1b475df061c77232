//! What a message is bound to: room, author, device, n, list, epoch, roster, kind. Each is changed alone, once in what the
//! draft claims and once in what the device signed, and each time the message is refused.

use crate::forge::{Inner, Jwe, plaintext};
use crate::samples::*;
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::suite::{OpenError, Opened};
use tidings_proto::{Draft, Encoded, Genesis, Kind, RoomId, SuiteName};
use tidings_trust::KeyState;

const NOT_LISTED: OpenError = OpenError::NotAuthentic("its device is not one of its author's");
const NOT_SIGNED: OpenError = OpenError::NotAuthentic("its signature is not valid");
const OTHER_AUTHOR: OpenError = OpenError::NotAuthentic("it was written by somebody else");
const OTHER_DEVICE: OpenError = OpenError::NotAuthentic("it was written on another device");
const OTHER_KEYS: OpenError = OpenError::NotAuthentic("it is held against another author's keys");
const OTHER_LIST: OpenError = OpenError::NotAuthentic("it was written under another device list");
const OTHER_MEMBERS: OpenError = OpenError::NotAuthentic("it is not locked to exactly this room's members");
const OTHER_ROOM: OpenError = OpenError::NotAuthentic("it was written for another room");
const OTHER_ROSTER: OpenError = OpenError::NotAuthentic("it was written to other members, or under other keys");
const STRANGER: OpenError = OpenError::NotAuthentic("its author is not a member of this room");
const UNREADABLE: OpenError = OpenError::NotAuthentic("it cannot be read");

/// A room of alice's with carol.
fn elsewhere() -> RoomId {
    Genesis::direct(SuiteName::RsaJwe1, ALICE.user(), CAROL.user()).room()
}

/// Bob reads a draft of alice's whose claims are changed after it was sealed.
fn claiming(change: impl FnOnce(&mut Draft)) -> Result<Opened, OpenError> {
    let mut draft = sealed_draft().into_value();
    change(&mut draft);
    bob_opens(&Encoded::new(draft))
}

/// Bob reads a message that alice's device signed with something else in it than the draft says.
fn signed_as(change: impl FnOnce(&mut Inner)) -> Result<Opened, OpenError> {
    let mut inner = Inner::usual();
    change(&mut inner);
    bob_opens(&draft_around(inner.plaintext(&ALICE.device)))
}

fn draft_around(plaintext: Vec<u8>) -> Encoded<Draft> {
    Place::usual().draft(&ALICE.device, Jwe::usual(plaintext).json().into_bytes())
}

#[test]
fn a_message_in_its_place_opens_and_says_who_wrote_it() {
    for reader in [&*ALICE, &*BOB] {
        let opened = ROOM.open(reader, &ALICE.state, &sealed_draft()).unwrap();
        assert_eq!((&opened.author, opened.device, opened.content), (ALICE.user(), ALICE.device.public(), content()));
    }
    assert!(claiming(|_| ()).is_ok() && signed_as(|_| ()).is_ok());
}

/// Control: with the line for `room` taken out of `belongs`, both are opened.
#[test]
fn another_room() {
    let moved = Room { id: elsewhere(), ..ROOM.clone() }.open(&BOB, &ALICE.state, &sealed_draft());
    assert_eq!(moved, Err(OTHER_ROOM));
    assert_eq!(signed_as(|it| it.room = elsewhere()), Err(OTHER_ROOM));
}

#[test]
fn another_author() {
    assert_eq!(claiming(|it| it.author = BOB.user().clone()), Err(OTHER_KEYS));
    // A hub that says it is bob's, and shows bob's keys.
    let mut draft = sealed_draft().into_value();
    draft.author = BOB.user().clone();
    assert_eq!(ROOM.open(&ALICE, &BOB.state, &Encoded::new(draft)), Err(NOT_LISTED));
    assert_eq!(signed_as(|it| it.author = BOB.user().to_string()), Err(OTHER_AUTHOR));
}

/// Bob is a member, and writes with his own device: he cannot make it alice's, whatever he writes where.
#[test]
fn a_member_cannot_write_in_anothers_name() {
    let by_bob = |inner: Inner, device: &DeviceSecret, claimed: &DeviceSecret| {
        let body = Jwe::usual(inner.plaintext(device)).json().into_bytes();
        ROOM.open(&ALICE, &ALICE.state, &Place::usual().draft(claimed, body))
    };
    assert_eq!(by_bob(Inner::usual(), &BOB.device, &ALICE.device), Err(NOT_SIGNED));
    let with_device = Inner { device: BOB.device.public(), ..Inner::usual() };
    assert_eq!(by_bob(with_device.clone(), &BOB.device, &BOB.device), Err(NOT_LISTED));
    let with_name = Inner { author: BOB.user().to_string(), ..with_device };
    assert_eq!(by_bob(with_name.clone(), &BOB.device, &BOB.device), Err(NOT_LISTED));
    // The control: as his own it is fine, and it is his.
    let own = Place { author: BOB.user().clone(), ..Place::usual() };
    let body = Jwe::usual(with_name.plaintext(&BOB.device)).json().into_bytes();
    let opened = ROOM.open(&ALICE, &BOB.state, &own.draft(&BOB.device, body)).unwrap();
    assert_eq!((&opened.author, opened.device), (BOB.user(), BOB.device.public()));
}

/// One device key in two users' lists: the name that was signed tells them apart.
#[test]
fn a_device_that_two_users_list_writes_for_the_one_it_says() {
    let dave = Person::new("dave@s3", C, D, 1);
    assert_eq!(dave.device.public(), ALICE.device.public());
    let theirs = Room { id: room(), ..Room::of(&dave.state, &BOB.state) };
    let inner = Inner { roster: theirs.roster().hash(), ..Inner::usual() };
    let place = Place { author: dave.user().clone(), ..Place::usual() };
    let body = Jwe::to(&[BOB.encryption.clone(), dave.encryption.clone()], &[5; 32], inner.plaintext(&ALICE.device)).json();
    assert_eq!(theirs.open(&BOB, &dave.state, &place.draft(&ALICE.device, body.into_bytes())), Err(OTHER_AUTHOR));
}

/// Carol knows the room and its roster, and the hub is on her side. Control: without the check of the author's membership in
/// `open`, bob sees her message in his room with alice.
#[test]
fn who_is_not_in_the_room_writes_nothing_in_it() {
    let inner = Inner { author: CAROL.user().to_string(), device: CAROL.device.public(), ..Inner::usual() };
    let place = Place { author: CAROL.user().clone(), ..Place::usual() };
    let draft = place.draft(&CAROL.device, Jwe::usual(inner.plaintext(&CAROL.device)).json().into_bytes());
    assert_eq!(ROOM.open(&BOB, &CAROL.state, &draft), Err(STRANGER));
}

#[test]
fn another_device() {
    let two = ALICE.with_devices(&ALICE.state, &[1, 2]);
    let place = Place { list: 2, ..Place::usual() };
    let inner = Inner { list: 2, device: device(2).public(), ..Inner::usual() };
    let body = Jwe::usual(inner.plaintext(&device(2))).json().into_bytes();
    let open = |claimed: &DeviceSecret| ROOM.open(&BOB, &two, &place.draft(claimed, body.clone()));
    assert_eq!(open(&device(2)).unwrap().device, device(2).public());
    assert_eq!(open(&device(1)), Err(OTHER_DEVICE), "her own other device");
    assert_eq!(claiming(|it| it.device = device(3).public()), Err(OTHER_DEVICE));
    assert_eq!(signed_as(|it| it.device = device(3).public()), Err(NOT_LISTED));
    let signed_by_2 = draft_around(Inner { list: 2, ..Inner::usual() }.plaintext(&device(2)));
    let signed_by_2 = Draft { list: 2, ..signed_by_2.into_value() };
    assert_eq!(ROOM.open(&BOB, &two, &Encoded::new(signed_by_2)), Err(NOT_SIGNED));
}

#[test]
fn another_number() {
    const OTHER: OpenError = OpenError::NotAuthentic("it was written as another message");
    for n in [0, 2, 4, u64::MAX] {
        assert_eq!(claiming(|it| it.n = n), Err(OTHER));
        assert_eq!(signed_as(|it| it.n = n), Err(OTHER));
    }
}

#[test]
fn another_list() {
    let two = ALICE.with_devices(&ALICE.state, &[1, 2]);
    let claimed = Encoded::new(Draft { list: 2, ..sealed_draft().into_value() });
    assert_eq!(ROOM.open(&BOB, &two, &claimed), Err(OTHER_LIST), "a list that names the device too");
    assert_eq!(claiming(|it| it.list = 0), Err(STRANGER), "a list that nobody has");
    assert_eq!(claiming(|it| it.list = 2), Err(OpenError::NotYet(ALICE.user().clone())));
    assert_eq!(signed_as(|it| it.list = 0), Err(NOT_LISTED));
    assert_eq!(signed_as(|it| it.list = 2), Err(NOT_LISTED));
    // As it is, it opens under the newer state too.
    assert!(ROOM.open(&BOB, &two, &sealed_draft()).is_ok());
}

#[test]
fn another_epoch() {
    const OTHER: OpenError = OpenError::NotAuthentic("it was written in another epoch");
    assert_eq!(claiming(|it| it.epoch = Some(1)), Err(OTHER));
    assert_eq!(claiming(|it| it.epoch = None), Err(OTHER));
    assert_eq!(signed_as(|it| it.epoch = 1), Err(OTHER));
}

#[test]
fn another_suite() {
    for suite in [0, 3, 255] {
        assert_eq!(signed_as(|it| it.suite = suite), Err(UNREADABLE));
    }
    assert_eq!(signed_as(|it| it.suite = 2), Err(OpenError::NotAuthentic("it was sealed for another suite")));
}

#[test]
fn another_roster() {
    assert_eq!(signed_as(|it| it.roster.0[0] ^= 1), Err(OTHER_ROSTER));
    // The same keys, another identity behind one of them.
    let impostor = Person::new("bob@s2", B, D, 51);
    let changed = Room::of(&ALICE.state, &impostor.state);
    assert_eq!(changed.open(&BOB, &ALICE.state, &sealed_draft()), Err(OTHER_ROSTER));
    // Other members: their keys, as far as they are known, are not among those that it is locked to.
    let with_carol = Room { id: room(), ..Room::of(&ALICE.state, &CAROL.state) };
    assert_eq!(with_carol.open(&ALICE, &ALICE.state, &sealed_draft()), Err(OpenError::NotYet(CAROL.user().clone())));
    let alone = Room { id: room(), ..Room::of(&ALICE.state, &ALICE.state) };
    assert_eq!(alone.open(&ALICE, &ALICE.state, &sealed_draft()), Err(OTHER_MEMBERS));
}

#[test]
fn another_kind() {
    for kind in [Kind::Genesis, Kind::Post, Kind::First, Kind::List, Kind::Notice] {
        assert_eq!(claiming(|it| it.kind = kind), Err(OpenError::NotAuthentic("it is not a sealed message")));
    }
}

/// Bob hands on to carol what alice wrote to him, sealed anew to her as if alice had.
#[test]
fn what_a_member_seals_anew_for_others_is_refused() {
    let words = Inner::usual().plaintext(&ALICE.device);
    let to_carol = Room::of(&ALICE.state, &CAROL.state);
    let body = Jwe::to(&[ALICE.encryption.clone(), CAROL.encryption.clone()], &[5; 32], words.clone()).json().into_bytes();
    let draft = Place::usual().draft(&ALICE.device, body);
    assert_eq!(to_carol.open(&CAROL, &ALICE.state, &draft), Err(OTHER_ROOM));
    // In the same room under another roster: it is the roster that tells.
    assert_eq!(Room { id: room(), ..to_carol }.open(&CAROL, &ALICE.state, &draft), Err(OTHER_ROSTER));
    // In the same room to the same members it is the same message, with the same n.
    let again = Jwe::to(&keys(), &[6; 32], words).json().into_bytes();
    assert_eq!(bob_opens(&Place::usual().draft(&ALICE.device, again)).unwrap().n, 3);
}

#[test]
fn what_is_signed_is_signed_to_the_last_byte() {
    let inner = Inner::usual();
    let good = inner.plaintext(&ALICE.device);
    let sig = tidings_proto::Signature::from_slice(&good[good.len() - 64..]).unwrap();
    let altered = Inner { text: "the ship leaves at nine".into(), ..inner.clone() };
    assert_eq!(bob_opens(&draft_around(plaintext(&altered.encode(), sig))), Err(NOT_SIGNED));
    let unmarked = plaintext(&inner.encode(), ALICE.device.sign(&inner.encode()));
    assert_eq!(bob_opens(&draft_around(unmarked)), Err(NOT_SIGNED), "signed without the label");
    let as_draft = ALICE.device.sign(&[b"tidings/draft/1\0", &inner.encode()[..]].concat());
    assert_eq!(bob_opens(&draft_around(plaintext(&inner.encode(), as_draft))), Err(NOT_SIGNED), "signed as something else");
    for bytes in [Vec::new(), vec![0xa0], good[..good.len() - 1].to_vec(), [&good[..], &[0]].concat(), inner.encode()] {
        assert_eq!(bob_opens(&draft_around(bytes)), Err(UNREADABLE));
    }
    let mut long_form = inner.encode();
    assert_eq!(long_form[1..3], [0, 1]);
    long_form.splice(2..3, [0x18, 1]);
    let sig = ALICE.device.sign(&[b"tidings/sealed/1\0", &long_form[..]].concat());
    assert_eq!(bob_opens(&draft_around(plaintext(&long_form, sig))), Err(UNREADABLE), "another encoding, signed");
}

/// What a member writes past the limit is refused by readers too, not only by its own client.
#[test]
fn a_text_that_is_too_long_is_refused_by_readers() {
    let text = |length| "x".repeat(length);
    assert!(signed_as(|it| it.text = text(tidings_proto::limits::TEXT)).is_ok());
    assert_eq!(signed_as(|it| it.text = text(tidings_proto::limits::TEXT + 1)), Err(UNREADABLE));
}

/// Control: with `named_in` of the author's history left out of `open`, what the thief writes later is opened.
#[test]
fn a_removed_device_stays_the_author_of_the_past_and_writes_nothing_more() {
    let thief = device(2);
    let v2 = ALICE.with_devices(&ALICE.state, &[1, 2]);
    let v3 = ALICE.with_devices(&v2, &[1]);
    let written_under = |list: u64, state: &KeyState| {
        let inner = Inner { list, device: thief.public(), ..Inner::usual() };
        let body = Jwe::usual(inner.plaintext(&thief)).json().into_bytes();
        let place = Place { list, ..Place::usual() };
        ROOM.open(&BOB, state, &place.draft(&thief, body)).map(|opened| opened.device)
    };
    assert_eq!(written_under(2, &v3), Ok(thief.public()), "what it wrote while it was hers");
    assert_eq!(written_under(3, &v3), Err(NOT_LISTED));
    assert_eq!(written_under(1, &v3), Err(NOT_LISTED), "and nothing from before");
    assert_eq!(written_under(4, &v3), Err(OpenError::NotYet(ALICE.user().clone())));
}
