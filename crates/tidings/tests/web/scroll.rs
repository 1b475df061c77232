//! A long conversation: read from its end to its beginning without a pixel's jump, and without the page growing.
//!
//! 2,000 messages, or as many as `MESSAGES` says: `cargo xtask campaign web --messages 100000` takes long, and prints what it costs.

use crate::someone::{Someone, measured, number, world};
use serde_json::json;
use std::time::{Duration, Instant};
use tidings_testbed::browser::Browser;

/// What somebody says: of every height, in every direction, and by its number to be told from all others.
fn text(n: usize) -> String {
    match n % 9 {
        0 => format!("#{n} short"),
        1 => format!("#{n} שלום עולם, زمان الوصل بالأندلس {n}"),
        2 => format!("#{n} 👩‍👩‍👧‍👦 🏳️‍🌈 👋🏽 {}", "🙂".repeat(n % 40)),
        3 => format!("#{n} {}", "a sentence that goes on and on, ".repeat(1 + n % 60)),
        4 => format!("#{n} code:\n```\n{}```", "let a = b;\n".repeat(1 + n % 30)),
        5 => format!("#{n} a list:\n{}", "- one more\n".repeat(1 + n % 12)),
        6 => format!("#{n} {}", "w".repeat(1 + n % 900)),
        7 => format!("#{n} > quoted\n\n**bold** and `code` and https://example.org/{n}"),
        _ => format!("#{n} two\n\nparagraphs"),
    }
}

/// Begins to scroll up until there is nothing older, in strides of every length. What was on screen when it came to rest is looked at in each frame
/// until the page that was asked for is there: it may not have moved, as its end says (whoever is named above by then is not named again).
const UP: &str = "(() => {
    const scroller = document.querySelector('[aria-label=\"Messages\"]');
    const rows = scroller.querySelector('ol').children;
    const number = (row) => row.textContent.match(/#(\\d+) /)?.[1];
    const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
    const places = () => {
        const frame = scroller.getBoundingClientRect(), there = new Map();
        for (const row of rows) {
            const box = row.getBoundingClientRect(), of = number(row);
            if (of && box.bottom > frame.top && box.top < frame.bottom) there.set(of, box.bottom - frame.top);
        }
        return there;
    };
    const oldest = () => { for (const row of rows) { const of = number(row); if (of) return Number(of); } };
    const told = globalThis.told = { pages: 0, shift: 0, most: 0, rows: 0, looks: 0, oldest: oldest(), done: false };
    const up = async () => { for (let stride = 0; oldest() > 0; stride += 1) {
        const first = oldest();
        scroller.scrollTop = stride % 3 === 0 ? 0 : Math.max(0, scroller.scrollTop - 137 * (1 + (stride % 11)));
        const before = places();
        for (let quiet = 0, waited = 0; quiet < (oldest() === first && scroller.scrollTop < 1400 ? 300 : 2); quiet += 1, waited += 1) {
            await frame();
            for (const [of, end] of places()) {
                if (!before.has(of)) continue;
                told.looks += 1;
                told.shift = Math.max(told.shift, Math.abs(end - before.get(of)));
            }
        }
        if (oldest() !== first) told.pages += 1;
        told.rows = Math.max(told.rows, rows.length);
        told.most = Math.max(told.most, document.getElementsByTagName('*').length);
        told.oldest = oldest();
        if (told.oldest === first && scroller.scrollTop === 0) break;
    } };
    up().then(() => { told.done = true; }, (error) => { told.done = String(error); });
})()";

/// As somebody goes there by keyboard.
async fn to_the_end(alice: &Someone) {
    let messages = alice.page.find("region", "Messages").await;
    alice.page.of(messages, "function () { this.focus(); }").await;
    alice.page.press("End").await;
}

async fn goes_through(messages: usize) {
    let world = world(&["s1"]).await;
    let bob = world.person("bob@s1").await;
    let begun = Instant::now();
    for n in 0..messages {
        let id = bob.announces(&text(n)).await;
        if n % 1000 == 999 || n + 1 == messages {
            bob.is_sent(id).await;
        }
    }
    let written = begun.elapsed();
    println!("{messages} messages written: {:.1} s", written.as_secs_f64());
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    let begun = Instant::now();
    alice.goes_public().await;
    // A hundred thousand take longer than anything else is waited for.
    let last = format!("#{} ", messages - 1);
    let patience = Duration::from_secs(60 + messages as u64 / 20);
    while begun.elapsed() < patience && !alice.timeline().await.contains(&last) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        to_the_end(&alice).await;
    }
    alice.page.reads(&last).await;
    let fetched = begun.elapsed();
    println!("all of them on the browser's disk, once registered: {:.1} s", fetched.as_secs_f64());
    let (heap, nodes) = alice.page.weight().await;
    let memory = browser.memory();
    let begun = Instant::now();
    alice.page.run(UP).await;
    while begun.elapsed() < patience && alice.page.run("told.done").await == false {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let told = alice.page.run("told").await;
    let (heap_after, nodes_after) = alice.page.weight().await;
    measured(&json!({
        "messages": messages, "written_s": written.as_secs(), "fetched_s": fetched.as_secs(), "up_s": begun.elapsed().as_secs(), "up": told,
        "heap_kib": [heap, heap_after], "nodes": [nodes, nodes_after], "all_processes_mib": [memory, browser.memory()],
    }));
    assert_eq!(told["done"], true, "{told}");
    assert_eq!(told["oldest"], 0, "{told}");
    assert_eq!(told["shift"], 0, "what is read stays where it is: {told}");
    assert!(told["pages"].as_u64().unwrap() as usize >= messages / 60 - 10, "{told}");
    assert!(told["rows"].as_u64().unwrap() <= 300, "{told}");
    assert!(told["most"].as_u64().unwrap() < 20_000, "{told}");
    assert!(heap_after < heap + 32 * 1024 && nodes_after < nodes + 20_000, "what has left the screen is let go");

    to_the_end(&alice).await;
    alice.page.reads(&last).await;
    alice.page.until("(() => { const s = document.querySelector('[aria-label=\"Messages\"]'); return s.scrollHeight - s.scrollTop - s.clientHeight < 8; })()").await;
    bob.announces("And one more").await;
    alice.page.reads("And one more").await;
    alice.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_pages_come_without_a_jump_and_the_page_stays_small() {
    goes_through(number("MESSAGES", 2_000)).await;
}
