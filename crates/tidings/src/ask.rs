//! What a command asks of an open profile. It can travel to another process, so it holds plain values only.

use crate::cli::{Suite, Wait};
use crate::failure::Failure;
use crate::look::Numbers;
use crate::out::Out;
use crate::room::Change;
use crate::secret::Secret;
use crate::settle::Until;
use crate::verify::Verdict;
use crate::{devices, doctor, erase, file, password, people, read, room, rooms, rotate, send, tail, unlock, verify};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tidings_client::view::Target;
use tidings_client::{Client, UserName};

/// What is asked. Waiting is in seconds. There are texts and secrets in it, so it has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub enum Ask {
    People { wait: u32 },
    Rooms { wait: u32 },
    Members { room: String, wait: u32 },
    Room { change: Change, wait: Wait },
    Send { to: String, text: String, suite: Option<Suite>, wait: Wait },
    SendFile { to: String, file: file::Sent, text: String, wait: Wait },
    SaveFile { id: i64, folder: PathBuf },
    Erase { id: i64, wait: Wait },
    Read { of: String, limit: usize, numbers: Numbers, wait: u32 },
    Tail { of: Option<String>, last: usize, numbers: Numbers },
    Verify { user: String, verdict: Verdict, wait: u32 },
    Devices { wait: u32 },
    Doctor { wait: u32 },
    NameDevice { device: String, name: String },
    Revoke { device: String, password: Secret },
    Password { old: Secret, new: Secret },
    Unlock { password: Secret },
    Rotate { password: Secret },
}

impl Ask {
    /// Whether it can be answered without the network.
    pub fn is_local(&self) -> bool {
        match self {
            Ask::Rooms { wait }
            | Ask::Members { wait, .. }
            | Ask::Read { wait, .. }
            | Ask::Verify { verdict: Verdict::Show { .. }, wait, .. }
            | Ask::Devices { wait }
            | Ask::Doctor { wait } => *wait == 0,
            Ask::SaveFile { .. } => true,
            _ => false,
        }
    }
}

/// Answers with `client`, which this process holds. The result is the exit code.
pub async fn answer(client: &Client, ask: Ask, out: &mut Out) -> Result<u8, Failure> {
    match ask {
        Ask::People { wait } => people::answer(client, wait, out).await,
        Ask::Rooms { wait } => rooms::answer(client, wait, out).await,
        Ask::Members { room, wait } => room::members(client, &room, wait, out).await,
        Ask::Room { change, wait } => room::answer(client, change, wait, out).await,
        Ask::Send { to, text, suite, wait } => send::answer(client, (&to, &text), suite, wait, out).await,
        Ask::SendFile { to, file, text, wait } => file::send(client, &to, file, &text, wait, out).await,
        Ask::SaveFile { id, folder } => file::save(client, id, &folder, out).await,
        Ask::Erase { id, wait } => erase::answer(client, id, wait, out).await,
        Ask::Read { of, limit, numbers, wait } => read::answer(client, &of, limit, numbers, wait, out).await,
        Ask::Tail { of, last, numbers } => tail::answer(client, of.as_deref(), last, numbers, out).await,
        Ask::Verify { user, verdict, wait } => verify::answer(client, &user, verdict, wait, out).await,
        Ask::Devices { wait } => devices::answer(client, wait, out).await,
        Ask::Doctor { wait } => doctor::answer(client, wait, out).await,
        Ask::NameDevice { device, name } => devices::name(client, &device, &name, out).await,
        Ask::Revoke { device, password } => devices::revoke(client, &device, password, out).await,
        Ask::Password { old, new } => password::answer(client, old, new, out).await,
        Ask::Unlock { password } => unlock::answer(client, password, out).await,
        Ask::Rotate { password } => rotate::answer(client, password, out).await,
    }
}

/// The conversation that `text` names. One that is not known here may be so after catching up.
pub async fn target(client: &Client, text: &str, until: Until) -> Result<Target, Failure> {
    check_target(text)?;
    let found = client.find(text).await;
    if found.is_err() && client.linked(until.left()).await.is_ok() {
        return Ok(client.find(text).await?);
    }
    Ok(found?)
}

/// Refuses what can be no conversation, before anything is opened: what has an `@` in it is meant to be a person.
pub fn check_target(text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Err(Failure::usage("say with whom: `public`, a person, or a group"));
    }
    if text.contains('@') && !text.starts_with('#') {
        text.parse::<UserName>().map_err(|error| Failure::usage(format!("{text:?} is nobody's name: {error}")))?;
    }
    Ok(())
}

/// Catches up where the server answers in time; otherwise says that it did not, and goes on with what is here.
pub async fn catch_up(client: &Client, until: Until, out: &mut Out) -> Result<(), Failure> {
    if until.left().is_zero() {
        return Ok(());
    }
    match client.linked(until.left()).await {
        Err(error) if error.is_passing() => out.note(&format!("{error}; this is what is on this device")).await?,
        done => done?,
    }
    if client.is_locked() {
        out.note(LOCKED).await?;
    }
    Ok(())
}

/// What is said where there are messages for keys that this device does not have.
pub const LOCKED: &str = "another device of yours has changed the account's keys: `tidings unlock` lets this one read on";
