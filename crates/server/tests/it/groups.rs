//! Groups on their hub: who begins one, who comes and goes, and that all of it has one order.

use crate::company::{Act, Group};
use crate::support::{Home, OTHER, Person, code, direct, key, keys, sign, some_key, user};
use futures_util::future::join_all;
use tidings_proto::{Code, Draft, Encoded, Genesis, Hash, Kind, Role, limits};
use tidings_server::logs::{Arrival, Origin};
use tidings_trust::members::Standing;

/// Who is in, or asked in, with what role.
fn people(home: &Home, group: &Group) -> Vec<(String, Role, Standing)> {
    let people = home.logs.people(&group.log()).unwrap();
    people.people().map(|(user, person)| (user.to_string(), person.role, person.standing)).collect()
}

#[tokio::test]
async fn a_group_begins_with_its_creators_signed_genesis() {
    let home = Home::new("s1").await;
    let (mut alice, bob) = (home.person("alice").await, home.person("bob").await);
    let group = Group::new(&alice, 1);
    let good = group.draft(&alice, &Act::Begin);
    let log = group.log();
    let with = |change: &dyn Fn(Draft) -> Draft| change(good.clone().into_value()).signed(&log, sign(&alice.devices[0]));
    let other = Group::new(&alice, 2);
    let bobs = Group::new(&bob, 1);
    for (what, draft, expected) in [
        ("not signed", Encoded::new(Draft { sig: None, ..good.clone().into_value() }), Code::BadSignature),
        ("signed by somebody else", good.clone().into_value().signed(&log, sign(&bob.devices[0])), Code::BadSignature),
        ("signed for another log", good.clone().into_value().signed(&other.log(), sign(&alice.devices[0])), Code::BadSignature),
        ("another group's", with(&|draft| Draft { body: other.genesis.encode(), ..draft }), Code::Forbidden),
        ("a direct room's", with(&|draft| Draft { body: direct(&alice, &bob).encode(), ..draft }), Code::Forbidden),
        ("no genesis at all", with(&|draft| Draft { body: vec![0xa0].into(), ..draft }), Code::Forbidden),
        ("with an epoch", with(&|draft| Draft { epoch: Some(0), ..draft }), Code::Forbidden),
        ("not the first of its device", with(&|draft| Draft { n: 2, ..draft }), Code::Gap),
        ("a message", group.draft(&alice, &Act::Say(b"x")), Code::NotFound),
        ("a change of members", group.draft(&alice, &Act::Leave), Code::NotFound),
    ] {
        assert_eq!(code(group.offer(&home, &alice, &draft).await), expected, "{what}");
    }
    let in_bobs_name = alice.plain(0, &crate::support::Note { log: &bobs.log(), n: 1, kind: Kind::Genesis, body: bobs.genesis.encode() });
    let in_bobs_name = in_bobs_name.signed(&bobs.log(), sign(&alice.devices[0]));
    assert_eq!(code(bobs.offer(&home, &alice, &in_bobs_name).await), Code::Forbidden, "a group that somebody else makes");
    assert_eq!(home.logs.tip(&log), None, "a refused draft makes nothing");

    let placed = group.offer(&home, &alice, &good).await.unwrap();
    assert_eq!(placed.seq, 1);
    assert_eq!(group.offer(&home, &alice, &good).await.unwrap(), placed, "once only");
    alice.devices.push(key("alice's second"));
    let list = alice.next_list(1);
    home.logs.append(alice.guest(list.device), &keys("s1"), list.bytes().clone(), None).await.unwrap();
    alice.devices.swap(0, 1);
    assert_eq!(code(group.offer(&home, &alice, &group.draft(&alice, &Act::Begin)).await), Code::Conflict, "it has begun");
    let home = home.restart().await;
    assert_eq!(people(&home, &group), [("alice@s1".to_owned(), Role::Owner, Standing::In)]);
    assert_eq!(home.logs.member_rooms(&alice.name).await.unwrap()[0].genesis, group.genesis);
}

#[tokio::test]
async fn a_group_is_made_at_its_creators_home() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let (alice, zoe) = (home.person("alice").await, hub.person("zoe").await);
    home.knows(&hub).await;
    home.copy(&hub, &keys("s0")).await;
    let zoes = Group::new(&zoe, 1);
    let through = zoes.offer(&home, &zoe, &zoes.draft(&zoe, &Act::Begin)).await;
    assert_eq!(code(through), Code::Forbidden, "a peer's user makes groups there");
    let alices = Group::new(&alice, 1);
    let outgoing = tidings_server::federation::Outgoing {
        user: alice.name.clone(),
        device: alice.device(),
        log: alices.log(),
        draft: alices.draft(&alice, &Act::Begin).bytes().clone(),
        genesis: None,
    };
    assert_eq!(code(home.logs.enqueue(&hub.name, outgoing).await), Code::Forbidden);
}

