//! `rsa-jwe-1`: content signed by the device, then one JWE with a recipient per member, the author included.
//!
//! What is signed names the suite, room, author, device, n, list, epoch, roster and what the author had seen; so a message
//! cannot be moved, repeated, attributed to another, or sealed anew to others, without being noticed.

use super::{Changes, OpenContext, OpenError, Opened, Properties, SealContext, SealError, Suite, heard_seen, some_seen};
use crate::device::DeviceSecret;
use crate::jose::{self, Parsed};
use crate::rsa::RsaKeys;
use bytes::Bytes;
use minicbor::{Decode, Encode};
use tidings_proto::cbor::{self, raw};
use tidings_proto::{Content, DeviceKey, Draft, Hash, KeysSeen, Kind, RoomId, Signature, SuiteName, UserName, label, limits};
use tidings_trust::Roster;
use tidings_trust::ed25519::verify_device;
use tidings_trust::roster::{RosterError, RosterMember, Status};
use zeroize::Zeroizing;

/// The suite, with one account's keys on one device.
pub struct RsaJwe1<'a, K: RsaKeys> {
    /// The platform's RSA.
    pub keys: &'a K,
    /// Signs what is sealed.
    pub device: &'a DeviceSecret,
    /// The account's encryption keys by `kid`; old ones open old messages.
    pub decrypting: &'a [(String, K::Decrypting)],
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Signed {
    #[n(0)]
    suite: SuiteName,
    #[n(1)]
    room: RoomId,
    #[n(2)]
    author: UserName,
    #[n(3)]
    device: DeviceKey,
    #[n(4)]
    n: u64,
    #[n(5)]
    list: u64,
    #[n(6)]
    epoch: u64,
    #[n(7)]
    roster: Hash,
    #[n(8)]
    seen_seq: u64,
    #[n(9)]
    seen_hash: Hash,
    #[n(10)]
    content: Content,
    #[n(11)]
    keys_seen: Option<Vec<KeysSeen>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Plaintext {
    #[cbor(n(0), with = "raw")]
    signed: Bytes,
    #[n(1)]
    sig: Signature,
}

fn signed_bytes(signed: &[u8]) -> Vec<u8> {
    let mut out = label::marked(label::SEALED);
    out.extend_from_slice(signed);
    out
}

impl<K: RsaKeys> Suite for RsaJwe1<'_, K> {
    fn properties(&self) -> Properties {
        Properties {
            name: SuiteName::RsaJwe1,
            forward_secrecy: false,
            healing: false,
            post_quantum: false,
            max_members: limits::RSA_MEMBERS,
            words: "Classic RSA. Every message is locked to each member's key. Whoever later gets a member's key can read the stored \
                    messages. No protection against quantum computers.",
        }
    }

    async fn seal(&self, context: &SealContext<'_>, content: &Content) -> Result<(Bytes, Changes), SealError> {
        let members: Vec<_> = readers(context.roster).collect();
        if members.len() > limits::RSA_MEMBERS {
            return Err(SealError::TooManyMembers(limits::RSA_MEMBERS));
        }
        // Nobody would decode a longer one.
        if content.text.len() > limits::TEXT {
            return Err(SealError::TooLarge);
        }
        let same = members.iter().map(|member| member.encryption).eq(context.keys.iter().map(|key| Some(key.thumbprint())));
        if !same || !members.iter().any(|member| member.user == *context.author) {
            return Err(SealError::WrongKeys);
        }
        let signed: Bytes = cbor::encode(&Signed {
            suite: SuiteName::RsaJwe1,
            room: context.room,
            author: context.author.clone(),
            device: self.device.public(),
            n: context.n,
            list: context.list,
            epoch: context.epoch,
            roster: context.roster.hash(),
            seen_seq: context.seen.0,
            seen_hash: context.seen.1,
            content: content.clone(),
            keys_seen: some_seen(context.keys_seen),
        })
        .into();
        let sig = self.device.sign(&signed_bytes(&signed));
        let plaintext = Zeroizing::new(cbor::encode(&Plaintext { signed, sig }));
        let body = jose::encrypt(context.keys, &plaintext).map_err(|_| SealError::Key)?;
        // Room for the draft's own fields around the body.
        if body.len() > limits::DRAFT - 1024 {
            return Err(SealError::TooLarge);
        }
        Ok((body.into(), Changes::default()))
    }

    async fn open(&self, context: &OpenContext<'_>) -> Result<(Opened, Changes), OpenError> {
        let draft = context.draft;
        if draft.kind != Kind::Sealed {
            return Err(OpenError::NotAuthentic("it is not a sealed message"));
        }
        if draft.author != context.author.list.user {
            return Err(OpenError::NotAuthentic("it is held against another author's keys"));
        }
        if draft.list > context.author.list.version {
            return Err(OpenError::NotYet(draft.author.clone()));
        }
        if context.members.may_write(draft, context.author).is_err() {
            return Err(OpenError::NotAuthentic("its author is not a member of this room"));
        }
        if draft.epoch != Some(context.members.epoch()) {
            return Err(OpenError::NotAuthentic("it was written in another epoch"));
        }
        let parsed = Parsed::read(&draft.body).map_err(|_| OpenError::NotAuthentic("it is not of this room's suite"))?;
        let roster = roster_of(&parsed, context)?;
        let plaintext = self.decrypt(&parsed).await?;
        let plaintext: Plaintext = cbor::decode(&plaintext, limits::DRAFT).map_err(|_| OpenError::NotAuthentic("it cannot be read"))?;
        let signed: Signed = cbor::decode(&plaintext.signed, limits::DRAFT).map_err(|_| OpenError::NotAuthentic("it cannot be read"))?;
        if !context.author.named_in(&signed.device, signed.list) {
            return Err(OpenError::NotAuthentic("its device is not one of its author's"));
        }
        verify_device(&signed.device, &signed_bytes(&plaintext.signed), &plaintext.sig)
            .map_err(|_| OpenError::NotAuthentic("its signature is not valid"))?;
        belongs(&signed, draft, context, &roster)?;
        let opened = Opened {
            content: signed.content,
            author: context.author.list.user.clone(),
            device: signed.device,
            n: signed.n,
            seen: (signed.seen_seq, signed.seen_hash),
            keys_seen: heard_seen(signed.keys_seen),
        };
        Ok((opened, Changes::default()))
    }
}

