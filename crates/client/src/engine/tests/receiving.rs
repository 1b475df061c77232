//! What comes is verified before it is shown; what is wrong stops or marks its own place and nothing else.

use super::bench::{Bench, Hub, Person, room};
use crate::view::{Status, Target};
use tidings_proto::chain::Tip;
use tidings_proto::frame::{Ended, RoomRef};
use tidings_proto::{Code, Draft, Encoded, Frame, Hash, LogName};

fn public(server: &str) -> LogName {
    LogName::Public(server.parse().unwrap())
}

fn is_stopped_after(bench: &Bench, log: &LogName, seq: u64) -> bool {
    let logs = bench.core.store.logs().unwrap();
    logs.iter().any(|stored| stored.log == *log && stored.tip.seq == seq && stored.stopped.is_some())
}

/// A room in which bob has written, as bob's server has it.
async fn bob_has_written(bench: &mut Bench, texts: &[&str]) -> Tip {
    let genesis = bench.room();
    bench.hub.rooms = vec![RoomRef { hub: genesis.hub().clone(), genesis: genesis.clone() }];
    let mut tip = bench.hub.begin(&genesis);
    for (i, text) in texts.iter().enumerate() {
        let draft = bench.bob.seals(&bench.alice, i as u64 + 1, (tip.seq, tip.hash), text).await;
        tip = bench.hub.append(&genesis.log(), &draft);
    }
    tip
}

#[tokio::test]
async fn bobs_messages_are_opened_and_shown_as_bobs() {
    let mut bench = Bench::new().await;
    bob_has_written(&mut bench, &["canary-one", "canary-two"]).await;
    let bench = bench.crash().await;
    assert_eq!(bench.lines(&bench.with_bob()), ["bob@s2: canary-one", "bob@s2: canary-two"]);
    assert!(!bench.files().windows(7).any(|some| some == b"canary-"), "opened, but not in the clear on disk");
    let room = bench.room().log();
    let bench = bench.crash().await;
    assert!(bench.followed.contains(&(room, 3)), "the cursor was committed with the messages");
    assert_eq!(bench.lines(&bench.with_bob()).len(), 2);
}

#[tokio::test]
async fn a_notice_leads_to_the_room() {
    let mut bench = Bench::new().await;
    let genesis = bench.room();
    bob_has_written(&mut bench, &["hello"]).await;
    bench.hub.rooms.clear();
    let inbox = LogName::Inbox(bench.alice.user.clone());
    bench.hub.append(&inbox, &bench.bob.notice(1, &genesis, &bench.alice.user));
    bench.news(&inbox, 1).await;
    assert_eq!(bench.lines(&bench.with_bob()), ["bob@s2: hello"]);
}

#[tokio::test]
async fn a_notice_of_somebody_elses_room_leads_nowhere() {
    let mut bench = Bench::new().await;
    let others = room(&bench.bob.user, &"carol@s2".parse().unwrap());
    let inbox = LogName::Inbox(bench.alice.user.clone());
    bench.hub.append(&inbox, &bench.bob.notice(1, &others, &bench.alice.user));
    let with_carol = room(&bench.alice.user, &"carol@s2".parse().unwrap());
    bench.hub.append(&inbox, &bench.bob.notice(2, &with_carol, &bench.alice.user));
    bench.news(&inbox, 1).await;
    assert!(bench.core.store.rooms().unwrap().is_empty());
    assert!(!bench.followed.iter().any(|(log, _)| matches!(log, LogName::Room(_))));
}

#[tokio::test]
async fn public_posts_of_both_servers_come_in_order_of_arrival() {
    let mut bench = Bench::new().await;
    bench.hub.append(&public("s2"), &bench.bob.post(1, "first"));
    bench.news(&public("s2"), 1).await;
    bench.writes(&Target::Public, "second").await;
    let submit = bench.taken().remove(0);
    bench.accepts(&submit).await;
    bench.news(&public("s1"), 1).await;
    bench.hub.append(&public("s2"), &bench.bob.post(2, "third"));
    bench.news(&public("s2"), 2).await;
    assert_eq!(bench.lines(&Target::Public), ["bob@s2: first", "alice@s1: second", "bob@s2: third"]);
}

