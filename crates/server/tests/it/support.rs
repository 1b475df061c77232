//! People with real keys, what they write, and servers' stores to write it to. No network.

use aws_lc_rs::rsa::KeyPair;
use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tidings_proto::frame::{Grant, RoomRef, SealedVault, Secret};
use tidings_proto::{
    Code, Content, DeviceKey, Draft, Encoded, Genesis, Hash, Kind, LogName, Refusal, ServerKey, ServerName, Signature, SuiteName, UserName,
    cbor,
};
use tidings_server::bus::Bus;
use tidings_server::bus::local::LocalBus;
use tidings_server::identity::Identity;
use tidings_server::logs::{Admission, Keeper, Logs, NewAccount, Origin, Placed, Proof, Reader, Secrets};
use tidings_server::store::sqlite::SqliteStore;
use tidings_server::store::{
    AccountRecord, Answers, Change, Loaded, Most, NewCode, OutboxRow, Page, Questions, Queue, Range, Store, StoreError, Stored, Waiting,
};
use tidings_server::{Config, Limits, Registration, Transport};
use tidings_trust::device_list::{self, Device, DeviceList, SignedList, VaultRef};
use tidings_trust::rsa::RsaPublicKey;
use tokio::sync::watch;

/// Nothing here takes so long, on the slowest machine.
pub const SOON: Duration = Duration::from_secs(30);

/// Everybody's identity, where a test is not about identities.
pub static IDENTITY: LazyLock<KeyPair> = LazyLock::new(|| pair(include_bytes!("../../../e2ee/tests/keys/a.pk8")));
/// Another one.
pub static OTHER: LazyLock<KeyPair> = LazyLock::new(|| pair(include_bytes!("../../../e2ee/tests/keys/b.pk8")));

fn pair(pkcs8: &[u8]) -> KeyPair {
    KeyPair::from_pkcs8(pkcs8).unwrap()
}

fn modulus(pair: &KeyPair) -> RsaPublicKey {
    let modulus = aws_lc_rs::signature::KeyPair::public_key(pair).modulus().big_endian_without_leading_zero().to_vec();
    RsaPublicKey::from_modulus(&modulus).unwrap()
}

fn pss(pair: &KeyPair, bytes: &[u8]) -> Bytes {
    let mut sig = vec![0; pair.public_modulus_len()];
    pair.sign(&aws_lc_rs::signature::RSA_PSS_SHA256, &aws_lc_rs::rand::SystemRandom::new(), bytes, &mut sig).unwrap();
    sig.into()
}

/// A person with the devices and keys of their newest list.
pub struct Person {
    pub name: UserName,
    pub devices: Vec<SigningKey>,
    pub version: u64,
    pub prev: Option<Hash>,
    pub identity: &'static LazyLock<KeyPair>,
    /// Which of many encryption keys, that nobody has.
    pub encryption: u8,
    /// The version of the vault that the next list names, and the vault.
    pub vault: (u64, Bytes),
}

/// How a list comes to be.
#[derive(Default)]
pub struct How {
    pub kind: Option<Kind>,
    /// The identity before, if it is to agree.
    pub by_old: Option<&'static LazyLock<KeyPair>>,
    pub grant: Option<Grant>,
}

/// What is written, before it is signed.
pub struct Note<'a> {
    pub log: &'a LogName,
    pub n: u64,
    pub kind: Kind,
    pub body: Bytes,
}

pub fn server(name: &str) -> ServerName {
    name.parse().unwrap()
}

pub fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

/// A signing key that `name` alone decides.
pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&Hash::of(name.as_bytes()).0)
}

pub fn device(key: &SigningKey) -> DeviceKey {
    DeviceKey(key.verifying_key().to_bytes())
}

pub fn sign(key: &SigningKey) -> impl Fn(&[u8]) -> Signature + '_ {
    |bytes| Signature(key.sign(bytes).to_bytes())
}

