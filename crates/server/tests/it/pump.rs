//! A link's frames: what is answered though there is always news, and when a silent link is cut.

use crate::support::{Home, SOON, public};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::frame::{Ping, Refused};
use tidings_proto::{Code, Frame, limits};
use tidings_server::link::pump::{Pace, Pump};
use tidings_server::link::wire::{LinkError, Wire};
use tidings_server::logs::Reader;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::Role;

/// A link's two ends; little fits between them.
async fn paced(home: &Home, pace: Pace) -> (Pump, Wire) {
    let (near, far) = tokio::io::duplex(1024);
    let near = Wire::new(Box::new(near), Role::Server, limits::CLIENT_FRAME);
    near.allowance.lift();
    let far = Wire::new(Box::new(far), Role::Client, limits::CLIENT_FRAME);
    far.allowance.lift();
    (Pump::paced(near, &home.logs, pace), far)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_without_end_keeps_no_pong_and_no_answer_back() {
    const LEAD: u64 = 20;
    let home = Arc::new(Home::new("s1").await);
    let alice = home.person("alice").await;
    let text = "x".repeat(60_000);
    let post = async |n: u64| home.append(&alice, &public("s1"), &alice.post(n, &text)).await.unwrap();
    for n in 1..=LEAD {
        post(n).await;
    }
    let (mut pump, mut far) = paced(&home, Pace { silent: 2 * SOON, pong_within: SOON }).await;
    pump.follower().follow(&Reader::Host, &public("s1"), 0).unwrap();
    let driven = tokio::spawn(async move {
        while let Ok(bytes) = pump.next().await {
            let Ok(Frame::Ping(Ping { req, .. })) = Frame::read(&bytes, limits::CLIENT_FRAME) else { panic!("not a ping") };
            pump.pong(req);
            pump.start(async move {
                tokio::task::yield_now().await;
                Refused { req: 100 + req, why: Code::Busy.into(), log: None }.into()
            });
        }
    });
    // As many posts as are read: there is always as much ahead as at the start.
    let reading = async {
        let (mut entries, mut heard) = (0, Vec::new());
        while heard.len() < 6 {
            match Frame::read(&far.reader.next().await.unwrap(), limits::CLIENT_FRAME).unwrap() {
                Frame::Entries(_) => {
                    entries += 1;
                    if entries <= 3 {
                        far.writer.send(Frame::from(Ping { req: entries, heads: None }).encode()).await.unwrap();
                    }
                    post(LEAD + u64::from(entries)).await;
                    assert!(entries < 10 * LEAD as u32, "{entries} posts, and only {heard:?} was answered");
                }
                Frame::Pong(pong) => heard.push(pong.req),
                Frame::Refused(refused) => heard.push(refused.req),
                _ => {}
            }
        }
        heard.sort_unstable();
        assert_eq!(heard, [1, 2, 3, 101, 102, 103]);
    };
    tokio::time::timeout(SOON, reading).await.expect("answers in time");
    drop(far);
    driven.await.unwrap();
}

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_link_that_misses_one_pong_is_cut_and_one_that_says_anything_is_not() {
    let home = Home::new("s1").await;
    let (mut pump, _far) = paced(&home, Pace { silent: 100 * SOON, pong_within: SHORT }).await;
    let start = Instant::now();
    pump.ping();
    let ended = tokio::time::timeout(SOON, pump.next()).await.expect("an end long before that of a silent link");
    assert!(matches!(ended, Err(LinkError::TimedOut)) && start.elapsed() >= SHORT);

    // Anything that comes in time is a sign of life; only then does silence for long end the link.
    let silent = 3 * SHORT;
    let (mut pump, mut far) = paced(&home, Pace { silent, pong_within: SOON }).await;
    pump.ping();
    far.writer.send(Frame::from(Ping { req: 1, heads: None }).encode()).await.unwrap();
    pump.next().await.unwrap();
    let heard = Instant::now();
    assert!(matches!(pump.next().await, Err(LinkError::TimedOut)));
    assert!(heard.elapsed() >= silent, "{:?}", heard.elapsed());
}

/// While what was read is dealt with, nothing more is read: that silence is our own.
#[tokio::test]
async fn a_link_that_is_held_is_not_cut_for_its_silence() {
    let home = Home::new("s1").await;
    let (mut pump, _far) = paced(&home, Pace { silent: SHORT, pong_within: SHORT / 2 }).await;
    pump.ping();
    pump.hold(true);
    assert!(tokio::time::timeout(3 * SHORT, pump.next()).await.is_err(), "it goes on");
    pump.hold(false);
    let released = Instant::now();
    assert!(matches!(tokio::time::timeout(SOON, pump.next()).await, Ok(Err(LinkError::TimedOut))));
    assert!(released.elapsed() >= SHORT, "it has had all its time again: {:?}", released.elapsed());
}
