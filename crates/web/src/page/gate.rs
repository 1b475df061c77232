//! Before there is an account here: log in, create one, recover one; and the words that are to be written down.

use super::app::{App, Broken};
use super::browser;
use super::parts::{Field, anew, button, sure, trouble, value};
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use tidings_view::ask::{Answer, Ask, Trouble};
use tidings_view::plain::sentence;

/// Which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    LogIn,
    Create,
    Recover,
}

/// A page with one thing on it.
fn card(title: impl Into<String>, content: AnyView) -> AnyView {
    let brand = html::header().class("brand").child(html::span().class("wordmark").child("Tidings"));
    html::div().class("gate").child((brand, html::main().class("card").child((html::h1().child(title.into()), content)))).into_any()
}

/// Until the core has said who one is.
pub fn opening() -> AnyView {
    card("Opening", html::p().class("calm").attr("role", "status").child("Opening what is stored in this browser…").into_any())
}

/// Where there is nothing to show.
pub fn broken(app: App, why: Broken) -> AnyView {
    let alert = |text: String| html::p().attr("role", "alert").child(text);
    let reload = || button("primary", "Reload", || drop(browser::window().location().reload()));
    match why {
        Broken::Core => {
            let text =
                "The client does not start in this browser, or it has ended several times within a minute. Nothing is lost by reloading.";
            let advice =
                "Use a current version of Chromium, Firefox or Safari, over https, outside a private window. Then reload this page.";
            card("Tidings has stopped here", (alert(text.into()), html::p().child(advice), reload()).into_any())
        }
        Broken::Waiting(text) => {
            let advice = "It is tried again every few seconds. If that does not help, ask whoever runs the server.";
            card("Opening", (alert(text), html::p().class("calm").child(advice), reload()).into_any())
        }
        Broken::Stored(text) => {
            let advice = "If reloading does not help, delete what is stored in this browser and log in again, by your password or your recovery \
                          words. Private messages that only this browser had are gone then; those on your other devices stay.";
            let asking = RwSignal::new(false);
            let delete = button("plain danger", "Delete what is stored in this browser", move || asking.set(true));
            let question = move || {
                let text = "Everything that Tidings has stored in this browser is deleted. This cannot be undone.";
                let go = move || app.ask(Ask::Forget, |_| drop(browser::window().location().reload()));
                asking.get().then(|| sure("Delete everything?", text, "Delete everything", "Keep it", move || asking.set(false), go))
            };
            let buttons = html::div().class("row").child((reload(), delete));
            card("What is stored here cannot be opened", (alert(text), html::p().child(advice), buttons, question).into_any())
        }
    }
}

/// The forms.
pub fn gate(app: App) -> AnyView {
    let invited = app.invitation.with_untracked(Option::is_some);
    let form = RwSignal::new(if invited { Form::Create } else { Form::LogIn });
    anew(
        move || form.get(),
        move |shown| {
            let go = move |to| move || form.set(to);
            let (title, content) = match shown {
                Form::LogIn => ("Log in", log_in(app)),
                Form::Create => ("Create an account", create(app)),
                Form::Recover => ("Recover an account", recover(app)),
            };
            let elsewhere = match shown {
                Form::LogIn => {
                    (button("link", "Create an account", go(Form::Create)), button("link", "Forgot your password?", go(Form::Recover)))
                }
                _ => (button("link", "Log in instead", go(Form::LogIn)), ().into_any()),
            };
            let server = server(app);
            let where_ = html::p().class("calm").child(("On the server ", html::strong().child(server)));
            let elsewhere = html::div().class("elsewhere").child(elsewhere);
            card(title, (where_, link_state(app), content, elsewhere).into_any())
        },
    )
}

fn server(app: App) -> String {
    app.standing.with_untracked(|standing| standing.as_ref().map(|standing| standing.server.to_string()).unwrap_or_default())
}

/// Why it has stopped, or that the server does not answer.
fn link_state(app: App) -> AnyView {
    (move || {
        let stopped = app.standing.with(|standing| standing.as_ref().and_then(|standing| standing.stopped.as_deref().map(sentence)));
        stopped.map(|text| html::p().class("trouble").attr("role", "alert").child(text))
    })
    .into_any()
}

/// What all forms do: one press, then wait, then say what is wrong.
#[derive(Clone, Copy)]
struct Sending {
    app: App,
    busy: RwSignal<bool>,
    trouble: RwSignal<Option<String>>,
}

impl Sending {
    fn new(app: App) -> Sending {
        Sending { app, busy: RwSignal::new(false), trouble: RwSignal::new(None) }
    }

    fn refuse(self, text: &str) {
        self.trouble.set(Some(text.into()));
    }

