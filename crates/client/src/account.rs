//! Registration and login: from a name and a secret to a profile whose device is on the user's list.
//!
//! What the server is asked for is durable here before it is asked: a registration or login that was cut off is finished by
//! doing it again. Not here: anything a listed device does.

pub(crate) mod book;
pub(crate) mod change;

use crate::link::{self, Link, Me};
use crate::platform::{MaySend, PrivateKeys, heavy};
use crate::store::{Account, Stage, Store};
use crate::{ClientError, Endpoint};
use bytes::Bytes;
use std::fmt;
use std::path::{Path, PathBuf};
use tidings_e2ee::account::{self, AccountError};
use tidings_e2ee::opaque::{self, ExportKey, OpaqueError};
use tidings_e2ee::{DeviceSecret, RecoveryCode as Words, Unlocked};
use tidings_proto::frame::{Accepted, Chain, LoginFinish, LoginStart, RegisterFinish, RegisterStart, Secret, Submit};
use tidings_proto::{Code, Draft, Encoded, Entry, Frame, Hash, Kind, LogName, Refusal, UserName};
use tidings_trust::KeyState;
use tidings_trust::login::opaque_context;
use zeroize::Zeroizing;

/// How often a device tries to be added to a list that others are changing.
const TRIES: usize = 5;

/// What a registration needs.
pub struct Register<'a> {
    /// The folder of the profile that is made; it may not have an account yet.
    pub profile: &'a Path,
    /// The home server.
    pub endpoint: Endpoint,
    /// The name to register; its server part is the endpoint's name.
    pub user: UserName,
    /// The password. It never leaves this process.
    pub password: Zeroizing<String>,
    /// An invitation or claim code, where the server wants one.
    pub code: Option<String>,
    /// What this device is to be called, for its owner's eyes.
    pub device_name: Option<String>,
}

/// With what a login is made.
pub enum LoginSecret {
    /// The password.
    Password(Zeroizing<String>),
    /// The 24 words.
    Recovery(Zeroizing<String>),
}

/// What a login needs.
pub struct Login<'a> {
    /// The folder of the profile that is made; it may not have an account yet.
    pub profile: &'a Path,
    /// The home server.
    pub endpoint: Endpoint,
    /// Whose account.
    pub user: UserName,
    /// The secret. It never leaves this process.
    pub with: LoginSecret,
    /// What this device is to be called, for its owner's eyes.
    pub device_name: Option<String>,
}

/// The 24 words that open the account when the password is lost. Kept until somebody has confirmed to have written them down
/// ([`crate::Client::words_confirmed`]), and nowhere then.
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    fn new(words: Zeroizing<String>) -> RecoveryCode {
        RecoveryCode(words)
    }

    /// The words, with single spaces between.
    pub fn words(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(…)")
    }
}

/// Makes an account, and a profile for it. One that was cut off is finished by calling this again with the same profile and
/// user; password and recovery code are then the first call's.
pub async fn register(request: Register<'_>) -> Result<RecoveryCode, ClientError> {
    let Register { profile, endpoint, user, password, code, device_name } = request;
    belongs(&user, &endpoint)?;
    if password.is_empty() {
        return Err(ClientError::EmptyPassword);
    }
    let guard = Profile::open(profile).await?;
    if let Some(words) = guard.unconfirmed(&user).await? {
        return Ok(words);
    }
    if guard.finish_earlier(profile, &user, &endpoint).await? {
        // A login has no words to show: there is nothing left to register then.
        let words = guard.listed(Vec::new()).await?;
        return words.map(RecoveryCode).ok_or(ClientError::ProfileTaken { path: profile.to_owned(), user });
    }
    let device = DeviceSecret::generate();
    let mut link = dial(&endpoint, &user, &device).await?;
    let (made, words) = new_account(&mut link, &user, &device, password, code).await?;
    let account = Account {
        user: user.clone(),
        endpoint: Endpoint { key: Some(link.server_key), ..endpoint },
        device: Zeroizing::new(device.to_bytes().to_vec()),
        secrets: made.account.secrets.to_bytes(),
        stage: Stage::Asked,
    };
    guard.begin(account, Some(words.clone())).await?;
    let finish = RegisterFinish {
        req: 2,
        password: made.password,
        recovery: made.recovery,
        vault: made.account.vault,
        draft: made.account.draft.bytes().clone(),
    };
    match link.ask(finish).await {
        Ok(Frame::Accepted(Accepted { seq, .. })) => {
            // What came before a reset is asked for when the profile is first linked.
            let first = made.account.draft.kind == Kind::First;
            guard.listed(first.then_some((seq, made.account.draft)).into_iter().collect()).await?;
            book::name(&mut link, &made.account.secrets, &user, &device, device_name).await;
            link.writer.close().await;
            Ok(RecoveryCode(words))
        }
        other => Err(guard.not_listed(other).await),
    }
}

