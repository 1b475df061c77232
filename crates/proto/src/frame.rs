//! Every frame there is. One WebSocket message is one frame: the array `[type, {fields}]` in deterministic CBOR.
//!
//! `req` in a request is the asker's own number for it; the answer repeats it. An unknown type is told from a malformed
//! frame, so that a newer program can be answered in words.

mod account;
mod key_packages;

pub use account::{
    BookPut, Grant, LoginFinish, LoginReply, LoginStart, RegisterFinish, RegisterReply, RegisterStart, Rekey, RekeyReply, RekeyStart,
    SealedVault, Secret, Vault, VaultGet,
};
pub use key_packages::{ClaimedKeyPackage, KeyPackageClaim, KeyPackages, KeyPackagesLeft, KeyPackagesPut};

use crate::cbor::{self, DecodeError, raw};
use crate::handshake::Hello;
use crate::{Code, Genesis, Hash, Head, LogName, Refusal, ServerName, Signature, UserName};
use bytes::Bytes;
use minicbor::decode::Error as CborError;
use minicbor::{Decode, Decoder, Encode, Encoder};

macro_rules! frames {
    ($($(#[$doc:meta])* $number:literal $name:ident($body:ty)),* $(,)?) => {
        /// A frame.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Frame { $($(#[$doc])* $name($body),)* }

        impl Frame {
            /// The frame as it travels.
            pub fn encode(&self) -> Bytes {
                match self { $(Frame::$name(body) => encode_typed($number, body),)* }
            }

            /// The frame's name, for logs and errors.
            pub fn name(&self) -> &'static str {
                match self { $(Frame::$name(_) => stringify!($name),)* }
            }

            fn decode_typed(number: u64, body: &[u8]) -> Result<Frame, Refusal> {
                match number {
                    $($number => Ok(Frame::$name(minicbor::decode(body).map_err(|e| Refusal::new(Code::Malformed, format!("{}: {e}", stringify!($name))))?)),)*
                    _ => Err(Refusal::new(Code::UnknownFrame, format!("frame type {number} is not known here"))),
                }
            }
        }
        $(impl From<$body> for Frame { fn from(body: $body) -> Frame { Frame::$name(body) } })*
    };
}

frames! {
    /// First frame of each side.
    0 Hello(Hello),
    /// Signature over the transcript.
    1 Proof(Proof),
    /// The acceptor is satisfied.
    2 Ready(Ready),

    /// Asks for logs from given places on, now and from then on.
    8 Follow(Follow),
    /// Says which number a log has on this link.
    9 Named(Named),
    /// News of a followed log.
    10 Entries(Entries),
    /// Asks for one page of a log.
    11 Fetch(Fetch),
    /// The page.
    12 Page(Page),
    /// Offers a draft to a log.
    13 Submit(Submit),
    /// The draft is durable in its log.
    14 Accepted(Accepted),
    /// The draft is durable here, and its hub unreachable.
    15 Queued(Queued),
    /// No.
    16 Refused(Refused),
    /// A followed log ends here for whoever follows it.
    17 Ended(Ended),
    /// Asks for a sign of life.
    18 Ping(Ping),
    /// The sign of life.
    19 Pong(Pong),
    /// It is done, and durable.
    20 Done(Done),

    /// Starts a registration (OPAQUE, RFC 9807 §5).
    32 RegisterStart(RegisterStart),
    /// Answers it.
    33 RegisterReply(RegisterReply),
    /// Ends it: the account is made of this.
    34 RegisterFinish(RegisterFinish),
    /// Starts a login: KE1 (RFC 9807 §6).
    36 LoginStart(LoginStart),
    /// KE2.
    37 LoginReply(LoginReply),
    /// KE3.
    38 LoginFinish(LoginFinish),
    /// The account's vault, after a login or when it is asked for.
    39 Vault(Vault),
    /// Asks for the vault.
    40 VaultGet(VaultGet),
    /// Puts another book into the vault.
    41 BookPut(BookPut),
    /// Asks for new OPAQUE records of an account that exists.
    50 RekeyStart(RekeyStart),
    /// Answers it.
    51 RekeyReply(RekeyReply),
    /// New secrets, vault and device list of an account, together.
    52 Rekey(Rekey),
    /// Asks for the key history of one user.
    43 Chain(Chain),
    /// That history.
    44 ChainReply(ChainReply),
    /// Asks for everybody known here.
    45 People(People),
    /// Everybody known here; changes follow as `Presence`.
    46 PeopleReply(PeopleReply),
    /// Who came, who went. Between servers: about the sender's own users only.
    47 Presence(Presence),
    /// Asks for the rooms this user is in.
    48 Rooms(Rooms),
    /// The rooms; also sent unasked (`req` 0) when one is new.
    49 RoomsReply(RoomsReply),
    /// Adds key packages of this device.
    53 KeyPackagesPut(KeyPackagesPut),
    /// How many it has left.
    54 KeyPackagesLeft(KeyPackagesLeft),
    /// Asks for a key package of each of somebody's devices. Between servers too.
    55 KeyPackageClaim(KeyPackageClaim),
    /// Those.
    56 KeyPackages(KeyPackages),
}

impl Frame {
    /// Reads a frame of at most `limit` bytes.
    pub fn read(bytes: &[u8], limit: usize) -> Result<Frame, Refusal> {
        if bytes.len() > limit {
            return Err(DecodeError::TooLarge { size: bytes.len(), limit }.into());
        }
        cbor::validate(bytes)?;
        let malformed = |_| Refusal::new(Code::Malformed, "a frame is an array of its type and its fields");
        let mut decoder = Decoder::new(bytes);
        if decoder.array().map_err(malformed)? != Some(2) {
            return Err(malformed(CborError::message("")));
        }
        let number = decoder.u64().map_err(malformed)?;
        Frame::decode_typed(number, &bytes[decoder.position()..])
    }
}

fn encode_typed<T: Encode<()>>(number: u64, body: &T) -> Bytes {
    let mut out = Vec::with_capacity(256);
    Encoder::new(&mut out).array(2).and_then(|e| e.u64(number)).and_then(|e| e.encode(body)).expect("writing to a Vec cannot fail");
    out.into()
}

/// Ed25519 by the key in the sender's hello, over [`crate::handshake::proof_bytes`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Proof {
    /// The signature.
    #[n(0)]
    pub sig: Signature,
}

