//! Key histories that were verified once, and what was wrong with those that came later.

use super::trust::put_trust;
use super::{Store, corrupt};
use crate::ClientError;
use crate::people::Learned;
use crate::platform::now;
use bytes::Bytes;
use rusqlite::{Transaction, params};
use tidings_proto::{Draft, Encoded, UserName, draft};

impl Store {
    /// All key histories: user, place in `keys@`, draft; in order of user and place.
    pub fn chains(&self) -> Result<Vec<(UserName, u64, Encoded<Draft>)>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT user, seq, draft FROM chains ORDER BY user, seq")?;
            let mut rows = query.query([])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                let user = row.get::<_, String>(0)?.parse().map_err(corrupt)?;
                let bytes: Vec<u8> = row.get(2)?;
                out.push((user, row.get::<_, i64>(1)? as u64, draft::read(Bytes::from(bytes)).map_err(corrupt)?));
            }
            Ok(out)
        })
    }

    /// A key history goes on. What was kept before is never replaced.
    pub fn extend_chain(&self, user: &UserName, links: &[(u64, Encoded<Draft>)]) -> Result<(), ClientError> {
        self.write(|tx| extend(tx, user, links))
    }

    /// What an answer about somebody's keys has come to.
    pub fn learned(&self, user: &UserName, learned: &Learned) -> Result<(), ClientError> {
        self.write(|tx| {
            extend(tx, user, &learned.links)?;
            if let Some(trusted) = learned.trusted {
                put_trust(tx, user, trusted)?;
            }
            for text in &learned.notices {
                tx.execute("INSERT INTO notices (at, user, text) VALUES (?1, ?2, ?3)", params![now() as i64, user.to_string(), text])?;
            }
            if let Some(why) = &learned.alarm {
                // The first alarm stays.
                let new = tx.execute("INSERT OR IGNORE INTO alarms (user, why) VALUES (?1, ?2)", params![user.to_string(), why])? == 1;
                if new {
                    let text = format!("{user}: {why}");
                    tx.execute("INSERT INTO notices (at, user, text) VALUES (?1, ?2, ?3)", params![now() as i64, user.to_string(), text])?;
                }
            }
            Ok(())
        })
    }

    /// All alarms.
    pub fn alarms(&self) -> Result<Vec<(UserName, String)>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT user, why FROM alarms ORDER BY user")?;
            let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
            rows.map(|row| row.map_err(ClientError::from).and_then(|(user, why)| Ok((user.parse().map_err(corrupt)?, why)))).collect()
        })
    }
}

fn extend(tx: &Transaction<'_>, user: &UserName, links: &[(u64, Encoded<Draft>)]) -> Result<(), ClientError> {
    for (seq, draft) in links {
        tx.execute(
            "INSERT INTO chains (user, seq, draft) VALUES (?1, ?2, ?3)",
            params![user.to_string(), *seq as i64, draft.bytes().as_ref()],
        )?;
    }
    Ok(())
}
