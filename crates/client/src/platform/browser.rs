//! In a browser, in a dedicated Worker: its clock and WebSocket, WebCrypto, and SQLite on the origin's private file system.
//!
//! There is one thread, and whoever takes long makes the others of this Worker wait: pages are in threads of their own.

mod keys;
mod profile;
mod sealed;
mod socket;

pub use keys::WebKeys as PrivateKeys;
pub use profile::{JOURNAL, ProfileLock, forget_stored, has_profile, open_profile, prepare, profile_key, remove_profile};
pub use socket::{Pipe, PipeReader, PipeWriter, connect};
pub use web_time::Instant;

use crate::ClientError;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};
use wasm_bindgen::JsCast;
use wasm_bindgen::JsValue;
use web_sys::DedicatedWorkerGlobalScope;

/// What may go to another thread, where there are any.
pub trait MaySend {}
impl<T> MaySend for T {}

/// The Worker.
fn worker() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// What JavaScript says went wrong.
fn said(error: &JsValue) -> String {
    let text = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.to_string()));
    text.or_else(|| error.as_string()).unwrap_or_else(|| format!("{error:?}"))
}

/// Milliseconds since 1970. For show only.
pub fn now() -> u64 {
    js_sys::Date::now() as u64
}

/// The clock that only goes forward.
pub fn instant() -> Instant {
    Instant::now()
}

/// Waits until then.
pub async fn sleep_until(then: Instant) {
    gloo_timers::future::sleep(then.saturating_duration_since(instant())).await;
}

/// What comes of `work`, unless it takes longer.
pub async fn timeout<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = gloo_timers::future::sleep(time) => None,
    }
}

/// Runs work that takes long; here it is done at once.
pub async fn heavy<T, F>(work: impl FnOnce() -> F + 'static) -> Result<T, ClientError>
where
    F: Future<Output = T>,
{
    Ok(work().await)
}

/// Work in the background; ends when this is dropped.
pub struct Task {
    _stop: DropGuard,
    ended: CancellationToken,
}

/// Begins work in the background.
pub fn spawn(work: impl Future<Output = ()> + 'static) -> Task {
    let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
    let (stopped, at_end) = (stop.clone(), ended.clone().drop_guard());
    wasm_bindgen_futures::spawn_local(async move {
        tokio::select! {
            () = work => {}
            () = stopped.cancelled() => {}
        }
        drop(at_end);
    });
    Task { _stop: stop.drop_guard(), ended }
}

impl Task {
    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits for its end.
    pub async fn ended(self) {
        self.ended.cancelled().await;
    }
}
