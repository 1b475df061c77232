//! Going anywhere by typing, and the map of keys.

use super::app::{App, Overlay};
use super::parts::{Icon, dialog, face, icon, target_face};
use super::{browser, rooms};
use crate::find;
use crate::place::Place;
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use leptos::web_sys;
use tidings_proto::UserName;
use tidings_view::Target;

/// How many are offered at once.
const MOST: usize = 12;

/// Somewhere to go, or something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    Room(Target, String),
    Person(UserName),
    Command(Command),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    NewGroup,
    NewTalk,
    Settings,
    Shortcuts,
    Panel,
}

const COMMANDS: [Command; 5] = [Command::NewTalk, Command::NewGroup, Command::Settings, Command::Shortcuts, Command::Panel];

impl Command {
    fn name(self) -> &'static str {
        match self {
            Command::NewGroup => "New group",
            Command::NewTalk => "New private chat",
            Command::Settings => "Settings",
            Command::Shortcuts => "Keyboard shortcuts",
            Command::Panel => "Show or hide people",
        }
    }

    fn drawing(self) -> Icon {
        match self {
            Command::NewGroup => Icon::GroupNew,
            Command::NewTalk => Icon::Chat,
            Command::Settings => Icon::Settings,
            Command::Shortcuts => Icon::Keyboard,
            Command::Panel => Icon::People,
        }
    }

    fn run(self, app: App) {
        app.overlay.set(None);
        match self {
            Command::NewGroup => app.overlay.set(Some(Overlay::NewGroup)),
            Command::NewTalk => app.overlay.set(Some(Overlay::NewTalk)),
            Command::Settings => app.go(Place::Settings),
            Command::Shortcuts => app.overlay.set(Some(Overlay::Shortcuts)),
            Command::Panel => app.panel.update(|shown| *shown = !*shown),
        }
    }
}

impl Choice {
    fn name(&self) -> String {
        match self {
            Choice::Room(_, title) => title.clone(),
            Choice::Person(user) => user.to_string(),
            Choice::Command(command) => command.name().into(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Choice::Room(Target::Direct { .. }, _) => "Private chat",
            Choice::Room(Target::Group { .. }, _) => "Group",
            Choice::Room(Target::Public, _) => "Everybody",
            Choice::Person(_) => "Person",
            Choice::Command(_) => "Command",
        }
    }

    fn run(self, app: App) {
        match self {
            Choice::Room(target, _) => app.go(Place::Talk(target)),
            Choice::Person(user) => app.go(Place::Talk(Target::Direct { user })),
            Choice::Command(command) => command.run(app),
        }
    }
}

/// What there is, without what is typed.
fn all(app: App) -> Vec<Choice> {
    let rooms =
        app.rooms.with(|rooms| rooms.iter().map(|line| Choice::Room(line.room.target.clone(), rooms::title(line))).collect::<Vec<_>>());
    let known: std::collections::HashSet<UserName> = rooms
        .iter()
        .filter_map(|choice| match choice {
            Choice::Room(Target::Direct { user }, _) => Some(user.clone()),
            _ => None,
        })
        .collect();
    let people =
        app.people.with(|people| people.iter().map(|person| person.user.clone()).filter(|user| !known.contains(user)).collect::<Vec<_>>());
    rooms.into_iter().chain(people.into_iter().map(Choice::Person)).chain(COMMANDS.map(Choice::Command)).collect()
}

/// A window in which one types where to go.
pub fn switcher(app: App) -> AnyView {
    let typed = RwSignal::new(String::new());
    let at = RwSignal::new(0_usize);
    let choices = Memo::new(move |_| find::best(&typed.get(), all(app), Choice::name, MOST));
    let node = NodeRef::<html::Input>::new();
    node.on_load(|input: web_sys::HtmlInputElement| browser::on_frame(move || browser::after(0, move || drop(input.focus()))));
    let run = move |at: usize| {
        if let Some(choice) = choices.get_untracked().into_iter().nth(at) {
            choice.run(app);
        }
    };
    let input = html::input()
        .attr("type", "text")
        .attr("class", "filter")
        .attr("role", "combobox")
        .attr("aria-label", "Go to")
        .attr("aria-expanded", "true")
        .attr("aria-controls", "choices")
        .attr("aria-activedescendant", move || format!("choice-{}", at.get()))
        .attr("autocomplete", "off")
        .attr("placeholder", "Conversation, person or command")
        .node_ref(node)
        .on(ev::input, move |event| {
            typed.set(event_target_value(&event));
            at.set(0);
        })
        .on(ev::keydown, move |event| {
            let most = choices.with_untracked(Vec::len).max(1);
            match event.key().as_str() {
                "ArrowDown" => at.update(|at| *at = (*at + 1) % most),
                "ArrowUp" => at.update(|at| *at = (*at + most - 1) % most),
                "Enter" if !event.is_composing() => run(at.get_untracked()),
                _ => return,
            }
            event.prevent_default();
        });
    let rows = move || choices.get().into_iter().enumerate().map(|(place, choice)| option(choice, place, at, run)).collect_view();
    let list = html::ul().class("choices").attr("id", "choices").attr("role", "listbox").attr("aria-label", "Where to").child(rows);
    let none = move || choices.with(Vec::is_empty).then(|| html::p().class("hint").child("Nothing has that name."));
    dialog("Go to", "switcher", move || app.overlay.set(None), (input, list, none).into_any())
}

fn option(choice: Choice, place: usize, at: RwSignal<usize>, run: impl Fn(usize) + 'static) -> AnyView {
    let picture = match &choice {
        Choice::Room(target, _) => target_face(target),
        Choice::Person(user) => face(&user.to_string()),
        Choice::Command(command) => {
            html::span().class("face command").attr("aria-hidden", "true").child(icon(command.drawing())).into_any()
        }
    };
    html::li()
        .attr("id", format!("choice-{place}"))
        .attr("role", "option")
        .attr("aria-selected", move || if at.get() == place { "true" } else { "false" })
        .on(ev::click, move |_| run(place))
        .child((picture, html::bdi().class("user-name").child(choice.name()), html::span().class("sub").child(choice.kind())))
        .into_any()
}

/// Which keys do what.
const KEYS: [(&str, &[&str]); 9] = [
    ("Go anywhere", &["Ctrl", "K"]),
    ("The conversation below or above", &["Alt", "↓ ↑"]),
    ("Show or hide the people", &["Ctrl", "Shift", "I"]),
    ("Send", &["Enter"]),
    ("A new line", &["Shift", "Enter"]),
    ("From message to message", &["↓ ↑"]),
    ("To the newest message", &["End"]),
    ("Close a window", &["Esc"]),
    ("These shortcuts", &["?"]),
];

/// The map of keys.
pub fn shortcuts(app: App) -> AnyView {
    let row = |(what, keys): &(&'static str, &'static [&'static str])| {
        let keys = keys.iter().map(|key| html::kbd().child(*key)).collect_view();
        html::tr().child((html::th().attr("scope", "row").child(*what), html::td().child(keys)))
    };
    let table = html::table().class("keys").child(html::tbody().child(KEYS.iter().map(row).collect_view()));
    dialog("Keyboard shortcuts", "", move || app.overlay.set(None), table.into_any())
}
