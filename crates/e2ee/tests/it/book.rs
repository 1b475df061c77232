//! What an account's owner writes down in the vault: it follows to every device, and is nobody else's to read or change.

use crate::account::*;
use crate::samples::*;
use tidings_e2ee::account::{AccountError, Next, unlock};
use tidings_e2ee::vault::BadVault;
use tidings_e2ee::{NewAccount, VaultBook};
use tidings_proto::frame::Secret;
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

fn write(account: &NewAccount, version: u64, vault: &[u8], book: &VaultBook) -> Result<bytes::Bytes, AccountError> {
    account.secrets.write_vault(&alice(), version, vault, book)
}

#[test]
fn what_one_device_writes_down_another_reads_and_a_new_one_too() {
    let account = account();
    assert_eq!(account.secrets.read_vault(&alice(), 1, &account.vault), Ok(VaultBook::default()));
    let second = write(&account, 1, &account.vault, &filled()).unwrap();
    assert_eq!(unlocked(&account).secrets.read_vault(&alice(), 2, &second), Ok(filled()));
    let third = write(&account, 2, &second, &VaultBook { verified: vec![], ..filled() }).unwrap();
    for (secret, export) in [(Secret::Password, &*PASSWORD), (Secret::Recovery, &*RECOVERY)] {
        let unlocked = unlock(&alice(), &third, 3, secret, export).unwrap();
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
    assert_eq!(other.secrets.read_vault(&alice(), 1, &account.vault), Err(AccountError::Locked));
    assert_eq!(write(&other, 1, &account.vault, &book), Err(AccountError::Locked));
    assert_eq!(account.secrets.read_vault(&bob(), 1, &account.vault), Err(AccountError::Locked));
    for version in [0, 2, u64::MAX] {
        assert_eq!(account.secrets.read_vault(&alice(), version, &account.vault), Err(AccountError::Vault(BadVault)));
        assert_eq!(write(&account, version, &account.vault, &book), Err(AccountError::Vault(BadVault)));
    }
}

/// A device hands on the parts that it cannot open: they are those that were there when the body was written. Control: with
/// the other parts left out of what the body is bound to, the device puts the server's parts into the next vault.
#[test]
fn a_part_that_the_server_has_put_there_is_not_handed_on() {
    let (account, other) = (account(), account());
    let written = write(&account, 1, &account.vault, &filled()).unwrap();
    let parts = |vault: &[u8]| {
        let mut d = minicbor::Decoder::new(vault);
        assert_eq!(d.map().unwrap(), Some(5));
        (0..5u8).map(|at| (d.u8().unwrap() == at).then(|| raw(&mut d, vault)).unwrap()).collect::<Vec<_>>()
    };
    let (ours, theirs) = (parts(&written), parts(&other.vault));
    for part in 1..=4 {
        let mut mixed = ours.clone();
        mixed[part] = theirs[part].clone();
        let keys = (0..5u8).flat_map(|at| [&[at][..], &mixed[usize::from(at)]].concat());
        let vault: Vec<u8> = [0xa5].into_iter().chain(keys).collect();
        assert_eq!(write(&account, 2, &vault, &filled()), Err(AccountError::Locked), "part {part}");
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
        write(&account, 1, &account.vault, &book).map(|vault| account.secrets.read_vault(&alice(), 2, &vault).unwrap() == book)
    };
    assert_eq!((named(63), named(64), named(65)), (Ok(true), Ok(true), Err(AccountError::LongName)));
    // Nor does it come in by another way.
    let mut unlocked = unlocked(&account);
    unlocked.book.name(device(1).public(), &"x".repeat(65));
    let next = Next { newest: &first_state(&account), by: &device(1), n: 2 };
    let refused = wait(unlocked.change_secrets(&tidings_e2ee::rsa::AwsLcKeys, &next, None, None));
    assert_eq!(refused.err(), Some(AccountError::LongName));
}

/// A full book leaves room for one key more: a stolen device can be removed without tidying up first.
#[test]
fn a_book_ends_4_kib_before_the_vault_does() {
    let account = account();
    // Entries of 50 bytes, and a last one of any length.
    let book = |entries: usize, last: usize| {
        let entry = |name: String| (name.parse::<UserName>().unwrap(), Fingerprint(Hash([5; 32])));
        let entries = (0..entries).map(|i| entry(format!("person{i:05}@s1")));
        VaultBook { verified: entries.chain([entry(format!("{}@{}", "a".repeat(22), "s".repeat(last)))]).collect(), ..VaultBook::default() }
    };
    let limit = limits::VAULT - 4 * 1024;
    let size = |entries, last| write(&account, 1, &account.vault, &book(entries, last)).map(|vault| vault.len());
    let few = size(1000, 1).unwrap();
    assert_eq!(size(1001, 1), Ok(few + 50));
    let (entries, last) = (1000 + (limit - few) / 50, 1 + (limit - few) % 50);
    assert_eq!(size(entries, last - 1), Ok(limit - 1));
    assert_eq!(size(entries, last), Ok(limit));
    assert_eq!(size(entries, last + 1), Err(AccountError::Full));
    let full = write(&account, 1, &account.vault, &book(entries, last)).unwrap();
    let unlocked = unlock(&alice(), &full, 2, Secret::Password, &PASSWORD).unwrap();
    let next = Next { newest: &first_state(&account), by: &device(1), n: 2 };
    let changed = wait(unlocked.revoke(&FixedKeys::of(&[C]), &next, &[], &PASSWORD, &RECOVERY)).unwrap();
    assert!(changed.vault.len() <= limits::VAULT);
}

#[test]
fn the_name_of_a_removed_device_goes_with_it() {
    let account = account();
    let unlocked = unlock(&alice(), &write(&account, 1, &account.vault, &filled()).unwrap(), 2, Secret::Password, &PASSWORD).unwrap();
    let state = ALICE.with_devices(&first_state(&account), &[1, 2]);
    let next = Next { newest: &state, by: &device(1), n: 2 };
    let gone = [device(2).public()];
    let changed = wait(unlocked.revoke(&FixedKeys::of(&[C]), &next, &gone, &PASSWORD, &RECOVERY)).unwrap();
    let book = changed.secrets.read_vault(&alice(), 3, &changed.vault).unwrap();
    assert_eq!(book.devices, [(device(1).public(), "the laptop".to_owned())]);
    assert_eq!((book.verified, book.accepted), (filled().verified, filled().accepted));
}

/// Neither names nor people can be seen in what the server gets.
#[test]
fn the_server_sees_nothing_of_it() {
    let account = account();
    let written = write(&account, 1, &account.vault, &filled()).unwrap();
    for word in [&b"laptop"[..], b"bob@s2", b"carol@s2", &[3; 8], &device(1).public().0[..8]] {
        assert!(!written.windows(word.len()).any(|window| window == word));
    }
}
