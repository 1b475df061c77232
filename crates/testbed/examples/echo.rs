//! The WebSocket below all links, alone: it says back what it hears, for the Autobahn test suite (`cargo xtask campaign autobahn`).
//!
//! `echo server` listens on a port of its own and prints it; `echo client PORT` runs all cases of a fuzzing server.

use futures_util::StreamExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tidings_server::link::wire::{self, Wire};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{accept_async, client_async};

/// Cases 9 send messages of 16 MiB. All else is as links have it: their reading, their writing, their answers to pings and goodbyes.
const LARGEST: usize = 16 * 1024 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server"] => serve().await,
        ["client", port] => run_cases(port.parse()?).await,
        _ => Err("echo server | echo client PORT".into()),
    }
}

async fn serve() -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (tcp, _) = listener.accept().await?;
        tokio::spawn(async move {
            // What breaks the protocol ends its own connection: that is what is tested.
            if let Ok(socket) = accept_async(Head::of(tcp)).await {
                let _ = wire::echo(Wire::new(Box::new(socket.into_inner().tcp), Role::Server, LARGEST)).await;
            }
        });
    }
}

async fn run_cases(port: u16) -> Result<(), Failure> {
    let (mut counting, _) = client_async(url(port, "/getCaseCount"), dial(port).await?).await?;
    let count: u32 = counting.next().await.ok_or("no count")??.into_text()?.parse()?;
    for case in 1..=count {
        let request = url(port, &format!("/runCase?case={case}&agent=tidings"));
        if let Ok((socket, _)) = client_async(request, Head::of(dial(port).await?)).await {
            let _ = wire::echo(Wire::new(Box::new(socket.into_inner().tcp), Role::Client, LARGEST)).await;
        }
    }
    let (mut reporting, _) = client_async(url(port, "/updateReports?agent=tidings"), dial(port).await?).await?;
    reporting.close(None).await?;
    Ok(())
}

fn url(port: u16, path: &str) -> String {
    format!("ws://127.0.0.1:{port}{path}")
}

async fn dial(port: u16) -> std::io::Result<TcpStream> {
    TcpStream::connect(("127.0.0.1", port)).await
}

/// Gives the HTTP upgrade its head and no more, so that it has read nothing of the first message when it is done.
struct Head {
    tcp: TcpStream,
    read: Vec<u8>,
}

impl Head {
    fn of(tcp: TcpStream) -> Head {
        Head { tcp, read: Vec::new() }
    }
}

impl AsyncRead for Head {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        loop {
            let mut byte = [0];
            let mut one = ReadBuf::new(&mut byte);
            ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut one))?;
            let ended = one.filled().is_empty();
            self.read.extend_from_slice(one.filled());
            if ended || self.read.ends_with(b"\r\n\r\n") {
                buf.put_slice(&std::mem::take(&mut self.read));
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Head {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
