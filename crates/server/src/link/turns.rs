//! Whoever is not let in yet takes turns; whoever is in does not.
//!
//! Letting somebody in costs a core most of a millisecond: TLS, proofs, OPAQUE. When a thousand come back at once, as after a cut cable,
//! a thousand tasks would stand in the runtime's queue before the next message's. Here they stand in a queue of their own, and between
//! one step of theirs and the next everybody else has a turn. Nothing is held while a step waits for the network, so
//! those who take their time delay nobody.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::ready;
use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;

/// The queue.
pub struct Turns(Arc<Semaphore>);

impl Turns {
    /// Half of this machine's cores, one at least, may work on those who are not in.
    pub fn of_machine() -> Turns {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Turns::of(cores.div_ceil(2))
    }

    /// So many steps at once.
    fn of(steps: usize) -> Turns {
        Turns(Arc::new(Semaphore::new(steps)))
    }

    /// Does `work`, each of its steps in turn.
    pub async fn take<T>(&self, work: impl Future<Output = T>) -> T {
        let (mut work, mut queue) = (pin!(work), PollSemaphore::new(self.0.clone()));
        poll_fn(|cx| {
            // The semaphore is never closed.
            let turn = ready!(queue.poll_acquire(cx));
            let polled = work.as_mut().poll(cx);
            // Passed on by a task, which stands behind all that could run before this step: they go first.
            tokio::spawn(async move { drop(turn) });
            polled
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn so_many_steps_are_taken_at_once_and_no_more() {
        for steps in [1, 2, 3] {
            let turns = Arc::new(Turns::of(steps));
            let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let work = (0..40).map(|_| {
                let (turns, now, most) = (turns.clone(), now.clone(), most.clone());
                tokio::spawn(async move {
                    let step = async || {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_micros(200)); // as long as a signature takes
                        now.fetch_sub(1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                    };
                    turns
                        .take(async {
                            for _ in 0..5 {
                                step().await
                            }
                        })
                        .await;
                })
            });
            futures_util::future::join_all(work.collect::<Vec<_>>()).await.into_iter().for_each(Result::unwrap);
            assert_eq!(most.load(Ordering::SeqCst), steps);
        }
    }

    /// Lets all others go first that can.
    async fn step_aside() {
        let mut aside = false;
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::replace(&mut aside, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// However many want in, whoever is in has a turn after a step or two of theirs.
    #[tokio::test]
    async fn a_crowd_at_the_door_delays_nobody_by_more_than_a_step() {
        const CROWD: usize = 1000;
        let (turns, taken) = (Arc::new(Turns::of(1)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..CROWD {
            let (turns, taken) = (turns.clone(), taken.clone());
            tokio::spawn(async move {
                let step = async || {
                    taken.fetch_add(1, Ordering::SeqCst);
                    step_aside().await;
                };
                turns
                    .take(async {
                        for _ in 0..3 {
                            step().await
                        }
                    })
                    .await;
            });
        }
        let member = tokio::spawn(async move {
            let (mut last, mut most) = (0, 0);
            while last < 3 * CROWD {
                step_aside().await;
                let now = taken.load(Ordering::SeqCst);
                (most, last) = (most.max(now - last), now);
            }
            most
        });
        let most = member.await.unwrap();
        assert!(most <= 3, "{most} steps were taken before anybody else's");
    }

    #[tokio::test]
    async fn whoever_waits_for_the_other_side_keeps_nobody_from_the_door() {
        let turns = Arc::new(Turns::of(1));
        let silent = turns.take(std::future::pending::<()>());
        let mut silent = pin!(silent);
        assert!(futures_util::poll!(silent.as_mut()).is_pending());
        tokio::time::timeout(Duration::from_secs(10), turns.take(async {})).await.expect("the door is free");
    }
}
