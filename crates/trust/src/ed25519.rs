//! Ed25519 (RFC 8032): the signatures of devices and servers. Strict: no small-order keys, no second encoding.

use ed25519_dalek::VerifyingKey;
use tidings_proto::{DeviceKey, ServerKey, Signature};

/// A signature does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signature does not verify")]
pub struct BadSignature;

/// Checks a device's signature over `bytes`.
pub fn verify_device(key: &DeviceKey, bytes: &[u8], sig: &Signature) -> Result<(), BadSignature> {
    verify(&key.0, bytes, sig)
}

/// Checks a server's signature over `bytes`.
pub fn verify_server(key: &ServerKey, bytes: &[u8], sig: &Signature) -> Result<(), BadSignature> {
    verify(&key.0, bytes, sig)
}

fn verify(key: &[u8; 32], bytes: &[u8], sig: &Signature) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| BadSignature)?;
    key.verify_strict(bytes, &ed25519_dalek::Signature::from_bytes(&sig.0)).map_err(|_| BadSignature)
}
