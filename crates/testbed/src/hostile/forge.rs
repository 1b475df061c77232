//! Device lists that nobody has agreed to: what a server, or a thief without the password, can make of somebody's history.

use super::Story;
use bytes::Bytes;
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::rsa::{AwsLcKeys, RsaKeys};
use tidings_proto::frame::Grant;
use tidings_proto::{Draft, Encoded, Kind, LogName, ServerKey, Signature, SuiteName, UserName, cbor};
use tidings_trust::device_list::signed_bytes;
use tidings_trust::{Device, DeviceList, RsaPublicKey, SignedList};

const IDENTITY: &[u8] = include_bytes!("../../../e2ee/tests/keys/c.pk8");
const ENCRYPTION: &[u8] = include_bytes!("../../../e2ee/tests/keys/d.pk8");

/// Who has a device and an identity of their own, and wants to be somebody else.
pub struct Forger {
    /// The device that nobody has added.
    pub ghost: DeviceSecret,
    identity: <AwsLcKeys as RsaKeys>::Signing,
    /// The public part of the forger's identity.
    pub key: RsaPublicKey,
    encryption: RsaPublicKey,
}

impl Forger {
    /// With keys that are none of anybody's in a world.
    pub async fn arrives() -> Forger {
        let (identity, key) = AwsLcKeys.signing(IDENTITY).await.expect("a key");
        let (_, encryption) = AwsLcKeys.decrypting(ENCRYPTION).await.expect("a key");
        Forger { ghost: DeviceSecret::generate(), identity, key, encryption }
    }

    /// The list after the newest that a key history has of somebody, with the ghost as one of the devices.
    pub async fn with_a_ghost(&self, history: &Story, user: &UserName) -> Encoded<Draft> {
        let mut list = newest(history, user);
        list.devices.push(self.device());
        self.sign(list, Kind::List, None).await
    }

    /// The same devices, none of which can do MLS any more.
    pub async fn without_mls(&self, history: &Story, user: &UserName) -> Encoded<Draft> {
        let mut list = newest(history, user);
        list.devices.iter_mut().for_each(|device| device.suites.retain(|suite| *suite != SuiteName::Mls1));
        self.sign(list, Kind::List, None).await
    }

    /// The same under the forger's own keys.
    pub async fn with_other_keys(&self, history: &Story, user: &UserName) -> Encoded<Draft> {
        self.sign(self.own(newest(history, user)), Kind::List, None).await
    }

    /// A first list under the forger's own keys.
    pub async fn first(&self, history: &Story, user: &UserName) -> Encoded<Draft> {
        let list = DeviceList { version: 1, prev: None, ..self.own(newest(history, user)) };
        self.sign(list, Kind::First, None).await
    }

    /// The first list of somebody whom nobody has heard of, under the forger's own keys.
    pub async fn invents(&self, history: &Story, like: &UserName, user: &UserName) -> Encoded<Draft> {
        let list = DeviceList { user: user.clone(), version: 1, prev: None, ..self.own(newest(history, like)) };
        self.sign(list, Kind::First, None).await
    }

    /// The account begins anew under the forger's keys, on the word of whoever signs.
    pub async fn anew(&self, history: &Story, user: &UserName, server: ServerKey, sign: impl Fn(&[u8]) -> Signature) -> Encoded<Draft> {
        let list = self.own(newest(history, user));
        let prev = list.prev.expect("a list before it");
        let sig = sign(&Grant::signed_bytes(user, list.version, &prev, &self.ghost.public()));
        let grant = Grant { server, version: list.version, prev, sig, vault: 2 };
        self.sign(list, Kind::Reset, Some(grant)).await
    }

    fn own(&self, list: DeviceList) -> DeviceList {
        DeviceList { identity: self.key.clone(), encryption: self.encryption.clone(), devices: vec![self.device()], ..list }
    }

    fn device(&self) -> Device {
        Device { key: self.ghost.public(), suites: vec![SuiteName::RsaJwe1] }
    }

    async fn sign(&self, list: DeviceList, kind: Kind, grant: Option<Grant>) -> Encoded<Draft> {
        let (author, version, log) = (list.user.clone(), list.version, LogName::Keys(list.user.server().clone()));
        let list: Bytes = cbor::encode(&list).into();
        let sig = AwsLcKeys.sign_pss(&self.identity, &signed_bytes(&list)).await.expect("a signature").into();
        let body = cbor::encode(&SignedList { list, sig, by_old: None, grant }).into();
        let draft = Draft { device: self.ghost.public(), n: 1, author, list: version, epoch: None, kind, body, sig: None };
        draft.signed(&log, |bytes| self.ghost.sign(bytes))
    }
}

/// What would come after the newest list of a user's.
fn newest(history: &Story, user: &UserName) -> DeviceList {
    let (_, draft) = history.drafts().rfind(|(_, draft)| draft.author == *user).expect("somebody with keys");
    let signed: SignedList = cbor::decode(&draft.body, usize::MAX).expect("a signed list");
    let list: DeviceList = cbor::decode(&signed.list, usize::MAX).expect("a list");
    DeviceList { version: list.version + 1, prev: Some(signed.hash()), ..list }
}
