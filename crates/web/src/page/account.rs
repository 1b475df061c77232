//! Windows about the account in this browser: leaving it, and an invitation to another one.

use super::app::{App, Overlay};
use super::parts::{button, dialog, sure_of};
use super::{browser, core};
use crate::place::Place;
use leptos::html;
use leptos::prelude::*;
use tidings_view::ask::{Answer, Ask};
use wasm_bindgen_futures::spawn_local;

/// What logging out does, and what it does not.
pub const LEAVING: &str = "Everything that is stored in this browser is deleted. Your account stays. This browser stays in its list of \
                           devices, since no device can remove itself: remove it in the settings of another one.";

/// A window before one leaves this browser.
pub fn log_out(app: App) -> AnyView {
    let is_last = RwSignal::new(false);
    spawn_local(async move {
        if let Ok(Answer::Devices(devices)) = core::ask(Ask::Devices).await {
            is_last.try_set(devices.len() == 1);
        }
    });
    let last = "No other device is logged in. Without your password or your recovery words you cannot come back.";
    let last = move || is_last.get().then(|| html::p().class("trouble").child(last));
    let go = move || app.ask(Ask::Logout, move |_| app.go(Place::Home));
    let text = (html::p().child(LEAVING), last).into_any();
    sure_of("Log out?", text, "Log out", "Stay", move || app.overlay.set(None), go)
}

/// A window for whoever has opened an invitation where there is an account already.
pub fn invited(app: App, code: String) -> AnyView {
    let (me, server) = app.standing.with_untracked(|standing| {
        let name = |of: Option<String>| of.unwrap_or_default();
        let standing = standing.as_ref();
        (name(standing.and_then(|one| one.me.as_ref()).map(ToString::to_string)), name(standing.map(|one| one.server.to_string())))
    });
    let link = format!("{}/#invite={code}", browser::window().location().origin().unwrap_or_default());
    let copy = move || {
        let link = link.clone();
        let done = move |done| app.say(if done { "The link is copied." } else { "The browser did not allow copying." });
        spawn_local(async move { done(browser::copy(&link).await) });
    };
    let leave = move || {
        // Whoever has logged out begins with it.
        app.invitation.set(Some(code.clone()));
        app.overlay.set(Some(Overlay::LogOut));
    };
    let content = (
        html::p().child(format!("This link is for making a new account on {server}. You are logged in here as {me}, so it was not used.")),
        html::p().child("If it is for somebody else, hand it on. To use it yourself, open it in another browser, or log out here first."),
        html::div().class("row").child((
            button("primary", "Stay logged in", move || app.overlay.set(None)),
            button("plain", "Copy the link", copy),
            button("plain danger", "Log out", leave),
        )),
    );
    dialog("You are logged in already", "small", move || app.overlay.set(None), content.into_any())
}
