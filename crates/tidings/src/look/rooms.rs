//! Conversations: the table of them, and what says that one is asked into a group.

use super::people::role;
use super::{BOLD, Cell, DIM, GREEN, Look, Places, RED, YELLOW, columns, heads, object};
use crate::inert;
use tidings_client::view::{Part, Room, Target};

/// All conversations, one a line.
pub fn rooms(rooms: &[Room], look: Look) -> Vec<String> {
    if look.json {
        return rooms.iter().map(|room| object("room", room)).collect();
    }
    let places = Places::of(rooms);
    let none = || ("-".to_owned(), DIM);
    let mut rows = vec![heads(["CONVERSATION", "KIND", "ID", "YOU", "ROLE", "PEOPLE", "MESSAGES", "SEALED"])];
    let mut alarms = Vec::new();
    for room in rooms {
        let (kind, id) = match &room.target {
            Target::Public => ("public", none()),
            Target::Direct { .. } => ("direct", none()),
            Target::Group { .. } => ("group", (short_id(&room.target), "")),
        };
        rows.push(vec![
            (places.name(&room.target), BOLD),
            (kind.into(), ""),
            id,
            part(&room.part),
            room.role.map_or_else(none, |own| (role(own).into(), "")),
            room.members.map_or_else(none, |count| (count.to_string(), "")),
            (room.messages.to_string(), ""),
            room.suite.as_deref().map_or(("no: everybody reads it".into(), DIM), badge),
        ]);
        for (log, reason) in &room.stopped {
            alarms.push(look.paint(RED, &format!("! {} is stopped: {}", inert::line(log), inert::line(reason))));
        }
    }
    let mut lines = columns(&rows, look);
    lines.append(&mut alarms);
    lines
}

fn part(part: &Part) -> Cell {
    match part {
        Part::In => ("in".into(), GREEN),
        Part::Invited { by: Some(by) } => (format!("asked in by {by}"), YELLOW),
        Part::Invited { by: None } => ("asked in".into(), YELLOW),
        Part::Gone => ("gone".into(), DIM),
        Part::Arriving => ("arriving".into(), DIM),
    }
}

/// What people call a suite.
fn badge(suite: &str) -> Cell {
    match suite {
        "rsa-jwe-1" => ("Classic RSA".into(), ""),
        "mls-1" => ("MLS".into(), ""),
        other => (other.to_owned(), ""),
    }
}

/// As much of a group's id as people need to name it.
pub fn short_id(target: &Target) -> String {
    target.to_string().chars().take(8).collect()
}

/// Somebody asks this person into a group.
pub fn invitation(room: &Room, places: &Places, look: Look) -> String {
    if look.json {
        return object("invitation", room);
    }
    let by = match &room.part {
        Part::Invited { by: Some(by) } => format!("{by} asks you"),
        _ => "you are asked".into(),
    };
    let (name, id) = (look.paint(BOLD, &places.name(&room.target)), short_id(&room.target));
    format!("{} {by} into {name}: tidings room join {id}", look.paint(YELLOW, "*"))
}
