//! From the outbox to the link: seal what can be sealed, commit it, and only then submit it.

use super::followed::RoomState;
use super::needs::Hindrance;
use super::{Engine, FOLLOW_AGAIN};
use crate::ClientError;
use crate::crypto::SealJob;
use crate::outbox::{Parcel, Verdict, WINDOW};
use crate::platform;
use crate::platform::Instant;
use crate::store::{OutboxRow, Sealed};
use std::collections::{BTreeMap, HashSet};
use tidings_e2ee::mls::State;
use tidings_proto::frame::RoomRef;
use tidings_proto::{Code, Genesis, Kind, LogName, Refusal, UserName, cbor, limits};

impl Engine {
    /// Everything the outbox can do now.
    pub(super) async fn pump(&mut self, now: Instant) -> Result<(), ClientError> {
        for (log, last) in self.outbox.take_renumbered() {
            let renumbered = log.clone();
            let rows = self
                .core
                .stored(move |store| {
                    store.renumber(&renumbered, last)?;
                    store.outbox(0)
                })
                .await?;
            self.unsealed.extend(rows.into_iter().filter(|row| row.log == log).map(|row| (row.id, row)));
            if let Some(followed) = self.logs.get_mut(&log) {
                followed.changing = false;
            }
        }
        self.put_out_lost(now).await?;
        self.publish().await?;
        self.come_in(now);
        self.hand_on(now).await?;
        loop {
            self.load_new_rows(now).await?;
            // A message that cannot be sealed fails alone; what it has held back is taken up in another round.
            while !self.seal(now).await? {}
            if !self.rekey().await? {
                break;
            }
        }
        let mut req = self.next_req;
        let submits = self.outbox.submits(now, || {
            let this = req;
            req = req.checked_add(1).unwrap_or(1);
            this
        });
        self.next_req = req;
        self.submit(submits);
        Ok(())
    }

    async fn load_new_rows(&mut self, now: Instant) -> Result<(), ClientError> {
        let after = self.last_row;
        for mut row in self.core.stored(move |store| store.outbox(after)).await? {
            self.last_row = self.last_row.max(row.id);
            if row.kind == Kind::Commit {
                // It may be the first that a hub hears of a direct room.
                let room = self.logs.get(&row.log).and_then(|followed| followed.room.as_ref());
                row.genesis = room.map(|room| room.genesis.clone()).filter(|genesis| genesis.as_direct().is_some());
            }
            self.goes_on(&row).await?;
            self.load_room(&row, now);
            if let (Kind::Notice, Ok(room)) = (row.kind, cbor::decode::<RoomRef>(&row.body, limits::DRAFT)) {
                self.outbox.go_behind(&room.genesis.log(), &row.log);
            }
            match row.sealed.clone() {
                Some((n, draft)) => {
                    let parcel = Parcel { row: row.id, kind: row.kind, n, draft, genesis: row.genesis };
                    self.outbox.add(&row.log, parcel);
                }
                None => {
                    self.unsealed.insert(row.id, row);
                }
            }
        }
        Ok(())
    }

    /// A change of a room's members or keys that was made on the link before: nothing else is, until it is known to be in or out. On MLS it is
    /// what is pending. Where it has come back from its log already, only its answer was lost.
    async fn goes_on(&mut self, row: &OutboxRow) -> Result<(), ClientError> {
        let Some((n, _)) = row.sealed.as_ref().filter(|_| row.kind.is_membership()) else { return Ok(()) };
        self.load_counted(&row.log).await?;
        let this = (self.me().clone(), self.core.crypto.device());
        if let Some(followed) = self.logs.get_mut(&row.log) {
            let heard = followed.counted.as_ref().and_then(|counted| counted.get(&this)).map_or(0, |heard| heard.n);
            followed.changing |= *n > heard;
        }
        Ok(())
    }

    /// A room that is first heard of by what this device writes into it.
    fn load_room(&mut self, row: &OutboxRow, now: Instant) {
        let Some(genesis) = row.genesis.clone() else { return };
        let room = RoomState::new(genesis);
        for user in room.people() {
            self.forget_unknown(&user);
        }
        if self.logs.get(&row.log).is_none_or(|followed| followed.room.is_none()) {
            // The server hears of it by the first draft; until then there is nothing to follow.
            let log = self.add_room(room);
            self.follow_again.push((now + FOLLOW_AGAIN, log));
        }
    }

