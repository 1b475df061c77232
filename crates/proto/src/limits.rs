//! The constants of the protocol: what no configuration may exceed, and what every replica applies.
//!
//! Configurable limits (rates, quotas) are the server's; they apply where a draft enters.

/// Bytes in a frame from or to a client that has authenticated.
pub const CLIENT_FRAME: usize = 256 * 1024;
/// Bytes in a frame between servers.
pub const PEER_FRAME: usize = 1024 * 1024;
/// Bytes in a frame before the other side has authenticated.
pub const GUEST_FRAME: usize = 4 * 1024;
/// Bytes in the one frame that ends a registration the server has agreed to: it carries the vault.
pub const REGISTER_FRAME: usize = 16 * 1024;
/// Nested arrays and maps in anything that is decoded.
pub const DEPTH: usize = 16;
/// Keys in one map.
pub const MAP_KEYS: u64 = 256;
/// Bytes of UTF-8 in one message.
pub const TEXT: usize = 64 * 1024;
/// Bytes of a file that travels inside its message.
pub const FILE: usize = 32 * 1024;
/// Bytes of UTF-8 in a file's name, and in its media type.
pub const FILE_NAME: usize = 255;
/// Bytes of UTF-8 in a group's title.
pub const TITLE: usize = 256;
/// Bytes of one encoded draft. An entry around it, in a frame around that, must still fit a client's frame.
pub const DRAFT: usize = 224 * 1024;
/// Bytes in a frame from a guest who has proved an account's password: it may carry a new vault.
pub const ACCOUNT_FRAME: usize = 160 * 1024;
/// Bytes of each of the two parts of an account's vault.
pub const VAULT: usize = 64 * 1024;
/// Bytes of entries that a page aims at; a page always holds at least one entry.
pub const PAGE: usize = 64 * 1024;
/// Devices in one list.
pub const DEVICES: usize = 20;
/// Bytes of one key package. As many as a device may have, in one frame, still fit a client's frame; so does one of each of a
/// person's devices.
pub const KEY_PACKAGE: usize = 4 * 1024;
/// Key packages of one device that are handed out once each.
pub const KEY_PACKAGES: usize = 50;
/// When no more than so many of them are left, the device is told to bring more.
pub const KEY_PACKAGES_REFILL: usize = 20;
/// People in a room on an RSA suite, those who are asked in among them.
pub const RSA_MEMBERS: usize = 64;
/// Servers whose key histories a message says something of.
pub const KEYS_SEEN: usize = 8;
/// Heads in one frame.
pub const HEADS: usize = 64;
/// Devices in a room on MLS.
pub const MLS_DEVICES: usize = 1000;
/// Devices that one commit adds.
pub const MLS_ADDS: usize = 100;
/// Characters in a server's name.
pub const SERVER_NAME: usize = 253;
/// Characters in the local part of a user's name.
pub const LOCAL_NAME: usize = 64;
