//! What a row of the outbox becomes now, or what is in its way. A row is an intent: keys, epoch and members are those of the
//! moment in which it is sealed, and of a later one if the room has changed meanwhile.

use super::Engine;
use crate::ClientError;
use crate::crypto::{Histories, Readers, Seen, What};
use crate::platform::Instant;
use crate::store::OutboxRow;
use crate::view::KEY_CHANGED;
use std::sync::Arc;
use tidings_e2ee::invitation::Note;
use tidings_proto::frame::RoomRef;
use tidings_proto::membership::{BODY_LIMIT, Change, Invite, Join, Leave, Remove, SetRole};
use tidings_proto::{Code, Genesis, Hash, Kind, LogName, SuiteName, UserName, cbor};
use tidings_trust::members::Standing;
use tidings_trust::roster::RosterError;
use tidings_trust::{Members, Roster};

/// What keeps a row from being sealed.
pub(super) enum Hindrance {
    /// Keys or entries that are on their way.
    Later,
    /// It can never be sent: the sentence and the code for the timeline.
    Never(String, &'static str),
    /// Nothing is to be sent any more: others have done it, or it cannot be done now.
    Needless,
}

/// A room as it stands.
pub(super) struct Room {
    pub genesis: Genesis,
    pub members: Arc<Members>,
    /// Rooms on MLS: the epoch whose keys this device has.
    pub epoch: Option<u64>,
    /// What was last seen of it.
    pub tip: (u64, Hash),
}

impl From<ClientError> for Hindrance {
    fn from(error: ClientError) -> Hindrance {
        let code = match error {
            ClientError::KeyChanged { .. } => KEY_CHANGED,
            ClientError::AccountClosed(_) => Code::NotFound.name(),
            _ => Code::Internal.name(),
        };
        Hindrance::Never(error.to_string(), code)
    }
}

impl Engine {
    /// The version of this user's device list, and what the row becomes.
    pub(super) fn ready(&mut self, row: &OutboxRow, now: Instant) -> Result<(u64, What), Hindrance> {
        let me = self.me().clone();
        let mine = self.core.people().state(&me);
        let Some(mine) = mine.filter(|mine| mine.device(&self.core.crypto.device()).is_some()) else {
            let version = self.core.people().version(&me);
            if !self.keys.has_answered(&me, version + 1) {
                self.ask_newest(vec![me]);
            }
            return Err(Hindrance::Later);
        };
        let what = match row.kind {
            Kind::Sealed => self.message(row, now)?,
            Kind::Invitation => self.invitation(row)?,
            kind if kind.is_membership() => self.change(row, now)?,
            _ => What::Open { epoch: None, body: row.body.clone() },
        };
        Ok((mine.list.version, what))
    }

    fn message(&mut self, row: &OutboxRow, now: Instant) -> Result<What, Hindrance> {
        if let Some(why) = self.waits_in_vain(&row.log) {
            return Err(Hindrance::Never(why, KEY_CHANGED));
        }
        let Room { genesis, members, tip, .. } = self.room_of(row)?;
        let me = self.me().clone();
        match members.person(&me).map(|person| person.standing) {
            Some(Standing::In) => {}
            Some(Standing::Invited) => return Err(forbidden("this invitation has to be accepted first")),
            _ => return Err(forbidden("you are not in this group any more")),
        }
        let users: Vec<UserName> = members.members().map(|(user, _)| user.clone()).collect();
        match genesis {
            Genesis::Direct(_) => self.core.people().refuse_changed(&users)?,
            Genesis::Group(_) => self.core.people().refuse_another_history(&users)?,
        }
        let keys = self.newest_keys(&users)?;
        if genesis.suite() == SuiteName::Mls1 {
            return self.mls_message(&row.log, &genesis, &members, Seen { room: tip, keys: self.keys_seen(&users) }, now);
        }
        match Readers::of(&genesis, &members, &keys) {
            Ok(readers) => Ok(What::Sealed(Box::new(readers), Seen { room: tip, keys: self.keys_seen(&users) })),
            Err(RosterError::NotYet(_)) => Err(Hindrance::Later),
            // Whoever the account belongs to now never came into this group; the first who notices puts the name out.
            Err(RosterError::Lost(user)) => {
                self.removals.look_at(user);
                Err(Hindrance::Later)
            }
            Err(error) => Err(Hindrance::Never(error.to_string(), Code::Conflict.name())),
        }
    }

    /// A message in a room on MLS, once its keys are those of who is in.
    fn mls_message(&mut self, log: &LogName, genesis: &Genesis, members: &Members, seen: Seen, now: Instant) -> Result<What, Hindrance> {
        if let Some(lost) = members.lost(|user| self.core.people().state(user)).next() {
            self.removals.look_at(lost.clone());
            return Err(Hindrance::Later);
        }
        let Some(room) = self.logs.get(log).and_then(|followed| followed.room.as_ref()) else { return Err(Hindrance::Later) };
        let has_keys = self.has_keys(room);
        if !has_keys || self.lacks_devices(room, now) {
            self.want_keys(log, now);
        }
        if has_keys { Ok(What::Mls(genesis.room(), members.epoch(), seen)) } else { Err(Hindrance::Later) }
    }

    /// The room that a row is for, its members, and its tip. Later while it is about to change by this device.
    fn room_of(&self, row: &OutboxRow) -> Result<Room, Hindrance> {
        let followed = self.logs.get(&row.log).ok_or(Hindrance::Later)?;
        if let Some(why) = followed.stopped() {
            return Err(Hindrance::Never(format!("this conversation is stopped: {why}"), Code::Conflict.name()));
        }
        if followed.changing {
            return Err(Hindrance::Later);
        }
        let room = followed.room.as_ref().ok_or(Hindrance::Later)?;
        let members = room.members.clone().ok_or(Hindrance::Later)?;
        let tip = followed.tip();
        Ok(Room { genesis: room.genesis.clone(), members, epoch: room.epoch, tip: (tip.seq, tip.hash) })
    }

