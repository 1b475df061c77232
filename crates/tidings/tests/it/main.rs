//! The binary as people and scripts meet it: real processes, their output and their exit codes.

mod commands;
mod config;
mod crash;
mod demo;
mod files;
mod full_disk;
mod groups;
mod home;
mod keys;
mod mistakes;
mod offline;
mod operator;
mod packages;
mod ports;
