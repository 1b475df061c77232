//! What front ends draw and what they ask for: plain values, the same on a terminal, in JSON and between a page and its Worker.
//!
//! Not here: anything that does something. The client core makes these values and carries these requests out.

pub mod ask;
pub mod markdown;
pub mod plain;
mod shown;
mod text;

pub use shown::*;
