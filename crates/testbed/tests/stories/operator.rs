//! What an operator relies on.

use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use tidings_client::{ClientError, Endpoint, Register, Zeroizing, register};
use tidings_proto::Code;
use tidings_server::bus::{Bus, Listener};
use tidings_server::{Config, Server, StartError, Transport};
use tidings_testbed::PATIENCE;
use tidings_testbed::person::PASSWORD;
use tidings_testbed::world::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn get(world: &World, server: &str, path: &str) -> String {
    get_at(world.address(server), path).await
}

async fn get_at(server: SocketAddr, path: &str) -> String {
    let tcp = TcpStream::connect(server).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(tidings_tls::client().unwrap());
    let mut stream = connector.connect(ServerName::try_from("test").unwrap(), tcp).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A peer that closes TLS without a goodbye is an error at the end of a whole answer.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_told_on_the_main_port() {
    let world = World::of(&["s1"], false).await;
    assert!(get(&world, "s1", "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get(&world, "s1", "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(get(&world, "s1", "/nothing").await.starts_with("HTTP/1.1 404"));
    assert!(get(&world, "s1", "/client").await.starts_with("HTTP/1.1 426"), "a plain GET is told to upgrade");
}

/// A bus that falls over its own feet, and with it the one task that makes anything durable.
struct BadBus;

impl Bus for BadBus {
    fn wake(&self, _: &[u64]) {
        panic!("a planted panic");
    }

    fn listen(&self, _: Listener) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_can_write_nothing_any_more_is_not_ready_and_can_be_stopped() {
    let world = World::of(&["s1"], false).await;
    let folder = tempfile::tempdir().unwrap();
    let config = Config { data: folder.path().into(), listen: "127.0.0.1:0".parse().unwrap(), ..world.config("s1").clone() };
    let running = Server::start_on(config, Arc::new(BadBus)).await.unwrap();
    let server = running.address();
    assert!(get_at(server, "/readyz").await.starts_with("HTTP/1.1 200"));
    let request = Register {
        profile: &world.profile("alice"),
        endpoint: Endpoint { name: "s1".parse().unwrap(), address: server.to_string(), key: Some(running.key()), plain: false },
        user: "alice@s1".parse().unwrap(),
        password: Zeroizing::new(PASSWORD.into()),
        code: None,
        device_name: None,
    };
    let error = register(request).await.expect_err("what it does is not answered well");
    assert!(matches!(&error, ClientError::Refused(why) if why.code == Code::Internal), "{error}");
    tokio::time::timeout(PATIENCE, running.failed()).await.expect("it is noticed");
    assert!(get_at(server, "/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(get_at(server, "/healthz").await.starts_with("HTTP/1.1 200"));
    tokio::time::timeout(PATIENCE, running.stop()).await.expect("it does not hang");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_tls_than_1_3_is_not_spoken() {
    let world = World::of(&["s1"], false).await;
    // A TLS 1.2 ClientHello that lacks nothing but supported_versions (RFC 8446 §4.2.1): version 3.3, one cipher suite of TLS
    // 1.2, and the groups, point formats, signature algorithms and extended master secret that go with it.
    let mut hello = vec![0x16, 0x03, 0x01, 0x00, 0x4f, 0x01, 0x00, 0x00, 0x4b, 0x03, 0x03];
    hello.extend([7; 32]);
    hello.extend([0x00, 0x00, 0x02, 0xc0, 0x2b, 0x01, 0x00, 0x00, 0x20]);
    hello.extend([0x00, 0x0a, 0x00, 0x06, 0x00, 0x04, 0x00, 0x1d, 0x00, 0x17]);
    hello.extend([0x00, 0x0b, 0x00, 0x02, 0x01, 0x00]);
    hello.extend([0x00, 0x0d, 0x00, 0x08, 0x00, 0x06, 0x04, 0x03, 0x05, 0x03, 0x08, 0x07]);
    hello.extend([0x00, 0x17, 0x00, 0x00]);
    let mut tcp = TcpStream::connect(world.address("s1")).await.unwrap();
    tcp.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer).await;
    assert_eq!(answer, [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 70], "it is the version that is refused: a fatal protocol_version");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_at_the_start_are_said() {
    let world = World::of(&["s1"], false).await;
    let folder = tempfile::tempdir().unwrap();
    let config = Config { data: folder.path().join("other"), ..world.config("s1").clone() };
    let taken = Server::start(config.clone()).await.err().expect("the port is in use");
    assert!(matches!(taken, StartError::Listen { .. }) && taken.to_string().contains("--listen"), "{taken}");

    let public = Config { transport: Transport::PlainLoopback, listen: "0.0.0.0:0".parse().unwrap(), ..config.clone() };
    assert!(matches!(Server::start(public).await.err(), Some(StartError::PlainInPublic(_))));

    std::fs::write(folder.path().join("file"), b"").unwrap();
    let unwritable = Config { data: folder.path().join("file/data"), ..config };
    let error = Server::start(unwritable).await.err().expect("a file is no folder").to_string();
    assert!(error.contains("file/data"), "{error}");
}
