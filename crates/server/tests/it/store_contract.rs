//! What every engine of the store must do: one suite, run on each. Plus what only the SQLite file can show.

use bytes::Bytes;
use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use tidings_proto::chain::Tip;
use tidings_proto::frame::{RoomRef, SealedVault, Secret};
use tidings_proto::{Code, DeviceKey, Genesis, Hash, LogName, Refusal, SuiteName, UserName};
use tidings_server::store::sqlite::SqliteStore;
use tidings_server::store::sqlite::memory::MemoryStore;
use tidings_server::store::{
    AccountRecord, Author, Change, KeyPackage, Lane, LogRow, Most, NewCode, NewEntry, OutboxRow, OutboxState, People, Questions, Queue,
    Range, Settled, Stock, Store, StoreError, Waiting, Wanted,
};

use crate::support::{public, sealed, server, user};
use tidings_trust::Members;

/// Opens the same store again and again: what was committed must be there.
type Open<'a> = &'a dyn Fn() -> Arc<dyn Store>;

const ALL: Most = Most { entries: usize::MAX, bytes: usize::MAX };

/// The suite. `open` must give a store that is empty the first time.
async fn contract(open: Open<'_>) {
    an_empty_store_is_empty(open).await;
    entries_are_read_back_in_pages(open).await;
    a_commit_is_all_or_nothing(open).await;
    once_only_lookups_find_their_entry(open).await;
    histories_are_of_one_user(open).await;
    accounts_and_codes(open).await;
    key_packages_are_forgotten_but_for_their_hash(open).await;
    an_outbox_keeps_its_order_and_its_answers(open).await;
    what_has_grown_is_said_once(open).await;
    rooms_keep_their_genesis_and_stopped_logs_stay_stopped(open).await;
    what_changes_later_is_found_changed(open).await;
    a_closed_store_says_so(open).await;
}

fn log(number: u64, name: LogName) -> LogRow {
    LogRow { number, name, room: None, people: None, asked: None, since: 5, followed: true, tip: Tip::EMPTY, stopped: false }
}

fn tip(seq: u64) -> Tip {
    Tip { seq, hash: Hash::of(&seq.to_be_bytes()) }
}

fn body(seq: u64) -> Bytes {
    format!("entry {seq:04}").into()
}

fn author(device: u8) -> Author {
    Author { user: user("alice@s1"), device: DeviceKey([device; 32]) }
}

fn entry(log: u64, seq: u64) -> NewEntry {
    NewEntry { log, tip: tip(seq), entry: body(seq), once: Some((author(1), seq)), about: None, got: None, flawed: false }
}

async fn reopened(open: Open<'_>, store: Arc<dyn Store>) -> Arc<dyn Store> {
    store.close().await;
    drop(store);
    open()
}

async fn an_empty_store_is_empty(open: Open<'_>) {
    let store = open();
    let loaded = store.load().await.unwrap();
    assert!(loaded.logs.is_empty() && loaded.registered.is_empty());
    assert_eq!((loaded.got, loaded.outbox), (0, 0));
    let page = store.page(1, Range::After(0), ALL).await.unwrap();
    assert_eq!((page.prev, page.entries.len()), (Hash::ZERO, 0));
    store.close().await;
}

