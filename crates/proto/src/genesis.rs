//! The genesis of a room: what its name is the hash of.

use crate::cbor::{self, DecodeError, Encoded};
use crate::{DeviceKey, Draft, Hash, Kind, LogName, RoomId, ServerName, UserName, label};
use bytes::Bytes;
use minicbor::{Decode, Decoder, Encode};

/// How a room's messages are sealed. Fixed in the genesis, so it can never be negotiated down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum SuiteName {
    /// JWE with RSA-OAEP-256 and A256GCM: the brief, to the letter.
    #[n(1)]
    RsaJwe1,
}

impl SuiteName {
    /// The name people and JOSE headers see.
    pub fn as_str(self) -> &'static str {
        match self {
            SuiteName::RsaJwe1 => "rsa-jwe-1",
        }
    }
}

/// A direct room between two people (or one: notes to self). A function of its names, so both arrive at the same room.
///
/// Decoding refuses what [`Genesis::direct`] would not have made, inside a frame or a notice as well as alone: two names in
/// the other order, or another label, would be a second room for the same pair.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
#[cbor(map)]
pub struct Genesis {
    #[n(0)]
    label: String,
    /// The suite of every message in it.
    #[n(1)]
    pub suite: SuiteName,
    /// The two people, in byte order.
    #[n(2)]
    pub people: [UserName; 2],
}

/// The fields as they travel, before anything is known about them.
#[derive(Decode)]
#[cbor(map)]
struct Wire {
    #[n(0)]
    label: String,
    #[n(1)]
    suite: SuiteName,
    #[n(2)]
    people: [UserName; 2],
}

impl<'b, C> Decode<'b, C> for Genesis {
    fn decode(d: &mut Decoder<'b>, c: &mut C) -> Result<Self, minicbor::decode::Error> {
        // In an optional field minicbor takes an unknown enum value for an absent field; a suite we do not know is not "none".
        let wire = Wire::decode(d, c).map_err(|error| minicbor::decode::Error::message(error.to_string()))?;
        let genesis = Genesis::direct(wire.suite, &wire.people[0], &wire.people[1]);
        if wire.label == genesis.label && wire.people == genesis.people {
            Ok(genesis)
        } else {
            Err(minicbor::decode::Error::message("not the genesis of a direct room"))
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
        Genesis { label: label::DIRECT.into(), suite, people }
    }

    /// Reads a genesis. A direct room's has no further fields: they would make a second room for the same pair.
    pub fn read(bytes: &[u8]) -> Result<Genesis, DecodeError> {
        let genesis: Genesis = cbor::decode(bytes, LIMIT)?;
        if genesis.encode() == bytes { Ok(genesis) } else { Err(DecodeError::Shape("not the genesis of a direct room".into())) }
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

    /// The server that orders the room: the home of the first of the two names.
    pub fn hub(&self) -> &ServerName {
        self.people[0].server()
    }

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
            body: self.encode(),
            sig: None,
        })
    }
}
