//! The protocol's wire: JSON over one WebSocket, questions and answers by number, events as they come.

use crate::PATIENCE;
use futures_util::stream::{SplitSink, StreamExt};
use futures_util::{SinkExt, TryStreamExt};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

type Answers = HashMap<u64, oneshot::Sender<Result<Value, String>>>;

#[derive(Default)]
struct State {
    asked: u64,
    answers: Answers,
    /// By session.
    complaints: Vec<(String, String)>,
}

/// A browser that listens.
pub struct Wire {
    out: tokio::sync::Mutex<SplitSink<WebSocketStream<TcpStream>, Message>>,
    state: Arc<Mutex<State>>,
}

impl Wire {
    /// Connects to `ws://host:port/…`.
    pub async fn connect(address: &str) -> Wire {
        let host = address.strip_prefix("ws://").and_then(|rest| rest.split('/').next()).expect("an address");
        let tcp = TcpStream::connect(host).await.expect("a browser that listens");
        // Pictures come in one piece.
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (socket, _) = tokio_tungstenite::client_async_with_config(address, tcp, Some(config)).await.expect("a WebSocket");
        let (out, mut input) = socket.split();
        let state = Arc::<Mutex<State>>::default();
        let heard = state.clone();
        tokio::spawn(async move {
            while let Ok(Some(message)) = input.try_next().await {
                if let Message::Text(text) = message
                    && let Ok(value) = serde_json::from_str(&text)
                {
                    hear(&heard, value);
                }
            }
            // Whoever waits learns that nobody answers any more.
            heard.lock().unwrap_or_else(PoisonError::into_inner).answers.clear();
        });
        Wire { out: tokio::sync::Mutex::new(out), state }
    }

    /// Asks; what is refused is a mistake of the harness.
    pub async fn ask(&self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.try_ask(session, method, parameters).await.unwrap_or_else(|why| panic!("{method}: {why}"))
    }

    /// Asks what may be refused.
    pub async fn try_ask(&self, session: Option<&str>, method: &str, parameters: Value) -> Result<Value, String> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.asked += 1;
            let id = state.asked;
            state.answers.insert(id, sender);
            id
        };
        let mut question = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            question["sessionId"] = json!(session);
        }
        self.out.lock().await.send(Message::text(question.to_string())).await.map_err(|error| error.to_string())?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("the browser has gone".into()),
            Err(_) => Err("no answer in time".into()),
        }
    }

    /// What was complained about on a page.
    pub fn complaints(&self, session: &str) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.complaints.iter().filter(|(of, _)| of == session).map(|(_, what)| what.clone()).collect()
    }
}

fn hear(state: &Mutex<State>, mut value: Value) {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sender) = value["id"].as_u64().and_then(|id| state.answers.remove(&id)) {
        let answer = match &value["error"] {
            Value::Null => Ok(value["result"].take()),
            error => Err(error.to_string()),
        };
        // Nobody waits any more where the test has ended.
        let _ = sender.send(answer);
        return;
    }
    let session = value["sessionId"].as_str().unwrap_or_default().to_owned();
    let complaint = match value["method"].as_str() {
        Some("Runtime.exceptionThrown") => Some(value["params"]["exceptionDetails"].to_string()),
        Some("Log.entryAdded") if value["params"]["entry"]["level"] == "error" => Some(value["params"]["entry"].to_string()),
        _ => None,
    };
    state.complaints.extend(complaint.map(|what| (session, what)));
}
