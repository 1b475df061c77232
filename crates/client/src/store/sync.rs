//! What arrives: entries with the cursor, the counters and the suites' changes they belong to, in one commit.

use super::doubts;
use super::history::{self, Handed, Missed};
use super::late::{self, Late, Titled};
use super::timeline::{StoredStatus, kind_number};
use super::{Store, corrupt, hash_of, log_of};
use crate::ClientError;
use crate::platform::now;
use crate::view::Target;
use bytes::Bytes;
use rusqlite::{OptionalExtension, Transaction, params};
use std::collections::HashMap;
use tidings_e2ee::suite::Change;
use tidings_proto::chain::Tip;
use tidings_proto::{DeviceKey, Genesis, Hash, KeysSeen, Kind, LogName, UserName};
use tidings_trust::Members;

/// A row for the timeline.
#[derive(Debug, Clone)]
pub struct NewRow {
    /// Its conversation.
    pub target: Target,
    /// The verified author.
    pub author: Option<UserName>,
    /// What it is.
    pub kind: Kind,
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
    /// Whether it names this user.
    pub mentions: bool,
    /// Where keys are missing that may come: what is needed to judge it again.
    pub late: Option<Box<Late>>,
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

/// How far one device's drafts in a log were heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The last number that was verified.
    pub n: u64,
    /// The version of the device list that it named.
    pub list: u64,
    /// How many of the log's entries were stubs by then.
    pub stubs: u64,
}

/// How the reason begins why an erased message is not shown.
pub(super) const ERASED: &str = "erased by ";

/// Whose drafts are counted: a device, as one of this user's.
pub type Author = (UserName, DeviceKey);

/// A place that was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// Where.
    pub seq: u64,
    /// The hash of the draft that is meant.
    pub draft: Hash,
    /// By whom.
    pub by: UserName,
    /// Whether that person may erase what others have written.
    pub anybodys: bool,
}

/// A room that was pointed to.
#[derive(Debug, Clone)]
pub struct NewRoom {
    /// What names it.
    pub genesis: Genesis,
    /// Who asks in.
    pub invited_by: Option<UserName>,
    /// What it is called: a content, and the place in which it is sealed.
    pub title: Option<(Vec<u8>, u64)>,
    /// An entry and the chain's hash there, as whoever asks in has seen it.
    pub vouched: Option<(u64, Hash)>,
    /// That what whoever asks in has seen is not what is here, if so: a sentence for the timeline.
    pub contradicts: Option<String>,
}

impl From<Genesis> for NewRoom {
    fn from(genesis: Genesis) -> NewRoom {
        NewRoom { genesis, invited_by: None, title: None, vouched: None, contradicts: None }
    }
}

/// A room as it is kept.
#[derive(Debug, Clone)]
pub struct StoredRoom {
    /// What names it.
    pub genesis: Genesis,
    /// Groups: who is in it, once its first entry is here.
    pub members: Option<Members>,
    /// What it is called: a content, and the place in which it is sealed.
    pub title: Option<(Vec<u8>, u64)>,
    /// Who has asked in.
    pub invited_by: Option<UserName>,
    /// Whether the invitation came to nothing.
    pub withdrawn: bool,
    /// An entry and the chain's hash there, as that person had seen it.
    pub vouched: Option<(u64, Hash)>,
}

