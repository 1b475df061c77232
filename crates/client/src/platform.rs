//! All that differs between a program of its own and a browser: time, tasks, links, profiles, private RSA keys.

use tidings_proto::Hash;

#[cfg(target_family = "wasm")]
mod browser;
#[cfg(not(target_family = "wasm"))]
mod native;

#[cfg(target_family = "wasm")]
pub use browser::*;
#[cfg(not(target_family = "wasm"))]
pub use native::*;

/// What a platform sees of the session below a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// There is none: a link without TLS, to this machine.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "a page does not know what its socket runs over"))]
    Plain,
    /// A TLS session.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "a page does not know what its socket runs over"))]
    Tls {
        /// Its exporter.
        exporter: Hash,
        /// SHA-256 of the SubjectPublicKeyInfo of the server's certificate.
        spki: Hash,
    },
    /// Whatever it is, it is not shown: browsers keep it to themselves, and check the certificate themselves.
    #[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "a program of its own sees it"))]
    Unseen,
}

impl Session {
    /// Its exporter, where it is known.
    pub fn exporter(&self) -> Option<Hash> {
        match self {
            Session::Tls { exporter, .. } => Some(*exporter),
            Session::Plain | Session::Unseen => None,
        }
    }

    /// Whether a server that has signed `spki` can be its other end.
    pub fn is_with(&self, spki: Option<Hash>) -> bool {
        match self {
            Session::Plain => spki.is_none(),
            Session::Tls { spki: seen, .. } => spki == Some(*seen),
            Session::Unseen => true,
        }
    }
}
