//! Invitations: for one person, from one author, into one room. Each of these is changed alone, once around the note and once
//! in it, and each time the invitation is refused.

use crate::forge::{Jwe, plaintext};
use crate::samples::*;
use std::slice::from_ref;
use std::sync::LazyLock;
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::invitation::{self, Note, NoteError};
use tidings_e2ee::rsa::AwsLcKeys;
use tidings_e2ee::suite::OpenError;
use tidings_proto::membership::SEALED_LIMIT;
use tidings_proto::{Draft, Encoded, Kind, RoomId, UserName, cbor, limits};
use tidings_trust::{KeyState, RsaPublicKey};

/// What bob finds in his inbox; a test changes one part of it.
struct Found {
    room: RoomId,
    draft: Draft,
    author: KeyState,
    me: UserName,
    sealed: Vec<u8>,
}

impl Found {
    fn with(sealed: Vec<u8>) -> Found {
        Found { room: note().room, draft: around_note(), author: ALICE.state.clone(), me: BOB.user().clone(), sealed }
    }

    fn usual() -> Found {
        static SEALED: LazyLock<Vec<u8>> = LazyLock::new(|| sealed(&note()));
        Found::with(SEALED.clone())
    }

    fn open(&self, reader: &Person) -> Result<Note, OpenError> {
        let draft = Encoded::new(self.draft.clone());
        let place = invitation::Place { room: self.room, draft: &draft, author: &self.author, me: &self.me };
        wait(invitation::open(&AwsLcKeys, &reader.ring, &place, &self.sealed))
    }
}

pub fn sealed(note: &Note) -> Vec<u8> {
    invitation::seal(note, &ALICE.device, &BOB.encryption).unwrap().to_vec()
}

/// What bob makes of an invitation in another place.
fn found(change: impl FnOnce(&mut Found)) -> Result<Note, OpenError> {
    let mut found = Found::usual();
    change(&mut found);
    found.open(&BOB)
}

/// What bob makes of a note that alice has signed, with something else in it than is around it.
fn signed_as(change: impl FnOnce(&mut Note)) -> Result<Note, OpenError> {
    let mut note = note();
    change(&mut note);
    Found::with(sealed(&note)).open(&BOB)
}

/// A note as an independent writer seals it: signed by `device` over `label`, for these keys.
fn forged(note: &[u8], label: &[u8], device: &DeviceSecret, keys: &[RsaPublicKey]) -> Found {
    let sig = device.sign(&[label, note].concat());
    Found::with(Jwe::to(keys, &[0xc7; 32], plaintext(note, sig)).json().into_bytes())
}

fn refused(why: &'static str) -> Result<Note, OpenError> {
    Err(OpenError::NotAuthentic(why))
}

const LABEL: &[u8] = b"tidings/invitation/1\0";

#[test]
fn the_invited_person_reads_it_and_nobody_else() {
    assert_eq!(Found::usual().open(&BOB), Ok(note()));
    assert_eq!(Found::usual().open(&CAROL), Err(OpenError::Locked));
    assert_eq!(Found::usual().open(&ALICE), Err(OpenError::Locked), "not even its author");
    let ours = forged(&cbor::encode(&note()), LABEL, &ALICE.device, from_ref(&BOB.encryption));
    assert_eq!(ours.open(&BOB), Ok(note()), "the control of the forgeries below");
    let sealed = Found::usual().sealed;
    for word in [&b"Ships"[..], b"alice@s1", b"bob@s2"] {
        assert!(!sealed.windows(word.len()).any(|window| window == word));
    }
    let shown = format!("{:?}", note());
    assert!(!shown.contains("Ships") && shown.contains("alice@s1"), "{shown}");
}

/// Control: without the line for `room` in `open`, bob is asked into another group than alice meant.
#[test]
fn another_room() {
    assert_eq!(found(|it| it.room = RoomId([9; 32])), refused("it was written for another room"));
    assert_eq!(signed_as(|it| it.room = RoomId([9; 32])), refused("it was written for another room"));
}

/// Bob seals anew to carol what alice wrote to him. Control: without the line for `to` in `open`, alice has invited carol.
#[test]
fn what_its_reader_seals_anew_for_another_is_refused() {
    let mut forwarded = forged(&cbor::encode(&note()), LABEL, &ALICE.device, from_ref(&CAROL.encryption));
    forwarded.me = CAROL.user().clone();
    assert_eq!(forwarded.open(&CAROL), refused("it was written to somebody else"));
    assert_eq!(signed_as(|it| it.to = CAROL.user().clone()), refused("it was written to somebody else"));
}

