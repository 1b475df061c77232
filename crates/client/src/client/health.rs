//! What state a profile is in: what waits, what has stopped, and what could not be opened.

use super::Client;
use crate::ClientError;
use crate::view::Trust;
use serde::Serialize;
use tidings_proto::{SuiteName, UserName};
use tidings_trust::Members;

/// What state a profile is in, as far as this device can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// What was written, or is to be sent for it, and has no answer yet.
    pub unsent: u64,
    /// Messages on MLS that no other device of this account has yet, and none to come would: see [`Client::only_here`].
    pub only_here: u64,
    /// Messages that could not be opened or verified, or are missing. What was erased is not among them.
    pub unreadable: u64,
    /// Messages that are shown once somebody's keys have come.
    pub waiting_for_keys: u64,
    /// Conversations whose newest keys this device does not have though it should; by their logs.
    pub without_keys: Vec<String>,
    /// Logs that are not followed any further, and why.
    pub stopped: Vec<Stopped>,
    /// Whose key is another one, which nobody has taken yet.
    pub changed: Vec<String>,
    /// Whether another device of this account has changed its keys, and this one has to be given them.
    pub locked: bool,
}

/// A log that is not followed any further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// Which.
    pub log: String,
    /// Why.
    pub why: String,
}

impl Health {
    /// Whether there is nothing that needs anybody: what is still to be sent goes by itself.
    pub fn is_well(&self) -> bool {
        let Health { unsent: _, only_here: _, unreadable, waiting_for_keys: _, without_keys: _, stopped, changed, locked } = self;
        *unreadable == 0 && stopped.is_empty() && changed.is_empty() && !locked
    }
}

impl Client {
    /// What state this profile is in.
    pub async fn health(&self) -> Result<Health, ClientError> {
        let (device, me) = (self.inner.core.crypto.device(), self.me());
        let kept = self.inner.core.stored(move |store| Ok((store.unwell()?, store.logs()?, store.rooms()?, store.epochs()?)));
        let ((unsent, unreadable, waiting_for_keys), logs, rooms, epochs) = kept.await?;
        let on_mls =
            rooms.into_iter().filter(|room| room.genesis.suite() == SuiteName::Mls1).map(|room| (room.genesis.log(), room.members));
        let lacks = |members: &Members, has: Option<u64>| {
            let in_tree = members.tree().filter(|tree| tree.leaves().iter().any(|leaf| leaf.device == device));
            members.has(&me) && in_tree.is_some_and(|tree| has != Some(tree.epoch()))
        };
        let without_keys = on_mls.filter(|(log, members)| members.as_ref().is_some_and(|members| lacks(members, epochs.get(log).copied())));
        let stopped = logs.into_iter().filter_map(|stored| Some(Stopped { log: stored.log.to_string(), why: stored.stopped? }));
        let changed = self.people().await?.into_iter().filter(|person| person.trust == Trust::Changed);
        Ok(Health {
            unsent,
            only_here: self.only_here().await?,
            unreadable,
            waiting_for_keys,
            without_keys: without_keys.map(|(log, _)| log.to_string()).collect(),
            stopped: stopped.collect(),
            changed: changed.map(|person| UserName::to_string(&person.user)).collect(),
            locked: self.is_locked(),
        })
    }
}
