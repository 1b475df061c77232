//! Groups: who is in, what they may do, and making one.

use super::app::{App, Overlay, set_if_other};
use super::message::role_name;
use super::parts::{Field, Icon, button, dialog, disclosure, each, face, icon, sure, trouble, user_name, value};
use super::{browser, core, people};
use crate::place::Place;
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use tidings_proto::UserName;
use tidings_view::ask::{Answer, Ask, Deed, RoomLine};
use tidings_view::plain::visible_line;
use tidings_view::{Member, Part, Role, Target};
use wasm_bindgen_futures::spawn_local;

/// The column beside a group.
pub fn panel(app: App, target: Target) -> AnyView {
    let members = RwSignal::new(Vec::<Member>::new());
    let this = target.clone();
    Effect::new(move |_| {
        app.changed.track();
        let ask = Ask::Members(this.clone());
        spawn_local(async move {
            if let Ok(Answer::Members(answer)) = core::ask(ask).await
                && !members.is_disposed()
            {
                set_if_other(members, answer);
            }
        });
    });
    let this = target.clone();
    let line = Memo::new(move |_| app.line(&this));
    let this = target.clone();
    // What one may do with a member goes with one's own role.
    let all = move || {
        let role = line.get().and_then(|line| line.room.role);
        members.get().into_iter().map(|member| (member, role)).collect::<Vec<_>>()
    };
    let rows = each(all, move |(member, role)| item(app, this.clone(), member, role));
    let what = move || line.get().map(|line| deeds(app, line));
    html::aside()
        .class("right")
        .attr("aria-label", "Members")
        .child((
            people::head(app, "Members"),
            html::div().class("people-list").child((what, html::ul().class("people").attr("role", "list").child(rows))),
        ))
        .into_any()
}

fn may_manage(role: Option<Role>) -> bool {
    matches!(role, Some(Role::Owner | Role::Admin))
}

/// What one can do with the group.
fn deeds(app: App, line: RoomLine) -> AnyView {
    if line.room.part != Part::In {
        return ().into_any();
    }
    let (target, title) = (line.room.target, line.room.title);
    let (inviting, naming, leaving) = (target.clone(), target.clone(), target);
    let manage = may_manage(line.room.role);
    let invite = manage.then(|| button("primary", "Invite", move || app.overlay.set(Some(Overlay::Invite(inviting.clone())))));
    let rename = manage.then(|| button("plain", "Rename", move || app.overlay.set(Some(Overlay::Title(naming.clone(), title.clone())))));
    let leave = button("plain danger", "Leave", move || app.overlay.set(Some(Overlay::Leave(leaving.clone()))));
    html::div().class("row deeds-of-group").child((invite, rename, leave)).into_any()
}

fn item(app: App, target: Target, member: Member, mine: Option<Role>) -> AnyView {
    let is_me = app.me().as_ref() == Some(&member.user);
    let (mark, words) = people::trust(member.trust);
    let user = member.user.clone();
    let opened = user.clone();
    let state = if member.joined { role_name(member.role) } else { "Invited" };
    let manage = (!is_me && may_manage(mine)).then(|| manage(app, target, member.clone(), mine));
    html::li()
        .class("member")
        .child((
            html::button()
                .attr("type", "button")
                .class("person")
                .on(ev::click, move |_| app.overlay.set(Some(Overlay::Person(opened.clone()))))
                .child((
                    html::span().class(people::presence(member.online)).child(face(&user.to_string())),
                    html::span().class("person-text").child((
                        html::span().class("line").child((user_name(&user), is_me.then(|| html::span().class("tag").child("you")))),
                        html::span().class("line sub").child(state),
                    )),
                    html::span()
                        .class(format!("trust {}", people::trust_class(member.trust)))
                        .attr("title", words)
                        .child((icon(mark), html::span().class("unseen-by-eyes").child(words))),
                )),
            manage,
        ))
        .into_any()
}

