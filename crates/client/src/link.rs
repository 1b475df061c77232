//! One link to the home server: the client's side of the handshake (design 3, Links), then frames.
//!
//! Not here: reconnecting, and what the frames mean.

use crate::platform::{self, Pipe, PipeReader, PipeWriter};
use crate::setup::show_server_key;
use crate::{ClientError, Endpoint};
use bytes::Bytes;
use rand_core::{OsRng, RngCore};
use std::time::Duration;
use tidings_proto::frame::{KeyPackagesLeft, Proof, Ready, RoomsReply};
use tidings_proto::handshake::{Hello, Party, VERSIONS, proof_bytes, same_tls_session, transcript};
use tidings_proto::{Code, DeviceKey, Frame, Hash, Nonce, ServerKey, ServerName, Signature, UserName, limits};
use tidings_trust::ed25519::verify_server;

/// The whole of a dial, from the name look-up to `Ready`.
const DIAL: Duration = Duration::from_secs(10);
/// An answer while nobody is listed yet.
const ANSWER: Duration = Duration::from_secs(30);

/// A link both of whose ends are proved.
pub struct Link {
    /// What comes in.
    pub reader: PipeReader,
    /// What goes out.
    pub writer: PipeWriter,
    /// What the link may be used for.
    pub ready: Ready,
    /// What both have signed.
    pub transcript: Hash,
    /// The key that the server has proved.
    pub server_key: ServerKey,
}

/// As whom a link is dialled.
pub struct Me<'a> {
    /// The user.
    pub user: &'a UserName,
    /// The device's key.
    pub device: DeviceKey,
    /// Signs with it.
    pub sign: &'a (dyn Fn(&[u8]) -> Signature + Send + Sync),
}

/// Dials `endpoint` and proves both sides.
pub async fn dial(endpoint: &Endpoint, me: &Me<'_>) -> Result<Link, ClientError> {
    let dialled = async { handshake(platform::connect(endpoint).await?, endpoint, me).await };
    match platform::timeout(DIAL, dialled).await {
        Some(done) => done,
        None => Err(ClientError::Unreachable { address: endpoint.host_and_port(), why: "no answer in 10 s".into() }),
    }
}

async fn handshake(mut pipe: Pipe, endpoint: &Endpoint, me: &Me<'_>) -> Result<Link, ClientError> {
    let ours = hello(Some(endpoint.name.clone()), me, pipe.session.exporter());
    pipe.writer.send([ours.clone()]).await?;
    let Proved { server_key, transcript, .. } = proved(&mut pipe, endpoint, &ours).await?;
    let party = Party::Device { user: me.user.clone(), key: me.device };
    let sig = (me.sign)(&proof_bytes(&party, &transcript));
    pipe.writer.send([Frame::from(Proof { sig }).encode()]).await?;
    match next(&mut pipe, endpoint, limits::CLIENT_FRAME).await? {
        Frame::Ready(ready) => Ok(Link { server_key, reader: pipe.reader, writer: pipe.writer, ready, transcript }),
        _ => Err(ClientError::ServerMisbehaved("it does not say whether it is ready".into())),
    }
}

/// The server's answer to a hello. Nothing of it is proved.
pub(crate) async fn their_hello(pipe: &mut Pipe, endpoint: &Endpoint) -> Result<(Bytes, Hello), ClientError> {
    let theirs = pipe.reader.next().await?.ok_or_else(|| hung_up(endpoint))?;
    match read(&theirs, limits::GUEST_FRAME)? {
        Frame::Hello(hello) => Ok((theirs, hello)),
        _ => Err(ClientError::ServerMisbehaved("it does not say hello".into())),
    }
}

/// What the server has proved, and the two frames by which it has.
pub(crate) struct Proved {
    /// Its key.
    pub server_key: ServerKey,
    /// What both sides sign.
    pub transcript: Hash,
    /// Its hello and its proof, as they came.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "what relays is native"))]
    pub frames: [Bytes; 2],
}

