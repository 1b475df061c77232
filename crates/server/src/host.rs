//! What every link of one server shares. No logic of its own: it holds the parts and hands them out.

use crate::accounts::Accounts;
use crate::config::{Config, Pages, Registration, Transport};
use crate::federation::Peers;
use crate::identity::Identity;
use crate::link::guests::{self, GuestLimits, GuestPace, Guests};
use crate::link::turns::Turns;
use crate::logs::Logs;
use crate::presence::Presence;
use std::net::SocketAddr;
use std::sync::Arc;
use tidings_proto::{ServerName, UserName};
use tidings_setup::value;
use tidings_site::Home;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// One running server's parts.
pub struct Host {
    /// Its name.
    pub name: ServerName,
    /// Where people and peers reach it, as far as can be told.
    pub address: Option<String>,
    /// Its keys.
    pub identity: Arc<Identity>,
    /// Whether its links are encrypted.
    pub transport: Transport,
    /// The one door to everything that lasts.
    pub logs: Arc<Logs>,
    /// The web client.
    pub pages: Pages,
    /// What its pages have to know about this server.
    pub home: Home,
    /// Registration and login.
    pub accounts: Accounts,
    /// Who is online.
    pub presence: Presence,
    /// The servers it knows.
    pub peers: Peers,
    /// Days that anything waits for a peer.
    pub outbox_days: u32,
    /// The links that have not authenticated.
    pub guests: Arc<Guests>,
    /// What those who are not in yet take of the processor.
    pub turns: Turns,
    /// How long each of them may take.
    pub guest_pace: GuestPace,
    /// Cancelled when the server stops; every task listens to it.
    pub stopping: CancellationToken,
    /// Every task, so that stopping waits for them.
    pub tasks: TaskTracker,
}

impl Host {
    /// Puts the parts together.
    pub fn new(config: &Config, identity: Arc<Identity>, logs: Arc<Logs>, listening: SocketAddr) -> Host {
        logs.keep_back(config.reserved.iter().cloned());
        let own = || Some(listening).filter(|listening| !listening.ip().is_unspecified()).map(|listening| listening.to_string());
        Host {
            name: config.name.clone(),
            pages: config.pages,
            home: home(config, &identity),
            address: config.advertise.clone().or_else(own),
            identity,
            transport: config.transport,
            accounts: Accounts::new(config),
            presence: Presence::new(config.name.clone(), knows_keys(&logs)),
            peers: Peers::new(config),
            turns: Turns::of_machine(),
            guests: Arc::new(Guests::new(GuestLimits {
                per_address: config.limits.guests_per_address as usize,
                in_all: config.limits.guests as usize,
            })),
            outbox_days: config.limits.outbox_days,
            guest_pace: guests::PACE,
            logs,
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Whether links are served: the logs are open as soon as there is a host, until it stops or they fail.
    pub fn is_ready(&self) -> bool {
        !self.stopping.is_cancelled() && self.logs.is_open()
    }

    /// The servers whose public chats and people make up this network, this one first.
    pub fn network(&self) -> Vec<ServerName> {
        std::iter::once(self.name.clone()).chain(self.peers.names()).collect()
    }
}

fn home(config: &Config, identity: &Identity) -> Home {
    let registration = match config.registration {
        Registration::Open => "open",
        Registration::ByCode => "invitation",
        Registration::Closed => "closed",
    };
    Home {
        name: config.name.to_string(),
        key: Some(value::show_server_key(&identity.key())),
        registration: Some(registration),
        pinned: false,
    }
}

fn knows_keys(logs: &Arc<Logs>) -> impl Fn(&UserName) -> bool + Send + Sync + 'static {
    let logs = logs.clone();
    move |user| logs.directory().state(user).is_some()
}
