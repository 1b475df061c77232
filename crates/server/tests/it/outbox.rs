//! Drafts for logs that peers order: durable here first, once only, in order, and their answers kept.

use crate::support::{Home, Note, Person, SOON, code, config, direct, generous, keys, public, server};
use bytes::Bytes;
use tidings_proto::{Code, Encoded, Genesis, Kind, LogName, Refusal};
use tidings_server::federation::Outgoing;
use tidings_server::logs::{OutboxRow, OutboxState, Settled};
use tidings_server::operator::{Answer, Ask, PeerStanding};
use tidings_server::store::sqlite::SqliteStore;
use tidings_server::store::{Author, Change, Questions, Store};
use tidings_server::{Config, Limits, Peer, Registration, Server};

fn outgoing(author: &Person, log: LogName, draft: &Encoded<tidings_proto::Draft>, genesis: Option<&Genesis>) -> Outgoing {
    Outgoing { user: author.name.clone(), device: author.device(), log, draft: draft.bytes().clone(), genesis: genesis.cloned() }
}

/// A server with zach, whose direct room with aaron@s0 is ordered by s0.
async fn world() -> (Home, Person, Person, Genesis) {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let (zach, aaron) = (home.person("zach").await, hub.person("aaron").await);
    home.knows(&hub).await;
    home.copy(&hub, &keys("s0")).await;
    let genesis = direct(&zach, &aaron);
    assert_eq!(genesis.hub(), &hub.name);
    (home, zach, aaron, genesis)
}

async fn put(home: &Home, author: &Person, genesis: &Genesis, n: u64, body: &[u8]) -> Result<OutboxRow, Refusal> {
    let draft = author.sealed(n, body);
    home.logs.enqueue(genesis.hub(), outgoing(author, genesis.log(), &draft, Some(genesis))).await
}

async fn waiting(home: &Home) -> Vec<i64> {
    home.logs.outbox(&server("s0"), 0, 100).await.unwrap().into_iter().map(|row| row.id).collect()
}

#[tokio::test]
async fn a_row_is_durable_once_and_in_order() {
    let (home, zach, aaron, genesis) = world().await;
    let mut rooms = home.logs.new_rooms();
    let notice = zach.notice(1, &aaron, &genesis);
    let first = home.logs.enqueue(genesis.hub(), outgoing(&zach, aaron.inbox(), &notice, None)).await.unwrap();
    let second = put(&home, &zach, &genesis, 1, b"one").await.unwrap();
    let third = put(&home, &zach, &genesis, 2, b"two").await.unwrap();
    assert!(first.id < second.id && second.id < third.id);
    assert_eq!(second.state, OutboxState::Waiting);
    assert_eq!(put(&home, &zach, &genesis, 1, b"one").await.unwrap(), second, "the same draft is the same row");
    let rewound = put(&home, &zach, &genesis, 1, b"another").await.unwrap_err();
    assert_eq!(rewound.code, Code::Rewound);
    // Its author is in the room from here on, and the room is followed at its hub.
    assert_eq!(rooms.recv().await.unwrap().genesis, genesis);
    assert_eq!(home.logs.member_rooms(&zach.name).await.unwrap().len(), 1);
    assert!(home.logs.replicas_from(&server("s0")).await.unwrap().iter().any(|(log, tip)| *log == genesis.log() && tip.seq == 0));

    let home = home.restart().await;
    assert_eq!(waiting(&home).await, [first.id, second.id, third.id]);
    assert_eq!(home.logs.outbox(&server("s0"), first.id, 1).await.unwrap(), std::slice::from_ref(&second));
    assert!(home.logs.outbox(&server("s2"), 0, 9).await.unwrap().is_empty());
    assert_eq!(put(&home, &zach, &genesis, 1, b"one").await.unwrap(), second);
    assert!(put(&home, &zach, &genesis, 3, b"three").await.unwrap().id > third.id);
}

#[tokio::test]
async fn an_answer_is_kept_and_given_again() {
    let (home, zach, _, genesis) = world().await;
    let (one, two) = (put(&home, &zach, &genesis, 1, b"one").await.unwrap(), put(&home, &zach, &genesis, 2, b"two").await.unwrap());
    let accepted = Settled::Accepted { seq: 2, hash: tidings_proto::Hash([5; 32]) };
    let refused = Settled::Refused(Refusal::from(Code::Revoked));
    home.logs.settle(one.id, accepted.clone()).await.unwrap();
    home.logs.settle(two.id, refused.clone()).await.unwrap();
    assert!(waiting(&home).await.is_empty());
    let check = async |home: &Home| {
        assert_eq!(put(home, &zach, &genesis, 1, b"one").await.unwrap().state, accepted.clone().into());
        assert_eq!(put(home, &zach, &genesis, 2, b"two").await.unwrap().state, refused.clone().into());
        assert!(waiting(home).await.is_empty(), "asking again sends nothing again");
    };
    check(&home).await;
    check(&home.restart().await).await;
}

