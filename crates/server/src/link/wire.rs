//! Frames over one WebSocket: one binary message is one frame.

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tidings_proto::{Code, DecodeError, Frame, Refusal, limits};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
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
pub struct Reader(SplitStream<WebSocketStream<Gate>>);

/// The outgoing half.
pub struct Writer {
    sink: SplitSink<WebSocketStream<Gate>, Message>,
    flushing_since: Option<tokio::time::Instant>,
}

/// How every link's WebSocket is set up. `max` is the largest frame it will ever take, in bytes.
pub fn config(max: usize) -> WebSocketConfig {
    // The defaults allocate a 128 KiB read buffer for each connection, allow 64 MiB messages and queue writes without end.
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(max + 256 * 1024)
        .max_message_size(Some(max))
        .max_frame_size(Some(max))
}

impl Wire {
    /// Wraps a stream on which the WebSocket's HTTP upgrade is done. `max` is the largest frame this link will ever take.
    pub async fn new(io: Io, role: Role, max: usize) -> Wire {
        let allowance = Allowance::new();
        let gate = Gate { inner: io, left: allowance.clone() };
        let (writer, reader) = WebSocketStream::from_raw_socket(gate, role, Some(config(max))).await.split();
        Wire { reader: Reader(reader), writer: Writer { sink: writer, flushing_since: None }, allowance }
    }
}

/// The frame in what a reader gave. What cannot be read at all ends a link, but not before the other side is told.
pub fn frame(read: Result<bytes::Bytes, LinkError>, limit: usize) -> Result<Result<Frame, Refusal>, LinkError> {
    match read {
        Ok(bytes) => Ok(Frame::read(&bytes, limit)),
        Err(LinkError::Refused(why)) => Ok(Err(why)),
        Err(error) => Err(error),
    }
}

impl Reader {
    /// The next frame's bytes; `Refused` when the other side sent something else than a frame. Cancel-safe.
    pub async fn next(&mut self) -> Result<bytes::Bytes, LinkError> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Err(LinkError::Closed),
                Some(Ok(_)) => return Err(Refusal::new(Code::Malformed, "a frame is a binary message").into()),
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}

impl Writer {
    /// Puts a frame into the buffer; waits while the other side takes nothing. Not cancel-safe.
    pub async fn feed(&mut self, frame: bytes::Bytes) -> Result<(), LinkError> {
        Ok(self.sink.feed(Message::Binary(frame)).await?)
    }

    /// Whether a frame can be put into the buffer without waiting; where not, [`Writer::flush`] has to come first.
    pub fn has_room(&mut self) -> Result<bool, LinkError> {
        Ok(std::future::poll_fn(|cx| self.sink.poll_ready_unpin(cx)).now_or_never().transpose()?.is_some())
    }

    /// Puts a frame into the buffer, which has room.
    pub fn put(&mut self, frame: bytes::Bytes) -> Result<(), LinkError> {
        Ok(self.sink.start_send_unpin(Message::Binary(frame))?)
    }

    /// Writes the buffer out. Cancel-safe: a call that was dropped is taken up by the next, and its time counts on.
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        let since = *self.flushing_since.get_or_insert_with(tokio::time::Instant::now);
        match tokio::time::timeout_at(since + STALLED, self.sink.flush()).await {
            Ok(done) => {
                self.flushing_since = None;
                Ok(done?)
            }
            Err(_) => Err(LinkError::Stalled),
        }
    }

    /// One frame, at once.
    pub async fn send(&mut self, frame: bytes::Bytes) -> Result<(), LinkError> {
        self.feed(frame).await?;
        self.flush().await
    }

    /// Says goodbye; what it answers does not matter any more.
    pub async fn close(&mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.sink.close()).await;
    }
}
