//! A client without a driver: whoever has it moves the frames, says what time it is, and ends it at whatever commit.
//!
//! For simulations. The store is SQLite in memory; engine, store and what front ends call are those of every client. No runtime is
//! needed, and where there is none everything is done at once, in the order in which it was asked for.

use super::{Client, write};
use crate::engine::Engine;
use crate::platform::Instant;
use crate::store::{Account, Stage, Store};
use crate::view::{MessageId, Status, Target};
use crate::{ClientError, Endpoint};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tidings_e2ee::suite::Change;
use tidings_proto::chain::Tip;
use tidings_proto::frame::Ready;
use tidings_proto::{Content, Draft, Encoded, Frame, LogName, Nonce, ServerKey, UserName};
use zeroize::Zeroizing;

/// An account that is listed already.
pub struct NewBare<'a> {
    /// Whose.
    pub user: UserName,
    /// The home server's key.
    pub home: ServerKey,
    /// The device's secret key.
    pub device: [u8; 32],
    /// The account's secrets, as `AccountSecrets::to_bytes` gives them.
    pub secrets: &'a [u8],
    /// The account's key history.
    pub history: Vec<(u64, Encoded<Draft>)>,
}

/// How far a log has come to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Come {
    /// The log.
    pub log: LogName,
    /// Where it stands.
    pub tip: Tip,
    /// Why it has stopped, if it has.
    pub stopped: Option<String>,
}

/// A client without a driver.
pub struct Bare {
    client: Client,
    engine: Option<Engine>,
    commits: Arc<Commits>,
    home: ServerKey,
}

/// The commits of a profile, counted.
#[derive(Default)]
struct Commits {
    /// Until the end.
    left: AtomicU64,
    /// There were so many.
    made: AtomicU64,
    /// One was refused, since it would have been after the end.
    ended: AtomicBool,
}

impl Commits {
    /// Whether one more is made.
    fn one_more(&self) -> bool {
        let may = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if may {
            self.made.fetch_add(1, Ordering::SeqCst);
        } else {
            self.ended.store(true, Ordering::SeqCst);
        }
        may
    }

    /// The end is so many commits away.
    fn ends_after(&self, commits: u64) {
        self.left.store(commits, Ordering::SeqCst);
        self.ended.store(false, Ordering::SeqCst);
    }
}

impl Bare {
    /// The store of a new profile, to begin others with.
    pub fn image(new: NewBare<'_>) -> Result<Vec<u8>, ClientError> {
        let store = Store::in_memory(None, || true)?;
        let name = new.user.server().clone();
        let endpoint = Endpoint { name, address: String::new(), key: Some(new.home), plain: true };
        let (device, secrets) = (Zeroizing::new(new.device.to_vec()), Zeroizing::new(new.secrets.to_vec()));
        let account = Account { user: new.user.clone(), endpoint, device, secrets, stage: Stage::Listed };
        store.begin_account(&account, None)?;
        store.extend_chain(&new.user, &new.history)?;
        store.listed()?;
        store.image()
    }

    /// Opens a profile as it was when its image was made.
    pub fn open(image: &[u8]) -> Result<Bare, ClientError> {
        let commits = Arc::new(Commits::default());
        commits.ends_after(u64::MAX);
        let counted = commits.clone();
        Bare::over(Store::in_memory(Some(image), move || counted.one_more())?, commits)
    }

    fn over(store: Store, commits: Arc<Commits>) -> Result<Bare, ClientError> {
        commits.ends_after(u64::MAX);
        let client = Client::over(store, Path::new(""))?;
        let home = client.endpoint().key.ok_or_else(|| ClientError::OurBug("a profile without a home".into()))?;
        Ok(Bare { client, engine: None, commits, home })
    }

    /// The process ends here, at once, and another one opens the profile: what was committed is there, and nothing else.
    pub fn crash(self) -> Result<Bare, ClientError> {
        Bare::over(self.client.inner.core.store.taken_over(), self.commits)
    }

