//! Who comes and goes, for one link: gathered, and told once in a while.
//!
//! When a cable is cut, a thousand people go and come within seconds, and everybody who is left shows them all. Told one by one to each
//! link at once, a change is as many frames as there are links, ahead of every message. So each link tells what has changed in
//! one frame, some time after the first change of it, and no two links at the same time.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;
use tidings_proto::frame::PersonState;
use tidings_proto::{DeviceKey, UserName};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Sleep;

/// A change is told so much later at most.
pub const WITHIN: Duration = Duration::from_secs(1);

/// What has to be told.
#[derive(Debug, PartialEq, Eq)]
pub enum Changed {
    /// How things stand with these.
    People(BTreeSet<UserName>),
    /// How things stand with everybody: more has changed than was heard.
    Everybody,
}

/// What changes, for one link.
pub struct Company {
    changes: Receiver<PersonState>,
    /// How long after a change this link tells it.
    after: Duration,
    gathered: Option<(Changed, Pin<Box<Sleep>>)>,
}

impl Company {
    /// For the link of `device`, by whose key its time is chosen: between half of [`WITHIN`] and all of it.
    pub fn new(changes: Receiver<PersonState>, device: &DeviceKey) -> Company {
        let phase = f64::from(device.as_bytes()[0]) / 256.0;
        Company { changes, after: WITHIN.mul_f64(0.5 + phase / 2.0), gathered: None }
    }

    /// Waits until there is something to tell; nothing, once nobody can change any more. Cancel-safe.
    pub async fn next(&mut self) -> Option<Changed> {
        if self.gathered.is_none() {
            let changed = match self.changes.recv().await {
                Ok(person) => Changed::People(BTreeSet::from([person.user])),
                Err(RecvError::Lagged(_)) => Changed::Everybody,
                Err(RecvError::Closed) => return None,
            };
            self.gathered = Some((changed, Box::pin(tokio::time::sleep(self.after))));
        }
        if let Some((_, due)) = &mut self.gathered {
            due.as_mut().await;
        }
        let (mut changed, _) = self.gathered.take()?;
        loop {
            match (self.changes.try_recv(), &mut changed) {
                (Ok(person), Changed::People(people)) => {
                    people.insert(person.user);
                }
                (Ok(_), Changed::Everybody) => {}
                (Err(TryRecvError::Lagged(_)), _) => changed = Changed::Everybody,
                (Err(TryRecvError::Empty | TryRecvError::Closed), _) => return Some(changed),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tidings_proto::frame::Online;
    use tokio::sync::broadcast::channel;
    use tokio::time::{Instant, advance};

    fn person(name: &str, online: Online) -> PersonState {
        PersonState { user: format!("{name}@s1").parse().unwrap(), online, list: 0 }
    }

    fn people(names: &[&str]) -> Option<Changed> {
        Some(Changed::People(names.iter().map(|name| person(name, Online::Online).user).collect()))
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_and_goes_is_told_of_once_and_within_a_second() {
        let (sender, receiver) = channel(8);
        let mut company = Company::new(receiver, &DeviceKey([255; 32]));
        let start = Instant::now();
        for (name, online) in [("alice", Online::Online), ("bob", Online::Online), ("alice", Online::Offline)] {
            assert!(company.next().now_or_never().is_none(), "not at once");
            sender.send(person(name, online)).unwrap();
        }
        assert_eq!(company.next().await, people(&["alice", "bob"]));
        assert!((WITHIN / 2..=WITHIN).contains(&start.elapsed()), "{:?}", start.elapsed());
        // Nobody waits for what does not come, and nothing is said twice.
        advance(10 * WITHIN).await;
        assert!(company.next().now_or_never().is_none());
        drop(sender);
        assert_eq!(company.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_missed_something_looks_at_everybody() {
        for (changes, expected) in [(7, false), (8, false), (9, true)] {
            let (sender, receiver) = channel(8);
            let mut company = Company::new(receiver, &DeviceKey([0; 32]));
            for change in 0..changes {
                sender.send(person(&format!("p{change}"), Online::Online)).unwrap();
            }
            assert_eq!(company.next().await == Some(Changed::Everybody), expected, "{changes}");
            assert!(company.next().now_or_never().is_none());
        }
    }

    #[test]
    fn links_do_not_all_tell_at_the_same_time() {
        let after = |first| Company::new(channel(1).1, &DeviceKey([first; 32])).after;
        let all: BTreeSet<Duration> = (0..=255).map(after).collect();
        assert_eq!(all.len(), 256);
        assert!(all.iter().all(|after| (WITHIN / 2..=WITHIN).contains(after)));
    }
}
