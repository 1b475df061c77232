//! Rooms whose people get other keys: what waits for keys, what a person has to unlock, whom nobody knows any more, and what a
//! device that was taken off may still say.

use super::bench::{Act, Bench, Person, Sealing, reads, secrets, target};
use crate::engine::removals::PATIENCE;
use crate::view::{Event, Role, Status, Target};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidings_e2ee::AccountSecrets;
use tidings_proto::{Code, Content, Genesis, Hash, Kind, LogName, cbor};

/// Bob as he is now; a copy, since the bench is needed beside him.
fn bob(bench: &Bench) -> Person {
    bench.bob.on(&bench.bob.device)
}

/// Carol, in a group of bob's in which alice is too.
async fn with_carol(bench: &mut Bench) -> (Genesis, Person) {
    let carol = Person::new("carol@s2", 1, 0).await;
    bench.hub.knows(&carol);
    let group = bench.comes_to_bobs(1).await;
    bench.hub.brings(&group, &bench.bob, &carol);
    bench.all_of(&group.log()).await;
    (group, carol)
}

/// How many lines say that somebody puts bob out, or has failed to.
fn removals(bench: &Bench, group: &Genesis) -> Vec<Status> {
    let screen = bench.screen(&target(group)).into_iter();
    screen.filter(|line| matches!(line.event, Some(Event::Removed { .. }))).map(|line| line.status).collect()
}

#[tokio::test]
async fn who_began_anew_is_put_out_once_and_messages_go_on() {
    let mut bench = Bench::new().await;
    let group = bench.makes_with_bob("Allotment").await;
    let mut bob = bob(&bench);
    bob.begins_anew(0, 4).await;
    bench.hears_of(&bob).await;
    let id = bench.writes(&target(&group), "who was that?").await;
    assert_eq!(bench.status(id), Status::Pending);
    bench.settles().await;
    assert!(matches!(bench.status(id), Status::Sent { .. }));
    assert!(!bench.hub.members(&group).has(&bob.user));
    assert_eq!(reads(&bench.hub, &group, &bob).await, None);
    assert_eq!(bench.lines(&target(&group))[4..], ["* alice@s1 puts bob@s2 out", "alice@s1: who was that?"]);
    let mut bench = bench.crash().await;
    bench.hears_of(&bob).await;
    bench.settles().await;
    assert_eq!(removals(&bench, &group).len(), 1);
}

#[tokio::test]
async fn who_began_anew_is_put_out_once_also_if_the_process_ends_before_that_is_answered() {
    let mut bench = Bench::new().await;
    let group = bench.makes_with_bob("Allotment").await;
    let mut bob = bob(&bench);
    bob.begins_anew(0, 4).await;
    bench.hears_of(&bob).await;
    let first = bench.taken();
    let mut bench = bench.crash().await;
    let again = bench.taken();
    assert_eq!(again.iter().map(|submit| &submit.draft).collect::<Vec<_>>(), first.iter().map(|submit| &submit.draft).collect::<Vec<_>>());
    for submit in &again {
        bench.accepts(submit).await;
    }
    bench.all_of(&group.log()).await;
    bench.settles().await;
    assert_eq!(removals(&bench, &group).len(), 1);
    let bench = bench.crash().await;
    assert_eq!(removals(&bench, &group).len(), 1);
}

/// Everybody in a group notices at the same time, and one of them is first.
#[tokio::test]
async fn whom_another_member_has_put_out_first_is_put_out_once() {
    let mut bench = Bench::new().await;
    let (group, carol) = with_carol(&mut bench).await;
    let mut bob = bob(&bench);
    bob.begins_anew(0, 4).await;
    bench.hears_of(&bob).await;
    let mine = bench.taken().remove(0);
    let tip = bench.hub.does(&group, &carol, Act::Remove(&bob.user));
    bench.refuses(&mine, Code::Stale).await;
    bench.news(&group.log(), tip.seq).await;
    bench.writes(&target(&group), "well").await;
    bench.settles().await;
    let removals = removals(&bench, &group);
    assert!(removals.iter().all(|status| *status == Status::Received), "{removals:?}");
    assert_eq!(bench.lines(&target(&group))[5..], ["* carol@s2 puts bob@s2 out", "alice@s1: well"]);
}

