//! Links between servers. Each side dials the other where it can; either side may follow and submit on any link, so a
//! server that cannot be dialled takes part as well.
//!
//! On every link both sides *serve* (`serve`: what the peer asks for). Of the links there are to one peer (`peer`), one at a
//! time *asks* (`ask`: follow the peer's logs, empty the outbox): the newest, since of an older one nobody knows whether
//! it is still there.

mod ask;
mod claim;
mod expire;
pub mod heads;
mod lanes;
mod peer;
mod place;
mod replicate;
mod serve;

use crate::config::Config;
use crate::host::Host;
use crate::link::accept::{AUTHENTICATE_WITHIN, Arrival};
use crate::link::channel::Channel;
use crate::link::dial::{Dial, dial};
use crate::link::handshake;
use crate::link::pump::Pump;
use rand_core::{OsRng, RngCore};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::frame::Ready;
use tidings_proto::handshake::Party;
use tidings_proto::{Code, Refusal, ServerKey, ServerName, limits};

pub use claim::claim;
pub use peer::{PeerState, Standing};
pub use place::{Outgoing, place, stands};

/// A peer's users are shown offline so long after its last link was lost.
const OFFLINE_AFTER: Duration = Duration::from_secs(60);
/// The first and the longest wait between two dials.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// The servers this one knows.
pub struct Peers {
    all: BTreeMap<ServerName, Arc<PeerState>>,
    /// How far their key histories go, by their own word.
    pub heads: heads::Heads,
}

impl Peers {
    /// The peers that `config` names.
    pub fn new(config: &Config) -> Peers {
        let all = config.peers.iter().map(|peer| (peer.name.clone(), Arc::new(PeerState::new(peer.clone())))).collect();
        Peers { all, heads: heads::Heads::default() }
    }

    /// All of them, in order of name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<PeerState>> {
        self.all.values()
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = ServerName> + '_ {
        self.all.keys().cloned()
    }

    /// A peer by name.
    pub fn get(&self, name: &ServerName) -> Option<Arc<PeerState>> {
        self.all.get(name).cloned()
    }

    /// A peer, if `key` is the one its name is bound to. Nobody else is let in.
    fn known(&self, name: &ServerName, key: &ServerKey) -> Option<Arc<PeerState>> {
        self.get(name).filter(|state| state.peer.key.as_ref() == Some(key))
    }
}

/// Dials every peer that has a pinned key, for as long as `host` runs.
pub fn start(host: &Arc<Host>, tls: Arc<rustls::ClientConfig>) {
    let late = host.clone();
    host.tasks.spawn(async move {
        late.stopping.run_until_cancelled(late.presence.tell_late()).await;
    });
    for peer in host.peers.all() {
        // That one without a key is not dialled was said when the settings were read.
        if let Some(key) = peer.peer.key {
            host.tasks.spawn(keep_dialling(host.clone(), peer.clone(), key, tls.clone()));
        }
    }
    host.tasks.spawn(expire::watch(host.clone()));
}

async fn keep_dialling(host: Arc<Host>, peer: Arc<PeerState>, key: ServerKey, tls: Arc<rustls::ClientConfig>) {
    let mut wait = BACK_OFF.0;
    loop {
        let newest = peer.newest_link();
        let to = Dial {
            me: &host.name,
            identity: &host.identity,
            name: &peer.peer.name,
            key: &key,
            address: &peer.peer.address,
            transport: host.transport,
        };
        let dialled = tokio::select! {
            dialled = dial(to, tls.clone()) => dialled,
            () = host.stopping.cancelled() => return,
        };
        match dialled {
            Ok(wire) => {
                wait = BACK_OFF.0;
                tracing::info!(peer = %peer.peer.name, "linked");
                run(&host, Pump::new(wire, &host.logs), &peer).await;
            }
            Err(error) => {
                tracing::debug!(peer = %peer.peer.name, %error, "cannot be reached");
                peer.failed(&error);
            }
        }
        // Half fixed, half random: servers that lost the same peer must not come back in step.
        let pause = wait / 2 + wait.mul_f64(f64::from(OsRng.next_u32()) / f64::from(u32::MAX) / 2.0);
        wait = (wait * 2).min(BACK_OFF.1);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // It is there: whatever kept it from being reached may be over.
            () = peer.has_newer_link(newest) => wait = BACK_OFF.0,
            () = host.stopping.cancelled() => return,
        }
    }
}

/// Serves one arrival at `/federation`.
pub async fn serve(host: Arc<Host>, arrival: Arrival) {
    let Arrival { mut wire, session, address, place } = arrival;
    let shaking = handshake::accept(&mut wire, &host.name, &host.identity, session, limits::PEER_FRAME);
    let proved = match tokio::time::timeout(AUTHENTICATE_WITHIN, shaking).await {
        Ok(Ok(proved)) => proved,
        Ok(Err(error)) => return tracing::debug!(%address, %error, "a peer's link ended"),
        Err(_) => return tracing::debug!(%address, "a peer took too long to authenticate"),
    };
    let peer = match &proved.party {
        Party::Peer { name, key } => host.peers.known(name, key),
        _ => None,
    };
    let Some(peer) = peer else {
        tracing::info!(%address, "refused a server that is not in mailing_address, or has another key than there");
        let why = Refusal::new(Code::UnknownPeer, "this server is not in the other one's mailing_address, or has another key there");
        return handshake::refuse(&mut wire, why).await;
    };
    if let Err(error) = handshake::ready(&mut wire, Ready { listed: true, network: Vec::new() }).await {
        return tracing::debug!(%address, %error, "a peer's link ended");
    }
    wire.allowance.lift();
    drop(place);
    let tasks = host.tasks.clone();
    let pump = Pump::new(wire, &host.logs);
    tasks.spawn(async move { run(&host, pump, &peer).await });
}

/// Attends to a link to a peer that has been proved already, by whoever made the channel. Whom this server does not know it does
/// not hear.
pub async fn attend(host: &Arc<Host>, channel: impl Channel, peer: &ServerName) {
    if let Some(peer) = host.peers.get(peer) {
        run(host, channel, &peer).await;
    }
}

/// One link's life, whoever dialled it.
async fn run(host: &Arc<Host>, channel: impl Channel, peer: &Arc<PeerState>) {
    let link = peer.link_up();
    let ended = link.unless_replaced(serve::serve(host, channel, peer, &link)).await;
    if let Err(error) = ended {
        tracing::info!(peer = %peer.peer.name, %error, "link lost");
        peer.failed(&error);
    }
    drop(link);
    if !peer.is_up() {
        let (host, peer) = (host.clone(), peer.clone());
        host.clone().tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(OFFLINE_AFTER) => {}
                () = host.stopping.cancelled() => return,
            }
            if !peer.is_up() {
                host.presence.peer_lost(&peer.peer.name);
            }
        });
    }
}
