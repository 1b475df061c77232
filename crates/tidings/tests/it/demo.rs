//! The demo is the steel thread's own test: every line of it is a real process doing the real thing.

use crate::home::{run, tidings};
use std::path::Path;

fn pids(shown: &str) -> Vec<i32> {
    let after = |line: &str| line.split("process ").nth(1).and_then(|rest| rest.split([',', ' ']).next()).and_then(|pid| pid.parse().ok());
    shown.lines().filter_map(after).collect()
}

fn is_alive(pid: i32) -> bool {
    rustix::process::Pid::from_raw(pid).is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

#[test]
fn the_demo_shows_the_whole_thread_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tidings(folder.path());
    command.arg("demo");
    let shown = run(command, None).expect(0).stdout;
    for expected in [
        "alice sees │",
        "bob   sees │",
        "Each fingerprint is the same on both servers.",
        "the public text is there, the private ones and the passwords are not",
        "kill -9",
        "bob@s2    5 public and 6 private messages: each once, in order",
        "Everything arrived once and in order",
    ] {
        assert!(shown.contains(expected), "{expected:?} is not in\n{shown}");
    }
    let pids = pids(&shown);
    assert_eq!(pids.len(), 3, "s1, s2, and s2 again: {pids:?}");
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the temporary folder is gone");
}

#[test]
fn the_demo_can_leave_its_servers_running() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tidings(folder.path());
    command.args(["demo", "--keep"]);
    let shown = run(command, None).expect(0).stdout;
    let (_, left) = shown.split_once("Left running.").unwrap();
    let pids = pids(left);
    assert_eq!(pids.len(), 2, "{left}");
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    // The commands it prints work as they stand.
    for verb in [" people ", " send ", " read "] {
        let line = left.lines().find(|line| line.contains(verb)).unwrap();
        let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches('\'')).collect();
        assert_eq!(Path::new(words[0]), Path::new(env!("CARGO_BIN_EXE_tidings")));
        let mut command = tidings(folder.path());
        command.args(&words[1..]);
        run(command, None).expect(0);
    }
    for pid in pids {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
}
