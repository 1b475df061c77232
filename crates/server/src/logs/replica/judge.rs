//! What is kept of a page, and as what: whole, as a stub, or not yet.

use super::{Checked, Judged, Next, ReplicaError};
use crate::logs::rules::content;
use crate::logs::spans::stub_of;
use crate::logs::view::View;
use crate::store::{LogRow, People};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use tidings_proto::draft::Erase;
use tidings_proto::{Draft, Encoded, Entry, Genesis, Kind, LogName, Payload, UserName, cbor, limits};
use tidings_trust::drafts::{DraftError, check_past};
use tidings_trust::members::MembersError;
use tidings_trust::{KeyState, Members};

/// Entries that are judged at once: of those that are signed, a millisecond's worth.
const AT_ONCE: usize = 24;

/// Judges the entries of pages that follow each other, in their order.
pub struct Judge<'a> {
    view: &'a View,
    row: &'a LogRow,
    /// Earlier entries that some of these say are to be forgotten, as they are here.
    targets: HashMap<u64, Entry>,
    /// Key histories, as these entries have changed them.
    states: HashMap<UserName, Arc<KeyState>>,
    /// The people of a room, as these entries have changed them; none before its first entry.
    people: Option<Arc<People>>,
}

enum Verdict {
    Good,
    /// `keys@`: and this is the history from here on.
    Keys(Arc<KeyState>),
    /// A group: and these are its people from here on.
    People(People),
    /// And this entry is forgotten.
    Erases(u64, Bytes),
    Flawed(String),
    NotYet(UserName),
    Broken(String),
}

impl From<DraftError> for Verdict {
    fn from(error: DraftError) -> Verdict {
        Verdict::Flawed(error.to_string())
    }
}

impl From<MembersError> for Verdict {
    fn from(error: MembersError) -> Verdict {
        // The hub may know keys that are not here yet, by which it is right.
        error.rests_on().cloned().map_or_else(|| Verdict::Flawed(error.to_string()), Verdict::NotYet)
    }
}

