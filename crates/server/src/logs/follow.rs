//! A follower: one link's cursors. It is sent what the tail has, and reads from the store where it is behind.
//!
//! Whoever goes on, and may read all of a frame, is sent the very bytes that everybody is sent. A frame is made anew for the first
//! after a log was followed, which says what it continues, and where something in it is withheld.

use super::mailbox::Mailbox;
use super::spans::Sight;
use super::{Logs, Reader};
use crate::store::{LogRow, Most, Page, Range, StoreError};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::frame::{Ended, Entries, Item};
use tidings_proto::{Code, Frame, Hash, LogName, Refusal, limits};

/// A read that failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// One link's cursors.
pub struct Follower {
    logs: Arc<Logs>,
    mailbox: Arc<Mailbox>,
    cursors: HashMap<u64, Cursor>,
    /// Logs that have been named on this link; each is once.
    named: HashSet<u64>,
    /// How often anything was followed.
    turns: u64,
    reading: Option<Reading>,
}

struct Cursor {
    reader: Reader,
    after: u64,
    /// Whether entries have been given since it was followed: whoever has them knows the hash before the next.
    goes_on: bool,
    /// When the log was followed: a page that was asked for before is not what is wanted now.
    turn: u64,
}

struct Reading {
    log: u64,
    after: u64,
    turn: u64,
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
    /// An encoded [`Entries`], shared by everybody who goes on and may read all of it; or [`Ended`], after which the log is not followed.
    pub frame: Bytes,
}

impl Follower {
    /// Follows nothing yet.
    pub fn new(logs: &Arc<Logs>) -> Follower {
        Follower {
            logs: logs.clone(),
            mailbox: logs.mailboxes.open(),
            cursors: HashMap::new(),
            named: HashSet::new(),
            turns: 0,
            reading: None,
        }
    }

    /// Follows `log` from the entry after `after`; whoever followed it already starts again from there.
    pub fn follow(&mut self, reader: &Reader, log: &LogName, after: u64) -> Result<(), Refusal> {
        let number = self.logs.view.may_see(reader, log)?.0.number;
        self.turns += 1;
        self.cursors.insert(number, Cursor { reader: reader.clone(), after, goes_on: false, turn: self.turns });
        self.logs.mailboxes.add(number, &self.mailbox);
        // Looked at after the mailbox is known, so that nothing falls between.
        if self.goal(number).is_some() {
            self.mailbox.put(number);
        }
        Ok(())
    }

    /// What is known to be there now and has not been given out.
    pub fn ahead(&self) -> Ahead {
        let mut ahead = Vec::new();
        let mut look = |log: u64| ahead.extend(self.goal(log).map(|goal| (log, goal)));
        self.reading.iter().for_each(|reading| look(reading.log));
        self.mailbox.each(look);
        Ahead(ahead)
    }

