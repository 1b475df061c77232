//! Sizes: from notes to self to a full room, and from nothing to the longest text; on both sides of each edge.

use crate::samples::*;
use tidings_e2ee::suite::{OpenError, SealError, Suite};
use tidings_proto::{Content, Hash, KeysSeen, limits};
use tidings_trust::members::Standing;

#[test]
fn one_two_and_64_members_can_each_open_what_one_of_them_wrote() {
    for size in [1, 2, 3, 64] {
        let room = crowd(size);
        let place = Place::inside(&room);
        let draft = place.draft(&ALICE.device, place.seal(&ALICE, &content()).unwrap());
        let readers = [&*ALICE, &*BOB, &*CAROL];
        for reader in &readers[..size.min(3)] {
            let opened = room.open(reader, &ALICE.state, &draft).unwrap();
            assert_eq!((opened.content, &opened.author, opened.device), (content(), ALICE.user(), ALICE.device.public()));
            assert_eq!((opened.n, opened.seen), (3, (7, Hash([7; 32]))));
        }
        for outsider in &readers[size.min(3)..] {
            let refused = room.open(outsider, &ALICE.state, &draft);
            assert_eq!(refused, Err(OpenError::Locked), "{} of {size}", outsider.user());
        }
    }
}

#[test]
fn a_room_of_65_is_refused() {
    assert_eq!(limits::RSA_MEMBERS, 64);
    assert_eq!(Place::inside(&crowd(65)).seal(&ALICE, &content()), Err(SealError::TooManyMembers(64)));
    assert_eq!(ALICE.suite().properties().max_members, 64);
}

#[test]
fn the_longest_text_fits_even_in_the_largest_room() {
    let room = crowd(64);
    let place = Place::inside(&room);
    let content = Content::text("x".repeat(limits::TEXT)).unwrap();
    let draft = place.draft(&ALICE.device, place.seal(&ALICE, &content).unwrap());
    assert!(draft.bytes().len() < limits::DRAFT, "{} bytes", draft.bytes().len());
    let opened = room.open(&BOB, &ALICE.state, &draft).unwrap();
    assert_eq!(opened.content, content);
}

/// `Content::text` refuses it; but the field is public, and what nobody could open must not be sealed.
#[test]
fn a_longer_text_is_not_sealed() {
    assert!(Content::text("x".repeat(limits::TEXT + 1)).is_err());
    let content = Content { text: "x".repeat(limits::TEXT + 1), ..Content::default() };
    assert_eq!(Place::usual().seal(&ALICE, &content), Err(SealError::TooLarge));
}

#[test]
fn the_empty_text_and_any_text_come_back_as_they_were() {
    for text in ["", "\0", "Grüße, 世界 🌍\r\n", "{\"protected\":\"\"}"] {
        let content = Content::text(text).unwrap();
        let draft = Place::usual().draft(&ALICE.device, Place::usual().seal(&ALICE, &content).unwrap());
        assert_eq!(bob_opens(&draft).unwrap().content, content);
    }
}

#[test]
fn keys_that_are_not_the_rosters_are_refused() {
    let refused = |change: fn(&mut Place)| {
        let mut place = Place::usual();
        change(&mut place);
        assert_eq!(place.seal(&ALICE, &content()), Err(SealError::WrongKeys));
    };
    refused(|it| it.keys.reverse());
    refused(|it| it.keys[1] = CAROL.encryption.clone());
    refused(|it| it.keys.truncate(1));
    refused(|it| it.keys.push(CAROL.encryption.clone()));
    refused(|it| it.keys.clear());
}

#[test]
fn who_is_not_in_the_room_seals_nothing_for_it() {
    let place = Place { author: CAROL.user().clone(), ..Place::usual() };
    assert_eq!(place.seal(&CAROL, &content()), Err(SealError::WrongKeys));
    let nobody = Place::inside(&Room::group(&[]));
    assert_eq!(nobody.seal(&ALICE, &content()), Err(SealError::WrongKeys));
}

#[test]
fn who_is_only_invited_is_not_sealed_to_and_may_not_write() {
    let room = Room::group(&[(&ALICE.state, Standing::In), (&BOB.state, Standing::In), (&CAROL.state, Standing::Invited)]);
    let place = Place::inside(&room);
    assert_eq!(place.roster.members().len(), 3);
    let draft = place.draft(&ALICE.device, place.seal(&ALICE, &content()).unwrap());
    assert_eq!(room.open(&BOB, &ALICE.state, &draft).unwrap().content, content());
    assert_eq!(room.open(&CAROL, &ALICE.state, &draft), Err(OpenError::Locked));
    let theirs = Place { author: CAROL.user().clone(), ..place.clone() };
    assert_eq!(theirs.seal(&CAROL, &content()), Err(SealError::WrongKeys));
    let with_theirs = Place { keys: [keys(), vec![CAROL.encryption.clone()]].concat(), ..place };
    assert_eq!(with_theirs.seal(&ALICE, &content()), Err(SealError::WrongKeys), "nor with their key at hand");
}

/// Two messages of the same words have nothing in common that a server could compare.
#[test]
fn every_message_has_its_own_key_and_nonce() {
    let parts = |bytes: &[u8]| -> Vec<String> {
        let jwe: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        ["iv", "ciphertext", "tag", "protected"].map(|name| jwe[name].as_str().unwrap().to_owned()).to_vec()
    };
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20 {
        for part in parts(&Place::usual().seal(&ALICE, &content()).unwrap()) {
            assert!(seen.insert(part));
        }
    }
    assert_eq!(seen.len(), 80);
}

#[test]
fn what_the_suite_promises_is_what_it_can_do() {
    let promised = ALICE.suite().properties();
    assert!(!promised.forward_secrecy && !promised.healing && !promised.post_quantum);
    insta::assert_snapshot!("words", promised.words);
}

/// At the longest names there are. What is said beyond is not, and not heard either; what says nothing has the bytes that it had before.
#[test]
fn what_was_seen_of_keys_is_in_the_message_as_far_as_eight_servers_go() {
    let longest = |which: usize| {
        let labels = ["a".repeat(61), "b".repeat(63), "c".repeat(63), "d".repeat(59)].join(".");
        KeysSeen { server: format!("{}{which:03}", &labels).parse().unwrap(), seq: u64::MAX, hash: Hash([which as u8; 32]) }
    };
    let room = crowd(64);
    let content = Content::text("x".repeat(limits::TEXT)).unwrap();
    for (said, heard) in [(0, 0), (7, 7), (8, 8), (9, 8)] {
        let seen: Vec<KeysSeen> = (0..said).map(longest).collect();
        let place = Place { keys_seen: seen.clone(), ..Place::inside(&room) };
        let draft = place.draft(&ALICE.device, place.seal(&ALICE, &content).unwrap());
        assert!(draft.bytes().len() < limits::DRAFT, "{} bytes", draft.bytes().len());
        let opened = room.open(&BOB, &ALICE.state, &draft).unwrap();
        assert_eq!(opened.keys_seen, seen[..heard]);
    }
    let size = |servers: &[&str]| {
        let seen = |server: &&str| KeysSeen { server: server.parse().unwrap(), seq: 1000, hash: Hash([7; 32]) };
        let place = Place { keys_seen: servers.iter().map(seen).collect(), ..Place::usual() };
        place.seal(&ALICE, &Content::text("hello").unwrap()).unwrap().len()
    };
    let grown = size(&["s1.example.org", "s2.example.org"]) - size(&[]);
    assert!((100..=160).contains(&grown), "a message between two servers grows by {grown} bytes");
}
