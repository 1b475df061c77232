//! Hostile parties: servers, peers, clients and homes that say what no honest one would. What must be refused is refused, what must
//! be shown is what people's clients report, and all others go on. `docs/hostile.md` lists them.

mod client;
mod downgrade;
mod heads;
mod home;
mod hub;
mod keys;
mod peer;

use std::time::Duration;
use tidings_client::view::{Status, Target};
use tidings_proto::{Code, Draft, Encoded, LogName, Refusal};
use tidings_testbed::PATIENCE;
use tidings_testbed::hostile::Story;
use tidings_testbed::person::{Person, with};

/// What stands where nothing is left.
const GONE: &str = "nothing is left of it";
/// What is said of a message that its author did not write in this place.
const ELSEWHERE: &str = "it does not belong where it was found: it was written as another message";
/// What is said of what comes twice, or out of order.
const REPEATS: &str = "its server repeats, or re-orders, what bob@s2 has written";
/// What is said of a message whose author was told something else.
const ANOTHER_STORY: &str = "its author has seen another story of this conversation than its server tells here";

/// The reasons that somebody is shown in the places of a conversation that cannot be read, in their order.
async fn reasons(person: &Person, target: &Target) -> Vec<String> {
    let reason = |status| if let Status::Unreadable { reason } = status { Some(reason) } else { None };
    person.messages(target).await.into_iter().filter_map(|message| reason(message.status)).collect()
}

/// Waits until what cannot be read of a conversation is shown with exactly these reasons, or their beginnings.
async fn is_shown(person: &Person, target: &Target, wanted: &[&str]) {
    let holds = async || {
        let shown = reasons(person, target).await;
        shown.len() == wanted.len() && shown.iter().zip(wanted).all(|(shown, wanted)| shown.starts_with(wanted))
    };
    until(person, target, &format!("is shown {wanted:?}, and nothing else that cannot be read"), holds).await;
}

/// Waits until a conversation shows that a log of it is stopped, for this reason.
async fn is_stopped(person: &Person, target: &Target, log: &LogName, why: &str) {
    let name = log.to_string();
    let holds = async || {
        let stopped = person.room(target).await.map(|room| room.stopped).unwrap_or_default();
        stopped.iter().any(|(of, reason)| *of == name && reason.starts_with(why))
    };
    until(person, target, &format!("is told that {name} is stopped: {why}"), holds).await;
}

/// Waits for a condition, and shows the conversation that it is about where it is waited for in vain.
async fn until(person: &Person, target: &Target, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        panic!("{} waited in vain: {what}\n{:#?}\n{:#?}", person.name, person.room(target).await, person.messages(target).await);
    }
}

/// Two people whom nobody hinders talk in private, and the first one in public.
async fn go_on(one: &Person, other: &Person, text: &str) {
    for (from, to) in [(one, other), (other, one)] {
        let message = from.says(&to.name, text).await;
        from.is_sent(message).await;
        to.sees(&with(&from.name), &from.name, text).await;
    }
    let post = one.announces(text).await;
    one.is_sent(post).await;
    other.sees(&Target::Public, &one.name, text).await;
}

/// A group's log.
fn log_of(group: &Target) -> LogName {
    match group {
        Target::Group { id } => LogName::Room(*id),
        _ => panic!("{group} is no group"),
    }
}

/// The last draft of somebody's in a story.
fn last_of(story: &Story, person: &Person) -> Encoded<Draft> {
    story.drafts().rfind(|(_, draft)| draft.author == person.name).expect("something of theirs").1.clone()
}

/// A draft that somebody has made, with something changed in it; its signature is what it was.
fn copied(of: &Draft, change: impl FnOnce(&mut Draft)) -> Encoded<Draft> {
    let mut draft = of.clone();
    change(&mut draft);
    Encoded::new(draft)
}

/// The code of a refusal.
fn code<T: std::fmt::Debug>(answer: Result<T, Refusal>) -> Code {
    answer.expect_err("it is refused").code
}
