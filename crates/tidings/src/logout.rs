//! `tidings logout`: this device forgets the account. The account itself, and the device list, stay as they are.

use crate::cli::{Global, LogoutArguments};
use crate::failure::Failure;
use crate::look::{self, Look};
use crate::{beside, profile};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::Path;
use tidings_client::view::Status;
use tidings_client::{Client, ClientError};

/// Runs the command. It needs the profile for itself.
pub async fn run(global: &Global, arguments: &LogoutArguments) -> Result<u8, Failure> {
    profile::start_log("warn")?;
    let folder = std::path::absolute(profile::folder(global)?)?;
    let client = Client::open(&folder).map_err(|error| match error {
        ClientError::ProfileBusy(_) => Failure::later("another command uses this profile: end `tidings tail` first"),
        other => other.into(),
    })?;
    let user = client.me();
    if !arguments.yes {
        confirm(&client, &folder).await?;
    }
    // A `tail` that was killed has left its socket. Nobody answers there: the profile is ours.
    let _ = std::fs::remove_file(folder.join(beside::SOCKET));
    client.forget().await?;
    let mut out = std::io::stdout().lock();
    let line = if global.json {
        look::object("logged_out", &json!({ "user": user.to_string(), "profile": folder }))
    } else {
        format!("{user} is not on this device any more. The device stays on the account's list until another one takes it off.")
    };
    writeln!(out, "{line}")?;
    Ok(0)
}

/// Asks, on a terminal.
async fn confirm(client: &Client, folder: &Path) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask on: say --yes if the profile may be deleted"));
    }
    let look = Look { json: false, colour: std::io::stderr().is_terminal() };
    let unsent = match unsent(client).await? {
        0 => String::new(),
        1 => "\nOne message has not been sent, and never will be.".into(),
        many => format!("\n{many} messages have not been sent, and never will be."),
    };
    let question = format!("This deletes {}: your keys and messages on this device.{unsent}", folder.display());
    let mut err = std::io::stderr().lock();
    write!(err, "{}\nType `yes` to go on: ", look.paint(look::YELLOW, &question))?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Failure::usage("nothing was deleted")) }
}

async fn unsent(client: &Client) -> Result<usize, Failure> {
    let mut count = 0;
    for room in client.rooms().await? {
        let messages = client.timeline(&room.target, usize::MAX >> 1).await?;
        count += messages.iter().filter(|message| message.status == Status::Pending).count();
    }
    Ok(count)
}
