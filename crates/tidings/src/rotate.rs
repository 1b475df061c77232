//! `tidings rotate`: another identity key, signed by the one before.

use crate::ask::Ask;
use crate::cli::{Global, RotateArguments};
use crate::failure::Failure;
use crate::out::Out;
use crate::secret::Secret;
use crate::{look, profile};
use serde_json::json;
use std::time::Duration;
use tidings_client::Client;
use tokio::time::Instant;

/// Runs the command.
pub async fn run(global: &Global, arguments: &RotateArguments) -> Result<u8, Failure> {
    let password = Secret(arguments.password.read()?);
    profile::perform(global, Ask::Rotate { password }).await
}

/// Changes it.
pub async fn answer(client: &Client, password: Secret, out: &mut Out) -> Result<u8, Failure> {
    let before = client.my_fingerprint().await?;
    let recovery = client.rotate(password.0).await?;
    // The code is shown before anything else can fail, and exists nowhere else then.
    out.lines(&look::recovery_code(recovery.words(), out.look)).await?;
    client.words_confirmed(recovery.words()).await?;
    let fingerprint = another(client, before).await?;
    let said = format!("Your identity key is another one now: {}", fingerprint.as_deref().unwrap_or("`tidings people` shows it"));
    out.done(&said, "rotated", &json!({ "fingerprint": fingerprint })).await?;
    Ok(0)
}

/// The fingerprint of another identity than `before`, once its list has come. None where that takes too long.
pub async fn another(client: &Client, before: Option<String>) -> Result<Option<String>, Failure> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut changes = client.changes();
    let deadline = Instant::now() + PATIENCE;
    loop {
        changes.borrow_and_update();
        let now = client.my_fingerprint().await?;
        if now != before {
            return Ok(now);
        }
        if !matches!(tokio::time::timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
            return Ok(None);
        }
    }
}
