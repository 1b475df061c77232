//! What a developer runs: `cargo xtask demo`, `test`, `web`, `build`, `bench`, `campaign`, `man` and `completions`. Not part of the product, and depends on
//! none of it.

mod autobahn;
mod crash;
mod evidence;
mod figures;
mod fuzz;
mod python;
mod simulate;
mod suite;
mod tools;
mod web;

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "cargo xtask <command>

  demo [--keep]  build Tidings and show it: two servers, alice and bob, a server killed and back again.
                 --keep leaves the servers running and prints how to go on by hand.
  web            build the web client into target/pages, which a build of the program after it has in it
  build          the released program with the web client in it: target/release/tidings
  test           formatting, lints, house rules and every test. The last line is the sum.
  bench [WHAT]   measure a release build: what connections, messages and logins cost a server on one core. A table, or with
                 --json one object. WHAT is one or more of what `cargo xtask bench --help` lists. Takes minutes.
  bench --micro [--report FILE]
                 medians of single steps instead: seal, open, sign, append, encode, each against the bare thing in it
  campaign fuzz [--for 10m] [TARGET]…
                 every decoder under libFuzzer; what was seen adds up in evidence/fuzz.json
  campaign crash [--for 20m] [--seed N]
                 one to three servers that are killed while people write, again and again; nothing acknowledged may be
                 lost, doubled or invented. Sums in evidence/crash.json; --seed does one run, or those from there on, again
  campaign simulate [--schedules 100000] [--seed N] [--suite mls-1] [--every-write]
                 worlds of servers and people whose every frame, commit, cut and crash one seed decides, in a released
                 program. Sums in evidence/simulate*.json; --seed says from which on. --suite mls-1: worlds of rooms on MLS.
                 --every-write: each again for each write of each device, at which its program ends
  campaign web [--messages N]
                 what somebody with 500 conversations waits for in a browser, of the released program, and how soon what is
                 written is on screen; or a conversation of N messages, read from its end to its beginning without a jump
  campaign autobahn
                 the WebSocket, as server and as client, against the Autobahn test suite (needs Python 2.7)
  man            man pages, one a command, in target/man
  completions    completions for bash, zsh, fish, elvish and PowerShell, in target/completions

They need a C compiler (for SQLite and for the cryptography of aws-lc), and the cargo registry once.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["demo", ref more @ ..] if more.iter().all(|flag| *flag == "--keep") => demo(more),
        ["web"] => web::build(),
        ["build"] => release(),
        ["test"] => need_c_compiler().and_then(|()| suite::run()),
        ["campaign", "fuzz", ref more @ ..] => need_c_compiler().and_then(|()| campaign(more)),
        ["campaign", "crash", ref more @ ..] => need_c_compiler().and_then(|()| crashes(more)),
        ["campaign", "simulate", ref more @ ..] => need_c_compiler().and_then(|()| simulate::campaign(&simulate::Campaign::read(more)?)),
        ["bench", ref more @ ..] => bench(more),
        ["campaign", "web", ref more @ ..] => need_c_compiler().and_then(|()| figures(more)),
        ["campaign", "autobahn"] => need_c_compiler().and_then(|()| autobahn::campaign()),
        ["man"] => pages("man"),
        ["completions"] => pages("completions"),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(true)
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(flags: &[&str]) -> anyhow::Result<bool> {
    need_c_compiler()?;
    web::build()?;
    build()?;
    let shown = cargo().args(["run", "--quiet", "--package", "tidings", "--", "demo"]).args(flags).status()?;
    Ok(shown.success())
}

fn release() -> anyhow::Result<bool> {
    need_c_compiler()?;
    web::build()?;
    println!("Building tidings as it is released (the first time this takes many minutes) …");
    let built = cargo().args(["build", "--quiet", "--release", "--package", "tidings"]).status()?.success();
    if built {
        println!("{}", target().join("release/tidings").display());
    }
    Ok(built)
}

/// `[--for SPAN] [NAME]…`
fn campaign(arguments: &[&str]) -> anyhow::Result<bool> {
    match arguments {
        ["--for", span, targets @ ..] => fuzz::campaign(evidence::span(span)?, targets),
        targets => fuzz::campaign(std::time::Duration::from_secs(600), targets),
    }
}

