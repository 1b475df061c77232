//! What follows when something was written: waiting until it has come far enough, and saying how far it has come.

use crate::cli::Wait;
use crate::failure::Failure;
use crate::out::Out;
use crate::{inert, look, profile};
use serde::Serialize;
use std::time::Duration;
use tidings_client::view::{MessageId, Status, Target};
use tidings_client::{Client, UserName};
use tokio::time::Instant;

/// Longer than anybody waits.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long a command waits, in all, and for which server.
#[derive(Debug, Clone, Copy)]
pub struct Until {
    deadline: Instant,
    hub: bool,
}

impl Until {
    /// From now on.
    pub fn new(wait: Wait) -> Until {
        let (most, hub) = match wait {
            Wait::Seconds(seconds) => (Duration::from_secs(seconds.into()), false),
            Wait::Server => (FOR_EVER, true),
        };
        Until { deadline: Instant::now() + most, hub }
    }

    /// What is left.
    pub fn left(self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Something that was written: it is durable here, and on its way.
pub struct Written<'a> {
    pub id: MessageId,
    pub room: Option<&'a Target>,
    /// The person it is about, where it is about one.
    pub user: Option<&'a UserName>,
    /// What it comes to once a server has it, as a sentence.
    pub done: String,
}

#[derive(Serialize)]
struct Sent<'a> {
    id: MessageId,
    room: Option<&'a Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(flatten)]
    status: &'a Status,
}

/// Waits, says how far it came, and gives the exit code.
pub async fn settle(client: &Client, written: Written<'_>, until: Until, out: &mut Out) -> Result<u8, Failure> {
    let Written { id, room, user, done } = written;
    let status = away(client, id, until, out).await?;
    let said = match &status {
        Status::Sent { .. } | Status::Received => out.look.paint(look::GREEN, &done),
        Status::Waiting => out.look.paint(look::YELLOW, "on your server; it goes on as soon as the other server can be reached"),
        Status::Pending => "kept on this device; no server has it yet. Any command that reaches your server sends it".into(),
        Status::Failed { reason, .. } | Status::Unreadable { reason } => {
            out.look.paint(look::RED, &format!("not done: {}", inert::line(reason)))
        }
    };
    out.done(&said, "sent", &Sent { id, room, user: user.map(ToString::to_string), status: &status }).await?;
    if status == Status::Pending
        && let Some(error) = profile::given_up(client).await
    {
        return Err(error.into());
    }
    // What is on the home server is delivered from there, whatever happens here.
    Ok(if status == Status::Waiting { 0 } else { status.exit_code() })
}

/// Its status as soon as it is far enough. What waits for another server gets a moment to be quick, or all the time there is where
/// that server is waited for.
async fn away(client: &Client, id: MessageId, until: Until, out: &mut Out) -> Result<Status, Failure> {
    const MOMENT: Duration = Duration::from_millis(300);
    let mut changes = client.changes();
    let mut told = false;
    loop {
        changes.borrow_and_update();
        match client.settled(id, Duration::ZERO).await? {
            Status::Pending if !until.left().is_zero() && profile::given_up(client).await.is_none() => {}
            Status::Waiting if until.hub => {
                if !told {
                    out.note("on your server; waiting for the server that keeps this conversation").await?;
                }
                told = true;
            }
            Status::Waiting => return Ok(client.settled(id, MOMENT.min(until.left())).await?),
            status => return Ok(status),
        }
        // An error says that the client ends: then the status above is the last there is, at the deadline.
        let _ = tokio::time::timeout_at(until.deadline, changes.changed()).await;
    }
}
