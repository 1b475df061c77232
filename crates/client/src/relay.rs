//! Between a page on this machine and the home server: the frames of each go to the other as they are. Native.
//!
//! A page cannot see TLS, so it cannot know that the server which proves its key is the one at the other end of the encryption. Who
//! relays can: the server's hello and proof pass by here, and go on to the page only once they have been checked as any client of this
//! program checks them, against the certificate that was really shown. What the page sends and opens it seals itself.

use crate::link::{self, Me};
use crate::platform::{self, Pipe};
use crate::{ClientError, Endpoint};
use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use std::str::FromStr;
use std::time::Duration;
use tidings_e2ee::DeviceSecret;
use tidings_proto::handshake::Party;
use tidings_proto::{Hash, ServerKey, ServerName, UserName};

/// How long a server may take to prove itself.
const PROVE: Duration = Duration::from_secs(10);

/// The name and the key of the server at an address, as it proves them. Nobody logs in.
///
/// # Errors
/// [`ClientError::ServerKeyChanged`] where it is not the key that was to be expected, [`ClientError::WrongServer`] where it is another server.
pub async fn who(address: &str, name: Option<&ServerName>, key: Option<ServerKey>) -> Result<Endpoint, ClientError> {
    let asked = async {
        let called = |name| Endpoint { name, address: address.to_owned(), key, plain: false };
        let name = match name {
            Some(name) => name.clone(),
            // What it is called in the meantime is nobody's name, and not sent.
            None => says_to_be(&called(ServerName::from_str("unknown").map_err(|error| ClientError::OurBug(error.to_string()))?)).await?,
        };
        let endpoint = called(name);
        let mut pipe = platform::connect(&endpoint).await?;
        let ours = stranger(Some(endpoint.name.clone()), &endpoint.name, pipe.session.exporter())?;
        pipe.writer.send([ours.clone()]).await?;
        let proved = link::proved(&mut pipe, &endpoint, &ours).await?;
        pipe.writer.close().await;
        Ok(Endpoint { key: Some(proved.server_key), ..endpoint })
    };
    tokio::time::timeout(PROVE, asked).await.unwrap_or(Err(ClientError::TimedOut))
}

/// What the server at an address says that it is called.
async fn says_to_be(endpoint: &Endpoint) -> Result<ServerName, ClientError> {
    let mut pipe = platform::connect(endpoint).await?;
    let ours = stranger(None, &endpoint.name, pipe.session.exporter())?;
    pipe.writer.send([ours]).await?;
    let (_, hello) = link::their_hello(&mut pipe, endpoint).await?;
    pipe.writer.close().await;
    match hello.party {
        Party::Server { name, .. } => Ok(name),
        _ => Err(ClientError::ServerMisbehaved("it does not say hello as a server".into())),
    }
}

/// A hello of nobody: some name and some key, neither of which is proved after.
fn stranger(to: Option<ServerName>, at: &ServerName, exporter: Option<Hash>) -> Result<Bytes, ClientError> {
    let user = UserName::new("nobody", at.clone()).map_err(|error| ClientError::OurBug(error.to_string()))?;
    let device = DeviceSecret::generate();
    Ok(link::hello(to, &Me { user: &user, device: device.public(), sign: &|bytes| device.sign(bytes) }, exporter))
}

/// Carries frames between a page and the server at `endpoint`, until either ends.
///
/// # Errors
/// What kept the server's proof from the page; nothing once both talk.
pub async fn carry<P>(endpoint: &Endpoint, page: P) -> Result<(), ClientError>
where
    P: Stream<Item = Bytes> + Sink<Bytes> + Unpin,
{
    let (mut to_page, mut from_page) = page.split();
    let begun = async {
        let Some(hello) = from_page.next().await else { return Ok(None) };
        let mut pipe = platform::connect(endpoint).await?;
        pipe.writer.send([hello.clone()]).await?;
        let proved = link::proved(&mut pipe, endpoint, &hello).await?;
        Ok::<_, ClientError>(Some((pipe, proved.frames)))
    };
    let Some((pipe, frames)) = tokio::time::timeout(PROVE, begun).await.unwrap_or(Err(ClientError::TimedOut))? else { return Ok(()) };
    let Pipe { mut reader, mut writer, .. } = pipe;
    let down = async {
        for frame in frames {
            to_page.send(frame).await.ok()?;
        }
        while let Ok(Some(frame)) = reader.next().await {
            to_page.send(frame).await.ok()?;
        }
        Some(())
    };
    let up = async {
        while let Some(frame) = from_page.next().await {
            writer.send([frame]).await.ok()?;
        }
        Some(())
    };
    // Which of them ended, and why, shows at the other two ends.
    tokio::select! {
        _ = down => {}
        _ = up => {}
    }
    let _ = to_page.close().await;
    writer.close().await;
    Ok(())
}