#[tokio::test]
async fn a_number_that_was_refused_is_free_again() {
    let (home, zach, _, genesis) = world().await;
    let mut rows = Vec::new();
    for (n, body) in [(1, b"1"), (2, b"2"), (3, b"3")] {
        rows.push(put(&home, &zach, &genesis, n, body).await.unwrap());
    }
    // The hub refuses the first for good; the others come after a gap.
    let gap = || Settled::Refused(Refusal::from(Code::Gap).last(0));
    for (row, why) in rows.iter().zip([Settled::Refused(Code::TooLarge.into()), gap(), gap()]) {
        home.logs.settle(row.id, why).await.unwrap();
    }
    let home = home.restart().await;
    // Another draft takes the refused one's number, and what came after the gap is sent anew when it is offered again.
    let first = put(&home, &zach, &genesis, 1, b"another").await.unwrap();
    let second = put(&home, &zach, &genesis, 2, b"2").await.unwrap();
    assert_eq!((&first.state, &second.state), (&OutboxState::Waiting, &OutboxState::Waiting));
    assert!(rows.iter().all(|row| row.id < first.id) && first.id < second.id);
    assert_eq!(waiting(&home).await, [first.id, second.id]);
    // From now on that draft is the one that counts.
    assert_eq!(put(&home, &zach, &genesis, 1, b"another").await.unwrap(), first);
    assert_eq!(put(&home, &zach, &genesis, 1, b"1").await.unwrap_err().code, Code::Rewound);
    home.logs.settle(first.id, Settled::Accepted { seq: 2, hash: tidings_proto::Hash::ZERO }).await.unwrap();
    assert_eq!(put(&home, &zach, &genesis, 1, b"1").await.unwrap_err().code, Code::Rewound);
}

#[tokio::test]
async fn many_at_once_keep_each_authors_order() {
    let (home, zach, _, genesis) = world().await;
    let before = home.store.transactions();
    let rows = futures_util::future::join_all((1..=300).map(|n| {
        let (home, zach, genesis) = (&home, &zach, &genesis);
        async move { put(home, zach, genesis, n, format!("text {n}").as_bytes()).await.unwrap().id }
    }))
    .await;
    assert!(rows.is_sorted());
    assert!(home.store.transactions() - before <= 30, "one commit for many rows");
    let sent = home.logs.outbox(&server("s0"), 0, 1000).await.unwrap();
    let ns: Vec<u64> = sent.iter().map(|row| tidings_proto::draft::read(row.draft.clone()).unwrap().n).collect();
    assert_eq!(ns, (1..=300).collect::<Vec<u64>>());
    assert!(sent.iter().all(|row| row.genesis.as_ref() == Some(&genesis) && row.log == genesis.log()));
}

#[tokio::test]
async fn only_own_users_drafts_for_that_peers_logs_go_out() {
    let (home, zach, aaron, genesis) = world().await;
    let bob = home.person("bob").await;
    let sealed = zach.sealed(1, b"x");
    let to = |peer: &str, outgoing: Outgoing| {
        let (logs, peer) = (home.logs.clone(), server(peer));
        async move { logs.enqueue(&peer, outgoing).await }
    };
    let room = || genesis.log();
    assert_eq!(code(to("s2", outgoing(&zach, room(), &sealed, Some(&genesis))).await), Code::Forbidden, "another server's room");
    assert_eq!(code(to("s0", outgoing(&bob, room(), &sealed, Some(&genesis))).await), Code::Forbidden, "another's draft");
    assert_eq!(code(to("s0", outgoing(&bob, room(), &bob.sealed(1, b"x"), Some(&genesis))).await), Code::Forbidden, "not a member");
    assert_eq!(code(to("s0", outgoing(&aaron, room(), &aaron.sealed(1, b"x"), Some(&genesis))).await), Code::Forbidden, "a peer's user");
    assert_eq!(code(to("s0", outgoing(&zach, room(), &sealed, None)).await), Code::NotFound, "a room nobody has told of");
    let post = zach.write(Note { log: &public("s0"), n: 1, kind: Kind::Post, body: Bytes::from_static(b"\xa1\x00\x61x") });
    assert_eq!(code(to("s0", outgoing(&zach, public("s0"), &post, None)).await), Code::Forbidden);
    assert_eq!(code(to("s0", outgoing(&zach, keys("s0"), &post, None)).await), Code::Forbidden);
    let notice = zach.notice(1, &aaron, &direct(&zach, &bob));
    assert_eq!(code(to("s0", outgoing(&zach, aaron.inbox(), &notice, None)).await), Code::Forbidden, "a room that is not aaron's");
    let open = zach.write(Note { log: &room(), n: 1, kind: Kind::Post, body: Bytes::from_static(b"\xa1\x00\x61x") });
    assert_eq!(code(to("s0", outgoing(&zach, room(), &open, Some(&genesis))).await), Code::Forbidden, "a room takes sealed messages");
    assert!(waiting(&home).await.is_empty());
    assert!(home.logs.member_rooms(&zach.name).await.unwrap().is_empty(), "a refused draft teaches nothing");
    to("s0", outgoing(&zach, room(), &sealed, Some(&genesis))).await.unwrap();
}

