//! How far a link can have come, and a way to bring one there.

use std::net::SocketAddr;
use tidings_e2ee::account::create;
use tidings_e2ee::opaque::{Login, Registration};
use tidings_e2ee::rsa::AwsLcKeys;
use tidings_e2ee::{DeviceSecret, NewAccount};
use tidings_proto::frame::{LoginFinish, LoginStart, People, Ping, RegisterFinish, RegisterStart, RoomsReply, Secret};
use tidings_proto::handshake::{Hello, Party, VERSIONS};
use tidings_proto::{Code, Frame, Nonce, ServerKey, ServerName, UserName, limits};
use tidings_server::Limits;
use tidings_server::link::wire::LinkError;
use tidings_testbed::PATIENCE;
use tidings_testbed::person::PASSWORD;
use tidings_testbed::raw::RawLink;
use tidings_testbed::world::World;
use tidings_trust::login::opaque_context;

/// What a link has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// `/client`, before the hello.
    Dialled,
    /// `/federation`, before the hello.
    DialledAsPeer,
    /// Both hellos are said, and the server has proved itself; a device's proof is expected.
    Greeted,
    /// The same, with a server's.
    GreetedAsPeer,
    /// A device that is on nobody's list.
    Guest,
    /// The server has agreed to a registration.
    Registering,
    /// The server has answered KE1.
    LoggingIn,
    /// KE3 was right; the device is not listed yet.
    LoggedIn,
    /// A listed device.
    Device,
    /// A known server.
    Peer,
}

use Stage::*;

/// All of them.
pub const STAGES: [Stage; 10] = [Dialled, DialledAsPeer, Greeted, GreetedAsPeer, Guest, Registering, LoggingIn, LoggedIn, Device, Peer];

impl Stage {
    /// Bytes in the largest frame that is read.
    pub fn limit(self) -> usize {
        match self {
            Dialled | DialledAsPeer | Greeted | GreetedAsPeer | Guest | LoggingIn => limits::GUEST_FRAME,
            Registering => limits::REGISTER_FRAME,
            LoggedIn => limits::ACCOUNT_FRAME,
            Device => limits::CLIENT_FRAME,
            Peer => limits::PEER_FRAME,
        }
    }

    /// Whether what can be read and is refused leaves the link as it is: not before the other side is known.
    pub fn goes_on(self) -> bool {
        !matches!(self, Dialled | DialledAsPeer | Greeted | GreetedAsPeer)
    }

    /// Whether a refusal leaves the link at this stage: a registration or a login under way is off then.
    pub fn stays(self) -> bool {
        matches!(self, Guest | LoggedIn | Device | Peer)
    }
}

/// A server, and what is needed to come anywhere on a link to it.
pub struct Site {
    pub server: ServerName,
    pub address: SocketAddr,
    /// Somebody with an account, played by the test.
    pub mallory: UserName,
    /// Mallory's one listed device.
    pub device: DeviceSecret,
    /// A server that is known here, played by the test.
    pub peer: (ServerName, DeviceSecret),
    /// Nobody has registered this name.
    pub nobody: UserName,
}

impl Site {
    /// Makes a peer known to `server`, which is started anew for that, and registers mallory.
    pub async fn new(world: &mut World, server: &str) -> Site {
        let peer = ("s9".parse::<ServerName>().unwrap(), DeviceSecret::generate());
        let key = ServerKey(peer.1.public().0);
        world.stop(server).await;
        let known = tidings_server::Peer { name: peer.0.clone(), address: "127.0.0.1:1".into(), key: Some(key) };
        let config = world.config_mut(server);
        config.peers.push(known);
        // Nobody here waits for a turn: these stories are about what is said, not about how often.
        let plenty = 1_000_000;
        config.limits = Limits { registration_burst: plenty, login_burst: plenty, messages_per_second: plenty, ..config.limits.clone() };
        world.start(server).await;
        let (mallory, nobody) = (format!("mallory@{server}").parse().unwrap(), format!("nobody@{server}").parse().unwrap());
        let site = Site {
            server: server.parse().unwrap(),
            address: world.address(server),
            mallory,
            device: DeviceSecret::generate(),
            peer,
            nobody,
        };
        site.register().await;
        site
    }

    async fn register(&self) {
        let (user, server, secret) = (&self.mallory, self.mallory.server(), PASSWORD.as_bytes());
        let mut link = RawLink::device(self.address, user, &self.device).await;
        let (password, request) = Registration::start(secret).unwrap();
        let (recovery, second) = Registration::start(b"another secret").unwrap();
        link.send(RegisterStart { req: 1, code: None, password: request.into(), recovery: second.into() }).await;
        let Frame::RegisterReply(reply) = link.next().await else { panic!("no registration") };
        let (password, export) = password.finish(secret, &reply.password, user, server).unwrap();
        let (recovery, second) = recovery.finish(b"another secret", &reply.recovery, user, server).unwrap();
        let NewAccount { vault, draft, .. } = create(&AwsLcKeys, user, &self.device, &export, &second).await.unwrap();
        let draft = draft.bytes().clone();
        link.send(RegisterFinish { req: 2, password: password.into(), recovery: recovery.into(), vault, draft }).await;
        assert!(matches!(link.next().await, Frame::Accepted(_)));
    }

