//! What may follow what in a key history.

use super::{KeyState, KeysError, Span, VersionKeys};
use crate::device_list::{DeviceList, LIST_LIMIT, SIGNED_LIMIT, SignedList, rotation_bytes, signed_bytes};
use crate::drafts::check_signed;
use crate::ed25519::verify_server;
use crate::rsa::RsaPublicKey;
use std::collections::HashSet;
use std::sync::Arc;
use tidings_proto::draft::Gone;
use tidings_proto::frame::Grant;
use tidings_proto::{DeviceKey, Draft, Encoded, Kind, LogName, ServerKey, cbor, limits};

impl KeyState {
    /// The state after `draft`, entry `seq` of `log`, given the one before. `server` is the key of the user's server, where it
    /// is known: where not, its word is taken for what it says, and only a person can tell a false one.
    pub fn apply(
        before: Option<&KeyState>,
        log: &LogName,
        seq: u64,
        draft: &Encoded<Draft>,
        server: Option<&ServerKey>,
    ) -> Result<KeyState, KeysError> {
        KeyState::next(before, log, seq, draft, Proof::Needed(server))
    }

    /// The same of an entry that [`KeyState::apply`] has let in before, and that has been in nobody else's hands since: its
    /// signatures are not verified again.
    pub fn replay(before: Option<&KeyState>, log: &LogName, seq: u64, draft: &Encoded<Draft>) -> Result<KeyState, KeysError> {
        KeyState::next(before, log, seq, draft, Proof::Given)
    }

    fn next(before: Option<&KeyState>, log: &LogName, seq: u64, draft: &Encoded<Draft>, proof: Proof<'_>) -> Result<KeyState, KeysError> {
        if *log != LogName::Keys(draft.author.server().clone()) || before.is_some_and(|before| before.list.user != draft.author) {
            return Err(KeysError::WrongUser);
        }
        if before.is_some_and(|before| before.closed) {
            return Err(KeysError::Closed);
        }
        if before.is_some_and(|before| seq <= before.seq) {
            return Err(KeysError::RolledBack);
        }
        match (before, draft.kind) {
            (Some(before), Kind::Gone) => close(before, log, seq, draft, proof),
            (None, Kind::First) | (Some(_), Kind::List | Kind::Rotate | Kind::Reset) => next_list(before, log, seq, draft, proof),
            _ => Err(KeysError::WrongKind),
        }
    }
}

/// What is asked of whoever says something about keys.
#[derive(Clone, Copy)]
enum Proof<'a> {
    /// Signatures; with the key of the user's server, where it is known.
    Needed(Option<&'a ServerKey>),
    /// Nothing: they were verified before.
    Given,
}

fn next_list(before: Option<&KeyState>, log: &LogName, seq: u64, draft: &Encoded<Draft>, proof: Proof<'_>) -> Result<KeyState, KeysError> {
    let signed: SignedList = cbor::decode(&draft.body, SIGNED_LIMIT).map_err(|_| KeysError::Malformed)?;
    let list: DeviceList = cbor::decode(&signed.list, LIST_LIMIT).map_err(|_| KeysError::Malformed)?;
    if list.user != draft.author {
        return Err(KeysError::WrongUser);
    }
    follows(before, draft, &list)?;
    is_sound(draft, &list)?;
    if before.is_some_and(|before| !has_new_keys(before, &list)) {
        return Err(KeysError::OldKey);
    }
    if let Proof::Needed(server) = proof {
        check_signed(log, draft).map_err(|_| KeysError::BadSignature)?;
        list.identity.verify_pss(&signed_bytes(&signed.list), &signed.sig).map_err(|_| KeysError::BadSignature)?;
        if let Some(before) = before {
            agreed(before, draft, &list, &signed, server)?;
        }
    }
    Ok(KeyState {
        list_hash: signed.hash(),
        seq,
        closed: false,
        spans: next_spans(before, &list),
        keys: next_keys(before, draft.kind, &list),
        list: Arc::new(list),
    })
}

