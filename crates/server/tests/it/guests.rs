//! Connections that nobody knows yet: one that does nothing keeps nobody out, and whoever is let in is no guest any more.

use crate::secrets::Link;
use crate::support::{Person, SOON, config};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tidings_server::link::wire::Io;
use tidings_server::{Limits, Registration, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Whether the server has ended it, once it has had the time: everything before is done when it answers somebody else.
async fn is_ended(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    matches!(tokio::time::timeout(std::time::Duration::from_millis(50), stream.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
}

async fn is_answered(server: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: s1\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let _ = tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await.expect("an answer");
    answer.starts_with("HTTP/1.1 200")
}

/// Whoever has come, and not logged in yet, is no reason to wait.
#[tokio::test]
async fn a_server_that_stops_waits_for_nobody_who_is_not_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(config(folder.path(), Registration::Open)).await.unwrap();
    let silent = TcpStream::connect(server.address()).await.unwrap();
    let io: Io = Box::new(TcpStream::connect(server.address()).await.unwrap());
    let (shaking, _) = tokio_tungstenite::client_async("ws://test/client", io).await.unwrap();
    let guest = Link::of(server.address(), &Person::new("alice@s1"), 0).await;
    let federation = TcpStream::connect(server.address()).await.unwrap();
    let (peer, _) = tokio_tungstenite::client_async("ws://test/federation", federation).await.unwrap();
    let start = Instant::now();
    server.stop().await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    drop((silent, shaking, guest, peer));
}

#[tokio::test]
async fn the_oldest_of_those_who_do_nothing_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { guests_per_address: 3, ..Limits::default() };
    let config = tidings_server::Config { limits, ..config(folder.path(), Registration::Open) };
    let server = Server::start(config).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(TcpStream::connect(server.address()).await.unwrap());
    }
    assert!(is_answered(server.address()).await, "the third place is free");
    assert!(!is_ended(&mut silent[0]).await && !is_ended(&mut silent[1]).await, "and cost nobody anything");
    silent.push(TcpStream::connect(server.address()).await.unwrap());
    for round in 0..3 {
        assert!(is_answered(server.address()).await, "whoever comes is served, and the oldest goes");
        assert!(is_ended(&mut silent[round]).await, "{round}");
        silent.push(TcpStream::connect(server.address()).await.unwrap());
        assert!(!is_ended(&mut silent[round + 1]).await, "{round}");
    }
    server.stop().await;
}
