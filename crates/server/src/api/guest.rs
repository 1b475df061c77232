//! A link whose device is not listed yet: it may register, or log in and add itself to its user's list, perhaps with other
//! secrets. Nothing else.

use super::secrets::{self, UnderWay};
use super::{Caller, is_listed};
use crate::host::Host;
use crate::link::handshake::refuse;
use crate::link::wire::{self, LinkError, Wire};
use crate::logs::{Admission, NewAccount, Origin, Proof};
use tidings_proto::frame::{
    Accepted, Chain, LoginFinish, LoginStart, Refused, RegisterFinish, RegisterReply, RegisterStart, Rekey, RekeyStart, Secret, Submit,
};
use tidings_proto::{Code, Frame, LogName, Refusal, limits};

/// How many frames a guest may send; a registration takes two, a login four.
const FRAMES: usize = 32;

/// How far a guest has come.
enum Progress {
    /// Nothing yet.
    New,
    /// The server has agreed to a registration, with this code.
    Registering(Option<String>),
    /// The server has agreed that an account begins anew, with this code.
    Renewing(String),
    /// KE2 has been sent.
    LoggingIn(UnderWay),
    /// KE3 was right: the device may be added to the list.
    LoggedIn(Proof),
}

/// Serves a guest until its device is listed (`true`), or it gives up (`false`).
pub async fn serve(host: &Host, wire: &mut Wire, caller: &Caller) -> Result<bool, LinkError> {
    let mut progress = Progress::New;
    let talk = async {
        for _ in 0..FRAMES {
            let limit = match progress {
                Progress::New | Progress::LoggingIn(_) => limits::GUEST_FRAME,
                Progress::Registering(_) | Progress::Renewing(_) => limits::REGISTER_FRAME,
                Progress::LoggedIn(_) => limits::ACCOUNT_FRAME,
            };
            wire.allowance.one_more(limit);
            // Whoever does nothing gives the place to somebody else.
            let read = tokio::time::timeout(host.guest_pace.step, wire.reader.next()).await.unwrap_or(Err(LinkError::TimedOut));
            let frame = match wire::frame(read, limit) {
                Ok(Ok(frame)) => frame,
                // A newer program's question; what cannot be read at all ends the link.
                Ok(Err(why)) if why.code == Code::UnknownFrame => {
                    wire.writer.send(Frame::from(Refused { req: 0, why, log: None }).encode()).await?;
                    continue;
                }
                Ok(Err(why)) => {
                    refuse(wire, why).await;
                    return Ok(false);
                }
                Err(LinkError::Closed) => return Ok(false),
                Err(error) => return Err(error),
            };
            let req = request_number(&frame);
            let (answer, listed) = match step(host, caller, &mut progress, frame).await {
                Ok(done) => done,
                Err(why) => (Refused { req, why, log: None }.into(), false),
            };
            wire.writer.send(answer.encode()).await?;
            if listed {
                return Ok(true);
            }
        }
        refuse(wire, Refusal::new(Code::TooFast, "too many frames before authentication")).await;
        Ok(false)
    };
    match tokio::time::timeout(host.guest_pace.within, talk).await {
        Ok(done) => done,
        Err(_) => Err(LinkError::TimedOut),
    }
}

/// One frame of a guest's; says whether the device is listed now.
async fn step(host: &Host, caller: &Caller, progress: &mut Progress, frame: Frame) -> Result<(Frame, bool), Refusal> {
    let unfinished = |frame: Frame| Ok((frame, false));
    // Whatever goes wrong in a step, the next one starts from nothing.
    let before = match progress {
        Progress::LoggedIn(proof) => Progress::LoggedIn(proof.clone()),
        _ => std::mem::replace(progress, Progress::New),
    };
    let origin = |proof: &Proof| Origin::Guest { user: caller.user.clone(), device: caller.device, proof: proof.clone() };
    match (before, frame) {
        (Progress::New, Frame::RegisterStart(start)) => {
            let (answer, next) = register_start(host, caller, start).await?;
            *progress = next;
            unfinished(answer)
        }
        (Progress::Registering(code), Frame::RegisterFinish(finish)) => {
            let admission = host.accounts.admission(&host.logs, &caller.user, code)?;
            Ok((register_finish(host, caller, admission, finish).await?, true))
        }
        (Progress::Renewing(code), Frame::RegisterFinish(finish)) => {
            Ok((register_finish(host, caller, Admission::Reset(code), finish).await?, true))
        }
        (Progress::New, Frame::LoginStart(start)) => {
            let (answer, under_way) = secrets::start(host, caller, start).await?;
            *progress = Progress::LoggingIn(under_way);
            unfinished(answer)
        }
        (Progress::LoggingIn(under_way), Frame::LoginFinish(finish)) => {
            let (answer, proof) = secrets::finish(host, caller, under_way, finish).await?;
            *progress = Progress::LoggedIn(proof);
            unfinished(answer)
        }
        (Progress::LoggedIn(_), Frame::Chain(Chain { req, user, after })) if user == caller.user => {
            unfinished(super::device::chain(host, req, &user, after).await?)
        }
        (Progress::LoggedIn(_), Frame::RekeyStart(start)) => unfinished(secrets::rekey_start(host, caller, start)?),
        (Progress::LoggedIn(proof), Frame::Rekey(rekey)) => {
            let answer = secrets::rekey(host, origin(&proof), proof, rekey).await?;
            Ok((answer, is_listed(host, caller)))
        }
        (Progress::LoggedIn(proof), Frame::Submit(Submit { req, log, draft, .. })) => {
            if log != LogName::Keys(host.name.clone()) {
                return Err(Refusal::new(Code::Forbidden, "this device must be added to its user's list first"));
            }
            let placed = host.logs.append(origin(&proof), &log, draft, None).await?;
            Ok((Accepted { req, seq: placed.seq, hash: placed.hash }.into(), is_listed(host, caller)))
        }
        (_, frame) => Err(Refusal::new(
            Code::WrongState,
            format!("{} is not possible before this device is in its user's list: register or log in first", frame.name()),
        )),
    }
}

