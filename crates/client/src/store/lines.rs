//! Conversations as a list and a window onto one of them show them: counts, marks, drafts; every look takes as long as what it shows.

use super::timeline::{RawMessage, SELECT, StoredMessage, StoredStatus, kind_number, raw, target_of};
use super::{Store, log_of};
use crate::ClientError;
use crate::view::ask::Anchor;
use crate::view::{MessageId, Target};
use rusqlite::{Connection, OptionalExtension, Params, Transaction, params};
use std::collections::HashMap;
use tidings_proto::{Kind, LogName};

/// What a conversation's line says of its messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Line {
    /// How many there are.
    pub messages: u64,
    /// The newest one's time.
    pub newest: u64,
    /// How many of others there are after what was seen.
    pub unseen: u64,
    /// Whether one of these names this user.
    pub mentioned: bool,
}

/// Part of a conversation, oldest first.
#[derive(Debug)]
pub struct Part {
    /// The messages.
    pub messages: Vec<StoredMessage>,
    /// Whether there are older ones.
    pub older: bool,
    /// Whether there are newer ones.
    pub newer: bool,
    /// The newest that was seen.
    pub seen: Option<i64>,
}

/// What stands in a composer: a content, and the place in which it is sealed.
pub type StoredDraft = (Vec<u8>, u64);

/// Where a message stands in its conversation.
type Stand = (i64, i64);

/// Before what is kept of all, and after it.
const FIRST: Stand = (-1, 0);
const LAST: Stand = (i64::MAX, i64::MAX);

