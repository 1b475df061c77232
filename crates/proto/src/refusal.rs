//! The one table of error codes, and the answer that carries one.

use minicbor::{Decode, Decoder, Encode};
use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $number:literal $name:ident $text:literal),* $(,)?) => {
        /// Why something was refused. The number travels; the sentence is for people.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(index_only)]
        pub enum Code {
            $($(#[$doc])* #[n($number)] $name,)*
        }
        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];
            /// The code's name in JSON output and logs.
            pub fn name(self) -> &'static str { match self { $(Code::$name => stringify!($name),)* } }
            /// One sentence for a person.
            pub fn sentence(self) -> &'static str { match self { $(Code::$name => $text,)* } }
            /// The number on the wire.
            pub fn number(self) -> u16 { match self { $(Code::$name => $number,)* } }
        }
    };
}

codes! {
    /// Not canonical CBOR, or not the expected shape.
    1 Malformed "the other side sent something that cannot be read",
    /// A frame type this version does not know.
    2 UnknownFrame "the other side sent a kind of frame that is not known here",
    /// Over a limit; the text names it.
    3 TooLarge "this is larger than is allowed",
    /// A frame that has no place in the link's present state.
    4 WrongState "this is not possible at this point of the connection",
    /// Wrong password, unknown user, unknown device: the three look alike.
    5 LoginFailed "the name or the password is wrong",
    /// Not allowed to this user.
    6 Forbidden "you may not do this",
    /// No such log, user or thing.
    7 NotFound "there is no such thing here",
    /// Another draft with this (log, device, n) was taken before.
    8 Rewound "this device's counter has gone back; it was probably restored from a copy",
    /// A draft is missing before this one; `last` says which was taken last.
    9 Gap "a message before this one has not arrived yet",
    /// Sealed for an older epoch of the room.
    10 Stale "the room has changed since this was written",
    /// The author's device list is not known here yet; try again.
    11 NotYet "the author's keys have not arrived here yet",
    /// Too fast; `retry_after` says how long to wait.
    12 TooFast "too many in a short time",
    /// The name has been issued before.
    13 NameTaken "this name is taken",
    /// Not a name, or one that is kept back.
    14 NameRefused "this name cannot be registered",
    /// Registration needs a code, or is closed.
    15 RegistrationClosed "this server takes new accounts by invitation only",
    /// The invitation or claim code is wrong or used up.
    16 BadCode "this code is not valid, or was used before",
    /// A signature does not verify.
    17 BadSignature "a signature is not valid",
    /// The device is not in its user's newest list.
    18 Revoked "this device is not, or no longer, one of this account's devices",
    /// Compare-and-swap lost: somebody changed it first.
    19 Conflict "somebody else changed this first",
    /// The server in charge cannot be reached now.
    20 Unreachable "the server in charge cannot be reached now",
    /// A disk, queue or quota is full.
    21 Full "there is no room left for this",
    /// Our fault.
    22 Internal "something went wrong on this server",
    /// Not a server that this one knows.
    23 UnknownPeer "this server does not know that server",
    /// No protocol version in common.
    24 NoCommonVersion "the two sides have no protocol version in common",
    /// The link reached another server, key or TLS session than meant.
    25 WrongServer "this is not the server that was meant",
    /// Too many links.
    26 Busy "too many connections",
    /// The account was closed.
    27 Closed "this account is closed",
    /// The password has to be proved on this link first.
    28 PasswordNeeded "the password is needed for this",
    /// Kept for a server that could not be reached, for as long as anything is kept. It is given up.
    29 Expired "this has waited too long for a server that could not be reached",
    /// A log's server does not continue it as it began. Nothing more of it is taken.
    30 Broken "the server in charge of this does not continue it as it began, so nothing more of it is taken",
    /// A code of a later version; the sentence that came with it is what there is to show.
    65535 Unknown "the other side refused this for a reason that is not known here",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// A refusal: a code, a sentence for a person, and what helps to go on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[error("{text}")]
#[cbor(map)]
pub struct Refusal {
    /// Why.
    #[cbor(n(0), decode_with = "known_code")]
    pub code: Code,
    /// One sentence for a person; names the limit, where there is one.
    #[n(1)]
    pub text: String,
    /// Seconds after which another try makes sense.
    #[n(2)]
    pub retry_after: Option<u64>,
    /// With [`Code::Gap`] and [`Code::Rewound`]: the last n that was taken from this device in this log.
    #[n(3)]
    pub last: Option<u64>,
}

/// A later version's code must not make its whole answer unreadable.
fn known_code<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Code, minicbor::decode::Error> {
    let number = d.u64()?;
    Ok(Code::ALL.iter().copied().find(|code| u64::from(code.number()) == number).unwrap_or(Code::Unknown))
}

impl Refusal {
    /// A refusal with a sentence of its own.
    pub fn new(code: Code, text: impl Into<String>) -> Refusal {
        Refusal { code, text: text.into(), retry_after: None, last: None }
    }

    /// Adds when to try again, in seconds.
    pub fn retry_after(mut self, seconds: u64) -> Refusal {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds the last n that was taken.
    pub fn last(mut self, last: u64) -> Refusal {
        self.last = Some(last);
        self
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Refusal {
        Refusal::new(code, code.sentence())
    }
}

impl From<crate::DecodeError> for Refusal {
    fn from(error: crate::DecodeError) -> Refusal {
        let code = match error {
            crate::DecodeError::TooLarge { .. } => Code::TooLarge,
            _ => Code::Malformed,
        };
        Refusal::new(code, error.to_string())
    }
}
