//! `tidings password`: another password for the account. No key changes.

use crate::ask::Ask;
use crate::cli::{Global, PasswordArguments};
use crate::failure::Failure;
use crate::out::Out;
use crate::profile;
use crate::secret::Secret;
use serde_json::json;
use tidings_client::Client;

/// Runs the command.
pub async fn run(global: &Global, arguments: &PasswordArguments) -> Result<u8, Failure> {
    let old = Secret(arguments.old.read()?);
    let new = Secret(arguments.new.choose()?);
    profile::perform(global, Ask::Password { old, new }).await
}

/// Changes it.
pub async fn answer(client: &Client, old: Secret, new: Secret, out: &mut Out) -> Result<u8, Failure> {
    client.change_password(old.0, new.0).await?;
    out.done("Your password is changed. Your devices stay logged in.", "password", &json!({})).await?;
    Ok(0)
}
