//! What somebody who looks elsewhere is told, what was not read yet, and what was not written to its end.

use crate::someone::{Someone, pages_of, world};
use tidings_testbed::browser::Browser;
use tidings_testbed::person::with;

/// The system's notifications cannot be seen from here: what the page asks the system to show is written down on its way.
const HEAR: &str = "globalThis.told = []; globalThis.Notification = class extends Notification {
    constructor(title, options) { super(title, options); globalThis.told.push(`${title}: ${options?.body}`); }
    close() { super.close(); globalThis.told.push('taken back'); }
};";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_elsewhere_is_told_where_and_not_what() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    browser.permits(&pages_of(&world, "s1"), &["notifications"]).await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    let bob = world.person("bob@s1").await;
    let with_alice = with(&alice.name.parse().unwrap());
    alice.page.prepare(HEAR).await;
    alice.page.reload().await;
    alice.goes_to("Settings").await;
    let ask = alice.page.begins("checkbox", "Notify me").await;
    alice.page.click("checkbox", &ask).await;
    alice.goes_to("Public chat").await;
    alice.page.find("textbox", "Message to Public chat").await;

    // Another tab is before it.
    let other = browser.open("about:blank").await;
    other.front().await;
    alice.page.until("document.hidden || !document.hasFocus()").await;
    bob.writes(&with_alice, "the secret of the kestrel").await;
    alice.page.until("globalThis.told.length === 1").await;
    assert_eq!(alice.page.run("globalThis.told[0]").await, "bob@s1: New message", "where, and not what");
    alice.page.until("document.title === '(1) Tidings'").await;
    bob.writes(&with_alice, "and of the owl").await;
    alice.page.until("document.title === '(2) Tidings'").await;

    // Back again: the list says so, and what is new stands below a line.
    alice.page.front().await;
    alice.page.until("!document.hidden && document.hasFocus()").await;
    let unread = alice.page.begins("link", "bob@s1").await;
    assert!(unread.contains("2 unread"), "{unread}");
    alice.goes_to("bob@s1").await;
    alice.page.reads("and of the owl").await;
    alice.page.find("separator", "New messages").await;
    let text = alice.page.text().await;
    let (line, first) = (text.find("New\n").expect("the line"), text.find("the secret of the kestrel").expect("the message"));
    assert!(line < first, "{text}");
    alice.page.until("document.title === 'Tidings'").await;
    assert!(!alice.page.text().await.contains("unread"));
    assert_eq!(alice.page.run("globalThis.told.at(-1)").await, "taken back", "what was read is nothing new");

    // What is read in another tab is taken back too.
    alice.goes_to("Public chat").await;
    let second = browser.open(&pages_of(&world, "s1")).await;
    second.front().await;
    second.find("navigation", "Conversations").await;
    alice.page.until("document.hidden || !document.hasFocus()").await;
    bob.writes(&with_alice, "read it there").await;
    alice.page.until("globalThis.told.at(-1) === 'bob@s1: New message'").await;
    second.click_what_begins("link", "bob@s1").await;
    second.reads("read it there").await;
    alice.page.until("globalThis.told.at(-1) === 'taken back'").await;
    second.close().await;
    alice.page.front().await;
    alice.page.until("!document.hidden && document.hasFocus()").await;
    alice.goes_to("bob@s1").await;
    alice.page.reads("read it there").await;

    // What one looks at is not told.
    let told = alice.page.run("globalThis.told.length").await;
    bob.writes(&with_alice, "you are looking").await;
    alice.page.reads("you are looking").await;
    alice.page.until("document.title === 'Tidings'").await;
    assert_eq!(alice.page.run("globalThis.told.length").await, told);
    alice.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_sent_yet_waits_where_it_was_written() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    alice.goes_public().await;
    alice.page.fill("textbox", "Message to Public chat", "half a thought").await;
    alice.goes_to("alice@s1").await;
    alice.page.reads("Draft: half a thought").await;
    alice.page.fill("textbox", "Message to alice@s1", "a note").await;
    alice.goes_to("Public chat").await;
    alice.page.find("textbox", "Message to Public chat").await;
    assert_eq!(alice.page.value("textbox", "Message to Public chat").await, "half a thought");
    alice.page.fill("textbox", "Message to Public chat", "half a thought, and more").await;
    alice.page.reads("Draft: a note").await;
    // As long as it takes to be kept; a reload then changes nothing.
    alice.goes_to("Settings").await;
    alice.page.reads("Draft: half a thought, and more").await;
    alice.page.reload().await;
    alice.goes_to("Public chat").await;
    alice.page.find("textbox", "Message to Public chat").await;
    assert_eq!(alice.page.value("textbox", "Message to Public chat").await, "half a thought, and more");
    alice.page.press("Enter").await;
    alice.page.find("StaticText", "Sent").await;
    alice.goes_to("alice@s1").await;
    assert_eq!(alice.page.value("textbox", "Message to alice@s1").await, "a note");
    alice.goes_to("Settings").await;
    alice.page.reads("Draft: a note").await;
    assert!(!alice.page.text().await.contains("Draft: half"));
    alice.check();
}
