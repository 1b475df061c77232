//! MLS on a device (RFC 9420, by OpenMLS): its key packages, the groups that it is in, and what becomes of these by a commit.
//!
//! Pure: every function reads a [`State`] and changes it, and nothing lasts until the caller has committed the changes. What may be in a
//! commit, and whose a leaf is, `trust` says; nothing comes here that it has not let pass.
//!
//! A commit that this device makes does not count before its hub has taken it. Until then it is *pending*: the group's own state goes on
//! as if it had not been made. Of a group that this device is about to begin, or to come into on its own, all of the state is pending.

mod provider;
mod state;
#[cfg(test)]
mod vectors;

pub use openmls::prelude::KeyPackage;
pub use state::{Profile, State, Unreadable};

use crate::device::DeviceSecret;
use bytes::Bytes;
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::tls_codec::{DeserializeBytes, Serialize};
use openmls::prelude::{
    Capabilities, ContentType, CredentialType, CredentialWithKey, Extension, ExtensionType, Extensions, GroupContext, GroupId,
    KeyPackageRef, LeafNodeIndex, LeafNodeParameters, MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn,
    MlsMessageOut, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProcessedMessageContent, ProcessedWelcome, ProposalType, ProtocolMessage,
    ProtocolVersion, RequiredCapabilitiesExtension, Sender, SenderRatchetConfiguration, StagedWelcome, UnknownExtension, Welcome,
};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::storage::StorageProvider as _;
use openmls_traits::types::SignatureScheme;
use provider::{CRYPTO, Provider};
use tidings_proto::{Hash, RoomId, UserName};
use tidings_trust::mls::{CIPHERSUITE, Codec, Leaf, ROSTER, Tree, credential, for_ever};

/// How many epochs before the present one can still be opened: what was sealed around a commit arrives after it.
const PAST_EPOCHS: usize = 2;
/// What is sealed is padded to a multiple of so many bytes.
const PADDING: usize = 64;
/// How far a sender's messages may be out of order, and how many of its numbers may be missing: each message that was sealed and refused
/// leaves one.
const RATCHET: (u32, u32) = (64, 10_000);

/// The key packages of last resort whose secrets are here, the newest last.
const LAST_RESORTS: &[u8] = b"mls/last resorts";

/// One device, as it takes part.
pub struct Device<'a> {
    /// Signs: commits, leaves, messages.
    pub secret: &'a DeviceSecret,
    /// Whose it is.
    pub user: &'a UserName,
    /// The version of that user's device list that names it.
    pub list: u64,
}

/// What a commit consists of, to be put into a `proto::membership::Commit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The Commit; none where a group begins.
    pub commit: Option<Bytes>,
    /// The GroupInfo after it.
    pub group_info: Bytes,
    /// The Welcome of those that it adds.
    pub welcome: Option<Bytes>,
}

/// What a commit of somebody's in the log means for this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// It is in the group, and has its new keys.
    In,
    /// It is not in the group: not yet, or not any more.
    Out,
    /// It is in the tree and does not have the keys: the commit was taken by the hub, and cannot be processed. There is one way back, by a
    /// commit of its own from outside.
    Lost,
}

/// What was sealed in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Who has sealed it, by the group's own keys.
    pub by: Leaf,
    /// What it is bound to, in the open.
    pub aad: Vec<u8>,
    /// What it says.
    pub text: Vec<u8>,
}

