//! Pages that open though nobody serves them, and `tidings client`.

use crate::someone::{PASSWORD, Someone, operator, program, world, world_with};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tidings_server::Registration;
use tidings_setup::value::show_server_key;
use tidings_testbed::browser::Browser;
use tidings_testbed::ports::free_addresses;
use tidings_testbed::world::World;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

/// Half as long as the core waits for a server that says nothing.
const SILENT: Duration = Duration::from_secs(5);

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

/// As `kill` does.
fn signal(process: &Child, signal: &str) {
    let id = process.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill").args(["-s", signal, &id]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_invited_comes_in_by_their_own_program_too() {
    let world = world_with(&["s1"], |config| config.registration = Registration::ByCode).await;
    let address = world.address("s1").to_string();
    let code = operator(&world, "s1", &["invite", "new", "--address", &address]).await["code"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let port = free_addresses::<1>().unwrap()[0].port();
    let _served = client(&world, folder.path(), port).await;
    let browser = Browser::start().await;
    let page = browser.open(&format!("http://127.0.0.1:{port}/")).await;
    page.click("button", "Create an account").await;
    // Only the server itself can say whether it wants one.
    page.reads("Leave it empty if you have none").await;
    page.fill("textbox", "Name", "alice").await;
    page.fill("textbox", "Password", PASSWORD).await;
    page.fill("textbox", "Password again", PASSWORD).await;
    page.click("button", "Create account").await;
    page.reads("Paste the code that you were given, or ask whoever runs the server for one.").await;
    page.fill("textbox", "Invitation code", &code).await;
    Someone::signs_up(page, "alice@s1", "alice").await.check();
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

    // Somebody is there and says nothing: nobody waits for them.
    let mut silent = client(&world, folder.path(), port).await;
    signal(&silent, "STOP");
    let asked = Instant::now();
    alice.page.reload().await;
    alice.page.find("navigation", "Conversations").await;
    alice.page.reads("Written with nobody there").await;
    assert!(asked.elapsed() < SILENT, "{:?}", asked.elapsed());
    silent.kill().await.unwrap();

    // Both are back, and it goes out.
    world.start("s1").await;
    let _served = client(&world, folder.path(), port).await;
    alice.page.gone("StaticText", "Sending").await;
    let bob = world.person("bob@s1").await;
    bob.sees(&tidings_client::view::Target::Public, &"alice@s1".parse().unwrap(), "Written with nobody there").await;
}
