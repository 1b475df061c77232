//! `tidings peer show`: the line with which another server gets to know this one.

use crate::cli::{Global, PeerShowArguments};
use crate::failure::Failure;
use crate::{layers, look};
use serde_json::json;
use std::io::Write;
use tidings_proto::{ServerKey, ServerName};
use tidings_server::identity::Identity;
use tidings_server::setup::write_key;
use tidings_setup::value;

/// Runs the command. Makes the server's keys if this is the first time they are needed.
pub fn show(global: &Global, arguments: &PeerShowArguments) -> Result<u8, Failure> {
    let (setup, _) = layers::server(global, &arguments.server)?;
    let data = layers::data(&setup)?;
    let identity = Identity::load_or_create(&data, &setup.name).map_err(|error| Failure::config(error.to_string()))?;
    let listen = Some(setup.listen).filter(|listen| !listen.ip().is_unspecified() && listen.port() != 0);
    let address = match &arguments.address {
        Some(address) => Some(value::address(address).map_err(|expected| Failure::usage(format!("--address: {expected}")))?),
        None => setup.advertise.or_else(|| listen.map(|listen| listen.to_string())),
    };
    if global.json {
        let peer = json!({ "name": setup.name.as_str(), "address": address, "key": write_key(&identity.key()) });
        writeln!(std::io::stdout(), "{}", look::object("peer", &peer))?;
        return Ok(0);
    }
    if address.is_none() {
        let hint = "put the address at which others reach this server in the place of HOST, or say it with --address";
        writeln!(std::io::stderr(), "{hint}")?;
    }
    let address = address.unwrap_or_else(|| format!("HOST:{}", setup.listen.port()));
    writeln!(std::io::stdout(), "{}", line(&setup.name, &address, &identity.key()))?;
    Ok(0)
}

/// What is pasted into `mailing_address`.
pub fn line(name: &ServerName, address: &str, key: &ServerKey) -> String {
    format!("\"{name}\": {{ \"address\": {}, \"key\": \"{}\" }}", json!(address), write_key(key))
}
