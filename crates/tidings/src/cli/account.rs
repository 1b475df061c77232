//! Arguments of the commands about an account, its devices and its keys. None of them takes a secret.

use crate::secret::{NewPasswordFrom, PasswordFrom, RecoveryFrom};
use clap::{Args, Subcommand, ValueHint};
use std::path::PathBuf;
use tidings_client::UserName;

#[derive(Debug, Args)]
pub struct RegisterArguments {
    /// The name you want, and the server it is on: alice@s1
    pub user: UserName,
    #[command(flatten)]
    pub at: At,
    #[command(flatten)]
    pub password: PasswordFrom,
    /// Read an invitation, or its code alone, from the first line of FILE; `-` asks for it or reads a pipe
    #[arg(long = "invitation", visible_alias = "code-file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub code_file: Option<PathBuf>,
    #[command(flatten)]
    pub device: DeviceName,
}

#[derive(Debug, Args)]
pub struct LoginArguments {
    /// Your name and server: alice@s1
    pub user: UserName,
    #[command(flatten)]
    pub at: At,
    #[command(flatten)]
    pub password: PasswordFrom,
    #[command(flatten)]
    pub device: DeviceName,
}

#[derive(Debug, Args)]
pub struct RecoverArguments {
    /// Your name and server: alice@s1
    pub user: UserName,
    #[command(flatten)]
    pub at: At,
    #[command(flatten)]
    pub words: RecoveryFrom,
    #[command(flatten)]
    pub password: NewPasswordFrom,
    #[command(flatten)]
    pub device: DeviceName,
}

#[derive(Debug, Args)]
pub struct LogoutArguments {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct LocalArguments {
    #[command(flatten)]
    pub at: At,
    /// Serve here, on 127.0.0.1; a browser keeps your account by this number, so stay with one [default: 5556]
    #[arg(long, value_name = "PORT", default_value_t = 5556, hide_default_value = true)]
    pub port: u16,
    /// Do not open the browser
    #[arg(long)]
    pub no_browser: bool,
}

/// Where the home server is, beside what `client_setup.json` says.
#[derive(Debug, Args)]
pub struct At {
    /// Where the server is [default: "server_ip" in client_setup.json, or else the server's name]
    #[arg(long, value_name = "HOST[:PORT]", value_hint = ValueHint::Hostname)]
    pub server: Option<String>,
    /// The server's key, as `tidings peer show` prints it; without it the first key seen is kept
    // In base64url a key may begin with a hyphen.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub server_key: Option<String>,
}

/// What the new device is called.
#[derive(Debug, Args)]
pub struct DeviceName {
    /// What you call this device in `tidings devices`; only you can read it
    #[arg(long = "device-name", value_name = "NAME")]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// With whom: bob@s2
    pub user: UserName,
    /// You have compared the numbers, and they are the same
    #[arg(long)]
    pub matches: bool,
    /// What the other's screen or QR code says: verified if it is the same, exit code 8 if not
    #[arg(long, value_name = "DIGITS", conflicts_with_all = ["matches", "doubt", "accept", "qr"])]
    pub number: Option<String>,
    /// Show the number as a QR code too, as the web client does
    #[arg(long, conflicts_with_all = ["matches", "doubt", "accept"])]
    pub qr: bool,
    /// It is not verified, or not any more
    #[arg(long, conflicts_with = "matches")]
    pub doubt: bool,
    /// Take this person's new key, after a change that stopped your messages
    #[arg(long, conflicts_with = "doubt")]
    pub accept: bool,
    /// Wait at most this long for what is new; with 0, the keys known to this device count
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub wait: u32,
}

#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Wait at most this long for the server; with 0 it is not asked
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub wait: u32,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DevicesArguments {
    #[command(subcommand)]
    pub command: Option<DevicesCommand>,
    #[command(flatten)]
    pub list: DevicesListArguments,
}

#[derive(Debug, Subcommand)]
pub enum DevicesCommand {
    /// Show your devices
    List(DevicesListArguments),
    /// Give a device a name, which only you can read
    Name(DevicesNameArguments),
    /// Take a device off your list
    ///
    /// It is cut off at once and reads nothing new. Your account gets a new encryption key and a
    /// new recovery code, which is shown once; your other devices ask for `tidings unlock`.
    #[command(verbatim_doc_comment)]
    Revoke(DevicesRevokeArguments),
}

#[derive(Debug, Args)]
pub struct DevicesListArguments {
    /// Wait at most this long for what is new; 0 shows what is on this device
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub wait: u32,
}

#[derive(Debug, Args)]
pub struct DevicesNameArguments {
    /// The beginning of its key, as `tidings devices` shows it, or `this`
    #[arg(allow_hyphen_values = true)]
    pub device: String,
    /// Its name
    #[arg(required = true)]
    pub name: Vec<String>,
}

#[derive(Debug, Args)]
pub struct DevicesRevokeArguments {
    /// The beginning of its key, as `tidings devices` shows it
    #[arg(allow_hyphen_values = true)]
    pub device: String,
    #[command(flatten)]
    pub password: PasswordFrom,
}

#[derive(Debug, Args)]
pub struct PasswordArguments {
    #[command(flatten)]
    pub old: PasswordFrom,
    #[command(flatten)]
    pub new: NewPasswordFrom,
}

#[derive(Debug, Args)]
pub struct RotateArguments {
    #[command(flatten)]
    pub password: PasswordFrom,
}

#[derive(Debug, Args)]
pub struct UnlockArguments {
    #[command(flatten)]
    pub password: PasswordFrom,
}
