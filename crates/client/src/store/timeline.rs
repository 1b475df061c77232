//! Messages: written here, come from elsewhere, and how far each has come.

use super::lines::{is_asked, was_asked};
use super::sync::ERASED;
use super::{Store, corrupt, hash_of, log_of};
use crate::ClientError;
use crate::view::{Status, Target};
use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use tidings_proto::{Genesis, Hash, Kind, LogName, RoomId, UserName};

/// A message as it is kept.
#[derive(Debug, Clone)]
pub struct StoredMessage {
    /// Its row.
    pub id: i64,
    /// The log it is in, or will be.
    pub log: LogName,
    /// The verified author.
    pub author: Option<UserName>,
    /// Milliseconds since 1970.
    pub at: u64,
    /// Its place in the log.
    pub seq: Option<u64>,
    /// What it is.
    pub kind: Kind,
    /// How far it has come.
    pub status: Status,
    /// The encoded content; of what is no message, the draft's body.
    pub content: Option<Vec<u8>>,
    /// The place in which `content` is sealed under the history key; none where it is not.
    pub tag: Option<u64>,
}

/// The numbers under which states are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum StoredStatus {
    /// [`Status::Pending`].
    Pending = 0,
    /// [`Status::Waiting`].
    Waiting = 1,
    /// [`Status::Sent`].
    Sent = 2,
    /// [`Status::Failed`].
    Failed = 3,
    /// [`Status::Received`].
    Received = 4,
    /// [`Status::Unreadable`].
    Unreadable = 5,
}

/// A new message of one's own, with what must be sent for it.
pub struct Written<'a> {
    /// Its conversation.
    pub target: &'a Target,
    /// The log it goes to.
    pub log: &'a LogName,
    /// What it becomes.
    pub kind: Kind,
    /// The writer.
    pub author: &'a UserName,
    /// Milliseconds since 1970.
    pub at: u64,
    /// The encoded content.
    pub content: &'a [u8],
    /// The place in which `content` is sealed under the history key; none where it is not.
    pub tag: Option<u64>,
    /// A room that may be new: the genesis, and for a direct room the inbox to be told once.
    pub room: Option<(&'a Genesis, Option<(&'a LogName, Bytes)>)>,
    /// A name under which it is written once, however often.
    pub once: Option<&'a str>,
}

impl Store {
    /// A message is written: it is on screen and in the outbox, or neither. Returns its row.
    pub fn written(&self, new: &Written<'_>) -> Result<i64, ClientError> {
        self.write(|tx| write_one(tx, new))
    }

    /// A group is made: its beginning, what it is called here, and that this is said in it. Returns the row of the beginning.
    pub fn group_written(&self, begun: &Written<'_>, (title, tag): (&[u8], u64), titled: &Written<'_>) -> Result<i64, ClientError> {
        self.write(|tx| {
            if let Some(row) = begun.once.map(|name| was_asked(tx, name)).transpose()?.flatten() {
                return Ok(row);
            }
            let row = write_one(tx, begun)?;
            tx.execute("UPDATE rooms SET title = ?2, tag = ?3 WHERE log = ?1", params![begun.log.to_string(), title, tag as i64])?;
            write_one(tx, titled)?;
            Ok(row)
        })
    }

    /// The newest `limit` messages of a conversation, oldest first.
    pub fn timeline(&self, target: &Target, limit: usize) -> Result<Vec<StoredMessage>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached(&format!("{SELECT} WHERE conversation = ?1 ORDER BY place DESC, id DESC LIMIT ?2"))?;
            let rows = query.query_map(params![target.to_string(), limit as i64], raw)?;
            let mut out = rows.map(|row| row?.decode()).collect::<Result<Vec<_>, ClientError>>()?;
            out.reverse();
            Ok(out)
        })
    }

    /// How many drafts have no answer yet; how many messages could not be opened; and how many are opened once somebody's keys have come.
    pub fn unwell(&self) -> Result<(u64, u64, u64), ClientError> {
        self.read(|db| {
            let count = |sql: &str, with: &[&dyn rusqlite::ToSql]| db.query_row(sql, with, |row| row.get::<_, i64>(0)).map(|n| n as u64);
            let late = count("SELECT count(*) FROM late", &[])?;
            let closed = "SELECT count(*) FROM messages WHERE status = ?1 AND substr(coalesce(reason, ''), 1, ?3) != ?2";
            let closed = count(closed, &[&(StoredStatus::Unreadable as i64), &ERASED, &(ERASED.len() as i64)])?;
            Ok((count("SELECT count(*) FROM outbox", &[])?, closed.saturating_sub(late), late))
        })
    }

    /// One message.
    pub fn message(&self, id: i64) -> Result<Option<StoredMessage>, ClientError> {
        self.read(|db| {
            let row = db.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?.query_row([id], raw).optional()?;
            row.map(RawMessage::decode).transpose()
        })
    }

    /// Where a message is: its conversation, its place, and the hash of the draft there. None before it is in its log.
    pub fn draft_at(&self, id: i64) -> Result<Option<(Target, u64, Hash)>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT conversation, seq, draft FROM messages WHERE id = ?1")?;
            let row: Option<(String, Option<i64>, Option<Vec<u8>>)> =
                query.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
            let Some((conversation, Some(seq), Some(draft))) = row else { return Ok(None) };
            Ok(Some((target_of(&conversation)?, seq as u64, hash_of(&draft)?)))
        })
    }
}

