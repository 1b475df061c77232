//! The readers' half: tables into what the trait speaks of.

use super::schema::SEQ_BITS;
use super::{failed, outbox, packages};
use crate::store::{AccountRecord, Answers, Author, Loaded, LogRow, Most, NewCode, Page, People, Questions, Range, StoreError, Stored};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::str::FromStr;
use std::sync::Arc;
use tidings_proto::chain::Tip;
use tidings_proto::frame::{RoomRef, SealedVault};
use tidings_proto::{Genesis, Hash, UserName};

const SEQ_MASK: i64 = (1 << SEQ_BITS) - 1;
const CODE_COLUMNS: &str = "hash, user, uses, expires, reset";

pub fn load(connection: &Connection) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded {
        got: number(connection, "SELECT coalesce(max(got), 0) FROM entries WHERE got IS NOT NULL")? as u64,
        outbox: number(connection, "SELECT coalesce(max(id), 0) FROM outbox")?,
        ..Loaded::default()
    };
    let mut query = connection
        .prepare(
            "SELECT number, name, hub, genesis, last.id, last.hash, stopped, people, followed, asked, since
             FROM logs LEFT JOIN entries last
               ON last.id = (SELECT max(id) FROM entries WHERE id > number << 36 AND id < (number + 1) << 36)
             ORDER BY number",
        )
        .map_err(failed)?;
    let mut rows = query.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        loaded.logs.push(log(row)?);
    }
    let mut query = connection.prepare("SELECT name FROM accounts JOIN users ON users.id = accounts.user").map_err(failed)?;
    let mut rows = query.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        loaded.registered.push(parsed(&get::<String>(row, 0)?)?);
    }
    loaded.claims = codes(connection)?.into_iter().filter(|code| !code.reset).filter_map(|code| code.user).collect();
    Ok(loaded)
}

pub fn page(connection: &Connection, log: u64, range: Range, most: Most) -> Result<Page, StoreError> {
    let base = (log as i64) << SEQ_BITS;
    let limit = most.entries.min(i64::MAX as usize) as i64;
    let (text, from, to) = match range {
        Range::After(after) => {
            let sql = "SELECT id, entry, got FROM entries WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";
            (sql, base | clamp(after), base | SEQ_MASK)
        }
        Range::Before(before) => {
            let sql = "SELECT id, entry, got FROM entries WHERE id > ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
            (sql, base, base | clamp(before))
        }
    };
    let mut entries = some_of(connection, text, params![from, to, limit], most)?.0;
    if matches!(range, Range::Before(_)) {
        entries.reverse();
    }
    let before_first = match (entries.first(), range) {
        (Some(first), _) => first.seq - 1,
        (None, Range::After(seq)) => seq,
        (None, Range::Before(_)) => 0,
    };
    Ok(Page { prev: tip_at(connection, base | clamp(before_first))?.unwrap_or(Hash::ZERO), entries })
}

pub fn history(connection: &Connection, log: u64, user: &UserName, after: u64, most: Most) -> Result<(Vec<Stored>, bool), StoreError> {
    let base = (log as i64) << SEQ_BITS;
    let sql = "SELECT entries.id, entry, got FROM entries JOIN users ON users.id = entries.about
        WHERE users.name = ?1 AND entries.id > ?2 AND entries.id <= ?3 ORDER BY entries.id LIMIT ?4";
    // One more than is wanted tells whether more follow.
    let limit = most.entries.saturating_add(1).min(i64::MAX as usize) as i64;
    let (mut entries, mut more) = some_of(connection, sql, params![user.to_string(), base | clamp(after), base | SEQ_MASK, limit], most)?;
    if entries.len() > most.entries {
        entries.truncate(most.entries);
        more = true;
    }
    Ok((entries, more))
}

/// As many rows as fit, one at least; and whether one was left.
fn some_of(connection: &Connection, sql: &str, params: &[&dyn rusqlite::ToSql], most: Most) -> Result<(Vec<Stored>, bool), StoreError> {
    let mut query = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = query.query(params).map_err(failed)?;
    let (mut entries, mut size) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(failed)? {
        let entry = bytes(row, 1)?;
        size += entry.len();
        if size > most.bytes && !entries.is_empty() {
            return Ok((entries, true));
        }
        let got = get::<Option<i64>>(row, 2)?.map(|got| got as u64);
        entries.push(Stored { seq: (get::<i64>(row, 0)? & SEQ_MASK) as u64, entry, got });
    }
    Ok((entries, false))
}

