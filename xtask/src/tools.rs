//! Programs that a build or a test needs and that may be missing: installed where that is ours to do, named with what to do otherwise.

use anyhow::{Context, bail};
use std::process::{Command, Stdio};

/// A program, and the Debian package that has it.
pub struct Tool {
    /// One of these has to be there.
    pub programs: &'static [&'static str],
    /// What brings it on Debian.
    pub package: &'static str,
    /// What it is needed for.
    pub why: &'static str,
}

/// For SQLite in the browser.
pub const CLANG: Tool = Tool { programs: &["clang"], package: "clang", why: "to compile SQLite to WebAssembly" };
/// For the tests of the web client.
pub const CHROMIUM: Tool =
    Tool { programs: &["chromium", "chromium-browser", "google-chrome"], package: "chromium", why: "to test the web client" };
/// For tests on two machines.
pub const IP: Tool = Tool { programs: &["ip"], package: "iproute2", why: "to make networks for tests" };

/// Sees to it that a tool is there.
pub fn need(tool: &Tool) -> anyhow::Result<()> {
    if tool.programs.iter().any(|program| runs(program)) {
        return Ok(());
    }
    let Tool { programs, package, why } = tool;
    if !runs("apt-get") || !is_root() {
        bail!("{} is needed {why}, and is not here. Debian, Ubuntu: apt-get install {package}", programs[0]);
    }
    eprintln!("{} is needed {why}: installing it …", programs[0]);
    let apt = |arguments: &[&str]| -> anyhow::Result<bool> {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments).stdout(Stdio::null());
        Ok(command.status().context("apt-get cannot be run")?.success())
    };
    if !apt(&["update", "-qq"])? || !apt(&["install", "-y", "-qq", "--no-install-recommends", package])? {
        bail!("{package} could not be installed; apt-get says why above");
    }
    Ok(())
}

fn runs(program: &str) -> bool {
    // Not every program has the long word.
    let says =
        |word| Command::new(program).arg(word).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    says("--version") || says("-V")
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
