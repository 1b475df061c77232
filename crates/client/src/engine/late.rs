//! What could not be opened for want of somebody's keys, judged again when that person's list has moved.

use super::Engine;
use super::judge::{ANOTHER_STORY, taken_off};
use crate::ClientError;
use crate::crypto::{Closed, Histories, OpenJob, Opening};
use crate::mention::names;
use crate::platform;
use crate::store::{Judged, StoredLate};
use std::sync::Arc;
use tidings_e2ee::mls::State;
use tidings_proto::UserName;
use tidings_trust::drafts::{DraftError, check_in_order};

impl Engine {
    /// `user`'s keys were answered for: what waits for them is judged again, if they have moved since it was judged last.
    pub(super) async fn judge_late(&mut self, user: &UserName) -> Result<(), ClientError> {
        if !self.late_for.contains(user) {
            return Ok(());
        }
        let (about, version) = (user.clone(), self.core.people().version(user));
        let waiting = self.core.stored(move |store| store.late(&about, version)).await?;
        let mut judged = Vec::new();
        for late in waiting {
            let verdict = self.judge_again(&late).await?;
            judged.push((late, verdict));
        }
        for (late, verdict) in &judged {
            match verdict {
                Judged::Waits(user, version) => {
                    self.late_for.insert(user.clone());
                    if !self.keys.has_answered(user, version + 1) {
                        self.ask_newest(vec![user.clone()]);
                    }
                }
                // How far its author was heard may have changed with it.
                _ => drop(self.logs.get_mut(&late.log).and_then(|followed| followed.counted.take())),
            }
        }
        if judged.is_empty() {
            return Ok(());
        }
        for (log, title, tag) in self.core.stored(move |store| store.judged_again(&judged)).await? {
            self.titled(&log, &title, tag);
        }
        Ok(())
    }

    async fn judge_again(&self, StoredLate { log, seq, late, .. }: &StoredLate) -> Result<Judged, ClientError> {
        let draft = &late.draft;
        let wait = |user: &UserName| Judged::Waits(user.clone(), self.core.people().version(user));
        let Some(room) = self.logs.get(log).and_then(|followed| followed.room.as_ref()) else { return Ok(wait(&late.waits_for)) };
        let Some(author) = self.core.people().state(&draft.author) else { return Ok(wait(&draft.author)) };
        match check_in_order(draft, &author, late.highest) {
            Ok(()) => {}
            Err(DraftError::NotYet) => return Ok(wait(&draft.author)),
            Err(_) => return Ok(Judged::Failed(taken_off(&draft.author))),
        }
        let keys: Histories = {
            let people = self.core.people();
            late.members.members().filter_map(|(user, _)| Some((user.clone(), people.state(user)?))).collect()
        };
        let what = Closed::Message { author, genesis: room.genesis.clone(), members: Arc::new(late.members.clone()), keys: Arc::new(keys) };
        let job = OpenJob { log: log.clone(), seq: *seq, draft: draft.clone(), what };
        let (crypto, store) = (self.core.crypto.clone(), self.core.store.clone());
        let opened = platform::heavy(move || async move {
            let read = |key: &[u8]| store.suite_state(key);
            crypto.open(&job, &State::new(&read)).await
        });
        let opened = opened.await??;
        if let Opening::Message(kept) = &opened {
            self.hear(&draft.author, &kept.opened.keys_seen).await?;
        }
        Ok(match opened {
            Opening::Message(kept) if self.another_story(log, *seq, kept.opened.seen, &[]).await? => Judged::Failed(ANOTHER_STORY.into()),
            Opening::Message(kept) => Judged::Opened {
                mentions: names(&kept.opened.content.text, self.me()),
                is_title: kept.opened.content.title.is_some(),
                content: kept.at_rest,
                changes: kept.changes.0,
            },
            Opening::NotYet(user) => wait(&user),
            // It takes this account's own new keys too; asked about anew on every link.
            Opening::Locked => {
                self.core.locked.send_replace(true);
                Judged::Waits(self.me().clone(), 0)
            }
            Opening::Failed(why) => Judged::Failed(why),
            Opening::Invited(_) | Opening::Keys(_) | Opening::Handed(_) => Judged::Failed("it has no place here".into()),
        })
    }
}
