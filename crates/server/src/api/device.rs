//! A listed device's link: follow, fetch, submit, people, rooms, and the account's vault and secrets.

use super::Caller;
use super::secrets::{self, UnderWay};
use crate::federation;
use crate::host::Host;
use crate::link::pump::Pump;
use crate::link::wire::{self, LinkError, Wire};
use crate::logs::{Arrival, Origin, Proof, Reader};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tidings_proto::frame::{
    Accepted, BookPut, Chain, ChainReply, Done, Fetch, Follow, LogRef, LoginFinish, LoginStart, Page, People, PeopleReply, PersonState,
    Ping, Presence, Queued, Refused, Rekey, RekeyStart, Rooms, RoomsReply, Submit, Vault, VaultGet,
};
use tidings_proto::{Code, Frame, LogName, Refusal, ServerName, UserName, limits};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// People or rooms in one frame: well below the frame's limit at the longest names there are.
const LISTED_AT_ONCE: usize = 400;
/// A secret that was proved is good for so long: the person is at the keyboard.
const PROVED_FOR: Duration = Duration::from_secs(300);

/// What a link knows of its person besides which device it is. Whatever fails changes nothing of it.
#[derive(Default)]
struct Session(Mutex<Login>);

#[derive(Default)]
struct Login {
    under_way: Option<UnderWay>,
    proved: Option<(Proof, Instant)>,
}

impl Session {
    fn locked(&self) -> MutexGuard<'_, Login> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been proved, not long ago.
    fn proof(&self) -> Result<Proof, Refusal> {
        let login = self.locked();
        let fresh = login.proved.as_ref().filter(|(_, at)| at.elapsed() < PROVED_FOR);
        Ok(fresh.map(|(proof, _)| proof.clone()).ok_or(Code::PasswordNeeded)?)
    }
}

