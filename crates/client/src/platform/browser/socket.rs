//! The browser's WebSocket. What the server's certificate is worth is the browser's to judge; which server it is, the handshake above shows.

use super::{instant, said, sleep_until};
use crate::platform::Session;
use crate::{ClientError, Endpoint};
use bytes::Bytes;
use js_sys::{ArrayBuffer, Uint8Array};
use std::rc::Rc;
use std::time::Duration;
use tidings_proto::limits;
use tokio::sync::mpsc;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{BinaryType, MessageEvent, WebSocket};

/// What has not left yet beyond this makes whoever writes wait.
const BUFFERED: u32 = 2 * limits::CLIENT_FRAME as u32;
/// How often it is looked whether it has left: browsers do not say.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A WebSocket to a server that has proved nothing yet.
pub struct Pipe {
    /// What comes in.
    pub reader: PipeReader,
    /// What goes out.
    pub writer: PipeWriter,
    /// The session below.
    pub session: Session,
}

/// The incoming half.
pub struct PipeReader {
    events: mpsc::UnboundedReceiver<Event>,
    _socket: Rc<Open>,
}

/// The outgoing half.
pub struct PipeWriter(Rc<Open>);

enum Event {
    Opened,
    Frame(Bytes),
    Text,
    Closed,
}

/// A socket with those who listen to it. It is closed when both halves are gone.
struct Open {
    socket: WebSocket,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _open: Closure<dyn FnMut()>,
    _close: Closure<dyn FnMut()>,
}

impl Open {
    fn new(socket: WebSocket, events: mpsc::UnboundedSender<Event>) -> Open {
        socket.set_binary_type(BinaryType::Arraybuffer);
        let tell = events.clone();
        let message = Closure::new(move |event: MessageEvent| {
            let event = match event.data().dyn_into::<ArrayBuffer>() {
                Ok(buffer) => Event::Frame(Uint8Array::new(&buffer).to_vec().into()),
                Err(_) => Event::Text,
            };
            let _ = tell.send(event);
        });
        let tell = events.clone();
        let open = Closure::new(move || {
            let _ = tell.send(Event::Opened);
        });
        let close = Closure::new(move || {
            let _ = events.send(Event::Closed);
        });
        socket.set_onmessage(Some(message.as_ref().unchecked_ref()));
        socket.set_onopen(Some(open.as_ref().unchecked_ref()));
        // An error is always followed by this.
        socket.set_onclose(Some(close.as_ref().unchecked_ref()));
        Open { socket, _message: message, _open: open, _close: close }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.socket.set_onmessage(None);
        self.socket.set_onopen(None);
        self.socket.set_onclose(None);
        let _ = self.socket.close();
    }
}

/// Dials the server that the page comes from.
pub async fn connect(endpoint: &Endpoint) -> Result<Pipe, ClientError> {
    let address = endpoint.host_and_port();
    let failed = |why: String| ClientError::Unreachable { address: address.clone(), why };
    let scheme = if endpoint.plain { "ws" } else { "wss" };
    let socket = WebSocket::new(&format!("{scheme}://{address}/client")).map_err(|error| failed(said(&error)))?;
    let (tell, mut events) = mpsc::unbounded_channel();
    let socket = Rc::new(Open::new(socket, tell));
    match events.recv().await {
        Some(Event::Opened) => {
            Ok(Pipe { reader: PipeReader { events, _socket: socket.clone() }, writer: PipeWriter(socket), session: Session::Unseen })
        }
        _ => Err(failed("it does not answer, or its certificate is not accepted".into())),
    }
}

impl PipeReader {
    /// The next frame's bytes; none when the other side has closed. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.events.recv().await {
                Some(Event::Frame(frame)) if frame.len() > limits::CLIENT_FRAME => {
                    return Err(ClientError::ServerMisbehaved("a frame is too long".into()));
                }
                Some(Event::Frame(frame)) => return Ok(Some(frame)),
                Some(Event::Opened) => {}
                Some(Event::Text) => return Err(ClientError::ServerMisbehaved("text came where frames are binary".into())),
                Some(Event::Closed) | None => return Ok(None),
            }
        }
    }
}

impl PipeWriter {
    /// Sends frames, and waits while too much has not left.
    pub async fn send(&mut self, frames: impl IntoIterator<Item = Bytes>) -> Result<(), ClientError> {
        let broken = |why: String| ClientError::Unreachable { address: "the server".into(), why };
        let socket = &self.0.socket;
        for frame in frames {
            if socket.ready_state() != WebSocket::OPEN {
                return Err(broken("the connection was closed".into()));
            }
            socket.send_with_u8_array(&frame).map_err(|error: JsValue| broken(said(&error)))?;
        }
        while socket.buffered_amount() > BUFFERED && socket.ready_state() == WebSocket::OPEN {
            sleep_until(instant() + LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Says goodbye; whether it is heard does not matter.
    pub async fn close(&mut self) {
        let _ = self.0.socket.close();
    }
}
