//! The handle that front ends hold.

use crate::view::{Link, Message, MessageId, Person, Room, Status, Target};
use crate::{ClientError, Endpoint};
use std::path::Path;
use std::time::Duration;
use tidings_proto::UserName;
use tokio::sync::watch;

/// One open profile. Cheap to clone; all clones are the same client.
#[derive(Clone)]
pub struct Client(());

impl Client {
    /// Opens a profile and takes its lock. No network.
    pub fn open(_profile: &Path) -> Result<Client, ClientError> {
        Err(ClientError::OurBug("being written".into()))
    }
    /// Starts link, sync and outbox in the background; they reconnect by themselves. Needs a tokio runtime. Twice is once.
    pub fn connect(&self) {}
    /// Waits until this client is linked and caught up.
    pub async fn linked(&self, _timeout: Duration) -> Result<(), ClientError> {
        Err(ClientError::OurBug("being written".into()))
    }
    /// The state of the link.
    pub fn link(&self) -> Link {
        Link::Idle
    }
    /// Whose profile this is.
    pub fn me(&self) -> UserName {
        unimplemented!()
    }
    /// The home server; its pinned key is in it.
    pub fn endpoint(&self) -> Endpoint {
        unimplemented!()
    }
    /// Dials another address from now on (the server's name and pinned key stay).
    pub async fn set_address(&self, _address: &str) -> Result<(), ClientError> {
        Err(ClientError::OurBug("being written".into()))
    }
    /// Fingerprint of the user's own identity key.
    pub async fn my_fingerprint(&self) -> Result<Option<String>, ClientError> {
        Err(ClientError::OurBug("being written".into()))
    }
    /// Everybody known, in order of name.
    pub async fn people(&self) -> Result<Vec<Person>, ClientError> {
        Err(ClientError::OurBug("being written".into()))
    }
    /// Writes a message: on return it is durable here, and on screen.
    pub async fn send(&self, _target: &Target, _text: &str) -> Result<MessageId, ClientError> {
        Err(ClientError::OurBug("being written".into()))
    }
    /// Waits until nothing more is expected to happen to a message, or the time is up; then its status as it is.
    pub async fn settled(&self, _id: MessageId, _timeout: Duration) -> Result<Status, ClientError> {
        Err(ClientError::OurBug("being written".into()))
    }
    /// The newest `limit` messages of a conversation, oldest first.
    pub async fn timeline(&self, _target: &Target, _limit: usize) -> Result<Vec<Message>, ClientError> {
        Err(ClientError::OurBug("being written".into()))
    }
    /// All conversations, the public one first.
    pub async fn rooms(&self) -> Result<Vec<Room>, ClientError> {
        Err(ClientError::OurBug("being written".into()))
    }
    /// Changes whenever something that is shown may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        unimplemented!()
    }
    /// Ends the background work, closes the store and frees the profile's lock.
    pub async fn close(&self) {}
}
