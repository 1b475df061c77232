//! The pages of the web client: what is drawn in a browser, and what a person can do there.
//!
//! Not here: anything that is known, kept or sealed. That is the client core's, which runs in a Worker; pages ask it and draw the answers.
//! Modules without a browser in them are built and tested everywhere; the others for wasm alone.

pub mod clock;
pub mod find;
pub mod held;
pub mod identicon;
pub mod picture;
pub mod place;
pub mod rows;
pub mod suite;

#[cfg(target_arch = "wasm32")]
mod page;

#[cfg(target_arch = "wasm32")]
pub use page::start;