/// How many of `author`'s drafts for their room with aaron are taken, of so many at once, and what is said to the first that
/// is not.
async fn taken(home: &Home, author: &Person, aaron: &Person, tried: u64, body: &[u8]) -> (usize, Option<Refusal>) {
    let genesis = direct(author, aaron);
    let rows = futures_util::future::join_all((1..=tried).map(|n| put(home, author, &genesis, n, body))).await;
    let taken = rows.iter().take_while(|row| row.is_ok()).count();
    assert!(rows[taken..].iter().all(Result::is_err), "{rows:?}");
    (taken, rows.into_iter().find_map(Result::err))
}

#[tokio::test]
async fn only_so_many_drafts_wait_for_one_peer() {
    let (home, zach, aaron, genesis) = world().await;
    let (yves, xena, wim) = (home.person("yves").await, home.person("xena").await, home.person("wim").await);
    let home = home.within(Limits { outbox_entries: 7, ..generous() }).await;
    // Nobody takes more than they leave to others; several at once, in one batch, count there too.
    let (four, why) = taken(&home, &zach, &aaron, 6, b"text").await;
    let why = why.unwrap();
    assert_eq!((four, why.code), (4, Code::Full), "n - 1 and n are taken, n + 1 is not");
    assert!(why.text.contains("s0") && why.text.contains("4 messages of yours") && why.retry_after.is_some(), "{why:?}");

    let home = home.restart().await;
    assert_eq!(code(put(&home, &zach, &genesis, 5, b"text").await), Code::Full, "what waits is counted over restarts");
    assert_eq!(put(&home, &zach, &genesis, 2, b"text").await.unwrap().state, OutboxState::Waiting, "what waits already may be asked for");
    assert_eq!(taken(&home, &yves, &aaron, 3, b"text").await.0, 2, "of the three that were left");
    assert_eq!(taken(&home, &xena, &aaron, 1, b"text").await.0, 1, "for who has nothing there the last place is good");
    let (none, why) = taken(&home, &wim, &aaron, 1, b"text").await;
    let why = why.unwrap();
    assert_eq!((none, why.code), (0, Code::Full));
    assert!(why.text.contains("s0") && why.text.contains("7 messages") && why.retry_after.is_some(), "{why:?}");
    // Another peer's place is its own.
    let abe = Home::new("s00").await;
    home.knows(&abe).await;
    let other = direct(&zach, &abe.person("abe").await);
    home.copy(&abe, &keys("s00")).await;
    put(&home, &zach, &other, 1, b"text").await.unwrap();
    // An answer, whatever it says, makes room for one.
    let first = waiting(&home).await[0];
    for _ in 0..2 {
        home.logs.settle(first, Settled::Refused(Code::TooLarge.into())).await.unwrap();
    }
    let room = direct(&wim, &aaron);
    let notice = wim.notice(1, &aaron, &room);
    home.logs.enqueue(room.hub(), outgoing(&wim, aaron.inbox(), &notice, None)).await.unwrap();
    assert_eq!(code(put(&home, &wim, &room, 1, b"text").await), Code::Full);
}

#[tokio::test]
async fn only_so_many_bytes_wait_for_one_peer() {
    let size = {
        let (_, zach, ..) = world().await;
        zach.sealed(1, &[7; 1000]).bytes().len() as i64
    };
    for (spare, fits) in [(1, 2), (0, 2), (-1, 1)] {
        let (home, zach, aaron, _) = world().await;
        let yves = home.person("yves").await;
        // Three are for everybody: one has two of them at most, and then there is one for another.
        let home = home.within(Limits { outbox_bytes: (3 * size + spare) as u64, ..generous() }).await;
        let (some, why) = taken(&home, &zach, &aaron, 3, &[7; 1000]).await;
        let why = why.unwrap();
        assert_eq!((some, why.code), (fits, Code::Full), "{spare}");
        assert!(why.text.contains(&format!("{} bytes", fits as i64 * size)), "{why:?}");
        let (some, why) = taken(&home, &yves, &aaron, 2, &[7; 1000]).await;
        assert_eq!((some, why.unwrap().code), (1, Code::Full), "{spare}");
    }
    for (spare, fits) in [(1, true), (0, true), (-1, false)] {
        let (home, zach, aaron, genesis) = world().await;
        let yves = home.person("yves").await;
        let home = home.within(Limits { outbox_bytes: (2 * size + spare) as u64, ..generous() }).await;
        put(&home, &zach, &genesis, 1, &[7; 1000]).await.unwrap();
        let second = put(&home, &yves, &direct(&yves, &aaron), 1, &[7; 1000]).await;
        assert_eq!(second.is_ok(), fits, "{spare}: {second:?}");
        if let Err(why) = second {
            assert!(why.code == Code::Full && why.text.contains(&(2 * size + spare).to_string()), "{why:?}");
            put(&home, &yves, &direct(&yves, &aaron), 1, &[7; 500]).await.expect("what is small enough has room");
        }
    }
}