/// What the link may now be used for.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Ready {
    /// Device links: whether the user's newest list names this device. If not, only registration and login are open.
    #[n(0)]
    pub listed: bool,
    /// Device links: the servers whose public chats and people make up this network, this server first.
    #[n(1)]
    pub network: Vec<ServerName>,
}

/// A log, by its name or by the number it has on this link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogRef {
    /// By name.
    Name(LogName),
    /// By the serving server's number, learned from `Named`.
    Number(u64),
}

impl<C> Encode<C> for LogRef {
    fn encode<W: minicbor::encode::Write>(&self, e: &mut Encoder<W>, c: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        match self {
            LogRef::Name(name) => name.encode(e, c),
            LogRef::Number(number) => e.u64(*number)?.ok(),
        }
    }
}

impl<'b, C> Decode<'b, C> for LogRef {
    fn decode(d: &mut Decoder<'b>, c: &mut C) -> Result<Self, CborError> {
        match d.datatype()? {
            minicbor::data::Type::String => LogName::decode(d, c).map(LogRef::Name),
            _ => d.u64().map(LogRef::Number),
        }
    }
}

/// Logs to follow. Answered by `Entries` only where there is news; a log that may not be read, or is not here, by `Refused`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Follow {
    /// Each log and the last entry of it that the follower has; entries after it are wanted.
    #[n(0)]
    pub logs: Vec<(LogRef, u64)>,
}

/// Sent once on a link, before a log's first `Entries`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Named {
    /// The serving server's number of the log: stable, and the same on every link.
    #[n(0)]
    pub number: u64,
    /// The log.
    #[n(1)]
    pub log: LogName,
}

/// One entry in a page.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Item {
    /// An encoded [`crate::Entry`].
    #[cbor(n(0), with = "raw")]
    pub entry: Bytes,
    /// Public logs: the serving server's arrival number, by which the union of all public logs is ordered.
    #[n(1)]
    pub got: Option<u64>,
}

/// Consecutive entries of one log. Encoded once, and the same bytes for every follower who is going on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Entries {
    /// The log's number.
    #[n(0)]
    pub log: u64,
    /// The chain's hash before the first entry. It is in the first frame after each `Follow`, where it shows whether both sides
    /// have the same log; those that come after go on where the one before has ended, and leave it out.
    #[n(1)]
    pub prev: Option<Hash>,
    /// At least one entry.
    #[n(2)]
    pub items: Vec<Item>,
}

/// One page of history: the newest entries before `before`, or the oldest after `after`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Fetch {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
    /// The log.
    #[n(1)]
    pub log: LogName,
    /// Entries before this one. Exactly one of `before` and `after`.
    #[n(2)]
    pub before: Option<u64>,
    /// Entries after this one.
    #[n(3)]
    pub after: Option<u64>,
    /// At most this many entries; a page may hold fewer.
    #[n(4)]
    pub limit: u32,
}

/// The answer to `Fetch`; no items where there are none.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Page {
    /// The request's number.
    #[n(0)]
    pub req: u32,
    /// The chain's hash before the first entry.
    #[n(1)]
    pub prev: Hash,
    /// Consecutive entries, oldest first.
    #[n(2)]
    pub items: Vec<Item>,
}

