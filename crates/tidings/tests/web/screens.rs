//! Pictures of each main screen, for people to look at: `target/screens`.

use crate::someone::{PASSWORD, Someone, world};
use std::path::{Path, PathBuf};
use tidings_testbed::browser::{Browser, Page};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/screens")
}

/// Wide and narrow, light and dark. What is beside the conversation is closed afterwards.
pub async fn pictures(page: &Page, name: &str) {
    for (width, height) in [(1280, 800), (800, 600), (360, 640)] {
        for dark in [false, true] {
            page.looks(width, height, dark).await;
            // What stands beside the conversation on a wide screen lies over it on a narrow one.
            if width < 1200 && !page.all("button", "Close this column").await.is_empty() {
                page.click("button", "Close this column").await;
            }
            let scheme = if dark { "dark" } else { "light" };
            page.picture(&folder().join(format!("{name}-{width}-{scheme}.png"))).await;
        }
    }
    page.looks(1280, 800, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_screen_has_its_picture() {
    let world = world(&["s1", "s2"]).await;
    let browser = Browser::start().await;
    let gate = browser.open(&format!("https://{}/", world.address("s2"))).await;
    gate.find("button", "Log in").await;
    pictures(&gate, "login").await;
    gate.click("button", "Create an account").await;
    gate.find("textbox", "Password again").await;
    pictures(&gate, "create").await;
    gate.fill("textbox", "Name", "bob").await;
    gate.fill("textbox", "Password", PASSWORD).await;
    gate.fill("textbox", "Password again", PASSWORD).await;
    gate.click("button", "Create account").await;
    gate.find("list", "Recovery words").await;
    pictures(&gate, "words").await;
    gate.close().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    pictures(&alice.page, "welcome").await;
    alice.page.press("?").await;
    alice.page.find("dialog", "Keyboard shortcuts").await;
    pictures(&alice.page, "shortcuts").await;
    alice.page.press("Escape").await;
    alice.page.gone("dialog", "Keyboard shortcuts").await;
    alice.goes_public().await;
    alice.page.click_what_begins("button", "bob@s2").await;
    alice.page.find("dialog", "Person").await;
    pictures(&alice.page, "person").await;
    alice.page.press("Escape").await;
    alice.page.gone("dialog", "Person").await;
    alice.writes("Public chat", "Hello. This is **bold**, this is `code`, and this is a link: https://example.org/").await;
    alice.writes("Public chat", "שלום עולם — مرحبا — 👋🏽").await;
    alice.page.reads("שלום").await;
    pictures(&alice.page, "public").await;
    alice.page.appears(1280, 800, &[("forced-colors", "active"), ("prefers-contrast", "more")]).await;
    alice.page.picture(&folder().join("public-1280-contrast.png")).await;
    alice.page.press("Ctrl+k").await;
    alice.page.find("combobox", "Go to").await;
    pictures(&alice.page, "switcher").await;
    alice.page.press("Escape").await;
    alice.page.gone("combobox", "Go to").await;
    alice.check();
}
