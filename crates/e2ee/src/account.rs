//! An account: made once, unlocked by a secret on each new device, changed by its owner alone.

mod book;
mod change;

pub use book::{NAME_LIMIT, VaultBook};
pub use change::{Next, Rekeyed, Unlocked};

use crate::device::DeviceSecret;
use crate::history::HistoryKeys;
use crate::opaque::ExportKey;
use crate::rsa::{Pkcs8, RsaError, RsaKeys};
use crate::vault::{BadVault, Contents, Key, Keyring, Vault, key_of};
use bytes::Bytes;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use std::fmt;
use tidings_proto::frame::{Grant, SealedVault, Secret};
use tidings_proto::{Draft, Encoded, Hash, Kind, LogName, SuiteName, UserName, cbor, limits};
use tidings_trust::device_list::{rotation_bytes, signed_bytes};
use tidings_trust::{Device, DeviceList, SignedList, VaultRef};
use zeroize::{Zeroize, Zeroizing};

/// The version of the vault that a registration makes.
const FIRST_VAULT: u64 = 1;

/// What a device keeps of an account. The identity key is not in it.
#[derive(Clone)]
pub struct AccountSecrets {
    /// PKCS #8 of the encryption keys, the newest first.
    pub encryption: Vec<Pkcs8>,
    /// The keys of what was opened.
    pub history: HistoryKeys,
    /// Opens the vault's body and book.
    master: Key,
}

/// A new account: everything the server gets, and what stays here.
pub struct NewAccount {
    /// Stays here.
    pub secrets: AccountSecrets,
    /// The sealed vault.
    pub vault: SealedVault,
    /// The draft of kind `First` or `Reset`, with n = 1.
    pub draft: Encoded<Draft>,
    /// What everybody will make of that draft, if it becomes entry `seq`; the caller knows the number later.
    pub list: DeviceList,
}

/// Why an account cannot be made, opened or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] BadVault),
    /// A key.
    #[error(transparent)]
    Rsa(#[from] RsaError),
    /// The vault is locked with another master key than this device has.
    #[error("this account's keys were changed on another device; log in again to get them")]
    Locked,
    /// The server's key history for this account is not its own: another identity or encryption key.
    #[error("the server shows other keys for this account than the account has")]
    NotOurKeys,
    /// The server sent another vault than the newest device list names.
    #[error("the server sent another vault than the account's newest device list names")]
    RolledBack,
    /// The book is not one that this account's devices have written.
    #[error("the names and comparisons that the account keeps cannot be read: the server sent others, or they are damaged")]
    BadBook,
    /// No further device fits.
    #[error("the account has {} devices, and no more are possible; remove one first", limits::DEVICES)]
    TooManyDevices,
    /// Not in the device list.
    #[error("the account has no such device")]
    NoSuchDevice,
    /// Somebody has to be there to sign.
    #[error("a device cannot remove itself; remove it on another one")]
    OwnDevice,
    /// Too long a name.
    #[error("a device's name is at most {NAME_LIMIT} characters long")]
    LongName,
    /// No more fits into the vault.
    #[error(
        "the account's vault is full: its book and its keys have {} bytes each; remove names of devices and people first",
        limits::VAULT
    )]
    Full,
}

/// Makes an account for `user` with `device` as its first device. Takes one to two seconds, for two RSA keys.
pub async fn create<K: RsaKeys>(
    keys: &K,
    user: &UserName,
    device: &DeviceSecret,
    password: &ExportKey,
    recovery: &ExportKey,
) -> Result<NewAccount, AccountError> {
    begin(keys, user, device, None, password, recovery).await
}

/// Makes an account anew whose secrets are lost, by the word of its server. Nothing of what was sealed to it before opens.
pub async fn reset<K: RsaKeys>(
    keys: &K,
    user: &UserName,
    device: &DeviceSecret,
    grant: &Grant,
    password: &ExportKey,
    recovery: &ExportKey,
) -> Result<NewAccount, AccountError> {
    begin(keys, user, device, Some(grant), password, recovery).await
}

/// The same of keys that are there already, in a vault that no secret opens: for tests and simulations, whose accounts are to be the same
/// each time. The first of the devices has made the list, and the others are in it.
pub async fn of_keys<K: RsaKeys>(
    keys: &K,
    user: &UserName,
    devices: &[&DeviceSecret],
    identity: &Pkcs8,
    secrets: AccountSecrets,
) -> Result<NewAccount, AccountError> {
    let mut keyring = Keyring::generate();
    keyring.master = secrets.master.clone();
    listed_first(keys, user, devices, None, (identity, Vault::new(user, &keyring, identity)), secrets).await
}

async fn begin<K: RsaKeys>(
    keys: &K,
    user: &UserName,
    device: &DeviceSecret,
    grant: Option<&Grant>,
    password: &ExportKey,
    recovery: &ExportKey,
) -> Result<NewAccount, AccountError> {
    let identity = keys.generate().await?;
    let encryption = keys.generate().await?;
    let keyring = Keyring::generate();
    let mut vault = Vault::new(user, &keyring, &identity);
    vault.wrap(user, &keyring, Secret::Password, password);
    vault.wrap(user, &keyring, Secret::Recovery, recovery);
    let secrets = AccountSecrets { encryption: vec![encryption], history: HistoryKeys::generate(), master: keyring.master };
    listed_first(keys, user, &[device], grant, (&identity, vault), secrets).await
}

