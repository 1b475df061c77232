//! Keys as a person deals with them: comparing, accepting, devices, and what takes the password.

use super::Client;
use crate::account::change::{By, Change, change, open_again};
use crate::account::{book, dial};
use crate::store::Trusted;
use crate::view::ask::Words;
use crate::view::{Comparison, Device, Link, Notice};
use crate::{ClientError, Endpoint, RecoveryCode, Zeroizing};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tidings_e2ee::AccountSecrets;
use tidings_proto::{DeviceKey, UserName};
use tidings_trust::safety::safety_number;
use tidings_trust::{Fingerprint, KeyState};

impl Client {
    /// What this user and another compare.
    ///
    /// # Errors
    /// [`ClientError::UnknownUser`] where that person's keys are not known here.
    pub async fn compare(&self, user: &UserName) -> Result<Comparison, ClientError> {
        let people = self.inner.core.people();
        let identity = |user: &UserName| people.state(user).map(|state| state.list.identity.fingerprint());
        let (mine, theirs) = (identity(self.inner.core.me()), identity(user));
        let mine = mine.ok_or_else(|| ClientError::UnknownUser(self.inner.core.me().clone()))?;
        let theirs = theirs.ok_or_else(|| ClientError::UnknownUser(user.clone()))?;
        Ok(Comparison {
            user: user.clone(),
            number: safety_number((self.inner.core.me(), &mine), (user, &theirs)),
            fingerprint: theirs.to_string(),
            verified: people.trusted(user).and_then(|trusted| trusted.verified) == Some(theirs),
        })
    }

    /// The numbers were compared, and are the same; or that is not to count any more. It follows the account to all its devices,
    /// so it takes the server.
    pub async fn set_verified(&self, user: &UserName, verified: bool) -> Result<(), ClientError> {
        let theirs = self.identity(user)?;
        let mut link = self.dial().await?;
        book::change(&self.inner.core, &mut link, |book| {
            book.verified.retain(|(about, _)| about != user);
            if verified {
                book.verified.push((user.clone(), theirs));
            }
        })
        .await?;
        link.writer.close().await;
        Ok(())
    }

    /// Believes that whoever began this account anew is the same person. Other devices hear of it when the server is there.
    ///
    /// # Errors
    /// [`ClientError::KeyChanged`] where it is the server that tells another story than before: that cannot be accepted.
    pub async fn accept_key(&self, user: &UserName) -> Result<(), ClientError> {
        let theirs = self.identity(user)?;
        // Who was compared just before was compared by this key.
        let compared = self.inner.core.people().trusted(user).and_then(|trusted| trusted.verified);
        let trusted = Trusted { accepted: theirs, verified: compared.filter(|compared| *compared == theirs) };
        let about = user.clone();
        self.inner.core.stored(move |store| store.trust(&about, trusted)).await?;
        self.inner.core.people().trust(user, trusted);
        self.wrote();
        self.inner.core.people().refuse_changed([user])?;
        let told = async {
            let mut link = self.dial().await?;
            book::change(&self.inner.core, &mut link, |book| {
                book.accepted.retain(|(about, _)| about != user);
                book.accepted.push((user.clone(), theirs));
            })
            .await
        };
        match told.await {
            Err(error) if !error.is_passing() => Err(error),
            _ => Ok(()),
        }
    }

    /// This account's devices, this one first; with the names that they have now, where the server can be asked.
    pub async fn devices(&self) -> Result<Vec<Device>, ClientError> {
        if matches!(self.link(), Link::Linked { .. }) {
            let asked = async { book::refresh(&self.inner.core, &mut self.dial().await?).await };
            if let Err(error) = asked.await {
                tracing::debug!(%error, "the devices' names are those of before");
            }
        }
        let names = self.inner.core.stored(|store| store.device_names()).await?;
        let this = self.inner.core.crypto.device();
        let mut devices: Vec<Device> = self
            .listed()?
            .into_iter()
            .map(|key| Device {
                key: BASE64_URL_SAFE_NO_PAD.encode(key.0),
                name: names.iter().find(|(named, _)| *named == key).map(|(_, name)| name.clone()),
                this: key == this,
            })
            .collect();
        devices.sort_by_key(|device| (!device.this, device.name.clone(), device.key.clone()));
        Ok(devices)
    }

    /// Calls a device so, on all devices.
    pub async fn name_device(&self, device: &str, name: &str) -> Result<(), ClientError> {
        let key = self.device_of(device)?;
        let mut link = self.dial().await?;
        book::change(&self.inner.core, &mut link, |book| book.name(key, name)).await?;
        link.writer.close().await;
        Ok(())
    }

    /// What a person should know about keys, after notice `after`.
    pub async fn notices(&self, after: i64) -> Result<Vec<Notice>, ClientError> {
        self.inner.core.stored(move |store| store.notices(after)).await
    }

    /// How many messages of conversations on MLS only this device has: the others of this account's, and those to come, get what a device
    /// has opened as it is handed on, which takes half a minute, and this device's own start.
    pub async fn only_here(&self) -> Result<u64, ClientError> {
        self.inner.core.stored(|store| store.only_here()).await
    }

