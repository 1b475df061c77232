//! Everybody reads the messages of their own stays in a group, whole and to the last; of others, only that there was one. On the
//! hub and on replicas, from memory and from the file, live and asked for.

use crate::company::{Act, Group};
use crate::support::{Home, Person, SOON, code, keys, open_on, server};
use futures_util::FutureExt;
use std::sync::Arc;
use tidings_proto::chain::{self, Tip};
use tidings_proto::frame::Item;
use tidings_proto::{Code, Entry, Frame, Hash, Kind, LogName, Payload, Role, limits};
use tidings_server::bus::local::LocalBus;
use tidings_server::logs::{Follower, Logs, Origin, Reader};

/// What a reader is shown: a letter for each entry, a point for a stub; and whether it was said to be all.
#[derive(Debug, PartialEq, Eq)]
struct View {
    entries: String,
    ended: Option<u64>,
}

fn view(entries: &str, ended: Option<u64>) -> View {
    View { entries: entries.into(), ended }
}

fn letter(entry: &Entry) -> char {
    match &entry.payload {
        Payload::Stub(_) => '.',
        Payload::Draft(draft) => match draft.kind {
            Kind::Genesis => 'G',
            Kind::Sealed => 'S',
            Kind::Invite => 'I',
            Kind::Join => 'J',
            Kind::Leave => 'L',
            Kind::Remove => 'R',
            Kind::SetRole => 'O',
            Kind::Erase => 'E',
            other => panic!("{other:?}"),
        },
    }
}

/// Reads on, and checks that the chain holds over whatever is shown.
fn take(log: &LogName, tip: &mut Tip, prev: Option<Hash>, items: &[Item], out: &mut String) {
    assert!(prev.is_none_or(|prev| prev == tip.hash), "after {}", tip.seq);
    for item in items {
        let entry = Entry::read(&item.entry).unwrap();
        *tip = chain::extend(log, tip, &entry).unwrap();
        out.push(letter(&entry));
    }
}

/// A reader who follows, from the beginning.
struct Following {
    follower: Follower,
    log: LogName,
    tip: Tip,
    view: View,
}

impl Following {
    fn new(logs: &Arc<Logs>, reader: &Reader, log: &LogName) -> Following {
        let mut follower = Follower::new(logs);
        follower.follow(reader, log, 0).unwrap();
        Following { follower, log: log.clone(), tip: Tip::EMPTY, view: view("", None) }
    }

