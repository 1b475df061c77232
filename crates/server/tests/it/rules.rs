//! Who may append what where: every row of the design's table, and every limit at n-1, n and n+1.

use crate::support::{Home, Note, Person, code, direct, key, keys, public, server, sign, some_key, user};
use bytes::Bytes;
use tidings_proto::frame::RoomRef;
use tidings_proto::{Code, Content, DeviceKey, Draft, Encoded, Genesis, Kind, LogName, Signature, SuiteName, cbor, limits};
use tidings_server::logs::{Origin, Reader};

fn content(text: &str) -> Bytes {
    cbor::encode(&Content { text: text.into(), ..Content::default() }).into()
}

#[tokio::test]
async fn the_public_chat_is_written_by_own_listed_devices_only() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let log = public("s1");
    let placed = home.append(&alice, &log, &alice.post(1, "hello")).await.unwrap();
    assert_eq!((placed.seq, home.logs.tip(&log).unwrap().hash), (1, placed.hash));

    // A peer writes to its own public chat; this one is not relayed.
    let bob = Person::new("bob@s2");
    let by_peer = |log: LogName, draft: Encoded<Draft>| {
        let home = &home;
        async move { home.logs.append(Origin::Peer("s2".parse().unwrap()), &log, draft.bytes().clone(), None).await }
    };
    let foreign = bob.write(Note { log: &log, n: 1, kind: Kind::Post, body: content("hello") });
    assert_eq!(code(by_peer(log.clone(), foreign).await), Code::Forbidden);
    assert_eq!(code(by_peer(public("s2"), bob.post(1, "hello")).await), Code::Forbidden, "nor are its own entries submitted here");
    let in_her_name = alice.post(2, "not hers");
    assert_eq!(code(by_peer(log.clone(), in_her_name).await), Code::Forbidden);

    // A device that its user's list does not name.
    let mallory = Person { devices: vec![key("mallory")], ..Person::new("alice@s1") };
    assert_eq!(code(home.append(&mallory, &log, &mallory.post(1, "me too")).await), Code::Revoked);
    // Another kind of draft, however well signed.
    for kind in [Kind::Notice, Kind::First, Kind::List, Kind::Genesis, Kind::Sealed] {
        let other = alice.write(Note { log: &log, n: 2, kind, body: content("hello") });
        assert_eq!(code(home.append(&alice, &log, &other).await), Code::Forbidden, "{kind:?}");
    }
    // Somebody nobody knows.
    let nobody = Person { version: 1, ..Person::new("nobody@s1") };
    assert_eq!(code(home.append(&nobody, &log, &nobody.post(1, "hello")).await), Code::Revoked);
    assert_eq!(home.logs.tip(&log).unwrap().seq, 1);
}

#[tokio::test]
async fn a_draft_is_its_senders() {
    let home = Home::new("s1").await;
    let (alice, bob) = (home.person("alice").await, home.person("bob").await);
    let log = public("s1");
    // Bob's device link carries Alice's draft.
    let draft = alice.post(1, "hello");
    assert_eq!(code(home.logs.append(bob.origin(), &log, draft.bytes().clone(), None).await), Code::Forbidden);
    // Another device of the same user.
    let other = Origin::Device { user: alice.name.clone(), device: bob.device() };
    assert_eq!(code(home.logs.append(other, &log, draft.bytes().clone(), None).await), Code::Forbidden);
    // A link that is not listed yet.
    let unlisted = alice.guest(alice.device());
    assert_eq!(code(home.logs.append(unlisted, &log, draft.bytes().clone(), None).await), Code::Forbidden);
    assert!(home.append(&alice, &log, &draft).await.is_ok(), "the control");
}

#[tokio::test]
async fn an_open_draft_is_signed_for_its_log_by_its_device() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let log = public("s1");
    let note = Note { log: &log, n: 1, kind: Kind::Post, body: content("hello") };
    let unsigned = Encoded::new(alice.plain(0, &note));
    let elsewhere = alice.plain(0, &note).signed(&public("s2"), sign(&alice.devices[0]));
    let by_another = alice.plain(0, &note).signed(&log, sign(&key("mallory")));
    let good = alice.write(Note { body: content("hello"), ..note });
    let zeroed = Encoded::new(Draft { sig: Some(Signature([0; 64])), ..good.clone().into_value() });
    let changed = Encoded::new(Draft { body: content("hullo"), ..good.clone().into_value() });
    for bad in [unsigned, elsewhere, by_another, zeroed, changed] {
        assert_eq!(code(home.append(&alice, &log, &bad).await), Code::BadSignature);
    }
    home.append(&alice, &log, &good).await.unwrap();
}

