//! Stories: real servers, real clients, real files and sockets.

mod chat;
mod faults;
mod login;
mod operator;
mod strangers;
