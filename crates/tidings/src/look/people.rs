//! People: everybody, and those in a group.

use super::{BOLD, CYAN, Cell, DIM, GREEN, Look, RED, YELLOW, columns, heads, object};
use crate::inert;
use serde::Serialize;
use tidings_client::UserName;
use tidings_client::view::{Member, Online, Person, Role, Target, Trust};

/// Everybody, one a line.
pub fn people(people: &[Person], me: &UserName, look: Look) -> Vec<String> {
    if look.json {
        return people.iter().map(|person| object("person", person)).collect();
    }
    let mut rows = vec![heads(["PERSON", "NOW", "TRUST", "FINGERPRINT OF THE IDENTITY KEY"])];
    let mut alarms = Vec::new();
    for person in people {
        let fingerprint = person.fingerprint.as_deref().map_or_else(|| "-".into(), inert::line);
        rows.push(vec![(person.user.to_string(), BOLD), now(person.online), trust(person.trust, &person.user, me), (fingerprint, "")]);
        if let Some(alarm) = &person.alarm {
            alarms.push(look.paint(RED, &format!("! {}: {}", person.user, inert::line(alarm))));
        }
        if let Some(warning) = &person.warning {
            alarms.push(look.paint(YELLOW, &format!("! {}: {}", person.user, inert::line(warning))));
        }
    }
    let mut lines = columns(&rows, look);
    lines.append(&mut alarms);
    lines
}

#[derive(Serialize)]
struct MemberObject<'a> {
    room: &'a Target,
    #[serde(flatten)]
    member: &'a Member,
}

/// A group's people, one a line.
pub fn members(room: &Target, members: &[Member], me: &UserName, look: Look) -> Vec<String> {
    if look.json {
        return members.iter().map(|member| object("member", &MemberObject { room, member })).collect();
    }
    let mut rows = vec![heads(["PERSON", "ROLE", "HERE", "NOW", "TRUST"])];
    for member in members {
        let here = if member.joined { ("in".into(), "") } else { ("asked in".into(), YELLOW) };
        let (now, trust) = (now(member.online), trust(member.trust, &member.user, me));
        rows.push(vec![(member.user.to_string(), BOLD), (role(member.role).into(), ""), here, now, trust]);
    }
    columns(&rows, look)
}

/// A role in a word.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Member => "member",
    }
}

fn now(online: Online) -> Cell {
    match online {
        Online::Online => ("online".into(), GREEN),
        Online::Away => ("away".into(), YELLOW),
        Online::Offline => ("offline".into(), DIM),
    }
}

fn trust(trust: Trust, user: &UserName, me: &UserName) -> Cell {
    let (word, colour) = match trust {
        _ if user == me => ("you", CYAN),
        Trust::New => ("new", DIM),
        Trust::Pinned => ("pinned", ""),
        Trust::Verified => ("verified", GREEN),
        Trust::Changed => ("CHANGED", RED),
    };
    (word.into(), colour)
}
