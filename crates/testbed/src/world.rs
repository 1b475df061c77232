//! Servers that know each other, over wires that can be cut.

use crate::PATIENCE;
use crate::hostile::Hostile;
use crate::person::Person;
use crate::ports::free_addresses;
use crate::process::{Process, Program};
use crate::wire::Wire;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::{ServerKey, ServerName, SuiteName, UserName};
use tidings_server::bus::deaf::DeafBus;
use tidings_server::bus::local::LocalBus;
use tidings_server::identity::Identity;
use tidings_server::operator::{Answer, Ask, PeerRow, ask};
use tidings_server::store::{Store, StoreError};
use tidings_server::{Config, Limits, Peer, Registration, Running, Server, Transport};

/// Several servers and their people. The folders are removed with the world.
pub struct World {
    folder: tempfile::TempDir,
    how: How,
    sites: BTreeMap<ServerName, Site>,
    /// From whom to whom servers dial.
    wires: BTreeMap<(ServerName, ServerName), Wire>,
    /// What its people's private conversations begin on.
    suite: Option<SuiteName>,
}

struct Site {
    config: Config,
    key: ServerKey,
    life: Option<Life>,
}

/// A server that runs.
enum Life {
    /// In this process.
    Inside(Running),
    /// In one of its own.
    Process(Process),
}

/// Opens a server's store, at a path.
pub type MakeStore = Box<dyn Fn(&ServerName, &Path) -> Result<Arc<dyn Store>, StoreError> + Send + Sync>;

/// How a world's servers run.
pub enum How {
    /// In this process.
    Inside,
    /// In this process, on a bus that drops every wake.
    Deaf,
    /// In this process, each on a store that is made for it.
    OnStores(MakeStore),
    /// Each in a process of its own.
    Processes(Program),
}

impl World {
    /// s1 and s2, which know each other.
    pub async fn two_servers() -> World {
        World::of(&["s1", "s2"], false).await
    }

    /// The same, whose people's private conversations begin on this suite.
    pub async fn two_servers_on(suite: SuiteName) -> World {
        World::two_servers().await.on(suite)
    }

    /// The same world, whose people's private conversations begin on this suite.
    pub fn on(self, suite: SuiteName) -> World {
        World { suite: Some(suite), ..self }
    }

    /// These servers, each of which knows all others.
    pub async fn of(names: &[&str], deaf: bool) -> World {
        World::configured(names, deaf, |_| {}).await
    }

    /// The same, each server with a change of its configuration.
    pub async fn configured(names: &[&str], deaf: bool, change: impl Fn(&mut Config)) -> World {
        World::made(names, if deaf { How::Deaf } else { How::Inside }, change).await
    }

    /// The same, with servers that run in a way of their own.
    pub async fn made(names: &[&str], how: How, change: impl Fn(&mut Config)) -> World {
        let folder = tempfile::tempdir().expect("a folder for the world");
        let mut sites = BTreeMap::new();
        for name in names {
            let name: ServerName = name.parse().expect("a server name");
            let data = folder.path().join(name.as_str());
            let key = Identity::load_or_create(&data, &name).expect("an identity").key();
            let mut config = Config {
                name: name.clone(),
                data,
                listen: free_addresses::<1>().expect("a port on loopback")[0],
                advertise: None,
                transport: Transport::Tls,
                registration: Registration::Open,
                reserved: Vec::new(),
                peers: Vec::new(),
                limits: Limits::default(),
                pages: Default::default(),
            };
            change(&mut config);
            sites.insert(name, Site { config, key, life: None });
        }
        let mut world = World { folder, how, sites, wires: BTreeMap::new(), suite: None };
        let names: Vec<ServerName> = world.sites.keys().cloned().collect();
        for from in &names {
            for to in names.iter().filter(|to| *to != from) {
                world.introduce(from, to).await;
            }
        }
        for name in &names {
            world.start(name.as_str()).await;
        }
        world
    }

    async fn introduce(&mut self, from: &ServerName, to: &ServerName) {
        let wire = Wire::to(self.sites[to].config.listen).await;
        let peer = Peer { name: to.clone(), address: wire.address().to_string(), key: Some(self.sites[to].key) };
        self.sites.get_mut(from).expect("a server of this world").config.peers.push(peer);
        self.wires.insert((from.clone(), to.clone()), wire);
    }

    fn site(&self, name: &str) -> &Site {
        &self.sites[&name.parse::<ServerName>().expect("a server name")]
    }

    fn site_mut(&mut self, name: &str) -> &mut Site {
        self.sites.get_mut(&name.parse::<ServerName>().expect("a server name")).expect("a server of this world")
    }

    /// Starts a server that is not running.
    pub async fn start(&mut self, name: &str) {
        let site = self.site(name);
        assert!(site.life.is_none(), "{name} is running");
        let config = site.config.clone();
        let bus = || Arc::new(LocalBus::default());
        let started = match &self.how {
            How::Inside => Server::start_on(config, bus()).await.map(Life::Inside),
            How::Deaf => Server::start_on(config, Arc::new(DeafBus)).await.map(Life::Inside),
            How::OnStores(open) => {
                let (open, name) = (open.as_ref(), config.name.clone());
                Server::start_with(config, bus(), |path| open(&name, path)).await.map(Life::Inside)
            }
            How::Processes(program) => Ok(Life::Process(program.start(&config, self.folder.path()).await)),
        };
        self.site_mut(name).life = Some(started.expect("a server that starts"));
    }

