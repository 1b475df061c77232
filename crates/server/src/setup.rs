//! `setup.json`, variables and flags as what a server runs with: the brief's three keys as they stand, and a few more.

mod keys;

use crate::config::{Limits, Peer, Registration};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tidings_proto::{ServerKey, ServerName, UserName};
use tidings_setup::{KeyPath, Origin, Problems, Settings, value};

pub use keys::TABLE;
pub use tidings_setup::value::show_server_key as write_key;

/// What an operator has set up, checked.
#[derive(Debug, Clone)]
pub struct Setup {
    /// `server_name`.
    pub name: ServerName,
    /// The names under `admin`; the words beside them are never credentials, and are dropped where the file is read.
    pub reserved: Vec<UserName>,
    /// `mailing_address`.
    pub peers: Vec<Peer>,
    /// `listen`.
    pub listen: SocketAddr,
    /// `advertise`.
    pub advertise: Option<String>,
    /// `data`.
    pub data: Option<PathBuf>,
    /// `registration`.
    pub registration: Registration,
    /// `limits`.
    pub limits: Limits,
    /// What the operator should know: keys that are missing, words to delete. One sentence each, with its place.
    pub warnings: Vec<String>,
}

/// Reads and checks a `setup.json` alone, without variables and flags.
pub fn load(path: &Path) -> Result<Setup, Problems> {
    let mut settings = Settings::new(&TABLE);
    settings.load(path);
    read(&mut settings)
}

/// Reads what all layers of `settings` come to. Whatever is wrong is found, not only the first of it; the warnings stay in `settings`
/// even then.
pub fn read(settings: &mut Settings) -> Result<Setup, Problems> {
    settings.assume("listen", "0.0.0.0:5555");
    let name = settings.read("server_name", str::parse::<ServerName>);
    let listen = settings.read("listen", value::listen);
    // Strangers are let in only where the operator says so; on a machine's own loopback there are none.
    let loopback = listen.is_some_and(|listen| listen.ip().is_loopback());
    settings.assume("registration", if loopback { "open" } else { "invite" });
    let advertise = settings.read("advertise", value::address);
    let data = data(settings);
    let registration = settings.read("registration", registration);
    let reserved = reserved(settings, name.as_ref());
    let peers = peers(settings, name.as_ref());
    let limits = Limits::by(|key| settings.number(["limits", key]));
    match (settings.problems(), name, listen, registration) {
        (None, Some(name), Some(listen), Some(registration)) => {
            let warnings = settings.warnings().iter().map(ToString::to_string).collect();
            Ok(Setup { name, reserved, peers, listen, advertise, data, registration, limits, warnings })
        }
        (problems, ..) => Err(problems.unwrap_or_else(|| nameless(settings))),
    }
}

/// Neither a file nor anybody else has said a name.
fn nameless(settings: &mut Settings) -> Problems {
    settings.refuse("server_name", "the server needs a name: say it with --name or TIDINGS_SERVER_NAME, or in a setup.json");
    settings.problems().unwrap_or(Problems(Vec::new()))
}

fn registration(word: &str) -> Result<Registration, &'static str> {
    match word {
        "open" => Ok(Registration::Open),
        "invite" => Ok(Registration::ByCode),
        "closed" => Ok(Registration::Closed),
        _ => Err("this word is not known"),
    }
}

/// In a file, a path begins at the file; on a command line and in the environment, where the command runs.
fn data(settings: &mut Settings) -> Option<PathBuf> {
    let full = |text: &str| if text.is_empty() { Err("a folder is expected") } else { Ok(PathBuf::from(text)) };
    let data = settings.read("data", full)?;
    let Origin::File(place) = settings.origin(&"data".into()) else { return Some(data) };
    let data = place.file.parent().map_or_else(|| data.clone(), |folder| folder.join(&data));
    settings.resolve("data", data.display().to_string());
    Some(data)
}

fn reserved(settings: &mut Settings, own: Option<&ServerName>) -> Vec<UserName> {
    let mut reserved = Vec::new();
    for admin in settings.names("admin") {
        let path = ["admin", &admin];
        match (admin.parse::<UserName>(), own) {
            (Err(error), _) => settings.refuse(path, &error.to_string()),
            (Ok(user), Some(own)) if user.server() != own => {
                settings.refuse(path, &format!("this server is {own}, so the name must end in @{own}"));
            }
            (Ok(user), _) => reserved.push(user),
        }
    }
    reserved
}

fn peers(settings: &mut Settings, own: Option<&ServerName>) -> Vec<Peer> {
    let mut peers = Vec::new();
    let mut keys: BTreeMap<ServerKey, ServerName> = BTreeMap::new();
    for member in settings.names("mailing_address") {
        let path = KeyPath::from(["mailing_address", &member]);
        let name: ServerName = match member.parse() {
            Ok(name) => name,
            Err(error) => {
                settings.refuse(path, &format!("{error}"));
                continue;
            }
        };
        let address = settings.read(path.child("address"), value::address);
        let key = settings.read(path.child("key"), value::server_key);
        if Some(&name) == own {
            continue;
        }
        match key {
            // What is there and cannot be read has been refused already.
            None if address.is_none() || !settings.is_missing(&path.child("key")) => {}
            None => settings.warn(
                path,
                &format!(
                    "no key, so {name} is neither dialled nor let in. Run `tidings peer show` on {name}, and paste the line that it prints here"
                ),
            ),
            Some(key) => {
                if let Some(other) = keys.insert(key, name.clone()) {
                    settings.refuse(path.child("key"), &format!("{other} has the same key, and no two servers have"));
                }
            }
        }
        peers.extend(address.map(|address| Peer { name, address, key }));
    }
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Setup, String> {
        let mut settings = Settings::new(&TABLE);
        settings.file(Path::new("setup.json"), text.as_bytes());
        super::read(&mut settings).map_err(|problems| problems.to_string())
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
        assert_eq!(setup.listen.port(), 7000);
        assert_eq!(setup.registration, Registration::Open);
    }
}
