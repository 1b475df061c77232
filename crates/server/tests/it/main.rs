//! Tests of what lasts: the store's contract, and the logs above it, on real files and with real keys. And of what an operator writes.

mod append;
mod company;
mod erase;
mod follow;
mod groups;
mod guests;
mod handshake;
mod hub;
mod keys_kinds;
mod limits;
mod old;
mod operator;
mod outbox;
mod pages;
mod peers;
mod pump;
mod register;
mod rekey;
mod replica;
mod rules;
mod secrets;
mod setup;
mod spans;
mod store_contract;
mod support;