#[tokio::test]
async fn the_list_that_a_draft_names_is_one_that_names_its_device() {
    let home = Home::new("s1").await;
    let mut alice = home.person("alice").await;
    let log = public("s1");
    alice.version = 2;
    assert_eq!(code(home.append(&alice, &log, &alice.post(1, "early")).await), Code::NotYet, "a list that is not known yet");
    alice.version = 0;
    assert_eq!(code(home.append(&alice, &log, &alice.post(1, "never")).await), Code::Revoked);
    alice.version = 1;
    home.append(&alice, &log, &alice.post(1, "hello")).await.unwrap();

    // A second device comes, by a link that is not listed yet, and the first goes.
    alice.devices.push(key("alice's second"));
    let list = alice.next_list(1);
    home.logs.append(alice.guest(list.device), &keys("s1"), list.bytes().clone(), None).await.unwrap();
    home.append(&alice, &log, &alice.post(2, "both")).await.unwrap();
    let first = alice.devices.remove(0);
    home.rekey(&mut alice, 2).await.unwrap();
    home.append(&alice, &log, &alice.post(1, "the second's first")).await.unwrap();
    let gone = Person { devices: vec![first], version: 2, ..Person::new("alice@s1") };
    assert_eq!(code(home.append(&gone, &log, &gone.post(3, "still me")).await), Code::Revoked, "removed, whatever list it names");
}

#[tokio::test]
async fn keys_take_the_next_list_of_their_user_and_nothing_else() {
    let home = Home::new("s1").await;
    let mut alice = home.person("alice").await;
    let log = keys("s1");
    let append = |draft: &Encoded<Draft>| {
        let origin = Origin::Device { user: draft.author.clone(), device: draft.device };
        let (logs, draft, log) = (home.logs.clone(), draft.bytes().clone(), log.clone());
        async move { logs.append(origin, &log, draft, None).await }
    };
    let post = alice.write(Note { log: &log, n: 2, kind: Kind::Post, body: content("hello") });
    assert_eq!(code(append(&post).await), Code::Forbidden);
    let mut again = Person::new("alice@s1");
    assert_eq!(code(append(&again.next_list(2)).await), Code::Forbidden, "a first list comes with a registration only");

    let list = alice.next_list(2);
    let altered = Draft { body: Bytes::from(vec![0xa0]), ..list.clone().into_value() }.signed(&log, sign(&alice.devices[0]));
    assert_eq!(code(append(&altered).await), Code::Malformed);
    let mut bad = list.body.to_vec();
    *bad.last_mut().unwrap() ^= 1; // the identity's signature
    let forged = Draft { body: bad.into(), ..list.clone().into_value() }.signed(&log, sign(&alice.devices[0]));
    assert_eq!(code(append(&forged).await), Code::BadSignature);
    let placed = append(&list).await.unwrap();
    assert_eq!(placed.seq, 2);
    assert_eq!(home.logs.directory().state(&alice.name).unwrap().list.version, 2);
    // What lost the race is told so: a version that is there already, by another device list.
    let mut late = Person { version: 1, ..Person::new("alice@s1") };
    assert_eq!(code(append(&late.next_list(3)).await), Code::Conflict);
    let elsewhere = home.logs.append(alice.origin(), &keys("s2"), alice.next_list(3).bytes().clone(), None).await;
    assert_eq!(code(elsewhere), Code::Forbidden);
}

