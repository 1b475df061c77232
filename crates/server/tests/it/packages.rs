//! Key packages as a server keeps them: handed out once each, durably, and gone with their device.

use crate::keys_kinds::begin_anew;
use crate::made::Made;
use crate::support::{Home, Person, SOON, code, device, generous, key, keys, open_on, server, user};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidings_proto::frame::ClaimedKeyPackage;
use tidings_proto::{Code, DeviceKey, Refusal, limits};
use tidings_server::Limits;
use tidings_server::bus::local::LocalBus;
use tidings_server::logs::{Left, Logs, Low, Origin};
use tidings_server::store::sqlite::SqliteStore;
use tidings_server::store::{Owner, Questions, Stock, Store, Wanted};

/// One of somebody's first device; from 100 on they are of last resort.
fn package(of: &Person, which: usize) -> Bytes {
    let made = Made::of(of, which);
    if which < LAST { made.bytes() } else { made.last_resort().bytes() }
}

fn packages(of: &Person, which: impl IntoIterator<Item = usize>) -> Vec<Bytes> {
    which.into_iter().map(|which| package(of, which)).collect()
}

/// The first number of those of last resort.
const LAST: usize = 100;

fn left(single_use: u32, last_resort: bool) -> Left {
    Left { single_use, last_resort }
}

async fn put(logs: &Logs, who: &Person, single_use: Vec<Bytes>, last_resort: Option<Bytes>) -> Result<Left, Refusal> {
    logs.put_key_packages(&who.name, &who.device(), single_use, last_resort).await
}

async fn claim_of(logs: &Logs, by: &Person, whose: &Person, devices: Vec<DeviceKey>) -> Result<Vec<ClaimedKeyPackage>, Refusal> {
    logs.claim_key_packages(&by.origin(), &by.name, whose.name.clone(), devices).await
}

/// Claims one of somebody's first device: the package, and whether it is of last resort.
async fn claim(logs: &Logs, by: &Person, whose: &Person) -> Option<(Bytes, bool)> {
    let mut claimed = claim_of(logs, by, whose, vec![whose.device()]).await.unwrap();
    assert!(claimed.len() <= 1 && claimed.iter().all(|claimed| claimed.device == whose.device()));
    claimed.pop().map(|claimed| (claimed.package, claimed.last_resort))
}

async fn stock(store: &dyn Store, who: &Person, device: DeviceKey) -> Stock {
    let wanted = Wanted { claims: usize::MAX, offered: Vec::new() };
    let stocks = [(Owner { user: who.name.clone(), device }, wanted)].into();
    store.look_up(Questions { stocks, ..Questions::default() }).await.unwrap().stocks.pop().unwrap()
}

async fn home() -> Home {
    Home::new("s1").await.within(Limits { key_package_burst: 1_000_000, ..generous() }).await
}

#[tokio::test]
async fn each_key_package_is_handed_out_once_and_then_the_one_of_last_resort() {
    let home = home().await;
    let [alice, bob] = [home.person("alice").await, home.person("bob").await];
    assert_eq!(put(&home.logs, &bob, Vec::new(), None).await, Ok(left(0, false)), "it may just ask");
    assert_eq!(claim(&home.logs, &alice, &bob).await, None, "nothing is there, and nobody is kept from going on");
    assert_eq!(put(&home.logs, &bob, packages(&bob, 1..=3), Some(package(&bob, LAST))).await, Ok(left(3, true)));
    assert_eq!(claim(&home.logs, &alice, &bob).await, Some((package(&bob, 1), false)));
    assert_eq!(claim(&home.logs, &bob, &bob).await, Some((package(&bob, 2), false)), "one's own device too");
    let home = home.restart().await;
    assert_eq!(put(&home.logs, &bob, Vec::new(), None).await, Ok(left(1, true)));
    assert_eq!(claim(&home.logs, &alice, &bob).await, Some((package(&bob, 3), false)));
    for _ in 0..2 {
        assert_eq!(claim(&home.logs, &alice, &bob).await, Some((package(&bob, LAST), true)), "exhausted, and still");
    }
    assert_eq!(put(&home.logs, &bob, packages(&bob, [4]), Some(package(&bob, 101))).await, Ok(left(1, true)));
    assert_eq!(claim(&home.logs, &alice, &bob).await, Some((package(&bob, 4), false)), "what comes later comes first again");
    assert_eq!(claim(&home.logs, &alice, &bob).await, Some((package(&bob, 101), true)), "another one in its place");
    // Devices that have none, and devices of nobody's, are simply missing; the others are in the order of the question.
    let of_two = claim_of(&home.logs, &alice, &bob, vec![DeviceKey([9; 32]), bob.device()]).await.unwrap();
    assert_eq!(of_two, [ClaimedKeyPackage { device: bob.device(), package: package(&bob, 101), last_resort: true }]);
    assert_eq!(claim_of(&home.logs, &alice, &alice, vec![alice.device()]).await, Ok(Vec::new()));
}

