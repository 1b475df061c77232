//! Alice's engine, the people she writes to, and the logs of the servers between them.

use crate::client::write;
use crate::crypto::{Crypto, Members, SealJob};
use crate::engine::{Core, Engine};
use crate::store::{Account, OutboxRow, Stage, Store};
use crate::view::{Message, Status, Target};
use crate::{ClientError, Endpoint};
use bytes::Bytes;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::rsa::{AwsLcKeys, RsaKeys};
use tidings_proto::chain::{self, Tip};
use tidings_proto::frame::{
    Accepted, Chain, ChainReply, Entries, Follow, Item, LogRef, Named, Online, PeopleReply, PersonState, Ping, Pong, Ready, Refused,
    RoomRef, RoomsReply, Submit,
};
use tidings_proto::{
    Code, Content, Draft, Encoded, Entry, Frame, Genesis, Hash, Kind, LogName, Payload, Refusal, SuiteName, UserName, cbor,
};
use tidings_trust::device_list::signed_bytes;
use tidings_trust::{Device, DeviceList, KeyState, SignedList, VaultRef};
use zeroize::Zeroizing;

/// RSA-3072 test keys of the e2ee crate.
pub const KEYS: [&[u8]; 4] = [
    include_bytes!("../../../../e2ee/tests/keys/a.pk8"),
    include_bytes!("../../../../e2ee/tests/keys/b.pk8"),
    include_bytes!("../../../../e2ee/tests/keys/c.pk8"),
    include_bytes!("../../../../e2ee/tests/keys/d.pk8"),
];

#[derive(Encode, Decode)]
#[cbor(map)]
struct Secrets {
    #[n(0)]
    encryption: Vec<ByteVec>,
    #[n(1)]
    history: ByteVec,
}

/// Somebody with keys.
pub struct Person {
    pub user: UserName,
    pub device: DeviceSecret,
    pub account: Account,
    pub first: Encoded<Draft>,
    pub state: KeyState,
}

impl Person {
    /// `local@server` with two of the test keys.
    pub async fn new(name: &str, identity: usize, encryption: usize) -> Person {
        let user: UserName = name.parse().unwrap();
        let device = DeviceSecret::generate();
        let (_, identity_key) = AwsLcKeys.signing(KEYS[identity]).await.unwrap();
        let (_, encryption_key) = AwsLcKeys.decrypting(KEYS[encryption]).await.unwrap();
        let list = DeviceList {
            user: user.clone(),
            version: 1,
            prev: None,
            identity: identity_key,
            encryption: encryption_key,
            devices: vec![Device { key: device.public(), suites: vec![SuiteName::RsaJwe1] }],
            vault: VaultRef { version: 1, hash: Hash::of(b"vault") },
        };
        let log = LogName::Keys(user.server().clone());
        let first = sign_list(&list, Kind::First, identity, &device).await;
        let state = KeyState::apply(None, &log, 1, &first).unwrap();
        let secrets = Secrets { encryption: vec![KEYS[encryption].to_vec().into()], history: vec![9; 32].into() };
        let endpoint = Endpoint { name: user.server().clone(), address: "localhost".into(), key: None, plain: false };
        let account = Account {
            user: user.clone(),
            endpoint,
            device: Zeroizing::new(device.to_bytes().to_vec()),
            secrets: Zeroizing::new(cbor::encode(&secrets)),
            stage: Stage::Listed,
        };
        Person { user, device, account, first, state }
    }

    /// Another device of theirs, and the draft that adds it as entry `seq` of `keys@`. `identity` is the key they were made with.
    pub async fn adds_device(&mut self, seq: u64, identity: usize) -> (DeviceSecret, Encoded<Draft>) {
        let device = DeviceSecret::generate();
        let mut list = (*self.state.list).clone();
        list.version += 1;
        list.prev = Some(self.state.list_hash);
        list.devices.push(Device { key: device.public(), suites: vec![SuiteName::RsaJwe1] });
        let draft = sign_list(&list, Kind::List, identity, &device).await;
        let log = LogName::Keys(self.user.server().clone());
        self.state = KeyState::apply(Some(&self.state), &log, seq, &draft).unwrap();
        (device, draft)
    }

    /// A public post of theirs.
    pub fn post(&self, n: u64, text: &str) -> Encoded<Draft> {
        self.post_in(&LogName::Public(self.user.server().clone()), n, text)
    }

