//! The one binary: a server, and a command line for people. What it does with an account is the client crate's work, what it does as
//! a host the server crate's; here are only arguments, terminals and exit codes.

mod ask;
mod beside;
mod cli;
mod config;
mod demo;
mod devices;
mod doctor;
mod erase;
mod failure;
mod file;
mod inert;
mod invite;
mod layers;
mod local;
mod login;
mod logout;
mod look;
mod operator;
mod out;
mod pages;
mod password;
mod peer;
mod people;
mod profile;
mod read;
mod recover;
mod register;
mod room;
mod rooms;
mod rotate;
mod save;
mod secret;
mod send;
mod server;
mod settle;
mod site;
mod tail;
mod unlock;
mod user;
mod verify;
mod welcome;

use cli::{Arguments, Command};
use failure::Failure;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = cli::read();
    let json = arguments.global.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(json, Err(Failure::ours(format!("no runtime: {error}")))),
    };
    let done = runtime.block_on(run(arguments));
    // A prompt or a blocked write may still hold a thread; nothing that matters waits for it.
    runtime.shutdown_background();
    end(json, done)
}

async fn run(arguments: Arguments) -> Result<u8, Failure> {
    let Arguments { global, command } = arguments;
    match command {
        Command::People(people) => people::run(&global, &people).await,
        Command::Rooms(rooms) => rooms::run(&global, &rooms).await,
        Command::Room(room) => room::run(&global, room).await,
        Command::Send(send) => send::run(&global, send).await,
        Command::Read(read) => read::run(&global, read).await,
        Command::Tail(tail) => tail::run(&global, tail).await,
        Command::File(file) => file::run(&global, file).await,
        Command::Erase(erase) => erase::run(&global, &erase).await,
        Command::Local(local) => local::run(&global, local).await,
        Command::Register(register) => register::run(&global, register).await,
        Command::Login(login) => login::run(&global, login).await,
        Command::Recover(recover) => recover::run(&global, recover).await,
        Command::Logout(logout) => logout::run(&global, &logout).await,
        Command::Verify(verify) => verify::run(&global, verify).await,
        Command::Devices(devices) => devices::run(&global, devices).await,
        Command::Doctor(doctor) => doctor::run(&global, &doctor).await,
        Command::Password(password) => password::run(&global, &password).await,
        Command::Unlock(unlock) => unlock::run(&global, &unlock).await,
        Command::Rotate(rotate) => rotate::run(&global, &rotate).await,
        Command::Server(server) => server::run(&global, server).await,
        Command::User(command) => user::run(&global, command).await,
        Command::Invite(command) => invite::run(&global, command).await,
        Command::Peer(command) => peer::run(&global, command).await,
        Command::Config(command) => config::run(&global, &command),
        Command::Demo(demo) => demo::run(&global, &demo).await,
        Command::Pages(pages) => pages::run(&pages),
    }
}

/// The last words and the exit code.
fn end(json: bool, done: Result<u8, Failure>) -> ExitCode {
    let code = match done {
        Ok(code) => code,
        Err(failure) => {
            // The reader of a closed pipe has gone: there is nobody to tell.
            let _ = if json {
                writeln!(std::io::stdout(), "{}", look::object("error", &failure.as_json()))
            } else {
                writeln!(std::io::stderr(), "tidings: {}", inert::lines(&failure.sentence))
            };
            failure.code
        }
    };
    ExitCode::from(code)
}
