//! `crash`: one run of servers that are killed, decided by its arguments. `cargo xtask campaign crash` runs it again and again.
//!
//! What it found is told on standard error, and the sums on standard output, as one JSON object.

use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::Duration;
use tidings_proto::SuiteName;
use tidings_testbed::crash::{Course, Report, limits, run};
use tidings_testbed::history::Kind;
use tidings_testbed::process::Program;

const USAGE: &str = "crash [--seed N] [--servers 1-3] [--devices N] [--people N] [--messages N] [--kills N] [--cuts N] [--mls 0-1]

One run: servers are killed and wires are cut while people write; afterwards everything is read back from everybody, and held
against what was acknowledged. The same numbers do the same run again. `tidings` has to lie in the folder of this program.";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(course), Some(path)) = (course(&arguments), Program::beside()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let report = run(course, &Program { path, limits: limits() }).await;
    eprintln!("{report}");
    println!("{}", sums(&report));
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn course(arguments: &[String]) -> Option<Course> {
    let patience = Duration::from_secs(60);
    let suite = SuiteName::RsaJwe1;
    let mut course = Course { seed: 1, suite, servers: 2, devices: 4, people: 1, messages: 20_000, kills: 20, cuts: 20, patience };
    for pair in arguments.chunks(2) {
        let [name, number] = pair else { return None };
        let number: u64 = number.parse().ok()?;
        match name.as_str() {
            "--seed" => course.seed = number,
            "--servers" if (1..=3).contains(&number) => course.servers = number as usize,
            "--devices" if number > 0 => course.devices = number as usize,
            "--people" => course.people = number as usize,
            "--messages" if number > 0 => course.messages = number,
            "--kills" => course.kills = number as usize,
            "--mls" => course.suite = if number == 0 { SuiteName::RsaJwe1 } else { SuiteName::Mls1 },
            "--cuts" => course.cuts = number as usize,
            _ => return None,
        }
    }
    Some(course)
}

fn sums(report: &Report) -> Value {
    let Report { tally, verdict, complaints, took, .. } = report;
    let found: Map<String, Value> = Kind::ALL.iter().map(|kind| (kind.name().into(), verdict.count(*kind).into())).collect();
    json!({
        "acknowledged": verdict.acknowledged,
        "kept": verdict.kept,
        "unknown": verdict.unknown,
        "refused": verdict.refused,
        "entries_read": verdict.read,
        "kills": tally.kills,
        "commands_killed": tally.commands,
        "cuts": tally.cuts,
        "answers_lost": tally.lost_answers,
        "complaints": complaints.len(),
        "seconds": took.as_secs(),
        "found": found,
    })
}
