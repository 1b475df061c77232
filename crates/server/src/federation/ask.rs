//! What this server asks of a peer: to follow its logs, to take what is in the outbox for it, and for key packages of its users.

use super::PeerState;
use super::claim;
use super::lanes::{Lanes, Sent};
use super::replicate::{Outcome, Replicas};
use crate::host::Host;
use crate::link::channel::Channel;
use crate::link::wire::LinkError;
use crate::logs::Settled;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::frame::{Accepted, Entries, Follow, KeyPackages, LogRef, Named, Refused, RoomRef, Submit};
use tidings_proto::{Code, Frame, Hash, LogName, Refusal, UserName};
use tokio::sync::broadcast;
use tokio::time::Instant;

/// Drafts under way to a peer at once. With as many answers to the peer's own it stays below what the pump queues before it
/// stops reading: two servers that empty their outboxes into each other must both go on reading.
const WINDOW: usize = 100;
/// Rows of the outbox that are learnt of at once.
const LEARNT_AT_ONCE: usize = 1000;
/// Logs in one `Follow`; at the longest names still well below a frame.
const FOLLOWED_AT_ONCE: usize = 1000;

/// The asking half of a link.
pub(super) struct Asking {
    host: Arc<Host>,
    peer: Arc<PeerState>,
    numbers: HashMap<u64, LogName>,
    replicas: Replicas,
    rooms: broadcast::Receiver<RoomRef>,
    keys: broadcast::Receiver<UserName>,
    outbox: Outbox,
    claims: claim::UnderWay,
    /// Answers on their way into the store: many share a commit, and the link goes on meanwhile.
    settling: FuturesUnordered<BoxFuture<'static, Result<(), Refusal>>>,
}

/// Something that the asking half has to do.
pub(super) enum Step {
    /// There may be new rows in the outbox.
    Rows,
    /// Rows can be sent.
    Send,
    /// A claim of key packages can go out.
    Claim,
    /// What was put off is due.
    Due,
    /// Entries of a log were dealt with.
    Replicated(Outcome),
    /// An answer of the peer's is durable here, or could not be made so.
    Settled(Result<(), Refusal>),
    /// Somebody's keys have changed; too many people's to be told one by one, where no name is said.
    Keys(Option<UserName>),
    /// A room of our users has become known.
    Room(Option<RoomRef>),
}

/// The peer's outbox, as far as it is known on this link.
struct Outbox {
    lanes: Lanes,
    /// What is under way, by the number of the request, with the draft's hash.
    sent: HashMap<u32, (Sent, Hash)>,
    next_req: u32,
    /// The last row that was learnt of.
    read: i64,
}

impl Outbox {
    /// The number of the next request: of claims, too.
    fn req(&mut self) -> u32 {
        let req = self.next_req;
        self.next_req = req.checked_add(1).unwrap_or(1);
        req
    }
}

impl Asking {
    /// Starts to ask on a link: follows every log of the peer's that is kept here.
    pub(super) async fn begin(host: &Arc<Host>, peer: &Arc<PeerState>, pump: &mut impl Channel) -> Result<Asking, LinkError> {
        // Subscribed before the logs are listed, so that no room falls between.
        let rooms = host.logs.new_rooms();
        let followed = host.logs.replicas_from(&peer.peer.name).await?;
        for some in followed.chunks(FOLLOWED_AT_ONCE) {
            pump.ask(Follow { logs: some.iter().map(|(log, tip)| (LogRef::Name(log.clone()), tip.seq)).collect() });
        }
        peer.outbox.notify_one();
        Ok(Asking {
            host: host.clone(),
            peer: peer.clone(),
            numbers: HashMap::new(),
            replicas: Replicas::new(host.logs.clone(), peer.peer.name.clone()),
            rooms,
            keys: host.logs.directory().changes(),
            outbox: Outbox { lanes: Lanes::default(), sent: HashMap::new(), next_req: 1, read: 0 },
            claims: claim::UnderWay::default(),
            settling: FuturesUnordered::new(),
        })
    }