/// Reads the server's answer to a hello, `ours`, and checks it against what is pinned and what TLS has shown.
pub(crate) async fn proved(pipe: &mut Pipe, endpoint: &Endpoint, ours: &[u8]) -> Result<Proved, ClientError> {
    let (theirs, hello) = their_hello(pipe, endpoint).await?;
    check_hello(&hello, endpoint, pipe)?;
    let Party::Server { key, .. } = &hello.party else {
        return Err(ClientError::ServerMisbehaved("it does not say hello as a server".into()));
    };
    let transcript = transcript(ours, &theirs);
    let proof = pipe.reader.next().await?.ok_or_else(|| hung_up(endpoint))?;
    let Frame::Proof(Proof { sig }) = read(&proof, limits::GUEST_FRAME)? else {
        return Err(ClientError::ServerMisbehaved("it does not prove its key".into()));
    };
    verify_server(key, &proof_bytes(&hello.party, &transcript), &sig)
        .map_err(|_| ClientError::WrongServer("it does not have the key that it shows".into()))?;
    Ok(Proved { server_key: *key, transcript, frames: [theirs, proof] })
}

/// The first frame of a link; without `to` to whoever answers.
pub(crate) fn hello(to: Option<ServerName>, me: &Me<'_>, exporter: Option<Hash>) -> Bytes {
    let mut nonce = [0; 32];
    OsRng.fill_bytes(&mut nonce);
    Frame::from(Hello {
        party: Party::Device { user: me.user.clone(), key: me.device },
        nonce: Nonce(nonce),
        versions: VERSIONS.to_vec(),
        frame: limits::CLIENT_FRAME as u64,
        exporter,
        to,
    })
    .encode()
}

/// What the server says of itself, against what is pinned and what TLS has shown. That it is true is proved after.
fn check_hello(hello: &Hello, endpoint: &Endpoint, pipe: &Pipe) -> Result<(), ClientError> {
    let Party::Server { name, key, spki } = &hello.party else {
        return Err(ClientError::ServerMisbehaved("it does not say hello as a server".into()));
    };
    if name != &endpoint.name {
        return Err(ClientError::WrongServer(format!("{} says that it is {name}, not {}", endpoint.host_and_port(), endpoint.name)));
    }
    if let Some(pinned) = endpoint.key.filter(|pinned| pinned != key) {
        let (pinned, found) = (show_server_key(&pinned), show_server_key(key));
        return Err(ClientError::ServerKeyChanged { server: name.clone(), pinned, found });
    }
    if !pipe.session.is_with(*spki) || !same_tls_session(&pipe.session.exporter(), &hello.exporter) {
        return Err(ClientError::WrongServer("its certificate is not the one that it has signed: somebody may stand between".into()));
    }
    match hello.versions.as_slice() {
        [version] if VERSIONS.contains(version) => Ok(()),
        _ => Err(ClientError::Refused(Code::NoCommonVersion.into())),
    }
}

fn hung_up(endpoint: &Endpoint) -> ClientError {
    ClientError::Unreachable { address: endpoint.host_and_port(), why: "the server hung up".into() }
}

async fn next(pipe: &mut Pipe, endpoint: &Endpoint, limit: usize) -> Result<Frame, ClientError> {
    let bytes = pipe.reader.next().await?.ok_or_else(|| hung_up(endpoint))?;
    read(&bytes, limit)
}

/// A frame of a handshake; a refusal ends it.
fn read(bytes: &[u8], limit: usize) -> Result<Frame, ClientError> {
    match Frame::read(bytes, limit).map_err(|error| ClientError::ServerMisbehaved(error.to_string()))? {
        Frame::Refused(refused) => Err(match refused.why.code {
            Code::WrongServer => ClientError::WrongServer(refused.why.text),
            Code::LoginFailed => ClientError::LoginFailed,
            _ => ClientError::Refused(refused.why),
        }),
        frame => Ok(frame),
    }
}

impl Link {
    /// Asks one question and waits for the answer; for links that ask one thing after the other, and follow nothing.
    pub async fn ask(&mut self, question: impl Into<Frame>) -> Result<Frame, ClientError> {
        self.writer.send([question.into().encode()]).await?;
        let answer = async {
            loop {
                let Some(bytes) = self.reader.next().await? else {
                    return Err(ClientError::ServerMisbehaved("it hung up in the middle of a question".into()));
                };
                match read(&bytes, limits::CLIENT_FRAME)? {
                    // News that a listed device is told unasked.
                    Frame::RoomsReply(RoomsReply { req: 0, .. })
                    | Frame::KeyPackagesLeft(KeyPackagesLeft { req: 0, .. })
                    | Frame::Presence(_) => {}
                    answer => return Ok(answer),
                }
            }
        };
        platform::timeout(ANSWER, answer).await.unwrap_or(Err(ClientError::TimedOut))
    }
}

#[cfg(test)]
mod tests;
