//! `tidings login`: an account that exists, from a device that is new.

use crate::cli::{Global, LoginArguments};
use crate::failure::Failure;
use crate::look::{self, Look};
use crate::profile;
use serde_json::json;
use std::io::Write;
use tidings_client::setup::show_server_key;
use tidings_client::{Client, Login, LoginSecret};

/// Runs the command.
pub async fn run(global: &Global, arguments: LoginArguments) -> Result<u8, Failure> {
    profile::start_log("warn")?;
    let folder = std::path::absolute(profile::folder(global)?)?;
    let endpoint = profile::endpoint(global, &arguments.at, &arguments.user)?;
    let with = if arguments.recovery {
        LoginSecret::Recovery(arguments.password.read("recovery code", false)?)
    } else {
        LoginSecret::Password(arguments.password.read("password", false)?)
    };
    tidings_client::login(Login { profile: &folder, endpoint, user: arguments.user.clone(), with }).await?;
    let client = Client::open(&folder)?;
    let (fingerprint, endpoint) = (client.my_fingerprint().await?, client.endpoint());
    let key = endpoint.key.as_ref().map(show_server_key);
    client.close().await;
    let look = Look::of_stdout(global.json);
    let mut out = std::io::stdout().lock();
    if look.json {
        let made = json!({ "user": arguments.user.to_string(), "fingerprint": fingerprint, "profile": folder, "server_key": key });
        writeln!(out, "{}", look::object("logged_in", &made))?;
    } else {
        writeln!(out, "{} is logged in: this device is on the account's list now.", look.paint(look::BOLD, &arguments.user.to_string()))?;
        writeln!(out, "  your key      {}", fingerprint.as_deref().unwrap_or("-"))?;
        writeln!(out, "  server's key  {} (pinned)", key.as_deref().unwrap_or("-"))?;
        writeln!(out, "  profile       {}", folder.display())?;
    }
    Ok(0)
}
