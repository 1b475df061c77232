//! Key packages of a peer's users. A claim goes out on the link that asks and is answered by the peer, or not at all: it is not durable, and never
//! sent again, since what a lost answer has handed out is gone.

use super::PeerState;
use super::place::is_down;
use crate::host::Host;
use crate::logs::{Origin, is_key_package};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidings_proto::frame::{ClaimedKeyPackage, KeyPackageClaim, KeyPackages, Refused};
use tidings_proto::{Code, DeviceKey, Frame, Refusal, ServerName, UserName, limits};
use tidings_trust::KeyState;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// Who claims waits no longer than this.
const WITHIN: Duration = Duration::from_secs(10);
/// When another try makes sense, in seconds.
const AGAIN: u64 = 5;
/// Devices of which key packages are under way to a peer at once. With as many answers to the peer's own claims it stays below what
/// a link holds before it stops reading, so two servers that claim much of each other both go on reading.
const WINDOW: usize = 4 * limits::DEVICES;
/// Claims that wait for their turn; whoever comes then is told to come again.
const WAITING: usize = 1000;

type Answer = Result<Vec<ClaimedKeyPackage>, Refusal>;

/// A claim, and who waits for its answer.
pub(super) struct Claim {
    user: UserName,
    devices: Vec<DeviceKey>,
    by: UserName,
    /// Nobody waits for it any longer than this.
    until: Instant,
    answer: oneshot::Sender<Answer>,
}

/// Claims that wait to go out to one peer.
#[derive(Default)]
pub(super) struct Queue {
    claims: Mutex<VecDeque<Claim>>,
    more: Notify,
}

impl Queue {
    fn claims(&self) -> MutexGuard<'_, VecDeque<Claim>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, claim: Claim) -> Result<(), Refusal> {
        let mut claims = self.claims();
        if claims.len() >= WAITING {
            claims.retain(|claim| !claim.answer.is_closed());
        }
        if claims.len() >= WAITING {
            return Err(Refusal::from(Code::Busy).retry_after(AGAIN));
        }
        claims.push_back(claim);
        self.more.notify_one();
        Ok(())
    }

    /// Waits until a claim waits. Cancel-safe.
    async fn has_more(&self) {
        while self.claims().is_empty() {
            self.more.notified().await;
        }
    }
}

/// Claims on their way on one link, by the numbers of the requests. Whoever waits is told when the link is lost, and this is dropped.
#[derive(Default)]
pub(super) struct UnderWay(BTreeMap<u32, Claim>);

impl UnderWay {
    /// Waits until another claim may go out. Those that nobody waits for any more count no more: a peer that answers nothing delays each
    /// claim, and keeps none back for ever. Cancel-safe.
    async fn has_room(&self) {
        loop {
            let now = Instant::now();
            let waited_for = || self.0.values().filter(|claim| claim.until > now && !claim.answer.is_closed());
            let Some(first) = waited_for().map(|claim| claim.until).min() else { return };
            if waited_for().map(|claim| claim.devices.len()).sum::<usize>() < WINDOW {
                return;
            }
            tokio::time::sleep_until(first).await;
        }
    }

    /// The next claim goes out as request `req`, if somebody still waits for it.
    pub(super) fn next(&mut self, queue: &Queue, req: u32) -> Option<Frame> {
        let claim = queue.claims().pop_front().filter(|claim| !claim.answer.is_closed())?;
        self.0.retain(|_, claim| !claim.answer.is_closed());
        let frame = KeyPackageClaim { req, user: claim.user.clone(), devices: claim.devices.clone(), by: Some(claim.by.clone()) };
        self.0.insert(req, claim);
        Some(frame.into())
    }

    /// The peer's answer. One to something else that was asked, or to nothing, is passed over.
    pub(super) fn answered(&mut self, req: u32, answer: Answer) {
        if let Some(claim) = self.0.remove(&req) {
            // An error only says that nobody waits for it any more.
            let _ = claim.answer.send(answer);
        }
    }

    /// The peer does not know of claims.
    pub(super) fn unknown(&mut self) {
        for (_, claim) in std::mem::take(&mut self.0) {
            let _ = claim.answer.send(Err(Refusal::new(Code::Unreachable, "the other server's program knows no key packages yet")));
        }
    }
}

/// Waits until a claim waits and may go out. Cancel-safe.
pub(super) async fn can_go_out(queue: &Queue, under_way: &UnderWay) {
    queue.has_more().await;
    under_way.has_room().await;
}

/// Claims key packages of a user of this peer's, whose keys these are, for `by`, who is of this server. What the peer hands out that is none
/// is left out, as if it had none of that device: it keeps its own people's devices out, and nobody else.
pub async fn claim(peer: &Arc<PeerState>, by: UserName, keys: &KeyState, devices: Vec<DeviceKey>) -> Answer {
    if !peer.is_up() {
        return Err(unreachable());
    }
    let (answer, answered) = oneshot::channel();
    let until = Instant::now() + WITHIN;
    peer.claims.put(Claim { user: keys.list.user.clone(), devices: devices.clone(), by, until, answer })?;
    let mut newest = peer.newest.subscribe();
    let packages = tokio::select! {
        biased;
        answer = answered => answer.map_err(|_| unreachable())??,
        () = is_down(&mut newest) => return Err(unreachable()),
        () = tokio::time::sleep_until(until) => return Err(unreachable()),
    };
    let was_asked = |(at, claimed): (usize, &ClaimedKeyPackage)| {
        let is_first = packages[..at].iter().all(|before| before.device != claimed.device);
        is_first && devices.contains(&claimed.device)
    };
    if !packages.iter().enumerate().all(was_asked) {
        return Err(Refusal::new(Code::Unreachable, "the other server has answered something else than was asked").retry_after(AGAIN));
    }
    let holds = |claimed: &ClaimedKeyPackage| {
        let held = is_key_package(&claimed.package, claimed.last_resort, &claimed.device, keys);
        held.inspect_err(|why| tracing::warn!(peer = %keys.list.user.server(), %why, "a peer hands out what is no key package")).is_ok()
    };
    Ok(packages.into_iter().filter(holds).collect())
}

fn unreachable() -> Refusal {
    Refusal::from(Code::Unreachable).retry_after(AGAIN)
}

/// Answers a peer's claim.
pub(super) async fn serve(host: Arc<Host>, peer: ServerName, claim: KeyPackageClaim) -> Frame {
    let KeyPackageClaim { req, user, devices, by } = claim;
    let claimed = async {
        let by = by.ok_or_else(|| Refusal::new(Code::Malformed, "between servers a claim says who claims"))?;
        host.logs.claim_key_packages(&Origin::Peer(peer), &by, user, devices).await
    };
    match claimed.await {
        Ok(packages) => KeyPackages { req, packages }.into(),
        Err(why) => Refused { req, why, log: None }.into(),
    }
}