#[tokio::test]
async fn an_inbox_takes_pointers_to_a_room_of_writer_and_owner() {
    let home = Home::new("s1").await;
    let (alice, bob, carol) = (home.person("alice").await, home.person("bob").await, home.person("carol").await);
    let genesis = direct(&alice, &bob);
    let mut rooms = home.logs.new_rooms();
    home.append(&alice, &bob.inbox(), &alice.notice(1, &bob, &genesis)).await.unwrap();
    assert_eq!(rooms.recv().await.unwrap().genesis, genesis);
    let expected = [RoomRef { hub: genesis.hub().clone(), genesis: genesis.clone() }];
    for member in [&alice, &bob] {
        assert_eq!(home.logs.member_rooms(&member.name).await.unwrap(), expected);
        assert!(home.logs.may_read(&Reader::User(member.name.clone()), &genesis.log()));
    }
    assert!(home.logs.member_rooms(&carol.name).await.unwrap().is_empty());
    assert!(!home.logs.may_read(&Reader::User(carol.name.clone()), &genesis.log()));

    let refused = [
        (carol.notice(1, &bob, &genesis), "a room that is not hers"),
        (alice.notice(2, &bob, &direct(&alice, &carol)), "a room that is not the owner's"),
        (alice.write(Note { log: &bob.inbox(), n: 2, kind: Kind::Post, body: content("psst") }), "another kind"),
    ];
    for (draft, what) in refused {
        let origin = Origin::Device { user: draft.author.clone(), device: draft.device };
        assert_eq!(code(home.logs.append(origin, &bob.inbox(), draft.bytes().clone(), None).await), Code::Forbidden, "{what}");
    }
    let wrong_hub = RoomRef { genesis: genesis.clone(), hub: "s9".parse().unwrap() };
    let wrong_hub = alice.write(Note { log: &bob.inbox(), n: 2, kind: Kind::Notice, body: cbor::encode(&wrong_hub).into() });
    assert_eq!(code(home.append(&alice, &bob.inbox(), &wrong_hub).await), Code::Forbidden);
    let nobody = Person::new("nobody@s1");
    assert_eq!(code(home.append(&alice, &nobody.inbox(), &alice.notice(1, &nobody, &direct(&alice, &nobody))).await), Code::NotFound);
    assert_eq!(home.logs.tip(&bob.inbox()).unwrap().seq, 1);
}

#[tokio::test]
async fn a_peers_user_may_point_to_a_room_once_their_keys_are_here() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let (alice, zoe) = (home.person("alice").await, hub.person("zoe").await);
    let genesis = direct(&alice, &zoe);
    let draft = zoe.notice(1, &alice, &genesis);
    let inbox = alice.inbox();
    let append = || home.logs.append(Origin::Peer(hub.name.clone()), &inbox, draft.bytes().clone(), None);
    assert_eq!(code(append().await), Code::NotYet);
    home.knows(&hub).await;
    home.copy(&hub, &keys("s0")).await;
    append().await.unwrap();
    assert_eq!(home.logs.member_rooms(&alice.name).await.unwrap().len(), 1);
    let forwarded = home.logs.append(Origin::Peer("s7".parse().unwrap()), &inbox, zoe.notice(2, &alice, &genesis).bytes().clone(), None);
    assert_eq!(code(forwarded.await), Code::Forbidden, "a peer speaks for its own users only");
}

#[tokio::test]
async fn a_direct_room_is_its_two_peoples_and_starts_with_its_genesis() {
    let home = Home::new("s1").await;
    let (alice, bob, carol) = (home.person("alice").await, home.person("bob").await, home.person("carol").await);
    let genesis = direct(&alice, &bob);
    let log = genesis.log();
    assert_eq!(code(home.append(&bob, &log, &bob.sealed(1, b"x")).await), Code::NotFound, "nobody has said what this room is");
    let placed = home.append_direct(&bob, &genesis, &bob.sealed(1, b"from bob")).await.unwrap();
    assert_eq!(placed.seq, 2);
    let (_, entries) = home.read(&log).await;
    let first = tidings_proto::Entry::read(&entries[0]).unwrap();
    assert_eq!(first.draft(), Some(&genesis.as_direct().unwrap().draft()));
    assert_eq!(first.draft().unwrap().device, DeviceKey([0; 32]));
    assert_eq!(home.append(&alice, &log, &alice.sealed(1, b"from alice")).await.unwrap().seq, 3, "the room is known now");
    assert_eq!(home.append_direct(&alice, &genesis, &alice.sealed(2, b"again")).await.unwrap().seq, 4, "and is not made twice");

    assert_eq!(code(home.append(&carol, &log, &carol.sealed(1, b"x")).await), Code::Forbidden);
    assert_eq!(code(home.append_direct(&carol, &genesis, &carol.sealed(1, b"x")).await), Code::Forbidden);
    let unknown = direct(&alice, &carol);
    assert_eq!(
        code(home.append_direct(&bob, &unknown, &bob.sealed(1, b"x")).await),
        Code::Forbidden,
        "not a room of his, and not made for him"
    );
    assert_eq!(home.logs.tip(&unknown.log()), None);
    let another = home.logs.append(alice.origin(), &log, alice.sealed(3, b"x").bytes().clone(), Some(unknown)).await;
    assert_eq!(code(another), Code::Forbidden, "the genesis of another room");
    let nobody = Genesis::direct(SuiteName::RsaJwe1, &alice.name, &user("nobody@s1"));
    assert_eq!(code(home.append_direct(&alice, &nobody, &alice.sealed(1, b"x")).await), Code::NotFound);
    let far = Genesis::direct(SuiteName::RsaJwe1, &alice.name, &user("aaron@s0"));
    assert_eq!(code(home.append_direct(&alice, &far, &alice.sealed(1, b"x")).await), Code::UnknownPeer, "nobody knows s0");
    home.logs.know_peer(&server("s0"), &some_key("s0")).await.unwrap();
    assert_eq!(code(home.append_direct(&alice, &far, &alice.sealed(1, b"x")).await), Code::Forbidden, "s0 is its hub");
}