/// Adds a new device to an account, and makes a profile for it. One that was cut off is finished by calling this again.
pub async fn login(request: Login<'_>) -> Result<(), ClientError> {
    let Login { profile, endpoint, user, with, device_name } = request;
    belongs(&user, &endpoint)?;
    let (secret, text) = match with {
        LoginSecret::Password(password) if password.is_empty() => return Err(ClientError::EmptyPassword),
        LoginSecret::Password(password) => (Secret::Password, password),
        LoginSecret::Recovery(words) => {
            let words = Words::parse(&words).map_err(|_| ClientError::BadRecoveryCode)?;
            (Secret::Recovery, joined(&words))
        }
    };
    let guard = Profile::open(profile).await?;
    if guard.finish_earlier(profile, &user, &endpoint).await? {
        guard.listed(Vec::new()).await?;
        return Ok(());
    }
    let device = DeviceSecret::generate();
    let mut link = dial(&endpoint, &user, &device).await?;
    let unlocked = std::sync::Arc::new(unlock(&mut link, &user, secret, text).await?.0);
    let account = Account {
        user: user.clone(),
        endpoint: Endpoint { key: Some(link.server_key), ..endpoint },
        device: Zeroizing::new(device.to_bytes().to_vec()),
        secrets: unlocked.secrets.to_bytes(),
        stage: Stage::Asked,
    };
    let mut history = History::default();
    let mut begun = false;
    for attempt in 1.. {
        history.fetch(&mut link, &user).await?;
        let newest = history.newest.clone().ok_or_else(|| misbehaved("it has no keys of an account that it has"))?;
        let (unlocked, signer) = (unlocked.clone(), device.clone());
        let draft = heavy(move || async move { unlocked.add_device(&PrivateKeys, &newest, &signer).await }).await?.map_err(of_account)?;
        if !begun {
            guard.begin(account.clone(), None).await?;
            begun = true;
        }
        let log = LogName::Keys(user.server().clone());
        match link.ask(Submit { req: 4, log, draft: draft.bytes().clone(), genesis: None }).await {
            Ok(Frame::Accepted(Accepted { seq, .. })) => {
                history.links.push((seq, draft));
                break;
            }
            // Another device of the account was quicker: its list comes first, ours follows it.
            Err(ClientError::Refused(why)) if attempt < TRIES && raced(&why) => {}
            other => return Err(guard.not_listed(other).await),
        }
    }
    guard.listed(history.links).await?;
    book::name(&mut link, &unlocked.secrets, &user, &device, device_name).await;
    link.writer.close().await;
    Ok(())
}

/// A registration's half of what goes to the server.
struct Made {
    password: Bytes,
    recovery: Bytes,
    account: account::NewAccount,
}

/// OPAQUE for both secrets, then the account's keys and vault.
async fn new_account(
    link: &mut Link,
    user: &UserName,
    device: &DeviceSecret,
    password: Zeroizing<String>,
    code: Option<String>,
) -> Result<(Made, Zeroizing<String>), ClientError> {
    let words = joined(&Words::generate());
    let (for_password, password_request) = opaque::Registration::start(password.as_bytes()).map_err(of_opaque)?;
    let (for_recovery, recovery_request) = opaque::Registration::start(words.as_bytes()).map_err(of_opaque)?;
    let start = RegisterStart { req: 1, code, password: password_request.into(), recovery: recovery_request.into() };
    let Frame::RegisterReply(reply) = link.ask(start).await? else {
        return Err(misbehaved("something else where its answer to a registration should be"));
    };
    let (user, device, secret) = (user.clone(), device.clone(), words.clone());
    let made = heavy(move || async move {
        let server = user.server();
        let (password, password_key) = for_password.finish(password.as_bytes(), &reply.password, &user, server).map_err(of_opaque)?;
        let (recovery, recovery_key) = for_recovery.finish(secret.as_bytes(), &reply.recovery, &user, server).map_err(of_opaque)?;
        let account = match &reply.grant {
            None => account::create(&PrivateKeys, &user, &device, &password_key, &recovery_key).await,
            // The operator's code was for an account that is there and begins anew.
            Some(grant) => account::reset(&PrivateKeys, &user, &device, grant, &password_key, &recovery_key).await,
        };
        let account = account.map_err(of_account)?;
        Ok::<_, ClientError>(Made { password: password.into(), recovery: recovery.into(), account })
    });
    Ok((made.await??, words))
}