/// Something about a group cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MlsError {
    /// What is kept here cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// This device is not in the group.
    #[error("this device is not in the group")]
    NotIn,
    /// Not sealed by this group in an epoch whose keys are here, or changed, or opened before.
    #[error("it cannot be opened with the group's keys")]
    Undecryptable,
    /// A key package or GroupInfo of somebody else's cannot be used.
    #[error("the group's keys cannot be made of this: {0}")]
    Unusable(&'static str),
    /// Our fault.
    #[error("the group's keys could not be made: {0}")]
    Failed(&'static str),
}

impl Signer for Device<'_> {
    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.secret.sign(bytes).0.to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl Device<'_> {
    fn credential(&self) -> CredentialWithKey {
        let key = self.secret.public().as_bytes().to_vec();
        CredentialWithKey { credential: credential(self.user, self.list), signature_key: key.into() }
    }

    /// So many key packages (RFC 9420 §10), each an MLSMessage; their secrets are in the state. One that is the last resort is used as
    /// often as there is no other.
    pub fn key_packages(&self, state: &State<'_>, count: usize, last_resort: bool) -> Result<Vec<Bytes>, MlsError> {
        let make = |_| {
            let builder = KeyPackage::builder().leaf_node_capabilities(capabilities()).key_package_lifetime(for_ever());
            let builder = if last_resort { builder.mark_as_last_resort() } else { builder };
            let made = builder.build(CIPHERSUITE, &Provider { state }, self, self.credential());
            let made = made.map_err(|_| MlsError::Failed("a key package"))?;
            if last_resort {
                keep_last_resort(state, made.key_package())?;
            }
            message(&MlsMessageOut::from(made.key_package().clone()))
        };
        (0..count).map(make).collect()
    }

    /// Begins a room's group: with this device and the devices of these key packages. Its people are bound by `bound`
    /// ([`tidings_trust::Members::bound`]). Pending until it stands ([`follow`]).
    pub fn begin(&self, state: &State<'_>, room: &RoomId, bound: &Hash, adds: &[KeyPackage]) -> Result<Made, MlsError> {
        forget(state, room)?;
        let provider = Provider { state };
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(CIPHERSUITE)
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .max_past_epochs(PAST_EPOCHS)
            .padding_size(PADDING)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(RATCHET.0, RATCHET.1))
            .capabilities(capabilities())
            .lifetime(for_ever())
            .with_group_context_extensions(context(bound)?)
            .build();
        let group = MlsGroup::new_with_group_id(&provider, self, &config, GroupId::from_slice(&room.0), self.credential());
        let mut group = group.map_err(|_| MlsError::Failed("a group"))?;
        set_pending(state, room, Some(1));
        let made = self.make(&provider, &mut group, bound, adds, &[], true)?;
        // Nobody was there before to whom the commit would say anything.
        Ok(Made { commit: None, ..made })
    }

    /// A commit: adds and removes devices, binds these people, and gives this device a new leaf. Pending until it stands ([`follow`]).
    pub fn commit(&self, state: &State<'_>, room: &RoomId, bound: &Hash, adds: &[KeyPackage], removes: &[u32]) -> Result<Made, MlsError> {
        let provider = Provider { state };
        let mut group = load(state, room)?.ok_or(MlsError::NotIn)?;
        group.clear_pending_commit(state).map_err(|_| MlsError::Failed("what was pending"))?;
        self.make(&provider, &mut group, bound, adds, removes, false)
    }

    fn make(
        &self,
        provider: &Provider<'_>,
        group: &mut MlsGroup,
        bound: &Hash,
        adds: &[KeyPackage],
        removes: &[u32],
        with_tree: bool,
    ) -> Result<Made, MlsError> {
        let failed = |_| MlsError::Failed("a commit");
        let changes_people = group.extensions().unknown(ROSTER).is_none_or(|bound_now| bound_now.0 != bound.as_bytes());
        let leaf = LeafNodeParameters::builder().with_credential_with_key(self.credential()).with_capabilities(capabilities()).build();
        let mut builder = group
            .commit_builder()
            .consume_proposal_store(false)
            .leaf_node_parameters(leaf)
            .propose_adds(adds.iter().cloned())
            .propose_removals(removes.iter().map(|index| LeafNodeIndex::new(*index)));
        if changes_people {
            builder = builder.propose_group_context_extensions(context(bound)?).map_err(failed)?;
        }
        let bundle = builder
            .load_psks(provider.state)
            .map_err(failed)?
            .create_group_info(true)
            .use_ratchet_tree_extension(with_tree)
            .build(&provider::Random, &CRYPTO, self, |_| true)
            .map_err(|_| MlsError::Unusable("a key package does not fit the group"))?
            .stage_commit(provider)
            .map_err(|_| MlsError::Failed("a commit"))?;
        let (commit, welcome, group_info) = bundle.into_contents();
        let group_info = group_info.ok_or(MlsError::Failed("no GroupInfo"))?;
        let welcome = welcome.map(|welcome| message(&MlsMessageOut::from_welcome(welcome, ProtocolVersion::Mls10))).transpose()?;
        let group_info = message(&MlsMessageOut::from(group_info))?;
        made_by_us(provider.state, group.group_id().as_slice(), &group_info);
        Ok(Made { commit: Some(message(&commit)?), group_info, welcome })
    }

    /// Comes into a group on its own, or comes in anew (an external commit, RFC 9420 §12.4.3.2), by the newest GroupInfo, an MLSMessage, and the
    /// tree there. Pending until it stands ([`follow`]).
    pub fn come_in(&self, state: &State<'_>, room: &RoomId, group_info: &[u8], tree: &Tree) -> Result<Made, MlsError> {
        forget(state, room)?;
        let provider = Provider { state };
        let nodes = tree.ratchet_tree().map_err(|_| MlsError::Unusable("its tree"))?;
        let info = read_group_info(group_info)?;
        let leaf = LeafNodeParameters::builder().with_credential_with_key(self.credential()).with_capabilities(capabilities()).build();
        let unusable = MlsError::Unusable("its GroupInfo does not fit");
        let (_, bundle) = MlsGroup::external_commit_builder()
            .with_ratchet_tree(nodes)
            .with_config(join_config())
            .build_group(&provider, info, self.credential())
            .map_err(|_| unusable)?
            .leaf_node_parameters(leaf)
            .load_psks(state)
            .map_err(|_| unusable)?
            .create_group_info(true)
            .use_ratchet_tree_extension(false)
            .build(&provider::Random, &CRYPTO, self, |_| true)
            .map_err(|_| unusable)?
            .finalize(&provider)
            .map_err(|_| unusable)?;
        set_pending(state, room, Some(tree.epoch() + 1));
        let (commit, _, group_info) = bundle.into_contents();
        let group_info = group_info.ok_or(MlsError::Failed("no GroupInfo"))?;
        let group_info = message(&MlsMessageOut::from(group_info))?;
        made_by_us(state, &room.0, &group_info);
        Ok(Made { commit: Some(message(&commit)?), group_info, welcome: None })
    }

    /// Seals a text for the group, an MLSMessage with a PrivateMessage. The key is used up in the state at once, whether it is sent or not.
    pub fn seal(&self, state: &State<'_>, room: &RoomId, aad: &[u8], text: &[u8]) -> Result<Bytes, MlsError> {
        let mut group = load(state, room)?.ok_or(MlsError::NotIn)?;
        if pending(state, room)?.is_some() {
            return Err(MlsError::NotIn);
        }
        group.set_aad(aad.to_vec());
        let sealed = group.create_message(&Provider { state }, self, text).map_err(|_| MlsError::Failed("a message"))?;
        message(&sealed)
    }
}

