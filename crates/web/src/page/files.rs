//! Files in messages: pictures are shown, everything can be saved, nothing is ever opened.

use super::app::App;
use super::browser;
use super::parts::{Icon, icon};
use crate::picture::shown_at;
use js_sys::{Array, Uint8Array};
use leptos::html;
use leptos::prelude::*;
use leptos::svg;
use tidings_view::ask::{Answer, Ask};
use tidings_view::plain::visible_line;
use tidings_view::{File, MessageId};
use wasm_bindgen::JsCast;
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, Url};

/// What a browser draws without running anything: SVG is not among it.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// Whether it is shown, not only named.
pub fn is_picture(media_type: &str) -> bool {
    PICTURES.contains(&media_type)
}

/// An address under which this page alone has some bytes, until it is dropped.
pub struct Held(pub String);

impl Held {
    /// Bytes of a kind. Of a kind that a browser would run there are none: what is no picture is a stream of bytes.
    pub fn new(bytes: &[u8], media_type: &str) -> Option<Held> {
        let kind = BlobPropertyBag::new();
        kind.set_type(if is_picture(media_type) { media_type } else { "application/octet-stream" });
        let parts = Array::of1(&Uint8Array::from(bytes));
        let blob = Blob::new_with_u8_array_sequence_and_options(&parts, &kind).ok()?;
        Url::create_object_url_with_blob(&blob).ok().map(Held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        Url::revoke_object_url(&self.0).ok();
    }
}

/// A file in a message.
pub fn shown(app: App, id: MessageId, file: &File) -> AnyView {
    let name = visible_line(&file.name);
    let picture = file.picture.filter(|_| is_picture(&file.media_type)).and_then(shown_at).map(|size| preview(app, id, &name, size));
    let save = {
        let label = format!("Save {name}");
        html::button()
            .attr("type", "button")
            .class("small")
            .attr("aria-label", label)
            .on(leptos::ev::click, move |_| app.ask(Ask::File(id), move |answer| save(app, answer)))
            .child((icon(Icon::Save), "Save"))
    };
    html::div()
        .class("file")
        .child((
            picture,
            html::div().class("file-line").child((
                icon(Icon::File),
                html::span().class("file-name").child((html::bdi().child(name), html::span().class("sub").child(size(file.size)))),
                save,
            )),
        ))
        .into_any()
}

/// A picture in a box of its size, so that nothing moves when it arrives.
fn preview(app: App, id: MessageId, name: &str, (width, height): (usize, usize)) -> AnyView {
    let held = StoredValue::new_local(None::<Held>);
    let source = RwSignal::new(None::<String>);
    app.ask(Ask::File(id), move |answer| {
        if let Answer::File { file, bytes } = answer {
            let blob = Held::new(&bytes, &file.media_type);
            // The row may be gone; then there is nothing to show it in.
            source.try_set(blob.as_ref().map(|blob| blob.0.clone()));
            held.try_set_value(blob);
        }
    });
    let alt = format!("Picture: {name}");
    let (wide, high) = (width.to_string(), height.to_string());
    let drawn = move || {
        let (wide, high) = (wide.clone(), high.clone());
        match source.get() {
            Some(source) => html::img()
                .attr("src", source)
                .attr("alt", alt.clone())
                .attr("decoding", "async")
                .attr("width", wide)
                .attr("height", high)
                .into_any(),
            None => {
                let shape = format!("0 0 {wide} {high}");
                svg::svg().attr("width", wide).attr("height", high).attr("viewBox", shape).attr("aria-hidden", "true").into_any()
            }
        }
    };
    html::div().class("preview").child(drawn).into_any()
}

fn save(app: App, answer: Answer) {
    let Answer::File { file, bytes } = answer else { return };
    let saved = Held::new(&bytes, "application/octet-stream").and_then(|held| {
        let anchor: HtmlAnchorElement = browser::document().create_element("a").ok()?.dyn_into().ok()?;
        anchor.set_href(&held.0);
        anchor.set_download(&harmless(&file.name));
        anchor.click();
        // The browser reads it after this turn.
        browser::after(60_000, move || drop(held));
        Some(())
    });
    if saved.is_none() {
        app.say("The browser did not save the file. Try again.");
    }
}

/// A name for somebody else's file: one part, nothing hidden in it, no dot in front.
fn harmless(name: &str) -> String {
    let name: String = visible_line(name)
        .chars()
        .map(|c| if matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') { '_' } else { c })
        .collect();
    let name = name.trim_matches(['.', ' ']);
    if name.is_empty() { "file".into() } else { name.into() }
}

/// `31 KiB`
pub fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        _ => format!("{} KiB", bytes.div_ceil(1024)),
    }
}

