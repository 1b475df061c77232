//! What a graphical front end asks for: a window onto a conversation, the list of all, marks, drafts, and what is asked for once.

use super::{Client, shown, write};
use crate::platform::now;
use crate::view::ask::{Anchor, Deed, RoomLine, Window};
use crate::view::{MessageId, Target};
use crate::{ClientError, driver};
use tidings_proto::{Content, SuiteName};

/// Messages in one window at most.
const WINDOW: usize = 1000;

impl Client {
    /// Part of a conversation.
    pub async fn window(&self, target: &Target, from: Anchor, limit: usize) -> Result<Window, ClientError> {
        let (of, crypto) = (target.clone(), self.inner.core.crypto.clone());
        let read = move |store: &crate::store::Store| {
            let part = store.part(&of, from, limit.clamp(1, WINDOW))?;
            let messages = part.messages.into_iter().map(|message| shown::message(&crypto, message)).collect::<Result<_, _>>()?;
            Ok(Window { target: of, messages, older: part.older, newer: part.newer, seen: part.seen.map(MessageId) })
        };
        self.inner.core.stored(read).await
    }

    /// All conversations with what a list says of each: the public one first, then those in which something happened last.
    pub async fn lines(&self) -> Result<Vec<RoomLine>, ClientError> {
        let crypto = self.inner.core.crypto.clone();
        self.inner.core.stored(move |store| shown::lines(store, &crypto)).await
    }

    /// Everything up to a message was seen.
    pub async fn seen(&self, target: &Target, id: MessageId) -> Result<(), ClientError> {
        let target = target.clone();
        self.inner.core.stored(move |store| store.seen(&target, id.0)).await?;
        self.inner.core.touch();
        Ok(())
    }

    /// What stands in a conversation's composer; empty for nothing.
    pub async fn set_draft(&self, target: &Target, text: &str) -> Result<(), ClientError> {
        let draft = match text {
            "" => None,
            text => Some(Content::text(text).map_err(|error| ClientError::Usage(error.to_string()))?),
        };
        let (target, crypto) = (target.clone(), self.inner.core.crypto.clone());
        let keep = move |store: &crate::store::Store| {
            let sealed = draft.map(|draft| write::at_rest(&crypto, &write::log_of(&crypto, &target), &draft));
            store.set_draft(&target, sealed)
        };
        self.inner.core.stored(keep).await?;
        // The list shows it, and whoever comes back to the conversation takes it from there.
        self.inner.core.touch();
        Ok(())
    }

    /// Sends again what has failed, as it was written.
    ///
    /// # Errors
    /// [`ClientError::KeyChanged`] where that is why it has failed, and it was not accepted yet.
    pub async fn retry(&self, id: MessageId) -> Result<MessageId, ClientError> {
        let target = self.inner.core.stored(move |store| store.conversation_of(id.0)).await?;
        let target = target.ok_or_else(|| ClientError::NotFound("there is no such message".into()))?;
        if let Target::Direct { user } = &target {
            self.inner.core.people().refuse_changed([&self.me(), user])?;
        }
        if self.inner.core.stored(move |store| store.again(id.0, now())).await? {
            self.wrote();
        }
        Ok(id)
    }

    /// Takes what has failed off the screen.
    pub async fn discard(&self, id: MessageId) -> Result<(), ClientError> {
        if !self.inner.core.stored(move |store| store.discard(id.0)).await? {
            return Err(ClientError::Usage("only what has failed can be taken off the screen".into()));
        }
        self.inner.core.touch();
        Ok(())
    }

    /// [`Client::send`], done once under this name, however often it is asked for.
    pub async fn send_once(&self, target: &Target, text: &str, once: &str) -> Result<MessageId, ClientError> {
        self.write(target, super::text(text)?, Some(once)).await
    }

    /// [`Client::send_file`], done once under this name.
    pub async fn send_file_once(
        &self,
        target: &Target,
        name: &str,
        media_type: &str,
        bytes: Vec<u8>,
        text: &str,
        once: &str,
    ) -> Result<MessageId, ClientError> {
        self.write(target, super::groups::with_file(target, name, media_type, bytes, text)?, Some(once)).await
    }

    /// [`Client::create_group`], on this suite, done once under this name.
    pub async fn create_group_once(&self, title: &str, suite: Option<SuiteName>, once: &str) -> Result<Target, ClientError> {
        Ok(self.make_group(title, suite, Some(once)).await?.0)
    }

    /// Something is done to a group, once under this name.
    ///
    /// # Errors
    /// As [`Client::invite`] and the others have them.
    pub async fn deed_once(&self, group: &Target, deed: Deed, once: &str) -> Result<MessageId, ClientError> {
        self.deed(group, deed, Some(once)).await
    }

    /// [`Client::erase`], done once under this name.
    pub async fn erase_once(&self, id: MessageId, once: &str) -> Result<MessageId, ClientError> {
        self.erase_as(id, Some(once)).await
    }

    /// Why the client tries no more to be linked, if it does not.
    pub fn stopped(&self) -> Option<ClientError> {
        match &*self.inner.control.failure.borrow() {
            driver::Failure::Final(error) => Some(error.clone()),
            driver::Failure::Passing(_) | driver::Failure::None => None,
        }
    }
}