/// Where a followed log stands.
#[derive(Debug, Clone)]
pub struct StoredLog {
    /// Its name.
    pub log: LogName,
    /// Its tip.
    pub tip: Tip,
    /// How many of its entries were stubs.
    pub stubs: u64,
    /// Why it is not followed any further.
    pub stopped: Option<String>,
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
    /// Changes of members and keys that this device has made and that stand: their number and bytes.
    pub settled: Vec<(u64, Bytes)>,
    /// The last number of each device that was heard.
    pub counted: Vec<(Author, Heard)>,
    /// How many of the log's entries were stubs by now.
    pub stubs: u64,
    /// Who is in it now and by which keys, if that has changed.
    pub members: Option<Members>,
    /// Rooms on MLS: the epoch whose keys this device has now, if that has changed; none where it has none any more.
    pub epoch: Option<Option<u64>>,
    /// Groups: what it is called now, if that has changed.
    pub title: Option<(Vec<u8>, u64)>,
    /// Places that were erased.
    pub erased: Vec<Erased>,
    /// What is to be sent now that this has arrived: log, kind, what to make it of.
    pub outbox: Vec<(LogName, Kind, Vec<u8>)>,
    /// Rooms and key histories: the chain's hash at each new entry.
    pub hashes: Vec<(u64, Hash)>,
    /// Rooms that were pointed to.
    pub rooms: Vec<NewRoom>,
    /// Whether what is said here is handed on to the user's other devices, who may not be able to open it.
    pub hands_on: bool,
    /// What cannot be opened here.
    pub missed: Vec<Missed>,
    /// What another device has handed on.
    pub handed: Vec<Handed>,
    /// The suites' changes.
    pub changes: Vec<Change>,
    /// What the authors of messages have seen of key histories, where it is not here, or not like that.
    pub keys_seen: Vec<(UserName, KeysSeen)>,
    /// Why this log is not followed any further.
    pub stopped: Option<String>,
}

