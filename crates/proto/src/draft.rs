//! A draft: what a device submits to a log. The hub makes it an entry and never changes a byte of it.

use crate::cbor::{self, DecodeError, Encoded, raw};
use crate::{DeviceKey, Hash, LogName, Signature, UserName, label, limits};
use bytes::Bytes;
use minicbor::{Decode, Decoder, Encode, Encoder};

/// One message or change, as its author's device made it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Draft {
    /// The device that wrote it.
    #[n(0)]
    pub device: DeviceKey,
    /// This device's drafts in this log, counted from 1.
    #[n(1)]
    pub n: u64,
    /// Whose device that is. A claim, until device list `list` of that user has been seen to name the device.
    #[n(2)]
    pub author: UserName,
    /// The version of the author's device list that names the device.
    #[n(3)]
    pub list: u64,
    /// The room's epoch; absent in logs that have none.
    #[n(4)]
    pub epoch: Option<u64>,
    /// What the body is.
    #[n(5)]
    pub kind: Kind,
    /// Open kinds: CBOR of a type that the kind names. Sealed: opaque to every server.
    #[cbor(n(6), with = "raw")]
    pub body: Bytes,
    /// Ed25519 by `device` over [`signed_bytes`]; open kinds have it, sealed ones are authenticated inside.
    #[n(7)]
    pub sig: Option<Signature>,
}

const SIG_FIELD: u8 = 7;

macro_rules! kinds {
    ($($(#[$doc:meta])* $number:literal $name:ident),* $(,)?) => {
        /// What a draft's body is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
            /// A kind of a later version, by its number: nothing this version can judge. No hub takes it, and what a newer hub has
            /// taken stops nobody.
            Later(u32),
        }
        impl Kind {
            /// Every kind that is known here.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];
            /// The number on the wire.
            pub fn number(self) -> u32 { match self { $(Kind::$name => $number,)* Kind::Later(number) => number } }
            /// The kind with this number.
            pub fn from_number(number: u32) -> Kind { match number { $($number => Kind::$name,)* later => Kind::Later(later) } }
        }
    };
}

kinds! {
    /// The first entry of a room: a [`crate::Genesis`].
    0 Genesis,
    /// A message that only the room's members can open.
    1 Sealed,
    /// A public message: a [`crate::Content`].
    2 Post,
    /// Somebody is asked into a group: a [`crate::membership::Invite`].
    3 Invite,
    /// Somebody who was asked comes in: a [`crate::membership::Join`].
    4 Join,
    /// A member goes, or somebody who was asked declines: a [`crate::membership::Leave`].
    5 Leave,
    /// Somebody is put out, or is not asked in any more: a [`crate::membership::Remove`].
    6 Remove,
    /// A member may do more, or less: a [`crate::membership::SetRole`].
    7 SetRole,
    /// An earlier entry is to be forgotten: an [`Erase`].
    8 Erase,
    /// A room on MLS gets its next keys, and perhaps other members: a [`crate::membership::Commit`].
    9 Commit,
    /// `keys@`: an account's first device list.
    16 First,
    /// `keys@`: the next device list of the same identity.
    17 List,
    /// `keys@`: the next device list, of another identity; the old one has agreed.
    18 Rotate,
    /// `keys@`: the next device list, of another identity; the user's server says that the account is still the same person's.
    19 Reset,
    /// `keys@`: the account is closed, says the user's server: a [`Gone`]. Nothing follows it.
    20 Gone,
    /// `inbox:`: a pointer to a direct room one was written to in, a [`crate::frame::RoomRef`].
    32 Notice,
    /// `inbox:`: an invitation to a group, a [`crate::membership::Invitation`].
    33 Invitation,
    /// `history:`: messages that a device of the user's has opened, sealed for the others and for those to come.
    48 Segment,
}

impl Kind {
    /// Whether anybody may read the body, so that the hub checks a signature before it accepts.
    pub fn is_open(self) -> bool {
        self != Kind::Sealed
    }

    /// Whether it changes who is in a room, or by which keys: it has an answer of its own before anything else is sealed.
    pub fn is_membership(self) -> bool {
        matches!(self, Kind::Invite | Kind::Join | Kind::Leave | Kind::Remove | Kind::SetRole | Kind::Commit)
    }
}

impl<C> Encode<C> for Kind {
    fn encode<W: minicbor::encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u32(self.number())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Kind {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.u32().map(Kind::from_number)
    }
}

/// The body of [`Kind::Erase`]: which entry of the same log is to be forgotten. Its place stays, as a stub.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Erase {
    /// The entry.
    #[n(0)]
    pub seq: u64,
    /// SHA-256 of the draft that is there.
    #[n(1)]
    pub draft: Hash,
}

/// The body of [`Kind::Gone`]. Its draft's device is the server's key, and so its signature is the server's.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Gone {
    /// The hash of the account's last device list.
    #[n(0)]
    pub prev: Hash,
}

/// Reads a draft within its limit.
pub fn read(bytes: Bytes) -> Result<Encoded<Draft>, DecodeError> {
    Encoded::read(bytes, limits::DRAFT)
}

/// What `sig` covers: label ‖ length and text of the log's name ‖ the draft without `sig`, unknown fields included.
pub fn signed_bytes(log: &LogName, draft: &Encoded<Draft>) -> Vec<u8> {
    let log = log.to_string();
    let mut out = label::marked(label::DRAFT);
    out.extend_from_slice(&(log.len() as u64).to_be_bytes());
    out.extend_from_slice(log.as_bytes());
    out.extend_from_slice(&cbor::without_key(draft.bytes(), SIG_FIELD).expect("an encoded draft is a canonical map"));
    out
}

impl Encoded<Draft> {
    /// SHA-256 of the draft's bytes: what the chain binds, and what makes two drafts the same.
    pub fn hash(&self) -> Hash {
        Hash::of(self.bytes())
    }
}

impl Draft {
    /// Signs an open draft for `log` with `sign`, which has the device's key.
    pub fn signed(mut self, log: &LogName, sign: impl FnOnce(&[u8]) -> Signature) -> Encoded<Draft> {
        self.sig = None;
        let unsigned = Encoded::new(self);
        let sig = sign(&signed_bytes(log, &unsigned));
        Encoded::new(Draft { sig: Some(sig), ..unsigned.into_value() })
    }
}
