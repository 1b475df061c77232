//! The list of conversations.

use super::app::{App, Overlay};
use super::browser;
use super::parts::{Icon, each, face, foreign, icon, icon_button, target_face, user_name};
use crate::clock::Local;
use crate::place::Place;
use leptos::html;
use leptos::prelude::*;
use tidings_view::ask::RoomLine;
use tidings_view::markdown::line;
use tidings_view::plain::visible_line;
use tidings_view::{Online, Part, Target, Trust};

/// The column on the left.
pub fn column(app: App) -> AnyView {
    let targets = Memo::new(move |_| app.rooms.with(|rooms| rooms.iter().map(|line| line.room.target.clone()).collect::<Vec<_>>()));
    let list = each(move || targets.get(), move |target| item(app, target));
    let tools = html::div().class("tools").child((
        icon_button("", Icon::Search, "Go to (Ctrl K)", move || app.overlay.set(Some(Overlay::Switcher))),
        icon_button("", Icon::Chat, "New private chat", move || app.overlay.set(Some(Overlay::NewTalk))),
        icon_button("", Icon::GroupNew, "New group", move || app.overlay.set(Some(Overlay::NewGroup))),
    ));
    html::nav()
        .class("left")
        .attr("aria-label", "Conversations")
        .child((
            html::header().class("left-head").child((html::h2().child("Conversations"), tools)),
            html::ul().class("rooms").attr("role", "list").child(list),
            myself(app),
        ))
        .into_any()
}

/// Who one is, and the way to the settings.
fn myself(app: App) -> AnyView {
    let me = Memo::new(move |_| app.standing.with(|standing| standing.as_ref().and_then(|standing| standing.me.clone())));
    (move || {
        me.get().map(|me| {
            html::footer().class("myself").child((
                face(&me.to_string()),
                user_name(&me),
                icon_button("", Icon::Keyboard, "Keyboard shortcuts", move || app.overlay.set(Some(Overlay::Shortcuts))),
                icon_button("", Icon::Settings, "Settings", move || app.go(Place::Settings)),
            ))
        })
    })
    .into_any()
}

fn item(app: App, target: Target) -> AnyView {
    let this = target.clone();
    let room = Memo::new(move |_| app.line(&this));
    let place = Place::Talk(target.clone());
    let href = place.hash();
    let current = move || app.place.with(|at| (*at == place).then_some("page"));
    let body = move || room.get().map(|line| body(app, line));
    html::li()
        .child(
            html::a()
                .class(move || room.with(|room| if room.as_ref().is_some_and(|line| line.unseen > 0) { "room unseen" } else { "room" }))
                .attr("href", href)
                .attr("aria-current", current)
                .child((target_face(&target), body)),
        )
        .into_any()
}

fn body(app: App, room: RoomLine) -> AnyView {
    let now = Local::new(browser::now(), browser::ahead(browser::now()));
    let when = room.newest.map(|at| Local::new(at, browser::ahead(at)).short(now));
    let title = match &room.room.target {
        Target::Direct { user } => user_name(user),
        Target::Public => html::span().class("user-name").child("Public chat").into_any(),
        Target::Group { .. } => foreign("user-name", &room.room.title),
    };
    let below = match (&room.room.part, &room.draft) {
        (Part::Invited { .. }, _) => html::span().class("sub accent").child("Invitation").into_any(),
        (Part::Gone, _) => html::span().class("sub").child("You are not in this group any more").into_any(),
        (Part::Arriving, _) => html::span().class("sub").child("Arriving…").into_any(),
        (Part::In, Some(draft)) => {
            html::span().class("sub").child((html::span().class("accent").child("Draft: "), html::bdi().child(line(draft)))).into_any()
        }
        (Part::In, None) => beneath(app, &room),
    };
    let count = (room.unseen > 0).then(|| {
        let shown = if room.unseen > 99 { "99+".into() } else { room.unseen.to_string() };
        html::span()
            .class(if room.mentioned { "count mentioned" } else { "count" })
            .child((shown, html::span().class("unseen-by-eyes").child(" unread")))
    });
    html::span()
        .class("room-text")
        .child((
            html::span().class("line").child((title, when.map(|when| html::time().class("when").child(when)))),
            html::span().class("line").child((below, count)),
        ))
        .into_any()
}

/// What kind of conversation it is, as far as that is worth a line.
fn beneath(app: App, room: &RoomLine) -> AnyView {
    match &room.room.target {
        Target::Public => html::span().class("sub").child("Everybody on all servers").into_any(),
        Target::Direct { user } => {
            let user = user.clone();
            let words = move || {
                if app.me().as_ref() == Some(&user) {
                    return ("sub", "Notes to yourself".to_owned());
                }
                match app.person(&user) {
                    Some(person) if person.closed => ("sub", "Account closed".into()),
                    Some(person) if person.trust == Trust::Changed => ("sub danger", "Key changed".into()),
                    Some(person) => ("sub", online(person.online).into()),
                    None => ("sub", String::new()),
                }
            };
            let words = Memo::new(move |_| words());
            (move || {
                let (class, text) = words.get();
                html::span().class(class).child(text)
            })
            .into_any()
        }
        Target::Group { .. } => {
            let members = room.room.members.unwrap_or(0);
            html::span()
                .class("sub")
                .child((icon(Icon::Lock), format!(" {members} {}", if members == 1 { "person" } else { "people" })))
                .into_any()
        }
    }
}

/// Whether somebody can be reached, in words.
pub fn online(online: Online) -> &'static str {
    match online {
        Online::Online => "Online",
        Online::Away => "Away",
        Online::Offline => "Offline",
    }
}

/// What a conversation is called.
pub fn title(room: &RoomLine) -> String {
    match &room.room.target {
        Target::Public => "Public chat".into(),
        Target::Direct { user } => user.to_string(),
        Target::Group { .. } => visible_line(&room.room.title),
    }
}

/// Goes to the conversation below or above.
pub fn step(app: App, down: bool) {
    let next = app.rooms.with_untracked(|rooms| {
        let at = app.place.with_untracked(|place| rooms.iter().position(|line| Place::Talk(line.room.target.clone()) == *place));
        let next = match at {
            None => Some(0),
            Some(at) if down => Some(at + 1),
            Some(at) => at.checked_sub(1),
        };
        next.and_then(|next| rooms.get(next)).map(|line| line.room.target.clone())
    });
    if let Some(target) = next {
        app.go(Place::Talk(target));
    }
}
