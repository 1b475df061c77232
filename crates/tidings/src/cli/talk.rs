//! Arguments of the commands with which people talk.

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::str::FromStr;
use tidings_client::{SuiteName, UserName, view};

/// How long a command that reads waits for the server, for what is new.
#[derive(Debug, Args)]
pub struct Patience {
    /// Wait at most this long for what is new; 0 shows what is on this device
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub wait: u32,
}

/// How long a command that writes waits, and for what.
#[derive(Debug, Args)]
pub struct Away {
    /// How long to wait for your server; `server` waits until the conversation's server has it
    #[arg(long, value_name = "SECONDS|server", default_value = "5")]
    pub wait: Wait,
}

/// What a command that writes waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    /// So many seconds, for the home server.
    Seconds(u32),
    /// As long as it takes, for the server that keeps the conversation.
    Server,
}

impl FromStr for Wait {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Wait, Self::Err> {
        if text == "server" {
            return Ok(Wait::Server);
        }
        text.parse().map(Wait::Seconds).map_err(|_| "it is a number of seconds, or `server`")
    }
}

#[derive(Debug, Args)]
pub struct PeopleArguments {
    /// Wait at most this long for the server
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub wait: u32,
}

#[derive(Debug, Args)]
pub struct RoomsArguments {
    #[command(flatten)]
    pub patience: Patience,
}

#[derive(Debug, Subcommand)]
pub enum RoomCommand {
    /// Make a group, whose owner you are
    New(RoomNewArguments),
    /// Ask people in
    ///
    /// They find the group in `tidings rooms` and come in with `tidings room join`. They will not
    /// see what was written before.
    #[command(verbatim_doc_comment)]
    Invite(RoomInviteArguments),
    /// Come into a group that you are asked into
    Join(RoomOnlyArguments),
    /// Leave a group, or decline to come in
    ///
    /// What you have read stays on this device; nothing new can be read.
    #[command(verbatim_doc_comment)]
    Leave(RoomOnlyArguments),
    /// Put people out, or take an invitation back
    ///
    /// They can read nothing that is written after this.
    #[command(verbatim_doc_comment)]
    Remove(RoomRemoveArguments),
    /// Say what somebody may do
    ///
    /// An owner may do everything, an admin invite, remove and erase, a member read and write.
    #[command(verbatim_doc_comment)]
    Role(RoomRoleArguments),
    /// Give a group another title
    Title(RoomTitleArguments),
    /// Show who is in a group, and who is asked in
    Members(RoomMembersArguments),
}

#[derive(Debug, Args)]
pub struct RoomNewArguments {
    /// What the group is called; no server can read it
    #[arg(required = true)]
    pub title: Vec<String>,
    #[command(flatten)]
    pub sealing: Sealing,
    #[command(flatten)]
    pub away: Away,
}

#[derive(Debug, Args)]
pub struct RoomInviteArguments {
    /// The group: its title, or the beginning of its id
    pub room: String,
    /// Whom: bob@s2
    #[arg(required = true, value_name = "USER")]
    pub users: Vec<UserName>,
    /// What they may do
    #[arg(long, value_enum, default_value_t = RoleName::Member)]
    pub role: RoleName,
    #[command(flatten)]
    pub away: Away,
}

#[derive(Debug, Args)]
pub struct RoomOnlyArguments {
    /// The group: its title, or the beginning of its id
    pub room: String,
    #[command(flatten)]
    pub away: Away,
}

#[derive(Debug, Args)]
pub struct RoomRemoveArguments {
    /// The group: its title, or the beginning of its id
    pub room: String,
    /// Whom: bob@s2
    #[arg(required = true, value_name = "USER")]
    pub users: Vec<UserName>,
    #[command(flatten)]
    pub away: Away,
}

#[derive(Debug, Args)]
pub struct RoomRoleArguments {
    /// The group: its title, or the beginning of its id
    pub room: String,
    /// Who: bob@s2
    pub user: UserName,
    /// What this person may do from now on
    #[arg(value_enum)]
    pub role: RoleName,
    #[command(flatten)]
    pub away: Away,
}

