//! Registration and login against a server of a few lines that can be cut off, refuse, or be raced.
//!
//! The cryptography is the real one, on both sides.

mod book;

use super::*;
use crate::driver::tests::{Socket, greet, next, send};
use ed25519_dalek::SigningKey;
use opaque_ke::{
    CredentialFinalization, CredentialRequest, Identifiers, RegistrationRequest, RegistrationUpload, ServerLogin, ServerLoginParameters,
    ServerRegistration, ServerSetup,
};
use rand_core::OsRng;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tidings_proto::frame::{BookPut, ChainReply, Done, Item, LoginReply, Ready, Refused, RegisterReply, SealedVault, Vault};
use tidings_proto::{Hash, Payload, draft};
use tidings_trust::login::{OpaqueSuite, credential_id};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of the frame that would make an account or a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It never arrives.
    Lost,
    /// It is taken, and the answer is lost.
    TakenUnanswered,
    /// It is refused.
    Refused(Code),
}

/// The accounts of a server.
struct Accounts {
    opaque: ServerSetup<OpaqueSuite>,
    password: Option<ServerRegistration<OpaqueSuite>>,
    recovery: Option<ServerRegistration<OpaqueSuite>>,
    vault: SealedVault,
    /// What other devices make of the vault just before this one writes it, one after the other.
    rivals: VecDeque<Rival>,
    chain: Vec<Encoded<Draft>>,
    newest: Option<KeyState>,
    fates: VecDeque<Fate>,
    /// Taken just before the next device is.
    quicker: Option<Encoded<Draft>>,
    asked: usize,
}

/// Makes the next vault of the one there is.
type Rival = Box<dyn FnOnce(&SealedVault) -> SealedVault + Send>;

type Shared = Arc<Mutex<Accounts>>;

struct Server {
    accounts: Shared,
    endpoint: Endpoint,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn alice() -> UserName {
    "alice@s1".parse().unwrap()
}

async fn start() -> Server {
    let accounts = Arc::new(Mutex::new(Accounts {
        opaque: ServerSetup::new(&mut OsRng),
        password: None,
        recovery: None,
        vault: SealedVault { version: 0, keys: Bytes::new(), book: Bytes::new() },
        rivals: VecDeque::new(),
        chain: Vec::new(),
        newest: None,
        fates: VecDeque::new(),
        quicker: None,
        asked: 0,
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let shared = accounts.clone();
    let task = tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let _ = guest(tcp, &shared).await;
        }
    });
    Server { accounts, endpoint: Endpoint { name: "s1".parse().unwrap(), address, key: None, plain: true }, task }
}

impl Accounts {
    /// Takes a draft into `keys@s1` by the rules of every server.
    fn take(&mut self, draft: Encoded<Draft>) -> Result<u64, Code> {
        let seq = self.chain.len() as u64 + 1;
        let log = LogName::Keys("s1".parse().unwrap());
        self.newest = Some(KeyState::apply(self.newest.as_ref(), &log, seq, &draft, None).map_err(|_| Code::Conflict)?);
        self.chain.push(draft);
        Ok(seq)
    }

    fn vault(&self, req: u32) -> Vault {
        Vault { req, vault: self.vault.clone() }
    }

    /// Takes a book that follows the one there is; another device may be quicker.
    fn put(&mut self, put: BookPut) -> Frame {
        if let Some(rival) = self.rivals.pop_front() {
            self.vault = rival(&self.vault);
        }
        if put.version != self.vault.version + 1 {
            return Refused { req: put.req, why: Code::Conflict.into(), log: None }.into();
        }
        (self.vault.book, self.vault.version) = (put.book, put.version);
        Done { req: put.req }.into()
    }

