//! The tables, and how a file of an older version is brought to the newest.

use crate::store::StoreError;
use rusqlite::Connection;

/// The steps from an empty file to the newest version: each makes the version of its place, counted from 1.
const STEPS: &[&str] = &[TABLES, QUEUES, GROUPS, SHARES, BOOKS, ASKED];

/// The version of the schema that this program writes.
pub const VERSION: i64 = STEPS.len() as i64;

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

/// Version 2: how much waits for each peer, and since when.
const QUEUES: &str = "
ALTER TABLE outbox ADD COLUMN queued INTEGER NOT NULL DEFAULT 0;
UPDATE outbox SET queued = unixepoch() * 1000;

CREATE TABLE queues (
    peer    TEXT PRIMARY KEY,
    entries INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO queues SELECT peer, count(*), sum(length(draft)) FROM outbox WHERE state = 0 GROUP BY peer;
";

/// Version 3: who is in a group, whether a replica is followed, and codes by which an account begins anew.
const GROUPS: &str = "
ALTER TABLE logs ADD COLUMN people BLOB;
ALTER TABLE logs ADD COLUMN followed INTEGER NOT NULL DEFAULT 1;
ALTER TABLE codes ADD COLUMN reset INTEGER NOT NULL DEFAULT 0;
DROP TABLE members;
";

/// Version 4: whose the drafts for peers are, how much of a queue is whose, and what is known of a draft that is forgotten.
const SHARES: &str = "
ALTER TABLE outbox ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN draft_hash BLOB;
DROP INDEX outbox_waiting;
CREATE INDEX outbox_waiting ON outbox (peer, id, author, device, log) WHERE state = 0;

CREATE TABLE shares (
    peer    TEXT NOT NULL,
    author  TEXT NOT NULL,
    entries INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    PRIMARY KEY (peer, author)
) STRICT, WITHOUT ROWID;
INSERT INTO shares SELECT peer, author, count(*), sum(length(draft)) FROM outbox WHERE state = 0 GROUP BY peer, author;
";

/// Version 5: what an account's owner has written down lies beside the keys of the vault.
const BOOKS: &str = "
ALTER TABLE accounts ADD COLUMN book BLOB NOT NULL DEFAULT x'';
";

/// Version 6: whom others have asked into a room, and since when a log is here.
const ASKED: &str = "
ALTER TABLE logs ADD COLUMN asked TEXT;
ALTER TABLE logs ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE logs SET since = unixepoch() * 1000;
";

/// Makes the tables in an empty file, brings an older file to the newest version; refuses a file of a newer program.
pub fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(super::failed)?;
    if found > VERSION {
        return Err(StoreError::Newer { found, known: VERSION });
    }
    if found < VERSION {
        let transaction = connection.transaction().map_err(super::failed)?;
        for step in STEPS.iter().skip(found.max(0) as usize) {
            transaction.execute_batch(step).map_err(super::failed)?;
        }
        transaction.pragma_update(None, "user_version", VERSION).map_err(super::failed)?;
        transaction.commit().map_err(super::failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_version_1_is_brought_to_the_newest_and_loses_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let row = "INSERT INTO outbox (id, peer, log, device, n, draft, state) VALUES";
        for (id, state) in [(1, 0), (2, 1), (3, 0)] {
            connection.execute(&format!("{row} ({id}, 's2', 'inbox:bob@s2', x'00', {id}, x'010203', {state})"), []).unwrap();
        }
        migrate(&mut connection).unwrap();
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        let queue: (String, i64, i64) =
            connection.query_row("SELECT peer, entries, bytes FROM queues", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        assert_eq!((version, queue), (VERSION, ("s2".into(), 2, 6)));
        // Nobody knows since when these wait; they are not taken for something from 1970.
        let young: i64 =
            connection.query_row("SELECT count(*) FROM outbox WHERE queued > (unixepoch() - 60) * 1000", [], |row| row.get(0)).unwrap();
        assert_eq!(young, 3);
        migrate(&mut connection).unwrap();
    }
}
