//! Telling somebody who looks elsewhere: the tab's title, and the system's notifications where they were asked for.

use super::app::App;
use super::{browser, rooms};
use crate::place::Place;
use leptos::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use tidings_view::Target;
use tidings_view::ask::RoomLine;
use wasm_bindgen::prelude::*;
use web_sys::{Notification, NotificationOptions, NotificationPermission};

/// The setting.
const KEY: &str = "tidings.notify";

thread_local! {
    /// What this page has told, by conversation, for as long as it is not read.
    static TOLD: RefCell<HashMap<Target, Notification>> = RefCell::default();
}

/// Whether they are wanted, and allowed.
pub fn is_on() -> bool {
    browser::kept(KEY).as_deref() == Some("on") && Notification::permission() == NotificationPermission::Granted
}

/// Turns them on, if the person lets the browser.
pub async fn turn_on() -> bool {
    let Ok(asked) = Notification::request_permission() else { return false };
    wasm_bindgen_futures::JsFuture::from(asked).await.ok();
    browser::keep(KEY, "on");
    is_on()
}

/// Turns them off.
pub fn turn_off() {
    browser::keep(KEY, "off");
}

/// The number of unread messages before the name.
pub fn show_in_title(app: App) {
    Effect::new(move |_| {
        let unseen: u64 = app.rooms.with(|rooms| rooms.iter().map(|line| line.unseen).sum());
        browser::document().set_title(&if unseen > 0 { format!("({unseen}) Tidings") } else { "Tidings".into() });
    });
}

/// Compares the list with the one before: what is unread now and was not, of conversations that nobody looks at, is told; what was told and
/// is read now, in whichever tab, is taken back.
pub fn of_new_messages(app: App, rooms_now: &[RoomLine]) {
    take_back(|target| !rooms_now.iter().any(|line| line.room.target == *target && line.unseen > 0));
    let open = app.place.get_untracked();
    let news: Vec<RoomLine> = app.rooms.with_untracked(|before| {
        if before.is_empty() {
            // What was unread before the page was opened is no news.
            return Vec::new();
        }
        let unseen = |line: &RoomLine| before.iter().find(|old| old.room.target == line.room.target).map_or(0, |old| old.unseen);
        rooms_now.iter().filter(|line| line.unseen > unseen(line)).cloned().collect()
    });
    let watched = browser::is_watched();
    for line in news.iter().filter(|line| !watched || open != Place::Talk(line.room.target.clone())) {
        if watched {
            app.announced.set(format!("New message: {}", rooms::title(line)));
        } else if is_on() {
            tell(line);
        }
    }
}

fn take_back(is_read: impl Fn(&Target) -> bool) {
    TOLD.with_borrow_mut(|told| told.extract_if(|target, _| is_read(target)).for_each(|(_, notification)| notification.close()));
}

/// Says where, not what: a notification is read by whoever sees the screen.
fn tell(line: &RoomLine) {
    let options = NotificationOptions::new();
    options.set_body(if line.mentioned { "You were mentioned" } else { "New message" });
    // Several tabs tell the same thing once.
    options.set_tag(&line.room.target.to_string());
    let Ok(notification) = Notification::new_with_options(&rooms::title(line), &options) else { return };
    let hash = Place::Talk(line.room.target.clone()).hash();
    let open = Closure::once_into_js(move || {
        browser::window().focus().ok();
        browser::window().location().set_hash(&hash).ok();
    });
    notification.set_onclick(Some(open.unchecked_ref()));
    TOLD.with_borrow_mut(|told| told.insert(line.room.target.clone(), notification));
}
