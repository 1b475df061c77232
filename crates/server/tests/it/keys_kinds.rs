//! The five kinds of `keys@`: what comes alone, what takes the password, what takes the server's word, and what comes after the
//! end. On the home server, and on peers that know its key.

use crate::support::{Home, How, IDENTITY, Note, OTHER, Person, code, direct, key, keys, sealed, server, sign, some_key, user};
use bytes::Bytes;
use std::time::{SystemTime, UNIX_EPOCH};
use tidings_proto::draft::Gone;
use tidings_proto::frame::{Grant, Secret};
use tidings_proto::{Code, DeviceKey, Draft, Entry, Hash, Kind, Payload, Signature, cbor};
use tidings_server::logs::{Admission, NewAccount, NewCode, Origin, Proof};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

async fn reset_code(home: &Home, who: &Person, text: &str) {
    let code = NewCode { hash: Hash::of(text.as_bytes()), user: Some(who.name.clone()), uses: 1, expires: now() + 60_000, reset: true };
    home.logs.add_code(code).await.unwrap();
}

/// Somebody who has lost everything: another device and another identity, and the vault that comes next.
fn anew(who: &Person, grant: &Grant) -> Person {
    Person {
        devices: vec![key("a new beginning")],
        version: grant.version - 1,
        prev: Some(grant.prev),
        identity: &OTHER,
        encryption: 9,
        vault: (grant.vault, Bytes::from_static(b"a new vault")),
        name: who.name.clone(),
    }
}

fn account(who: &Person, code: &str) -> NewAccount {
    let admission = Admission::Reset(code.into());
    let (password, recovery) = (Bytes::from_static(b"new password record"), Bytes::from_static(b"new recovery record"));
    NewAccount { user: who.name.clone(), device: who.device(), password, recovery, vault: sealed(who.vault.0, &who.vault.1), admission }
}

/// Lets an account begin anew on other devices, or on these.
pub async fn begin_anew(home: &Home, who: &Person, devices: &[ed25519_dalek::SigningKey]) -> Person {
    let text = format!("{} begins anew", who.name);
    reset_code(home, who, &text).await;
    let device = devices.last().map_or_else(|| key("a new beginning"), Clone::clone);
    let grant = home.logs.grant(&who.name, &crate::support::device(&device), &text).await.unwrap().unwrap();
    let mut fresh = Person { devices: vec![device], ..anew(who, &grant) };
    // Where the device has written a list before, this is its next.
    let n = 1 + u64::from(!devices.is_empty());
    let list = fresh.list_of(n, How { kind: Some(Kind::Reset), grant: Some(grant), ..How::default() });
    home.logs.register(account(&fresh, &text), list.bytes().clone()).await.unwrap();
    fresh
}

#[tokio::test]
async fn a_list_alone_adds_devices_and_does_nothing_else() {
    let home = Home::new("s1").await;
    let log = keys("s1");
    let mut alice = home.person("alice").await;
    alice.devices.push(key("alice's second"));
    let list = alice.next_list(1);
    home.logs.append(alice.guest(list.device), &log, list.bytes().clone(), None).await.unwrap();
    let as_second = Origin::Device { user: alice.name.clone(), device: list.device };
    let with = |change: &dyn Fn(&mut Person) -> How| {
        let mut bent = Person { devices: alice.devices.clone(), name: alice.name.clone(), vault: alice.vault.clone(), ..alice };
        let how = change(&mut bent);
        bent.list_of(2, how)
    };
    let rotate = || How { kind: Some(Kind::Rotate), by_old: Some(&IDENTITY), grant: None };
    for (what, draft) in [
        (
            "another encryption key",
            with(&|it| {
                it.encryption = 5;
                How::default()
            }),
        ),
        (
            "a device less",
            with(&|it| {
                it.devices.remove(0);
                How::default()
            }),
        ),
        (
            "another identity",
            with(&|it| {
                (it.identity, it.encryption) = (&OTHER, 5);
                rotate()
            }),
        ),
    ] {
        for origin in [as_second.clone(), alice.guest(draft.device)] {
            let refused = code(home.logs.append(origin.clone(), &log, draft.bytes().clone(), None).await);
            let is_guest_rotating = matches!(origin, Origin::Guest { .. }) && draft.kind == Kind::Rotate;
            assert_eq!(refused, if is_guest_rotating { Code::Forbidden } else { Code::PasswordNeeded }, "{what}");
        }
    }
    for kind in [Kind::First, Kind::Reset, Kind::Gone] {
        let draft = with(&|_| How { kind: Some(kind), ..How::default() });
        assert_eq!(code(home.logs.append(as_second.clone(), &log, draft.bytes().clone(), None).await), Code::Forbidden, "{kind:?}");
    }
    assert_eq!(home.logs.directory().state(&alice.name).unwrap().version(), 2);
    alice.devices.insert(0, key("alice's third"));
    let list = alice.next_list(2);
    home.logs.append(as_second, &log, list.bytes().clone(), None).await.unwrap();
}

