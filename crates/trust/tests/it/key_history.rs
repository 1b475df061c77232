//! `KeyState::apply`: what continues a key history, and for each clause of it one list that breaks this clause alone.

use crate::samples::*;
use tidings_proto::{Hash, Kind, LogName, Signature, cbor, limits};
use tidings_trust::{KeyState, KeysError, RsaPublicKey, device_list};

/// One change to an otherwise valid submission.
fn first_with(change: impl FnOnce(&mut Submission)) -> Result<KeyState, KeysError> {
    let mut submission = Submission::first();
    change(&mut submission);
    submission.apply(None, 4)
}

/// The same for the list after alice's first.
fn next_with(change: impl FnOnce(&mut Submission)) -> Result<KeyState, KeysError> {
    let before = alice_state();
    let mut submission = Submission::next(&before, &[1, 2]);
    change(&mut submission);
    submission.apply(Some(&before), 5)
}

#[test]
fn a_history_starts_and_continues() {
    let first = Submission::first();
    let state = first.apply(None, 4).unwrap();
    assert_eq!(*state.list, first.list);
    assert_eq!((state.seq, state.list_hash), (4, Hash::of(&first.list_bytes())));
    assert!(state.device(&device_key(1)).is_some() && state.device(&device_key(2)).is_none());

    let next = Submission::next(&state, &[1, 2]);
    let state = next.apply(Some(&state), 9).unwrap();
    assert_eq!((state.list.version, state.seq, state.list_hash), (2, 9, Hash::of(&next.list_bytes())));
    assert!(state.device(&device_key(2)).is_some());
}

#[test]
fn a_new_device_may_submit_the_list_that_adds_it() {
    assert!(next_with(|it| it.device = 2).is_ok());
}

#[test]
fn the_encryption_key_may_change_and_may_have_4096_bits() {
    assert!(next_with(|it| it.list.encryption = public(&LARGE)).is_ok());
}

#[test]
fn only_the_log_of_the_authors_own_server_holds_it() {
    for log in ["keys@s2", "public@s1", "inbox:alice@s1", &format!("room:{}", tidings_proto::RoomId([1; 32]))] {
        let log: LogName = log.parse().unwrap();
        let submission = Submission { signed_for: log.clone(), ..Submission::first() };
        assert_eq!(KeyState::apply(None, &log, 4, &submission.draft(), None), Err(KeysError::WrongUser), "{log}");
    }
}

#[test]
fn the_list_is_about_its_author() {
    let carol: tidings_proto::UserName = "carol@s1".parse().unwrap();
    assert_eq!(first_with(|it| it.list.user = carol.clone()).unwrap_err(), KeysError::WrongUser);
    assert_eq!(first_with(|it| it.author = carol.clone()).unwrap_err(), KeysError::WrongUser);
    assert_eq!(next_with(|it| it.list.user = carol.clone()).unwrap_err(), KeysError::WrongUser);
    // Both names changed: a whole list of somebody else's, signed by somebody else's identity, after alice's.
    let other = next_with(|it| {
        it.author = carol.clone();
        it.list.user = carol.clone();
        it.list.identity = public(&C);
        it.identity = &C;
    });
    assert_eq!(other.unwrap_err(), KeysError::WrongUser);
}

#[test]
fn nobodys_list_continues_another_users_history() {
    // One identity for two users: only the name tells them apart.
    let carol: tidings_proto::UserName = "carol@s1".parse().unwrap();
    let refused = next_with(|it| {
        it.author = carol.clone();
        it.list.user = carol.clone();
    });
    assert_eq!(refused.unwrap_err(), KeysError::WrongUser);
}

#[test]
fn a_history_starts_once_and_only_once() {
    let before = alice_state();
    assert_eq!(Submission::first().apply(Some(&before), 5), Err(KeysError::WrongKind));
    assert_eq!(Submission::next(&before, &[1]).apply(None, 5), Err(KeysError::WrongKind));
    assert_eq!(first_with(|it| it.kind = Kind::List).unwrap_err(), KeysError::WrongKind);
    assert_eq!(next_with(|it| it.kind = Kind::First).unwrap_err(), KeysError::WrongKind);
    for kind in [Kind::Genesis, Kind::Sealed, Kind::Post, Kind::Notice] {
        assert_eq!(first_with(|it| it.kind = kind).unwrap_err(), KeysError::WrongKind, "{kind:?}");
        assert_eq!(next_with(|it| it.kind = kind).unwrap_err(), KeysError::WrongKind, "{kind:?}");
    }
}

