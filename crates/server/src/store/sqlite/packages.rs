//! Key packages in their table. Of what was handed out or replaced the hash stays, so that it never comes in a second time.

use super::failed;
use super::read::{author_id, bytes, get, hash};
use crate::store::{KeyPackage, Owner, Stock, StoreError, Wanted};
use rusqlite::{Connection, params};

const OWNER: &str = "(SELECT id FROM authors WHERE user = (SELECT id FROM users WHERE name = ?1) AND device = ?2)";

/// Keeps a new one of the device that has this row among the authors. One of last resort takes the place of the one before.
pub fn put(connection: &Connection, owner: i64, new: &KeyPackage) -> rusqlite::Result<()> {
    if new.last_resort {
        let sql = "UPDATE key_packages SET package = NULL WHERE owner = ?1 AND last_resort = 1 AND package IS NOT NULL";
        connection.prepare_cached(sql)?.execute([owner])?;
    }
    let sql = "INSERT INTO key_packages (owner, hash, last_resort, package) VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![owner, new.hash.as_bytes(), new.last_resort, &new.package[..]])?;
    Ok(())
}

/// Forgets a single-use one that is handed out; says how many there were.
pub fn hand_out(connection: &Connection, owner: &Owner, hash: &tidings_proto::Hash) -> rusqlite::Result<usize> {
    let sql =
        format!("UPDATE key_packages SET package = NULL WHERE owner = {OWNER} AND hash = ?3 AND last_resort = 0 AND package IS NOT NULL");
    connection.prepare_cached(&sql)?.execute(params![owner.user.to_string(), owner.device.as_bytes(), hash.as_bytes()])
}

/// Forgets all of a device.
pub fn withdraw(connection: &Connection, owner: &Owner) -> rusqlite::Result<()> {
    let sql = format!("UPDATE key_packages SET package = NULL WHERE owner = {OWNER} AND package IS NOT NULL");
    connection.prepare_cached(&sql)?.execute(params![owner.user.to_string(), owner.device.as_bytes()])?;
    Ok(())
}

/// Nothing of this user's is left, no hash either.
pub fn delete_of(connection: &Connection, user: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM key_packages WHERE owner IN (SELECT id FROM authors WHERE user = ?1)";
    connection.prepare_cached(sql)?.execute([user])?;
    Ok(())
}

/// What a device has.
pub fn stock(connection: &Connection, owner: &Owner, wanted: &Wanted) -> Result<Stock, StoreError> {
    let Some(owner) = author_id(connection, owner)? else { return Ok(Stock::default()) };
    let sql = "SELECT count(*) FROM key_packages WHERE owner = ?1 AND last_resort = 0 AND package IS NOT NULL";
    let single_use = connection.prepare_cached(sql).map_err(failed)?.query_row([owner], |row| row.get(0)).map_err(failed)?;
    let next = kept(connection, owner, false, wanted.claims)?;
    let last_resort = kept(connection, owner, true, 1)?.pop();
    let sql = "SELECT 1 FROM key_packages WHERE owner = ?1 AND hash = ?2";
    let mut query = connection.prepare_cached(sql).map_err(failed)?;
    let mut known = Vec::new();
    for hash in &wanted.offered {
        if query.exists(params![owner, hash.as_bytes()]).map_err(failed)? {
            known.push(*hash);
        }
    }
    Ok(Stock { single_use, next, last_resort, known })
}

/// The first of a kind.
fn kept(connection: &Connection, owner: i64, last_resort: bool, limit: usize) -> Result<Vec<KeyPackage>, StoreError> {
    let sql = "SELECT hash, package, last_resort FROM key_packages
        WHERE owner = ?1 AND last_resort = ?2 AND package IS NOT NULL ORDER BY id LIMIT ?3";
    let mut query = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = query.query(params![owner, last_resort, limit.min(i64::MAX as usize) as i64]).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        found.push(KeyPackage { hash: hash(row, 0)?, package: bytes(row, 1)?, last_resort: get(row, 2)? });
    }
    Ok(found)
}
