//! What is erased is gone: from the log, from memory, from replicas and from the file. Its place stays, and who may do it is
//! judged everywhere alike.

use crate::company::{Act, Group};
use crate::support::{Home, Note, Person, SOON, code, direct, key, keys, public, server, sign};
use std::time::{SystemTime, UNIX_EPOCH};
use tidings_proto::chain::{self, Tip};
use tidings_proto::draft::Erase;
use tidings_proto::{Code, Draft, Encoded, Entry, Frame, Hash, Kind, LogName, Payload, Role, cbor, limits};
use tidings_server::logs::{Follower, Reader};

/// The draft by which `by` has an entry forgotten.
fn erase(by: &Person, log: &LogName, n: u64, seq: u64, draft: Hash) -> Encoded<Draft> {
    by.write(Note { log, n, kind: Kind::Erase, body: cbor::encode(&Erase { seq, draft }).into() })
}

async fn entries(home: &Home, log: &LogName) -> Vec<Entry> {
    home.read(log).await.1.iter().map(|entry| Entry::read(entry).unwrap()).collect()
}

/// Whether the chain holds, and which entries are stubs.
async fn stubs(home: &Home, log: &LogName) -> Vec<u64> {
    let (mut tip, mut stubs) = (Tip::EMPTY, Vec::new());
    for entry in entries(home, log).await {
        tip = chain::extend(log, &tip, &entry).unwrap();
        if let Payload::Stub(_) = entry.payload {
            stubs.push(entry.seq);
        }
    }
    assert_eq!(home.logs.tip(log), Some(tip));
    stubs
}

/// Whether the file, once it is closed, has these bytes anywhere.
fn file_holds(home: &Home, bytes: &[u8]) -> bool {
    let files = std::fs::read_dir(home.folder.path()).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    files.map(|path| std::fs::read(path).unwrap()).any(|kept| kept.windows(bytes.len()).any(|window| window == bytes))
}

#[tokio::test]
async fn a_post_is_erased_by_its_author_and_leaves_its_place() {
    let home = Home::new("s1").await;
    let (alice, bob) = (home.person("alice").await, home.person("bob").await);
    let log = public("s1");
    let (said, kept) = (alice.post(1, "words that should never have been"), alice.post(2, "this stays"));
    let first = home.append(&alice, &log, &said).await.unwrap();
    home.append(&alice, &log, &kept).await.unwrap();
    home.append(&bob, &log, &bob.post(1, "hello")).await.unwrap();
    let good = erase(&alice, &log, 3, 1, said.hash());
    let note = |n, body: Vec<u8>| Note { log: &log, n, kind: Kind::Erase, body: body.into() };
    for (what, by, draft, expected) in [
        ("another's", &bob, erase(&bob, &log, 2, 1, said.hash()), Code::Forbidden),
        ("what is not there", &alice, erase(&alice, &log, 3, 9, said.hash()), Code::NotFound),
        ("nothing", &alice, erase(&alice, &log, 3, 0, said.hash()), Code::NotFound),
        ("at another place", &alice, erase(&alice, &log, 3, 2, said.hash()), Code::NotFound),
        ("another draft there", &alice, erase(&alice, &log, 3, 1, Hash([1; 32])), Code::NotFound),
        ("not signed", &alice, Encoded::new(Draft { sig: None, ..good.clone().into_value() }), Code::BadSignature),
        ("signed by another", &alice, good.clone().into_value().signed(&log, sign(&key("mallory"))), Code::BadSignature),
        ("unreadable", &alice, alice.write(note(3, vec![0x80])), Code::Malformed),
        ("too long", &alice, alice.write(note(3, vec![0x40; 10_000])), Code::TooLarge),
        ("too early", &alice, erase(&alice, &log, 4, 1, said.hash()), Code::Gap),
    ] {
        assert_eq!(code(home.append(by, &log, &draft).await), expected, "{what}");
    }
    assert!(stubs(&home, &log).await.is_empty());

    let placed = home.append(&alice, &log, &good).await.unwrap();
    assert_eq!((placed.seq, stubs(&home, &log).await), (4, vec![1]));
    assert_eq!(home.append(&alice, &log, &good).await.unwrap(), placed, "once only");
    assert_eq!(code(home.append(&alice, &log, &erase(&alice, &log, 4, 1, said.hash())).await), Code::NotFound, "it is gone already");
    assert_eq!(code(home.append(&alice, &log, &erase(&alice, &log, 4, 4, good.hash())).await), Code::Forbidden, "an erasure is not erased");
    // What was erased was said all the same: its number is used, and its answer given again.
    let home = home.restart().await;
    assert_eq!(home.append(&alice, &log, &said).await.unwrap(), first);
    assert_eq!(code(home.append(&alice, &log, &alice.post(1, "other words")).await), Code::Rewound);
    assert_eq!(stubs(&home, &log).await, [1]);
}

