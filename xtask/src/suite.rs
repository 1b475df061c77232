//! `cargo xtask test`: each step is run to its end, whatever the ones before it found, and everything is counted.
//!
//! House rules are not here: they are tests of this crate (`tests/house_rules.rs`) and run with all others.

use crate::cargo;
use crate::python::{self, Missing};
use crate::tools::{self, CHROMIUM};
use crate::web;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// What a step found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

impl Count {
    const ONE_PASSED: Count = Count { passed: 1, failed: 0 };
    const ONE_FAILED: Count = Count { passed: 0, failed: 1 };

    fn add(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// How a step's output is counted.
enum Counted {
    /// The step is one check.
    Whole,
    /// The step runs tests, and says how many.
    ByLine(fn(&str) -> Option<Count>),
}

/// Runs all steps. The last line is the sum; false when anything failed.
pub fn run() -> anyhow::Result<bool> {
    // What is tested is built with the web client in it, and some of it in a browser.
    tools::need(&CHROMIUM)?;
    web::build()?;
    let mut sum = Count::default();
    sum.add(step("formatting", cargo().args(["fmt", "--all", "--check"]), &Counted::Whole)?);
    let lints = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];
    sum.add(step("lints", cargo().args(lints), &Counted::Whole)?);
    if has("nextest") {
        let tests = ["nextest", "run", "--workspace", "--no-fail-fast", "--status-level", "fail", "--final-status-level", "fail"];
        sum.add(step("tests", cargo().args(tests), &Counted::ByLine(nextest_line))?);
        sum.add(step(
            "examples in the docs",
            cargo().args(["test", "--workspace", "--doc", "--quiet"]),
            &Counted::ByLine(cargo_test_line),
        )?);
    } else {
        sum.add(step("tests", cargo().args(["test", "--workspace", "--no-fail-fast"]), &Counted::ByLine(cargo_test_line))?);
    }
    if has_node() {
        // Of the whole workspace, though one crate has it: a package alone would be built anew with fewer features.
        let with_node = ["test", "--workspace", "--test", "webcrypto", "--", "--ignored"];
        sum.add(step("against node's WebCrypto", cargo().args(with_node), &Counted::ByLine(cargo_test_line))?);
    } else {
        println!("\n== against node's WebCrypto: skipped, there is no node 20 or later");
    }
    sum.add(against_jwcrypto()?);
    sum.add(on_two_machines()?);
    if has("deny") {
        let bans = ["deny", "--offline", "check", "bans", "licenses", "sources"];
        sum.add(step("dependencies", cargo().args(bans), &Counted::Whole)?);
    } else {
        println!("\n== dependencies: skipped, cargo-deny is not installed");
    }
    println!("\n{} passed, {} failed", sum.passed, sum.failed);
    Ok(sum.failed == 0)
}

/// What needs python's jwcrypto, which is installed for it where that can be done.
fn against_jwcrypto() -> anyhow::Result<Count> {
    let name = "against python's jwcrypto";
    match python::with_jwcrypto() {
        Ok(python) => {
            let with_python = ["test", "--workspace", "--test", "jwcrypto", "--", "--ignored"];
            step(name, cargo().args(with_python).env("JWCRYPTO_PYTHON", python), &Counted::ByLine(cargo_test_line))
        }
        Err(Missing::Here(why)) => {
            println!("\n== {name}: skipped, it is not here and cannot be installed: {why}");
            Ok(Count::default())
        }
        Err(Missing::Changed(why)) => {
            println!("\n== {name}: {why}");
            Ok(Count::ONE_FAILED)
        }
    }
}

/// What needs a network of its own, as far as this machine lets one be made.
fn on_two_machines() -> anyhow::Result<Count> {
    let name = "a browser and a server on two machines";
    if let Err(why) = tools::need(&tools::IP) {
        println!("\n== {name}: skipped, {why:#}");
        return Ok(Count::default());
    }
    let ip = |word: &str| Command::new("ip").args(["netns", word, "tidings-probe"]).output().map(|ended| ended.status.success());
    if !ip("add")? {
        println!("\n== {name}: skipped, no network namespace can be made here (`ip netns add`); root may, where the system has them");
        return Ok(Count::default());
    }
    ip("delete")?;
    let on_a_lan = ["test", "--workspace", "--test", "web", "--", "--ignored"];
    step(name, cargo().args(on_a_lan), &Counted::ByLine(cargo_test_line))
}

fn has(subcommand: &str) -> bool {
    cargo().args([subcommand, "--version"]).output().is_ok_and(|output| output.status.success())
}

/// node 20 or later, whose WebCrypto the e2ee tests exchange messages with.
fn has_node() -> bool {
    let Ok(output) = Command::new("node").arg("--version").output() else { return false };
    let version = String::from_utf8_lossy(&output.stdout);
    version.trim().strip_prefix('v').and_then(|version| version.split('.').next()?.parse::<u32>().ok()).is_some_and(|major| major >= 20)
}

fn step(name: &str, command: &mut Command, counted: &Counted) -> anyhow::Result<Count> {
    println!("\n== {name}");
    std::io::stdout().flush()?;
    // Test programs write their summaries to either stream; both are shown as they come, and both are counted.
    let (reader, writer) = std::io::pipe()?;
    let mut child = command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).spawn()?;
    // The command holds the writing ends too, and the pipe ends only with the last of them.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut count = Count::default();
    let mut lines = BufReader::new(reader);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        if let Counted::ByLine(read) = counted {
            count.add(read(&String::from_utf8_lossy(&line)).unwrap_or_default());
        }
        line.clear();
    }
    Ok(settle(counted, count, child.wait()?.success()))
}

