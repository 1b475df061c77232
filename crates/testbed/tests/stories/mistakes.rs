//! Mistakes that others have made, each as a story in which it would show. `docs/mistakes.md` lists all of them, with the stories
//! that are elsewhere.

use rusqlite::types::ValueRef;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tidings_client::view::Target;
use tidings_client::{LoginSecret, Zeroizing};
use tidings_e2ee::DeviceSecret;
use tidings_proto::frame::{Follow, LogRef, LoginStart, RegisterStart, Secret};
use tidings_proto::handshake::Party;
use tidings_proto::{Frame, LogName, UserName};
use tidings_testbed::PATIENCE;
use tidings_testbed::person::{PASSWORD, Person, with};
use tidings_testbed::raw::RawLink;
use tidings_testbed::world::World;
use tokio::net::TcpListener;

/// "Unsalted hashes in the config file; the hash itself logs in."
///
/// Control: `server/src/api.rs`, `is_listed` lets the server's own key in as everybody's device: its secret is in the copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_in_a_full_copy_of_the_server_s_data_logs_in() {
    let mut world = World::configured(&["s1"], false, |config| config.limits.login_burst = 10_000).await;
    let alice = world.person("alice@s1").await;
    alice.announces("something to be kept").await;
    world.stop("s1").await;
    let kept = everything_kept(world.data("s1"));
    world.start("s1").await;
    assert!(kept.len() > 10, "there is something to try: {}", kept.len());
    for (number, value) in kept.iter().enumerate() {
        // As the secret key of a device.
        if let Ok(seed) = value.as_slice().try_into() {
            let device = DeviceSecret::from_bytes(seed);
            let mut link = RawLink::dial(world.address("s1"), "/client").await;
            let (proof, _) = link.greet(Party::Device { user: alice.name.clone(), key: device.public() }).await;
            link.send(tidings_proto::frame::Proof { sig: device.sign(&proof) }).await;
            let Frame::Ready(ready) = link.next().await else { panic!("a guest may come") };
            assert!(!ready.listed, "value {number} is a device's key");
        }
        // As a password, as it is and as people write bytes.
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        for password in [String::from_utf8(value.clone()).unwrap_or_default(), hex] {
            let secret = LoginSecret::Password(Zeroizing::new(password));
            let profile = world.profile(&format!("thief-{number}"));
            let thief = Person::log_in(&alice.name, world.address("s1"), world.key("s1"), profile, secret).await;
            assert!(thief.is_err(), "value {number} of the server's data is a password");
        }
    }
    let secret = LoginSecret::Password(Zeroizing::new(PASSWORD.into()));
    let known = Person::log_in(&alice.name, world.address("s1"), world.key("s1"), world.profile("hers"), secret).await;
    assert!(known.is_ok(), "the password itself does: {:?}", known.err());
}

/// Each value that the server has in a database or a file of up to 4 KiB; larger ones are nobody's password.
fn everything_kept(folder: &Path) -> BTreeSet<Vec<u8>> {
    let mut kept = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("the server's folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            kept.extend(everything_kept(&path));
            continue;
        }
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if bytes.starts_with(b"SQLite format 3") {
            kept.extend(values_in(&path));
        } else {
            kept.insert(bytes);
        }
    }
    kept.retain(|value| (8..4096).contains(&value.len()));
    kept
}

fn values_in(database: &Path) -> Vec<Vec<u8>> {
    let database = rusqlite::Connection::open(database).expect("a database");
    let names = |sql: &str| -> Vec<String> {
        let mut statement = database.prepare(sql).expect("a statement");
        statement.query_map([], |row| row.get(0)).expect("rows").map(|row| row.expect("a row")).collect()
    };
    let mut values = Vec::new();
    for table in names("SELECT name FROM sqlite_schema WHERE type = 'table'") {
        let mut statement = database.prepare(&format!("SELECT * FROM \"{table}\"")).expect("a statement");
        let columns = statement.column_count();
        let mut rows = statement.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            for column in 0..columns {
                if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = row.get_ref(column).expect("a value") {
                    values.push(bytes.to_vec());
                }
            }
        }
    }
    values
}

/// "One `recv` is taken for one message."
///
/// Control: `server/src/link/accept.rs`, a connection whose first read has less than a TLS record's header is dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cuts_and_merges_in_any_place_change_nothing() {
    let world = World::two_servers().await;
    let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s2").await);
    let mut said = Vec::new();
    for piece in [1, 7, 1000] {
        let wires = [&alice.wire, &bob.wire, world.wire("s1", "s2"), world.wire("s2", "s1")];
        for wire in wires {
            wire.in_pieces_of(piece);
            // Handshakes and catching up come in pieces too.
            wire.cut();
            wire.heal();
        }
        alice.finds(&bob.name, "known by his key", |person| person.fingerprint.is_some()).await;
        for number in 0..5 {
            said.push(format!("line {number} in pieces of {piece}"));
            alice.says(&bob.name, &said[said.len() - 1]).await;
        }
        bob.sees(&with(&alice.name), &alice.name, &said[said.len() - 1]).await;
        let texts: Vec<String> = bob.reads(&with(&alice.name)).await.into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, said);
    }
}

