//! What is written here becomes rows: one transaction for what is on screen and what must be sent for it.

use crate::ClientError;
use crate::crypto::Crypto;
use crate::platform::now;
use crate::store::{Store, Written};
use crate::view::Target;
use rand_core::{OsRng, RngCore};
use tidings_proto::frame::RoomRef;
use tidings_proto::{Content, Genesis, Kind, LogName, Nonce, SuiteName, UserName, cbor};

/// A place in which something is sealed at rest, above those of entries.
fn own_place() -> u64 {
    OsRng.next_u64() | 1 << 63
}

/// Content, sealed under the history key, and the place in which it is.
pub(crate) fn at_rest(crypto: &Crypto, log: &LogName, content: &Content) -> (Vec<u8>, u64) {
    let tag = own_place();
    (crypto.at_rest(log, tag, content), tag)
}

/// The suite of new private conversations, unless another is asked for.
pub(crate) const SUITE: SuiteName = SuiteName::Mls1;

/// The log by whose name what is kept here of a conversation is sealed.
pub(crate) fn log_of(crypto: &Crypto, target: &Target) -> LogName {
    match target {
        Target::Public => LogName::Public(crypto.me.server().clone()),
        // As it was before there were two: what is kept so is not to be found under another name.
        Target::Direct { user } => direct(crypto, user, SuiteName::RsaJwe1).log(),
        Target::Group { id } => LogName::Room(*id),
    }
}

fn direct(crypto: &Crypto, user: &UserName, suite: SuiteName) -> Genesis {
    Genesis::direct(suite, &crypto.me, user)
}

/// The room of two people in which is written: that on MLS once there is one, and never the other again; else the one in which they have
/// talked, unless another suite is asked for. A room in which nothing was said may be one that a server has made up, to have RSA.
fn room_of_two(store: &Store, crypto: &Crypto, user: &UserName, suite: Option<SuiteName>) -> Result<Genesis, ClientError> {
    let [mls, rsa] = [SuiteName::Mls1, SuiteName::RsaJwe1].map(|suite| direct(crypto, user, suite));
    match suite {
        Some(SuiteName::RsaJwe1) if store.has_room(&mls.log())? => {
            Err(ClientError::Usage(format!("the conversation with {user} is on mls-1 already, and does not go back to rsa-jwe-1")))
        }
        None if store.has_words(&rsa.log())? && !store.has_room(&mls.log())? => Ok(rsa),
        suite => Ok(direct(crypto, user, suite.unwrap_or(SUITE))),
    }
}

/// A message in any conversation; under this name only once. Returns its row.
pub(crate) fn message(
    store: &Store,
    crypto: &Crypto,
    suite: Option<SuiteName>,
    (target, content): (&Target, &Content),
    once: Option<&str>,
) -> Result<i64, ClientError> {
    let other = match target {
        Target::Direct { user } => Some((room_of_two(store, crypto, user, suite)?, user)),
        Target::Public | Target::Group { .. } => None,
    };
    let log = other.as_ref().map_or_else(|| log_of(crypto, target), |(genesis, _)| genesis.log());
    let (me, at) = (&crypto.me, now());
    if let Target::Public = target {
        let content = cbor::encode(content);
        return store.written(&Written {
            target,
            log: &log,
            kind: Kind::Post,
            author: me,
            at,
            content: &content,
            tag: None,
            room: None,
            once,
        });
    }
    let (content, tag) = at_rest(crypto, &log, content);
    let inbox = other.as_ref().map(|(_, user)| LogName::Inbox((*user).clone()));
    let room = other.as_ref().map(|(genesis, user)| {
        let notice = cbor::encode(&RoomRef { hub: genesis.hub().clone(), genesis: genesis.clone() });
        (genesis, inbox.as_ref().filter(|_| *user != me).map(|inbox| (inbox, notice.into())))
    });
    store.written(&Written { target, log: &log, kind: Kind::Sealed, author: me, at, content: &content, tag: Some(tag), room, once })
}

/// A group, and what it is called; under this name only once. Returns the group and the row of its beginning.
pub(crate) fn group(
    store: &Store,
    crypto: &Crypto,
    suite: Option<SuiteName>,
    title: &Content,
    once: Option<&str>,
) -> Result<(Target, i64), ClientError> {
    let mut nonce = Nonce([0; 32]);
    OsRng.fill_bytes(&mut nonce.0);
    group_with((suite.unwrap_or(SUITE), nonce), store, crypto, title, once)
}

/// A group whose name is made of this.
pub(crate) fn group_with(
    (suite, nonce): (SuiteName, Nonce),
    store: &Store,
    crypto: &Crypto,
    title: &Content,
    once: Option<&str>,
) -> Result<(Target, i64), ClientError> {
    let genesis = Genesis::group(suite, &crypto.me, nonce);
    let (target, log, me, at) = (Target::Group { id: genesis.room() }, genesis.log(), &crypto.me, now());
    let body = genesis.encode();
    let room = Some((&genesis, None));
    let begun = Written { target: &target, log: &log, kind: Kind::Genesis, author: me, at, content: &body, tag: None, room, once };
    let ((kept, kept_tag), (said, said_tag)) = (at_rest(crypto, &log, title), at_rest(crypto, &log, title));
    let (kind, tag) = (Kind::Sealed, Some(said_tag));
    let titled = Written { target: &target, log: &log, kind, author: me, at, content: &said, tag, room: None, once: None };
    let row = store.group_written(&begun, (&kept, kept_tag), &titled)?;
    // Another one, where it was asked for before.
    let target = store.conversation_of(row)?.unwrap_or(target);
    Ok((target, row))
}

/// Something that is done to a log and signed in the open: which kind, and its body.
pub(crate) struct Open {
    pub kind: Kind,
    pub body: Vec<u8>,
    /// A name under which it is done once.
    pub once: Option<String>,
}

impl Open {
    /// Writes it. Returns its row.
    pub fn write(&self, store: &Store, me: &UserName, target: &Target, log: &LogName) -> Result<i64, ClientError> {
        let (kind, content, once) = (self.kind, &*self.body, self.once.as_deref());
        store.written(&Written { target, log, kind, author: me, at: now(), content, tag: None, room: None, once })
    }
}
