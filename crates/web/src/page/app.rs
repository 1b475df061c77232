//! What is known on this page, and how it stays true: whatever the core says has changed is asked for again.

use super::outbox::{self, Returned};
use super::{browser, composer, core, gate, keyboard, notify, parts, shell};
use crate::place::{Place, invitation};
use crate::rows::Echo;
use leptos::prelude::*;
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use tidings_proto::UserName;
use tidings_view::ask::{Answer, Ask, Deed, RoomLine, Standing, Trouble, UNREADABLE, Words};
use tidings_view::{MessageId, Notice, Person, Target};
use wasm_bindgen_futures::spawn_local;

/// After how many milliseconds it is asked again who one is.
const AGAIN: i32 = 3000;

thread_local! {
    /// Whether that is going to be.
    static AGAIN_SOON: Cell<bool> = const { Cell::new(false) };
}

/// A window above the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    /// Where to.
    Switcher,
    /// Which keys do what.
    Shortcuts,
    /// What is known about somebody, and comparing.
    Person(UserName),
    /// The number that one compares with somebody.
    Compare(UserName),
    /// A new group.
    NewGroup,
    /// A new private chat.
    NewTalk,
    /// Somebody for a group.
    Invite(Target),
    /// Another title for a group.
    Title(Target, String),
    /// Out of a group.
    Leave(Target),
    /// A message, for everybody.
    Erase(MessageId),
    /// Off this browser.
    LogOut,
    /// The code of an invitation that was opened where there is an account already.
    Invited(String),
}

/// Why a page has nothing to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The core does not begin here, or ends again and again.
    Core,
    /// What is stored cannot be opened.
    Stored(String),
    /// Who and where one is cannot be said yet; it is tried again.
    Waiting(String),
}

/// Everything that views draw from. Copied freely: it is a handful of handles.
#[derive(Clone, Copy)]
pub struct App {
    /// Who and where one is; none before the core has answered.
    pub standing: RwSignal<Option<Standing>>,
    /// The conversations.
    pub rooms: RwSignal<Vec<RoomLine>>,
    /// Everybody.
    pub people: RwSignal<Vec<Person>>,
    /// What one should know about keys.
    pub notices: RwSignal<Vec<Notice>>,
    /// Counts what the core has said to have changed.
    pub changed: RwSignal<u64>,
    /// Where one is.
    pub place: RwSignal<Place>,
    /// The code of the invitation link by which the page was opened.
    pub invitation: RwSignal<Option<String>>,
    /// Words to be written down, which come before everything else.
    pub words: RwSignal<Option<Words>>,
    /// The window above the page.
    pub overlay: RwSignal<Option<Overlay>>,
    /// Whether the column on the right is shown.
    pub panel: RwSignal<bool>,
    /// What was handed to the core and is not on screen as a message yet.
    pub echoes: RwSignal<Vec<Echo>>,
    /// What the core has not taken, until it stands in its composer again.
    pub returned: RwSignal<Vec<Returned>>,
    /// A sentence that is shown for some seconds, and read aloud.
    pub said: RwSignal<Option<(u32, String)>>,
    /// What a screen reader is to read.
    pub announced: RwSignal<String>,
    /// Why nothing works.
    pub broken: RwSignal<Option<Broken>>,
}

impl App {
    /// Begins.
    pub fn start() {
        let root = browser::document().body().expect("a document has a body");
        // What was shown until now is the page's, not the client's.
        root.replace_children_with_node_0();
        leptos::mount::mount_to(root, || {
            let app = App::new();
            app.begin();
            move || app.draw()
        })
        .forget();
    }

    fn new() -> App {
        let hash = browser::window().location().hash().unwrap_or_default();
        let invited = invitation(&hash).map(str::to_owned);
        if invited.is_some() {
            show_address(&Place::Home);
        }
        App {
            standing: RwSignal::new(None),
            rooms: RwSignal::new(Vec::new()),
            people: RwSignal::new(Vec::new()),
            notices: RwSignal::new(Vec::new()),
            changed: RwSignal::new(0),
            place: RwSignal::new(Place::parse(&hash)),
            invitation: RwSignal::new(invited),
            words: RwSignal::new(None),
            overlay: RwSignal::new(None),
            panel: RwSignal::new(browser::is_wide()),
            echoes: RwSignal::new(Vec::new()),
            returned: RwSignal::new(Vec::new()),
            said: RwSignal::new(None),
            announced: RwSignal::new(String::new()),
            broken: RwSignal::new(None),
        }
    }

