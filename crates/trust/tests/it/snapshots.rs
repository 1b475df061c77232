//! The very bytes. A change here is a change of the protocol: every other version and every stored log sees it.
//!
//! A snapshot that changed on purpose is accepted with `INSTA_UPDATE=always cargo test -p tidings-trust`, and the reason
//! belongs in the commit.

use crate::group::*;
use crate::samples::*;
use data_encoding::HEXLOWER;
use std::fmt::Write;
use tidings_proto::frame::{Grant, Secret};
use tidings_proto::{Hash, Role, cbor, draft};
use tidings_trust::login::{credential_id, opaque_context};
use tidings_trust::{Roster, SignedList, device_list};

/// `name hex`, the hex broken into lines of 32 bytes.
fn table<'a>(rows: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> String {
    let mut out = String::new();
    for (name, bytes) in rows {
        writeln!(out, "{name} ({} bytes)", bytes.len()).unwrap();
        for line in bytes.chunks(32) {
            writeln!(out, "  {}", HEXLOWER.encode(line)).unwrap();
        }
    }
    out
}

/// PSS signatures are randomised: these stand for them, since here it is the form that counts.
fn signed(list: Vec<u8>) -> Vec<u8> {
    signed_list(list, vec![0x5a; 384])
}

#[test]
fn lists() {
    let first = Submission::first();
    let mut second = Submission::first();
    second.list.version = 2;
    second.list.prev = Some(Hash::of(&first.list_bytes()));
    second.list.devices = devices([1, 2]);
    second.list.devices[1].suites.clear();
    insta::assert_snapshot!(
        "lists",
        table([
            ("first list", first.list_bytes()),
            ("second list", second.list_bytes()),
            ("signed list", signed(first.list_bytes())),
            ("draft of the first list", first.draft_around(signed(first.list_bytes())).bytes().to_vec()),
        ])
    );
}

/// What comes with another identity, and the end.
#[test]
fn changes_of_identity() {
    let before = alice_state();
    let reset = Submission::reset(&before, [&C, &D], 7);
    let grant = reset.grant.clone().unwrap();
    let body = |by_old: Option<Vec<u8>>, grant| {
        let list = Submission::next(&before, &[1]).list_bytes()[..40].to_vec().into();
        cbor::encode(&SignedList { list, sig: vec![0x5a; 8].into(), by_old: by_old.map(Into::into), grant })
    };
    let end = gone(&before).signed(&keys_log(), |bytes| sign(SERVER, bytes));
    insta::assert_snapshot!(
        "changes_of_identity",
        table([
            ("a list, cut short for this", body(None, None)),
            ("as the body of a rotation", body(Some(vec![0xa5; 8]), None)),
            ("as the body of a reset", body(None, Some(grant.clone()))),
            ("what the old identity signs, of a list that reads 'list'", device_list::rotation_bytes(b"list")),
            ("what the server signs", Grant::signed_bytes(&alice(), grant.version, &grant.prev, &device_key(7))),
            ("the grant", cbor::encode(&grant)),
            ("the body of the end", gone(&before).body.to_vec()),
            ("the draft of the end", end.bytes().to_vec()),
        ])
    );
}

/// What servers keep beside a group's log.
#[test]
fn members() {
    let mut room = Room::with(&["bob@s2", "carol@s2"]);
    room.act("bob@s2", Act::Leave).unwrap();
    room.act("alice@s1", Act::Invite(name("dave@s3"), Role::Admin)).unwrap();
    let direct = tidings_proto::Genesis::direct(tidings_proto::SuiteName::RsaJwe1, &alice(), &bob());
    insta::assert_snapshot!(
        "members",
        table([
            ("a group: an owner, who has gone, a member, who is asked in", room.members.to_bytes()),
            ("a direct room", tidings_trust::Members::direct(direct.as_direct().unwrap()).to_bytes()),
        ])
    );
}

#[test]
fn what_is_signed_and_hashed() {
    let first = Submission::first();
    let draft = first.draft_around(b"body".to_vec());
    let mut room = Room::with(&["bob@s2"]);
    room.act("alice@s1", Act::Invite(name("carol@s2"), Role::Admin)).unwrap();
    let roster = Roster::to_seal(&room.members, &room.keys_of()).unwrap().0;
    insta::assert_snapshot!(
        "what_is_signed_and_hashed",
        table([
            ("what the identity signs, of a list that reads 'list'", device_list::signed_bytes(b"list")),
            ("what the device signs", draft::signed_bytes(&keys_log(), &draft)),
            ("roster: an owner, a member, an admin who is asked in", cbor::encode(&roster.members().to_vec())),
            ("its hash", roster.hash().as_bytes().to_vec()),
            ("OPAQUE context", opaque_context(&Hash([7; 32]))),
            ("credential of the password", credential_id(&alice(), Secret::Password)),
            ("credential of the recovery code", credential_id(&alice(), Secret::Recovery)),
        ])
    );
}
