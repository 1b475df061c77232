//! `tidings rooms`: all conversations, and what one is asked into.

use crate::ask::{self, Ask};
use crate::cli::{Global, RoomsArguments, Wait};
use crate::failure::Failure;
use crate::out::Out;
use crate::settle::Until;
use crate::{look, profile};
use tidings_client::Client;

/// Runs the command.
pub async fn run(global: &Global, arguments: &RoomsArguments) -> Result<u8, Failure> {
    profile::perform(global, Ask::Rooms { wait: arguments.patience.wait }).await
}

/// Prints the table.
pub async fn answer(client: &Client, wait: u32, out: &mut Out) -> Result<u8, Failure> {
    ask::catch_up(client, Until::new(Wait::Seconds(wait)), out).await?;
    out.lines(&look::rooms(&client.rooms().await?, out.look)).await?;
    Ok(0)
}