/// An answer that was lost is asked for again, and what others have got by then must not come back with it.
#[tokio::test]
async fn what_is_here_or_was_is_passed_over() {
    let home = home().await;
    let [alice, bob] = [home.person("alice").await, home.person("bob").await];
    assert_eq!(put(&home.logs, &bob, packages(&bob, [1, 2, 1, 2, 3]), None).await, Ok(left(3, false)), "one package is one");
    assert_eq!(put(&home.logs, &bob, Vec::new(), Some(package(&bob, LAST))).await, Ok(left(3, true)));
    assert_eq!(claim(&home.logs, &alice, &bob).await, Some((package(&bob, 1), false)));
    let home = home.restart().await;
    assert_eq!(put(&home.logs, &bob, packages(&bob, [1, 2, 3]), Some(package(&bob, LAST))).await, Ok(left(2, true)), "again");
    assert_eq!(put(&home.logs, &bob, Vec::new(), Some(package(&bob, 101))).await, Ok(left(2, true)));
    assert_eq!(
        put(&home.logs, &bob, packages(&bob, [1]), Some(package(&bob, LAST))).await,
        Ok(left(2, true)),
        "what was replaced stays so"
    );
    for expected in [(package(&bob, 2), false), (package(&bob, 3), false), (package(&bob, 101), true)] {
        assert_eq!(claim(&home.logs, &alice, &bob).await, Some(expected));
    }
    // In one commit with what takes it, too; and what is asked twice at once is there once.
    let (put_1, put_2, claimed, put_3) = tokio::join!(
        put(&home.logs, &bob, packages(&bob, [4, 5]), None),
        put(&home.logs, &bob, packages(&bob, [4, 5]), None),
        claim(&home.logs, &alice, &bob),
        put(&home.logs, &bob, packages(&bob, [4]), None)
    );
    assert_eq!((put_1, put_2, put_3), (Ok(left(2, true)), Ok(left(2, true)), Ok(left(1, true))));
    assert_eq!(claimed, Some((package(&bob, 4), false)));
}

