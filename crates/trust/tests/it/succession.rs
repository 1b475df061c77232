//! Another identity, and the end: who has to agree to it, and what follows.

use crate::samples::*;
use tidings_proto::draft::Gone;
use tidings_proto::frame::Grant;
use tidings_proto::{Draft, Encoded, Hash, Kind, ServerKey, Signature, cbor};
use tidings_trust::{KeyState, KeysError, RsaPublicKey, SignedList, device_list};

/// One change to an otherwise valid rotation of alice's to the identity `c`, on both of her devices.
fn rotated_with(change: impl FnOnce(&mut Submission)) -> Result<KeyState, KeysError> {
    let before = after(&alice_state(), &[1, 2]);
    let mut rotation = Submission::rotation(&before, [&C, &D], &[1, 2]);
    change(&mut rotation);
    rotation.apply(Some(&before), 9)
}

/// The same for a reset, on device 7.
fn reset_with(change: impl FnOnce(&mut Submission)) -> Result<KeyState, KeysError> {
    let before = after(&alice_state(), &[1, 2]);
    let mut reset = Submission::reset(&before, [&C, &D], 7);
    change(&mut reset);
    reset.apply(Some(&before), 9)
}

#[test]
fn a_rotation_is_taken_that_the_old_identity_agrees_to() {
    let before = after(&alice_state(), &[1, 2]);
    let state = rotated_with(|_| ()).unwrap();
    assert_eq!((state.list.version, state.seq, state.closed), (3, 9, false));
    assert_eq!((&state.list.identity, &state.list.encryption), (&public(&C), &public(&D)));
    assert_eq!(state.list.devices, before.list.devices);
    assert!(rotated_with(|it| it.list.devices = devices([1])).is_ok(), "it may remove devices");
    assert!(rotated_with(|it| it.list.devices = devices([1, 2, 3])).is_ok(), "and add some");
}

/// Control: with the check of `by_old` left out of `agreed`, a server makes itself alice's identity.
#[test]
fn without_the_old_identitys_word_nobody_rotates() {
    assert_eq!(rotated_with(|it| it.by_old = None).unwrap_err(), KeysError::BadSignature);
    assert_eq!(rotated_with(|it| it.by_old = Some(&C)).unwrap_err(), KeysError::BadSignature, "the new identity's");
    assert_eq!(rotated_with(|it| it.by_old = Some(&B)).unwrap_err(), KeysError::BadSignature, "the encryption key's");
    assert_eq!(rotated_with(|it| it.identity = &A).unwrap_err(), KeysError::BadSignature, "without the new one's");
    // A server's word is not the old identity's.
    let before = after(&alice_state(), &[1, 2]);
    let granted = rotated_with(|it| (it.by_old, it.grant) = (None, Some(grant(&before, 1))));
    assert_eq!(granted.unwrap_err(), KeysError::BadSignature);
}

#[test]
fn what_the_old_identity_signs_is_this_very_list_as_a_rotation() {
    let before = after(&alice_state(), &[1, 2]);
    let rotation = Submission::rotation(&before, [&C, &D], &[1, 2]);
    let list = rotation.list_bytes();
    let with = |by_old: Vec<u8>| {
        let sig = pss(&C, &device_list::signed_bytes(&list)).into();
        let body = cbor::encode(&SignedList { list: list.clone().into(), sig, by_old: Some(by_old.into()), grant: None });
        KeyState::apply(Some(&before), &keys_log(), 9, &rotation.draft_around(body), None)
    };
    let good = pss(&A, &device_list::rotation_bytes(&list));
    assert!(with(good.clone()).is_ok(), "the control");
    let mut bit = good.clone();
    bit[100] ^= 1;
    let other = Submission::rotation(&before, [&C, &D], &[1]).list_bytes();
    // The last is what an old identity signs every time that a device comes or goes: it must not do for this.
    let wrong = [
        Vec::new(),
        good[1..].to_vec(),
        bit,
        pss(&A, &list),
        pss(&A, &device_list::rotation_bytes(&other)),
        pss(&A, &device_list::signed_bytes(&list)),
    ];
    for by_old in wrong {
        assert_eq!(with(by_old).unwrap_err(), KeysError::BadSignature);
    }
}

