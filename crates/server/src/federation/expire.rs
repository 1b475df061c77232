//! What has waited for a peer for too long is given up, and its sender told.

use crate::host::Host;
use crate::logs::{Settled, now};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::{Code, Refusal, ServerName};

/// How often that is looked for.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Rows that are looked at together.
const AT_ONCE: usize = 100;
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Gives up what is too old, now and then, until `host` stops. What waits for a server that this one knows no more, too.
pub(super) async fn watch(host: Arc<Host>) {
    let watching = async {
        let mut every = tokio::time::interval(EVERY);
        loop {
            every.tick().await;
            let peers = host.logs.queues().await.map(|queues| queues.into_keys()).inspect_err(|error| {
                tracing::error!(%error, "the outboxes could not be looked through");
            });
            for peer in peers.into_iter().flatten() {
                if let Err(error) = give_up(&host, &peer).await {
                    tracing::error!(%peer, %error, "what has waited for too long could not be given up");
                }
            }
        }
    };
    host.stopping.run_until_cancelled(watching).await;
}

/// In the order in which rows were put there, so that what depends on another goes after it.
async fn give_up(host: &Host, peer: &ServerName) -> Result<(), Refusal> {
    let (days, state) = (host.outbox_days, host.peers.get(peer));
    let why = match state {
        Some(_) => format!("{peer} could not be reached for {days} days, so this was given up"),
        None => format!("{} does not know {peer} any more, and this has waited for {days} days, so it was given up", host.name),
    };
    let why = Refusal::new(Code::Expired, why);
    loop {
        let rows = host.logs.outbox(peer, 0, AT_ONCE).await?;
        let now = now();
        let old: Vec<_> = rows.into_iter().take_while(|row| is_too_old(row.queued, now, days)).collect();
        if old.is_empty() {
            return Ok(());
        }
        tracing::warn!(%peer, count = old.len(), days, "given up what has waited for too long");
        for row in old {
            let settled = Settled::Refused(why.clone());
            host.logs.settle(row.id, settled.clone()).await?;
            if let Some(state) = &state {
                state.answered(&row.hash, &settled);
            }
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