impl<'a> Judge<'a> {
    pub fn new(view: &'a View, row: &'a LogRow, targets: HashMap<u64, Entry>) -> Judge<'a> {
        let people = match row.room.as_ref().map(|room| &room.genesis) {
            Some(Genesis::Direct(direct)) if row.people.is_none() => Some(Arc::new(Members::direct(direct).into())),
            _ => row.people.clone(),
        };
        Judge { view, row, targets, states: HashMap::new(), people }
    }

    /// What the entries come to, up to the first that has to wait. Whoever else is there has a turn now and then meanwhile.
    pub async fn judge(mut self, entries: Vec<Next>) -> Judged {
        let mut judged = Judged { entries: Vec::new(), rest: None };
        for (which, Next { tip, entry, unreadable }) in entries.into_iter().enumerate() {
            if which > 0 && which.is_multiple_of(AT_ONCE) {
                tokio::task::yield_now().await;
            }
            let verdict = match unreadable {
                Some(error) if entry.seq > 1 => Verdict::Flawed(error.to_string()),
                _ => self.verdict(&entry),
            };
            let mut checked = Checked { tip, entry: entry.encode(), flawed: false, state: None, people: None, erased: None };
            match verdict {
                Verdict::Good => {}
                Verdict::Keys(state) => {
                    self.states.insert(state.list.user.clone(), state.clone());
                    checked.state = Some(state);
                }
                Verdict::People(people) => {
                    let people = Arc::new(people);
                    self.people = Some(people.clone());
                    checked.people = Some(people);
                }
                Verdict::Erases(seq, stub) => checked.erased = Some((seq, stub)),
                Verdict::Flawed(why) => {
                    tracing::warn!(log = %self.row.name, seq = entry.seq, why, "an entry of a peer's cannot be verified; a stub is kept");
                    (checked.entry, checked.flawed) = (stub_of(&entry).encode(), true);
                }
                Verdict::NotYet(user) => {
                    judged.rest = Some(ReplicaError::NotYet(user));
                    return judged;
                }
                Verdict::Broken(why) => {
                    judged.rest = Some(ReplicaError::Broken(why));
                    return judged;
                }
            }
            self.remember(&checked, entry);
            judged.entries.push(checked);
        }
        judged
    }

    /// What a later entry of the page may say is to be forgotten.
    fn remember(&mut self, checked: &Checked, entry: Entry) {
        let entry = if checked.flawed { stub_of(&entry) } else { entry };
        if let Some((seq, _)) = &checked.erased
            && let Some(target) = self.targets.get_mut(seq)
        {
            *target = stub_of(target);
        }
        self.targets.insert(entry.seq, entry);
    }

    fn verdict(&mut self, entry: &Entry) -> Verdict {
        match (&self.row.name, &entry.payload) {
            (LogName::Room(_), payload) if entry.seq == 1 => self.beginning(payload),
            (LogName::Inbox(_) | LogName::History(_), _) => Verdict::Broken("it is kept by its owner's server only".into()),
            (_, Payload::Stub(_)) => Verdict::Good,
            (LogName::Public(_), Payload::Draft(draft)) if draft.kind == Kind::Erase => self.erase(draft),
            (LogName::Public(hub), Payload::Draft(draft)) => {
                if draft.kind != Kind::Post || draft.author.server() != hub {
                    return Verdict::Flawed("not a post of one of the server's own users".into());
                }
                if let Err(why) = content(draft) {
                    return Verdict::Flawed(why.text);
                }
                self.signed(draft).err().unwrap_or(Verdict::Good)
            }
            (LogName::Keys(hub), Payload::Draft(draft)) => {
                let (before, server) = (self.state(&draft.author), self.view.servers.key(hub));
                match KeyState::apply(before.as_deref(), &self.row.name, entry.seq, draft, server.as_ref()) {
                    Ok(state) => Verdict::Keys(Arc::new(state)),
                    Err(error) => Verdict::Flawed(error.to_string()),
                }
            }
            (LogName::Room(_), Payload::Draft(draft)) => self.in_room(entry.seq, draft),
        }
    }

    /// A room's first entry is the one that its name is made of.
    fn beginning(&self, payload: &Payload) -> Verdict {
        let wrong = || Verdict::Broken("its first entry is not the room's genesis".into());
        let (Some(room), Payload::Draft(draft)) = (&self.row.room, payload) else { return wrong() };
        match &room.genesis {
            Genesis::Direct(direct) if direct.draft().hash() == draft.hash() => Verdict::Good,
            Genesis::Direct(_) => wrong(),
            Genesis::Group(group) => {
                let creator = match self.signed(draft) {
                    Ok(creator) => creator,
                    Err(Verdict::NotYet(user)) => return Verdict::NotYet(user),
                    Err(_) => return wrong(),
                };
                match Members::begin(group, draft, &creator) {
                    Ok(members) => Verdict::People(members.into()),
                    Err(MembersError::NotYet(user)) => Verdict::NotYet(user),
                    Err(_) => wrong(),
                }
            }
        }
    }

    fn in_room(&self, seq: u64, draft: &Encoded<Draft>) -> Verdict {
        let Some(people) = &self.people else { return Verdict::Broken("it goes on before it has begun".into()) };
        match draft.kind {
            // Who has written it is proved inside, to those who can open it; and they ask this server for the author's keys, so it
            // is not told of before these are here.
            Kind::Sealed if people.has(&draft.author) && draft.epoch == Some(people.epoch()) && people.is_in_line() => {
                match self.state(&draft.author) {
                    Some(author) if draft.list <= author.list.version => Verdict::Good,
                    _ => Verdict::NotYet(draft.author.clone()),
                }
            }
            Kind::Erase => self.erase(draft),
            kind if kind.is_membership() => {
                let author = match self.signed(draft) {
                    Ok(author) => author,
                    Err(verdict) => return verdict,
                };
                match people.apply(seq, draft, &author, |user| self.state(user)) {
                    Ok(members) => Verdict::People(people.next(members, seq)),
                    Err(error) => error.into(),
                }
            }
            _ => Verdict::Flawed("not something that a member may write to this room".into()),
        }
    }

    /// An erasure, and what it leaves of its target. What is a stub here already cannot be told more about, and stays one.
    fn erase(&self, draft: &Encoded<Draft>) -> Verdict {
        let author = match self.signed(draft) {
            Ok(author) => author,
            Err(verdict) => return verdict,
        };
        let Ok(erase) = cbor::decode::<Erase>(&draft.body, limits::DRAFT) else { return Verdict::Flawed("it cannot be read".into()) };
        let target = self.targets.get(&erase.seq).filter(|target| target.draft_hash() == erase.draft);
        let Some(target) = target else { return Verdict::Flawed("there is no such entry to be forgotten".into()) };
        let Some(written) = target.draft() else { return Verdict::Good };
        let may = match &self.row.name {
            LogName::Room(_) if written.kind == Kind::Sealed => match &self.people {
                Some(people) => match people.may_erase(draft, &author, &written.author) {
                    Err(MembersError::NotYet(user)) => return Verdict::NotYet(user),
                    may => may.is_ok(),
                },
                None => false,
            },
            LogName::Public(_) => written.kind == Kind::Post && written.author == draft.author,
            _ => false,
        };
        if !may {
            return Verdict::Flawed("its author may not have that forgotten".into());
        }
        Verdict::Erases(erase.seq, stub_of(target).encode())
    }

    /// The keys of a draft's author, who has signed it.
    fn signed(&self, draft: &Encoded<Draft>) -> Result<Arc<KeyState>, Verdict> {
        let author = self.state(&draft.author).ok_or_else(|| Verdict::NotYet(draft.author.clone()))?;
        match check_past(&self.row.name, draft, &author) {
            Ok(()) => Ok(author),
            Err(DraftError::NotYet) => Err(Verdict::NotYet(draft.author.clone())),
            Err(error) => Err(error.into()),
        }
    }

    fn state(&self, user: &UserName) -> Option<Arc<KeyState>> {
        self.states.get(user).cloned().or_else(|| self.view.directory.state(user))
    }
}
