//! The key that seals a profile's secrets; where it lies is the browser's to seal (`tidings-sealed`).

use tidings_e2ee::ProfileKey;
use wasm_bindgen::JsValue;
use zeroize::Zeroizing;

/// The key of this origin's profile; made where there is none.
pub async fn profile_key() -> Result<ProfileKey, JsValue> {
    let bytes = tidings_sealed::secret(|| Zeroizing::new(ProfileKey::generate().bytes().to_vec())).await?;
    ProfileKey::from_bytes(&bytes).ok_or_else(|| "a key of another length".into())
}
