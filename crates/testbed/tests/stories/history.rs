//! The history checker's controls: a defect is planted in a world that runs, and is found.

use std::time::Duration;
use tidings_server::operator::PeerStanding;
use tidings_testbed::crash::{Course, Report, Run};
use tidings_testbed::faulty::{Defect, Faulty};
use tidings_testbed::history::{Kind, Verdict};
use tidings_testbed::world::How;

/// Two servers, the stores of both with a defect; each of the four devices writes to three logs.
async fn with(defect: Option<Defect>, kills: usize) -> Run {
    let patience = Duration::from_secs(5);
    let course = Course {
        seed: 3,
        servers: 2,
        suite: tidings_client::SuiteName::RsaJwe1,
        devices: 2,
        people: 0,
        messages: MESSAGES,
        kills,
        cuts: 0,
        patience,
    };
    let how = defect.map_or(How::Inside, |defect| How::OnStores(Box::new(move |_, path| Faulty::open(path, defect))));
    Run::begin(course, how, None).await
}

/// Of four devices, each in its server's public log and in a room with two others.
const MESSAGES: u64 = 4 * 3 * EACH;
const EACH: u64 = 40;

/// The first violation of a kind, which names its messages.
fn told(verdict: &Verdict, kind: Kind) -> &str {
    let violation = verdict.violations.iter().find(|violation| violation.kind == kind);
    let violation = violation.unwrap_or_else(|| panic!("no {kind:?} in {verdict}"));
    assert!(!violation.ids.is_empty() && violation.ids.iter().all(|id| violation.said.contains(&id.to_string())), "{violation:?}");
    &violation.said
}

async fn end(mut run: Run) -> Report {
    run.suffer().await;
    run.finish().await
}

/// What the controls are held against: the same worlds without a defect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_world_without_a_defect_is_not_complained_of() {
    let report = end(with(None, 3).await).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.verdict.acknowledged, MESSAGES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_acknowledges_before_it_commits_is_found() {
    let report = end(with(Some(Defect::AnswersEarly), 6).await).await;
    assert!(told(&report.verdict, Kind::Lost).contains("was acknowledged at"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_row_of_an_outbox_is_found() {
    // The last of each stream, so that nothing after it makes the gap plain.
    let run = with(Some(Defect::DropsOutgoing(EACH)), 0).await;
    run.world.cut("s1", "s2");
    // While the servers are cut from each other every message to the other one is told to be on its way.
    assert!(!run.answered(MESSAGES).await, "what is for the other server cannot have arrived");
    run.world.heal("s1", "s2");
    for (server, peer) in [("s1", "s2"), ("s2", "s1")] {
        run.world.peer_is(server, peer, "is linked", |row| row.state == PeerStanding::Linked).await;
    }
    let report = run.finish().await;
    let said = told(&report.verdict, Kind::Lost);
    assert!(said.contains("was durable on its way") && said.contains(&format!("n{EACH} ")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_after_a_retry_is_found() {
    let mut run = with(Some(Defect::ForgetsNumbers), 0).await;
    assert!(run.answered(MESSAGES / 4).await);
    run.wires().iter().for_each(|wire| wire.lose_answers());
    // What is under way now is taken, and nobody hears of it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for server in ["s1", "s2"] {
        run.world.kill(server).await;
        run.world.start(server).await;
    }
    for wire in run.wires() {
        wire.cut();
        wire.heal();
    }
    let report = run.finish().await;
    let said = told(&report.verdict, Kind::Twice);
    assert!(said.contains(" is there at ") && said.contains(" and again at "), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_order_is_found() {
    let report = end(with(Some(Defect::Swaps(30)), 1).await).await;
    assert!(told(&report.verdict, Kind::Moved).contains("was acknowledged at"), "{report}");
    let other = [Kind::AuthorsOrder, Kind::Overtaken, Kind::Differs].into_iter().map(|kind| report.verdict.count(kind)).sum::<u64>();
    assert!(other > 0, "{report}");
}
