//! The handshake against acceptors that keep to it and acceptors that lie, over real sockets and real TLS.

use super::*;
use ed25519_dalek::{Signer, SigningKey};
use futures_util::{SinkExt, StreamExt};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use std::sync::Arc;
use tidings_proto::frame::Refused;
use tidings_proto::{Refusal, ServerName, label};
use tidings_trust::ed25519::verify_device;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

/// What an acceptor does differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    Nothing,
    Plain,
    AnotherName,
    AnotherCertificate,
    NoCertificate,
    AnotherTlsSession,
    HidesTlsSession,
    ProofByAnotherKey,
    ProofOfAnotherTranscript,
    ProofAsAPeer,
    AnotherVersion,
    Refuses,
    HangsUp,
    Text,
    Oversized,
    Garbage,
}

struct Acceptor {
    address: String,
    key: ServerKey,
}

fn server_secret() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// Accepts one link and plays its side of the handshake.
async fn accept(lie: Lie) -> Acceptor {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let tcp = listener.accept().await.unwrap().0;
        if lie == Lie::Plain {
            return play(tcp, None, None, lie).await;
        }
        let pair = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["s1".into()]).unwrap().self_signed(&pair).unwrap();
        let spki = Hash::of(&rcgen::PublicKeyData::subject_public_key_info(&pair));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(pair.serialize_der().into()))
            .unwrap();
        let tls = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(tcp).await.unwrap();
        let exporter = tls.get_ref().1.export_keying_material([0; 32], label::LINK_EXPORTER.as_bytes(), None).unwrap();
        play(tls, Some(Hash(exporter)), Some(spki), lie).await
    });
    Acceptor { address, key: ServerKey(server_secret().verifying_key().to_bytes()) }
}

async fn play(stream: impl AsyncRead + AsyncWrite + Unpin, exporter: Option<Hash>, spki: Option<Hash>, lie: Lie) {
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let Some(Ok(Message::Binary(theirs))) = socket.next().await else { return };
    let Ok(Frame::Hello(hello)) = Frame::read(&theirs, limits::GUEST_FRAME) else { panic!("not a hello") };
    match lie {
        Lie::HangsUp => return,
        Lie::Text => return drop(socket.send(Message::text("hello")).await),
        Lie::Garbage => return drop(socket.send(Message::binary(vec![0xff; 40])).await),
        Lie::Oversized => return drop(socket.send(Message::binary(vec![0; limits::CLIENT_FRAME + 1])).await),
        Lie::Refuses => {
            let refused = Refused { req: 0, why: Refusal::from(Code::Busy).retry_after(9), log: None };
            return drop(socket.send(Message::Binary(Frame::from(refused).encode())).await);
        }
        _ => {}
    }
    let is_page = matches!(&hello.party, Party::Device { user, .. } if user.local() == "page");
    assert!(is_page || hello.exporter == exporter, "the dialler says which session it sees, where it can see it");
    let secret = server_secret();
    let party = Party::Server {
        name: if lie == Lie::AnotherName { "s2".parse().unwrap() } else { "s1".parse().unwrap() },
        key: ServerKey(secret.verifying_key().to_bytes()),
        spki: match lie {
            Lie::AnotherCertificate => Some(Hash([5; 32])),
            Lie::NoCertificate => None,
            _ => spki,
        },
    };
    let exporter = match lie {
        Lie::AnotherTlsSession => Some(Hash([6; 32])),
        Lie::HidesTlsSession => None,
        _ => exporter,
    };
    let versions = if lie == Lie::AnotherVersion { vec![99] } else { vec![1] };
    let ours = Frame::from(Hello { party: party.clone(), nonce: Nonce([1; 32]), versions, frame: 1 << 18, exporter, to: None }).encode();
    let both = transcript(&theirs, &ours);
    let signed = match lie {
        Lie::ProofOfAnotherTranscript => proof_bytes(&party, &Hash([8; 32])),
        Lie::ProofAsAPeer => {
            let Party::Server { name, key, .. } = party.clone() else { unreachable!() };
            proof_bytes(&Party::Peer { name, key }, &both)
        }
        _ => proof_bytes(&party, &both),
    };
    let signer = if lie == Lie::ProofByAnotherKey { SigningKey::from_bytes(&[8; 32]) } else { secret };
    let sig = Signature(signer.sign(&signed).to_bytes());
    socket.send(Message::Binary(ours)).await.unwrap();
    socket.send(Message::Binary(Frame::from(Proof { sig }).encode())).await.unwrap();
    // A dialler that has found the lie is gone by now.
    let Some(Ok(Message::Binary(proof))) = socket.next().await else { return };
    let Ok(Frame::Proof(Proof { sig })) = Frame::read(&proof, limits::GUEST_FRAME) else { panic!("not a proof") };
    let Party::Device { key, .. } = &hello.party else { panic!("not a device") };
    verify_device(key, &proof_bytes(&hello.party, &both), &sig).unwrap();
    let ready = Ready { listed: true, network: vec!["s1".parse().unwrap()] };
    socket.send(Message::Binary(Frame::from(ready).encode())).await.unwrap();
    let _ = socket.next().await;
}