/// What one can do with a member: another role, out.
fn manage(app: App, target: Target, member: Member, mine: Option<Role>) -> AnyView {
    let user = member.user.clone();
    let to = |role: Role, label: &'static str| {
        let (target, user) = (target.clone(), user.clone());
        let can = mine == Some(Role::Owner) && member.joined && member.role != role;
        can.then(|| button("plain", label, move || app.deed(&target, Deed::SetRole { user: user.clone(), role }, |_| ())))
    };
    let roles = (to(Role::Owner, "Make owner"), to(Role::Admin, "Make admin"), to(Role::Member, "Make member"));
    let (from, whom) = (target.clone(), user.clone());
    let remove = (mine == Some(Role::Owner) || member.role == Role::Member).then(|| {
        let label = if member.joined { "Remove from the group" } else { "Take back the invitation" };
        button("plain danger", label, move || app.deed(&from, Deed::Remove(whom.clone()), |_| ()))
    });
    let summary = html::summary().attr("aria-label", format!("Manage {user}")).attr("title", "Manage").child(icon(Icon::More));
    disclosure("manage", summary.into_any(), (roles, remove).into_any())
}

/// A window with one field and a button.
fn one_field(
    app: App,
    title: &'static str,
    field: Field,
    more: Option<AnyView>,
    label: &'static str,
    send: impl Fn(String) -> Option<&'static str> + 'static,
) -> AnyView {
    let (field, node) = Field { first: true, ..field }.build();
    let wrong = RwSignal::new(None::<String>);
    let form = html::form()
        .class("form")
        .on(ev::submit, move |event| {
            event.prevent_default();
            wrong.set(send(value(node).trim().to_owned()).map(str::to_owned));
        })
        .child((field, more, trouble(wrong), html::button().attr("type", "submit").class("primary").child(label)))
        .into_any();
    dialog(title, "small", move || app.overlay.set(None), form)
}

/// Whether a text can be a group's title.
fn title_trouble(title: &str) -> Option<&'static str> {
    match title.len() {
        0 => Some("Give the group a name."),
        1..=tidings_proto::limits::TITLE => None,
        _ => Some("That name is too long. Use a shorter one."),
    }
}

/// A window to make a group.
pub fn make(app: App) -> AnyView {
    let (once, classic) = (browser::once(), RwSignal::new(false));
    let choice = html::label().class("check").child((
        html::input().attr("type", "checkbox").on(ev::change, move |_| classic.update(|classic| *classic = !*classic)),
        html::span().child("Classic RSA instead of MLS. Whoever gets a member’s key later can read the stored messages. It stays so."),
    ));
    one_field(app, "New group", Field::new("Name of the group"), Some(choice.into_any()), "Make the group", move |title| {
        let wrong = title_trouble(&title);
        if wrong.is_none() {
            app.ask(Ask::CreateGroup { title, classic: classic.get_untracked(), once: once.clone() }, move |answer| {
                if let Answer::Group(target) = answer {
                    app.go(Place::Talk(target));
                    app.panel.set(browser::is_wide());
                }
            });
        }
        wrong
    })
}

/// A window to give a group another name.
pub fn retitle(app: App, target: Target, title: String) -> AnyView {
    one_field(app, "Rename the group", Field { value: title, ..Field::new("Name of the group") }, None, "Rename", move |title| {
        let wrong = title_trouble(&title);
        if wrong.is_none() {
            app.deed(&target, Deed::SetTitle(title), |_| ());
            app.overlay.set(None);
        }
        wrong
    })
}

/// A window to ask somebody in.
pub fn invite(app: App, target: Target) -> AnyView {
    let pick = move |user: UserName| {
        let said = format!("{user} is invited.");
        app.deed(&target, Deed::Invite { user, role: Role::Member }, move |_| app.say(said));
        app.overlay.set(None);
    };
    dialog("Invite to the group", "", move || app.overlay.set(None), people::list(app, pick, "Filter people to invite"))
}

/// A window before one leaves.
pub fn leave(app: App, target: Target) -> AnyView {
    let title =
        app.rooms.with_untracked(|rooms| rooms.iter().find(|line| line.room.target == target).map(|line| visible_line(&line.room.title)));
    let text = format!("You will read nothing more in “{}”. To come back, somebody has to invite you again.", title.unwrap_or_default());
    let go = move || app.deed(&target, Deed::Leave, |_| ());
    sure("Leave the group?", &text, "Leave the group", "Stay", move || app.overlay.set(None), go)
}
