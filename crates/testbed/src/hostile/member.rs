//! A client that has turned: a registered user on a link without a client behind it, who signs and seals what no client would.

use super::Story;
use crate::PATIENCE;
use crate::crash::account;
use crate::raw::RawLink;
use crate::world::World;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::rsa::AwsLcKeys;
use tidings_e2ee::suite::rsa_jwe::RsaJwe1;
use tidings_e2ee::suite::{SealContext, Suite};
use tidings_proto::frame::{Accepted, Fetch, Page, Refused, Submit};
use tidings_proto::membership::Join;
use tidings_proto::{Content, Draft, Encoded, Entry, Frame, Genesis, Hash, KeysSeen, Kind, LogName, Refusal, ServerName, UserName, cbor};
use tidings_trust::{KeyState, Members, Roster};
use tokio::time::Instant;

/// Key histories, by whose they are.
pub type Histories = HashMap<UserName, Arc<KeyState>>;

/// A group as somebody can tell.
pub struct Group {
    /// What names it.
    pub genesis: Genesis,
    /// Its log.
    pub story: Story,
    /// Everybody's keys.
    pub keys: Histories,
    /// Its people, in each epoch.
    pub members: Vec<Members>,
}

impl Group {
    /// Its people now.
    pub fn now(&self) -> &Members {
        &self.members[self.members.len() - 1]
    }

    /// What somebody signs to come in.
    pub fn comes_in(&self, n: u64) -> Note {
        Note { n, kind: Kind::Join, epoch: Some(self.now().epoch()), body: cbor::encode(&Join { prev: self.now().last() }) }
    }

    /// A message as an honest member means it.
    pub fn message<'a>(&'a self, by: &'a UserName, n: u64, text: &'a str) -> Sealing<'a> {
        let (genesis, keys, members, tip) = (&self.genesis, &self.keys, self.now(), self.story.tip());
        Sealing { genesis, author: by, members, keys, epoch: members.epoch(), n, seen: (tip.seq, tip.hash), keys_seen: Vec::new(), text }
    }
}

/// A user who keeps to nothing.
pub struct Member {
    /// The name.
    pub user: UserName,
    /// The one device.
    pub device: DeviceSecret,
    link: RawLink,
    reqs: u32,
}

/// Something that is signed in the open.
pub struct Note {
    /// The number that it is given.
    pub n: u64,
    /// What it is.
    pub kind: Kind,
    /// The epoch that it names.
    pub epoch: Option<u64>,
    /// What it says.
    pub body: Vec<u8>,
}

/// A message, as its author means it.
pub struct Sealing<'a> {
    /// The room.
    pub genesis: &'a Genesis,
    /// In whose name.
    pub author: &'a UserName,
    /// For whom.
    pub members: &'a Members,
    /// Their keys.
    pub keys: &'a Histories,
    /// The epoch that it names.
    pub epoch: u64,
    /// The number that it is given.
    pub n: u64,
    /// What its author says to have seen.
    pub seen: (u64, Hash),
    /// And of key histories.
    pub keys_seen: Vec<KeysSeen>,
    /// What it says.
    pub text: &'a str,
}

impl Member {
    /// Registers, by keys that everybody has: there is one of them in a world.
    pub async fn registers(world: &World, user: &str) -> Member {
        let user: UserName = user.parse().expect("a user name");
        let server = world.address(user.server().as_str());
        let device = account::register(server, &user).await;
        let link = RawLink::device(server, &user, &device).await;
        Member { user, device, link, reqs: 0 }
    }

    /// A log, as far as this user is shown it; waits until it is.
    pub async fn log(&mut self, log: &LogName) -> Vec<Entry> {
        let (mut entries, until): (Vec<Entry>, _) = (Vec::new(), Instant::now() + PATIENCE);
        loop {
            let after = Some(entries.len() as u64);
            let req = self.req();
            self.link.send(Fetch { req, log: log.clone(), before: None, after, limit: 1000 }).await;
            let items = match self.answer(req).await {
                Frame::Page(Page { items, .. }) => items,
                _ if Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
                _ => panic!("{log} is not shown to {}", self.user),
            };
            if items.is_empty() {
                return entries;
            }
            entries.extend(items.iter().map(|item| Entry::read(&item.entry).expect("an entry")));
        }
    }

    /// Everybody's keys, as these servers' logs prove them.
    pub async fn keys(&mut self, servers: &[&str]) -> Histories {
        let mut known = Histories::new();
        for server in servers {
            let server: ServerName = server.parse().expect("a server name");
            let log = LogName::Keys(server);
            for entry in self.log(&log).await {
                let Some(draft) = entry.draft() else { continue };
                let before = known.get(&draft.author).cloned();
                if let Ok(state) = KeyState::apply(before.as_deref(), &log, entry.seq, draft, None) {
                    known.insert(draft.author.clone(), Arc::new(state));
                }
            }
        }
        known
    }

