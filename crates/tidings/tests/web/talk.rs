//! From the first page to the first message, and what becomes of messages when something is in their way.

use crate::someone::{PASSWORD, Someone, confirms_words, pages_of, two, world};
use tidings_testbed::browser::Browser;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_on_two_servers_register_and_talk() {
    let world = world(&["s1", "s2"]).await;
    let (here, there) = (Browser::start().await, Browser::start().await);
    let (alice, bob) = two(&world, &here, &there, ["alice@s1", "bob@s2"]).await;
    alice.goes_public().await;
    alice.page.settles(async || alice.page.names("StaticText").await.iter().any(|text| text == "No messages yet.")).await;
    bob.goes_public().await;
    alice.writes("Public chat", "Good morning, everybody").await;
    bob.page.reads("Good morning, everybody").await;
    bob.writes("Public chat", "And to you").await;
    alice.page.reads("And to you").await;
    alice.check();
    bob.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_and_a_server_that_is_away_lose_nothing() {
    let mut world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    alice.goes_public().await;
    alice.writes("Public chat", "before").await;
    alice.page.find("StaticText", "Sent").await;
    world.kill("s1").await;
    alice.writes("Public chat", "while it is away").await;
    alice.page.reads("while it is away").await;
    world.start("s1").await;
    alice.page.reload().await;
    alice.page.reads("while it is away").await;
    let other = Browser::start().await;
    let bob = Someone::registers(&world, &other, "bob@s1").await;
    bob.goes_public().await;
    bob.page.reads("while it is away").await;
    let text = bob.page.text().await;
    assert_eq!((text.matches("before").count(), text.matches("while it is away").count()), (1, 1), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_of_one_account_both_work_and_one_goes_on_when_the_other_is_closed() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    alice.goes_public().await;
    let second = browser.open(&pages_of(&world, "s1")).await;
    second.click("button", "Open the public chat").await;
    alice.page.front().await;
    alice.writes("Public chat", "from the first").await;
    second.front().await;
    second.reads("from the first").await;
    second.fill("textbox", "Message to Public chat", "from the second").await;
    second.press("Enter").await;
    alice.page.reads("from the second").await;
    // The tab that has the core goes.
    alice.page.close().await;
    second.front().await;
    second.fill("textbox", "Message to Public chat", "alone").await;
    second.press("Enter").await;
    second.reads("alone").await;
    // Until it is on disk it says so, and a page that goes by then takes it along.
    second.until("!document.querySelector('[aria-label=\"Messages\"]').innerText.includes('Saving')").await;
    second.reload().await;
    for said in ["from the first", "from the second", "alone"] {
        second.reads(said).await;
    }
    // What a page that is gone has kept stands beside what the core has of it, until the core has said that it is the same.
    for said in ["from the first", "from the second", "alone"] {
        second.until(&format!("document.body.innerText.split('{said}').length === 2")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_lost_everything_comes_back_by_the_words() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    drop(browser);
    let fresh = Browser::start().await;
    let page = fresh.open(&pages_of(&world, "s1")).await;
    page.click("button", "Forgot your password?").await;
    page.fill("textbox", "Name", "alice").await;
    page.fill("textbox", "Recovery words", &alice.words).await;
    page.fill("textbox", "New password", "another one entirely").await;
    page.fill("textbox", "New password again", "another one entirely").await;
    page.click("button", "Set the new password").await;
    let words = confirms_words(&page).await;
    assert_ne!(words, alice.words);
    page.find("navigation", "Conversations").await;
    // The old password is of no use any more.
    let third = Browser::start().await;
    let page = third.open(&pages_of(&world, "s1")).await;
    page.fill("textbox", "Name", "alice").await;
    page.fill("textbox", "Password", PASSWORD).await;
    page.click("button", "Log in").await;
    page.reads("The name or the password is wrong.").await;
}
