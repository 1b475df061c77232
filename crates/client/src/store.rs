//! The local store: one SQLite file per profile. One method is one transaction; what belongs together is committed together.
//!
//! Not here: what anything means. The store neither verifies nor opens; it keeps, and it never logs what it keeps.

mod doubts;
mod history;
mod late;
mod lines;
mod outbox;
mod people;
mod suites;
mod sync;
mod timeline;
mod trust;

pub use doubts::{Claim, Doubt};
pub use history::{Handed, Missed, ToHandOn};
pub use late::{Judged, Late, StoredLate};
pub use outbox::{OutboxRow, Sealed};
pub use sync::{Author, Batch, Erased, Heard, NewRoom, NewRow, OwnSent, StoredLog, StoredRoom};
pub use timeline::{StoredMessage, Written};
pub use trust::Trusted;

use crate::platform::{self, ProfileLock};
use crate::{ClientError, Endpoint};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use tidings_e2ee::ProfileKey;
use tidings_proto::{Hash, LogName, ServerKey, UserName};
use zeroize::Zeroizing;

/// What each version of the schema has added to the one before.
const SCHEMAS: [&str; 5] = [
    include_str!("store/schema.sql"),
    include_str!("store/schema_2.sql"),
    include_str!("store/schema_3.sql"),
    include_str!("store/schema_4.sql"),
    include_str!("store/schema_5.sql"),
];
const SCHEMA_VERSION: i64 = SCHEMAS.len() as i64;

/// The recovery code that holds, and one that was asked for.
const WORDS: &str = "recovery";
const WORDS_ASKED: &str = "recovery_asked";

/// How far an account has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// What the server will be asked for is durable here; whether it said yes is not known.
    Asked,
    /// The server has listed this device.
    Listed,
}

/// Who this profile is.
#[derive(Clone)]
pub struct Account {
    /// The user.
    pub user: UserName,
    /// The home server. Its key is the pinned one.
    pub endpoint: Endpoint,
    /// The device's secret key.
    pub device: Zeroizing<Vec<u8>>,
    /// The account's secrets, encoded.
    pub secrets: Zeroizing<Vec<u8>>,
    /// How far it has come.
    pub stage: Stage,
}

/// An open store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Mutex<Option<Opened>>>,
}

struct Opened {
    db: Connection,
    secrets: Secrets,
    /// None for a store that is in memory.
    _lock: Option<ProfileLock>,
}

impl From<rusqlite::Error> for ClientError {
    fn from(error: rusqlite::Error) -> ClientError {
        ClientError::Store(error.to_string())
    }
}

impl Store {
    /// Opens the profile in `folder`, making it where it is not; takes its lock.
    pub fn open(folder: &Path) -> Result<Store, ClientError> {
        let (mut db, lock) = platform::open_profile(folder)?;
        let secrets = Secrets(platform::profile_key());
        db.pragma_update(None, "journal_mode", platform::JOURNAL)?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.pragma_update(None, "secure_delete", true)?;
        migrate(&mut db)?;
        Ok(Store { inner: Arc::new(Mutex::new(Some(Opened { db, secrets, _lock: Some(lock) }))) })
    }

    /// A store in memory, as it was when its image was made; empty without one. `commits` is asked before each commit: where it says
    /// no, nothing is committed.
    pub fn in_memory(image: Option<&[u8]>, mut commits: impl FnMut() -> bool + Send + 'static) -> Result<Store, ClientError> {
        let mut db = Connection::open_in_memory()?;
        if let Some(image) = image {
            db.deserialize_read_exact(rusqlite::MAIN_DB, image, image.len(), false)?;
        }
        db.pragma_update(None, "foreign_keys", true)?;
        migrate(&mut db)?;
        db.commit_hook(Some(move || !commits()))?;
        Ok(Store { inner: Arc::new(Mutex::new(Some(Opened { db, secrets: Secrets(None), _lock: None }))) })
    }

    /// Everything in it.
    pub fn image(&self) -> Result<Vec<u8>, ClientError> {
        Ok(self.guard().as_mut().ok_or(ClientError::Closed)?.db.serialize(rusqlite::MAIN_DB)?.to_vec())
    }

    /// The same store for whoever comes after a crash: whoever had it before finds it closed.
    pub fn taken_over(&self) -> Store {
        Store { inner: Arc::new(Mutex::new(self.guard().take())) }
    }

    /// Closes the file and frees the lock; everything after this is [`ClientError::Closed`].
    pub fn close(&self) {
        *self.guard() = None;
    }

