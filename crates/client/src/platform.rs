//! The one place where native and browser differ: where a profile lives, how a server is reached, where heavy work runs.
//!
//! The browser's half comes with the web client.

mod native;

pub use native::{Pipe, PipeReader, PipeWriter, ProfileLock, connect, heavy, now, open_profile, remove_profile};
