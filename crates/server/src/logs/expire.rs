//! Inboxes keep what they hold for a while, and then its place only. With a pointer goes the group that it led to, if that never
//! began.

use super::Logs;
use super::sequencer::Job;
use super::spans::stub_of;
use crate::store::{LogRow, Most, Range};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;
use tidings_proto::{Entry, Payload, Refusal, limits};

/// How long an inbox keeps what it holds.
pub const KEPT: Duration = Duration::from_secs(45 * 24 * 60 * 60);
/// How often it is looked at.
pub const EVERY: Duration = Duration::from_secs(60 * 60);
/// Entries that are read at once.
const READ_AT_ONCE: usize = 1000;

/// How far each inbox has been looked through; what comes before is gone. All of it could be found out again.
#[derive(Default)]
pub struct Expired(Mutex<HashMap<u64, u64>>);

impl Expired {
    fn until(&self, log: u64) -> u64 {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&log).copied().unwrap_or(0)
    }

    fn is_until(&self, log: u64, seq: u64) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(log, seq);
    }
}

/// See [`Logs::expire_inboxes`].
pub async fn expire(logs: &Logs, before: u64) -> Result<(), Refusal> {
    let never_begun = logs.view.book.never_begun(before);
    if !never_begun.is_empty() {
        logs.ask(|reply| Job::Discard { logs: never_begun, reply }).await?;
    }
    for row in logs.view.book.inboxes() {
        while logs.expired.until(row.number) < row.tip.seq && some(logs, &row, before).await? {}
    }
    Ok(())
}

/// The next entries of an inbox; whether there may be more.
async fn some(logs: &Logs, row: &LogRow, before: u64) -> Result<bool, Refusal> {
    let after = logs.expired.until(row.number);
    let page = logs.store.page(row.number, Range::After(after), Most { entries: READ_AT_ONCE, bytes: limits::PEER_FRAME }).await?;
    let (mut until, mut stubs) = (after, Vec::new());
    let mut more = !page.entries.is_empty();
    for stored in &page.entries {
        let entry = Entry::read(&stored.entry).map_err(|error| crate::store::StoreError::Damaged(error.to_string()))?;
        if entry.at >= before {
            more = false;
            break;
        }
        until = entry.seq;
        if matches!(entry.payload, Payload::Draft(_)) {
            stubs.push((entry.seq, stub_of(&entry).encode()));
        }
    }
    if !stubs.is_empty() {
        logs.ask(|reply| Job::Forget { log: row.number, stubs, reply }).await?;
    }
    logs.expired.is_until(row.number, until);
    Ok(more)
}
