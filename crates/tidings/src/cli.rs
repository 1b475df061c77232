//! The command line as clap reads it, and the texts of `--help`. No secret has an option here that takes it.

mod account;
mod host;
mod talk;

pub use account::*;
pub use host::*;
pub use talk::*;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};
use std::fmt::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  tidings server                               run a server
  tidings register alice@s1 --server 10.0.0.5  make an account on it
  tidings client                               chat in your browser
  tidings people                               who is there, who is online, their keys
  tidings send public 'Hello, everybody'
  tidings send bob@s2 -                        a private message, typed or piped in
  tidings room new Plans                       a group; then: tidings room invite Plans bob@s2
  tidings tail                                 see what comes in
  tidings demo                                 two servers, two people, one crash

Exit codes: 0 done, 2 usage, 3 configuration, 4 authentication, 5 not found, 6 refused,
7 unreachable, 8 trust (a key is not the one it should be), 75 not yet (try again).
Environment: TIDINGS_PROFILE, TIDINGS_SETUP (as the options), TIDINGS_PASSWORD, TIDINGS_LOG (like
info or tidings_server=debug), NO_COLOR; and TIDINGS_LISTEN and so on for each key of setup.json.";

/// The commands as `--help` lists them.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Talking", &["client", "people", "rooms", "room", "send", "read", "tail", "file", "erase"]),
    ("Your account", &["register", "login", "recover", "logout", "verify", "devices", "password", "unlock", "rotate", "doctor"]),
    ("Your server", &["server", "user", "invite", "peer", "config"]),
    ("More", &["demo", "help"]),
];

/// Private chat across your own servers
///
/// A server is one program and one folder. Servers that know each other pass messages on,
/// and what people say to each other in private, no server can read.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, after_help = EXAMPLES, verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes, and its help shows last.
#[derive(Debug, Args)]
pub struct Global {
    /// Print one JSON object a line, {"v":1,"type":…}, for programs
    #[arg(long, global = true, display_order = 900)]
    pub json: bool,
    /// The folder of your account on this device [default: tidings/profile in your data folder]
    #[arg(long, global = true, display_order = 901, value_name = "DIR", value_hint = ValueHint::DirPath)]
    #[arg(env = "TIDINGS_PROFILE", hide_env = true)]
    pub profile: Option<PathBuf>,
    /// setup.json (server, peer) or client_setup.json (others) [default: that name in this folder]
    #[arg(long, global = true, display_order = 902, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(env = "TIDINGS_SETUP", hide_env = true)]
    pub setup: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show everybody, who is online, and their keys
    People(PeopleArguments),
    /// Show your conversations: public, with people, in groups
    Rooms(RoomsArguments),
    /// Groups: make one, ask people in, come in, leave
    #[command(subcommand)]
    Room(RoomCommand),
    /// Write a message
    ///
    /// The message is kept on this device first, then sent. Exit code 75 says that no server has
    /// it yet: it is sent as soon as any command of this profile reaches the server, so do not
    /// write it again.
    #[command(verbatim_doc_comment)]
    Send(SendArguments),
    /// Print the newest messages of a conversation
    Read(ReadArguments),
    /// Print messages as they come in
    ///
    /// Other commands of the same profile work beside it. It also says what happens to people's
    /// keys, and who asks you into which group.
    #[command(verbatim_doc_comment)]
    Tail(TailArguments),
    /// Send and save files
    #[command(subcommand)]
    File(FileCommand),
    /// Take a message back, everywhere
    ///
    /// Servers and people's devices put a note in its place. Nobody can make anybody forget what
    /// was read or copied before.
    #[command(verbatim_doc_comment)]
    Erase(EraseArguments),
    /// Chat in your browser, with the pages of this program
    ///
    /// Serves the web client on this machine alone, to which only this machine can connect, and
    /// opens it. Unlike the pages that a server delivers, no server can change these, and the
    /// server's key is checked as for every other command: there is no certificate to accept.
    #[command(verbatim_doc_comment, name = "client")]
    Local(LocalArguments),
    /// Make an account
    ///
    /// Makes your keys on this device, protects them by your password, and shows the recovery
    /// code: once. The password never leaves this device, not even hashed.
    #[command(verbatim_doc_comment)]
    Register(RegisterArguments),
    /// Use an account from this device too
    Login(LoginArguments),
    /// Use an account whose password is lost, by its recovery code
    ///
    /// Sets another password, and shows another recovery code: once. Needs nothing but the 24
    /// words and your name.
    #[command(verbatim_doc_comment)]
    Recover(RecoverArguments),
    /// Remove the account from this device
    ///
    /// Deletes the profile: keys, messages, and what was not sent yet. The device stays on your
    /// list until another one takes it off (`tidings devices revoke`).
    #[command(verbatim_doc_comment)]
    Logout(LogoutArguments),
    /// Compare keys with somebody, and say what came of it
    ///
    /// Without an option, shows the safety number. Exit code 8 says that this person's key has
    /// changed and that nothing is sent to them until you take the new one.
    #[command(verbatim_doc_comment)]
    Verify(VerifyArguments),
    /// Show your devices, name them, take one off
    Devices(DevicesArguments),
    /// Change the password
    Password(PasswordArguments),
    /// Give this device the new keys, after another one has changed them
    Unlock(UnlockArguments),
    /// Change your identity key
    ///
    /// Your old key signs the new one, and everybody you talk to is told. Whoever has verified
    /// you has to do it again. Shows another recovery code: once.
    #[command(verbatim_doc_comment)]
    Rotate(RotateArguments),
    /// Say what state this account is in on this device
    ///
    /// What waits to be sent, what has stopped, whose key has changed, and above all how many
    /// messages could not be opened: there should be none, ever.
    #[command(verbatim_doc_comment)]
    Doctor(DoctorArguments),
    /// Run a server
    ///
    /// Serves people on /client and other servers on /federation, both over TLS 1.3 on one port.
    /// Its keys and its database are in one folder, made at the first start and never anew.
    /// Stops at SIGTERM or Ctrl-C, and loses nothing it has acknowledged by kill -9 either.
    #[command(verbatim_doc_comment)]
    Server(ServerArguments),
    /// Names that you keep for people, and who is here
    #[command(subcommand)]
    User(UserCommand),
    /// Invitations, for servers that do not let everybody in
    #[command(subcommand)]
    Invite(InviteCommand),
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
    /// Write man pages and shell completions into a folder; `cargo xtask man` and `completions` do
    #[command(hide = true)]
    Pages(PagesArguments),
}