impl Store {
    /// All followed logs.
    pub fn logs(&self) -> Result<Vec<StoredLog>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT log, seq, hash, stubs, stopped FROM logs ORDER BY log")?;
            let mut rows = query.query([])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                out.push(StoredLog {
                    log: log_of(&row.get::<_, String>(0)?)?,
                    tip: Tip { seq: row.get::<_, i64>(1)? as u64, hash: hash_of(&row.get::<_, Vec<u8>>(2)?)? },
                    stubs: row.get::<_, i64>(3)? as u64,
                    stopped: row.get(4)?,
                });
            }
            Ok(out)
        })
    }

    /// All rooms.
    pub fn rooms(&self) -> Result<Vec<StoredRoom>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT genesis, members, title, tag, invited_by, vouched, vouched_hash, withdrawn FROM rooms ORDER BY log",
            )?;
            let mut rows = query.query([])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                let members: Option<Vec<u8>> = row.get(1)?;
                let title: Option<Vec<u8>> = row.get(2)?;
                let vouched: Option<Vec<u8>> = row.get(6)?;
                out.push(StoredRoom {
                    genesis: Genesis::read(&row.get::<_, Vec<u8>>(0)?).map_err(corrupt)?,
                    members: members.map(|bytes| Members::from_bytes(&bytes)).transpose().map_err(corrupt)?,
                    title: title.zip(row.get::<_, Option<i64>>(3)?.map(|tag| tag as u64)),
                    invited_by: row.get::<_, Option<String>>(4)?.map(|by| by.parse()).transpose().map_err(corrupt)?,
                    withdrawn: row.get::<_, i64>(7)? != 0,
                    vouched: row.get::<_, Option<i64>>(5)?.map(|seq| seq as u64).zip(vouched.as_deref().map(hash_of).transpose()?),
                });
            }
            Ok(out)
        })
    }

    /// Whether a room is known.
    pub fn has_room(&self, room: &LogName) -> Result<bool, ClientError> {
        let exists = "SELECT EXISTS (SELECT 1 FROM rooms WHERE log = ?1)";
        self.read(|db| Ok(db.query_row(exists, [room.to_string()], |row| row.get(0))?))
    }

    /// Whether something was said in a room: opened here and verified, or written here. That there is a room is its server's word.
    pub fn has_words(&self, room: &LogName) -> Result<bool, ClientError> {
        let said = "SELECT EXISTS (SELECT 1 FROM messages WHERE log = ?1 AND kind = ?2 AND author IS NOT NULL AND content IS NOT NULL)";
        self.read(|db| Ok(db.query_row(said, params![room.to_string(), kind_number(Kind::Sealed)], |row| row.get(0))?))
    }

    /// An invitation came to nothing.
    pub fn withdrawn(&self, room: &LogName) -> Result<(), ClientError> {
        self.write(|tx| {
            tx.execute("UPDATE rooms SET withdrawn = 1 WHERE log = ?1", [room.to_string()])?;
            Ok(())
        })
    }

    /// Learns rooms. Of those that are known, only what is new about an invitation.
    pub fn learn_rooms(&self, rooms: &[NewRoom]) -> Result<(), ClientError> {
        self.write(|tx| learn_rooms(tx, rooms))
    }

    /// The last verified number of each device in `log`.
    pub fn counted(&self, log: &LogName) -> Result<HashMap<Author, Heard>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT author, device, n, list, stubs FROM counted WHERE log = ?1")?;
            let mut rows = query.query([log.to_string()])?;
            let mut out = HashMap::new();
            while let Some(row) = rows.next()? {
                let author = row.get::<_, String>(0)?.parse().map_err(corrupt)?;
                let device = DeviceKey::from_slice(&row.get::<_, Vec<u8>>(1)?).ok_or_else(|| corrupt("a device key of another length"))?;
                let number = |at: usize| row.get::<_, i64>(at).map(|number| number as u64);
                out.insert((author, device), Heard { n: number(2)?, list: number(3)?, stubs: number(4)? });
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

    /// Entries have arrived. Gives the groups that have another title by what was handed on.
    pub fn arrived(&self, batch: &Batch) -> Result<Vec<Titled>, ClientError> {
        let secrets = self.secrets()?;
        self.write(|tx| {
            let log = batch.log.to_string();
            tx.execute(
                "INSERT INTO logs (log, seq, hash, stubs, stopped) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (log) DO UPDATE SET seq = ?2, hash = ?3, stubs = ?4, stopped = ?5",
                params![log, batch.tip.seq as i64, batch.tip.hash.as_bytes(), batch.stubs as i64, batch.stopped],
            )?;
            for own in &batch.sent {
                tx.execute(
                    "UPDATE messages SET status = ?4, seq = ?5, place = ?6, at = ?7, reason = NULL, code = NULL, to_hand_on = ?8 AND kind = ?9
                     WHERE log = ?1 AND n = ?2 AND draft = ?3",
                    params![
                        log,
                        own.n as i64,
                        own.draft.as_bytes(),
                        StoredStatus::Sent as i64,
                        own.seq as i64,
                        own.place as i64,
                        own.at as i64,
                        batch.hands_on,
                        kind_number(Kind::Sealed)
                    ],
                )?;
                tx.execute("DELETE FROM outbox WHERE log = ?1 AND n = ?2", params![log, own.n as i64])?;
            }
            for (n, draft) in &batch.settled {
                let settled = "DELETE FROM outbox WHERE log = ?1 AND n = ?2 AND draft = ?3";
                tx.execute(settled, params![log, *n as i64, draft.as_ref()])?;
            }
            for row in &batch.rows {
                insert(tx, &log, row, batch.hands_on && row.kind == Kind::Sealed && row.content.is_ok())?;
            }
            for missed in &batch.missed {
                history::miss(tx, &log, missed)?;
            }
            for ((author, device), heard) in &batch.counted {
                tx.execute(
                    "INSERT INTO counted (log, author, device, n, list, stubs) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (log, author, device) DO UPDATE SET n = ?4, list = ?5, stubs = ?6",
                    params![log, author.to_string(), device.as_bytes(), heard.n as i64, heard.list as i64, heard.stubs as i64],
                )?;
            }
            for erased in &batch.erased {
                let by = erased.by.to_string();
                let changed = tx.execute(
                    "UPDATE messages SET content = NULL, tag = NULL, draft = NULL, status = ?3, reason = ?4
                     WHERE log = ?1 AND seq = ?2 AND (author IS NULL OR author = ?5 OR ?6) AND (draft IS NULL OR draft = ?7)
                     AND NOT EXISTS (SELECT 1 FROM late WHERE message = messages.id AND author != ?5 AND NOT ?6)",
                    params![
                        log,
                        erased.seq as i64,
                        StoredStatus::Unreadable as i64,
                        format!("{ERASED}{by}"),
                        by,
                        erased.anybodys,
                        erased.draft.as_bytes()
                    ],
                )?;
                if changed > 0 {
                    late::forget(tx, &log, erased.seq)?;
                }
                history::forget(tx, &log, erased.seq, &erased.draft, (!erased.anybodys).then_some(&erased.by))?;
            }
            if let Some(members) = &batch.members {
                tx.execute("UPDATE rooms SET members = ?2 WHERE log = ?1", params![log, members.to_bytes()])?;
            }
            if let Some((title, tag)) = &batch.title {
                tx.execute("UPDATE rooms SET title = ?2, tag = ?3 WHERE log = ?1", params![log, title, *tag as i64])?;
            }
            for (to, kind, body) in &batch.outbox {
                tx.execute("INSERT INTO outbox (log, kind, body) VALUES (?1, ?2, ?3)", params![to.to_string(), kind_number(*kind), body])?;
            }
            for (seq, hash) in &batch.hashes {
                tx.execute("INSERT INTO hashes (log, seq, hash) VALUES (?1, ?2, ?3)", params![log, *seq as i64, hash.as_bytes()])?;
            }
            for (by, seen) in &batch.keys_seen {
                doubts::keep(tx, by, seen)?;
            }
            learn_rooms(tx, &batch.rooms)?;
            let mut titled = if batch.hands_on { history::meet(tx, &batch.log, batch.tip.seq)? } else { Vec::new() };
            for handed in &batch.handed {
                titled.extend(history::hand(tx, handed)?);
            }
            secrets.apply(tx, &batch.changes)?;
            Ok(titled)
        })
    }
}

