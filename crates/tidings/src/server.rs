//! `tidings server`: a server, until it is told to stop.

use crate::cli::{Global, ServerArguments};
use crate::failure::Failure;
use crate::look::{self, Look};
use crate::welcome::{self, Awaited};
use crate::{layers, peer, profile};
use serde_json::json;
use std::io::Write;
use tidings_server::setup::write_key;
use tidings_server::{Config, Registration, Running, Server, Transport};
use tidings_setup::{Origin, Settings};
use tokio::signal::unix::{SignalKind, signal};

/// Runs the command.
pub async fn run(global: &Global, arguments: ServerArguments) -> Result<u8, Failure> {
    profile::start_log("info")?;
    let (setup, settings) = layers::server(global, &arguments)?;
    for warning in &setup.warnings {
        tracing::warn!("{warning}");
    }
    let config = Config {
        data: layers::data(&setup)?,
        name: setup.name,
        listen: setup.listen,
        advertise: setup.advertise,
        transport: Transport::Tls,
        registration: setup.registration,
        reserved: setup.reserved,
        peers: setup.peers,
        limits: setup.limits,
        pages: crate::site::PAGES,
    };
    // Before the start, so that a signal that comes during it is not lost.
    let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let running = Server::start(config.clone()).await?;
    let look = Look::of_stdout(global.json);
    let awaited = welcome::awaited(&running).await?;
    introduce(&config, &settings, (&running, &awaited), look)?;
    if !look.json {
        let lines = awaited.lines(&running, config.registration, &welcome::flags(global, &arguments), look).await?;
        let mut out = std::io::stdout().lock();
        lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush())?;
    }
    let (mut term, mut interrupt) = signals;
    let failed = tokio::select! {
        _ = term.recv() => false,
        _ = interrupt.recv() => false,
        () = running.failed() => true,
    };
    tracing::info!("stopping");
    running.stop().await;
    if failed {
        return Err(Failure::ours(
            "the server can write nothing any more and has stopped; the log says why. What was acknowledged is safe",
        ));
    }
    Ok(0)
}

fn introduce(config: &Config, settings: &Settings, (running, awaited): (&Running, &Awaited), look: Look) -> std::io::Result<()> {
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
            "peers": peers, "setup": settings.path(), "unclaimed": awaited.names,
        });
        writeln!(out, "{}", look::object("server", &served))?;
        return out.flush();
    }
    let row = |title: &str, value: String| vec![(format!("  {title}"), look::DIM), (value, "")];
    let mut rows = vec![
        row("address", format!("{address} (TLS 1.3)")),
        row("web client", if crate::site::PAGES.are_built() { format!("https://{address}/") } else { "not in this build".into() }),
        row("key", write_key(&key)),
        row("data", data.display().to_string()),
        row("setup", settings.path().map_or_else(|| "no setup.json in this folder".into(), |file| file.display().to_string())),
        row("registration", registration.into()),
    ];
    for peer in &config.peers {
        let state = if peer.key.is_some() { "" } else { " (no key, so not used)" };
        rows.push(row("peer", format!("{} at {}{state}", peer.name, peer.address)));
    }
    let at = peer::reached_at(config.advertise.as_deref(), address).unwrap_or_else(|unknown| unknown);
    rows.push(row("for peers", peer::line(&config.name, &at, &key)));
    writeln!(out, "Tidings server {} is running.", look.paint(look::BOLD, config.name.as_str()))?;
    for line in look::columns(&rows, look) {
        writeln!(out, "{line}")?;
    }
    for line in assumed(config, settings) {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// What was assumed for want of a `setup.json`, and how to say it otherwise.
fn assumed(config: &Config, settings: &Settings) -> Vec<String> {
    let is_assumed = |key: &str| settings.path().is_none() && settings.origin(&key.into()) == Origin::Default;
    let mut lines = Vec::new();
    if is_assumed("server_name") {
        lines.push(format!("  the name {}, which stays with the data folder; another one takes --name and a new --data", config.name));
    }
    if is_assumed("listen") {
        lines.push("  to serve this machine only; --listen 0.0.0.0:5555 serves all".into());
    }
    if !lines.is_empty() {
        lines.insert(0, "Since there is no setup.json, this was assumed:".into());
        lines.push("`tidings config show --origin` shows all settings, and where each comes from.".into());
    }
    lines
}
