//! RSA public keys: the identities of people, and what messages to them are locked with. Only ever public keys here.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use minicbor::decode::Error as CborError;
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::fmt;
use std::sync::Arc;
use tidings_proto::Hash;

/// The public exponent of every key: 65537.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// An RSA public key of 3072 or 4096 bits with e = 65537. On the wire it is its modulus, so one key has one encoding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RsaPublicKey(Arc<[u8]>);

/// Not a modulus of 3072 or 4096 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an RSA key here has 3072 or 4096 bits, an odd modulus and the exponent 65537")]
pub struct NotAKey;

/// A PS256 signature does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identity's signature does not verify")]
pub struct BadPss;

/// SHA-256 of a key's SubjectPublicKeyInfo: what people compare.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Fingerprint(pub Hash);

impl RsaPublicKey {
    /// A key from its modulus, big-endian, without leading zeros.
    pub fn from_modulus(modulus: &[u8]) -> Result<RsaPublicKey, NotAKey> {
        let fits = matches!(modulus.len(), 384 | 512) && modulus[0] & 0x80 != 0 && modulus[modulus.len() - 1] & 1 == 1;
        if fits { Ok(RsaPublicKey(modulus.into())) } else { Err(NotAKey) }
    }

    /// The modulus, big-endian.
    pub fn modulus(&self) -> &[u8] {
        &self.0
    }

    /// The key's size in bits: 3072 or 4096.
    pub fn bits(&self) -> usize {
        self.0.len() * 8
    }

    /// SubjectPublicKeyInfo in DER (RFC 8017 A.1.1 in RFC 5280 §4.1).
    pub fn spki_der(&self) -> Vec<u8> {
        const RSA_ENCRYPTION: [u8; 15] = [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
        let mut bits = vec![0]; // no unused bits
        bits.extend(self.pkcs1_der());
        let mut spki = RSA_ENCRYPTION.to_vec();
        spki.extend(der(0x03, &bits));
        der(0x30, &spki)
    }

    /// RSAPublicKey in DER (RFC 8017 A.1.1).
    pub fn pkcs1_der(&self) -> Vec<u8> {
        let mut modulus = vec![0]; // the top bit is set, and the number positive
        modulus.extend_from_slice(&self.0);
        let mut key = der(0x02, &modulus);
        key.extend(der(0x02, &EXPONENT));
        der(0x30, &key)
    }

    /// What people compare.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Hash::of(&self.spki_der()))
    }

    /// RFC 7638: SHA-256 of the key's canonical JWK.
    pub fn thumbprint(&self) -> Hash {
        Hash::of(format!(r#"{{"e":"AQAB","kty":"RSA","n":"{}"}}"#, BASE64_URL_SAFE_NO_PAD.encode(&self.0)).as_bytes())
    }

    /// The thumbprint in base64url: the key's `kid`.
    pub fn kid(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.thumbprint().0)
    }

    /// The public JWK (RFC 7517), for display and for other programs. `alg` is `PS256` or `RSA-OAEP-256`.
    pub fn jwk(&self, alg: &str) -> String {
        let usage = if alg == "PS256" { "sig" } else { "enc" };
        let (n, kid) = (BASE64_URL_SAFE_NO_PAD.encode(&self.0), self.kid());
        format!(r#"{{"kty":"RSA","use":"{usage}","alg":"{alg}","kid":"{kid}","e":"AQAB","n":"{n}"}}"#)
    }

    /// Checks a PS256 signature (RFC 7518 §3.5: RSASSA-PSS, SHA-256, MGF1-SHA-256, salt of 32 bytes).
    pub fn verify_pss(&self, message: &[u8], sig: &[u8]) -> Result<(), BadPss> {
        // As long as the modulus, whichever library looks further.
        if sig.len() != self.0.len() {
            return Err(BadPss);
        }
        library::verify_pss(self, message, sig)
    }
}

#[cfg(not(target_family = "wasm"))]
mod library {
    use super::{BadPss, EXPONENT, RsaPublicKey};
    use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents};

    pub fn verify_pss(key: &RsaPublicKey, message: &[u8], sig: &[u8]) -> Result<(), BadPss> {
        let key = RsaPublicKeyComponents { n: key.modulus(), e: &EXPONENT[..] };
        key.verify(&RSA_PSS_2048_8192_SHA256, message, sig).map_err(|_| BadPss)
    }
}

/// Browsers verify asynchronously, and this is not: here, and for public keys alone, the `rsa` crate.
#[cfg(target_family = "wasm")]
mod library {
    use super::{BadPss, EXPONENT, RsaPublicKey};
    use rsa::{BigUint, Pss};
    use sha2::{Digest, Sha256};

    pub fn verify_pss(key: &RsaPublicKey, message: &[u8], sig: &[u8]) -> Result<(), BadPss> {
        let (modulus, exponent) = (BigUint::from_bytes_be(key.modulus()), BigUint::from_bytes_be(&EXPONENT));
        let key = rsa::RsaPublicKey::new(modulus, exponent).map_err(|_| BadPss)?;
        key.verify(Pss::new_with_salt::<Sha256>(32), &Sha256::digest(message), sig).map_err(|_| BadPss)
    }
}

/// One DER value with a definite length.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        n @ 0..0x80 => out.push(n as u8),
        n @ 0x80..0x100 => out.extend([0x81, n as u8]),
        n => out.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend_from_slice(content);
    out
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPublicKey({} bits, {})", self.bits(), self.kid())
    }
}

impl fmt::Display for Fingerprint {
    /// Eight groups of eight hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, group) in self.0.0.chunks(4).enumerate() {
            write!(f, "{}{}", if i > 0 { " " } else { "" }, data_encoding::HEXLOWER.encode(group))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<C> Encode<C> for RsaPublicKey {
    fn encode<W: minicbor::encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for RsaPublicKey {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, CborError> {
        RsaPublicKey::from_modulus(d.bytes()?).map_err(CborError::custom)
    }
}