#[tokio::test]
async fn people_come_and_go_by_entries_of_the_log() {
    let home = Home::new("s1").await;
    let (alice, bob, carol) = (home.person("alice").await, home.person("bob").await, home.person("carol").await);
    let mut arrivals = home.logs.arrivals();
    let mut group = Group::begun(&home, &alice, 1, &[]).await;
    for (by, act, after) in [
        (&alice, Act::Invite(&bob.name, bob.fingerprint(), Role::Admin), "alice O in, bob A invited"),
        (&bob, Act::Join, "alice O in, bob A in"),
        (&bob, Act::Invite(&carol.name, carol.fingerprint(), Role::Member), "alice O in, bob A in, carol M invited"),
        (&carol, Act::Leave, "alice O in, bob A in"),
        (&bob, Act::Invite(&carol.name, carol.fingerprint(), Role::Member), "alice O in, bob A in, carol M invited"),
        (&bob, Act::Remove(&carol.name), "alice O in, bob A in"),
        (&alice, Act::Invite(&carol.name, carol.fingerprint(), Role::Member), "alice O in, bob A in, carol M invited"),
        (&carol, Act::Join, "alice O in, bob A in, carol M in"),
        (&alice, Act::Role(&carol.name, Role::Owner), "alice O in, bob A in, carol O in"),
        (&carol, Act::Remove(&alice.name), "bob A in, carol O in"),
        (&carol, Act::Leave, "bob O in"),
    ] {
        group.does(&home, by, act).await.unwrap();
        let shown: Vec<String> = people(&home, &group)
            .into_iter()
            .map(|(user, role, standing)| {
                let standing = if standing == Standing::In { "in" } else { "invited" };
                format!("{} {} {standing}", user.trim_end_matches("@s1"), &format!("{role:?}")[..1])
            })
            .collect();
        assert_eq!(shown.join(", "), after);
        let kept = home.logs.people(&group.log()).unwrap();
        assert_eq!((kept.epoch(), kept.last()), (group.epoch, group.last));
    }
    // Who is in a group is there after a restart, without reading its log.
    let before = home.logs.people(&group.log());
    let home = home.restart().await;
    assert_eq!(home.logs.people(&group.log()), before);
    let came: Vec<String> = std::iter::from_fn(|| arrivals.try_recv().ok()).map(|Arrival { user, .. }| user.local().to_owned()).collect();
    assert_eq!(came, ["alice", "bob", "carol", "carol", "carol"], "each is told when they are asked in");
    // Who has been in has it among their rooms; who never was has not.
    for (person, has) in [(&alice, true), (&bob, true), (&carol, true)] {
        assert_eq!(home.logs.member_rooms(&person.name).await.unwrap().len(), usize::from(has));
    }
}

