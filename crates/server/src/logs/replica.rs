//! Pages of logs that a peer orders, on their way into the replicas here. A peer is believed about order, and about
//! nothing else: the chain must hold, and every open draft must be its author's.

mod judge;

use super::book::hub_of;
use super::sequencer::{Job, Replicate};
use super::{Logs, Refusal};
use crate::store::{LogRow, People, Questions};
use bytes::Bytes;
use judge::Judge;
use std::collections::HashMap;
use std::sync::Arc;
use tidings_proto::chain::{self, Tip};
use tidings_proto::draft::Erase;
use tidings_proto::{DecodeError, Entry, Hash, Kind, LogName, ServerName, UserName, cbor, limits};
use tidings_trust::KeyState;

/// Why a page was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReplicaError {
    /// An author's keys are not here yet; what came before is taken.
    #[error("the keys of {0} are not here yet")]
    NotYet(UserName),
    /// Entries between ours and the page are missing.
    #[error("entry {found} came where {next} is next")]
    Gap {
        /// The entry that is next here.
        next: u64,
        /// The first in the page.
        found: u64,
    },
    /// The page tells another story than what is here, or cannot be read. The log takes nothing more.
    #[error("the chain is broken: {0}")]
    Broken(String),
    /// Not a log that is kept here, or not one of this peer's.
    #[error("this log is not followed from this peer")]
    NotFollowed,
    /// The entries could not be made durable.
    #[error("the entries could not be kept: {0}")]
    Store(Refusal),
}

/// An entry that continues a replica.
pub struct Checked {
    /// The tip once it is in.
    pub tip: Tip,
    /// As it is kept: as it came, or a stub.
    pub entry: Bytes,
    /// Whether a stub was put in its place.
    pub flawed: bool,
    /// `keys@`: the state after it.
    pub state: Option<Arc<KeyState>>,
    /// A group: the people after it, where it changes them.
    pub people: Option<Arc<People>>,
    /// The entry that is forgotten with it, and its stub.
    pub erased: Option<(u64, Bytes)>,
}

/// Consecutive entries, and the chain's hash before the first; none where they go on with what was given before.
pub type Page = (Option<Hash>, Vec<Bytes>);

/// What pages come to.
struct Judged {
    entries: Vec<Checked>,
    /// Why the rest is not among them.
    rest: Option<ReplicaError>,
}

/// The next entry of a page, with the tip there, and why its draft could not be read.
struct Next {
    tip: Tip,
    entry: Entry,
    unreadable: Option<DecodeError>,
}

/// See [`Logs::replicate_pages`].
pub async fn replicate(logs: &Logs, hub: &ServerName, log: &LogName, pages: &[Page]) -> Result<Tip, ReplicaError> {
    loop {
        let row = logs.view.book.find(log).filter(|row| hub_of(row) == Some(hub)).ok_or(ReplicaError::NotFollowed)?;
        if *hub == logs.view.me {
            return Err(ReplicaError::NotFollowed);
        }
        if row.stopped {
            return Err(ReplicaError::Broken("it was broken before".into()));
        }
        let (mut entries, mut rest) = (Vec::new(), None);
        for (prev, items) in pages {
            // Each page is held against the one before, as if that were here already.
            let ours = entries.last().map_or(row.tip, |next: &Next| next.tip);
            let (new, wrong) = continues(log, ours, *prev, items);
            entries.extend(new);
            rest = wrong;
            if rest.is_some() {
                break;
            }
        }
        let targets = targets(logs, &row, &entries).await.map_err(ReplicaError::Store)?;
        let judged = Judge::new(&logs.view, &row, targets).judge(entries).await;
        let rest = judged.rest.or(rest);
        let mut tip = row.tip;
        if !judged.entries.is_empty() {
            let (number, base, entries) = (row.number, row.tip, judged.entries);
            match logs.ask(|reply| Job::Replicate(Replicate { log: number, base, entries, reply })).await {
                Ok(Some(moved)) => tip = moved,
                // Another link's page was quicker.
                Ok(None) => continue,
                Err(why) => return Err(ReplicaError::Store(why)),
            }
        }
        let Some(error) = rest else { return Ok(tip) };
        if let ReplicaError::Broken(why) = &error {
            tracing::error!(%log, %hub, why, "this replica takes nothing more");
            logs.ask(|reply| Job::Stop { log: row.number, reply }).await.map_err(ReplicaError::Store)?;
        }
        return Err(error);
    }
}

/// The entries of a page that are new here, once the page is known to tell the story that is here; and what is wrong with the
/// entry after them, or with the page.
fn continues(log: &LogName, ours: Tip, prev: Option<Hash>, items: &[Bytes]) -> (Vec<Next>, Option<ReplicaError>) {
    let (mut new, mut tip) = (Vec::new(), None);
    for item in items {
        let (entry, unreadable) = match Entry::skim(item) {
            Ok(read) => read,
            Err(error) => return (new, Some(ReplicaError::Broken(format!("an entry cannot be read: {error}")))),
        };
        let before = match (tip, prev) {
            (Some(tip), _) => tip,
            // Here already, by another link: what comes after goes on from ours.
            (None, None) if (1..=ours.seq).contains(&entry.seq) => continue,
            (None, prev) => match beginning(ours, prev, &entry) {
                Ok(tip) => tip,
                Err(error) => return (new, Some(error)),
            },
        };
        let next = match chain::extend(log, &before, &entry) {
            Ok(next) => next,
            Err(broken) => return (Vec::new(), Some(ReplicaError::Broken(broken.to_string()))),
        };
        if !is_same_story(ours, next) {
            return (Vec::new(), Some(other_story(ours)));
        }
        if next.seq > ours.seq {
            new.push(Next { tip: next, entry, unreadable });
        }
        tip = Some(next);
    }
    (new, None)
}

/// The tip before a page's first entry.
fn beginning(ours: Tip, prev: Option<Hash>, first: &Entry) -> Result<Tip, ReplicaError> {
    if first.seq == 0 {
        return Err(ReplicaError::Broken("entries are counted from 1".into()));
    }
    if first.seq > ours.seq + 1 {
        return Err(ReplicaError::Gap { next: ours.seq + 1, found: first.seq });
    }
    let tip = prev.map_or(ours, |hash| Tip { seq: first.seq - 1, hash });
    if is_same_story(ours, tip) { Ok(tip) } else { Err(other_story(ours)) }
}

fn is_same_story(ours: Tip, theirs: Tip) -> bool {
    theirs.seq != ours.seq || theirs.hash == ours.hash
}

fn other_story(ours: Tip) -> ReplicaError {
    ReplicaError::Broken(format!("the hub has another hash at entry {}", ours.seq))
}

/// The entries that are here and that others in the page say are to be forgotten.
async fn targets(logs: &Logs, row: &LogRow, entries: &[Next]) -> Result<HashMap<u64, Entry>, Refusal> {
    let erasures = entries.iter().filter_map(|next| next.entry.draft()).filter(|draft| draft.kind == Kind::Erase);
    let named = erasures.filter_map(|draft| cbor::decode::<Erase>(&draft.body, limits::DRAFT).ok()).map(|erase| erase.seq);
    let questions =
        Questions { entries: named.filter(|seq| *seq <= row.tip.seq).map(|seq| (row.number, seq)).collect(), ..Questions::default() };
    if questions.is_empty() {
        return Ok(HashMap::new());
    }
    let answers = logs.store.look_up(questions).await?;
    Ok(answers.entries.into_iter().flatten().filter_map(|bytes| Entry::read(&bytes).ok()).map(|entry| (entry.seq, entry)).collect())
}
