//! What takes one of an account's secrets, on real links to a real server: logging in on a device's link, changing the account,
//! and that whatever fails disturbs nothing.

use crate::support::{Person, SOON, config, device, key, sealed, sign};
use bytes::Bytes;
use opaque_ke::{
    ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters, CredentialResponse, Identifiers,
    RegistrationResponse,
};
use rand_core::OsRng;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Duration;
use tidings_proto::frame::{
    Accepted, BookPut, Done, LoginFinish, LoginReply, LoginStart, People, Ping, Proof, Refused, RegisterFinish, RegisterReply,
    RegisterStart, Rekey, RekeyReply, RekeyStart, SealedVault, Secret, Submit, Vault, VaultGet,
};
use tidings_proto::handshake::{Hello, Party, VERSIONS, proof_bytes, transcript};
use tidings_proto::{Code, Frame, Hash, Nonce, limits};
use tidings_server::link::wire::{Io, STALLED, Wire};
use tidings_server::{Registration, Running, Server};
use tidings_trust::login::{OpaqueSuite, opaque_context};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::Role;

/// One device's link.
pub struct Link {
    wire: Wire,
    transcript: Hash,
    listed: bool,
    user: String,
}

fn identifiers(user: &str) -> Identifiers<'_> {
    Identifiers { client: Some(user.as_bytes()), server: Some(b"s1") }
}

impl Link {
    pub async fn of(address: SocketAddr, who: &Person, which: usize) -> Link {
        Link::over(TcpStream::connect(address).await.unwrap(), who, which).await
    }

    async fn over(stream: TcpStream, who: &Person, which: usize) -> Link {
        let io: Io = Box::new(stream);
        let (upgraded, _) = tokio_tungstenite::client_async("ws://test/client", io).await.unwrap();
        let mut wire = Wire::new(upgraded.into_inner(), Role::Client, limits::PEER_FRAME);
        wire.allowance.lift();
        let party = Party::Device { user: who.name.clone(), key: device(&who.devices[which]) };
        let (nonce, versions, frame) = (Nonce([which as u8; 32]), VERSIONS.to_vec(), limits::CLIENT_FRAME as u64);
        let ours = Frame::from(Hello { party: party.clone(), nonce, versions, frame, exporter: None, to: None }).encode();
        wire.writer.send(ours.clone()).await.unwrap();
        let theirs = wire.reader.next().await.unwrap();
        let transcript = transcript(&ours, &theirs);
        wire.reader.next().await.unwrap(); // the server's proof, which is not what this is about
        let sig = sign(&who.devices[which])(&proof_bytes(&party, &transcript));
        wire.writer.send(Frame::from(Proof { sig }).encode()).await.unwrap();
        let ready = Frame::read(&wire.reader.next().await.unwrap(), limits::CLIENT_FRAME).unwrap();
        let Frame::Ready(ready) = ready else { panic!("{ready:?}") };
        Link { wire, transcript, listed: ready.listed, user: who.name.to_string() }
    }

    /// Asks, and gives the answer, whatever else the server has to tell.
    async fn ask(&mut self, frame: impl Into<Frame>) -> Frame {
        self.wire.writer.send(frame.into().encode()).await.unwrap();
        loop {
            let bytes = tokio::time::timeout(SOON, self.wire.reader.next()).await.expect("an answer in time").unwrap();
            match Frame::read(&bytes, limits::CLIENT_FRAME).unwrap() {
                Frame::RoomsReply(_) | Frame::Presence(_) => {}
                frame => return frame,
            }
        }
    }

    async fn refused(&mut self, frame: impl Into<Frame>) -> Code {
        match self.ask(frame).await {
            Frame::Refused(Refused { why, .. }) => why.code,
            other => panic!("not refused: {}", other.name()),
        }
    }

    async fn is_alive(&mut self) {
        assert!(matches!(self.ask(Ping { req: 9, heads: None }).await, Frame::Pong(pong) if pong.req == 9));
    }

    /// Waits until the link is told that its device is gone, and ends.
    async fn ends_revoked(mut self) {
        let ending = async {
            let mut told = None;
            while let Ok(bytes) = self.wire.reader.next().await {
                if let Ok(Frame::Refused(Refused { why, .. })) = Frame::read(&bytes, limits::CLIENT_FRAME) {
                    told = Some(why.code);
                }
            }
            told
        };
        assert_eq!(tokio::time::timeout(SOON, ending).await.expect("it ends at once"), Some(Code::Revoked));
    }

