//! `tidings login`: an account that exists, from a device that is new.

use crate::cli::{Global, LoginArguments};
use crate::failure::Failure;
use crate::look::{self, Look};
use crate::out::{Out, To};
use crate::profile;
use crate::rotate::another;
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tidings_client::setup::show_server_key;
use tidings_client::{Client, Login, LoginSecret, RecoveryCode};

/// How long a new device waits for its key packages to be with its server.
const READY: Duration = Duration::from_secs(5);

/// Runs the command.
pub async fn run(global: &Global, arguments: LoginArguments) -> Result<u8, Failure> {
    profile::start_log("warn")?;
    let folder = std::path::absolute(profile::folder(global)?)?;
    let endpoint = profile::endpoint(global, &arguments.at, &arguments.user)?;
    let with = LoginSecret::Password(arguments.password.read()?);
    let login = Login { profile: &folder, endpoint, user: arguments.user, with, device_name: arguments.device.name };
    tidings_client::login(login).await?;
    let made = Made { kind: "logged_in", done: "is logged in: this device is on the account's list now.", recovery: None };
    introduce(&folder, made, global.json).await
}

/// How a new profile came to be.
pub struct Made {
    /// The type of its object for programs.
    pub kind: &'static str,
    /// What is said of the person.
    pub done: &'static str,
    /// A new recovery code.
    pub recovery: Option<RecoveryCode>,
}

/// Shows what a new profile is; a new recovery code before anything else can fail. From then on it exists nowhere else:
/// until then doing the same again shows it.
pub async fn introduce(folder: &Path, made: Made, json: bool) -> Result<u8, Failure> {
    let mut out = Out { look: Look::of_stdout(json), to: To::Stdout };
    if let Some(recovery) = made.recovery.as_ref().filter(|_| !json) {
        out.lines(&look::recovery_code(recovery.words(), out.look)).await?;
    }
    let client = Client::open(folder)?;
    let (user, fingerprint, endpoint) = (client.me(), fingerprint(&client).await?, client.endpoint());
    let key = endpoint.key.as_ref().map(show_server_key);
    let mut object = json!({ "user": user.to_string(), "fingerprint": fingerprint, "profile": folder, "server_key": key });
    if let Some(recovery) = &made.recovery {
        object["recovery_code"] = recovery.words().into();
    }
    let sentence = [
        format!("{} {}", out.look.paint(look::BOLD, &user.to_string()), made.done),
        format!("  your key      {}", fingerprint.as_deref().unwrap_or("-")),
        format!("  server's key  {} (pinned)", key.as_deref().unwrap_or("-")),
        format!("  profile       {}", folder.display()),
    ];
    out.done(&sentence.join("\n"), made.kind, &object).await?;
    if let Some(recovery) = &made.recovery {
        client.words_confirmed(recovery.words()).await?;
    }
    // Others can write to this device while it is away, as soon as its server has key packages of it. Where that takes longer, the next
    // command brings them.
    client.connect();
    client.addable(READY).await;
    client.close().await;
    Ok(0)
}

/// The account's own. One that was begun anew has to ask for its history first; where that takes too long, `people` shows it later.
/// Only that is waited for: all that the account has missed may take longer.
async fn fingerprint(client: &Client) -> Result<Option<String>, Failure> {
    if client.my_fingerprint().await?.is_none() {
        client.connect();
    }
    another(client, None).await
}
