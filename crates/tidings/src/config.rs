//! `tidings config`: says what is wrong with a setup, and shows what holds and why. It changes nothing.

use crate::cli::{ConfigCommand, Global, ServerArguments};
use crate::failure::Failure;
use crate::look::{self, Look};
use crate::{inert, layers};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use tidings_client::ClientSetup;
use tidings_client::setup::TABLE as CLIENT;
use tidings_server::setup::TABLE as SERVER;
use tidings_setup::{Origin, Problem, Problems, Row, Settings, Shown};

/// Settings that have been read, and what is wrong with them.
type Read = (Settings, Option<Problems>);

/// Runs the command.
pub fn run(global: &Global, command: &ConfigCommand) -> Result<u8, Failure> {
    let look = Look::of_stdout(global.json);
    match command {
        ConfigCommand::Check(flags) => check(read_all(global, flags)?, look),
        ConfigCommand::Show(show) => {
            let all = read_all(global, &show.server)?;
            for (index, (settings, problems)) in all.into_iter().enumerate() {
                problems.map_or(Ok(()), Err)?;
                if index > 0 && !look.json {
                    writeln!(std::io::stdout())?;
                }
                print(&settings, show.origin, look)?;
            }
            Ok(0)
        }
    }
}

/// The file that was named, or else both kinds that may be in this folder; a server's settings where there is none, since those hold
/// without a file.
fn read_all(global: &Global, flags: &ServerArguments) -> Result<Vec<Read>, Failure> {
    let is_client = match &global.setup {
        Some(named) => named.display().to_string().ends_with(CLIENT.file),
        None => Path::new(CLIENT.file).exists(),
    };
    let is_server = !is_client || global.setup.is_none() && Path::new(SERVER.file).exists();
    let mut all = Vec::new();
    if is_server {
        let mut settings = layers::of_server(global, flags)?;
        let problems = tidings_server::setup::read(&mut settings).err();
        all.push((settings, problems));
    }
    if is_client {
        let mut settings = layers::of_client(global, &[]);
        let problems = ClientSetup::read(&mut settings).err();
        all.push((settings, problems));
    }
    Ok(all)
}

fn check(all: Vec<Read>, look: Look) -> Result<u8, Failure> {
    let mut out = std::io::stdout().lock();
    let (mut verdicts, mut fine) = (Vec::new(), true);
    for (settings, problems) in all {
        let (problems, warnings) = (problems.map_or_else(Vec::new, |problems| problems.0), settings.warnings());
        for problem in &problems {
            writeln!(out, "{}", said("problem", look::RED, problem, look))?;
        }
        for warning in &warnings {
            writeln!(out, "{}", said("warning", look::YELLOW, warning, look))?;
        }
        let file = settings.path().map_or_else(|| "no setup.json in this folder".into(), |file| file.display().to_string());
        verdicts.push(format!("{file}: {}, {}", count(problems.len(), "problem"), count(warnings.len(), "warning")));
        fine &= problems.is_empty();
    }
    let unknown = layers::unknown_variables();
    for warning in &unknown {
        writeln!(out, "{}", said("warning", look::YELLOW, warning, look))?;
    }
    if !unknown.is_empty() {
        verdicts.push(format!("environment: {}", count(unknown.len(), "warning")));
    }
    if !fine {
        return Err(Failure::config(verdicts.join("\n")));
    }
    if !look.json {
        writeln!(out, "{}", inert::lines(&verdicts.join("\n")))?;
    }
    Ok(0)
}

fn count(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

fn said(kind: &str, colour: &str, problem: &Problem, look: Look) -> String {
    if look.json {
        let fields = json!({ "key": key(problem), "message": problem.what, "origin": origin(&problem.origin) });
        return look::object(kind, &fields);
    }
    format!("{} {}", look.paint(colour, &format!("{kind}:")), inert::line(&problem.to_string()))
}

fn key(problem: &Problem) -> Option<String> {
    (!problem.path.0.is_empty()).then(|| problem.path.to_string())
}

/// Where a value comes from, for programs.
fn origin(origin: &Origin) -> Value {
    match origin {
        Origin::File(place) => {
            let (line, column) = place.at.unzip();
            json!({ "from": "file", "file": place.file.display().to_string(), "line": line, "column": column })
        }
        Origin::Variable(name) => json!({ "from": "variable", "name": name }),
        Origin::Flag(name) => json!({ "from": "flag", "name": name }),
        Origin::Default => json!({ "from": "default" }),
    }
}

fn print(settings: &Settings, with_origin: bool, look: Look) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let rows = settings.rows();
    if look.json {
        for Row { path, value, origin: from } in rows {
            let value = match value {
                Shown::Text(text) => Value::from(text),
                Shown::Number(number) => Value::from(number),
                Shown::Said(_) => Value::Null,
            };
            let mut fields = json!({ "key": path.to_string(), "value": value });
            if with_origin {
                fields["origin"] = origin(&from);
            }
            writeln!(out, "{}", look::object("setting", &fields))?;
        }
        return Ok(());
    }
    let cells = |row: Row| {
        let (value, colour) = match row.value {
            Shown::Text(text) => (inert::line(&text), ""),
            Shown::Number(number) => (number.to_string(), ""),
            Shown::Said(said) => (format!("({})", said.replace('`', "")), look::DIM),
        };
        let from = with_origin.then(|| (inert::line(&row.origin.to_string()), look::DIM));
        [Some((row.path.to_string(), look::BOLD)), Some((value, colour)), from].into_iter().flatten().collect::<Vec<_>>()
    };
    let heads = ["KEY", "VALUE", "FROM"].into_iter().take(if with_origin { 3 } else { 2 });
    let heads = heads.map(|head| (head.to_owned(), look::DIM)).collect();
    let table: Vec<_> = std::iter::once(heads).chain(rows.into_iter().map(cells)).collect();
    for line in look::columns(&table, look) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod reference;
