//! Frames over one WebSocket: one binary message is one frame.

use bytes::Bytes;
use futures_util::FutureExt;
use rand_core::{OsRng, RngCore};
use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tidings_proto::{Code, DecodeError, Frame, Refusal, limits};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame as WsFrame, FrameHeader};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

/// A byte stream below the WebSocket.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A byte stream of any kind.
pub type Io = Box<dyn Duplex>;

/// A link that makes no progress in writing for so long is cut.
pub const STALLED: Duration = Duration::from_secs(30);

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The other side closed it, or the connection broke.
    #[error("the connection was closed")]
    Closed,
    /// Below the frames something failed.
    #[error("the connection failed: {0}")]
    Socket(String),
    /// The other side does not keep to what links are made of.
    #[error("the other side sent {0}")]
    PeerMisbehaved(&'static str),
    /// The other side took nothing for [`STALLED`].
    #[error("the other side took nothing for 30 s")]
    Stalled,
    /// Nothing came in time.
    #[error("no answer in time")]
    TimedOut,
    /// One of the sides refused the other.
    #[error("{0}")]
    Refused(#[from] tidings_proto::Refusal),
}

impl From<WsError> for LinkError {
    fn from(error: WsError) -> LinkError {
        match error {
            WsError::ConnectionClosed | WsError::AlreadyClosed => LinkError::Closed,
            WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
                LinkError::Refused(DecodeError::TooLarge { size, limit: max_size }.into())
            }
            WsError::Protocol(_) | WsError::Utf8(_) => LinkError::PeerMisbehaved("what is not WebSocket"),
            other => LinkError::Socket(other.to_string()),
        }
    }
}

/// How many bytes may still be read before the other side has proved itself; [`Allowance::lift`] ends that.
///
/// A WebSocket message is buffered whole before it is seen, so the limit for strangers has to stand below it.
#[derive(Clone)]
pub struct Allowance(Arc<AtomicUsize>);

/// Headers, masking and pings around one frame.
const SLACK: usize = 4 * 1024;

impl Allowance {
    fn new() -> Allowance {
        Allowance(Arc::new(AtomicUsize::new(limits::GUEST_FRAME + SLACK)))
    }

    /// Lets one more frame of at most `frame` bytes in.
    pub fn one_more(&self, frame: usize) {
        if self.0.load(Ordering::Relaxed) != usize::MAX {
            self.0.store(frame + SLACK, Ordering::Relaxed);
        }
    }

    /// The other side is known: the frame limit alone counts from here on.
    pub fn lift(&self) {
        self.0.store(usize::MAX, Ordering::Relaxed);
    }
}

struct Gate {
    inner: Io,
    left: Allowance,
}

