//! A person with a device: the real client core on a real profile folder, over a wire of its own.

use crate::PATIENCE;
use crate::wire::Wire;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tidings_client::view::{self, Message, MessageId, Part, Role, Room, Status, Target};
use tidings_client::{Client, ClientError, Endpoint, Login, LoginSecret, Register, Zeroizing, login, register};
use tidings_proto::{ServerKey, UserName};

/// What everybody's password is, unless a story says otherwise.
pub const PASSWORD: &str = "correct horse battery staple";

/// Somebody, on one device.
pub struct Person {
    /// The name.
    pub name: UserName,
    /// The client core.
    pub client: Client,
    /// The way to the home server.
    pub wire: Wire,
    /// The 24 words, for who has registered here.
    pub recovery: Option<String>,
    profile: PathBuf,
    key: ServerKey,
}

impl Person {
    /// Registers, connects, and waits until all is in.
    pub async fn register(name: UserName, server: SocketAddr, key: ServerKey, profile: PathBuf) -> Person {
        let wire = Wire::to(server).await;
        let request = Register {
            profile: &profile,
            endpoint: endpoint(&name, &wire, key),
            user: name.clone(),
            password: Zeroizing::new(PASSWORD.into()),
            code: None,
            device_name: None,
        };
        let words = register(request).await.expect("a registration").words().to_owned();
        Person::open(name, wire, key, profile, Some(words)).await
    }

    /// Logs in on a new device with a password, and connects.
    pub async fn log_in(
        name: &UserName,
        server: SocketAddr,
        key: ServerKey,
        profile: PathBuf,
        with: LoginSecret,
    ) -> Result<Person, ClientError> {
        let wire = Wire::to(server).await;
        login(Login { profile: &profile, endpoint: endpoint(name, &wire, key), user: name.clone(), with, device_name: None }).await?;
        Ok(Person::open(name.clone(), wire, key, profile, None).await)
    }

    /// Opens a profile that has an account, and connects.
    pub async fn on(name: UserName, server: SocketAddr, key: ServerKey, profile: PathBuf) -> Person {
        let wire = Wire::to(server).await;
        Person::open(name, wire, key, profile, None).await
    }

    async fn open(name: UserName, wire: Wire, key: ServerKey, profile: PathBuf, recovery: Option<String>) -> Person {
        let client = Client::open(&profile).expect("a profile that opens");
        client.connect();
        client.linked(PATIENCE).await.expect("a link");
        Person { name, client, wire, recovery, profile, key }
    }

    /// Closes the client and opens it again from its folder, as after the end of the process.
    pub async fn reopen(self) -> Person {
        let Person { name, client, wire, recovery, profile, key } = self;
        client.close().await;
        let again = Person::open(name, wire, key, profile, recovery).await;
        again.client.begin_on(client.begins_on());
        again
    }

    /// Waits until others can add this device to conversations while it is away.
    pub async fn is_addable(self) -> Person {
        assert!(self.client.addable(PATIENCE).await, "{} has no key packages with the server", self.name);
        self
    }

    /// Another device of the same person.
    pub async fn another_device(&self, server: SocketAddr, profile: PathBuf) -> Person {
        let with = LoginSecret::Password(Zeroizing::new(PASSWORD.into()));
        let other = Person::log_in(&self.name, server, self.key, profile, with).await.expect("a second device");
        let other = other.is_addable().await;
        other.client.begin_on(self.client.begins_on());
        other
    }

    /// Writes to somebody.
    pub async fn says(&self, to: &UserName, text: &str) -> MessageId {
        self.client.send(&Target::from(to), text).await.expect("a message that can be written")
    }

    /// Writes to everybody.
    pub async fn announces(&self, text: &str) -> MessageId {
        self.client.send(&Target::Public, text).await.expect("a message that can be written")
    }

    /// Writes into a conversation.
    pub async fn writes(&self, target: &Target, text: &str) -> MessageId {
        self.client.send(target, text).await.expect("a message that can be written")
    }

    /// Makes a group, which stands when this returns.
    pub async fn makes_group(&self, title: &str) -> Target {
        let (group, made) = self.client.create_group(title).await.expect("a group that can be made");
        self.is_sent(made).await;
        self.until("is in the new group", async || self.room(&group).await.is_some_and(|room| room.part == Part::In)).await;
        group
    }

    /// Asks somebody into a group; the invitation stands when this returns.
    pub async fn invites(&self, group: &Target, user: &UserName) {
        let invited = self.client.invite(group, user, Role::Member).await.expect("an invitation that can be written");
        self.is_sent(invited).await;
    }

    /// Waits for an invitation to a group and accepts it; is in when this returns.
    pub async fn joins(&self, group: &Target) {
        self.is_asked_into(group).await;
        let joined = self.client.join(group).await.expect("an invitation that can be accepted");
        self.is_sent(joined).await;
        self.until("is in the group", async || self.room(group).await.is_some_and(|room| room.part == Part::In)).await;
    }

