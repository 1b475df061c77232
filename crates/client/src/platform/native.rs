//! Native: folders and file locks, TCP with TLS 1.3 (rustls, aws-lc-rs) and WebSocket, tokio's clock and tasks, threads for heavy work.
//!
//! Not here: whether the other side is who it says. TLS proves possession of a certificate's key and nothing else; the name is
//! bound to the server's Ed25519 key by the handshake above ([`crate::link`]).

use super::Session;
use crate::{ClientError, Endpoint};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use rusqlite::Connection;
use rustix::fs::{FlockOperation, flock};
use rustls::pki_types::{IpAddr, ServerName as TlsName};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use tidings_e2ee::ProfileKey;
use tidings_proto::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

pub use std::marker::Send as MaySend;
pub use std::time::Instant;
pub use tidings_e2ee::rsa::AwsLcKeys as PrivateKeys;

/// How the store's file is kept.
pub const JOURNAL: &str = "WAL";

/// Holds the profile's lock while it lives.
pub struct ProfileLock {
    _file: File,
}

/// Whether there is a profile in `folder`.
pub fn has_profile(folder: &Path) -> bool {
    folder.join("profile.db").exists()
}

/// Opens the database in `folder` under the profile's lock. The folder is the user's alone (0700), the file too (0600).
pub fn open_profile(folder: &Path) -> Result<(Connection, ProfileLock), ClientError> {
    let failed = |path: &Path, why: &dyn std::fmt::Display| ClientError::Profile { path: path.to_owned(), why: why.to_string() };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(folder, &error))?;
    std::fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(|error| failed(folder, &error))?;
    let private = |name: &str| {
        let path = folder.join(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        file.map(|file| (file, path.clone())).map_err(|error| failed(&path, &error))
    };
    let (lock, lock_path) = private("profile.lock")?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => ClientError::ProfileBusy(folder.to_owned()),
        other => failed(&lock_path, &other),
    })?;
    // Made before SQLite opens it, since SQLite gives its log and index files the same permissions.
    let (_, path) = private("profile.db")?;
    let db = Connection::open(&path).map_err(|error| failed(&path, &error))?;
    Ok((db, ProfileLock { _file: lock }))
}

/// The key that seals a profile's secrets: none where the file is the user's alone.
pub fn profile_key() -> Option<ProfileKey> {
    None
}

/// Deletes what [`open_profile`] and the database have made in `folder`, and the folder, if there is nothing else in it. Whoever calls
/// this holds the lock.
pub fn remove_profile(folder: &Path) -> Result<(), ClientError> {
    for name in ["profile.db", "profile.db-wal", "profile.db-shm", "profile.lock"] {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ClientError::Profile { path, why: error.to_string() });
            }
            _ => {}
        }
    }
    // What somebody else has put there is theirs.
    let _ = std::fs::remove_dir(folder);
    Ok(())
}

/// Milliseconds since 1970. For show only.
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// The runtime's clock, which tests can move.
pub fn instant() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Waits until then.
pub async fn sleep_until(then: Instant) {
    tokio::time::sleep_until(then.into()).await;
}

/// What comes of `work`, unless it takes longer.
pub async fn timeout<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(time, work).await.ok()
}

/// Work in the background; ends when this is dropped.
pub struct Task(tokio::task::JoinHandle<()>);

/// Begins work in the background. Needs a tokio runtime.
pub fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Task {
    Task(tokio::spawn(work))
}

