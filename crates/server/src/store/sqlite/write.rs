//! The writer's half: changes into tables.

use super::schema::SEQ_BITS;
use super::{failed, locked, outbox, packages};
use crate::store::{AccountRecord, Author, Change, LogRow, NewCode, NewEntry, StoreError};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use tidings_proto::UserName;
use tidings_proto::frame::SealedVault;

/// Authors whose rows are remembered; beyond that all are forgotten and looked up anew.
const REMEMBERED: usize = 100_000;

/// The writer's connection.
pub struct Tables {
    connection: Connection,
    authors: Authors,
    changed: Changed,
}

/// The logs that are new or have grown since it was asked last. In memory: whoever starts looks at everything anyway.
#[derive(Clone, Default)]
pub struct Changed(Arc<Mutex<BTreeSet<u64>>>);

impl Changed {
    fn add(&self, changes: &[Change]) {
        let logs = changes.iter().filter_map(|change| match change {
            Change::Log(row) => Some(row.number),
            Change::Entry(new) => Some(new.log),
            _ => None,
        });
        locked(&self.0).extend(logs);
    }

    /// Those, once.
    pub fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *locked(&self.0)).into_iter().collect()
    }
}

/// The rows of authors, as they are in the tables: to look them up costs about as much as the entry itself.
#[derive(Default)]
struct Authors(HashMap<Author, i64>);

impl Tables {
    pub fn new(connection: Connection) -> Tables {
        Tables { connection, authors: Authors::default(), changed: Changed::default() }
    }

    /// What has changed, for whoever asks while this writes.
    pub fn changed(&self) -> Changed {
        self.changed.clone()
    }

    /// For whoever has no other connection.
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// One transaction for all; each of them is all or nothing by itself.
    pub fn commit(&mut self, all: &[Vec<Change>]) -> Vec<Result<(), StoreError>> {
        match self.try_commit(all) {
            Ok(results) => {
                let done = all.iter().zip(&results).filter(|(_, result)| result.is_ok());
                done.for_each(|(changes, _)| self.changed.add(changes));
                results
            }
            Err(error) => {
                self.authors.forget();
                if !self.connection.is_autocommit()
                    && let Err(error) = self.connection.execute_batch("ROLLBACK")
                {
                    tracing::error!(%error, "a transaction could not be rolled back");
                }
                let error = failed(error);
                all.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    fn try_commit(&mut self, all: &[Vec<Change>]) -> rusqlite::Result<Vec<Result<(), StoreError>>> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        // Alone, a caller's changes are all or nothing by the transaction itself. Under load that is how they come: the sequencer has
        // gathered what waits already, and a savepoint would have SQLite copy every page that it changes once more.
        if let [changes] = all {
            write_changes(&self.connection, &mut self.authors, changes)?;
            self.connection.execute_batch("COMMIT")?;
            return Ok(vec![Ok(())]);
        }
        let mut results = Vec::with_capacity(all.len());
        for changes in all {
            self.connection.execute_batch("SAVEPOINT one")?;
            let result = write_changes(&self.connection, &mut self.authors, changes);
            if let Err(error) = result {
                self.authors.forget();
                // A full disk has ended the whole transaction already, and its error is the one to tell.
                if self.connection.execute_batch("ROLLBACK TO one; RELEASE one").is_err() {
                    return Err(error);
                }
                results.push(Err(failed(error)));
            } else {
                self.connection.execute_batch("RELEASE one")?;
                results.push(Ok(()));
            }
        }
        self.connection.execute_batch("COMMIT")?;
        Ok(results)
    }
}

fn write_changes(connection: &Connection, authors: &mut Authors, changes: &[Change]) -> rusqlite::Result<()> {
    for change in changes {
        match change {
            Change::Log(row) => log(connection, row)?,
            Change::Discard { log } => {
                let empty = "DELETE FROM logs WHERE number = ?1
                    AND NOT EXISTS (SELECT 1 FROM entries WHERE id > number << 36 AND id < (number + 1) << 36)";
                one(connection.prepare_cached(empty)?.execute([*log as i64])?)?;
            }
            Change::TakenUp { log } => {
                connection.prepare_cached("UPDATE logs SET asked = NULL WHERE number = ?1")?.execute([*log as i64])?;
            }
            Change::Entry(new) => entry(connection, authors, new)?,
            Change::Stop { log } => {
                connection.prepare_cached("UPDATE logs SET stopped = 1 WHERE number = ?1")?.execute([*log as i64])?;
            }
            Change::People { log, people } => {
                let update = "UPDATE logs SET people = ?2 WHERE number = ?1";
                connection.prepare_cached(update)?.execute(params![*log as i64, people.to_bytes()])?;
            }
            Change::Follow { log, followed } => {
                connection.prepare_cached("UPDATE logs SET followed = ?2 WHERE number = ?1")?.execute(params![*log as i64, followed])?;
            }
            Change::Erase { log, seq, stub } => {
                let id = (*log as i64) << SEQ_BITS | *seq as i64;
                one(connection.prepare_cached("UPDATE entries SET entry = ?2 WHERE id = ?1")?.execute(params![id, &stub[..]])?)?;
            }
            Change::Account { user, record } => account(connection, user, record)?,
            Change::Secrets { user, password, recovery, vault } => {
                secrets(connection, user, (password.as_ref(), recovery.as_ref()), vault)?;
            }
            Change::Book { user, version, book } => {
                let update = "UPDATE accounts SET book = ?2, vault_version = ?3 WHERE user = ?1 AND vault_version = ?3 - 1";
                let with = params![user_id(connection, user)?, &book[..], *version as i64];
                one(connection.prepare_cached(update)?.execute(with)?)?;
            }
            Change::Close(user) => {
                let user = user_id(connection, user)?;
                one(connection.prepare_cached("DELETE FROM accounts WHERE user = ?1")?.execute([user])?)?;
                packages::delete_of(connection, user)?;
            }
            Change::KeyPackage { owner, package } => packages::put(connection, authors.row(connection, owner)?, package)?,
            Change::HandOut { owner, hash } => one(packages::hand_out(connection, owner, hash)?)?,
            Change::Withdraw(owner) => packages::withdraw(connection, owner)?,
            Change::Code(new) => code(connection, new)?,
            Change::UseCode(hash) => {
                let update = "UPDATE codes SET uses = uses - 1 WHERE hash = ?1 AND uses > 0";
                one(connection.prepare_cached(update)?.execute([hash.as_bytes()])?)?;
            }
            Change::RemoveCode(hash) => {
                connection.prepare_cached("DELETE FROM codes WHERE hash = ?1")?.execute([hash.as_bytes()])?;
            }
            Change::VoidCodes(user) => {
                connection.prepare_cached("DELETE FROM codes WHERE user = ?1")?.execute([user.to_string()])?;
            }
            Change::ForgetCodes { at } => {
                let sql = "DELETE FROM codes WHERE uses = 0 OR ((user IS NULL OR reset) AND expires <= ?1)";
                connection.prepare_cached(sql)?.execute([*at as i64])?;
            }
            Change::Outgoing { peer, once, row } => outbox::put(connection, peer, once, row)?,
            Change::Settle { id, settled, at } => outbox::settle(connection, *id, settled, *at)?,
            Change::ForgetSettled { before } => {
                connection.prepare_cached("DELETE FROM outbox WHERE settled < ?1")?.execute([*before as i64])?;
            }
        }
    }
    Ok(())
}

/// A change that finds nothing to change was decided about something else than what is there.
fn one(changed: usize) -> rusqlite::Result<()> {
    if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
}

fn log(connection: &Connection, row: &LogRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO logs (number, name, hub, genesis, stopped, followed, asked, since)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            row.number as i64,
            row.name.to_string(),
            row.room.as_ref().map(|room| room.hub.as_str().to_owned()),
            row.room.as_ref().map(|room| room.genesis.encode().to_vec()),
            row.stopped,
            row.followed,
            row.asked.as_ref().map(UserName::to_string),
            row.since as i64
        ])?;
    Ok(())
}

