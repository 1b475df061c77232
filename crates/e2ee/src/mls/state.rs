//! Where OpenMLS keeps a device's groups and key packages: what the profile has, read when it is asked for, and over it what has changed
//! since. The changes come out in one piece, to be committed with the message that they belong to (`suite::Changes`).
//!
//! OpenMLS writes as it goes, value by value. Nothing of that lasts here before the whole of it does.

use crate::suite::{Change, Changes};
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use std::cell::RefCell;
use std::collections::BTreeMap;
use tidings_trust::mls::Codec;

const V: u16 = CURRENT_VERSION;

/// A value of a group's cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is kept of a group on this device cannot be read")]
pub struct Unreadable;

/// What the profile has, by key.
pub type Profile<'a> = dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, Unreadable> + 'a;

/// A device's state as of some moment.
pub struct State<'a> {
    profile: &'a Profile<'a>,
    /// What was handed out already, and may not last yet.
    taken: RefCell<Values>,
    changed: RefCell<Values>,
}

/// Values by key; none where there is none any more.
pub(super) type Values = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

impl<'a> State<'a> {
    /// What the profile has, and nothing changed yet.
    pub fn new(profile: &'a Profile<'a>) -> State<'a> {
        State { profile, taken: RefCell::default(), changed: RefCell::default() }
    }

    /// What has changed since this was asked last: each key once, as it is now. What comes after goes on from there, and is to last only if
    /// this does.
    pub fn take_changes(&self) -> Changes {
        let changed = self.changed.take();
        self.taken.borrow_mut().extend(changed.clone());
        let change = |(key, value): (Vec<u8>, Option<Vec<u8>>)| match value {
            Some(value) => Change::Put(key, value),
            None => Change::Delete(key),
        };
        Changes(changed.into_iter().map(change).collect())
    }

    /// Forgets what has changed since then: it came to nothing.
    pub fn drop_changes(&self) {
        self.changed.take();
    }

    /// Forgets what has changed since `before` was taken: what did not come about.
    pub(super) fn reset(&self, before: Values) {
        *self.changed.borrow_mut() = before;
    }

    /// What has changed until now.
    pub(super) fn snapshot(&self) -> Values {
        self.changed.borrow().clone()
    }

    /// A value of our own, beside OpenMLS's.
    pub(super) fn get_own(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        let changed = self.changed.borrow().get(key).or(self.taken.borrow().get(key)).cloned();
        changed.map_or_else(|| (self.profile)(key), Ok)
    }

    /// Keeps, or forgets, a value of our own.
    pub(super) fn set_own(&self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.changed.borrow_mut().insert(key, value);
    }

    fn put(&self, label: &str, key: &impl serde::Serialize, value: &(impl serde::Serialize + ?Sized)) -> Result<(), Unreadable> {
        let value = Codec::encode(&value).map_err(|_| Unreadable)?;
        self.set_own(place(label, key)?, Some(value));
        Ok(())
    }

    fn get<T: serde::de::DeserializeOwned>(&self, label: &str, key: &impl serde::Serialize) -> Result<Option<T>, Unreadable> {
        let value = self.get_own(&place(label, key)?)?;
        value.map(|value| Codec::decode(&value).map_err(|_| Unreadable)).transpose()
    }

    fn delete(&self, label: &str, key: &impl serde::Serialize) -> Result<(), Unreadable> {
        self.set_own(place(label, key)?, None);
        Ok(())
    }
}

/// `mls/`, what kind of value it is, `/`, and which.
fn place(label: &str, key: &impl serde::Serialize) -> Result<Vec<u8>, Unreadable> {
    let mut out = format!("mls/{label}/").into_bytes();
    out.extend(Codec::encode(key).map_err(|_| Unreadable)?);
    Ok(out)
}

macro_rules! write {
    ($($name:ident<$($generic:ident: $bound:ident),*>($key:ident, $value:ident) = $label:literal;)*) => { $(
        fn $name<$($generic: traits::$bound<V>),*>(&self, key: &$key, value: &$value) -> Result<(), Unreadable> {
            self.put($label, key, value)
        }
    )* };
}

macro_rules! read {
    ($($name:ident<$($generic:ident: $bound:ident),*>($key:ident) -> $value:ident = $label:literal;)*) => { $(
        fn $name<$($generic: traits::$bound<V>),*>(&self, key: &$key) -> Result<Option<$value>, Unreadable> {
            self.get($label, key)
        }
    )* };
}

macro_rules! delete {
    ($($name:ident<$generic:ident: $bound:ident> = $label:literal;)*) => { $(
        fn $name<$generic: traits::$bound<V>>(&self, key: &$generic) -> Result<(), Unreadable> {
            self.delete($label, key)
        }
    )* };
}

