//! What a timeline shows one below the other: messages, and between them days and the line above what is new.

use crate::clock::Local;
use tidings_proto::UserName;
use tidings_view::ask::{Ask, Once};
use tidings_view::{Message, MessageId, Target};

/// Something that was handed to the core and is not in its store yet: on screen at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// What makes it once only.
    pub once: Once,
    /// Where to.
    pub target: Target,
    /// Its text, or its file's name.
    pub text: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Whether it is on disk, so that it is sent whatever becomes of this page.
    pub kept: bool,
    /// What the core calls it, once it has said.
    pub written: Option<MessageId>,
}

impl Echo {
    /// What a request looks like that was not answered yet, where it is a message.
    pub fn of(ask: &Ask, at: u64) -> Option<Echo> {
        let (once, target, text) = match ask {
            Ask::Send { target, text, once } => (once, target, text.clone()),
            Ask::SendFile { target, name, text, once, .. } if text.is_empty() => (once, target, format!("`{name}`")),
            Ask::SendFile { target, name, text, once, .. } => (once, target, format!("{text}\n`{name}`")),
            _ => return None,
        };
        Some(Echo { once: once.clone(), target: target.clone(), text, at, kept: false, written: None })
    }
}

/// What a row is known by while others come and go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// The day that begins with this message.
    Day(MessageId),
    /// The day that begins with what the core has not stored yet.
    NewDay,
    /// The line above what is new.
    Unseen,
    /// A message.
    Message(MessageId),
    /// Something that the core has not stored yet.
    Echo(Once),
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A day.
    Day(String),
    /// The line above what is new.
    Unseen,
    /// A message.
    Message {
        /// It. What goes with it is the same however often it is asked for.
        message: Message,
        /// Whether its author is named: not where the one above has the same.
        head: bool,
        /// Its time.
        time: String,
    },
    /// Something that the core has not stored yet.
    Echo {
        /// It.
        echo: Echo,
        /// Whether its author is named, as with a message: so nothing moves when it is one.
        head: bool,
        /// Its time.
        time: String,
    },
}

/// Messages of one author that are no further apart stand together.
const TOGETHER: u64 = 5 * 60_000;

/// The rows of messages that follow each other, the line standing after `fence`. `me` is whose echoes they are.
pub fn rows(
    messages: &[Message],
    echoes: &[Echo],
    me: Option<&UserName>,
    fence: Option<Fence>,
    now: u64,
    ahead: impl Fn(u64) -> i32,
) -> Vec<(Key, Row)> {
    let local = |at| Local::new(at, ahead(at));
    let today = local(now);
    let mut rows: Vec<(Key, Row)> = Vec::with_capacity(messages.len() + echoes.len() + 4);
    let mut before: Option<Before> = None;
    let mut line = fence == Some(Fence::Top);
    for message in messages {
        let new_day = before.is_none_or(|(_, at)| local(at).day() != local(message.at).day());
        let author = message.author.as_ref().filter(|_| message.event.is_none());
        if new_day {
            rows.push((Key::Day(message.id), Row::Day(local(message.at).day_name(today))));
        }
        if line {
            rows.push((Key::Unseen, Row::Unseen));
        }
        let head = new_day || line || !goes_on(before, author, message.at);
        rows.push((Key::Message(message.id), Row::Message { message: message.clone(), head, time: local(message.at).time() }));
        line = fence == Some(Fence::After(message.id));
        before = Some((author, message.at));
    }
    for echo in echoes.iter().filter(|echo| !echo.written.is_some_and(|id| messages.iter().any(|message| message.id == id))) {
        let new_day = before.is_none_or(|(_, at)| local(at).day() != local(echo.at).day());
        if new_day {
            rows.push((Key::NewDay, Row::Day(local(echo.at).day_name(today))));
        }
        let head = new_day || !goes_on(before, me, echo.at);
        rows.push((Key::Echo(echo.once.clone()), Row::Echo { echo: echo.clone(), head, time: local(echo.at).time() }));
        before = Some((me, echo.at));
    }
    rows
}

