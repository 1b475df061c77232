//! What a server says at its start to whoever has to let the first people in. Codes are shown to people on a terminal only: what
//! goes to a log stays there.

use crate::cli::{Global, Reach, ServerArguments};
use crate::failure::Failure;
use crate::look::{self, BOLD, Look};
use crate::operator;
use std::io::IsTerminal;
use tidings_client::ClientError;
use tidings_server::operator::{Answer, Ask, Issued, UserState};
use tidings_server::{Registration, Running};
use tidings_setup::invitation::Invitation;

/// How long the first invitation is good.
const FIRST: u64 = 7 * 24 * 60 * 60;

/// Who is expected, and is not here yet.
pub struct Awaited {
    /// Names that are kept, and have no claim code.
    pub names: Vec<String>,
    /// Nobody has an account, nor anything with which to make one.
    nobody: bool,
}

/// Who is expected.
pub async fn awaited(running: &Running) -> Result<Awaited, Failure> {
    let mut awaited = Awaited { names: Vec::new(), nobody: ask(running, Ask::Codes).await?.is_empty() };
    for answer in ask(running, Ask::Users).await? {
        let Answer::User(user) = answer else { continue };
        awaited.nobody = false;
        if user.state == UserState::Reserved {
            awaited.names.push(user.user);
        }
    }
    Ok(awaited)
}

impl Awaited {
    /// Lines for people. `flags` are what a command needs to find this server.
    pub async fn lines(&self, running: &Running, registration: Registration, flags: &str, look: Look) -> Result<Vec<String>, Failure> {
        let terminal = std::io::stdout().is_terminal();
        let mut lines = vec![String::new()];
        if !self.names.is_empty() && terminal {
            lines.push("Names that setup.json keeps. Each line makes that account, once; they are not shown again:".into());
            let mut rows = Vec::new();
            for name in &self.names {
                let line = invitation(issued(running, Ask::AddUser { name: name.clone() }).await?)?;
                rows.push(vec![(format!("  {name}"), BOLD), (line.to_string(), "")]);
            }
            lines.extend(look::columns(&rows, look));
            lines.push(format!("Another line for the same name: tidings user add NAME{flags}"));
        } else if !self.names.is_empty() {
            let names = self.names.join(", ");
            lines.push(format!("Names that setup.json keeps, and that nobody can claim yet: {names}"));
            lines.push(format!("The line by which one is claimed: tidings user add NAME{flags}"));
        }
        if self.nobody && registration == Registration::ByCode {
            if terminal {
                let made = invitation(issued(running, Ask::Invite { uses: 1, seconds: FIRST }).await?)?;
                lines.push("An invitation for the first account. It is good for 7 days, and not shown again:".into());
                lines.push(format!("  {made}"));
                lines.push("It is used with: tidings register NAME --invitation -".replace("NAME", &format!("NAME@{}", running.name())));
                // On this machine it is reached where it listens, whatever others call it.
                let here = Invitation { address: made.address.clone().or_else(|| Some(running.address().to_string())), ..made };
                lines.extend(operator::link(&here).map(|link| format!("Or in a browser: {link}")));
            }
            lines.push(format!("{} invitation: tidings invite new{flags}", if terminal { "Another" } else { "Nobody is here yet. An" }));
        }
        Ok(if lines.len() > 1 { lines } else { Vec::new() })
    }
}

/// The flags with which a command finds the same server.
pub fn flags(global: &Global, arguments: &ServerArguments) -> String {
    let flag =
        |name: &str, value: Option<&std::path::PathBuf>| value.map(|value| format!(" {name} {}", value.display())).unwrap_or_default();
    flag("--setup", global.setup.as_ref()) + &flag("--data", arguments.data.as_ref())
}

async fn ask(running: &Running, ask: Ask) -> Result<Vec<Answer>, Failure> {
    running.ask(ask).await.map_err(|why| ClientError::Refused(why).into())
}

async fn issued(running: &Running, question: Ask) -> Result<Issued, Failure> {
    match ask(running, question).await?.pop() {
        Some(Answer::Issued(issued)) => Ok(issued),
        _ => Err(Failure::ours("the server made no code")),
    }
}

fn invitation(issued: Issued) -> Result<Invitation, Failure> {
    operator::line(&issued, &Reach { address: None })
}
