//! `tidings doctor`: what state an account is in on this device, above all how many messages could not be opened.

use crate::ask::Ask;
use crate::cli::{DoctorArguments, Global};
use crate::failure::Failure;
use crate::look::{self, Cell, GREEN, Look, RED, YELLOW, columns};
use crate::out::Out;
use crate::{inert, profile};
use serde::Serialize;
use std::time::Duration;
use tidings_client::{Client, ClientError, Health};

/// Runs the command.
pub async fn run(global: &Global, arguments: &DoctorArguments) -> Result<u8, Failure> {
    profile::perform(global, Ask::Doctor { wait: arguments.wait }).await
}

/// What is said.
#[derive(Serialize)]
struct Report {
    user: String,
    fingerprint: Option<String>,
    device: Option<String>,
    server: Server,
    linked: bool,
    last_error: Option<String>,
    #[serde(flatten)]
    health: Health,
}

#[derive(Serialize)]
struct Server {
    name: String,
    address: String,
}

/// Prints it. The exit code is that of the first thing that is not as it should be.
pub async fn answer(client: &Client, wait: u32, out: &mut Out) -> Result<u8, Failure> {
    let asked = if wait == 0 { None } else { client.linked(Duration::from_secs(wait.into())).await.err() };
    let endpoint = client.endpoint();
    let report = Report {
        user: client.me().to_string(),
        fingerprint: client.my_fingerprint().await?,
        device: client.devices().await?.into_iter().find(|device| device.this).map(|device| device.key),
        server: Server { name: endpoint.name.to_string(), address: endpoint.address },
        linked: wait > 0 && asked.is_none(),
        last_error: asked.as_ref().map(ClientError::to_string),
        health: client.health().await?,
    };
    let code = code(&report.health, asked.as_ref());
    let lines = if out.look.json { vec![look::object("health", &report)] } else { words(&report, wait, out.look) };
    out.lines(&lines).await?;
    Ok(code)
}

fn code(health: &Health, link: Option<&ClientError>) -> u8 {
    match link {
        Some(error) => error.exit_code(),
        None if !health.changed.is_empty() => 8,
        None if health.locked => 4,
        None => u8::from(!health.is_well()),
    }
}

fn words(report: &Report, wait: u32, look: Look) -> Vec<String> {
    let Report { user, fingerprint, device, server, last_error, health, .. } = report;
    let server_is = format!("{} at {}", server.name, server.address);
    let link = match last_error {
        Some(error) => (format!("{server_is}: {error}"), RED),
        None if wait == 0 => (format!("{server_is}: not asked"), ""),
        None => (format!("{server_is}: linked"), GREEN),
    };
    let listed = |of: &[String], none: &str| if of.is_empty() { (none.to_owned(), "") } else { (of.join(", "), YELLOW) };
    let unreadable = match health.unreadable {
        0 => ("none".to_owned(), GREEN),
        count => (format!("{count}: each is marked in its conversation, with the reason (`tidings read`)"), RED),
    };
    let waits = |count: u64, why: &str| if count == 0 { ("nothing".to_owned(), "") } else { (format!("{count}: {why}"), YELLOW) };
    let keys = if health.locked { (crate::ask::LOCKED.to_owned(), YELLOW) } else { ("here".to_owned(), "") };
    let mut rows = vec![
        ("account", (user.clone(), "")),
        ("key", (fingerprint.clone().unwrap_or_else(|| "not known before the first link".into()), "")),
        ("device", (device.clone().unwrap_or_else(|| "not on the account's list".into()), "")),
        ("server", link),
        ("unopened", unreadable),
        ("unsent", waits(health.unsent, "goes out by itself")),
        ("only here", waits(health.only_here, "other devices of this account get them within minutes, if this one is running")),
        ("waiting", waits(health.waiting_for_keys, "shown when their authors' keys have come")),
        ("account keys", keys),
        ("keys to come", listed(&health.without_keys, "none")),
        ("changed keys", listed(&health.changed, "nobody's")),
    ];
    rows.extend(health.stopped.iter().map(|stopped| ("stopped", (format!("{}: {}", stopped.log, stopped.why), RED))));
    if health.stopped.is_empty() {
        rows.push(("stopped", ("nothing".into(), "")));
    }
    let row = |(name, (text, colour)): (&str, Cell)| vec![(name.to_owned(), look::DIM), (inert::line(&text), colour)];
    columns(&rows.into_iter().map(row).collect::<Vec<_>>(), look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_client::Stopped;

    fn well() -> Health {
        Health {
            unsent: 0,
            only_here: 0,
            unreadable: 0,
            waiting_for_keys: 0,
            without_keys: Vec::new(),
            stopped: Vec::new(),
            changed: Vec::new(),
            locked: false,
        }
    }

    #[test]
    fn the_code_says_what_is_wrong_and_nothing_else_does() {
        let busy = Health { unsent: 3, only_here: 2, waiting_for_keys: 1, without_keys: vec!["room:a".into()], ..well() };
        let changed = Health { changed: vec!["bob@s2".into()], unreadable: 1, ..well() };
        let stopped = Health { stopped: vec![Stopped { log: "public@s1".into(), why: "another story".into() }], ..well() };
        assert_eq!(code(&well(), None), 0);
        assert_eq!(code(&busy, None), 0);
        assert_eq!(code(&Health { unreadable: 1, ..well() }, None), 1);
        assert_eq!(code(&stopped, None), 1);
        assert_eq!(code(&Health { locked: true, unreadable: 1, ..well() }, None), 4);
        assert_eq!(code(&changed, None), 8);
        assert_eq!(code(&changed, Some(&ClientError::TimedOut)), ClientError::TimedOut.exit_code());
    }

    #[test]
    fn what_others_have_said_imitates_no_line() {
        let why = "gone\nunopened      none\u{1b}[2J".to_owned();
        let health = Health { unreadable: 2, stopped: vec![Stopped { log: "public@s1".into(), why }], ..well() };
        let server = Server { name: "s1".into(), address: "127.0.0.1:5551".into() };
        let report = Report { user: "alice@s1".into(), fingerprint: None, device: None, server, linked: false, last_error: None, health };
        let lines = words(&report, 0, Look { json: false, colour: false });
        assert_eq!(lines.iter().filter(|line| line.starts_with("unopened")).count(), 1);
        assert!(lines.iter().any(|line| line.starts_with("unopened") && line.contains("2: ")));
        assert!(!lines.concat().contains(['\n', '\u{1b}']));
    }
}
