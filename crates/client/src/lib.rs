//! What every front end does, done once: account, people, timeline, outbox, sync, over a local store and one link to the home server.
//!
//! Not here: anything that draws, prints or asks. Front ends know this crate only, and this crate knows no front end.

pub mod error;
#[cfg(not(target_family = "wasm"))]
pub mod relay;
pub mod setup;

mod account;
mod client;
mod crypto;
mod driver;
mod engine;
mod link;
mod mention;
mod outbox;
mod people;
mod platform;
mod store;

pub use account::change::{Recover, recover};
pub use account::{Login, LoginSecret, RecoveryCode, Register, login, register};
pub use client::Client;
pub use client::bare::{Bare, Come, NewBare};
pub use client::health::{Health, Stopped};
pub use error::ClientError;
#[cfg(target_family = "wasm")]
pub use platform::{forget_stored, prepare};
pub use setup::{ClientSetup, Endpoint};
pub use tidings_proto::{ServerKey, ServerName, SuiteName, UserName};
pub use tidings_view as view;
pub use zeroize::Zeroizing;