#[tokio::test]
async fn whoever_may_not_do_it_is_told_why() {
    let home = Home::new("s1").await;
    home.logs.know_peer(&"s2".parse().unwrap(), &some_key("s2")).await.unwrap();
    let [alice, bob, carol, dave] =
        [home.person("alice").await, home.person("bob").await, home.person("carol").await, home.person("dave").await];
    let mut group = Group::begun(&home, &alice, 1, &[&bob]).await;
    group.does(&home, &alice, Act::Invite(&carol.name, carol.fingerprint(), Role::Member)).await.unwrap();
    let (nobody, abroad, far) = (user("nobody@s1"), user("zed@s2"), user("zed@s9"));
    let mut other_carol = home.person("erin").await;
    other_carol.identity = &OTHER;
    let refused: &[(&str, &Person, Act<'_>, Code)] = &[
        ("a member asks in", &bob, Act::Invite(&dave.name, dave.fingerprint(), Role::Member), Code::Forbidden),
        ("a stranger asks in", &dave, Act::Invite(&dave.name, dave.fingerprint(), Role::Owner), Code::Forbidden),
        ("who is asked in asks in", &carol, Act::Invite(&dave.name, dave.fingerprint(), Role::Member), Code::Forbidden),
        ("somebody who is in", &alice, Act::Invite(&bob.name, bob.fingerprint(), Role::Admin), Code::Conflict),
        ("somebody who is asked in", &alice, Act::Invite(&carol.name, carol.fingerprint(), Role::Admin), Code::Conflict),
        ("nobody of this server", &alice, Act::Invite(&nobody, Hash::ZERO, Role::Member), Code::NotFound),
        ("of a server that nobody knows", &alice, Act::Invite(&far, Hash::ZERO, Role::Member), Code::UnknownPeer),
        ("without being asked", &dave, Act::Join, Code::Forbidden),
        ("twice", &bob, Act::Join, Code::Forbidden),
        ("a member removes", &bob, Act::Remove(&alice.name), Code::Forbidden),
        ("who is not there", &alice, Act::Remove(&dave.name), Code::Conflict),
        ("a member promotes", &bob, Act::Role(&bob.name, Role::Owner), Code::Forbidden),
        ("a stranger leaves", &dave, Act::Leave, Code::Forbidden),
        ("a stranger writes", &dave, Act::Say(b"hello"), Code::Forbidden),
        ("who is asked in writes", &carol, Act::Say(b"hello"), Code::Forbidden),
    ];
    for (what, by, act, expected) in refused {
        let refusal = group.offer(&home, by, &group.draft(by, act)).await.expect_err(what);
        assert_eq!(refusal.code, *expected, "{what}");
        assert!(refusal.text.len() > 10, "{what}: {}", refusal.text);
    }
    let before = people(&home, &group);
    // A key that was not asked in.
    group.does(&home, &alice, Act::Invite(&other_carol.name, other_carol.fingerprint(), Role::Member)).await.unwrap();
    assert_eq!(code(group.does(&home, &other_carol, Act::Join).await), Code::Forbidden);
    group.does(&home, &alice, Act::Remove(&other_carol.name)).await.unwrap();
    assert_eq!(people(&home, &group), before);
    group.does(&home, &alice, Act::Invite(&abroad, Hash::ZERO, Role::Member)).await.unwrap();
    // What the hub has not seen the keys of waits.
    let zed = Person { version: 1, ..Person::new("zed@s2") };
    assert_eq!(code(group.does(&home, &zed, Act::Join).await), Code::NotYet);
}

#[tokio::test]
async fn what_was_made_for_another_state_is_stale() {
    let home = Home::new("s1").await;
    let (alice, bob) = (home.person("alice").await, home.person("bob").await);
    let mut group = Group::begun(&home, &alice, 1, &[&bob]).await;
    let draft = group.draft(&bob, &Act::Leave);
    for (what, epoch) in [("an epoch before", Some(group.epoch - 1)), ("an epoch after", Some(group.epoch + 1)), ("no epoch", None)] {
        let log = group.log();
        let bent = Draft { epoch, ..draft.clone().into_value() }.signed(&log, sign(&bob.devices[0]));
        assert_eq!(code(group.offer(&home, &bob, &bent).await), Code::Stale, "{what}");
        let said = Encoded::new(Draft { epoch, ..group.draft(&bob, &Act::Say(b"x")).into_value() });
        let expected = if epoch.is_none() { Code::Malformed } else { Code::Stale };
        assert_eq!(code(group.offer(&home, &bob, &said).await), expected, "{what}");
    }
    group.last = Hash([9; 32]);
    assert_eq!(code(group.does(&home, &bob, Act::Leave).await), Code::Stale, "after another entry than the last");
}

/// The promise of compare-and-swap: of all that answer one state, one is taken.
#[tokio::test]
async fn of_two_changes_at_once_one_is_taken_and_no_message_is_sealed_to_the_wrong_people() {
    let home = Home::new("s1").await;
    let [alice, bob, carol, dave] =
        [home.person("alice").await, home.person("bob").await, home.person("carol").await, home.person("dave").await];
    let mut group = Group::begun(&home, &alice, 1, &[&bob]).await;
    group.does(&home, &alice, Act::Role(&bob.name, Role::Owner)).await.unwrap();
    let first = group.draft(&alice, &Act::Invite(&carol.name, carol.fingerprint(), Role::Member));
    let second = group.draft(&bob, &Act::Invite(&dave.name, dave.fingerprint(), Role::Member));
    let said = {
        // Written by alice after her own change, and by bob before he heard of it.
        let mut after = group.clone();
        after.took(&first);
        (after.draft(&alice, &Act::Say(b"to the new ones too")), group.draft(&bob, &Act::Say(b"to the old ones")))
    };
    // In line in this order, and in one batch.
    let all = [(&alice, &first), (&bob, &second), (&alice, &said.0), (&bob, &said.1)];
    let results = join_all(all.iter().map(|(by, draft)| group.offer(&home, by, draft))).await;
    let codes: Vec<Result<u64, Code>> = results.into_iter().map(|result| result.map(|it| it.seq).map_err(|why| why.code)).collect();
    assert_eq!(codes, [Ok(5), Err(Code::Stale), Ok(6), Err(Code::Stale)]);
}

#[tokio::test]
async fn who_has_gone_writes_nothing_more_and_still_hears_what_was_answered() {
    let home = Home::new("s1").await;
    let (alice, bob) = (home.person("alice").await, home.person("bob").await);
    let mut group = Group::begun(&home, &alice, 1, &[&bob]).await;
    let said = group.draft(&bob, &Act::Say(b"hello"));
    let placed = group.offer(&home, &bob, &said).await.unwrap();
    group.took(&said);
    let left = group.draft(&bob, &Act::Leave);
    let gone = group.offer(&home, &bob, &left).await.unwrap();
    group.took(&left);
    for act in [Act::Say(b"x"), Act::Leave, Act::Join, Act::Remove(&alice.name)] {
        assert_eq!(code(group.does(&home, &bob, act).await), Code::Forbidden);
    }
    let home = home.restart().await;
    assert_eq!(group.offer(&home, &bob, &said).await, Ok(placed), "the answer was lost");
    assert_eq!(group.offer(&home, &bob, &left).await, Ok(gone));
}

/// A server that shows one the end of an account, and not yet the other, must not make the two contradict each other for good.
#[tokio::test]
async fn a_removal_that_rests_on_keys_of_elsewhere_waits_for_them_and_one_without_a_reason_is_refused() {
    let (home, other) = (Home::new("s1").await, Home::new("s0").await);
    let (alice, bob, zoe) = (home.person("alice").await, home.person("bob").await, other.person("zoe").await);
    home.knows(&other).await;
    home.copy(&other, &keys("s0")).await;
    let group = Group::begun(&home, &alice, 1, &[&bob, &zoe]).await;
    for (what, act, expected) in [
        ("no reason", Act::Remove(&zoe.name), Code::Forbidden),
        ("one that is known here", Act::RemoveLost(&zoe.name, 1), Code::Forbidden),
        ("one that may be on its way", Act::RemoveLost(&zoe.name, 2), Code::NotYet),
        ("one that cannot be: of its own people a server knows all", Act::RemoveLost(&alice.name, 2), Code::Forbidden),
    ] {
        let why = group.offer(&home, &bob, &group.draft(&bob, &act)).await.unwrap_err();
        assert_eq!((why.code, why.retry_after.is_some()), (expected, expected == Code::NotYet), "{what}");
    }
    let draft = group.draft(&bob, &Act::RemoveLost(&zoe.name, 2));
    assert_eq!(code(group.offer(&home, &bob, &draft).await), Code::NotYet);
    other.logs.close_account(&zoe.name).await.unwrap();
    home.copy(&other, &keys("s0")).await;
    group.offer(&home, &bob, &draft).await.unwrap();
    assert_eq!(people(&home, &group).len(), 2, "the same draft is good now");
}

/// Both are in line at once: the list that takes the device off comes first.
#[tokio::test]
async fn a_device_that_is_taken_off_in_the_same_batch_changes_nothing() {
    let home = Home::new("s1").await;
    let mut alice = home.person("alice").await;
    let bob = home.person("bob").await;
    let mut group = Group::begun(&home, &alice, 1, &[&bob]).await;
    alice.devices.push(key("alice's second"));
    let list = alice.next_list(1);
    home.logs.append(alice.guest(list.device), &keys("s1"), list.bytes().clone(), None).await.unwrap();
    let (remove, said) = (group.draft(&alice, &Act::Remove(&bob.name)), group.draft(&alice, &Act::Say(b"still me")));
    let stolen = alice.devices.remove(0);
    let secrets = alice.next_vault();
    let list = alice.next_list(2);
    let second = Origin::Device { user: alice.name.clone(), device: list.device };
    let first = Origin::Device { user: alice.name.clone(), device: crate::support::device(&stolen) };
    let log = group.log();
    let (taken_off, one, two) = tokio::join!(
        home.logs.rekey(second, Person::proof(), secrets, list.bytes().clone()),
        home.logs.append(first.clone(), &log, remove.bytes().clone(), None),
        home.logs.append(first, &log, said.bytes().clone(), None),
    );
    taken_off.unwrap();
    assert_eq!((code(one), code(two)), (Code::Revoked, Code::Revoked));
    group.does(&home, &bob, Act::Say(b"bob is still in")).await.unwrap();
}

#[tokio::test]
async fn a_group_has_64_people_those_who_are_asked_in_among_them() {
    let home = Home::new("s1").await;
    home.logs.know_peer(&"s2".parse().unwrap(), &some_key("s2")).await.unwrap();
    let alice = home.person("alice").await;
    let mut group = Group::begun(&home, &alice, 1, &[]).await;
    let names: Vec<_> = (2..=65).map(|n| user(&format!("user{n}@s2"))).collect();
    for name in &names[..63] {
        group.does(&home, &alice, Act::Invite(name, Hash::ZERO, Role::Member)).await.unwrap();
    }
    assert_eq!((limits::RSA_MEMBERS, people(&home, &group).len()), (64, 64));
    let full = group.does(&home, &alice, Act::Invite(&names[63], Hash::ZERO, Role::Member)).await.unwrap_err();
    assert!(full.code == Code::Full && full.text.contains("64"), "{full:?}");
    group.does(&home, &alice, Act::Remove(&names[0])).await.unwrap();
    group.does(&home, &alice, Act::Invite(&names[63], Hash::ZERO, Role::Member)).await.unwrap();
}

#[tokio::test]
async fn nobody_comes_into_a_direct_room_or_leaves_it() {
    let home = Home::new("s1").await;
    let (alice, bob) = (home.person("alice").await, home.person("bob").await);
    let carol = home.person("carol").await;
    let genesis: Genesis = direct(&alice, &bob);
    home.append_direct(&alice, &genesis, &alice.sealed(1, b"hello")).await.unwrap();
    let mut room = Group::new(&alice, 1);
    room.genesis = genesis;
    room.took(&alice.sealed(1, b"hello"));
    for last in [Hash::ZERO, Hash([1; 32])] {
        room.last = last;
        for (by, act) in [
            (&alice, Act::Invite(&carol.name, carol.fingerprint(), Role::Member)),
            (&bob, Act::Leave),
            (&alice, Act::Remove(&bob.name)),
            (&carol, Act::Join),
            (&alice, Act::Role(&bob.name, Role::Owner)),
        ] {
            assert_eq!(code(room.offer(&home, by, &room.draft(by, &act)).await), Code::Forbidden);
        }
    }
    assert!(home.logs.people(&room.log()).is_none() && home.logs.member_rooms(&carol.name).await.unwrap().is_empty());
}

/// Every kind that changes the people, and erasing: by the device that says so, for this room.
#[tokio::test]
async fn what_changes_a_group_is_signed_by_its_author_for_that_group() {
    let home = Home::new("s1").await;
    let [alice, bob, carol, dave] =
        [home.person("alice").await, home.person("bob").await, home.person("carol").await, home.person("dave").await];
    let mut group = Group::begun(&home, &alice, 1, &[&bob]).await;
    group.does(&home, &alice, Act::Invite(&carol.name, carol.fingerprint(), Role::Member)).await.unwrap();
    let said = group.draft(&bob, &Act::Say(b"hello"));
    let seq = group.offer(&home, &bob, &said).await.unwrap().seq;
    group.took(&said);
    let (log, other) = (group.log(), Group::new(&alice, 2).log());
    let before = people(&home, &group);
    let acts = [
        (&alice, Act::Invite(&dave.name, dave.fingerprint(), Role::Member)),
        (&carol, Act::Join),
        (&bob, Act::Leave),
        (&alice, Act::Remove(&bob.name)),
        (&alice, Act::Role(&bob.name, Role::Admin)),
        (&bob, Act::Erase(seq, said.hash())),
    ];
    for (by, act) in &acts {
        let good = group.draft(by, act);
        for (what, bad) in [
            ("not signed", Encoded::new(Draft { sig: None, ..good.clone().into_value() })),
            ("signed by another", good.clone().into_value().signed(&log, sign(&dave.devices[0]))),
            ("signed for another group", good.clone().into_value().signed(&other, sign(&by.devices[0]))),
        ] {
            assert_eq!(code(group.offer(&home, by, &bad).await), Code::BadSignature, "{:?}: {what}", good.kind);
        }
    }
    assert_eq!(people(&home, &group), before);
    group.does(&home, &carol, Act::Join).await.expect("the control");
    group.does(&home, &bob, Act::Erase(seq, said.hash())).await.expect("the control");
}
