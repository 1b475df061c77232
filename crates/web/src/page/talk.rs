//! A conversation: what it is, what is wrong with it, its messages, and where one writes.

use super::app::{App, Overlay};
use super::parts::{Icon, anew, button, disclosure, icon, icon_button, target_face, user_name};
use super::timeline::Timeline;
use super::{composer, rooms};
use crate::place::Place;
use crate::suite;
use leptos::html;
use leptos::prelude::*;
use tidings_view::ask::{Ask, Deed, RoomLine};
use tidings_view::plain::sentence;
use tidings_view::{Part, Person, Target, Trust};

/// What a person can do in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Writing {
    /// Write.
    Open,
    /// Join or decline first.
    Invited(String),
    /// Settle what has become of a key first.
    KeyChanged(Box<Person>),
    /// Nothing.
    Closed(&'static str),
}

/// All of it.
pub fn talk(app: App, target: Target) -> AnyView {
    let timeline = Timeline::new(app, target.clone());
    let this = target.clone();
    let writing = Memo::new(move |_| writing(app, &this));
    let (sent, this) = (StoredValue::new_local(timeline.clone()), target.clone());
    let below = anew(
        move || writing.get(),
        move |writing| match writing {
            Writing::Open => composer::composer(app, this.clone(), move || sent.with_value(|timeline| timeline.clone().sent())),
            Writing::Invited(words) => invited(app, this.clone(), words),
            Writing::KeyChanged(person) => key_changed(app, &person),
            Writing::Closed(words) => html::p().class("closed").child(words).into_any(),
        },
    );
    html::main()
        .class("middle talk")
        .child((
            head(app, target.clone()),
            doubted(app, target.clone()),
            stopped(app, target),
            timeline.view(),
            html::div().class("below").child(below),
        ))
        .into_any()
}

fn writing(app: App, target: &Target) -> Writing {
    if let Target::Direct { user } = target
        && let Some(person) = app.person(user)
        && person.trust == Trust::Changed
    {
        if person.closed {
            return Writing::Closed("This account is closed. What you have read stays here.");
        }
        return Writing::KeyChanged(Box::new(person));
    }
    match app.line(target).map(|line| line.room.part) {
        Some(Part::Invited { by: Some(by) }) => Writing::Invited(format!("{by} has invited you to this group.")),
        Some(Part::Invited { by: None }) => Writing::Invited("You have been invited to this group.".into()),
        Some(Part::Gone) => Writing::Closed("You are not in this group any more. What you have read stays here."),
        Some(Part::Arriving) => Writing::Closed("This group is still arriving."),
        // Whoever one has not written with yet is in no list.
        Some(Part::In) | None => Writing::Open,
    }
}

fn head(app: App, target: Target) -> AnyView {
    let this = target.clone();
    let line = Memo::new(move |_| app.line(&this));
    let this = target.clone();
    let title = move || {
        let line = line.get();
        let name = || line.as_ref().map_or_else(|| this.to_string(), rooms::title);
        html::h1().child(match &this {
            Target::Public => "Public chat".into_any(),
            Target::Direct { user } => user_name(user),
            Target::Group { .. } => html::bdi().child(name()).into_any(),
        })
    };
    let this = target.clone();
    let sub = move || html::span().class("sub").child(subtitle(app, &this, line.get().as_ref()));
    let this = target.clone();
    html::header()
        .class("talk-head")
        .child((
            icon_button("back", Icon::Back, "Back to the conversations", move || app.go(Place::Home)),
            target_face(&target),
            html::div().class("talk-title").child((title, sub)),
            badge(app, this, line),
            html::button()
                .attr("type", "button")
                .class("icon-button")
                .attr("aria-label", "People in this conversation")
                .attr("title", "People (Ctrl Shift I)")
                .attr("aria-pressed", move || if app.panel.get() { "true" } else { "false" })
                .on(leptos::ev::click, move |_| app.panel.update(|shown| *shown = !*shown))
                .child(icon(if matches!(target, Target::Direct { .. }) { Icon::People } else { Icon::Group })),
        ))
        .into_any()
}

fn subtitle(app: App, target: &Target, line: Option<&RoomLine>) -> String {
    match target {
        Target::Public => {
            let servers = app.standing.with(|standing| match standing.as_ref().map(|standing| &standing.link) {
                Some(tidings_view::Link::Linked { network }) => network.iter().map(ToString::to_string).collect(),
                _ => Vec::new(),
            });
            if servers.is_empty() { "Everybody on all connected servers".into() } else { format!("Everybody on {}", servers.join(", ")) }
        }
        Target::Direct { user } => match app.person(user) {
            _ if app.me().as_ref() == Some(user) => "Notes to yourself".into(),
            Some(person) => rooms::online(person.online).into(),
            None => String::new(),
        },
        Target::Group { .. } => line.and_then(|line| line.room.members).map_or(String::new(), |members| match members {
            1 => "1 person".into(),
            members => format!("{members} people"),
        }),
    }
}

