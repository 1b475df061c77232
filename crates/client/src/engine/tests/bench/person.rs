//! Somebody with keys, whose account may change, and what they sign and seal.

use super::KEYS;
use crate::Endpoint;
use crate::crypto::{Crypto, Histories, Readers, SealJob, Seen, What};
use crate::store::{Account, OutboxRow, Stage};
use bytes::Bytes;
use std::sync::Arc;
use tidings_e2ee::mls::State;
use tidings_e2ee::rsa::{AwsLcKeys, RsaKeys};
use tidings_e2ee::{AccountSecrets, DeviceSecret, account};
use tidings_proto::draft::Gone;
use tidings_proto::frame::{Grant, RoomRef};
use tidings_proto::{
    Content, DeviceKey, Draft, Encoded, Genesis, Hash, KeysSeen, Kind, LogName, ServerKey, ServerName, SuiteName, UserName, cbor,
};
use tidings_trust::device_list::{rotation_bytes, signed_bytes};
use tidings_trust::{Device, DeviceList, KeyState, Members, RsaPublicKey, SignedList};
use zeroize::Zeroizing;

/// Somebody with keys.
pub struct Person {
    pub user: UserName,
    /// The device that they write on.
    pub device: DeviceSecret,
    pub account: Account,
    /// Their entries of `keys@`.
    pub history: Vec<(u64, Encoded<Draft>)>,
    pub state: KeyState,
    /// Which of the test keys they have: the identity, and what messages to them are locked with, the newest first.
    identity: usize,
    encryption: Vec<usize>,
}

/// A message in a room, as its author means it.
pub struct Sealing<'a> {
    pub genesis: &'a Genesis,
    pub members: &'a Members,
    pub keys: &'a Histories,
    pub n: u64,
    pub seen: (u64, Hash),
    pub keys_seen: Vec<KeysSeen>,
    pub content: Content,
}

/// The key of a server, which says who is whose.
pub fn server_secret(server: &ServerName) -> DeviceSecret {
    DeviceSecret::from_bytes(&Hash::of(server.as_str().as_bytes()).0)
}

/// Its public part.
pub fn server_key(server: &ServerName) -> ServerKey {
    ServerKey(server_secret(server).public().0)
}

async fn identity_key(key: usize) -> RsaPublicKey {
    AwsLcKeys.signing(KEYS[key]).await.unwrap().1
}

async fn encryption_key(key: usize) -> RsaPublicKey {
    AwsLcKeys.decrypting(KEYS[key]).await.unwrap().1
}

fn listed(key: DeviceKey) -> Device {
    Device { key, suites: vec![SuiteName::RsaJwe1] }
}

impl Person {
    /// `local@server` with two of the test keys.
    pub async fn new(name: &str, identity: usize, encryption: usize) -> Person {
        let user: UserName = name.parse().unwrap();
        let device = DeviceSecret::generate();
        let new =
            account::of_keys(&AwsLcKeys, &user, &[&device], &KEYS[identity].to_vec().into(), secrets_of(&[encryption])).await.unwrap();
        let first = new.draft;
        let state = KeyState::apply(None, &LogName::Keys(user.server().clone()), 1, &first, None).unwrap();
        let endpoint = Endpoint { name: user.server().clone(), address: "localhost".into(), key: None, plain: false };
        let account = Account {
            user: user.clone(),
            endpoint,
            device: Zeroizing::new(device.to_bytes().to_vec()),
            secrets: secrets(&[encryption]),
            stage: Stage::Listed,
        };
        Person { user, device, account, history: vec![(1, first)], state, identity, encryption: vec![encryption] }
    }

    /// Their first list.
    pub fn first(&self) -> &Encoded<Draft> {
        &self.history[0].1
    }

    /// The newest entry of their history.
    pub fn newest(&self) -> &(u64, Encoded<Draft>) {
        self.history.last().unwrap()
    }

    /// The list after the newest one.
    fn next_list(&self) -> DeviceList {
        let list = (*self.state.list).clone();
        DeviceList { version: list.version + 1, prev: Some(self.state.list_hash), ..list }
    }

