//! What arrives: entries with the cursor, the counters and the suites' changes they belong to, in one commit.

use super::timeline::StoredStatus;
use super::{Store, apply_changes, corrupt, hash_of, log_of};
use crate::ClientError;
use crate::view::Target;
use rusqlite::{OptionalExtension, Transaction, params};
use tidings_e2ee::suite::Change;
use tidings_proto::chain::Tip;
use tidings_proto::{DeviceKey, Genesis, Hash, LogName, UserName};

/// A row for the timeline.
#[derive(Debug, Clone)]
pub struct NewRow {
    /// Its conversation.
    pub target: Target,
    /// The verified author.
    pub author: Option<UserName>,
    /// Device, number and hash of the draft, where it was verified.
    pub draft: Option<(DeviceKey, u64, Hash)>,
    /// Its place in the log; none for the sign that something is missing.
    pub seq: Option<u64>,
    /// What orders it in its conversation.
    pub place: u64,
    /// Milliseconds since 1970.
    pub at: u64,
    /// The content as it is kept, and the place in which it is sealed, if it is; or why there is none.
    pub content: Result<(Vec<u8>, Option<u64>), String>,
}

/// A draft of this device that has come back in its log.
#[derive(Debug, Clone)]
pub struct OwnSent {
    /// Its number.
    pub n: u64,
    /// Its hash.
    pub draft: Hash,
    /// Its place in the log.
    pub seq: u64,
    /// What orders it in its conversation.
    pub place: u64,
    /// The hub's clock.
    pub at: u64,
}

/// What one frame of entries comes to.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The log.
    pub log: LogName,
    /// Where it stands now.
    pub tip: Tip,
    /// New rows, in order.
    pub rows: Vec<NewRow>,
    /// This device's own drafts.
    pub sent: Vec<OwnSent>,
    /// The last number of each device that was heard.
    pub counted: Vec<(DeviceKey, u64)>,
    /// Rooms: the chain's hash at each new entry.
    pub hashes: Vec<(u64, Hash)>,
    /// Rooms that were pointed to.
    pub rooms: Vec<Genesis>,
    /// The suites' changes.
    pub changes: Vec<Change>,
    /// Why this log is not followed any further.
    pub stopped: Option<String>,
}

impl Store {
    /// All followed logs: where they stand, and why they are stopped.
    pub fn tips(&self) -> Result<Vec<(LogName, Tip, Option<String>)>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT log, seq, hash, stopped FROM logs ORDER BY log")?;
            let mut rows = query.query([])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                let tip = Tip { seq: row.get::<_, i64>(1)? as u64, hash: hash_of(&row.get::<_, Vec<u8>>(2)?)? };
                out.push((log_of(&row.get::<_, String>(0)?)?, tip, row.get(3)?));
            }
            Ok(out)
        })
    }

    /// All rooms.
    pub fn rooms(&self) -> Result<Vec<Genesis>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT genesis FROM rooms ORDER BY log")?;
            let rows = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
            rows.map(|bytes| Genesis::read(&bytes?).map_err(corrupt)).collect()
        })
    }

    /// Learns rooms; those that are known stay as they are.
    pub fn learn_rooms(&self, rooms: &[Genesis]) -> Result<(), ClientError> {
        self.write(|tx| learn_rooms(tx, rooms))
    }

    /// The last verified number of each device in `log`.
    pub fn counted(&self, log: &LogName) -> Result<Vec<(DeviceKey, u64)>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT device, n FROM counted WHERE log = ?1")?;
            let mut rows = query.query([log.to_string()])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                let device = DeviceKey::from_slice(&row.get::<_, Vec<u8>>(0)?).ok_or_else(|| corrupt("a device key of another length"))?;
                out.push((device, row.get::<_, i64>(1)? as u64));
            }
            Ok(out)
        })
    }

    /// The chain's hash at an entry of a room, as it was verified here.
    pub fn hash_at(&self, log: &LogName, seq: u64) -> Result<Option<Hash>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT hash FROM hashes WHERE log = ?1 AND seq = ?2")?;
            let bytes: Option<Vec<u8>> = query.query_row(params![log.to_string(), seq as i64], |row| row.get(0)).optional()?;
            bytes.map(|bytes| hash_of(&bytes)).transpose()
        })
    }

    /// Entries have arrived.
    pub fn arrived(&self, batch: &Batch) -> Result<(), ClientError> {
        self.write(|tx| {
            let log = batch.log.to_string();
            tx.execute(
                "INSERT INTO logs (log, seq, hash, stopped) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (log) DO UPDATE SET seq = ?2, hash = ?3, stopped = ?4",
                params![log, batch.tip.seq as i64, batch.tip.hash.as_bytes(), batch.stopped],
            )?;
            for own in &batch.sent {
                tx.execute(
                    "UPDATE messages SET status = ?4, seq = ?5, place = ?6, at = ?7, reason = NULL, code = NULL
                     WHERE log = ?1 AND n = ?2 AND draft = ?3",
                    params![
                        log,
                        own.n as i64,
                        own.draft.as_bytes(),
                        StoredStatus::Sent as i64,
                        own.seq as i64,
                        own.place as i64,
                        own.at as i64
                    ],
                )?;
                tx.execute("DELETE FROM outbox WHERE log = ?1 AND n = ?2", params![log, own.n as i64])?;
            }
            for row in &batch.rows {
                insert(tx, &log, row)?;
            }
            for (device, n) in &batch.counted {
                tx.execute(
                    "INSERT INTO counted (log, device, n) VALUES (?1, ?2, ?3) ON CONFLICT (log, device) DO UPDATE SET n = ?3",
                    params![log, device.as_bytes(), *n as i64],
                )?;
            }
            for (seq, hash) in &batch.hashes {
                tx.execute("INSERT INTO hashes (log, seq, hash) VALUES (?1, ?2, ?3)", params![log, *seq as i64, hash.as_bytes()])?;
            }
            learn_rooms(tx, &batch.rooms)?;
            apply_changes(tx, &batch.changes)
        })
    }
}

fn insert(tx: &Transaction<'_>, log: &str, row: &NewRow) -> Result<(), ClientError> {
    let (status, reason, content, tag) = match &row.content {
        Ok((content, tag)) => (StoredStatus::Received, None, Some(content), tag.map(|tag| tag as i64)),
        Err(reason) => (StoredStatus::Unreadable, Some(reason), None, None),
    };
    let (device, n, draft) = match &row.draft {
        Some((device, n, draft)) => (Some(device.as_bytes()), Some(*n as i64), Some(draft.as_bytes())),
        None => (None, None, None),
    };
    tx.execute(
        "INSERT INTO messages (conversation, log, author, device, n, draft, seq, place, at, status, reason, content, tag)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            row.target.to_string(),
            log,
            row.author.as_ref().map(UserName::to_string),
            device,
            n,
            draft,
            row.seq.map(|seq| seq as i64),
            row.place as i64,
            row.at as i64,
            status as i64,
            reason,
            content,
            tag
        ],
    )?;
    Ok(())
}

fn learn_rooms(tx: &Transaction<'_>, rooms: &[Genesis]) -> Result<(), ClientError> {
    for genesis in rooms {
        tx.execute(
            "INSERT OR IGNORE INTO rooms (log, genesis) VALUES (?1, ?2)",
            params![genesis.log().to_string(), genesis.encode().as_ref()],
        )?;
    }
    Ok(())
}
