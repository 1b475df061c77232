//! Messages and what happens in conversations, each a line.

use super::people::role;
use super::rooms::short_id;
use super::{BOLD, CYAN, DIM, Look, RED, YELLOW, object};
use crate::{inert, save};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use tidings_client::view::{Event, File, Message, Role, Room, Status, Target};

/// Characters of a group's title, which somebody else has chosen, before a message.
const LONGEST_TITLE: usize = 32;

/// What conversations are called.
pub struct Places(HashMap<Target, String>);

impl Places {
    /// Of these rooms. Groups that share a title have their ids behind it.
    pub fn of(rooms: &[Room]) -> Places {
        let mut count: HashMap<String, usize> = HashMap::new();
        let groups = || rooms.iter().filter(|room| matches!(room.target, Target::Group { .. }));
        groups().for_each(|room| *count.entry(title(&room.title)).or_default() += 1);
        let name = |room: &Room| match (title(&room.title), short_id(&room.target)) {
            (title, id) if title.is_empty() => format!("#{id}"),
            (title, id) if count[&title] > 1 => format!("#{title} ({id})"),
            (title, _) => format!("#{title}"),
        };
        Places(groups().map(|room| (room.target.clone(), name(room))).collect())
    }

    /// `public`, a person, or `#` and a group's title.
    pub fn name(&self, target: &Target) -> String {
        match target {
            Target::Public | Target::Direct { .. } => target.to_string(),
            Target::Group { .. } => self.0.get(target).cloned().unwrap_or_else(|| format!("#{}", short_id(target))),
        }
    }

    /// The place of a message in `target`.
    pub fn place(&self, target: &Target) -> Place {
        Place { target: target.clone(), name: self.name(target) }
    }
}

/// Somebody else's words as a part of a line: in one piece, without breaks, and short.
fn title(text: &str) -> String {
    // Two spaces part a line; a title has no two.
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() && !c.is_control()).filter(|word| !word.is_empty()).collect();
    let mut letters = words.join(" ").chars().collect::<Vec<_>>();
    if letters.len() > LONGEST_TITLE {
        letters.truncate(LONGEST_TITLE - 1);
        letters.push('…');
    }
    inert::line(&String::from_iter(letters))
}

/// Where a message is.
pub struct Place {
    target: Target,
    name: String,
}

/// Whether messages are shown with their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers(pub bool);

/// A message with the conversation it is in.
#[derive(Serialize)]
struct MessageObject<'a> {
    room: &'a Target,
    #[serde(flatten)]
    message: &'a Message,
}

/// One message or event: a line, or more where it has more.
pub fn message(place: &Place, message: &Message, numbers: Numbers, look: Look) -> String {
    if look.json {
        return object("message", &MessageObject { room: &place.target, message });
    }
    let (name, colour) = match &place.target {
        Target::Public => (place.name.clone(), CYAN),
        Target::Direct { .. } => (format!("with {}", place.name), YELLOW),
        Target::Group { .. } => (place.name.clone(), YELLOW),
    };
    let number = if numbers.0 { look.paint(DIM, &format!("{:>6}  ", message.id.0)) } else { String::new() };
    let head = format!("{number}{}  {}  ", look.paint(DIM, &clock(message.at)), look.paint(colour, &name));
    format!("{head}{}{}", body(message, look), mark(&message.status, look))
}

/// What follows the place. Only what somebody says has a colon after the author: nothing that is said can look like something that
/// has happened, or like a file.
fn body(message: &Message, look: Look) -> String {
    let author = message.author.as_ref().map_or_else(|| "unknown".into(), ToString::to_string);
    if let Some(event) = &message.event {
        return look.paint(DIM, &format!("* {author} {}", happened(event)));
    }
    let author = look.paint(BOLD, &author);
    if let Status::Unreadable { reason } = &message.status {
        return format!("{author}: {}", look.paint(RED, &format!("[{}]", inert::line(reason))));
    }
    // Every further line is marked, so that no message can imitate another one.
    let text = inert::lines(&message.text).replace('\n', "\n          | ");
    match &message.file {
        None => format!("{author}: {text}"),
        Some(came) if message.text.is_empty() => format!("{author} {}", file(message, came, look)),
        Some(came) => format!("{author}: {text}\n          {}", file(message, came, look)),
    }
}

/// A file, under the name that it would be saved under.
fn file(message: &Message, file: &File, look: Look) -> String {
    let (name, size) = (inert::line(&save::harmless(&file.name)), size(file.size));
    format!("{} {name}, {size} {}", look.paint(CYAN, "[file]"), look.paint(DIM, &format!("— tidings file save {}", message.id.0)))
}

fn mark(status: &Status, look: Look) -> String {
    match status {
        Status::Pending => look.paint(DIM, "  (on its way)"),
        Status::Waiting => look.paint(DIM, "  (waiting for the other server)"),
        Status::Failed { reason, .. } => look.paint(RED, &format!("  (NOT SENT: {})", inert::line(reason))),
        Status::Unreadable { .. } | Status::Sent { .. } | Status::Received => String::new(),
    }
}

/// What an event says after its author.
fn happened(event: &Event) -> String {
    match event {
        Event::Created => "made this group".into(),
        Event::Invited { user, role: Role::Member } => format!("invited {user}"),
        Event::Invited { user, role: as_what } => format!("invited {user} as {}", role(*as_what)),
        Event::Joined => "joined".into(),
        Event::Left => "left".into(),
        Event::Removed { user } => format!("removed {user}"),
        Event::Role { user, role: now } => format!("made {user} {}", role(*now)),
        Event::Titled { title: now } => format!("called this group #{}", title(now)),
        Event::Erased => "erased a message".into(),
    }
}

/// `312 B`, `3.1 kB`: thousands, as file managers count.
pub fn size(bytes: usize) -> String {
    if bytes < 1000 { format!("{bytes} B") } else { format!("{}.{} kB", bytes / 1000, bytes / 100 % 10) }
}

/// `hh:mm:ss` of a time in milliseconds since 1970, UTC.
pub fn clock(at: u64) -> String {
    let second = at / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}