    /// Whether all of that has been given out by now.
    pub fn has_passed(&self, ahead: &Ahead) -> bool {
        ahead.0.iter().all(|(log, goal)| self.cursors.get(log).is_none_or(|cursor| cursor.after >= *goal))
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

    /// How far a log has to be given out, if it is not; beyond every entry where the end of it has to be said.
    fn goal(&self, log: u64) -> Option<u64> {
        let (cursor, row) = (self.cursors.get(&log)?, self.logs.view.book.row(log)?);
        let sight = self.logs.view.sight(&cursor.reader, &row);
        if row.stopped || sight.is_none_or(|sight| sight.until().is_some()) {
            Some(u64::MAX)
        } else {
            Some(row.tip.seq).filter(|tip| *tip > cursor.after)
        }
    }

    /// Gives what the tail has of `log`, or starts to read.
    fn look(&mut self, log: u64) -> Option<FollowFrame> {
        let (row, sight) = self.sight(log)?;
        let Cursor { after, goes_on, turn, .. } = *self.cursors.get(&log)?;
        let Some(sight) = sight.filter(|sight| sight.until().is_none_or(|until| after < until)) else {
            return self.end(log);
        };
        if row.tip.seq <= after {
            return if row.stopped { self.end(log) } else { None };
        }
        if let Some(run) = self.logs.tail.after(log, after) {
            if goes_on && sight.has_all(after + 1, run.last, row.tip.seq) {
                return self.give(run.last, run.frame, &row, &sight);
            }
            return match run.items() {
                Ok(items) => self.give_some(&row, &sight, run.prev, items),
                Err(error) => {
                    tracing::error!(log, %error, "a frame of our own cannot be read");
                    None
                }
            };
        }
        let store = self.logs.store.clone();
        let most = Most { entries: usize::MAX, bytes: limits::PAGE };
        let page = Box::pin(async move { store.page(log, Range::After(after), most).await });
        self.reading = Some(Reading { log, after, turn, page });
        None
    }

    /// Takes a page that was read.
    fn read(&mut self, log: u64, after: u64, turn: u64, page: Result<Page, StoreError>) -> Option<FollowFrame> {
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
        // Who may read is asked now: it may have changed while the page was on its way.
        let (row, sight) = self.sight(log)?;
        let Some(sight) = sight.filter(|sight| sight.until().is_none_or(|until| after < until)) else {
            return self.end(log);
        };
        let items = page.entries.iter().map(|stored| Item { entry: stored.entry.clone(), got: stored.got }).collect();
        self.give_some(&row, &sight, page.prev, items)
    }

    /// A log, and how much of it its follower sees now.
    fn sight(&self, log: u64) -> Option<(Arc<LogRow>, Option<Sight>)> {
        let cursor = self.cursors.get(&log)?;
        let row = self.logs.view.book.row(log)?;
        let sight = self.logs.view.sight(&cursor.reader, &row);
        Some((row, sight))
    }

    /// Gives of these entries, before the first of which the chain's hash is `prev`, what the follower may see.
    fn give_some(&mut self, row: &LogRow, sight: &Sight, prev: Hash, items: Vec<Item>) -> Option<FollowFrame> {
        let prev = (!self.cursors.get(&row.number)?.goes_on).then_some(prev);
        match sight.of(items, row.tip.seq) {
            Ok((items, Some(last))) => {
                let frame = Frame::Entries(Entries { log: row.number, prev, items }).encode();
                self.give(last, frame, row, sight)
            }
            Ok((_, None)) => None,
            Err(error) => {
                tracing::error!(log = %row.name, %error, "a follower cannot be served");
                None
            }
        }
    }

    /// Gives entries up to `last`, as they are in `frame`.
    fn give(&mut self, last: u64, frame: Bytes, row: &LogRow, sight: &Sight) -> Option<FollowFrame> {
        let cursor = self.cursors.get_mut(&row.number)?;
        (cursor.after, cursor.goes_on) = (last, true);
        if row.tip.seq > last || row.stopped || sight.until().is_some() {
            self.mailbox.put(row.number); // behind the others that wait
        }
        let first_named = self.named.insert(row.number).then(|| row.name.clone());
        Some(FollowFrame { number: row.number, first_named, frame })
    }

    /// Says once that nothing more of `log` is for this follower, which follows it no more.
    fn end(&mut self, log: u64) -> Option<FollowFrame> {
        let cursor = self.cursors.remove(&log)?;
        self.logs.mailboxes.remove(std::iter::once(log), &self.mailbox);
        let row = self.logs.view.book.row(log)?;
        let until = self.logs.view.sight(&cursor.reader, &row).and_then(|sight| sight.until());
        // Who follows a replica is told that its hub is not believed any more; who has left knows why there is no more.
        let why = (row.stopped && until.is_none()).then(|| Code::Broken.into());
        let ended = Ended { log: row.name.clone(), seq: until.unwrap_or(cursor.after), why };
        Some(FollowFrame { number: log, first_named: None, frame: Frame::Ended(ended).encode() })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.logs.mailboxes.remove(self.cursors.keys().copied(), &self.mailbox);
    }
}
