//! Who is online, as far as this server knows: its own users by their links, its peers' users by what the peers say.
//!
//! Never stored, and nothing durable depends on it: it may be lost, late or wrong.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tidings_proto::frame::{Online, PersonState};
use tidings_proto::{ServerName, UserName};
use tokio::sync::broadcast;

/// How many changes a slow listener may be behind before it is told to look at everybody anew.
const BEHIND: usize = 1024;

/// The state of everybody known.
pub struct Presence {
    me: ServerName,
    state: Arc<Mutex<State>>,
    changes: broadcast::Sender<PersonState>,
}

#[derive(Default)]
struct State {
    /// Links per user of this server.
    links: HashMap<UserName, usize>,
    /// What each peer says of its own users; only those who are not offline.
    peers: HashMap<ServerName, HashMap<UserName, Online>>,
}

/// One device's link; its user is offline again when the last of them is dropped.
pub struct Here {
    user: UserName,
    state: Arc<Mutex<State>>,
    changes: broadcast::Sender<PersonState>,
}

impl Presence {
    /// Nobody is online yet.
    pub fn new(me: ServerName) -> Presence {
        Presence { me, state: Arc::default(), changes: broadcast::channel(BEHIND).0 }
    }

    /// A device of `user`, who is of this server, is here until the value is dropped.
    pub fn arrive(&self, user: &UserName) -> Here {
        let mut state = locked(&self.state);
        let links = state.links.entry(user.clone()).or_default();
        *links += 1;
        if *links == 1 {
            tell(&self.changes, user, Online::Online);
        }
        Here { user: user.clone(), state: self.state.clone(), changes: self.changes.clone() }
    }

    /// What `peer` says of its users. It is believed about its own users only.
    pub fn peer_says(&self, peer: &ServerName, whole: bool, people: Vec<PersonState>) {
        let mut state = locked(&self.state);
        let known = state.peers.entry(peer.clone()).or_default();
        let said: HashMap<UserName, Online> =
            people.into_iter().filter(|person| person.user.server() == peer).map(|person| (person.user, person.online)).collect();
        if whole {
            for user in known.keys().filter(|user| !said.contains_key(*user)) {
                tell(&self.changes, user, Online::Offline);
            }
            known.retain(|user, _| said.contains_key(user));
        }
        for (user, online) in said {
            let before = known.get(&user).copied().unwrap_or(Online::Offline);
            if before != online {
                tell(&self.changes, &user, online);
            }
            if online == Online::Offline {
                known.remove(&user);
            } else {
                known.insert(user, online);
            }
        }
    }

    /// `peer` cannot be heard any more: its users are offline, as far as anybody here can tell.
    pub fn peer_lost(&self, peer: &ServerName) {
        self.peer_says(peer, true, Vec::new());
    }

    /// Whether `user` can be reached.
    pub fn of(&self, user: &UserName) -> Online {
        let state = locked(&self.state);
        if user.server() == &self.me {
            if state.links.contains_key(user) { Online::Online } else { Online::Offline }
        } else {
            state.peers.get(user.server()).and_then(|peer| peer.get(user)).copied().unwrap_or(Online::Offline)
        }
    }

    /// This server's own users who are not offline.
    pub fn own(&self) -> Vec<PersonState> {
        locked(&self.state).links.keys().map(|user| person(user, Online::Online)).collect()
    }

    /// Everybody who is not offline.
    pub fn everybody(&self) -> Vec<PersonState> {
        let mut people = self.own();
        let state = locked(&self.state);
        people.extend(state.peers.values().flatten().map(|(user, online)| person(user, *online)));
        people
    }

    /// Every change from now on.
    pub fn changes(&self) -> broadcast::Receiver<PersonState> {
        self.changes.subscribe()
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let mut state = locked(&self.state);
        if let Some(links) = state.links.get_mut(&self.user) {
            *links -= 1;
            if *links == 0 {
                state.links.remove(&self.user);
                tell(&self.changes, &self.user, Online::Offline);
            }
        }
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn person(user: &UserName, online: Online) -> PersonState {
    PersonState { user: user.clone(), online, list: 0 }
}

fn tell(changes: &broadcast::Sender<PersonState>, user: &UserName, online: Online) {
    // An error only says that nobody listens.
    let _ = changes.send(person(user, online));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserName {
        name.parse().unwrap()
    }

    #[test]
    fn a_user_is_online_while_one_link_is_left() {
        let presence = Presence::new("s1".parse().unwrap());
        let mut changes = presence.changes();
        let phone = presence.arrive(&user("alice@s1"));
        let laptop = presence.arrive(&user("alice@s1"));
        drop(phone);
        assert_eq!(presence.of(&user("alice@s1")), Online::Online);
        drop(laptop);
        assert_eq!(presence.of(&user("alice@s1")), Online::Offline);
        assert_eq!(changes.try_recv().unwrap().online, Online::Online);
        assert_eq!(changes.try_recv().unwrap().online, Online::Offline);
        assert!(changes.try_recv().is_err());
    }

    #[test]
    fn a_peer_speaks_only_for_its_own_users() {
        let presence = Presence::new("s1".parse().unwrap());
        let s2: ServerName = "s2".parse().unwrap();
        let says = |name: &str| person(&user(name), Online::Online);
        presence.peer_says(&s2, true, vec![says("bob@s2"), says("alice@s1"), says("carol@s3")]);
        assert_eq!(presence.of(&user("bob@s2")), Online::Online);
        assert_eq!(presence.of(&user("alice@s1")), Online::Offline);
        assert_eq!(presence.of(&user("carol@s3")), Online::Offline);
        presence.peer_lost(&s2);
        assert_eq!(presence.of(&user("bob@s2")), Online::Offline);
    }
}
