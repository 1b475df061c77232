//! `tidings server`: a server, until it is told to stop.

use crate::cli::{Global, ServerArguments};
use crate::failure::Failure;
use crate::look::{self, Look};
use crate::{peer, profile};
use serde_json::json;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use tidings_proto::ServerName;
use tidings_server::setup::{DEFAULT_PORT, Setup, write_key};
use tidings_server::{Config, Limits, Registration, Running, Server, Transport};
use tokio::signal::unix::{SignalKind, signal};

/// Runs the command.
pub async fn run(global: &Global, arguments: ServerArguments) -> Result<u8, Failure> {
    profile::start_log("info")?;
    let setup = setup(global, arguments.name)?;
    for warning in &setup.warnings {
        tracing::warn!("{warning}");
    }
    let listen = arguments.listen.or(setup.listen).unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT)));
    // Strangers are let in only where the operator says so; on a machine's own loopback there are none.
    let closed = if listen.ip().is_loopback() { Registration::Open } else { Registration::ByCode };
    let config = Config {
        name: setup.name,
        data: data(arguments.data)?,
        listen,
        advertise: setup.advertise,
        transport: Transport::Tls,
        registration: setup.registration.unwrap_or(closed),
        reserved: setup.reserved,
        peers: setup.peers,
        limits: Limits::default(),
    };
    // Before the start, so that a signal that comes during it is not lost.
    let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let running = Server::start(config.clone()).await?;
    introduce(&config, &running, Look::of_stdout(global.json))?;
    let (mut term, mut interrupt) = signals;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    running.stop().await;
    Ok(0)
}

fn introduce(config: &Config, running: &Running, look: Look) -> std::io::Result<()> {
    let (address, key) = (running.address(), running.key());
    let data = std::path::absolute(&config.data)?;
    let registration = match config.registration {
        Registration::Open => "open to everybody who can reach this server",
        Registration::ByCode => "by invitation only; \"registration\": \"open\" in setup.json opens it",
        Registration::Closed => "closed",
    };
    let mut out = std::io::stdout().lock();
    if look.json {
        let peers: Vec<_> = config
            .peers
            .iter()
            .map(|peer| json!({ "name": peer.name.as_str(), "address": peer.address, "pinned": peer.key.is_some() }))
            .collect();
        let served = json!({
            "name": config.name.as_str(), "address": address.to_string(), "key": write_key(&key), "data": data, "pid": std::process::id(),
            "peers": peers,
        });
        writeln!(out, "{}", look::object("server", &served))?;
        return out.flush();
    }
    let row = |title: &str, value: String| vec![(format!("  {title}"), look::DIM), (value, "")];
    let mut rows = vec![
        row("address", format!("{address} (TLS 1.3)")),
        row("key", write_key(&key)),
        row("data", data.display().to_string()),
        row("registration", registration.into()),
    ];
    for peer in &config.peers {
        let state = if peer.key.is_some() { "" } else { " (no key, so not used)" };
        rows.push(row("peer", format!("{} at {}{state}", peer.name, peer.address)));
    }
    let at = config.advertise.clone().unwrap_or_else(|| address.to_string());
    rows.push(row("for peers", peer::line(&config.name, &at, &key)));
    writeln!(out, "Tidings server {} is running.", look.paint(look::BOLD, config.name.as_str()))?;
    for line in look::columns(&rows, look) {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// The server's setup: the file that was named, `setup.json` in this folder, or a name alone.
pub fn setup(global: &Global, name: Option<ServerName>) -> Result<Setup, Failure> {
    let here = Path::new("setup.json");
    match (&global.setup, name) {
        (Some(file), _) => Ok(tidings_server::setup::load(file)?),
        (None, Some(name)) => Ok(Setup {
            name,
            reserved: Vec::new(),
            peers: Vec::new(),
            listen: None,
            advertise: None,
            registration: None,
            warnings: Vec::new(),
        }),
        (None, None) if here.exists() => Ok(tidings_server::setup::load(here)?),
        (None, None) => Err(Failure::config(
            "there is no setup.json in this folder: name one with --setup FILE, or give the server a name with --name NAME",
        )),
    }
}

/// The server's folder.
pub fn data(named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    named.map_or_else(|| profile::data_folder("server"), Ok)
}
