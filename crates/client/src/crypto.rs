//! This device's secrets, and what is done with them: sealing drafts, opening messages, the history at rest.
//!
//! Everything here computes and nothing else; callers run it by [`crate::platform::heavy`].

pub mod mls;

use crate::ClientError;
use crate::platform::PrivateKeys;
use crate::store::{Account, Handed, OutboxRow, Sealed};
use bytes::Bytes;
use mls::{CommitJob, StandingCommit};
use rand_core::{OsRng, RngCore};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use tidings_e2ee::history::{Segment, open_at_rest, open_segment, seal_at_rest, seal_segment};
use tidings_e2ee::invitation::{self, Note};
use tidings_e2ee::mls::State;
use tidings_e2ee::rsa::RsaKeys;
use tidings_e2ee::suite::rsa_jwe::RsaJwe1;
use tidings_e2ee::suite::{Changes, OpenContext, OpenError, Opened, SealContext, Suite};
use tidings_e2ee::{AccountSecrets, DeviceSecret};
use tidings_proto::frame::RoomRef;
use tidings_proto::membership::Invitation;
use tidings_proto::{
    Content, DeviceKey, Draft, Encoded, Genesis, Hash, KeysSeen, Kind, LogName, RoomId, SuiteName, UserName, cbor, limits,
};
use tidings_trust::roster::RosterError;
use tidings_trust::{KeyState, Members, Roster, RsaPublicKey};

type Decrypting = Vec<(String, <PrivateKeys as RsaKeys>::Decrypting)>;

/// The secrets of one account on one device.
pub struct Crypto {
    /// The user.
    pub me: UserName,
    device: DeviceSecret,
    /// Replaced as a whole when the account's keys were changed on another device.
    keyring: RwLock<Arc<Keyring>>,
}

/// The account's secrets, and its decryption keys once they are read.
struct Keyring {
    secrets: AccountSecrets,
    decrypting: OnceLock<Decrypting>,
}

/// Who a room's messages are sealed for.
#[derive(Clone)]
pub struct Readers {
    /// The room.
    pub room: RoomId,
    /// The room's epoch.
    pub epoch: u64,
    /// Who is in it.
    pub roster: Roster,
    /// Their encryption keys, in roster order.
    pub keys: Vec<RsaPublicKey>,
}

/// What a message says that its author has seen.
pub struct Seen {
    /// The last entry of the room, and the chain's hash there.
    pub room: (u64, Hash),
    /// The last entries of key histories.
    pub keys: Vec<KeysSeen>,
}

/// Several people's key histories.
pub type Histories = HashMap<UserName, Arc<KeyState>>;

impl Readers {
    /// The members of a room, with their newest keys.
    pub fn of(genesis: &Genesis, members: &Members, keys: &Histories) -> Result<Readers, RosterError> {
        let (roster, keys) = Roster::to_seal(members, &|user| keys.get(user).cloned())?;
        Ok(Readers { room: genesis.room(), epoch: members.epoch(), roster, keys })
    }
}

/// A row of the outbox with what its draft needs.
pub struct SealJob {
    /// The row.
    pub row: OutboxRow,
    /// Its number.
    pub n: u64,
    /// The version of this user's device list.
    pub list: u64,
    /// What is made of it.
    pub what: What,
}

/// What a draft is made of.
pub enum What {
    /// The row's content, sealed for these; and what was last seen.
    Sealed(Box<Readers>, Seen),
    /// The same in a room on MLS: which, its epoch, and what was last seen.
    Mls(RoomId, u64, Seen),
    /// The next keys of a room on MLS, and what comes with them.
    Commit(Box<CommitJob>),
    /// This body, signed.
    Open {
        /// The room's epoch, for what changes its members.
        epoch: Option<u64>,
        /// The body.
        body: Vec<u8>,
    },
    /// An invitation: the group, what is said of it, and the invited person's key.
    Invitation(RoomRef, Box<Note>, RsaPublicKey),
}

