//! A server whose disk is full: what it has said yes to stays, what it cannot keep waits with whoever wrote it, and when there
//! is room again everything goes on by itself. The disk is a small one in memory that only this test sees.

use crate::home::{Ended, PASSWORD, PATIENCE, run, tidings, until};
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A server on a small filesystem, and people on a large one.
struct Home {
    folder: TempDir,
    /// Holds the namespace open in which the filesystem is mounted.
    holder: Child,
    server: Option<Child>,
    address: String,
    key: String,
}

impl Home {
    /// None where this machine does not let an ordinary program mount anything.
    fn open() -> Option<Home> {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("server");
        std::fs::create_dir(&data).unwrap();
        let script =
            r#"mount -t tmpfs -o size=4m,mode=700 none "$1" && head -c 2600000 /dev/zero > "$1/ballast" && echo mounted && exec sleep 600"#;
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut home = Home { folder, holder, server: None, address: "127.0.0.1:0".into(), key: String::new() };
        if line != "mounted\n" || !home.inside("true") {
            return None;
        }
        home.start();
        Some(home)
    }

    /// A program that sees the small filesystem.
    fn entering(&self, program: &Command) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.holder.id())).args(["--user", "--mount", "--preserve-credentials"]);
        command.arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Whether a shell's command succeeds there, in the server's folder.
    fn inside(&self, script: &str) -> bool {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("cd '{}' && {script}", self.path("server").display())]);
        self.entering(&shell).output().is_ok_and(|output| output.status.success())
    }

    fn start(&mut self) {
        let mut command = tidings(self.folder.path());
        command.args(["server", "--json", "--name", "s1", "--listen", &self.address, "--data"]).arg(self.path("server"));
        let log = OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut child = self.entering(&command).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let served: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}\n{}", self.log()));
        self.address = served["address"].as_str().unwrap().into();
        self.key = served["key"].as_str().unwrap().into();
        self.server = Some(child);
    }

    /// SIGKILL: the server gets no chance to tidy up.
    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the server has told its operator.
    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    fn run(&self, who: &str, arguments: &[&str], stdin: Option<&str>) -> Ended {
        let mut command = tidings(self.folder.path());
        command.arg("--profile").arg(self.path(who)).args(arguments);
        run(command, stdin)
    }

    fn register(&self, who: &str) {
        let name = format!("{who}@s1");
        let arguments = ["register", &name, "--json", "--password-stdin", "--server", &self.address, "--server-key", &self.key];
        self.run(who, &arguments, Some(PASSWORD)).expect(0);
    }

    /// A post that takes most of a frame, and is known by its number.
    fn send(&self, number: usize, wait: &str) -> (i32, Value) {
        let text = format!("{number:04} {}", "x".repeat(60_000));
        let ended = self.run("alice", &["send", "public", "-", "--json", "--wait", wait], Some(&text));
        (ended.code, ended.objects().remove(0))
    }

    /// The numbers of the posts that somebody reads, in order.
    fn read(&self, who: &str) -> Vec<usize> {
        let posts = self.run(who, &["read", "public", "--json", "--limit", "1000"], None).expect(0).objects();
        posts.iter().filter_map(|post| post["text"].as_str()).map(|text| text[..4].parse().unwrap()).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.kill();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[test]
fn a_full_disk_loses_nothing_and_room_on_it_is_all_that_is_needed() {
    let Some(mut home) = Home::open() else {
        eprintln!("skipped: this machine does not let this test mount a small disk (unshare, nsenter, tmpfs)");
        return;
    };
    home.register("alice");
    home.register("bob");
    let mut kept = Vec::new();
    let waiting = loop {
        let number = kept.len();
        assert!(number < 100, "the disk does not get full");
        match home.send(number, "3") {
            (0, sent) => {
                assert_eq!(sent["status"], "sent", "{sent}");
                kept.push(number);
            }
            (code, sent) => {
                assert_eq!((code, &sent["status"]), (75, &"pending".into()), "{sent}");
                break number;
            }
        }
    };
    assert!(kept.len() > 5, "{kept:?}");
    assert!(!home.inside("head -c 100000 /dev/zero > more"), "the control: nobody else can write there either");
    assert!(home.inside("rm more"));
    assert!(home.log().contains("the disk is full: nothing new is taken until there is room on it"), "{}", home.log());
    // Reading goes on, and what was acknowledged is there for others; also when the server is killed now and starts again.
    until("bob reads what was kept", || home.read("bob") == kept);
    home.kill();
    home.start();
    assert_eq!(home.read("bob"), kept);

    assert!(home.inside("rm ballast"));
    let (code, sent) = home.send(waiting + 1, &PATIENCE.as_secs().to_string());
    assert_eq!((code, &sent["status"]), (0, &"sent".into()), "{sent}");
    kept.extend([waiting, waiting + 1]);
    until("what waited has come", || home.read("bob") == kept);
    home.kill();
    home.start();
    assert_eq!(home.read("bob"), kept);
}