/// OPAQUE with one of the secrets, then the vault.
async fn unlock(link: &mut Link, user: &UserName, secret: Secret, text: Zeroizing<String>) -> Result<(Unlocked, ExportKey), ClientError> {
    let (login, ke1) = opaque::Login::start(text.as_bytes()).map_err(of_opaque)?;
    let Frame::LoginReply(reply) = link.ask(LoginStart { req: 1, with: secret, ke1: ke1.into() }).await? else {
        return Err(misbehaved("something else where its answer to a login should be"));
    };
    let (name, context) = (user.clone(), opaque_context(&link.transcript));
    let finished = heavy(move || async move { login.finish(text.as_bytes(), &reply.ke2, &name, name.server(), &context) });
    let (ke3, key) = finished.await?.map_err(of_opaque)?;
    let Frame::Vault(vault) = link.ask(LoginFinish { req: 2, ke3: ke3.into() }).await? else {
        return Err(misbehaved("something else where the vault should be"));
    };
    let unlocked = account::unlock(user, &vault.vault, secret, &key).map_err(of_account)?;
    Ok((unlocked, key))
}

/// One user's key history, verified from its start.
#[derive(Default)]
struct History {
    newest: Option<KeyState>,
    links: Vec<(u64, Encoded<Draft>)>,
    /// Each device list's place and hash.
    lists: Vec<(u64, Hash)>,
}

impl History {
    /// What is new since the last time.
    async fn fetch(&mut self, link: &mut Link, user: &UserName) -> Result<(), ClientError> {
        let log = LogName::Keys(user.server().clone());
        loop {
            let after = self.newest.as_ref().map_or(0, |newest| newest.seq);
            let Frame::ChainReply(reply) = link.ask(Chain { req: 3, user: user.clone(), after }).await? else {
                return Err(misbehaved("something else where a key history should be"));
            };
            for item in &reply.items {
                let entry = Entry::read(&item.entry).map_err(|error| misbehaved(&error.to_string()))?;
                let draft = entry.draft().ok_or_else(|| misbehaved("a key history with a hole in it"))?;
                let refused = |why: String| ClientError::KeyChanged { user: user.clone(), why };
                if draft.author != *user {
                    return Err(refused("the server shows somebody else's keys".into()));
                }
                let next = KeyState::apply(self.newest.as_ref(), &log, entry.seq, draft, Some(&link.server_key))
                    .map_err(|error| refused(error.to_string()))?;
                self.lists.push((next.seq, next.list_hash));
                self.newest = Some(next);
                self.links.push((entry.seq, draft.clone()));
            }
            if !reply.more || reply.items.is_empty() {
                return Ok(());
            }
        }
    }

    /// Whether it goes on from what this device has seen of it: a server may not show an older one, nor another.
    fn continues(&self, pinned: Option<&KeyState>) -> Result<(), ClientError> {
        match pinned.filter(|pinned| !self.lists.contains(&(pinned.seq, pinned.list_hash))) {
            None => Ok(()),
            Some(pinned) => Err(ClientError::KeyChanged {
                user: pinned.list.user.clone(),
                why: "the server now shows another key history than the one that was seen first".into(),
            }),
        }
    }
}

/// The profile while an account is made for it; its lock is held until the end.
struct Profile {
    store: Store,
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.store.close();
    }
}

impl Profile {
    async fn open(folder: &Path) -> Result<Profile, ClientError> {
        let folder: PathBuf = folder.to_owned();
        let store = heavy(move || async move { Store::open(&folder) }).await??;
        Ok(Profile { store })
    }

