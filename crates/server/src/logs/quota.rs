//! What rooms count towards. What others begin with somebody never takes the places of that person's own rooms.

use crate::store::People;
use tidings_proto::frame::RoomRef;
use tidings_proto::{Genesis, ServerName, UserName};

/// A number of rooms that is limited.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Quota {
    /// The rooms that somebody has begun, takes part in or has taken part in.
    Own(UserName),
    /// Those that others have begun with somebody of this server, or asked them into, and in which they have taken no part.
    Asked(UserName),
    /// The direct rooms that a peer's users have begun with people of this server who have not written in them.
    Peer(ServerName),
}

/// What a room counts towards at server `me`. A group that has not begun counts for whoever has the pointer to it.
pub fn quotas(me: &ServerName, room: Option<&RoomRef>, asked: Option<&UserName>, people: Option<&People>) -> Vec<Quota> {
    let of_us = |user: &&UserName| user.server() == me;
    let asked_here = || asked.filter(of_us).cloned().map(Quota::Asked);
    match (room.map(|room| &room.genesis), people) {
        (Some(Genesis::Direct(direct)), _) => {
            let takes_part = direct.people.iter().filter(|person| Some(*person) != asked);
            let mut found: Vec<Quota> = takes_part.cloned().map(Quota::Own).collect();
            found.dedup(); // notes to oneself
            let by_peer = asked.filter(of_us).map(|asked| direct.other(asked).server()).filter(|server| *server != me);
            found.extend(asked_here().into_iter().chain(by_peer.cloned().map(Quota::Peer)));
            found
        }
        (Some(Genesis::Group(_)), Some(people)) => {
            let ours = people.everybody().filter(of_us).cloned();
            ours.map(|user| if people.is_asked(&user) { Quota::Asked(user) } else { Quota::Own(user) }).collect()
        }
        (Some(Genesis::Group(_)), None) => asked_here().into_iter().collect(),
        (None, _) => Vec::new(),
    }
}