pub fn look_up(connection: &Connection, questions: &Questions) -> Result<Answers, StoreError> {
    let lasts = questions.lasts.iter().map(|(log, device)| last(connection, *log, device)).collect::<Result<_, _>>()?;
    let placed = questions.placed.iter().map(|(log, device, n)| placed(connection, *log, device, *n)).collect::<Result<_, _>>()?;
    let codes = questions.codes.iter().map(|hash| code(connection, hash)).collect::<Result<_, _>>()?;
    let outgoing = questions.outgoing.iter().map(|(log, device, n)| outbox::of(connection, log, device, *n)).collect::<Result<_, _>>()?;
    let queues = questions.queues.iter().map(|peer| outbox::queue(connection, peer)).collect::<Result<_, _>>()?;
    let shares = questions.shares.iter().map(|(peer, user)| outbox::share(connection, peer, user)).collect::<Result<_, _>>()?;
    let accounts = questions.accounts.iter().map(|user| account(connection, user)).collect::<Result<_, _>>()?;
    let entries = questions.entries.iter().map(|(log, seq)| entry(connection, *log, *seq)).collect::<Result<_, _>>()?;
    let stocks = questions.stocks.iter().map(|(owner, wanted)| packages::stock(connection, owner, wanted)).collect::<Result<_, _>>()?;
    Ok(Answers { lasts, placed, codes, outgoing, queues, shares, accounts, entries, stocks })
}

fn last(connection: &Connection, log: u64, author: &Author) -> Result<u64, StoreError> {
    let Some(author) = author_id(connection, author)? else { return Ok(0) };
    let sql = "SELECT max(n) FROM entries WHERE id >> 36 = ?1 AND author = ?2 AND author IS NOT NULL";
    let mut query = connection.prepare_cached(sql).map_err(failed)?;
    let last: Option<i64> = query.query_row([log as i64, author], |row| row.get(0)).map_err(failed)?;
    Ok(last.unwrap_or(0) as u64)
}

fn placed(connection: &Connection, log: u64, author: &Author, n: u64) -> Result<Option<(Bytes, Tip)>, StoreError> {
    let Some(author) = author_id(connection, author)? else { return Ok(None) };
    let sql = "SELECT id, entry, hash FROM entries WHERE id >> 36 = ?1 AND author = ?2 AND n = ?3 AND author IS NOT NULL";
    let mut query = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = query.query([log as i64, author, n as i64]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
    let tip = Tip { seq: (get::<i64>(row, 0)? & SEQ_MASK) as u64, hash: hash(row, 2)? };
    Ok(Some((bytes(row, 1)?, tip)))
}

fn entry(connection: &Connection, log: u64, seq: u64) -> Result<Option<Bytes>, StoreError> {
    let mut query = connection.prepare_cached("SELECT entry FROM entries WHERE id = ?1").map_err(failed)?;
    let found = query.query_row([(log as i64) << SEQ_BITS | clamp(seq)], |row| row.get::<_, Vec<u8>>(0)).optional();
    Ok(found.map_err(failed)?.map(Bytes::from))
}

pub fn author_id(connection: &Connection, author: &Author) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT id FROM authors WHERE user = (SELECT id FROM users WHERE name = ?1) AND device = ?2";
    let mut query = connection.prepare_cached(sql).map_err(failed)?;
    query.query_row(params![author.user.to_string(), author.device.as_bytes()], |row| row.get(0)).optional().map_err(failed)
}

fn code(connection: &Connection, hash: &Hash) -> Result<Option<NewCode>, StoreError> {
    let sql = format!("SELECT {CODE_COLUMNS} FROM codes WHERE hash = ?1");
    let mut query = connection.prepare_cached(&sql).map_err(failed)?;
    let mut rows = query.query([hash.as_bytes()]).map_err(failed)?;
    rows.next().map_err(failed)?.map(code_row).transpose()
}

