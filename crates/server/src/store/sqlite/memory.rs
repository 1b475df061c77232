//! The same tables in memory, on the thread that asks: what simulations keep their servers' disks in.
//!
//! One connection and no threads, so nothing here happens in another order than it was asked for. Durable for as long as the
//! value lives.

use super::{failed, locked, outbox, read, schema, write};
use crate::store::{AccountRecord, Answers, Change, Loaded, Most, NewCode, OutboxRow, Page, Questions, Queue, Range};
use crate::store::{Store, StoreError, Stored, Waiting};
use futures_util::future::{BoxFuture, ready};
use rusqlite::{Connection, MAIN_DB};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tidings_proto::{ServerName, UserName};

/// The store in memory.
pub struct MemoryStore {
    tables: Mutex<write::Tables>,
    closed: AtomicBool,
}

impl MemoryStore {
    /// Nothing is in it yet.
    pub fn new() -> Result<MemoryStore, StoreError> {
        let mut connection = Connection::open_in_memory().map_err(failed)?;
        schema::prepare(&mut connection)?;
        MemoryStore::over(connection)
    }

    /// As it was when [`MemoryStore::image`] was made.
    pub fn from_image(image: &[u8]) -> Result<MemoryStore, StoreError> {
        let mut connection = Connection::open_in_memory().map_err(failed)?;
        connection.deserialize_read_exact(MAIN_DB, image, image.len(), false).map_err(failed)?;
        MemoryStore::over(connection)
    }

    fn over(connection: Connection) -> Result<MemoryStore, StoreError> {
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;").map_err(failed)?;
        Ok(MemoryStore { tables: Mutex::new(write::Tables::new(connection)), closed: AtomicBool::new(false) })
    }

    /// Everything in it, to begin others with.
    pub fn image(&self) -> Result<Vec<u8>, StoreError> {
        Ok(locked(&self.tables).connection_mut().serialize(MAIN_DB).map_err(failed)?.to_vec())
    }

    fn is_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::SeqCst) { Err(StoreError::Closed) } else { Ok(()) }
    }

    fn read<T: Send + 'static>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> BoxFuture<'_, Result<T, StoreError>> {
        Box::pin(ready(self.is_open().and_then(|()| query(locked(&self.tables).connection_mut()))))
    }
}

impl Store for MemoryStore {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, StoreError>> {
        self.read(read::load)
    }

    fn commit(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), StoreError>> {
        let commit = |()| locked(&self.tables).commit(&[changes]).pop().unwrap_or(Ok(()));
        Box::pin(ready(self.is_open().and_then(commit)))
    }

    fn page(&self, log: u64, range: Range, most: Most) -> BoxFuture<'_, Result<Page, StoreError>> {
        self.read(|connection| read::page(connection, log, range, most))
    }

    fn history(&self, log: u64, user: UserName, after: u64, most: Most) -> BoxFuture<'_, Result<(Vec<Stored>, bool), StoreError>> {
        self.read(|connection| read::history(connection, log, &user, after, most))
    }

    fn look_up(&self, questions: Questions) -> BoxFuture<'_, Result<Answers, StoreError>> {
        self.read(|connection| read::look_up(connection, &questions))
    }

    fn account(&self, user: UserName) -> BoxFuture<'_, Result<Option<AccountRecord>, StoreError>> {
        self.read(|connection| read::account(connection, &user))
    }

    fn codes(&self) -> BoxFuture<'_, Result<Vec<NewCode>, StoreError>> {
        self.read(read::codes)
    }

    fn queues(&self) -> BoxFuture<'_, Result<BTreeMap<ServerName, Queue>, StoreError>> {
        self.read(outbox::queues)
    }

    fn outbox(&self, peer: ServerName, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<OutboxRow>, StoreError>> {
        self.read(|connection| outbox::after(connection, &peer, after, limit))
    }

    fn waiting(&self, peer: ServerName, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Waiting>, StoreError>> {
        self.read(|connection| outbox::waiting(connection, &peer, after, limit))
    }

    fn rows(&self, ids: Vec<i64>) -> BoxFuture<'_, Result<Vec<OutboxRow>, StoreError>> {
        self.read(|connection| outbox::rows(connection, &ids))
    }

    fn changed(&self) -> BoxFuture<'_, Result<Vec<u64>, StoreError>> {
        Box::pin(ready(self.is_open().map(|()| locked(&self.tables).changed().take())))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.closed.store(true, Ordering::SeqCst);
        Box::pin(ready(()))
    }
}
