//! Where messages are written: one text area that nothing writes into but the person, so that no key stroke is ever lost.

use super::app::App;
use super::files::{self, Attached};
use super::outbox::{self, Returned};
use super::parts::{Icon, icon};
use super::{browser, rooms};
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use std::cell::Cell;
use std::rc::Rc;
use tidings_view::Target;
use tidings_view::ask::Ask;
use wasm_bindgen_futures::spawn_local;
use web_sys::{HtmlTextAreaElement, KeyboardEvent};

/// After how many milliseconds without a key a draft is kept.
const DRAFT: i32 = 400;

#[derive(Clone)]
struct Composer {
    app: App,
    target: Target,
    area: NodeRef<html::Textarea>,
    files: RwSignal<Vec<Attached>>,
    /// Which key stroke was the last: what waits for an older one does nothing.
    stroke: Rc<Cell<u32>>,
}

/// The composer of a conversation. `sent` is called when something was handed over.
pub fn composer(app: App, target: Target, sent: impl Fn() + Clone + 'static) -> AnyView {
    let composer = Composer { app, target, area: NodeRef::new(), files: RwSignal::new(Vec::new()), stroke: Rc::default() };
    composer.begin();
    let files = composer.files;
    let area = composer.area(sent.clone());
    let (sending, dropping) = (composer.clone(), composer.clone());
    let pick = composer.takes_files().then(|| files::pick(move |picked| composer.attach(picked)));
    let send = html::button()
        .attr("type", "submit")
        .class("icon-button send")
        .attr("aria-label", "Send")
        .attr("title", "Send (Enter)")
        .child(icon(Icon::Send));
    html::form()
        .class("composer")
        .attr("aria-label", "Write a message")
        .on(ev::submit, move |event| {
            event.prevent_default();
            sending.send();
            sent();
        })
        .on(ev::dragover, |event| event.prevent_default())
        .on(ev::drop, move |event| {
            let files = files::all(event.data_transfer().and_then(|data| data.files()));
            if !files.is_empty() {
                event.prevent_default();
                dropping.attach(files);
            }
        })
        .child((files::attached(files), html::div().class("composer-line").child((pick, area, send))))
        .into_any()
}

/// Gives the keyboard to the composer that is on the page, if one is. On a touch screen the keyboard comes when it is asked for.
pub fn take_keyboard() {
    let touch = browser::window().match_media("(pointer: coarse)").ok().flatten().is_some_and(|query| query.matches());
    if !touch {
        browser::focus("composer");
    }
}

impl Composer {
    /// What was in it when it was left.
    fn begin(&self) {
        let draft = self.app.rooms.with_untracked(|rooms| rooms.iter().find(|line| line.room.target == self.target)?.draft.clone());
        self.area.on_load(move |area: HtmlTextAreaElement| {
            if let Some(draft) = draft {
                area.set_value(&draft);
            }
            browser::on_frame(take_keyboard);
        });
        let back = self.clone();
        Effect::new(move |_| {
            back.app.returned.track();
            if let Some(area) = back.area.get() {
                back.take_back(&area);
            }
        });
        let leaving = self.clone();
        let held = StoredValue::new_local(leaving);
        // While it is on screen still: afterwards the area is not there any more.
        on_cleanup(move || {
            held.try_with_value(Composer::keep_draft);
        });
    }

    fn area(&self, sent: impl Fn() + 'static) -> AnyView {
        let (app, target) = (self.app, self.target.clone());
        // A group that was just made has no title yet.
        let label = Memo::new(move |_| {
            let title = app.rooms.with(|rooms| rooms.iter().find(|line| line.room.target == target).map(rooms::title));
            format!("Message to {}", title.unwrap_or_else(|| target.to_string()))
        });
        let (typing, keys, pasting, leaving) = (self.clone(), self.clone(), self.clone(), self.clone());
        html::textarea()
            .attr("id", "composer")
            .attr("dir", "auto")
            .attr("rows", "1")
            .attr("aria-label", move || label.get())
            .attr("placeholder", move || label.get())
            .attr("enterkeyhint", "send")
            .node_ref(self.area)
            .on(ev::input, move |_| typing.typed())
            .on(ev::blur, move |_| leaving.keep_draft())
            .on(ev::keydown, move |event: KeyboardEvent| {
                // What is being composed is not written yet: Enter chooses there (229 is how some browsers say so).
                let composing = event.is_composing() || event.key_code() == 229;
                if event.key() == "Enter" && !event.shift_key() && !composing {
                    event.prevent_default();
                    keys.send();
                    sent();
                }
            })
            .on(ev::paste, move |event| {
                let files = files::all(event.clipboard_data().and_then(|data| data.files()));
                if !files.is_empty() {
                    event.prevent_default();
                    pasting.attach(files);
                }
            })
            .into_any()
    }

