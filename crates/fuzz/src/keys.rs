//! Who is who, and who is in: what everybody works out of signed entries that anybody may have written.

use crate::sealed::people::*;
use std::sync::Arc;
use tidings_e2ee::rsa::{AwsLcKeys, RsaKeys};
use tidings_proto::membership::{Invite, Join, Leave, Remove, SetRole};
use tidings_proto::{Draft, Encoded, Genesis, Group, Hash, Kind, LogName, Nonce, Role, SuiteName, UserName, cbor, limits};
use tidings_trust::device_list::{LIST_LIMIT, signed_bytes};
use tidings_trust::members::Standing;
use tidings_trust::{DeviceList, KeyState, Members, SignedList};

/// The input as a device list that alice's identity has signed, as her first and as her next one: no list makes a state that
/// is another user's, goes back, or has no device.
pub fn device_list(input: &[u8]) {
    let Ok(list) = cbor::decode::<DeviceList>(input, LIST_LIMIT) else { return };
    let (identity, _) = signing(A);
    let sig = wait(AwsLcKeys.sign_pss(&identity, &signed_bytes(input))).expect("a fixed key signs").into();
    let body: Vec<u8> = cbor::encode(&SignedList { list: input.to_vec().into(), sig, by_old: None, grant: None });
    let log = LogName::Keys(ALICE.user().server().clone());
    for (before, kind, seq) in [(None, Kind::First, 1), (Some(&ALICE.state), Kind::List, 9)] {
        let draft = Draft {
            device: ALICE.device.public(),
            n: 1,
            author: ALICE.user().clone(),
            list: list.version,
            epoch: None,
            kind,
            body: body.clone().into(),
            sig: None,
        };
        let draft = draft.signed(&log, |bytes| ALICE.device.sign(bytes));
        if let Ok(state) = KeyState::apply(before, &log, seq, &draft, None) {
            assert_eq!((&state.list.user, state.version()), (ALICE.user(), list.version));
            assert_eq!(state.list.identity, ALICE.state.list.identity, "nobody else's identity");
            assert!((1..=limits::DEVICES).contains(&state.list.devices.len()));
            assert!(state.device(&ALICE.device.public()).is_some(), "signed by a device of the list");
            assert!(before.is_none_or(|before| state.version() > before.version()));
        }
    }
}

pub fn device_lists() -> Vec<Vec<u8>> {
    let next = ALICE.with_devices(&ALICE.state, &[1, 2, 3]);
    [&ALICE.state, &next].iter().map(|state| cbor::encode(&*state.list)).collect()
}

/// Bytes of one step of a group's history: who, what, whom, and what is wrong with it.
const STEP: usize = 4;

/// The input as what three people try in a group, some of it wrong. Whatever they try: a group has at most the members its
/// suite allows, an owner as long as anybody is in, an epoch that counts what was taken, and comes back whole from its bytes.
pub fn members(input: &[u8]) {
    let people = [&*ALICE, &*BOB, &*CAROL];
    let keys = |user: &UserName| people.iter().find(|person| person.user() == user).map(|person| Arc::new(person.state.clone()));
    let group = group();
    let genesis = draft_of(&ALICE, Kind::Genesis, None, Genesis::Group(group.clone()).encode().to_vec());
    let mut members = Members::begin(&group, &genesis, &ALICE.state).expect("a group begins");
    for (step, seq) in input.chunks_exact(STEP).zip(2..) {
        let author = people[usize::from(step[0]) % people.len()];
        let whom = people[usize::from(step[2]) % people.len()];
        let wrong = step[3];
        let prev = if wrong & 1 == 0 { members.last() } else { Hash([wrong; 32]) };
        let epoch = if wrong & 2 == 0 { Some(members.epoch()) } else { Some(u64::from(wrong)) };
        let (kind, body) = step_of(step[1], prev, whom);
        let draft = draft_of(author, kind, epoch, body);
        let Ok(next) = members.apply(seq, &draft, &author.state, keys) else { continue };
        assert_eq!((next.epoch(), next.last()), (members.epoch() + 1, draft.hash()));
        assert_eq!((epoch, prev), (Some(members.epoch()), members.last()), "nothing is taken that was made for another state");
        assert!(next.people().count() <= limits::RSA_MEMBERS);
        let is_in = |role: Option<Role>| {
            next.members().any(|(_, person)| person.standing == Standing::In && role.is_none_or(|role| person.role == role))
        };
        assert!(is_in(Some(Role::Owner)) || !is_in(None), "who is in has an owner");
        assert_eq!(Members::from_bytes(&next.to_bytes()).as_ref(), Ok(&next));
        members = next;
    }
}

fn step_of(what: u8, prev: Hash, whom: &Person) -> (Kind, Vec<u8>) {
    let (user, role) = (whom.user().clone(), [Role::Owner, Role::Admin, Role::Member][usize::from(what >> 4) % 3]);
    match what % 5 {
        0 => {
            let identity = whom.state.list.identity.fingerprint().0;
            (Kind::Invite, cbor::encode(&Invite { prev, user, identity, role }))
        }
        1 => (Kind::Join, cbor::encode(&Join { prev })),
        2 => (Kind::Leave, cbor::encode(&Leave { prev })),
        3 => (Kind::Remove, cbor::encode(&Remove { prev, user, lost_by: (what > 127).then_some(u64::from(what % 4)) })),
        _ => (Kind::SetRole, cbor::encode(&SetRole { prev, user, role })),
    }
}

fn group() -> Group {
    let genesis = Genesis::group(SuiteName::RsaJwe1, ALICE.user(), Nonce([6; 32]));
    genesis.as_group().expect("it is one").clone()
}

fn draft_of(author: &Person, kind: Kind, epoch: Option<u64>, body: Vec<u8>) -> Encoded<Draft> {
    let (device, author) = (author.device.public(), author.user().clone());
    Encoded::new(Draft { device, n: 1, author, list: 1, epoch, kind, body: body.into(), sig: None })
}

/// Alice asks bob and carol in, who come; she makes bob an owner and goes; he puts carol out.
pub fn histories() -> Vec<Vec<u8>> {
    vec![[[0, 0x20, 1, 0], [1, 1, 0, 0], [0, 0x20, 2, 0], [2, 1, 0, 0], [0, 4, 1, 0], [0, 2, 0, 0], [1, 3, 2, 0]].concat()]
}
