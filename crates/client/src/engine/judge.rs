//! What an entry is, as far as public keys tell: who may have written it where, and what it does to a group's members.
//!
//! Pure: entries of one log in their order go in; nothing is opened, and nothing kept.

use super::followed::RoomState;
use crate::crypto::mls::StandingCommit;
use crate::crypto::{Closed, Histories, Opening};
use crate::people::People;
use crate::store::{Author, Erased, Heard};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use tidings_e2ee::mls::Made;
use tidings_proto::draft::Erase;
use tidings_proto::frame::RoomRef;
use tidings_proto::membership::{Commit, Invitation, Invite};
use tidings_proto::{Content, DeviceKey, Draft, Encoded, Entry, Genesis, Hash, Kind, LogName, Payload, Role, UserName, cbor, limits};
use tidings_trust::drafts::{DraftError, check_in_order, check_past};
use tidings_trust::members::MembersError;
use tidings_trust::{KeyState, Members};

/// What an entry turns out to be.
pub(super) enum Found {
    /// Something sealed, to be opened; taken out when it is.
    Opens(Option<Closed>),
    /// It was opened.
    Opened(Opening),
    /// A verified post, as it is kept, and its text.
    Text(Vec<u8>, String),
    /// A verified change of a group, to be shown as it is.
    Event,
    /// A verified erasure of another entry.
    Erases(Erased),
    /// A direct room pointed to.
    Pointer(Genesis),
    /// This device's own draft.
    Own,
    /// Nothing to show.
    Silent,
    /// A message of this user's from before this device came in: for the others, who may hand it on.
    Missed,
    /// Something to show as unreadable.
    Unreadable(String),
    /// Somebody's keys are not here in the version that it needs; and what is to be said if they do not come.
    Lacks(UserName, String),
    /// The same of what is sealed, once these have been asked for: whose, and the version that is here.
    Late(UserName, u64),
    /// The log is not what it should be.
    Stop(String),
}

/// Judges a log's entries, one after the other.
#[derive(Clone)]
pub(super) struct Judge {
    me: UserName,
    device: DeviceKey,
    log: LogName,
    room: Option<RoomState>,
    /// Whether the last entry has changed the members.
    changed: bool,
    /// The members' key histories; made when first needed after a change.
    keys: Option<Arc<Histories>>,
    /// The highest device list that each author has named here.
    highest: Arc<HashMap<UserName, u64>>,
}

impl Judge {
    /// Begins after what is here already of `log`.
    pub fn new((me, device): (&UserName, DeviceKey), log: &LogName, room: Option<RoomState>, counted: &HashMap<Author, Heard>) -> Judge {
        let mut highest: HashMap<UserName, u64> = HashMap::new();
        for ((user, _), heard) in counted {
            let list = highest.entry(user.clone()).or_default();
            *list = heard.list.max(*list);
        }
        Judge { me: me.clone(), device, log: log.clone(), room, changed: false, keys: None, highest: Arc::new(highest) }
    }

    /// Entry order bounds what a device may still write once its author has named a list without it.
    fn in_order(&mut self, draft: &Draft, author: &KeyState) -> Result<(), DraftError> {
        let highest = self.highest(&draft.author);
        check_in_order(draft, author, highest)?;
        // What a sealed draft says of itself is its server's word until it is opened; then it counts.
        if draft.kind != Kind::Sealed && draft.list > highest {
            Arc::make_mut(&mut self.highest).insert(draft.author.clone(), draft.list);
        }
        Ok(())
    }

    /// The members after the last entry.
    pub fn members(&self) -> Option<&Members> {
        self.room.as_ref()?.members.as_deref()
    }

    /// What is to be said if the chain's hash at the last entry, `seq`, is not the one that a member has vouched for.
    pub fn contradiction(&self, seq: u64, hash: Hash) -> Option<String> {
        let vouched = self.room.as_ref()?.vouched.as_ref().filter(|vouched| vouched.seq == seq && vouched.hash != hash)?;
        vouched.counts(self.members()?).then(|| vouched.contradiction())
    }

