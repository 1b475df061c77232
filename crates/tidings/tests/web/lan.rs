//! A server on another machine than the browser: what has to be accepted, once, and by whom not.

use crate::local;
use crate::someone::{Someone, pages_of, world_with};
use tidings_testbed::browser::Browser;
use tidings_testbed::lan::{Lan, Machine};
use tidings_testbed::ports::free_addresses;

/// What a page needs of its browser, in one word each; what is missing is not in it.
const HAS: &str = "(async () => {
    const has = {
        secure: isSecureContext,
        disk: await navigator.storage.getDirectory().then(() => true, () => false),
        cryptography: await crypto.subtle.digest('SHA-256', new Uint8Array()).then(() => true, () => false),
        locks: (await navigator.locks.query()).held.some((lock) => lock.name === 'tidings'),
        keeper: (await navigator.serviceWorker.getRegistrations()).length > 0,
    };
    return Object.keys(has).filter((what) => has[what]).join(' ');
})()";

#[test]
#[ignore = "needs network namespaces, which root alone may make"]
fn another_machine_is_reached_with_one_warning_or_by_ones_own_program_with_none() {
    let lan = Lan::new();
    let server = lan.at(Machine::Server);
    let world = server.block_on(world_with(&["s1"], |config| config.listen.set_ip(Machine::Server.address().into())));
    let (pages, host) = (pages_of(&world, "s1"), world.address("s1").ip());
    lan.at(Machine::Person).block_on(async {
        // The server itself, by a browser that nobody has told to trust it.
        let browser = Browser::wary().await;
        let page = browser.open("about:blank").await;
        assert_eq!(page.is_refused(&pages).await, "net::ERR_CERT_AUTHORITY_INVALID");
        page.click("button", "Advanced").await;
        page.click("link", &format!("Proceed to {host} (unsafe)")).await;
        page.click("button", "Create an account").await;
        let alice = Someone::signs_up(page, "alice@s1", "alice").await;
        alice.goes_public().await;
        alice.writes("Public chat", "From another machine").await;
        alice.page.find("StaticText", "Sent").await;
        assert_eq!(alice.page.run(HAS).await, "secure disk cryptography locks");
        // That was the only time.
        alice.page.reload().await;
        alice.page.reads("From another machine").await;

        // One's own program, on the machine where the browser is.
        let folder = tempfile::tempdir().unwrap();
        let port = free_addresses::<1>().unwrap()[0].port();
        let _served = local::client(&world, folder.path(), port).await;
        let other = Browser::wary().await;
        let page = other.open(&format!("http://127.0.0.1:{port}/")).await;
        page.click("button", "Create an account").await;
        let bob = Someone::signs_up(page, "bob@s1", "bob").await;
        bob.goes_public().await;
        bob.page.reads("From another machine").await;
        bob.writes("Public chat", "By my own program").await;
        alice.page.reads("By my own program").await;
        bob.page.until("navigator.serviceWorker.controller !== null").await;
        assert_eq!(bob.page.run(HAS).await, "secure disk cryptography locks keeper");
        bob.check();
        // What keeps the shell at hand is not let in where the certificate was accepted by hand; that, and nothing else, went wrong.
        let complaints = alice.page.complaints();
        let is_known = |complaint: &String| complaint.contains("error occurred when fetching the script.");
        assert!(complaints.iter().all(is_known), "{}", complaints.join("\n"));

        // Nor does it come back with the browser.
        let browser = browser.closed().await;
        let page = browser.open(&pages).await;
        page.find("navigation", "Conversations").await;
    });
}