/// Where the line above what is new stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// Above everything.
    Top,
    /// Below this one.
    After(MessageId),
}

/// Who has written what is above, where that is a message and not something that has happened; and when.
type Before<'a> = (Option<&'a UserName>, u64);

/// Whether a message's author is clear from the one above.
fn goes_on(before: Option<Before>, author: Option<&UserName>, at: u64) -> bool {
    author.is_some() && before.is_some_and(|(above, then)| above == author && at.abs_diff(then) <= TOGETHER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_view::Status;

    const HOUR: u64 = 3_600_000;

    fn message(id: i64, author: &str, at: u64) -> Message {
        Message {
            id: MessageId(id),
            author: Some(author.parse().unwrap()),
            text: String::new(),
            file: None,
            event: None,
            at,
            status: Status::Received,
            place: None,
            log: "public@s1".into(),
        }
    }

    fn drawn(messages: &[Message], echoes: &[Echo], fence: Option<Fence>) -> String {
        let sign = |(_, row): (Key, Row)| match row {
            Row::Day(name) => format!("[{name}]"),
            Row::Unseen => "-".into(),
            Row::Message { message, head: true, .. } => format!("{}:{}", message.author.unwrap().local(), message.id.0),
            Row::Message { message, .. } => message.id.0.to_string(),
            Row::Echo { head: true, .. } => "me:…".into(),
            Row::Echo { .. } => "…".into(),
        };
        rows(messages, echoes, Some(&"me@s1".parse().unwrap()), fence, 30 * HOUR, |_| 0).into_iter().map(sign).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn days_authors_and_what_is_new() {
        let all = [
            message(1, "bob@s2", 22 * HOUR),
            message(2, "bob@s2", 22 * HOUR + TOGETHER),
            message(3, "bob@s2", 22 * HOUR + 2 * TOGETHER + 1),
            message(4, "bob@s2", 25 * HOUR),
            message(5, "eve@s2", 25 * HOUR),
        ];
        assert_eq!(drawn(&all, &[], None), "[Yesterday] bob:1 2 bob:3 [Today] bob:4 eve:5");
        assert_eq!(drawn(&all[..2], &[], Some(Fence::After(MessageId(1)))), "[Yesterday] bob:1 - bob:2");
        assert_eq!(drawn(&all[..1], &[], Some(Fence::Top)), "[Yesterday] - bob:1");
        assert_eq!(drawn(&all[..1], &[], Some(Fence::After(MessageId(1)))), "[Yesterday] bob:1", "nothing is below it");
    }

    #[test]
    fn a_message_is_on_screen_once_before_and_after_the_core_has_it() {
        let ask = Ask::Send { target: Target::Public, text: "a".into(), once: Once("x".into()) };
        let echo = |written| Echo { written, ..Echo::of(&ask, 25 * HOUR).unwrap() };
        let there = [message(1, "bob@s2", 25 * HOUR)];
        assert_eq!(drawn(&there, &[echo(None)], None), "[Today] bob:1 me:…");
        assert_eq!(drawn(&there, &[echo(Some(MessageId(2)))], None), "[Today] bob:1 me:…", "stored, and not asked for yet");
        assert_eq!(drawn(&there, &[echo(Some(MessageId(1)))], None), "[Today] bob:1");
        // It stands as the message will, so that nothing moves.
        let twice = [echo(None), Echo { once: Once("y".into()), ..echo(None) }];
        assert_eq!(drawn(&[], &twice, None), "[Today] me:… …");
        assert_eq!(drawn(&[message(1, "me@s1", 25 * HOUR)], &twice, None), "[Today] me:1 … …");
        assert_eq!(drawn(&[message(1, "me@s1", 22 * HOUR)], &twice[..1], None), "[Yesterday] me:1 [Today] me:…");
    }
}