/// A step that ended badly without saying which test failed (it did not build, it was killed) is one failure.
fn settle(counted: &Counted, count: Count, success: bool) -> Count {
    match counted {
        Counted::Whole if success => Count::ONE_PASSED,
        Counted::Whole => Count::ONE_FAILED,
        Counted::ByLine(_) if !success && count.failed == 0 => Count { failed: 1, ..count },
        Counted::ByLine(_) => count,
    }
}

/// `test result: FAILED. 3 passed; 1 failed; 0 ignored; …`
fn cargo_test_line(line: &str) -> Option<Count> {
    let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
    Some(Count { passed: number_before(counts, "passed")?, failed: number_before(counts, "failed")? })
}

/// `Summary [   1.3s] 47 tests run: 45 passed (1 slow), 1 failed, 1 timed out, 0 skipped`
fn nextest_line(line: &str) -> Option<Count> {
    let (_, counts) = line.trim().strip_prefix("Summary [")?.split_once("run: ")?;
    let failed = ["failed", "timed out", "exec failed"].iter().filter_map(|word| number_before(counts, word)).sum();
    Some(Count { passed: number_before(counts, "passed").unwrap_or(0), failed })
}

/// The number right before `word`, where a part of a list separated by `,` or `;` starts with the two.
fn number_before(counts: &str, word: &str) -> Option<u64> {
    counts.split([',', ';']).find_map(|part| {
        let (number, rest) = part.trim().split_once(' ')?;
        let said = rest.split(" (").next()?;
        if said == word { number.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read() {
        let count = |passed, failed| Some(Count { passed, failed });
        assert_eq!(
            cargo_test_line("test result: ok. 43 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.24s"),
            count(43, 0)
        );
        assert_eq!(cargo_test_line("test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured"), count(3, 1));
        assert_eq!(nextest_line("     Summary [   1.328s] 47 tests run: 47 passed, 0 skipped"), count(47, 0));
        assert_eq!(
            nextest_line("     Summary [   1.3s] 50 tests run: 45 passed (2 slow), 3 failed, 1 timed out, 1 exec failed, 0 skipped"),
            count(45, 5)
        );
        assert_eq!(nextest_line("     Summary [   0.1s] 1 test run: 0 passed, 1 failed, 0 skipped"), count(0, 1));
        for other in ["test codes::tests ... ok", "running 4 tests", "PASS [ 0.1s] Summary", ""] {
            assert_eq!((cargo_test_line(other), nextest_line(other)), (None, None), "{other}");
        }
    }

    #[test]
    fn a_step_that_ends_badly_is_never_counted_as_good() {
        let by_line = Counted::ByLine(nextest_line);
        let count = |passed, failed| Count { passed, failed };
        assert_eq!(settle(&by_line, count(0, 0), false), count(0, 1), "it did not build");
        assert_eq!(settle(&by_line, count(5, 0), false), count(5, 1), "it was killed after five");
        assert_eq!(settle(&by_line, count(5, 2), false), count(5, 2));
        assert_eq!(settle(&by_line, count(5, 0), true), count(5, 0));
        assert_eq!(settle(&Counted::Whole, count(0, 0), false), count(0, 1));
    }
}
