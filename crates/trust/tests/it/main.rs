//! The tests of who is who: each clause of the rules with what it refuses, and the bytes themselves.
//!
//! One binary with a module a subject, so that it links once.

mod drafts;
mod ed25519;
mod group;
mod key_history;
mod members;
mod people;
mod roster;
mod rsa;
mod samples;
mod snapshots;
mod spans;
mod succession;