pub fn public(server_name: &str) -> LogName {
    LogName::Public(server(server_name))
}

pub fn keys(server_name: &str) -> LogName {
    LogName::Keys(server(server_name))
}

/// A modulus that nobody has the factors of: enough for a key that is only ever listed.
fn some_modulus(which: u8) -> RsaPublicKey {
    let mut modulus = vec![0x5a; 384];
    modulus[0] = 0xd5;
    modulus[1] = which;
    modulus[383] = 1;
    RsaPublicKey::from_modulus(&modulus).unwrap()
}

impl Person {
    /// Somebody with one device, and no list yet.
    pub fn new(name: &str) -> Person {
        let vault = (1, Bytes::from_static(b"vault"));
        Person { name: user(name), devices: vec![key(name)], version: 0, prev: None, identity: &IDENTITY, encryption: 0, vault }
    }

    pub fn device(&self) -> DeviceKey {
        device(&self.devices[0])
    }

    /// What people compare of this person's identity.
    pub fn fingerprint(&self) -> Hash {
        modulus(self.identity).fingerprint().0
    }

    pub fn keys_log(&self) -> LogName {
        LogName::Keys(self.name.server().clone())
    }

    pub fn inbox(&self) -> LogName {
        LogName::Inbox(self.name.clone())
    }

    /// The next device list, with the devices there are now, submitted by the newest of them as its n.
    pub fn next_list(&mut self, n: u64) -> Encoded<Draft> {
        self.list_of(n, How::default())
    }

    /// The same, made in another way.
    pub fn list_of(&mut self, n: u64, how: How) -> Encoded<Draft> {
        self.version += 1;
        let list = DeviceList {
            user: self.name.clone(),
            version: self.version,
            prev: self.prev,
            identity: modulus(self.identity),
            encryption: some_modulus(self.encryption),
            devices: self
                .devices
                .iter()
                .map(|key| Device { key: device(key), suites: vec![SuiteName::RsaJwe1, SuiteName::Mls1] })
                .collect(),
            vault: VaultRef { version: self.vault.0, hash: Hash::of(&self.vault.1) },
        };
        let list: Bytes = cbor::encode(&list).into();
        let sig = pss(self.identity, &device_list::signed_bytes(&list));
        let by_old = how.by_old.map(|old| pss(old, &device_list::rotation_bytes(&list)));
        let signed = SignedList { list, sig, by_old, grant: how.grant };
        self.prev = Some(signed.hash());
        let kind = how.kind.unwrap_or(if self.version == 1 { Kind::First } else { Kind::List });
        let newest = self.devices.len() - 1;
        let log = self.keys_log();
        self.write_as(newest, Note { log: &log, n, kind, body: cbor::encode(&signed).into() })
    }

    /// The next vault.
    pub fn next_vault(&mut self) -> Secrets {
        let version = self.vault.0 + 1;
        self.vault = (version, format!("vault {version}").into());
        Secrets { password: None, recovery: None, vault: sealed(version, &self.vault.1) }
    }

    /// What one of the devices has proved.
    pub fn proof() -> Proof {
        Proof { secret: Secret::Password, record: Hash::of(b"password record") }
    }

    /// A signed draft by device `which`.
    pub fn write_as(&self, which: usize, note: Note<'_>) -> Encoded<Draft> {
        let key = &self.devices[which];
        self.plain(which, &note).signed(note.log, sign(key))
    }

    /// A signed draft by the first device.
    pub fn write(&self, note: Note<'_>) -> Encoded<Draft> {
        self.write_as(0, note)
    }

    /// A draft without signature.
    pub fn plain(&self, which: usize, note: &Note<'_>) -> Draft {
        Draft {
            device: device(&self.devices[which]),
            n: note.n,
            author: self.name.clone(),
            list: self.version,
            epoch: None,
            kind: note.kind,
            body: note.body.clone(),
            sig: None,
        }
    }

