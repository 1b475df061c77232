//! Servers to measure: processes of the release binary, on a core of their own, on real files.

use crate::link::{self, Target};
use crate::machine::{self, Cores, Meter};
use crate::ports::free_addresses;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tidings_proto::ServerName;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A folder that is in memory, on most Linux.
const MEMORY: &str = "/dev/shm";
const PATIENCE: Duration = Duration::from_secs(30);
/// As good as no limit.
const MANY: u32 = 1_000_000;

/// Whether links are encrypted. The command line offers TLS alone; plain links on loopback are served by the same library in a
/// process of this program, and are measured to tell what of a figure is TLS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `tidings server`.
    Tls,
    /// `tidings-bench plain-server`.
    Plain,
    /// `tidings-bench bare-hub`, which is no server at all.
    Bare,
}

/// What all scenarios share.
#[derive(Clone)]
pub struct Stage {
    /// The `tidings` program.
    pub program: PathBuf,
    /// Where servers have their folders: on a real disk, since what is measured syncs.
    pub folder: PathBuf,
    /// Who runs where.
    pub cores: Cores,
    /// How links are made where a scenario does not say.
    pub transport: Transport,
    /// A hundredth of everything, to see that it works.
    pub tiny: bool,
}

impl Stage {
    /// `whole`, or a small part of it.
    pub fn scaled(&self, whole: usize, tiny: usize) -> usize {
        if self.tiny { tiny } else { whole }
    }

    /// The same with the servers' folders in memory, where a sync takes no time; where there is no such place, as it was.
    pub fn in_memory(&self) -> Stage {
        let memory = Path::new(MEMORY);
        if memory.is_dir() { Stage { folder: memory.to_owned(), ..self.clone() } } else { self.clone() }
    }

    /// In words for the report.
    pub fn where_folders_are(&self) -> &'static str {
        if self.folder == Path::new(MEMORY) { "in memory" } else { "on disk" }
    }

    /// How long something is measured.
    pub fn time(&self, whole: Duration) -> Duration {
        if self.tiny { whole / 20 } else { whole }
    }
}

/// A server's folder.
pub struct Home {
    folder: TempDir,
    name: ServerName,
    transport: Transport,
    address: SocketAddr,
}

/// A server that runs. Killed when dropped.
pub struct Server {
    /// Where it is.
    pub target: Target,
    /// Its CPU.
    pub meter: Meter,
    /// From the start of the process to the first answer on its port.
    pub ready: Duration,
    child: Child,
}

