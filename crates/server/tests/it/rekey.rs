//! Other secrets, vault and device list become durable together, or none of them does; and the book alone by compare-and-swap.

use crate::support::{Home, How, IDENTITY, OTHER, Person, code, device, key, keys, open_on, sealed};
use bytes::Bytes;
use std::sync::Arc;
use tidings_proto::{Code, DeviceKey, Hash, Kind, limits};
use tidings_server::bus::local::LocalBus;
use tidings_server::logs::{Origin, Proof, Secrets};

/// What is kept of somebody: records and vault as text, and the versions of vault and list.
async fn kept(home: &Home, who: &Person) -> (String, String, String, u64, u64) {
    let account = home.logs.account(&who.name).await.unwrap().unwrap();
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let list = home.logs.directory().state(&who.name).unwrap().version();
    (text(&account.password), text(&account.recovery), text(&account.vault.keys), account.vault.version, list)
}

fn said(password: &str, recovery: &str, vault: &str, versions: (u64, u64)) -> (String, String, String, u64, u64) {
    (password.into(), recovery.into(), vault.into(), versions.0, versions.1)
}

#[tokio::test]
async fn records_vault_and_list_change_together() {
    let home = Home::new("s1").await;
    let mut alice = home.person("alice").await;
    let record = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    // A device is taken off: another encryption key, another code; the password stays.
    alice.devices.push(key("alice's second"));
    let list = alice.next_list(1);
    home.logs.append(alice.guest(list.device), &keys("s1"), list.bytes().clone(), None).await.unwrap();
    alice.devices.remove(0);
    alice.encryption = 1;
    let secrets = Secrets { recovery: record("code 2"), ..alice.next_vault() };
    let list = alice.next_list(2);
    let origin = Origin::Device { user: alice.name.clone(), device: list.device };
    home.logs.rekey(origin.clone(), Person::proof(), secrets, list.bytes().clone()).await.unwrap();
    assert_eq!(kept(&home, &alice).await, said("password record", "code 2", "vault 2", (2, 3)));
    // Another identity, by the code that is in force now.
    (alice.identity, alice.encryption) = (&OTHER, 2);
    let secrets = Secrets { password: record("password 2"), ..alice.next_vault() };
    let list = alice.list_of(3, How { kind: Some(Kind::Rotate), by_old: Some(&IDENTITY), grant: None });
    let proof = Proof { secret: tidings_proto::frame::Secret::Recovery, record: Hash::of(b"code 2") };
    home.logs.rekey(origin.clone(), proof, secrets, list.bytes().clone()).await.unwrap();
    let home = home.restart().await;
    assert_eq!(kept(&home, &alice).await, said("password 2", "code 2", "vault 3", (3, 4)));
    // A guest adds its device with other secrets: recovered by the code.
    alice.devices.push(key("alice's third"));
    let secrets = Secrets { password: record("password 3"), recovery: record("code 3"), ..alice.next_vault() };
    let list = alice.next_list(1);
    let proof = Proof { secret: tidings_proto::frame::Secret::Recovery, record: Hash::of(b"code 2") };
    let guest = Origin::Guest { user: alice.name.clone(), device: list.device, proof: proof.clone() };
    home.logs.rekey(guest, proof, secrets, list.bytes().clone()).await.unwrap();
    assert_eq!(kept(&home, &alice).await, said("password 3", "code 3", "vault 4", (4, 5)));
}

