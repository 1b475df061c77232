//! Stories: real servers, real clients, real files and sockets.

mod accounts;
mod chat;
mod faults;
mod frames;
mod groups;
mod history;
mod hostile;
mod keys;
mod login;
mod mesh;
mod mistakes;
mod mls;
mod operator;
mod packages;
mod strangers;
