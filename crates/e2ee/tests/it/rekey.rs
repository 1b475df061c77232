//! An account that goes on with other keys or other secrets: who can still read what, and who cannot.

use crate::account::*;
use crate::samples::*;
use std::sync::LazyLock;
use tidings_e2ee::account::{AccountError, Next, Rekeyed, reset, unlock};
use tidings_e2ee::history::{Segment, Unreadable, open_segment, seal_segment};
use tidings_e2ee::opaque::ExportKey;
use tidings_e2ee::rsa::AwsLcKeys;
use tidings_e2ee::suite::OpenError;
use tidings_e2ee::suite::rsa_jwe::RsaJwe1;
use tidings_e2ee::vault::BadVault;
use tidings_e2ee::{AccountSecrets, DeviceSecret, NewAccount, Unlocked};
use tidings_proto::frame::{Grant, Secret};
use tidings_proto::{Draft, Encoded, Hash, Kind, ServerKey, cbor};
use tidings_trust::{KeyState, SignedList, VaultRef};

static OTHER_PASSWORD: LazyLock<ExportKey> = LazyLock::new(|| export(b"battery staple"));
static OTHER_RECOVERY: LazyLock<ExportKey> = LazyLock::new(|| export(b"twenty-four other words"));

/// Alice's account on the devices 1 and 2, which both have its first keys; what it generates from here on is fixed too.
struct Story {
    account: NewAccount,
    state: KeyState,
    unlocked: Unlocked,
}

impl Story {
    fn new() -> Story {
        let account = account();
        let unlocked = unlocked(&account);
        let first = first_state(&account);
        let second = wait(unlocked.add_device(&AwsLcKeys, &first, &device(2))).unwrap();
        Story { state: KeyState::apply(Some(&first), &keys_log(), 2, &second, None).unwrap(), account, unlocked }
    }

    fn next<'a>(&'a self, by: &'a DeviceSecret) -> Next<'a> {
        Next { newest: &self.state, by, n: 2 }
    }

    /// Device 1 removes others; the new encryption key is `c`.
    fn revoke(&self, gone: &[u8]) -> Result<Rekeyed, AccountError> {
        let gone: Vec<_> = gone.iter().map(|seed| device(*seed).public()).collect();
        wait(self.unlocked.revoke(&FixedKeys::of(&[C]), &self.next(&device(1)), &gone, &PASSWORD, &OTHER_RECOVERY))
    }

    /// The new identity is `c`, the new encryption key `d`.
    fn rotate(&self) -> Rekeyed {
        wait(self.unlocked.rotate(&FixedKeys::of(&[C, D]), &self.next(&device(1)), &[], &PASSWORD, &OTHER_RECOVERY)).unwrap()
    }

    fn change_secrets(&self, password: Option<&ExportKey>, recovery: Option<&ExportKey>) -> Rekeyed {
        wait(self.unlocked.change_secrets(&AwsLcKeys, &self.next(&device(1)), password, recovery)).unwrap()
    }

    fn after(&self, draft: &Encoded<Draft>) -> KeyState {
        KeyState::apply(Some(&self.state), &keys_log(), 3, draft, None).unwrap()
    }

    fn opens(&self, changed: &Rekeyed, secret: Secret, export: &ExportKey) -> Result<Unlocked, AccountError> {
        unlock(&alice(), &changed.vault, secret, export)
    }
}

/// What alice makes of bob's message on a device with these secrets.
fn reads(secrets: &AccountSecrets, alice: &KeyState, sealed_under: &KeyState) -> Result<(), OpenError> {
    let then = Room::of(sealed_under, &BOB.state);
    let place = Place { author: BOB.user().clone(), ..Place::inside(&then) };
    let message = place.draft(&BOB.device, place.seal(&BOB, &content()).unwrap());
    let decrypting = |pkcs8: &Vec<u8>| {
        let (key, public) = decrypting(pkcs8);
        (public.kid(), key)
    };
    let ring: Vec<_> = secrets.encryption.iter().map(|key| decrypting(key)).collect();
    let suite = RsaJwe1 { keys: &AwsLcKeys, device: &device(1), decrypting: &ring };
    let opened = Room::of(alice, &BOB.state).open_by(&suite, &BOB.state, &message)?;
    assert_eq!(opened.content, content());
    Ok(())
}

