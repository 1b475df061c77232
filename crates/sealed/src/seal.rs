//! The key that WebCrypto gives to nobody, and ciphertexts under it: AES-256-GCM, a record with its nonce.

use crate::{field, global, object, taken};
use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Crypto, CryptoKey, SubtleCrypto};
use zeroize::Zeroizing;

const NONCE: u32 = 12;

/// It, in use.
pub struct Key(CryptoKey);

impl Key {
    /// A new one, which cannot be extracted.
    pub async fn generate() -> Result<Key, JsValue> {
        let how = object(&[("name", &"AES-GCM".into()), ("length", &256.into())])?;
        let usages = Array::of2(&"encrypt".into(), &"decrypt".into());
        Ok(Key(JsFuture::from(subtle()?.generate_key_with_object(&how, false, &usages)?).await?.dyn_into()?))
    }

    /// The one that lies in a record.
    pub fn of(record: &JsValue) -> Result<Key, JsValue> {
        field(record, "key").map(Key).map_err(|_| "the key that seals what is stored in this browser is not there".into())
    }

    /// Lays it into a record.
    pub fn put_in(&self, record: &Object) -> Result<(), JsValue> {
        Reflect::set(record, &"key".into(), &self.0).map(drop)
    }

    /// A record of these bytes.
    pub async fn seal(&self, bytes: &[u8], sealed_as: &str) -> Result<Object, JsValue> {
        let nonce = Uint8Array::new_with_length(NONCE);
        global::<Crypto>("crypto")?.get_random_values_with_array_buffer_view(&nonce)?;
        let copy = Uint8Array::from(bytes);
        let sealing = subtle()?.encrypt_with_object_and_buffer_source(&gcm(&nonce, sealed_as)?, &self.0, &copy)?;
        let sealed = JsFuture::from(sealing).await;
        copy.fill(0, 0, copy.length());
        object(&[("nonce", &nonce), ("sealed", &Uint8Array::new(&sealed?))])
    }

    /// What is in a record.
    pub async fn open(&self, record: &JsValue, sealed_as: &str) -> Result<Zeroizing<Vec<u8>>, JsValue> {
        let (nonce, sealed): (Uint8Array, Uint8Array) = (field(record, "nonce")?, field(record, "sealed")?);
        let opening = subtle()?.decrypt_with_object_and_buffer_source(&gcm(&nonce, sealed_as)?, &self.0, &sealed)?;
        JsFuture::from(opening).await.map(|buffer| taken(&buffer))
    }
}

fn subtle() -> Result<SubtleCrypto, JsValue> {
    Ok(global::<Crypto>("crypto")?.subtle())
}

fn gcm(nonce: &Uint8Array, sealed_as: &str) -> Result<Object, JsValue> {
    let additional = Uint8Array::from(sealed_as.as_bytes());
    object(&[("name", &"AES-GCM".into()), ("iv", nonce), ("additionalData", &additional)])
}
