//! Token buckets by key: a burst, then one in so often; a token can be given back.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How many buckets are kept before full ones (which say nothing) are dropped for the first time.
const SWEEP_AT: usize = 10_000;

/// A rate limit per key.
pub struct Rate<K> {
    burst: f64,
    per_token: Duration,
    buckets: Mutex<Buckets<K>>,
}

struct Buckets<K> {
    by_key: HashMap<K, Bucket>,
    /// Swept at this many; twice what was left the last time, so that sweeping costs each newcomer the same.
    sweep_at: usize,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Hash + Eq> Rate<K> {
    /// `burst` at once, then one in `per_token`.
    pub fn new(burst: u32, per_token: Duration) -> Rate<K> {
        let buckets = Mutex::new(Buckets { by_key: HashMap::new(), sweep_at: SWEEP_AT });
        Rate { burst: f64::from(burst), per_token, buckets }
    }

    /// Takes a token at `now`; where there is none, says in how many seconds there will be one.
    pub fn take(&self, key: K, now: Instant) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if buckets.by_key.len() >= buckets.sweep_at {
            buckets.by_key.retain(|_, bucket| self.filled(bucket, now) < self.burst);
            buckets.sweep_at = SWEEP_AT.max(2 * buckets.by_key.len());
        }
        let bucket = buckets.by_key.entry(key).or_insert(Bucket { tokens: self.burst, at: now });
        bucket.tokens = self.filled(bucket, now);
        bucket.at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            Ok(())
        } else {
            Err((self.per_token.mul_f64(1.0 - bucket.tokens).as_secs_f64().ceil() as u64).max(1))
        }
    }

    /// Gives a token back: what it was taken for turned out well.
    pub fn give_back(&self, key: &K) {
        let mut buckets = self.buckets.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(bucket) = buckets.by_key.get_mut(key) {
            bucket.tokens = (bucket.tokens + 1.0).min(self.burst);
        }
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.tokens + passed / self.per_token.as_secs_f64()).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_in_so_often_and_given_back() {
        let rate = Rate::new(5, Duration::from_secs(6));
        let start = Instant::now();
        for _ in 0..5 {
            assert_eq!(rate.take("alice", start), Ok(()));
        }
        assert_eq!(rate.take("alice", start), Err(6));
        assert_eq!(rate.take("bob", start), Ok(()), "another key has its own bucket");
        assert_eq!(rate.take("alice", start + Duration::from_secs(5)), Err(1));
        assert_eq!(rate.take("alice", start + Duration::from_secs(6)), Ok(()));
        rate.give_back(&"alice");
        assert_eq!(rate.take("alice", start + Duration::from_secs(6)), Ok(()));
        assert!(rate.take("alice", start + Duration::from_secs(6)).is_err());
    }
    #[test]
    fn full_buckets_are_dropped_and_no_others() {
        let rate = Rate::new(2, Duration::from_secs(6));
        let start = Instant::now();
        let later = start + Duration::from_secs(7);
        for key in 0..SWEEP_AT {
            rate.take(key, start).unwrap();
        }
        for _ in 0..2 {
            rate.take(7, later).unwrap();
        }
        rate.take(SWEEP_AT, later).unwrap();
        assert_eq!(rate.buckets.lock().unwrap().by_key.len(), 2, "only who has taken something lately is remembered");
        assert!(rate.take(7, later).is_err(), "and is not forgiven");
    }
}