impl AsyncRead for Gate {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let left = self.left.0.load(Ordering::Relaxed);
        if left == usize::MAX {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        if left == 0 {
            return Poll::Ready(Err(std::io::Error::other("too many bytes before authentication")));
        }
        let mut part = buf.take(left.min(buf.remaining()));
        let polled = Pin::new(&mut self.inner).poll_read(cx, &mut part);
        let filled = part.filled().to_vec();
        buf.put_slice(&filled);
        // An allowance that was raised meanwhile must not be lowered again.
        let _ = self.left.0.compare_exchange(left, left - filled.len(), Ordering::Relaxed, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Gate {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[std::io::IoSlice<'_>]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// The two halves of a link's WebSocket. They are driven by one task, each in its own branch: a link that waits to write
/// must go on reading, or two full links would wait for each other for ever.
pub struct Wire {
    /// What comes in.
    pub reader: Reader,
    /// What goes out.
    pub writer: Writer,
    /// What may come in before the other side is known.
    pub allowance: Allowance,
}

/// The incoming half.
pub struct Reader(Shared);

/// The outgoing half.
pub struct Writer {
    socket: Shared,
    flushing_since: Option<tokio::time::Instant>,
}

/// One task has both halves, so nobody ever waits for the lock.
type Shared = Arc<Mutex<Socket>>;

/// The WebSocket: tungstenite reads it, and answers pings and goodbyes; what is to be sent is gathered here, in a buffer that is there only
/// while there is something in it. tungstenite's own keeps the size of the largest frame that ever was in it.
struct Socket {
    io: Gate,
    protocol: WebSocketContext,
    role: Role,
    out: Vec<u8>,
    /// How much of `out` has been written.
    written: usize,
    /// Something in `out` is tungstenite's, and nobody else may be about to write it.
    answering: bool,
}

/// What tungstenite reads from and writes to.
struct Below<'a, 'b> {
    io: &'a mut Gate,
    out: &'a mut Vec<u8>,
    cx: &'a mut Context<'b>,
}

/// Bytes that are gathered before they are written out without being told to.
const GATHERED: usize = 16 * 1024;

/// Bytes that are read at once, and kept for it by every link: more than most frames have that a client sends.
const READ_AT_ONCE: usize = 1024;

/// How every link's WebSocket is set up. `max` is the largest frame it will ever take, in bytes.
pub fn config(max: usize) -> WebSocketConfig {
    // The defaults allocate a 128 KiB read buffer for each connection, allow 64 MiB messages and queue writes without end.
    WebSocketConfig::default()
        .read_buffer_size(READ_AT_ONCE)
        .write_buffer_size(0)
        .max_write_buffer_size(max + 256 * 1024)
        .max_message_size(Some(max))
        .max_frame_size(Some(max))
}

impl Wire {
    /// Wraps a stream on which the WebSocket's HTTP upgrade is done. `max` is the largest frame this link will ever take.
    pub fn new(io: Io, role: Role, max: usize) -> Wire {
        let allowance = Allowance::new();
        let io = Gate { inner: io, left: allowance.clone() };
        let protocol = WebSocketContext::new(role, Some(config(max)));
        let socket = Arc::new(Mutex::new(Socket { io, protocol, role, out: Vec::new(), written: 0, answering: false }));
        Wire { reader: Reader(socket.clone()), writer: Writer { socket, flushing_since: None }, allowance }
    }
}

/// Says back every message, text too, until the other side ends it: for test suites of WebSockets, which frames are no part of.
pub async fn echo(wire: Wire) -> Result<(), LinkError> {
    let Wire { mut reader, mut writer, allowance } = wire;
    allowance.lift();
    loop {
        let (kind, payload) = match reader.message().await? {
            Message::Text(text) => (Data::Text, text.into()),
            Message::Binary(bytes) => (Data::Binary, bytes),
            Message::Close(_) => return writer.flush().await,
            _ => continue,
        };
        locked(&writer.socket).put(kind, payload)?;
        writer.flush().await?;
    }
}

impl Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, LinkError>> {
        let before = self.out.len();
        let read = self.protocol.read(&mut Below { io: &mut self.io, out: &mut self.out, cx });
        if let Ok(Message::Close(_)) = read {
            // tungstenite answers when it is asked for the next message; after a goodbye nobody does. That all is said now is no error.
            let _ = self.protocol.flush(&mut Below { io: &mut self.io, out: &mut self.out, cx });
        }
        self.answering |= self.out.len() > before;
        if self.answering {
            // What cannot be written now wakes whoever waits here; and that there is nobody to write to, reading tells, too.
            let _ = self.poll_write(cx);
        }
        match read {
            Err(WsError::Io(error)) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            read => Poll::Ready(Ok(read?)),
        }
    }

    fn put(&mut self, kind: Data, payload: Bytes) -> Result<(), LinkError> {
        if !self.protocol.can_write() {
            return Err(LinkError::Closed);
        }
        let mut header = FrameHeader { opcode: OpCode::Data(kind), ..FrameHeader::default() };
        // What a client sends is masked (RFC 6455, section 5.3).
        header.mask = (self.role == Role::Client).then(|| OsRng.next_u32().to_ne_bytes());
        self.out.reserve(header.len(payload.len() as u64) + payload.len());
        Ok(WsFrame::from_payload(header, payload).format(&mut self.out)?)
    }

    /// Writes out all that was gathered.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let cannot = |error: std::io::Error| LinkError::Socket(error.to_string());
        while self.written < self.out.len() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.out[self.written..])).map_err(cannot)? {
                0 => return Poll::Ready(Err(LinkError::Closed)),
                more => self.written += more,
            }
        }
        (self.out, self.written, self.answering) = (Vec::new(), 0, false);
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        ready!(self.poll_write(cx))?;
        Pin::new(&mut self.io).poll_flush(cx).map_err(|error| LinkError::Socket(error.to_string()))
    }

