//! Where entries stand in the chain of their log, as far as it goes on from what is here.
//!
//! Not here: what they are.

use super::followed::Followed;
use tidings_proto::chain::{self, Tip};
use tidings_proto::frame::Item;
use tidings_proto::{Entry, Hash, LogName};

/// A new entry whose place in the chain is verified.
pub(super) struct Placed {
    pub entry: Entry,
    pub hash: Hash,
    pub place: u64,
}

/// The new entries, each with its place in the chain verified, as far as they go on from `tip`; and why they go no further.
/// What is here already is dropped, but where `prev` says what it follows, its hashes must lead to ours.
pub(super) fn place(log: &LogName, followed: &Followed, prev: Option<Hash>, items: &[Item]) -> (Vec<Placed>, Option<String>) {
    let tip = followed.tip();
    let broken = |why: &str| Some(format!("its server does not continue it as it began: {why}"));
    let mut placed = Vec::new();
    let mut before: Option<Tip> = None;
    for item in items {
        let Ok(entry) = Entry::read(&item.entry) else { return (placed, broken("an entry cannot be read")) };
        let last = match (before, prev) {
            (Some(last), _) => last,
            (None, _) if entry.seq == 0 || entry.seq > tip.seq + 1 => return (placed, broken("entries are missing")),
            (None, None) if entry.seq <= tip.seq => continue,
            (None, prev) => prev.map_or(tip, |hash| Tip { seq: entry.seq - 1, hash }),
        };
        if last.seq == tip.seq && last.hash != tip.hash {
            return (placed, broken("the chain of hashes is another"));
        }
        let Ok(next) = chain::extend(log, &last, &entry) else { return (placed, broken("entries are missing")) };
        if next.seq == tip.seq && next.hash != tip.hash {
            return (placed, broken("the chain of hashes is another"));
        }
        before = Some(next);
        if next.seq > tip.seq {
            // A place that the store cannot count is no place; the end of the conversation is.
            let seq = followed.room.as_ref().map_or(entry.seq, |room| room.place(entry.seq));
            let place = item.got.unwrap_or(seq).min(i64::MAX as u64 - 1);
            placed.push(Placed { entry, hash: next.hash, place });
        }
    }
    (placed, None)
}
