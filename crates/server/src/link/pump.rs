//! Moves a link's frames in and out, and knows nothing of their meaning: answers of jobs, news of followed logs, pongs.
//!
//! One task drives a link. Reading and writing are branches of one `select`, so a link that waits to write goes on
//! reading. What is written is first gathered, up to [`IN_FLIGHT`] bytes, and then flushed once: the kernel's cost per
//! flush is what fan-out pays most for.

use super::wire::{LinkError, Wire};
use crate::logs::{Follower, Logs};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::Frame;
use tidings_proto::frame::{Named, Pong};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Bytes that may be on their way to one follower.
pub const IN_FLIGHT: usize = 64 * 1024;
/// Requests of one link that may be under way; more are not read until some are answered.
const JOBS: usize = 256;
/// A link from which nothing came for so long is cut; the other side pings more often than that.
pub const SILENT: Duration = Duration::from_secs(60);
/// What the other side does not take for so long at the end of a link is dropped.
const CLOSE: Duration = Duration::from_secs(5);

/// The moving part of one link.
pub struct Pump {
    wire: Wire,
    out: VecDeque<Bytes>,
    flushing: bool,
    follower: Follower,
    jobs: FuturesUnordered<BoxFuture<'static, Frame>>,
    late: (mpsc::Sender<Frame>, mpsc::Receiver<Frame>),
    pongs: Vec<u32>,
    heard: Instant,
    held: bool,
}

impl Pump {
    /// Takes over an authenticated link.
    pub fn new(wire: Wire, logs: &Arc<Logs>) -> Pump {
        Pump {
            wire,
            out: VecDeque::new(),
            flushing: false,
            follower: Follower::new(logs),
            jobs: FuturesUnordered::new(),
            late: mpsc::channel(JOBS),
            pongs: Vec::new(),
            heard: Instant::now(),
            held: false,
        }
    }

    /// Queues a frame.
    pub fn send(&mut self, frame: impl Into<Frame>) {
        self.out.push_back(frame.into().encode());
    }

    /// Whether more may be queued without hurry: news that can be told later waits until this is so.
    pub fn has_room(&self) -> bool {
        self.out.len() < JOBS
    }

    /// While held, nothing is read: what was read is still being dealt with.
    pub fn hold(&mut self, held: bool) {
        if self.held && !held {
            self.heard = Instant::now(); // the silence was ours
        }
        self.held = held;
    }

    /// Runs `job` beside the link; its frame is sent when it is done. It is polled once before this returns, so jobs
    /// reach the logs in the order in which they were started.
    pub fn start(&mut self, job: impl Future<Output = Frame> + Send + 'static) {
        let mut job = job.boxed();
        match (&mut job).now_or_never() {
            Some(frame) => self.send(frame),
            None => self.jobs.push(job),
        }
    }

    /// For jobs that have more than one frame to send.
    pub fn sender(&self) -> mpsc::Sender<Frame> {
        self.late.0.clone()
    }

    /// The logs this link follows.
    pub fn follower(&mut self) -> &mut Follower {
        &mut self.follower
    }

    /// Answers a ping once everything that was there to be sent when it came has been queued before the pong.
    pub fn pong(&mut self, req: u32) {
        self.pongs.push(req);
    }

    /// Moves frames until one comes in, and returns its bytes. Cancel-safe.
    pub async fn next(&mut self) -> Result<Bytes, LinkError> {
        loop {
            if !self.pongs.is_empty() && self.follower.is_idle() {
                for req in std::mem::take(&mut self.pongs) {
                    self.send(Pong { req });
                }
            }
            self.fill()?;
            let may_read = self.jobs.len() < JOBS && self.has_room() && !self.held;
            tokio::select! {
                flushed = self.wire.writer.flush(), if self.flushing => {
                    flushed?;
                    self.flushing = false;
                }
                bytes = self.wire.reader.next(), if may_read => {
                    self.heard = Instant::now();
                    return bytes;
                }
                Some(frame) = self.jobs.next(), if !self.jobs.is_empty() => self.send(frame),
                Some(frame) = self.late.1.recv() => self.send(frame),
                news = self.follower.next(), if !self.flushing && self.out.is_empty() => {
                    self.news(news);
                }
                () = tokio::time::sleep_until(self.heard + SILENT), if may_read => return Err(LinkError::TimedOut),
            }
        }
    }