/// Serves a listed device until its link ends.
pub(super) async fn serve(host: Arc<Host>, wire: Wire, caller: Caller) -> Result<(), LinkError> {
    let _here = host.presence.arrive(&caller.user);
    let mut pump = Pump::new(wire, &host.logs);
    let mut presence = host.presence.changes();
    let mut rooms = host.logs.arrivals();
    let session = Arc::new(Session::default());
    let mut keys = host.logs.directory().changes();
    // Asked again now that changes are heard: the device may have been removed since its link was let in.
    if !super::is_listed(&host, &caller) {
        pump.send(Refused { req: 0, why: Code::Revoked.into(), log: None });
        pump.close().await;
        return Ok(());
    }
    let mut shows_people = false;
    // Somebody's new list could not be told, since the link was full.
    let mut missed_keys = false;
    loop {
        if missed_keys && pump.has_room() {
            missed_keys = false;
            people(&host, &mut pump, 0);
        }
        tokio::select! {
            // Whether the device still is one of its user's comes before all else, however full the link is, and however much
            // its other end has to say.
            biased;
            () = host.stopping.cancelled() => {
                pump.close().await;
                return Ok(());
            }
            changed = keys.recv() => {
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
                    Ok(user) if pump.has_room() => pump.send(Presence { whole: false, people: vec![state(&host, user)] }),
                    _ => missed_keys = true,
                }
            }
            change = presence.recv(), if shows_people && pump.has_room() => match change {
                Ok(person) => pump.send(Presence { whole: false, people: vec![with_list(&host, person)] }),
                Err(RecvError::Lagged(_)) => everybody_online(&host, &mut pump),
                Err(RecvError::Closed) => return Ok(()),
            },
            room = rooms.recv(), if pump.has_room() => match room {
                Ok(Arrival { user, room }) if user == caller.user => pump.send(RoomsReply { req: 0, rooms: vec![room], more: false }),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    let sender = pump.sender();
                    pump.start(all_rooms(host.clone(), 0, caller.user.clone(), sender));
                },
                Err(RecvError::Closed) => return Ok(()),
            },
            bytes = pump.next() => {
                let why = match wire::frame(bytes, limits::CLIENT_FRAME)? {
                    Ok(Frame::People(People { req })) => {
                        shows_people = true;
                        people(&host, &mut pump, req);
                        continue;
                    }
                    Ok(frame) => match request(&host, &caller, &session, &mut pump, frame) {
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
        }
    }
}

fn request(host: &Arc<Host>, caller: &Caller, session: &Arc<Session>, pump: &mut Pump, frame: Frame) -> Result<(), Refusal> {
    match frame {
        Frame::Follow(Follow { logs }) => {
            let reader = Reader::User(caller.user.clone());
            for (log, after) in logs {
                follow(host, &reader, pump, log, after);
            }
        }
        Frame::Fetch(fetch) => pump.start(page(host.clone(), Reader::User(caller.user.clone()), fetch)),
        Frame::Submit(submit) => {
            let (req, sender) = (submit.req, pump.sender());
            let (host, caller) = (host.clone(), caller.clone());
            start(pump, req, async move { place(&host, &caller, submit, sender).await });
        }
        Frame::Chain(Chain { req, user, after }) => {
            let host = host.clone();
            start(pump, req, async move { chain(&host, req, &user, after).await });
        }
        Frame::Rooms(Rooms { req }) => {
            let sender = pump.sender();
            pump.start(all_rooms(host.clone(), req, caller.user.clone(), sender));
        }
        Frame::Ping(Ping { req }) => pump.pong(req),
        Frame::VaultGet(VaultGet { req })
        | Frame::BookPut(BookPut { req, .. })
        | Frame::LoginStart(LoginStart { req, .. })
        | Frame::LoginFinish(LoginFinish { req, .. })
        | Frame::RekeyStart(RekeyStart { req, .. })
        | Frame::Rekey(Rekey { req, .. }) => {
            let (host, caller, session) = (host.clone(), caller.clone(), session.clone());
            start(pump, req, async move { account(&host, &caller, &session, frame).await });
        }
        frame => return Err(Refusal::new(Code::WrongState, format!("{} has no place on this link now", frame.name()))),
    }
    Ok(())
}

/// Runs a request beside the link; a refusal is its answer too.
fn start(pump: &mut Pump, req: u32, job: impl Future<Output = Result<Frame, Refusal>> + Send + 'static) {
    pump.start(async move { job.await.unwrap_or_else(|why| Refused { req, why, log: None }.into()) });
}

/// What is about the account itself.
async fn account(host: &Host, caller: &Caller, session: &Session, frame: Frame) -> Result<Frame, Refusal> {
    match frame {
        Frame::VaultGet(VaultGet { req }) => {
            let account = host.logs.account(&caller.user).await?.ok_or(Code::Closed)?;
            Ok(Vault { req, vault: account.vault }.into())
        }
        Frame::BookPut(BookPut { req, version, book }) => {
            host.logs.put_book(&caller.user, &caller.device, version, book).await?;
            Ok(Done { req }.into())
        }
        Frame::LoginStart(start) => {
            let (answer, under_way) = secrets::start(host, caller, start).await?;
            session.locked().under_way = Some(under_way);
            Ok(answer)
        }
        Frame::LoginFinish(finish) => {
            let under_way = session.locked().under_way.take();
            let under_way = under_way.ok_or_else(|| Refusal::new(Code::WrongState, "a login begins with LoginStart"))?;
            let (answer, proof) = secrets::finish(host, caller, under_way, finish).await?;
            session.locked().proved = Some((proof, Instant::now()));
            Ok(answer)
        }
        Frame::RekeyStart(start) => {
            session.proof()?;
            secrets::rekey_start(host, caller, start)
        }
        Frame::Rekey(rekey) => {
            let origin = Origin::Device { user: caller.user.clone(), device: caller.device };
            let answer = secrets::rekey(host, origin, session.proof()?, rekey).await?;
            session.locked().proved = None;
            Ok(answer)
        }
        _ => Err(Code::WrongState.into()),
    }
}

/// Starts to follow one log, or says why not.
pub fn follow(host: &Host, reader: &Reader, pump: &mut Pump, log: LogRef, after: u64) {
    let name = match log {
        LogRef::Name(name) => Some(name),
        LogRef::Number(number) => host.logs.name(number),
    };
    let followed = match &name {
        None => Err(Refusal::from(Code::NotFound)),
        Some(name) => pump.follower().follow(reader, name, after),
    };
    if let Err(why) = followed {
        pump.send(Refused { req: 0, why, log: name });
    }
}

/// Answers `Fetch`.
pub async fn page(host: Arc<Host>, reader: Reader, fetch: Fetch) -> Frame {
    let Fetch { req, log, before, after, limit } = fetch;
    match host.logs.page(&reader, &log, (before, after), limit).await {
        Ok((prev, items)) => Page { req, prev, items }.into(),
        Err(why) => Refused { req, why, log: Some(log) }.into(),
    }
}

/// One user's key history.
pub async fn chain(host: &Host, req: u32, user: &UserName, after: u64) -> Result<Frame, Refusal> {
    let (items, more) = host.logs.chain(user, after).await?;
    Ok(ChainReply { req, items, more }.into())
}

/// Puts a draft into its log: here, or through the outbox of the peer that is its hub.
async fn place(host: &Arc<Host>, caller: &Caller, submit: Submit, sender: mpsc::Sender<Frame>) -> Result<Frame, Refusal> {
    let Submit { req, log, draft, genesis } = submit;
    let hub: ServerName = match (&log, &genesis) {
        (LogName::Room(_), Some(genesis)) => genesis.hub().clone(),
        // One that is not known is ordered here, or nowhere that this server knows of: a group comes with its first draft.
        (LogName::Room(_), None) => host.logs.room(&log).map_or_else(|| host.name.clone(), |room| room.hub),
        (named, _) => named.hub().cloned().ok_or(Code::NotFound)?,
    };
    if hub == host.name {
        let origin = Origin::Device { user: caller.user.clone(), device: caller.device };
        let placed = host.logs.append(origin, &log, draft, genesis).await?;
        return Ok(Accepted { req, seq: placed.seq, hash: placed.hash }.into());
    }
    let Some(peer) = host.peers.get(&hub) else {
        // It may have been known when the draft was put into its outbox.
        let standing = host.logs.outgoing(&log, &draft).await?.map(|row| row.state);
        let unknown = || Refusal::new(Code::UnknownPeer, format!("{} does not know {hub}", host.name));
        return federation::stands(req, standing.ok_or_else(unknown)?).unwrap_or_else(|| Ok(Queued { req }.into()));
    };
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
    person.list = host.logs.directory().state(&person.user).map_or(0, |state| state.version());
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