/// A new one of last resort takes the place of the one before, whose secrets stay for the Welcomes that are on their way; those of the one before that
/// are gone: whoever gets them later opens nothing with them (RFC 9420 §16.8).
fn keep_last_resort(state: &State<'_>, package: &KeyPackage) -> Result<(), MlsError> {
    let mut kept: Vec<KeyPackageRef> = match state.get_own(LAST_RESORTS)? {
        Some(kept) => Codec::decode(&kept).map_err(|_| Unreadable)?,
        None => Vec::new(),
    };
    kept.push(package.hash_ref(&CRYPTO).map_err(|_| MlsError::Failed("a key package"))?);
    while kept.len() > 2 {
        state.delete_key_package(&kept.remove(0))?;
    }
    state.set_own(LAST_RESORTS.to_vec(), Some(Codec::encode(&kept).map_err(|_| Unreadable)?));
    Ok(())
}

/// A commit of this device's stands in the log: what was pending counts.
fn took(state: &State<'_>, room: &RoomId) -> Result<Followed, MlsError> {
    let Some(mut group) = load(state, room)? else { return Ok(Followed::Lost) };
    group.merge_pending_commit(&Provider { state }).map_err(|_| MlsError::Failed("what was pending"))?;
    set_pending(state, room, None);
    set_epoch(state, room, Some(group.epoch().as_u64()));
    Ok(Followed::In)
}

