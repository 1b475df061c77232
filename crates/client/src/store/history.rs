//! What a user's devices hand on to each other: what is here and was not handed on yet, what is not here, and both together.

use super::late::{self, Titled, is_newest_title};
use super::timeline::{StoredStatus, kind_number};
use super::{Store, corrupt, hash_of, log_of};
use crate::ClientError;
use crate::view::Target;
use rusqlite::{OptionalExtension, Transaction, params};
use tidings_proto::{DeviceKey, Hash, Kind, LogName, UserName};

/// A sealed entry that this device cannot open.
#[derive(Debug, Clone)]
pub struct Missed {
    /// Its place in the log.
    pub seq: u64,
    /// Its conversation.
    pub target: Target,
    /// What orders it there.
    pub place: u64,
    /// The hub's clock.
    pub at: u64,
    /// Whom it names as its author.
    pub author: UserName,
    /// Whose device.
    pub device: DeviceKey,
    /// Its number.
    pub n: u64,
    /// The hash of its draft.
    pub draft: Hash,
}

/// A message that another of the user's devices has opened.
#[derive(Debug, Clone)]
pub struct Handed {
    /// The room.
    pub log: LogName,
    /// Its place there.
    pub seq: u64,
    /// The hash of the draft that it was opened from.
    pub draft: Hash,
    /// Who has written it.
    pub author: UserName,
    /// Whether it is a title.
    pub is_title: bool,
    /// The content, sealed under the history key in the place of its seq.
    pub content: Vec<u8>,
}

/// A message that no device has handed on yet.
#[derive(Debug, Clone)]
pub struct ToHandOn {
    /// Its row.
    pub id: i64,
    /// The room.
    pub log: LogName,
    /// Its place there.
    pub seq: u64,
    /// The hash of its draft.
    pub draft: Hash,
    /// Who has written it.
    pub author: UserName,
    /// The content, and the place in which it is sealed under the history key.
    pub content: (Vec<u8>, Option<u64>),
}

impl Store {
    /// The oldest `limit` messages that no device has handed on yet.
    pub fn to_hand_on(&self, limit: usize) -> Result<Vec<ToHandOn>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT id, log, seq, draft, author, content, tag FROM messages WHERE to_hand_on = 1
                 AND seq IS NOT NULL AND draft IS NOT NULL AND author IS NOT NULL AND content IS NOT NULL ORDER BY id LIMIT ?1",
            )?;
            let mut rows = query.query([limit as i64])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                out.push(ToHandOn {
                    id: row.get(0)?,
                    log: log_of(&row.get::<_, String>(1)?)?,
                    seq: row.get::<_, i64>(2)? as u64,
                    draft: hash_of(&row.get::<_, Vec<u8>>(3)?)?,
                    author: row.get::<_, String>(4)?.parse().map_err(corrupt)?,
                    content: (row.get(5)?, row.get::<_, Option<i64>>(6)?.map(|tag| tag as u64)),
                });
            }
            Ok(out)
        })
    }

    /// How many messages nobody has but this profile: no device has handed them on yet, or what does so is still to be sent.
    pub fn only_here(&self) -> Result<u64, ClientError> {
        let count = "SELECT (SELECT count(*) FROM messages WHERE to_hand_on = 1 AND seq IS NOT NULL AND content IS NOT NULL)
                          + (SELECT count(*) FROM outbox WHERE kind = ?1)";
        self.read(|db| Ok(db.query_row(count, [kind_number(Kind::Segment)], |row| row.get::<_, i64>(0))? as u64))
    }

    /// These messages are handed on by a segment, which is to be sent.
    pub fn handed_on(&self, rows: &[i64], log: &LogName, segment: &[u8]) -> Result<(), ClientError> {
        self.write(|tx| {
            for row in rows {
                tx.execute("UPDATE messages SET to_hand_on = 0 WHERE id = ?1", [row])?;
            }
            let kind = kind_number(Kind::Segment);
            tx.execute("INSERT INTO outbox (log, kind, body) VALUES (?1, ?2, ?3)", params![log.to_string(), kind, segment])?;
            Ok(())
        })
    }
}

/// An entry cannot be opened here. A device may have handed it on already: see [`meet`].
pub(super) fn miss(tx: &Transaction<'_>, log: &str, missed: &Missed) -> Result<(), ClientError> {
    tx.execute(
        "INSERT OR REPLACE INTO missed (log, seq, conversation, place, at, author, device, n, draft) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            log,
            missed.seq as i64,
            missed.target.to_string(),
            missed.place as i64,
            missed.at as i64,
            missed.author.to_string(),
            missed.device.as_bytes(),
            missed.n as i64,
            missed.draft.as_bytes()
        ],
    )?;
    Ok(())
}

/// Another device has handed a message on. Gives the group's title, if that is what it says.
pub(super) fn hand(tx: &Transaction<'_>, handed: &Handed) -> Result<Option<Titled>, ClientError> {
    let log = handed.log.to_string();
    let is_past = "SELECT EXISTS (SELECT 1 FROM logs WHERE log = ?1 AND seq >= ?2)";
    if tx.query_row(is_past, params![log, handed.seq as i64], |row| row.get(0))? {
        return settle(tx, handed);
    }
    tx.execute(
        "INSERT OR REPLACE INTO handed (log, seq, draft, author, is_title, content) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![log, handed.seq as i64, handed.draft.as_bytes(), handed.author.to_string(), handed.is_title, handed.content],
    )?;
    Ok(None)
}