#[tokio::test]
async fn a_device_has_so_many_key_packages_and_each_is_so_large() {
    let home = home().await;
    let [alice, bob] = [home.person("alice").await, home.person("bob").await];
    for (which, size, expected) in
        [(1, limits::KEY_PACKAGE - 1, Ok(1)), (2, limits::KEY_PACKAGE, Ok(2)), (3, limits::KEY_PACKAGE + 1, Err(Code::TooLarge))]
    {
        let made = Made::of(&alice, which);
        let result = put(&home.logs, &alice, vec![made.clone().sized(size)], None).await;
        assert_eq!(result.map(|left| left.single_use).map_err(|why| why.code), expected, "{size} bytes");
        let result = put(&home.logs, &alice, Vec::new(), Some(made.last_resort().sized(size))).await;
        assert_eq!(result.map(|_| ()).map_err(|why| why.code), expected.map(|_| ()), "{size} bytes of last resort");
    }
    let most = limits::KEY_PACKAGES;
    let many = put(&home.logs, &bob, packages(&bob, 0..=most), Some(package(&bob, LAST))).await.unwrap_err();
    assert!(many.code == Code::Full && many.text.contains(&most.to_string()), "{many}");
    assert_eq!(put(&home.logs, &bob, Vec::new(), None).await, Ok(left(0, false)), "nothing of it");
    assert_eq!(put(&home.logs, &bob, packages(&bob, 0..most - 1), None).await, Ok(left(most as u32 - 1, false)));
    assert_eq!(code(put(&home.logs, &bob, packages(&bob, [50, 51]), Some(package(&bob, LAST))).await), Code::Full);
    assert_eq!(
        put(&home.logs, &bob, packages(&bob, [50]), Some(package(&bob, LAST))).await,
        Ok(left(most as u32, true)),
        "the last resort is not counted"
    );
    assert_eq!(code(put(&home.logs, &bob, packages(&bob, [51]), None).await), Code::Full);
    assert_eq!(
        put(&home.logs, &bob, packages(&bob, (0..most - 1).chain([50])), None).await,
        Ok(left(most as u32, true)),
        "what is there needs no room"
    );

    // A claim names some devices, and each once.
    let devices = |count: usize| (0..count).map(|which| DeviceKey([which as u8; 32])).collect::<Vec<_>>();
    for (named, expected) in [
        (devices(0), Err(Code::Malformed)),
        (devices(limits::DEVICES - 1), Ok(0)),
        (devices(limits::DEVICES), Ok(0)),
        (devices(limits::DEVICES + 1), Err(Code::TooLarge)),
        (vec![bob.device(); 2], Err(Code::Malformed)),
    ] {
        let result = claim_of(&home.logs, &alice, &bob, named.clone()).await;
        assert_eq!(result.map(|claimed| claimed.len()).map_err(|why| why.code), expected, "{} devices", named.len());
    }
}

/// What is kept can be used: every clause of the check, by one key package in which that alone is wrong.
#[tokio::test]
async fn what_is_no_key_package_of_the_device_is_not_kept() {
    let home = home().await;
    let [alice, bob] = [home.person("alice").await, home.person("bob").await];
    let good = Made::of(&bob, 1);
    let without = |list: usize, number: u16| {
        let mut can = good.can.clone();
        can[list].retain(|able| *able != number);
        Made { can, ..good.clone() }
    };
    let mut cut = good.bytes().to_vec();
    cut.pop();
    let whole_by_another = Made { signers: [good.device.clone(), key("another")], ..good.clone() };
    let leaf_by_another = Made { signers: [key("another"), good.device.clone()], ..good.clone() };
    for (what, wrong) in [
        ("nothing", Bytes::new()),
        ("not an MLSMessage", Bytes::from_static(b"key package 1")),
        ("cut short", cut.into()),
        ("with something behind it", [&good.bytes()[..], &[0]].concat().into()),
        ("of another version", Made { version: 2, ..good.clone() }.bytes()),
        ("of another ciphersuite", Made { suite: 3, ..good.clone() }.bytes()),
        ("signed by another", whole_by_another.bytes()),
        ("with a leaf that another has signed", leaf_by_another.bytes()),
        ("in which one key does for both", Made { one_key: true, ..good.clone() }.bytes()),
        ("that has ended", Made { lifetime: (0, 1), ..good.clone() }.bytes()),
        ("that ends some day", Made { lifetime: (0, u64::MAX - 1), ..good.clone() }.bytes()),
        ("that has begun some day", Made { lifetime: (1, u64::MAX), ..good.clone() }.bytes()),
        ("that cannot do the version", without(0, 1).bytes()),
        ("that cannot do the ciphersuite", without(1, 1).bytes()),
        ("that binds no people", without(2, tidings_trust::mls::ROSTER).bytes()),
        ("that knows no basic credentials", without(4, 1).bytes()),
        ("of another user's device", Made::of(&alice, 1).bytes()),
        ("in another user's name", Made { user: alice.name.clone(), ..good.clone() }.bytes()),
        ("of a device of nobody's", Made::by(&bob.name, &key("nobody's"), 1).bytes()),
        ("by a list that there is not yet", Made { list: 2, ..good.clone() }.bytes()),
        ("of last resort, as one of single use", good.clone().last_resort().bytes()),
    ] {
        let why = put(&home.logs, &bob, vec![package(&bob, 2), wrong.clone()], Some(package(&bob, LAST))).await.unwrap_err();
        assert_eq!(why.code, Code::Malformed, "{what}: {why}");
        assert!(put(&home.logs, &bob, Vec::new(), Some(wrong)).await.is_err() || what.starts_with("of last resort"), "{what}");
    }
    assert_eq!(code(put(&home.logs, &bob, Vec::new(), Some(good.bytes())).await), Code::Malformed, "of single use, as the last resort");
    let none = put(&home.logs, &bob, Vec::new(), None).await;
    assert_eq!(none, Ok(left(0, true)), "none of them is kept, and nothing of what came with them but what came alone");
    // Who is not on the list, or cannot do MLS by it, brings none.
    let stranger = key("a stranger");
    let brought = home.logs.put_key_packages(&bob.name, &device(&stranger), vec![Made::by(&bob.name, &stranger, 1).bytes()], None).await;
    assert_eq!(code(brought), Code::Revoked);
    assert_eq!(put(&home.logs, &bob, vec![good.bytes()], None).await, Ok(left(1, true)));
}

