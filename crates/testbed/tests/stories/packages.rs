//! Key packages over two servers: whoever claims, wherever, gets one that nobody else has; and who has none keeps nobody from going on.

use bytes::Bytes;
use std::collections::BTreeSet;
use tidings_e2ee::DeviceSecret;
use tidings_proto::frame::{KeyPackageClaim, KeyPackages, KeyPackagesLeft, Refused};
use tidings_proto::{Code, Frame, ServerKey, limits};
use tidings_server::operator::PeerStanding;
use tidings_testbed::PATIENCE;
use tidings_testbed::packages::Device;
use tidings_testbed::raw::RawLink;
use tidings_testbed::world::World;

/// Claims until nothing of single use is left, as fast as answers come.
async fn claims_all(by: &mut Device, whose: &Device) -> Vec<Bytes> {
    let mut claimed = Vec::new();
    loop {
        let mut packages = by.claims(&whose.user, &[whose.key()]).await.expect("a claim that is answered");
        match packages.pop() {
            Some(package) if !package.last_resort => claimed.push(package.package),
            _ => return claimed,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_claims_at_the_same_moment_on_two_servers_gets_another_key_package() {
    let world = World::configured(&["s1", "s2"], false, |config| config.limits.key_package_burst = 100).await;
    let mut bob = Device::registers(&world, "bob@s2").await;
    let most = limits::KEY_PACKAGES;
    let last_resort = bob.last_resort();
    let left = bob.brings(bob.makes(most, false), last_resort.clone()).await.unwrap();
    assert_eq!((left.single_use as usize, left.last_resort), (most, true));
    let mut people = Vec::new();
    for user in ["alice@s1", "zoe@s1", "carol@s2"] {
        people.push(Device::registers(&world, user).await);
    }
    world.peer_is("s1", "s2", "is linked", |row| row.state == PeerStanding::Linked).await;
    let [alice, zoe, carol] = &mut people[..] else { unreachable!() };
    alice.hears_of(&bob.user).await;
    let (by_alice, by_zoe, by_carol) = tokio::join!(claims_all(alice, &bob), claims_all(zoe, &bob), claims_all(carol, &bob));
    let all: Vec<&Bytes> = by_alice.iter().chain(&by_zoe).chain(&by_carol).collect();
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (most, most), "each once");
    assert!(!by_alice.is_empty() && !by_carol.is_empty());
    // Exhausted: there is still the one of last resort, for everybody.
    for device in [alice, carol] {
        let claimed = device.claims(&bob.user, &[bob.key()]).await.unwrap();
        assert!(claimed.len() == 1 && claimed[0].last_resort && Some(&claimed[0].package) == last_resort.as_ref(), "{claimed:?}");
    }
    // Bob has been told in time, by each claim from the mark on.
    assert_eq!(bob.brings(Vec::new(), None).await.unwrap().single_use, 0);
    let told: Vec<u32> = bob.told.iter().map(|told| told.single_use).collect();
    assert!(
        told.first().is_some_and(|first| *first as usize <= limits::KEY_PACKAGES_REFILL) && told.is_sorted_by(|a, b| a >= b),
        "{told:?}"
    );
    assert_eq!(told.last(), Some(&0));
    assert!(bob.told.iter().all(|told: &KeyPackagesLeft| told.last_resort));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_none_or_cannot_be_reached_keeps_nobody_waiting() {
    let mut world = World::two_servers().await;
    let mut alice = Device::registers(&world, "alice@s1").await;
    let mut bob = Device::registers(&world, "bob@s2").await;
    world.peer_is("s1", "s2", "is linked", |row| row.state == PeerStanding::Linked).await;
    alice.hears_of(&bob.user).await;
    assert_eq!(alice.claims(&bob.user, &[bob.key()]).await, Ok(Vec::new()), "nothing was brought yet");
    let brought = bob.makes(3, false);
    bob.brings(brought.clone(), None).await.unwrap();
    let refused = |result: Result<Vec<_>, tidings_proto::Refusal>| result.map(|claimed| claimed.len()).map_err(|why| why.code);
    for (user, expected) in [("nobody@s2", Code::NotFound), ("carol@s7", Code::UnknownPeer), ("nobody@s1", Code::NotFound)] {
        assert_eq!(refused(alice.claims(&user.parse().unwrap(), &[bob.key()]).await), Err(expected), "{user}");
    }
    world.stop("s2").await;
    world.peer_is("s1", "s2", "is gone", |row| row.state != PeerStanding::Linked).await;
    let why = tokio::time::timeout(PATIENCE, alice.claims(&bob.user, &[bob.key()])).await.expect("an answer in time").unwrap_err();
    assert!(why.code == Code::Unreachable && why.retry_after.is_some(), "{why:?}");
    world.start("s2").await;
    world.peer_is("s1", "s2", "is linked", |row| row.state == PeerStanding::Linked).await;
    // Both dial; a claim that was on its way when the newer link took over is for its claimer to ask again.
    let claimed = loop {
        match alice.claims(&bob.user, &[bob.key()]).await {
            Err(why) if why.code == Code::Unreachable => {}
            answered => break answered.unwrap(),
        }
    };
    assert!(brought.contains(&claimed[0].package), "what nobody got is still there");
}

/// Somebody claims again and again: so often, and then no more for a while; others are in nobody's way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_claims_too_fast_is_told_when_to_go_on() {
    let world = World::configured(&["s1", "s2"], false, |config| config.limits.key_package_burst = 2).await;
    let mut bob = Device::registers(&world, "bob@s2").await;
    bob.brings(bob.makes(9, false), None).await.unwrap();
    for (by, other) in [("alice@s1", "zoe@s1"), ("carol@s2", "dora@s2")] {
        let (mut by, mut other) = (Device::registers(&world, by).await, Device::registers(&world, other).await);
        world.peer_is("s1", "s2", "is linked", |row| row.state == PeerStanding::Linked).await;
        by.hears_of(&bob.user).await;
        for _ in 0..2 {
            by.claims(&bob.user, &[bob.key()]).await.unwrap();
        }
        let why = by.claims(&bob.user, &[bob.key()]).await.unwrap_err();
        assert!(why.code == Code::TooFast && why.retry_after == Some(6), "{why:?}");
        assert_eq!(other.claims(&bob.user, &[bob.key()]).await.unwrap().len(), 1);
    }
    assert_eq!(bob.brings(Vec::new(), None).await.unwrap().single_use, 3);
}

/// A server that turns: it has key packages of this server's users for its own users alone, and hears nothing of a third one's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_claims_for_its_own_users_and_of_this_servers_only() {
    let mut world = World::two_servers().await;
    let (mut alice, mut bob) = (Device::registers(&world, "alice@s1").await, Device::registers(&world, "bob@s2").await);
    alice.brings(alice.makes(3, false), None).await.unwrap();
    bob.brings(bob.makes(3, false), None).await.unwrap();
    let secret = DeviceSecret::generate();
    world.stop("s1").await;
    let known =
        tidings_server::Peer { name: "s9".parse().unwrap(), address: "127.0.0.1:1".into(), key: Some(ServerKey(secret.public().0)) };
    world.config_mut("s1").peers.push(known);
    world.start("s1").await;
    let mut link = RawLink::peer(world.address("s1"), &"s9".parse().unwrap(), &secret).await;
    for (whose, by, expected) in [
        ("alice@s1", Some("eve@s9"), Ok(1)),
        ("alice@s1", Some("bob@s2"), Err(Code::Forbidden)),
        ("alice@s1", Some("alice@s1"), Err(Code::Forbidden)),
        ("alice@s1", None, Err(Code::Malformed)),
        ("bob@s2", Some("eve@s9"), Err(Code::WrongServer)),
    ] {
        let devices = vec![if whose == "bob@s2" { bob.key() } else { alice.key() }];
        let by = by.map(|by| by.parse().unwrap());
        link.send(KeyPackageClaim { req: 7, user: whose.parse().unwrap(), devices, by: by.clone() }).await;
        let answer = loop {
            match link.next().await {
                Frame::KeyPackages(KeyPackages { req: 7, packages }) => break Ok(packages.len()),
                Frame::Refused(Refused { req: 7, why, .. }) => break Err(why.code),
                _ => {}
            }
        };
        assert_eq!(answer, expected, "of {whose} by {by:?}");
    }
    alice.links_again(&world).await;
    assert_eq!(alice.brings(Vec::new(), None).await.unwrap().single_use, 2);
    assert_eq!(bob.brings(Vec::new(), None).await.unwrap().single_use, 3);
}
