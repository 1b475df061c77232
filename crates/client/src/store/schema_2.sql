-- What version 2 of the schema adds.

-- What could not be opened for want of somebody's keys, to be judged again when these come: whose, and the version that was not
-- enough; the highest device list that its author had named before, the stubs of the log by then, who was in the room, and whom it
-- names as its author.
CREATE TABLE late (
  message   INTEGER PRIMARY KEY REFERENCES messages (id),
  waits_for TEXT NOT NULL,
  version   INTEGER NOT NULL,
  highest   INTEGER NOT NULL,
  stubs     INTEGER NOT NULL,
  draft     BLOB NOT NULL,
  members   BLOB NOT NULL,
  author    TEXT NOT NULL
) STRICT;
CREATE INDEX late_for ON late (waits_for);