    /// The highest device list that `author` has named before the last entry.
    pub fn highest(&self, author: &UserName) -> u64 {
        self.highest.get(author).copied().unwrap_or(0)
    }

    /// The members, if the last entry has changed them.
    pub fn changed_members(&self) -> Option<&Members> {
        self.members().filter(|_| self.changed)
    }

    /// Judges the next entry. `is_own` knows the hashes of drafts that this profile has made.
    pub fn next(&mut self, people: &People, entry: &Entry, is_own: &dyn Fn(&Hash) -> bool) -> Found {
        self.changed = false;
        let is_own = is_own(&entry.draft_hash());
        let found = match (&entry.payload, &self.log) {
            (Payload::Stub(_), log) if is_quiet(log) => Found::Silent,
            (Payload::Stub(_), LogName::Room(_)) if entry.seq == 1 => return self.wrong_beginning(),
            (Payload::Stub(_), LogName::Room(_)) if !self.is_mine(entry.seq) => Found::Silent,
            (Payload::Stub(_), _) => Found::Unreadable(GONE.into()),
            (Payload::Draft(draft), LogName::Room(_)) if entry.seq == 1 => self.first(people, draft),
            (Payload::Draft(draft), _) => self.draft(people, entry.seq, draft),
        };
        // Also one's own drafts change the members, and are nothing if they may not be here.
        let stands = matches!(found, Found::Opens(_) | Found::Text(_, _) | Found::Event | Found::Erases(_));
        // Other keys are taken when they stand, also one's own.
        let is_keys = matches!(found, Found::Opens(Some(Closed::Commit(_))));
        if is_own && stands && !is_keys { Found::Own } else { found }
    }

    /// Whether what stands at `seq` was written while this user was in.
    fn is_mine(&self, seq: u64) -> bool {
        self.members().and_then(|members| members.reads(&self.me)).is_some_and(|reads| reads.covers(seq))
    }

    fn wrong_beginning(&self) -> Found {
        Found::Stop("its first entry is not the one that the conversation is named after".into())
    }

    /// Entry 1 of a room: of a direct one a function of its name, of a group its creator's.
    fn first(&mut self, people: &People, draft: &Encoded<Draft>) -> Found {
        let Some(room) = &self.room else { return self.wrong_beginning() };
        let group = match &room.genesis {
            Genesis::Direct(direct) if direct.draft().hash() == draft.hash() => return Found::Silent,
            Genesis::Direct(_) => return self.wrong_beginning(),
            Genesis::Group(group) => group.clone(),
        };
        let Some(creator) = people.state(&group.creator) else { return lacks(&group.creator) };
        let begun = match check_past(&self.log, draft, &creator) {
            Ok(()) => Members::begin(&group, draft, &creator),
            Err(DraftError::NotYet) => return lacks(&group.creator),
            Err(_) => return self.wrong_beginning(),
        };
        match begun {
            Ok(members) => self.become_of(members),
            Err(MembersError::NotYet(user)) => lacks(&user),
            Err(_) => self.wrong_beginning(),
        }
    }

    fn become_of(&mut self, members: Members) -> Found {
        if let Some(room) = &mut self.room {
            room.members = Some(Arc::new(members));
        }
        (self.changed, self.keys) = (true, None);
        Found::Event
    }

