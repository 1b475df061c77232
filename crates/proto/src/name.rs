//! The one grammar of names, and its one parser. What does not fit is refused, never repaired.

use crate::{RoomId, limits};
use minicbor::decode::Error as CborError;
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a server name.
    #[error(
        "a server name is lower-case letters, digits and hyphens in parts joined by dots, 1 to 253 characters, like s1 or chat.example.org"
    )]
    Server,
    /// Not a user name.
    #[error(
        "a user name is local@server, where local is 1 to 64 of a-z, 0-9, '.', '_' and '-', and starts with a letter or digit, like alice@s1"
    )]
    User,
    /// Not a log name.
    #[error("a log name is room:ID, public@server, keys@server, inbox:user@server or history:user@server")]
    Log,
    /// Not a room.
    #[error("a room is 52 characters of a-z and 2-7")]
    Room,
}

/// A server: lower-case ASCII DNS labels. The name is the identity; where to dial it is another thing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(Arc<str>);

impl ServerName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let label_fits = |label: &str| {
            let bytes = label.as_bytes();
            matches!(bytes.len(), 1..=63)
                && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
                && bytes[0] != b'-'
                && bytes[bytes.len() - 1] != b'-'
        };
        if text.len() <= limits::SERVER_NAME && text.split('.').all(label_fits) {
            Ok(ServerName(text.into()))
        } else {
            Err(NameError::Server)
        }
    }
}

impl FromStr for RoomId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        RoomId::parse(text).ok_or(NameError::Room)
    }
}

/// A person: `local@server`. Never issued twice, not even after its account is gone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName {
    local: Arc<str>,
    server: ServerName,
}

impl UserName {
    /// Joins a local part to a server.
    pub fn new(local: &str, server: ServerName) -> Result<Self, NameError> {
        let bytes = local.as_bytes();
        let fits = matches!(bytes.len(), 1..=limits::LOCAL_NAME)
            && (bytes[0].is_ascii_lowercase() || bytes[0].is_ascii_digit())
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'));
        if fits { Ok(UserName { local: local.into(), server }) } else { Err(NameError::User) }
    }

    /// The part before the `@`.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The user's home server.
    pub fn server(&self) -> &ServerName {
        &self.server
    }
}

impl FromStr for UserName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        // A second '@' ends up in the server part, whose grammar has none.
        let (local, server) = text.split_once('@').ok_or(NameError::User)?;
        UserName::new(local, server.parse().map_err(|_| NameError::User)?)
    }
}

/// A log. Its hub is in its name, but for a room: a room can move, so its hub is routing and is said beside the name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LogName {
    /// A direct chat or a group; written by its members.
    Room(RoomId),
    /// A server's public chat; written by that server's users.
    Public(ServerName),
    /// Pointers to what waits for a user.
    Inbox(UserName),
    /// A server's public key history.
    Keys(ServerName),
    /// What a user's devices keep for each other of what they have opened.
    History(UserName),
}

impl LogName {
    /// The server that orders this log, where the name says so (a room's does not).
    pub fn hub(&self) -> Option<&ServerName> {
        match self {
            LogName::Room(_) => None,
            LogName::Public(server) | LogName::Keys(server) => Some(server),
            LogName::Inbox(user) | LogName::History(user) => Some(user.server()),
        }
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogName::Room(id) => write!(f, "room:{id}"),
            LogName::Public(server) => write!(f, "public@{server}"),
            LogName::Inbox(user) => write!(f, "inbox:{user}"),
            LogName::Keys(server) => write!(f, "keys@{server}"),
            LogName::History(user) => write!(f, "history:{user}"),
        }
    }
}

impl FromStr for LogName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let log = if let Some(id) = text.strip_prefix("room:") {
            RoomId::parse(id).map(LogName::Room)
        } else if let Some(server) = text.strip_prefix("public@") {
            server.parse().ok().map(LogName::Public)
        } else if let Some(server) = text.strip_prefix("keys@") {
            server.parse().ok().map(LogName::Keys)
        } else if let Some(user) = text.strip_prefix("inbox:") {
            user.parse().ok().map(LogName::Inbox)
        } else if let Some(user) = text.strip_prefix("history:") {
            user.parse().ok().map(LogName::History)
        } else {
            None
        };
        log.ok_or(NameError::Log)
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.server)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.server)
    }
}

/// On the wire each of these names is its text.
macro_rules! travels_as_text {
    ($name:ident, $what:literal) => {
        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(&self.to_string())?.ok()
            }
        }
        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, CborError> {
                d.str()?.parse().map_err(|_| CborError::message($what))
            }
        }
    };
}
travels_as_text!(ServerName, "not a server name");
travels_as_text!(UserName, "not a user name");
travels_as_text!(LogName, "not a log name");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_taken() {
        for name in ["s1", "chat.example.org", "a", "xn--p1ai", &"a".repeat(63)] {
            assert_eq!(name.parse::<ServerName>().unwrap().as_str(), name);
        }
        for name in ["alice@s1", "a.b_c-d@chat.example.org", "0@s1", &format!("{}@s1", "a".repeat(64))] {
            assert_eq!(name.parse::<UserName>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn names_that_are_refused() {
        let long_label = "a".repeat(64);
        for name in ["", "S1", "s1.", ".s1", "s..1", "-s1", "s1-", "s1:5555", "ѕ1", "s 1", "s1\n", "s@1", &long_label] {
            assert_eq!(name.parse::<ServerName>(), Err(NameError::Server), "{name:?}");
        }
        let long_local = format!("{}@s1", "a".repeat(65));
        for name in [
            "",
            "@",
            "alice",
            "alice@",
            "@s1",
            "a@s1@s2",
            "Alice@s1",
            "alice@S1",
            "аlice@s1",
            ".a@s1",
            "_a@s1",
            "al ice@s1",
            " alice@s1",
            "alice@s1 ",
            &long_local,
        ] {
            assert_eq!(name.parse::<UserName>(), Err(NameError::User), "{name:?}");
        }
    }

    #[test]
    fn a_server_name_has_at_most_253_characters() {
        let name = |n: usize| {
            let mut text = "a.".repeat(n / 2);
            text.push_str(if n % 2 == 1 { "a" } else { "" });
            text
        };
        assert!(format!("{}aa", name(250)).parse::<ServerName>().is_ok()); // 252
        assert!(name(253).parse::<ServerName>().is_ok());
        assert!(format!("{}aa", name(252)).parse::<ServerName>().is_err()); // 254
    }

    #[test]
    fn logs_go_through_text_and_back() {
        let room = RoomId([7; 32]);
        for log in [
            LogName::Room(room),
            LogName::Public("s1".parse().unwrap()),
            LogName::Inbox("alice@s1".parse().unwrap()),
            LogName::Keys("s1".parse().unwrap()),
            LogName::History("alice@s1".parse().unwrap()),
        ] {
            assert_eq!(log.to_string().parse::<LogName>(), Ok(log));
        }
        let upper = format!("room:{}", room.to_string().to_uppercase());
        for text in ["", "room:", "public", "public@", "inbox:alice", "history:", "history:s1", "room:aaaa", &upper] {
            assert_eq!(text.parse::<LogName>(), Err(NameError::Log), "{text:?}");
        }
    }
}
