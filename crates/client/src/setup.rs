//! `client_setup.json`: where the home server is. JSON with comments; the brief's `server_ip` first, two more keys where they help.
//!
//! Not here: accounts and keys. They are in the profile.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use std::path::{Path, PathBuf};
use tidings_proto::{ServerKey, ServerName, UserName};

/// The port of a server whose address names none.
pub const DEFAULT_PORT: u16 = 5555;

/// The keys that may be in the file.
const KEYS: [&str; 3] = ["server_ip", "server_name", "server_key"];

/// Where and who a home server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name, which is its identity.
    pub name: ServerName,
    /// `host:port` or `host`; an IPv6 address with a port is in brackets. Without a port: [`DEFAULT_PORT`].
    pub address: String,
    /// Its key, where known. Otherwise the key that is seen first is pinned.
    pub key: Option<ServerKey>,
    /// Without TLS. Refused unless the address is a loopback one.
    pub plain: bool,
}

impl Endpoint {
    /// `host:port`, with the port filled in.
    pub fn host_and_port(&self) -> String {
        let address = self.address.as_str();
        let bare_v6 = address.parse::<std::net::Ipv6Addr>().is_ok();
        let has_port = !bare_v6 && address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        match (has_port, bare_v6) {
            (true, _) => address.to_owned(),
            (false, true) => format!("[{address}]:{DEFAULT_PORT}"),
            (false, false) => format!("{address}:{DEFAULT_PORT}"),
        }
    }
}

/// What a `client_setup.json` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSetup {
    /// Host, with or without a port.
    pub server_ip: String,
    /// The server's name; left out, it is the one in the user's name.
    pub server_name: Option<ServerName>,
    /// The server's key, as `tidings peer show` prints it; left out, the key that is seen first is pinned.
    pub server_key: Option<ServerKey>,
}

/// Why a `client_setup.json` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// It cannot be read.
    #[error("{file}: {why}", file = file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        why: String,
    },
    /// It is not JSON.
    #[error("{file}:{line}:{column}: {why}", file = file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// A key is missing, unknown, twice there, or has a value that does not fit.
    #[error("{file}:{line}: {key}: {why}", file = file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// The key's path.
        key: String,
        /// What is wrong.
        why: String,
    },
}

impl ClientSetup {
    /// Reads `file`.
    pub fn load(file: &Path) -> Result<ClientSetup, SetupError> {
        let text =
            std::fs::read_to_string(file).map_err(|error| SetupError::Unreadable { file: file.to_owned(), why: error.to_string() })?;
        ClientSetup::parse(file, &text)
    }

    /// Reads `text`; `file` is for the errors.
    pub fn parse(file: &Path, text: &str) -> Result<ClientSetup, SetupError> {
        let reader = Reader { file, text };
        let strict = ParseOptions {
            allow_comments: true,
            allow_trailing_commas: true,
            allow_loose_object_property_names: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            ..ParseOptions::default()
        };
        let ast = parse_to_ast(text, &CollectOptions::default(), &strict).map_err(|error| SetupError::Syntax {
            file: file.to_owned(),
            line: error.line_display(),
            column: error.column_display(),
            why: error.kind().to_string(),
        })?;
        let Some(Value::Object(object)) = ast.value else {
            return Err(reader.error(0, "(whole file)", "an object is expected: { \"server_ip\": \"host:port\" }"));
        };
        reader.check_keys(&object)?;
        let Some((server_ip, at)) = reader.text_at(&object, "server_ip")? else {
            return Err(reader.error(object.range().start, "server_ip", "this key is missing: the home server's host or host:port"));
        };
        if server_ip.trim().is_empty() || server_ip.chars().any(|c| c.is_whitespace() || c == '/') {
            return Err(reader.error(at, "server_ip", "a host or host:port is expected, such as 192.168.1.10 or chat.example.org:5555"));
        }
        let server_name = match reader.text_at(&object, "server_name")? {
            None => None,
            Some((name, at)) => Some(name.parse().map_err(|error| reader.error(at, "server_name", &format!("{error}")))?),
        };
        let server_key = match reader.text_at(&object, "server_key")? {
            None => None,
            Some((key, at)) => Some(parse_server_key(&key).map_err(|why| reader.error(at, "server_key", why))?),
        };
        Ok(ClientSetup { server_ip, server_name, server_key })
    }

    /// The endpoint for `user`'s home server.
    pub fn endpoint(&self, user: &UserName) -> Endpoint {
        Endpoint {
            name: self.server_name.clone().unwrap_or_else(|| user.server().clone()),
            address: self.server_ip.clone(),
            key: self.server_key,
            plain: false,
        }
    }
}

/// Reads a server's key: 43 characters of base64url without padding.
pub fn parse_server_key(text: &str) -> Result<ServerKey, &'static str> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| ServerKey::from_slice(&bytes))
        .ok_or("a server's key is 43 characters of base64url, as `tidings peer show` prints it")
}

