//! Changes of an account that take its password or its recovery code: devices that come and go, other keys, other secrets.

use super::book::within;
use super::{AccountError, AccountSecrets, Because, VaultBook, listed, sign_list};
use crate::device::DeviceSecret;
use crate::opaque::ExportKey;
use crate::rsa::{Pkcs8, RsaKeys};
use crate::vault::{self, BadVault, Contents, Keyring, Vault};
use tidings_proto::frame::{SealedVault, Secret};
use tidings_proto::{DeviceKey, Draft, Encoded, Hash, UserName, limits};
use tidings_trust::{DeviceList, KeyState, RsaPublicKey, VaultRef};

/// An account that a secret has opened.
pub struct Unlocked {
    /// To be kept on this device.
    pub secrets: AccountSecrets,
    /// What the owner has written down; what is changed here, goes into the next vault. Empty where the book cannot be read: a
    /// device that spoils the book does not keep itself from being taken off.
    pub book: VaultBook,
    user: UserName,
    identity: Pkcs8,
    keyring: Keyring,
    vault: SealedVault,
}

/// Where an account's next device list goes, and who submits it.
pub struct Next<'a> {
    /// The key history it continues.
    pub newest: &'a KeyState,
    /// The device that submits it; it is added, should it not be in the list yet.
    pub by: &'a DeviceSecret,
    /// That device's next draft number in `keys@`, for this account.
    pub n: u64,
}

/// An account with other keys or secrets: what the server gets in one frame, and what stays here.
pub struct Rekeyed {
    /// Stays here, once the server has agreed.
    pub secrets: AccountSecrets,
    /// The sealed vault.
    pub vault: SealedVault,
    /// The draft of kind `List` or `Rotate`.
    pub draft: Encoded<Draft>,
}

/// The keys that an account goes on with.
struct NewKeys {
    /// Another identity, where it gets one.
    identity: Option<Pkcs8>,
    encryption: Pkcs8,
    keyring: Keyring,
}

impl Unlocked {
    pub(super) fn open(user: &UserName, vault: &SealedVault, secret: Secret, export: &ExportKey) -> Result<Unlocked, BadVault> {
        let read = Vault::read(vault)?;
        let keyring = read.keyring(user, secret, export)?;
        Ok(Unlocked {
            identity: read.identity(user, &keyring)?,
            book: vault::book(user, &keyring.master, vault).unwrap_or_default(),
            secrets: AccountSecrets::of(read.contents(user, &keyring.master)?, &keyring),
            user: user.clone(),
            keyring,
            vault: vault.clone(),
        })
    }

    /// Whether this is the vault of the account that `newest` tells of, with the keys that it names.
    pub async fn belongs_to<K: RsaKeys>(&self, keys: &K, newest: &KeyState) -> Result<(), AccountError> {
        self.ours(keys, newest).await.map(|_| ())
    }

    /// The draft of kind `List`, with n = 1, that adds `device` to the newest list. The vault stays.
    pub async fn add_device<K: RsaKeys>(&self, keys: &K, newest: &KeyState, device: &DeviceSecret) -> Result<Encoded<Draft>, AccountError> {
        let signing = self.ours(keys, newest).await?;
        let list = next_list(&Next { newest, by: device, n: 1 }, &[], newest.list.vault.clone())?;
        Ok(sign_list(keys, &signing, &list, Because::Same, (device, 1)).await?)
    }

    /// Other secrets for the same keys: a new password, a new recovery code, or both. Whoever has an old secret and a copy of an
    /// old vault has the keys still; [`Unlocked::rotate`] is against that.
    pub async fn change_secrets<K: RsaKeys>(
        &self,
        keys: &K,
        next: &Next<'_>,
        password: Option<&ExportKey>,
        recovery: Option<&ExportKey>,
    ) -> Result<Rekeyed, AccountError> {
        self.change(keys, next, &[], None, [(Secret::Password, password), (Secret::Recovery, recovery)]).await
    }

    /// Removes devices: what is written from now on is locked with keys that they do not have, that of the history among them, and
    /// neither the vault nor the old recovery code opens for them.
    pub async fn revoke<K: RsaKeys>(
        &self,
        keys: &K,
        next: &Next<'_>,
        gone: &[DeviceKey],
        password: &ExportKey,
        recovery: &ExportKey,
    ) -> Result<Rekeyed, AccountError> {
        let new = NewKeys { identity: None, encryption: keys.generate().await?, keyring: Keyring::generate() };
        self.change(keys, next, gone, Some(new), [(Secret::Password, Some(password)), (Secret::Recovery, Some(recovery))]).await
    }

