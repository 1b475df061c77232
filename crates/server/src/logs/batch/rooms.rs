//! What happens in rooms: who comes and goes, what is said, what is forgotten. And how rooms are learnt.

use super::Batch;
use crate::logs::Placed;
use crate::logs::rules::{Admitted, members_refused, read_body};
use crate::store::{Change, LogRow, People};
use bytes::Bytes;
use std::sync::Arc;
use tidings_proto::draft::Erase;
use tidings_proto::frame::RoomRef;
use tidings_proto::{Code, Draft, Encoded, Entry, Genesis, Kind, LogName, Payload, Refusal, UserName};
use tidings_trust::members::Standing;
use tidings_trust::{KeyState, Members};

impl Batch<'_> {
    /// A draft for a room that is ordered here.
    pub(super) fn append_to_room(&mut self, log: &LogName, Admitted { draft, room, .. }: Admitted) -> Result<Placed, Refusal> {
        let known = self.find(log);
        let number = known.as_ref().map(|row| row.number);
        let room = known.and_then(|row| row.room.clone()).or(room).ok_or(Code::NotFound)?;
        if room.hub != self.view.me {
            return Err(Refusal::new(Code::Forbidden, "this room is ordered by another server"));
        }
        // Before everything else: who has left since hears the answer of then.
        if let Some(placed) = self.once(number, &draft)? {
            return Ok(placed);
        }
        let author = self.author(&draft)?;
        let Some(people) = self.people(number, &room.genesis) else {
            return self.begin_group(log, room, draft, &author);
        };
        let (mut changed, mut stub) = (None, None);
        match draft.kind {
            Kind::Sealed => {
                people.may_write(&draft, &author).map_err(members_refused)?;
                if draft.epoch != Some(people.epoch()) {
                    return Err(Code::Stale.into());
                }
            }
            Kind::Erase => stub = self.erasure(number.ok_or(Code::NotFound)?, log, &draft)?,
            Kind::Genesis => return Err(Refusal::new(Code::Conflict, "this room has begun already")),
            _ => changed = Some(self.change_people(number, &people, &draft, &author)?),
        }
        if number.is_none() {
            self.has_room_for(&room.genesis, &draft.author)?;
        }
        self.learn_room(&room);
        let row = self.find(log).ok_or(Code::NotFound)?;
        let placed = self.place(row.number, log, draft);
        if let Some(people) = changed {
            self.people_are(&row, people);
        }
        if let Some((seq, stub)) = stub {
            self.forget(row.number, seq, stub);
        }
        Ok(placed)
    }

    /// The first entry of a group.
    fn begin_group(&mut self, log: &LogName, room: RoomRef, draft: Encoded<Draft>, author: &KeyState) -> Result<Placed, Refusal> {
        let group = room.genesis.as_group().ok_or(Code::NotFound)?;
        if draft.kind != Kind::Genesis || self.find(log).is_some() {
            return Err(Code::NotFound.into());
        }
        let members = Members::begin(group, &draft, author).map_err(members_refused)?;
        self.one_more_room(&draft.author)?;
        let number = self.new_log(log.clone(), Some(room));
        let row = self.find(log).ok_or(Code::NotFound)?;
        let placed = self.place(number, log, draft);
        self.people_are(&row, Arc::new(members.into()));
        Ok(placed)
    }

    fn change_people(
        &self,
        number: Option<u64>,
        people: &People,
        draft: &Encoded<Draft>,
        author: &KeyState,
    ) -> Result<Arc<People>, Refusal> {
        let seq = number.map_or(0, |number| self.tip(number).seq) + 1;
        let next = people.apply(seq, draft, author, |user| self.state(user)).map_err(members_refused)?;
        for user in arrivals(Some(people), &next).filter(|user| user.server() == &self.view.me && people.person(user).is_none()) {
            self.one_more_room(user)?;
        }
        Ok(Arc::new(people.next(next, seq)))
    }

    /// Which people there are in a room; none in a group that has not begun.
    pub(super) fn people(&self, number: Option<u64>, genesis: &Genesis) -> Option<Arc<People>> {
        match genesis {
            Genesis::Direct(direct) => Some(Arc::new(Members::direct(direct).into())),
            Genesis::Group(_) => {
                let number = number?;
                self.people.get(&number).cloned().or_else(|| self.view.book.row(number)?.people.clone())
            }
        }
    }

    /// A group's people are these from now on.
    pub(super) fn people_are(&mut self, row: &LogRow, people: Arc<People>) {
        let before = self.people.get(&row.number).cloned().or_else(|| row.people.clone());
        if let Some(room) = &row.room {
            let members_before = before.as_ref().map(|before| &***before);
            for user in arrivals(members_before, &people).filter(|user| user.server() == &self.view.me) {
                if before.as_ref().is_none_or(|before| before.person(user).is_none()) {
                    *self.new_rooms.entry(user.clone()).or_default() += 1;
                }
                self.done.arrived.push((user.clone(), room.clone()));
            }
            // When the last of our people has gone, nothing more comes; an invitation will tell when somebody is asked in again,
            // unless that comes with the next entries.
            let goes_on = |people: &People| people.reads_of(&self.view.me).is_some_and(|reads| reads.until.is_none());
            let goes_on_now = goes_on(&people);
            if room.hub != self.view.me && before.is_some_and(|before| goes_on(&before) != goes_on_now) {
                self.follow(row.number, goes_on_now);
            }
        }
        self.done.changes.push(Change::People { log: row.number, people: people.clone() });
        self.people.insert(row.number, people);
    }

    /// Whether a replica is followed from now on.
    pub(super) fn follow(&mut self, log: u64, followed: bool) {
        self.done.changes.push(Change::Follow { log, followed });
        self.done.followed.push((log, followed));
    }

    /// Whether an inbox takes this pointer to a room.
    pub(super) fn is_welcome(&mut self, draft: &Draft, owner: &UserName, room: &RoomRef) -> Result<(), Refusal> {
        let known = self.find(&room.genesis.log());
        if known.is_none() {
            if room.genesis.as_group().is_some() && room.hub == self.view.me {
                return Err(Refusal::new(Code::NotFound, "there is no such group on this server"));
            }
            self.has_room_for(&room.genesis, owner)?;
        }
        if draft.author != *owner && !self.view.book.share_a_group(&draft.author, owner) {
            self.view.limiter.approaches(&draft.author, owner, self.now)?;
        }
        Ok(())
    }

    /// Whether those who get a room by this may have one more.
    pub(super) fn has_room_for(&self, genesis: &Genesis, owner: &UserName) -> Result<(), Refusal> {
        match genesis {
            Genesis::Direct(direct) => {
                direct.people.iter().filter(|person| person.server() == &self.view.me).try_for_each(|person| self.one_more_room(person))
            }
            Genesis::Group(_) => self.one_more_room(owner),
        }
    }

    fn one_more_room(&self, user: &UserName) -> Result<(), Refusal> {
        let rooms = self.view.book.count_of(user) + self.new_rooms.get(user).copied().unwrap_or(0);
        self.view.limiter.one_more_room(user, rooms)
    }

    /// Learns a room, once. The hub writes a direct room's first entry at once, so a room that is known has one. A group that is
    /// known is followed again: its hub may have told of its end meanwhile.
    pub(super) fn learn_room(&mut self, room: &RoomRef) {
        let log = room.genesis.log();
        if let Some(row) = self.find(&log) {
            if room.genesis.as_group().is_some() && room.hub != self.view.me {
                self.follow(row.number, true);
                self.done.rooms.push(room.clone());
            }
            return;
        }
        let number = self.new_log(log.clone(), Some(room.clone()));
        self.done.rooms.push(room.clone());
        if let Genesis::Direct(direct) = &room.genesis {
            let mut own: Vec<&UserName> = direct.people.iter().filter(|person| person.server() == &self.view.me).collect();
            own.dedup();
            for person in own {
                *self.new_rooms.entry(person.clone()).or_default() += 1;
                self.done.arrived.push((person.clone(), room.clone()));
            }
            if room.hub == self.view.me {
                let (tip, entry) = self.next_entry(number, &log, direct.draft());
                self.push(number, &log, tip, entry, (None, None), false);
            }
        }
    }

    /// What an erasure leaves of the entry that it names: its place, and the stub. Nothing where the draft is none.
    pub(super) fn erasure(&self, number: u64, log: &LogName, draft: &Encoded<Draft>) -> Result<Option<(u64, Bytes)>, Refusal> {
        if draft.kind != Kind::Erase {
            return Ok(None);
        }
        let erase: Erase = read_body(draft)?;
        let entry = self.entry(number, erase.seq).ok_or(Code::NotFound)?;
        let target = entry.draft().filter(|target| target.hash() == erase.draft).ok_or(Code::NotFound)?;
        let fits = match log {
            LogName::Room(_) => target.kind == Kind::Sealed,
            LogName::Public(_) => target.kind == Kind::Post,
            LogName::Inbox(_) => matches!(target.kind, Kind::Notice | Kind::Invitation),
            LogName::Keys(_) => false,
        };
        if !fits {
            return Err(Refusal::new(Code::Forbidden, "only what people have written can be erased"));
        }
        self.may_erase(log, draft, &target.author)?;
        let stub = Entry { payload: Payload::Stub(erase.draft), ..entry };
        Ok(Some((erase.seq, stub.encode())))
    }

    fn may_erase(&self, log: &LogName, draft: &Encoded<Draft>, writer: &UserName) -> Result<(), Refusal> {
        let may = match log {
            LogName::Room(_) => {
                let row = self.find(log).ok_or(Code::NotFound)?;
                let genesis = row.room.as_ref().map(|room| &room.genesis).ok_or(Code::NotFound)?;
                let people = self.people(Some(row.number), genesis).ok_or(Code::NotFound)?;
                return people.may_erase(draft, &*self.author(draft)?, writer).map_err(members_refused);
            }
            LogName::Public(_) => draft.author == *writer,
            LogName::Inbox(owner) => draft.author == *owner,
            LogName::Keys(_) => false,
        };
        if may { Ok(()) } else { Err(Refusal::new(Code::Forbidden, "only who has written it may erase it")) }
    }

    /// An entry as it is now: written in this batch, or asked for.
    fn entry(&self, number: u64, seq: u64) -> Option<Entry> {
        if self.erased.contains(&(number, seq)) {
            return None;
        }
        let in_batch = self.done.runs.get(&number).and_then(|run| run.entries.iter().find(|(tip, _)| tip.seq == seq));
        let bytes = in_batch.map(|(_, item)| &item.entry).or_else(|| self.stored.get(&(number, seq)))?;
        Entry::read(bytes).ok()
    }

    /// A stub takes an entry's place.
    pub(super) fn forget(&mut self, log: u64, seq: u64, stub: Bytes) {
        if let Some((_, item)) = self.done.runs.get_mut(&log).and_then(|run| run.entries.iter_mut().find(|(tip, _)| tip.seq == seq)) {
            item.entry = stub.clone();
        }
        self.erased.insert((log, seq));
        self.done.erased.insert(log);
        self.done.changes.push(Change::Erase { log, seq, stub });
    }
}

/// Who is asked in, or in, and was neither before.
fn arrivals<'a>(before: Option<&'a Members>, after: &'a Members) -> impl Iterator<Item = &'a UserName> {
    let is_new = move |user: &UserName| before.and_then(|before| before.person(user)).is_none_or(|it| it.standing == Standing::Gone);
    after.people().map(|(user, _)| user).filter(move |user| is_new(user))
}
