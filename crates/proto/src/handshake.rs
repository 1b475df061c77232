//! The handshake of every link, client's and peer's: two hellos, and both sides sign the transcript of both.
//!
//! Dialler: `Hello` → acceptor: `Hello`, `Proof` → dialler: `Proof` → acceptor: `Ready`.

use crate::{DeviceKey, Hash, Nonce, ServerKey, ServerName, UserName, label};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

/// The versions of the protocol that this build speaks.
pub const VERSIONS: &[u32] = &[1];

/// Who says hello.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Party {
    /// A device, dialling. It need not be in its user's list yet: then it may register or log in, nothing else.
    #[n(0)]
    Device {
        /// Whose device it says it is.
        #[n(0)]
        user: UserName,
        /// The device's key, which signs.
        #[n(1)]
        key: DeviceKey,
    },
    /// A server, dialling.
    #[n(1)]
    Peer {
        /// Its name.
        #[n(0)]
        name: ServerName,
        /// Its key, which signs.
        #[n(1)]
        key: ServerKey,
    },
    /// A server, accepting.
    #[n(2)]
    Server {
        /// Its name.
        #[n(0)]
        name: ServerName,
        /// Its key, which signs.
        #[n(1)]
        key: ServerKey,
        /// SHA-256 of its TLS certificate's SubjectPublicKeyInfo; absent on plain loopback links.
        #[n(2)]
        spki: Option<Hash>,
    },
}

/// The first frame of each side.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    /// Who speaks.
    #[n(0)]
    pub party: Party,
    /// Fresh for each link.
    #[n(1)]
    pub nonce: Nonce,
    /// Dialler: the versions it speaks. Acceptor: the one it chose.
    #[n(2)]
    pub versions: Vec<u32>,
    /// Bytes in the largest frame this side takes once both have authenticated.
    #[n(3)]
    pub frame: u64,
    /// 32 bytes of TLS exporter (RFC 8446 §7.5) under [`label::LINK_EXPORTER`]; absent where there is no TLS, or where
    /// the platform hides it (browsers). Absence is signed like everything else here.
    #[n(4)]
    pub exporter: Option<Hash>,
    /// Dialler: the server it means to reach, where it knows.
    #[n(5)]
    pub to: Option<ServerName>,
}

/// SHA-256 over both hellos, as they travelled.
pub fn transcript(dialler: &[u8], acceptor: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(label::marked(label::LINK));
    for hello in [dialler, acceptor] {
        hasher.update((hello.len() as u64).to_be_bytes());
        hasher.update(hello);
    }
    Hash(hasher.finalize().into())
}

/// What a party signs: a label of its role, so that no proof serves for another role, then the transcript.
pub fn proof_bytes(party: &Party, transcript: &Hash) -> Vec<u8> {
    let label = match party {
        Party::Device { .. } => label::LINK_DEVICE,
        Party::Peer { .. } => label::LINK_PEER,
        Party::Server { .. } => label::LINK_SERVER,
    };
    let mut out = label::marked(label);
    out.extend_from_slice(transcript.as_bytes());
    out
}

/// Whether both sides saw the same TLS session. Where both know its exporter they must agree; one that does not know it
/// has signed so.
pub fn same_tls_session(ours: &Option<Hash>, theirs: &Option<Hash>) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => ours == theirs,
        _ => true,
    }
}
