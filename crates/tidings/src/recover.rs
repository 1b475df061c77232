//! `tidings recover`: an account whose password is lost, by the 24 words; with another password, and other words.

use crate::cli::{Global, RecoverArguments};
use crate::failure::Failure;
use crate::login::{Made, introduce};
use crate::profile;
use tidings_client::Recover;

/// Runs the command.
pub async fn run(global: &Global, arguments: RecoverArguments) -> Result<u8, Failure> {
    profile::start_log("warn")?;
    let folder = std::path::absolute(profile::folder(global)?)?;
    let endpoint = profile::endpoint(global, &arguments.at, &arguments.user)?;
    let words = arguments.words.read()?;
    let password = arguments.password.choose()?;
    let recover = Recover { profile: &folder, endpoint, user: arguments.user, words, password, device_name: arguments.device.name };
    let recovery = Some(tidings_client::recover(recover).await?);
    let done = "is open on this device, with the new password. The old words and the old password are of no use any more.";
    introduce(&folder, Made { kind: "recovered", done, recovery }, global.json).await
}