/// The server puts it into an inbox that shares the key.
#[test]
fn another_inbox() {
    assert_eq!(found(|it| it.me = CAROL.user().clone()), refused("it was written to somebody else"));
}

#[test]
fn another_author() {
    assert_eq!(found(|it| it.draft.author = BOB.user().clone()), refused("it is held against another author's keys"));
    assert_eq!(found(|it| it.author = CAROL.state.clone()), refused("it is held against another author's keys"));
    // Mallory's own entry, around what alice's device has signed.
    let mallory = Person::new("mallory@s3", B, C, 71);
    let theirs = |found: &mut Found| {
        (found.author, found.draft.author, found.draft.device) = (mallory.state.clone(), mallory.user().clone(), mallory.device.public());
    };
    assert_eq!(found(theirs), refused("its signature is not valid"));
    // Signed by mallory in alice's name.
    let mut in_her_name = forged(&cbor::encode(&note()), LABEL, &mallory.device, from_ref(&BOB.encryption));
    assert_eq!(in_her_name.open(&BOB), refused("its signature is not valid"));
    theirs(&mut in_her_name);
    assert_eq!(in_her_name.open(&BOB), refused("it was written by somebody else"));
}

/// One device key in two users' lists: the name that was signed tells them apart.
#[test]
fn a_device_that_two_users_list_invites_for_the_one_it_says() {
    let dave = Person::new("dave@s3", C, D, 1);
    assert_eq!(dave.device.public(), ALICE.device.public());
    let theirs = found(|it| (it.author, it.draft.author) = (dave.state.clone(), dave.user().clone()));
    assert_eq!(theirs, refused("it was written by somebody else"));
}

#[test]
fn another_device_and_another_list() {
    let two = ALICE.with_devices(&ALICE.state, &[1, 2]);
    let not_hers = "its device is not one of its author's";
    assert_eq!(found(|it| it.draft.device = device(2).public()), refused(not_hers));
    assert_eq!(found(|it| it.draft.list = 0), refused(not_hers));
    assert_eq!(found(|it| it.draft.list = 2), Err(OpenError::NotYet(ALICE.user().clone())));
    let by_two = |list| found(|it| (it.author, it.draft.device, it.draft.list) = (two.clone(), device(2).public(), list));
    assert_eq!(by_two(1), refused(not_hers));
    assert_eq!(by_two(2), refused("its signature is not valid"), "her own other device");
    assert_eq!(found(|it| (it.author, it.draft.list) = (two.clone(), 2)), Ok(note()), "under a newer list that names it too");
}

#[test]
fn another_kind() {
    for kind in [Kind::Notice, Kind::Sealed, Kind::Invite, Kind::Post] {
        assert_eq!(found(|it| it.draft.kind = kind), refused("it is not an invitation"));
    }
}

#[test]
fn what_is_signed_is_signed_as_an_invitation_to_the_last_byte() {
    let bytes = cbor::encode(&note());
    let bob = [BOB.encryption.clone()];
    for label in [&b""[..], b"tidings/sealed/1\0", b"tidings/draft/1\0", b"tidings/invitation/1"] {
        assert_eq!(forged(&bytes, label, &ALICE.device, &bob).open(&BOB), refused("its signature is not valid"));
    }
    let altered = cbor::encode(&Note { title: "Ships and tidal".into(), ..note() });
    let sig = ALICE.device.sign(&[LABEL, &bytes[..]].concat());
    let swapped = Found::with(Jwe::to(&bob, &[0xc7; 32], plaintext(&altered, sig)).json().into_bytes());
    assert_eq!(swapped.open(&BOB), refused("its signature is not valid"));
    for bytes in [Vec::new(), vec![0xa0], [&bytes[..], &[0]].concat(), bytes[1..].to_vec()] {
        assert_eq!(forged(&bytes, LABEL, &ALICE.device, &bob).open(&BOB), refused("it cannot be read"));
    }
    let mut later = bytes.clone();
    let at = bytes.windows(2).position(|window| window == [1, 1]).unwrap();
    later[at + 1] = 9;
    assert_eq!(forged(&later, LABEL, &ALICE.device, &bob).open(&BOB), refused("it cannot be read"), "a suite that is not known here");
}

