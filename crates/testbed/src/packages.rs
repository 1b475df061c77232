//! Devices that bring and claim key packages, on links without a client behind them. Nobody comes into a group by these: their secrets are dropped.

use crate::PATIENCE;
use crate::hostile::Member;
use crate::raw::RawLink;
use crate::world::World;
use bytes::Bytes;
use std::time::Duration;
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::mls::{self, State};
use tidings_proto::frame::{Chain, ChainReply, ClaimedKeyPackage, KeyPackageClaim, KeyPackages, KeyPackagesLeft, KeyPackagesPut, Refused};
use tidings_proto::{DeviceKey, Frame, Refusal, UserName};
use tidings_server::link::wire::LinkError;

/// The one device of somebody who has registered for this.
pub struct Device {
    /// Whose.
    pub user: UserName,
    secret: DeviceSecret,
    link: RawLink,
    req: u32,
    /// What it was told unasked.
    pub told: Vec<KeyPackagesLeft>,
}

impl Device {
    /// Registers, and is connected when this returns.
    pub async fn registers(world: &World, user: &str) -> Device {
        let Member { user, device, .. } = Member::registers(world, user).await;
        let link = RawLink::device(world.address(user.server().as_str()), &user, &device).await;
        Device { user, secret: device, link, req: 0, told: Vec::new() }
    }

    /// Its key.
    pub fn key(&self) -> DeviceKey {
        self.secret.public()
    }

    /// So many key packages of this device's, each another one.
    pub fn makes(&self, count: usize, last_resort: bool) -> Vec<Bytes> {
        let device = mls::Device { secret: &self.secret, user: &self.user, list: 1 };
        device.key_packages(&State::new(&|_| Ok(None)), count, last_resort).expect("key packages")
    }

    /// The one of last resort.
    pub fn last_resort(&self) -> Option<Bytes> {
        self.makes(1, true).pop()
    }

    /// Waits until this device's server has heard of somebody's keys.
    pub async fn hears_of(&mut self, user: &UserName) {
        let hearing = async {
            loop {
                self.req += 1;
                self.link.send(Chain { req: self.req, user: user.clone(), after: 0 }).await;
                let reply = self.answer().await.expect("an answer");
                if matches!(reply, Frame::ChainReply(ChainReply { items, .. }) if !items.is_empty()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, hearing).await.unwrap_or_else(|_| panic!("{user}'s keys do not come"));
    }

    /// Connects anew.
    pub async fn links_again(&mut self, world: &World) {
        self.link = RawLink::device(world.address(self.user.server().as_str()), &self.user, &self.secret).await;
    }

    /// Brings more.
    pub async fn brings(&mut self, packages: Vec<Bytes>, last_resort: Option<Bytes>) -> Result<KeyPackagesLeft, Refusal> {
        self.req += 1;
        self.link.send(KeyPackagesPut { req: self.req, packages, last_resort }).await;
        match self.answer().await.expect("an answer") {
            Frame::KeyPackagesLeft(left) => Ok(left),
            Frame::Refused(Refused { why, .. }) => Err(why),
            other => panic!("{} is no answer", other.name()),
        }
    }

    /// Claims one of each of somebody's devices.
    pub async fn claims(&mut self, user: &UserName, devices: &[DeviceKey]) -> Result<Vec<ClaimedKeyPackage>, Refusal> {
        self.tries_to_claim(user, devices).await.expect("a link")
    }

    /// The same where the server may die meanwhile.
    pub async fn tries_to_claim(
        &mut self,
        user: &UserName,
        devices: &[DeviceKey],
    ) -> Result<Result<Vec<ClaimedKeyPackage>, Refusal>, LinkError> {
        self.req += 1;
        self.link.send(KeyPackageClaim { req: self.req, user: user.clone(), devices: devices.to_vec(), by: None }).await;
        match self.answer().await? {
            Frame::KeyPackages(KeyPackages { packages, .. }) => Ok(Ok(packages)),
            Frame::Refused(Refused { why, .. }) => Ok(Err(why)),
            other => panic!("{} is no answer", other.name()),
        }
    }

    async fn answer(&mut self) -> Result<Frame, LinkError> {
        loop {
            match self.link.receive().await? {
                Frame::KeyPackagesLeft(left @ KeyPackagesLeft { req: 0, .. }) => self.told.push(left),
                frame @ (Frame::KeyPackagesLeft(KeyPackagesLeft { req, .. })
                | Frame::KeyPackages(KeyPackages { req, .. })
                | Frame::ChainReply(ChainReply { req, .. })
                | Frame::Refused(Refused { req, .. }))
                    if req == self.req =>
                {
                    return Ok(frame);
                }
                _ => {}
            }
        }
    }
}