    /// Whether a frame can be put into the buffer.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        if self.out.len() < GATHERED { Poll::Ready(Ok(())) } else { self.poll_write(cx) }
    }
}

impl Read for Below<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let mut into = ReadBuf::new(into);
        match Pin::new(&mut *self.io).poll_read(self.cx, &mut into) {
            Poll::Ready(read) => read.map(|()| into.filled().len()),
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Below<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn locked(socket: &Shared) -> MutexGuard<'_, Socket> {
    socket.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The frame in what a reader gave. What cannot be read at all ends a link, but not before the other side is told.
pub fn frame(read: Result<Bytes, LinkError>, limit: usize) -> Result<Result<Frame, Refusal>, LinkError> {
    match read {
        Ok(bytes) => Ok(Frame::read(&bytes, limit)),
        Err(LinkError::Refused(why)) => Ok(Err(why)),
        Err(error) => Err(error),
    }
}

impl Reader {
    /// The next frame's bytes; `Refused` when the other side sent something else than a frame. Cancel-safe.
    pub async fn next(&mut self) -> Result<Bytes, LinkError> {
        loop {
            match self.message().await? {
                Message::Binary(bytes) => return Ok(bytes),
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(_) => return Err(LinkError::Closed),
                _ => return Err(Refusal::new(Code::Malformed, "a frame is a binary message").into()),
            }
        }
    }

    /// The next message of any kind. Cancel-safe.
    async fn message(&mut self) -> Result<Message, LinkError> {
        poll_fn(|cx| locked(&self.0).poll_read(cx)).await
    }
}

impl Writer {
    /// Puts a frame into the buffer; waits while the other side takes nothing. Not cancel-safe.
    pub async fn feed(&mut self, frame: Bytes) -> Result<(), LinkError> {
        poll_fn(|cx| locked(&self.socket).poll_room(cx)).await?;
        self.put(frame)
    }

    /// Whether a frame can be put into the buffer without waiting; where not, [`Writer::flush`] has to come first.
    pub fn has_room(&mut self) -> Result<bool, LinkError> {
        Ok(poll_fn(|cx| locked(&self.socket).poll_room(cx)).now_or_never().transpose()?.is_some())
    }

    /// Puts a frame into the buffer, which has room.
    pub fn put(&mut self, frame: Bytes) -> Result<(), LinkError> {
        locked(&self.socket).put(Data::Binary, frame)
    }

    /// Writes the buffer out. Cancel-safe: a call that was dropped is taken up by the next, and its time counts on.
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        let since = *self.flushing_since.get_or_insert_with(tokio::time::Instant::now);
        match tokio::time::timeout_at(since + STALLED, poll_fn(|cx| locked(&self.socket).poll_flush(cx))).await {
            Ok(done) => {
                self.flushing_since = None;
                done
            }
            Err(_) => Err(LinkError::Stalled),
        }
    }

    /// One frame, at once.
    pub async fn send(&mut self, frame: Bytes) -> Result<(), LinkError> {
        self.feed(frame).await?;
        self.flush().await
    }

    /// Says goodbye; what it answers does not matter any more.
    pub async fn close(&mut self) {
        {
            let Socket { io, protocol, out, .. } = &mut *locked(&self.socket);
            let mut cx = Context::from_waker(Waker::noop());
            // Nothing is written yet, so nothing can go wrong: whoever has said goodbye already says it no more.
            let _ = protocol.close(&mut Below { io, out, cx: &mut cx }, None);
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), self.flush()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(between: usize) -> (Wire, Wire) {
        let (near, far) = tokio::io::duplex(between);
        let ends = [(near, Role::Server), (far, Role::Client)];
        let [near, far] = ends.map(|(io, role)| Wire::new(Box::new(io), role, limits::CLIENT_FRAME));
        near.allowance.lift();
        far.allowance.lift();
        (near, far)
    }

    #[tokio::test]
    async fn nothing_is_kept_of_what_was_sent() {
        let (mut near, mut far) = link(1024);
        for size in [0, 1, 125, 126, 65_535, 65_536, limits::CLIENT_FRAME] {
            let frame = Bytes::from(vec![7; size]);
            let there = async { near.writer.send(frame.clone()).await.unwrap() };
            assert_eq!(tokio::join!(there, far.reader.next()).1.unwrap(), frame);
            let back = async { far.writer.send(frame.clone()).await.unwrap() };
            assert_eq!(tokio::join!(back, near.reader.next()).1.unwrap(), frame);
            for end in [&near, &far] {
                let socket = locked(&end.writer.socket);
                assert_eq!((socket.out.capacity(), socket.written, socket.answering), (0, 0, false), "{size}");
            }
        }
    }

    /// What is full is told, and what was put into it is neither lost nor out of order.
    #[tokio::test]
    async fn there_is_room_for_so_much_and_then_for_one_frame_more() {
        for (first, room) in [(GATHERED - 5, true), (GATHERED - 4, false), (GATHERED - 3, false)] {
            let (mut near, mut far) = link(16);
            assert!(near.writer.has_room().unwrap());
            near.writer.put(vec![1; first].into()).unwrap(); // with a header of four bytes
            assert_eq!(near.writer.has_room().unwrap(), room, "{first}");
            near.writer.put(vec![2; 10].into()).unwrap();
            let reading = async { (far.reader.next().await.unwrap(), far.reader.next().await.unwrap()) };
            let (flushed, (one, other)) = tokio::join!(near.writer.flush(), reading);
            flushed.unwrap();
            assert_eq!((one.len(), &one[..1], &other[..]), (first, &[1][..], &[2; 10][..]));
        }
    }

    #[tokio::test]
    async fn a_ping_is_answered_while_nobody_writes_and_a_goodbye_ends_it() {
        let (mut near, mut far) = link(16);
        {
            let Socket { io, protocol, out, .. } = &mut *locked(&far.writer.socket);
            let mut cx = Context::from_waker(Waker::noop());
            protocol.write(&mut Below { io, out, cx: &mut cx }, Message::Ping(Bytes::from_static(&[9; 100]))).unwrap();
        }
        let answered = async {
            far.writer.flush().await.unwrap();
            poll_fn(|cx| locked(&far.reader.0).poll_read(cx)).await.unwrap()
        };
        let heard = tokio::select! {
            _ = near.reader.next() => unreachable!("nothing comes but a ping"),
            heard = answered => heard,
        };
        assert_eq!(heard, Message::Pong(Bytes::from_static(&[9; 100])));
        let (ended, ()) = tokio::join!(near.reader.next(), far.writer.close());
        assert!(matches!(ended, Err(LinkError::Closed)));
        let answer = tokio::time::timeout(Duration::from_secs(5), far.reader.message()).await.expect("a goodbye is answered");
        assert_eq!(answer.unwrap(), Message::Close(None));
        assert!(matches!(near.writer.send(Bytes::from_static(&[1])).await, Err(LinkError::Closed)), "nothing follows a goodbye");
    }
}
