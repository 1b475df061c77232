//! Worlds of real servers and real people for tests: real sockets, TLS, SQLite files, and wires that can be cut.
//!
//! Stories read as stories: `world.person("alice@s1")`, `alice.says(&bob, "hello")`, `bob.sees("hello")`,
//! `world.cut("s1", "s2")`. Nothing here sleeps and hopes: every wait is for a condition, with a deadline.

pub mod browser;
pub mod crash;
pub mod faulty;
pub mod history;
pub mod hostile;
pub mod lan;
pub mod packages;
pub mod panics;
pub mod person;
#[path = "../../tidings/src/demo/ports.rs"]
pub mod ports;
pub mod process;
pub mod raw;
pub mod sim;
pub mod wire;
pub mod world;

use std::time::Duration;

/// How long a story waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);
