//! What a page asks of the client core, which runs in a Worker, and what it is told: each message one JSON object.
//!
//! All tabs of one origin share one core, in the Worker of whichever tab holds the lock, and talk to it over one `BroadcastChannel`,
//! the tab that has the core no differently. When that tab is closed the core begins anew in another; pages then ask again what was not answered,
//! so that every request may be made twice: reading changes nothing, and what writes carries a [`Once`]. What a person has written a page keeps
//! on disk ([`Kept`]) until it is answered, so that it is asked again also by a page that is opened later.

use crate::shown::{Comparison, Device, File, Link, Member, Message, MessageId, Notice, Person, Role, Room, Target};
use crate::text;
use serde::{Deserialize, Serialize};
use std::fmt;
use tidings_proto::{ServerName, UserName};

/// The name of the `BroadcastChannel`, and of the Web Lock that says whose Worker has the core.
pub const CHANNEL: &str = "tidings";

/// From a page to the core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Which tab: chosen by it at random, once.
    pub page: String,
    /// Which of its requests: counts up.
    pub req: u32,
    /// As whom: another account's core does not do it. None for what is asked of whoever is there.
    #[serde(with = "text::option")]
    pub whose: Option<UserName>,
    /// What.
    pub ask: Ask,
}

/// Of a request that a core cannot read, since the page that asks is of another version: whom to tell so.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Asker {
    /// Which tab.
    pub page: String,
    /// Which of its requests.
    pub req: u32,
}

/// The same of an answer that a page cannot read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unread {
    /// To whom it was.
    Answer(Asker),
}

/// What a page keeps on disk from before it is asked until it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// As whom it was written.
    #[serde(with = "text")]
    pub whose: UserName,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// What.
    pub ask: Ask,
}

/// From the core to pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// To one of them.
    Answer {
        /// Which tab.
        page: String,
        /// Which of its requests.
        req: u32,
        /// What.
        answer: Result<Answer, Trouble>,
    },
    /// To all: a core has begun; what was not answered is to be asked again.
    Begun,
    /// To all: something in the store or on the link has changed. What is on screen is to be asked for again; told at most once per frame of 16 ms.
    Changed,
}

/// Something that is done once, however often it is asked for: chosen by whoever asks first, at random.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Once(pub String);

