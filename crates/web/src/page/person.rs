//! One person: what is known, the safety number, and what can be done.

use super::app::App;
use super::parts::{Icon, button, dialog, face, icon, user_name};
use super::{people, rooms};
use crate::place::Place;
use leptos::html;
use leptos::prelude::*;
use leptos::svg;
use qrcode::{Color, EcLevel, QrCode};
use tidings_proto::UserName;
use tidings_view::ask::{Answer, Ask};
use tidings_view::plain::sentence;
use tidings_view::{Comparison, Person, Target, Trust};

/// The column beside a private chat.
pub fn panel(app: App, user: UserName) -> AnyView {
    html::aside()
        .class("right")
        .attr("aria-label", "About this person")
        .child((people::head(app, "About"), card(app, user, false)))
        .into_any()
}

/// A window about somebody.
pub fn window(app: App, user: UserName) -> AnyView {
    dialog("Person", "", move || app.overlay.set(None), card(app, user, true))
}

/// A window for two people who compare.
pub fn compare(app: App, user: UserName) -> AnyView {
    let this = user.clone();
    let person = Memo::new(move |_| app.person(&this));
    let name = html::div().class("about-head").child((face(&user.to_string()), user_name(&user)));
    let content = html::div().class("about").child((name, comparing(app, user, person, false)));
    dialog("Safety number", "", move || app.overlay.set(None), content.into_any())
}

fn card(app: App, user: UserName, in_window: bool) -> AnyView {
    let this = user.clone();
    let person = Memo::new(move |_| app.person(&this));
    let this = user.clone();
    let known = move || person.get().map(|person| known(app, person, in_window));
    let is_me = app.me().as_ref() == Some(&user);
    let comparing = (!is_me).then(|| comparing(app, user.clone(), person, true));
    let chat = Target::Direct { user: this };
    let is_there = app.place.with_untracked(|place| *place == Place::Talk(chat.clone()));
    let chat = (in_window && !is_there).then(|| {
        let target = chat;
        let label = if is_me { "Notes to yourself" } else { "Private chat" };
        button("primary", label, move || app.go(Place::Talk(target.clone())))
    });
    html::div()
        .class("about")
        .child((html::div().class("about-head").child((face(&user.to_string()), user_name(&user))), chat, known, comparing))
        .into_any()
}

/// Beside a conversation the alarm is in the conversation.
fn known(app: App, person: Person, with_alarm: bool) -> AnyView {
    let (mark, words) = if person.closed { (Icon::Warning, "Account closed") } else { people::trust(person.trust) };
    let row = |term: &'static str, content: AnyView| (html::dt().child(term), html::dd().child(content));
    let fingerprint = person.fingerprint.clone().unwrap_or_else(|| "None yet".into());
    let user = person.user.clone();
    let alarm = (with_alarm && person.trust == Trust::Changed && !person.closed).then(|| {
        let accept = move || app.ask(Ask::AcceptKey(user.clone()), |_| ());
        let advice = "Ask by another way, such as a call, and compare the safety number before you accept the new key.";
        let answer = (html::p().child(advice), html::div().class("row").child(button("plain danger", "Accept the new key", accept)));
        html::div().class("answer alarm").attr("role", "alert").child((
            html::p().child((icon(Icon::Warning), html::strong().child("This key has changed."))),
            person.alarm.as_deref().map(|alarm| html::p().child(sentence(alarm))),
            person.can_accept.then_some(answer),
        ))
    });
    let warning = person.warning.as_deref().map(|warning| {
        html::div().class("answer alarm").attr("role", "status").child(html::p().child((icon(Icon::Warning), sentence(warning))))
    });
    (
        alarm,
        warning,
        html::dl().child((
            row("State", rooms::online(person.online).into_any()),
            row("Server", person.user.server().to_string().into_any()),
            row("Key", (icon(mark), format!(" {words}")).into_any()),
            row("Fingerprint", html::code().class("fingerprint").child(fingerprint).into_any()),
            row("Devices", person.devices.to_string().into_any()),
        )),
        person.jwk.map(|jwk| {
            html::details().child((html::summary().child("Public keys (JWK)"), html::pre().class("jwk").attr("tabindex", "0").child(jwk)))
        }),
    )
        .into_any()
}

/// The safety number, which two people compare by any way that they trust; below what else is known, or in a window of its own.
fn comparing(app: App, user: UserName, person: Memo<Option<Person>>, is_below: bool) -> AnyView {
    let comparison = RwSignal::new(None::<Comparison>);
    let this = user.clone();
    Effect::new(move |_| {
        // Another key, another number.
        person.track();
        app.submit(Ask::Compare(this.clone()), move |answer| {
            if let Ok(Answer::Comparison(answer)) = answer {
                comparison.try_set(Some(answer));
            }
        });
    });
    (move || {
        comparison.get().map(|comparison| {
            let user = comparison.user.clone();
            let verified = comparison.verified;
            let is_new = move || person.with_untracked(|person| person.as_ref().is_some_and(|person| person.can_accept)) && !verified;
            let same = if is_new() { "It is the same: accept it" } else { "It is the same" };
            let set = move || {
                let (user, verify) = (user.clone(), Ask::SetVerified { user: user.clone(), verified: !verified });
                let verify = move |_| app.ask(verify, |_| ());
                // Who has compared a new key has nothing left to ask before it is accepted.
                if is_new() { app.ask(Ask::AcceptKey(user), verify) } else { verify(Answer::Done) }
            };
            let groups = comparison.number.split_whitespace().map(|group| html::span().child(group.to_owned())).collect_view();
            html::section().class(if is_below { "compare below-others" } else { "compare" }).attr("aria-label", "Safety number").child((
                is_below.then(|| html::h3().child("Safety number")),
                html::p().class("sub").child(format!(
                    "Compare it with what {} sees, side by side or in a call. If it is the same, nobody stands between you.",
                    comparison.user
                )),
                html::div().class("number-frame").child((html::p().class("number").child(groups), qr(&comparison.number))),
                verified.then(|| html::p().class("good").child((icon(Icon::Shield), " Compared and verified"))),
                button(if verified { "plain" } else { "primary" }, if verified { "Take that back" } else { same }, set),
            ))
        })
    })
    .into_any()
}

/// The number's digits as a QR code, drawn here: one path.
fn qr(number: &str) -> AnyView {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let Ok(code) = QrCode::with_error_correction_level(digits.as_bytes(), EcLevel::M) else { return ().into_any() };
    let width = code.width();
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, colour)| *colour == Color::Dark);
    let path: String = dark.map(|(at, _)| format!("M{} {}h1v1h-1z", at % width, at / width)).collect();
    svg::svg()
        .attr("class", "qr")
        .attr("viewBox", format!("-4 -4 {0} {0}", width + 8))
        .attr("role", "img")
        .attr("aria-label", "The safety number as a QR code")
        .attr("shape-rendering", "crispEdges")
        .child(svg::path().attr("d", path))
        .into_any()
}
