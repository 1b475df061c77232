//! What somebody with many conversations waits for: until the client is on screen, until the list is, and until what was written is.
//!
//! A handful in the gate, where no time is judged: what is tested there is that it can be measured. `cargo xtask campaign web` measures, with the
//! released program, as many rooms as `ROOMS` says, each opening `TURNS` times, and `ECHOES` messages below a log of `LOG`; it wants to have
//! the figures in the file `FIGURES`.

use crate::local;
use crate::someone::{Someone, measured, number, pages_of, world};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tidings_testbed::browser::{Browser, Page};
use tidings_testbed::ports::free_addresses;
use tidings_testbed::world::World;

/// Looks at each frame, and writes down after it, when it is on screen, what it was the first to have. Counted from when the page was asked for.
const WATCH: &str = "(() => {
    const seen = globalThis.seen = {};
    const begin = (what) => { seen[what] = null; setTimeout(() => { seen[what] = performance.now(); }, 0); };
    const look = () => {
        const column = document.querySelector('nav[aria-label=\"Conversations\"]');
        const count = column?.querySelectorAll('ul > li').length ?? 0;
        if (column && !('shell' in seen)) begin('shell');
        if (count > 0 && !('list' in seen)) begin('list');
        if (count >= ROOMS && !('whole' in seen)) begin('whole');
        seen.paint ??= performance.getEntriesByName('first-contentful-paint')[0]?.startTime;
        if (!seen.whole) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})()";

/// The same for what is written: counted from when the browser was given the key.
const ECHO: &str = "(() => {
    globalThis.echoes = [];
    addEventListener('keydown', (event) => {
        if (event.key !== 'Enter') return;
        const text = document.activeElement.value;
        const look = () => {
            const rows = [...document.querySelector('[aria-label=\"Messages\"] ol').children].slice(-3);
            if (!rows.some((row) => row.textContent.includes(text))) return requestAnimationFrame(look);
            setTimeout(() => echoes.push(performance.now() - event.timeStamp), 0);
        };
        requestAnimationFrame(look);
    }, true);
})()";

/// How long it took, in milliseconds, several times.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn told(mut self) -> Value {
        self.0.sort_by(f64::total_cmp);
        let tenths = |at: usize| (self.0[at] * 10.0).round() / 10.0;
        json!({ "median": tenths(self.0.len() / 2), "worst": tenths(self.0.len() - 1), "of": self.0.len() })
    }
}

/// Until a page that opens shows something, each time it is opened.
#[derive(Default)]
struct Opening {
    /// Anything: that it opens.
    paint: Times,
    /// The client.
    shell: Times,
    /// The first conversations, more than a screen has room for.
    list: Times,
    /// All of them.
    whole: Times,
}

impl Opening {
    async fn take(&mut self, page: &Page) {
        page.until("globalThis.seen?.whole > 0").await;
        let seen = page.run("globalThis.seen").await;
        for (times, what) in [(&mut self.paint, "paint"), (&mut self.shell, "shell"), (&mut self.list, "list"), (&mut self.whole, "whole")]
        {
            times.0.push(seen[what].as_f64().unwrap_or_else(|| panic!("{what}: {seen}")));
        }
    }

    fn told(self) -> Value {
        json!({ "paint": self.paint.told(), "shell": self.shell.told(), "list": self.list.told(), "whole": self.whole.told() })
    }
}

/// Alice has so many conversations: the public chat, a tenth of them private, and groups. A message is in each.
async fn with_rooms(world: &World, rooms: usize) {
    let alice = world.person("alice@s1").await;
    for n in 0..rooms / 10 {
        let other = world.person(&format!("friend{n}@s1")).await;
        alice.knows(&other).await;
        alice.is_sent(alice.says(&other.name, "Hello").await).await;
        other.client.close().await;
    }
    for n in 0..rooms - 1 - rooms / 10 {
        let group = alice.makes_group(&format!("Room number {n}")).await;
        alice.is_sent(alice.writes(&group, "Hello").await).await;
    }
    alice.client.close().await;
}

/// A tab there, which writes down what it shows when.
async fn watched(browser: &Browser, address: &str, rooms: usize) -> Page {
    let page = browser.open("about:blank").await;
    page.is_looked_at().await;
    page.prepare(&WATCH.replace("ROOMS", &rooms.to_string())).await;
    page.go(address).await;
    page
}

