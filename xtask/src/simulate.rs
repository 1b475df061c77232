//! `cargo xtask campaign simulate`: schedules of whole worlds by seed, in a released program; what they came to adds up in
//! `evidence/simulate.json`, that of worlds on MLS in `simulate-mls-1.json`, and of those run for every write in `…-every-write.json`.

use crate::evidence::Evidence;
use crate::{cargo, target};
use anyhow::{Context, bail};
use serde_json::{Map, Value};
use std::process::{Command, Stdio};

/// Schedules after which the sums are written down.
const AT_ONCE: u64 = 5_000;
/// The same where each is run some hundred times.
const AT_ONCE_EACH: u64 = 20;

/// What is run.
#[derive(Default)]
pub struct Campaign {
    /// How many schedules.
    schedules: Option<u64>,
    /// From which seed on; otherwise from the first with which no campaign has begun yet.
    first: Option<u64>,
    /// The suite of the worlds, where it is not that of the program's own.
    suite: Option<String>,
    /// Whether each schedule is run for each write of each device, after which that device's program ends.
    every_write: bool,
}

impl Campaign {
    /// `[--schedules N] [--seed N] [--suite NAME] [--every-write]`
    pub fn read(arguments: &[&str]) -> anyhow::Result<Campaign> {
        let number = |text: &str| text.parse::<u64>().with_context(|| format!("{text:?} is no number"));
        let (mut campaign, mut rest) = (Campaign::default(), arguments);
        loop {
            rest = match *rest {
                [] => return Ok(campaign),
                ["--schedules", count, ref rest @ ..] => {
                    campaign.schedules = Some(number(count)?);
                    rest
                }
                ["--seed", first, ref rest @ ..] => {
                    campaign.first = Some(number(first)?);
                    rest
                }
                ["--suite", suite, ref rest @ ..] => {
                    campaign.suite = Some(suite.to_owned());
                    rest
                }
                ["--every-write", ref rest @ ..] => {
                    campaign.every_write = true;
                    rest
                }
                _ => bail!("say `cargo xtask campaign simulate [--schedules 100000] [--seed N] [--suite mls-1] [--every-write]`"),
            };
        }
    }

    fn evidence(&self) -> String {
        let suite = self.suite.as_ref().map(|suite| format!("-{suite}")).unwrap_or_default();
        format!("simulate{suite}{}", if self.every_write { "-every-write" } else { "" })
    }
}

/// Runs so many schedules. False when one found something.
pub fn campaign(campaign: &Campaign) -> anyhow::Result<bool> {
    let schedules = campaign.schedules.unwrap_or(if campaign.every_write { 100 } else { 100_000 });
    println!("Building (the first time this takes many minutes) …");
    let build = ["build", "--quiet", "--release", "--package", "tidings-testbed", "--bin", "simulate"];
    if !cargo().args(build).status()?.success() {
        bail!("the build failed");
    }
    let first = match campaign.first {
        Some(first) => first,
        None => Evidence::of(&campaign.evidence())?.number("schedules"),
    };
    let (mut done, mut failed) = (0, 0);
    while done < schedules {
        let count = if campaign.every_write { AT_ONCE_EACH } else { AT_ONCE }.min(schedules - done);
        println!("[{done} of {schedules}] seeds {} to {}", first + done, first + done + count - 1);
        failed += run(campaign, first + done, count)?;
        done += count;
    }
    println!("{schedules} schedules, {failed} with findings; the sums are in evidence/{}.json", campaign.evidence());
    Ok(failed == 0)
}

/// So many schedules, and how many of them found something.
fn run(campaign: &Campaign, first: u64, count: u64) -> anyhow::Result<u64> {
    let program = target().join("release/simulate");
    let arguments = [first, count].map(|number| number.to_string());
    let mut command = Command::new(&program);
    command.args(campaign.suite.iter().flat_map(|suite| ["--suite", suite])).args(campaign.every_write.then_some("--every-write"));
    let output = command.args(&arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("{} cannot be run", program.display()))?;
    let sums: Map<String, Value> =
        serde_json::from_slice(&output.stdout).with_context(|| format!("the schedules from {first} on have ended in the middle"))?;
    let mut evidence = Evidence::of(&campaign.evidence())?;
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