    fn takes(&mut self, draft: Encoded<Draft>) {
        let seq = self.state.seq + 1;
        let log = LogName::Keys(self.user.server().clone());
        self.state = KeyState::apply(Some(&self.state), &log, seq, &draft, Some(&server_key(self.user.server()))).unwrap();
        self.history.push((seq, draft));
        self.account.secrets = secrets(&self.encryption);
    }

    /// Another device of theirs, which adds itself.
    pub async fn adds_device(&mut self) -> DeviceSecret {
        let device = DeviceSecret::generate();
        let mut list = self.next_list();
        list.devices.push(listed(device.public()));
        self.takes(sign_list(&list, Kind::List, self.identity, None, &device).await);
        device
    }

    /// A device is taken off, by another: messages are locked with another key from then on.
    pub async fn takes_off(&mut self, gone: DeviceKey, by: &DeviceSecret, encryption: usize) {
        let mut list = self.next_list();
        list.devices.retain(|device| device.key != gone);
        list.encryption = encryption_key(encryption).await;
        self.encryption.insert(0, encryption);
        self.takes(sign_list(&list, Kind::List, self.identity, None, by).await);
    }

    /// Another encryption key, and nothing else.
    pub async fn changes_keys(&mut self, by: &DeviceSecret, encryption: usize) {
        self.takes_off(DeviceKey([0; 32]), by, encryption).await;
    }

    /// Another identity, to which the old one agrees.
    pub async fn rotates(&mut self, identity: usize, encryption: usize) {
        let mut list = self.next_list();
        (list.identity, list.encryption) = (identity_key(identity).await, encryption_key(encryption).await);
        self.encryption.insert(0, encryption);
        let old = std::mem::replace(&mut self.identity, identity);
        self.takes(sign_list(&list, Kind::Rotate, identity, Some(Agrees::Old(old)), &self.device).await);
    }

    /// The account begins anew on another device, on its server's word. Old keys are lost.
    pub async fn begins_anew(&mut self, identity: usize, encryption: usize) {
        let mut list = self.next_list();
        (list.identity, list.encryption) = (identity_key(identity).await, encryption_key(encryption).await);
        self.device = DeviceSecret::generate();
        list.devices = vec![listed(self.device.public())];
        let (server, prev) = (server_secret(self.user.server()), self.state.list_hash);
        let sig = server.sign(&Grant::signed_bytes(&self.user, list.version, &prev, &self.device.public()));
        let grant = Grant { server: server_key(self.user.server()), version: list.version, prev, sig, vault: 2 };
        (self.identity, self.encryption) = (identity, vec![encryption]);
        self.account.device = Zeroizing::new(self.device.to_bytes().to_vec());
        self.takes(sign_list(&list, Kind::Reset, identity, Some(Agrees::Server(grant)), &self.device).await);
    }

    /// The account is closed.
    pub fn closes(&mut self) {
        let server = server_secret(self.user.server());
        let gone = Draft {
            device: server.public(),
            n: 1,
            author: self.user.clone(),
            list: self.state.list.version,
            epoch: None,
            kind: Kind::Gone,
            body: cbor::encode(&Gone { prev: self.state.list_hash }).into(),
            sig: None,
        };
        self.takes(gone.signed(&LogName::Keys(self.user.server().clone()), |bytes| server.sign(bytes)));
    }

    /// The same person on another of their devices.
    pub fn on(&self, device: &DeviceSecret) -> Person {
        let mut account = self.account.clone();
        account.device = Zeroizing::new(device.to_bytes().to_vec());
        Person {
            user: self.user.clone(),
            device: device.clone(),
            account,
            history: self.history.clone(),
            state: self.state.clone(),
            identity: self.identity,
            encryption: self.encryption.clone(),
        }
    }

    /// A public post of theirs.
    pub fn post(&self, n: u64, text: &str) -> Encoded<Draft> {
        self.post_in(&LogName::Public(self.user.server().clone()), n, text)
    }

    /// The same, signed for any log.
    pub fn post_in(&self, log: &LogName, n: u64, text: &str) -> Encoded<Draft> {
        self.open(Kind::Post, log, n, None, cbor::encode(&Content::text(text).unwrap()))
    }

