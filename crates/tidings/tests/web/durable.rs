//! Nothing that a person does in a page is lost, whatever ends: the tab with the core, the browser.

use crate::someone::{PASSWORD, Someone, confirms_words, pages_of, world};
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
    page.until("navigator.locks.query().then((locks) => locks.pending.some((lock) => lock.name === 'tidings'))").await;
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

/// "Sending" is said of what is on disk, and of nothing before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_shown_as_on_its_way_before_it_is_on_disk() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    alice.goes_public().await;
    let slow = "const given = SubtleCrypto.prototype.encrypt;
      SubtleCrypto.prototype.encrypt = async function (...asked) {
        await new Promise((go) => { globalThis.go = go; });
        return given.apply(this, asked);
      }; 0";
    alice.page.run(slow).await;
    alice.writes("Public chat", "the kestrel").await;
    alice.page.until("globalThis.go !== undefined").await;
    alice.page.reads("the kestrel").await;
    assert_eq!((says(&alice.page, "Saving").await, says(&alice.page, "Sending").await, says(&alice.page, "Sent").await), (1, 0, 0));
    assert_eq!(alice.page.run(KEPT).await, 0);
    alice.page.run("globalThis.go()").await;
    alice.page.find("StaticText", "Sent").await;
    alice.check();
}

/// What a page keeps is nothing to whoever reads the browser's database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_page_keeps_is_sealed() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    alice.goes_public().await;
    let look = "const given = IDBObjectStore.prototype.add; globalThis.kept = [];
      IDBObjectStore.prototype.add = function (record) { globalThis.kept.push(record); return given.call(this, record); }; 0";
    alice.page.run(look).await;
    alice.writes("Public chat", "the kestrel").await;
    alice.page.find("StaticText", "Sent").await;
    let read = "globalThis.kept.map((record) => Object.values(record).map((part) => new TextDecoder('latin1').decode(part)).join()).join()";
    let read = alice.page.run(read).await.as_str().unwrap().to_owned();
    assert!(read.len() > "the kestrel".len(), "the control: this is where it goes by");
    for words in ["the kestrel", "alice", "send", "public"] {
        assert!(!read.contains(words), "{words}");
    }
    alice.check();
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
    alice.page.press("Enter").await;
    alice.page.find("StaticText", "Sent").await;
    alice.page.until("document.getElementById('composer').value === ''").await;
    assert_eq!(says(&alice.page, "precious").await, 1);
}

/// A Worker that ends without a word, in the only tab: another one goes on, and what was written meanwhile is sent. But not for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_core_that_ends_is_followed_by_another_one_a_few_times() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    alice
        .page
        .prepare(
            "const Given = Worker; globalThis.cores = [];
             globalThis.Worker = class extends Given { constructor(...given) { super(...given); globalThis.cores.push(this); } };",
        )
        .await;
    alice.page.reload().await;
    alice.goes_public().await;
    const BEGUN: &str = "navigator.locks.query().then((locks) => locks.pending.some((lock) => lock.name.startsWith('tidings-')))";
    for ends in 1..=3 {
        alice.page.until(BEGUN).await;
        alice.page.run("globalThis.cores.at(-1).terminate()").await;
        alice.writes("Public chat", &format!("after end {ends}")).await;
        alice.page.until(&format!("globalThis.cores.length === {}", ends + 1)).await;
        alice.page.until(&format!("document.body.innerText.split('Sent').length === {}", ends + 1)).await;
    }
    alice.page.until(BEGUN).await;
    alice.page.run("globalThis.cores.at(-1).terminate()").await;
    alice.page.reads("Tidings has stopped here").await;
    assert_eq!(alice.page.run("globalThis.cores.length").await, 4, "no more than three in a minute");
    alice.page.click("button", "Reload").await;
    alice.page.reads("after end 3").await;
}

