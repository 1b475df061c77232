//! Key packages: brought by their device, handed out once each, and withdrawn with the device.

use super::Batch;
use crate::logs::packages::{Left, too_many};
use crate::store::{Change, KeyPackage, Owner, Stock};
use std::collections::{BTreeMap, HashMap, HashSet};
use tidings_proto::frame::ClaimedKeyPackage;
use tidings_proto::{Code, DeviceKey, Hash, Kind, Refusal, UserName, limits};
use tidings_trust::KeyState;

/// What devices have, as this batch leaves it; asked of the store before for every device that a job names.
pub type Stocks = HashMap<Owner, Stock>;

impl Batch<'_> {
    /// More key packages of a device, which may have gone from the newest list since its link was let in.
    pub(super) fn put_key_packages(&mut self, owner: Owner, offered: Vec<KeyPackage>) -> Result<Left, Refusal> {
        if self.state(&owner.user).is_none_or(|state| state.device(&owner.device).is_none()) {
            return Err(Code::Revoked.into());
        }
        let stock = self.stocks.entry(owner.clone()).or_default();
        let mut seen: HashSet<Hash> = stock.known.iter().copied().collect();
        let new: Vec<KeyPackage> = offered.into_iter().filter(|package| seen.insert(package.hash)).collect();
        let single_use = new.iter().filter(|package| !package.last_resort).count();
        if stock.single_use as usize + single_use > limits::KEY_PACKAGES {
            return Err(too_many());
        }
        stock.known.extend(new.iter().map(|package| package.hash));
        for package in new {
            self.done.changes.push(Change::KeyPackage { owner: owner.clone(), package: package.clone() });
            if package.last_resort {
                stock.last_resort = Some(package);
            } else {
                // Whoever claims in this batch takes what the store has first: it gave as many as are claimed, or all.
                stock.single_use += 1;
                stock.next.push(package);
            }
        }
        Ok(Left::from(&*stock))
    }

    /// One key package of each of these devices that has one.
    pub(super) fn claim_key_packages(&mut self, user: &UserName, devices: Vec<DeviceKey>) -> Result<Vec<ClaimedKeyPackage>, Refusal> {
        let state = self.state(user).ok_or(Code::NotFound)?;
        if state.closed {
            return Err(Code::Closed.into());
        }
        let listed = devices.into_iter().filter(|device| state.device(device).is_some());
        Ok(listed.filter_map(|device| self.hand_out(Owner { user: user.clone(), device })).collect())
    }

    fn hand_out(&mut self, owner: Owner) -> Option<ClaimedKeyPackage> {
        let (device, stock) = (owner.device, self.stocks.get_mut(&owner)?);
        if stock.next.is_empty() {
            let last = stock.last_resort.as_ref()?;
            return Some(ClaimedKeyPackage { device, package: last.package.clone(), last_resort: true });
        }
        let KeyPackage { hash, package, .. } = stock.next.remove(0);
        stock.single_use -= 1;
        if stock.single_use as usize <= limits::KEY_PACKAGES_REFILL {
            self.done.low.insert(owner.clone(), Left::from(&*stock));
        }
        self.done.changes.push(Change::HandOut { owner, hash });
        Some(ClaimedKeyPackage { device, package, last_resort: false })
    }

    /// With a device go its key packages; with another beginning of the account, those of every device.
    pub(super) fn withdraw_key_packages(&mut self, kind: Kind, before: &KeyState, after: &KeyState) {
        let goes = |device: &DeviceKey| kind == Kind::Reset || after.device(device).is_none();
        for device in before.list.devices.iter().map(|device| device.key).filter(goes) {
            let owner = Owner { user: after.list.user.clone(), device };
            if let Some(stock) = self.stocks.get_mut(&owner) {
                *stock = Stock { known: std::mem::take(&mut stock.known), ..Stock::default() };
            }
            self.done.low.remove(&owner);
            self.done.changes.push(Change::Withdraw(owner));
        }
    }
}

/// Devices that a batch has left with few.
pub type LowStocks = BTreeMap<Owner, Left>;
