//! Key packages: this device's own, which its server hands out, and those of others, by which they are added while they are away.

use super::{Asked, Engine};
use crate::ClientError;
use crate::crypto::mls::Add;
use crate::platform::Instant;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidings_e2ee::mls::State;
use tidings_proto::frame::{KeyPackageClaim, KeyPackages, KeyPackagesLeft, KeyPackagesPut};
use tidings_proto::{DeviceKey, LogName, Refusal, SuiteName, UserName, limits};
use tidings_trust::KeyState;
use tidings_trust::mls::{Tree, key_package};

/// A device that had no key package is asked for again after this.
const AGAIN: Duration = Duration::from_secs(300);
/// A server that could not be asked is asked again after this; doubled up to [`AGAIN`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A device without key packages is asked for so often as if its server could not be asked: it may be so new that it is about to bring some.
const NEW: u32 = 4;

/// What this link knows of key packages.
#[derive(Default)]
pub(super) struct Packages {
    /// What this device's server has left, where that is to be looked at.
    left: Option<(u32, bool)>,
    claims: HashMap<DeviceKey, Claim>,
    /// How often a device was asked for in vain.
    tries: HashMap<DeviceKey, u32>,
    /// How often a commit was refused in a log, and when the next may be made.
    refused: HashMap<LogName, (u32, Instant)>,
}

/// One device's key package.
enum Claim {
    /// It is asked for.
    Asked,
    /// Here it is.
    Here(Bytes),
    /// There is none; it is asked for again then.
    None(Instant),
    /// Its server could not be asked; it is again then.
    Unheard(Instant),
}

/// Who can be added.
pub(super) struct Adds {
    /// These.
    pub adds: Vec<Add>,
    /// Whether some are on their way.
    pub waits: bool,
    /// Whether some cannot be had now, and may be later.
    pub unheard: bool,
}

impl Packages {
    /// A commit was refused for good: another one is made later, for what its judge knows may be old.
    pub fn refused(&mut self, log: &LogName, now: Instant) {
        let (refusals, again) = self.refused.entry(log.clone()).or_insert((0, now));
        *again = now + FIRST_PAUSE.saturating_mul(1 << (*refusals).min(10)).min(AGAIN);
        *refusals = refusals.saturating_add(1);
    }

    /// Whether a commit may be made in a log now.
    pub fn may_commit(&self, log: &LogName, now: Instant) -> bool {
        self.refused.get(log).is_none_or(|(_, again)| *again <= now)
    }

    /// A device was asked for in vain: how often that was so before, and the pause until it is asked for again.
    fn pause(&mut self, device: DeviceKey) -> (u32, Duration) {
        let tries = self.tries.entry(device).or_default();
        let before = *tries;
        *tries = before.saturating_add(1);
        (before, FIRST_PAUSE.saturating_mul(1 << before.min(10)).min(AGAIN))
    }

    /// What was handed out for a device and is no key package of its is as good as none.
    fn drop_forged(&mut self, device: &DeviceKey, keys: &KeyState, now: Instant) {
        let Some(claim @ Claim::Here(_)) = self.claims.get_mut(device) else { return };
        if let Claim::Here(package) = claim
            && let Err(error) = key_package(package, device, keys)
        {
            tracing::warn!(%error, user = %keys.list.user, "a key package cannot be used");
            *claim = Claim::None(now + AGAIN);
        }
    }

    /// When there is something to do.
    pub fn wake_at(&self) -> Option<Instant> {
        let again = self.claims.values().filter_map(|claim| if let Claim::Unheard(at) = claim { Some(*at) } else { None });
        again.chain(self.refused.values().map(|(_, at)| *at)).min()
    }

    /// What has become due: a refused commit may be made again.
    pub fn tick(&mut self, now: Instant) {
        self.claims.retain(|_, claim| !matches!(claim, Claim::Unheard(at) if *at <= now));
        self.refused.retain(|_, (_, again)| *again > now);
    }
}

impl Engine {
    /// Asks what this device's server has left of its key packages.
    pub(super) fn ask_left(&mut self) {
        let req = self.ask(Asked::Left);
        self.out.push(KeyPackagesPut { req, packages: Vec::new(), last_resort: None }.into());
    }

    /// What is left, as its server says.
    pub(super) fn left(&mut self, left: &KeyPackagesLeft) {
        self.asked.remove(&left.req);
        self.packages.left = Some((left.single_use, left.last_resort));
        self.core.addable.send_replace(left.single_use > 0 || left.last_resort);
    }

