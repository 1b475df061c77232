//! A listed device's link: follow, fetch, submit, people, rooms, key packages, and the account's vault and secrets.

use super::Caller;
use super::company::{Changed, Company};
use super::packages;
use super::secrets::{self, UnderWay};
use crate::federation::{self, heads};
use crate::host::Host;
use crate::link::channel::Channel;
use crate::link::pump::Late;
use crate::link::wire::{self, LinkError};
use crate::logs::{Arrival, Origin, Proof, Reader};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tidings_proto::frame::{
    Accepted, BookPut, Chain, ChainReply, Done, Fetch, Follow, KeyPackageClaim, KeyPackagesPut, LogRef, LoginFinish, LoginStart, Page,
    People, PeopleReply, PersonState, Ping, Presence, Queued, Refused, Rekey, RekeyStart, Rooms, RoomsReply, Submit, Vault, VaultGet,
};
use tidings_proto::{Code, Frame, LogName, Refusal, ServerName, UserName, limits};
use tokio::sync::broadcast::error::RecvError;

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
pub(super) async fn serve(host: Arc<Host>, mut pump: impl Channel, caller: Caller) -> Result<(), LinkError> {
    let _here = host.presence.arrive(&caller.user);
    let mut company = Company::new(host.presence.changes(), &caller.device);
    let (mut rooms, mut low) = (host.logs.arrivals(), host.logs.low());
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
            pump.list(people(&host, 0));
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
            changed = company.next(), if shows_people && pump.has_room() => match changed {
                Some(Changed::People(people)) => pump.list(changed_people(&host, people)),
                Some(Changed::Everybody) => pump.list(everybody_online(&host)),
                None => return Ok(()),
            },
            room = rooms.recv(), if pump.has_room() => match room {
                Ok(Arrival { user, room }) if user == caller.user => pump.send(RoomsReply { req: 0, rooms: vec![room], more: false }),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => pump.list(all_rooms(&host, 0, caller.user.clone())),
                Err(RecvError::Closed) => return Ok(()),
            },
            few = low.recv(), if pump.has_room() => match few {
                Ok(few) if few.user == caller.user && few.device == caller.device => pump.send(packages::left(0, few.left)),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    let (host, caller) = (host.clone(), caller.clone());
                    pump.start(answered(0, async move { packages::look(&host, &caller).await }));
                }
                Err(RecvError::Closed) => return Ok(()),
            },
            bytes = pump.next() => {
                let why = match wire::frame(bytes, limits::CLIENT_FRAME)? {
                    Ok(Frame::People(People { req })) => {
                        shows_people = true;
                        pump.list(people(&host, req));
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

fn request(host: &Arc<Host>, caller: &Caller, session: &Arc<Session>, pump: &mut impl Channel, frame: Frame) -> Result<(), Refusal> {
    match frame {
        Frame::Follow(Follow { logs }) => {
            let reader = Reader::User(caller.user.clone());
            let own = LogRef::Name(LogName::Keys(host.name.clone()));
            // Whoever follows the key history here may hold this server to it.
            let head = if logs.iter().any(|(log, _)| *log == own) { heads::own(host) } else { None };
            head.into_iter().for_each(|head| pump.ask(Ping { req: 0, heads: Some(vec![head]) }));
            for (log, after) in logs {
                follow(host, &reader, pump, log, after);
            }
        }
        Frame::Fetch(fetch) => pump.start_page(page(host.clone(), Reader::User(caller.user.clone()), fetch)),
        Frame::Submit(submit) => {
            let (req, sender) = (submit.req, pump.sender());
            let (host, caller) = (host.clone(), caller.clone());
            pump.start(answered(req, async move { place(&host, &caller, submit, sender).await }));
        }
        Frame::Chain(Chain { req, user, after }) => {
            let host = host.clone();
            pump.start_page(answered(req, async move { chain(&host, req, &user, after).await }));
        }
        Frame::Rooms(Rooms { req }) => {
            pump.list(all_rooms(host, req, caller.user.clone()));
        }
        Frame::KeyPackagesPut(put @ KeyPackagesPut { req, .. }) => {
            let (host, caller) = (host.clone(), caller.clone());
            pump.start(answered(req, async move { packages::put(&host, &caller, put).await }));
        }
        Frame::KeyPackageClaim(claim @ KeyPackageClaim { req, .. }) => {
            let (host, caller) = (host.clone(), caller.clone());
            pump.start_page(answered(req, async move { packages::claim(&host, &caller, claim).await }));
        }
        Frame::Ping(Ping { req, .. }) => pump.pong(req),
        // A head comes with a ping, which is answered like any.
        Frame::Pong(_) => {}
        Frame::VaultGet(VaultGet { req })
        | Frame::BookPut(BookPut { req, .. })
        | Frame::LoginStart(LoginStart { req, .. })
        | Frame::LoginFinish(LoginFinish { req, .. })
        | Frame::RekeyStart(RekeyStart { req, .. })
        | Frame::Rekey(Rekey { req, .. }) => {
            let (host, caller, session) = (host.clone(), caller.clone(), session.clone());
            pump.start_page(answered(req, async move { account(&host, &caller, &session, frame).await }));
        }
        frame => return Err(Refusal::new(Code::WrongState, format!("{} has no place on this link now", frame.name()))),
    }
    Ok(())
}

/// A refusal is an answer too.
async fn answered(req: u32, job: impl Future<Output = Result<Frame, Refusal>>) -> Frame {
    job.await.unwrap_or_else(|why| Refused { req, why, log: None }.into())
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
pub fn follow(host: &Host, reader: &Reader, pump: &mut impl Channel, log: LogRef, after: u64) {
    let name = match log {
        LogRef::Name(name) => Some(name),
        LogRef::Number(number) => host.logs.name(number),
    };
    let followed = match &name {
        None => Err(Refusal::from(Code::NotFound)),
        Some(name) => pump.follow(reader, name, after),
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
async fn place(host: &Arc<Host>, caller: &Caller, submit: Submit, sender: Late) -> Result<Frame, Refusal> {
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

/// Everybody, as each is when their frame is made.
fn people(host: &Arc<Host>, req: u32) -> impl Iterator<Item = Frame> + Send + 'static {
    let (host, mut after, mut more) = (host.clone(), None, true);
    std::iter::from_fn(move || {
        more.then(|| {
            let users;
            (users, more) = host.logs.directory().users_after(after.as_ref(), LISTED_AT_ONCE);
            after = users.last().cloned();
            PeopleReply { req, people: users.into_iter().map(|user| state(&host, user)).collect(), more }.into()
        })
    })
}

/// Who is online. The first frame says that everybody else is offline; those that follow add to it.
fn everybody_online(host: &Arc<Host>) -> impl Iterator<Item = Frame> + Send + 'static {
    let (host, mut left, mut whole) = (host.clone(), host.presence.everybody().into_iter().peekable(), true);
    std::iter::from_fn(move || {
        (whole || left.peek().is_some()).then(|| {
            let people = left.by_ref().take(LISTED_AT_ONCE).map(|person| state(&host, person.user)).collect();
            Presence { whole: std::mem::take(&mut whole), people }.into()
        })
    })
}

/// How things stand with these.
fn changed_people(host: &Arc<Host>, people: BTreeSet<UserName>) -> impl Iterator<Item = Frame> + Send + 'static {
    let (host, mut left) = (host.clone(), people.into_iter().peekable());
    std::iter::from_fn(move || {
        left.peek()?;
        let people = left.by_ref().take(LISTED_AT_ONCE).map(|user| state(&host, user)).collect();
        Some(Presence { whole: false, people }.into())
    })
}

fn state(host: &Host, user: UserName) -> PersonState {
    let online = host.presence.of(&user);
    let list = host.logs.directory().state(&user).map_or(0, |state| state.version());
    PersonState { user, online, list }
}

/// The rooms that `user` has, or is asked into.
fn all_rooms(host: &Arc<Host>, req: u32, user: UserName) -> impl Iterator<Item = Frame> + Send + 'static {
    let (host, mut after, mut more) = (host.clone(), None, true);
    std::iter::from_fn(move || {
        more.then(|| {
            let rooms;
            (rooms, after) = host.logs.rooms_after(&user, after, LISTED_AT_ONCE);
            more = after.is_some();
            RoomsReply { req, rooms, more }.into()
        })
    })
}