fn endpoint(acceptor: &Acceptor, lie: Lie) -> Endpoint {
    let name: ServerName = "s1".parse().unwrap();
    Endpoint { name, address: acceptor.address.clone(), key: Some(acceptor.key), plain: lie == Lie::Plain }
}

async fn dial_as_alice(endpoint: &Endpoint) -> Result<Link, ClientError> {
    let secret = SigningKey::from_bytes(&[3; 32]);
    let sign = |bytes: &[u8]| Signature(secret.sign(bytes).to_bytes());
    let user: UserName = "alice@s1".parse().unwrap();
    dial(endpoint, &Me { user: &user, device: DeviceKey(secret.verifying_key().to_bytes()), sign: &sign }).await
}

async fn dialled(lie: Lie) -> Result<Link, ClientError> {
    let acceptor = accept(lie).await;
    dial_as_alice(&endpoint(&acceptor, lie)).await
}

#[tokio::test]
async fn an_honest_server_is_linked_to_over_tls_and_plainly_on_loopback() {
    for lie in [Lie::Nothing, Lie::Plain] {
        let link = dialled(lie).await.unwrap();
        assert!(link.ready.listed);
        assert_eq!(link.server_key.0, server_secret().verifying_key().to_bytes());
    }
}

/// The acceptor may sit where TLS exporters are hidden; what it signs says so.
#[tokio::test]
async fn a_server_that_cannot_see_its_tls_session_is_bound_by_its_certificate() {
    dialled(Lie::HidesTlsSession).await.unwrap();
}

#[tokio::test]
async fn whoever_is_not_the_server_that_was_meant_is_found_out() {
    for lie in [
        Lie::AnotherName,
        Lie::AnotherCertificate,
        Lie::NoCertificate,
        Lie::AnotherTlsSession,
        Lie::ProofByAnotherKey,
        Lie::ProofOfAnotherTranscript,
        Lie::ProofAsAPeer,
    ] {
        let error = dialled(lie).await.err().unwrap();
        assert!(matches!(error, ClientError::WrongServer(_)), "{lie:?}: {error}");
        assert_eq!(error.exit_code(), 8, "{lie:?}");
        assert!(!error.is_passing(), "{lie:?}: nothing is tried again behind the user's back");
    }
}

#[tokio::test]
async fn another_key_than_the_pinned_one_is_its_own_error() {
    let acceptor = accept(Lie::Nothing).await;
    let pinned = Endpoint { key: Some(ServerKey([9; 32])), ..endpoint(&acceptor, Lie::Nothing) };
    let error = dial_as_alice(&pinned).await.err().unwrap();
    let ClientError::ServerKeyChanged { found, .. } = &error else { panic!("{error}") };
    assert_eq!(*found, show_server_key(&acceptor.key));
    assert_eq!((error.exit_code(), error.is_passing()), (8, false));
}

#[tokio::test]
async fn what_a_server_does_wrong_has_a_name() {
    for (lie, exit, passing) in [
        (Lie::AnotherVersion, 6, false),
        (Lie::Refuses, 75, true),
        (Lie::HangsUp, 7, true),
        (Lie::Text, 7, true),
        (Lie::Garbage, 7, true),
        (Lie::Oversized, 7, true),
    ] {
        let error = dialled(lie).await.err().unwrap();
        assert_eq!((error.exit_code(), error.is_passing()), (exit, passing), "{lie:?}: {error}");
    }
}

