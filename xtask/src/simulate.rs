//! `cargo xtask campaign simulate`: schedules of whole worlds by seed, in a released program; what they came to adds up in
//! `evidence/simulate.json`.

use crate::evidence::Evidence;
use crate::{cargo, target};
use anyhow::{Context, bail};
use serde_json::{Map, Value};
use std::process::{Command, Stdio};

/// Schedules after which the sums are written down.
const AT_ONCE: u64 = 5_000;

/// Runs so many schedules, from the seed on with which no campaign has begun yet, or from this one. False when one found something.
pub fn campaign(schedules: u64, first: Option<u64>) -> anyhow::Result<bool> {
    println!("Building (the first time this takes many minutes) …");
    let build = ["build", "--quiet", "--release", "--package", "tidings-testbed", "--bin", "simulate"];
    if !cargo().args(build).status()?.success() {
        bail!("the build failed");
    }
    let first = match first {
        Some(first) => first,
        None => Evidence::of("simulate")?.number("schedules"),
    };
    let (mut done, mut failed) = (0, 0);
    while done < schedules {
        let count = AT_ONCE.min(schedules - done);
        println!("[{done} of {schedules}] seeds {} to {}", first + done, first + done + count - 1);
        failed += run(first + done, count)?;
        done += count;
    }
    println!("{schedules} schedules, {failed} with findings; the sums are in evidence/simulate.json");
    Ok(failed == 0)
}

/// So many schedules, and how many of them found something.
fn run(first: u64, count: u64) -> anyhow::Result<u64> {
    let program = target().join("release/simulate");
    let arguments = [first, count].map(|number| number.to_string());
    let output = Command::new(&program).args(&arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("{} cannot be run", program.display()))?;
    let sums: Map<String, Value> =
        serde_json::from_slice(&output.stdout).with_context(|| format!("the schedules from {first} on have ended in the middle"))?;
    let mut evidence = Evidence::of("simulate")?;
    let mut failed = 0;
    for (name, value) in &sums {
        match value {
            Value::Array(seeds) => {
                failed += seeds.len() as u64;
                evidence.add(&["failed"], seeds.len() as u64);
                seeds.iter().for_each(|seed| evidence.push("failed_seeds", seed.clone()));
            }
            value => evidence.add(&[name], value.as_u64().unwrap_or_default()),
        }
    }
    evidence.push("seeds", format!("{first}..{}", first + count).into());
    evidence.save()?;
    Ok(failed)
}