/// The first list of an account, and its vault.
async fn listed_first<K: RsaKeys>(
    keys: &K,
    user: &UserName,
    devices: &[&DeviceSecret],
    grant: Option<&Grant>,
    (identity, vault): (&Pkcs8, Vault),
    secrets: AccountSecrets,
) -> Result<NewAccount, AccountError> {
    let vault_version = grant.map_or(FIRST_VAULT, |grant| grant.vault);
    let (_, encryption) = keys.decrypting(secrets.encryption.first().ok_or(BadVault)?).await?;
    let (signing, identity) = keys.signing(identity).await?;
    let contents = Contents { encryption: secrets.encryption.clone(), history: secrets.history.clone() };
    let vault = vault.next(user, vault_version, &secrets.master, &contents, &VaultBook::default());
    let list = DeviceList {
        user: user.clone(),
        version: grant.map_or(1, |grant| grant.version),
        prev: grant.map(|grant| grant.prev),
        identity,
        encryption,
        devices: devices.iter().map(|device| listed(device)).collect(),
        vault: VaultRef { version: vault_version, hash: Hash::of(&vault.keys) },
    };
    let because = grant.map_or(Because::First, Because::Granted);
    let by = devices.first().ok_or(AccountError::NoSuchDevice)?;
    let draft = sign_list(keys, &signing, &list, because, (by, 1)).await?;
    Ok(NewAccount { secrets, vault, draft, list })
}

/// Opens an account's vault with the export key of one of its secrets.
pub fn unlock(user: &UserName, vault: &SealedVault, secret: Secret, export: &ExportKey) -> Result<Unlocked, AccountError> {
    Ok(Unlocked::open(user, vault, secret, export)?)
}

fn listed(device: &DeviceSecret) -> Device {
    Device { key: device.public(), suites: vec![SuiteName::RsaJwe1, SuiteName::Mls1] }
}

/// Why a list may be the next one; the draft's kind says it.
enum Because<'a, S> {
    /// There was none.
    First,
    /// It is of the same identity.
    Same,
    /// The identity before agrees.
    Agreed(&'a S),
    /// The server agrees.
    Granted(&'a Grant),
}

/// The identity signs the list, the device the draft around it, its number `n`.
async fn sign_list<K: RsaKeys>(
    keys: &K,
    identity: &K::Signing,
    list: &DeviceList,
    because: Because<'_, K::Signing>,
    (device, n): (&DeviceSecret, u64),
) -> Result<Encoded<Draft>, RsaError> {
    let bytes: Bytes = cbor::encode(list).into();
    let sig = keys.sign_pss(identity, &signed_bytes(&bytes)).await?.into();
    let (kind, by_old, grant) = match because {
        Because::First => (Kind::First, None, None),
        Because::Same => (Kind::List, None, None),
        Because::Agreed(old) => (Kind::Rotate, Some(keys.sign_pss(old, &rotation_bytes(&bytes)).await?.into()), None),
        Because::Granted(grant) => (Kind::Reset, None, Some(grant.clone())),
    };
    let draft = Draft {
        device: device.public(),
        n,
        author: list.user.clone(),
        list: list.version,
        epoch: None,
        kind,
        body: cbor::encode(&SignedList { list: bytes, sig, by_old, grant }).into(),
        sig: None,
    };
    Ok(draft.signed(&LogName::Keys(list.user.server().clone()), |bytes| device.sign(bytes)))
}

/// [`AccountSecrets`] as a device keeps them.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Kept {
    #[n(0)]
    encryption: Vec<ByteVec>,
    #[n(1)]
    history: ByteVec,
    #[n(2)]
    master: ByteVec,
    /// The history keys before; absent where there were none, as in profiles of versions that had one.
    #[n(3)]
    history_before: Option<Vec<ByteVec>>,
}

impl Drop for Kept {
    /// Leaves no copy of the keys behind.
    fn drop(&mut self) {
        let older = self.history_before.iter_mut().flatten();
        self.encryption.iter_mut().chain([&mut self.history, &mut self.master]).chain(older).for_each(|key| key.zeroize());
    }
}

impl AccountSecrets {
    /// Of keys that are there already.
    pub fn of_keys(encryption: Vec<Pkcs8>, history: [u8; 32], master: [u8; 32]) -> AccountSecrets {
        AccountSecrets { encryption, history: HistoryKeys::of(history), master: Zeroizing::new(master) }
    }

    fn of(contents: Contents, keyring: &Keyring) -> AccountSecrets {
        AccountSecrets { encryption: contents.encryption, history: contents.history, master: keyring.master.clone() }
    }

    /// To be kept where only this user can read.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let encryption = self.encryption.iter().map(|key| key.to_vec().into()).collect();
        let (history, history_before) = self.history.to_parts();
        Zeroizing::new(cbor::encode(&Kept { encryption, history, master: self.master.to_vec().into(), history_before }))
    }

    /// What [`AccountSecrets::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<AccountSecrets, BadVault> {
        let kept: Kept = cbor::decode(bytes, limits::VAULT).map_err(|_| BadVault)?;
        let encryption = kept.encryption.iter().map(|key| Zeroizing::new(key.to_vec())).collect();
        let history = HistoryKeys::from_parts(&kept.history, kept.history_before.as_deref())?;
        Ok(AccountSecrets { encryption, history, master: key_of(&kept.master)? })
    }
}

impl fmt::Debug for AccountSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountSecrets")
    }
}
