//! Moves a link's frames in and out, and knows nothing of their meaning: answers of jobs, news of followed logs, pongs.
//!
//! One task drives a link. Reading and writing are branches of one `select`, so a link that waits to write goes on
//! reading. What is written is first gathered, up to [`IN_FLIGHT`] bytes, and then flushed once: the kernel's cost per
//! flush is what fan-out pays most for.

use super::wire::{LinkError, Wire};
use crate::logs::{Ahead, Follower, Logs};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::frame::{Named, Ping, Pong};
use tidings_proto::{Frame, limits};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

/// Bytes that may be on their way to one follower.
pub const IN_FLIGHT: usize = 64 * 1024;
/// Takes the frames of jobs that have one to send after they were done. Boxed: a channel makes room for 32 of what it carries as soon as it is
/// there, and 32 frames as they are were 5 KiB of every idle connection.
pub type Late = mpsc::Sender<Box<Frame>>;

/// Requests of one link that may be under way; more are not read until some are answered.
const JOBS: usize = 256;
/// Bytes of answers that are held for one link: those that wait to be written, and room for those that are being made. Who asks
/// and does not read is read no more, and costs no more memory than this.
pub const HELD: usize = 1024 * 1024;
/// The largest answer of all: a page of entries, one at least.
const PAGE: usize = limits::CLIENT_FRAME;
/// The largest answer that is yes or no.
const WORD: usize = 2 * 1024;

/// How long a silent link is left alone.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// A link from which nothing came for so long is cut; the other side pings more often than that.
    pub silent: Duration,
    /// A link on which a ping was sent, and nothing came for so long, is cut.
    pub pong_within: Duration,
}

/// The pace of every link but those of tests.
const PACE: Pace = Pace { silent: Duration::from_secs(60), pong_within: Duration::from_secs(10) };
/// What the other side does not take for so long at the end of a link is dropped.
const CLOSE: Duration = Duration::from_secs(5);

/// The moving part of one link.
pub struct Pump {
    wire: Wire,
    out: VecDeque<Out>,
    /// Bytes of answers in there, and of room for those that are being made.
    kept: usize,
    /// Answers of many frames, each made when the one before is on its way.
    lists: VecDeque<List>,
    flushing: bool,
    follower: Follower,
    jobs: FuturesUnordered<BoxFuture<'static, (Frame, usize)>>,
    late: (Late, mpsc::Receiver<Box<Frame>>),
    pongs: Pongs,
    pace: Pace,
    /// When the link is cut, unless something comes.
    cut_at: Instant,
    /// Rings at `cut_at` or before. It stays set while that moves on with each frame: to set a timer anew for every look at the link
    /// costs more than to ring once too often a minute.
    alarm: Pin<Box<Sleep>>,
    /// A ping is queued that is not written yet.
    pinged: bool,
    reading: bool,
    held: bool,
}

type List = Box<dyn Iterator<Item = Frame> + Send>;

/// A frame that waits to be written, and how much of it counts as held for the other side.
struct Out {
    frame: Bytes,
    counts: usize,
}

/// Pings that are to be answered once what was there to be sent when they came has been queued. That is looked up for some
/// at a time: those that come meanwhile are answered with the next look, so pings without end take no memory, and news
/// without end keep no pong back.
#[derive(Default)]
struct Pongs {
    now: Option<(Vec<u32>, Ahead)>,
    next: Vec<u32>,
}

impl Pump {
    /// Takes over an authenticated link.
    pub fn new(wire: Wire, logs: &Arc<Logs>) -> Pump {
        Pump::paced(wire, logs, PACE)
    }

    /// The same at another pace.
    pub fn paced(wire: Wire, logs: &Arc<Logs>, pace: Pace) -> Pump {
        Pump {
            wire,
            out: VecDeque::new(),
            kept: 0,
            lists: VecDeque::new(),
            flushing: false,
            follower: Follower::new(logs),
            jobs: FuturesUnordered::new(),
            late: mpsc::channel(JOBS),
            pongs: Pongs::default(),
            pace,
            cut_at: Instant::now() + pace.silent,
            alarm: Box::pin(tokio::time::sleep(pace.silent)),
            pinged: false,
            reading: true,
            held: false,
        }
    }