    /// A notice in `to`'s inbox.
    pub fn notice(&self, n: u64, genesis: &Genesis, to: &UserName) -> Encoded<Draft> {
        let room = RoomRef { genesis: genesis.clone(), hub: genesis.hub().clone() };
        self.open(Kind::Notice, &LogName::Inbox(to.clone()), n, None, cbor::encode(&room))
    }

    /// Anything that is signed in the open, under their newest list.
    pub fn open(&self, kind: Kind, log: &LogName, n: u64, epoch: Option<u64>, body: Vec<u8>) -> Encoded<Draft> {
        self.open_under(self.state.list.version, kind, log, n, epoch, body)
    }

    /// The same, under any of their lists.
    pub fn open_under(&self, list: u64, kind: Kind, log: &LogName, n: u64, epoch: Option<u64>, body: Vec<u8>) -> Encoded<Draft> {
        let device = self.device.public();
        let draft = Draft { device, n, author: self.user.clone(), list, epoch, kind, body: body.into(), sig: None };
        draft.signed(log, |bytes| self.device.sign(bytes))
    }

    /// A sealed message of theirs to `other`, in their direct room.
    pub async fn seals(&self, other: &Person, n: u64, seen: (u64, Hash), text: &str) -> Encoded<Draft> {
        let genesis = Genesis::direct(SuiteName::RsaJwe1, &self.user, &other.user);
        let members = Members::direct(genesis.as_direct().unwrap());
        let keys = [self, other].map(|person| (person.user.clone(), Arc::new(person.state.clone()))).into();
        let content = Content::text(text).unwrap();
        self.seal(Sealing { genesis: &genesis, members: &members, keys: &keys, n, seen, keys_seen: Vec::new(), content }).await
    }

    /// A sealed message of theirs in any room.
    pub async fn seal(&self, message: Sealing<'_>) -> Encoded<Draft> {
        let Sealing { genesis, members, keys, n, seen, keys_seen, content } = message;
        let readers = Readers::of(genesis, members, keys).unwrap();
        let body = cbor::encode(&content);
        let row = OutboxRow { id: 0, log: genesis.log(), kind: Kind::Sealed, genesis: None, body, tag: None, sealed: None };
        let job =
            SealJob { row, n, list: self.state.list.version, what: What::Sealed(Box::new(readers), Seen { room: seen, keys: keys_seen }) };
        Crypto::new(&self.account).unwrap().seal(job, &State::new(&|_| Ok(None))).await.unwrap().unwrap().draft
    }
}

/// What a device keeps, encoded.
pub fn secrets(encryption: &[usize]) -> Zeroizing<Vec<u8>> {
    secrets_of(encryption).to_bytes()
}

fn secrets_of(encryption: &[usize]) -> AccountSecrets {
    AccountSecrets::of_keys(encryption.iter().map(|key| KEYS[*key].to_vec().into()).collect(), [9; 32], [8; 32])
}

/// Who agrees to another identity.
enum Agrees {
    Old(usize),
    Server(Grant),
}

async fn sign_list(list: &DeviceList, kind: Kind, identity: usize, agrees: Option<Agrees>, device: &DeviceSecret) -> Encoded<Draft> {
    let bytes: Bytes = cbor::encode(list).into();
    let sign = async |key: usize, bytes: Vec<u8>| -> Bytes {
        let (signing, _) = AwsLcKeys.signing(KEYS[key]).await.unwrap();
        AwsLcKeys.sign_pss(&signing, &bytes).await.unwrap().into()
    };
    let sig = sign(identity, signed_bytes(&bytes)).await;
    let (by_old, grant) = match agrees {
        Some(Agrees::Old(old)) => (Some(sign(old, rotation_bytes(&bytes)).await), None),
        Some(Agrees::Server(grant)) => (None, Some(grant)),
        None => (None, None),
    };
    let body = cbor::encode(&SignedList { list: bytes, sig, by_old, grant }).into();
    let (author, version) = (list.user.clone(), list.version);
    let draft = Draft { device: device.public(), n: 1, author, list: version, epoch: None, kind, body, sig: None };
    draft.signed(&LogName::Keys(list.user.server().clone()), |bytes| device.sign(bytes))
}
