//! Who may read how much of a log. In a group everybody reads the messages of their own stays; of others they see that there
//! was one, so that the chain can be followed, and after their last stay nothing.

use super::Reader;
use super::view::View;
use crate::store::{LogRow, StoreError};
use std::sync::Arc;
use tidings_proto::frame::Item;
use tidings_proto::{Code, Entry, Genesis, Kind, LogName, Payload, Refusal};
use tidings_trust::members::Reads;

/// How much of a log somebody sees.
pub enum Sight {
    /// All of it.
    Whole,
    /// What these spans say.
    Spans(Reads),
}

impl View {
    /// How much `reader` sees of a log; nothing, where there is no sight.
    pub fn sight(&self, reader: &Reader, row: &LogRow) -> Option<Sight> {
        let whole = |may: bool| may.then_some(Sight::Whole);
        match (reader, &row.name) {
            (Reader::Host, _) => Some(Sight::Whole),
            (Reader::User(_), LogName::Public(_) | LogName::Keys(_)) => Some(Sight::Whole),
            (Reader::Peer(_), LogName::Public(hub) | LogName::Keys(hub)) => whole(*hub == self.me),
            (Reader::User(user), LogName::Inbox(owner) | LogName::History(owner)) => whole(user == owner),
            (Reader::Peer(_), LogName::Inbox(_) | LogName::History(_)) => None,
            (_, LogName::Room(_)) => {
                let room = row.room.as_ref()?;
                // A replica is not passed on: its hub has it.
                if matches!(reader, Reader::Peer(_)) && room.hub != self.me {
                    return None;
                }
                match &room.genesis {
                    Genesis::Direct(direct) => whole(match reader {
                        Reader::User(user) => direct.has(user),
                        Reader::Peer(peer) => direct.people.iter().any(|person| person.server() == peer),
                        Reader::Host => true,
                    }),
                    Genesis::Group(_) => match reader {
                        Reader::User(user) => row.people.as_ref()?.reads(user).map(Sight::Spans),
                        Reader::Peer(peer) => row.people.as_ref()?.reads_of(peer).map(Sight::Spans),
                        Reader::Host => Some(Sight::Whole),
                    },
                }
            }
        }
    }

    /// The same, or why not.
    pub fn may_see(&self, reader: &Reader, log: &LogName) -> Result<(Arc<LogRow>, Sight), Refusal> {
        // A room that is not known is nobody's; of other logs everybody knows that they are somewhere.
        let unknown =
            || if matches!(log, LogName::Room(_) | LogName::Inbox(_) | LogName::History(_)) { Code::Forbidden } else { Code::NotFound };
        let row = self.book.find(log).ok_or_else(|| Refusal::from(unknown()))?;
        let sight = self.sight(reader, &row).ok_or(Code::Forbidden)?;
        Ok((row, sight))
    }
}

impl Sight {
    /// The last entry that there is for this reader.
    pub fn until(&self) -> Option<u64> {
        match self {
            Sight::Whole => None,
            Sight::Spans(reads) => reads.until,
        }
    }

    /// Whether nothing of these entries is withheld, whatever they are. Of what comes after `tip` nobody can tell yet.
    pub fn has_all(&self, first: u64, last: u64, tip: u64) -> bool {
        match self {
            Sight::Whole => true,
            Sight::Spans(reads) => {
                last <= tip && reads.stays.iter().any(|stay| stay.from <= first && stay.until.is_none_or(|until| last <= until))
            }
        }
    }

    /// These consecutive entries as this reader sees them: none beyond the reader's last, nor beyond `tip`, since who may read
    /// what comes after is told by what is not known yet. The last of them is said beside.
    pub fn of(&self, items: Vec<Item>, tip: u64) -> Result<(Vec<Item>, Option<u64>), StoreError> {
        let (mut seen, mut last) = (Vec::with_capacity(items.len()), None);
        let end = self.until().map_or(tip, |until| until.min(tip));
        for item in items {
            let entry = Entry::read(&item.entry).map_err(|error| StoreError::Damaged(error.to_string()))?;
            if entry.seq > end {
                break;
            }
            last = Some(entry.seq);
            seen.push(if self.withholds(&entry) { Item { entry: stub_of(&entry).encode(), ..item } } else { item });
        }
        Ok((seen, last))
    }