/// A request. Secrets are in it; it is never written to a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Who and where one is: [`Answer::Standing`].
    Standing,
    /// A new account: [`Answer::Words`].
    Register {
        /// The part before the `@`.
        local: String,
        /// The password.
        password: String,
        /// An invitation or claim, where the server wants one.
        code: Option<String>,
        /// What this device is called.
        device: Option<String>,
    },
    /// This browser becomes a device of an account: [`Answer::Done`].
    Login {
        /// The part before the `@`.
        local: String,
        /// The password, or the 24 words.
        secret: String,
        /// Whether it is the words.
        recovery: bool,
        /// What this device is called.
        device: Option<String>,
    },
    /// The account gets a new password by the 24 words, for which it gets new ones, and this browser becomes its device: [`Answer::Words`].
    Recover {
        /// The part before the `@`.
        local: String,
        /// The 24 words.
        words: String,
        /// The new password.
        password: String,
        /// What this device is called.
        device: Option<String>,
    },
    /// Words that nobody has confirmed: [`Answer::Words`], or [`Answer::Done`] where there are none.
    Words,
    /// These are written down, and are not kept any more: [`Answer::Done`].
    WordsConfirmed {
        /// They.
        words: String,
    },
    /// Deletes what is stored here. The device stays on the account until another takes it off: [`Answer::Done`].
    Logout,
    /// Deletes what is stored here where that cannot be opened any more ([`UNREADABLE`]): [`Answer::Done`], and a core that begins anew.
    Forget,
    /// The conversations: [`Answer::Rooms`].
    Rooms,
    /// Everybody: [`Answer::People`].
    People,
    /// Part of a conversation: [`Answer::Window`].
    Window {
        /// Which.
        target: Target,
        /// From where.
        from: Anchor,
        /// How many messages at most.
        limit: usize,
    },
    /// A group's people: [`Answer::Members`].
    Members(Target),
    /// A message: [`Answer::Written`].
    Send {
        /// Where to.
        target: Target,
        /// What.
        text: String,
        /// So that it is written once.
        once: Once,
    },
    /// A file: [`Answer::Written`].
    SendFile {
        /// Where to.
        target: Target,
        /// What it is called.
        name: String,
        /// What it is.
        media_type: String,
        /// What is in it.
        #[serde(with = "text::bytes")]
        bytes: Vec<u8>,
        /// What is written beside it.
        text: String,
        /// So that it is sent once.
        once: Once,
    },
    /// What is in a message's file: [`Answer::File`].
    File(MessageId),
    /// What has failed is sent again, as a new message in its place: [`Answer::Written`].
    Retry(MessageId),
    /// What has failed is taken off the screen: [`Answer::Done`].
    Discard(MessageId),
    /// Erases a message of one's own for everybody: [`Answer::Written`].
    Erase {
        /// Which.
        message: MessageId,
        /// So that it is done once.
        once: Once,
    },
    /// Everything up to this message was seen: [`Answer::Done`].
    Seen {
        /// The conversation.
        target: Target,
        /// The message.
        message: MessageId,
    },
    /// What stands in a conversation's composer: [`Answer::Done`]. [`Ask::Rooms`] has it.
    Draft {
        /// The conversation.
        target: Target,
        /// What; empty for nothing.
        text: String,
    },
    /// A new group: [`Answer::Group`].
    CreateGroup {
        /// What it is called.
        title: String,
        /// Whether it is sealed by classic RSA rather than MLS.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        classic: bool,
        /// So that it is made once.
        once: Once,
    },
    /// Something that is done to a group: [`Answer::Written`].
    Group {
        /// Which.
        group: Target,
        /// What.
        deed: Deed,
        /// So that it is done once.
        once: Once,
    },
    /// What two people compare: [`Answer::Comparison`].
    Compare(#[serde(with = "text")] UserName),
    /// It was compared, or that is taken back: [`Answer::Done`].
    SetVerified {
        /// With whom.
        #[serde(with = "text")]
        user: UserName,
        /// Whether it holds.
        verified: bool,
    },
    /// A changed key is relied upon from now on: [`Answer::Done`].
    AcceptKey(#[serde(with = "text")] UserName),
    /// One's own devices: [`Answer::Devices`].
    Devices,
    /// What a device is called: [`Answer::Done`].
    NameDevice {
        /// Its key.
        device: String,
        /// Its name.
        name: String,
    },
    /// Takes a device off the account: [`Answer::Words`].
    Revoke {
        /// Its key.
        device: String,
        /// The password.
        password: String,
    },
    /// Another password: [`Answer::Done`].
    ChangePassword {
        /// That so far.
        old: String,
        /// That from now on.
        new: String,
    },
    /// The password, where another device has changed the account's secrets: [`Answer::Done`].
    Unlock {
        /// It.
        password: String,
    },
    /// What one should know about keys, after the notice with this number: [`Answer::Notices`].
    Notices(i64),
}

impl Ask {
    /// By which name it is done once. What has one is a person's work: a page keeps it until it is answered, and a core does one after the other.
    pub fn once(&self) -> Option<&Once> {
        match self {
            Ask::Send { once, .. }
            | Ask::SendFile { once, .. }
            | Ask::Erase { once, .. }
            | Ask::CreateGroup { once, .. }
            | Ask::Group { once, .. } => Some(once),
            _ => None,
        }
    }
}

/// What is done to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Asks somebody in.
    Invite {
        /// Whom.
        #[serde(with = "text")]
        user: UserName,
        /// As what.
        role: Role,
    },
    /// Accepts an invitation.
    Join,
    /// Goes, or declines.
    Leave,
    /// Puts somebody out, or takes an invitation back.
    Remove(#[serde(with = "text")] UserName),
    /// Gives somebody another role.
    SetRole {
        /// Whom.
        #[serde(with = "text")]
        user: UserName,
        /// Which.
        role: Role,
    },
    /// Calls it something else.
    SetTitle(String),
}

/// Where part of a conversation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The newest.
    End,
    /// The newest before this one.
    Before(MessageId),
    /// This one and those after it: what is on screen is asked for again by its first message, so that it changes and never moves.
    From(MessageId),
    /// Around this one.
    Around(MessageId),
    /// Around the first that was not seen; where all were, the newest.
    Unseen,
}

