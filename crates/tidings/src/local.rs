//! `tidings client`: the web client from this program, to a browser on this machine. The server that it talks to cannot change its code, and
//! TLS to it is checked here by the server's own key, so there is no certificate to accept.
//!
//! Only for this machine: listens on loopback, answers only to its own name (a page of a name that points here gets nothing), and opens
//! links only for its own pages.

use crate::cli::{Global, LocalArguments};
use crate::failure::Failure;
use crate::look::{self, Look};
use crate::site::PAGES;
use crate::{layers, profile};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, future};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue, LOCATION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::convert::Infallible;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidings_client::{ClientError, ClientSetup, Endpoint, relay};
use tidings_proto::limits;
use tidings_setup::value;
use tidings_site::Home;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// How long a browser may take for the head of a request.
const HEAD: Duration = Duration::from_secs(10);

/// What is served, and to where.
struct Local {
    setup: ClientSetup,
    /// Where the server is dialled.
    server: String,
    /// What this is called in a browser's address bar, without the scheme.
    host: String,
    /// Who the server has proved to be, once it has.
    found: Mutex<Option<Endpoint>>,
}

/// Runs the command.
pub async fn run(global: &Global, arguments: LocalArguments) -> Result<u8, Failure> {
    profile::start_log("warn")?;
    let at = &arguments.at;
    let setup = layers::client(global, &[("server_ip", at.server.as_deref()), ("server_key", at.server_key.as_deref())])?;
    let Some(server) = setup.server_ip.clone().or_else(|| setup.server_name.as_ref().map(ToString::to_string)) else {
        return Err(Failure::config("where is the server? Say \"server_ip\" in client_setup.json, or --server HOST"));
    };
    if !PAGES.are_built() {
        return Err(Failure::config("this program was built without the web client; `cargo xtask build` makes one that has it"));
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await.map_err(|error| taken(arguments.port, &error))?;
    let host = listener.local_addr()?.to_string();
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let local = Arc::new(Local { setup, server, host, found: Mutex::default() });
    introduce(&local, Look::of_stdout(global.json))?;
    if !arguments.no_browser {
        open_browser(&format!("http://{}/", local.host));
    }
    tokio::select! {
        () = serve(local, listener) => {}
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(0)
}

/// Browsers keep what a page stores by its address, port and all: on another port there would be no account.
fn taken(port: u16, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::AddrInUse => Failure::later(format!(
            "port {port} is taken, perhaps by another `tidings client`. Close that one: what a browser has stored for this port is not found on another. Whoever has nothing stored yet can take --port"
        )),
        _ => Failure::config(format!("port {port} cannot be listened on: {error}")),
    }
}

fn introduce(local: &Local, look: Look) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let address = format!("http://{}/", local.host);
    if look.json {
        let served = json!({ "address": address, "server": local.server, "pid": std::process::id() });
        writeln!(out, "{}", look::object("client", &served))?;
    } else {
        writeln!(out, "{}", look.paint(look::BOLD, &address))?;
        writeln!(out, "is your chat, for browsers on this machine, by way of {}. Ctrl-C ends it.", local.server)?;
    }
    out.flush()
}

/// Whoever has no browser, or no desktop, has the address.
fn open_browser(address: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Stdio::null;
    if let Ok(mut child) = std::process::Command::new(opener).arg(address).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn() {
        // It ends by itself, and is waited for so that it leaves nothing behind.
        std::thread::spawn(move || child.wait());
    }
}

async fn serve(local: Arc<Local>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((tcp, address)) => {
                tokio::spawn(connection(local.clone(), tcp, address));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(local: Arc<Local>, tcp: TcpStream, address: SocketAddr) {
    let service = service_fn(|request| {
        let local = local.clone();
        async move { Ok::<_, Infallible>(answer(&local, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(tcp), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%address, %error, "a browser's connection ended");
    }
}

async fn answer(local: &Arc<Local>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if host != local.host {
        return elsewhere(local, host);
    }
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
    }
    match request.uri().path() {
        "/client" => upgrade(local, request),
        "/tidings.json" => match find(local).await {
            Ok(endpoint) => PAGES
                .answer(&home(local, &endpoint), "/tidings.json", request.headers())
                .unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "")),
            Err(error) => {
                tracing::warn!(%error, "the server cannot be asked who it is");
                plain(StatusCode::BAD_GATEWAY, &format!("{error}\n"))
            }
        },
        // Which server it is concerns no file.
        path => {
            PAGES.answer(&unknown(), path, request.headers()).unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "there is nothing here\n"))
        }
    }
}

/// A browser that calls this `localhost` is sent to where its storage is. Any other name is one that somebody has pointed here.
fn elsewhere(local: &Local, host: &str) -> Response<Full<Bytes>> {
    let port = local.host.rsplit_once(':').map_or("", |(_, port)| port);
    let mut response = if host == format!("localhost:{port}") {
        plain(StatusCode::TEMPORARY_REDIRECT, "")
    } else {
        return plain(StatusCode::MISDIRECTED_REQUEST, "this is not the name of what is served here\n");
    };
    if let Ok(address) = HeaderValue::from_str(&format!("http://{}/", local.host)) {
        response.headers_mut().insert(LOCATION, address);
    }
    response
}

/// Who the server is: said in the setup, or by the server itself, which proves it by its key.
async fn find(local: &Local) -> Result<Endpoint, ClientError> {
    let known = local.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(known) = known {
        return Ok(known);
    }
    let (name, key) = (local.setup.server_name.as_ref(), local.setup.server_key);
    if let (Some(name), Some(key)) = (name, key) {
        return Ok(Endpoint { name: name.clone(), address: local.server.clone(), key: Some(key), plain: false });
    }
    let found = relay::who(&local.server, name, key).await?;
    *local.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
    Ok(found)
}

fn home(local: &Local, endpoint: &Endpoint) -> Home {
    let key = endpoint.key.as_ref().map(value::show_server_key);
    Home { name: endpoint.name.to_string(), key, registration: None, pinned: local.setup.server_key.is_some() }
}

fn unknown() -> Home {
    Home { name: String::new(), key: None, registration: None, pinned: false }
}

fn upgrade(local: &Arc<Local>, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let headers = request.headers();
    if tidings_site::same_origin(headers).is_err() {
        return plain(StatusCode::FORBIDDEN, "only the pages from here get links\n");
    }
    let (key, version) = (headers.get(SEC_WEBSOCKET_KEY).cloned(), headers.get(SEC_WEBSOCKET_VERSION));
    let (Some(key), true) = (key, version.is_some_and(|version| version == "13")) else {
        return plain(StatusCode::UPGRADE_REQUIRED, "this address speaks WebSocket\n");
    };
    let (upgrading, local) = (hyper::upgrade::on(&mut request), local.clone());
    tokio::spawn(async move {
        let Ok(upgraded) = upgrading.await else { return };
        let config = WebSocketConfig::default().max_message_size(Some(limits::CLIENT_FRAME)).max_frame_size(Some(limits::CLIENT_FRAME));
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        let frames = socket
            .filter_map(|message| {
                future::ready(message.ok().and_then(|message| if let Message::Binary(frame) = message { Some(frame) } else { None }))
            })
            .with(|frame: Bytes| future::ok::<_, tokio_tungstenite::tungstenite::Error>(Message::Binary(frame)));
        let relayed = async { relay::carry(&find(&local).await?, frames).await };
        if let Err(error) = relayed.await {
            tracing::warn!(%error, "a page gets no link");
        }
    });
    let mut response = plain(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = derive_accept_key(key.as_bytes()).parse() {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response
}
