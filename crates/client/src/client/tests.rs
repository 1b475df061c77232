//! What the handle refuses before anything is kept. Not here: links; they are in the driver's tests.

use super::*;
use crate::engine::tests::bench::Person;
use tempfile::TempDir;
use tidings_proto::limits;

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_kept() {
    let folder = TempDir::new().unwrap();
    let alice = Person::new("alice@s1", 0, 1).await;
    let store = Store::open(folder.path()).unwrap();
    store.begin_account(&alice.account, None).unwrap();
    store.listed().unwrap();
    store.close();
    let client = Client::open(folder.path()).unwrap();
    for text in [String::new(), "x".repeat(limits::TEXT + 1)] {
        let error = client.send(&Target::Public, &text).await.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
    client.send(&Target::Public, &"x".repeat(limits::TEXT)).await.unwrap();
    assert_eq!(client.timeline(&Target::Public, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_profile_without_a_finished_account_is_not_opened() {
    let folder = TempDir::new().unwrap();
    let nowhere = folder.path().join("nowhere");
    assert!(matches!(Client::open(&nowhere), Err(ClientError::NoAccount(_))));
    assert!(!nowhere.exists(), "looking makes nothing");
    let alice = Person::new("alice@s1", 0, 1).await;
    let store = Store::open(folder.path()).unwrap();
    store.begin_account(&alice.account, Some("the words")).unwrap();
    store.close();
    let error = Client::open(folder.path()).err().unwrap();
    assert!(matches!(&error, ClientError::Unfinished(user) if *user == alice.user));
    assert_eq!(error.exit_code(), 3);
}
