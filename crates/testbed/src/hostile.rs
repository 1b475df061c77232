//! A server that has turned: it has the name, the keys and everything that its honest self had kept, and tells what a story says.
//!
//! Links, handshakes and frames are those of the real crates; nothing is judged here, and nobody's secrets but its own are known.

mod forge;
mod member;
mod story;

pub use forge::Forger;
pub use member::{Group, Member, Note, Sealing};
pub use story::Story;

use crate::PATIENCE;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use story::Book;
use tidings_proto::frame::{
    Accepted, ChainReply, ClaimedKeyPackage, Follow, KeyPackages, KeyPackagesLeft, LogRef, Online, PeopleReply, PersonState, Ping, Pong,
    Ready, Refused, RoomRef, RoomsReply, Submit,
};
use tidings_proto::handshake::Party;
use tidings_proto::{Code, Draft, Encoded, Frame, LogName, Refusal, ServerName, UserName, draft, limits};
use tidings_server::Config;
use tidings_server::identity::Identity;
use tidings_server::link::handshake::{self, Session};
use tidings_server::link::wire::{Io, LinkError, Wire};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::Role;

/// A server that has turned.
pub struct Hostile {
    inner: Arc<Inner>,
    accepting: JoinHandle<()>,
}

struct Inner {
    name: ServerName,
    identity: Identity,
    network: Vec<ServerName>,
    book: Mutex<Book>,
    /// Counts what has changed in the book.
    changed: watch::Sender<u64>,
    links: Mutex<HashMap<String, mpsc::UnboundedSender<Frame>>>,
    /// What whoever claims key packages is handed out; nothing at first.
    packages: Mutex<Vec<ClaimedKeyPackage>>,
    /// What others have answered to what was submitted to them, by the number of the request.
    answers: watch::Sender<BTreeMap<u32, Result<Accepted, Refusal>>>,
}

