//! Private conversations, by keyboard alone; groups; and texts that would like to be more than text.

use crate::screens::pictures;
use crate::someone::{Someone, about_to_talk, two, world};
use tidings_testbed::browser::Browser;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_talk_in_private_by_keyboard_alone() {
    let world = world(&["s1", "s2"]).await;
    let (here, there) = (Browser::start().await, Browser::start().await);
    let (alice, bob) = about_to_talk(&world, &here, &there).await;
    alice.writes("bob@s2", "The kestrel nests under the north bridge").await;
    bob.page.reads("alice").await;
    bob.goes_to("alice@s1").await;
    bob.page.reads("The kestrel nests under the north bridge").await;
    bob.writes("alice@s1", "Then I bring the long ladder").await;
    alice.page.reads("Then I bring the long ladder").await;
    for server in ["s1", "s2"] {
        for file in std::fs::read_dir(world.data(server)).unwrap().flatten() {
            let bytes = std::fs::read(file.path()).unwrap_or_default();
            assert!(!bytes.windows(7).any(|part| part == b"kestrel"), "{server} can read it: {:?}", file.path());
        }
    }
    alice.check();
    bob.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_made_and_joined() {
    let world = world(&["s1", "s2"]).await;
    let (here, there) = (Browser::start().await, Browser::start().await);
    let (alice, bob) = two(&world, &here, &there, ["alice@s1", "bob@s2"]).await;
    alice.page.click("button", "New group").await;
    alice.page.fill("textbox", "Name of the group", "Plans").await;
    alice.page.press("Enter").await;
    alice.writes("Plans", "Before anybody came").await;
    alice.page.click("button", "Invite").await;
    alice.page.find("dialog", "Invite to the group").await;
    alice.page.click_what_begins("button", "bob@s2").await;
    bob.page.reads("Plans").await;
    bob.goes_to("Plans").await;
    bob.page.click("button", "Join").await;
    bob.writes("Plans", "At noon?").await;
    alice.page.reads("At noon?").await;
    alice.writes("Plans", "At noon.").await;
    bob.page.reads("At noon.").await;
    assert!(!bob.page.text().await.contains("Before anybody came"), "who joins reads from then on");
    pictures(&alice.page, "group").await;
    alice.check();
    bob.check();
}

/// What somebody writes is text, whatever it looks like.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_text_is_anything_but_text() {
    let world = world(&["s1"]).await;
    let (here, there) = (Browser::start().await, Browser::start().await);
    let (mallory, bob) = two(&world, &here, &there, ["mallory@s1", "bob@s1"]).await;
    mallory.goes_public().await;
    bob.goes_public().await;
    let before = bob.page.run("document.querySelectorAll('img, script, iframe, style, object, embed, svg [onload]').length").await;
    for text in [
        "<img src=x onerror=\"document.title='owned'\">",
        "<script>document.title='owned'</script>",
        "<svg onload=\"document.title='owned'\"></svg>",
        "[click](javascript:document.title='owned')",
        "[data](data:text/html,<script>document.title='owned'</script>)",
        "![picture](https://evil.example/track.png)",
        "</main></body><iframe srcdoc='<script>parent.document.title=1</script>'>",
        "invoice\u{202e}fdp.exe",
        "zero\u{200b}width and \u{7}bell",
        "{{constructor.constructor('document.title=1')()}}",
    ] {
        mallory.writes("Public chat", text).await;
    }
    mallory.writes("Public chat", "that was all").await;
    bob.page.reads("that was all").await;
    bob.page.reads("<img src=x onerror").await;
    let after = bob.page.run("document.querySelectorAll('img, script, iframe, style, object, embed, svg [onload]').length").await;
    assert_eq!(before, after);
    assert_eq!(bob.page.run("document.title.includes('owned') || document.title === '1'").await, false);
    let links = bob.page.run("[...document.querySelectorAll('main a[href]')].map((a) => a.protocol).join()").await;
    assert!(!links.as_str().unwrap().contains("javascript") && !links.as_str().unwrap().contains("data:"), "{links}");
    assert!(!bob.page.text().await.contains('\u{202e}'), "what turns text around is shown, not done");
    bob.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_fits_a_phone() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    alice.page.looks(360, 640, false).await;
    alice.goes_to("Public chat").await;
    alice.writes("Public chat", &format!("a{}b", "w".repeat(300))).await;
    alice.page.reads("www").await;
    let width = alice.page.run("document.documentElement.scrollWidth").await;
    assert!(width.as_f64().unwrap() <= 360.0, "{width}");
    alice.page.click("button", "Back to the conversations").await;
    alice.page.find("navigation", "Conversations").await;
    alice.check();
}
