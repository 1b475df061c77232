//! The accept loop: TCP, TLS, HTTP, and from there `/client`, `/federation` or a health check.
//!
//! Links that have not authenticated are counted, per address and in all, and have ten seconds. One bad connection never
//! ends the loop.

use super::handshake::Session;
use super::wire::{Io, Wire};
use crate::host::Host;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidings_proto::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// How long a link may take to authenticate, from TCP on.
pub const AUTHENTICATE_WITHIN: Duration = Duration::from_secs(10);

/// How many links may be unauthenticated at once: from one address, and in all.
#[derive(Debug, Clone, Copy)]
pub struct GuestLimits {
    /// Per IPv4 address or IPv6 /64.
    pub per_address: usize,
    /// In all.
    pub in_all: usize,
}

impl Default for GuestLimits {
    fn default() -> Self {
        GuestLimits { per_address: 20, in_all: 1000 }
    }
}

/// Counts the links that have not authenticated yet.
#[derive(Default)]
pub struct Guests(Mutex<HashMap<IpAddr, usize>>);

/// One unauthenticated link's place; given back when dropped.
pub struct GuestPlace {
    guests: Arc<Guests>,
    address: IpAddr,
}

impl Guests {
    /// A place for a link from `address`, if there is one.
    pub fn enter(self: &Arc<Self>, address: IpAddr, limits: GuestLimits) -> Option<GuestPlace> {
        let address = network(address);
        let mut counts = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let in_all: usize = counts.values().sum();
        let here = counts.entry(address).or_default();
        if *here >= limits.per_address || in_all >= limits.in_all {
            return None;
        }
        *here += 1;
        Some(GuestPlace { guests: self.clone(), address })
    }
}

impl Drop for GuestPlace {
    fn drop(&mut self) {
        let mut counts = self.guests.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// What is counted as one address: an IPv4 address, or an IPv6 /64.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

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
                let Some(place) = host.guests.enter(address.ip(), host.guest_limits) else { continue };
                let (host, tls) = (host.clone(), tls.clone());
                host.clone().tasks.spawn(async move {
                    if let Err(error) = connection(host, tcp, address, tls, place).await {
                        tracing::debug!(%address, %error, "a connection ended before it was a link");
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
    let stopping = host.stopping.clone();
    let service = service_fn(move |request| {
        let response = answer(&host, request, session, address, &place);
        async move { Ok::<_, Infallible>(response) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(AUTHENTICATE_WITHIN)
        .max_buf_size(8 * 1024)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    tokio::select! {
        done = serving => done?,
        () = stopping.cancelled() => {}
    }
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
        _ => plain(StatusCode::NOT_FOUND, "there is nothing here\n"),
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
    let link_host = host.clone();
    // A fresh task: the one that did TLS and HTTP has grown a large stack frame that a link would keep for its life.
    host.tasks.spawn(async move {
        let Ok(upgraded) = upgrading.await else { return };
        let io: Io = Box::new(TokioIo::new(upgraded));
        let max = if is_client { limits::CLIENT_FRAME } else { limits::PEER_FRAME };
        let wire = Wire::new(io, Role::Server, max).await;
        let arrival = Arrival { wire, session, address, place };
        if is_client {
            crate::api::serve(link_host, arrival).await;
        } else {
            crate::federation::serve(link_host, arrival).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_are_counted_per_address_and_in_all() {
        let guests = Arc::new(Guests::default());
        let limits = GuestLimits { per_address: 2, in_all: 3 };
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = guests.enter(a, limits).unwrap();
        let _second = guests.enter(a, limits).unwrap();
        assert!(guests.enter(a, limits).is_none(), "a third from one address");
        let _third = guests.enter(b, limits).unwrap();
        assert!(guests.enter(b, limits).is_none(), "a fourth in all");
        drop(first);
        assert!(guests.enter(b, limits).is_some());
    }

    #[test]
    fn one_ipv6_network_counts_as_one_address() {
        let network = |text: &str| super::network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
    }
}
