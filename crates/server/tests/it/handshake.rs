//! The handshake between servers, against other sides that lie: what is not proved on this very link ends it.

use crate::support::{SOON, server};
use tempfile::TempDir;
use tidings_proto::frame::{Proof, Ready};
use tidings_proto::handshake::{Hello, Party, VERSIONS, proof_bytes, transcript};
use tidings_proto::{Code, Frame, Hash, Nonce, limits};
use tidings_server::identity::Identity;
use tidings_server::link::handshake::{Proved, Session, accept, dial};
use tidings_server::link::wire::{LinkError, Wire};
use tokio_tungstenite::tungstenite::protocol::Role;

/// What the side that the test plays does differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    Nothing,
    AnotherName,
    AnotherKey,
    AnotherCertificate,
    NoCertificate,
    AnotherTlsSession,
    HidesTlsSession,
    ProofByAnotherKey,
    ProofOfAnotherTranscript,
    ProofOfAnotherRole,
    HelloOfAnotherRole,
    MeantForAnother,
}

/// What both sides see of TLS when nobody stands between.
const SESSION: Session = Session { exporter: Some(Hash([1; 32])), spki: Some(Hash([2; 32])) };

/// Two servers with keys, and a third whose keys nobody asked for.
struct Cast {
    _folder: TempDir,
    dialler: Identity,
    acceptor: Identity,
    stranger: Identity,
}

impl Cast {
    fn new() -> Cast {
        let folder = tempfile::tempdir().unwrap();
        let identity = |name: &str| Identity::load_or_create(&folder.path().join(name), &server(name)).unwrap();
        let (dialler, acceptor, stranger) = (identity("s1"), identity("s2"), identity("s3"));
        Cast { _folder: folder, dialler, acceptor, stranger }
    }

    /// s1 dials what says that it is s2; whether the test was given s1's proof.
    async fn dialled(&self, lie: Lie) -> (Result<Ready, LinkError>, bool) {
        let (mut near, far) = pair().await;
        let dialling = async {
            let (me, expected) = (server("s1"), (&server("s2"), &self.acceptor.key()));
            let done = dial(&mut near, &me, &self.dialler, SESSION, expected).await;
            drop(near);
            done
        };
        tokio::join!(dialling, self.play_acceptor(far, lie))
    }

    async fn play_acceptor(&self, mut wire: Wire, lie: Lie) -> bool {
        let theirs = wire.reader.next().await.unwrap();
        let party = match lie {
            Lie::HelloOfAnotherRole => Party::Peer { name: server("s2"), key: self.acceptor.key() },
            _ => Party::Server {
                name: server(if lie == Lie::AnotherName { "s3" } else { "s2" }),
                key: if lie == Lie::AnotherKey { self.stranger.key() } else { self.acceptor.key() },
                spki: match lie {
                    Lie::AnotherCertificate => Some(Hash([5; 32])),
                    Lie::NoCertificate => None,
                    _ => SESSION.spki,
                },
            },
        };
        let ours = hello(party.clone(), lie);
        let signer = match lie {
            // Whoever shows a key of their own can sign with it; that is not what is wrong with it.
            Lie::AnotherKey | Lie::ProofByAnotherKey => &self.stranger,
            _ => &self.acceptor,
        };
        let sig = signer.sign(&signed(&party, &theirs, &ours, lie));
        wire.writer.send(ours).await.unwrap();
        let _ = wire.writer.send(Frame::from(Proof { sig }).encode()).await;
        // A dialler that has found the lie is gone by now.
        let Ok(proof) = wire.reader.next().await else { return false };
        assert!(matches!(Frame::read(&proof, limits::GUEST_FRAME), Ok(Frame::Proof(_))));
        let _ = wire.writer.send(Frame::from(Ready { listed: true, network: Vec::new() }).encode()).await;
        true
    }

    /// What says that it is s1 dials s2.
    async fn accepted(&self, lie: Lie) -> Result<Proved, LinkError> {
        let (mut near, far) = pair().await;
        let accepting = async {
            let done = accept(&mut near, &server("s2"), &self.acceptor, SESSION, limits::PEER_FRAME).await;
            drop(near);
            done
        };
        tokio::join!(accepting, self.play_dialler(far, lie)).0
    }