    /// KE1 to KE3, or the refusal; the last frame may be bent.
    async fn log_in(&mut self, with: Secret, secret: &str, bend: bool) -> Result<Vault, Code> {
        let started = ClientLogin::<OpaqueSuite>::start(&mut OsRng, secret.as_bytes()).unwrap();
        let ke1 = Bytes::from(started.message.serialize().to_vec());
        let ke2 = match self.ask(LoginStart { req: 1, with, ke1 }).await {
            Frame::LoginReply(LoginReply { ke2, .. }) => ke2,
            Frame::Refused(Refused { why, .. }) => return Err(why.code),
            other => panic!("{}", other.name()),
        };
        let context = opaque_context(&self.transcript);
        let parameters = ClientLoginFinishParameters::new(Some(&context), identifiers(&self.user), None);
        let done = started.state.finish(&mut OsRng, secret.as_bytes(), CredentialResponse::deserialize(&ke2).unwrap(), parameters);
        // Whoever has a wrong secret finds out here, and has nothing to send that could be right.
        let mut ke3 = done.map_or_else(|_| vec![7; 64], |done| done.message.serialize().to_vec());
        ke3[0] ^= u8::from(bend);
        match self.ask(LoginFinish { req: 2, ke3: ke3.into() }).await {
            Frame::Vault(vault) => Ok(vault),
            Frame::Refused(Refused { why, .. }) => Err(why.code),
            other => panic!("{}", other.name()),
        }
    }
}

/// One secret on its way to a record.
struct Enrolment {
    secret: &'static str,
    state: ClientRegistration<OpaqueSuite>,
    request: Bytes,
}

impl Enrolment {
    fn of(secret: &'static str) -> Enrolment {
        let started = ClientRegistration::start(&mut OsRng, secret.as_bytes()).unwrap();
        Enrolment { secret, state: started.state, request: started.message.serialize().to_vec().into() }
    }

    fn record(self, response: &[u8], user: &str) -> Bytes {
        let parameters = ClientRegistrationFinishParameters::new(identifiers(user), None);
        let response = RegistrationResponse::deserialize(response).unwrap();
        self.state.finish(&mut OsRng, self.secret.as_bytes(), response, parameters).unwrap().message.serialize().to_vec().into()
    }
}

/// A server, alice, and the link by which she has registered.
async fn registered() -> (tempfile::TempDir, Running, Person, Link) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(config(folder.path(), Registration::Open)).await.unwrap();
    let mut alice = Person::new("alice@s1");
    let mut link = Link::of(server.address(), &alice, 0).await;
    assert!(!link.listed);
    let (password, recovery) = (Enrolment::of("password 1"), Enrolment::of("code 1"));
    let start = RegisterStart { req: 1, code: None, password: password.request.clone(), recovery: recovery.request.clone() };
    let Frame::RegisterReply(RegisterReply { password: one, recovery: two, grant: None, .. }) = link.ask(start).await else { panic!() };
    let (password, recovery) = (password.record(&one, &link.user), recovery.record(&two, &link.user));
    let (vault, draft) = (sealed(1, &alice.vault.1), alice.next_list(1).bytes().clone());
    let accepted = link.ask(RegisterFinish { req: 2, password, recovery, vault, draft }).await;
    assert!(matches!(accepted, Frame::Accepted(Accepted { seq: 1, .. })), "{accepted:?}");
    (folder, server, alice, link)
}

/// What is to be asked without records: another list and vault only.
fn plain_rekey(alice: &mut Person, n: u64) -> Rekey {
    let secrets = alice.next_vault();
    let draft = alice.next_list(n).bytes().clone();
    Rekey { req: 4, password: None, recovery: None, vault: secrets.vault, draft }
}

#[tokio::test]
async fn a_device_keeps_the_book_by_compare_and_swap() {
    let (_folder, server, alice, mut link) = registered().await;
    let Frame::Vault(vault) = link.ask(VaultGet { req: 5 }).await else { panic!() };
    assert_eq!((vault.req, &vault.vault), (5, &sealed(1, &alice.vault.1)));
    let put = |version, book: &'static [u8]| BookPut { req: 6, version, book: Bytes::from_static(book) };
    assert!(matches!(link.ask(put(2, b"names of devices")).await, Frame::Done(Done { req: 6 })));
    assert_eq!(link.refused(put(2, b"somebody else's")).await, Code::Conflict);
    let Frame::Vault(vault) = link.ask(VaultGet { req: 7 }).await else { panic!() };
    assert_eq!(vault.vault, SealedVault { version: 2, keys: alice.vault.1, book: Bytes::from_static(b"names of devices") });
    server.stop().await;
}

