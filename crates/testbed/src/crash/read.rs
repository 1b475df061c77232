//! What a server hands out of a log, page by page, to one of its devices that may read it.

use super::names::Names;
use crate::history::Item;
use crate::raw::RawLink;
use std::net::SocketAddr;
use std::time::Duration;
use tidings_e2ee::DeviceSecret;
use tidings_proto::frame::{Fetch, Page};
use tidings_proto::{Entry, Frame, LogName, UserName};
use tokio::time::{Instant, sleep};

/// A link for reading.
pub struct Reading(RawLink);

impl Reading {
    /// Dials a server as one of its devices.
    pub async fn at(server: SocketAddr, user: &UserName, device: &DeviceSecret) -> Reading {
        Reading(RawLink::device(server, user, device).await)
    }

    /// Everything that the server has of a log. It has until the deadline to have `wanted` entries: a replica may still be catching up.
    pub async fn all(&mut self, log: &LogName, names: &Names, (wanted, deadline): (usize, Instant)) -> Vec<Item> {
        let mut all = Vec::new();
        loop {
            let page = self.page(log, all.len() as u64).await;
            if page.is_empty() {
                if all.len() >= wanted || Instant::now() > deadline {
                    return all;
                }
                sleep(Duration::from_millis(50)).await;
            }
            for entry in page {
                // Its own number says where it stands; what is not in its place is not what it says.
                let in_place = entry.seq == all.len() as u64 + 1;
                all.push(if in_place { names.item(log, &entry) } else { Item::Strange });
            }
        }
    }

    async fn page(&mut self, log: &LogName, after: u64) -> Vec<Entry> {
        self.0.send(Fetch { req: 1, log: log.clone(), before: None, after: Some(after), limit: 1000 }).await;
        loop {
            match self.0.next().await {
                Frame::Page(Page { items, .. }) => return items.iter().map(|item| Entry::read(&item.entry).expect("an entry")).collect(),
                // There is no such log here, or not for this device: nothing of it is there.
                Frame::Refused(_) => return Vec::new(),
                _ => {}
            }
        }
    }
}
