//! The vault: what an account needs on every device, kept by the server, useless to it.
//!
//! ```text
//! password's export key ─┐
//!                        ├─→ keyring ─┬─→ identity key       (opened only to change the device list)
//! recovery's export key ─┘            ├─→ body: encryption keys, history keys
//!                                     └─→ book: names of devices, whom its owner has verified
//! ```
//! Either secret opens the keyring, two random keys. Devices keep the one that opens body and book. The server keeps two
//! parts (`SealedVault`): the keys, which are all but the book and change with the device list only, and the book, which every
//! listed device writes: whoever has such a device can spoil the book, and nothing that the account is lost without.
//!
//! Everything is bound to the user, the body also to its version and to the other keys, the book to the vault's version and to
//! the keys; that old keys are not slipped in whole is seen by their hash in the device list.

use crate::account::VaultBook;
use crate::aead;
use crate::history::HistoryKeys;
use crate::opaque::ExportKey;
use crate::rsa::Pkcs8;
use bytes::Bytes;
use hkdf::Hkdf;
use minicbor::bytes::{ByteSlice, ByteVec};
use minicbor::{Decode, Encode};
use rand_core::{OsRng, RngCore};
use sha2::Sha256;
use tidings_proto::cbor::{self, raw};
use tidings_proto::frame::{SealedVault, Secret};
use tidings_proto::{Hash, UserName, label, limits};
use zeroize::{Zeroize, Zeroizing};

/// The vault does not open, or is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the vault cannot be opened: the server sent another one, or it is damaged")]
pub struct BadVault;

/// A key of the vault's own.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// A new key.
pub(crate) fn random_key() -> Key {
    let mut key = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(&mut *key);
    key
}

/// 32 bytes, or no key.
pub(crate) fn key_of(bytes: &[u8]) -> Result<Key, BadVault> {
    bytes.try_into().map(Zeroizing::new).map_err(|_| BadVault)
}

/// The two keys that either secret gives.
pub(crate) struct Keyring {
    /// Locks the identity key.
    identity: Key,
    /// The account master key: locks the body.
    pub(crate) master: Key,
}

impl Keyring {
    pub(crate) fn generate() -> Keyring {
        Keyring { identity: random_key(), master: random_key() }
    }

    /// As it lies under one of the secrets.
    fn wrapped(&self, user: &UserName, secret: Secret, export: &ExportKey) -> Bytes {
        let joined = Zeroizing::new([&self.identity[..], &self.master[..]].concat());
        aead::seal(&wrapping_key(export), &bound(user, slot(secret), 0), &joined).into()
    }
}

/// What the body holds.
pub(crate) struct Contents {
    /// The encryption keys, the newest first.
    pub encryption: Vec<Pkcs8>,
    /// The history keys.
    pub history: HistoryKeys,
}

/// The keys of a vault, as the server keeps them.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct Vault {
    /// The version of the vault that they were written with.
    #[n(0)]
    pub version: u64,
    #[cbor(n(1), with = "raw")]
    password: Bytes,
    #[cbor(n(2), with = "raw")]
    recovery: Bytes,
    #[cbor(n(3), with = "raw")]
    identity: Bytes,
    #[cbor(n(4), with = "raw")]
    body: Bytes,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Body {
    #[n(0)]
    encryption: Vec<ByteVec>,
    #[n(1)]
    history: ByteVec,
    /// The history keys before; absent where there were none, as in vaults of versions that had one.
    #[n(2)]
    history_before: Option<Vec<ByteVec>>,
}

impl Drop for Body {
    /// Leaves no copy of the keys behind.
    fn drop(&mut self) {
        let older = self.history_before.iter_mut().flatten();
        self.encryption.iter_mut().chain([&mut self.history]).chain(older).for_each(|key| key.zeroize());
    }
}

impl Vault {
    /// Locks an identity key; nothing else is there yet.
    pub(crate) fn new(user: &UserName, keyring: &Keyring, identity: &[u8]) -> Vault {
        let identity = aead::seal(&keyring.identity, &bound(user, "identity", 0), identity).into();
        Vault { version: 0, password: Bytes::new(), recovery: Bytes::new(), identity, body: Bytes::new() }
    }

    /// Reads the keys of what the server sent. The book may have been changed since they were written.
    pub(crate) fn read(sealed: &SealedVault) -> Result<Vault, BadVault> {
        let vault: Vault = cbor::decode(&sealed.keys, limits::VAULT).map_err(|_| BadVault)?;
        if vault.version <= sealed.version { Ok(vault) } else { Err(BadVault) }
    }