/// Waits until a new device has all of them, and nothing more is coming.
async fn has_all(page: &Page, rooms: usize) {
    let begun = Instant::now();
    let count = "document.querySelectorAll('nav[aria-label=\"Conversations\"] ul > li').length";
    while page.run(count).await.as_u64() != Some(rooms as u64) {
        assert!(begun.elapsed() < Duration::from_secs(60 + rooms as u64), "they are not there:\n{}", page.text().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    page.until("!document.body.innerText.includes('Catching up')").await;
    println!("{rooms} conversations on a new device: {:.1} s", begun.elapsed().as_secs_f64());
}

async fn reloads(page: &Page, turns: usize) -> Value {
    let mut opening = Opening::default();
    for _ in 0..turns {
        page.reload().await;
        opening.take(page).await;
    }
    opening.told()
}

/// From the server itself: it is there.
async fn by_the_server(world: &World, rooms: usize, turns: usize) -> (Value, Value) {
    let browser = Browser::start().await;
    let page = watched(&browser, &pages_of(world, "s1"), rooms).await;
    let alice = Someone::comes_back(page, "alice@s1").await;
    has_all(&alice.page, rooms).await;
    let opened = reloads(&alice.page, turns).await;
    let echo = echoes(&alice).await;
    alice.check();
    (opened, echo)
}

/// Below a long log, at the pace of somebody who looks whether it has gone out.
async fn echoes(alice: &Someone) -> Value {
    alice.goes_public().await;
    alice.page.reads("The end of the log").await;
    alice.page.run(ECHO).await;
    alice.page.fill("textbox", "Message to Public chat", "").await;
    for n in 1..=number("ECHOES", 5) {
        alice.page.types(&format!("Written as number {n}, to be seen at once")).await;
        // Nobody types in less time; until then the list of conversations has been told of the one before.
        tokio::time::sleep(Duration::from_millis(500)).await;
        alice.page.press("Enter").await;
        alice.page.until(&format!("echoes.length === {n}")).await;
        alice.page.until("document.querySelector('[aria-label=\"Messages\"] ol').lastElementChild.textContent.includes('Sent')").await;
    }
    let times = alice.page.run("echoes").await;
    Times(times.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()).told()
}

/// By `tidings client`: the server is there, then it is not; and then the browser has just been started.
async fn by_ones_own_program(world: &mut World, rooms: usize, turns: usize) -> [Value; 3] {
    let folder = tempfile::tempdir().unwrap();
    let port = free_addresses::<1>().unwrap()[0].port();
    let _served = local::client(world, folder.path(), port).await;
    let address = format!("http://127.0.0.1:{port}/");
    let mut browser = Browser::start().await;
    let page = watched(&browser, &address, rooms).await;
    let alice = Someone::comes_back(page, "alice@s1").await;
    has_all(&alice.page, rooms).await;
    let up = reloads(&alice.page, turns).await;
    world.kill("s1").await;
    alice.page.reads("Offline").await;
    let down = reloads(&alice.page, turns).await;
    let mut begun = Opening::default();
    for _ in 0..turns {
        browser = browser.killed().await;
        begun.take(&watched(&browser, &address, rooms).await).await;
    }
    [up, down, begun.told()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_long_many_rooms_and_an_echo_take_can_be_measured() {
    let (rooms, turns, log) = (number("ROOMS", 20), number("TURNS", 2), number("LOG", 40));
    let mut world = world(&["s1"]).await;
    let begun = Instant::now();
    with_rooms(&world, rooms).await;
    let bob = world.person("bob@s1").await;
    for n in 1..log {
        bob.announces(&format!("Number {n} of a log")).await;
    }
    bob.is_sent(bob.announces("The end of the log").await).await;
    println!("{rooms} conversations and a log of {log} made: {:.1} s", begun.elapsed().as_secs_f64());
    let (server, echo) = by_the_server(&world, rooms, turns).await;
    let [up, down, started] = by_ones_own_program(&mut world, rooms, turns).await;
    measured(&json!({
        "rooms": rooms, "log": log, "echo_ms": echo, "from_the_server_ms": server, "tidings_client_ms": up,
        "server_away_ms": down, "server_away_browser_started_ms": started,
    }));
}
