//! `cargo xtask campaign fuzz`: every decoder under libFuzzer, one after the other, and what was found added up in
//! `evidence/fuzz.json`.
//!
//! The compiler's coverage instrumentation is in stable Rust; there is no sanitizer, since there is no unsafe code of ours to
//! watch. Corpora stay in `target/fuzz`, so that the next run goes on where this one ended.

use crate::evidence::Evidence;
use crate::{cargo, root};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What libFuzzer needs of the compiler; the same that cargo-fuzz asks for, without a sanitizer.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                            -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks";

/// Fuzzes these targets, or all, for `all` together. False when an input was found that a target fails on.
pub fn campaign(all: Duration, wanted: &[&str]) -> anyhow::Result<bool> {
    let targets = targets()?;
    if let Some(unknown) = wanted.iter().find(|name| !targets.iter().any(|target| target == *name)) {
        bail!("there is no target {unknown:?}; there are {}", targets.join(", "));
    }
    let chosen: Vec<&String> = targets.iter().filter(|target| wanted.is_empty() || wanted.contains(&target.as_str())).collect();
    let binary = build()?;
    let share = (all.as_secs() / chosen.len() as u64).max(1);
    let mut findings = 0;
    for (number, target) in chosen.iter().enumerate() {
        println!("[{}/{}] {target} for {share} s", number + 1, chosen.len());
        let run = run(&binary, target, share)?;
        println!("        {} inputs, {}", run.executions, if run.failed { "FAILED" } else { "nothing found" });
        let mut evidence = Evidence::of("fuzz")?;
        for (what, more) in [("executions", run.executions), ("seconds", share), ("findings", u64::from(run.failed))] {
            evidence.add(&["targets", target, what], more);
            evidence.add(&[what], more);
        }
        evidence.save()?;
        findings += u64::from(run.failed);
    }
    println!("{} targets, {findings} with findings; the sums are in evidence/fuzz.json", chosen.len());
    Ok(findings == 0)
}

struct Run {
    executions: u64,
    failed: bool,
}

fn run(binary: &Path, target: &str, seconds: u64) -> anyhow::Result<Run> {
    let folder = root().join("target/fuzz").join(target);
    let (corpus, seeds, found) = (folder.join("corpus"), folder.join("seeds"), folder.join("found/"));
    for folder in [&corpus, &seeds, &found] {
        std::fs::create_dir_all(folder)?;
    }
    let output = Command::new(binary)
        .env("TIDINGS_FUZZ_TARGET", target)
        .env("TIDINGS_FUZZ_SEEDS", &seeds)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", found.display()))
        // Drafts have at most 64 KiB, and longer inputs only slow down.
        .args(["-print_final_stats=1", "-max_len=70000", "-timeout=20", "-rss_limit_mb=2048"])
        .args([&corpus, &seeds])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} cannot be run", binary.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let count = |line: &str| line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok();
    let executions = said.lines().find_map(count).unwrap_or(0);
    if !output.status.success() {
        let tail: Vec<&str> = said.lines().rev().take(30).collect();
        tail.iter().rev().for_each(|line| println!("        {line}"));
    }
    if executions == 0 && output.status.success() {
        bail!("libFuzzer ran nothing on {target}:\n{said}");
    }
    Ok(Run { executions, failed: !output.status.success() })
}

fn build() -> anyhow::Result<PathBuf> {
    println!("Building with instrumentation, in target/fuzz (the first time this takes a few minutes) …");
    let folder = root().join("target/fuzz/build");
    let mut build = cargo();
    build.args(["build", "--quiet", "--package", "tidings-fuzz", "--features", "libfuzzer", "--bin", "libfuzzer"]);
    // A target is named, so that build scripts and macros are built without it.
    let host = host()?;
    build.args(["--target", &host]).env("CARGO_TARGET_DIR", &folder).env("RUSTFLAGS", INSTRUMENTED);
    if !build.status()?.success() {
        bail!("the build failed; libFuzzer itself needs a C++ compiler (Debian, Ubuntu: apt-get install g++)");
    }
    Ok(folder.join(host).join("debug/libfuzzer"))
}

fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc cannot be run")?;
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().find_map(|line| line.strip_prefix("host: ").map(str::to_owned)).context("rustc does not say its host")
}

/// As the crate lists them.
fn targets() -> anyhow::Result<Vec<String>> {
    let source = std::fs::read_to_string(root().join("crates/fuzz/src/lib.rs"))?;
    Ok(source.lines().filter_map(|line| Some(line.split_once("Target { name: \"")?.1.split('"').next()?.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_target_is_found_by_its_name() {
        let targets = super::targets().unwrap();
        assert!(targets.len() >= 16 && targets.contains(&"frame".into()) && targets.contains(&"vault".into()), "{targets:?}");
    }
}