fn entry(connection: &Connection, authors: &mut Authors, new: &NewEntry) -> rusqlite::Result<()> {
    let id = (new.log as i64) << SEQ_BITS | new.tip.seq as i64;
    let author = new.once.as_ref().map(|(author, _)| authors.row(connection, author)).transpose()?;
    let n = new.once.as_ref().map(|(_, n)| *n as i64);
    let about = new.about.as_ref().map(|user| user_id(connection, user)).transpose()?;
    let got = new.got.map(|got| got as i64);
    connection
        .prepare_cached("INSERT INTO entries (id, hash, author, n, about, got, flawed, entry) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![id, new.tip.hash.as_bytes(), author, n, about, got, new.flawed, &new.entry[..]])?;
    Ok(())
}

fn account(connection: &Connection, user: &UserName, record: &AccountRecord) -> rusqlite::Result<()> {
    let user = user_id(connection, user)?;
    connection
        .prepare_cached("INSERT INTO accounts (user, password, recovery, vault, book, vault_version) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            user,
            &record.password[..],
            &record.recovery[..],
            &record.vault.keys[..],
            &record.vault.book[..],
            record.vault.version as i64
        ])?;
    Ok(())
}

fn secrets(
    connection: &Connection,
    user: &UserName,
    (password, recovery): (Option<&Bytes>, Option<&Bytes>),
    vault: &SealedVault,
) -> rusqlite::Result<()> {
    let update = "UPDATE accounts SET password = coalesce(?2, password), recovery = coalesce(?3, recovery), vault = ?4, book = ?5,
        vault_version = ?6 WHERE user = ?1 AND vault_version = ?6 - 1";
    let user = user_id(connection, user)?;
    let (password, recovery) = (password.map(|it| it.to_vec()), recovery.map(|it| it.to_vec()));
    let with = params![user, password, recovery, &vault.keys[..], &vault.book[..], vault.version as i64];
    one(connection.prepare_cached(update)?.execute(with)?)
}

