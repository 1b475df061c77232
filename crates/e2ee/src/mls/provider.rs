//! The cryptography of `mls-1`'s one ciphersuite for OpenMLS, by the crates that everything else here uses. What verifies is
//! `trust::mls::Verifier`'s.

use super::state::State;
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes128Gcm, KeyInit};
use ed25519_dalek::Signer as _;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use hpke::aead::AesGcm128;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use openmls_traits::OpenMlsProvider;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::random::OpenMlsRand;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType,
    HpkeKeyPair, KemOutput, SignatureScheme,
};
use rand_core::{OsRng, RngCore};
use sha2::Sha256;
use tidings_trust::mls::Verifier;
use tls_codec::SecretVLBytes;

/// All that OpenMLS needs, over one state.
pub struct Provider<'a> {
    /// The groups and key packages.
    pub state: &'a State<'a>,
}

impl<'a> OpenMlsProvider for Provider<'a> {
    type CryptoProvider = Verifier;
    type RandProvider = Random;
    type StorageProvider = State<'a>;

    fn storage(&self) -> &State<'a> {
        self.state
    }

    fn crypto(&self) -> &Verifier {
        &CRYPTO
    }

    fn rand(&self) -> &Random {
        &Random
    }
}

/// The system's randomness.
pub struct Random;

/// The system gives none.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no randomness: {0}")]
pub struct NoRandomness(rand_core::Error);

impl OpenMlsRand for Random {
    type Error = NoRandomness;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], NoRandomness> {
        let mut out = [0; N];
        OsRng.try_fill_bytes(&mut out).map(|()| out).map_err(NoRandomness)
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, NoRandomness> {
        let mut out = vec![0; len];
        OsRng.try_fill_bytes(&mut out).map(|()| out).map_err(NoRandomness)
    }
}

/// What verifies, with all that takes secrets.
pub static CRYPTO: Verifier = Verifier::with(&Crypto);

/// X25519, HKDF-SHA256, AES-128-GCM and Ed25519, and nothing else.
struct Crypto;

type Encapped = <X25519HkdfSha256 as Kem>::EncappedKey;
type Sender = hpke::aead::AeadCtxS<AesGcm128, HkdfSha256, X25519HkdfSha256>;
type Receiver = hpke::aead::AeadCtxR<AesGcm128, HkdfSha256, X25519HkdfSha256>;

fn is_sha256(hash: HashType) -> Result<(), CryptoError> {
    if hash == HashType::Sha2_256 { Ok(()) } else { Err(CryptoError::UnsupportedHashAlgorithm) }
}

fn cipher(kind: AeadType, key: &[u8], nonce: &[u8]) -> Result<Aes128Gcm, CryptoError> {
    if kind != AeadType::Aes128Gcm {
        return Err(CryptoError::UnsupportedAeadAlgorithm);
    }
    if nonce.len() != 12 {
        return Err(CryptoError::InvalidLength);
    }
    Aes128Gcm::new_from_slice(key).map_err(|_| CryptoError::InvalidLength)
}

fn is_ours(HpkeConfig(kem, kdf, aead): &HpkeConfig) -> Result<(), CryptoError> {
    match (kem, kdf, aead) {
        (HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::AesGcm128) => Ok(()),
        _ => Err(CryptoError::UnsupportedCiphersuite),
    }
}

fn send(config: &HpkeConfig, to: &[u8], info: &[u8]) -> Result<(KemOutput, Sender), CryptoError> {
    is_ours(config)?;
    let to = Deserializable::from_bytes(to).map_err(|_| CryptoError::InvalidPublicKey)?;
    let (encapped, context): (Encapped, Sender) =
        hpke::setup_sender(&OpModeS::Base, &to, info, &mut OsRng).map_err(|_| CryptoError::SenderSetupError)?;
    Ok((encapped.to_bytes().to_vec(), context))
}

fn receive(config: &HpkeConfig, encapped: &[u8], secret: &[u8], info: &[u8]) -> Result<Receiver, CryptoError> {
    is_ours(config)?;
    let secret = Deserializable::from_bytes(secret).map_err(|_| CryptoError::InvalidLength)?;
    let encapped = Deserializable::from_bytes(encapped).map_err(|_| CryptoError::InvalidLength)?;
    hpke::setup_receiver(&OpModeR::Base, &secret, &encapped, info).map_err(|_| CryptoError::ReceiverSetupError)
}

