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
use tidings_view::plain::visible_line;
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

fn card(app: App, user: UserName, in_window: bool) -> AnyView {
    let this = user.clone();
    let person = Memo::new(move |_| app.person(&this));
    let this = user.clone();
    let known = move || person.get().map(|person| known(app, person, in_window));
    let is_me = app.me().as_ref() == Some(&user);
    let comparing = (!is_me).then(|| comparing(app, user.clone(), person));
    let chat = in_window.then(|| {
        let target = Target::Direct { user: this };
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
    let (mark, words) = people::trust(person.trust);
    let row = |term: &'static str, content: AnyView| (html::dt().child(term), html::dd().child(content));
    let fingerprint = person.fingerprint.clone().unwrap_or_else(|| "None yet".into());
    let user = person.user.clone();
    let alarm = (with_alarm && person.trust == Trust::Changed).then(|| {
        html::div().class("answer alarm").attr("role", "alert").child((
            html::p().child(visible_line(person.alarm.as_deref().unwrap_or("This person's key has changed."))),
            html::p().child("Ask by another way, such as a call, before you accept the new key."),
            button("plain danger", "Accept the new key", move || app.ask(Ask::AcceptKey(user.clone()), |_| ())),
        ))
    });
    (
        alarm,
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

/// The safety number, which two people compare by any way that they trust.
fn comparing(app: App, user: UserName, person: Memo<Option<Person>>) -> AnyView {
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
            let set = move || {
                let user = user.clone();
                app.ask(Ask::SetVerified { user, verified: !verified }, |_| ());
            };
            let groups = comparison.number.split_whitespace().map(|group| html::span().child(group.to_owned())).collect_view();
            html::section().class("compare").attr("aria-label", "Safety number").child((
                html::h3().child("Safety number"),
                html::p().class("sub").child(format!(
                    "Compare it with what {} sees: side by side, or in a call. If it is the same, nobody stands between you.",
                    comparison.user
                )),
                html::p().class("number").child(groups),
                qr(&comparison.number),
                verified.then(|| html::p().class("good").child((icon(Icon::Shield), " Compared and verified"))),
                button(if verified { "plain" } else { "primary" }, if verified { "Take that back" } else { "It is the same" }, set),
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
