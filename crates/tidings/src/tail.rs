//! `tidings tail`: messages as they come in. It holds the profile, and answers other commands of it meanwhile.

use crate::ask::{Ask, Out, target};
use crate::cli::{Global, TailArguments};
use crate::failure::Failure;
use crate::look::{self, Look};
use crate::{inert, profile};
use std::collections::HashMap;
use tidings_client::Client;
use tidings_client::view::{Link, Message, MessageId, Status, Target};

/// Runs the command until Ctrl-C or SIGTERM.
pub async fn run(global: &Global, arguments: &TailArguments) -> Result<u8, Failure> {
    if let Some(of) = &arguments.of {
        target(of)?;
    }
    profile::perform(global, Ask::Tail { of: arguments.of.clone(), last: arguments.last }).await
}

/// Prints until the process is told to stop, or nobody reads any more.
pub async fn answer(client: &Client, of: Option<Target>, last: usize, look: Look, out: &mut Out) -> Result<u8, Failure> {
    let mut changes = client.changes();
    let mut seen = Seen::default();
    let mut link = Link::Idle;
    let mut stop = std::pin::pin!(told_to_stop());
    for (target, message) in seen.news(client, of.as_ref(), last).await? {
        out.line(&look::message(&target, &message, look)).await?;
    }
    loop {
        changes.borrow_and_update();
        let now = client.link();
        if now != link {
            link = now;
            if let Some(error) = profile::given_up(client).await {
                return Err(error.into());
            }
            say_link(client, &link, look, out).await?;
        }
        for (target, message) in seen.news(client, of.as_ref(), usize::MAX).await? {
            out.line(&look::message(&target, &message, look)).await?;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Ok(0) },
            () = &mut stop => return Ok(0),
        }
    }
}

async fn say_link(client: &Client, link: &Link, look: Look, out: &mut Out) -> std::io::Result<()> {
    if look.json {
        return out.line(&look::object("link", link)).await;
    }
    match link {
        Link::Linked { network } => {
            let others = network.iter().filter(|server| *server != &client.endpoint().name).map(ToString::to_string);
            let others: Vec<String> = others.collect();
            let with = if others.is_empty() { String::new() } else { format!(", which knows {}", others.join(", ")) };
            out.note(look, &format!("-- {} is connected to {}{with}", client.me(), client.endpoint().name)).await
        }
        Link::Connecting { last_error: Some(error) } => out.note(look, &format!("-- {}; trying again", inert::line(error))).await,
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

/// What has been printed: each message once, and again only when it turns out not to be sent.
#[derive(Default)]
struct Seen(HashMap<(Target, MessageId), bool>);

impl Seen {
    /// Messages not printed yet, in the order in which this profile got them; at most `most`, the newest.
    async fn news(&mut self, client: &Client, of: Option<&Target>, most: usize) -> Result<Vec<(Target, Message)>, Failure> {
        let targets = match of {
            Some(target) => vec![target.clone()],
            None => client.rooms().await?.into_iter().map(|room| room.target).collect(),
        };
        let mut fresh = Vec::new();
        for target in targets {
            let page = self.unseen(client, &target).await?;
            fresh.extend(page.into_iter().map(|message| (target.clone(), message)));
        }
        fresh.sort_by_key(|(_, message)| message.id);
        for (target, message) in &fresh {
            self.0.insert((target.clone(), message.id), is_failure(message));
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
            Some(was_failure) => is_failure(message) && !was_failure,
        }
    }
}

fn is_failure(message: &Message) -> bool {
    matches!(message.status, Status::Failed { .. })
}