/// The promise: no device, however much it is listed, changes an account's secrets without one of them.
#[tokio::test]
async fn changing_the_account_takes_a_login_on_that_very_link_and_takes_it_once() {
    let (_folder, server, mut alice, mut link) = registered().await;
    let rekey = plain_rekey(&mut alice, 2);
    let start = || RekeyStart { req: 3, password: None, recovery: None };
    assert_eq!(link.refused(start()).await, Code::PasswordNeeded);
    assert_eq!(link.refused(rekey.clone()).await, Code::PasswordNeeded);
    assert_eq!(link.refused(LoginFinish { req: 2, ke3: vec![7; 64].into() }).await, Code::WrongState);
    assert_eq!(link.refused(LoginStart { req: 1, with: Secret::Password, ke1: vec![7; 3].into() }).await, Code::Malformed);
    assert_eq!(link.log_in(Secret::Password, "a guess", false).await, Err(Code::LoginFailed));
    assert_eq!(link.log_in(Secret::Password, "password 1", true).await, Err(Code::LoginFailed), "one bit of KE3");
    assert_eq!(link.refused(rekey.clone()).await, Code::PasswordNeeded, "what failed has proved nothing");
    link.is_alive().await;

    // Another link of the same device logs in: that is not this one.
    let mut other = Link::of(server.address(), &alice, 0).await;
    assert!(other.listed);
    assert_eq!(other.log_in(Secret::Password, "password 1", false).await.unwrap().vault.version, 1);
    assert_eq!(link.refused(rekey.clone()).await, Code::PasswordNeeded);
    assert_eq!(link.log_in(Secret::Recovery, "code 1", false).await.unwrap().vault.keys, Bytes::from_static(b"vault"));
    // A failed attempt after it takes nothing away.
    assert_eq!(link.log_in(Secret::Password, "a guess", false).await, Err(Code::LoginFailed));
    let accepted = link.ask(rekey).await;
    assert!(matches!(accepted, Frame::Accepted(Accepted { req: 4, .. })), "{accepted:?}");
    let again = plain_rekey(&mut alice, 3);
    assert_eq!(link.refused(again).await, Code::PasswordNeeded, "once");
    server.stop().await;
}

#[tokio::test]
async fn new_secrets_open_the_account_the_old_ones_do_not_and_a_device_that_goes_is_out_at_once() {
    let (_folder, server, mut alice, mut link) = registered().await;
    // A second device comes by the password, as a guest, and stays on its link.
    alice.devices.push(key("alice's second"));
    let mut second = Link::of(server.address(), &alice, 1).await;
    assert_eq!(second.refused(RekeyStart { req: 3, password: None, recovery: None }).await, Code::WrongState, "who is nobody yet");
    second.log_in(Secret::Password, "password 1", false).await.unwrap();
    let (log, draft) = (alice.keys_log(), alice.next_list(1).bytes().clone());
    assert!(matches!(second.ask(Submit { req: 3, log: log.clone(), draft, genesis: None }).await, Frame::Accepted(_)));
    second.is_alive().await;
    // A third has logged in, and waits; and what it may do ends with the password.
    alice.devices.push(key("a thief's"));
    let mut thief = Link::of(server.address(), &alice, 2).await;
    thief.log_in(Secret::Password, "password 1", false).await.unwrap();
    alice.devices.pop();

    link.log_in(Secret::Password, "password 1", false).await.unwrap();
    let (password, recovery) = (Enrolment::of("password 2"), Enrolment::of("code 2"));
    let start = RekeyStart { req: 3, password: Some(password.request.clone()), recovery: Some(recovery.request.clone()) };
    let Frame::RekeyReply(RekeyReply { password: Some(one), recovery: Some(two), .. }) = link.ask(start).await else { panic!() };
    alice.devices.pop(); // the second goes
    alice.encryption = 1;
    let rekey = Rekey {
        password: Some(password.record(&one, &link.user)),
        recovery: Some(recovery.record(&two, &link.user)),
        ..plain_rekey(&mut alice, 2)
    };
    assert!(matches!(link.ask(rekey).await, Frame::Accepted(_)));
    second.ends_revoked().await;
    alice.devices.push(key("a thief's"));
    let mut stolen = Person { version: alice.version, prev: alice.prev, encryption: 1, ..Person::new("alice@s1") };
    (stolen.devices, stolen.vault) = (alice.devices.clone(), alice.vault.clone());
    let draft = stolen.next_list(1).bytes().clone();
    assert_eq!(thief.refused(Submit { req: 3, log, draft, genesis: None }).await, Code::PasswordNeeded);

    // On a new link, by a new device, with a vault as large as can be.
    alice.devices = vec![alice.devices[0].clone(), key("alice's next")];
    let mut next = Link::of(server.address(), &alice, 1).await;
    for (with, secret) in [(Secret::Password, "password 1"), (Secret::Recovery, "code 1")] {
        assert_eq!(next.log_in(with, secret, false).await, Err(Code::LoginFailed), "{secret}");
    }
    next.log_in(Secret::Recovery, "code 2", false).await.unwrap();
    alice.vault = (alice.vault.0 + 1, vec![7; limits::VAULT].into());
    let vault = SealedVault { book: vec![7; limits::VAULT].into(), ..sealed(alice.vault.0, &alice.vault.1) };
    let draft = alice.next_list(1).bytes().clone();
    let recovered = next.ask(Rekey { req: 4, password: None, recovery: None, vault, draft }).await;
    assert!(matches!(recovered, Frame::Accepted(_)), "{recovered:?}");
    next.is_alive().await;
    server.stop().await;
}

