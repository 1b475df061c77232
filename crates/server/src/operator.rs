//! What an operator asks of a running server: names and invitations to give out, and how things stand with people and peers.
//!
//! The questions come over a socket in the server's folder (`socket`). Whoever can open that folder is the operator; nothing
//! here authenticates anybody further.

mod codes;
mod socket;

pub use codes::new_code;
pub use socket::{AskError, SOCKET, ask};
pub(crate) use socket::{listen, serve};

use crate::accounts::is_kept_from_people;
use crate::config::Registration;
use crate::host::Host;
use crate::logs::{NewCode, now};
use crate::setup::write_key;
use codes::id_of;
use serde::{Deserialize, Serialize};
use tidings_proto::frame::Online;
use tidings_proto::{Code, Hash, Refusal, UserName};

/// The most people that one invitation can let in.
pub const MOST_USES: u32 = 10_000;
/// The longest that an invitation can be good, in seconds: a year.
pub const LONGEST: u64 = 366 * 24 * 60 * 60;
/// A claim code is good until it is used or another is made.
const NEVER: u64 = i64::MAX as u64;
/// A code by which an account begins anew is good for so many seconds: a week. Nothing reminds anybody of one that was forgotten.
const RESET: u64 = 7 * 24 * 60 * 60;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Keeps a name back for somebody, and makes the claim code; an earlier one is no good any more.
    AddUser {
        /// The local part, or the whole name.
        name: String,
    },
    /// Makes the code by which somebody who has lost password, recovery code and devices begins their account anew. Until it is
    /// used, nothing changes.
    ResetUser {
        /// The local part, or the whole name.
        name: String,
    },
    /// Closes an account, for good: nobody gets the name again.
    CloseUser {
        /// The local part, or the whole name.
        name: String,
    },
    /// Everybody who has an account here, or a name kept back.
    Users,
    /// Makes an invitation.
    Invite {
        /// How many people it lets in.
        uses: u32,
        /// For how long.
        seconds: u64,
    },
    /// The invitations and claim codes that are good.
    Codes,
    /// A code that shall be no good any more.
    Revoke {
        /// Which; see [`CodeRow::id`].
        id: String,
    },
    /// The servers that this one knows.
    Peers,
}

/// One line of an answer. The last one is `End` or `Refused`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// A code that was made. It is nowhere else.
    Issued(Issued),
    /// Somebody.
    User(UserRow),
    /// A code that is good.
    Code(CodeRow),
    /// A server.
    Peer(PeerRow),
    /// No.
    Refused {
        /// The number of the [`Code`].
        code: u16,
        /// Why, and what to do.
        text: String,
    },
    /// That was all.
    End,
}

/// A new code, and what else its owner needs to know.
#[derive(Serialize, Deserialize)]
pub struct Issued {
    /// The secret.
    pub code: String,
    /// What to call it in `revoke`.
    pub id: String,
    /// This server.
    pub server: String,
    /// Its key, base64url.
    pub key: String,
    /// Where to dial it, if that can be told.
    pub address: Option<String>,
    /// What it does.
    pub purpose: Purpose,
    /// Claims and resets: for whom.
    pub user: Option<String>,
    /// How often it can be used.
    pub uses: u32,
    /// Until when, in milliseconds since 1970.
    pub expires: Option<u64>,
    /// Whether anybody may register here even without.
    pub open: bool,
}

/// What a code does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Lets people make accounts under names of their choice.
    Invite,
    /// Makes the account of a name that is kept back.
    Claim,
    /// Lets an account begin anew.
    Reset,
}

/// Somebody who has an account here, or whose name is kept back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// The name.
    pub user: String,
    /// How things stand.
    pub state: UserState,
    /// Whether one of the devices is linked.
    pub online: bool,
    /// Devices in the newest list.
    pub devices: usize,
}

/// How things stand with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// There is an account.
    Account,
    /// There was one; nobody gets the name again.
    Closed,
    /// Kept back for whoever has the claim code.
    Claimable,
    /// Kept back, and there is no claim code.
    Reserved,
}

/// A code that is good. What it is, nobody can tell any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeRow {
    /// Its name: the first characters of its hash.
    pub id: String,
    /// What it does.
    pub purpose: Purpose,
    /// Claims and resets: for whom.
    pub user: Option<String>,
    /// How often it can still be used.
    pub uses: u32,
    /// Until when, in milliseconds since 1970.
    pub expires: Option<u64>,
}