/// A server's key as people see it.
pub fn show_server_key(key: &ServerKey) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(key.as_bytes())
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn error(&self, at: usize, key: &str, why: &str) -> SetupError {
        let line = 1 + self.text.get(..at).unwrap_or_default().matches('\n').count();
        SetupError::Key { file: self.file.to_owned(), line, key: key.to_owned(), why: why.to_owned() }
    }

    /// The parser keeps the last of two equal keys and knows no unknown ones; both are somebody's mistake.
    fn check_keys(&self, object: &Object<'_>) -> Result<(), SetupError> {
        for (index, property) in object.properties.iter().enumerate() {
            let name = property.name.as_str();
            let at = property.range.start;
            if !KEYS.contains(&name) {
                let why = match nearest(name) {
                    Some(meant) => format!("this key is not known; did you mean {meant}?"),
                    None => format!("this key is not known; known are {}", KEYS.join(", ")),
                };
                return Err(self.error(at, name, &why));
            }
            if object.properties[..index].iter().any(|before| before.name.as_str() == name) {
                return Err(self.error(at, name, "this key is there twice"));
            }
        }
        Ok(())
    }

    fn text_at(&self, object: &Object<'_>, key: &str) -> Result<Option<(String, usize)>, SetupError> {
        match object.properties.iter().find(|property| property.name.as_str() == key).map(|property| &property.value) {
            None => Ok(None),
            Some(Value::StringLit(text)) => Ok(Some((text.value.to_string(), text.range.start))),
            Some(other) => Err(self.error(other.range().start, key, "a text in double quotes is expected")),
        }
    }
}

/// The known key that differs from `name` in at most three letters.
fn nearest(name: &str) -> Option<&'static str> {
    KEYS.into_iter().map(|key| (distance(name, key), key)).min().filter(|(distance, _)| *distance <= 3).map(|(_, key)| key)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ClientSetup, String> {
        ClientSetup::parse(Path::new("client_setup.json"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_file_of_the_brief_is_understood_as_it_stands() {
        let setup = parse(r#"{ "server_ip": "10.13.84.131" }"#).unwrap();
        let endpoint = setup.endpoint(&"alice@s1".parse().unwrap());
        assert_eq!(endpoint.name.as_str(), "s1");
        assert_eq!(endpoint.host_and_port(), "10.13.84.131:5555");
        assert_eq!(endpoint.key, None);
        assert!(!endpoint.plain);
    }

    #[test]
    fn ports_and_addresses_of_every_kind() {
        let at = |address: &str| Endpoint { name: "s1".parse().unwrap(), address: address.into(), key: None, plain: false }.host_and_port();
        assert_eq!(at("chat.example.org:443"), "chat.example.org:443");
        assert_eq!(at("chat.example.org"), "chat.example.org:5555");
        assert_eq!(at("::1"), "[::1]:5555");
        assert_eq!(at("[::1]:7000"), "[::1]:7000");
    }

    #[test]
    fn comments_name_and_key() {
        let key = ServerKey([7; 32]);
        let text = format!(
            "{{ // home\n \"server_ip\": \"localhost:7000\", \"server_name\": \"s1\",\n \"server_key\": \"{}\", }}",
            show_server_key(&key)
        );
        let setup = parse(&text).unwrap();
        assert_eq!((setup.server_name, setup.server_key), (Some("s1".parse().unwrap()), Some(key)));
    }

    #[test]
    fn mistakes_are_named_with_file_line_and_key() {
        for (text, expected) in [
            ("", "client_setup.json:1: (whole file): an object is expected"),
            ("[]", "client_setup.json:1: (whole file): an object is expected"),
            ("{}", "client_setup.json:1: server_ip: this key is missing"),
            ("{\n \"server_ip\": null }", "client_setup.json:2: server_ip: a text in double quotes is expected"),
            ("{ \"server_ip\": 5 }", "client_setup.json:1: server_ip: a text in double quotes is expected"),
            ("{ \"server_ip\": \"\" }", "client_setup.json:1: server_ip: a host or host:port is expected"),
            ("{ \"server_ip\": \"https://x\" }", "client_setup.json:1: server_ip: a host or host:port is expected"),
            ("{ \"server_up\": \"x\" }", "client_setup.json:1: server_up: this key is not known; did you mean server_ip?"),
            (
                "{ \"password\": \"x\" }",
                "client_setup.json:1: password: this key is not known; known are server_ip, server_name, server_key",
            ),
            ("{ \"server_ip\": \"x\",\n\"server_ip\": \"y\" }", "client_setup.json:2: server_ip: this key is there twice"),
            ("{ \"server_ip\": \"x\", \"server_name\": \"S1\" }", "client_setup.json:1: server_name: a server name is"),
            ("{ \"server_ip\": \"x\", \"server_key\": \"abc\" }", "client_setup.json:1: server_key: a server's key is 43 characters"),
            ("{ \"server_ip\": \"x\"\n", "client_setup.json:1:1: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?} gave {error:?}, expected {expected:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = ClientSetup::load(Path::new("/nowhere/client_setup.json")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/client_setup.json: "), "{error}");
    }
}
