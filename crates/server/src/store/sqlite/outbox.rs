//! The outbox in the file: what waits for peers, how they have answered, and how much of it is whose.

use super::failed;
use super::read::{bytes, damaged, get, hash, parsed};
use crate::store::{Author, Lane, OutboxRow, OutboxState, Queue, Settled, StoreError, Waiting};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use std::collections::BTreeMap;
use tidings_proto::{DeviceKey, Genesis, Hash, LogName, Refusal, ServerName, UserName, cbor};

const COLUMNS: &str = "id, log, draft, genesis, state, seq, hash, refusal, queued, draft_hash";

/// Everything that waits for `peer` after row `after`.
pub fn after(connection: &Connection, peer: &ServerName, after: i64, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM outbox WHERE peer = ?1 AND id > ?2 AND state = 0 ORDER BY id LIMIT ?3");
    all(connection, &sql, params![peer.as_str(), after, limit as i64], row)
}

/// The same without what is in it.
pub fn waiting(connection: &Connection, peer: &ServerName, after: i64, limit: usize) -> Result<Vec<Waiting>, StoreError> {
    // The index has all of these columns, so the drafts themselves are not read.
    let sql = "SELECT id, author, device, log FROM outbox WHERE peer = ?1 AND id > ?2 AND state = 0 ORDER BY id LIMIT ?3";
    all(connection, sql, params![peer.as_str(), after, limit as i64], |row| {
        let device: Vec<u8> = get(row, 2)?;
        let device = DeviceKey(device.try_into().map_err(|_| StoreError::Damaged("a device's key has another length".into()))?);
        Ok(Waiting { id: get(row, 0)?, lane: Lane { user: get(row, 1)?, device, log: parsed(&get::<String>(row, 3)?)? } })
    })
}

/// Those of these rows that still wait.
pub fn rows(connection: &Connection, ids: &[i64]) -> Result<Vec<OutboxRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM outbox WHERE id = ?1 AND state = 0");
    let found = ids.iter().map(|id| all(connection, &sql, params![id], row));
    Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The row with this (log, device, n).
pub fn of(connection: &Connection, log: &LogName, device: &DeviceKey, n: u64) -> Result<Option<OutboxRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM outbox WHERE log = ?1 AND device = ?2 AND n = ?3");
    Ok(all(connection, &sql, params![log.to_string(), device.as_bytes(), n as i64], row)?.pop())
}

/// The servers for which anything waits.
pub fn queues(connection: &Connection) -> Result<BTreeMap<ServerName, Queue>, StoreError> {
    let oldest = "SELECT queued FROM outbox WHERE outbox.peer = queues.peer AND state = 0 ORDER BY id LIMIT 1";
    let sql = format!("SELECT entries, bytes, ({oldest}), peer FROM queues WHERE entries > 0");
    let found = all(connection, &sql, params![], |row| {
        let oldest = get::<Option<i64>>(row, 2)?.map(|at| at as u64);
        Ok((parsed(&get::<String>(row, 3)?)?, Queue { oldest, ..queue_row(row)? }))
    });
    Ok(found?.into_iter().collect())
}

/// How much waits for `peer`.
pub fn queue(connection: &Connection, peer: &ServerName) -> Result<Queue, StoreError> {
    let found = all(connection, "SELECT entries, bytes FROM queues WHERE peer = ?1", params![peer.as_str()], queue_row);
    Ok(found?.pop().unwrap_or_default())
}

/// How much of that is this user's.
pub fn share(connection: &Connection, peer: &ServerName, user: &UserName) -> Result<Queue, StoreError> {
    let sql = "SELECT entries, bytes FROM shares WHERE peer = ?1 AND author = ?2";
    Ok(all(connection, sql, params![peer.as_str(), user.to_string()], queue_row)?.pop().unwrap_or_default())
}

