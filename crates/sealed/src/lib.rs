//! What a browser keeps sealed: in IndexedDB, under a `CryptoKey` that WebCrypto gives to nobody, so that who copies what the browser has stored
//! has ciphertexts. The same for a Worker and for a page.
//!
//! Two things are kept: the key of the profile ([`secret`]), and what pages have written and no core has stored yet ([`keep`], [`kept`]).
//! Not here: what either of them means.
#![cfg(target_family = "wasm")]

mod database;
mod seal;

use database::{Database, KEPT, KEYS};
use js_sys::{Object, Reflect, Uint8Array};
use seal::Key;
use wasm_bindgen::{JsCast, JsValue};
use zeroize::Zeroizing;

/// The one record among the keys: the `CryptoKey`, and the secret that it seals.
const RECORD: &str = "profile";
/// What each ciphertext is sealed as, so that none can stand for another.
const AS_SECRET: &str = "";
const AS_KEPT: &str = "kept";

/// The secret of this origin; where there is none, this one from now on. On return it is on disk.
///
/// # Errors
/// Where this browser keeps nothing, or what it keeps cannot be opened.
pub async fn secret(fresh: impl FnOnce() -> Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, JsValue> {
    let database = Database::open().await?;
    let record = database.get(KEYS, RECORD).await?;
    if record.is_object() {
        return Key::of(&record)?.open(&record, AS_SECRET).await;
    }
    let (key, secret) = (Key::generate().await?, fresh());
    let record = key.seal(&secret, AS_SECRET).await?;
    key.put_in(&record)?;
    database.put(KEYS, &record, Some(RECORD)).await?;
    Ok(secret)
}

/// Something that is kept, until [`drop_kept`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(f64);

/// Keeps something after everything that is kept. On return it is on disk.
///
/// # Errors
/// Where the disk is full, or there is no key because nothing was ever stored here.
pub async fn keep(bytes: &[u8]) -> Result<Number, JsValue> {
    let database = Database::open().await?;
    let key = Key::of(&database.get(KEYS, RECORD).await?)?;
    let record = key.seal(bytes, AS_KEPT).await?;
    let number = database.put(KEPT, &record, None).await?.as_f64();
    number.map(Number).ok_or_else(|| "the browser's database does not count".into())
}

/// What is kept, in the order in which it was; nothing stands for what cannot be opened.
///
/// # Errors
/// Where this browser keeps nothing.
pub async fn kept() -> Result<Vec<(Number, Option<Zeroizing<Vec<u8>>>)>, JsValue> {
    let database = Database::open().await?;
    let records = database.all(KEPT).await?;
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let key = Key::of(&database.get(KEYS, RECORD).await?)?;
    let mut kept = Vec::with_capacity(records.len());
    for (number, record) in records {
        kept.push((Number(number.as_f64().unwrap_or_default()), key.open(&record, AS_KEPT).await.ok()));
    }
    Ok(kept)
}

/// Keeps it no longer.
///
/// # Errors
/// Where the browser's database does not answer.
pub async fn drop_kept(Number(number): Number) -> Result<(), JsValue> {
    Database::open().await?.delete(KEPT, &number.into()).await
}

/// Keeps nothing any longer but the secret.
///
/// # Errors
/// Where the browser's database does not answer.
pub async fn drop_all_kept() -> Result<(), JsValue> {
    Database::open().await?.clear(KEPT).await
}

/// Forgets everything, the secret too: what it has sealed elsewhere is nothing any more.
///
/// # Errors
/// Where the browser's database does not answer.
pub async fn forget() -> Result<(), JsValue> {
    database::delete().await
}

/// A field of an object.
fn field<T: JsCast>(of: &JsValue, name: &str) -> Result<T, JsValue> {
    Reflect::get(of, &name.into())?.dyn_into()
}

/// What the Worker or the page is in.
fn global<T: JsCast>(name: &str) -> Result<T, JsValue> {
    Reflect::get(&js_sys::global(), &name.into()).map(JsCast::unchecked_into)
}

fn object(fields: &[(&str, &JsValue)]) -> Result<Object, JsValue> {
    let object = Object::new();
    fields.iter().try_for_each(|(name, value)| Reflect::set(&object, &(*name).into(), value).map(drop))?;
    Ok(object)
}

/// What is in a buffer; the buffer is wiped.
fn taken(buffer: &JsValue) -> Zeroizing<Vec<u8>> {
    let view = Uint8Array::new(buffer);
    let bytes = Zeroizing::new(view.to_vec());
    view.fill(0, 0, view.length());
    bytes
}
