//! One schedule: what happens step by step, and how the world heals at the end.

use super::world::{Said, Who, World};
use futures_util::FutureExt;
use std::time::Duration;
use tidings_client::ClientError;
use tidings_client::view::{MessageId, Part, Role, Target};
use tidings_proto::{Genesis, LogName, SuiteName};

/// Rounds in which the world has to come to rest, once nothing is in its way.
const ROUNDS: usize = 600;

/// What is written about in this world: RSA costs two milliseconds a message and reader, so most worlds do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// The public chat alone.
    Public,
    /// Direct rooms too.
    Direct,
    /// Groups too.
    Group,
}

impl World {
    /// Everything that happens while things go wrong.
    pub fn runs(&mut self) {
        let topic = match (self.suite, self.dice.below(20)) {
            (SuiteName::RsaJwe1, 0..16) => Topic::Public,
            (SuiteName::RsaJwe1, 16..18) | (SuiteName::Mls1, 0..8) => Topic::Direct,
            _ => Topic::Group,
        };
        let (steps, gated) = (40 + self.dice.below(70), self.dice.below(3) > 0);
        if self.dice.below(2) == 0 {
            self.everybody_links();
        }
        self.gates(gated);
        for _ in 0..steps {
            self.steps += 1;
            self.step(topic);
            if self.suite == SuiteName::Mls1 {
                self.more(topic);
            }
            self.tidy();
            self.passes(Duration::from_millis(1));
        }
    }

    fn step(&mut self, topic: Topic) {
        let (people, servers) = (self.people.len() as u64, self.servers.len() as u64);
        let somebody = self.dice.below(people) as usize;
        let server = self.dice.below(servers) as usize;
        match self.dice.below(100) {
            0..50 => {
                let ways = self.deliverable();
                if !ways.is_empty() {
                    let (way, most) = (*self.dice.one_of(&ways), 1 + self.dice.below(6));
                    self.deliver(way, most);
                }
            }
            50..60 => self.does(somebody, topic),
            60..68 => {
                if self.people[somebody].nudged {
                    self.nudge(somebody);
                }
            }
            68..78 => {
                if let Some((_, disk)) = self.servers[server].up.clone() {
                    let (durable, said) = (disk.lets_through(), self.dice.below(3) > 0 && disk.tells());
                    self.note(format_args!("commit at {server}: {durable} {said}"));
                }
            }
            78..83 => self.person_dials(somebody),
            83..88 => {
                let peer = (server + 1 + self.dice_below(servers - 1)) % servers as usize;
                self.server_dials(server, peer);
            }
            88..90 => self.cut(),
            90 => self.kill(server),
            91..93 => self.start(server),
            93 => self.restart(somebody),
            94..96 => self.dies_in_the_middle(somebody),
            _ => {
                let time = *self.dice.one_of(&[20, 300, 1200, 5000]);
                self.note(format_args!("{time} ms pass"));
                self.passes(Duration::from_millis(time));
                self.ticks();
            }
        }
    }

    /// More is written, and more programs end, than in other worlds: each write of theirs changes keys.
    fn more(&mut self, topic: Topic) {
        let somebody = self.dice_below(self.people.len() as u64);
        match self.dice.below(12) {
            0 => self.does(somebody, topic),
            1 if self.people[somebody].nudged => self.nudge(somebody),
            2 => self.dies_in_the_middle(somebody),
            _ => {}
        }
    }

    fn dice_below(&mut self, end: u64) -> usize {
        self.dice.below(end) as usize
    }

    /// A person hears something, or begins to send, and ends in the middle of that: after so many commits.
    fn dies_in_the_middle(&mut self, at: usize) {
        let commits = self.dice.below(3);
        self.note(format_args!("{} has {commits} commits left", self.device(at)));
        // Whoever is to end at one write of all does not end at another.
        if self.ends.is_none_or(|(device, _)| device != at) {
            self.dies_within(at, commits);
        }
        let to_them: Vec<(usize, usize)> = self.deliverable_to(Who::Person(at));
        match to_them.first() {
            Some(way) => self.deliver(*way, 6),
            None => self.nudge(at),
        }
        self.restart(at);
    }

    fn gates(&mut self, gated: bool) {
        for server in &self.servers {
            if let Some((_, disk)) = &server.up {
                disk.gate(gated);
            }
        }
    }

    /// What somebody does at the keyboard.
    fn does(&mut self, at: usize, topic: Topic) {
        let me = self.people[at].who.user.clone();
        let other = (at + 1 + self.dice_below(self.people.len() as u64 - 1)) % self.people.len();
        // Nobody has anything to do with their own other device.
        let mut next = (0..self.people.len()).map(|step| (other + step) % self.people.len());
        let other = next.find(|other| self.people[*other].who.user != me).unwrap_or(other);
        let done = match (topic, self.dice.below(10)) {
            (Topic::Direct, 0..9) if self.suite == SuiteName::Mls1 => self.says(at, Target::from(&self.people[other].who.user)),
            (Topic::Direct, 0..6) => self.says(at, Target::from(&self.people[other].who.user)),
            (Topic::Group, 0..9) => {
                self.does_in_group(at, other);
                return self.ends(at);
            }
            _ => self.says(at, Target::Public),
        };
        if let Err(error) = done {
            self.note(format_args!("{me} is told: {error}"));
        }
        self.ends(at);
    }