async fn entries_are_read_back_in_pages(open: Open<'_>) {
    let store = open();
    let mut changes = vec![Change::Log(log(1, public("s1"))), Change::Log(log(2, public("s2")))];
    changes.extend((1..=20).map(|seq| Change::Entry(NewEntry { got: Some(seq), ..entry(1, seq) })));
    changes.extend((1..=3).map(|seq| Change::Entry(NewEntry { once: None, flawed: seq == 2, ..entry(2, seq) })));
    store.commit(changes).await.unwrap();
    let store = reopened(open, store).await;

    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.logs, [LogRow { tip: tip(20), ..log(1, public("s1")) }, LogRow { tip: tip(3), ..log(2, public("s2")) }]);
    assert_eq!(loaded.got, 20);
    let seqs = |page: &tidings_server::store::Page| page.entries.iter().map(|stored| stored.seq).collect::<Vec<_>>();
    let some = |entries| Most { entries, bytes: usize::MAX };
    for (range, most, prev, expected) in [
        (Range::After(0), some(3), Hash::ZERO, vec![1, 2, 3]),
        (Range::After(3), some(3), tip(3).hash, vec![4, 5, 6]),
        (Range::After(18), some(9), tip(18).hash, vec![19, 20]),
        (Range::After(20), some(9), tip(20).hash, vec![]),
        (Range::Before(21), some(2), tip(18).hash, vec![19, 20]),
        (Range::Before(u64::MAX), some(2), tip(18).hash, vec![19, 20]),
        (Range::Before(3), some(9), Hash::ZERO, vec![1, 2]),
        (Range::Before(1), some(9), Hash::ZERO, vec![]),
        (Range::After(0), Most { entries: 9, bytes: 2 * body(1).len() }, Hash::ZERO, vec![1, 2]),
        (Range::After(0), Most { entries: 9, bytes: 2 * body(1).len() - 1 }, Hash::ZERO, vec![1]),
        (Range::After(0), Most { entries: 9, bytes: 0 }, Hash::ZERO, vec![1]),
    ] {
        let page = store.page(1, range, most).await.unwrap();
        assert_eq!((page.prev, seqs(&page)), (prev, expected), "{range:?} {most:?}");
    }
    let page = store.page(1, Range::After(4), some(1)).await.unwrap();
    assert_eq!((page.entries[0].entry.clone(), page.entries[0].got), (body(5), Some(5)));
    // A log's page never runs into the next log.
    assert_eq!(seqs(&store.page(1, Range::After(0), ALL).await.unwrap()).len(), 20);
    assert_eq!(seqs(&store.page(2, Range::Before(u64::MAX), ALL).await.unwrap()), [1, 2, 3]);
    store.close().await;
}

async fn a_commit_is_all_or_nothing(open: Open<'_>) {
    let store = open();
    // The second change cannot be made: that entry is there.
    let broken = vec![Change::Entry(entry(1, 21)), Change::Entry(entry(1, 5))];
    let neighbour = vec![Change::Entry(entry(2, 4))];
    // Both at once, so that they may well share a transaction.
    let (broken, neighbour) = tokio::join!(store.commit(broken), store.commit(neighbour));
    assert!(matches!(broken, Err(StoreError::Failed(_))), "{broken:?}");
    neighbour.unwrap();
    let store = reopened(open, store).await;
    assert_eq!(store.load().await.unwrap().logs.iter().map(|log| log.tip).collect::<Vec<_>>(), [tip(20), tip(4)]);
    assert!(store.page(1, Range::After(20), ALL).await.unwrap().entries.is_empty());
    store.close().await;
}

async fn once_only_lookups_find_their_entry(open: Open<'_>) {
    let store = open();
    let (known, stranger) = (author(1), author(9));
    // The same device in somebody else's list.
    let other = Author { user: user("bob@s1"), ..known.clone() };
    let questions = Questions {
        lasts: [(1, &known), (1, &stranger), (1, &other), (2, &known), (7, &known)].map(|(log, by)| (log, by.clone())).into(),
        placed: [(1, &known, 20), (1, &known, 21), (2, &known, 1), (1, &stranger, 1), (1, &other, 1)]
            .map(|(log, by, n)| (log, by.clone(), n))
            .into(),
        ..Questions::default()
    };
    let answers = store.look_up(questions).await.unwrap();
    // In log 2 only entry 4 was sequenced under a device's n.
    assert_eq!(answers.lasts, [20, 0, 0, 4, 0]);
    assert_eq!(answers.placed, [Some((body(20), tip(20))), None, None, None, None]);
    // The store itself refuses a second entry with the same (log, author, n).
    let twice = NewEntry { tip: tip(21), ..entry(1, 20) };
    assert!(store.commit(vec![Change::Entry(twice)]).await.is_err());
    store.close().await;
}