    /// Puts the keyring under a secret.
    pub(crate) fn wrap(&mut self, user: &UserName, keyring: &Keyring, secret: Secret, export: &ExportKey) {
        *match secret {
            Secret::Password => &mut self.password,
            Secret::Recovery => &mut self.recovery,
        } = keyring.wrapped(user, secret, export);
    }

    /// Opens the keyring with the export key of one of the secrets.
    pub(crate) fn keyring(&self, user: &UserName, secret: Secret, export: &ExportKey) -> Result<Keyring, BadVault> {
        let wrapped = match secret {
            Secret::Password => &self.password,
            Secret::Recovery => &self.recovery,
        };
        let keys = aead::open(&wrapping_key(export), &bound(user, slot(secret), 0), wrapped).map_err(|_| BadVault)?;
        let (identity, master) = keys.split_at_checked(32).ok_or(BadVault)?;
        Ok(Keyring { identity: key_of(identity)?, master: key_of(master)? })
    }

    /// Opens the identity key.
    pub(crate) fn identity(&self, user: &UserName, keyring: &Keyring) -> Result<Pkcs8, BadVault> {
        aead::open(&keyring.identity, &bound(user, "identity", 0), &self.identity).map_err(|_| BadVault)
    }

    /// Opens the body.
    pub(crate) fn contents(&self, user: &UserName, master: &Key) -> Result<Contents, BadVault> {
        let body = aead::open(master, &self.body_bound(user), &self.body).map_err(|_| BadVault)?;
        let body: Body = cbor::decode(&body, limits::VAULT).map_err(|_| BadVault)?;
        let encryption = body.encryption.iter().map(|key| Zeroizing::new(key.to_vec())).collect();
        Ok(Contents { encryption, history: HistoryKeys::from_parts(&body.history, body.history_before.as_deref())? })
    }

    /// The next version, with another body and this book, as the server is to keep it.
    pub(crate) fn next(mut self, user: &UserName, version: u64, master: &Key, contents: &Contents, book: &VaultBook) -> SealedVault {
        let encryption = contents.encryption.iter().map(|key| key.to_vec().into()).collect();
        let (history, history_before) = contents.history.to_parts();
        let body = Body { encryption, history, history_before };
        self.version = version;
        self.body = aead::seal(master, &self.body_bound(user), &Zeroizing::new(cbor::encode(&body))).into();
        let keys = cbor::encode(&self).into();
        with_book(user, version, master, keys, book)
    }

    /// The body is bound to its version and to the parts beside it: no part can be an older one.
    fn body_bound(&self, user: &UserName) -> Vec<u8> {
        let [password, recovery, identity] = [&self.password, &self.recovery, &self.identity].map(|part| <&ByteSlice>::from(&part[..]));
        let mut out = bound(user, "body", self.version);
        out.extend_from_slice(Hash::of(&cbor::encode(&(password, recovery, identity))).as_bytes());
        out
    }
}

/// The vault of version `version`, with these keys and this book.
pub(crate) fn with_book(user: &UserName, version: u64, master: &Key, keys: Bytes, book: &VaultBook) -> SealedVault {
    let sealed = aead::seal(master, &book_bound(user, version, &keys), &cbor::encode(book));
    SealedVault { version, keys, book: sealed.into() }
}

/// Opens the book.
pub(crate) fn book(user: &UserName, master: &Key, sealed: &SealedVault) -> Result<VaultBook, BadVault> {
    let book = aead::open(master, &book_bound(user, sealed.version, &sealed.keys), &sealed.book).map_err(|_| BadVault)?;
    cbor::decode(&book, limits::VAULT).map_err(|_| BadVault)
}

/// The book is bound to the vault's version and keys: it cannot be an older one, nor another account's of the same name.
fn book_bound(user: &UserName, version: u64, keys: &Bytes) -> Vec<u8> {
    let mut out = bound(user, "book", version);
    out.extend_from_slice(Hash::of(keys).as_bytes());
    out
}

fn slot(secret: Secret) -> &'static str {
    match secret {
        Secret::Password => "password",
        Secret::Recovery => "recovery",
    }
}

/// HKDF-SHA-256 (RFC 5869) of an export key.
fn wrapping_key(export: &ExportKey) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, &export.0).expand(&label::marked(label::VAULT_KEY), &mut *key).expect("32 bytes can be had");
    key
}

