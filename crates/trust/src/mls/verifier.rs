//! What OpenMLS needs to verify with public keys: hashes and signatures. Everything with a secret in it is refused, unless somebody brings
//! it: a server, which has nothing to bring, cannot so much as begin to open what is sealed.
//!
//! One type for both, since OpenMLS is compiled once more for each type that it is given, and browsers have to load that.

use crate::ed25519::verify_device;
use crate::mls::CIPHERSUITE;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig, HpkeKeyPair, KemOutput, SignatureScheme,
};
use sha2::{Digest, Sha256};
use tidings_proto::{DeviceKey, Signature};
use tls_codec::SecretVLBytes;

/// Hashes and verifies; the rest is somebody else's, or nobody's.
pub struct Verifier(Option<&'static dyn OpenMlsCrypto>);

impl Verifier {
    /// Nothing else.
    pub const PUBLIC: Verifier = Verifier(None);

    /// With what a device needs beyond that.
    pub const fn with(secrets: &'static dyn OpenMlsCrypto) -> Verifier {
        Verifier(Some(secrets))
    }

    fn secrets(&self) -> Result<&'static dyn OpenMlsCrypto, CryptoError> {
        self.0.ok_or(CryptoError::UnsupportedCiphersuite)
    }
}

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

    fn hkdf_extract(&self, hash: HashType, salt: &[u8], material: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.secrets()?.hkdf_extract(hash, salt, material)
    }

    fn hmac(&self, hash: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.secrets()?.hmac(hash, key, message)
    }

    fn hkdf_expand(&self, hash: HashType, secret: &[u8], info: &[u8], length: usize) -> Result<SecretVLBytes, CryptoError> {
        self.secrets()?.hkdf_expand(hash, secret, info, length)
    }

    fn aead_encrypt(&self, kind: AeadType, key: &[u8], text: &[u8], nonce: &[u8], aad: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.secrets()?.aead_encrypt(kind, key, text, nonce, aad)
    }

    fn aead_decrypt(&self, kind: AeadType, key: &[u8], sealed: &[u8], nonce: &[u8], aad: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.secrets()?.aead_decrypt(kind, key, sealed, nonce, aad)
    }

    fn signature_key_gen(&self, scheme: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        self.secrets()?.signature_key_gen(scheme)
    }

    fn sign(&self, scheme: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.secrets()?.sign(scheme, data, key)
    }

    fn hpke_seal(&self, config: HpkeConfig, to: &[u8], info: &[u8], aad: &[u8], text: &[u8]) -> Result<HpkeCiphertext, CryptoError> {
        self.secrets()?.hpke_seal(config, to, info, aad, text)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        secret: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.secrets()?.hpke_open(config, input, secret, info, aad)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        to: &[u8],
        info: &[u8],
        exporter: &[u8],
        length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        self.secrets()?.hpke_setup_sender_and_export(config, to, info, exporter, length)
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
        self.secrets()?.hpke_setup_receiver_and_export(config, encapped, secret, info, exporter, length)
    }

    fn derive_hpke_keypair(&self, config: HpkeConfig, material: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        self.secrets()?.derive_hpke_keypair(config, material)
    }
}
