//! The part of a conversation that a page holds: a run of messages that follow each other, which grows and shrinks at both ends.
//!
//! A conversation may have 100,000 messages; the page never has more than [`MOST`], so that its cost does not grow with it.

use tidings_view::ask::{Anchor, Window};
use tidings_view::{Message, MessageId};

/// How many messages are asked for at once.
pub const PAGE: usize = 60;
/// How many are held.
pub const MOST: usize = 240;

/// A run of messages, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// They.
    pub messages: Vec<Message>,
    /// Whether there are older ones.
    pub older: bool,
    /// Whether there are newer ones.
    pub newer: bool,
    /// The newest that was seen.
    pub seen: Option<MessageId>,
}

impl Held {
    /// What to ask so that what is held is as it is now, with what has come after it.
    pub fn again(&self) -> (Anchor, usize) {
        match self.messages.first() {
            Some(first) => (Anchor::From(first.id), self.messages.len() + if self.newer { 0 } else { PAGE }),
            None => (Anchor::End, PAGE),
        }
    }

    /// What to ask for older ones.
    pub fn before(&self) -> Option<(Anchor, usize)> {
        let first = self.messages.first().filter(|_| self.older)?;
        Some((Anchor::Before(first.id), PAGE))
    }

    /// What to ask for newer ones: the last is asked for again, so that it is known where they go on.
    pub fn after(&self) -> Option<(Anchor, usize)> {
        let last = self.messages.last().filter(|_| self.newer)?;
        Some((Anchor::From(last.id), PAGE + 1))
    }

    /// Holds what was answered, and nothing else: for the first time, and to [`Held::again`].
    pub fn replace(&mut self, window: Window) {
        // An answer that begins elsewhere says nothing about older ones than those.
        *self = Held { messages: window.messages, older: window.older, newer: window.newer, seen: window.seen };
    }

    /// Holds older ones too; the newest go where there are too many.
    pub fn prepend(&mut self, window: Window) {
        let mut messages = window.messages;
        messages.retain(|message| self.position(message.id).is_none());
        messages.append(&mut self.messages);
        self.newer |= messages.len() > MOST;
        messages.truncate(MOST);
        *self = Held { messages, older: window.older, newer: self.newer, seen: window.seen };
    }

    /// Holds newer ones too; the oldest go where there are too many.
    pub fn append(&mut self, window: Window) {
        if let Some(from) = window.messages.first().and_then(|first| self.position(first.id)) {
            self.messages.truncate(from);
        }
        self.messages.extend(window.messages);
        self.newer = window.newer;
        self.seen = window.seen;
        self.trim_oldest();
    }

    /// The oldest go where there are too many: for whoever reads at the end.
    pub fn trim_oldest(&mut self) {
        if self.messages.len() > MOST {
            self.messages.drain(..self.messages.len() - MOST);
            self.older = true;
        }
    }

    /// Where a message is.
    pub fn position(&self, id: MessageId) -> Option<usize> {
        self.messages.iter().position(|message| message.id == id)
    }

    /// Whether others have written something after what was seen.
    pub fn has_unseen(&self) -> bool {
        let from = self.seen.map_or(Some(0), |seen| self.position(seen).map(|at| at + 1));
        from.is_some_and(|from| self.messages[from..].iter().any(|message| message.status == tidings_view::Status::Received))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_view::{Status, Target};

    fn message(id: i64) -> Message {
        Message {
            id: MessageId(id),
            author: Some("bob@s2".parse().unwrap()),
            text: id.to_string(),
            file: None,
            event: None,
            at: 0,
            status: Status::Received,
            place: Some(1),
            log: "public@s1".into(),
        }
    }

    /// A conversation of `total` messages, answering as a core does.
    fn window(total: i64, (from, limit): (Anchor, usize)) -> Window {
        let limit = limit as i64;
        let (start, end) = match from {
            Anchor::End => (total - limit, total),
            Anchor::Before(id) => (id.0 - limit, id.0),
            Anchor::From(id) => (id.0, id.0 + limit),
            other => panic!("{other:?}"),
        };
        let (start, end) = (start.max(0), end.min(total));
        Window { target: Target::Public, messages: (start..end).map(message).collect(), older: start > 0, newer: end < total, seen: None }
    }

    fn ids(held: &Held) -> (i64, i64) {
        let ids: Vec<i64> = held.messages.iter().map(|message| message.id.0).collect();
        assert!(ids.windows(2).all(|two| two[1] == two[0] + 1), "they follow each other: {ids:?}");
        assert!(ids.len() <= MOST);
        (ids[0], *ids.last().unwrap())
    }

    #[test]
    fn from_the_end_to_the_beginning_and_back() {
        const TOTAL: i64 = 10_007;
        let mut held = Held::default();
        held.replace(window(TOTAL, held.again()));
        assert_eq!(ids(&held).1, TOTAL - 1);
        while let Some(ask) = held.before() {
            held.prepend(window(TOTAL, ask));
            ids(&held);
        }
        assert_eq!(ids(&held).0, 0);
        assert!(held.newer && !held.older);
        while let Some(ask) = held.after() {
            held.append(window(TOTAL, ask));
            ids(&held);
        }
        assert_eq!(ids(&held).1, TOTAL - 1);
        assert!(held.older && !held.newer);
    }

    #[test]
    fn what_is_held_is_asked_for_again_with_what_came_after() {
        let mut held = Held::default();
        held.replace(window(100, held.again()));
        held.replace(window(103, held.again()));
        assert_eq!(ids(&held), (40, 102));
        held.newer = true;
        let (from, limit) = held.again();
        assert_eq!((from, limit), (Anchor::From(MessageId(40)), 63), "in the middle nothing is added");
        for total in 104..600 {
            held.newer = false;
            held.replace(window(total, held.again()));
            held.trim_oldest();
            assert_eq!(ids(&held).1, total - 1);
        }
    }

    #[test]
    fn what_was_seen_decides_what_is_new() {
        let mut held = Held::default();
        assert!(!held.has_unseen());
        held.replace(window(5, (Anchor::End, 3)));
        assert!(held.has_unseen(), "nothing was ever seen");
        held.seen = Some(MessageId(4));
        assert!(!held.has_unseen());
        held.seen = Some(MessageId(3));
        assert!(held.has_unseen());
        held.messages[2].status = Status::Sent { seq: 1 };
        assert!(!held.has_unseen(), "one's own are not new");
    }
}