impl Store {
    /// Every conversation that has messages, by its name here.
    pub fn lines(&self) -> Result<HashMap<String, Line>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT conversation, messages, newest, unseen, mentioned FROM conversations")?;
            let rows = query.query_map([], |row| {
                let number = |at: usize| row.get::<_, i64>(at).map(|number| number as u64);
                Ok((row.get(0)?, Line { messages: number(1)?, newest: number(2)?, unseen: number(3)?, mentioned: row.get(4)? }))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// At most `limit` messages of a conversation that follow each other.
    pub fn part(&self, target: &Target, from: Anchor, limit: usize) -> Result<Part, ClientError> {
        let conversation = target.to_string();
        self.read(|db| {
            let (seen_at, unseen) = mark(db, &conversation)?;
            let around = |at: Stand| -> Result<Part, ClientError> {
                let (before, older) = before(db, &conversation, at, limit / 2)?;
                let (after, newer) = from_on(db, &conversation, at, limit - before.len())?;
                Ok(Part { messages: before.into_iter().chain(after).collect(), older, newer, seen: None })
            };
            let end = || -> Result<Part, ClientError> {
                let (messages, older) = before(db, &conversation, LAST, limit)?;
                Ok(Part { messages, older, newer: false, seen: None })
            };
            let stand = |id: MessageId| stand(db, &conversation, id.0);
            let part = match from {
                Anchor::Before(id) => match stand(id)? {
                    Some(at) => {
                        before(db, &conversation, at, limit).map(|(messages, older)| Part { messages, older, newer: true, seen: None })
                    }
                    None => end(),
                },
                Anchor::From(id) => match stand(id)? {
                    Some(at) => {
                        let ((messages, newer), (_, older)) = (from_on(db, &conversation, at, limit)?, before(db, &conversation, at, 0)?);
                        Ok(Part { messages, older, newer, seen: None })
                    }
                    None => end(),
                },
                Anchor::Around(id) => stand(id)?.map_or_else(end, around),
                Anchor::Unseen if unseen > 0 => around((seen_at.0, seen_at.1 + 1)),
                Anchor::Unseen | Anchor::End => end(),
            }?;
            Ok(Part { seen: (seen_at != FIRST).then_some(seen_at.1), ..part })
        })
    }

    /// Everything up to a message was seen. What was seen stays so.
    pub fn seen(&self, target: &Target, id: i64) -> Result<(), ClientError> {
        let conversation = target.to_string();
        self.write(|tx| {
            let Some(at) = stand(tx, &conversation, id)? else { return Ok(()) };
            // What has no place yet is after everything that is to come: what was seen is the last before it that has one.
            let at = if at.0 < i64::MAX { Some(at) } else { newest_placed(tx, &conversation)? };
            let (before, _) = mark(tx, &conversation)?;
            let Some(at) = at.filter(|at| *at > before) else { return Ok(()) };
            tx.execute(
                "UPDATE conversations SET seen_place = ?2, seen = ?3,
                   unseen = max(0, unseen - (
                     SELECT count(*) FROM messages WHERE conversation = ?1 AND (place, id) > (?4, ?5) AND (place, id) <= (?2, ?3)
                     AND status IN (4, 5) AND kind IN (1, 2) AND author IS NOT (SELECT CAST(value AS TEXT) FROM profile WHERE key = 'user'))),
                   mentioned = EXISTS (SELECT 1 FROM messages WHERE conversation = ?1 AND mentions = 1 AND (place, id) > (?2, ?3))
                 WHERE conversation = ?1",
                params![conversation, at.0, at.1, before.0, before.1],
            )?;
            Ok(())
        })
    }

    /// Everything that is to come has come, for now. What was said before this device had the account counts as seen the first time: it was
    /// read elsewhere, or was not said to this user.
    pub fn all_is_here(&self) -> Result<(), ClientError> {
        self.write(|tx| {
            if tx.execute("DELETE FROM profile WHERE key = ?1", [BEFORE_US])? == 0 {
                return Ok(());
            }
            tx.execute(
                "UPDATE conversations SET unseen = 0, mentioned = 0, (seen_place, seen) = (
                   SELECT coalesce(max(place), -1), coalesce(max(id), 0) FROM (
                     SELECT place, id FROM messages m WHERE m.conversation = conversations.conversation AND place < ?1
                     ORDER BY place DESC, id DESC LIMIT 1))",
                [i64::MAX],
            )?;
            Ok(())
        })
    }

    /// What stands in the composers, by conversation.
    pub fn drafts(&self) -> Result<HashMap<String, StoredDraft>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT conversation, content, tag FROM drafts")?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get::<_, i64>(2)? as u64))))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Something stands in a composer, or nothing.
    pub fn set_draft(&self, target: &Target, draft: Option<StoredDraft>) -> Result<(), ClientError> {
        self.write(|tx| {
            let conversation = target.to_string();
            tx.execute("DELETE FROM drafts WHERE conversation = ?1", [&conversation])?;
            if let Some((content, tag)) = draft {
                tx.execute("INSERT INTO drafts VALUES (?1, ?2, ?3)", params![conversation, content, tag as i64])?;
            }
            Ok(())
        })
    }

    /// A message's conversation.
    pub fn conversation_of(&self, id: i64) -> Result<Option<Target>, ClientError> {
        self.read(|db| {
            let name: Option<String> =
                db.query_row("SELECT conversation FROM messages WHERE id = ?1", [id], |row| row.get(0)).optional()?;
            name.as_deref().map(target_of).transpose()
        })
    }

    /// What has failed is to be sent again, as it was written. Whether it had failed.
    pub fn again(&self, id: i64, at: u64) -> Result<bool, ClientError> {
        self.write(|tx| {
            let of = "SELECT log, kind, conversation FROM messages WHERE id = ?1 AND status = ?2";
            let found: Option<(String, i64, String)> =
                tx.query_row(of, params![id, StoredStatus::Failed as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
            let Some((log, kind, conversation)) = found else { return Ok(false) };
            // The server is told what the room is where it may not know it.
            let is_room = matches!(log_of(&log)?, LogName::Room(_));
            let names_it = is_room && (kind == kind_number(Kind::Genesis) || matches!(target_of(&conversation)?, Target::Direct { .. }));
            tx.execute(
                "INSERT INTO outbox (log, kind, message, genesis) VALUES (?1, ?2, ?3, iif(?4, (SELECT genesis FROM rooms WHERE log = ?1), NULL))",
                params![log, kind, id, names_it],
            )?;
            tx.execute(
                "UPDATE messages SET status = ?2, reason = NULL, code = NULL, at = ?3 WHERE id = ?1",
                params![id, StoredStatus::Pending as i64, at as i64],
            )?;
            Ok(true)
        })
    }

    /// The message that was written under this name.
    pub fn asked(&self, name: &str) -> Result<Option<i64>, ClientError> {
        self.read(|db| was_asked(db, name))
    }

    /// What has failed is shown no more. Whether nothing of it is here any more.
    pub fn discard(&self, id: i64) -> Result<bool, ClientError> {
        self.write(|tx| {
            tx.execute("DELETE FROM messages WHERE id = ?1 AND status = ?2", params![id, StoredStatus::Failed as i64])?;
            Ok(!tx.query_row("SELECT EXISTS (SELECT 1 FROM messages WHERE id = ?1)", [id], |row| row.get::<_, bool>(0))?)
        })
    }
}

/// A profile has this from its beginning until everything that was said before is here.
pub(super) const BEFORE_US: &str = "before_us";

/// What was asked for once keeps so many names. Whoever asks again mostly does so within moments; but what a page has kept and nobody has
/// answered is asked again when the next page is opened.
pub(super) const NAMES_KEPT: i64 = 10_000;

/// The message that was written under this name already.
pub(super) fn was_asked(db: &Connection, name: &str) -> Result<Option<i64>, ClientError> {
    Ok(db.prepare_cached("SELECT message FROM once WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()?)
}

/// A message was written under this name.
pub(super) fn is_asked(tx: &Transaction<'_>, name: &str, message: i64) -> Result<(), ClientError> {
    tx.execute("INSERT INTO once (name, message) VALUES (?1, ?2)", params![name, message])?;
    tx.execute("DELETE FROM once WHERE id <= ?1", [tx.last_insert_rowid() - NAMES_KEPT])?;
    Ok(())
}

fn mark(db: &Connection, conversation: &str) -> Result<(Stand, i64), ClientError> {
    let mut query = db.prepare_cached("SELECT seen_place, seen, unseen FROM conversations WHERE conversation = ?1")?;
    let found = query.query_row([conversation], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?))).optional()?;
    Ok(found.unwrap_or((FIRST, 0)))
}

fn stand(db: &Connection, conversation: &str, id: i64) -> Result<Option<Stand>, ClientError> {
    let mut query = db.prepare_cached("SELECT place, id FROM messages WHERE id = ?2 AND conversation = ?1")?;
    Ok(query.query_row(params![conversation, id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

fn newest_placed(db: &Connection, conversation: &str) -> Result<Option<Stand>, ClientError> {
    let mut query =
        db.prepare_cached("SELECT place, id FROM messages WHERE conversation = ?1 AND place < ?2 ORDER BY place DESC, id DESC LIMIT 1")?;
    Ok(query.query_row(params![conversation, i64::MAX], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// The newest before a place, and whether there are more.
fn before(db: &Connection, conversation: &str, at: Stand, limit: usize) -> Result<(Vec<StoredMessage>, bool), ClientError> {
    let which = "conversation = ?1 AND (place, id) < (?2, ?3) ORDER BY place DESC, id DESC LIMIT ?4";
    let (mut messages, more) = up_to(db, which, limit, params![conversation, at.0, at.1, limit as i64 + 1])?;
    messages.reverse();
    Ok((messages, more))
}

/// The oldest from a place on, and whether there are more.
fn from_on(db: &Connection, conversation: &str, at: Stand, limit: usize) -> Result<(Vec<StoredMessage>, bool), ClientError> {
    let which = "conversation = ?1 AND (place, id) >= (?2, ?3) ORDER BY place, id LIMIT ?4";
    up_to(db, which, limit, params![conversation, at.0, at.1, limit as i64 + 1])
}

fn up_to(db: &Connection, which: &str, limit: usize, values: impl Params) -> Result<(Vec<StoredMessage>, bool), ClientError> {
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE {which}"))?;
    let rows = query.query_map(values, raw)?;
    let mut messages = rows.map(|row| row.map_err(ClientError::from).and_then(RawMessage::decode)).collect::<Result<Vec<_>, _>>()?;
    let more = messages.len() > limit;
    messages.truncate(limit);
    Ok((messages, more))
}
