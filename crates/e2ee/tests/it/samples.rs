//! Alice and bob in their direct room, with the fixed RSA keys of `tests/keys` and devices numbered by their seed.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, LazyLock};
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::invitation::Note;
use tidings_e2ee::rsa::{AwsLcKeys, RsaKeys};
use tidings_e2ee::suite::rsa_jwe::RsaJwe1;
use tidings_e2ee::suite::{OpenContext, OpenError, Opened, SealContext, SealError, Suite};
use tidings_proto::{Content, Draft, Encoded, Genesis, Hash, KeysSeen, Kind, LogName, Role, RoomId, SuiteName, UserName, cbor};
use tidings_trust::members::{Person as Part, Standing, Stay};
use tidings_trust::{Device, DeviceList, KeyState, Members, Roster, RsaPublicKey, SignedList, VaultRef, device_list};

pub const A: &[u8] = include_bytes!("../keys/a.pk8");
pub const B: &[u8] = include_bytes!("../keys/b.pk8");
pub const C: &[u8] = include_bytes!("../keys/c.pk8");
pub const D: &[u8] = include_bytes!("../keys/d.pk8");
pub const LARGE: &[u8] = include_bytes!("../keys/large.pk8");
pub const SMALL: &[u8] = include_bytes!("../keys/small.pk8");

pub type Decrypting = <AwsLcKeys as RsaKeys>::Decrypting;
pub type Signing = <AwsLcKeys as RsaKeys>::Signing;

/// The crate has no runtime; the tests bring the smallest one.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub fn signing(pkcs8: &[u8]) -> (Signing, RsaPublicKey) {
    wait(AwsLcKeys.signing(pkcs8)).unwrap()
}

pub fn decrypting(pkcs8: &[u8]) -> (Decrypting, RsaPublicKey) {
    wait(AwsLcKeys.decrypting(pkcs8)).unwrap()
}

/// Somebody with one account and some devices.
pub struct Person {
    pub state: KeyState,
    pub device: DeviceSecret,
    pub encryption: RsaPublicKey,
    /// As the suite takes it.
    pub ring: Vec<(String, Decrypting)>,
    identity: Signing,
}

pub fn device(seed: u8) -> DeviceSecret {
    DeviceSecret::from_bytes(&[seed; 32])
}

pub fn listed(seeds: &[u8]) -> Vec<Device> {
    seeds.iter().map(|seed| Device { key: device(*seed).public(), suites: vec![SuiteName::RsaJwe1, SuiteName::Mls1] }).collect()
}

impl Person {
    pub fn new(user: &str, identity: &[u8], encryption: &[u8], device_seed: u8) -> Person {
        let user: UserName = user.parse().unwrap();
        let (signing, identity) = signing(identity);
        let (key, encryption) = decrypting(encryption);
        let list = DeviceList {
            user,
            version: 1,
            prev: None,
            identity,
            encryption: encryption.clone(),
            devices: listed(&[device_seed]),
            vault: VaultRef { version: 1, hash: Hash([9; 32]) },
        };
        let device = device(device_seed);
        let state = applied(None, &list, &signing, &device);
        Person { state, device, ring: vec![(encryption.kid(), key)], encryption, identity: signing }
    }

    pub fn user(&self) -> &UserName {
        &self.state.list.user
    }

    /// The state after a list with these devices, which the person's own device, or the first of them, submits.
    pub fn with_devices(&self, before: &KeyState, seeds: &[u8]) -> KeyState {
        let mut list = (*before.list).clone();
        list.version += 1;
        list.prev = Some(before.list_hash);
        list.devices = listed(seeds);
        applied(Some(before), &list, &self.identity, &device(seeds[0]))
    }

    /// The state after a list with another encryption key.
    pub fn with_encryption(&self, before: &KeyState, encryption: &[u8]) -> KeyState {
        let list = DeviceList {
            version: before.list.version + 1,
            prev: Some(before.list_hash),
            encryption: decrypting(encryption).1,
            ..(*before.list).clone()
        };
        applied(Some(before), &list, &self.identity, &self.device)
    }

    /// The same person as this account's newest list has it; the keys of the lists before stay at hand.
    pub fn now(&self, state: KeyState, encryption: &[u8], device_seed: u8) -> Person {
        let (key, public) = decrypting(encryption);
        let ring = [(public.kid(), key)].into_iter().chain(self.ring.clone()).collect();
        Person { state, device: device(device_seed), ring, encryption: public, identity: self.identity.clone() }
    }

