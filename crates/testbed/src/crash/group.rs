//! A group whose members come and go while its servers are killed: who opens what was written while they were not in?
//!
//! The people are real clients inside this process, the servers real processes. Its first owner is in from beginning to end, so
//! what she has is what all others are held against.

use super::dice::Dice;
use super::names::Names;
use super::{Course, Report, Shared, Tally};
use crate::history::{History, Id, Item, Log, Op, Outcome, Reader, Reading, Time, Writer, check};
use crate::person::Person;
use crate::process::Program;
use crate::world::{How, World};
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidings_client::view::{Event, Message, MessageId, Part, Status, Target};
use tidings_proto::UserName;
use tokio::time::sleep;

/// One after the other each somebody writes, comes, goes, is put out, or begins anew; the kills are spread over these.
const STEPS: u64 = 24;

struct Member {
    person: Person,
    is_in: bool,
    written: Vec<(MessageId, Time)>,
}

struct Group {
    world: World,
    shared: Arc<Shared>,
    dice: Dice,
    target: Target,
    members: Vec<Member>,
    tally: Tally,
}

/// Runs a group of `course.people` on each server.
pub async fn run_group(course: Course, program: &Program) -> Report {
    let begun = Instant::now();
    let mut group = Group::gather(&course, program).await;
    let every = STEPS / (course.kills as u64).clamp(1, STEPS);
    for step in 1..=STEPS {
        if step % every == 0 && group.tally.kills < course.kills as u64 {
            group.kill_under_way().await;
        }
        group.step().await;
    }
    let history = group.read_back().await;
    Report { course, tally: group.tally, verdict: check(&history), complaints: Vec::new(), took: begun.elapsed() }
}

