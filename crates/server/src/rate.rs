//! Token buckets by key: a burst, then one in so often; a token can be given back.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How many buckets are kept before full ones (which say nothing) are dropped.
const SWEEP_AT: usize = 10_000;

/// A rate limit per key.
pub struct Rate<K> {
    burst: f64,
    per_token: Duration,
    buckets: Mutex<HashMap<K, Bucket>>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Hash + Eq> Rate<K> {
    /// `burst` at once, then one in `per_token`.
    pub fn new(burst: u32, per_token: Duration) -> Rate<K> {
        Rate { burst: f64::from(burst), per_token, buckets: Mutex::default() }
    }

    /// Takes a token at `now`; where there is none, says in how many seconds there will be one.
    pub fn take(&self, key: K, now: Instant) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if buckets.len() >= SWEEP_AT {
            buckets.retain(|_, bucket| self.filled(bucket, now) < self.burst);
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.burst, at: now });
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
        if let Some(bucket) = buckets.get_mut(key) {
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
}