async fn histories_are_of_one_user(open: Open<'_>) {
    let store = open();
    let keys = LogName::Keys(server("s1"));
    let (alice, bob) = (user("alice@s1"), user("bob@s1"));
    let about = |seq: u64| if seq.is_multiple_of(3) { bob.clone() } else { alice.clone() };
    let mut changes = vec![Change::Log(log(3, keys))];
    changes.extend((1..=9).map(|seq| Change::Entry(NewEntry { about: Some(about(seq)), once: None, ..entry(3, seq) })));
    store.commit(changes).await.unwrap();
    let seqs = |found: &[tidings_server::store::Stored]| found.iter().map(|stored| stored.seq).collect::<Vec<_>>();
    let some = |entries| Most { entries, bytes: usize::MAX };
    for (who, after, most, expected, more) in [
        (&bob, 0, some(9), vec![3, 6, 9], false),
        (&bob, 3, some(9), vec![6, 9], false),
        (&bob, 0, some(2), vec![3, 6], true),
        (&bob, 0, some(3), vec![3, 6, 9], false),
        (&bob, 9, some(3), vec![], false),
        (&alice, 4, some(9), vec![5, 7, 8], false),
        (&alice, 4, Most { entries: 9, bytes: 1 }, vec![5], true),
        (&user("carol@s1"), 0, some(9), vec![], false),
    ] {
        let (found, left) = store.history(3, who.clone(), after, most).await.unwrap();
        assert_eq!((seqs(&found), left), (expected, more), "{who} after {after}");
    }
    store.close().await;
}

async fn accounts_and_codes(open: Open<'_>) {
    let store = open();
    let alice = user("alice@s1");
    let record = AccountRecord { password: "p".into(), recovery: "r".into(), vault: sealed(1, &"v".into()) };
    assert!(!format!("{record:?}").contains("\"p\""), "no secret in what is printed");
    let code = NewCode { hash: Hash::of(b"code"), user: Some(alice.clone()), uses: 1, expires: 77, reset: false };
    store.commit(vec![Change::Code(code.clone())]).await.unwrap();
    assert_eq!(store.account(alice.clone()).await.unwrap(), None);

    let register = vec![Change::UseCode(code.hash), Change::Account { user: alice.clone(), record: record.clone() }];
    store.commit(register.clone()).await.unwrap();
    let store = reopened(open, store).await;
    assert_eq!(store.account(alice.clone()).await.unwrap(), Some(record));
    assert_eq!(store.load().await.unwrap().registered, [alice]);
    let codes = || Questions { codes: vec![code.hash, Hash::ZERO], ..Questions::default() };
    assert_eq!(store.look_up(codes()).await.unwrap().codes, [Some(NewCode { uses: 0, ..code.clone() }), None]);

    assert!(store.commit(register).await.is_err(), "neither the code nor the name is there a second time");
    let other = vec![
        Change::Account {
            user: user("mallory@s1"),
            record: AccountRecord { password: Bytes::new(), recovery: Bytes::new(), vault: sealed(1, &Bytes::new()) },
        },
        Change::UseCode(code.hash),
    ];
    assert!(store.commit(other).await.is_err(), "a used code");
    assert_eq!(store.account(user("mallory@s1")).await.unwrap(), None, "and nothing is left of who tried it");
    assert!(store.codes().await.unwrap().is_empty(), "what is used up is not shown");

    let made =
        |name: &[u8], who: Option<&str>, expires| NewCode { hash: Hash::of(name), user: who.map(user), uses: 2, expires, reset: false };
    let (short, long, carol) = (made(b"short", None, 100), made(b"long", None, 200), made(b"carol", Some("carol@s1"), 50));
    store.commit([&long, &short, &carol].map(|code| Change::Code(code.clone())).to_vec()).await.unwrap();
    let store = reopened(open, store).await;
    assert_eq!(store.codes().await.unwrap(), [carol.clone(), short.clone(), long.clone()], "by expiry");
    assert_eq!(store.load().await.unwrap().claims, [user("carol@s1")]);
    store.commit(vec![Change::ForgetCodes { at: 100 }]).await.unwrap();
    assert_eq!(store.codes().await.unwrap(), [carol, long.clone()], "a name stays kept back");
    assert_eq!(store.look_up(codes()).await.unwrap().codes, [None, None], "what was used up is forgotten too");
    store.commit(vec![Change::VoidCodes(user("carol@s1"))]).await.unwrap();
    assert_eq!(store.codes().await.unwrap(), std::slice::from_ref(&long));
    store.commit(vec![Change::RemoveCode(long.hash)]).await.unwrap();
    assert!(store.codes().await.unwrap().is_empty());
    assert!(store.load().await.unwrap().claims.is_empty());
    store.close().await;
}

