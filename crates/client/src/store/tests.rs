//! The store alone: what belongs together is kept together, also across a crash, and the profile is one process's.

mod history;
mod lines;

use super::lines::Line;
use super::*;
use crate::view::ask::Anchor;
use crate::view::{Status, Target};
use bytes::Bytes;
use tempfile::TempDir;
use tidings_e2ee::suite::Change;
use tidings_proto::chain::Tip;
use tidings_proto::{DeviceKey, Draft, Encoded, Genesis, Kind, ServerName, SuiteName};

const DEVICE: DeviceKey = DeviceKey([4; 32]);

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

fn open(folder: &TempDir) -> Store {
    Store::open(folder.path()).unwrap()
}

/// A crash: the files are taken as they are while nothing has been closed, and opened again elsewhere.
fn crash(store: Store, folder: &TempDir) -> Store {
    let here = store.read(|db| Ok(Path::new(db.path().unwrap()).parent().unwrap().to_owned())).unwrap();
    let there = tempfile::tempdir_in(folder.path()).unwrap().keep();
    for file in here.read_dir().unwrap().map(Result::unwrap).filter(|file| file.file_type().unwrap().is_file()) {
        std::fs::copy(file.path(), there.join(file.file_name())).unwrap();
    }
    Store::open(&there).unwrap()
}

fn account() -> Account {
    let server: ServerName = "s1".parse().unwrap();
    Account {
        user: user("alice@s1"),
        endpoint: Endpoint { name: server, address: "127.0.0.1:5555".into(), key: Some(ServerKey([9; 32])), plain: true },
        device: Zeroizing::new(vec![1; 32]),
        secrets: Zeroizing::new(vec![2; 64]),
        stage: Stage::Asked,
    }
}

fn public() -> LogName {
    "public@s1".parse().unwrap()
}

fn post(n: u64, body: &str) -> Encoded<Draft> {
    Encoded::new(Draft {
        device: DEVICE,
        n,
        author: user("alice@s1"),
        list: 1,
        epoch: None,
        kind: Kind::Post,
        body: Bytes::from(body.to_owned()),
        sig: None,
    })
}

fn write_post(store: &Store, text: &str) -> i64 {
    let (log, me) = (public(), user("alice@s1"));
    let (target, kind, content) = (&Target::Public, Kind::Post, text.as_bytes());
    store.written(&Written { target, log: &log, kind, author: &me, at: 1, content, tag: None, room: None, once: None }).unwrap()
}

fn write_direct(store: &Store, other: &str, text: &str) -> i64 {
    let (me, other) = (user("alice@s1"), user(other));
    let genesis = Genesis::direct(SuiteName::RsaJwe1, &me, &other);
    let (log, inbox) = (genesis.log(), LogName::Inbox(other.clone()));
    let notice = (other != me).then(|| (&inbox, Bytes::from_static(b"notice")));
    let (target, kind, content, room) = (&Target::from(&other), Kind::Sealed, text.as_bytes(), Some((&genesis, notice)));
    store.written(&Written { target, log: &log, kind, author: &me, at: 1, content, tag: Some(5), room, once: None }).unwrap()
}

fn sealed(row: &OutboxRow, draft: &Encoded<Draft>) -> Sealed {
    Sealed { row: row.id, log: row.log.clone(), draft: draft.clone(), changes: Vec::new() }
}

fn status(store: &Store, id: i64) -> Status {
    store.message(id).unwrap().unwrap().status
}

fn batch(log: LogName, seq: u64) -> Batch {
    Batch {
        log,
        tip: Tip { seq, hash: Hash([seq as u8; 32]) },
        rows: Vec::new(),
        sent: Vec::new(),
        settled: Vec::new(),
        counted: Vec::new(),
        stubs: 0,
        members: None,
        epoch: None,
        title: None,
        erased: Vec::new(),
        outbox: Vec::new(),
        hashes: Vec::new(),
        rooms: Vec::new(),
        hands_on: false,
        missed: Vec::new(),
        handed: Vec::new(),
        keys_seen: Vec::new(),
        changes: Vec::new(),
        stopped: None,
    }
}

/// Bob's device, heard up to its draft `n`.
fn heard(n: u64) -> (Author, Heard) {
    ((user("bob@s1"), DEVICE), Heard { n, list: 1, stubs: 0 })
}

