//! An account from its making to its twentieth device, and servers that show another one.

use crate::samples::*;
use opaque_ke::{RegistrationRequest, ServerRegistration, ServerSetup};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use tidings_e2ee::account::{AccountError, create, unlock};
use tidings_e2ee::history::{open_at_rest, seal_at_rest};
use tidings_e2ee::opaque::{ExportKey, Registration};
use tidings_e2ee::rsa::{AwsLcKeys, Pkcs8, RsaError, RsaKeys};
use tidings_e2ee::suite::rsa_jwe::RsaJwe1;
use tidings_e2ee::vault::BadVault;
use tidings_e2ee::{AccountSecrets, DeviceSecret, NewAccount, Unlocked};
use tidings_proto::frame::{SealedVault, Secret};
use tidings_proto::{Draft, Encoded, Hash, Kind, LogName, SuiteName, UserName, cbor};
use tidings_trust::login::OpaqueSuite;
use tidings_trust::{DeviceList, KeyState, SignedList, VaultRef, device_list};
use zeroize::Zeroizing;

/// aws-lc-rs, but what it generates is known beforehand.
pub struct FixedKeys(AtomicUsize, &'static [&'static [u8]]);

impl FixedKeys {
    /// One after the other.
    pub fn of(keys: &'static [&'static [u8]]) -> FixedKeys {
        FixedKeys(AtomicUsize::new(0), keys)
    }
}

impl RsaKeys for FixedKeys {
    type Signing = Signing;
    type Decrypting = Decrypting;