    /// What becomes of a draft: the answer, or none.
    fn decide(&mut self, draft: Encoded<Draft>) -> Option<Result<u64, Code>> {
        self.asked += 1;
        match self.fates.pop_front() {
            Some(Fate::Lost) => None,
            Some(Fate::TakenUnanswered) => {
                self.take(draft).unwrap();
                None
            }
            Some(Fate::Refused(code)) => Some(Err(code)),
            None => Some(self.take(draft)),
        }
    }
}

async fn answer(socket: &mut Socket, req: u32, decided: Option<Result<u64, Code>>) -> Option<()> {
    match decided? {
        Ok(seq) => send(socket, Accepted { req, seq, hash: Hash([0; 32]) }).await,
        Err(code) => send(socket, Refused { req, why: code.into(), log: None }).await,
    }
}

async fn guest(tcp: TcpStream, accounts: &Shared) -> Option<()> {
    let (mut socket, transcript, device) = greet(tcp, &SigningKey::from_bytes(&[7; 32])).await?;
    let listed = accounts.lock().unwrap().newest.as_ref().is_some_and(|newest| newest.device(&device).is_some());
    send(&mut socket, Ready { listed, network: vec!["s1".parse().unwrap()] }).await?;
    let mut login = None;
    loop {
        match next(&mut socket).await?.1 {
            Frame::RegisterStart(start) => {
                let reply = {
                    let accounts = accounts.lock().unwrap();
                    let reply = |request: &[u8], secret| {
                        let request = RegistrationRequest::deserialize(request).unwrap();
                        let id = credential_id(&alice(), secret);
                        ServerRegistration::<OpaqueSuite>::start(&accounts.opaque, request, &id).unwrap().message.serialize().to_vec()
                    };
                    let (password, recovery) = (reply(&start.password, Secret::Password), reply(&start.recovery, Secret::Recovery));
                    RegisterReply { req: start.req, password: password.into(), recovery: recovery.into(), grant: None }
                };
                send(&mut socket, reply).await?;
            }
            Frame::RegisterFinish(finish) => {
                let decided = {
                    let mut accounts = accounts.lock().unwrap();
                    let record = |bytes: &[u8]| ServerRegistration::finish(RegistrationUpload::deserialize(bytes).unwrap());
                    let before = accounts.chain.len();
                    let decided = accounts.decide(draft::read(finish.draft).unwrap());
                    if accounts.chain.len() > before {
                        accounts.password = Some(record(&finish.password));
                        accounts.recovery = Some(record(&finish.recovery));
                        accounts.vault = finish.vault;
                    }
                    decided
                };
                answer(&mut socket, finish.req, decided).await?;
            }
            Frame::LoginStart(start) => {
                let (state, reply) = {
                    let accounts = accounts.lock().unwrap();
                    let record = if start.with == Secret::Password { &accounts.password } else { &accounts.recovery };
                    let ke1 = CredentialRequest::deserialize(&start.ke1).unwrap();
                    let id = credential_id(&alice(), start.with);
                    let context = opaque_context(&transcript);
                    let started = ServerLogin::start(&mut OsRng, &accounts.opaque, record.clone(), ke1, &id, parameters(&context)).unwrap();
                    (started.state, LoginReply { req: start.req, ke2: started.message.serialize().to_vec().into() })
                };
                login = Some(state);
                send(&mut socket, reply).await?;
            }
            Frame::LoginFinish(finish) => {
                let ke3 = CredentialFinalization::deserialize(&finish.ke3).unwrap();
                login.take().unwrap().finish(ke3, parameters(&opaque_context(&transcript))).unwrap();
                let vault = accounts.lock().unwrap().vault(finish.req);
                send(&mut socket, vault).await?;
            }
            Frame::VaultGet(get) => {
                let vault = accounts.lock().unwrap().vault(get.req);
                send(&mut socket, vault).await?;
            }
            Frame::BookPut(put) => {
                let answer = accounts.lock().unwrap().put(put);
                send(&mut socket, answer).await?;
            }
            Frame::Chain(chain) => {
                let items: Vec<Item> = {
                    let accounts = accounts.lock().unwrap();
                    let entries = accounts.chain.iter().zip(1..).filter(|(_, seq)| *seq > chain.after);
                    entries.map(|(draft, seq)| Entry { seq, at: 1, payload: Payload::Draft(draft.clone()) }.encode()).map(item).collect()
                };
                // One at a time, so that the client has to ask for more.
                let more = items.len() > 1;
                send(&mut socket, ChainReply { req: chain.req, items: items.into_iter().take(1).collect(), more }).await?;
            }
            Frame::Submit(submit) => {
                let decided = {
                    let mut accounts = accounts.lock().unwrap();
                    if let Some(quicker) = accounts.quicker.take() {
                        accounts.take(quicker).unwrap();
                    }
                    accounts.decide(draft::read(submit.draft).unwrap())
                };
                answer(&mut socket, submit.req, decided).await?;
            }
            other => panic!("{} was not expected", other.name()),
        }
    }
}

fn item(entry: Bytes) -> Item {
    Item { entry, got: None }
}

fn parameters(context: &[u8]) -> ServerLoginParameters<'_, '_> {
    ServerLoginParameters { context: Some(context), identifiers: Identifiers { client: Some(b"alice@s1"), server: Some(b"s1") } }
}

impl Server {
    fn will(&self, fate: Fate) {
        self.accounts.lock().unwrap().fates.push_back(fate);
    }

