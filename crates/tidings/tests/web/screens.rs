//! Pictures of each main screen, for people to look at: `target/screens`.

use crate::someone::{Someone, world};
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
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    alice.goes_public().await;
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
