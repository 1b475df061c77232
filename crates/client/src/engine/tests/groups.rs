//! Groups as the one sees them who makes them: changes of members go out one after the other, and what is sealed is sealed for
//! those who are in by then.

use super::bench::{Act, Bench, Person, invitation, reads, target};
use crate::view::{Role, Status};
use tidings_proto::frame::Submit;
use tidings_proto::{Code, Draft, Encoded, Kind, LogName, Refusal, draft};
use tidings_trust::members::Standing;

fn drafts(submits: &[Submit]) -> Vec<Encoded<Draft>> {
    submits.iter().map(|submit| draft::read(submit.draft.clone()).unwrap()).collect()
}

fn kinds(submits: &[Submit]) -> Vec<Kind> {
    drafts(submits).iter().map(|draft| draft.kind).collect()
}

/// Carol, whose keys the server knows and alice does not.
async fn carol(bench: &mut Bench) -> Person {
    let carol = Person::new("carol@s2", 1, 0).await;
    bench.hub.knows(&carol);
    carol
}

#[tokio::test]
async fn a_group_from_its_beginning_to_its_end() {
    let mut bench = Bench::new().await;
    let group = bench.makes("Allotment").await;
    assert_eq!(bench.title(&group), "Allotment");
    bench.asks(&group, &bench.bob.user.clone(), Role::Member).await;
    bench.settles().await;
    let invited = invitation(&bench.hub, &bench.bob).await.unwrap();
    assert_eq!((&invited.genesis, invited.vouched), (&group, (3, bench.hub.tip(&group.log()).hash)));
    assert!(bench.hub.members(&group).person(&bench.bob.user).is_some_and(|bob| bob.standing == Standing::Invited));
    bench.writes(&target(&group), "not for bob yet").await;
    bench.settles().await;
    assert_eq!(reads(&bench.hub, &group, &bench.bob).await, None);
    let tip = bench.hub.does(&group, &bench.bob, Act::Join);
    bench.news(&group.log(), tip.seq).await;
    bench.writes(&target(&group), "welcome").await;
    bench.settles().await;
    assert_eq!(reads(&bench.hub, &group, &bench.bob).await.as_deref(), Some("welcome"));
    let tip = bench.hub.says(&group, &bench.bob, "thanks").await;
    bench.news(&group.log(), tip.seq).await;
    bench.sets_role(&group, &bench.bob.user.clone(), Role::Admin).await;
    bench.removes(&group, &bench.bob.user.clone()).await;
    bench.writes(&target(&group), "alone again").await;
    bench.settles().await;
    assert_eq!(reads(&bench.hub, &group, &bench.bob).await, None);
    bench.leaves(&group).await;
    bench.settles().await;
    let lines = [
        "* alice@s1 makes the group",
        "* alice@s1 calls it Allotment",
        "* alice@s1 asks bob@s2 in as Member",
        "alice@s1: not for bob yet",
        "* bob@s2 comes in",
        "alice@s1: welcome",
        "bob@s2: thanks",
        "* alice@s1 makes bob@s2 Admin",
        "* alice@s1 puts bob@s2 out",
        "alice@s1: alone again",
        "* alice@s1 goes",
    ];
    assert_eq!(bench.lines(&target(&group)), lines);
    let bench = bench.crash().await;
    assert_eq!(bench.lines(&target(&group)), lines);
    assert!(!bench.followed.iter().any(|(log, _)| *log == group.log()), "what has ended is not asked for again");
    assert!(!bench.files().windows(9).any(|some| some == b"Allotment"), "what it is called is nowhere in the clear");
}

