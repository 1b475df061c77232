//! What happens in rooms: who comes and goes, what is said, what is forgotten. And how rooms are learnt.

use super::Batch;
use crate::logs::Placed;
use crate::logs::limiter::{Approach, Way};
use crate::logs::quota::{Quota, quotas};
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
        let room = known.as_ref().and_then(|row| row.room.clone()).or(room).ok_or(Code::NotFound)?;
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
                if draft.epoch != Some(people.epoch()) || !people.is_in_line() {
                    return Err(Code::Stale.into());
                }
            }
            Kind::Erase => stub = self.erasure(number.ok_or(Code::NotFound)?, log, &draft)?,
            Kind::Genesis => return Err(Refusal::new(Code::Conflict, "this room has begun already")),
            _ if room.genesis.as_direct().is_some() => changed = Some(self.rekey_direct(number, &people, &draft, &author)?),
            _ => changed = Some(self.change_people(number.ok_or(Code::NotFound)?, &people, &draft, &author)?),
        }
        match &known {
            Some(row) => self.may_take_up(row, &draft)?,
            None => self.may_begin_direct(&room, &draft.author)?,
        }
        self.learn_room(&room, asked(&room.genesis, &draft.author, None));
        let row = self.find(log).ok_or(Code::NotFound)?;
        self.takes_up(&row, &draft);
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
        self.one_more_room(&Quota::Own(draft.author.clone()))?;
        let number = self.new_log(log.clone(), Some(room), None);
        let row = self.find(log).ok_or(Code::NotFound)?;
        let placed = self.place(number, log, draft);
        self.people_are(&row, Arc::new(members.into()));
        Ok(placed)
    }

    /// The people of a group once this draft is taken. Those of this server who are asked in are approached by its author.
    fn change_people(&self, number: u64, people: &People, draft: &Encoded<Draft>, author: &KeyState) -> Result<Arc<People>, Refusal> {
        let row = self.view.book.row(number).or_else(|| self.done.logs.iter().find(|row| row.number == number).cloned());
        let row = row.ok_or(Code::NotFound)?;
        let seq = self.tip(number).seq + 1;
        let next = people.apply(seq, draft, author, |user| self.state(user)).map_err(members_refused)?;
        let next = people.next(next, seq);
        self.newly_counted(&row, Some(people), &next).iter().try_for_each(|quota| self.one_more_room(quota))?;
        for user in arrivals(Some(people), &next).filter(|user| user.server() == &self.view.me) {
            self.is_approached(user, Approach { by: &draft.author, room: &row.name, way: Way::Room })?;
        }
        Ok(Arc::new(next))
    }

    /// The two people of a direct room on MLS with other keys. It may be the room's first draft, behind the genesis.
    fn rekey_direct(
        &self,
        number: Option<u64>,
        people: &People,
        draft: &Encoded<Draft>,
        author: &KeyState,
    ) -> Result<Arc<People>, Refusal> {
        let seq = number.map_or(1, |number| self.tip(number).seq) + 1;
        let next = people.apply(seq, draft, author, |user| self.state(user)).map_err(members_refused)?;
        Ok(Arc::new(people.next(next, seq)))
    }

    /// Which people there are in a room; none in a group that has not begun. Those of a direct room are in its name, and are kept only once
    /// they have keys.
    pub(super) fn people(&self, number: Option<u64>, genesis: &Genesis) -> Option<Arc<People>> {
        let kept = number.and_then(|number| self.people.get(&number).cloned().or_else(|| self.view.book.row(number)?.people.clone()));
        kept.or_else(|| genesis.as_direct().map(|direct| Arc::new(Members::direct(direct).into())))
    }

    /// A group's people are these from now on.
    pub(super) fn people_are(&mut self, row: &LogRow, people: Arc<People>) {
        let before = row.room.as_ref().and_then(|room| self.people(Some(row.number), &room.genesis)).or_else(|| row.people.clone());
        if let Some(room) = &row.room {
            let members_before = before.as_ref().map(|before| &***before);
            for user in arrivals(members_before, &people).filter(|user| user.server() == &self.view.me) {
                self.done.arrived.push((user.clone(), room.clone()));
            }
            for quota in self.newly_counted(row, before.as_deref(), &people) {
                *self.new_rooms.entry(quota).or_default() += 1;
            }
            // When the last of our people has gone, nothing more comes; an invitation will tell when somebody is asked in again,
            // unless that comes with the next entries. Whoever comes and goes in one commit has gone too.
            let has_ended = |people: &People| people.reads_of(&self.view.me).is_some_and(|reads| reads.until.is_some());
            let has_ended_now = has_ended(&people);
            if room.hub != self.view.me && before.is_some_and(|before| has_ended(&before)) != has_ended_now {
                self.follow(row.number, !has_ended_now);
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

    /// Whether an inbox takes this pointer to a room, into which it asks somebody.
    pub(super) fn is_welcome(&self, draft: &Draft, owner: &UserName, room: &RoomRef, asked: Option<&UserName>) -> Result<(), Refusal> {
        let log = room.genesis.log();
        if self.find(&log).is_none() {
            if room.genesis.as_group().is_some() && room.hub == self.view.me {
                return Err(Refusal::new(Code::NotFound, "there is no such group on this server"));
            }
            self.has_place_for(room, asked)?;
        }
        self.is_approached(owner, Approach { by: &draft.author, room: &log, way: Way::Pointer })
    }

    /// Whether somebody may begin a direct room here by what they write.
    fn may_begin_direct(&self, room: &RoomRef, author: &UserName) -> Result<(), Refusal> {
        let asked = asked(&room.genesis, author, None);
        self.has_place_for(room, asked.as_ref())?;
        let Some(other) = asked.filter(|other| other.server() == &self.view.me) else { return Ok(()) };
        self.is_approached(&other, Approach { by: author, room: &room.genesis.log(), way: Way::Room })
    }

    /// Somebody of this server is asked into a room. The last thing to be looked at: it is counted, whatever comes of it.
    fn is_approached(&self, user: &UserName, approach: Approach<'_>) -> Result<(), Refusal> {
        // Nobody makes a group to be free with their own inbox.
        if approach.by != user && self.view.book.share_a_group(user, approach.by) {
            return Ok(());
        }
        self.view.limiter.approaches(user, approach, self.now)
    }

    /// Whether those for whom a new room counts may have one more.
    pub(super) fn has_place_for(&self, room: &RoomRef, asked: Option<&UserName>) -> Result<(), Refusal> {
        quotas(&self.view.me, Some(room), asked, None).iter().try_for_each(|quota| self.one_more_room(quota))
    }

    pub(super) fn one_more_room(&self, quota: &Quota) -> Result<(), Refusal> {
        let rooms = self.view.book.count_of(quota) + self.new_rooms.get(quota).copied().unwrap_or(0);
        self.view.limiter.one_more_room(quota, rooms)
    }

    /// What a room counts towards with these people, and did not before.
    fn newly_counted(&self, row: &LogRow, before: Option<&People>, after: &People) -> Vec<Quota> {
        let quotas = |people| quotas(&self.view.me, row.room.as_ref(), row.asked.as_ref(), people);
        let (before, mut after) = (quotas(before), quotas(Some(after)));
        after.retain(|quota| !before.contains(quota));
        after
    }

    /// Whether a draft's author, whom others have asked into the room, may have it among their own.
    pub(super) fn may_take_up(&self, row: &LogRow, draft: &Draft) -> Result<(), Refusal> {
        if self.is_first_of_asked(row, draft) { self.one_more_room(&Quota::Own(draft.author.clone())) } else { Ok(()) }
    }

    /// Whoever was asked into a direct room takes part in it from their first draft on.
    pub(super) fn takes_up(&mut self, row: &LogRow, draft: &Draft) {
        if self.is_first_of_asked(row, draft) {
            self.done.changes.push(Change::TakenUp { log: row.number });
            self.done.taken_up.insert(row.number);
            *self.new_rooms.entry(Quota::Own(draft.author.clone())).or_default() += 1;
        }
    }

    fn is_first_of_asked(&self, row: &LogRow, draft: &Draft) -> bool {
        let is_direct = row.room.as_ref().is_some_and(|room| room.genesis.as_direct().is_some());
        is_direct && row.asked.as_ref() == Some(&draft.author) && !self.done.taken_up.contains(&row.number)
    }

    /// Learns a room, once, and whom others have asked into it. The hub writes a direct room's first entry at once, so a room that
    /// is known has one. A group that is known is followed again: its hub may have told of its end meanwhile.
    pub(super) fn learn_room(&mut self, room: &RoomRef, asked: Option<UserName>) {
        let log = room.genesis.log();
        if let Some(row) = self.find(&log) {
            if room.genesis.as_group().is_some() && room.hub != self.view.me {
                self.follow(row.number, true);
                self.done.rooms.push(room.clone());
            }
            return;
        }
        for quota in quotas(&self.view.me, Some(room), asked.as_ref(), None) {
            *self.new_rooms.entry(quota).or_default() += 1;
        }
        let number = self.new_log(log.clone(), Some(room.clone()), asked);
        self.done.rooms.push(room.clone());
        if let Genesis::Direct(direct) = &room.genesis {
            let mut own: Vec<&UserName> = direct.people.iter().filter(|person| person.server() == &self.view.me).collect();
            own.dedup();
            self.done.arrived.extend(own.into_iter().map(|person| (person.clone(), room.clone())));
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
            LogName::Keys(_) | LogName::History(_) => false,
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
            LogName::Keys(_) | LogName::History(_) => false,
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

/// Whom an author asks into a room that is new here: the other one of a direct room, or the owner of the inbox that is told of a
/// group.
pub(super) fn asked(genesis: &Genesis, author: &UserName, owner: Option<&UserName>) -> Option<UserName> {
    match genesis {
        Genesis::Direct(direct) => Some(direct.other(author)).filter(|other| *other != author).cloned(),
        Genesis::Group(_) => owner.cloned(),
    }
}

/// Who is asked in, or in, and was neither before.
fn arrivals<'a>(before: Option<&'a Members>, after: &'a Members) -> impl Iterator<Item = &'a UserName> {
    let is_new = move |user: &UserName| before.and_then(|before| before.person(user)).is_none_or(|it| it.standing == Standing::Gone);
    after.people().map(|(user, _)| user).filter(move |user| is_new(user))
}
