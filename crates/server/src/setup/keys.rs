//! The keys of `setup.json`, the brief's three first: the one source of what is read, shown and documented.

use crate::config::Limits;
use tidings_setup::{Key, Preset, Shape, Table, Word};

/// The keys of `setup.json`.
pub static TABLE: Table = Table {
    file: "setup.json",
    about: "What a server runs with. `tidings server` reads it in the folder in which it is started, or where `--setup FILE` says.",
    prefix: "TIDINGS_",
    keys: &[SERVER_NAME, ADMIN, MAILING_ADDRESS, LISTEN, ADVERTISE, DATA, REGISTRATION, LIMITS],
    elsewhere: &[("server_ip", "client_setup.json"), ("server_key", "client_setup.json")],
};

const SERVER_NAME: Key = Key {
    name: "server_name",
    doc: "The server's name: its identity, and the second half of everybody's name on it (`alice@s1`). Lower-case letters, digits and \
          hyphens, in parts joined by dots. It is not where to reach the server, and it can never be changed. A \
          server without a `setup.json` is called as its folder's server was before, or else as the machine is.",
    shape: Shape::Text { like: "s1", pattern: "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$" },
    preset: Preset::Needed,
    flag: Some("--name"),
};

const ADMIN: Key = Key {
    name: "admin",
    doc: "Names that are kept back for the operator's own people: nobody else can register them. The words beside the names are read by \
          nobody and log in nobody; write `\"\"`.",
    shape: Shape::Names {
        like: "alice@s1",
        words: "the words beside the names are not used and should be deleted: write \"\" in the place of each",
    },
    preset: Preset::Said("nobody"),
    flag: None,
};

const MAILING_ADDRESS: Key = Key {
    name: "mailing_address",
    doc: "The servers that this one knows: it dials them, and lets in no others. `tidings peer show`, run beside another server, prints \
          the line to paste here. `\"s2\": \"host:port\"` is understood, but a server without a key is neither dialled nor let in, since \
          an address proves nothing. This server's own name may be in the list, so that all servers can share one.",
    shape: Shape::Members { like: "s2", keys: &[ADDRESS, KEY] },
    preset: Preset::Said("no other servers"),
    flag: None,
};

const ADDRESS: Key = Key {
    name: "address",
    doc: "Where to dial it: `host:port`, or `host` with port 5555.",
    shape: Shape::Text { like: "10.13.97.12:5555", pattern: "^[^\\s/]+$" },
    preset: Preset::Needed,
    flag: None,
};

const KEY: Key = Key {
    name: "key",
    doc: "The key that its name is bound to.",
    shape: Shape::Text { like: "BIpZ…", pattern: "^[A-Za-z0-9_-]{43}$" },
    preset: Preset::Said("the server is not used"),
    flag: None,
};

const LISTEN: Key = Key {
    name: "listen",
    doc: "The address and the port on which this server serves people and other servers.",
    shape: Shape::Text { like: "0.0.0.0:5555", pattern: "^[0-9a-fA-F:.\\[\\]]+$" },
    preset: Preset::Said("0.0.0.0:5555; without any setup.json 127.0.0.1:5555"),
    flag: Some("--listen"),
};

const ADVERTISE: Key = Key {
    name: "advertise",
    doc: "Where others reach this server, where that is not what `listen` says: behind a router, or by a name.",
    shape: Shape::Text { like: "chat.example.org:5555", pattern: "^[^\\s/]+$" },
    preset: Preset::Said("the address of `listen`"),
    flag: None,
};

const DATA: Key = Key {
    name: "data",
    doc: "The folder with the server's keys and its database. In the file, a path that does not begin with `/` begins at the file's folder.",
    shape: Shape::Text { like: "/var/lib/tidings", pattern: "." },
    preset: Preset::Said("`tidings/server` in `$XDG_DATA_HOME` or `~/.local/share`"),
    flag: Some("--data"),
};

const REGISTRATION: Key = Key {
    name: "registration",
    doc: "Who may make an account on this server.",
    shape: Shape::Choice(&[
        Word { word: "open", doc: "everybody who can reach the server" },
        Word { word: "invite", doc: "who has an invitation, or the claim code of a name under `admin`" },
        Word { word: "closed", doc: "nobody" },
    ]),
    preset: Preset::Said("`\"open\"` where `listen` is a loopback address, which strangers cannot reach, and `\"invite\"` elsewhere"),
    flag: None,
};

const LIMITS: Key = Key {
    name: "limits",
    doc: "How much anybody may ask for. Each is a whole number. Who goes further is told which limit it was, and when to try again.",
    shape: Shape::Object(Limits::KEYS),
    preset: Preset::Said("each as below"),
    flag: None,
};
