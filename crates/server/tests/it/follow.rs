//! Followers: every entry once and in order, from the tail and from the store, with and without a bus.

use crate::support::{Home, SOON, direct, keys, open_on, public, server, some_key};
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tidings_proto::chain::{self, Tip};
use tidings_proto::{Code, Entry, Frame, LogName, limits};
use tidings_server::bus::deaf::DeafBus;
use tidings_server::bus::local::LocalBus;
use tidings_server::logs::{FollowFrame, Follower, Logs, Reader};

/// What a follower has been sent, checked as it comes.
struct Reading {
    follower: Follower,
    names: HashMap<u64, LogName>,
    tips: HashMap<LogName, Tip>,
    /// Logs of which something has come.
    begun: HashSet<LogName>,
    frames: usize,
}

impl Reading {
    fn new(logs: &Arc<Logs>, follow: &[(&LogName, Tip)]) -> Reading {
        let mut follower = Follower::new(logs);
        for (log, tip) in follow {
            follower.follow(&Reader::Host, log, tip.seq).unwrap();
        }
        let tips = follow.iter().map(|(log, tip)| ((*log).clone(), *tip)).collect();
        Reading { follower, names: HashMap::new(), tips, begun: HashSet::new(), frames: 0 }
    }

    /// Takes one frame; the chain tells whether it is the next of its log.
    fn take(&mut self, news: FollowFrame) {
        if let Some(name) = news.first_named {
            assert_eq!(self.names.insert(news.number, name), None, "a log is named once");
        }
        let log = self.names.get(&news.number).expect("a log is named before its first entries").clone();
        assert!(news.frame.len() <= limits::CLIENT_FRAME);
        let Ok(Frame::Entries(entries)) = Frame::read(&news.frame, limits::CLIENT_FRAME) else { panic!("not entries") };
        assert_eq!(entries.log, news.number);
        let tip = self.tips.get_mut(&log).expect("only what is followed is sent");
        let first = self.begun.insert(log.clone());
        assert_eq!(entries.prev, first.then_some(tip.hash), "{log} after {}", tip.seq);
        assert!(!entries.items.is_empty());
        for item in entries.items {
            assert_eq!(item.got.is_some(), matches!(log, LogName::Public(_)));
            *tip = chain::extend(&log, tip, &Entry::read(&item.entry).unwrap()).unwrap();
        }
        self.frames += 1;
    }

    /// Reads until `log` has come so far.
    async fn until(&mut self, log: &LogName, seq: u64) {
        let reading = async {
            while self.tips[log].seq < seq {
                let news = self.follower.next().await;
                self.take(news);
            }
        };
        tokio::time::timeout(SOON, reading).await.expect("the entries come");
    }
}

#[tokio::test]
async fn what_was_there_comes_first_and_then_what_is_new() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let log = public("s1");
    for n in 1..=3 {
        home.append(&alice, &log, &alice.post(n, "before")).await.unwrap();
    }
    let home = home.restart().await; // nothing is in the tail
    let mut reading = Reading::new(&home.logs, &[(&log, Tip::EMPTY)]);
    assert!(!reading.follower.ahead().is_empty());
    reading.until(&log, 3).await;
    assert_eq!(reading.frames, 1, "one page");
    assert!(reading.follower.ahead().is_empty());
    assert!(reading.follower.next().now_or_never().is_none());
    home.append(&alice, &log, &alice.post(4, "after")).await.unwrap();
    assert!(!reading.follower.ahead().is_empty(), "known as soon as it was answered");
    reading.until(&log, 4).await;
    assert_eq!(Some(reading.tips[&log]), home.logs.tip(&log));
    // From the middle.
    let (prev, _) = home.logs.page(&Reader::Host, &log, (None, Some(2)), 1).await.unwrap();
    let mut late = Reading::new(&home.logs, &[(&log, Tip { seq: 2, hash: prev })]);
    late.until(&log, 4).await;
    // From the end, and from beyond it: nothing until there is news.
    for after in [4, 5] {
        let mut follower = Follower::new(&home.logs);
        follower.follow(&Reader::Host, &log, after).unwrap();
        assert!(follower.next().now_or_never().is_none() && follower.ahead().is_empty());
    }
    assert_eq!(Follower::new(&home.logs).follow(&Reader::Host, &public("s9"), 0).unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn whoever_keeps_up_never_touches_the_store_and_shares_the_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (store, logs) = open_on(folder.path(), "s1", Arc::new(LocalBus::default())).await;
    let mut alice = crate::support::Person::new("alice@s1");
    alice.join(&logs).await.unwrap();
    let log = public("s1");
    let mut readings: Vec<Reading> = (0..5).map(|_| Reading::new(&logs, &[(&log, Tip::EMPTY)])).collect();
    let pages = store.pages();
    for n in 1..=200 {
        logs.append(alice.origin(), &log, alice.post(n, "hello").bytes().clone(), None).await.unwrap();
        let mut frames = Vec::new();
        for reading in &mut readings {
            let news = tokio::time::timeout(SOON, reading.follower.next()).await.unwrap();
            frames.push(news.frame.clone());
            reading.take(news);
        }
        // The first of all says what it follows, and is made for each.
        assert!(n == 1 || frames.iter().all(|frame| frame.as_ptr() == frames[0].as_ptr()), "encoded once");
    }
    assert_eq!(store.pages(), pages);
    logs.close().await;
}

