//! Asking for key histories: whose is wanted, what has been asked, and what an answer lets go on.

use super::doubts::alarm;
use super::{Asked, Engine};
use crate::ClientError;
use crate::platform::Instant;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;
use tidings_proto::frame::{Chain, ChainReply};
use tidings_proto::{Code, Refusal, UserName};

/// Unanswered questions at a time.
const AT_ONCE: usize = 16;
/// How often somebody whom nobody knows is asked about. Another server's people may still be on their way here.
const TRIES: u32 = 5;
/// How often it is asked whether another server has been heard of at last.
const UNHEARD: Duration = Duration::from_secs(4);

/// Questions about keys.
#[derive(Default)]
pub struct Keys {
    queue: VecDeque<(UserName, u64)>,
    /// Asked or queued.
    open: HashMap<UserName, Wanted>,
    /// The version that was needed when an answer came on this link: what is not here now will not come by asking again.
    answered: HashMap<UserName, u64>,
    missing: BTreeMap<UserName, (u32, Instant)>,
    flying: usize,
    unknown: HashSet<UserName>,
}

/// The versions of a device list that an open question is about.
#[derive(Default, Clone, Copy)]
struct Wanted {
    /// What is needed by now.
    needed: u64,
    /// What was needed when the question was sent: its answer may be older than what was needed since.
    asked: u64,
}

impl Keys {
    /// Whether no answer is awaited.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// When somebody is asked about again.
    pub fn wake_at(&self) -> Option<Instant> {
        self.missing.iter().filter(|(user, _)| !self.open.contains_key(user)).map(|(_, (_, at))| *at).min()
    }

    /// Whether the server has answered about `user` since version `needed` of their list was wanted.
    pub fn has_answered(&self, user: &UserName, needed: u64) -> bool {
        !self.open.contains_key(user) && self.answered.get(user).is_some_and(|answered| *answered >= needed)
    }

    /// Whether the server does not know `user`, as far as asking goes.
    pub fn is_unknown(&self, user: &UserName) -> bool {
        self.unknown.contains(user)
    }
}

impl Engine {
    /// Asks for somebody's history after place `after`, because version `needed` of their list is wanted.
    pub(super) fn ask_keys(&mut self, user: UserName, after: u64, needed: u64) {
        if let Some(open) = self.keys.open.get_mut(&user) {
            open.needed = needed.max(open.needed);
            return;
        }
        self.keys.open.insert(user.clone(), Wanted { needed, asked: needed });
        self.keys.queue.push_back((user, after));
        self.ask_more_keys();
    }

    /// Asks for what is newer than what is pinned.
    pub(super) fn ask_newest(&mut self, users: Vec<UserName>) {
        for user in users {
            let (after, version) = {
                let people = self.core.people();
                (people.pinned_to(&user), people.version(&user))
            };
            self.ask_keys(user, after, version + 1);
        }
    }

    fn ask_more_keys(&mut self) {
        while self.keys.flying < AT_ONCE {
            let Some((user, after)) = self.keys.queue.pop_front() else { return };
            self.keys.flying += 1;
            self.ask_chain(user, after);
        }
    }

    fn ask_chain(&mut self, user: UserName, after: u64) {
        if let Some(open) = self.keys.open.get_mut(&user) {
            open.asked = open.needed;
        }
        let req = self.ask(Asked::Chain(user.clone()));
        self.out.push(Chain { req, user, after }.into());
    }

    /// An answer: verified, committed, and only then used.
    pub(super) async fn chain(&mut self, user: UserName, reply: ChainReply, now: Instant) -> Result<(), ClientError> {
        let mut learned = self.core.people().judge(&user, &reply.items);
        if learned.alarm.is_none() && self.contradicts_history(&user, &reply.items).await? {
            learned = alarm();
        }
        if !learned.links.is_empty() || learned.alarm.is_some() {
            let (about, learned) = (user.clone(), learned.clone());
            self.core.stored(move |store| store.learned(&about, &learned)).await?;
        }
        let more = reply.more && learned.alarm.is_none();
        let last = learned.last;
        self.core.people().take(&user, learned);
        if let (true, Some(last)) = (more, last) {
            self.ask_chain(user, last);
            return Ok(());
        }
        self.answered(user, true, now).await
    }

    /// The server knows nothing of somebody, or will not say.
    pub(super) async fn no_chain(&mut self, user: UserName, why: &Refusal, now: Instant) -> Result<(), ClientError> {
        tracing::debug!(%user, code = why.code.name(), "no key history");
        self.answered(user, why.code != Code::Unreachable, now).await
    }

    /// A question is answered, by a server that has or has not heard of that user's server.
    async fn answered(&mut self, user: UserName, heard: bool, now: Instant) -> Result<(), ClientError> {
        let (version, after) = {
            let people = self.core.people();
            (people.version(&user), people.pinned_to(&user))
        };
        let wanted = self.keys.open.get(&user).copied().unwrap_or_default();
        if wanted.needed > wanted.asked && version < wanted.needed {
            self.ask_chain(user, after);
            return Ok(());
        }
        self.keys.flying = self.keys.flying.saturating_sub(1);
        self.keys.open.remove(&user);
        let needed = wanted.needed;
        let answered = self.keys.answered.entry(user.clone()).or_default();
        *answered = needed.max(*answered);
        if self.core.people().state(&user).is_none() {
            let (tries, next) = self.keys.missing.entry(user.clone()).or_insert((0, now));
            // What only that server can say is no reason to give up before it has been heard.
            *tries = if heard { *tries + 1 } else { 0 };
            *next = now + if heard { Duration::from_millis(250 << (*tries).min(6)) } else { UNHEARD };
            // Nobody else will bring keys of people of servers that are not part of this network, or of this one.
            let may_come = user.server() != self.me().server() && self.network.contains(user.server());
            if !may_come || self.keys.missing.get(&user).is_some_and(|(tries, _)| *tries >= TRIES) {
                self.keys.missing.remove(&user);
                self.keys.unknown.insert(user.clone());
            }
        } else {
            self.keys.missing.remove(&user);
            self.keys.unknown.remove(&user);
        }
        self.ask_more_keys();
        self.was_all_told(&user).await?;
        self.keys_moved(&user).await
    }

    /// Somebody's keys may be others now: what waits for them goes on.
    pub(super) async fn keys_moved(&mut self, user: &UserName) -> Result<(), ClientError> {
        self.look_for_lost(user);
        self.unblock(user).await?;
        self.judge_late(user).await
    }

    /// Those who were not known are asked about again, as long as something waits for them.
    pub(super) fn ask_missing_again(&mut self, now: Instant) {
        let due: Vec<UserName> = self.keys.missing.iter().filter(|(_, (_, at))| *at <= now).map(|(user, _)| user.clone()).collect();
        self.ask_newest(due);
    }

    /// A new message to somebody who was not known is a reason to ask again.
    pub(super) fn forget_unknown(&mut self, user: &UserName) {
        // Only then: who is known was asked about on this link already, and a message must not wait for asking again.
        if self.keys.unknown.remove(user) {
            self.keys.answered.remove(user);
        }
    }
}
