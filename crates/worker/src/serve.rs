//! Requests from pages in, answers out; and the word to all of them that something has changed.

use crate::site::{Site, host};
use crate::{answer, words, worker};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tidings_client::{Client, ClientError};
use tidings_view::ask::{Answer, Ask, Asked, Asker, CHANNEL, Told, Trouble, UNREADABLE};
use tokio::sync::Mutex;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{BroadcastChannel, MessageEvent};

/// The profile of this origin.
pub const PROFILE: &str = "account";
/// One frame on a screen: pages are told no more often that something has changed.
const FRAME: Duration = Duration::from_millis(16);
/// How often, and how many times, the file system is tried: a Worker that is ending may still have hold of it.
const AGAIN: (Duration, u32) = (Duration::from_millis(100), 100);

/// What all requests share.
pub struct Core {
    channel: BroadcastChannel,
    /// The account, once there is one.
    client: RefCell<Option<Client>>,
    /// What the server has said of itself last.
    site: RefCell<Option<Site>>,
    /// Whether it is being asked, for somebody who does not wait for it.
    asking: Cell<bool>,
    /// Whoever makes or ends an account has this: one at a time.
    pub coming: Mutex<()>,
    /// Whoever writes has this: messages are written in the order in which they came.
    writing: Mutex<()>,
}

/// Serves until the Worker ends.
pub async fn serve() {
    let Ok(channel) = BroadcastChannel::new(CHANNEL) else { return };
    let core = Rc::new(Core {
        channel,
        client: RefCell::new(None),
        site: RefCell::new(None),
        asking: Cell::new(false),
        coming: Mutex::new(()),
        writing: Mutex::new(()),
    });
    let opened = open(&core).await;
    let of = core.clone();
    let broken = opened.err();
    let listen = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let Some(text) = event.data().as_string() else { return };
        match (serde_json::from_str::<Asked>(&text), serde_json::from_str::<Asker>(&text)) {
            (Ok(asked), _) => wasm_bindgen_futures::spawn_local(one(of.clone(), asked, broken.clone())),
            (_, Ok(Asker { page, req })) => {
                let text = "This page is of another version than the one that has the client. Reload it.".to_owned();
                of.tell(&Told::Answer { page, req, answer: Err(Trouble { text, kind: 1 }) });
            }
            // Another core's answer.
            _ => {}
        }
    });
    core.channel.set_onmessage(Some(listen.as_ref().unchecked_ref()));
    listen.forget();
    core.tell(&Told::Begun);
}

async fn one(core: Rc<Core>, asked: Asked, broken: Option<ClientError>) {
    let Asked { page, req, whose, ask } = asked;
    let wrong_secret = words::wrong_secret(&ask);
    let _turn = match ask.once() {
        Some(_) => Some(core.writing.lock().await),
        None => None,
    };
    let readable = broken.as_ref().is_none_or(|error| !is_unreadable(error));
    let forget = !readable && matches!(ask, Ask::Forget);
    let answer = match (broken, whose) {
        (Some(_), _) if forget => forget_all().await.map(|()| Answer::Done),
        // Without a store there is nothing to ask.
        (Some(error), _) => Err(error),
        (None, Some(whose)) if core.any_client().is_none_or(|client| client.me() != whose) => {
            Err(ClientError::Usage(format!("this was written by {whose}, who is not logged in here any more")))
        }
        (None, _) => answer::answer(&core, ask).await,
    };
    let kind = |error: &ClientError| if readable { error.exit_code() } else { UNREADABLE };
    let answer = answer.map_err(|error| Trouble { text: words::of(&error, wrong_secret), kind: kind(&error) });
    let done = answer.is_ok();
    core.tell(&Told::Answer { page, req, answer });
    if forget && done {
        // The page's script starts another, which finds nothing stored.
        worker().close();
    }
}

/// Whether nothing can be done about it but to begin anew.
fn is_unreadable(error: &ClientError) -> bool {
    matches!(error, ClientError::SealedAway | ClientError::Profile { .. } | ClientError::Store(_))
}

/// Deletes what is stored of this origin, and the key with which it was sealed.
async fn forget_all() -> Result<(), ClientError> {
    tidings_client::forget_stored(Path::new(PROFILE)).await
}

/// Opens what is stored of this origin, if anything is.
async fn open(core: &Rc<Core>) -> Result<(), ClientError> {
    let (pause, mut tries) = AGAIN;
    while let Err(error) = tidings_client::prepare().await {
        tries = tries.checked_sub(1).ok_or(error)?;
        gloo_timers::future::sleep(pause).await;
    }
    match Client::open(Path::new(PROFILE)) {
        Ok(client) => core.has(client).await,
        Err(ClientError::NoAccount(_) | ClientError::Unfinished(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Core {
    /// There is an account: links it, and tells pages what happens to it.
    pub async fn has(self: &Rc<Core>, client: Client) -> Result<(), ClientError> {
        // The pages' own server, wherever it is now.
        if client.endpoint().address != host() {
            client.set_address(&host()).await?;
        }
        client.connect();
        let (core, mut changes) = (self.clone(), client.changes());
        self.client.replace(Some(client));
        self.tell(&Told::Changed);
        wasm_bindgen_futures::spawn_local(async move {
            while changes.changed().await.is_ok() {
                core.tell(&Told::Changed);
                gloo_timers::future::sleep(FRAME).await;
            }
        });
        Ok(())
    }

    /// There is none any more.
    pub fn has_none(&self) {
        self.client.take();
        self.tell(&Told::Changed);
    }

    /// The account.
    pub fn client(&self) -> Result<Client, ClientError> {
        self.any_client().ok_or_else(|| ClientError::NoAccount(PROFILE.into()))
    }

    /// The account, if there is one.
    pub fn any_client(&self) -> Option<Client> {
        self.client.borrow().clone()
    }

    /// What the server says of itself; once it was heard it is not asked again.
    pub async fn site(&self) -> Result<Site, ClientError> {
        if let Some(site) = self.site.borrow().clone() {
            return Ok(site);
        }
        let site = Site::fetch().await?;
        self.site.replace(Some(site.clone()));
        Ok(site)
    }

    /// The same for whoever can do without: it is asked meanwhile where it is not known, and pages are told once it is.
    pub fn known_site(self: &Rc<Core>) -> Option<Site> {
        let known = self.site.borrow().clone();
        if known.is_none() && !self.asking.replace(true) {
            let core = self.clone();
            wasm_bindgen_futures::spawn_local(async move {
                if core.site().await.is_ok() {
                    core.tell(&Told::Changed);
                }
                core.asking.set(false);
            });
        }
        known
    }

    fn tell(&self, told: &Told) {
        if let Ok(text) = serde_json::to_string(told) {
            // A channel that is open takes every text.
            let _ = self.channel.post_message(&text.into());
        }
    }
}
