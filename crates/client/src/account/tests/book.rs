//! The part of the vault that every device of an account reads and writes: nothing in it is lost when two write at once.

use super::*;
use crate::account::book;
use crate::crypto::Crypto;
use crate::engine::Core;
use crate::engine::tests::bench::{Person, keys_entry};
use crate::view::Trust;
use tidings_e2ee::AccountSecrets;
use tidings_trust::Fingerprint;

/// The profile in a folder, as an open client has it.
fn core(folder: &TempDir) -> Core {
    let store = Store::open(folder.path()).unwrap();
    let crypto = Crypto::new(&store.account().unwrap().unwrap()).unwrap();
    Core::new(store, crypto).unwrap()
}

async fn link(server: &Server, core: &Core) -> Link {
    dial(&server.endpoint, core.me(), core.crypto.device_secret()).await.unwrap()
}

/// The vault as the server has it.
fn vault(server: &Server) -> Vault {
    server.accounts.lock().unwrap().vault(1)
}

fn bob() -> UserName {
    "bob@s2".parse().unwrap()
}

/// Another device of the account, which compares bob's key just before this one writes.
fn compares_bob(secrets: AccountSecrets, at: u8) -> Rival {
    Box::new(move |vault| {
        let mut book = secrets.read_book(&alice(), vault).unwrap();
        book.verified.retain(|(user, _)| *user != bob());
        book.verified.push((bob(), Fingerprint(Hash([at; 32]))));
        secrets.write_book(&alice(), vault, &book).unwrap()
    })
}

#[tokio::test]
async fn what_one_device_writes_down_is_read_on_the_others() {
    let server = start().await;
    let (first, second) = (folder(), folder());
    server.register(&first).await.unwrap();
    server.login(&second, password("correct horse")).await.unwrap();
    let (laptop, phone) = (core(&first), core(&second));
    let key = laptop.crypto.device();
    book::change(&laptop, &mut link(&server, &laptop).await, |book| book.name(key, "laptop")).await.unwrap();
    assert_eq!(laptop.store.device_names().unwrap(), [(key, "laptop".to_owned())]);
    assert_eq!(phone.store.device_names().unwrap(), []);
    book::refresh(&phone, &mut link(&server, &phone).await).await.unwrap();
    assert_eq!(phone.store.device_names().unwrap(), [(key, "laptop".to_owned())]);
    book::change(&phone, &mut link(&server, &phone).await, |book| book.name(key, "")).await.unwrap();
    book::learn(&laptop, &vault(&server)).unwrap();
    assert_eq!(laptop.store.device_names().unwrap(), [], "also what was taken back");
}

/// Control: without the second reading, the rival's words are written over.
#[tokio::test]
async fn a_book_that_another_device_changes_first_is_changed_anew_and_nothing_is_lost() {
    for (rivals, is_done) in [(1, true), (4, true), (5, false)] {
        let server = start().await;
        let profile = folder();
        server.register(&profile).await.unwrap();
        let laptop = core(&profile);
        let key = laptop.crypto.device();
        let quicker = (1..=rivals).map(|at| compares_bob(laptop.crypto.secrets(), at));
        server.accounts.lock().unwrap().rivals.extend(quicker);
        let changed = book::change(&laptop, &mut link(&server, &laptop).await, |book| book.name(key, "laptop")).await;
        assert_eq!(changed.is_ok(), is_done, "{rivals} rivals: {changed:?}");
        let book = laptop.crypto.secrets().read_book(&alice(), &vault(&server).vault).unwrap();
        assert_eq!(book.verified, [(bob(), Fingerprint(Hash([rivals; 32])))], "the rival's last word");
        assert_eq!(book.name_of(&key), is_done.then_some("laptop"));
        if let Err(error) = changed {
            assert_eq!(error.exit_code(), 75, "{error}");
        }
    }
}

/// A device that is new reads the vault before it has met anybody.
#[tokio::test]
async fn who_was_compared_on_another_device_is_so_here_also_if_they_are_met_later() {
    let server = start().await;
    let profile = folder();
    server.register(&profile).await.unwrap();
    let laptop = core(&profile);
    let person = Person::new("bob@s2", 2, 3).await;
    let identity = person.state.list.identity.fingerprint();
    book::update(&mut link(&server, &laptop).await, &laptop.crypto.secrets(), &alice(), |book| book.verified.push((bob(), identity)))
        .await
        .unwrap();
    book::learn(&laptop, &vault(&server)).unwrap();
    let learned = laptop.people().judge(&bob(), &[keys_entry(1, person.first())]);
    laptop.store.learned(&bob(), &learned).unwrap();
    laptop.people().take(&bob(), learned);
    assert_eq!(laptop.people().trust_in(&bob()), Trust::Verified);
    // What was compared is one key, and says nothing about another.
    book::update(&mut link(&server, &laptop).await, &laptop.crypto.secrets(), &alice(), |book| {
        book.verified = vec![(bob(), Fingerprint(Hash([7; 32])))];
    })
    .await
    .unwrap();
    book::learn(&laptop, &vault(&server)).unwrap();
    assert_eq!(laptop.people().trust_in(&bob()), Trust::Pinned);
}