/// What a page is shown of a server by whoever relays between them, and what became of that.
async fn relayed(endpoint: &Endpoint) -> (Vec<Bytes>, Result<(), ClientError>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let role = |role| move |stream| tokio_tungstenite::WebSocketStream::from_raw_socket(stream, role, None);
    let mut page = role(tokio_tungstenite::tungstenite::protocol::Role::Client)(near).await;
    let frames = role(tokio_tungstenite::tungstenite::protocol::Role::Server)(far).await;
    let frames = frames
        .filter_map(|message| std::future::ready(message.ok().filter(Message::is_binary).map(Message::into_data)))
        .with(|frame: Bytes| std::future::ready(Ok::<_, tokio_tungstenite::tungstenite::Error>(Message::Binary(frame))));
    let user: UserName = "page@s1".parse().unwrap();
    let secret = SigningKey::from_bytes(&[3; 32]);
    let sign = |bytes: &[u8]| Signature(secret.sign(bytes).to_bytes());
    let me = Me { user: &user, device: DeviceKey(secret.verifying_key().to_bytes()), sign: &sign };
    let hello = hello(Some(endpoint.name.clone()), &me, None);
    let talk = async {
        page.send(Message::Binary(hello)).await.unwrap();
        let mut shown = Vec::new();
        while shown.len() < 2
            && let Some(Ok(Message::Binary(frame))) = page.next().await
        {
            shown.push(frame);
        }
        drop(page);
        shown
    };
    tokio::join!(talk, crate::relay::carry(endpoint, frames))
}

/// A page cannot see TLS. Whoever relays for it can, and shows it nothing of a server that is not the other end.
#[tokio::test]
async fn a_page_is_shown_no_server_that_is_not_at_the_other_end_of_the_encryption() {
    let honest = accept(Lie::Nothing).await;
    let (shown, carried) = relayed(&endpoint(&honest, Lie::Nothing)).await;
    assert!(carried.is_ok() && shown.len() == 2, "{carried:?}");
    for lie in [Lie::AnotherName, Lie::AnotherCertificate, Lie::NoCertificate, Lie::AnotherTlsSession, Lie::ProofByAnotherKey] {
        let acceptor = accept(lie).await;
        let (shown, carried) = relayed(&endpoint(&acceptor, lie)).await;
        assert!(shown.is_empty() && matches!(carried, Err(ClientError::WrongServer(_))), "{lie:?}: {carried:?}");
    }
    let pinned = Endpoint { key: Some(ServerKey([9; 32])), ..endpoint(&accept(Lie::Nothing).await, Lie::Nothing) };
    let (shown, carried) = relayed(&pinned).await;
    assert!(shown.is_empty() && matches!(carried, Err(ClientError::ServerKeyChanged { .. })), "{carried:?}");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let nobody = Endpoint { name: "s1".parse().unwrap(), address: address.clone(), key: None, plain: false };
    let error = dial_as_alice(&nobody).await.err().unwrap();
    assert!(matches!(&error, ClientError::Unreachable { address: tried, .. } if *tried == address), "{error}");
}

/// Without TLS nothing binds a link to its connection: only a connection that never leaves the machine may do without.
#[tokio::test]
async fn a_plain_link_is_for_loopback_only() {
    let acceptor = accept(Lie::Plain).await;
    let Some(own) = own_address() else { return };
    let port = acceptor.address.rsplit_once(':').unwrap().1;
    let listener = TcpListener::bind((own, 0)).await.unwrap();
    let outside = Endpoint { address: listener.local_addr().unwrap().to_string(), ..endpoint(&acceptor, Lie::Plain) };
    let error = dial_as_alice(&outside).await.err().unwrap();
    assert!(matches!(error, ClientError::Usage(_)), "{error}");
    let inside = Endpoint { address: format!("localhost:{port}"), ..outside };
    dial_as_alice(&inside).await.unwrap();
}

/// An address of this machine that is not a loopback one, where it has any. Nothing is sent: connecting UDP only routes.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}
