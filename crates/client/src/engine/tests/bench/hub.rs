//! Logs as some server has them, and what it shows of them to one reader.

use super::person::{Person, Sealing};
use crate::crypto::Histories;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tidings_proto::chain::{self, Tip};
use tidings_proto::draft::Erase;
use tidings_proto::frame::{Ended, Entries, Item, Named, Refused, RoomRef, SealedVault};
use tidings_proto::membership::{Invite, Join, Leave, Remove, SetRole};
use tidings_proto::{
    Code, Content, DeviceKey, Draft, Encoded, Entry, Frame, Genesis, Hash, Kind, LogName, Nonce, Payload, Refusal, Role, SuiteName,
    UserName, cbor,
};
use tidings_trust::Members;
use tidings_trust::members::MembersError;

/// What somebody does to a group.
#[derive(Clone)]
pub enum Act<'a> {
    Invite(&'a Person, Role),
    Join,
    Leave,
    Remove(&'a UserName),
    SetRole(&'a UserName, Role),
}

/// Logs as some server has them.
#[derive(Default)]
pub struct Hub {
    pub logs: BTreeMap<String, (Vec<(Entry, Hash)>, Tip)>,
    numbers: Vec<LogName>,
    counted: HashMap<(LogName, DeviceKey), u64>,
    got: u64,
    /// Who is answered for, and with what.
    pub chains: HashMap<UserName, Vec<Item>>,
    /// Everybody's keys, as the server knows them.
    pub keys: Histories,
    /// What `RoomsReply` holds.
    pub rooms: Vec<RoomRef>,
    /// Whether questions about keys stay open.
    pub mute_about_keys: bool,
    /// Whether what was written outside of the reader's stays is shown too, as no honest server does.
    pub shows_all: bool,
    /// Who follows.
    pub reader: Option<UserName>,
    /// The reader's vault.
    pub vault: Option<SealedVault>,
}

/// A group that `creator` makes.
pub fn group(creator: &UserName, nonce: u8) -> Genesis {
    Genesis::group(SuiteName::RsaJwe1, creator, Nonce([nonce; 32]))
}

/// An entry of `keys@`.
pub fn keys_entry(seq: u64, draft: &Encoded<Draft>) -> Item {
    Item { entry: Entry { seq, at: 0, payload: Payload::Draft(draft.clone()) }.encode(), got: None }
}

impl Hub {
    /// Puts a draft into a log; returns its place and the hash there.
    pub fn append(&mut self, log: &LogName, draft: &Encoded<Draft>) -> Tip {
        let (entries, tip) = self.logs.entry(log.to_string()).or_insert((Vec::new(), Tip::EMPTY));
        let entry = Entry { seq: tip.seq + 1, at: 1_700_000_000_000 + tip.seq, payload: Payload::Draft(draft.clone()) };
        let prev = tip.hash;
        *tip = chain::extend(log, tip, &entry).unwrap();
        entries.push((entry, prev));
        let last = self.counted.entry((log.clone(), draft.device)).or_default();
        *last = draft.n.max(*last);
        *tip
    }

    /// Takes a draft if an honest hub would.
    pub fn offer(&mut self, log: &LogName, draft: &Encoded<Draft>, genesis: Option<&Genesis>) -> Result<Tip, Refusal> {
        if let (Some(genesis), 0) = (genesis.filter(|genesis| genesis.as_direct().is_some()), self.tip(log).seq) {
            self.begin(genesis);
        }
        let (entries, _) = self.logs.entry(log.to_string()).or_insert((Vec::new(), Tip::EMPTY));
        if let Some((entry, prev)) = entries.iter().find(|(entry, _)| entry.draft_hash() == draft.hash()) {
            return Ok(chain::extend(log, &Tip { seq: entry.seq - 1, hash: *prev }, entry).unwrap());
        }
        let last = self.next_n(log, &draft.device) - 1;
        if draft.n != last + 1 {
            let code = if draft.n > last { Code::Gap } else { Code::Rewound };
            return Err(Refusal::from(code).last(last));
        }
        if let Some(group) = self.group_of(log) {
            let (members, author) = (self.members(&group), &self.keys[&draft.author]);
            let judged = match draft.kind {
                Kind::Sealed if draft.epoch != Some(members.epoch()) => Err(MembersError::Stale),
                kind if kind.is_membership() => {
                    members.apply(self.tip(log).seq + 1, draft, author, |user| self.keys.get(user).cloned()).map(|_| ())
                }
                _ => members.may_write(draft, author),
            };
            judged.map_err(|error| match error {
                MembersError::Stale => Refusal::from(Code::Stale),
                MembersError::NotYet(_) => Refusal::from(Code::NotYet).retry_after(1),
                other => Refusal::new(Code::Forbidden, other.to_string()),
            })?;
        }
        Ok(self.append(log, draft))
    }

    /// The group whose log this is, once it is there.
    fn group_of(&self, log: &LogName) -> Option<Genesis> {
        let (entries, _) = self.logs.get(&log.to_string())?;
        let genesis = Genesis::read(&entries.first()?.0.draft()?.body).ok()?;
        genesis.as_group().is_some().then_some(genesis)
    }

    /// Where a log stands.
    pub fn tip(&self, log: &LogName) -> Tip {
        self.logs.get(&log.to_string()).map_or(Tip::EMPTY, |(_, tip)| *tip)
    }

    /// The drafts of a log that are still there.
    pub fn drafts(&self, log: &LogName) -> Vec<Encoded<Draft>> {
        let entries = self.logs.get(&log.to_string()).map(|(entries, _)| entries.as_slice()).unwrap_or_default();
        entries.iter().filter_map(|(entry, _)| entry.draft().cloned()).collect()
    }

    /// A device's next number in a log.
    pub fn next_n(&self, log: &LogName, device: &DeviceKey) -> u64 {
        1 + self.counted.get(&(log.clone(), *device)).copied().unwrap_or(0)
    }

    /// A direct room with its first entry.
    pub fn begin(&mut self, genesis: &Genesis) -> Tip {
        self.append(&genesis.log(), &genesis.as_direct().unwrap().draft())
    }

    /// A group with its first entry.
    pub fn begin_group(&mut self, genesis: &Genesis, creator: &Person) -> Tip {
        let draft = creator.open(Kind::Genesis, &genesis.log(), 1, None, genesis.encode().to_vec());
        self.append(&genesis.log(), &draft)
    }

    /// Who is in a room by now. What may not be in its log changes nothing.
    pub fn members(&self, genesis: &Genesis) -> Members {
        let group = match genesis {
            Genesis::Direct(direct) => return Members::direct(direct),
            Genesis::Group(group) => group,
        };
        let mut members = None;
        for (entry, _) in &self.logs[&genesis.log().to_string()].0 {
            let Some(draft) = entry.draft() else { continue };
            let Some(author) = self.keys.get(&draft.author) else { continue };
            members = match members {
                None => Some(Members::begin(group, draft, author).unwrap()),
                Some(before) if draft.kind.is_membership() => {
                    Some(before.apply(entry.seq, draft, author, |user| self.keys.get(user).cloned()).unwrap_or(before))
                }
                before => before,
            };
        }
        members.unwrap()
    }

    /// What somebody would submit to do this to a group as it stands.
    pub fn change(&self, genesis: &Genesis, by: &Person, act: Act<'_>) -> Encoded<Draft> {
        let members = self.members(genesis);
        let prev = members.last();
        let (kind, body) = match act {
            Act::Invite(person, role) => {
                let identity = person.state.list.identity.fingerprint().0;
                (Kind::Invite, cbor::encode(&Invite { prev, user: person.user.clone(), identity, role }))
            }
            Act::Join => (Kind::Join, cbor::encode(&Join { prev })),
            Act::Leave => (Kind::Leave, cbor::encode(&Leave { prev })),
            Act::Remove(user) => (Kind::Remove, cbor::encode(&Remove { prev, user: user.clone(), lost_by: None })),
            Act::SetRole(user, role) => (Kind::SetRole, cbor::encode(&SetRole { prev, user: user.clone(), role })),
        };
        let n = self.next_n(&genesis.log(), &by.device.public());
        by.open(kind, &genesis.log(), n, Some(members.epoch()), body)
    }

    /// Somebody does something to a group.
    pub fn does(&mut self, genesis: &Genesis, by: &Person, act: Act<'_>) -> Tip {
        let draft = self.change(genesis, by, act);
        self.append(&genesis.log(), &draft)
    }

    /// Asks somebody in, who comes.
    pub fn brings(&mut self, genesis: &Genesis, by: &Person, whom: &Person) -> Tip {
        self.does(genesis, by, Act::Invite(whom, Role::Member));
        self.does(genesis, whom, Act::Join)
    }

    /// What somebody would submit to write this in a room as it stands.
    pub async fn message(&self, genesis: &Genesis, by: &Person, content: Content) -> Encoded<Draft> {
        let (members, tip) = (self.members(genesis), self.tip(&genesis.log()));
        let n = self.next_n(&genesis.log(), &by.device.public());
        by.seal(Sealing { genesis, members: &members, keys: &self.keys, n, seen: (tip.seq, tip.hash), keys_seen: Vec::new(), content })
            .await
    }

    /// Somebody writes in a room.
    pub async fn says(&mut self, genesis: &Genesis, by: &Person, text: &str) -> Tip {
        let draft = self.message(genesis, by, Content::text(text).unwrap()).await;
        self.append(&genesis.log(), &draft)
    }

    /// Somebody gives a group another title.
    pub async fn calls(&mut self, genesis: &Genesis, by: &Person, title: &str) -> Tip {
        let draft = self.message(genesis, by, Content::title(title).unwrap()).await;
        self.append(&genesis.log(), &draft)
    }

    /// Somebody erases an entry: the erasure stands in the log, and a stub in the other's place.
    pub fn erases(&mut self, log: &LogName, by: &Person, seq: u64) -> Tip {
        let tip = self.erases_only(log, by, seq, None);
        self.forget(log, seq);
        tip
    }

    /// The erasure stands in the log, and what it erases too; it may mean another draft than the one that is there.
    pub fn erases_only(&mut self, log: &LogName, by: &Person, seq: u64, meant: Option<Hash>) -> Tip {
        let draft = meant.unwrap_or(self.logs[&log.to_string()].0[seq as usize - 1].0.draft_hash());
        let n = self.next_n(log, &by.device.public());
        self.append(log, &by.open(Kind::Erase, log, n, None, cbor::encode(&Erase { seq, draft })))
    }

    /// A draft is left out: its number is used up, and it has no place.
    pub fn skip(&mut self, log: &LogName, draft: &Draft) {
        self.counted.insert((log.clone(), draft.device), draft.n);
    }

    /// A stub is what is left of an entry.
    pub fn forget(&mut self, log: &LogName, seq: u64) {
        let (entries, _) = self.logs.get_mut(&log.to_string()).unwrap();
        let entry = &mut entries[seq as usize - 1].0;
        entry.payload = Payload::Stub(entry.draft_hash());
    }

    /// The frames that bring entries `from`.. of a log, as its reader may see them.
    pub fn entries(&mut self, log: &LogName, from: u64) -> Vec<Frame> {
        let number = match self.numbers.iter().position(|known| known == log) {
            Some(at) => at,
            None => {
                self.numbers.push(log.clone());
                self.numbers.len() - 1
            }
        } as u64;
        let group = self.group_of(log).filter(|_| !self.shows_all);
        let reads = group.as_ref().zip(self.reader.as_ref()).and_then(|(group, reader)| self.members(group).reads(reader));
        if group.is_some() && reads.is_none() {
            return vec![Refused { req: 0, why: Code::Forbidden.into(), log: Some(log.clone()) }.into()];
        }
        let Some((entries, _)) = self.logs.get(&log.to_string()) else { return Vec::new() };
        let until = reads.as_ref().and_then(|reads| reads.until);
        let some = entries.iter().filter(|(entry, _)| entry.seq >= from && until.is_none_or(|until| entry.seq <= until));
        let mut frames: Vec<Frame> = vec![Named { number, log: log.clone() }.into()];
        let (mut items, mut first) = (Vec::new(), None);
        for (entry, prev) in some {
            first.get_or_insert(*prev);
            self.got += 1;
            let is_sealed = entry.draft().is_some_and(|draft| draft.kind == Kind::Sealed);
            let is_hidden = is_sealed && reads.as_ref().is_some_and(|reads| !reads.covers(entry.seq));
            let payload = if is_hidden { Payload::Stub(entry.draft_hash()) } else { entry.payload.clone() };
            let got = matches!(log, LogName::Public(_)).then_some(self.got);
            items.push(Item { entry: Entry { payload, ..entry.clone() }.encode(), got });
        }
        if first.is_some() {
            frames.push(Entries { log: number, prev: first, items }.into());
        }
        frames.extend(until.map(|seq| Ended { log: log.clone(), seq, why: None }.into()));
        if frames.len() > 1 { frames } else { Vec::new() }
    }

    /// Answers for somebody's keys, as they are by now: they are in their server's key history.
    pub fn knows(&mut self, person: &Person) {
        let log = LogName::Keys(person.user.server().clone());
        for (_, draft) in &person.history {
            if !self.drafts(&log).iter().any(|known| known.hash() == draft.hash()) {
                self.append(&log, draft);
            }
        }
        let of_person = |entry: &&Entry| entry.draft().is_some_and(|draft| draft.author == person.user);
        let entries = self.logs[&log.to_string()].0.iter().map(|(entry, _)| entry).filter(of_person);
        let items = entries.map(|entry| Item { entry: entry.encode(), got: None }).collect();
        self.chains.insert(person.user.clone(), items);
        self.keys.insert(person.user.clone(), Arc::new(person.state.clone()));
    }
}
