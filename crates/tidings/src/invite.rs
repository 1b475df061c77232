//! `tidings invite`: lines that let people make accounts.

use crate::cli::{Global, InviteCommand, InviteNewArguments, InviteRevokeArguments, Reach, ServerFolder};
use crate::failure::Failure;
use crate::look::{self, BOLD, Cell, Look};
use crate::operator::{self, left};
use serde_json::json;
use std::io::Write;
use tidings_server::operator::{Answer, Ask, CodeRow, Issued, Purpose};

/// Runs the command.
pub async fn run(global: &Global, command: InviteCommand) -> Result<u8, Failure> {
    match command {
        InviteCommand::New(arguments) => new(global, arguments).await,
        InviteCommand::List(folder) => list(global, &folder).await,
        InviteCommand::Revoke(arguments) => revoke(global, arguments).await,
    }
}

async fn new(global: &Global, arguments: InviteNewArguments) -> Result<u8, Failure> {
    let InviteNewArguments { uses, expires, reach, folder } = arguments;
    let issued = issued(global, &folder, Ask::Invite { uses, seconds: expires.as_secs() }).await?;
    show(&issued, &reach, Look::of_stdout(global.json))
}

/// Asks for a code.
pub async fn issued(global: &Global, folder: &ServerFolder, ask: Ask) -> Result<Issued, Failure> {
    let issued = operator::ask(global, folder, ask, |answer| match answer {
        Answer::Issued(issued) => Some(issued),
        _ => None,
    });
    issued.await?.pop().ok_or_else(|| Failure::ours("the server that runs gave no code"))
}

/// The line alone on standard output, so that it can be piped; what it is beside it.
pub fn show(issued: &Issued, reach: &Reach, look: Look) -> Result<u8, Failure> {
    let invitation = operator::line(issued, reach)?;
    let line = invitation.to_string();
    if look.json {
        let made = json!({
            "id": issued.id, "purpose": issued.purpose, "user": issued.user, "uses": issued.uses, "expires": issued.expires, "server": issued.server,
            "address": invitation.address, "key": issued.key, "code": issued.code, "line": line,
            "link": operator::link(&invitation),
        });
        writeln!(std::io::stdout(), "{}", look::object("issued", &made))?;
        return Ok(0);
    }
    writeln!(std::io::stdout(), "{line}")?;
    let mut beside = std::io::stderr().lock();
    writeln!(beside)?;
    let whose = issued.user.as_deref().unwrap_or_default();
    let time = issued.expires.map_or_else(|| "ever".into(), |at| left(at.saturating_sub(operator::now())));
    let good = match (issued.purpose, issued.uses) {
        (Purpose::Reset, _) => {
            format!("It begins the account {whose} anew, once: with other keys and another password. It is good for {time}.")
        }
        (Purpose::Claim, _) => format!("It makes the account {whose}, once. An earlier line for that name is no good any more."),
        (Purpose::Invite, 1) => format!("It lets in one person, under a name of their choice, for {time}."),
        (Purpose::Invite, uses) => format!("It lets in {uses} people, under names of their choice, for {time}."),
    };
    writeln!(beside, "{good}")?;
    writeln!(beside, "Whoever has the line can use it: pass it on where nobody else reads it.")?;
    let name = issued.user.clone().unwrap_or_else(|| format!("NAME@{}", issued.server));
    writeln!(beside, "It is used with: tidings register {name} --invitation -")?;
    if let Some(link) = operator::link(&invitation) {
        writeln!(beside, "Or in a browser: {link}")?;
    }
    if invitation.address.is_none() {
        let way = "say it with --address HOST:PORT, or put \"advertise\" into setup.json";
        writeln!(beside, "It does not say where this server is, since that is not known here: {way}.")?;
    }
    if issued.open && issued.purpose == Purpose::Invite {
        writeln!(beside, "Everybody may register here, so it is good for the address and the server's key only.")?;
    }
    Ok(0)
}

async fn list(global: &Global, folder: &ServerFolder) -> Result<u8, Failure> {
    let look = Look::of_stdout(global.json);
    let codes = operator::ask(global, folder, Ask::Codes, code).await?;
    let mut out = std::io::stdout().lock();
    if look.json {
        for code in &codes {
            writeln!(out, "{}", look::object("code", code))?;
        }
        return Ok(0);
    }
    if codes.is_empty() {
        writeln!(std::io::stderr(), "There is no invitation that is good. `tidings invite new` makes one.")?;
        return Ok(0);
    }
    let now = operator::now();
    let mut rows = vec![look::heads(["ID", "WHAT", "FOR", "USES LEFT", "GOOD FOR"])];
    rows.extend(codes.iter().map(|code| row(code, now)));
    for line in look::columns(&rows, look) {
        writeln!(out, "{line}")?;
    }
    Ok(0)
}

fn code(answer: Answer) -> Option<CodeRow> {
    if let Answer::Code(code) = answer { Some(code) } else { None }
}

fn row(code: &CodeRow, now: u64) -> Vec<Cell> {
    let what = match code.purpose {
        Purpose::Invite => "invitation",
        Purpose::Claim => "claim",
        Purpose::Reset => "reset",
    };
    let whom = code.user.clone().unwrap_or_else(|| "anybody".into());
    let good = code.expires.map_or_else(|| "until it is used".into(), |at| left(at.saturating_sub(now)));
    vec![(code.id.clone(), BOLD), (what.into(), ""), (whom, ""), (code.uses.to_string(), ""), (good, "")]
}

async fn revoke(global: &Global, arguments: InviteRevokeArguments) -> Result<u8, Failure> {
    let InviteRevokeArguments { id, folder } = arguments;
    let look = Look::of_stdout(global.json);
    for code in operator::ask(global, &folder, Ask::Revoke { id }, code).await? {
        let mut out = std::io::stdout().lock();
        match &code.user {
            _ if look.json => writeln!(out, "{}", look::object("code_revoked", &code))?,
            Some(user) => writeln!(out, "The code of {user} is no good any more.")?,
            None => writeln!(out, "The invitation {} is no good any more.", code.id)?,
        }
    }
    Ok(0)
}