#[tokio::test]
async fn a_room_takes_sealed_drafts_of_its_epoch_only() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let notes = direct(&alice, &alice);
    let sealed = alice.sealed(1, b"to myself").into_value();
    let refuse = [
        (Draft { epoch: None, ..sealed.clone() }, Code::Malformed),
        (Draft { epoch: Some(1), ..sealed.clone() }, Code::Stale),
        (Draft { kind: Kind::Post, body: content("open"), ..sealed.clone() }, Code::Forbidden),
        (Draft { kind: Kind::Genesis, ..sealed.clone() }, Code::BadSignature),
        (Draft { list: 2, ..sealed.clone() }, Code::NotYet),
        (Draft { n: 0, ..sealed.clone() }, Code::Malformed),
    ];
    for (draft, expected) in refuse {
        assert_eq!(code(home.append_direct(&alice, &notes, &Encoded::new(draft)).await), expected);
    }
    home.append_direct(&alice, &notes, &Encoded::new(sealed)).await.unwrap();
    assert_eq!(home.logs.member_rooms(&alice.name).await.unwrap().len(), 1, "notes to self are one room");
    // An epoch has no place in logs that have none.
    let log = public("s1");
    let post = Draft { epoch: Some(0), ..alice.plain(0, &Note { log: &log, n: 1, kind: Kind::Post, body: content("x") }) };
    assert_eq!(code(home.append(&alice, &log, &post.signed(&log, sign(&alice.devices[0]))).await), Code::Malformed);
}

#[tokio::test]
async fn text_is_64_kib_at_most_and_something() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let log = public("s1");
    let post = |n: u64, text: &str| alice.write(Note { log: &log, n, kind: Kind::Post, body: content(text) });
    assert_eq!(code(home.append(&alice, &log, &post(1, "")).await), Code::Malformed);
    for (n, size) in [(1, 1), (2, limits::TEXT - 1), (3, limits::TEXT)] {
        home.append(&alice, &log, &post(n, &"x".repeat(size))).await.unwrap();
    }
    assert_eq!(code(home.append(&alice, &log, &post(4, &"x".repeat(limits::TEXT + 1))).await), Code::TooLarge);
    // Bytes count, not characters.
    assert_eq!(code(home.append(&alice, &log, &post(4, &"é".repeat(limits::TEXT / 2 + 1))).await), Code::TooLarge);
    let not_content = alice.write(Note { log: &log, n: 4, kind: Kind::Post, body: Bytes::from_static(b"\x01") });
    assert_eq!(code(home.append(&alice, &log, &not_content).await), Code::Malformed);
}

#[tokio::test]
async fn a_draft_is_224_kib_at_most() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let notes = direct(&alice, &alice);
    let fill = limits::DRAFT - alice.sealed(1, &[0; 70_000]).bytes().len() + 70_000;
    for (n, size) in [(1, fill - 1), (2, fill)] {
        let draft = alice.sealed(n, &vec![7; size]);
        assert_eq!(draft.bytes().len(), limits::DRAFT - fill + size);
        home.append_direct(&alice, &notes, &draft).await.unwrap();
    }
    assert_eq!(code(home.append_direct(&alice, &notes, &alice.sealed(3, &vec![7; fill + 1])).await), Code::TooLarge);
    assert_eq!(code(home.logs.append(alice.origin(), &notes.log(), Bytes::from_static(b"\xa1"), None).await), Code::Malformed);
    // Canonical or nothing: a longer spelling of the same draft is refused.
    let mut longer = alice.sealed(3, b"x").bytes().to_vec();
    longer.push(0);
    assert_eq!(code(home.logs.append(alice.origin(), &notes.log(), longer.into(), None).await), Code::Malformed);
}