    fn begin(self) {
        let frame = Rc::new(Cell::new(false));
        let refresh = Rc::new(Once::default());
        let changed = move || {
            if frame.replace(true) {
                return;
            }
            let (frame, refresh) = (frame.clone(), refresh.clone());
            browser::on_frame(move || {
                frame.set(false);
                self.changed.update(|count| *count += 1);
                refresh.run(move || self.refresh());
            });
        };
        let failed = move || self.broken.set(Some(Broken::Core));
        let (now, looked_at) = (changed.clone(), changed.clone());
        if core::start(changed).is_err() || browser::core_has_failed() {
            failed();
        }
        browser::listen::<web_sys::Event>("tidings-core-failed", move |_| failed());
        now();
        // Whoever comes back sees what came meanwhile, and has seen it then.
        browser::listen::<web_sys::Event>("focus", move |_| looked_at());
        browser::listen::<web_sys::Event>("hashchange", move |_| {
            let hash = browser::window().location().hash().unwrap_or_default();
            if let Some(code) = invitation(&hash) {
                // An invitation that was opened where the page is already: it begins with it, as in a new tab.
                if self.me().is_none() {
                    return drop(browser::window().location().reload());
                }
                show_address(&self.place.get_untracked());
                return self.overlay.set(Some(Overlay::Invited(code.to_owned())));
            }
            self.place.set(Place::parse(&hash));
            // Where it lies above the conversation it would hide where one went.
            if !browser::is_wide() {
                set_if_other(self.panel, false);
            }
        });
        shell::listen_for_keys(self);
        keyboard::keep();
    }

    async fn refresh(self) {
        let (standing, rooms, people) = (core::ask(Ask::Standing), core::ask(Ask::Rooms), core::ask(Ask::People));
        match standing.await {
            Ok(Answer::Standing(standing)) => {
                set_if_other(self.broken, None);
                let is_first = self.standing.with_untracked(Option::is_none);
                set_if_other(self.standing, Some(standing));
                if is_first && self.me().is_some() {
                    self.answer_invitation();
                }
                spawn_local(outbox::adopt(self));
            }
            Err(trouble) => self.has_no_standing(trouble),
            Ok(_) => {}
        }
        if self.me().is_none() {
            return;
        }
        self.look_for_words().await;
        if let Ok(Answer::Rooms(rooms)) = rooms.await {
            notify::of_new_messages(self, &rooms);
            set_if_other(self.rooms, rooms);
        }
        if let Ok(Answer::People(people)) = people.await {
            set_if_other(self.people, people);
        }
        if let Ok(Answer::Notices(notices)) = core::ask(Ask::Notices(0)).await {
            set_if_other(self.notices, notices);
        }
    }

    /// The page was opened by an invitation, and there is an account here already.
    fn answer_invitation(self) {
        if let Some(code) = self.invitation.get_untracked() {
            self.invitation.set(None);
            self.overlay.set(Some(Overlay::Invited(code)));
        }
    }

    /// Words that nobody has confirmed are shown until somebody has, in whichever tab.
    async fn look_for_words(self) {
        let waiting = self.standing.with_untracked(|standing| standing.as_ref().is_some_and(|standing| standing.words));
        if waiting == self.words.with_untracked(Option::is_some) {
            return;
        }
        match core::ask(Ask::Words).await {
            Ok(Answer::Words(words)) => set_if_other(self.words, Some(words)),
            Ok(_) => set_if_other(self.words, None),
            Err(trouble) => self.say(trouble.text),
        }
    }

    fn has_no_standing(self, Trouble { text, kind }: Trouble) {
        if kind == UNREADABLE {
            return set_if_other(self.broken, Some(Broken::Stored(text)));
        }
        // Whoever is here already stays in front of what they have.
        if self.standing.with_untracked(Option::is_none) {
            set_if_other(self.broken, Some(Broken::Waiting(text)));
        }
        if !AGAIN_SOON.replace(true) {
            browser::after(AGAIN, move || {
                AGAIN_SOON.set(false);
                spawn_local(self.refresh());
            });
        }
    }

