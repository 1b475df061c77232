//! Who is in a simulated world: servers and people with keys that never change, made once, and the stores that they begin with.

use super::world::World;
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use tidings_client::{Bare, NewBare};
use tidings_e2ee::rsa::AwsLcKeys;
use tidings_e2ee::{AccountSecrets, DeviceSecret, account};
use tidings_proto::{DeviceKey, Draft, Encoded, Entry, Hash, ServerName, UserName};
use tidings_server::bus::local::LocalBus;
use tidings_server::identity::Identity;
use tidings_server::logs::{Admission, Keeper, Logs, NewAccount};
use tidings_server::store::sqlite::memory::MemoryStore;
use tidings_server::{Config, Limits, Peer, Registration, Transport};

const KEYS: [&[u8]; 5] = [
    include_bytes!("../../../e2ee/tests/keys/a.pk8"),
    include_bytes!("../../../e2ee/tests/keys/b.pk8"),
    include_bytes!("../../../e2ee/tests/keys/c.pk8"),
    include_bytes!("../../../e2ee/tests/keys/d.pk8"),
    include_bytes!("../../../e2ee/tests/keys/e.pk8"),
];
const SERVERS: [&str; 3] = ["s1", "s2", "s3"];
const PEOPLE: [&str; 5] = ["alice@s1", "bob@s2", "carol@s1", "dan@s2", "erin@s3"];
/// Who has a second device; it is listed from the beginning.
const TWICE: [&str; 2] = ["alice@s1", "bob@s2"];

/// What nobody comes to.
const MOST: u32 = 1_000_000;

/// Everybody there can be.
pub struct Cast {
    /// The servers.
    pub servers: Vec<Host>,
    /// The people; worlds of two servers do without the last.
    pub people: Vec<Somebody>,
    /// Second devices of some of them.
    pub further: Vec<Somebody>,
}

/// A server.
pub struct Host {
    /// Its name.
    pub name: ServerName,
    /// Its keys.
    pub identity: Arc<Identity>,
    /// Its disk, with its users' accounts.
    pub image: Vec<u8>,
}

/// A person's device.
pub struct Somebody {
    /// The name.
    pub user: UserName,
    /// The device.
    pub device: DeviceKey,
    /// The profile.
    pub image: Vec<u8>,
}

impl Cast {
    /// The one cast of all worlds.
    pub fn get() -> &'static Cast {
        static CAST: OnceLock<Cast> = OnceLock::new();
        CAST.get_or_init(Cast::new)
    }

    /// The same, each of whose devices has been linked once: their servers have key packages of all of them.
    pub fn known() -> &'static Cast {
        static CAST: OnceLock<Cast> = OnceLock::new();
        CAST.get_or_init(|| {
            let cast = Cast::get();
            let (servers, devices) = World::all_linked_once();
            let again = |somebody: &Somebody, image| Somebody { user: somebody.user.clone(), device: somebody.device, image };
            let host = |(host, image): (&Host, _)| Host { name: host.name.clone(), identity: host.identity.clone(), image };
            let mut devices = cast.people.iter().chain(&cast.further).zip(devices).map(|(somebody, image)| again(somebody, image));
            Cast {
                people: devices.by_ref().take(cast.people.len()).collect(),
                further: devices.collect(),
                servers: cast.servers.iter().zip(servers).map(host).collect(),
            }
        })
    }

    fn new() -> Cast {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let mut cast = Cast { servers: Vec::new(), people: Vec::new(), further: Vec::new() };
        for name in SERVERS {
            cast.servers.push(runtime.block_on(server(name, (&mut cast.people, &mut cast.further))));
        }
        cast.people.sort_by_key(|somebody| PEOPLE.iter().position(|name| somebody.user == name.parse().expect("a name")));
        cast
    }

    /// What a server runs with in a world of the first `servers` of them.
    pub fn config(&self, at: usize, servers: usize) -> Config {
        let peer = |host: &Host| Peer { name: host.name.clone(), address: String::new(), key: Some(host.identity.key()) };
        let others = self.servers[..servers].iter().enumerate().filter(|(other, _)| *other != at);
        Config {
            name: self.servers[at].name.clone(),
            data: Default::default(),
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: None,
            transport: Transport::PlainLoopback,
            registration: Registration::Closed,
            reserved: Vec::new(),
            peers: others.map(|(_, host)| peer(host)).collect(),
            // No rate is reached, since rates are of the wall's clock.
            limits: Limits { message_burst: MOST, invitation_burst: MOST, key_package_burst: MOST, ..Limits::default() },
            pages: Default::default(),
        }
    }

    /// What opens a server's logs.
    pub fn keeper(&self, at: usize, servers: usize) -> Keeper {
        let host = &self.servers[at];
        Keeper { name: host.name.clone(), identity: host.identity.clone(), limits: self.config(at, servers).limits }
    }
}

