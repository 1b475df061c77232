//! Mistakes that others have made, where they show in processes. `docs/mistakes.md` lists all of them.

use crate::home::{Home, PASSWORD, run, until};

/// "Passwords and message texts printed to the log": at the loudest level, no log has a secret, a text or a file's name.
///
/// Control: `server/src/api/device.rs`, each frame is traced with `?frame`: the public text is found.
#[test]
fn no_secret_text_or_file_name_is_in_any_log() {
    let home = Home::pair_that_logs("trace");
    let (private, public, title) = ("the eagle lands at noon", "a public word on eagles", "Eagles and noon");
    let file = "eagles-at-noon.txt";
    std::fs::write(home.path(file), "contents that nobody logs").unwrap();
    let mut logs = String::new();
    let mut code = String::new();
    for who in ["alice@s1", "bob@s2"] {
        code = home.register(who)["recovery_code"].as_str().unwrap().to_owned();
    }
    let commands: [(&str, &[&str]); 6] = [
        ("alice", &["send", "bob@s2", private, "--wait=server"]),
        ("alice", &["send", "public", public, "--wait=server"]),
        ("alice", &["file", "send", "bob@s2", file]),
        ("alice", &["room", "new", title, "--wait=server"]),
        ("bob", &["read", "alice@s1"]),
        ("bob", &["read", "public"]),
    ];
    for (who, arguments) in commands {
        let mut command = home.by(who, arguments);
        command.env("TIDINGS_LOG", "trace");
        logs += &run(command, None).expect(0).stderr;
    }
    until("bob has it", || home.run("bob", &["read", "alice@s1"]).stdout.contains(private));
    logs += &home.logs();
    assert!(logs.lines().count() > 10 && logs.contains("DEBUG"), "the control: something is logged at this level:\n{logs}");
    let words: Vec<&str> = code.split_whitespace().collect();
    let phrase = words.get(..3).map(|words| words.join(" ")).unwrap_or_default();
    assert!(!phrase.is_empty(), "{code}");
    for canary in [private, public, title, file, "contents that nobody logs", PASSWORD, &phrase] {
        let found = logs.lines().find(|line| line.contains(canary));
        assert!(found.is_none(), "{canary:?} is logged: {found:?}");
        let bytes: String = canary.bytes().take(8).map(|byte| format!("{byte}, ")).collect();
        assert!(!logs.contains(&bytes), "{canary:?} is logged as a list of bytes");
    }
}

/// "An idle server spins at 100 % CPU."
///
/// Control: `server/src/bus/local.rs`, a thread beside each listener that looks for news without waiting.
#[test]
fn an_idle_server_does_nothing() {
    let home = Home::pair();
    for who in ["alice@s1", "bob@s2"] {
        home.register(who);
    }
    let tails = ["alice", "bob"].map(|who| home.tail(who));
    home.run("alice", &["send", "public", "hello", "--wait=server"]).expect(0);
    // From a second without work on: what has to be done once is done.
    let mut before = home.s1.cpu_ticks();
    until("s1 comes to rest", || {
        std::thread::sleep(std::time::Duration::from_secs(1));
        let now = home.s1.cpu_ticks();
        let rests = now - before <= 1;
        before = now;
        rests
    });
    std::thread::sleep(std::time::Duration::from_secs(4));
    let used = home.s1.cpu_ticks() - before;
    assert!(used <= 8, "in 4 s of nothing to do, {used} ticks of 10 ms: more than 2 %");
    drop(tails);
}
