//! Key packages of another server's users: asked for on the link that asks, answered or not, and in any case in time.

use crate::hub::{Link, host};
use crate::made::Made;
use crate::support::{Home, Person, SOON, device, key, keys, server, user};
use bytes::Bytes;
use futures_util::future::join_all;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use tidings_proto::frame::{ClaimedKeyPackage, KeyPackageClaim, KeyPackages, Pong, Refused};
use tidings_proto::{Code, DeviceKey, Frame, Refusal, limits};
use tidings_server::federation;
use tidings_server::host::Host;
use tidings_trust::KeyState;
use tokio::task::JoinHandle;

type Claimed = Result<Vec<ClaimedKeyPackage>, Refusal>;

/// Somebody of s0 with as many devices as there may be, and what everybody knows of them.
static BOB: LazyLock<(Person, KeyState)> = LazyLock::new(|| {
    let devices = (1..=limits::DEVICES).map(|which| key(&format!("bob's {which}"))).collect();
    let mut bob = Person { devices, ..Person::new("bob@s0") };
    let first = bob.next_list(1);
    let state = KeyState::apply(None, &keys("s0"), 1, &first, None).unwrap();
    (bob, state)
});

fn devices(count: usize) -> Vec<DeviceKey> {
    BOB.0.devices[..count].iter().map(device).collect()
}

/// A key package of bob's device number `which`, from 1 on.
fn made(which: usize) -> Made {
    Made::by(&BOB.0.name, &BOB.0.devices[which - 1], 1)
}

/// The same as a peer hands it out.
fn package(which: usize, package: Bytes) -> ClaimedKeyPackage {
    ClaimedKeyPackage { device: device(&BOB.0.devices[which - 1]), package, last_resort: false }
}

/// Somebody of s1 claims key packages of somebody of s0.
fn claim(host: &Arc<Host>, count: usize) -> JoinHandle<Claimed> {
    let peer = host.peers.get(&server("s0")).unwrap();
    tokio::spawn(async move { federation::claim(&peer, user("alice@s1"), &BOB.1, devices(count)).await })
}

async fn asked(link: &mut Link) -> KeyPackageClaim {
    loop {
        if let Frame::KeyPackageClaim(claim) = link.next().await {
            return claim;
        }
    }
}

/// The next that names so many devices.
async fn asked_of(link: &mut Link, count: usize) -> KeyPackageClaim {
    loop {
        let claim = asked(link).await;
        if claim.devices.len() == count {
            return claim;
        }
    }
}

/// The code that a claim is refused with, which is one by which to try again.
async fn refused(claimed: JoinHandle<Claimed>) -> Code {
    let why = tokio::time::timeout(SOON, claimed).await.unwrap().unwrap().unwrap_err();
    assert!(why.retry_after.is_some(), "{why:?}");
    why.code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_is_answered_by_the_peer_and_by_what_was_asked_for() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let host = host(&home, &home.logs, &hub);
    let begun = Instant::now();
    assert_eq!(refused(claim(&host, 1)).await, Code::Unreachable, "without a link");
    assert!(begun.elapsed() < Duration::from_secs(5), "at once");

    let mut link = Link::to(&host, &hub).await;
    let (first, second) = (package(1, made(1).bytes()), package(2, made(2).sized(limits::KEY_PACKAGE)));
    let last = ClaimedKeyPackage { last_resort: true, ..package(1, made(1).last_resort().bytes()) };
    let good = vec![second.clone(), first.clone()];
    for (answer, expected) in [
        (good.clone(), Ok(good.clone())),
        (vec![last.clone()], Ok(vec![last.clone()])),
        (Vec::new(), Ok(Vec::new())),
        (vec![package(3, made(3).bytes())], Err(Code::Unreachable)),
        (vec![first.clone(), package(1, made(1).last_resort().bytes())], Err(Code::Unreachable)),
        // What is no key package of its device is left out, and what comes with it is not.
        (vec![package(1, Bytes::new()), second.clone()], Ok(vec![second.clone()])),
        (vec![package(1, made(1).sized(limits::KEY_PACKAGE + 1)), second.clone()], Ok(vec![second.clone()])),
        (vec![package(1, made(2).bytes()), second.clone()], Ok(vec![second.clone()])),
        (vec![first.clone(), package(2, "key package".into())], Ok(vec![first.clone()])),
        (vec![ClaimedKeyPackage { last_resort: false, ..last }], Ok(Vec::new())),
    ] {
        let claimed = claim(&host, 2);
        let frame = asked(&mut link).await;
        let expected_frame = KeyPackageClaim { req: frame.req, user: user("bob@s0"), devices: devices(2), by: Some(user("alice@s1")) };
        assert_eq!(frame, expected_frame);
        link.say(KeyPackages { req: frame.req + 1000, packages: vec![first.clone()] }).await; // to what nobody asked
        link.say(KeyPackages { req: frame.req, packages: answer.clone() }).await;
        link.say(KeyPackages { req: frame.req, packages: Vec::new() }).await; // a second answer
        assert!(claimed.await.unwrap().map_err(|why| why.code) == expected, "of {} packages", answer.len());
    }
    let claimed = claim(&host, 1);
    let req = asked(&mut link).await.req;
    link.refuse(req, Refusal::from(Code::TooFast).retry_after(7)).await;
    assert_eq!(claimed.await.unwrap(), Err(Refusal::from(Code::TooFast).retry_after(7)), "as the peer says it");
    // A peer whose program is older says so without a number.
    let claimed = claim(&host, 1);
    asked(&mut link).await;
    link.say(Refused { req: 0, why: Code::UnknownFrame.into(), log: None }).await;
    assert_eq!(claimed.await.unwrap().unwrap_err().code, Code::Unreachable);
    // A link that is lost takes its claims along.
    let claimed = claim(&host, 1);
    asked(&mut link).await;
    drop(link);
    assert_eq!(refused(claimed).await, Code::Unreachable);
    host.stopping.cancel();
}

