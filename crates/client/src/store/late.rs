//! Messages that could not be opened for want of somebody's keys: kept beside their rows until these come.

use super::timeline::StoredStatus;
use super::{Store, corrupt, log_of};
use crate::ClientError;
use bytes::Bytes;
use rusqlite::{Transaction, params};
use std::collections::BTreeSet;
use tidings_e2ee::suite::Change;
use tidings_proto::{Draft, Encoded, LogName, UserName, draft};
use tidings_trust::Members;

/// What is needed to judge a message again.
#[derive(Debug, Clone)]
pub struct Late {
    /// Whose keys it waits for.
    pub waits_for: UserName,
    /// The version of theirs that was not enough.
    pub version: u64,
    /// The highest device list that an entry of its author's before it names.
    pub highest: u64,
    /// How many of the log's entries were stubs by then, this one among them.
    pub stubs: u64,
    /// The draft.
    pub draft: Encoded<Draft>,
    /// Who was in the room there.
    pub members: Members,
}

/// A message that waits for keys, and its place.
#[derive(Debug, Clone)]
pub struct StoredLate {
    /// Its row.
    pub message: i64,
    /// Its log.
    pub log: LogName,
    /// Its place there.
    pub seq: u64,
    /// The rest.
    pub late: Late,
}

/// A group, and what it is called: a content, and the place in which it is sealed.
pub type Titled = (LogName, Vec<u8>, u64);

/// What has become of a message that waited for keys.
pub enum Judged {
    /// It was opened and verified.
    Opened {
        /// Its content, sealed in the place of its seq.
        content: Vec<u8>,
        /// Whether that is a title.
        is_title: bool,
        /// Whether it names this user.
        mentions: bool,
        /// The suite's changes.
        changes: Vec<Change>,
    },
    /// It waits on, for this user's keys after this version.
    Waits(UserName, u64),
    /// It cannot be opened, or is not what it should be.
    Failed(String),
}

impl Store {
    /// Whose keys are waited for.
    pub fn waited_for(&self) -> Result<BTreeSet<UserName>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT DISTINCT waits_for FROM late")?;
            let names = query.query_map([], |row| row.get::<_, String>(0))?;
            names.map(|name| name?.parse().map_err(corrupt)).collect()
        })
    }

    /// What waits for `user`'s keys and has not been judged by version `version` of them yet.
    pub fn late(&self, user: &UserName, version: u64) -> Result<Vec<StoredLate>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT m.id, m.log, m.seq, l.version, l.highest, l.stubs, l.draft, l.members
                 FROM late l JOIN messages m ON m.id = l.message WHERE l.waits_for = ?1 AND l.version < ?2 ORDER BY m.id",
            )?;
            let mut rows = query.query(params![user.to_string(), version as i64])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                let number = |at: usize| row.get::<_, i64>(at).map(|number| number as u64);
                let late = Late {
                    waits_for: user.clone(),
                    version: number(3)?,
                    highest: number(4)?,
                    stubs: number(5)?,
                    draft: draft::read(Bytes::from(row.get::<_, Vec<u8>>(6)?)).map_err(corrupt)?,
                    members: Members::from_bytes(&row.get::<_, Vec<u8>>(7)?).map_err(corrupt)?,
                };
                out.push(StoredLate { message: row.get(0)?, log: log_of(&row.get::<_, String>(1)?)?, seq: number(2)?, late });
            }
            Ok(out)
        })
    }

    /// Messages were judged again: each row stays where it is, and says what has become of it.
    /// Gives the groups that have another title by it.
    pub fn judged_again(&self, judged: &[(StoredLate, Judged)]) -> Result<Vec<Titled>, ClientError> {
        let secrets = self.secrets()?;
        self.write(|tx| {
            let mut titled = Vec::new();
            for (late, judged) in judged {
                match judged {
                    Judged::Waits(user, version) => {
                        let waits = "UPDATE late SET waits_for = ?2, version = ?3 WHERE message = ?1";
                        tx.execute(waits, params![late.message, user.to_string(), *version as i64])?;
                    }
                    Judged::Failed(why) => failed(tx, late.message, why)?,
                    Judged::Opened { .. } if !is_in_order(tx, late)? => {
                        let author = &late.late.draft.author;
                        failed(tx, late.message, &format!("its server repeats, or re-orders, what {author} has written"))?;
                    }
                    Judged::Opened { content, is_title, mentions, changes } => {
                        opened(tx, late, content, *mentions)?;
                        if *is_title && is_newest_title(tx, &late.log, late.seq, content)? {
                            titled.push((late.log.clone(), content.clone(), late.seq));
                        }
                        secrets.apply(tx, changes)?;
                    }
                }
            }
            Ok(titled)
        })
    }
}