    /// A post in the public chat of the person's server.
    pub fn post(&self, n: u64, text: &str) -> Encoded<Draft> {
        let log = LogName::Public(self.name.server().clone());
        self.write(Note { log: &log, n, kind: Kind::Post, body: cbor::encode(&Content { text: text.into(), ..Content::default() }).into() })
    }

    /// A sealed message; nobody here opens it.
    pub fn sealed(&self, n: u64, body: &[u8]) -> Encoded<Draft> {
        let log = LogName::Public(self.name.server().clone()); // sealed drafts are not signed for a log
        let note = Note { log: &log, n, kind: Kind::Sealed, body: Bytes::copy_from_slice(body) };
        Encoded::new(Draft { epoch: Some(0), ..self.plain(0, &note) })
    }

    /// Tells `other` of a room, in their inbox.
    pub fn notice(&self, n: u64, other: &Person, genesis: &Genesis) -> Encoded<Draft> {
        let room = RoomRef { genesis: genesis.clone(), hub: genesis.hub().clone() };
        self.write(Note { log: &other.inbox(), n, kind: Kind::Notice, body: cbor::encode(&room).into() })
    }

    /// A device of this person's that is not listed yet, and has proved the password.
    pub fn guest(&self, device: DeviceKey) -> Origin {
        Origin::Guest { user: self.name.clone(), device, proof: Person::proof() }
    }

    /// Where this person's link to their home server comes from.
    pub fn origin(&self) -> Origin {
        Origin::Device { user: self.name.clone(), device: self.device() }
    }

    /// Registers this person, who must be new.
    pub async fn join(&mut self, logs: &Logs) -> Result<Placed, Refusal> {
        self.join_with(logs, None).await
    }

    /// The same with a code.
    pub async fn join_with(&mut self, logs: &Logs, code: Option<&str>) -> Result<Placed, Refusal> {
        let draft = self.next_list(1);
        logs.register(self.account(code), draft.bytes().clone()).await
    }

    /// What a registration brings.
    pub fn account(&self, code: Option<&str>) -> NewAccount {
        NewAccount {
            user: self.name.clone(),
            device: device(&self.devices[self.devices.len() - 1]),
            password: Bytes::from_static(b"password record"),
            recovery: Bytes::from_static(b"recovery record"),
            vault: sealed(1, &self.vault.1),
            admission: code.map_or(Admission::Open, |code| Admission::Code(code.into())),
        }
    }
}

/// A vault with these keys, in which nothing is written down yet.
pub fn sealed(version: u64, keys: &Bytes) -> SealedVault {
    SealedVault { version, keys: keys.clone(), book: Bytes::from_static(b"book") }
}

/// The direct room of two people.
pub fn direct(a: &Person, b: &Person) -> Genesis {
    Genesis::direct(SuiteName::RsaJwe1, &a.name, &b.name)
}

/// A server's logs on a real file.
pub struct Home {
    pub logs: Arc<Logs>,
    pub store: Arc<SqliteStore>,
    pub folder: TempDir,
    pub name: ServerName,
    pub key: ServerKey,
    limits: Limits,
    peers: Mutex<Vec<(ServerName, ServerKey)>>,
}

impl Home {
    pub async fn new(name: &str) -> Home {
        Home::with_bus(name, Arc::new(LocalBus::default())).await
    }

    pub async fn with_bus(name: &str, bus: Arc<dyn Bus>) -> Home {
        let limits = generous();
        let folder = tempfile::tempdir().unwrap();
        let keeper = keeper(folder.path(), name, limits.clone());
        let key = keeper.identity.key();
        let (store, logs) = open(folder.path(), keeper, bus).await;
        Home { logs, store, folder, name: server(name), key, limits, peers: Mutex::default() }
    }

    /// Stops and starts again on the same file, with these limits.
    pub async fn within(self, limits: Limits) -> Home {
        Home { limits, ..self }.restart().await
    }

