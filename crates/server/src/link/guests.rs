//! The places of links that have not authenticated: so many from one address, and so many in all. Where they are all taken
//! the oldest goes, so that nobody is kept out by whoever came first and does nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How many links may be unauthenticated at once: from one address, and in all.
#[derive(Debug, Clone, Copy)]
pub struct GuestLimits {
    /// Per IPv4 address or IPv6 /64.
    pub per_address: usize,
    /// In all.
    pub in_all: usize,
}

/// How long a guest that has proved its key may take to become a listed device.
#[derive(Debug, Clone, Copy)]
pub struct GuestPace {
    /// For each frame: its device may be making RSA keys meanwhile.
    pub step: Duration,
    /// For all of it.
    pub within: Duration,
}

/// The pace of every guest but those of tests.
pub const PACE: GuestPace = GuestPace { step: Duration::from_secs(30), within: Duration::from_secs(120) };

/// The links that have not authenticated yet.
pub struct Guests {
    limits: GuestLimits,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    /// In the order in which they came.
    places: BTreeMap<u64, (IpAddr, CancellationToken)>,
    by_address: HashMap<IpAddr, BTreeSet<u64>>,
}

/// One unauthenticated link's place; given back when dropped.
pub struct GuestPlace {
    guests: Arc<Guests>,
    number: u64,
    lost: CancellationToken,
}

impl Guests {
    /// Nobody is here yet.
    pub fn new(limits: GuestLimits) -> Guests {
        Guests { limits, taken: Mutex::default() }
    }

    /// A place for a link from `address`. If there is none left, the oldest link loses its own: the oldest from there, or else
    /// the oldest of all.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> GuestPlace {
        let address = network(address);
        let mut taken = self.taken();
        let here = taken.by_address.get(&address).filter(|here| here.len() >= self.limits.per_address.max(1));
        let oldest_here = here.and_then(|here| here.first().copied());
        let oldest = || (taken.places.len() >= self.limits.in_all.max(1)).then(|| taken.places.keys().next().copied()).flatten();
        if let Some(number) = oldest_here.or_else(oldest)
            && let Some(lost) = taken.leave(number)
        {
            lost.cancel();
        }
        let (number, lost) = (taken.next, CancellationToken::new());
        taken.next += 1;
        taken.places.insert(number, (address, lost.clone()));
        taken.by_address.entry(address).or_default().insert(number);
        GuestPlace { guests: self.clone(), number, lost }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn leave(&mut self, number: u64) -> Option<CancellationToken> {
        let (address, lost) = self.places.remove(&number)?;
        if let Some(here) = self.by_address.get_mut(&address) {
            here.remove(&number);
            if here.is_empty() {
                self.by_address.remove(&address);
            }
        }
        Some(lost)
    }
}

impl GuestPlace {
    /// Cancelled when the place is lost to a newcomer; never, once it was given back.
    pub fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }
}

impl Drop for GuestPlace {
    fn drop(&mut self) {
        self.guests.taken().leave(self.number);
    }
}

/// What is counted as one address: an IPv4 address, or an IPv6 /64.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guests(per_address: usize, in_all: usize) -> Arc<Guests> {
        Arc::new(Guests::new(GuestLimits { per_address, in_all }))
    }

    fn still_there(places: &[GuestPlace]) -> Vec<bool> {
        places.iter().map(|place| !place.lost.is_cancelled()).collect()
    }

    #[test]
    fn where_an_address_has_no_place_left_its_oldest_goes() {
        let guests = guests(3, 100);
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let other = guests.enter(b);
        let mut places = vec![guests.enter(a), guests.enter(a)];
        assert_eq!(still_there(&places), [true, true], "n - 1");
        places.push(guests.enter(a));
        assert_eq!(still_there(&places), [true, true, true], "n");
        places.push(guests.enter(a));
        assert_eq!(still_there(&places), [false, true, true, true], "n + 1");
        assert!(!other.lost.is_cancelled(), "and nobody else's");
        // A place that was given back is a place for the next one.
        drop(places.remove(2));
        places.push(guests.enter(a));
        assert_eq!(still_there(&places), [false, true, true, true]);
    }

    #[test]
    fn where_there_is_no_place_left_at_all_the_oldest_goes() {
        let guests = guests(20, 3);
        let from = |last: u8| guests.enter([10, 0, 0, last].into());
        let mut places = vec![from(1), from(2)];
        assert_eq!(still_there(&places), [true, true], "n - 1");
        places.push(from(3));
        assert_eq!(still_there(&places), [true, true, true], "n");
        places.push(from(4));
        assert_eq!(still_there(&places), [false, true, true, true], "n + 1");
        drop(places);
        let taken = guests.taken();
        assert!(taken.places.is_empty() && taken.by_address.is_empty(), "nothing is left of who has gone");
    }

    #[test]
    fn one_ipv6_network_counts_as_one_address() {
        let network = |text: &str| super::network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
    }
}