/// Bob's server shows to alice's what it does not show to the group's hub.
#[tokio::test]
async fn a_reset_that_a_groups_hub_has_not_seen_holds_messages_up_only_so_long() {
    let mut bench = Bench::new().await;
    let (group, _) = with_carol(&mut bench).await;
    let mut bob = bob(&bench);
    let seen_by_hub = bench.hub.keys.clone();
    bob.begins_anew(0, 4).await;
    bench.hears_of(&bob).await;
    bench.hub.keys = seen_by_hub;
    let id = bench.writes(&target(&group), "anybody there?").await;
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let submits = bench.taken();
        assert_eq!(submits.len(), 1, "the removal, and nothing else");
        let draft = tidings_proto::draft::read(submits[0].draft.clone()).unwrap();
        let why = bench.hub.offer(&submits[0].log, &draft, None).unwrap_err();
        assert_eq!((draft.kind, why.code), (Kind::Remove, Code::NotYet));
        let before = Instant::now();
        bench.refuses(&submits[0], why).await;
        pauses.push((bench.engine.wake_at().unwrap() - before).as_millis());
        bench.wakes().await;
    }
    assert!(pauses.last().unwrap() > &4000, "less and less often: {pauses:?}");
    bench.engine.tick(Instant::now() + PATIENCE - Duration::from_secs(60)).await.unwrap();
    assert_eq!(bench.status(id), Status::Pending, "a hub that is only slow has its time");
    bench.engine.tick(Instant::now() + PATIENCE).await.unwrap();
    bench.answer().await;
    let status = bench.status(id);
    let Status::Failed { reason, code } = &status else { panic!("{status:?}") };
    assert!(reason.contains("bob@s2") && reason.contains("ask an owner"), "{reason}");
    assert_eq!((code.as_deref(), status.exit_code()), (Some("KeyChanged"), 8));
    let next = bench.writes(&target(&group), "still nobody?").await;
    assert!(matches!(bench.status(next), Status::Failed { .. }), "what is written then is not kept waiting again");
    // The hub sees it after all.
    bench.hub.knows(&bob);
    bench.settles().await;
    let id = bench.writes(&target(&group), "at last").await;
    bench.settles().await;
    assert!(matches!(bench.status(id), Status::Sent { .. }));
    assert_eq!((removals(&bench, &group).len(), bench.engine.wake_at()), (1, None));
}

#[tokio::test]
async fn a_removal_that_is_refused_is_tried_again_less_and_less_often_until_somebody_else_has_done_it() {
    let mut bench = Bench::new().await;
    let (group, carol) = with_carol(&mut bench).await;
    let mut bob = bob(&bench);
    bob.begins_anew(0, 4).await;
    bench.hears_of(&bob).await;
    let id = bench.writes(&target(&group), "who was that?").await;
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let refused = bench.taken();
        assert_eq!(refused.len(), 1, "one removal at a time");
        bench.refuses(&refused[0], Code::Forbidden).await;
        assert!(bench.taken().is_empty(), "not at once");
        let (before, at) = (Instant::now(), bench.engine.wake_at().unwrap());
        pauses.push(at.saturating_duration_since(before).as_millis());
        bench.wakes().await;
    }
    assert!(pauses.windows(2).all(|two| two[1] > two[0] * 3 / 2), "{pauses:?}");
    assert_eq!(bench.status(id), Status::Pending);
    let tip = bench.hub.does(&group, &carol, Act::Remove(&bob.user));
    let mine = bench.taken().remove(0);
    bench.refuses(&mine, Code::Stale).await;
    bench.news(&group.log(), tip.seq).await;
    bench.settles().await;
    assert!(matches!(bench.status(id), Status::Sent { .. }));
    assert_eq!((removals(&bench, &group).len(), bench.engine.wake_at()), (1, None), "nothing is left to be done");
}

