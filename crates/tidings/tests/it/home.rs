//! A server process and people's profiles in a folder of their own, for one test.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const PASSWORD: &str = "a password for tests";

/// What a command ended with.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    #[track_caller]
    pub fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Its output as JSON objects, each of which says its version.
    pub fn objects(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let objects: Vec<Value> = self.stdout.lines().map(read).collect();
        assert!(objects.iter().all(|object| object["v"] == 1 && object["type"].is_string()), "{objects:?}");
        objects
    }
}

/// The binary, without what this machine's environment would tell it.
pub fn tidings(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDINGS_")) {
        command.env_remove(variable);
    }
    command.current_dir(folder).env("HOME", folder).env_remove("XDG_DATA_HOME").env("TMPDIR", folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub fn run(mut command: Command, stdin: Option<&str>) -> Ended {
    if stdin.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap();
    if let (Some(text), Some(mut input)) = (stdin, child.stdin.take()) {
        // A command that has ended already does not read.
        let _ = input.write_all(text.as_bytes());
    }
    let (stdout, stderr) = (reader(child.stdout.take().unwrap()), reader(child.stderr.take().unwrap()));
    let (deadline, mut late) = (Instant::now() + PATIENCE, false);
    while !late && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(10));
        late = Instant::now() > deadline;
    }
    if late {
        child.kill().unwrap();
    }
    let code = child.wait().unwrap().code().unwrap_or(-1);
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    assert!(!late, "it does not end: {command:?}\n{stdout}{stderr}");
    Ended { code, stdout, stderr }
}

fn reader(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    })
}

/// Waits until `is` holds.
#[track_caller]
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One server, s1, and people on it.
pub struct Home {
    pub folder: TempDir,
    server: Option<Child>,
    data: String,
    pub address: String,
    pub key: String,
}

impl Home {
    pub fn open() -> Home {
        let folder = tempfile::tempdir().unwrap();
        let mut home = Home { folder, server: None, data: "server".into(), address: "127.0.0.1:0".into(), key: String::new() };
        home.start();
        home
    }

    /// Starts the server where it was before.
    pub fn start(&mut self) {
        let mut command = tidings(self.folder.path());
        command.args(["server", "--json", "--name", "s1", "--data", &self.data, "--listen", &self.address]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let served: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert_eq!((&served["type"], &served["v"]), (&"server".into(), &1.into()), "{line}");
        self.address = served["address"].as_str().unwrap().into();
        self.key = served["key"].as_str().unwrap().into();
        self.server = Some(child);
    }

    /// Puts another server of the same name, with other keys, in the place of this one.
    pub fn replace(&mut self) {
        self.stop();
        self.data = "impostor".into();
        self.start();
    }

    /// SIGTERM, and waits for the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.server.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut ended = None;
        until("the server stops", || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        ended.and_then(|status| status.code())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command of somebody's, whose profile is the folder of that name.
    pub fn by(&self, who: &str, arguments: &[&str]) -> Command {
        let mut command = tidings(self.folder.path());
        command.arg("--profile").arg(self.path(who)).args(arguments);
        command
    }

    pub fn run(&self, who: &str, arguments: &[&str]) -> Ended {
        run(self.by(who, arguments), None)
    }

    pub fn register(&self, who: &str) -> Value {
        let name = format!("{who}@s1");
        let arguments = ["register", &name, "--json", "--password-stdin", "--server", &self.address, "--server-key", &self.key];
        run(self.by(who, &arguments), Some(PASSWORD)).expect(0).objects().remove(0)
    }

    /// Starts `tidings tail`.
    pub fn tail(&self, who: &str) -> Tail {
        let mut child = self.by(who, &["tail", "--json"]).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (said, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        let mut tail = Tail { child, lines };
        tail.until(|object| object["link"] == "linked");
        tail
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// A `tidings tail` that runs.
pub struct Tail {
    child: Child,
    lines: Receiver<String>,
}

impl Tail {
    /// Reads on until an object fits; what was read, the fitting one last.
    pub fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{error} after {seen:?}"));
            seen.push(serde_json::from_str(&line).unwrap());
            if seen.last().is_some_and(&fits) {
                return seen;
            }
        }
    }

    /// SIGTERM; the rest of the output.
    pub fn end(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut ended = None;
        until("tail ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.and_then(|status| status.code()), Some(0));
        self.lines.iter().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
