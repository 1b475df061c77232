//! `tidings devices`: which devices an account has, their names, and taking one off.

use crate::ask::{self, Ask};
use crate::cli::{DevicesArguments, DevicesCommand, Global, Wait};
use crate::failure::Failure;
use crate::out::Out;
use crate::secret::Secret;
use crate::settle::Until;
use crate::{look, profile};
use serde_json::json;
use tidings_client::Client;

/// Runs the command.
pub async fn run(global: &Global, arguments: DevicesArguments) -> Result<u8, Failure> {
    let ask = match arguments.command.unwrap_or(DevicesCommand::List(arguments.list)) {
        DevicesCommand::List(list) => Ask::Devices { wait: list.wait },
        DevicesCommand::Name(name) => Ask::NameDevice { device: name.device, name: name.name.join(" ") },
        DevicesCommand::Revoke(revoke) => Ask::Revoke { password: Secret(revoke.password.read()?), device: revoke.device },
    };
    profile::perform(global, ask).await
}

/// Prints the list.
pub async fn answer(client: &Client, wait: u32, out: &mut Out) -> Result<u8, Failure> {
    ask::catch_up(client, Until::new(Wait::Seconds(wait)), out).await?;
    out.lines(&look::devices(&client.devices().await?, out.look)).await?;
    Ok(0)
}

/// Gives a device a name.
pub async fn name(client: &Client, device: &str, name: &str, out: &mut Out) -> Result<u8, Failure> {
    let this = if device == "this" { client.devices().await?.into_iter().find(|device| device.this) } else { None };
    let key = this.map_or_else(|| device.to_owned(), |this| this.key);
    client.name_device(&key, name).await?;
    out.done("done", "named", &json!({ "device": key, "name": name })).await?;
    Ok(0)
}

/// Takes a device off the list.
pub async fn revoke(client: &Client, device: &str, password: Secret, out: &mut Out) -> Result<u8, Failure> {
    let recovery = client.revoke(device, password.0).await?;
    // The code is shown before anything else can fail, and exists nowhere else then.
    out.lines(&look::recovery_code(recovery.words(), out.look)).await?;
    client.words_confirmed(recovery.words()).await?;
    out.done("The device is off your list. Your other devices ask for `tidings unlock`.", "revoked", &json!({ "device": device })).await?;
    Ok(0)
}
