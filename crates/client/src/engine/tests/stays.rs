//! Groups as the one sees them who is asked in, comes, goes and comes again: what is of one's own stays is shown, and of all
//! else nothing; what is erased is gone; and nobody who may not changes anything.

use super::bench::{Act, Bench, Person, group as group_of, invitation, reads, target};
use crate::view::{Role, Status, Target};
use tidings_e2ee::invitation::{Note, seal};
use tidings_proto::frame::RoomRef;
use tidings_proto::membership::{Invitation, Remove};
use tidings_proto::{Content, Draft, Encoded, Genesis, Hash, Kind, LogName, cbor, limits};

/// What `by` would put into alice's inbox to ask her into a group, whatever the group says.
fn asks_alice(bench: &Bench, by: &Person, group: &Genesis, title: &str, vouched: (u64, Hash)) -> Vec<u8> {
    let note = Note {
        room: group.room(),
        suite: group.suite(),
        from: by.user.clone(),
        to: bench.alice.user.clone(),
        title: title.into(),
        seq: vouched.0,
        hash: vouched.1,
        epoch: 1,
        roster: Hash::ZERO,
    };
    let sealed = seal(&note, &by.device, &bench.alice.state.list.encryption).unwrap();
    let room = RoomRef { genesis: group.clone(), hub: group.hub().clone() };
    cbor::encode(&Invitation { room, sealed })
}

fn inbox(bench: &Bench) -> LogName {
    LogName::Inbox(bench.alice.user.clone())
}

/// An invitation by `by` arrives in alice's inbox.
async fn is_invited(bench: &mut Bench, by: &Person, group: &Genesis, title: &str, vouched: (u64, Hash)) {
    let (inbox, body) = (inbox(bench), asks_alice(bench, by, group, title, vouched));
    let n = bench.hub.next_n(&inbox, &by.device.public());
    let tip = bench.hub.append(&inbox, &by.open(Kind::Invitation, &inbox, n, None, body));
    bench.news(&inbox, tip.seq).await;
}

/// Bob as he was when the bench was made; a copy, since the bench is needed beside him.
fn bob(bench: &Bench) -> Person {
    bench.bob.on(&bench.bob.device)
}

#[tokio::test]
async fn an_invitation_leads_to_the_group_and_what_it_is_called() {
    let mut bench = Bench::new().await;
    let bob = bob(&bench);
    let group = group_of(&bob.user, 1);
    bench.hub.begin_group(&group, &bob);
    let tip = bench.hub.does(&group, &bob, Act::Invite(&bench.alice, tidings_proto::Role::Member));
    is_invited(&mut bench, &bob, &group, "Choir", (tip.seq, tip.hash)).await;
    assert_eq!((bench.title(&group), bench.kept(&group).invited_by), ("Choir".into(), Some(bob.user.clone())));
    assert_eq!(bench.lines(&target(&group)), ["* bob@s2 makes the group", "* bob@s2 asks alice@s1 in as Member"]);
    bench.joins(&group).await;
    bench.settles().await;
    let tip = bench.hub.says(&group, &bob, "hello").await;
    bench.news(&group.log(), tip.seq).await;
    bench.writes(&target(&group), "hello yourself").await;
    bench.settles().await;
    let bench = bench.crash().await;
    assert_eq!(bench.lines(&target(&group))[2..], ["* alice@s1 comes in", "bob@s2: hello", "alice@s1: hello yourself"]);
    assert_eq!(bench.stopped(&group.log()), None);
}