    fn devices(&self) -> usize {
        self.accounts.lock().unwrap().newest.as_ref().map_or(0, |newest| newest.list.devices.len())
    }

    fn asked(&self) -> usize {
        self.accounts.lock().unwrap().asked
    }

    async fn register(&self, folder: &TempDir) -> Result<RecoveryCode, ClientError> {
        let (endpoint, password) = (self.endpoint.clone(), Zeroizing::new("correct horse".to_owned()));
        register(Register { profile: folder.path(), endpoint, user: alice(), password, code: None, device_name: None }).await
    }

    async fn login(&self, folder: &TempDir, with: LoginSecret) -> Result<(), ClientError> {
        login(Login { profile: folder.path(), endpoint: self.endpoint.clone(), user: alice(), with, device_name: None }).await
    }
}

fn password(text: &str) -> LoginSecret {
    LoginSecret::Password(Zeroizing::new(text.to_owned()))
}

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

/// What a profile holds: how far its account is, how much of its own key history is pinned, and the pinned server key.
fn kept(folder: &TempDir) -> Option<(Stage, usize, bool)> {
    let store = Store::open(folder.path()).unwrap();
    let account = store.account().unwrap()?;
    assert_eq!(account.user, alice());
    Some((account.stage, store.chains().unwrap().len(), account.endpoint.key.is_some()))
}

#[tokio::test]
async fn an_account_its_second_device_and_the_way_back_in() {
    let server = start().await;
    let (first, second, third) = (folder(), folder(), folder());
    let words = server.register(&first).await.unwrap();
    assert_eq!(words.words().split(' ').count(), 24);
    assert_eq!(kept(&first), Some((Stage::Listed, 1, true)));
    let again = server.register(&first).await.unwrap();
    assert_eq!(again.words(), words.words(), "who was cut off before they were on a screen has them shown again");
    let client = crate::Client::open(first.path()).unwrap();
    client.words_confirmed(words.words()).await.unwrap();
    client.close().await;
    assert!(matches!(server.register(&first).await, Err(ClientError::ProfileTaken { .. })));

    let wrong = server.login(&second, password("wrong horse")).await.unwrap_err();
    assert!(matches!(wrong, ClientError::LoginFailed), "{wrong}");
    assert_eq!((kept(&second), server.devices()), (None, 1));
    server.login(&second, password("correct horse")).await.unwrap();
    assert_eq!(kept(&second), Some((Stage::Listed, 2, true)));

    let typed = LoginSecret::Recovery(Zeroizing::new(words.words().to_uppercase()));
    server.login(&third, typed).await.unwrap();
    assert_eq!((kept(&third), server.devices()), (Some((Stage::Listed, 3, true)), 3));
    let secrets = [&first, &second, &third].map(|folder| Store::open(folder.path()).unwrap().account().unwrap().unwrap().secrets);
    assert!(secrets.iter().all(|kept| *kept == secrets[0]), "all devices have the same account");
}

#[tokio::test]
async fn a_registration_that_was_cut_off_is_finished_by_doing_it_again() {
    let server = start().await;
    let profile = folder();
    server.will(Fate::Lost);
    server.register(&profile).await.unwrap_err();
    assert_eq!(kept(&profile), Some((Stage::Asked, 0, true)));
    server.will(Fate::TakenUnanswered);
    server.register(&profile).await.unwrap_err();
    let promised = Store::open(profile.path()).unwrap().words().unwrap().unwrap().0;
    let words = server.register(&profile).await.unwrap();
    assert_eq!(words.words(), promised.as_str(), "the words of the account that was made, not of another");
    assert_eq!(kept(&profile), Some((Stage::Listed, 0, true)));
    let second = folder();
    server.login(&second, LoginSecret::Recovery(promised)).await.unwrap();
    assert_eq!(server.asked(), 3);
    assert_eq!(server.devices(), 2);
}

#[tokio::test]
async fn what_the_server_refuses_leaves_the_profile_free() {
    let server = start().await;
    let profile = folder();
    server.will(Fate::Refused(Code::NameTaken));
    let error = server.register(&profile).await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused(why) if why.code == Code::NameTaken), "{error}");
    assert_eq!((error.exit_code(), kept(&profile)), (6, None));
    server.register(&profile).await.unwrap();
}

