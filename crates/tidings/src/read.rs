//! `tidings read`: the newest messages of one conversation, from this device's own store.

use crate::ask::{self, Ask};
use crate::cli::{Global, ReadArguments, Wait};
use crate::failure::Failure;
use crate::look::{self, Numbers, Places};
use crate::out::Out;
use crate::profile;
use crate::settle::Until;
use tidings_client::Client;
use tidings_client::view::{Message, Status};

/// Runs the command.
pub async fn run(global: &Global, arguments: ReadArguments) -> Result<u8, Failure> {
    let ReadArguments { of, limit, ids, patience } = arguments;
    ask::check_target(&of)?;
    profile::perform(global, Ask::Read { of, limit, numbers: Numbers(ids), wait: patience.wait }).await
}

/// Prints what is there, after catching up where the server answers in time.
pub async fn answer(client: &Client, of: &str, limit: usize, numbers: Numbers, wait: u32, out: &mut Out) -> Result<u8, Failure> {
    let until = Until::new(Wait::Seconds(wait));
    ask::catch_up(client, until, out).await?;
    let of = ask::target(client, of, until).await?;
    let place = Places::of(&client.rooms().await?).place(&of);
    let timeline = client.timeline(&of, limit).await?;
    // A change that was refused was answered for when it was tried; it would stay at the end for ever.
    let json = out.look.json;
    let is_news = |message: &&Message| json || message.event.is_none() || !matches!(message.status, Status::Failed { .. });
    for message in timeline.iter().filter(is_news) {
        out.line(&look::message(&place, message, numbers, out.look)).await?;
    }
    Ok(0)
}
