//! A client from end to end against a server of a few lines: links that come, go, fall silent or lie.
//!
//! Not here: what logs hold; the engine's tests have that. The links are plain ones on loopback; TLS has its tests in `link`.

use crate::engine::tests::bench::Person;
use crate::store::Store;
use crate::view::{Link, Status, Target};
use crate::{Client, ClientError, Endpoint};
use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use futures_util::{SinkExt, StreamExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tidings_proto::frame::{Accepted, ChainReply, Item, KeyPackagesLeft, PeopleReply, Pong, Proof, Ready, Refused, RoomsReply};
use tidings_proto::handshake::{Hello, Party, proof_bytes, transcript};
use tidings_proto::{Code, DeviceKey, Entry, Frame, Hash, Nonce, Payload, Refusal, ServerKey, Signature, limits};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const SOON: Duration = Duration::from_secs(20);

/// What happens at the server.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Linked,
    Ping,
    Draft(Bytes),
    Gone,
}

/// How the server behaves.
#[derive(Default)]
struct Manners {
    /// Devices are not in their user's list.
    lists_nobody: AtomicBool,
    /// It takes everything and answers nothing.
    silent: AtomicBool,
    /// It hangs up instead of answering a draft.
    drops_drafts: AtomicBool,
    /// It tells a linked device that it is not listed any more.
    revokes: AtomicBool,
}

struct Server {
    address: String,
    manners: Arc<Manners>,
    seen: mpsc::UnboundedReceiver<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(alice: &Person, secret: u8) -> Server {
        Server::start_at("127.0.0.1:0", alice, secret).await
    }

    async fn start_at(address: &str, alice: &Person, secret: u8) -> Server {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let manners = Arc::new(Manners::default());
        let (tell, seen) = mpsc::unbounded_channel();
        let entry = Entry { seq: 1, at: 1, payload: Payload::Draft(alice.first().clone()) }.encode();
        let (rules, signing) = (manners.clone(), SigningKey::from_bytes(&[secret; 32]));
        let task = tokio::spawn(async move {
            // One link at a time; a task that is aborted closes its sockets.
            while let Ok((tcp, _)) = listener.accept().await {
                let _ = serve(tcp, &signing, &rules, &entry, &tell).await;
                let _ = tell.send(Seen::Gone);
            }
        });
        Server { address, manners, seen, task }
    }

    async fn next(&mut self) -> Seen {
        timeout(SOON * 5, self.seen.recv()).await.expect("nothing happened at the server").unwrap()
    }