    /// Queues a frame.
    pub fn send(&mut self, frame: impl Into<Frame>) {
        let frame = frame.into().encode();
        self.push(Out { counts: frame.len(), frame });
    }

    /// Queues a question of our own. However many there are, the other side's go on being read: two that ask each other for much
    /// would wait for each other.
    pub fn ask(&mut self, frame: impl Into<Frame>) {
        self.push(Out { frame: frame.into().encode(), counts: 0 });
    }

    fn push(&mut self, out: Out) {
        self.kept += out.counts;
        self.out.push_back(out);
    }

    fn pop(&mut self) -> Option<Bytes> {
        let Out { frame, counts } = self.out.pop_front()?;
        self.kept -= counts;
        Some(frame)
    }

    /// Answers with as many frames as it takes, each made when the one before is on its way.
    pub fn list(&mut self, frames: impl Iterator<Item = Frame> + Send + 'static) {
        self.lists.push_back(Box::new(frames));
    }

    /// Whether more may be queued without hurry: news that can be told later waits until this is so.
    pub fn has_room(&self) -> bool {
        self.out.len() < JOBS && self.lists.is_empty() && self.kept + PAGE <= HELD
    }

    /// Whether another request may be read, whatever its answer is.
    fn may_read(&self) -> bool {
        let under_way = self.jobs.len() + self.lists.len();
        under_way < JOBS && self.out.len() < JOBS && self.kept + PAGE <= HELD && self.pongs.next.len() < JOBS && !self.held
    }

    /// Bytes of answers that are held for the other side, or are expected.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// While held, nothing is read: what was read is still being dealt with.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Runs `job` beside the link; its frame, which says little, is sent when it is done. It is polled once before this
    /// returns, so jobs reach the logs in the order in which they were started.
    pub fn start(&mut self, job: impl Future<Output = Frame> + Send + 'static) {
        self.start_of(WORD, job);
    }

    /// The same with a frame that may be as large as any.
    pub fn start_page(&mut self, job: impl Future<Output = Frame> + Send + 'static) {
        self.start_of(PAGE, job);
    }

    fn start_of(&mut self, room: usize, job: impl Future<Output = Frame> + Send + 'static) {
        let mut job = job.map(move |frame| (frame, room)).boxed();
        match (&mut job).now_or_never() {
            Some((frame, _)) => self.send(frame),
            None => {
                self.kept += room;
                self.jobs.push(job);
            }
        }
    }

    /// For jobs that have more than one frame to send.
    pub fn sender(&self) -> Late {
        self.late.0.clone()
    }

    /// The logs this link follows.
    pub fn follower(&mut self) -> &mut Follower {
        &mut self.follower
    }

    /// Answers a ping once everything that was there to be sent when it came has been queued before the pong.
    pub fn pong(&mut self, req: u32) {
        match self.pongs.now {
            Some(_) => self.pongs.next.push(req),
            None => self.pongs.now = Some((vec![req], self.follower.ahead())),
        }
    }

    /// Asks for a sign of life. Anything that comes is one.
    pub fn ping(&mut self) {
        self.send(Ping { req: 0, heads: None });
        self.pinged = true;
    }

    /// Moves frames until one comes in, and returns its bytes. Cancel-safe.
    pub async fn next(&mut self) -> Result<Bytes, LinkError> {
        loop {
            self.answer_pings();
            self.fill()?;
            let may_read = self.may_read();
            if may_read && !self.reading {
                self.cut_at = Instant::now() + self.pace.silent; // the silence was ours
            }
            self.reading = may_read;
            tokio::select! {
                flushed = self.wire.writer.flush(), if self.flushing => {
                    flushed?;
                    self.flushing = false;
                    if self.pinged && self.out.is_empty() {
                        self.pinged = false;
                        self.cut_at = self.cut_at.min(Instant::now() + self.pace.pong_within);
                        self.alarm.as_mut().reset(self.cut_at);
                    }
                }
                bytes = self.wire.reader.next(), if may_read => {
                    self.cut_at = Instant::now() + self.pace.silent;
                    return bytes;
                }
                Some(done) = self.jobs.next(), if !self.jobs.is_empty() => self.done(done),
                Some(frame) = self.late.1.recv() => self.send(*frame),
                news = self.follower.next(), if !self.flushing && self.out.is_empty() => {
                    self.news(news);
                }
                () = &mut self.alarm, if may_read => {
                    if self.cut_at <= Instant::now() {
                        return Err(LinkError::TimedOut);
                    }
                    self.alarm.as_mut().reset(self.cut_at);
                }
            }
        }
    }

