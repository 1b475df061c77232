//! Reaching out to a peer: TCP, TLS, WebSocket, handshake. Only pinned keys are dialled.

use super::handshake::{self, Session};
use super::wire::{Io, LinkError, Wire};
use crate::config::Transport;
use crate::identity::Identity;
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::{ServerKey, ServerName, limits};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::Role;

/// The whole of a dial, from the name look-up to `Ready`.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where and as whom a peer is dialled.
pub struct Dial<'a> {
    /// This server.
    pub me: &'a ServerName,
    /// Its keys.
    pub identity: &'a Identity,
    /// Who must answer.
    pub name: &'a ServerName,
    /// With which key.
    pub key: &'a ServerKey,
    /// Where: `host:port`.
    pub address: &'a str,
    /// Whether over TLS.
    pub transport: Transport,
}

/// Dials; the link that comes back has been proved on both ends.
pub async fn dial(dial: Dial<'_>, tls: Arc<rustls::ClientConfig>) -> Result<Wire, LinkError> {
    match tokio::time::timeout(TIMEOUT, dial_inner(dial, tls)).await {
        Ok(done) => done,
        Err(_) => Err(LinkError::TimedOut),
    }
}

async fn dial_inner(dial: Dial<'_>, config: Arc<rustls::ClientConfig>) -> Result<Wire, LinkError> {
    let socket = |error: &dyn std::fmt::Display| LinkError::Socket(error.to_string());
    let tcp = TcpStream::connect(dial.address).await.map_err(|e| socket(&e))?;
    tcp.set_nodelay(true).map_err(|e| socket(&e))?;
    let (io, session): (Io, Session) = match dial.transport {
        Transport::Tls => {
            let host = rustls::pki_types::ServerName::try_from(dial.name.to_string()).map_err(|e| socket(&e))?;
            let stream = tokio_rustls::TlsConnector::from(config).connect(host, tcp).await.map_err(|e| socket(&e))?;
            let connection = stream.get_ref().1;
            let certificate = connection.peer_certificates().and_then(<[_]>::first).ok_or(LinkError::PeerMisbehaved("no certificate"))?;
            let spki = tidings_tls::spki(certificate).map_err(|e| socket(&e))?;
            let exporter = tidings_tls::exporter(connection).map_err(|e| socket(&e))?;
            (Box::new(stream), Session { exporter: Some(exporter), spki: Some(spki) })
        }
        Transport::PlainLoopback => (Box::new(tcp), Session::default()),
    };
    let request = format!("ws://{}/federation", dial.name);
    let (upgraded, _) = tokio_tungstenite::client_async(request, io).await?;
    // The upgrade's own settings are for browsers' defaults; ours are set on the stream below it.
    let mut wire = Wire::new(upgraded.into_inner(), Role::Client, limits::PEER_FRAME);
    handshake::dial(&mut wire, dial.me, dial.identity, session, (dial.name, dial.key)).await?;
    Ok(wire)
}
