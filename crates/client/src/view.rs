//! What front ends draw: plain values, ready to be shown or printed as JSON.
//!
//! Not here: keys, drafts, frames, handles. A text in here is what somebody else wrote: inert, to be escaped by whoever shows it.

use serde::{Serialize, Serializer};
use std::fmt;
use tidings_proto::{Code, ServerName, UserName};

/// A conversation that can be written to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "user")]
pub enum Target {
    /// The public chat of every connected server.
    Public,
    /// The direct conversation with one person; with oneself: notes.
    Direct(#[serde(serialize_with = "as_text")] UserName),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Public => f.write_str("public"),
            Target::Direct(user) => user.fmt(f),
        }
    }
}

/// A message in this profile's timeline. Local to the profile, and stable in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct MessageId(pub i64);

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "status")]
pub enum Status {
    /// Written here and durable here; no server has answered yet.
    Pending,
    /// Durable on the home server, whose way to the hub is cut.
    Waiting,
    /// Durable in its log.
    Sent {
        /// Its place in the log.
        seq: u64,
    },
    /// Refused for good. The text is kept.
    Failed {
        /// A sentence for a person.
        reason: String,
        /// The name of the refusal's [`Code`], where a server refused.
        code: Option<String>,
    },
    /// Somebody else's (or another of one's own devices'), opened and verified.
    Received,
    /// Something is there that could not be opened or verified, or is missing.
    Unreadable {
        /// A sentence for a person.
        reason: String,
    },
}

impl Status {
    /// Whether nothing more is expected to happen to it.
    pub fn is_final(&self) -> bool {
        !matches!(self, Status::Pending | Status::Waiting)
    }

    /// The exit code of a command that ends with this status (design 5): 0 done, 75 not yet, otherwise by the reason.
    pub fn exit_code(&self) -> u8 {
        match self {
            Status::Sent { .. } | Status::Received => 0,
            Status::Pending | Status::Waiting => 75,
            Status::Unreadable { .. } => 6,
            Status::Failed { code, .. } => match code.as_deref() {
                Some(code) if code == KEY_CHANGED => 8,
                Some(code) => Code::ALL.iter().find(|known| known.name() == code).map_or(6, |code| crate::error::refusal_exit_code(*code)),
                None => 6,
            },
        }
    }
}

/// [`Status::Failed`]'s code when it was this client that refused, because the other side's key has changed.
pub const KEY_CHANGED: &str = "KeyChanged";

/// One message, or the sign that one is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Its name in this profile.
    pub id: MessageId,
    /// Who wrote it: the result of a verification. Absent where nothing could be verified.
    #[serde(serialize_with = "as_text_option")]
    pub author: Option<UserName>,
    /// What was written; empty where it cannot be read.
    pub text: String,
    /// Milliseconds since 1970: the hub's clock, or this device's until the hub has answered. For show only.
    pub at: u64,
    /// How far it has come.
    #[serde(flatten)]
    pub status: Status,
    /// Its place in its log, once it has one.
    pub place: Option<u64>,
    /// The log it is in: `public@s1` or `room:…`.
    pub log: String,
}

/// Whether somebody can be reached now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Online {
    /// No device is connected, or the home server is not reached.
    Offline,
    /// Connected, but idle.
    Away,
    /// Connected.
    Online,
}

/// What is known about somebody's identity key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// No keys have been verified yet.
    New,
    /// Pinned at first sight, unchanged since.
    Pinned,
    /// Compared with the person.
    Verified,
    /// Another identity than the pinned one was shown, or its history went back. Nothing is sent until this is settled.
    Changed,
}

/// One person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Who.
    #[serde(serialize_with = "as_text")]
    pub user: UserName,
    /// Reachable now?
    pub online: Online,
    /// Fingerprint of the pinned identity key, in groups for comparing.
    pub fingerprint: Option<String>,
    /// Both public RSA keys as a JWK Set (RFC 7517), JSON text.
    pub jwk: Option<String>,
    /// How many devices the person's newest list names.
    pub devices: usize,
    /// What is known about the key.
    pub trust: Trust,
    /// With [`Trust::Changed`]: what happened, as a sentence.
    pub alarm: Option<String>,
}

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Room {
    /// Which.
    pub target: Target,
    /// Messages in it, unreadable ones included.
    pub messages: u64,
    /// Logs of it that were stopped because their server told two stories: log and reason.
    pub stopped: Vec<(String, String)>,
}

/// The state of the link to the home server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "link")]
pub enum Link {
    /// Not asked to connect.
    Idle,
    /// Dialling, or waiting before the next try.
    Connecting {
        /// Why the last try failed.
        last_error: Option<String>,
    },
    /// Linked; what happened meanwhile is still arriving.
    CatchingUp,
    /// Linked and caught up.
    Linked {
        /// The servers of this network, the home server first.
        #[serde(serialize_with = "as_texts")]
        network: Vec<ServerName>,
    },
}

fn as_text<S: Serializer>(name: &UserName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}

fn as_text_option<S: Serializer>(name: &Option<UserName>, serializer: S) -> Result<S::Ok, S::Error> {
    match name {
        Some(name) => serializer.collect_str(name),
        None => serializer.serialize_none(),
    }
}

fn as_texts<S: Serializer>(names: &[ServerName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(ServerName::as_str))
}
