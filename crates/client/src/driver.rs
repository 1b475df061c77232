//! Keeps the client linked: dials, hands frames to an engine, and dials again when the link is gone.
//!
//! One task reads, one writes, and this one decides: it owns the engine, and nobody else touches it.

use crate::ClientError;
use crate::engine::{Core, Engine};
use crate::link::{self, Link, Me};
use crate::platform::{self, PipeReader, PipeWriter, instant, sleep_until, timeout};
use crate::setup::Endpoint;
use crate::store::Store;
use crate::view;
use bytes::Bytes;
use rand_core::{OsRng, RngCore};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::{Frame, limits};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// The first pause before dialling again; doubled up to [`LONGEST_PAUSE`], and shaken so that not all come at once.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause before dialling again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Silence after which a sign of life is asked for.
const IDLE: Duration = Duration::from_secs(20);
/// Silence after which the link is given up.
const DEAD: Duration = Duration::from_secs(45);
/// What the other side does not take for so long, it will not take.
const STALLED: Duration = Duration::from_secs(30);
/// Frames taken at once.
const AT_ONCE: usize = 64;

/// What the driver and the handle share.
pub struct Control {
    /// Ends the driver.
    pub stop: CancellationToken,
    /// Something was written to the outbox.
    pub written: Notify,
    /// Where to dial. A change is used at the next dial, which it brings about.
    pub endpoint: watch::Sender<Endpoint>,
    /// Why linking was given up, or last failed.
    pub failure: watch::Sender<Failure>,
}

/// What stands in the way of a link.
#[derive(Debug, Clone, Default)]
pub enum Failure {
    /// Nothing known.
    #[default]
    None,
    /// It is tried again.
    Passing(ClientError),
    /// Somebody has to do something; nothing more is tried.
    Final(ClientError),
}