/// What was done is not done again by the next core, though no answer has come: each deed has a name of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deed_that_was_done_and_not_answered_is_not_done_again() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    // Answers about what was written get lost, as they do between two cores.
    alice
        .page
        .prepare(
            "globalThis.deaf = false;
             const given = Object.getOwnPropertyDescriptor(BroadcastChannel.prototype, 'onmessage');
             Object.defineProperty(BroadcastChannel.prototype, 'onmessage', { set(hear) {
               given.set.call(this, (event) => {
                 const done = JSON.parse(event.data).answer?.answer?.Ok;
                 if (!(globalThis.deaf && (done?.written !== undefined || done?.group !== undefined))) hear(event);
               });
             } });
             const Given = Worker; globalThis.cores = [];
             globalThis.Worker = class extends Given { constructor(...given) { super(...given); globalThis.cores.push(this); } };",
        )
        .await;
    alice.page.reload().await;
    alice.page.find("navigation", "Conversations").await;
    let another_core = async || {
        alice.page.until("navigator.locks.query().then((locks) => locks.pending.some((lock) => lock.name.startsWith('tidings-')))").await;
        alice.page.run("globalThis.deaf = false; globalThis.cores.at(-1).terminate()").await;
        alice.page.until(&format!("{KEPT}.then((count) => count === 0)")).await;
    };
    alice.page.run("globalThis.deaf = true").await;
    alice.page.click("button", "New group").await;
    alice.page.fill("textbox", "Name of the group", "Plans").await;
    alice.page.press("Enter").await;
    alice.page.reads("1 person").await;
    another_core().await;
    alice.page.press("Escape").await;
    alice.goes_to("Plans").await;
    alice.page.reads("called the group “Plans”").await;
    let groups = alice.page.names("link").await.into_iter().filter(|name| name.starts_with("Plans")).count();
    assert_eq!(groups, 1);

    alice.page.run("globalThis.deaf = true").await;
    alice.page.click("button", "Rename").await;
    alice.page.fill("textbox", "Name of the group", "Better plans").await;
    alice.page.press("Enter").await;
    alice.page.reads("called the group “Better plans”").await;
    another_core().await;
    // What comes after it is there: so would be what was done twice.
    alice.writes("Better plans", "after that").await;
    alice.page.find("StaticText", "Sent").await;
    let text = alice.timeline().await;
    assert_eq!(text.matches("called the group “Better plans”").count(), 1, "{text}");
}

/// The browser ends before the words were written down: they are shown again, until somebody has confirmed them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery_words_are_shown_until_they_are_confirmed() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let page = browser.open(&pages_of(&world, "s1")).await;
    page.click("button", "Create an account").await;
    page.fill("textbox", "Name", "alice").await;
    page.fill("textbox", "Password", PASSWORD).await;
    page.fill("textbox", "Password again", PASSWORD).await;
    page.click("button", "Create account").await;
    let words = page.items("Recovery words").await.join(" ");
    drop(page);
    let browser = browser.killed().await;
    assert!(!is_in_clear(browser.folder(), words.as_bytes()), "they are sealed");
    let page = browser.open(&pages_of(&world, "s1")).await;
    assert_eq!(confirms_words(&page).await, words);
    page.find("navigation", "Conversations").await;
    page.reload().await;
    page.find("navigation", "Conversations").await;
    assert!(!page.text().await.contains("Your recovery words"));
}

/// The key that sealed what is stored is gone: the page says so, and what is stored can be deleted, so that one can log in anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_opened_any_more_can_be_deleted() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    let forgets =
        "new Promise((done, failed) => Object.assign(indexedDB.deleteDatabase('tidings'), { onsuccess: () => done(1), onerror: failed }))";
    alice.page.run(forgets).await;
    let browser = browser.killed().await;
    let page = browser.open(&pages_of(&world, "s1")).await;
    page.reads("What is stored here cannot be opened").await;
    page.click("button", "Delete what is stored in this browser").await;
    page.click("button", "Delete everything").await;
    page.fill("textbox", "Name", "alice").await;
    page.fill("textbox", "Password", PASSWORD).await;
    page.click("button", "Log in").await;
    page.find("navigation", "Conversations").await;
}

/// Two versions meet, of a page and of a core: neither waits for what it will never understand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_version_says_is_the_end_of_a_request_too() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    let asks = "new Promise((done) => {
      const channel = new BroadcastChannel('tidings');
      channel.onmessage = ({ data }) => { const told = JSON.parse(data).answer; if (told?.page === 'x') done(told.answer.Err.text); };
      channel.postMessage(JSON.stringify({ page: 'x', req: 1, whose: null, ask: { of_tomorrow: { a: 1 } } }));
    })";
    assert!(alice.page.run(asks).await.as_str().unwrap().contains("another version"));
    // Nobody has the core but who answers like that.
    let gap = waits_for_the_lock(&world, &browser, "s1").await;
    let second = browser.open(&pages_of(&world, "s1")).await;
    second.front().await;
    second.click("button", "Open the public chat").await;
    alice.page.close().await;
    assert_eq!(gap.run("globalThis.has").await, true);
    let answers = "const channel = new BroadcastChannel('tidings');
      channel.onmessage = ({ data }) => {
        const { page, req, ask } = JSON.parse(data);
        if (ask) channel.postMessage(JSON.stringify({ answer: { page, req, answer: { Ok: { of_tomorrow: [] } } } }));
      }; 0";
    gap.run(answers).await;
    second.fill("textbox", "Message to Public chat", "to nobody").await;
    second.press("Enter").await;
    second.reads("another version").await;
    second.until("document.getElementById('composer').value === 'to nobody'").await;
}
