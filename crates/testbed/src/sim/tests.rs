//! What the schedules have to show: nothing wrong, the same again by the same seed, and every planted flaw found.

use super::{Flaw, Run, run};
use std::sync::atomic::{AtomicU64, Ordering};

/// Schedules that each test run goes through; the campaign goes through many more.
const SCHEDULES: u64 = 150;
/// Schedules that are run twice; the campaign does so with one of a hundred.
const TWICE: u64 = 40;
/// Schedules in which each flaw has to be found.
const FOUND_WITHIN: u64 = 400;

/// Runs these seeds on every processor.
fn all(seeds: std::ops::Range<u64>, each: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(seeds.start);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end) {
                    each(seed);
                }
            });
        }
    });
}

fn told(run: &Run) -> String {
    format!("{run}\nSIM_SEED={} cargo nextest run --workspace -E 'test(sim::)' --no-capture shows every step", run.seed)
}

/// With `SIM_SEED=n` that one, step by step.
#[test]
fn whatever_a_schedule_does_nothing_is_lost_doubled_or_told_in_two_ways() {
    if let Some(seed) = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let run = run(seed, None, true);
        println!("{run}");
        return assert!(run.wrong.is_empty());
    }
    all(0..SCHEDULES, |seed| {
        let run = run(seed, None, false);
        assert!(run.wrong.is_empty(), "{}", told(&run));
    });
}

#[test]
fn the_same_seed_is_the_same_run() {
    all(0..TWICE, |seed| assert_eq!(run(seed, None, false).hash, run(seed, None, false).hash, "seed {seed}"));
}

/// Each schedule with a flaw in it, until one of them finds it.
#[test]
fn every_planted_flaw_is_found() {
    let found = std::sync::Mutex::new(Vec::new());
    all(0..Flaw::ALL.len() as u64, |number| {
        let flaw = Flaw::ALL[number as usize];
        let first = (0..FOUND_WITHIN).map(|seed| run(seed, Some(flaw), false)).find(|run| !run.wrong.is_empty());
        found.lock().unwrap().push((flaw, first));
    });
    for (flaw, first) in found.into_inner().unwrap() {
        let first = first.unwrap_or_else(|| panic!("{flaw:?} is not found in {FOUND_WITHIN} schedules"));
        println!("{flaw:?}: schedule {}, {}", first.seed + 1, first.wrong[0]);
    }
}
