//! What one link's frames mean: frames in, frames out, and the store committed in between.
//!
//! Not here: sockets and timers; those are the driver's. An engine lives as long as its link and starts from what the store
//! holds, so a lost link and a crash are the same thing to it.

mod doubts;
mod followed;
mod history;
mod judge;
mod keys;
mod late;
mod needs;
mod packages;
mod place;
mod removals;
mod rooms;
mod sending;
mod sync;

use crate::crypto::Crypto;
use crate::outbox::Outbox;
use crate::people::People;
use crate::platform::Instant;
use crate::platform::{self, MaySend};
use crate::store::{NewRoom, OutboxRow, Store};
use crate::{ClientError, view};
use doubts::Histories;
use followed::{Followed, RoomState, Vouched};
use history::Handing;
use keys::Keys;
use packages::Packages;
use removals::Removals;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tidings_proto::frame::{self, Ended, Follow, LogRef, Ping, Pong, Ready, Refused, RoomsReply, Submit, Vault, VaultGet};
use tidings_proto::{Code, DeviceKey, Frame, LogName, ServerName, SuiteName, UserName};
use tokio::sync::watch;

/// Logs in one `Follow`: well below the frame's limit at the longest names there are.
const FOLLOW_AT_ONCE: usize = 400;
/// A log that could not be followed is asked for again after this.
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);

/// What front ends and the link's driver share.
pub struct Core {
    /// The local store.
    pub store: Store,
    /// This device's secrets.
    pub crypto: Arc<Crypto>,
    people: Mutex<People>,
    /// Counts up whenever something shown may have changed.
    pub changed: watch::Sender<u64>,
    /// The state of the link.
    pub link: watch::Sender<view::Link>,
    /// Whether another device has changed this account's keys.
    pub locked: watch::Sender<bool>,
    /// Whether this device's server has key packages of it, so that others can add it while it is away.
    pub addable: watch::Sender<bool>,
}

impl Core {
    /// Over an open store.
    pub fn new(store: Store, crypto: Crypto) -> Result<Core, ClientError> {
        let people = Mutex::new(People::load(&store, &crypto.me, crypto.device())?);
        Ok(Core {
            store,
            crypto: Arc::new(crypto),
            people,
            changed: watch::Sender::new(0),
            link: watch::Sender::new(view::Link::Idle),
            locked: watch::Sender::new(false),
            addable: watch::Sender::new(false),
        })
    }

    /// The user.
    pub fn me(&self) -> &UserName {
        &self.crypto.me
    }

    /// Everybody; never held across an await.
    pub fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Something shown may have changed.
    pub fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Works on the store where it stops nobody else.
    pub async fn stored<T: MaySend + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, ClientError> + MaySend + 'static,
    ) -> Result<T, ClientError> {
        let store = self.store.clone();
        platform::heavy(move || async move { work(&store) }).await?
    }
}

/// What a request of ours was about.
enum Asked {
    Chain(UserName),
    People,
    Rooms,
    CaughtUp,
    Alive,
    Vault,
    /// What is left of this device's key packages; and the same behind new ones.
    Left,
    Published,
    Claim(Vec<DeviceKey>),
}

/// The client's side of one link.
pub struct Engine {
    core: Arc<Core>,
    network: Vec<ServerName>,
    out: Vec<Frame>,
    next_req: u32,
    asked: HashMap<u32, Asked>,
    // sync
    logs: BTreeMap<LogName, Followed>,
    numbers: HashMap<u64, LogName>,
    follow_again: Vec<(Instant, LogName)>,
    // people
    keys: Keys,
    histories: Histories,
    // outbox
    outbox: Outbox,
    unsealed: BTreeMap<i64, OutboxRow>,
    last_row: i64,
    /// Whom this device is about to put out of groups.
    removals: Removals,
    /// Key packages, this device's and others'.
    packages: Packages,
    /// What this device hands on to the user's others.
    handing: Handing,
    /// Rooms on MLS whose keys have to be made anew before something can be sealed there.
    rekeys: BTreeSet<LogName>,
    /// Rooms on MLS of which something has come: to be looked at whether this device has their keys.
    moved: BTreeSet<LogName>,
    /// Whose keys something waits for that could not be opened.
    late_for: BTreeSet<UserName>,
    /// What groups are called, as far as this link needs it.
    titles: HashMap<LogName, String>,
    // how far the first sync has come
    people_known: bool,
    caught_up: bool,
}

