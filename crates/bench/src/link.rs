//! A lean connection: TCP or TLS, just as much WebSocket as a server sees of any client, and whole frames. It keeps nothing, so
//! that one core can hold thousands of them.

use crate::people::Device;
use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use rand_core::{OsRng, RngCore};
use rustls::ClientConfig;
use rustls::client::Resumption;
use std::net::SocketAddr;
use std::sync::Arc;
use tidings_proto::frame::Proof;
use tidings_proto::handshake::{Hello, Party, VERSIONS, proof_bytes, transcript};
use tidings_proto::{Frame, Hash, Nonce, ServerName, UserName, limits};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpSocket;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
type Io = Box<dyn Duplex>;

/// Where a server is, and how it is reached.
#[derive(Clone)]
pub struct Target {
    /// Its name.
    pub name: ServerName,
    /// Where it listens.
    pub address: SocketAddr,
    /// TLS, unless it serves plain links.
    pub tls: Option<Arc<ClientConfig>>,
    /// How much the kernel keeps for a link that does not read, in bytes; as much as it likes, where nothing is said.
    pub receive_buffer: Option<u32>,
}

/// The dialling side's TLS as a client has it that starts anew: it remembers no session, so each handshake is a whole one.
pub fn tls() -> Result<Arc<ClientConfig>> {
    let mut config = ClientConfig::clone(&*tidings_tls::client()?);
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A link that has been through the handshake.
pub struct Link {
    /// What comes in.
    pub reader: Reader,
    /// What goes out.
    pub writer: Writer,
    /// Whether the device is in its user's list.
    pub listed: bool,
    /// What both sides have signed.
    pub transcript: Hash,
}

/// The incoming half.
pub struct Reader {
    io: ReadHalf<Io>,
    buffer: BytesMut,
    /// Bytes of WebSocket that have come, headers included, TLS's own not.
    pub received: u64,
}

/// The outgoing half.
pub struct Writer {
    io: WriteHalf<Io>,
    buffer: BytesMut,
}

/// A connection on which TLS is done and the WebSocket's upgrade; nothing is proved.
pub struct Raw {
    /// What comes in.
    pub reader: Reader,
    /// What goes out.
    pub writer: Writer,
    exporter: Option<Hash>,
}

/// Dials `path` at a server, up to the upgrade.
pub async fn dial(target: &Target, path: &str) -> Result<Raw> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = target.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    let tcp = socket.connect(target.address).await.context("no connection")?;
    tcp.set_nodelay(true)?;
    let (io, exporter): (Io, _) = match &target.tls {
        None => (Box::new(tcp), None),
        Some(config) => {
            let name = rustls::pki_types::ServerName::try_from(target.name.to_string())?;
            let stream = tokio_rustls::TlsConnector::from(config.clone()).connect(name, tcp).await.context("TLS")?;
            let exporter = tidings_tls::exporter(stream.get_ref().1)?;
            (Box::new(stream), Some(exporter))
        }
    };
    let (read, mut write) = tokio::io::split(io);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        target.name
    );
    write.write_all(request.as_bytes()).await?;
    write.flush().await?;
    let mut reader = Reader { io: read, buffer: BytesMut::with_capacity(4096), received: 0 };
    reader.upgraded().await?;
    Ok(Raw { reader, writer: Writer { io: write, buffer: BytesMut::new() }, exporter })
}

impl Link {
    /// Dials as a device, and proves it. The server's own proof is not verified: that is the client's work, and tested there.
    pub async fn device(target: &Target, device: &Device) -> Result<Link> {
        Link::of(dial(target, "/client").await?, target, device.user.clone(), device).await
    }

    async fn of(raw: Raw, target: &Target, user: UserName, device: &Device) -> Result<Link> {
        let Raw { mut reader, mut writer, exporter } = raw;
        let party = Party::Device { user, key: device.secret.public() };
        let mut nonce = [0; 32];
        OsRng.fill_bytes(&mut nonce);
        let ours = Frame::from(Hello {
            party: party.clone(),
            nonce: Nonce(nonce),
            versions: VERSIONS.to_vec(),
            frame: limits::CLIENT_FRAME as u64,
            exporter,
            to: Some(target.name.clone()),
        })
        .encode();
        writer.send(&ours).await?;
        let theirs = reader.next().await?;
        ensure!(matches!(Frame::read(&theirs, limits::GUEST_FRAME), Ok(Frame::Hello(_))), "the server says no hello");
        let transcript = transcript(&ours, &theirs);
        let Frame::Proof(_) = reader.frame().await? else { bail!("the server proves nothing") };
        let sig = device.secret.sign(&proof_bytes(&party, &transcript));
        writer.send(&Frame::from(Proof { sig }).encode()).await?;
        match reader.frame().await? {
            Frame::Ready(ready) => Ok(Link { reader, writer, listed: ready.listed, transcript }),
            other => bail!("instead of being ready the server says {other:?}"),
        }
    }