impl Group {
    async fn gather(course: &Course, program: &Program) -> Group {
        let names: Vec<String> = (1..=course.servers).map(|n| format!("s{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let world = World::made(&names, How::Processes(program.clone()), |_| {}).await.on(course.suite);
        let users: Vec<String> = (0..course.people * course.servers).map(|n| format!("member{n}@{}", names[n % names.len()])).collect();
        let people = join_all(users.iter().map(|user| world.person(user))).await;
        for person in &people {
            for other in &people {
                person.knows(other).await;
            }
        }
        let target = people[0].makes_group("Comings and goings").await;
        let members = people.into_iter().enumerate().map(|(at, person)| Member { person, is_in: at == 0, written: Vec::new() }).collect();
        Group { world, shared: Shared::begin(), dice: Dice::of(course.seed), target, members, tally: Tally::default() }
    }

    fn one(&mut self, is_in: bool) -> Option<usize> {
        let some: Vec<usize> = (1..self.members.len()).filter(|at| self.members[*at].is_in == is_in).collect();
        (!some.is_empty()).then(|| *self.dice.one_of(&some))
    }

    async fn step(&mut self) {
        self.everybody_writes().await;
        match self.dice.below(4) {
            0 | 1 => self.one_comes().await,
            2 => self.one_goes().await,
            _ => self.one_begins_anew().await,
        }
    }

    /// Everybody who is in, and somebody who is not, for whom it must fail.
    async fn everybody_writes(&mut self) {
        let outside = self.one(false).filter(|_| self.dice.below(2) == 0);
        for (at, member) in self.members.iter_mut().enumerate() {
            let knows_it = member.person.room(&self.target).await.is_some();
            if (member.is_in || outside == Some(at)) && knows_it {
                let id = Id { writer: at as u32, n: member.written.len() as u32 + 1 };
                let invoked = self.shared.now();
                member.written.push((member.person.writes(&self.target, &id.to_string()).await, invoked));
            }
        }
    }

    async fn one_comes(&mut self) {
        let Some(at) = self.one(false) else { return };
        let (owner, comes) = (&self.members[0].person, &self.members[at].person);
        owner.invites(&self.target, &comes.name).await;
        comes.joins(&self.target).await;
        self.members[at].is_in = true;
    }

    /// By oneself, or put out by the owner. What follows is written without waiting for anybody to have heard of it.
    async fn one_goes(&mut self) {
        let Some(at) = self.one(true) else { return };
        let by_itself = self.dice.below(2) == 0;
        let (owner, goes) = (&self.members[0].person, &self.members[at].person);
        let (who, gone) = match by_itself {
            true => (goes, goes.client.leave(&self.target).await),
            false => (owner, owner.client.remove(&self.target, &goes.name).await),
        };
        who.is_sent(gone.expect("somebody who may go")).await;
        self.members[at].is_in = false;
    }

    async fn one_begins_anew(&mut self) {
        let at = self.dice.below(self.members.len() as u64) as usize;
        let member = self.members.remove(at);
        self.members.insert(at, Member { person: member.person.reopen().await, ..member });
    }

    /// A server dies while messages are on their way, and more are written while it is down.
    async fn kill_under_way(&mut self) {
        let server = self.dice.one_of(&self.world.names()).clone();
        self.everybody_writes().await;
        sleep(Duration::from_millis(self.dice.below(60))).await;
        self.world.kill(&server).await;
        self.tally.kills += 1;
        self.everybody_writes().await;
        self.world.start(&server).await;
    }

    /// Waits until everything has its answer and everybody who is in has everything; then what everybody has.
    async fn read_back(&mut self) -> History {
        let mut writers = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            let mut ops = Vec::new();
            for (id, invoked) in &member.written {
                let status = member.person.client.settled(*id, crate::PATIENCE).await.expect("a status");
                let outcome = match status {
                    Status::Sent { seq } => Outcome::Acknowledged(seq),
                    Status::Failed { .. } => Outcome::Refused,
                    Status::Pending | Status::Waiting | Status::Received | Status::Unreadable { .. } => Outcome::Kept,
                };
                ops.push(Op { invoked: *invoked, ended: self.shared.now(), outcome });
            }
            writers.push(Writer { name: member.person.name.to_string(), reader: at as u32, log: 0, ops });
        }
        let newest =
            writers.iter().flat_map(|writer| &writer.ops).map(|op| if let Outcome::Acknowledged(seq) = op.outcome { seq } else { 0 }).max();
        for member in self.members.iter().filter(|member| member.is_in) {
            let target = &self.target;
            let all = async || member.person.messages(target).await.iter().any(|message| message.place >= newest);
            member.person.until("has the newest message", all).await;
        }
        let users: Vec<UserName> = self.members.iter().map(|member| member.person.name.clone()).collect();
        let names = Names::of(users.iter().map(|user| (user.clone(), None)));
        let mut readings = Vec::new();
        for (reader, member) in self.members.iter().enumerate() {
            let messages = member.person.messages(&self.target).await;
            let health = member.person.client.health().await.expect("a profile");
            assert_eq!((health.unreadable, health.waiting_for_keys), (0, 0), "{} has what cannot be opened", member.person.name);
            if member.person.room(&self.target).await.is_some_and(|room| room.part == Part::In) {
                assert!(member.is_in, "{} is in, and should not be", member.person.name);
            }
            readings.push(Reading { reader: reader as u32, log: 0, at: None, first: 1, items: items(&messages, &users, &names) });
        }
        let readers = users.iter().zip(0..).map(|(user, number)| Reader { name: user.to_string(), user: Some(number) }).collect();
        let log = Log { name: self.target.to_string(), truth: 0, by_members: true };
        History { logs: vec![log], writers, readers, readings }
    }
}

/// What somebody is shown of a group, by place.
fn items(messages: &[Message], users: &[UserName], names: &Names) -> Vec<Item> {
    let last = messages.iter().filter_map(|message| message.place).max().unwrap_or(0);
    let mut items = vec![Item::Closed; last as usize];
    let number = |user: &UserName| users.iter().position(|other| other == user).map(|at| at as u32);
    for message in messages {
        let (Some(place), Some(author)) = (message.place, &message.author) else { continue };
        items[place as usize - 1] = match &message.event {
            Some(Event::Created | Event::Joined) => number(author).map_or(Item::Strange, Item::Joined),
            Some(Event::Left) => number(author).map_or(Item::Strange, Item::Left),
            Some(Event::Removed { user }) => number(user).map_or(Item::Strange, Item::Left),
            Some(_) => Item::Other,
            None if matches!(message.status, Status::Unreadable { .. }) => Item::Closed,
            None => names.written(&message.text, author).map_or(Item::Strange, Item::Message),
        };
    }
    items
}
