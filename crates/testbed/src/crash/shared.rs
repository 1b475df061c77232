//! What everybody in a run shares: the clock, how far it is, and what is to be done now.

use crate::history::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidings_proto::LogName;
use tokio::sync::watch;

/// What is to be done now.
#[derive(Debug, Clone)]
pub enum Phase {
    /// Write, and send again.
    Writing,
    /// Write nothing new; send again.
    Settling,
    /// Follow the logs until they are as long as this.
    Reading(Arc<BTreeMap<LogName, u64>>),
    /// Stop.
    Over,
}

/// One run's common ground.
pub struct Shared {
    begun: Instant,
    answered: watch::Sender<u64>,
    phase: watch::Sender<Phase>,
}

impl Shared {
    /// A run begins.
    pub fn begin() -> Arc<Shared> {
        Arc::new(Shared { begun: Instant::now(), answered: watch::Sender::new(0), phase: watch::Sender::new(Phase::Writing) })
    }

    /// Microseconds since it began.
    pub fn now(&self) -> Time {
        self.begun.elapsed().as_micros() as Time
    }

    /// One more message has its answer.
    pub fn answered(&self) {
        self.answered.send_modify(|count| *count += 1);
    }

    /// Waits until so many messages have their answer; false when none was answered for so long.
    pub async fn reaches(&self, goal: u64, patience: Duration) -> bool {
        let mut answered = self.answered.subscribe();
        while *answered.borrow_and_update() < goal {
            if !matches!(tokio::time::timeout(patience, answered.changed()).await, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }

    /// How many have.
    pub fn count(&self) -> u64 {
        *self.answered.borrow()
    }

    /// What is to be done, now and from now on.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// From now on this is to be done.
    pub fn set(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }
}
