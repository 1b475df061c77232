-- One profile. Every table is STRICT; a change here is a new schema version with a migration.

-- Who we are: user, device secret, account secrets, the home server and its pinned key.
CREATE TABLE profile (
  key   TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Followed logs: how far we have come (a cursor and the chain's hash there), and why we stopped, if we did.
CREATE TABLE logs (
  log     TEXT PRIMARY KEY,
  seq     INTEGER NOT NULL,
  hash    BLOB NOT NULL,
  stopped TEXT
) STRICT, WITHOUT ROWID;

-- The last n that was verified of each device in each log.
CREATE TABLE counted (
  log    TEXT NOT NULL,
  device BLOB NOT NULL,
  n      INTEGER NOT NULL,
  PRIMARY KEY (log, device)
) STRICT, WITHOUT ROWID;

-- Rooms we are in. noticed: 0 the other side has not been told by us, 1 it has (or need not be).
CREATE TABLE rooms (
  log     TEXT PRIMARY KEY,
  genesis BLOB NOT NULL,
  noticed INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Key histories, as they were verified: the drafts of keys@. Never rewritten: what is pinned is what is here.
CREATE TABLE chains (
  user  TEXT NOT NULL,
  seq   INTEGER NOT NULL,
  draft BLOB NOT NULL,
  PRIMARY KEY (user, seq)
) STRICT, WITHOUT ROWID;

-- What is wrong with somebody's keys. A row here stops sending to them.
CREATE TABLE alarms (
  user TEXT PRIMARY KEY,
  why  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The timeline. place orders a conversation; what has none yet comes last. content: CBOR; with a tag, sealed
-- under the history key in that place.
CREATE TABLE messages (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  conversation TEXT NOT NULL,
  log          TEXT NOT NULL,
  author       TEXT,
  device       BLOB,
  n            INTEGER,
  draft        BLOB,
  seq          INTEGER,
  place        INTEGER NOT NULL DEFAULT 9223372036854775807,
  at           INTEGER NOT NULL,
  status       INTEGER NOT NULL,
  reason       TEXT,
  code         TEXT,
  content      BLOB,
  tag          INTEGER
) STRICT;
CREATE INDEX messages_in_order ON messages (conversation, place, id);
CREATE INDEX messages_own ON messages (log, n) WHERE n IS NOT NULL;

-- The chain's hash at each entry of a room: what others say they have seen is held against it.
CREATE TABLE hashes (
  log  TEXT NOT NULL,
  seq  INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (log, seq)
) STRICT, WITHOUT ROWID;

-- What has not been answered yet. A row without draft is still to be sealed; one with draft is sent as it is, always.
CREATE TABLE outbox (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  log     TEXT NOT NULL,
  kind    INTEGER NOT NULL,
  message INTEGER REFERENCES messages (id),
  genesis BLOB,
  body    BLOB,
  n       INTEGER,
  draft   BLOB
) STRICT;
CREATE UNIQUE INDEX outbox_once ON outbox (log, n) WHERE n IS NOT NULL;

-- How many drafts this device has made in each log.
CREATE TABLE own (
  log TEXT PRIMARY KEY,
  n   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The suites' state, committed with the message that changed it.
CREATE TABLE suites (
  key   BLOB PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
