//! Who is who: key histories pinned at first sight and followed from there, and who can be reached now.
//!
//! A server only says whom to ask about. A key is used after [`KeyState::apply`] has verified the history up to it, and what
//! was pinned is never replaced: another story raises an alarm.

use crate::ClientError;
use crate::store::Store;
use crate::view;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tidings_proto::frame::{Item, Online, PersonState, Presence};
use tidings_proto::{Draft, Encoded, Entry, Hash, LogName, UserName};
use tidings_trust::{KeyState, KeysError};

/// Everybody that this profile knows of.
#[derive(Default)]
pub struct People {
    known: HashMap<UserName, Known>,
    alarms: HashMap<UserName, String>,
    /// What the home server says now: whom there is, and who can be reached.
    present: BTreeMap<String, (UserName, Online)>,
}

struct Known {
    state: Arc<KeyState>,
    /// The hash of each draft of the pinned history, by its place in `keys@`.
    drafts: HashMap<u64, Hash>,
}

/// What an answer about somebody's keys comes to.
#[derive(Debug, Default)]
pub struct Learned {
    /// The drafts that continue the pinned history.
    pub links: Vec<(u64, Encoded<Draft>)>,
    /// Where the history stands then.
    state: Option<KeyState>,
    /// What must be shown: it is not the history that is pinned.
    pub alarm: Option<String>,
    /// The last place that was answered for.
    pub last: Option<u64>,
}

impl People {
    /// Loads what is pinned; each history is verified again.
    pub fn load(store: &Store) -> Result<People, ClientError> {
        let mut people = People { alarms: store.alarms()?.into_iter().collect(), ..People::default() };
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
        let known = self.known.entry(user.clone()).or_insert_with(|| Known { state: state.clone(), drafts: HashMap::new() });
        known.state = state;
        known.drafts.extend(drafts);
    }

    /// Somebody's verified keys.
    pub fn state(&self, user: &UserName) -> Option<Arc<KeyState>> {
        self.known.get(user).map(|known| known.state.clone())
    }

    /// The version of somebody's verified device list; 0 for nobody.
    pub fn version(&self, user: &UserName) -> u64 {
        self.known.get(user).map_or(0, |known| known.state.list.version)
    }

    /// The place in `keys@` up to which somebody's history is pinned.
    pub fn pinned_to(&self, user: &UserName) -> u64 {
        self.known.get(user).map_or(0, |known| known.state.seq)
    }

    /// What is wrong with somebody's keys.
    pub fn alarm(&self, user: &UserName) -> Option<&str> {
        self.alarms.get(user).map(String::as_str)
    }

    /// The error that stops sending to any of `users`.
    pub fn refuse_changed<'a>(&self, users: impl IntoIterator<Item = &'a UserName>) -> Result<(), ClientError> {
        for user in users {
            if let Some(why) = self.alarm(user) {
                return Err(ClientError::KeyChanged { user: user.clone(), why: why.to_owned() });
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
            match KeyState::apply(newest.as_deref(), &log, entry.seq, draft, None) {
                Ok(state) => {
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
        learned
    }

    /// Takes what was judged and is durable now.
    pub fn take(&mut self, user: &UserName, learned: Learned) {
        if let Some(state) = learned.state {
            self.pin(user, state, learned.links.iter().map(|(seq, draft)| (*seq, draft.hash())));
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

    fn person(&self, user: &UserName, online: Online) -> view::Person {
        let list = self.known.get(user).map(|known| &known.state.list);
        let alarm = self.alarms.get(user).cloned();
        view::Person {
            user: user.clone(),
            online: match online {
                Online::Offline => view::Online::Offline,
                Online::Away => view::Online::Away,
                Online::Online => view::Online::Online,
            },
            fingerprint: list.map(|list| list.identity.fingerprint().to_string()),
            jwk: list.map(|list| format!(r#"{{"keys":[{},{}]}}"#, list.identity.jwk("PS256"), list.encryption.jwk("RSA-OAEP-256"))),
            devices: list.map_or(0, |list| list.devices.len()),
            trust: match (&alarm, list) {
                (Some(_), _) => view::Trust::Changed,
                (None, Some(_)) => view::Trust::Pinned,
                (None, None) => view::Trust::New,
            },
            alarm,
        }
    }
}

/// What a refused change means for somebody whose keys are pinned. What is merely broken harms nobody: it is not used.
fn alarming(error: KeysError) -> Option<String> {
    let why = match error {
        KeysError::WrongIdentity => "another identity key was shown than the one that was seen first",
        KeysError::WrongKind | KeysError::WrongVersion | KeysError::RolledBack => {
            "the server shows a key history that does not continue the one that was seen first"
        }
        _ => return None,
    };
    Some(why.into())
}
