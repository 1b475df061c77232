//! Accounts: record and first device list together or not at all, no name twice, codes used up once.

use crate::support::{Home, Note, Person, code, keys, sealed, user};
use bytes::Bytes;
use std::time::{SystemTime, UNIX_EPOCH};
use tidings_proto::frame::SealedVault;
use tidings_proto::{Code, Draft, Encoded, Entry, Hash, Kind, limits};
use tidings_server::logs::{NewAccount, NewCode};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

const HOUR: u64 = 3_600_000;

#[tokio::test]
async fn an_account_and_its_first_list_come_together() {
    let home = Home::new("s1").await;
    let mut alice = Person::new("alice@s1");
    assert!(home.logs.account(&alice.name).await.unwrap().is_none());
    let mut changes = home.logs.directory().changes();
    let placed = alice.join(&home.logs).await.unwrap();
    assert_eq!(placed.seq, 1);
    assert_eq!(changes.recv().await.unwrap(), alice.name);
    let check = async |home: &Home| {
        let account = home.logs.account(&alice.name).await.unwrap().unwrap();
        assert_eq!((&account.password[..], &account.recovery[..]), (&b"password record"[..], &b"recovery record"[..]));
        assert_eq!(account.vault, sealed(1, &"vault".into()));
        let state = home.logs.directory().state(&alice.name).unwrap();
        assert_eq!((state.list.version, state.seq), (1, 1));
        assert!(state.device(&alice.device()).is_some());
        assert_eq!(home.logs.directory().users(), [alice.name.clone()]);
        let (history, more) = home.logs.chain(&alice.name, 0).await.unwrap();
        assert_eq!((history.len(), more), (1, false));
        assert_eq!(Entry::read(&history[0].entry).unwrap().draft().unwrap().kind, Kind::First);
        assert_eq!(home.logs.tip(&alice.inbox()).unwrap().seq, 0, "there is an inbox to follow");
    };
    check(&home).await;
    let home = home.restart().await;
    check(&home).await;
}

#[tokio::test]
async fn a_name_is_issued_once() {
    let home = Home::new("s1").await;
    // Two who want the same name at the same time, with different keys.
    let (mut one, mut two) = (Person::new("alice@s1"), Person::new("alice@s1"));
    two.devices = vec![crate::support::key("two")];
    let (first, second) = tokio::join!(one.join(&home.logs), two.join(&home.logs));
    assert!(first.is_ok());
    assert_eq!(code(second), Code::NameTaken);
    let home = home.restart().await;
    let mut late = Person::new("alice@s1");
    late.devices = vec![crate::support::key("late")];
    assert_eq!(code(late.join(&home.logs).await), Code::NameTaken);
    // The very same registration again is no second account either.
    let mut same = Person::new("alice@s1");
    assert_eq!(code(same.join(&home.logs).await), Code::NameTaken);
    assert_eq!(home.logs.tip(&keys("s1")).unwrap().seq, 1);
    assert!(home.logs.directory().state(&user("alice@s1")).unwrap().device(&one.device()).is_some());
}

#[tokio::test]
async fn what_is_no_first_list_makes_no_account() {
    let home = Home::new("s1").await;
    let mut alice = Person::new("alice@s1");
    let good = alice.next_list(1);
    let again =
        |change: &dyn Fn(Draft) -> Draft| change(good.clone().into_value()).signed(&keys("s1"), crate::support::sign(&alice.devices[0]));
    let account = || alice.account(None);
    let register = |account: NewAccount, draft: Encoded<Draft>| home.logs.register(account, draft.bytes().clone());
    assert_eq!(code(register(account(), again(&|draft| Draft { n: 2, ..draft })).await), Code::Malformed);
    assert_eq!(code(register(account(), again(&|draft| Draft { kind: Kind::List, ..draft })).await), Code::Forbidden);
    assert_eq!(code(register(account(), again(&|draft| Draft { author: user("bob@s1"), ..draft })).await), Code::Forbidden);
    assert_eq!(code(register(account(), again(&|draft| Draft { body: Bytes::from_static(b"\xa0"), ..draft })).await), Code::Malformed);
    assert_eq!(code(register(NewAccount { user: user("bob@s1"), ..account() }, good.clone()).await), Code::Forbidden);
    assert_eq!(code(register(NewAccount { user: user("alice@s2"), ..account() }, good.clone()).await), Code::Forbidden);
    let other_device = crate::support::device(&crate::support::key("mallory"));
    assert_eq!(code(register(NewAccount { device: other_device, ..account() }, good.clone()).await), Code::Forbidden);
    let post = alice.write(Note { log: &keys("s1"), n: 1, kind: Kind::Post, body: Bytes::from_static(b"\xa0") });
    assert_eq!(code(register(account(), post).await), Code::Forbidden);

    let part = |size: usize| Bytes::from(vec![7; size]);
    let vault = |keys: usize, book: usize| SealedVault { version: 1, keys: part(keys), book: part(book) };
    let with = |vault: SealedVault| NewAccount { vault, ..account() };
    const MOST: usize = limits::VAULT;
    for (keys, book) in [(MOST + 1, 1), (1, MOST + 1)] {
        assert_eq!(code(register(with(vault(keys, book)), good.clone()).await), Code::TooLarge);
    }
    for version in [0, 2] {
        assert_eq!(code(register(with(SealedVault { version, ..vault(1, 1) }), good.clone()).await), Code::Malformed);
    }
    assert!(home.logs.account(&alice.name).await.unwrap().is_none(), "nothing is left of all that");
    assert_eq!(home.logs.tip(&keys("s1")).unwrap().seq, 0);
    register(with(vault(MOST, MOST)), good).await.unwrap();
    let mut bob = Person::new("bob@s1");
    let list = bob.next_list(1);
    register(NewAccount { vault: vault(MOST - 1, MOST - 1), ..bob.account(None) }, list).await.unwrap();
}

