//! Who is who: key histories pinned at first sight and followed from there, and who can be reached now.
//!
//! A server only says whom to ask about. A key is used after [`KeyState::apply`] has verified the history up to it, and what
//! was pinned is never replaced: another story raises an alarm.

use crate::ClientError;
use crate::store::{Doubt, Store, Trusted};
use crate::view;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tidings_proto::frame::{Item, Online, PersonState, Presence};
use tidings_proto::{DeviceKey, Draft, Encoded, Entry, Hash, Kind, LogName, ServerKey, ServerName, UserName};
use tidings_trust::{Fingerprint, KeyState, KeysError};

/// Everybody that this profile knows of.
pub struct People {
    me: UserName,
    device: DeviceKey,
    /// The home server's key, once it is pinned: other servers' words are taken for what they say.
    home: Option<ServerKey>,
    known: HashMap<UserName, Known>,
    trusted: HashMap<UserName, Trusted>,
    /// Who was compared on any of this account's devices, as the vault says.
    compared: HashMap<UserName, Fingerprint>,
    alarms: HashMap<UserName, String>,
    /// The drafts of all pinned histories, by server and place.
    places: HashMap<(ServerName, u64), (UserName, Hash)>,
    /// Whose key histories are told in two ways, as far as that is known.
    doubts: Vec<Doubt>,
    /// What the home server says now: whom there is, and who can be reached.
    present: BTreeMap<String, (UserName, Online)>,
}

struct Known {
    state: Arc<KeyState>,
    /// The hash of each draft of the pinned history, by its place in `keys@`.
    drafts: HashMap<u64, Hash>,
}

/// What an answer about somebody's keys comes to.
#[derive(Debug, Default, Clone)]
pub struct Learned {
    /// The drafts that continue the pinned history.
    pub links: Vec<(u64, Encoded<Draft>)>,
    /// Where the history stands then.
    state: Option<KeyState>,
    /// What must be shown: it is not the history that is pinned.
    pub alarm: Option<String>,
    /// What a person should know of it.
    pub notices: Vec<String>,
    /// Somebody who is seen for the first time is trusted so far.
    pub trusted: Option<Trusted>,
    /// The last place that was answered for.
    pub last: Option<u64>,
}

impl Learned {
    /// Nothing, but that it is not as it should be.
    pub fn alarm(why: &str) -> Learned {
        Learned { alarm: Some(why.into()), ..Learned::default() }
    }
}

impl People {
    /// Loads what is pinned; each history is verified again.
    pub fn load(store: &Store, me: &UserName, device: DeviceKey) -> Result<People, ClientError> {
        let mut people = People {
            me: me.clone(),
            device,
            home: None,
            known: HashMap::new(),
            trusted: store.trusted()?.into_iter().collect(),
            compared: HashMap::new(),
            alarms: store.alarms()?.into_iter().collect(),
            places: HashMap::new(),
            doubts: store.doubts()?,
            present: BTreeMap::new(),
        };
        for (user, seq, draft) in store.chains()? {
            let log = LogName::Keys(user.server().clone());
            let before = people.known.get(&user).map(|known| known.state.clone());
            let state = KeyState::apply(before.as_deref(), &log, seq, &draft, None)
                .map_err(|error| ClientError::Store(format!("the key history of {user} that is kept here does not verify: {error}")))?;
            people.pin(&user, state, [(seq, draft.hash())]);
        }
        Ok(people)
    }

    fn pin(&mut self, user: &UserName, state: KeyState, drafts: impl IntoIterator<Item = (u64, Hash)>) {
        let state = Arc::new(state);
        let drafts: Vec<(u64, Hash)> = drafts.into_iter().collect();
        self.places.extend(drafts.iter().map(|(seq, hash)| ((user.server().clone(), *seq), (user.clone(), *hash))));
        let known = self.known.entry(user.clone()).or_insert_with(|| Known { state: state.clone(), drafts: HashMap::new() });
        known.state = state;
        known.drafts.extend(drafts);
    }

