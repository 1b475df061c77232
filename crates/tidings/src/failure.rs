//! Why a command ends badly, as one sentence and an exit code. The codes are a promise to scripts.
//!
//! 0 done · 2 usage · 3 configuration · 4 authentication · 5 not found · 6 refused · 7 unreachable · 8 trust · 75 try again · 1 our bug.

use serde_json::{Value, json};
use tidings_client::ClientError;
use tidings_server::StartError;
use tidings_setup::{Origin, Problems};

/// A sentence for a person and an exit code for a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong and what to do. May quote remote text: it is made inert where it is shown.
    pub sentence: String,
    /// The exit code.
    pub code: u8,
}

impl Failure {
    /// The arguments make no sense together.
    pub fn usage(sentence: impl Into<String>) -> Failure {
        Failure { sentence: sentence.into(), code: 2 }
    }

    /// A file or folder is not as it must be.
    pub fn config(sentence: impl Into<String>) -> Failure {
        Failure { sentence: sentence.into(), code: 3 }
    }

    /// No usable secret.
    pub fn auth(sentence: impl Into<String>) -> Failure {
        Failure { sentence: sentence.into(), code: 4 }
    }

    /// Not now.
    pub fn later(sentence: impl Into<String>) -> Failure {
        Failure { sentence: sentence.into(), code: 75 }
    }

    /// A mistake of this program, or of the machine under it.
    pub fn ours(sentence: impl Into<String>) -> Failure {
        Failure { sentence: sentence.into(), code: 1 }
    }

    /// The failure as fields of a JSON object.
    pub fn as_json(&self) -> Value {
        json!({ "message": self.sentence, "code": self.code })
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let code = error.exit_code();
        let sentence = match &error {
            ClientError::KeyChanged { user, .. } => format!("{error} (tidings verify {user})"),
            other => other.to_string(),
        };
        Failure { sentence, code }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Failure {
        let by_flags = problems.0.iter().all(|problem| matches!(problem.origin, Origin::Flag(_)));
        if by_flags { Failure::usage(problems.to_string()) } else { Failure::config(problems.to_string()) }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        Failure::config(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    /// Writing the output failed: who read it has gone, or the disk is full.
    fn from(error: std::io::Error) -> Failure {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Failure::ours("nobody reads the output any more");
        }
        Failure::ours(format!("the output cannot be written: {error}"))
    }
}