impl Engine {
    /// Starts on a new link: the frames that ask for everything are in the first [`Engine::take_out`].
    pub async fn start(core: Arc<Core>, ready: Ready, now: Instant) -> Result<Engine, ClientError> {
        let mut engine = Engine {
            core,
            network: ready.network,
            out: Vec::new(),
            next_req: 1,
            asked: HashMap::new(),
            logs: BTreeMap::new(),
            numbers: HashMap::new(),
            follow_again: Vec::new(),
            keys: Keys::default(),
            histories: Histories::default(),
            outbox: Outbox::default(),
            unsealed: BTreeMap::new(),
            last_row: 0,
            removals: Removals::default(),
            packages: Packages::default(),
            handing: Handing::begin(now),
            rekeys: BTreeSet::new(),
            moved: BTreeSet::new(),
            late_for: BTreeSet::new(),
            titles: HashMap::new(),
            people_known: false,
            caught_up: false,
        };
        let read = |store: &Store| Ok((store.logs()?, store.rooms()?, store.epochs()?, store.waited_for()?));
        let (logs, rooms, mut epochs, late_for) = engine.core.stored(read).await?;
        engine.late_for = late_for;
        for stored in logs {
            engine.logs.insert(stored.log.clone(), Followed::from(stored));
        }
        let mut logs = engine.key_histories();
        logs.extend([LogName::Inbox(engine.me().clone()), LogName::History(engine.me().clone())]);
        logs.extend(engine.network.iter().cloned().map(LogName::Public));
        let mut partners = vec![engine.me().clone()];
        for stored in rooms {
            let mut room = RoomState::new(stored.genesis);
            room.members = stored.members.map(Arc::new).or(room.members);
            room.withdrawn = stored.withdrawn;
            room.epoch = epochs.remove(&room.genesis.log());
            room.vouched = stored.invited_by.zip(stored.vouched).map(|(by, (seq, hash))| Vouched { by, seq, hash });
            partners.extend(room.people());
            let ended = room.has_ended_for(engine.me());
            let is_on_mls = room.genesis.suite() == SuiteName::Mls1;
            let log = engine.add_room(room);
            engine.moved.extend(is_on_mls.then(|| log.clone()));
            if let Some((title, tag)) = stored.title {
                engine.titled(&log, &title, tag);
            }
            // What has ended is told anew when there is more of it.
            logs.extend((!ended).then_some(log));
        }
        engine.follow(logs);
        // The whole histories of those one talks to are asked for each time: the server must still tell the same story.
        partners.extend(engine.late_for.iter().cloned());
        partners.sort();
        partners.dedup();
        for user in partners {
            engine.ask_keys(user, 0, 0);
        }
        let req = engine.ask(Asked::Rooms);
        engine.out.push(frame::Rooms { req }.into());
        let req = engine.ask(Asked::People);
        engine.out.push(frame::People { req }.into());
        let req = engine.ask(Asked::Vault);
        engine.out.push(VaultGet { req }.into());
        engine.ask_left();
        engine.pump(now).await?;
        Ok(engine)
    }

    fn me(&self) -> &UserName {
        self.core.me()
    }

