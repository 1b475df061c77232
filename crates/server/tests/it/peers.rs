//! How a server behaves towards another one: what it sends, how often, and what it makes of the answers.

use crate::hub::{Link, host, submit};
use crate::support::{Home, Person, SOON, config, direct, generous, keys, open_on, public, server};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::frame::{Accepted, Entries, Item, LogRef, Named, Ping, Queued};
use tidings_proto::{Code, DeviceKey, Entry, Frame, Genesis, LogName, Refusal, UserName};
use tidings_server::bus::local::LocalBus;
use tidings_server::federation::Outgoing;
use tidings_server::identity::Identity;
use tidings_server::link::dial::{Dial, dial};
use tidings_server::{Config, Limits, Peer, Registration, Server, Transport};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// What one person's drafts wait in when this world begins.
const LANES: usize = 8;
const IN_EACH: u64 = 400;

/// s1, of which zach and yves are, and s0, which orders the rooms that they have with its people.
async fn world(people: usize) -> (Home, Home, Person, Person, Vec<Person>) {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let (zach, yves) = (home.person("zach").await, home.person("yves").await);
    let mut others = Vec::new();
    for i in 0..people {
        others.push(hub.person(&format!("a{i}")).await);
    }
    home.knows(&hub).await;
    home.copy(&hub, &keys("s0")).await;
    (home, hub, zach, yves, others)
}

async fn put(home: &Home, author: &Person, genesis: &Genesis, n: u64) {
    let (draft, log) = (author.sealed(n, b"text").bytes().clone(), genesis.log());
    let outgoing = Outgoing { user: author.name.clone(), device: author.device(), log, draft, genesis: Some(genesis.clone()) };
    home.logs.enqueue(genesis.hub(), outgoing).await.unwrap();
}

/// What a hub has taken: each draft once, in order.
#[derive(Default)]
struct Taken(HashMap<(LogName, DeviceKey), u64>);

