//! What has not been answered yet: sealed once, sent as often as it takes, always the same bytes.

use super::timeline::{StoredStatus, kind_number, kind_of};
use super::{Secrets, Store, corrupt, log_of};
use crate::ClientError;
use bytes::Bytes;
use rusqlite::{OptionalExtension, Transaction, params};
use tidings_e2ee::suite::Change;
use tidings_proto::{Draft, Encoded, Genesis, Kind, LogName};

/// One row of the outbox.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// Its row.
    pub id: i64,
    /// The log it goes to.
    pub log: LogName,
    /// What it becomes.
    pub kind: Kind,
    /// Direct rooms: what names the room.
    pub genesis: Option<Genesis>,
    /// What to seal: the message's content as it is kept, or a notice's body.
    pub body: Vec<u8>,
    /// The place in which `body` is sealed under the history key; none where it is not.
    pub tag: Option<u64>,
    /// Once it is sealed: its number and bytes.
    pub sealed: Option<(u64, Bytes)>,
}

/// A draft that was made for a row.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The row.
    pub row: i64,
    /// Its log.
    pub log: LogName,
    /// The draft, ready to be sent.
    pub draft: Encoded<Draft>,
    /// What the suite wants kept.
    pub changes: Vec<Change>,
}

/// What a draft of this profile's was made of.
#[derive(Debug, Clone)]
pub struct OwnContent {
    /// The content as it is kept; none once it is erased.
    pub content: Option<Vec<u8>>,
    /// The place in which it is sealed under the history key; none where it is not.
    pub tag: Option<u64>,
}

impl Store {
    /// Everything unanswered after row `after`, in the order it was written.
    pub fn outbox(&self, after: i64) -> Result<Vec<OutboxRow>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT o.id, o.log, o.kind, o.genesis, coalesce(m.content, o.body, x''), m.tag, o.n, o.draft
                 FROM outbox o LEFT JOIN messages m ON m.id = o.message WHERE o.id > ?1 ORDER BY o.id",
            )?;
            let mut rows = query.query([after])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                let n: Option<i64> = row.get(6)?;
                let draft: Option<Vec<u8>> = row.get(7)?;
                let genesis: Option<Vec<u8>> = row.get(3)?;
                out.push(OutboxRow {
                    id: row.get(0)?,
                    log: log_of(&row.get::<_, String>(1)?)?,
                    kind: kind_of(row.get(2)?),
                    genesis: genesis.map(|bytes| Genesis::read(&bytes).map_err(corrupt)).transpose()?,
                    body: row.get(4)?,
                    tag: row.get::<_, Option<i64>>(5)?.map(|tag| tag as u64),
                    sealed: n.zip(draft).map(|(n, draft)| (n as u64, draft.into())),
                });
            }
            Ok(out)
        })
    }

    /// Whether something of this kind has not reached `log` yet.
    pub fn is_on_its_way(&self, log: &LogName, kind: Kind) -> Result<bool, ClientError> {
        self.read(|db| {
            let exists = "SELECT EXISTS (SELECT 1 FROM outbox WHERE log = ?1 AND kind = ?2)";
            Ok(db.query_row(exists, params![log.to_string(), kind_number(kind)], |row| row.get(0))?)
        })
    }

    /// Something to be sent that nobody has written: on screen once it is in its log, and only once in here. Whether it was not here yet.
    pub fn to_send(&self, log: &LogName, kind: Kind, body: &[u8]) -> Result<bool, ClientError> {
        self.write(|tx| {
            let new = tx.execute(
                "INSERT INTO outbox (log, kind, body) SELECT ?1, ?2, ?3
                 WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE log = ?1 AND kind = ?2 AND body = ?3)",
                params![log.to_string(), kind_number(kind), body],
            )?;
            Ok(new > 0)
        })
    }

    /// How many drafts this device has made in `log`.
    pub fn own_count(&self, log: &LogName) -> Result<u64, ClientError> {
        self.read(|db| own_count(db, log))
    }

    /// Drafts are made: bytes, numbers and the suite's changes, or none of them. Each number must be the next of its log.
    pub fn sealed(&self, made: &[Sealed]) -> Result<(), ClientError> {
        let secrets = self.secrets()?;
        self.write(|tx| made.iter().try_for_each(|made| seal_one(tx, &secrets, made)))
    }

    /// Durable on the home server; the hub is not reached.
    pub fn waiting(&self, row: i64) -> Result<(), ClientError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE messages SET status = ?2 WHERE id = (SELECT message FROM outbox WHERE id = ?1) AND status = ?3",
                params![row, StoredStatus::Waiting as i64, StoredStatus::Pending as i64],
            )?;
            Ok(())
        })
    }

    /// Durable in their logs: row, sequence number, and what orders it in its conversation where that is known.
    pub fn accepted(&self, rows: &[(i64, u64, Option<u64>)]) -> Result<(), ClientError> {
        self.write(|tx| {
            for (row, seq, place) in rows {
                tx.execute(
                    "UPDATE messages SET status = ?2, seq = ?3 WHERE id = (SELECT message FROM outbox WHERE id = ?1)",
                    params![row, StoredStatus::Sent as i64, *seq as i64],
                )?;
                if let Some(place) = place {
                    tx.execute(
                        "UPDATE messages SET place = ?2 WHERE id = (SELECT message FROM outbox WHERE id = ?1)",
                        params![row, *place as i64],
                    )?;
                }
                tx.execute("DELETE FROM outbox WHERE id = ?1", [row])?;
            }
            Ok(())
        })
    }

    /// Refused for good: shown, and out of the way. Its number is free again if it was the last one.
    pub fn failed(&self, row: i64, reason: &str, code: Option<&str>) -> Result<(), ClientError> {
        self.write(|tx| {
            let found: Option<(String, Option<i64>)> =
                tx.query_row("SELECT log, n FROM outbox WHERE id = ?1", [row], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let Some((log, n)) = found else { return Ok(()) };
            tx.execute(
                "UPDATE messages SET status = ?2, reason = ?3, code = ?4, n = NULL, draft = NULL
                 WHERE id = (SELECT message FROM outbox WHERE id = ?1)",
                params![row, StoredStatus::Failed as i64, reason, code],
            )?;
            tx.execute("DELETE FROM outbox WHERE id = ?1", [row])?;
            if let Some(n) = n {
                tx.execute("UPDATE own SET n = n - 1 WHERE log = ?1 AND n = ?2", params![log, n])?;
            }
            Ok(())
        })
    }

    /// A row that was never sealed, and is no message, is not sent.
    pub fn needless(&self, row: i64) -> Result<(), ClientError> {
        self.write(|tx| {
            tx.execute("DELETE FROM outbox WHERE id = ?1 AND n IS NULL AND message IS NULL", [row])?;
            Ok(())
        })
    }

    /// Nothing of a log can be sent: everything in it fails. Only for drafts that were never submitted.
    pub fn failed_all(&self, log: &LogName, reason: &str, code: Option<&str>) -> Result<(), ClientError> {
        self.write(|tx| {
            let text = log.to_string();
            let first: Option<i64> = tx.query_row("SELECT min(n) FROM outbox WHERE log = ?1", [&text], |row| row.get(0))?;
            tx.execute(
                "UPDATE messages SET status = ?2, reason = ?3, code = ?4, n = NULL, draft = NULL
                 WHERE id IN (SELECT message FROM outbox WHERE log = ?1)",
                params![text, StoredStatus::Failed as i64, reason, code],
            )?;
            tx.execute("DELETE FROM outbox WHERE log = ?1", [&text])?;
            match first {
                Some(first) => set_own_count(tx, log, (first - 1) as u64),
                None => Ok(()),
            }
        })
    }

    /// Unseals what is left in the outbox for `log`, to be sealed anew from `last` + 1 on. Only for drafts that the hub has
    /// refused, so that no two drafts with one number can both be taken.
    pub fn renumber(&self, log: &LogName, last: u64) -> Result<(), ClientError> {
        self.write(|tx| {
            let text = log.to_string();
            tx.execute(
                "UPDATE messages SET n = NULL, draft = NULL, status = ?2
                 WHERE id IN (SELECT message FROM outbox WHERE log = ?1 AND n IS NOT NULL)",
                params![text, StoredStatus::Pending as i64],
            )?;
            tx.execute("UPDATE outbox SET n = NULL, draft = NULL WHERE log = ?1", [&text])?;
            set_own_count(tx, log, last)
        })
    }

    /// The other side of a room could not be told: the next message tries again.
    pub fn not_noticed(&self, room: &LogName) -> Result<(), ClientError> {
        self.write(|tx| {
            tx.execute("UPDATE rooms SET noticed = 0 WHERE log = ?1", [room.to_string()])?;
            Ok(())
        })
    }

    /// What this profile has made `draft` of, if it has: found by device, number and hash.
    pub fn own(&self, log: &LogName, draft: &Encoded<Draft>) -> Result<Option<OwnContent>, ClientError> {
        self.read(|db| {
            let mut query =
                db.prepare_cached("SELECT content, tag FROM messages WHERE log = ?1 AND device = ?2 AND n = ?3 AND draft = ?4")?;
            let hash = draft.hash();
            let which = params![log.to_string(), draft.device.as_bytes(), draft.n as i64, hash.as_bytes()];
            let own = query
                .query_row(which, |row| Ok(OwnContent { content: row.get(0)?, tag: row.get::<_, Option<i64>>(1)?.map(|tag| tag as u64) }));
            Ok(own.optional()?)
        })
    }
}

