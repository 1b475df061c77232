//! What this device does in rooms on MLS: what it makes, and what comes of others' commits. The state is the profile's, and changes only
//! with what it is changed by.

use super::{Crypto, Kept, OpenJob, Opening, Seen};
use crate::ClientError;
use bytes::Bytes;
use std::sync::Arc;
use tidings_e2ee::mls::{self, Device, Followed, Made, MlsError, State};
use tidings_e2ee::suite::mls::{Place, open_content, seal_content};
use tidings_e2ee::suite::{Changes, OpenError};
use tidings_proto::membership::{Change, Commit};
use tidings_proto::{Content, DeviceKey, Hash, RoomId, cbor};
use tidings_trust::mls::{Tree, key_package};
use tidings_trust::{KeyState, Members};

/// A commit to be made.
pub struct CommitJob {
    /// The room.
    pub room: RoomId,
    /// Its epoch.
    pub epoch: u64,
    /// What a change of its members names as the one before.
    pub prev: Hash,
    /// The change of its members that comes with it.
    pub change: Option<Change>,
    /// How it is made.
    pub way: Way,
}

/// How a commit is made.
pub enum Way {
    /// The room has no keys yet: they begin with this device and these.
    Begin {
        /// The people that they bind.
        bound: Hash,
        /// Who is added.
        adds: Vec<Add>,
    },
    /// This device has the keys.
    Go {
        /// The people that they bind.
        bound: Hash,
        /// Who is added.
        adds: Vec<Add>,
        /// Who is taken out, by leaf index.
        removes: Vec<u32>,
    },
    /// It has not, and comes in on its own.
    ComeIn {
        /// The room's tree.
        tree: Tree,
    },
}

/// A device to be added.
pub struct Add {
    /// Which.
    pub device: DeviceKey,
    /// Its key package, as its server gave it.
    pub package: Bytes,
    /// Its user's keys.
    pub keys: Arc<KeyState>,
}

/// A commit that stands in its log.
#[derive(Clone)]
pub struct StandingCommit {
    /// The room.
    pub room: RoomId,
    /// What it consists of.
    pub made: Made,
    /// The tree after it.
    pub tree: Tree,
}

/// What a commit has done to this device's keys.
pub struct NewKeys {
    /// The epoch whose keys it has now; none where it has none.
    pub epoch: Option<u64>,
    /// Whether it should have them and does not.
    pub lost: bool,
    /// What is to be kept.
    pub changes: Changes,
}

impl Crypto {
    fn mls(&self, list: u64) -> Device<'_> {
        Device { secret: &self.device, user: &self.me, list }
    }

    /// Seals content for a room, by this version of the device list and as this message.
    pub(super) fn seal_mls(
        &self,
        state: &State<'_>,
        (list, n): (u64, u64),
        room: &RoomId,
        seen: &Seen,
        content: &Content,
    ) -> Result<(Bytes, Changes), MlsError> {
        let sealed = seal_content(state, &self.mls(list), &Place { room, n, seen: seen.room, keys_seen: &seen.keys }, content);
        settled(state, sealed)
    }

    /// Makes a commit: its draft's epoch and body.
    pub(super) fn commit(&self, state: &State<'_>, list: u64, job: CommitJob) -> Result<(u64, Bytes, Changes), MlsError> {
        let CommitJob { room, epoch, prev, change, way } = job;
        let device = self.mls(list);
        let made = match &way {
            Way::Begin { bound, adds } => device.begin(state, &room, bound, &usable(adds)),
            Way::Go { bound, adds, removes } => device.commit(state, &room, bound, &usable(adds), removes),
            Way::ComeIn { tree } => mls::group_info(state, &room).and_then(|info| {
                let info = info.ok_or(MlsError::Failed("no GroupInfo is here"))?;
                device.come_in(state, &room, &info, tree)
            }),
        };
        let (made, changes) = settled(state, made)?;
        let Made { commit, group_info, welcome } = made;
        Ok((epoch, cbor::encode(&Commit { prev, change, commit, group_info, welcome }).into(), changes))
    }

    /// Takes a commit that stands.
    pub(super) fn follow(&self, state: &State<'_>, commit: &StandingCommit) -> Result<Opening, ClientError> {
        let StandingCommit { room, made, tree } = commit;
        let followed = mls::follow(state, room, made, tree, &self.device).map_err(|error| ClientError::Store(error.to_string()))?;
        mls::keep_group_info(state, room, &made.group_info);
        let epoch = (followed == Followed::In).then(|| tree.epoch());
        Ok(Opening::Keys(NewKeys { epoch, lost: followed == Followed::Lost, changes: state.take_changes() }))
    }

    /// Opens a message of a room on MLS, and seals it again for the local store.
    pub(super) fn open_mls(&self, state: &State<'_>, job: &OpenJob, room: &RoomId, author: &KeyState, members: &Members) -> Opening {
        match open_content(state, room, &job.draft, author, members) {
            Ok(opened) => {
                let at_rest = self.at_rest(&job.log, job.seq, &opened.content);
                Opening::Message(Box::new(Kept { opened, at_rest, changes: state.take_changes() }))
            }
            Err(error) => {
                state.drop_changes();
                match error {
                    OpenError::NotYet(user) => Opening::NotYet(user),
                    error => Opening::Failed(error.to_string()),
                }
            }
        }
    }

    /// New key packages of this device's, and what is to be kept before anybody gets one.
    pub fn key_packages(&self, state: &State<'_>, list: u64, count: usize, last_resort: bool) -> Result<(Vec<Bytes>, Changes), MlsError> {
        let made = self.mls(list).key_packages(state, count, last_resort);
        settled(state, made)
    }
}

/// What was made, with what has changed by it; or nothing has.
fn settled<T>(state: &State<'_>, made: Result<T, MlsError>) -> Result<(T, Changes), MlsError> {
    match made {
        Ok(made) => Ok((made, state.take_changes())),
        Err(error) => {
            state.drop_changes();
            Err(error)
        }
    }
}

/// Those of the key packages that are what they should be. A server that gives others keeps its people's devices out, and nobody else.
fn usable(adds: &[Add]) -> Vec<mls::KeyPackage> {
    let read = |add: &Add| match key_package(&add.package, &add.device, &add.keys) {
        Ok(package) => Some(package),
        Err(error) => {
            tracing::warn!(%error, user = %add.keys.list.user, "a key package cannot be used");
            None
        }
    };
    adds.iter().filter_map(read).collect()
}