fn received(n: u64, text: &str) -> NewRow {
    NewRow {
        target: Target::Public,
        author: Some(user("bob@s1")),
        kind: Kind::Post,
        draft: Some((DEVICE, n, Hash([n as u8; 32]))),
        seq: Some(n),
        place: n,
        at: 1,
        content: Ok((text.as_bytes().to_vec(), None)),
        mentions: text.contains("@alice"),
        late: None,
    }
}

#[test]
fn the_profile_is_private_and_one_process_has_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let profile = folder.path().join("profile");
    let store = Store::open(&profile).unwrap();
    store.begin_account(&account(), None).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&profile), 0o700);
    for file in profile.read_dir().unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    let busy = Store::open(&profile).err().unwrap();
    assert!(matches!(busy, ClientError::ProfileBusy(_)), "{busy}");
    assert_eq!(busy.exit_code(), 75);
    store.close();
    assert!(matches!(store.account(), Err(ClientError::Closed)));
    Store::open(&profile).unwrap();
}

#[test]
fn settings_of_the_database_are_what_durability_needs() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let pragma =
        |name: &str| store.read(|db| Ok(db.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))?)).unwrap();
    assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
    assert_eq!(pragma("synchronous"), 2.into());
    assert_eq!(pragma("user_version"), SCHEMA_VERSION.into());
    let loose: i64 = store
        .read(|db| {
            Ok(db.query_row(
                "SELECT count(*) FROM pragma_table_list WHERE type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite_%'",
                [],
                |row| row.get(0),
            )?)
        })
        .unwrap();
    assert_eq!(loose, 0, "every table is STRICT");
}