#[derive(Debug, Args)]
pub struct RoomTitleArguments {
    /// The group: its title, or the beginning of its id
    pub room: String,
    /// What it is called from now on; no server can read it
    #[arg(required = true)]
    pub title: Vec<String>,
    #[command(flatten)]
    pub away: Away,
}

#[derive(Debug, Args)]
pub struct RoomMembersArguments {
    /// The group: its title, or the beginning of its id
    pub room: String,
    #[command(flatten)]
    pub patience: Patience,
}

/// [`view::Role`] as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum RoleName {
    /// May do everything
    Owner,
    /// May invite, remove people and erase messages
    Admin,
    /// May read and write
    Member,
}

impl From<RoleName> for view::Role {
    fn from(name: RoleName) -> view::Role {
        match name {
            RoleName::Owner => view::Role::Owner,
            RoleName::Admin => view::Role::Admin,
            RoleName::Member => view::Role::Member,
        }
    }
}

/// [`SuiteName`] as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Suite {
    /// MLS: every message has a key of its own, deleted once it is used
    #[value(name = "mls-1")]
    Mls1,
    /// Classic RSA: every message is locked to each member's key
    #[value(name = "rsa-jwe-1")]
    RsaJwe1,
}

impl From<Suite> for SuiteName {
    fn from(suite: Suite) -> SuiteName {
        match suite {
            Suite::RsaJwe1 => SuiteName::RsaJwe1,
            Suite::Mls1 => SuiteName::Mls1,
        }
    }
}

/// How a new private conversation is sealed.
#[derive(Debug, Args)]
pub struct Sealing {
    /// How a conversation that begins with this is sealed [default: mls-1]; one that exists keeps its own
    #[arg(long, value_name = "SUITE")]
    pub suite: Option<Suite>,
}

#[derive(Debug, Args)]
pub struct SendArguments {
    /// `public`, a person (bob@s2), or a group: its title, or the beginning of its id
    pub to: String,
    /// The text; `-` reads it from standard input, where other people on this machine cannot see it
    #[arg(required = true)]
    pub text: Vec<String>,
    #[command(flatten)]
    pub sealing: Sealing,
    #[command(flatten)]
    pub away: Away,
}

#[derive(Debug, Args)]
pub struct TailArguments {
    /// Only this conversation: `public`, a person, or a group
    pub of: Option<String>,
    /// Begin with the newest N messages that are here already
    #[arg(short = 'n', long = "last", value_name = "N", default_value_t = 10)]
    pub last: usize,
    /// Show each message's number, which `file save` and `erase` take
    #[arg(long)]
    pub ids: bool,
}

#[derive(Debug, Args)]
pub struct ReadArguments {
    /// `public`, a person (bob@s2), or a group: its title, or the beginning of its id
    pub of: String,
    /// At most this many messages
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// Show each message's number, which `file save` and `erase` take
    #[arg(long)]
    pub ids: bool,
    #[command(flatten)]
    pub patience: Patience,
}

#[derive(Debug, Subcommand)]
pub enum FileCommand {
    /// Send a file of at most 32 KiB
    ///
    /// It travels sealed, inside a private message: to one person or to a group.
    #[command(verbatim_doc_comment)]
    Send(FileSendArguments),
    /// Save a file that came with a message
    ///
    /// The file gets a harmless form of the name that its sender gave it, and a number where that
    /// name is taken: nothing is overwritten, and nothing is written outside of the folder.
    #[command(verbatim_doc_comment)]
    Save(FileSaveArguments),
}

#[derive(Debug, Args)]
pub struct FileSendArguments {
    /// A person (bob@s2) or a group: its title, or the beginning of its id
    pub to: String,
    /// The file
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Words to go with it
    pub text: Vec<String>,
    #[command(flatten)]
    pub away: Away,
}

#[derive(Debug, Args)]
pub struct FileSaveArguments {
    /// The message's number, as `read` and `tail` show it
    pub id: i64,
    /// The folder to save it in [default: the one you are in]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct EraseArguments {
    /// The message's number, as `read --ids` and `tail --ids` show it
    pub id: i64,
    #[command(flatten)]
    pub away: Away,
}
