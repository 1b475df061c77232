//! A link without a client behind it, for frames that no client sends.

use crate::PATIENCE;
use bytes::Bytes;
use std::net::SocketAddr;
use tidings_e2ee::DeviceSecret;
use tidings_proto::frame::Proof;
use tidings_proto::handshake::{Hello, Party, VERSIONS, proof_bytes, transcript};
use tidings_proto::{Frame, Hash, Nonce, UserName, limits};
use tidings_server::link::wire::{Io, LinkError, Wire};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::Role;

/// A link that has been through TLS and the WebSocket's upgrade, and as far beyond as a story takes it.
pub struct RawLink {
    wire: Wire,
    exporter: Hash,
    /// The transcript, once both hellos are said.
    pub transcript: Option<Hash>,
}

impl RawLink {
    /// Dials `path` at a server.
    pub async fn dial(server: SocketAddr, path: &str) -> RawLink {
        let tcp = TcpStream::connect(server).await.expect("a connection");
        let name = rustls::pki_types::ServerName::try_from("test").expect("a name");
        let connector = tokio_rustls::TlsConnector::from(tidings_tls::client().expect("TLS"));
        let stream = connector.connect(name, tcp).await.expect("TLS");
        let exporter = tidings_tls::exporter(stream.get_ref().1).expect("an exporter");
        let io: Io = Box::new(stream);
        let (upgraded, _) = tokio_tungstenite::client_async(format!("ws://test{path}"), io).await.expect("an upgrade");
        let wire = Wire::new(upgraded.into_inner(), Role::Client, limits::PEER_FRAME).await;
        wire.allowance.lift();
        RawLink { wire, exporter, transcript: None }
    }

    /// Says hello as a device, proves it, and reads up to `Ready`; the link is then a guest's or the device's.
    pub async fn device(server: SocketAddr, user: &UserName, device: &DeviceSecret) -> RawLink {
        let mut link = RawLink::dial(server, "/client").await;
        let party = Party::Device { user: user.clone(), key: device.public() };
        let (proof, _) = link.greet(party.clone()).await;
        let sig = device.sign(&proof);
        link.send(Proof { sig }).await;
        assert!(matches!(link.next().await, Frame::Ready(_)));
        link
    }

    /// Says hello, reads the server's hello and proof; gives what `party` has to sign, and the server's hello.
    pub async fn greet(&mut self, party: Party) -> (Vec<u8>, Hello) {
        let hello = self.hello(party.clone());
        let ours = Frame::from(hello).encode();
        self.send_bytes(ours.clone()).await;
        let theirs = self.next_bytes().await.expect("the server's hello");
        let Ok(Frame::Hello(hello)) = Frame::read(&theirs, limits::GUEST_FRAME) else { panic!("the server says no hello") };
        assert!(matches!(self.next().await, Frame::Proof(_)));
        let transcript = transcript(&ours, &theirs);
        self.transcript = Some(transcript);
        (proof_bytes(&party, &transcript), hello)
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

    /// Sends any bytes as one message. That the other side has gone shows when reading.
    pub async fn send_bytes(&mut self, bytes: Bytes) {
        let _ = self.wire.writer.send(bytes).await;
    }

    /// The next frame.
    pub async fn next(&mut self) -> Frame {
        let bytes = self.next_bytes().await.expect("a frame");
        Frame::read(&bytes, limits::PEER_FRAME).expect("a frame that can be read")
    }

    /// The next frame's bytes, or how the link ended.
    pub async fn next_bytes(&mut self) -> Result<Bytes, LinkError> {
        tokio::time::timeout(PATIENCE, self.wire.reader.next()).await.expect("an answer or an end in time")
    }
}
