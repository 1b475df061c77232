//! What an account's owner writes down in the vault: it follows to every device, and is nobody else's to read or change.

use crate::account::*;
use crate::samples::*;
use bytes::Bytes;
use tidings_e2ee::account::{AccountError, Next, unlock};
use tidings_e2ee::vault::BadVault;
use tidings_e2ee::{NewAccount, VaultBook};
use tidings_proto::frame::{SealedVault, Secret};
use tidings_proto::{Hash, UserName, limits};
use tidings_trust::Fingerprint;

fn bob() -> UserName {
    BOB.user().clone()
}

pub fn filled() -> VaultBook {
    let mut book = VaultBook { verified: vec![(bob(), Fingerprint(Hash([3; 32])))], ..VaultBook::default() };
    book.accepted.push(("carol@s2".parse().unwrap(), Fingerprint(Hash([4; 32]))));
    book.name(device(1).public(), "the laptop");
    book.name(device(2).public(), "Ümläut 📱");
    book
}

fn write(account: &NewAccount, vault: &SealedVault, book: &VaultBook) -> Result<SealedVault, AccountError> {
    account.secrets.write_book(&alice(), vault, book)
}

#[test]
fn what_one_device_writes_down_another_reads_and_a_new_one_too() {
    let account = account();
    assert_eq!(account.secrets.read_book(&alice(), &account.vault), Ok(VaultBook::default()));
    let second = write(&account, &account.vault, &filled()).unwrap();
    assert_eq!(unlocked(&account).secrets.read_book(&alice(), &second), Ok(filled()));
    let third = write(&account, &second, &VaultBook { verified: vec![], ..filled() }).unwrap();
    for (secret, export) in [(Secret::Password, &*PASSWORD), (Secret::Recovery, &*RECOVERY)] {
        let unlocked = unlock(&alice(), &third, secret, export).unwrap();
        assert_eq!(unlocked.book, VaultBook { verified: vec![], ..filled() });
        assert_eq!(unlocked.secrets.to_bytes(), account.secrets.to_bytes(), "no key is lost by writing");
        // The identity key is still there: it signs the next list.
        assert!(wait(unlocked.add_device(&tidings_e2ee::rsa::AwsLcKeys, &first_state(&account), &device(2))).is_ok());
    }
}

#[test]
fn a_device_has_one_name_or_none() {
    let mut book = filled();
    let laptop = device(1).public();
    assert_eq!(book.name_of(&laptop), Some("the laptop"));
    book.name(laptop, "the old laptop");
    assert_eq!((book.name_of(&laptop), book.devices.len()), (Some("the old laptop"), 2));
    book.name(laptop, "");
    assert_eq!((book.name_of(&laptop), book.devices.len()), (None, 1));
}

#[test]
fn only_the_accounts_own_devices_read_and_write_it() {
    let (account, other) = (account(), account());
    let book = filled();
    assert_eq!(other.secrets.read_book(&alice(), &account.vault), Err(AccountError::Locked));
    assert_eq!(write(&other, &account.vault, &book), Err(AccountError::Locked));
    assert_eq!(account.secrets.read_book(&bob(), &account.vault), Err(AccountError::Locked));
    let numbered = |version| SealedVault { version, ..account.vault.clone() };
    assert_eq!(account.secrets.read_book(&alice(), &numbered(0)), Err(AccountError::Vault(BadVault)), "older than its keys");
    assert_eq!(write(&account, &numbered(0), &book), Err(AccountError::Vault(BadVault)));
    assert_eq!(account.secrets.read_book(&alice(), &numbered(2)), Err(AccountError::BadBook));
    assert_eq!(write(&account, &numbered(u64::MAX), &book), Err(AccountError::Vault(BadVault)));
}

/// Whoever opens the account relies on all of the keys together. Control: with the other parts left out of what the body is bound
/// to, the server's parts go into the next vault.
#[test]
fn a_part_that_the_server_has_put_there_is_not_handed_on() {
    let (account, other) = (account(), account());
    let parts = |vault: &[u8]| {
        let mut d = minicbor::Decoder::new(vault);
        assert_eq!(d.map().unwrap(), Some(5));
        (0..5u8).map(|at| (d.u8().unwrap() == at).then(|| raw(&mut d, vault)).unwrap()).collect::<Vec<_>>()
    };
    let (ours, theirs) = (parts(&account.vault.keys), parts(&other.vault.keys));
    for part in 1..=4 {
        let mut mixed = ours.clone();
        mixed[part] = theirs[part].clone();
        let keys = (0..5u8).flat_map(|at| [&[at][..], &mixed[usize::from(at)]].concat());
        let vault = SealedVault { keys: [0xa5].into_iter().chain(keys).collect(), ..account.vault.clone() };
        assert_eq!(write(&account, &vault, &filled()), Err(AccountError::Locked), "part {part}");
    }
}