#[tokio::test]
async fn what_was_written_outside_of_ones_stays_leaves_no_trace_and_is_not_missed() {
    for shows_all in [false, true] {
        let mut bench = Bench::new().await;
        let bob = bob(&bench);
        bench.hub.shows_all = shows_all;
        let group = group_of(&bob.user, 1);
        bench.hub.begin_group(&group, &bob);
        bench.hub.says(&group, &bob, "before alice was asked").await;
        bench.hub.does(&group, &bob, Act::Invite(&bench.alice, tidings_proto::Role::Member));
        bench.hub.says(&group, &bob, "before alice came").await;
        bench.is_told_of(&group).await;
        bench.joins(&group).await;
        bench.settles().await;
        bench.hub.says(&group, &bob, "alice is here").await;
        bench.all_of(&group.log()).await;
        bench.leaves(&group).await;
        bench.settles().await;
        bench.hub.says(&group, &bob, "alice is gone").await;
        bench.hub.says(&group, &bob, "still gone").await;
        bench.all_of(&group.log()).await;
        bench.hub.does(&group, &bob, Act::Invite(&bench.alice, tidings_proto::Role::Member));
        bench.is_told_of(&group).await;
        bench.joins(&group).await;
        bench.settles().await;
        bench.hub.says(&group, &bob, "alice is back").await;
        bench.all_of(&group.log()).await;
        let lines = [
            "* bob@s2 makes the group",
            "* bob@s2 asks alice@s1 in as Member",
            "* alice@s1 comes in",
            "bob@s2: alice is here",
            "* alice@s1 goes",
            "* bob@s2 asks alice@s1 in as Member",
            "* alice@s1 comes in",
            "bob@s2: alice is back",
        ];
        assert_eq!(bench.lines(&target(&group)), lines, "shown all: {shows_all}");
        let bench = bench.crash().await;
        assert_eq!(bench.lines(&target(&group)), lines);
        assert_eq!(bench.stopped(&group.log()), None);
    }
}

/// There is one stub, and two of bob's numbers are not there.
#[tokio::test]
async fn a_gap_that_stubs_do_not_explain_is_shown() {
    let mut bench = Bench::new().await;
    let bob = bob(&bench);
    let group = group_of(&bob.user, 1);
    bench.hub.begin_group(&group, &bob);
    bench.hub.says(&group, &bob, "before alice came").await;
    let swallowed = bench.hub.message(&group, &bob, Content::text("swallowed").unwrap()).await;
    bench.hub.skip(&group.log(), &swallowed);
    bench.hub.does(&group, &bob, Act::Invite(&bench.alice, tidings_proto::Role::Member));
    bench.is_told_of(&group).await;
    bench.joins(&group).await;
    bench.settles().await;
    let lines = [
        "* bob@s2 makes the group",
        "? 1 of bob@s2's messages before the next one is missing",
        "* bob@s2 asks alice@s1 in as Member",
        "* alice@s1 comes in",
    ];
    assert_eq!(bench.lines(&target(&group)), lines);
    // The stub has explained one gap, and explains no other.
    let swallowed = bench.hub.message(&group, &bob, Content::text("swallowed too").unwrap()).await;
    bench.hub.skip(&group.log(), &swallowed);
    bench.hub.says(&group, &bob, "hello").await;
    bench.all_of(&group.log()).await;
    assert_eq!(bench.lines(&target(&group))[4..], ["? 1 of bob@s2's messages before the next one is missing", "bob@s2: hello"]);
}

#[tokio::test]
async fn what_is_erased_is_gone_from_screen_and_disk() {
    let mut bench = Bench::new().await;
    let (bob, public) = (bob(&bench), LogName::Public(bench.bob.user.server().clone()));
    let group = bench.comes_to_bobs(1).await;
    let said = bench.hub.says(&group, &bob, "canary in the group").await;
    bench.all_of(&group.log()).await;
    let id = bench.writes(&target(&group), "canary of my own").await;
    bench.settles().await;
    bench.hub.append(&public, &bob.post(1, "canary in public"));
    bench.hub.append(&public, &bob.post(2, "stays"));
    bench.all_of(&public).await;
    let sealed: Vec<Vec<u8>> = [said.seq, said.seq + 1].iter().map(|seq| content_at(&bench, &group, *seq).unwrap()).collect();
    bench.hub.erases(&group.log(), &bob, said.seq);
    bench.all_of(&group.log()).await;
    bench.erases(&target(&group), id).await;
    bench.settles().await;
    bench.hub.erases(&public, &bob, 1);
    bench.all_of(&public).await;
    let (in_group, in_public) = (
        ["? erased by bob@s2", "? erased by alice@s1", "* bob@s2 erases something", "* alice@s1 erases something"],
        ["? erased by bob@s2", "bob@s2: stays", "* bob@s2 erases something"],
    );
    assert_eq!(bench.lines(&target(&group))[3..], in_group);
    assert_eq!(bench.lines(&Target::Public), in_public);
    let bench = bench.crash().await;
    assert_eq!(bench.lines(&target(&group))[3..], in_group);
    let files = bench.files();
    assert!(!files.windows(6).any(|some| some == b"canary"), "what was public is in no file");
    for content in sealed {
        assert!(!files.windows(content.len()).any(|some| some == content), "nor is what was private, in the form in which it was kept");
    }
    assert!(files.windows(5).any(|some| some == b"stays"), "this does look where things are kept");
}

