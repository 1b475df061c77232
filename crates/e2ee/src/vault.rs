//! The vault: what an account needs on every device, kept by the server, useless to it.
//!
//! ```text
//! password's export key ─┐
//!                        ├─→ keyring ─┬─→ identity key       (opened only to change the device list)
//! recovery's export key ─┘            └─→ body: encryption keys, history key
//! ```
//! Either secret opens the keyring, two random keys. Everything is bound to the user, and the body to its version too; that
//! an old vault is not slipped in whole is seen by its hash in the device list.

use crate::aead;
use crate::opaque::ExportKey;
use bytes::Bytes;
use hkdf::Hkdf;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use rand_core::{OsRng, RngCore};
use sha2::Sha256;
use tidings_proto::cbor::{self, raw};
use tidings_proto::frame::Secret;
use tidings_proto::{UserName, label, limits};
use zeroize::{Zeroize, Zeroizing};

/// The vault does not open, or is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the vault cannot be opened: the server sent another one, or it is damaged")]
pub struct BadVault;

/// What the body holds.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct Body {
    /// PKCS #8 of the encryption keys, the newest first.
    #[n(0)]
    pub encryption: Vec<ByteVec>,
    /// The history key, 32 bytes.
    #[n(1)]
    pub history: ByteVec,
}

impl Body {
    /// Leaves no copy of the keys behind.
    pub(crate) fn wipe(&mut self) {
        self.encryption.iter_mut().for_each(|key| key.zeroize());
        self.history.zeroize();
    }
}

/// The two keys that either secret gives.
pub(crate) struct Keyring {
    /// Locks the identity key.
    identity: Zeroizing<[u8; 32]>,
    /// The account master key: locks the body.
    master: Zeroizing<[u8; 32]>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Sealed {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "raw")]
    password: Bytes,
    #[cbor(n(2), with = "raw")]
    recovery: Bytes,
    #[cbor(n(3), with = "raw")]
    identity: Bytes,
    #[cbor(n(4), with = "raw")]
    body: Bytes,
}

/// An opened vault.
pub(crate) struct Opened {
    /// PKCS #8 of the identity key.
    pub identity: Zeroizing<Vec<u8>>,
    /// PKCS #8 of the encryption keys, the newest first.
    pub encryption: Vec<Zeroizing<Vec<u8>>>,
    /// The history key.
    pub history: Zeroizing<[u8; 32]>,
}

impl Keyring {
    pub(crate) fn generate() -> Keyring {
        let mut keyring = Keyring { identity: Zeroizing::new([0; 32]), master: Zeroizing::new([0; 32]) };
        OsRng.fill_bytes(&mut *keyring.identity);
        OsRng.fill_bytes(&mut *keyring.master);
        keyring
    }

    fn joined(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([&self.identity[..], &self.master[..]].concat())
    }
}

/// Seals a vault under both secrets.
pub(crate) fn seal(
    user: &UserName,
    version: u64,
    keyring: &Keyring,
    contents: &Opened,
    password: &ExportKey,
    recovery: &ExportKey,
) -> Bytes {
    let mut body =
        Body { encryption: contents.encryption.iter().map(|key| key.to_vec().into()).collect(), history: contents.history.to_vec().into() };
    let plain = Zeroizing::new(cbor::encode(&body));
    body.wipe();
    let keys = keyring.joined();
    let sealed = Sealed {
        version,
        password: aead::seal(&wrapping_key(password), &bound(user, "password", 0), &keys).into(),
        recovery: aead::seal(&wrapping_key(recovery), &bound(user, "recovery", 0), &keys).into(),
        identity: aead::seal(&keyring.identity, &bound(user, "identity", 0), &contents.identity).into(),
        body: aead::seal(&keyring.master, &bound(user, "body", version), &plain).into(),
    };
    cbor::encode(&sealed).into()
}

