//! One link to a peer: what the peer asks for is served, and what this server asks for goes out when the link is the one
//! that asks.

use super::PeerState;
use super::ask::Asking;
use super::claim;
use super::heads;
use super::peer::Link;
use crate::api::device::{follow, page};
use crate::host::Host;
use crate::link::channel::Channel;
use crate::link::wire::{self, LinkError};
use crate::logs::{Origin, Reader};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::frame::{Accepted, Follow, Ping, Presence, Refused, Submit};
use tidings_proto::{Code, Frame, Refusal, UserName, limits};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// At most one change of presence a user in so long goes to a peer.
const PRESENCE_EVERY: Duration = Duration::from_secs(2);
/// People in one presence frame.
const LISTED_AT_ONCE: usize = 2000;
/// A link on which nothing was asked for so long is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(15);

/// Serves the link until it ends.
pub(super) async fn serve(host: &Arc<Host>, mut pump: impl Channel, peer: &Arc<PeerState>, link: &Link) -> Result<(), LinkError> {
    let mut presence = host.presence.changes();
    pump.list(everybody(host));
    let mut changed: BTreeSet<UserName> = BTreeSet::new();
    let mut told = Instant::now();
    let mut newest = peer.newest.subscribe();
    let mut asking: Option<(Asking, tokio::sync::OwnedMutexGuard<()>)> = None;
    let mut ping = tokio::time::interval(PING_EVERY);
    let (mut news, mut told_of) = (host.peers.heads.news.subscribe(), BTreeMap::new());
    loop {
        pump.hold(asking.as_ref().is_some_and(|(asking, _)| asking.is_full()));
        // In this order, so that a run can be repeated: of what comes before the link itself there is never much.
        tokio::select! {
            biased;
            () = host.stopping.cancelled() => {
                pump.close().await;
                return Ok(());
            }
            guard = link.claim(), if asking.is_none() && link.is_newest() => {
                asking = Some((Asking::begin(host, peer, &mut pump).await?, guard));
            }
            // An error only says that the server is stopping.
            _ = newest.changed() => if !link.is_newest() {
                asking = None;
            },
            done = async { match &mut asking { Some((asking, _)) => asking.step().await, None => std::future::pending().await } } => {
                if let Some((asking, _)) = &mut asking {
                    asking.act(&mut pump, done).await?;
                }
            }
            change = presence.recv() => match change {
                Ok(person) => { if person.user.server() == &host.name { changed.insert(person.user); } }
                Err(RecvError::Lagged(_)) => pump.list(everybody(host)),
                Err(RecvError::Closed) => return Ok(()),
            },
            () = tokio::time::sleep_until(told + PRESENCE_EVERY), if !changed.is_empty() => {
                told = Instant::now();
                let people = std::mem::take(&mut changed);
                pump.send(Presence { whole: false, people: people.iter().map(|user| state(host, user)).collect() });
            }
            _ = ping.tick() => {
                pump.ping();
                heads::look(host).await;
                heads::news_for(host, peer, &mut told_of).into_iter().for_each(|heads| pump.ask(heads));
            }
            // An error only says that the server is stopping.
            _ = news.changed() => heads::news_for(host, peer, &mut told_of).into_iter().for_each(|heads| pump.ask(heads)),
            bytes = pump.next() => {
                let frame = match wire::frame(bytes, limits::PEER_FRAME)? {
                    Ok(frame) => frame,
                    Err(why) if why.code == Code::UnknownFrame => {
                        pump.send(Refused { req: 0, why, log: None });
                        continue;
                    }
                    Err(why) => return refuse(pump, why).await,
                };
                if let Some(answer) = request(host, peer, &mut pump, frame)
                    && let Some((asking, _)) = &mut asking
                    && let Err(why) = asking.answer(answer)
                {
                    return refuse(pump, why).await;
                }
            }
        }
    }
}

/// Ends the link, and says why.
async fn refuse(mut pump: impl Channel, why: Refusal) -> Result<(), LinkError> {
    pump.send(Refused { req: 0, why: why.clone(), log: None });
    pump.close().await;
    Err(why.into())
}

/// Serves a request of the peer's; an answer to one of ours is handed back.
fn request(host: &Arc<Host>, peer: &PeerState, pump: &mut impl Channel, frame: Frame) -> Option<Frame> {
    let reader = || Reader::Peer(peer.peer.name.clone());
    match frame {
        Frame::Follow(Follow { logs }) => {
            for (log, after) in logs {
                follow(host, &reader(), pump, log, after);
            }
        }
        Frame::Fetch(fetch) => pump.start_page(page(host.clone(), reader(), fetch)),
        Frame::Submit(Submit { req, log, draft, genesis }) => {
            let (host, origin) = (host.clone(), Origin::Peer(peer.peer.name.clone()));
            pump.start(async move {
                match host.logs.append(origin, &log, draft, genesis).await {
                    Ok(placed) => Accepted { req, seq: placed.seq, hash: placed.hash }.into(),
                    Err(why) => Refused { req, why, log: None }.into(),
                }
            });
        }
        Frame::KeyPackageClaim(claim) => pump.start_page(claim::serve(host.clone(), peer.peer.name.clone(), claim)),
        Frame::Presence(said) => host.presence.peer_says(&peer.peer.name, said.whole, said.people),
        Frame::Ping(Ping { req, heads }) => {
            if let Some(heads) = heads {
                host.tasks.spawn(heads::hear(host.clone(), peer.peer.name.clone(), heads));
            }
            pump.pong(req);
        }
        Frame::Pong(_) => {}
        answer @ (Frame::Named(_) | Frame::Entries(_) | Frame::Ended(_)) => return Some(answer),
        answer @ (Frame::Accepted(_) | Frame::Queued(_) | Frame::Refused(_) | Frame::KeyPackages(_)) => return Some(answer),
        frame => {
            let why = Refusal::new(Code::WrongState, format!("{} has no place between servers", frame.name()));
            pump.send(Refused { req: 0, why, log: None });
        }
    }
    None
}

fn state(host: &Host, user: &UserName) -> tidings_proto::frame::PersonState {
    tidings_proto::frame::PersonState { user: user.clone(), online: host.presence.of(user), list: 0 }
}

/// How things stand with each of this server's users who is online, as it is when their frame is made. The first frame says that
/// everybody else is offline.
fn everybody(host: &Arc<Host>) -> impl Iterator<Item = Frame> + Send + 'static {
    let (host, mut left, mut whole) = (host.clone(), host.presence.own().into_iter().peekable(), true);
    std::iter::from_fn(move || {
        (whole || left.peek().is_some()).then(|| {
            let people = left.by_ref().take(LISTED_AT_ONCE).map(|person| state(&host, &person.user)).collect();
            Presence { whole: std::mem::take(&mut whole), people }.into()
        })
    })
}
