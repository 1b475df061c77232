//! One row of a timeline.

use super::app::{App, Overlay};
use super::parts::{Icon, button, face, icon, icon_button, sure, user_name};
use super::written::written;
use super::{browser, files};
use crate::rows::{Echo, Row};
use leptos::html;
use leptos::prelude::*;
use tidings_proto::UserName;
use tidings_view::ask::Ask;
use tidings_view::plain::{sentence, visible_line};
use tidings_view::{Event, KEY_CHANGED, Message, MessageId, Role, Status};
use wasm_bindgen_futures::spawn_local;

/// A row's element, without its place in the list.
pub fn row(app: App, row: &Row) -> AnyView {
    match row {
        Row::Day(name) => html::div().class("day").child(html::h3().child(name.clone())).into_any(),
        Row::Unseen => html::div()
            .class("new-line")
            .attr("role", "separator")
            .attr("aria-label", "New messages")
            .child(html::span().child("New"))
            .into_any(),
        Row::Echo { echo, head, time } => sending(app, echo, *head, time),
        Row::Message { message, time, .. } if message.event.is_some() => event(message, time),
        Row::Message { message, head, time } => said(app, message, *head, time),
    }
}

fn head(author: Option<&UserName>, time: &str) -> AnyView {
    let name = match author {
        Some(author) => user_name(author),
        None => html::span().class("user-name").child("Unknown author").into_any(),
    };
    html::header().class("message-head").child((name, html::time().class("when").child(time.to_owned()))).into_any()
}

/// What stands on the left of a message: its author's picture, or its time where the author is the one above.
fn side(author: Option<&UserName>, is_head: bool, time: &str) -> AnyView {
    match author {
        Some(author) if is_head => face(&author.to_string()),
        None if is_head => html::span().class("face unknown").attr("aria-hidden", "true").child(icon(Icon::Warning)).into_any(),
        _ => html::time().class("side-time").attr("aria-hidden", "true").child(time.to_owned()).into_any(),
    }
}

fn sending(app: App, echo: &Echo, is_head: bool, time: &str) -> AnyView {
    let me = app.me();
    let author = me.as_ref();
    let far = if echo.kept { "Sending" } else { "Saving" };
    html::article()
        .class(if is_head { "message head own" } else { "message own" })
        .child((
            side(author, is_head, time),
            html::div().class("message-body").child((
                if is_head { head(author, time) } else { by(author, time) },
                written(&echo.text),
                mark(far, far, Icon::Waiting),
            )),
        ))
        .into_any()
}

fn said(app: App, message: &Message, is_head: bool, time: &str) -> AnyView {
    let own = message.author.is_some() && message.author == app.me();
    let class = format!("message{}{}", if is_head { " head" } else { "" }, if own { " own" } else { "" });
    let author = message.author.as_ref();
    let content = match &message.status {
        Status::Unreadable { reason } => unreadable(reason),
        _ => {
            let text = (!message.text.is_empty()).then(|| written(&message.text));
            let file = message.file.as_ref().map(|file| files::shown(app, message.id, file));
            (text, file).into_any()
        }
    };
    html::article()
        .class(class)
        .child((
            side(author, is_head, time),
            html::div().class("message-body").child((
                if is_head { head(author, time) } else { by(author, time) },
                content,
                progress(app, message, own),
            )),
            deeds(app, message, own),
        ))
        .into_any()
}

/// Whose it is and when, for whoever does not see the one above.
fn by(author: Option<&UserName>, time: &str) -> AnyView {
    let author = author.map(ToString::to_string).unwrap_or_default();
    html::span().class("unseen-by-eyes").child(format!("{author}, {time}: ")).into_any()
}

fn unreadable(reason: &str) -> AnyView {
    html::p()
        .class("unreadable")
        .child((icon(Icon::Warning), html::span().child(format!("This cannot be shown. {}", sentence(reason)))))
        .into_any()
}

fn state(words: &'static str, drawing: Icon) -> AnyView {
    html::span().class("state").child((icon(drawing), html::span().child(words))).into_any()
}

