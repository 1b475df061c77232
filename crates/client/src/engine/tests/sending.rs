//! The outbox on disk: sealed once, the same bytes at every try, in order, and nothing lost when the process is.

use super::bench::{Bench, Person};
use crate::view::{Status, Target};
use std::time::{Duration, Instant};
use tidings_proto::frame::{Queued, Refused};
use tidings_proto::{Code, Kind, LogName, Refusal, draft};

#[tokio::test]
async fn what_was_sealed_is_sent_with_the_same_bytes_after_a_crash() {
    let mut bench = Bench::new().await;
    let id = bench.writes(&Target::Public, "hello").await;
    let first = bench.taken();
    assert_eq!(first.len(), 1);
    let mut bench = bench.crash().await;
    let again = bench.taken();
    assert_eq!(again[0].draft, first[0].draft, "the draft that may have arrived is sent again, not another one");
    assert_eq!(bench.status(id), Status::Pending);
    bench.accepts(&again[0]).await;
    assert_eq!(bench.status(id), Status::Sent { seq: 1 });
    let mut bench = bench.crash().await;
    assert!(bench.taken().is_empty(), "what was answered is not sent again");
    assert_eq!(bench.lines(&Target::Public), ["alice@s1: hello"]);
}

#[tokio::test]
async fn what_was_written_but_not_sealed_survives_a_crash() {
    let bench = Bench::new().await;
    let id = bench.writes_offline(&Target::Public, "hello");
    let mut bench = bench.crash().await;
    let submits = bench.taken();
    assert_eq!(draft::read(submits[0].draft.clone()).unwrap().n, 1);
    bench.accepts(&submits[0]).await;
    assert_eq!(bench.status(id), Status::Sent { seq: 1 });
}

#[tokio::test]
async fn an_answer_that_was_lost_is_made_up_for_by_the_message_coming_back() {
    let mut bench = Bench::new().await;
    let id = bench.writes(&Target::Public, "hello").await;
    let submit = bench.taken().remove(0);
    let log = submit.log.clone();
    bench.hub.append(&log, &draft::read(submit.draft).unwrap());
    let mut bench = bench.crash().await;
    assert_eq!(bench.status(id), Status::Sent { seq: 1 });
    assert_eq!(bench.lines(&Target::Public), ["alice@s1: hello"], "once, not twice");
    bench.taken();
    let mut bench = bench.crash().await;
    assert!(bench.taken().is_empty());
}

#[tokio::test]
async fn the_other_side_is_told_first_and_once() {
    let mut bench = Bench::new().await;
    let target = bench.with_bob();
    bench.writes(&target, "one").await;
    bench.writes(&target, "two").await;
    let notice = bench.taken();
    assert_eq!(notice.len(), 1, "messages wait until the notice is safe");
    assert_eq!(notice[0].log, LogName::Inbox(bench.bob.user.clone()));
    assert_eq!(draft::read(notice[0].draft.clone()).unwrap().kind, Kind::Notice);
    bench.comes(vec![Queued { req: notice[0].req }.into()]).await.unwrap();
    let messages = bench.taken();
    let drafts: Vec<_> = messages.iter().map(|submit| draft::read(submit.draft.clone()).unwrap()).collect();
    assert_eq!(drafts.iter().map(|draft| (draft.kind, draft.n)).collect::<Vec<_>>(), [(Kind::Sealed, 1), (Kind::Sealed, 2)]);
    assert!(messages.iter().all(|submit| submit.genesis.as_ref() == Some(&bench.room())));
    bench.accepts(&notice[0]).await;
    for message in &messages {
        bench.accepts(message).await;
    }
    bench.writes(&target, "three").await;
    assert!(bench.taken().iter().all(|submit| submit.log == bench.room().log()), "nobody is told twice");
}