/// All at once, so that many share a commit; and what is brought meanwhile is handed out as well.
#[tokio::test]
async fn of_many_who_claim_at_once_no_two_get_the_same() {
    const CLAIMS: usize = 100;
    let home = home().await;
    let [alice, bob, carol] = [home.person("alice").await, home.person("bob").await, home.person("carol").await];
    put(&home.logs, &bob, packages(&bob, 0..30), Some(package(&bob, 1000))).await.unwrap();
    let (logs, whose) = (&home.logs, &bob);
    let claims = |by| join_all((0..CLAIMS / 2).map(move |_| claim(logs, by, whose)));
    let (first, more, second) = tokio::join!(claims(&alice), put(&home.logs, &bob, packages(&bob, 30..60), None), claims(&carol));
    let all: Vec<(Bytes, bool)> = first.into_iter().chain(second).map(Option::unwrap).collect();
    let single_use: BTreeSet<&Bytes> = all.iter().filter(|(_, last_resort)| !last_resort).map(|(package, _)| package).collect();
    let last_resort = all.iter().filter(|(_, last_resort)| *last_resort);
    assert_eq!((single_use.len(), last_resort.clone().count()), (60, CLAIMS - 60), "each once");
    assert!(more.is_ok() && last_resort.clone().all(|(bytes, _)| *bytes == package(&bob, 1000)));
    assert_eq!(put(&home.logs, &bob, Vec::new(), None).await, Ok(left(0, true)));
}

#[tokio::test]
async fn a_key_package_is_handed_out_once_it_is_durably_gone_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let (store, logs) = open_on(folder.path(), "s1", Arc::new(LocalBus::default())).await;
    let [mut alice, mut bob] = ["alice@s1", "bob@s1"].map(Person::new);
    alice.join(&logs).await.unwrap();
    bob.join(&logs).await.unwrap();
    put(&logs, &bob, packages(&bob, 1..=3), Some(package(&bob, LAST))).await.unwrap();

    store.fail_commits(true);
    assert_eq!(code(claim_of(&logs, &alice, &bob, vec![bob.device()]).await), Code::Full);
    assert_eq!(code(put(&logs, &bob, packages(&bob, [4]), None).await), Code::Full);
    store.fail_commits(false);

    store.hold_commits(true);
    let mut waiting = Box::pin(claim(&logs, &alice, &bob));
    for _ in 0..1000 {
        assert!((&mut waiting).now_or_never().is_none(), "answered before it is durable");
        tokio::task::yield_now().await;
    }
    store.hold_commits(false);
    let claimed = tokio::time::timeout(SOON, waiting).await.unwrap();
    assert_eq!(claimed, Some((package(&bob, 1), false)), "what nobody was given is still there");

    // As after kill -9: the files as they are, of a server that never stopped.
    let copy = folder.path().join("copy.db");
    std::fs::copy(folder.path().join("tidings.db"), &copy).unwrap();
    std::fs::copy(folder.path().join("tidings.db-wal"), folder.path().join("copy.db-wal")).unwrap();
    let copy = SqliteStore::open(&copy).unwrap();
    let kept: Vec<Bytes> = stock(&copy, &bob, bob.device()).await.next.into_iter().map(|kept| kept.package).collect();
    assert_eq!(kept, packages(&bob, [2, 3]));
    copy.close().await;
    logs.close().await;
}