#[tokio::test]
async fn what_does_not_fit_changes_nothing() {
    let home = Home::new("s1").await;
    let mut alice = home.person("alice").await;
    let bob = home.person("bob").await;
    let before = kept(&home, &alice).await;
    let secrets = || Secrets { password: None, recovery: None, vault: sealed(2, &"vault 2".into()) };
    alice.next_vault();
    let good = alice.next_list(2);
    let rekey = |origin: Origin, proof: Proof, secrets: Secrets, draft: &[u8]| {
        let (logs, draft) = (home.logs.clone(), Bytes::copy_from_slice(draft));
        async move { logs.rekey(origin, proof, secrets, draft).await }
    };
    let again = |version: u64, vault: (u64, &'static [u8])| {
        let mut bent = Person { version: version - 1, prev: alice.prev, ..Person::new("alice@s1") };
        bent.prev = home.logs.directory().state(&alice.name).map(|state| state.list_hash);
        bent.vault = (vault.0, Bytes::from_static(vault.1));
        bent.list_of(2, How::default())
    };
    let stale = Proof { record: Hash::of(b"a password of before"), ..Person::proof() };
    let post = alice.post(1, "no list at all");
    for (what, origin, proof, secrets, draft, expected) in [
        ("not proved", alice.origin(), stale, secrets(), good.clone(), Code::PasswordNeeded),
        ("another's", bob.origin(), Person::proof(), secrets(), good.clone(), Code::Forbidden),
        ("a peer's", Origin::Peer("s2".parse().unwrap()), Person::proof(), secrets(), good.clone(), Code::Forbidden),
        ("no list", alice.origin(), Person::proof(), secrets(), post, Code::Forbidden),
        (
            "another vault than the list's",
            alice.origin(),
            Person::proof(),
            Secrets { vault: sealed(2, &"x".into()), ..secrets() },
            good.clone(),
            Code::Malformed,
        ),
        (
            "another version than the list's",
            alice.origin(),
            Person::proof(),
            Secrets { vault: sealed(3, &"vault 2".into()), ..secrets() },
            good.clone(),
            Code::Malformed,
        ),
        (
            "a vault that is not the next",
            alice.origin(),
            Person::proof(),
            Secrets { vault: sealed(3, &"vault 2".into()), ..secrets() },
            again(2, (3, b"vault 2")),
            Code::Conflict,
        ),
        (
            "the vault there is",
            alice.origin(),
            Person::proof(),
            Secrets { vault: sealed(1, &"vault 2".into()), ..secrets() },
            again(2, (1, b"vault 2")),
            Code::Conflict,
        ),
        ("a list that is not the next", alice.origin(), Person::proof(), secrets(), again(3, (2, b"vault 2")), Code::Conflict),
    ] {
        assert_eq!(code(rekey(origin, proof, secrets, draft.bytes()).await), expected, "{what}");
        assert_eq!(kept(&home, &alice).await, before, "{what}");
    }
    let placed = rekey(alice.origin(), Person::proof(), secrets(), good.bytes()).await.unwrap();
    // The answer was lost: the same again is the same answer, and no second change.
    assert_eq!(rekey(alice.origin(), Person::proof(), secrets(), good.bytes()).await.unwrap(), placed);
    assert_eq!(kept(&home, &alice).await, said("password record", "recovery record", "vault 2", (2, 2)));
}

#[tokio::test]
async fn of_two_devices_that_change_the_account_at_once_one_is_told_so() {
    let home = Home::new("s1").await;
    let mut alice = home.person("alice").await;
    alice.devices.push(key("alice's second"));
    let list = alice.next_list(1);
    home.logs.append(alice.guest(list.device), &keys("s1"), list.bytes().clone(), None).await.unwrap();
    let state = home.logs.directory().state(&alice.name).unwrap();
    let each = |which: usize| {
        let mut one = Person { version: 2, prev: Some(state.list_hash), ..Person::new("alice@s1") };
        one.devices = alice.devices.clone();
        one.devices.swap(1, which);
        let secrets = one.next_vault();
        let draft = one.next_list(2);
        let origin = Origin::Device { user: one.name.clone(), device: draft.device };
        home.logs.rekey(origin, Person::proof(), secrets, draft.bytes().clone())
    };
    let device = alice.device();
    let put = home.logs.put_book(&alice.name, &device, 2, Bytes::from_static(b"names of devices"));
    // In line in this order, and in one batch.
    let (one, two, put) = tokio::join!(each(0), each(1), put);
    one.unwrap();
    assert_eq!((code(two), code(put)), (Code::Conflict, Code::Conflict));
    assert_eq!(kept(&home, &alice).await, said("password record", "recovery record", "vault 2", (2, 3)));
}

