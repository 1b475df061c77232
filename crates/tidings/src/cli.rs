//! The command line as clap reads it, and the texts of `--help`. No secret has an option here that takes it.

use crate::secret::PasswordFrom;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use tidings_client::{ServerName, UserName};

const EXAMPLES: &str = "Examples:
  tidings server --setup setup.json          run a server
  tidings register alice@s1 --server 10.0.0.5
  tidings people                             who is there, who is online, their keys
  tidings send public 'Hello, everybody'
  tidings send bob@s2 -                      a private message, typed or piped in
  tidings tail                               see what comes in
  tidings demo                               two servers, two people, one crash

Exit codes: 0 done, 2 usage, 3 configuration, 4 authentication, 5 not found, 6 refused,
7 unreachable, 8 trust (a key is not the one it should be), 75 not yet (try again).
Environment: TIDINGS_PROFILE, TIDINGS_SETUP (as the options), TIDINGS_PASSWORD, TIDINGS_LOG (like
info or tidings_server=debug), NO_COLOR; and TIDINGS_LISTEN and so on for each key of setup.json.";

/// Private chat across your own servers
///
/// A server is one program and one folder. Servers that know each other pass messages on,
/// and what two people say to each other in private, no server can read.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, after_help = EXAMPLES, verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Print one JSON object a line, {"v":1,"type":…}, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// The folder of your account on this device [default: tidings/profile in your data folder]
    #[arg(long, global = true, value_name = "DIR", env = "TIDINGS_PROFILE", hide_env = true)]
    pub profile: Option<PathBuf>,
    /// setup.json (server, peer) or client_setup.json (others) [default: that name in this folder]
    #[arg(long, global = true, value_name = "FILE", env = "TIDINGS_SETUP", hide_env = true)]
    pub setup: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a server
    ///
    /// Serves people on /client and other servers on /federation, both over TLS 1.3 on one port.
    /// Its keys and its database are in one folder, made at the first start and never anew.
    /// Stops at SIGTERM or Ctrl-C, and loses nothing it has acknowledged by kill -9 either.
    #[command(verbatim_doc_comment)]
    Server(ServerArguments),
    /// Make an account
    ///
    /// Makes your keys on this device, protects them by your password, and shows the recovery
    /// code: once. The password never leaves this device, not even hashed.
    #[command(verbatim_doc_comment)]
    Register(RegisterArguments),
    /// Use an account from this device too
    Login(LoginArguments),
    /// Show everybody, who is online, and their keys
    People(PeopleArguments),
    /// Write a message
    ///
    /// The message is kept on this device first, then sent. Exit code 75 says that no server has
    /// it yet: it is sent as soon as any command of this profile reaches the server, so do not
    /// write it again.
    #[command(verbatim_doc_comment)]
    Send(SendArguments),
    /// Print messages as they come in
    ///
    /// Other commands of the same profile work beside it.
    Tail(TailArguments),
    /// Print the newest messages of a conversation
    Read(ReadArguments),
    /// About other servers
    #[command(subcommand)]
    Peer(PeerCommand),
    /// Check and show what setup files, variables and flags come to
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show it all: two servers, two people, a crash, and nothing lost
    ///
    /// Starts s1 and s2 as real processes in a temporary folder, registers alice@s1 and bob@s2,
    /// lets them write in public and in private, kills s2 with kill -9, lets alice write on,
    /// starts s2 again, and checks that everything arrived once and in order.
    #[command(verbatim_doc_comment)]
    Demo(DemoArguments),
}

#[derive(Debug, Args)]
pub struct ServerArguments {
    /// The folder for keys and database [default: tidings/server in your data folder]
    #[arg(long, value_name = "DIR")]
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

#[derive(Debug, Args)]
pub struct RegisterArguments {
    /// The name you want, and the server it is on: alice@s1
    pub user: UserName,
    #[command(flatten)]
    pub at: At,
    #[command(flatten)]
    pub password: PasswordFrom,
    /// Read an invitation or claim code from the first line of FILE
    #[arg(long, value_name = "FILE")]
    pub code_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct LoginArguments {
    /// Your name and server: alice@s1
    pub user: UserName,
    #[command(flatten)]
    pub at: At,
    #[command(flatten)]
    pub password: PasswordFrom,
    /// With the 24 words of the recovery code in place of the password
    #[arg(long)]
    pub recovery: bool,
}

/// Where the home server is, beside what `client_setup.json` says.
#[derive(Debug, Args)]
pub struct At {
    /// Where the server is [default: "server_ip" in client_setup.json, or else the server's name]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub server: Option<String>,
    /// The server's key, as `tidings peer show` prints it; without it the first key seen is kept
    // In base64url a key may begin with a hyphen.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub server_key: Option<String>,
}

#[derive(Debug, Args)]
pub struct PeopleArguments {
    /// Wait at most this long for the server
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub wait: u32,
}

#[derive(Debug, Args)]
pub struct SendArguments {
    /// `public`, or somebody's name: bob@s2
    pub to: String,
    /// The text; `-` reads it from standard input, where other people on this machine cannot see it
    #[arg(required = true)]
    pub text: Vec<String>,
    /// Wait at most this long for the server
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub wait: u32,
}

#[derive(Debug, Args)]
pub struct TailArguments {
    /// Only this conversation: `public`, or somebody's name
    pub of: Option<String>,
    /// Begin with the newest N messages that are here already
    #[arg(short = 'n', long = "last", value_name = "N", default_value_t = 10)]
    pub last: usize,
}

#[derive(Debug, Args)]
pub struct ReadArguments {
    /// `public`, or somebody's name: bob@s2
    pub of: String,
    /// At most this many messages
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// Wait at most this long for the server; then, or with 0, what is on this device is shown
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub wait: u32,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_server_key_may_begin_with_a_hyphen() {
        let key = format!("-{}", "b".repeat(42));
        let read = Arguments::try_parse_from(["tidings", "login", "alice@s1", "--server-key", &key]).unwrap();
        assert!(matches!(read.command, Command::Login(login) if login.at.server_key.as_deref() == Some(&*key)));
    }

    /// Arguments can be read by everybody on a machine.
    #[test]
    fn no_option_takes_a_secret() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                let takes_value = argument.get_action().takes_values();
                let secret = ["password", "secret", "recovery", "code", "token"].iter().any(|word| name.contains(word));
                let names_a_file = name.ends_with("_file");
                assert!(!(secret && takes_value && !names_a_file), "{} --{name}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Arguments::command());
    }
}
