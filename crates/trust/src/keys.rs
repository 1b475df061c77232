//! One user's key history: each device list continues the one before, or is refused. Server and client judge by this one
//! function.

use crate::device_list::{Device, DeviceList, LIST_LIMIT, SIGNED_LIMIT, SignedList, signed_bytes};
use crate::ed25519::verify_device;
use std::collections::HashSet;
use std::sync::Arc;
use tidings_proto::draft::signed_bytes as draft_signed_bytes;
use tidings_proto::{DeviceKey, Draft, Encoded, Hash, Kind, LogName, cbor, limits};

/// Where a user's key history stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// The newest device list.
    pub list: Arc<DeviceList>,
    /// Its hash, which the next one must name.
    pub list_hash: Hash,
    /// Its place in `keys@`.
    pub seq: u64,
    /// Every earlier and present device with the version in which it came and, once gone, the first without it.
    spans: Arc<[Span]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    device: DeviceKey,
    from: u64,
    until: Option<u64>,
}

/// Why a draft does not continue a key history. Always its sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Not readable.
    #[error("the device list cannot be read")]
    Malformed,
    /// In another server's log, or about somebody else.
    #[error("the device list is about somebody else")]
    WrongUser,
    /// A first list where there is one, or a further one where there is none.
    #[error("a key history starts once, and only once")]
    WrongKind,
    /// Not the version after the last, or not naming it by hash.
    #[error("the device list does not follow the one before")]
    WrongVersion,
    /// Another identity.
    #[error("the device list has another identity")]
    WrongIdentity,
    /// One key for both uses.
    #[error("identity and encryption must be different keys")]
    SameKey,
    /// None, too many, or one twice.
    #[error("a device list names 1 to {} devices, each once", limits::DEVICES)]
    WrongDevices,
    /// Not submitted by a device that the list names.
    #[error("the device that submits a list must be in it")]
    NotListed,
    /// A signature does not verify.
    #[error("a signature of the device list does not verify")]
    BadSignature,
    /// Not newer than what is known: replayed, or rolled back.
    #[error("the device list is not newer than the one that is known")]
    RolledBack,
}

impl KeyState {
    /// The state after `draft`, entry `seq` of `log`, given the one before.
    pub fn apply(before: Option<&KeyState>, log: &LogName, seq: u64, draft: &Encoded<Draft>) -> Result<KeyState, KeysError> {
        if *log != LogName::Keys(draft.author.server().clone()) {
            return Err(KeysError::WrongUser);
        }
        let signed: SignedList = cbor::decode(&draft.body, SIGNED_LIMIT).map_err(|_| KeysError::Malformed)?;
        let list: DeviceList = cbor::decode(&signed.list, LIST_LIMIT).map_err(|_| KeysError::Malformed)?;
        if list.user != draft.author || before.is_some_and(|before| before.list.user != list.user) {
            return Err(KeysError::WrongUser);
        }
        follows(before, seq, draft, &list)?;
        let devices: HashSet<&DeviceKey> = list.devices.iter().map(|device| &device.key).collect();
        if devices.len() != list.devices.len() || !(1..=limits::DEVICES).contains(&devices.len()) {
            return Err(KeysError::WrongDevices);
        }
        if list.identity == list.encryption {
            return Err(KeysError::SameKey);
        }
        if draft.list != list.version || !devices.contains(&draft.device) {
            return Err(KeysError::NotListed);
        }
        let sig = draft.sig.as_ref().ok_or(KeysError::BadSignature)?;
        verify_device(&draft.device, &draft_signed_bytes(log, draft), sig).map_err(|_| KeysError::BadSignature)?;
        list.identity.verify_pss(&signed_bytes(&signed.list), &signed.sig).map_err(|_| KeysError::BadSignature)?;
        let spans = next_spans(before, &list);
        Ok(KeyState { list_hash: signed.hash(), list: Arc::new(list), seq, spans })
    }

    /// A device of the newest list.
    pub fn device(&self, key: &DeviceKey) -> Option<&Device> {
        self.list.devices.iter().find(|device| device.key == *key)
    }

    /// Whether device list `version` names `key`: what was written under an older list stays its author's.
    pub fn named_in(&self, key: &DeviceKey, version: u64) -> bool {
        version <= self.list.version
            && self.spans.iter().any(|span| span.device == *key && span.from <= version && span.until.is_none_or(|until| version < until))
    }
}

/// The rules of succession.
fn follows(before: Option<&KeyState>, seq: u64, draft: &Draft, list: &DeviceList) -> Result<(), KeysError> {
    match (before, draft.kind) {
        (None, Kind::First) if list.version == 1 && list.prev.is_none() => Ok(()),
        (None, Kind::First) => Err(KeysError::WrongVersion),
        (Some(before), Kind::List) if seq <= before.seq || list.version <= before.list.version => Err(KeysError::RolledBack),
        (Some(before), Kind::List) if list.version != before.list.version + 1 || list.prev != Some(before.list_hash) => {
            Err(KeysError::WrongVersion)
        }
        (Some(before), Kind::List) if list.identity != before.list.identity => Err(KeysError::WrongIdentity),
        (Some(_), Kind::List) => Ok(()),
        _ => Err(KeysError::WrongKind),
    }
}

fn next_spans(before: Option<&KeyState>, list: &DeviceList) -> Arc<[Span]> {
    let listed = |key: &DeviceKey| list.devices.iter().any(|device| device.key == *key);
    let mut spans: Vec<Span> = before.map(|before| before.spans.to_vec()).unwrap_or_default();
    for span in spans.iter_mut().filter(|span| span.until.is_none() && !listed(&span.device)) {
        span.until = Some(list.version);
    }
    for device in &list.devices {
        if !spans.iter().any(|span| span.until.is_none() && span.device == device.key) {
            spans.push(Span { device: device.key, from: list.version, until: None });
        }
    }
    spans.into()
}