    /// Everybody's keys, of whom the server has told the same story on this link as before.
    pub(super) fn newest_keys(&mut self, users: &[UserName]) -> Result<Histories, Hindrance> {
        let mut keys = Histories::new();
        let mut waits = false;
        for user in users {
            if !self.keys.has_answered(user, 0) {
                self.ask_keys(user.clone(), 0, 0);
                waits = true;
                continue;
            }
            let state = self.core.people().state(user);
            match state {
                Some(state) => drop(keys.insert(user.clone(), state)),
                None => return Err(self.no_keys(user)),
            }
        }
        // Asked for all at once, and only then waited for.
        if waits { Err(Hindrance::Later) } else { Ok(keys) }
    }

    fn no_keys(&mut self, user: &UserName) -> Hindrance {
        if self.keys.is_unknown(user) {
            return Hindrance::Never(format!("nobody is known here as {user}"), Code::NotFound.name());
        }
        if !self.keys.has_answered(user, 1) {
            self.ask_newest(vec![user.clone()]);
        }
        Hindrance::Later
    }

    /// A change of a group's members, made of what the row wants and of how the group stands.
    fn change(&mut self, row: &OutboxRow, now: Instant) -> Result<What, Hindrance> {
        let room = self.room_of(row)?;
        if row.kind == Kind::Commit {
            // Somebody else may have made the keys meanwhile.
            return self.commit(&room, None, now).map(|commit| What::Commit(Box::new(commit)));
        }
        let members = room.members.clone();
        let prev = members.last();
        let body = match row.kind {
            Kind::Invite => {
                let wanted: Invite = read(&row.body)?;
                let user = [wanted.user.clone()];
                self.core.people().refuse_changed(&user)?;
                let keys = self.newest_keys(&user)?;
                let identity = keys.get(&wanted.user).map(|state| state.list.identity.fingerprint().0).ok_or(Hindrance::Later)?;
                cbor::encode(&Invite { prev, identity, ..wanted })
            }
            Kind::Join => cbor::encode(&Join { prev }),
            Kind::Leave => cbor::encode(&Leave { prev }),
            Kind::Remove => {
                let wanted: Remove = read(&row.body)?;
                if !members.people().any(|(user, _)| *user == wanted.user) {
                    return Err(forbidden(&format!("{} is not in this group any more", wanted.user)));
                }
                cbor::encode(&Remove { prev, lost_by: self.lost_by(&members, &wanted.user), ..wanted })
            }
            _ => cbor::encode(&SetRole { prev, ..read(&row.body)? }),
        };
        if room.genesis.suite() == SuiteName::Mls1 && row.kind != Kind::Leave {
            return self.mls_change(row, &room, body, now);
        }
        Ok(What::Open { epoch: Some(members.epoch()), body })
    }

    /// A change of a group on MLS, which comes with other keys. Where this device has not got the present ones they come first.
    fn mls_change(&mut self, row: &OutboxRow, room: &Room, body: Vec<u8>, now: Instant) -> Result<What, Hindrance> {
        let has_keys = room.members.tree().is_some_and(|tree| room.epoch == Some(tree.epoch()));
        if row.kind != Kind::Join && !has_keys {
            self.want_keys(&row.log, now);
            return Err(Hindrance::Later);
        }
        let change = Change { kind: row.kind, body: body.into() };
        self.commit(room, Some(change), now).map(|commit| What::Commit(Box::new(commit)))
    }

    /// An invitation to a group in which the owner of the inbox is asked in.
    fn invitation(&mut self, row: &OutboxRow) -> Result<What, Hindrance> {
        let genesis = Genesis::read(&row.body).map_err(|error| Hindrance::Never(error.to_string(), Code::Malformed.name()))?;
        let LogName::Inbox(to) = &row.log else { return Err(forbidden("an invitation goes into an inbox")) };
        let followed = self.logs.get(&genesis.log()).ok_or(Hindrance::Later)?;
        let members = followed.room.as_ref().and_then(|room| room.members.clone()).ok_or(Hindrance::Later)?;
        let tip = followed.tip();
        if members.person(to).is_none_or(|person| person.standing != Standing::Invited) {
            return Err(forbidden("this invitation does not stand any more"));
        }
        let mut users: Vec<UserName> = members.members().map(|(user, _)| user.clone()).collect();
        users.push(to.clone());
        let keys = self.newest_keys(&users)?;
        let roster = Roster::to_seal(&members, &|user| keys.get(user).cloned()).map_err(|_| Hindrance::Later)?.0;
        let key = keys.get(to).map(|state| state.newest().encryption.clone()).ok_or(Hindrance::Later)?;
        let note = Note {
            room: genesis.room(),
            suite: genesis.suite(),
            from: self.me().clone(),
            to: to.clone(),
            title: self.titles.get(&genesis.log()).cloned().unwrap_or_default(),
            seq: tip.seq,
            hash: tip.hash,
            epoch: members.epoch(),
            roster: roster.hash(),
        };
        let room = RoomRef { hub: genesis.hub().clone(), genesis };
        Ok(What::Invitation(room, Box::new(note), key))
    }
}

fn read<'b, T: minicbor::Decode<'b, ()>>(body: &'b [u8]) -> Result<T, Hindrance> {
    cbor::decode(body, BODY_LIMIT).map_err(|error| Hindrance::Never(error.to_string(), Code::Malformed.name()))
}

fn forbidden(why: &str) -> Hindrance {
    Hindrance::Never(why.into(), Code::Forbidden.name())
}
