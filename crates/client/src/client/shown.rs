//! From rows to what front ends draw.

use super::write;
use crate::ClientError;
use crate::crypto::Crypto;
use crate::engine::Core;
use crate::people::People;
use crate::store::{Store, StoredMessage, StoredRoom};
use crate::view::ask::RoomLine;
use crate::view::{Event, File, Member, Message, MessageId, Part, Picture, Room, Status, Target};
use std::collections::HashSet;
use std::sync::Arc;
use tidings_proto::membership::{BODY_LIMIT, Invite, Remove, SetRole};
use tidings_proto::{Content, Genesis, Kind, LogName, SuiteName, UserName, cbor, content};
use tidings_trust::Members;
use tidings_trust::members::Standing;

/// A message as it is drawn.
pub(crate) fn message(crypto: &Crypto, message: StoredMessage) -> Result<Message, ClientError> {
    let event = match &message.content {
        Some(body) => event(message.kind, body),
        None => None,
    };
    let content = match &message.content {
        Some(content) if event.is_none() => crypto.out_of_rest(&message.log, message.tag, content)?,
        _ => Content::default(),
    };
    Ok(Message {
        id: MessageId(message.id),
        author: message.author,
        event: event.or(content.title.map(|title| Event::Titled { title })),
        file: content.file.map(|file| about(&file)),
        text: content.text,
        at: message.at,
        status: message.status,
        place: message.seq,
        log: message.log.to_string(),
    })
}

fn event(kind: Kind, body: &[u8]) -> Option<Event> {
    fn read<'b, T: minicbor::Decode<'b, ()>>(body: &'b [u8]) -> Option<T> {
        cbor::decode(body, BODY_LIMIT).ok()
    }
    Some(match kind {
        Kind::Genesis => Event::Created,
        Kind::Invite => {
            let invite: Invite = read(body)?;
            Event::Invited { user: invite.user, role: invite.role.into() }
        }
        Kind::Join => Event::Joined,
        Kind::Leave => Event::Left,
        Kind::Remove => Event::Removed { user: read::<Remove>(body)?.user },
        Kind::SetRole => {
            let set: SetRole = read(body)?;
            Event::Role { user: set.user, role: set.role.into() }
        }
        Kind::Erase => Event::Erased,
        _ => return None,
    })
}

/// All conversations with what a list says of each: the public one first, then those in which something happened last.
pub(crate) fn lines(store: &Store, crypto: &Crypto) -> Result<Vec<RoomLine>, ClientError> {
    let (lines, drafts) = (store.lines()?, store.drafts()?);
    let line = |room: Room| {
        let name = room.target.to_string();
        let line = lines.get(&name).copied().unwrap_or_default();
        let draft = drafts.get(&name).and_then(|(content, tag)| {
            // What cannot be opened any more is not worth more than a draft.
            crypto.out_of_rest(&write::log_of(crypto, &room.target), Some(*tag), content).ok()
        });
        RoomLine {
            room,
            unseen: line.unseen,
            mentioned: line.mentioned,
            newest: lines.get(&name).map(|line| line.newest),
            draft: draft.map(|content| content.text),
        }
    };
    let mut rooms = rooms(store, crypto)?;
    let is_new = |user: &UserName| !rooms.iter().any(|room| room.target == Target::from(user));
    // With whom one has begun to write, and has not written yet.
    let begun: Vec<UserName> = drafts.keys().filter_map(|name| name.parse().ok()).filter(is_new).collect();
    rooms.extend(begun.iter().map(draft_to));
    let mut all: Vec<RoomLine> = rooms.into_iter().map(line).collect();
    all[1..].sort_by_key(|line| std::cmp::Reverse(line.newest));
    Ok(all)
}

/// A conversation that has nothing but a draft.
fn draft_to(user: &UserName) -> Room {
    Room {
        target: Target::from(user),
        title: user.to_string(),
        part: Part::In,
        role: None,
        members: None,
        suite: None,
        messages: 0,
        stopped: Vec::new(),
    }
}

