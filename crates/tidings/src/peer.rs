//! `tidings peer show`: the line with which another server gets to know this one.

use crate::cli::{Global, PeerShowArguments};
use crate::failure::Failure;
use crate::{layers, look};
use serde_json::json;
use std::io::Write;
use std::net::SocketAddr;
use tidings_proto::{ServerKey, ServerName};
use tidings_server::identity::Identity;
use tidings_server::setup::write_key;
use tidings_setup::value;

/// Runs the command. Makes the server's keys if this is the first time they are needed.
pub fn show(global: &Global, arguments: &PeerShowArguments) -> Result<u8, Failure> {
    let (setup, _) = layers::server(global, &arguments.server)?;
    let data = layers::data(&setup)?;
    let identity = Identity::load_or_create(&data, &setup.name).map_err(|error| Failure::config(error.to_string()))?;
    let address = match &arguments.address {
        Some(address) => Ok(value::address(address).map_err(|expected| Failure::usage(format!("--address: {expected}")))?),
        None => reached_at(setup.advertise.as_deref(), setup.listen),
    };
    if global.json {
        let peer = json!({ "name": setup.name.as_str(), "address": address.ok(), "key": write_key(&identity.key()) });
        writeln!(std::io::stdout(), "{}", look::object("peer", &peer))?;
        return Ok(0);
    }
    let address = address.or_else(|unknown| {
        writeln!(
            std::io::stderr(),
            "put the address at which others reach this server in the place of {unknown}, or say it with --address"
        )?;
        Ok::<_, Failure>(unknown)
    })?;
    writeln!(std::io::stdout(), "{}", line(&setup.name, &address, &identity.key()))?;
    Ok(0)
}

/// Where others reach a server, as far as that is known here; or else what to put it in the place of.
pub fn reached_at(advertise: Option<&str>, listen: SocketAddr) -> Result<String, String> {
    match (advertise, listen.port()) {
        (Some(advertise), _) => Ok(advertise.to_owned()),
        (None, 0) => Err("HOST:PORT".into()),
        (None, port) if listen.ip().is_unspecified() => Err(format!("HOST:{port}")),
        (None, _) => Ok(listen.to_string()),
    }
}

/// What is pasted into `mailing_address`.
pub fn line(name: &ServerName, address: &str, key: &ServerKey) -> String {
    format!("\"{name}\": {{ \"address\": {}, \"key\": \"{}\" }}", json!(address), write_key(key))
}
