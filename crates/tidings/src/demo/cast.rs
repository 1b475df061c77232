//! The demo's servers and people: processes, each with a folder of its own. It ends only what it started.

use super::judge::Said;
use super::{PATIENCE, Show, deadline_passed};
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// The folder everything happens in, and this program.
pub struct Stage {
    program: PathBuf,
    folder: TempDir,
    kept: Option<Kept>,
}

/// What outlives the play.
struct Kept {
    servers: [ServerProcess; 2],
    people: [(String, PathBuf); 2],
}

impl Stage {
    pub fn build() -> Result<Stage> {
        let program = std::env::current_exe().context("this program cannot find itself")?;
        let folder = tempfile::Builder::new().prefix("tidings-demo-").tempdir().context("no temporary folder")?;
        Ok(Stage { program, folder, kept: None })
    }

    /// A folder of somebody's for files.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// This program, without what the caller's environment would tell it.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for (variable, _) in std::env::vars_os().filter(|(name, _)| is_ours(name)) {
            command.env_remove(variable);
        }
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub fn keep_servers(&mut self, s1: ServerProcess, s2: ServerProcess, alice: &Person, bob: &Person) {
        let people = [alice, bob].map(|person| (person.name.clone(), person.folder.clone()));
        self.kept = Some(Kept { servers: [s1, s2], people });
    }

    /// Stops the servers in good order. The folder goes with the stage.
    pub async fn close(mut self) -> Result<()> {
        if let Some(kept) = self.kept.take() {
            for mut server in kept.servers {
                server.stop().await?;
            }
        }
        self.folder.close().context("the temporary folder could not be removed")
    }

    /// Leaves the servers running, and says how to go on.
    pub fn leave(mut self, show: &mut Show) {
        let Some(kept) = self.kept.take() else { return };
        let folder = self.folder.keep();
        show.act("Left running.");
        let mut pids = String::new();
        let mut pages = Vec::new();
        for mut server in kept.servers {
            pages.push(format!("https://{}/", server.address));
            tell!("   {} process {}, {}, folder {}", server.name, server.pid(), server.address, server.folder.display());
            pids.push_str(&format!(" {}", server.pid()));
            server.left = true;
        }
        tell!("\nTry it, each line in a terminal of its own:");
        let program = self.program.display();
        let [(alice, alices), (bob, bobs)] = &kept.people;
        tell!("  {program} tail   --profile {}", bobs.display());
        tell!("  {program} people --profile {}", alices.display());
        tell!("  {program} send   --profile {} {bob} 'hello'", alices.display());
        tell!("  {program} read   --profile {} {alice}", bobs.display());
        tell!("  kill -9 <pid>; {program} server --setup {}/s2/setup.json --data {0}/s2/data", folder.display());
        if crate::site::PAGES.are_built() {
            tell!("\nOr in browsers: make yourself an account on each (the certificates are the servers' own, so accept them once):");
            pages.iter().for_each(|page| tell!("  {page}"));
        }
        tell!("\nWhen you have seen enough:\n  kill{pids}; rm -r {}", folder.display());
    }

    /// How many files in the servers' folders contain `needle`.
    pub fn files_of_servers_with(&self, needle: &str) -> Result<usize> {
        let mut count = 0;
        for server in ["s1", "s2"] {
            count += files_with(&self.folder.path().join(server), needle)?;
        }
        Ok(count)
    }

    /// The last lines of each server's log, for whoever looks for the fault.
    pub fn print_logs(&self) {
        for server in ["s1", "s2"] {
            let log = std::fs::read_to_string(self.folder.path().join(server).join("log")).unwrap_or_default();
            tell!("\nThe last lines of the log of {server}:");
            let lines: Vec<&str> = log.lines().collect();
            lines[lines.len().saturating_sub(20)..].iter().for_each(|line| tell!("  {line}"));
        }
    }
}

fn files_with(folder: &Path, needle: &str) -> Result<usize> {
    let mut count = 0;
    for item in std::fs::read_dir(folder)? {
        let item = item?;
        let (path, kind) = (item.path(), item.file_type()?);
        if kind.is_dir() {
            count += files_with(&path, needle)?;
        } else if kind.is_file() {
            // Not sockets: a running server has one in its folder.
            // The needles are ASCII, so whatever else is in the file cannot hide them.
            count += usize::from(String::from_utf8_lossy(&std::fs::read(&path)?).contains(needle));
        }
    }
    Ok(count)
}

