//! What a host runs: client links, federation links, logs, store, bus.
//!
//! It never depends on `e2ee` or `client`: that the host cannot read what people say is a fact of the build.

pub mod accounts;
pub mod api;
pub mod bus;
pub mod config;
pub mod federation;
pub mod host;
pub mod identity;
pub mod link;
pub mod logs;
pub mod operator;
pub mod presence;
mod rate;
mod run;
pub mod setup;
pub mod store;

pub use config::{Config, Limits, Pages, Peer, Registration, Transport};
pub use run::{Running, Server, StartError};
