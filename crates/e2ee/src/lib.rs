//! What only devices can do: identity, suites, vault. No I/O, no clock, no runtime.
//!
//! Inputs are pushed in, outputs and [`suite::Changes`] come out; whoever calls commits the changes with the message they
//! belong to. Everything here is composed of primitives from well-kept libraries; none is made here.

pub mod account;
mod aead;
pub mod device;
pub mod history;
pub mod invitation;
pub mod jose;
pub mod mls;
pub mod opaque;
pub mod profile;
pub mod recovery;
pub mod rsa;
pub mod suite;
pub mod vault;

pub use account::{AccountSecrets, NewAccount, Rekeyed, Unlocked, VaultBook};
pub use device::DeviceSecret;
pub use profile::ProfileKey;
pub use recovery::RecoveryCode;
