//! The frame of the client: the list on the left, a conversation in the middle, people on the right.

use super::app::{App, Overlay};
use super::parts::{Field, Icon, anew, button, icon_button, value};
use super::{account, browser, group, message, notify, people, person, rooms, settings, switcher, talk};
use crate::place::Place;
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use tidings_view::ask::Ask;
use tidings_view::plain::sentence;
use tidings_view::{Link, Target};

/// All of it.
pub fn shell(app: App) -> AnyView {
    notify::show_in_title(app);
    // Where a narrow screen has room for one column, the place says which.
    let class = move || {
        let place = match app.place.get() {
            Place::Home => "at-home",
            Place::Talk(_) => "at-talk",
            Place::Settings => "at-settings",
        };
        format!("shell {place}{}", if app.panel.get() { " with-panel" } else { "" })
    };
    html::div()
        .class(class)
        .child((
            html::a()
                .class("skip")
                .attr("href", "#composer")
                .on(ev::click, |event| {
                    event.prevent_default();
                    browser::focus("composer");
                })
                .child("Go to the message field"),
            banner(app),
            rooms::column(app),
            middle(app),
            panel(app),
            overlay(app),
            said(app),
        ))
        .into_any()
}

fn middle(app: App) -> AnyView {
    let place = Memo::new(move |_| app.place.get());
    anew(
        move || place.get(),
        move |place| match place {
            Place::Home => html::main().class("middle empty").child(welcome(app)).into_any(),
            Place::Talk(target) => talk::talk(app, target),
            Place::Settings => settings::page(app),
        },
    )
}

fn welcome(app: App) -> AnyView {
    html::div()
        .class("welcome")
        .child((
            html::h1().child("Tidings"),
            html::p().child("Choose a conversation, or begin one."),
            html::div().class("row").child((
                button("primary", "Open the public chat", move || app.go(Place::Talk(Target::Public))),
                button("plain", "New private chat", move || app.overlay.set(Some(Overlay::NewTalk))),
                button("plain", "New group", move || app.overlay.set(Some(Overlay::NewGroup))),
            )),
            html::p().class("hint").child((
                html::kbd().child("Ctrl"),
                " ",
                html::kbd().child("K"),
                " goes anywhere. ",
                html::kbd().child("?"),
                " shows all keys.",
            )),
        ))
        .into_any()
}

fn panel(app: App) -> AnyView {
    let what = Memo::new(move |_| match (app.panel.get(), app.place.get()) {
        (true, Place::Talk(target)) => Some(target),
        _ => None,
    });
    anew(
        move || what.get(),
        move |what| match what {
            None => ().into_any(),
            Some(Target::Public) => people::panel(app),
            Some(Target::Direct { user }) => person::panel(app, user),
            Some(target) => group::panel(app, target),
        },
    )
}

fn overlay(app: App) -> AnyView {
    let what = Memo::new(move |_| app.overlay.get());
    anew(
        move || what.get(),
        move |what| match what {
            None => ().into_any(),
            Some(Overlay::Switcher) => switcher::switcher(app),
            Some(Overlay::Shortcuts) => switcher::shortcuts(app),
            Some(Overlay::Person(user)) => person::window(app, user),
            Some(Overlay::Compare(user)) => person::compare(app, user),
            Some(Overlay::NewGroup) => group::make(app),
            Some(Overlay::NewTalk) => people::choose(app),
            Some(Overlay::Invite(target)) => group::invite(app, target),
            Some(Overlay::Title(target, title)) => group::retitle(app, target, title),
            Some(Overlay::Leave(target)) => group::leave(app, target),
            Some(Overlay::Erase(id)) => message::erase(app, id),
            Some(Overlay::LogOut) => account::log_out(app),
            Some(Overlay::Invited(code)) => account::invited(app, code),
        },
    )
}

/// What is wrong with the whole client, above everything: one thing at a time, the gravest.
fn banner(app: App) -> AnyView {
    let what = Memo::new(move |_| {
        app.standing.with(|standing| {
            let standing = standing.as_ref()?;
            if let Some(text) = &standing.stopped {
                return Some(("danger", sentence(text), false));
            }
            if standing.locked {
                let text = "Another of your devices has changed this account's secrets. Type your password, so that this one has them too.";
                return Some(("warning", text.into(), true));
            }
            match &standing.link {
                Link::Idle => Some(("quiet", "Not connected. What you write is kept here and sent later.".into(), false)),
                Link::Connecting { last_error: None } => Some(("quiet", format!("Connecting to {}…", standing.server), false)),
                Link::Connecting { last_error: Some(why) } => Some((
                    "quiet",
                    format!("Offline. {} What you write is kept here and sent as soon as {} answers.", sentence(why), standing.server),
                    false,
                )),
                Link::CatchingUp => Some(("quiet", "Connected. Catching up…".into(), false)),
                Link::Linked { .. } => None,
            }
        })
    });
    anew(
        move || what.get(),
        move |what| {
            let shown = what.map(|(class, text, locked)| {
                let role = if class == "quiet" { "status" } else { "alert" };
                html::div().class(format!("banner {class}")).attr("role", role).child((html::p().child(text), locked.then(|| unlock(app))))
            });
            shown.into_any()
        },
    )
}

fn unlock(app: App) -> AnyView {
    let (field, node) = Field::password("Password", "current-password").build();
    html::form()
        .class("row unlock")
        .on(ev::submit, move |event| {
            event.prevent_default();
            app.ask(Ask::Unlock { password: value(node) }, |_| ());
        })
        .child((field, html::button().attr("type", "submit").class("primary").child("Unlock")))
        .into_any()
}

/// What is said for some seconds, and what is read aloud.
fn said(app: App) -> AnyView {
    let toast = move || {
        app.said.get().map(|(_, text)| {
            html::div().class("toast").child((html::p().child(text), icon_button("", Icon::Close, "Dismiss", move || app.said.set(None))))
        })
    };
    (
        html::div().class("toasts").attr("role", "status").child(toast),
        html::div().class("unseen-by-eyes").attr("aria-live", "polite").attr("aria-atomic", "true").child(move || app.announced.get()),
    )
        .into_any()
}

/// The keys that work everywhere.
pub fn listen_for_keys(app: App) {
    browser::listen::<web_sys::KeyboardEvent>("keydown", move |event| {
        if app.me().is_none() || app.words.with_untracked(Option::is_some) {
            return;
        }
        let command = event.ctrl_key() || event.meta_key();
        let typing = browser::document().active_element().is_some_and(|element| {
            matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT") || element.closest("dialog").ok().flatten().is_some()
        });
        match event.key().as_str() {
            "k" | "K" if command && !event.shift_key() && !event.alt_key() => app.overlay.set(Some(Overlay::Switcher)),
            "?" if !typing && !command => app.overlay.set(Some(Overlay::Shortcuts)),
            "i" | "I" if command && event.shift_key() => app.panel.update(|shown| *shown = !*shown),
            "ArrowDown" | "ArrowUp" if event.alt_key() && !command => rooms::step(app, event.key() == "ArrowDown"),
            _ => return,
        }
        event.prevent_default();
    });
}
