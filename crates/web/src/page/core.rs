//! This page's end of the channel to the client core, which is in this tab's Worker or in another's.

use super::outbox;
use futures_channel::oneshot;
use std::cell::RefCell;
use std::collections::HashMap;
use tidings_proto::UserName;
use tidings_view::ask::{Answer, Ask, Asked, Asker, CHANNEL, Told, Trouble, Unread};
use tidings_view::plain::sentence;
use wasm_bindgen::prelude::*;
use web_sys::{BroadcastChannel, MessageEvent};

thread_local! {
    /// A page has one core.
    static CORE: RefCell<Option<Core>> = const { RefCell::new(None) };
}

struct Core {
    channel: BroadcastChannel,
    page: String,
    next: u32,
    open: HashMap<u32, Open>,
    /// Whose page this is, as the core has said last.
    me: Option<UserName>,
}

/// A request without an answer: it is asked again when a core begins anew.
struct Open {
    json: String,
    answer: oneshot::Sender<Result<Answer, Trouble>>,
}

/// Listens. `changed` is called when something in the store or on the link has changed, and whenever a core begins.
/// The Worker was started by the page's script (`crates/bundle/scripts/page.js`), which has the page's one Trusted Types policy.
pub fn start(changed: impl Fn() + 'static) -> Result<(), JsValue> {
    let channel = BroadcastChannel::new(CHANNEL)?;
    let hear = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        let Some(json) = event.data().as_string() else { return };
        match serde_json::from_str::<Told>(&json).ok() {
            Some(Told::Answer { page, req, answer }) => deliver(&page, req, answer),
            Some(Told::Begun) => {
                ask_again();
                outbox::look_again();
                changed();
            }
            Some(Told::Changed) => changed(),
            None => {
                // What is no answer either is another page's request.
                if let Ok(Unread::Answer(Asker { page, req })) = serde_json::from_str(&json) {
                    let text = "The client is of another version than this page. Reload it.".to_owned();
                    deliver(&page, req, Err(Trouble { text, kind: 1 }));
                }
            }
        }
    });
    channel.set_onmessage(Some(hear.as_ref().unchecked_ref()));
    hear.forget();
    let core = Core { channel, page: super::browser::random(), next: 0, open: HashMap::new(), me: None };
    CORE.set(Some(core));
    Ok(())
}

/// Asks, and waits for as long as it takes: also for another tab's core to begin when this one's was closed.
pub async fn ask(ask: Ask) -> Result<Answer, Trouble> {
    match ask.once() {
        Some(_) => outbox::write(ask, || ()).await.0,
        None => post(None, ask)?.answer().await,
    }
}

/// A request that was asked.
pub struct Waiting(oneshot::Receiver<Result<Answer, Trouble>>);

impl Waiting {
    /// What comes of it.
    pub async fn answer(self) -> Result<Answer, Trouble> {
        self.0.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> Trouble {
    Trouble { text: "The client has not started. Reload the page.".into(), kind: 75 }
}

/// Asks now, after everything that was asked before.
pub fn post(whose: Option<UserName>, ask: Ask) -> Result<Waiting, Trouble> {
    let posted = CORE.with_borrow_mut(|core| {
        let core = core.as_mut()?;
        core.next += 1;
        let json = serde_json::to_string(&Asked { page: core.page.clone(), req: core.next, whose, ask }).ok()?;
        let (sender, answer) = oneshot::channel();
        core.channel.post_message(&json.as_str().into()).ok()?;
        core.open.insert(core.next, Open { json, answer: sender });
        Some(Waiting(answer))
    });
    posted.ok_or_else(gone)
}

/// Whose page this is.
pub fn me() -> Option<UserName> {
    CORE.with_borrow(|core| core.as_ref()?.me.clone())
}

fn deliver(page: &str, req: u32, answer: Result<Answer, Trouble>) {
    let open = CORE.with_borrow_mut(|core| {
        let core = core.as_mut().filter(|core| core.page == page)?;
        if let Ok(Answer::Standing(standing)) = &answer {
            core.me = standing.me.clone();
        }
        core.open.remove(&req)
    });
    if let Some(open) = open {
        let answer = answer.map_err(|Trouble { text, kind }| Trouble { text: sentence(&text), kind });
        // Whoever asked may have gone meanwhile.
        open.answer.send(answer).ok();
    }
}

fn ask_again() {
    CORE.with_borrow(|core| {
        let Some(core) = core else { return };
        let mut open: Vec<_> = core.open.iter().collect();
        open.sort_by_key(|(req, _)| **req);
        for (_, open) in open {
            // The channel is open as long as the page is.
            core.channel.post_message(&open.json.as_str().into()).ok();
        }
    });
}