/// Nothing of it is there when the disk is full.
#[tokio::test]
async fn a_change_that_cannot_be_kept_is_no_change() {
    let folder = tempfile::tempdir().unwrap();
    let (store, logs) = open_on(folder.path(), "s1", Arc::new(LocalBus::default())).await;
    let mut alice = Person::new("alice@s1");
    alice.join(&logs).await.unwrap();
    let secrets = alice.next_vault();
    let list = alice.next_list(2);
    store.fail_commits(true);
    let again = Secrets { password: None, recovery: None, vault: secrets.vault.clone() };
    assert_eq!(code(logs.rekey(alice.origin(), Person::proof(), secrets, list.bytes().clone()).await), Code::Full);
    assert_eq!(code(logs.put_book(&alice.name, &alice.device(), 2, Bytes::from_static(b"x")).await), Code::Full);
    store.fail_commits(false);
    assert_eq!(logs.directory().state(&alice.name).unwrap().version(), 1);
    assert_eq!(logs.account(&alice.name).await.unwrap().unwrap().vault.version, 1);
    logs.rekey(alice.origin(), Person::proof(), again, list.bytes().clone()).await.unwrap();
    logs.close().await;
}

#[tokio::test]
async fn a_book_takes_the_place_of_the_last_one_and_of_no_other() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let device = alice.device();
    let put = |version, book: Vec<u8>| home.logs.put_book(&alice.name, &device, version, book.into());
    for version in [0, 3, u64::MAX] {
        assert_eq!(code(put(version, b"x".to_vec()).await), Code::Conflict, "{version}");
    }
    assert_eq!(code(put(1, b"x".to_vec()).await), Code::Conflict, "the one there is");
    assert_eq!(put(1, b"book".to_vec()).await, Ok(()), "the very one there is: the answer was lost");
    for (version, size) in [(2, limits::VAULT - 1), (3, limits::VAULT)] {
        put(version, vec![7; size]).await.unwrap();
        put(version, vec![7; size]).await.unwrap();
    }
    assert_eq!(code(put(4, vec![7; limits::VAULT + 1]).await), Code::TooLarge);
    assert_eq!(code(home.logs.put_book(&"nobody@s1".parse().unwrap(), &device, 1, Bytes::new()).await), Code::Closed);
    let home = home.restart().await;
    let account = home.logs.account(&alice.name).await.unwrap().unwrap();
    assert_eq!((account.vault.version, account.vault.book.len()), (3, limits::VAULT));
    assert_eq!(home.logs.directory().state(&alice.name).unwrap().version(), 1, "no list goes with it");
}

/// The promise: whatever a stolen device puts there, its owner's password and code open the account, and the device can be
/// taken off.
#[tokio::test]
async fn no_device_can_spoil_what_the_account_is_lost_without() {
    let home = Home::new("s1").await;
    let mut alice = home.person("alice").await;
    let before = home.logs.account(&alice.name).await.unwrap().unwrap();
    for version in 2..=5 {
        home.logs.put_book(&alice.name, &alice.device(), version, Bytes::from_static(b"rubbish")).await.unwrap();
    }
    let after = home.logs.account(&alice.name).await.unwrap().unwrap();
    assert_eq!((&after.password, &after.recovery, &after.vault.keys), (&before.password, &before.recovery, &before.vault.keys));
    // What takes a secret goes on from there.
    alice.vault.0 = 5;
    home.rekey(&mut alice, 2).await.unwrap();
    assert_eq!(kept(&home, &alice).await, said("password record", "recovery record", "vault 6", (6, 2)));
}

/// Also when both are in one batch: what the device wants comes after what takes it off.
#[tokio::test]
async fn a_device_that_is_taken_off_puts_no_book() {
    let home = Home::new("s1").await;
    let mut alice = home.person("alice").await;
    let thief = key("alice's second");
    alice.devices.push(thief.clone());
    let list = alice.next_list(1);
    home.logs.append(alice.guest(list.device), &keys("s1"), list.bytes().clone(), None).await.unwrap();
    let put = |device: DeviceKey, version| {
        let name = alice.name.clone();
        let logs = home.logs.clone();
        async move { logs.put_book(&name, &device, version, Bytes::from_static(b"x")).await }
    };
    assert_eq!(code(put(device(&key("a stranger's")), 2).await), Code::Revoked);
    put(device(&thief), 2).await.unwrap();
    let (own, late) = (put(alice.device(), 4), put(device(&thief), 4));
    alice.devices.pop();
    alice.vault.0 = 2;
    let (gone, late, own) = tokio::join!(home.rekey(&mut alice, 2), late, own);
    gone.unwrap();
    assert_eq!((code(late), own), (Code::Revoked, Ok(())));
}
