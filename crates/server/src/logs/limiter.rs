//! How much one person may ask for, where a draft enters: at its author's home, at the hub and at the inbox that it is for.

use super::quota::Quota;
use super::too_fast;
use crate::config::Limits;
use crate::rate::Rate;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tidings_proto::{Code, DeviceKey, LogName, Refusal, ServerName, UserName};

/// Somebody is asked by as many as so many strangers at a time, for key packages too: one alone does not close the way to the others.
const STRANGERS: u32 = 10;
/// A peer brings as much as so many devices at a time, and claims as much as so many people of one.
const DEVICES: u32 = 100;
/// Approaches of which one half was paid for. Beyond that all are forgotten, and the other halves cost once more.
const HALVES: usize = 10_000;

/// Somebody asks somebody of this server into a room.
#[derive(Debug, Clone, Copy)]
pub struct Approach<'a> {
    /// Who.
    pub by: &'a UserName,
    /// Where.
    pub room: &'a LogName,
    /// How they are told.
    pub way: Way,
}

/// How somebody is asked. Who asks does both, so together they cost what one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// By a pointer in their inbox.
    Pointer,
    /// By an entry of the room.
    Room,
}

/// The limits, and what was used of them.
pub struct Limiter {
    rooms: usize,
    asked: usize,
    by_peer: usize,
    devices: Rate<(UserName, DeviceKey)>,
    peers: Rate<ServerName>,
    strangers: Rate<(UserName, UserName)>,
    inboxes: Rate<UserName>,
    /// Who claims key packages, and whose; then whose, and through which peer.
    claims: Rate<(UserName, UserName)>,
    claimed: Rate<UserName>,
    claiming: Rate<ServerName>,
    /// By whom, whom, where; and the way that is paid for.
    halves: Mutex<HashSet<(UserName, UserName, LogName, Way)>>,
}

impl Limiter {
    pub fn new(limits: &Limits) -> Limiter {
        let again = Duration::from_secs(limits.invitation_seconds.max(1).into());
        let message = Duration::from_secs(1) / limits.messages_per_second.max(1);
        let (claims, claim) = (limits.key_package_burst, Duration::from_secs(60) / limits.key_packages_per_minute.max(1));
        Limiter {
            rooms: limits.rooms_per_user as usize,
            asked: limits.asked_rooms_per_user as usize,
            by_peer: limits.rooms_per_peer as usize,
            devices: Rate::new(limits.message_burst, message),
            peers: Rate::new(limits.message_burst.saturating_mul(DEVICES), message / DEVICES),
            strangers: Rate::new(limits.invitation_burst, again),
            inboxes: Rate::new(limits.invitation_burst.saturating_mul(STRANGERS), again / STRANGERS),
            claims: Rate::new(claims, claim),
            claimed: Rate::new(claims.saturating_mul(STRANGERS), claim / STRANGERS),
            claiming: Rate::new(claims.saturating_mul(DEVICES), claim / DEVICES),
            halves: Mutex::default(),
        }
    }

    /// A device has written something.
    pub fn writes(&self, user: &UserName, device: &DeviceKey, now: Instant) -> Result<(), Refusal> {
        self.devices.take((user.clone(), *device), now).map_err(|seconds| too_fast("messages from this device", seconds))
    }

    /// The same of a peer's user: its own server need not have counted.
    pub fn relays(&self, peer: &ServerName, user: &UserName, device: &DeviceKey, now: Instant) -> Result<(), Refusal> {
        self.writes(user, device, now)?;
        self.peers.take(peer.clone(), now).map_err(|seconds| {
            self.devices.give_back(&(user.clone(), *device));
            too_fast(&format!("messages from {peer}"), seconds)
        })
    }

    /// Somebody who shares no group with `user` asks them into a room.
    pub fn approaches(&self, user: &UserName, Approach { by, room, way }: Approach<'_>, now: Instant) -> Result<(), Refusal> {
        let half = |way| (by.clone(), user.clone(), room.clone(), way);
        if self.halves.lock().unwrap_or_else(PoisonError::into_inner).remove(&half(way)) {
            return Ok(());
        }
        let pair = (by.clone(), user.clone());
        self.strangers.take(pair.clone(), now).map_err(|seconds| too_fast("invitations to this person", seconds))?;
        self.inboxes.take(user.clone(), now).map_err(|seconds| {
            self.strangers.give_back(&pair);
            too_fast("invitations to this person", seconds)
        })?;
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if halves.len() >= HALVES {
            halves.clear();
        }
        halves.insert(half(if way == Way::Pointer { Way::Room } else { Way::Pointer }));
        Ok(())
    }

    /// Somebody claims key packages of `user`.
    pub fn claims(&self, by: &UserName, user: &UserName, now: Instant) -> Result<(), Refusal> {
        self.claims.take((by.clone(), user.clone()), now).map_err(|seconds| too_fast("claims of this person's key packages", seconds))
    }

