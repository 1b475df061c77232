//! Messages that come before the keys which they need, and stay what they are until these come; and what comes twice.

use super::bench::{Bench, Person, target};
use std::sync::Arc;
use tidings_proto::Genesis;

/// Carol knows a key of bob's that nobody shows to alice yet, and says this in a group of the three.
async fn said_too_early(bench: &mut Bench, text: &str) -> (Genesis, Person, Person) {
    let (carol, bob) = (Person::new("carol@s2", 1, 0).await, bench.bob.on(&bench.bob.device));
    bench.hub.knows(&carol);
    let group = bench.comes_to_bobs(1).await;
    bench.hub.brings(&group, &bob, &carol);
    let mut later_bob = bench.bob.on(&bench.bob.device);
    later_bob.changes_keys(&bench.bob.device, 4).await;
    let known = bench.hub.keys.insert(bob.user.clone(), Arc::new(later_bob.state.clone())).unwrap();
    bench.hub.says(&group, &carol, text).await;
    bench.hub.keys.insert(bob.user.clone(), known);
    bench.hub.says(&group, &carol, "and this").await;
    bench.all_of(&group.log()).await;
    (group, carol, later_bob)
}

const WAITS: &str = "? the keys of bob@s2 that it needs are not here yet; it is shown when they come";

#[tokio::test]
async fn what_came_before_its_keys_is_shown_in_its_place_once_they_come() {
    for crashes in [false, true] {
        let mut bench = Bench::new().await;
        let (group, carol, bob) = said_too_early(&mut bench, "for bob as he is").await;
        assert_eq!(bench.lines(&target(&group))[5..], [WAITS, "carol@s2: and this"], "and none is missed besides");
        if crashes {
            bench.hub.knows(&bob);
            bench = bench.crash().await;
        } else {
            bench.hears_of(&bob).await;
        }
        let lines = ["carol@s2: for bob as he is", "carol@s2: and this", "carol@s2: and that"];
        assert_eq!(bench.lines(&target(&group))[5..], lines[..2]);
        bench.hub.says(&group, &carol, "and that").await;
        bench.all_of(&group.log()).await;
        let mut bench = bench.crash().await;
        bench.hears_of(&bob).await;
        assert_eq!(bench.lines(&target(&group))[5..], lines, "once");
        assert!(bench.core.store.waited_for().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_hub_that_repeats_what_waits_for_keys_is_found_out_when_they_come() {
    let mut bench = Bench::new().await;
    let (group, carol, bob) = said_too_early(&mut bench, "for bob as he is").await;
    let drafts = bench.hub.drafts(&group.log());
    let early = drafts[drafts.len() - 2].clone();
    bench.hub.append(&group.log(), &early);
    bench.all_of(&group.log()).await;
    assert_eq!(bench.lines(&target(&group))[5..], [WAITS, "carol@s2: and this", WAITS]);
    bench.hears_of(&bob).await;
    let repeats = format!("? its server repeats, or re-orders, what {} has written", carol.user);
    assert_eq!(bench.lines(&target(&group))[5..], ["carol@s2: for bob as he is", "carol@s2: and this", &repeats]);
}

#[tokio::test]
async fn what_is_erased_before_its_keys_come_stays_erased_and_only_by_whom_it_may_be() {
    let mut bench = Bench::new().await;
    let (group, carol, bob) = said_too_early(&mut bench, "canary").await;
    let seq = bench.hub.tip(&group.log()).seq - 1;
    let dave = Person::new("dave@s2", 0, 4).await;
    bench.hub.knows(&dave);
    bench.hub.brings(&group, &bench.bob, &dave);
    bench.hub.erases_only(&group.log(), &dave, seq, None);
    bench.all_of(&group.log()).await;
    assert_eq!(bench.lines(&target(&group))[5], WAITS, "dave may not");
    bench.hub.erases(&group.log(), &carol, seq);
    bench.all_of(&group.log()).await;
    bench.hears_of(&bob).await;
    assert_eq!(bench.lines(&target(&group))[5], "? erased by carol@s2");
    assert!(bench.core.store.waited_for().unwrap().is_empty());
}

#[tokio::test]
async fn a_title_that_came_before_its_keys_holds_unless_there_is_a_later_one() {
    for (later, held) in [(None, "Quartet"), (Some("Trio"), "Trio")] {
        let mut bench = Bench::new().await;
        let (group, carol, bob) = said_too_early(&mut bench, "early").await;
        let known = bench.hub.keys.insert(bob.user.clone(), Arc::new(bob.state.clone())).unwrap();
        bench.hub.calls(&group, &carol, "Quartet").await;
        bench.hub.keys.insert(bob.user.clone(), known);
        if let Some(later) = later {
            bench.hub.calls(&group, &carol, later).await;
        }
        bench.all_of(&group.log()).await;
        bench.hears_of(&bob).await;
        assert_eq!(bench.title(&group), held);
    }
}

/// What a hub gives back of one's own is taken once, and where it stood first.
#[tokio::test]
async fn a_hub_that_repeats_ones_own_draft_is_found_out() {
    let mut bench = Bench::new().await;
    let group = bench.comes_to_bobs(1).await;
    bench.writes(&target(&group), "mine").await;
    bench.settles().await;
    let mine = bench.hub.drafts(&group.log()).pop().unwrap();
    bench.hub.says(&group, &bench.bob, "yours").await;
    bench.hub.append(&group.log(), &mine);
    bench.all_of(&group.log()).await;
    bench.writes(&target(&group), "mine too").await;
    let submit = bench.taken().remove(0);
    let next = tidings_proto::draft::read(submit.draft.clone()).unwrap();
    assert_eq!(next.n, mine.n + 1, "it changes nothing of how one's own are counted");
    bench.accepts(&submit).await;
    bench.all_of(&group.log()).await;
    let lines = ["alice@s1: mine", "bob@s2: yours", "? its server repeats, or re-orders, what alice@s1 has written", "alice@s1: mine too"];
    assert_eq!(bench.lines(&target(&group))[3..], lines);
    let bench = bench.crash().await;
    assert_eq!(bench.lines(&target(&group))[3..], lines);
}