/// Adds a second device to somebody's list.
async fn second_device(home: &Home, who: &mut Person) -> DeviceKey {
    who.devices.push(key(&format!("the second of {}", who.name)));
    let list = who.next_list(1);
    home.logs.append(who.guest(list.device), &keys("s1"), list.bytes().clone(), None).await.unwrap();
    list.device
}

#[tokio::test]
async fn key_packages_go_with_their_device() {
    let home = home().await;
    let (alice, mut bob) = (home.person("alice").await, home.person("bob").await);
    let second = second_device(&home, &mut bob).await;
    let seconds = |which| Made { list: 2, ..Made::by(&user("bob@s1"), &key("the second of bob@s1"), which) };
    let of_the_second = |which: std::ops::RangeInclusive<usize>| which.map(|which| seconds(which).bytes()).collect::<Vec<_>>();
    let last_resort = Some(seconds(LAST).last_resort().bytes());
    put(&home.logs, &bob, packages(&bob, 1..=3), Some(package(&bob, LAST))).await.unwrap();
    home.logs.put_key_packages(&bob.name, &second, of_the_second(1..=3), last_resort.clone()).await.unwrap();
    let both = vec![bob.device(), second];
    assert_eq!(claim_of(&home.logs, &alice, &bob, both.clone()).await.unwrap().len(), 2);
    let removed = bob.devices.pop().unwrap();
    // In one commit with the list: whoever claims after it in the same batch gets none, and whoever brings more is told.
    let (whose, as_claimed) = (user("bob@s1"), Person::new("bob@s1"));
    let (listed, claimed, brought) = tokio::join!(
        home.rekey(&mut bob, 2),
        claim_of(&home.logs, &alice, &as_claimed, both.clone()),
        home.logs.put_key_packages(&whose, &second, of_the_second(4..=4), None),
    );
    listed.unwrap();
    let devices: Vec<DeviceKey> = claimed.unwrap().iter().map(|claimed| claimed.device).collect();
    assert_eq!((devices, code(brought)), (vec![device(&bob.devices[0])], Code::Revoked));
    let home = home.restart().await;
    let kept = stock(&*home.store, &bob, second).await;
    assert_eq!((kept.single_use, kept.next, kept.last_resort), (0, Vec::new(), None));
    assert_eq!(stock(&*home.store, &bob, bob.device()).await.single_use, 1, "the other one keeps its own");
    // It comes again, and what it had does not: others may have got it.
    bob.devices.push(removed);
    let list = bob.next_list(2);
    home.logs.append(bob.guest(second), &keys("s1"), list.bytes().clone(), None).await.unwrap();
    let back = home.logs.put_key_packages(&bob.name, &second, of_the_second(1..=4), last_resort).await;
    assert_eq!(back, Ok(left(1, false)));
}

#[tokio::test]
async fn key_packages_go_with_their_account() {
    let home = home().await;
    let [alice, bob, carol] = [home.person("alice").await, home.person("bob").await, home.person("carol").await];
    for who in [&bob, &carol] {
        put(&home.logs, who, packages(who, 1..=3), Some(package(who, LAST))).await.unwrap();
    }
    home.logs.close_account(&bob.name).await.unwrap();
    assert_eq!(code(claim_of(&home.logs, &alice, &bob, vec![bob.device()]).await), Code::Closed);
    assert_eq!(code(put(&home.logs, &bob, packages(&bob, [4]), None).await), Code::Revoked);
    let fresh = begin_anew(&home, &carol, &[]).await;
    assert_eq!(claim_of(&home.logs, &alice, &carol, vec![carol.device(), fresh.device()]).await, Ok(Vec::new()));
    for who in [&bob, &carol] {
        let kept = stock(&*home.store, who, who.device()).await;
        assert_eq!((kept.single_use, kept.next, kept.last_resort), (0, Vec::new(), None));
    }
    // Also where the device is the same one.
    let dora = home.person("dora").await;
    put(&home.logs, &dora, packages(&dora, 1..=3), Some(package(&dora, LAST))).await.unwrap();
    let fresh = begin_anew(&home, &dora, &dora.devices).await;
    assert_eq!(claim_of(&home.logs, &alice, &dora, vec![fresh.device()]).await, Ok(Vec::new()));
}

