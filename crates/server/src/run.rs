//! A server's life: start, run, stop.

use crate::bus::Bus;
use crate::bus::local::LocalBus;
use crate::config::{Config, Transport};
use crate::host::Host;
use crate::identity::{Identity, IdentityError};
use crate::link::{accept, tls};
use crate::logs::{Keeper, Logs};
use crate::operator::{self, Answer, Ask};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};
use crate::{federation, setup};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use tidings_proto::{Refusal, ServerKey, ServerName};
use tokio::net::TcpListener;

/// Why a server cannot start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {}", unheard(address, source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Another server runs on the same folder.
    #[error("{0} is in use by another server that runs. Stop that one, or choose another folder with --data")]
    FolderInUse(String),
    /// The folder's lock cannot be had.
    #[error("{folder} cannot be locked: {source}. Choose a folder on a local disk with --data")]
    Lock {
        /// The folder.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// Plain links were asked for on an address that others can reach.
    #[error("links without TLS are served on loopback addresses only, and {0} is none")]
    PlainInPublic(SocketAddr),
    /// The keys cannot be read or made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The database cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// What to do about an address that cannot be listened on.
fn unheard(address: &SocketAddr, source: &std::io::Error) -> String {
    let choose = "choose another with --listen, or with \"listen\" in setup.json";
    match source.kind() {
        ErrorKind::AddrInUse => format!("another program uses port {} already. Stop it, or {choose}", address.port()),
        ErrorKind::AddrNotAvailable => {
            format!("this machine has no address {}. Take 0.0.0.0 for all that it has, or {choose}", address.ip())
        }
        ErrorKind::PermissionDenied => {
            format!("this account may not use port {}. Ports from 1024 are free to all: {choose}", address.port())
        }
        _ => format!("{source}; {choose}"),
    }
}

/// A server that is about to run.
pub struct Server;

/// A server that runs.
pub struct Running {
    host: Arc<Host>,
    address: SocketAddr,
    /// The folder is this server's until this is dropped, however it ends.
    _lock: File,
}

impl Server {
    /// Opens what lasts, listens, and dials the peers. Clients and peers are served when this returns.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        Server::start_on(config, Arc::new(LocalBus::default())).await
    }

    /// The same on another bus.
    pub async fn start_on(config: Config, bus: Arc<dyn Bus>) -> Result<Running, StartError> {
        Server::start_with(config, bus, |path| Ok(Arc::new(SqliteStore::open(path)?))).await
    }

    /// The same on another store too; it is opened once the folder is this server's, at the path of the database in it.
    pub async fn start_with(
        config: Config,
        bus: Arc<dyn Bus>,
        open: impl FnOnce(&Path) -> Result<Arc<dyn Store>, StoreError>,
    ) -> Result<Running, StartError> {
        if config.transport == Transport::PlainLoopback && !config.listen.ip().is_loopback() {
            return Err(StartError::PlainInPublic(config.listen));
        }
        let identity = Arc::new(Identity::load_or_create(&config.data, &config.name)?);
        let lock = lock(&config.data)?;
        let server_tls = match config.transport {
            Transport::Tls => Some(tls::server(&identity)?),
            Transport::PlainLoopback => None,
        };
        let client_tls = tidings_tls::client()?;
        let listen = |source| StartError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let store = open(&config.data.join("tidings.db"))?;
        let keeper = Keeper { name: config.name.clone(), identity: identity.clone(), limits: config.limits.clone() };
        let logs = Logs::open(store, bus, keeper).await?;
        for (name, key) in config.peers.iter().filter_map(|peer| Some((&peer.name, peer.key.as_ref()?))) {
            logs.know_peer(name, key).await?;
        }
        let host = Arc::new(Host::new(&config, identity, logs, address));
        match operator::listen(&config.data) {
            Ok(listener) => drop(host.tasks.spawn(operator::serve(host.clone(), listener, config.data.clone()))),
            Err(error) => {
                tracing::warn!(%error, folder = %config.data.display(), "the commands user, invite and peer list cannot be answered")
            }
        }
        host.tasks.spawn(accept::serve(host.clone(), listener, server_tls));
        federation::start(&host, client_tls);
        tracing::info!(name = %host.name, %address, key = %setup::write_key(&host.identity.key()), "serving");
        Ok(Running { host, address, _lock: lock })
    }
}

/// Two servers on one database would give one place in a log twice.
fn lock(data: &Path) -> Result<File, StartError> {
    let cannot = |source: std::io::Error| StartError::Lock { folder: data.display().to_string(), source };
    let file = File::options().create(true).append(true).mode(0o600).open(data.join("lock")).map_err(cannot)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(StartError::FolderInUse(data.display().to_string())),
        Err(error) => Err(cannot(error.into())),
    }
}

impl Running {
    /// What it is called.
    pub fn name(&self) -> &ServerName {
        &self.host.name
    }

    /// Where it listens; with port 0 in the configuration, the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key that peers and clients pin.
    pub fn key(&self) -> ServerKey {
        self.host.identity.key()
    }

    /// Answers an operator's question, as the socket in the folder does.
    pub async fn ask(&self, ask: Ask) -> Result<Vec<Answer>, Refusal> {
        operator::answer(&self.host, ask).await
    }

    /// Waits until the server can take nothing any more, which is a mistake in it or in the machine. It should be stopped then.
    pub async fn failed(&self) {
        self.host.logs.ended().await;
    }

    /// Stops: links are closed, what is under way is finished. Everything acknowledged was durable before.
    pub async fn stop(self) {
        self.host.stopping.cancel();
        self.host.tasks.close();
        self.host.tasks.wait().await;
        self.host.logs.close().await;
    }
}
