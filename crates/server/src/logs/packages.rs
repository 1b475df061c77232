//! Key packages (RFC 9420 §10; RFC 9750 §5): a device brings them, others claim them. Each is verified where it comes in, so that what is kept can be
//! used; whoever claims verifies it again, for this server's word is not what they rest on.

use super::sequencer::Job;
use super::view::View;
use super::{Logs, Origin};
use crate::store::{KeyPackage, Owner, Questions, Stock, Wanted};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Instant;
use tidings_proto::frame::ClaimedKeyPackage;
use tidings_proto::{Code, DecodeError, DeviceKey, Refusal, UserName, limits};
use tidings_trust::KeyState;
use tidings_trust::mls::key_package;
use tokio::sync::broadcast;

/// What a device has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Key packages that are handed out once each.
    pub single_use: u32,
    /// Whether there is one of last resort.
    pub last_resort: bool,
}

impl From<&Stock> for Left {
    fn from(stock: &Stock) -> Left {
        Left { single_use: stock.single_use, last_resort: stock.last_resort.is_some() }
    }
}

/// A claim has left a device of this server so few key packages that it should bring more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Low {
    /// Whose device.
    pub user: UserName,
    /// Which.
    pub device: DeviceKey,
    /// What it has left.
    pub left: Left,
}

/// Whether these bytes are a key package of a device by its user's newest list, and of this kind. Every one passes here where it comes in: from
/// the device whose it is, and from a peer that has handed it out.
pub fn is_key_package(package: &[u8], last_resort: bool, device: &DeviceKey, keys: &KeyState) -> Result<(), Refusal> {
    let (size, limit) = (package.len(), limits::KEY_PACKAGE);
    if size > limit {
        return Err(DecodeError::TooLarge { size, limit }.into());
    }
    let wrong = |why: &dyn std::fmt::Display| Refusal::new(Code::Malformed, format!("this is no key package of the device's: {why}"));
    let read = key_package(package, device, keys).map_err(|error| wrong(&error))?;
    match (read.last_resort(), last_resort) {
        (true, false) => Err(wrong(&"it is of last resort, and was brought to be used once")),
        (false, true) => Err(wrong(&"it is to be used once, and was brought as the one of last resort")),
        _ => Ok(()),
    }
}

/// Whether a claim names devices as it should: some, not too many, and each once.
fn are_some_devices(devices: &[DeviceKey]) -> Result<(), Refusal> {
    let (size, limit) = (devices.len(), limits::DEVICES);
    if size > limit {
        return Err(Refusal::new(Code::TooLarge, format!("key packages of {size} devices where at most {limit} are claimed at once")));
    }
    let is_again = |(at, device): (usize, &DeviceKey)| devices[..at].contains(device);
    if devices.is_empty() || devices.iter().enumerate().any(is_again) {
        return Err(Refusal::new(Code::Malformed, "a claim names devices, and each once"));
    }
    Ok(())
}

impl View {
    /// Whether whoever the link has proved may claim in the name of `by`: a peer, for its own users; a device, for its own.
    fn may_claim(&self, origin: &Origin, by: &UserName) -> Result<(), Refusal> {
        match origin {
            Origin::Device { user, .. } if user == by => Ok(()),
            Origin::Peer(peer) if by.server() == peer => Ok(()),
            _ => Err(Refusal::new(Code::Forbidden, "key packages are claimed in one's own name only")),
        }
    }
}

impl Logs {
    /// Keeps more key packages of one of the user's devices: single-use ones, and one of last resort in the place of the one before. Those
    /// that are here, or were, are passed over. All of them are durable, or none is.
    pub async fn put_key_packages(
        &self,
        user: &UserName,
        device: &DeviceKey,
        packages: Vec<Bytes>,
        last_resort: Option<Bytes>,
    ) -> Result<Left, Refusal> {
        let owner = Owner { user: user.clone(), device: *device };
        if packages.is_empty() && last_resort.is_none() {
            return self.key_packages_left(owner).await;
        }
        if packages.len() > limits::KEY_PACKAGES {
            return Err(too_many());
        }
        self.view.limiter.writes(user, device, Instant::now())?;
        let keys = self.view.directory.state(user).filter(|keys| keys.device(device).is_some()).ok_or(Code::Revoked)?;
        packages.iter().try_for_each(|package| is_key_package(package, false, device, &keys))?;
        last_resort.iter().try_for_each(|package| is_key_package(package, true, device, &keys))?;
        let single_use = packages.into_iter().map(|package| KeyPackage::new(package, false));
        let offered = single_use.chain(last_resort.map(|package| KeyPackage::new(package, true))).collect();
        self.ask(|reply| Job::PutKeyPackages { owner, offered, reply }).await
    }

    /// What a device has left.
    async fn key_packages_left(&self, owner: Owner) -> Result<Left, Refusal> {
        let questions = Questions { stocks: BTreeMap::from([(owner, Wanted::default())]), ..Questions::default() };
        Ok(self.store.look_up(questions).await?.stocks.first().map(Left::from).ok_or(Code::Internal)?)
    }

    /// Hands out one key package for each of these devices of `user`, who is of this server, to `by`. Devices that have none, or are not
    /// listed, are left out. What is handed out once only is forgotten, durably, before this returns.
    pub async fn claim_key_packages(
        &self,
        origin: &Origin,
        by: &UserName,
        user: UserName,
        devices: Vec<DeviceKey>,
    ) -> Result<Vec<ClaimedKeyPackage>, Refusal> {
        self.view.may_claim(origin, by)?;
        are_some_devices(&devices)?;
        if user.server() != &self.view.me {
            return Err(Refusal::new(Code::WrongServer, format!("{} has key packages of its own users only", self.view.me)));
        }
        let peer = if let Origin::Peer(peer) = origin { Some(peer) } else { None };
        self.view.limiter.claims_here(by, &user, peer, Instant::now())?;
        self.ask(|reply| Job::ClaimKeyPackages { user, devices, reply }).await
    }

    /// Whether a claim of a user of this server's may go out to the peer whose user `user` is.
    pub fn passes_claim_on(&self, by: &UserName, user: &UserName, devices: &[DeviceKey]) -> Result<(), Refusal> {
        are_some_devices(devices)?;
        self.view.limiter.claims(by, user, Instant::now())
    }

    /// Which devices should bring more key packages, from now on.
    pub fn low(&self) -> broadcast::Receiver<Low> {
        self.low.subscribe()
    }
}

/// More single-use ones than a device may have.
pub fn too_many() -> Refusal {
    Refusal::new(Code::Full, format!("more than {} single-use key packages of one device", limits::KEY_PACKAGES))
}