impl Taken {
    async fn next(&mut self, link: &mut Link) -> (UserName, bool) {
        let (submit, draft) = link.submitted().await;
        let last = self.0.entry((submit.log, draft.device)).or_default();
        let fits = draft.n == *last + 1;
        if fits {
            *last += 1;
            link.accept(submit.req, draft.n + 1).await;
        } else {
            assert!(draft.n > *last, "taken before, and sent again");
            link.refuse(submit.req, Refusal::from(Code::Gap).last(*last)).await;
        }
        (draft.author.clone(), fits)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_persons_thousands_of_drafts_delay_nobody_elses() {
    let (home, hub, zach, yves, others) = world(LANES).await;
    for other in &others {
        let genesis = direct(&zach, other);
        futures_util::future::join_all((1..=IN_EACH).map(|n| put(&home, &zach, &genesis, n))).await;
    }
    let room = direct(&yves, &others[0]);

    // The hub answers nothing: not even then is there no place for another one's.
    let host = host(&home, &home.logs, &hub);
    let mut link = Link::to(&host, &hub).await;
    let mut unanswered = Vec::new();
    while let Some(sent) = link.submitted_within(Duration::from_millis(500)).await {
        unanswered.push(sent);
    }
    assert!((16..=50).contains(&unanswered.len()), "{} of one person's are under way", unanswered.len());
    let (first, _late) = submit(&host, "s0", &yves, (room.log(), &yves.sealed(1, b"text"), Some(&room)));
    let (submitted, draft) = link.submitted().await;
    assert_eq!(draft.author, yves.name);
    link.accept(submitted.req, 2).await;
    assert!(first.await.unwrap().is_ok());

    // Now it takes nothing of zach's, for one reason or the other. What yves writes meanwhile is the next thing but what was on
    // its way before; and zach's lanes are tried by one draft each, after one second and after two more.
    let mut sent = unanswered.len();
    let code = |log: &LogName| if *log == direct(&zach, &others[0]).log() { Code::TooFast } else { Code::NotYet };
    let why = |log: &LogName, n: u64| match n {
        1 => Refusal::from(code(log)).retry_after(1),
        _ => Refusal::from(Code::Gap).last(0),
    };
    for (submit, draft) in unanswered {
        link.refuse(submit.req, why(&submit.log, draft.n)).await;
    }
    let start = Instant::now();
    let (second, _late) = submit(&host, "s0", &yves, (room.log(), &yves.sealed(2, b"text"), Some(&room)));
    let (mut answered, mut probes) = (false, 0);
    while let Some((submit, draft)) = link.submitted_within(Duration::from_millis(3500).saturating_sub(start.elapsed())).await {
        if draft.author == yves.name {
            assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
            link.accept(submit.req, 3).await;
            answered = true;
            continue;
        }
        sent += 1;
        probes += u32::from(draft.n == 1);
        link.refuse(submit.req, why(&submit.log, draft.n)).await;
    }
    assert!(answered);
    assert!(matches!(second.await.unwrap(), Ok(Frame::Accepted(Accepted { seq: 3, .. }))));
    assert!(sent <= LANES * (16 + 2), "{sent} frames for what is not taken");
    assert!(probes >= LANES as u32, "each lane is tried again: {probes}");

    // From now on it takes what comes in order. All of it comes, once, and hardly anything in vain.
    let (mut taken, mut frames) = (Taken::default(), 0);
    let all = LANES as u64 * IN_EACH;
    while taken.0.values().sum::<u64>() < all {
        let (author, _) = taken.next(&mut link).await;
        assert_eq!(author, zach.name);
        frames += 1;
    }
    assert!(frames <= all + 16 * LANES as u64, "{frames} frames for {all} drafts");
    while !home.logs.outbox(&server("s0"), 0, 1).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(link.submitted_within(Duration::from_millis(200)).await.is_none(), "nothing goes out twice");
    host.stopping.cancel();
}

/// The hub takes drafts at no other speed than from its own people. What comes faster waits at home, and nobody else's does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_too_fast_for_the_hub_is_not_lost_and_delays_nobody_elses() {
    const MANY: u64 = 100;
    let (home, hub, zach, yves, others) = world(2).await;
    hub.knows(&home).await;
    hub.copy(&home, &keys("s1")).await;
    let hub = hub.within(Limits { message_burst: 20, messages_per_second: 40, ..generous() }).await;
    let (busy, quiet) = (direct(&zach, &others[0]), direct(&yves, &others[1]));
    for n in 1..=MANY {
        put(&home, &zach, &busy, n).await;
    }
    let host = host(&home, &home.logs, &hub);
    let mut told = Link::to(&host, &hub).await.relay(hub.logs.clone(), home.name.clone());
    let mut next = async || tokio::time::timeout(SOON, told.recv()).await.expect("in time").unwrap();
    let mut taken = 0;
    // Too fast: from now on yves writes.
    loop {
        let (_, n, why) = next().await;
        match why {
            None => taken += 1,
            Some(why) if why.code == Code::TooFast => {
                assert!(why.retry_after == Some(1) && n > 20, "{n}: {why:?}");
                break;
            }
            Some(why) => assert_eq!(why.code, Code::Gap),
        }
    }
    let start = Instant::now();
    for n in 1..=9 {
        put(&home, &yves, &quiet, n).await;
    }
    let (placing, _late) = submit(&host, "s0", &yves, (quiet.log(), &yves.sealed(10, b"text"), Some(&quiet)));
    assert!(matches!(placing.await.unwrap(), Ok(Frame::Accepted(_))), "and what comes before it");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let mut frames = 0;
    while taken < MANY + 10 {
        let (_, _, why) = next().await;
        taken += u64::from(why.is_none());
        frames += 1;
    }
    assert!(start.elapsed() < Duration::from_secs(12) && frames < 4 * MANY, "{:?} {frames}", start.elapsed());
    // Each once, and in order: the room has its first entry, and these.
    let (_, entries) = hub.read(&busy.log()).await;
    let numbers: Vec<u64> = entries.iter().filter_map(|entry| Entry::read(entry).unwrap().draft().map(|draft| draft.n)).skip(1).collect();
    assert_eq!(numbers, (1..=MANY).collect::<Vec<_>>());
    host.stopping.cancel();
}

/// The limits are for who does too much; people who were cut off for a while have not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_people_have_written_during_an_outage_comes_at_once() {
    const PEOPLE: usize = 48;
    const EACH: u64 = 50;
    let (home, hub, _, _, others) = world(4).await;
    let mut people = Vec::new();
    for i in 0..PEOPLE {
        people.push(home.person(&format!("z{i}")).await);
    }
    hub.knows(&home).await;
    hub.copy(&home, &keys("s1")).await;
    let hub = hub.within(Limits::default()).await;
    for (i, person) in people.iter().enumerate() {
        let room = direct(person, &others[i % others.len()]);
        futures_util::future::join_all((1..=EACH).map(|n| put(&home, person, &room, n))).await;
    }
    let host = host(&home, &home.logs, &hub);
    let start = Instant::now();
    let mut told = Link::to(&host, &hub).await.relay(hub.logs.clone(), home.name.clone());
    let mut taken = 0;
    while taken < PEOPLE as u64 * EACH {
        let (author, n, why) = tokio::time::timeout(SOON, told.recv()).await.expect("in time").unwrap();
        assert!(why.is_none(), "{author} {n}: {why:?}");
        taken += 1;
    }
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    host.stopping.cancel();
}

