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

/// A person is told of a room by the room and by their inbox: that is one approach, whichever comes first.
#[tokio::test]
async fn whoever_is_asked_into_a_room_is_approached_however_that_is_done() {
    let home = Home::new("s1").await;
    let [alice, bob, carol] = [home.person("alice").await, home.person("bob").await, home.person("carol").await];
    let home = home.within(Limits { invitation_burst: 3, ..generous() }).await;
    let is_too_fast = |result: Result<Placed, Refusal>| {
        let why = result.expect_err("once too often");
        assert_eq!((why.code, why.retry_after), (Code::TooFast, Some(300)), "{why:?}");
    };
    let (room, ask) = (direct(&alice, &bob), |who| Act::Invite(who, bob.fingerprint(), Role::Member));
    home.append_direct(&alice, &room, &alice.sealed(1, b"hello")).await.unwrap();
    home.append(&alice, &bob.inbox(), &alice.notice(1, &bob, &room)).await.unwrap();
    let mut group = Group::begun(&home, &alice, 1, &[]).await;
    home.append(&alice, &bob.inbox(), &group.invitation(&alice, 2, &bob, 10)).await.unwrap();
    group.does(&home, &alice, ask(&bob.name)).await.unwrap();
    let mut other = Group::begun(&home, &alice, 2, &[]).await;
    other.does(&home, &alice, ask(&bob.name)).await.unwrap();
    let mut third = Group::begun(&home, &alice, 3, &[]).await;
    is_too_fast(third.does(&home, &alice, ask(&bob.name)).await);
    is_too_fast(home.append(&alice, &bob.inbox(), &third.invitation(&alice, 3, &bob, 10)).await);
    home.append(&alice, &bob.inbox(), &other.invitation(&alice, 3, &bob, 10)).await.expect("the other half of what was taken");
    is_too_fast(home.append(&alice, &bob.inbox(), &other.invitation(&alice, 4, &bob, 10)).await);
    // Again and again to come and go is no way around it.
    other.does(&home, &alice, Act::Remove(&bob.name)).await.unwrap();
    is_too_fast(other.does(&home, &alice, ask(&bob.name)).await);
    // What was refused made nothing; and whoever knows bob is no stranger.
    assert!(home.logs.people(&third.log()).unwrap().person(&bob.name).is_none());
    let mut shared = Group::begun(&home, &carol, 4, &[&bob]).await;
    for which in 5..=8 {
        Group::begun(&home, &carol, which, &[]).await.does(&home, &carol, ask(&bob.name)).await.unwrap();
    }
    shared.does(&home, &bob, Act::Leave).await.unwrap();
    let first = home.append_direct(&carol, &direct(&carol, &bob), &carol.sealed(1, b"x")).await;
    first.expect("the second of three");
}

#[tokio::test]
async fn a_first_message_to_a_stranger_is_an_approach() {
    let home = Home::new("s1").await;
    let [alice, bob] = [home.person("alice").await, home.person("bob").await];
    let home = home.within(Limits { invitation_burst: 0, ..generous() }).await;
    let room = direct(&alice, &bob);
    assert_eq!(code(home.append_direct(&alice, &room, &alice.sealed(1, b"hello")).await), Code::TooFast);
    assert!(home.logs.room(&room.log()).is_none());
    home.append_direct(&alice, &direct(&alice, &alice), &alice.sealed(1, b"note")).await.expect("nobody else is asked");
}

#[tokio::test]
async fn a_peers_users_write_and_reach_an_inbox_no_more_often() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let (alice, zoe, yves) = (home.person("alice").await, hub.person("zoe").await, hub.person("yves").await);
    home.knows(&hub).await;
    home.copy(&hub, &keys("s0")).await;
    let home = home.within(Limits { invitation_burst: 1, message_burst: 4, messages_per_second: 1, ..generous() }).await;
    let room = direct(&alice, &zoe);
    let (inbox, log) = (alice.inbox(), room.log());
    let drafts = [
        (&inbox, zoe.notice(1, &alice, &room)),
        (&inbox, zoe.notice(2, &alice, &room)),
        (&log, zoe.sealed(1, b"x")),
        (&log, zoe.sealed(2, b"x")),
        (&log, zoe.sealed(3, b"x")),
        (&log, yves.sealed(1, b"x")),
    ];
    // All in line at once: no time passes between them.
    let by = || Origin::Peer(hub.name.clone());
    let results = join_all(drafts.iter().map(|(log, draft)| home.logs.append(by(), log, draft.bytes().clone(), None))).await;
    assert_eq!(results[4].as_ref().unwrap_err().retry_after, Some(1));
    let expected = [Ok(1), Err(Code::TooFast), Ok(2), Ok(3), Err(Code::TooFast), Err(Code::Forbidden)];
    assert_eq!(codes(results), expected, "who else writes is only not in that room");
}

