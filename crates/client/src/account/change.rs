//! Changes of an account that take one of its secrets: on a link of their own, on which the secret is proved first.

use super::{History, Profile, belongs, book, dial, joined, misbehaved, of_account, of_opaque, unlock};
use crate::link::Link;
use crate::platform::{PrivateKeys, heavy};
use crate::store::{Account, Stage};
use crate::{ClientError, Endpoint, RecoveryCode};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use tidings_e2ee::account::{AccountError, Next, Rekeyed};
use tidings_e2ee::opaque::{self, ExportKey};
use tidings_e2ee::{AccountSecrets, DeviceSecret, RecoveryCode as Words, Unlocked};
use tidings_proto::frame::{Accepted, Rekey, RekeyStart, Secret};
use tidings_proto::{DeviceKey, Draft, Encoded, Frame, UserName};
use tidings_trust::KeyState;
use zeroize::Zeroizing;

/// What is to become of an account.
pub enum Change {
    /// Devices are taken off, and everything that they knew is replaced.
    Revoke(Vec<DeviceKey>),
    /// Another identity, and everything else with it.
    Rotate,
    /// Another password.
    Password(Zeroizing<String>),
}

/// What has become of it.
pub struct Changed {
    /// To be kept on this device.
    pub secrets: AccountSecrets,
    /// The new recovery code, where there is one.
    pub recovery: Option<RecoveryCode>,
}

/// Who changes the account, and with what.
pub struct By<'a> {
    /// The home server.
    pub endpoint: &'a Endpoint,
    /// Whose account.
    pub user: &'a UserName,
    /// The device.
    pub device: &'a DeviceSecret,
    /// What the device has seen of the account's key history.
    pub pinned: Option<Arc<KeyState>>,
}

/// Only opens the account anew: what another device has changed is known here after it.
pub async fn open_again(by: &By<'_>, password: Zeroizing<String>) -> Result<AccountSecrets, ClientError> {
    let mut link = dial(by.endpoint, by.user, by.device).await?;
    let (unlocked, _) = unlock(&mut link, by.user, Secret::Password, password).await?;
    let mut history = History::default();
    history.fetch(&mut link, by.user).await?;
    history.continues(by.pinned.as_deref())?;
    link.writer.close().await;
    let checked = heavy(move || async move {
        let newest = history.newest.as_ref().ok_or(AccountError::NotOurKeys)?;
        unlocked.belongs_to(&PrivateKeys, newest).await.map(|()| unlocked.secrets)
    });
    checked.await?.map_err(of_account)
}

/// Changes an account from one of its devices. `keep` is given the new recovery code before the server is asked for it, and nothing once the
/// server has refused it.
pub async fn change<K: Future<Output = Result<(), ClientError>>>(
    by: &By<'_>,
    password: Zeroizing<String>,
    change: Change,
    keep: impl Fn(Option<Zeroizing<String>>) -> K,
) -> Result<Changed, ClientError> {
    let mut link = dial(by.endpoint, by.user, by.device).await?;
    let (unlocked, old) = unlock(&mut link, by.user, Secret::Password, password).await?;
    let mut history = History::default();
    history.fetch(&mut link, by.user).await?;
    history.continues(by.pinned.as_deref())?;
    let (password, words) = match &change {
        Change::Revoke(_) | Change::Rotate => (None, Some(joined(&Words::generate()))),
        Change::Password(password) if password.is_empty() => return Err(ClientError::EmptyPassword),
        Change::Password(password) => (Some(password.clone()), None),
    };
    let (records, new) = records(&mut link, by.user, password, words.clone()).await?;
    let rekeyed = make(Arc::new(unlocked), history, by.device.clone(), old, new, change).await?;
    let secrets = rekeyed.secrets.clone();
    if words.is_some() {
        keep(words.clone()).await?;
    }
    match ask(&mut link, records, rekeyed).await {
        Ok(_) => {}
        Err(ClientError::Refused(why)) => {
            keep(None).await?;
            return Err(ClientError::Refused(why));
        }
        // Whether it was done is not known.
        Err(error) => return Err(error),
    }
    link.writer.close().await;
    Ok(Changed { secrets, recovery: words.map(RecoveryCode::new) })
}

/// What getting back into an account needs.
pub struct Recover<'a> {
    /// The folder of the profile that is made; it may not have an account yet.
    pub profile: &'a Path,
    /// The home server.
    pub endpoint: Endpoint,
    /// Whose account.
    pub user: UserName,
    /// The 24 words.
    pub words: Zeroizing<String>,
    /// The password from now on.
    pub password: Zeroizing<String>,
    /// What this device is to be called, for its owner's eyes.
    pub device_name: Option<String>,
}