/// The whole command line, with the list of commands in groups.
pub fn command() -> clap::Command {
    let command = Arguments::command();
    let list = grouped(&command);
    // Built for `--help` alone: completions and man pages read the commands themselves.
    command.help_template(format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}\n{{options}}{{after-help}}"))
}

fn grouped(command: &clap::Command) -> String {
    let (head, name) = (command.get_styles().get_header(), command.get_styles().get_literal());
    let about = |verb: &str| match verb {
        "help" => Some("Show this, or the help of a command".to_owned()),
        verb => command.find_subcommand(verb)?.get_about().map(ToString::to_string),
    };
    let mut text = String::new();
    for (title, verbs) in GROUPS {
        let _ = writeln!(text, "{head}{title}:{head:#}");
        for (verb, about) in verbs.iter().filter_map(|verb| Some((verb, about(verb)?))) {
            let _ = writeln!(text, "  {name}{verb:<8}{name:#}  {about}");
        }
        text.push('\n');
    }
    let _ = write!(text, "{head}Options:{head:#}");
    text
}

/// Reads the command line. Ends the process where there is nothing to run: `--help`, `--version`, mistakes.
pub fn read() -> Arguments {
    let mut command = command();
    let read = command.clone().try_get_matches().and_then(|matches| Arguments::from_arg_matches(&matches));
    read.unwrap_or_else(|error| error.format(&mut command).exit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn help_lists_every_command_once() {
        let command = command();
        let mut listed: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        let mut there: Vec<&str> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name).collect();
        there.push("help");
        listed.sort_unstable();
        there.sort_unstable();
        assert_eq!(listed, there);
    }

    /// Every command and option says what it does, in lines that fit a screen.
    #[test]
    fn help_is_there_for_everything() {
        fn check(command: &clap::Command) {
            let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
            assert!(command.get_about().is_some(), "{name}");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name}: {}", argument.get_id());
            }
            let help = command.clone().render_long_help().to_string();
            assert!(help.lines().all(|line| line.chars().count() <= 120), "{name}:\n{help}");
            command.get_subcommands().for_each(check);
        }
        let mut command = command();
        command.build();
        check(&command);
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
        check(&command());
    }
}
