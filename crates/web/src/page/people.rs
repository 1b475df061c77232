//! Everybody: who is there, whose key is known how well, and on which server.

use super::app::{App, Overlay};
use super::parts::{Icon, dialog, each, face, icon, icon_button, user_name};
use super::rooms;
use crate::find;
use crate::place::Place;
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use tidings_proto::UserName;
use tidings_view::{Online, Person, Target, Trust};

/// As many as are worth scrolling through; beyond that the filter is there.
const MOST: usize = 200;

/// The column beside the public chat.
pub fn panel(app: App) -> AnyView {
    html::aside()
        .class("right")
        .attr("aria-label", "People")
        .child((head(app, "People"), list(app, move |user| app.overlay.set(Some(Overlay::Person(user))), "Filter people")))
        .into_any()
}

/// The head of a column on the right.
pub fn head(app: App, title: &'static str) -> AnyView {
    html::header()
        .class("right-head")
        .child((html::h2().child(title), icon_button("", Icon::Close, "Close this column", move || app.panel.set(false))))
        .into_any()
}

/// A window to begin a private chat.
pub fn choose(app: App) -> AnyView {
    let list = list(app, move |user| app.go(Place::Talk(Target::Direct { user })), "Filter people");
    dialog("New private chat", "", move || app.overlay.set(None), list)
}

/// People to pick from, with a filter.
pub fn list(app: App, pick: impl Fn(UserName) + Clone + Send + Sync + 'static, label: &'static str) -> AnyView {
    let typed = RwSignal::new(String::new());
    let shown = Memo::new(move |_| {
        let typed = typed.get();
        app.people.with(|people| {
            let mut people: Vec<Person> = find::best(&typed, people.iter().cloned(), |person| person.user.to_string(), MOST);
            if typed.is_empty() {
                people.sort_by_key(|person| (person.online == Online::Offline, person.user.clone()));
            }
            people
        })
    });
    let rows = each(move || shown.get(), move |person| item(app, person, pick.clone()));
    let count = move || match shown.with(Vec::len) {
        0 => "Nobody has that name.".to_owned(),
        MOST => format!("The first {MOST}. Type to find others."),
        _ => String::new(),
    };
    html::div()
        .class("people-list")
        .child((
            html::input()
                .attr("type", "search")
                .attr("class", "filter")
                .attr("placeholder", "Filter by name or server")
                .attr("aria-label", label)
                .attr("autocomplete", "off")
                .on(ev::input, move |event| typed.set(event_target_value(&event))),
            html::ul().class("people").attr("role", "list").child(rows),
            html::p().class("hint").child(count),
        ))
        .into_any()
}

fn item(app: App, person: Person, pick: impl Fn(UserName) + 'static) -> AnyView {
    let user = person.user.clone();
    let is_me = app.me().as_ref() == Some(&user);
    let (mark, words) = trust(person.trust);
    let short = person.fingerprint.as_deref().map(|print| print.chars().take(9).collect::<String>());
    html::li()
        .child(
            html::button().attr("type", "button").class("person").on(ev::click, move |_| pick(user.clone())).child((
                html::span().class(presence(person.online)).child(face(&person.user.to_string())),
                html::span().class("person-text").child((
                    html::span().class("line").child((user_name(&person.user), is_me.then(|| html::span().class("tag").child("you")))),
                    html::span().class("line sub").child((
                        rooms::online(person.online),
                        short.map(|short| html::span().class("print").attr("title", "Beginning of the key's fingerprint").child(short)),
                    )),
                )),
                html::span()
                    .class(format!("trust {}", trust_class(person.trust)))
                    .attr("title", words)
                    .child((icon(mark), html::span().class("unseen-by-eyes").child(words))),
            )),
        )
        .into_any()
}

/// The dot on somebody's picture.
pub fn presence(online: Online) -> &'static str {
    match online {
        Online::Online => "presence online",
        Online::Away => "presence away",
        Online::Offline => "presence offline",
    }
}

/// What is known about a key, as a drawing and in plain words.
pub fn trust(trust: Trust) -> (Icon, &'static str) {
    match trust {
        Trust::New => (Icon::Waiting, "No key yet"),
        Trust::Pinned => (Icon::Lock, "Key known, not compared"),
        Trust::Verified => (Icon::Shield, "Compared and verified"),
        Trust::Changed => (Icon::Warning, "Key changed"),
    }
}

/// The colour of that.
pub fn trust_class(trust: Trust) -> &'static str {
    match trust {
        Trust::New | Trust::Pinned => "known",
        Trust::Verified => "good",
        Trust::Changed => "bad",
    }
}
