//! A device in a tree: whose it says it is, and the key package by which it is taken in.
//!
//! OpenMLS looks at no credential. What is in one is a claim, and [`crate::Members`] holds it against the user's key history.

use crate::keys::KeyState;
use crate::mls::{CIPHERSUITE, ROSTER, Verifier};
use minicbor::{Decode, Encode};
use openmls::prelude::tls_codec::DeserializeBytes;
use openmls::prelude::{
    BasicCredential, Credential, CredentialType, ExtensionType, KeyPackage, KeyPackageVerifyError, LeafNode, Lifetime, Member,
    MlsMessageBodyIn, MlsMessageIn, ProtocolVersion,
};
use openmls::treesync::LeafNodeSource;
use tidings_proto::{DeviceKey, SuiteName, UserName, cbor, limits};

/// Bytes of a credential: two numbers around a name.
const LIMIT: usize = limits::SERVER_NAME + limits::LOCAL_NAME + 64;

/// A device in a tree.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Leaf {
    /// Its place (RFC 9420 §4.1).
    #[n(0)]
    pub index: u32,
    /// Whose device it says it is.
    #[n(1)]
    pub user: UserName,
    /// The version of that user's device list that names it.
    #[n(2)]
    pub list: u64,
    /// Its signature key, which is the device's key.
    #[n(3)]
    pub device: DeviceKey,
}

/// What a credential says: the identity of a basic credential (RFC 9420 §5.3) here.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Identity {
    #[n(0)]
    user: UserName,
    #[n(1)]
    list: u64,
}

/// A leaf or a key package is not that of a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// Not readable, or not as this version makes them.
    #[error("it cannot be read")]
    Malformed,
    /// A signature does not verify.
    #[error("its signature does not verify")]
    BadSignature,
    /// Not one that fits every group here: it cannot do what groups need, or has an end.
    #[error("it fits no group here: {0}")]
    Unfit(&'static str),
    /// Rests on a device list that is not known yet.
    #[error("the keys of {0} have not arrived here yet")]
    NotYet(UserName),
    /// Not a device of that user's, or no longer.
    #[error("it is of a device that is not, or no longer, one of {0}'s")]
    NotListed(UserName),
}

/// The credential of a user's device, by the version of the device list that names it.
pub fn credential(user: &UserName, list: u64) -> Credential {
    BasicCredential::new(cbor::encode(&Identity { user: user.clone(), list })).into()
}

impl Leaf {
    /// Reads what a leaf says of itself.
    pub(super) fn of(member: Member) -> Result<Leaf, LeafError> {
        Leaf::read(member.index.u32(), member.credential, &member.signature_key)
    }

    fn read(index: u32, credential: Credential, key: &[u8]) -> Result<Leaf, LeafError> {
        let basic = BasicCredential::try_from(credential).map_err(|_| LeafError::Malformed)?;
        let identity: Identity = cbor::decode(basic.identity(), LIMIT).map_err(|_| LeafError::Malformed)?;
        let device = DeviceKey(key.try_into().map_err(|_| LeafError::Malformed)?);
        Ok(Leaf { index, user: identity.user, list: identity.list, device })
    }

    /// Whether it is the device of its user's that it says: named by the list that it names. What later lists say is no matter of the
    /// place of a commit in its log; who seals looks at the newest (`has_keys` in the client's engine).
    pub fn check(&self, keys: Option<&KeyState>) -> Result<(), LeafError> {
        let keys = keys.filter(|keys| keys.list.version >= self.list).ok_or_else(|| LeafError::NotYet(self.user.clone()))?;
        let is_theirs = keys.list.user == self.user && keys.named_in(&self.device, self.list);
        if is_theirs { Ok(()) } else { Err(LeafError::NotListed(self.user.clone())) }
    }
}

/// How long a leaf counts: for ever. Device lists decide, and no clock: a leaf that ends some day is judged in one way before and in another
/// after it, by those who read a log at different times.
pub fn for_ever() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

/// Whether a leaf has no end. One that came by a commit never has.
pub(super) fn lasts(leaf: &LeafNode) -> bool {
    !matches!(leaf.leaf_node_source(), LeafNodeSource::KeyPackage(lifetime) if *lifetime != for_ever())
}

/// Whether a leaf can do what every group here needs of it. One that cannot would make a commit of it fail for everybody in it.
fn fits(leaf: &LeafNode) -> bool {
    let can = leaf.capabilities();
    can.versions().contains(&ProtocolVersion::Mls10)
        && can.ciphersuites().contains(&CIPHERSUITE.into())
        && can.extensions().contains(&ExtensionType::Unknown(ROSTER))
        && can.credentials().contains(&CredentialType::Basic)
}

/// Reads a key package (RFC 9420 §10), an MLSMessage, for a device of `keys`'s user: its signatures hold, it is of the one ciphersuite and fits
/// every group here, and the newest list has the device, which can do MLS.
pub fn key_package(bytes: &[u8], device: &DeviceKey, keys: &KeyState) -> Result<KeyPackage, LeafError> {
    let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes).map_err(|_| LeafError::Malformed)?;
    let MlsMessageBodyIn::KeyPackage(package) = message.extract() else { return Err(LeafError::Malformed) };
    let package = package.validate(&Verifier::PUBLIC, ProtocolVersion::Mls10).map_err(|error| match error {
        KeyPackageVerifyError::InvalidLeafNodeSignature | KeyPackageVerifyError::InvalidSignature => LeafError::BadSignature,
        KeyPackageVerifyError::LifetimeError(_) => LeafError::Unfit("it has an end"),
        _ => LeafError::Malformed,
    })?;
    let node = package.leaf_node();
    let leaf = Leaf::read(0, node.credential().clone(), node.signature_key().as_slice())?;
    if package.ciphersuite() != CIPHERSUITE || leaf.device != *device {
        return Err(LeafError::Malformed);
    }
    if !lasts(node) {
        return Err(LeafError::Unfit("it has an end"));
    }
    if !fits(node) {
        return Err(LeafError::Unfit("it cannot do what every group needs"));
    }
    leaf.check(Some(keys))?;
    let can = keys.device(device).is_some_and(|device| device.suites.contains(&SuiteName::Mls1));
    if can { Ok(package) } else { Err(LeafError::NotListed(leaf.user)) }
}
