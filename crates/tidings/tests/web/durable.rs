//! Nothing that a person does in a page is lost, whatever ends: the tab with the core, the browser.

use crate::someone::{Someone, pages_of, world};
use std::path::Path;
use tidings_testbed::browser::{Browser, Page};
use tidings_testbed::world::World;

/// How many requests the browser has on disk that no core has answered.
const KEPT: &str = "new Promise((done, failed) => {
  const open = indexedDB.open('tidings');
  open.onerror = failed;
  open.onsuccess = () => {
    const count = open.result.transaction('kept').objectStore('kept').count();
    count.onsuccess = () => { open.result.close(); done(count.result); };
  };
})";

/// A tab without a client, which is the next to have the lock: while it is open no core begins.
async fn waits_for_the_lock(world: &World, browser: &Browser, server: &str) -> Page {
    let page = browser.open(&format!("{}tidings.json", pages_of(world, server))).await;
    page.reads("\"name\"").await;
    let ask =
        "globalThis.has = new Promise((has) => navigator.locks.request('tidings', () => { has(true); return new Promise(() => {}); })); 0";
    page.run(ask).await;
    page.until("navigator.locks.query().then((locks) => locks.pending.length > 0)").await;
    page
}

/// What the messages on a page say, from above.
async fn messages(page: &Page) -> String {
    page.run("[...document.querySelectorAll('article')].map((one) => one.innerText).join('\\n')").await.as_str().unwrap().to_owned()
}

/// How often they say it.
async fn says(page: &Page, words: &str) -> usize {
    messages(page).await.matches(words).count()
}

/// Whether a file below this folder has these bytes in it.
fn is_in_clear(folder: &Path, words: &[u8]) -> bool {
    std::fs::read_dir(folder).into_iter().flatten().flatten().any(|file| match file.path() {
        path if file.file_type().is_ok_and(|kind| kind.is_dir()) => is_in_clear(&path, words),
        path => std::fs::read(path).unwrap_or_default().windows(words.len()).any(|part| part == words),
    })
}

/// The tab with the core is closed, no other core has begun, somebody writes, and the browser is killed: all of it is sent, once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_between_two_cores_survives_a_killed_browser() {
    let world = world(&["s1"]).await;
    let (here, there) = (Browser::start().await, Browser::start().await);
    let alice = Someone::registers(&world, &here, "alice@s1").await;
    let bob = Someone::registers(&world, &there, "bob@s1").await;
    alice.goes_public().await;
    alice.page.reads("bob").await;
    let gap = waits_for_the_lock(&world, &here, "s1").await;
    let second = here.open(&pages_of(&world, "s1")).await;
    second.front().await;
    second.find("navigation", "Conversations").await;
    alice.page.close().await;
    let alice = Someone { name: alice.name, page: second, words: alice.words };
    alice.goes_to("bob@s1").await;
    assert_eq!(gap.run("globalThis.has").await, true, "the tab with the core is gone");
    // What is long takes longer to be put away.
    let said = [format!("The kestrel {}", "w".repeat(60_000)), "second".to_owned(), "third".to_owned()];
    for text in &said {
        alice.writes("bob@s1", text).await;
    }
    alice.page.until("document.body.innerText.split('Sending').length === 4").await;
    assert_eq!(alice.page.run(KEPT).await, 3);
    let here = here.killed().await;
    assert!(!is_in_clear(here.folder(), b"The kestrel"), "what is kept is sealed");
    let page = here.open(&pages_of(&world, "s1")).await;
    bob.page.reads("alice").await;
    bob.goes_to("alice@s1").await;
    bob.page.reads("third").await;
    page.until(&format!("{KEPT}.then((count) => count === 0)")).await;
    // And once more over all that: nothing is sent again.
    drop(page);
    let here = here.killed().await;
    let alice = Someone { name: alice.name, page: here.open(&pages_of(&world, "s1")).await, words: alice.words };
    alice.page.find("navigation", "Conversations").await;
    alice.goes_to("bob@s1").await;
    alice.writes("bob@s1", "fourth").await;
    bob.page.reads("fourth").await;
    for page in [&alice.page, &bob.page] {
        let text = messages(page).await;
        let places = ["The kestrel", "second", "third", "fourth"].map(|words| {
            assert_eq!(text.matches(words).count(), 1, "{words}");
            text.find(words)
        });
        assert!(places.is_sorted(), "in the order in which it was written: {places:?}");
    }
    bob.check();
}

/// A disk that is full: what cannot be kept is not sent, and stands in the composer again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_browser_cannot_store_stands_in_the_composer_again() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    alice.goes_public().await;
    alice.page.run("globalThis.add = IDBObjectStore.prototype.add; 0").await;
    alice.page.run("IDBObjectStore.prototype.add = () => { throw new DOMException('full', 'QuotaExceededError'); }; 0").await;
    alice.writes("Public chat", "precious").await;
    alice.page.reads("QuotaExceededError").await;
    alice.page.until("document.getElementById('composer').value === 'precious'").await;
    assert_eq!(says(&alice.page, "Sending").await + says(&alice.page, "Saving").await, 0, "nothing is shown as on its way");
    alice.page.run("IDBObjectStore.prototype.add = globalThis.add; 0").await;
    alice.page.press("Enter", false).await;
    alice.page.find("StaticText", "Sent").await;
    alice.page.until("document.getElementById('composer').value === ''").await;
    assert_eq!(says(&alice.page, "precious").await, 1);
}