/// What a part of the vault is bound to.
fn bound(user: &UserName, part: &str, version: u64) -> Vec<u8> {
    let mut out = label::marked(label::VAULT);
    out.extend_from_slice(format!("{user}\0{part}\0").as_bytes());
    out.extend_from_slice(&version.to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(byte: u8) -> ExportKey {
        ExportKey(Zeroizing::new(vec![byte; 64]))
    }

    fn sealed() -> (UserName, SealedVault) {
        let user: UserName = "alice@s1".parse().unwrap();
        let contents = Contents { encryption: vec![Zeroizing::new(b"encryption".to_vec())], history: HistoryKeys::of([3; 32]) };
        let keyring = Keyring::generate();
        let mut vault = Vault::new(&user, &keyring, b"identity");
        vault.wrap(&user, &keyring, Secret::Password, &export(1));
        vault.wrap(&user, &keyring, Secret::Recovery, &export(2));
        let vault = vault.next(&user, 5, &keyring.master, &contents, &VaultBook::default());
        (user, vault)
    }

    fn open(user: &UserName, sealed: &SealedVault, secret: Secret, key: u8) -> Result<(Pkcs8, Contents, VaultBook), BadVault> {
        let vault = Vault::read(sealed)?;
        let keyring = vault.keyring(user, secret, &export(key))?;
        Ok((vault.identity(user, &keyring)?, vault.contents(user, &keyring.master)?, book(user, &keyring.master, sealed)?))
    }

    #[test]
    fn either_secret_opens_it_and_no_other() {
        let (user, vault) = sealed();
        for (secret, key) in [(Secret::Password, 1), (Secret::Recovery, 2)] {
            let (identity, contents, _) = open(&user, &vault, secret, key).unwrap();
            assert_eq!(&identity[..], b"identity");
            assert_eq!(&contents.encryption[0][..], b"encryption");
            assert_eq!(contents.history.to_parts(), HistoryKeys::of([3; 32]).to_parts());
            assert!(open(&user, &vault, secret, 3).is_err());
        }
        assert!(open(&user, &vault, Secret::Recovery, 1).is_err(), "a secret opens its own slot only");
    }

    /// Also the slot of the other secret, which is not opened: a device that writes the vault hands it on.
    #[test]
    fn it_is_bound_to_its_user_and_version_and_to_every_byte() {
        let (user, vault) = sealed();
        assert!(open(&"bob@s1".parse().unwrap(), &vault, Secret::Password, 1).is_err());
        for version in [4, 6] {
            assert!(open(&user, &SealedVault { version, ..vault.clone() }, Secret::Password, 1).is_err(), "{version}");
        }
        let changed = |part: &Bytes, at: usize| {
            let mut changed = part.to_vec();
            changed[at] ^= 1;
            Bytes::from(changed)
        };
        for at in 0..vault.keys.len() {
            let spoiled = SealedVault { keys: changed(&vault.keys, at), ..vault.clone() };
            assert!(open(&user, &spoiled, Secret::Password, 1).is_err(), "byte {at} of the keys");
        }
        for at in 0..vault.book.len() {
            let spoiled = SealedVault { book: changed(&vault.book, at), ..vault.clone() };
            assert!(open(&user, &spoiled, Secret::Password, 1).is_err(), "byte {at} of the book");
        }
    }

    /// Of the same account, under the same master key.
    #[test]
    fn a_book_is_bound_to_its_version_and_to_the_keys_beside_it() {
        let user: UserName = "alice@s1".parse().unwrap();
        let (master, book_of) = (Zeroizing::new([1; 32]), VaultBook::default());
        let keys = Bytes::from_static(b"keys");
        let sealed = with_book(&user, 5, &master, keys.clone(), &book_of);
        assert_eq!(book(&user, &master, &sealed), Ok(book_of));
        assert_eq!(book(&user, &master, &SealedVault { version: 6, ..sealed.clone() }), Err(BadVault));
        assert_eq!(book(&user, &master, &SealedVault { keys: Bytes::from_static(b"other"), ..sealed }), Err(BadVault));
    }

    /// An old vault under a new number: its device has seen the number, not the vault.
    #[test]
    fn a_server_cannot_give_it_another_version() {
        let (user, vault) = sealed();
        assert_eq!(vault.keys[..3], [0xa5, 0, 5], "the version is the first that stands there");
        let relabelled = Bytes::from([&vault.keys[..2], &[6], &vault.keys[3..]].concat());
        let relabelled = SealedVault { version: 6, keys: relabelled, ..vault };
        let read = Vault::read(&relabelled).unwrap();
        let keyring = read.keyring(&user, Secret::Password, &export(1)).unwrap();
        assert!(read.contents(&user, &keyring.master).is_err());
    }

    /// Were the slots not told apart, a server could answer for one secret with what the other one opens.
    #[test]
    fn a_part_opens_in_its_own_place_only() {
        let (user, vault) = sealed();
        let mut moved = Vault::read(&vault).unwrap();
        std::mem::swap(&mut moved.password, &mut moved.recovery);
        assert!(moved.keyring(&user, Secret::Recovery, &export(1)).is_err());
        assert!(moved.keyring(&user, Secret::Password, &export(2)).is_err());
    }
}