#[tokio::test]
async fn waiting_is_shown_as_waiting_and_then_as_sent() {
    let mut bench = Bench::new().await;
    let id = bench.writes(&Target::Public, "hello").await;
    let submit = bench.taken().remove(0);
    bench.comes(vec![Queued { req: submit.req }.into()]).await.unwrap();
    assert_eq!(bench.status(id), Status::Waiting);
    let mut bench = bench.crash().await;
    assert_eq!(bench.status(id), Status::Waiting);
    let again = bench.taken().remove(0);
    assert_eq!(again.draft, submit.draft);
    bench.accepts(&again).await;
    assert_eq!(bench.status(id), Status::Sent { seq: 1 });
}

#[tokio::test]
async fn a_refusal_that_passes_holds_back_what_follows() {
    let mut bench = Bench::new().await;
    for text in ["one", "two", "three"] {
        bench.writes(&Target::Public, text).await;
    }
    let first = bench.taken();
    bench.refuses(&first[0], Refusal::from(Code::TooFast).retry_after(2)).await;
    bench.refuses(&first[1], Refusal::from(Code::Gap).last(0)).await;
    bench.refuses(&first[2], Refusal::from(Code::Gap).last(0)).await;
    assert!(bench.taken().is_empty(), "not before it makes sense");
    let wake = bench.engine.wake_at().unwrap();
    assert!(wake > Instant::now() + Duration::from_secs(1));
    bench.engine.tick(wake).await.unwrap();
    bench.answer().await;
    let again = bench.taken();
    assert_eq!(again.iter().map(|s| &s.draft).collect::<Vec<_>>(), first.iter().map(|s| &s.draft).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_refused_for_good_is_shown_and_what_follows_takes_its_number() {
    let mut bench = Bench::new().await;
    let bad = bench.writes(&Target::Public, "one").await;
    let good = bench.writes(&Target::Public, "two").await;
    let submits = bench.taken();
    bench.refuses(&submits[0], Refusal::new(Code::Forbidden, "you may not write here")).await;
    bench.refuses(&submits[1], Refusal::from(Code::Gap).last(0)).await;
    let failed = Status::Failed { reason: "you may not write here".into(), code: Some("Forbidden".into()) };
    assert_eq!(bench.status(bad), failed);
    assert_eq!(failed.exit_code(), 6);
    let again = bench.taken();
    assert_eq!(again.len(), 1);
    assert_eq!(draft::read(again[0].draft.clone()).unwrap().n, 1, "the number of the refused one was never taken");
    bench.accepts(&again[0]).await;
    assert_eq!(bench.status(good), Status::Sent { seq: 1 });
    let mut bench = bench.crash().await;
    assert!(bench.taken().is_empty());
    assert_eq!(bench.lines(&Target::Public), ["alice@s1: two", "alice@s1: one"]);
}

#[tokio::test]
async fn a_refused_notice_fails_the_messages_that_waited_for_it_and_the_next_one_tries_again() {
    let mut bench = Bench::new().await;
    let target = bench.with_bob();
    let id = bench.writes(&target, "hello").await;
    let notice = bench.taken().remove(0);
    bench.refuses(&notice, Refusal::from(Code::UnknownPeer)).await;
    assert!(matches!(bench.status(id), Status::Failed { .. }));
    bench.writes(&target, "again").await;
    let submits = bench.taken();
    assert_eq!(submits[0].log, LogName::Inbox(bench.bob.user.clone()));
    bench.accepts(&submits[0]).await;
    let message = bench.taken().remove(0);
    assert_eq!(draft::read(message.draft).unwrap().n, 1);
}

#[tokio::test]
async fn to_nobody_nothing_is_sent_and_that_is_said() {
    let mut bench = Bench::new().await;
    let id = bench.writes(&Target::from(&"nobody@s1".parse().unwrap()), "hello").await;
    let status = bench.status(id);
    assert!(matches!(&status, Status::Failed { code: Some(code), .. } if code == "NotFound"), "{status:?}");
    assert_eq!(status.exit_code(), 5);
    let sealed = bench.taken().into_iter().filter(|submit| matches!(submit.log, LogName::Room(_))).count();
    assert_eq!(sealed, 0);
}

/// Their server is away, and has been since this one began: who is there, nobody can say, and a message waits for that as for
/// everything else.
#[tokio::test]
async fn to_somebody_of_a_server_that_was_never_heard_a_message_waits() {
    for is_there in [true, false] {
        let mut bench = Bench::new().await;
        let zoe = Person::new("zoe@s2", 2, 3).await;
        bench.hub.mute_about_keys = true;
        let id = bench.writes(&Target::from(&zoe.user), "hello").await;
        for _ in 0..20 {
            while bench.held.is_empty() {
                bench.wakes().await;
            }
            for (req, _, _) in std::mem::take(&mut bench.held) {
                bench.comes(vec![Refused { req, why: Code::Unreachable.into(), log: None }.into()]).await.unwrap();
            }
            assert_eq!(bench.status(id), Status::Pending);
        }
        bench.hub.mute_about_keys = false;
        if is_there {
            bench.hub.knows(&zoe);
        }
        bench.settles().await;
        let status = bench.status(id);
        assert_eq!(matches!(status, Status::Sent { .. }), is_there, "{status:?}");
        assert_eq!(matches!(&status, Status::Failed { code: Some(code), .. } if code == "NotFound"), !is_there, "{status:?}");
    }
}

#[tokio::test]
async fn private_text_is_nowhere_on_disk_and_the_window_is_kept() {
    let mut bench = Bench::new().await;
    let target = bench.with_bob();
    for i in 0..100 {
        bench.writes_offline(&target, &format!("canary-{i}-tweet"));
    }
    bench.writes(&target, "last").await;
    let notice = bench.taken().remove(0);
    bench.accepts(&notice).await;
    assert_eq!(bench.taken().len(), crate::outbox::WINDOW);
    let files = bench.files();
    assert!(!files.windows(7).any(|some| some == b"canary-"));
    assert!(files.windows(8).any(|some| some == b"alice@s1"), "this does look where things are kept");
}

#[tokio::test]
async fn a_new_room_is_followed_as_soon_as_the_server_has_it() {
    let mut bench = Bench::new().await;
    let (target, room) = (bench.with_bob(), bench.room().log());
    let id = bench.writes(&target, "hello").await;
    let notice = bench.taken().remove(0);
    bench.accepts(&notice).await;
    let message = bench.taken().remove(0);
    assert!(!bench.followed.iter().any(|(log, _)| *log == room));
    bench.accepts(&message).await;
    assert!(bench.followed.contains(&(room, 0)));
    assert_eq!(bench.status(id), Status::Sent { seq: 2 });
    assert_eq!(bench.lines(&target), ["alice@s1: hello"]);
}

#[tokio::test]
async fn a_message_to_somebody_known_on_this_link_does_not_wait_for_their_keys_again() {
    let mut bench = Bench::new().await;
    let target = bench.with_bob();
    bench.writes(&target, "one").await;
    let notice = bench.taken().remove(0);
    bench.accepts(&notice).await;
    bench.taken();
    bench.hub.mute_about_keys = true;
    bench.writes(&target, "two").await;
    assert_eq!(bench.taken().len(), 1);
}

/// A post that is signed again is the same post; a message that is sealed again is another one.
#[tokio::test]
async fn a_sealed_message_is_sent_with_the_same_bytes_after_a_crash() {
    let mut bench = Bench::new().await;
    let id = bench.writes(&bench.with_bob(), "hello").await;
    let notice = bench.taken().remove(0);
    bench.accepts(&notice).await;
    let first = bench.taken().remove(0);
    assert_eq!(first.log, bench.room().log());
    let mut bench = bench.crash().await;
    let again = bench.taken();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].draft, first.draft, "the draft that may have arrived is sent again, not another one");
    bench.accepts(&again[0]).await;
    assert_eq!(bench.status(id), Status::Sent { seq: 2 });
}
