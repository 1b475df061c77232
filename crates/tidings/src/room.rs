//! `tidings room`: groups are made, people come and go.

use crate::ask::{self, Ask};
use crate::cli::{Global, RoleName, RoomCommand, Suite, Wait};
use crate::failure::Failure;
use crate::look::{self, Places};
use crate::out::Out;
use crate::profile;
use crate::settle::{Until, Written, settle};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tidings_client::view::{MessageId, Role, Target};
use tidings_client::{Client, ClientError, SuiteName, UserName};

/// How long somebody who was asked in is tried to be told so. The server may be down on which that person is.
const TELL: Duration = Duration::from_secs(5);

/// What is done to a group, and to which: by its title, or the beginning of its id.
#[derive(Clone, Serialize, Deserialize)]
pub enum Change {
    New { title: String, suite: Option<Suite> },
    Invite { room: String, users: Vec<String>, role: RoleName },
    Join { room: String },
    Leave { room: String },
    Remove { room: String, users: Vec<String> },
    Role { room: String, user: String, role: RoleName },
    Title { room: String, title: String },
}

/// Runs the command.
pub async fn run(global: &Global, command: RoomCommand) -> Result<u8, Failure> {
    let names = |users: Vec<UserName>| users.iter().map(ToString::to_string).collect();
    let (change, away) = match command {
        RoomCommand::Members(arguments) => {
            return profile::perform(global, Ask::Members { room: arguments.room, wait: arguments.patience.wait }).await;
        }
        RoomCommand::New(new) => (Change::New { title: new.title.join(" "), suite: new.sealing.suite }, new.away),
        RoomCommand::Invite(invite) => (Change::Invite { room: invite.room, users: names(invite.users), role: invite.role }, invite.away),
        RoomCommand::Join(join) => (Change::Join { room: join.room }, join.away),
        RoomCommand::Leave(leave) => (Change::Leave { room: leave.room }, leave.away),
        RoomCommand::Remove(remove) => (Change::Remove { room: remove.room, users: names(remove.users) }, remove.away),
        RoomCommand::Role(role) => (Change::Role { room: role.room, user: role.user.to_string(), role: role.role }, role.away),
        RoomCommand::Title(title) => (Change::Title { room: title.room, title: title.title.join(" ") }, title.away),
    };
    profile::perform(global, Ask::Room { change, wait: away.wait }).await
}

/// Prints who is in a group.
pub async fn members(client: &Client, room: &str, wait: u32, out: &mut Out) -> Result<u8, Failure> {
    let until = Until::new(Wait::Seconds(wait));
    ask::catch_up(client, until, out).await?;
    let room = ask::target(client, room, until).await?;
    out.lines(&look::members(&room, &client.members(&room).await?, &client.me(), out.look)).await?;
    Ok(0)
}

/// Does it, and says how far it came: for each person, where it is about several. The exit code is the first that is not 0.
pub async fn answer(client: &Client, change: Change, wait: Wait, out: &mut Out) -> Result<u8, Failure> {
    let until = Until::new(wait);
    if let Change::New { title, suite } = &change {
        client.begin_on(suite.map(SuiteName::from));
        let (room, id) = client.create_group(title).await?;
        let group = Group::named(client, room).await?;
        let done = format!("{} is there. Ask people in: tidings room invite {} bob@s2", group.name, look::short_id(&group.target));
        return group.settle(client, id, None, done, until, out).await;
    }
    // A change answers to the group as it is now.
    match client.linked(until.left()).await {
        Err(error) if !error.is_passing() => return Err(error.into()),
        _ => {}
    }
    let group = Group::named(client, ask::target(client, room_of(&change), until).await?).await?;
    let (target, name) = (&group.target, &group.name);
    match &change {
        Change::New { .. } => Ok(0),
        Change::Join { .. } => {
            let id = client.join(target).await?;
            group.settle(client, id, None, format!("you are in {name}"), until, out).await
        }
        Change::Leave { .. } => {
            let id = client.leave(target).await?;
            group.settle(client, id, None, format!("you are not in {name} any more"), until, out).await
        }
        Change::Title { title, .. } => {
            let id = client.set_title(target, title).await?;
            group.settle(client, id, None, "done".into(), until, out).await
        }
        Change::Role { user, role, .. } => group.about(client, &Deed::Role(*role), user, until, out).await,
        Change::Invite { users, role, .. } => group.about_each(client, &Deed::Invite(*role), users, until, out).await,
        Change::Remove { users, .. } => group.about_each(client, &Deed::Remove, users, until, out).await,
    }
}

