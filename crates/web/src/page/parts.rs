//! The small parts that pages are made of: buttons, fields, pictures, windows.

use crate::identicon::identicon;
use leptos::html;
use leptos::prelude::*;
use leptos::svg;
use leptos::web_sys;
use tidings_view::Target;
use tidings_view::plain::visible_line;
use wasm_bindgen::JsCast;

/// A line drawing in a box of 24 by 24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    Attach,
    Back,
    Chat,
    Close,
    Copy,
    Down,
    File,
    Globe,
    Group,
    GroupNew,
    Keyboard,
    Lock,
    More,
    People,
    Save,
    Search,
    Send,
    Settings,
    Shield,
    Tick,
    Trash,
    Waiting,
    Warning,
}

impl Icon {
    fn path(self) -> &'static str {
        match self {
            Icon::Attach => "M20 11.5l-8 8a5 5 0 0 1-7-7l8.5-8.5a3.3 3.3 0 0 1 4.7 4.7L9.8 17a1.6 1.6 0 0 1-2.3-2.3L15 7.2",
            Icon::Back => "M15 5l-7 7 7 7",
            Icon::Chat => "M20 12.500V17H9l-5 4V5h9M18 3v6M15 6h6",
            Icon::Close => "M6 6l12 12M18 6L6 18",
            Icon::Copy => "M9 9h11v11H9zM5 15H4V4h11v1",
            Icon::Down => "M12 5v14M6 13l6 6 6-6",
            Icon::File => "M6 3h8l4 4v14H6zM14 3v4h4",
            Icon::Globe => "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
            Icon::Group => {
                "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c0-8 13-8 13 0M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5c2.3.8 3.5 2.6 3.5 5.5"
            }
            Icon::GroupNew => "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.500 20c0-8 13-8 13 0M19 8v6M16 11h6",
            Icon::Keyboard => "M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M8 14h8",
            Icon::Lock => "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
            Icon::More => "M5 12h.01M12 12h.01M19 12h.01",
            Icon::People => "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-9 16-9 16 0",
            Icon::Save => "M12 4v11M7 11l5 5 5-5M4 20h16",
            Icon::Search => "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
            Icon::Send => "M4 12l16-8-5 16-3-7z",
            Icon::Settings => {
                "M4 7h9M19 7h1M4 17h1M11 17h9M16 4.500a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM8 14.500a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z"
            }
            Icon::Shield => "M12 3l8 3v6c0 5-4 8-8 9-4-1-8-4-8-9V6z",
            Icon::Tick => "M5 13l4.5 4.500L19 7",
            Icon::Trash => "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
            Icon::Waiting => "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4l3 2",
            Icon::Warning => "M12 4l9.5 16h-19zM12 10v4M12 17h.01",
        }
    }
}

/// A drawing beside words that say the same: nothing for a screen reader.
pub fn icon(icon: Icon) -> AnyView {
    svg::svg()
        .attr("class", "icon")
        .attr("viewBox", "0 0 24 24")
        .attr("aria-hidden", "true")
        .child(svg::path().attr("d", icon.path()))
        .into_any()
}

/// Somebody's or a group's picture.
pub fn face(name: &str) -> AnyView {
    let picture = identicon(name);
    svg::svg()
        .attr("class", format!("face colour-{}", picture.colour))
        .attr("viewBox", "-1.5 -1.5 8 8")
        .attr("aria-hidden", "true")
        .child(svg::path().attr("d", picture.path))
        .into_any()
}

/// The picture of a conversation.
pub fn target_face(target: &Target) -> AnyView {
    match target {
        Target::Public => html::span().class("face public").attr("aria-hidden", "true").child(icon(Icon::Globe)).into_any(),
        other => face(&other.to_string()),
    }
}

