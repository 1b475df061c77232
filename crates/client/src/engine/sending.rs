//! From the outbox to the link: seal what can be sealed, commit it, and only then submit it.

use super::{Engine, FOLLOW_AGAIN};
use crate::ClientError;
use crate::crypto::{Histories, Readers, SealJob};
use crate::outbox::{Parcel, Verdict, WINDOW};
use crate::platform;
use crate::store::{OutboxRow, Sealed};
use crate::view::KEY_CHANGED;
use std::collections::{BTreeMap, HashSet};
use std::time::Instant;
use tidings_proto::chain::Tip;
use tidings_proto::frame::RoomRef;
use tidings_proto::{Code, Genesis, Hash, Kind, LogName, Refusal, UserName, cbor, limits};
use tidings_trust::Members;

/// What a draft needs: the version of this user's device list; for a sealed one its readers, and what was last seen there.
type Needs = (u64, Option<(Readers, (u64, Hash))>);

/// What keeps a row from being sealed.
enum Hindrance {
    /// Keys that are being asked for, or a lane that is full.
    Later,
    /// It can never be sent: the sentence and the code for the timeline.
    Never(String, &'static str),
}

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
        }
        self.load_new_rows(now).await?;
        // A message that cannot be sealed fails alone; what it has held back is taken up in another round.
        while !self.seal().await? {}
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
        for row in self.core.stored(move |store| store.outbox(after)).await? {
            self.last_row = self.last_row.max(row.id);
            if let (Some(genesis), Some(direct)) = (&row.genesis, row.genesis.as_ref().and_then(Genesis::as_direct)) {
                let other = direct.other(self.me()).clone();
                self.forget_unknown(&other);
                let is_new = self.logs.get(&row.log).is_none_or(|followed| followed.room.is_none());
                if is_new {
                    // The server hears of it by the first draft; until then there is nothing to follow.
                    let log = self.add_room(genesis.clone());
                    self.follow_again.push((now + FOLLOW_AGAIN, log));
                }
            }
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

    /// Seals rows in order, as many per log as may be unanswered; those behind one that must wait wait with it. False: there
    /// may be more to seal.
    async fn seal(&mut self) -> Result<bool, ClientError> {
        let mut jobs: Vec<SealJob> = Vec::new();
        let mut per_log: BTreeMap<LogName, (u64, usize)> = BTreeMap::new();
        let mut blocked: HashSet<LogName> = HashSet::new();
        let mut never = Vec::new();
        let rows: Vec<i64> = self.unsealed.keys().copied().collect();
        for id in rows {
            let Some(row) = self.unsealed.get(&id).cloned() else { continue };
            if blocked.contains(&row.log) || jobs.len() >= 4 * WINDOW {
                continue;
            }
            match self.ready(&row) {
                Err(Hindrance::Later) => {
                    blocked.insert(row.log);
                }
                Err(Hindrance::Never(reason, code)) => never.push((row, reason, code)),
                Ok((list, readers)) => {
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
                    jobs.push(SealJob { n: *count, list, readers, row });
                }
            }
        }
        for (row, reason, code) in never {
            self.unsealed.remove(&row.id);
            self.core.stored(move |store| store.failed(row.id, &reason, Some(code))).await?;
        }
        if jobs.is_empty() { Ok(true) } else { self.seal_now(jobs).await }
    }

    /// Seals, commits, and hands over to the outbox. False: a message failed, and those behind it in its log were left out,
    /// since their numbers were counted with it.
    async fn seal_now(&mut self, jobs: Vec<SealJob>) -> Result<bool, ClientError> {
        let crypto = self.core.crypto.clone();
        let parcels: BTreeMap<i64, (Kind, Option<Genesis>)> =
            jobs.iter().map(|job| (job.row.id, (job.row.kind, job.row.genesis.clone()))).collect();
        let store = self.core.store.clone();
        let made = platform::heavy(move || async move {
            let (mut made, mut skipped, mut failed): (Vec<Sealed>, HashSet<LogName>, Vec<(i64, String)>) = Default::default();
            for job in jobs {
                let (row, log) = (job.row.id, job.row.log.clone());
                if skipped.contains(&log) {
                    continue;
                }
                match crypto.seal(job).await? {
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

    /// What a row's draft needs, or what is in its way.
    fn ready(&mut self, row: &OutboxRow) -> Result<Needs, Hindrance> {
        let me = self.me().clone();
        if !self.outbox.may_seal(&row.log) {
            return Err(Hindrance::Later);
        }
        let mine = self.core.people().state(&me);
        let Some(mine) = mine.filter(|mine| mine.device(&self.core.crypto.device()).is_some()) else {
            let version = self.core.people().version(&me);
            if !self.keys.has_answered(&me, version + 1) {
                self.ask_newest(vec![me]);
            }
            return Err(Hindrance::Later);
        };
        let list = mine.list.version;
        let Some(genesis) = row.genesis.as_ref() else { return Ok((list, None)) };
        let Some(direct) = genesis.as_direct() else { return Err(Hindrance::Later) };
        let other = direct.other(&me).clone();
        if let Err(error) = self.core.people().refuse_changed([&me, &other]) {
            return Err(Hindrance::Never(error.to_string(), KEY_CHANGED));
        }
        // Nothing is sealed on a new link before the server has told the same story about them as before.
        if !self.keys.has_answered(&other, 0) {
            self.ask_keys(other, 0, 0);
            return Err(Hindrance::Later);
        }
        let theirs = self.core.people().state(&other);
        let Some(theirs) = theirs else { return Err(self.no_keys(&other)) };
        let followed = self.logs.get(&row.log);
        if let Some(why) = followed.and_then(|followed| followed.stopped()) {
            return Err(Hindrance::Never(format!("this conversation is stopped: {why}"), Code::Conflict.name()));
        }
        let tip = followed.map_or(Tip::EMPTY, |followed| followed.tip());
        let keys: Histories = [mine, theirs].into_iter().map(|state| (state.list.user.clone(), state)).collect();
        match Readers::of(genesis, &Members::direct(direct), &keys) {
            Ok(readers) => Ok((list, Some((readers, (tip.seq, tip.hash))))),
            Err(error) => Err(Hindrance::Never(error.to_string(), KEY_CHANGED)),
        }
    }

    fn no_keys(&mut self, other: &UserName) -> Hindrance {
        if self.keys.is_unknown(other) {
            return Hindrance::Never(format!("nobody is known here as {other}"), Code::NotFound.name());
        }
        if !self.keys.has_answered(other, 1) {
            self.ask_newest(vec![other.clone()]);
        }
        Hindrance::Later
    }

    /// A refusal, dealt with.
    pub(super) async fn not_sent(&mut self, verdict: Verdict, why: Refusal) -> Result<(), ClientError> {
        let Verdict::Failed { row, log, kind } = verdict else { return Ok(()) };
        tracing::debug!(%log, code = why.code.name(), "a draft was refused for good");
        let inbox = log.clone();
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
        let room = self.logs.iter().find(|(_, followed)| followed.room.as_ref().is_some_and(is_theirs)).map(|(log, _)| log.clone());
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
