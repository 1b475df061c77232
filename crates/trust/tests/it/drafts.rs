//! Open drafts: whose they are, when they are new and when they are old.

use crate::samples::*;
use tidings_proto::{Draft, Encoded, LogName, Signature, draft};
use tidings_trust::drafts::{DraftError, check_in_order, check_listed, check_open, check_past};

fn public_log() -> LogName {
    "public@s1".parse().unwrap()
}

#[test]
fn a_post_of_a_listed_device_is_its_authors() {
    let state = alice_state();
    let draft = post(1, 1, &public_log());
    assert_eq!(check_open(&public_log(), &draft, &state), Ok(()));
    assert_eq!(check_past(&public_log(), &draft, &state), Ok(()));
    assert_eq!(check_listed(&draft, &state), Ok(()));
}

#[test]
fn a_draft_may_name_any_list_that_names_its_device() {
    let state = after(&alice_state(), &[1, 2]);
    for (device, list, answer) in
        [(1, 1, Ok(())), (1, 2, Ok(())), (2, 2, Ok(())), (2, 1, Err(DraftError::NotListed)), (1, 0, Err(DraftError::NotListed))]
    {
        let draft = post(device, list, &public_log());
        assert_eq!(check_open(&public_log(), &draft, &state), answer, "device {device} under list {list}");
        assert_eq!(check_past(&public_log(), &draft, &state), answer, "device {device} under list {list}");
    }
}

#[test]
fn a_removed_device_writes_no_more_and_stays_the_author_of_what_it_wrote() {
    let state = after(&after(&alice_state(), &[1, 2]), &[1]);
    let old = post(2, 2, &public_log());
    assert_eq!(check_open(&public_log(), &old, &state), Err(DraftError::NotListed));
    assert_eq!(check_listed(&old, &state), Err(DraftError::NotListed));
    assert_eq!(check_past(&public_log(), &old, &state), Ok(()));
    // Under the list that removed it, it has never been anybody.
    assert_eq!(check_past(&public_log(), &post(2, 3, &public_log()), &state), Err(DraftError::NotListed));
    // Once it is back it writes under its new list; in the gap it was nobody.
    let back = after(&state, &[1, 2]);
    assert_eq!(check_open(&public_log(), &post(2, 4, &public_log()), &back), Ok(()));
    assert_eq!(check_open(&public_log(), &post(2, 3, &public_log()), &back), Err(DraftError::NotListed));
}

/// Device 2 was removed in list 3, and whoever has it writes on under list 2, with the hub's help. Control: with the second
/// line of `check_in_order` left out, this goes on for ever.
#[test]
fn once_the_author_has_gone_on_a_removed_device_writes_nothing_more_there() {
    let v2 = after(&alice_state(), &[1, 2]);
    let state = after(&v2, &[1]);
    let stolen = post(2, 2, &public_log());
    assert_eq!(check_past(&public_log(), &stolen, &state), Ok(()), "the signature alone does not tell");
    let answers = [(0, Ok(())), (1, Ok(())), (2, Ok(())), (3, Err(DraftError::NotListed)), (4, Err(DraftError::NotYet))];
    for (highest, answer) in answers {
        assert_eq!(check_in_order(&stolen, &state, highest), answer, "after an entry under list {highest}");
    }
    assert_eq!(check_in_order(&stolen, &v2, 3), Err(DraftError::NotYet), "the list that removed it has to be fetched first");
    // The device that stayed writes under any list that names it, after any.
    for (list, highest) in [(1, 0), (1, 3), (2, 3), (3, 1), (3, 3)] {
        assert_eq!(check_in_order(&post(1, list, &public_log()), &state, highest), Ok(()), "list {list} after {highest}");
    }
    assert_eq!(check_in_order(&post(2, 3, &public_log()), &state, 0), Err(DraftError::NotListed));
    assert_eq!(check_in_order(&post(2, 1, &public_log()), &state, 2), Err(DraftError::NotListed), "a list from before it came");
    assert_eq!(check_in_order(&stolen, &bob_state(), 0), Err(DraftError::NotListed), "by another user's keys");
}

