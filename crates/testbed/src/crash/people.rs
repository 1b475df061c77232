//! People with the real program: each message is a process `tidings send` on their profile, and some of those are killed.

use super::dice::Dice;
use super::names::Names;
use super::shared::{Phase, Shared};
use crate::PATIENCE;
use crate::history::{Id, Item, Op, Outcome};
use crate::person::PASSWORD;
use crate::process::Program;
use crate::wire::Wire;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tidings_client::{Endpoint, Register, Zeroizing, register};
use tidings_proto::{ServerKey, SuiteName, UserName};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout};

/// Between two messages of one person.
const PACE: Duration = Duration::from_millis(100);

/// Where a person writes.
pub struct Talk {
    /// The writer's number in the history.
    pub writer: u32,
    /// As it is typed: `public`, or a person.
    pub to: String,
    /// What has become of each message.
    pub ops: Vec<Op>,
}

/// Somebody.
pub struct Somebody {
    /// The name.
    pub name: UserName,
    /// What this person's conversations are sealed on.
    suite: SuiteName,
    /// The reader's number in the history.
    pub reader: u32,
    /// The conversations.
    pub talks: Vec<Talk>,
    /// Commands that were killed.
    pub killed: u64,
    program: Program,
    profile: PathBuf,
}

/// How a command ended.
enum Ended {
    Killed,
    Code(i32, String),
}

impl Somebody {
    /// Registers somebody on their server.
    pub async fn register(
        (name, suite): (UserName, SuiteName),
        key: ServerKey,
        wire: &Wire,
        reader: u32,
        (program, folder): (&Program, &Path),
    ) -> Somebody {
        let profile = folder.join(format!("profile-{name}"));
        let endpoint = Endpoint { name: name.server().clone(), address: wire.address().to_string(), key: Some(key), plain: false };
        let password = Zeroizing::new(PASSWORD.to_owned());
        let request = Register { profile: &profile, endpoint, user: name.clone(), password, code: None, device_name: None };
        register(request).await.expect("a registration");
        Somebody { name, suite, reader, talks: Vec::new(), killed: 0, program: program.clone(), profile }
    }

    /// Writes until the world has enough. Every third command is killed at some moment, like the servers.
    pub async fn live(mut self, shared: Arc<Shared>, mut dice: Dice) -> Somebody {
        let phase = shared.phase();
        while matches!(&*phase.borrow(), Phase::Writing) {
            let at = dice.below(self.talks.len() as u64) as usize;
            let kill = (dice.below(3) == 0).then(|| Duration::from_millis(dice.below(700)));
            self.write(&shared, at, kill, "3").await;
            sleep(PACE).await;
        }
        self
    }

    /// Writes the next message of a conversation.
    async fn write(&mut self, shared: &Shared, at: usize, kill: Option<Duration>, wait: &str) {
        let talk = &self.talks[at];
        let (id, to) = (Id { writer: talk.writer, n: talk.ops.len() as u32 + 1 }, talk.to.clone());
        let invoked = shared.now();
        let ended = self.command(&["send", &to, &id.to_string(), "--suite", self.suite.as_str(), "--wait", wait], kill).await;
        let outcome = match &ended {
            Ended::Killed => Outcome::Unknown,
            Ended::Code(code, said) => outcome(*code, said),
        };
        self.killed += u64::from(matches!(ended, Ended::Killed));
        self.talks[at].ops.push(Op { invoked, ended: shared.now(), outcome });
    }

    /// Sends what still waits.
    pub async fn settles(&self) -> Result<(), String> {
        for talk in &self.talks {
            self.settled(&talk.to).await?;
        }
        Ok(())
    }

