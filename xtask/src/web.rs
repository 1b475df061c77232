//! `cargo xtask web`: the web client, from its sources to the folder of files that the program is then built with (`target/pages`).

use crate::tools::{self, CLANG};
use crate::{cargo, root, target};
use anyhow::bail;
use std::process::Command;
use std::time::Instant;

const TARGET: &str = "wasm32-unknown-unknown";
/// What draws, and what has the client core: packages, and the files that come of them.
const MODULES: [(&str, &str); 2] = [("tidings-web", "tidings-web.wasm"), ("tidings-worker", "tidings_worker.wasm")];
/// What is served as it lies there, but for names and compression.
const FOLDERS: [&str; 2] = ["crates/web/static", "crates/bundle/scripts"];

/// Builds it.
pub fn build() -> anyhow::Result<bool> {
    need_target()?;
    tools::need(&CLANG)?;
    let begun = Instant::now();
    println!("Building the web client (the first time this takes a few minutes) …");
    let mut compile = cargo();
    compile.args(["build", "--quiet", "--profile", "web", "--target", TARGET]);
    MODULES.iter().for_each(|(package, _)| {
        compile.args(["--package", package]);
    });
    if !compile.status()?.success() {
        bail!("the web client's build failed");
    }
    let mut bundle = cargo();
    bundle.args(["run", "--quiet", "--package", "tidings-bundle", "--"]).arg(root().join("target/pages"));
    bundle.args(FOLDERS.iter().map(|folder| root().join(folder)));
    bundle.args(MODULES.iter().map(|(_, file)| target().join(TARGET).join("web").join(file)));
    if !bundle.status()?.success() {
        bail!("the web client could not be put together");
    }
    println!("The web client is built, in {} s.", begun.elapsed().as_secs());
    Ok(true)
}

/// The compiler's own library for WebAssembly, which rustup brings.
fn need_target() -> anyhow::Result<()> {
    let libraries = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).current_dir(root()).output()?;
    let there = String::from_utf8_lossy(&libraries.stdout).trim().to_owned();
    if libraries.status.success() && std::path::Path::new(&there).is_dir() {
        return Ok(());
    }
    if Command::new("rustup").args(["target", "add", TARGET]).current_dir(root()).status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    bail!(
        "Rust's library for {TARGET} is missing, and rustup could not bring it. Say `rustup target add {TARGET}` where there is a network"
    )
}
