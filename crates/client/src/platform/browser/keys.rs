//! RSA private keys in WebCrypto. A key is extractable once, when it is made, to be sealed into the vault; what is used never is.

use super::worker;
use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use tidings_e2ee::rsa::{Pkcs8, RsaError, RsaKeys, public_in};
use tidings_trust::RsaPublicKey;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{CryptoKey, SubtleCrypto};
use zeroize::Zeroizing;

/// WebCrypto.
#[derive(Debug, Clone, Copy, Default)]
pub struct WebKeys;

const PSS: &str = "RSA-PSS";
const OAEP: &str = "RSA-OAEP";

impl RsaKeys for WebKeys {
    type Signing = CryptoKey;
    type Decrypting = CryptoKey;

    async fn generate(&self) -> Result<Pkcs8, RsaError> {
        let how = algorithm(OAEP);
        set(&how, "modulusLength", &3072.into());
        set(&how, "publicExponent", &Uint8Array::from(&[1, 0, 1][..]));
        let usages = usages(&["encrypt", "decrypt"]);
        let pair = done(subtle()?.generate_key_with_object(&how, true, &usages)).await?;
        let private: CryptoKey = Reflect::get(&pair, &"privateKey".into()).map_err(|_| RsaError)?.unchecked_into();
        let kept = Pkcs8::new(bytes(&done(subtle()?.export_key("pkcs8", &private)).await?));
        public_in(&kept)?;
        Ok(kept)
    }

    async fn signing(&self, pkcs8: &[u8]) -> Result<(CryptoKey, RsaPublicKey), RsaError> {
        import(pkcs8, PSS, "sign").await
    }

    async fn decrypting(&self, pkcs8: &[u8]) -> Result<(CryptoKey, RsaPublicKey), RsaError> {
        import(pkcs8, OAEP, "decrypt").await
    }

    async fn sign_pss(&self, key: &CryptoKey, message: &[u8]) -> Result<Vec<u8>, RsaError> {
        let how = algorithm(PSS);
        set(&how, "saltLength", &32.into());
        Ok(bytes(&done(subtle()?.sign_with_object_and_buffer_source(&how, key, &Uint8Array::from(message))).await?))
    }

    async fn decrypt_oaep(&self, key: &CryptoKey, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, RsaError> {
        let opened = done(subtle()?.decrypt_with_object_and_buffer_source(&algorithm(OAEP), key, &Uint8Array::from(ciphertext))).await?;
        Ok(Zeroizing::new(bytes(&opened)))
    }
}

/// Takes a kept key for one use, never to be extracted again.
async fn import(pkcs8: &[u8], name: &str, usage: &str) -> Result<(CryptoKey, RsaPublicKey), RsaError> {
    let public = public_in(pkcs8)?;
    let copy = Uint8Array::from(pkcs8);
    let imported = subtle()?.import_key_with_object("pkcs8", &copy, &algorithm(name), false, &usages(&[usage]));
    let key = done(imported).await;
    copy.fill(0, 0, copy.length());
    Ok((key?.unchecked_into(), public))
}

fn subtle() -> Result<SubtleCrypto, RsaError> {
    worker().crypto().map(|crypto| crypto.subtle()).map_err(|_| RsaError)
}

async fn done(asked: Result<Promise, JsValue>) -> Result<JsValue, RsaError> {
    JsFuture::from(asked.map_err(|_| RsaError)?).await.map_err(|_| RsaError)
}

fn algorithm(name: &str) -> Object {
    let object = Object::new();
    set(&object, "name", &name.into());
    set(&object, "hash", &"SHA-256".into());
    object
}

fn set(object: &Object, key: &str, value: &JsValue) {
    // An object that was just made takes everything.
    let _ = Reflect::set(object, &key.into(), value);
}

fn usages(of: &[&str]) -> Array {
    of.iter().copied().map(JsValue::from).collect()
}

/// What is in a buffer; the buffer is wiped.
fn bytes(buffer: &JsValue) -> Vec<u8> {
    let view = Uint8Array::new(buffer);
    let bytes = view.to_vec();
    view.fill(0, 0, view.length());
    bytes
}