    /// Makes key packages where there are too few: their secrets are kept before anybody can use one. With more of single use comes another one
    /// of last resort, for the one that is there may have been handed out, and then more than once.
    pub(super) async fn publish(&mut self) -> Result<(), ClientError> {
        let Some((single_use, last_resort)) = self.packages.left else { return Ok(()) };
        let mine = self.core.people().state(self.me());
        let mine = mine.filter(|mine| can_mls(mine, &self.core.crypto.device()));
        let Some(mine) = mine else { return Ok(()) };
        self.packages.left = None;
        let enough = usize::try_from(single_use).unwrap_or(usize::MAX) > limits::KEY_PACKAGES_REFILL;
        let count = if enough { 0 } else { limits::KEY_PACKAGES.saturating_sub(single_use as usize) };
        if count == 0 && last_resort {
            return Ok(());
        }
        let (crypto, list) = (self.core.crypto.clone(), mine.list.version);
        let made = self.core.stored(move |store| {
            let read = |key: &[u8]| store.suite_state(key);
            let state = State::new(&read);
            let bug = |error: tidings_e2ee::mls::MlsError| ClientError::OurBug(error.to_string());
            let (packages, changes) = crypto.key_packages(&state, list, count, false).map_err(bug)?;
            let (last, more) = crypto.key_packages(&state, list, 1, true).map_err(bug)?;
            store.suite_changed(&[changes.0, more.0].concat())?;
            Ok((packages, last))
        });
        let (packages, last) = made.await?;
        let req = self.ask(Asked::Published);
        self.out.push(KeyPackagesPut { req, packages, last_resort: last.into_iter().next() }.into());
        Ok(())
    }

    /// The devices of these people that can be added to a tree: those that can do MLS and are not in it. What is not here is asked for.
    pub(super) fn adds(&mut self, people: &[Arc<KeyState>], tree: Option<&Tree>, now: Instant) -> Adds {
        let mut found = Adds { adds: Vec::new(), waits: false, unheard: false };
        for keys in people {
            let mut wanted = Vec::new();
            for device in self.missing(keys, tree) {
                self.packages.drop_forged(&device, keys, now);
                match self.packages.claims.get(&device) {
                    _ if found.adds.len() >= limits::MLS_ADDS => {}
                    Some(Claim::Asked) => found.waits = true,
                    Some(Claim::None(again)) if *again > now => {}
                    Some(Claim::Unheard(again)) if *again > now => found.unheard = true,
                    Some(Claim::Here(package)) => found.adds.push(Add { device, package: package.clone(), keys: keys.clone() }),
                    None | Some(Claim::None(_) | Claim::Unheard(_)) => wanted.push(device),
                }
            }
            if !wanted.is_empty() {
                found.waits = true;
                self.claim(&keys.list.user, wanted);
            }
        }
        found
    }

    /// A user's devices that can do MLS, are not in a tree, and are not this one.
    pub(super) fn missing(&self, keys: &KeyState, tree: Option<&Tree>) -> Vec<DeviceKey> {
        let is_in = |device: &DeviceKey| tree.is_some_and(|tree| tree.leaves().iter().any(|leaf| leaf.device == *device));
        let devices = keys.list.devices.iter().map(|device| device.key).filter(|_| !keys.closed);
        devices.filter(|device| can_mls(keys, device) && !is_in(device) && *device != self.core.crypto.device()).collect()
    }

    /// Whether a device that is missing may be had: it was not asked for, or has answered.
    pub(super) fn may_be_had(&self, device: &DeviceKey, now: Instant) -> bool {
        match self.packages.claims.get(device) {
            None | Some(Claim::Here(_)) => true,
            // Whoever waits for it is told.
            Some(Claim::Asked) => false,
            Some(Claim::None(again) | Claim::Unheard(again)) => *again <= now,
        }
    }

    /// These key packages are used, each once.
    pub(super) fn used(&mut self, adds: &[Add]) {
        for add in adds {
            self.packages.claims.remove(&add.device);
        }
    }

    fn claim(&mut self, user: &UserName, devices: Vec<DeviceKey>) {
        self.packages.claims.extend(devices.iter().map(|device| (*device, Claim::Asked)));
        let req = self.ask(Asked::Claim(devices.clone()));
        self.out.push(KeyPackageClaim { req, user: user.clone(), devices, by: None }.into());
    }

    /// Key packages have come.
    pub(super) fn claimed(&mut self, reply: KeyPackages, now: Instant) {
        let Some(Asked::Claim(devices)) = self.asked.remove(&reply.req) else { return };
        for device in devices {
            let here = reply.packages.iter().find(|package| package.device == device).map(|found| Claim::Here(found.package.clone()));
            let claim = here.unwrap_or_else(|| match self.packages.pause(device) {
                (tries, pause) if tries < NEW => Claim::Unheard(now + pause),
                _ => Claim::None(now + AGAIN),
            });
            self.packages.claims.insert(device, claim);
        }
    }

    /// None have: their server could not be asked, or will not be asked so often.
    pub(super) fn not_claimed(&mut self, devices: Vec<DeviceKey>, why: &Refusal, now: Instant) {
        tracing::debug!(code = why.code.name(), "no key packages");
        for device in devices {
            let asked = Duration::from_secs(why.retry_after.unwrap_or(0).min(3600));
            let (_, pause) = self.packages.pause(device);
            self.packages.claims.insert(device, Claim::Unheard(now + pause.max(asked)));
        }
    }
}

/// Whether a user's newest list has a device that can do MLS.
pub(super) fn can_mls(keys: &KeyState, device: &DeviceKey) -> bool {
    keys.device(device).is_some_and(|device| device.suites.contains(&SuiteName::Mls1))
}
