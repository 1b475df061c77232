//! The vault: what an account needs on every device, kept by the server, useless to it.
//!
//! ```text
//! password's export key ─┐
//!                        ├─→ keyring ─┬─→ identity key       (opened only to change the device list)
//! recovery's export key ─┘            └─→ body: encryption keys, history key, names of devices, whom its owner has verified
//! ```
//! Either secret opens the keyring, two random keys. Devices keep the one that opens the body, and write it. Everything is
//! bound to the user, the body also to its version and to the other parts; that an old vault is not slipped in whole is seen
//! by its hash in the device list.

use crate::account::VaultBook;
use crate::aead;
use crate::opaque::ExportKey;
use crate::rsa::Pkcs8;
use bytes::Bytes;
use hkdf::Hkdf;
use minicbor::bytes::{ByteSlice, ByteVec};
use minicbor::{Decode, Encode};
use rand_core::{OsRng, RngCore};
use sha2::Sha256;
use tidings_proto::cbor::{self, raw};
use tidings_proto::frame::Secret;
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
    /// The history key.
    pub history: Key,
    /// What its owner has written down.
    pub book: VaultBook,
}

/// A vault as the server keeps it.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct Vault {
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
    #[n(2)]
    book: VaultBook,
}

impl Drop for Body {
    /// Leaves no copy of the keys behind.
    fn drop(&mut self) {
        self.encryption.iter_mut().for_each(|key| key.zeroize());
        self.history.zeroize();
    }
}

impl Vault {
    /// Locks an identity key; nothing else is there yet.
    pub(crate) fn new(user: &UserName, keyring: &Keyring, identity: &[u8]) -> Vault {
        let identity = aead::seal(&keyring.identity, &bound(user, "identity", 0), identity).into();
        Vault { version: 0, password: Bytes::new(), recovery: Bytes::new(), identity, body: Bytes::new() }
    }

    /// Reads what the server sent as version `version`.
    pub(crate) fn read(version: u64, vault: &[u8]) -> Result<Vault, BadVault> {
        let vault: Vault = cbor::decode(vault, limits::VAULT).map_err(|_| BadVault)?;
        if vault.version == version { Ok(vault) } else { Err(BadVault) }
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
        Ok(Contents { encryption, history: key_of(&body.history)?, book: body.book.clone() })
    }

    /// The next version, with another body, as the server is to keep it.
    pub(crate) fn next(mut self, user: &UserName, version: u64, master: &Key, contents: &Contents) -> Bytes {
        let body = Body {
            encryption: contents.encryption.iter().map(|key| key.to_vec().into()).collect(),
            history: contents.history.to_vec().into(),
            book: contents.book.clone(),
        };
        self.version = version;
        self.body = aead::seal(master, &self.body_bound(user), &Zeroizing::new(cbor::encode(&body))).into();
        cbor::encode(&self).into()
    }

    /// The body is bound to its version and to the parts beside it: no part can be an older one.
    fn body_bound(&self, user: &UserName) -> Vec<u8> {
        let [password, recovery, identity] = [&self.password, &self.recovery, &self.identity].map(|part| <&ByteSlice>::from(&part[..]));
        let mut out = bound(user, "body", self.version);
        out.extend_from_slice(Hash::of(&cbor::encode(&(password, recovery, identity))).as_bytes());
        out
    }
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

    fn sealed() -> (UserName, Bytes) {
        let user: UserName = "alice@s1".parse().unwrap();
        let contents = Contents {
            encryption: vec![Zeroizing::new(b"encryption".to_vec())],
            history: Zeroizing::new([3; 32]),
            book: VaultBook::default(),
        };
        let keyring = Keyring::generate();
        let mut vault = Vault::new(&user, &keyring, b"identity");
        vault.wrap(&user, &keyring, Secret::Password, &export(1));
        vault.wrap(&user, &keyring, Secret::Recovery, &export(2));
        let vault = vault.next(&user, 5, &keyring.master, &contents);
        (user, vault)
    }

    fn open(user: &UserName, version: u64, vault: &[u8], secret: Secret, key: u8) -> Result<(Pkcs8, Contents), BadVault> {
        let vault = Vault::read(version, vault)?;
        let keyring = vault.keyring(user, secret, &export(key))?;
        Ok((vault.identity(user, &keyring)?, vault.contents(user, &keyring.master)?))
    }

    #[test]
    fn either_secret_opens_it_and_no_other() {
        let (user, vault) = sealed();
        for (secret, key) in [(Secret::Password, 1), (Secret::Recovery, 2)] {
            let (identity, contents) = open(&user, 5, &vault, secret, key).unwrap();
            assert_eq!(&identity[..], b"identity");
            assert_eq!(&contents.encryption[0][..], b"encryption");
            assert_eq!(*contents.history, [3; 32]);
            assert!(open(&user, 5, &vault, secret, 3).is_err());
        }
        assert!(open(&user, 5, &vault, Secret::Recovery, 1).is_err(), "a secret opens its own slot only");
    }

    /// Also the slot of the other secret, which is not opened: a device that writes the vault hands it on.
    #[test]
    fn it_is_bound_to_its_user_and_version_and_to_every_byte() {
        let (user, vault) = sealed();
        assert!(open(&"bob@s1".parse().unwrap(), 5, &vault, Secret::Password, 1).is_err());
        assert!(open(&user, 6, &vault, Secret::Password, 1).is_err());
        for at in 0..vault.len() {
            let mut changed = vault.to_vec();
            changed[at] ^= 1;
            assert!(open(&user, 5, &changed, Secret::Password, 1).is_err(), "byte {at}");
        }
    }

    /// An old vault under a new number: its device has seen the number, not the vault.
    #[test]
    fn a_server_cannot_give_it_another_version() {
        let (user, vault) = sealed();
        assert_eq!(vault[..3], [0xa5, 0, 5], "the version is the first that stands there");
        let relabelled = [&vault[..2], &[6], &vault[3..]].concat();
        assert!(open(&user, 6, &relabelled, Secret::Password, 1).is_err());
    }

    /// Were the slots not told apart, a server could answer for one secret with what the other one opens.
    #[test]
    fn a_part_opens_in_its_own_place_only() {
        let (user, vault) = sealed();
        let mut moved = Vault::read(5, &vault).unwrap();
        std::mem::swap(&mut moved.password, &mut moved.recovery);
        assert!(moved.keyring(&user, Secret::Recovery, &export(1)).is_err());
        assert!(moved.keyring(&user, Secret::Password, &export(2)).is_err());
    }
}