    async fn wait_for(&mut self, wanted: &Seen) {
        while self.next().await != *wanted {}
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The server's end of a link.
pub type Socket = WebSocketStream<TcpStream>;

/// Sends one frame.
pub async fn send(socket: &mut Socket, frame: impl Into<Frame>) -> Option<()> {
    socket.send(Message::Binary(frame.into().encode())).await.ok()
}

/// The next frame, and its bytes.
pub async fn next(socket: &mut Socket) -> Option<(Bytes, Frame)> {
    match socket.next().await? {
        Ok(Message::Binary(bytes)) => Some((bytes.clone(), Frame::read(&bytes, limits::CLIENT_FRAME).unwrap())),
        _ => None,
    }
}

/// The server's side of a handshake, up to the dialler's proof: the socket, what was signed, and whose device dialled.
pub async fn greet(tcp: TcpStream, signing: &SigningKey) -> Option<(Socket, Hash, DeviceKey)> {
    let mut socket = tokio_tungstenite::accept_async(tcp).await.ok()?;
    let (theirs, Frame::Hello(hello)) = next(&mut socket).await? else { panic!("a link starts with a hello") };
    let Party::Device { key: device, .. } = hello.party else { panic!("not a device") };
    let key = ServerKey(signing.verifying_key().to_bytes());
    let party = Party::Server { name: "s1".parse().unwrap(), key, spki: None };
    let hello = Hello { party: party.clone(), nonce: Nonce([1; 32]), versions: vec![1], frame: 1 << 18, exporter: None, to: None };
    let ours = Frame::from(hello).encode();
    let both = transcript(&theirs, &ours);
    let sig = Signature(signing.sign(&proof_bytes(&party, &both)).to_bytes());
    socket.send(Message::Binary(ours)).await.ok()?;
    send(&mut socket, Proof { sig }).await?;
    let (_, Frame::Proof(_)) = next(&mut socket).await? else { panic!("a proof follows") };
    Some((socket, both, device))
}

async fn serve(tcp: TcpStream, signing: &SigningKey, manners: &Manners, first: &Bytes, tell: &mpsc::UnboundedSender<Seen>) -> Option<()> {
    let (mut socket, ..) = greet(tcp, signing).await?;
    let listed = !manners.lists_nobody.load(Ordering::SeqCst);
    send(&mut socket, Ready { listed, network: vec!["s1".parse().unwrap()] }).await?;
    tell.send(Seen::Linked).ok()?;
    let mut seq = 0;
    loop {
        let (_, frame) = next(&mut socket).await?;
        if matches!(frame, Frame::Ping(_)) {
            tell.send(Seen::Ping).ok()?;
        }
        if manners.silent.load(Ordering::SeqCst) {
            continue;
        }
        if manners.revokes.load(Ordering::SeqCst) {
            send(&mut socket, Refused { req: 0, why: Refusal::from(Code::Revoked), log: None }).await?;
        }
        match frame {
            Frame::Follow(_) => {}
            Frame::Rooms(rooms) => send(&mut socket, RoomsReply { req: rooms.req, rooms: Vec::new(), more: false }).await?,
            Frame::KeyPackagesPut(put) => {
                let left = KeyPackagesLeft { req: put.req, single_use: limits::KEY_PACKAGES as u32, last_resort: true };
                send(&mut socket, left).await?;
            }
            Frame::People(people) => send(&mut socket, PeopleReply { req: people.req, people: Vec::new(), more: false }).await?,
            Frame::Chain(chain) => {
                let items = vec![Item { entry: first.clone(), got: None }];
                send(&mut socket, ChainReply { req: chain.req, items, more: false }).await?;
            }
            Frame::VaultGet(get) => send(&mut socket, Refused { req: get.req, why: Code::NotFound.into(), log: None }).await?,
            Frame::Ping(ping) => send(&mut socket, Pong { req: ping.req }).await?,
            Frame::Submit(submit) => {
                tell.send(Seen::Draft(submit.draft)).ok()?;
                if manners.drops_drafts.load(Ordering::SeqCst) {
                    return None;
                }
                seq += 1;
                send(&mut socket, Accepted { req: submit.req, seq, hash: Hash([0; 32]) }).await?;
            }
            other => panic!("{} was not expected", other.name()),
        }
    }
}

/// Alice with a profile; its server is where `address` says.
async fn alice(address: &str, alice: &Person, folder: &TempDir) -> Client {
    let store = Store::open(folder.path()).unwrap();
    let endpoint = Endpoint { name: "s1".parse().unwrap(), address: address.into(), key: None, plain: true };
    store.begin_account(&crate::store::Account { endpoint, ..alice.account.clone() }, None).unwrap();
    store.listed().unwrap();
    store.close();
    Client::open(folder.path()).unwrap()
}

async fn setting() -> (Server, Client, Person, TempDir) {
    let (person, folder) = (Person::new("alice@s1", 0, 1).await, TempDir::new().unwrap());
    let server = Server::start(&person, 7).await;
    let client = alice(&server.address, &person, &folder).await;
    (server, client, person, folder)
}

#[tokio::test]
async fn a_lost_link_comes_back_by_itself_and_the_key_is_pinned_at_first_sight() {
    let (mut server, client, _, folder) = setting().await;
    assert_eq!((client.link(), client.endpoint().key), (Link::Idle, None));
    client.connect();
    client.connect();
    client.linked(SOON).await.unwrap();
    assert_eq!(server.next().await, Seen::Linked);
    let pinned = client.endpoint().key.unwrap();
    assert_eq!(pinned.0, SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes());
    server.manners.drops_drafts.store(true, Ordering::SeqCst);
    client.send(&Target::Public, "hello").await.unwrap();
    server.wait_for(&Seen::Gone).await;
    server.manners.drops_drafts.store(false, Ordering::SeqCst);
    server.wait_for(&Seen::Linked).await;
    client.linked(SOON).await.unwrap();
    client.close().await;
    server.wait_for(&Seen::Gone).await;
    assert_eq!(Client::open(folder.path()).unwrap().endpoint().key, Some(pinned), "and kept");
}

#[tokio::test]
async fn a_draft_without_an_answer_is_submitted_again_as_the_same_bytes_also_by_the_next_process() {
    let (mut server, client, _, folder) = setting().await;
    server.manners.drops_drafts.store(true, Ordering::SeqCst);
    client.connect();
    let id = client.send(&Target::Public, "hello").await.unwrap();
    let mut drafts = Vec::new();
    while drafts.len() < 2 {
        if let Seen::Draft(bytes) = server.next().await {
            drafts.push(bytes);
        }
    }
    assert_eq!(client.settled(id, Duration::ZERO).await.unwrap(), Status::Pending);
    client.close().await;
    let client = Client::open(folder.path()).unwrap();
    server.manners.drops_drafts.store(false, Ordering::SeqCst);
    client.connect();
    assert_eq!(client.settled(id, SOON).await.unwrap(), Status::Sent { seq: 1 });
    while let Ok(seen) = server.seen.try_recv() {
        if let Seen::Draft(bytes) = seen {
            drafts.push(bytes);
        }
    }
    assert!(drafts.len() >= 3 && drafts.iter().all(|bytes| *bytes == drafts[0]));
}

#[tokio::test]
async fn silence_is_asked_about_after_20_s_and_given_up_after_45() {
    let (mut server, client, ..) = setting().await;
    client.connect();
    client.linked(SOON).await.unwrap();
    while server.seen.try_recv().is_ok() {}
    server.manners.silent.store(true, Ordering::SeqCst);
    tokio::time::pause();
    let start = Instant::now();
    let passed = |from, to| {
        let passed = start.elapsed().as_secs_f64();
        assert!((from..to).contains(&passed), "after {passed} s, not {from} to {to}");
    };
    assert_eq!(server.next().await, Seen::Ping);
    passed(19.0, 20.1);
    server.manners.silent.store(false, Ordering::SeqCst);
    // The question was not answered; nothing else is heard either, and one question is enough.
    assert_eq!(server.next().await, Seen::Gone);
    passed(44.0, 45.1);
    tokio::time::resume();
    server.wait_for(&Seen::Linked).await;
    client.linked(SOON).await.unwrap();
}

#[tokio::test]
async fn a_link_that_answers_is_kept_however_idle() {
    let (mut server, client, ..) = setting().await;
    client.connect();
    client.linked(SOON).await.unwrap();
    while server.seen.try_recv().is_ok() {}
    tokio::time::pause();
    for _ in 0..5 {
        assert_eq!(server.next().await, Seen::Ping);
    }
    assert!(matches!(client.link(), Link::Linked { .. }));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for() {
    let (person, folder) = (Person::new("alice@s1", 0, 1).await, TempDir::new().unwrap());
    let server = Server::start(&person, 7).await;
    let address = server.address.clone();
    drop(server);
    let client = alice(&address, &person, &folder).await;
    client.connect();
    let error = client.linked(Duration::from_millis(700)).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert_eq!(error.exit_code(), 7);
    assert!(matches!(client.link(), Link::Connecting { last_error: Some(_) }));
    let id = client.send(&Target::Public, "hello").await.unwrap();
    assert_eq!(client.settled(id, Duration::from_millis(50)).await.unwrap(), Status::Pending);
    let _server = Server::start_at(&address, &person, 7).await;
    client.linked(SOON).await.unwrap();
    assert_eq!(client.settled(id, SOON).await.unwrap(), Status::Sent { seq: 1 });
}

#[tokio::test]
async fn another_server_key_is_final_at_once_and_nothing_is_sent_to_it() {
    let (server, client, person, _folder) = setting().await;
    client.connect();
    client.linked(SOON).await.unwrap();
    let mut impostor = Server::start(&person, 8).await;
    client.set_address(&impostor.address).await.unwrap();
    let started = std::time::Instant::now();
    let mut changes = client.changes();
    let error = loop {
        match client.linked(Duration::from_millis(200)).await {
            Err(error @ ClientError::ServerKeyChanged { .. }) => break error,
            _ => timeout(SOON, changes.changed()).await.unwrap().unwrap(),
        }
    };
    assert_eq!(error.exit_code(), 8);
    client.send(&Target::Public, "for s1 only").await.unwrap();
    assert!(matches!(client.linked(SOON).await, Err(ClientError::ServerKeyChanged { .. })), "at once");
    assert!(started.elapsed() < SOON);
    assert_eq!(impostor.next().await, Seen::Gone, "it was never linked to");
    // What only a person can mend, a person has mended.
    client.set_address(&server.address).await.unwrap();
    client.connect();
    client.linked(SOON).await.unwrap();
}

#[tokio::test]
async fn a_device_that_is_not_listed_is_told_so_at_once() {
    for revoked_later in [false, true] {
        let (server, client, ..) = setting().await;
        let manner = if revoked_later { &server.manners.revokes } else { &server.manners.lists_nobody };
        manner.store(true, Ordering::SeqCst);
        client.connect();
        let error = client.linked(SOON).await.unwrap_err();
        assert!(matches!(error, ClientError::NotListed(_)), "{error}");
        assert_eq!(error.exit_code(), 4);
    }
}

#[tokio::test]
async fn a_closed_client_is_closed_for_all_its_clones_and_frees_the_profile() {
    let (_server, client, _, folder) = setting().await;
    let clone = client.clone();
    assert!(matches!(Client::open(folder.path()), Err(ClientError::ProfileBusy(_))));
    client.connect();
    client.close().await;
    clone.connect();
    assert!(matches!(clone.linked(SOON).await, Err(ClientError::Closed)));
    assert!(matches!(clone.send(&Target::Public, "hello").await, Err(ClientError::Closed)));
    Client::open(folder.path()).unwrap();
}