    /// Waits for the next thing to do. Cancel-safe.
    pub(super) async fn step(&mut self) -> Step {
        let due = [self.outbox.lanes.next_due(), self.replicas.next_due()].into_iter().flatten().min();
        // In this order, so that a run can be repeated: what is rare comes first, and what makes more work after what ends some.
        tokio::select! {
            biased;
            () = sleep_until(due) => Step::Due,
            room = self.rooms.recv() => Step::Room(room.ok()),
            whose = self.keys.recv() => Step::Keys(whose.ok()),
            Some(kept) = self.settling.next(), if !self.settling.is_empty() => Step::Settled(kept),
            outcome = self.replicas.next() => Step::Replicated(outcome),
            () = claim::can_go_out(&self.peer.claims, &self.claims) => Step::Claim,
            () = std::future::ready(()), if self.outbox.lanes.has_next(self.window()) => Step::Send,
            () = self.peer.outbox.notified() => Step::Rows,
        }
    }

    /// Does it.
    pub(super) async fn act(&mut self, pump: &mut impl Channel, step: Step) -> Result<(), LinkError> {
        match step {
            Step::Rows => self.learn_rows().await?,
            Step::Send => self.send_rows(pump).await?,
            Step::Claim => {
                let req = self.outbox.req();
                self.claims.next(&self.peer.claims, req).into_iter().for_each(|claim| pump.ask(claim));
            }
            Step::Due => {
                let now = Instant::now();
                self.outbox.lanes.go_on(now);
                let due = self.replicas.take_due(now);
                self.follow(pump, &due);
            }
            Step::Settled(kept) => kept?,
            Step::Replicated(Outcome::Done) => {}
            Step::Replicated(Outcome::Later(log, keys)) => self.replicas.put_off(log, keys, Instant::now()),
            Step::Keys(whose) => self.replicas.keys_changed(whose.as_ref(), Instant::now()),
            Step::Room(Some(room)) if room.hub == self.peer.peer.name => self.follow(pump, &[room.genesis.log()]),
            Step::Room(Some(_)) => {}
            Step::Room(None) => {
                // Too many at once to be told one by one.
                let logs: Vec<LogName> =
                    self.host.logs.replicas_from(&self.peer.peer.name).await?.into_iter().map(|(log, _)| log).collect();
                self.follow(pump, &logs);
            }
        }
        Ok(())
    }

    /// Takes the peer's answer to something that was asked here; one that cannot be one ends the link.
    pub(super) fn answer(&mut self, frame: Frame) -> Result<(), Refusal> {
        match frame {
            Frame::Named(Named { number, log }) => {
                self.numbers.insert(number, log);
            }
            Frame::Entries(Entries { log, prev, items }) => {
                let Some(log) = self.numbers.get(&log) else {
                    return Err(Refusal::new(Code::WrongState, "entries of a log that was not named"));
                };
                self.replicas.push(log.clone(), prev, items);
            }
            Frame::Accepted(Accepted { req, seq, hash }) => {
                if let Some((sent, draft)) = self.outbox.sent.remove(&req) {
                    self.settle(sent, draft, Settled::Accepted { seq, hash });
                }
            }
            Frame::KeyPackages(KeyPackages { req, packages }) => self.claims.answered(req, Ok(packages)),
            Frame::Refused(Refused { req: 0, why, .. }) if why.code == Code::UnknownFrame => self.claims.unknown(),
            Frame::Refused(Refused { req: 0, why, log }) => {
                tracing::debug!(peer = %self.peer.peer.name, code = why.code.name(), ?log, "refused by a peer");
                if let Some(log) = log {
                    // A notice can be here before the room's first message is at its hub.
                    self.replicas.put_off(log, None, Instant::now());
                }
            }
            Frame::Refused(Refused { req, why, .. }) => match self.outbox.sent.remove(&req) {
                Some((sent, draft)) => self.refused(sent, draft, why),
                None => self.claims.answered(req, Err(why)),
            },
            // A hub that says "queued" is not the hub; its later answer counts. That a group has ended for our people was in
            // its last entries.
            _ => {}
        }
        Ok(())
    }

