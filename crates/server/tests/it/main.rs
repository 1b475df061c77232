//! Tests of what lasts: the store's contract, and the logs above it, on real files and with real keys.

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
mod store_contract;
mod support;
