//! The WebSocket below all links, alone: it says back what it hears, for the Autobahn test suite (`cargo xtask campaign autobahn`).
//!
//! `echo server` listens on a port of its own and prints it; `echo client PORT` runs all cases of a fuzzing server.

use futures_util::{SinkExt, StreamExt};
use tidings_server::link::wire;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, client_async_with_config};

/// Cases 9 send messages of 16 MiB. All else is as links have it.
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
            if let Ok(socket) = accept_async_with_config(tcp, Some(wire::config(LARGEST))).await {
                let _ = echo(socket).await;
            }
        });
    }
}

async fn run_cases(port: u16) -> Result<(), Failure> {
    let mut counting = dial(port, "/getCaseCount").await?;
    let count: u32 = counting.next().await.ok_or("no count")??.into_text()?.parse()?;
    for case in 1..=count {
        if let Ok(socket) = dial(port, &format!("/runCase?case={case}&agent=tidings")).await {
            let _ = echo(socket).await;
        }
    }
    let mut reporting = dial(port, "/updateReports?agent=tidings").await?;
    reporting.close(None).await?;
    Ok(())
}

async fn dial(port: u16, path: &str) -> Result<WebSocketStream<TcpStream>, Failure> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    Ok(client_async_with_config(format!("ws://127.0.0.1:{port}{path}"), tcp, Some(wire::config(LARGEST))).await?.0)
}

async fn echo(mut socket: WebSocketStream<TcpStream>) -> Result<(), Error> {
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
