//! Alice's engine, the people she writes to, and the logs of the servers between them.

mod alice;
mod hub;
mod person;

pub use alice::{invitation, reads, target};
pub use hub::{Act, Hub, group, keys_entry};
pub use person::{Person, Sealing, secrets, server_key, server_secret};

use crate::client::{shown, write};
use crate::crypto::Crypto;
use crate::engine::{Core, Engine};
use crate::store::{Store, StoredRoom, Trusted};
use crate::view::{Event, Message, Status, Target};
use crate::{Client, ClientError};
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;
use tidings_proto::frame::{
    Accepted, Chain, ChainReply, Follow, KeyPackagesLeft, LogRef, Online, PeopleReply, PersonState, Ping, Pong, Presence, Ready, Refused,
    RoomsReply, Submit, Vault, VaultGet,
};
use tidings_proto::limits::KEY_PACKAGES;
use tidings_proto::{Code, Content, Entry, Frame, Genesis, LogName, Refusal, SuiteName, UserName};
use tidings_trust::Fingerprint;

/// RSA test keys of the e2ee crate.
pub const KEYS: [&[u8]; 6] = [
    include_bytes!("../../../../e2ee/tests/keys/a.pk8"),
    include_bytes!("../../../../e2ee/tests/keys/b.pk8"),
    include_bytes!("../../../../e2ee/tests/keys/c.pk8"),
    include_bytes!("../../../../e2ee/tests/keys/d.pk8"),
    include_bytes!("../../../../e2ee/tests/keys/large.pk8"),
    include_bytes!("../../../../e2ee/tests/keys/e.pk8"),
];

/// The direct room of two people.
pub fn room(a: &UserName, b: &UserName) -> Genesis {
    Genesis::direct(SuiteName::RsaJwe1, a, b)
}

/// Alice's client, without a socket.
pub struct Bench {
    folder: TempDir,
    pub alice: Person,
    pub bob: Person,
    pub core: Arc<Core>,
    pub engine: Engine,
    pub hub: Hub,
    /// Drafts that the engine has submitted and nobody has answered.
    pub submits: Vec<Submit>,
    /// Logs that were asked for on this link, and from where.
    pub followed: Vec<(LogName, u64)>,
    /// Questions about keys that stay open: number, about whom, after which place.
    pub held: Vec<(u32, UserName, u64)>,
}

impl Bench {
    /// alice@s1 and bob@s2, linked and caught up.
    pub async fn new() -> Bench {
        Bench::with(|_, _, _| {}).await
    }

    /// The same, with something prepared on the server first.
    pub async fn with(prepare: impl FnOnce(&mut Hub, &Person, &Person)) -> Bench {
        let (alice, bob) = (Person::new("alice@s1", 0, 1).await, Person::new("bob@s2", 2, 3).await);
        let mut hub = Hub::default();
        hub.reader = Some(alice.user.clone());
        hub.knows(&alice);
        hub.knows(&bob);
        prepare(&mut hub, &alice, &bob);
        Bench::on_new_profile(alice, bob, hub).await
    }

    /// Alice has other keys and another device by now; all else is as it was.
    pub async fn of(alice: Person, before: Bench) -> Bench {
        let Bench { bob, mut hub, .. } = before;
        hub.knows(&alice);
        Bench::on_new_profile(alice, bob, hub).await
    }

    async fn on_new_profile(alice: Person, bob: Person, hub: Hub) -> Bench {
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.begin_account(&alice.account, None).unwrap();
        store.extend_chain(&alice.user, &alice.history).unwrap();
        store.listed().unwrap();
        let (core, engine) = start(store).await;
        let mut bench = Bench { folder, alice, bob, core, engine, hub, submits: Vec::new(), followed: Vec::new(), held: Vec::new() };
        bench.answer().await;
        bench
    }

    /// The process ends here, at once; another one opens the profile and links.
    pub async fn crash(self) -> Bench {
        let mut bench = self.stop_and_start().await;
        bench.answer().await;
        bench
    }

    /// The same, but nothing of the new link has been answered yet.
    pub async fn stop_and_start(self) -> Bench {
        let Bench { folder, alice, bob, core, engine, hub, .. } = self;
        core.store.close();
        drop((core, engine));
        let (core, engine) = start(Store::open(folder.path()).unwrap()).await;
        Bench { folder, alice, bob, core, engine, hub, submits: Vec::new(), followed: Vec::new(), held: Vec::new() }
    }

    /// The process ends, and a front end opens the profile without a link.
    pub fn opened(self) -> (TempDir, Client) {
        self.core.store.close();
        drop((self.core, self.engine));
        let client = Client::open(self.folder.path()).unwrap();
        (self.folder, client)
    }

    /// The link ends, and another one comes up; the process stays.
    pub async fn relink(&mut self) {
        self.engine = Engine::start(self.core.clone(), ready(), Instant::now()).await.unwrap();
        (self.submits, self.followed, self.held) = Default::default();
        self.answer().await;
    }