/// A stolen device puts rubbish there, or the server an old book: the account opens as before, the device is taken off, and a
/// new book begins.
#[test]
fn a_spoiled_book_keeps_nobody_from_the_account() {
    let account = account();
    let written = write(&account, &account.vault, &filled()).unwrap();
    for book in [Bytes::from_static(b"rubbish"), Bytes::new(), account.vault.book.clone()] {
        let spoiled = SealedVault { version: 3, book, keys: written.keys.clone() };
        assert_eq!(account.secrets.read_book(&alice(), &spoiled), Err(AccountError::BadBook));
        for (secret, export) in [(Secret::Password, &*PASSWORD), (Secret::Recovery, &*RECOVERY)] {
            let unlocked = unlock(&alice(), &spoiled, secret, export).unwrap();
            assert_eq!(unlocked.book, VaultBook::default());
            let next = Next { newest: &first_state(&account), by: &device(1), n: 2 };
            let changed = wait(unlocked.revoke(&FixedKeys::of(&[C]), &next, &[], &PASSWORD, &RECOVERY)).unwrap();
            assert_eq!(changed.vault.version, 4);
            assert_eq!(changed.secrets.read_book(&alice(), &changed.vault), Ok(VaultBook::default()));
        }
        let anew = write(&account, &spoiled, &filled()).unwrap();
        assert_eq!((anew.version, &anew.keys, account.secrets.read_book(&alice(), &anew)), (4, &written.keys, Ok(filled())));
    }
}

/// The bytes of the next CBOR item.
fn raw(d: &mut minicbor::Decoder<'_>, bytes: &[u8]) -> Vec<u8> {
    let start = d.position();
    d.skip().unwrap();
    bytes[start..d.position()].to_vec()
}

#[test]
fn a_name_has_at_most_64_characters() {
    let account = account();
    let named = |characters: usize| {
        let mut book = VaultBook::default();
        book.name(device(1).public(), &"ü".repeat(characters));
        write(&account, &account.vault, &book).map(|vault| account.secrets.read_book(&alice(), &vault).unwrap() == book)
    };
    assert_eq!((named(63), named(64), named(65)), (Ok(true), Ok(true), Err(AccountError::LongName)));
    // Nor does it come in by another way.
    let mut unlocked = unlocked(&account);
    unlocked.book.name(device(1).public(), &"x".repeat(65));
    let next = Next { newest: &first_state(&account), by: &device(1), n: 2 };
    let refused = wait(unlocked.change_secrets(&tidings_e2ee::rsa::AwsLcKeys, &next, None, None));
    assert_eq!(refused.err(), Some(AccountError::LongName));
}

/// The keys have room of their own: a stolen device can be removed without tidying up first.
#[test]
fn a_book_has_so_many_bytes_and_takes_none_from_the_keys() {
    let account = account();
    // Entries of 50 bytes, and a last one of any length.
    let book = |entries: usize, last: usize| {
        let entry = |name: String| (name.parse::<UserName>().unwrap(), Fingerprint(Hash([5; 32])));
        let entries = (0..entries).map(|i| entry(format!("person{i:05}@s1")));
        VaultBook { verified: entries.chain([entry(format!("{}@{}", "a".repeat(22), "s".repeat(last)))]).collect(), ..VaultBook::default() }
    };
    let size = |entries, last| write(&account, &account.vault, &book(entries, last)).map(|vault| vault.book.len());
    let few = size(1000, 1).unwrap();
    assert_eq!(size(1001, 1), Ok(few + 50));
    let (entries, last) = (1000 + (limits::VAULT - few) / 50, 1 + (limits::VAULT - few) % 50);
    assert_eq!(size(entries, last - 1), Ok(limits::VAULT - 1));
    assert_eq!(size(entries, last), Ok(limits::VAULT));
    assert_eq!(size(entries, last + 1), Err(AccountError::Full));
    let full = write(&account, &account.vault, &book(entries, last)).unwrap();
    let unlocked = unlock(&alice(), &full, Secret::Password, &PASSWORD).unwrap();
    let next = Next { newest: &first_state(&account), by: &device(1), n: 2 };
    let changed = wait(unlocked.revoke(&FixedKeys::of(&[C]), &next, &[], &PASSWORD, &RECOVERY)).unwrap();
    assert!(changed.vault.keys.len() < limits::VAULT && changed.vault.book.len() == limits::VAULT);
}

#[test]
fn the_name_of_a_removed_device_goes_with_it() {
    let account = account();
    let unlocked = unlock(&alice(), &write(&account, &account.vault, &filled()).unwrap(), Secret::Password, &PASSWORD).unwrap();
    let state = ALICE.with_devices(&first_state(&account), &[1, 2]);
    let next = Next { newest: &state, by: &device(1), n: 2 };
    let gone = [device(2).public()];
    let changed = wait(unlocked.revoke(&FixedKeys::of(&[C]), &next, &gone, &PASSWORD, &RECOVERY)).unwrap();
    let book = changed.secrets.read_book(&alice(), &changed.vault).unwrap();
    assert_eq!(book.devices, [(device(1).public(), "the laptop".to_owned())]);
    assert_eq!((book.verified, book.accepted), (filled().verified, filled().accepted));
}

/// Neither names nor people can be seen in what the server gets.
#[test]
fn the_server_sees_nothing_of_it() {
    let account = account();
    let written = write(&account, &account.vault, &filled()).unwrap();
    for word in [&b"laptop"[..], b"bob@s2", b"carol@s2", &[3; 8], &device(1).public().0[..8]] {
        assert!(!written.book.windows(word.len()).any(|window| window == word));
    }
}