    /// A new link that has come so far.
    pub async fn link(&self, stage: Stage) -> RawLink {
        match stage {
            Dialled => RawLink::dial(self.address, "/client").await,
            DialledAsPeer => RawLink::dial(self.address, "/federation").await,
            Greeted => {
                let mut link = RawLink::dial(self.address, "/client").await;
                link.greet(Party::Device { user: self.mallory.clone(), key: self.device.public() }).await;
                link
            }
            GreetedAsPeer => {
                let mut link = RawLink::dial(self.address, "/federation").await;
                let key = ServerKey(self.peer.1.public().0);
                link.greet(Party::Peer { name: self.peer.0.clone(), key }).await;
                link
            }
            Guest => RawLink::device(self.address, &self.mallory, &DeviceSecret::generate()).await,
            Registering => {
                let mut link = RawLink::device(self.address, &self.nobody, &DeviceSecret::generate()).await;
                let request = || Registration::start(b"secret").unwrap().1.into();
                link.send(RegisterStart { req: 1, code: None, password: request(), recovery: request() }).await;
                assert!(matches!(link.next().await, Frame::RegisterReply(_)));
                link
            }
            LoggingIn => self.logging_in().await.0,
            LoggedIn => {
                let (mut link, login, ke2) = self.logging_in().await;
                let context = opaque_context(&link.transcript.unwrap());
                let (ke3, _) = login.finish(PASSWORD.as_bytes(), &ke2, &self.mallory, self.mallory.server(), &context).unwrap();
                link.send(LoginFinish { req: 2, ke3: ke3.into() }).await;
                assert!(matches!(link.next().await, Frame::Vault(_)));
                link
            }
            Device => RawLink::device(self.address, &self.mallory, &self.device).await,
            Peer => RawLink::peer(self.address, &self.peer.0, &self.peer.1).await,
        }
    }

    async fn logging_in(&self) -> (RawLink, Login, bytes::Bytes) {
        let mut link = RawLink::device(self.address, &self.mallory, &DeviceSecret::generate()).await;
        let (login, ke1) = Login::start(PASSWORD.as_bytes()).unwrap();
        link.send(LoginStart { req: 1, with: Secret::Password, ke1: ke1.into() }).await;
        let Frame::LoginReply(reply) = link.next().await else { panic!("no login") };
        (link, login, reply.ke2)
    }
}

/// A hello that names no TLS session: it can be said on any link.
pub fn hello(party: Party) -> Hello {
    Hello { party, nonce: Nonce([7; 32]), versions: VERSIONS.to_vec(), frame: limits::CLIENT_FRAME as u64, exporter: None, to: None }
}

/// What comes of something that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is refused with this.
    Refused(Code),
    /// It is answered by a frame of this name.
    Answered(&'static str),
    /// The link ends with a goodbye.
    Ended,
}

/// What a link answers next; what a server says of its own accord is no answer.
pub async fn answer(link: &mut RawLink) -> Result<Outcome, String> {
    let answering = async {
        loop {
            let bytes = match link.next_bytes().await {
                Ok(bytes) => bytes,
                Err(LinkError::Closed) => return Ok(Outcome::Ended),
                Err(error) => return Err(format!("the link broke off: {error}")),
            };
            match Frame::read(&bytes, limits::PEER_FRAME).map_err(|why| format!("an answer that cannot be read: {why}"))? {
                Frame::Presence(_) | Frame::Follow(_) | Frame::Ping(_) | Frame::Named(_) | Frame::Entries(_) => {}
                Frame::RoomsReply(RoomsReply { req: 0, .. }) => {}
                Frame::Refused(refused) => return Ok(Outcome::Refused(refused.why.code)),
                frame => return Ok(Outcome::Answered(frame.name())),
            }
        }
    };
    tokio::time::timeout(PATIENCE, answering).await.unwrap_or_else(|_| Err("there is no answer".into()))
}

/// A frame that is answered at every stage that goes on, and the answer.
pub fn probe(stage: Stage) -> (Frame, Outcome) {
    match stage {
        Device | Peer => (Ping { req: 4711, heads: None }.into(), Outcome::Answered("Pong")),
        _ => (People { req: 4711 }.into(), Outcome::Refused(Code::WrongState)),
    }
}