    fn send(self, ask: Ask) {
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        self.trouble.set(None);
        self.app.submit(ask, move |answer| {
            self.busy.set(false);
            match answer {
                Ok(answer) => {
                    // It was used, or not wanted.
                    self.app.invitation.set(None);
                    if let Answer::Words(words) = answer {
                        self.app.words.set(Some(words));
                    }
                }
                Err(Trouble { text, .. }) => self.trouble.set(Some(text)),
            }
        });
    }

    /// The fields in a form with its button.
    fn form(self, fields: AnyView, label: &'static str, send: impl Fn() + 'static) -> AnyView {
        let submit = html::button()
            .attr("type", "submit")
            .class("primary")
            .attr("aria-busy", move || self.busy.get().then_some("true"))
            .child(move || if self.busy.get() { "One moment…" } else { label });
        html::form()
            .class("form")
            .attr("novalidate", "")
            .on(ev::submit, move |event| {
                event.prevent_default();
                send();
            })
            .child((fields, trouble(self.trouble), submit))
            .into_any()
    }
}

fn name_field(app: App) -> (AnyView, NodeRef<html::Input>) {
    Field { autocomplete: "username", after: format!("@{}", server(app)), first: true, ..Field::new("Name") }.build()
}

fn device_field() -> (AnyView, NodeRef<html::Input>) {
    let hint = "So that you recognise it in the list of your devices.";
    Field { hint, value: "Browser".into(), ..Field::new("Name of this device") }.build()
}

/// The part before the `@`: whoever types the whole name means that too.
fn local(app: App, node: NodeRef<html::Input>) -> String {
    let typed = value(node).trim().to_lowercase();
    typed.strip_suffix(&format!("@{}", server(app))).unwrap_or(&typed).to_owned()
}

fn or_none(text: String) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn log_in(app: App) -> AnyView {
    let sending = Sending::new(app);
    let (name, name_node) = name_field(app);
    let (password, password_node) = Field::password("Password", "current-password").build();
    let (device, device_node) = device_field();
    let send = move || {
        let (local, secret) = (local(app, name_node), value(password_node));
        if local.is_empty() || secret.is_empty() {
            return sending.refuse("Type your name and your password.");
        }
        sending.send(Ask::Login { local, secret, recovery: false, device: or_none(value(device_node)) });
    };
    let more = html::details().child((html::summary().child("This device"), device));
    sending.form((name, password, more).into_any(), "Log in", send)
}

fn create(app: App) -> AnyView {
    let sending = Sending::new(app);
    let registration = app.standing.with_untracked(|standing| standing.as_ref().and_then(|standing| standing.registration.clone()));
    let invited = app.invitation.get_untracked();
    if registration.as_deref() == Some("closed") && invited.is_none() {
        let text = "This server takes no new accounts by itself. Ask whoever runs it to add you; then open the link that you are given.";
        return html::p().child(text).into_any();
    }
    let (takes_code, wants_code) = match registration.as_deref() {
        Some("open") => (invited.is_some(), invited.is_some()),
        // Whoever has none may try without: the server itself says whether it wants one.
        None => (true, invited.is_some()),
        Some(_) => (true, true),
    };
    let hint = match wants_code {
        true => "From the invitation link or claim that you were given.",
        false => "From the invitation link or claim. Leave it empty if you have none: some servers need none.",
    };
    let (code, code_node) = Field { hint, value: invited.unwrap_or_default(), ..Field::new("Invitation code") }.build();
    let (name, name_node) = name_field(app);
    let hint = "Choose a long one that you use nowhere else. It never leaves this browser.";
    let (password, password_node) = Field { hint, ..Field::password("Password", "new-password") }.build();
    let (again, again_node) = Field::password("Password again", "new-password").build();
    let (device, device_node) = device_field();
    let send = move || {
        let (local, password) = (local(app, name_node), value(password_node));
        if local.is_empty() || password.is_empty() {
            return sending.refuse("Choose a name and a password.");
        }
        if password != value(again_node) {
            return sending.refuse("The two passwords are not the same. Type them again.");
        }
        let code = or_none(value(code_node)).filter(|_| takes_code);
        if wants_code && code.is_none() {
            return sending.refuse("This server wants an invitation. Paste the code that you were given.");
        }
        sending.send(Ask::Register { local, password, code, device: or_none(value(device_node)) });
    };
    let code = takes_code.then_some(code);
    let more = html::details().child((html::summary().child("This device"), device));
    sending.form((code, name, password, again, more).into_any(), "Create account", send)
}

