//! `tidings` as processes: servers that can be killed as nothing inside a program can be, and commands of people.

use crate::PATIENCE;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tidings_server::setup::write_key;
use tidings_server::{Config, Registration};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The binary that is tried, and what its servers allow.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// What stands under `limits` in every server's `setup.json`.
    pub limits: Vec<(&'static str, u64)>,
}

/// A server's process. Killed when it is dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// The binary beside this program: cargo puts both into one folder, tests one below.
    pub fn beside() -> Option<PathBuf> {
        let this = std::env::current_exe().ok()?;
        let beside = this.ancestors().skip(1).take(2).map(|folder| folder.join("tidings"));
        beside.into_iter().find(|path| path.is_file())
    }

    /// A command, without what this machine's environment would tell it.
    pub fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.path);
        for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDINGS_")) {
            command.env_remove(variable);
        }
        command.current_dir(folder).env("HOME", folder).env_remove("XDG_DATA_HOME").env("TMPDIR", folder);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Starts a server, and waits until it serves. Of `config` only what this world needs goes into its `setup.json`.
    pub async fn start(&self, config: &Config, folder: &Path) -> Process {
        let name = config.name.as_str();
        let setup = folder.join(format!("{name}.setup.json"));
        std::fs::write(&setup, self.setup(config).to_string()).expect("a setup.json");
        let log = folder.join(format!("{name}.log"));
        let said = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let mut command = self.command(folder);
        command.args(["server", "--json", "--setup"]).arg(&setup).arg("--data").arg(&config.data);
        let mut child = command.stdout(Stdio::piped()).stderr(said).process_group(0).spawn().expect("the binary runs");
        let mut lines = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        let read = timeout(PATIENCE, lines.read_line(&mut line)).await;
        let process = Process { child, log };
        let served: Option<Value> = serde_json::from_str(&line).ok();
        if read.is_err() || served.is_none_or(|served| served["type"] != "server" || served["name"] != name) {
            panic!("{name} does not start: {line:?}\n{}", process.last_words());
        }
        process
    }

    fn setup(&self, config: &Config) -> Value {
        let peer = |peer: &tidings_server::Peer| {
            let key = peer.key.as_ref().map(write_key);
            (peer.name.to_string(), json!({ "address": peer.address, "key": key }))
        };
        let peers: Map<String, Value> = config.peers.iter().map(peer).collect();
        let limits: Map<String, Value> = self.limits.iter().map(|(name, limit)| ((*name).to_owned(), json!(limit))).collect();
        let listen = config.listen.to_string();
        let registration = match config.registration {
            Registration::Open => "open",
            Registration::ByCode => "invite",
            Registration::Closed => "closed",
        };
        json!({ "server_name": config.name.as_str(), "listen": listen, "registration": registration, "mailing_address": peers, "limits": limits })
    }
}

impl Process {
    /// kill -9, and waits until the system has buried it.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("a process that can be killed");
    }

    /// SIGTERM, and waits for its end.
    pub async fn stop(mut self) {
        let pid = self.child.id().and_then(|pid| rustix::process::Pid::from_raw(pid as i32)).expect("a process that runs");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a process that can be told to stop");
        let ended = timeout(PATIENCE, self.child.wait()).await.expect("an end in time").expect("an end");
        assert!(ended.success(), "{ended}\n{}", self.last_words());
    }

    /// That it has not ended by itself.
    pub fn check_alive(&mut self, name: &str) {
        if let Some(ended) = self.child.try_wait().expect("a process that can be asked after") {
            panic!("{name} has ended by itself, {ended}\n{}", self.last_words());
        }
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