/// A draft with something sealed in it, and what its opening needs.
pub struct OpenJob {
    /// The log.
    pub log: LogName,
    /// Its place there.
    pub seq: u64,
    /// The draft.
    pub draft: Encoded<Draft>,
    /// What is sealed.
    pub what: Closed,
}

/// What is sealed in a draft.
#[derive(Clone)]
pub enum Closed {
    /// A message in a room.
    Message {
        /// The keys of the user that the draft names.
        author: Arc<KeyState>,
        /// What names the room.
        genesis: Genesis,
        /// Who is in it at that place.
        members: Arc<Members>,
        /// Their key histories, as far as they are known.
        keys: Arc<Histories>,
    },
    /// The next keys of a room on MLS, which stand.
    Commit(Box<StandingCommit>),
    /// What another device of this user's hands on.
    Segment {
        /// This user's keys.
        mine: Arc<KeyState>,
    },
    /// An invitation.
    Invitation {
        /// The keys of the user that the draft names.
        author: Arc<KeyState>,
        /// What was found.
        invitation: Invitation,
    },
}

/// What an opening comes to.
pub enum Opening {
    /// A message.
    Message(Box<Kept>),
    /// What another device has handed on.
    Handed(Vec<Handed>),
    /// An invitation.
    Invited(Invited),
    /// Other keys of a room on MLS.
    Keys(mls::NewKeys),
    /// It needs a newer version of somebody's keys.
    NotYet(UserName),
    /// It is locked with a key of this account's that is not on this device.
    Locked,
    /// It cannot be opened or is not what it should be: a sentence.
    Failed(String),
}

/// An invitation that is what it says.
pub struct Invited {
    /// The group.
    pub genesis: Genesis,
    /// What it is called: a content, sealed for the local store in a place of its own.
    pub title: (Vec<u8>, u64),
    /// The last entry that its author had seen, and the chain's hash there.
    pub vouched: (u64, Hash),
}

/// What came out of a message, and its content sealed for the local store.
pub struct Kept {
    /// What was verified.
    pub opened: Opened,
    /// The content, sealed under the history key in the place of its seq.
    pub at_rest: Vec<u8>,
    /// What the suite wants kept.
    pub changes: Changes,
}

impl Crypto {
    /// From what the profile keeps.
    pub fn new(account: &Account) -> Result<Crypto, ClientError> {
        let bad = || ClientError::Store("the secrets in this profile cannot be read".into());
        let seed: &[u8; 32] = account.device.as_slice().try_into().map_err(|_| bad())?;
        Ok(Crypto {
            me: account.user.clone(),
            device: DeviceSecret::from_bytes(seed),
            keyring: RwLock::new(Keyring::new(AccountSecrets::from_bytes(&account.secrets).map_err(|_| bad())?)),
        })
    }

