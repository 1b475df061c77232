//! `tidings peer show`: the line with which another server gets to know this one.

use crate::cli::{Global, PeerShowArguments};
use crate::failure::Failure;
use crate::look;
use crate::server::{data, setup};
use serde_json::json;
use std::io::Write;
use tidings_proto::{ServerKey, ServerName};
use tidings_server::identity::Identity;
use tidings_server::setup::{DEFAULT_PORT, with_port, write_key};

/// Runs the command. Makes the server's keys if this is the first time they are needed.
pub fn show(global: &Global, arguments: PeerShowArguments) -> Result<u8, Failure> {
    let setup = setup(global, arguments.name)?;
    let data = data(arguments.data)?;
    let identity = Identity::load_or_create(&data, &setup.name).map_err(|error| Failure::config(error.to_string()))?;
    let own = setup.advertise.or_else(|| setup.listen.filter(|listen| !listen.ip().is_unspecified()).map(|listen| listen.to_string()));
    let address = arguments.address.or(own).map(|address| with_port(&address));
    if global.json {
        let peer = json!({ "name": setup.name.as_str(), "address": address, "key": write_key(&identity.key()) });
        writeln!(std::io::stdout(), "{}", look::object("peer", &peer))?;
        return Ok(0);
    }
    if address.is_none() {
        let hint = "put the address at which others reach this server in the place of HOST, or say it with --address";
        writeln!(std::io::stderr(), "{hint}")?;
    }
    let address = address.unwrap_or_else(|| format!("HOST:{DEFAULT_PORT}"));
    writeln!(std::io::stdout(), "{}", line(&setup.name, &address, &identity.key()))?;
    Ok(0)
}

/// What is pasted into `mailing_address`.
pub fn line(name: &ServerName, address: &str, key: &ServerKey) -> String {
    format!("\"{name}\": {{ \"address\": {}, \"key\": \"{}\" }}", json!(address), write_key(key))
}