/// What is asserted of a refusal by a quota of so many rooms.
fn is_full(result: Result<Placed, Refusal>, most: usize) {
    let why = result.expect_err("one room too many");
    assert!(why.code == Code::Full && why.text.contains(&most.to_string()), "{why:?}");
}

async fn begins(home: &Home, by: &Person, with: &Person) -> Result<Placed, Refusal> {
    home.append_direct(by, &direct(by, with), &by.sealed(1, b"hello")).await
}

#[tokio::test]
async fn somebody_is_in_so_many_rooms() {
    let home = Home::new("s1").await;
    let [alice, bob, carol, dave] =
        [home.person("alice").await, home.person("bob").await, home.person("carol").await, home.person("dave").await];
    let home = home.within(Limits { rooms_per_user: 3, ..generous() }).await;
    for other in [&alice, &bob] {
        begins(&home, &alice, other).await.unwrap();
    }
    let mut group = Group::begun(&home, &alice, 1, &[]).await;
    is_full(begins(&home, &alice, &carol).await, 3);
    is_full(Group::new(&alice, 2).does(&home, &alice, Act::Begin).await, 3);
    is_full(home.append(&alice, &carol.inbox(), &alice.notice(1, &carol, &direct(&alice, &carol))).await, 3);
    // The rooms there are go on, and whoever asks again for one that is known gets it.
    begins(&home, &carol, &bob).await.unwrap();
    home.append(&carol, &bob.inbox(), &carol.notice(1, &bob, &direct(&bob, &carol))).await.unwrap();
    home.append(&bob, &alice.inbox(), &bob.notice(1, &alice, &direct(&alice, &bob))).await.unwrap();
    home.append_direct(&alice, &direct(&alice, &bob), &alice.sealed(2, b"x")).await.unwrap();
    group.does(&home, &alice, Act::Invite(&dave.name, dave.fingerprint(), Role::Member)).await.unwrap();
    // Two at once, and one place left.
    for other in [&alice, &carol] {
        home.append_direct(&bob, &direct(&bob, other), &bob.sealed(1, b"an answer")).await.unwrap();
    }
    let (first, second) = tokio::join!(begins(&home, &bob, &bob), begins(&home, &bob, &dave));
    first.unwrap();
    is_full(second, 3);
    assert_eq!(home.logs.member_rooms(&bob.name).await.unwrap().len(), 3);
}

