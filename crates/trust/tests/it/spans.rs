//! Which versions of a list name a device: what was written under an older list stays its author's.

use crate::samples::*;
use proptest::prelude::*;
use tidings_proto::DeviceKey;

#[test]
fn a_device_is_named_from_its_addition_to_its_removal_and_again_once_it_is_back() {
    let v1 = alice_state();
    let v2 = after(&v1, &[1, 2]);
    let v3 = after(&v2, &[1]);
    let v4 = after(&v3, &[1, 3]);
    let v5 = after(&v4, &[1, 2, 3]);
    let named = |device: u8| (0..=6).filter(|version| v5.named_in(&device_key(device), *version)).collect::<Vec<_>>();
    assert_eq!(named(1), [1, 2, 3, 4, 5]);
    assert_eq!(named(2), [2, 5], "added, removed, added again");
    assert_eq!(named(3), [4, 5]);
    assert_eq!(named(4), [0; 0]);
    // What an earlier state says of its versions, a later one says too; of versions it has not seen it says nothing.
    assert!(v2.named_in(&device_key(2), 2) && !v2.named_in(&device_key(2), 3));
    assert!(!v3.named_in(&device_key(2), 3) && v3.named_in(&device_key(2), 2));
    assert!(!v5.named_in(&DeviceKey([0; 32]), 1));
}

#[test]
fn a_device_in_the_newest_list_is_the_one_that_device_gives() {
    let v3 = after(&after(&alice_state(), &[1, 2]), &[2]);
    assert!(v3.device(&device_key(1)).is_none());
    assert_eq!(v3.device(&device_key(2)).unwrap().key, device_key(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Against the plain truth: the lists themselves, kept one by one.
    #[test]
    fn spans_say_what_the_lists_said(lists in prop::collection::vec(prop::collection::btree_set(2u8..6, 0..4), 1..8)) {
        let mut state = alice_state();
        let mut truth = vec![vec![], vec![1]];
        for list in lists {
            let seeds: Vec<u8> = [1].into_iter().chain(list).collect();
            state = after(&state, &seeds);
            truth.push(seeds);
        }
        for version in 0..truth.len() as u64 + 1 {
            for seed in 1..6 {
                let said = truth.get(version as usize).is_some_and(|seeds| seeds.contains(&seed));
                prop_assert_eq!(state.named_in(&device_key(seed), version), said, "device {} in version {}", seed, version);
            }
        }
    }
}
