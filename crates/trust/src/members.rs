//! Who is in a room, and who may change that: one state machine for the hub that accepts, the replica that repeats and the
//! client that believes neither.
//!
//! Pure: membership entries in, in their order; out come members, roles, the room's epoch, and what each may read.

mod tree;

use crate::keys::KeyState;
use crate::mls::TreeError;
use crate::rsa::Fingerprint;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use tidings_proto::membership::{BODY_LIMIT, Invite, Join, Leave, Remove, SetRole};
use tidings_proto::{Direct, Draft, Encoded, Genesis, Group, Hash, Kind, Role, ServerName, SuiteName, UserName, cbor, limits};
use tree::Mls;

/// The people of a room, after some entry of its log; and of a room on MLS its keys.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Members {
    /// How many membership entries there were; always 0 in a direct room. Rooms on MLS: the MLS epoch, 0 before their keys have begun.
    #[n(0)]
    epoch: u64,
    /// The draft of the last of them, or of the genesis: what the next one must name. Zero in a direct room.
    #[n(1)]
    last: Hash,
    #[n(2)]
    people: BTreeMap<UserName, Person>,
    /// How many there may be, those who are asked in among them.
    #[n(3)]
    most: u64,
    /// Rooms on MLS: their keys.
    #[n(4)]
    mls: Option<Box<Mls>>,
}

/// One person's part in a room.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Person {
    /// The identity that was asked in; none in a direct room, where the name alone counts.
    #[n(0)]
    pub identity: Option<Fingerprint>,
    /// What this person may do.
    #[n(1)]
    pub role: Role,
    /// In, asked in, or gone.
    #[n(2)]
    pub standing: Standing,
    /// From when to when this person was in.
    #[n(3)]
    pub stays: Vec<Stay>,
}

/// Whether somebody is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Standing {
    /// Asked in; not sealed to yet.
    #[n(0)]
    Invited,
    /// In.
    #[n(1)]
    In,
    /// Has been in.
    #[n(2)]
    Gone,
}

/// A time somebody was in, by the log's sequence numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Stay {
    /// The entry by which it began.
    #[n(0)]
    pub from: u64,
    /// The entry by which it ended.
    #[n(1)]
    pub until: Option<u64>,
}

/// What somebody, or a server for its people, may read of a room. Sealed entries outside of the stays are shown as stubs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reads {
    /// Where sealed entries are whole.
    pub stays: Vec<Stay>,
    /// The last entry there is for this reader; none while it goes on.
    pub until: Option<u64>,
}