/// A commit stands in the log; `tree` is that after it. What is pending here counts now if it is that one, and has come to nothing otherwise.
pub fn follow(state: &State<'_>, room: &RoomId, made: &Made, tree: &Tree, me: &DeviceSecret) -> Result<Followed, MlsError> {
    // Told by the GroupInfo, which no other commit has.
    if state.get_own(&made_key(&room.0))?.is_some_and(|ours| ours == Hash::of(&made.group_info).as_bytes()) {
        state.set_own(made_key(&room.0), None);
        return took(state, room);
    }
    match pending(state, room)? {
        // From before what is pending was made.
        Some(epoch) if tree.epoch() < epoch => return Ok(Followed::Out),
        Some(_) => forget(state, room)?,
        None => {}
    }
    let is_in = tree.leaves().iter().any(|leaf| leaf.device == me.public());
    if let (Some(mut group), Some(commit)) = (load(state, room)?, &made.commit) {
        let before = state.snapshot();
        match process(state, &mut group, commit) {
            Ok(()) if group.is_active() => {
                set_epoch(state, room, Some(tree.epoch()));
                return Ok(Followed::In);
            }
            Ok(()) => forget(state, room)?,
            Err(_) => state.reset(before),
        }
        if !is_in {
            forget(state, room)?;
            return Ok(Followed::Out);
        }
    }
    if !is_in {
        return Ok(Followed::Out);
    }
    let before = state.snapshot();
    let joined = made.welcome.as_ref().is_some_and(|welcome| welcomed(state, room, welcome, tree).is_ok());
    if !joined {
        state.reset(before);
    }
    Ok(if joined { Followed::In } else { Followed::Lost })
}

fn process(state: &State<'_>, group: &mut MlsGroup, commit: &[u8]) -> Result<(), MlsError> {
    let provider = Provider { state };
    group.clear_pending_commit(state).map_err(|_| MlsError::Failed("what was pending"))?;
    let processed = group.process_message(&provider, protocol_message(commit)?).map_err(|_| MlsError::Undecryptable)?;
    let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else { return Err(MlsError::Undecryptable) };
    group.merge_staged_commit(&provider, *staged).map_err(|_| MlsError::Failed("a commit"))
}

/// Comes in by a Welcome. The key package that it was made for is used up.
fn welcomed(state: &State<'_>, room: &RoomId, welcome: &[u8], tree: &Tree) -> Result<(), MlsError> {
    let unusable = MlsError::Unusable("its Welcome");
    forget(state, room)?;
    let provider = Provider { state };
    let MlsMessageBodyIn::Welcome(welcome) = read(welcome)?.extract() else { return Err(unusable) };
    let nodes = tree.ratchet_tree().map_err(|_| unusable)?;
    let welcome: Welcome = welcome;
    let processed = ProcessedWelcome::new_from_welcome(&provider, &join_config(), welcome).map_err(|_| unusable)?;
    let info = processed.unverified_group_info();
    if info.group_id().as_slice() != room.0 || info.epoch().as_u64() != tree.epoch() {
        return Err(unusable);
    }
    let staged: StagedWelcome = processed.into_staged_welcome(&provider, Some(nodes)).map_err(|_| unusable)?;
    staged.into_group(&provider).map_err(|_| unusable)?;
    set_epoch(state, room, Some(tree.epoch()));
    Ok(())
}

/// Keeps the newest GroupInfo of a room: by it this device can come in on its own.
pub fn keep_group_info(state: &State<'_>, room: &RoomId, group_info: &[u8]) {
    state.set_own(info_key(room), Some(group_info.to_vec()));
}

/// What [`keep_group_info`] has kept.
pub fn group_info(state: &State<'_>, room: &RoomId) -> Result<Option<Vec<u8>>, MlsError> {
    Ok(state.get_own(&info_key(room))?)
}

/// Opens a message of the group. `tree` is that of the message's epoch. Each opens once.
pub fn open(state: &State<'_>, room: &RoomId, sealed: &[u8], tree: &Tree) -> Result<Text, MlsError> {
    let mut group = load(state, room)?.ok_or(MlsError::NotIn)?;
    if pending(state, room)?.is_some() {
        return Err(MlsError::NotIn);
    }
    let message = protocol_message(sealed)?;
    if !matches!(message, ProtocolMessage::PrivateMessage(_)) || message.content_type() != ContentType::Application {
        return Err(MlsError::Undecryptable);
    }
    let before = state.snapshot();
    let opened = group.process_message(&Provider { state }, message);
    let Ok(processed) = opened else {
        // Garbage in a friend's name costs nothing but itself.
        state.reset(before);
        return Err(MlsError::Undecryptable);
    };
    let (sender, aad) = (processed.sender().clone(), processed.aad().to_vec());
    let Sender::Member(index) = sender else { return Err(MlsError::Undecryptable) };
    let by = tree.leaf(index.u32()).cloned().ok_or(MlsError::Undecryptable)?;
    match processed.into_content() {
        ProcessedMessageContent::ApplicationMessage(text) => Ok(Text { by, aad, text: text.into_bytes() }),
        _ => Err(MlsError::Undecryptable),
    }
}