    fn draw(self) -> AnyView {
        let has_words = Memo::new(move |_| self.words.with(Option::is_some));
        let standing = Memo::new(move |_| self.standing.with(|standing| standing.as_ref().map(|standing| standing.me.is_some())));
        let broken = Memo::new(move |_| self.broken.get());
        // What is shown is not drawn anew for what it does not show.
        let page = move || match (broken.get(), has_words.get()) {
            (why, has_words) if why.is_some() || has_words => (why, has_words, None),
            (why, has_words) => (why, has_words, standing.get()),
        };
        parts::anew(page, move |page| match page {
            (Some(why), ..) => gate::broken(self, why),
            (_, true, _) => gate::words(self),
            (_, _, None) => gate::opening(),
            (_, _, Some(false)) => gate::gate(self),
            (_, _, Some(true)) => shell::shell(self),
        })
    }

    /// Who one is.
    pub fn me(self) -> Option<UserName> {
        self.standing.with_untracked(|standing| standing.as_ref()?.me.clone())
    }

    /// Goes somewhere.
    pub fn go(self, place: Place) {
        self.overlay.set(None);
        if self.place.with_untracked(|here| *here == place) {
            // Nothing comes onto the page that would take the keyboard.
            return browser::on_frame(|| browser::after(0, composer::take_keyboard));
        }
        // The address leads, so that the browser's own Back and Forward do too.
        browser::window().location().set_hash(&place.hash()).ok();
    }

    /// Asks, and does something with the answer; says what the trouble is, where there is any.
    pub fn ask(self, ask: Ask, then: impl FnOnce(Answer) + 'static) {
        spawn_local(async move {
            match core::ask(ask).await {
                Ok(answer) => then(answer),
                Err(trouble) => self.say(trouble.text),
            }
        });
    }

    /// The same of what is done to a group.
    pub fn deed(self, group: &Target, deed: Deed, then: impl FnOnce(Answer) + 'static) {
        self.ask(Ask::Group { group: group.clone(), deed, once: browser::once() }, then);
    }

    /// The same for a form, which shows its trouble itself.
    pub fn submit(self, ask: Ask, then: impl FnOnce(Result<Answer, Trouble>) + 'static) {
        spawn_local(async move { then(core::ask(ask).await) });
    }

    /// Shows a sentence for some seconds.
    pub fn say(self, text: impl Into<String>) {
        let number = self.said.with_untracked(|said| said.as_ref().map_or(0, |(number, _)| number + 1));
        self.said.set(Some((number, text.into())));
        browser::after(8000, move || {
            if self.said.with_untracked(|said| said.as_ref().is_some_and(|(shown, _)| *shown == number)) {
                self.said.set(None);
            }
        });
    }

    /// The conversation that one is in.
    pub fn line(self, target: &Target) -> Option<RoomLine> {
        self.rooms.with(|rooms| rooms.iter().find(|line| line.room.target == *target).cloned())
    }

    /// Somebody.
    pub fn person(self, user: &UserName) -> Option<Person> {
        self.people.with(|people| people.iter().find(|person| person.user == *user).cloned())
    }
}

/// Puts a place into the address instead of an invitation, whose code would be copied and kept there.
fn show_address(place: &Place) {
    browser::window().history().and_then(|history| history.replace_state_with_url(&"".into(), "", Some(&place.hash()))).ok();
}

/// Sets what has changed alone, so that nothing is drawn again that has not.
pub fn set_if_other<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.with_untracked(|before| *before != value) {
        signal.set(value);
    }
}

/// Does something once at a time: what is wanted meanwhile is done once more afterwards.
#[derive(Default)]
pub struct Once {
    running: Cell<bool>,
    again: Cell<bool>,
}

impl Once {
    /// Does it now, or as soon as what is being done is done.
    pub fn run<F: Future<Output = ()>>(self: &Rc<Self>, work: impl Fn() -> F + 'static) {
        if self.running.replace(true) {
            self.again.set(true);
            return;
        }
        let once = self.clone();
        spawn_local(async move {
            loop {
                work().await;
                if !once.again.replace(false) {
                    break;
                }
            }
            once.running.set(false);
        });
    }
}
