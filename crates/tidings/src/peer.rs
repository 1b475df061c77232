//! `tidings peer`: the line with which another server gets to know this one, and how things stand with those that it knows.

use crate::cli::{Global, PeerCommand, PeerShowArguments, ServerFolder};
use crate::failure::Failure;
use crate::look::{self, BOLD, Cell, DIM, GREEN, Look, RED, YELLOW};
use crate::operator::{self, span};
use crate::{inert, layers};
use serde_json::json;
use std::io::Write;
use std::net::SocketAddr;
use tidings_proto::{ServerKey, ServerName};
use tidings_server::identity::Identity;
use tidings_server::operator::{Answer, Ask, PeerRow, PeerStanding};
use tidings_server::setup::write_key;
use tidings_setup::value;

/// Runs the command.
pub async fn run(global: &Global, command: PeerCommand) -> Result<u8, Failure> {
    match command {
        PeerCommand::Show(show_arguments) => show(global, &show_arguments),
        PeerCommand::List(folder) => list(global, &folder).await,
    }
}

/// Makes the server's keys if this is the first time they are needed.
fn show(global: &Global, arguments: &PeerShowArguments) -> Result<u8, Failure> {
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

async fn list(global: &Global, folder: &ServerFolder) -> Result<u8, Failure> {
    let look = Look::of_stdout(global.json);
    let peers: Vec<PeerRow> = operator::ask(global, folder, Ask::Peers, |answer| match answer {
        Answer::Peer(peer) => Some(peer),
        _ => None,
    })
    .await?;
    let mut out = std::io::stdout().lock();
    if look.json {
        for peer in &peers {
            writeln!(out, "{}", look::object("peer_state", peer))?;
        }
        return Ok(0);
    }
    if peers.is_empty() {
        writeln!(
            std::io::stderr(),
            "This server knows no others: put the lines that `tidings peer show` prints there into \"mailing_address\"."
        )?;
        return Ok(0);
    }
    let now = operator::now();
    let mut rows = vec![look::heads(["PEER", "STATE", "SINCE", "WAITING", "OLDEST", "ADDRESS", "LAST ERROR"])];
    rows.extend(peers.iter().map(|peer| row(peer, now)));
    for line in look::columns(&rows, look) {
        writeln!(out, "{line}")?;
    }
    for forked in peers.iter().filter_map(|peer| peer.forked.as_ref()) {
        writeln!(out, "{}", look.paint(RED, &format!("! {}", inert::line(forked))))?;
    }
    if peers.iter().any(|peer| peer.state == PeerStanding::NoKey) {
        writeln!(
            std::io::stderr(),
            "\nno key: run `tidings peer show` on that server, and paste the line it prints into \"mailing_address\"."
        )?;
    }
    if peers.iter().any(|peer| peer.state == PeerStanding::Unlisted) {
        writeln!(
            std::io::stderr(),
            "\nnot listed: what waits is given up after \"limits.outbox_days\", unless the server is put back into \"mailing_address\"."
        )?;
    }
    Ok(0)
}

fn row(peer: &PeerRow, now: u64) -> Vec<Cell> {
    let none = || ("-".to_owned(), DIM);
    let (state, colour) = match peer.state {
        PeerStanding::Linked => ("linked", GREEN),
        PeerStanding::Unreachable => ("unreachable", RED),
        PeerStanding::NoKey => ("no key", YELLOW),
        PeerStanding::Unlisted => ("not listed", YELLOW),
    };
    let ago = |at: u64| span(now.saturating_sub(at));
    // Once there is a link, what went wrong before is a memory.
    let error = peer.last_error.as_ref().zip(peer.last_error_at).map(|(error, at)| {
        let colour = if peer.state == PeerStanding::Linked { DIM } else { "" };
        (format!("{} ago: {}", ago(at), inert::line(error)), colour)
    });
    let waiting = || format!("{} ({})", peer.waiting, look::size(usize::try_from(peer.waiting_bytes).unwrap_or(usize::MAX)));
    vec![
        (peer.name.clone(), BOLD),
        (state.into(), colour),
        if matches!(peer.state, PeerStanding::NoKey | PeerStanding::Unlisted) { none() } else { (ago(peer.since), "") },
        if peer.waiting == 0 { none() } else { (waiting(), "") },
        peer.oldest.map_or_else(none, |at| (ago(at), "")),
        if peer.address.is_empty() { none() } else { (inert::line(&peer.address), "") },
        error.unwrap_or_else(none),
    ]
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