/// What was asked in vain neither hangs nor stands in anybody's way for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_answers_no_claim_keeps_nobody_waiting_for_ever() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let host = host(&home, &home.logs, &hub);
    let mut link = Link::to(&host, &hub).await;
    let begun = Instant::now();
    let full: Vec<_> = (0..4).map(|_| claim(&host, limits::DEVICES)).collect();
    for _ in 0..4 {
        asked(&mut link).await;
    }
    let next = claim(&host, 1);
    while let Some(frame) = link.next_within(Duration::from_millis(300)).await {
        assert!(!matches!(frame, Frame::KeyPackageClaim(_)), "so many are under way at once, and no more");
    }
    let mut ends = Box::pin(join_all(full.into_iter().chain([next]).map(refused)));
    let codes = loop {
        tokio::select! {
            codes = &mut ends => break codes,
            // It is there, and hears what it is asked.
            () = tokio::time::sleep(Duration::from_secs(1)) => link.say(Pong { req: 0 }).await,
        }
    };
    assert_eq!(codes, [Code::Unreachable; 5]);
    assert!((8..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    // The next one goes out, and so does one after an answer that came in time.
    let mut going = (0..4).map(|_| claim(&host, limits::DEVICES)).collect::<Vec<_>>();
    // The one that waited may have gone out in its last moment.
    let first = asked_of(&mut link, limits::DEVICES).await;
    for _ in 0..3 {
        asked_of(&mut link, limits::DEVICES).await;
    }
    let fifth = claim(&host, 1);
    link.say(KeyPackages { req: first.req, packages: vec![package(1, made(1).bytes())] }).await;
    let last = asked_of(&mut link, 1).await;
    link.say(KeyPackages { req: last.req, packages: vec![package(1, made(1).bytes())] }).await;
    assert_eq!(fifth.await.unwrap(), Ok(vec![package(1, made(1).bytes())]));
    let mut answered = 0;
    while answered == 0 {
        going.retain(|claimed| !claimed.is_finished());
        answered = 4 - going.len();
        tokio::task::yield_now().await;
    }
    assert_eq!(answered, 1);
    host.stopping.cancel();
}

/// A peer has key packages of this server's users, and in its own users' names only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_peer_claims_is_answered_on_whichever_link_it_asks() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let alice = home.person("alice").await;
    let packages = (0..limits::KEY_PACKAGES).map(|which| Made::of(&alice, which).sized(limits::KEY_PACKAGE)).collect();
    home.logs.put_key_packages(&alice.name, &alice.device(), packages, None).await.unwrap();
    let host = host(&home, &home.logs, &hub);
    let mut link = Link::to(&host, &hub).await;
    let ask = |req, of: &str, by: Option<&str>| KeyPackageClaim { req, user: user(of), devices: vec![alice.device()], by: by.map(user) };
    for (frame, expected) in [
        (ask(1, "alice@s1", Some("bob@s0")), Ok(1)),
        (ask(2, "alice@s1", None), Err(Code::Malformed)),
        (ask(3, "alice@s1", Some("alice@s1")), Err(Code::Forbidden)),
        (ask(4, "alice@s1", Some("carol@s2")), Err(Code::Forbidden)),
        (ask(5, "bob@s0", Some("bob@s0")), Err(Code::WrongServer)),
        (ask(6, "carol@s2", Some("bob@s0")), Err(Code::WrongServer)),
        (ask(7, "nobody@s1", Some("bob@s0")), Err(Code::NotFound)),
        (ask(8, "alice@s1", Some("bob@s0")), Ok(1)),
    ] {
        let req = frame.req;
        link.say(frame.clone()).await;
        let answer = loop {
            match link.next().await {
                Frame::KeyPackages(KeyPackages { req: to, packages }) if to == req => break Ok(packages.len()),
                Frame::Refused(Refused { req: to, why, .. }) if to == req => break Err(why.code),
                _ => {}
            }
        };
        assert_eq!(answer, expected, "{frame:?}");
    }
    let left = home.logs.put_key_packages(&alice.name, &alice.device(), Vec::new(), None).await.unwrap();
    assert_eq!(left.single_use as usize, limits::KEY_PACKAGES - 2, "what was refused took nothing");
    host.stopping.cancel();
}