impl Hostile {
    /// Takes the place of the server of this configuration, which has been stopped.
    pub(crate) async fn instead_of(config: &Config) -> Hostile {
        let identity = Identity::load_or_create(&config.data, &config.name).expect("the server's identity");
        let tls = tidings_server::link::tls::server(&identity).expect("TLS");
        let book = Book::read(&config.data.join("tidings.db")).await;
        let network = std::iter::once(config.name.clone()).chain(config.peers.iter().map(|peer| peer.name.clone())).collect();
        let inner = Arc::new(Inner {
            name: config.name.clone(),
            identity,
            network,
            book: Mutex::new(book),
            changed: watch::Sender::new(0),
            links: Mutex::default(),
            packages: Mutex::default(),
            answers: watch::Sender::default(),
        });
        let listener = TcpListener::bind(config.listen).await.expect("the server's own address");
        let host = inner.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (host, tls) = (host.clone(), tls.clone());
                tokio::spawn(async move {
                    // A link that ends is dialled again by whoever wants it.
                    let _ = host.link(tcp, tls).await;
                });
            }
        });
        Hostile { inner, accepting }
    }

    /// Signs by the server's own key.
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// What everybody is told of a log.
    pub fn story(&self, log: &LogName) -> Story {
        self.inner.book().story("", log)
    }

    /// From now on everybody is told this.
    pub fn tells<T>(&self, log: &LogName, change: impl FnOnce(&mut Story) -> T) -> T {
        self.tells_only("", log, change)
    }

    /// From now on one server, or one user, is told this, and others what they were.
    pub fn tells_only<T>(&self, whom: &str, log: &LogName, change: impl FnOnce(&mut Story) -> T) -> T {
        let told = change(self.inner.book().story_of(whom, log));
        self.inner.changed.send_modify(|count| *count += 1);
        told
    }

    /// From now on whoever claims key packages, of whomever, is handed out these.
    pub fn hands_out(&self, packages: Vec<ClaimedKeyPackage>) {
        *self.inner.packages.lock().unwrap_or_else(PoisonError::into_inner) = packages;
    }

    /// From now on whoever asks for their rooms is told of this one too, if it may be theirs.
    pub fn makes_up(&self, room: RoomRef) {
        self.inner.book().makes_up(room);
    }

    /// Says something on the newest link of a server's or user's.
    pub async fn says(&self, to: &str, frame: impl Into<Frame>) {
        let frame = frame.into();
        let saying = async {
            loop {
                let link = self.inner.links().get(to).cloned();
                if link.is_some_and(|link| link.send(frame.clone()).is_ok()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, saying).await.unwrap_or_else(|_| panic!("{to} does not come"));
    }

    /// Submits a draft to another server, and waits for the answer.
    pub async fn submits(&self, to: &str, log: &LogName, draft: &Encoded<Draft>) -> Result<Accepted, Refusal> {
        self.submits_bytes(to, log, draft.bytes().clone()).await
    }

    /// The same with any bytes.
    pub async fn submits_bytes(&self, to: &str, log: &LogName, draft: bytes::Bytes) -> Result<Accepted, Refusal> {
        let req = self.inner.book().next_req();
        self.says(to, Submit { req, log: log.clone(), draft, genesis: None }).await;
        let mut answers = self.inner.answers.subscribe();
        let answered = tokio::time::timeout(PATIENCE, answers.wait_for(|answers| answers.contains_key(&req))).await;
        answered.expect("an answer in time").expect("a server that is there")[&req].clone()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.accepting.abort();
        // Links end when nobody can give them orders any more.
        self.inner.links().clear();
    }
}

/// One link's life: what has been told on it.
#[derive(Default)]
struct Told {
    whom: String,
    /// By log, the last entry.
    cursors: BTreeMap<LogName, u64>,
    named: HashSet<u64>,
}

impl Inner {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn links(&self) -> MutexGuard<'_, HashMap<String, mpsc::UnboundedSender<Frame>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn link(&self, tcp: TcpStream, tls: Arc<rustls::ServerConfig>) -> Result<(), LinkError> {
        let failed = |error: std::io::Error| LinkError::Socket(error.to_string());
        tcp.set_nodelay(true).map_err(failed)?;
        let stream = tokio_rustls::TlsAcceptor::from(tls).accept(tcp).await.map_err(failed)?;
        let exporter = tidings_tls::exporter(stream.get_ref().1).map_err(|error| LinkError::Socket(error.to_string()))?;
        let session = Session { exporter: Some(exporter), spki: Some(self.identity.spki()) };
        let io: Io = Box::new(stream);
        let mut is_client = false;
        #[allow(clippy::result_large_err, reason = "the WebSocket library's own type")]
        let look = |request: &Request, response: Response| {
            is_client = request.uri().path() == "/client";
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(io, look).await?;
        // Larger frames than any honest side sends.
        let mut wire = Wire::new(socket.into_inner(), Role::Server, 2 * limits::PEER_FRAME);
        let max = if is_client { limits::CLIENT_FRAME } else { limits::PEER_FRAME };
        let proved = handshake::accept(&mut wire, &self.name, &self.identity, session, max).await?;
        let (whom, network) = match proved.party {
            Party::Device { user, .. } => (user.to_string(), self.network.clone()),
            Party::Peer { name, .. } | Party::Server { name, .. } => (name.to_string(), Vec::new()),
        };
        handshake::ready(&mut wire, Ready { listed: true, network }).await?;
        wire.allowance.lift();
        self.serve(wire, whom).await
    }

    async fn serve(&self, mut wire: Wire, whom: String) -> Result<(), LinkError> {
        let (sender, mut orders) = mpsc::unbounded_channel();
        let mut changed = self.changed.subscribe();
        self.links().insert(whom.clone(), sender);
        let mut told = Told { whom, ..Told::default() };
        loop {
            let news = self.book().news(&told.whom, &mut told.cursors, &mut told.named);
            for frame in news {
                wire.writer.send(frame.encode()).await?;
            }
            tokio::select! {
                bytes = wire.reader.next() => {
                    let frame = Frame::read(&bytes?, 2 * limits::PEER_FRAME)?;
                    if let Some(answer) = self.answer(&mut told, frame) {
                        wire.writer.send(answer.encode()).await?;
                    }
                }
                order = orders.recv() => match order {
                    Some(frame) => wire.writer.send(frame.encode()).await?,
                    None => return Ok(()),
                },
                _ = changed.changed() => {}
            }
        }
    }

    fn answer(&self, told: &mut Told, frame: Frame) -> Option<Frame> {
        match frame {
            Frame::Follow(Follow { logs }) => {
                let named = logs.into_iter().filter_map(|(log, after)| if let LogRef::Name(log) = log { Some((log, after)) } else { None });
                told.cursors.extend(named);
                None
            }
            Frame::Submit(Submit { req, log, draft, genesis }) => {
                let draft = draft::read(draft).ok()?;
                let tip = self.book().takes(&told.whom, &log, &draft, genesis);
                self.changed.send_modify(|count| *count += 1);
                Some(Accepted { req, seq: tip.seq, hash: tip.hash }.into())
            }
            Frame::Chain(chain) => {
                let items = self.book().chain(&told.whom, &chain.user, chain.after);
                Some(ChainReply { req: chain.req, items, more: false }.into())
            }
            Frame::People(people) => {
                let known = self.book().people(&told.whom);
                let state = |(user, list): (UserName, u64)| PersonState { user, online: Online::Online, list };
                Some(PeopleReply { req: people.req, people: known.into_iter().map(state).collect(), more: false }.into())
            }
            Frame::Rooms(rooms) => {
                let user: Option<UserName> = told.whom.parse().ok();
                let known = user.map(|user| self.book().rooms_of(&user)).unwrap_or_default();
                Some(RoomsReply { req: rooms.req, rooms: known, more: false }.into())
            }
            Frame::KeyPackageClaim(claim) => {
                let packages = self.packages.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Some(KeyPackages { req: claim.req, packages }.into())
            }
            Frame::KeyPackagesPut(put) => {
                Some(KeyPackagesLeft { req: put.req, single_use: limits::KEY_PACKAGES as u32, last_resort: true }.into())
            }
            Frame::VaultGet(vault) => Some(Refused { req: vault.req, why: Code::NotFound.into(), log: None }.into()),
            Frame::Ping(Ping { req, .. }) => Some(Pong { req }.into()),
            Frame::Accepted(accepted) => {
                self.answers.send_modify(|answers| drop(answers.insert(accepted.req, Ok(accepted))));
                None
            }
            Frame::Refused(Refused { req, why, .. }) => {
                self.answers.send_modify(|answers| drop(answers.insert(req, Err(why))));
                None
            }
            _ => None,
        }
    }
}