    /// The same, signed for any log.
    pub fn post_in(&self, log: &LogName, n: u64, text: &str) -> Encoded<Draft> {
        self.open(Kind::Post, log, n, cbor::encode(&Content::text(text).unwrap()))
    }

    /// A notice in `to`'s inbox.
    pub fn notice(&self, n: u64, genesis: &Genesis, to: &UserName) -> Encoded<Draft> {
        let room = RoomRef { genesis: genesis.clone(), hub: genesis.hub().clone() };
        self.open(Kind::Notice, &LogName::Inbox(to.clone()), n, cbor::encode(&room))
    }

    fn open(&self, kind: Kind, log: &LogName, n: u64, body: Vec<u8>) -> Encoded<Draft> {
        let device = self.device.public();
        let draft = Draft { device, n, author: self.user.clone(), list: 1, epoch: None, kind, body: body.into(), sig: None };
        draft.signed(log, |bytes| self.device.sign(bytes))
    }

    /// A sealed message of theirs to `other`.
    pub async fn seals(&self, other: &Person, n: u64, seen: (u64, Hash), text: &str) -> Encoded<Draft> {
        let crypto = Crypto::new(&self.account).unwrap();
        let genesis = room(&self.user, &other.user);
        let members = Members::direct(genesis.room(), genesis.suite(), &self.state, &other.state);
        let body = cbor::encode(&Content::text(text).unwrap());
        let row = OutboxRow { id: 0, log: genesis.log(), kind: Kind::Sealed, genesis: Some(genesis), body, tag: None, sealed: None };
        crypto.seal(SealJob { row, n, list: 1, members: Some((members, seen)) }).await.unwrap().unwrap().draft
    }
}

async fn sign_list(list: &DeviceList, kind: Kind, identity: usize, device: &DeviceSecret) -> Encoded<Draft> {
    let (signing, _) = AwsLcKeys.signing(KEYS[identity]).await.unwrap();
    let bytes: Bytes = cbor::encode(list).into();
    let sig = AwsLcKeys.sign_pss(&signing, &signed_bytes(&bytes)).await.unwrap().into();
    let body = cbor::encode(&SignedList { list: bytes, sig }).into();
    let (author, version) = (list.user.clone(), list.version);
    let draft = Draft { device: device.public(), n: 1, author, list: version, epoch: None, kind, body, sig: None };
    draft.signed(&LogName::Keys(list.user.server().clone()), |bytes| device.sign(bytes))
}

/// The direct room of two people.
pub fn room(a: &UserName, b: &UserName) -> Genesis {
    Genesis::direct(SuiteName::RsaJwe1, a, b)
}

/// Logs as some server has them.
#[derive(Default)]
pub struct Hub {
    logs: BTreeMap<String, (Vec<(Entry, Hash)>, Tip)>,
    numbers: Vec<LogName>,
    got: u64,
    /// Who is answered for, and with what.
    pub chains: HashMap<UserName, Vec<Item>>,
    /// What `RoomsReply` holds.
    pub rooms: Vec<RoomRef>,
    /// Whether questions about keys stay open.
    pub mute_about_keys: bool,
}

impl Hub {
    /// Puts a draft into a log; returns its place and the hash there.
    pub fn append(&mut self, log: &LogName, draft: &Encoded<Draft>) -> Tip {
        let (entries, tip) = self.logs.entry(log.to_string()).or_insert((Vec::new(), Tip::EMPTY));
        let entry = Entry { seq: tip.seq + 1, at: 1_700_000_000_000 + tip.seq, payload: Payload::Draft(draft.clone()) };
        let prev = tip.hash;
        *tip = chain::extend(log, tip, &entry).unwrap();
        entries.push((entry, prev));
        *tip
    }

    /// A room with its first entry.
    pub fn begin(&mut self, genesis: &Genesis) -> Tip {
        self.append(&genesis.log(), &genesis.as_direct().unwrap().draft())
    }

    /// The frames that bring entries `from`.. of a log.
    pub fn entries(&mut self, log: &LogName, from: u64) -> Vec<Frame> {
        let number = match self.numbers.iter().position(|known| known == log) {
            Some(at) => at,
            None => {
                self.numbers.push(log.clone());
                self.numbers.len() - 1
            }
        } as u64;
        let Some((entries, _)) = self.logs.get(&log.to_string()) else { return Vec::new() };
        let some = &entries[(from as usize - 1).min(entries.len())..];
        let Some((_, prev)) = some.first() else { return Vec::new() };
        let public = matches!(log, LogName::Public(_));
        let mut items = Vec::new();
        for (entry, _) in some {
            self.got += 1;
            items.push(Item { entry: entry.encode(), got: public.then_some(self.got) });
        }
        vec![Named { number, log: log.clone() }.into(), Entries { log: number, prev: *prev, items }.into()]
    }