/// Keeps a row, in the place of a refused one.
pub fn put(connection: &Connection, peer: &ServerName, (author, n): &(Author, u64), row: &OutboxRow) -> rusqlite::Result<()> {
    let once = params![row.log.to_string(), author.device.as_bytes(), *n as i64];
    connection.prepare_cached("DELETE FROM outbox WHERE log = ?1 AND device = ?2 AND n = ?3 AND state = 2")?.execute(once)?;
    connection
        .prepare_cached(
            "INSERT INTO outbox (id, peer, log, device, n, draft, genesis, queued, author, draft_hash, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0)",
        )?
        .execute(params![
            row.id,
            peer.as_str(),
            row.log.to_string(),
            author.device.as_bytes(),
            *n as i64,
            &row.draft[..],
            row.genesis.as_ref().map(|genesis| genesis.encode().to_vec()),
            row.queued as i64,
            author.user.to_string(),
            row.hash.as_bytes()
        ])?;
    count(connection, peer.as_str(), &author.user.to_string(), (1, row.draft.len() as i64))?;
    match &row.state {
        OutboxState::Waiting => Ok(()),
        OutboxState::Accepted { seq, hash } => settle(connection, row.id, &Settled::Accepted { seq: *seq, hash: *hash }, 0),
        OutboxState::Refused(why) => settle(connection, row.id, &Settled::Refused(why.clone()), 0),
    }
}

/// Keeps a peer's answer. A row that was answered before stays as it is, and is counted once.
pub fn settle(connection: &Connection, id: i64, settled: &Settled, at: u64) -> rusqlite::Result<()> {
    let (state, seq, hash, refusal): (i64, Option<i64>, Option<&Hash>, Option<Vec<u8>>) = match settled {
        Settled::Accepted { seq, hash } => (1, Some(*seq as i64), Some(hash), None),
        Settled::Refused(why) => (2, None, None, Some(cbor::encode(why))),
    };
    let waits: Option<(String, String, i64)> = connection
        .prepare_cached("SELECT peer, author, length(draft) FROM outbox WHERE id = ?1 AND state = 0")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((peer, author, bytes)) = waits else { return Ok(()) };
    connection
        .prepare_cached("UPDATE outbox SET state = ?2, seq = ?3, hash = ?4, refusal = ?5, settled = ?6, draft = x'' WHERE id = ?1")?
        .execute(params![id, state, seq, hash.map(Hash::as_bytes), refusal, at as i64])?;
    count(connection, &peer, &author, (-1, -bytes))
}

/// What waits for `peer`, of this author's, is so much more.
fn count(connection: &Connection, peer: &str, author: &str, (entries, bytes): (i64, i64)) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO queues (peer, entries, bytes) VALUES (?1, ?2, ?3)
             ON CONFLICT (peer) DO UPDATE SET entries = entries + ?2, bytes = bytes + ?3",
        )?
        .execute(params![peer, entries, bytes])?;
    connection
        .prepare_cached(
            "INSERT INTO shares (peer, author, entries, bytes) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (peer, author) DO UPDATE SET entries = entries + ?3, bytes = bytes + ?4",
        )?
        .execute(params![peer, author, entries, bytes])?;
    if entries < 0 {
        let nothing = "DELETE FROM shares WHERE peer = ?1 AND author = ?2 AND entries = 0";
        connection.prepare_cached(nothing)?.execute(params![peer, author])?;
    }
    Ok(())
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    params: &[&dyn ToSql],
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut query = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = query.query(params).map_err(failed)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        out.push(read(row)?);
    }
    Ok(out)
}

fn queue_row(row: &Row<'_>) -> Result<Queue, StoreError> {
    Ok(Queue { entries: get::<i64>(row, 0)? as u64, bytes: get::<i64>(row, 1)? as u64, oldest: None })
}

fn row(row: &Row<'_>) -> Result<OutboxRow, StoreError> {
    let genesis = get::<Option<Vec<u8>>>(row, 3)?.map(|bytes| Genesis::read(&bytes)).transpose().map_err(damaged)?;
    let state = match get::<i64>(row, 4)? {
        0 => OutboxState::Waiting,
        1 => OutboxState::Accepted { seq: get::<i64>(row, 5)? as u64, hash: hash(row, 6)? },
        _ => {
            let why: Vec<u8> = get(row, 7)?;
            OutboxState::Refused(cbor::decode::<Refusal>(&why, usize::MAX).map_err(damaged)?)
        }
    };
    let (queued, draft): (u64, Bytes) = (get::<i64>(row, 8)? as u64, bytes(row, 2)?);
    Ok(OutboxRow { id: get(row, 0)?, log: parsed(&get::<String>(row, 1)?)?, hash: hash(row, 9)?, draft, genesis, queued, state })
}