    /// Takes what there is, and no more.
    async fn catch_up(&mut self) -> &View {
        while !self.follower.ahead().is_empty() {
            let news = tokio::time::timeout(SOON, self.follower.next()).await.expect("what is there is given");
            assert_eq!(self.view.ended, None, "nothing comes after the end");
            match Frame::read(&news.frame, limits::CLIENT_FRAME).unwrap() {
                Frame::Entries(entries) => take(&self.log, &mut self.tip, entries.prev, &entries.items, &mut self.view.entries),
                Frame::Ended(ended) => {
                    assert_eq!(ended.log, self.log);
                    self.view.ended = Some(ended.seq);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(self.follower.next().now_or_never().is_none());
        &self.view
    }
}

/// What a reader is shown who asks for pages of `limit` entries, forwards and backwards.
async fn fetched(logs: &Logs, reader: &Reader, log: &LogName, limit: u32) -> String {
    let (mut forwards, mut tip) = (String::new(), Tip::EMPTY);
    loop {
        let (prev, items) = logs.page(reader, log, (None, Some(tip.seq)), limit).await.unwrap();
        if items.is_empty() {
            break;
        }
        take(log, &mut tip, Some(prev), &items, &mut forwards);
    }
    let (mut backwards, mut before) = (Vec::new(), u64::MAX);
    loop {
        let (_, items) = logs.page(reader, log, (Some(before), None), limit).await.unwrap();
        let entries: Vec<Entry> = items.iter().map(|item| Entry::read(&item.entry).unwrap()).collect();
        let Some(first) = entries.first() else { break };
        before = first.seq;
        backwards.splice(0..0, entries.iter().map(letter));
    }
    assert_eq!(backwards.into_iter().collect::<String>(), forwards);
    forwards
}

/// s1 with alice and bob, s2 with carol and dave, who know each other; and a group of alice's in which much has happened.
struct World {
    hub: Home,
    other: Home,
    alice: Person,
    bob: Person,
    carol: Person,
    dave: Person,
    group: Group,
}

impl World {
    async fn new() -> World {
        let (hub, other) = (Home::new("s1").await, Home::new("s2").await);
        let [alice, bob] = [hub.person("alice").await, hub.person("bob").await];
        let [carol, dave] = [other.person("carol").await, other.person("dave").await];
        hub.knows(&other).await;
        other.knows(&hub).await;
        hub.copy(&other, &keys("s2")).await;
        other.copy(&hub, &keys("s1")).await;
        let group = Group::new(&alice, 1);
        World { hub, other, alice, bob, carol, dave, group }
    }

    async fn does(&mut self, by: &str, act: Act<'_>) {
        let by = [&self.alice, &self.bob, &self.carol, &self.dave].into_iter().find(|it| it.name.local() == by).unwrap();
        self.group.does(&self.hub, by, act).await.unwrap();
    }

    async fn invites(&mut self, who: &str) {
        let who = [&self.bob, &self.carol, &self.dave].into_iter().find(|it| it.name.local() == who).unwrap();
        let act = Act::Invite(&who.name, who.fingerprint(), Role::Member);
        self.group.does(&self.hub, &self.alice, act).await.unwrap();
    }

    /// Bob was in twice, carol once, and dave not.
    async fn lived() -> World {
        let mut world = World::new().await;
        world.does("alice", Act::Begin).await; // 1
        world.does("alice", Act::Say(b"nobody is here")).await;
        world.invites("bob").await;
        world.does("alice", Act::Say(b"bob is only asked")).await;
        world.does("bob", Act::Join).await; // 5
        world.does("alice", Act::Say(b"hello bob")).await;
        world.invites("carol").await;
        world.does("carol", Act::Join).await;
        world.does("bob", Act::Say(b"hello both")).await;
        let bob = world.bob.name.clone();
        world.does("alice", Act::Remove(&bob)).await; // 10
        world.does("alice", Act::Say(b"without bob")).await;
        world.invites("bob").await;
        world.does("bob", Act::Join).await;
        world.does("bob", Act::Say(b"back again")).await;
        world.does("carol", Act::Leave).await; // 15
        world.does("alice", Act::Say(b"without carol")).await;
        world
    }

    /// Carol's server is told of the group, and takes over what the hub gives it.
    async fn replicate(&self, n: u64) {
        let invitation = self.group.invitation(&self.alice, n, &self.carol, 10);
        let by = Origin::Peer(self.hub.name.clone());
        self.other.logs.append(by, &self.carol.inbox(), invitation.bytes().clone(), None).await.unwrap();
        self.take_over().await;
    }

    async fn with_other_restarted(self) -> World {
        World { other: self.other.restart().await, ..self }
    }

    async fn take_over(&self) {
        let log = self.group.log();
        let reader = Reader::Peer(self.other.name.clone());
        let after = self.other.logs.tip(&log).unwrap().seq;
        let (prev, items) = self.hub.logs.page(&reader, &log, (None, Some(after)), 1000).await.unwrap();
        let items = items.into_iter().map(|item| item.entry).collect();
        self.other.logs.replicate(&self.hub.name, &log, prev, items).await.unwrap();
    }
}

fn user(person: &Person) -> Reader {
    Reader::User(person.name.clone())
}

/// The promise: this is who reads what. Each of them sees it whichever way they ask.
#[tokio::test]
async fn everybody_reads_their_own_stays_and_nothing_else() {
    let world = World::lived().await;
    let log = world.group.log();
    let readers = [
        (user(&world.alice), view("GSISJSIJSRSIJSLS", None)),
        (user(&world.bob), view("G.I.JSIJSR.IJSLS", None)),
        (user(&world.carol), view("G.I.J.IJSRSIJSL", Some(15))),
        (Reader::Peer(server("s2")), view("G.I.J.IJSRSIJSL", Some(15))),
    ];
    let check = async |hub: &Home, from: &str| {
        for (reader, expected) in &readers {
            assert_eq!(Following::new(&hub.logs, reader, &log).catch_up().await, expected, "{reader:?} follows, from {from}");
            for limit in [1, 3, 1000] {
                assert_eq!(
                    fetched(&hub.logs, reader, &log, limit).await,
                    expected.entries,
                    "{reader:?} asks, {limit} at once, from {from}"
                );
            }
        }
        for reader in [user(&world.dave), Reader::Peer(server("s3"))] {
            assert!(!hub.logs.may_read(&reader, &log));
            assert_eq!(code(Follower::new(&hub.logs).follow(&reader, &log, 0)), Code::Forbidden);
            assert_eq!(code(hub.logs.page(&reader, &log, (None, Some(0)), 9).await), Code::Forbidden);
        }
    };
    check(&world.hub, "memory").await;
    let hub = world.hub.restart().await;
    check(&hub, "the file").await;
}

/// The same, told while it happens.
#[tokio::test]
async fn who_follows_while_it_happens_sees_no_more_than_who_asks_later() {
    let mut world = World::new().await;
    let log = world.group.log();
    world.does("alice", Act::Begin).await;
    let mut alice = Following::new(&world.hub.logs, &user(&world.alice), &log);
    world.does("alice", Act::Say(b"1")).await;
    world.invites("bob").await;
    let mut bob = Following::new(&world.hub.logs, &user(&world.bob), &log);
    bob.catch_up().await;
    world.does("alice", Act::Say(b"2")).await;
    assert_eq!(bob.catch_up().await, &view("G.I.", None), "who is asked in sees who is in, and hears nothing");
    world.does("bob", Act::Join).await;
    world.does("alice", Act::Say(b"3")).await;
    assert_eq!(bob.catch_up().await, &view("G.I.JS", None));
    world.invites("carol").await;
    let mut peer = Following::new(&world.hub.logs, &Reader::Peer(server("s2")), &log);
    world.does("carol", Act::Join).await;
    assert_eq!(peer.catch_up().await, &view("G.I.J.IJ", None));
    let name = world.bob.name.clone();
    world.does("alice", Act::Remove(&name)).await;
    assert_eq!(bob.catch_up().await, &view("G.I.JSIJR", Some(9)));
    world.does("alice", Act::Say(b"4")).await;
    assert_eq!(bob.catch_up().await, &view("G.I.JSIJR", Some(9)), "and nothing more");
    assert_eq!(peer.catch_up().await, &view("G.I.J.IJRS", None));
    assert_eq!(alice.catch_up().await, &view("GSISJSIJRS", None));
    // Asked in again bob follows on from where it ended.
    world.invites("bob").await;
    assert_eq!(bob.catch_up().await, &view("G.I.JSIJR", Some(9)), "the link has to ask");
    bob.follower.follow(&user(&world.bob), &log, 9).unwrap();
    bob.view.ended = None;
    world.does("bob", Act::Join).await;
    world.does("alice", Act::Say(b"5")).await;
    assert_eq!(bob.catch_up().await, &view("G.I.JSIJR.IJS", None));
}

#[tokio::test]
async fn an_invitation_that_comes_to_nothing_is_told_to_its_end() {
    for declines in [true, false] {
        let mut world = World::new().await;
        let log = world.group.log();
        world.does("alice", Act::Begin).await;
        world.invites("carol").await;
        world.replicate(1).await;
        let mut carol = Following::new(&world.other.logs, &user(&world.carol), &log);
        let mut peer = Following::new(&world.hub.logs, &Reader::Peer(server("s2")), &log);
        assert_eq!((carol.catch_up().await, peer.catch_up().await), (&view("GI", None), &view("GI", None)));
        assert_eq!(world.other.logs.member_rooms(&world.carol.name).await.unwrap().len(), 1);
        let (name, end) = (world.carol.name.clone(), if declines { "GIL" } else { "GIR" });
        match declines {
            true => world.does("carol", Act::Leave).await,
            false => world.does("alice", Act::Remove(&name)).await,
        }
        world.does("alice", Act::Say(b"nobody else hears this")).await;
        assert_eq!(peer.catch_up().await, &view(end, Some(3)));
        world.take_over().await;
        assert_eq!(carol.catch_up().await, &view(end, Some(3)));
        // Also for who asks later, and after a restart; but it is no room of hers.
        let other = world.other.restart().await;
        assert_eq!(Following::new(&other.logs, &user(&world.carol), &log).catch_up().await, &view(end, Some(3)));
        assert!(other.logs.member_rooms(&world.carol.name).await.unwrap().is_empty());
        assert_eq!(Following::new(&world.hub.logs, &Reader::Peer(server("s2")), &log).catch_up().await, &view(end, Some(3)));
        assert!(!other.logs.replicas_from(&server("s1")).await.unwrap().iter().any(|(followed, _)| *followed == log));
    }
}

/// Whoever has been in is told to its end, too, of an invitation that comes to nothing: otherwise they would seem to be asked for ever.
#[tokio::test]
async fn whoever_is_asked_back_in_vain_is_told_to_the_end() {
    let mut world = World::new().await;
    let log = world.group.log();
    let carol = world.carol.name.clone();
    world.does("alice", Act::Begin).await;
    world.invites("carol").await;
    world.replicate(1).await;
    world.does("carol", Act::Join).await;
    world.does("carol", Act::Leave).await;
    world.take_over().await;
    world.invites("carol").await; // 5
    world.replicate(2).await;
    let mut here = Following::new(&world.other.logs, &user(&world.carol), &log);
    let mut peer = Following::new(&world.hub.logs, &Reader::Peer(server("s2")), &log);
    assert_eq!((here.catch_up().await, peer.catch_up().await), (&view("GIJLI", None), &view("GIJLI", None)));
    world.does("alice", Act::Remove(&carol)).await;
    world.does("alice", Act::Say(b"not for s2")).await;
    assert_eq!(peer.catch_up().await, &view("GIJLIR", Some(6)));
    world.take_over().await;
    assert_eq!(here.catch_up().await, &view("GIJLIR", Some(6)));
    let followed = world.other.logs.replicas_from(&server("s1")).await.unwrap();
    assert!(!followed.iter().any(|(followed, _)| *followed == log));
}

/// It is all over before the replica begins: in one commit it gets to its end.
#[tokio::test]
async fn whoever_comes_and_goes_in_one_commit_leaves_nothing_to_follow() {
    for begun in [false, true] {
        let mut world = World::new().await;
        let log = world.group.log();
        let carol = world.carol.name.clone();
        world.does("alice", Act::Begin).await;
        if begun {
            let first = world.hub.logs.page(&Reader::Host, &log, (None, Some(0)), 1).await.unwrap();
            let invitation = world.group.invitation(&world.alice, 1, &world.carol, 10);
            let by = Origin::Peer(world.hub.name.clone());
            world.other.logs.append(by, &world.carol.inbox(), invitation.bytes().clone(), None).await.unwrap();
            let entries = first.1.into_iter().map(|item| item.entry).collect();
            world.other.logs.replicate(&world.hub.name, &log, first.0, entries).await.unwrap();
        }
        world.invites("carol").await;
        world.does("alice", Act::Remove(&carol)).await;
        world.does("alice", Act::Say(b"not for s2")).await;
        if begun {
            world.take_over().await
        } else {
            world.replicate(1).await
        }
        assert_eq!(world.other.logs.tip(&log).unwrap().seq, 3);
        let follows = |other: &Home| other.logs.replicas_from(&server("s1")).now_or_never().unwrap().unwrap();
        assert!(!follows(&world.other).iter().any(|(followed, _)| *followed == log), "begun: {begun}");
        // But when she is asked again, it goes on.
        world.invites("carol").await;
        world.replicate(2).await;
        assert!(follows(&world.other).iter().any(|(followed, tip)| *followed == log && tip.seq == 5));
    }
}

/// Whoever may read everything shares one encoding; only who may not gets one of their own.
#[tokio::test]
async fn members_share_the_bytes_and_others_get_their_own() {
    let mut world = World::new().await;
    let log = world.group.log();
    world.does("alice", Act::Begin).await;
    world.invites("bob").await;
    world.does("bob", Act::Join).await;
    world.invites("carol").await;
    let mut readings: Vec<Following> = [user(&world.alice), user(&world.bob), Reader::Peer(server("s2"))]
        .iter()
        .map(|reader| Following::new(&world.hub.logs, reader, &log))
        .collect();
    for reading in &mut readings {
        reading.catch_up().await;
    }
    world.does("alice", Act::Say(b"hello")).await;
    let mut frames = Vec::new();
    for reading in &mut readings {
        frames.push(tokio::time::timeout(SOON, reading.follower.next()).await.unwrap().frame);
    }
    assert_eq!(frames[0].as_ptr(), frames[1].as_ptr(), "encoded once");
    assert!(frames[2] != frames[0] && !frames[2].windows(5).any(|bytes| bytes == b"hello"), "carol is only asked in");
}

/// The removal and what follows it are made durable together.
#[tokio::test]
async fn who_is_removed_in_the_same_commit_hears_nothing_of_what_follows() {
    let mut world = World::new().await;
    let log = world.group.log();
    world.does("alice", Act::Begin).await;
    world.invites("bob").await;
    world.does("bob", Act::Join).await;
    let mut bob = Following::new(&world.hub.logs, &user(&world.bob), &log);
    bob.catch_up().await;
    let mut group = world.group.clone();
    let remove = group.draft(&world.alice, &Act::Remove(&world.bob.name));
    group.took(&remove);
    let said = group.draft(&world.alice, &Act::Say(b"without bob"));
    let (one, two) = tokio::join!(group.offer(&world.hub, &world.alice, &remove), group.offer(&world.hub, &world.alice, &said));
    assert_eq!((one.unwrap().seq, two.unwrap().seq), (4, 5));
    assert_eq!(bob.catch_up().await, &view("GIJR", Some(4)));
}

/// A page was asked for while bob was in, and comes when he is not.
#[tokio::test]
async fn a_page_that_was_on_its_way_is_held_against_who_is_in_now() {
    let mut world = World::new().await;
    let log = world.group.log();
    world.does("alice", Act::Begin).await;
    world.invites("bob").await;
    world.does("bob", Act::Join).await;
    world.hub.logs.close().await;
    let (store, logs) = open_on(world.hub.folder.path(), "s1", Arc::new(LocalBus::default())).await;
    world.hub.logs = logs.clone();
    let mut bob = Following::new(&logs, &user(&world.bob), &log);
    store.hold_pages(true);
    assert!(bob.follower.next().now_or_never().is_none(), "the page after 0 is on its way");
    let asked = tokio::spawn({
        let (logs, reader, log) = (logs.clone(), user(&world.bob), log.clone());
        async move { logs.page(&reader, &log, (None, Some(0)), 100).await }
    });
    while store.pages() < 2 {
        tokio::task::yield_now().await;
    }
    let name = world.bob.name.clone();
    world.does("alice", Act::Remove(&name)).await;
    world.does("alice", Act::Say(b"without bob")).await;
    store.hold_pages(false);
    assert_eq!(bob.catch_up().await, &view("GIJR", Some(4)));
    let shown: String = asked.await.unwrap().unwrap().1.iter().map(|item| letter(&Entry::read(&item.entry).unwrap())).collect();
    assert_eq!(shown, "GIJR");
    logs.close().await;
}

/// The replica keeps no more than its people may read, and shows each of them what the hub would.
#[tokio::test]
async fn a_replica_holds_what_its_people_may_read_and_shows_it_to_them() {
    let world = World::lived().await;
    let log = world.group.log();
    world.replicate(1).await;
    let check = async |world: &World| {
        let other = &world.other;
        let carol = Following::new(&other.logs, &user(&world.carol), &log).catch_up().await.entries.clone();
        assert_eq!(carol, "G.I.J.IJSRSIJSL");
        let (_, kept) = other.read(&log).await;
        assert_eq!(kept.iter().map(|entry| letter(&Entry::read(entry).unwrap())).collect::<String>(), carol, "nothing else is there");
        assert!(!other.logs.may_read(&user(&world.dave), &log));
        let (ours, theirs) = (other.logs.people(&log).unwrap(), world.hub.logs.people(&log).unwrap());
        assert_eq!(ours.members().collect::<Vec<_>>(), theirs.members().collect::<Vec<_>>());
        assert_eq!((ours.epoch(), ours.last()), (theirs.epoch(), theirs.last()));
    };
    check(&world).await;
    let mut world = world.with_other_restarted().await;
    check(&world).await;

    // Dave comes when carol has gone: of what was said between them the server has stubs only.
    world.invites("dave").await; // 17
    world.take_over().await;
    world.does("dave", Act::Join).await;
    world.does("alice", Act::Say(b"hello dave")).await;
    world.take_over().await;
    let shown = Following::new(&world.other.logs, &user(&world.dave), &log).catch_up().await.entries.clone();
    assert_eq!(shown, "G.I.J.IJ.R.IJ.L.IJS", "what carol has read is not dave's");
    assert_eq!(Following::new(&world.other.logs, &user(&world.carol), &log).catch_up().await, &view("G.I.J.IJSRSIJSL", Some(15)));
}

#[tokio::test]
async fn a_replica_is_followed_while_somebody_here_is_in_and_again_when_somebody_is_asked() {
    let mut world = World::new().await;
    let log = world.group.log();
    let follows = async |world: &World| world.other.logs.replicas_from(&server("s1")).await.unwrap().iter().any(|(it, _)| *it == log);
    world.does("alice", Act::Begin).await;
    world.invites("carol").await;
    assert!(!follows(&world).await);
    let (mut rooms, mut arrivals) = (world.other.logs.new_rooms(), world.other.logs.arrivals());
    world.replicate(1).await;
    assert_eq!(rooms.recv().await.unwrap().genesis, world.group.genesis);
    assert_eq!(arrivals.recv().await.unwrap().user, world.carol.name, "carol is told once the hub has said it");
    world.does("carol", Act::Join).await;
    world.take_over().await;
    assert!(follows(&world).await);
    world.does("carol", Act::Leave).await;
    world.take_over().await;
    assert!(!follows(&world).await, "the last has gone");
    let mut world = world.with_other_restarted().await;
    assert!(!follows(&world).await);

    world.does("alice", Act::Say(b"not for s2")).await;
    world.invites("carol").await;
    let (mut rooms, mut arrivals) = (world.other.logs.new_rooms(), world.other.logs.arrivals());
    world.replicate(2).await;
    assert_eq!(rooms.recv().await.unwrap().genesis, world.group.genesis);
    assert_eq!(arrivals.recv().await.unwrap().user, world.carol.name);
    assert!(follows(&world).await);
    world.does("carol", Act::Join).await;
    world.does("alice", Act::Say(b"welcome back")).await;
    world.take_over().await;
    assert_eq!(Following::new(&world.other.logs, &user(&world.carol), &log).catch_up().await, &view("GIJL.IJS", None));
}