/// Version and hash continue those before.
fn follows(before: Option<&KeyState>, draft: &Draft, list: &DeviceList) -> Result<(), KeysError> {
    let Some(before) = before else {
        return if list.version == 1 && list.prev.is_none() { Ok(()) } else { Err(KeysError::WrongVersion) };
    };
    if list.version <= before.list.version {
        return Err(KeysError::RolledBack);
    }
    if list.version != before.list.version + 1 || list.prev != Some(before.list_hash) {
        return Err(KeysError::WrongVersion);
    }
    // A rotation or reset to the same identity would say something that is not so.
    if (list.identity == before.list.identity) == (draft.kind == Kind::List) { Ok(()) } else { Err(KeysError::WrongIdentity) }
}

/// What every list must be, whatever came before it.
fn is_sound(draft: &Draft, list: &DeviceList) -> Result<(), KeysError> {
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
    Ok(())
}

/// A key that was given up may be in anybody's hands: it does not come back, in neither use. So an encryption key says whose
/// identity it belonged to, and an account that is not somebody's any more will never be again.
fn has_new_keys(before: &KeyState, list: &DeviceList) -> bool {
    let last = before.newest();
    let is_new = |key: &RsaPublicKey| !before.keys.iter().any(|keys| keys.identity == *key || keys.encryption == *key);
    let same_identity = list.identity == last.identity;
    (same_identity || is_new(&list.identity)) && (same_identity && list.encryption == last.encryption || is_new(&list.encryption))
}

/// Whoever has to agree to another identity has agreed.
fn agreed(before: &KeyState, draft: &Draft, list: &DeviceList, signed: &SignedList, server: Option<&ServerKey>) -> Result<(), KeysError> {
    match draft.kind {
        Kind::Rotate => {
            let by_old = signed.by_old.as_ref().ok_or(KeysError::BadSignature)?;
            before.list.identity.verify_pss(&rotation_bytes(&signed.list), by_old).map_err(|_| KeysError::BadSignature)
        }
        Kind::Reset => {
            let grant = signed.grant.as_ref().ok_or(KeysError::BadGrant)?;
            let is_its = server.is_none_or(|server| grant.server == *server);
            let is_for_this = grant.version == list.version && grant.prev == before.list_hash;
            // Nobody knows who holds the devices there were.
            if !is_its || !is_for_this || list.devices.len() != 1 {
                return Err(KeysError::BadGrant);
            }
            let bytes = Grant::signed_bytes(&list.user, grant.version, &grant.prev, &draft.device);
            verify_server(&grant.server, &bytes, &grant.sig).map_err(|_| KeysError::BadGrant)
        }
        _ => Ok(()),
    }
}

fn close(before: &KeyState, log: &LogName, seq: u64, draft: &Encoded<Draft>, proof: Proof<'_>) -> Result<KeyState, KeysError> {
    let gone: Gone = cbor::decode(&draft.body, SIGNED_LIMIT).map_err(|_| KeysError::Malformed)?;
    if gone.prev != before.list_hash || draft.list != before.list.version {
        return Err(KeysError::WrongVersion);
    }
    if let Proof::Needed(server) = proof {
        if server.is_some_and(|server| server.0 != draft.device.0) {
            return Err(KeysError::BadGrant);
        }
        check_signed(log, draft).map_err(|_| KeysError::BadGrant)?;
    }
    Ok(KeyState { seq, closed: true, ..before.clone() })
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

fn next_keys(before: Option<&KeyState>, kind: Kind, list: &DeviceList) -> Arc<[VersionKeys]> {
    let last = before.map(KeyState::newest);
    match (before, last) {
        (Some(before), Some(last)) if last.identity == list.identity && last.encryption == list.encryption => before.keys.clone(),
        _ => {
            let person = last.filter(|_| kind != Kind::Reset).map_or(list.version, |last| last.person);
            let new = VersionKeys { from: list.version, person, identity: list.identity.clone(), encryption: list.encryption.clone() };
            before.iter().flat_map(|before| before.keys.iter().cloned()).chain([new]).collect()
        }
    }
}
