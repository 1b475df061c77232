//! Accounts without a client: registered in a moment, with RSA keys that everybody knows. Nothing is ever sealed to them.

use crate::raw::RawLink;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::account;
use tidings_e2ee::opaque::Registration;
use tidings_e2ee::rsa::{AwsLcKeys, Pkcs8, RsaError, RsaKeys};
use tidings_proto::frame::{RegisterFinish, RegisterStart};
use tidings_proto::{Frame, UserName};
use tidings_trust::RsaPublicKey;
use zeroize::Zeroizing;

/// Two keys of the tests' in the place of new ones, which would take a second each.
#[derive(Default)]
struct KnownKeys(AtomicBool);

impl RsaKeys for KnownKeys {
    type Signing = <AwsLcKeys as RsaKeys>::Signing;
    type Decrypting = <AwsLcKeys as RsaKeys>::Decrypting;

    async fn generate(&self) -> Result<Pkcs8, RsaError> {
        let first = !self.0.swap(true, Ordering::Relaxed);
        let key: &[u8] =
            if first { include_bytes!("../../../e2ee/tests/keys/a.pk8") } else { include_bytes!("../../../e2ee/tests/keys/b.pk8") };
        Ok(Zeroizing::new(key.to_vec()))
    }

    async fn signing(&self, pkcs8: &[u8]) -> Result<(Self::Signing, RsaPublicKey), RsaError> {
        AwsLcKeys.signing(pkcs8).await
    }

    async fn decrypting(&self, pkcs8: &[u8]) -> Result<(Self::Decrypting, RsaPublicKey), RsaError> {
        AwsLcKeys.decrypting(pkcs8).await
    }

    async fn sign_pss(&self, key: &Self::Signing, message: &[u8]) -> Result<Vec<u8>, RsaError> {
        AwsLcKeys.sign_pss(key, message).await
    }

    async fn decrypt_oaep(&self, key: &Self::Decrypting, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, RsaError> {
        AwsLcKeys.decrypt_oaep(key, ciphertext).await
    }
}

/// Registers `user`, who has one device from then on: this one.
pub async fn register(server: SocketAddr, user: &UserName) -> DeviceSecret {
    let (device, secret) = (DeviceSecret::generate(), b"nobody logs in by this".as_slice());
    let mut link = RawLink::device(server, user, &device).await;
    let start = || Registration::start(secret).expect("a registration");
    let ((password, first), (recovery, second)) = (start(), start());
    link.send(RegisterStart { req: 1, code: None, password: first.into(), recovery: second.into() }).await;
    let reply = match link.next().await {
        Frame::RegisterReply(reply) => reply,
        other => panic!("{user} is not registered: {other:?}"),
    };
    let home = user.server();
    let (password, for_password) = password.finish(secret, &reply.password, user, home).expect("OPAQUE");
    let (recovery, for_recovery) = recovery.finish(secret, &reply.recovery, user, home).expect("OPAQUE");
    let made = account::create(&KnownKeys::default(), user, &device, &for_password, &for_recovery).await.expect("an account");
    let draft = made.draft.bytes().clone();
    link.send(RegisterFinish { req: 2, password: password.into(), recovery: recovery.into(), vault: made.vault, draft }).await;
    match link.next().await {
        Frame::Accepted(_) => device,
        other => panic!("{user} is not registered: {other:?}"),
    }
}
