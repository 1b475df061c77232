//! `tidings erase`: a message of one's own is taken back.

use crate::ask::Ask;
use crate::cli::{EraseArguments, Global, Wait};
use crate::failure::Failure;
use crate::out::Out;
use crate::profile;
use crate::settle::{Until, Written, settle};
use tidings_client::Client;
use tidings_client::view::MessageId;

/// Runs the command.
pub async fn run(global: &Global, arguments: &EraseArguments) -> Result<u8, Failure> {
    profile::perform(global, Ask::Erase { id: arguments.id, wait: arguments.away.wait }).await
}

/// Writes the note that takes the message's place.
pub async fn answer(client: &Client, id: i64, wait: Wait, out: &mut Out) -> Result<u8, Failure> {
    let until = Until::new(wait);
    let id = client.erase(MessageId(id)).await?;
    settle(client, Written { id, room: None, user: None, done: "erased".into() }, until, out).await
}
