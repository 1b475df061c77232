//! `cargo xtask campaign crash`: runs of servers that are killed, one after the other, each by a seed of its own; what was
//! acknowledged and what was found adds up in `evidence/crash.json`.

use crate::evidence::Evidence;
use crate::{cargo, target};
use anyhow::{Context, bail};
use serde_json::{Map, Value};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Runs until the time is up, and ends the run that is under way then. False when one of them found something.
pub fn campaign(all: Duration, first: Option<u64>) -> anyhow::Result<bool> {
    build()?;
    let begun = Instant::now();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (mut runs, mut failed) = (0, 0);
    while runs == 0 || begun.elapsed() < all {
        let seed = first.unwrap_or(since * 1000) + runs;
        let arguments = arguments(seed);
        runs += 1;
        println!("[{runs}] {} of {} s, {}", begun.elapsed().as_secs(), all.as_secs(), arguments.join(" "));
        let Some((clean, sums)) = run(&arguments)? else {
            bail!("that run has ended in the middle, and counts for nothing: mend what it says first");
        };
        let mut evidence = Evidence::of("crash")?;
        add(&mut evidence, &[], &sums);
        evidence.add(&["runs"], 1);
        if !clean {
            failed += 1;
            evidence.add(&["failed", &arguments.join(" ")], 1);
        }
        evidence.push("seeds", seed.into());
        evidence.save()?;
    }
    println!("{runs} runs, {failed} with findings; the sums are in evidence/crash.json");
    Ok(failed == 0)
}

/// One to three servers; the more there are, the fewer devices on each. What people with the real program say is on MLS every other time.
fn arguments(seed: u64) -> Vec<String> {
    let (servers, devices) = [(2, 4), (3, 3), (1, 6)][(seed % 3) as usize];
    let (world, faults) = ([("--seed", seed), ("--servers", servers), ("--devices", devices)], [("--kills", 25), ("--cuts", 20)]);
    let numbers = [&world[..], &[("--messages", 20_000), ("--mls", seed / 3 % 2)], &faults].concat();
    numbers.iter().flat_map(|(name, number)| [(*name).to_owned(), number.to_string()]).collect()
}

/// One run: whether it was clean, and its sums, if it came to any. What it says of itself goes to the terminal.
fn run(arguments: &[String]) -> anyhow::Result<Option<(bool, Map<String, Value>)>> {
    let program = target().join("debug/crash");
    let output = Command::new(&program).args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("{} cannot be run", program.display()))?;
    let sums = serde_json::from_slice(&output.stdout).ok();
    Ok(sums.map(|sums| (output.status.success(), sums)))
}

fn add(evidence: &mut Evidence, way: &[&str], sums: &Map<String, Value>) {
    for (name, value) in sums {
        let way = [way, &[name.as_str()]].concat();
        match value {
            Value::Object(inside) => add(evidence, &way, inside),
            value => evidence.add(&way, value.as_u64().unwrap_or_default()),
        }
    }
}

/// All of the workspace's programs: by itself a package would be built anew, with fewer features.
fn build() -> anyhow::Result<()> {
    println!("Building (the first time this takes a few minutes) …");
    if !cargo().args(["build", "--quiet", "--workspace", "--bins"]).status()?.success() {
        bail!("the build failed");
    }
    Ok(())
}