#[test]
fn a_rotation_or_reset_to_the_same_identity_says_what_is_not_so() {
    let same = |it: &mut Submission| (it.list.identity, it.identity) = (public(&A), &A);
    assert_eq!(rotated_with(same).unwrap_err(), KeysError::WrongIdentity);
    assert_eq!(reset_with(same).unwrap_err(), KeysError::WrongIdentity);
    assert_eq!(rotated_with(|it| it.kind = Kind::List).unwrap_err(), KeysError::WrongIdentity, "nor is it a list like others");
    assert_eq!(reset_with(|it| it.kind = Kind::List).unwrap_err(), KeysError::WrongIdentity);
}

#[test]
fn kinds_do_not_stand_in_for_each_other() {
    assert_eq!(rotated_with(|it| it.kind = Kind::Reset).unwrap_err(), KeysError::BadGrant);
    assert_eq!(reset_with(|it| it.kind = Kind::Rotate).unwrap_err(), KeysError::BadSignature);
    for kind in [Kind::Rotate, Kind::Reset, Kind::Gone, Kind::List] {
        let first = Submission { kind, ..Submission::first() };
        assert_eq!(first.apply(None, 4).unwrap_err(), KeysError::WrongKind, "{kind:?}");
    }
}

/// A key that was given up may be a thief's. Control: without `has_new_keys` in `next_list`, all of these are taken.
#[test]
fn a_key_that_was_given_up_does_not_come_back() {
    let first = alice_state();
    let second = with_encryption(&first, &LARGE);
    let list_with = |before: &KeyState, encryption: &RsaPublicKey| {
        let mut next = Submission::next(before, &[1]);
        next.list.encryption = encryption.clone();
        next.apply(Some(before), before.seq + 1)
    };
    assert!(list_with(&second, &public(&LARGE)).is_ok(), "the same as before");
    assert!(list_with(&second, &public(&D)).is_ok(), "a new one");
    assert_eq!(list_with(&second, &public(&B)).unwrap_err(), KeysError::OldKey);
    let rotation = |before: &KeyState, new| Submission::rotation(before, new, &[1]).apply(Some(before), before.seq + 1);
    let reset = |before: &KeyState, new| Submission::reset(before, new, 7).apply(Some(before), before.seq + 1);
    for change in [&rotation as &dyn Fn(&KeyState, _) -> _, &reset] {
        assert!(change(&second, [&*C, &*D]).is_ok(), "the control");
        assert_eq!(change(&second, [&*C, &*LARGE]).unwrap_err(), KeysError::OldKey, "the encryption key of the old identity");
        assert_eq!(change(&second, [&*C, &*B]).unwrap_err(), KeysError::OldKey, "an earlier one");
        assert_eq!(change(&second, [&*C, &*A]).unwrap_err(), KeysError::OldKey, "the old identity, which now opens messages");
        assert_eq!(change(&second, [&*B, &*D]).unwrap_err(), KeysError::OldKey, "an encryption key, which all devices have, as identity");
        let other = change(&first, [&*C, &*D]).unwrap();
        assert_eq!(change(&other, [&*A, &*LARGE]).unwrap_err(), KeysError::OldKey, "back to the first identity");
    }
    assert_eq!(list_with(&rotation(&first, [&*C, &*D]).unwrap(), &public(&B)).unwrap_err(), KeysError::OldKey);
}

#[test]
fn a_reset_is_taken_with_the_word_of_the_users_server() {
    let state = reset_with(|_| ()).unwrap();
    assert_eq!((&state.list.identity, state.list.devices.clone()), (&public(&C), devices([7])));
    assert!(state.device(&device_key(1)).is_none() && state.named_in(&device_key(1), 2), "what was written before, was written by her");
    assert!(!state.named_in(&device_key(1), 3) && !state.named_in(&device_key(7), 2));
}