/// What is answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was done.
    Done,
    /// To [`Ask::Standing`].
    Standing(Standing),
    /// Words to be written down.
    Words(Words),
    /// To [`Ask::Rooms`]: the public one first.
    Rooms(Vec<RoomLine>),
    /// To [`Ask::People`].
    People(Vec<Person>),
    /// To [`Ask::Window`].
    Window(Window),
    /// To [`Ask::Members`].
    Members(Vec<Member>),
    /// What was asked for has this message, whose status says what becomes of it.
    Written(MessageId),
    /// To [`Ask::CreateGroup`].
    Group(Target),
    /// To [`Ask::File`].
    File {
        /// What it is.
        file: File,
        /// What is in it.
        #[serde(with = "text::bytes")]
        bytes: Vec<u8>,
    },
    /// To [`Ask::Compare`].
    Comparison(Comparison),
    /// To [`Ask::Devices`].
    Devices(Vec<Device>),
    /// To [`Ask::Notices`].
    Notices(Vec<Notice>),
}

/// The 24 words of an account, which nobody has confirmed to have written down.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// They, with single spaces between.
    pub words: String,
    /// Whether it is known that they hold. Where a change was cut off either they hold or those before do.
    pub sure: bool,
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(…)")
    }
}

/// Who and where one is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The server that this page belongs to.
    #[serde(with = "text")]
    pub server: ServerName,
    /// Who may make an account there: `open`, `invitation` or `closed`; none where only the server itself can say.
    pub registration: Option<String>,
    /// Whether the server's key was known before it was first seen, as it is under `tidings client`.
    pub pinned: bool,
    /// Who; none before there is an account here.
    #[serde(with = "text::option")]
    pub me: Option<UserName>,
    /// One's own key's fingerprint.
    pub fingerprint: Option<String>,
    /// The way to the home server.
    pub link: Link,
    /// Whether the password is wanted ([`Ask::Unlock`]).
    pub locked: bool,
    /// Why the client has stopped for good until somebody does something, as a sentence.
    pub stopped: Option<String>,
    /// Whether words are to be written down ([`Ask::Words`]).
    pub words: bool,
}

/// A conversation in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomLine {
    /// What it is.
    #[serde(flatten)]
    pub room: Room,
    /// Messages of others after what was seen.
    pub unseen: u64,
    /// Whether one of them names this person.
    pub mentioned: bool,
    /// The newest message's time, in milliseconds since 1970; by this the list is ordered.
    pub newest: Option<u64>,
    /// What stands in the composer.
    pub draft: Option<String>,
}

/// Part of a conversation: messages that follow each other, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Which conversation.
    pub target: Target,
    /// They.
    pub messages: Vec<Message>,
    /// Whether there are older ones.
    pub older: bool,
    /// Whether there are newer ones.
    pub newer: bool,
    /// The newest message that was seen.
    pub seen: Option<MessageId>,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// A sentence for a person, that says what to do.
    pub text: String,
    /// Of what kind: the exit code that a command would end with.
    pub kind: u8,
}

/// The kind of trouble with which every request ends while what is stored here cannot be opened.
pub const UNREADABLE: u8 = 65;

/// Passwords and words are in it.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ask(…)")
    }
}

/// Words and texts are in it.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(…)")
    }
}