    fn draft(&mut self, people: &People, seq: u64, draft: &Encoded<Draft>) -> Found {
        let Some(author) = people.state(&draft.author) else {
            return Found::Unreadable(format!("it names {} as its author, whose keys are not known", draft.author));
        };
        if draft.kind != Kind::Sealed {
            match check_past(&self.log, draft, &author) {
                Ok(()) => {}
                Err(DraftError::NotYet) => return lacks(&draft.author),
                Err(_) if is_quiet(&self.log) => return Found::Silent,
                Err(error) => return Found::Unreadable(error.to_string()),
            }
        }
        match self.in_order(draft, &author) {
            Ok(()) => {}
            Err(DraftError::NotYet) => return lacks(&draft.author),
            Err(_) if is_quiet(&self.log) => return Found::Silent,
            Err(_) => return Found::Unreadable(taken_off(&draft.author)),
        }
        match (&self.log, draft.kind) {
            (LogName::Public(server), Kind::Post | Kind::Erase) if draft.author.server() != server => {
                Found::Unreadable("its author is not one of that server's users".into())
            }
            (LogName::Public(_), Kind::Post) => match cbor::decode::<Content>(&draft.body, limits::DRAFT) {
                Ok(content) => Found::Text(draft.body.to_vec(), content.text),
                Err(error) => Found::Unreadable(error.to_string()),
            },
            (LogName::Public(_) | LogName::Room(_), Kind::Erase) => match self.erases_as(draft, &author) {
                Some(erased) => Found::Erases(erased),
                None => Found::Unreadable("it would erase what it may not".into()),
            },
            (LogName::Inbox(_), Kind::Notice) => self.pointer(draft).map_or(Found::Silent, Found::Pointer),
            (LogName::Inbox(_), Kind::Invitation) => self.invitation(draft, author),
            // What this device has handed on itself is here.
            (LogName::History(_), Kind::Segment) if draft.author == self.me && draft.device != self.device => {
                Found::Opens(Some(Closed::Segment { mine: author }))
            }
            (LogName::Inbox(_) | LogName::History(_), _) => Found::Silent,
            (LogName::Room(_), Kind::Sealed) => self.sealed(people, seq, author),
            (LogName::Room(_), Kind::Commit) => self.commit(people, seq, draft, &author),
            (LogName::Room(_), kind) if kind.is_membership() => self.membership(people, seq, draft, &author),
            (_, Kind::Later(_)) => Found::Unreadable("it was written by a newer version of this program".into()),
            (_, kind) => Found::Unreadable(format!("a {kind:?} has no place here")),
        }
    }

    fn membership(&mut self, people: &People, seq: u64, draft: &Encoded<Draft>, author: &KeyState) -> Found {
        let Some(members) = self.members() else { return self.wrong_beginning() };
        match members.apply(seq, draft, author, |user| people.state(user)) {
            Ok(members) => self.become_of(members),
            Err(error) => {
                let why = format!("{} has tried to change the group: {error}", draft.author);
                // The hub may have known keys that are not here yet, by which it was right.
                match error.rests_on() {
                    Some(user) => Found::Lacks(user.clone(), why),
                    None => Found::Unreadable(why),
                }
            }
        }
    }

    /// The next keys of a room on MLS.
    fn commit(&mut self, people: &People, seq: u64, draft: &Encoded<Draft>, author: &KeyState) -> Found {
        let found = self.membership(people, seq, draft, author);
        let (Found::Event, Ok(commit)) = (&found, cbor::decode::<Commit>(&draft.body, limits::DRAFT)) else { return found };
        let room = self.room.as_ref().map(|room| room.genesis.room());
        let (Some(room), Some(tree)) = (room, self.members().and_then(Members::tree)) else { return self.wrong_beginning() };
        let made = Made { commit: commit.commit, group_info: commit.group_info, welcome: commit.welcome };
        Found::Opens(Some(Closed::Commit(Box::new(StandingCommit { room, made, tree: tree.clone() }))))
    }

    fn sealed(&mut self, people: &People, seq: u64, author: Arc<KeyState>) -> Found {
        let Some(room) = &self.room else { return self.wrong_beginning() };
        let Some(members) = room.members.clone() else { return self.wrong_beginning() };
        if !self.is_mine(seq) {
            // It could not be opened, and is nothing of this user's.
            return Found::Silent;
        }
        if members.tree().is_some_and(|tree| tree.leaves().iter().all(|leaf| leaf.device != self.device)) {
            return Found::Missed;
        }
        let keys = self
            .keys
            .get_or_insert_with(|| Arc::new(members.members().filter_map(|(user, _)| Some((user.clone(), people.state(user)?))).collect()));
        Found::Opens(Some(Closed::Message { author, genesis: room.genesis.clone(), members, keys: keys.clone() }))
    }

