//! Who is who, and who may: device lists, key history, rosters. What server and client must judge alike is here, once.
//!
//! Not here: anything private. This crate sees public keys only, and does no I/O.

pub mod device_list;
pub mod drafts;
pub mod ed25519;
pub mod keys;
pub mod login;
pub mod members;
pub mod mls;
pub mod roster;
pub mod rsa;
pub mod safety;

pub use device_list::{Device, DeviceList, SignedList, VaultRef};
pub use keys::{KeyState, KeysError, VersionKeys};
pub use members::Members;
pub use roster::Roster;
pub use rsa::{Fingerprint, RsaPublicKey};
