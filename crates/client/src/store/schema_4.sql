-- What version 4 of the schema adds: what a user's devices hand on to each other of what they have opened in rooms on MLS.

-- Whether no device has handed it on yet, as far as is known here.
ALTER TABLE messages ADD COLUMN to_hand_on INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_to_hand_on ON messages (id) WHERE to_hand_on = 1;

-- Sealed entries that this device cannot open: from before it came in, mostly. Another device's words for them may come.
CREATE TABLE missed (
  log          TEXT NOT NULL,
  seq          INTEGER NOT NULL,
  conversation TEXT NOT NULL,
  place        INTEGER NOT NULL,
  at           INTEGER NOT NULL,
  author       TEXT NOT NULL,
  device       BLOB NOT NULL,
  n            INTEGER NOT NULL,
  draft        BLOB NOT NULL,
  PRIMARY KEY (log, seq)
) STRICT, WITHOUT ROWID;

-- What was handed on of entries that are not here yet. content: sealed under the history key in the place seq.
CREATE TABLE handed (
  log      TEXT NOT NULL,
  seq      INTEGER NOT NULL,
  draft    BLOB NOT NULL,
  author   TEXT NOT NULL,
  is_title INTEGER NOT NULL,
  content  BLOB NOT NULL,
  PRIMARY KEY (log, seq)
) STRICT, WITHOUT ROWID;
