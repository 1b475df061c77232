//! Links of devices: from the handshake to the last frame.
//!
//! A link whose device is not in its user's newest list is a guest (`guest`): it may register or log in. A listed one is
//! `device`'s. Both run on `pump`, which moves frames and knows nothing of their meaning.

mod company;
pub(crate) mod device;
mod guest;
mod packages;
mod secrets;

use crate::host::Host;
use crate::link::accept::{AUTHENTICATE_WITHIN, Arrival};
use crate::link::channel::Channel;
use crate::link::handshake;
use crate::link::pump::Pump;
use crate::link::wire::LinkError;
use std::net::IpAddr;
use std::sync::Arc;
use tidings_proto::frame::Ready;
use tidings_proto::handshake::Party;
use tidings_proto::{Code, DeviceKey, Hash, Refusal, UserName, limits};

/// What a device's link has proved.
#[derive(Clone)]
struct Caller {
    user: UserName,
    device: DeviceKey,
    transcript: Hash,
    address: IpAddr,
}

/// Serves one arrival at `/client`.
pub async fn serve(host: Arc<Host>, arrival: Arrival) {
    let address = arrival.address;
    if let Err(error) = serve_inner(host, arrival).await {
        tracing::debug!(%address, %error, "a client's link ended");
    }
}

async fn serve_inner(host: Arc<Host>, arrival: Arrival) -> Result<(), LinkError> {
    let Arrival { mut wire, session, address, place } = arrival;
    let shaking = handshake::accept(&mut wire, &host.name, &host.identity, session, limits::CLIENT_FRAME);
    let proved = tokio::time::timeout(AUTHENTICATE_WITHIN, shaking).await.map_err(|_| LinkError::TimedOut)??;
    let Party::Device { user, key } = proved.party else {
        handshake::refuse(&mut wire, Refusal::new(Code::WrongState, "this address is for devices; servers use /federation")).await;
        return Ok(());
    };
    if user.server() != &host.name {
        handshake::refuse(&mut wire, Refusal::new(Code::WrongServer, format!("this server is {}", host.name))).await;
        return Ok(());
    }
    let caller = Caller { user, device: key, transcript: proved.transcript, address: address.ip() };
    let listed = is_listed(&host, &caller);
    handshake::ready(&mut wire, Ready { listed, network: host.network() }).await?;
    if !listed && !guest::serve(&host, &mut wire, &caller).await? {
        return Ok(());
    }
    wire.allowance.lift();
    drop(place);
    // A task of its own: this one's frame still holds the handshake's and OPAQUE's state.
    let (tasks, pump) = (host.tasks.clone(), Pump::new(wire, &host.logs));
    tasks.spawn(async move {
        if let Err(error) = device::serve(host, pump, caller).await {
            tracing::debug!(%address, %error, "a client's link ended");
        }
    });
    Ok(())
}

/// Serves a device whose link has been proved already, by whoever made the channel.
pub async fn attend(host: Arc<Host>, channel: impl Channel, user: UserName, device: DeviceKey) -> Result<(), LinkError> {
    let caller = Caller { user, device, transcript: Hash::ZERO, address: std::net::Ipv4Addr::LOCALHOST.into() };
    device::serve(host, channel, caller).await
}

fn is_listed(host: &Host, caller: &Caller) -> bool {
    host.logs.directory().state(&caller.user).is_some_and(|state| state.device(&caller.device).is_some())
}
