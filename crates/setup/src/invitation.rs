//! An invitation to a server, in one line that can be pasted: whom to dial, by which key it is known, and what lets one in.
//!
//! `tidings://s1@10.0.0.5:5555/KEY#CODE`. What stands after the `#` is the secret; the rest is public.

use crate::value;
use std::fmt;
use std::str::FromStr;
use tidings_proto::{ServerKey, ServerName};

const SCHEME: &str = "tidings://";

/// Who invites, and with what.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The server's name.
    pub server: ServerName,
    /// Where to dial it, `host:port`, if whoever made the invitation knew.
    pub address: Option<String>,
    /// The server's key.
    pub key: ServerKey,
    /// The secret: an invitation or claim code.
    pub code: String,
}

/// Not an invitation. What was read is not repeated: it may be one all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// It begins with something else.
    #[error("an invitation begins with {SCHEME}")]
    Scheme,
    /// No code.
    #[error("the invitation is not whole: after a # it ends with a code")]
    Code,
    /// No key, or none that can be read.
    #[error("the invitation is not whole: between the last / and the # it has the server's key, 43 characters")]
    Key,
    /// The server's name cannot be one.
    #[error("the invitation names no server: after {SCHEME} comes the server's name")]
    Server,
    /// Nobody can dial that.
    #[error("the invitation's address, after the @, is not a host and a port")]
    Address,
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.server)?;
        if let Some(address) = &self.address {
            write!(f, "@{address}")?;
        }
        write!(f, "/{}#{}", value::show_server_key(&self.key), self.code)
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invitation({})", self.server)
    }
}

impl FromStr for Invitation {
    type Err = InvitationError;

    fn from_str(text: &str) -> Result<Invitation, InvitationError> {
        let rest = text.trim().strip_prefix(SCHEME).ok_or(InvitationError::Scheme)?;
        let (rest, code) = rest.split_once('#').ok_or(InvitationError::Code)?;
        let code = read_code(code).ok_or(InvitationError::Code)?;
        let (authority, key) = rest.split_once('/').ok_or(InvitationError::Key)?;
        let key = value::server_key(key).map_err(|_| InvitationError::Key)?;
        let (server, address) = match authority.split_once('@') {
            Some((server, address)) => (server, Some(value::address(address).map_err(|_| InvitationError::Address)?)),
            None => (authority, None),
        };
        let server = server.parse().map_err(|_| InvitationError::Server)?;
        Ok(Invitation { server, address, key, code })
    }
}

/// Reads a code as a person may have typed it: spaces around it and capitals do not matter. None where it is empty, or has
/// what no code has.
pub fn read_code(text: &str) -> Option<String> {
    let code = text.trim().to_ascii_lowercase();
    let is_code = !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_code.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation(address: Option<&str>) -> Invitation {
        let (server, key) = ("s1".parse().unwrap(), ServerKey([0xfb; 32]));
        Invitation { server, address: address.map(str::to_owned), key, code: "abcd-ef23-4567".into() }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for address in [None, Some("10.0.0.5:5555"), Some("[2001:db8::7]:7000"), Some("chat.example.org:443")] {
            let line = invitation(address).to_string();
            assert_eq!(line.parse::<Invitation>().unwrap(), invitation(address), "{line}");
            assert_eq!(format!(" {line}\r\n").parse::<Invitation>().unwrap(), invitation(address), "pasted with what was around it");
            assert!(!line.contains(char::is_whitespace), "one word: {line}");
        }
        assert_eq!(
            invitation(Some("10.0.0.5:5555")).to_string(),
            "tidings://s1@10.0.0.5:5555/-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s#abcd-ef23-4567"
        );
    }

    #[test]
    fn what_is_no_invitation_is_told_without_repeating_it() {
        let good = invitation(Some("10.0.0.5:5555")).to_string();
        let key = value::show_server_key(&ServerKey([0xfb; 32]));
        for (text, wanted) in [
            (String::new(), InvitationError::Scheme),
            ("abcd-ef23-4567".into(), InvitationError::Scheme),
            (good.replace("tidings:", "https:"), InvitationError::Scheme),
            (good.replace('#', ""), InvitationError::Code),
            (good.replace("abcd-ef23-4567", ""), InvitationError::Code),
            (good.replace("abcd", "ab cd"), InvitationError::Code),
            (good.replace("abcd", "ab#cd"), InvitationError::Code),
            (good.replace(&key, ""), InvitationError::Key),
            (good.replace(&key, &key[1..]), InvitationError::Key),
            (good.replace(&key, &format!("{key}/x")), InvitationError::Key),
            (good.replace("s1@", "@"), InvitationError::Server),
            (good.replace("s1@", "S1@"), InvitationError::Server),
            (good.replace("10.0.0.5:5555", "HOST PORT"), InvitationError::Address),
            (good.replace("10.0.0.5:5555", "10.0.0.5:0"), InvitationError::Address),
            (good.replace("10.0.0.5:5555", "a@b"), InvitationError::Address),
        ] {
            let error = text.parse::<Invitation>().expect_err(&text);
            assert_eq!(error, wanted, "{text}");
            assert!(!error.to_string().contains("abcd"));
        }
        assert!(!format!("{:?}", invitation(None)).contains("abcd"));
    }

    #[test]
    fn a_code_may_be_typed_in_any_case() {
        assert_eq!(read_code(" ABcd-EF23 \n").as_deref(), Some("abcd-ef23"));
        for text in ["", " ", "ab cd", "ab_cd", "äbcd", "abcd\u{202e}"] {
            assert_eq!(read_code(text), None, "{text:?}");
        }
    }
}