    /// Answers for somebody's keys.
    pub fn knows(&mut self, person: &Person) {
        self.chains.insert(person.user.clone(), vec![keys_entry(1, &person.first)]);
    }
}

/// An entry of `keys@`.
pub fn keys_entry(seq: u64, draft: &Encoded<Draft>) -> Item {
    Item { entry: Entry { seq, at: 0, payload: Payload::Draft(draft.clone()) }.encode(), got: None }
}

/// Alice's client, without a socket.
pub struct Bench {
    folder: TempDir,
    pub alice: Person,
    pub bob: Person,
    pub core: Arc<Core>,
    pub engine: Engine,
    pub hub: Hub,
    /// Drafts that the engine has submitted and nobody has answered.
    pub submits: Vec<Submit>,
    /// Logs that were asked for on this link, and from where.
    pub followed: Vec<(LogName, u64)>,
    /// Questions about keys that stay open: number, about whom, after which place.
    pub held: Vec<(u32, UserName, u64)>,
}

impl Bench {
    /// alice@s1 and bob@s2, linked and caught up.
    pub async fn new() -> Bench {
        Bench::with(|_, _, _| {}).await
    }

    /// The same, with something prepared on the server first.
    pub async fn with(prepare: impl FnOnce(&mut Hub, &Person, &Person)) -> Bench {
        let (alice, bob) = (Person::new("alice@s1", 0, 1).await, Person::new("bob@s2", 2, 3).await);
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.begin_account(&alice.account, None).unwrap();
        store.extend_chain(&alice.user, &[(1, alice.first.clone())]).unwrap();
        store.listed().unwrap();
        let mut hub = Hub::default();
        hub.knows(&alice);
        hub.knows(&bob);
        prepare(&mut hub, &alice, &bob);
        let (core, engine) = start(store).await;
        let mut bench = Bench { folder, alice, bob, core, engine, hub, submits: Vec::new(), followed: Vec::new(), held: Vec::new() };
        bench.answer().await;
        bench
    }

    /// The process ends here, at once; another one opens the profile and links.
    pub async fn crash(self) -> Bench {
        let mut bench = self.stop_and_start().await;
        bench.answer().await;
        bench
    }

    /// The same, but nothing of the new link has been answered yet.
    pub async fn stop_and_start(self) -> Bench {
        let Bench { folder, alice, bob, core, engine, hub, .. } = self;
        core.store.close();
        drop((core, engine));
        let (core, engine) = start(Store::open(folder.path()).unwrap()).await;
        Bench { folder, alice, bob, core, engine, hub, submits: Vec::new(), followed: Vec::new(), held: Vec::new() }
    }

    /// Answers everything that is asked, but not what is submitted.
    pub async fn answer(&mut self) {
        loop {
            let out = self.engine.take_out();
            let mut frames = Vec::new();
            for frame in out {
                match frame {
                    Frame::Follow(Follow { logs }) => {
                        for (log, after) in logs {
                            let LogRef::Name(log) = log else { panic!("logs are followed by name") };
                            frames.extend(self.hub.entries(&log, after + 1));
                            self.followed.push((log, after));
                        }
                    }
                    Frame::Rooms(rooms) => {
                        frames.push(RoomsReply { req: rooms.req, rooms: self.hub.rooms.clone(), more: false }.into());
                    }
                    Frame::People(people) => {
                        let known = self.hub.chains.keys();
                        let people_known = known.map(|user| PersonState { user: user.clone(), online: Online::Online, list: 1 }).collect();
                        frames.push(PeopleReply { req: people.req, people: people_known, more: false }.into());
                    }
                    Frame::Chain(Chain { req, user, after }) if self.hub.mute_about_keys => self.held.push((req, user, after)),
                    Frame::Chain(Chain { req, user, after }) => frames.push(self.chain_reply(req, &user, after)),
                    Frame::Ping(Ping { req }) => frames.push(Pong { req }.into()),
                    Frame::Submit(submit) => self.submits.push(submit),
                    other => panic!("{other:?} was not expected"),
                }
            }
            if frames.is_empty() {
                return;
            }
            self.engine.handle(frames, Instant::now()).await.unwrap();
        }
    }