    /// Whether more entries wait for their commit than may be held in memory; the link is not read until they are fewer.
    pub(super) fn is_full(&self) -> bool {
        self.replicas.is_full()
    }

    /// How many more drafts may be under way.
    fn window(&self) -> usize {
        WINDOW.saturating_sub(self.outbox.lanes.count_under_way() + self.settling.len())
    }

    fn follow(&mut self, pump: &mut impl Channel, logs: &[LogName]) {
        self.replicas.begin(logs);
        for some in logs.chunks(FOLLOWED_AT_ONCE) {
            let logs = some.iter().map(|log| (LogRef::Name(log.clone()), self.host.logs.tip(log).map_or(0, |tip| tip.seq))).collect();
            pump.ask(Follow { logs });
        }
    }

    async fn learn_rows(&mut self) -> Result<(), LinkError> {
        let rows = self.host.logs.waiting(&self.peer.peer.name, self.outbox.read, LEARNT_AT_ONCE).await?;
        if rows.len() == LEARNT_AT_ONCE {
            self.peer.outbox.notify_one(); // there may be more
        }
        for row in rows {
            self.outbox.read = row.id;
            self.outbox.lanes.learn(row);
        }
        Ok(())
    }

    async fn send_rows(&mut self, pump: &mut impl Channel) -> Result<(), LinkError> {
        let mut going: Vec<Sent> = Vec::new();
        while let Some(sent) = self.outbox.lanes.next(self.window()) {
            going.push(sent);
        }
        let rows = self.host.logs.rows(going.iter().map(|sent| sent.row).collect()).await?;
        let mut rows = rows.into_iter().peekable();
        for sent in going {
            let Some(row) = rows.next_if(|row| row.id == sent.row) else {
                self.outbox.lanes.is_settled(&sent); // it was given up meanwhile, or a link before this one had the answer
                continue;
            };
            let req = self.outbox.req();
            self.outbox.sent.insert(req, (sent, row.hash));
            pump.ask(Submit { req, log: row.log, draft: row.draft, genesis: row.genesis });
        }
        Ok(())
    }

    fn refused(&mut self, sent: Sent, draft: Hash, why: Refusal) {
        let lanes = &mut self.outbox.lanes;
        match why.code {
            Code::NotYet | Code::TooFast | Code::Unreachable | Code::Full | Code::Internal | Code::Busy => {
                lanes.is_held(&sent, Instant::now(), why.retry_after.map(Duration::from_secs));
            }
            // What follows a draft that waits, perhaps the one that makes the room, is not at fault.
            Code::Gap | Code::NotFound if lanes.comes_after_another(&sent) => lanes.goes_after(&sent),
            _ => self.settle(sent, draft, Settled::Refused(why)),
        }
    }

    /// Keeps an answer, and tells who waits for it. Both happen even if this link loses the right to ask meanwhile: the row
    /// would not be sent again, and so its answer not be heard again.
    fn settle(&mut self, sent: Sent, draft: Hash, settled: Settled) {
        self.outbox.lanes.is_settled(&sent);
        let (host, peer) = (self.host.clone(), self.peer.clone());
        let mut settling = async move {
            host.logs.settle(sent.row, settled.clone()).await?;
            peer.answered(&draft, &settled);
            Ok(())
        }
        .boxed();
        // Polled once, so answers are in line for the store in the order in which they came; ready at once only on failure.
        match (&mut settling).now_or_never() {
            Some(kept) => self.settling.push(std::future::ready(kept).boxed()),
            None => {
                let beside = self.host.tasks.spawn(settling);
                self.settling.push(async { beside.await.unwrap_or_else(|_| Err(Code::Internal.into())) }.boxed());
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
