//! The protocol's wire: JSON over one WebSocket, questions and answers by number, events as they come.

use super::PATIENCE;
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

type Out = tokio::sync::Mutex<SplitSink<WebSocketStream<TcpStream>, Message>>;

/// Events that tests wait for; all others are judged as they come, and forgotten.
const KEPT: [&str; 2] = ["Page.fileChooserOpened", "Page.javascriptDialogOpening"];

#[derive(Default)]
struct State {
    asked: u64,
    answers: Answers,
    /// By session.
    complaints: Vec<(String, String)>,
    /// By session: what is in [`KEPT`].
    events: Vec<(String, Value)>,
    /// The pages whose Workers have sessions of their own.
    pages: HashMap<String, String>,
}

/// A browser that listens.
pub struct Wire {
    out: Arc<Out>,
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
        let out = Arc::new(tokio::sync::Mutex::new(out));
        let (heard, replies) = (state.clone(), out.clone());
        tokio::spawn(async move {
            while let Ok(Some(message)) = input.try_next().await {
                if let Message::Text(text) = message
                    && let Ok(value) = serde_json::from_str(&text)
                {
                    for (session, method, parameters) in hear(&heard, value) {
                        // What comes of it nobody waits for; a browser that is gone has nothing to be asked.
                        let _ = say(&replies, &heard, Some(&session), method, parameters).await;
                    }
                }
            }
            // Whoever waits learns that nobody answers any more.
            heard.lock().unwrap_or_else(PoisonError::into_inner).answers.clear();
        });
        Wire { out, state }
    }

    /// Asks; what is refused is a mistake of the harness.
    pub async fn ask(&self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.try_ask(session, method, parameters).await.unwrap_or_else(|why| panic!("{method}: {why}"))
    }

    /// Asks what may be refused.
    pub async fn try_ask(&self, session: Option<&str>, method: &str, parameters: Value) -> Result<Value, String> {
        let answer = say(&self.out, &self.state, session, method, parameters).await?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("the browser has gone".into()),
            Err(_) => Err("no answer in time".into()),
        }
    }

    /// What has happened on a page of what is kept, each once: the next call gives what has happened since.
    pub fn take(&self, session: &str, method: &str) -> Vec<Value> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = state.events.extract_if(.., |(of, event)| of == session && event["method"] == method);
        taken.map(|(_, mut event)| event["params"].take()).collect()
    }

    /// What was complained about on a page, and in its Workers.
    pub fn complaints(&self, session: &str) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.complaints.iter().filter(|(of, _)| of == session).map(|(_, what)| what.clone()).collect()
    }
}

type Answer = oneshot::Receiver<Result<Value, String>>;

/// Sends a question.
async fn say(out: &Out, state: &Mutex<State>, session: Option<&str>, method: &str, parameters: Value) -> Result<Answer, String> {
    let (sender, answer) = oneshot::channel();
    let id = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked += 1;
        let id = state.asked;
        state.answers.insert(id, sender);
        id
    };
    let mut question = json!({ "id": id, "method": method, "params": parameters });
    if let Some(session) = session {
        question["sessionId"] = json!(session);
    }
    out.lock().await.send(Message::text(question.to_string())).await.map_err(|error| error.to_string())?;
    Ok(answer)
}

/// Takes in what came; gives what is to be said at once to whom.
fn hear(state: &Mutex<State>, mut value: Value) -> Vec<(String, &'static str, Value)> {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sender) = value["id"].as_u64().and_then(|id| state.answers.remove(&id)) {
        let answer = match &value["error"] {
            Value::Null => Ok(value["result"].take()),
            error => Err(error.to_string()),
        };
        // Nobody waits any more where the test has ended.
        let _ = sender.send(answer);
        return Vec::new();
    }
    let session = value["sessionId"].as_str().unwrap_or_default().to_owned();
    let (method, said) = (value["method"].as_str().unwrap_or_default(), &value["params"]);
    let replies = match method {
        // What a page asks is a person's to answer, who says yes: nothing goes on before.
        "Page.javascriptDialogOpening" => vec![(session.clone(), "Page.handleJavaScriptDialog", json!({ "accept": true }))],
        // A Worker of a page; a page itself is attached to by the browser's own session, which has no name.
        "Target.attachedToTarget" if !session.is_empty() => {
            let worker = said["sessionId"].as_str().unwrap_or_default().to_owned();
            state.pages.insert(worker.clone(), session.clone());
            vec![(worker.clone(), "Runtime.enable", json!({})), (worker, "Log.enable", json!({}))]
        }
        _ => Vec::new(),
    };
    let complaint = match method {
        "Runtime.exceptionThrown" => Some(said["exceptionDetails"].to_string()),
        "Log.entryAdded" if said["entry"]["level"] == "error" => Some(said["entry"].to_string()),
        "Runtime.consoleAPICalled" if said["type"] == "error" => Some(said["args"].to_string()),
        _ => None,
    };
    let page = state.pages.get(&session).cloned().unwrap_or(session);
    state.complaints.extend(complaint.map(|what| (page.clone(), what)));
    if KEPT.contains(&method) {
        state.events.push((page, value));
    }
    replies
}
