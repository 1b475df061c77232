//! A follower: one link's cursors. It is sent what the tail has, and reads from the store where it is behind.

use super::Logs;
use super::mailbox::Mailbox;
use super::tail;
use crate::store::{Most, Page, Range, StoreError};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::chain::Tip;
use tidings_proto::frame::Item;
use tidings_proto::{Code, LogName, Refusal, limits};

/// A read that failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// One link's cursors.
pub struct Follower {
    logs: Arc<Logs>,
    mailbox: Arc<Mailbox>,
    cursors: HashMap<u64, Cursor>,
    reading: Option<Reading>,
}

struct Cursor {
    after: u64,
    named: bool,
    /// Counts the times the log was followed: a page that was asked for before is not what is wanted now.
    turn: u32,
}

struct Reading {
    log: u64,
    after: u64,
    turn: u32,
    page: BoxFuture<'static, Result<Page, StoreError>>,
}

/// The logs that a follower was behind in at some time, and where each stood.
pub struct Ahead(Vec<(u64, u64)>);

impl Ahead {
    /// Whether everything that was known to be there had been given out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// News of one log.
#[derive(Debug, Clone)]
pub struct FollowFrame {
    /// The log's number.
    pub number: u64,
    /// The log's name, the first time it has news.
    pub first_named: Option<LogName>,
    /// An encoded [`tidings_proto::frame::Entries`], shared by everybody who follows.
    pub frame: Bytes,
}

impl Follower {
    /// Follows nothing yet.
    pub fn new(logs: &Arc<Logs>) -> Follower {
        Follower { logs: logs.clone(), mailbox: logs.mailboxes.open(), cursors: HashMap::new(), reading: None }
    }

    /// Follows `log` from the entry after `after`; whoever followed it already starts again from there.
    pub fn follow(&mut self, log: LogName, after: u64) -> Result<(), Refusal> {
        let number = self.logs.book.number(&log).ok_or(Code::NotFound)?;
        let (named, turn) = self.cursors.get(&number).map_or((false, 0), |cursor| (cursor.named, cursor.turn + 1));
        self.cursors.insert(number, Cursor { after, named, turn });
        self.logs.mailboxes.add(number, &self.mailbox);
        // Looked at after the mailbox is known, so that nothing falls between.
        if self.logs.book.tip(number).is_some_and(|tip| tip.seq > after) {
            self.mailbox.put(number);
        }
        Ok(())
    }

    /// What is known to be there now and has not been given out.
    pub fn ahead(&self) -> Ahead {
        let mut ahead = Vec::new();
        let mut look = |log: u64| {
            let tip = self.logs.book.tip(log).map_or(0, |tip| tip.seq);
            if self.cursors.get(&log).is_some_and(|cursor| cursor.after < tip) {
                ahead.push((log, tip));
            }
        };
        self.reading.iter().for_each(|reading| look(reading.log));
        self.mailbox.each(look);
        Ahead(ahead)
    }

    /// Whether all of that has been given out by now.
    pub fn has_passed(&self, ahead: &Ahead) -> bool {
        ahead.0.iter().all(|(log, tip)| self.cursors.get(log).is_none_or(|cursor| cursor.after >= *tip))
    }

    /// Waits for news. Cancel-safe; never ends.
    pub async fn next(&mut self) -> FollowFrame {
        loop {
            if let Some(reading) = &mut self.reading {
                let page = (&mut reading.page).await;
                let (log, after, turn) = (reading.log, reading.after, reading.turn);
                self.reading = None;
                if let Some(news) = self.read(log, after, turn, page) {
                    return news;
                }
            } else if let Some(log) = self.mailbox.take() {
                if let Some(news) = self.look(log) {
                    return news;
                }
            } else {
                self.mailbox.wait().await;
            }
        }
    }

    /// Gives what the tail has of `log`, or starts to read.
    fn look(&mut self, log: u64) -> Option<FollowFrame> {
        let (after, turn) = self.cursors.get(&log).map(|cursor| (cursor.after, cursor.turn))?;
        let tip = self.logs.book.tip(log)?;
        if tip.seq <= after {
            return None;
        }
        if let Some(run) = self.logs.tail.after(log, after) {
            return self.give(log, run, tip);
        }
        let store = self.logs.store.clone();
        let most = Most { entries: usize::MAX, bytes: limits::PAGE };
        let page = Box::pin(async move { store.page(log, Range::After(after), most).await });
        self.reading = Some(Reading { log, after, turn, page });
        None
    }

    /// Takes a page that was read.
    fn read(&mut self, log: u64, after: u64, turn: u32, page: Result<Page, StoreError>) -> Option<FollowFrame> {
        let page = match page {
            Ok(page) => page,
            Err(StoreError::Closed) => return None,
            Err(error) => {
                tracing::error!(%error, "a follower could not read");
                let mailbox = self.mailbox.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(AGAIN).await;
                    mailbox.put(log);
                });
                return None;
            }
        };
        if self.cursors.get(&log).is_none_or(|cursor| cursor.turn != turn) {
            self.mailbox.put(log);
            return None;
        }
        let tip = self.logs.book.tip(log)?;
        let items = page.entries.into_iter().map(|stored| {
            // Only the last one's tip is used, and only its number: the page is one run.
            (Tip { seq: stored.seq, hash: page.prev }, Item { entry: stored.entry, got: stored.got })
        });
        let run = tail::encode(log, Tip { seq: after, hash: page.prev }, items.collect()).into_iter().next()?;
        self.give(log, run, tip)
    }

    fn give(&mut self, log: u64, run: tail::Run, tip: Tip) -> Option<FollowFrame> {
        let cursor = self.cursors.get_mut(&log)?;
        cursor.after = run.last;
        let first_named = if cursor.named { None } else { self.logs.book.row(log).map(|row| row.name) };
        cursor.named = true;
        if run.last < tip.seq {
            self.mailbox.put(log); // behind the others that wait
        }
        Some(FollowFrame { number: log, first_named, frame: run.frame })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.logs.mailboxes.remove(self.cursors.keys().copied(), &self.mailbox);
    }
}
