//! What those who serve a link need of it: frames in, frames out, and the logs that are followed on it.
//!
//! On a real link that is [`Pump`]. A simulation has its own, without sockets, and so runs everything above this as it is.

use super::pump::{Late, Pump};
use super::wire::LinkError;
use crate::logs::Reader;
use bytes::Bytes;
use tidings_proto::{Frame, LogName, Refusal};

/// One link, to whoever gives its frames their meaning.
pub trait Channel: Send {
    /// Moves frames until one comes in, and returns its bytes. Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Result<Bytes, LinkError>> + Send;
    /// Queues a frame.
    fn send(&mut self, frame: impl Into<Frame>);
    /// Queues a question of our own, which counts for nothing that the other side has asked for.
    fn ask(&mut self, frame: impl Into<Frame>);
    /// Answers with as many frames as it takes, each made when the one before is on its way.
    fn list(&mut self, frames: impl Iterator<Item = Frame> + Send + 'static);
    /// Whether more may be queued without hurry.
    fn has_room(&self) -> bool;
    /// While held, nothing is read.
    fn hold(&mut self, held: bool);
    /// Runs `job` beside the link, polled once before this returns; its frame, which says little, is sent when it is done.
    fn start(&mut self, job: impl Future<Output = Frame> + Send + 'static);
    /// The same with a frame that may be as large as any.
    fn start_page(&mut self, job: impl Future<Output = Frame> + Send + 'static);
    /// For jobs that have more than one frame to send.
    fn sender(&self) -> Late;
    /// Follows a log on this link from the entry after `after`.
    fn follow(&mut self, reader: &Reader, log: &LogName, after: u64) -> Result<(), Refusal>;
    /// Answers a ping once everything that was there to be sent when it came has been queued before the pong.
    fn pong(&mut self, req: u32);
    /// Asks for a sign of life.
    fn ping(&mut self);
    /// Sends what is queued and ends the link.
    fn close(self) -> impl Future<Output = ()> + Send;
}

impl Channel for Pump {
    fn next(&mut self) -> impl Future<Output = Result<Bytes, LinkError>> + Send {
        Pump::next(self)
    }

    fn send(&mut self, frame: impl Into<Frame>) {
        Pump::send(self, frame);
    }

    fn ask(&mut self, frame: impl Into<Frame>) {
        Pump::ask(self, frame);
    }

    fn list(&mut self, frames: impl Iterator<Item = Frame> + Send + 'static) {
        Pump::list(self, frames);
    }

    fn has_room(&self) -> bool {
        Pump::has_room(self)
    }

    fn hold(&mut self, held: bool) {
        Pump::hold(self, held);
    }

    fn start(&mut self, job: impl Future<Output = Frame> + Send + 'static) {
        Pump::start(self, job);
    }

    fn start_page(&mut self, job: impl Future<Output = Frame> + Send + 'static) {
        Pump::start_page(self, job);
    }

    fn sender(&self) -> Late {
        Pump::sender(self)
    }

    fn follow(&mut self, reader: &Reader, log: &LogName, after: u64) -> Result<(), Refusal> {
        self.follower().follow(reader, log, after)
    }

    fn pong(&mut self, req: u32) {
        Pump::pong(self, req);
    }

    fn ping(&mut self) {
        Pump::ping(self);
    }

    fn close(self) -> impl Future<Output = ()> + Send {
        Pump::close(self)
    }
}
