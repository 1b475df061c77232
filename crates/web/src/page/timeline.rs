//! The messages of a conversation, of which a page holds a few hundred, however many there are.
//!
//! Rows are put in place by hand, not by Leptos' lists: what is above the screen may only grow in the same turn in which the scroll position
//! is put right, or the text under somebody's eyes moves. The rule is one: what was the first message on screen is afterwards where it was,
//! to the pixel; or, for whoever reads at the end, the end is.

use super::app::{App, Once};
use super::{browser, core, message};
use crate::held::{Held, MOST, PAGE};
use crate::rows::{Fence, Key, Row, rows};
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use leptos::tachys::view::{Mountable, Render};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tidings_view::ask::{Anchor, Answer, Ask, Window};
use tidings_view::markdown::line;
use tidings_view::{MessageId, Status, Target};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{Element, HtmlElement, ResizeObserver};

/// How near the edge of what is there more is asked for, in pixels.
const NEAR: f64 = 1500.0;
/// How near the end counts as being there.
const AT_END: f64 = 8.0;

/// A row in the document.
struct Placed {
    key: Key,
    row: Row,
    element: HtmlElement,
    /// What the row has that is alive. Dropped with it.
    _owner: Owner,
    _view: Box<dyn Mountable>,
}

/// A message that was on screen, its element, and how far from the scroller's top it was.
type Anchored = (Key, HtmlElement, f64);

/// One conversation on screen.
pub struct Timeline {
    app: App,
    target: Target,
    scroller: RefCell<Option<HtmlElement>>,
    list: RefCell<Option<HtmlElement>>,
    held: RefCell<Held>,
    placed: RefCell<Vec<Placed>>,
    fence: Cell<Option<Fence>>,
    /// What rows belong to: not to whatever happens to run when they are built.
    owner: Owner,
    /// Whether the end is kept in sight. Views draw from it; requests that are under way outlive them.
    stuck: ArcRwSignal<bool>,
    /// Where messages were on screen when it was last looked.
    anchors: RefCell<Vec<Anchored>>,
    opened: Cell<bool>,
    loading: Cell<bool>,
    marked: Cell<Option<MessageId>>,
    refreshing: Rc<Once>,
}

impl Timeline {
    /// Of a conversation.
    pub fn new(app: App, target: Target) -> Rc<Timeline> {
        Rc::new(Timeline {
            app,
            target,
            scroller: RefCell::default(),
            list: RefCell::default(),
            held: RefCell::default(),
            placed: RefCell::default(),
            fence: Cell::default(),
            owner: Owner::current().unwrap_or_default(),
            stuck: ArcRwSignal::new(true),
            anchors: RefCell::default(),
            opened: Cell::new(false),
            loading: Cell::new(false),
            marked: Cell::default(),
            refreshing: Rc::default(),
        })
    }

    /// What is drawn.
    pub fn view(self: &Rc<Self>) -> AnyView {
        let (scroller, list) = (NodeRef::<html::Div>::new(), NodeRef::<html::Ol>::new());
        let this = self.clone();
        Effect::new(move |_| {
            if let (Some(scroller), Some(list)) = (scroller.get(), list.get()) {
                this.begin(scroller.unchecked_into(), list.unchecked_into());
            }
        });
        let this = self.clone();
        Effect::new(move |_| {
            this.app.changed.track();
            this.refresh();
        });
        let this = self.clone();
        Effect::new(move |_| {
            this.app.echoes.track();
            this.draw();
        });
        let (scrolled, keys, jump) = (self.clone(), self.clone(), self.clone());
        let (stuck, app, target) = (self.stuck.clone(), self.app, self.target.clone());
        let unseen = Memo::new(move |_| app.line(&target).map_or(0, |line| line.unseen));
        let words = move || match unseen.get() {
            0 => "Jump to latest".to_owned(),
            1 => "Jump to latest: 1 new message".into(),
            count => format!("Jump to latest: {count} new messages"),
        };
        let jump = StoredValue::new_local(jump);
        let button = move || {
            (!stuck.get()).then(|| {
                html::button()
                    .attr("type", "button")
                    .class("jump")
                    .on(ev::click, move |_| jump.with_value(|timeline| timeline.clone().to_end()))
                    .child((super::parts::icon(super::parts::Icon::Down), words))
            })
        };
        html::div()
            .class("timeline-frame")
            .child((
                html::div()
                    .class("timeline")
                    .attr("tabindex", "0")
                    .attr("role", "region")
                    .attr("aria-label", "Messages")
                    .node_ref(scroller)
                    .on(ev::scroll, move |_| scrolled.scrolled())
                    .on(ev::keydown, move |event| keys.key(&event))
                    .child(html::ol().class("messages").attr("role", "list").node_ref(list)),
                button,
            ))
            .into_any()
    }