fn code(connection: &Connection, new: &NewCode) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT INTO codes (hash, user, uses, expires, reset) VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
        new.hash.as_bytes(),
        new.user.as_ref().map(UserName::to_string),
        new.uses,
        new.expires as i64,
        new.reset
    ])?;
    Ok(())
}

impl Authors {
    /// The row of an author, who gets one where there is none.
    fn row(&mut self, connection: &Connection, author: &Author) -> rusqlite::Result<i64> {
        if let Some(row) = self.0.get(author) {
            return Ok(*row);
        }
        let user = user_id(connection, &author.user)?;
        let by = params![user, author.device.as_bytes()];
        let sql = "SELECT id FROM authors WHERE user = ?1 AND device = ?2";
        let row = match connection.prepare_cached(sql)?.query_row(by, |row| row.get(0)).optional()? {
            Some(row) => row,
            None => connection.prepare_cached("INSERT INTO authors (user, device) VALUES (?1, ?2)")?.insert(by)?,
        };
        if self.0.len() >= REMEMBERED {
            self.forget();
        }
        self.0.insert(author.clone(), row);
        Ok(row)
    }

    /// What was undone has taken rows along that are remembered here.
    fn forget(&mut self) {
        self.0.clear();
    }
}

fn user_id(connection: &Connection, user: &UserName) -> rusqlite::Result<i64> {
    let name = user.to_string();
    let found = connection.prepare_cached("SELECT id FROM users WHERE name = ?1")?.query_row([&name], |row| row.get(0)).optional()?;
    match found {
        Some(id) => Ok(id),
        None => connection.prepare_cached("INSERT INTO users (name) VALUES (?1)")?.insert([&name]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{connect, schema};
    use tidings_proto::chain::Tip;
    use tidings_proto::{DeviceKey, Hash};

    fn entry_of(size: usize, seq: u64) -> Vec<Change> {
        let tip = Tip { seq, hash: Hash::ZERO };
        let entry = vec![0; size].into();
        vec![Change::Entry(NewEntry { log: 1, tip, entry, once: None, about: None, got: None, flawed: false })]
    }

    /// A row that was made in what was undone is there no more, and its number is another author's.
    #[test]
    fn authors_of_what_was_undone_are_looked_up_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        std::fs::write(&path, b"").unwrap();
        let mut connection = connect(&path).unwrap();
        schema::prepare(&mut connection).unwrap();
        let mut tables = Tables::new(connection);
        let by = |name: &str, seq: u64| {
            let author = Author { user: format!("{name}@s1").parse().unwrap(), device: DeviceKey([1; 32]) };
            let tip = Tip { seq, hash: Hash::ZERO };
            let entry = NewEntry { log: 1, tip, entry: vec![7].into(), once: Some((author, seq)), about: None, got: None, flawed: false };
            vec![Change::Entry(entry)]
        };
        // What cannot be changed undoes what came with it.
        let undone = |name: &str, seq: u64| [by(name, seq), vec![Change::Erase { log: 9, seq: 9, stub: vec![7].into() }]].concat();
        assert!(tables.commit(&[undone("alice", 1)])[0].is_err());
        let results = tables.commit(&[undone("alice", 1), by("bob", 1), by("alice", 2)]);
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true]);
        assert!(tables.commit(&[by("alice", 3), by("bob", 4)]).iter().all(Result::is_ok));
        let sql = "SELECT users.name FROM entries JOIN authors ON authors.id = entries.author JOIN users ON users.id = authors.user ORDER BY entries.id";
        let mut query = tables.connection.prepare(sql).unwrap();
        let names: Vec<String> = query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(names, ["bob@s1", "alice@s1", "alice@s1", "bob@s1"]);
    }

    #[test]
    fn a_full_disk_is_told_as_such_and_undoes_the_whole_transaction() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        std::fs::write(&path, b"").unwrap();
        let mut connection = connect(&path).unwrap();
        schema::prepare(&mut connection).unwrap();
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        let most = |tables: &Tables, pages: i64| {
            let set: i64 = tables.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get(0)).unwrap();
            assert_eq!(set, pages);
        };
        let mut tables = Tables::new(connection);
        let log = LogRow {
            number: 1,
            name: "public@s1".parse().unwrap(),
            room: None,
            people: None,
            asked: None,
            since: 0,
            followed: true,
            tip: Tip::EMPTY,
            stopped: false,
        };
        assert!(tables.commit(&[vec![Change::Log(log)]]).iter().all(Result::is_ok));
        most(&tables, pages + 8);
        let results = tables.commit(&[entry_of(10, 1), entry_of(1 << 20, 2), entry_of(10, 3)]);
        let kept: i64 = tables.connection.query_row("SELECT count(*) FROM entries", [], |row| row.get(0)).unwrap();
        let taken = results.iter().filter(|result| result.is_ok()).count() as i64;
        assert_eq!(kept, taken, "what was not answered well is not there");
        assert!(matches!(results[1], Err(StoreError::Full)), "{results:?}");
        assert!(tables.connection.is_autocommit());
        // There is room again, and everything goes on.
        most(&tables, 100_000);
        assert!(tables.commit(&[entry_of(1 << 20, 4)]).iter().all(Result::is_ok));
    }
}
