//! Where secrets must not be: in what a device keeps, in what the server gets, in what is printed.

use crate::account::{PASSWORD, account};
use crate::samples::*;
use std::collections::HashSet;
use tidings_e2ee::account::unlock;
use tidings_e2ee::rsa::{AwsLcKeys, RsaError, RsaKeys};
use tidings_e2ee::{DeviceSecret, RecoveryCode};
use tidings_proto::frame::Secret;
use tidings_trust::RsaPublicKey;

/// How many pieces of `secret`, 12 bytes each, are somewhere in `bytes`. A key's modulus is public, and left out.
fn pieces(secret: &[u8], bytes: &[u8], public: &RsaPublicKey) -> usize {
    let open: HashSet<&[u8]> = public.modulus().windows(12).collect();
    let there: HashSet<&[u8]> = bytes.windows(12).collect();
    // The first 40 bytes say that it is an RSA key in PKCS #8, which every key begins with; then comes the modulus.
    secret[40 + 384..].windows(12).filter(|piece| there.contains(piece) && !open.contains(piece)).count()
}

/// Control: with the identity key put beside the encryption keys that `unlock` gives to be kept, its pieces are found.
#[test]
fn a_device_does_not_keep_the_identity_key() {
    let account = account();
    let (identity, encryption) = (signing(A).1, signing(B).1);
    let unlocked = unlock(&account.list.user, &account.vault, Secret::Password, &PASSWORD).unwrap();
    for secrets in [&account.secrets, &unlocked.secrets] {
        let kept = secrets.to_bytes();
        assert_eq!(pieces(A, &kept, &identity), 0);
        assert!(pieces(B, &kept, &encryption) > 1000, "the control: the encryption key is found");
    }
}

#[test]
fn the_server_gets_no_key() {
    let account = account();
    for public in [&account.vault.keys[..], &account.vault.book, account.draft.bytes()] {
        assert_eq!(pieces(A, public, &signing(A).1), 0);
        assert_eq!(pieces(B, public, &signing(B).1), 0);
        let kept = account.secrets.to_bytes();
        // The history key, and the master key of the vault, with what CBOR has before each.
        let keys = &kept[kept.len() - 70..];
        assert_eq!((keys[0], &keys[1..3], keys[35], &keys[36..38]), (1, &[0x58, 32][..], 2, &[0x58, 32][..]));
        for key in [&keys[3..35], &keys[38..]] {
            assert!(!public.windows(12).any(|window| key.windows(12).any(|piece| piece == window)));
        }
    }
}

#[test]
fn a_message_shows_neither_text_nor_plaintext() {
    let draft = sealed_draft();
    assert!(!draft.bytes().windows(4).any(|window| b"the ship leaves at noon".windows(4).any(|piece| piece == window)));
}

#[test]
fn nothing_secret_is_printed() {
    let account = account();
    assert_eq!(format!("{:?} {:#?}", account.secrets, account.secrets), "AccountSecrets AccountSecrets");
    assert_eq!(format!("{:?} {:#?}", account.secrets.history, account.secrets.history), "HistoryKeys HistoryKeys");
    assert_eq!(format!("{:?} {:#?}", *PASSWORD, *PASSWORD), "ExportKey ExportKey");
    let code = RecoveryCode::generate();
    assert_eq!(format!("{code:?} {code:#?}"), "RecoveryCode RecoveryCode");
    let device = DeviceSecret::from_bytes(&[0xd5; 32]);
    for printed in [format!("{device:?}"), format!("{device:#?}")] {
        assert_eq!(printed, format!("DeviceSecret of {:?}", device.public()));
        assert!(!printed.contains("d5d5") && !printed.contains("213, 213"));
    }
    let printed = format!("{:?}", account.list.identity);
    assert_eq!(printed, format!("RsaPublicKey(3072 bits, {})", account.list.identity.kid()), "no pages of digits");
}

#[test]
fn a_device_is_its_seed() {
    let device = DeviceSecret::generate();
    let back = DeviceSecret::from_bytes(&device.to_bytes());
    assert_eq!((back.public(), back.sign(b"x")), (device.public(), device.sign(b"x")));
    assert_ne!(DeviceSecret::generate().public(), device.public());
}

/// Size and exponent are ours to check: the library takes more.
#[test]
fn other_rsa_keys_are_refused_for_either_use() {
    let exponent: &[u8] = include_bytes!("../keys/exponent.pk8");
    assert!(aws_lc_rs::rsa::KeyPair::from_pkcs8(SMALL).is_ok(), "the library takes 2048 bits");
    assert!(aws_lc_rs::rsa::KeyPair::from_pkcs8(exponent).is_ok(), "and the exponent 65539");
    for key in [SMALL, exponent, &A[..A.len() - 1], b""] {
        assert_eq!(wait(AwsLcKeys.signing(key)).err(), Some(RsaError), "{} bytes", key.len());
        assert_eq!(wait(AwsLcKeys.decrypting(key)).err(), Some(RsaError), "{} bytes", key.len());
    }
    for key in [A, LARGE] {
        assert!(wait(AwsLcKeys.signing(key)).is_ok() && wait(AwsLcKeys.decrypting(key)).is_ok());
    }
}
