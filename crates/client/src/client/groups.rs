//! Groups, files and erasing: what else a front end does in a conversation.

use super::{Client, shown, write};
use crate::view::ask::Deed;
use crate::view::{self, Member, MessageId, Part, Role, Target};
use crate::{ClientError, platform};
use std::time::Duration;
use tidings_proto::draft::Erase;
use tidings_proto::membership::{Invite, Join, Leave, Remove, SetRole};
use tidings_proto::{Code, Content, Hash, Kind, LogName, Refusal, SuiteName, UserName, cbor, content};

impl Client {
    /// Makes a group. On return it is durable here, and on screen.
    pub async fn create_group(&self, title: &str) -> Result<(Target, MessageId), ClientError> {
        self.make_group(title, self.begins_on(), None).await
    }

    pub(super) async fn make_group(
        &self,
        title: &str,
        suite: Option<SuiteName>,
        once: Option<&str>,
    ) -> Result<(Target, MessageId), ClientError> {
        let (title, crypto, once) = (titled(title)?, self.inner.core.crypto.clone(), once.map(str::to_owned));
        let (group, row) = self.inner.core.stored(move |store| write::group(store, &crypto, suite, &title, once.as_deref())).await?;
        self.wrote();
        Ok((group, MessageId(row)))
    }

    /// Asks somebody into a group. Their inbox is told as soon as the invitation stands.
    ///
    /// # Errors
    /// [`ClientError::KeyChanged`] when that person's key has changed and was not accepted.
    pub async fn invite(&self, group: &Target, user: &UserName, role: Role) -> Result<MessageId, ClientError> {
        self.deed(group, Deed::Invite { user: user.clone(), role }, None).await
    }

    /// Waits until somebody who was asked in has been told so, or the time is up: without this, the invitation stands, and is told
    /// by the next link. Whether it is so.
    pub async fn told(&self, group: &Target, user: &UserName, time: Duration) -> Result<bool, ClientError> {
        let mut changes = self.changes();
        let deadline = platform::instant() + time;
        loop {
            changes.borrow_and_update();
            // What tells it is made in the same commit in which the invitation comes back from its log.
            let stands = self.members(group).await?.iter().any(|member| member.user == *user);
            let inbox = LogName::Inbox(user.clone());
            if stands && !self.inner.core.stored(move |store| store.is_on_its_way(&inbox, Kind::Invitation)).await? {
                return Ok(true);
            }
            tokio::select! {
                changed = changes.changed() => changed.map_err(|_| ClientError::Closed)?,
                () = platform::sleep_until(deadline) => return Ok(false),
            }
        }
    }

    /// Accepts an invitation.
    pub async fn join(&self, group: &Target) -> Result<MessageId, ClientError> {
        self.deed(group, Deed::Join, None).await
    }

    /// Leaves a group, or declines an invitation.
    pub async fn leave(&self, group: &Target) -> Result<MessageId, ClientError> {
        self.deed(group, Deed::Leave, None).await
    }

    /// Puts somebody out of a group, or takes an invitation back.
    pub async fn remove(&self, group: &Target, user: &UserName) -> Result<MessageId, ClientError> {
        self.deed(group, Deed::Remove(user.clone()), None).await
    }

    /// Gives somebody in a group another role.
    pub async fn set_role(&self, group: &Target, user: &UserName, role: Role) -> Result<MessageId, ClientError> {
        self.deed(group, Deed::SetRole { user: user.clone(), role }, None).await
    }

    /// Gives a group another title.
    pub async fn set_title(&self, group: &Target, title: &str) -> Result<MessageId, ClientError> {
        self.deed(group, Deed::SetTitle(title.to_owned()), None).await
    }

    /// Something is done to a group; under this name only once.
    pub(super) async fn deed(&self, group: &Target, deed: Deed, once: Option<&str>) -> Result<MessageId, ClientError> {
        if let Some(done) = self.asked(once).await? {
            return Ok(done);
        }
        let prev = Hash::ZERO;
        let (kind, body) = match deed {
            Deed::Invite { user, role } => {
                self.inner.core.people().refuse_changed([&user])?;
                (Kind::Invite, cbor::encode(&Invite { prev, user, identity: Hash::ZERO, role: role.into() }))
            }
            Deed::Join => (Kind::Join, cbor::encode(&Join { prev })),
            Deed::Leave => (Kind::Leave, cbor::encode(&Leave { prev })),
            Deed::Remove(user) => (Kind::Remove, cbor::encode(&Remove { prev, user, lost_by: None })),
            Deed::SetRole { user, role } => (Kind::SetRole, cbor::encode(&SetRole { prev, user, role: role.into() })),
            Deed::SetTitle(title) => {
                self.group(group).await?;
                return self.write(group, titled(&title)?, once).await;
            }
        };
        self.change(group, write::Open { kind, body, once: once.map(str::to_owned) }).await
    }

    /// The people of a private conversation: those who are in, and those who are asked in.
    pub async fn members(&self, target: &Target) -> Result<Vec<Member>, ClientError> {
        let (target, core) = (target.clone(), self.inner.core.clone());
        let me = self.me();
        let found = move |store: &crate::store::Store| {
            let rooms = store.rooms()?;
            let is_it = |room: &crate::store::StoredRoom| match (&target, &room.genesis) {
                (Target::Direct { user }, tidings_proto::Genesis::Direct(direct)) => direct.other(&me) == user,
                (Target::Group { id }, genesis) => genesis.room() == *id,
                _ => false,
            };
            Ok(rooms.into_iter().find(is_it))
        };
        let room = self.inner.core.stored(found).await?.ok_or_else(|| ClientError::Usage("this conversation has no members yet".into()))?;
        Ok(shown::members(&core, &room))
    }

