//! Who is not known does not get in, and who speaks for others is not believed.

use bytes::Bytes;
use tidings_client::view::Target;
use tidings_client::{ClientError, Endpoint, Login, LoginSecret, Zeroizing, login};
use tidings_e2ee::DeviceSecret;
use tidings_proto::frame::{Follow, LogRef, Proof, Refused, Submit};
use tidings_proto::handshake::Party;
use tidings_proto::{Code, Content, Draft, Frame, Kind, LogName, ServerKey, Signature, UserName, cbor};
use tidings_testbed::person::PASSWORD;
use tidings_testbed::raw::RawLink;
use tidings_testbed::world::World;

async fn refusal(link: &mut RawLink) -> Code {
    match link.next().await {
        Frame::Refused(Refused { why, .. }) => why.code,
        frame => panic!("not refused, but answered by {}", frame.name()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_in_mailing_address_is_refused() {
    let world = World::two_servers().await;
    let stranger = DeviceSecret::generate();
    let key = ServerKey(stranger.public().0);
    for name in ["s3", "s2"] {
        let mut link = RawLink::dial(world.address("s1"), "/federation").await;
        let (proof, _) = link.greet(Party::Peer { name: name.parse().unwrap(), key }).await;
        link.send(Proof { sig: stranger.sign(&proof) }).await;
        assert_eq!(refusal(&mut link).await, Code::UnknownPeer, "as {name} with a key of one's own");
    }
    // With the right name and key, but without the key's secret.
    let mut link = RawLink::dial(world.address("s1"), "/federation").await;
    let (proof, _) = link.greet(Party::Peer { name: "s2".parse().unwrap(), key: world.key("s2") }).await;
    link.send(Proof { sig: stranger.sign(&proof) }).await;
    assert_eq!(refusal(&mut link).await, Code::BadSignature);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_cannot_prove_another_s_key() {
    let world = World::of(&["s1"], false).await;
    let alice = world.person("alice@s1").await;
    let (victim, thief) = (DeviceSecret::generate(), DeviceSecret::generate());
    let mut link = RawLink::dial(world.address("s1"), "/client").await;
    let (proof, _) = link.greet(Party::Device { user: alice.name.clone(), key: victim.public() }).await;
    link.send(Proof { sig: thief.sign(&proof) }).await;
    assert_eq!(refusal(&mut link).await, Code::BadSignature);
    // A proof from one link is none on another.
    let mut first = RawLink::dial(world.address("s1"), "/client").await;
    let (proof, _) = first.greet(Party::Device { user: alice.name.clone(), key: victim.public() }).await;
    let replayed = victim.sign(&proof);
    let mut second = RawLink::dial(world.address("s1"), "/client").await;
    second.greet(Party::Device { user: alice.name.clone(), key: victim.public() }).await;
    second.send(Proof { sig: replayed }).await;
    assert_eq!(refusal(&mut second).await, Code::BadSignature);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_another_key_is_not_the_pinned_one() {
    let world = World::of(&["s1"], false).await;
    let alice = world.person("alice@s1").await;
    let request = Login {
        profile: &world.profile("second"),
        endpoint: Endpoint { key: Some(ServerKey([9; 32])), ..alice.client.endpoint() },
        user: alice.name.clone(),
        with: LoginSecret::Password(Zeroizing::new(PASSWORD.into())),
        device_name: None,
    };
    let error = login(request).await.unwrap_err();
    assert!(matches!(error, ClientError::ServerKeyChanged { .. }), "{error}");
    assert_eq!(error.exit_code(), 8);
}

/// A peer that a world's server knows, played by the test.
async fn peer_link(world: &mut World, server: &str, peer: &DeviceSecret) -> RawLink {
    let key = ServerKey(peer.public().0);
    world.stop(server).await;
    let known = tidings_server::Peer { name: "s9".parse().unwrap(), address: "127.0.0.1:1".into(), key: Some(key) };
    world.config_mut(server).peers.push(known);
    world.start(server).await;
    RawLink::peer(world.address(server), &"s9".parse().unwrap(), peer).await
}

/// Reads on until an answer to request 7 comes.
async fn answer(link: &mut RawLink) -> Frame {
    loop {
        if let frame @ (Frame::Refused(Refused { req: 7, .. }) | Frame::Accepted(_)) = link.next().await {
            return frame;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_speaks_only_for_its_own_users() {
    let mut world = World::of(&["s1"], false).await;
    let alice = world.person("alice@s1").await;
    let peer = DeviceSecret::generate();
    let mut link = peer_link(&mut world, "s1", &peer).await;
    let device = DeviceSecret::generate();
    for author in ["alice@s1", "mallory@s9", "carol@s3"] {
        let author: UserName = author.parse().unwrap();
        let log = LogName::Public("s1".parse().unwrap());
        let body = cbor::encode(&Content::text("I am who I say").unwrap()).into();
        let draft = Draft { device: device.public(), n: 1, author, list: 1, epoch: None, kind: Kind::Post, body, sig: None };
        let signed = draft.signed(&log, |bytes| device.sign(bytes));
        link.send(Submit { req: 7, log, draft: signed.bytes().clone(), genesis: None }).await;
        assert!(matches!(answer(&mut link).await, Frame::Refused(_)));
    }
    // What is not for peers to read is not read: somebody's inbox.
    let inbox = LogName::Inbox(alice.name.clone());
    link.send(Follow { logs: vec![(LogRef::Name(inbox.clone()), 0)] }).await;
    loop {
        if let Frame::Refused(Refused { log: Some(log), why, .. }) = link.next().await {
            assert_eq!((log, why.code), (inbox, Code::Forbidden));
            break;
        }
    }
    // Everybody else noticed nothing.
    let id = alice.announces("all is well").await;
    alice.is_sent(id).await;
    assert_eq!(alice.reads(&Target::Public).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_author_is_refused_by_the_home_server() {
    let world = World::of(&["s1"], false).await;
    let (alice, mallory) = (world.person("alice@s1").await, DeviceSecret::generate());
    let log = LogName::Public("s1".parse().unwrap());
    let body: Bytes = cbor::encode(&Content::text("I, alice, owe you money").unwrap()).into();
    let draft = |sig| Draft {
        device: mallory.public(),
        n: 1,
        author: alice.name.clone(),
        list: 1,
        epoch: None,
        kind: Kind::Post,
        body: body.clone(),
        sig,
    };
    // Not listed, so it does not even get to say it; and a made-up signature does not verify anywhere.
    let mut link = RawLink::device(world.address("s1"), &alice.name, &mallory).await;
    let signed = draft(Some(Signature([1; 64])));
    link.send(Submit { req: 7, log, draft: cbor::encode(&signed).into(), genesis: None }).await;
    assert!(matches!(answer(&mut link).await, Frame::Refused(_)));
    assert_eq!(alice.reads(&Target::Public).await.len(), 0);
}
