//! What a person has decided about keys, and what a person should know about them.

use super::{Store, corrupt, hash_of};
use crate::ClientError;
use crate::view::Notice;
use rusqlite::{Transaction, params};
use tidings_proto::{DeviceKey, UserName};
use tidings_trust::Fingerprint;

/// Whose identity is relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trusted {
    /// The one that was seen first, or accepted after a reset.
    pub accepted: Fingerprint,
    /// The one that was compared with the person.
    pub verified: Option<Fingerprint>,
}

impl Store {
    /// Everything that was decided.
    pub fn trusted(&self) -> Result<Vec<(UserName, Trusted)>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT user, accepted, verified FROM trusted ORDER BY user")?;
            let mut rows = query.query([])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                let verified: Option<Vec<u8>> = row.get(2)?;
                let trusted = Trusted {
                    accepted: Fingerprint(hash_of(&row.get::<_, Vec<u8>>(1)?)?),
                    verified: verified.map(|bytes| hash_of(&bytes).map(Fingerprint)).transpose()?,
                };
                out.push((row.get::<_, String>(0)?.parse().map_err(corrupt)?, trusted));
            }
            Ok(out)
        })
    }

    /// Something is decided about somebody.
    pub fn trust(&self, user: &UserName, trusted: Trusted) -> Result<(), ClientError> {
        self.write(|tx| put_trust(tx, user, trusted))
    }

    /// What this account's devices are called.
    pub fn device_names(&self) -> Result<Vec<(DeviceKey, String)>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT device, name FROM devices ORDER BY device")?;
            let mut rows = query.query([])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                let device = DeviceKey::from_slice(&row.get::<_, Vec<u8>>(0)?).ok_or_else(|| corrupt("a device key of another length"))?;
                out.push((device, row.get(1)?));
            }
            Ok(out)
        })
    }

    /// All of this account's devices that are called anything.
    pub fn set_device_names(&self, names: &[(DeviceKey, String)]) -> Result<(), ClientError> {
        self.write(|tx| {
            tx.execute("DELETE FROM devices", [])?;
            for (device, name) in names {
                tx.execute("INSERT OR REPLACE INTO devices (device, name) VALUES (?1, ?2)", params![device.as_bytes(), name])?;
            }
            Ok(())
        })
    }

    /// The notices after number `after`, in order.
    pub fn notices(&self, after: i64) -> Result<Vec<Notice>, ClientError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT id, at, user, text FROM notices WHERE id > ?1 ORDER BY id")?;
            let mut rows = query.query([after])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                let user = row.get::<_, String>(2)?.parse().map_err(corrupt)?;
                out.push(Notice { id: row.get(0)?, at: row.get::<_, i64>(1)? as u64, user, text: row.get(3)? });
            }
            Ok(out)
        })
    }
}

pub(super) fn put_trust(tx: &Transaction<'_>, user: &UserName, trusted: Trusted) -> Result<(), ClientError> {
    tx.execute(
        "INSERT INTO trusted (user, accepted, verified) VALUES (?1, ?2, ?3)
         ON CONFLICT (user) DO UPDATE SET accepted = ?2, verified = ?3",
        params![user.to_string(), trusted.accepted.0.as_bytes(), trusted.verified.map(|it| it.0.as_bytes().to_vec())],
    )?;
    Ok(())
}