fn write_one(tx: &Transaction<'_>, new: &Written<'_>) -> Result<i64, ClientError> {
    if let Some(row) = new.once.map(|name| was_asked(tx, name)).transpose()?.flatten() {
        return Ok(row);
    }
    let log = new.log.to_string();
    let genesis = new.room.as_ref().map(|(genesis, _)| genesis.encode().to_vec());
    if let (Some((_, notice)), Some(genesis)) = (&new.room, &genesis) {
        tx.execute("INSERT OR IGNORE INTO rooms (log, genesis) VALUES (?1, ?2)", params![log, genesis])?;
        let untold = tx.execute("UPDATE rooms SET noticed = 1 WHERE log = ?1 AND noticed = 0", [&log])? == 1;
        if let (true, Some((inbox, body))) = (untold, notice) {
            tx.execute(
                "INSERT INTO outbox (log, kind, body) VALUES (?1, ?2, ?3)",
                params![inbox.to_string(), kind_number(Kind::Notice), body.as_ref()],
            )?;
        }
    }
    tx.execute(
        "INSERT INTO messages (conversation, log, author, at, status, content, tag, kind) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            new.target.to_string(),
            log,
            new.author.to_string(),
            new.at as i64,
            StoredStatus::Pending as i64,
            new.content,
            new.tag.map(|tag| tag as i64),
            kind_number(new.kind)
        ],
    )?;
    let id = tx.last_insert_rowid();
    tx.execute(
        "INSERT INTO outbox (log, kind, message, genesis) VALUES (?1, ?2, ?3, ?4)",
        params![log, kind_number(new.kind), id, genesis],
    )?;
    if let Some(name) = new.once {
        is_asked(tx, name, id)?;
    }
    Ok(id)
}

/// A conversation by the name under which it is kept.
pub(super) fn target_of(text: &str) -> Result<Target, ClientError> {
    if text == "public" {
        return Ok(Target::Public);
    }
    match RoomId::parse(text) {
        Some(id) => Ok(Target::Group { id }),
        None => Ok(Target::Direct { user: text.parse().map_err(corrupt)? }),
    }
}

/// A kind's number in the store; the one on the wire.
pub(super) fn kind_number(kind: Kind) -> i64 {
    i64::from(kind.number())
}

pub(super) const SELECT: &str = "SELECT id, log, author, at, seq, status, reason, code, content, tag, kind FROM messages";

pub(super) struct RawMessage {
    id: i64,
    log: String,
    author: Option<String>,
    at: i64,
    seq: Option<i64>,
    status: i64,
    reason: Option<String>,
    code: Option<String>,
    content: Option<Vec<u8>>,
    tag: Option<i64>,
    kind: i64,
}

/// The kind with this number in the store.
pub(super) fn kind_of(number: i64) -> Kind {
    Kind::from_number(number as u32)
}

pub(super) fn raw(row: &Row<'_>) -> rusqlite::Result<RawMessage> {
    Ok(RawMessage {
        id: row.get(0)?,
        log: row.get(1)?,
        author: row.get(2)?,
        at: row.get(3)?,
        seq: row.get(4)?,
        status: row.get(5)?,
        reason: row.get(6)?,
        code: row.get(7)?,
        content: row.get(8)?,
        tag: row.get(9)?,
        kind: row.get(10)?,
    })
}

impl RawMessage {
    pub(super) fn decode(self) -> Result<StoredMessage, ClientError> {
        let seq = self.seq.map(|seq| seq as u64);
        let reason = || self.reason.clone().unwrap_or_default();
        let status = match self.status {
            0 => Status::Pending,
            1 => Status::Waiting,
            2 => Status::Sent { seq: seq.unwrap_or_default() },
            3 => Status::Failed { reason: reason(), code: self.code.clone() },
            4 => Status::Received,
            5 => Status::Unreadable { reason: reason() },
            other => return Err(corrupt(format!("status {other}"))),
        };
        Ok(StoredMessage {
            id: self.id,
            log: log_of(&self.log)?,
            author: self.author.map(|author| author.parse().map_err(corrupt)).transpose()?,
            at: self.at as u64,
            seq,
            kind: kind_of(self.kind),
            status,
            content: self.content,
            tag: self.tag.map(|tag| tag as u64),
        })
    }
}
