-- One profile. Every table is STRICT; a change here is a new schema version with a migration.

-- Who we are: user, device secret, account secrets, the home server and its pinned key.
CREATE TABLE profile (
  key   TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Followed logs: how far we have come (a cursor and the chain's hash there), and why we stopped, if we did.
-- stubs: how many of the entries were not shown to us, or erased.
CREATE TABLE logs (
  log     TEXT PRIMARY KEY,
  seq     INTEGER NOT NULL,
  hash    BLOB NOT NULL,
  stubs   INTEGER NOT NULL,
  stopped TEXT
) STRICT, WITHOUT ROWID;

-- The last n that was verified of each author's devices in each log; the version of the device list that it named; and how many
-- stubs there were by then, since behind those, too, there may be some of its numbers.
CREATE TABLE counted (
  log    TEXT NOT NULL,
  author TEXT NOT NULL,
  device BLOB NOT NULL,
  n      INTEGER NOT NULL,
  list   INTEGER NOT NULL,
  stubs  INTEGER NOT NULL,
  PRIMARY KEY (log, author, device)
) STRICT, WITHOUT ROWID;

-- Rooms we are in, were in, or are asked into. noticed: 0 the other side of a direct room has not been told by us, 1 it has (or
-- need not be). Groups: members as of the last entry that is here; title: a content, sealed under the history key in the place tag;
-- withdrawn: 1 when an invitation came to nothing, which the members that are here do not say.
-- vouched: an entry, and the chain's hash there, as whoever asked us in had seen it.
CREATE TABLE rooms (
  log          TEXT PRIMARY KEY,
  genesis      BLOB NOT NULL,
  noticed      INTEGER NOT NULL DEFAULT 0,
  members      BLOB,
  title        BLOB,
  tag          INTEGER,
  invited_by   TEXT,
  withdrawn    INTEGER NOT NULL DEFAULT 0,
  vouched      INTEGER,
  vouched_hash BLOB
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

-- Whose identity (SHA-256 of its SPKI) we rely on: the one that was seen first, or accepted after a reset; and the one that was
-- compared with the person.
CREATE TABLE trusted (
  user     TEXT PRIMARY KEY,
  accepted BLOB NOT NULL,
  verified BLOB
) STRICT, WITHOUT ROWID;

-- What our devices are called.
CREATE TABLE devices (
  device BLOB PRIMARY KEY,
  name   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What a person should know about keys, as it was seen.
CREATE TABLE notices (
  id   INTEGER PRIMARY KEY AUTOINCREMENT,
  at   INTEGER NOT NULL,
  user TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;

-- The timeline. kind: that of the draft; what is no message is an event, and its content the draft's body. place orders a conversation; what has none yet comes last. content: CBOR; with a tag, sealed
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
  kind         INTEGER NOT NULL,
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
