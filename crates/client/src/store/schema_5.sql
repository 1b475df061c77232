-- What version 5 of the schema adds: key histories as others have seen them.

-- Where somebody says that they have seen of the history of a server's keys what is not here, or not yet: to be held against what comes. The
-- newest of each person, and when the first of them came that is still open.
CREATE TABLE keys_seen (
  server TEXT NOT NULL,
  by     TEXT NOT NULL,
  seq    INTEGER NOT NULL,
  hash   BLOB NOT NULL,
  at     INTEGER NOT NULL,
  PRIMARY KEY (server, by)
) STRICT, WITHOUT ROWID;

-- That the history of a server's keys is told in two ways: by whom it was found, empty where by this device alone.
CREATE TABLE doubts (
  server TEXT NOT NULL,
  by     TEXT NOT NULL,
  why    TEXT NOT NULL,
  PRIMARY KEY (server, by)
) STRICT, WITHOUT ROWID;
