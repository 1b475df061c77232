//! `tidings send`: a message, kept here first, then sent.

use crate::ask::{self, Ask};
use crate::cli::{Global, SendArguments, Suite, Wait};
use crate::failure::Failure;
use crate::out::Out;
use crate::profile;
use crate::settle::{Until, Written, settle};
use std::io::Read;
use tidings_client::{Client, SuiteName};

/// More than any message may have; the client names the real limit.
const MOST_INPUT: u64 = 1024 * 1024;

/// Runs the command.
pub async fn run(global: &Global, arguments: SendArguments) -> Result<u8, Failure> {
    ask::check_target(&arguments.to)?;
    let text = if arguments.text == ["-"] { from_stdin()? } else { arguments.text.join(" ") };
    if text.trim().is_empty() {
        return Err(Failure::usage("there is nothing to send"));
    }
    profile::perform(global, Ask::Send { to: arguments.to, text, suite: arguments.sealing.suite, wait: arguments.away.wait }).await
}

fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let stdin = std::io::stdin().lock();
    stdin.take(MOST_INPUT).read_to_string(&mut text).map_err(|error| Failure::usage(format!("standard input: {error}")))?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// Writes the message, waits until a server has it or the time is up, and says how far it came.
pub async fn answer(client: &Client, (to, text): (&str, &str), suite: Option<Suite>, wait: Wait, out: &mut Out) -> Result<u8, Failure> {
    let until = Until::new(wait);
    let to = ask::target(client, to, until).await?;
    client.begin_on(suite.map(SuiteName::from));
    let id = client.send(&to, text).await?;
    settle(client, Written { id, room: Some(&to), user: None, done: "sent".into() }, until, out).await
}