    async fn run<T: MaySend + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, ClientError> + MaySend + 'static,
    ) -> Result<T, ClientError> {
        let store = self.store.clone();
        heavy(move || async move { work(&store) }).await?
    }

    /// The words of an account that is here already, where nobody has confirmed them: whoever was cut off before they were shown
    /// does the same again.
    async fn unconfirmed(&self, user: &UserName) -> Result<Option<RecoveryCode>, ClientError> {
        let user = user.clone();
        self.run(move |store| {
            let is_it = store.account()?.is_some_and(|account| account.stage == Stage::Listed && account.user == user);
            Ok(store.words()?.filter(|_| is_it).map(|(words, _)| RecoveryCode(words)))
        })
        .await
    }

    /// Whether an attempt that was cut off had reached the server: then its device is listed now. An error when the profile
    /// is somebody's already.
    async fn finish_earlier(&self, folder: &Path, user: &UserName, endpoint: &Endpoint) -> Result<bool, ClientError> {
        let Some(earlier) = self.run(|store| store.account()).await? else { return Ok(false) };
        if earlier.stage == Stage::Listed {
            return Err(ClientError::ProfileTaken { path: folder.to_owned(), user: earlier.user });
        }
        // The address may have changed since, the server may not.
        let endpoint = Endpoint { key: earlier.endpoint.key.filter(|_| earlier.user == *user).or(endpoint.key), ..endpoint.clone() };
        if earlier.user != *user {
            // Whether that attempt succeeded is for a second attempt with its own name to find out.
            return Err(ClientError::ProfileTaken { path: folder.to_owned(), user: earlier.user });
        }
        let seed: &[u8; 32] =
            earlier.device.as_slice().try_into().map_err(|_| ClientError::Store("a device key of another length".into()))?;
        let mut link = dial(&endpoint, user, &DeviceSecret::from_bytes(seed)).await?;
        link.writer.close().await;
        Ok(link.ready.listed)
    }

    async fn begin(&self, account: Account, recovery: Option<Zeroizing<String>>) -> Result<(), ClientError> {
        self.run(move |store| store.begin_account(&account, recovery.as_deref().map(String::as_str))).await
    }

    /// The device is listed. Keeps the user's own keys, and gives back the recovery code of a registration.
    async fn listed(&self, links: Vec<(u64, Encoded<Draft>)>) -> Result<Option<Zeroizing<String>>, ClientError> {
        self.run(move |store| {
            let Some(account) = store.account()? else { return Err(ClientError::OurBug("no account to list".into())) };
            store.extend_chain(&account.user, &links)?;
            store.listed()?;
            Ok(store.words()?.map(|(words, _)| words))
        })
        .await
    }

    /// The server's last answer was not a yes. What it has refused is forgotten; what is open can be finished later.
    async fn not_listed(&self, answer: Result<Frame, ClientError>) -> ClientError {
        match answer {
            Ok(frame) => misbehaved(&format!("{} where a yes or no should be", frame.name())),
            Err(ClientError::Refused(why)) => match self.run(|store| store.forget_account()).await {
                Ok(()) => ClientError::Refused(why),
                Err(error) => error,
            },
            Err(error) => error,
        }
    }
}

pub(crate) async fn dial(endpoint: &Endpoint, user: &UserName, device: &DeviceSecret) -> Result<Link, ClientError> {
    let sign = |bytes: &[u8]| device.sign(bytes);
    link::dial(endpoint, &Me { user, device: device.public(), sign: &sign }).await
}

fn belongs(user: &UserName, endpoint: &Endpoint) -> Result<(), ClientError> {
    if *user.server() == endpoint.name {
        return Ok(());
    }
    Err(ClientError::Usage(format!("{user} does not belong to {}: the part after the @ is the server's name", endpoint.name)))
}

fn raced(why: &Refusal) -> bool {
    why.code == Code::Conflict
}

fn joined(words: &Words) -> Zeroizing<String> {
    Zeroizing::new(words.words().collect::<Vec<_>>().join(" "))
}

fn misbehaved(what: &str) -> ClientError {
    ClientError::ServerMisbehaved(what.to_owned())
}

fn of_opaque(error: OpaqueError) -> ClientError {
    match error {
        OpaqueError::EmptySecret => ClientError::EmptyPassword,
        OpaqueError::WrongSecret => ClientError::LoginFailed,
        OpaqueError::PeerMisbehaved => misbehaved(&error.to_string()),
    }
}

fn of_account(error: AccountError) -> ClientError {
    match error {
        AccountError::Vault(_) | AccountError::BadBook | AccountError::NotOurKeys | AccountError::RolledBack => {
            ClientError::WrongServer(error.to_string())
        }
        AccountError::Locked | AccountError::NoSuchDevice | AccountError::OwnDevice | AccountError::LongName => {
            ClientError::Usage(error.to_string())
        }
        AccountError::TooManyDevices | AccountError::Full => ClientError::Refused(Refusal::new(Code::Full, error.to_string())),
        AccountError::Rsa(_) => ClientError::OurBug(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
