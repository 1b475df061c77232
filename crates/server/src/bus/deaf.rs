//! A bus that drops every wake: what nothing durable may depend on. For tests and stories.

use super::{Bus, Listener};

/// Drops every wake.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeafBus;

impl Bus for DeafBus {
    fn wake(&self, _: &[u64]) {}

    fn listen(&self, _: Listener) {}
}