/// "A failed login dials every peer": nothing that an unknown caller says makes a server speak to anybody else.
///
/// Control: `server/src/api/guest.rs`, a `LoginStart` opens a connection to each address of `mailing_address`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_known_makes_the_server_dial_nobody() {
    let peer = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = peer.local_addr().expect("an address").to_string();
    let key = tidings_proto::ServerKey(DeviceSecret::generate().public().0);
    let known = tidings_server::Peer { name: "s9".parse().expect("a name"), address, key: Some(key) };
    let world = World::configured(&["s1"], false, |config| config.peers.push(known.clone())).await;
    // The server's own dialling: held open, so that nothing is left to be tried again.
    let held = tokio::time::timeout(PATIENCE, peer.accept()).await.expect("s1 dials its peer").expect("a connection");
    let (user, stranger): (UserName, UserName) = ("alice@s1".parse().expect("a name"), "mallory@s9".parse().expect("a name"));
    for name in [&user, &stranger] {
        let device = DeviceSecret::generate();
        let mut link = RawLink::dial(world.address("s1"), "/client").await;
        let (proof, _) = link.greet(Party::Device { user: name.clone(), key: device.public() }).await;
        link.send(tidings_proto::frame::Proof { sig: device.sign(&proof) }).await;
        let keys = LogName::Keys("s9".parse().expect("a name"));
        link.send(Follow { logs: vec![(LogRef::Name(keys), 0)] }).await;
        link.send(LoginStart { req: 1, with: Secret::Password, ke1: vec![7; 96].into() }).await;
        link.send(RegisterStart { req: 2, code: Some("x".into()), password: vec![7; 32].into(), recovery: vec![8; 32].into() }).await;
        while let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(500), link.receive()).await {}
    }
    let secret = LoginSecret::Password(Zeroizing::new("a guess".into()));
    let guess = Person::log_in(&user, world.address("s1"), world.key("s1"), world.profile("guess"), secret).await;
    assert!(guess.is_err());
    // Whatever those had set going would have dialled before a message of somebody known is acknowledged.
    let bob = world.person("bob@s1").await;
    let id = bob.announces("all is well").await;
    bob.is_sent(id).await;
    let more = tokio::time::timeout(Duration::from_millis(500), peer.accept()).await;
    assert!(more.is_err(), "s1 has dialled its peer once more");
    drop(held);
}

/// "One slow or broken client stops delivery to all": who reads nothing delays nobody, and resumes where it was.
///
/// Control: `server/src/link/wire.rs`, `Writer::flush` holds one lock for all links.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_delays_nobody_and_loses_nothing() {
    let world = World::configured(&["s1"], false, |config| config.limits.message_burst = 1000).await;
    let (alice, bob, slow) = (world.person("alice@s1").await, world.person("bob@s1").await, world.person("slow@s1").await);
    slow.wire.stall();
    // More than all the buffers between hold: 120 texts of 60 KiB.
    const COUNT: usize = 120;
    let text = |number: usize| format!("{number} {}", "x".repeat(60 * 1024));
    for number in 0..COUNT {
        let id = alice.announces(&text(number)).await;
        alice.is_sent(id).await;
    }
    bob.sees(&Target::Public, &alice.name, &text(COUNT - 1)).await;
    assert!(slow.reads(&Target::Public).await.len() < COUNT, "the control: slow could not have it all");
    slow.wire.heal();
    slow.sees(&Target::Public, &alice.name, &text(COUNT - 1)).await;
    assert_eq!(slow.reads(&Target::Public).await.len(), COUNT);
}

/// "a@s1@s2, look-alike letters, case twins": one grammar, and what does not fit it registers nobody.
///
/// Control: `proto/src/name.rs`, `UserName` lower-cases what it reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_has_a_twin() {
    let world = World::of(&["s1"], false).await;
    let alice = world.person("alice@s1").await;
    let twins =
        ["Alice@s1", "alice@S1", "alice@s1@s1", "alice@s1@s2", "аlice@s1", "alice@s1.", " alice@s1", "alice@s1\n", "alice\u{200b}@s1"];
    for twin in twins {
        assert!(twin.parse::<UserName>().is_err(), "{twin:?} is a name");
        // As a frame that no client sends: the same hello, with another text where the name is.
        let mut link = RawLink::dial(world.address("s1"), "/client").await;
        let device = DeviceSecret::generate();
        let hello = Frame::from(link.hello(Party::Device { user: alice.name.clone(), key: device.public() })).encode();
        link.send_bytes(renamed(&hello, "alice@s1", twin).into()).await;
        match link.next_bytes().await {
            Err(_) => {}
            Ok(bytes) => {
                let frame = Frame::read(&bytes, usize::MAX).expect("a frame");
                assert!(matches!(frame, Frame::Refused(_)), "{twin:?} is answered by {}", frame.name());
            }
        }
    }
    let people = alice.client.people().await.expect("people");
    assert!(people.iter().all(|person| person.user.to_string() == "alice@s1"), "{people:?}");
}

/// CBOR with one text in place of another.
fn renamed(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let old = minicbor::to_vec(from).expect("a text");
    let at = bytes.windows(old.len()).position(|window| window == old).expect("the name is in there");
    [&bytes[..at], &minicbor::to_vec(to).expect("a text"), &bytes[at + old.len()..]].concat()
}
