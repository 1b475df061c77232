//! Who is online, as far as this server knows: its own users by their links, its peers' users by what the peers say.
//!
//! Never stored, and nothing durable depends on it: it may be lost, late or wrong.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tidings_proto::frame::{Online, PersonState};
use tidings_proto::{ServerName, UserName};
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

/// How many changes a slow listener may be behind before it is told to look at everybody anew.
const BEHIND: usize = 1024;
/// Of a peer's user at most one change is told in so long.
const EVERY: Duration = Duration::from_secs(2);
/// A peer may speak of so many users before their keys are here; when those arrive, what was said is shown with them.
const EARLY: usize = 1000;

/// Whether the keys of a user are here.
type Known = Box<dyn Fn(&UserName) -> bool + Send + Sync>;

/// The state of everybody known.
pub struct Presence {
    me: ServerName,
    known: Known,
    state: Arc<Mutex<State>>,
    changes: broadcast::Sender<PersonState>,
    late: Notify,
}

#[derive(Default)]
struct State {
    /// Links per user of this server.
    links: BTreeMap<UserName, usize>,
    peers: BTreeMap<ServerName, Said>,
    /// Changes of peers' users that were told lately, and when.
    told: HashMap<UserName, Instant>,
    /// Peers' users whose change is told later.
    late: BTreeSet<UserName>,
}

/// What a peer says of its own users; only those who are not offline.
#[derive(Default)]
struct Said {
    online: BTreeMap<UserName, Online>,
    /// The same of users whose keys were not here yet.
    early: BTreeMap<UserName, Online>,
}

/// One device's link; its user is offline again when the last of them is dropped.
pub struct Here {
    user: UserName,
    state: Arc<Mutex<State>>,
    changes: broadcast::Sender<PersonState>,
}

impl Said {
    fn of(&self, user: &UserName) -> Online {
        self.online.get(user).or_else(|| self.early.get(user)).copied().unwrap_or(Online::Offline)
    }

    /// Takes over what is said of one user. Of whom nothing is known, only so much is kept.
    fn put(&mut self, user: UserName, online: Online, known: bool) {
        self.online.remove(&user);
        self.early.remove(&user);
        if online == Online::Offline {
            return;
        }
        if known {
            self.online.insert(user, online);
        } else if self.early.len() < EARLY {
            self.early.insert(user, online);
        }
    }
}