fn content_at(bench: &Bench, group: &Genesis, seq: u64) -> Option<Vec<u8>> {
    let rows = bench.core.store.timeline(&target(group), 100).unwrap();
    rows.into_iter().find(|row| row.seq == Some(seq))?.content
}

/// Also where the hub lets it into the log.
#[tokio::test]
async fn an_erasure_by_somebody_who_may_not_changes_nothing() {
    let mut bench = Bench::new().await;
    let (bob, carol) = (bob(&bench), Person::new("carol@s2", 1, 0).await);
    let mallory = Person::new("mallory@s2", 0, 4).await;
    bench.hub.knows(&carol);
    bench.hub.knows(&mallory);
    let group = bench.comes_to_bobs(1).await;
    bench.hub.brings(&group, &bob, &carol);
    let said = bench.hub.says(&group, &bob, "stays").await;
    // Carol is a member as alice is; mallory is nobody there; and bob means another draft than the one that is there.
    bench.hub.erases_only(&group.log(), &carol, said.seq, None);
    bench.hub.erases_only(&group.log(), &mallory, said.seq, None);
    bench.hub.erases_only(&group.log(), &bob, said.seq, Some(Hash([7; 32])));
    bench.all_of(&group.log()).await;
    let lines = bench.lines(&target(&group));
    assert!(lines.contains(&"bob@s2: stays".to_owned()), "{lines:?}");
    // In public, each has what is theirs.
    let public = LogName::Public("s2".parse().unwrap());
    bench.hub.append(&public, &bob.post(1, "stays too"));
    bench.hub.erases_only(&public, &mallory, 1, None);
    bench.all_of(&public).await;
    let lines = bench.lines(&Target::Public);
    assert!(lines.contains(&"bob@s2: stays too".to_owned()), "{lines:?}");
    // The control: bob may.
    bench.hub.erases_only(&group.log(), &bob, said.seq, None);
    bench.hub.erases_only(&public, &bob, 1, None);
    bench.all_of(&group.log()).await;
    bench.all_of(&public).await;
    assert!(bench.lines(&target(&group)).contains(&"? erased by bob@s2".to_owned()));
    assert!(bench.lines(&Target::Public).contains(&"? erased by bob@s2".to_owned()));
}

/// An admin erases what others have written, in groups only.
#[tokio::test]
async fn who_runs_a_group_erases_what_others_have_written_there() {
    let mut bench = Bench::new().await;
    let bob = bob(&bench);
    let group = bench.comes_to_bobs(1).await;
    let id = bench.writes(&target(&group), "mine").await;
    bench.settles().await;
    let seq = bench.hub.tip(&group.log()).seq;
    bench.hub.erases(&group.log(), &bob, seq);
    bench.all_of(&group.log()).await;
    assert_eq!(bench.lines(&target(&group))[3..], ["? erased by bob@s2", "* bob@s2 erases something"]);
    assert_eq!(bench.core.store.message(id).unwrap().unwrap().content, None);
    let direct = bench.room();
    bench.hub.begin(&direct);
    bench.is_told_of(&direct).await;
    bench.writes(&bench.with_bob(), "mine too").await;
    bench.settles().await;
    bench.hub.erases_only(&direct.log(), &bob, 2, None);
    bench.all_of(&direct.log()).await;
    assert!(bench.lines(&bench.with_bob()).contains(&"alice@s1: mine too".to_owned()));
}