fn room_of(change: &Change) -> &str {
    match change {
        Change::New { .. } => "",
        Change::Invite { room, .. }
        | Change::Join { room }
        | Change::Leave { room }
        | Change::Remove { room, .. }
        | Change::Role { room, .. }
        | Change::Title { room, .. } => room,
    }
}

/// A group, and what it is called.
struct Group {
    target: Target,
    name: String,
}

/// What is done to a person in it.
enum Deed {
    Invite(RoleName),
    Remove,
    Role(RoleName),
}

impl Deed {
    async fn write(&self, client: &Client, room: &Target, user: &UserName) -> Result<MessageId, ClientError> {
        match self {
            Deed::Invite(role) => client.invite(room, user, Role::from(*role)).await,
            Deed::Remove => client.remove(room, user).await,
            Deed::Role(role) => client.set_role(room, user, Role::from(*role)).await,
        }
    }

    fn done(&self, user: &UserName, name: &str) -> String {
        match self {
            Deed::Invite(_) => format!("{user} is asked into {name}"),
            Deed::Remove => format!("{user} is not in {name} any more"),
            Deed::Role(role) => format!("{user} is {} of {name} now", look::role((*role).into())),
        }
    }
}

impl Group {
    async fn named(client: &Client, target: Target) -> Result<Group, Failure> {
        if !matches!(target, Target::Group { .. }) {
            return Err(Failure::usage(format!("{target} is not a group: nobody can be asked in or put out")));
        }
        let name = Places::of(&client.rooms().await?).name(&target);
        Ok(Group { target, name })
    }

    async fn settle(
        &self,
        client: &Client,
        id: MessageId,
        user: Option<&UserName>,
        done: String,
        until: Until,
        out: &mut Out,
    ) -> Result<u8, Failure> {
        settle(client, Written { id, room: Some(&self.target), user, done }, until, out).await
    }

    async fn about(&self, client: &Client, deed: &Deed, user: &str, until: Until, out: &mut Out) -> Result<u8, Failure> {
        let user: UserName = user.parse().map_err(|error| Failure::usage(format!("{user:?} is nobody's name: {error}")))?;
        let id = deed.write(client, &self.target, &user).await?;
        let code = self.settle(client, id, Some(&user), deed.done(&user, &self.name), until, out).await?;
        if code == 0 && matches!(deed, Deed::Invite(_)) {
            // A command that ended now would leave it to the next one.
            client.told(&self.target, &user, until.left().min(TELL)).await?;
        }
        Ok(code)
    }

    /// One after the other; where one is refused, the others are tried all the same.
    async fn about_each(&self, client: &Client, deed: &Deed, users: &[String], until: Until, out: &mut Out) -> Result<u8, Failure> {
        let (last, others) = users.split_last().ok_or_else(|| Failure::usage("say whom"))?;
        let mut code = 0;
        for user in others {
            let one = match self.about(client, deed, user, until, out).await {
                Ok(one) => one,
                Err(failure) => {
                    out.note(&format!("{user}: {}", failure.sentence)).await?;
                    failure.code
                }
            };
            code = if code == 0 { one } else { code };
        }
        let one = self.about(client, deed, last, until, out).await?;
        Ok(if code == 0 { one } else { code })
    }
}