/// Offers a draft. Answered by `Accepted`, `Refused`, or `Queued` and later one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Submit {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
    /// The log.
    #[n(1)]
    pub log: LogName,
    /// An encoded [`crate::Draft`].
    #[cbor(n(2), with = "raw")]
    pub draft: Bytes,
    /// Direct rooms: the genesis that names the room, so that a hub that never heard of it can write its first entry.
    #[n(3)]
    pub genesis: Option<Genesis>,
}

/// Durable in its log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Accepted {
    /// The request's number.
    #[n(0)]
    pub req: u32,
    /// The entry's place.
    #[n(1)]
    pub seq: u64,
    /// The chain's hash there.
    #[n(2)]
    pub hash: Hash,
}

/// Durable on the home server; its hub is unreachable. Shown as waiting, not as sent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Queued {
    /// The request's number.
    #[n(0)]
    pub req: u32,
}

/// No, and why.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Refused {
    /// The request's number; 0 where the refused frame had none.
    #[n(0)]
    pub req: u32,
    /// Why.
    #[n(1)]
    pub why: Refusal,
    /// With a refused `Follow`: which log.
    #[n(2)]
    pub log: Option<LogName>,
}

/// Nothing more of this log is for the follower: it has left the room, or was put out; or there is nothing more of it, for a reason
/// that is said. Sent after the last entry that is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Ended {
    /// The log.
    #[n(0)]
    pub log: LogName,
    /// The last entry that the follower may have whole.
    #[n(1)]
    pub seq: u64,
    /// Why there is nothing more, where that is not because of who follows.
    #[n(2)]
    pub why: Option<Refusal>,
}

/// It is done, and durable.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Done {
    /// The request's number.
    #[n(0)]
    pub req: u32,
}

/// Asks for a sign of life, and may give one of key histories. Whoever knows nothing of those reads past it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Ping {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
    /// From servers: heads of the `keys@` logs that are followed or ordered there; at most [`crate::limits::HEADS`] are looked at.
    #[n(1)]
    pub heads: Option<Vec<Head>>,
}

/// The sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Pong {
    /// The request's number.
    #[n(0)]
    pub req: u32,
}

/// Asks for the entries of `keys@` that are about one user.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Chain {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
    /// About whom.
    #[n(1)]
    pub user: UserName,
    /// Only entries after this sequence number of the user's server's `keys@`.
    #[n(2)]
    pub after: u64,
}

/// One user's key history: not consecutive entries, but each device list holds the hash of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ChainReply {
    /// The request's number.
    #[n(0)]
    pub req: u32,
    /// Encoded entries, oldest first.
    #[n(1)]
    pub items: Vec<Item>,
    /// Whether more follow; ask again after the last of these.
    #[n(2)]
    pub more: bool,
}

/// Whether somebody can be reached now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Online {
    /// No device is connected, or that is not shown.
    #[n(0)]
    Offline,
    /// Connected, but idle.
    #[n(1)]
    Away,
    /// Connected.
    #[n(2)]
    Online,
}

/// Asks for everybody known here.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct People {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
}

/// One person's state.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PersonState {
    /// Who.
    #[n(0)]
    pub user: UserName,
    /// Reachable now?
    #[n(1)]
    pub online: Online,
    /// The version of their newest device list here, so that a client knows whether to ask for `Chain`. 0 between servers.
    #[n(2)]
    pub list: u64,
}

/// Everybody known here.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PeopleReply {
    /// The request's number.
    #[n(0)]
    pub req: u32,
    /// Everybody, in order of name. Keys are not here: they are proved by `Chain`.
    #[n(1)]
    pub people: Vec<PersonState>,
    /// Whether more `PeopleReply` frames with this number follow.
    #[n(2)]
    pub more: bool,
}

/// Who came, who went.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Presence {
    /// True: these are all who are not offline (of that server); everybody else is. False: changes.
    #[n(0)]
    pub whole: bool,
    /// The people.
    #[n(1)]
    pub people: Vec<PersonState>,
}

/// Asks for the rooms this user is in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Rooms {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
}

/// A room and where it is ordered. Also the body of a `Notice`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RoomRef {
    /// What the room's name is the hash of.
    #[n(0)]
    pub genesis: Genesis,
    /// The server that orders it now.
    #[n(1)]
    pub hub: ServerName,
}

/// The rooms this user is in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RoomsReply {
    /// The request's number; 0 when sent unasked.
    #[n(0)]
    pub req: u32,
    /// The rooms.
    #[n(1)]
    pub rooms: Vec<RoomRef>,
    /// Whether more `RoomsReply` frames with this number follow.
    #[n(2)]
    pub more: bool,
}