impl StorageProvider<V> for State<'_> {
    type Error = Unreadable;

    write! {
        write_mls_join_config<G: GroupId, T: MlsGroupJoinConfig>(G, T) = "config";
        write_tree<G: GroupId, T: TreeSync>(G, T) = "tree";
        write_interim_transcript_hash<G: GroupId, T: InterimTranscriptHash>(G, T) = "transcript";
        write_context<G: GroupId, T: GroupContext>(G, T) = "context";
        write_confirmation_tag<G: GroupId, T: ConfirmationTag>(G, T) = "tag";
        write_group_state<T: GroupState, G: GroupId>(G, T) = "state";
        write_message_secrets<G: GroupId, T: MessageSecrets>(G, T) = "secrets";
        write_resumption_psk_store<G: GroupId, T: ResumptionPskStore>(G, T) = "resumption";
        write_own_leaf_index<G: GroupId, T: LeafNodeIndex>(G, T) = "leaf";
        write_group_epoch_secrets<G: GroupId, T: GroupEpochSecrets>(G, T) = "epoch";
        write_signature_key_pair<K: SignaturePublicKey, T: SignatureKeyPair>(K, T) = "signature";
        write_encryption_key_pair<K: EncryptionKey, T: HpkeKeyPair>(K, T) = "encryption";
        write_key_package<K: HashReference, T: KeyPackage>(K, T) = "package";
        write_psk<K: PskId, T: PskBundle>(K, T) = "psk";
    }

    read! {
        mls_group_join_config<G: GroupId, T: MlsGroupJoinConfig>(G) -> T = "config";
        tree<G: GroupId, T: TreeSync>(G) -> T = "tree";
        group_context<G: GroupId, T: GroupContext>(G) -> T = "context";
        interim_transcript_hash<G: GroupId, T: InterimTranscriptHash>(G) -> T = "transcript";
        confirmation_tag<G: GroupId, T: ConfirmationTag>(G) -> T = "tag";
        group_state<T: GroupState, G: GroupId>(G) -> T = "state";
        message_secrets<G: GroupId, T: MessageSecrets>(G) -> T = "secrets";
        resumption_psk_store<G: GroupId, T: ResumptionPskStore>(G) -> T = "resumption";
        own_leaf_index<G: GroupId, T: LeafNodeIndex>(G) -> T = "leaf";
        group_epoch_secrets<G: GroupId, T: GroupEpochSecrets>(G) -> T = "epoch";
        signature_key_pair<K: SignaturePublicKey, T: SignatureKeyPair>(K) -> T = "signature";
        encryption_key_pair<T: HpkeKeyPair, K: EncryptionKey>(K) -> T = "encryption";
        key_package<K: HashReference, T: KeyPackage>(K) -> T = "package";
        psk<T: PskBundle, K: PskId>(K) -> T = "psk";
    }

    delete! {
        delete_group_config<G: GroupId> = "config";
        delete_tree<G: GroupId> = "tree";
        delete_confirmation_tag<G: GroupId> = "tag";
        delete_group_state<G: GroupId> = "state";
        delete_context<G: GroupId> = "context";
        delete_interim_transcript_hash<G: GroupId> = "transcript";
        delete_message_secrets<G: GroupId> = "secrets";
        delete_all_resumption_psk_secrets<G: GroupId> = "resumption";
        delete_own_leaf_index<G: GroupId> = "leaf";
        delete_group_epoch_secrets<G: GroupId> = "epoch";
        delete_signature_key_pair<K: SignaturePublicKey> = "signature";
        delete_encryption_key_pair<K: EncryptionKey> = "encryption";
        delete_key_package<K: HashReference> = "package";
        delete_psk<K: PskId> = "psk";
    }

    fn write_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>, T: traits::HpkeKeyPair<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
        pairs: &[T],
    ) -> Result<(), Unreadable> {
        self.put("pairs", &(group, epoch, leaf), pairs)
    }

    fn encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>, T: traits::HpkeKeyPair<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Result<Vec<T>, Unreadable> {
        Ok(self.get("pairs", &(group, epoch, leaf))?.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Result<(), Unreadable> {
        self.delete("pairs", &(group, epoch, leaf))
    }

    // Proposals travel inside commits alone: none is ever queued, and no leaf waits for one.

    fn append_own_leaf_node<G: traits::GroupId<V>, L: traits::LeafNode<V>>(&self, _: &G, _: &L) -> Result<(), Unreadable> {
        Err(Unreadable)
    }

    fn own_leaf_nodes<G: traits::GroupId<V>, L: traits::LeafNode<V>>(&self, _: &G) -> Result<Vec<L>, Unreadable> {
        Ok(Vec::new())
    }

    fn delete_own_leaf_nodes<G: traits::GroupId<V>>(&self, _: &G) -> Result<(), Unreadable> {
        Ok(())
    }

    fn queue_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>, Q: traits::QueuedProposal<V>>(
        &self,
        _: &G,
        _: &R,
        _: &Q,
    ) -> Result<(), Unreadable> {
        Err(Unreadable)
    }

    fn queued_proposal_refs<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, _: &G) -> Result<Vec<R>, Unreadable> {
        Ok(Vec::new())
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
}
