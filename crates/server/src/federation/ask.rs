//! What this server asks of a peer: to follow its logs, and to take what is in the outbox for it.

use super::PeerState;
use super::replicate::{Outcome, Replicas};
use crate::host::Host;
use crate::link::pump::Pump;
use crate::link::wire::LinkError;
use crate::logs::{OutboxRow, Settled};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::frame::{Accepted, Entries, Follow, LogRef, Named, Refused, RoomRef, Submit};
use tidings_proto::{Code, DeviceKey, Frame, Hash, LogName, Refusal, draft};
use tokio::sync::broadcast;
use tokio::time::Instant;

/// Drafts under way to a peer at once. With as many answers to the peer's own it stays below what the pump queues before it
/// stops reading: two servers that empty their outboxes into each other must both go on reading.
const WINDOW: usize = 100;
/// Logs in one `Follow`; at the longest names still well below a frame.
const FOLLOWED_AT_ONCE: usize = 1000;
/// A log or an outbox that had to wait is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);
/// However long a peer says to wait; a time that no clock can count to would end the task that dials it.
const AGAIN_AT_MOST: Duration = Duration::from_secs(3600);

/// The asking half of a link.
pub(super) struct Asking {
    host: Arc<Host>,
    peer: Arc<PeerState>,
    numbers: HashMap<u64, LogName>,
    replicas: Replicas,
    rooms: broadcast::Receiver<RoomRef>,
    outbox: Outbox,
    /// Answers on their way into the store: many share a commit, and the link goes on meanwhile.
    settling: FuturesUnordered<BoxFuture<'static, Result<(), Refusal>>>,
}

/// Something that the asking half has to do.
pub(super) enum Step {
    /// There may be new rows in the outbox.
    Rows,
    /// What was put off is due.
    Due,
    /// Entries of a log were dealt with.
    Replicated(Outcome),
    /// An answer of the peer's is durable here, or could not be made so.
    Settled(Result<(), Refusal>),
    /// A room of our users has become known.
    Room(Option<RoomRef>),
}

/// Rows under way, in order.
#[derive(Default)]
struct Outbox {
    /// By the number of the request; these are given in order of row.
    sent: BTreeMap<u32, Sent>,
    next_req: u32,
    /// The last row that was read.
    read: i64,
    /// (log, device) of which an earlier draft has to be sent again, so that a gap after it is no fault of the sender's.
    held: HashSet<(LogName, DeviceKey)>,
    /// When everything unanswered is sent again.
    again: Option<Instant>,
}

struct Sent {
    row: i64,
    log: LogName,
    device: DeviceKey,
    hash: Hash,
}

impl Asking {
    /// Starts to ask on a link: follows every log of the peer's that is kept here.
    pub(super) async fn begin(host: &Arc<Host>, peer: &Arc<PeerState>, pump: &mut Pump) -> Result<Asking, LinkError> {
        // Subscribed before the logs are listed, so that no room falls between.
        let rooms = host.logs.new_rooms();
        let followed = host.logs.replicas_from(&peer.peer.name).await?;
        for some in followed.chunks(FOLLOWED_AT_ONCE) {
            pump.send(Follow { logs: some.iter().map(|(log, tip)| (LogRef::Name(log.clone()), tip.seq)).collect() });
        }
        peer.outbox.notify_one();
        Ok(Asking {
            host: host.clone(),
            peer: peer.clone(),
            numbers: HashMap::new(),
            replicas: Replicas::new(host.logs.clone(), peer.peer.name.clone()),
            rooms,
            outbox: Outbox { next_req: 1, ..Outbox::default() },
            settling: FuturesUnordered::new(),
        })
    }

    /// Waits for the next thing to do. Cancel-safe.
    pub(super) async fn step(&mut self) -> Step {
        let due = [self.outbox.again, self.replicas.next_due()].into_iter().flatten().min();
        tokio::select! {
            () = self.peer.outbox.notified(), if self.window() > 0 => Step::Rows,
            Some(kept) = self.settling.next(), if !self.settling.is_empty() => Step::Settled(kept),
            outcome = self.replicas.next() => Step::Replicated(outcome),
            room = self.rooms.recv() => Step::Room(room.ok()),
            () = sleep_until(due) => Step::Due,
        }
    }