/// Whoever guessed or stole a password loses what it opened when it is changed.
#[tokio::test]
async fn a_guests_login_counts_while_the_secret_is_the_one_it_proved() {
    let home = Home::new("s1").await;
    let log = keys("s1");
    let mut alice = home.person("alice").await;
    let proof = |secret, record: &[u8]| Proof { secret, record: Hash::of(record) };
    let mut secrets = alice.next_vault();
    secrets.password = Some(Bytes::from_static(b"another password record"));
    let list = alice.next_list(2);
    let origin = alice.origin();
    home.logs.rekey(origin, Person::proof(), secrets, list.bytes().clone()).await.unwrap();
    alice.devices.push(key("alice's second"));
    let list = alice.next_list(1);
    for (what, proof, good) in [
        ("the password of before", Person::proof(), false),
        ("the new password's record as the code's", proof(Secret::Recovery, b"another password record"), false),
        ("nothing", proof(Secret::Password, b""), false),
        ("the code, which is as it was", proof(Secret::Recovery, b"recovery record"), true),
    ] {
        let origin = Origin::Guest { user: alice.name.clone(), device: list.device, proof };
        let result = home.logs.append(origin, &log, list.bytes().clone(), None).await;
        match good {
            true => drop(result.unwrap()),
            false => assert_eq!(code(result), Code::PasswordNeeded, "{what}"),
        }
    }
}

#[tokio::test]
async fn an_account_begins_anew_with_a_code_made_for_it_and_the_servers_word() {
    let home = Home::new("s1").await;
    let (mut alice, bob) = (home.person("alice").await, home.person("bob").await);
    home.append(&alice, &bob.inbox(), &alice.notice(1, &bob, &direct(&alice, &bob))).await.unwrap();
    home.rekey(&mut alice, 2).await.unwrap(); // vault 2, list 2
    reset_code(&home, &alice, "anew").await;
    let fresh = DeviceKey(key("a new beginning").verifying_key().to_bytes());
    for (user, code) in [(&alice.name, "no such"), (&bob.name, "anew"), (&user("nobody@s1"), "anew")] {
        assert!(home.logs.grant(user, &fresh, code).await.unwrap().is_none());
    }
    let grant = home.logs.grant(&alice.name, &fresh, "anew").await.unwrap().unwrap();
    let state = home.logs.directory().state(&alice.name).unwrap();
    assert_eq!((grant.server, grant.version, grant.prev, grant.vault), (home.key, 3, state.list_hash, 3));

    let how = || How { kind: Some(Kind::Reset), grant: Some(grant.clone()), ..How::default() };
    let good = anew(&alice, &grant).list_of(1, how());
    let other_grant = |change: &dyn Fn(&mut Grant)| {
        let mut bent = grant.clone();
        change(&mut bent);
        anew(&alice, &grant).list_of(1, How { grant: Some(bent), ..how() })
    };
    let mut as_bob = account(&anew(&alice, &grant), "anew");
    as_bob.user = bob.name.clone();
    let mut other_vault = account(&anew(&alice, &grant), "anew");
    other_vault.vault.keys = Bytes::from_static(b"not the one that the list names");
    let mut late_vault = anew(&alice, &grant);
    late_vault.vault.0 += 1;
    let whose = || account(&anew(&alice, &grant), "anew");
    reset_code(&home, &bob, "bob's").await;
    let welcome = NewCode { hash: Hash::of(b"welcome"), user: None, uses: 9, expires: now() + 60_000, reset: false };
    home.logs.add_code(welcome).await.unwrap();
    let by = |code: &str| account(&anew(&alice, &grant), code);
    // A word that is true, of a server that has nothing to say here.
    let stranger = key("s2");
    let signed = sign(&stranger)(&Grant::signed_bytes(&alice.name, grant.version, &grant.prev, &fresh));
    let of_another = other_grant(&|it| (it.server, it.sig) = (some_key("s2"), signed));
    let first = NewAccount { admission: Admission::Open, ..whose() };
    for (what, account, draft, expected) in [
        ("another code", account(&anew(&alice, &grant), "guess"), good.clone(), Code::BadCode),
        ("an invitation", by("welcome"), good.clone(), Code::BadCode),
        ("somebody else's code", by("bob's"), good.clone(), Code::BadCode),
        ("another server's true word", whose(), of_another, Code::BadSignature),
        ("for somebody else", as_bob, good.clone(), Code::Forbidden),
        ("as a registration", first, good.clone(), Code::Forbidden),
        ("no word of the server", whose(), anew(&alice, &grant).list_of(1, How { grant: None, ..how() }), Code::BadSignature),
        ("another server's word", whose(), other_grant(&|it| it.server = some_key("s2")), Code::BadSignature),
        ("for another version", whose(), other_grant(&|it| it.version = 4), Code::BadSignature),
        ("a word nobody gave", whose(), other_grant(&|it| it.sig = Signature([0; 64])), Code::BadSignature),
        ("a list, not a reset", whose(), anew(&alice, &grant).list_of(1, How { kind: Some(Kind::List), ..how() }), Code::Forbidden),
        ("another vault", other_vault, good.clone(), Code::Conflict),
        ("a later vault", whose(), late_vault.list_of(1, how()), Code::Conflict),
    ] {
        assert_eq!(code(home.logs.register(account, draft.bytes().clone()).await), expected, "{what}");
    }
    assert_eq!(home.logs.directory().state(&alice.name).unwrap().version(), 2, "nothing of that has changed anything");

    let placed = home.logs.register(whose(), good.bytes().clone()).await.unwrap();
    assert_eq!(home.logs.register(whose(), good.bytes().clone()).await.unwrap(), placed, "the answer was lost");
    let home = home.restart().await;
    let state = home.logs.directory().state(&alice.name).unwrap();
    assert!(state.version() == 3 && state.device(&fresh).is_some() && state.device(&alice.device()).is_none());
    let kept = home.logs.account(&alice.name).await.unwrap().unwrap();
    assert_eq!((&kept.password[..], &kept.recovery[..]), (&b"new password record"[..], &b"new recovery record"[..]));
    assert_eq!(kept.vault, sealed(3, &"a new vault".into()));
    assert_eq!(home.logs.member_rooms(&alice.name).await.unwrap().len(), 1, "the name keeps its rooms");
    assert_eq!(code(home.append(&alice, &alice.inbox(), &alice.notice(1, &alice, &direct(&alice, &alice))).await), Code::Revoked);
    // The code is used up, and a grant is for one version only.
    assert!(home.logs.grant(&alice.name, &fresh, "anew").await.unwrap().is_none());
    let again = Person { devices: vec![key("a thief")], ..anew(&alice, &grant) }.list_of(1, how());
    let thief = NewAccount { device: again.device, ..account(&anew(&alice, &grant), "anew") };
    assert_eq!(code(home.logs.register(thief, again.bytes().clone()).await), Code::Conflict);
}