    fn begin(self: &Rc<Self>, scroller: HtmlElement, list: HtmlElement) {
        let this = Rc::downgrade(self);
        let resized = Closure::<dyn Fn()>::new(move || {
            if let Some(this) = this.upgrade() {
                this.settle();
            }
        });
        // A row that grows, a window that turns: nobody's place is lost.
        if let Ok(observer) = ResizeObserver::new(resized.as_ref().unchecked_ref()) {
            observer.observe(&scroller);
            observer.observe(&list);
            let kept = StoredValue::new_local((observer, resized));
            on_cleanup(move || kept.with_value(|(observer, _)| observer.disconnect()));
        }
        *self.scroller.borrow_mut() = Some(scroller);
        *self.list.borrow_mut() = Some(list);
        self.open();
    }

    /// None once another conversation is on screen: where nothing is, everything would seem to be in sight, and be marked as seen.
    fn scroller(&self) -> Option<HtmlElement> {
        self.scroller.borrow().clone().filter(|scroller| scroller.is_connected())
    }

    async fn window(&self, (from, limit): (Anchor, usize)) -> Option<Window> {
        let target = self.target.clone();
        match core::ask(Ask::Window { target, from, limit }).await {
            Ok(Answer::Window(window)) => Some(window),
            _ => None,
        }
    }

    fn open(self: &Rc<Self>) {
        let this = self.clone();
        spawn_local(async move {
            let Some(window) = this.window((Anchor::Unseen, PAGE)).await else { return this.opened.set(true) };
            if let Some(list) = this.list.borrow().as_ref() {
                // Only from here on is a list with nothing in it one of no messages.
                list.set_attribute("data-opened", "").ok();
            }
            this.held.borrow_mut().replace(window);
            this.fence_here();
            this.stuck.set(this.fence.get().is_none());
            this.opened.set(true);
            this.draw();
            this.show_fence();
            this.look();
        });
    }

    /// The line above what is new stays where it was when the conversation was opened.
    fn fence_here(&self) {
        let held = self.held.borrow();
        let fence = held.has_unseen().then(|| held.seen.map_or(Fence::Top, Fence::After));
        self.fence.set(fence);
        self.marked.set(held.seen);
    }

    fn show_fence(&self) {
        let placed = self.placed.borrow();
        let line = placed.iter().find(|placed| placed.key == Key::Unseen);
        if let (Some(line), Some(scroller)) = (line, self.scroller()) {
            let top = line.element.get_bounding_client_rect().top() - scroller.get_bounding_client_rect().top();
            scroller.scroll_by_with_x_and_y(0.0, (top - f64::from(scroller.client_height()) / 4.0).round());
        }
    }

    /// Asks again for what is on screen.
    fn refresh(self: &Rc<Self>) {
        if !self.opened.get() {
            return;
        }
        let this = self.clone();
        self.refreshing.run(move || this.clone().refreshed());
    }

    async fn refreshed(self: Rc<Self>) {
        let again = self.held.borrow().again();
        let first = self.held.borrow().messages.first().map(|message| message.id);
        let window = match self.window(again).await {
            Some(window) => Some(window),
            // The first on screen is there no more.
            None => self.window((Anchor::End, PAGE)).await,
        };
        let Some(window) = window else { return };
        // Pages that came meanwhile have moved the beginning: this answer is to another question.
        if self.held.borrow().messages.first().map(|message| message.id) != first || self.loading.get() {
            return;
        }
        let arrived = self.arrived(&window);
        self.held.borrow_mut().replace(window);
        if self.stuck.get_untracked() {
            self.held.borrow_mut().trim_oldest();
        }
        self.draw();
        if !arrived.is_empty() {
            self.announce(&arrived);
        }
        self.look();
    }

    /// What of others is new at the end.
    fn arrived(&self, window: &Window) -> Vec<String> {
        let held = self.held.borrow();
        if held.newer || held.messages.is_empty() {
            return Vec::new();
        }
        let new = window.messages.iter().rev().take_while(|message| held.position(message.id).is_none());
        let words = new.filter(|message| message.status == Status::Received).map(|message| {
            let author = message.author.as_ref().map(ToString::to_string).unwrap_or_default();
            match &message.file {
                Some(file) => format!("{author}: {} {}", line(&file.name), line(&message.text)),
                None => format!("{author}: {}", line(&message.text)),
            }
        });
        let mut words: Vec<String> = words.collect();
        words.reverse();
        words
    }

    /// Only what is new is read aloud; never what comes in above.
    fn announce(&self, arrived: &[String]) {
        let words = match arrived {
            [.., last] if arrived.len() > 3 => format!("{} new messages. {last}", arrived.len()),
            all => all.join(". "),
        };
        self.app.announced.set(words);
    }