#[tokio::test]
async fn an_invitation_is_told_once_the_invite_stands_and_exactly_once() {
    let mut bench = Bench::new().await;
    let group = bench.makes("Allotment").await;
    bench.asks(&group, &bench.bob.user.clone(), Role::Member).await;
    let invite = bench.taken();
    assert_eq!(kinds(&invite), [Kind::Invite], "nobody is told of what does not stand");
    // The process ends when the server has the invite, and its answer is on the way.
    bench.hub.offer(&group.log(), &drafts(&invite)[0], None).unwrap();
    let mut bench = bench.crash().await;
    let told = bench.taken().split_off(1);
    assert_eq!(kinds(&told), [Kind::Invitation], "what stands is learnt from the log, and told");
    assert_eq!(told[0].log, LogName::Inbox(bench.bob.user.clone()));
    // The process ends before that is answered, and once more when it is there.
    let mut bench = bench.crash().await;
    let again = bench.taken();
    assert_eq!(again.iter().map(|submit| &submit.draft).collect::<Vec<_>>(), [&told[0].draft], "the same bytes");
    bench.accepts(&again[0]).await;
    let mut bench = bench.crash().await;
    assert!(bench.taken().is_empty());
    bench.news(&group.log(), 1).await;
    assert!(bench.taken().is_empty(), "what comes twice is told once");
    assert!(invitation(&bench.hub, &bench.bob).await.is_some());
}

/// The answer comes, and the process ends before the entry itself does.
#[tokio::test]
async fn an_invitation_is_told_also_if_the_process_ends_between_answer_and_entry() {
    let mut bench = Bench::new().await;
    let group = bench.makes("Allotment").await;
    bench.asks(&group, &bench.bob.user.clone(), Role::Member).await;
    let invite = bench.taken().remove(0);
    bench.accepts(&invite).await;
    assert!(bench.taken().is_empty(), "its place in the log is not known yet");
    let mut bench = bench.crash().await;
    assert_eq!(kinds(&bench.taken()), [Kind::Invitation]);
}

#[tokio::test]
async fn of_an_invite_that_was_refused_nobody_is_told() {
    let mut bench = Bench::new().await;
    let group = bench.makes("Allotment").await;
    let id = bench.asks(&group, &bench.bob.user.clone(), Role::Member).await;
    let invite = bench.taken().remove(0);
    bench.refuses(&invite, Refusal::new(Code::Forbidden, "not you")).await;
    assert_eq!(bench.status(id), Status::Failed { reason: "not you".into(), code: Some("Forbidden".into()) });
    bench.writes(&target(&group), "never mind").await;
    bench.settles().await;
    assert_eq!(bench.lines(&target(&group))[2..], ["alice@s1: never mind", "* alice@s1 asks bob@s2 in as Member"]);
    assert!(bench.hub.drafts(&LogName::Inbox(bench.bob.user.clone())).is_empty());
}

#[tokio::test]
async fn an_invitation_that_does_not_stand_any_more_is_not_told() {
    let mut bench = Bench::new().await;
    let group = bench.makes("Allotment").await;
    bench.asks(&group, &bench.bob.user.clone(), Role::Member).await;
    let invite = bench.taken().remove(0);
    bench.accepts(&invite).await;
    bench.hub.does(&group, &bench.alice, Act::Remove(&bench.bob.user));
    bench.all_of(&group.log()).await;
    bench.settles().await;
    assert!(bench.hub.drafts(&LogName::Inbox(bench.bob.user.clone())).is_empty());
}

#[tokio::test]
async fn a_message_after_a_change_of_members_is_sealed_once_the_change_is_known() {
    let mut bench = Bench::new().await;
    let bob = bench.bob.user.clone();
    let group = bench.makes_with_bob("Allotment").await;
    bench.writes(&target(&group), "before").await;
    bench.removes(&group, &bob).await;
    bench.writes(&target(&group), "after").await;
    let first = bench.taken();
    assert_eq!(kinds(&first), [Kind::Sealed, Kind::Remove]);
    bench.accepts(&first[0]).await;
    bench.accepts(&first[1]).await;
    assert!(bench.taken().is_empty(), "the answer is not the entry: who is in is told by the log");
    bench.all_of(&group.log()).await;
    let then = bench.taken();
    assert_eq!(kinds(&then), [Kind::Sealed]);
    assert_eq!(drafts(&then)[0].epoch, Some(bench.hub.members(&group).epoch()));
    bench.accepts(&then[0]).await;
    assert_eq!(reads(&bench.hub, &group, &bench.alice).await.as_deref(), Some("after"));
    assert_eq!(reads(&bench.hub, &group, &bench.bob).await, None);
}

