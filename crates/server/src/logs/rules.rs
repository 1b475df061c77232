//! Who may append what where. What can be judged by a draft alone and by what is durable; order (n, epochs, key
//! histories) is the sequencer's.

use super::book::Book;
use super::directory::Directory;
use super::{NewAccount, Origin, Reader};
use crate::federation::Outgoing;
use bytes::Bytes;
use tidings_proto::frame::RoomRef;
use tidings_proto::{
    Code, Content, DecodeError, Direct, Draft, Encoded, Genesis, Kind, LogName, Refusal, ServerName, UserName, cbor, draft, limits,
};
use tidings_trust::drafts::{DraftError, check_listed, check_open};
use tidings_trust::{KeyState, KeysError};

/// The epoch of every message in a room whose suite has none.
const ONLY_EPOCH: u64 = 0;

/// What the rules look at.
pub struct Rules<'a> {
    pub me: &'a ServerName,
    pub book: &'a Book,
    pub directory: &'a Directory,
}

/// A draft that may be appended, as far as it can be told alone.
pub struct Admitted {
    pub draft: Encoded<Draft>,
    /// A room that is learnt with it.
    pub room: Option<RoomRef>,
}

impl Rules<'_> {
    /// A draft for a log that is ordered here.
    pub fn append(&self, origin: &Origin, log: &LogName, bytes: Bytes, genesis: Option<Genesis>) -> Result<Admitted, Refusal> {
        let draft = draft::read(bytes)?;
        if draft.n == 0 {
            return Err(Refusal::new(Code::Malformed, "a device's drafts are counted from 1"));
        }
        is_from(origin, &draft)?;
        if let Origin::Device { listed: false, .. } = origin
            && (*log != LogName::Keys(self.me.clone()) || draft.kind != Kind::List)
        {
            return Err(Code::Forbidden.into());
        }
        let by_peer = matches!(origin, Origin::Peer(_));
        let room = match log {
            LogName::Public(hub) | LogName::Keys(hub) if hub != self.me || by_peer => return Err(Code::Forbidden.into()),
            LogName::Public(_) => {
                self.post(log, &draft)?;
                None
            }
            LogName::Keys(_) => {
                // The sequencer checks it against the list before it.
                kind_is(&draft, Kind::List)?;
                None
            }
            LogName::Inbox(user) if user.server() == self.me && self.book.is_registered(user) => Some(self.notice(log, user, &draft)?),
            LogName::Inbox(_) => return Err(Code::NotFound.into()),
            LogName::Room(_) => self.sealed(log, self.me, &draft, genesis)?,
        };
        Ok(Admitted { draft, room })
    }

    /// The first device list of a new account.
    pub fn register(&self, account: &NewAccount, bytes: Bytes) -> Result<Encoded<Draft>, Refusal> {
        let draft = draft::read(bytes)?;
        if account.user.server() != self.me || draft.author != account.user || draft.device != account.device {
            return Err(Code::Forbidden.into());
        }
        if account.vault.len() > limits::VAULT {
            return Err(Refusal::new(Code::TooLarge, format!("a vault is at most {} bytes long", limits::VAULT)));
        }
        kind_is(&draft, Kind::First)?;
        if draft.n != 1 {
            return Err(Refusal::new(Code::Malformed, "an account's first draft has n = 1"));
        }
        Ok(draft)
    }

    /// A draft for a log that `peer` orders.
    pub fn outgoing(&self, peer: &ServerName, outgoing: &Outgoing) -> Result<Admitted, Refusal> {
        let draft = draft::read(outgoing.draft.clone())?;
        if draft.author != outgoing.user || draft.device != outgoing.device || draft.author.server() != self.me || draft.n == 0 {
            return Err(Code::Forbidden.into());
        }
        let room = match &outgoing.log {
            LogName::Inbox(user) if user.server() == peer => {
                self.notice(&outgoing.log, user, &draft)?;
                None
            }
            LogName::Room(_) => self.sealed(&outgoing.log, peer, &draft, outgoing.genesis.clone())?,
            _ => return Err(Code::Forbidden.into()),
        };
        Ok(Admitted { draft, room })
    }

    /// Whether `reader` may read `log`.
    pub fn may_read(&self, reader: &Reader, log: &LogName) -> bool {
        let room = || self.book.find(log).and_then(|row| row.room);
        match (reader, log) {
            (Reader::User(_), LogName::Public(_) | LogName::Keys(_)) => true,
            (Reader::User(user), LogName::Inbox(owner)) => user == owner,
            (Reader::User(user), LogName::Room(_)) => {
                room().is_some_and(|room| room.genesis.as_direct().is_some_and(|direct| direct.has(user)))
            }
            (Reader::Peer(_), LogName::Public(hub) | LogName::Keys(hub)) => hub == self.me,
            (Reader::Peer(_), LogName::Inbox(_)) => false,
            (Reader::Peer(peer), LogName::Room(_)) => room().is_some_and(|room| {
                room.hub == *self.me
                    && room.genesis.as_direct().iter().flat_map(|direct| &direct.people).any(|person| person.server() == peer)
            }),
        }
    }

    fn post(&self, log: &LogName, draft: &Encoded<Draft>) -> Result<(), Refusal> {
        kind_is(draft, Kind::Post)?;
        content(draft)?;
        check_open(log, draft, &*self.author(draft)?).map_err(not_believed)
    }

    /// A pointer to the direct room of its author and the inbox's owner.
    fn notice(&self, log: &LogName, owner: &UserName, draft: &Encoded<Draft>) -> Result<RoomRef, Refusal> {
        kind_is(draft, Kind::Notice)?;
        let room: RoomRef = cbor::decode(&draft.body, limits::DRAFT)?;
        let is_theirs = |direct: &Direct| direct.has(owner) && direct.other(owner) == &draft.author;
        if !room.genesis.as_direct().is_some_and(is_theirs) || &room.hub != room.genesis.hub() {
            return Err(Refusal::new(Code::Forbidden, "a notice points to the direct room of its author and the inbox's owner"));
        }
        check_open(log, draft, &*self.author(draft)?).map_err(not_believed)?;
        Ok(room)
    }

    /// A message to a room that `hub` orders. Whether its author is a member of a room that is known already is told by the
    /// sequencer, which knows of rooms that are about to be.
    fn sealed(
        &self,
        log: &LogName,
        hub: &ServerName,
        draft: &Encoded<Draft>,
        genesis: Option<Genesis>,
    ) -> Result<Option<RoomRef>, Refusal> {
        if draft.kind != Kind::Sealed {
            return Err(Refusal::new(Code::Forbidden, "a room takes sealed messages only"));
        }
        match draft.epoch {
            Some(ONLY_EPOCH) => {}
            Some(_) => return Err(Code::Stale.into()),
            None => return Err(Refusal::new(Code::Malformed, "a sealed message names its room's epoch")),
        }
        let room = match genesis {
            Some(genesis) if genesis.log() != *log || genesis.hub() != hub => {
                return Err(Refusal::new(Code::Forbidden, "the genesis is of another room, or of another server's"));
            }
            Some(genesis) => {
                // Own users' names are known to be somebody's; a peer answers for its own.
                let nobody = |person: &&UserName| person.server() == self.me && !self.book.is_registered(person);
                if genesis.as_direct().iter().flat_map(|direct| &direct.people).any(|person| nobody(&person)) {
                    return Err(Code::NotFound.into());
                }
                Some(RoomRef { hub: hub.clone(), genesis })
            }
            None => None,
        };
        check_listed(draft, &*self.author(draft)?).map_err(not_believed)?;
        Ok(room)
    }

    fn author(&self, draft: &Draft) -> Result<std::sync::Arc<KeyState>, Refusal> {
        match self.directory.state(&draft.author) {
            Some(state) => Ok(state),
            None if draft.author.server() == self.me => Err(Code::Revoked.into()),
            None => Err(Refusal::from(Code::NotYet).retry_after(1)),
        }
    }
}

/// Whether a draft comes from whom it says.
fn is_from(origin: &Origin, draft: &Draft) -> Result<(), Refusal> {
    let fits = match origin {
        Origin::Device { user, device, .. } => draft.author == *user && draft.device == *device,
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