    /// A group as this user can tell.
    pub async fn group(&mut self, log: &LogName, servers: &[&str]) -> Group {
        let keys = self.keys(servers).await;
        let story = Story { log: log.clone(), entries: self.log(log).await };
        let first = story.entries[0].draft().expect("a group's first entry");
        let genesis = Genesis::read(&first.body).expect("what a group is named after");
        let group = genesis.as_group().expect("a group");
        let mut members = vec![Members::begin(group, first, &keys[&first.author]).expect("a group that begins")];
        for (seq, draft) in story.drafts().skip(1) {
            let author = &keys[&draft.author];
            members.extend(members[members.len() - 1].apply(seq, draft, author, |user| keys.get(user).cloned()).ok());
        }
        Group { genesis, story, keys, members }
    }

    /// Waits until this user is asked into a group, and comes in: the n-th thing that this user writes there.
    pub async fn joins(&mut self, log: &LogName, servers: &[&str], n: u64) -> Encoded<Draft> {
        let until = Instant::now() + PATIENCE;
        let group = loop {
            let group = self.group(log, servers).await;
            if group.now().person(&self.user).is_some() {
                break group;
            }
            assert!(Instant::now() < until, "{} is not asked in", self.user);
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let join = self.signs(log, group.comes_in(n));
        self.submits(log, &join, None).await.expect("an invitation that can be accepted");
        join
    }

    /// Submits a draft.
    pub async fn submits(&mut self, log: &LogName, draft: &Encoded<Draft>, genesis: Option<&Genesis>) -> Result<Accepted, Refusal> {
        self.submits_bytes(log, draft.bytes().clone(), genesis).await
    }

    /// The same with any bytes.
    pub async fn submits_bytes(&mut self, log: &LogName, draft: Bytes, genesis: Option<&Genesis>) -> Result<Accepted, Refusal> {
        let req = self.req();
        self.link.send(Submit { req, log: log.clone(), draft, genesis: genesis.cloned() }).await;
        match self.answer(req).await {
            Frame::Accepted(accepted) => Ok(accepted),
            Frame::Refused(Refused { why, .. }) => Err(why),
            other => panic!("{} is no answer to a draft", other.name()),
        }
    }

    /// The link, for what has no name here.
    pub fn link(&mut self) -> &mut RawLink {
        &mut self.link
    }

    fn req(&mut self) -> u32 {
        self.reqs += 1;
        self.reqs
    }

    /// The last answer to a question: one that says to wait is followed by another.
    async fn answer(&mut self, req: u32) -> Frame {
        loop {
            match self.link.next().await {
                frame @ (Frame::Page(Page { req: to, .. })
                | Frame::Accepted(Accepted { req: to, .. })
                | Frame::Refused(Refused { req: to, .. }))
                    if to == req =>
                {
                    return frame;
                }
                _ => {}
            }
        }
    }

    /// Signs something in this user's own name.
    pub fn signs(&self, log: &LogName, note: Note) -> Encoded<Draft> {
        self.signs_as(&self.user, log, note)
    }

    /// Signs something in anybody's name.
    pub fn signs_as(&self, author: &UserName, log: &LogName, note: Note) -> Encoded<Draft> {
        let Note { n, kind, epoch, body } = note;
        let draft = Draft { device: self.device.public(), n, author: author.clone(), list: 1, epoch, kind, body: body.into(), sig: None };
        draft.signed(log, |bytes| self.device.sign(bytes))
    }

    /// Signs something as under another of this user's device lists.
    pub fn signs_under(&self, list: u64, log: &LogName, Note { n, kind, epoch, body }: Note) -> Encoded<Draft> {
        let (device, author) = (self.device.public(), self.user.clone());
        Draft { device, n, author, list, epoch, kind, body: body.into(), sig: None }.signed(log, |bytes| self.device.sign(bytes))
    }

    /// A public post.
    pub fn post(&self, n: u64, text: &str) -> Encoded<Draft> {
        let log = LogName::Public(self.user.server().clone());
        let body = cbor::encode(&Content::text(text).expect("a text"));
        self.signs(&log, Note { n, kind: Kind::Post, epoch: None, body })
    }

    /// Seals a message; the draft around it is in this user's name.
    pub async fn seals(&self, message: Sealing<'_>) -> Encoded<Draft> {
        let Sealing { genesis, author, members, keys, epoch, n, seen, keys_seen, text } = message;
        let (roster, readers) = Roster::to_seal(members, &|user| keys.get(user).cloned()).expect("a roster");
        let context =
            SealContext { room: genesis.room(), author, n, list: 1, epoch, roster: &roster, keys: &readers, seen, keys_seen: &keys_seen };
        let suite = RsaJwe1 { keys: &AwsLcKeys, device: &self.device, decrypting: &[] };
        let (body, _) = suite.seal(&context, &Content::text(text).expect("a text")).await.expect("a message that can be sealed");
        let (device, author) = (self.device.public(), self.user.clone());
        Encoded::new(Draft { device, n, author, list: 1, epoch: Some(epoch), kind: Kind::Sealed, body, sig: None })
    }
}
