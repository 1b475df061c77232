//! One end of a link without sockets: what a server sends waits in a [`Line`] until the schedule delivers it.

use super::Flaw;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidings_proto::frame::{Named, Ping, Pong};
use tidings_proto::{Frame, LogName, Refusal};
use tidings_server::link::channel::Channel;
use tidings_server::link::pump::Late;
use tidings_server::link::wire::LinkError;
use tidings_server::logs::{Ahead, FollowFrame, Follower, Logs, Reader};
use tokio::sync::{Notify, mpsc};

/// Frames on their way in one direction.
#[derive(Default)]
pub struct Line {
    state: Mutex<State>,
    taken: Notify,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Bytes>,
    /// Nothing more gets on its way.
    ended: bool,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A frame gets on its way.
    pub fn put(&self, frame: Bytes) {
        let mut state = self.state();
        if !state.ended {
            state.frames.push_back(frame);
        }
    }

    /// The frame that arrives next.
    pub fn take(&self) -> Option<Bytes> {
        let frame = self.state().frames.pop_front();
        self.taken.notify_one();
        frame
    }

    /// How many are on their way.
    pub fn len(&self) -> usize {
        self.state().frames.len()
    }

    /// Whether nothing more can get on its way.
    pub fn is_ended(&self) -> bool {
        self.state().ended
    }

    /// Nothing more gets on its way, and of what is only the first `kept` arrive.
    pub fn end(&self, kept: usize) {
        let mut state = self.state();
        state.ended = true;
        state.frames.truncate(kept);
    }
}

/// A server's end.
pub struct End {
    line: Arc<Line>,
    /// Frames that followers wait for are made when fewer than these are on their way: a slow reader is behind.
    ahead: usize,
    input: mpsc::UnboundedReceiver<Bytes>,
    held: bool,
    lists: VecDeque<Box<dyn Iterator<Item = Frame> + Send>>,
    jobs: FuturesUnordered<BoxFuture<'static, Frame>>,
    late: (Late, mpsc::Receiver<Box<Frame>>),
    follower: Follower,
    pongs: Vec<(u32, Ahead)>,
    flaw: Option<Flaw>,
}

impl End {
    /// A server's end of a new link, which sends into `line`; and the way to it.
    pub fn new(logs: &Arc<Logs>, line: Arc<Line>, ahead: usize, flaw: Option<Flaw>) -> (End, mpsc::UnboundedSender<Bytes>) {
        let (sender, input) = mpsc::unbounded_channel();
        let (lists, jobs, late) = (VecDeque::new(), FuturesUnordered::new(), mpsc::channel(64));
        let end = End { line, ahead, input, held: false, lists, jobs, late, follower: Follower::new(logs), pongs: Vec::new(), flaw };
        (end, sender)
    }

    fn news(&mut self, news: FollowFrame) {
        if let Some(log) = news.first_named {
            self.send(Named { number: news.number, log });
        }
        self.line.put(news.frame);
    }

    fn answer_pings(&mut self) {
        let (passed, waiting) = std::mem::take(&mut self.pongs).into_iter().partition(|(_, ahead)| self.follower.has_passed(ahead));
        self.pongs = waiting;
        let passed: Vec<(u32, Ahead)> = passed;
        passed.into_iter().for_each(|(req, _)| self.send(Pong { req }));
    }
}

impl Channel for End {
    async fn next(&mut self) -> Result<Bytes, LinkError> {
        loop {
            while let Some(mut list) = self.lists.pop_front() {
                list.by_ref().for_each(|frame| self.send(frame));
            }
            self.answer_pings();
            tokio::select! {
                biased;
                frame = self.input.recv(), if !self.held => return frame.ok_or(LinkError::Closed),
                Some(frame) = self.jobs.next(), if !self.jobs.is_empty() => self.send(frame),
                Some(frame) = self.late.1.recv() => self.send(*frame),
                news = self.follower.next(), if self.line.len() < self.ahead => self.news(news),
                () = self.line.taken.notified() => {}
            }
        }
    }

    fn send(&mut self, frame: impl Into<Frame>) {
        self.line.put(frame.into().encode());
    }

    fn ask(&mut self, frame: impl Into<Frame>) {
        self.send(frame);
    }

    fn list(&mut self, frames: impl Iterator<Item = Frame> + Send + 'static) {
        self.lists.push_back(Box::new(frames));
    }

    fn has_room(&self) -> bool {
        true
    }

    fn hold(&mut self, held: bool) {
        self.held = held;
    }

    fn start(&mut self, job: impl Future<Output = Frame> + Send + 'static) {
        let mut job = job.boxed();
        match (&mut job).now_or_never() {
            Some(frame) => self.send(frame),
            None => self.jobs.push(job),
        }
    }

    fn start_page(&mut self, job: impl Future<Output = Frame> + Send + 'static) {
        self.start(job);
    }

    fn sender(&self) -> Late {
        self.late.0.clone()
    }

    fn follow(&mut self, reader: &Reader, log: &LogName, after: u64) -> Result<(), Refusal> {
        match self.flaw {
            Some(Flaw::TellsAll) => self.follower.follow(&Reader::Host, log, after),
            Some(Flaw::TellsAgain) => self.follower.follow(reader, log, 0),
            Some(Flaw::SkipsEntry) => self.follower.follow(reader, log, after + 1),
            _ => self.follower.follow(reader, log, after),
        }
    }

    fn pong(&mut self, req: u32) {
        self.pongs.push((req, self.follower.ahead()));
    }

    fn ping(&mut self) {
        self.send(Ping { req: 0, heads: None });
    }

    async fn close(self) {}
}

/// The server has ended the link: what it has sent still arrives.
impl Drop for End {
    fn drop(&mut self) {
        self.line.end(usize::MAX);
    }
}
