//! That the benchmark still runs: a little of it, against the program as the tests build it. What it measures then means nothing.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

#[test]
fn a_little_of_the_benchmark_runs_and_every_figure_of_it_is_there() {
    let bench = Path::new(env!("CARGO_BIN_EXE_tidings-bench"));
    let tidings = bench.with_file_name("tidings");
    assert!(tidings.exists(), "{} is not built: `cargo build --package tidings`, or test the whole workspace", tidings.display());
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(bench);
    let output = command.args(["--tiny", "--json", "bare", "direct", "--folder"]).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["about"]["tiny"], true);
    for figure in [
        "bare_direct_cpu_us",
        "bare_room_cpu_us",
        "bare_come_cpu_us",
        "direct_cpu_us",
        "direct_p50_us",
        "direct_p99_us",
        "direct_sat_per_s",
        "wire_overhead_bytes",
    ] {
        assert!(object[figure].as_f64().is_some_and(|value| value > 0.0), "{figure}: {object}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "what the servers had is gone");
}
