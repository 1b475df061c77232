//! `cargo xtask campaign simulate`, and whoever wants to see one schedule: runs schedules by seed, on every processor, and prints their sums
//! as one JSON object on stdout.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tidings_proto::SuiteName;
use tidings_testbed::sim::{self, Plan, Run, Sums};

/// One schedule of so many is run twice, and has to be the same.
const TWICE_EVERY: u64 = 100;
/// Between two lines of progress.
const TELL_EVERY: u64 = 1000;

/// How it is called.
const USAGE: &str = "simulate [--suite mls-1] [--every-write] FIRST_SEED SCHEDULES

So many schedules from this seed on; with SCHEDULES 0 the one of that seed, step by step. With --every-write each schedule is run again for each
write of each device, after which that device's program ends and starts again.";

/// What was found in one seed's schedules.
struct Found {
    sums: Sums,
    /// How often it was run, and at how many writes a program has ended.
    runs: u64,
    wrong: Vec<Run>,
}

fn main() -> ExitCode {
    let (mut suite, mut every_write, mut numbers) = (SuiteName::RsaJwe1, false, Vec::<u64>::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), argument.parse()) {
            ("--suite", _) => suite = arguments.next().and_then(|name| sim::suite(&name)).unwrap_or(suite),
            ("--every-write", _) => every_write = true,
            (_, Ok(number)) => numbers.push(number),
            _ => {}
        }
    }
    let [first, schedules] = numbers[..] else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if schedules == 0 {
        let run = sim::run(Plan { verbose: true, ..Plan::of(suite, first) });
        println!("{run}");
        return if run.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let sums = all(schedules, |at| {
        let plan = Plan::of(suite, first + at);
        if every_write { swept(plan) } else { once(plan) }
    });
    println!("{}", serde_json::Value::Object(sums.clone()));
    if sums["failed"].as_array().is_some_and(Vec::is_empty) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One schedule, or twice the same.
fn once(plan: Plan) -> Found {
    let mut run = sim::run(plan);
    let again = plan.seed.is_multiple_of(TWICE_EVERY);
    if again && sim::run(plan).hash != run.hash {
        run.wrong.push("the same seed was another run".into());
    }
    Found { sums: run.sums, runs: u64::from(again), wrong: if run.wrong.is_empty() { Vec::new() } else { vec![run] } }
}

/// One schedule for each write of each device.
fn swept(plan: Plan) -> Found {
    let mut found = Found { sums: Sums::default(), runs: 0, wrong: Vec::new() };
    let writes = sim::run(plan).writes;
    for ends in writes.iter().enumerate().flat_map(|(device, writes)| (0..*writes).map(move |write| (device, write))) {
        let mut run = sim::run(Plan { ends: Some(ends), ..plan });
        found.sums.add(&run.sums);
        found.runs += 1;
        if !run.wrong.is_empty() {
            run.wrong.insert(0, format!("device {} ended at its write {}", ends.0, ends.1));
            found.wrong.push(run);
        }
    }
    found
}

/// Runs so many schedules on every processor; their sums.
fn all(schedules: u64, each: impl Fn(u64) -> Found + Sync) -> serde_json::Map<String, serde_json::Value> {
    let (next, runs, begun) = (AtomicU64::new(0), AtomicU64::new(0), Instant::now());
    let (sums, failed) = (Mutex::new(Sums::default()), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= schedules {
                        return;
                    }
                    let found = each(at);
                    runs.fetch_add(found.runs, Ordering::Relaxed);
                    sums.lock().expect("no panic").add(&found.sums);
                    for run in &found.wrong {
                        eprintln!("{run}");
                    }
                    failed.lock().expect("no panic").extend(found.wrong.first().map(|run| run.seed));
                    if (at + 1).is_multiple_of(TELL_EVERY) {
                        eprintln!("{} of {schedules} schedules, {} s", at + 1, begun.elapsed().as_secs());
                    }
                }
            });
        }
    });
    let (sums, failed) = (sums.into_inner().expect("no panic"), failed.into_inner().expect("no panic"));
    let mut object: serde_json::Map<String, serde_json::Value> =
        sums.named().iter().map(|(name, sum)| ((*name).to_owned(), (*sum).into())).collect();
    object.insert("schedules".into(), schedules.into());
    object.insert("replayed".into(), runs.into_inner().into());
    object.insert("failed".into(), failed.into());
    object
}
