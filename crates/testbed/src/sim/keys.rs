//! Whether the keys of rooms on MLS (RFC 9420) are what they should be: every device that has an epoch's keys has the same ones, namely
//! those of the commit that its hub has taken, and no key has sealed two messages that left a device.
//!
//! It reads what devices keep and what they send, and works out by itself what the standard says of it: whoever makes these bytes is not asked.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Nonce};
use bytes::Bytes;
use hkdf::Hkdf;
use serde::Deserialize;
use sha2::Sha256;
use std::collections::BTreeMap;
use tidings_proto::{Hash, RoomId};
use tidings_trust::mls::Codec;

/// MLSMessage: `mls10`, and which of its kinds (RFC 9420 §6).
const PRIVATE_MESSAGE: [u8; 4] = [0, 1, 0, 2];
const GROUP_INFO: [u8; 4] = [0, 1, 0, 4];

/// Which key: room, epoch, leaf and generation.
type Key = (RoomId, u64, u32, u32);

/// What is known of all devices' keys.
#[derive(Default)]
pub struct Keys {
    epochs: BTreeMap<(RoomId, u64), Epoch>,
    /// What has left devices, each once, and by whom it was sealed.
    sealed: BTreeMap<Hash, (Bytes, String)>,
    /// Key packages that were handed out, and to whom.
    packages: BTreeMap<Hash, String>,
    /// What was looked at already, by device and place.
    seen: BTreeMap<(usize, Vec<u8>), (Hash, u64)>,
}

/// The keys of a room's epoch, as the first device had them that was found to have them.
struct Epoch {
    of: String,
    /// The encoded GroupContext: room, epoch, tree, and all commits until here.
    context: Vec<u8>,
    sender_data: Vec<u8>,
    confirmation: Vec<u8>,
}

/// What a device keeps of the secrets of a group's messages: as much of OpenMLS's own form as is looked at. Those of past epochs are not: of
/// the epoch before it has come in on its own a device has something there that is nobody's.
#[derive(Deserialize)]
struct Kept {
    message_secrets: Secrets,
}

#[derive(Deserialize)]
struct Secrets {
    sender_data_secret: Secret,
    confirmation_key: Secret,
    serialized_context: Vec<u8>,
}

#[derive(Deserialize)]
struct Secret {
    secret: Value,
}

#[derive(Deserialize)]
struct Value {
    value: Octets,
}

#[derive(Deserialize)]
struct Octets {
    vec: Vec<u8>,
}

impl Secret {
    fn into_bytes(self) -> Vec<u8> {
        self.secret.value.vec
    }
}

impl Keys {
    /// A device keeps these values of its groups' secrets, and is in the epochs of `at`. What is wrong with that.
    pub fn keeps(&mut self, device: usize, name: &str, values: BTreeMap<Vec<u8>, Vec<u8>>, at: &BTreeMap<RoomId, u64>) -> Vec<String> {
        let mut wrong = Vec::new();
        for (key, value) in values {
            let Ok(kept) = Codec::decode::<Kept>(&value) else {
                wrong.push(format!("what {name} keeps of a group cannot be read"));
                continue;
            };
            let Some((room, epoch)) = place(&kept.message_secrets.serialized_context) else { continue };
            // Of a group that is yet to begin, or to be come into, nothing counts.
            let Some(now) = at.get(&room) else { continue };
            let seen = (Hash::of(&value), *now);
            if self.seen.insert((device, key), seen) == Some(seen) {
                continue;
            }
            if epoch != *now {
                wrong.push(format!("{name} has the keys of {epoch} where it is in epoch {now}"));
            }
            wrong.extend(self.has(name, kept.message_secrets));
        }
        wrong
    }

    fn has(&mut self, name: &str, secrets: Secrets) -> Option<String> {
        let at = place(&secrets.serialized_context)?;
        let (sender_data, confirmation) = (secrets.sender_data_secret.into_bytes(), secrets.confirmation_key.into_bytes());
        let now = Epoch { of: name.to_owned(), context: secrets.serialized_context, sender_data, confirmation };
        let Some(first) = self.epochs.get(&at) else {
            self.epochs.insert(at, now);
            return None;
        };
        let same = (&first.context, &first.sender_data, &first.confirmation) == (&now.context, &now.sender_data, &now.confirmation);
        (!same).then(|| format!("epoch {} of {} is forked: {} has other keys than {name}", at.1, at.0, first.of))
    }

    /// Something that was sealed has left a device.
    pub fn leaves(&mut self, name: &str, body: &Bytes) {
        if body.starts_with(&PRIVATE_MESSAGE) {
            self.sealed.entry(Hash::of(body)).or_insert_with(|| (body.clone(), name.to_owned()));
        }
    }