#[tokio::test]
async fn a_code_for_a_reset_opens_nothing_else_and_an_invitation_resets_nothing() {
    let home = Home::new("s1").await;
    let alice = home.person("alice").await;
    let make = |code: &str, user: Option<&str>, reset| {
        let user = user.map(|it| it.parse().unwrap());
        home.logs.add_code(NewCode { hash: Hash::of(code.as_bytes()), user, uses: 1, expires: now() + 60_000, reset })
    };
    assert_eq!(code(make("whose", None, true).await), Code::Malformed);
    assert_eq!(code(make("nobody's", Some("nobody@s1"), true).await), Code::NotFound);
    assert_eq!(code(make("a peer's", Some("zoe@s2"), true).await), Code::NotFound);
    assert_eq!(code(make("taken", Some("alice@s1"), false).await), Code::NameTaken);
    make("anew", Some("alice@s1"), true).await.unwrap();
    make("welcome", None, false).await.unwrap();
    assert_eq!(code(Person::new("bob@s1").join_with(&home.logs, Some("anew")).await), Code::BadCode);
    assert!(home.logs.grant(&alice.name, &alice.device(), "welcome").await.unwrap().is_none());
    // Another code makes the one before worthless; one that has run out is worthless too.
    make("again", Some("alice@s1"), true).await.unwrap();
    assert!(home.logs.grant(&alice.name, &alice.device(), "anew").await.unwrap().is_none());
    let late = NewCode { hash: Hash::of(b"late"), user: Some(alice.name.clone()), uses: 1, expires: now() - 1, reset: true };
    home.logs.add_code(late).await.unwrap();
    let fresh = DeviceKey(key("a new beginning").verifying_key().to_bytes());
    let grant = home.logs.grant(&alice.name, &fresh, "late").await.unwrap().unwrap();
    let draft = anew(&alice, &grant).list_of(1, How { kind: Some(Kind::Reset), grant: Some(grant.clone()), by_old: None });
    assert_eq!(code(home.logs.register(account(&anew(&alice, &grant), "late"), draft.bytes().clone()).await), Code::BadCode);
    assert!(!home.logs.is_kept_back(&alice.name), "such a code keeps no name back");
}