/// The peer's answer is here, and its link ends before that is durable. It would not be heard again: the row is settled.
#[tokio::test]
async fn an_answer_that_becomes_durable_after_its_link_ended_is_told() {
    let (home, hub, zach, _, others) = world(1).await;
    home.logs.close().await;
    let (store, logs) = open_on(home.folder.path(), "s1", Arc::new(LocalBus::default())).await;
    logs.know_peer(&hub.name, &hub.key).await.unwrap();
    let (host, genesis) = (host(&home, &logs, &hub), direct(&zach, &others[0]));
    let mut link = Link::to(&host, &hub).await;
    let (placing, mut late) = submit(&host, "s0", &zach, (genesis.log(), &zach.sealed(1, b"text"), Some(&genesis)));
    let (submitted, _) = link.submitted().await;
    store.hold_commits(true);
    link.accept(submitted.req, 9).await;
    link.say(Ping { req: 5, heads: None }).await;
    while !matches!(link.next().await, Frame::Pong(pong) if pong.req == 5) {}
    drop(link);
    assert!(matches!(placing.await.unwrap(), Ok(Frame::Queued(Queued { .. }))), "the link is gone, and nothing durable yet");
    store.hold_commits(false);
    let told = tokio::time::timeout(SOON, late.recv()).await.expect("the answer, once it is durable");
    assert!(matches!(told.as_deref(), Some(Frame::Accepted(Accepted { seq: 9, .. }))), "{told:?}");
    host.stopping.cancel();
    logs.close().await;
}