/// `[--for SPAN] [--seed N]`
fn crashes(arguments: &[&str]) -> anyhow::Result<bool> {
    let seed = |text: &str| text.parse::<u64>().with_context(|| format!("{text:?} is no seed: say a number"));
    match *arguments {
        [] => crash::campaign(std::time::Duration::from_secs(1200), None),
        ["--for", span] => crash::campaign(evidence::span(span)?, None),
        ["--seed", first] => crash::campaign(std::time::Duration::ZERO, Some(seed(first)?)),
        ["--for", span, "--seed", first] => crash::campaign(evidence::span(span)?, Some(seed(first)?)),
        _ => bail!("say `cargo xtask campaign crash [--for 20m] [--seed N]`"),
    }
}

/// `[--messages N]`
fn figures(arguments: &[&str]) -> anyhow::Result<bool> {
    match *arguments {
        [] => figures::campaign(None),
        ["--messages", count] => figures::campaign(Some(count.parse().with_context(|| format!("{count:?} is no number"))?)),
        _ => bail!("say `cargo xtask campaign web [--messages 100000]`"),
    }
}

/// Both programs in one build: a package alone would be built with other features, and not be the program that is shipped.
fn bench(arguments: &[&str]) -> anyhow::Result<bool> {
    need_c_compiler()?;
    eprintln!("Building tidings as it is released (the first time this takes many minutes) …");
    let built = cargo().args(["build", "--quiet", "--release", "--package", "tidings", "--package", "tidings-bench"]).status()?;
    if !built.success() {
        bail!("the build failed");
    }
    let mut program = Command::new(target().join("release/tidings-bench"));
    let arguments = match arguments {
        ["--micro", more @ ..] => {
            program.arg("micro").arg(micro()?);
            more
        }
        whole => whole,
    };
    Ok(program.arg("--commit").arg(evidence::commit()).args(arguments).current_dir(root()).status()?.success())
}

/// Runs all of `crates/bench/benches`, and says where criterion has put what it measured.
fn micro() -> anyhow::Result<PathBuf> {
    let folder = target().join("micro");
    // What was measured of a benchmark that is there no more is no figure of this commit.
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context(folder.display().to_string()),
        _ => {}
    }
    let all = ["bench", "--package", "tidings", "--package", "tidings-bench", "--bench", "*"];
    if !cargo().args(all).env("CRITERION_HOME", &folder).status()?.success() {
        bail!("the benchmarks failed");
    }
    Ok(folder)
}

/// Only the binary knows its own command line, so it writes these itself.
fn pages(what: &str) -> anyhow::Result<bool> {
    build()?;
    let folder = format!("target/{what}");
    let written = cargo().args(["run", "--quiet", "--package", "tidings", "--", "pages", what, &folder]).status()?;
    if written.success() {
        println!("{folder}");
    }
    Ok(written.success())
}

fn build() -> anyhow::Result<()> {
    need_c_compiler()?;
    println!("Building tidings (the first time this takes a few minutes) …");
    let built = cargo().args(["build", "--quiet", "--package", "tidings"]).status().context("cargo cannot be run")?;
    if !built.success() {
        bail!("the build failed");
    }
    Ok(())
}

/// The cargo that runs this program, in the workspace's folder.
fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// SQLite and aws-lc are compiled from C: better said now than after a screen of a build script's output.
fn need_c_compiler() -> anyhow::Result<()> {
    let named = std::env::var("CC").ok();
    let candidates = named.iter().map(String::as_str).chain(["cc", "gcc", "clang"]);
    for candidate in candidates {
        if Command::new(candidate).arg("--version").output().is_ok_and(|output| output.status.success()) {
            return Ok(());
        }
    }
    bail!(
        "a C compiler is needed to build SQLite and aws-lc, and none of $CC, cc, gcc and clang works.
  Debian, Ubuntu: apt-get install gcc libc6-dev
  Fedora:         dnf install gcc
  Alpine:         apk add gcc musl-dev
  macOS:          xcode-select --install"
    )
}
