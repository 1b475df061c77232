//! The keyboard is never lost: where what had it leaves the page, it goes back to where it was before a window was opened, or to the head
//! of what is on the page now. Browsers would leave it on nothing, and whoever uses no mouse would begin at the top each time.

use super::browser;
use std::cell::RefCell;
use wasm_bindgen::prelude::*;
use web_sys::{Element, Event, HtmlElement, MutationObserver, MutationObserverInit};

thread_local! {
    static HAD: RefCell<Had> = RefCell::default();
}

#[derive(Default)]
struct Had {
    /// What has the keyboard, or had it last.
    last: Option<Element>,
    /// The last of these that was in no window above the page.
    below: Option<Element>,
}

/// Watches over it for as long as the page lives.
pub fn keep() {
    browser::listen::<Event>("focusin", |event| {
        let Some(element) = event.target().and_then(|target| target.dyn_into::<Element>().ok()) else { return };
        let in_window = element.closest("dialog").ok().flatten().is_some();
        HAD.with_borrow_mut(|had| {
            had.last = Some(element.clone());
            if !in_window {
                had.below = Some(element);
            }
        });
    });
    let changed = Closure::<dyn Fn()>::new(|| {
        if is_lost() {
            // Whatever comes onto the page in this turn may take it by itself.
            browser::on_frame(|| browser::after(0, give_back));
        }
    });
    let what = MutationObserverInit::new();
    what.set_child_list(true);
    what.set_subtree(true);
    if let (Ok(observer), Some(body)) = (MutationObserver::new(changed.as_ref().unchecked_ref()), browser::document().body()) {
        observer.observe_with_options(&body, &what).ok();
    }
    changed.forget();
}

/// Whether nothing has the keyboard, and what had it is not on the page any more. Whoever has clicked beside everything wants it so.
fn is_lost() -> bool {
    let active = browser::document().active_element();
    let nothing = active.is_none_or(|active| active.tag_name() == "BODY");
    nothing && HAD.with_borrow(|had| had.last.as_ref().is_some_and(|last| !last.is_connected()))
}

fn give_back() {
    if !is_lost() {
        return;
    }
    let below = HAD.with_borrow(|had| had.below.clone()).filter(|below| below.is_connected());
    let head =
        || browser::document().query_selector("main h1").ok().flatten().or_else(|| browser::document().query_selector("main").ok()?);
    let Some(element) = below.or_else(head).and_then(|element| element.dyn_into::<HtmlElement>().ok()) else { return };
    if element.tab_index() < 0 {
        element.set_tab_index(-1);
    }
    element.focus().ok();
}