/// The keys by which a member's word is right may come after it.
#[tokio::test]
async fn a_change_that_rests_on_newer_keys_waits_for_them() {
    let mut bench = Bench::new().await;
    let (group, carol) = with_carol(&mut bench).await;
    let mut bob = bob(&bench);
    bob.begins_anew(0, 4).await;
    bench.hub.knows(&bob);
    bench.hub.mute_about_keys = true;
    bench.hub.does(&group, &carol, Act::Remove(&bob.user));
    bench.hub.says(&group, &carol, "that was not bob").await;
    bench.all_of(&group.log()).await;
    assert_eq!(bench.lines(&target(&group)).len(), 5, "carol may not do that, as far as alice knows");
    bench.hub.mute_about_keys = false;
    let (req, user, after) = bench.held.remove(0);
    assert_eq!(user, bob.user);
    bench.answers(req, &user, after).await;
    assert_eq!(bench.lines(&target(&group))[5..], ["* carol@s2 puts bob@s2 out", "carol@s2: that was not bob"]);
    assert!(!bench.kept(&group).members.unwrap().has(&bob.user));
}

/// Whoever has the name now is another person, who may be asked in again.
#[tokio::test]
async fn who_began_anew_may_be_asked_in_again_and_reads_from_then_on() {
    let mut bench = Bench::new().await;
    let carol = Person::new("carol@s2", 1, 0).await;
    bench.hub.knows(&carol);
    let group = bench.makes_with_bob("Allotment").await;
    let mut bob = bob(&bench);
    let old = bench.bob.on(&bench.bob.device);
    bob.begins_anew(0, 4).await;
    bench.hub.knows(&bob);
    // The hub lets the new bob write where the old one was a member.
    let members = bench.hub.members(&group);
    let keys = [&bench.alice, &old].map(|person| (person.user.clone(), Arc::new(person.state.clone()))).into();
    let (content, seen) = (Content::text("it is me, bob").unwrap(), (0, Hash::ZERO));
    let sealing = Sealing { genesis: &group, members: &members, keys: &keys, n: 1, seen, keys_seen: Vec::new(), content };
    let draft = bob.seal(sealing).await;
    bench.hub.append(&group.log(), &draft);
    bench.all_of(&group.log()).await;
    let lines = bench.lines(&target(&group));
    assert!(lines[4].starts_with("? ") && lines.len() == 5, "{lines:?}");
    bench.settles().await;
    bench.asks(&group, &bob.user, Role::Member).await;
    bench.settles().await;
    let status = bench.screen(&target(&group)).pop().unwrap().status;
    assert!(
        matches!(&status, Status::Failed { code: Some(code), .. } if code == "KeyChanged"),
        "not before alice has accepted: {status:?}"
    );
    bench.accepts_key(&bob);
    bench.asks(&group, &bob.user, Role::Member).await;
    bench.settles().await;
    bench.hub.does(&group, &bob, Act::Join);
    bench.hub.says(&group, &bob, "now it is me").await;
    bench.all_of(&group.log()).await;
    assert_eq!(
        bench.lines(&target(&group)).iter().filter(|line| line.starts_with("bob@s2: ")).collect::<Vec<_>>(),
        ["bob@s2: now it is me"]
    );
}

#[tokio::test]
async fn a_closed_account_is_put_out_and_not_written_to() {
    let mut bench = Bench::new().await;
    let group = bench.makes_with_bob("Allotment").await;
    let mut bob = bob(&bench);
    bob.closes();
    bench.hears_of(&bob).await;
    let id = bench.writes(&target(&group), "farewell").await;
    let direct = bench.writes(&bench.with_bob(), "farewell").await;
    bench.settles().await;
    assert!(matches!(bench.status(id), Status::Sent { .. }));
    assert!(!bench.hub.members(&group).has(&bob.user));
    let status = bench.status(direct);
    assert!(matches!(&status, Status::Failed { code: Some(code), .. } if code == "NotFound"), "{status:?}");
}