/// Nothing that a device does with its link, and nothing that it leaves undone, puts off its end.
#[tokio::test]
async fn a_device_that_reads_nothing_is_out_as_soon_as_any_other() {
    let (_folder, server, mut alice, mut link) = registered().await;
    alice.devices.push(key("alice's second"));
    let stream = TcpStream::connect(server.address()).await.unwrap().into_std().unwrap();
    let below = stream.try_clone().unwrap();
    let mut thief = Link::over(TcpStream::from_std(stream).unwrap(), &alice, 1).await;
    thief.log_in(Secret::Password, "password 1", false).await.unwrap();
    let (log, draft) = (alice.keys_log(), alice.next_list(1).bytes().clone());
    assert!(matches!(thief.ask(Submit { req: 3, log, draft, genesis: None }).await, Frame::Accepted(_)));
    let book = BookPut { req: 6, version: 2, book: vec![7; limits::VAULT].into() };
    assert!(matches!(thief.ask(book).await, Frame::Done(_)));
    let begun = tokio::time::Instant::now();
    let full = async {
        // Answers that are more than lies between the two, and then some that are queued as soon as they are asked for.
        for asked in 0..800 {
            let ask = if asked < 200 { Frame::from(VaultGet { req: 7 }) } else { People { req: 7 }.into() };
            thief.wire.writer.send(ask.encode()).await.unwrap();
        }
        // Until the server takes no more, since it cannot get rid of the answers.
        loop {
            let more = Frame::from(BookPut { req: 8, version: 9, book: vec![7; limits::VAULT].into() });
            // A slow machine is not a full link: nothing moves for as long as anything would take.
            let sent = tokio::time::timeout(Duration::from_millis(500), thief.wire.writer.send(more.encode())).await;
            if sent.is_err() && tokio::time::timeout(Duration::from_secs(2), thief.wire.writer.flush()).await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(SOON, full).await.expect("a link that is not read is full at last");

    link.log_in(Secret::Password, "password 1", false).await.unwrap();
    alice.devices.pop();
    alice.vault.0 = 2;
    assert!(matches!(link.ask(plain_rekey(&mut alice, 2)).await, Frame::Accepted(_)));
    // The server does not wait until somebody reads.
    let ended = async {
        // Nothing is read; what is still to be sent cannot be, or the connection is gone.
        while !matches!((&below).write(b"x"), Err(error) if error.kind() != ErrorKind::WouldBlock) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // Before any link can be cut for taking nothing alone: that takes 30 s, and this one has taken nothing since it was asked for
    // more than it reads, at the earliest.
    tokio::time::timeout_at(begun + STALLED - Duration::from_secs(2), ended).await.expect("the link of a device that is gone ends");
    server.stop().await;
}

/// Whoever has a device has no more guesses than others.
#[tokio::test]
async fn guesses_are_counted_on_a_devices_link_as_on_any_other() {
    let (_folder, server, _alice, mut link) = registered().await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(link.log_in(Secret::Password, "a guess", false).await.map(|_| ()));
    }
    assert_eq!(seen[..5], [Err(Code::LoginFailed); 5]);
    assert_eq!(seen[5], Err(Code::TooFast));
    link.is_alive().await;
    server.stop().await;
}
