//! Many servers: everybody with everybody, links that fail in every way, and peers that are not what they seem.

use tidings_client::SuiteName;
use tidings_client::view::{Online, Status, Target};
use tidings_e2ee::DeviceSecret;
use tidings_proto::frame::{Follow, LogRef, PersonState, Ping, Presence, Proof, Refused, Submit};
use tidings_proto::handshake::Party;
use tidings_proto::{Code, Frame, LogName, ServerKey, UserName};
use tidings_server::Peer;
use tidings_server::operator::PeerStanding;
use tidings_server::store::Store;
use tidings_server::store::sqlite::SqliteStore;
use tidings_testbed::person::{Person, with};
use tidings_testbed::raw::RawLink;
use tidings_testbed::world::World;

/// Everybody knows everybody's keys.
async fn introduced(people: &[&Person]) {
    for person in people {
        for other in people {
            person.finds(&other.name, "known by a key", |found| found.fingerprint.is_some()).await;
        }
    }
}

fn texts(author: &Person, to: &str, count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("{} to {to}, {n}", author.name)).collect()
}

/// What `author` has written in a conversation, as `reader` has it.
async fn by(reader: &Person, target: &Target, author: &Person) -> Vec<String> {
    let author = author.name.to_string();
    reader.reads(target).await.into_iter().filter(|(who, _)| *who == author).map(|(_, text)| text).collect()
}

/// Each writes to all others, in public and in private; each gets everything, once and in its author's order.
async fn everybody_writes_to_everybody(people: &[&Person], count: usize) {
    for author in people {
        for text in texts(author, "all", count) {
            author.announces(&text).await;
        }
        for other in people.iter().filter(|other| other.name != author.name) {
            for text in texts(author, &other.name.to_string(), count) {
                author.says(&other.name, &text).await;
            }
        }
    }
    for reader in people {
        for author in people {
            let wanted = texts(author, "all", count);
            reader.until(&format!("has all posts of {}", author.name), async || by(reader, &Target::Public, author).await == wanted).await;
        }
        let all = reader.reads(&Target::Public).await.len();
        assert_eq!(all, people.len() * count, "{} has each post once, and no other", reader.name);
        for other in people.iter().filter(|other| other.name != reader.name) {
            let room = with(&other.name);
            let wanted = (texts(other, &reader.name.to_string(), count), texts(reader, &other.name.to_string(), count));
            reader
                .until(&format!("has the whole conversation with {}", other.name), async || {
                    (by(reader, &room, other).await, by(reader, &room, reader).await) == wanted
                })
                .await;
            assert_eq!(reader.reads(&room).await.len(), 2 * count, "{} with {}", reader.name, other.name);
        }
    }
}

