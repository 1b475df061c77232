//! The frames by which devices are added to MLS groups while they are away: each publishes key packages (RFC 9420 §10), others claim
//! one of them. To a server they are bytes.

use crate::cbor::raw;
use crate::{DeviceKey, UserName};
use bytes::Bytes;
use minicbor::{Decode, Encode};

/// Adds key packages of the device whose link this is, which is on its user's list; with none it only asks. Answered by
/// [`KeyPackagesLeft`]. What the server has already, has handed out or has replaced by another is passed over, so asking again is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyPackagesPut {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
    /// Key packages that are handed out once each, in this order: [`crate::limits::KEY_PACKAGES`] with those that are there.
    #[cbor(n(1), with = "raw::list")]
    pub packages: Vec<Bytes>,
    /// The key package that is handed out when there is no other, however often; in the place of the one before.
    #[cbor(n(2), with = "raw::option")]
    pub last_resort: Option<Bytes>,
}

/// What a device has left. Answers `KeyPackagesPut`; also sent unasked to the device, when a claim has left it
/// [`crate::limits::KEY_PACKAGES_REFILL`] or fewer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyPackagesLeft {
    /// The request's number; 0 when sent unasked.
    #[n(0)]
    pub req: u32,
    /// Key packages that are handed out once each.
    #[n(1)]
    pub single_use: u32,
    /// Whether there is one of last resort.
    #[n(2)]
    pub last_resort: bool,
}

/// Claims one key package for each of these devices of `user`. A claim is not repeated by itself: what an answer that was lost
/// has handed out is gone.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyPackageClaim {
    /// The asker's number for this request.
    #[n(0)]
    pub req: u32,
    /// Whose devices.
    #[n(1)]
    pub user: UserName,
    /// Which: each once, at most [`crate::limits::DEVICES`].
    #[n(2)]
    pub devices: Vec<DeviceKey>,
    /// Between servers: which of the asking server's users claims. Absent on a device's link.
    #[n(3)]
    pub by: Option<UserName>,
}

/// What was claimed, in the order in which it was asked for. Devices that have none, or are not on the user's list, are missing.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyPackages {
    /// The request's number.
    #[n(0)]
    pub req: u32,
    /// The key packages.
    #[n(1)]
    pub packages: Vec<ClaimedKeyPackage>,
}

/// A key package that was handed out.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ClaimedKeyPackage {
    /// Whose it is, as the server says; the package itself proves it.
    #[n(0)]
    pub device: DeviceKey,
    /// The package.
    #[cbor(n(1), with = "raw")]
    pub package: Bytes,
    /// Whether others have got it too, or may.
    #[n(2)]
    pub last_resort: bool,
}
