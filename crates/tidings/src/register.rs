//! `tidings register`: a new account, and the recovery code, shown once.

use crate::cli::{Global, RegisterArguments};
use crate::failure::Failure;
use crate::look::{self, Look};
use crate::profile;
use crate::secret::PasswordFrom;
use serde_json::json;
use std::io::Write;
use tidings_client::setup::show_server_key;
use tidings_client::{Client, RecoveryCode, Register};

/// Runs the command.
pub async fn run(global: &Global, arguments: RegisterArguments) -> Result<u8, Failure> {
    profile::start_log("warn")?;
    let folder = std::path::absolute(profile::folder(global)?)?;
    let endpoint = profile::endpoint(global, &arguments.at, &arguments.user)?;
    let password = arguments.password.read("password", true)?;
    let code = arguments.code_file.map(|file| PasswordFrom { password_file: Some(file), password_stdin: false }.read("code", false));
    let code = code.transpose()?.map(|code| code.to_string());
    let user = arguments.user.clone();
    let recovery = tidings_client::register(Register { profile: &folder, endpoint, user, password, code }).await?;

    // The code exists nowhere else: it is shown before anything else can fail.
    let look = Look::of_stdout(global.json);
    if !look.json {
        show(&recovery, look)?;
    }
    let client = Client::open(&folder)?;
    let (fingerprint, endpoint) = (client.my_fingerprint().await?, client.endpoint());
    let key = endpoint.key.as_ref().map(show_server_key);
    client.close().await;
    let mut out = std::io::stdout().lock();
    if look.json {
        let made = json!({
            "user": arguments.user.to_string(), "fingerprint": fingerprint, "profile": folder, "server_key": key,
            "recovery_code": recovery.words(),
        });
        writeln!(out, "{}", look::object("registered", &made))?;
    } else {
        writeln!(out, "{} is registered.", look.paint(look::BOLD, &arguments.user.to_string()))?;
        writeln!(out, "  your key      {}", fingerprint.as_deref().unwrap_or("-"))?;
        writeln!(out, "  server's key  {} (pinned)", key.as_deref().unwrap_or("-"))?;
        writeln!(out, "  profile       {}", folder.display())?;
    }
    Ok(0)
}

fn show(recovery: &RecoveryCode, look: Look) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", look.paint(look::BOLD, "Your recovery code. Write these 24 words on paper, in this order, now:"))?;
    writeln!(out)?;
    let words: Vec<&str> = recovery.words().split(' ').collect();
    let rows = words.len().div_ceil(4);
    for row in 0..rows {
        let line: String = (row..words.len()).step_by(rows).map(|at| format!("{:>6}. {:<10}", at + 1, words[at])).collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out)?;
    writeln!(out, "They open your account when the password is lost. They are not shown again, and nobody can make them anew.")?;
    writeln!(out)?;
    out.flush()
}
