//! The server that the pages come from, as it says itself in `/tidings.json`.

use crate::worker;
use serde::Deserialize;
use std::time::Duration;
use tidings_client::setup::parse_server_key;
use tidings_client::{ClientError, Endpoint, ServerName};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

/// A server that says nothing for so long is away.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `/tidings.json` says.
#[derive(Clone, Deserialize)]
pub struct Site {
    /// The server's name.
    pub name: String,
    /// Its key, where whoever serves the pages knows it from elsewhere.
    pub key: Option<String>,
    /// Who may make an account there; none where whoever serves the pages is not the server.
    pub registration: Option<String>,
    /// Whether that key was known before it was first seen.
    pub pinned: bool,
}

impl Site {
    /// Asks for it.
    pub async fn fetch() -> Result<Site, ClientError> {
        let asked = async {
            let response: Response = JsFuture::from(worker().fetch_with_str("/tidings.json")).await?.dyn_into()?;
            if !response.ok() {
                return Err(response.status_text().into());
            }
            JsFuture::from(response.text()?).await
        };
        let unreachable = |why: &str| ClientError::Unreachable { address: host(), why: why.into() };
        let text = tokio::select! {
            text = asked => text.map_err(|_| unreachable("it does not answer"))?.as_string().unwrap_or_default(),
            () = gloo_timers::future::sleep(PATIENCE) => return Err(unreachable("it does not answer")),
        };
        serde_json::from_str(&text).map_err(|_| unreachable("what answers there is no server of Tidings"))
    }

    /// The server's name.
    pub fn server(&self) -> Result<ServerName, ClientError> {
        self.name.parse().map_err(|_| ClientError::ServerMisbehaved("it says a name that is none".into()))
    }

    /// Where it is dialled: where the pages come from.
    pub fn endpoint(&self) -> Result<Endpoint, ClientError> {
        let key = match &self.key {
            Some(key) => Some(parse_server_key(key).map_err(|_| ClientError::ServerMisbehaved("it says a key that is none".into()))?),
            None => None,
        };
        Ok(Endpoint { name: self.server()?, address: host(), key, plain: is_plain() })
    }
}

/// Host and port of these pages.
pub fn host() -> String {
    let (host, port) = (worker().location().hostname(), worker().location().port());
    match port.as_str() {
        "" if is_plain() => format!("{host}:80"),
        "" => format!("{host}:443"),
        port => format!("{host}:{port}"),
    }
}

/// Whether they came without TLS.
fn is_plain() -> bool {
    worker().location().protocol() == "http:"
}
