//! One followed log as this link sees it: where it stands, what it waits for, and who is in it.

use crate::ClientError;
use crate::store::{Author, Batch, Heard, StoredLog};
use crate::view::Target;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tidings_proto::chain::Tip;
use tidings_proto::frame::Entries;
use tidings_proto::{Genesis, Hash, LogName, SuiteName, UserName};
use tidings_trust::Members;
use tidings_trust::members::Standing;

/// Bytes of entries that one log may hold back while keys are on their way; the link ends beyond, and the rest is asked for anew.
const HELD: usize = 4 * 1024 * 1024;

/// A log that is followed.
pub struct Followed {
    tip: Tip,
    stopped: Option<String>,
    /// How many of its entries were stubs.
    pub stubs: u64,
    /// How far each device was heard; read when the first entries come.
    pub counted: Option<HashMap<Author, Heard>>,
    /// Rooms: what names the room, and who is in it.
    pub room: Option<RoomState>,
    /// A change of its members by this device is under way: nothing is sealed before it is known to be in or out.
    pub changing: bool,
    /// It holds what is locked with keys that a person has to unlock.
    pub locked: bool,
    /// Why it is not followed any further once what is held back is dealt with.
    pub ends: Option<String>,
    /// Entries have come since it was asked for, the first of which said what they follow.
    begun: bool,
    waits_for: Option<UserName>,
    held: VecDeque<Entries>,
    held_bytes: usize,
}

/// A room.
#[derive(Clone)]
pub struct RoomState {
    /// What names it.
    pub genesis: Genesis,
    /// Who is in it; none before a group's first entry is here.
    pub members: Option<Arc<Members>>,
    /// Whether an invitation came to nothing, of which the entries that are here do not tell.
    pub withdrawn: bool,
    /// What whoever asked in has said of it.
    pub vouched: Option<Vouched>,
    /// Rooms on MLS: the epoch whose keys this device has.
    pub epoch: Option<u64>,
}

/// An entry and the chain's hash there, as somebody has seen it.
#[derive(Clone)]
pub struct Vouched {
    /// Who says so.
    pub by: UserName,
    /// The entry.
    pub seq: u64,
    /// The hash.
    pub hash: Hash,
}

impl Vouched {
    /// Whether whoever says so was in by then. Of those who were not, it means nothing.
    pub fn counts(&self, members: &Members) -> bool {
        members.reads(&self.by).is_some_and(|reads| reads.covers(self.seq))
    }

    /// What is said where it is not what is here. It may be the server's lie, or that person's: nobody here can tell.
    pub fn contradiction(&self) -> String {
        format!("{}, who has asked you in, has seen another story of this group than its server tells here", self.by)
    }
}

impl RoomState {
    /// A room of which nothing is here yet.
    pub fn new(genesis: Genesis) -> RoomState {
        let members = genesis.as_direct().map(|direct| Arc::new(Members::direct(direct)));
        RoomState { genesis, members, withdrawn: false, vouched: None, epoch: None }
    }

    /// The conversation that it is.
    pub fn target(&self, me: &UserName) -> Target {
        match &self.genesis {
            Genesis::Direct(direct) => Target::from(direct.other(me)),
            group => Target::Group { id: group.room() },
        }
    }

    /// What orders an entry in its conversation. Two people may have a room on each suite, which are one conversation: it has gone over to MLS.
    pub fn place(&self, seq: u64) -> u64 {
        let is_later = self.genesis.as_direct().is_some_and(|direct| direct.suite == SuiteName::Mls1);
        if is_later { seq.saturating_add(1 << 48) } else { seq }
    }

    /// Everybody who is in it or asked in.
    pub fn people(&self) -> Vec<UserName> {
        self.members.iter().flat_map(|members| members.people()).map(|(user, _)| user.clone()).collect()
    }

    /// Whether `user` is neither in nor asked in any more. Of who never came in, the members know nothing.
    pub fn has_ended_for(&self, user: &UserName) -> bool {
        let is_gone = |members: &Members| members.person(user).is_none_or(|person| person.standing == Standing::Gone);
        self.withdrawn || self.members.as_deref().is_some_and(is_gone)
    }

    /// Whether `user` is asked in, as far as the entries that are here tell.
    pub fn asks(&self, user: &UserName) -> bool {
        let person = self.members.as_deref().and_then(|members| members.person(user));
        person.is_some_and(|person| person.standing == Standing::Invited)
    }
}

impl Default for Followed {
    fn default() -> Followed {
        Followed {
            tip: Tip::EMPTY,
            stopped: None,
            stubs: 0,
            counted: None,
            room: None,
            changing: false,
            locked: false,
            ends: None,
            begun: false,
            waits_for: None,
            held: VecDeque::new(),
            held_bytes: 0,
        }
    }
}

impl From<StoredLog> for Followed {
    fn from(stored: StoredLog) -> Followed {
        Followed { tip: stored.tip, stopped: stored.stopped, stubs: stored.stubs, ..Followed::default() }
    }
}

impl Followed {
    /// The last entry that is here, and the chain's hash there.
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// Why it is not followed any further.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// It is asked for, from its tip on.
    pub fn begin(&mut self) {
        self.begun = false;
    }

    /// Whether these entries say what they follow, or go on with others that do. Those that do not were on their way before it
    /// was asked for again, and come once more.
    pub fn goes_on(&mut self, entries: &Entries) -> bool {
        self.begun |= entries.prev.is_some();
        self.begun
    }

    /// Whether nothing of it is held back.
    pub fn is_flowing(&self) -> bool {
        self.waits_for.is_none()
    }

    /// Whose keys it waits for.
    pub fn waits_for(&self) -> Option<&UserName> {
        self.waits_for.as_ref()
    }

    /// Holds back `first` and all that comes until `user`'s keys are here.
    pub fn wait_for(&mut self, user: UserName, first: Entries) {
        self.waits_for = Some(user);
        self.held_bytes += size(&first);
        self.held.push_front(first);
    }

    /// Holds back entries behind others.
    pub fn hold(&mut self, log: &LogName, entries: Entries) -> Result<(), ClientError> {
        self.held_bytes += size(&entries);
        self.held.push_back(entries);
        if self.held_bytes > HELD {
            return Err(ClientError::ServerMisbehaved(format!("it does not answer for the keys that {log} waits for")));
        }
        Ok(())
    }

    /// What it waited for has come.
    pub fn go_on(&mut self) {
        self.waits_for = None;
    }

    /// The next of what was held back, while nothing is waited for.
    pub fn next_held(&mut self) -> Option<Entries> {
        if !self.is_flowing() {
            return None;
        }
        let entries = self.held.pop_front()?;
        self.held_bytes -= size(&entries);
        Some(entries)
    }

    /// A batch of it is durable.
    pub fn took(&mut self, batch: &Batch) {
        self.tip = batch.tip;
        self.stopped.clone_from(&batch.stopped);
        self.stubs = batch.stubs;
        self.counted.get_or_insert_default().extend(batch.counted.iter().cloned());
        if let (Some(room), Some(members)) = (&mut self.room, &batch.members) {
            room.members = Some(Arc::new(members.clone()));
            self.changing = false;
        }
        if let (Some(room), Some(epoch)) = (&mut self.room, batch.epoch) {
            room.epoch = epoch;
        }
    }
}

fn size(entries: &Entries) -> usize {
    entries.items.iter().map(|item| item.entry.len()).sum()
}