#[tokio::test]
async fn key_packages_are_claimed_in_ones_own_name_and_of_this_servers_users() {
    let home = home().await;
    let [alice, bob] = [home.person("alice").await, home.person("bob").await];
    put(&home.logs, &bob, packages(&bob, 1..=3), None).await.unwrap();
    let peer = Origin::Peer(server("s2"));
    for (origin, by, whose, expected) in [
        (alice.origin(), "bob@s1", "bob@s1", Err(Code::Forbidden)),
        (alice.guest(alice.device()), "alice@s1", "bob@s1", Err(Code::Forbidden)),
        (peer.clone(), "alice@s1", "bob@s1", Err(Code::Forbidden)),
        (peer.clone(), "zoe@s3", "bob@s1", Err(Code::Forbidden)),
        (peer.clone(), "zoe@s2", "carol@s3", Err(Code::WrongServer)),
        (peer.clone(), "zoe@s2", "yves@s2", Err(Code::WrongServer)),
        (peer.clone(), "zoe@s2", "nobody@s1", Err(Code::NotFound)),
        (alice.origin(), "alice@s1", "zoe@s2", Err(Code::WrongServer)),
        (peer, "zoe@s2", "bob@s1", Ok(package(&bob, 1))),
        (alice.origin(), "alice@s1", "bob@s1", Ok(package(&bob, 2))),
    ] {
        let claimed = home.logs.claim_key_packages(&origin, &user(by), user(whose), vec![bob.device()]).await;
        assert_eq!(claimed.map(|mut all| all.remove(0).package).map_err(|why| why.code), expected, "{by} of {whose}");
    }
}

#[tokio::test]
async fn a_device_is_told_when_few_are_left() {
    let home = home().await;
    let [alice, bob] = [home.person("alice").await, home.person("bob").await];
    let refill = limits::KEY_PACKAGES_REFILL as u32;
    put(&home.logs, &bob, packages(&bob, 0..refill as usize + 2), Some(package(&bob, LAST))).await.unwrap();
    let mut low = home.logs.low();
    claim(&home.logs, &alice, &bob).await.unwrap();
    assert!(low.try_recv().is_err(), "one more than the mark is enough");
    for single_use in (0..=refill).rev() {
        claim(&home.logs, &alice, &bob).await.unwrap();
        let told = Low { user: bob.name.clone(), device: bob.device(), left: left(single_use, true) };
        assert_eq!(low.try_recv(), Ok(told));
    }
    claim(&home.logs, &alice, &bob).await.unwrap();
    assert!(low.try_recv().is_err(), "it has been told that there are none");
}

#[tokio::test]
async fn key_packages_are_claimed_so_often_and_no_more() {
    let home = Home::new("s1").await.within(Limits { key_package_burst: 3, key_packages_per_minute: 1, ..generous() }).await;
    let [alice, bob, carol] = [home.person("alice").await, home.person("bob").await, home.person("carol").await];
    put(&home.logs, &bob, packages(&bob, 0..9), None).await.unwrap();
    for _ in 1..=3 {
        claim(&home.logs, &alice, &bob).await.unwrap();
    }
    let fast = claim_of(&home.logs, &alice, &bob, vec![bob.device()]).await.unwrap_err();
    assert!(fast.code == Code::TooFast && fast.retry_after == Some(60), "{fast:?}");
    assert_eq!(put(&home.logs, &bob, Vec::new(), None).await, Ok(left(6, false)), "and takes nothing");
    claim(&home.logs, &carol, &bob).await.unwrap();
    assert_eq!(claim(&home.logs, &alice, &carol).await, None, "of somebody else");
    // What goes out to a peer is counted here as well.
    let zoe = user("zoe@s2");
    for taken in [true, true, true, false] {
        let passed = home.logs.passes_claim_on(&alice.name, &zoe, &[DeviceKey([1; 32])]);
        assert_eq!(passed.is_ok(), taken, "{passed:?}");
    }
}
