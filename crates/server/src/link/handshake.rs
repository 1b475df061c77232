//! Both ends of a link prove their keys over one transcript. What came before the proof is believed by nobody.

use super::wire::{LinkError, Wire};
use crate::identity::Identity;
use bytes::Bytes;
use rand_core::{OsRng, RngCore};
use tidings_proto::frame::{Proof, Ready, Refused};
use tidings_proto::handshake::{Hello, Party, VERSIONS, proof_bytes, same_tls_session, transcript};
use tidings_proto::{Code, Frame, Hash, Nonce, Refusal, ServerKey, ServerName, limits};
use tidings_trust::ed25519::{verify_device, verify_server};

/// What TLS says about the session a link runs in; nothing of it on plain loopback links.
#[derive(Debug, Clone, Copy, Default)]
pub struct Session {
    /// The session's exporter.
    pub exporter: Option<Hash>,
    /// SHA-256 of the accepting side's SubjectPublicKeyInfo, as seen in TLS.
    pub spki: Option<Hash>,
}

/// What a finished handshake proved about the other side.
pub struct Proved {
    /// Who it is; its key has signed.
    pub party: Party,
    /// What both have signed; a login is bound to it.
    pub transcript: Hash,
}

/// The accepting side. The proof of the dialler is checked, whether it may do anything is the caller's question; the
/// caller answers it with [`ready`] or a refusal.
pub async fn accept(wire: &mut Wire, me: &ServerName, identity: &Identity, session: Session, max: usize) -> Result<Proved, LinkError> {
    let result = accept_inner(wire, me, identity, session, max).await;
    if let Err(LinkError::Refused(why)) = &result {
        refuse(wire, why.clone()).await;
    }
    result
}

async fn accept_inner(wire: &mut Wire, me: &ServerName, identity: &Identity, session: Session, max: usize) -> Result<Proved, LinkError> {
    let theirs = wire.reader.next().await?;
    let hello = read_hello(&theirs)?;
    if matches!(hello.party, Party::Server { .. }) {
        return Err(Refusal::new(Code::WrongState, "a dialling side says hello as a device or a peer").into());
    }
    if hello.to.as_ref().is_some_and(|to| to != me) {
        return Err(Refusal::new(Code::WrongServer, format!("this server is {me}")).into());
    }
    let Some(version) = VERSIONS.iter().copied().filter(|version| hello.versions.contains(version)).max() else {
        return Err(Code::NoCommonVersion.into()).map_err(|why: Refusal| why.into());
    };
    if !same_tls_session(&session.exporter, &hello.exporter) {
        return Err(Refusal::new(Code::WrongServer, "the two sides see different TLS sessions").into());
    }
    let party = Party::Server { name: me.clone(), key: identity.key(), spki: session.spki };
    let ours = hello_frame(party.clone(), vec![version], max, session.exporter, None);
    let transcript = transcript(&theirs, &ours);
    wire.writer.feed(ours).await?;
    let sig = identity.sign(&proof_bytes(&party, &transcript));
    wire.writer.send(Frame::from(Proof { sig }).encode()).await?;

    wire.allowance.one_more(limits::GUEST_FRAME);
    let Frame::Proof(Proof { sig }) = read_guest(&wire.reader.next().await?)? else {
        return Err(Refusal::new(Code::WrongState, "a proof is expected here").into());
    };
    let signed = proof_bytes(&hello.party, &transcript);
    match &hello.party {
        Party::Device { key, .. } => verify_device(key, &signed, &sig),
        Party::Peer { key, .. } | Party::Server { key, .. } => verify_server(key, &signed, &sig),
    }
    .map_err(|_| LinkError::Refused(Code::BadSignature.into()))?;
    wire.allowance.one_more(limits::GUEST_FRAME);
    Ok(Proved { party: hello.party, transcript })
}

/// The dialling side, between servers: `expected` is who must answer, by name and by pinned key.
pub async fn dial(
    wire: &mut Wire,
    me: &ServerName,
    identity: &Identity,
    session: Session,
    expected: (&ServerName, &ServerKey),
) -> Result<Ready, LinkError> {
    let party = Party::Peer { name: me.clone(), key: identity.key() };
    let ours = hello_frame(party.clone(), VERSIONS.to_vec(), limits::PEER_FRAME, session.exporter, Some(expected.0.clone()));
    wire.writer.send(ours.clone()).await?;
    wire.allowance.one_more(2 * limits::GUEST_FRAME);
    let theirs = wire.reader.next().await?;
    let hello = read_hello(&theirs)?;
    let wrong = |text: &str| LinkError::Refused(Refusal::new(Code::WrongServer, text));
    let Party::Server { name, key, spki } = &hello.party else {
        return Err(wrong("the other side does not say hello as a server"));
    };
    if name != expected.0 || key != expected.1 {
        return Err(wrong("the server that answers has another name or key than the one in mailing_address"));
    }
    if *spki != session.spki || !same_tls_session(&session.exporter, &hello.exporter) {
        return Err(wrong("the server's certificate is not the one it has signed: somebody may stand between"));
    }
    let transcript = transcript(&ours, &theirs);
    let Frame::Proof(Proof { sig }) = read_guest(&wire.reader.next().await?)? else {
        return Err(LinkError::PeerMisbehaved("something else where its proof should be"));
    };
    verify_server(key, &proof_bytes(&hello.party, &transcript), &sig).map_err(|_| LinkError::Refused(Code::BadSignature.into()))?;
    let sig = identity.sign(&proof_bytes(&party, &transcript));
    wire.writer.send(Frame::from(Proof { sig }).encode()).await?;
    wire.allowance.one_more(limits::GUEST_FRAME);
    match read_guest(&wire.reader.next().await?)? {
        Frame::Ready(ready) => {
            wire.allowance.lift();
            Ok(ready)
        }
        _ => Err(LinkError::PeerMisbehaved("something else where it should be ready")),
    }
}

/// Ends a handshake well.
pub async fn ready(wire: &mut Wire, ready: Ready) -> Result<(), LinkError> {
    wire.writer.send(Frame::from(ready).encode()).await
}

/// Ends a handshake, or a link, with a reason.
pub async fn refuse(wire: &mut Wire, why: Refusal) {
    if wire.writer.send(Frame::from(Refused { req: 0, why, log: None }).encode()).await.is_ok() {
        wire.writer.close().await;
    }
}

fn hello_frame(party: Party, versions: Vec<u32>, max: usize, exporter: Option<Hash>, to: Option<ServerName>) -> Bytes {
    let mut nonce = [0; 32];
    OsRng.fill_bytes(&mut nonce);
    Frame::from(Hello { party, nonce: Nonce(nonce), versions, frame: max as u64, exporter, to }).encode()
}

fn read_hello(bytes: &[u8]) -> Result<Hello, LinkError> {
    match read_guest(bytes)? {
        Frame::Hello(hello) => Ok(hello),
        _ => Err(Refusal::new(Code::WrongState, "a link starts with a hello").into()),
    }
}

/// A frame from a side that has not proved itself yet; a refusal from it ends the handshake.
fn read_guest(bytes: &[u8]) -> Result<Frame, LinkError> {
    match Frame::read(bytes, limits::GUEST_FRAME)? {
        Frame::Refused(refused) => Err(LinkError::Refused(refused.why)),
        frame => Ok(frame),
    }
}
