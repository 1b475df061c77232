//! The web client in a real Chromium, against real servers. The pages are those that this build has in it: `cargo xtask web` builds them, and
//! `cargo xtask test` does so first.

mod account;
mod durable;
mod figures;
mod files;
mod keyboard;
mod keys;
mod lan;
mod local;
mod notices;
mod policy;
mod private;
mod screens;
mod scroll;
mod someone;
mod talk;