fn recover(app: App) -> AnyView {
    let sending = Sending::new(app);
    let (name, name_node) = name_field(app);
    let words_node = NodeRef::<html::Textarea>::new();
    let words = html::div().class("field").child((
        html::label().attr("for", "field-words").child("Recovery words"),
        html::textarea()
            .attr("id", "field-words")
            .attr("rows", "4")
            .attr("autocomplete", "off")
            .attr("autocapitalize", "none")
            .attr("spellcheck", "false")
            .attr("aria-describedby", "field-words-hint")
            .node_ref(words_node),
        html::span()
            .class("hint")
            .attr("id", "field-words-hint")
            .child("The 24 words that you wrote down, in order. They work once: you get new ones."),
    ));
    let (password, password_node) = Field::password("New password", "new-password").build();
    let (again, again_node) = Field::password("New password again", "new-password").build();
    let (device, device_node) = device_field();
    let send = move || {
        let typed = words_node.get_untracked().map(|area| area.value()).unwrap_or_default();
        let words: Vec<String> = typed.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
        let password = value(password_node);
        if words.len() != 24 {
            return sending.refuse(&format!("There are 24 recovery words; these are {}.", words.len()));
        }
        if password.is_empty() || password != value(again_node) {
            return sending.refuse("Type the new password twice, the same each time.");
        }
        let device = or_none(value(device_node));
        sending.send(Ask::Recover { local: local(app, name_node), words: words.join(" "), password, device });
    };
    let more = html::details().child((html::summary().child("This device"), device));
    sending.form((name, words, password, again, more).into_any(), "Set the new password", send)
}

/// The words: shown, and then two of them asked for.
pub fn words(app: App) -> AnyView {
    let shown = app.words.get_untracked();
    let sure = shown.as_ref().is_none_or(|shown| shown.sure);
    let words: Vec<String> = shown.iter().flat_map(|shown| shown.words.split_whitespace()).map(str::to_owned).collect();
    let asking = RwSignal::new(None::<(usize, usize)>);
    let words = StoredValue::new(words);
    anew(
        move || asking.get(),
        move |asked| match asked {
            None => card("Your recovery words", show_words(words, sure, asking)),
            Some(places) => card("Confirm your recovery words", ask_words(app, words, asking, places)),
        },
    )
}

fn show_words(words: StoredValue<Vec<String>>, sure: bool, asking: RwSignal<Option<(usize, usize)>>) -> AnyView {
    let text = "If you forget your password, or lose every device, these words are the only way back. Nobody can give them to you again: \
                write them on paper, in order, and keep it where you keep what matters.";
    let unsure = "A change of your account was cut off before the server had answered. If it was done, these words hold and those before do \
                  not any more; if not, it is the other way round. Keep both.";
    let unsure = (!sure).then(|| html::p().class("trouble").child(unsure));
    let list = words.with_value(|words| words.iter().map(|word| html::li().child(word.clone())).collect_view());
    let go_on = move || {
        let count = words.with_value(Vec::len).max(2);
        let first = (js_sys::Math::random() * (count - 1) as f64) as usize;
        let second = first + 1 + (js_sys::Math::random() * (count - 1 - first) as f64) as usize;
        asking.set(Some((first, second)));
    };
    (
        html::p().child(text),
        unsure,
        html::ol().class("words").attr("aria-label", "Recovery words").child(list),
        button("primary", "I have written them down", go_on),
    )
        .into_any()
}

fn ask_words(app: App, words: StoredValue<Vec<String>>, asking: RwSignal<Option<(usize, usize)>>, places: (usize, usize)) -> AnyView {
    let trouble_text = RwSignal::new(None::<String>);
    let field = |place: usize, first: bool| {
        let node = NodeRef::<html::Input>::new();
        let id = format!("word-{place}");
        let input =
            html::input().attr("id", id.clone()).attr("autocomplete", "off").attr("autocapitalize", "none").attr("spellcheck", "false");
        if first {
            node.on_load(|input: leptos::web_sys::HtmlInputElement| browser::on_frame(move || drop(input.focus())));
        }
        let label = html::label().attr("for", id).child(format!("Word {}", place + 1));
        (html::div().class("field").child((label, input.node_ref(node))), node)
    };
    let ((first, first_node), (second, second_node)) = (field(places.0, true), field(places.1, false));
    let confirm = move || {
        for (place, node) in [(places.0, first_node), (places.1, second_node)] {
            let right = words.with_value(|words| words.get(place).is_some_and(|word| *word == value(node).trim().to_lowercase()));
            if !right {
                return trouble_text.set(Some(format!("That is not word {}. Look at what you wrote down.", place + 1)));
            }
        }
        let confirmed = Ask::WordsConfirmed { words: words.with_value(|words| words.join(" ")) };
        app.submit(confirmed, move |answer| match answer {
            Ok(_) => app.words.set(None),
            Err(Trouble { text, .. }) => trouble_text.set(Some(text)),
        });
    };
    html::form()
        .class("form")
        .on(ev::submit, move |event| {
            event.prevent_default();
            confirm();
        })
        .child((
            html::p().child("Type two of the words from your paper."),
            first,
            second,
            trouble(trouble_text),
            html::button().attr("type", "submit").class("primary").child("Confirm"),
            button("link", "Show the words again", move || asking.set(None)),
        ))
        .into_any()
}