    /// Answers everything that is asked, but not what is submitted.
    pub async fn answer(&mut self) {
        loop {
            let out = self.engine.take_out();
            let mut frames = Vec::new();
            for frame in out {
                match frame {
                    Frame::Follow(Follow { logs }) => {
                        for (log, after) in logs {
                            let LogRef::Name(log) = log else { panic!("logs are followed by name") };
                            frames.extend(self.hub.entries(&log, after + 1));
                            self.followed.push((log, after));
                        }
                    }
                    Frame::Rooms(rooms) => {
                        frames.push(RoomsReply { req: rooms.req, rooms: self.hub.rooms.clone(), more: false }.into());
                    }
                    Frame::People(people) => {
                        let known = self.hub.keys.values().filter(|state| self.hub.chains.contains_key(&state.list.user));
                        let people_known = known.map(|state| person_state(&state.list.user, state.version())).collect();
                        frames.push(PeopleReply { req: people.req, people: people_known, more: false }.into());
                    }
                    Frame::Chain(Chain { req, user, after }) if self.hub.mute_about_keys => self.held.push((req, user, after)),
                    Frame::Chain(Chain { req, user, after }) => frames.push(self.chain_reply(req, &user, after)),
                    Frame::VaultGet(VaultGet { req }) => frames.push(match &self.hub.vault {
                        Some(vault) => Vault { req, vault: vault.clone() }.into(),
                        None => Refused { req, why: Code::NotFound.into(), log: None }.into(),
                    }),
                    Frame::KeyPackagesPut(put) => {
                        frames.push(KeyPackagesLeft { req: put.req, single_use: KEY_PACKAGES as u32, last_resort: true }.into());
                    }
                    Frame::Ping(Ping { req, .. }) => frames.push(Pong { req }.into()),
                    Frame::Pong(_) => {}
                    Frame::Submit(submit) => self.submits.push(submit),
                    other => panic!("{other:?} was not expected"),
                }
            }
            if frames.is_empty() {
                return;
            }
            self.engine.handle(frames, Instant::now()).await.unwrap();
        }
    }

    fn chain_reply(&self, req: u32, user: &UserName, after: u64) -> Frame {
        match self.hub.chains.get(user) {
            Some(items) => {
                let items = items.iter().filter(|item| Entry::read(&item.entry).map_or(true, |entry| entry.seq > after)).cloned().collect();
                ChainReply { req, items, more: false }.into()
            }
            None => Refused { req, why: Code::NotFound.into(), log: None }.into(),
        }
    }

    /// A question about keys that was left open is answered.
    pub async fn answers(&mut self, req: u32, user: &UserName, after: u64) {
        let reply = self.chain_reply(req, user, after);
        self.comes(vec![reply]).await.unwrap();
    }

    /// Alice accepts somebody's keys as they are.
    pub fn accepts_key(&self, person: &Person) {
        self.trusts(person, person.state.list.identity.fingerprint(), None);
    }

    /// Alice has accepted one of somebody's identities, and perhaps compared one.
    pub fn trusts(&self, person: &Person, accepted: Fingerprint, verified: Option<Fingerprint>) {
        let trusted = Trusted { accepted, verified };
        self.core.store.trust(&person.user, trusted).unwrap();
        self.core.people().trust(&person.user, trusted);
    }

    /// Frames come; whatever is asked then is answered.
    pub async fn comes(&mut self, frames: Vec<Frame>) -> Result<(), ClientError> {
        self.engine.handle(frames, Instant::now()).await?;
        self.answer().await;
        Ok(())
    }

    /// What is new in a log comes.
    pub async fn news(&mut self, log: &LogName, from: u64) {
        let frames = self.hub.entries(log, from);
        self.comes(frames).await.unwrap();
    }

    /// Everything of a log that is not here comes.
    pub async fn all_of(&mut self, log: &LogName) {
        let tip = self.core.store.logs().unwrap().into_iter().find(|stored| stored.log == *log).map_or(0, |stored| stored.tip.seq);
        self.news(log, tip + 1).await;
    }

    /// The server knows somebody's keys as they are by now, and says so.
    pub async fn hears_of(&mut self, person: &Person) {
        self.hub.knows(person);
        let people = vec![person_state(&person.user, person.state.version())];
        self.comes(vec![Presence { whole: false, people }.into()]).await.unwrap();
    }

    /// Alice writes.
    pub async fn writes(&mut self, target: &Target, text: &str) -> i64 {
        let id = self.writes_offline(target, text);
        self.goes_on().await;
        id
    }

    /// Alice writes, and the engine does not hear of it yet.
    pub fn writes_offline(&self, target: &Target, text: &str) -> i64 {
        write::message(&self.core.store, &self.core.crypto, Some(SuiteName::RsaJwe1), (target, &Content::text(text).unwrap()), None)
            .unwrap()
    }

    /// The engine hears that something was written.
    pub async fn goes_on(&mut self) {
        self.engine.written(Instant::now()).await.unwrap();
        self.answer().await;
    }

    /// What is due is done.
    pub async fn wakes(&mut self) {
        let wake = self.engine.wake_at().expect("nothing is due");
        self.engine.tick(wake).await.unwrap();
        self.answer().await;
    }