pub fn codes(connection: &Connection) -> Result<Vec<NewCode>, StoreError> {
    let sql = format!("SELECT {CODE_COLUMNS} FROM codes WHERE uses > 0 ORDER BY expires, hash");
    let mut query = connection.prepare_cached(&sql).map_err(failed)?;
    let mut rows = query.query([]).map_err(failed)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        out.push(code_row(row)?);
    }
    Ok(out)
}

pub fn account(connection: &Connection, user: &UserName) -> Result<Option<AccountRecord>, StoreError> {
    let sql = "SELECT password, recovery, vault_version, vault, book FROM accounts WHERE user = (SELECT id FROM users WHERE name = ?1)";
    let mut query = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = query.query([user.to_string()]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
    let vault = SealedVault { version: get::<i64>(row, 2)? as u64, keys: bytes(row, 3)?, book: bytes(row, 4)? };
    Ok(Some(AccountRecord { password: bytes(row, 0)?, recovery: bytes(row, 1)?, vault }))
}

fn log(row: &Row<'_>) -> Result<LogRow, StoreError> {
    let (hub, genesis): (Option<String>, Option<Vec<u8>>) = (get(row, 2)?, get(row, 3)?);
    let room = match (hub, genesis) {
        (Some(hub), Some(genesis)) => Some(RoomRef { genesis: Genesis::read(&genesis).map_err(damaged)?, hub: parsed(&hub)? }),
        _ => None,
    };
    let tip = match get::<Option<i64>>(row, 4)? {
        Some(last) => Tip { seq: (last & SEQ_MASK) as u64, hash: hash(row, 5)? },
        None => Tip::EMPTY,
    };
    let people = get::<Option<Vec<u8>>>(row, 7)?.map(|bytes| People::from_bytes(&bytes)).transpose().map_err(damaged)?.map(Arc::new);
    let (number, name) = (get::<i64>(row, 0)? as u64, parsed(&get::<String>(row, 1)?)?);
    let asked = get::<Option<String>>(row, 9)?.map(|user| parsed(&user)).transpose()?;
    let since = get::<i64>(row, 10)? as u64;
    Ok(LogRow { number, name, room, people, asked, since, followed: get(row, 8)?, tip, stopped: get(row, 6)? })
}

fn code_row(row: &Row<'_>) -> Result<NewCode, StoreError> {
    let user = get::<Option<String>>(row, 1)?.map(|user| parsed(&user)).transpose()?;
    Ok(NewCode { hash: hash(row, 0)?, user, uses: get(row, 2)?, expires: get::<i64>(row, 3)? as u64, reset: get(row, 4)? })
}

fn tip_at(connection: &Connection, id: i64) -> Result<Option<Hash>, StoreError> {
    let mut query = connection.prepare_cached("SELECT hash FROM entries WHERE id = ?1").map_err(failed)?;
    query.query_row([id], |row| row.get::<_, Vec<u8>>(0)).optional().map_err(failed)?.map(|bytes| as_hash(&bytes)).transpose()
}

fn number(connection: &Connection, sql: &str) -> Result<i64, StoreError> {
    connection.query_row(sql, [], |row| row.get(0)).map_err(failed)
}

pub fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, column: usize) -> Result<T, StoreError> {
    row.get(column).map_err(failed)
}

pub fn bytes(row: &Row<'_>, column: usize) -> Result<Bytes, StoreError> {
    get::<Vec<u8>>(row, column).map(Bytes::from)
}

pub fn hash(row: &Row<'_>, column: usize) -> Result<Hash, StoreError> {
    as_hash(&get::<Vec<u8>>(row, column)?)
}

fn as_hash(bytes: &[u8]) -> Result<Hash, StoreError> {
    Hash::from_slice(bytes).ok_or_else(|| StoreError::Damaged("a hash has another length".into()))
}

pub fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(damaged)
}

pub fn damaged(error: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(error.to_string())
}

/// A sequence number as part of a rowid.
fn clamp(seq: u64) -> i64 {
    seq.min(SEQ_MASK as u64) as i64
}
