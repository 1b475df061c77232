//! This page's end of the channel to the client core, which is in this tab's Worker or in another's.

use futures_channel::oneshot;
use std::cell::RefCell;
use std::collections::HashMap;
use tidings_view::ask::{Answer, Ask, Asked, CHANNEL, Told, Trouble};
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
}

/// A request without an answer: it is asked again when a core begins anew.
struct Open {
    json: String,
    /// Whether something of a person's would be lost with it.
    writes: bool,
    answer: oneshot::Sender<Result<Answer, Trouble>>,
}

/// Listens. `changed` is called when something in the store or on the link has changed, and whenever a core begins.
/// The Worker was started by the page's script (`crates/bundle/scripts/page.js`), which has the page's one Trusted Types policy.
pub fn start(changed: impl Fn() + 'static) -> Result<(), JsValue> {
    let channel = BroadcastChannel::new(CHANNEL)?;
    let hear = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        // What is no `Told` is another page's request.
        let told = event.data().as_string().and_then(|json| serde_json::from_str::<Told>(&json).ok());
        match told {
            Some(Told::Answer { page, req, answer }) => deliver(&page, req, answer),
            Some(Told::Begun) => {
                ask_again();
                changed();
            }
            Some(Told::Changed) => changed(),
            None => {}
        }
    });
    channel.set_onmessage(Some(hear.as_ref().unchecked_ref()));
    hear.forget();
    warn_who_leaves();
    let core = Core { channel, page: super::browser::random(), next: 0, open: HashMap::new() };
    CORE.set(Some(core));
    Ok(())
}

/// Between two cores, when the tab that had one was closed, what is written is here alone: the browser asks before it lets that go.
fn warn_who_leaves() {
    let leaving = Closure::<dyn Fn(web_sys::Event)>::new(|event: web_sys::Event| {
        if CORE.with_borrow(|core| core.as_ref().is_some_and(|core| core.open.values().any(|open| open.writes))) {
            event.prevent_default();
        }
    });
    // A window takes every listener.
    super::browser::window().add_event_listener_with_callback("beforeunload", leaving.as_ref().unchecked_ref()).ok();
    leaving.forget();
}

/// Asks, and waits for as long as it takes: also for another tab's core to begin when this one's was closed.
pub async fn ask(ask: Ask) -> Result<Answer, Trouble> {
    let gone = || Trouble { text: "The client has not started. Reload the page.".into(), kind: 75 };
    let answer = CORE.with_borrow_mut(|core| {
        let core = core.as_mut()?;
        core.next += 1;
        let writes = matches!(ask, Ask::Send { .. } | Ask::SendFile { .. } | Ask::CreateGroup { .. } | Ask::Group { .. } | Ask::Erase(_));
        let json = serde_json::to_string(&Asked { page: core.page.clone(), req: core.next, ask }).ok()?;
        let (sender, answer) = oneshot::channel();
        core.channel.post_message(&json.as_str().into()).ok()?;
        core.open.insert(core.next, Open { json, writes, answer: sender });
        Some(answer)
    });
    answer.ok_or_else(gone)?.await.unwrap_or_else(|_| Err(gone()))
}

fn deliver(page: &str, req: u32, answer: Result<Answer, Trouble>) {
    let open = CORE.with_borrow_mut(|core| core.as_mut().filter(|core| core.page == page)?.open.remove(&req));
    if let Some(open) = open {
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