/// Whatever is answered has its place at the hub, or none; what is erased there must not stay here.
#[tokio::test]
async fn of_a_draft_that_was_answered_nothing_can_be_found_here() {
    let (home, zach, _, genesis) = world().await;
    let texts = [&b"a sealed draft that is taken"[..], b"a sealed draft that is refused", b"a sealed draft that waits"];
    let mut rows = Vec::new();
    for (n, text) in (1..).zip(texts) {
        rows.push(put(&home, &zach, &genesis, n, text).await.unwrap());
    }
    home.logs.settle(rows[0].id, Settled::Accepted { seq: 2, hash: tidings_proto::Hash::ZERO }).await.unwrap();
    home.logs.settle(rows[1].id, Settled::Refused(Code::TooLarge.into())).await.unwrap();
    let home = home.restart().await;
    for (n, text) in (1..).zip(texts) {
        let again = put(&home, &zach, &genesis, n, text).await.unwrap();
        assert_eq!((again.id, again.hash), (rows[n as usize - 1].id, rows[n as usize - 1].hash), "the same answer again");
    }
    home.logs.close().await;
    let found = texts.map(|text| {
        let file = std::fs::read(home.folder.path().join("tidings.db")).unwrap();
        file.windows(text.len()).any(|window| window == text)
    });
    assert_eq!(found, [false, false, true]);
}

#[tokio::test]
async fn what_has_waited_for_too_long_is_given_up_and_nothing_else() {
    let peer = Peer { name: server("s0"), address: "127.0.0.1:1".into(), key: None };
    only_the_old_one_is_given_up(vec![peer], PeerStanding::NoKey, "s0 could not be reached for 2 days").await;
}

#[tokio::test]
async fn what_waits_for_a_server_that_is_known_no_more_is_shown_until_it_is_given_up() {
    only_the_old_one_is_given_up(Vec::new(), PeerStanding::Unlisted, "s1 does not know s0 any more").await;
}

async fn only_the_old_one_is_given_up(peers: Vec<Peer>, state: PeerStanding, why: &str) {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let (home, zach, _, genesis) = world().await;
    let rows = [put(&home, &zach, &genesis, 1, b"one").await.unwrap(), put(&home, &zach, &genesis, 2, b"two").await.unwrap()];
    let folder = tempfile::tempdir().unwrap();
    home.logs.close().await;
    // The same rows in a file of their own, one of them as old as can be.
    let store = SqliteStore::open(&folder.path().join("tidings.db")).unwrap();
    let old = |row: &OutboxRow, age: u64| OutboxRow { queued: row.queued - age, ..row.clone() };
    let author = Author { user: zach.name.clone(), device: zach.device() };
    let row = |n: u64, row: OutboxRow| Change::Outgoing { peer: server("s0"), once: (author.clone(), n), row };
    store.commit(vec![row(1, old(&rows[0], 2 * DAY + 1000)), row(2, old(&rows[1], 2 * DAY - 600_000))]).await.unwrap();
    store.close().await;

    let limits = Limits { outbox_days: 2, ..Limits::default() };
    let running = Server::start(Config { peers, limits, ..config(folder.path(), Registration::Open) }).await.unwrap();
    let one_is_left = async {
        loop {
            match &running.ask(Ask::Peers).await.unwrap()[..] {
                [Answer::Peer(peer)] if peer.waiting == 1 => {
                    assert_eq!((&*peer.name, peer.state, peer.oldest.is_some()), ("s0", state, true));
                    return;
                }
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(SOON, one_is_left).await.expect("the old one is given up");
    running.stop().await;
    let store = SqliteStore::open(&folder.path().join("tidings.db")).unwrap();
    let of = |n| (genesis.log(), zach.device(), n);
    let found = store.look_up(Questions { outgoing: vec![of(1), of(2)], ..Questions::default() }).await.unwrap().outgoing;
    let states: Vec<OutboxState> = found.into_iter().map(|row| row.unwrap().state).collect();
    assert!(matches!(&states[0], OutboxState::Refused(told) if told.code == Code::Expired && told.text.contains(why)), "{states:?}");
    assert_eq!(states[1], OutboxState::Waiting);
}