    /// After so many more commits nothing is committed any more: what is asked then fails, and the process is to end.
    pub fn ends_after(&self, commits: u64) {
        self.commits.ends_after(commits);
    }

    /// Whether a commit was refused because of that.
    pub fn has_ended(&self) -> bool {
        self.commits.ended.load(Ordering::SeqCst)
    }

    /// How many commits this profile has made since it was opened first, over all of its crashes.
    pub fn commits(&self) -> u64 {
        self.commits.made.load(Ordering::SeqCst)
    }

    /// What is kept of the suites' state under keys that begin with this.
    pub fn suites(&self, prefix: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ClientError> {
        self.client.inner.core.store.suites(prefix)
    }

    /// Puts something else into the suites' state: what a backup that was played back would do, and nobody else may.
    pub fn spoil(&self, changes: &[Change]) -> Result<(), ClientError> {
        self.client.inner.core.store.suite_changed(changes)
    }

    /// The profile as it is, to begin others with.
    pub fn profile(&self) -> Result<Vec<u8>, ClientError> {
        self.client.inner.core.store.image()
    }

    /// What front ends hold.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Makes a group whose name is made of `nonce`.
    pub fn create_group(&self, title: &str, nonce: [u8; 32]) -> Result<Target, ClientError> {
        let core = &self.client.inner.core;
        let title = Content::title(title).map_err(|error| ClientError::Usage(error.to_string()))?;
        Ok(write::group_with((self.client.begins_on().unwrap_or(write::SUITE), Nonce(nonce)), &core.store, &core.crypto, &title, None)?.0)
    }

    /// A link has come up.
    pub async fn link(&mut self, ready: Ready, now: Instant) -> Result<(), ClientError> {
        let core = &self.client.inner.core;
        core.people().at_home(self.home);
        self.engine = Some(Engine::start(core.clone(), ready, now).await?);
        Ok(())
    }

    /// The link is gone.
    pub fn unlink(&mut self) {
        self.engine = None;
        self.client.inner.core.people().nobody_online();
    }

    /// Frames have come, in this order.
    pub async fn handle(&mut self, frames: Vec<Frame>, now: Instant) -> Result<(), ClientError> {
        match &mut self.engine {
            Some(engine) => engine.handle(frames, now).await,
            None => Ok(()),
        }
    }

    /// Something was written.
    pub async fn written(&mut self, now: Instant) -> Result<(), ClientError> {
        match &mut self.engine {
            Some(engine) => engine.written(now).await,
            None => Ok(()),
        }
    }

    /// Does what has become due.
    pub async fn tick(&mut self, now: Instant) -> Result<(), ClientError> {
        match &mut self.engine {
            Some(engine) => engine.tick(now).await,
            None => Ok(()),
        }
    }

    /// When that is.
    pub fn wake_at(&self) -> Option<Instant> {
        self.engine.as_ref()?.wake_at()
    }

    /// The frames to send now, in order.
    pub fn take_out(&mut self) -> Vec<Frame> {
        self.engine.as_mut().map(Engine::take_out).unwrap_or_default()
    }

    /// Whether everything that was there when the link came up has arrived.
    pub fn is_caught_up(&self) -> bool {
        self.engine.as_ref().is_some_and(Engine::is_caught_up)
    }

    /// How far each log has come.
    pub fn logs(&self) -> Result<Vec<Come>, ClientError> {
        let logs = self.client.inner.core.store.logs()?;
        Ok(logs.into_iter().map(|stored| Come { log: stored.log, tip: stored.tip, stopped: stored.stopped }).collect())
    }

    /// How far a message has come.
    pub fn status(&self, id: MessageId) -> Result<Option<Status>, ClientError> {
        Ok(self.client.inner.core.store.message(id.0)?.map(|message| message.status))
    }

    /// Whether anything that was written is still to be answered.
    pub fn has_unsent(&self) -> Result<bool, ClientError> {
        Ok(!self.client.inner.core.store.outbox(0)?.is_empty())
    }
}
