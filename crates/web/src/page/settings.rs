//! One's account and this client: devices, password, notifications, what happened to keys, logging out.

use super::account::LEAVING;
use super::app::{App, Overlay, set_if_other};
use super::parts::{Field, Icon, anew, button, each, face, icon_button, trouble, user_name, value};
use super::{browser, core, notify};
use crate::clock::Local;
use crate::place::Place;
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use tidings_view::ask::{Answer, Ask};
use tidings_view::plain::{sentence, visible_line};
use tidings_view::{Device, Notice};
use wasm_bindgen_futures::spawn_local;

/// The page.
pub fn page(app: App) -> AnyView {
    let head = html::header().class("talk-head").child((
        icon_button("back", Icon::Back, "Back to the conversations", move || app.go(Place::Home)),
        html::div().class("talk-title").child(html::h1().child("Settings")),
    ));
    html::main()
        .class("middle settings")
        .child((
            head,
            html::div().class("sections").child((account(app), devices(app), password(app), notifications(app), notices(app), leave(app))),
        ))
        .into_any()
}

fn section(title: &'static str, content: AnyView) -> AnyView {
    html::section().attr("aria-label", title).child((html::h2().child(title), content)).into_any()
}

fn account(app: App) -> AnyView {
    let standing = Memo::new(move |_| app.standing.get());
    let content = move || {
        let standing = standing.get()?;
        let me = standing.me?;
        let pinned = if standing.pinned {
            "This client was started on your own computer, with your server’s key: the server cannot change its code or see your password."
        } else {
            "In a browser, the server delivers this client’s code, and you rely on it not to change that. “tidings client” on your own computer does not have that weakness."
        };
        Some((
            html::div().class("about-head").child((face(&me.to_string()), user_name(&me))),
            html::p().child((
                "Fingerprint of your key: ",
                html::code().class("fingerprint").child(standing.fingerprint.unwrap_or_else(|| "none yet".into())),
            )),
            html::p().class("sub").child(pinned),
        ))
    };
    section("Account", content.into_any())
}

fn devices(app: App) -> AnyView {
    let devices = RwSignal::new(Vec::<Device>::new());
    Effect::new(move |_| {
        app.changed.track();
        spawn_local(async move {
            if let Ok(Answer::Devices(answer)) = core::ask(Ask::Devices).await
                && !devices.is_disposed()
            {
                set_if_other(devices, answer);
            }
        });
    });
    let rows = each(move || devices.get(), move |one| device(app, one));
    section("Devices", html::ul().class("devices").attr("role", "list").child(rows).into_any())
}

fn device(app: App, device: Device) -> AnyView {
    let name = device.name.as_deref().map_or_else(|| "Without a name".into(), visible_line);
    let asking = RwSignal::new(None::<Asking>);
    let (this, key) = (device.this, device.key.clone());
    let short: String = device.key.chars().take(12).collect();
    let shown = name.clone();
    let form = anew(
        move || asking.get(),
        move |what| match what {
            None => ().into_any(),
            Some(Asking::Name) => rename(app, key.clone(), shown.clone(), asking),
            Some(Asking::Revoke) => revoke(app, key.clone(), asking),
        },
    );
    let off = (!this).then(|| button("small danger", "Remove", move || asking.set(Some(Asking::Revoke))));
    html::li()
        .class("device")
        .child((
            html::div().class("line").child((
                html::span().class("person-text").child((
                    html::span()
                        .class("line")
                        .child((html::bdi().class("user-name").child(name), this.then(|| html::span().class("tag").child("this device")))),
                    html::code().class("sub").child(short),
                )),
                button("small", "Rename", move || asking.set(Some(Asking::Name))),
                off,
            )),
            form,
        ))
        .into_any()
}

/// What is being asked about a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    Name,
    Revoke,
}

/// A small form that says what is wrong, and closes when it is done.
fn small_form(
    fields: AnyView,
    label: &'static str,
    wrong: RwSignal<Option<String>>,
    asking: RwSignal<Option<Asking>>,
    send: impl Fn() + 'static,
) -> AnyView {
    html::form()
        .class("form inline")
        .on(ev::submit, move |event| {
            event.prevent_default();
            send();
        })
        .child((
            fields,
            trouble(wrong),
            html::div().class("row").child((
                html::button().attr("type", "submit").class("primary").child(label),
                button("plain", "Cancel", move || asking.set(None)),
            )),
        ))
        .into_any()
}