    /// Sends what is queued and ends the link. Whoever takes nothing is not waited for: the server may be stopping.
    pub async fn close(mut self) {
        let last_words = async {
            while let Some(frame) = self.out.pop_front() {
                self.wire.writer.feed(frame).await?;
            }
            self.wire.writer.flush().await
        };
        if let Ok(Ok(())) = tokio::time::timeout(CLOSE, last_words).await {
            self.wire.writer.close().await;
        }
    }

    fn news(&mut self, news: crate::logs::FollowFrame) {
        if let Some(log) = news.first_named {
            self.send(Named { number: news.number, log });
        }
        self.out.push_back(news.frame);
    }

    /// Gathers what is queued, and what followed logs have ready, into the write buffer. Never waits: a frame leaves the
    /// queue only when the buffer has room, or a `next` that was dropped would take it along, and a full link stop reading.
    fn fill(&mut self) -> Result<(), LinkError> {
        if self.flushing {
            return Ok(());
        }
        let mut gathered = 0;
        while gathered < IN_FLIGHT {
            if self.out.is_empty() {
                match self.follower.next().now_or_never() {
                    Some(news) => self.news(news),
                    None => break,
                }
            }
            while !self.out.is_empty() {
                if !self.wire.writer.has_room()? {
                    self.flushing = true;
                    return Ok(());
                }
                let Some(frame) = self.out.pop_front() else { break };
                gathered += frame.len();
                self.wire.writer.put(frame)?;
            }
        }
        self.flushing = gathered > 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::local::LocalBus;
    use crate::store::sqlite::SqliteStore;
    use tidings_proto::frame::Refused;
    use tidings_proto::{Code, Refusal, limits};
    use tokio_tungstenite::tungstenite::protocol::Role;

    const FRAMES: u32 = JOBS as u32 - 1;

    /// Both sides have more to say than fits between them, and whoever waits for frames is interrupted all the time.
    #[tokio::test]
    async fn two_full_links_lose_no_frame_though_every_wait_is_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&folder.path().join("db")).unwrap());
        let logs = Logs::open(store, Arc::new(LocalBus::default()), "s1".parse().unwrap()).await.unwrap();
        let (a, b) = tokio::io::duplex(1024);
        let talk = |io, role| {
            let logs = logs.clone();
            async move {
                let wire = Wire::new(Box::new(io), role, limits::CLIENT_FRAME).await;
                wire.allowance.lift();
                let mut pump = Pump::new(wire, &logs);
                for req in 1..=FRAMES {
                    pump.send(Refused { req, why: Refusal::new(Code::Busy, "x".repeat(2000)), log: None });
                }
                let mut next = 1;
                loop {
                    tokio::select! {
                        biased;
                        bytes = pump.next() => {
                            let Ok(Frame::Refused(Refused { req, .. })) = Frame::read(&bytes.unwrap(), limits::CLIENT_FRAME) else { panic!() };
                            assert_eq!(req, next, "a frame is gone");
                            next += 1;
                            if next > FRAMES && pump.out.is_empty() && !pump.flushing {
                                return pump;
                            }
                        }
                        () = tokio::task::yield_now() => {
                            if next > FRAMES && pump.out.is_empty() && !pump.flushing {
                                return pump;
                            }
                        }
                    }
                }
            }
        };
        let both = async { tokio::join!(talk(a, Role::Client), talk(b, Role::Server)) };
        tokio::time::timeout(Duration::from_secs(60), both).await.expect("two full links wait for each other");
        logs.close().await;
    }
}