    /// The same, with another identity too, to which the old one agrees. Everybody is shown that the identity has changed.
    pub async fn rotate<K: RsaKeys>(
        &self,
        keys: &K,
        next: &Next<'_>,
        gone: &[DeviceKey],
        password: &ExportKey,
        recovery: &ExportKey,
    ) -> Result<Rekeyed, AccountError> {
        let identity = Some(keys.generate().await?);
        let new = NewKeys { identity, encryption: keys.generate().await?, keyring: Keyring::generate() };
        self.change(keys, next, gone, Some(new), [(Secret::Password, Some(password)), (Secret::Recovery, Some(recovery))]).await
    }

    async fn change<K: RsaKeys>(
        &self,
        keys: &K,
        next: &Next<'_>,
        gone: &[DeviceKey],
        new: Option<NewKeys>,
        secrets: [(Secret, Option<&ExportKey>); 2],
    ) -> Result<Rekeyed, AccountError> {
        let old = self.ours(keys, next.newest).await?;
        let version = self.vault.version.checked_add(1).ok_or(BadVault)?;
        let mut list = next_list(next, gone, VaultRef { version, hash: Hash::ZERO })?;
        let mut contents = Contents { encryption: self.secrets.encryption.clone(), history: self.secrets.history.clone() };
        let mut book = self.book.clone();
        book.devices.retain(|(device, _)| !gone.contains(device));
        let mut vault = Vault::read(&self.vault)?;
        let mut signing = None;
        let mut keyring = &self.keyring;
        if let Some(new) = &new {
            keyring = &new.keyring;
            if let Some(identity) = &new.identity {
                let (key, public) = keys.signing(identity).await?;
                (signing, list.identity) = (Some(key), public);
            }
            list.encryption = keys.decrypting(&new.encryption).await?.1;
            contents.encryption.insert(0, new.encryption.clone());
            contents.history = self.secrets.history.renewed();
            vault = Vault::new(&self.user, keyring, new.identity.as_ref().unwrap_or(&self.identity));
        }
        for (secret, export) in secrets {
            if let Some(export) = export {
                vault.wrap(&self.user, keyring, secret, export);
            }
        }
        book.check()?;
        let vault = within(vault.next(&self.user, version, &keyring.master, &contents, &book))?;
        list.vault.hash = Hash::of(&vault.keys);
        let by = (next.by, next.n);
        let draft = match &signing {
            Some(new) => sign_list(keys, new, &list, Because::Agreed(&old), by).await?,
            None => sign_list(keys, &old, &list, Because::Same, by).await?,
        };
        Ok(Rekeyed { secrets: AccountSecrets::of(contents, keyring), vault, draft })
    }

    /// The identity key, once the newest list is held against the keys in the vault: a server that shows other keys for this
    /// account, or an old vault, is found out here.
    async fn ours<K: RsaKeys>(&self, keys: &K, newest: &KeyState) -> Result<K::Signing, AccountError> {
        let (signing, identity) = keys.signing(&self.identity).await?;
        let known = &newest.list;
        if known.user != self.user || known.identity != identity || known.encryption != self.encryption_public(keys).await? {
            return Err(AccountError::NotOurKeys);
        }
        // They are durable together, so there is never another one for a good reason.
        if known.vault != (VaultRef { version: Vault::read(&self.vault)?.version, hash: Hash::of(&self.vault.keys) }) {
            return Err(AccountError::RolledBack);
        }
        Ok(signing)
    }

    async fn encryption_public<K: RsaKeys>(&self, keys: &K) -> Result<RsaPublicKey, AccountError> {
        let newest = self.secrets.encryption.first().ok_or(BadVault)?;
        Ok(keys.decrypting(newest).await?.1)
    }
}

/// The list after the newest one: without who has gone, with who submits it.
fn next_list(next: &Next<'_>, gone: &[DeviceKey], vault: VaultRef) -> Result<DeviceList, AccountError> {
    let by = next.by.public();
    let mut list = (*next.newest.list).clone();
    if gone.contains(&by) {
        return Err(AccountError::OwnDevice);
    }
    if gone.iter().any(|key| next.newest.device(key).is_none()) {
        return Err(AccountError::NoSuchDevice);
    }
    list.devices.retain(|device| !gone.contains(&device.key));
    // Who submits it says anew what it can do: an earlier version of this program may have listed it.
    match list.devices.iter_mut().find(|device| device.key == by) {
        Some(device) => *device = listed(next.by),
        None => list.devices.push(listed(next.by)),
    }
    if list.devices.len() > limits::DEVICES {
        return Err(AccountError::TooManyDevices);
    }
    Ok(DeviceList { version: list.version + 1, prev: Some(next.newest.list_hash), vault, ..list })
}