async fn key_packages_are_forgotten_but_for_their_hash(open: Open<'_>) {
    let store = open();
    let [phone, laptop] = [1, 2].map(|device| Author { user: user("dora@s1"), ..author(device) });
    let package = |text: &'static str, last_resort| KeyPackage::new(Bytes::from_static(text.as_bytes()), last_resort);
    let put = |owner: &Author, package: KeyPackage| Change::KeyPackage { owner: owner.clone(), package };
    let hand_out = |owner: &Author, text: &str| Change::HandOut { owner: owner.clone(), hash: Hash::of(text.as_bytes()) };
    let look = async |store: &Arc<dyn Store>, owner: &Author, claims| {
        let offered = ["one", "two", "last", "other"].map(|text| Hash::of(text.as_bytes())).to_vec();
        let stocks = [(owner.clone(), Wanted { claims, offered })].into();
        store.look_up(Questions { stocks, ..Questions::default() }).await.unwrap().stocks.remove(0)
    };
    let (one, two, last) = (package("one", false), package("two", false), package("last", true));
    assert_eq!(look(&store, &phone, 9).await, Stock::default());
    store.commit([&one, &two, &last].map(|it| put(&phone, it.clone())).to_vec()).await.unwrap();
    store.commit(vec![put(&laptop, one.clone())]).await.unwrap();
    let store = reopened(open, store).await;
    let known = vec![one.hash, two.hash, last.hash];
    let full = Stock { single_use: 2, next: vec![one.clone(), two.clone()], last_resort: Some(last.clone()), known: known.clone() };
    assert_eq!(look(&store, &phone, 9).await, full);
    assert_eq!(look(&store, &phone, 1).await.next, std::slice::from_ref(&one), "no more are read than are wanted");
    for again in [put(&phone, one.clone()), hand_out(&phone, "last"), hand_out(&phone, "other"), hand_out(&laptop, "two")] {
        assert!(store.commit(vec![again.clone()]).await.is_err(), "{again:?}");
    }
    store.commit(vec![hand_out(&phone, "one"), put(&phone, package("other", true))]).await.unwrap();
    assert!(store.commit(vec![hand_out(&phone, "one")]).await.is_err(), "once");
    assert!(store.commit(vec![put(&phone, one.clone())]).await.is_err(), "and never again");
    let store = reopened(open, store).await;
    let other = package("other", true);
    let known = [known, vec![other.hash]].concat();
    assert_eq!(look(&store, &phone, 9).await, Stock { single_use: 1, next: vec![two], last_resort: Some(other), known: known.clone() });
    store.commit(vec![Change::Withdraw(phone.clone()), Change::Withdraw(author(7))]).await.unwrap();
    assert_eq!(look(&store, &phone, 9).await, Stock { known, ..Stock::default() });
    assert_eq!(look(&store, &laptop, 9).await.next, [one]);
    let record = AccountRecord { password: "p".into(), recovery: "r".into(), vault: sealed(1, &"v".into()) };
    let user = phone.user.clone();
    store.commit(vec![Change::Account { user: user.clone(), record }, Change::Close(user)]).await.unwrap();
    for owner in [phone, laptop] {
        assert_eq!(look(&store, &owner, 9).await, Stock::default(), "of a closed account nothing is left");
    }
    store.close().await;
}

fn row(id: i64, log: LogName) -> OutboxRow {
    let draft = Bytes::from(format!("draft {id}"));
    OutboxRow { id, log, hash: Hash::of(&draft), draft, genesis: None, queued: 1000 + id as u64, state: OutboxState::Waiting }
}