#[test]
fn the_first_list_is_version_1_and_follows_nothing() {
    for version in [0, 2, u64::MAX] {
        let refused = first_with(|it| {
            it.list.version = version;
            it.names = version;
        });
        assert_eq!(refused.unwrap_err(), KeysError::WrongVersion, "{version}");
    }
    assert_eq!(first_with(|it| it.list.prev = Some(Hash::ZERO)).unwrap_err(), KeysError::WrongVersion);
}

#[test]
fn no_version_is_skipped() {
    for version in [3, u64::MAX] {
        let refused = next_with(|it| {
            it.list.version = version;
            it.names = version;
        });
        assert_eq!(refused.unwrap_err(), KeysError::WrongVersion, "{version}");
    }
}

#[test]
fn a_list_names_the_one_before_by_hash() {
    assert_eq!(next_with(|it| it.list.prev = None).unwrap_err(), KeysError::WrongVersion);
    assert_eq!(next_with(|it| it.list.prev = Some(Hash([1; 32]))).unwrap_err(), KeysError::WrongVersion);
    // A fork: two lists that both follow the first; whoever holds one refuses what follows the other.
    let before = alice_state();
    let (ours, theirs) = (after(&before, &[1, 2]), after(&before, &[1, 3]));
    assert_eq!(Submission::next(&theirs, &[1]).apply(Some(&ours), 6), Err(KeysError::WrongVersion));
}

#[test]
fn an_older_list_or_place_is_a_roll_back() {
    let first = alice_state();
    let second = after(&first, &[1, 2]);
    let third = after(&second, &[1, 2, 3]);
    assert_eq!(Submission::next(&first, &[1, 2]).apply(Some(&third), 9), Err(KeysError::RolledBack), "a replay of version 2");
    assert_eq!(Submission::next(&second, &[1, 2, 3]).apply(Some(&third), 9), Err(KeysError::RolledBack), "the very same again");
    assert_eq!(Submission::next(&third, &[1]).apply(Some(&third), third.seq), Err(KeysError::RolledBack), "a place that is taken");
    assert_eq!(Submission::next(&third, &[1]).apply(Some(&third), 1), Err(KeysError::RolledBack), "an earlier place");
}

#[test]
fn the_identity_never_changes() {
    let refused = next_with(|it| {
        it.list.identity = public(&C);
        it.identity = &C;
    });
    assert_eq!(refused.unwrap_err(), KeysError::WrongIdentity);
}

#[test]
fn identity_and_encryption_are_two_keys() {
    assert_eq!(first_with(|it| it.list.encryption = public(&A)).unwrap_err(), KeysError::SameKey);
    assert_eq!(next_with(|it| it.list.encryption = public(&A)).unwrap_err(), KeysError::SameKey);
}

#[test]
fn a_list_names_1_to_20_devices_each_once() {
    assert_eq!(first_with(|it| it.list.devices.clear()).unwrap_err(), KeysError::WrongDevices);
    assert_eq!(limits::DEVICES, 20);
    let state = first_with(|it| it.list.devices = devices(1..=20)).unwrap();
    assert_eq!(state.list.devices.len(), 20);
    assert_eq!(first_with(|it| it.list.devices = devices(1..=21)).unwrap_err(), KeysError::WrongDevices);
    assert_eq!(first_with(|it| it.list.devices = devices([1, 2, 1])).unwrap_err(), KeysError::WrongDevices);
    let other_suites = first_with(|it| {
        it.list.devices = devices([1, 1]);
        it.list.devices[1].suites.clear();
    });
    assert_eq!(other_suites.unwrap_err(), KeysError::WrongDevices, "one device twice, though the lines differ");
}

#[test]
fn the_submitting_device_is_listed() {
    assert_eq!(first_with(|it| it.device = 2).unwrap_err(), KeysError::NotListed);
    assert_eq!(next_with(|it| it.device = 3).unwrap_err(), KeysError::NotListed);
    assert_eq!(next_with(|it| it.list.devices = devices([2])).unwrap_err(), KeysError::NotListed, "the list that removes it");
}

#[test]
fn the_draft_names_the_very_version_it_brings() {
    for names in [0, 2] {
        assert_eq!(first_with(|it| it.names = names).unwrap_err(), KeysError::NotListed, "{names}");
    }
    for names in [1, 3] {
        assert_eq!(next_with(|it| it.names = names).unwrap_err(), KeysError::NotListed, "{names}");
    }
}

#[test]
fn the_device_has_signed_the_draft_for_this_log() {
    let refused = |draft| KeyState::apply(None, &keys_log(), 4, &draft, None).unwrap_err();
    let draft = Submission::first().draft();
    assert_eq!(refused(with_sig(&draft, None)), KeysError::BadSignature, "none");
    assert_eq!(refused(with_sig(&draft, Some(Signature([0; 64])))), KeysError::BadSignature, "zeros");
    assert_eq!(refused(with_sig(&draft, Some(sig_for(2, &keys_log(), &draft)))), KeysError::BadSignature, "another device's");
    let elsewhere = Submission { signed_for: "keys@s2".parse().unwrap(), ..Submission::first() };
    assert_eq!(refused(elsewhere.draft()), KeysError::BadSignature, "for another log");
    let mut bits = draft.sig.unwrap();
    bits.0[40] ^= 1;
    assert_eq!(refused(with_sig(&draft, Some(bits))), KeysError::BadSignature, "one bit");
}

