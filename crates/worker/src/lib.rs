//! The client core in a browser: one Worker of one tab has it, and serves all tabs of the origin over a `BroadcastChannel`.
//!
//! Every tab begins a Worker. Whose Worker holds the Web Lock opens the store and serves; the others wait, and one of them goes on when
//! that tab is gone. Not here: what a request means (the client core), what anything looks like (the pages).
#![cfg(target_family = "wasm")]

mod answer;
mod serve;
mod site;
mod words;

use js_sys::{Function, Promise, Reflect};
use tidings_view::ask::CHANNEL;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::DedicatedWorkerGlobalScope;

/// Begins when the module is loaded: waits for the lock, then serves for as long as the Worker lives.
#[wasm_bindgen(start)]
fn begin() {
    std::panic::set_hook(Box::new(|panic| {
        web_sys::console::error_1(&panic.to_string().into());
        // Nothing here can be relied upon any more. The lock is free with this, and whoever waits for it begins anew.
        worker().close();
    }));
    let granted = Closure::once_into_js(|_lock: JsValue| {
        wasm_bindgen_futures::spawn_local(serve::serve());
        // Kept until the Worker ends.
        Promise::new(&mut |_, _| {})
    });
    if let Err(error) = ask_for_lock(&granted) {
        web_sys::console::error_1(&error);
    }
}

/// By name, since web-sys calls Web Locks unstable.
fn ask_for_lock(granted: &JsValue) -> Result<(), JsValue> {
    let locks = Reflect::get(&worker().navigator(), &"locks".into())?;
    let request: Function = Reflect::get(&locks, &"request".into())?.dyn_into()?;
    request.call2(&locks, &CHANNEL.into(), granted).map(|_| ())
}

/// The Worker.
fn worker() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}
