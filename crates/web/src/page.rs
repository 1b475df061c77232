//! What is drawn, and what is done when somebody uses it.
//!
//! Views are built by functions, not by Leptos' `view!`: the macro makes whatever never changes into HTML that is parsed by `innerHTML`,
//! which the page's policy forbids (`require-trusted-types-for 'script'`), as it should.

mod app;
mod browser;
mod composer;
mod core;
mod files;
mod gate;
mod group;
mod message;
mod notify;
mod parts;
mod people;
mod person;
mod rooms;
mod settings;
mod shell;
mod switcher;
mod talk;
mod timeline;
mod written;

/// Begins: starts the core's Worker, and draws.
pub fn start() {
    app::App::start();
}