/// Acceptance follows the account too, for the identity that is seen here and for no other.
#[tokio::test]
async fn what_was_accepted_on_another_device_is_accepted_here_if_it_is_what_is_seen_here() {
    let server = start().await;
    let profile = folder();
    server.register(&profile).await.unwrap();
    let laptop = core(&profile);
    let mut person = Person::new("bob@s2", 2, 3).await;
    person.begins_anew(0, 4).await;
    for (seq, draft) in &person.history {
        let learned = laptop.people().judge(&bob(), &[keys_entry(*seq, draft)]);
        laptop.store.learned(&bob(), &learned).unwrap();
        laptop.people().take(&bob(), learned);
    }
    assert_eq!(laptop.people().trust_in(&bob()), Trust::Changed);
    for (accepted, then) in [(Fingerprint(Hash([7; 32])), Trust::Changed), (person.state.list.identity.fingerprint(), Trust::Pinned)] {
        book::update(&mut link(&server, &laptop).await, &laptop.crypto.secrets(), &alice(), |book| {
            book.accepted = vec![(bob(), accepted)];
        })
        .await
        .unwrap();
        book::learn(&laptop, &vault(&server)).unwrap();
        assert_eq!(laptop.people().trust_in(&bob()), then);
    }
    laptop.store.close();
    assert_eq!(core(&profile).people().trust_in(&bob()), Trust::Pinned, "it is durable");
}

/// Another device has changed the keys, or the server sends what is no vault of this account's: what is known here stays.
#[tokio::test]
async fn a_vault_that_does_not_open_changes_nothing_and_asks_for_the_password() {
    let (server, other) = (start().await, start().await);
    let (profile, elsewhere) = (folder(), folder());
    server.register(&profile).await.unwrap();
    other.register(&elsewhere).await.unwrap();
    let laptop = core(&profile);
    let key = laptop.crypto.device();
    book::change(&laptop, &mut link(&server, &laptop).await, |book| book.name(key, "laptop")).await.unwrap();
    assert!(!*laptop.locked.borrow());
    book::learn(&laptop, &vault(&other)).unwrap();
    assert!(*laptop.locked.borrow());
    assert_eq!(laptop.store.device_names().unwrap(), [(key, "laptop".to_owned())]);
    book::learn(&laptop, &vault(&server)).unwrap();
    assert!(!*laptop.locked.borrow(), "it opens again");
    for bytes in [b"no vault".to_vec(), Vec::new()] {
        let keys = bytes.into();
        book::learn(&laptop, &Vault { req: 1, vault: SealedVault { keys, ..vault(&server).vault } }).unwrap();
    }
    // The right one under another number is another one.
    let mut moved = vault(&server);
    moved.vault.version += 1;
    book::learn(&laptop, &moved).unwrap();
    assert_eq!(laptop.store.device_names().unwrap(), [(key, "laptop".to_owned())]);
}

/// Whoever is listed can put rubbish there. It asks for no password, and the next change begins a new book.
#[tokio::test]
async fn a_book_that_somebody_has_spoiled_is_begun_anew() {
    let server = start().await;
    let profile = folder();
    server.register(&profile).await.unwrap();
    let laptop = core(&profile);
    let key = laptop.crypto.device();
    book::change(&laptop, &mut link(&server, &laptop).await, |book| book.name(key, "laptop")).await.unwrap();
    server.accounts.lock().unwrap().vault.book = Bytes::from_static(b"rubbish");
    book::learn(&laptop, &vault(&server)).unwrap();
    assert!(!*laptop.locked.borrow(), "its keys are the account's");
    assert_eq!(laptop.store.device_names().unwrap(), [(key, "laptop".to_owned())], "what is known here stays");
    book::change(&laptop, &mut link(&server, &laptop).await, |book| book.name(key, "my laptop")).await.unwrap();
    let book = laptop.crypto.secrets().read_book(&alice(), &vault(&server).vault).unwrap();
    assert_eq!(book.name_of(&key), Some("my laptop"));
}
