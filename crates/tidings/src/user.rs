//! `tidings user`: names that the operator keeps for people, and who is here.

use crate::cli::{Global, ServerFolder, UserAddArguments, UserCommand, UserRemoveArguments};
use crate::failure::Failure;
use crate::look::{self, BOLD, Cell, DIM, GREEN, Look, YELLOW};
use crate::{invite, operator};
use std::io::Write;
use tidings_server::operator::{Answer, Ask, UserRow, UserState};

/// Runs the command.
pub async fn run(global: &Global, command: UserCommand) -> Result<u8, Failure> {
    match command {
        UserCommand::Add(UserAddArguments { name, reach, folder }) => {
            let issued = invite::issued(global, &folder, Ask::AddUser { name }).await?;
            invite::show(&issued, &reach, Look::of_stdout(global.json))
        }
        UserCommand::Reset(UserAddArguments { name, reach, folder }) => {
            let issued = invite::issued(global, &folder, Ask::ResetUser { name }).await?;
            invite::show(&issued, &reach, Look::of_stdout(global.json))
        }
        UserCommand::Remove(arguments) => remove(global, arguments).await,
        UserCommand::List(folder) => list(global, &folder).await,
    }
}

async fn remove(global: &Global, arguments: UserRemoveArguments) -> Result<u8, Failure> {
    let UserRemoveArguments { name, yes, folder } = arguments;
    if !yes {
        return Err(Failure::usage(format!("this closes the account of {name} for good: say --yes if that is meant")));
    }
    let look = Look::of_stdout(global.json);
    for user in operator::ask(global, &folder, Ask::CloseUser { name }, user).await? {
        let mut out = std::io::stdout().lock();
        match look.json {
            true => writeln!(out, "{}", look::object("account", &user))?,
            false => writeln!(out, "The account of {} is closed, and nobody gets the name again.", user.user)?,
        }
    }
    Ok(0)
}

async fn list(global: &Global, folder: &ServerFolder) -> Result<u8, Failure> {
    let look = Look::of_stdout(global.json);
    let users = operator::ask(global, folder, Ask::Users, user).await?;
    let mut out = std::io::stdout().lock();
    if look.json {
        for user in &users {
            writeln!(out, "{}", look::object("account", user))?;
        }
        return Ok(0);
    }
    if users.is_empty() {
        writeln!(std::io::stderr(), "Nobody has an account here yet. `tidings invite new` and `tidings user add NAME` let people in.")?;
        return Ok(0);
    }
    let mut rows = vec![look::heads(["USER", "STATE", "NOW", "DEVICES"])];
    rows.extend(users.iter().map(row));
    for line in look::columns(&rows, look) {
        writeln!(out, "{line}")?;
    }
    if users.iter().any(|user| user.state == UserState::Reserved) {
        writeln!(std::io::stderr(), "\nkept, no code: `tidings user add NAME` makes the line by which its owner claims the name.")?;
    }
    Ok(0)
}

fn user(answer: Answer) -> Option<UserRow> {
    if let Answer::User(user) = answer { Some(user) } else { None }
}

fn row(user: &UserRow) -> Vec<Cell> {
    let none = || ("-".to_owned(), DIM);
    let (state, colour) = match user.state {
        UserState::Account => ("account", ""),
        UserState::Closed => ("closed", DIM),
        UserState::Claimable => ("kept, not claimed yet", YELLOW),
        UserState::Reserved => ("kept, no code", YELLOW),
    };
    let has_account = user.state == UserState::Account;
    let now = if user.online { ("online".into(), GREEN) } else { ("offline".into(), DIM) };
    vec![
        (user.user.clone(), BOLD),
        (state.into(), colour),
        if has_account { now } else { none() },
        if has_account { (user.devices.to_string(), "") } else { none() },
    ]
}