    /// Closes the file and deletes it, and only then frees the lock: nobody else opens what is being deleted.
    pub fn remove(&self, folder: &Path) -> Result<(), ClientError> {
        let Some(Opened { db, _lock, .. }) = self.guard().take() else { return Err(ClientError::Closed) };
        drop(db);
        platform::remove_profile(folder)
    }

    fn guard(&self) -> MutexGuard<'_, Option<Opened>> {
        // A panic elsewhere leaves no half transaction behind: SQLite has rolled it back.
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn secrets(&self) -> Result<Secrets, ClientError> {
        Ok(self.guard().as_ref().ok_or(ClientError::Closed)?.secrets.clone())
    }

    /// Reads.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, ClientError>) -> Result<T, ClientError> {
        read(&self.guard().as_ref().ok_or(ClientError::Closed)?.db)
    }

    /// One transaction, durable on return.
    fn write<T>(&self, write: impl FnOnce(&Transaction<'_>) -> Result<T, ClientError>) -> Result<T, ClientError> {
        let mut guard = self.guard();
        let tx = guard.as_mut().ok_or(ClientError::Closed)?.db.transaction()?;
        let out = write(&tx)?;
        tx.commit()?;
        Ok(out)
    }

    /// Who this profile is, if anybody yet.
    pub fn account(&self) -> Result<Option<Account>, ClientError> {
        let secrets = self.secrets()?;
        self.read(|db| {
            let Some(user) = get_text(db, "user")? else { return Ok(None) };
            let need = |key: &str| secrets.get(db, key)?.ok_or_else(|| ClientError::Store(format!("the profile has no {key}")));
            let name = get_text(db, "server_name")?.unwrap_or_default();
            Ok(Some(Account {
                user: user.parse().map_err(corrupt)?,
                endpoint: Endpoint {
                    name: name.parse().map_err(corrupt)?,
                    address: get_text(db, "server_address")?.unwrap_or_default(),
                    key: get(db, "server_key")?.and_then(|key| ServerKey::from_slice(&key)),
                    plain: get(db, "server_plain")?.is_some_and(|plain| plain.as_slice() == [1]),
                },
                device: need("device")?,
                secrets: need("secrets")?,
                stage: if get_text(db, "stage")?.as_deref() == Some("listed") { Stage::Listed } else { Stage::Asked },
            }))
        })
    }

    /// Keeps a new account before the server is asked for it, so that no crash can leave one that nobody holds the keys of.
    /// `recovery` is kept until [`Store::words_confirmed`], so that words which were never shown are not lost.
    pub fn begin_account(&self, account: &Account, recovery: Option<&str>) -> Result<(), ClientError> {
        let secrets = self.secrets()?;
        self.write(|tx| {
            tx.execute("DELETE FROM profile", [])?;
            put(tx, "user", account.user.to_string().as_bytes())?;
            secrets.put(tx, "device", &account.device)?;
            secrets.put(tx, "secrets", &account.secrets)?;
            put(tx, "stage", b"asked")?;
            put(tx, lines::BEFORE_US, b"")?;
            if let Some(recovery) = recovery {
                secrets.put(tx, WORDS, recovery.as_bytes())?;
            }
            put_endpoint(tx, &account.endpoint)
        })
    }

    /// The server has listed this device.
    pub fn listed(&self) -> Result<(), ClientError> {
        self.write(|tx| put(tx, "stage", b"listed"))
    }

    /// The server has refused: the profile is nobody's again.
    pub fn forget_account(&self) -> Result<(), ClientError> {
        self.write(|tx| {
            tx.execute("DELETE FROM profile", [])?;
            Ok(())
        })
    }

    /// The recovery code that nobody has confirmed, and whether it is known to hold.
    pub fn words(&self) -> Result<Option<(Zeroizing<String>, bool)>, ClientError> {
        let secrets = self.secrets()?;
        let kept = self.read(|db| Ok((secrets.get(db, WORDS_ASKED)?, secrets.get(db, WORDS)?)))?;
        let (words, sure) = match kept {
            (Some(asked), _) => (asked, false),
            (None, Some(words)) => (words, true),
            (None, None) => return Ok(None),
        };
        String::from_utf8(words.to_vec()).map(|words| Some((Zeroizing::new(words), sure))).map_err(corrupt)
    }

    /// Keeps another recovery code before the server is asked for it; none where it has refused.
    pub fn ask_words(&self, words: Option<&str>) -> Result<(), ClientError> {
        let secrets = self.secrets()?;
        self.write(|tx| match words {
            Some(words) => secrets.put(tx, WORDS_ASKED, words.as_bytes()),
            None => remove(tx, WORDS_ASKED),
        })
    }

    /// This recovery code is written down.
    pub fn words_confirmed(&self, words: &str) -> Result<(), ClientError> {
        let secrets = self.secrets()?;
        self.write(|tx| {
            for name in [WORDS_ASKED, WORDS] {
                if secrets.get(tx, name)?.is_some_and(|kept| kept.as_slice() == words.as_bytes()) {
                    remove(tx, name)?;
                }
            }
            Ok(())
        })
    }

    /// The account's keys were changed; where the recovery code was too, the one that was asked for holds.
    pub fn set_secrets(&self, account: &[u8], recovery: bool) -> Result<(), ClientError> {
        let secrets = self.secrets()?;
        self.write(|tx| {
            if let Some(words) = secrets.get(tx, WORDS_ASKED)?.filter(|_| recovery) {
                secrets.put(tx, WORDS, &words)?;
                remove(tx, WORDS_ASKED)?;
            }
            secrets.put(tx, "secrets", account)
        })
    }

    /// Where the home server is dialled, and its pinned key.
    pub fn set_endpoint(&self, endpoint: &Endpoint) -> Result<(), ClientError> {
        self.write(|tx| put_endpoint(tx, endpoint))
    }
}