#[tokio::test]
async fn what_was_erased_before_it_came_is_shown_as_erased() {
    let mut bench = Bench::new().await;
    let bob = bob(&bench);
    let group = bench.comes_to_bobs(1).await;
    let said = bench.hub.says(&group, &bob, "regretted").await;
    bench.hub.says(&group, &bob, "meant").await;
    bench.hub.erases(&group.log(), &bob, said.seq);
    bench.all_of(&group.log()).await;
    assert_eq!(bench.lines(&target(&group))[3..], ["? erased by bob@s2", "bob@s2: meant", "* bob@s2 erases something"]);
}

#[tokio::test]
async fn a_title_is_what_a_member_has_last_called_the_group() {
    let mut bench = Bench::new().await;
    let (bob, mallory) = (bob(&bench), Person::new("mallory@s2", 0, 4).await);
    bench.hub.knows(&mallory);
    let group = bench.comes_to_bobs(1).await;
    assert_eq!(bench.title(&group), "");
    bench.hub.calls(&group, &bob, "Choir").await;
    bench.all_of(&group.log()).await;
    assert_eq!(bench.title(&group), "Choir");
    bench.calls(&group, "Quartet").await;
    assert_eq!(bench.title(&group), "Choir", "what is not in the log yet is nobody else's title");
    bench.settles().await;
    assert_eq!(bench.title(&group), "Quartet");
    let tip = bench.hub.tip(&group.log());
    is_invited(&mut bench, &mallory, &group, "Mallory's club", (tip.seq, tip.hash)).await;
    assert_eq!((bench.title(&group), bench.kept(&group).invited_by), ("Quartet".into(), None), "an invitation is for who is not in");
    bench.hub.calls(&group, &bob, "Trio").await;
    bench.all_of(&group.log()).await;
    // Whoever is asked in from now on is told the newest one.
    let tip = bench.hub.does(&group, &bob, Act::SetRole(&bench.alice.user, tidings_proto::Role::Admin));
    bench.news(&group.log(), tip.seq).await;
    let carol = Person::new("carol@s2", 1, 0).await;
    bench.hub.knows(&carol);
    let mut bench = bench.crash().await;
    bench.asks(&group, &carol.user, Role::Member).await;
    bench.settles().await;
    let invited = invitation(&bench.hub, &carol).await.unwrap();
    let title = bench.core.crypto.out_of_rest(&group.log(), Some(invited.title.1), &invited.title.0).unwrap().title;
    assert_eq!((title.as_deref(), bench.title(&group).as_str()), (Some("Trio"), "Trio"));
}

/// By its server's list, by an invitation, and by another one.
#[tokio::test]
async fn a_room_that_is_learnt_twice_is_one() {
    let mut bench = Bench::new().await;
    let bob = bob(&bench);
    let group = bench.is_asked_by_bob(1).await;
    let tip = bench.hub.tip(&group.log());
    is_invited(&mut bench, &bob, &group, "Choir", (tip.seq, tip.hash)).await;
    assert_eq!((bench.title(&group), bench.kept(&group).invited_by), ("Choir".into(), Some(bob.user.clone())), "it says more of it");
    is_invited(&mut bench, &bob, &group, "Quartet", (tip.seq, tip.hash)).await;
    bench.is_told_of(&group).await;
    assert_eq!((bench.title(&group), bench.core.store.rooms().unwrap().len()), ("Quartet".into(), 1));
    assert_eq!(bench.lines(&target(&group)), ["* bob@s2 makes the group", "* bob@s2 asks alice@s1 in as Member"]);
    bench.joins(&group).await;
    bench.settles().await;
    let bench = bench.crash().await;
    assert_eq!(bench.lines(&target(&group)).len(), 3);
}

/// Whoever asks in may lie about it, or the server may: it is said, and stops nothing.
#[tokio::test]
async fn an_invitation_that_vouches_for_another_chain_is_shown_once_and_stops_nothing() {
    let contradiction = "? bob@s2, who has asked you in, has seen another story of this group than its server tells here";
    // Whether the server or the invitation is first to tell of the room.
    for told_first in [false, true] {
        let mut bench = Bench::new().await;
        let bob = bob(&bench);
        let group = group_of(&bob.user, 1);
        bench.hub.begin_group(&group, &bob);
        let tip = bench.hub.does(&group, &bob, Act::Invite(&bench.alice, tidings_proto::Role::Member));
        if told_first {
            bench.is_told_of(&group).await;
        }
        for _ in 0..2 {
            is_invited(&mut bench, &bob, &group, "Choir", (tip.seq, Hash([7; 32]))).await;
        }
        let mut bench = bench.crash().await;
        bench.joins(&group).await;
        bench.settles().await;
        bench.hub.says(&group, &bob, "hello").await;
        bench.all_of(&group.log()).await;
        let lines = bench.lines(&target(&group));
        assert_eq!(lines.iter().filter(|line| *line == contradiction).count(), 1, "{lines:?}");
        assert_eq!(lines[3..], ["* alice@s1 comes in", "bob@s2: hello"], "told first: {told_first}");
        assert_eq!(bench.stopped(&group.log()), None);
    }
}