    /// Stops a server in good order.
    pub async fn stop(&mut self, name: &str) {
        match self.site_mut(name).life.take().expect("a running server") {
            Life::Inside(running) => running.stop().await,
            Life::Process(process) => process.stop().await,
        }
    }

    /// kill -9 of a server's process. One in this process is stopped: what is left of it then its store decides.
    pub async fn kill(&mut self, name: &str) {
        match self.site_mut(name).life.take().expect("a running server") {
            Life::Process(process) => process.kill().await,
            Life::Inside(running) => running.stop().await,
        }
    }

    /// A server goes over to the other side, with its name, its keys and all that it has kept.
    pub async fn turns(&mut self, name: &str) -> Hostile {
        self.stop(name).await;
        Hostile::instead_of(&self.site(name).config).await
    }

    /// Whether a server's process still runs, as far as this world has not ended it.
    pub fn check_alive(&mut self) {
        for (name, site) in &mut self.sites {
            if let Some(Life::Process(process)) = &mut site.life {
                process.check_alive(name.as_str());
            }
        }
    }

    /// The servers' names.
    pub fn names(&self) -> Vec<String> {
        self.sites.keys().map(ToString::to_string).collect()
    }

    /// Where a server listens.
    pub fn address(&self, name: &str) -> SocketAddr {
        self.site(name).config.listen
    }

    /// A server's key.
    pub fn key(&self, name: &str) -> ServerKey {
        self.site(name).key
    }

    /// A server's configuration, to make another like it.
    pub fn config(&self, name: &str) -> &Config {
        &self.site(name).config
    }

    /// A server's configuration, to be changed before its next start.
    pub fn config_mut(&mut self, name: &str) -> &mut Config {
        &mut self.site_mut(name).config
    }

    /// A server's folder.
    pub fn data(&self, name: &str) -> &Path {
        &self.site(name).config.data
    }

    /// A new folder in the world, for a profile.
    pub fn profile(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("profile-{name}"))
    }

    /// Cuts the two servers from each other.
    pub fn cut(&self, a: &str, b: &str) {
        self.between(a, b).for_each(Wire::cut);
    }

    /// From now on the two servers hear nothing of each other, and none of their links ends.
    pub fn silence(&self, a: &str, b: &str) {
        self.between(a, b).for_each(Wire::silence);
    }

    /// The wire by which `from` dials `to`.
    pub fn wire(&self, from: &str, to: &str) -> &Wire {
        let (from, to) = (from.parse().expect("a server name"), to.parse().expect("a server name"));
        &self.wires[&(from, to)]
    }

    /// How things stand with a server's peers, as its operator is told.
    pub async fn peers(&self, server: &str) -> Vec<PeerRow> {
        let mut rows = Vec::new();
        let take = |answer| {
            if let Answer::Peer(row) = answer {
                rows.push(row)
            }
        };
        ask(self.data(server), &Ask::Peers, take).await.expect("an operator's socket");
        rows
    }

    /// Waits until `is` holds of how `peer` stands with a server, and gives that.
    pub async fn peer_is(&self, server: &str, peer: &str, what: &str, is: impl Fn(&PeerRow) -> bool) -> PeerRow {
        let mut last = None;
        let waiting = async {
            loop {
                let row = self.peers(server).await.into_iter().find(|row| row.name == peer).expect("a peer of that name");
                if is(&row) {
                    return row;
                }
                last = Some(row);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(row) => row,
            Err(_) => panic!("{server} waited in vain until {peer} {what}: {last:#?}"),
        }
    }

    /// From now on other servers hear `server`, and it does not hear them, on whichever link they speak.
    pub fn lose_answers_to(&self, server: &str) {
        for ((from, to), wire) in &self.wires {
            if from.as_str() == server {
                wire.lose_answers();
            } else if to.as_str() == server {
                wire.lose_asking();
            }
        }
    }

    /// Mends the wires between the two servers.
    pub fn heal(&self, a: &str, b: &str) {
        self.between(a, b).for_each(Wire::heal);
    }

    fn between<'a>(&'a self, a: &str, b: &str) -> impl Iterator<Item = &'a Wire> {
        let (a, b): (ServerName, ServerName) = (a.parse().expect("a server name"), b.parse().expect("a server name"));
        self.wires.iter().filter(move |((from, to), _)| (*from == a && *to == b) || (*from == b && *to == a)).map(|(_, wire)| wire)
    }

    /// Registers somebody, who is connected when this returns.
    pub async fn person(&self, user: &str) -> Person {
        let user: UserName = user.parse().expect("a user name");
        let server = user.server().to_string();
        let person = Person::register(user, self.address(&server), self.key(&server), self.profile(&unique())).await;
        person.client.begin_on(self.suite);
        person.is_addable().await
    }
}

fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}