#[tokio::test]
async fn what_the_room_has_overtaken_is_sealed_anew_from_what_was_written() {
    let mut bench = Bench::new().await;
    let carol = carol(&mut bench).await;
    let group = bench.comes_to_bobs(1).await;
    let ids = [bench.writes(&target(&group), "one").await, bench.writes(&target(&group), "two").await];
    let first = bench.taken();
    bench.hub.brings(&group, &bench.bob, &carol);
    for (submit, (code, last)) in first.iter().zip([(Code::Stale, None), (Code::Gap, Some(drafts(&first)[0].n - 1))]) {
        bench.refuses(submit, Refusal { last, ..Refusal::from(code) }).await;
    }
    assert!(bench.taken().is_empty(), "what is new is on its way");
    let mut bench = bench.crash().await;
    bench.settles().await;
    let written = bench.hub.drafts(&group.log()).split_off(5);
    assert_eq!(written.iter().map(|draft| (draft.n, draft.epoch)).collect::<Vec<_>>(), [(2, Some(4)), (3, Some(4))]);
    assert_eq!(reads(&bench.hub, &group, &carol).await.as_deref(), Some("two"), "also for whoever has come in since");
    assert_eq!(bench.lines(&target(&group))[5..], ["alice@s1: one", "alice@s1: two"], "each once, in order");
    assert!(ids.iter().all(|id| matches!(bench.status(*id), Status::Sent { .. })));
}

#[tokio::test]
async fn a_change_that_another_one_has_overtaken_is_made_anew_for_the_room_as_it_is() {
    let mut bench = Bench::new().await;
    let carol = carol(&mut bench).await;
    let group = bench.comes_to_bobs(1).await;
    let tip = bench.hub.does(&group, &bench.bob, Act::SetRole(&bench.alice.user, tidings_proto::Role::Admin));
    bench.news(&group.log(), tip.seq).await;
    let id = bench.asks(&group, &carol.user, Role::Member).await;
    let first = bench.taken().remove(0);
    let tip = bench.hub.does(&group, &bench.bob, Act::SetRole(&bench.alice.user, tidings_proto::Role::Owner));
    bench.news(&group.log(), tip.seq).await;
    bench.refuses(&first, Code::Stale).await;
    bench.settles().await;
    assert!(matches!(bench.status(id), Status::Sent { .. }));
    assert!(bench.hub.members(&group).person(&carol.user).is_some());
    assert!(invitation(&bench.hub, &carol).await.is_some());
}

#[tokio::test]
async fn a_change_that_is_not_ones_own_to_make_is_shown_as_refused_and_holds_nothing_up() {
    let mut bench = Bench::new().await;
    let group = bench.comes_to_bobs(1).await;
    let bob = bench.bob.user.clone();
    let id = bench.removes(&group, &bob).await;
    bench.writes(&target(&group), "well").await;
    bench.settles().await;
    let status = bench.status(id);
    assert!(matches!(&status, Status::Failed { code: Some(code), .. } if code == "Forbidden"), "{status:?}");
    assert_eq!(bench.lines(&target(&group))[3..], ["alice@s1: well", "* alice@s1 puts bob@s2 out"]);
    assert!(bench.hub.members(&group).has(&bob));
}

#[tokio::test]
async fn keys_of_a_new_member_are_asked_for_and_newest_ones_on_every_link() {
    let mut bench = Bench::new().await;
    let carol = carol(&mut bench).await;
    let group = bench.comes_to_bobs(1).await;
    bench.hub.mute_about_keys = true;
    bench.hub.brings(&group, &bench.bob, &carol);
    bench.all_of(&group.log()).await;
    assert!(bench.held.iter().any(|(_, user, _)| *user == carol.user), "they are asked for");
    assert_eq!(bench.lines(&target(&group)).last().unwrap(), "* alice@s1 comes in", "what needs them waits");
    bench.hub.mute_about_keys = false;
    let bench = bench.crash().await;
    assert_eq!(bench.lines(&target(&group)).last().unwrap(), "* carol@s2 comes in");
    // On the next link the server may know newer ones.
    let mut bench = bench.stop_and_start().await;
    bench.hub.mute_about_keys = true;
    bench.answer().await;
    bench.writes(&target(&group), "hello").await;
    assert!(bench.taken().is_empty(), "nothing is sealed before the server has told of everybody's keys");
    bench.hub.mute_about_keys = false;
    let mut bench = bench.crash().await;
    bench.settles().await;
    assert_eq!(reads(&bench.hub, &group, &carol).await.as_deref(), Some("hello"));
}