/// A server that this one knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRow {
    /// Its name.
    pub name: String,
    /// Where it is dialled; empty where that is not known.
    pub address: String,
    /// How things stand.
    pub state: PeerStanding,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Drafts that wait for it.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Since when the oldest waits, in milliseconds since 1970.
    pub oldest: Option<u64>,
    /// What went wrong last. May quote the other server.
    pub last_error: Option<String>,
    /// When, in milliseconds since 1970.
    pub last_error_at: Option<u64>,
    /// That its key history is told in two ways, if that was found. May quote the other server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked: Option<String>,
}

/// How things stand with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerStanding {
    /// There is a link.
    Linked,
    /// There is none now.
    Unreachable,
    /// There will never be one: `mailing_address` has no key for it.
    NoKey,
    /// It is not in `mailing_address` any more. What waits for it is kept for a while, in case it comes back there.
    Unlisted,
}

/// Answers a question, but for the last line.
pub async fn answer(host: &Host, ask: Ask) -> Result<Vec<Answer>, Refusal> {
    match ask {
        Ask::AddUser { name } => Ok(vec![Answer::Issued(add_user(host, &name).await?)]),
        Ask::ResetUser { name } => Ok(vec![Answer::Issued(reset_user(host, &name).await?)]),
        Ask::CloseUser { name } => Ok(vec![Answer::User(close_user(host, &name).await?)]),
        Ask::Users => Ok(users(host).into_iter().map(Answer::User).collect()),
        Ask::Invite { uses, seconds } => Ok(vec![Answer::Issued(invite(host, uses, seconds).await?)]),
        Ask::Codes => Ok(codes(host).await?.into_iter().map(|(_, row)| Answer::Code(row)).collect()),
        Ask::Revoke { id } => Ok(vec![Answer::Code(revoke(host, &id).await?)]),
        Ask::Peers => Ok(peers(host).await?.into_iter().map(Answer::Peer).collect()),
    }
}

/// A name of this server, from its local part or as a whole.
fn own_name(host: &Host, name: &str) -> Result<UserName, Refusal> {
    let whole = if name.contains('@') { name.to_owned() } else { format!("{name}@{}", host.name) };
    let user: UserName = whole.parse().map_err(|error| Refusal::new(Code::NameRefused, format!("{name:?}: {error}")))?;
    if user.server() != &host.name {
        return Err(Refusal::new(Code::NameRefused, format!("this server is {}, and {user} belongs to another", host.name)));
    }
    Ok(user)
}

async fn add_user(host: &Host, name: &str) -> Result<Issued, Refusal> {
    let user = own_name(host, name)?;
    if is_kept_from_people(&user) {
        return Err(Refusal::new(Code::NameRefused, format!("{user} would read like something else than a person")));
    }
    issue(host, Purpose::Claim, Some(user), (1, NEVER)).await
}

async fn reset_user(host: &Host, name: &str) -> Result<Issued, Refusal> {
    let user = own_name(host, name)?;
    issue(host, Purpose::Reset, Some(user), (1, now() + RESET * 1000)).await
}

async fn close_user(host: &Host, name: &str) -> Result<UserRow, Refusal> {
    let user = own_name(host, name)?;
    host.logs.close_account(&user).await.map_err(|why| no_account(why, &user))?;
    Ok(UserRow { user: user.to_string(), state: UserState::Closed, online: false, devices: 0 })
}

/// What is said where there is no account to do something with.
fn no_account(why: Refusal, user: &UserName) -> Refusal {
    match why.code {
        Code::NotFound => Refusal::new(Code::NotFound, format!("{user} has no account here: `tidings user list` shows who has")),
        Code::Closed => Refusal::new(Code::Closed, format!("the account of {user} is closed already, and stays closed")),
        _ => why,
    }
}

async fn invite(host: &Host, uses: u32, seconds: u64) -> Result<Issued, Refusal> {
    let wrong = |text: String| Err(Refusal::new(Code::Malformed, text));
    if !(1..=MOST_USES).contains(&uses) {
        return wrong(format!("an invitation lets in 1 to {MOST_USES} people, not {uses}"));
    }
    if !(1..=LONGEST).contains(&seconds) {
        return wrong(format!("an invitation is good for 1 second to {} days", LONGEST / 86400));
    }
    if host.accounts.registration() == Registration::Closed {
        let way = "\"registration\" is \"closed\" in setup.json, so an invitation lets nobody in: change that, or keep a name for somebody \
            with `tidings user add`";
        return Err(Refusal::new(Code::RegistrationClosed, way));
    }
    issue(host, Purpose::Invite, None, (uses, now() + seconds * 1000)).await
}