    /// The frames to send now, in order.
    pub fn take_out(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.out)
    }

    /// Whether everything that was there when the link came up has arrived.
    pub fn is_caught_up(&self) -> bool {
        self.caught_up && self.people_known && self.keys.is_idle() && self.logs.values().all(Followed::is_flowing)
    }

    /// The servers of this network.
    pub fn network(&self) -> &[ServerName] {
        &self.network
    }

    /// When [`Engine::tick`] has something to do.
    pub fn wake_at(&self) -> Option<Instant> {
        let follow = self.follow_again.iter().map(|(at, _)| *at).min();
        let parts = [self.outbox.wake_at(), self.keys.wake_at(), self.removals.wake_at(), self.packages.wake_at(), self.handing.wake_at()];
        parts.into_iter().chain([follow]).flatten().min()
    }

    /// Does what has become due.
    pub async fn tick(&mut self, now: Instant) -> Result<(), ClientError> {
        let (due, later) = std::mem::take(&mut self.follow_again).into_iter().partition(|(at, _)| *at <= now);
        self.follow_again = later;
        self.follow(due.into_iter().map(|(_, log): (Instant, LogName)| log).collect());
        self.ask_missing_again(now);
        self.packages.tick(now);
        self.pump(now).await
    }

    /// A sign of life is wanted.
    pub fn ping(&mut self) {
        let req = self.ask(Asked::Alive);
        self.out.push(Ping { req, heads: None }.into());
    }

    /// Something was written.
    pub async fn written(&mut self, now: Instant) -> Result<(), ClientError> {
        self.pump(now).await
    }

    /// Frames have come, in this order.
    pub async fn handle(&mut self, frames: Vec<Frame>, now: Instant) -> Result<(), ClientError> {
        let mut accepted = Vec::new();
        for frame in frames {
            // Answers to a pipeline come in rows: one commit for a row of them.
            if let Frame::Accepted(answer) = &frame {
                let log = self.outbox.log_of(answer.req).cloned();
                // A room has one log, so its order is known already; the public chat's is the home server's to say.
                let room = log.as_ref().and_then(|log| self.logs.get(log)?.room.as_ref());
                let place = room.map(|room| room.place(answer.seq));
                self.follow_late(log);
                let comes_back = self.comes_back(answer.req);
                accepted.extend(self.outbox.accepted(answer.req).filter(|_| !comes_back).map(|row| (row, answer.seq, place)));
                continue;
            }
            self.commit_accepted(&mut accepted).await?;
            self.handle_one(frame, now).await?;
        }
        self.commit_accepted(&mut accepted).await?;
        self.pump(now).await
    }

    async fn commit_accepted(&mut self, accepted: &mut Vec<(i64, u64, Option<u64>)>) -> Result<(), ClientError> {
        let rows = std::mem::take(accepted);
        if rows.is_empty() {
            return Ok(());
        }
        self.core.stored(move |store| store.accepted(&rows)).await
    }

    async fn handle_one(&mut self, frame: Frame, now: Instant) -> Result<(), ClientError> {
        match frame {
            Frame::Named(named) => {
                self.numbers.insert(named.number, named.log);
                Ok(())
            }
            Frame::Entries(entries) => self.entries(entries).await,
            Frame::Ended(Ended { log, why: Some(why), .. }) => self.stops(&log, why.to_string()).await,
            Frame::Ended(Ended { log, why: None, .. }) => self.ended(log).await,
            Frame::Vault(vault) => self.vault(vault).await,
            Frame::Queued(queued) => match self.outbox.queued(queued.req) {
                Some(row) => self.core.stored(move |store| store.waiting(row)).await,
                None => Ok(()),
            },
            Frame::Refused(refused) => self.refused(refused, now).await,
            Frame::ChainReply(reply) => match self.asked.remove(&reply.req) {
                Some(Asked::Chain(user)) => self.chain(user, reply, now).await,
                _ => Ok(()),
            },
            Frame::PeopleReply(reply) => {
                if !reply.more && matches!(self.asked.remove(&reply.req), Some(Asked::People)) {
                    self.people_known = true;
                }
                let unknown = self.core.people().present(&reply.people);
                self.ask_newest(unknown);
                Ok(())
            }
            Frame::Presence(presence) => {
                let unknown = self.core.people().presence(&presence);
                self.ask_newest(unknown);
                Ok(())
            }
            Frame::RoomsReply(reply) => self.rooms(reply).await,
            Frame::Pong(Pong { req }) => match self.asked.remove(&req) {
                Some(Asked::CaughtUp) => {
                    self.caught_up = true;
                    self.has_key_histories().await
                }
                Some(Asked::Alive) => self.look_at_histories(platform::now()).await,
                _ => Ok(()),
            },
            Frame::KeyPackagesLeft(left) => {
                self.left(&left);
                Ok(())
            }
            Frame::KeyPackages(reply) => {
                self.claimed(reply, now);
                Ok(())
            }
            Frame::Ping(Ping { req, heads }) => {
                self.out.push(Pong { req }.into());
                self.heads(heads.unwrap_or_default()).await
            }
            other => Err(ClientError::ServerMisbehaved(format!("{} has no place on this link", other.name()))),
        }
    }

    fn ask(&mut self, what: Asked) -> u32 {
        let req = self.req();
        self.asked.insert(req, what);
        req
    }

    fn req(&mut self) -> u32 {
        let req = self.next_req;
        // 0 is for what has no number.
        self.next_req = self.next_req.checked_add(1).unwrap_or(1);
        req
    }

    fn follow(&mut self, logs: Vec<LogName>) {
        let mut wanted = Vec::new();
        for log in logs {
            let followed = self.logs.entry(log.clone()).or_default();
            if followed.stopped().is_none() {
                followed.begin();
                wanted.push((LogRef::Name(log), followed.tip().seq));
            }
        }
        for some in wanted.chunks(FOLLOW_AT_ONCE) {
            self.out.push(Follow { logs: some.to_vec() }.into());
        }
    }

    /// Follows a log that could not be followed before: there is news of it.
    fn follow_late(&mut self, log: Option<LogName>) {
        let Some(log) = log else { return };
        let before = self.follow_again.len();
        self.follow_again.retain(|(_, late)| *late != log);
        if self.follow_again.len() < before {
            self.follow(vec![log]);
        }
    }

    /// A room that this user is in, was in or is asked into; returns its log.
    fn add_room(&mut self, room: RoomState) -> LogName {
        let log = room.genesis.log();
        self.logs.entry(log.clone()).or_default().room = Some(room);
        log
    }

    /// Rooms that were pointed to: kept, then followed.
    async fn learn(&mut self, rooms: Vec<NewRoom>) -> Result<(), ClientError> {
        let rooms = self.news(rooms).await?;
        if rooms.is_empty() {
            return Ok(());
        }
        let kept = rooms.clone();
        self.core.stored(move |store| store.learn_rooms(&kept)).await?;
        let mut logs = Vec::new();
        for NewRoom { genesis, invited_by, vouched, .. } in rooms {
            let log = genesis.log();
            let vouched = invited_by.zip(vouched).map(|(by, (seq, hash))| Vouched { by, seq, hash });
            let followed = self.logs.entry(log.clone()).or_default();
            if let Some(known) = &mut followed.room {
                known.withdrawn = false;
                known.vouched = vouched.or(known.vouched.take());
            } else {
                let room = RoomState { vouched, ..RoomState::new(genesis) };
                self.ask_newest(room.people());
                self.add_room(room);
            }
            logs.push(log);
        }
        self.follow(logs);
        Ok(())
    }

    /// Those of the rooms of which something is said that is not known; and whether what a member has vouched for is not what is here.
    async fn news(&self, rooms: Vec<NewRoom>) -> Result<Vec<NewRoom>, ClientError> {
        let mut rooms: Vec<NewRoom> = rooms.into_iter().filter(|room| self.is_news(room)).collect();
        for room in &mut rooms {
            let log = room.genesis.log();
            let known = self.logs.get(&log).and_then(|followed| followed.room.as_ref());
            let Some((by, (seq, hash))) = room.invited_by.clone().zip(room.vouched) else { continue };
            let vouched = Vouched { by, seq, hash };
            if known.and_then(|known| known.members.as_deref()).is_some_and(|members| vouched.counts(members)) {
                let here = self.core.stored(move |store| store.hash_at(&log, seq)).await?;
                room.contradicts = here.filter(|here| *here != hash).map(|_| vouched.contradiction());
            }
        }
        Ok(rooms)
    }

    fn is_news(&self, room: &NewRoom) -> bool {
        let Some(known) = self.logs.get(&room.genesis.log()).and_then(|followed| followed.room.as_ref()) else {
            return room.genesis.as_direct().is_none_or(|direct| direct.has(self.me()));
        };
        match &room.invited_by {
            // What has ended may go on.
            _ if known.has_ended_for(self.me()) => true,
            None => false,
            // An invitation is for who is not in, and by somebody who is; a new device of somebody who is in has from it what the group was
            // called before.
            Some(by) => known.members.as_deref().is_none_or(|members| {
                let has_title = self.titles.contains_key(&room.genesis.log());
                members.person(by).is_some() && !(members.has(self.me()) && has_title)
            }),
        }
    }

    /// Nothing more of a room is for this user. What is, has come before; of an invitation that came to nothing, not even that.
    async fn ended(&mut self, log: LogName) -> Result<(), ClientError> {
        self.follow_again.retain(|(_, late)| *late != log);
        let me = self.me().clone();
        let room = self.logs.get_mut(&log).and_then(|followed| followed.room.as_mut());
        let Some(room) = room.filter(|room| room.asks(&me)) else { return Ok(()) };
        room.withdrawn = true;
        self.core.stored(move |store| store.withdrawn(&log)).await
    }

    /// What this account's devices know of each other: names, and who was compared.
    async fn vault(&mut self, vault: Vault) -> Result<(), ClientError> {
        if !matches!(self.asked.remove(&vault.req), Some(Asked::Vault)) {
            return Ok(());
        }
        let core = self.core.clone();
        platform::heavy(move || async move { crate::account::book::learn(&core, &vault) }).await?
    }

    async fn rooms(&mut self, reply: RoomsReply) -> Result<(), ClientError> {
        for room in &reply.rooms {
            self.follow_late(Some(room.genesis.log()));
        }
        let rooms = reply.rooms.into_iter().map(|room| NewRoom::from(room.genesis));
        self.learn(rooms.collect()).await?;
        if !reply.more && matches!(self.asked.remove(&reply.req), Some(Asked::Rooms)) {
            // Frames are served in order: what comes before the answer to this is everything there was.
            let req = self.ask(Asked::CaughtUp);
            self.out.push(Ping { req, heads: None }.into());
        }
        Ok(())
    }

    async fn refused(&mut self, refused: Refused, now: Instant) -> Result<(), ClientError> {
        let Refused { req, why, log } = refused;
        if let Some(verdict) = self.outbox.refused(req, &why, now) {
            return self.not_sent(verdict, why, now).await;
        }
        match (self.asked.remove(&req), log) {
            (Some(Asked::Chain(user)), _) => self.no_chain(user, &why, now).await,
            (Some(Asked::Vault), _) => {
                tracing::warn!(code = why.code.name(), "the vault cannot be had");
                Ok(())
            }
            (Some(Asked::Claim(devices)), _) => {
                self.not_claimed(devices, &why, now);
                Ok(())
            }
            // A server of an older version has no place for key packages; whoever is on it is not added while away.
            (Some(Asked::Left | Asked::Published), _) => {
                tracing::warn!(code = why.code.name(), "key packages cannot be published");
                Ok(())
            }
            (Some(_), _) => Err(ClientError::Refused(why)),
            (None, Some(log)) if req == 0 => {
                // A room that this client is the first to write in is not there before its first draft has arrived.
                tracing::debug!(%log, code = why.code.name(), "a log cannot be followed yet");
                self.follow_again.push((now + FOLLOW_AGAIN, log));
                Ok(())
            }
            (None, _) if why.code == Code::Revoked => Err(ClientError::NotListed(self.me().clone())),
            (None, _) if req == 0 => Err(ClientError::Refused(why)),
            // An answer to something that has been dealt with.
            (None, _) => Ok(()),
        }
    }

    fn submit(&mut self, submits: Vec<Submit>) {
        self.out.extend(submits.into_iter().map(Frame::from));
    }
}

#[cfg(test)]
pub mod tests;
