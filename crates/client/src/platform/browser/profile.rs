//! The profile: one SQLite database on the origin's private file system, reached by synchronous handles that only a Worker has.

use super::{said, sealed};
use crate::ClientError;
use rusqlite::Connection;
use sqlite_wasm_rs::WasmOsCallback;
use sqlite_wasm_rs::vfs::VfsFilesManager;
use sqlite_wasm_vfs::sahpool::{OpfsSAHPoolCfgBuilder, OpfsSAHPoolUtil, install};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use tidings_e2ee::ProfileKey;

/// How the store's file is kept: where there is one connection and no shared memory, a journal that is emptied.
pub const JOURNAL: &str = "TRUNCATE";

/// The folder on the private file system.
const FOLDER: &str = "tidings";

thread_local! {
    static POOL: RefCell<Option<OpfsSAHPoolUtil>> = const { RefCell::new(None) };
    static KEY: RefCell<Option<ProfileKey>> = const { RefCell::new(None) };
}

/// Holds the profile's lock while it lives. Here the whole Worker has it: it is the only one of its origin that was let in.
pub struct ProfileLock {}

/// Takes hold of the private file system, and of the key that seals secrets in it; before anything else is done with a profile.
///
/// # Errors
/// [`ClientError::ProfileBusy`] while another Worker has it, which one that is ending may for a moment.
pub async fn prepare() -> Result<(), ClientError> {
    if POOL.with_borrow(Option::is_some) {
        return Ok(());
    }
    let key = sealed::profile_key().await.map_err(|error| failed(Path::new(FOLDER), &said(&error)))?;
    KEY.set(Some(key));
    let how = OpfsSAHPoolCfgBuilder::new().directory(FOLDER).build();
    let pool = install::<WasmOsCallback>(&how, true).await.map_err(|error| failed(Path::new(FOLDER), &error))?;
    POOL.set(Some(pool));
    Ok(())
}

/// The key that seals a profile's secrets: on the private file system they are nobody's to guard.
pub fn profile_key() -> Option<ProfileKey> {
    KEY.with_borrow(Clone::clone)
}

/// Whether there is a profile of this name.
pub fn has_profile(folder: &Path) -> bool {
    with_pool(folder, |pool, name| pool.contains(name).map_err(|error| failed(folder, &error))).unwrap_or_default()
}

/// Opens the database of this name.
pub fn open_profile(folder: &Path) -> Result<(Connection, ProfileLock), ClientError> {
    with_pool(folder, |_, name| Connection::open(name).map_err(|error| failed(folder, &error))).map(|db| (db, ProfileLock {}))
}

/// Deletes what [`open_profile`] has made.
pub fn remove_profile(folder: &Path) -> Result<(), ClientError> {
    with_pool(folder, |pool, name| {
        // The database goes last: while it is there, so is the profile.
        for of_it in ["-journal", ""] {
            pool.remove(&format!("{name}{of_it}")).map_err(|error| failed(folder, &error))?;
        }
        Ok(())
    })
}

/// Deletes a profile that cannot be opened, and the key that sealed it.
///
/// # Errors
/// Where the browser lets go of nothing.
pub async fn forget_stored(folder: &Path) -> Result<(), ClientError> {
    if POOL.with_borrow(Option::is_some) {
        remove_profile(folder)?;
    }
    tidings_sealed::forget().await.map_err(|error| failed(folder, &said(&error)))
}

fn with_pool<T>(folder: &Path, work: impl FnOnce(&OpfsSAHPoolUtil, &str) -> Result<T, ClientError>) -> Result<T, ClientError> {
    let name = format!("/{}.db", folder.display());
    POOL.with_borrow(|pool| match pool {
        Some(pool) => work(pool, &name),
        None => Err(ClientError::OurBug("a profile was opened before the file system was".into())),
    })
}

fn failed(path: &Path, why: &dyn std::fmt::Display) -> ClientError {
    ClientError::Profile { path: PathBuf::from(path), why: why.to_string() }
}