impl OpenMlsCrypto for Crypto {
    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        Verifier::PUBLIC.supports(ciphersuite)
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        Verifier::PUBLIC.supported_ciphersuites()
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Verifier::PUBLIC.hash(hash, data)
    }

    fn verify_signature(&self, scheme: SignatureScheme, data: &[u8], key: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        Verifier::PUBLIC.verify_signature(scheme, data, key, signature)
    }

    fn hkdf_extract(&self, hash: HashType, salt: &[u8], material: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        is_sha256(hash)?;
        Ok(Hkdf::<Sha256>::extract(Some(salt), material).0.as_slice().into())
    }

    fn hmac(&self, hash: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        is_sha256(hash)?;
        let mut hmac = <Hmac<Sha256> as Mac>::new_from_slice(key).map_err(|_| CryptoError::InvalidLength)?;
        hmac.update(message);
        Ok(hmac.finalize().into_bytes().as_slice().into())
    }

    fn hkdf_expand(&self, hash: HashType, secret: &[u8], info: &[u8], length: usize) -> Result<SecretVLBytes, CryptoError> {
        is_sha256(hash)?;
        let mut out = vec![0; length];
        let hkdf = Hkdf::<Sha256>::from_prk(secret).map_err(|_| CryptoError::InvalidLength)?;
        hkdf.expand(info, &mut out).map_err(|_| CryptoError::HkdfOutputLengthInvalid)?;
        Ok(out.into())
    }

    fn aead_encrypt(&self, kind: AeadType, key: &[u8], msg: &[u8], nonce: &[u8], aad: &[u8]) -> Result<Vec<u8>, CryptoError> {
        cipher(kind, key, nonce)?.encrypt(nonce.into(), Payload { msg, aad }).map_err(|_| CryptoError::CryptoLibraryError)
    }

    fn aead_decrypt(&self, kind: AeadType, key: &[u8], msg: &[u8], nonce: &[u8], aad: &[u8]) -> Result<Vec<u8>, CryptoError> {
        cipher(kind, key, nonce)?.decrypt(nonce.into(), Payload { msg, aad }).map_err(|_| CryptoError::AeadDecryptionError)
    }

    fn signature_key_gen(&self, _: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        // The leaf's key is the device's, which there is already.
        Err(CryptoError::UnsupportedSignatureScheme)
    }

    fn sign(&self, scheme: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if scheme != SignatureScheme::ED25519 {
            return Err(CryptoError::UnsupportedSignatureScheme);
        }
        let key = ed25519_dalek::SigningKey::try_from(key).map_err(|_| CryptoError::InvalidLength)?;
        Ok(key.sign(data).to_bytes().to_vec())
    }

    fn hpke_seal(&self, config: HpkeConfig, to: &[u8], info: &[u8], aad: &[u8], text: &[u8]) -> Result<HpkeCiphertext, CryptoError> {
        let (kem_output, mut context) = send(&config, to, info)?;
        let sealed = context.seal(text, aad).map_err(|_| CryptoError::HpkeEncryptionError)?;
        Ok(HpkeCiphertext { kem_output: kem_output.into(), ciphertext: sealed.into() })
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        secret: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let mut context = receive(&config, input.kem_output.as_slice(), secret, info)?;
        context.open(input.ciphertext.as_slice(), aad).map_err(|_| CryptoError::HpkeDecryptionError)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        to: &[u8],
        info: &[u8],
        exporter: &[u8],
        length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        let (encapped, context) = send(&config, to, info)?;
        let mut out = vec![0; length];
        context.export(exporter, &mut out).map_err(|_| CryptoError::ExporterError)?;
        Ok((encapped, out.into()))
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        encapped: &[u8],
        secret: &[u8],
        info: &[u8],
        exporter: &[u8],
        length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        let context = receive(&config, encapped, secret, info)?;
        let mut out = vec![0; length];
        context.export(exporter, &mut out).map_err(|_| CryptoError::ExporterError)?;
        Ok(out.into())
    }

    fn derive_hpke_keypair(&self, config: HpkeConfig, material: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        is_ours(&config)?;
        let (private, public) = X25519HkdfSha256::derive_keypair(material);
        Ok(HpkeKeyPair { private: private.to_bytes().to_vec().into(), public: public.to_bytes().to_vec() })
    }
}
