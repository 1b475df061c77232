//! A listed device's link: follow, fetch, submit, people, rooms.

use super::Caller;
use crate::federation;
use crate::host::Host;
use crate::link::pump::Pump;
use crate::link::wire::{LinkError, Wire};
use crate::logs::{Origin, Reader};
use std::sync::Arc;
use tidings_proto::frame::{
    Accepted, Chain, ChainReply, Fetch, Follow, LogRef, Page, People, PeopleReply, PersonState, Ping, Presence, Refused, Rooms, RoomsReply,
    Submit, Vault, VaultGet,
};
use tidings_proto::{Code, Frame, LogName, Refusal, ServerName, UserName, limits};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// People or rooms in one frame: well below the frame's limit at the longest names there are.
const LISTED_AT_ONCE: usize = 400;

/// Serves a listed device until its link ends.
pub(super) async fn serve(host: Arc<Host>, wire: Wire, caller: Caller) -> Result<(), LinkError> {
    let _here = host.presence.arrive(&caller.user);
    let mut pump = Pump::new(wire, &host.logs);
    let mut presence = host.presence.changes();
    let mut rooms = host.logs.new_rooms();
    let mut keys = host.logs.directory().changes();
    // Asked again now that changes are heard: the device may have been removed since its link was let in.
    if !super::is_listed(&host, &caller) {
        pump.send(Refused { req: 0, why: Code::Revoked.into(), log: None });
        pump.close().await;
        return Ok(());
    }
    let mut shows_people = false;
    loop {
        tokio::select! {
            bytes = pump.next() => {
                let why = match Frame::read(&bytes?, limits::CLIENT_FRAME) {
                    Ok(Frame::People(People { req })) => {
                        shows_people = true;
                        people(&host, &mut pump, req);
                        continue;
                    }
                    Ok(frame) => match request(&host, &caller, &mut pump, frame) {
                        Ok(()) => continue,
                        Err(why) => why,
                    },
                    Err(why) => why,
                };
                // An unknown type is a newer program's question; what cannot be read at all ends the link.
                let ends = matches!(why.code, Code::Malformed | Code::TooLarge);
                pump.send(Refused { req: 0, why, log: None });
                if ends {
                    pump.close().await;
                    return Ok(());
                }
            }
            change = presence.recv(), if shows_people && pump.has_room() => match change {
                Ok(person) => pump.send(Presence { whole: false, people: vec![with_list(&host, person)] }),
                Err(RecvError::Lagged(_)) => everybody_online(&host, &mut pump),
                Err(RecvError::Closed) => return Ok(()),
            },
            room = rooms.recv(), if pump.has_room() => match room {
                Ok(room) if room.genesis.as_direct().is_some_and(|direct| direct.has(&caller.user)) => pump.send(RoomsReply { req: 0, rooms: vec![room], more: false }),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    let sender = pump.sender();
                    pump.start(all_rooms(host.clone(), 0, caller.user.clone(), sender));
                },
                Err(RecvError::Closed) => return Ok(()),
            },
            changed = keys.recv(), if pump.has_room() => {
                let concerns = match &changed {
                    Ok(user) => user == &caller.user,
                    Err(RecvError::Lagged(_)) => true,
                    Err(RecvError::Closed) => return Ok(()),
                };
                if concerns && !super::is_listed(&host, &caller) {
                    pump.send(Refused { req: 0, why: Code::Revoked.into(), log: None });
                    pump.close().await;
                    return Ok(());
                }
                match changed {
                    _ if !shows_people => {}
                    // Somebody new, or somebody's new list: its version tells the client to ask for the chain.
                    Ok(user) => pump.send(Presence { whole: false, people: vec![state(&host, user)] }),
                    Err(_) => people(&host, &mut pump, 0),
                }
            }
            () = host.stopping.cancelled() => {
                pump.close().await;
                return Ok(());
            }
        }
    }
}

fn request(host: &Arc<Host>, caller: &Caller, pump: &mut Pump, frame: Frame) -> Result<(), Refusal> {
    match frame {
        Frame::Follow(Follow { logs }) => {
            let reader = Reader::User(caller.user.clone());
            for (log, after) in logs {
                follow(host, &reader, pump, log, after);
            }
        }
        Frame::Fetch(fetch) => pump.start(page(host.clone(), Reader::User(caller.user.clone()), fetch)),
        Frame::Submit(submit) => {
            let sender = pump.sender();
            let (host, caller) = (host.clone(), caller.clone());
            pump.start(async move {
                let req = submit.req;
                match place(&host, &caller, submit, sender).await {
                    Ok(frame) => frame,
                    Err(why) => Refused { req, why, log: None }.into(),
                }
            });
        }
        Frame::Chain(Chain { req, user, after }) => {
            let host = host.clone();
            pump.start(async move { chain(&host, req, &user, after).await.unwrap_or_else(|why| Refused { req, why, log: None }.into()) });
        }
        Frame::Rooms(Rooms { req }) => {
            let sender = pump.sender();
            pump.start(all_rooms(host.clone(), req, caller.user.clone(), sender));
        }
        Frame::VaultGet(VaultGet { req }) => {
            let (host, user) = (host.clone(), caller.user.clone());
            pump.start(async move { vault(&host, req, &user).await.unwrap_or_else(|why| Refused { req, why, log: None }.into()) });
        }
        Frame::Ping(Ping { req }) => pump.pong(req),
        frame => return Err(Refusal::new(Code::WrongState, format!("{} has no place on this link now", frame.name()))),
    }
    Ok(())
}

