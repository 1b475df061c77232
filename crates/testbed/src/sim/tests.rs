//! What the schedules have to show: nothing wrong, the same again by the same seed, and every planted flaw found.

use super::{Flaw, Plan, Run, run};
use std::sync::atomic::{AtomicU64, Ordering};
use tidings_proto::SuiteName;

/// Schedules that each test run goes through; the campaign goes through many more.
const SCHEDULES: [(SuiteName, u64); 2] = [(SuiteName::RsaJwe1, 150), (SuiteName::Mls1, 60)];
/// Schedules of worlds on MLS that have found something.
const FOUND: [u64; 6] = [83, 167, 1632, 2418, 3651, 6344];
/// Schedules that are run twice; the campaign does so with one of a hundred.
const TWICE: [(SuiteName, u64); 2] = [(SuiteName::RsaJwe1, 40), (SuiteName::Mls1, 10)];
/// Schedules that are run again and again, with one of so many writes as the last one of a program; the campaign tries them all.
const SWEPT: u64 = 2;
const SWEPT_EVERY: usize = 23;
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

fn told(suite: SuiteName, run: &Run) -> String {
    let suite = suite.as_str();
    format!(
        "{suite}: {run}\nSIM_SEED={} SIM_SUITE={suite} cargo nextest run --workspace -E 'test(sim::)' --no-capture shows every step",
        run.seed
    )
}

/// With `SIM_SEED=n` that one, step by step; in worlds of `rsa-jwe-1`, or of `SIM_SUITE`.
#[test]
fn whatever_a_schedule_does_nothing_is_lost_doubled_or_told_in_two_ways() {
    if let Some(seed) = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let suite = std::env::var("SIM_SUITE").ok().and_then(|name| super::suite(&name)).unwrap_or(SuiteName::RsaJwe1);
        let run = run(Plan { verbose: true, ..Plan::of(suite, seed) });
        println!("{run}");
        return assert!(run.wrong.is_empty());
    }
    let is_clean = |suite, seed| {
        let run = run(Plan::of(suite, seed));
        assert!(run.wrong.is_empty(), "{}", told(suite, &run));
    };
    SCHEDULES.into_iter().for_each(|(suite, schedules)| all(0..schedules, |seed| is_clean(suite, seed)));
    all(0..FOUND.len() as u64, |number| is_clean(SuiteName::Mls1, FOUND[number as usize]));
}

/// One schedule after the other, each time with another write of another device after which its program ends.
#[test]
fn whichever_write_is_the_last_no_key_is_used_twice_and_nothing_is_lost() {
    let sealed = AtomicU64::new(0);
    all(0..SWEPT, |seed| {
        let plan = Plan::of(SuiteName::Mls1, seed);
        let writes = run(plan).writes;
        let each = writes.iter().enumerate().flat_map(|(device, writes)| (0..*writes).map(move |write| (device, write)));
        for ends in each.skip(seed as usize % SWEPT_EVERY).step_by(SWEPT_EVERY) {
            let run = run(Plan { ends: Some(ends), ..plan });
            sealed.fetch_add(run.sums.sealed, Ordering::Relaxed);
            assert!(run.wrong.is_empty(), "{ends:?}: {}", told(SuiteName::Mls1, &run));
        }
    });
    assert!(sealed.into_inner() > 0);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for (suite, schedules) in TWICE {
        all(0..schedules, |seed| assert_eq!(run(Plan::of(suite, seed)).hash, run(Plan::of(suite, seed)).hash, "{suite:?}: seed {seed}"));
    }
}

/// Each schedule with a flaw in it, until one of them finds it.
#[test]
fn every_planted_flaw_is_found() {
    let found = std::sync::Mutex::new(Vec::new());
    all(0..Flaw::ALL.len() as u64, |number| {
        let flaw = Flaw::ALL[number as usize];
        let with = |seed| run(Plan { flaw: Some(flaw), ..Plan::of(flaw.suite(), seed) });
        let first = (0..FOUND_WITHIN).map(with).find(|run| !run.wrong.is_empty());
        found.lock().unwrap().push((flaw, first));
    });
    for (flaw, first) in found.into_inner().unwrap() {
        let first = first.unwrap_or_else(|| panic!("{flaw:?} is not found in {FOUND_WITHIN} schedules"));
        println!("{flaw:?}: schedule {}, {}", first.seed + 1, first.wrong[0]);
    }
}