    async fn play_dialler(&self, mut wire: Wire, lie: Lie) {
        let party = match lie {
            Lie::HelloOfAnotherRole => Party::Server { name: server("s1"), key: self.dialler.key(), spki: SESSION.spki },
            _ => Party::Peer { name: server("s1"), key: self.dialler.key() },
        };
        let ours = hello(party.clone(), lie);
        wire.writer.send(ours.clone()).await.unwrap();
        let Ok(theirs) = wire.reader.next().await else { return };
        let signer = if lie == Lie::ProofByAnotherKey { &self.stranger } else { &self.dialler };
        // The dialler's hello is the first half of the transcript.
        let sig = signer.sign(&signed(&party, &ours, &theirs, lie));
        let _ = wire.writer.send(Frame::from(Proof { sig }).encode()).await;
        while wire.reader.next().await.is_ok() {}
    }
}

/// The two ends of a link that is a WebSocket already.
async fn pair() -> (Wire, Wire) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let far = Wire::new(Box::new(far), Role::Server, limits::PEER_FRAME);
    far.allowance.lift();
    (Wire::new(Box::new(near), Role::Client, limits::PEER_FRAME), far)
}

fn hello(party: Party, lie: Lie) -> bytes::Bytes {
    let exporter = match lie {
        Lie::AnotherTlsSession => Some(Hash([6; 32])),
        Lie::HidesTlsSession => None,
        _ => SESSION.exporter,
    };
    let to = (lie == Lie::MeantForAnother).then(|| server("s3"));
    Frame::from(Hello { party, nonce: Nonce([7; 32]), versions: VERSIONS.to_vec(), frame: limits::PEER_FRAME as u64, exporter, to })
        .encode()
}

fn signed(party: &Party, dialler: &[u8], acceptor: &[u8], lie: Lie) -> Vec<u8> {
    let both = transcript(dialler, acceptor);
    match (lie, party) {
        (Lie::ProofOfAnotherTranscript, _) => proof_bytes(party, &Hash([8; 32])),
        (Lie::ProofOfAnotherRole, Party::Server { name, key, .. }) => proof_bytes(&Party::Peer { name: name.clone(), key: *key }, &both),
        (Lie::ProofOfAnotherRole, Party::Peer { name, key }) => {
            proof_bytes(&Party::Server { name: name.clone(), key: *key, spki: None }, &both)
        }
        _ => proof_bytes(party, &both),
    }
}

#[tokio::test]
async fn a_server_is_linked_to_the_server_that_it_meant_and_to_no_other() {
    let cast = Cast::new();
    for lie in [Lie::Nothing, Lie::HidesTlsSession] {
        let (ready, proved) = tokio::time::timeout(SOON, cast.dialled(lie)).await.unwrap();
        assert!(ready.is_ok() && proved, "{lie:?}: the control: an honest server is linked to");
    }
    for (lie, wanted) in [
        (Lie::AnotherName, Code::WrongServer),
        (Lie::AnotherKey, Code::WrongServer),
        (Lie::HelloOfAnotherRole, Code::WrongServer),
        (Lie::AnotherCertificate, Code::WrongServer),
        (Lie::NoCertificate, Code::WrongServer),
        (Lie::AnotherTlsSession, Code::WrongServer),
        (Lie::ProofByAnotherKey, Code::BadSignature),
        (Lie::ProofOfAnotherTranscript, Code::BadSignature),
        (Lie::ProofOfAnotherRole, Code::BadSignature),
    ] {
        let (ready, proved) = tokio::time::timeout(SOON, cast.dialled(lie)).await.unwrap();
        let error = ready.err().unwrap_or_else(|| panic!("{lie:?}: linked"));
        assert!(matches!(&error, LinkError::Refused(why) if why.code == wanted), "{lie:?}: {error}");
        assert!(!proved, "{lie:?}: it was given a proof");
    }
}

#[tokio::test]
async fn a_server_believes_the_one_that_dials_on_this_link_only() {
    let cast = Cast::new();
    for lie in [Lie::Nothing, Lie::HidesTlsSession] {
        let proved = tokio::time::timeout(SOON, cast.accepted(lie)).await.unwrap().unwrap();
        assert_eq!(proved.party, Party::Peer { name: server("s1"), key: cast.dialler.key() }, "{lie:?}: the control");
    }
    for (lie, wanted) in [
        (Lie::MeantForAnother, Code::WrongServer),
        (Lie::AnotherTlsSession, Code::WrongServer),
        (Lie::HelloOfAnotherRole, Code::WrongState),
        (Lie::ProofByAnotherKey, Code::BadSignature),
        (Lie::ProofOfAnotherTranscript, Code::BadSignature),
        (Lie::ProofOfAnotherRole, Code::BadSignature),
    ] {
        let error = tokio::time::timeout(SOON, cast.accepted(lie)).await.unwrap().err().unwrap_or_else(|| panic!("{lie:?}: believed"));
        assert!(matches!(&error, LinkError::Refused(why) if why.code == wanted), "{lie:?}: {error}");
    }
}