fn seal_one(tx: &Transaction<'_>, secrets: &Secrets, made: &Sealed) -> Result<(), ClientError> {
    let (row, draft) = (made.row, &made.draft);
    let last = own_count(tx, &made.log)?;
    if draft.n != last + 1 {
        return Err(ClientError::OurBug(format!("draft {} after {last}", draft.n)));
    }
    set_own_count(tx, &made.log, draft.n)?;
    let updated = tx.execute(
        "UPDATE outbox SET n = ?2, draft = ?3 WHERE id = ?1 AND n IS NULL",
        params![row, draft.n as i64, draft.bytes().as_ref()],
    )?;
    if updated != 1 {
        return Err(ClientError::OurBug("a row of the outbox was sealed twice".into()));
    }
    tx.execute(
        "UPDATE messages SET device = ?2, n = ?3, draft = ?4 WHERE id = (SELECT message FROM outbox WHERE id = ?1)",
        params![row, draft.device.as_bytes(), draft.n as i64, draft.hash().as_bytes()],
    )?;
    secrets.apply(tx, &made.changes)
}

fn set_own_count(tx: &Transaction<'_>, log: &LogName, n: u64) -> Result<(), ClientError> {
    tx.execute("INSERT INTO own (log, n) VALUES (?1, ?2) ON CONFLICT (log) DO UPDATE SET n = ?2", params![log.to_string(), n as i64])?;
    Ok(())
}

fn own_count(db: &rusqlite::Connection, log: &LogName) -> Result<u64, ClientError> {
    let n: Option<i64> =
        db.prepare_cached("SELECT n FROM own WHERE log = ?1")?.query_row([log.to_string()], |row| row.get(0)).optional()?;
    Ok(n.unwrap_or(0) as u64)
}