/// Nothing serves the old bytes any more: not the frames in memory, not the file.
#[tokio::test]
async fn what_is_erased_is_in_no_frame_and_in_no_file() {
    const WORDS: &[u8] = b"words that should never have been";
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let log = public("s1");
    let said = alice.post(1, std::str::from_utf8(WORDS).unwrap());
    home.append(&alice, &log, &said).await.unwrap();
    for n in 2..=40 {
        home.append(&alice, &log, &alice.post(n, &"so much else ".repeat(100))).await.unwrap();
    }
    let first_frame = async || {
        let mut follower = Follower::new(&home.logs);
        follower.follow(&Reader::User(alice.name.clone()), &log, 0).unwrap();
        tokio::time::timeout(SOON, follower.next()).await.unwrap().frame
    };
    let holds = |bytes: &[u8]| bytes.windows(WORDS.len()).any(|window| window == WORDS);
    assert!(holds(&first_frame().await), "the control");
    home.append(&alice, &log, &erase(&alice, &log, 41, 1, said.hash())).await.unwrap();
    let frame = first_frame().await;
    assert!(!holds(&frame));
    let Frame::Entries(entries) = Frame::read(&frame, limits::CLIENT_FRAME).unwrap() else { panic!("not entries") };
    assert_eq!(Entry::read(&entries.items[0].entry).unwrap().payload, Payload::Stub(said.hash()));
    home.logs.close().await;
    assert!(file_holds(&home, b"so much else") && !file_holds(&home, WORDS));
}

#[tokio::test]
async fn what_is_written_and_erased_in_one_batch_was_never_told() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let log = public("s1");
    let mut follower = Follower::new(&home.logs);
    follower.follow(&Reader::User(alice.name.clone()), &log, 0).unwrap();
    let (one, two) = (alice.post(1, "too quick"), alice.post(2, "this stays"));
    let (gone, again) = (erase(&alice, &log, 3, 1, one.hash()), erase(&alice, &log, 4, 1, one.hash()));
    let results = futures_util::future::join_all([&one, &two, &gone, &again].map(|draft| home.append(&alice, &log, draft))).await;
    let codes: Vec<Result<u64, Code>> = results.into_iter().map(|it| it.map(|it| it.seq).map_err(|why| why.code)).collect();
    assert_eq!(codes, [Ok(1), Ok(2), Ok(3), Err(Code::NotFound)]);
    assert_eq!(stubs(&home, &log).await, [1]);
    let frame = tokio::time::timeout(SOON, follower.next()).await.unwrap().frame;
    assert!(!frame.windows(9).any(|window| window == b"too quick"));
}

#[tokio::test]
async fn in_a_group_authors_erase_their_own_and_admins_everybodys() {
    let home = Home::new("s1").await;
    let [alice, bob, carol] = [home.person("alice").await, home.person("bob").await, home.person("carol").await];
    let mut group = Group::begun(&home, &alice, 1, &[&bob, &carol]).await; // 1 to 5
    let mut said = Vec::new();
    for who in [&alice, &bob, &carol, &carol] {
        let draft = group.draft(who, &Act::Say(who.name.local().as_bytes()));
        group.offer(&home, who, &draft).await.unwrap();
        group.took(&draft);
        said.push(draft.hash()); // 6 to 9
    }
    let joined = entries(&home, &group.log()).await[2].draft_hash();
    for (what, by, seq, draft, expected) in [
        ("another's", &bob, 6, said[0], Code::Forbidden),
        ("how somebody came in", &alice, 3, joined, Code::Forbidden),
        ("how it began", &alice, 1, group.last, Code::NotFound),
    ] {
        assert_eq!(code(group.does(&home, by, Act::Erase(seq, draft)).await), expected, "{what}");
    }
    group.does(&home, &bob, Act::Erase(7, said[1])).await.unwrap();
    group.does(&home, &alice, Act::Erase(8, said[2])).await.unwrap();
    group.does(&home, &alice, Act::Role(&bob.name, Role::Admin)).await.unwrap();
    group.does(&home, &bob, Act::Erase(6, said[0])).await.unwrap();
    assert_eq!(stubs(&home, &group.log()).await, [6, 7, 8]);
    group.does(&home, &carol, Act::Leave).await.unwrap();
    assert_eq!(code(group.does(&home, &carol, Act::Erase(9, said[3])).await), Code::Forbidden, "who has left");
}

#[tokio::test]
async fn in_a_direct_room_each_erases_their_own() {
    let home = Home::new("s1").await;
    let (alice, bob) = (home.person("alice").await, home.person("bob").await);
    let room = direct(&alice, &bob);
    let (mine, theirs) = (alice.sealed(1, b"mine"), bob.sealed(1, b"theirs"));
    home.append_direct(&alice, &room, &mine).await.unwrap();
    home.append_direct(&bob, &room, &theirs).await.unwrap();
    let log = room.log();
    let genesis = room.as_direct().unwrap().draft().hash();
    assert_eq!(code(home.append(&bob, &log, &erase(&bob, &log, 2, 2, mine.hash())).await), Code::Forbidden);
    assert_eq!(code(home.append(&bob, &log, &erase(&bob, &log, 2, 1, genesis)).await), Code::Forbidden);
    home.append(&bob, &log, &erase(&bob, &log, 2, 3, theirs.hash())).await.unwrap();
    assert_eq!(stubs(&home, &log).await, [3]);
}