    fn keyring(&self) -> Arc<Keyring> {
        self.keyring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The account's secrets.
    pub fn secrets(&self) -> AccountSecrets {
        self.keyring().secrets.clone()
    }

    /// The account's keys were changed, and these are the new ones.
    pub fn replace(&self, secrets: AccountSecrets) {
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = Keyring::new(secrets);
    }

    /// The device's secret.
    pub fn device_secret(&self) -> &DeviceSecret {
        &self.device
    }

    /// This device.
    pub fn device(&self) -> DeviceKey {
        self.device.public()
    }

    /// Seals content for the local store.
    pub fn at_rest(&self, log: &LogName, tag: u64, content: &Content) -> Vec<u8> {
        seal_at_rest(&self.keyring().secrets.history, log, tag, content)
    }

    /// Content from the local store.
    pub fn out_of_rest(&self, log: &LogName, tag: Option<u64>, bytes: &[u8]) -> Result<Content, ClientError> {
        let content = match tag {
            Some(tag) => open_at_rest(&self.keyring().secrets.history, log, tag, bytes).ok(),
            None => cbor::decode(bytes, limits::DRAFT).ok(),
        };
        content.ok_or_else(|| ClientError::Store("a message that is kept here cannot be opened".into()))
    }

    /// Makes a draft. The inner error is the message's own: it can never be sealed. What it does to the state of MLS is in its changes.
    pub async fn seal(&self, job: SealJob, state: &State<'_>) -> Result<Result<Sealed, String>, ClientError> {
        let row = job.row;
        let draft = |kind, epoch, body| Draft {
            device: self.device(),
            n: job.n,
            author: self.me.clone(),
            list: job.list,
            epoch,
            kind,
            body,
            sig: None,
        };
        let signed = |epoch, body: Bytes| draft(row.kind, epoch, body).signed(&row.log, |bytes| self.device.sign(bytes));
        let (draft, changes) = match job.what {
            What::Sealed(readers, seen) => {
                let content = self.out_of_rest(&row.log, row.tag, &row.body)?;
                let keyring = self.keyring();
                let suite = RsaJwe1 { keys: &PrivateKeys, device: &self.device, decrypting: keyring.decrypting().await? };
                let context = SealContext {
                    room: readers.room,
                    author: &self.me,
                    n: job.n,
                    list: job.list,
                    epoch: readers.epoch,
                    roster: &readers.roster,
                    keys: &readers.keys,
                    seen: seen.room,
                    keys_seen: &seen.keys,
                };
                match suite.seal(&context, &content).await {
                    Ok((body, changes)) => (Encoded::new(draft(Kind::Sealed, Some(readers.epoch), body)), changes),
                    Err(error) => return Ok(Err(error.to_string())),
                }
            }
            What::Mls(room, epoch, seen) => {
                let content = self.out_of_rest(&row.log, row.tag, &row.body)?;
                match self.seal_mls(state, (job.list, job.n), &room, &seen, &content) {
                    Ok((body, changes)) => (Encoded::new(draft(Kind::Sealed, Some(epoch), body)), changes),
                    Err(error) => return Ok(Err(error.to_string())),
                }
            }
            What::Commit(commit) => match self.commit(state, job.list, *commit) {
                Ok((epoch, body, changes)) => {
                    let draft = draft(Kind::Commit, Some(epoch), body);
                    (draft.signed(&row.log, |bytes| self.device.sign(bytes)), changes)
                }
                Err(error) => return Ok(Err(error.to_string())),
            },
            What::Open { epoch, body } => (signed(epoch, body.into()), Changes::default()),
            What::Invitation(room, note, key) => match invitation::seal(&note, &self.device, &key) {
                Ok(sealed) => (signed(None, cbor::encode(&Invitation { room, sealed }).into()), Changes::default()),
                Err(error) => return Ok(Err(error.to_string())),
            },
        };
        Ok(Ok(Sealed { row: row.id, log: row.log, draft, changes: changes.0 }))
    }

    /// Opens what is sealed in a draft, and seals it again for the local store.
    pub async fn open(&self, job: &OpenJob, state: &State<'_>) -> Result<Opening, ClientError> {
        let keyring = self.keyring();
        let decrypting = keyring.decrypting().await?;
        Ok(match &job.what {
            Closed::Commit(commit) => self.follow(state, commit)?,
            Closed::Message { author, genesis, members, .. } if genesis.suite() == SuiteName::Mls1 => {
                self.open_mls(state, job, &genesis.room(), author, members)
            }
            Closed::Message { author, genesis, members, keys } => {
                let suite = RsaJwe1 { keys: &PrivateKeys, device: &self.device, decrypting };
                let context =
                    OpenContext { room: genesis.room(), draft: &job.draft, author, members, keys: &|user| keys.get(user).cloned() };
                match suite.open(&context).await {
                    Ok((opened, changes)) => {
                        let at_rest = self.at_rest(&job.log, job.seq, &opened.content);
                        Opening::Message(Box::new(Kept { opened, at_rest, changes }))
                    }
                    Err(OpenError::NotYet(user)) => Opening::NotYet(user),
                    // Who has the newest key will not get an older one: the account has begun anew since.
                    Err(OpenError::Locked) if keys.get(&self.me).is_some_and(|mine| has(decrypting, &mine.newest().encryption)) => {
                        Opening::Failed("it was locked with a key from before this account began anew".into())
                    }
                    Err(OpenError::Locked) => Opening::Locked,
                    Err(error) => Opening::Failed(error.to_string()),
                }
            }
            Closed::Segment { mine } => match open_segment(&keyring.secrets.history, &self.me, &job.draft.body) {
                Ok(segment) => Opening::Handed(self.handed(segment)),
                Err(_) if !has(decrypting, &mine.newest().encryption) => Opening::Locked,
                Err(error) => Opening::Failed(error.to_string()),
            },
            Closed::Invitation { author, invitation } => {
                let place = invitation::Place { room: invitation.room.genesis.room(), author, draft: &job.draft, me: &self.me };
                match invitation::open(&PrivateKeys, decrypting, &place, &invitation.sealed).await {
                    Ok(note) => self.invited(&invitation.room.genesis, note)?,
                    Err(OpenError::NotYet(user)) => Opening::NotYet(user),
                    // What was asked before the account began anew is asked again, or is over.
                    Err(OpenError::Locked) => Opening::Failed("it was locked with a key that is not here".into()),
                    Err(error) => Opening::Failed(error.to_string()),
                }
            }
        })
    }

    /// Whether this device has the account's newest keys.
    pub async fn has_newest(&self, mine: &KeyState) -> Result<bool, ClientError> {
        Ok(has(self.keyring().decrypting().await?, &mine.newest().encryption))
    }

    /// Seals what this device hands on.
    pub fn segment(&self, segment: &Segment) -> Bytes {
        seal_segment(&self.keyring().secrets.history, &self.me, segment)
    }

    fn handed(&self, segment: Segment) -> Vec<Handed> {
        let mut out = Vec::new();
        for part in segment.rooms {
            let log = LogName::Room(part.room);
            out.extend(part.lines.into_iter().map(|line| Handed {
                content: self.at_rest(&log, line.seq, &line.content),
                log: log.clone(),
                seq: line.seq,
                draft: line.draft,
                author: line.author,
                is_title: line.content.title.is_some(),
            }));
        }
        out
    }

    fn invited(&self, genesis: &Genesis, note: Note) -> Result<Opening, ClientError> {
        // A place of its own, above those of entries.
        let tag = OsRng.next_u64() | 1 << 63;
        let vouched = (note.seq, note.hash);
        let title = Content::title(note.title).map_err(|error| ClientError::OurBug(error.to_string()))?;
        Ok(Opening::Invited(Invited { genesis: genesis.clone(), title: (self.at_rest(&genesis.log(), tag, &title), tag), vouched }))
    }
}

/// Whether the private key of `encryption` is among these.
fn has(decrypting: &Decrypting, encryption: &RsaPublicKey) -> bool {
    decrypting.iter().any(|(kid, _)| *kid == encryption.kid())
}

impl Keyring {
    fn new(secrets: AccountSecrets) -> Arc<Keyring> {
        Arc::new(Keyring { secrets, decrypting: OnceLock::new() })
    }

    /// The account's decryption keys; read once.
    async fn decrypting(&self) -> Result<&Decrypting, ClientError> {
        if self.decrypting.get().is_none() {
            let mut keys = Vec::new();
            for pkcs8 in &self.secrets.encryption {
                let (key, public) = PrivateKeys
                    .decrypting(pkcs8)
                    .await
                    .map_err(|_| ClientError::Store("an encryption key in this profile cannot be used".into()))?;
                keys.push((public.kid(), key));
            }
            let _ = self.decrypting.set(keys);
        }
        self.decrypting.get().ok_or_else(|| ClientError::OurBug("keys vanished".into()))
    }
}
