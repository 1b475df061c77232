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
    alice.page.find("DisclosureTriangle", "Encrypted, MLS").await;
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
    alice
        .page
        .reads("The account was begun anew, with other keys, on its server\u{27}s word: whether it is the same person, only they can say.")
        .await;
    alice.page.gone("textbox", "Message to bob@s2").await;
    assert!(!alice.page.text().await.contains("Verified"), "who was compared was somebody else");
    pictures(&alice.page, "key-changed").await;
    alice.page.click("button", "Compare the safety number").await;
    alice.page.find("dialog", "Safety number").await;
    alice.page.find("image", "The safety number as a QR code").await;
    let last = alice.page.find("button", "It is the same: accept it").await;
    for (width, height) in [(1280, 800), (800, 600), (360, 640)] {
        alice.page.looks(width, height, false).await;
        let in_sight =
            "function () { const at = (one) => one.getBoundingClientRect(); return at(this).bottom <= at(this.closest('dialog')).bottom; }";
        assert_eq!(alice.page.of(last, in_sight).await, true, "nobody has to scroll to it at {width}");
    }
    pictures(&alice.page, "safety-number").await;
    assert!(alice.page.all("button", "Private chat").await.is_empty(), "that is where one is");
    let second = number(&alice.page).await;
    assert_ne!(first, second);
    alice.page.press("Escape").await;
    alice.page.gone("dialog", "Safety number").await;
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
    alice.page.gone("StaticText", "Nothing has happened to anybody’s keys.").await;
    pictures(&alice.page, "settings").await;

    // Who is compared is verified in one step, also where the key is new; and a closed account is no alarm.
    let reset = operator(&world, "s2", &["user", "reset", "bob", "--address", &address]).await;
    let third = Browser::start().await;
    let page = third.open(reset["link"].as_str().unwrap()).await;
    Someone::signs_up(page, "bob@s2", "bob").await;
    alice.goes_to("bob@s2").await;
    alice.page.click("button", "Compare the safety number").await;
    alice.page.click("button", "It is the same: accept it").await;
    alice.page.find("button", "Take that back").await;
    alice.page.press("Escape").await;
    alice.page.find("DisclosureTriangle", "Verified").await;
    alice.page.find("textbox", "Message to bob@s2").await;
    operator(&world, "s2", &["user", "remove", "bob", "--yes"]).await;
    alice.page.reads("This account is closed. What you have read stays here.").await;
    assert!(alice.page.all("button", "Accept the new key").await.is_empty());
    alice.check();
    bob.check();
}
