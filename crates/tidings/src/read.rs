//! `tidings read`: the newest messages of one conversation, from this device's own store.

use crate::ask::{Ask, Out, target};
use crate::cli::{Global, ReadArguments};
use crate::failure::Failure;
use crate::look::{self, Look};
use crate::{inert, profile};
use std::time::Duration;
use tidings_client::Client;
use tidings_client::view::Target;

/// Runs the command.
pub async fn run(global: &Global, arguments: &ReadArguments) -> Result<u8, Failure> {
    target(&arguments.of)?;
    let ask = Ask::Read { of: arguments.of.clone(), limit: arguments.limit, wait: arguments.wait };
    profile::perform(global, ask).await
}

/// Prints what is there, after catching up where the server answers in time.
pub async fn answer(client: &Client, of: &Target, limit: usize, wait: u32, look: Look, out: &mut Out) -> Result<u8, Failure> {
    if wait > 0
        && let Err(error) = client.linked(Duration::from_secs(wait.into())).await
    {
        if !error.is_passing() {
            return Err(error.into());
        }
        out.note(look, &inert::line(&format!("{error}; this is what is on this device"))).await?;
    }
    for message in client.timeline(of, limit).await? {
        out.line(&look::message(of, &message, look)).await?;
    }
    Ok(0)
}