/// A change of the schema is a new version with a migration: whoever changes one line here has to think of profiles that
/// exist already.
#[test]
fn the_schema_of_version_5_never_changes() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let columns: Vec<String> = store
        .read(|db| {
            let mut query = db.prepare(
                "SELECT t.name || ': ' || group_concat(c.name || ' ' || c.type || iif(c.\"notnull\", ' NOT NULL', '') || iif(c.pk, ' PK' || c.pk, ''), ', ')
                 FROM pragma_table_list t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'
                 GROUP BY t.name ORDER BY t.name",
            )?;
            let rows = query.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .unwrap();
    assert_eq!(
        columns,
        [
            "alarms: user TEXT NOT NULL PK1, why TEXT NOT NULL",
            "chains: user TEXT NOT NULL PK1, seq INTEGER NOT NULL PK2, draft BLOB NOT NULL",
            "conversations: conversation TEXT NOT NULL PK1, messages INTEGER NOT NULL, newest INTEGER NOT NULL, seen_place INTEGER NOT NULL, \
             seen INTEGER NOT NULL, unseen INTEGER NOT NULL, mentioned INTEGER NOT NULL",
            "counted: log TEXT NOT NULL PK1, author TEXT NOT NULL PK2, device BLOB NOT NULL PK3, n INTEGER NOT NULL, list INTEGER NOT NULL, \
             stubs INTEGER NOT NULL",
            "devices: device BLOB NOT NULL PK1, name TEXT NOT NULL",
            "doubts: server TEXT NOT NULL PK1, by TEXT NOT NULL PK2, why TEXT NOT NULL",
            "drafts: conversation TEXT NOT NULL PK1, content BLOB NOT NULL, tag INTEGER NOT NULL",
            "handed: log TEXT NOT NULL PK1, seq INTEGER NOT NULL PK2, draft BLOB NOT NULL, author TEXT NOT NULL, is_title INTEGER NOT NULL, \
             content BLOB NOT NULL",
            "hashes: log TEXT NOT NULL PK1, seq INTEGER NOT NULL PK2, hash BLOB NOT NULL",
            "keys_seen: server TEXT NOT NULL PK1, by TEXT NOT NULL PK2, seq INTEGER NOT NULL, hash BLOB NOT NULL, at INTEGER NOT NULL",
            "late: message INTEGER PK1, waits_for TEXT NOT NULL, version INTEGER NOT NULL, highest INTEGER NOT NULL, stubs INTEGER NOT NULL, \
             draft BLOB NOT NULL, members BLOB NOT NULL, author TEXT NOT NULL",
            "logs: log TEXT NOT NULL PK1, seq INTEGER NOT NULL, hash BLOB NOT NULL, stubs INTEGER NOT NULL, stopped TEXT",
            "messages: id INTEGER PK1, conversation TEXT NOT NULL, log TEXT NOT NULL, author TEXT, device BLOB, n INTEGER, draft BLOB, \
             seq INTEGER, kind INTEGER NOT NULL, place INTEGER NOT NULL, at INTEGER NOT NULL, status INTEGER NOT NULL, reason TEXT, code TEXT, content BLOB, tag INTEGER, \
             mentions INTEGER NOT NULL, to_hand_on INTEGER NOT NULL",
            "missed: log TEXT NOT NULL PK1, seq INTEGER NOT NULL PK2, conversation TEXT NOT NULL, place INTEGER NOT NULL, at INTEGER NOT NULL, \
             author TEXT NOT NULL, device BLOB NOT NULL, n INTEGER NOT NULL, draft BLOB NOT NULL",
            "notices: id INTEGER PK1, at INTEGER NOT NULL, user TEXT NOT NULL, text TEXT NOT NULL",
            "once: id INTEGER PK1, name TEXT NOT NULL, message INTEGER NOT NULL",
            "outbox: id INTEGER PK1, log TEXT NOT NULL, kind INTEGER NOT NULL, message INTEGER, genesis BLOB, body BLOB, n INTEGER, draft BLOB",
            "own: log TEXT NOT NULL PK1, n INTEGER NOT NULL",
            "profile: key TEXT NOT NULL PK1, value BLOB NOT NULL",
            "rooms: log TEXT NOT NULL PK1, genesis BLOB NOT NULL, noticed INTEGER NOT NULL, members BLOB, title BLOB, tag INTEGER, \
             invited_by TEXT, withdrawn INTEGER NOT NULL, vouched INTEGER, vouched_hash BLOB",
            "suites: key BLOB NOT NULL PK1, value BLOB NOT NULL",
            "trusted: user TEXT NOT NULL PK1, accepted BLOB NOT NULL, verified BLOB",
        ]
    );
}

#[test]
fn a_profile_of_every_earlier_version_is_brought_to_this_one_with_what_is_in_it() {
    for version in 1..SCHEMAS.len() {
        let folder = TempDir::new().unwrap();
        let old = Connection::open(folder.path().join("profile.db")).unwrap();
        SCHEMAS[..version].iter().for_each(|schema| old.execute_batch(schema).unwrap());
        old.execute_batch(
            "INSERT INTO own VALUES ('public@s1', 7);
             INSERT INTO messages (conversation, log, author, kind, place, at, status) VALUES
               ('public', 'public@s1', 'bob@s1', 2, 1, 10, 4), ('public', 'public@s1', 'bob@s1', 2, 2, 20, 4);
             INSERT INTO messages (conversation, log, author, kind, at, status) VALUES ('public', 'public@s1', 'alice@s1', 2, 30, 0),
               ('bob@s2', 'room:x', 'alice@s1', 1, 40, 0);",
        )
        .unwrap();
        old.pragma_update(None, "user_version", version as i64).unwrap();
        drop(old);
        for _ in 0..2 {
            let store = Store::open(folder.path()).unwrap();
            assert_eq!((store.own_count(&public()).unwrap(), store.waited_for().unwrap().len()), (7, 0));
            let lines = store.lines().unwrap();
            // Since version 3 it is counted; what was there before that was seen.
            let (unseen, seen) = if version < 3 { (0, Some(2)) } else { (2, None) };
            assert_eq!(lines["public"], Line { messages: 3, newest: 30, unseen, mentioned: false });
            assert_eq!(lines["bob@s2"], Line { messages: 1, newest: 40, unseen: 0, mentioned: false });
            assert_eq!(store.part(&Target::Public, Anchor::End, 10).unwrap().seen, seen);
            assert_eq!((store.doubts().unwrap(), store.claims(&"s1".parse().unwrap()).unwrap()), (Vec::new(), Vec::new()));
        }
    }
}

#[test]
fn a_profile_of_a_newer_program_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.write(|tx| Ok(tx.pragma_update(None, "user_version", SCHEMA_VERSION + 1)?)).unwrap();
    drop(store);
    let newer = Store::open(folder.path()).err().unwrap();
    assert!(matches!(newer, ClientError::NewerSchema { found: 6, known: 5 }), "{newer}");
    assert_eq!(newer.exit_code(), 3);
}

