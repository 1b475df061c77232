//! `tidings register`: a new account, and the recovery code, shown once.

use crate::cli::{Global, RegisterArguments};
use crate::failure::Failure;
use crate::login::{Made, introduce};
use crate::{profile, secret};
use tidings_client::Register;

/// Runs the command.
pub async fn run(global: &Global, arguments: RegisterArguments) -> Result<u8, Failure> {
    profile::start_log("warn")?;
    let folder = std::path::absolute(profile::folder(global)?)?;
    let endpoint = profile::endpoint(global, &arguments.at, &arguments.user)?;
    let code = arguments.code_file.as_deref().map(secret::code).transpose()?;
    let password = arguments.password.choose()?;
    let register = Register { profile: &folder, endpoint, user: arguments.user, password, code, device_name: arguments.device.name };
    let recovery = Some(tidings_client::register(register).await?);
    introduce(&folder, Made { kind: "registered", done: "is registered.", recovery }, global.json).await
}
