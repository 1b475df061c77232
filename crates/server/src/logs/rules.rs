//! Who may append what where. What can be judged by a draft alone and by what is durable; order (n, epochs, key
//! histories, who is in a group) is the sequencer's.

use super::view::View;
use super::{Admission, NewAccount, Origin, Secrets};
use crate::federation::Outgoing;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;
use tidings_proto::draft::Erase;
use tidings_proto::frame::{RoomRef, SealedVault};
use tidings_proto::membership::{self, Commit, Invitation, Invite, Remove};
use tidings_proto::{
    Code, Content, DecodeError, Direct, Draft, Encoded, Genesis, Hash, Kind, LogName, Refusal, UserName, cbor, draft, limits,
};
use tidings_trust::device_list::{DeviceList, LIST_LIMIT, SIGNED_LIMIT, SignedList, VaultRef};
use tidings_trust::drafts::{DraftError, check_listed, check_open};
use tidings_trust::members::MembersError;
use tidings_trust::{KeyState, KeysError};

/// A draft that may be appended, as far as it can be told alone.
pub struct Admitted {
    pub draft: Encoded<Draft>,
    /// A room that is learnt with it.
    pub room: Option<RoomRef>,
    /// `keys@`: what it makes of its author's history.
    pub keyed: Option<Keyed>,
}

/// What a draft makes of a key history: all of its signatures are checked where it came in, many at once.
pub struct Keyed {
    /// The history that it was held against.
    pub before: Option<Arc<KeyState>>,
    /// The history with it; only its place is not known yet.
    pub after: Result<KeyState, KeysError>,
}

impl View {
    /// A draft for a log that is ordered here.
    pub fn admit(&self, origin: &Origin, log: &LogName, bytes: Bytes, genesis: Option<Genesis>) -> Result<Admitted, Refusal> {
        let draft = numbered(bytes)?;
        is_from(origin, &draft)?;
        // Before anything that costs more than looking at it.
        if let Origin::Peer(peer) = origin {
            self.limiter.relays(peer, &draft.author, &draft.device, Instant::now())?;
        }
        let own_keys = *log == LogName::Keys(self.me.clone());
        if matches!(origin, Origin::Guest { .. }) && !(own_keys && draft.kind == Kind::List) {
            return Err(Code::Forbidden.into());
        }
        let by_peer = matches!(origin, Origin::Peer(_));
        let room = match log {
            LogName::Public(hub) | LogName::Keys(hub) if *hub != self.me || by_peer => return Err(Code::Forbidden.into()),
            LogName::Public(_) => {
                self.post(log, &draft)?;
                None
            }
            LogName::Keys(_) => {
                if draft.kind == Kind::Rotate {
                    return Err(Code::PasswordNeeded.into());
                }
                kind_is(&draft, Kind::List)?;
                None
            }
            LogName::Inbox(user) if user.server() == &self.me => {
                self.is_somebody(user)?;
                self.pointer(log, user, &draft)?
            }
            LogName::History(user) if *user == draft.author && !by_peer => {
                kind_is(&draft, Kind::Segment)?;
                check_open(log, &draft, &*self.author(&draft)?).map_err(not_believed)?;
                None
            }
            LogName::History(_) => return Err(Code::Forbidden.into()),
            LogName::Inbox(_) => return Err(Code::NotFound.into()),
            LogName::Room(_) => self.in_room(log, &draft, genesis)?,
        };
        let keyed = own_keys.then(|| self.keyed(&draft));
        Ok(Admitted { draft, room, keyed })
    }

    /// The device list of a new account, or of one that begins anew.
    pub fn register(&self, account: &NewAccount, bytes: Bytes) -> Result<Admitted, Refusal> {
        let draft = numbered(bytes)?;
        if account.user.server() != &self.me || draft.author != account.user || draft.device != account.device {
            return Err(Code::Forbidden.into());
        }
        [&account.vault.keys, &account.vault.book].into_iter().try_for_each(fits_a_vault)?;
        if let Admission::Reset(_) = account.admission {
            kind_is(&draft, Kind::Reset)?;
        } else {
            kind_is(&draft, Kind::First)?;
            if draft.n != 1 {
                return Err(Refusal::new(Code::Malformed, "an account's first draft has n = 1"));
            }
            if account.vault.version != 1 {
                return Err(Refusal::new(Code::Malformed, "an account's first vault has version 1"));
            }
        }
        let keyed = Some(self.keyed(&draft));
        Ok(Admitted { draft, room: None, keyed })
    }

