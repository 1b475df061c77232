//! Key histories that were verified once, and what was wrong with those that came later.

use super::{Store, corrupt};
use crate::ClientError;
use bytes::Bytes;
use rusqlite::params;
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
        self.write(|tx| {
            for (seq, draft) in links {
                tx.execute(
                    "INSERT INTO chains (user, seq, draft) VALUES (?1, ?2, ?3)",
                    params![user.to_string(), *seq as i64, draft.bytes().as_ref()],
                )?;
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

    /// Something is wrong with somebody's keys. The first alarm stays.
    pub fn raise_alarm(&self, user: &UserName, why: &str) -> Result<(), ClientError> {
        self.write(|tx| {
            tx.execute("INSERT OR IGNORE INTO alarms (user, why) VALUES (?1, ?2)", params![user.to_string(), why])?;
            Ok(())
        })
    }
}