    /// Where a notice points to, if its author may point there.
    fn pointer(&self, draft: &Encoded<Draft>) -> Option<Genesis> {
        let room: RoomRef = cbor::decode(&draft.body, limits::DRAFT).ok()?;
        let direct = room.genesis.as_direct()?;
        (direct.has(&self.me) && direct.has(&draft.author)).then_some(room.genesis)
    }

    fn invitation(&self, draft: &Encoded<Draft>, author: Arc<KeyState>) -> Found {
        match cbor::decode::<Invitation>(&draft.body, limits::DRAFT) {
            Ok(invitation) if invitation.room.genesis.as_group().is_some() => Found::Opens(Some(Closed::Invitation { author, invitation })),
            _ => Found::Silent,
        }
    }

    fn erases_as(&self, draft: &Draft, author: &KeyState) -> Option<Erased> {
        if let Some(members) = self.members() {
            members.may_write(draft, author).ok()?;
        }
        self.erases(draft)
    }

    /// What an erasure erases.
    pub fn erases(&self, draft: &Draft) -> Option<Erased> {
        let erase: Erase = (draft.kind == Kind::Erase).then(|| cbor::decode(&draft.body, limits::DRAFT).ok())??;
        let is_group = self.room.as_ref().is_some_and(|room| room.genesis.as_group().is_some());
        let role = self.members().and_then(|members| members.person(&draft.author)).map(|person| person.role);
        let anybodys = is_group && role.is_some_and(|role| role != Role::Member);
        Some(Erased { seq: erase.seq, draft: erase.draft, by: draft.author.clone(), anybodys })
    }

    /// Whom an invitation asks into which group.
    pub fn invites(&self, draft: &Draft) -> Option<(Genesis, UserName)> {
        let Event { kind, body } = Event::of(draft)?;
        let invite: Invite = (kind == Kind::Invite).then(|| cbor::decode(&body, limits::DRAFT).ok())??;
        Some((self.room.as_ref()?.genesis.clone(), invite.user))
    }
}

/// What people are shown of a membership entry.
pub(super) struct Event {
    pub kind: Kind,
    pub body: Bytes,
}

impl Event {
    /// Of a commit what it changes, if it changes anything but keys.
    pub fn of(draft: &Draft) -> Option<Event> {
        if draft.kind != Kind::Commit {
            return Some(Event { kind: draft.kind, body: draft.body.clone() });
        }
        let commit: Commit = cbor::decode(&draft.body, limits::DRAFT).ok()?;
        commit.change.map(|change| Event { kind: change.kind, body: change.body })
    }
}

/// Whether nothing of a log is shown by itself: nobody may put what is not theirs onto this screen by way of it.
pub(super) fn is_quiet(log: &LogName) -> bool {
    matches!(log, LogName::Inbox(_) | LogName::History(_))
}

/// What is said of a message whose author has seen another chain than this device.
pub(super) const ANOTHER_STORY: &str = "its author has seen another story of this conversation than its server tells here";

/// What is said of a place of which only a stub is left: who has erased it is told by another entry, if anybody has.
const GONE: &str = "nothing is left of it: it was erased, or could not be verified on its way here";

/// What is said of a message from a device that was removed.
pub(super) fn taken_off(author: &UserName) -> String {
    format!("it was written on a device that {author} had taken off the list by then")
}

/// It needs keys of somebody's that are not here.
pub(super) fn lacks(user: &UserName) -> Found {
    Found::Lacks(user.clone(), format!("the keys of {user} that it needs are not known"))
}
