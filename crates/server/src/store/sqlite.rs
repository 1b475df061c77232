//! The store in one SQLite file: one thread writes, a few connections read.
//!
//! Whatever waits when the writer is free goes into one transaction, so under load one fsync is shared by many
//! (group commit); what one caller gave stays all or nothing by a savepoint of its own.

pub mod memory;
mod outbox;
mod packages;
mod read;
mod schema;
mod write;

use super::{
    AccountRecord, Answers, Change, Loaded, Most, NewCode, OutboxRow, Page, Questions, Queue, Range, Store, StoreError, Stored, Waiting,
};
use futures_util::future::{BoxFuture, ready};
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tidings_proto::{ServerName, UserName};
use tokio::sync::{Semaphore, oneshot};

/// Connections that read at once.
const READERS: usize = 4;
/// Callers whose changes share a transaction.
const SHARE: usize = 256;
/// The first SQLite without the WAL-reset bug.
const OLDEST_SQLITE: i32 = 3_051_003;

/// The store in one SQLite file.
pub struct SqliteStore {
    writer: Mutex<Option<Writer>>,
    readers: Arc<Readers>,
    transactions: Arc<AtomicU64>,
    changed: write::Changed,
}

struct Writer {
    requests: mpsc::Sender<Request>,
    thread: JoinHandle<()>,
}

struct Request {
    changes: Vec<Change>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    places: Semaphore,
}

impl SqliteStore {
    /// Opens the file, and makes it where there is none. Only the file's owner may read it.
    pub fn open(path: &Path) -> Result<SqliteStore, StoreError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(StoreError::OldSqlite(rusqlite::version()));
        }
        let cannot = |why: String| StoreError::Open { path: path.display().to_string(), why };
        // SQLite gives its side files the mode of the file itself.
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(|error| cannot(error.to_string()))?;
        file.set_permissions(Permissions::from_mode(0o600)).map_err(|error| cannot(error.to_string()))?;
        drop(file);
        let mut connection = connect(path).map_err(|error| cannot(error.to_string()))?;
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(|error| cannot(error.to_string()))?;
        if mode != "wal" {
            return Err(cannot(format!("its file system cannot do write-ahead logging (journal mode {mode})")));
        }
        schema::prepare(&mut connection)?;
        let transactions = Arc::new(AtomicU64::new(0));
        let (sender, requests) = mpsc::channel();
        let counted = transactions.clone();
        let mut tables = write::Tables::new(connection);
        let changed = tables.changed();
        let thread = std::thread::Builder::new()
            .name("tidings-store".into())
            .spawn(move || write_all(&mut tables, &requests, &counted))
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        let readers = Readers { path: path.to_owned(), idle: Mutex::default(), places: Semaphore::new(READERS) };
        Ok(SqliteStore { writer: Mutex::new(Some(Writer { requests: sender, thread })), readers: Arc::new(readers), transactions, changed })
    }

    /// How many transactions have been made durable since the file was opened.
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::SeqCst)
    }

    fn read<'a, T: Send + 'static>(
        &'a self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            let _place = self.readers.places.acquire().await.map_err(|_| StoreError::Closed)?;
            let readers = self.readers.clone();
            let read = move || {
                let idle = locked(&readers.idle).pop();
                let connection = match idle {
                    Some(connection) => connection,
                    None => connect(&readers.path).map_err(failed)?,
                };
                let result = query(&connection);
                locked(&readers.idle).push(connection);
                result
            };
            tokio::task::spawn_blocking(read).await.map_err(|_| StoreError::Failed("a reader panicked".into()))?
        })
    }
}

