//! `setup.json`: the brief's three keys as they stand, and a few more. JSON with comments.

use crate::config::{Peer, Registration};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tidings_proto::{ServerKey, ServerName, UserName};

/// The port where none is given.
pub const DEFAULT_PORT: u16 = 5555;

/// A `setup.json`, checked.
#[derive(Debug, Clone)]
pub struct Setup {
    /// `server_name`.
    pub name: ServerName,
    /// The names under `admin`; the words beside them are never credentials, and are dropped here.
    pub reserved: Vec<UserName>,
    /// `mailing_address`.
    pub peers: Vec<Peer>,
    /// `listen`.
    pub listen: Option<SocketAddr>,
    /// `advertise`.
    pub advertise: Option<String>,
    /// `registration`.
    pub registration: Option<Registration>,
    /// What the operator should know: keys that are missing, words to delete. One sentence each.
    pub warnings: Vec<String>,
}

/// Why a `setup.json` cannot be used: always the operator's to mend, so it names the file and the place.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not JSON.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        message: String,
    },
    /// A value does not fit.
    #[error("{}: {at}: {message}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The path of the value in the file.
        at: String,
        /// What is wrong.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    server_name: String,
    #[serde(default)]
    admin: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    mailing_address: BTreeMap<String, Address>,
    listen: Option<String>,
    advertise: Option<String>,
    registration: Option<RegistrationWord>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "an address is \"host:port\" or { \"address\": \"host:port\", \"key\": \"…\" }")]