/// Whatever others begin with somebody, that person's own rooms are as many as before.
#[tokio::test]
async fn what_others_begin_with_somebody_has_places_of_its_own() {
    let home = Home::new("s1").await;
    let [alice, bob, carol, dave, erin] = [
        home.person("alice").await,
        home.person("bob").await,
        home.person("carol").await,
        home.person("dave").await,
        home.person("erin").await,
    ];
    let home = home.within(Limits { rooms_per_user: 3, asked_rooms_per_user: 3, ..generous() }).await;
    let mut group = Group::begun(&home, &dave, 1, &[]).await;
    let ask = Act::Invite(&alice.name, alice.fingerprint(), Role::Member);
    begins(&home, &bob, &alice).await.unwrap();
    home.append(&carol, &alice.inbox(), &carol.notice(1, &alice, &direct(&carol, &alice))).await.unwrap();
    group.does(&home, &dave, Act::Invite(&alice.name, alice.fingerprint(), Role::Member)).await.unwrap();
    let home = home.restart().await;
    let all_are_taken = async |home: &Home| {
        is_full(begins(home, &erin, &alice).await, 3);
        is_full(home.append(&erin, &alice.inbox(), &erin.notice(1, &alice, &direct(&erin, &alice))).await, 3);
        is_full(Group::begun(home, &dave, 2, &[]).await.does(home, &dave, ask.clone()).await, 3);
        assert!(home.logs.room(&direct(&erin, &alice).log()).is_none());
    };
    all_are_taken(&home).await;
    assert_eq!(home.logs.member_rooms(&alice.name).await.unwrap().len(), 3, "she is told of them all");
    // None of it is in the way of what alice does herself.
    begins(&home, &alice, &alice).await.unwrap();
    begins(&home, &alice, &dave).await.unwrap();
    // An answer makes a room her own, and leaves its place to somebody else. Two at once take one place.
    let answers = [alice.sealed(1, b"an answer"), alice.sealed(2, b"more")];
    let room = direct(&alice, &bob);
    let (one, two) = tokio::join!(home.append_direct(&alice, &room, &answers[0]), home.append_direct(&alice, &room, &answers[1]));
    one.unwrap();
    two.unwrap();
    is_full(home.append_direct(&alice, &direct(&alice, &carol), &alice.sealed(1, b"one too many")).await, 3);
    is_full(group.does(&home, &alice, Act::Join).await, 3);
    is_full(begins(&home, &alice, &erin).await, 3);
    let home = home.restart().await;
    is_full(begins(&home, &alice, &erin).await, 3);
    home.append_direct(&alice, &room, &alice.sealed(3, b"and on")).await.unwrap();
    begins(&home, &erin, &alice).await.unwrap();
    is_full(Group::begun(&home, &dave, 3, &[]).await.does(&home, &dave, ask.clone()).await, 3);
    // To decline does as well.
    group.does(&home, &alice, Act::Leave).await.unwrap();
    Group::begun(&home, &bob, 4, &[]).await.does(&home, &bob, ask.clone()).await.unwrap();
    is_full(Group::begun(&home, &bob, 5, &[]).await.does(&home, &bob, ask.clone()).await, 3);
}

/// Somebody who has been in a group is not asked into it as a stranger would be.
#[tokio::test]
async fn a_group_that_one_has_been_in_stays_ones_own() {
    let home = Home::new("s1").await;
    let [alice, bob] = [home.person("alice").await, home.person("bob").await];
    let home = home.within(Limits { rooms_per_user: 1, asked_rooms_per_user: 1, ..generous() }).await;
    let mut group = Group::begun(&home, &bob, 1, &[&alice]).await;
    group.does(&home, &alice, Act::Leave).await.unwrap();
    begins(&home, &home.person("carol").await, &alice).await.unwrap();
    group.does(&home, &bob, Act::Invite(&alice.name, alice.fingerprint(), Role::Member)).await.unwrap();
    group.does(&home, &alice, Act::Join).await.unwrap();
}

#[tokio::test]
async fn a_peers_people_begin_so_many_rooms_each_and_together_so_many_that_nobody_answers() {
    let (home, hub) = (Home::new("s1").await, Home::new("s2").await);
    let [alice, bob, carol] = [home.person("alice").await, home.person("bob").await, home.person("carol").await];
    let [yves, zoe] = [hub.person("yves").await, hub.person("zoe").await];
    home.knows(&hub).await;
    home.copy(&hub, &keys("s2")).await;
    let home = home.within(Limits { rooms_per_user: 2, rooms_per_peer: 3, ..generous() }).await;
    let begins = async |home: &Home, by: &Person, with: &Person| {
        let (room, draft) = (direct(by, with), by.sealed(1, b"hello"));
        home.logs.append(Origin::Peer(hub.name.clone()), &room.log(), draft.bytes().clone(), Some(room)).await
    };
    begins(&home, &zoe, &alice).await.unwrap();
    begins(&home, &zoe, &bob).await.unwrap();
    is_full(begins(&home, &zoe, &carol).await, 2);
    begins(&home, &yves, &alice).await.unwrap();
    let home = home.restart().await;
    is_full(begins(&home, &yves, &bob).await, 3);
    let notice = yves.notice(1, &bob, &direct(&yves, &bob));
    is_full(home.logs.append(Origin::Peer(hub.name.clone()), &bob.inbox(), notice.bytes().clone(), None).await, 3);
    // Once one is answered there is a place; and what people here begin takes none.
    home.append_direct(&alice, &direct(&alice, &zoe), &alice.sealed(1, b"an answer")).await.unwrap();
    home.append_direct(&carol, &direct(&carol, &yves), &carol.sealed(1, b"hello")).await.unwrap();
    begins(&home, &yves, &bob).await.unwrap();
}