/// All conversations, the public one first.
pub(crate) fn rooms(store: &Store, crypto: &Crypto) -> Result<Vec<Room>, ClientError> {
    let me = &crypto.me;
    let lines = store.lines()?;
    let count = |target: &Target| lines.get(&target.to_string()).map_or(0, |line| line.messages);
    let logs = store.logs()?;
    let stopped = |is_of: &dyn Fn(&LogName) -> bool| {
        logs.iter()
            .filter(|stored| is_of(&stored.log))
            .filter_map(|stored| Some((stored.log.to_string(), stored.stopped.clone()?)))
            .collect()
    };
    let public = Room {
        target: Target::Public,
        title: "public".into(),
        part: Part::In,
        role: None,
        members: None,
        suite: None,
        messages: count(&Target::Public),
        stopped: stopped(&|log| matches!(log, LogName::Public(_) | LogName::Keys(_))),
    };
    let mut rooms = vec![public];
    let stored = store.rooms()?;
    // Two people may have a room on each suite, which are one conversation: on MLS from then on.
    let on_mls: HashSet<Target> = stored
        .iter()
        .filter(|room| room.genesis.suite() == SuiteName::Mls1)
        .filter_map(|room| Some(Target::from(room.genesis.as_direct()?.other(me))))
        .collect();
    for stored in stored {
        let target = match &stored.genesis {
            Genesis::Direct(direct) => Target::from(direct.other(me)),
            Genesis::Group(_) => Target::Group { id: stored.genesis.room() },
        };
        if stored.genesis.suite() != SuiteName::Mls1 && on_mls.contains(&target) {
            continue;
        }
        let log = stored.genesis.log();
        rooms.push(Room { messages: count(&target), stopped: stopped(&|of| *of == log), ..room(crypto, target, stored) });
    }
    rooms[1..].sort_by_key(|room| (room.title.to_lowercase(), room.target.to_string()));
    Ok(rooms)
}

fn room(crypto: &Crypto, target: Target, stored: StoredRoom) -> Room {
    let suite = Some(stored.genesis.suite().as_str().to_owned());
    let StoredRoom { genesis, members, title, invited_by, withdrawn, .. } = stored;
    if let Genesis::Direct(direct) = &genesis {
        let (title, members) = (direct.other(&crypto.me).to_string(), Members::direct(direct).members().count());
        return Room { target, title, part: Part::In, role: None, members: Some(members), suite, messages: 0, stopped: Vec::new() };
    }
    let me = members.as_ref().and_then(|members| members.person(&crypto.me));
    let part = match me.map(|person| person.standing) {
        _ if withdrawn => Part::Gone,
        Some(Standing::In) => Part::In,
        Some(Standing::Invited) => Part::Invited { by: invited_by },
        Some(Standing::Gone) => Part::Gone,
        // Who was asked in and is no more leaves no trace in the members.
        None if members.is_some() => Part::Gone,
        None => Part::Arriving,
    };
    let title = title.and_then(|(title, tag)| crypto.out_of_rest(&genesis.log(), Some(tag), &title).ok()?.title);
    Room {
        target,
        title: title.unwrap_or_default(),
        role: me.filter(|person| person.standing == Standing::In).map(|person| person.role.into()),
        part,
        members: members.as_ref().map(|members| members.members().count()),
        suite,
        messages: 0,
        stopped: Vec::new(),
    }
}

/// The people of a private conversation.
pub(crate) fn members(core: &Arc<Core>, stored: &StoredRoom) -> Vec<Member> {
    let members = match &stored.genesis {
        Genesis::Direct(direct) => Some(Members::direct(direct)),
        Genesis::Group(_) => stored.members.clone(),
    };
    let people = core.people();
    let line = |people: &People, user: &UserName, person: &tidings_trust::members::Person| Member {
        user: user.clone(),
        role: person.role.into(),
        joined: person.standing == Standing::In,
        online: people.online(user),
        trust: people.trust_in(user),
    };
    members.iter().flat_map(Members::people).map(|(user, person)| line(&people, user, person)).collect()
}

/// A message's file.
pub(crate) fn file(crypto: &Crypto, message: StoredMessage) -> Result<(File, Vec<u8>), ClientError> {
    let none = || ClientError::Usage("this message has no file".into());
    let is_message = matches!(message.kind, Kind::Sealed | Kind::Post) && !matches!(message.status, Status::Unreadable { .. });
    let content = message.content.filter(|_| is_message).ok_or_else(none)?;
    let file = crypto.out_of_rest(&message.log, message.tag, &content)?.file.ok_or_else(none)?;
    Ok((about(&file), file.bytes.to_vec()))
}

fn about(file: &content::File) -> File {
    let picture = imagesize::blob_size(&file.bytes).ok().map(|size| Picture { width: size.width, height: size.height });
    File { name: file.name.clone(), media_type: file.media_type.clone(), size: file.bytes.len(), picture }
}
