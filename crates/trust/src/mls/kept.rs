//! Where OpenMLS keeps the public side of one group: four values, in memory, that go in and out as one piece.

use bytes::Bytes;
use minicbor::{Decode, Encode};
use openmls_traits::public_storage::PublicStorageProvider;
use openmls_traits::storage::{CURRENT_VERSION, traits};
use std::cell::RefCell;
use tidings_proto::cbor;

const V: u16 = CURRENT_VERSION;

/// How OpenMLS's own types become bytes: CBOR that tells what it is, so that a later version of them can be told from this one.
pub struct Codec;

/// A value of OpenMLS's is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is kept of a group cannot be read")]
pub struct Unreadable;

impl Codec {
    /// A value's bytes.
    pub fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, Unreadable> {
        minicbor_serde::to_vec(value).map_err(|_| Unreadable)
    }

    /// What [`Codec::encode`] gave.
    pub fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
        minicbor_serde::from_slice(bytes).map_err(|_| Unreadable)
    }
}

/// The four values, as [`Codec`] has them.
#[derive(Default, Encode, Decode)]
#[cbor(map)]
struct Values {
    #[cbor(n(0), with = "cbor::raw")]
    tree: Bytes,
    #[cbor(n(1), with = "cbor::raw")]
    context: Bytes,
    #[cbor(n(2), with = "cbor::raw")]
    transcript: Bytes,
    #[cbor(n(3), with = "cbor::raw")]
    tag: Bytes,
}

/// The public side of one group.
#[derive(Default)]
pub(super) struct Kept(RefCell<Values>);

impl Kept {
    /// What [`Kept::into_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Option<Kept> {
        minicbor::decode(bytes).ok().map(|values| Kept(RefCell::new(values)))
    }

    /// All of it.
    pub fn into_bytes(self) -> Bytes {
        cbor::encode(&self.0.into_inner()).into()
    }
}

fn kept(value: &impl serde::Serialize) -> Result<Bytes, Unreadable> {
    Codec::encode(value).map(Bytes::from)
}

fn found<T: serde::de::DeserializeOwned>(bytes: &Bytes) -> Result<Option<T>, Unreadable> {
    if bytes.is_empty() { Ok(None) } else { Codec::decode(bytes).map(Some) }
}

impl PublicStorageProvider<V> for Kept {
    type PublicError = Unreadable;

    fn write_tree<G: traits::GroupId<V>, T: traits::TreeSync<V>>(&self, _: &G, tree: &T) -> Result<(), Unreadable> {
        self.0.borrow_mut().tree = kept(tree)?;
        Ok(())
    }

    fn write_interim_transcript_hash<G: traits::GroupId<V>, T: traits::InterimTranscriptHash<V>>(
        &self,
        _: &G,
        hash: &T,
    ) -> Result<(), Unreadable> {
        self.0.borrow_mut().transcript = kept(hash)?;
        Ok(())
    }

    fn write_context<G: traits::GroupId<V>, T: traits::GroupContext<V>>(&self, _: &G, context: &T) -> Result<(), Unreadable> {
        self.0.borrow_mut().context = kept(context)?;
        Ok(())
    }

    fn write_confirmation_tag<G: traits::GroupId<V>, T: traits::ConfirmationTag<V>>(&self, _: &G, tag: &T) -> Result<(), Unreadable> {
        self.0.borrow_mut().tag = kept(tag)?;
        Ok(())
    }

    fn tree<G: traits::GroupId<V>, T: traits::TreeSync<V>>(&self, _: &G) -> Result<Option<T>, Unreadable> {
        found(&self.0.borrow().tree)
    }

    fn group_context<G: traits::GroupId<V>, T: traits::GroupContext<V>>(&self, _: &G) -> Result<Option<T>, Unreadable> {
        found(&self.0.borrow().context)
    }

    fn interim_transcript_hash<G: traits::GroupId<V>, T: traits::InterimTranscriptHash<V>>(&self, _: &G) -> Result<Option<T>, Unreadable> {
        found(&self.0.borrow().transcript)
    }

    fn confirmation_tag<G: traits::GroupId<V>, T: traits::ConfirmationTag<V>>(&self, _: &G) -> Result<Option<T>, Unreadable> {
        found(&self.0.borrow().tag)
    }

    // Proposals travel inside commits alone, so none is ever kept.

    fn queue_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>, Q: traits::QueuedProposal<V>>(
        &self,
        _: &G,
        _: &R,
        _: &Q,
    ) -> Result<(), Unreadable> {
        Err(Unreadable)
    }

    fn queued_proposals<G: traits::GroupId<V>, R: traits::ProposalRef<V>, Q: traits::QueuedProposal<V>>(
        &self,
        _: &G,
    ) -> Result<Vec<(R, Q)>, Unreadable> {
        Ok(Vec::new())
    }

    fn remove_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, _: &G, _: &R) -> Result<(), Unreadable> {
        Ok(())
    }

    fn clear_proposal_queue<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, _: &G) -> Result<(), Unreadable> {
        Ok(())
    }

    // A group's public side is dropped as a whole.

    fn delete_tree<G: traits::GroupId<V>>(&self, _: &G) -> Result<(), Unreadable> {
        Ok(())
    }

    fn delete_confirmation_tag<G: traits::GroupId<V>>(&self, _: &G) -> Result<(), Unreadable> {
        Ok(())
    }

    fn delete_context<G: traits::GroupId<V>>(&self, _: &G) -> Result<(), Unreadable> {
        Ok(())
    }

    fn delete_interim_transcript_hash<G: traits::GroupId<V>>(&self, _: &G) -> Result<(), Unreadable> {
        Ok(())
    }
}
