//! What is measured, by name.

mod direct;
mod federation;
mod idle;
mod join;
mod login;
mod offline;
mod room;
mod start;

use crate::process::Stage;
use crate::table::Measured;
use anyhow::{Result, anyhow};
use clap::ValueEnum;
use std::time::Duration;

/// No scenario takes longer, whatever happens in it.
const LONGEST: Duration = Duration::from_secs(120);

/// One measurement, of one or more figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// 1:1 at 2,000 messages a second, and at saturation
    Direct,
    /// A room of 200 at 25 posts a second, and at saturation
    Room,
    /// Memory of connections that say nothing
    Idle,
    /// Logging in by password, and coming back
    Login,
    /// Coming into a room of many
    Join,
    /// Messages for people who are away: stored and fetched
    Offline,
    /// Start to ready, and memory of an empty server
    Start,
    /// Messages from one server to another
    Federation,
}

impl Scenario {
    /// Measures it, on servers of its own.
    pub async fn run(self, stage: &Stage) -> Result<Vec<Measured>> {
        let measuring = async {
            match self {
                Scenario::Direct => direct::run(stage).await,
                Scenario::Room => room::run(stage).await,
                Scenario::Idle => idle::run(stage).await,
                Scenario::Login => login::run(stage).await,
                Scenario::Join => join::run(stage).await,
                Scenario::Offline => offline::run(stage).await,
                Scenario::Start => start::run(stage).await,
                Scenario::Federation => federation::run(stage).await,
            }
        };
        tokio::time::timeout(LONGEST, measuring).await.unwrap_or_else(|_| Err(anyhow!("it took longer than {} s", LONGEST.as_secs())))
    }
}