/// A name that is taken may be the asker's own, to begin anew with.
async fn register_start(host: &Host, caller: &Caller, start: RegisterStart) -> Result<(Frame, Progress), Refusal> {
    let RegisterStart { req, code, password, recovery } = start;
    let (grant, next) = match host.accounts.may_register(&host.logs, &caller.user, code.as_deref(), caller.address).await {
        Ok(()) => (None, Progress::Registering(code)),
        Err(why) if matches!(why.code, Code::TooFast | Code::NameRefused) => return Err(why),
        Err(why) => {
            let code = code.ok_or_else(|| why.clone())?;
            let grant = host.logs.grant(&caller.user, &caller.device, &code).await?.ok_or(why)?;
            (Some(grant), Progress::Renewing(code))
        }
    };
    let password = host.accounts.register(&host.identity, &caller.user, Secret::Password, &password)?;
    let recovery = host.accounts.register(&host.identity, &caller.user, Secret::Recovery, &recovery)?;
    Ok((RegisterReply { req, password, recovery, grant }.into(), next))
}

async fn register_finish(host: &Host, caller: &Caller, admission: Admission, finish: RegisterFinish) -> Result<Frame, Refusal> {
    let RegisterFinish { req, password, recovery, vault, draft } = finish;
    let account = NewAccount {
        user: caller.user.clone(),
        device: caller.device,
        password: host.accounts.record(&password)?,
        recovery: host.accounts.record(&recovery)?,
        vault,
        admission,
    };
    let placed = host.logs.register(account, draft).await?;
    Ok(Accepted { req, seq: placed.seq, hash: placed.hash }.into())
}

/// The asker's number, for the answer to a frame that is refused.
fn request_number(frame: &Frame) -> u32 {
    match frame {
        Frame::RegisterStart(RegisterStart { req, .. })
        | Frame::RegisterFinish(RegisterFinish { req, .. })
        | Frame::LoginStart(LoginStart { req, .. })
        | Frame::LoginFinish(LoginFinish { req, .. })
        | Frame::RekeyStart(RekeyStart { req, .. })
        | Frame::Rekey(Rekey { req, .. })
        | Frame::Chain(Chain { req, .. })
        | Frame::Submit(Submit { req, .. }) => *req,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::local::LocalBus;
    use crate::config::{Config, Limits, Registration, Transport};
    use crate::identity::Identity;
    use crate::link::guests::GuestPace;
    use crate::logs::{Keeper, Logs};
    use crate::store::sqlite::SqliteStore;
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use tidings_proto::frame::Ping;
    use tidings_proto::{DeviceKey, Hash};
    use tokio_tungstenite::tungstenite::protocol::Role;

    async fn host(folder: &std::path::Path, guest_pace: GuestPace) -> Host {
        let config = Config {
            name: "s1".parse().unwrap(),
            data: folder.into(),
            listen: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
            transport: Transport::PlainLoopback,
            registration: Registration::Open,
            reserved: Vec::new(),
            peers: Vec::new(),
            limits: Limits::default(),
            pages: Default::default(),
        };
        let identity = Arc::new(Identity::load_or_create(folder, &config.name).unwrap());
        let store = Arc::new(SqliteStore::open(&folder.join("db")).unwrap());
        let keeper = Keeper { name: config.name.clone(), identity: identity.clone(), limits: config.limits.clone() };
        let logs = Logs::open(store, Arc::new(LocalBus::default()), keeper).await.unwrap();
        Host { guest_pace, ..Host::new(&config, identity, logs, config.listen) }
    }

    /// How long a guest is served that sends a frame every so often.
    async fn served(guest_pace: GuestPace, every: Duration) -> Duration {
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path(), guest_pace).await;
        let (near, far) = tokio::io::duplex(64 * 1024);
        let mut wire = Wire::new(Box::new(near), Role::Server, limits::CLIENT_FRAME);
        let mut far = Wire::new(Box::new(far), Role::Client, limits::CLIENT_FRAME);
        far.allowance.lift();
        let caller =
            Caller { user: "alice@s1".parse().unwrap(), device: DeviceKey([1; 32]), transcript: Hash::ZERO, address: [10, 0, 0, 1].into() };
        let start = Instant::now();
        let talking = async {
            loop {
                tokio::time::sleep(every).await;
                // It is refused, but it is a frame.
                let _ = far.writer.send(Frame::from(Ping { req: 1, heads: None }).encode()).await;
            }
        };
        let ended = tokio::select! {
            ended = serve(&host, &mut wire, &caller) => ended,
            () = talking => unreachable!("it talks for ever"),
        };
        assert!(matches!(ended, Err(LinkError::TimedOut)));
        let took = start.elapsed();
        host.logs.close().await;
        took
    }

    #[tokio::test]
    async fn a_guest_keeps_its_place_only_while_it_goes_on_and_not_for_ever() {
        const LONG: Duration = Duration::from_secs(600);
        let (step, within) = (Duration::from_millis(200), Duration::from_millis(700));
        let silent = tokio::time::timeout(LONG / 10, served(GuestPace { step, within: LONG }, LONG)).await;
        assert!(silent.expect("silence ends it") >= step);
        let busy = tokio::time::timeout(LONG / 10, served(GuestPace { step: LONG, within }, step / 2)).await;
        assert!(busy.expect("so does time") >= within);
    }
}
