//! Key packages, as changes and questions speak of them.

use super::Author;
use bytes::Bytes;
use tidings_proto::Hash;

/// A key package that a device has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPackage {
    /// SHA-256 of it.
    pub hash: Hash,
    /// The encoded package.
    pub package: Bytes,
    /// Whether it is kept when it is handed out.
    pub last_resort: bool,
}

impl KeyPackage {
    /// One of these bytes.
    pub fn new(package: Bytes, last_resort: bool) -> KeyPackage {
        KeyPackage { hash: Hash::of(&package), package, last_resort }
    }
}

/// What has to be known of a device's key packages.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// So many may be handed out.
    pub claims: usize,
    /// Those with these hashes may be added.
    pub offered: Vec<Hash>,
}

/// A device's key packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stock {
    /// How many single-use ones there are.
    pub single_use: u32,
    /// The first of them, as many as were asked for.
    pub next: Vec<KeyPackage>,
    /// The one of last resort.
    pub last_resort: Option<KeyPackage>,
    /// Which of those that are offered are here, or were.
    pub known: Vec<Hash>,
}

/// A device as one of this user's, by which its key packages are found.
pub type Owner = Author;
