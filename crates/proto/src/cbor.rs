//! Deterministic CBOR (RFC 8949 §4.2.1): the one strict decoder of everything that comes from outside.
//!
//! minicbor encodes deterministically but decodes leniently (long integers, duplicate keys, trailing bytes, any depth).
//! So [`validate`] reads the raw bytes first, and nothing is decoded that has not passed it. What passes has exactly one
//! encoding, which is why raw bytes can be kept, hashed and handed on as they came.

use crate::limits;
use bytes::Bytes;
use minicbor::{Decode, Encode};
use std::ops::Deref;

/// Why bytes are not what they should be. Always the sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the value does.
    #[error("the bytes end before the value does")]
    Truncated,
    /// Bytes follow the value.
    #[error("bytes follow the value")]
    Trailing,
    /// Larger than the limit for its place.
    #[error("{size} bytes where at most {limit} are allowed")]
    TooLarge {
        /// Bytes found.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Nested deeper than [`limits::DEPTH`].
    #[error("nested deeper than {} levels", limits::DEPTH)]
    TooDeep,
    /// More keys in a map than [`limits::MAP_KEYS`].
    #[error("more than {} keys in a map", limits::MAP_KEYS)]
    TooManyKeys,
    /// Valid CBOR, but not its one deterministic encoding, or a type we never use.
    #[error("not deterministic CBOR: {0}")]
    NotCanonical(&'static str),
    /// Canonical, but of another shape than expected here.
    #[error("not the expected shape: {0}")]
    Shape(String),
}

/// A value beside the very bytes it was read from, so that unknown fields survive and hashes mean what was signed.
#[derive(Clone, Debug)]
pub struct Encoded<T> {
    bytes: Bytes,
    value: T,
}

impl<T> Encoded<T> {
    /// The bytes as they came, or as they were encoded here.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The value, without its bytes.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T: Encode<()>> Encoded<T> {
    /// Encodes `value`.
    pub fn new(value: T) -> Self {
        Encoded { bytes: encode(&value).into(), value }
    }
}

impl<T: for<'b> Decode<'b, ()>> Encoded<T> {
    /// Validates and decodes `bytes`, and keeps them.
    pub fn read(bytes: Bytes, limit: usize) -> Result<Self, DecodeError> {
        let value = decode(&bytes, limit)?;
        Ok(Encoded { bytes, value })
    }
}

impl<T> Deref for Encoded<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> PartialEq for Encoded<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Encoded<T> {}

/// Encodes `value`; the types of this crate encode deterministically.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to a Vec cannot fail")
}

/// Validates `bytes` against the deterministic encoding and our limits, then decodes them as a `T`.
pub fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLarge { size: bytes.len(), limit });
    }
    validate(bytes)?;
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode().map_err(|e| DecodeError::Shape(e.to_string()))?;
    if decoder.position() == bytes.len() { Ok(value) } else { Err(DecodeError::Trailing) }
}

/// Checks that `bytes` are exactly one item of deterministic CBOR within our limits: shortest integers, definite lengths,
/// map keys sorted bytewise and unique, UTF-8 text, and no floats, tags or other simple values than false, true, null.
pub fn validate(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut reader = Reader { bytes, at: 0 };
    reader.item(0)?;
    if reader.at == bytes.len() { Ok(()) } else { Err(DecodeError::Trailing) }
}

/// The bytes of a canonical map without one of its (small, unsigned) keys: what a signature covers is the map without the
/// signature, unknown fields included. `bytes` must have passed [`validate`] and be a map.
pub fn without_key(bytes: &[u8], key: u8) -> Result<Vec<u8>, DecodeError> {
    let mut reader = Reader { bytes, at: 0 };
    let (major, count) = reader.head()?;
    if major != 5 {
        return Err(DecodeError::Shape("a map is expected".into()));
    }
    let body = reader.at;
    for _ in 0..count {
        let start = reader.at;
        reader.item(1)?;
        let is_key = bytes[start..reader.at] == encode(&u64::from(key))[..];
        reader.item(1)?;
        if is_key {
            let mut out = Vec::with_capacity(bytes.len());
            minicbor::Encoder::new(&mut out).map(count - 1).expect("writing to a Vec cannot fail");
            out.extend_from_slice(&bytes[body..start]);
            out.extend_from_slice(&bytes[reader.at..]);
            return Ok(out);
        }
    }
    Ok(bytes.to_vec())
}

/// `bytes::Bytes` as a CBOR byte string, for `#[cbor(with = "crate::cbor::raw")]`.
pub mod raw {
    use bytes::Bytes;
    use minicbor::{Decoder, Encoder};

    /// Encodes as a byte string.
    pub fn encode<C, W: minicbor::encode::Write>(
        b: &Bytes,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(b)?.ok()
    }

    /// Decodes a byte string.
    pub fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Bytes, minicbor::decode::Error> {
        Ok(Bytes::copy_from_slice(d.bytes()?))
    }

