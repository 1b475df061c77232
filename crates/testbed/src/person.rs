//! A person with a device: the real client core on a real profile folder, over a wire of its own.

use crate::PATIENCE;
use crate::wire::Wire;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tidings_client::view::{self, Message, MessageId, Status, Target};
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
        login(Login { profile: &profile, endpoint: endpoint(name, &wire, key), user: name.clone(), with }).await?;
        Ok(Person::open(name.clone(), wire, key, profile, None).await)
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
        Person::open(name, wire, key, profile, recovery).await
    }

    /// Another device of the same person.
    pub async fn another_device(&self, server: SocketAddr, profile: PathBuf) -> Person {
        let with = LoginSecret::Password(Zeroizing::new(PASSWORD.into()));
        Person::log_in(&self.name, server, self.key, profile, with).await.expect("a second device")
    }

    /// Writes to somebody.
    pub async fn says(&self, to: &UserName, text: &str) -> MessageId {
        self.client.send(&Target::from(to), text).await.expect("a message that can be written")
    }

    /// Writes to everybody.
    pub async fn announces(&self, text: &str) -> MessageId {
        self.client.send(&Target::Public, text).await.expect("a message that can be written")
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
            panic!("{} waited in vain: {what}\nlink: {:?}\npublic: {public:#?}", self.name, self.client.link());
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