async fn mesh(servers: &[&str]) -> (World, Vec<Person>) {
    let world = World::of(servers, false).await;
    let mut people = Vec::new();
    for (server, name) in servers.iter().zip(["alice", "bob", "carol", "dave", "erin"]) {
        people.push(world.person(&format!("{name}@{server}")).await);
    }
    introduced(&people.iter().collect::<Vec<_>>()).await;
    (world, people)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_mesh_of_three_everybody_reaches_everybody() {
    let (_world, people) = mesh(&["s1", "s2", "s3"]).await;
    everybody_writes_to_everybody(&people.iter().collect::<Vec<_>>(), 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_mesh_of_five_everybody_reaches_everybody() {
    let (_world, people) = mesh(&["s1", "s2", "s3", "s4", "s5"]).await;
    everybody_writes_to_everybody(&people.iter().collect::<Vec<_>>(), 2).await;
}

/// s1 can be dialled by nobody: all that it takes part in goes by the links that it makes itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_nobody_can_dial_takes_part() {
    let world = World::two_servers().await;
    world.wire("s2", "s1").cut();
    // zoe's and bob's room is ordered by bob's server, alice's and bob's by hers: drafts and entries go both ways.
    let (alice, bob, zoe) = (world.person("alice@s1").await, world.person("bob@s2").await, world.person("zoe@s1").await);
    introduced(&[&alice, &bob, &zoe]).await;
    everybody_writes_to_everybody(&[&alice, &bob, &zoe], 3).await;
    let row = world.peers("s2").await.remove(0);
    assert_eq!(row.state, PeerStanding::Linked, "{row:?}");
    alice.finds(&bob.name, "online", |bob| bob.online == Online::Online).await;
    bob.finds(&alice.name, "online", |alice| alice.online == Online::Online).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_are_cut_and_healed_again_and_again_lose_nothing() {
    let (world, people) = mesh(&["s1", "s2", "s3"]).await;
    let [alice, bob, carol] = &people[..] else { unreachable!() };
    let mut said: Vec<(String, String)> = Vec::new();
    for (round, (a, b)) in [("s1", "s2"), ("s2", "s3"), ("s1", "s2"), ("s1", "s3")].into_iter().enumerate() {
        world.cut(a, b);
        for author in [alice, bob, carol] {
            let text = format!("{} in round {round}", author.name);
            author.announces(&text).await;
            said.push((author.name.to_string(), text));
        }
        alice.says(&bob.name, &format!("round {round}")).await;
        bob.says(&alice.name, &format!("round {round}, I too")).await;
        world.heal(a, b);
    }
    let rounds = |end: &str| (0..4).map(|round| format!("round {round}{end}")).collect::<Vec<_>>();
    for reader in [alice, bob, carol] {
        for author in [alice, bob, carol] {
            let wanted: Vec<&String> = said.iter().filter(|(who, _)| *who == author.name.to_string()).map(|(_, text)| text).collect();
            reader
                .until(&format!("has all posts of {}", author.name), async || {
                    by(reader, &Target::Public, author).await.iter().eq(wanted.iter().copied())
                })
                .await;
        }
        assert_eq!(reader.reads(&Target::Public).await.len(), said.len(), "each once");
    }
    for (reader, other) in [(alice, bob), (bob, alice)] {
        let room = with(&other.name);
        reader
            .until("has both sides", async || {
                (by(reader, &room, alice).await, by(reader, &room, bob).await) == (rounds(""), rounds(", I too"))
            })
            .await;
        assert_eq!(reader.reads(&room).await.len(), 8, "each once");
    }
}

/// s0 is away in every way there is: its links end, or fall silent. What goes to others does not wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_peer_delays_nobody() {
    for silent in [false, true] {
        let mut world = World::of(&["s0", "s1", "s2"], false).await;
        // The dead one orders the room, so that what is written to it waits on s1.
        let (aaron, zoe, bob) = (world.person("aaron@s0").await, world.person("zoe@s1").await, world.person("bob@s2").await);
        introduced(&[&aaron, &zoe, &bob]).await;
        let before = zoe.says(&aaron.name, "before").await;
        zoe.is_sent(before).await;
        match silent {
            true => world.silence("s0", "s1"),
            false => world.cut("s0", "s1"),
        }
        let mut lost = Vec::new();
        for n in 1..=5 {
            lost.push(zoe.says(&aaron.name, &format!("to the dead, {n}")).await);
            // The room with bob is ordered by his server: this goes over the wire, and its answer comes back.
            let living = zoe.says(&bob.name, &format!("to the living, {n}")).await;
            zoe.is_sent(living).await;
            bob.sees(&with(&zoe.name), &zoe.name, &format!("to the living, {n}")).await;
            let post = zoe.announces(&format!("to all, {n}")).await;
            zoe.is_sent(post).await;
            bob.sees(&Target::Public, &zoe.name, &format!("to all, {n}")).await;
        }
        let room = with(&aaron.name);
        let waiting = zoe.messages(&room).await;
        let unsent =
            waiting.iter().filter(|message| lost.contains(&message.id) && matches!(message.status, Status::Pending | Status::Waiting));
        assert_eq!(unsent.count(), 5, "all that came through came through while these waited: {waiting:?}");
        // It comes back, and dials at once; the others may have learnt to wait long between two dials.
        world.cut("s0", "s1");
        world.stop("s0").await;
        world.heal("s0", "s1");
        world.start("s0").await;
        let all: Vec<String> = std::iter::once("before".to_owned()).chain((1..=5).map(|n| format!("to the dead, {n}"))).collect();
        let wanted: Vec<(&str, &str)> = all.iter().map(|text| ("zoe@s1", text.as_str())).collect();
        aaron.reads_exactly(&with(&zoe.name), &wanted).await;
    }
}

/// The link that s1 has made falls silent and does not end; then s2 makes another. Nobody waits until the first one is known
/// to be dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_link_takes_over_from_one_that_has_fallen_silent() {
    let world = World::two_servers().await;
    let (bob, zoe) = (world.person("bob@s2").await, world.person("zoe@s1").await);
    introduced(&[&bob, &zoe]).await;
    let first = zoe.says(&bob.name, "first").await; // bob's server is the hub of this room
    zoe.is_sent(first).await;
    world.wire("s1", "s2").silence();
    // Only the silent link is left, and what is sent now goes into it.
    world.wire("s2", "s1").cut();
    let second = zoe.says(&bob.name, "second").await;
    let before = world.peer_is("s1", "s2", "is waited for", |row| row.waiting > 0 && row.last_error.is_some()).await;
    world.wire("s2", "s1").heal();
    zoe.is_sent(second).await;
    let after = world.peers("s1").await.remove(0);
    let both = (before.state, after.state, before.since, before.last_error_at);
    assert_eq!(both, (PeerStanding::Linked, PeerStanding::Linked, after.since, after.last_error_at), "the silent link is still there");
    bob.reads_exactly(&with(&zoe.name), &[("zoe@s1", "first"), ("zoe@s1", "second")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_how_things_stand_with_each_peer() {
    let mut world = World::two_servers().await.on(SuiteName::RsaJwe1);
    world.stop("s1").await;
    world.config_mut("s1").peers.push(Peer { name: "s7".parse().unwrap(), address: "10.13.97.12:5555".into(), key: None });
    world.start("s1").await;
    let (bob, zoe) = (world.person("bob@s2").await, world.person("zoe@s1").await);
    introduced(&[&bob, &zoe]).await;
    let linked = world.peer_is("s1", "s2", "is linked", |row| row.state == PeerStanding::Linked).await;
    assert_eq!((linked.waiting, linked.waiting_bytes, linked.oldest), (0, 0, None));
    let none = world.peers("s1").await.into_iter().find(|row| row.name == "s7").unwrap();
    assert_eq!((none.state, none.last_error), (PeerStanding::NoKey, None));

    world.cut("s1", "s2");
    let lost = world.peer_is("s1", "s2", "is lost", |row| row.state == PeerStanding::Unreachable).await;
    assert!(lost.since >= linked.since && lost.last_error.is_some(), "{lost:?}");
    let first = zoe.says(&bob.name, "first").await; // with it goes a notice to bob's inbox
    zoe.status_is(&with(&bob.name), first, &Status::Waiting).await;
    let one = world.peer_is("s1", "s2", "has something waiting", |row| row.waiting > 0).await;
    assert!(one.waiting_bytes > 0 && one.oldest.is_some_and(|oldest| oldest >= lost.since), "{one:?}");
    let second = zoe.says(&bob.name, "second").await;
    zoe.status_is(&with(&bob.name), second, &Status::Waiting).await;
    let two = world.peer_is("s1", "s2", "has more waiting", |row| row.waiting > one.waiting).await;
    assert_eq!((two.oldest, two.since), (one.oldest, lost.since));

    world.heal("s1", "s2");
    let healed = world.peer_is("s1", "s2", "is linked and has all", |row| row.state == PeerStanding::Linked && row.waiting == 0).await;
    assert_eq!((healed.waiting_bytes, healed.oldest), (0, None));
    assert!(healed.since >= lost.since && healed.last_error.is_some(), "what went wrong last is remembered: {healed:?}");
    bob.reads_exactly(&with(&zoe.name), &[("zoe@s1", "first"), ("zoe@s1", "second")]).await;
}

fn says_hello(user: &UserName) -> PersonState {
    PersonState { user: user.clone(), online: tidings_proto::frame::Online::Online, list: 1 }
}

/// A server that nobody has listed says everything at once that it would say as a peer. It is refused for who it is, and of the
/// rest nothing is read: nothing is followed, kept or shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_listed_leaves_no_trace() {
    let mut world = World::two_servers().await;
    let alice = world.person("alice@s1").await;
    let stranger = DeviceSecret::generate();
    let key = ServerKey(stranger.public().0);
    for (name, whose) in [("s9", "a name that nobody knows"), ("s2", "a known name with another key")] {
        let mut link = RawLink::dial(world.address("s1"), "/federation").await;
        let (proof, _) = link.greet(Party::Peer { name: name.parse().unwrap(), key }).await;
        link.send(Proof { sig: stranger.sign(&proof) }).await;
        let ghost: UserName = format!("ghost@{name}").parse().unwrap();
        let logs = ["s9", "s1"].map(|server| (LogRef::Name(LogName::Keys(server.parse().unwrap())), 0));
        link.send(Presence { whole: true, people: vec![says_hello(&ghost)] }).await;
        link.send(Follow { logs: logs.to_vec() }).await;
        let inbox = LogName::Inbox(alice.name.clone());
        link.send(Submit { req: 7, log: inbox, draft: vec![0xa0].into(), genesis: None }).await;
        link.send_bytes(vec![0xff; 100].into()).await;
        let Frame::Refused(Refused { why, .. }) = link.next().await else { panic!("{whose}: not refused") };
        assert_eq!(why.code, Code::UnknownPeer, "{whose}");
        assert!(link.next_bytes().await.is_err(), "{whose}: the link goes on");
    }
    let rows = world.peers("s1").await;
    assert!(rows.len() == 1 && rows[0].name == "s2", "{rows:?}");
    let people: Vec<String> = alice.client.people().await.unwrap().into_iter().map(|person| person.user.to_string()).collect();
    assert_eq!(people, ["alice@s1"]);
    world.stop("s1").await;
    let store = SqliteStore::open(&world.data("s1").join("tidings.db")).unwrap();
    let mut kept: Vec<String> = store.load().await.unwrap().logs.into_iter().map(|row| row.name.to_string()).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["history:alice@s1", "inbox:alice@s1", "keys@s1", "keys@s2", "public@s1", "public@s2"]);
}

/// A listed peer may speak of its own users, and only of those whose keys it has published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_whom_nobody_knows_are_not_shown_though_a_peer_announces_them() {
    let mut world = World::of(&["s1"], false).await;
    let peer = DeviceSecret::generate();
    let known = Peer { name: "s9".parse().unwrap(), address: "127.0.0.1:1".into(), key: Some(ServerKey(peer.public().0)) };
    world.stop("s1").await;
    world.config_mut("s1").peers.push(known);
    world.start("s1").await;
    let alice = world.person("alice@s1").await;
    let mut link = RawLink::peer(world.address("s1"), &"s9".parse().unwrap(), &peer).await;
    let people = ["ghost@s9", "mallory@s1", "bob@s2"].map(|name| says_hello(&name.parse().unwrap()));
    link.send(Presence { whole: true, people: people.to_vec() }).await;
    link.send(Ping { req: 3, heads: None }).await;
    while !matches!(link.next().await, Frame::Pong(pong) if pong.req == 3) {}
    let people: Vec<String> = alice.client.people().await.unwrap().into_iter().map(|person| person.user.to_string()).collect();
    assert_eq!(people, ["alice@s1"]);
}