    /// The drafts that were submitted since the last time.
    pub fn taken(&mut self) -> Vec<Submit> {
        std::mem::take(&mut self.submits)
    }

    /// A submitted draft is taken into its log, and that is said.
    pub async fn accepts(&mut self, submit: &Submit) {
        let draft = tidings_proto::draft::read(submit.draft.clone()).unwrap();
        let tip = self.hub.offer(&submit.log, &draft, submit.genesis.as_ref()).unwrap();
        self.comes(vec![Accepted { req: submit.req, seq: tip.seq, hash: tip.hash }.into()]).await.unwrap();
    }

    /// A submitted draft is refused.
    pub async fn refuses(&mut self, submit: &Submit, why: impl Into<Refusal>) {
        self.comes(vec![Refused { req: submit.req, why: why.into(), log: None }.into()]).await.unwrap();
    }

    /// The server judges whatever is submitted, says so, and shows what it has taken, until nothing more comes.
    pub async fn settles(&mut self) {
        for _ in 0..100 {
            for submit in self.taken() {
                let draft = tidings_proto::draft::read(submit.draft.clone()).unwrap();
                let from = self.hub.tip(&submit.log).seq + 1;
                match self.hub.offer(&submit.log, &draft, submit.genesis.as_ref()) {
                    Ok(tip) => {
                        self.comes(vec![Accepted { req: submit.req, seq: tip.seq, hash: tip.hash }.into()]).await.unwrap();
                        self.shows(&submit.log, from).await;
                    }
                    Err(why) => self.refuses(&submit, why).await,
                }
            }
            if self.submits.is_empty() {
                match self.engine.wake_at() {
                    Some(_) => self.wakes().await,
                    None => return,
                }
            }
        }
        panic!("it does not come to rest");
    }

    /// What is new in a log comes, if it is followed.
    async fn shows(&mut self, log: &LogName, from: u64) {
        if self.followed.iter().any(|(followed, _)| followed == log) {
            self.news(log, from).await;
        }
    }

    /// A conversation as it is on screen.
    pub fn screen(&self, target: &Target) -> Vec<Message> {
        let shown = |message| shown::message(&self.core.crypto, message).unwrap();
        self.core.store.timeline(target, 1000).unwrap().into_iter().map(shown).collect()
    }

    /// Each line of a conversation in words: who says or does what, or why there is nothing.
    pub fn lines(&self, target: &Target) -> Vec<String> {
        self.screen(target).into_iter().map(line).collect()
    }

    /// The status of one message.
    pub fn status(&self, id: i64) -> Status {
        self.core.store.message(id).unwrap().unwrap().status
    }

    /// Why a log is stopped, if it is.
    pub fn stopped(&self, log: &LogName) -> Option<String> {
        self.core.store.logs().unwrap().into_iter().find(|stored| stored.log == *log)?.stopped
    }

    /// The conversation with bob.
    pub fn with_bob(&self) -> Target {
        Target::from(&self.bob.user)
    }

    /// The room with bob.
    pub fn room(&self) -> Genesis {
        room(&self.alice.user, &self.bob.user)
    }

    /// What is kept of a room.
    pub fn kept(&self, genesis: &Genesis) -> StoredRoom {
        self.core.store.rooms().unwrap().into_iter().find(|room| room.genesis == *genesis).unwrap()
    }

    /// Everything that the profile's files hold.
    pub fn files(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            all.extend(std::fs::read(file.unwrap().path()).unwrap());
        }
        all
    }
}

fn person_state(user: &UserName, list: u64) -> PersonState {
    PersonState { user: user.clone(), online: Online::Online, list }
}

fn line(message: Message) -> String {
    let author = message.author.map(|author| author.to_string());
    if let Status::Unreadable { reason } = message.status {
        assert!(author.is_none() || reason.starts_with("erased by"), "no author is shown that was not proved");
        return format!("? {reason}");
    }
    let author = author.unwrap();
    match message.event {
        None => format!("{author}: {}", message.text),
        Some(Event::Created) => format!("* {author} makes the group"),
        Some(Event::Invited { user, role }) => format!("* {author} asks {user} in as {role:?}"),
        Some(Event::Joined) => format!("* {author} comes in"),
        Some(Event::Left) => format!("* {author} goes"),
        Some(Event::Removed { user }) => format!("* {author} puts {user} out"),
        Some(Event::Role { user, role }) => format!("* {author} makes {user} {role:?}"),
        Some(Event::Titled { title }) => format!("* {author} calls it {title}"),
        Some(Event::Erased) => format!("* {author} erases something"),
    }
}

fn ready() -> Ready {
    Ready { listed: true, network: vec!["s1".parse().unwrap(), "s2".parse().unwrap()] }
}

async fn start(store: Store) -> (Arc<Core>, Engine) {
    let crypto = Crypto::new(&store.account().unwrap().unwrap()).unwrap();
    let core = Arc::new(Core::new(store, crypto).unwrap());
    core.people().at_home(server_key(&"s1".parse().unwrap()));
    let engine = Engine::start(core.clone(), ready(), Instant::now()).await.unwrap();
    (core, engine)
}