/// How the conversation is sealed, in a word; what that means, when one asks.
fn badge(app: App, target: Target, line: Memo<Option<RoomLine>>) -> AnyView {
    let this = target.clone();
    let sealed = Memo::new(move |_| {
        let suite = match (&this, line.get()) {
            (Target::Public, _) => None,
            (_, line) => Some(line.and_then(|line| line.room.suite).unwrap_or_else(|| "mls-1".into())),
        };
        let trust = match &this {
            Target::Direct { user } => app.person(user).map(|person| (user.clone(), person.trust)),
            _ => None,
        };
        (suite, trust)
    });
    anew(
        move || sealed.get(),
        move |(suite_name, person)| {
            let words = suite::words(suite_name.as_deref());
            let drawing = if suite_name.is_some() { Icon::Lock } else { Icon::Globe };
            let verified = person.as_ref().is_some_and(|(_, trust)| *trust == Trust::Verified);
            let compare = person.map(|(user, _)| {
                let label = if verified { "Safety number" } else { "Compare the safety number" };
                button("small", label, move || app.overlay.set(Some(Overlay::Compare(user.clone()))))
            });
            let summary = html::summary().class(if verified { "badge verified" } else { "badge" }).child((
                icon(if verified { Icon::Shield } else { drawing }),
                html::span().child(if verified { "Verified" } else { words.name }),
            ));
            let about = (
                html::strong().child(words.name),
                html::p().child(words.does),
                html::p().child(words.does_not),
                suite_name.map(|name| html::p().class("sub").child(format!("Suite {name}"))),
                compare,
            );
            disclosure("badge-frame", summary.into_any(), about.into_any())
        },
    )
}

/// The keys of whom one talks to may be others: somebody was told another history of them. It stops nothing.
fn doubted(app: App, target: Target) -> AnyView {
    let warning = Memo::new(move |_| match &target {
        Target::Direct { user } => app.person(user).and_then(|person| person.warning),
        _ => None,
    });
    let banner = |warning: String| html::div().class("banner danger").attr("role", "status").child(html::p().child(sentence(&warning)));
    (move || warning.get().map(banner)).into_any()
}

/// Logs whose server told two stories.
fn stopped(app: App, target: Target) -> AnyView {
    let stopped = Memo::new(move |_| app.line(&target).map(|line| line.room.stopped).unwrap_or_default());
    (move || {
        let all = stopped.get().into_iter().map(|(log, reason)| {
            let text = format!("{log} was stopped. {} Nothing more of it is shown. Ask whoever runs that server.", sentence(&reason));
            html::div().class("banner danger").attr("role", "alert").child(html::p().child(text))
        });
        all.collect_view()
    })
    .into_any()
}

fn invited(app: App, target: Target, words: String) -> AnyView {
    let (join, decline) = (target.clone(), target);
    html::div()
        .class("answer")
        .child((
            html::p().child(words),
            button("primary", "Join", move || app.deed(&join, Deed::Join, |_| ())),
            button("plain", "Decline", move || {
                app.deed(&decline, Deed::Leave, move |_| app.go(Place::Home));
            }),
        ))
        .into_any()
}

/// What to do when somebody's key has changed. Until then nothing is written.
fn key_changed(app: App, person: &Person) -> AnyView {
    let user = person.user.clone();
    let (compare, accept) = (user.clone(), user.clone());
    let advice = if person.can_accept {
        format!(
            "Ask {user} by another way, such as a call, and compare the safety number. Only then accept the new key. Until you do, nothing is sent."
        )
    } else {
        format!("Nothing is sent to {user}, and there is nothing to accept. Ask {user} by another way, and whoever runs {}.", user.server())
    };
    let compare = move || app.overlay.set(Some(Overlay::Compare(compare.clone())));
    let accept = move || app.ask(Ask::AcceptKey(accept.clone()), |_| ());
    let answers = person.can_accept.then(|| {
        let answers = (button("primary", "Compare the safety number", compare), button("plain danger", "Accept the new key", accept));
        html::div().class("row").child(answers)
    });
    html::div()
        .class("answer alarm")
        .attr("role", "alert")
        .child((
            html::p().child((icon(Icon::Warning), html::strong().child(format!("The key of {user} has changed.")))),
            person.alarm.as_deref().map(|alarm| html::p().child(sentence(alarm))),
            html::p().child(advice),
            answers,
        ))
        .into_any()
}