/// Starts to follow one log, or says why not.
pub fn follow(host: &Host, reader: &Reader, pump: &mut Pump, log: LogRef, after: u64) {
    let name = match log {
        LogRef::Name(name) => Some(name),
        LogRef::Number(number) => host.logs.name(number),
    };
    let refused = match &name {
        None => Some(Refusal::from(Code::NotFound)),
        Some(name) if !host.logs.may_read(reader, name) => Some(Code::Forbidden.into()),
        Some(name) => pump.follower().follow(name.clone(), after).err(),
    };
    if let Some(why) = refused {
        pump.send(Refused { req: 0, why, log: name });
    }
}

/// Answers `Fetch`.
pub async fn page(host: Arc<Host>, reader: Reader, fetch: Fetch) -> Frame {
    let Fetch { req, log, before, after, limit } = fetch;
    let refused = |why: Refusal| Refused { req, why, log: Some(log.clone()) }.into();
    if !host.logs.may_read(&reader, &log) {
        return refused(Code::Forbidden.into());
    }
    match host.logs.page(&log, before, after, limit).await {
        Ok((prev, items)) => Page { req, prev, items }.into(),
        Err(why) => refused(why),
    }
}

/// One user's key history.
pub async fn chain(host: &Host, req: u32, user: &UserName, after: u64) -> Result<Frame, Refusal> {
    let (items, more) = host.logs.chain(user, after).await?;
    Ok(ChainReply { req, items, more }.into())
}

/// The user's vault.
async fn vault(host: &Host, req: u32, user: &UserName) -> Result<Frame, Refusal> {
    let account = host.logs.account(user).await?.ok_or(Code::Closed)?;
    Ok(Vault { req, version: account.vault_version, vault: account.vault }.into())
}

/// Puts a draft into its log: here, or through the outbox of the peer that is its hub.
async fn place(host: &Arc<Host>, caller: &Caller, submit: Submit, sender: mpsc::Sender<Frame>) -> Result<Frame, Refusal> {
    let Submit { req, log, draft, genesis } = submit;
    let hub: ServerName = match (&log, &genesis) {
        (LogName::Room(_), Some(genesis)) => genesis.hub().clone(),
        (LogName::Room(_), None) => host.logs.room(&log).map(|room| room.hub).ok_or(Code::NotFound)?,
        (named, _) => named.hub().cloned().ok_or(Code::NotFound)?,
    };
    if hub == host.name {
        let origin = Origin::Device { user: caller.user.clone(), device: caller.device, listed: true };
        let placed = host.logs.append(origin, &log, draft, genesis).await?;
        return Ok(Accepted { req, seq: placed.seq, hash: placed.hash }.into());
    }
    let peer = host.peers.get(&hub).ok_or_else(|| Refusal::new(Code::UnknownPeer, format!("{} does not know {hub}", host.name)))?;
    let row = federation::Outgoing { user: caller.user.clone(), device: caller.device, log, draft, genesis };
    federation::place(&host.logs, &peer, row, req, sender).await
}

fn people(host: &Host, pump: &mut Pump, req: u32) {
    let users = host.logs.directory().users();
    let mut left = users.len();
    if users.is_empty() {
        pump.send(PeopleReply { req, people: Vec::new(), more: false });
    }
    for some in users.chunks(LISTED_AT_ONCE) {
        left -= some.len();
        let people = some.iter().map(|user| state(host, user.clone())).collect();
        pump.send(PeopleReply { req, people, more: left > 0 });
    }
}

fn everybody_online(host: &Host, pump: &mut Pump) {
    let people: Vec<PersonState> = host.presence.everybody().into_iter().map(|person| with_list(host, person)).collect();
    // The first frame says that everybody else is offline; those that follow add to it.
    let mut whole = true;
    for some in people.chunks(LISTED_AT_ONCE) {
        pump.send(Presence { whole, people: some.to_vec() });
        whole = false;
    }
    if whole {
        pump.send(Presence { whole, people });
    }
}

fn state(host: &Host, user: UserName) -> PersonState {
    let online = host.presence.of(&user);
    with_list(host, PersonState { user, online, list: 0 })
}

fn with_list(host: &Host, mut person: PersonState) -> PersonState {
    person.list = host.logs.directory().state(&person.user).map_or(0, |state| state.list.version);
    person
}

async fn all_rooms(host: Arc<Host>, req: u32, user: UserName, sender: mpsc::Sender<Frame>) -> Frame {
    let mut rooms = match host.logs.member_rooms(&user).await {
        Ok(rooms) => rooms,
        Err(why) => return Refused { req, why, log: None }.into(),
    };
    while rooms.len() > LISTED_AT_ONCE {
        let rest = rooms.split_off(LISTED_AT_ONCE);
        let full = std::mem::replace(&mut rooms, rest);
        if sender.send(RoomsReply { req, rooms: full, more: true }.into()).await.is_err() {
            break; // the link has ended, and nobody waits for the rest
        }
    }
    RoomsReply { req, rooms, more: false }.into()
}