/// Carol knows bob's new key before alice does.
#[tokio::test]
async fn what_needs_newer_keys_holds_its_log_only_and_goes_on_when_they_come() {
    let mut bench = Bench::new().await;
    let (group, carol) = with_carol(&mut bench).await;
    let mut bob = bob(&bench);
    bob.changes_keys(&bench.bob.device, 4).await;
    bench.hub.knows(&bob);
    bench.hub.mute_about_keys = true;
    bench.hub.says(&group, &carol, "one").await;
    bench.hub.says(&group, &carol, "two").await;
    bench.all_of(&group.log()).await;
    assert_eq!(bench.lines(&target(&group)).len(), 5);
    assert!(!bench.engine.is_caught_up());
    let public = LogName::Public("s2".parse().unwrap());
    bench.hub.append(&public, &carol.post(1, "elsewhere"));
    bench.all_of(&public).await;
    assert_eq!(bench.lines(&Target::Public), ["carol@s2: elsewhere"], "no other log waits");
    bench.hub.says(&group, &carol, "three").await;
    bench.news(&group.log(), bench.hub.tip(&group.log()).seq).await;
    bench.hub.mute_about_keys = false;
    let (req, user, after) = bench.held.remove(0);
    assert_eq!((&user, after), (&bob.user, 1));
    bench.answers(req, &user, after).await;
    assert_eq!(bench.lines(&target(&group))[5..], ["carol@s2: one", "carol@s2: two", "carol@s2: three"]);
    assert!(bench.engine.is_caught_up());
}

/// A key that nobody has, in a message that a member made, is waited for once.
#[tokio::test]
async fn what_names_keys_that_do_not_exist_is_shown_as_such_and_the_log_goes_on() {
    let mut bench = Bench::new().await;
    let (group, carol) = with_carol(&mut bench).await;
    let mut other_bob = bob(&bench);
    other_bob.changes_keys(&bench.bob.device, 4).await;
    let honest = bench.hub.keys.clone();
    bench.hub.keys.insert(other_bob.user.clone(), Arc::new(other_bob.state.clone()));
    bench.hub.says(&group, &carol, "for a bob whom nobody knows").await;
    bench.hub.keys = honest;
    bench.hub.says(&group, &carol, "hello").await;
    bench.all_of(&group.log()).await;
    let lines = bench.lines(&target(&group));
    assert!(lines[5].starts_with("? "), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "carol@s2: hello");
}

/// Alice takes off a device on another one: this one has to be unlocked.
#[tokio::test]
async fn what_is_locked_with_new_keys_of_ones_own_waits_for_a_person_and_goes_on_when_unlocked() {
    let mut bench = Bench::new().await;
    let (group, carol) = with_carol(&mut bench).await;
    let mut alice = bench.alice.on(&bench.alice.device);
    let phone = alice.adds_device().await;
    alice.changes_keys(&phone, 4).await;
    bench.hears_of(&alice).await;
    bench.hub.says(&group, &carol, "one").await;
    bench.hub.says(&group, &carol, "two").await;
    bench.all_of(&group.log()).await;
    assert!(*bench.core.locked.borrow());
    assert_eq!(bench.lines(&target(&group)).len(), 5);
    bench.hub.says(&group, &carol, "three").await;
    bench.all_of(&group.log()).await;
    let public = LogName::Public("s2".parse().unwrap());
    bench.hub.append(&public, &carol.post(1, "elsewhere"));
    bench.all_of(&public).await;
    assert_eq!(bench.lines(&Target::Public), ["carol@s2: elsewhere"], "no other log waits");
    let mut bench = bench.crash().await;
    assert!(*bench.core.locked.borrow(), "also for the next process");
    assert_eq!(bench.lines(&target(&group)).len(), 5);
    // What `Client::unlock` does once it has the vault.
    let opened = secrets(&[4, 1]);
    bench.core.store.set_secrets(&opened, false).unwrap();
    bench.core.crypto.replace(AccountSecrets::from_bytes(&opened).unwrap());
    bench.core.locked.send_replace(false);
    bench.relink().await;
    assert_eq!(bench.lines(&target(&group))[5..], ["carol@s2: one", "carol@s2: two", "carol@s2: three"]);
    assert!(!*bench.core.locked.borrow());
    let bench = bench.crash().await;
    assert_eq!(bench.lines(&target(&group)).len(), 8);
}

