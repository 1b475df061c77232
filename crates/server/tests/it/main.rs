//! Tests of what lasts: the store's contract, and the logs above it, on real files and with real keys. And of what an operator writes.

mod append;
mod follow;
mod guests;
mod handshake;
mod operator;
mod outbox;
mod pump;
mod register;
mod replica;
mod rules;
mod setup;
mod store_contract;
mod support;
