//! The web client as files: what is served at which path, compressed how, and under which headers. `cargo xtask web` makes the files; a
//! server and `tidings client` serve them.
//!
//! Pure: a request's path and headers in, an answer out. Not here: sockets, and the WebSocket behind the page, of which only the question
//! whether it may be opened from where it is asked for is answered ([`same_origin`]).

mod kinds;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use std::fmt;

/// A file of the web client, as it was built.
#[derive(Debug)]
pub struct File {
    /// What it is called in the path.
    pub name: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
    /// The same, brotli.
    pub packed: Option<&'static [u8]>,
}

/// All of them; none in a program that was built without the web client.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pages(pub &'static [File]);

/// The page at `/`.
const FIRST: &str = "index.html";
const NOT_BUILT: &str = "This program was built without the web client. `cargo xtask build` makes one that has it.\n";

/// What a page may load and do: its own files, WebAssembly, pictures that it made itself, and links to where it came from. Scripts only
/// from the addresses that the one policy named here lets through; nothing inline; no frames around it.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types tidings";

/// On every answer, page or not.
const ALWAYS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// What a page has to know about where it came from: `/tidings.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The server's name.
    pub name: String,
    /// Its key, base64url, where whoever serves this knows it.
    pub key: Option<String>,
    /// Who may make an account: `open`, `invitation` or `closed`; none where whoever serves this does not know.
    pub registration: Option<&'static str>,
    /// Whether the key comes from this machine, and not from the server that it is to be checked against.
    pub pinned: bool,
}

impl Pages {
    fn find(self, name: &str) -> Option<&'static File> {
        self.0.iter().find(|file| file.name == name)
    }

    /// Whether there are any.
    pub fn are_built(self) -> bool {
        self.find(FIRST).is_some()
    }

    /// The answer to a GET of `path` (without its query), if there is anything.
    pub fn answer(self, home: &Home, path: &str, asked: &HeaderMap) -> Option<Response<Full<Bytes>>> {
        if path == "/tidings.json" {
            return Some(respond(StatusCode::OK, "application/json", "no-store", described(home).into()));
        }
        let name = if path == "/" { FIRST } else { path.strip_prefix('/')? };
        match self.find(name) {
            Some(found) => Some(file(found, asked)),
            None if path == "/" => Some(respond(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "no-store", NOT_BUILT.into())),
            None => None,
        }
    }
}

fn described(home: &Home) -> String {
    let Home { name, key, registration, pinned } = home;
    serde_json::json!({ "name": name, "key": key, "registration": registration, "pinned": pinned }).to_string()
}

fn file(built: &File, asked: &HeaderMap) -> Response<Full<Bytes>> {
    let packed = built.packed.filter(|_| takes_brotli(asked));
    // A hash in the name: whatever has this name is this file, for ever. The others are asked for again each time.
    let cache = if kinds::is_hashed(built.name) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = respond(StatusCode::OK, kinds::media_type(built.name), cache, Bytes::from_static(packed.unwrap_or(built.bytes)));
    let headers = response.headers_mut();
    if built.packed.is_some() {
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if packed.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    response
}

fn respond(status: StatusCode, media_type: &'static str, cache: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

/// Whether brotli is among what is accepted, and not with a weight of 0 (RFC 9110 §12.5.3).
fn takes_brotli(asked: &HeaderMap) -> bool {
    let codings = asked.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(','));
    let mut weights = codings.filter_map(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_brotli = parts.next()?.eq_ignore_ascii_case("br");
        let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.parse::<f32>().ok());
        is_brotli.then_some(weight.unwrap_or(1.0))
    });
    weights.next().is_some_and(|weight| weight > 0.0)
}

/// Why a link is not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignOrigin(String);

impl fmt::Display for ForeignOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a page of {} wants a link to this server, and only its own pages get one", self.0)
    }
}

/// Whether a WebSocket that is asked for with these headers is asked for by one of our own pages, or by no page at all: a browser says in
/// `Origin` (RFC 6454 §7) from which page a request comes, and lets no page say otherwise.
///
/// # Errors
/// [`ForeignOrigin`] for a page of another host or port, and for one that will not say.
pub fn same_origin(headers: &HeaderMap) -> Result<(), ForeignOrigin> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("an origin that cannot be read");
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let from = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    match (from, host) {
        (Some(from), Some(host)) if from.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(ForeignOrigin(origin.to_owned())),
    }
}

#[cfg(test)]
mod tests;