    fn withholds(&self, entry: &Entry) -> bool {
        let Sight::Spans(reads) = self else { return false };
        entry.draft().is_some_and(|draft| draft.kind == Kind::Sealed) && !reads.covers(entry.seq)
    }
}

/// What is left of an entry when its draft is not told.
pub fn stub_of(entry: &Entry) -> Entry {
    Entry { payload: Payload::Stub(entry.draft_hash()), ..entry.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_proto::{DeviceKey, Draft, Encoded, Hash};
    use tidings_trust::members::Stay;

    fn sight(stays: &[(u64, Option<u64>)], until: Option<u64>) -> Sight {
        Sight::Spans(Reads { stays: stays.iter().map(|(from, until)| Stay { from: *from, until: *until }).collect(), until })
    }

    fn item(seq: u64) -> Item {
        let author = "alice@s1".parse().unwrap();
        let draft =
            Draft { device: DeviceKey([1; 32]), n: seq, author, list: 1, epoch: None, kind: Kind::Sealed, body: vec![7].into(), sig: None };
        Item { entry: Entry { seq, at: 0, payload: Payload::Draft(Encoded::new(draft)) }.encode(), got: None }
    }

    /// The entries of a page that a reader sees: those that are whole, and the last.
    fn seen(sight: &Sight, entries: std::ops::RangeInclusive<u64>, tip: u64) -> (Vec<u64>, Option<u64>) {
        let (items, last) = sight.of(entries.map(item).collect(), tip).unwrap();
        let entries = items.iter().map(|item| Entry::read(&item.entry).unwrap());
        (entries.filter(|entry| entry.draft().is_some()).map(|entry| entry.seq).collect(), last)
    }

    /// A page may hold what is durable already and not told yet: who may read that, nobody can say.
    #[test]
    fn what_comes_after_the_tip_is_not_given_out() {
        let goes_on = sight(&[(5, None)], None);
        assert!(goes_on.has_all(5, 7, 7) && goes_on.has_all(6, 7, 8));
        assert!(!goes_on.has_all(6, 8, 7) && !goes_on.has_all(4, 7, 7));
        assert_eq!(seen(&goes_on, 6..=8, 7), (vec![6, 7], Some(7)));
        assert_eq!(seen(&goes_on, 8..=9, 7), (vec![], None));
        assert!(Sight::Whole.has_all(1, 9, 7), "in a log that everybody reads there is nothing to be said");
    }

    #[test]
    fn two_stays_are_two_spans_and_the_last_ends() {
        let twice = sight(&[(2, Some(3)), (6, Some(7))], Some(7));
        assert!(twice.has_all(2, 3, 9) && twice.has_all(6, 7, 9));
        assert!(!twice.has_all(3, 6, 9) && !twice.has_all(2, 7, 9) && !twice.has_all(7, 8, 9));
        assert_eq!(seen(&twice, 1..=9, 9), (vec![2, 3, 6, 7], Some(7)));
        let asked = sight(&[], None);
        assert!(!asked.has_all(1, 1, 9));
        assert_eq!(seen(&asked, 1..=3, 9), (vec![], Some(3)));
    }

    #[test]
    fn what_is_withheld_hashes_as_what_it_stands_for() {
        let (items, _) = sight(&[], None).of(vec![item(1)], 1).unwrap();
        let (stub, whole) = (Entry::read(&items[0].entry).unwrap(), Entry::read(&item(1).entry).unwrap());
        assert!(stub.payload == Payload::Stub(whole.draft_hash()) && whole.draft_hash() != Hash::ZERO);
        assert_eq!((stub.seq, stub.at), (whole.seq, whole.at));
    }
}