#[tokio::test]
async fn a_closed_account_is_gone_for_good() {
    let home = Home::new("s1").await;
    let (mut alice, bob) = (home.person("alice").await, home.person("bob").await);
    let log = crate::support::public("s1");
    home.append(&alice, &log, &alice.post(1, "hello")).await.unwrap();
    reset_code(&home, &alice, "anew").await;
    let mut changes = home.logs.directory().changes();
    let placed = home.logs.close_account(&alice.name).await.unwrap();
    assert_eq!(changes.recv().await.unwrap(), alice.name, "her links hear of it");
    let entry = Entry::read(home.read(&keys("s1")).await.1.last().unwrap()).unwrap();
    let draft = entry.draft().unwrap();
    assert_eq!((entry.seq, draft.kind, draft.device.0, &draft.author), (placed.seq, Kind::Gone, home.key.0, &alice.name));

    let home = home.restart().await;
    assert_eq!(code(home.logs.close_account(&alice.name).await), Code::Closed);
    assert_eq!(code(home.logs.close_account(&user("nobody@s1")).await), Code::NotFound);
    assert!(home.logs.account(&alice.name).await.unwrap().is_none(), "whoever logs in finds nobody");
    let state = home.logs.directory().state(&alice.name).unwrap();
    assert!(state.closed && state.version() == 2 && state.device(&alice.device()).is_none());
    assert_eq!(code(home.append(&alice, &log, &alice.post(2, "still me")).await), Code::Revoked);
    let list = alice.next_list(2);
    assert_eq!(code(home.append(&alice, &keys("s1"), &list).await), Code::Closed);
    assert_eq!(code(home.rekey(&mut alice, 2).await), Code::PasswordNeeded, "there is no secret any more that could be proved");
    assert_eq!(code(home.logs.put_book(&alice.name, &alice.device(), 2, Bytes::from_static(b"x")).await), Code::Closed);
    // The name is never issued again, by whatever code.
    let mut new = Person { devices: vec![key("another alice")], ..Person::new("alice@s1") };
    assert_eq!(code(new.join(&home.logs).await), Code::NameTaken);
    let code_for = |reset| NewCode { hash: Hash::of(b"x"), user: Some(alice.name.clone()), uses: 1, expires: now() + 60_000, reset };
    assert_eq!(code(home.logs.add_code(code_for(true)).await), Code::Closed);
    assert_eq!(code(home.logs.add_code(code_for(false)).await), Code::NameTaken);
    assert!(home.logs.grant(&alice.name, &alice.device(), "anew").await.unwrap().is_none());
    assert!(home.logs.is_registered(&alice.name) && home.logs.codes().await.unwrap().is_empty());
    // Nobody writes to it.
    assert_eq!(code(home.append(&bob, &alice.inbox(), &bob.notice(1, &alice, &direct(&bob, &alice))).await), Code::Closed);
    assert_eq!(code(home.append_direct(&bob, &direct(&alice, &bob), &bob.sealed(1, b"x")).await), Code::Closed);
}

/// A peer's word about its own users is held against the key that its operator gave out.
#[tokio::test]
async fn a_replica_takes_a_servers_word_by_its_pinned_key_only() {
    let hub = Home::new("s0").await;
    let (mut zoe, yan) = (hub.person("zoe").await, hub.person("yan").await);
    let log = keys("s0");
    let pinned = Home::new("s1").await;
    pinned.knows(&hub).await;
    let deceived = Home::new("s2").await;
    deceived.logs.know_peer(&server("s0"), &some_key("s0")).await.unwrap();
    hub.rekey(&mut zoe, 2).await.unwrap();
    hub.logs.close_account(&yan.name).await.unwrap();
    for (home, is_closed) in [(&pinned, true), (&deceived, false)] {
        home.copy(&hub, &log).await;
        assert_eq!(home.logs.directory().state(&yan.name).unwrap().closed, is_closed);
        assert_eq!(home.logs.tip(&log), hub.logs.tip(&log), "the log goes on");
    }
    // Whoever has the key that somebody took for the server's closes accounts on their word only.
    let thief = key("s0");
    let state = deceived.logs.directory().state(&zoe.name).unwrap();
    let gone = Draft {
        device: DeviceKey(thief.verifying_key().to_bytes()),
        list: state.list.version,
        ..zoe.plain(0, &Note { log: &log, n: 1, kind: Kind::Gone, body: cbor::encode(&Gone { prev: state.list_hash }).into() })
    }
    .signed(&log, sign(&thief));
    let tip = hub.logs.tip(&log).unwrap();
    let entry = Entry { seq: tip.seq + 1, at: 7, payload: Payload::Draft(gone) };
    for (home, is_closed) in [(&pinned, false), (&deceived, true)] {
        home.logs.replicate(&server("s0"), &log, tip.hash, vec![entry.encode()]).await.unwrap();
        assert_eq!(home.logs.directory().state(&zoe.name).unwrap().closed, is_closed);
    }
}
