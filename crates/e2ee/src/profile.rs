//! A device's own secrets, sealed where the file that they lie in is nobody's guard: in a browser, whose keys cannot be taken out of it.

use crate::aead;
use crate::history::Unreadable;
use rand_core::{OsRng, RngCore};
use std::fmt;
use tidings_proto::label;
use zeroize::Zeroizing;

/// The key of one profile's secrets.
#[derive(Clone)]
pub struct ProfileKey(Zeroizing<[u8; 32]>);

impl ProfileKey {
    /// A new one.
    pub fn generate() -> ProfileKey {
        let mut key = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(&mut *key);
        ProfileKey(key)
    }

    /// One that was kept.
    pub fn from_bytes(bytes: &[u8]) -> Option<ProfileKey> {
        bytes.try_into().ok().map(|key| ProfileKey(Zeroizing::new(key)))
    }

    /// To be sealed, and kept.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals a secret of this name.
    pub fn seal(&self, name: &str, secret: &[u8]) -> Vec<u8> {
        aead::seal(&self.0, &purpose(name), secret)
    }

    /// Opens what [`ProfileKey::seal`] sealed under the same name.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        aead::open(&self.0, &purpose(name), sealed).map_err(|_| Unreadable)
    }
}

fn purpose(name: &str) -> Vec<u8> {
    let mut out = label::marked(label::PROFILE);
    out.extend_from_slice(name.as_bytes());
    out
}

impl fmt::Debug for ProfileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProfileKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_under_its_name_and_key_alone() {
        let (key, other) = (ProfileKey::generate(), ProfileKey::generate());
        let sealed = key.seal("device", b"secret");
        assert_eq!(key.open("device", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(ProfileKey::from_bytes(key.bytes()).unwrap().open("device", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(key.open("secrets", &sealed), Err(Unreadable));
        assert_eq!(other.open("device", &sealed), Err(Unreadable));
        assert!(ProfileKey::from_bytes(&[0; 31]).is_none());
    }
}
