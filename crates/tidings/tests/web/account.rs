//! Coming and going: by invitation, on a second browser, and out again without a trace.

use crate::screens::pictures;
use crate::someone::{PASSWORD, Someone, confirms_words, operator, pages_of, world_with};
use tidings_server::Registration;
use tidings_testbed::browser::{Browser, Page};

/// Everything that this origin has stored in a browser, as far as a script can read it: who has what is looked for in it.
const STORED: &str = "(async () => {
    const stored = {};
    const latin = new TextDecoder('latin1');
    const walk = async (folder, path) => {
        for await (const [name, one] of folder.entries()) {
            if (one.kind === 'directory') await walk(one, `${path}/${name}`);
            else stored[`${path}/${name}`] = latin.decode(await (await one.getFile()).arrayBuffer());
        }
    };
    await walk(await navigator.storage.getDirectory(), '');
    for (const key of Object.keys(localStorage)) stored[`local ${key}`] = localStorage.getItem(key);
    for (const key of Object.keys(sessionStorage)) stored[`session ${key}`] = sessionStorage.getItem(key);
    for (const { name } of await indexedDB.databases()) {
        const db = await new Promise((done, failed) => { const asked = indexedDB.open(name); asked.onsuccess = () => done(asked.result); asked.onerror = failed; });
        for (const store of db.objectStoreNames) {
            const all = await new Promise((done) => { const asked = db.transaction(store).objectStore(store).getAll(); asked.onsuccess = () => done(asked.result); });
            stored[`indexed ${name} ${store}`] = JSON.stringify(all);
        }
        db.close();
    }
    return Object.entries(stored).filter(([place, text]) => NEEDLES.some((needle) => place.includes(needle) || text.includes(needle))).map(([place]) => place);
})()";

