//! Tells followers that a log has news, and nothing else: no payload crosses it.
//!
//! A bus may lose a wake. It delays, never loses an entry: once a second the whole server asks the store what changed.

pub mod deaf;
pub mod local;

/// What hears of woken logs, by their numbers.
pub type Listener = Box<dyn Fn(&[u64]) + Send + Sync>;

/// Carries wakes to every process that serves followers of the same logs.
pub trait Bus: Send + Sync + 'static {
    /// These logs, by number, have entries that they had not before. Never waits.
    fn wake(&self, logs: &[u64]);
    /// From now on `listener` hears of every wake.
    fn listen(&self, listener: Listener);
}