/// Why a membership entry is not valid. Always its author's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// Not readable.
    #[error("the membership entry cannot be read")]
    Malformed,
    /// Not the genesis that the room is named after.
    #[error("this is not how the room begins")]
    WrongGenesis,
    /// Made for another epoch, or after another entry.
    #[error("somebody else has changed the members first")]
    Stale,
    /// Not a member.
    #[error("only a room's members may do this")]
    NotAMember,
    /// The role does not allow it.
    #[error("{0}")]
    MayNot(&'static str),
    /// Is in, or asked in, already.
    #[error("{0} is in this group, or asked in, already")]
    AlreadyIn(UserName),
    /// May be removed by whoever has a higher role; by others, once the account is closed or not the same person's any more.
    #[error("owners may remove everybody, admins may remove members, and others may not remove {0}")]
    StillThere(UserName),
    /// Is not there.
    #[error("{0} is not in this group")]
    NotIn(UserName),
    /// Full.
    #[error("a group on this suite has at most {0} people, those who are asked in among them")]
    Full(u64),
    /// Asked in was another identity.
    #[error("the invitation was for another key of {0}")]
    WrongIdentity(UserName),
    /// Rests on a key history that is not known yet.
    #[error("the keys of {0} have not arrived here yet")]
    NotYet(UserName),
    /// Rooms on MLS: the keys that come with it do not hold.
    #[error("{0}")]
    Keys(#[from] TreeError),
    /// Rooms on MLS: a device in them is not one of that person's, or that person is not in.
    #[error("a device among the group's keys is not one of {0}'s, or {0} is not in it")]
    Stranger(UserName),
    /// Rooms on MLS: more devices than there may be, in all or at once.
    #[error("{0}")]
    TooMany(&'static str),
}

impl MembersError {
    /// Whose newer keys, and whose only, could change this verdict of a judge who knows older ones: nobody's refuses for good.
    pub fn rests_on(&self) -> Option<&UserName> {
        match self {
            MembersError::NotYet(user) | MembersError::AlreadyIn(user) | MembersError::StillThere(user) => Some(user),
            _ => None,
        }
    }
}

impl Stay {
    fn covers(&self, seq: u64) -> bool {
        self.from <= seq && self.until.is_none_or(|until| seq <= until)
    }
}

impl Reads {
    /// Whether a sealed entry is whole for this reader.
    pub fn covers(&self, seq: u64) -> bool {
        self.stays.iter().any(|stay| stay.covers(seq))
    }
}

impl Members {
    /// As a server keeps it beside the room's log, which it could be made of again.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// What [`Members::to_bytes`] gave. Not for bytes from elsewhere.
    pub fn from_bytes(bytes: &[u8]) -> Result<Members, MembersError> {
        minicbor::decode(bytes).map_err(|_| MembersError::Malformed)
    }

    /// The two people of a direct room. They never change.
    pub fn direct(direct: &Direct) -> Members {
        let person = Person { identity: None, role: Role::Member, standing: Standing::In, stays: vec![Stay { from: 1, until: None }] };
        let people = direct.people.iter().map(|user| (user.clone(), person.clone())).collect();
        let mls = Mls::of(direct.suite, || Genesis::Direct(direct.clone()).room()).map(Box::new);
        Members { epoch: 0, last: Hash::ZERO, people, most: 2, mls }
    }

    /// A group as its first entry begins it. The draft's signature is checked by the caller.
    pub fn begin(group: &Group, draft: &Encoded<Draft>, creator: &KeyState) -> Result<Members, MembersError> {
        let is_its = draft.kind == Kind::Genesis && draft.author == group.creator && draft.epoch.is_none();
        if !is_its || draft.body != Genesis::Group(group.clone()).encode() {
            return Err(MembersError::WrongGenesis);
        }
        let owner = Person {
            identity: Some(identity_of(draft, creator)?),
            role: Role::Owner,
            standing: Standing::In,
            stays: vec![Stay { from: 1, until: None }],
        };
        let most = match group.suite {
            SuiteName::RsaJwe1 => limits::RSA_MEMBERS,
            SuiteName::Mls1 => limits::MLS_DEVICES,
        };
        let mls = Mls::of(group.suite, || Genesis::Group(group.clone()).room()).map(Box::new);
        Ok(Members { epoch: 0, last: draft.hash(), people: BTreeMap::from([(group.creator.clone(), owner)]), most: most as u64, mls })
    }

    /// The members after `draft`, entry `seq`, a membership entry whose signature the caller has checked. `author` is the key
    /// history of its author; `keys` gives those of others, as far as they are known.
    pub fn apply(
        &self,
        seq: u64,
        draft: &Encoded<Draft>,
        author: &KeyState,
        keys: impl Fn(&UserName) -> Option<std::sync::Arc<KeyState>>,
    ) -> Result<Members, MembersError> {
        match (&self.mls, draft.kind) {
            (Some(mls), Kind::Commit) => return self.commit(mls, seq, draft, author, &keys),
            (Some(_), Kind::Leave) | (None, _) => {}
            (Some(_), _) => return Err(MembersError::MayNot("here the members change together with the keys, by one commit")),
        }
        let change = Change::read(draft.kind, &draft.body)?;
        if self.is_direct() {
            return Err(MembersError::MayNot("nobody comes into a conversation of two, and nobody leaves it"));
        }
        if draft.epoch != Some(self.epoch) || change.prev() != self.last {
            return Err(MembersError::Stale);
        }
        let mut next = self.clone();
        // The keys of a room on MLS stay those of its epoch until somebody who is in has made others.
        next.epoch += u64::from(self.mls.is_none());
        next.last = draft.hash();
        next.change(self, change, draft, author, &keys, seq)?;
        next.settle_line();
        Ok(next)
    }

    /// What a change does to the members that `before` has.
    fn change(
        &mut self,
        before: &Members,
        change: Change,
        draft: &Encoded<Draft>,
        author: &KeyState,
        keys: &impl Fn(&UserName) -> Option<std::sync::Arc<KeyState>>,
        seq: u64,
    ) -> Result<(), MembersError> {
        match change {
            Change::Invite(invite) => self.invite(before.acting(draft, author)?, invite, keys, seq)?,
            Change::Join(_) => self.join(draft, author, seq)?,
            Change::Leave(_) => self.leave(draft, seq)?,
            Change::Remove(remove) => self.remove(before.acting(draft, author)?, &remove, keys, seq)?,
            Change::SetRole(set) => self.set_role(before.acting(draft, author)?, &set)?,
        }
        self.settle_owner();
        Ok(())
    }

    fn is_direct(&self) -> bool {
        self.last == Hash::ZERO
    }

    /// The role of a draft's author, who is in, and still the person who came in.
    fn acting(&self, draft: &Draft, author: &KeyState) -> Result<Role, MembersError> {
        let person = self.people.get(&draft.author).filter(|person| person.standing == Standing::In).ok_or(MembersError::NotAMember)?;
        if self.is_person(&draft.author, draft, author)? { Ok(person.role) } else { Err(MembersError::NotAMember) }
    }

    /// Whether the author of `draft` is the person whom this room knows by the name.
    fn is_person(&self, user: &UserName, draft: &Draft, author: &KeyState) -> Result<bool, MembersError> {
        let keys = author.keys_of(draft.list).ok_or_else(|| MembersError::NotYet(user.clone()))?;
        let known = self.people.get(user).and_then(|person| person.identity);
        Ok(known.is_none_or(|identity| author.is_person(keys, &identity)))
    }

    /// Whether the author of a sealed message or an erasure is in, and still the person who came in.
    pub fn may_write(&self, draft: &Draft, author: &KeyState) -> Result<(), MembersError> {
        self.acting(draft, author).map(|_| ())
    }

    /// Whether the author of `draft` may erase what `writer` has written.
    pub fn may_erase(&self, draft: &Draft, author: &KeyState, writer: &UserName) -> Result<(), MembersError> {
        let role = self.acting(draft, author)?;
        if draft.author == *writer || role != Role::Member {
            return Ok(());
        }
        Err(MembersError::MayNot("only who has written it, and a group's owners and admins, may erase a message"))
    }

    fn invite(
        &mut self,
        role: Role,
        invite: Invite,
        keys: &impl Fn(&UserName) -> Option<std::sync::Arc<KeyState>>,
        seq: u64,
    ) -> Result<(), MembersError> {
        if role == Role::Member {
            return Err(MembersError::MayNot("only a group's owners and admins may invite"));
        }
        if invite.role < role {
            return Err(MembersError::MayNot("nobody may give others a higher role than their own"));
        }
        let identity = Fingerprint(invite.identity);
        if let Some(person) = self.people.get_mut(&invite.user).filter(|person| person.standing != Standing::Gone) {
            // Somebody who began anew is another person of the same name, who may be asked in again.
            if person.identity == Some(identity) || !is_lost(person, &invite.user, keys)? {
                return Err(MembersError::AlreadyIn(invite.user));
            }
            person.end(seq);
        } else if self.count() >= self.most {
            return Err(MembersError::Full(self.most));
        }
        let stays = self.people.remove(&invite.user).map(|person| person.stays).unwrap_or_default();
        let person = Person { identity: Some(identity), role: invite.role, standing: Standing::Invited, stays };
        self.people.insert(invite.user, person);
        Ok(())
    }

    fn join(&mut self, draft: &Draft, author: &KeyState, seq: u64) -> Result<(), MembersError> {
        let is_invited = self.people.get(&draft.author).is_some_and(|person| person.standing == Standing::Invited);
        if !is_invited {
            return Err(MembersError::MayNot("nobody comes in without an invitation"));
        }
        if !self.is_person(&draft.author, draft, author)? {
            return Err(MembersError::WrongIdentity(draft.author.clone()));
        }
        if let Some(person) = self.people.get_mut(&draft.author) {
            person.standing = Standing::In;
            person.stays.push(Stay { from: seq, until: None });
        }
        Ok(())
    }

    /// Whoever has the name may take it out, also when the account began anew.
    fn leave(&mut self, draft: &Draft, seq: u64) -> Result<(), MembersError> {
        self.put_out(&draft.author, seq).map_err(|_| MembersError::NotAMember)
    }

    fn remove(
        &mut self,
        role: Role,
        Remove { user, lost_by, .. }: &Remove,
        keys: &impl Fn(&UserName) -> Option<std::sync::Arc<KeyState>>,
        seq: u64,
    ) -> Result<(), MembersError> {
        let person =
            self.people.get(user).filter(|person| person.standing != Standing::Gone).ok_or_else(|| MembersError::NotIn(user.clone()))?;
        let may = match (role, person.role) {
            (Role::Owner, _) | (Role::Admin, Role::Member) => true,
            (Role::Admin | Role::Member, _) => is_lost(person, user, keys)?,
        };
        if !may {
            // What the author has seen of that account may still be on its way here.
            let has_seen_it = lost_by.is_none_or(|version| keys(user).is_some_and(|state| state.version() >= version));
            return Err(if has_seen_it { MembersError::StillThere(user.clone()) } else { MembersError::NotYet(user.clone()) });
        }
        self.put_out(user, seq)
    }

    fn set_role(&mut self, role: Role, set: &SetRole) -> Result<(), MembersError> {
        if role != Role::Owner {
            return Err(MembersError::MayNot("only a group's owners may change roles"));
        }
        let person = self.people.get_mut(&set.user).filter(|person| person.standing != Standing::Gone);
        person.ok_or_else(|| MembersError::NotIn(set.user.clone()))?.role = set.role;
        Ok(())
    }

    /// Who has never been in leaves nothing behind; who has, may still read what was said then.
    fn put_out(&mut self, user: &UserName, seq: u64) -> Result<(), MembersError> {
        let person = self
            .people
            .get_mut(user)
            .filter(|person| person.standing != Standing::Gone)
            .ok_or_else(|| MembersError::NotIn(user.clone()))?;
        person.end(seq);
        if person.stays.is_empty() {
            self.people.remove(user);
        }
        Ok(())
    }

    /// A group that has members has an owner: the admin, or else the member, who has been in for longest.
    fn settle_owner(&mut self) {
        let is_in = |person: &&Person| person.standing == Standing::In;
        if self.people.values().filter(is_in).any(|person| person.role == Role::Owner) {
            return;
        }
        let longest = |(_, person): &(&UserName, &Person)| (person.role, person.stays.last().map(|stay| stay.from));
        let heir = self.people.iter().filter(|(_, person)| is_in(person)).min_by_key(longest).map(|(user, _)| user.clone());
        if let Some(person) = heir.and_then(|user| self.people.get_mut(&user)) {
            person.role = Role::Owner;
        }
    }

    /// How many membership entries there were.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What the next membership entry must name.
    pub fn last(&self) -> Hash {
        self.last
    }

    /// Everybody who is in or asked in, in order of name.
    pub fn people(&self) -> impl Iterator<Item = (&UserName, &Person)> {
        self.people.iter().filter(|(_, person)| person.standing != Standing::Gone)
    }

    /// Everybody who is in.
    pub fn members(&self) -> impl Iterator<Item = (&UserName, &Person)> {
        self.people.iter().filter(|(_, person)| person.standing == Standing::In)
    }

    /// Everybody who is in, asked in, or has been in.
    pub fn everybody(&self) -> impl Iterator<Item = &UserName> {
        self.people.keys()
    }

    /// Somebody's part, also of who has gone.
    pub fn person(&self, user: &UserName) -> Option<&Person> {
        self.people.get(user)
    }

    /// Whether somebody is in.
    pub fn has(&self, user: &UserName) -> bool {
        self.person(user).is_some_and(|person| person.standing == Standing::In)
    }

    fn count(&self) -> u64 {
        self.people().count() as u64
    }

    /// What `user` may read; none for whom nothing is.
    pub fn reads(&self, user: &UserName) -> Option<Reads> {
        self.person(user).map(Person::reads)
    }

    /// What `server` may read, for all its people.
    pub fn reads_of(&self, server: &ServerName) -> Option<Reads> {
        let theirs = self.people.iter().filter(|(user, _)| user.server() == server).map(|(_, person)| person.reads());
        theirs.reduce(|a, b| Reads { stays: [a.stays, b.stays].concat(), until: a.until.zip(b.until).map(|(a, b)| a.max(b)) })
    }

    /// Members whose account is closed, or was reset by somebody who need not be the person who came in.
    pub fn lost<'a>(&'a self, keys: impl Fn(&UserName) -> Option<std::sync::Arc<KeyState>> + 'a) -> impl Iterator<Item = &'a UserName> {
        self.people().filter(move |(user, person)| is_lost(person, user, &keys).unwrap_or(false)).map(|(user, _)| user)
    }
}

impl Person {
    fn end(&mut self, seq: u64) {
        self.standing = Standing::Gone;
        if let Some(stay) = self.stays.last_mut().filter(|stay| stay.until.is_none()) {
            stay.until = Some(seq);
        }
    }

    fn reads(&self) -> Reads {
        let until = match self.standing {
            Standing::Gone => self.stays.last().and_then(|stay| stay.until),
            Standing::Invited | Standing::In => None,
        };
        Reads { stays: self.stays.clone(), until }
    }
}

/// Whether the account of this name is not the person's any more.
fn is_lost(person: &Person, user: &UserName, keys: &impl Fn(&UserName) -> Option<std::sync::Arc<KeyState>>) -> Result<bool, MembersError> {
    let Some(identity) = &person.identity else { return Ok(false) };
    keys(user).map(|state| !state.is_still(identity)).ok_or_else(|| MembersError::NotYet(user.clone()))
}

fn identity_of(draft: &Draft, author: &KeyState) -> Result<Fingerprint, MembersError> {
    let keys = author.keys_of(draft.list).ok_or_else(|| MembersError::NotYet(draft.author.clone()))?;
    Ok(keys.identity.fingerprint())
}

/// A membership entry's body.
enum Change {
    Invite(Invite),
    Join(Join),
    Leave(Leave),
    Remove(Remove),
    SetRole(SetRole),
}

impl Change {
    fn read(kind: Kind, body: &[u8]) -> Result<Change, MembersError> {
        fn read<'b, T: Decode<'b, ()>>(body: &'b [u8]) -> Result<T, MembersError> {
            cbor::decode(body, BODY_LIMIT).map_err(|_| MembersError::Malformed)
        }
        match kind {
            Kind::Invite => read(body).map(Change::Invite),
            Kind::Join => read(body).map(Change::Join),
            Kind::Leave => read(body).map(Change::Leave),
            Kind::Remove => read(body).map(Change::Remove),
            Kind::SetRole => read(body).map(Change::SetRole),
            _ => Err(MembersError::Malformed),
        }
    }

    fn prev(&self) -> Hash {
        match self {
            Change::Invite(invite) => invite.prev,
            Change::Join(join) => join.prev,
            Change::Leave(leave) => leave.prev,
            Change::Remove(remove) => remove.prev,
            Change::SetRole(set) => set.prev,
        }
    }
}
