//! One known server: the links there are to it, which of them asks, and how things stand.

use super::claim;
use crate::config::Peer;
use crate::link::wire::LinkError;
use crate::logs::{Settled, now};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidings_proto::{Code, Hash, Refusal, ServerName};
use tokio::sync::{Notify, OwnedMutexGuard, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Links to one peer. Each side dials once; more there are only while lost ones have not been noticed.
const LINKS: usize = 8;
/// Characters of an error that are kept to be shown.
const ERROR: usize = 300;

/// One known server, and how things stand with it.
pub struct PeerState {
    pub(super) peer: Peer,
    links: Mutex<Links>,
    /// The newest link, by its number; none while there is no link.
    pub(super) newest: watch::Sender<Option<u64>>,
    /// There are rows in its outbox that may not have been read.
    pub(super) outbox: Notify,
    /// Claims of its users' key packages that have not gone out.
    pub(super) claims: claim::Queue,
    /// Held by the one link that asks.
    asker: Arc<tokio::sync::Mutex<()>>,
    /// Who waits for the answer to a draft, by the draft's hash.
    pub(super) waiting: Mutex<HashMap<Hash, Vec<oneshot::Sender<Settled>>>>,
}

struct Links {
    /// Each with what ends it when there are too many.
    live: BTreeMap<u64, CancellationToken>,
    next: u64,
    standing: Standing,
}

/// How things stand with a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether there is a link.
    pub linked: bool,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// What went wrong last, and when. May quote the other server.
    pub last_error: Option<(u64, String)>,
}

/// One link while it is up.
pub(super) struct Link {
    peer: Arc<PeerState>,
    number: u64,
    ending: CancellationToken,
}

impl PeerState {
    pub(super) fn new(peer: Peer) -> PeerState {
        let standing = Standing { linked: false, since: now(), last_error: None };
        PeerState {
            peer,
            links: Mutex::new(Links { live: BTreeMap::new(), next: 1, standing }),
            newest: watch::channel(None).0,
            outbox: Notify::new(),
            claims: claim::Queue::default(),
            asker: Arc::default(),
            waiting: Mutex::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &ServerName {
        &self.peer.name
    }

    /// Where it is dialled.
    pub fn address(&self) -> &str {
        &self.peer.address
    }

    /// Whether it can be dialled and let in at all.
    pub fn has_key(&self) -> bool {
        self.peer.key.is_some()
    }

    /// How things stand with it.
    pub fn standing(&self) -> Standing {
        self.links().standing.clone()
    }

    /// The newest link, by its number; none while there is no link.
    pub(super) fn newest_link(&self) -> Option<u64> {
        *self.newest.borrow()
    }

    /// Waits until there is a link that came after this one.
    pub(super) async fn has_newer_link(&self, than: Option<u64>) {
        // An error only says that the server is stopping.
        let _ = self.newest.subscribe().wait_for(|newest| *newest > than).await;
    }

    pub(super) fn is_up(&self) -> bool {
        self.newest_link().is_some()
    }

    /// There is one link more. Where there are too many the oldest goes: it is the likeliest to be dead.
    pub(super) fn link_up(self: &Arc<Self>) -> Link {
        let mut links = self.links();
        let (number, ending) = (links.next, CancellationToken::new());
        links.next += 1;
        links.live.insert(number, ending.clone());
        if links.live.len() > LINKS
            && let Some((_, oldest)) = links.live.first_key_value()
        {
            oldest.cancel();
        }
        self.changed(links);
        Link { peer: self.clone(), number, ending }
    }

    /// A dial or a link came to nothing.
    pub(super) fn failed(&self, error: &LinkError) {
        let text = error.to_string().chars().take(ERROR).collect();
        self.links().standing.last_error = Some((now(), text));
    }

    fn changed(&self, mut links: MutexGuard<'_, Links>) {
        let newest = links.live.last_key_value().map(|(number, _)| *number);
        if links.standing.linked != newest.is_some() {
            links.standing = Standing { linked: newest.is_some(), since: now(), ..links.standing.clone() };
        }
        // Told under the lock, so that what is told last is true.
        self.newest.send_replace(newest);
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// Whether this link is the one to ask, now that no link is newer.
    pub(super) fn is_newest(&self) -> bool {
        self.peer.newest_link() == Some(self.number)
    }

    /// Waits for the right to ask: the link that has it gives it up when it learns of a newer one, or ends.
    pub(super) async fn claim(&self) -> OwnedMutexGuard<()> {
        self.peer.asker.clone().lock_owned().await
    }

    /// Runs a link's work until it ends, or newer links take its place.
    pub(super) async fn unless_replaced(&self, work: impl Future<Output = Result<(), LinkError>>) -> Result<(), LinkError> {
        let replaced = || Err(Refusal::new(Code::Busy, format!("the oldest of more than {LINKS} links")).into());
        self.ending.run_until_cancelled(work).await.unwrap_or_else(replaced)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut links = self.peer.links();
        links.live.remove(&self.number);
        self.peer.changed(links);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn peer() -> Arc<PeerState> {
        Arc::new(PeerState::new(Peer { name: "s2".parse().unwrap(), address: "127.0.0.1:1".into(), key: None }))
    }

    #[tokio::test]
    async fn the_newest_link_has_the_right_to_ask() {
        let peer = peer();
        let first = peer.link_up();
        let right = first.claim().now_or_never().unwrap();
        assert!(first.is_newest());
        let second = peer.link_up();
        assert!(!first.is_newest() && second.is_newest());
        assert!(second.claim().now_or_never().is_none(), "two never ask at once");
        drop(right);
        let right = second.claim().now_or_never().unwrap();
        drop((right, second));
        assert!(first.is_newest(), "and when it ends, the newest of the others has it again");
        drop(first);
        assert!(!peer.is_up());
    }

    #[tokio::test]
    async fn of_too_many_links_the_oldest_goes() {
        let peer = peer();
        let mut links: Vec<Link> = (0..LINKS - 1).map(|_| peer.link_up()).collect();
        let ends = |link: &Link| link.unless_replaced(std::future::pending()).now_or_never();
        assert!(links.iter().all(|link| ends(link).is_none()), "n - 1");
        links.push(peer.link_up());
        assert!(links.iter().all(|link| ends(link).is_none()), "n");
        links.push(peer.link_up());
        let ended: Vec<bool> = links.iter().map(|link| ends(link).is_some()).collect();
        assert_eq!(ended, [&[true][..], &[false; LINKS]].concat(), "n + 1");
    }

    #[test]
    fn how_things_stand_is_remembered() {
        let peer = peer();
        let before = peer.standing();
        assert!(!before.linked && before.last_error.is_none() && before.since > 0);
        peer.failed(&LinkError::Socket("x".repeat(10_000)));
        let link = peer.link_up();
        let up = peer.standing();
        assert!(up.linked && up.since >= before.since);
        assert_eq!(up.last_error.unwrap().1.chars().count(), ERROR);
        let another = peer.link_up();
        drop(link);
        assert!(peer.standing().linked, "one is left");
        drop(another);
        assert!(!peer.standing().linked);
    }
}