#[test]
fn an_account_that_was_asked_for_survives_a_crash_with_its_words() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    assert!(store.account().unwrap().is_none());
    store.begin_account(&account(), Some("one two three")).unwrap();
    let store = crash(store, &folder);
    let kept = store.account().unwrap().unwrap();
    assert_eq!((kept.user, kept.endpoint, kept.stage), (account().user, account().endpoint, Stage::Asked));
    assert_eq!((kept.device, kept.secrets), (account().device, account().secrets));
    assert_eq!(words(&store), Some(("one two three".into(), true)));
    store.listed().unwrap();
    let store = crash(store, &folder);
    assert_eq!(store.account().unwrap().unwrap().stage, Stage::Listed);
    assert_eq!(words(&store), Some(("one two three".into(), true)), "until somebody has confirmed them");
    store.words_confirmed("one two").unwrap();
    assert_eq!(words(&store), Some(("one two three".into(), true)), "those, and no others");
    store.words_confirmed("one two three").unwrap();
    assert_eq!(words(&store), None);
    store.forget_account().unwrap();
    assert!(store.account().unwrap().is_none());
}

fn words(store: &Store) -> Option<(String, bool)> {
    store.words().unwrap().map(|(words, sure)| (words.to_string(), sure))
}

/// From before the server is asked for other words until somebody has confirmed them they are here.
#[test]
fn words_that_were_asked_for_survive_whatever_the_server_says() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.begin_account(&account(), Some("first")).unwrap();
    store.listed().unwrap();
    store.ask_words(Some("second")).unwrap();
    let store = crash(store, &folder);
    assert_eq!(words(&store), Some(("second".into(), false)), "whether they hold is not known");
    store.ask_words(None).unwrap();
    assert_eq!(words(&store), Some(("first".into(), true)), "the server has refused");
    store.ask_words(Some("third")).unwrap();
    store.set_secrets(b"of another device", false).unwrap();
    assert_eq!(words(&store), Some(("third".into(), false)), "another change says nothing of these");
    store.set_secrets(b"of this change", true).unwrap();
    let store = crash(store, &folder);
    assert_eq!(words(&store), Some(("third".into(), true)));
    store.words_confirmed("third").unwrap();
    assert_eq!(words(&store), None);
}

#[test]
fn writing_is_one_step_and_a_notice_goes_once_per_room() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    write_direct(&store, "bob@s2", "hello");
    write_direct(&store, "bob@s2", "again");
    write_direct(&store, "alice@s1", "note to self");
    let store = crash(store, &folder);
    let kinds: Vec<Kind> = store.outbox(0).unwrap().iter().map(|row| row.kind).collect();
    assert_eq!(kinds, [Kind::Notice, Kind::Sealed, Kind::Sealed, Kind::Sealed]);
    assert_eq!(store.timeline(&Target::from(&user("bob@s2")), 10).unwrap().len(), 2);
    let room = Genesis::direct(SuiteName::RsaJwe1, &user("alice@s1"), &user("bob@s2")).log();
    store.not_noticed(&room).unwrap();
    write_direct(&store, "bob@s2", "once more");
    let notices = store.outbox(0).unwrap().iter().filter(|row| row.kind == Kind::Notice).count();
    assert_eq!(notices, 2, "a notice that did not arrive is sent again");
}

#[test]
fn a_sealed_draft_is_the_same_bytes_after_a_crash() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    write_post(&store, "hello");
    let row = store.outbox(0).unwrap().remove(0);
    assert_eq!((row.sealed.clone(), row.body.as_slice()), (None, &b"hello"[..]));
    let draft = post(1, "sealed once");
    store.sealed(&[sealed(&row, &draft)]).unwrap();
    let store = crash(store, &folder);
    let row = store.outbox(0).unwrap().remove(0);
    assert_eq!(row.sealed, Some((1, draft.bytes().clone())));
    assert_eq!(store.own_count(&public()).unwrap(), 1);
    assert_eq!(store.own(&public(), &draft).unwrap().unwrap().content.unwrap(), b"hello");
    assert!(store.own(&public(), &post(1, "another")).unwrap().is_none());
    let twice = store.sealed(&[sealed(&row, &post(2, "sealed twice"))]);
    assert!(matches!(twice, Err(ClientError::OurBug(_))), "a draft is never made anew: {twice:?}");
}

#[test]
fn numbers_have_no_holes_and_a_batch_is_all_or_nothing() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    write_post(&store, "one");
    write_post(&store, "two");
    let rows = store.outbox(0).unwrap();
    let skipping = [sealed(&rows[0], &post(1, "one")), sealed(&rows[1], &post(3, "two"))];
    assert!(matches!(store.sealed(&skipping), Err(ClientError::OurBug(_))));
    assert_eq!(store.own_count(&public()).unwrap(), 0, "the first of them was rolled back with the second");
    assert!(store.outbox(0).unwrap().iter().all(|row| row.sealed.is_none()));
    store.sealed(&[sealed(&rows[0], &post(1, "one")), sealed(&rows[1], &post(2, "two"))]).unwrap();
    assert_eq!(store.own_count(&public()).unwrap(), 2);
}