    /// The same for a list of them.
    pub mod list {
        use super::*;

        /// Encodes as an array of byte strings.
        pub fn encode<C, W: minicbor::encode::Write>(
            list: &[Bytes],
            e: &mut Encoder<W>,
            c: &mut C,
        ) -> Result<(), minicbor::encode::Error<W::Error>> {
            e.array(list.len() as u64)?;
            list.iter().try_for_each(|b| super::encode(b, e, c))
        }

        /// Decodes an array of byte strings.
        pub fn decode<C>(d: &mut Decoder<'_>, c: &mut C) -> Result<Vec<Bytes>, minicbor::decode::Error> {
            let mut list = Vec::new();
            // What comes from outside has a definite length: nothing else is canonical.
            for _ in 0..d.array()?.unwrap_or(0) {
                list.push(super::decode(d, c)?);
            }
            Ok(list)
        }
    }

    /// The same for a field that may be absent.
    pub mod option {
        use super::*;

        /// Encodes as a byte string, or null.
        pub fn encode<C, W: minicbor::encode::Write>(
            b: &Option<Bytes>,
            e: &mut Encoder<W>,
            _: &mut C,
        ) -> Result<(), minicbor::encode::Error<W::Error>> {
            match b {
                Some(b) => e.bytes(b)?.ok(),
                None => e.null()?.ok(),
            }
        }

        /// Decodes a byte string, or null.
        pub fn decode<C>(d: &mut Decoder<'_>, c: &mut C) -> Result<Option<Bytes>, minicbor::decode::Error> {
            if d.datatype()? == minicbor::data::Type::Null {
                d.null()?;
                return Ok(None);
            }
            super::decode(d, c).map(Some)
        }

        /// An absent field is `None`, and is left out when encoded.
        pub fn nil() -> Option<Option<Bytes>> {
            Some(None)
        }

        /// Whether the field is left out.
        pub fn is_nil(b: &Option<Bytes>) -> bool {
            b.is_none()
        }
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn take(&mut self, n: usize) -> Result<&'b [u8], DecodeError> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len()).ok_or(DecodeError::Truncated)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// Major type and argument of the next item; the argument must be in its shortest form.
    fn head(&mut self) -> Result<(u8, u64), DecodeError> {
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 0x1f);
        let argument = match info {
            0..=23 => u64::from(info),
            24..=27 => {
                let width = 1usize << (info - 24);
                let value = self.take(width)?.iter().fold(0u64, |acc, b| acc << 8 | u64::from(*b));
                let least = if width == 1 { 24 } else { 1u64 << (4 * width) };
                if major != 7 && value < least {
                    return Err(DecodeError::NotCanonical("an integer or length is not in its shortest form"));
                }
                value
            }
            31 => return Err(DecodeError::NotCanonical("indefinite length")),
            _ => return Err(DecodeError::NotCanonical("reserved")),
        };
        if major == 7 && !matches!(first, 0xf4..=0xf6) {
            return Err(DecodeError::NotCanonical("a float or unknown simple value"));
        }
        Ok((major, argument))
    }

    fn item(&mut self, depth: usize) -> Result<(), DecodeError> {
        let (major, argument) = self.head()?;
        match major {
            0 | 1 | 7 => Ok(()),
            2 => self.string(argument).map(|_| ()),
            3 => match std::str::from_utf8(self.string(argument)?) {
                Ok(_) => Ok(()),
                Err(_) => Err(DecodeError::NotCanonical("text is not UTF-8")),
            },
            4 => {
                self.enter(depth, argument)?;
                (0..argument).try_for_each(|_| self.item(depth + 1))
            }
            5 => {
                if argument > limits::MAP_KEYS {
                    return Err(DecodeError::TooManyKeys);
                }
                self.enter(depth, argument.saturating_mul(2))?;
                let mut last: Option<&[u8]> = None;
                for _ in 0..argument {
                    let start = self.at;
                    self.item(depth + 1)?;
                    let key = &self.bytes[start..self.at];
                    if last.is_some_and(|last| last >= key) {
                        return Err(DecodeError::NotCanonical("map keys are not sorted and unique"));
                    }
                    last = Some(key);
                    self.item(depth + 1)?;
                }
                Ok(())
            }
            _ => Err(DecodeError::NotCanonical("a tag")),
        }
    }

    fn string(&mut self, length: u64) -> Result<&'b [u8], DecodeError> {
        self.take(usize::try_from(length).map_err(|_| DecodeError::Truncated)?)
    }

    /// A container takes a byte at least for each item: a length that the rest cannot hold is refused before anyone
    /// allocates for it.
    fn enter(&self, depth: usize, items: u64) -> Result<(), DecodeError> {
        if depth >= limits::DEPTH {
            Err(DecodeError::TooDeep)
        } else if items > (self.bytes.len() - self.at) as u64 {
            Err(DecodeError::Truncated)
        } else {
            Ok(())
        }
    }
}