    /// A device list that comes with other secrets or another vault.
    pub fn rekey(&self, origin: &Origin, secrets: &Secrets, bytes: Bytes) -> Result<Admitted, Refusal> {
        let draft = numbered(bytes)?;
        is_from(origin, &draft)?;
        [&secrets.vault.keys, &secrets.vault.book].into_iter().try_for_each(fits_a_vault)?;
        kind_is(&draft, if draft.kind == Kind::Rotate { Kind::Rotate } else { Kind::List })?;
        let signed: SignedList = cbor::decode(&draft.body, SIGNED_LIMIT)?;
        let list: DeviceList = cbor::decode(&signed.list, LIST_LIMIT)?;
        if list.vault != reference(&secrets.vault) {
            return Err(Refusal::new(Code::Malformed, "the device list names another vault than the one it comes with"));
        }
        let keyed = Some(self.keyed(&draft));
        Ok(Admitted { draft, room: None, keyed })
    }

    /// A draft for a log that a peer orders.
    pub fn outgoing(&self, peer: &tidings_proto::ServerName, outgoing: &Outgoing) -> Result<Admitted, Refusal> {
        let draft = numbered(outgoing.draft.clone())?;
        if draft.author != outgoing.user || draft.device != outgoing.device || draft.author.server() != &self.me {
            return Err(Code::Forbidden.into());
        }
        let room = match &outgoing.log {
            LogName::Inbox(user) if user.server() == peer => {
                self.pointer(&outgoing.log, user, &draft)?;
                None
            }
            LogName::Room(_) => match &outgoing.genesis {
                Some(genesis) if genesis.hub() != peer => return Err(other_genesis()),
                genesis => self.in_room(&outgoing.log, &draft, genesis.clone())?,
            },
            _ => return Err(Code::Forbidden.into()),
        };
        Ok(Admitted { draft, room, keyed: None })
    }

    /// A post, or what takes one back.
    fn post(&self, log: &LogName, draft: &Encoded<Draft>) -> Result<(), Refusal> {
        if draft.kind == Kind::Erase {
            kind_is(draft, Kind::Erase)?;
            read_body::<Erase>(draft)?;
        } else {
            kind_is(draft, Kind::Post)?;
            content(draft)?;
        }
        check_open(log, draft, &*self.author(draft)?).map_err(not_believed)
    }

    /// Something for an inbox: a pointer to a direct room of its author and the owner, or to a group that the owner is asked
    /// into; or what takes one back. With the room.
    fn pointer(&self, log: &LogName, owner: &UserName, draft: &Encoded<Draft>) -> Result<Option<RoomRef>, Refusal> {
        let room = match draft.kind {
            Kind::Erase => {
                kind_is(draft, Kind::Erase)?;
                read_body::<Erase>(draft)?;
                None
            }
            Kind::Invitation => {
                kind_is(draft, Kind::Invitation)?;
                Some(self.invitation(draft)?)
            }
            _ => {
                kind_is(draft, Kind::Notice)?;
                let room: RoomRef = cbor::decode(&draft.body, limits::DRAFT)?;
                let is_theirs = |direct: &Direct| direct.has(owner) && direct.other(owner) == &draft.author;
                if !room.genesis.as_direct().is_some_and(is_theirs) || &room.hub != room.genesis.hub() {
                    return Err(Refusal::new(Code::Forbidden, "a notice points to the direct room of its author and the inbox's owner"));
                }
                Some(room)
            }
        };
        check_open(log, draft, &*self.author(draft)?).map_err(not_believed)?;
        Ok(room)
    }

    fn invitation(&self, draft: &Draft) -> Result<RoomRef, Refusal> {
        let invitation: Invitation = cbor::decode(&draft.body, limits::DRAFT)?;
        if invitation.sealed.len() > membership::SEALED_LIMIT {
            let size = invitation.sealed.len();
            return Err(DecodeError::TooLarge { size, limit: membership::SEALED_LIMIT }.into());
        }
        let room = invitation.room;
        if room.genesis.as_group().is_none() || &room.hub != room.genesis.hub() {
            return Err(Refusal::new(Code::Forbidden, "an invitation points to a group, at the server that orders it"));
        }
        self.takes_part(&room.hub)?;
        Ok(room)
    }