    /// What this person has: of each log, what is at which place.
    pub async fn reads(&self, names: &Names) -> Result<BTreeMap<String, Vec<Item>>, String> {
        let mut logs: BTreeMap<String, BTreeMap<u64, Item>> = BTreeMap::new();
        for talk in &self.talks {
            for message in self.settled(&talk.to).await? {
                let (Some(place), Some(log)) = (message["place"].as_u64(), message["log"].as_str()) else { continue };
                logs.entry(log.to_owned()).or_default().insert(place, item(names, &message));
            }
        }
        let whole = |items: BTreeMap<u64, Item>| {
            let last = items.last_key_value().map_or(0, |(place, _)| *place);
            // A room's first entry is its genesis, which nobody is shown.
            let absent = |place| if place == 1 { Item::Other } else { Item::Closed };
            (1..=last).map(|place| items.get(&place).copied().unwrap_or_else(|| absent(place))).collect()
        };
        Ok(logs.into_iter().map(|(log, items)| (log, whole(items))).collect())
    }

    /// Whether there is nothing that could not be opened, nothing that waits for keys, and nothing that has stopped.
    pub async fn is_well(&self) -> Result<(), String> {
        let Ended::Code(0, said) = self.command(&["doctor", "--wait", "0"], None).await else {
            return Err(format!("{} is not well", self.name));
        };
        let health = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|object| object["type"] == "health");
        let health = health.ok_or_else(|| format!("{} is told nothing by the doctor", self.name))?;
        let well = health["unreadable"] == 0 && health["waiting_for_keys"] == 0;
        if well { Ok(()) } else { Err(format!("{} is not well: {health}", self.name)) }
    }

    /// A conversation, once nothing in it waits any more.
    async fn settled(&self, of: &str) -> Result<Vec<Value>, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Ended::Code(0, said) = self.command(&["read", of, "--limit", "1000000", "--wait", "30"], None).await else {
                return Err(format!("{} cannot read {of}", self.name));
            };
            let messages: Vec<Value> = said
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .filter(|object: &Value| object["type"] == "message")
                .collect();
            let waits = |message: &&Value| message["status"] == "pending" || message["status"] == "waiting";
            let Some(waiting) = messages.iter().find(waits) else { return Ok(messages) };
            if Instant::now() > deadline {
                return Err(format!("{} still waits in {of}: {waiting}", self.name));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until somebody else's keys are here: without them nothing can be sealed.
    pub async fn meets(&self, other: &UserName) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ended::Code(0, said) = self.command(&["people"], None).await {
                let people = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                if people.into_iter().any(|person| person["user"] == other.to_string() && person["fingerprint"].is_string()) {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "{} never meets {other}", self.name);
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn command(&self, arguments: &[&str], kill: Option<Duration>) -> Ended {
        let folder = self.profile.parent().expect("a folder");
        let mut command = self.program.command(folder);
        command.args(arguments).arg("--json").arg("--profile").arg(&self.profile).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary runs");
        let mut stdout = child.stdout.take().expect("its output");
        let mut said = String::new();
        let run = async {
            stdout.read_to_string(&mut said).await.expect("UTF-8");
            child.wait().await.expect("an end").code()
        };
        // What has ended by then has ended by itself.
        let code = match kill {
            Some(after) => timeout(after, run).await.ok(),
            None => Some(timeout(PATIENCE * 2, run).await.expect("a command that ends")),
        };
        match code {
            Some(Some(code)) => Ended::Code(code, said),
            Some(None) => panic!("tidings {arguments:?} was ended by somebody else"),
            None => {
                child.kill().await.expect("a process that can be killed");
                Ended::Killed
            }
        }
    }
}

/// What `tidings send` says.
fn outcome(code: i32, said: &str) -> Outcome {
    let sent = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|object| object["type"] == "sent");
    let status = sent.as_ref().and_then(|sent| sent["status"].as_str()).unwrap_or_default();
    match (code, status) {
        (0, "sent") => Outcome::Acknowledged(sent.and_then(|sent| sent["seq"].as_u64()).unwrap_or(0)),
        (0, "waiting") | (75, "pending") => Outcome::Kept,
        (_, "failed") => Outcome::Refused,
        _ => Outcome::Unknown,
    }
}

fn item(names: &Names, message: &Value) -> Item {
    if message["status"] == "unreadable" {
        return Item::Closed;
    }
    let author = message["author"].as_str().and_then(|author| author.parse().ok());
    let id = author.and_then(|author| names.written(message["text"].as_str()?, &author));
    id.map_or(Item::Strange, Item::Message)
}
