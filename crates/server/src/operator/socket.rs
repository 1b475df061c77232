//! The socket of the operator's commands: one question a connection, a line of JSON, and the answer in lines of JSON.

use super::{Answer, Ask, answer};
use crate::host::Host;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::{Code, Refusal};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// The socket's name in the server's folder.
pub const SOCKET: &str = "operator.sock";
/// Bytes of a question; far more than the longest name takes.
const LONGEST_QUESTION: u64 = 4 * 1024;
/// Bytes in the name of a socket (`sun_path`, without the NUL).
const LONGEST_NAME: usize = 107;
/// Bytes of one line of an answer.
const LONGEST_ANSWER: u64 = 64 * 1024;
/// Whoever asks has so long to say what, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions at once; others wait their turn.
const AT_ONCE: usize = 8;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error("no server is running on the folder {}", .0.display())]
    NotRunning(PathBuf),
    /// The socket is there, and may not be used.
    #[error("{}: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server ended in the middle, or is another version of the program.
    #[error("the server did not answer as expected: {0}")]
    Broken(String),
    /// The server said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Asks the server that runs on the folder `data`; `take` is given the lines of the answer.
pub async fn ask(data: &Path, ask: &Ask, mut take: impl FnMut(Answer)) -> Result<(), AskError> {
    let cannot = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => AskError::NotRunning(data.to_owned()),
        _ => AskError::Socket { path: data.join(SOCKET), source },
    };
    let near = Near::to(data).map_err(cannot)?;
    let stream = UnixStream::connect(near.socket()).await.map_err(cannot)?;
    let broken = |error: std::io::Error| AskError::Broken(error.to_string());
    let (read, mut write) = stream.into_split();
    write.write_all(&line(ask)).await.map_err(broken)?;
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        (&mut read).take(LONGEST_ANSWER).read_until(b'\n', &mut line).await.map_err(broken)?;
        if line.is_empty() {
            return Err(AskError::Broken("it ended in the middle".into()));
        }
        match serde_json::from_slice(&line).map_err(|error| AskError::Broken(error.to_string()))? {
            Answer::End => return Ok(()),
            Answer::Refused { code, text } => {
                let code = Code::ALL.iter().copied().find(|known| known.number() == code).unwrap_or(Code::Unknown);
                return Err(Refusal::new(code, text).into());
            }
            other => take(other),
        }
    }
}

/// A folder by a short way: the name of a socket has 107 bytes at most, and that of a folder may have more.
enum Near {
    /// Its own name is short enough.
    Named(PathBuf),
    /// Open, and called by the number of its descriptor (Linux).
    Open(File),
}

impl Near {
    fn to(folder: &Path) -> std::io::Result<Near> {
        let is_short = folder.join(SOCKET).as_os_str().len() <= LONGEST_NAME;
        if is_short { Ok(Near::Named(folder.to_owned())) } else { Ok(Near::Open(File::open(folder)?)) }
    }

    fn socket(&self) -> PathBuf {
        match self {
            Near::Named(folder) => folder.join(SOCKET),
            Near::Open(folder) => PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())),
        }
    }
}

/// Listens in the folder `data`, which this process holds the lock of. The operator alone may connect.
pub(crate) fn listen(data: &Path) -> std::io::Result<UnixListener> {
    let path = data.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(Near::to(data)?.socket())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until `host` stops; then the socket is gone.
pub(crate) async fn serve(host: Arc<Host>, listener: UnixListener, data: PathBuf) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = host.stopping.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = host.stopping.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let asked = host.clone();
                host.tasks.spawn(async move {
                    let stopping = asked.stopping.clone();
                    // The operator who does not read the answer need not be told.
                    let _ = stopping.run_until_cancelled(tokio::time::timeout(PATIENCE, serve_one(&asked, stream))).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an operator's command");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let _ = std::fs::remove_file(data.join(SOCKET));
}

async fn serve_one(host: &Host, stream: UnixStream) -> std::io::Result<()> {
    // The folder's mode says the same, unless somebody has changed it.
    let asker = stream.peer_cred()?.uid();
    if asker != 0 && asker != rustix::process::geteuid().as_raw() {
        tracing::warn!(uid = asker, "somebody who is not the operator asked");
        return Ok(());
    }
    let (read, mut write) = stream.into_split();
    let mut question = Vec::new();
    BufReader::new(read.take(LONGEST_QUESTION)).read_until(b'\n', &mut question).await?;
    let answered = match serde_json::from_slice::<Ask>(&question) {
        _ if !question.ends_with(b"\n") => {
            Err(Refusal::new(Code::TooLarge, format!("a question is a line of at most {LONGEST_QUESTION} bytes")))
        }
        Ok(ask) => answer(host, ask).await,
        Err(error) => Err(Refusal::new(Code::Malformed, format!("this server does not know the question: {error}"))),
    };
    let (rows, last) = match answered {
        Ok(rows) => (rows, Answer::End),
        Err(Refusal { code, text, .. }) => (Vec::new(), Answer::Refused { code: code.number(), text }),
    };
    let mut lines = Vec::new();
    rows.iter().chain([&last]).for_each(|row| lines.extend(line(row)));
    write.write_all(&lines).await
}

fn line(value: &impl serde::Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("these types are written as JSON");
    line.push(b'\n');
    line
}