#[tokio::test]
async fn a_peer_that_dials_in_is_dialled_at_once() {
    let (folder, hub) = (tempfile::tempdir().unwrap(), Home::new("s0").await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let peers = vec![Peer { name: hub.name.clone(), address, key: Some(hub.key) }];
    let running = Server::start(Config { peers, ..config(folder.path(), Registration::Open) }).await.unwrap();
    // It is dialled in vain, until the next attempt is at least two seconds away.
    for _ in 0..5 {
        drop(tokio::time::timeout(SOON, listener.accept()).await.expect("it is dialled"));
    }
    let failed = Instant::now();
    let identity = Identity::load_or_create(hub.folder.path(), &hub.name).unwrap();
    let (name, address) = (running.name().clone(), running.address().to_string());
    let to = Dial {
        me: &hub.name,
        identity: &identity,
        name: &name,
        key: &running.key(),
        address: &address,
        transport: Transport::PlainLoopback,
    };
    let _wire = dial(to, tidings_tls::client().unwrap()).await.unwrap();
    tokio::time::timeout(SOON, listener.accept()).await.expect("it is dialled again").unwrap();
    assert!(failed.elapsed() < Duration::from_millis(1500), "{:?}", failed.elapsed());
    running.stop().await;
}

/// The next time that the server follows a log.
async fn followed(link: &mut Link, log: &LogName, within: Duration) -> bool {
    let until = Instant::now() + within;
    while let Some(frame) = link.next_within(until.saturating_duration_since(Instant::now())).await {
        if let Frame::Follow(follow) = frame
            && follow.logs.iter().any(|(which, _)| *which == LogRef::Name(log.clone()))
        {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_replica_that_waits_for_keys_asks_seldom_and_goes_on_when_they_are_here() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let aaron = hub.person("aaron").await;
    hub.append(&aaron, &public("s0"), &aaron.post(1, "hello")).await.unwrap();
    home.knows(&hub).await;
    let host = host(&home, &home.logs, &hub);
    let mut link = Link::to(&host, &hub).await;
    assert!(followed(&mut link, &public("s0"), SOON).await);
    let pages = [(1, public("s0")), (2, keys("s0"))];
    let mut entries = Vec::new();
    for (number, log) in &pages {
        link.say(Named { number: *number, log: log.clone() }).await;
        let (prev, items) = hub.read(log).await;
        let items: Vec<Item> = items.into_iter().map(|entry| Item { entry, got: None }).collect();
        entries.push(Entries { log: *number, prev: Some(prev), items });
    }
    let start = Instant::now();
    for waits in [1, 2] {
        let asked = Instant::now();
        link.say(entries[0].clone()).await;
        assert!(followed(&mut link, &public("s0"), SOON).await);
        assert!(asked.elapsed() >= Duration::from_secs(waits), "{:?}", asked.elapsed());
    }
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    // Four seconds to go; but the keys come.
    let asked = Instant::now();
    link.say(entries[0].clone()).await;
    assert!(!followed(&mut link, &public("s0"), Duration::from_millis(300)).await);
    link.say(entries[1].clone()).await;
    assert!(followed(&mut link, &public("s0"), SOON).await);
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    link.say(entries[0].clone()).await;
    let here = async {
        while home.logs.tip(&public("s0")).is_none_or(|tip| tip.seq == 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, here).await.expect("the post");
    host.stopping.cancel();
}

/// A hub that never says what its entries follow could change its past unseen.
#[tokio::test]
async fn nothing_is_taken_of_a_log_before_its_hub_has_said_what_it_follows() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let zoe = hub.person("zoe").await;
    home.knows(&hub).await;
    home.copy(&hub, &keys("s0")).await;
    let log = public("s0");
    for n in 1..=3 {
        hub.append(&zoe, &log, &zoe.post(n, "hello")).await.unwrap();
    }
    let host = host(&home, &home.logs, &hub);
    let mut link = Link::to(&host, &hub).await;
    assert!(followed(&mut link, &log, SOON).await);
    link.say(Named { number: 1, log: log.clone() }).await;
    let (start, items) = hub.read(&log).await;
    let page = |prev, items: &[Bytes]| {
        let items = items.iter().map(|entry| Item { entry: entry.clone(), got: None }).collect();
        Entries { log: 1, prev, items }
    };
    // Another story, which would stop the log once the true one comes.
    let other = Entry { at: 8, ..Entry::read(&items[0]).unwrap() }.encode();
    link.say(page(None, &[other])).await;
    link.say(page(None, &items[1..2])).await;
    link.say(page(Some(start), &items[..1])).await;
    link.say(page(None, &items[1..2])).await;
    link.say(page(None, &items[2..])).await;
    let comes = async {
        while home.logs.tip(&log) != hub.logs.tip(&log) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, comes).await.expect("the true story comes");
    host.stopping.cancel();
}
