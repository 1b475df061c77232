//! Everything by keyboard alone, from the first page on; and whoever uses it always sees where they are.

use crate::someone::{PASSWORD, pages_of, world};
use tidings_testbed::browser::{Browser, Page};

/// Far more stops than any screen has.
const STOPS: usize = 60;

/// The keyboard is somewhere, and somebody who looks sees where: but for a head, on which there is nothing to press.
async fn is_somewhere(page: &Page, after: &str) {
    let focus = page.focus().await;
    assert!(!focus.role.is_empty(), "after {after} the keyboard is nowhere:\n{}", page.text().await);
    assert!(focus.is_shown || focus.role == "heading", "after {after} nobody sees that the keyboard is on {focus:?}");
}

/// Tab, until the keyboard is there.
async fn tabs_to(page: &Page, role: &str, name: &str) {
    page.find(role, name).await;
    let mut passed = Vec::new();
    for _ in 0..STOPS {
        let focus = page.focus().await;
        if focus.role == role && focus.name == name {
            assert!(focus.is_shown, "nobody sees that the keyboard is on {focus:?}");
            return;
        }
        passed.push(format!("{} {:?}", focus.role, focus.name));
        page.press("Tab").await;
    }
    panic!("Tab never comes to {role} {name:?}; it went by {passed:#?}");
}

/// Goes there by Tab, and presses Enter.
async fn presses(page: &Page, role: &str, name: &str) {
    tabs_to(page, role, name).await;
    page.press("Enter").await;
}

/// Waits until the keyboard is there without being led: where a page puts it by itself.
async fn has_keyboard(page: &Page, role: &str, name: &str) {
    page.find(role, name).await;
    page.settles(async || {
        let focus = page.focus().await;
        focus.role == role && focus.name == name
    })
    .await;
    is_somewhere(page, &format!("{role} {name:?} is there")).await;
}

async fn goes_to(page: &Page, name: &str) {
    page.press("Ctrl+k").await;
    has_keyboard(page, "combobox", "Go to").await;
    page.types(name).await;
    page.press("Enter").await;
    page.gone("combobox", "Go to").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_can_be_done_by_keyboard_and_the_keyboard_is_never_lost() {
    let world = world(&["s1"]).await;
    let bob = world.person("bob@s1").await;
    let browser = Browser::start().await;
    let page = browser.open(&pages_of(&world, "s1")).await;

    // Registration, and the words.
    has_keyboard(&page, "textbox", "Name").await;
    presses(&page, "button", "Create an account").await;
    has_keyboard(&page, "textbox", "Name").await;
    page.types("alice").await;
    tabs_to(&page, "textbox", "Password").await;
    page.types(PASSWORD).await;
    tabs_to(&page, "textbox", "Password again").await;
    page.types(PASSWORD).await;
    page.press("Enter").await;
    let words = page.items("Recovery words").await;
    is_somewhere(&page, "registering").await;
    presses(&page, "button", "I have written them down").await;
    page.find("button", "Confirm").await;
    let asked: Vec<String> = page.names("textbox").await.into_iter().filter(|name| name.starts_with("Word ")).collect();
    has_keyboard(&page, "textbox", &asked[0]).await;
    for name in &asked {
        tabs_to(&page, "textbox", name).await;
        page.types(&words[name["Word ".len()..].parse::<usize>().unwrap() - 1]).await;
    }
    page.press("Enter").await;
    page.find("navigation", "Conversations").await;
    is_somewhere(&page, "the words were confirmed").await;

    // The public chat, a private chat, a group.
    presses(&page, "button", "Open the public chat").await;
    has_keyboard(&page, "textbox", "Message to Public chat").await;
    page.types("By keyboard").await;
    page.press("Enter").await;
    has_keyboard(&page, "textbox", "Message to Public chat").await;
    page.reads("bob").await;
    goes_to(&page, "bob@s1").await;
    has_keyboard(&page, "textbox", "Message to bob@s1").await;
    page.types("For you alone").await;
    page.press("Enter").await;
    bob.sees(
        &"alice@s1".parse::<tidings_proto::UserName>().map(|alice| tidings_testbed::person::with(&alice)).unwrap(),
        &"alice@s1".parse().unwrap(),
        "For you alone",
    )
    .await;
    goes_to(&page, "New group").await;
    has_keyboard(&page, "textbox", "Name of the group").await;
    page.types("Plans").await;
    page.press("Enter").await;
    has_keyboard(&page, "textbox", "Message to Plans").await;
    page.types("Before noon").await;
    page.press("Enter").await;
    presses(&page, "button", "Invite").await;
    page.find("dialog", "Invite to the group").await;
    is_somewhere(&page, "a window was opened").await;
    let bob_there = page.begins("button", "bob@s1").await;
    presses(&page, "button", &bob_there).await;
    page.gone("dialog", "Invite to the group").await;
    is_somewhere(&page, "somebody was invited").await;

    // From message to message, and back to writing.
    tabs_to(&page, "textbox", "Message to Plans").await;
    page.press("Shift+Tab").await;
    is_somewhere(&page, "Shift and Tab").await;
    tabs_to(&page, "region", "Messages").await;
    page.press("ArrowUp").await;
    is_somewhere(&page, "an arrow").await;
    assert_eq!(page.focus().await.role, "listitem");

    // The map of keys, and out of it: to where one was.
    page.press("?").await;
    page.find("dialog", "Keyboard shortcuts").await;
    is_somewhere(&page, "the map of keys").await;
    page.press("Escape").await;
    page.gone("dialog", "Keyboard shortcuts").await;
    assert_eq!(page.focus().await.role, "listitem", "where it was before the window");
    page.press("Ctrl+k").await;
    page.find("combobox", "Go to").await;
    page.press("Escape").await;
    page.gone("combobox", "Go to").await;
    is_somewhere(&page, "Escape").await;
    goes_to(&page, "Plans").await;
    has_keyboard(&page, "textbox", "Message to Plans").await;

    // The columns, the conversations one after the other, the settings.
    page.press("Ctrl+Shift+I").await;
    is_somewhere(&page, "a column was closed").await;
    page.press("Ctrl+Shift+I").await;
    is_somewhere(&page, "a column was opened").await;
    page.press("Alt+ArrowDown").await;
    is_somewhere(&page, "the next conversation").await;
    goes_to(&page, "Settings").await;
    page.find("heading", "Settings").await;
    is_somewhere(&page, "the settings").await;
    assert!(!page.focus().await.is_shown, "the page has put it there: that is nothing to look at");
    tabs_to(&page, "button", "Change the password").await;
    presses(&page, "button", "Rename").await;
    has_keyboard(&page, "textbox", "Device name").await;
    page.types("Laptop").await;
    page.press("Enter").await;
    page.gone("textbox", "Device name").await;
    is_somewhere(&page, "a device was renamed").await;
    tabs_to(&page, "button", "Log out").await;
    assert!(page.complaints().is_empty(), "{:?}", page.complaints());
}