fn rename(app: App, device: String, name: String, asking: RwSignal<Option<Asking>>) -> AnyView {
    let (field, node) = Field { value: name, first: true, ..Field::new("Device name") }.build();
    let wrong = RwSignal::new(None);
    small_form(field, "Rename the device", wrong, asking, move || {
        app.submit(Ask::NameDevice { device: device.clone(), name: value(node) }, move |answer| match answer {
            Ok(_) => asking.set(None),
            Err(trouble) => wrong.set(Some(trouble.text)),
        });
    })
}

fn revoke(app: App, device: String, asking: RwSignal<Option<Asking>>) -> AnyView {
    let hint = "From then on the device reads nothing more. Your account gets new keys, and new recovery words to write down.";
    let (field, node) = Field { hint, first: true, ..Field::password("Your password", "current-password") }.build();
    let wrong = RwSignal::new(None);
    small_form(field, "Remove the device", wrong, asking, move || {
        app.submit(Ask::Revoke { device: device.clone(), password: value(node) }, move |answer| match answer {
            Ok(Answer::Words(words)) => app.words.set(Some(words)),
            Ok(_) => asking.set(None),
            Err(trouble) => wrong.set(Some(trouble.text)),
        });
    })
}

fn password(app: App) -> AnyView {
    let (old, old_node) = Field::password("Current password", "current-password").build();
    let (new, new_node) = Field::password("New password", "new-password").build();
    let (again, again_node) = Field::password("New password again", "new-password").build();
    let wrong = RwSignal::new(None::<String>);
    let send = move || {
        let new = value(new_node);
        if new.is_empty() || new != value(again_node) {
            return wrong.set(Some("Type the new password twice, the same each time.".into()));
        }
        wrong.set(None);
        app.submit(Ask::ChangePassword { old: value(old_node), new }, move |answer| match answer {
            Ok(_) => {
                for node in [old_node, new_node, again_node] {
                    if let Some(input) = node.get_untracked() {
                        input.set_value("");
                    }
                }
                app.say("The password is changed.");
            }
            Err(trouble) => wrong.set(Some(trouble.text)),
        });
    };
    let form = html::form()
        .class("form narrow")
        .on(ev::submit, move |event| {
            event.prevent_default();
            send();
        })
        .child((old, new, again, trouble(wrong), html::button().attr("type", "submit").class("primary").child("Change the password")));
    section("Password", form.into_any())
}

fn notifications(app: App) -> AnyView {
    let on = RwSignal::new(notify::is_on());
    let toggle = move |_| {
        if on.get_untracked() {
            notify::turn_off();
            return on.set(false);
        }
        spawn_local(async move {
            let allowed = notify::turn_on().await;
            on.try_set(allowed);
            if !allowed {
                app.say("The browser does not allow notifications from this page. Allow them in its settings first.");
            }
        });
    };
    let content = html::label().class("check").child((
        html::input().attr("type", "checkbox").prop("checked", on).on(ev::change, toggle),
        html::span().child("Notify me of new messages while I look elsewhere. Only the conversation's name is shown."),
    ));
    section("Notifications", content.into_any())
}

fn notices(app: App) -> AnyView {
    let rows = move || {
        let mut all = app.notices.get();
        all.reverse();
        if all.is_empty() {
            return html::p().class("sub").child("Nothing has happened to anybody’s keys.").into_any();
        }
        html::ul().class("notices").attr("role", "list").child(all.into_iter().map(notice).collect_view()).into_any()
    };
    section("What happened to keys", rows.into_any())
}

fn notice(notice: Notice) -> AnyView {
    let now = Local::new(browser::now(), browser::ahead(browser::now()));
    let when = Local::new(notice.at, browser::ahead(notice.at)).short(now);
    html::li()
        .child((
            html::time().class("when").child(when),
            html::strong().child(notice.user.to_string()),
            html::p().child(sentence(&notice.text)),
        ))
        .into_any()
}

fn leave(app: App) -> AnyView {
    let content = (html::p().child(LEAVING), button("plain danger", "Log out", move || app.overlay.set(Some(Overlay::LogOut))));
    section("Log out", content.into_any())
}
