//! Servers are killed while people write, and the history checker finds nothing: nothing acknowledged is lost, nothing is there
//! twice, nothing is invented, and everybody has one order.

use crate::home::PATIENCE;
use tidings_client::SuiteName;
use tidings_testbed::crash::{Course, Report, limits, run, run_group};
use tidings_testbed::history::Kind;
use tidings_testbed::process::Program;

/// A seed from the environment does a run again.
fn seed(preset: u64) -> u64 {
    std::env::var("CRASH_SEED").ok().map_or(preset, |seed| seed.parse().expect("a number"))
}

async fn crash(course: Course) -> Report {
    println!("CRASH_SEED={} runs this again", course.seed);
    let report = run(course, &Program { path: env!("CARGO_BIN_EXE_tidings").into(), limits: limits() }).await;
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_that_is_killed_loses_nothing_that_it_acknowledged() {
    let course = Course {
        seed: seed(1),
        servers: 1,
        suite: SuiteName::RsaJwe1,
        devices: 4,
        people: 1,
        messages: 2_000,
        kills: 4,
        cuts: 4,
        patience: PATIENCE,
    };
    let report = crash(course).await;
    assert!(report.verdict.acknowledged >= 2_000 && report.tally.kills >= 4, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_messages_over_two_servers_survive_twenty_kills() {
    let course = Course {
        seed: seed(2),
        servers: 2,
        suite: SuiteName::Mls1,
        devices: 4,
        people: 1,
        messages: 20_000,
        kills: 20,
        cuts: 20,
        patience: PATIENCE,
    };
    let report = crash(course).await;
    assert!(report.verdict.acknowledged >= 20_000 && report.tally.kills >= 20, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_not_a_member_opens_nothing_though_servers_die() {
    group(SuiteName::RsaJwe1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_not_a_member_of_a_group_on_mls_opens_nothing_though_servers_die() {
    group(SuiteName::Mls1).await;
}

async fn group(suite: SuiteName) {
    let course = Course { seed: seed(3), servers: 2, suite, devices: 0, people: 3, messages: 0, kills: 6, cuts: 0, patience: PATIENCE };
    println!("CRASH_SEED={} runs this again", course.seed);
    let report = run_group(course, &Program { path: env!("CARGO_BIN_EXE_tidings").into(), limits: limits() }).await;
    println!("{report}");
    assert!(report.is_clean() && report.verdict.count(Kind::Outsider) == 0, "{report}");
    assert!(report.verdict.acknowledged >= 40 && report.tally.kills == 6, "{report}");
}