/// One server. Killed when it is dropped, unless it is left.
pub struct ServerProcess {
    name: String,
    folder: PathBuf,
    address: SocketAddr,
    key: String,
    child: Option<Child>,
    left: bool,
}

impl ServerProcess {
    /// A folder with a `setup.json` that names nobody else yet.
    pub fn prepare(stage: &Stage, name: &str, address: SocketAddr) -> Result<ServerProcess> {
        let folder = stage.folder.path().join(name);
        std::fs::create_dir(&folder)?;
        let server = ServerProcess { name: name.into(), folder, address, key: String::new(), child: None, left: false };
        server.write_setup(json!({}))?;
        Ok(server)
    }

    fn write_setup(&self, mailing_address: Value) -> Result<()> {
        let setup = json!({ "server_name": self.name, "listen": self.address.to_string(), "registration": "open", "mailing_address": mailing_address });
        std::fs::write(self.folder.join("setup.json"), serde_json::to_string_pretty(&setup)?).context("setup.json")
    }

    fn command(&self, stage: &Stage, verb: &[&str]) -> Command {
        let mut command = stage.command();
        command.args(verb).arg("--json").arg("--setup").arg(self.folder.join("setup.json")).arg("--data").arg(self.data());
        command
    }

    /// What `tidings peer show` prints here.
    pub async fn peer_line(&mut self, stage: &Stage) -> Result<String> {
        let output = self.command(stage, &["peer", "show"]).output().await?;
        ensure!(output.status.success(), "peer show: {}", String::from_utf8_lossy(&output.stdout));
        let peer: Value = serde_json::from_slice(&output.stdout)?;
        self.key = peer["key"].as_str().context("peer show prints a key")?.into();
        Ok(format!("\"{}\": {{ \"address\": \"{}\", \"key\": \"{}\" }}", self.name, self.address, self.key))
    }

    /// Pins the other server in this one's `mailing_address`.
    pub fn knows(&self, other: &ServerProcess) -> Result<()> {
        self.write_setup(json!({ &other.name: { "address": other.address.to_string(), "key": other.key } }))
    }

    /// Starts the process and waits until it serves.
    pub async fn start(&mut self, stage: &Stage) -> Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log"))?;
        let mut command = self.command(stage, &["server"]);
        // In a process group of its own: Ctrl-C is for the demo, which then ends what it started.
        let mut child = command.stdout(Stdio::piped()).stderr(log).process_group(0).spawn()?;
        let stdout = child.stdout.take().context("the server's output")?;
        self.child = Some(child);
        let mut line = String::new();
        let read = timeout(PATIENCE, BufReader::new(stdout).read_line(&mut line)).await;
        read.map_err(|_| anyhow!("{} does not start", self.name))??;
        let served: Value = serde_json::from_str(&line).with_context(|| format!("{} did not start", self.name))?;
        ensure!(served["type"] == "server" && served["key"] == self.key.as_str(), "{} did not start as itself: {line}", self.name);
        Ok(())
    }

    /// kill -9, and waits until the system has buried it.
    pub async fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        child.start_kill()?;
        let status = child.wait().await?;
        ensure!(status.signal() == Some(9), "{} ended otherwise: {status}", self.name);
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid as i32)).context("it does not run")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        match timeout(PATIENCE, child.wait()).await {
            Ok(status) => ensure!(status?.success(), "{} did not stop in good order", self.name),
            Err(_) => {
                child.start_kill()?;
                bail!("{} does not stop when it is asked to", self.name);
            }
        }
        Ok(())
    }

    pub fn check_alive(&mut self) -> Result<()> {
        let child = self.child.as_mut().context("it does not run")?;
        ensure!(child.try_wait()?.is_none(), "{} has ended by itself", self.name);
        Ok(())
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).unwrap_or(0)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Some(child) = self.child.as_mut().filter(|_| !self.left) {
            // It may have ended already.
            let _ = child.start_kill();
        }
    }
}