    async fn generate(&self) -> Result<Pkcs8, RsaError> {
        Ok(Zeroizing::new(self.1[self.0.fetch_add(1, Ordering::Relaxed)].to_vec()))
    }
    async fn signing(&self, pkcs8: &[u8]) -> Result<(Signing, tidings_trust::RsaPublicKey), RsaError> {
        AwsLcKeys.signing(pkcs8).await
    }
    async fn decrypting(&self, pkcs8: &[u8]) -> Result<(Decrypting, tidings_trust::RsaPublicKey), RsaError> {
        AwsLcKeys.decrypting(pkcs8).await
    }
    async fn sign_pss(&self, key: &Signing, message: &[u8]) -> Result<Vec<u8>, RsaError> {
        AwsLcKeys.sign_pss(key, message).await
    }
    async fn decrypt_oaep(&self, key: &Decrypting, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, RsaError> {
        AwsLcKeys.decrypt_oaep(key, ciphertext).await
    }
}

/// An export key as it comes about: out of a registration with a server.
pub fn export(secret: &[u8]) -> ExportKey {
    let mut rng = rand_core::OsRng;
    let server = ServerSetup::<OpaqueSuite>::new(&mut rng);
    let (registration, request) = Registration::start(secret).unwrap();
    let request = RegistrationRequest::deserialize(&request).unwrap();
    let response = ServerRegistration::<OpaqueSuite>::start(&server, request, b"id").unwrap().message.serialize();
    registration.finish(secret, &response, &alice(), alice().server()).unwrap().1
}

pub static PASSWORD: LazyLock<ExportKey> = LazyLock::new(|| export(b"correct horse"));
pub static RECOVERY: LazyLock<ExportKey> = LazyLock::new(|| export(b"twenty-four words"));

pub fn alice() -> UserName {
    "alice@s1".parse().unwrap()
}

pub fn keys_log() -> LogName {
    "keys@s1".parse().unwrap()
}

/// Alice's account on device 1, with the keys `a` and `b`.
pub fn account() -> NewAccount {
    wait(create(&FixedKeys::of(&[A, B]), &alice(), &device(1), &PASSWORD, &RECOVERY)).unwrap()
}

pub fn first_state(account: &NewAccount) -> KeyState {
    KeyState::apply(None, &keys_log(), 1, &account.draft, None).unwrap()
}

pub fn unlocked(account: &NewAccount) -> Unlocked {
    unlock(&alice(), &account.vault, Secret::Password, &PASSWORD).unwrap()
}

/// What a server would show that has the identity key `a`, which it has not: a next list, changed at will.
pub fn shown(before: &KeyState, change: impl FnOnce(&mut DeviceList)) -> KeyState {
    let mut list = (*before.list).clone();
    list.version += 1;
    list.prev = Some(before.list_hash);
    change(&mut list);
    let bytes = cbor::encode(&list);
    let sig = wait(AwsLcKeys.sign_pss(&signing(A).0, &device_list::signed_bytes(&bytes))).unwrap().into();
    let body = cbor::encode(&SignedList { list: bytes.into(), sig, by_old: None, grant: None }).into();
    let (version, kind) = (list.version, Kind::List);
    let draft = Draft { device: device(1).public(), n: 2, author: alice(), list: version, epoch: None, kind, body, sig: None };
    KeyState::apply(Some(before), &keys_log(), before.seq + 1, &draft.signed(&keys_log(), |bytes| device(1).sign(bytes)), None).unwrap()
}

fn add(unlocked: &Unlocked, newest: &KeyState, device: &DeviceSecret) -> Result<Encoded<Draft>, AccountError> {
    wait(unlocked.add_device(&AwsLcKeys, newest, device))
}

#[test]
fn what_an_account_submits_is_taken_by_everybody() {
    let account = account();
    let state = first_state(&account);
    assert_eq!(*state.list, account.list);
    assert_eq!((account.draft.kind, account.draft.n, account.draft.epoch), (Kind::First, 1, None));
    assert_eq!((&account.list.user, account.list.version, account.list.prev), (&alice(), 1, None));
    assert_eq!((&account.list.identity, &account.list.encryption), (&signing(A).1, &signing(B).1));
    assert_eq!(account.list.vault, VaultRef { version: 1, hash: Hash::of(&account.vault.keys) });
    assert_eq!(state.device(&device(1).public()).unwrap().suites, [SuiteName::RsaJwe1, SuiteName::Mls1]);
}

/// The one test that waits for primes.
#[test]
fn an_account_has_two_new_keys_of_3072_bits() {
    let account = wait(create(&AwsLcKeys, &alice(), &device(1), &PASSWORD, &RECOVERY)).unwrap();
    assert_eq!((account.list.identity.bits(), account.list.encryption.bits()), (3072, 3072));
    assert_ne!(account.list.identity, account.list.encryption);
    assert!(KeyState::apply(None, &keys_log(), 1, &account.draft, None).is_ok());
    let unlocked = unlock(&alice(), &account.vault, Secret::Recovery, &RECOVERY).unwrap();
    assert!(add(&unlocked, &first_state(&account), &device(2)).is_ok(), "the identity key came through the vault");
}

#[test]
fn password_and_recovery_code_each_open_the_account() {
    let account = account();
    for (secret, export) in [(Secret::Password, &*PASSWORD), (Secret::Recovery, &*RECOVERY)] {
        let unlocked = unlock(&alice(), &account.vault, secret, export).unwrap();
        assert_eq!(unlocked.secrets.to_bytes(), account.secrets.to_bytes(), "{secret:?}");
    }
}

#[test]
fn nothing_else_opens_it() {
    let account = account();
    let bad = |user: &UserName, keys: &[u8], version, secret, export: &ExportKey| {
        let vault = SealedVault { version, keys: keys.to_vec().into(), ..account.vault.clone() };
        assert_eq!(unlock(user, &vault, secret, export).err(), Some(AccountError::Vault(BadVault)));
    };
    bad(&alice(), &account.vault.keys, 1, Secret::Password, &RECOVERY);
    bad(&alice(), &account.vault.keys, 1, Secret::Recovery, &PASSWORD);
    bad(&alice(), &account.vault.keys, 1, Secret::Password, &export(b"correct horse")); // the same words, another registration
    bad(&alice(), &account.vault.keys, 0, Secret::Password, &PASSWORD);
    bad(&"bob@s1".parse().unwrap(), &account.vault.keys, 1, Secret::Password, &PASSWORD);
    bad(&"alice@s2".parse().unwrap(), &account.vault.keys, 1, Secret::Password, &PASSWORD);
    bad(&alice(), b"", 1, Secret::Password, &PASSWORD);
    bad(&alice(), &account.vault.keys[1..], 1, Secret::Password, &PASSWORD);
    bad(&alice(), &[&account.vault.keys[..], &[0]].concat(), 1, Secret::Password, &PASSWORD);
}

#[test]
fn two_accounts_vaults_have_nothing_in_common() {
    let (one, two) = (account(), account());
    let windows: std::collections::HashSet<&[u8]> = one.vault.keys.windows(12).chain(one.vault.book.windows(12)).collect();
    // What is there beside ciphertext is short.
    assert_eq!(two.vault.keys.windows(12).chain(two.vault.book.windows(12)).filter(|window| windows.contains(window)).count(), 0);
    assert_ne!(one.secrets.to_bytes(), two.secrets.to_bytes(), "the keys of RSA are fixed here, the history key is not");
}

#[test]
fn a_second_device_is_taken_by_everybody_and_reads_what_the_first_reads() {
    let account = account();
    let first = first_state(&account);
    let unlocked = unlocked(&account);
    let draft = add(&unlocked, &first, &device(2)).unwrap();
    assert_eq!((draft.kind, draft.n, draft.device), (Kind::List, 1, device(2).public()));
    let second = KeyState::apply(Some(&first), &keys_log(), 2, &draft, None).unwrap();
    assert_eq!(second.list.devices, listed(&[1, 2]));
    assert_eq!((&second.list.identity, &second.list.encryption), (&first.list.identity, &first.list.encryption));
    assert_eq!(second.list.vault, first.list.vault);

    // A message of bob's, and what the first device has kept.
    let room = Room::of(&second, &BOB.state);
    let place = Place { author: BOB.user().clone(), ..Place::inside(&room) };
    let message = place.draft(&BOB.device, place.seal(&BOB, &content()).unwrap());
    let (key, public) = decrypting(&unlocked.secrets.encryption[0]);
    let ring = [(public.kid(), key)];
    let suite = RsaJwe1 { keys: &AwsLcKeys, device: &device(2), decrypting: &ring };
    assert_eq!(room.open_by(&suite, &BOB.state, &message).unwrap().content, content());
    let kept = seal_at_rest(&account.secrets.history, &keys_log(), 7, &content());
    assert_eq!(open_at_rest(&unlocked.secrets.history, &keys_log(), 7, &kept), Ok(content()));
}

#[test]
fn twenty_devices_and_no_more() {
    let account = account();
    let unlocked = unlocked(&account);
    let mut state = first_state(&account);
    for seed in 2..=20 {
        let draft = add(&unlocked, &state, &device(seed)).unwrap();
        state = KeyState::apply(Some(&state), &keys_log(), u64::from(seed), &draft, None).unwrap();
    }
    assert_eq!(state.list.devices.len(), 20);
    assert_eq!(add(&unlocked, &state, &device(21)).unwrap_err(), AccountError::TooManyDevices);
}

/// Control: with the comparison of identities left out of `add_device`, the new device signs a list for the server's keys.
#[test]
fn a_server_that_shows_other_keys_is_found_out() {
    let account = account();
    let unlocked = unlocked(&account);
    let first = first_state(&account);
    let other_encryption = shown(&first, |list| list.encryption = signing(D).1);
    // With the very vault that was sent, so that nothing but the keys can tell.
    let with_vault = |user: &str, identity, encryption| {
        let mut state = Person::new(user, identity, encryption, 1).state;
        state.list = Arc::new(DeviceList { vault: account.list.vault.clone(), ..(*state.list).clone() });
        state
    };
    let other_identity = with_vault("alice@s1", C, B);
    let both = with_vault("alice@s1", C, D);
    let other_user = with_vault("mallory@s1", A, B);
    for state in [&other_encryption, &other_identity, &both, &other_user] {
        assert_eq!(add(&unlocked, state, &device(2)).unwrap_err(), AccountError::NotOurKeys, "{:?}", state.list);
    }
    assert!(add(&unlocked, &first, &device(2)).is_ok(), "the control");
}

#[test]
fn a_server_that_sends_an_old_vault_is_found_out() {
    let account = account();
    let unlocked = unlocked(&account);
    let first = first_state(&account);
    let newer = shown(&first, |list| list.vault = VaultRef { version: 2, hash: Hash([2; 32]) });
    let other = shown(&first, |list| list.vault.hash = Hash([2; 32]));
    // The other way round: vault and list are durable together, so the server holds a list back.
    let older = shown(&first, |list| list.vault = VaultRef { version: 0, hash: Hash([2; 32]) });
    for state in [&newer, &other, &older] {
        assert_eq!(add(&unlocked, state, &device(2)).unwrap_err(), AccountError::RolledBack);
    }
    // Another book needs no list.
    let written = account.secrets.write_book(&alice(), &account.vault, &unlocked.book).unwrap();
    let unlocked = unlock(&alice(), &written, Secret::Password, &PASSWORD).unwrap();
    assert_eq!(add(&unlocked, &first, &device(2)).map(|_| ()), Ok(()));
}

#[test]
fn what_a_device_keeps_comes_back() {
    let secrets = account().secrets;
    let back = AccountSecrets::from_bytes(&secrets.to_bytes()).unwrap();
    assert_eq!(back.encryption, [Zeroizing::new(B.to_vec())]);
    assert_eq!(back.to_bytes(), secrets.to_bytes());
    let kept = seal_at_rest(&secrets.history, &keys_log(), 7, &content());
    assert_eq!(open_at_rest(&back.history, &keys_log(), 7, &kept), Ok(content()));
    let mut several = secrets;
    several.encryption.insert(0, Zeroizing::new(D.to_vec()));
    assert_eq!(AccountSecrets::from_bytes(&several.to_bytes()).unwrap().encryption, several.encryption, "the newest first");
    let bytes = several.to_bytes();
    for bad in [&b""[..], b"\xa0", &bytes[1..], &bytes[..bytes.len() - 1]] {
        assert_eq!(AccountSecrets::from_bytes(bad).err(), Some(BadVault));
    }
}
