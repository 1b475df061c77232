//! A bare hub: TLS, WebSocket, and whoever says the same number at first hears what the others of it say. No store, no accounts, no
//! checks, no protocol; the libraries are those of a server. What it costs is what no server on this machine can go below by much.

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tidings_server::identity::Identity;
use tidings_server::link::{tls, wire};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Message;

/// Everybody, by the number that they said.
type Groups = Arc<Mutex<HashMap<Bytes, Vec<mpsc::UnboundedSender<Bytes>>>>>;

/// Serves where `setup` says, until the process is told to stop.
pub async fn serve(setup: &Path, data: &Path) -> Result<()> {
    let setup = tidings_server::setup::load(setup).map_err(|problems| anyhow!("{problems}"))?;
    let acceptor = TlsAcceptor::from(tls::server(&Identity::load_or_create(data, &setup.name)?)?);
    let listener = TcpListener::bind(setup.listen).await?;
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    println!("{}", json!({ "type": "server" }));
    let groups = Groups::default();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (acceptor, groups) = (acceptor.clone(), groups.clone());
                // Whoever breaks off has what they wanted.
                tokio::spawn(async move { let _ = relay(accepted?.0, acceptor, groups).await; Ok::<_, std::io::Error>(()) });
            }
            _ = term.recv() => return Ok(()),
        }
    }
}

async fn relay(tcp: TcpStream, acceptor: TlsAcceptor, groups: Groups) -> Result<()> {
    tcp.set_nodelay(true)?;
    let config = wire::config(tidings_proto::limits::CLIENT_FRAME);
    let mut socket = accept_async_with_config(acceptor.accept(tcp).await?, Some(config)).await?;
    let group = socket.next().await.context("nothing was said")??.into_data();
    let (own, mut news) = mpsc::unbounded_channel();
    groups.lock().unwrap_or_else(PoisonError::into_inner).entry(group.clone()).or_default().push(own);
    // That it is in is said, so that nobody is missed.
    socket.send(Message::Binary(group.clone())).await?;
    loop {
        tokio::select! {
            heard = socket.next() => {
                let Some(Ok(Message::Binary(frame))) = heard else { return Ok(()) };
                let groups = groups.lock().unwrap_or_else(PoisonError::into_inner);
                for member in groups.get(&group).into_iter().flatten() {
                    // Whoever has gone hears nothing.
                    let _ = member.send(frame.clone());
                }
            }
            Some(frame) = news.recv() => {
                socket.feed(Message::Binary(frame)).await?;
                while let Ok(frame) = news.try_recv() {
                    socket.feed(Message::Binary(frame)).await?;
                }
                socket.flush().await?;
            }
        }
    }
}