/// Carol was there, and is not any more: of what came later she has seen nothing.
#[tokio::test]
async fn what_a_former_member_vouches_for_means_nothing() {
    for told_first in [false, true] {
        let mut bench = Bench::new().await;
        let (bob, carol) = (bob(&bench), Person::new("carol@s2", 1, 0).await);
        bench.hub.knows(&carol);
        let group = group_of(&bob.user, 1);
        bench.hub.begin_group(&group, &bob);
        bench.hub.brings(&group, &bob, &carol);
        bench.hub.does(&group, &bob, Act::Remove(&carol.user));
        let tip = bench.hub.does(&group, &bob, Act::Invite(&bench.alice, tidings_proto::Role::Member));
        if told_first {
            bench.is_told_of(&group).await;
        }
        is_invited(&mut bench, &carol, &group, "Carol's choir", (tip.seq, Hash([7; 32]))).await;
        bench.joins(&group).await;
        bench.settles().await;
        let lines = bench.lines(&target(&group));
        assert!(!lines.iter().any(|line| line.starts_with("? ")), "{lines:?}");
        assert_eq!((lines.last().unwrap().as_str(), bench.stopped(&group.log())), ("* alice@s1 comes in", None));
    }
}

#[tokio::test]
async fn a_forged_invitation_leads_nowhere() {
    let mut bench = Bench::new().await;
    let (bob, mallory) = (bob(&bench), Person::new("mallory@s2", 0, 4).await);
    bench.hub.knows(&mallory);
    let group = group_of(&bob.user, 1);
    let (inbox, at) = (inbox(&bench), (1, Hash::ZERO));
    let forged = |body: Vec<u8>| {
        let draft = mallory.open(Kind::Invitation, &inbox, 1, None, body).into_value();
        Encoded::new(Draft { author: bob.user.clone(), ..draft })
    };
    // Mallory writes bob's name around a note of mallory's, and then of bob's.
    let by_mallory = asks_alice(&bench, &mallory, &group, "Choir", at);
    let by_bob = asks_alice(&bench, &bob, &group, "Choir", at);
    for draft in [forged(by_mallory.clone()), forged(by_bob.clone()), mallory.open(Kind::Invitation, &inbox, 1, None, by_bob.clone())] {
        bench.hub.append(&inbox, &draft);
    }
    // It is locked to another person, or to nobody's key.
    let note = asks_alice(&bench, &bob, &group, "Choir", at);
    let mut garbled: Invitation = cbor::decode(&note, limits::DRAFT).unwrap();
    let mut sealed = garbled.sealed.to_vec();
    let middle = sealed.len() / 2;
    sealed[middle] ^= 1;
    garbled.sealed = sealed.into();
    bench.hub.append(&inbox, &bob.open(Kind::Invitation, &inbox, 1, None, cbor::encode(&garbled)));
    bench.news(&inbox, 1).await;
    assert!(bench.core.store.rooms().unwrap().is_empty());
    assert!(!*bench.core.locked.borrow());
    bench.hub.append(&inbox, &bob.open(Kind::Invitation, &inbox, 1, None, by_bob));
    bench.all_of(&inbox).await;
    assert_eq!(bench.kept(&group).invited_by, Some(bob.user.clone()), "the control: bob's own leads to the group");
}