/// Control: with the new encryption key left out of `change`, the removed device reads what follows.
#[test]
fn a_removed_device_reads_nothing_that_follows() {
    let story = Story::new();
    let removed = &story.account.secrets;
    let changed = story.revoke(&[2]).unwrap();
    let state = story.after(&changed.draft);
    assert_eq!((state.list.version, state.list.devices.clone()), (3, listed(&[1])));
    assert_eq!((changed.draft.kind, changed.draft.n, changed.draft.device), (Kind::List, 2, device(1).public()));
    assert_eq!((&state.list.identity, &state.list.encryption), (&signing(A).1, &signing(C).1));
    assert_eq!(state.list.vault, VaultRef { version: 2, hash: Hash::of(&changed.vault.keys) });
    assert_eq!(reads(removed, &state, &state), Err(OpenError::Locked));
    assert_eq!(removed.read_book(&alice(), &changed.vault), Err(AccountError::Locked));
    // What it had, it has.
    assert_eq!(reads(removed, &state, &story.state), Ok(()));
}

/// Control: with the history keys kept in `change`, what is handed on from then on opens for the removed device.
#[test]
fn what_is_handed_on_after_a_device_was_removed_does_not_open_for_it() {
    let story = Story::new();
    let removed = &story.account.secrets.history;
    let segment = Segment { rooms: Vec::new() };
    let before = seal_segment(removed, &alice(), &segment);
    for changed in [story.revoke(&[2]).unwrap(), story.rotate()] {
        let after = seal_segment(&changed.secrets.history, &alice(), &segment);
        assert_eq!(open_segment(removed, &alice(), &after), Err(Unreadable));
        let back = story.opens(&changed, Secret::Password, &PASSWORD).unwrap().secrets;
        for body in [&before, &after] {
            assert_eq!(open_segment(&back.history, &alice(), body).as_ref(), Ok(&segment), "old and new, out of the vault");
        }
        let kept = AccountSecrets::from_bytes(&back.to_bytes()).unwrap();
        assert_eq!(open_segment(&kept.history, &alice(), &before).as_ref(), Ok(&segment), "and as a device keeps them");
    }
    let same = story.change_secrets(None, Some(&OTHER_RECOVERY)).secrets;
    assert!(open_segment(removed, &alice(), &seal_segment(&same.history, &alice(), &segment)).is_ok(), "nobody has gone");
}

/// Control: with the keyring kept in `revoke`, the old code and the removed device open the new vault.
#[test]
fn neither_the_old_recovery_code_nor_the_old_master_key_opens_the_new_vault() {
    let story = Story::new();
    for changed in [story.revoke(&[2]).unwrap(), story.rotate()] {
        assert!(
            story.opens(&changed, Secret::Password, &PASSWORD).is_ok() && story.opens(&changed, Secret::Recovery, &OTHER_RECOVERY).is_ok()
        );
        for (secret, export) in [(Secret::Recovery, &*RECOVERY), (Secret::Password, &*OTHER_RECOVERY), (Secret::Recovery, &*PASSWORD)] {
            assert_eq!(story.opens(&changed, secret, export).err(), Some(AccountError::Vault(BadVault)));
        }
        assert_eq!(story.account.secrets.read_book(&alice(), &changed.vault), Err(AccountError::Locked));
        assert!(changed.secrets.read_book(&alice(), &changed.vault).is_ok());
    }
}

#[test]
fn another_device_is_told_to_log_in_again_and_then_reads_everything() {
    let story = Story::new();
    for changed in [story.revoke(&[]).unwrap(), story.rotate()] {
        let state = story.after(&changed.draft);
        let other = &story.account.secrets;
        assert_eq!(reads(other, &state, &state), Err(OpenError::Locked));
        assert_eq!(reads(other, &state, &story.state), Ok(()));
        let unlocked = story.opens(&changed, Secret::Password, &PASSWORD).unwrap();
        assert_eq!(unlocked.secrets.to_bytes(), changed.secrets.to_bytes());
        for secrets in [&changed.secrets, &unlocked.secrets] {
            assert_eq!((reads(secrets, &state, &state), reads(secrets, &state, &story.state)), (Ok(()), Ok(())), "new and old");
        }
    }
}