/// A button with words on it.
pub fn button(class: &'static str, label: impl Into<String>, run: impl FnMut() + 'static) -> AnyView {
    let mut run = run;
    html::button().attr("type", "button").class(class).on(leptos::ev::click, move |_| run()).child(label.into()).into_any()
}

/// A button with a drawing on it: its words are read aloud, and shown when somebody points at it.
pub fn icon_button(class: &'static str, drawing: Icon, label: impl Into<String>, run: impl FnMut() + 'static) -> AnyView {
    let mut run = run;
    let label = label.into();
    html::button()
        .attr("type", "button")
        .class(format!("icon-button {class}"))
        .attr("aria-label", label.clone())
        .attr("title", label)
        .on(leptos::ev::click, move |_| run())
        .child(icon(drawing))
        .into_any()
}

/// What is drawn anew whenever `what` is another: never the old elements with new values, in which what somebody typed would stay.
pub fn anew<T, F>(what: F, draw: impl Fn(T) -> AnyView + Clone + Send + Sync + 'static) -> AnyView
where
    T: std::fmt::Debug + Send + Sync + 'static,
    F: Fn() -> T + Send + Sync + 'static,
{
    each(move || vec![what()], draw)
}

/// A list in which what stays the same stays in place, with the keyboard in it.
pub fn each<T, F>(all: F, draw: impl Fn(T) -> AnyView + Clone + Send + Sync + 'static) -> AnyView
where
    T: std::fmt::Debug + Send + Sync + 'static,
    F: Fn() -> Vec<T> + Send + Sync + 'static,
{
    For(ForProps::builder().each(all).key(|one| format!("{one:?}")).children(draw).build()).into_any()
}

/// A field of a form.
pub struct Field {
    /// Its label.
    pub label: &'static str,
    /// `text` or `password`.
    pub kind: &'static str,
    /// What a browser may fill in.
    pub autocomplete: &'static str,
    /// What stands behind it, such as a server's name.
    pub after: String,
    /// A sentence below it.
    pub hint: &'static str,
    /// What stands in it first.
    pub value: String,
    /// Whether it has the keyboard first.
    pub first: bool,
}

impl Field {
    /// A field with a label.
    pub fn new(label: &'static str) -> Field {
        Field { label, kind: "text", autocomplete: "off", after: String::new(), hint: "", value: String::new(), first: false }
    }

    /// For a password.
    pub fn password(label: &'static str, autocomplete: &'static str) -> Field {
        Field { kind: "password", autocomplete, ..Field::new(label) }
    }

    /// The field, and where its value is read.
    pub fn build(self) -> (AnyView, NodeRef<html::Input>) {
        let node = NodeRef::new();
        let id = format!("field-{}", self.label.to_lowercase().replace(' ', "-"));
        let hint_id = format!("{id}-hint");
        let mut input = html::input()
            .attr("id", id.clone())
            .attr("type", self.kind)
            .attr("autocomplete", self.autocomplete)
            .attr("autocapitalize", "none")
            .attr("spellcheck", "false")
            .attr("aria-describedby", (!self.hint.is_empty()).then(|| hint_id.clone()))
            .attr("value", self.value)
            .node_ref(node)
            .into_any();
        if !self.after.is_empty() {
            input = html::span().class("with-after").child((input, html::span().class("after").child(self.after))).into_any();
        }
        if self.first {
            // A window that it stands in gives the keyboard to its first button when it opens, in the same frame.
            let take = |input: web_sys::HtmlInputElement| move || super::browser::after(0, move || drop(input.focus()));
            node.on_load(move |input| super::browser::on_frame(take(input)));
        }
        let hint = (!self.hint.is_empty()).then(|| html::span().class("hint").attr("id", hint_id).child(self.hint));
        let view = html::div().class("field").child((html::label().attr("for", id).child(self.label), input, hint)).into_any();
        (view, node)
    }
}

/// What stands in a field.
pub fn value(node: NodeRef<html::Input>) -> String {
    node.get_untracked().map(|input| input.value()).unwrap_or_default()
}

/// What went wrong with a form, read aloud when it appears.
pub fn trouble(text: RwSignal<Option<String>>) -> AnyView {
    (move || text.get().map(|text| html::p().class("trouble").attr("role", "alert").child(text))).into_any()
}

/// A window above the page: the browser's own, so that the keyboard stays in it and Escape closes it.
pub fn dialog(title: &'static str, class: &'static str, closed: impl Fn() + Clone + 'static, content: AnyView) -> AnyView {
    let node = NodeRef::<html::Dialog>::new();
    node.on_load(|dialog: web_sys::HtmlDialogElement| {
        // Before it is in the document it cannot be opened.
        super::browser::on_frame(move || {
            if dialog.is_connected() && !dialog.open() {
                dialog.show_modal().ok();
            }
        });
    });
    let by_button = closed.clone();
    let beside = closed.clone();
    html::dialog()
        .class(format!("dialog {class}"))
        .attr("aria-label", title)
        .node_ref(node)
        .on(leptos::ev::close, move |_| closed())
        .on(leptos::ev::mousedown, move |event| {
            // What is beside the window is the dialog itself; its content is in a box of its own.
            let on_dialog = event.target().is_some_and(|target| target.dyn_ref::<web_sys::HtmlDialogElement>().is_some());
            if on_dialog {
                beside();
            }
        })
        .child(html::div().class("dialog-box").child((
            html::header().class("dialog-head").child((html::h2().child(title), icon_button("", Icon::Close, "Close", by_button))),
            content,
        )))
        .into_any()
}

/// A window before something that cannot be taken back.
pub fn sure(
    title: &'static str,
    text: &str,
    yes: &'static str,
    no: &'static str,
    closed: impl Fn() + Clone + 'static,
    run: impl Fn() + 'static,
) -> AnyView {
    sure_of(title, html::p().child(text.to_owned()).into_any(), yes, no, closed, run)
}

/// The same, with more than a sentence in it.
pub fn sure_of(
    title: &'static str,
    text: AnyView,
    yes: &'static str,
    no: &'static str,
    closed: impl Fn() + Clone + 'static,
    run: impl Fn() + 'static,
) -> AnyView {
    let (done, stay) = (closed.clone(), closed.clone());
    let go = move || {
        run();
        done();
    };
    let answers = (button("primary danger", yes, go), button("plain", no, stay));
    dialog(title, "small", closed, (text, html::div().class("row").child(answers)).into_any())
}

/// Something that opens below its button, and closes when one goes elsewhere.
pub fn disclosure(class: &'static str, summary: AnyView, content: AnyView) -> AnyView {
    let node = NodeRef::<html::Details>::new();
    let close = move || {
        if let Some(details) = node.get_untracked() {
            details.set_open(false);
        }
    };
    html::details()
        .class(class)
        .node_ref(node)
        .on(leptos::ev::focusout, move |event| {
            let to = event.related_target().and_then(|to| to.dyn_into::<web_sys::Node>().ok());
            if !node.get_untracked().is_some_and(|details| details.contains(to.as_ref())) {
                close();
            }
        })
        .on(leptos::ev::keydown, move |event| {
            if event.key() == "Escape" {
                close();
            }
        })
        .child((summary, html::div().class("pop").attr("tabindex", "-1").child(content)))
        .into_any()
}

/// A text of somebody else's in one line, by itself in direction too.
pub fn foreign(class: &'static str, text: &str) -> AnyView {
    html::bdi().class(class).child(visible_line(text)).into_any()
}

/// Somebody's name: the part that tells people apart first.
pub fn user_name(user: &tidings_proto::UserName) -> AnyView {
    html::bdi()
        .class("user-name")
        .child((
            html::span().class("local").child(user.local().to_owned()),
            html::span().class("server").child(format!("@{}", user.server())),
        ))
        .into_any()
}
