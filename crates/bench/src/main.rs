//! `tidings-bench`: starts real servers on a core of their own, loads them from another one over loopback, and says what it cost.
//! `cargo xtask bench` builds and runs it. It knows the protocol, and nothing of what is inside a server.

mod hub;
mod link;
mod load;
mod machine;
mod micro;
mod page;
mod people;
mod plot;
#[path = "../../tidings/src/demo/ports.rs"]
mod ports;
mod probe;
mod process;
mod report;
mod scenarios;
mod table;
mod talk;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use process::{Stage, Transport};
use scenarios::Scenario;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, Parser)]
#[command(about = "Measures a running server: what a connection, a message and a login cost", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// What to measure [default: everything]
    scenarios: Vec<Scenario>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Links without TLS; the servers are then processes of this program
    #[arg(long)]
    plain: bool,
    /// A hundredth of everything: to see that it works, not to measure
    #[arg(long)]
    tiny: bool,
    /// The program to measure [default: `tidings` beside this one]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where servers have their folders while they are measured; on a real disk [default: beside this program]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Put the figures into this page, in the place of what it has of them
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// What is measured, for the report
    #[arg(long, value_name = "TEXT", default_value = "unknown")]
    commit: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves links without TLS on loopback
    #[command(hide = true)]
    PlainServer { setup: PathBuf, data: PathBuf },
    /// Hands on what it hears, and does nothing else
    #[command(hide = true)]
    BareHub { setup: PathBuf, data: PathBuf },
    /// Prints what criterion has measured
    #[command(hide = true)]
    Micro {
        /// Where criterion has put it
        folder: PathBuf,
        /// Put it into this page, too
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        /// What was measured
        #[arg(long, value_name = "TEXT", default_value = "unknown")]
        commit: String,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tidings-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<bool> {
    let served = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match &arguments.command {
        Some(Command::PlainServer { setup, data }) => return served()?.block_on(process::plain_server(setup, data)).map(|()| true),
        Some(Command::BareHub { setup, data }) => return served()?.block_on(hub::serve(setup, data)).map(|()| true),
        _ => {}
    }
    if let Some(Command::Micro { folder, report, commit }) = &arguments.command {
        let about = format!("Commit {commit}; {}.", machine::describe());
        return micro::write(folder, report.as_deref(), &about).map(|()| true);
    }
    let cores = machine::Cores::choose()?;
    machine::raise_files()?;
    let about = machine::describe();
    if cores.are_one() {
        eprintln!("only one core may be used: servers and load share it, and no figure means much");
    }
    machine::pin(cores.load)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(arguments, cores, about))
}

async fn measure(arguments: Arguments, cores: machine::Cores, machine: String) -> Result<bool> {
    let own = std::env::current_exe().context("this program cannot find itself")?;
    let beside = own.parent().context("this program is in no folder")?;
    let stage = Stage {
        program: arguments.program.unwrap_or_else(|| beside.join("tidings")),
        folder: arguments.folder.unwrap_or_else(|| beside.join("bench")),
        cores,
        transport: if arguments.plain { Transport::Plain } else { Transport::Tls },
        tiny: arguments.tiny,
    };
    ensure!(stage.program.exists(), "{} is not there: build it with `cargo build --package tidings`", stage.program.display());
    let scenarios = if arguments.scenarios.is_empty() { Scenario::value_variants().to_vec() } else { arguments.scenarios };
    let (mut measured, mut good, begun) = (Vec::new(), true, Instant::now());
    for scenario in &scenarios {
        let name = scenario.to_possible_value().map_or_else(String::new, |name| name.get_name().to_owned());
        let started = Instant::now();
        match scenario.run(&stage).await {
            Ok(figures) => measured.extend(figures),
            Err(error) => {
                good = false;
                eprintln!("{name} could not be measured: {error:#}");
            }
        }
        eprintln!("{name}: {:.0} s", started.elapsed().as_secs_f64());
    }
    let transport = if arguments.plain { "plain" } else { "TLS 1.3" };
    let about = json!({
        "commit": arguments.commit, "machine": machine, "transport": transport, "tiny": arguments.tiny,
        "seconds": begun.elapsed().as_secs(),
    });
    if let Some(page) = &arguments.report {
        report::write(page, &arguments.commit, &machine::load(), &measured)?;
    }
    if arguments.json {
        println!("{}", table::object(&about, &measured));
    } else {
        println!("{machine}; links: {transport}");
        print!("{}", table::text(&measured));
    }
    Ok(good)
}
