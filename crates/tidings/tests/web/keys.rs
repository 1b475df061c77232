//! Whose key it is: compared, verified, changed, accepted.

use crate::screens::pictures;
use crate::someone::{Someone, about_to_talk, operator, world};
use tidings_testbed::browser::{Browser, Page};

/// The 60 digits, as they stand in what is known about somebody.
async fn number(page: &Page) -> String {
    let section = page.find("region", "Safety number").await;
    let text = page.of(section, "function () { return this.innerText; }").await;
    let digits: String = text.as_str().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    // A name may have digits too, and stands before the number.
    digits[digits.len() - 60..].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_key_stops_what_is_written_until_it_is_accepted() {
    let world = world(&["s1", "s2"]).await;
    let (here, there) = (Browser::start().await, Browser::start().await);
    let (alice, bob) = about_to_talk(&world, &here, &there).await;
    alice.writes("bob@s2", "for the first bob").await;
    bob.page.reads("alice").await;
    bob.goes_to("alice@s1").await;
    bob.page.reads("for the first bob").await;

    // What both see is the same, and to have compared it is shown.
    alice.page.find("DisclosureTriangle", "Encrypted, classic RSA").await;
    let first = number(&alice.page).await;
    assert_eq!((first.len(), &first), (60, &number(&bob.page).await));
    alice.page.find("image", "The safety number as a QR code").await;
    alice.page.click("button", "It is the same").await;
    alice.page.find("button", "Take that back").await;
    alice.page.find("DisclosureTriangle", "Verified").await;

    // Bob has lost everything; the operator lets him begin anew.
    drop((bob, there));
    let address = world.address("s2").to_string();
    let reset = operator(&world, "s2", &["user", "reset", "bob", "--address", &address]).await;
    let again = Browser::start().await;
    let page = again.open(reset["link"].as_str().unwrap()).await;
    let bob = Someone::signs_up(page, "bob@s2", "bob").await;

    alice.page.reads("The key of bob@s2 has changed.").await;
    alice.page.gone("textbox", "Message to bob@s2").await;
    assert!(!alice.page.text().await.contains("Verified"), "who was compared was somebody else");
    pictures(&alice.page, "key-changed").await;
    alice.page.click("button", "Compare the safety number").await;
    alice.page.find("dialog", "Person").await;
    pictures(&alice.page, "safety-number").await;
    let second = number(&alice.page).await;
    assert_ne!(first, second);
    alice.page.press("Escape").await;
    alice.page.gone("dialog", "Person").await;
    alice.page.click("button", "Accept the new key").await;
    alice.writes("bob@s2", "for whoever bob is now").await;
    bob.page.reads("alice").await;
    bob.goes_to("alice@s1").await;
    bob.page.reads("for whoever bob is now").await;
    assert!(!bob.page.text().await.contains("for the first bob"));
    assert!(!alice.page.text().await.contains("Verified"), "accepted is not compared");
    assert_eq!(number(&bob.page).await, second);
    // What happened is written down.
    alice.goes_to("Settings").await;
    alice.page.find("region", "What happened to keys").await;
    alice.page.gone("StaticText", "Nothing has happened to anybody's keys.").await;
    pictures(&alice.page, "settings").await;
    alice.check();
    bob.check();
}