#[test]
fn from_pending_over_waiting_to_sent() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let id = write_post(&store, "hello");
    let row = store.outbox(0).unwrap().remove(0);
    store.sealed(&[sealed(&row, &post(1, "hello"))]).unwrap();
    assert_eq!(status(&store, id), Status::Pending);
    store.waiting(row.id).unwrap();
    assert_eq!(status(&store, id), Status::Waiting);
    let store = crash(store, &folder);
    assert_eq!(store.outbox(0).unwrap().len(), 1, "what waits is submitted again on the next link");
    store.accepted(&[(row.id, 12, Some(12))]).unwrap();
    assert_eq!(status(&store, id), Status::Sent { seq: 12 });
    assert!(store.outbox(0).unwrap().is_empty());
    store.waiting(row.id).unwrap();
    assert_eq!(status(&store, id), Status::Sent { seq: 12 }, "a late answer takes nothing back");
}

#[test]
fn what_failed_is_shown_with_its_text_and_its_number_is_free_again() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let id = write_post(&store, "hello");
    let row = store.outbox(0).unwrap().remove(0);
    store.sealed(&[sealed(&row, &post(1, "hello"))]).unwrap();
    store.failed(row.id, "you may not do this", Some("Forbidden")).unwrap();
    let message = store.message(id).unwrap().unwrap();
    assert_eq!(message.status, Status::Failed { reason: "you may not do this".into(), code: Some("Forbidden".into()) });
    assert_eq!(message.content.unwrap(), b"hello");
    assert_eq!(store.own_count(&public()).unwrap(), 0);
    assert!(store.outbox(0).unwrap().is_empty());
}

#[test]
fn renumbering_unseals_what_is_left_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    for text in ["one", "two", "three"] {
        write_post(&store, text);
    }
    write_direct(&store, "bob@s2", "elsewhere");
    let rows = store.outbox(0).unwrap();
    let made: Vec<Sealed> = (1..=3).map(|n| sealed(&rows[n - 1], &post(n as u64, "x"))).collect();
    store.sealed(&made).unwrap();
    store.failed(rows[1].id, "no", None).unwrap();
    store.renumber(&public(), 1).unwrap();
    let store = crash(store, &folder);
    let left = store.outbox(0).unwrap();
    assert!(left.iter().filter(|row| row.log == public()).all(|row| row.sealed.is_none()));
    assert_eq!(store.own_count(&public()).unwrap(), 1);
    assert!(left.iter().any(|row| row.kind == Kind::Sealed && row.body == b"elsewhere"), "other logs are not touched");
}

#[test]
fn what_arrives_is_committed_with_its_cursor() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let genesis = Genesis::direct(SuiteName::RsaJwe1, &user("alice@s1"), &user("bob@s2"));
    let arrived = Batch {
        rows: vec![received(1, "one"), received(2, "two")],
        counted: vec![heard(1), heard(2)],
        stubs: 3,
        outbox: vec![(LogName::Inbox(user("bob@s2")), Kind::Invitation, b"which".to_vec())],
        hashes: vec![(2, Hash([7; 32]))],
        rooms: vec![genesis.clone().into()],
        ..batch(public(), 2)
    };
    store.arrived(&arrived).unwrap();
    let store = crash(store, &folder);
    let [log] = &store.logs().unwrap()[..] else { panic!("one log") };
    assert_eq!((&log.log, log.tip, log.stubs, &log.stopped), (&public(), arrived.tip, 3, &None));
    assert_eq!(store.counted(&public()).unwrap(), [heard(2)].into());
    assert_eq!(store.hash_at(&public(), 2).unwrap(), Some(Hash([7; 32])));
    assert_eq!(store.rooms().unwrap()[0].genesis, genesis);
    assert_eq!(
        store.outbox(0).unwrap().iter().map(|row| (row.kind, row.body.clone())).collect::<Vec<_>>(),
        [(Kind::Invitation, b"which".to_vec())]
    );
    let texts: Vec<_> = store.timeline(&Target::Public, 10).unwrap().into_iter().map(|row| row.content.unwrap()).collect();
    assert_eq!(texts, [b"one", b"two"]);
    // The same entries again break a key of `hashes`; then nothing of the batch may be there.
    assert!(store.arrived(&Batch { rows: vec![received(3, "three")], tip: Tip { seq: 3, hash: Hash([3; 32]) }, ..arrived }).is_err());
    assert_eq!((store.timeline(&Target::Public, 10).unwrap().len(), store.outbox(0).unwrap().len()), (2, 1));
    assert_eq!(store.logs().unwrap()[0].tip.seq, 2);
}