/// The same as a drawing beside the message, so that nothing moves while it goes its way.
fn mark(words: &'static str, meaning: &'static str, drawing: Icon) -> AnyView {
    html::span()
        .class("state mark")
        .attr("title", meaning)
        .child((icon(drawing), html::span().class("unseen-by-eyes").child(words)))
        .into_any()
}

/// How far one's own message has come.
fn progress(app: App, message: &Message, own: bool) -> AnyView {
    match &message.status {
        Status::Pending => mark("Sending", "Sending", Icon::Waiting),
        Status::Waiting => state("On your server. Theirs cannot be reached yet.", Icon::Waiting),
        Status::Sent { .. } if own => mark("Sent", "On the server", Icon::Tick),
        Status::Failed { reason, code } => failed(app, message, reason, code.as_deref()),
        _ => ().into_any(),
    }
}

fn failed(app: App, message: &Message, reason: &str, code: Option<&str>) -> AnyView {
    let id = message.id;
    // A changed key is settled first; to try again before would fail again.
    let retry = (code != Some(KEY_CHANGED)).then(|| button("small", "Retry", move || app.ask(Ask::Retry(id), |_| ())));
    html::div()
        .class("failed")
        .child((
            icon(Icon::Warning),
            html::span().child(format!("Not sent. {}", sentence(reason))),
            retry,
            button("small", "Discard", move || app.ask(Ask::Discard(id), |_| ())),
        ))
        .into_any()
}

/// A window before a message is deleted.
pub fn erase(app: App, id: MessageId) -> AnyView {
    let text = "It is taken from every server and every device that hears of it. Who has read it may have kept it.";
    let go = move || app.ask(Ask::Erase { message: id, once: browser::once() }, |_| ());
    sure("Delete for everybody?", text, "Delete", "Keep it", move || app.overlay.set(None), go)
}

/// What can be done with a message: there when somebody points at it, or has the keyboard in it.
fn deeds(app: App, message: &Message, own: bool) -> AnyView {
    let id = message.id;
    let text = message.text.clone();
    let copy = (!text.is_empty()).then(|| {
        icon_button("", Icon::Copy, "Copy text", move || {
            let text = text.clone();
            spawn_local(async move { app.say(if browser::copy(&text).await { "Copied." } else { "The browser did not allow copying." }) });
        })
    });
    let erase = (own && matches!(message.status, Status::Sent { .. } | Status::Received)).then(|| {
        icon_button("", Icon::Trash, "Delete for everybody", move || {
            app.overlay.set(Some(Overlay::Erase(id)));
        })
    });
    html::div().class("deeds").child((copy, erase)).into_any()
}

fn event(message: &Message, time: &str) -> AnyView {
    let author = message.author.as_ref().map_or("Somebody".into(), ToString::to_string);
    let words = message.event.as_ref().map(|event| happened(&author, event)).unwrap_or_default();
    let failed = match &message.status {
        Status::Failed { reason, .. } => Some(html::span().class("danger").child(format!(" Not done. {}", sentence(reason)))),
        _ => None,
    };
    html::p().class("event").attr("title", time.to_owned()).child((html::bdi().child(words), failed)).into_any()
}

/// What was done to a group, as a sentence.
fn happened(author: &str, event: &Event) -> String {
    match event {
        Event::Created => format!("{author} made the group."),
        Event::Invited { user, role: Role::Member } => format!("{author} invited {user}."),
        Event::Invited { user, role } => format!("{author} invited {user} as {}.", a_role(*role)),
        Event::Joined => format!("{author} joined."),
        Event::Left => format!("{author} left."),
        Event::Removed { user } => format!("{author} removed {user}."),
        Event::Role { user, role } => format!("{author} made {user} {}.", a_role(*role)),
        Event::Titled { title } => format!("{author} called the group “{}”.", visible_line(title)),
        Event::Erased => format!("{author} deleted a message."),
    }
}

/// What somebody may do, in a word.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "Owner",
        Role::Admin => "Admin",
        Role::Member => "Member",
    }
}

/// The same in a sentence.
fn a_role(role: Role) -> &'static str {
    match role {
        Role::Owner => "an owner",
        Role::Admin => "an admin",
        Role::Member => "a member",
    }
}