/// Where something of these is stored.
async fn stored(page: &Page, needles: &[&str]) -> Vec<String> {
    let found = page.run(&STORED.replace("NEEDLES", &format!("{needles:?}"))).await;
    found.as_array().into_iter().flatten().filter_map(|place| place.as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_invited_comes_in_and_nobody_else() {
    let world = world_with(&["s1"], |config| config.registration = Registration::ByCode).await;
    let address = world.address("s1").to_string();
    let link = operator(&world, "s1", &["invite", "new", "--address", &address]).await["link"].as_str().unwrap().to_owned();
    let browser = Browser::start().await;
    let page = browser.open(&pages_of(&world, "s1")).await;
    page.click("button", "Create an account").await;
    page.find("textbox", "Invitation code").await;
    page.fill("textbox", "Name", "alice").await;
    page.fill("textbox", "Password", PASSWORD).await;
    page.fill("textbox", "Password again", PASSWORD).await;
    page.click("button", "Create account").await;
    page.reads("This server wants an invitation.").await;
    page.fill("textbox", "Invitation code", "aaaa-bbbb-cccc").await;
    page.click("button", "Create account").await;
    page.gone("button", "One moment…").await;
    page.reads("invitation").await;

    // The link, in the tab that is open already.
    page.go(&link).await;
    page.find("heading", "Create an account").await;
    let code = link.rsplit_once('=').unwrap().1;
    page.until("location.hash === '#/'").await;
    assert_eq!(page.value("textbox", "Invitation code").await, code, "it is not left where it would be copied and kept");
    let alice = Someone::signs_up(page, "alice@s1", "alice").await;
    assert!(!alice.page.run("location.href").await.as_str().unwrap().contains(code));

    // It was good for one: whoever tries again is told what to do.
    let other = Browser::start().await;
    let page = other.open(&link).await;
    page.fill("textbox", "Name", "bob").await;
    page.fill("textbox", "Password", PASSWORD).await;
    page.fill("textbox", "Password again", PASSWORD).await;
    page.click("button", "Create account").await;
    page.reads("This invitation code is wrong, or was used before. Ask for a new one.").await;
    page.find("button", "Create account").await;
    alice.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_not_passed_over_where_somebody_is_logged_in_already() {
    let world = crate::someone::world(&["s1"]).await;
    let address = world.address("s1").to_string();
    let link = operator(&world, "s1", &["invite", "new", "--address", &address]).await["link"].as_str().unwrap().to_owned();
    let code = link.rsplit_once('=').unwrap().1;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    alice.goes_public().await;

    // In the tab that is open: what one was at stays.
    alice.page.go(&link).await;
    alice.page.find("dialog", "You are logged in already").await;
    alice.page.reads("You are logged in here as alice@s1, so it was not used.").await;
    assert_eq!(alice.page.run("location.hash").await, "#/public", "the code is not left where it would be copied and kept");
    alice.page.click("button", "Stay logged in").await;
    alice.page.find("textbox", "Message to Public chat").await;

    // In a new one; and out, to use it.
    let second = browser.open(&link).await;
    second.front().await;
    second.find("dialog", "You are logged in already").await;
    second.until("location.hash === '#/'").await;
    pictures(&second, "invited").await;
    second.click("button", "Log out").await;
    second.find("dialog", "Log out?").await;
    second.reads("No other device is logged in").await;
    pictures(&second, "log-out").await;
    second.click("button", "Log out").await;
    second.find("heading", "Create an account").await;
    assert_eq!(second.value("textbox", "Invitation code").await, code);
    let bob = Someone::signs_up(second, "bob@s1", "bob").await;
    assert!(bob.page.all("dialog", "You are logged in already").await.is_empty(), "it was used");
    alice.check();
    bob.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_browser_has_what_the_first_has_until_it_logs_out() {
    let world = crate::someone::world(&["s1"]).await;
    let here = Browser::start().await;
    let alice = Someone::registers(&world, &here, "alice@s1").await;
    let bob = world.person("bob@s1").await;
    alice.goes_public().await;
    alice.writes("Public chat", "Said to everybody").await;
    alice.page.click("button", "New group").await;
    alice.page.fill("textbox", "Name of the group", "Plans").await;
    alice.page.press("Enter").await;
    alice.writes("Plans", "Written into the group").await;
    alice.goes_to("bob@s1").await;
    alice.writes("bob@s1", "The key is under the flower pot").await;
    let with_alice = tidings_testbed::person::with(&alice.name.parse().unwrap());
    bob.sees(&with_alice, &alice.name.parse().unwrap(), "The key is under the flower pot").await;
    bob.writes(&with_alice, "I found it there").await;
    alice.page.reads("I found it there").await;
    alice.page.gone("StaticText", "Sending").await;

    let there = Browser::start().await;
    let again = Someone::logs_in(&world, &there, "alice@s1").await;
    again.page.reads("Plans").await;
    again.page.reads("bob@s1").await;
    again.goes_to("Plans").await;
    again.page.reads("Written into the group").await;
    again.goes_to("Public chat").await;
    again.page.reads("Said to everybody").await;
    again.goes_to("bob@s1").await;
    again.page.reads("The key is under the flower pot").await;
    again.page.reads("I found it there").await;
    again.writes("bob@s1", "Now from the other browser").await;
    alice.page.reads("Now from the other browser").await;
    let text = alice.timeline().await;
    assert_eq!(text.matches("Now from the other browser").count(), 1, "{text}");

    // Both are devices of the account, and each knows which it is.
    alice.goes_to("Settings").await;
    alice.page.reads("this device").await;
    alice.page.find("button", "Remove").await;

    let mine = ["alice@s1", "flower pot", "Plans"];
    assert!(!stored(&again.page, &mine[..1]).await.is_empty(), "the control: who looks there sees whose account it is");
    again.goes_to("Settings").await;
    again.page.click("button", "Log out").await;
    again.page.find("dialog", "Log out?").await;
    again.page.reads("This browser stays in its list of devices").await;
    again.page.click("button", "Log out").await;
    again.page.find("button", "Log in").await;
    assert_eq!(stored(&again.page, &mine).await, [""; 0]);
    again.page.reload().await;
    again.page.find("button", "Log in").await;
    // Whoever has logged out has no password to sign another list by: it is taken off by who has.
    alice.page.click("button", "Remove").await;
    alice.page.fill("textbox", "Your password", PASSWORD).await;
    alice.page.click("button", "Remove the device").await;
    assert_ne!(confirms_words(&alice.page).await, alice.words);
    alice.goes_to("Settings").await;
    alice.page.reads("this device").await;
    alice.page.gone("button", "Remove").await;
    alice.goes_to("bob@s1").await;
    alice.writes("bob@s1", "I am still here").await;
    bob.sees(&with_alice, &alice.name.parse().unwrap(), "I am still here").await;
    alice.check();
    again.check();
}
