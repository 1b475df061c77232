//! A draft of ours for a log whose hub is a peer: durable here first, then the peer's answer.

use super::PeerState;
use crate::link::pump::Late;
use crate::logs::{Logs, OutboxState, Settled};
use bytes::Bytes;
use std::sync::{Arc, MutexGuard};
use tidings_proto::frame::{Accepted, Queued, Refused};
use tidings_proto::{Code, DeviceKey, Frame, Genesis, Hash, LogName, Refusal, UserName};
use tokio::sync::{oneshot, watch};

/// A draft on its way to a peer.
pub struct Outgoing {
    /// Whose it is.
    pub user: UserName,
    /// From which device.
    pub device: DeviceKey,
    /// For which log.
    pub log: LogName,
    /// The encoded draft.
    pub draft: Bytes,
    /// The genesis of a direct room.
    pub genesis: Option<Genesis>,
}

type Waiting = std::collections::HashMap<Hash, Vec<oneshot::Sender<Settled>>>;

impl PeerState {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Tells those who wait for the answer to this draft.
    pub(super) fn answered(&self, draft: &Hash, settled: &Settled) {
        for waiter in self.waiting().remove(draft).unwrap_or_default() {
            // An error only says that the asker's link has ended; the answer is kept for when it asks again.
            let _ = waiter.send(settled.clone());
        }
    }

    fn wait_for(&self, draft: Hash) -> oneshot::Receiver<Settled> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting();
        let waiters = waiting.entry(draft).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(sender);
        receiver
    }

    /// Nobody waits for the answer to this draft here any more.
    fn forget(&self, draft: &Hash) {
        let mut waiting = self.waiting();
        if let Some(waiters) = waiting.get_mut(draft) {
            waiters.retain(|waiter| !waiter.is_closed());
            if waiters.is_empty() {
                waiting.remove(draft);
            }
        }
    }
}

/// One who waits. What is refused here is never answered, so whoever stops waiting takes its place along.
struct Waiter {
    peer: Arc<PeerState>,
    draft: Hash,
    answer: oneshot::Receiver<Settled>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.answer.close();
        self.peer.forget(&self.draft);
    }
}

/// Makes the draft durable in the peer's outbox, and gives the peer's answer when it comes. While the peer cannot be
/// reached, the asker is told once that its draft is queued.
pub async fn place(logs: &Arc<Logs>, peer: &Arc<PeerState>, outgoing: Outgoing, req: u32, sender: Late) -> Result<Frame, Refusal> {
    // Before the row exists, or its answer could come before anybody waits for it.
    let draft = Hash::of(&outgoing.draft);
    let mut waiter = Waiter { peer: peer.clone(), draft, answer: peer.wait_for(draft) };
    let row = logs.enqueue(&peer.peer.name, outgoing).await?;
    if let Some(answered) = stands(req, row.state) {
        return answered;
    }
    peer.outbox.notify_one();
    let mut newest = peer.newest.subscribe();
    tokio::select! {
        biased;
        settled = &mut waiter.answer => Ok(answer(req, settled)),
        () = is_down(&mut newest) => {
            // The wait goes on beside the link's requests: a peer that is away for days must not use up their number.
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    settled = &mut waiter.answer => {
                        // An error only says that the asker's link has ended; the answer is kept for when it asks again.
                        let _ = sender.send(Box::new(answer(req, settled))).await;
                    }
                    () = sender.closed() => {}
                }
            });
            Ok(Queued { req }.into())
        }
    }
}

/// The answer that a draft in an outbox has had, if it has had one.
pub fn stands(req: u32, state: OutboxState) -> Option<Result<Frame, Refusal>> {
    match state {
        OutboxState::Accepted { seq, hash } => Some(Ok(Accepted { req, seq, hash }.into())),
        OutboxState::Refused(why) => Some(Err(why)),
        OutboxState::Waiting => None,
    }
}

fn answer(req: u32, settled: Result<Settled, oneshot::error::RecvError>) -> Frame {
    match settled {
        Ok(Settled::Accepted { seq, hash }) => Accepted { req, seq, hash }.into(),
        Ok(Settled::Refused(why)) => Refused { req, why, log: None }.into(),
        Err(_) => Refused { req, why: Code::Internal.into(), log: None }.into(),
    }
}

/// Waits until there is no link to the peer. The value that is watched is not held on to, so the wait may move between threads.
pub(super) async fn is_down(newest: &mut watch::Receiver<Option<u64>>) {
    // An error only says that the server is stopping.
    let _ = newest.wait_for(Option::is_none).await;
}