#[test]
fn the_identity_has_signed_the_list() {
    assert_eq!(first_with(|it| it.identity = &C).unwrap_err(), KeysError::BadSignature, "another identity");
    assert_eq!(first_with(|it| it.identity = &B).unwrap_err(), KeysError::BadSignature, "the encryption key");
    let submission = Submission::first();
    let list = submission.list_bytes();
    let good = pss(&A, &device_list::signed_bytes(&list));
    let apply = |sig: Vec<u8>| {
        let body = signed_list(list.clone(), sig);
        KeyState::apply(None, &keys_log(), 4, &submission.draft_around(body), None)
    };
    assert!(apply(good.clone()).is_ok(), "the control");
    let mut bit = good.clone();
    bit[100] ^= 1;
    for sig in [Vec::new(), good[1..].to_vec(), [&[0], &good[..]].concat(), bit, pss(&A, &list)] {
        assert_eq!(apply(sig), Err(KeysError::BadSignature));
    }
}

/// A server's start: what was verified is not verified again, and must continue the history all the same.
#[test]
fn what_was_judged_before_is_replayed_without_its_signatures_and_to_the_same_end() {
    let before = alice_state();
    let mut history = vec![Submission::next(&before, &[1, 2]).draft()];
    let second = KeyState::apply(Some(&before), &keys_log(), 5, &history[0], None).unwrap();
    history.push(Submission::rotation(&second, [&C, &D], &[1, 2]).draft());
    let third = KeyState::apply(Some(&second), &keys_log(), 6, &history[1], None).unwrap();
    history.push(gone(&third).signed(&keys_log(), |bytes| sign(SERVER, bytes)));
    let last = KeyState::apply(Some(&third), &keys_log(), 7, &history[2], None).unwrap();
    let replayed =
        (5..).zip(&history).try_fold(before.clone(), |state, (seq, draft)| KeyState::replay(Some(&state), &keys_log(), seq, draft));
    assert_eq!(replayed, Ok(last));

    let unsigned = with_sig(&history[0], None);
    assert_eq!(KeyState::apply(Some(&before), &keys_log(), 5, &unsigned, None), Err(KeysError::BadSignature));
    assert_eq!(KeyState::replay(Some(&before), &keys_log(), 5, &unsigned), Ok(second));
    assert_eq!(KeyState::replay(Some(&before), &keys_log(), 6, &history[1]), Err(KeysError::WrongVersion));
}

/// Re-signed by the device, so that only the identity's signature can tell. Control: with `verify_pss` left out of `apply`, the
/// server's device is alice's.
#[test]
fn a_server_cannot_add_a_device_of_its_own() {
    let before = alice_state();
    let honest = Submission::next(&before, &[1, 2]);
    let sig = pss(&A, &device_list::signed_bytes(&honest.list_bytes()));
    let forged = Submission::next(&before, &[99, 1, 2]);
    let body = signed_list(forged.list_bytes(), sig);
    assert_eq!(KeyState::apply(Some(&before), &keys_log(), 5, &forged.draft_around(body), None), Err(KeysError::BadSignature));
}

#[test]
fn what_cannot_be_read_is_malformed() {
    let submission = Submission::first();
    let refused = |body: Vec<u8>| KeyState::apply(None, &keys_log(), 4, &submission.draft_around(body), None).unwrap_err();
    let whole = signed_list(submission.list_bytes(), pss(&A, &device_list::signed_bytes(&submission.list_bytes())));
    let trailing = [&whole[..], &[0]].concat();
    let indefinite = [&[0xbf], &whole[1..], &[0xff]].concat();
    let without_sig = cbor::without_key(&whole, 1).unwrap();
    let bare_list = submission.list_bytes();
    for body in [Vec::new(), vec![0xf6], vec![0xa0], whole[..whole.len() - 1].to_vec(), trailing, indefinite, without_sig, bare_list] {
        assert_eq!(refused(body), KeysError::Malformed);
    }
    for list in [Vec::new(), vec![0xa0], vec![0x80]] {
        assert_eq!(KeyState::apply(None, &keys_log(), 4, &submission.draft_of(list), None).unwrap_err(), KeysError::Malformed);
    }
}

