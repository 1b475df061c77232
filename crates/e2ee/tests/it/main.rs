//! The tests of what only devices can do, from outside: what the crate shows to others, against what others may send.
//!
//! One binary with a module a subject, so that it links once.

mod account;
mod bindings;
mod book;
mod forge;
mod invitation;
mod jwk;
mod limits;
mod mls;
mod mls_rs;
mod mls_world;
mod older_lists;
mod profile;
mod rekey;
mod rfc9807;
mod samples;
mod secrets;
mod snapshots;
mod wycheproof;
