//! What the browser around the page is asked for: its window, its clock, chance, and a few words kept in its storage.

use std::cell::Cell;
use std::rc::Rc;
use tidings_view::ask::Once;
use wasm_bindgen::prelude::*;
use web_sys::{Document, HtmlElement, Storage, Window};

pub fn window() -> Window {
    web_sys::window().expect("a page has a window")
}

pub fn document() -> Document {
    window().document().expect("a window has a document")
}

/// Whether the page's script has seen the Worker fail before there was a page to tell.
pub fn core_has_failed() -> bool {
    document().document_element().is_some_and(|root| root.has_attribute("data-core-failed"))
}

/// Whether there is room for three columns.
pub fn is_wide() -> bool {
    window().match_media("(min-width: 1200px)").ok().flatten().is_some_and(|query| query.matches())
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    js_sys::Date::now() as u64
}

/// Minutes that local time is ahead of UTC at a moment.
pub fn ahead(at: u64) -> i32 {
    // Not a number for a moment that JavaScript does not know.
    -(js_sys::Date::new(&(at as f64).into()).get_timezone_offset() as i32)
}

/// 128 random bits as text.
pub fn random() -> String {
    let mut bytes = [0; 16];
    window().crypto().and_then(|crypto| crypto.get_random_values_with_u8_array(&mut bytes)).expect("a browser has randomness");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name for something that is to be done once.
pub fn once() -> Once {
    Once(random())
}

/// Whether somebody looks at this page.
pub fn is_watched() -> bool {
    !document().hidden() && document().has_focus().unwrap_or(true)
}

fn storage() -> Option<Storage> {
    window().local_storage().ok().flatten()
}

/// A setting of this browser: nothing secret, nothing that matters if it is lost.
pub fn kept(key: &str) -> Option<String> {
    storage()?.get_item(key).ok().flatten()
}

/// Keeps a setting.
pub fn keep(key: &str, value: &str) {
    if let Some(storage) = storage() {
        // Where storage is full or forbidden, the setting lasts as long as the page.
        storage.set_item(key, value).ok();
    }
}

/// Calls once, after some milliseconds.
pub fn after(milliseconds: i32, run: impl FnOnce() + 'static) {
    let run = Closure::once_into_js(run);
    window().set_timeout_with_callback_and_timeout_and_arguments_0(run.unchecked_ref(), milliseconds).ok();
}

/// Calls before the next picture is drawn; soon, where none is drawn because the page is hidden or has just been.
pub fn on_frame(run: impl FnOnce() + 'static) {
    let run = Rc::new(Cell::new(Some(run)));
    let first = move || {
        if let Some(run) = run.take() {
            run();
        }
    };
    let frame = Closure::once_into_js(first.clone());
    window().request_animation_frame(frame.unchecked_ref()).ok();
    after(100, first);
}

/// Listens on the window for as long as the page lives.
pub fn listen<E: JsCast + 'static>(event: &str, run: impl Fn(E) + 'static) {
    let run = Closure::<dyn Fn(web_sys::Event)>::new(move |event: web_sys::Event| run(event.unchecked_into()));
    window().add_event_listener_with_callback(event, run.as_ref().unchecked_ref()).ok();
    run.forget();
}

/// Gives an element the keyboard, where there is one by this id.
pub fn focus(id: &str) {
    if let Some(element) = document().get_element_by_id(id).and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
        element.focus().ok();
    }
}

/// Copies text.
pub async fn copy(text: &str) -> bool {
    let promise = window().navigator().clipboard().write_text(text);
    wasm_bindgen_futures::JsFuture::from(promise).await.is_ok()
}