/// Gets back into an account with its recovery code, from a new device and with a new password. The code is used up: the new
/// one is given back.
pub async fn recover(request: Recover<'_>) -> Result<RecoveryCode, ClientError> {
    let Recover { profile, endpoint, user, words, password, device_name } = request;
    belongs(&user, &endpoint)?;
    if password.is_empty() {
        return Err(ClientError::EmptyPassword);
    }
    let words = Words::parse(&words).map_err(|_| ClientError::BadRecoveryCode)?;
    let guard = Profile::open(profile).await?;
    if let Some(words) = guard.unconfirmed(&user).await? {
        return Ok(words);
    }
    if guard.finish_earlier(profile, &user, &endpoint).await? {
        let words = guard.listed(Vec::new()).await?;
        return words.map(RecoveryCode::new).ok_or(ClientError::ProfileTaken { path: profile.to_owned(), user });
    }
    let device = DeviceSecret::generate();
    let mut link = dial(&endpoint, &user, &device).await?;
    let (unlocked, _) = unlock(&mut link, &user, Secret::Recovery, joined(&words)).await?;
    let mut history = History::default();
    history.fetch(&mut link, &user).await?;
    let links = history.links.clone();
    let new_words = joined(&Words::generate());
    let (records, new) = records(&mut link, &user, Some(password), Some(new_words.clone())).await?;
    let rekeyed = add(Arc::new(unlocked), history, device.clone(), new).await?;
    let account = Account {
        user: user.clone(),
        endpoint: Endpoint { key: Some(link.server_key), ..endpoint },
        device: Zeroizing::new(device.to_bytes().to_vec()),
        secrets: rekeyed.secrets.to_bytes(),
        stage: Stage::Asked,
    };
    guard.begin(account, Some(new_words.clone())).await?;
    let secrets = rekeyed.secrets.clone();
    match ask(&mut link, records, rekeyed).await {
        Ok((seq, draft)) => guard.listed(links.into_iter().chain([(seq, draft)]).collect()).await?,
        Err(error) => return Err(guard.not_listed(Err(error)).await),
    };
    book::name(&mut link, &secrets, &user, &device, device_name).await;
    link.writer.close().await;
    Ok(RecoveryCode::new(new_words))
}

/// New OPAQUE records, and the keys that they give.
struct Records {
    password: Option<Bytes>,
    recovery: Option<Bytes>,
}

struct NewKeys {
    password: Option<ExportKey>,
    recovery: Option<ExportKey>,
}

/// OPAQUE for whichever secrets are new.
async fn records(
    link: &mut Link,
    user: &UserName,
    password: Option<Zeroizing<String>>,
    words: Option<Zeroizing<String>>,
) -> Result<(Records, NewKeys), ClientError> {
    type Started = Option<(Zeroizing<String>, opaque::Registration)>;
    let start = |secret: Option<Zeroizing<String>>| -> Result<(Started, Option<Bytes>), ClientError> {
        let Some(secret) = secret else { return Ok((None, None)) };
        let (state, request) = opaque::Registration::start(secret.as_bytes()).map_err(of_opaque)?;
        Ok((Some((secret, state)), Some(request.into())))
    };
    let (for_password, password) = start(password)?;
    let (for_words, recovery) = start(words)?;
    let Frame::RekeyReply(reply) = link.ask(RekeyStart { req: 5, password, recovery }).await? else {
        return Err(misbehaved("something else where its answer to new secrets should be"));
    };
    let user = user.clone();
    let finish = move |started: Started, answer: Option<Bytes>| -> Result<(Option<Bytes>, Option<ExportKey>), ClientError> {
        let Some((secret, state)) = started else { return Ok((None, None)) };
        let answer = answer.ok_or_else(|| misbehaved("no answer to a new secret"))?;
        let (record, key) = state.finish(secret.as_bytes(), &answer, &user, user.server()).map_err(of_opaque)?;
        Ok((Some(record.into()), Some(key)))
    };
    let finished = heavy(move || async move {
        let (password, password_key) = finish(for_password, reply.password)?;
        let (recovery, recovery_key) = finish(for_words, reply.recovery)?;
        Ok::<_, ClientError>((Records { password, recovery }, NewKeys { password: password_key, recovery: recovery_key }))
    });
    finished.await?
}

/// The account as it is to be, made where it stops nobody.
async fn make(
    unlocked: Arc<Unlocked>,
    history: History,
    device: DeviceSecret,
    old: ExportKey,
    new: NewKeys,
    change: Change,
) -> Result<Rekeyed, ClientError> {
    let made = heavy(move || async move {
        let newest = history.newest.as_ref().ok_or(AccountError::NotOurKeys)?;
        let next = Next { newest, by: &device, n: next_number(&history, &device) };
        let password = new.password.as_ref().unwrap_or(&old);
        match (&change, &new.recovery) {
            (Change::Revoke(gone), Some(recovery)) => unlocked.revoke(&PrivateKeys, &next, gone, password, recovery).await,
            (Change::Rotate, Some(recovery)) => unlocked.rotate(&PrivateKeys, &next, &[], password, recovery).await,
            (_, recovery) => unlocked.change_secrets(&PrivateKeys, &next, new.password.as_ref(), recovery.as_ref()).await,
        }
    });
    made.await?.map_err(of_account)
}

/// The same for a device that is not listed yet.
async fn add(unlocked: Arc<Unlocked>, history: History, device: DeviceSecret, new: NewKeys) -> Result<Rekeyed, ClientError> {
    let made = heavy(move || async move {
        let newest = history.newest.as_ref().ok_or(AccountError::NotOurKeys)?;
        let next = Next { newest, by: &device, n: 1 };
        unlocked.change_secrets(&PrivateKeys, &next, new.password.as_ref(), new.recovery.as_ref()).await
    });
    made.await?.map_err(of_account)
}

/// A device's next draft number in `keys@`.
fn next_number(history: &History, device: &DeviceSecret) -> u64 {
    let device = device.public();
    1 + history.links.iter().filter(|(_, draft)| draft.device == device).count() as u64
}

async fn ask(link: &mut Link, records: Records, rekeyed: Rekeyed) -> Result<(u64, Encoded<Draft>), ClientError> {
    let Records { password, recovery } = records;
    let Rekeyed { vault, draft, .. } = rekeyed;
    match link.ask(Rekey { req: 6, password, recovery, vault, draft: draft.bytes().clone() }).await? {
        Frame::Accepted(Accepted { seq, .. }) => Ok((seq, draft)),
        frame => Err(misbehaved(&format!("{} where a yes or no should be", frame.name()))),
    }
}
