//! Everything that can go wrong for a front end, by whose fault it is, and the exit code that a command ends with.
//!
//! Sentences say what a person can do. Secrets and message texts are never part of an error.

use crate::view::refusal_exit_code;
use std::path::PathBuf;
use tidings_proto::{Refusal, ServerName, UserName};

/// Why something could not be done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The user's: no account in this profile.
    #[error("there is no account in {0} yet: register or log in first")]
    NoAccount(PathBuf),
    /// Nobody's: the answer to a registration or login never came.
    #[error("the registration or login of {0} in this profile was cut off: run it again to finish it")]
    Unfinished(UserName),
    /// The user's: the profile has an account already.
    #[error("{path} already belongs to {user}: choose another profile folder")]
    ProfileTaken {
        /// The profile's folder.
        path: PathBuf,
        /// Whose it is.
        user: UserName,
    },
    /// Nobody's: another process uses the profile.
    #[error("another process is using {0}: close it, or try again when it is done")]
    ProfileBusy(PathBuf),
    /// The machine's: the profile cannot be read or written.
    #[error("the profile {path} cannot be used: {why}")]
    Profile {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The machine's: the local store failed.
    #[error("the local store failed: {0}")]
    Store(String),
    /// The machine's: the key that this profile's secrets are sealed with is not the one that is here.
    #[error("the key that seals this profile is gone, so that it cannot be opened: delete what is stored here, and log in again")]
    SealedAway,
    /// A newer program wrote this profile.
    #[error("this profile was written by a newer version of the program (schema {found}, this one knows {known})")]
    NewerSchema {
        /// The profile's schema version.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// The user's: what was asked makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The user's: what was named is not here.
    #[error("{0}")]
    NotFound(String),
    /// The user's: no password, no login.
    #[error("the password is empty")]
    EmptyPassword,
    /// The user's: not a recovery code.
    #[error("this is not a recovery code: it has 24 words")]
    BadRecoveryCode,
    /// The user's, or a server that does not know the account: the two look alike.
    #[error("the name or the password is wrong")]
    LoginFailed,
    /// The account's: this device was taken off its list.
    #[error("this device is not one of {0}'s devices (any more): log in again with a new profile")]
    NotListed(UserName),
    /// Nobody's: no such person.
    #[error("nobody is known here as {0}")]
    UnknownUser(UserName),
    /// The server said no.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The network's: the home server cannot be reached.
    #[error("{address} cannot be reached: {why}")]
    Unreachable {
        /// Where it was tried.
        address: String,
        /// What happened.
        why: String,
    },
    /// Nobody's: it took longer than the caller wanted to wait.
    #[error("no answer in time")]
    TimedOut,
    /// The server's: it broke the protocol.
    #[error("the server broke the protocol: {0}")]
    ServerMisbehaved(String),
    /// Trust: the server answers with another key than the pinned one.
    #[error(
        "the server {server} shows another key than before. Either it was set up anew or somebody stands between. Pinned: {pinned}; shown: {found}"
    )]
    ServerKeyChanged {
        /// The server.
        server: ServerName,
        /// The pinned key, base64url.
        pinned: String,
        /// The key that was shown, base64url.
        found: String,
    },
    /// Trust: another server answers, or its certificate is not the one it signed.
    #[error("this is not the server that was meant: {0}")]
    WrongServer(String),
    /// Trust: somebody's identity is not the pinned one, or their key history went back.
    #[error("the key of {user} has changed: {why}. Nothing is sent to them until you have compared fingerprints")]
    KeyChanged {
        /// Whose.
        user: UserName,
        /// What was seen.
        why: String,
    },
    /// Theirs: there is nobody any more to write to.
    #[error("the account {0} is closed")]
    AccountClosed(UserName),
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// Ours.
    #[error("a mistake in this program: {0}")]
    OurBug(String),
}

impl ClientError {
    /// The exit code of a command that ends with this error: 2 usage, 3 config, 4 auth, 5 not found, 6 refused, 7 unreachable,
    /// 8 trust, 75 try again; 1 is a mistake of ours.
    pub fn exit_code(&self) -> u8 {
        match self {
            ClientError::Usage(_) => 2,
            ClientError::NoAccount(_)
            | ClientError::Unfinished(_)
            | ClientError::ProfileTaken { .. }
            | ClientError::Profile { .. }
            | ClientError::SealedAway
            | ClientError::NewerSchema { .. } => 3,
            ClientError::EmptyPassword | ClientError::BadRecoveryCode | ClientError::LoginFailed | ClientError::NotListed(_) => 4,
            ClientError::UnknownUser(_) | ClientError::NotFound(_) | ClientError::AccountClosed(_) => 5,
            ClientError::Refused(refusal) => refusal_exit_code(refusal.code),
            ClientError::Unreachable { .. } | ClientError::ServerMisbehaved(_) => 7,
            ClientError::ServerKeyChanged { .. } | ClientError::WrongServer(_) | ClientError::KeyChanged { .. } => 8,
            ClientError::ProfileBusy(_) | ClientError::Store(_) | ClientError::TimedOut => 75,
            ClientError::Closed | ClientError::OurBug(_) => 1,
        }
    }

    /// Whether the same may succeed later without anybody doing anything: the link goes on trying.
    pub fn is_passing(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } | ClientError::ServerMisbehaved(_) | ClientError::TimedOut => true,
            ClientError::Refused(refusal) => matches!(refusal_exit_code(refusal.code), 7 | 75),
            _ => false,
        }
    }
}
