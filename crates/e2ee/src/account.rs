//! An account: made once, unlocked by a secret on each new device.

use crate::device::DeviceSecret;
use crate::history::HistoryKey;
use crate::opaque::ExportKey;
use crate::rsa::{RsaError, RsaKeys};
use crate::vault::{self, BadVault, Body, Keyring, key_of};
use bytes::Bytes;
use rand_core::{OsRng, RngCore};
use std::fmt;
use tidings_proto::frame::Secret;
use tidings_proto::{Draft, Encoded, Hash, Kind, LogName, SuiteName, UserName, cbor, limits};
use tidings_trust::device_list::signed_bytes;
use tidings_trust::{Device, DeviceList, KeyState, RsaPublicKey, SignedList, VaultRef};
use zeroize::Zeroizing;

/// The version of the vault that a registration makes.
const FIRST_VAULT: u64 = 1;

/// What a device keeps of an account. The identity key is not in it.
#[derive(Clone)]
pub struct AccountSecrets {
    /// PKCS #8 of the encryption keys, the newest first.
    pub encryption: Vec<Zeroizing<Vec<u8>>>,
    /// The key of what was opened.
    pub history: HistoryKey,
}

/// A new account: everything the server gets, and what stays here.
pub struct NewAccount {
    /// Stays here.
    pub secrets: AccountSecrets,
    /// The sealed vault, version 1.
    pub vault: Bytes,
    /// The draft of kind `First`, with n = 1.
    pub draft: Encoded<Draft>,
    /// What everybody will make of that draft, if it becomes entry `seq`; the caller knows the number later.
    pub list: DeviceList,
}

/// An account that a secret has opened.
pub struct Unlocked {
    /// To be kept on this device.
    pub secrets: AccountSecrets,
    user: UserName,
    identity: Zeroizing<Vec<u8>>,
    vault: VaultRef,
}

/// Why an account cannot be made or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] BadVault),
    /// A key.
    #[error(transparent)]
    Rsa(#[from] RsaError),
    /// The server's key history for this account is not its own: another identity or encryption key.
    #[error("the server shows other keys for this account than the account has")]
    NotOurKeys,
    /// The server sent an older vault than the newest device list names.
    #[error("the server sent an older vault than the account's newest one")]
    RolledBack,
    /// No further device fits.
    #[error("the account has {} devices, and no more are possible; remove one first", limits::DEVICES)]
    TooManyDevices,
}

/// Makes an account for `user` with `device` as its first device. Takes one to two seconds, for two RSA keys.
pub async fn create<K: RsaKeys>(
    keys: &K,
    user: &UserName,
    device: &DeviceSecret,
    password: &ExportKey,
    recovery: &ExportKey,
) -> Result<NewAccount, AccountError> {
    let identity = keys.generate().await?;
    let encryption = keys.generate().await?;
    let mut history = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(&mut *history);
    let (_, encryption_public) = keys.decrypting(&encryption).await?;
    let (signing, identity_public) = keys.signing(&identity).await?;
    let contents = vault::Opened { identity, encryption: vec![encryption], history };
    let vault = vault::seal(user, FIRST_VAULT, &Keyring::generate(), &contents, password, recovery);
    let list = DeviceList {
        user: user.clone(),
        version: 1,
        prev: None,
        identity: identity_public,
        encryption: encryption_public,
        devices: vec![listed(device)],
        vault: VaultRef { version: FIRST_VAULT, hash: Hash::of(&vault) },
    };
    let draft = sign_list(keys, &signing, &list, Kind::First, device).await?;
    let secrets = AccountSecrets { encryption: contents.encryption, history: HistoryKey(contents.history) };
    Ok(NewAccount { secrets, vault, draft, list })
}

/// Opens an account's vault with the export key of one of its secrets.
pub fn unlock(user: &UserName, vault: &[u8], version: u64, secret: Secret, export: &ExportKey) -> Result<Unlocked, AccountError> {
    let opened = vault::open(user, version, vault, secret, export)?;
    Ok(Unlocked {
        secrets: AccountSecrets { encryption: opened.encryption, history: HistoryKey(opened.history) },
        user: user.clone(),
        identity: opened.identity,
        vault: VaultRef { version, hash: Hash::of(vault) },
    })
}

impl Unlocked {
    /// The draft of kind `List`, with n = 1, that adds `device` to the newest list. First the newest list is held against
    /// the keys in the vault: a server that shows other keys for this account is found out here.
    pub async fn add_device<K: RsaKeys>(&self, keys: &K, newest: &KeyState, device: &DeviceSecret) -> Result<Encoded<Draft>, AccountError> {
        let (signing, identity) = keys.signing(&self.identity).await?;
        let encryption = self.encryption_public(keys).await?;
        let known = &newest.list;
        if known.user != self.user || known.identity != identity || known.encryption != encryption {
            return Err(AccountError::NotOurKeys);
        }
        if known.vault.version > self.vault.version || (known.vault.version == self.vault.version && known.vault != self.vault) {
            return Err(AccountError::RolledBack);
        }
        if known.devices.len() >= limits::DEVICES {
            return Err(AccountError::TooManyDevices);
        }
        let mut list = (**known).clone();
        list.version += 1;
        list.prev = Some(newest.list_hash);
        list.vault = self.vault.clone();
        list.devices.push(listed(device));
        Ok(sign_list(keys, &signing, &list, Kind::List, device).await?)
    }

    async fn encryption_public<K: RsaKeys>(&self, keys: &K) -> Result<RsaPublicKey, AccountError> {
        let newest = self.secrets.encryption.first().ok_or(BadVault)?;
        Ok(keys.decrypting(newest).await?.1)
    }
}

fn listed(device: &DeviceSecret) -> Device {
    Device { key: device.public(), suites: vec![SuiteName::RsaJwe1] }
}

/// The identity signs the list, the device the draft around it.
async fn sign_list<K: RsaKeys>(
    keys: &K,
    identity: &K::Signing,
    list: &DeviceList,
    kind: Kind,
    device: &DeviceSecret,
) -> Result<Encoded<Draft>, RsaError> {
    let bytes: Bytes = cbor::encode(list).into();
    let sig = keys.sign_pss(identity, &signed_bytes(&bytes)).await?.into();
    let draft = Draft {
        device: device.public(),
        n: 1,
        author: list.user.clone(),
        list: list.version,
        epoch: None,
        kind,
        body: cbor::encode(&SignedList { list: bytes, sig, by_old: None, grant: None }).into(),
        sig: None,
    };
    Ok(draft.signed(&LogName::Keys(list.user.server().clone()), |bytes| device.sign(bytes)))
}

impl AccountSecrets {
    /// To be kept where only this user can read.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut kept =
            Body { encryption: self.encryption.iter().map(|key| key.to_vec().into()).collect(), history: self.history.0.to_vec().into() };
        let bytes = Zeroizing::new(cbor::encode(&kept));
        kept.wipe();
        bytes
    }

    /// What [`AccountSecrets::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<AccountSecrets, BadVault> {
        let mut kept: Body = cbor::decode(bytes, limits::VAULT).map_err(|_| BadVault)?;
        let encryption = kept.encryption.iter().map(|key| Zeroizing::new(key.to_vec())).collect();
        let history = key_of(&kept.history);
        kept.wipe();
        Ok(AccountSecrets { encryption, history: HistoryKey(history?) })
    }
}

impl fmt::Debug for AccountSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountSecrets")
    }
}
