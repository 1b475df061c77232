//! Who may have written what: by this an entry becomes an item of a history, or something strange.

use crate::history::{Id, Item};
use tidings_proto::{Content, DeviceKey, Draft, Entry, Kind, LogName, UserName, cbor, limits};

/// Every writer of a world, by its number in the history.
#[derive(Debug, Default)]
pub struct Names(Vec<(UserName, Option<DeviceKey>)>);

impl Names {
    /// These writers; the device where it is known.
    pub fn of(writers: impl IntoIterator<Item = (UserName, Option<DeviceKey>)>) -> Names {
        Names(writers.into_iter().collect())
    }

    /// What an entry is.
    pub fn item(&self, log: &LogName, entry: &Entry) -> Item {
        match entry.draft() {
            Some(draft) if draft.kind == Kind::Genesis => Item::Other,
            Some(draft) => self.message(log, draft).map_or(Item::Strange, Item::Message),
            None => Item::Closed,
        }
    }

    fn message(&self, log: &LogName, draft: &Draft) -> Option<Id> {
        let text = match (log, draft.kind) {
            (LogName::Public(_), Kind::Post) => cbor::decode::<Content>(&draft.body, limits::DRAFT).ok()?.text,
            (LogName::Room(_), Kind::Sealed) => String::from_utf8(draft.body.to_vec()).ok()?,
            _ => return None,
        };
        let id = self.written(&text, &draft.author)?;
        let device = self.0[id.writer as usize].1;
        device.is_none_or(|device| device == draft.device).then_some(id)
    }

    /// Which message a text is, if its author may have written it.
    pub fn written(&self, text: &str, author: &UserName) -> Option<Id> {
        let id = Id::parse(text)?;
        self.0.get(id.writer as usize).is_some_and(|(user, _)| user == author).then_some(id)
    }
}
