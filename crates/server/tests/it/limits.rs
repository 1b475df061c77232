//! How much one person may ask for: each limit one below, at it and one above, told with what it is and when to try again.

use crate::company::{Act, Group};
use crate::support::{Home, Person, code, direct, generous, key, keys, public, some_key};
use futures_util::future::join_all;
use tidings_proto::membership::SEALED_LIMIT;
use tidings_proto::{Code, Genesis, Refusal, Role, SuiteName};
use tidings_server::Limits;
use tidings_server::federation::Outgoing;
use tidings_server::logs::{Origin, Placed};

fn codes(results: Vec<Result<Placed, Refusal>>) -> Vec<Result<u64, Code>> {
    results.into_iter().map(|result| result.map(|it| it.seq).map_err(|why| why.code)).collect()
}

#[tokio::test]
async fn a_device_writes_so_much_at_once_wherever_it_writes() {
    let home = Home::new("s1").await;
    let mut alice = home.person("alice").await;
    let bob = home.person("bob").await;
    alice.devices.push(key("alice's second"));
    let list = alice.next_list(1);
    home.logs.append(alice.guest(list.device), &keys("s1"), list.bytes().clone(), None).await.unwrap();
    let home = home.within(Limits { message_burst: 4, messages_per_second: 1, ..generous() }).await;
    let log = public("s1");
    let notes = direct(&alice, &alice);
    // All in line at once: no time passes between them.
    let posts: Vec<_> = (1..=3).map(|n| alice.post(n, "hello")).collect();
    let (note, late) = (alice.sealed(1, b"to myself"), alice.post(4, "too much"));
    let posting = join_all(posts.iter().map(|draft| home.append(&alice, &log, draft)));
    let (posted, noted, refused) = tokio::join!(posting, home.append_direct(&alice, &notes, &note), home.append(&alice, &log, &late));
    assert_eq!((codes(posted), noted.unwrap().seq), (vec![Ok(1), Ok(2), Ok(3)], 2));
    let refused = refused.unwrap_err();
    assert!(refused.code == Code::TooFast && refused.retry_after == Some(1) && refused.text.contains("this device"), "{refused:?}");
    let outgoing =
        Outgoing { user: alice.name.clone(), device: alice.device(), log: public("s2"), draft: late.bytes().clone(), genesis: None };
    assert_eq!(code(home.logs.enqueue(&"s2".parse().unwrap(), outgoing).await), Code::TooFast, "for other servers too");
    // Everybody else goes on, and so does alice's other device.
    home.append(&bob, &log, &bob.post(1, "hello")).await.unwrap();
    let second = Person { devices: vec![alice.devices[1].clone()], version: 2, ..Person::new("alice@s1") };
    home.append(&second, &log, &second.post(1, "from my other device")).await.unwrap();
    let waiting = async {
        while home.append(&alice, &log, &late).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::SOON, waiting).await.expect("a moment later there is room for one more");
}

#[tokio::test]
async fn strangers_reach_an_inbox_so_often_and_people_one_knows_as_they_like() {
    let home = Home::new("s1").await;
    let [alice, bob, carol] = [home.person("alice").await, home.person("bob").await, home.person("carol").await];
    let home = home.within(Limits { invitation_burst: 3, ..generous() }).await;
    let room = direct(&alice, &bob);
    let group = Group::begun(&home, &alice, 1, &[]).await;
    let drafts = [
        alice.notice(1, &bob, &room),
        group.invitation(&alice, 2, &bob, 10),
        alice.notice(3, &bob, &room),
        group.invitation(&alice, 4, &bob, 10),
    ];
    for (draft, taken) in drafts.iter().zip([true, true, true, false]) {
        assert_eq!(home.append(&alice, &bob.inbox(), draft).await.map_err(|why| (why.code, why.retry_after)).is_ok(), taken);
    }
    let refused = home.append(&alice, &bob.inbox(), &drafts[3]).await.unwrap_err();
    assert!(refused.code == Code::TooFast && refused.retry_after == Some(300) && refused.text.contains("300"), "{refused:?}");
    // What was taken may be offered again, and others are in nobody's way.
    assert_eq!(home.append(&alice, &bob.inbox(), &drafts[2]).await.unwrap().seq, 3);
    home.append(&carol, &bob.inbox(), &carol.notice(1, &bob, &direct(&carol, &bob))).await.unwrap();
    home.append(&alice, &carol.inbox(), &alice.notice(1, &carol, &direct(&alice, &carol))).await.unwrap();
    // Once both are in one group they may.
    let mut shared = Group::begun(&home, &carol, 2, &[]).await;
    for who in [&alice, &bob] {
        shared.does(&home, &carol, Act::Invite(&who.name, who.fingerprint(), Role::Member)).await.unwrap();
    }
    shared.does(&home, &alice, Act::Join).await.unwrap();
    assert_eq!(code(home.append(&alice, &bob.inbox(), &drafts[3]).await), Code::TooFast, "bob is only asked in");
    shared.does(&home, &bob, Act::Join).await.unwrap();
    for n in 4..=9 {
        home.append(&alice, &bob.inbox(), &group.invitation(&alice, n, &bob, 10)).await.unwrap();
    }
    shared.does(&home, &bob, Act::Leave).await.unwrap();
    assert_eq!(code(home.append(&alice, &bob.inbox(), &alice.notice(10, &bob, &room)).await), Code::TooFast, "strangers again");
    // A server may want none from strangers at all.
    let home = home.within(Limits { invitation_burst: 0, ..generous() }).await;
    assert_eq!(code(home.append(&carol, &bob.inbox(), &carol.notice(2, &bob, &direct(&carol, &bob))).await), Code::TooFast);
}