impl<K: RsaKeys> RsaJwe1<'_, K> {
    async fn decrypt(&self, parsed: &Parsed) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        // It is known to be locked to one of this account's keys.
        let ours = self.decrypting.iter().find(|(kid, _)| parsed.kids().any(|theirs| theirs == kid));
        let (kid, key) = ours.ok_or(OpenError::Locked)?;
        parsed.open(self.keys, kid, key).await.map_err(|_| OpenError::Undecryptable)
    }
}

/// Holds what was signed against where the message was found.
fn belongs(signed: &Signed, draft: &Draft, context: &OpenContext<'_>, roster: &Roster) -> Result<(), OpenError> {
    let checks = [
        (signed.suite == SuiteName::RsaJwe1, "it was sealed for another suite"),
        (signed.room == context.room, "it was written for another room"),
        (signed.author == draft.author, "it was written by somebody else"),
        (signed.device == draft.device, "it was written on another device"),
        (signed.n == draft.n, "it was written as another message"),
        (signed.list == draft.list, "it was written under another device list"),
        (Some(signed.epoch) == draft.epoch, "it was written in another epoch"),
        (signed.roster == roster.hash(), "it was written to other members, or under other keys"),
    ];
    match checks.iter().find(|(holds, _)| !holds) {
        Some((_, why)) => Err(OpenError::NotAuthentic(why)),
        None => Ok(()),
    }
}

/// Who a message is locked to: who is in, not who is only asked in.
fn readers(roster: &Roster) -> impl Iterator<Item = &RosterMember> {
    roster.members().iter().filter(|member| member.status == Status::Member)
}

/// The roster that a message was sealed to: the keys that it is locked with say which.
fn roster_of(parsed: &Parsed, context: &OpenContext<'_>) -> Result<Roster, OpenError> {
    use base64::Engine;
    let thumbprint = |kid: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(kid).ok().and_then(|bytes| Hash::from_slice(&bytes));
    let other_members = OpenError::NotAuthentic("it is not locked to exactly this room's members");
    let locked_to: Option<Vec<Hash>> = parsed.kids().map(thumbprint).collect();
    Roster::to_open(context.members, &locked_to.ok_or(other_members.clone())?, &|user| (context.keys)(user)).map_err(|error| match error {
        RosterError::NotYet(user) => OpenError::NotYet(user),
        RosterError::Lost(_) | RosterError::OtherMembers => other_members,
    })
}