    /// Seals rows in order, as many per log as may be unanswered; those behind one that must wait wait with it. False: there
    /// may be more to seal.
    async fn seal(&mut self, now: Instant) -> Result<bool, ClientError> {
        let mut jobs: Vec<SealJob> = Vec::new();
        let mut per_log: BTreeMap<LogName, (u64, usize)> = BTreeMap::new();
        let mut blocked: HashSet<LogName> = HashSet::new();
        let (mut never, mut has_all) = (Vec::new(), true);
        let rows: Vec<i64> = self.unsealed.keys().copied().collect();
        for id in rows {
            let Some(row) = self.unsealed.get(&id).cloned() else { continue };
            // A message waits for the one before it, but not for somebody to be put out first, nor for the keys that it needs.
            let goes_first = matches!(row.kind, Kind::Remove | Kind::Commit);
            if jobs.len() >= 4 * WINDOW || (blocked.contains(&row.log) && !goes_first) {
                continue;
            }
            if !self.outbox.may_seal(&row.log) {
                blocked.insert(row.log);
                continue;
            }
            match self.ready(&row, now) {
                Err(Hindrance::Later) => {
                    blocked.insert(row.log);
                }
                Err(Hindrance::Never(reason, code)) => never.push((row, reason, code)),
                Err(Hindrance::Needless) => {
                    self.unsealed.remove(&row.id);
                    self.core.stored(move |store| store.needless(row.id)).await?;
                    has_all = false;
                }
                Ok((list, what)) => {
                    if !per_log.contains_key(&row.log) {
                        let log = row.log.clone();
                        let count = self.core.stored(move |store| store.own_count(&log)).await?;
                        per_log.insert(row.log.clone(), (count, self.outbox.load(&row.log)));
                    }
                    let Some((count, load)) = per_log.get_mut(&row.log) else { continue };
                    if *load >= WINDOW {
                        blocked.insert(row.log);
                        continue;
                    }
                    (*count, *load) = (*count + 1, *load + 1);
                    if row.kind.is_membership() {
                        // What comes after it is sealed for those who are in then.
                        blocked.insert(row.log.clone());
                        if let Some(followed) = self.logs.get_mut(&row.log) {
                            followed.changing = true;
                        }
                    }
                    jobs.push(SealJob { n: *count, list, what, row });
                }
            }
        }
        for (row, reason, code) in never {
            self.unsealed.remove(&row.id);
            if row.kind == Kind::Remove {
                self.removals.refused(&row.log, now);
            }
            if row.kind == Kind::Commit {
                self.no_rekey(&row, reason, code, now).await?;
                continue;
            }
            self.core.stored(move |store| store.failed(row.id, &reason, Some(code))).await?;
        }
        Ok((jobs.is_empty() || self.seal_now(jobs).await?) && has_all)
    }

    /// Seals, commits, and hands over to the outbox. False: a message failed, and those behind it in its log were left out,
    /// since their numbers were counted with it.
    async fn seal_now(&mut self, jobs: Vec<SealJob>) -> Result<bool, ClientError> {
        let crypto = self.core.crypto.clone();
        let parcels: BTreeMap<i64, (Kind, Option<Genesis>)> =
            jobs.iter().map(|job| (job.row.id, (job.row.kind, job.row.genesis.clone()))).collect();
        let store = self.core.store.clone();
        let made = platform::heavy(move || async move {
            let read = |key: &[u8]| store.suite_state(key);
            let state = State::new(&read);
            let (mut made, mut skipped, mut failed): (Vec<Sealed>, HashSet<LogName>, Vec<(i64, String)>) = Default::default();
            for job in jobs {
                let (row, log) = (job.row.id, job.row.log.clone());
                if skipped.contains(&log) {
                    continue;
                }
                match crypto.seal(job, &state).await? {
                    Ok(sealed) => made.push(sealed),
                    Err(why) => {
                        skipped.insert(log);
                        failed.push((row, why));
                    }
                }
            }
            store.sealed(&made)?;
            for (row, why) in &failed {
                store.failed(*row, why, None)?;
            }
            Ok::<_, ClientError>((made, failed))
        });
        let (made, failed) = made.await??;
        for (row, _) in &failed {
            self.unsealed.remove(row);
        }
        for sealed in made {
            self.unsealed.remove(&sealed.row);
            let Some((kind, genesis)) = parcels.get(&sealed.row).cloned() else { continue };
            let parcel = Parcel { row: sealed.row, kind, n: sealed.draft.n, draft: sealed.draft.bytes().clone(), genesis };
            self.outbox.add(&sealed.log, parcel);
        }
        Ok(failed.is_empty())
    }

    /// A refusal, dealt with.
    pub(super) async fn not_sent(&mut self, verdict: Verdict, why: Refusal, now: Instant) -> Result<(), ClientError> {
        let Verdict::Failed { row, log, kind } = verdict else { return Ok(()) };
        tracing::debug!(%log, code = why.code.name(), "a draft was refused for good");
        let inbox = log.clone();
        if let Some(followed) = self.logs.get_mut(&log).filter(|_| kind.is_membership()) {
            followed.changing = false;
        }
        if kind == Kind::Remove {
            self.removals.refused(&log, now);
        }
        if kind == Kind::Commit {
            self.packages.refused(&log, now);
        }
        let (reason, code) = (why.text.clone(), why.code.name());
        self.core.stored(move |store| store.failed(row, &reason, Some(code))).await?;
        if let (Kind::Notice, LogName::Inbox(other)) = (kind, inbox) {
            self.not_noticed(&other, why).await?;
        }
        Ok(())
    }

    /// The other side of a room cannot be told of it. What still waits for that fails with the same reason; what is on its
    /// way goes on. The next message tries again.
    async fn not_noticed(&mut self, other: &UserName, mut why: Refusal) -> Result<(), ClientError> {
        if why.code == Code::NotFound {
            why.text = format!("nobody is known as {other}");
        }
        let is_theirs = |genesis: &Genesis| genesis.as_direct().is_some_and(|direct| direct.other(self.me()) == other);
        let room = self.logs.iter().find(|(_, followed)| followed.room.as_ref().is_some_and(|room| is_theirs(&room.genesis)));
        let room = room.map(|(log, _)| log.clone());
        let Some(room) = room else { return Ok(()) };
        let waits = self.outbox.is_behind(&room);
        if waits {
            self.outbox.clear(&room);
            self.unsealed.retain(|_, row| row.log != room);
        }
        let commit = move |store: &crate::store::Store| {
            store.not_noticed(&room)?;
            if waits { store.failed_all(&room, &why.text, Some(why.code.name())) } else { Ok(()) }
        };
        self.core.stored(commit).await
    }
}