    fn text(&self) -> String {
        self.area.get_untracked().map(|area| area.value()).unwrap_or_default()
    }

    fn typed(&self) {
        let stroke = self.stroke.get() + 1;
        self.stroke.set(stroke);
        let composer = self.clone();
        browser::after(DRAFT, move || {
            if composer.stroke.get() == stroke {
                composer.keep_draft();
            }
        });
    }

    /// Hands what stands here to the core, where it differs from what the core has.
    fn keep_draft(&self) {
        let Some(area) = self.area.try_get_untracked().flatten() else { return };
        let text = area.value();
        let known = self.app.rooms.with_untracked(|rooms| rooms.iter().find(|line| line.room.target == self.target)?.draft.clone());
        if known.unwrap_or_default() != text {
            // A draft that is not kept is not worth a sentence.
            self.app.submit(Ask::Draft { target: self.target.clone(), text }, |_| ());
        }
    }

    /// What is said to everybody lies on every server: files do not.
    fn takes_files(&self) -> bool {
        self.target != Target::Public
    }

    fn attach(&self, files: Vec<web_sys::File>) {
        if !self.takes_files() {
            return self.app.say("The public chat takes no files. Send them in a private chat or a group.");
        }
        spawn_local(files::read(self.app, files, self.files));
        if let Some(area) = self.area.get_untracked() {
            area.focus().ok();
        }
    }

    fn send(&self) {
        let text = self.text();
        let files = std::mem::take(&mut *self.files.write());
        let text_left = text.trim_end().to_owned();
        if text_left.trim().is_empty() && files.is_empty() {
            return;
        }
        if text_left.len() > tidings_proto::limits::TEXT {
            self.files.set(files);
            return self.app.say("A message has at most 64 KiB of text. Send it in parts, or as a file.");
        }
        if let Some(area) = self.area.get_untracked() {
            area.set_value("");
            area.focus().ok();
        }
        self.stroke.set(self.stroke.get() + 1);
        let (app, target, once) = (self.app, || self.target.clone(), browser::once);
        let asks = if files.is_empty() {
            vec![Ask::Send { target: target(), text: text_left, once: once() }]
        } else {
            // What is written beside several files stands beside the first.
            let mut text = Some(text_left);
            let one = |Attached { name, media_type, bytes }| {
                let text = text.take().unwrap_or_default();
                Ask::SendFile { target: target(), name, media_type, bytes, text, once: once() }
            };
            files.into_iter().map(one).collect()
        };
        for ask in asks {
            let target = target();
            // Until it is on disk the draft is what there is of it.
            outbox::hand_over(app, ask, move || app.submit(Ask::Draft { target, text: String::new() }, |_| ()));
        }
    }

    /// What was not taken stands here again, before whatever stands here by now.
    fn take_back(&self, area: &HtmlTextAreaElement) {
        for Returned { ask, hold } in outbox::returned_to(self.app, &self.target) {
            let text = match ask {
                Ask::Send { text, .. } => text,
                Ask::SendFile { name, media_type, bytes, text, .. } => {
                    self.files.update(|files| files.push(Attached { name, media_type, bytes }));
                    text
                }
                _ => String::new(),
            };
            match area.value() {
                _ if text.is_empty() => {}
                now if now.is_empty() => area.set_value(&text),
                now => area.set_value(&format!("{text}\n{now}")),
            }
            self.keep_draft();
            drop(hold);
        }
    }
}
