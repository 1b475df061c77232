//! Stories: real servers, real clients, real files and sockets.

mod chat;
mod faults;
mod frames;
mod groups;
mod keys;
mod login;
mod operator;
mod strangers;