    pub fn suite(&self) -> RsaJwe1<'_, AwsLcKeys> {
        self.suite_on(&self.device)
    }

    pub fn suite_on<'a>(&'a self, device: &'a DeviceSecret) -> RsaJwe1<'a, AwsLcKeys> {
        RsaJwe1 { keys: &AwsLcKeys, device, decrypting: &self.ring }
    }
}

fn applied(before: Option<&KeyState>, list: &DeviceList, identity: &Signing, device: &DeviceSecret) -> KeyState {
    let log = LogName::Keys(list.user.server().clone());
    let bytes = cbor::encode(list);
    let sig = wait(AwsLcKeys.sign_pss(identity, &device_list::signed_bytes(&bytes))).unwrap().into();
    let draft = Draft {
        device: device.public(),
        n: 1,
        author: list.user.clone(),
        list: list.version,
        epoch: None,
        kind: if before.is_some() { Kind::List } else { Kind::First },
        body: cbor::encode(&SignedList { list: bytes.into(), sig, by_old: None, grant: None }).into(),
        sig: None,
    };
    let seq = before.map_or(4, |before| before.seq + 1);
    KeyState::apply(before, &log, seq, &draft.signed(&log, |bytes| device.sign(bytes)), None).unwrap()
}

pub static ALICE: LazyLock<Person> = LazyLock::new(|| Person::new("alice@s1", A, B, 1));
pub static BOB: LazyLock<Person> = LazyLock::new(|| Person::new("bob@s2", C, D, 51));
/// Her identity is in no other test's way; her key has 4096 bits.
pub static CAROL: LazyLock<Person> = LazyLock::new(|| Person::new("carol@s2", B, LARGE, 61));

/// A room as a reader sees it: who is in it, and whose keys are known.
#[derive(Clone)]
pub struct Room {
    pub id: RoomId,
    pub members: Members,
    pub people: Vec<Arc<KeyState>>,
}

impl Room {
    /// The direct room of two people with these keys.
    pub fn of(a: &KeyState, b: &KeyState) -> Room {
        let genesis = Genesis::direct(SuiteName::RsaJwe1, &a.list.user, &b.list.user);
        let members = Members::direct(genesis.as_direct().unwrap());
        Room { id: genesis.room(), members, people: [a, b].map(|state| Arc::new(state.clone())).into() }
    }

    /// A group of these people, at epoch 0, by whatever way they came in.
    pub fn group(people: &[(&KeyState, Standing)]) -> Room {
        let part = |(state, standing): &(&KeyState, Standing)| {
            let identity = Some(state.list.identity.fingerprint());
            let part = Part { identity, role: Role::Member, standing: *standing, stays: vec![Stay { from: 1, until: None }] };
            (state.list.user.clone(), part)
        };
        let parts: BTreeMap<UserName, Part> = people.iter().map(part).collect();
        let mut e = minicbor::Encoder::new(Vec::new());
        e.map(4).unwrap().u8(0).unwrap().u64(0).unwrap().u8(1).unwrap().bytes(&[1; 32]).unwrap();
        e.u8(2).unwrap().encode(&parts).unwrap().u8(3).unwrap().u64(64).unwrap();
        let members = Members::from_bytes(&e.into_writer()).unwrap();
        Room { id: RoomId([8; 32]), members, people: people.iter().map(|(state, _)| Arc::new((*state).clone())).collect() }
    }

    /// With the keys that are known.
    pub fn to_seal(&self) -> (Roster, Vec<RsaPublicKey>) {
        Roster::to_seal(&self.members, &|user| self.keys(user)).unwrap()
    }

    pub fn roster(&self) -> Roster {
        self.to_seal().0
    }

    pub fn keys(&self, user: &UserName) -> Option<Arc<KeyState>> {
        self.people.iter().find(|state| state.list.user == *user).cloned()
    }

    /// What `reader` makes of a draft in it, held against `author`'s keys.
    pub fn open(&self, reader: &Person, author: &KeyState, draft: &Encoded<Draft>) -> Result<Opened, OpenError> {
        self.open_by(&reader.suite(), author, draft)
    }

    pub fn open_by(&self, suite: &RsaJwe1<'_, AwsLcKeys>, author: &KeyState, draft: &Encoded<Draft>) -> Result<Opened, OpenError> {
        let keys = |user: &UserName| self.keys(user);
        let context = OpenContext { room: self.id, draft, author, members: &self.members, keys: &keys };
        wait(suite.open(&context)).map(|(opened, _)| opened)
    }
}

