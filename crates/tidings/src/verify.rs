//! `tidings verify`: a safety number, and what came of comparing it.

use crate::ask::{self, Ask};
use crate::cli::{Global, VerifyArguments, Wait};
use crate::failure::Failure;
use crate::out::Out;
use crate::settle::Until;
use crate::{look, profile};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidings_client::view::{Person, Trust};
use tidings_client::{Client, ClientError, UserName};

/// What a person says about somebody's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Nothing yet: the number is to be shown, perhaps as a QR code too.
    Show { qr: bool },
    /// This is what the other one has on screen.
    Reads(String),
    /// The numbers are the same.
    Matches,
    /// It is not verified.
    Doubt,
    /// Whatever it is, the new key is taken; also compared, or not.
    Accept { matches: bool },
}

/// Runs the command.
pub async fn run(global: &Global, arguments: VerifyArguments) -> Result<u8, Failure> {
    let VerifyArguments { user, matches, number, qr, doubt, accept, wait } = arguments;
    let verdict = match (number, accept, matches, doubt) {
        (Some(number), ..) => Verdict::Reads(number),
        (None, true, matches, _) => Verdict::Accept { matches },
        (None, false, true, _) => Verdict::Matches,
        (None, false, false, true) => Verdict::Doubt,
        (None, false, false, false) => Verdict::Show { qr },
    };
    profile::perform(global, Ask::Verify { user: user.to_string(), verdict, wait }).await
}

/// Shows the number, or notes the verdict.
pub async fn answer(client: &Client, user: &str, verdict: Verdict, wait: u32, out: &mut Out) -> Result<u8, Failure> {
    let user: UserName = user.parse().map_err(|error| Failure::usage(format!("{user:?} is nobody's name: {error}")))?;
    if user == client.me() {
        return Err(Failure::usage("that is you: a safety number is for two"));
    }
    // A verdict is about a number that was seen: nothing that arrives now may slip under it.
    if matches!(verdict, Verdict::Show { .. }) {
        ask::catch_up(client, Until::new(Wait::Seconds(wait)), out).await?;
    }
    let person = person(client, &user).await?;
    match verdict {
        Verdict::Show { qr } => {
            let comparison = client.compare(&user).await?;
            let lines = look::comparison(&comparison, person.trust, person.alarm.as_deref(), &client.me(), out.look);
            out.lines(&lines).await?;
            if qr && !out.look.json {
                out.lines(&look::qr(&comparison.number)).await?;
            }
            return Ok(if person.trust == Trust::Changed { 8 } else { 0 });
        }
        Verdict::Reads(ref number) if !client.compare(&user).await?.is(number) => {
            let sentence = format!(
                "that is another number: somebody may stand between you and {user}. Write nothing secret, and ask whoever runs your servers"
            );
            return Err(Failure { sentence, code: 8 });
        }
        Verdict::Matches | Verdict::Reads(_) if person.trust == Trust::Changed => {
            let sentence = format!("the key of {user} has changed: compare the new number, then say --accept --matches");
            return Err(Failure { sentence, code: 8 });
        }
        Verdict::Matches | Verdict::Reads(_) => client.set_verified(&user, true).await?,
        Verdict::Doubt => client.set_verified(&user, false).await?,
        Verdict::Accept { .. } if person.trust != Trust::Changed => {
            return Err(Failure::usage(format!("the key of {user} has not changed: there is none to take")));
        }
        Verdict::Accept { matches } => {
            client.accept_key(&user).await?;
            if matches {
                client.set_verified(&user, true).await?;
            }
        }
    }
    let said = match verdict {
        Verdict::Matches | Verdict::Reads(_) | Verdict::Accept { matches: true } => format!("{user} is verified on all your devices"),
        Verdict::Doubt => format!("{user} is not verified"),
        Verdict::Show { .. } | Verdict::Accept { matches: false } => format!("the new key of {user} is taken; you have not compared it"),
    };
    let trust = self::person(client, &user).await?.trust;
    out.done(&said, "verified", &json!({ "user": user.to_string(), "trust": trust })).await?;
    Ok(0)
}

async fn person(client: &Client, user: &UserName) -> Result<Person, Failure> {
    let people = client.people().await?;
    Ok(people.into_iter().find(|person| person.user == *user).ok_or_else(|| ClientError::UnknownUser(user.clone()))?)
}
