//! Arguments of the commands with which an operator runs a server, and of the demo.

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use std::net::SocketAddr;
use std::path::PathBuf;
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