impl Presence {
    /// Nobody is online yet. Only users who are `known` are shown.
    pub fn new(me: ServerName, known: impl Fn(&UserName) -> bool + Send + Sync + 'static) -> Presence {
        let (known, changes) = (Box::new(known), broadcast::channel(BEHIND).0);
        Presence { me, known, state: Arc::default(), changes, late: Notify::new() }
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

    /// What `peer` says of its users. It is believed about its own users only, and heard of no others.
    pub fn peer_says(&self, peer: &ServerName, whole: bool, people: Vec<PersonState>) {
        self.peer_says_at(peer, whole, people, Instant::now());
    }

    fn peer_says_at(&self, peer: &ServerName, whole: bool, people: Vec<PersonState>, now: Instant) {
        let mut state = locked(&self.state);
        let mut said: BTreeMap<UserName, Online> =
            people.into_iter().filter(|person| person.user.server() == peer).map(|person| (person.user, person.online)).collect();
        let before = state.peers.entry(peer.clone()).or_default();
        if whole {
            // Whoever is not mentioned is gone.
            for user in before.online.keys().chain(before.early.keys()) {
                said.entry(user.clone()).or_insert(Online::Offline);
            }
        }
        let mut changed = Vec::new();
        for (user, online) in said {
            let known = (self.known)(&user);
            if known && before.of(&user) != online {
                changed.push((user.clone(), online));
            }
            before.put(user, online, known);
        }
        for (user, online) in changed {
            if state.told.get(&user).is_some_and(|at| now.duration_since(*at) < EVERY) {
                state.late.insert(user);
                self.late.notify_one();
            } else {
                state.told.insert(user.clone(), now);
                tell(&self.changes, &user, online);
            }
        }
    }

    /// Tells what had to wait, for as long as it is polled.
    pub async fn tell_late(&self) {
        loop {
            self.late.notified().await;
            tokio::time::sleep(EVERY).await;
            self.tell_late_at(Instant::now());
        }
    }

    fn tell_late_at(&self, now: Instant) {
        let mut state = locked(&self.state);
        state.told.retain(|_, at| now.duration_since(*at) < EVERY);
        for user in std::mem::take(&mut state.late) {
            let online = state.peers.get(user.server()).map_or(Online::Offline, |said| said.of(&user));
            tell(&self.changes, &user, online);
            state.told.insert(user, now);
        }
    }

    /// `peer` cannot be heard any more: its users are offline, as far as anybody here can tell.
    pub fn peer_lost(&self, peer: &ServerName) {
        self.peer_says(peer, true, Vec::new());
    }

    /// Whether `user`, who is known, can be reached.
    pub fn of(&self, user: &UserName) -> Online {
        let state = locked(&self.state);
        if user.server() == &self.me {
            if state.links.contains_key(user) { Online::Online } else { Online::Offline }
        } else {
            state.peers.get(user.server()).map_or(Online::Offline, |said| said.of(user))
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
        for said in state.peers.values() {
            let early = said.early.iter().filter(|(user, _)| (self.known)(user));
            people.extend(said.online.iter().chain(early).map(|(user, online)| person(user, *online)));
        }
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
    use std::collections::HashSet;

    fn user(name: &str) -> UserName {
        name.parse().unwrap()
    }

    #[test]
    fn a_user_is_online_while_one_link_is_left() {
        let presence = Presence::new("s1".parse().unwrap(), |_| true);
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

    fn says(name: &str, online: Online) -> PersonState {
        person(&user(name), online)
    }

    fn told(changes: &mut broadcast::Receiver<PersonState>) -> Vec<(String, Online)> {
        std::iter::from_fn(|| changes.try_recv().ok()).map(|person| (person.user.to_string(), person.online)).collect()
    }

    #[test]
    fn a_peer_speaks_only_for_its_own_users() {
        let presence = Presence::new("s1".parse().unwrap(), |_| true);
        let s2: ServerName = "s2".parse().unwrap();
        let people = ["bob@s2", "alice@s1", "carol@s3"].map(|name| says(name, Online::Online));
        presence.peer_says(&s2, true, people.to_vec());
        assert_eq!(presence.of(&user("bob@s2")), Online::Online);
        assert_eq!(presence.of(&user("alice@s1")), Online::Offline);
        assert_eq!(presence.of(&user("carol@s3")), Online::Offline);
        presence.peer_lost(&s2);
        assert_eq!(presence.of(&user("bob@s2")), Online::Offline);
    }

    #[test]
    fn of_users_whom_nobody_knows_nothing_is_shown_and_little_kept() {
        let keys = Arc::new(Mutex::new(HashSet::from([user("bob@s2")])));
        let known = keys.clone();
        let presence = Presence::new("s1".parse().unwrap(), move |user| known.lock().unwrap().contains(user));
        let s2: ServerName = "s2".parse().unwrap();
        let mut changes = presence.changes();
        let ghosts = |count: usize| (0..count).map(|i| says(&format!("ghost{i}@s2"), Online::Online)).collect::<Vec<_>>();
        let kept = || presence.state.lock().unwrap().peers[&s2].early.len();
        for (count, wanted) in [(EARLY - 1, EARLY - 1), (EARLY, EARLY), (EARLY + 1, EARLY)] {
            presence.peer_says(&s2, false, ghosts(count));
            assert_eq!(kept(), wanted);
        }
        presence.peer_says(&s2, false, vec![says("bob@s2", Online::Online)]);
        assert_eq!(told(&mut changes), [("bob@s2".into(), Online::Online)], "whoever is known has room all the same");
        assert_eq!(presence.everybody().len(), 1);
        // The keys of one of them arrive: what was said before holds.
        keys.lock().unwrap().insert(user("ghost7@s2"));
        assert_eq!((presence.of(&user("ghost7@s2")), presence.everybody().len()), (Online::Online, 2));
        presence.peer_says(&s2, true, vec![says("ghost7@s2", Online::Away)]);
        assert_eq!((presence.of(&user("ghost7@s2")), presence.everybody().len(), kept()), (Online::Away, 1, 0));
    }

    #[test]
    fn one_change_of_a_user_is_told_in_two_seconds_and_the_last_one_holds() {
        let presence = Presence::new("s1".parse().unwrap(), |_| true);
        let s2: ServerName = "s2".parse().unwrap();
        let mut changes = presence.changes();
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let say = |name: &str, online, now| presence.peer_says_at(&s2, false, vec![says(name, online)], now);
        for i in 0..100 {
            say("bob@s2", if i % 2 == 0 { Online::Online } else { Online::Offline }, at(i));
        }
        say("carol@s2", Online::Online, at(100));
        let both = [("bob@s2".to_owned(), Online::Online), ("carol@s2".to_owned(), Online::Online)];
        assert_eq!(told(&mut changes), both);
        assert_eq!(presence.of(&user("bob@s2")), Online::Offline, "what is asked for is as new as can be");
        presence.tell_late_at(at(2000));
        assert_eq!(told(&mut changes), [("bob@s2".into(), Online::Offline)]);
        say("bob@s2", Online::Online, at(3999));
        assert!(told(&mut changes).is_empty());
        presence.tell_late_at(at(4000));
        assert_eq!(told(&mut changes), [("bob@s2".into(), Online::Online)]);
        say("bob@s2", Online::Away, at(6000));
        assert_eq!(told(&mut changes), [("bob@s2".into(), Online::Away)], "after a pause it is told at once");
    }
}
