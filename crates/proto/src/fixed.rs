//! Byte strings of one length each: hashes, keys, signatures. A newtype each, so that none is taken for another.

use minicbor::decode::Error as CborError;
use minicbor::{Decode, Decoder, Encode, Encoder};
use sha2::{Digest, Sha256};
use std::fmt;

macro_rules! fixed {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;
            /// The value of `bytes`, if it has exactly the right length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> { bytes.try_into().ok().map(Self) }
            /// The bytes.
            pub fn as_bytes(&self) -> &[u8] { &self.0 }
        }
        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] { &self.0 }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}…)", stringify!($name), data_encoding::HEXLOWER.encode(&self.0[..4]))
            }
        }
        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }
        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, CborError> {
                Self::from_slice(d.bytes()?).ok_or_else(|| CborError::message(concat!(stringify!($name), " has another length")))
            }
        }
    };
}

fixed!(
    /// A SHA-256 digest, 32 bytes.
    Hash, 32);
fixed!(
    /// A device's Ed25519 public key, 32 bytes: the name of the device.
    DeviceKey, 32);
fixed!(
    /// A server's Ed25519 public key, 32 bytes: what a server's name is bound to.
    ServerKey, 32);
fixed!(
    /// An Ed25519 signature (RFC 8032), 64 bytes.
    Signature, 64);
fixed!(
    /// 32 random bytes.
    Nonce, 32);
fixed!(
    /// The SHA-256 of a room's genesis: the room's name.
    RoomId, 32);

impl Hash {
    /// What stands before the first entry of a log.
    pub const ZERO: Hash = Hash([0; 32]);

    /// SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Hash {
        Hash(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for RoomId {
    /// 52 characters of lower-case base32 (RFC 4648 §6, no padding).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl RoomId {
    /// Parses the 52-character form; upper case is refused, not repaired.
    pub fn parse(text: &str) -> Option<RoomId> {
        if text.len() != 52 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return None;
        }
        let bytes = data_encoding::BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?;
        RoomId::from_slice(&bytes)
    }
}