    fn does_in_group(&mut self, at: usize, other: usize) {
        if self.groups.is_empty() || (self.groups.len() < 2 && self.dice.below(12) == 0) {
            let nonce = [self.dice.below(256) as u8; 32];
            self.note(format_args!("{} makes a group", self.people[at].who.user));
            if let Ok(target) = self.people[at].bare.create_group("a group", nonce) {
                self.people[at].nudged = true;
                if !self.groups.iter().any(|(known, _)| *known == target) {
                    self.groups.push((target, at));
                }
            }
            return;
        }
        let (group, maker) = self.dice.one_of(&self.groups).clone();
        let (deed, role) = (self.dice.below(14), *self.dice.one_of(&[Role::Member, Role::Admin]));
        let their = self.people[other].who.user.clone();
        let client = self.people[at].bare.client().clone();
        let rooms = client.rooms().now_or_never().and_then(Result::ok).unwrap_or_default();
        let makers = self.people[maker].who.user.clone();
        let (is_maker, to_maker) = (self.people[at].who.user == makers, their == makers);
        let part = rooms.into_iter().find(|room| room.target == group).map(|room| room.part);
        let done = match (&part, deed) {
            (None, _) => return,
            (Some(Part::Invited { .. }), 0..9) => client.join(&group).now_or_never(),
            (Some(Part::Invited { .. }), 9) => client.leave(&group).now_or_never(),
            (Some(_), 0..5) => client.invite(&group, &their, role).now_or_never(),
            (Some(_), 5) if !to_maker => client.remove(&group, &their).now_or_never(),
            (Some(_), 6) if !to_maker => client.set_role(&group, &their, role).now_or_never(),
            (Some(_), 7) if !is_maker => client.leave(&group).now_or_never(),
            (Some(_), _) => {
                let told = self.says(at, group);
                return if let Err(error) = told {
                    self.note(format_args!("{} is told: {error}", self.people[at].who.user));
                };
            }
        };
        let done = match done {
            Some(Ok(_)) => "done".to_owned(),
            Some(Err(error)) => error.to_string(),
            None => "waits".to_owned(),
        };
        self.note(format_args!("{} does {deed} to {their} as {role:?} in a group: {done}", self.people[at].who.user));
        self.people[at].nudged = true;
    }

    /// Somebody writes a message; what it says names it.
    fn says(&mut self, at: usize, target: Target) -> Result<(), ClientError> {
        let me = &self.people[at].who.user;
        let log = match &target {
            Target::Public => LogName::Public(me.server().clone()),
            Target::Direct { user } => Genesis::direct(self.suite, me, user).log(),
            Target::Group { id } => LogName::Room(*id),
        };
        let n = self.people[at].said.iter().filter(|said| said.log == log).count() as u32 + 1;
        let text = super::judge::text(at, n);
        let client = self.people[at].bare.client().clone();
        let id: MessageId = client.send(&target, &text).now_or_never().unwrap_or(Err(ClientError::Closed))?;
        self.note(format_args!("{me} writes {n} in {target}"));
        let invoked = self.steps;
        self.people[at].said.push(Said { log, n, id, invoked, told: None });
        self.people[at].nudged = true;
        self.sums.messages += 1;
        Ok(())
    }

    /// Everybody is linked, and hears what there is to be heard at once.
    fn everybody_links(&mut self) {
        self.everybody_relinks();
        for _ in 0..8 {
            self.all_arrives();
            self.passes(Duration::from_millis(4));
        }
    }

    /// Everything that is on its way arrives; whether anything was.
    fn all_arrives(&mut self) -> bool {
        let ways = self.deliverable();
        for way in &ways {
            self.deliver(*way, 64);
        }
        self.tidy();
        !ways.is_empty()
    }

    /// Nothing is in anybody's way any more, until nothing is left to be done. Why it does not come to rest, if it does not.
    pub fn heals(&mut self) -> Result<(), String> {
        self.note(format_args!("from here on nothing goes wrong"));
        self.gates(false);
        let (mut still, mut why) = (0u32, String::new());
        for _ in 0..ROUNDS {
            self.steps += 1;
            self.everybody_relinks();
            let moved = self.all_arrives();
            for at in 0..self.people.len() {
                if std::mem::take(&mut self.people[at].nudged) {
                    self.nudge(at);
                }
            }
            // Time that nobody needs passes faster and faster.
            still = if moved { 0 } else { still + 1 };
            self.passes(Duration::from_millis(4 << still.min(12)));
            self.ticks();
            if still > 1 {
                match self.unsettled() {
                    None => return Ok(()),
                    Some(unsettled) => why = unsettled,
                }
            }
        }
        Err(format!("it does not come to rest: {why}"))
    }

    fn everybody_relinks(&mut self) {
        for server in 0..self.servers.len() {
            self.start(server);
        }
        for at in 0..self.people.len() {
            self.person_dials(at);
        }
        for one in 0..self.servers.len() {
            for other in one + 1..self.servers.len() {
                self.server_dials(one, other);
            }
        }
    }
}
