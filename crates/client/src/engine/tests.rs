//! An engine on a real store, driven by frames: what a server may do, and what then is on disk and on screen.
//!
//! Not here: sockets. The frames that "the server" sends are made below, from real keys and real chains.

pub mod bench;
mod changes;
mod doubts;
mod groups;
mod interleavings;
mod late;
mod packages;
mod people;
mod receiving;
mod sending;
mod stays;
