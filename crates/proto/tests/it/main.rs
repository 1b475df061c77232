//! The tests of what travels: properties of the strict decoder, limits on both sides of each edge, and the bytes themselves.
//!
//! One binary with a module a subject, so that it links once.

mod arbitrary;
mod canonical;
mod codes;
mod edges;
mod identity;
mod model;
mod samples;
mod snapshots;