async fn an_outbox_keeps_its_order_and_its_answers(open: Open<'_>) {
    let store = open();
    let genesis = Genesis::direct(SuiteName::RsaJwe1, &user("alice@s1"), &user("bob@s2"));
    let device = DeviceKey([1; 32]);
    let author = |n: u64| Author { user: user(if n == 2 { "carol@s1" } else { "alice@s1" }), device };
    let outgoing = |peer: &str, n: u64, row: OutboxRow| Change::Outgoing { peer: server(peer), once: (author(n), n), row };
    let first = OutboxRow { genesis: Some(genesis.clone()), ..row(1, genesis.log()) };
    store
        .commit(vec![
            outgoing("s2", 1, first.clone()),
            outgoing("s3", 1, row(2, public("s3"))),
            outgoing("s2", 2, row(3, genesis.log())),
            outgoing("s2", 3, row(4, genesis.log())),
        ])
        .await
        .unwrap();
    let store = reopened(open, store).await;
    assert_eq!(store.load().await.unwrap().outbox, 4);
    let queue = async |store: &Arc<dyn Store>| {
        let Queue { entries, bytes, oldest } = store.queues().await.unwrap()[&server("s2")];
        (entries, bytes, oldest)
    };
    assert_eq!(queue(&store).await, (3, 3 * 7, Some(1001)));
    assert_eq!(store.queues().await.unwrap().into_keys().collect::<Vec<_>>(), [server("s2"), server("s3")]);
    let ids = |rows: Vec<OutboxRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(store.outbox(server("s2"), 0, 9).await.unwrap()[0], first);
    assert_eq!(ids(store.outbox(server("s2"), 0, 9).await.unwrap()), [1, 3, 4]);
    assert_eq!(ids(store.outbox(server("s2"), 1, 1).await.unwrap()), [3]);
    assert_eq!(ids(store.outbox(server("s4"), 0, 9).await.unwrap()), [0_i64; 0]);
    let lane = |user: &str| Lane { user: user.into(), device, log: genesis.log() };
    let [one, three, four] = [(1, "alice@s1"), (3, "carol@s1"), (4, "alice@s1")].map(|(id, user)| Waiting { id, lane: lane(user) });
    assert_eq!(store.waiting(server("s2"), 0, 9).await.unwrap(), [one, three.clone(), four]);
    assert_eq!(store.waiting(server("s2"), 1, 1).await.unwrap(), [three]);
    assert_eq!(ids(store.rows(vec![4, 9, 1]).await.unwrap()), [4, 1]);
    let shares = async |store: &Arc<dyn Store>| {
        let shares = ["alice@s1", "carol@s1", "bob@s1"].map(|of| (server("s2"), user(of))).to_vec();
        let shares = store.look_up(Questions { shares, ..Questions::default() }).await.unwrap().shares;
        shares.into_iter().map(|share| (share.entries, share.bytes)).collect::<Vec<_>>()
    };
    assert_eq!(shares(&store).await, [(2, 14), (1, 7), (0, 0)]);

    let accepted = Settled::Accepted { seq: 2, hash: tip(2).hash };
    let refused = Settled::Refused(Refusal::from(Code::Gap).last(7));
    store
        .commit(vec![
            Change::Settle { id: 1, settled: accepted.clone(), at: 1000 },
            Change::Settle { id: 3, settled: refused.clone(), at: 2000 },
            // A second answer comes too late.
            Change::Settle { id: 1, settled: refused.clone(), at: 3000 },
        ])
        .await
        .unwrap();
    let store = reopened(open, store).await;
    assert_eq!(ids(store.outbox(server("s2"), 0, 9).await.unwrap()), [4], "what is answered is not sent again");
    assert_eq!(queue(&store).await, (1, 7, Some(1004)), "nor is it counted, and what is answered twice is taken off once");
    assert_eq!(shares(&store).await, [(1, 7), (0, 0), (0, 0)], "nor held against anybody");
    assert_eq!(ids(store.rows(vec![1, 3, 4]).await.unwrap()), [4]);
    let of = |n| (genesis.log(), device, n);
    let questions = || Questions { outgoing: vec![of(1), of(2), of(3), of(4)], queues: vec![server("s2")], ..Questions::default() };
    assert_eq!(store.look_up(questions()).await.unwrap().queues, [Queue { entries: 1, bytes: 7, oldest: None }]);
    let found = store.look_up(questions()).await.unwrap().outgoing;
    let kept: Vec<_> = found.iter().flatten().map(|row| (row.hash, &row.draft[..])).collect();
    let hash = |id| Hash::of(format!("draft {id}").as_bytes());
    assert_eq!(kept, [(hash(1), &b""[..]), (hash(3), b""), (hash(4), b"draft 4")], "of what was answered the hash is enough");
    let states: Vec<_> = found.into_iter().map(|row| row.map(|row| row.state)).collect();
    assert_eq!(states, [Some(accepted.into()), Some(refused.into()), Some(OutboxState::Waiting), None]);
    assert!(store.commit(vec![outgoing("s2", 3, row(9, genesis.log()))]).await.is_err(), "once only");

    store.commit(vec![Change::ForgetSettled { before: 2000 }]).await.unwrap();
    let left: Vec<_> = store.look_up(questions()).await.unwrap().outgoing.into_iter().map(|row| row.map(|row| row.id)).collect();
    assert_eq!(left, [None, Some(3), Some(4), None], "only answered rows from before are forgotten");
    store.close().await;
}

