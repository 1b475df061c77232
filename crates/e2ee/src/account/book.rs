//! What an account's owner has written down, in the vault: how the devices are called, whose keys were compared.

use super::{AccountError, AccountSecrets};
use crate::vault::{BadVault, Contents, Vault};
use bytes::Bytes;
use minicbor::{Decode, Encode};
use tidings_proto::{DeviceKey, UserName, limits};
use tidings_trust::Fingerprint;

/// Characters in a device's name.
pub const NAME_LIMIT: usize = 64;

/// Bytes of the vault that a book leaves free, so that a device can be revoked at any time: that takes one more key.
const RESERVE: usize = 4 * 1024;

/// The part of the vault that its owner reads and changes. It follows the account to every device, and no server sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct VaultBook {
    /// What the owner calls each device; at most [`NAME_LIMIT`] characters.
    #[n(0)]
    pub devices: Vec<(DeviceKey, String)>,
    /// The identities that were compared with their owners.
    #[n(1)]
    pub verified: Vec<(UserName, Fingerprint)>,
    /// The identities by which people have begun anew, and were believed.
    #[n(2)]
    pub accepted: Vec<(UserName, Fingerprint)>,
}

impl VaultBook {
    /// What a device is called.
    pub fn name_of(&self, device: &DeviceKey) -> Option<&str> {
        self.devices.iter().find(|(key, _)| key == device).map(|(_, name)| name.as_str())
    }

    /// Calls a device so; by an empty name, not at all.
    pub fn name(&mut self, device: DeviceKey, name: &str) {
        self.devices.retain(|(key, _)| *key != device);
        if !name.is_empty() {
            self.devices.push((device, name.to_owned()));
        }
    }

    pub(super) fn check(&self) -> Result<(), AccountError> {
        let fits = self.devices.iter().all(|(_, name)| name.chars().count() <= NAME_LIMIT);
        if fits { Ok(()) } else { Err(AccountError::LongName) }
    }
}

impl AccountSecrets {
    /// What the owner has written down. `version` is what the server says it is.
    pub fn read_vault(&self, user: &UserName, version: u64, vault: &[u8]) -> Result<VaultBook, AccountError> {
        Ok(self.opened(user, version, vault)?.1.book)
    }

    /// The next version of the vault, with another book. All else is as it was.
    pub fn write_vault(&self, user: &UserName, old_version: u64, old_vault: &[u8], book: &VaultBook) -> Result<Bytes, AccountError> {
        let (vault, contents) = self.opened(user, old_version, old_vault)?;
        book.check()?;
        let version = old_version.checked_add(1).ok_or(BadVault)?;
        within(vault.next(user, version, &self.master, &Contents { book: book.clone(), ..contents }), limits::VAULT - RESERVE)
    }

    fn opened(&self, user: &UserName, version: u64, vault: &[u8]) -> Result<(Vault, Contents), AccountError> {
        let vault = Vault::read(version, vault)?;
        // Whether it is locked with another key or changed by the server, no key here tells; to log in again is right for both.
        let contents = vault.contents(user, &self.master).map_err(|BadVault| AccountError::Locked)?;
        Ok((vault, contents))
    }
}

/// A sealed vault, if it is not too large.
pub(super) fn within(vault: Bytes, limit: usize) -> Result<Bytes, AccountError> {
    if vault.len() > limit { Err(AccountError::Full) } else { Ok(vault) }
}