/// Entries of a room have arrived, up to `tip`: what was handed on of them before finds its place, or has none.
pub(super) fn meet(tx: &Transaction<'_>, log: &LogName, tip: u64) -> Result<Vec<Titled>, ClientError> {
    let text = log.to_string();
    let mut titled = Vec::new();
    {
        let mut query = tx.prepare_cached("SELECT seq, draft, author, is_title, content FROM handed WHERE log = ?1 AND seq <= ?2")?;
        let mut rows = query.query(params![text, tip as i64])?;
        while let Some(row) = rows.next()? {
            let handed = Handed {
                log: log.clone(),
                seq: row.get::<_, i64>(0)? as u64,
                draft: hash_of(&row.get::<_, Vec<u8>>(1)?)?,
                author: row.get::<_, String>(2)?.parse().map_err(corrupt)?,
                is_title: row.get(3)?,
                content: row.get(4)?,
            };
            titled.extend(settle(tx, &handed)?);
        }
    }
    tx.execute("DELETE FROM handed WHERE log = ?1 AND seq <= ?2", params![text, tip as i64])?;
    Ok(titled)
}

/// What was erased is not shown when it is handed on.
pub(super) fn forget(tx: &Transaction<'_>, log: &str, seq: u64, draft: &Hash, by: Option<&UserName>) -> Result<(), ClientError> {
    let by = by.map(UserName::to_string);
    tx.execute(
        "DELETE FROM missed WHERE log = ?1 AND seq = ?2 AND draft = ?3 AND (?4 IS NULL OR author = ?4)",
        params![log, seq as i64, draft.as_bytes(), by],
    )?;
    Ok(())
}

/// The entry is here, and so is what it says.
fn settle(tx: &Transaction<'_>, handed: &Handed) -> Result<Option<Titled>, ClientError> {
    let (log, seq, draft) = (handed.log.to_string(), handed.seq as i64, handed.draft.as_bytes());
    tx.execute(
        "UPDATE messages SET to_hand_on = 0 WHERE log = ?1 AND seq = ?2 AND draft = ?3 AND to_hand_on = 1",
        params![log, seq, draft],
    )?;
    let missed = "SELECT conversation FROM missed WHERE log = ?1 AND seq = ?2 AND draft = ?3 AND author = ?4";
    let which = params![log, seq, draft, handed.author.to_string()];
    let Some(conversation) = tx.query_row(missed, which, |row| row.get::<_, String>(0)).optional()? else { return Ok(None) };
    let shown = tx
        .query_row(
            "SELECT id FROM messages WHERE log = ?1 AND seq = ?2 AND status = ?3",
            params![log, seq, StoredStatus::Unreadable as i64],
            |row| row.get::<_, i64>(0),
        )
        .optional()?;
    match shown {
        Some(row) => replace(tx, row, (&log, seq), handed)?,
        None => show(tx, &conversation, (&log, seq), handed)?,
    }
    tx.execute("DELETE FROM missed WHERE log = ?1 AND seq = ?2", params![log, seq])?;
    let is_title = handed.is_title && is_newest_title(tx, &handed.log, handed.seq, &handed.content)?;
    Ok(is_title.then(|| (handed.log.clone(), handed.content.clone(), handed.seq)))
}

/// Where it said that it cannot be opened.
fn replace(tx: &Transaction<'_>, row: i64, (log, seq): (&str, i64), handed: &Handed) -> Result<(), ClientError> {
    tx.execute(
        "UPDATE messages SET (author, device, n, draft) = (SELECT author, device, n, draft FROM missed WHERE log = ?2 AND seq = ?3),
           status = ?4, reason = NULL, content = ?5, tag = ?3 WHERE id = ?1",
        params![row, log, seq, StoredStatus::Received as i64, handed.content],
    )?;
    late::settled(tx, row)
}

/// Where nothing stood. It was said before this device was there, so it is neither new nor the newest.
fn show(tx: &Transaction<'_>, conversation: &str, (log, seq): (&str, i64), handed: &Handed) -> Result<(), ClientError> {
    let state = "SELECT newest, unseen, mentioned FROM conversations WHERE conversation = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let before = tx.query_row(state, [conversation], read).optional()?;
    tx.execute(
        "INSERT INTO messages (conversation, log, author, device, n, draft, seq, place, at, status, content, tag, kind)
         SELECT conversation, log, author, device, n, draft, seq, place, at, ?3, ?4, seq, ?5 FROM missed WHERE log = ?1 AND seq = ?2",
        params![log, seq, StoredStatus::Received as i64, handed.content, kind_number(Kind::Sealed)],
    )?;
    let at: i64 = tx.query_row("SELECT at FROM missed WHERE log = ?1 AND seq = ?2", params![log, seq], |row| row.get(0))?;
    let (newest, unseen, mentioned) = before.unwrap_or((at, 0, 0));
    tx.execute(
        "UPDATE conversations SET newest = max(?2, ?3), unseen = ?4, mentioned = ?5 WHERE conversation = ?1",
        params![conversation, newest, at, unseen, mentioned],
    )?;
    Ok(())
}