impl Home {
    /// An empty folder for a server called `name`.
    pub fn new(stage: &Stage, name: &str, transport: Transport) -> Result<Home> {
        std::fs::create_dir_all(&stage.folder)?;
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&stage.folder)?;
        let [address] = free_addresses()?;
        let home = Home { folder, name: name.parse()?, transport, address };
        home.knows(&json!({}))?;
        Ok(home)
    }

    /// Names the other servers in the `setup.json`. It is as an operator would write it for a benchmark: a few senders stand for many
    /// people, so what one of them may write is not limited. Nothing else differs from a server in use.
    pub fn knows(&self, mailing_address: &Value) -> Result<()> {
        let mut limits = json!({ "login_burst": MANY });
        for key in
            ["messages_per_second", "message_burst", "invitation_burst", "registration_burst", "registrations_per_minute", "outbox_entries"]
        {
            limits[key] = json!(MANY);
        }
        self.write(mailing_address, &limits)
    }

    /// The same, but with the preset limits on whoever is not logged in: for measurements of what strangers can do.
    pub fn fend(&self) -> Result<()> {
        let mut limits = json!({});
        for key in ["messages_per_second", "message_burst", "registration_burst", "registrations_per_minute"] {
            limits[key] = json!(MANY);
        }
        self.write(&json!({}), &limits)
    }

    fn write(&self, mailing_address: &Value, limits: &Value) -> Result<()> {
        let setup = json!({
            "server_name": self.name.as_str(), "listen": self.address.to_string(), "registration": "open", "limits": limits,
            "mailing_address": mailing_address,
        });
        Ok(std::fs::write(self.setup(), serde_json::to_string_pretty(&setup)?)?)
    }

    fn setup(&self) -> PathBuf {
        self.folder.path().join("setup.json")
    }

    /// Where its database is.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The line by which another server knows this one.
    pub async fn peer(&self, stage: &Stage) -> Result<Value> {
        let mut command = Command::new(&stage.program);
        command.args(["peer", "show", "--json", "--setup"]).arg(self.setup()).arg("--data").arg(self.data());
        let output = command.output().await?;
        let shown: Value = serde_json::from_slice(&output.stdout).context("peer show")?;
        Ok(json!({ "address": self.address.to_string(), "key": shown["key"] }))
    }

    fn command(&self, program: &Path, aside: bool) -> Result<Command> {
        let mut command = match self.transport {
            Transport::Tls => {
                let mut command = if aside { Command::new("nice") } else { Command::new(program) };
                if aside {
                    command.args(["-n", "19"]).arg(program);
                }
                command.args(["server", "--json", "--setup"]).arg(self.setup()).arg("--data").arg(self.data());
                command
            }
            Transport::Plain | Transport::Bare => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(if self.transport == Transport::Bare { "bare-hub" } else { "plain-server" }).arg(self.setup()).arg(self.data());
                command
            }
        };
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log"))?;
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        Ok(command)
    }

    /// Starts a server on the servers' core and waits until it is ready.
    pub async fn start(&self, stage: &Stage) -> Result<Server> {
        self.start_on(stage, stage.cores.server, false).await
    }

    /// The same on the load's core, which it has while the load does not want it.
    pub async fn start_aside(&self, stage: &Stage) -> Result<Server> {
        self.start_on(stage, stage.cores.load, true).await
    }

    async fn start_on(&self, stage: &Stage, core: usize, aside: bool) -> Result<Server> {
        let mut command = self.command(&stage.program, aside)?;
        let address = self.address;
        // A process starts on the core of the thread that starts it, and so its runtime has one worker.
        machine::pin(core)?;
        let begun = Instant::now();
        let child = command.spawn().with_context(|| format!("{} cannot be started", stage.program.display()));
        machine::pin(stage.cores.load)?;
        let mut child = child?;
        let pid = child.id().context("the server has ended at once")?;
        let tls = if self.transport == Transport::Plain { None } else { Some(link::tls()?) };
        let target = Target { name: self.name.clone(), address, tls, receive_buffer: None };
        let stdout = child.stdout.take().context("the server's output")?;
        let mut line = String::new();
        timeout(PATIENCE, BufReader::new(stdout).read_line(&mut line)).await.map_err(|_| anyhow!("the server does not start"))??;
        let served: Value = serde_json::from_str(&line).with_context(|| format!("the server did not start: {}", self.log()))?;
        ensure!(served["type"] == "server", "the server did not start: {line}");
        // It listens before it says so; TCP alone shows that somebody is there.
        TcpStream::connect(address).await.context("the server is not there")?;
        let ready = begun.elapsed();
        Ok(Server { target, meter: Meter::new(pid), ready, child })
    }

    /// The last lines of the server's log.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

impl Server {
    /// Its process.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the server has ended")
    }

    /// Its resident memory, in bytes.
    pub fn rss(&self) -> Result<u64> {
        machine::rss(self.pid()?)
    }

    /// What of it is its own, and not pages of its program.
    pub fn anonymous(&self) -> Result<u64> {
        machine::anonymous(self.pid()?)
    }

    /// Stops it in good order.
    pub async fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_raw(self.pid()? as i32).context("the server's process")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let ended = timeout(PATIENCE, self.child.wait()).await.map_err(|_| anyhow!("the server does not stop"))?;
        ensure!(ended?.success(), "the server did not stop in good order");
        Ok(())
    }
}

/// Serves plain links on loopback, until the process is told to stop.
pub async fn plain_server(setup: &Path, data: &Path) -> Result<()> {
    let setup = tidings_server::setup::load(setup).map_err(|problems| anyhow!("{problems}"))?;
    let config = tidings_server::Config {
        data: data.to_owned(),
        name: setup.name,
        listen: setup.listen,
        advertise: setup.advertise,
        transport: tidings_server::Transport::PlainLoopback,
        registration: setup.registration,
        reserved: setup.reserved,
        peers: setup.peers,
        limits: setup.limits,
        pages: Default::default(),
    };
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let running = tidings_server::Server::start(config).await?;
    println!("{}", json!({ "type": "server", "name": running.name().as_str() }));
    term.recv().await;
    running.stop().await;
    Ok(())
}