#[test]
fn an_own_draft_that_comes_back_needs_no_answer() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let id = write_post(&store, "hello");
    let row = store.outbox(0).unwrap().remove(0);
    let draft = post(1, "hello");
    store.sealed(&[sealed(&row, &draft)]).unwrap();
    let sent = |hash| vec![OwnSent { n: 1, draft: hash, seq: 8, place: 30, at: 99 }];
    store.arrived(&Batch { sent: sent(draft.hash()), ..batch(public(), 8) }).unwrap();
    assert_eq!(status(&store, id), Status::Sent { seq: 8 });
    assert!(store.outbox(0).unwrap().is_empty());
    assert_eq!(store.message(id).unwrap().unwrap().at, 99);
}

#[test]
fn the_timeline_goes_by_place_and_what_has_none_comes_last() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    write_post(&store, "pending");
    let rows = [3, 1, 2].map(|place| NewRow { place, ..received(place, &format!("at {place}")) });
    store.arrived(&Batch { rows: rows.into(), ..batch(public(), 3) }).unwrap();
    let texts = |limit| -> Vec<String> {
        let rows = store.timeline(&Target::Public, limit).unwrap();
        rows.into_iter().map(|row| String::from_utf8(row.content.unwrap()).unwrap()).collect()
    };
    assert_eq!(texts(10), ["at 1", "at 2", "at 3", "pending"]);
    assert_eq!(texts(2), ["at 3", "pending"], "the newest, oldest first");
}

#[test]
fn secrets_do_not_stay_in_the_file_once_forgotten() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let words = "abandon ability able about above absent";
    store.begin_account(&account(), Some(words)).unwrap();
    store.listed().unwrap();
    store.ask_words(Some(words)).unwrap();
    store.set_secrets(&account().secrets, true).unwrap();
    store.words_confirmed(words).unwrap();
    store.close();
    for file in folder.path().read_dir().unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(words.len()).any(|window| window == words.as_bytes()), "{}", path.display());
    }
}

#[test]
fn sealed_secrets_are_not_in_the_file_and_open_with_their_key_alone() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let key = ProfileKey::generate();
    let with = |store: &Store, key: &ProfileKey| store.guard().as_mut().unwrap().secrets = Secrets(Some(key.clone()));
    with(&store, &key);
    let words = "abandon ability able about above absent";
    let secret = Account { device: Zeroizing::new(vec![0xd7; 32]), secrets: Zeroizing::new(vec![0xe9; 64]), ..account() };
    store.begin_account(&secret, Some(words)).unwrap();
    let store = crash(store, &folder);
    with(&store, &key);
    let kept = store.account().unwrap().unwrap();
    assert_eq!((kept.device, kept.secrets), (secret.device, secret.secrets));
    assert_eq!(store.words().unwrap().unwrap().0.as_str(), words);
    store.ask_words(Some(words)).unwrap();
    store.set_secrets(&[0xc3; 48], false).unwrap();
    assert_eq!(store.account().unwrap().unwrap().secrets.as_slice(), [0xc3; 48]);
    let suite = Change::Put(b"mls/secrets/x".to_vec(), vec![0xb5; 40]);
    store.suite_changed(&[suite, Change::Put(b"gone".to_vec(), vec![1]), Change::Delete(b"gone".to_vec())]).unwrap();
    assert_eq!((store.suite(b"mls/secrets/x").unwrap(), store.suite(b"gone").unwrap()), (Some(vec![0xb5; 40]), None));
    let image = store.image().unwrap();
    for plain in [&[0xd7; 32][..], &[0xe9; 48], &[0xc3; 48], &[0xb5; 40], words.as_bytes()] {
        assert!(!image.windows(plain.len()).any(|window| window == plain));
    }
    with(&store, &ProfileKey::generate());
    assert!(matches!(store.account(), Err(ClientError::SealedAway)));
    assert!(matches!(store.words(), Err(ClientError::SealedAway)));
    assert!(matches!(store.suite(b"mls/secrets/x"), Err(ClientError::SealedAway)));
}