    /// The same where `user` is of this server, whom many may claim of at once; and a peer can say that many do.
    pub fn claims_here(&self, by: &UserName, user: &UserName, peer: Option<&ServerName>, now: Instant) -> Result<(), Refusal> {
        self.claims(by, user, now)?;
        let give_back = || self.claims.give_back(&(by.clone(), user.clone()));
        self.claimed.take(user.clone(), now).map_err(|seconds| {
            give_back();
            too_fast("claims of this person's key packages", seconds)
        })?;
        let Some(peer) = peer else { return Ok(()) };
        self.claiming.take(peer.clone(), now).map_err(|seconds| {
            give_back();
            self.claimed.give_back(user);
            too_fast(&format!("claims of key packages from {peer}"), seconds)
        })
    }

    /// So many rooms count towards a quota already, and there may be one more.
    pub fn one_more_room(&self, quota: &Quota, rooms: usize) -> Result<(), Refusal> {
        let (most, full) = match quota {
            Quota::Own(user) => (self.rooms, format!("{user} is in {rooms} rooms; more than {} are not allowed here", self.rooms)),
            Quota::Asked(user) => {
                let most = self.asked;
                (most, format!("{user} has been asked into {most} rooms and not answered yet; more are not allowed here"))
            }
            Quota::Peer(peer) => {
                let most = self.by_peer;
                (most, format!("people of {peer} have begun {most} conversations that nobody here has answered; more are not allowed here"))
            }
        };
        if rooms < most { Ok(()) } else { Err(Refusal::new(Code::Full, full)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(local: &str) -> UserName {
        format!("{local}@s1").parse().unwrap()
    }

    fn refused(result: Result<(), Refusal>) -> Option<(Code, Option<u64>)> {
        result.err().map(|why| (why.code, why.retry_after))
    }

    #[test]
    fn a_device_writes_so_much_at_once_and_so_much_in_a_second() {
        let limiter = Limiter::new(&Limits::default());
        let (start, alice, phone, laptop) = (Instant::now(), user("alice"), DeviceKey([1; 32]), DeviceKey([2; 32]));
        for _ in 1..=50 {
            limiter.writes(&alice, &phone, start).unwrap();
        }
        assert_eq!(refused(limiter.writes(&alice, &phone, start)), Some((Code::TooFast, Some(1))));
        limiter.writes(&alice, &laptop, start).unwrap();
        limiter.writes(&user("bob"), &phone, start).unwrap();
        let later = start + Duration::from_secs(1);
        for _ in 1..=10 {
            limiter.writes(&alice, &phone, later).unwrap();
        }
        assert!(limiter.writes(&alice, &phone, later).is_err());
    }

    #[test]
    fn a_peers_device_writes_no_faster_than_an_own_one_and_a_peer_no_faster_than_a_hundred() {
        let limiter = Limiter::new(&Limits { message_burst: 3, messages_per_second: 1, ..Limits::default() });
        let (start, peer, other): (Instant, ServerName, ServerName) = (Instant::now(), "s0".parse().unwrap(), "s2".parse().unwrap());
        let device = |which: u32| DeviceKey([which as u8; 32]);
        let relays = |which: u32, now| limiter.relays(&peer, &user(&format!("u{which}")), &device(which), now);
        for taken in [true, true, true, false] {
            assert_eq!(relays(0, start).is_ok(), taken);
        }
        assert_eq!(refused(relays(0, start)), Some((Code::TooFast, Some(1))));
        // 3 are taken, and 296 more: one is left of 300.
        for which in 1..=148 {
            relays(which, start).and_then(|()| relays(which, start)).unwrap();
        }
        relays(149, start).unwrap();
        let full = relays(150, start).unwrap_err();
        assert!(full.code == Code::TooFast && full.retry_after == Some(1) && full.text.contains("s0"), "{full:?}");
        limiter.relays(&other, &user("u1"), &device(150), start).expect("another peer");
        // What the peer could not bring is not held against who has written it.
        let later = start + Duration::from_millis(31);
        for taken in [true, true, true, false] {
            assert_eq!(relays(150, later).is_ok(), taken);
        }
    }

    #[test]
    fn an_inbox_takes_so_much_of_one_stranger_and_so_much_of_all() {
        let limiter = Limiter::new(&Limits::default());
        let (start, bob, room) = (Instant::now(), user("bob"), "inbox:bob@s1".parse().unwrap());
        let ask = |limiter: &Limiter, by: &str, whom: &UserName, now| {
            limiter.approaches(whom, Approach { by: &user(by), room: &room, way: Way::Pointer }, now)
        };
        for _ in 1..=5 {
            ask(&limiter, "mallory", &bob, start).unwrap();
        }
        assert_eq!(refused(ask(&limiter, "mallory", &bob, start)), Some((Code::TooFast, Some(300))));
        ask(&limiter, "mallory", &user("carol"), start).unwrap();
        assert!(ask(&limiter, "mallory", &bob, start + Duration::from_secs(299)).is_err());
        ask(&limiter, "mallory", &bob, start + Duration::from_secs(300)).unwrap();

        let limiter = Limiter::new(&Limits::default());
        for stranger in 1..=49 {
            ask(&limiter, &stranger.to_string(), &bob, start).unwrap();
        }
        ask(&limiter, "50", &bob, start).unwrap();
        for _ in 1..=6 {
            // What the inbox did not take is not held against who sent it.
            assert_eq!(refused(ask(&limiter, "51", &bob, start)), Some((Code::TooFast, Some(30))));
        }
        ask(&limiter, "51", &bob, start + Duration::from_secs(30)).unwrap();
    }

    #[test]
    fn the_two_halves_of_an_approach_cost_what_one_does() {
        let limiter = Limiter::new(&Limits { invitation_burst: 2, ..Limits::default() });
        let (start, alice, bob) = (Instant::now(), user("alice"), user("bob"));
        let rooms: Vec<LogName> = ["inbox:a@s1", "inbox:b@s1"].iter().map(|room| room.parse().unwrap()).collect();
        let ask = |which: usize, way| limiter.approaches(&bob, Approach { by: &alice, room: &rooms[which], way }, start).is_ok();
        assert!(ask(0, Way::Room) && ask(0, Way::Pointer), "in one order");
        assert!(ask(1, Way::Pointer) && ask(1, Way::Room), "and in the other");
        for which in [0, 1] {
            assert!(!ask(which, Way::Pointer) && !ask(which, Way::Room), "once each");
        }
        // Forgotten is paid again, and no more than that.
        let limiter = Limiter::new(&Limits { invitation_burst: HALVES as u32, ..Limits::default() });
        let ask = |which: usize, way| {
            let by = user(&which.to_string());
            limiter.approaches(&bob, Approach { by: &by, room: &rooms[0], way }, start).unwrap();
        };
        (0..HALVES).for_each(|which| ask(which, Way::Room));
        assert_eq!(limiter.halves.lock().unwrap().len(), HALVES);
        ask(HALVES, Way::Room);
        assert_eq!(limiter.halves.lock().unwrap().len(), 1);
        ask(0, Way::Pointer);
    }

    #[test]
    fn key_packages_are_claimed_so_often_by_one_by_all_and_through_one_peer() {
        let (start, peer, other) = (Instant::now(), "s2".parse().unwrap(), "s3".parse().unwrap());
        let limiter = || Limiter::new(&Limits { key_package_burst: 2, ..Limits::default() });
        let here = limiter();
        let claim = |by: usize, whose: &str, now| refused(here.claims_here(&user(&by.to_string()), &user(whose), None, now));
        for expected in [None, None, Some((Code::TooFast, Some(6)))] {
            assert_eq!(claim(0, "bob", start), expected);
        }
        assert_eq!(claim(0, "carol", start), None, "of somebody else");
        for by in 1..=18 {
            assert_eq!(claim(by, "bob", start), None);
        }
        for _ in 1..=3 {
            // What others have used up is not held against whoever comes then.
            assert_eq!(claim(19, "bob", start), Some((Code::TooFast, Some(1))), "all together");
        }
        assert_eq!(claim(19, "bob", start + Duration::from_millis(600)), None);

        // A peer can say that many claim.
        let there = limiter();
        let claim = |by: usize, peer| there.claims_here(&user(&by.to_string()), &user(&by.to_string()), peer, start);
        for by in 1..=2 * DEVICES as usize {
            claim(by, Some(&peer)).unwrap();
        }
        let full = claim(0, Some(&peer)).unwrap_err();
        assert!(full.code == Code::TooFast && full.retry_after == Some(1) && full.text.contains("s2"), "{full:?}");
        claim(0, None).and_then(|()| claim(0, Some(&other))).expect("another peer, and our own");
    }

    #[test]
    fn so_many_rooms_count_towards_a_quota() {
        let limiter = Limiter::new(&Limits::default());
        for (quota, most) in
            [(Quota::Own(user("alice")), 5000), (Quota::Asked(user("alice")), 500), (Quota::Peer("s2".parse().unwrap()), 20_000)]
        {
            for (rooms, taken) in [(most - 2, true), (most - 1, true), (most, false)] {
                assert_eq!(limiter.one_more_room(&quota, rooms).is_ok(), taken, "{quota:?}: {rooms} and one more");
            }
            let full = limiter.one_more_room(&quota, most).unwrap_err();
            assert!((full.code, full.retry_after) == (Code::Full, None) && full.text.contains(&most.to_string()), "{full:?}");
        }
    }
}