#[test]
fn a_rotation_has_the_old_identitys_word_and_changes_all_keys() {
    let story = Story::new();
    let changed = story.rotate();
    assert_eq!(changed.draft.kind, Kind::Rotate);
    let state = story.after(&changed.draft);
    assert_eq!((&state.list.identity, &state.list.encryption), (&signing(C).1, &signing(D).1));
    assert_eq!(state.list.devices, story.state.list.devices);
    assert!(state.is_still(&story.state.list.identity.fingerprint()), "the same person");
    // The identity key in the new vault is the new one: it signs the next list.
    let unlocked = story.opens(&changed, Secret::Recovery, &OTHER_RECOVERY).unwrap();
    let next = wait(unlocked.add_device(&AwsLcKeys, &state, &device(3))).unwrap();
    assert!(KeyState::apply(Some(&state), &keys_log(), 4, &next, None).is_ok());
    assert_eq!(
        wait(unlocked.add_device(&AwsLcKeys, &story.state, &device(3))).unwrap_err(),
        AccountError::NotOurKeys,
        "the list before is another identity's"
    );
}

#[test]
fn each_change_can_be_followed_by_the_next() {
    let story = Story::new();
    let revoked = story.revoke(&[2]).unwrap();
    let (state, unlocked) = (story.after(&revoked.draft), story.opens(&revoked, Secret::Password, &PASSWORD).unwrap());
    let next = Next { newest: &state, by: &device(1), n: 3 };
    let rotated = wait(unlocked.rotate(&FixedKeys::of(&[D, LARGE]), &next, &[], &OTHER_PASSWORD, &RECOVERY)).unwrap();
    let newer = KeyState::apply(Some(&state), &keys_log(), 4, &rotated.draft, None).unwrap();
    assert_eq!((rotated.vault.version, newer.list.vault.version, rotated.secrets.encryption.len()), (3, 3, 3));
    for sealed_under in [&story.state, &state, &newer] {
        assert_eq!(reads(&rotated.secrets, &newer, sealed_under), Ok(()));
    }
}

#[test]
fn a_new_password_leaves_keys_devices_and_recovery_code_as_they_are() {
    let story = Story::new();
    let changed = story.change_secrets(Some(&OTHER_PASSWORD), None);
    let state = story.after(&changed.draft);
    assert_eq!((changed.draft.kind, state.list.vault.version), (Kind::List, 2));
    assert_eq!((&state.list.identity, &state.list.encryption), (&story.state.list.identity, &story.state.list.encryption));
    assert_eq!(state.list.devices, story.state.list.devices);
    assert_eq!(changed.secrets.to_bytes(), story.account.secrets.to_bytes(), "no device needs to log in again");
    assert!(story.account.secrets.read_book(&alice(), &changed.vault).is_ok());
    assert!(story.opens(&changed, Secret::Password, &OTHER_PASSWORD).is_ok());
    assert!(story.opens(&changed, Secret::Recovery, &RECOVERY).is_ok());
    assert_eq!(story.opens(&changed, Secret::Password, &PASSWORD).err(), Some(AccountError::Vault(BadVault)));
    let both = story.change_secrets(Some(&OTHER_PASSWORD), Some(&OTHER_RECOVERY));
    assert!(story.opens(&both, Secret::Recovery, &OTHER_RECOVERY).is_ok());
    assert_eq!(story.opens(&both, Secret::Recovery, &RECOVERY).err(), Some(AccountError::Vault(BadVault)));
}

#[test]
fn by_the_recovery_code_a_new_device_comes_in_with_a_new_password() {
    let story = Story::new();
    let unlocked = unlock(&alice(), &story.account.vault, Secret::Recovery, &RECOVERY).unwrap();
    let next = Next { newest: &story.state, by: &device(3), n: 1 };
    let changed = wait(unlocked.change_secrets(&AwsLcKeys, &next, Some(&OTHER_PASSWORD), None)).unwrap();
    let state = story.after(&changed.draft);
    assert_eq!((changed.draft.n, changed.draft.device), (1, device(3).public()));
    assert_eq!(state.list.devices, listed(&[1, 2, 3]));
    assert!(story.opens(&changed, Secret::Password, &OTHER_PASSWORD).is_ok());
    assert_eq!(reads(&changed.secrets, &state, &story.state), Ok(()));
}

#[test]
fn who_removes_devices_is_there_and_knows_them() {
    let story = Story::new();
    assert_eq!(story.revoke(&[1]).err(), Some(AccountError::OwnDevice));
    assert_eq!(story.revoke(&[2, 1]).err(), Some(AccountError::OwnDevice));
    assert_eq!(story.revoke(&[9]).err(), Some(AccountError::NoSuchDevice));
    assert_eq!(story.revoke(&[2, 9]).err(), Some(AccountError::NoSuchDevice));
}

