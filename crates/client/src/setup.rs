//! `client_setup.json`, variables and flags as where the home server is: the brief's `server_ip` first, two more keys where they help.
//!
//! Not here: accounts and keys. They are in the profile.

use tidings_proto::{ServerKey, ServerName, UserName};
use tidings_setup::{Key, Preset, Problems, Settings, Shape, Table, value};

pub use tidings_setup::value::{server_key as parse_server_key, show_server_key};

/// The keys of `client_setup.json`: the one source of what is read, shown and documented.
pub static TABLE: Table = Table {
    file: "client_setup.json",
    about: "Where your home server is. The commands for people read it in the folder in which they are run, or where `--setup FILE` says; \
            it may be left out. Your account and your keys are not here but in the profile, which remembers the server as well.",
    prefix: "TIDINGS_CLIENT_",
    keys: &[SERVER_IP, SERVER_NAME, SERVER_KEY],
    elsewhere: &[("mailing_address", "setup.json"), ("admin", "setup.json"), ("listen", "setup.json"), ("registration", "setup.json")],
};

const SERVER_IP: Key = Key {
    name: "server_ip",
    doc: "Where to reach the server: `host:port`, or `host` with port 5555. A name does as well as an IP address; an IPv6 address that \
          has a port is in brackets.",
    shape: Shape::Text { like: "192.168.1.10:5555", pattern: "^[^\\s/]+$" },
    preset: Preset::Needed,
    flag: Some("--server"),
};

const SERVER_NAME: Key = Key {
    name: "server_name",
    doc: "The server's name. It is in your own name already (`alice@s1`); here it keeps you from using the file of another server.",
    shape: Shape::Text { like: "s1", pattern: "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$" },
    preset: Preset::Said("the one in your name"),
    flag: None,
};

const SERVER_KEY: Key = Key {
    name: "server_key",
    doc: "The server's key, as `tidings server` and `tidings peer show` print it. With it, even the first contact is safe from impostors.",
    shape: Shape::Text { like: "BIpZ…", pattern: "^[A-Za-z0-9_-]{43}$" },
    preset: Preset::Said("the key that is seen first is kept"),
    flag: Some("--server-key"),
};

/// Where and who a home server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name, which is its identity.
    pub name: ServerName,
    /// `host:port` or `host`; an IPv6 address with a port is in brackets. Without a port: 5555.
    pub address: String,
    /// Its key, where known. Otherwise the key that is seen first is pinned.
    pub key: Option<ServerKey>,
    /// Without TLS. Refused unless the address is a loopback one.
    pub plain: bool,
}

impl Endpoint {
    /// `host:port`, with the port filled in.
    pub fn host_and_port(&self) -> String {
        // What is no address is dialled as it is, and the system says why it cannot be.
        value::address(&self.address).unwrap_or_else(|_| self.address.clone())
    }
}

/// Where the home server is, as far as it has been said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSetup {
    /// Host, with or without a port; left out, the server's name.
    pub server_ip: Option<String>,
    /// The server's name; left out, it is the one in the user's name.
    pub server_name: Option<ServerName>,
    /// The server's key, as `tidings peer show` prints it; left out, the key that is seen first is pinned.
    pub server_key: Option<ServerKey>,
}

impl ClientSetup {
    /// Reads what all layers of `settings` come to. Whatever is wrong is found, not only the first of it.
    pub fn read(settings: &mut Settings) -> Result<ClientSetup, Problems> {
        let server_ip = settings.read("server_ip", |text| value::address(text).map(|_| text.to_owned()));
        let server_name = settings.read("server_name", str::parse);
        let server_key = settings.read("server_key", parse_server_key);
        settings.problems().map_or(Ok(ClientSetup { server_ip, server_name, server_key }), Err)
    }

    /// The endpoint for `user`'s home server.
    pub fn endpoint(&self, user: &UserName) -> Endpoint {
        let name = self.server_name.clone().unwrap_or_else(|| user.server().clone());
        let address = self.server_ip.clone().unwrap_or_else(|| name.to_string());
        Endpoint { name, address, key: self.server_key, plain: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn parse(text: &str) -> Result<ClientSetup, String> {
        let mut settings = Settings::new(&TABLE);
        settings.file(Path::new("client_setup.json"), text.as_bytes());
        ClientSetup::read(&mut settings).map_err(|problems| problems.to_string())
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
}
