//! The accept loop: TCP, TLS, HTTP, and from there `/client`, `/federation`, a health check or the web client.
//!
//! Links that have not authenticated have places (`guests`), and ten seconds. One bad connection never ends the loop.

use super::guests::GuestPlace;
use super::handshake::Session;
use super::wire::{Io, Wire};
use crate::host::Host;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidings_proto::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// How long a link may take to authenticate, from TCP on.
pub const AUTHENTICATE_WITHIN: Duration = Duration::from_secs(10);

/// A link on its way to a handshake.
pub struct Arrival {
    /// The frames.
    pub wire: Wire,
    /// What TLS says.
    pub session: Session,
    /// From where.
    pub address: SocketAddr,
    /// Its place among the unauthenticated; dropped once it is not.
    pub place: GuestPlace,
}

/// Accepts until `host` stops.
pub async fn serve(host: Arc<Host>, listener: TcpListener, tls: Option<Arc<rustls::ServerConfig>>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = host.stopping.cancelled() => return,
        };
        match accepted {
            Ok((tcp, address)) => {
                let place = host.guests.enter(address.ip());
                let (stopping, lost) = (host.stopping.clone(), place.lost());
                let (connected, link_host) = (connection(host.clone(), tcp, address, tls.clone(), place), host.clone());
                host.tasks.spawn(async move {
                    let connected = link_host.turns.take(connected);
                    match stopping.run_until_cancelled(lost.run_until_cancelled(connected)).await {
                        Some(Some(Ok(()))) | None => {}
                        Some(Some(Err(error))) => tracing::debug!(%address, %error, "a connection ended before it was a link"),
                        Some(None) => tracing::debug!(%address, "a connection lost its place to a newcomer"),
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, mostly: the loop must go on once some are free.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    host: Arc<Host>,
    tcp: TcpStream,
    address: SocketAddr,
    config: Option<Arc<rustls::ServerConfig>>,
    place: GuestPlace,
) -> Result<(), BoxError> {
    tcp.set_nodelay(true)?;
    let handshake = async {
        Ok::<(Io, Session), BoxError>(match config {
            Some(config) => {
                let stream = tokio_rustls::TlsAcceptor::from(config).accept(tcp).await?;
                let exporter = tidings_tls::exporter(stream.get_ref().1)?;
                (Box::new(stream), Session { exporter: Some(exporter), spki: Some(host.identity.spki()) })
            }
            None => (Box::new(tcp), Session::default()),
        })
    };
    let (io, session) = tokio::time::timeout(AUTHENTICATE_WITHIN, handshake).await??;
    // The place goes with the first upgrade; a connection that only asks for a page keeps it until it ends.
    let place = Arc::new(Mutex::new(Some(place)));
    let service = service_fn(move |request| {
        let response = answer(&host, request, session, address, &place);
        async move { Ok::<_, Infallible>(response) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(AUTHENTICATE_WITHIN)
        .max_buf_size(8 * 1024)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades()
        .await?;
    Ok(())
}

fn answer(
    host: &Arc<Host>,
    request: Request<Incoming>,
    session: Session,
    address: SocketAddr,
    place: &Mutex<Option<GuestPlace>>,
) -> Response<Full<bytes::Bytes>> {
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
    }
    match request.uri().path() {
        "/healthz" => plain(StatusCode::OK, "ok\n"),
        "/readyz" if host.is_ready() => plain(StatusCode::OK, "ready\n"),
        "/readyz" => plain(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        "/client" | "/federation" => upgrade(host, request, session, address, place),
        path => host
            .pages
            .answer(&host.home, path, request.headers())
            .unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "there is nothing here\n")),
    }
}

fn upgrade(
    host: &Arc<Host>,
    mut request: Request<Incoming>,
    session: Session,
    address: SocketAddr,
    place: &Mutex<Option<GuestPlace>>,
) -> Response<Full<bytes::Bytes>> {
    let headers = request.headers();
    if let Err(foreign) = tidings_site::same_origin(headers) {
        tracing::info!(%address, %foreign, "a link was refused");
        return plain(StatusCode::FORBIDDEN, "only this server's own pages get links to it\n");
    }
    let says = |name, value: &str| {
        headers.get(name).and_then(|v| v.to_str().ok()).is_some_and(|v| v.split(',').any(|v| v.trim().eq_ignore_ascii_case(value)))
    };
    let key = headers.get(SEC_WEBSOCKET_KEY).cloned();
    let (Some(key), true, true, true) = (key, says(CONNECTION, "upgrade"), says(UPGRADE, "websocket"), says(SEC_WEBSOCKET_VERSION, "13"))
    else {
        let mut response = plain(StatusCode::UPGRADE_REQUIRED, "this address speaks WebSocket\n");
        response.headers_mut().insert(UPGRADE, hyper::header::HeaderValue::from_static("websocket"));
        return response;
    };
    let Some(place) = place.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() else {
        return plain(StatusCode::BAD_REQUEST, "one upgrade a connection\n");
    };
    let is_client = request.uri().path() == "/client";
    let upgrading = hyper::upgrade::on(&mut request);
    let (link_host, stopping) = (host.clone(), host.stopping.clone());
    // A fresh task: the one that did TLS and HTTP has grown a large stack frame that a link would keep for its life.
    host.tasks.spawn(async move {
        let Ok(upgraded) = upgrading.await else { return };
        let io: Io = Box::new(TokioIo::new(upgraded));
        let max = if is_client { limits::CLIENT_FRAME } else { limits::PEER_FRAME };
        let wire = Wire::new(io, Role::Server, max);
        let lost = place.lost();
        let arrival = Arrival { wire, session, address, place };
        let served = async {
            if is_client {
                // A device that is let in goes on in a task of its own.
                link_host.turns.take(crate::api::serve(link_host.clone(), arrival)).await;
            } else {
                crate::federation::serve(link_host, arrival).await;
            }
        };
        // Nobody who has not authenticated is waited for. A link that has serves itself, and ends in order.
        if let Some(None) = stopping.run_until_cancelled(lost.run_until_cancelled(served)).await {
            tracing::debug!(%address, "a link lost its place to a newcomer before it had authenticated");
        }
    });
    let mut response = plain(StatusCode::SWITCHING_PROTOCOLS, "");
    let accept = derive_accept_key(key.as_bytes());
    let headers = response.headers_mut();
    headers.insert(CONNECTION, hyper::header::HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, hyper::header::HeaderValue::from_static("websocket"));
    if let Ok(accept) = accept.parse() {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<bytes::Bytes>> {
    let mut response = Response::new(Full::new(bytes::Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