    /// Stops and starts again on the same file.
    pub async fn restart(self) -> Home {
        self.logs.close().await;
        let keeper = keeper(self.folder.path(), self.name.as_str(), self.limits.clone());
        let (store, logs) = open(self.folder.path(), keeper, Arc::new(LocalBus::default())).await;
        let peers = self.peers.lock().unwrap().clone();
        for (name, key) in &peers {
            logs.know_peer(name, key).await.unwrap();
        }
        Home { logs, store, ..self }
    }

    /// From now on, also after it starts again, this server knows `hub`.
    pub async fn knows(&self, hub: &Home) {
        self.logs.know_peer(&hub.name, &hub.key).await.unwrap();
        self.peers.lock().unwrap().push((hub.name.clone(), hub.key));
    }

    /// A registered person.
    pub async fn person(&self, local: &str) -> Person {
        let mut person = Person::new(&format!("{local}@{}", self.name));
        person.join(&self.logs).await.unwrap();
        person
    }

    /// Appends as the author's own device.
    pub async fn append(&self, author: &Person, log: &LogName, draft: &Encoded<Draft>) -> Result<Placed, Refusal> {
        self.logs.append(author.origin(), log, draft.bytes().clone(), None).await
    }

    /// Appends a draft to a direct room as the author's own device.
    pub async fn append_direct(&self, author: &Person, genesis: &Genesis, draft: &Encoded<Draft>) -> Result<Placed, Refusal> {
        self.logs.append(author.origin(), &genesis.log(), draft.bytes().clone(), Some(genesis.clone())).await
    }

    /// Puts the list of the devices and keys that the author has now into force, with the next vault.
    pub async fn rekey(&self, author: &mut Person, n: u64) -> Result<Placed, Refusal> {
        let secrets = author.next_vault();
        let list = author.next_list(n);
        let origin = Origin::Device { user: author.name.clone(), device: list.device };
        self.logs.rekey(origin, Person::proof(), secrets, list.bytes().clone()).await
    }

    /// Everything that a log holds: the hash before the first entry, and the encoded entries.
    pub async fn read(&self, log: &LogName) -> (Hash, Vec<Bytes>) {
        let (mut all, mut after, mut first) = (Vec::new(), 0, None);
        loop {
            let (prev, items) = self.logs.page(&Reader::Host, log, (None, Some(after)), 1000).await.unwrap();
            first.get_or_insert(prev);
            if items.is_empty() {
                return (first.unwrap(), all);
            }
            after += items.len() as u64;
            all.extend(items.into_iter().map(|item| item.entry));
        }
    }

    /// Takes over everything that `hub` has of a log.
    pub async fn copy(&self, hub: &Home, log: &LogName) {
        let (prev, items) = hub.read(log).await;
        self.logs.replicate(&hub.name, log, prev, items).await.unwrap();
    }
}

/// Logs on a store that can be told to fail.
pub async fn open_on(folder: &Path, name: &str, bus: Arc<dyn Bus>) -> (Arc<Faulty>, Arc<Logs>) {
    let inner = SqliteStore::open(&folder.join("tidings.db")).unwrap();
    let (failing, pages) = (AtomicBool::new(false), AtomicU64::new(0));
    let store = Arc::new(Faulty { inner, failing, pages, held: watch::channel(false).0, commits_held: watch::channel(false).0 });
    let logs = Logs::open(store.clone() as Arc<dyn Store>, bus, keeper(folder, name, generous())).await.unwrap();
    (store, logs)
}

/// The store, but its commits can be made to fail as on a full disk, or be held, and the pages that are read are counted and held.
pub struct Faulty {
    inner: SqliteStore,
    failing: AtomicBool,
    pages: AtomicU64,
    held: watch::Sender<bool>,
    commits_held: watch::Sender<bool>,
}

impl Faulty {
    pub fn fail_commits(&self, fail: bool) {
        self.failing.store(fail, Ordering::SeqCst);
    }

    /// While pages are held, whoever reads waits.
    pub fn hold_pages(&self, hold: bool) {
        self.held.send_replace(hold);
    }