impl Task {
    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for its end.
    pub async fn ended(mut self) {
        let _ = (&mut self.0).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs work that takes long (RSA, Argon2, the store) on a thread where it stops nobody else. Where there is no runtime nobody else
/// is there to be stopped, and it is done at once.
pub async fn heavy<T, F>(work: impl FnOnce() -> F + Send + 'static) -> Result<T, ClientError>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return work().now_or_never().ok_or_else(|| ClientError::OurBug("background work waits for something".into()));
    };
    let done = tokio::task::spawn_blocking(move || runtime.block_on(work())).await;
    done.map_err(|error| ClientError::OurBug(format!("a background task ended: {error}")))
}

/// A byte stream below the WebSocket.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
type Socket = WebSocketStream<Box<dyn Duplex>>;

/// A WebSocket to a server that has proved nothing yet.
pub struct Pipe {
    /// What comes in.
    pub reader: PipeReader,
    /// What goes out.
    pub writer: PipeWriter,
    /// The session below.
    pub session: Session,
}

/// The incoming half.
pub struct PipeReader(SplitStream<Socket>);

/// The outgoing half.
pub struct PipeWriter(SplitSink<Socket, Message>);

/// Dials: TCP, TLS unless plain, WebSocket on `/client`.
pub async fn connect(endpoint: &Endpoint) -> Result<Pipe, ClientError> {
    let address = endpoint.host_and_port();
    let failed = |why: &dyn std::fmt::Display| ClientError::Unreachable { address: address.clone(), why: why.to_string() };
    let tcp = TcpStream::connect(&address).await.map_err(|error| failed(&error))?;
    tcp.set_nodelay(true).map_err(|error| failed(&error))?;
    let (stream, session): (Box<dyn Duplex>, _) = if endpoint.plain {
        if !tcp.peer_addr().map_err(|error| failed(&error))?.ip().is_loopback() {
            return Err(ClientError::Usage(format!("{address} is not this machine: a link without TLS is for loopback addresses only")));
        }
        (Box::new(tcp), Session::Plain)
    } else {
        let connector = tokio_rustls::TlsConnector::from(tidings_tls::client().map_err(|error| ClientError::OurBug(error.to_string()))?);
        let name = TlsName::try_from(endpoint.name.to_string()).unwrap_or(TlsName::IpAddress(IpAddr::from(std::net::Ipv4Addr::LOCALHOST)));
        let tls = connector.connect(name, tcp).await.map_err(|error| failed(&error))?;
        let below = tls.get_ref().1;
        let exporter = tidings_tls::exporter(below).map_err(|error| failed(&error))?;
        let certificate = below.peer_certificates().and_then(<[_]>::first).ok_or_else(|| failed(&"no certificate"))?;
        let spki = tidings_tls::spki(certificate).map_err(|error| failed(&error))?;
        (Box::new(tls), Session::Tls { exporter, spki })
    };
    // The defaults allocate a 128 KiB read buffer, allow 64 MiB messages and queue writes without end.
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(2 * limits::CLIENT_FRAME)
        .max_message_size(Some(limits::CLIENT_FRAME))
        .max_frame_size(Some(limits::CLIENT_FRAME));
    let request = format!("ws://{}/client", endpoint.name);
    let upgraded = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
    let (writer, reader) = upgraded.map_err(|error| failed(&error))?.0.split();
    Ok(Pipe { reader: PipeReader(reader), writer: PipeWriter(writer), session })
}

impl PipeReader {
    /// The next frame's bytes; none when the other side has closed. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(Some(bytes)),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                Some(Ok(_)) => return Err(ClientError::ServerMisbehaved("text came where frames are binary".into())),
                Some(Err(WsError::Io(_) | WsError::ConnectionClosed | WsError::AlreadyClosed)) => return Ok(None),
                Some(Err(error)) => return Err(ClientError::ServerMisbehaved(error.to_string())),
            }
        }
    }
}

impl PipeWriter {
    /// Sends frames, and flushes once after all of them.
    pub async fn send(&mut self, frames: impl IntoIterator<Item = Bytes>) -> Result<(), ClientError> {
        let broken = |error: WsError| ClientError::Unreachable { address: "the server".into(), why: error.to_string() };
        for frame in frames {
            self.0.feed(Message::Binary(frame)).await.map_err(broken)?;
        }
        self.0.flush().await.map_err(broken)
    }

    /// Says goodbye; whether it is heard does not matter.
    pub async fn close(&mut self) {
        let _ = self.0.close().await;
    }
}