    /// Asks something and waits for the first frame that `answers` takes; what else comes is dropped.
    pub async fn ask<T>(&mut self, question: impl Into<Frame>, mut answers: impl FnMut(Frame) -> Option<T>) -> Result<T> {
        self.writer.send(&question.into().encode()).await?;
        loop {
            let frame = self.reader.frame().await?;
            if let Frame::Refused(refused) = &frame {
                bail!("refused: {}", refused.why);
            }
            if let Some(answer) = answers(frame) {
                return Ok(answer);
            }
        }
    }
}

impl Reader {
    /// The next frame's bytes. Cancel-safe.
    pub async fn next(&mut self) -> Result<Bytes> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            ensure!(self.more().await? > 0, "the server hung up");
        }
    }

    /// The next frame's bytes, if they are here already.
    pub fn take(&mut self) -> Result<Option<Bytes>> {
        loop {
            let [first, second, rest @ ..] = &self.buffer[..] else { return Ok(None) };
            let (header, length) = match (second & 0x7f, rest) {
                (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
                (127, [_, _, _, _, a, b, c, d, ..]) => (10, u32::from_be_bytes([*a, *b, *c, *d]) as usize),
                (126 | 127, _) => return Ok(None),
                (length, _) => (2, usize::from(length)),
            };
            if self.buffer.len() < header + length {
                return Ok(None);
            }
            let code = first & 0x0f;
            self.buffer.advance(header);
            let message = self.buffer.split_to(length).freeze();
            self.received += (header + length) as u64;
            match code {
                2 => return Ok(Some(message)),
                8 => bail!("the server said goodbye"),
                9 | 10 => {}
                code => bail!("a WebSocket frame of kind {code}"),
            }
        }
    }

    /// The next frame, decoded.
    pub async fn frame(&mut self) -> Result<Frame> {
        let bytes = self.next().await?;
        Frame::read(&bytes, limits::PEER_FRAME).map_err(|why| anyhow!("{why}"))
    }

    async fn more(&mut self) -> Result<usize> {
        self.buffer.reserve(4096);
        Ok(self.io.read_buf(&mut self.buffer).await?)
    }

    async fn upgraded(&mut self) -> Result<()> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                ensure!(self.buffer.starts_with(b"HTTP/1.1 101"), "no upgrade: {}", String::from_utf8_lossy(&self.buffer[..end]));
                self.buffer.advance(end + 4);
                return Ok(());
            }
            ensure!(self.more().await? > 0, "the server hung up before the upgrade");
        }
    }
}

impl Writer {
    /// Puts a frame into the buffer, masked as a client must (RFC 6455 §5.3). One mask for all: here nobody is to be kept from
    /// guessing it, and the server's work is the same.
    pub fn put(&mut self, frame: &[u8]) {
        const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        self.buffer.reserve(frame.len() + 14);
        self.buffer.extend_from_slice(&[0x82]);
        match frame.len() {
            length @ ..126 => self.buffer.extend_from_slice(&[0x80 | length as u8]),
            length @ ..0x1_0000 => {
                self.buffer.extend_from_slice(&[0x80 | 126]);
                self.buffer.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                self.buffer.extend_from_slice(&[0x80 | 127]);
                self.buffer.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        self.buffer.extend_from_slice(&MASK);
        let start = self.buffer.len();
        self.buffer.extend_from_slice(frame);
        for (at, byte) in self.buffer[start..].iter_mut().enumerate() {
            *byte ^= MASK[at % 4];
        }
    }

    /// Writes the buffer out.
    pub async fn flush(&mut self) -> Result<()> {
        self.io.write_all_buf(&mut self.buffer).await?;
        Ok(self.io.flush().await?)
    }

    /// One frame, at once.
    pub async fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.put(frame);
        self.flush().await
    }
}
