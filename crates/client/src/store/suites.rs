//! The suites' state, which holds keys: committed with the message that changed it, and kept as the account's secrets are.

use super::{Secrets, Store};
use crate::ClientError;
use base64::Engine;
use rusqlite::{OptionalExtension, Transaction, params};
use std::collections::{BTreeMap, HashMap};
use tidings_e2ee::mls::{State, Unreadable, epoch};
use tidings_e2ee::suite::Change;
use tidings_proto::{LogName, SuiteName};

impl Store {
    /// A value of a suite's state.
    pub fn suite(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ClientError> {
        let secrets = self.secrets()?;
        let kept: Option<Vec<u8>> = self.read(|db| {
            let mut query = db.prepare_cached("SELECT value FROM suites WHERE key = ?1")?;
            Ok(query.query_row([key], |row| row.get(0)).optional()?)
        })?;
        match (&secrets.0, kept) {
            (Some(profile), Some(sealed)) => {
                let opened = profile.open(&name(key), &sealed).map_err(|_| ClientError::SealedAway)?;
                Ok(Some(opened.to_vec()))
            }
            (_, kept) => Ok(kept),
        }
    }

    /// The values under keys that begin with this, in a profile that seals nothing.
    pub fn suites(&self, prefix: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT key, value FROM suites WHERE substr(key, 1, ?2) = ?1")?;
            let rows = query.query_map(params![prefix, prefix.len() as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The same, as `e2ee::mls` asks for it.
    pub fn suite_state(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        self.suite(key).map_err(|error| {
            tracing::warn!(%error, "a suite's state cannot be read");
            Unreadable
        })
    }

    /// The epoch whose keys this device has, of each room on MLS that it is in.
    pub fn epochs(&self) -> Result<HashMap<LogName, u64>, ClientError> {
        let mut out = HashMap::new();
        for room in self.rooms()?.into_iter().filter(|room| room.genesis.suite() == SuiteName::Mls1) {
            let read = |key: &[u8]| self.suite_state(key);
            let epoch = epoch(&State::new(&read), &room.genesis.room()).map_err(|error| ClientError::Store(error.to_string()))?;
            out.extend(epoch.map(|epoch| (room.genesis.log(), epoch)));
        }
        Ok(out)
    }

    /// A suite's state has changed by itself.
    pub fn suite_changed(&self, changes: &[Change]) -> Result<(), ClientError> {
        let secrets = self.secrets()?;
        self.write(|tx| secrets.apply(tx, changes))
    }
}

impl Secrets {
    /// Keeps what has changed of a suite's state.
    pub(super) fn apply(&self, tx: &Transaction<'_>, changes: &[Change]) -> Result<(), ClientError> {
        for change in changes {
            match change {
                Change::Put(key, value) => {
                    let sealed = self.0.as_ref().map(|profile| profile.seal(&name(key), value));
                    tx.execute(
                        "INSERT INTO suites (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
                        params![key, sealed.as_deref().unwrap_or(value)],
                    )?
                }
                Change::Delete(key) => tx.execute("DELETE FROM suites WHERE key = ?1", params![key])?,
            };
        }
        Ok(())
    }
}

/// Under which name a value is sealed.
fn name(key: &[u8]) -> String {
    format!("suites/{}", base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(key))
}
