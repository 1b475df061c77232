//! What is written here becomes rows: one transaction for what is on screen and what must be sent for it.

use crate::ClientError;
use crate::crypto::Crypto;
use crate::platform::now;
use crate::store::{Store, Written};
use crate::view::Target;
use rand_core::{OsRng, RngCore};
use tidings_proto::frame::RoomRef;
use tidings_proto::{Content, Genesis, Kind, LogName, Nonce, RoomId, SuiteName, UserName, cbor};

/// A place in which something is sealed at rest, above those of entries.
fn own_place() -> u64 {
    OsRng.next_u64() | 1 << 63
}

/// A message in any conversation. Returns its row.
pub(crate) fn message(store: &Store, crypto: &Crypto, target: &Target, content: &Content) -> Result<i64, ClientError> {
    let (me, at) = (&crypto.me, now());
    if let Target::Public = target {
        let log = LogName::Public(me.server().clone());
        let content = cbor::encode(content);
        return store.written(Written { target, log: &log, kind: Kind::Post, author: me, at, content: &content, tag: None, room: None });
    }
    let direct = match target {
        Target::Direct { user } => Some((Genesis::direct(SuiteName::RsaJwe1, me, user), user)),
        _ => None,
    };
    let log = match (&direct, target) {
        (Some((genesis, _)), _) => genesis.log(),
        (None, Target::Group { id }) => LogName::Room(*id),
        (None, _) => LogName::Public(me.server().clone()),
    };
    let tag = own_place();
    let content = crypto.at_rest(&log, tag, content);
    let inbox = direct.as_ref().map(|(_, other)| LogName::Inbox((*other).clone()));
    let room = direct.as_ref().map(|(genesis, other)| {
        let notice = cbor::encode(&RoomRef { hub: genesis.hub().clone(), genesis: genesis.clone() });
        (genesis, inbox.as_ref().filter(|_| *other != me).map(|inbox| (inbox, notice.into())))
    });
    store.written(Written { target, log: &log, kind: Kind::Sealed, author: me, at, content: &content, tag: Some(tag), room })
}

/// A group, and what it is called. Returns the group and the row of its beginning.
pub(crate) fn group(store: &Store, crypto: &Crypto, title: &Content) -> Result<(RoomId, i64), ClientError> {
    let mut nonce = Nonce([0; 32]);
    OsRng.fill_bytes(&mut nonce.0);
    group_with(nonce, store, crypto, title)
}

/// A group whose name is made of this.
pub(crate) fn group_with(nonce: Nonce, store: &Store, crypto: &Crypto, title: &Content) -> Result<(RoomId, i64), ClientError> {
    let genesis = Genesis::group(SuiteName::RsaJwe1, &crypto.me, nonce);
    let (id, log) = (genesis.room(), genesis.log());
    let target = Target::Group { id };
    let body = genesis.encode();
    let row = store.written(Written {
        target: &target,
        log: &log,
        kind: Kind::Genesis,
        author: &crypto.me,
        at: now(),
        content: &body,
        tag: None,
        room: Some((&genesis, None)),
    })?;
    let tag = own_place();
    store.title(&log, &crypto.at_rest(&log, tag, title), tag)?;
    message(store, crypto, &target, title)?;
    Ok((id, row))
}

/// Something that is done to a log and signed in the open. Returns its row.
pub(crate) fn open(store: &Store, me: &UserName, target: &Target, log: &LogName, kind: Kind, body: &[u8]) -> Result<i64, ClientError> {
    store.written(Written { target, log, kind, author: me, at: now(), content: body, tag: None, room: None })
}
