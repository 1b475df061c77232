//! What a server runs with, as plain values. Reading files is `setup`'s work.

use std::net::SocketAddr;
use std::path::PathBuf;
use tidings_proto::{ServerKey, ServerName, UserName};
use tidings_setup::{Key, Preset, Shape};
pub use tidings_site::Pages;

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
    /// The web client, where there is one.
    pub pages: Pages,
}

/// Each number once: the field, the preset, and the key under `limits` in `setup.json`.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $number:ty = $preset:literal, at least $least:literal;)+) => {
        /// How much anybody may ask for. `setup.json` has each under `limits`, by the name it has here.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: $number,)+
        }

        impl Default for Limits {
            fn default() -> Limits {
                Limits { $($name: $preset,)+ }
            }
        }

        impl Limits {
            /// The keys under `limits`.
            pub(crate) const KEYS: &[Key] = &[$(Key {
                name: stringify!($name),
                doc: concat!($($doc),+).trim_ascii_start(),
                shape: Shape::Number { least: $least, most: <$number>::MAX as u64 },
                preset: Preset::Number($preset),
                flag: None,
            }),+];

            /// The limits whose numbers `number` says by key; what it does not say is as preset.
            pub(crate) fn by(number: impl Fn(&str) -> Option<u64>) -> Limits {
                let preset = Limits::default();
                Limits { $($name: number(stringify!($name)).and_then(|number| number.try_into().ok()).unwrap_or(preset.$name),)+ }
            }
        }
    };
}

limits! {
    /// Messages that a device may send in a second, on average.
    messages_per_second: u32 = 10, at least 1;
    /// Messages that a device may send at once after a pause.
    message_burst: u32 = 50, at least 1;
    /// Invitations to one user from people who share no room with that user: so many at once.
    invitation_burst: u32 = 5, at least 0;
    /// After that, one such invitation in so many seconds.
    invitation_seconds: u32 = 300, at least 1;
    /// Claims of one user's key packages by one other user: so many at once.
    key_package_burst: u32 = 30, at least 1;
    /// After that, so many such claims in a minute.
    key_packages_per_minute: u32 = 10, at least 1;
    /// Rooms that a user has begun or takes part in.
    rooms_per_user: u32 = 5000, at least 1;
    /// Rooms that others have begun with a user, or asked the user into, and in which the user has taken no part yet.
    asked_rooms_per_user: u32 = 500, at least 1;
    /// Conversations that one other server's people have begun here, and in which nobody here has taken part yet.
    rooms_per_peer: u32 = 20_000, at least 1;
    /// Entries that wait for one server that cannot be reached.
    outbox_entries: u32 = 100_000, at least 1;
    /// Bytes that wait for one server that cannot be reached.
    outbox_bytes: u64 = 1_073_741_824, at least 1_048_576;
    /// Days that anything waits for a server that cannot be reached.
    outbox_days: u32 = 30, at least 1;
    /// Links from one address that have not logged in yet.
    guests_per_address: u32 = 20, at least 1;
    /// Links that have not logged in yet, all together.
    guests: u32 = 1000, at least 1;
    /// Attempts to log in, for one account and from one address: so many at once.
    login_burst: u32 = 5, at least 1;
    /// After that, one attempt in so many seconds. An attempt that succeeds does not count.
    login_seconds: u32 = 6, at least 1;
    /// Registrations from one address: so many at once.
    registration_burst: u32 = 3, at least 1;
    /// After that, so many registrations in a minute.
    registrations_per_minute: u32 = 10, at least 1;
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
