//! The tables. A file of a version that was ever frozen opens, by migration if need be (`tests/it/old`); one from before that, or of a
//! newer program, is refused and left as it is.

use crate::store::StoreError;
use rusqlite::Connection;

/// The version of the tables. Files of 1 to 7 were written before the formats were frozen.
pub const VERSION: i64 = 10;

/// An entry's rowid is its log's number and its sequence number in one, so a log's entries lie side by side.
pub const SEQ_BITS: u32 = 36;

const TABLES: &str = "
-- Where a log stands is its last entry's to say: an entry writes no row but its own.
CREATE TABLE logs (
    number   INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    hub      TEXT,
    genesis  BLOB,
    stopped  INTEGER NOT NULL,
    people   BLOB,
    followed INTEGER NOT NULL,
    asked    TEXT,
    since    INTEGER NOT NULL
) STRICT;

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

CREATE TABLE accounts (
    user          INTEGER PRIMARY KEY REFERENCES users (id),
    password      BLOB NOT NULL,
    recovery      BLOB NOT NULL,
    vault         BLOB NOT NULL,
    book          BLOB NOT NULL,
    vault_version INTEGER NOT NULL
) STRICT;

CREATE TABLE codes (
    hash    BLOB PRIMARY KEY,
    user    TEXT,
    uses    INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    reset   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- state: 0 waits, 1 accepted (seq, hash), 2 refused (refusal). An answered draft is forgotten but for its hash.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY,
    peer       TEXT NOT NULL,
    log        TEXT NOT NULL,
    author     TEXT NOT NULL,
    device     BLOB NOT NULL,
    n          INTEGER NOT NULL,
    draft      BLOB NOT NULL,
    draft_hash BLOB NOT NULL,
    genesis    BLOB,
    queued     INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    seq        INTEGER,
    hash       BLOB,
    refusal    BLOB,
    settled    INTEGER
) STRICT;
CREATE UNIQUE INDEX outbox_once ON outbox (log, device, n);
CREATE INDEX outbox_waiting ON outbox (peer, id, author, device, log) WHERE state = 0;
CREATE INDEX outbox_settled ON outbox (settled) WHERE settled IS NOT NULL;

-- How much waits for each peer, and how much of it is whose.
CREATE TABLE queues (
    peer    TEXT PRIMARY KEY,
    entries INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE shares (
    peer    TEXT NOT NULL,
    author  TEXT NOT NULL,
    entries INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    PRIMARY KEY (peer, author)
) STRICT, WITHOUT ROWID;
";

/// New with version 9.
const KEY_PACKAGES: &str = "
-- A device's key packages; single-use ones are handed out in the order of their ids. What was handed out, replaced or withdrawn is
-- forgotten but for its hash.
CREATE TABLE key_packages (
    id          INTEGER PRIMARY KEY,
    owner       INTEGER NOT NULL REFERENCES authors (id),
    hash        BLOB NOT NULL,
    last_resort INTEGER NOT NULL,
    package     BLOB
) STRICT;
CREATE UNIQUE INDEX key_packages_once ON key_packages (owner, hash);
CREATE INDEX key_packages_left ON key_packages (owner, last_resort, id) WHERE package IS NOT NULL;
";

/// New with version 10: who has an inbox has a place for what their devices keep for each other.
const HISTORIES: &str = "
INSERT INTO logs (number, name, hub, genesis, stopped, people, followed, asked, since)
    SELECT (SELECT max(number) FROM logs) + row_number() OVER (ORDER BY number), 'history:' || substr(name, length('inbox:') + 1),
           hub, genesis, stopped, people, followed, asked, since
    FROM logs WHERE name LIKE 'inbox:%';
";

/// Makes the tables in an empty file, or what is missing in an older one; refuses a file of a version that was never frozen, or
/// of a newer program.
pub fn prepare(connection: &mut Connection) -> Result<(), StoreError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(super::failed)?;
    let missing: &[&str] = match found {
        VERSION => return Ok(()),
        0 => &[TABLES, KEY_PACKAGES],
        8 => &[KEY_PACKAGES, HISTORIES],
        9 => &[HISTORIES],
        ..VERSION => return Err(StoreError::Older { found, known: VERSION }),
        _ => return Err(StoreError::Newer { found, known: VERSION }),
    };
    let transaction = connection.transaction().map_err(super::failed)?;
    for tables in missing {
        transaction.execute_batch(tables).map_err(super::failed)?;
    }
    transaction.pragma_update(None, "user_version", VERSION).map_err(super::failed)?;
    transaction.commit().map_err(super::failed)
}
