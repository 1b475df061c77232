//! Where a command's answer goes: this process's own output, or that of another process of the same profile.

use crate::inert;
use crate::look::{self, Look};
use serde::{Deserialize, Serialize};
use std::io::Write;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;

/// Where the answer goes, and how it looks there.
pub struct Out {
    pub look: Look,
    pub to: To,
}

/// Who gets it.
pub enum To {
    /// This process's own output.
    Stdout,
    /// Another process of this profile.
    Beside(OwnedWriteHalf),
}

/// What travels to that other process, one JSON object a line.
#[derive(Serialize, Deserialize)]
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

    /// Lines of output.
    pub async fn lines(&mut self, lines: &[String]) -> std::io::Result<()> {
        for line in lines {
            self.line(line).await?;
        }
        Ok(())
    }

    /// What was done: a sentence for people, an object for programs.
    pub async fn done(&mut self, sentence: &str, kind: &str, fields: &impl Serialize) -> std::io::Result<()> {
        let line = if self.look.json { look::object(kind, fields) } else { sentence.to_owned() };
        self.line(&line).await
    }

    /// A remark beside the output, for people; programs get it as an object of its own.
    pub async fn note(&mut self, note: &str) -> std::io::Result<()> {
        if self.look.json {
            self.line(&look::object("note", &serde_json::json!({ "message": note }))).await
        } else {
            self.reply(Reply::Note(inert::line(note))).await
        }
    }

    /// Passes a reply on.
    pub async fn reply(&mut self, reply: Reply) -> std::io::Result<()> {
        match (&mut self.to, reply) {
            (To::Stdout, Reply::Line(line)) => {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{line}").and_then(|()| out.flush())
            }
            (To::Stdout, Reply::Note(note)) => writeln!(std::io::stderr(), "{note}"),
            (To::Stdout, Reply::End { .. }) => Ok(()),
            (To::Beside(stream), reply) => {
                let mut line = serde_json::to_vec(&reply)?;
                line.push(b'\n');
                stream.write_all(&line).await
            }
        }
    }
}
