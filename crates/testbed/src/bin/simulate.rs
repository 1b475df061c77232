//! `cargo xtask campaign simulate`, and whoever wants to see one schedule: runs schedules by seed, on every processor, and prints their sums
//! as one JSON object on stdout.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tidings_testbed::sim::{self, Run, Sums};

/// One schedule of so many is run twice, and has to be the same.
const TWICE_EVERY: u64 = 100;
/// Between two lines of progress.
const TELL_EVERY: u64 = 1000;

fn main() -> std::process::ExitCode {
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|number| number.parse().ok()).collect();
    let [first, schedules] = arguments[..] else {
        eprintln!("simulate FIRST_SEED SCHEDULES; with SCHEDULES 0 the one of that seed, step by step");
        return std::process::ExitCode::from(2);
    };
    if schedules == 0 {
        let run = sim::run(first, None, true);
        println!("{run}");
        return if run.wrong.is_empty() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE };
    }
    let (next, replayed, begun) = (AtomicU64::new(0), AtomicU64::new(0), Instant::now());
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
                    let mut run: Run = sim::run(first + at, None, false);
                    if (first + at) % TWICE_EVERY == 0 {
                        replayed.fetch_add(1, Ordering::Relaxed);
                        if sim::run(first + at, None, false).hash != run.hash {
                            run.wrong.push("the same seed was another run".into());
                        }
                    }
                    sums.lock().expect("no panic").add(&run.sums);
                    if !run.wrong.is_empty() {
                        eprintln!("{run}");
                        failed.lock().expect("no panic").push(run.seed);
                    }
                    if (at + 1) % TELL_EVERY == 0 {
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
    object.insert("replayed".into(), replayed.into_inner().into());
    object.insert("failed".into(), failed.clone().into());
    println!("{}", serde_json::Value::Object(object));
    if failed.is_empty() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
