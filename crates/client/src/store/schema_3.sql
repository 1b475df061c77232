-- What version 3 of the schema adds: what a list of conversations shows of each without reading its messages, what is being written,
-- and what was asked for once.

-- Whether it names this user.
ALTER TABLE messages ADD COLUMN mentions INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_mentioning ON messages (conversation, place, id) WHERE mentions = 1;

-- Kept by the triggers below, whoever writes messages. seen_place, seen: the newest message that was seen. unseen: those of others after it.
CREATE TABLE conversations (
  conversation TEXT PRIMARY KEY,
  messages     INTEGER NOT NULL,
  newest       INTEGER NOT NULL,
  seen_place   INTEGER NOT NULL DEFAULT -1,
  seen         INTEGER NOT NULL DEFAULT 0,
  unseen       INTEGER NOT NULL DEFAULT 0,
  mentioned    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- What was here before was seen.
INSERT INTO conversations (conversation, messages, newest) SELECT conversation, count(*), max(at) FROM messages GROUP BY conversation;
UPDATE conversations SET (seen_place, seen) = (
  SELECT place, id FROM messages m WHERE m.conversation = conversations.conversation AND place < 9223372036854775807
  ORDER BY place DESC, id DESC LIMIT 1
) WHERE EXISTS (SELECT 1 FROM messages m WHERE m.conversation = conversations.conversation AND place < 9223372036854775807);

CREATE TRIGGER messages_more AFTER INSERT ON messages BEGIN
  INSERT INTO conversations (conversation, messages, newest) VALUES (NEW.conversation, 1, NEW.at)
    ON CONFLICT (conversation) DO UPDATE SET messages = messages + 1, newest = NEW.at;
  -- Received or unreadable, sealed or posted, and not by this user on another device.
  UPDATE conversations SET unseen = unseen + 1, mentioned = max(mentioned, NEW.mentions)
    WHERE conversation = NEW.conversation AND (NEW.place, NEW.id) > (seen_place, seen) AND NEW.status IN (4, 5) AND NEW.kind IN (1, 2)
      AND NEW.author IS NOT (SELECT CAST(value AS TEXT) FROM profile WHERE key = 'user');
END;
CREATE TRIGGER messages_fewer AFTER DELETE ON messages BEGIN
  UPDATE conversations SET messages = messages - 1 WHERE conversation = OLD.conversation;
END;
-- What could not be opened at first may name this user.
CREATE TRIGGER messages_mention AFTER UPDATE OF mentions ON messages WHEN NEW.mentions > OLD.mentions BEGIN
  UPDATE conversations SET mentioned = 1 WHERE conversation = NEW.conversation AND (NEW.place, NEW.id) > (seen_place, seen);
END;

-- What stands in a composer: a content, sealed under the history key in the place tag.
CREATE TABLE drafts (
  conversation TEXT PRIMARY KEY,
  content      BLOB NOT NULL,
  tag          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is asked for again by whoever did not hear the answer: the message that it was written as.
CREATE TABLE once (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  name    TEXT NOT NULL UNIQUE,
  message INTEGER NOT NULL
) STRICT;
