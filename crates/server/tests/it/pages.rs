//! The web client is served beside the links, and only its own pages get a link.

use crate::support::{SOON, config};
use std::net::SocketAddr;
use tidings_server::{Config, Pages, Registration, Server};
use tidings_site::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const FILES: &[File] = &[
    File { name: "index.html", bytes: b"<!doctype html>", packed: None },
    File { name: "page-0123456789abcdef.js", bytes: b"plain", packed: Some(b"packed") },
];

/// The head and the body of an answer.
async fn ask(server: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    let whole = async {
        // A connection that asked for a link goes on: what comes after the head is of no interest then.
        while let Ok(length @ 1..) = stream.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..length]);
            if [b"HTTP/1.1 101", b"HTTP/1.1 403"].iter().any(|head| answer.starts_with(*head)) {
                break;
            }
        }
    };
    tokio::time::timeout(SOON, whole).await.expect("an answer");
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    (head.to_lowercase(), body.to_owned())
}

async fn server(pages: Pages) -> (tidings_server::Running, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let running = Server::start(Config { pages, ..config(folder.path(), Registration::ByCode) }).await.unwrap();
    (running, folder)
}

#[tokio::test]
async fn the_web_client_is_served_with_its_policy() {
    let (running, _folder) = server(Pages(FILES)).await;
    let at = running.address();
    let (head, body) = ask(at, "GET / HTTP/1.1\nHost: s1\nConnection: close\n\n").await;
    assert!(head.starts_with("http/1.1 200") && head.contains("default-src 'none'") && head.contains("no-cache"), "{head}");
    assert_eq!(body, "<!doctype html>");
    let get = "GET /page-0123456789abcdef.js HTTP/1.1\nHost: s1\nAccept-Encoding: gzip, br\nConnection: close\n\n";
    let (head, body) = ask(at, get).await;
    assert!(head.contains("content-encoding: br") && head.contains("immutable") && head.contains("text/javascript"), "{head}");
    assert_eq!(body, "packed");
    let (_, body) = ask(at, "GET /tidings.json?x=1 HTTP/1.1\nHost: s1\nConnection: close\n\n").await;
    let home: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (home["name"].as_str(), home["registration"].as_str(), home["pinned"].as_bool()),
        (Some("s1"), Some("invitation"), Some(false))
    );
    assert_eq!(home["key"].as_str(), Some(tidings_setup::value::show_server_key(&running.key()).as_str()));
    assert!(ask(at, "GET /other HTTP/1.1\nHost: s1\nConnection: close\n\n").await.0.starts_with("http/1.1 404"));
    running.stop().await;
}

#[tokio::test]
async fn a_server_without_a_web_client_says_so() {
    let (running, _folder) = server(Pages::default()).await;
    let (head, body) = ask(running.address(), "GET / HTTP/1.1\nHost: s1\nConnection: close\n\n").await;
    assert!(head.starts_with("http/1.1 404") && body.contains("without the web client"), "{head} {body}");
    running.stop().await;
}

/// A page of somebody else's that a person has open must not talk to the server in that person's browser.
#[tokio::test]
async fn pages_of_others_get_no_link() {
    let (running, _folder) = server(Pages(FILES)).await;
    let host = running.address();
    for (origin, answer) in [
        (String::new(), "101"),
        (format!("Origin: http://{host}\n"), "101"),
        ("Origin: https://evil.example\n".into(), "403"),
        ("Origin: null\n".into(), "403"),
        (format!("Origin: http://{host}.evil.example\n"), "403"),
    ] {
        for path in ["client", "federation"] {
            let upgrade = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
            let (head, _) = ask(host, &format!("GET /{path} HTTP/1.1\nHost: {host}\n{origin}{upgrade}\n\n")).await;
            assert!(head.starts_with(&format!("http/1.1 {answer}")), "{origin:?} {head}");
            if answer == "403" {
                break;
            }
        }
    }
    running.stop().await;
}