    /// The conversation that a person means: `public`, somebody's name, a group's identifier or its beginning (four characters
    /// at least), or a group's title, also with a `#` before it.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is none, [`ClientError::Usage`] where there is more than one.
    pub async fn find(&self, text: &str) -> Result<Target, ClientError> {
        if text == "public" {
            return Ok(Target::Public);
        }
        if let Ok(user) = text.parse::<UserName>() {
            return Ok(Target::Direct { user });
        }
        let title = text.strip_prefix('#').unwrap_or(text);
        let groups: Vec<view::Room> = self.rooms().await?.into_iter().filter(|room| matches!(room.target, Target::Group { .. })).collect();
        let by_title: Vec<&view::Room> = groups.iter().filter(|room| room.title == title).collect();
        let by_id = |room: &&view::Room| text.len() >= 4 && room.target.to_string().starts_with(text);
        let found = if by_title.is_empty() { groups.iter().filter(by_id).collect() } else { by_title };
        match found[..] {
            [room] => Ok(room.target.clone()),
            [] => Err(ClientError::NotFound(format!(
                "{text:?} is neither `public`, nor a person like bob@s2, nor the title or identifier of a group of yours"
            ))),
            [..] => {
                let ids: Vec<String> = found.iter().map(|room| room.target.to_string()).collect();
                Err(ClientError::Usage(format!("{text:?} may be any of {}: say which by its identifier", ids.join(", "))))
            }
        }
    }

    /// Writes a message with a file of at most 32 KiB in it, in a private conversation.
    pub async fn send_file(
        &self,
        target: &Target,
        name: &str,
        media_type: &str,
        bytes: Vec<u8>,
        text: &str,
    ) -> Result<MessageId, ClientError> {
        self.write(target, with_file(target, name, media_type, bytes, text)?, None).await
    }

    /// The file in a message.
    pub async fn file(&self, id: MessageId) -> Result<(view::File, Vec<u8>), ClientError> {
        let crypto = self.inner.core.crypto.clone();
        self.inner.core.stored(move |store| shown::file(&crypto, stored(store, id)?)).await
    }

    /// Erases a message for everybody who keeps to the rules: one's own, or in a group any, where one may.
    pub async fn erase(&self, id: MessageId) -> Result<MessageId, ClientError> {
        self.erase_as(id, None).await
    }

    pub(super) async fn erase_as(&self, id: MessageId, once: Option<&str>) -> Result<MessageId, ClientError> {
        if let Some(done) = self.asked(once).await? {
            return Ok(done);
        }
        let (me, once) = (self.me(), once.map(str::to_owned));
        let erase = move |store: &crate::store::Store| {
            let message = stored(store, id)?;
            let place = store.draft_at(id.0)?;
            let Some((target, seq, draft)) = place else {
                return Err(ClientError::Usage("only a message that is in its log can be erased".into()));
            };
            if !matches!(message.kind, Kind::Sealed | Kind::Post) {
                return Err(ClientError::Usage("what has happened in a group cannot be erased".into()));
            }
            let body = cbor::encode(&Erase { seq, draft });
            write::Open { kind: Kind::Erase, body, once }.write(store, &me, &target, &message.log)
        };
        let row = self.inner.core.stored(erase).await?;
        self.wrote();
        Ok(MessageId(row))
    }

    async fn change(&self, group: &Target, change: write::Open) -> Result<MessageId, ClientError> {
        let (part, kind) = (self.group(group).await?, change.kind);
        let may = match (&part, kind) {
            (Part::Arriving, _) | (Part::In, _) => kind != Kind::Join || part == Part::Arriving,
            (Part::Invited { .. }, kind) => matches!(kind, Kind::Join | Kind::Leave),
            (Part::Gone, _) => false,
        };
        if !may {
            let why = match part {
                Part::Gone => "you are not in this group any more",
                Part::Invited { .. } => "this invitation has to be accepted first",
                Part::In | Part::Arriving => "you are in this group already",
            };
            return Err(Refusal::new(Code::Forbidden, why).into());
        }
        let (target, me) = (group.clone(), self.me());
        let Target::Group { id } = target else { return Err(not_a_group()) };
        let row = self.inner.core.stored(move |store| change.write(store, &me, &target, &LogName::Room(id))).await?;
        self.wrote();
        Ok(MessageId(row))
    }

    /// This user's part in a group.
    async fn group(&self, target: &Target) -> Result<Part, ClientError> {
        if !matches!(target, Target::Group { .. }) {
            return Err(not_a_group());
        }
        let room = self.rooms().await?.into_iter().find(|room| room.target == *target);
        room.map(|room| room.part).ok_or_else(|| ClientError::NotFound("there is no such group here".into()))
    }
}

pub(super) fn with_file(target: &Target, name: &str, media_type: &str, bytes: Vec<u8>, text: &str) -> Result<Content, ClientError> {
    if let Target::Public = target {
        return Err(ClientError::Usage("files are for private conversations: the public chat is kept by every server".into()));
    }
    let file = content::File { name: name.into(), media_type: media_type.into(), bytes: bytes.into() };
    Content::file(text, file).map_err(|error| ClientError::Usage(error.to_string()))
}

fn titled(title: &str) -> Result<Content, ClientError> {
    if title.trim().is_empty() {
        return Err(ClientError::Usage("a group needs a title".into()));
    }
    Content::title(title).map_err(|error| ClientError::Usage(error.to_string()))
}

fn not_a_group() -> ClientError {
    ClientError::Usage("this is possible in groups only".into())
}

fn stored(store: &crate::store::Store, id: MessageId) -> Result<crate::store::StoredMessage, ClientError> {
    store.message(id.0)?.ok_or_else(|| ClientError::NotFound("there is no such message".into()))
}