    /// While commits are held, nothing becomes durable.
    pub fn hold_commits(&self, hold: bool) {
        self.commits_held.send_replace(hold);
    }

    pub fn pages(&self) -> u64 {
        self.pages.load(Ordering::SeqCst)
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl Store for Faulty {
    fn load(&self) -> Answer<'_, Loaded> {
        self.inner.load()
    }

    fn commit(&self, changes: Vec<Change>) -> Answer<'_, ()> {
        if self.failing.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::Full) });
        }
        let mut held = self.commits_held.subscribe();
        Box::pin(async move {
            held.wait_for(|held| !held).await.unwrap();
            self.inner.commit(changes).await
        })
    }

    fn page(&self, log: u64, range: Range, most: Most) -> Answer<'_, Page> {
        self.pages.fetch_add(1, Ordering::SeqCst);
        let mut held = self.held.subscribe();
        Box::pin(async move {
            held.wait_for(|held| !held).await.unwrap();
            self.inner.page(log, range, most).await
        })
    }

    fn history(&self, log: u64, user: UserName, after: u64, most: Most) -> Answer<'_, (Vec<Stored>, bool)> {
        self.inner.history(log, user, after, most)
    }

    fn look_up(&self, questions: Questions) -> Answer<'_, Answers> {
        self.inner.look_up(questions)
    }

    fn account(&self, user: UserName) -> Answer<'_, Option<AccountRecord>> {
        self.inner.account(user)
    }

    fn codes(&self) -> Answer<'_, Vec<NewCode>> {
        self.inner.codes()
    }

    fn queues(&self) -> Answer<'_, BTreeMap<ServerName, Queue>> {
        self.inner.queues()
    }

    fn outbox(&self, peer: ServerName, after: i64, limit: usize) -> Answer<'_, Vec<OutboxRow>> {
        self.inner.outbox(peer, after, limit)
    }

    fn waiting(&self, peer: ServerName, after: i64, limit: usize) -> Answer<'_, Vec<Waiting>> {
        self.inner.waiting(peer, after, limit)
    }

    fn rows(&self, ids: Vec<i64>) -> Answer<'_, Vec<OutboxRow>> {
        self.inner.rows(ids)
    }

    fn changed(&self) -> Answer<'_, Vec<u64>> {
        self.inner.changed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

async fn open(folder: &Path, keeper: Keeper, bus: Arc<dyn Bus>) -> (Arc<SqliteStore>, Arc<Logs>) {
    let store = Arc::new(SqliteStore::open(&folder.join("tidings.db")).unwrap());
    let logs = Logs::open(store.clone() as Arc<dyn Store>, bus, keeper).await.unwrap();
    (store, logs)
}

fn keeper(folder: &Path, name: &str, limits: Limits) -> Keeper {
    let identity = Arc::new(Identity::load_or_create(folder, &server(name)).unwrap());
    Keeper { name: server(name), identity, limits }
}

/// Limits that are in nobody's way: what is not about them writes as fast as it can.
pub fn generous() -> Limits {
    Limits { messages_per_second: 1_000_000, message_burst: 1_000_000, invitation_burst: 1_000_000, ..Limits::default() }
}

/// The key of a server that never speaks.
pub fn some_key(name: &str) -> ServerKey {
    ServerKey(key(name).verifying_key().to_bytes())
}

/// A server of its own on a free port, without TLS.
pub fn config(folder: &Path, registration: Registration) -> Config {
    Config {
        name: server("s1"),
        data: folder.into(),
        listen: "127.0.0.1:0".parse().unwrap(),
        advertise: None,
        transport: Transport::PlainLoopback,
        registration,
        reserved: Vec::new(),
        peers: Vec::new(),
        limits: Limits::default(),
        pages: Default::default(),
    }
}

/// The code that something was refused with.
pub fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> Code {
    result.expect_err("this should have been refused").code
}