    /// Whether another device has changed this account's keys, so that [`Client::unlock`] is needed to read on.
    pub fn is_locked(&self) -> bool {
        *self.inner.core.locked.borrow()
    }

    /// Takes a device off the account. Everything that it knew is replaced: the encryption key, the master key of the vault, the
    /// recovery code. Other devices have to be unlocked once.
    pub async fn revoke(&self, device: &str, password: Zeroizing<String>) -> Result<RecoveryCode, ClientError> {
        let gone = self.device_of(device)?;
        if gone == self.inner.core.crypto.device() {
            return Err(ClientError::Usage("a device cannot take itself off: do it on another one, or log out".into()));
        }
        self.changed(password, Change::Revoke(vec![gone])).await?.ok_or_else(no_words)
    }

    /// Another identity key; the old one signs it, so nobody has to accept it. For whoever fears that the old one was copied.
    pub async fn rotate(&self, password: Zeroizing<String>) -> Result<RecoveryCode, ClientError> {
        self.changed(password, Change::Rotate).await?.ok_or_else(no_words)
    }

    /// The recovery code that nobody has confirmed to have written down.
    pub async fn words(&self) -> Result<Option<Words>, ClientError> {
        let words = self.inner.core.stored(|store| store.words()).await?;
        Ok(words.map(|(words, sure)| Words { words: words.as_str().to_owned(), sure }))
    }

    /// A recovery code is written down, and not kept here any more.
    pub async fn words_confirmed(&self, words: &str) -> Result<(), ClientError> {
        let words = Zeroizing::new(words.to_owned());
        self.inner.core.stored(move |store| store.words_confirmed(&words)).await?;
        self.inner.core.touch();
        Ok(())
    }

    /// Another password.
    pub async fn change_password(&self, old: Zeroizing<String>, new: Zeroizing<String>) -> Result<(), ClientError> {
        self.changed(old, Change::Password(new)).await.map(|_| ())
    }

    /// Gets what another device has changed.
    pub async fn unlock(&self, password: Zeroizing<String>) -> Result<(), ClientError> {
        let endpoint = self.endpoint();
        let by = self.by(&endpoint);
        let secrets = open_again(&by, password).await?;
        self.use_secrets(secrets, false).await
    }

    async fn changed(&self, password: Zeroizing<String>, what: Change) -> Result<Option<RecoveryCode>, ClientError> {
        let endpoint = self.endpoint();
        let by = self.by(&endpoint);
        let keep = |words: Option<Zeroizing<String>>| {
            let core = self.inner.core.clone();
            async move { core.stored(move |store| store.ask_words(words.as_ref().map(|words| words.as_str()))).await }
        };
        let changed = change(&by, password, what, keep).await?;
        self.use_secrets(changed.secrets, changed.recovery.is_some()).await?;
        Ok(changed.recovery)
    }

    fn by<'a>(&'a self, endpoint: &'a Endpoint) -> By<'a> {
        let (user, pinned) = (self.inner.core.me(), self.inner.core.people().state(self.inner.core.me()));
        By { endpoint, user, device: self.inner.core.crypto.device_secret(), pinned }
    }

    /// Keeps other secrets, and starts the link anew: what could not be opened is asked for again.
    async fn use_secrets(&self, secrets: AccountSecrets, recovery: bool) -> Result<(), ClientError> {
        let bytes = secrets.to_bytes();
        self.inner.core.stored(move |store| store.set_secrets(&bytes, recovery)).await?;
        self.inner.core.crypto.replace(secrets);
        self.inner.core.locked.send_replace(false);
        self.inner.control.endpoint.send_modify(|_| {});
        Ok(())
    }

    async fn dial(&self) -> Result<crate::link::Link, ClientError> {
        dial(&self.endpoint(), self.inner.core.me(), self.inner.core.crypto.device_secret()).await
    }

    fn identity(&self, user: &UserName) -> Result<Fingerprint, ClientError> {
        let state = self.inner.core.people().state(user);
        state.map(|state| state.list.identity.fingerprint()).ok_or_else(|| ClientError::UnknownUser(user.clone()))
    }

    fn listed(&self) -> Result<Vec<DeviceKey>, ClientError> {
        let state: std::sync::Arc<KeyState> =
            self.inner.core.people().state(self.inner.core.me()).ok_or_else(|| ClientError::NotListed(self.inner.core.me().clone()))?;
        Ok(state.list.devices.iter().map(|device| device.key).collect())
    }

    /// The device that `text` means: its key in base64url, or a beginning of it that no other has.
    fn device_of(&self, text: &str) -> Result<DeviceKey, ClientError> {
        let found: Vec<DeviceKey> =
            self.listed()?.into_iter().filter(|key| !text.is_empty() && BASE64_URL_SAFE_NO_PAD.encode(key.0).starts_with(text)).collect();
        match found[..] {
            [key] => Ok(key),
            [] => Err(ClientError::NotFound(format!("this account has no device whose key begins with {text:?}"))),
            [..] => Err(ClientError::Usage(format!("several devices' keys begin with {text:?}: give more of it"))),
        }
    }
}

fn no_words() -> ClientError {
    ClientError::OurBug("a change of keys without a new recovery code".into())
}