fn insert(tx: &Transaction<'_>, log: &str, row: &NewRow, to_hand_on: bool) -> Result<(), ClientError> {
    let (status, reason, content, tag) = match &row.content {
        Ok((content, tag)) => (StoredStatus::Received, None, Some(content), tag.map(|tag| tag as i64)),
        Err(reason) => (StoredStatus::Unreadable, Some(reason), None, None),
    };
    let (device, n, draft) = match &row.draft {
        Some((device, n, draft)) => (Some(device.as_bytes()), Some(*n as i64), Some(draft.as_bytes())),
        None => (None, None, None),
    };
    tx.execute(
        "INSERT INTO messages (conversation, log, author, device, n, draft, seq, place, at, status, reason, content, tag, kind, mentions, to_hand_on)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
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
            tag,
            kind_number(row.kind),
            row.mentions,
            to_hand_on
        ],
    )?;
    row.late.as_ref().map_or(Ok(()), |late| late::keep(tx, tx.last_insert_rowid(), late))
}

/// Something that the timeline says at a place of a group's log, and only once.
fn say_once(tx: &Transaction<'_>, room: &NewRoom, log: &str, place: u64, why: &str) -> Result<(), ClientError> {
    let said = "SELECT EXISTS (SELECT 1 FROM messages WHERE log = ?1 AND place = ?2 AND seq IS NULL AND reason = ?3)";
    if tx.query_row(said, params![log, place as i64, why], |row| row.get(0))? {
        return Ok(());
    }
    let row = NewRow {
        target: Target::Group { id: room.genesis.room() },
        author: None,
        kind: Kind::Sealed,
        draft: None,
        seq: None,
        place,
        at: now(),
        content: Err(why.into()),
        mentions: false,
        late: None,
    };
    insert(tx, log, &row, false)
}

fn learn_rooms(tx: &Transaction<'_>, rooms: &[NewRoom]) -> Result<(), ClientError> {
    for room in rooms {
        let log = room.genesis.log().to_string();
        let (vouched, hash) = room.vouched.map(|(seq, hash)| (seq as i64, hash.as_bytes().to_vec())).unzip();
        tx.execute("INSERT OR IGNORE INTO rooms (log, genesis) VALUES (?1, ?2)", params![log, room.genesis.encode().as_ref()])?;
        tx.execute("UPDATE rooms SET withdrawn = 0 WHERE log = ?1", [&log])?;
        if let Some(by) = &room.invited_by {
            let (title, tag) = room.title.as_ref().map(|(title, tag)| (title, *tag as i64)).unzip();
            tx.execute(
                "UPDATE rooms SET invited_by = ?2, title = coalesce(?3, title), tag = coalesce(?4, tag), vouched = ?5, vouched_hash = ?6
                 WHERE log = ?1",
                params![log, by.to_string(), title, tag, vouched, hash],
            )?;
        }
        if let (Some(why), Some((seq, _))) = (&room.contradicts, room.vouched) {
            say_once(tx, room, &log, seq, why)?;
        }
    }
    Ok(())
}
