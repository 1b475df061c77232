//! The browser's database, IndexedDB. Opened for each piece of work and closed after it, so that no tab is in the way of another.

use crate::{field, global, object};
use js_sys::{Array, Function, Promise};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{IdbDatabase, IdbFactory, IdbObjectStore, IdbObjectStoreParameters, IdbOpenDbRequest, IdbRequest, IdbTransaction};

const DATABASE: &str = "tidings";
/// 1: the key. 2: what pages keep.
const VERSION: u32 = 2;
/// By name.
pub const KEYS: &str = "keys";
/// Counted up.
pub const KEPT: &str = "kept";

/// It, open for as long as this lives.
pub struct Database(IdbDatabase);

impl Drop for Database {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Database {
    pub async fn open() -> Result<Database, JsValue> {
        let request: IdbOpenDbRequest = global::<IdbFactory>("indexedDB")?.open_with_u32(DATABASE, VERSION)?;
        let of = request.clone();
        let upgrade = Closure::<dyn FnMut()>::new(move || {
            // What cannot be made is missed by whoever wants it.
            if let Ok(database) = of.result().and_then(JsCast::dyn_into::<IdbDatabase>) {
                let _ = make(&database);
            }
        });
        request.set_onupgradeneeded(Some(upgrade.as_ref().unchecked_ref()));
        Ok(Database(answered(&request).await?.dyn_into()?))
    }

    pub async fn get(&self, store: &str, name: &str) -> Result<JsValue, JsValue> {
        answered(&self.work(store, "readonly")?.1.get(&name.into())?).await
    }

    /// Everything, by number.
    pub async fn all(&self, store: &str) -> Result<Vec<(JsValue, JsValue)>, JsValue> {
        let (_, store) = self.work(store, "readonly")?;
        let (numbers, records) = (store.get_all_keys()?, store.get_all()?);
        // Both at once: a transaction ends when it has nothing to do.
        let both = Array::of2(&promised(&numbers), &promised(&records));
        JsFuture::from(Promise::all(&both)).await?;
        let (numbers, records): (Array, Array) = (numbers.result()?.dyn_into()?, records.result()?.dyn_into()?);
        Ok(numbers.iter().zip(records.iter()).collect())
    }

    /// Under a name, or under the next number; returns which. On return it is on disk.
    pub async fn put(&self, store: &str, record: &JsValue, name: Option<&str>) -> Result<JsValue, JsValue> {
        let (transaction, store) = self.work(store, "readwrite")?;
        let request = match name {
            Some(name) => store.put_with_key(record, &name.into())?,
            None => store.add(record)?,
        };
        durable(&transaction).await?;
        request.result()
    }

    pub async fn delete(&self, store: &str, number: &JsValue) -> Result<(), JsValue> {
        let (transaction, store) = self.work(store, "readwrite")?;
        store.delete(number)?;
        durable(&transaction).await
    }

    pub async fn clear(&self, store: &str) -> Result<(), JsValue> {
        let (transaction, store) = self.work(store, "readwrite")?;
        store.clear()?;
        durable(&transaction).await
    }

    /// A transaction that, once it has ended, is on disk. By name, since web-sys calls its options unstable.
    fn work(&self, store: &str, mode: &str) -> Result<(IdbTransaction, IdbObjectStore), JsValue> {
        let strict = object(&[("durability", &"strict".into())])?;
        let begin: Function = field(&self.0, "transaction")?;
        let transaction: IdbTransaction = begin.call3(&self.0, &store.into(), &mode.into(), &strict)?.dyn_into()?;
        let store = transaction.object_store(store)?;
        Ok((transaction, store))
    }
}

/// All of it, however broken it is.
pub async fn delete() -> Result<(), JsValue> {
    let request = global::<IdbFactory>("indexedDB")?.delete_database(DATABASE)?;
    answered(&request).await.map(drop)
}

/// What is not there yet.
fn make(database: &IdbDatabase) -> Result<(), JsValue> {
    let there = database.object_store_names();
    if !there.contains(KEYS) {
        database.create_object_store(KEYS)?;
    }
    if !there.contains(KEPT) {
        let counted = IdbObjectStoreParameters::new();
        counted.set_auto_increment(true);
        database.create_object_store_with_optional_parameters(KEPT, &counted)?;
    }
    Ok(())
}

/// What a request comes to.
async fn answered(request: &IdbRequest) -> Result<JsValue, JsValue> {
    JsFuture::from(promised(request)).await.map_err(|_| why(request))?;
    request.result()
}

fn promised(request: &IdbRequest) -> Promise {
    Promise::new(&mut |done, failed| {
        request.set_onsuccess(Some(&done));
        request.set_onerror(Some(&failed));
    })
}

/// The end of a transaction.
async fn durable(transaction: &IdbTransaction) -> Result<(), JsValue> {
    let ended = Promise::new(&mut |done, failed| {
        transaction.set_oncomplete(Some(&done));
        transaction.set_onabort(Some(&failed));
    });
    JsFuture::from(ended).await.map(drop).map_err(|_| why(transaction))
}

/// Why it came to nothing: an error of its own, and none where the browser only gave it up.
fn why(of: &JsValue) -> JsValue {
    field::<JsValue>(of, "error").ok().filter(JsValue::is_object).unwrap_or_else(|| "the browser's database does not answer".into())
}
