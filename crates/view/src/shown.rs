//! What front ends draw: plain values, ready to be shown or printed as JSON.
//!
//! Not here: keys, drafts, frames, handles. A text in here is what somebody else wrote: inert, to be escaped by whoever shows it.

use crate::text;
use serde::{Deserialize, Serialize};
use std::fmt;
use tidings_proto::{Code, RoomId, ServerName, UserName};

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Target {
    /// The public chat of every connected server.
    Public,
    /// The direct conversation with one person; with oneself: notes.
    Direct {
        /// The other person.
        #[serde(with = "text")]
        user: UserName,
    },
    /// A group.
    Group {
        /// Its name, the hash of its genesis.
        #[serde(with = "text")]
        id: RoomId,
    },
}

impl From<&UserName> for Target {
    fn from(user: &UserName) -> Target {
        Target::Direct { user: user.clone() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Public => f.write_str("public"),
            Target::Direct { user } => user.fmt(f),
            Target::Group { id } => id.fmt(f),
        }
    }
}

/// A message in this profile's timeline. Local to the profile, and stable in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub i64);

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
                Some(code) => {
                    match Code::ALL.iter().find(|known| known.name() == code).map(|code| refusal_exit_code(*code)) {
                        // Refused for good: to try again is of no use.
                        Some(75) | None => 6,
                        Some(code) => code,
                    }
                }
                None => 6,
            },
        }
    }
}

/// [`Status::Failed`]'s code when it was this client that refused, because the other side's key has changed.
pub const KEY_CHANGED: &str = "KeyChanged";

/// One message, or something that has happened in a conversation, or the sign that something is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its name in this profile.
    pub id: MessageId,
    /// The author, as verified; none where nothing could be verified.
    #[serde(with = "text::option")]
    pub author: Option<UserName>,
    /// What was written; empty where it could not be opened.
    pub text: String,
    /// The file that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
    /// What has happened, where it is no message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
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

/// A file in a message. Its name is what its sender says: a text to show, never a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// What its sender calls it.
    pub name: String,
    /// What its sender says it is.
    pub media_type: String,
    /// Bytes.
    pub size: usize,
    /// How large it is as a picture, where its first bytes are one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
}

/// A picture's size, as the picture itself says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
}

/// What its members do to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "event")]
pub enum Event {
    /// It was made.
    Created,
    /// Somebody was asked in.
    Invited {
        /// Who.
        #[serde(with = "text")]
        user: UserName,
        /// As what.
        role: Role,
    },
    /// The author came in.
    Joined,
    /// The author went, or declined.
    Left,
    /// Somebody was put out, or is not asked in any more.
    Removed {
        /// Who.
        #[serde(with = "text")]
        user: UserName,
    },
    /// Somebody has another role.
    Role {
        /// Who.
        #[serde(with = "text")]
        user: UserName,
        /// Which.
        role: Role,
    },
    /// The author gave it another title.
    Titled {
        /// Which.
        title: String,
    },
    /// The author has erased what was in this place.
    Erased,
}

/// What a member of a group may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Owner,
    /// Invite, remove members, erase.
    Admin,
    /// Read and write.
    Member,
}

/// One's own part in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Part {
    /// Reads and writes.
    In,
    /// Asked in; can join or decline.
    Invited {
        /// By whom, as far as it is known.
        #[serde(with = "text::option")]
        by: Option<UserName>,
    },
    /// Has left, or was put out; what was read stays.
    Gone,
    /// Being made, or what it is has not arrived yet.
    Arriving,
}

/// One of a group's people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    #[serde(with = "text")]
    pub user: UserName,
    /// What this person may do.
    pub role: Role,
    /// In; otherwise only asked in.
    pub joined: bool,
    /// Whether this person is online.
    pub online: Online,
    /// What is known about the key.
    pub trust: Trust,
}

