//! A server that does as a test says, at the other end of a real link.

use crate::support::{Home, Person, SOON, config, server};
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::frame::{Accepted, Refused, Submit};
use tidings_proto::{Draft, Encoded, Frame, Genesis, Hash, LogName, Refusal, ServerName, UserName, draft, limits};
use tidings_server::federation::{self, Outgoing};
use tidings_server::host::Host;
use tidings_server::identity::Identity;
use tidings_server::link::accept::Arrival;
use tidings_server::link::handshake::{self, Session};
use tidings_server::link::wire::Wire;
use tidings_server::logs::{Logs, Origin, Placed};
use tidings_server::{Config, Peer, Registration};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::Role;

/// A server's links on logs that a test has. Nothing is dialled.
pub fn host(home: &Home, logs: &Arc<Logs>, hub: &Home) -> Arc<Host> {
    let identity = Arc::new(Identity::load_or_create(home.folder.path(), &home.name).unwrap());
    let peers = vec![Peer { name: hub.name.clone(), address: "127.0.0.1:1".into(), key: Some(hub.key) }];
    let config = Config { name: home.name.clone(), peers, ..config(home.folder.path(), Registration::Open) };
    Arc::new(Host::new(&config, identity, logs.clone(), "127.0.0.1:1".parse().unwrap()))
}

/// The hub's end of a link.
pub struct Link {
    wire: Wire,
}

impl Link {
    /// The hub dials the server.
    pub async fn to(host: &Arc<Host>, hub: &Home) -> Link {
        let (near, far) = tokio::io::duplex(1024 * 1024);
        let near = Wire::new(Box::new(near), Role::Server, limits::PEER_FRAME);
        let mut far = Wire::new(Box::new(far), Role::Client, limits::PEER_FRAME);
        let address = "127.0.0.1:2".parse().unwrap();
        let place = host.guests.enter(std::net::IpAddr::from([127, 0, 0, 1]));
        tokio::spawn(federation::serve(host.clone(), Arrival { wire: near, session: Session::default(), address, place }));
        let identity = Identity::load_or_create(hub.folder.path(), &hub.name).unwrap();
        let expected = (&host.name, &host.identity.key());
        handshake::dial(&mut far, &hub.name, &identity, Session::default(), expected).await.unwrap();
        Link { wire: far }
    }

    /// The next frame.
    pub async fn next(&mut self) -> Frame {
        self.next_within(SOON).await.expect("a frame in time")
    }

    /// The next frame, if one comes in time.
    pub async fn next_within(&mut self, time: Duration) -> Option<Frame> {
        let bytes = tokio::time::timeout(time, self.wire.reader.next()).await.ok()?.expect("a link that is up");
        Some(Frame::read(&bytes, limits::PEER_FRAME).unwrap())
    }

    /// The next draft that is submitted.
    pub async fn submitted(&mut self) -> (Submit, Encoded<Draft>) {
        self.submitted_within(SOON).await.expect("a draft in time")
    }

    /// The next draft that is submitted, if one is in time.
    pub async fn submitted_within(&mut self, time: Duration) -> Option<(Submit, Encoded<Draft>)> {
        let until = tokio::time::Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            if let Frame::Submit(submit) = self.next_within(left).await? {
                let read = draft::read(submit.draft.clone()).unwrap();
                return Some((submit, read));
            }
        }
    }

    /// Sends a frame.
    pub async fn say(&mut self, frame: impl Into<Frame>) {
        self.wire.writer.send(frame.into().encode()).await.unwrap();
    }

    /// Hands what is submitted to the hub itself, as the hub's own end of a link does, and tells what became of it: by whom it is,
    /// its n, and why it was not taken.
    pub fn relay(mut self, hub: Arc<Logs>, from: ServerName) -> mpsc::UnboundedReceiver<(UserName, u64, Option<Refusal>)> {
        let (sender, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut jobs = FuturesUnordered::new();
            loop {
                tokio::select! {
                    Some((req, author, n, result)) = jobs.next(), if !jobs.is_empty() => {
                        let _ = sender.send((author, n, Result::err(Result::<Placed, Refusal>::clone(&result))));
                        match result {
                            Ok(placed) => self.accept(req, placed.seq).await,
                            Err(why) => self.refuse(req, why).await,
                        }
                    }
                    bytes = self.wire.reader.next() => {
                        let Ok(bytes) = bytes else { return };
                        let Frame::Submit(Submit { req, log, draft, genesis }) = Frame::read(&bytes, limits::PEER_FRAME).unwrap() else { continue };
                        let (hub, origin, read) = (hub.clone(), Origin::Peer(from.clone()), draft::read(draft.clone()).unwrap());
                        let mut job = async move {
                            let result = hub.append(origin, &log, draft, genesis).await;
                            (req, read.author.clone(), read.n, result)
                        }
                        .boxed();
                        // In line in the order in which they came.
                        match (&mut job).now_or_never() {
                            Some(done) => jobs.push(std::future::ready(done).boxed()),
                            None => jobs.push(job),
                        }
                    }
                }
            }
        });
        told
    }

    /// Takes a draft.
    pub async fn accept(&mut self, req: u32, seq: u64) {
        self.say(Accepted { req, seq, hash: Hash([7; 32]) }).await;
    }

    /// Does not take a draft.
    pub async fn refuse(&mut self, req: u32, why: impl Into<Refusal>) {
        self.say(Refused { req, why: why.into(), log: None }).await;
    }
}

/// Submits a draft to the outbox as its author's link does; the answer comes, or, while the hub is away, comes later.
pub fn submit(
    host: &Arc<Host>,
    hub: &str,
    author: &Person,
    (log, draft, genesis): (LogName, &Encoded<Draft>, Option<&Genesis>),
) -> (JoinHandle<Result<Frame, Refusal>>, mpsc::Receiver<Box<Frame>>) {
    let peer = host.peers.get(&server(hub)).unwrap();
    let outgoing =
        Outgoing { user: author.name.clone(), device: author.device(), log, draft: draft.bytes().clone(), genesis: genesis.cloned() };
    let logs = host.logs.clone();
    let (sender, late) = mpsc::channel(1);
    (tokio::spawn(async move { federation::place(&logs, &peer, outgoing, 1, sender).await }), late)
}
