//! What an account's owner has written down, in the vault: how the devices are called, whose keys were compared.

use super::{AccountError, AccountSecrets};
use crate::vault::{self, BadVault, Vault};
use minicbor::{Decode, Encode};
use tidings_proto::frame::SealedVault;
use tidings_proto::{DeviceKey, UserName, limits};
use tidings_trust::Fingerprint;

/// Characters in a device's name.
pub const NAME_LIMIT: usize = 64;

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
    /// What the owner has written down.
    pub fn read_book(&self, user: &UserName, vault: &SealedVault) -> Result<VaultBook, AccountError> {
        self.opens(user, vault)?;
        // The keys are the account's own, so this is no reason to log in again: whoever is listed can put anything there.
        vault::book(user, &self.master, vault).map_err(|BadVault| AccountError::BadBook)
    }

    /// The next version of the vault, with another book. The keys are as they were; what the last book was makes no difference.
    pub fn write_book(&self, user: &UserName, old: &SealedVault, book: &VaultBook) -> Result<SealedVault, AccountError> {
        self.opens(user, old)?;
        book.check()?;
        let version = old.version.checked_add(1).ok_or(BadVault)?;
        within(vault::with_book(user, version, &self.master, old.keys.clone(), book))
    }

    fn opens(&self, user: &UserName, vault: &SealedVault) -> Result<(), AccountError> {
        // Whether it is locked with another key or changed by the server, no key here tells; to log in again is right for both.
        Vault::read(vault)?.contents(user, &self.master).map(|_| ()).map_err(|BadVault| AccountError::Locked)
    }
}

/// A sealed vault, if it is not too large.
pub(super) fn within(vault: SealedVault) -> Result<SealedVault, AccountError> {
    if vault.keys.len().max(vault.book.len()) > limits::VAULT { Err(AccountError::Full) } else { Ok(vault) }
}
