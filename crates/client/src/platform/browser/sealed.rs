//! The key that seals a profile's secrets. It lies in IndexedDB, itself sealed by a `CryptoKey` that WebCrypto gives to nobody: who
//! copies what the browser has stored has ciphertexts.

use super::worker;
use js_sys::{Array, Function, Object, Reflect, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use tidings_e2ee::ProfileKey;
use tokio::sync::oneshot;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{CryptoKey, IdbDatabase, IdbObjectStore, IdbOpenDbRequest, IdbRequest, IdbTransaction, SubtleCrypto};

const DATABASE: &str = "tidings";
const STORE: &str = "keys";
const RECORD: &str = "profile";

/// The key of this origin's profile; made where there is none.
pub async fn profile_key() -> Result<ProfileKey, JsValue> {
    let database = open().await?;
    let kept = answered(&store(&database, "readonly")?.get(&RECORD.into())?).await?;
    let key = if kept.is_object() { opened(&kept).await } else { made(&database).await };
    database.close();
    key
}

async fn opened(kept: &JsValue) -> Result<ProfileKey, JsValue> {
    let field = |name: &str| Reflect::get(kept, &name.into());
    let (key, sealed): (CryptoKey, Uint8Array) = (field("key")?.dyn_into()?, field("sealed")?.dyn_into()?);
    let bytes = JsFuture::from(subtle()?.decrypt_with_object_and_buffer_source(&gcm(&field("nonce")?)?, &key, &sealed)?).await?;
    let view = Uint8Array::new(&bytes);
    let key = ProfileKey::from_bytes(&zeroize::Zeroizing::new(view.to_vec()));
    view.fill(0, 0, view.length());
    key.ok_or_else(|| "a key of another length".into())
}

async fn made(database: &IdbDatabase) -> Result<ProfileKey, JsValue> {
    let key = ProfileKey::generate();
    let how = Object::new();
    Reflect::set(&how, &"name".into(), &"AES-GCM".into())?;
    Reflect::set(&how, &"length".into(), &256.into())?;
    let usages = Array::of2(&"encrypt".into(), &"decrypt".into());
    let over: CryptoKey = JsFuture::from(subtle()?.generate_key_with_object(&how, false, &usages)?).await?.dyn_into()?;
    let nonce = Uint8Array::new_with_length(12);
    worker().crypto()?.get_random_values_with_array_buffer_view(&nonce)?;
    let bytes = Uint8Array::from(&key.bytes()[..]);
    let sealed = JsFuture::from(subtle()?.encrypt_with_object_and_buffer_source(&gcm(&nonce)?, &over, &bytes)?).await?;
    bytes.fill(0, 0, bytes.length());
    let record = Object::new();
    Reflect::set(&record, &"key".into(), &over)?;
    Reflect::set(&record, &"nonce".into(), &nonce)?;
    Reflect::set(&record, &"sealed".into(), &Uint8Array::new(&sealed))?;
    answered(&store(database, "readwrite")?.put_with_key(&record, &RECORD.into())?).await?;
    // Before anything is sealed with it: the next transaction begins when that one has ended.
    answered(&store(database, "readonly")?.get(&RECORD.into())?).await?;
    Ok(key)
}

fn gcm(nonce: &JsValue) -> Result<Object, JsValue> {
    let how = Object::new();
    Reflect::set(&how, &"name".into(), &"AES-GCM".into())?;
    Reflect::set(&how, &"iv".into(), nonce)?;
    Ok(how)
}

fn subtle() -> Result<SubtleCrypto, JsValue> {
    Ok(worker().crypto()?.subtle())
}

async fn open() -> Result<IdbDatabase, JsValue> {
    let factory = worker().indexed_db()?.ok_or("this browser keeps nothing")?;
    let request: IdbOpenDbRequest = factory.open_with_u32(DATABASE, 1)?;
    let of = request.clone();
    let upgrade = Closure::<dyn FnMut()>::new(move || {
        if let Ok(database) = of.result().and_then(JsCast::dyn_into::<IdbDatabase>) {
            let _ = database.create_object_store(STORE);
        }
    });
    request.set_onupgradeneeded(Some(upgrade.as_ref().unchecked_ref()));
    answered(&request).await?.dyn_into()
}

/// A transaction that, once it has ended, is on disk. By name, since web-sys calls its options unstable.
fn store(database: &IdbDatabase, mode: &str) -> Result<IdbObjectStore, JsValue> {
    let strict = Object::new();
    Reflect::set(&strict, &"durability".into(), &"strict".into())?;
    let begin: Function = Reflect::get(database, &"transaction".into())?.dyn_into()?;
    begin.call3(database, &STORE.into(), &mode.into(), &strict)?.dyn_into::<IdbTransaction>()?.object_store(STORE)
}

/// What a request comes to.
async fn answered(request: &IdbRequest) -> Result<JsValue, JsValue> {
    let (tell, told) = oneshot::channel();
    let tell = Rc::new(RefCell::new(Some(tell)));
    let told_by = |done: bool| {
        let tell = tell.clone();
        Closure::<dyn FnMut()>::new(move || {
            if let Some(tell) = tell.take() {
                let _ = tell.send(done);
            }
        })
    };
    let (success, error) = (told_by(true), told_by(false));
    request.set_onsuccess(Some(success.as_ref().unchecked_ref()));
    request.set_onerror(Some(error.as_ref().unchecked_ref()));
    let done = told.await;
    request.set_onsuccess(None);
    request.set_onerror(None);
    match done {
        Ok(true) => request.result(),
        _ => Err("the browser's database does not answer".into()),
    }
}
