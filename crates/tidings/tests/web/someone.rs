//! Somebody at a browser.

use serde_json::Value;
use tidings_server::Config;
use tidings_testbed::browser::{Browser, Page};
use tidings_testbed::process::Program;
use tidings_testbed::world::{How, World};

/// Everybody's.
pub const PASSWORD: &str = "correct horse battery staple";

/// These servers as processes, with the pages in them.
pub async fn world(names: &[&str]) -> World {
    world_with(names, |_| {}).await
}

/// The same, each server with a change of its configuration.
pub async fn world_with(names: &[&str], change: impl Fn(&mut Config)) -> World {
    World::made(names, How::Processes(program()), change).await
}

/// This build, or the one at `PROGRAM`, which lets whole households come from one address, and write as fast as they can.
pub fn program() -> Program {
    let limits = ["registration_burst", "login_burst", "invitation_burst", "messages_per_second", "message_burst"];
    let path = std::env::var_os("PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_tidings").into());
    Program { path: path.into(), limits: limits.map(|name| (name, 100_000)).to_vec() }
}

/// A number that the environment says, for who measures; the gate has the other.
pub fn number(variable: &str, in_the_gate: usize) -> usize {
    std::env::var(variable).ok().and_then(|said| said.parse().ok()).unwrap_or(in_the_gate)
}

/// Says what was measured, and writes it where a campaign wants to have it.
pub fn measured(figures: &Value) {
    println!("{figures}");
    if let Some(file) = std::env::var_os("FIGURES") {
        std::fs::write(file, figures.to_string()).expect("a file");
    }
}

/// Two people who have registered, each in a browser of their own.
pub async fn two(world: &World, here: &Browser, there: &Browser, names: [&str; 2]) -> (Someone, Someone) {
    tokio::join!(Someone::registers(world, here, names[0]), Someone::registers(world, there, names[1]))
}

/// Alice of s1 and Bob of s2; Alice stands in front of their private chat, in which nothing was said yet.
pub async fn about_to_talk(world: &World, here: &Browser, there: &Browser) -> (Someone, Someone) {
    let (alice, bob) = two(world, here, there, ["alice@s1", "bob@s2"]).await;
    alice.goes_public().await;
    alice.page.reads("bob").await;
    alice.goes_to("bob@s2").await;
    (alice, bob)
}

/// What a command of a server's operator prints.
pub async fn operator(world: &World, server: &str, words: &[&str]) -> Value {
    let data = world.data(server);
    let folder = data.parent().expect("a world's folder");
    let mut command = program().command(folder);
    command.args(words).arg("--setup").arg(folder.join(format!("{server}.setup.json"))).arg("--data").arg(data).arg("--json");
    let ended = command.output().await.expect("the binary runs");
    let said = String::from_utf8_lossy(&ended.stdout);
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{words:?}: {said}{}", String::from_utf8_lossy(&ended.stderr)))
}

/// A person with an account, in a tab.
pub struct Someone {
    /// `alice@s1`.
    pub name: String,
    /// The tab.
    pub page: Page,
    /// The recovery words.
    pub words: String,
}

/// Where a server's pages are.
pub fn pages_of(world: &World, server: &str) -> String {
    format!("https://{}/", world.address(server))
}

impl Someone {
    /// Registers, writes the words down, and stands in front of the conversations.
    pub async fn registers(world: &World, browser: &Browser, name: &str) -> Someone {
        let (local, server) = name.split_once('@').expect("a name");
        let page = browser.open(&pages_of(world, server)).await;
        page.click("button", "Create an account").await;
        Someone::signs_up(page, name, local).await
    }

    /// Fills in the form for a new account that is open.
    pub async fn signs_up(page: Page, name: &str, local: &str) -> Someone {
        page.fill("textbox", "Name", local).await;
        page.fill("textbox", "Password", PASSWORD).await;
        page.fill("textbox", "Password again", PASSWORD).await;
        page.click("button", "Create account").await;
        let words = confirms_words(&page).await;
        page.find("navigation", "Conversations").await;
        Someone { name: name.to_owned(), page, words }
    }

    /// Comes to an account that there is, in a browser that has none.
    pub async fn logs_in(world: &World, browser: &Browser, name: &str) -> Someone {
        let (_, server) = name.split_once('@').expect("a name");
        Someone::comes_back(browser.open(&pages_of(world, server)).await, name).await
    }

    /// The same on a page that is open.
    pub async fn comes_back(page: Page, name: &str) -> Someone {
        let (local, _) = name.split_once('@').expect("a name");
        page.fill("textbox", "Name", local).await;
        page.fill("textbox", "Password", PASSWORD).await;
        page.click("button", "Log in").await;
        page.find("navigation", "Conversations").await;
        Someone { name: name.to_owned(), page, words: String::new() }
    }

    /// Opens the public chat.
    pub async fn goes_public(&self) {
        self.page.click("button", "Open the public chat").await;
        self.page.find("textbox", "Message to Public chat").await;
    }

    /// Goes to a conversation or a person by what it is called, as Ctrl-K does.
    pub async fn goes_to(&self, name: &str) {
        // A page that has just been loaded listens to keys from when its conversations are there.
        self.page.find("link", "Go to the message field").await;
        self.page.press("Ctrl+k").await;
        self.page.find("combobox", "Go to").await;
        self.page.fill("combobox", "Go to", name).await;
        self.page.press("Enter").await;
        self.page.gone("combobox", "Go to").await;
    }

    /// Writes into the composer that is open.
    pub async fn writes(&self, to: &str, text: &str) {
        self.page.fill("textbox", &format!("Message to {to}"), text).await;
        self.page.press("Enter").await;
    }

    /// The conversation that is open, as it reads.
    pub async fn timeline(&self) -> String {
        let shown = self.page.find("region", "Messages").await;
        self.page.of(shown, "function () { return this.innerText; }").await.as_str().unwrap_or_default().to_owned()
    }

    /// Nothing was kept from happening by the pages' policy, and nothing went wrong unseen.
    pub fn check(&self) {
        let complaints = self.page.complaints();
        assert!(complaints.is_empty(), "{}: {}", self.name, complaints.join("\n"));
    }
}

/// Reads the words off the screen, and types the two that are asked for.
pub async fn confirms_words(page: &Page) -> String {
    let words = page.items("Recovery words").await;
    assert_eq!(words.len(), 24, "{words:?}");
    page.click("button", "I have written them down").await;
    page.find("button", "Confirm").await;
    for asked in page.names("textbox").await.iter().filter(|name| name.starts_with("Word ")) {
        let place: usize = asked["Word ".len()..].parse().expect("a number");
        page.fill("textbox", asked, &words[place - 1]).await;
    }
    page.click("button", "Confirm").await;
    words.join(" ")
}
