//! What travels between devices and servers: names, drafts, entries, the chain, frames, error codes, limits.
//!
//! Not here: sockets, files, clocks, keys. Everything in this crate is a pure function of its input, and builds for wasm32.

pub mod cbor;
pub mod chain;
pub mod content;
pub mod draft;
pub mod entry;
pub mod fixed;
pub mod frame;
pub mod genesis;
pub mod handshake;
pub mod head;
pub mod label;
pub mod limits;
pub mod membership;
pub mod name;
pub mod refusal;

pub use cbor::{DecodeError, Encoded};
pub use content::Content;
pub use draft::{Draft, Kind};
pub use entry::{Entry, Payload};
pub use fixed::{DeviceKey, Hash, Nonce, RoomId, ServerKey, Signature};
pub use frame::Frame;
pub use genesis::{Direct, Genesis, Group, SuiteName};
pub use head::{Head, KeysSeen};
pub use membership::Role;
pub use name::{LogName, NameError, ServerName, UserName};
pub use refusal::{Code, Refusal};