    /// A draft for a room. Whether its author is a member is told by the sequencer, which knows of rooms that are about to be.
    fn in_room(&self, log: &LogName, draft: &Encoded<Draft>, genesis: Option<Genesis>) -> Result<Option<RoomRef>, Refusal> {
        let author = self.author(draft)?;
        match draft.kind {
            Kind::Sealed => {
                if draft.epoch.is_none() {
                    return Err(Refusal::new(Code::Malformed, "a sealed message names its room's epoch"));
                }
                let room = genesis.map(|genesis| self.direct(log, genesis)).transpose()?;
                check_listed(draft, &author).map_err(not_believed)?;
                return Ok(room);
            }
            Kind::Genesis => {
                check_open(log, draft, &author).map_err(not_believed)?;
                let genesis = Genesis::read(&draft.body).ok().filter(|genesis| genesis.log() == *log && genesis.as_group().is_some());
                let genesis = genesis.ok_or_else(|| members_refused(MembersError::WrongGenesis))?;
                return Ok(Some(RoomRef { hub: genesis.hub().clone(), genesis }));
            }
            Kind::Invite | Kind::Remove => self.changes(draft.kind, &draft.body)?,
            Kind::Commit => {
                let commit: Commit = cbor::decode(&draft.body, limits::DRAFT)?;
                commit.change.map_or(Ok(()), |change| self.changes(change.kind, &change.body))?;
                check_open(log, draft, &author).map_err(not_believed)?;
                return genesis.map(|genesis| self.direct(log, genesis)).transpose();
            }
            Kind::Erase => {
                read_body::<Erase>(draft)?;
            }
            kind if kind.is_membership() => {}
            _ => return Err(Refusal::new(Code::Forbidden, "a room takes sealed messages, and what changes its members, only")),
        }
        check_open(log, draft, &author).map_err(not_believed)?;
        Ok(None)
    }

    /// Whether whom a change of a group is about can be reached from here, and is known.
    fn changes(&self, kind: Kind, body: &[u8]) -> Result<(), Refusal> {
        match kind {
            Kind::Invite => self.is_reachable(&cbor::decode::<Invite>(body, membership::BODY_LIMIT)?.user),
            Kind::Remove => self.has_seen_all(cbor::decode(body, membership::BODY_LIMIT)?),
            _ => Ok(()),
        }
    }

    /// The direct room that comes with its first message.
    fn direct(&self, log: &LogName, genesis: Genesis) -> Result<RoomRef, Refusal> {
        let Some(direct) = genesis.as_direct().filter(|_| genesis.log() == *log) else { return Err(other_genesis()) };
        direct.people.iter().try_for_each(|person| self.is_reachable(person))?;
        Ok(RoomRef { hub: genesis.hub().clone(), genesis })
    }

    /// Whether there may be somebody of this name. Own users are known; a peer answers for its own.
    fn is_reachable(&self, user: &UserName) -> Result<(), Refusal> {
        if user.server() == &self.me { self.is_somebody(user) } else { self.takes_part(user.server()) }
    }

    fn is_somebody(&self, user: &UserName) -> Result<(), Refusal> {
        if self.book.is_registered(user) {
            return Ok(());
        }
        let was = self.directory.state(user).is_some();
        Err(if was { Code::Closed } else { Code::NotFound }.into())
    }

    /// Nothing more is on its way here of an own user's keys: whoever says they have seen more has not.
    fn has_seen_all(&self, Remove { user, lost_by, .. }: Remove) -> Result<(), Refusal> {
        let seen = || self.directory.state(&user).map_or(0, |state| state.version());
        let is_made_up = user.server() == &self.me && lost_by.is_some_and(|version| version > seen());
        if is_made_up { Err(members_refused(MembersError::StillThere(user))) } else { Ok(()) }
    }

    fn takes_part(&self, server: &tidings_proto::ServerName) -> Result<(), Refusal> {
        if self.servers.has(server) {
            return Ok(());
        }
        Err(Refusal::new(Code::UnknownPeer, format!("{} does not know {server}", self.me)))
    }

    fn keyed(&self, draft: &Encoded<Draft>) -> Keyed {
        let before = self.directory.state(&draft.author);
        let seq = before.as_ref().map_or(1, |before| before.seq + 1);
        let log = LogName::Keys(self.me.clone());
        let after = KeyState::apply(before.as_deref(), &log, seq, draft, Some(&self.identity.key()));
        Keyed { before, after }
    }

    fn author(&self, draft: &Draft) -> Result<Arc<KeyState>, Refusal> {
        match self.directory.state(&draft.author) {
            Some(state) => Ok(state),
            None if draft.author.server() == &self.me => Err(Code::Revoked.into()),
            None => Err(Refusal::from(Code::NotYet).retry_after(1)),
        }
    }
}

