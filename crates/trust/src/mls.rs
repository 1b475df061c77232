//! MLS (RFC 9420) as far as public keys tell: the ratchet tree of a room, who is in it, and how a commit changes it.
//!
//! Hub, replica and client hold each commit against the tree before it by this one function. Not here: secrets (`e2ee::mls`), and who may
//! do what (`members`).

mod kept;
mod leaf;
mod verifier;

pub use kept::Codec;
pub use leaf::{Leaf, LeafError, credential, for_ever, key_package};
pub use verifier::Verifier;

use crate::mls::kept::Kept;
use bytes::Bytes;
use minicbor::{Decode, Encode};
use openmls::messages::group_info::{GroupInfo, VerifiableGroupInfo};
use openmls::prelude::tls_codec::DeserializeBytes;
use openmls::prelude::{
    Ciphersuite, CreationFromExternalError, GroupId, LeafNodeIndex, MlsMessageBodyIn, MlsMessageIn, OpenMlsSignaturePublicKey,
    ProcessedMessageContent, Proposal, ProposalOrRefType, ProposalStore, ProtocolMessage, PublicGroup, RatchetTreeIn, Sender, StagedCommit,
    Verifiable,
};
use tidings_proto::{Hash, RoomId};

/// MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519, the one ciphersuite of `mls-1` (RFC 9420 §17.1).
pub const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
/// The GroupContext extension that binds a group's people and their roles: SHA-256, as [`crate::Members::roster`] has it. For private
/// use (RFC 9420 §17.3).
pub const ROSTER: u16 = 0xf71d;

/// The tree of a room at one epoch.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Tree {
    /// The MLS epoch; at least 1.
    #[n(0)]
    epoch: u64,
    /// The devices in it, by leaf index.
    #[n(1)]
    leaves: Vec<Leaf>,
    /// What the group's context says of its people.
    #[n(2)]
    roster: Hash,
    /// OpenMLS's `PublicGroup`.
    #[cbor(n(3), with = "tidings_proto::cbor::raw")]
    group: Bytes,
}

/// A tree after a commit, and what the commit was.
#[derive(Debug, PartialEq, Eq)]
pub struct Committed {
    /// The tree after it.
    pub tree: Tree,
    /// The leaf that has made it, as it is after it.
    pub by: Leaf,
    /// Whether that device was not in the tree, or has come in anew (an external commit, RFC 9420 §12.4.3.2).
    pub external: bool,
}