/// The epoch whose keys this device has; none where it is not in the group, or not known to be.
pub fn epoch(state: &State<'_>, room: &RoomId) -> Result<Option<u64>, MlsError> {
    number(state, &epoch_key(room))
}

/// Forgets a group: its keys are gone from here.
pub fn forget(state: &State<'_>, room: &RoomId) -> Result<(), MlsError> {
    if let Some(mut group) = load(state, room)? {
        group.delete(state).map_err(|_| MlsError::Failed("to forget a group"))?;
    }
    set_pending(state, room, None);
    set_epoch(state, room, None);
    Ok(())
}

fn load(state: &State<'_>, room: &RoomId) -> Result<Option<MlsGroup>, MlsError> {
    MlsGroup::load(state, &GroupId::from_slice(&room.0)).map_err(MlsError::from)
}

/// The epoch that there is once what is pending is taken, where all of a group's state is pending.
fn pending(state: &State<'_>, room: &RoomId) -> Result<Option<u64>, MlsError> {
    number(state, &pending_key(room))
}

fn set_pending(state: &State<'_>, room: &RoomId, epoch: Option<u64>) {
    set_number(state, pending_key(room), epoch);
}

fn set_epoch(state: &State<'_>, room: &RoomId, epoch: Option<u64>) {
    set_number(state, epoch_key(room), epoch);
}

fn pending_key(room: &RoomId) -> Vec<u8> {
    [b"mls/pending/".as_slice(), &room.0].concat()
}

fn made_by_us(state: &State<'_>, room: &[u8], group_info: &[u8]) {
    state.set_own(made_key(room), Some(Hash::of(group_info).as_bytes().to_vec()));
}

fn made_key(room: &[u8]) -> Vec<u8> {
    [b"mls/made/".as_slice(), room].concat()
}

fn info_key(room: &RoomId) -> Vec<u8> {
    [b"mls/info/".as_slice(), &room.0].concat()
}

fn epoch_key(room: &RoomId) -> Vec<u8> {
    [b"mls/in/".as_slice(), &room.0].concat()
}

fn number(state: &State<'_>, key: &[u8]) -> Result<Option<u64>, MlsError> {
    let value = state.get_own(key)?;
    value.map(|value| value.try_into().map(u64::from_be_bytes).map_err(|_| Unreadable.into())).transpose()
}

fn set_number(state: &State<'_>, key: Vec<u8>, number: Option<u64>) {
    state.set_own(key, number.map(|number| number.to_be_bytes().to_vec()));
}

fn capabilities() -> Capabilities {
    let ours = [ExtensionType::Unknown(ROSTER), ExtensionType::LastResort];
    Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&[CIPHERSUITE]),
        Some(&ours),
        Some(&[] as &[ProposalType]),
        Some(&[CredentialType::Basic]),
    )
}

/// What a group's context holds: who has to be able to do what, and the people that it binds.
fn context(bound: &Hash) -> Result<Extensions<GroupContext>, MlsError> {
    let needed = RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(ROSTER)], &[], &[CredentialType::Basic]);
    let people = Extension::Unknown(ROSTER, UnknownExtension(bound.as_bytes().to_vec()));
    Extensions::from_vec(vec![Extension::RequiredCapabilities(needed), people]).map_err(|_| MlsError::Failed("a context"))
}

fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .max_past_epochs(PAST_EPOCHS)
        .padding_size(PADDING)
        .sender_ratchet_configuration(SenderRatchetConfiguration::new(RATCHET.0, RATCHET.1))
        .build()
}

fn message(message: &MlsMessageOut) -> Result<Bytes, MlsError> {
    message.tls_serialize_detached().map(Bytes::from).map_err(|_| MlsError::Failed("to write a message"))
}

fn read(bytes: &[u8]) -> Result<MlsMessageIn, MlsError> {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).map_err(|_| MlsError::Undecryptable)
}

fn protocol_message(bytes: &[u8]) -> Result<ProtocolMessage, MlsError> {
    read(bytes)?.try_into_protocol_message().map_err(|_| MlsError::Undecryptable)
}

fn read_group_info(bytes: &[u8]) -> Result<VerifiableGroupInfo, MlsError> {
    match read(bytes)?.extract() {
        MlsMessageBodyIn::GroupInfo(info) => Ok(info),
        _ => Err(MlsError::Unusable("not a GroupInfo")),
    }
}