#[tokio::test]
async fn large_logs_come_in_pages() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let log = public("s1");
    let text = "x".repeat(limits::TEXT / 3);
    let drafts: Vec<_> = (1..=30).map(|n| alice.post(n, &text)).collect();
    join_all(drafts.iter().map(|draft| home.append(&alice, &log, draft))).await;
    let home = home.restart().await;
    let mut reading = Reading::new(&home.logs, &[(&log, Tip::EMPTY)]);
    while reading.tips[&log].seq < 30 {
        let news = tokio::time::timeout(SOON, reading.follower.next()).await.unwrap();
        assert!(news.frame.len() <= limits::PAGE + 4096, "{} bytes", news.frame.len());
        reading.take(news);
    }
    // The largest draft there is still fits a client's frame.
    let notes = direct(&alice, &alice);
    let fill = limits::DRAFT - alice.sealed(1, &[0; 70_000]).bytes().len() + 70_000;
    home.append_direct(&alice, &notes, &alice.sealed(1, &vec![7; fill])).await.unwrap();
    Reading::new(&home.logs, &[(&notes.log(), Tip::EMPTY)]).until(&notes.log(), 2).await;
}

/// Five people write to the public chat and to rooms of their own, all at once, while followers come and read.
async fn many_write_and_many_follow(home: &Home, each: u64) {
    let mut people = Vec::new();
    for i in 0..5 {
        people.push(home.person(&format!("user{i}")).await);
    }
    let log = public("s1");
    let rooms: Vec<_> = people.iter().map(|person| direct(person, person)).collect();
    let mut room_logs: Vec<LogName> = rooms.iter().map(tidings_proto::Genesis::log).collect();
    for (person, genesis) in people.iter().zip(&rooms) {
        home.append_direct(person, genesis, &person.sealed(1, b"first")).await.unwrap();
    }
    room_logs.push(log.clone());
    let followed: Vec<(&LogName, Tip)> = room_logs.iter().map(|log| (log, Tip::EMPTY)).collect();
    let write = join_all(people.iter().zip(&rooms).map(async |(person, genesis)| {
        for some in (1..=each).collect::<Vec<_>>().chunks(50) {
            let posts = some.iter().map(|n| person.post(*n, "hello")).collect::<Vec<_>>();
            let sealed = some.iter().map(|n| person.sealed(n + 1, b"sealed")).collect::<Vec<_>>();
            let posted = join_all(posts.iter().map(|draft| home.append(person, &log, draft)));
            let kept = join_all(sealed.iter().map(|draft| home.append_direct(person, genesis, draft)));
            let (posted, kept) = tokio::join!(posted, kept);
            assert!(posted.iter().chain(&kept).all(Result::is_ok));
        }
    }));
    let read = join_all((0..4).map(async |which: u64| {
        // One is there from the start, the others come while entries are being written.
        let mut first = Reading::new(&home.logs, &followed);
        first.until(&log, which * each).await;
        let mut reading = Reading::new(&home.logs, &followed);
        for log in &room_logs[..5] {
            reading.until(log, each + 2).await;
            first.until(log, each + 2).await;
        }
        reading.until(&log, each * 5).await;
        first.until(&log, each * 5).await;
        assert_eq!(reading.tips, first.tips);
        reading.tips
    }));
    let (_, tips) = tokio::join!(write, read);
    for (log, tip) in &tips[0] {
        assert_eq!(home.logs.tip(log), Some(*tip));
    }
    assert!(tips.iter().all(|seen| *seen == tips[0]), "the same order for all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn order_holds_over_tail_and_store_while_thousands_are_written() {
    many_write_and_many_follow(&Home::new("s1").await, 500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bus_that_drops_every_wake_delays_and_loses_nothing() {
    many_write_and_many_follow(&Home::with_bus("s1", Arc::new(DeafBus)).await, 200).await;
}

#[tokio::test]
async fn a_deaf_followers_news_comes_with_the_next_poll() {
    let home = Home::with_bus("s1", Arc::new(DeafBus)).await;
    let alice = home.person("alice").await;
    let log = public("s1");
    let mut reading = Reading::new(&home.logs, &[(&log, Tip::EMPTY)]);
    let started = std::time::Instant::now();
    for n in 1..=2 {
        home.append(&alice, &log, &alice.post(n, "hello")).await.unwrap();
        reading.until(&log, n).await;
    }
    assert!(started.elapsed() < SOON);
}

#[tokio::test]
async fn five_thousand_quiet_logs_cost_nothing() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let names: Vec<_> = (0..2500).map(|i| server(&format!("peer{i}"))).collect();
    join_all(names.iter().map(async |name| home.logs.know_peer(name, &some_key("peer")).await.unwrap())).await;
    let mut follower = Follower::new(&home.logs);
    for name in &names {
        follower.follow(&Reader::Host, &LogName::Public(name.clone()), 0).unwrap();
        follower.follow(&Reader::Host, &LogName::Keys(name.clone()), 0).unwrap();
    }
    follower.follow(&Reader::Host, &public("s1"), 0).unwrap();
    assert!(follower.ahead().is_empty() && follower.next().now_or_never().is_none(), "nothing is asked where there is no news");
    home.append(&alice, &public("s1"), &alice.post(1, "hello")).await.unwrap();
    let news = tokio::time::timeout(SOON, follower.next()).await.unwrap();
    assert_eq!(news.first_named, Some(public("s1")));
    assert!(follower.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_log_followed_again_starts_from_there() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let log = public("s1");
    for n in 1..=3 {
        home.append(&alice, &log, &alice.post(n, "hello")).await.unwrap();
    }
    let mut reading = Reading::new(&home.logs, &[(&log, Tip::EMPTY)]);
    reading.until(&log, 3).await;
    reading.follower.follow(&Reader::Host, &log, 0).unwrap();
    reading.tips.insert(log.clone(), Tip::EMPTY);
    reading.begun.remove(&log);
    reading.until(&log, 3).await;
}

#[tokio::test]
async fn a_page_that_was_asked_for_before_is_not_what_is_wanted_now() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let log = public("s1");
    for n in 1..=3 {
        home.append(&alice, &log, &alice.post(n, "hello")).await.unwrap();
    }
    home.logs.close().await;
    let (store, logs) = open_on(home.folder.path(), "s1", Arc::new(LocalBus::default())).await;
    let (prev, _) = logs.page(&Reader::Host, &log, (None, Some(2)), 1).await.unwrap();
    let mut reading = Reading::new(&logs, &[(&log, Tip::EMPTY)]);
    store.hold_pages(true);
    assert!(reading.follower.next().now_or_never().is_none(), "the page after 0 is on its way");
    reading.follower.follow(&Reader::Host, &log, 2).unwrap();
    reading.tips.insert(log.clone(), Tip { seq: 2, hash: prev });
    // Cancelled and asked again, as links do all the time.
    assert!(reading.follower.next().now_or_never().is_none());
    store.hold_pages(false);
    reading.until(&log, 3).await;
    assert_eq!(reading.frames, 1);
    assert!(reading.follower.ahead().is_empty() && reading.follower.next().now_or_never().is_none());
    logs.close().await;
}

#[tokio::test]
async fn replicas_are_followed_like_any_log() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let zoe = hub.person("zoe").await;
    home.knows(&hub).await;
    let mut reading = Reading::new(&home.logs, &[(&public("s0"), Tip::EMPTY), (&keys("s0"), Tip::EMPTY)]);
    home.copy(&hub, &keys("s0")).await;
    reading.until(&keys("s0"), 1).await;
    for n in 1..=10 {
        hub.append(&zoe, &public("s0"), &zoe.post(n, "hello")).await.unwrap();
    }
    home.copy(&hub, &public("s0")).await;
    reading.until(&public("s0"), 10).await;
}