#[tokio::test]
async fn what_devices_hand_on_is_their_users_own() {
    let home = Home::new("s1").await;
    let (alice, bob) = (home.person("alice").await, home.person("bob").await);
    let log = LogName::History(alice.name.clone());
    let segment = |who: &Person, n: u64, kind| who.write(Note { log: &log, n, kind, body: Bytes::from_static(b"sealed") });
    home.append(&alice, &log, &segment(&alice, 1, Kind::Segment)).await.unwrap();
    for kind in [Kind::Post, Kind::Sealed, Kind::Notice, Kind::Erase] {
        assert_eq!(code(home.append(&alice, &log, &segment(&alice, 2, kind)).await), Code::Forbidden, "{kind:?}");
    }
    assert_eq!(code(home.append(&bob, &log, &segment(&bob, 1, Kind::Segment)).await), Code::Forbidden, "somebody else");
    let (zoe, peer) = (Person::new("zoe@s0"), Origin::Peer("s0".parse().unwrap()));
    let zoes = LogName::History(zoe.name.clone());
    for (log, draft) in [(&log, segment(&zoe, 1, Kind::Segment)), (&zoes, segment(&zoe, 1, Kind::Segment))] {
        assert_eq!(code(home.logs.append(peer.clone(), log, draft.bytes().clone(), None).await), Code::Forbidden, "a peer");
    }
    let unlisted = Person { devices: vec![key("mallory")], ..Person::new("alice@s1") };
    assert_eq!(code(home.append(&unlisted, &log, &segment(&unlisted, 1, Kind::Segment)).await), Code::Revoked);
    let unsigned = Draft { sig: None, ..(*segment(&alice, 2, Kind::Segment)).clone() };
    assert_eq!(code(home.append(&alice, &log, &Encoded::new(unsigned)).await), Code::BadSignature);
    assert_eq!(home.logs.tip(&log).unwrap().seq, 1);
}

#[tokio::test]
async fn who_may_read() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let (alice, bob) = (home.person("alice").await, home.person("bob").await);
    let zoe = hub.person("zoe").await;
    home.knows(&hub).await;
    home.copy(&hub, &keys("s0")).await;
    // Ordered here, since a comes before z.
    let with_zoe = direct(&alice, &zoe);
    home.append_direct(&alice, &with_zoe, &alice.sealed(1, b"x")).await.unwrap();
    let own = direct(&alice, &bob);
    home.append_direct(&alice, &own, &alice.sealed(1, b"x")).await.unwrap();

    let a_user = Reader::User(alice.name.clone());
    let (peer, stranger) = (Reader::Peer(hub.name.clone()), Reader::Peer("s9".parse().unwrap()));
    for (reader, log, may) in [
        (&a_user, public("s1"), true),
        (&a_user, public("s0"), true),
        (&a_user, keys("s0"), true),
        (&a_user, alice.inbox(), true),
        (&a_user, bob.inbox(), false),
        (&a_user, LogName::History(alice.name.clone()), true),
        (&a_user, LogName::History(bob.name.clone()), false),
        (&a_user, with_zoe.log(), true),
        (&a_user, direct(&bob, &zoe).log(), false),
        (&peer, public("s1"), true),
        (&peer, keys("s1"), true),
        (&peer, public("s0"), false),
        (&peer, public("s7"), false),
        (&peer, alice.inbox(), false),
        (&peer, zoe.inbox(), false),
        (&peer, LogName::History(alice.name.clone()), false),
        (&peer, LogName::History(zoe.name.clone()), false),
        (&peer, with_zoe.log(), true),
        (&peer, own.log(), false),
        (&stranger, with_zoe.log(), false),
    ] {
        assert_eq!(home.logs.may_read(reader, &log), may, "{reader:?} {log}");
    }
}
