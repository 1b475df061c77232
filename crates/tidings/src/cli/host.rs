//! Arguments of the commands with which an operator runs a server, and of the demo.

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tidings_client::ServerName;

#[derive(Debug, Args)]
pub struct ServerArguments {
    /// The folder for keys and database [default: tidings/server in your data folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
    /// Listen here; port 0 lets the system choose [default: 0.0.0.0:5555; without a setup.json 127.0.0.1:5555]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// The server's name [default, without a setup.json: the machine's name, or localhost]
    #[arg(long, value_name = "NAME")]
    pub name: Option<ServerName>,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say everything that is wrong, and what should be known; exit code 3 if anything is wrong
    ///
    /// Looks at the file named by --setup, or at setup.json and client_setup.json in this folder,
    /// and at the TIDINGS_… variables.
    #[command(verbatim_doc_comment)]
    Check(ServerArguments),
    /// Show the settings that hold
    Show(ConfigShowArguments),
}

#[derive(Debug, Args)]
pub struct ConfigShowArguments {
    /// Say where each comes from: a file and its line, a variable, a flag, or nowhere (default)
    #[arg(long)]
    pub origin: bool,
    #[command(flatten)]
    pub server: ServerArguments,
}

#[derive(Debug, Subcommand)]
pub enum PeerCommand {
    /// Print the line that another server's operator pastes into "mailing_address"
    Show(PeerShowArguments),
    /// Show how things stand with each server in "mailing_address"
    ///
    /// Whether there is a link and since when, what waits to be sent and for how long, and
    /// what went wrong last. Asks the server that runs.
    #[command(verbatim_doc_comment)]
    List(ServerFolder),
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Keep a name for somebody, and print the line by which they claim it
    ///
    /// The line is good once, until it is used or another is made for the same name. It is
    /// printed on standard output, all else on standard error. Asks the server that runs.
    #[command(verbatim_doc_comment)]
    Add(UserAddArguments),
    /// Let somebody begin anew who has lost everything, and print the line by which they do
    ///
    /// For who has lost password, recovery code and devices. Nothing changes until the line is used;
    /// then the account has new keys. Everybody who writes to them is told, and has to accept it;
    /// old messages stay closed. Give the line to nobody but the owner.
    #[command(verbatim_doc_comment)]
    Reset(UserAddArguments),
    /// Close an account, for good
    ///
    /// Its devices are cut off, everybody is told, and nobody gets the name again. What was
    /// written stays where it was read.
    #[command(verbatim_doc_comment)]
    Remove(UserRemoveArguments),
    /// Show who has an account here, who is online, and which names are kept
    List(ServerFolder),
}

#[derive(Debug, Args)]
pub struct UserAddArguments {
    /// The name, like carol or carol@s1
    pub name: String,
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub folder: ServerFolder,
}

#[derive(Debug, Args)]
pub struct UserRemoveArguments {
    /// The name, like carol or carol@s1
    pub name: String,
    /// Do it without asking
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub folder: ServerFolder,
}

#[derive(Debug, Subcommand)]
pub enum InviteCommand {
    /// Print a line with which people make accounts, under names of their choice
    ///
    /// The line is printed on standard output, all else on standard error. The server keeps
    /// nothing of it but a hash. Asks the server that runs.
    #[command(verbatim_doc_comment)]
    New(InviteNewArguments),
    /// Show the lines that are good: invitations, claims, resets
    List(ServerFolder),
    /// End a line; accounts that were made with it stay
    Revoke(InviteRevokeArguments),
}

#[derive(Debug, Args)]
pub struct InviteNewArguments {
    /// How many people it lets in
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub uses: u32,
    /// How long it is good, like 30m, 12h, 7d or 2w
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = crate::operator::read_span)]
    pub expires: Duration,
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub folder: ServerFolder,
}

#[derive(Debug, Args)]
pub struct InviteRevokeArguments {
    /// Which, as `tidings invite list` shows it
    pub id: String,
    #[command(flatten)]
    pub folder: ServerFolder,
}

/// Where people reach the server that is asked.
#[derive(Debug, Args)]
pub struct Reach {
    /// Where people reach this server [default: "advertise" or "listen" in setup.json]
    #[arg(long, value_name = "HOST:PORT", value_hint = ValueHint::Hostname)]
    pub address: Option<String>,
}

/// The server that is asked.
#[derive(Debug, Args)]
pub struct ServerFolder {
    /// The server's folder [default: as setup.json says, or tidings/server in your data folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct PeerShowArguments {
    #[command(flatten)]
    pub server: ServerArguments,
    /// Where others reach this server [default: "advertise" or "listen" in setup.json]
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<String>,
}

#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Leave the servers running, and keep their folders
    #[arg(long)]
    pub keep: bool,
}

#[derive(Debug, Args)]
pub struct PagesArguments {
    /// What is written
    #[arg(value_enum)]
    pub what: Pages,
    /// The folder, which is made if it is not there
    #[arg(value_hint = ValueHint::DirPath)]
    pub folder: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pages {
    /// One page a command, for `man`
    Man,
    /// One file a shell
    Completions,
}
