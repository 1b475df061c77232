//! What a person has written, from before it is shown as on its way until the core has answered: on disk, so that it is asked again by this page,
//! or by the next one that is opened. It is asked in the order in which it was written, and done once by its name.

use super::app::App;
use super::{browser, core};
use crate::rows::Echo;
use leptos::prelude::*;
use std::cell::{Cell, RefCell};
use tidings_proto::UserName;
use tidings_sealed::Number;
use tidings_view::Target;
use tidings_view::ask::{Answer, Ask, Kept, Once, Trouble};
use tokio::sync::Mutex;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

/// Whoever keeps and asks something has this: it waits its turn.
static TURN: Mutex<()> = Mutex::const_new(());

thread_local! {
    /// What this page keeps.
    static MINE: RefCell<Vec<Number>> = const { RefCell::new(Vec::new()) };
    /// Whether what other pages have left behind is to be looked for.
    static LOOK: Cell<bool> = const { Cell::new(true) };
}

/// Something on disk, for as long as this lives.
pub struct Hold(Option<Number>);

impl Hold {
    fn on(number: Number) -> Hold {
        MINE.with_borrow_mut(|mine| mine.push(number));
        Hold(Some(number))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(number) = self.0 else { return };
        spawn_local(async move {
            // What stays is asked once more, and was done.
            tidings_sealed::drop_kept(number).await.ok();
            MINE.with_borrow_mut(|mine| mine.retain(|one| *one != number));
        });
    }
}

/// What the core has not taken.
pub struct Returned {
    /// It.
    pub ask: Ask,
    /// Until it stands somewhere again.
    pub hold: Hold,
}

/// Writes: keeps it, says so to `kept`, asks. What it comes to, and what keeps it until then.
pub async fn write(ask: Ask, kept: impl FnOnce()) -> (Result<Answer, Trouble>, Hold) {
    let turn = TURN.lock().await;
    let asked = match core::me() {
        Some(whose) => keep(Kept { whose, at: browser::now(), ask }).await,
        None => Err(trouble("Nobody is logged in here any more.".into())),
    };
    let (whose, ask, hold) = match asked {
        Ok(asked) => asked,
        Err(trouble) => return (Err(trouble), Hold(None)),
    };
    kept();
    let waiting = core::post(Some(whose), ask);
    drop(turn);
    match waiting {
        Ok(waiting) => (waiting.answer().await, hold),
        Err(trouble) => (Err(trouble), hold),
    }
}

async fn keep(kept: Kept) -> Result<(UserName, Ask, Hold), Trouble> {
    let refused = |why: String| trouble(format!("This browser cannot store it ({why}), so it was not sent. Make room, and send it again."));
    let bytes = serde_json::to_vec(&kept).map_err(|error| refused(error.to_string()))?;
    let number = tidings_sealed::keep(&bytes).await.map_err(|error| refused(said(&error)))?;
    Ok((kept.whose, kept.ask, Hold::on(number)))
}

fn trouble(text: String) -> Trouble {
    Trouble { text, kind: 74 }
}

fn said(error: &JsValue) -> String {
    let field = |name: &str| js_sys::Reflect::get(error, &name.into()).ok()?.as_string().filter(|text| !text.is_empty());
    error.as_string().or_else(|| field("name")).unwrap_or_else(|| "it does not say why".into())
}

/// Shows a message at once, and writes it. What is not taken goes back to where it was written.
pub fn hand_over(app: App, ask: Ask, kept: impl FnOnce() + 'static) {
    let (Some(whose), Some(echo)) = (core::me(), Echo::of(&ask, browser::now())) else { return };
    let once = echo.once.clone();
    app.echoes.update(|echoes| echoes.push(echo));
    spawn_local(async move {
        let of = once.clone();
        let on_disk = move || {
            on_echo(app, &of, |echo| echo.kept = true);
            kept();
        };
        let (answer, hold) = write(ask.clone(), on_disk).await;
        settle(app, &whose, ask, answer, hold);
    });
}

fn on_echo(app: App, once: &Once, change: impl Fn(&mut Echo)) {
    app.echoes.update(|echoes| echoes.iter_mut().filter(|echo| echo.once == *once).for_each(change));
}

/// The core shows it from now on; or it goes back.
fn settle(app: App, whose: &UserName, ask: Ask, answer: Result<Answer, Trouble>, hold: Hold) {
    let Some(once) = ask.once().cloned() else { return };
    match answer {
        Ok(Answer::Written(id)) => on_echo(app, &once, |echo| echo.written = Some(id)),
        Ok(_) => {}
        Err(trouble) => {
            app.echoes.update(|echoes| echoes.retain(|echo| echo.once != once));
            app.say(trouble.text);
            // Only what somebody has composed has a place to go back to.
            if core::me().as_ref() == Some(whose) && Echo::of(&ask, 0).is_some() {
                app.returned.update(|all| all.push(Returned { ask, hold }));
            }
        }
    }
}

/// Takes out what goes back to a conversation's composer.
pub fn returned_to(app: App, target: &Target) -> Vec<Returned> {
    let is_there =
        |returned: &mut Returned| matches!(&returned.ask, Ask::Send { target: to, .. } | Ask::SendFile { target: to, .. } if to == target);
    app.returned.try_update_untracked(|all| all.extract_if(.., is_there).collect()).unwrap_or_default()
}

/// A core has begun: whoever was asked before may have gone, and the page that asked too.
pub fn look_again() {
    LOOK.set(true);
}

/// Asks what pages that are gone have kept, as if it had been written here.
pub async fn adopt(app: App) {
    let Some(me) = core::me() else { return };
    if !LOOK.replace(false) {
        return;
    }
    let _turn = TURN.lock().await;
    // A browser that does not say has nothing that could be asked.
    for (number, bytes) in tidings_sealed::kept().await.unwrap_or_default() {
        if MINE.with_borrow(|mine| mine.contains(&number)) {
            continue;
        }
        let hold = Hold::on(number);
        let kept = bytes.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        // Whoever has logged out has left it behind.
        let Some(Kept { whose, at, ask }) = kept.filter(|kept| kept.whose == me) else { continue };
        if let Some(echo) = Echo::of(&ask, at) {
            app.echoes.update(|echoes| echoes.push(Echo { kept: true, ..echo }));
        }
        let waiting = core::post(Some(whose.clone()), ask.clone());
        spawn_local(async move {
            let answer = match waiting {
                Ok(waiting) => waiting.answer().await,
                Err(trouble) => Err(trouble),
            };
            settle(app, &whose, ask, answer, hold);
        });
    }
}