    /// Sends what is queued and ends the link. Whoever takes nothing is not waited for: the server may be stopping.
    pub async fn close(mut self) {
        let last_words = async {
            while let Some(frame) = self.pop() {
                self.wire.writer.feed(frame).await?;
            }
            self.wire.writer.flush().await
        };
        if let Ok(Ok(())) = tokio::time::timeout(CLOSE, last_words).await {
            self.wire.writer.close().await;
        }
    }

    /// Queues the answer of a job that is done, for which `room` was held.
    fn done(&mut self, (frame, room): (Frame, usize)) {
        self.kept -= room;
        self.send(frame);
    }

    fn answer_pings(&mut self) {
        while let Some((reqs, ahead)) = self.pongs.now.take() {
            if !self.follower.has_passed(&ahead) {
                self.pongs.now = Some((reqs, ahead));
                return;
            }
            reqs.into_iter().for_each(|req| self.send(Pong { req }));
            let next = std::mem::take(&mut self.pongs.next);
            self.pongs.now = (!next.is_empty()).then(|| (next, self.follower.ahead()));
        }
    }

    /// The next frame of an answer of many.
    fn listed(&mut self) -> Option<Frame> {
        while let Some(list) = self.lists.front_mut() {
            if let Some(frame) = list.next() {
                return Some(frame);
            }
            self.lists.pop_front();
        }
        None
    }

    fn news(&mut self, news: crate::logs::FollowFrame) {
        if let Some(log) = news.first_named {
            self.send(Named { number: news.number, log });
        }
        self.push(Out { frame: news.frame, counts: 0 });
    }

