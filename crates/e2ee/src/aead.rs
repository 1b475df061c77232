//! AES-256-GCM (NIST SP 800-38D) with a random nonce before the ciphertext: for what one key seals rarely enough, the
//! vault's parts and the history at rest.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;

/// Bytes of the nonce.
const NONCE: usize = 12;

/// It does not open: another key, another purpose, or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unopened;

/// Nonce ‖ ciphertext ‖ tag.
pub(crate) fn seal(key: &[u8; 32], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE];
    OsRng.fill_bytes(&mut nonce);
    let sealed =
        Aes256Gcm::new(key.into()).encrypt(Nonce::from_slice(&nonce), Payload { msg: plaintext, aad }).expect("AES-GCM takes up to 64 GiB");
    [&nonce[..], &sealed].concat()
}

pub(crate) fn open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE).ok_or(Unopened)?;
    Aes256Gcm::new(key.into()).decrypt(Nonce::from_slice(nonce), Payload { msg: ciphertext, aad }).map(Zeroizing::new).map_err(|_| Unopened)
}