/// Keeps what a message's row needs to be judged again.
pub(super) fn keep(tx: &Transaction<'_>, message: i64, late: &Late) -> Result<(), ClientError> {
    tx.execute(
        "INSERT INTO late (message, waits_for, version, highest, stubs, draft, members, author) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            message,
            late.waits_for.to_string(),
            late.version as i64,
            late.highest as i64,
            late.stubs as i64,
            late.draft.bytes().as_ref(),
            late.members.to_bytes(),
            late.draft.author.to_string()
        ],
    )?;
    Ok(())
}

/// What is erased is not kept either.
pub(super) fn forget(tx: &Transaction<'_>, log: &str, seq: u64) -> Result<(), ClientError> {
    tx.execute("DELETE FROM late WHERE message IN (SELECT id FROM messages WHERE log = ?1 AND seq = ?2)", params![log, seq as i64])?;
    Ok(())
}

/// A message is there now that could not be opened.
pub(super) fn settled(tx: &Transaction<'_>, message: i64) -> Result<(), ClientError> {
    tx.execute("DELETE FROM late WHERE message = ?1", [message])?;
    Ok(())
}

/// Gives a group its title, unless a later message has, or this device, whose titles have other places.
pub(super) fn is_newest_title(tx: &Transaction<'_>, log: &LogName, seq: u64, title: &[u8]) -> Result<bool, ClientError> {
    let is_newest = "UPDATE rooms SET title = ?2, tag = ?3 WHERE log = ?1 AND (tag IS NULL OR tag BETWEEN 0 AND ?3)";
    Ok(tx.execute(is_newest, params![log.to_string(), title, seq as i64])? > 0)
}

fn failed(tx: &Transaction<'_>, message: i64, why: &str) -> Result<(), ClientError> {
    tx.execute("UPDATE messages SET reason = ?2 WHERE id = ?1", params![message, why])?;
    settled(tx, message)
}

/// Whether no other draft of the same device stands on the wrong side of it: neither its number again, nor a later one before it.
fn is_in_order(tx: &Transaction<'_>, StoredLate { message, log, seq, late }: &StoredLate) -> Result<bool, ClientError> {
    let draft = &late.draft;
    Ok(!tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM messages WHERE log = ?1 AND author = ?2 AND device = ?3 AND id != ?4 AND seq IS NOT NULL
         AND ((n >= ?5 AND seq < ?6) OR (n <= ?5 AND seq > ?6)))",
        params![log.to_string(), draft.author.to_string(), draft.device.as_bytes(), message, draft.n as i64, *seq as i64],
        |row| row.get::<_, bool>(0),
    )?)
}

fn opened(
    tx: &Transaction<'_>,
    StoredLate { message, log, seq, late }: &StoredLate,
    content: &[u8],
    mentions: bool,
) -> Result<(), ClientError> {
    let (log, draft) = (log.to_string(), &late.draft);
    let (author, device, n) = (draft.author.to_string(), draft.device.as_bytes(), draft.n as i64);
    tx.execute(
        "UPDATE messages SET author = ?2, device = ?3, n = ?4, draft = ?5, status = ?6, reason = NULL, content = ?7, tag = ?8, mentions = ?9,
         to_hand_on = EXISTS (SELECT 1 FROM missed WHERE log = ?10 AND seq = ?8) WHERE id = ?1",
        params![message, author, device, n, draft.hash().as_bytes(), StoredStatus::Received as i64, content, *seq as i64, mentions, log],
    )?;
    tx.execute("DELETE FROM missed WHERE log = ?1 AND seq = ?2", params![log, *seq as i64])?;
    tx.execute(
        "INSERT INTO counted (log, author, device, n, list, stubs) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (log, author, device) DO UPDATE SET n = ?4, list = max(list, ?5), stubs = ?6 WHERE n < ?4",
        params![log, author, device, n, draft.list as i64, late.stubs as i64],
    )?;
    tx.execute("DELETE FROM late WHERE message = ?1", [message])?;
    Ok(())
}
