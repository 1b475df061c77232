//! Key histories as wholes. Every server's `keys@` is followed entry by entry, so that this device has one chain of hashes over everybody's keys
//! there; what it is told of one person's keys must be in it, and whoever writes says which one they have seen.
//!
//! Two people whose chains are the same at one entry have been told the same of everybody's keys up to there. Where they are not, somebody
//! lies: a server, or the one who says so. So nothing is stopped by it; a person is told, and whom it is about is shown with it.

use super::Engine;
use super::place::{Placed, place};
use super::sync::Record;
use crate::ClientError;
use crate::people::Learned;
use crate::store::{Claim, Doubt};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tidings_proto::chain::{self, Tip};
use tidings_proto::frame::{Entries, Item};
use tidings_proto::{Entry, Hash, Head, KeysSeen, LogName, ServerName, UserName, limits};
use tidings_trust::ed25519::verify_server;

/// What somebody has seen and does not come here is waited for so long: milliseconds.
pub const WAITED_FOR: u64 = 10 * 60 * 1000;

/// What is said of somebody's keys where the history of all keys does not have them like that.
const NOT_IN_HISTORY: &str = "the server shows other keys than those that are in its history of everybody's keys";

/// What is known of key histories on this link, besides their chains.
#[derive(Default)]
pub struct Histories {
    /// By server, the last place of anybody's keys that was known when the link came up: what was there before is here when it is caught up.
    before: BTreeMap<ServerName, u64>,
    /// The last entry about somebody who was not known when it came, and whether they were asked about since.
    unseen: HashMap<UserName, (u64, bool)>,
    /// Servers whose history did not reach to keys that are used when that was looked at last.
    short: BTreeSet<ServerName>,
    /// The newest head that the home server has signed, until it can be held against the chain.
    head: Option<Head>,
}

/// What an entry of a key history comes to.
enum Audit {
    Nothing,
    /// It is about somebody who is known, and new.
    Goes(UserName),
    /// It is not what was told of this person's keys.
    Contradicts(UserName),
}

impl Engine {
    /// The key histories that are followed. Asked for first, so that keys are here before what they are for.
    pub(super) fn key_histories(&mut self) -> Vec<LogName> {
        self.histories.before = self.furthest_keys();
        self.network.iter().cloned().map(LogName::Keys).collect()
    }

    /// By server, the last place of anybody's keys that is known.
    fn furthest_keys(&self) -> BTreeMap<ServerName, u64> {
        let people = self.core.people();
        let mut furthest = BTreeMap::new();
        for user in people.everybody() {
            let last = furthest.entry(user.server().clone()).or_insert(0);
            *last = people.pinned_to(&user).max(*last);
        }
        furthest
    }

