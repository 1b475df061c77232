//! Somebody at a browser.

use tidings_testbed::browser::{Browser, Page};
use tidings_testbed::process::Program;
use tidings_testbed::world::{How, World};

/// Everybody's.
pub const PASSWORD: &str = "correct horse battery staple";

/// These servers as processes, with the pages in them.
pub async fn world(names: &[&str]) -> World {
    // Whole households register from one address here.
    let limits = vec![("registration_burst", 100), ("login_burst", 100)];
    World::made(names, How::Processes(Program { path: env!("CARGO_BIN_EXE_tidings").into(), limits }), |_| {}).await
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
        page.fill("textbox", "Name", local).await;
        page.fill("textbox", "Password", PASSWORD).await;
        page.fill("textbox", "Password again", PASSWORD).await;
        page.click("button", "Create account").await;
        let words = confirms_words(&page).await;
        page.find("navigation", "Conversations").await;
        Someone { name: name.to_owned(), page, words }
    }

    /// Opens the public chat.
    pub async fn goes_public(&self) {
        self.page.click("button", "Open the public chat").await;
        self.page.find("textbox", "Message to Public chat").await;
    }

    /// Goes to a conversation or a person by what it is called, as Ctrl-K does.
    pub async fn goes_to(&self, name: &str) {
        self.page.press("k", true).await;
        self.page.find("combobox", "Go to").await;
        self.page.fill("combobox", "Go to", name).await;
        self.page.press("Enter", false).await;
        self.page.gone("combobox", "Go to").await;
    }

    /// Writes into the composer that is open.
    pub async fn writes(&self, to: &str, text: &str) {
        self.page.fill("textbox", &format!("Message to {to}"), text).await;
        self.page.press("Enter", false).await;
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
