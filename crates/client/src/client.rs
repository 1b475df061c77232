//! The handle that front ends hold.
//!
//! Reads go to the local store, writes too; whatever concerns the network happens in the background.

pub(crate) mod bare;
mod groups;
pub mod health;
mod keys;
mod lines;
pub(crate) mod shown;
pub(crate) mod write;

use crate::crypto::Crypto;
use crate::driver::{self, Control, Failure};
use crate::engine::Core;
use crate::platform::{self, Task, timeout};
use crate::store::{Stage, Store};
use crate::view::{Link, Message, MessageId, Person, Room, Status, Target};
use crate::{ClientError, Endpoint};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidings_proto::{Content, SuiteName, UserName};
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// One open profile. Cheap to clone; all clones are the same client. When the last is dropped the background work ends.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    profile: PathBuf,
    core: Arc<Core>,
    control: Arc<Control>,
    task: Mutex<Option<Task>>,
    suite: Mutex<Option<SuiteName>>,
    _stop: DropGuard,
}

impl Client {
    /// Opens a profile and takes its lock. No network.
    ///
    /// # Errors
    /// [`ClientError::ProfileBusy`] while another process, or another client in this one, has it open.
    pub fn open(profile: &Path) -> Result<Client, ClientError> {
        if !platform::has_profile(profile) {
            return Err(ClientError::NoAccount(profile.to_owned()));
        }
        Client::over(Store::open(profile)?, profile)
    }

    fn over(store: Store, profile: &Path) -> Result<Client, ClientError> {
        let account = store.account()?.ok_or_else(|| ClientError::NoAccount(profile.to_owned()))?;
        if account.stage == Stage::Asked {
            return Err(ClientError::Unfinished(account.user));
        }
        let stop = CancellationToken::new();
        let control = Control {
            stop: stop.clone(),
            written: Notify::new(),
            endpoint: watch::Sender::new(account.endpoint.clone()),
            failure: watch::Sender::new(Failure::None),
        };
        let core = Arc::new(Core::new(store, Crypto::new(&account)?)?);
        let inner = Inner {
            profile: profile.to_owned(),
            core,
            control: Arc::new(control),
            task: Mutex::new(None),
            suite: Mutex::new(None),
            _stop: stop.drop_guard(),
        };
        Ok(Client { inner: Arc::new(inner) })
    }

    /// Starts link, sync and outbox in the background; they reconnect by themselves. Needs a tokio runtime. Does nothing
    /// while they run; starts them again after a failure that only a person could mend.
    pub fn connect(&self) {
        let mut task = self.inner.task.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if self.inner.control.stop.is_cancelled() || task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        self.inner.control.failure.send_replace(Failure::None);
        self.inner.core.link.send_replace(Link::Connecting { last_error: None });
        *task = Some(platform::spawn(driver::run(self.inner.core.clone(), self.inner.control.clone())));
    }

    /// Waits until this client is linked and caught up: what was there when the link came up has arrived.
    ///
    /// # Errors
    /// At once what only a person can mend (another key, device not listed, refused); when the time is up, what was in the way last.
    pub async fn linked(&self, time: Duration) -> Result<(), ClientError> {
        let mut link = self.inner.core.link.subscribe();
        let mut failure = self.inner.control.failure.subscribe();
        let wait = async {
            loop {
                if matches!(*link.borrow_and_update(), Link::Linked { .. }) {
                    return Ok(());
                }
                if let Failure::Final(error) = &*failure.borrow_and_update() {
                    return Err(error.clone());
                }
                let changed = tokio::select! {
                    changed = link.changed() => changed,
                    changed = failure.changed() => changed,
                    () = self.inner.control.stop.cancelled() => return Err(ClientError::Closed),
                };
                changed.map_err(|_| ClientError::Closed)?;
            }
        };
        match timeout(time, wait).await {
            Some(done) => done,
            None => Err(match &*self.inner.control.failure.borrow() {
                Failure::Passing(error) | Failure::Final(error) => error.clone(),
                Failure::None => ClientError::TimedOut,
            }),
        }
    }

    /// Waits until others can add this device to conversations while it is away. Whether it is so by then.
    pub async fn addable(&self, time: Duration) -> bool {
        let mut addable = self.inner.core.addable.subscribe();
        timeout(time, addable.wait_for(|addable| *addable)).await.is_some_and(|found| found.is_ok())
    }

    /// The state of the link.
    pub fn link(&self) -> Link {
        self.inner.core.link.borrow().clone()
    }

    /// The suite of private conversations that are begun from now on; MLS, where none is asked for. A group keeps its own. What two people
    /// have begun on RSA goes on there until MLS is asked for, and from then on nowhere else.
    pub fn begin_on(&self, suite: impl Into<Option<SuiteName>>) {
        *self.inner.suite.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = suite.into();
    }