    /// What this device has seen of the keys of these people's servers, its own first.
    pub(super) fn keys_seen(&self, users: &[UserName]) -> Vec<KeysSeen> {
        let mut servers = vec![self.me().server()];
        let mut others: Vec<&ServerName> = users.iter().map(UserName::server).collect();
        others.sort();
        for server in others {
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        let seen = |server: &ServerName| {
            let tip = self.logs.get(&LogName::Keys(server.clone())).map(|followed| followed.tip()).filter(|tip| tip.seq > 0)?;
            Some(KeysSeen { server: server.clone(), seq: tip.seq, hash: tip.hash })
        };
        servers.into_iter().filter_map(seen).take(limits::KEYS_SEEN).collect()
    }

    /// Entries of a key history.
    pub(super) async fn key_history(&mut self, log: LogName, server: ServerName, entries: Entries) -> Result<(), ClientError> {
        let Some(followed) = self.logs.get(&log) else { return Ok(()) };
        let (placed, broken) = place(&log, followed, entries.prev, &entries.items);
        if placed.is_empty() && broken.is_none() {
            return Ok(());
        }
        let mut batch = Record::new(&log, self.me(), followed).batch;
        for placed in &placed {
            self.audit(&server, placed).await?;
            batch.tip = Tip { seq: placed.entry.seq, hash: placed.hash };
            batch.hashes.push((placed.entry.seq, placed.hash));
        }
        if let Some(why) = &broken {
            tracing::warn!(%log, why, "a key history is stopped");
        }
        batch.stopped = broken;
        let kept = batch.clone();
        self.core.stored(move |store| store.arrived(&kept)).await?;
        if let Some(followed) = self.logs.get_mut(&log) {
            followed.took(&batch);
        }
        self.settle_claims(&server).await
    }

    /// Holds one entry against what was told of the person that it is about.
    async fn audit(&mut self, server: &ServerName, placed: &Placed) -> Result<(), ClientError> {
        let entry = &placed.entry;
        let audit = {
            let people = self.core.people();
            let author = entry.draft().map(|draft| &draft.author).filter(|author| author.server() == server);
            match (people.pinned_at(server, entry.seq), author) {
                (Some((_, hash)), _) if hash == entry.draft_hash() => Audit::Nothing,
                (Some((user, _)), _) => Audit::Contradicts(user),
                (None, Some(author)) if people.state(author).is_none() => {
                    self.histories.unseen.insert(author.clone(), (entry.seq, false));
                    Audit::Nothing
                }
                // It was left out of what was told of this person.
                (None, Some(author)) if entry.seq < people.pinned_to(author) => Audit::Contradicts(author.clone()),
                (None, Some(author)) => Audit::Goes(author.clone()),
                (None, None) => Audit::Nothing,
            }
        };
        let (user, learned) = match audit {
            Audit::Nothing => return Ok(()),
            Audit::Goes(user) => {
                let item = Item { entry: entry.encode(), got: None };
                let learned = self.core.people().judge(&user, &[item]);
                (user, learned)
            }
            Audit::Contradicts(user) => (user, alarm()),
        };
        if learned.links.is_empty() && learned.alarm.is_none() {
            return Ok(());
        }
        self.keep_learned(&user, learned).await?;
        // What waited for these keys is read now, and is no key history.
        Box::pin(self.keys_moved(&user)).await
    }

    /// Whether what is told of one person's keys is not what their server's history has in these places.
    pub(super) async fn contradicts_history(&self, user: &UserName, items: &[Item]) -> Result<bool, ClientError> {
        let log = LogName::Keys(user.server().clone());
        let tip = self.logs.get(&log).map_or(0, |followed| followed.tip().seq);
        let read = |item: &Item| Entry::read(&item.entry).ok().filter(|entry| (1..=tip).contains(&entry.seq));
        let entries: Vec<Entry> = items.iter().filter_map(read).collect();
        if entries.is_empty() {
            return Ok(false);
        }
        let hold = move |store: &crate::store::Store| {
            for entry in entries {
                let before = if entry.seq == 1 { Some(Hash::ZERO) } else { store.hash_at(&log, entry.seq - 1)? };
                let Some(hash) = before else { return Ok(true) };
                let next = chain::extend(&log, &Tip { seq: entry.seq - 1, hash }, &entry).ok();
                if next.map(|tip| tip.hash) != store.hash_at(&log, entry.seq)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        self.core.stored(hold).await
    }

    /// Somebody's keys were answered for. Whoever came up in the history meanwhile must be told of with all of it: asked once more, since the
    /// answer may have been on its way before.
    pub(super) async fn was_all_told(&mut self, user: &UserName) -> Result<(), ClientError> {
        let Some((seq, asked)) = self.histories.unseen.get(user).copied() else { return Ok(()) };
        if self.core.people().pinned_to(user) >= seq {
            self.histories.unseen.remove(user);
        } else if !asked {
            self.histories.unseen.insert(user.clone(), (seq, true));
            self.ask_newest(vec![user.clone()]);
        } else {
            self.histories.unseen.remove(user);
            self.keep_learned(user, alarm()).await?;
        }
        Ok(())
    }

    async fn keep_learned(&mut self, user: &UserName, learned: Learned) -> Result<(), ClientError> {
        let (about, kept) = (user.clone(), learned.clone());
        self.core.stored(move |store| store.learned(&about, &kept)).await?;
        self.core.people().take(user, learned);
        Ok(())
    }

    /// Of what the author of a message has seen, that which is not here, or not like that.
    pub(super) async fn not_seen_here(&self, seen: &[KeysSeen]) -> Result<Vec<KeysSeen>, ClientError> {
        let mut other = Vec::new();
        for seen in seen {
            let log = LogName::Keys(seen.server.clone());
            // Of a server that is not of this network nothing is known here. What is stopped was said to be.
            let Some(followed) = self.logs.get(&log).filter(|_| seen.seq > 0) else { continue };
            let is_beyond = seen.seq > followed.tip().seq;
            if is_beyond && followed.stopped().is_some() {
                continue;
            }
            let at = seen.seq;
            let here = if is_beyond { None } else { self.core.stored(move |store| store.hash_at(&log, at)).await? };
            if here != Some(seen.hash) {
                other.push(seen.clone());
            }
        }
        Ok(other)
    }

    /// What somebody has seen, in a message that was opened late.
    pub(super) async fn hear(&self, by: &UserName, seen: &[KeysSeen]) -> Result<(), ClientError> {
        let other = self.not_seen_here(seen).await?;
        let by = by.clone();
        self.core.stored(move |store| store.heard(&by, &other)).await
    }

    /// Holds what others have seen of a server's keys against what is here by now.
    pub(super) async fn settle_claims(&mut self, server: &ServerName) -> Result<(), ClientError> {
        let log = LogName::Keys(server.clone());
        let tip = self.logs.get(&log).map_or(Tip::EMPTY, |followed| followed.tip());
        let (about, before) = (server.clone(), tip.seq);
        let reached = self.core.stored(move |store| {
            let claims = store.claims(&about)?.into_iter().filter(|claim| claim.seen.seq <= before);
            claims
                .map(|claim| Ok((store.hash_at(&LogName::Keys(about.clone()), claim.seen.seq)?, claim)))
                .collect::<Result<Vec<_>, ClientError>>()
        });
        let reached = reached.await?;
        let lies = reached.iter().filter(|(here, claim)| *here != Some(claim.seen.hash));
        let mut doubts: Vec<Doubt> = lies.map(|(_, claim)| self.another(server, &claim.by)).collect();
        if let Some(head) = self.histories.head.take_if(|head| head.log == log && head.seq <= tip.seq) {
            let at = head.seq;
            let here = self.core.stored(move |store| store.hash_at(&log, at)).await?;
            doubts.extend((here != Some(head.hash)).then(|| Doubt {
                server: server.clone(),
                by: None,
                why: format!("{server} has signed another history of its people's keys than it shows you. {COMPARE}"),
            }));
        }
        self.doubt(reached.into_iter().map(|(_, claim)| claim).collect(), doubts).await
    }

    /// The home server says how far its own key history goes.
    pub(super) async fn heads(&mut self, heads: Vec<Head>) -> Result<(), ClientError> {
        let home = self.me().server().clone();
        let log = LogName::Keys(home.clone());
        let Some(key) = self.core.people().home() else { return Ok(()) };
        for head in heads.into_iter().take(limits::HEADS).filter(|head| head.log == log && head.key == key && head.seq > 0) {
            if verify_server(&key, &head.signed_bytes(), &head.sig).is_err() {
                tracing::warn!(%log, "a head that its server has not signed");
                continue;
            }
            if self.logs.get(&log).is_some_and(|followed| followed.stopped().is_none()) {
                self.histories.head = Some(head);
                self.settle_claims(&home).await?;
            }
        }
        Ok(())
    }

    /// All that was there when the link came up is here.
    pub(super) async fn has_key_histories(&mut self) -> Result<(), ClientError> {
        let before = std::mem::take(&mut self.histories.before);
        let short = self.short_histories(before);
        self.tell_short(short).await
    }

    /// Looked at now and then: what is still not here, though it should be by now.
    pub(super) async fn look_at_histories(&mut self, now: u64) -> Result<(), ClientError> {
        let short = self.short_histories(self.furthest_keys());
        let still = short.intersection(&self.histories.short).cloned().collect();
        self.histories.short = short;
        self.tell_short(still).await?;
        let servers = self.network.clone();
        for server in &servers {
            self.settle_claims(server).await?;
        }
        let claims = move |store: &crate::store::Store| {
            let mut claims = Vec::new();
            for server in &servers {
                claims.extend(store.claims(server)?);
            }
            Ok(claims)
        };
        let late: Vec<Claim> =
            self.core.stored(claims).await?.into_iter().filter(|claim| now.saturating_sub(claim.since) >= WAITED_FOR).collect();
        let doubts = late.iter().map(|Claim { by, seen, .. }| Doubt {
            server: seen.server.clone(),
            by: Some(by.clone()),
            why: format!(
                "{by} says that there is more in the history of the keys at {} than your server shows you. It may be cut off from there; or it \
                 keeps keys from you. {COMPARE}",
                seen.server
            ),
        });
        let doubts = doubts.collect();
        self.doubt(late, doubts).await
    }

    /// Servers whose history ends before keys that are known.
    fn short_histories(&self, furthest: BTreeMap<ServerName, u64>) -> BTreeSet<ServerName> {
        let is_short = |(server, seq): &(ServerName, u64)| {
            let followed = self.logs.get(&LogName::Keys(server.clone()));
            followed.is_some_and(|followed| followed.stopped().is_none() && followed.tip().seq < *seq)
        };
        furthest.into_iter().filter(is_short).map(|(server, _)| server).collect()
    }

    async fn tell_short(&mut self, short: BTreeSet<ServerName>) -> Result<(), ClientError> {
        let doubts = short.into_iter().map(|server| Doubt {
            by: None,
            why: format!("your server shows you keys of people at {server} that are not in the history of the keys there. {COMPARE}"),
            server,
        });
        let doubts = doubts.collect();
        self.doubt(Vec::new(), doubts).await
    }

    fn another(&self, server: &ServerName, by: &UserName) -> Doubt {
        let servers: BTreeSet<&str> = [server, self.me().server(), by.server()].into_iter().map(ServerName::as_str).collect();
        let who = servers.into_iter().collect::<Vec<_>>().join(", ");
        Doubt {
            server: server.clone(),
            by: Some(by.clone()),
            why: format!(
                "{by} has seen another history of the keys at {server} than you were shown: somebody tells two people different things, one of the \
                 servers ({who}) or {by}. {COMPARE}"
            ),
        }
    }

    async fn doubt(&mut self, claims: Vec<Claim>, doubts: Vec<Doubt>) -> Result<(), ClientError> {
        if claims.is_empty() && doubts.is_empty() {
            return Ok(());
        }
        for doubt in &doubts {
            tracing::warn!(server = %doubt.server, by = ?doubt.by.as_ref().map(ToString::to_string), "a key history is told in two ways");
        }
        let me = self.me().clone();
        let kept: Vec<(Doubt, UserName)> =
            doubts.iter().map(|doubt| (doubt.clone(), doubt.by.clone().unwrap_or_else(|| me.clone()))).collect();
        self.core.stored(move |store| store.settled(&claims, &kept)).await?;
        self.core.people().doubt(doubts);
        Ok(())
    }
}

/// What to do about it.
const COMPARE: &str = "Compare safety numbers with people there before you rely on their keys";

/// What is told of one person is not what is told of everybody.
pub(super) fn alarm() -> Learned {
    Learned::alarm(NOT_IN_HISTORY)
}
