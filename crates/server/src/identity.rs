//! Who this server is: its name, its Ed25519 key, its TLS certificate, its OPAQUE seed. Made once, then kept.
//!
//! The Ed25519 key is what peers and clients pin; the certificate may change, the key may not.

use ed25519_dalek::{Signer, SigningKey};
use rand_core::OsRng;
use std::io::{ErrorKind, Write};
use std::path::Path;
use tidings_proto::{Hash, ServerKey, ServerName, Signature};
use tidings_trust::login::OpaqueSuite;
use zeroize::Zeroizing;

/// What OPAQUE calls the server's setup: its OPRF seed and key pair (RFC 9807 §5).
pub type OpaqueSetup = opaque_ke::ServerSetup<OpaqueSuite>;

/// A server's secrets.
pub struct Identity {
    signing: SigningKey,
    opaque: OpaqueSetup,
    certificate: rustls::pki_types::CertificateDer<'static>,
    certificate_key: Zeroizing<Vec<u8>>,
    spki: Hash,
}

/// The identity cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file of it cannot be read or written.
    #[error("{path} cannot be used: {}", unusable(source))]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file of it is not what was written there.
    #[error("{0} is damaged; restore it from a backup, since peers and clients know this server by it")]
    Damaged(String),
    /// The folder is another server's.
    #[error(
        "{folder} is the folder of the server {kept}, not of {asked}. A server's name never changes: start it as {kept}, or give {asked} a folder of its own with --data"
    )]
    OtherName {
        /// The server's folder.
        folder: String,
        /// Whose it is.
        kept: ServerName,
        /// Whose it should be.
        asked: ServerName,
    },
    /// The system has no randomness, or the certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
}

impl Identity {
    /// Loads the identity kept in `data/identity`, or makes one there. Each file is written whole, synced and renamed, so
    /// a crash leaves the old one or the new one, and a key once shown to anybody is never made anew.
    pub fn load_or_create(data: &Path, name: &ServerName) -> Result<Identity, IdentityError> {
        let folder = data.join("identity");
        make_private_folder(data)?;
        make_private_folder(&folder)?;
        let kept_name = kept(&folder.join(NAME), || Ok(name.as_str().into()))?;
        let kept_name = read_name(&kept_name).ok_or_else(|| IdentityError::Damaged(shown(&folder.join(NAME))))?;
        if kept_name != *name {
            return Err(IdentityError::OtherName { folder: shown(data), kept: kept_name, asked: name.clone() });
        }
        let signing = kept(&folder.join("server.key"), || Ok(SigningKey::generate(&mut OsRng).to_bytes().to_vec()))?;
        let signing = <[u8; 32]>::try_from(&signing[..]).map_err(|_| IdentityError::Damaged(shown(&folder.join("server.key"))))?;
        let opaque = kept(&folder.join("opaque.setup"), || Ok(OpaqueSetup::new(&mut OsRng).serialize().to_vec()))?;
        let opaque = OpaqueSetup::deserialize(&opaque).map_err(|_| IdentityError::Damaged(shown(&folder.join("opaque.setup"))))?;
        let certificate_key = kept(&folder.join("tls.key"), || Ok(rcgen::KeyPair::generate()?.serialize_der()))?;
        let pair = rcgen::KeyPair::try_from(&certificate_key[..]).map_err(|_| IdentityError::Damaged(shown(&folder.join("tls.key"))))?;
        let certificate = kept(&folder.join("tls.crt"), || {
            Ok(rcgen::CertificateParams::new(vec![name.to_string()])?.self_signed(&pair)?.der().to_vec())
        })?;
        let spki = Hash::of(&rcgen::PublicKeyData::subject_public_key_info(&pair));
        Ok(Identity { signing: SigningKey::from_bytes(&signing), opaque, certificate: certificate.to_vec().into(), certificate_key, spki })
    }

    /// The name of the server whose folder `data` is, if it is one.
    pub fn name_in(data: &Path) -> Option<ServerName> {
        read_name(&std::fs::read(data.join("identity").join(NAME)).ok()?)
    }