/// A stranger's invitation that is locked with a key which never was alice's is no reason to ask for a password.
#[tokio::test]
async fn an_invitation_that_is_locked_with_a_strangers_key_stops_no_inbox() {
    let mut bench = Bench::new().await;
    let (bob, mallory) = (bob(&bench), Person::new("mallory@s2", 0, 4).await);
    bench.hub.knows(&mallory);
    let group = group_of(&bob.user, 1);
    let (inbox, key) = (inbox(&bench), bench.alice.state.list.encryption.clone());
    let mut alice = bench.alice.on(&bench.alice.device);
    alice.changes_keys(&bench.alice.device, 4).await;
    std::mem::swap(&mut bench.alice, &mut alice);
    let body = asks_alice(&bench, &mallory, &group, "Choir", (1, Hash::ZERO));
    std::mem::swap(&mut bench.alice, &mut alice);
    assert_eq!(bench.alice.state.list.encryption, key, "the server has told nobody of that key, and it is not alice's");
    bench.hub.append(&inbox, &mallory.open(Kind::Invitation, &inbox, 1, None, body));
    bench.news(&inbox, 1).await;
    assert!(!*bench.core.locked.borrow());
    bench.hub.append(&inbox, &bob.notice(1, &bench.room(), &bench.alice.user));
    bench.all_of(&inbox).await;
    assert_eq!(bench.kept(&bench.room()).genesis, bench.room(), "what comes after it arrives");
}

#[tokio::test]
async fn a_change_that_is_not_valid_is_shown_and_changes_nothing() {
    let mut bench = Bench::new().await;
    let (bob, carol) = (bob(&bench), Person::new("carol@s2", 1, 0).await);
    bench.hub.knows(&carol);
    let group = bench.comes_to_bobs(1).await;
    bench.hub.brings(&group, &bob, &carol);
    bench.all_of(&group.log()).await;
    let before = bench.kept(&group).members;
    // Carol is a member only, and her hub takes it all the same; and what bob wants was made for another state.
    let remove = cbor::encode(&Remove { prev: bench.hub.members(&group).last(), user: bob.user.clone(), lost_by: None });
    bench.hub.append(&group.log(), &carol.open(Kind::Remove, &group.log(), 2, Some(4), remove));
    let stale = cbor::encode(&Remove { prev: Hash([7; 32]), user: carol.user.clone(), lost_by: None });
    let n = bench.hub.next_n(&group.log(), &bob.device.public());
    bench.hub.append(&group.log(), &bob.open(Kind::Remove, &group.log(), n, Some(4), stale));
    bench.all_of(&group.log()).await;
    let lines = bench.lines(&target(&group));
    assert!(lines[5].starts_with("? carol@s2 has tried to change the group"), "{lines:?}");
    assert!(lines[6].starts_with("? bob@s2 has tried to change the group"), "{lines:?}");
    assert_eq!(bench.kept(&group).members, before);
    let id = bench.writes(&target(&group), "all of us").await;
    bench.settles().await;
    assert!(matches!(bench.status(id), Status::Sent { .. }));
    assert_eq!(reads(&bench.hub, &group, &carol).await.as_deref(), Some("all of us"));
}

#[tokio::test]
async fn a_group_that_does_not_begin_as_it_is_named_is_stopped() {
    for case in 0..5 {
        let mut bench = Bench::new().await;
        let (bob, mallory) = (bob(&bench), Person::new("mallory@s2", 0, 4).await);
        bench.hub.shows_all = true;
        let (group, other) = (group_of(&bob.user, 1), group_of(&bob.user, 9));
        let begins = |by: &Person, genesis: &Genesis| by.open(Kind::Genesis, &group.log(), 1, None, genesis.encode().to_vec());
        let forged = Encoded::new(Draft { author: bob.user.clone(), ..begins(&mallory, &group).into_value() });
        let unsigned = Encoded::new(Draft { sig: None, ..begins(&bob, &group).into_value() });
        let beginning = [begins(&bob, &other), begins(&mallory, &group), forged, unsigned, begins(&bob, &group)];
        bench.hub.knows(&mallory);
        bench.hub.append(&group.log(), &beginning[case]);
        if case == 4 {
            bench.hub.forget(&group.log(), 1);
        }
        bench.is_told_of(&group).await;
        assert!(bench.stopped(&group.log()).is_some_and(|why| why.contains("named after")), "beginning {case}");
        assert!(bench.lines(&target(&group)).is_empty());
    }
}
