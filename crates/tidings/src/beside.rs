//! Two commands on one profile: the one that holds it (`tail`) answers the others over a socket in the profile's folder.
//!
//! The folder is private to its owner, and so is the socket; nothing here authenticates anybody further. One question a connection:
//! a line of JSON, then [`Reply`]s. A secret in a question goes no further than from one process of a person's to another.

use crate::ask::{self, Ask};
use crate::failure::Failure;
use crate::look::Look;
use crate::out::{Out, Reply, To};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tidings_client::{Client, Zeroizing};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// The socket, in the profile's folder.
pub const SOCKET: &str = "beside.sock";

/// More than the longest text in JSON, every character of it escaped.
const LONGEST_QUESTION: u64 = 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Question {
    ask: Ask,
    look: Look,
}

/// Answers others until it is dropped.
pub struct Listening {
    task: JoinHandle<()>,
    socket: PathBuf,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Starts to answer others with `client`, whose profile `folder` this process holds. None, and a line in the log, where the system
/// does not let us: then others wait.
pub fn listen(folder: &Path, client: &Client) -> Option<Listening> {
    let socket = folder.join(SOCKET);
    // We hold the profile's lock, so whoever made this is gone.
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).and_then(|listener| {
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "other commands of this profile have to wait for this one");
            return None;
        }
    };
    let client = client.clone();
    let task = tokio::spawn(async move {
        let mut answering = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => drop(answering.spawn(serve(client.clone(), stream))),
                    // Out of file descriptors, most likely: not in a circle, then.
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
                },
                Some(_) = answering.join_next() => {}
            }
        }
    });
    Some(Listening { task, socket })
}

async fn serve(client: Client, stream: UnixStream) {
    let (read, write) = stream.into_split();
    let mut read = BufReader::new(read.take(LONGEST_QUESTION));
    let mut line = Zeroizing::new(Vec::new());
    if read.read_until(b'\n', &mut line).await.is_err() {
        return;
    }
    let mut out = Out { look: Look { json: false, colour: false }, to: To::Beside(write) };
    let done = match serde_json::from_slice::<Question>(&line) {
        Ok(Question { ask, look }) => {
            out.look = look;
            let mut rest = [0];
            tokio::select! {
                done = ask::answer(&client, ask, &mut out) => done,
                // It says nothing more, so this is its end: nobody waits for the answer.
                _ = read.read(&mut rest) => return,
            }
        }
        Err(error) => Err(Failure::usage(format!("another version of this program asked: {error}"))),
    };
    let (code, failure) = match done {
        Ok(code) => (code, None),
        Err(failure) => (failure.code, Some(failure.sentence)),
    };
    // If it has gone, there is nobody to tell.
    let _ = out.reply(Reply::End { code, failure }).await;
}

/// Asks the process that holds the profile. None where none answers.
pub async fn ask(folder: &Path, ask: &Ask, look: Look) -> Result<Option<u8>, Failure> {
    let Ok(stream) = UnixStream::connect(folder.join(SOCKET)).await else { return Ok(None) };
    let (read, mut write) = stream.into_split();
    let mut question =
        Zeroizing::new(serde_json::to_vec(&Question { ask: ask.clone(), look }).map_err(|error| Failure::usage(error.to_string()))?);
    question.push(b'\n');
    let gone = || Failure::later("the command that holds this profile ended before it had answered; look before you try again");
    write.write_all(&question).await.map_err(|_| gone())?;
    let mut out = Out { look, to: To::Stdout };
    let mut replies = BufReader::new(read).lines();
    while let Some(line) = replies.next_line().await.map_err(|_| gone())? {
        let reply = serde_json::from_str(&line).map_err(|_| gone())?;
        match reply {
            Reply::End { code, failure: Some(sentence) } => return Err(Failure { sentence, code }),
            Reply::End { code, failure: None } => return Ok(Some(code)),
            other => out.reply(other).await?,
        }
    }
    Err(gone())
}
