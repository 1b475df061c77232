//! Servers are killed while key packages are claimed: what was handed out is never handed out again.

use bytes::Bytes;
use std::collections::BTreeSet;
use tidings_proto::limits::KEY_PACKAGES;
use tidings_server::operator::PeerStanding;
use tidings_testbed::packages::Device;
use tidings_testbed::process::Program;
use tidings_testbed::world::{How, World};

const KILLS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_handed_out_before_a_kill_is_not_handed_out_after_it() {
    let limits = vec![("key_package_burst", 1_000_000), ("registration_burst", 1000)];
    let program = Program { path: env!("CARGO_BIN_EXE_tidings").into(), limits };
    let mut world = World::made(&["s1", "s2"], How::Processes(program), |_| {}).await;
    let mut bob = Device::registers(&world, "bob@s2").await;
    let (mut alice, mut carol) = (Device::registers(&world, "alice@s1").await, Device::registers(&world, "carol@s2").await);
    let (mut brought, mut claimed) = (0, Vec::new());
    for kill in 0..KILLS {
        // As many as there is room for, and once more, as if the answer had been lost; the older ones have been handed out meanwhile.
        let left = bob.brings(Vec::new(), None).await.unwrap().single_use as usize;
        let (more, last_resort) = (bob.makes(KEY_PACKAGES - left, false), bob.last_resort());
        brought += more.len();
        for _ in 0..2 {
            assert_eq!(bob.brings(more.clone(), last_resort.clone()).await.unwrap().single_use as usize, KEY_PACKAGES);
        }
        world.peer_is("s1", "s2", "is linked", |row| row.state == PeerStanding::Linked).await;
        alice.hears_of(&bob.user).await;
        let (user, devices) = (bob.user.clone(), [bob.key()]);
        let claiming = async |by: &mut Device| {
            let mut got = Vec::new();
            // Until the server dies, or says that the other one has.
            while let Ok(Ok(packages)) = by.tries_to_claim(&user, &devices).await {
                got.extend(packages.into_iter().filter(|package| !package.last_resort).map(|package| package.package));
            }
            got
        };
        let killing = async {
            tokio::time::sleep(std::time::Duration::from_millis(20 * kill as u64 + 5)).await;
            world.kill("s2").await;
        };
        let (by_alice, by_carol, ()) = tokio::join!(claiming(&mut alice), claiming(&mut carol), killing);
        claimed.extend(by_alice.into_iter().chain(by_carol));
        world.start("s2").await;
        bob.links_again(&world).await;
        carol.links_again(&world).await;
    }
    let different: BTreeSet<&Bytes> = claimed.iter().collect();
    assert_eq!(different.len(), claimed.len(), "one was handed out twice");
    assert!(claimed.len() > KILLS, "{} claims", claimed.len());
    let left = bob.brings(Vec::new(), None).await.unwrap().single_use as usize;
    println!("{} of {brought} were handed out and heard of, {left} are left", claimed.len());
    assert!(claimed.len() + left <= brought);
}
