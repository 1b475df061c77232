//! The genesis of a room: what its name is the hash of.

use crate::cbor::{self, DecodeError, Encoded};
use crate::{DeviceKey, Draft, Hash, Kind, LogName, Nonce, RoomId, ServerName, UserName, label};
use bytes::Bytes;
use minicbor::{Decode, Decoder, Encode, Encoder};

/// How a room's messages are sealed. Fixed in the genesis, so it can never be negotiated down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum SuiteName {
    /// JWE with RSA-OAEP-256 and A256GCM: the brief, to the letter.
    #[n(1)]
    RsaJwe1,
    /// MLS (RFC 9420) with MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519.
    #[n(2)]
    Mls1,
}

impl SuiteName {
    /// The name people and JOSE headers see.
    pub fn as_str(self) -> &'static str {
        match self {
            SuiteName::RsaJwe1 => "rsa-jwe-1",
            SuiteName::Mls1 => "mls-1",
        }
    }
}

/// What a room begins with.
///
/// Decoding refuses what the constructors would not have made, inside a frame or a notice as well as alone: two names in the
/// other order, another label or a further field would be a second room for the same pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Genesis {
    /// Two people, or one with notes to self.
    Direct(Direct),
    /// As many as come in.
    Group(Group),
}

/// A direct room. A function of its names, so both people arrive at the same room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct {
    /// The suite of every message in it.
    pub suite: SuiteName,
    /// The two people, in byte order.
    pub people: [UserName; 2],
}

/// A group. Who is in it is told by its membership entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The suite of every message in it.
    pub suite: SuiteName,
    /// Who makes it, and is its first owner. The home of this name is the first hub.
    pub creator: UserName,
    /// Makes it different from every other group.
    pub nonce: Nonce,
}

/// The fields as they travel, before anything is known about them.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[n(0)]
    label: String,
    #[n(1)]
    suite: SuiteName,
    #[n(2)]
    people: Option<[UserName; 2]>,
    #[n(3)]
    creator: Option<UserName>,
    #[n(4)]
    nonce: Option<Nonce>,
}

impl From<&Genesis> for Wire {
    fn from(genesis: &Genesis) -> Wire {
        let wire = |label: &str, suite| Wire { label: label.into(), suite, people: None, creator: None, nonce: None };
        match genesis {
            Genesis::Direct(direct) => Wire { people: Some(direct.people.clone()), ..wire(label::DIRECT, direct.suite) },
            Genesis::Group(group) => {
                Wire { creator: Some(group.creator.clone()), nonce: Some(group.nonce), ..wire(label::GROUP, group.suite) }
            }
        }
    }
}

impl<C> Encode<C> for Genesis {
    fn encode<W: minicbor::encode::Write>(&self, e: &mut Encoder<W>, c: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        Wire::from(self).encode(e, c)
    }
}

impl<'b, C> Decode<'b, C> for Genesis {
    fn decode(d: &mut Decoder<'b>, c: &mut C) -> Result<Self, minicbor::decode::Error> {
        let start = d.position();
        // In an optional field minicbor takes an unknown enum value for an absent field; a suite we do not know is not "none".
        let wire = Wire::decode(d, c).map_err(|error| minicbor::decode::Error::message(error.to_string()))?;
        let genesis = match (wire.people, wire.creator, wire.nonce) {
            (Some([a, b]), None, None) => Genesis::direct(wire.suite, &a, &b),
            (None, Some(creator), Some(nonce)) => Genesis::group(wire.suite, &creator, nonce),
            _ => return Err(minicbor::decode::Error::message("neither the genesis of a direct room nor of a group")),
        };
        // As it came, to the byte: the room is named by the hash of it.
        if genesis.encode()[..] == d.input()[start..d.position()] {
            Ok(genesis)
        } else {
            Err(minicbor::decode::Error::message("not the genesis of a room as this version makes it"))
        }
    }
}

/// Bytes that a genesis may have.
const LIMIT: usize = 1024;

impl Genesis {
    /// The direct room of `a` and `b`.
    pub fn direct(suite: SuiteName, a: &UserName, b: &UserName) -> Genesis {
        let mut people = [a.clone(), b.clone()];
        people.sort_by_key(UserName::to_string);
        Genesis::Direct(Direct { suite, people })
    }

    /// A group that `creator` makes; `nonce` is random.
    pub fn group(suite: SuiteName, creator: &UserName, nonce: Nonce) -> Genesis {
        Genesis::Group(Group { suite, creator: creator.clone(), nonce })
    }

    /// Reads a genesis.
    pub fn read(bytes: &[u8]) -> Result<Genesis, DecodeError> {
        cbor::decode(bytes, LIMIT)
    }

    /// The bytes whose hash names the room.
    pub fn encode(&self) -> Bytes {
        cbor::encode(self).into()
    }

    /// The room's name.
    pub fn room(&self) -> RoomId {
        RoomId(Hash::of(&self.encode()).0)
    }

    /// The room's log.
    pub fn log(&self) -> LogName {
        LogName::Room(self.room())
    }

    /// The suite of every message in it.
    pub fn suite(&self) -> SuiteName {
        match self {
            Genesis::Direct(direct) => direct.suite,
            Genesis::Group(group) => group.suite,
        }
    }

    /// The server that orders the room: the home of the first of the two names, or of the group's creator.
    pub fn hub(&self) -> &ServerName {
        match self {
            Genesis::Direct(direct) => direct.people[0].server(),
            Genesis::Group(group) => group.creator.server(),
        }
    }

    /// A direct room's names.
    pub fn as_direct(&self) -> Option<&Direct> {
        match self {
            Genesis::Direct(direct) => Some(direct),
            Genesis::Group(_) => None,
        }
    }

    /// A group's beginning.
    pub fn as_group(&self) -> Option<&Group> {
        match self {
            Genesis::Group(group) => Some(group),
            Genesis::Direct(_) => None,
        }
    }
}

impl Direct {
    /// Whether `user` is one of the two.
    pub fn has(&self, user: &UserName) -> bool {
        self.people.contains(user)
    }

    /// The one that `me` talks to; `me` again for notes to self.
    pub fn other(&self, me: &UserName) -> &UserName {
        if &self.people[0] == me { &self.people[1] } else { &self.people[0] }
    }

    /// The draft of entry 1, which the hub writes itself. It needs no signature: every reader can make it too.
    pub fn draft(&self) -> Encoded<Draft> {
        Encoded::new(Draft {
            device: DeviceKey([0; 32]),
            n: 1,
            author: self.people[0].clone(),
            list: 0,
            epoch: None,
            kind: Kind::Genesis,
            body: Genesis::Direct(self.clone()).encode(),
            sig: None,
        })
    }
}
