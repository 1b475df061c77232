//! `tidings unlock`: this device gets the account's new keys, after another device has changed them.

use crate::ask::Ask;
use crate::cli::{Global, UnlockArguments};
use crate::failure::Failure;
use crate::out::Out;
use crate::profile;
use crate::secret::Secret;
use serde_json::json;
use tidings_client::Client;

/// Runs the command.
pub async fn run(global: &Global, arguments: &UnlockArguments) -> Result<u8, Failure> {
    let password = Secret(arguments.password.read()?);
    profile::perform(global, Ask::Unlock { password }).await
}

/// Opens the vault with the password, and keeps what this device needs of it.
pub async fn answer(client: &Client, password: Secret, out: &mut Out) -> Result<u8, Failure> {
    client.unlock(password.0).await?;
    out.done("This device has your new keys.", "unlocked", &json!({})).await?;
    Ok(0)
}