    /// Waits until this person is asked into a group.
    pub async fn is_asked_into(&self, group: &Target) {
        self.until("is asked into the group", async || {
            self.room(group).await.is_some_and(|room| matches!(room.part, Part::Invited { .. }))
        })
        .await;
    }

    /// Waits until these are the people of a group who are in.
    pub async fn sees_members(&self, group: &Target, wanted: &[&UserName]) {
        self.until(&format!("sees {wanted:?} in the group"), async || {
            let members = self.client.members(group).await.unwrap_or_default();
            let joined: Vec<&UserName> = members.iter().filter(|member| member.joined).map(|member| &member.user).collect();
            joined.len() == wanted.len() && wanted.iter().all(|user| joined.contains(user))
        })
        .await;
    }

    /// A conversation as this person has it.
    pub async fn room(&self, target: &Target) -> Option<Room> {
        self.client.rooms().await.expect("rooms").into_iter().find(|room| room.target == *target)
    }

    /// Author and text of the messages that could be read of a conversation: no events, nothing unreadable, nothing unsent.
    pub async fn hears(&self, target: &Target) -> Vec<(String, String)> {
        let is_heard =
            |message: &Message| message.event.is_none() && !message.text.is_empty() && !matches!(message.status, Status::Failed { .. });
        let messages = self.messages(target).await.into_iter().filter(is_heard);
        messages.map(|m| (m.author.map(|author| author.to_string()).unwrap_or_default(), m.text)).collect()
    }

    /// Waits until the messages of a conversation are exactly these.
    pub async fn hears_exactly(&self, target: &Target, wanted: &[(&str, &str)]) {
        let wanted: Vec<(String, String)> = wanted.iter().map(|(author, text)| ((*author).into(), (*text).into())).collect();
        self.until(&format!("hears exactly {wanted:?}"), async || self.hears(target).await == wanted).await;
    }

    /// Waits until this person knows somebody by a verified key.
    pub async fn knows(&self, who: &Person) {
        self.finds(&who.name, "known by their key", |person| person.fingerprint.is_some()).await;
    }

    /// Waits until a message is on its hub.
    pub async fn is_sent(&self, id: MessageId) {
        let status = self.client.settled(id, PATIENCE).await.expect("a status");
        assert!(matches!(status, Status::Sent { .. }), "{}: {status:?}", self.name);
    }

    /// Waits until a message stands at `status`.
    pub async fn status_is(&self, target: &Target, id: MessageId, wanted: &Status) {
        self.until(&format!("{id:?} is {wanted:?}"), async || {
            self.messages(target).await.iter().any(|message| message.id == id && message.status == *wanted)
        })
        .await;
    }

    /// All of a conversation.
    pub async fn messages(&self, target: &Target) -> Vec<Message> {
        self.client.timeline(target, 10_000).await.expect("a timeline")
    }

    /// Author and text of all that could be read of a conversation.
    pub async fn reads(&self, target: &Target) -> Vec<(String, String)> {
        let messages = self.messages(target).await;
        messages.into_iter().map(|m| (m.author.map(|author| author.to_string()).unwrap_or_default(), m.text)).collect()
    }

    /// Waits until `text` by `author` is in a conversation.
    pub async fn sees(&self, target: &Target, author: &UserName, text: &str) {
        let wanted = (author.to_string(), text.to_owned());
        self.until(&format!("sees {text:?} of {author}"), async || self.reads(target).await.contains(&wanted)).await;
    }

    /// Waits until a conversation is exactly this.
    pub async fn reads_exactly(&self, target: &Target, wanted: &[(&str, &str)]) {
        let wanted: Vec<(String, String)> = wanted.iter().map(|(author, text)| ((*author).into(), (*text).into())).collect();
        self.until(&format!("reads exactly {wanted:?}"), async || self.reads(target).await == wanted).await;
    }

    /// Waits until somebody is shown like this.
    pub async fn finds(&self, who: &UserName, what: &str, is_so: impl Fn(&view::Person) -> bool) {
        self.until(&format!("finds that {who} is {what}"), async || {
            self.client.people().await.expect("people").iter().any(|person| person.user == *who && is_so(person))
        })
        .await;
    }

    /// Waits for a condition, looking again at each change the client tells of.
    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let mut changes = self.client.changes();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                if holds().await {
                    return;
                }
                // Changes that only concern others are told too; a look a second costs nothing and hides no missing one for long.
                let _ = tokio::time::timeout(Duration::from_secs(1), changes.changed()).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let public = self.messages(&Target::Public).await;
            let rooms = self.client.rooms().await;
            panic!("{} waited in vain: {what}\nlink: {:?}\nrooms: {rooms:#?}\npublic: {public:#?}", self.name, self.client.link());
        }
    }
}

/// The conversation with `user`.
pub fn with(user: &UserName) -> Target {
    Target::from(user)
}

fn endpoint(user: &UserName, wire: &Wire, key: ServerKey) -> Endpoint {
    Endpoint { name: user.server().clone(), address: wire.address().to_string(), key: Some(key), plain: false }
}
