//! Every label that is hashed or signed, in one place, so that no two uses can share one.
//!
//! A label is followed by a zero byte where it is used, so none can be the prefix of another.

/// What a device signs of a draft of an open kind.
pub const DRAFT: &str = "tidings/draft/1";
/// The hash that chains a log's entries.
pub const CHAIN: &str = "tidings/chain/1";
/// The genesis of a direct room.
pub const DIRECT: &str = "tidings/direct/1";
/// The genesis of a group.
pub const GROUP: &str = "tidings/group/1";
/// The transcript of a link's two hellos.
pub const LINK: &str = "tidings/link/1";
/// What the accepting server signs on a link.
pub const LINK_SERVER: &str = "tidings/link/1/server";
/// What a device signs on a link.
pub const LINK_DEVICE: &str = "tidings/link/1/device";
/// What a dialling server signs on a link.
pub const LINK_PEER: &str = "tidings/link/1/peer";
/// The TLS exporter (RFC 8446 §7.5) that binds a link to its TLS session.
pub const LINK_EXPORTER: &str = "tidings/link/1/exporter";
/// The OPAQUE context (RFC 9807 §3.1).
pub const OPAQUE: &str = "tidings/opaque/1";
/// What an identity key signs: device lists, nothing else.
pub const DEVICE_LIST: &str = "tidings/device-list/1";
/// What the old identity key signs when another takes its place.
pub const ROTATE: &str = "tidings/rotate/1";
/// What a server signs when an account whose secrets were lost begins anew.
pub const RESET: &str = "tidings/reset/1";
/// What two people compare.
pub const SAFETY_NUMBER: &str = "tidings/safety-number/1";
/// What a server signs of a log of its own: how far it goes, and the chain's hash there.
pub const HEAD: &str = "tidings/head/1";
/// The roster of a room.
pub const ROSTER: &str = "tidings/roster/1";
/// The people of a room on MLS, as its group context binds them.
pub const MLS_ROSTER: &str = "tidings/mls-roster/1";

/// What a device signs inside a sealed message.
pub const SEALED: &str = "tidings/sealed/1";
/// What a device signs inside an invitation.
pub const INVITATION: &str = "tidings/invitation/1";
/// What commits a JWE to its content encryption key.
pub const JWE_COMMIT: &str = "tidings/jwe-commit/1";
/// The hash of a JWE's encrypted keys.
pub const JWE_KEYS: &str = "tidings/jwe-keys/1";
/// What the parts of a vault are bound to.
pub const VAULT: &str = "tidings/vault/1";
/// The key that OPAQUE's export key becomes, to open a vault with.
pub const VAULT_KEY: &str = "tidings/vault/1/key";
/// What a client keeps of opened messages.
pub const HISTORY: &str = "tidings/history/1";
/// What a user's devices keep for each other of opened messages.
pub const SEGMENT: &str = "tidings/segment/1";
/// What a client keeps of its own secrets where they are sealed.
pub const PROFILE: &str = "tidings/profile/1";

/// `label ‖ 0x00`, ready to be hashed or signed before the bytes it marks.
pub fn marked(label: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(label.len() + 1);
    out.extend_from_slice(label.as_bytes());
    out.push(0);
    out
}