#[tokio::test]
async fn a_peers_users_reach_an_inbox_no_more_often() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let (alice, zoe) = (home.person("alice").await, hub.person("zoe").await);
    home.knows(&hub).await;
    home.copy(&hub, &keys("s0")).await;
    let home = home.within(Limits { invitation_burst: 1, message_burst: 1, ..generous() }).await;
    let by = || Origin::Peer(hub.name.clone());
    let room = direct(&alice, &zoe);
    home.logs.append(by(), &alice.inbox(), zoe.notice(1, &alice, &room).bytes().clone(), None).await.unwrap();
    let second = home.logs.append(by(), &alice.inbox(), zoe.notice(2, &alice, &room).bytes().clone(), None).await;
    assert_eq!(code(second), Code::TooFast);
    // How fast a peer's devices write is for their own server to say.
    for n in 1..=3 {
        home.logs.append(by(), &room.log(), zoe.sealed(n, b"x").bytes().clone(), None).await.unwrap();
    }
}

#[tokio::test]
async fn somebody_is_in_so_many_rooms() {
    let home = Home::new("s1").await;
    let [alice, bob, carol, dave] =
        [home.person("alice").await, home.person("bob").await, home.person("carol").await, home.person("dave").await];
    let home = home.within(Limits { rooms_per_user: 3, ..generous() }).await;
    let is_full = |result: Result<Placed, Refusal>| {
        let why = result.expect_err("one room too many");
        assert!(why.code == Code::Full && why.text.contains('3'), "{why:?}");
    };
    for other in [&alice, &bob] {
        home.append_direct(&alice, &direct(&alice, other), &alice.sealed(1, b"x")).await.unwrap();
    }
    let mut group = Group::begun(&home, &alice, 1, &[]).await;
    is_full(home.append_direct(&alice, &direct(&alice, &carol), &alice.sealed(1, b"x")).await);
    is_full(Group::new(&alice, 2).does(&home, &alice, Act::Begin).await);
    is_full(home.append_direct(&carol, &direct(&alice, &carol), &carol.sealed(1, b"x")).await);
    is_full(home.append(&carol, &alice.inbox(), &carol.notice(1, &alice, &direct(&alice, &carol))).await);
    let mut carols = Group::begun(&home, &carol, 3, &[]).await;
    is_full(carols.does(&home, &carol, Act::Invite(&alice.name, alice.fingerprint(), Role::Member)).await);
    // The rooms there are go on, and whoever asks again for one that is known gets it.
    home.append(&carol, &bob.inbox(), &carol.notice(1, &bob, &direct(&bob, &carol))).await.unwrap();
    home.append(&bob, &alice.inbox(), &bob.notice(1, &alice, &direct(&alice, &bob))).await.unwrap();
    home.append_direct(&alice, &direct(&alice, &bob), &alice.sealed(2, b"x")).await.unwrap();
    group.does(&home, &alice, Act::Invite(&dave.name, dave.fingerprint(), Role::Member)).await.unwrap();
    // Two at once, and one place left.
    let (one, two) = (direct(&bob, &bob), direct(&bob, &dave));
    let (sealed, second) = (bob.sealed(1, b"x"), bob.sealed(1, b"y"));
    let (first, second) = tokio::join!(home.append_direct(&bob, &one, &sealed), home.append_direct(&bob, &two, &second));
    first.unwrap();
    is_full(second);
    assert_eq!(home.logs.member_rooms(&bob.name).await.unwrap().len(), 3);
}

/// Nobody makes rooms with names that somebody made up.
#[tokio::test]
async fn rooms_are_of_people_of_this_server_and_of_servers_it_knows() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let room = |with: &str| Genesis::direct(SuiteName::RsaJwe1, &alice.name, &with.parse().unwrap());
    for (with, expected) in [("zed@s7", Code::UnknownPeer), ("nobody@s1", Code::NotFound)] {
        assert_eq!(code(home.append_direct(&alice, &room(with), &alice.sealed(1, b"x")).await), expected, "{with}");
    }
    home.logs.know_peer(&"s7".parse().unwrap(), &some_key("s7")).await.unwrap();
    home.append_direct(&alice, &room("zed@s7"), &alice.sealed(1, b"x")).await.unwrap();
    // And no groups at a server that nobody could follow, or that are not where they say.
    let bob = home.person("bob").await;
    let far = Group::new(&Person::new("zed@s8"), 1);
    assert_eq!(code(home.append(&bob, &alice.inbox(), &far.invitation(&bob, 1, &alice, 10)).await), Code::UnknownPeer);
    let unmade = Group::new(&bob, 1);
    assert_eq!(code(home.append(&bob, &alice.inbox(), &unmade.invitation(&bob, 1, &alice, 10)).await), Code::NotFound);
    let near = Group::new(&Person::new("zed@s7"), 1);
    home.append(&bob, &alice.inbox(), &near.invitation(&bob, 1, &alice, 10)).await.unwrap();
    assert_eq!(home.logs.member_rooms(&alice.name).await.unwrap().len(), 1, "until its hub says so it is no room of hers");
}

#[tokio::test]
async fn an_invitation_has_so_many_bytes_for_whom_it_is() {
    let home = Home::new("s1").await;
    let (alice, bob) = (home.person("alice").await, home.person("bob").await);
    let group = Group::begun(&home, &alice, 1, &[]).await;
    for (n, size) in [(1, SEALED_LIMIT - 1), (2, SEALED_LIMIT)] {
        home.append(&alice, &bob.inbox(), &group.invitation(&alice, n, &bob, size)).await.unwrap();
    }
    assert_eq!(code(home.append(&alice, &bob.inbox(), &group.invitation(&alice, 3, &bob, SEALED_LIMIT + 1)).await), Code::TooLarge);
}
