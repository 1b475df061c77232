//! Key packages on a listed device's link: its own are brought, and those of others claimed, of whichever server they are.

use super::Caller;
use crate::federation;
use crate::host::Host;
use crate::logs::{Left, Origin};
use tidings_proto::frame::{KeyPackageClaim, KeyPackages, KeyPackagesLeft, KeyPackagesPut};
use tidings_proto::{Code, Frame, Refusal};

/// Keeps what the device brings, and says what it has.
pub async fn put(host: &Host, caller: &Caller, put: KeyPackagesPut) -> Result<Frame, Refusal> {
    let KeyPackagesPut { req, packages, last_resort } = put;
    Ok(left(req, host.logs.put_key_packages(&caller.user, &caller.device, packages, last_resort).await?))
}

/// The same, where the link has missed when it was to be told.
pub async fn look(host: &Host, caller: &Caller) -> Result<Frame, Refusal> {
    put(host, caller, KeyPackagesPut { req: 0, packages: Vec::new(), last_resort: None }).await
}

/// What a device has left, to be told it.
pub fn left(req: u32, Left { single_use, last_resort }: Left) -> Frame {
    KeyPackagesLeft { req, single_use, last_resort }.into()
}

/// Claims key packages, here or of the peer whose user it is.
pub async fn claim(host: &Host, caller: &Caller, claim: KeyPackageClaim) -> Result<Frame, Refusal> {
    let KeyPackageClaim { req, user, devices, by } = claim;
    if by.is_some() {
        return Err(Refusal::new(Code::Forbidden, "in whose name a device claims is not for it to say"));
    }
    let server = user.server().clone();
    let packages = if server == host.name {
        let origin = Origin::Device { user: caller.user.clone(), device: caller.device };
        host.logs.claim_key_packages(&origin, &caller.user, user, devices).await?
    } else {
        let unknown = || Refusal::new(Code::UnknownPeer, format!("{} does not know {server}", host.name));
        let peer = host.peers.get(&server).ok_or_else(unknown)?;
        host.logs.passes_claim_on(&caller.user, &user, &devices)?;
        let keys = host.logs.directory().state(&user).ok_or(Code::NotFound)?;
        federation::claim(&peer, caller.user.clone(), &keys, devices).await?
    };
    Ok(KeyPackages { req, packages }.into())
}