    /// The key this server's name is bound to.
    pub fn key(&self) -> ServerKey {
        ServerKey(self.signing.verifying_key().to_bytes())
    }

    /// SHA-256 of the certificate's SubjectPublicKeyInfo.
    pub fn spki(&self) -> Hash {
        self.spki
    }

    /// Signs by the server's key.
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        Signature(self.signing.sign(bytes).to_bytes())
    }

    /// What OPAQUE needs.
    pub fn opaque(&self) -> &OpaqueSetup {
        &self.opaque
    }

    /// The certificate and its private key (PKCS #8), for TLS.
    pub fn certificate(&self) -> (rustls::pki_types::CertificateDer<'static>, rustls::pki_types::PrivateKeyDer<'static>) {
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(self.certificate_key.to_vec());
        (self.certificate.clone(), key.into())
    }
}

/// The file with the name that everything else in the folder belongs to.
const NAME: &str = "server.name";

fn read_name(bytes: &[u8]) -> Option<ServerName> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// What to do about a folder that cannot be used.
fn unusable(source: &std::io::Error) -> String {
    let choose = "choose another folder with --data, or with \"data\" in setup.json";
    match source.kind() {
        ErrorKind::PermissionDenied => format!("this account may not read and write there. Make it this account's own, or {choose}"),
        ErrorKind::ReadOnlyFilesystem => format!("that disk is read-only; {choose}"),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => format!("there is a file where a folder is needed; {choose}"),
        ErrorKind::StorageFull => format!("the disk is full. Make room, or {choose}"),
        _ => format!("{source}; {choose}"),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn make_private_folder(path: &Path) -> Result<(), IdentityError> {
    use std::os::unix::fs::DirBuilderExt;
    let file = |source| IdentityError::File { path: shown(path), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(file)
}

/// The bytes kept at `path`, or those that `make` makes, kept from now on.
fn kept(path: &Path, make: impl FnOnce() -> Result<Vec<u8>, IdentityError>) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = |source| IdentityError::File { path: shown(path), source };
    match std::fs::read(path) {
        Ok(bytes) => return Ok(Zeroizing::new(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(file(error)),
    }
    let bytes = Zeroizing::new(make()?);
    let fresh = path.with_extension("new");
    let mut out = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(file)?;
    out.write_all(&bytes).and_then(|()| out.sync_all()).map_err(file)?;
    std::fs::rename(&fresh, path).map_err(file)?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(file)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_persist_and_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let data = tempfile::tempdir().unwrap();
        let name: ServerName = "s1".parse().unwrap();
        let first = Identity::load_or_create(data.path(), &name).unwrap();
        let again = Identity::load_or_create(data.path(), &name).unwrap();
        assert_eq!(first.key(), again.key());
        assert_eq!(first.spki(), again.spki());
        assert_eq!(first.certificate().0, again.certificate().0);
        assert_eq!(first.opaque().serialize(), again.opaque().serialize());
        for file in std::fs::read_dir(data.path().join("identity")).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0);
        }
    }

    #[test]
    fn a_folder_is_one_server_s_for_ever() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Identity::name_in(data.path()), None);
        let name = |name: &str| name.parse::<ServerName>().unwrap();
        Identity::load_or_create(data.path(), &name("s1")).unwrap();
        assert_eq!(Identity::name_in(data.path()), Some(name("s1")));
        let error = Identity::load_or_create(data.path(), &name("s2")).err().unwrap();
        assert!(matches!(&error, IdentityError::OtherName { kept, asked, .. } if *kept == name("s1") && *asked == name("s2")), "{error}");
        Identity::load_or_create(data.path(), &name("s1")).unwrap();
    }

    #[test]
    fn a_damaged_key_is_said_and_not_replaced() {
        let data = tempfile::tempdir().unwrap();
        let name: ServerName = "s1".parse().unwrap();
        Identity::load_or_create(data.path(), &name).unwrap();
        let key = data.path().join("identity/server.key");
        std::fs::write(&key, b"short").unwrap();
        assert!(matches!(Identity::load_or_create(data.path(), &name), Err(IdentityError::Damaged(_))));
        assert_eq!(std::fs::read(&key).unwrap(), b"short");
    }
}