    /// Does it.
    pub(super) async fn act(&mut self, pump: &mut Pump, step: Step) -> Result<(), LinkError> {
        match step {
            Step::Rows => self.send_rows(pump).await?,
            Step::Due => {
                let now = Instant::now();
                if self.outbox.again.is_some_and(|at| at <= now) {
                    // Once only at the hub makes it safe to send everything unanswered again.
                    self.outbox = Outbox { next_req: self.outbox.next_req, ..Outbox::default() };
                    self.send_rows(pump).await?;
                }
                let due = self.replicas.take_due(now);
                self.follow(pump, &due);
            }
            Step::Settled(kept) => {
                kept?;
                if self.window() == 1 {
                    self.peer.outbox.notify_one(); // rows that were left can be read now
                }
            }
            Step::Replicated(Outcome::Done) => {}
            Step::Replicated(Outcome::Later(log)) => self.replicas.put_off(log, Instant::now() + AGAIN),
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
                if let Some(sent) = self.outbox.sent.remove(&req) {
                    self.settle(sent, Settled::Accepted { seq, hash });
                }
            }
            Frame::Refused(Refused { req: 0, why, log }) => {
                tracing::debug!(peer = %self.peer.peer.name, code = why.code.name(), ?log, "refused by a peer");
                if let Some(log) = log {
                    // A notice can be here before the room's first message is at its hub.
                    self.replicas.refused(log, Instant::now());
                }
            }
            Frame::Refused(Refused { req, why, .. }) => {
                if let Some(sent) = self.outbox.sent.remove(&req) {
                    self.refused(sent, why);
                }
            }
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
        WINDOW.saturating_sub(self.outbox.sent.len() + self.settling.len())
    }

    fn follow(&self, pump: &mut Pump, logs: &[LogName]) {
        for some in logs.chunks(FOLLOWED_AT_ONCE) {
            let logs = some.iter().map(|log| (LogRef::Name(log.clone()), self.host.logs.tip(log).map_or(0, |tip| tip.seq))).collect();
            pump.send(Follow { logs });
        }
    }

    async fn send_rows(&mut self, pump: &mut Pump) -> Result<(), LinkError> {
        let room = self.window();
        let rows = self.host.logs.outbox(&self.peer.peer.name, self.outbox.read, room).await?;
        if rows.len() == room {
            self.peer.outbox.notify_one(); // there may be more
        }
        for row in rows {
            self.outbox.read = row.id;
            self.send_row(pump, row);
        }
        Ok(())
    }

    fn send_row(&mut self, pump: &mut Pump, row: OutboxRow) {
        let Ok(read) = draft::read(row.draft.clone()) else {
            // It was checked before it became a row, so the file is damaged; the others go on.
            tracing::error!(row = row.id, "a row of the outbox cannot be read");
            return;
        };
        let req = self.outbox.next_req;
        self.outbox.next_req = req.checked_add(1).unwrap_or(1);
        self.outbox.sent.insert(req, Sent { row: row.id, log: row.log.clone(), device: read.device, hash: read.hash() });
        pump.send(Submit { req, log: row.log, draft: row.draft, genesis: row.genesis });
    }

    fn refused(&mut self, sent: Sent, why: Refusal) {
        let key = (sent.log.clone(), sent.device);
        let waits = match why.code {
            Code::NotYet | Code::TooFast | Code::Unreachable | Code::Full | Code::Internal | Code::Busy => true,
            // What follows a draft that waits, perhaps the one that makes the room, is not at fault.
            Code::Gap | Code::NotFound => self.outbox.held.contains(&key),
            _ => false,
        };
        if !waits {
            return self.settle(sent, Settled::Refused(why));
        }
        self.outbox.held.insert(key);
        let again = Instant::now() + why.retry_after.map_or(AGAIN, Duration::from_secs).min(AGAIN_AT_MOST);
        self.outbox.again = Some(self.outbox.again.map_or(again, |at| at.min(again)));
    }

    /// Keeps an answer, and tells who waits for it. Both happen even if this link loses the right to ask meanwhile: the row
    /// would not be sent again, and so its answer not be heard again.
    fn settle(&mut self, Sent { row, hash, .. }: Sent, settled: Settled) {
        let (host, peer) = (self.host.clone(), self.peer.clone());
        let mut settling = async move {
            host.logs.settle(row, settled.clone()).await?;
            peer.answered(&hash, &settled);
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
