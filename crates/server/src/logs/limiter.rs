//! How much one person may ask for, where a draft enters: at its author's home, and at the inbox it is for.

use super::too_fast;
use crate::config::Limits;
use crate::rate::Rate;
use std::time::{Duration, Instant};
use tidings_proto::{Code, DeviceKey, Refusal, UserName};

/// An inbox takes as much from all strangers together as from so many of them: one alone does not close it to the others.
const STRANGERS: u32 = 10;

/// The limits, and what was used of them.
pub struct Limiter {
    rooms: usize,
    messages: Rate<(UserName, DeviceKey)>,
    strangers: Rate<(UserName, UserName)>,
    inboxes: Rate<UserName>,
}

impl Limiter {
    pub fn new(limits: &Limits) -> Limiter {
        let again = Duration::from_secs(limits.invitation_seconds.max(1).into());
        Limiter {
            rooms: limits.rooms_per_user as usize,
            messages: Rate::new(limits.message_burst, Duration::from_secs(1) / limits.messages_per_second.max(1)),
            strangers: Rate::new(limits.invitation_burst, again),
            inboxes: Rate::new(limits.invitation_burst.saturating_mul(STRANGERS), again / STRANGERS),
        }
    }

    /// A device of a user of this server has written something.
    pub fn writes(&self, user: &UserName, device: &DeviceKey, now: Instant) -> Result<(), Refusal> {
        self.messages.take((user.clone(), *device), now).map_err(|seconds| too_fast("messages from this device", seconds))
    }

    /// Somebody who shares no group with `owner` has put something into their inbox.
    pub fn approaches(&self, author: &UserName, owner: &UserName, now: Instant) -> Result<(), Refusal> {
        let pair = (author.clone(), owner.clone());
        self.strangers.take(pair.clone(), now).map_err(|seconds| too_fast("invitations to this person", seconds))?;
        self.inboxes.take(owner.clone(), now).map_err(|seconds| {
            self.strangers.give_back(&pair);
            too_fast("invitations to this person", seconds)
        })
    }

    /// `user` is in so many rooms, and may be in one more.
    pub fn one_more_room(&self, user: &UserName, rooms: usize) -> Result<(), Refusal> {
        if rooms < self.rooms {
            return Ok(());
        }
        Err(Refusal::new(Code::Full, format!("{user} is in {rooms} rooms; more than {} are not allowed here", self.rooms)))
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
    fn an_inbox_takes_so_much_of_one_stranger_and_so_much_of_all() {
        let limiter = Limiter::new(&Limits::default());
        let (start, bob) = (Instant::now(), user("bob"));
        for _ in 1..=5 {
            limiter.approaches(&user("mallory"), &bob, start).unwrap();
        }
        assert_eq!(refused(limiter.approaches(&user("mallory"), &bob, start)), Some((Code::TooFast, Some(300))));
        limiter.approaches(&user("mallory"), &user("carol"), start).unwrap();
        assert!(limiter.approaches(&user("mallory"), &bob, start + Duration::from_secs(299)).is_err());
        limiter.approaches(&user("mallory"), &bob, start + Duration::from_secs(300)).unwrap();

        let limiter = Limiter::new(&Limits::default());
        for stranger in 1..=49 {
            limiter.approaches(&user(&stranger.to_string()), &bob, start).unwrap();
        }
        limiter.approaches(&user("50"), &bob, start).unwrap();
        for _ in 1..=6 {
            // What the inbox did not take is not held against who sent it.
            assert_eq!(refused(limiter.approaches(&user("51"), &bob, start)), Some((Code::TooFast, Some(30))));
        }
        limiter.approaches(&user("51"), &bob, start + Duration::from_secs(30)).unwrap();
    }

    #[test]
    fn a_user_is_in_so_many_rooms() {
        let limiter = Limiter::new(&Limits::default());
        for (rooms, taken) in [(4998, true), (4999, true), (5000, false)] {
            assert_eq!(limiter.one_more_room(&user("alice"), rooms).is_ok(), taken, "{rooms} and one more");
        }
        assert_eq!(refused(limiter.one_more_room(&user("alice"), 5000)), Some((Code::Full, None)));
    }
}
