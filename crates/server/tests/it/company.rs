//! A group and what its people write to it, counted and chained as their devices would.

use crate::support::{Home, Note, Person, sign};
use bytes::Bytes;
use std::collections::HashMap;
use tidings_proto::draft::Erase;
use tidings_proto::frame::RoomRef;
use tidings_proto::membership::{Invitation, Invite, Join, Leave, Remove, SetRole};
use tidings_proto::{DeviceKey, Draft, Encoded, Genesis, Hash, Kind, LogName, Nonce, Refusal, Role, SuiteName, UserName, cbor};
use tidings_server::logs::{Origin, Placed};

/// A group, as far as it has come.
#[derive(Clone)]
pub struct Group {
    pub genesis: Genesis,
    pub last: Hash,
    pub epoch: u64,
    counts: HashMap<(UserName, DeviceKey), u64>,
}

/// What somebody does in a group.
#[derive(Clone)]
pub enum Act<'a> {
    Begin,
    Invite(&'a UserName, Hash, Role),
    Join,
    Leave,
    Remove(&'a UserName),
    /// Of whom it is said that the account is not theirs any more by this version of its history.
    RemoveLost(&'a UserName, u64),
    Role(&'a UserName, Role),
    Say(&'a [u8]),
    Erase(u64, Hash),
}

impl Group {
    /// A group of `creator`'s that nobody has heard of; `which` makes it another one than others.
    pub fn new(creator: &Person, which: u8) -> Group {
        let genesis = Genesis::group(SuiteName::RsaJwe1, &creator.name, Nonce([which; 32]));
        Group { genesis, last: Hash::ZERO, epoch: 0, counts: HashMap::new() }
    }

    /// One that has begun, and to which these have come.
    pub async fn begun(home: &Home, creator: &Person, which: u8, others: &[&Person]) -> Group {
        let mut group = Group::new(creator, which);
        group.does(home, creator, Act::Begin).await.unwrap();
        for other in others {
            group.does(home, creator, Act::Invite(&other.name, other.fingerprint(), Role::Member)).await.unwrap();
            group.does(home, other, Act::Join).await.unwrap();
        }
        group
    }

    pub fn log(&self) -> LogName {
        self.genesis.log()
    }

    /// The draft by which `by` does this next.
    pub fn draft(&self, by: &Person, act: &Act<'_>) -> Encoded<Draft> {
        let n = self.counts.get(&(by.name.clone(), by.device())).copied().unwrap_or(0) + 1;
        let prev = self.last;
        let remove = |user: &UserName, lost_by| (Kind::Remove, cbor::encode(&Remove { prev, user: user.clone(), lost_by }).into());
        let (kind, body): (Kind, Bytes) = match act {
            Act::Begin => (Kind::Genesis, self.genesis.encode()),
            Act::Invite(user, identity, role) => {
                (Kind::Invite, cbor::encode(&Invite { prev, user: (*user).clone(), identity: *identity, role: *role }).into())
            }
            Act::Join => (Kind::Join, cbor::encode(&Join { prev }).into()),
            Act::Leave => (Kind::Leave, cbor::encode(&Leave { prev }).into()),
            Act::Remove(user) => remove(user, None),
            Act::RemoveLost(user, version) => remove(user, Some(*version)),
            Act::Role(user, role) => (Kind::SetRole, cbor::encode(&SetRole { prev, user: (*user).clone(), role: *role }).into()),
            Act::Say(text) => (Kind::Sealed, Bytes::copy_from_slice(text)),
            Act::Erase(seq, draft) => (Kind::Erase, cbor::encode(&Erase { seq: *seq, draft: *draft }).into()),
        };
        let log = self.log();
        let epoch = (kind.is_membership() || kind == Kind::Sealed).then_some(self.epoch);
        let draft = Draft { epoch, ..by.plain(0, &Note { log: &log, n, kind, body }) };
        if kind == Kind::Sealed { Encoded::new(draft) } else { draft.signed(&log, sign(&by.devices[0])) }
    }

    /// Offers a draft to the group's hub, as the author's own device or through the author's server.
    pub async fn offer(&self, hub: &Home, by: &Person, draft: &Encoded<Draft>) -> Result<Placed, Refusal> {
        let origin = if *by.name.server() == hub.name { by.origin() } else { Origin::Peer(by.name.server().clone()) };
        hub.logs.append(origin, &self.log(), draft.bytes().clone(), None).await
    }

    /// Does it, and takes notice when it was done.
    pub async fn does(&mut self, hub: &Home, by: &Person, act: Act<'_>) -> Result<Placed, Refusal> {
        let draft = self.draft(by, &act);
        let placed = self.offer(hub, by, &draft).await?;
        self.took(&draft);
        Ok(placed)
    }

    /// The hub has taken this.
    pub fn took(&mut self, draft: &Encoded<Draft>) {
        *self.counts.entry((draft.author.clone(), draft.device)).or_default() = draft.n;
        if draft.kind.is_membership() {
            self.epoch += 1;
        }
        if draft.kind.is_membership() || draft.kind == Kind::Genesis {
            self.last = draft.hash();
        }
    }

    /// The pointer to it for somebody's inbox.
    pub fn invitation(&self, by: &Person, n: u64, to: &Person, sealed: usize) -> Encoded<Draft> {
        let room = RoomRef { genesis: self.genesis.clone(), hub: self.genesis.hub().clone() };
        let body = cbor::encode(&Invitation { room, sealed: vec![7; sealed].into() });
        by.write(Note { log: &to.inbox(), n, kind: Kind::Invitation, body: body.into() })
    }
}