/// Control: with `verify_server` left out of `agreed`, anybody who can write to the log begins alice's account anew.
#[test]
fn without_a_grant_or_with_another_one_nobody_begins_anew() {
    assert_eq!(reset_with(|it| it.grant = None).unwrap_err(), KeysError::BadGrant);
    let before = after(&alice_state(), &[1, 2]);
    let bent = |change: &dyn Fn(&mut Grant)| reset_with(|it| change(it.grant.as_mut().unwrap())).unwrap_err();
    assert_eq!(bent(&|it| it.version = 2), KeysError::BadGrant, "for another version");
    assert_eq!(bent(&|it| it.prev = Hash([1; 32])), KeysError::BadGrant, "after another list");
    assert_eq!(bent(&|it| it.sig = Signature([0; 64])), KeysError::BadGrant);
    assert_eq!(bent(&|it| it.server = ServerKey(device_key(201).0)), KeysError::BadGrant, "another key's name, this one's signature");
    let given = |grant: Grant| reset_with(|it| it.grant = Some(grant)).unwrap_err();
    assert_eq!(given(grant(&before, 8)), KeysError::BadGrant, "for another device");
    assert_eq!(given(grant(&alice_state(), 7)), KeysError::BadGrant, "for the version before");
    assert_eq!(given(grant(&person("carol@s1", [&A, &B], 1), 7)), KeysError::BadGrant, "for another user");
    // Signed by the server all of them, and each for another one of the four things.
    let good = grant(&before, 7);
    let signed = |user: &str, version: u64, prev: Hash, seed: u8| {
        let sig = sign(SERVER, &Grant::signed_bytes(&user.parse().unwrap(), version, &prev, &device_key(seed)));
        reset_with(|it| it.grant = Some(Grant { version, prev, sig, ..good.clone() })).map(|_| ())
    };
    assert_eq!(signed("alice@s1", good.version, good.prev, 7), Ok(()), "the control");
    assert_eq!(signed("carol@s1", good.version, good.prev, 7), Err(KeysError::BadGrant));
    assert_eq!(signed("alice@s1", good.version - 1, good.prev, 7), Err(KeysError::BadGrant));
    assert_eq!(signed("alice@s1", good.version, alice_state().list_hash, 7), Err(KeysError::BadGrant));
    assert_eq!(signed("alice@s1", good.version, good.prev, 8), Err(KeysError::BadGrant));
}

/// A grant is used once: after it another list is the newest.
#[test]
fn a_grant_is_good_for_one_reset() {
    let before = after(&alice_state(), &[1, 2]);
    let old = grant(&before, 7);
    let reset = reset_with(|_| ()).unwrap();
    let mut again = Submission { grant: Some(old), ..Submission::reset(&reset, [&LARGE, &E], 7) };
    assert_eq!(again.apply(Some(&reset), 10).unwrap_err(), KeysError::BadGrant);
    again.grant = Some(grant(&reset, 7));
    assert!(again.apply(Some(&reset), 10).is_ok(), "the control");
}

#[test]
fn the_word_of_another_server_counts_nothing_where_the_servers_key_is_known() {
    let before = after(&alice_state(), &[1, 2]);
    let by = |seed: u8| {
        let mut other = grant(&before, 7);
        other.server = ServerKey(device_key(seed).0);
        other.sig = sign(seed, &Grant::signed_bytes(&alice(), other.version, &other.prev, &device_key(7)));
        Submission { grant: Some(other), ..Submission::reset(&before, [&C, &D], 7) }.draft()
    };
    let apply = |draft: &Encoded<Draft>, server: Option<&ServerKey>| KeyState::apply(Some(&before), &keys_log(), 9, draft, server);
    assert_eq!(apply(&by(201), Some(&server_key())).unwrap_err(), KeysError::BadGrant);
    assert!(apply(&by(SERVER), Some(&server_key())).is_ok(), "the control");
    // Where the key is not known, its word is taken for what it says, and the change of identity is for people to see.
    assert!(apply(&by(201), None).is_ok());
}