#[tokio::test]
async fn a_broken_chain_stops_its_log_and_no_other() {
    let mut bench = Bench::new().await;
    bench.hub.append(&public("s2"), &bench.bob.post(1, "one"));
    bench.news(&public("s2"), 1).await;
    bench.hub.append(&public("s2"), &bench.bob.post(2, "two"));
    let mut frames = bench.hub.entries(&public("s2"), 2);
    if let Some(Frame::Entries(entries)) = frames.last_mut() {
        entries.prev = Some(Hash([1; 32]));
    }
    bench.comes(frames).await.unwrap();
    let stopped = |bench: &Bench| {
        let logs = bench.core.store.logs().unwrap();
        logs.into_iter().filter(|stored| stored.stopped.is_some()).map(|stored| stored.log.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(stopped(&bench), ["public@s2"]);
    bench.writes(&Target::Public, "still here").await;
    let submit = bench.taken().remove(0);
    bench.accepts(&submit).await;
    bench.news(&public("s1"), 1).await;
    assert_eq!(bench.lines(&Target::Public), ["bob@s2: one", "alice@s1: still here"]);
    let bench = bench.crash().await;
    assert_eq!(stopped(&bench), ["public@s2"], "it stays shown");
    assert!(!bench.followed.iter().any(|(log, _)| *log == public("s2")));
}

#[tokio::test]
async fn an_entry_that_is_left_out_stops_the_log() {
    let mut bench = Bench::new().await;
    for n in 1..=3 {
        bench.hub.append(&public("s2"), &bench.bob.post(n, "post"));
    }
    let mut frames = bench.hub.entries(&public("s2"), 1);
    if let Some(Frame::Entries(entries)) = frames.last_mut() {
        entries.items.remove(1);
    }
    bench.comes(frames).await.unwrap();
    assert_eq!(bench.lines(&Target::Public), ["bob@s2: post"]);
    assert!(is_stopped_after(&bench, &public("s2"), 1));
}

#[tokio::test]
async fn what_comes_twice_is_shown_once() {
    let mut bench = Bench::new().await;
    bench.hub.append(&public("s2"), &bench.bob.post(1, "one"));
    bench.news(&public("s2"), 1).await;
    bench.hub.append(&public("s2"), &bench.bob.post(2, "two"));
    bench.news(&public("s2"), 1).await;
    bench.news(&public("s2"), 1).await;
    assert_eq!(bench.lines(&Target::Public), ["bob@s2: one", "bob@s2: two"]);
}

#[tokio::test]
async fn a_missing_message_is_shown_as_missing_and_a_repeated_one_not_as_new() {
    let mut bench = Bench::new().await;
    for (n, text) in [(1, "one"), (4, "four"), (1, "one")] {
        bench.hub.append(&public("s2"), &bench.bob.post(n, text));
    }
    bench.news(&public("s2"), 1).await;
    assert_eq!(
        bench.lines(&Target::Public),
        [
            "bob@s2: one",
            "? 2 of bob@s2's messages before the next one are missing",
            "bob@s2: four",
            "? its server repeats, or re-orders, what bob@s2 has written"
        ]
    );
}

#[tokio::test]
async fn an_author_is_proved_and_never_read() {
    let mut bench = Bench::new().await;
    let mallory = Person::new("mallory@s2", 0, 1).await;
    // Mallory's device writes bob's name; bob's server takes a post of a user of s1; a signature is of another log.
    let forged = mallory.post(1, "it was bob");
    let forged = Encoded::new(Draft { author: bench.bob.user.clone(), ..forged.into_value() });
    bench.hub.append(&public("s2"), &forged);
    bench.hub.append(&public("s2"), &bench.alice.post(1, "moved from s1"));
    bench.hub.append(&public("s2"), &bench.alice.post_in(&public("s2"), 1, "signed for the other server's chat"));
    let edited = bench.bob.post(1, "one").into_value();
    let edited = Encoded::new(Draft { body: bench.bob.post(1, "two").body.clone(), ..edited });
    bench.hub.append(&public("s2"), &edited);
    bench.hub.append(&public("s2"), &bench.bob.post(1, "really bob"));
    bench.news(&public("s2"), 1).await;
    let lines = bench.lines(&Target::Public);
    assert_eq!(lines.len(), 5);
    assert!(lines[..4].iter().all(|line| line.starts_with("? ")), "{lines:?}");
    assert_eq!(lines[4], "bob@s2: really bob");
}

#[tokio::test]
async fn a_room_that_does_not_begin_as_it_is_named_is_stopped() {
    let mut bench = Bench::new().await;
    let genesis = bench.room();
    bench.hub.rooms = vec![RoomRef { hub: genesis.hub().clone(), genesis: genesis.clone() }];
    let draft = bench.bob.seals(&bench.alice, 1, (0, Hash::ZERO), "hello").await;
    bench.hub.append(&genesis.log(), &draft);
    let bench = bench.crash().await;
    assert!(bench.lines(&bench.with_bob()).is_empty());
    assert!(is_stopped_after(&bench, &genesis.log(), 0));
}

/// What bob claims to have seen is his to claim: it is shown, and stops nothing, or he could stop every conversation of his.
#[tokio::test]
async fn a_hub_that_tells_two_stories_is_noticed_and_the_conversation_goes_on() {
    let mut bench = Bench::new().await;
    let tip = bob_has_written(&mut bench, &["one"]).await;
    let mut bench = bench.crash().await;
    let log = bench.room().log();
    // Bob was shown another second entry than alice, or says so; then one that is not there yet; and one before the first.
    for (n, seen) in [(2, (2, Hash([7; 32]))), (3, (90, tip.hash)), (4, (0, Hash([7; 32]))), (5, (tip.seq, tip.hash))] {
        let draft = bench.bob.seals(&bench.alice, n, seen, &format!("message {n}")).await;
        bench.hub.append(&log, &draft);
    }
    bench.news(&log, 3).await;
    let story = "? its author has seen another story of this conversation than its server tells here";
    assert_eq!(bench.lines(&bench.with_bob()), ["bob@s2: one", story, story, story, "bob@s2: message 5"]);
    assert_eq!(bench.stopped(&log), None);
}

#[tokio::test]
async fn what_cannot_be_opened_is_shown_as_such_and_what_follows_is_read() {
    let mut bench = Bench::new().await;
    let tip = bob_has_written(&mut bench, &[]).await;
    let genesis = bench.room();
    let sealed = bench.bob.seals(&bench.alice, 1, (tip.seq, tip.hash), "garbled").await;
    let mut body = sealed.body.to_vec();
    let middle = body.len() / 2;
    body[middle] ^= 1;
    let garbled = Encoded::new(Draft { body: body.into(), ..sealed.into_value() });
    bench.hub.append(&genesis.log(), &garbled);
    let good = bench.bob.seals(&bench.alice, 1, (tip.seq, tip.hash), "clear").await;
    bench.hub.append(&genesis.log(), &good);
    let bench = bench.crash().await;
    let lines = bench.lines(&bench.with_bob());
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("? "), "{lines:?}");
    assert_eq!(lines[1], "bob@s2: clear");
    assert!(matches!(bench.screen(&bench.with_bob())[0].status, Status::Unreadable { .. }));
}

#[tokio::test]
async fn a_log_that_lacks_keys_waits_alone_and_goes_on_when_they_come() {
    let mut bench = Bench::with(|hub, _, bob| {
        hub.chains.remove(&bob.user);
    })
    .await;
    bench.hub.mute_about_keys = true;
    bench.hub.append(&public("s2"), &bench.bob.post(1, "one"));
    bench.news(&public("s2"), 1).await;
    bench.hub.append(&public("s2"), &bench.bob.post(2, "two"));
    bench.news(&public("s2"), 2).await;
    assert!(bench.lines(&Target::Public).is_empty());
    assert!(!bench.engine.is_caught_up());
    bench.writes(&Target::Public, "meanwhile").await;
    let submit = bench.taken().remove(0);
    bench.accepts(&submit).await;
    bench.news(&public("s1"), 1).await;
    assert_eq!(bench.lines(&Target::Public), ["alice@s1: meanwhile"]);
    bench.hub.mute_about_keys = false;
    bench.hub.knows(&bench.bob);
    let mut bench = bench.crash().await;
    bench.news(&public("s2"), 1).await;
    let mut lines = bench.lines(&Target::Public);
    lines.sort();
    assert_eq!(lines, ["alice@s1: meanwhile", "bob@s2: one", "bob@s2: two"]);
    assert!(bench.engine.is_caught_up());
}

#[tokio::test]
async fn a_log_that_the_home_server_has_stopped_is_stopped_here_behind_all_that_came_before() {
    let mut bench = Bench::with(|hub, _, bob| {
        hub.chains.remove(&bob.user);
    })
    .await;
    bench.hub.mute_about_keys = true;
    bench.hub.append(&public("s2"), &bench.bob.post(1, "one"));
    bench.news(&public("s2"), 1).await;
    let ended = Ended { log: public("s2"), seq: 1, why: Some(Code::Broken.into()) };
    bench.comes(vec![ended.into()]).await.unwrap();
    assert_eq!(bench.stopped(&public("s2")), None, "what came before waits for keys");
    bench.hub.knows(&bench.bob);
    let (req, user, after) = bench.held.remove(0);
    bench.answers(req, &user, after).await;
    assert_eq!(bench.lines(&Target::Public), ["bob@s2: one"]);
    assert_eq!(bench.stopped(&public("s2")).as_deref(), Some(Code::Broken.sentence()));
    bench.hub.append(&public("s2"), &bench.bob.post(2, "two"));
    let mut bench = bench.crash().await;
    bench.news(&public("s2"), 2).await;
    assert_eq!(bench.lines(&Target::Public), ["bob@s2: one"], "it is not taken up again");
    assert_eq!(bench.stopped(&public("s2")).as_deref(), Some(Code::Broken.sentence()));
    assert_eq!(bench.stopped(&public("s1")), None);
}

#[tokio::test]
async fn a_forged_notice_leads_nowhere() {
    let mut bench = Bench::new().await;
    let mallory = Person::new("mallory@s2", 0, 1).await;
    let inbox = LogName::Inbox(bench.alice.user.clone());
    let forged = mallory.notice(1, &bench.room(), &bench.alice.user);
    bench.hub.append(&inbox, &Encoded::new(Draft { author: bench.bob.user.clone(), ..forged.into_value() }));
    let unsigned = bench.bob.notice(1, &bench.room(), &bench.alice.user);
    bench.hub.append(&inbox, &Encoded::new(Draft { sig: None, ..unsigned.into_value() }));
    bench.news(&inbox, 1).await;
    assert!(bench.core.store.rooms().unwrap().is_empty());
    bench.hub.append(&inbox, &bench.bob.notice(1, &bench.room(), &bench.alice.user));
    bench.news(&inbox, 3).await;
    assert_eq!(bench.kept(&bench.room()).genesis, bench.room(), "the control: bob's own leads to the room");
}

#[tokio::test]
async fn a_log_that_goes_on_elsewhere_stops() {
    let mut bench = Bench::new().await;
    for n in 1..=3 {
        bench.hub.append(&public("s2"), &bench.bob.post(n, "post"));
    }
    let mut frames = bench.hub.entries(&public("s2"), 1);
    if let Some(Frame::Entries(entries)) = frames.last_mut() {
        entries.items.truncate(1);
    }
    bench.comes(frames).await.unwrap();
    // What comes is well made in itself, but begins after what is missing here.
    bench.news(&public("s2"), 3).await;
    assert_eq!(bench.lines(&Target::Public), ["bob@s2: post"]);
    assert!(is_stopped_after(&bench, &public("s2"), 1));
}

/// These entries of a log, without a word on what they follow.
fn going_on(bench: &mut Bench, log: &LogName, from: u64) -> Vec<Frame> {
    let mut frames = bench.hub.entries(log, from);
    if let Some(Frame::Entries(entries)) = frames.last_mut() {
        entries.prev = None;
    }
    frames
}

#[tokio::test]
async fn entries_go_on_once_their_server_has_said_what_they_follow() {
    let mut bench = Bench::new().await;
    let log = public("s2");
    for (n, text) in (1..).zip(["one", "two"]) {
        bench.hub.append(&log, &bench.bob.post(n, text));
    }
    let frames = going_on(&mut bench, &log, 1);
    bench.comes(frames).await.unwrap();
    assert!(bench.lines(&Target::Public).is_empty() && bench.stopped(&log).is_none(), "nobody has said what comes before");
    bench.news(&log, 1).await;
    bench.hub.append(&log, &bench.bob.post(3, "three"));
    // Some of it is here already.
    let frames = going_on(&mut bench, &log, 2);
    bench.comes(frames).await.unwrap();
    assert_eq!(bench.lines(&Target::Public), ["bob@s2: one", "bob@s2: two", "bob@s2: three"]);
    // On the next link it has to be said anew.
    let mut bench = bench.crash().await;
    bench.hub.append(&log, &bench.bob.post(4, "four"));
    let frames = going_on(&mut bench, &log, 4);
    bench.comes(frames).await.unwrap();
    assert_eq!(bench.lines(&Target::Public).len(), 3);
    bench.news(&log, 4).await;
    bench.hub.append(&log, &bench.bob.post(5, "five"));
    bench.hub.append(&log, &bench.bob.post(6, "six"));
    let frames = going_on(&mut bench, &log, 6);
    bench.comes(frames).await.unwrap();
    assert_eq!(bench.lines(&Target::Public).len(), 4);
    assert!(is_stopped_after(&bench, &log, 4), "one is missing");
}

#[tokio::test]
async fn another_past_than_the_one_that_is_here_stops_the_log() {
    let mut bench = Bench::new().await;
    bench.hub.append(&public("s2"), &bench.bob.post(1, "one"));
    bench.news(&public("s2"), 1).await;
    let mut other = Hub::default();
    other.append(&public("s2"), &bench.bob.post(1, "never said"));
    let frames = other.entries(&public("s2"), 1);
    bench.comes(frames).await.unwrap();
    assert_eq!(bench.lines(&Target::Public), ["bob@s2: one"]);
    assert!(is_stopped_after(&bench, &public("s2"), 1));
}
