//! MLS: commits, GroupInfos, Welcomes and key packages, as hub, replicas and devices take them from whoever has sent them.
//!
//! OpenMLS draws its keys from the system, so each process has others: of an input that fails the place counts where it was bent.

use crate::sealed::people::{ALICE, BOB};
use bytes::Bytes;
use std::sync::LazyLock;
use tidings_e2ee::mls::{self, Followed, Made, State, Unreadable};
use tidings_proto::membership::Commit;
use tidings_proto::{Draft, Encoded, Kind, RoomId, cbor};
use tidings_trust::Members;
use tidings_trust::mls::{Tree, key_package};
use world::{Device, Hub};

/// The room of the tests of `e2ee`.
#[allow(dead_code, reason = "the tests of e2ee use more of it")]
#[path = "../../e2ee/tests/it/mls_world.rs"]
mod world;

/// Alice's and bob's room, in which she has just made a commit that nobody has taken yet.
struct Scene {
    hub: Hub,
    /// Its beginning, by which bob comes in, and the tree then.
    begun: (Made, Tree),
    /// What alice has said since.
    said: Bytes,
    /// The commit.
    made: Made,
    /// Bob before he has read anything, and after.
    fresh: Device,
    bob: Device,
    /// His key packages.
    packages: Vec<Bytes>,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let (mut hub, mut alice, mut bob) = (Hub::direct(), Device::new(&ALICE), Device::new(&BOB));
    let mut packages = bob.packages.clone();
    packages.extend(bob.with(|state, me| me.key_packages(state, 1, true)).expect("a key package"));
    alice.begins(&mut hub, &mut [&mut bob]).expect("a room");
    alice.reads(&hub);
    let body: Commit = cbor::decode(&hub.log[1].body, 1 << 20).expect("a commit");
    let begun = (Made { commit: None, group_info: body.group_info, welcome: body.welcome }, tree(&hub.members).clone());
    let mut fresh = Device::on(BOB.user(), bob.secret.clone(), 1);
    fresh.profile.clone_from(&bob.profile);
    let said = alice.seals(&hub, "hello").expect("a message").body.clone();
    bob.reads(&hub);
    let (room, bound) = (hub.room(), hub.members.bound());
    let made = alice.with(|state, me| me.commit(state, &room, &bound, &[], &[])).expect("a commit");
    Scene { hub, begun, said, made, fresh, bob, packages }
});

fn tree(members: &Members) -> &Tree {
    members.tree().expect("it has begun")
}

impl Scene {
    fn room(&self) -> RoomId {
        self.hub.room()
    }

    /// The members after this, if it is taken in alice's name.
    fn takes(&self, made: &Made) -> Option<Members> {
        let Made { commit, group_info, welcome } = made.clone();
        let body = cbor::encode(&Commit { prev: self.hub.members.last(), change: None, commit, group_info, welcome });
        let (device, author, epoch) = (ALICE.device.public(), ALICE.user().clone(), Some(self.hub.members.epoch()));
        let draft = Draft { device, n: 9, author, list: 1, epoch, kind: Kind::Commit, body: body.into(), sig: None };
        let draft: Encoded<Draft> = draft.signed(&self.hub.genesis.log(), |bytes| ALICE.device.sign(bytes));
        let keys = |user: &_| self.hub.keys.get(user).cloned();
        self.hub.members.apply(3, &draft, &ALICE.state, keys).ok()
    }
}

/// What a device does with it, on a state that is dropped afterwards.
fn on<T>(device: &Device, work: impl FnOnce(&State<'_>) -> T) -> T {
    let read = |key: &[u8]| Ok::<_, Unreadable>(device.profile.get(key).cloned());
    work(&State::new(&read))
}

/// The input as a commit of alice's: what is taken is what she has signed, and makes of her room the next epoch with the same devices.
pub fn commit(input: &[u8]) {
    let made = Made { commit: Some(Bytes::copy_from_slice(input)), ..SCENE.made.clone() };
    let Some(after) = SCENE.takes(&made) else {
        // A device that is given it all the same opens nothing by it.
        let _ = on(&SCENE.bob, |state| mls::follow(state, &SCENE.room(), &made, tree(&SCENE.hub.members), &SCENE.bob.secret));
        return;
    };
    let devices = |members: &Members| tree(members).leaves().iter().map(|leaf| leaf.device).collect::<Vec<_>>();
    assert_eq!(devices(&after), devices(&SCENE.hub.members));
    assert_eq!((after.epoch(), tree(&after).roster()), (2, SCENE.hub.members.bound()));
    assert_eq!(Members::from_bytes(&after.to_bytes()).as_ref(), Ok(&after));
    // Its membership tag no hub can tell: who is in can, and does not come in by it.
    let followed = on(&SCENE.bob, |state| mls::follow(state, &SCENE.room(), &made, tree(&after), &SCENE.bob.secret));
    assert_eq!(followed, Ok(if made == SCENE.made { Followed::In } else { Followed::Lost }));
}

/// The input as the GroupInfo of a room that begins, and of one after a commit, and as that by which somebody comes in.
pub fn group_info(input: &[u8]) {
    let group_info = Bytes::copy_from_slice(input);
    let of_the_beginning = SCENE.begun.0.group_info == group_info;
    assert_eq!(Tree::begin(&SCENE.room(), input).is_ok(), of_the_beginning, "nobody else has signed one");
    let taken = SCENE.takes(&Made { group_info, ..SCENE.made.clone() });
    assert_eq!(taken.is_some(), SCENE.made.group_info == input, "nobody else has signed one");
    let me = mls::Device { secret: &BOB.device, user: BOB.user(), list: 1 };
    on(&SCENE.bob, |state| drop(me.come_in(state, &SCENE.room(), input, tree(&SCENE.hub.members))));
}

/// The input as bob's Welcome: he comes in by the keys that there are, and reads what is said, or he does not come in.
pub fn welcome(input: &[u8]) {
    let (begun, tree) = &SCENE.begun;
    let made = Made { welcome: Some(Bytes::copy_from_slice(input)), ..begun.clone() };
    on(&SCENE.fresh, |state| {
        let followed = mls::follow(state, &SCENE.room(), &made, tree, &SCENE.fresh.secret).expect("his state is whole");
        let opened = mls::open(state, &SCENE.room(), &SCENE.said, tree);
        match followed {
            Followed::In => assert_eq!(opened.expect("he is in").text, b"hello"),
            Followed::Lost => assert_eq!(opened, Err(mls::MlsError::NotIn)),
            Followed::Out => panic!("he is in the tree"),
        }
    });
}

/// The input as a key package of bob's: nobody makes one but he.
pub fn package(input: &[u8]) {
    let is_his = key_package(input, &BOB.device.public(), &BOB.state).is_ok();
    assert_eq!(is_his, SCENE.packages.iter().any(|package| package == input));
}

pub fn commits() -> Vec<Vec<u8>> {
    SCENE.made.commit.iter().map(|commit| commit.to_vec()).collect()
}

pub fn group_infos() -> Vec<Vec<u8>> {
    [&SCENE.begun.0, &SCENE.made].iter().map(|made| made.group_info.to_vec()).collect()
}

pub fn welcomes() -> Vec<Vec<u8>> {
    SCENE.begun.0.welcome.iter().map(|welcome| welcome.to_vec()).collect()
}

pub fn packages() -> Vec<Vec<u8>> {
    SCENE.packages.iter().map(|package| package.to_vec()).collect()
}