/// An account that began anew: what the devices before wrote stays theirs, and after the first entry of the new one, no more.
#[test]
fn a_reset_bounds_the_devices_before_it_too() {
    let before = after(&alice_state(), &[1, 2]);
    let state = begun_anew(&before, [&C, &D], 7);
    let old = post(1, 2, &public_log());
    assert_eq!((check_in_order(&old, &state, 2), check_in_order(&old, &state, 3)), (Ok(()), Err(DraftError::NotListed)));
    assert_eq!(check_in_order(&post(7, 3, &public_log()), &state, 2), Ok(()));
    assert_eq!(check_open(&public_log(), &old, &state), Err(DraftError::NotListed), "no hub that plays by the rules takes it");
    let closed = closed(&before);
    assert_eq!((check_in_order(&old, &closed, 2), check_open(&public_log(), &old, &closed)), (Ok(()), Err(DraftError::NotListed)));
}

#[test]
fn a_list_that_is_not_known_yet_is_no_verdict() {
    let draft = post(2, 2, &public_log());
    let (older, newer) = (alice_state(), after(&alice_state(), &[1, 2]));
    assert_eq!(check_open(&public_log(), &draft, &older), Err(DraftError::NotYet));
    assert_eq!(check_past(&public_log(), &draft, &older), Err(DraftError::NotYet));
    assert_eq!(check_listed(&draft, &older), Err(DraftError::NotYet));
    assert_eq!(check_open(&public_log(), &draft, &newer), Ok(()));
}

#[test]
fn another_users_keys_say_nothing_of_it() {
    // Bob's history names the same device key here: still not alice's draft.
    let draft = post(1, 1, &public_log());
    assert_eq!(check_open(&public_log(), &draft, &bob_state()), Err(DraftError::NotListed));
    assert_eq!(check_past(&public_log(), &draft, &bob_state()), Err(DraftError::NotListed));
    let claimed = Draft { author: bob(), ..draft.into_value() }.signed(&public_log(), |bytes| sign(1, bytes));
    assert_eq!(check_open(&public_log(), &claimed, &bob_state()), Err(DraftError::NotListed));
    assert_eq!(check_open(&public_log(), &claimed, &alice_state()), Err(DraftError::NotListed));
}

#[test]
fn a_signature_is_for_one_log() {
    let state = alice_state();
    let draft = post(1, 1, &public_log());
    for log in ["public@s2", "keys@s1", "inbox:alice@s1"] {
        assert_eq!(check_open(&log.parse().unwrap(), &draft, &state), Err(DraftError::BadSignature), "{log}");
        assert_eq!(check_past(&log.parse().unwrap(), &draft, &state), Err(DraftError::BadSignature), "{log}");
    }
}

#[test]
fn no_signature_or_another_devices_is_refused() {
    let state = after(&alice_state(), &[1, 2]);
    let draft = post(1, 1, &public_log());
    let other = sig_for(2, &public_log(), &draft);
    for sig in [None, Some(Signature([0; 64])), Some(other)] {
        let draft = with_sig(&draft, sig);
        assert_eq!(check_open(&public_log(), &draft, &state), Err(DraftError::BadSignature));
        assert_eq!(check_past(&public_log(), &draft, &state), Err(DraftError::BadSignature));
    }
}

/// Control: with `check_signed` left out of `check_open`, the first flip that leaves the claims alone is taken.
#[test]
fn every_bit_of_a_draft_counts() {
    let state = alice_state();
    let bytes = post(1, 1, &public_log()).bytes().to_vec();
    let mut readable = 0;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let Ok(draft) = draft::read(changed.into()) else { continue };
            readable += 1;
            assert!(check_open(&public_log(), &draft, &state).is_err(), "byte {at}, bit {bit}");
            assert!(check_past(&public_log(), &draft, &state).is_err(), "byte {at}, bit {bit}");
        }
    }
    assert!(readable > 500, "most flips are readable drafts, so it is the check that refuses them: {readable}");
}

/// What a later version adds to a draft is signed too: nobody can add it, or take it away.
#[test]
fn a_field_that_is_added_breaks_the_signature() {
    let mut bytes = post(1, 1, &public_log()).bytes().to_vec();
    bytes[0] += 1;
    bytes.extend([0x18, 0x63, 0x01]);
    let draft: Encoded<Draft> = draft::read(bytes.into()).unwrap();
    assert_eq!(check_open(&public_log(), &draft, &alice_state()), Err(DraftError::BadSignature));
}