    /// Puts on screen what is held.
    fn draw(&self) {
        let (Some(list), Some(scroller)) = (self.list.borrow().clone(), self.scroller()) else { return };
        let wanted = {
            let held = self.held.borrow();
            let echoes = self.app.echoes.get_untracked();
            let here: Vec<_> = echoes.iter().filter(|echo| echo.target == self.target && !held.newer).cloned().collect();
            // What the core shows by now is not shown by the page any more.
            let done = |echo: &crate::rows::Echo| echo.target == self.target && echo.written.is_some_and(|id| held.position(id).is_some());
            if here.iter().any(done) {
                self.app.echoes.write_untracked().retain(|echo| !done(echo));
            }
            rows(&held.messages, &here, self.app.me().as_ref(), self.fence.get(), browser::now(), browser::ahead)
        };
        let anchors = self.visible(&scroller);
        self.place(&list, wanted);
        self.hold(&scroller, &anchors);
    }

    /// Takes out, puts in and replaces rows, and touches no other.
    fn place(&self, list: &HtmlElement, wanted: Vec<(Key, Row)>) {
        let mut before: std::collections::HashMap<Key, Placed> =
            self.placed.take().into_iter().map(|placed| (placed.key.clone(), placed)).collect();
        let mut placed = Vec::with_capacity(wanted.len());
        for (key, row) in wanted {
            placed.push(match before.remove(&key) {
                Some(there) if there.row == row => there,
                Some(there) => {
                    let new = self.build(key, row);
                    // The keyboard stays where it was.
                    let had_focus = browser::document().active_element().is_some_and(|active| there.element.contains(Some(&active)));
                    there.element.replace_with_with_node_1(&new.element).ok();
                    if had_focus {
                        new.element.focus().ok();
                    }
                    new
                }
                None => self.build(key, row),
            });
        }
        for (_, gone) in before {
            gone.element.remove();
        }
        let mut next = list.first_element_child();
        for one in &placed {
            let element: &Element = &one.element;
            if next.as_ref() == Some(element) {
                next = element.next_element_sibling();
            } else {
                list.insert_before(element, next.as_deref()).ok();
            }
        }
        *self.placed.borrow_mut() = placed;
    }

    fn build(&self, key: Key, row: Row) -> Placed {
        let element: HtmlElement = browser::document().create_element("li").expect("a list has items").unchecked_into();
        if let Key::Message(_) = key {
            element.set_tab_index(-1);
        }
        let owner = self.owner.with(Owner::new);
        let mut view = owner.with(|| message::row(self.app, &row).build());
        view.mount(&element, None);
        Placed { key, row, element, _owner: owner, _view: Box::new(view) }
    }

    /// Where the messages on screen are, from the scroller's top.
    fn visible(&self, scroller: &HtmlElement) -> Vec<Anchored> {
        let frame = scroller.get_bounding_client_rect();
        let placed = self.placed.borrow();
        // Rows lie one below the other: the first on screen is found by halves.
        let first = placed.partition_point(|placed| placed.element.get_bounding_client_rect().bottom() <= frame.top());
        let on_screen = placed[first..].iter().map(|placed| (placed, placed.element.get_bounding_client_rect()));
        on_screen
            .take_while(|(_, rect)| rect.top() < frame.bottom())
            .filter(|(placed, _)| matches!(placed.key, Key::Message(_)))
            .map(|(placed, rect)| (placed.key.clone(), placed.element.clone(), rect.top() - frame.top()))
            .collect()
    }

    /// Puts the scroll position so that what was on screen is where it was.
    fn hold(&self, scroller: &HtmlElement, anchors: &[Anchored]) {
        if self.stuck.get_untracked() && !self.held.borrow().newer {
            scroller.set_scroll_top(scroller.scroll_height());
        } else {
            let top = scroller.get_bounding_client_rect().top();
            let placed = self.placed.borrow();
            // What was built anew may have another height, as where its author is named above it by now: it is held by what is below it.
            let same = anchors.iter().find_map(|(_, element, was)| element.is_connected().then_some((element, *was)));
            let anew = || anchors.iter().find_map(|(key, _, was)| Some((&placed.iter().find(|placed| placed.key == *key)?.element, *was)));
            if let Some((kept, was)) = same.or_else(anew) {
                let moved = kept.get_bounding_client_rect().top() - top - was;
                if moved != 0.0 {
                    scroller.scroll_by_with_x_and_y(0.0, moved);
                }
            }
        }
        *self.anchors.borrow_mut() = self.visible(scroller);
    }

    /// Something has another size.
    fn settle(self: &Rc<Self>) {
        let Some(scroller) = self.scroller() else { return };
        let anchors = self.anchors.take();
        self.hold(&scroller, &anchors);
        self.look();
    }

