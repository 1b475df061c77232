//! Signed heads of key histories: every server says how far its own `keys@` goes, and hands on what others have said of theirs. Two replicas
//! of one history that are not the same show by that, though each holds by itself.
//!
//! A head counts by the signature of the server whose history it is, whoever brings it: nobody can make another look like a liar. What is found
//! is the operator's to see; nothing is stopped by it. It is not kept on disk: both replicas are, so it is found again on the next link.

use super::PeerState;
use crate::host::Host;
use crate::logs::{Reader, now};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidings_proto::frame::Ping;
use tidings_proto::{Head, LogName, ServerName, Signature, limits};
use tidings_trust::ed25519::verify_server;
use tokio::sync::watch;

/// A head is signed anew after so long, though nothing has changed: milliseconds.
const ANEW: u64 = 60_000;

/// The heads that are known here.
pub struct Heads {
    inner: Mutex<Inner>,
    /// Counts what is new.
    pub(super) news: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    own: Option<Head>,
    /// The newest that others have signed.
    newest: BTreeMap<ServerName, Head>,
    /// Those that go further than the replica here, by who has brought them.
    ahead: BTreeMap<(ServerName, ServerName), Head>,
    /// Whose history is told in two ways, and how that was found.
    forked: BTreeMap<ServerName, String>,
}

impl Default for Heads {
    fn default() -> Heads {
        Heads { inner: Mutex::default(), news: watch::channel(0).0 }
    }
}

impl Heads {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That a server's key history is told in two ways, if that was found.
    pub fn forked(&self, server: &ServerName) -> Option<String> {
        self.inner().forked.get(server).cloned()
    }
}

/// How far this server's own key history goes; none while it is empty.
pub fn own(host: &Host) -> Option<Head> {
    let log = LogName::Keys(host.name.clone());
    let tip = host.logs.tip(&log).filter(|tip| tip.seq > 0)?;
    let mut inner = host.peers.heads.inner();
    let at = now();
    if let Some(head) = inner.own.as_ref().filter(|head| head.seq == tip.seq && at.saturating_sub(head.at) < ANEW) {
        return Some(head.clone());
    }
    let head = Head { log, term: 0, seq: tip.seq, hash: tip.hash, at, key: host.identity.key(), sig: Signature([0; 64]) };
    let head = Head { sig: host.identity.sign(&head.signed_bytes()), ..head };
    inner.own = Some(head.clone());
    Some(head)
}

/// What `peer` is told, where it is not what it was told last.
pub(super) fn news_for(host: &Host, peer: &PeerState, told: &mut BTreeMap<LogName, u64>) -> Option<Ping> {
    let mut heads: Vec<Head> = own(host).into_iter().collect();
    heads.extend(host.peers.heads.inner().newest.iter().filter(|(server, _)| *server != peer.name()).map(|(_, head)| head.clone()));
    heads.retain(|head| told.get(&head.log) != Some(&head.seq));
    heads.truncate(limits::HEADS);
    told.extend(heads.iter().map(|head| (head.log.clone(), head.seq)));
    (!heads.is_empty()).then_some(Ping { req: 0, heads: Some(heads) })
}

/// Holds what `from` says against the replicas here.
pub(super) async fn hear(host: Arc<Host>, from: ServerName, heads: Vec<Head>) {
    for head in heads.into_iter().take(limits::HEADS).filter(|head| head.seq > 0) {
        let LogName::Keys(server) = &head.log else { continue };
        let key = host.peers.get(server).and_then(|peer| peer.peer.key);
        if key != Some(head.key) || verify_server(&head.key, &head.signed_bytes(), &head.sig).is_err() {
            // Of a server that is not known here, or has got another key meanwhile, nothing can be said.
            tracing::debug!(%from, log = %head.log, "a head that its server has not signed");
            continue;
        }
        host.peers.heads.inner().ahead.insert((server.clone(), from.clone()), head);
    }
    look(&host).await;
}

/// Holds those that were ahead against what is here by now.
pub(super) async fn look(host: &Host) {
    let waiting: Vec<((ServerName, ServerName), Head)> =
        host.peers.heads.inner().ahead.iter().map(|(whose, head)| (whose.clone(), head.clone())).collect();
    for ((server, from), head) in waiting {
        let Some(tip) = host.logs.tip(&head.log) else { continue };
        let here = match head.seq.cmp(&tip.seq) {
            std::cmp::Ordering::Greater => continue,
            std::cmp::Ordering::Equal => Some(tip.hash),
            std::cmp::Ordering::Less => {
                host.logs.page(&Reader::Host, &head.log, (None, Some(head.seq)), 1).await.ok().map(|(hash, _)| hash)
            }
        };
        let heads = &host.peers.heads;
        let mut inner = heads.inner();
        inner.ahead.retain(|whose, known| *whose != (server.clone(), from.clone()) || *known != head);
        let Some(here) = here else { continue };
        if here != head.hash {
            let proof = inner.newest.get(&server).filter(|known| known.contradicts(&head));
            tracing::error!(%server, %from, head = ?head, proof = ?proof, here = ?here, "a server's key history is told in two ways");
            let why = format!(
                "{server} has signed another history of its people's keys, entry {}, than it has shown here ({from} has brought it): it tells \
                 people different keys, or was restored from an old backup",
                head.seq
            );
            inner.forked.entry(server).or_insert(why);
        } else if inner.newest.get(&server).is_none_or(|known| known.seq < head.seq) {
            inner.newest.insert(server, head);
            heads.news.send_modify(|count| *count += 1);
        }
    }
}