#[tokio::test]
async fn a_code_is_good_so_often_until_then_and_for_whom_it_is_meant() {
    let home = Home::new("s1").await;
    let add = |code: &str, user, uses, expires| {
        home.logs.add_code(NewCode { hash: Hash::of(code.as_bytes()), user, uses, expires, reset: false })
    };
    add("twice", None, 2, now() + HOUR).await.unwrap();
    add("late", None, 2, now() - 1).await.unwrap();
    add("carol's", Some(user("carol@s1")), 1, now() + HOUR).await.unwrap();
    assert_eq!(code(add("twice", None, 9, now() + HOUR).await), Code::Conflict, "a code is not made twice");
    let (one, two) = tokio::join!(add("new", None, 1, now() + HOUR), add("new", None, 1, now() + HOUR));
    assert_eq!((one, code(two)), (Ok(()), Code::Conflict), "not even in one batch, and its neighbours do not suffer");

    let join = async |local: &str, code: &str| Person::new(&format!("{local}@s1")).join_with(&home.logs, Some(code)).await;
    assert_eq!(code(join("alice", "no such").await), Code::BadCode);
    assert_eq!(code(join("alice", "late").await), Code::BadCode);
    assert_eq!(code(join("alice", "carol's").await), Code::BadCode);
    assert_eq!(home.logs.tip(&keys("s1")).unwrap().seq, 0);
    join("carol", "carol's").await.unwrap();
    join("alice", "twice").await.unwrap();
    // Whoever is refused for another reason has not used it.
    assert_eq!(code(join("alice", "twice").await), Code::NameTaken);
    let home = home.restart().await;
    let join = async |local: &str, code: &str| Person::new(&format!("{local}@s1")).join_with(&home.logs, Some(code)).await;
    // Two at once, and one use left.
    let (one, two) = tokio::join!(join("bob", "twice"), join("dave", "twice"));
    assert!(one.is_ok());
    assert_eq!(code(two), Code::BadCode);
    assert_eq!(code(join("dave", "twice").await), Code::BadCode);
    assert!(home.logs.account(&user("dave@s1")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_name_that_is_kept_back_takes_its_own_claim_code() {
    let home = Home::new("s1").await;
    let add = |code: &str, user, uses| {
        home.logs.add_code(NewCode { hash: Hash::of(code.as_bytes()), user, uses, expires: now() + HOUR, reset: false })
    };
    add("for anybody", None, 9).await.unwrap();
    add("carol's", Some(user("carol@s1")), 1).await.unwrap();
    home.logs.keep_back([user("admin@s1")]);
    let unclaimed = [(user("admin@s1"), false), (user("carol@s1"), true)];
    assert_eq!(home.logs.unclaimed(), unclaimed);

    let join = async |home: &Home, local: &str, code: Option<&str>| Person::new(&format!("{local}@s1")).join_with(&home.logs, code).await;
    for name in ["admin", "carol"] {
        assert_eq!(code(join(&home, name, None).await), Code::RegistrationClosed, "{name}, although anybody may register here");
        assert_eq!(code(join(&home, name, Some("for anybody")).await), Code::BadCode, "{name}: an invitation opens no kept name");
    }
    assert_eq!(code(join(&home, "admin", Some("carol's")).await), Code::BadCode);

    // A second claim code voids the first, also for who is in the same batch.
    let claim = add("carol's second", Some(user("carol@s1")), 1);
    let (made, late) = tokio::join!(claim, join(&home, "carol", Some("carol's")));
    assert_eq!((made, code(late)), (Ok(()), Code::BadCode));
    let home = home.restart().await;
    assert_eq!(home.logs.unclaimed(), unclaimed[1..], "it is kept back after a restart too");
    assert_eq!(code(join(&home, "carol", None).await), Code::RegistrationClosed);
    assert_eq!(code(join(&home, "carol", Some("carol's")).await), Code::BadCode);
    join(&home, "carol", Some("carol's second")).await.unwrap();
    assert!(home.logs.unclaimed().is_empty());
    let again = home
        .logs
        .add_code(NewCode { hash: Hash::of(b"third"), user: Some(user("carol@s1")), uses: 1, expires: now() + HOUR, reset: false })
        .await;
    assert_eq!(code(again), Code::NameTaken, "who is here needs no claim code");
}

#[tokio::test]
async fn a_code_that_is_revoked_is_no_good() {
    let home = Home::new("s1").await;
    let hash = |code: &str| Hash::of(code.as_bytes());
    home.logs.add_code(NewCode { hash: hash("for anybody"), user: None, uses: 9, expires: now() + HOUR, reset: false }).await.unwrap();
    home.logs
        .add_code(NewCode { hash: hash("carol's"), user: Some(user("carol@s1")), uses: 1, expires: now() + HOUR, reset: false })
        .await
        .unwrap();
    let join = async |local: &str, code: Option<&str>| Person::new(&format!("{local}@s1")).join_with(&home.logs, code).await;
    join("alice", Some("for anybody")).await.unwrap();
    assert_eq!(home.logs.codes().await.unwrap().iter().map(|code| code.uses).collect::<Vec<_>>(), [8, 1]);
    // Who comes in the same batch is late too.
    let (revoked, bob) = tokio::join!(home.logs.revoke_code(hash("for anybody")), join("bob", Some("for anybody")));
    assert_eq!((revoked, code(bob)), (Ok(()), Code::BadCode));
    assert_eq!(code(home.logs.revoke_code(hash("for anybody")).await), Code::NotFound, "once is enough");
    home.logs.revoke_code(hash("carol's")).await.unwrap();
    assert!(home.logs.codes().await.unwrap().is_empty() && home.logs.unclaimed().is_empty());
    assert_eq!(code(join("carol", Some("carol's")).await), Code::BadCode);
    join("carol", None).await.unwrap();
}

#[tokio::test]
async fn a_long_key_history_comes_in_pages() {
    let home = Home::new("s1").await;
    let mut alice = home.person("alice").await;
    let _bob = home.person("bob").await;
    for n in 2..=40 {
        let list = alice.next_list(n);
        home.append(&alice, &keys("s1"), &list).await.unwrap();
    }
    let (mut after, mut versions, mut pages) = (0, Vec::new(), 0);
    loop {
        let (items, more) = home.logs.chain(&alice.name, after).await.unwrap();
        pages += 1;
        for item in &items {
            let entry = Entry::read(&item.entry).unwrap();
            assert_eq!(entry.draft().unwrap().author, alice.name);
            versions.push(entry.draft().unwrap().list);
            after = entry.seq;
        }
        if !more {
            break;
        }
        assert!(!items.is_empty());
    }
    assert_eq!(versions, (1..=40).collect::<Vec<u64>>());
    assert!(pages <= 3, "{pages} pages");
    assert_eq!(code(home.logs.chain(&user("zoe@s9"), 0).await.map(|_| ())), Code::NotFound);
    assert!(home.logs.chain(&user("nobody@s1"), 0).await.unwrap().0.is_empty());
}

#[tokio::test]
async fn of_a_peer_that_was_never_heard_nobody_is_said_to_be_unknown() {
    let (home, other) = (Home::new("s1").await, Home::new("s2").await);
    let bob = other.person("bob").await;
    home.knows(&other).await;
    for name in [bob.name.clone(), user("nobody@s2")] {
        assert_eq!(code(home.logs.chain(&name, 0).await.map(|_| ())), Code::Unreachable);
    }
    home.copy(&other, &keys("s2")).await;
    assert_eq!(home.logs.chain(&bob.name, 0).await.unwrap().0.len(), 1);
    assert!(home.logs.chain(&user("nobody@s2"), 0).await.unwrap().0.is_empty());
}