/// The list inside is a byte string, so the check of the body around it does not see into it: it is checked on its own.
#[test]
fn a_list_in_another_encoding_is_malformed_even_if_signed() {
    let submission = Submission::first();
    let list = submission.list_bytes();
    let refused = |list: Vec<u8>| KeyState::apply(None, &keys_log(), 4, &submission.draft_of(list), None).map(|_| ()).unwrap_err();
    // a6 · 00 68 alice@s1 · 01 01 · …: the version is the byte at 12.
    assert_eq!((list[0], &list[11..13]), (0xa6, &[1, 1][..]));
    let long_version = [&list[..12], &[0x18, 0x01], &list[13..]].concat();
    let null_prev = [&[0xa7], &list[1..13], &[0x02, 0xf6], &list[13..]].concat();
    let doubled = [&[0xa7], &list[1..13], &[0x01, 0x01], &list[13..]].concat();
    let trailing = [&list[..], &[0]].concat();
    for list in [long_version, doubled, trailing] {
        assert_eq!(refused(list), KeysError::Malformed);
    }
    // An explicit null is canonical CBOR, only longer: it is another list with another hash, signed as such.
    assert!(KeyState::apply(None, &keys_log(), 4, &submission.draft_of(null_prev), None).is_ok());
}

/// A later version's field is kept in what is hashed and signed, and is in the way of nothing.
#[test]
fn an_unknown_field_of_a_list_is_signed_with_the_rest() {
    let submission = Submission::first();
    let mut list = submission.list_bytes();
    list[0] += 1;
    list.extend([0x18, 0x63, 0x01]);
    let state = KeyState::apply(None, &keys_log(), 4, &submission.draft_of(list.clone()), None).unwrap();
    assert_eq!((&*state.list, state.list_hash), (&submission.list, Hash::of(&list)));
}

/// A newer device of alice's can do a suite that does not exist yet: its list is still her list.
#[test]
fn a_suite_of_a_later_version_is_passed_over_and_hashed() {
    let submission = Submission::first();
    let list = submission.list_bytes();
    let suites = [&[0x01, 0x81, 0x01][..], &list[list.len() - 39..]].concat(); // key 1: [1], then key 6, the vault
    assert_eq!(list[list.len() - suites.len()..], suites);
    let later = |suites: &[u8]| [&list[..list.len() - 41], suites, &list[list.len() - 39..]].concat();
    let with = later(&[0x83, 0x01, 0x07, 0x19, 0x01, 0x00]);
    let state = KeyState::apply(None, &keys_log(), 4, &submission.draft_of(with.clone()), None).unwrap();
    assert_eq!((&*state.list, state.list_hash), (&submission.list, Hash::of(&with)));
    for odd in [&[0x81, 0x61, 0x61][..], &[0x81, 0x20], &[0x01]] {
        assert_eq!(KeyState::apply(None, &keys_log(), 4, &submission.draft_of(later(odd)), None), Err(KeysError::Malformed));
    }
}

#[test]
fn a_key_of_another_size_is_malformed() {
    let submission = Submission::first();
    let list = submission.list_bytes();
    let modulus = modulus(&B);
    let at = list.windows(384).position(|window| window == modulus).unwrap();
    assert_eq!(list[at - 3..at], [0x59, 0x01, 0x80]);
    let with = |modulus: &[u8]| {
        let length = (modulus.len() as u16).to_be_bytes();
        submission.draft_of([&list[..at - 2], &length, modulus, &list[at + 384..]].concat())
    };
    assert!(KeyState::apply(None, &keys_log(), 4, &with(modulus), None).is_ok(), "the control");
    assert!(RsaPublicKey::from_modulus(crate::samples::modulus(&SMALL)).is_err());
    for modulus in [crate::samples::modulus(&SMALL), &[&[0], modulus].concat(), &modulus[1..]] {
        assert_eq!(KeyState::apply(None, &keys_log(), 4, &with(modulus), None), Err(KeysError::Malformed));
    }
}

/// The limit is the protocol's, so every replica draws it at the same byte.
#[test]
fn a_list_has_at_most_8_kib() {
    let submission = Submission::first();
    let padded_to = |size: usize| {
        let mut list = submission.list_bytes();
        let padding = size - list.len() - 5; // key 99 takes two bytes, the string's head three
        list[0] += 1;
        list.extend([0x18, 0x63, 0x59]);
        list.extend((padding as u16).to_be_bytes());
        list.resize(size, 0);
        KeyState::apply(None, &keys_log(), 4, &submission.draft_of(list), None)
    };
    assert_eq!(device_list::LIST_LIMIT, 8 * 1024);
    assert!(padded_to(8 * 1024 - 1).is_ok());
    assert!(padded_to(8 * 1024).is_ok());
    assert_eq!(padded_to(8 * 1024 + 1), Err(KeysError::Malformed));
}
