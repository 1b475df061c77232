//! RSA private keys. Behind a trait, since browsers have them in WebCrypto, which is asynchronous; natively they are
//! aws-lc-rs's, never the `rsa` crate's (RUSTSEC-2023-0071).
//!
//! A key has one use: an identity signs, an encryption key decrypts. The two are different types.

use std::future::Future;
use tidings_trust::RsaPublicKey;
use zeroize::Zeroizing;

/// A private key in PKCS #8 (RFC 5958), wiped when dropped.
pub type Pkcs8 = Zeroizing<Vec<u8>>;

/// An RSA operation failed. It never says why: whoever probes with ciphertexts must not learn it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an RSA operation failed")]
pub struct RsaError;

/// What a platform does with RSA private keys.
pub trait RsaKeys {
    /// A key that signs with PS256.
    type Signing: Clone;
    /// A key that decrypts RSA-OAEP-256.
    type Decrypting: Clone;

    /// A new key of 3072 bits; takes 0.3 to 0.8 s.
    fn generate(&self) -> impl Future<Output = Result<Pkcs8, RsaError>>;
    /// Takes a kept key for signing.
    fn signing(&self, pkcs8: &[u8]) -> impl Future<Output = Result<(Self::Signing, RsaPublicKey), RsaError>>;
    /// Takes a kept key for decrypting.
    fn decrypting(&self, pkcs8: &[u8]) -> impl Future<Output = Result<(Self::Decrypting, RsaPublicKey), RsaError>>;
    /// RSASSA-PSS with SHA-256, MGF1-SHA-256 and a salt of 32 bytes (RFC 8017 §8.1).
    fn sign_pss(&self, key: &Self::Signing, message: &[u8]) -> impl Future<Output = Result<Vec<u8>, RsaError>>;
    /// RSAES-OAEP with SHA-256 and MGF1-SHA-256, no label (RFC 8017 §7.1).
    fn decrypt_oaep(&self, key: &Self::Decrypting, ciphertext: &[u8]) -> impl Future<Output = Result<Zeroizing<Vec<u8>>, RsaError>>;
}

/// The public half of a private key, from its numbers without leading zeros. Every library takes more keys than we do: size and
/// exponent are checked here.
fn checked(modulus: &[u8], exponent: &[u8]) -> Result<RsaPublicKey, RsaError> {
    if exponent != [1, 0, 1] {
        return Err(RsaError);
    }
    RsaPublicKey::from_modulus(modulus).map_err(|_| RsaError)
}

#[cfg(not(target_family = "wasm"))]
pub use native::{AwsLcKeys, encrypt_oaep};
#[cfg(target_family = "wasm")]
pub use web::{encrypt_oaep, public_in};

#[cfg(not(target_family = "wasm"))]
mod native {
    use super::*;
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{
        KeyPair, KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
        PublicEncryptingKey,
    };
    use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256};
    use std::sync::Arc;

    /// aws-lc-rs. Its calls compute where they are awaited: callers run them where that blocks nobody.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct AwsLcKeys;

    impl RsaKeys for AwsLcKeys {
        type Signing = Arc<KeyPair>;
        type Decrypting = Arc<OaepPrivateDecryptingKey>;

        async fn generate(&self) -> Result<Pkcs8, RsaError> {
            let pair = KeyPair::generate(KeySize::Rsa3072).map_err(|_| RsaError)?;
            Ok(Zeroizing::new(pair.as_der().map_err(|_| RsaError)?.as_ref().to_vec()))
        }

        async fn signing(&self, pkcs8: &[u8]) -> Result<(Self::Signing, RsaPublicKey), RsaError> {
            let pair = KeyPair::from_pkcs8(pkcs8).map_err(|_| RsaError)?;
            let public = public_of(&pair)?;
            Ok((Arc::new(pair), public))
        }

        async fn decrypting(&self, pkcs8: &[u8]) -> Result<(Self::Decrypting, RsaPublicKey), RsaError> {
            let public = public_of(&KeyPair::from_pkcs8(pkcs8).map_err(|_| RsaError)?)?;
            let key = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| RsaError)?;
            Ok((Arc::new(OaepPrivateDecryptingKey::new(key).map_err(|_| RsaError)?), public))
        }

        async fn sign_pss(&self, key: &Self::Signing, message: &[u8]) -> Result<Vec<u8>, RsaError> {
            let mut sig = vec![0; key.public_modulus_len()];
            key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut sig).map_err(|_| RsaError)?;
            Ok(sig)
        }

        async fn decrypt_oaep(&self, key: &Self::Decrypting, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, RsaError> {
            let mut out = Zeroizing::new(vec![0; key.min_output_size()]);
            let length = key.decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, &mut out, None).map_err(|_| RsaError)?.len();
            out.truncate(length);
            Ok(out)
        }
    }

    fn public_of(pair: &KeyPair) -> Result<RsaPublicKey, RsaError> {
        let public = pair.public_key();
        checked(public.modulus().big_endian_without_leading_zero(), public.exponent().big_endian_without_leading_zero())
    }

    /// RSAES-OAEP with SHA-256 and MGF1-SHA-256 under a public key.
    pub fn encrypt_oaep(key: &RsaPublicKey, plaintext: &[u8]) -> Result<Vec<u8>, RsaError> {
        let key = PublicEncryptingKey::from_der(&key.spki_der()).map_err(|_| RsaError)?;
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| RsaError)?;
        let mut out = vec![0; key.ciphertext_size()];
        let length = key.encrypt(&OAEP_SHA256_MGF1SHA256, plaintext, &mut out, None).map_err(|_| RsaError)?.len();
        out.truncate(length);
        Ok(out)
    }
}

/// Private keys are WebCrypto's there, which only whoever runs in a browser can call: they come in through [`RsaKeys`].
#[cfg(target_family = "wasm")]
mod web {
    use super::*;
    use rand_core::OsRng;
    use rsa::pkcs8::PrivateKeyInfo;
    use rsa::{BigUint, Oaep, pkcs1};
    use sha2::Sha256;

    /// The public half of a private key: read, and nothing computed.
    pub fn public_in(pkcs8: &[u8]) -> Result<RsaPublicKey, RsaError> {
        let outer = PrivateKeyInfo::try_from(pkcs8).map_err(|_| RsaError)?;
        if outer.algorithm.oid != pkcs1::ALGORITHM_OID {
            return Err(RsaError);
        }
        let inner = pkcs1::RsaPrivateKey::try_from(outer.private_key).map_err(|_| RsaError)?;
        checked(inner.modulus.as_bytes(), inner.public_exponent.as_bytes())
    }

    /// RSAES-OAEP with SHA-256 and MGF1-SHA-256 under a public key.
    pub fn encrypt_oaep(key: &RsaPublicKey, plaintext: &[u8]) -> Result<Vec<u8>, RsaError> {
        let key = rsa::RsaPublicKey::new(BigUint::from_bytes_be(key.modulus()), BigUint::from(65537u32)).map_err(|_| RsaError)?;
        key.encrypt(&mut OsRng, Oaep::new::<Sha256>(), plaintext).map_err(|_| RsaError)
    }
}
