//! A link without a client behind it, for frames that no client sends.

use crate::PATIENCE;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use tidings_e2ee::DeviceSecret;
use tidings_proto::frame::Proof;
use tidings_proto::handshake::{Hello, Party, VERSIONS, proof_bytes, transcript};
use tidings_proto::{Frame, Hash, Nonce, ServerName, UserName, limits};
use tidings_server::link::wire::{Io, LinkError};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as Fragment;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// A link that has been through TLS and the WebSocket's upgrade, and as far beyond as a story takes it.
pub struct RawLink {
    socket: WebSocketStream<Io>,
    exporter: Hash,
    /// The transcript, once both hellos are said.
    pub transcript: Option<Hash>,
}

impl RawLink {
    /// Dials `path` at a server.
    pub async fn dial(server: SocketAddr, path: &str) -> RawLink {
        RawLink::try_dial(server, path).await.expect("a link")
    }

    async fn try_dial(server: SocketAddr, path: &str) -> Result<RawLink, LinkError> {
        let failed = |error: std::io::Error| LinkError::Socket(error.to_string());
        let tcp = TcpStream::connect(server).await.map_err(failed)?;
        let name = rustls::pki_types::ServerName::try_from("test").expect("a name");
        let connector = tokio_rustls::TlsConnector::from(tidings_tls::client().expect("TLS"));
        let stream = connector.connect(name, tcp).await.map_err(failed)?;
        let exporter = tidings_tls::exporter(stream.get_ref().1).expect("an exporter");
        let io: Io = Box::new(stream);
        let (socket, _) = tokio_tungstenite::client_async(format!("ws://test{path}"), io).await?;
        Ok(RawLink { socket, exporter, transcript: None })
    }

    /// Says hello as a device, proves it, and reads up to `Ready`; the link is then a guest's or the device's.
    pub async fn device(server: SocketAddr, user: &UserName, device: &DeviceSecret) -> RawLink {
        RawLink::try_device(server, user, device).await.expect("a link")
    }

    /// The same where the server may be away, or the wire cut at any moment.
    pub async fn try_device(server: SocketAddr, user: &UserName, device: &DeviceSecret) -> Result<RawLink, LinkError> {
        let mut link = RawLink::try_dial(server, "/client").await?;
        let party = Party::Device { user: user.clone(), key: device.public() };
        link.prove(party, device).await?;
        Ok(link)
    }

    /// The same as a server; `key` is both its secret and what the other one has pinned.
    pub async fn peer(server: SocketAddr, name: &ServerName, key: &DeviceSecret) -> RawLink {
        let mut link = RawLink::dial(server, "/federation").await;
        let party = Party::Peer { name: name.clone(), key: tidings_proto::ServerKey(key.public().0) };
        link.prove(party, key).await.expect("a link");
        link
    }

    async fn prove(&mut self, party: Party, key: &DeviceSecret) -> Result<(), LinkError> {
        let (proof, _) = self.try_greet(party).await?;
        self.send(Proof { sig: key.sign(&proof) }).await;
        match self.receive().await? {
            Frame::Ready(_) => Ok(()),
            _ => Err(LinkError::PeerMisbehaved("something else where it should be ready")),
        }
    }

    /// Says hello, reads the server's hello and proof; gives what `party` has to sign, and the server's hello.
    pub async fn greet(&mut self, party: Party) -> (Vec<u8>, Hello) {
        self.try_greet(party).await.expect("a greeting")
    }

    async fn try_greet(&mut self, party: Party) -> Result<(Vec<u8>, Hello), LinkError> {
        let hello = self.hello(party.clone());
        let ours = Frame::from(hello).encode();
        self.send_bytes(ours.clone()).await;
        let theirs = self.receive_bytes().await?;
        let Ok(Frame::Hello(hello)) = Frame::read(&theirs, limits::GUEST_FRAME) else {
            return Err(LinkError::PeerMisbehaved("no hello"));
        };
        let Frame::Proof(_) = self.receive().await? else { return Err(LinkError::PeerMisbehaved("no proof")) };
        let transcript = transcript(&ours, &theirs);
        self.transcript = Some(transcript);
        Ok((proof_bytes(&party, &transcript), hello))
    }

    /// A correct hello for this link.
    pub fn hello(&self, party: Party) -> Hello {
        Hello {
            party,
            nonce: Nonce([7; 32]),
            versions: VERSIONS.to_vec(),
            frame: limits::CLIENT_FRAME as u64,
            exporter: Some(self.exporter),
            to: None,
        }
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: impl Into<Frame>) {
        self.send_bytes(frame.into().encode()).await;
    }

    /// Sends any bytes as one message.
    pub async fn send_bytes(&mut self, bytes: Bytes) {
        self.send_messages([Message::Binary(bytes)]).await;
    }

    /// Sends any bytes as one message, cut in two fragments (RFC 6455 §5.4).
    pub async fn send_cut(&mut self, mut bytes: Bytes, at: usize) {
        let first = bytes.split_to(at);
        self.send_messages([fragment(first, Data::Binary, false), fragment(bytes, Data::Continue, true)]).await;
    }

    /// Sends WebSocket messages, whatever they are, in one go. That the other side has gone shows when reading.
    pub async fn send_messages(&mut self, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            let _ = self.socket.feed(message).await;
        }
        let _ = tokio::time::timeout(PATIENCE, self.socket.flush()).await.expect("the other side reads, or is gone");
    }

    /// The next frame.
    pub async fn next(&mut self) -> Frame {
        let bytes = self.next_bytes().await.expect("a frame");
        Frame::read(&bytes, limits::PEER_FRAME).expect("a frame that can be read")
    }

    /// The next frame's bytes, or how the link ended; `Closed` only after a goodbye.
    pub async fn next_bytes(&mut self) -> Result<Bytes, LinkError> {
        tokio::time::timeout(PATIENCE, self.receive_bytes()).await.expect("an answer or an end in time")
    }

    /// The next frame, however long it takes. Cancel-safe.
    pub async fn receive(&mut self) -> Result<Frame, LinkError> {
        let bytes = self.receive_bytes().await?;
        Ok(Frame::read(&bytes, limits::PEER_FRAME)?)
    }

    async fn receive_bytes(&mut self) -> Result<Bytes, LinkError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
                Some(Ok(Message::Close(_))) | None => return Err(LinkError::Closed),
                Some(Ok(Message::Text(_))) => return Err(LinkError::PeerMisbehaved("text where frames are binary")),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}

/// One fragment of a message.
pub fn fragment(bytes: Bytes, kind: Data, is_last: bool) -> Message {
    Message::Frame(Fragment::message(bytes, OpCode::Data(kind), is_last))
}