/// After a reset nobody has the keys that old messages are locked with: no password opens them.
#[tokio::test]
async fn what_was_locked_before_ones_own_account_began_anew_is_lost_and_holds_nothing_up() {
    let mut bench = Bench::new().await;
    let direct = bench.room();
    bench.hub.begin(&direct);
    bench.hub.says(&direct, &bench.bob, "to alice as she was").await;
    let mut alice = bench.alice.on(&bench.alice.device);
    alice.begins_anew(2, 4).await;
    let mut bench = Bench::of(alice, bench).await;
    bench.is_told_of(&direct).await;
    bench.hub.says(&direct, &bench.bob, "to alice as she is").await;
    bench.all_of(&direct.log()).await;
    let lines = bench.lines(&bench.with_bob());
    assert!(lines[0].starts_with("? "), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "bob@s2: to alice as she is");
    assert!(!*bench.core.locked.borrow(), "there is nothing to unlock");
}

/// A removed device, and a hub on its side, can go on as if it were before.
#[tokio::test]
async fn what_a_removed_device_writes_after_its_owner_has_gone_on_is_not_shown_as_theirs() {
    let mut bench = Bench::new().await;
    let (group, carol) = with_carol(&mut bench).await;
    let mut carol = carol;
    let stolen = carol.adds_device().await;
    bench.hub.knows(&carol);
    let (laptop, thief) = (carol.device.clone(), carol.on(&stolen));
    bench.hub.says(&group, &thief, "before").await;
    carol.takes_off(stolen.public(), &laptop, 4).await;
    // The list that names the device is known to all; no entry has told this log of the one without it.
    let under_old_list = thief.open_under(2, Kind::Post, &LogName::Public("s2".parse().unwrap()), 1, None, content("in between"));
    let public = LogName::Public("s2".parse().unwrap());
    bench.hub.append(&public, &under_old_list);
    bench.hub.knows(&carol);
    bench.hub.append(&public, &carol.post(1, "carol goes on"));
    bench.hub.append(&public, &thief.open_under(2, Kind::Post, &public, 2, None, content("the thief too")));
    bench.hub.append(&public, &carol.post(2, "and on"));
    bench.all_of(&public).await;
    assert_eq!(
        bench.lines(&Target::Public),
        [
            "carol@s2: in between",
            "carol@s2: carol goes on",
            "? it was written on a device that carol@s2 had taken off the list by then",
            "carol@s2: and on"
        ]
    );
    // The same across two batches, and a crash between them.
    let mut bench = bench.crash().await;
    bench.hub.append(&public, &thief.open_under(2, Kind::Post, &public, 3, None, content("and again")));
    bench.all_of(&public).await;
    assert_eq!(bench.lines(&Target::Public)[4..], ["? it was written on a device that carol@s2 had taken off the list by then"]);
    bench.all_of(&group.log()).await;
    assert!(bench.lines(&target(&group)).contains(&"carol@s2: before".to_owned()), "what it wrote while it was carol's stays carol's");
}

fn content(text: &str) -> Vec<u8> {
    cbor::encode(&Content::text(text).unwrap())
}
