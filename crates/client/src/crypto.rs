//! This device's secrets, and what is done with them: sealing drafts, opening messages, the history at rest.
//!
//! Everything here computes and nothing else; callers run it by [`crate::platform::heavy`].

use crate::ClientError;
use crate::store::{Account, OutboxRow, Sealed};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use tidings_e2ee::history::{open_at_rest, seal_at_rest};
use tidings_e2ee::rsa::{AwsLcKeys, RsaKeys};
use tidings_e2ee::suite::rsa_jwe::RsaJwe1;
use tidings_e2ee::suite::{Changes, OpenContext, OpenError, Opened, SealContext, Suite};
use tidings_e2ee::{AccountSecrets, DeviceSecret};
use tidings_proto::{
    Content, DeviceKey, Draft, Encoded, Genesis, Hash, Kind, LogName, RoomId, Signature, SuiteName, UserName, cbor, limits,
};
use tidings_trust::roster::RosterError;
use tidings_trust::{KeyState, Members, Roster, RsaPublicKey};

type Decrypting = Vec<(String, <AwsLcKeys as RsaKeys>::Decrypting)>;

/// The secrets of one account on one device.
pub struct Crypto {
    /// The user.
    pub me: UserName,
    device: DeviceSecret,
    secrets: AccountSecrets,
    decrypting: OnceLock<Decrypting>,
}

/// Who a room's messages are sealed for.
#[derive(Clone)]
pub struct Readers {
    /// The room.
    pub room: RoomId,
    /// How.
    pub suite: SuiteName,
    /// The room's epoch.
    pub epoch: u64,
    /// Who is in it.
    pub roster: Roster,
    /// Their encryption keys, in roster order.
    pub keys: Vec<RsaPublicKey>,
}

/// Several people's key histories.
pub type Histories = HashMap<UserName, Arc<KeyState>>;

impl Readers {
    /// The members of a room, with their newest keys.
    pub fn of(genesis: &Genesis, members: &Members, keys: &Histories) -> Result<Readers, RosterError> {
        let (roster, keys) = Roster::to_seal(members, &|user| keys.get(user).cloned())?;
        Ok(Readers { room: genesis.room(), suite: genesis.suite(), epoch: members.epoch(), roster, keys })
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
    /// Sealed kinds: for whom, and what was last seen of the room.
    pub readers: Option<(Readers, (u64, Hash))>,
}

/// A sealed draft with what its opening needs.
pub struct OpenJob {
    /// The log.
    pub log: LogName,
    /// Its place there.
    pub seq: u64,
    /// The draft.
    pub draft: Encoded<Draft>,
    /// The keys of the user that the draft names.
    pub author: Arc<KeyState>,
    /// What names the room.
    pub genesis: Genesis,
    /// Who is in it at that place.
    pub members: Arc<Members>,
    /// Their key histories, as far as they are known.
    pub keys: Arc<Histories>,
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
            secrets: AccountSecrets::from_bytes(&account.secrets).map_err(|_| bad())?,
            decrypting: OnceLock::new(),
        })
    }

    /// This device.
    pub fn device(&self) -> DeviceKey {
        self.device.public()
    }

    /// Signs with the device's key.
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        self.device.sign(bytes)
    }

    /// Seals content for the local store.
    pub fn at_rest(&self, log: &LogName, tag: u64, content: &Content) -> Vec<u8> {
        seal_at_rest(&self.secrets.history, log, tag, content)
    }

    /// Content from the local store.
    pub fn out_of_rest(&self, log: &LogName, tag: Option<u64>, bytes: &[u8]) -> Result<Content, ClientError> {
        let content = match tag {
            Some(tag) => open_at_rest(&self.secrets.history, log, tag, bytes).ok(),
            None => cbor::decode(bytes, limits::DRAFT).ok(),
        };
        content.ok_or_else(|| ClientError::Store("a message that is kept here cannot be opened".into()))
    }

    /// The account's decryption keys; read once.
    async fn decrypting(&self) -> Result<&Decrypting, ClientError> {
        if self.decrypting.get().is_none() {
            let mut keys = Vec::new();
            for pkcs8 in &self.secrets.encryption {
                let (key, public) = AwsLcKeys
                    .decrypting(pkcs8)
                    .await
                    .map_err(|_| ClientError::Store("an encryption key in this profile cannot be used".into()))?;
                keys.push((public.kid(), key));
            }
            let _ = self.decrypting.set(keys);
        }
        self.decrypting.get().ok_or_else(|| ClientError::OurBug("keys vanished".into()))
    }

    /// Makes a draft. The inner error is the message's own: it can never be sealed.
    pub async fn seal(&self, job: SealJob) -> Result<Result<Sealed, String>, ClientError> {
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
        let (draft, changes) = match (row.kind, job.readers) {
            (Kind::Sealed, Some((readers, seen))) => {
                let content = self.out_of_rest(&row.log, row.tag, &row.body)?;
                let decrypting = self.decrypting().await?;
                let SuiteName::RsaJwe1 = readers.suite;
                let suite = RsaJwe1 { keys: &AwsLcKeys, device: &self.device, decrypting };
                let context = SealContext {
                    room: readers.room,
                    author: &self.me,
                    n: job.n,
                    list: job.list,
                    epoch: readers.epoch,
                    roster: &readers.roster,
                    keys: &readers.keys,
                    seen,
                };
                match suite.seal(&context, &content).await {
                    Ok((body, changes)) => (Encoded::new(draft(Kind::Sealed, Some(readers.epoch), body)), changes),
                    Err(error) => return Ok(Err(error.to_string())),
                }
            }
            (Kind::Post | Kind::Notice, None) => {
                let signed = draft(row.kind, None, row.body.into()).signed(&row.log, |bytes| self.device.sign(bytes));
                (signed, Changes::default())
            }
            (kind, _) => return Err(ClientError::OurBug(format!("a {kind:?} in the outbox"))),
        };
        Ok(Ok(Sealed { row: row.id, log: row.log, draft, changes: changes.0 }))
    }

    /// Opens a message and seals its content for the local store.
    pub async fn open(&self, job: &OpenJob) -> Result<Result<Kept, OpenError>, ClientError> {
        let decrypting = self.decrypting().await?;
        let SuiteName::RsaJwe1 = job.genesis.suite();
        let suite = RsaJwe1 { keys: &AwsLcKeys, device: &self.device, decrypting };
        let context = OpenContext {
            room: job.genesis.room(),
            draft: &job.draft,
            author: &job.author,
            members: &job.members,
            keys: &|user| job.keys.get(user).cloned(),
        };
        Ok(match suite.open(&context).await {
            Ok((opened, changes)) => {
                let at_rest = self.at_rest(&job.log, job.seq, &opened.content);
                Ok(Kept { opened, at_rest, changes })
            }
            Err(error) => Err(error),
        })
    }
}