    /// What [`Client::begin_on`] was told last.
    pub fn begins_on(&self) -> Option<SuiteName> {
        *self.inner.suite.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whose profile this is.
    pub fn me(&self) -> UserName {
        self.inner.core.me().clone()
    }

    /// The home server; its pinned key is in it.
    pub fn endpoint(&self) -> Endpoint {
        self.inner.control.endpoint.borrow().clone()
    }

    /// Dials another address from now on. The server's name and pinned key stay: only where it is has changed.
    pub async fn set_address(&self, address: &str) -> Result<(), ClientError> {
        let endpoint = Endpoint { address: address.to_owned(), ..self.endpoint() };
        let kept = endpoint.clone();
        self.inner.core.stored(move |store| store.set_endpoint(&kept)).await?;
        self.inner.control.endpoint.send_replace(endpoint);
        Ok(())
    }

    /// Fingerprint of the user's own identity key, in groups for comparing. None before the first link.
    pub async fn my_fingerprint(&self) -> Result<Option<String>, ClientError> {
        let people = self.inner.core.people();
        Ok(people.state(self.inner.core.me()).map(|state| state.list.identity.fingerprint().to_string()))
    }

    /// Everybody known, in order of name.
    pub async fn people(&self) -> Result<Vec<Person>, ClientError> {
        Ok(self.inner.core.people().view())
    }

    /// Writes a message: on return it is durable here, and on screen. The network comes after.
    ///
    /// # Errors
    /// [`ClientError::KeyChanged`] when the other side's identity is not the pinned one any more; [`ClientError::Usage`] for an
    /// empty or too long text.
    pub async fn send(&self, target: &Target, text: &str) -> Result<MessageId, ClientError> {
        self.write(target, self::text(text)?, None).await
    }

    async fn write(&self, target: &Target, content: Content, once: Option<&str>) -> Result<MessageId, ClientError> {
        if let Some(done) = self.asked(once).await? {
            return Ok(done);
        }
        if let Target::Direct { user } = target {
            self.inner.core.people().refuse_changed([&self.me(), user])?;
        }
        let (target, crypto, suite, once) = (target.clone(), self.inner.core.crypto.clone(), self.begins_on(), once.map(str::to_owned));
        let written = move |store: &Store| write::message(store, &crypto, suite, (&target, &content), once.as_deref());
        let id = self.inner.core.stored(written).await?;
        self.wrote();
        Ok(MessageId(id))
    }

    /// What was written under this name before: what may be written by now has no say in that any more.
    async fn asked(&self, once: Option<&str>) -> Result<Option<MessageId>, ClientError> {
        let Some(once) = once.map(str::to_owned) else { return Ok(None) };
        Ok(self.inner.core.stored(move |store| store.asked(&once)).await?.map(MessageId))
    }

    /// Something was written: front ends and the link may want to know.
    fn wrote(&self) {
        self.inner.core.touch();
        self.inner.control.written.notify_one();
    }

    /// Waits until nothing more is expected to happen to a message, or the time is up; then its status as it is.
    pub async fn settled(&self, id: MessageId, time: Duration) -> Result<Status, ClientError> {
        let mut changes = self.changes();
        let deadline = platform::instant() + time;
        loop {
            changes.borrow_and_update();
            let message = self.inner.core.stored(move |store| store.message(id.0)).await?;
            let status = message.ok_or_else(|| ClientError::NotFound("there is no such message".into()))?.status;
            if status.is_final() {
                return Ok(status);
            }
            tokio::select! {
                changed = changes.changed() => changed.map_err(|_| ClientError::Closed)?,
                () = platform::sleep_until(deadline) => return Ok(status),
            }
        }
    }

    /// The newest `limit` messages of a conversation, oldest first.
    pub async fn timeline(&self, target: &Target, limit: usize) -> Result<Vec<Message>, ClientError> {
        let (target, crypto) = (target.clone(), self.inner.core.crypto.clone());
        let read =
            move |store: &Store| store.timeline(&target, limit)?.into_iter().map(|message| shown::message(&crypto, message)).collect();
        self.inner.core.stored(read).await
    }

    /// All conversations, the public one first.
    pub async fn rooms(&self) -> Result<Vec<Room>, ClientError> {
        let crypto = self.inner.core.crypto.clone();
        self.inner.core.stored(move |store| shown::rooms(store, &crypto)).await
    }

    /// Changes whenever something that is shown may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.core.changed.subscribe()
    }

    /// Ends the background work, closes the store and frees the profile's lock.
    pub async fn close(&self) {
        self.stop().await;
        self.inner.core.store.close();
        self.inner.core.touch();
    }

    /// Closes the client and deletes its profile: keys, messages, what was not sent. The account stays as it is.
    pub async fn forget(&self) -> Result<(), ClientError> {
        self.stop().await;
        let removed = self.inner.core.store.remove(&self.inner.profile);
        self.inner.core.touch();
        removed
    }

    async fn stop(&self) {
        self.inner.control.stop.cancel();
        let task = self.inner.task.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(task) = task {
            task.ended().await;
        }
    }
}

fn text(text: &str) -> Result<Content, ClientError> {
    if text.is_empty() {
        return Err(ClientError::Usage("there is nothing to send".into()));
    }
    Content::text(text).map_err(|error| ClientError::Usage(error.to_string()))
}

#[cfg(test)]
mod tests;
