//! Pages of logs that a peer orders, on their way into the replicas here. A peer is believed about order, and about
//! nothing else: the chain must hold, and every open draft must be its author's.

use super::book::hub_of;
use super::rules::content;
use super::sequencer::{Job, Replicate};
use super::{Logs, Refusal};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use tidings_proto::chain::{self, Tip};
use tidings_proto::{DecodeError, Draft, Encoded, Entry, Hash, Kind, LogName, Payload, ServerName, UserName};
use tidings_trust::KeyState;
use tidings_trust::drafts::{DraftError, check_past};

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
    /// The page tells another story than what is here. The log takes nothing more.
    #[error("the chain is broken: {0}")]
    Broken(String),
    /// Not readable.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
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
}

/// Consecutive entries, and the chain's hash before the first.
pub type Page = (Hash, Vec<Bytes>);

/// What pages come to.
#[derive(Default)]
struct Judged {
    entries: Vec<Checked>,
    /// `keys@`: the states after them.
    states: HashMap<UserName, Arc<KeyState>>,
    /// Why the rest is not among them.
    rest: Option<ReplicaError>,
}

/// See [`Logs::replicate_pages`].
pub async fn replicate(logs: &Logs, hub: &ServerName, log: &LogName, pages: &[Page]) -> Result<Tip, ReplicaError> {
    loop {
        let row = logs.book.find(log).filter(|row| hub_of(row) == Some(hub)).ok_or(ReplicaError::NotFollowed)?;
        if *hub == logs.me {
            return Err(ReplicaError::NotFollowed);
        }
        if row.stopped {
            return Err(ReplicaError::Broken("it was broken before".into()));
        }
        let mut judged = Judged::default();
        for (prev, items) in pages {
            // Each page is held against the one before, as if that were here already.
            let ours = judged.entries.last().map_or(row.tip, |checked| checked.tip);
            match continues(log, ours, *prev, items) {
                Ok(entries) => judge(logs, &row, entries, &mut judged),
                Err(error) => judged.rest = Some(error),
            }
            if judged.rest.is_some() {
                break;
            }
        }
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
        return match judged.rest {
            None => Ok(tip),
            Some(error) => {
                if let ReplicaError::Broken(_) = error {
                    logs.ask(|reply| Job::Stop { log: row.number, reply }).await.map_err(ReplicaError::Store)?;
                }
                Err(error)
            }
        };
    }
}

/// The entries of a page that are new here, each with the tip there, once the page is known to tell the story that is here.
fn continues(log: &LogName, ours: Tip, prev: Hash, items: &[Bytes]) -> Result<Vec<(Tip, Entry)>, ReplicaError> {
    let entries = items.iter().map(|item| Entry::read(item)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = entries.first() else { return Ok(Vec::new()) };
    if first.seq == 0 {
        return Err(ReplicaError::Broken("entries are counted from 1".into()));
    }
    if first.seq > ours.seq + 1 {
        return Err(ReplicaError::Gap { next: ours.seq + 1, found: first.seq });
    }
    let mut tip = Tip { seq: first.seq - 1, hash: prev };
    let same_story = |tip: &Tip| tip.seq != ours.seq || tip.hash == ours.hash;
    let other_story = || ReplicaError::Broken(format!("the hub has another hash at entry {}", ours.seq));
    if !same_story(&tip) {
        return Err(other_story());
    }
    let mut new = Vec::new();
    for entry in entries {
        tip = chain::extend(log, &tip, &entry).map_err(|broken| ReplicaError::Broken(broken.to_string()))?;
        if !same_story(&tip) {
            return Err(other_story());
        }
        if tip.seq > ours.seq {
            new.push((tip, entry));
        }
    }
    Ok(new)
}

/// Which entries are kept, and as what.
fn judge(logs: &Logs, row: &crate::store::LogRow, entries: Vec<(Tip, Entry)>, judged: &mut Judged) {
    for (tip, entry) in entries {
        let verdict = match (&row.name, &entry.payload) {
            (LogName::Room(_), _) if entry.seq == 1 => match &row.room {
                Some(room) if room.genesis.as_direct().is_some_and(|direct| direct.draft().hash() == entry.draft_hash()) => {
                    Verdict::Good(None)
                }
                _ => Verdict::Broken("its first entry is not the room's genesis".into()),
            },
            (_, Payload::Stub(_)) => Verdict::Good(None),
            (LogName::Public(hub), Payload::Draft(draft)) => post(logs, hub, &row.name, draft),
            (LogName::Keys(_), Payload::Draft(draft)) => {
                let before = judged.states.get(&draft.author).cloned().or_else(|| logs.directory.state(&draft.author));
                match KeyState::apply(before.as_deref(), &row.name, entry.seq, draft, None) {
                    Ok(state) => {
                        let state = Arc::new(state);
                        judged.states.insert(draft.author.clone(), state.clone());
                        Verdict::Good(Some(state))
                    }
                    Err(error) => Verdict::Flawed(error.to_string()),
                }
            }
            (LogName::Room(_), Payload::Draft(draft)) => match &row.room {
                Some(room) if draft.kind == Kind::Sealed && room.genesis.as_direct().is_some_and(|direct| direct.has(&draft.author)) => {
                    Verdict::Good(None)
                }
                _ => Verdict::Flawed("not a sealed message of a member's".into()),
            },
            (LogName::Inbox(_), _) => Verdict::Broken("an inbox is kept by its owner's server only".into()),
        };
        match verdict {
            Verdict::Good(state) => judged.entries.push(Checked { tip, entry: entry.encode(), flawed: false, state }),
            Verdict::Flawed(why) => {
                tracing::warn!(log = %row.name, seq = entry.seq, why, "an entry of a peer's cannot be verified; a stub is kept");
                let stub = Entry { payload: Payload::Stub(entry.draft_hash()), ..entry };
                judged.entries.push(Checked { tip, entry: stub.encode(), flawed: true, state: None });
            }
            Verdict::NotYet(user) => {
                judged.rest = Some(ReplicaError::NotYet(user));
                return;
            }
            Verdict::Broken(why) => {
                judged.rest = Some(ReplicaError::Broken(why));
                return;
            }
        }
    }
}

enum Verdict {
    Good(Option<Arc<KeyState>>),
    Flawed(String),
    NotYet(UserName),
    Broken(String),
}

/// A public post of one of the hub's users.
fn post(logs: &Logs, hub: &ServerName, log: &LogName, draft: &Encoded<Draft>) -> Verdict {
    if draft.kind != Kind::Post || draft.author.server() != hub {
        return Verdict::Flawed("not a post of one of the server's own users".into());
    }
    if let Err(why) = content(draft) {
        return Verdict::Flawed(why.text);
    }
    let Some(author) = logs.directory.state(&draft.author) else { return Verdict::NotYet(draft.author.clone()) };
    match check_past(log, draft, &author) {
        Ok(()) => Verdict::Good(None),
        Err(DraftError::NotYet) => Verdict::NotYet(draft.author.clone()),
        Err(error) => Verdict::Flawed(error.to_string()),
    }
}
