//! Drafts for logs that peers order: durable here first.

use super::rooms::asked;
use super::{Batch, author_of};
use crate::logs::quota::Quota;
use crate::logs::rules::Admitted;
use crate::logs::sequencer::Enqueue;
use crate::store::{Change, OutboxRow, OutboxState};
use tidings_proto::frame::RoomRef;
use tidings_proto::{Code, Draft, Genesis, Kind, LogName, Refusal, ServerName, SuiteName, UserName};

/// The epoch of every message in a direct room.
const ONLY_EPOCH: u64 = 0;
/// Whoever writes to a peer for which too much waits is told to try again in so many seconds.
const FULL_AGAIN: u64 = 60;

impl Batch<'_> {
    pub(super) fn enqueue(&mut self, enqueue: Enqueue) {
        let Enqueue { peer, log, admitted, genesis, reply } = enqueue;
        let result = self.row(peer, log, admitted, genesis);
        self.answer(reply, result);
    }

    fn row(&mut self, peer: ServerName, log: LogName, admitted: Admitted, genesis: Option<Genesis>) -> Result<OutboxRow, Refusal> {
        let Admitted { draft, room, .. } = admitted;
        let once = (log.clone(), draft.device, draft.n);
        if let Some(row) = self.rows.get(&once) {
            match (&row.state, row.hash == draft.hash()) {
                // The hub has not taken this n, so it is free for another draft. A gap says nothing of the draft itself: by
                // now what was missing may be there.
                (OutboxState::Refused(_), false) => {}
                (OutboxState::Refused(why), true) if why.code == Code::Gap => {}
                (_, true) => return Ok(row.clone()),
                (_, false) => return Err(Refusal::from(Code::Rewound).last(draft.n)),
            }
        }
        if let LogName::Room(_) = log {
            self.may_go_out(&peer, &log, room.as_ref(), &draft)?;
        }
        self.has_place(&peer, &draft.author, draft.bytes().len() as u64)?;
        if let Some(room) = &room {
            self.learn_room(room, asked(&room.genesis, &draft.author, None));
        }
        if let Some(row) = self.find(&log) {
            self.takes_up(&row, &draft);
        }
        self.counters.row += 1;
        let (id, hash, bytes, queued) = (self.counters.row, draft.hash(), draft.bytes().clone(), self.at);
        let row = OutboxRow { id, log, hash, draft: bytes, genesis, queued, state: OutboxState::Waiting };
        self.done.changes.push(Change::Outgoing { peer, once: (author_of(&draft), draft.n), row: row.clone() });
        self.rows.insert(once, row.clone());
        Ok(row)
    }

    /// Counts one more draft for `peer`, unless too much waits for it already: of everybody's, or of its author's. Nobody may
    /// have more there than they leave to others, so there is always a place for who has nothing there.
    fn has_place(&mut self, peer: &ServerName, author: &UserName, bytes: u64) -> Result<(), Refusal> {
        let (most, most_bytes) = (u64::from(self.view.limits.outbox_entries), self.view.limits.outbox_bytes);
        let queue = self.queues.entry(peer.clone()).or_default();
        let share = self.shares.entry((peer.clone(), author.clone())).or_default();
        let full = |text: String| Err(Refusal::new(Code::Full, format!("{peer} does not answer, and {text}")).retry_after(FULL_AGAIN));
        if queue.entries >= most {
            return full(format!("{most} messages wait for it already: no more are kept"));
        }
        if queue.bytes + bytes > most_bytes {
            return full(format!("messages of {} bytes, of {most_bytes}, wait for it already: no more are kept", queue.bytes));
        }
        if share.entries >= most - queue.entries || share.bytes + bytes > most_bytes - queue.bytes {
            let (entries, bytes) = (share.entries, share.bytes);
            return full(format!("{entries} messages of yours, of {bytes} bytes, wait for it already: what is left is for others"));
        }
        for counted in [queue, share] {
            counted.entries += 1;
            counted.bytes += bytes;
        }
        Ok(())
    }

    /// Whether a draft for a room is for its hub, and its author somebody there. Roles and epochs are the hub's to judge: what
    /// is known here may be older than what the author has seen.
    fn may_go_out(&self, peer: &ServerName, log: &LogName, learnt: Option<&RoomRef>, draft: &Draft) -> Result<(), Refusal> {
        let known = self.find(log);
        let room = known.as_ref().and_then(|row| row.room.as_ref()).or(learnt).ok_or(Code::NotFound)?;
        if room.hub != *peer {
            return Err(Refusal::new(Code::Forbidden, "this room is ordered by another server"));
        }
        let number = known.as_ref().map(|row| row.number);
        let people = self.people(number, &room.genesis).ok_or_else(|| Refusal::from(Code::NotYet).retry_after(1))?;
        if people.person(&draft.author).is_none() {
            return Err(Refusal::new(Code::Forbidden, "only a room's members may write to it"));
        }
        let has_one_epoch = room.genesis.as_direct().is_some_and(|direct| direct.suite == SuiteName::RsaJwe1);
        if has_one_epoch && draft.epoch.is_some_and(|epoch| epoch != ONLY_EPOCH) {
            return Err(Code::Stale.into());
        }
        match &known {
            Some(_) if draft.kind == Kind::Join && people.is_asked(&draft.author) => self.one_more_room(&Quota::Own(draft.author.clone())),
            Some(row) => self.may_take_up(row, draft),
            None => self.has_place_for(room, asked(&room.genesis, &draft.author, None).as_ref()),
        }
    }
}
