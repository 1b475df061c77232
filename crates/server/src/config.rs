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
    /// How much anybody may ask for.
    pub limits: Limits,
}

/// How much anybody may ask for. `setup.json` has each under `limits`, by the name it has here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Messages that a device may send in a second, on average.
    pub messages_per_second: u32,
    /// Messages that a device may send at once after a pause.
    pub message_burst: u32,
    /// Invitations to one user from people who share no room with that user: at once.
    pub invitation_burst: u32,
    /// After that, one such invitation in so many seconds.
    pub invitation_seconds: u32,
    /// Rooms that a user may be in.
    pub rooms_per_user: u32,
    /// Entries that wait for one peer that cannot be reached.
    pub outbox_entries: u32,
    /// Bytes that wait for one peer that cannot be reached.
    pub outbox_bytes: u64,
    /// Days that anything waits for a peer that cannot be reached.
    pub outbox_days: u32,
    /// Links from one address that have not logged in yet.
    pub guests_per_address: u32,
    /// Links that have not logged in yet, all together.
    pub guests: u32,
    /// Attempts to log in, for an account and from an address: at once.
    pub login_burst: u32,
    /// After that, one attempt in so many seconds. An attempt that succeeds is not counted.
    pub login_seconds: u32,
    /// Registrations from one address: at once.
    pub registration_burst: u32,
    /// After that, so many registrations in a minute.
    pub registrations_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            messages_per_second: 10,
            message_burst: 50,
            invitation_burst: 5,
            invitation_seconds: 300,
            rooms_per_user: 5000,
            outbox_entries: 100_000,
            outbox_bytes: 1 << 30,
            outbox_days: 30,
            guests_per_address: 20,
            guests: 1000,
            login_burst: 5,
            login_seconds: 6,
            registration_burst: 3,
            registrations_per_minute: 10,
        }
    }
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