/// Alice, bob, and strangers; they share a few keys among them, since 64 RSA keys would take half a minute to make.
pub fn crowd(size: usize) -> Room {
    let strangers = (2..size).map(|i| Person::new(&format!("stranger{i:02}@s3"), C, [LARGE, A][i % 2], 61).state);
    let people: Vec<KeyState> = [ALICE.state.clone(), BOB.state.clone()].into_iter().chain(strangers).take(size).collect();
    let room = Room::group(&people.iter().map(|state| (state, Standing::In)).collect::<Vec<_>>());
    assert_eq!(room.roster().members().len(), size);
    room
}

/// The direct room of alice and bob.
pub static ROOM: LazyLock<Room> = LazyLock::new(|| Room::of(&ALICE.state, &BOB.state));

pub fn room() -> RoomId {
    ROOM.id
}

pub fn roster() -> Roster {
    ROOM.roster()
}

/// Their keys, in roster order.
pub fn keys() -> Vec<RsaPublicKey> {
    vec![ALICE.encryption.clone(), BOB.encryption.clone()]
}

pub fn content() -> Content {
    Content::text("the ship leaves at noon").unwrap()
}

/// What a message is bound to; a test changes one part of it.
#[derive(Clone)]
pub struct Place {
    pub room: RoomId,
    pub author: UserName,
    pub n: u64,
    pub list: u64,
    pub epoch: u64,
    pub roster: Roster,
    pub keys: Vec<RsaPublicKey>,
    pub keys_seen: Vec<KeysSeen>,
}

impl Place {
    /// Alice's third message in her room with bob.
    pub fn usual() -> Place {
        Place::inside(&ROOM)
    }

    /// The same in another room.
    pub fn inside(room: &Room) -> Place {
        let (roster, keys) = room.to_seal();
        Place { room: room.id, author: ALICE.user().clone(), n: 3, list: 1, epoch: 0, roster, keys, keys_seen: Vec::new() }
    }

    pub fn context(&self) -> SealContext<'_> {
        SealContext {
            room: self.room,
            author: &self.author,
            n: self.n,
            list: self.list,
            epoch: self.epoch,
            roster: &self.roster,
            keys: &self.keys,
            seen: (7, Hash([7; 32])),
            keys_seen: &self.keys_seen,
        }
    }

    /// The body, as `person` seals it here.
    pub fn seal(&self, person: &Person, content: &Content) -> Result<Vec<u8>, SealError> {
        wait(person.suite().seal(&self.context(), content)).map(|(body, changes)| {
            assert_eq!(changes.0, [], "this suite has no state");
            body.to_vec()
        })
    }

    /// The draft that says of `body` what is said here.
    pub fn draft(&self, device: &DeviceSecret, body: Vec<u8>) -> Encoded<Draft> {
        Encoded::new(Draft {
            device: device.public(),
            n: self.n,
            author: self.author.clone(),
            list: self.list,
            epoch: Some(self.epoch),
            kind: Kind::Sealed,
            body: body.into(),
            sig: None,
        })
    }
}

/// What bob makes of a draft of alice's in their room.
pub fn bob_opens(draft: &Encoded<Draft>) -> Result<Opened, OpenError> {
    ROOM.open(&BOB, &ALICE.state, draft)
}

/// A message of alice's to bob, sealed once for all tests.
pub static SEALED: LazyLock<Arc<[u8]>> = LazyLock::new(|| Place::usual().seal(&ALICE, &content()).unwrap().into());

pub fn sealed_draft() -> Encoded<Draft> {
    Place::usual().draft(&ALICE.device, SEALED.to_vec())
}

/// Alice asks bob into a group.
pub fn note() -> Note {
    Note {
        room: RoomId([8; 32]),
        suite: SuiteName::RsaJwe1,
        from: ALICE.user().clone(),
        to: BOB.user().clone(),
        title: "Ships and tides".into(),
        seq: 4,
        hash: Hash([4; 32]),
        epoch: 2,
        roster: Hash([5; 32]),
    }
}

/// The entry in bob's inbox that a note comes in.
pub fn around_note() -> Draft {
    let (device, author) = (ALICE.device.public(), ALICE.user().clone());
    Draft { device, n: 3, author, list: 1, epoch: None, kind: Kind::Invitation, body: b"around it".as_slice().into(), sig: None }
}
