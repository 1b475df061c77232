//! The tables, and how a file of an older version is brought to the newest.

use crate::store::StoreError;
use rusqlite::Connection;

/// The version of the schema that this program writes.
pub const VERSION: i64 = 1;

/// An entry's rowid is its log's number and its sequence number in one, so a log's entries lie side by side.
pub const SEQ_BITS: u32 = 36;

/// Version 1.
const TABLES: &str = "
CREATE TABLE logs (
    number   INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    hub      TEXT,
    genesis  BLOB,
    tip_seq  INTEGER NOT NULL,
    tip_hash BLOB NOT NULL,
    stopped  INTEGER NOT NULL,
    changed  INTEGER NOT NULL
) STRICT;
CREATE INDEX logs_changed ON logs (changed);

CREATE TABLE users (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- A device as one of this user's.
CREATE TABLE authors (
    id     INTEGER PRIMARY KEY,
    user   INTEGER NOT NULL REFERENCES users (id),
    device BLOB NOT NULL,
    UNIQUE (user, device)
) STRICT;

-- id = log << 36 | seq
CREATE TABLE entries (
    id     INTEGER PRIMARY KEY,
    hash   BLOB NOT NULL,
    author INTEGER REFERENCES authors (id),
    n      INTEGER,
    about  INTEGER REFERENCES users (id),
    got    INTEGER,
    flawed INTEGER NOT NULL,
    entry  BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX entries_once ON entries (id >> 36, author, n) WHERE author IS NOT NULL;
CREATE INDEX entries_about ON entries (about, id) WHERE about IS NOT NULL;
CREATE UNIQUE INDEX entries_got ON entries (got) WHERE got IS NOT NULL;

CREATE TABLE members (
    log  INTEGER NOT NULL REFERENCES logs (number),
    user INTEGER NOT NULL REFERENCES users (id),
    PRIMARY KEY (log, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    user          INTEGER PRIMARY KEY REFERENCES users (id),
    password      BLOB NOT NULL,
    recovery      BLOB NOT NULL,
    vault         BLOB NOT NULL,
    vault_version INTEGER NOT NULL
) STRICT;

CREATE TABLE codes (
    hash    BLOB PRIMARY KEY,
    user    TEXT,
    uses    INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- state: 0 waits, 1 accepted (seq, hash), 2 refused (refusal)
CREATE TABLE outbox (
    id      INTEGER PRIMARY KEY,
    peer    TEXT NOT NULL,
    log     TEXT NOT NULL,
    device  BLOB NOT NULL,
    n       INTEGER NOT NULL,
    draft   BLOB NOT NULL,
    genesis BLOB,
    state   INTEGER NOT NULL,
    seq     INTEGER,
    hash    BLOB,
    refusal BLOB,
    settled INTEGER
) STRICT;
CREATE UNIQUE INDEX outbox_once ON outbox (log, device, n);
CREATE INDEX outbox_waiting ON outbox (peer, id) WHERE state = 0;
CREATE INDEX outbox_settled ON outbox (settled) WHERE settled IS NOT NULL;
";

/// Makes the tables in an empty file; refuses a file of a newer program.
pub fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(super::failed)?;
    if found > VERSION {
        return Err(StoreError::Newer { found, known: VERSION });
    }
    if found == 0 {
        let transaction = connection.transaction().map_err(super::failed)?;
        transaction.execute_batch(TABLES).map_err(super::failed)?;
        transaction.pragma_update(None, "user_version", VERSION).map_err(super::failed)?;
        transaction.commit().map_err(super::failed)?;
    }
    Ok(())
}