async fn server(name: &str, (people, further): (&mut Vec<Somebody>, &mut Vec<Somebody>)) -> Host {
    let name: ServerName = name.parse().expect("a name");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("identity")).expect("a folder");
    std::fs::write(folder.path().join("identity/server.key"), Hash::of(name.as_str().as_bytes()).as_bytes()).expect("a file");
    let identity = Arc::new(Identity::load_or_create(folder.path(), &name).expect("an identity"));
    let store = Arc::new(MemoryStore::new().expect("a store"));
    let keeper = Keeper { name: name.clone(), identity: identity.clone(), limits: Limits::default() };
    let logs = Logs::open(store.clone(), Arc::new(LocalBus::default()), keeper).await.expect("logs");
    for (number, user) in PEOPLE.iter().enumerate() {
        let user: UserName = user.parse().expect("a name");
        if *user.server() == name {
            let mut devices = register(&logs, &identity, user, number).await.into_iter();
            people.extend(devices.next());
            further.extend(devices);
        }
    }
    logs.close().await;
    Host { name, identity, image: store.image().expect("an image") }
}

async fn register(logs: &Arc<Logs>, home: &Identity, user: UserName, number: usize) -> Vec<Somebody> {
    let second = TWICE.iter().find(|name| user == name.parse().expect("a name")).map(|name| format!("{name}, again"));
    let seeds: Vec<[u8; 32]> = [user.to_string()].into_iter().chain(second).map(|name| Hash::of(name.as_bytes()).0).collect();
    let devices: Vec<DeviceSecret> = seeds.iter().map(DeviceSecret::from_bytes).collect();
    let identity = KEYS[(number + 1) % KEYS.len()].to_vec().into();
    let secrets = AccountSecrets::of_keys(vec![KEYS[number].to_vec().into()], [9; 32], [8; 32]);
    let listed: Vec<&DeviceSecret> = devices.iter().collect();
    let new = account::of_keys(&AwsLcKeys, &user, &listed, &identity, secrets).await.expect("an account");
    let (secrets, password) = (new.secrets.to_bytes(), Bytes::from_static(b"nobody logs in"));
    let recovery = password.clone();
    let device = devices[0].public();
    let account = NewAccount { user: user.clone(), device, password, recovery, vault: new.vault, admission: Admission::Open };
    logs.register(account, new.draft.bytes().clone()).await.expect("an account");
    let (items, _) = logs.chain(&user, 0).await.expect("a history");
    let history = items.iter().map(|item| Entry::read(&item.entry).expect("an entry"));
    let history: Vec<(u64, Encoded<Draft>)> = history.map(|entry| (entry.seq, entry.draft().expect("a draft").clone())).collect();
    let profile = |(device, seed): (&DeviceSecret, &[u8; 32])| {
        let bare = NewBare { user: user.clone(), home: home.key(), device: *seed, secrets: &secrets, history: history.clone() };
        Somebody { image: Bare::image(bare).expect("a profile"), user: user.clone(), device: device.public() }
    };
    devices.iter().zip(&seeds).map(profile).collect()
}
