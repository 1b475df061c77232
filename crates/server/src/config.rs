//! What a server runs with, as plain values. Reading files is `setup`'s work.

use std::net::SocketAddr;
use std::path::PathBuf;
use tidings_proto::{ServerKey, ServerName, UserName};

/// Everything a server needs to know to start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The server's name: its identity towards people and peers.
    pub name: ServerName,
    /// The folder that holds its keys and its database; made if missing, mode 0700.
    pub data: PathBuf,
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The `host:port` that peers dial, where it differs from `listen`.
    pub advertise: Option<String>,
    /// Whether links are encrypted.
    pub transport: Transport,
    /// Who may register.
    pub registration: Registration,
    /// Names kept for people whom the operator named under `admin`.
    pub reserved: Vec<UserName>,
    /// The servers this one knows: its allow list, and whom it dials.
    pub peers: Vec<Peer>,
}

/// A server that this one knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: ServerName,
    /// Where to dial it, `host:port`.
    pub address: String,
    /// The key its name is bound to. A peer without one is never dialled and never let in.
    pub key: Option<ServerKey>,
}

/// Whether links are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS 1.3.
    Tls,
    /// No TLS; refused unless `listen` is a loopback address. For tests and benchmarks.
    PlainLoopback,
}

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anybody who can reach the server.
    Open,
    /// Who holds an invitation or claim code.
    ByCode,
    /// Nobody.
    Closed,
}