#[tokio::test]
async fn replicas_forget_what_their_hub_was_told_to_forget() {
    let (home, hub) = (Home::new("s1").await, Home::new("s0").await);
    let (zoe, yan) = (hub.person("zoe").await, hub.person("yan").await);
    home.knows(&hub).await;
    home.copy(&hub, &keys("s0")).await;
    let log = public("s0");
    let said: Vec<Encoded<Draft>> = (1..=3).map(|n| zoe.post(n, &format!("words {n}"))).collect();
    for draft in &said {
        hub.append(&zoe, &log, draft).await.unwrap();
    }
    home.copy(&hub, &log).await;
    // The hub tells of an erasure: the replica, which has it whole, forgets it too. In the page of the erasure it is a stub.
    hub.append(&zoe, &log, &erase(&zoe, &log, 4, 2, said[1].hash())).await.unwrap();
    home.copy(&hub, &log).await;
    assert_eq!(stubs(&home, &log).await, [2]);
    assert_eq!(home.read(&log).await, hub.read(&log).await);
    let home = home.restart().await;
    assert_eq!(stubs(&home, &log).await, [2]);

    // What the hub should not have taken is a stub itself, and erases nothing.
    let mut tip = home.logs.tip(&log).unwrap();
    for bad in [
        erase(&yan, &log, 1, 1, said[0].hash()),
        erase(&zoe, &log, 5, 3, said[0].hash()),
        erase(&zoe, &log, 5, 99, said[0].hash()),
        Encoded::new(Draft { sig: None, ..erase(&zoe, &log, 5, 1, said[0].hash()).into_value() }),
    ] {
        let entry = Entry { seq: tip.seq + 1, at: 7, payload: Payload::Draft(bad) };
        let prev = tip.hash;
        tip = chain::extend(&log, &tip, &entry).unwrap();
        home.logs.replicate(&server("s0"), &log, prev, vec![entry.encode()]).await.unwrap();
    }
    assert_eq!(stubs(&home, &log).await, [2, 5, 6, 7, 8]);
    // Written and forgotten in one page.
    let late = zoe.post(5, "too quick");
    let (mut page, prev) = (Vec::new(), tip.hash);
    for draft in [late.clone(), erase(&zoe, &log, 6, 9, late.hash())] {
        let entry = Entry { seq: tip.seq + 1, at: 7, payload: Payload::Draft(draft) };
        tip = chain::extend(&log, &tip, &entry).unwrap();
        page.push(entry.encode());
    }
    home.logs.replicate(&server("s0"), &log, prev, page).await.unwrap();
    assert_eq!(stubs(&home, &log).await, [2, 5, 6, 7, 8, 9]);
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

#[tokio::test]
async fn an_inbox_is_its_owners_to_erase_and_forgets_by_itself() {
    let home = Home::new("s1").await;
    let (alice, bob) = (home.person("alice").await, home.person("bob").await);
    let notice = alice.notice(1, &bob, &direct(&alice, &bob));
    home.append(&alice, &bob.inbox(), &notice).await.unwrap();
    let group = Group::begun(&home, &alice, 1, &[]).await;
    let invitation = group.invitation(&alice, 2, &bob, 100);
    home.append(&alice, &bob.inbox(), &invitation).await.unwrap();
    let log = bob.inbox();
    assert_eq!(code(home.append(&alice, &log, &erase(&alice, &log, 3, 1, notice.hash())).await), Code::Forbidden, "not even who wrote it");
    home.append(&bob, &log, &erase(&bob, &log, 1, 1, notice.hash())).await.unwrap();
    assert_eq!(stubs(&home, &log).await, [1]);

    let second = entries(&home, &log).await[1].at;
    home.logs.expire_inboxes(second).await.unwrap();
    assert_eq!(stubs(&home, &log).await, [1], "nothing that is not older");
    home.logs.expire_inboxes(now() + 1).await.unwrap();
    assert_eq!(stubs(&home, &log).await, [1, 2, 3]);
    let late = group.invitation(&alice, 3, &bob, 100);
    home.append(&alice, &log, &late).await.unwrap();
    home.logs.expire_inboxes(0).await.unwrap();
    assert_eq!(stubs(&home, &log).await, [1, 2, 3], "what came since is kept");
    assert_eq!(home.append(&alice, &log, &invitation).await.map(|it| it.seq), Ok(2), "and its numbers stay used");
    // Nothing else is forgotten by itself.
    home.append(&alice, &public("s1"), &alice.post(1, "hello")).await.unwrap();
    home.logs.expire_inboxes(now() + 1).await.unwrap();
    assert!(stubs(&home, &public("s1")).await.is_empty() && stubs(&home, &keys("s1")).await.is_empty());
}
