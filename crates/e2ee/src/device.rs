//! A device's Ed25519 secret: one key for links, drafts and what is signed inside messages.

use ed25519_dalek::{Signer, SigningKey};
use rand_core::OsRng;
use std::fmt;
use tidings_proto::{DeviceKey, Signature};
use zeroize::Zeroizing;

/// The secret; wiped when dropped.
#[derive(Clone)]
pub struct DeviceSecret(SigningKey);

impl DeviceSecret {
    /// A new device.
    pub fn generate() -> DeviceSecret {
        DeviceSecret(SigningKey::generate(&mut OsRng))
    }

    /// A device whose secret was kept: the 32-byte seed of RFC 8032 §5.1.5.
    pub fn from_bytes(seed: &[u8; 32]) -> DeviceSecret {
        DeviceSecret(SigningKey::from_bytes(seed))
    }

    /// The seed, to be kept.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The device's name.
    pub fn public(&self) -> DeviceKey {
        DeviceKey(self.0.verifying_key().to_bytes())
    }

    /// Signs. Callers sign only bytes that they have composed themselves, under a label.
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(bytes).to_bytes())
    }
}

impl fmt::Debug for DeviceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceSecret of {:?}", self.public())
    }
}