/// A pointer to a group that nobody has heard of costs whoever it is for a place, until it is forgotten.
#[tokio::test]
async fn groups_that_never_begin_are_counted_and_not_kept() {
    let (home, hub) = (Home::new("s1").await, Home::new("s2").await);
    let [alice, bob, zoe] = [home.person("alice").await, home.person("bob").await, hub.person("zoe").await];
    home.knows(&hub).await;
    hub.knows(&home).await;
    home.copy(&hub, &keys("s2")).await;
    let home = home.within(Limits { asked_rooms_per_user: 3, invitation_burst: 4, ..generous() }).await;
    // One that there is.
    let mut begun = Group::begun(&hub, &zoe, 9, &[]).await;
    let invitation = begun.invitation(&zoe, 1, &alice, 10);
    home.logs.append(Origin::Peer(hub.name.clone()), &alice.inbox(), invitation.bytes().clone(), None).await.unwrap();
    let far: Vec<Group> = (1..=4).map(|which| Group::new(&zoe, which)).collect();
    let before = now();
    for n in [1, 2] {
        home.append(&bob, &alice.inbox(), &far[n - 1].invitation(&bob, n as u64, &alice, 10)).await.unwrap();
    }
    is_full(home.append(&bob, &alice.inbox(), &far[2].invitation(&bob, 3, &alice, 10)).await, 3);
    is_full(home.append(&alice, &alice.inbox(), &far[2].invitation(&alice, 1, &alice, 10)).await, 3);
    assert!(home.logs.member_rooms(&alice.name).await.unwrap().is_empty(), "none of them is a room of hers");
    // In one's own inbox, too, and at no other speed, however many groups one is in with oneself.
    let _own = Group::begun(&home, &bob, 8, &[]).await;
    for n in [1, 2, 3, 4] {
        home.append(&bob, &bob.inbox(), &far[3].invitation(&bob, n, &bob, 10)).await.unwrap();
    }
    assert_eq!(code(home.append(&bob, &bob.inbox(), &far[3].invitation(&bob, 5, &bob, 10)).await), Code::TooFast);

    // The first entry of the one that there is comes, and it counts as what it is then.
    home.copy(&hub, &begun.log()).await;
    home.append(&bob, &alice.inbox(), &far[2].invitation(&bob, 3, &alice, 10)).await.expect("alice is not asked in there, as it turns out");
    begun.does(&hub, &zoe, Act::Invite(&alice.name, alice.fingerprint(), Role::Member)).await.unwrap();
    home.copy(&hub, &begun.log()).await;

    let is_known = |home: &Home, group: &Group| home.logs.room(&group.log()).is_some();
    home.logs.expire_inboxes(before).await.unwrap();
    assert!(far.iter().all(|group| is_known(&home, group)), "nothing that is not older");
    let home = home.restart().await;
    assert!(far.iter().all(|group| is_known(&home, group)));
    home.logs.expire_inboxes(now() + 1).await.unwrap();
    {
        let home = home.restart().await;
        assert!(far.iter().all(|group| !is_known(&home, group)) && is_known(&home, &begun));
        let followed = home.logs.replicas_from(&hub.name).await.unwrap();
        assert!(followed.iter().all(|(log, _)| far.iter().all(|group| group.log() != *log)));
        // There are places again, also for what was here before; one is taken by the group that there is.
        for n in [4, 5] {
            home.append(&bob, &alice.inbox(), &far[n - 4].invitation(&bob, n as u64, &alice, 10)).await.unwrap();
        }
        is_full(home.append(&bob, &alice.inbox(), &far[2].invitation(&bob, 6, &alice, 10)).await, 3);
    }
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
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