/// Opens a vault with the export key of one of the secrets. `version` is what the server says it is.
pub(crate) fn open(user: &UserName, version: u64, vault: &[u8], secret: Secret, export: &ExportKey) -> Result<Opened, BadVault> {
    let sealed: Sealed = cbor::decode(vault, limits::VAULT).map_err(|_| BadVault)?;
    if sealed.version != version {
        return Err(BadVault);
    }
    let (slot, wrapped) = match secret {
        Secret::Password => ("password", &sealed.password),
        Secret::Recovery => ("recovery", &sealed.recovery),
    };
    let keys = aead::open(&wrapping_key(export), &bound(user, slot, 0), wrapped).map_err(|_| BadVault)?;
    let (identity_key, master) = keys.split_at_checked(32).ok_or(BadVault)?;
    let identity_key = key_of(identity_key)?;
    let identity = aead::open(&identity_key, &bound(user, "identity", 0), &sealed.identity).map_err(|_| BadVault)?;
    let body = aead::open(&*key_of(master)?, &bound(user, "body", version), &sealed.body).map_err(|_| BadVault)?;
    let mut body: Body = cbor::decode(&body, limits::VAULT).map_err(|_| BadVault)?;
    let encryption = body.encryption.iter().map(|key| Zeroizing::new(key.to_vec())).collect();
    let history = key_of(&body.history);
    body.wipe();
    Ok(Opened { identity, encryption, history: history? })
}

/// 32 bytes, or no key.
pub(crate) fn key_of(bytes: &[u8]) -> Result<Zeroizing<[u8; 32]>, BadVault> {
    bytes.try_into().map(Zeroizing::new).map_err(|_| BadVault)
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
        let contents = Opened {
            identity: Zeroizing::new(b"identity".to_vec()),
            encryption: vec![Zeroizing::new(b"encryption".to_vec())],
            history: Zeroizing::new([3; 32]),
        };
        let vault = seal(&user, 5, &Keyring::generate(), &contents, &export(1), &export(2));
        (user, vault)
    }

    #[test]
    fn either_secret_opens_it_and_no_other() {
        let (user, vault) = sealed();
        for (secret, key) in [(Secret::Password, 1), (Secret::Recovery, 2)] {
            let opened = open(&user, 5, &vault, secret, &export(key)).unwrap();
            assert_eq!(&opened.identity[..], b"identity");
            assert_eq!(&opened.encryption[0][..], b"encryption");
            assert_eq!(*opened.history, [3; 32]);
            assert!(open(&user, 5, &vault, secret, &export(3)).is_err());
        }
        assert!(open(&user, 5, &vault, Secret::Recovery, &export(1)).is_err(), "a secret opens its own slot only");
    }

    #[test]
    fn it_is_bound_to_its_user_and_version_and_to_every_byte() {
        let (user, vault) = sealed();
        assert!(open(&"bob@s1".parse().unwrap(), 5, &vault, Secret::Password, &export(1)).is_err());
        assert!(open(&user, 6, &vault, Secret::Password, &export(1)).is_err());
        let recovery = {
            let sealed: Sealed = cbor::decode(&vault, limits::VAULT).unwrap();
            let start = vault.windows(sealed.recovery.len()).position(|window| window == &sealed.recovery[..]).unwrap();
            start..start + sealed.recovery.len()
        };
        for at in (0..vault.len()).filter(|at| !recovery.contains(at)) {
            let mut changed = vault.to_vec();
            changed[at] ^= 1;
            assert!(open(&user, 5, &changed, Secret::Password, &export(1)).is_err(), "byte {at}");
        }
    }

    /// Were the slots not told apart, a server could answer for one secret with what the other one opens.
    #[test]
    fn a_part_opens_in_its_own_place_only() {
        let (user, vault) = sealed();
        let mut moved: Sealed = cbor::decode(&vault, limits::VAULT).unwrap();
        std::mem::swap(&mut moved.password, &mut moved.recovery);
        let moved = cbor::encode(&moved);
        assert!(open(&user, 5, &moved, Secret::Recovery, &export(1)).is_err());
        assert!(open(&user, 5, &moved, Secret::Password, &export(2)).is_err());
    }
}