async fn what_has_grown_is_said_once(open: Open<'_>) {
    let store = open();
    store.changed().await.unwrap();
    store.commit(vec![Change::Entry(entry(1, 21))]).await.unwrap();
    assert_eq!(store.changed().await.unwrap(), [1]);
    store.commit(vec![Change::Entry(entry(2, 5))]).await.unwrap();
    store.commit(vec![Change::Entry(entry(1, 22)), Change::Entry(entry(1, 23))]).await.unwrap();
    store.commit(vec![Change::Entry(entry(1, 23))]).await.unwrap_err();
    assert_eq!(store.changed().await.unwrap(), [1, 2]);
    assert!(store.changed().await.unwrap().is_empty());
    store.close().await;
}

async fn rooms_keep_their_genesis_and_stopped_logs_stay_stopped(open: Open<'_>) {
    let store = open();
    let genesis = Genesis::direct(SuiteName::RsaJwe1, &user("alice@s1"), &user("bob@s2"));
    let room = RoomRef { hub: genesis.hub().clone(), genesis: genesis.clone() };
    let row = LogRow { room: Some(room.clone()), asked: Some(user("bob@s2")), ..log(4, genesis.log()) };
    store.commit(vec![Change::Log(row.clone()), Change::Stop { log: 2 }]).await.unwrap();
    assert!(store.commit(vec![Change::Log(LogRow { number: 5, ..row.clone() })]).await.is_err(), "a log has one number");
    let store = reopened(open, store).await;
    let logs = store.load().await.unwrap().logs;
    assert_eq!(logs.iter().map(|log| (log.number, log.stopped)).collect::<Vec<_>>(), [(1, false), (2, true), (3, false), (4, false)]);
    assert_eq!(logs[3], row);
    // Whoever was asked has answered; and a log without an entry is not kept for ever.
    let empty = log(9, Genesis::group(SuiteName::RsaJwe1, &user("alice@s1"), tidings_proto::Nonce([1; 32])).log());
    store.commit(vec![Change::TakenUp { log: 4 }, Change::Log(empty.clone())]).await.unwrap();
    let store = reopened(open, store).await;
    assert_eq!(store.load().await.unwrap().logs[3..], [LogRow { asked: None, ..row }, empty.clone()]);
    for kept in [1, 99] {
        let discard = vec![Change::Discard { log: 9 }, Change::Discard { log: kept }];
        assert!(store.commit(discard).await.is_err(), "{kept}: one that has entries, or is not there");
    }
    store.commit(vec![Change::Discard { log: 9 }, Change::Log(LogRow { number: 10, ..empty })]).await.unwrap();
    store.commit(vec![Change::Discard { log: 10 }]).await.unwrap();
    let store = reopened(open, store).await;
    assert_eq!(store.load().await.unwrap().logs.len(), 4);
    store.close().await;
}

