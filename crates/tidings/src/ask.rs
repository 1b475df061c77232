//! What a command asks of an open profile. It can travel to another process, so it holds plain values only.

use crate::failure::Failure;
use crate::look::{self, Look};
use crate::{people, read, send, tail};
use serde::{Deserialize, Serialize};
use std::io::Write;
use tidings_client::Client;
use tidings_client::view::Target;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Ask {
    People { wait: u32 },
    Send { to: String, text: String, wait: u32 },
    Read { of: String, limit: usize, wait: u32 },
    Tail { of: Option<String>, last: usize },
}

impl Ask {
    /// Whether it can be answered without the network.
    pub fn is_local(&self) -> bool {
        matches!(self, Ask::Read { wait: 0, .. })
    }
}

/// Answers with `client`, which this process holds. The result is the exit code.
pub async fn answer(client: &Client, ask: &Ask, look: Look, out: &mut Out) -> Result<u8, Failure> {
    match ask {
        Ask::People { wait } => people::answer(client, *wait, look, out).await,
        Ask::Send { to, text, wait } => send::answer(client, &target(to)?, text, *wait, look, out).await,
        Ask::Read { of, limit, wait } => read::answer(client, &target(of)?, *limit, *wait, look, out).await,
        Ask::Tail { of, last } => tail::answer(client, of.as_deref().map(target).transpose()?, *last, look, out).await,
    }
}

/// `public`, or a person.
pub fn target(text: &str) -> Result<Target, Failure> {
    if text == "public" {
        return Ok(Target::Public);
    }
    text.parse().map(Target::Direct).map_err(|error| Failure::usage(format!("{text:?} is neither `public` nor a person: {error}")))
}

/// Where the answer goes.
pub enum Out {
    /// This process's own output.
    Stdout,
    /// Another process of this profile.
    Beside(OwnedWriteHalf),
}

/// What travels to that other process, one JSON object a line.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// For its standard output.
    Line(String),
    /// For its standard error.
    Note(String),
    /// The last: its exit code, and why where it is a failure.
    End { code: u8, failure: Option<String> },
}

impl Out {
    /// A line of output.
    pub async fn line(&mut self, line: &str) -> std::io::Result<()> {
        self.reply(Reply::Line(line.into())).await
    }

    /// A remark beside the output, for people; programs get it as an object of its own.
    pub async fn note(&mut self, look: Look, note: &str) -> std::io::Result<()> {
        if look.json {
            self.line(&look::object("note", &serde_json::json!({ "message": note }))).await
        } else {
            self.reply(Reply::Note(note.into())).await
        }
    }

    /// Passes a reply on.
    pub async fn reply(&mut self, reply: Reply) -> std::io::Result<()> {
        match (self, reply) {
            (Out::Stdout, Reply::Line(line)) => {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{line}").and_then(|()| out.flush())
            }
            (Out::Stdout, Reply::Note(note)) => writeln!(std::io::stderr(), "{note}"),
            (Out::Stdout, Reply::End { .. }) => Ok(()),
            (Out::Beside(stream), reply) => {
                let mut line = serde_json::to_vec(&reply)?;
                line.push(b'\n');
                stream.write_all(&line).await
            }
        }
    }
}