#[tokio::test]
async fn a_login_that_was_cut_off_adds_one_device_not_two() {
    let server = start().await;
    let (first, second) = (folder(), folder());
    server.register(&first).await.unwrap();
    server.will(Fate::TakenUnanswered);
    server.login(&second, password("correct horse")).await.unwrap_err();
    assert_eq!((kept(&second), server.devices()), (Some((Stage::Asked, 0, true)), 2));
    server.login(&second, password("correct horse")).await.unwrap();
    assert_eq!((kept(&second), server.devices()), (Some((Stage::Listed, 0, true)), 2));
}

#[tokio::test]
async fn a_login_that_another_device_is_quicker_than_follows_it() {
    let server = start().await;
    let (first, second, third) = (folder(), folder(), folder());
    server.register(&first).await.unwrap();
    // The draft of a device that was refused here arrives after all, just before ours.
    let (newest, chain) = {
        let accounts = server.accounts.lock().unwrap();
        (accounts.newest.clone(), accounts.chain.clone())
    };
    server.login(&second, password("correct horse")).await.unwrap();
    {
        let mut accounts = server.accounts.lock().unwrap();
        let quicker = accounts.chain.pop();
        (accounts.newest, accounts.chain, accounts.quicker) = (newest, chain, quicker);
    }
    server.login(&third, password("correct horse")).await.unwrap();
    assert_eq!((kept(&third), server.devices()), (Some((Stage::Listed, 3, true)), 3));
    assert_eq!(server.asked(), 4, "the third device had to ask twice");
}

#[tokio::test]
async fn what_cannot_work_is_said_before_anything_is_dialled_or_made() {
    let server = start().await;
    let profile = folder();
    assert!(matches!(server.login(&profile, password("")).await, Err(ClientError::EmptyPassword)));
    let code = LoginSecret::Recovery(Zeroizing::new("not a code".into()));
    assert!(matches!(server.login(&profile, code).await, Err(ClientError::BadRecoveryCode)));
    let elsewhere = Endpoint { name: "s2".parse().unwrap(), ..server.endpoint.clone() };
    let request = Login { profile: profile.path(), endpoint: elsewhere, user: alice(), with: password("x"), device_name: None };
    assert!(matches!(login(request).await, Err(ClientError::Usage(_))));
    assert!(profile.path().read_dir().unwrap().next().is_none(), "nothing was made");
}