    /// Gathers what is queued, and what followed logs have ready, into the write buffer. Never waits: a frame leaves the
    /// queue only when the buffer has room, or a `next` that was dropped would take it along, and a full link stop reading.
    fn fill(&mut self) -> Result<(), LinkError> {
        if self.flushing {
            return Ok(());
        }
        let mut gathered = 0;
        while gathered < IN_FLIGHT {
            // A draft's answer and its author's own echo are ready together: one flush for both.
            while let Some(Some(done)) = self.jobs.next().now_or_never() {
                self.done(done);
            }
            if self.out.is_empty() {
                match (self.listed(), self.follower.next().now_or_never()) {
                    (None, None) => break,
                    (frame, news) => {
                        frame.into_iter().for_each(|frame| self.send(frame));
                        news.into_iter().for_each(|news| self.news(news));
                    }
                }
            }
            while !self.out.is_empty() {
                if !self.wire.writer.has_room()? {
                    self.flushing = true;
                    return Ok(());
                }
                let Some(frame) = self.pop() else { break };
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
    use crate::config::Limits;
    use crate::identity::Identity;
    use crate::logs::Keeper;
    use crate::store::sqlite::SqliteStore;
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
    use tidings_proto::frame::Refused;
    use tidings_proto::{Code, Refusal};
    use tokio_tungstenite::tungstenite::protocol::Role;

    const FRAMES: u32 = JOBS as u32 - 1;

    /// One end of a link of which the other end is `Wire`; little fits between them.
    async fn link(logs: &Arc<Logs>) -> (Pump, Wire) {
        let (near, far) = tokio::io::duplex(1024);
        let (near, far) =
            (Wire::new(Box::new(near), Role::Server, limits::CLIENT_FRAME), Wire::new(Box::new(far), Role::Client, limits::CLIENT_FRAME));
        near.allowance.lift();
        far.allowance.lift();
        (Pump::new(near, logs), far)
    }

    async fn logs(folder: &std::path::Path) -> Arc<Logs> {
        let store = Arc::new(SqliteStore::open(&folder.join("db")).unwrap());
        let name = "s1".parse().unwrap();
        let identity = Arc::new(Identity::load_or_create(folder, &name).unwrap());
        let keeper = Keeper { name, identity, limits: Limits::default() };
        Logs::open(store, Arc::new(LocalBus::default()), keeper).await.unwrap()
    }

    #[tokio::test]
    async fn no_request_is_read_while_its_answer_may_have_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let logs = logs(folder.path()).await;
        for (spare, reads) in [(1, true), (0, true), (-1, false)] {
            let (mut pump, _far) = link(&logs).await;
            let size = ((HELD - PAGE) as i64 - spare) as usize;
            pump.push(Out { frame: vec![0; size].into(), counts: size });
            assert_eq!((pump.may_read(), pump.has_room()), (reads, reads), "{spare}");
            pump.pop().unwrap();
            assert!(pump.may_read() && pump.kept() == 0);
            // Questions of our own are no answers.
            pump.push(Out { frame: vec![0; 2 * HELD].into(), counts: 0 });
            assert!(pump.may_read() && pump.kept() == 0);
        }
        logs.close().await;
    }

    /// Whoever asks for pages, and for everybody, and reads nothing of it.
    #[tokio::test]
    async fn who_asks_and_does_not_read_costs_so_many_bytes_and_gets_it_all_later() {
        const ASKED: u32 = 200;
        const LIST: u32 = 500;
        let folder = tempfile::tempdir().unwrap();
        let logs = logs(folder.path()).await;
        let (mut pump, far) = link(&logs).await;
        let made = Arc::new(AtomicU32::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let (making, holding) = (made.clone(), most.clone());
        let driven = tokio::spawn(async move {
            while let Ok(bytes) = pump.next().await {
                let Ok(Frame::Ping(Ping { req, .. })) = Frame::read(&bytes, limits::CLIENT_FRAME) else { panic!("not a ping") };
                let answer = move || Refused { req, why: Refusal::new(Code::Busy, "x".repeat(100_000)), log: None }.into();
                let made = making.clone();
                if req == 1 {
                    pump.list((0..LIST).map(move |_| {
                        made.fetch_add(1, Ordering::SeqCst);
                        answer()
                    }));
                } else {
                    pump.start_page(async move {
                        tokio::task::yield_now().await;
                        made.fetch_add(1, Ordering::SeqCst);
                        answer()
                    });
                }
                holding.fetch_max(pump.kept(), Ordering::SeqCst);
            }
        });
        let (mut writer, mut reader) = (far.writer, far.reader);
        let asking = tokio::spawn(async move {
            for req in 1..=ASKED {
                writer.send(Frame::from(Ping { req, heads: None }).encode()).await.unwrap();
            }
            writer
        });
        // Nothing is read until nothing more happens: each look at it is one turn of everything that can run.
        let (mut last, mut still) = (0, 0);
        while still < 1000 {
            tokio::task::yield_now().await;
            let now = made.load(Ordering::SeqCst);
            (last, still) = if now == last { (now, still + 1) } else { (now, 0) };
        }
        let (made_now, held) = (last as usize, most.load(Ordering::SeqCst));
        assert!(held <= HELD, "{held} bytes are held");
        assert!((1..=HELD / 100_000 + 8).contains(&made_now), "{made_now} answers were made for somebody who reads none");
        // Now all of it is read.
        let mut heard = 0;
        while heard < LIST + ASKED - 1 {
            let bytes = tokio::time::timeout(Duration::from_secs(30), reader.next()).await.expect("answers").unwrap();
            heard += u32::from(matches!(Frame::read(&bytes, limits::CLIENT_FRAME), Ok(Frame::Refused(_))));
        }
        assert!(most.load(Ordering::SeqCst) <= HELD);
        drop((asking.await.unwrap(), reader));
        driven.await.unwrap();
        logs.close().await;
    }

    /// Both sides have more to say than fits between them, and whoever waits for frames is interrupted all the time.
    #[tokio::test]
    async fn two_full_links_lose_no_frame_though_every_wait_is_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let logs = logs(folder.path()).await;
        let (a, b) = tokio::io::duplex(1024);
        let talk = |io, role| {
            let logs = logs.clone();
            async move {
                let wire = Wire::new(Box::new(io), role, limits::CLIENT_FRAME);
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