/// One of this account's devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its key in base64url: what `devices revoke` takes, also shortened.
    pub key: String,
    /// What its owner calls it, if anything.
    pub name: Option<String>,
    /// Whether it is this one.
    pub this: bool,
}

/// What two people compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// With whom.
    #[serde(with = "text")]
    pub user: UserName,
    /// Sixty digits in twelve groups; the same on both sides.
    pub number: String,
    /// Fingerprint of the other's identity key.
    pub fingerprint: String,
    /// Whether it was compared before, and still holds.
    pub verified: bool,
}

impl Comparison {
    /// Whether somebody else's screen, or the QR code on it, shows the same: its digits, in whatever groups.
    pub fn is(&self, other: &str) -> bool {
        let digits = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
        let mine = digits(&self.number);
        !mine.is_empty() && mine == digits(other)
    }
}

/// Something about keys that a person should know, in the order in which it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its number; counts up.
    pub id: i64,
    /// Milliseconds since 1970, this device's clock.
    pub at: u64,
    /// About whom; one's own name where it is about this account.
    #[serde(with = "text")]
    pub user: UserName,
    /// A sentence.
    pub text: String,
}

/// Whether somebody can be reached now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Who.
    #[serde(with = "text")]
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
    /// With [`Trust::Changed`]: what happened, as it stands behind a colon.
    pub alarm: Option<String>,
    /// Unless they were compared: that somebody has seen another history of the keys on this person's server. A whole sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// With [`Trust::Changed`]: whether the new key can be accepted. Not where it is the server that tells another story than before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub can_accept: bool,
    /// With [`Trust::Changed`]: whether it is because the account is closed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Which.
    #[serde(flatten)]
    pub target: Target,
    /// What it is called: a group's title, the other person's name, or `public`. Somebody else's text.
    pub title: String,
    /// One's own part in it.
    #[serde(flatten)]
    pub part: Part,
    /// What one may do there; none where one is not in.
    pub role: Option<Role>,
    /// How many people are in it; none for the public chat.
    pub members: Option<usize>,
    /// How its messages are sealed; none for the public chat.
    pub suite: Option<String>,
    /// Messages in it, unreadable ones included.
    pub messages: u64,
    /// Logs of it that were stopped because their server told two stories: log and reason.
    pub stopped: Vec<(String, String)>,
}

/// The state of the link to the home server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
        #[serde(with = "text::list")]
        network: Vec<ServerName>,
    },
}

impl From<tidings_proto::Role> for Role {
    fn from(role: tidings_proto::Role) -> Role {
        match role {
            tidings_proto::Role::Owner => Role::Owner,
            tidings_proto::Role::Admin => Role::Admin,
            tidings_proto::Role::Member => Role::Member,
        }
    }
}

impl From<Role> for tidings_proto::Role {
    fn from(role: Role) -> tidings_proto::Role {
        match role {
            Role::Owner => tidings_proto::Role::Owner,
            Role::Admin => tidings_proto::Role::Admin,
            Role::Member => tidings_proto::Role::Member,
        }
    }
}

/// The exit code for a refusal.
pub fn refusal_exit_code(code: Code) -> u8 {
    match code {
        Code::LoginFailed | Code::BadCode | Code::BadSignature | Code::Revoked | Code::Closed | Code::PasswordNeeded => 4,
        Code::NotFound => 5,
        Code::Unreachable => 7,
        Code::WrongServer => 8,
        Code::Gap | Code::Stale | Code::NotYet | Code::TooFast | Code::Conflict | Code::Full | Code::Internal | Code::Busy => 75,
        Code::Malformed
        | Code::UnknownFrame
        | Code::TooLarge
        | Code::WrongState
        | Code::Forbidden
        | Code::Rewound
        | Code::NameTaken
        | Code::NameRefused
        | Code::RegistrationClosed
        | Code::UnknownPeer
        | Code::Expired
        | Code::Broken
        | Code::NoCommonVersion
        | Code::Unknown => 6,
    }
}