/// Entries that are forgotten, secrets that are changed, accounts that are closed, groups that are followed no more: each changes
/// what it means, in the commit that says so, and nothing where it is not as it was thought to be.
async fn what_changes_later_is_found_changed(open: Open<'_>) {
    let store = open();
    let (alice, bob) = (user("alice@s1"), user("bob@s1"));
    let erase = |seq, stub: &'static str| Change::Erase { log: 1, seq, stub: stub.into() };
    let entries = async |store: &Arc<dyn Store>, seqs: &[u64]| {
        let asked = Questions { entries: seqs.iter().map(|seq| (1, *seq)).collect(), ..Questions::default() };
        store.look_up(asked).await.unwrap().entries
    };
    assert_eq!(entries(&store, &[1, 2, 99]).await, [Some(body(1)), Some(body(2)), None]);
    store.commit(vec![erase(2, "stub")]).await.unwrap();
    assert!(store.commit(vec![erase(1, "stub"), erase(99, "stub")]).await.is_err(), "an entry that is not there");
    let store = reopened(open, store).await;
    assert_eq!(entries(&store, &[1, 2]).await, [Some(body(1)), Some("stub".into())]);
    let placed = Questions { placed: vec![(1, author(1), 2)], ..Questions::default() };
    assert_eq!(store.look_up(placed).await.unwrap().placed, [Some(("stub".into(), tip(2)))], "its number stays its author's");

    let secrets = |who: &tidings_proto::UserName, version: u64, password: Option<&'static str>| Change::Secrets {
        user: who.clone(),
        password: password.map(Bytes::from),
        recovery: None,
        vault: SealedVault { version, keys: format!("keys {version}").into(), book: format!("book {version}").into() },
    };
    let book = |who: &UserName, version: u64| Change::Book { user: who.clone(), version, book: format!("other {version}").into() };
    for (what, change) in [
        ("a version that is there", secrets(&alice, 1, None)),
        ("a version too many", secrets(&alice, 3, None)),
        ("nobody", secrets(&user("nobody@s1"), 1, None)),
        ("a book of a version that is there", book(&alice, 1)),
        ("a book of a version too many", book(&alice, 3)),
        ("a book of nobody's", book(&user("nobody@s1"), 1)),
        ("an account that is not there", Change::Close(bob.clone())),
    ] {
        assert!(store.commit(vec![change]).await.is_err(), "{what}");
    }
    store.commit(vec![secrets(&alice, 2, None), secrets(&alice, 3, Some("p3"))]).await.unwrap();
    store.commit(vec![book(&alice, 4)]).await.unwrap();
    let vault = SealedVault { version: 4, keys: "keys 3".into(), book: "other 4".into() };
    let expected = AccountRecord { password: "p3".into(), recovery: "r".into(), vault };
    assert_eq!((expected.of(Secret::Password), expected.of(Secret::Recovery)), (&"p3".into(), &"r".into()));
    let asked = Questions { accounts: vec![alice.clone(), bob], ..Questions::default() };
    assert_eq!(store.look_up(asked).await.unwrap().accounts, [Some(expected), None]);
    store.commit(vec![Change::Close(alice.clone())]).await.unwrap();
    assert!(store.account(alice).await.unwrap().is_none() && store.load().await.unwrap().registered.is_empty());

    let direct = Genesis::direct(SuiteName::RsaJwe1, &user("alice@s1"), &user("bob@s2"));
    let people: Arc<People> = Arc::new(Members::direct(direct.as_direct().unwrap()).into());
    let changes = vec![Change::People { log: 4, people: people.clone() }, Change::Follow { log: 4, followed: false }];
    store.commit(changes).await.unwrap();
    let store = reopened(open, store).await;
    let row = |logs: Vec<LogRow>| logs.into_iter().find(|row| row.number == 4).map(|row| (row.people, row.followed));
    assert_eq!(row(store.load().await.unwrap().logs), Some((Some(people.clone()), false)));
    store.commit(vec![Change::Follow { log: 4, followed: true }]).await.unwrap();
    assert_eq!(row(store.load().await.unwrap().logs), Some((Some(people), true)));
    store.close().await;
}

async fn a_closed_store_says_so(open: Open<'_>) {
    let store = open();
    store.close().await;
    assert!(matches!(store.load().await, Err(StoreError::Closed)));
    assert!(matches!(store.commit(vec![Change::Entry(entry(1, 23))]).await, Err(StoreError::Closed)));
    store.close().await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidings.db");
    contract(&|| Arc::new(SqliteStore::open(&path).unwrap())).await;
}

/// Opened again, it begins with what the one before has come to.
#[tokio::test]
async fn the_store_in_memory_keeps_the_contract() {
    let before: RefCell<Option<Arc<MemoryStore>>> = RefCell::default();
    contract(&|| {
        let image = before.borrow().as_ref().map(|before| before.image().unwrap());
        let store = Arc::new(image.map_or_else(MemoryStore::new, |image| MemoryStore::from_image(&image)).unwrap());
        before.replace(Some(store.clone()));
        store
    })
    .await;
}

#[tokio::test]
async fn what_was_answered_survives_a_store_that_is_never_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidings.db");
    let store = SqliteStore::open(&path).unwrap();
    store.commit(vec![Change::Log(log(1, public("s1"))), Change::Entry(entry(1, 1))]).await.unwrap();
    // As after a crash: files are copied while the first is still open, the write-ahead log unmerged.
    let copy = folder.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(folder.path().join("tidings.db-wal"), folder.path().join("copy.db-wal")).unwrap();
    let copy = SqliteStore::open(&copy).unwrap();
    assert_eq!(copy.load().await.unwrap().logs[0].tip, tip(1));
    drop(store);
}