#[test]
fn whoever_submits_a_change_is_the_twentieth_device_at_most() {
    let story = Story::new();
    let by = |seed: u8, newest: &KeyState, gone: &[u8]| {
        let gone: Vec<_> = gone.iter().map(|seed| device(*seed).public()).collect();
        let next = Next { newest, by: &device(seed), n: 1 };
        wait(story.unlocked.revoke(&FixedKeys::of(&[C]), &next, &gone, &PASSWORD, &OTHER_RECOVERY)).map(|changed| {
            let state = KeyState::apply(Some(newest), &keys_log(), newest.seq + 1, &changed.draft, None).unwrap();
            state.list.devices.len()
        })
    };
    let crowd = |size: u8| shown(&story.state, |list| list.devices = listed(&(1..=size).collect::<Vec<_>>()));
    assert_eq!(by(21, &crowd(18), &[]), Ok(19));
    assert_eq!(by(21, &crowd(19), &[]), Ok(20));
    assert_eq!(by(21, &crowd(20), &[]), Err(AccountError::TooManyDevices));
    assert_eq!(by(21, &crowd(20), &[5]), Ok(20), "in the place of another");
    assert_eq!(by(1, &crowd(20), &[]), Ok(20));
}

/// The same servers as in `account`, before each change. Control: with `ours` left out of `change`, the identity signs for them.
#[test]
fn a_server_that_shows_other_keys_or_an_old_vault_gets_no_change() {
    let story = Story::new();
    let other_keys = shown(&story.state, |list| list.encryption = signing(D).1);
    let newer_vault = shown(&story.state, |list| list.vault = VaultRef { version: 2, hash: Hash([2; 32]) });
    let other_vault = shown(&story.state, |list| list.vault.hash = Hash([2; 32]));
    let refused =
        [(&other_keys, AccountError::NotOurKeys), (&newer_vault, AccountError::RolledBack), (&other_vault, AccountError::RolledBack)];
    for (newest, error) in refused {
        let next = Next { newest, by: &device(1), n: 2 };
        let unlocked = &story.unlocked;
        let keys = FixedKeys::of(&[C, D, LARGE]);
        assert_eq!(wait(unlocked.revoke(&keys, &next, &[], &PASSWORD, &RECOVERY)).err(), Some(error));
        assert_eq!(wait(unlocked.rotate(&keys, &next, &[], &PASSWORD, &RECOVERY)).err(), Some(error));
        assert_eq!(wait(unlocked.change_secrets(&keys, &next, Some(&PASSWORD), None)).err(), Some(error));
    }
}

#[test]
fn an_account_that_begins_anew_is_taken_with_its_servers_word_and_opens_nothing_old() {
    let story = Story::new();
    let server = DeviceSecret::from_bytes(&[200; 32]);
    let key = ServerKey(server.public().0);
    let (version, prev) = (story.state.list.version + 1, story.state.list_hash);
    let sig = server.sign(&Grant::signed_bytes(&alice(), version, &prev, &device(7).public()));
    let grant = Grant { server: key, version, prev, sig, vault: 5 };
    let keys = FixedKeys::of(&[C, LARGE]);
    let anew = wait(reset(&keys, &alice(), &device(7), &grant, &OTHER_PASSWORD, &OTHER_RECOVERY)).unwrap();
    let state = KeyState::apply(Some(&story.state), &keys_log(), 3, &anew.draft, Some(&key)).unwrap();
    assert_eq!((anew.draft.kind, anew.draft.n, &*state.list), (Kind::Reset, 1, &anew.list));
    assert_eq!((state.list.version, state.list.devices.clone(), state.list.vault.version), (3, listed(&[7]), 5));
    assert!(!state.is_still(&story.state.list.identity.fingerprint()), "whoever relied on the old identity has to look again");
    let unlocked = unlock(&alice(), &anew.vault, Secret::Password, &OTHER_PASSWORD).unwrap();
    assert_eq!(unlocked.secrets.to_bytes(), anew.secrets.to_bytes());
    assert_eq!(unlock(&alice(), &anew.vault, Secret::Password, &PASSWORD).err(), Some(AccountError::Vault(BadVault)));
    assert_eq!(reads(&anew.secrets, &state, &state), Ok(()));
    assert_eq!(reads(&anew.secrets, &state, &story.state), Err(OpenError::Locked));
    let body: SignedList = cbor::decode(&anew.draft.body, 16 * 1024).unwrap();
    assert_eq!((body.grant, body.by_old), (Some(grant), None));
}