fn migrate(db: &mut Connection) -> Result<(), ClientError> {
    let tx = db.transaction()?;
    let found: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = usize::try_from(found).ok().filter(|known| *known <= SCHEMAS.len());
    let known = known.ok_or(ClientError::NewerSchema { found, known: SCHEMA_VERSION })?;
    if known < SCHEMAS.len() {
        SCHEMAS[known..].iter().try_for_each(|schema| tx.execute_batch(schema))?;
        tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    Ok(tx.commit()?)
}

fn put_endpoint(tx: &Transaction<'_>, endpoint: &Endpoint) -> Result<(), ClientError> {
    put(tx, "server_name", endpoint.name.as_str().as_bytes())?;
    put(tx, "server_address", endpoint.address.as_bytes())?;
    put(tx, "server_plain", &[u8::from(endpoint.plain)])?;
    match &endpoint.key {
        Some(key) => put(tx, "server_key", key.as_bytes()),
        None => Ok(()),
    }
}

/// What is nobody else's in a profile: as it is where the file is the user's alone, sealed where it is not.
#[derive(Clone)]
struct Secrets(Option<ProfileKey>);

impl Secrets {
    fn put(&self, tx: &Transaction<'_>, name: &str, secret: &[u8]) -> Result<(), ClientError> {
        match &self.0 {
            Some(key) => put(tx, name, &key.seal(name, secret)),
            None => put(tx, name, secret),
        }
    }

    fn get(&self, db: &Connection, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, ClientError> {
        let kept = get(db, name)?;
        let Some(key) = &self.0 else { return Ok(kept) };
        kept.map(|sealed| key.open(name, &sealed).map_err(|_| ClientError::SealedAway)).transpose()
    }
}

fn put(tx: &Transaction<'_>, key: &str, value: &[u8]) -> Result<(), ClientError> {
    tx.execute("INSERT INTO profile (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", params![key, value])?;
    Ok(())
}

fn remove(tx: &Transaction<'_>, key: &str) -> Result<(), ClientError> {
    tx.execute("DELETE FROM profile WHERE key = ?1", [key])?;
    Ok(())
}

fn get(db: &Connection, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, ClientError> {
    let value: Option<Vec<u8>> = db.query_row("SELECT value FROM profile WHERE key = ?1", [key], |row| row.get(0)).optional()?;
    Ok(value.map(Zeroizing::new))
}

fn get_text(db: &Connection, key: &str) -> Result<Option<String>, ClientError> {
    get(db, key)?.map(|value| String::from_utf8(value.to_vec()).map_err(corrupt)).transpose()
}

/// Something in the store is not what was put there.
fn corrupt(error: impl std::fmt::Display) -> ClientError {
    ClientError::Store(format!("the store holds what it should not: {error}"))
}

fn log_of(text: &str) -> Result<LogName, ClientError> {
    text.parse().map_err(corrupt)
}

fn hash_of(bytes: &[u8]) -> Result<Hash, ClientError> {
    Hash::from_slice(bytes).ok_or_else(|| corrupt("a hash of another length"))
}

#[cfg(test)]
mod tests;
