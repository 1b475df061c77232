//! A server process and people's profiles in a folder of their own, for one test.

use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tidings_testbed::ports::free_addresses;

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

/// A server process. Killed when it is dropped.
pub struct Server {
    folder: PathBuf,
    name: &'static str,
    data: String,
    setup: Option<PathBuf>,
    log: Option<&'static str>,
    child: Option<Child>,
    pub address: String,
    pub key: String,
}

impl Server {
    /// Starts it where it was before.
    pub fn start(&mut self) {
        let mut command = tidings(&self.folder);
        command.args(["server", "--json", "--name", self.name, "--data", &self.data, "--listen", &self.address]);
        if let Some(setup) = &self.setup {
            command.arg("--setup").arg(setup);
        }
        match self.log {
            Some(level) => command.env("TIDINGS_LOG", level).stderr(File::create(self.log_file()).unwrap()),
            None => command.stderr(Stdio::null()),
        };
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let served: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert_eq!((&served["type"], &served["v"]), (&"server".into(), &1.into()), "{line}");
        self.address = served["address"].as_str().unwrap().into();
        self.key = served["key"].as_str().unwrap().into();
        self.child = Some(child);
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// What it has computed so far, in ticks of 10 ms: its own time, and the kernel's for it (proc(5), fields 14 and 15).
    pub fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.as_ref().unwrap().id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11..=12].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// SIGTERM, and waits for the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut ended = None;
        until("the server stops", || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        ended.and_then(|status| status.code())
    }

    /// Its key, before it has run.
    fn introduce(&mut self) {
        let mut show = tidings(&self.folder);
        show.args(["peer", "show", "--json", "--name", self.name, "--data", &self.data, "--address", &self.address]);
        self.key = run(show, None).expect(0).objects()[0]["key"].as_str().unwrap().into();
    }

    /// Writes its setup, with the other one in it.
    fn knows(&mut self, name: &str, address: &str, key: &str) {
        let setup = serde_json::json!({
            "server_name": self.name, "registration": "open", "mailing_address": { name: { "address": address, "key": key } },
        });
        let file = self.folder.join(format!("{}.json", self.name));
        std::fs::write(&file, setup.to_string()).unwrap();
        self.setup = Some(file);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// One server, s1, or two that know each other; and people on them.
pub struct Home {
    pub folder: TempDir,
    pub s1: Server,
    s2: Option<Server>,
}

impl Home {
    pub fn open() -> Home {
        let folder = tempfile::tempdir().unwrap();
        let [address] = free_addresses().unwrap();
        let mut home = Home { s1: server(folder.path(), "s1", address), s2: None, folder };
        home.s1.start();
        home
    }

    /// s1 and s2, each with the other's key and address.
    pub fn pair() -> Home {
        Home::two(None)
    }

    /// The same, with servers that log at this level.
    pub fn pair_that_logs(level: &'static str) -> Home {
        Home::two(Some(level))
    }

    /// What both servers have logged so far.
    pub fn logs(&self) -> String {
        let read = |server: &Server| String::from_utf8_lossy(&std::fs::read(server.log_file()).unwrap()).into_owned();
        [Some(&self.s1), self.s2.as_ref()].into_iter().flatten().map(read).collect()
    }

    fn two(log: Option<&'static str>) -> Home {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = free_addresses().unwrap();
        let [mut s1, mut s2] = [("s1", one), ("s2", two)].map(|(name, address)| server(folder.path(), name, address));
        (s1.log, s2.log) = (log, log);
        s1.introduce();
        s2.introduce();
        s1.knows("s2", &s2.address, &s2.key);
        s2.knows("s1", &s1.address, &s1.key);
        s1.start();
        s2.start();
        Home { folder, s1, s2: Some(s2) }
    }

    /// Puts another server of the same name, with other keys, in the place of s1.
    pub fn replace(&mut self) {
        self.s1.stop();
        self.s1.data = "impostor".into();
        self.s1.start();
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

    /// Somebody on s1, or where the name says.
    pub fn register(&self, who: &str) -> Value {
        let (profile, name) = match who.split_once('@') {
            Some((profile, _)) => (profile, who.to_owned()),
            None => (who, format!("{who}@s1")),
        };
        self.enter(profile, "register", &name, &["--password-stdin"], PASSWORD).expect(0).objects().remove(0)
    }

    /// `register`, `login` or `recover`, at the right server.
    pub fn enter(&self, profile: &str, verb: &str, name: &str, more: &[&str], secrets: &str) -> Ended {
        let server = if name.ends_with("@s2") { self.s2.as_ref().unwrap() } else { &self.s1 };
        let arguments = [&[verb, name, "--json", "--server", &server.address, "--server-key", &server.key], more].concat();
        run(self.by(profile, &arguments), Some(secrets))
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

fn server(folder: &Path, name: &'static str, address: SocketAddr) -> Server {
    let (folder, address, data) = (folder.to_owned(), address.to_string(), if name == "s1" { "server" } else { "server-2" }.to_owned());
    Server { folder, name, data, setup: None, log: None, child: None, address, key: String::new() }
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
    pub fn end(self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let (code, rest) = self.ended();
        assert_eq!(code, Some(0));
        rest
    }

    /// Its exit code, and the rest of its output.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let mut ended = None;
        until("tail ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        (ended.and_then(|status| status.code()), self.lines.iter().collect::<Vec<_>>().join("\n"))
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
