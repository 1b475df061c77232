//! The web client in a real Chromium, against real servers. The pages are those that this build has in it: `cargo xtask web` builds them, and
//! `cargo xtask test` does so first.

mod durable;
mod private;
mod screens;
mod someone;
mod talk;