#[tokio::test]
async fn commits_that_wait_together_share_a_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("tidings.db")).unwrap());
    store.commit((1..=1000).map(|number| Change::Log(log(number, public(&format!("s{number}"))))).collect()).await.unwrap();
    let before = store.transactions();
    // `commit` hands its changes over before it is awaited, so all of them wait while the first is being made durable.
    let waiting: Vec<_> = (1..=1000).map(|number| store.commit(vec![Change::Entry(entry(number, 1))])).collect();
    for commit in waiting {
        commit.await.unwrap();
    }
    let transactions = store.transactions() - before;
    assert!(transactions <= 100, "1000 commits took {transactions} transactions");
    assert!(store.load().await.unwrap().logs.iter().all(|log| log.tip == tip(1)));
    store.close().await;
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("tidings.db")).unwrap();
    store.commit(vec![Change::Log(log(1, public("s1")))]).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 3, "the file, its log and the log's index");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.path());
    }
}

fn sql(path: &Path, text: &str) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut query = connection.prepare(text).unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn another_version_s_file_and_a_foreign_file_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidings.db");
    SqliteStore::open(&path).unwrap().close().await;
    let marked = |version: i64| {
        rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", version).unwrap();
        let before = std::fs::read(&path).unwrap();
        let error = SqliteStore::open(&path).err();
        assert!(std::fs::read(&path).unwrap() == before, "the file is as it was");
        error
    };
    let own: i64 = sql(&path, "SELECT CAST(user_version AS TEXT) FROM pragma_user_version")[0].parse().unwrap();
    for version in [1, 7] {
        let error = marked(version).unwrap();
        assert!(matches!(error, StoreError::Older { found, known } if (found, known) == (version, own)), "{error}");
        assert!(error.to_string().contains("move tidings.db aside"), "{error}");
    }
    for version in [own + 1, 99] {
        let error = marked(version).unwrap();
        assert!(matches!(error, StoreError::Newer { found, known } if (found, known) == (version, own)), "{error}");
        assert!(error.to_string().contains("use the newer program"), "{error}");
    }
    assert!(marked(own).is_none());

    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is no database, but it is long enough to look like a header of one".repeat(100)).unwrap();
    assert!(SqliteStore::open(&text).is_err());
    assert!(SqliteStore::open(&folder.path().join("no/such/folder.db")).is_err());
}

#[tokio::test]
async fn the_schema_is_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidings.db");
    SqliteStore::open(&path).unwrap().close().await;
    let tables = sql(&path, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name");
    assert!(tables.iter().filter(|table| table.starts_with("CREATE TABLE")).all(|table| table.contains("STRICT")));
    insta::assert_snapshot!(tables.join(";\n"));
}

/// An index that is there and not used is only a cost.
#[tokio::test]
async fn every_hot_query_goes_by_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidings.db");
    SqliteStore::open(&path).unwrap().close().await;
    let connection = rusqlite::Connection::open(&path).unwrap();
    let plan = |query: &str| -> String {
        let mut query = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        query.query_map([], |row| row.get::<_, String>(3)).unwrap().map(Result::unwrap).collect::<Vec<_>>().join("; ")
    };
    for (query, by) in [
        ("SELECT id, entry, got FROM entries WHERE id > 1 AND id <= 2 ORDER BY id LIMIT 3", "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        ("SELECT max(n) FROM entries WHERE id >> 36 = 1 AND author = 2 AND author IS NOT NULL", "entries_once (<expr>=? AND author=?)"),
        (
            "SELECT id FROM entries WHERE id >> 36 = 1 AND author = 2 AND n = 3 AND author IS NOT NULL",
            "entries_once (<expr>=? AND author=? AND n=?)",
        ),
        ("SELECT max(id) FROM entries WHERE id > 1 << 36 AND id < 2 << 36", "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        ("SELECT id FROM outbox WHERE peer = 'p' AND id > 1 AND state = 0 ORDER BY id LIMIT 9", "outbox_waiting (peer=? AND id>?)"),
        ("SELECT id FROM outbox WHERE log = 'l' AND device = x'00' AND n = 1", "outbox_once (log=? AND device=? AND n=?)"),
        (
            "SELECT package FROM key_packages WHERE owner = 1 AND last_resort = 0 AND package IS NOT NULL ORDER BY id LIMIT 3",
            "key_packages_left (owner=? AND last_resort=?)",
        ),
        ("SELECT 1 FROM key_packages WHERE owner = 1 AND hash = x'00'", "key_packages_once (owner=? AND hash=?)"),
        ("DELETE FROM outbox WHERE settled < 5", "outbox_settled (settled<?)"),
    ] {
        let plan = plan(query);
        assert!(plan.contains(by) && !plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{query}: {plan}");
    }
}
