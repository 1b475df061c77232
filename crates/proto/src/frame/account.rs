//! The frames by which accounts are made, opened and changed.

use crate::cbor::raw;
use crate::{DeviceKey, Hash, ServerKey, Signature, UserName, label};
use bytes::Bytes;
use minicbor::{Decode, Encode};

/// Asks to register the user named in the hello.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RegisterStart {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
    /// An invitation or claim code, where the server wants one.
    #[n(1)]
    pub code: Option<String>,
    /// OPAQUE RegistrationRequest for the password.
    #[cbor(n(2), with = "raw")]
    pub password: Bytes,
    /// OPAQUE RegistrationRequest for the recovery code.
    #[cbor(n(3), with = "raw")]
    pub recovery: Bytes,
}

/// Answers `RegisterStart`. From here on the link takes one frame of [`crate::limits::REGISTER_FRAME`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RegisterReply {
    /// The request's number.
    #[n(0)]
    pub req: u32,
    /// OPAQUE RegistrationResponse for the password.
    #[cbor(n(1), with = "raw")]
    pub password: Bytes,
    /// OPAQUE RegistrationResponse for the recovery code.
    #[cbor(n(2), with = "raw")]
    pub recovery: Bytes,
    /// The account is there already, and its code says that it may begin anew: what its draft of kind `Reset` must carry.
    #[n(3)]
    pub grant: Option<Grant>,
}

/// A server's word that an account begins anew on a device.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Grant {
    /// The server's key.
    #[n(0)]
    pub server: ServerKey,
    /// The version that the next device list has.
    #[n(1)]
    pub version: u64,
    /// The hash of the device list before it.
    #[n(2)]
    pub prev: Hash,
    /// Ed25519 by the server's key over [`Grant::signed_bytes`].
    #[n(3)]
    pub sig: Signature,
    /// The version that the next vault has. Between this server and its user only, and so not signed.
    #[n(4)]
    pub vault: u64,
}

impl Grant {
    /// What the server signs: label ‖ the user's name, a zero byte ‖ version, 8 bytes big-endian ‖ prev ‖ device.
    pub fn signed_bytes(user: &UserName, version: u64, prev: &Hash, device: &DeviceKey) -> Vec<u8> {
        let mut out = label::marked(label::RESET);
        out.extend_from_slice(format!("{user}\0").as_bytes());
        out.extend_from_slice(&version.to_be_bytes());
        out.extend_from_slice(prev.as_bytes());
        out.extend_from_slice(device.as_bytes());
        out
    }
}

/// Ends a registration. Answered by `Accepted` of the draft; account and entry become durable together.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RegisterFinish {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
    /// OPAQUE RegistrationRecord for the password.
    #[cbor(n(1), with = "raw")]
    pub password: Bytes,
    /// OPAQUE RegistrationRecord for the recovery code.
    #[cbor(n(2), with = "raw")]
    pub recovery: Bytes,
    /// The sealed vault: version 1, or the one that the grant says.
    #[n(3)]
    pub vault: SealedVault,
    /// The draft of kind `First` for `keys@`, or of kind `Reset`.
    #[cbor(n(4), with = "raw")]
    pub draft: Bytes,
}

/// Which of an account's two OPAQUE records a login is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Secret {
    /// The password.
    #[n(0)]
    Password,
    /// The recovery code.
    #[n(1)]
    Recovery,
}

/// Starts a login as the user named in the hello.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LoginStart {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
    /// With which secret.
    #[n(1)]
    pub with: Secret,
    /// OPAQUE KE1.
    #[cbor(n(2), with = "raw")]
    pub ke1: Bytes,
}

/// Answers `LoginStart`, and looks alike for users that do not exist.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LoginReply {
    /// The request's number.
    #[n(0)]
    pub req: u32,
    /// OPAQUE KE2.
    #[cbor(n(1), with = "raw")]
    pub ke2: Bytes,
}

/// Ends a login. Answered by `Vault`; the link may then add its device to the user's list, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LoginFinish {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
    /// OPAQUE KE3.
    #[cbor(n(1), with = "raw")]
    pub ke3: Bytes,
}

/// A vault as the server keeps it: two parts, sealed, useless to it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SealedVault {
    /// Counts every change of either part; a new one is written by compare-and-swap.
    #[n(0)]
    pub version: u64,
    /// What the account is lost without. The newest device list names it, and it changes together with that list only.
    #[cbor(n(1), with = "raw")]
    pub keys: Bytes,
    /// What the owner has written down. Every listed device may put another one in its place.
    #[cbor(n(2), with = "raw")]
    pub book: Bytes,
}

/// An account's vault.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Vault {
    /// The request's number.
    #[n(0)]
    pub req: u32,
    /// The vault.
    #[n(1)]
    pub vault: SealedVault,
}

/// Asks for the account's vault. On a listed device's link only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct VaultGet {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
}

/// Puts another book into the vault of version `version` - 1. Answered by `Done`, or refused as `Conflict`. On a listed device's
/// link only; it takes no secret, and so touches no keys.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BookPut {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
    /// The vault's version from then on.
    #[n(1)]
    pub version: u64,
    /// The sealed book.
    #[cbor(n(2), with = "raw")]
    pub book: Bytes,
}

/// Asks for new OPAQUE records. Only on a link that has proved one of the account's secrets by `LoginFinish`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RekeyStart {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
    /// OPAQUE RegistrationRequest for another password.
    #[cbor(n(1), with = "raw::option")]
    pub password: Option<Bytes>,
    /// OPAQUE RegistrationRequest for another recovery code.
    #[cbor(n(2), with = "raw::option")]
    pub recovery: Option<Bytes>,
}

/// Answers `RekeyStart`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RekeyReply {
    /// The request's number.
    #[n(0)]
    pub req: u32,
    /// OPAQUE RegistrationResponse for the password, if it was asked for.
    #[cbor(n(1), with = "raw::option")]
    pub password: Option<Bytes>,
    /// OPAQUE RegistrationResponse for the recovery code, if it was asked for.
    #[cbor(n(2), with = "raw::option")]
    pub recovery: Option<Bytes>,
}

/// Changes an account: records, vault and device list become durable together. Only on a link that has proved one of the
/// account's secrets by `LoginFinish`. Answered by `Accepted` of the draft; refused as `Conflict` when vault or list have moved.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Rekey {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
    /// OPAQUE RegistrationRecord for another password; absent, the password stays.
    #[cbor(n(1), with = "raw::option")]
    pub password: Option<Bytes>,
    /// OPAQUE RegistrationRecord for another recovery code; absent, the code stays.
    #[cbor(n(2), with = "raw::option")]
    pub recovery: Option<Bytes>,
    /// The next version of the vault.
    #[n(3)]
    pub vault: SealedVault,
    /// The draft of kind `List` or `Rotate` for `keys@`; its list names this vault.
    #[cbor(n(4), with = "raw")]
    pub draft: Bytes,
}