fn numbered(bytes: Bytes) -> Result<Encoded<Draft>, Refusal> {
    let draft = draft::read(bytes)?;
    if draft.n == 0 {
        return Err(Refusal::new(Code::Malformed, "a device's drafts are counted from 1"));
    }
    Ok(draft)
}

/// Whether a draft comes from whom it says.
fn is_from(origin: &Origin, draft: &Draft) -> Result<(), Refusal> {
    let fits = match origin {
        Origin::Device { user, device } | Origin::Guest { user, device, .. } => draft.author == *user && draft.device == *device,
        Origin::Peer(peer) => draft.author.server() == peer,
    };
    if fits { Ok(()) } else { Err(Refusal::new(Code::Forbidden, "the draft has another author or device than its sender")) }
}

fn kind_is(draft: &Draft, kind: Kind) -> Result<(), Refusal> {
    if draft.kind != kind {
        return Err(Refusal::new(Code::Forbidden, "this log does not take drafts of this kind"));
    }
    if draft.epoch.is_some() {
        return Err(Refusal::new(Code::Malformed, "this log has no epochs"));
    }
    Ok(())
}

fn other_genesis() -> Refusal {
    Refusal::new(Code::Forbidden, "the genesis is of another room, or of another server's")
}

/// Whether an account may keep this part of a vault.
pub fn fits_a_vault(part: &Bytes) -> Result<(), Refusal> {
    if part.len() > limits::VAULT {
        return Err(Refusal::new(Code::TooLarge, format!("each part of a vault is at most {} bytes long", limits::VAULT)));
    }
    Ok(())
}

/// How a device list names this vault.
pub fn reference(vault: &SealedVault) -> VaultRef {
    VaultRef { version: vault.version, hash: Hash::of(&vault.keys) }
}

/// The body of an open draft whose kind says what it is.
pub fn read_body<T: for<'b> minicbor::Decode<'b, ()>>(draft: &Draft) -> Result<T, Refusal> {
    Ok(cbor::decode(&draft.body, membership::BODY_LIMIT)?)
}

/// The content of a public post.
pub fn content(draft: &Draft) -> Result<Content, Refusal> {
    let content: Content = cbor::decode(&draft.body, limits::DRAFT).map_err(|error| match error {
        // What is too long to be a message is said to be so, whatever else it may be.
        DecodeError::Shape(_) if draft.body.len() > limits::TEXT => DecodeError::TooLarge { size: draft.body.len(), limit: limits::TEXT },
        error => error,
    })?;
    if content.is_empty() { Err(Refusal::new(Code::Malformed, "a message has at least one character")) } else { Ok(content) }
}

/// What is said to the sender of a draft that is not believed.
pub fn not_believed(error: DraftError) -> Refusal {
    match error {
        DraftError::NotYet => Refusal::from(Code::NotYet).retry_after(1),
        DraftError::NotListed => Code::Revoked.into(),
        DraftError::BadSignature => Code::BadSignature.into(),
    }
}

/// What is said to the sender of a device list that does not follow.
pub fn keys_refused(error: KeysError) -> Refusal {
    let code = match error {
        KeysError::Malformed | KeysError::SameKey | KeysError::OldKey | KeysError::WrongDevices => Code::Malformed,
        KeysError::WrongVersion | KeysError::RolledBack => Code::Conflict,
        KeysError::BadSignature | KeysError::BadGrant => Code::BadSignature,
        KeysError::Closed => Code::Closed,
        KeysError::WrongUser | KeysError::WrongKind | KeysError::WrongIdentity | KeysError::NotListed => Code::Forbidden,
    };
    Refusal::new(code, error.to_string())
}

/// What is said to whoever may not do this in a room.
pub fn members_refused(error: MembersError) -> Refusal {
    let code = match error {
        MembersError::Malformed | MembersError::Keys(_) => Code::Malformed,
        MembersError::Stale => Code::Stale,
        MembersError::NotYet(_) => return Refusal::new(Code::NotYet, error.to_string()).retry_after(1),
        MembersError::Full(_) | MembersError::TooMany(_) => Code::Full,
        MembersError::AlreadyIn(_) | MembersError::NotIn(_) => Code::Conflict,
        MembersError::WrongGenesis
        | MembersError::NotAMember
        | MembersError::MayNot(_)
        | MembersError::StillThere(_)
        | MembersError::Stranger(_)
        | MembersError::WrongIdentity(_) => Code::Forbidden,
    };
    Refusal::new(code, error.to_string())
}
