//! `tidings people`: everybody that the home server knows, who is online, and their keys.

use crate::ask::Ask;
use crate::cli::{Global, PeopleArguments};
use crate::failure::Failure;
use crate::out::Out;
use crate::{look, profile};
use std::time::Duration;
use tidings_client::Client;

/// Runs the command.
pub async fn run(global: &Global, arguments: &PeopleArguments) -> Result<u8, Failure> {
    profile::perform(global, Ask::People { wait: arguments.wait }).await
}

/// Prints the list. Without the server the list of before, where nobody is online, and that error's exit code.
pub async fn answer(client: &Client, wait: u32, out: &mut Out) -> Result<u8, Failure> {
    let linked = client.linked(Duration::from_secs(wait.into())).await;
    out.lines(&look::people(&client.people().await?, &client.me(), out.look)).await?;
    linked.map_err(Failure::from)?;
    Ok(0)
}
