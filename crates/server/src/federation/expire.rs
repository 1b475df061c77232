//! What has waited for a peer for too long is given up, and its sender told.

use super::PeerState;
use crate::host::Host;
use crate::logs::{Settled, now};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::{Code, Hash, Refusal};

/// How often that is looked for.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Rows that are looked at together.
const AT_ONCE: usize = 100;
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Gives up what is too old, now and then, until `host` stops.
pub(super) async fn watch(host: Arc<Host>, peer: Arc<PeerState>) {
    let watching = async {
        let mut every = tokio::time::interval(EVERY);
        loop {
            every.tick().await;
            if let Err(error) = give_up(&host, &peer).await {
                tracing::error!(peer = %peer.name(), %error, "what has waited for too long could not be given up");
            }
        }
    };
    host.stopping.run_until_cancelled(watching).await;
}

/// In the order in which rows were put there, so that what depends on another goes after it.
async fn give_up(host: &Host, peer: &PeerState) -> Result<(), Refusal> {
    let days = host.outbox_days;
    let why = Refusal::new(Code::Expired, format!("{} could not be reached for {days} days, so this was given up", peer.name()));
    loop {
        let rows = host.logs.outbox(peer.name(), 0, AT_ONCE).await?;
        let now = now();
        let old: Vec<_> = rows.into_iter().take_while(|row| is_too_old(row.queued, now, days)).collect();
        if old.is_empty() {
            return Ok(());
        }
        tracing::warn!(peer = %peer.name(), count = old.len(), days, "given up what has waited for too long");
        for row in old {
            let settled = Settled::Refused(why.clone());
            host.logs.settle(row.id, settled.clone()).await?;
            peer.answered(&Hash::of(&row.draft), &settled);
        }
    }
}

fn is_too_old(queued: u64, now: u64, days: u32) -> bool {
    queued.saturating_add(u64::from(days) * DAY) < now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_days_and_not_a_moment_less() {
        let now = 100 * DAY;
        assert!(!is_too_old(70 * DAY + 1, now, 30), "n - 1");
        assert!(!is_too_old(70 * DAY, now, 30), "n");
        assert!(is_too_old(70 * DAY - 1, now, 30), "n + 1");
        assert!(!is_too_old(now + DAY, now, 30), "a clock that was put back gives up nothing");
        assert!(!is_too_old(u64::MAX, now, u32::MAX));
    }
}