/// The files in a browser's list, which is emptied as soon as its event is over.
pub fn all(list: Option<web_sys::FileList>) -> Vec<web_sys::File> {
    list.map(|list| (0..list.length()).filter_map(|at| list.get(at)).collect()).unwrap_or_default()
}

/// A button that does nothing but open the browser's choice of files.
pub fn pick(chosen: impl Fn(Vec<web_sys::File>) + 'static) -> AnyView {
    let node = NodeRef::<html::Input>::new();
    let input = html::input()
        .attr("type", "file")
        .attr("multiple", "")
        .attr("class", "unseen-by-eyes")
        .attr("tabindex", "-1")
        .attr("aria-label", "Files to send")
        .node_ref(node)
        .on(leptos::ev::change, move |_| {
            if let Some(input) = node.get_untracked() {
                chosen(all(input.files()));
                // So that the same file can be picked again.
                input.set_value("");
            }
        });
    let open = super::parts::icon_button("", Icon::Attach, "Attach a file", move || {
        if let Some(input) = node.get_untracked() {
            input.click();
        }
    });
    (input, open).into_any()
}

/// What is about to be sent.
#[derive(Clone)]
pub struct Attached {
    pub name: String,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

/// Files that are about to be sent.
pub fn attached(files: RwSignal<Vec<Attached>>) -> AnyView {
    (move || {
        let all = files.get();
        (!all.is_empty()).then(|| {
            let one = |(at, file): (usize, Attached)| {
                let held = Held::new(&file.bytes, &file.media_type).filter(|_| is_picture(&file.media_type));
                let source = held.as_ref().map(|held| held.0.clone());
                // Kept for as long as it is drawn.
                let held = StoredValue::new_local(held);
                on_cleanup(move || held.dispose());
                let name = visible_line(&file.name);
                html::li().class("attached").child((
                    source.map(|source| html::img().attr("src", source).attr("alt", "")),
                    html::span()
                        .class("file-name")
                        .child((html::bdi().child(name.clone()), html::span().class("sub").child(size(file.bytes.len())))),
                    super::parts::icon_button("", Icon::Close, format!("Do not send {name}"), move || {
                        files.update(|files| drop(files.remove(at)))
                    }),
                ))
            };
            html::ul()
                .class("attachments")
                .attr("aria-label", "Files to be sent")
                .child(all.into_iter().enumerate().map(one).collect_view())
        })
    })
    .into_any()
}

/// Reads files that somebody has dropped, pasted or picked; says which are too large.
pub async fn read(app: App, files: Vec<web_sys::File>, into: RwSignal<Vec<Attached>>) {
    let most = tidings_proto::limits::FILE;
    for file in files {
        if file.size() > most as f64 {
            app.say(format!("“{}” is larger than {}, the most that a message can carry.", visible_line(&file.name()), size(most)));
            continue;
        }
        match wasm_bindgen_futures::JsFuture::from(file.array_buffer()).await {
            Ok(buffer) => {
                let media_type = Some(file.type_()).filter(|kind| !kind.is_empty()).unwrap_or_else(|| "application/octet-stream".into());
                into.try_update(|all| all.push(Attached { name: file.name(), media_type, bytes: Uint8Array::new(&buffer).to_vec() }));
            }
            Err(_) => app.say(format!("“{}” could not be read.", visible_line(&file.name()))),
        }
    }
}