/// One person: a profile, and a `tidings tail` that is their screen.
pub struct Person {
    name: String,
    folder: PathBuf,
    fingerprint: String,
    screen: Arc<Mutex<Vec<String>>>,
    shown: usize,
    tail: Option<Child>,
}

/// Passwords for the demo only; what matters is where they turn up.
const PASSWORDS: [(&str, &str); 3] =
    [("alice@s1", "correct horse battery staple"), ("bob@s2", "Tr0ub4dor & a long tail"), ("carol@s2", "seven lamps in a paper boat")];

impl Person {
    /// The demo's passwords.
    pub fn passwords() -> impl Iterator<Item = &'static str> {
        PASSWORDS.iter().map(|(_, password)| *password)
    }

    /// Registers with a `client_setup.json` that pins the server's key. The password goes through standard input.
    pub async fn register(stage: &Stage, name: &str, home: &ServerProcess) -> Result<Person> {
        let folder = stage.folder.path().join(name);
        let setup = stage.folder.path().join(format!("{name}.client_setup.json"));
        std::fs::write(&setup, json!({ "server_ip": home.address.to_string(), "server_key": home.key }).to_string())?;
        let mut person = Person { name: name.into(), folder, fingerprint: String::new(), screen: Arc::default(), shown: 0, tail: None };
        let password = PASSWORDS.iter().find(|(user, _)| *user == name).map(|(_, password)| *password);
        let setup = setup.to_str().context("the temporary folder's name is not UTF-8")?;
        let arguments = ["register", name, "--json", "--password-stdin", "--setup", setup];
        let registered: Value = serde_json::from_str(&person.run(stage, &arguments, password).await?)?;
        person.fingerprint = registered["fingerprint"].as_str().context("a fingerprint")?.into();
        let words = registered["recovery_code"].as_str().context("a recovery code")?.split(' ').count();
        ensure!(words == 24, "a recovery code of {words} words");
        Ok(person)
    }

    /// Another device of somebody's: the same account in a folder of its own, opened by the password.
    pub async fn log_in(stage: &Stage, of: &Person, device: &str, home: &ServerProcess) -> Result<Person> {
        let folder = stage.folder.path().join(format!("{}.{device}", of.name));
        let setup = stage.folder.path().join(format!("{}.client_setup.json", of.name));
        ensure!(home.address.port() > 0, "{} has no address", home.name);
        let person =
            Person { name: of.name.clone(), folder, fingerprint: of.fingerprint.clone(), screen: Arc::default(), shown: 0, tail: None };
        let password = PASSWORDS.iter().find(|(user, _)| *user == of.name).map(|(_, password)| *password);
        let setup = setup.to_str().context("the temporary folder's name is not UTF-8")?;
        person.run(stage, &["login", &of.name, "--password-stdin", "--device-name", device, "--setup", setup], password).await?;
        Ok(person)
    }

    /// Runs a command of this person's; its output, or why it failed.
    pub async fn run(&self, stage: &Stage, arguments: &[&str], stdin: Option<&str>) -> Result<String> {
        let (code, text) = self.attempt(stage, arguments, stdin).await?;
        if code != 0 {
            bail!("tidings {} ended with {code}: {text}", arguments[0]);
        }
        Ok(text)
    }

    /// Runs a command of this person's; its exit code, and what it said.
    pub async fn attempt(&self, stage: &Stage, arguments: &[&str], stdin: Option<&str>) -> Result<(i32, String)> {
        let mut command = stage.command();
        command.arg("--profile").arg(&self.folder).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        let mut input = child.stdin.take().context("the command's input")?;
        input.write_all(stdin.unwrap_or_default().as_bytes()).await?;
        drop(input);
        let output = timeout(PATIENCE, child.wait_with_output()).await.map_err(|_| anyhow!("tidings {} hangs", arguments[0]))??;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            text.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        Ok((output.status.code().unwrap_or(-1), text))
    }

    /// Starts `tidings tail`, whose output is what this person sees. While it runs, the person is online.
    pub fn open_screen(&mut self, stage: &Stage) -> Result<()> {
        let mut command = stage.command();
        command.arg("--profile").arg(&self.folder).arg("tail").stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        collect(child.stdout.take().context("the screen")?, self.screen.clone());
        collect(child.stderr.take().context("the screen")?, self.screen.clone());
        self.tail = Some(child);
        Ok(())
    }

    /// Everything that was on the screen.
    pub fn screen(&self) -> Vec<String> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What came onto the screen since the last time.
    pub fn news(&mut self) -> Vec<String> {
        let news = self.screen().split_off(self.shown);
        self.shown += news.len();
        news
    }

    /// Waits until `text` is on the screen.
    pub async fn sees(&mut self, _: &Stage, text: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.screen().iter().any(|line| line.contains(text)) {
            if let Some(status) = self.tail.as_mut().and_then(|tail| tail.try_wait().transpose()) {
                bail!("{}'s tail ended with {}: {:?}", self.name, status?, self.screen());
            }
            if Instant::now() > deadline {
                deadline_passed(&format!("{} sees {text:?}; on the screen: {:#?}", self.name, self.screen()))?;
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Waits until the people list has `count` people online with a fingerprint; who they are, and their fingerprints.
    pub async fn waits_for_people(&self, stage: &Stage, count: usize) -> Result<Vec<(String, String)>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let people = objects(&self.run(stage, &["people", "--json"], None).await?, "person")?;
            let there = people.iter().filter(|person| person["online"] == "online");
            let there: Vec<_> =
                there.filter_map(|p| Some((p["user"].as_str()?.to_owned(), p["fingerprint"].as_str()?.to_owned()))).collect();
            if there.len() >= count {
                return Ok(there);
            }
            if Instant::now() > deadline {
                deadline_passed(&format!("{} sees {count} people online; the list: {people:?}", self.name))?;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The conversation as `tidings read` has it.
    pub async fn reads(&self, stage: &Stage, of: &str) -> Result<Vec<Said>> {
        let messages = self.messages(stage, of).await?;
        let said = |message: &Value| Some(Said { author: message["author"].as_str()?.into(), text: message["text"].as_str()?.into() });
        messages.iter().map(|message| said(message).with_context(|| format!("unreadable: {message}"))).collect()
    }

    /// The same, without what has happened in it and what was not sent.
    pub async fn hears(&self, stage: &Stage, of: &str) -> Result<Vec<Said>> {
        let messages = self.messages(stage, of).await?;
        let is_said = |message: &&Value| message.get("event").is_none() && message["status"] != "failed";
        let said = |message: &Value| Some(Said { author: message["author"].as_str()?.into(), text: message["text"].as_str()?.into() });
        messages.iter().filter(is_said).map(|message| said(message).with_context(|| format!("unreadable: {message}"))).collect()
    }

    async fn messages(&self, stage: &Stage, of: &str) -> Result<Vec<Value>> {
        objects(&self.run(stage, &["read", of, "--limit", "1000", "--json"], None).await?, "message")
    }

    /// The number of the newest message with a file in it.
    pub async fn file_in(&self, stage: &Stage, of: &str) -> Result<i64> {
        let messages = self.messages(stage, of).await?;
        let with_file = messages.iter().rev().find(|message| message.get("file").is_some_and(|file| !file.is_null()));
        with_file.and_then(|message| message["id"].as_i64()).context("no message with a file")
    }

    /// How many people are in a group.
    pub async fn members_of(&self, stage: &Stage, group: &str) -> Result<usize> {
        let members = objects(&self.run(stage, &["room", "members", group, "--json"], None).await?, "member")?;
        Ok(members.iter().filter(|member| member["joined"] == true).count())
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn short_name(&self) -> String {
        self.name.split('@').next().unwrap_or_default().into()
    }

    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// Whether a variable of the environment is one of this program's.
fn is_ours(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"TIDINGS_")
}

fn collect(from: impl AsyncRead + Unpin + Send + 'static, screen: Arc<Mutex<Vec<String>>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            screen.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
}

/// The JSON objects of one type in a command's output.
fn objects(output: &str, kind: &str) -> Result<Vec<Value>> {
    let all: Vec<Value> = output.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|object| object["type"] == kind).collect())
}
