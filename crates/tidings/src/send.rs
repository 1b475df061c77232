//! `tidings send`: a message, kept here first, then sent.

use crate::ask::{Ask, Out, target};
use crate::cli::{Global, SendArguments};
use crate::failure::Failure;
use crate::look::{self, Look};
use crate::{inert, profile};
use serde::Serialize;
use std::io::Read;
use std::time::Duration;
use tidings_client::Client;
use tidings_client::view::{MessageId, Status, Target};
use tokio::time::Instant;

/// More than any message may have; the client names the real limit.
const MOST_INPUT: u64 = 1024 * 1024;

/// Runs the command.
pub async fn run(global: &Global, arguments: SendArguments) -> Result<u8, Failure> {
    target(&arguments.to)?;
    let text = if arguments.text == ["-"] { from_stdin()? } else { arguments.text.join(" ") };
    if text.trim().is_empty() {
        return Err(Failure::usage("there is nothing to send"));
    }
    profile::perform(global, Ask::Send { to: arguments.to, text, wait: arguments.wait }).await
}

fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let stdin = std::io::stdin().lock();
    stdin.take(MOST_INPUT).read_to_string(&mut text).map_err(|error| Failure::usage(format!("standard input: {error}")))?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

#[derive(Serialize)]
struct Sent<'a> {
    id: MessageId,
    room: &'a Target,
    #[serde(flatten)]
    status: &'a Status,
}

/// Writes the message, waits until a server has it or the time is up, and says how far it came.
pub async fn answer(client: &Client, to: &Target, text: &str, wait: u32, look: Look, out: &mut Out) -> Result<u8, Failure> {
    let id = client.send(to, text).await?;
    let status = away(client, id, Duration::from_secs(wait.into())).await?;
    if look.json {
        out.line(&look::object("sent", &Sent { id, room: to, status: &status })).await?;
    } else {
        let said = match &status {
            Status::Sent { .. } | Status::Received => look.paint(look::GREEN, "sent"),
            Status::Waiting => look.paint(look::YELLOW, "on your server; it goes on as soon as the other server can be reached"),
            Status::Pending => "kept on this device; no server has it yet. Any command that reaches your server sends it".into(),
            Status::Failed { reason, .. } | Status::Unreadable { reason } => {
                look.paint(look::RED, &format!("not sent: {}", inert::line(reason)))
            }
        };
        out.line(&said).await?;
    }
    if status == Status::Pending
        && let Some(error) = profile::given_up(client).await
    {
        return Err(error.into());
    }
    // What is on the home server is delivered from there, whatever happens here.
    Ok(if status == Status::Waiting { 0 } else { status.exit_code() })
}

/// The message's status as soon as it is not pending any more. One that waits for another server gets a moment to be quick.
async fn away(client: &Client, id: MessageId, wait: Duration) -> Result<Status, Failure> {
    const MOMENT: Duration = Duration::from_millis(300);
    let mut changes = client.changes();
    let deadline = Instant::now() + wait;
    loop {
        changes.borrow_and_update();
        match client.settled(id, Duration::ZERO).await? {
            Status::Pending if Instant::now() < deadline && profile::given_up(client).await.is_none() => {}
            Status::Waiting => return Ok(client.settled(id, MOMENT.min(wait)).await?),
            status => return Ok(status),
        }
        // An error says that the client ends: then the status above is the last there is, at the deadline.
        let _ = tokio::time::timeout_at(deadline, changes.changed()).await;
    }
}
