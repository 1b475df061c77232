//! What OpenMLS needs to verify with public keys: hashes and signatures. Everything with a secret in it is refused: a server cannot so much as
//! begin to open what is sealed.

use crate::ed25519::verify_device;
use crate::mls::CIPHERSUITE;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig, HpkeKeyPair, KemOutput, SignatureScheme,
};
use sha2::{Digest, Sha256};
use tidings_proto::{DeviceKey, Signature};
use tls_codec::SecretVLBytes;

/// Hashes and verifies; nothing else.
pub struct Verifier;

impl OpenMlsCrypto for Verifier {
    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        if ciphersuite == CIPHERSUITE { Ok(()) } else { Err(CryptoError::UnsupportedCiphersuite) }
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        vec![CIPHERSUITE]
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match hash {
            HashType::Sha2_256 => Ok(Sha256::digest(data).to_vec()),
            _ => Err(CryptoError::UnsupportedHashAlgorithm),
        }
    }

    fn verify_signature(&self, scheme: SignatureScheme, data: &[u8], key: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        if scheme != SignatureScheme::ED25519 {
            return Err(CryptoError::UnsupportedSignatureScheme);
        }
        let key = DeviceKey(key.try_into().map_err(|_| CryptoError::InvalidPublicKey)?);
        let signature = Signature(signature.try_into().map_err(|_| CryptoError::InvalidSignature)?);
        verify_device(&key, data, &signature).map_err(|_| CryptoError::InvalidSignature)
    }

    fn hkdf_extract(&self, _: HashType, _: &[u8], _: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        Err(CryptoError::UnsupportedKdf)
    }

    fn hmac(&self, _: HashType, _: &[u8], _: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        Err(CryptoError::UnsupportedKdf)
    }

    fn hkdf_expand(&self, _: HashType, _: &[u8], _: &[u8], _: usize) -> Result<SecretVLBytes, CryptoError> {
        Err(CryptoError::UnsupportedKdf)
    }

    fn aead_encrypt(&self, _: AeadType, _: &[u8], _: &[u8], _: &[u8], _: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsupportedAeadAlgorithm)
    }

    fn aead_decrypt(&self, _: AeadType, _: &[u8], _: &[u8], _: &[u8], _: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsupportedAeadAlgorithm)
    }

    fn signature_key_gen(&self, _: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        Err(CryptoError::UnsupportedSignatureScheme)
    }

    fn sign(&self, _: SignatureScheme, _: &[u8], _: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsupportedSignatureScheme)
    }

    fn hpke_seal(&self, _: HpkeConfig, _: &[u8], _: &[u8], _: &[u8], _: &[u8]) -> Result<HpkeCiphertext, CryptoError> {
        Err(CryptoError::UnsupportedKdf)
    }

    fn hpke_open(&self, _: HpkeConfig, _: &HpkeCiphertext, _: &[u8], _: &[u8], _: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsupportedKdf)
    }

    fn hpke_setup_sender_and_export(
        &self,
        _: HpkeConfig,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        Err(CryptoError::UnsupportedKdf)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        _: HpkeConfig,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        Err(CryptoError::UnsupportedKdf)
    }

    fn derive_hpke_keypair(&self, _: HpkeConfig, _: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        Err(CryptoError::UnsupportedKdf)
    }
}