    /// The home server has proved this key.
    pub fn at_home(&mut self, key: ServerKey) {
        self.home = Some(key);
    }

    /// The home server's key, once it is pinned.
    pub fn home(&self) -> Option<ServerKey> {
        self.home
    }

    /// Whose keys are pinned at a place of a server's `keys@`, and the hash of the draft there.
    pub fn pinned_at(&self, server: &ServerName, seq: u64) -> Option<(UserName, Hash)> {
        self.places.get(&(server.clone(), seq)).cloned()
    }

    /// Key histories turn out to be told in two ways.
    pub fn doubt(&mut self, doubts: Vec<Doubt>) {
        for doubt in doubts {
            if !self.doubts.iter().any(|known| (&known.server, &known.by) == (&doubt.server, &doubt.by)) {
                self.doubts.push(doubt);
            }
        }
    }

    /// What there is to say of somebody's keys though nothing is known to be wrong with them. Whoever has compared them knows better.
    fn warning(&self, user: &UserName) -> Option<String> {
        let doubt = self.doubts.iter().find(|doubt| doubt.server == *user.server())?;
        (self.trust_in(user) == view::Trust::Pinned && *user != self.me).then(|| doubt.why.clone())
    }

    /// Somebody's verified keys.
    pub fn state(&self, user: &UserName) -> Option<Arc<KeyState>> {
        self.known.get(user).map(|known| known.state.clone())
    }

    /// The version of somebody's verified device list; 0 for nobody.
    pub fn version(&self, user: &UserName) -> u64 {
        self.known.get(user).map_or(0, |known| known.state.version())
    }

    /// The place in `keys@` up to which somebody's history is pinned.
    pub fn pinned_to(&self, user: &UserName) -> u64 {
        self.known.get(user).map_or(0, |known| known.state.seq)
    }

    /// What is wrong with somebody's keys.
    pub fn alarm(&self, user: &UserName) -> Option<String> {
        if let Some(why) = self.alarms.get(user) {
            return Some(why.clone());
        }
        let state = self.state(user)?;
        if state.closed {
            return Some("the account is closed".into());
        }
        let trusted = self.trusted.get(user)?;
        (!state.is_still(&trusted.accepted)).then(|| RESET.into())
    }

    /// What is decided about somebody.
    pub fn trusted(&self, user: &UserName) -> Option<Trusted> {
        self.trusted.get(user).copied()
    }

    /// Something is decided about somebody, and durable.
    pub fn trust(&mut self, user: &UserName, trusted: Trusted) {
        self.trusted.insert(user.clone(), trusted);
    }

    /// Who was compared, on whichever device; some may not be known here yet.
    pub fn were_compared(&mut self, compared: &[(UserName, Fingerprint)]) {
        self.compared = compared.iter().cloned().collect();
    }

    /// Everybody whose keys are known.
    pub fn everybody(&self) -> Vec<UserName> {
        self.known.keys().cloned().collect()
    }

