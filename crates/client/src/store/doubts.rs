//! What others say they have seen of key histories and is not what is here, and what has come of it.

use super::{Store, corrupt, hash_of};
use crate::ClientError;
use crate::platform::now;
use rusqlite::{Transaction, params};
use tidings_proto::{KeysSeen, ServerName, UserName};

/// Somebody's word about a key history that is still to be held against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Whose.
    pub by: UserName,
    /// What they have seen.
    pub seen: KeysSeen,
    /// Since when something of theirs is open; milliseconds since 1970, this device's clock.
    pub since: u64,
}

/// That the history of a server's keys is told in two ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Whose keys.
    pub server: ServerName,
    /// Who has seen another; nobody where this device has found it by itself.
    pub by: Option<UserName>,
    /// A sentence.
    pub why: String,
}

impl Store {
    /// What is still open about the keys of a server.
    pub fn claims(&self, server: &ServerName) -> Result<Vec<Claim>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT by, seq, hash, at FROM keys_seen WHERE server = ?1 ORDER BY by")?;
            let mut rows = query.query([server.as_str()])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                out.push(Claim {
                    by: row.get::<_, String>(0)?.parse().map_err(corrupt)?,
                    seen: KeysSeen {
                        server: server.clone(),
                        seq: row.get::<_, i64>(1)? as u64,
                        hash: hash_of(&row.get::<_, Vec<u8>>(2)?)?,
                    },
                    since: row.get::<_, i64>(3)? as u64,
                });
            }
            Ok(out)
        })
    }

    /// Keeps what somebody has said until it is settled.
    pub fn heard(&self, by: &UserName, seen: &[KeysSeen]) -> Result<(), ClientError> {
        if seen.is_empty() { Ok(()) } else { self.write(|tx| seen.iter().try_for_each(|seen| keep(tx, by, seen))) }
    }

    /// These say nothing any more; and there is doubt, of which a person is told once.
    pub fn settled(&self, claims: &[Claim], doubts: &[(Doubt, UserName)]) -> Result<(), ClientError> {
        self.write(|tx| {
            for Claim { by, seen, .. } in claims {
                tx.execute(
                    "DELETE FROM keys_seen WHERE server = ?1 AND by = ?2 AND seq = ?3 AND hash = ?4",
                    params![seen.server.as_str(), by.to_string(), seen.seq as i64, seen.hash.as_bytes()],
                )?;
            }
            for (Doubt { server, by, why }, about) in doubts {
                let by = by.as_ref().map(UserName::to_string).unwrap_or_default();
                // The first one stays.
                let insert = "INSERT OR IGNORE INTO doubts (server, by, why) VALUES (?1, ?2, ?3)";
                if tx.execute(insert, params![server.as_str(), by, why])? == 1 {
                    tx.execute("INSERT INTO notices (at, user, text) VALUES (?1, ?2, ?3)", params![now() as i64, about.to_string(), why])?;
                }
            }
            Ok(())
        })
    }

    /// All doubts.
    pub fn doubts(&self) -> Result<Vec<Doubt>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT server, by, why FROM doubts ORDER BY server, by")?;
            let mut rows = query.query([])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                let by: String = row.get(1)?;
                let by = (!by.is_empty()).then(|| by.parse().map_err(corrupt)).transpose()?;
                out.push(Doubt { server: row.get::<_, String>(0)?.parse().map_err(corrupt)?, by, why: row.get(2)? });
            }
            Ok(out)
        })
    }
}

/// The same with what it belongs to.
pub(super) fn keep(tx: &Transaction<'_>, by: &UserName, seen: &KeysSeen) -> Result<(), ClientError> {
    tx.execute(
        "INSERT INTO keys_seen (server, by, seq, hash, at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (server, by) DO UPDATE SET seq = ?3, hash = ?4",
        params![seen.server.as_str(), by.to_string(), seen.seq.min(i64::MAX as u64) as i64, seen.hash.as_bytes(), now() as i64],
    )?;
    Ok(())
}