/// Runs until stopped, or until only a person can help.
pub async fn run(core: Arc<Core>, control: Arc<Control>) {
    let mut pause = FIRST_PAUSE;
    let mut endpoint = control.endpoint.subscribe();
    loop {
        let (ended, was_linked) = tokio::select! {
            ended = one_link(&core, &control) => ended,
            () = control.stop.cancelled() => break,
        };
        core.people().nobody_online();
        if was_linked {
            pause = FIRST_PAUSE;
        }
        let failed = match ended {
            Ok(()) => break,
            Err(error) => error,
        };
        let last_error = Some(failed.to_string());
        let goes_on = failed.is_passing() || matches!(failed, ClientError::Store(_));
        if !goes_on {
            tracing::warn!(error = %failed, "not linked, and not trying again");
            control.failure.send_replace(Failure::Final(failed));
            core.link.send_replace(view::Link::Connecting { last_error });
            core.touch();
            return;
        }
        tracing::debug!(error = %failed, "not linked");
        control.failure.send_replace(Failure::Passing(failed));
        core.link.send_replace(view::Link::Connecting { last_error });
        core.touch();
        endpoint.borrow_and_update();
        tokio::select! {
            () = sleep_until(instant() + shaken(pause)) => {}
            changed = endpoint.changed() => if changed.is_err() { break },
            () = control.stop.cancelled() => break,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    core.link.send_replace(view::Link::Idle);
    core.touch();
}

/// Between half and all of it.
fn shaken(pause: Duration) -> Duration {
    pause / 2 + (pause / 2).mul_f64(f64::from(OsRng.next_u32()) / f64::from(u32::MAX))
}

/// One link from dialling to its end; and whether it came to be caught up.
async fn one_link(core: &Arc<Core>, control: &Control) -> (Result<(), ClientError>, bool) {
    let mut was_linked = false;
    let ended = dial_and_serve(core, control, &mut was_linked).await;
    (ended, was_linked)
}

async fn dial_and_serve(core: &Arc<Core>, control: &Control, was_linked: &mut bool) -> Result<(), ClientError> {
    let endpoint = control.endpoint.borrow().clone();
    let device = core.crypto.device_secret().clone();
    let sign = move |bytes: &[u8]| device.sign(bytes);
    let me = Me { user: core.me(), device: core.crypto.device(), sign: &sign };
    let link = link::dial(&endpoint, &me).await?;
    if endpoint.key.is_none() {
        let pinned = Endpoint { key: Some(link.server_key), ..endpoint };
        let kept = pinned.clone();
        core.stored(move |store| store.set_endpoint(&kept)).await?;
        control.endpoint.send_if_modified(|endpoint| {
            endpoint.key = pinned.key;
            false
        });
    }
    core.people().at_home(link.server_key);
    if !link.ready.listed {
        return Err(ClientError::NotListed(core.me().clone()));
    }
    core.link.send_replace(view::Link::CatchingUp);
    core.touch();
    serve(core, control, link, was_linked).await
}

async fn serve(core: &Arc<Core>, control: &Control, link: Link, was_linked: &mut bool) -> Result<(), ClientError> {
    let Link { reader, writer, ready, .. } = link;
    let mut endpoint = control.endpoint.subscribe();
    let mut engine = Engine::start(core.clone(), ready, instant()).await?;
    let (frames_tx, mut frames) = mpsc::channel(AT_ONCE);
    let (out, out_rx) = mpsc::channel(8);
    let _reading = platform::spawn(read(reader, frames_tx));
    let _writing = platform::spawn(write(writer, out_rx));
    let (mut heard, mut asked) = (instant(), false);
    loop {
        let bytes: Vec<Bytes> = engine.take_out().iter().map(Frame::encode).collect();
        if !bytes.is_empty() && out.send(bytes).await.is_err() {
            return Err(lost("the server takes nothing any more"));
        }
        tell(core, control, &engine, was_linked).await?;
        let sign_of_life = heard + if asked { DEAD } else { IDLE };
        let wake = engine.wake_at().map_or(sign_of_life, |at| at.min(sign_of_life));
        let mut some = Vec::new();
        tokio::select! {
            count = frames.recv_many(&mut some, AT_ONCE) => {
                if count == 0 {
                    return Err(lost("the connection was closed"));
                }
                (heard, asked) = (instant(), false);
                let frames = some.into_iter().collect::<Result<Vec<Frame>, ClientError>>()?;
                engine.handle(frames, heard).await?;
            }
            () = control.written.notified() => engine.written(instant()).await?,
            () = sleep_until(wake) => {
                let now = instant();
                if now >= heard + DEAD {
                    return Err(lost("nothing was heard for too long"));
                }
                if now >= heard + IDLE && !asked {
                    asked = true;
                    engine.ping();
                }
                engine.tick(now).await?;
            }
            changed = endpoint.changed() => {
                changed.map_err(|_| ClientError::Closed)?;
                return Err(lost("the server's address was changed"));
            }
        }
    }
}

async fn tell(core: &Core, control: &Control, engine: &Engine, was_linked: &mut bool) -> Result<(), ClientError> {
    if engine.is_caught_up() && !*was_linked {
        *was_linked = true;
        core.stored(Store::all_is_here).await?;
        control.failure.send_replace(Failure::None);
        core.link.send_replace(view::Link::Linked { network: engine.network().to_vec() });
    }
    core.touch();
    Ok(())
}

fn lost(why: &str) -> ClientError {
    ClientError::Unreachable { address: "the server".into(), why: why.into() }
}

/// Reads until the link ends or nobody wants to know. The driver takes what comes in order; when it falls behind, so does
/// this, and then the server.
async fn read(mut reader: PipeReader, frames: mpsc::Sender<Result<Frame, ClientError>>) {
    loop {
        let frame = match reader.next().await {
            Ok(Some(bytes)) => Frame::read(&bytes, limits::CLIENT_FRAME),
            Ok(None) => return,
            Err(error) => {
                let _ = frames.send(Err(error)).await;
                return;
            }
        };
        let frame = match frame {
            Ok(frame) => Ok(frame),
            // A newer server may say more than this client understands.
            Err(why) if why.code == tidings_proto::Code::UnknownFrame => continue,
            Err(why) => Err(ClientError::ServerMisbehaved(why.text)),
        };
        let ends = frame.is_err();
        if frames.send(frame).await.is_err() || ends {
            return;
        }
    }
}

async fn write(mut writer: PipeWriter, mut out: mpsc::Receiver<Vec<Bytes>>) {
    while let Some(frames) = out.recv().await {
        if !matches!(timeout(STALLED, writer.send(frames)).await, Some(Ok(()))) {
            return;
        }
    }
    let _ = timeout(Duration::from_secs(1), writer.close()).await;
}

#[cfg(test)]
pub mod tests;