/// A commit, or the beginning of a group, is not valid. Always its author's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Not readable, or not what it should be.
    #[error("the group's keys cannot be read: {0}")]
    Malformed(&'static str),
    /// Of another room, ciphersuite or epoch.
    #[error("the group's keys belong to another group: {0}")]
    Foreign(&'static str),
    /// OpenMLS has refused it.
    #[error("the group's keys are not valid: {0}")]
    Invalid(&'static str),
    /// It has something in it that a commit here may not have.
    #[error("the change of the group's keys has something in it that it may not have: {0}")]
    Forbidden(&'static str),
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tree(epoch {}, {} devices)", self.epoch, self.leaves.len())
    }
}

impl Tree {
    /// The tree of a group that begins with this GroupInfo, an MLSMessage with the ratchet tree in it (RFC 9420 §12.4.3). Its epoch is 1:
    /// whoever makes a group commits once before anybody hears of it.
    pub fn begin(room: &RoomId, group_info: &[u8]) -> Result<Committed, TreeError> {
        let info = read_group_info(group_info)?;
        is_ours(room, &info)?;
        if info.epoch().as_u64() != 1 {
            return Err(TreeError::Foreign("a group begins with epoch 1"));
        }
        let nodes = info.extensions().ratchet_tree().ok_or(TreeError::Malformed("there is no tree in it"))?.ratchet_tree().clone();
        let kept = Kept::default();
        // Verifies the tree, each leaf, and the signature of one of them over all of it.
        let begun = PublicGroup::from_external(&Verifier::PUBLIC, &kept, nodes, info.clone(), ProposalStore::new());
        let (group, _) = begun.map_err(|error| TreeError::Invalid(begins_wrong(&error)))?;
        let tree = Tree::of(&group, kept)?;
        let by = tree.signer(&info).ok_or(TreeError::Invalid("nobody in it has signed it"))?;
        Ok(Committed { tree, by, external: false })
    }

    /// The tree after `commit`, an MLSMessage with a PublicMessage; `group_info`, an MLSMessage with the GroupInfo of the new epoch.
    pub fn commit(&self, commit: &[u8], group_info: &[u8]) -> Result<Committed, TreeError> {
        let kept = Kept::from_bytes(&self.group).ok_or(TreeError::Invalid("the tree before it is lost"))?;
        let mut group = self.load(&kept)?;
        let message = read(commit)?.try_into_protocol_message().map_err(|_| TreeError::Malformed("not a commit"))?;
        if !matches!(message, ProtocolMessage::PublicMessage(_)) {
            return Err(TreeError::Malformed("a commit is a PublicMessage"));
        }
        let processed = group.process_message(&Verifier::PUBLIC, message).map_err(|_| TreeError::Invalid("the commit does not hold"))?;
        let sender = processed.sender().clone();
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(TreeError::Malformed("not a commit"));
        };
        let (at, external) = match sender {
            Sender::Member(index) => (index, false),
            Sender::NewMemberCommit => {
                (group.ext_commit_sender_index(&staged).map_err(|_| TreeError::Invalid("there is no place for it"))?, true)
            }
            _ => return Err(TreeError::Forbidden("only members and who comes in may commit")),
        };
        proposes(&staged, external, &self.leaves)?;
        group.merge_commit(&kept, *staged).map_err(|_| TreeError::Invalid("it cannot be kept"))?;
        let tree = Tree::of(&group, kept)?;
        let by = tree.leaf(at.u32()).cloned().ok_or(TreeError::Invalid("its author is not in it"))?;
        if external && self.leaves.iter().any(|leaf| leaf.index == by.index && leaf.device != by.device) {
            return Err(TreeError::Forbidden("who comes in takes nobody's place but their own"));
        }
        tree.is_told_by(&by, read_group_info(group_info)?, &group)?;
        Ok(Committed { tree, by, external })
    }

    /// Whether a GroupInfo says what this tree is, by the device that has committed.
    fn is_told_by(&self, by: &Leaf, info: VerifiableGroupInfo, group: &PublicGroup) -> Result<(), TreeError> {
        if info.group_context() != group.group_context() || info.extensions().external_pub().is_none() {
            return Err(TreeError::Foreign("its GroupInfo tells of another epoch"));
        }
        let key = OpenMlsSignaturePublicKey::new(by.device.as_bytes().to_vec().into(), CIPHERSUITE.into());
        let key = key.map_err(|_| TreeError::Malformed("a key"))?;
        let verified: Result<GroupInfo, _> = info.verify(&Verifier::PUBLIC, &key);
        verified.map(|_| ()).map_err(|_| TreeError::Invalid("its GroupInfo is not signed by its author"))
    }

    fn of(group: &PublicGroup, kept: Kept) -> Result<Tree, TreeError> {
        let leaves = group.members().map(Leaf::of).collect::<Result<Vec<Leaf>, LeafError>>();
        let leaves = leaves.map_err(|_| TreeError::Malformed("a device in it cannot be told"))?;
        if !leaves.iter().all(|leaf| group.leaf(LeafNodeIndex::new(leaf.index)).is_some_and(leaf::lasts)) {
            return Err(TreeError::Forbidden("a device whose place has an end"));
        }
        let roster = group.group_context().extensions().unknown(ROSTER);
        let roster = roster.and_then(|extension| Hash::from_slice(&extension.0)).ok_or(TreeError::Malformed("it binds no people"))?;
        Ok(Tree { epoch: group.group_context().epoch().as_u64(), leaves, roster, group: kept.into_bytes() })
    }

    fn load(&self, kept: &Kept) -> Result<PublicGroup, TreeError> {
        let lost = TreeError::Invalid("the tree before it is lost");
        // There is one group in it, whatever its name.
        PublicGroup::load(kept, &GroupId::from_slice(&[])).ok().flatten().ok_or(lost)
    }

    fn signer(&self, info: &VerifiableGroupInfo) -> Option<Leaf> {
        let signed_by = |leaf: &&Leaf| {
            let key = OpenMlsSignaturePublicKey::new(leaf.device.as_bytes().to_vec().into(), CIPHERSUITE.into()).ok()?;
            let verified: Result<GroupInfo, _> = info.clone().verify(&Verifier::PUBLIC, &key);
            verified.ok()
        };
        self.leaves.iter().find(|leaf| signed_by(leaf).is_some()).cloned()
    }

    /// The MLS epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The devices in it, by leaf index.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The device at a leaf index.
    pub fn leaf(&self, index: u32) -> Option<&Leaf> {
        self.leaves.iter().find(|leaf| leaf.index == index)
    }

    /// What the group's context says of its people.
    pub fn roster(&self) -> Hash {
        self.roster
    }

    /// The ratchet tree as who comes in needs it (RFC 9420 §12.4.3.3).
    pub fn ratchet_tree(&self) -> Result<RatchetTreeIn, TreeError> {
        let kept = Kept::from_bytes(&self.group).ok_or(TreeError::Invalid("it is lost"))?;
        Ok(self.load(&kept)?.export_ratchet_tree().into())
    }
}

/// What a commit may do: add, remove, bind other people; of who comes in, take its own old place.
fn proposes(staged: &StagedCommit, external: bool, leaves: &[Leaf]) -> Result<(), TreeError> {
    for queued in staged.queued_proposals() {
        if queued.proposal_or_ref_type() != ProposalOrRefType::Proposal {
            return Err(TreeError::Forbidden("a proposal by reference"));
        }
        let may = match queued.proposal() {
            Proposal::Add(_) | Proposal::GroupContextExtensions(_) => !external,
            Proposal::Remove(_) => true,
            Proposal::ExternalInit(_) => external,
            _ => false,
        };
        if !may {
            return Err(TreeError::Forbidden("a proposal of another kind"));
        }
    }
    let removed = staged.remove_proposals().filter(|_| external);
    let is_own = |index: u32| {
        let new = staged.update_path_leaf_node().map(|leaf| leaf.signature_key().as_slice().to_vec());
        leaves.iter().any(|leaf| leaf.index == index && Some(leaf.device.as_bytes().to_vec()) == new)
    };
    let mut others = removed.filter(|queued| !is_own(queued.remove_proposal().removed().u32()));
    others.next().map_or(Ok(()), |_| Err(TreeError::Forbidden("who comes in removes nobody but its own old place")))
}

fn is_ours(room: &RoomId, info: &VerifiableGroupInfo) -> Result<(), TreeError> {
    if info.ciphersuite() != CIPHERSUITE {
        return Err(TreeError::Foreign("it is of another ciphersuite"));
    }
    if info.group_id().as_slice() != room.0 {
        return Err(TreeError::Foreign("it is of another room"));
    }
    Ok(())
}

fn read(bytes: &[u8]) -> Result<MlsMessageIn, TreeError> {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).map_err(|_| TreeError::Malformed("not an MLS message"))
}

fn read_group_info(bytes: &[u8]) -> Result<VerifiableGroupInfo, TreeError> {
    match read(bytes)?.extract() {
        MlsMessageBodyIn::GroupInfo(info) => Ok(info),
        _ => Err(TreeError::Malformed("not a GroupInfo")),
    }
}

fn begins_wrong<E>(error: &CreationFromExternalError<E>) -> &'static str {
    match error {
        CreationFromExternalError::InvalidGroupInfoSignature => "its signature does not verify",
        CreationFromExternalError::TreeHashMismatch => "it comes with another tree",
        CreationFromExternalError::DuplicateSignatureKey => "a device is in it twice",
        _ => "its tree does not hold",
    }
}