    fn chain_reply(&self, req: u32, user: &UserName, after: u64) -> Frame {
        match self.hub.chains.get(user) {
            Some(items) => {
                let items = items.iter().filter(|item| Entry::read(&item.entry).map_or(true, |entry| entry.seq > after)).cloned().collect();
                ChainReply { req, items, more: false }.into()
            }
            None => Refused { req, why: Code::NotFound.into(), log: None }.into(),
        }
    }

    /// Frames come; whatever is asked then is answered.
    pub async fn comes(&mut self, frames: Vec<Frame>) -> Result<(), ClientError> {
        self.engine.handle(frames, Instant::now()).await?;
        self.answer().await;
        Ok(())
    }

    /// What is new in a log comes.
    pub async fn news(&mut self, log: &LogName, from: u64) {
        let frames = self.hub.entries(log, from);
        self.comes(frames).await.unwrap();
    }

    /// Alice writes.
    pub async fn writes(&mut self, target: &Target, text: &str) -> i64 {
        let id = self.writes_offline(target, text);
        self.engine.written(Instant::now()).await.unwrap();
        self.answer().await;
        id
    }

    /// Alice writes, and the engine does not hear of it yet.
    pub fn writes_offline(&self, target: &Target, text: &str) -> i64 {
        write(&self.core.store, &self.core.crypto, &self.alice.user, target, &Content::text(text).unwrap()).unwrap()
    }

    /// The drafts that were submitted since the last time.
    pub fn taken(&mut self) -> Vec<Submit> {
        std::mem::take(&mut self.submits)
    }

    /// A submitted draft is taken into its log, and that is said.
    pub async fn accepts(&mut self, submit: &Submit) {
        if let (Some(genesis), false) = (&submit.genesis, self.hub.logs.contains_key(&submit.log.to_string())) {
            self.hub.begin(genesis);
        }
        let draft = tidings_proto::draft::read(submit.draft.clone()).unwrap();
        let tip = self.hub.append(&submit.log, &draft);
        self.comes(vec![Accepted { req: submit.req, seq: tip.seq, hash: tip.hash }.into()]).await.unwrap();
    }

    /// A submitted draft is refused.
    pub async fn refuses(&mut self, submit: &Submit, why: impl Into<Refusal>) {
        self.comes(vec![Refused { req: submit.req, why: why.into(), log: None }.into()]).await.unwrap();
    }

    /// Bob's conversation, or the public one, as it is on screen.
    pub fn screen(&self, target: &Target) -> Vec<Message> {
        let shown = |message| crate::client::shown(&self.core.crypto, message).unwrap();
        self.core.store.timeline(target, 1000).unwrap().into_iter().map(shown).collect()
    }

    /// Author and text of each line, or why there is none.
    pub fn lines(&self, target: &Target) -> Vec<String> {
        let line = |message: Message| match message.status {
            Status::Unreadable { reason } => {
                assert_eq!(message.author, None, "no author is shown that was not proved");
                format!("? {reason}")
            }
            _ => format!("{}: {}", message.author.unwrap(), message.text),
        };
        self.screen(target).into_iter().map(line).collect()
    }

    /// The status of one message.
    pub fn status(&self, id: i64) -> Status {
        self.core.store.message(id).unwrap().unwrap().status
    }

    /// The conversation with bob.
    pub fn with_bob(&self) -> Target {
        Target::Direct(self.bob.user.clone())
    }

    /// The room with bob.
    pub fn room(&self) -> Genesis {
        room(&self.alice.user, &self.bob.user)
    }

    /// Everything that the profile's files hold.
    pub fn files(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            all.extend(std::fs::read(file.unwrap().path()).unwrap());
        }
        all
    }
}

async fn start(store: Store) -> (Arc<Core>, Engine) {
    let crypto = Crypto::new(&store.account().unwrap().unwrap()).unwrap();
    let core = Arc::new(Core::new(store, crypto).unwrap());
    let ready = Ready { listed: true, network: vec!["s1".parse().unwrap(), "s2".parse().unwrap()] };
    let engine = Engine::start(core.clone(), ready, Instant::now()).await.unwrap();
    (core, engine)
}