enum Address {
    Bare(String),
    Pinned(PinnedAddress),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinnedAddress {
    address: String,
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RegistrationWord {
    Open,
    Invite,
    Closed,
}

/// Reads and checks a `setup.json`.
pub fn load(path: &Path) -> Result<Setup, SetupError> {
    let text = std::fs::read_to_string(path).map_err(|source| SetupError::Unreadable { path: path.into(), source })?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<Setup, SetupError> {
    let syntax = |message: String| SetupError::Syntax { path: path.into(), message };
    let json: serde_json::Value =
        jsonc_parser::parse_to_serde_value(text, &Default::default()).map_err(|error| syntax(error.to_string()))?;
    let file: File = serde_path_to_error::deserialize(json).map_err(|error| SetupError::Value {
        path: path.into(),
        at: error.path().to_string(),
        message: error.inner().to_string(),
    })?;
    let value = |at: String, message: String| SetupError::Value { path: path.into(), at, message };

    let name: ServerName = file.server_name.parse().map_err(|e| value("server_name".into(), format!("{e}")))?;
    let mut warnings = Vec::new();
    let mut reserved = Vec::new();
    for admin in file.admin.keys() {
        let user: UserName = admin.parse().map_err(|e| value(format!("admin.{admin}"), format!("{e}")))?;
        if user.server() != &name {
            return Err(value(format!("admin.{admin}"), format!("this server is {name}, so the name must end in @{name}")));
        }
        reserved.push(user);
    }
    if !reserved.is_empty() {
        warnings.push(format!(
            "{}: the words under \"admin\" are not used and should be deleted; each name is kept back for its claim code",
            path.display()
        ));
    }
    let mut peers = Vec::new();
    for (peer, address) in file.mailing_address {
        let at = format!("mailing_address.{peer}");
        let peer: ServerName = peer.parse().map_err(|e| value(at.clone(), format!("{e}")))?;
        if peer == name {
            continue;
        }
        let (address, key) = match address {
            Address::Bare(address) => (address, None),
            Address::Pinned(pinned) => (pinned.address, pinned.key),
        };
        let key = key.map(|key| read_key(&key)).transpose().map_err(|e| value(format!("{at}.key"), e))?;
        if key.is_none() {
            warnings.push(format!(
                "{}: {at} has no key, so {peer} is not dialled and not let in. Run `tidings peer show` there and paste the line it prints here",
                path.display()
            ));
        }
        peers.push(Peer { name: peer, address: with_port(&address), key });
    }
    let listen = file
        .listen
        .map(|listen: String| {
            with_port(&listen).parse().map_err(|_| value("listen".into(), "an IP address and a port, like 0.0.0.0:5555".into()))
        })
        .transpose()?;
    let registration = file.registration.map(|word| match word {
        RegistrationWord::Open => Registration::Open,
        RegistrationWord::Invite => Registration::ByCode,
        RegistrationWord::Closed => Registration::Closed,
    });
    Ok(Setup { name, reserved, peers, listen, advertise: file.advertise, registration, warnings })
}

fn read_key(text: &str) -> Result<ServerKey, String> {
    BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| ServerKey::from_slice(&bytes))
        .ok_or_else(|| "a server key is 43 characters of base64url, as `tidings peer show` prints it".into())
}

/// A server key as `tidings peer show` prints it and `mailing_address` takes it.
pub fn write_key(key: &ServerKey) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(key.0)
}

/// Adds the default port to a host that has none. An IPv6 address is written in brackets.
pub fn with_port(address: &str) -> String {
    let has_port = match address.rsplit_once(':') {
        Some((host, port)) => port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')),
        None => false,
    };
    if has_port { address.into() } else { format!("{address}:{DEFAULT_PORT}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Setup, String> {
        parse(text, Path::new("setup.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_brief_s_file_is_understood_as_it_stands() {
        let setup = read(
            r#"{ "server_name": "s3",
  "admin": { "client1@s3": "admin1", "client2@s3": "admin2", "client3@s3": "admin3", "client4@s3": "admin4" },
  "mailing_address": { "s8": "10.13.97.12:5555", "s4": "10.13.101.145:5555", "s1": "10.13.84.131:5555" } }"#,
        )
        .unwrap();
        assert_eq!(setup.name.as_str(), "s3");
        assert_eq!(setup.reserved.len(), 4);
        assert_eq!(
            setup.peers.iter().map(|p| p.address.as_str()).collect::<Vec<_>>(),
            ["10.13.84.131:5555", "10.13.101.145:5555", "10.13.97.12:5555"]
        );
        assert!(setup.peers.iter().all(|peer| peer.key.is_none()));
        assert_eq!(setup.warnings.iter().filter(|w| w.contains("tidings peer show")).count(), 3);
        assert!(!format!("{setup:?}").contains("admin1"), "the words beside the names go no further");
    }

    #[test]
    fn the_extended_form_pins_a_key() {
        let key = write_key(&ServerKey([7; 32]));
        let setup = read(&format!(
            "{{ \"server_name\": \"s1\", // ours\n \"mailing_address\": {{ \"s2\": {{ \"address\": \"127.0.0.1\", \"key\": \"{key}\" }} }}, \"listen\": \"0.0.0.0:7000\", \"registration\": \"open\" }}"
        ))
        .unwrap();
        assert_eq!(setup.peers, [Peer { name: "s2".parse().unwrap(), address: "127.0.0.1:5555".into(), key: Some(ServerKey([7; 32])) }]);
        assert_eq!(setup.listen.unwrap().port(), 7000);
        assert_eq!(setup.registration, Some(Registration::Open));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, said) in [
            ("", "setup.json"),
            ("{", "setup.json"),
            ("[]", "setup.json"),
            ("{}", "server_name"),
            (r#"{"server_name": null}"#, "server_name"),
            (r#"{"server_name": "S1"}"#, "server_name"),
            (r#"{"server_name": "s1", "admin": {"alice@s2": "x"}}"#, "admin.alice@s2"),
            (r#"{"server_name": "s1", "mailing_address": {"s2": 7}}"#, "mailing_address.s2"),
            (r#"{"server_name": "s1", "mailing_address": {"s2": {"address": "h:1", "key": "zz"}}}"#, "mailing_address.s2.key"),
            (r#"{"server_name": "s1", "listen": "nowhere"}"#, "listen"),
            (r#"{"server_name": "s1", "sever_name": "s1"}"#, "sever_name"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