#[test]
fn a_reset_begins_with_one_device() {
    assert_eq!(reset_with(|it| it.list.devices = devices([7, 8])).unwrap_err(), KeysError::BadGrant, "two");
    assert_eq!(reset_with(|it| it.list.devices = devices([7, 1])).unwrap_err(), KeysError::BadGrant, "a device from before");
}

#[test]
fn after_a_reset_the_old_devices_and_the_old_identity_change_nothing() {
    let before = after(&alice_state(), &[1, 2]);
    let reset = reset_with(|_| ()).unwrap();
    let refused = |change: &dyn Fn(&mut Submission)| {
        let mut next = Submission::next(&reset, &[7]);
        change(&mut next);
        next.apply(Some(&reset), 10).unwrap_err()
    };
    assert_eq!(refused(&|it| it.device = 1), KeysError::NotListed, "an old device");
    assert_eq!(refused(&|it| it.identity = &A), KeysError::BadSignature, "the old identity, adding a device");
    let back = |it: &mut Submission| (it.list.identity, it.list.encryption, it.identity) = (public(&A), public(&B), &A);
    assert_eq!(refused(&back), KeysError::WrongIdentity, "the old identity, as if nothing had been");
    let old = Submission::next(&before, &[1, 2, 9]);
    assert_eq!(old.apply(Some(&reset), 10).unwrap_err(), KeysError::RolledBack, "the list it would have been");
    let rotated = Submission { by_old: Some(&A), ..Submission::rotation(&reset, [&LARGE, &E], &[7]) };
    assert_eq!(rotated.apply(Some(&reset), 10).unwrap_err(), KeysError::BadSignature, "a rotation by the old identity");
    assert!(Submission::next(&reset, &[7, 8]).apply(Some(&reset), 10).is_ok(), "the control");
}

#[test]
fn an_account_is_closed_by_its_server_and_by_nobody_else() {
    let before = after(&alice_state(), &[1, 2]);
    let apply = |draft: Draft, by: u8, server: Option<&ServerKey>| {
        let draft = draft.signed(&keys_log(), |bytes| sign(by, bytes));
        KeyState::apply(Some(&before), &keys_log(), 9, &draft, server)
    };
    let server = server_key();
    let closed = apply(gone(&before), SERVER, Some(&server)).unwrap();
    assert_eq!((closed.closed, closed.seq, closed.version(), &closed.list), (true, 9, 3, &before.list));
    let by_device = Draft { device: device_key(1), ..gone(&before) };
    assert_eq!(apply(by_device, 1, Some(&server)).unwrap_err(), KeysError::BadGrant, "her own device");
    let by_other = Draft { device: device_key(201), ..gone(&before) };
    assert_eq!(apply(by_other.clone(), 201, Some(&server)).unwrap_err(), KeysError::BadGrant, "another server");
    assert!(apply(by_other, 201, None).is_ok(), "whose key is known to nobody here");
    assert_eq!(apply(gone(&before), 201, Some(&server)).unwrap_err(), KeysError::BadGrant, "signed by another");
    assert_eq!(apply(gone(&before), 201, None).unwrap_err(), KeysError::BadGrant);
    for list in [0, 1, 3] {
        assert_eq!(apply(Draft { list, ..gone(&before) }, SERVER, Some(&server)).unwrap_err(), KeysError::WrongVersion, "{list}");
    }
    let elsewhere = Draft { body: cbor::encode(&Gone { prev: alice_state().list_hash }).into(), ..gone(&before) };
    assert_eq!(apply(elsewhere, SERVER, Some(&server)).unwrap_err(), KeysError::WrongVersion, "after an older list");
    for body in [&b""[..], b"\xa0", b"\xf6"] {
        let unreadable = Draft { body: body.into(), ..gone(&before) };
        assert_eq!(apply(unreadable, SERVER, Some(&server)).unwrap_err(), KeysError::Malformed);
    }
    let unsigned = Encoded::new(gone(&before));
    assert_eq!(KeyState::apply(Some(&before), &keys_log(), 9, &unsigned, None).unwrap_err(), KeysError::BadGrant);
    let late = gone(&before).signed(&keys_log(), |bytes| sign(SERVER, bytes));
    assert_eq!(KeyState::apply(Some(&before), &keys_log(), before.seq, &late, None).unwrap_err(), KeysError::RolledBack);
}

