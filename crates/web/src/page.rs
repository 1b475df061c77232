//! What is drawn, and what is done when somebody uses it.
//!
//! Views are built by functions, not by Leptos' `view!`: the macro makes whatever never changes into HTML that is parsed by `innerHTML`,
//! which the page's policy forbids (`require-trusted-types-for 'script'`), as it should.

mod account;
mod app;
mod browser;
mod composer;
mod core;
mod files;
mod gate;
mod group;
mod keyboard;
mod message;
mod notify;
mod outbox;
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

/// Begins.
pub fn start() {
    // Where in the code, and nothing of what was being shown.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        web_sys::console::error_1(&format!("The page has a mistake at {place}").into());
    }));
    app::App::start();
}