    fn scrolled(self: &Rc<Self>) {
        let Some(scroller) = self.scroller() else { return };
        *self.anchors.borrow_mut() = self.visible(&scroller);
        let at_end = distance_below(&scroller) <= AT_END && !self.held.borrow().newer;
        set_if_other(&self.stuck, at_end);
        self.look();
    }

    /// Asks for more where the edge is near, and says what was seen.
    fn look(self: &Rc<Self>) {
        let Some(scroller) = self.scroller() else { return };
        self.mark_seen(&scroller);
        if self.loading.get() || !self.opened.get() {
            return;
        }
        let above = f64::from(scroller.scroll_top()) < NEAR;
        let below = distance_below(&scroller) < NEAR;
        let (before, after) = (self.held.borrow().before().filter(|_| above), self.held.borrow().after().filter(|_| below));
        let (ask, is_older) = match (before, after) {
            (Some(ask), _) => (ask, true),
            (None, Some(ask)) => (ask, false),
            (None, None) => return,
        };
        self.loading.set(true);
        let this = self.clone();
        spawn_local(async move {
            let window = this.window(ask).await;
            let came = window.is_some();
            if let Some(window) = window {
                let mut held = this.held.borrow_mut();
                if is_older {
                    held.prepend(window)
                } else {
                    held.append(window)
                }
                drop(held);
                if this.held.borrow().newer {
                    set_if_other(&this.stuck, false);
                }
                this.draw();
            }
            this.loading.set(false);
            if came {
                this.look();
            }
        });
    }

    /// The last message that somebody who looks at this page can see whole.
    fn mark_seen(&self, scroller: &HtmlElement) {
        if !browser::is_watched() || !self.opened.get() {
            return;
        }
        let bottom = scroller.get_bounding_client_rect().bottom() + 1.0;
        let placed = self.placed.borrow();
        let end = placed.partition_point(|placed| placed.element.get_bounding_client_rect().bottom() <= bottom);
        let last = placed[..end].iter().rev().find_map(|placed| match &placed.key {
            Key::Message(id) => Some(*id),
            _ => None,
        });
        let held = self.held.borrow();
        let at = |id: Option<MessageId>| id.and_then(|id| held.position(id));
        let (Some(message), Some(now)) = (last, at(last)) else { return };
        let before = at(self.marked.get()).max(at(held.seen));
        let from = before.map_or(0, |before| before + 1);
        let is_news = held.messages.get(from..=now).is_some_and(|new| new.iter().any(|message| message.status == Status::Received));
        if is_news {
            self.marked.set(Some(message));
            self.app.submit(Ask::Seen { target: self.target.clone(), message }, |_| ());
        }
    }

    /// Goes to the newest message.
    pub fn to_end(self: Rc<Self>) {
        set_if_other(&self.stuck, true);
        if !self.held.borrow().newer {
            return self.settle();
        }
        spawn_local(async move {
            if let Some(window) = self.window((Anchor::End, PAGE.min(MOST))).await {
                self.held.borrow_mut().replace(window);
                self.stuck.set(true);
                self.draw();
                self.look();
            }
        });
    }

    /// Something was sent from here: what was new has been answered.
    pub fn sent(self: Rc<Self>) {
        self.fence.set(None);
        self.to_end();
    }

    /// Arrows go from message to message.
    fn key(self: &Rc<Self>, event: &web_sys::KeyboardEvent) {
        if event.alt_key() || event.ctrl_key() || event.meta_key() {
            return;
        }
        let down = match event.key().as_str() {
            "ArrowDown" => true,
            "ArrowUp" => false,
            "End" => {
                event.prevent_default();
                return self.clone().to_end();
            }
            _ => return,
        };
        let placed = self.placed.borrow();
        let messages: Vec<&Placed> = placed.iter().filter(|placed| matches!(placed.key, Key::Message(_))).collect();
        let active = browser::document().active_element();
        let at = messages.iter().position(|placed| active.as_ref().is_some_and(|active| placed.element.contains(Some(active))));
        let next = match at {
            Some(at) if down => messages.get(at + 1),
            Some(at) => at.checked_sub(1).and_then(|at| messages.get(at)),
            None => messages.last(),
        };
        if let Some(next) = next {
            event.prevent_default();
            next.element.focus().ok();
        }
    }
}

fn distance_below(scroller: &HtmlElement) -> f64 {
    f64::from(scroller.scroll_height() - scroller.scroll_top() - scroller.client_height())
}

fn set_if_other<T: PartialEq + Send + Sync + 'static>(signal: &ArcRwSignal<T>, value: T) {
    if signal.with_untracked(|before| *before != value) {
        signal.set(value);
    }
}
