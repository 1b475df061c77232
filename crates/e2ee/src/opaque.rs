//! The client's half of OPAQUE (RFC 9807): the server never sees a password, and gets nothing that can log in.

use argon2::{Algorithm, Argon2, Params, Version};
use opaque_ke::{
    ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters, CredentialResponse, Identifiers,
    RegistrationResponse,
};
use rand_core::OsRng;
use std::fmt;
use tidings_proto::{ServerName, UserName};
use tidings_trust::login::OpaqueSuite;
use zeroize::Zeroizing;

/// Memory (KiB), passes and lanes of Argon2id (RFC 9106).
const ARGON2: (u32, u32, u32) = (64 * 1024, 3, 4);

/// The key that only who knows the secret gets, 64 bytes; the server never has it.
pub struct ExportKey(pub(crate) Zeroizing<Vec<u8>>);

/// Why a registration or login did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpaqueError {
    /// An empty secret protects nothing.
    #[error("a password must not be empty")]
    EmptySecret,
    /// The name or the secret is wrong; which, is not said.
    #[error("the name or the password is wrong")]
    WrongSecret,
    /// The server's answer is not OPAQUE.
    #[error("the server's answer cannot be read")]
    PeerMisbehaved,
}

/// A registration under way.
pub struct Registration(ClientRegistration<OpaqueSuite>);

/// A login under way.
pub struct Login(ClientLogin<OpaqueSuite>);

impl Registration {
    /// Starts; the bytes are a RegistrationRequest.
    pub fn start(secret: &[u8]) -> Result<(Registration, Vec<u8>), OpaqueError> {
        let started = ClientRegistration::start(&mut OsRng, not_empty(secret)?).map_err(|_| OpaqueError::EmptySecret)?;
        Ok((Registration(started.state), started.message.serialize().to_vec()))
    }

    /// Finishes; the bytes are a RegistrationRecord. Takes 64 MiB and about a tenth of a second.
    pub fn finish(self, secret: &[u8], response: &[u8], user: &UserName, server: &ServerName) -> Result<(Vec<u8>, ExportKey), OpaqueError> {
        let response = RegistrationResponse::deserialize(response).map_err(|_| OpaqueError::PeerMisbehaved)?;
        let (user, ksf) = (user.to_string(), argon2());
        let parameters = ClientRegistrationFinishParameters::new(identifiers(&user, server), Some(&ksf));
        let done = self.0.finish(&mut OsRng, not_empty(secret)?, response, parameters).map_err(|_| OpaqueError::PeerMisbehaved)?;
        Ok((done.message.serialize().to_vec(), ExportKey(Zeroizing::new(done.export_key.to_vec()))))
    }
}

impl Login {
    /// Starts; the bytes are KE1.
    pub fn start(secret: &[u8]) -> Result<(Login, Vec<u8>), OpaqueError> {
        let started = ClientLogin::start(&mut OsRng, not_empty(secret)?).map_err(|_| OpaqueError::EmptySecret)?;
        Ok((Login(started.state), started.message.serialize().to_vec()))
    }

    /// Finishes; the bytes are KE3. `context` is [`tidings_trust::login::opaque_context`] of the link. Takes 64 MiB and about
    /// a tenth of a second.
    pub fn finish(
        self,
        secret: &[u8],
        ke2: &[u8],
        user: &UserName,
        server: &ServerName,
        context: &[u8],
    ) -> Result<(Vec<u8>, ExportKey), OpaqueError> {
        let ke2 = CredentialResponse::deserialize(ke2).map_err(|_| OpaqueError::PeerMisbehaved)?;
        let (user, ksf) = (user.to_string(), argon2());
        let parameters = ClientLoginFinishParameters::new(Some(context), identifiers(&user, server), Some(&ksf));
        let done = self.0.finish(&mut OsRng, not_empty(secret)?, ke2, parameters).map_err(|_| OpaqueError::WrongSecret)?;
        Ok((done.message.serialize().to_vec(), ExportKey(Zeroizing::new(done.export_key.to_vec()))))
    }
}

fn argon2() -> Argon2<'static> {
    let (memory, passes, lanes) = ARGON2;
    let params = Params::new(memory, passes, lanes, None).expect("these are valid parameters");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn identifiers<'a>(user: &'a str, server: &'a ServerName) -> Identifiers<'a> {
    Identifiers { client: Some(user.as_bytes()), server: Some(server.as_str().as_bytes()) }
}

fn not_empty(secret: &[u8]) -> Result<&[u8], OpaqueError> {
    if secret.is_empty() { Err(OpaqueError::EmptySecret) } else { Ok(secret) }
}

impl fmt::Debug for ExportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opaque_ke::{ServerLogin, ServerLoginParameters, ServerRegistration, ServerSetup};

    fn log_in(
        server: &ServerSetup<OpaqueSuite>,
        record: Option<ServerRegistration<OpaqueSuite>>,
        secret: &[u8],
        context: &[u8],
    ) -> Result<ExportKey, OpaqueError> {
        let (user, name): (UserName, ServerName) = ("alice@s1".parse().unwrap(), "s1".parse().unwrap());
        let (login, ke1) = Login::start(secret)?;
        let parameters = || ServerLoginParameters { context: Some(b"link"), identifiers: identifiers("alice@s1", &name) };
        let ke1 = opaque_ke::CredentialRequest::deserialize(&ke1).unwrap();
        let started = ServerLogin::start(&mut OsRng, server, record, ke1, b"id", parameters()).unwrap();
        let (ke3, export) = login.finish(secret, &started.message.serialize(), &user, &name, context)?;
        let ke3 = opaque_ke::CredentialFinalization::deserialize(&ke3).unwrap();
        started.state.finish(ke3, parameters()).map_err(|_| OpaqueError::WrongSecret)?;
        Ok(export)
    }

    #[test]
    fn the_right_secret_and_no_other_gives_the_export_key() {
        let server = ServerSetup::<OpaqueSuite>::new(&mut OsRng);
        let (user, name): (UserName, ServerName) = ("alice@s1".parse().unwrap(), "s1".parse().unwrap());
        let (registration, request) = Registration::start(b"correct horse").unwrap();
        let request = opaque_ke::RegistrationRequest::deserialize(&request).unwrap();
        let response = ServerRegistration::<OpaqueSuite>::start(&server, request, b"id").unwrap().message.serialize();
        let (record, export) = registration.finish(b"correct horse", &response, &user, &name).unwrap();
        let record = ServerRegistration::finish(opaque_ke::RegistrationUpload::deserialize(&record).unwrap());

        assert_eq!(log_in(&server, Some(record.clone()), b"correct horse", b"link").unwrap().0, export.0);
        assert_eq!(log_in(&server, Some(record.clone()), b"wrong horse", b"link").unwrap_err(), OpaqueError::WrongSecret);
        assert_eq!(log_in(&server, Some(record.clone()), b"correct horse", b"another link").unwrap_err(), OpaqueError::WrongSecret);
        assert_eq!(log_in(&server, Some(record), b"", b"link").unwrap_err(), OpaqueError::EmptySecret);
        assert_eq!(log_in(&server, None, b"correct horse", b"link").unwrap_err(), OpaqueError::WrongSecret);
    }
}
