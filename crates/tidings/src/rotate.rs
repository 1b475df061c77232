//! `tidings rotate`: another identity key, signed by the one before.

use crate::ask::Ask;
use crate::cli::{Global, RotateArguments};
use crate::failure::Failure;
use crate::out::Out;
use crate::secret::Secret;
use crate::{look, profile};
use serde_json::json;
use tidings_client::Client;

/// Runs the command.
pub async fn run(global: &Global, arguments: &RotateArguments) -> Result<u8, Failure> {
    let password = Secret(arguments.password.read()?);
    profile::perform(global, Ask::Rotate { password }).await
}

/// Changes it.
pub async fn answer(client: &Client, password: Secret, out: &mut Out) -> Result<u8, Failure> {
    let recovery = client.rotate(password.0).await?;
    // The code exists nowhere else: it is shown before anything else can fail.
    out.lines(&look::recovery_code(recovery.words(), out.look)).await?;
    let fingerprint = client.my_fingerprint().await?;
    let said = format!("Your identity key is another one now: {}", fingerprint.as_deref().unwrap_or("-"));
    out.done(&said, "rotated", &json!({ "fingerprint": fingerprint })).await?;
    Ok(0)
}