#[test]
fn nothing_follows_the_end() {
    let before = after(&alice_state(), &[1, 2]);
    let closed = closed(&before);
    let submissions = [
        Submission::next(&before, &[1]),
        Submission::rotation(&before, [&C, &D], &[1]),
        Submission::reset(&before, [&C, &D], 7),
        Submission::first(),
    ];
    for submission in submissions {
        assert_eq!(submission.apply(Some(&closed), 20).unwrap_err(), KeysError::Closed, "{:?}", submission.kind);
    }
    let again = gone(&before).signed(&keys_log(), |bytes| sign(SERVER, bytes));
    assert_eq!(KeyState::apply(Some(&closed), &keys_log(), 20, &again, Some(&server_key())).unwrap_err(), KeysError::Closed);
    assert!(closed.device(&device_key(1)).is_none(), "it has no device any more");
    assert!(closed.named_in(&device_key(1), 2), "what was written stays hers");
}

/// Who is the same person: rotations lead on, resets and the end do not.
#[test]
fn a_person_goes_on_through_rotations_and_ends_with_a_reset() {
    let [a, c, d] = [&*A, &*C, &*D].map(|pair| public(pair).fingerprint());
    let first = alice_state();
    let listed = after(&first, &[1, 2]);
    let rotated = Submission::rotation(&listed, [&C, &LARGE], &[1]).apply(Some(&listed), 9).unwrap();
    let reset = begun_anew(&rotated, [&D, &E], 7);
    let still = |state: &KeyState| [&a, &c, &d].map(|identity| state.is_still(identity));
    assert_eq!(still(&first), [true, false, false]);
    assert_eq!(still(&listed), [true, false, false]);
    assert_eq!(still(&rotated), [true, true, false], "known by the old identity and by the new one");
    assert_eq!(still(&reset), [false, false, true]);
    assert_eq!(still(&closed(&rotated)), [false; 3], "a closed account is nobody's");
    // Of the versions before the reset it is still known whose they were.
    let whose = |version: u64| [&a, &c, &d].map(|identity| reset.is_person(reset.keys_of(version).unwrap(), identity));
    assert_eq!(
        (whose(1), whose(2), whose(3), whose(4)),
        ([true, true, false], [true, true, false], [true, true, false], [false, false, true])
    );
}

#[test]
fn each_version_has_the_keys_it_had() {
    let first = alice_state();
    let second = after(&first, &[1, 2]);
    let third = with_encryption(&second, &LARGE);
    let fourth = Submission::rotation(&third, [&C, &D], &[1]).apply(Some(&third), 20).unwrap();
    let expected = [(&*A, &*B), (&*A, &*B), (&*A, &*LARGE), (&*C, &*D)];
    for (at, (identity, encryption)) in expected.into_iter().enumerate() {
        let keys = fourth.keys_of(at as u64 + 1).unwrap();
        assert_eq!((&keys.identity, &keys.encryption), (&public(identity), &public(encryption)), "version {}", at + 1);
        assert_eq!(fourth.with_encryption(&public(encryption).thumbprint()).unwrap().identity, public(identity));
    }
    assert_eq!(fourth.newest(), fourth.keys_of(4).unwrap());
    assert!(fourth.keys_of(0).is_none() && fourth.keys_of(5).is_none() && third.keys_of(4).is_none());
    assert!(fourth.with_encryption(&public(&A).thumbprint()).is_none(), "an identity is no encryption key");
    assert!(third.with_encryption(&public(&D).thumbprint()).is_none(), "nor is what comes later");
}
