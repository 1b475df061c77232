//! `tidings tail`: messages as they come in. It holds the profile, and answers other commands of it meanwhile.

use crate::ask::{self, Ask};
use crate::cli::{Global, TailArguments, Wait};
use crate::failure::Failure;
use crate::look::{self, Numbers, Places};
use crate::out::Out;
use crate::settle::Until;
use crate::{inert, profile};
use std::collections::{HashMap, HashSet};
use tidings_client::Client;
use tidings_client::view::{Link, Message, MessageId, Part, Room, Status, Target};

/// How long a conversation is looked for that is not known here.
const LOOK_FOR: Wait = Wait::Seconds(5);

/// Runs the command until Ctrl-C or SIGTERM.
pub async fn run(global: &Global, arguments: TailArguments) -> Result<u8, Failure> {
    let TailArguments { of, last, ids } = arguments;
    of.as_deref().map(ask::check_target).transpose()?;
    profile::perform(global, Ask::Tail { of, last, numbers: Numbers(ids) }).await
}

/// Prints until the process is told to stop, or nobody reads any more.
pub async fn answer(client: &Client, of: Option<&str>, last: usize, numbers: Numbers, out: &mut Out) -> Result<u8, Failure> {
    let mut changes = client.changes();
    let mut stop = std::pin::pin!(told_to_stop());
    let of = match of {
        Some(of) => Some(ask::target(client, of, Until::new(LOOK_FOR)).await?),
        None => None,
    };
    let mut tail = Tail { of, numbers, seen: Seen::default(), asked_in: HashSet::new(), notice: 0 };
    tail.begin(client, last, out).await?;
    let (mut link, mut locked) = (Link::Idle, false);
    loop {
        changes.borrow_and_update();
        let now = client.link();
        if now != link {
            link = now;
            if let Some(error) = profile::given_up(client).await {
                return Err(error.into());
            }
            say_link(client, &link, out).await?;
        }
        if client.is_locked() && !locked {
            out.note(ask::LOCKED).await?;
        }
        locked = client.is_locked();
        tail.go_on(client, out).await?;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Ok(0) },
            () = &mut stop => return Ok(0),
        }
    }
}

async fn say_link(client: &Client, link: &Link, out: &mut Out) -> std::io::Result<()> {
    if out.look.json {
        return out.line(&look::object("link", link)).await;
    }
    match link {
        Link::Linked { network } => {
            let others = network.iter().filter(|server| *server != &client.endpoint().name).map(ToString::to_string);
            let others: Vec<String> = others.collect();
            let with = if others.is_empty() { String::new() } else { format!(", which knows {}", others.join(", ")) };
            out.note(&format!("-- {} is connected to {}{with}", client.me(), client.endpoint().name)).await
        }
        Link::Connecting { last_error: Some(error) } => out.note(&format!("-- {}; trying again", inert::line(error))).await,
        Link::Idle | Link::Connecting { last_error: None } | Link::CatchingUp => Ok(()),
    }
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

/// What is printed, and what has been.
struct Tail {
    of: Option<Target>,
    numbers: Numbers,
    seen: Seen,
    asked_in: HashSet<Target>,
    notice: i64,
}

impl Tail {
    /// The newest `last` messages, and between them what happened to keys since the first of them; of that too the newest.
    async fn begin(&mut self, client: &Client, last: usize, out: &mut Out) -> Result<(), Failure> {
        let rooms = client.rooms().await?;
        let places = Places::of(&rooms);
        let messages = self.seen.news(client, &self.targets(&rooms), last).await?;
        let mut notices = client.notices(0).await?;
        self.notice = notices.last().map_or(0, |notice| notice.id);
        let since = messages.first().map_or(0, |(_, message)| message.at);
        notices.retain(|notice| notice.at >= since);
        let mut notices = notices.split_off(notices.len().saturating_sub(last)).into_iter().peekable();
        for (target, message) in messages {
            while let Some(notice) = notices.next_if(|notice| notice.at <= message.at) {
                out.line(&look::notice(&notice, out.look)).await?;
            }
            out.line(&look::message(&places.place(&target), &message, self.numbers, out.look)).await?;
        }
        for notice in notices {
            out.line(&look::notice(&notice, out.look)).await?;
        }
        self.say_who_asks(&rooms, &places, out).await?;
        Ok(())
    }

    /// What is new since.
    async fn go_on(&mut self, client: &Client, out: &mut Out) -> Result<(), Failure> {
        let rooms = client.rooms().await?;
        let places = Places::of(&rooms);
        for notice in client.notices(self.notice).await? {
            self.notice = notice.id;
            out.line(&look::notice(&notice, out.look)).await?;
        }
        for (target, message) in self.seen.news(client, &self.targets(&rooms), usize::MAX).await? {
            out.line(&look::message(&places.place(&target), &message, self.numbers, out.look)).await?;
        }
        self.say_who_asks(&rooms, &places, out).await?;
        Ok(())
    }

    fn targets(&self, rooms: &[Room]) -> Vec<Target> {
        match &self.of {
            Some(target) => vec![target.clone()],
            None => rooms.iter().map(|room| room.target.clone()).collect(),
        }
    }

    /// Each invitation once, for as long as it stands.
    async fn say_who_asks(&mut self, rooms: &[Room], places: &Places, out: &mut Out) -> std::io::Result<()> {
        for room in rooms.iter().filter(|room| self.of.as_ref().is_none_or(|of| *of == room.target)) {
            if !matches!(room.part, Part::Invited { .. }) {
                self.asked_in.remove(&room.target);
            } else if self.asked_in.insert(room.target.clone()) {
                out.line(&look::invitation(room, places, out.look)).await?;
            }
        }
        Ok(())
    }
}

/// What has been printed: each message once, and again only when it turns out not to be sent, or to be readable after all.
#[derive(Default)]
struct Seen(HashMap<(Target, MessageId), Status>);

impl Seen {
    /// Messages not printed yet, in the order in which this profile got them; at most `most`, the newest.
    async fn news(&mut self, client: &Client, targets: &[Target], most: usize) -> Result<Vec<(Target, Message)>, Failure> {
        let mut fresh = Vec::new();
        for target in targets {
            let page = self.unseen(client, target).await?;
            fresh.extend(page.into_iter().map(|message| (target.clone(), message)));
        }
        fresh.sort_by_key(|(_, message)| message.id);
        for (target, message) in &fresh {
            self.0.insert((target.clone(), message.id), message.status.clone());
        }
        Ok(fresh.split_off(fresh.len().saturating_sub(most)))
    }

    async fn unseen(&self, client: &Client, target: &Target) -> Result<Vec<Message>, Failure> {
        let mut limit = 64;
        loop {
            let page = client.timeline(target, limit).await?;
            let full = page.len() == limit;
            let oldest_is_known = page.first().is_some_and(|oldest| self.0.contains_key(&(target.clone(), oldest.id)));
            if !full || oldest_is_known {
                return Ok(page.into_iter().filter(|message| self.is_news(target, message)).collect());
            }
            limit *= 4;
        }
    }

    fn is_news(&self, target: &Target, message: &Message) -> bool {
        match self.0.get(&(target.clone(), message.id)) {
            // One's own message appears once a server has it.
            None => message.status != Status::Pending,
            Some(before) => is_told_again(before, &message.status),
        }
    }
}

fn is_told_again(before: &Status, now: &Status) -> bool {
    match now {
        Status::Failed { .. } => !matches!(before, Status::Failed { .. }),
        Status::Received => matches!(before, Status::Unreadable { .. }),
        _ => false,
    }
}