    /// A key package has come to somebody who has claimed it. What is wrong with that.
    pub fn handed_out(&mut self, to: &str, package: &[u8]) -> Option<String> {
        let before = self.packages.insert(Hash::of(package), to.to_owned())?;
        Some(format!("{to} has got a key package that {before} had got before"))
    }

    /// A commit stands in its log with this GroupInfo: whoever has the keys of its epoch has those.
    pub fn stands(&self, group_info: &[u8]) -> Option<String> {
        let told = group_info.strip_prefix(&GROUP_INFO)?;
        let (room, epoch) = place(told)?;
        let known = self.epochs.get(&(room, epoch))?;
        let same = told.starts_with(&known.context);
        (!same).then(|| format!("epoch {epoch} of {room} is forked: {} has other keys than its hub has taken", known.of))
    }

    /// How many messages have left devices, and what is wrong with their keys.
    pub fn judge(&self) -> (u64, Vec<String>) {
        let (mut used, mut wrong): (BTreeMap<Key, &str>, _) = (BTreeMap::new(), Vec::new());
        for (body, by) in self.sealed.values() {
            match self.key_of(body) {
                Some(key) => {
                    if let Some(other) = used.insert(key, by) {
                        let (room, epoch, leaf, generation) = key;
                        wrong.push(format!(
                            "{by} and {other} have sealed two messages by key {generation} of leaf {leaf} in epoch {epoch} of {room}"
                        ));
                    }
                }
                None => wrong.push(format!("nobody knows by which key {by} has sealed a message")),
            }
        }
        (used.len() as u64, wrong)
    }

    /// By which key a message was sealed (RFC 9420 §6.3.2).
    fn key_of(&self, body: &[u8]) -> Option<Key> {
        let mut at = &body[PRIVATE_MESSAGE.len()..];
        let room = vector(&mut at)?;
        let epoch = u64::from_be_bytes(take(&mut at, 8)?.try_into().ok()?);
        let kind = take(&mut at, 1)?[0];
        vector(&mut at)?;
        let (sealed, ciphertext) = (vector(&mut at)?, vector(&mut at)?);
        let id = RoomId::from_slice(room)?;
        let secret = &self.epochs.get(&(id, epoch))?.sender_data;
        let sample = ciphertext.get(..32).unwrap_or(ciphertext);
        let (key, nonce) = (expand(secret, "key", sample, 16)?, expand(secret, "nonce", sample, 12)?);
        let aad = [&[room.len() as u8][..], room, &epoch.to_be_bytes(), &[kind]].concat();
        let opened = Aes128Gcm::new_from_slice(&key).ok()?.decrypt(Nonce::from_slice(&nonce), Payload { msg: sealed, aad: &aad }).ok()?;
        let mut at = &opened[..];
        let (leaf, generation) = (take(&mut at, 4)?, take(&mut at, 4)?);
        Some((id, epoch, u32::from_be_bytes(leaf.try_into().ok()?), u32::from_be_bytes(generation.try_into().ok()?)))
    }
}

/// ExpandWithLabel (RFC 9420 §8).
fn expand(secret: &[u8], label: &str, context: &[u8], length: u16) -> Option<Vec<u8>> {
    let label = format!("MLS 1.0 {label}");
    let info = [&length.to_be_bytes()[..], &[label.len() as u8], label.as_bytes(), &[context.len() as u8], context].concat();
    let mut out = vec![0; usize::from(length)];
    Hkdf::<Sha256>::from_prk(secret).ok()?.expand(&info, &mut out).ok()?;
    Some(out)
}

/// Room and epoch of an encoded GroupContext (RFC 9420 §8.1).
fn place(mut context: &[u8]) -> Option<(RoomId, u64)> {
    take(&mut context, 4)?;
    let room = RoomId::from_slice(vector(&mut context)?)?;
    Some((room, u64::from_be_bytes(take(&mut context, 8)?.try_into().ok()?)))
}

fn take<'b>(at: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = at.split_at_checked(count)?;
    *at = rest;
    Some(taken)
}

/// A vector of variable size (RFC 9420 §2.1.2).
fn vector<'b>(at: &mut &'b [u8]) -> Option<&'b [u8]> {
    let first = *at.first()?;
    let (size, mask) = match first >> 6 {
        0 => (1, 0x3f),
        1 => (2, 0x3f),
        2 => (4, 0x3f),
        _ => return None,
    };
    let length = take(at, size)?
        .iter()
        .enumerate()
        .fold(0usize, |length, (n, byte)| length << 8 | usize::from(if n == 0 { byte & mask } else { *byte }));
    take(at, length)
}
