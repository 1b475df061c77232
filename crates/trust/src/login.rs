//! OPAQUE (RFC 9807) as both sides must configure it. The two halves of it are elsewhere: `e2ee` has the client's, the
//! server has its own.

use argon2::Argon2;
use opaque_ke::{CipherSuite, Ristretto255, TripleDh};
use sha2::Sha512;
use tidings_proto::frame::Secret;
use tidings_proto::{Hash, UserName, label};

/// ristretto255-SHA512, 3DH, Argon2id.
pub struct OpaqueSuite;

impl CipherSuite for OpaqueSuite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, Sha512>;
    type Ksf = Argon2<'static>;
}

/// The context of a login (RFC 9807 §6.4): a label and the transcript of the link, so a login is good on its link only.
pub fn opaque_context(transcript: &Hash) -> Vec<u8> {
    let mut out = label::marked(label::OPAQUE);
    out.extend_from_slice(transcript.as_bytes());
    out
}

/// The credential identifier (RFC 9807 §5.2) of one of a user's two records.
pub fn credential_id(user: &UserName, secret: Secret) -> Vec<u8> {
    let slot = match secret {
        Secret::Password => "password",
        Secret::Recovery => "recovery",
    };
    format!("{slot}:{user}").into_bytes()
}