async fn issue(host: &Host, purpose: Purpose, user: Option<UserName>, (uses, expires): (u32, u64)) -> Result<Issued, Refusal> {
    let code = new_code();
    let hash = Hash::of(code.as_bytes());
    let kept = NewCode { hash, user: user.clone(), uses, expires, reset: purpose == Purpose::Reset };
    host.logs.add_code(kept).await.map_err(|why| match (why.code, &user) {
        (Code::NameTaken, Some(user)) => Refusal::new(Code::NameTaken, format!("{user} has an account already")),
        (_, Some(user)) => no_account(why, user),
        _ => why,
    })?;
    Ok(Issued {
        code: code.to_string(),
        id: id_of(&hash),
        server: host.name.to_string(),
        key: write_key(&host.identity.key()),
        address: host.address.clone(),
        purpose,
        user: user.map(|user| user.to_string()),
        uses,
        expires: until(expires),
        open: host.accounts.registration() == Registration::Open,
    })
}

fn until(expires: u64) -> Option<u64> {
    (expires != NEVER).then_some(expires)
}

/// Everybody, in order of name.
fn users(host: &Host) -> Vec<UserRow> {
    let directory = host.logs.directory();
    let account = |user: UserName| {
        let state = directory.state(&user)?;
        let online = host.presence.of(&user) != Online::Offline;
        let (state, devices) = if state.closed { (UserState::Closed, 0) } else { (UserState::Account, state.list.devices.len()) };
        Some(UserRow { user: user.to_string(), state, online, devices })
    };
    let mut users: Vec<UserRow> = directory.users().into_iter().filter(|user| user.server() == &host.name).filter_map(account).collect();
    users.extend(host.logs.unclaimed().into_iter().map(|(user, has_code)| {
        let state = if has_code { UserState::Claimable } else { UserState::Reserved };
        UserRow { user: user.to_string(), state, online: false, devices: 0 }
    }));
    users.sort_by(|a, b| a.user.cmp(&b.user));
    users
}

/// The codes that are good now.
async fn codes(host: &Host) -> Result<Vec<(Hash, CodeRow)>, Refusal> {
    let now = now();
    let good = host.logs.codes().await?.into_iter().filter(|code| code.expires > now);
    Ok(good
        .map(|code| {
            let purpose = match &code.user {
                _ if code.reset => Purpose::Reset,
                Some(_) => Purpose::Claim,
                None => Purpose::Invite,
            };
            let user = code.user.map(|user| user.to_string());
            (code.hash, CodeRow { id: id_of(&code.hash), purpose, user, uses: code.uses, expires: until(code.expires) })
        })
        .collect())
}

async fn revoke(host: &Host, id: &str) -> Result<CodeRow, Refusal> {
    let mut found = codes(host).await?.into_iter().filter(|(_, row)| row.id == id);
    let Some((hash, row)) = found.next() else {
        return Err(Refusal::new(Code::NotFound, format!("no invitation is called {id:?}: `tidings invite list` shows those there are")));
    };
    host.logs.revoke_code(hash).await?;
    Ok(row)
}

async fn peers(host: &Host) -> Result<Vec<PeerRow>, Refusal> {
    let mut rows = Vec::new();
    let mut queues = host.logs.queues().await?;
    for peer in host.peers.all() {
        let queue = queues.remove(peer.name()).unwrap_or_default();
        let how = peer.standing();
        rows.push(PeerRow {
            name: peer.name().to_string(),
            address: peer.address().to_owned(),
            state: match () {
                () if !peer.has_key() => PeerStanding::NoKey,
                () if how.linked => PeerStanding::Linked,
                () => PeerStanding::Unreachable,
            },
            since: how.since,
            waiting: queue.entries,
            waiting_bytes: queue.bytes,
            oldest: queue.oldest,
            last_error_at: how.last_error.as_ref().map(|(at, _)| *at),
            last_error: how.last_error.map(|(_, text)| text),
            forked: host.peers.heads.forked(peer.name()),
        });
    }
    rows.extend(queues.into_iter().map(|(name, queue)| PeerRow {
        name: name.to_string(),
        address: String::new(),
        state: PeerStanding::Unlisted,
        since: 0,
        waiting: queue.entries,
        waiting_bytes: queue.bytes,
        oldest: queue.oldest,
        last_error: None,
        last_error_at: None,
        forked: None,
    }));
    Ok(rows)
}