    /// The error that stops sending to any of `users`.
    pub fn refuse_changed<'a>(&self, users: impl IntoIterator<Item = &'a UserName>) -> Result<(), ClientError> {
        for user in users {
            if self.state(user).is_some_and(|state| state.closed) {
                return Err(ClientError::AccountClosed(user.clone()));
            }
            if let Some(why) = self.alarm(user) {
                return Err(ClientError::KeyChanged { user: user.clone(), why });
            }
        }
        Ok(())
    }

    /// The error that stops sending to a group: its server shows another history of somebody's than the one that was seen. An
    /// account that began anew is put out of the group instead.
    pub fn refuse_another_history<'a>(&self, users: impl IntoIterator<Item = &'a UserName>) -> Result<(), ClientError> {
        for user in users {
            if let Some(why) = self.alarms.get(user) {
                return Err(ClientError::KeyChanged { user: user.clone(), why: why.clone() });
            }
        }
        Ok(())
    }

    /// Judges entries of `keys@` about `user`. Pure: to be committed, then given to [`People::take`].
    pub fn judge(&self, user: &UserName, items: &[Item]) -> Learned {
        let log = LogName::Keys(user.server().clone());
        let known = self.known.get(user);
        let mut learned = Learned::default();
        let mut newest = known.map(|known| known.state.clone());
        for item in items {
            let Ok(entry) = Entry::read(&item.entry) else {
                tracing::warn!(%user, "an entry about a user's keys cannot be read; what follows it is not looked at");
                break;
            };
            learned.last = Some(entry.seq);
            let Some(draft) = entry.draft().filter(|draft| draft.author == *user) else {
                tracing::warn!(%user, seq = entry.seq, "an entry about a user's keys is not that user's");
                continue;
            };
            if let Some(pinned) = known.filter(|known| entry.seq <= known.state.seq) {
                if pinned.drafts.get(&entry.seq) != Some(&draft.hash()) {
                    learned.alarm = Some("the server now shows another key history than the one that was seen first".into());
                    break;
                }
                continue;
            }
            let server = self.home.as_ref().filter(|_| user.server() == self.me.server());
            match KeyState::apply(newest.as_deref(), &log, entry.seq, draft, server) {
                Ok(state) => {
                    if let (Some(_), Some(before)) = (known, &newest) {
                        learned.notices.extend(self.notice(before, &state, draft));
                    }
                    learned.links.push((entry.seq, draft.clone()));
                    learned.state = Some(state.clone());
                    newest = Some(Arc::new(state));
                }
                Err(error) => {
                    learned.alarm = newest.as_ref().and_then(|_| alarming(error));
                    tracing::warn!(%user, seq = entry.seq, %error, "a change of a user's keys is refused");
                    break;
                }
            }
        }
        if let (Some(state), None) = (&learned.state, self.trusted.get(user)) {
            // One's own keys are here before anything is decided: what comes after them was not seen first.
            let first = known.map_or(state, |known| &*known.state);
            let verified = self.compared.get(user).copied();
            learned.trusted = Some(Trusted { accepted: first.list.identity.fingerprint(), verified });
        }
        learned
    }

    /// What a person should know of a change of somebody's keys.
    fn notice(&self, before: &KeyState, after: &KeyState, draft: &Draft) -> Option<String> {
        let user = &after.list.user;
        match draft.kind {
            Kind::Rotate => {
                Some(format!("{user} has a new identity key; the old one has signed it. Whoever had compared the old one compares again"))
            }
            Kind::Reset => Some(format!("{user}: {RESET}")),
            Kind::Gone => Some(format!("the account {user} is closed")),
            _ if *user != self.me || draft.device == self.device => None,
            _ => {
                let is_new = |key: &DeviceKey| before.device(key).is_none();
                let came = after.list.devices.iter().filter(|device| is_new(&device.key)).count();
                let went = before.list.devices.iter().filter(|device| after.device(&device.key).is_none()).count();
                let keys = after.list.encryption != before.list.encryption;
                let what = match (came, went, keys) {
                    (0, 0, false) => return None,
                    (1.., 0, _) => "a device was added to your account",
                    (0, 1.., _) => "a device was taken off your account, and its keys were changed",
                    (0, 0, true) => "your account's keys were changed",
                    _ => "devices were added to your account and taken off it",
                };
                Some(format!(
                    "{what}, on another of your devices. If that was not you, change your password and take off what is not yours"
                ))
            }
        }
    }

    /// Takes what was judged and is durable now.
    pub fn take(&mut self, user: &UserName, learned: Learned) {
        if let Some(state) = learned.state {
            self.pin(user, state, learned.links.iter().map(|(seq, draft)| (*seq, draft.hash())));
        }
        if let Some(trusted) = learned.trusted {
            self.trusted.insert(user.clone(), trusted);
        }
        if let Some(why) = learned.alarm {
            self.alarms.entry(user.clone()).or_insert(why);
        }
    }

    /// The home server says who there is. Returns those whose newest list is not known here.
    pub fn present(&mut self, people: &[PersonState]) -> Vec<UserName> {
        let mut unknown = Vec::new();
        for person in people {
            self.present.insert(person.user.to_string(), (person.user.clone(), person.online));
            if person.list > self.version(&person.user) {
                unknown.push(person.user.clone());
            }
        }
        unknown
    }

    /// Who came, who went. Returns those whose newest list is not known here.
    pub fn presence(&mut self, change: &Presence) -> Vec<UserName> {
        if change.whole {
            self.nobody_online();
        }
        self.present(&change.people)
    }

    /// Without a link nobody is known to be online.
    pub fn nobody_online(&mut self) {
        self.present.values_mut().for_each(|(_, online)| *online = Online::Offline);
    }

    /// Everybody, in order of name.
    pub fn view(&self) -> Vec<view::Person> {
        let mut all: BTreeMap<String, (&UserName, Online)> =
            self.present.iter().map(|(name, (user, online))| (name.clone(), (user, *online))).collect();
        for user in self.known.keys().chain(self.alarms.keys()) {
            all.entry(user.to_string()).or_insert((user, Online::Offline));
        }
        all.into_values().map(|(user, online)| self.person(user, online)).collect()
    }

    /// What is known about somebody's key.
    pub fn trust_in(&self, user: &UserName) -> view::Trust {
        if self.alarm(user).is_some() {
            return view::Trust::Changed;
        }
        let Some(state) = self.state(user) else { return view::Trust::New };
        let compared = self.trusted.get(user).and_then(|trusted| trusted.verified);
        if compared == Some(state.list.identity.fingerprint()) { view::Trust::Verified } else { view::Trust::Pinned }
    }

    /// Whether somebody can be reached now.
    pub fn online(&self, user: &UserName) -> view::Online {
        shown(self.present.get(&user.to_string()).map_or(Online::Offline, |(_, online)| *online))
    }

    fn person(&self, user: &UserName, online: Online) -> view::Person {
        let list = self.known.get(user).map(|known| &known.state.list);
        let (alarm, closed) = (self.alarm(user), self.state(user).is_some_and(|state| state.closed));
        view::Person {
            user: user.clone(),
            online: shown(online),
            fingerprint: list.map(|list| list.identity.fingerprint().to_string()),
            jwk: list.map(|list| format!(r#"{{"keys":[{},{}]}}"#, list.identity.jwk("PS256"), list.encryption.jwk("RSA-OAEP-256"))),
            devices: list.map_or(0, |list| list.devices.len()),
            trust: self.trust_in(user),
            can_accept: alarm.is_some() && !closed && !self.alarms.contains_key(user),
            closed,
            alarm,
            warning: self.warning(user),
        }
    }
}

fn shown(online: Online) -> view::Online {
    match online {
        Online::Offline => view::Online::Offline,
        Online::Away => view::Online::Away,
        Online::Online => view::Online::Online,
    }
}

/// What is said of an account that was reset, until that is accepted.
const RESET: &str = "the account was begun anew, with other keys, on its server's word: whether it is the same person, only they can say";

/// What a refused change means for somebody whose keys are pinned. What is merely broken harms nobody: it is not used.
fn alarming(error: KeysError) -> Option<String> {
    let why = match error {
        KeysError::WrongIdentity | KeysError::BadGrant => "another identity key was shown than the one that was seen first",
        KeysError::WrongKind | KeysError::WrongVersion | KeysError::RolledBack | KeysError::Closed => {
            "the server shows a key history that does not continue the one that was seen first"
        }
        _ => return None,
    };
    Some(why.into())
}
