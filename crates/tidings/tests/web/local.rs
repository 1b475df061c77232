//! Pages that open though nobody serves them, and `tidings client`.

use crate::someone::{Someone, program, world};
use std::path::Path;
use std::process::Stdio;
use tidings_setup::value::show_server_key;
use tidings_testbed::browser::Browser;
use tidings_testbed::ports::free_addresses;
use tidings_testbed::world::World;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

/// `tidings client` on this port, which listens when this returns.
pub async fn client(world: &World, folder: &Path, port: u16) -> Child {
    let mut command = program().command(folder);
    command.args(["client", "--json", "--no-browser", "--port", &port.to_string(), "--server", &world.address("s1").to_string()]);
    command.args(["--server-key", &show_server_key(&world.key("s1"))]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).await.expect("a line");
    assert!(line.contains(&format!("http://127.0.0.1:{port}/")), "{line}");
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_is_there_though_server_and_program_are_away() {
    let mut world = world(&["s1"]).await;
    let folder = tempfile::tempdir().unwrap();
    let port = free_addresses::<1>().unwrap()[0].port();
    let mut served = client(&world, folder.path(), port).await;
    let browser = Browser::start().await;
    let page = browser.open(&format!("http://127.0.0.1:{port}/")).await;
    page.click("button", "Create an account").await;
    let alice = Someone::signs_up(page, "alice@s1", "alice").await;
    alice.goes_public().await;
    alice.writes("Public chat", "By my own program").await;
    alice.page.find("StaticText", "Sent").await;
    alice.goes_to("Settings").await;
    alice.page.reads("This client was started on your own computer").await;
    alice.page.until("navigator.serviceWorker.controller !== null").await;
    alice.check();

    // The server goes, then this program too.
    world.kill("s1").await;
    alice.page.reload().await;
    alice.goes_to("Public chat").await;
    alice.page.reads("By my own program").await;
    served.kill().await.unwrap();
    alice.page.reload().await;
    alice.page.find("navigation", "Conversations").await;
    alice.goes_to("Public chat").await;
    alice.page.reads("By my own program").await;
    alice.writes("Public chat", "Written with nobody there").await;
    alice.page.reads("Written with nobody there").await;
    alice.page.reads("Offline").await;

    // Both are back, and it goes out.
    world.start("s1").await;
    let _served = client(&world, folder.path(), port).await;
    alice.page.gone("StaticText", "Sending").await;
    let bob = world.person("bob@s1").await;
    bob.sees(&tidings_client::view::Target::Public, &"alice@s1".parse().unwrap(), "Written with nobody there").await;
}
