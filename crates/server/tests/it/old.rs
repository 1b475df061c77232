//! Files that earlier programs have written open in this one, with what is in them. `old/` has one of each version since formats were frozen.

use crate::support::user;
use std::path::Path;
use tidings_proto::chain::{self, Tip};
use tidings_proto::{DeviceKey, Entry, LogName};
use tidings_server::store::sqlite::SqliteStore;
use tidings_server::store::{Change, KeyPackage, Most, Owner, Questions, Range, Store, Wanted};

const FILES: [&str; 1] = [include_str!("old/version_8.sql")];

/// What the file's tables are.
fn tables(path: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut query = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_file_of_every_frozen_version_opens_with_what_is_in_it() {
    for written in FILES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tidings.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch(written).unwrap();
        let store = SqliteStore::open(&path).unwrap();
        let loaded = store.load().await.unwrap();
        for log in &loaded.logs {
            let page = store.page(log.number, Range::After(0), Most { entries: 100, bytes: usize::MAX }).await.unwrap();
            let mut tip = Tip::EMPTY;
            for stored in page.entries {
                tip = chain::extend(&log.name, &tip, &Entry::read(&stored.entry).unwrap()).unwrap();
            }
            assert_eq!(tip, log.tip, "{}: every entry, each after the one before", log.name);
        }
        let mut names: Vec<&LogName> = loaded.logs.iter().map(|log| &log.name).collect();
        names.dedup();
        assert_eq!((names.len(), loaded.logs.iter().map(|log| log.tip.seq).sum::<u64>()), (11, 38));
        // Who had an inbox has a place for their devices' history.
        for name in names.iter().filter(|name| matches!(name, LogName::Inbox(_))) {
            let history = name.to_string().replace("inbox:", "history:");
            assert!(names.contains(&&history.parse().unwrap()), "{history}");
        }
        let group = loaded.logs.iter().find(|log| log.people.is_some()).unwrap();
        assert!(!group.followed, "bob was the last to leave it");
        assert_eq!((loaded.registered.len(), loaded.claims), (2, vec![user("dora@s2")]));
        assert!(store.account(user("bob@s2")).await.unwrap().unwrap().vault.version > 0);
        let queues = store.queues().await.unwrap();
        let (peer, queue) = queues.first_key_value().unwrap();
        assert_eq!((peer.as_str(), queue.entries), ("s1", 1));
        assert_eq!(store.outbox(peer.clone(), 0, 10).await.unwrap().len(), 1);
        // What is new since finds its place, and the file is one like others.
        let owner = Owner { user: user("bob@s2"), device: DeviceKey([1; 32]) };
        let package = KeyPackage::new("a key package".into(), false);
        store.commit(vec![Change::KeyPackage { owner: owner.clone(), package: package.clone() }]).await.unwrap();
        store.close().await;
        let store = SqliteStore::open(&path).unwrap();
        let stocks = [(owner, Wanted { claims: 9, offered: Vec::new() })].into();
        let found = store.look_up(Questions { stocks, ..Questions::default() }).await.unwrap().stocks;
        assert_eq!(found[0].next, [package]);
        store.close().await;
        let new = folder.path().join("new.db");
        SqliteStore::open(&new).unwrap().close().await;
        assert_eq!(tables(&path), tables(&new));
    }
}