impl Store for SqliteStore {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        self.read(read::load)
    }

    fn commit(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), StoreError>> {
        let (reply, answer) = oneshot::channel();
        let sent = match &*locked(&self.writer) {
            Some(writer) => writer.requests.send(Request { changes, reply }).map_err(|_| StoreError::Closed),
            None => Err(StoreError::Closed),
        };
        Box::pin(async move {
            sent?;
            answer.await.map_err(|_| StoreError::Closed)?
        })
    }

    fn page(&self, log: u64, range: Range, most: Most) -> BoxFuture<'_, Result<Page, StoreError>> {
        self.read(move |connection| read::page(connection, log, range, most))
    }

    fn history(&self, log: u64, user: UserName, after: u64, most: Most) -> BoxFuture<'_, Result<(Vec<Stored>, bool), StoreError>> {
        self.read(move |connection| read::history(connection, log, &user, after, most))
    }

    fn look_up(&self, questions: Questions) -> BoxFuture<'_, Result<Answers, StoreError>> {
        self.read(move |connection| read::look_up(connection, &questions))
    }

    fn account(&self, user: UserName) -> BoxFuture<'_, Result<Option<AccountRecord>, StoreError>> {
        self.read(move |connection| read::account(connection, &user))
    }

    fn codes(&self) -> BoxFuture<'_, Result<Vec<NewCode>, StoreError>> {
        self.read(read::codes)
    }

    fn queues(&self) -> BoxFuture<'_, Result<BTreeMap<ServerName, Queue>, StoreError>> {
        self.read(outbox::queues)
    }

    fn outbox(&self, peer: ServerName, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<OutboxRow>, StoreError>> {
        self.read(move |connection| outbox::after(connection, &peer, after, limit))
    }

    fn waiting(&self, peer: ServerName, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Waiting>, StoreError>> {
        self.read(move |connection| outbox::waiting(connection, &peer, after, limit))
    }

    fn rows(&self, ids: Vec<i64>) -> BoxFuture<'_, Result<Vec<OutboxRow>, StoreError>> {
        self.read(move |connection| outbox::rows(connection, &ids))
    }

    fn changed(&self) -> BoxFuture<'_, Result<Vec<u64>, StoreError>> {
        Box::pin(ready(Ok(self.changed.take())))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let writer = locked(&self.writer).take();
            self.readers.places.close();
            let readers = self.readers.clone();
            let end = move || {
                // The last connection to go moves the write-ahead log into the file: the writer's, after the readers'.
                locked(&readers.idle).clear();
                if let Some(Writer { requests, thread }) = writer {
                    drop(requests);
                    if thread.join().is_err() {
                        tracing::error!("the writer of the database panicked");
                    }
                }
            };
            if let Err(error) = tokio::task::spawn_blocking(end).await {
                tracing::error!(%error, "closing the database failed");
            }
        })
    }
}

/// The writer's life.
fn write_all(tables: &mut write::Tables, requests: &mpsc::Receiver<Request>, transactions: &AtomicU64) {
    let mut was_full = false;
    while let Ok(first) = requests.recv() {
        let batch: Vec<Request> = std::iter::once(first).chain(requests.try_iter().take(SHARE - 1)).collect();
        let (changes, replies): (Vec<_>, Vec<_>) = batch.into_iter().map(|request| (request.changes, request.reply)).unzip();
        let results = tables.commit(&changes);
        transactions.fetch_add(1, Ordering::SeqCst);
        let is_full = results.iter().any(|result| matches!(result, Err(StoreError::Full)));
        match (was_full, is_full) {
            (false, true) => tracing::error!("the disk is full: nothing new is taken until there is room on it; what was taken is kept"),
            (true, false) => tracing::info!("there is room on the disk again"),
            _ => {}
        }
        was_full = is_full;
        for (reply, result) in replies.into_iter().zip(results) {
            // An error only says that the caller has gone; what it gave is durable all the same.
            let _ = reply.send(result);
        }
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;")?;
    // What a savepoint could need back is kept in memory: else SQLite makes a file for it and deletes it, in each large transaction.
    connection.execute_batch("PRAGMA temp_store = MEMORY;")?;
    Ok(connection)
}

fn failed(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full,
        _ => StoreError::Failed(error.to_string()),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `synchronous` is each connection's own and cannot be seen from outside; without FULL an answered commit could be
    /// lost with the power.
    #[test]
    fn every_connection_syncs_fully_and_checks_references() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tidings.db");
        let _store = SqliteStore::open(&path).unwrap();
        let connection = connect(&path).unwrap();
        let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((pragma("synchronous"), pragma("foreign_keys")), (2, 1), "2 is FULL");
        assert_eq!(pragma("secure_delete"), 1, "what is erased is overwritten");
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        assert!(rusqlite::version_number() >= OLDEST_SQLITE);
    }
}