#[test]
fn it_is_locked_to_one_person_in_the_one_form_there_is() {
    let two = forged(&cbor::encode(&note()), LABEL, &ALICE.device, &[BOB.encryption.clone(), CAROL.encryption.clone()]);
    assert_eq!(two.open(&BOB), refused("it is locked to more than one person"));
    for sealed in [Vec::new(), b"{}".to_vec(), SEALED[1..].to_vec(), [&Found::usual().sealed[..], b" "].concat()] {
        assert_eq!(Found::with(sealed).open(&BOB), refused("it is not an invitation"));
    }
    let mut spoiled = Found::usual();
    let text = String::from_utf8(spoiled.sealed.clone()).unwrap();
    let at = text.find(r#""ciphertext":""#).unwrap() + 20;
    spoiled.sealed[at] = if spoiled.sealed[at] == b'A' { b'B' } else { b'A' };
    assert_eq!(spoiled.open(&BOB), Err(OpenError::Undecryptable));
}

/// A message to bob, signed by alice for a room, is no invitation, and an invitation no message.
#[test]
fn a_message_is_no_invitation() {
    let place = Room { people: vec![ROOM.people[1].clone()], ..Room::of(&BOB.state, &BOB.state) };
    let keys = [BOB.encryption.clone()];
    let inner = crate::forge::Inner { roster: place.roster().hash(), ..crate::forge::Inner::usual() };
    let message = Found::with(Jwe::to(&keys, &[1; 32], inner.plaintext(&ALICE.device)).json().into_bytes());
    assert_eq!(message.open(&BOB), refused("it cannot be read"));
    let note = forged(&cbor::encode(&note()), LABEL, &ALICE.device, &super::samples::keys());
    let body = Place::usual().draft(&ALICE.device, note.sealed);
    assert_eq!(bob_opens(&body), Err(OpenError::NotAuthentic("it cannot be read")));
}

#[test]
fn titles_and_sizes_have_limits_on_both_sides() {
    let titled = |bytes: usize| Note { title: "x".repeat(bytes), ..note() };
    let bob = [BOB.encryption.clone()];
    for (bytes, fits) in [(0, true), (limits::TITLE - 1, true), (limits::TITLE, true), (limits::TITLE + 1, false)] {
        let sealed = invitation::seal(&titled(bytes), &ALICE.device, &BOB.encryption);
        assert_eq!(sealed.is_ok(), fits, "{bytes}");
        assert_eq!(sealed.err(), (!fits).then_some(NoteError::LongTitle));
        let opened = forged(&cbor::encode(&titled(bytes)), LABEL, &ALICE.device, &bob).open(&BOB);
        assert_eq!(opened, if fits { Ok(titled(bytes)) } else { refused("it cannot be read") }, "{bytes}");
    }
    // The longest names and title, for the largest key.
    let server = [&"s".repeat(63)[..]; 4].join(".")[..253].to_owned();
    let longest: UserName = format!("{}@{server}", "a".repeat(64)).parse().unwrap();
    let note = Note { from: longest.clone(), to: longest, seq: u64::MAX, epoch: u64::MAX, ..titled(limits::TITLE) };
    let largest = invitation::seal(&note, &ALICE.device, &CAROL.encryption).unwrap();
    assert!(largest.len() <= SEALED_LIMIT / 2, "{} bytes", largest.len());
    // What is larger is not even read: with a field of a later version in it, of any length.
    let bytes = cbor::encode(&titled(0));
    let padded = |padding: usize| {
        let field = [&[0x18, 0x63, 0x59][..], &(padding as u16).to_be_bytes(), &vec![0; padding]].concat();
        forged(&[&[bytes[0] + 1], &bytes[1..], &field].concat(), LABEL, &ALICE.device, &bob)
    };
    let mut padding = 3000 + (SEALED_LIMIT - padded(3000).sealed.len()) * 3 / 4 - 4;
    while padded(padding + 1).sealed.len() <= SEALED_LIMIT {
        padding += 1;
    }
    let (last, first) = (padded(padding), padded(padding + 1));
    assert!(last.sealed.len() >= SEALED_LIMIT - 1 && first.sealed.len() <= SEALED_LIMIT + 2, "base64 grows by one or two");
    assert_eq!((last.open(&BOB), first.open(&BOB)), (Ok(titled(0)), refused("it is not an invitation")));
}
